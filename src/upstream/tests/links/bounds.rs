//! Peers and homes that are too slow, too fast, silent, or too many.

use std::io::Read as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::base::limit::{LINK_IN_MESSAGES_MAX, LINK_MESSAGE_BYTES_MAX, LINK_OUT_BYTES_MAX, LINK_OUT_MESSAGES_MAX};
use crate::upstream::places::Bounds;

/// A peer that says the same for ever, and how often it could.
fn flood(bytes: usize) -> (SocketAddr, Arc<AtomicUsize>) {
    let said = Arc::<AtomicUsize>::default();
    let count = said.clone();
    let address = speaker(move |mut socket| {
        while socket.send(Message::text("x".repeat(bytes))).is_ok() {
            count.fetch_add(1, Ordering::SeqCst);
        }
    });
    (address, said)
}

/// A peer that agrees, and reads nothing for as long as we are there.
fn deaf() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let sockets: Vec<_> = listener.incoming().flatten().map(accept).collect();
        drop(sockets);
    });
    address
}

#[test]
fn a_peer_that_floods_is_not_read_while_its_home_has_enough_and_nothing_is_lost() {
    for (bytes, most) in [(1, LINK_IN_MESSAGES_MAX), (5_000, 21)] {
        let (address, said) = flood(bytes);
        let upstream = upstream();
        let terms = Terms { message_bytes_max: 100_000 + bytes, ping_interval_ms: 0, ..Terms::default() };
        let link = open(&upstream, 1, WebSocketDial { terms, ..ws(address) });
        link.opens();
        let mut waiting = Vec::new();
        while let Ok(heard) = link.heard.recv_timeout(Duration::from_secs(2)) {
            waiting.push(heard);
            assert!(waiting.len() <= most, "not more than {most} of {bytes} bytes");
        }
        assert_eq!(waiting.len(), most, "of {bytes} bytes");
        let stopped = said.load(Ordering::SeqCst);
        // Others go on meanwhile.
        let other = open(&upstream, 2, ws(speaker(echo)));
        other.opens();
        other.tell("x");
        assert_eq!(other.message(), text("x"));
        // The home takes what waits, and the peer is read again.
        drop(waiting);
        while said.load(Ordering::SeqCst) < stopped + 2 * most {
            assert_eq!(link.message().len(), bytes);
        }
    }
}

#[test]
fn a_flood_of_pings_is_answered_as_far_as_it_is_read_and_holds_nobody_up() {
    let address = speaker(|mut socket| {
        let stream = socket.get_mut();
        // Never reads: of the answers the last one waits, and no more.
        while stream.write_all(&b"\x89\x01x".repeat(1_000)).is_ok() {}
    });
    let upstream = upstream();
    let link = open(&upstream, 1, ws(address));
    link.opens();
    let other = open(&upstream, 2, ws(speaker(echo)));
    other.opens();
    for number in 0..20 {
        other.tell(&number.to_string());
        assert_eq!(other.message(), text(&number.to_string()));
    }
    link.close(1_000, "");
    assert_eq!(link.ends(), LinkEnd::Ours);
}

#[test]
fn a_link_that_is_paused_or_held_is_not_read_until_both_are_over() {
    let address = speaker(echo);
    let upstream = upstream();
    let link = open(&upstream, 1, ws(address));
    link.opens();
    // What is read stops at the next message.
    link.order(LinkOrder::Pause);
    link.tell("a");
    link.tell("b");
    let first = link.heard.recv_timeout(Duration::from_millis(200));
    assert!(first.is_err() || link.is_quiet(), "one was on its way at most");
    upstream.flow(&link.name, Flow::Hold);
    upstream.flow(&link.name, Flow::Hold);
    link.order(LinkOrder::Resume);
    upstream.flow(&link.name, Flow::Release);
    link.tell("c");
    assert!(link.is_quiet(), "it is held still");
    upstream.flow(&link.name, Flow::Release);
    let missing = if first.is_ok() { &["b", "c"][..] } else { &["a", "b", "c"][..] };
    for expected in missing {
        assert_eq!(link.message(), text(expected));
    }
    upstream.flow(&link.name, Flow::Cut);
    assert_eq!(link.ends(), LinkEnd::Flooded);
}

#[test]
fn a_peer_that_never_reads_is_too_slow_when_too_much_waits_for_it() {
    for (bytes, fitting) in
        [(1, LINK_OUT_MESSAGES_MAX), (LINK_MESSAGE_BYTES_MAX, LINK_OUT_BYTES_MAX / LINK_MESSAGE_BYTES_MAX)]
    {
        let upstream = Upstream::bounded(&settings(), Bounds { links: 1, ..Bounds::default() }).unwrap();
        let link = open(&upstream, 1, ws(deaf()));
        link.opens();
        // The kernel takes what it can, and after that nobody.
        let mut told = 0;
        while link.heard.try_recv().is_err() {
            link.tell(&"x".repeat(bytes));
            told += 1;
            assert!(told < 10_000_000);
        }
        assert!(told > fitting, "{told} of {bytes} bytes");
        let figures = figures(&upstream);
        assert_eq!((figures.open, figures.closed[LinkEnd::TooSlow.place()]), (0, 1));
        assert_eq!(figures.last_error.unwrap().1, "too_slow: too much waits for the peer");
        assert!(opens_within(&upstream, 5_000, speaker(echo)), "the connection is cut at once, whatever it waits for");
    }
}

/// Whether there is a place for a link before so long.
fn opens_within(upstream: &Upstream, milliseconds: u64, address: SocketAddr) -> bool {
    let opens = || matches!(open(upstream, 4, ws(address)).next(), LinkEvent::Opened { .. });
    (0..milliseconds / 10).any(|_| {
        let is_open = opens();
        thread::sleep(Duration::from_millis(if is_open { 0 } else { 10 }));
        is_open
    })
}

#[test]
fn a_message_above_all_bounds_is_not_sent() {
    let upstream = upstream();
    let link = open(&upstream, 1, ws(speaker(echo)));
    link.opens();
    link.tell(&"x".repeat(LINK_MESSAGE_BYTES_MAX + 1));
    assert_eq!(link.fails(), FetchFailure::TooLarge);
}

#[test]
fn a_peer_that_answers_no_ping_is_silent_and_one_that_answers_is_not() {
    let terms = Terms { ping_interval_ms: 100, ping_timeout_ms: 300, ..Terms::default() };
    let upstream = upstream();
    let dial = |address| WebSocketDial { terms, ..ws(address) };
    let (alive, dead) = (open(&upstream, 1, dial(speaker(echo))), open(&upstream, 2, dial(deaf())));
    alive.opens();
    dead.opens();
    assert_eq!(dead.ends(), LinkEnd::Silent);
    thread::sleep(Duration::from_millis(1_000));
    alive.tell("still here");
    assert_eq!(alive.message(), text("still here"));
}

#[test]
fn a_peer_that_takes_long_over_a_message_is_not_silent() {
    let address = speaker(|mut socket| {
        let stream = socket.get_mut();
        stream.write_all(&[0x81, 20]).unwrap();
        for _ in 0..20 {
            thread::sleep(Duration::from_millis(50));
            stream.write_all(b"x").unwrap();
        }
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let upstream = upstream();
    let terms = Terms { ping_interval_ms: 150, ping_timeout_ms: 300, ..Terms::default() };
    let link = open(&upstream, 1, WebSocketDial { terms, ..ws(address) });
    link.opens();
    assert_eq!(link.message(), text(&"x".repeat(20)));
}

#[test]
fn a_link_beyond_the_number_or_the_bytes_there_are_is_busy_until_one_has_gone() {
    let address = speaker(echo);
    for bounds in [
        Bounds { links: 2, ..Bounds::default() },
        Bounds { links_bytes: 2 * 3 * Terms::default().message_bytes_max, ..Bounds::default() },
    ] {
        let upstream = Upstream::bounded(&settings(), bounds).unwrap();
        let (first, second) = (open(&upstream, 1, ws(address)), open(&upstream, 2, ws(address)));
        first.opens();
        second.opens();
        assert_eq!(open(&upstream, 3, ws(address)).fails(), FetchFailure::Busy);
        first.close(1_000, "");
        assert_eq!(first.ends(), LinkEnd::Ours);
        // Its connection says farewell first.
        assert!(opens_within(&upstream, 10_000, address));
    }
}
