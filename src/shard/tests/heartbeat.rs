//! Protocol 2.6, and the time limits of protocol 1.2 and design 4.16: everything that happens by itself.

use super::{apps, world};
use crate::shard::testing::{Setup, World};

#[test]
fn pings_come_at_the_interval_and_pongs_restart_it() {
    let world = world(1);
    let peer = world.websocket("/engine.io/");
    for _ in 0..3 {
        assert_eq!(world.deadline(), Some(25_000));
        world.advance(24_999);
        peer.gets_nothing();
        world.advance(1);
        peer.gets("2");
        world.advance(19_999);
        peer.sends("3");
    }
    // Traffic is no pong.
    world.advance(25_000);
    peer.gets("2");
    assert_eq!(world.deadline(), Some(20_000));
    peer.sends("4x");
    peer.gets("4x");
    world.advance(19_999);
    peer.gets_nothing();
    world.advance(1);
    peer.gets_close(None);
    world.advance(5_000);
    world.assert_empty();
}

#[test]
fn b69_unsolicited_pongs_restart_the_interval_and_arm_no_second_timer() {
    let world = world(1);
    let peer = world.websocket("/engine.io/");
    for _ in 0..1_000 {
        world.advance(1);
        peer.sends("3");
    }
    assert_eq!(world.deadline(), Some(25_000));
    assert_eq!(world.sum(|shard| shard.wheel.len() as u64), 1);
}

#[test]
fn polling_clients_are_pinged_too() {
    let world = world(1);
    let poller = world.polling("/engine.io/");
    let get = poller.get();
    world.advance(25_000);
    get.is("200 2");
    poller.posts("3");
    world.advance(25_000);
    let get = {
        poller.gets("2");
        poller.get()
    };
    world.advance(20_000);
    get.is("200 1");
    poller.get().is("400 Session ID unknown");
    world.assert_empty();
}

#[test]
fn the_heartbeat_survives_an_upgrade() {
    let world = world(1);
    let poller = world.polling("/engine.io/");
    world.advance(25_000);
    // The ping waits for polling; it goes out on the WebSocket, and its pong may never come.
    let peer = poller.upgrades().unwrap();
    peer.sends("5");
    peer.gets("2");
    world.advance(25_000);
    peer.gets("2");
    world.advance(20_000);
    peer.gets_close(None);
}

#[test]
fn t20_intervals_are_jittered_unless_they_are_to_be_exact() {
    let mut setup = Setup::default();
    setup.engine.ping_jitter = true;
    let world = World::with(setup, apps);
    let mut due: Vec<u64> = (0..50)
        .map(|_| {
            let peer = world.websocket("/engine.io/");
            let due = world.deadline().unwrap();
            peer.hangs_up(false);
            due
        })
        .collect();
    assert!(due.iter().all(|due| (22_500..=25_000).contains(due)), "{due:?}");
    due.sort_unstable();
    due.dedup();
    assert!(due.len() > 40);
}

#[test]
fn t10_a_client_that_joins_nothing_is_closed() {
    let world = world(1);
    let (peer, poller, joined) =
        (world.websocket("/lab-root"), world.polling("/lab-root"), world.websocket("/lab-root"));
    joined.joins("/", "");
    assert_eq!(world.deadline(), Some(10_000));
    world.advance(9_999);
    // A refused CONNECT is no join.
    peer.sends("40/nope,");
    peer.gets("44/nope,*");
    let get = poller.get();
    world.advance(1);
    peer.gets_close(None);
    get.is("200 1");
    joined.gets("42*");
    joined.gets_nothing();
    // Having joined once is enough.
    joined.sends("41");
    world.advance(14_000);
    joined.gets_nothing();
    assert_eq!(world.sum(|shard| shard.wheel.len() as u64), 1);
}

#[test]
fn f17_a_drain_is_spread_and_tells_each_transport_in_its_way() {
    let world = world(2);
    let peers: Vec<_> = (0..8).map(|_| world.websocket("/lab-root")).collect();
    peers.iter().for_each(|peer| drop(peer.joins("/", "")));
    peers.iter().for_each(|peer| drop(peer.gets("42*")));
    let (parked, away, echo) = (world.polling("/lab-root"), world.polling("/lab-root"), world.websocket("/echo"));
    let get = parked.get();
    let probe = away.upgrades().unwrap();
    world.drains(1_000);
    echo.gets_close(Some(1001));
    echo.sends_close(Some(1001));
    let closed = || peers.iter().filter(|peer| peer.next().is_some()).count();
    world.advance(0);
    let mut at_once = Vec::new();
    for _ in 0..10 {
        at_once.push(closed());
        world.advance(100);
    }
    assert_eq!(at_once.iter().sum::<usize>(), 8);
    assert!(at_once.iter().all(|count| *count <= 2), "{at_once:?}");
    get.is("200 1");
    probe.gets_close(None);
    assert!(!world.is_drained());
    // Who comes late is told at once.
    let late = world.websocket("/lab-root");
    late.gets_close(Some(1001));
    world.advance(5_000);
    assert!(world.is_drained());
    away.gets("6\x1e1");
    world.assert_empty();
}

#[test]
fn f17_a_drain_never_says_41() {
    let world = world(1);
    let peer = world.websocket("/lab-root");
    peer.joins("/", "");
    peer.gets("42*");
    world.drains(0);
    world.advance(0);
    peer.gets_close(Some(1001));
}
