//! Back-pressure on the way in: what an honest client sends at once after it was offline is slowed down, never lost.

use super::{apps, fleet, world};
use crate::app::job::Outcome;
use crate::base::limit::{DRAIN_NOTICE_MS, PACKETS_PER_TURN_MAX, PARKED_EVENTS_LONG};
use crate::shard::testing::{Peer, Setup, World};

/// More than what may wait, more than one read, more than one turn's share of a POST.
const BURST: usize = 10_000;

fn limited(events_per_s: u32) -> World {
    let mut setup = Setup::default();
    setup.limits.events_per_socket_per_s_max = events_per_s;
    World::with(setup, apps)
}

fn burst(event: impl Fn(usize) -> String) -> Vec<String> {
    (0..BURST).map(event).collect()
}

fn sends_all(peer: &Peer, texts: &[String]) {
    // About as much as is read at once.
    for read in texts.chunks(2_000) {
        peer.sends_together(&read.iter().map(String::as_str).collect::<Vec<_>>());
    }
}

fn texts(peer: &Peer) -> Vec<String> {
    peer.takes_texts().into_iter().filter(|text| text != "2").collect()
}

/// A world whose commits end when the test says so, and a client that has begun one.
fn committing(shards: u16) -> (World, Peer) {
    let world = world(shards);
    world.answers_jobs(|_| None);
    let peer = fleet(&world);
    peer.sends("42[\"save\"]");
    peer.gets_nothing();
    (world, peer)
}

#[test]
fn what_waits_behind_a_commit_is_held_and_nothing_is_lost() {
    for shards in [1, 2, 4] {
        let (world, saver) = committing(shards);
        let (peer, other) = (fleet(&world), world.websocket("/lab-root"));
        other.joins("/", "");
        other.takes_all();
        sends_all(&peer, &burst(|number| format!("42[\"to\",{{}},{number}]")));
        assert!(peer.is_held(), "{shards}");
        other.sends("42[\"message\",1]");
        other.gets("42[\"message-back\",1]");
        world.finishes_job(Outcome::Written(vec![]));
        let expected: Vec<String> = (0..BURST).map(|number| format!("42[\"said\",{number}]")).collect();
        assert!(texts(&peer) == expected, "{shards}");
        assert!(!peer.is_held());
        assert_eq!(texts(&saver).len(), 1 + BURST);
        [&saver, &peer, &other].iter().for_each(|peer| peer.hangs_up(false));
        world.assert_empty();
    }
}

#[test]
fn acks_that_are_asked_for_behind_a_commit_are_all_answered() {
    let (world, _) = committing(2);
    let peer = fleet(&world);
    sends_all(&peer, &burst(|number| format!("42{number}[\"echo\",{number}]")));
    world.finishes_job(Outcome::Written(vec![]));
    let expected: Vec<String> = (0..BURST).map(|number| format!("43{number}[{number}]")).collect();
    assert!(texts(&peer) == expected);
}

#[test]
fn a_post_behind_a_commit_is_answered_when_all_of_it_has_been_taken() {
    for shards in [1, 2] {
        let (world, saver) = committing(shards);
        let poller = world.polling("/fleet-root");
        poller.joins("/", "{\"token\":\"t\"}");
        // A home on another shard is heard a turn or two later.
        let body = burst(|number| format!("42[\"to\",{{}},{number}]")).join("\x1e");
        let post = poller.post(&[&body[..], &body, &body].join("\x1e"));
        post.is("parked");
        world.finishes_job(Outcome::Written(vec![]));
        post.is("ok");
        assert_eq!(poller.get().says().split('\x1e').count(), 3 * BURST, "{shards}");
        poller.posts("1");
        saver.hangs_up(false);
        world.assert_empty();
    }
}

#[test]
fn many_clients_that_wait_for_one_commit_are_all_heard() {
    let (world, saver) = committing(2);
    let peers: Vec<Peer> = (0..50).map(|_| fleet(&world)).collect();
    for peer in &peers {
        sends_all(peer, &burst(|_| "42[\"echo\"]".to_owned())[..100]);
    }
    assert!(peers.iter().filter(|peer| peer.is_held()).count() > 30);
    let queued = 50 * 100;
    assert!(queued > PARKED_EVENTS_LONG);
    peers.iter().for_each(|peer| peer.sends("427[\"echo\",\"last\"]"));
    world.finishes_job(Outcome::Written(vec![]));
    peers.iter().for_each(|peer| drop(peer.gets("437[\"last\"]")));
    saver.takes_all();
}

/// A way to end.
type End<'a> = &'a dyn Fn(&World, &Peer);

#[test]
fn a_client_that_is_held_may_end_in_every_way_and_leaves_nothing() {
    let ends: [End<'_>; 3] = [
        &|_, peer| peer.hangs_up(true),
        // Its close frame lies behind what is not read.
        &|world, peer| {
            peer.sends_close(Some(1000));
            world.finishes_job(Outcome::Written(vec![]));
        },
        &|world, peer| {
            world.drains(0);
            world.advance(DRAIN_NOTICE_MS);
            assert!(!peer.is_held(), "its answer to our close frame is read");
            peer.sends_close(Some(1001));
        },
    ];
    for (index, end) in ends.into_iter().enumerate() {
        let (world, saver) = committing(2);
        let peer = fleet(&world);
        sends_all(&peer, &burst(|_| "42[\"echo\"]".to_owned()));
        assert!(peer.is_held());
        end(&world, &peer);
        world.advance(5_000);
        assert!(peer.is_closed(), "{index}");
        if index != 1 {
            world.finishes_job(Outcome::Written(vec![]));
        }
        saver.hangs_up(false);
        world.assert_empty();
    }
    // A namespace that ends holds its client no more.
    let (world, saver) = committing(1);
    let peer = fleet(&world);
    let both = peer.joins("/lab", "");
    assert!(!both.is_empty());
    sends_all(&peer, &burst(|_| "42[\"echo\"]".to_owned())[..PARKED_EVENTS_LONG + 10]);
    assert!(peer.is_held());
    peer.hangs_up(false);
    world.finishes_job(Outcome::Written(vec![]));
    saver.hangs_up(false);
    world.assert_empty();
}

#[test]
fn who_is_held_is_not_taken_for_silent() {
    let (world, saver) = committing(1);
    saver.answers_pings();
    let peer = fleet(&world);
    sends_all(&peer, &burst(|_| "42[\"echo\"]".to_owned()));
    world.advance(200_000);
    assert!(peer.is_held() && !peer.is_closed());
    world.finishes_job(Outcome::Written(vec![]));
    assert!(!peer.is_held());
    world.advance(25_000 + 20_000 + 5_000);
    assert!(peer.is_closed(), "then it is");
}

#[test]
fn events_of_a_second_are_limited_where_configured_and_the_rest_waits() {
    let world = limited(100);
    let peer = world.websocket("/lab-root");
    peer.joins("/", "");
    peer.gets("42*");
    peer.answers_pings();
    sends_all(&peer, &burst(|number| format!("42[\"message\",{number}]")));
    assert!(peer.is_held());
    let mut back = texts(&peer);
    assert!((90..=101).contains(&back.len()), "{}", back.len());
    for second in 2..=10 {
        world.advance(1_000);
        back.extend(texts(&peer));
        assert!((second * 100 - 10..=second * 100 + 1).contains(&back.len()), "{second} {}", back.len());
    }
    world.advance(100_000);
    back.extend(texts(&peer));
    let expected: Vec<String> = (0..BURST).map(|number| format!("42[\"message-back\",{number}]")).collect();
    assert!(back == expected && !peer.is_held());
    // A polling client's POST waits as long.
    let poller = world.polling("/lab-root");
    poller.joins("/", "");
    let post = poller.post(&vec!["42[\"message\"]"; 250].join("\x1e"));
    post.is("parked");
    world.advance(3_000);
    post.is("ok");
    // CONNECTs count as well.
    let asker = world.websocket("/socket.io/");
    sends_all(&asker, &vec!["40/nope,".to_owned(); 150]);
    assert!((90..=101).contains(&texts(&asker).len()) && asker.is_held());
    [&peer, &asker].iter().for_each(|peer| peer.hangs_up(false));
    poller.posts("1");
    world.advance(2_000);
    world.assert_empty();
}

#[test]
fn b04_a_body_of_the_smallest_packets_is_taken_a_few_a_turn_and_neighbours_do_not_wait() {
    let world = world(1);
    let (poller, neighbour) = (world.polling("/lab-root"), world.websocket("/lab-root"));
    poller.joins("/", "");
    neighbour.joins("/", "");
    neighbour.takes_all();
    // As many as a client can make of the largest body.
    let body = vec!["42[1]"; 1_000_000 / 6].join("\x1e");
    let taken = || world.sum(|shard| shard.stats.packets_in) as usize;
    let before = taken();
    let mut post = None;
    world.in_one_turn(|| {
        post = Some(poller.post(&body));
        assert_eq!(taken() - before, PACKETS_PER_TURN_MAX);
        neighbour.sends("42[\"message\",1]");
    });
    neighbour.gets("42[\"message-back\",1]");
    post.take().unwrap().is("ok");
    assert_eq!(taken() - before, 1_000_000 / 6 + 1);
    // A second POST while the first is being taken: as any that overlap.
    world.in_one_turn(|| {
        let (first, second) = (poller.post(&body), poller.post("42[1]"));
        first.is("parked");
        second.is("parked");
        post = Some(first);
    });
    post.unwrap().is("400");
    poller.get().is("400 Session ID unknown");
    neighbour.hangs_up(false);
    world.assert_empty();
}
