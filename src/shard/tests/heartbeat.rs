//! PROTOCOL 6, the connect timeout of PROTOCOL 11 and the drain of DESIGN 4.15: everything that happens by itself.

use super::{apps, fleet, world};
use crate::base::limit::{DRAIN_NOTICE_MS, HEARING_GRACE_MS};
use crate::shard::testing::fleet::Fleet;
use crate::shard::testing::socket::Frame;
use crate::shard::testing::{Peer, Poller, Setup, World};
use crate::wire::frame::{Opcode, write_masked};

/// 0.5 Mbit/s.
const SLOW_LINE_BYTES_PER_S: usize = 62_500;
const PICTURE_BYTES: usize = 8 << 20;

/// Default pings, and messages of 16 MiB.
fn pictures() -> World {
    let mut setup = Setup::default();
    setup.engine.max_payload_bytes = 16 << 20;
    World::with(setup, apps)
}

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
    // Silence is noticed in its time; what came before the ping does not count.
    world.advance(24_999);
    peer.sends("4x");
    peer.gets("4x");
    world.advance(1);
    peer.gets("2");
    assert_eq!(world.deadline(), Some(20_000));
    world.advance(19_999);
    peer.gets_nothing();
    world.advance(1);
    peer.gets_close(None);
    world.advance(5_000);
    world.assert_empty();
}

#[test]
fn pongs_are_told_where_they_are_asked_for_and_a_departure_says_how_long_it_was_silent() {
    for shards in [1, 2] {
        let (log, told) = std::sync::mpsc::channel();
        let world = World::new(shards, move || vec![("/fleet", Box::new(Fleet::hearing(log.clone())))]);
        let peer = fleet(&world);
        world.advance(25_000);
        peer.gets("2");
        world.advance(3_000);
        peer.sends("3");
        world.advance(25_000);
        peer.gets("2");
        world.advance(20_000);
        peer.gets_close(None);
        let told: Vec<(&str, String)> = told.try_iter().map(|(what, _, detail)| (what, detail)).collect();
        assert_eq!(told.iter().filter(|(what, _)| *what == "heard").count(), 1, "{told:?}");
        let silent = told.iter().find(|(what, _)| *what == "silent").expect("it has gone");
        assert!(silent.1.parse::<u64>().unwrap().abs_diff(45_000) <= 128, "{told:?}");
    }
}

#[test]
fn whatever_arrives_while_a_ping_is_out_is_its_pong() {
    let pieces: [&dyn Fn(&Peer); 6] = [
        &|peer| peer.sends("3"),
        &|peer| peer.sends("4x"),
        &|peer| peer.sends_binary(b"x"),
        &|peer| peer.sends_frame(Opcode::Ping, true, b"x"),
        &|peer| peer.sends_frame(Opcode::Text, false, b"4x"),
        &|peer| peer.sends_bytes(&mut [0x81]),
    ];
    for (index, arrives) in pieces.into_iter().enumerate() {
        let world = world(1);
        let peer = world.websocket("/engine.io/");
        world.advance(44_999);
        arrives(&peer);
        peer.takes_all();
        assert_eq!(world.deadline(), Some(25_000), "{index}");
        world.advance(25_000);
        peer.gets("2");
        world.advance(20_000);
        peer.gets_close(None);
    }
    let requests: [&dyn Fn(&Poller); 4] =
        [&|poller| drop(poller.get()), &|poller| drop(poller.post_opened(true)), &Poller::sends_a_piece, &|poller| {
            poller.upgrades().unwrap().sends("2probe")
        }];
    for (index, arrives) in requests.into_iter().enumerate() {
        let world = world(1);
        let poller = world.polling("/engine.io/");
        world.advance(44_999);
        arrives(&poller);
        world.advance(1);
        assert_eq!(world.look(0, |shard| shard.peer_count()), 1, "{index}");
        world.advance(24_999 + 20_000);
        assert_eq!(world.look(0, |shard| shard.peer_count()), 0, "{index}");
    }
}

#[test]
fn a_client_that_talks_is_not_closed_while_its_pong_is_late() {
    let mut setup = Setup::default();
    (setup.engine.ping_interval_ms, setup.engine.ping_timeout_ms) = (500, 500);
    let world = World::with(setup, apps);
    let peer = world.websocket("/engine.io/");
    world.advance(500);
    peer.gets("2");
    world.advance(400);
    for _ in 0..8 {
        peer.sends("4event");
        peer.gets("4event");
        world.advance(50);
    }
    peer.sends("3");
    world.advance(500);
    peer.gets("2");
    world.advance(499);
    peer.gets_nothing();
    world.advance(1);
    peer.gets_close(None);
}

/// 134 seconds in which the client can say nothing else, and answers no ping.
#[test]
fn a_slow_line_brings_a_large_picture() {
    let world = pictures();
    let peer = world.websocket("/engine.io/");
    let mut bytes = Vec::new();
    write_masked(&mut bytes, Opcode::Binary, true, &vec![7; PICTURE_BYTES], [1, 2, 3, 4]);
    for second in bytes.chunks_mut(SLOW_LINE_BYTES_PER_S) {
        world.advance(1_000);
        peer.sends_bytes(second);
    }
    let frames = peer.takes_all();
    assert!(matches!(frames.last(), Some(Frame::Binary(picture)) if picture.len() == PICTURE_BYTES));
    assert!(frames.len() > 4, "pings came in between");
    // A picture of which nothing more comes is silence.
    peer.sends_frame(Opcode::Text, true, b"3");
    peer.sends_frame(Opcode::Binary, false, b"front");
    world.advance(44_999);
    assert!(!peer.takes_all().iter().any(|frame| matches!(frame, Frame::Close(_))));
    world.advance(1);
    peer.gets_close(None);
}

#[test]
fn a_slow_line_takes_a_large_picture() {
    let world = pictures();
    let peer = world.websocket("/engine.io/");
    peer.reads_only(0);
    let mut bytes = Vec::new();
    write_masked(&mut bytes, Opcode::Binary, true, &vec![7; PICTURE_BYTES], [1, 2, 3, 4]);
    peer.sends_bytes(&mut bytes);
    for _ in 0..PICTURE_BYTES / SLOW_LINE_BYTES_PER_S {
        world.advance(1_000);
        peer.reads_only(SLOW_LINE_BYTES_PER_S);
    }
    peer.reads_on();
    peer.gets_binary(&vec![7; PICTURE_BYTES]);
    peer.gets("2");
    // The ping has only just gone out: from here its pong has the whole timeout.
    world.advance(19_999);
    peer.gets_nothing();
    world.advance(1);
    peer.gets_close(None);
}

#[test]
fn a_reader_that_has_stopped_is_judged_by_the_stall_and_not_by_its_pong() {
    for (stall, waited, slow) in [(10_000, 25_000 + 10_000, 1), (60_000, 25_000 + 20_000, 0)] {
        let mut setup = Setup::default();
        setup.limits.outbox_stall_ms = stall;
        let world = World::with(setup, apps);
        let (sender, peer) = (fleet(&world), fleet(&world));
        sender.answers_pings();
        world.advance(24_000);
        peer.reads_only(0);
        sender.sends("42[\"to\",{\"alone\":1},\"x\"]");
        world.advance(1_000);
        peer.reads_only(1);
        world.advance(waited - 25_000 - 1);
        assert_eq!(world.look(0, |shard| shard.peer_count()), 2, "{stall}");
        world.advance(1);
        assert_eq!(world.look(0, |shard| shard.peer_count()), 1, "{stall}");
        assert_eq!(world.sum(|shard| shard.stats.slow_consumers), slow, "{stall}");
    }
}

#[test]
fn a_slow_line_brings_and_takes_a_large_picture_by_polling_too() {
    let world = pictures();
    let poller = world.polling("/engine.io/");
    let post = poller.post_opened(true);
    for _ in 0..134 {
        world.advance(1_000);
        poller.sends_a_piece();
    }
    let picture = format!("4{}", "x".repeat(PICTURE_BYTES));
    poller.post_body(&post, crate::shard::io::Posted::Body(picture.clone().into()));
    post.is("ok");
    // Pings and the echo; the answer takes its time, and nothing else is asked for meanwhile.
    assert!(poller.get().says().ends_with(&picture));
    for _ in 0..134 {
        world.advance(1_000);
        poller.takes_a_piece();
    }
    world.advance(19_999);
    assert_eq!(world.look(0, |shard| shard.peer_count()), 1);
    world.advance(1);
    assert_eq!(world.look(0, |shard| shard.peer_count()), 0, "then it is silent");
}

#[test]
fn f14_nobody_is_declared_dead_before_what_lies_in_the_sockets_is_read() {
    let world = world(1);
    let clients: Vec<Peer> = (0..400).map(|_| world.websocket("/engine.io/")).collect();
    let poller = world.polling("/engine.io/");
    world.advance(25_000);
    world.falls_behind();
    world.advance(20_000 + HEARING_GRACE_MS / 2);
    assert_eq!(world.look(0, |shard| shard.peer_count()), 401, "nobody has been heard of");
    world.catches_up();
    let (alive, silent) = clients.split_at(399);
    alive.iter().for_each(|peer| peer.sends("3"));
    poller.gets("2");
    world.advance(HEARING_GRACE_MS / 2 - 1);
    assert_eq!(world.look(0, |shard| shard.peer_count()), 401);
    world.advance(1);
    assert_eq!(world.look(0, |shard| shard.peer_count()), 400, "who is silent is noticed one grace later");
    assert_eq!(silent[0].takes_all(), [Frame::Text("2".to_owned()), Frame::Close(None)]);
    world.advance(25_000);
    assert!(alive.iter().all(|peer| peer.takes_all().len() == 2));
}

/// A list that takes a while to be read through is no reason to wait for ever.
#[test]
fn f14_who_is_silent_is_noticed_while_the_process_is_always_a_little_behind() {
    let world = world(1);
    let peer = world.websocket("/engine.io/");
    world.advance(25_000);
    peer.gets("2");
    for _ in 0..2_000 {
        world.falls_behind();
        world.advance(10);
    }
    peer.gets_nothing();
    for _ in 0..HEARING_GRACE_MS / 10 {
        world.falls_behind();
        world.advance(10);
    }
    peer.gets_close(None);
}

#[test]
fn f14_what_a_packet_would_have_met_waits_while_the_process_is_late() {
    let world = world(1);
    let (peer, poller) = (world.websocket("/lab-root"), world.polling("/engine.io/"));
    let probe = poller.upgrades().unwrap();
    world.falls_behind();
    world.advance(20_000);
    world.catches_up();
    peer.joins("/", "");
    probe.sends("5");
    world.advance(HEARING_GRACE_MS);
    assert!(!peer.takes_all().iter().chain(&probe.takes_all()).any(|frame| matches!(frame, Frame::Close(_))));
    let late = world.websocket("/lab-root");
    world.falls_behind();
    world.advance(12_000);
    late.gets_nothing();
    world.catches_up();
    world.advance(HEARING_GRACE_MS);
    late.gets_close(None);
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
    poller.gets("2");
    // The GET that took the ping is a sign of life; what follows is silence.
    let get = poller.get();
    world.advance(25_000);
    get.is("200 2");
    world.advance(20_000);
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
    // A client that comes late is told at once.
    let late = world.websocket("/lab-root");
    late.gets_close(Some(1001));
    world.advance(5_000);
    assert!(world.is_drained());
    away.gets("6\x1e1");
    world.assert_empty();
}

#[test]
fn f17_few_clients_are_not_kept_waiting_for_a_long_window() {
    let world = world(1);
    let peers: Vec<_> = (0..3).map(|_| world.websocket("/lab-root")).collect();
    peers.iter().for_each(|peer| drop((peer.joins("/", ""), peer.gets("42*"))));
    world.drains(600_000);
    world.advance(DRAIN_NOTICE_MS);
    let told = || {
        let count = peers.iter().filter(|peer| peer.next().is_some()).count();
        world.advance(1_000);
        count
    };
    assert_eq!([told(), told(), told()], [1, 1, 1]);
    world.advance(5_000);
    assert!(world.is_drained());
}

#[test]
fn f17_a_drain_never_says_41() {
    let world = world(1);
    let peer = world.websocket("/lab-root");
    peer.joins("/", "");
    peer.gets("42*");
    world.drains(0);
    world.advance(DRAIN_NOTICE_MS);
    peer.gets_close(Some(1001));
}
