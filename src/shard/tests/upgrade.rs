//! PROTOCOL 5: a polling session moves to a WebSocket.

use bytes::Bytes;

use super::world;
use crate::shard::io::Posted;
use crate::shard::testing::{Peer, Poller, World};

/// A polling client of `/lab-root` that has joined, and its WebSocket before the probe.
fn upgrading(world: &World) -> (Poller, Peer) {
    let poller = world.polling("/lab-root");
    poller.joins("/", "");
    let peer = poller.upgrades().unwrap();
    peer.gets_nothing();
    (poller, peer)
}

#[test]
fn a_session_moves() {
    for shards in [1, 2, 4] {
        let world = world(shards);
        let (poller, peer) = upgrading(&world);
        let get = poller.get();
        peer.sends("2probe");
        peer.gets("3probe");
        get.is("parked");
        world.advance(99);
        get.is("parked");
        world.advance(1);
        get.is("200 6");
        // Until `5` everything still goes to polling.
        poller.posts("42[\"message\",1]");
        peer.gets_nothing();
        poller.gets("42[\"message-back\",1]");
        let get = poller.get();
        peer.sends("5");
        get.is("200 1");
        peer.gets_nothing();
        peer.sends("42[\"message\",2]");
        peer.gets("42[\"message-back\",2]");
        poller.get().is("400 Bad request");
        poller.post_opened(true).is("400 Bad request");
        poller.puts().is("400 Bad request");
        assert_eq!(world.sum(|shard| shard.stats.upgraded), 1);
        peer.hangs_up(false);
        world.assert_empty();
    }
}

#[test]
fn noops_repeat_every_hundred_milliseconds_until_the_upgrade_ends() {
    let world = world(1);
    let (poller, peer) = upgrading(&world);
    peer.sends("2probe");
    for _ in 0..5 {
        let get = poller.get();
        world.advance(100);
        get.is("200 6");
    }
    // A second probe is answered, and starts no second series.
    peer.sends("2probe");
    peer.gets("3probe");
    peer.gets("3probe");
    assert_eq!(world.deadline(), Some(100));
    let get = poller.get();
    peer.sends("5");
    get.is("200 1");
    assert_eq!(world.deadline(), Some(25_000));
}

#[test]
fn five_without_a_probe_is_accepted() {
    let world = world(1);
    let (_, peer) = upgrading(&world);
    peer.sends("5");
    peer.sends("42[\"message\",2]");
    peer.gets("42[\"message-back\",2]");
}

#[test]
fn b60_an_upgrade_that_is_not_finished_in_time_is_closed() {
    for probes in [true, false] {
        let world = world(1);
        let (poller, peer) = upgrading(&world);
        if probes {
            peer.sends("2probe");
            peer.gets("3probe");
        }
        world.advance(9_999);
        peer.gets_nothing();
        world.advance(1);
        peer.gets_close(None);
        peer.sends("5");
        peer.gets_nothing();
        poller.posts("42[\"message\",1]");
        poller.gets("42[\"message-back\",1]");
        world.advance(5_000);
        peer.gets_end();
    }
}

#[test]
fn a_probe_that_fails_leaves_the_session_on_polling() {
    for packet in ["2", "2prob", "3probe", "4hello", "40", "1", "0", "6", "x", "", "bAQID"] {
        let world = world(1);
        let (poller, peer) = upgrading(&world);
        peer.sends(packet);
        peer.gets_close(None);
        peer.sends_close(None);
        peer.gets_end();
        poller.posts("42[\"message\",1]");
        poller.gets("42[\"message-back\",1]");
        // And it may try again.
        let peer = poller.upgrades().unwrap();
        peer.sends("5");
        peer.sends("42[\"message\",2]");
        peer.gets("42[\"message-back\",2]");
    }
}

#[test]
fn a_probe_may_end_in_every_way() {
    for end in 0..5 {
        let world = world(1);
        let (poller, peer) = upgrading(&world);
        peer.sends("2probe");
        peer.gets("3probe");
        match end {
            0 => peer.hangs_up(true),
            1 => peer.hangs_up(false),
            2 => {
                peer.sends_close(Some(1001));
                peer.gets_close(Some(1001));
                peer.gets_end();
            }
            3 => {
                peer.sends_bytes(&mut [0x81, 1, b'5']);
                peer.gets_close(Some(1002));
                peer.gets_end();
            }
            _ => {
                peer.sends_binary(b"5");
                peer.gets_close(None);
            }
        }
        poller.posts("42[\"message\",1]");
        poller.gets("42[\"message-back\",1]");
        poller.posts("1");
        world.advance(5_000);
        world.assert_empty();
    }
}

#[test]
fn a_second_upgrade_is_closed_and_the_first_goes_on() {
    let world = world(1);
    let (poller, first) = upgrading(&world);
    let second = poller.upgrades().unwrap();
    second.gets_close(None);
    second.sends_close(None);
    second.gets_end();
    first.sends("2probe");
    first.gets("3probe");
    first.sends("5");
    let third = poller.upgrades().unwrap();
    third.gets_close(None);
    first.sends("42[\"message\",2]");
    first.gets("42[\"message-back\",2]");
}

#[test]
fn a_session_that_ends_while_it_upgrades_ends_both() {
    let world = world(1);
    let (poller, peer) = upgrading(&world);
    peer.sends("2probe");
    peer.gets("3probe");
    let get = poller.get();
    poller.posts("1");
    get.is("200 6");
    peer.gets_close(None);
    world.advance(5_000);
    world.assert_empty();
}

#[test]
fn a_session_closed_by_the_server_while_it_upgrades_is_told_over_polling() {
    let world = world(1);
    let (poller, peer) = upgrading(&world);
    poller.posts("4x");
    peer.gets_close(None);
    peer.sends("5");
    peer.gets_nothing();
    assert!(poller.upgrades().is_ok_and(|late| late.next().is_some()));
    poller.gets("6\x1e1");
    world.advance(5_000);
    world.assert_empty();
}

#[test]
fn what_waited_for_polling_goes_out_on_the_websocket() {
    for base64 in [false, true] {
        let world = world(1);
        let poller = world.polling("/lab-root");
        poller.joins("/", "");
        let peer = poller.upgrades_with(base64).unwrap();
        poller.posts(
            "42[\"message\",1]\x1e451-[\"message\",{\"_placeholder\":true,\"num\":0}]\x1ebAQID\x1e42[\"message\",3]",
        );
        peer.sends("2probe");
        peer.gets("3probe");
        peer.sends("5");
        peer.gets("42[\"message-back\",1]");
        peer.gets("451-[\"message-back\",*");
        if base64 {
            peer.gets("bAQID");
        } else {
            peer.gets_binary(&[1, 2, 3]);
        }
        peer.gets("42[\"message-back\",3]");
        // And so does what comes later.
        peer.sends("451-[\"message\",{\"_placeholder\":true,\"num\":0}]");
        peer.sends("bAQID");
        peer.gets("451-[\"message-back\",*");
        if base64 { drop(peer.gets("bAQID")) } else { peer.gets_binary(&[1, 2, 3]) }
    }
}

#[test]
fn a_post_in_flight_at_the_upgrade_still_counts() {
    let world = world(1);
    let (poller, peer) = upgrading(&world);
    let post = poller.post_opened(true);
    peer.sends("5");
    post.is("parked");
    poller.post_body(&post, Posted::Body(Bytes::from_static(b"42[\"message\",1]")));
    post.is("ok");
    peer.gets("42[\"message-back\",1]");
}

#[test]
fn a_jsonp_client_upgrades_to_plain_messages() {
    let world = world(1);
    let poller = world.polling_with("/lab-root", |hello| hello.jsonp = Some("0".into()));
    poller.posts("d=40");
    let peer = poller.upgrades().unwrap();
    let get = poller.get();
    peer.sends("5");
    get.is("200 ___eio[0](*");
    peer.sends("42[\"message\",2]");
    let last = std::iter::from_fn(|| peer.next()).last();
    assert_eq!(last, Some(crate::shard::testing::socket::Frame::Text("42[\"message-back\",2]".into())));
}
