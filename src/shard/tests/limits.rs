//! Bounds that more than one socket shares: sockets of an identity, and all outboxes together (F-13).

use std::sync::Arc;

use super::{apps, fleet, world};
use crate::app::event::Handshake;
use crate::base::limit::Limits;
use crate::shard::io::Hello;
use crate::shard::testing::socket::Frame;
use crate::shard::testing::{Peer, Setup, World};

const TOO_MANY: &str = "44{\"message\":\"Too many connections\",\"data\":{\"code\":\"TOO_MANY_SOCKETS\"}}";

fn two_each(shards: u16) -> World {
    let limits = Limits { sockets_per_user_max: 2, ..Limits::default() };
    World::with(Setup { shards, limits, ..Setup::default() }, apps)
}

#[test]
fn sockets_of_a_user_are_bounded_over_all_shards_and_departures_make_room() {
    // The one application decides on the socket's shard, the other at the home of its tenant.
    for (path, shards) in [("/lab-root", 1), ("/lab-root", 4), ("/fleet-root", 1), ("/fleet-root", 4)] {
        let world = two_each(shards);
        let connect = |user: &str| {
            let peer = world.websocket(path);
            peer.sends(&format!("40{{\"token\":\"{user}\"}}"));
            peer
        };
        let is_in = |peer: &Peer| matches!(&peer.takes_all()[0], Frame::Text(text) if text.starts_with("40{"));
        let (first, second, third) = (connect("t"), connect("t"), connect("t"));
        assert!(is_in(&first) && is_in(&second), "{path}");
        third.gets(TOO_MANY);
        assert!(is_in(&connect("somebody else")), "{path}");
        // The refused one may try again on the same connection, and does better once another has left.
        third.sends("40{\"token\":\"t\"}");
        third.gets(TOO_MANY);
        first.sends("41");
        third.sends("40{\"token\":\"t\"}");
        assert!(is_in(&third), "{path}");
        second.hangs_up(true);
        assert!(is_in(&connect("t")), "{path}");
        connect("t").gets(TOO_MANY);
        assert_eq!(world.sum(|shard| shard.stats.outcomes.iter().map(|outcome| outcome.refused).sum()), 3);
    }
}

#[test]
fn a_connect_that_the_application_refuses_or_that_is_given_up_takes_no_place() {
    let world = two_each(2);
    for _ in 0..5 {
        let peer = world.websocket("/fleet-root");
        peer.sends("40{\"token\":\"t\",\"refuse\":{\"message\":\"no\"}}");
        peer.gets("44{\"message\":\"no\"}");
        let undecided = world.websocket("/fleet-root");
        undecided.sends("40{\"token\":\"t\",\"wait\":-1}");
        undecided.hangs_up(false);
    }
    fleet(&world);
    fleet(&world);
}

#[test]
fn without_the_limit_nobody_is_counted() {
    let world = world(1);
    let peers: Vec<Peer> = (0..50).map(|_| fleet(&world)).collect();
    assert_eq!(peers.len(), 50);
}

/// All outboxes of a shard hold 10,000 bytes, one of them up to 6,000.
fn small(shards: u16) -> World {
    let limits = Limits {
        outbox_bytes_max: 6_000,
        outbox_total_bytes_max: 10_000,
        outbox_low_mark_bytes: 6_000,
        ..Limits::default()
    };
    World::with(Setup { shards, limits, ..Setup::default() }, apps)
}

fn says(sender: &Peer, bytes: usize) {
    sender.sends(&format!("42[\"to\",{{\"alone\":1}},\"{}\"]", "x".repeat(bytes)));
    sender.takes_all();
}

#[test]
fn f13_above_the_bound_of_all_outboxes_the_largest_slow_reader_is_closed() {
    for shards in [1, 2] {
        let world = small(shards);
        let on_zero = || fleet(world.next_on(0));
        let (sender, largest) = (on_zero(), on_zero());
        largest.reads_only(0);
        for _ in 0..3 {
            says(&sender, 980);
        }
        let (slow, well) = ([on_zero(), on_zero()], on_zero());
        slow.iter().for_each(|reader| reader.reads_only(0));
        for _ in 0..2 {
            says(&sender, 980);
        }
        assert!(!largest.is_closed() && world.sum(|shard| shard.sample().outbox_bytes) > 8_900);
        says(&sender, 980);
        assert!(largest.is_closed());
        assert!(slow.iter().all(|reader| !reader.is_closed()));
        assert_eq!(world.sum(|shard| shard.stats.slow_consumers), 1);
        assert!(world.sum(|shard| shard.sample().outbox_bytes) <= 8_750);
        // A client that reads has missed nothing, nor has one that begins to read again.
        assert_eq!(well.takes_all().len(), 3);
        slow[0].reads_on();
        assert_eq!(slow[0].takes_all().len(), 3);
        [&sender, &well, &slow[0], &slow[1]].iter().for_each(|peer| peer.hangs_up(false));
        world.assert_empty();
    }
}

#[test]
fn f13_what_waits_for_polling_clients_counts_and_is_given_up_too() {
    let world = small(1);
    let sender = fleet(&world);
    let absent: Vec<_> = (0..3)
        .map(|_| {
            let poller = world.polling("/fleet-root");
            poller.joins("/", "{\"token\":\"t\"}");
            poller
        })
        .collect();
    for _ in 0..3 {
        says(&sender, 980);
    }
    assert_eq!(world.look(0, |shard| shard.peer_count()), 4);
    says(&sender, 980);
    assert_eq!(world.look(0, |shard| shard.peer_count()), 3, "one of three equal ones has gone");
    let gone = absent.iter().filter(|poller| poller.get().says().contains("Session ID unknown")).count();
    assert_eq!(gone, 1);
    assert_eq!(world.sum(|shard| shard.sample().outbox_bytes), 0, "the others have read everything");
}

#[test]
fn f13_a_burst_that_is_written_in_its_turn_closes_nobody() {
    let world = small(1);
    let sender = fleet(&world);
    let readers: Vec<Peer> = (0..30).map(|_| fleet(&world)).collect();
    world.in_one_turn(|| (0..5).for_each(|_| sender.sends(&format!("42[\"to\",{{}},\"{}\"]", "x".repeat(900)))));
    assert!(readers.iter().all(|reader| reader.takes_all().len() == 5));
}

#[test]
fn f22_a_session_that_holds_a_place_says_once_that_it_has_ended() {
    fn proxied(last: u8) -> impl FnOnce(&mut Hello) {
        move |hello| {
            let mut handshake = Handshake::new([192, 0, 2, last].into(), "", "", "");
            handshake.holds_place = true;
            hello.handshake = Arc::new(handshake);
        }
    }
    for shards in [1, 4] {
        let world = world(shards);
        world.websocket("/lab-root").hangs_up(false);
        let (ends, stays) =
            (world.websocket_with("/lab-root", proxied(1)), world.websocket_with("/lab-root", proxied(1)));
        let (silent, upgraded) =
            (world.polling_with("/lab-root", proxied(2)), world.polling_with("/lab-root", proxied(3)));
        let stream = upgraded.upgrades().unwrap();
        stream.sends("2probe");
        stream.gets("3probe");
        stream.sends("5");
        for client in [&ends, &stays, &stream] {
            client.sends("40");
        }
        assert_eq!(world.left(), [""; 0]);
        ends.hangs_up(true);
        assert_eq!(world.left(), ["192.0.2.1"]);
        // It never joins, and is told so by its last GET only.
        world.advance(60_000);
        let _ = silent.get();
        assert!(world.left().contains(&"192.0.2.2".to_owned()), "{:?}", world.left());
        stream.hangs_up(false);
        world.advance(60_000);
        let mut all = world.left();
        all.sort();
        assert_eq!(all, ["192.0.2.1", "192.0.2.1", "192.0.2.2", "192.0.2.3"], "none twice");
    }
}
