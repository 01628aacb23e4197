//! PROTOCOL 3: HTTP long-polling, row by row.

use crate::base::limit::packets_max;
use crate::base::limit::{DRAIN_NOTICE_MS, POLLING_BURST_FACTOR};
use bytes::Bytes;

use super::world;
use crate::base::rng::Rng;
use crate::shard::io::Posted;
use crate::shard::testing::{Poller, Setup, World};

const UNKNOWN: &str = "400 Session ID unknown";

/// A client on `/lab-root` that has joined and whose queue is empty.
fn joined(world: &World) -> Poller {
    let poller = world.polling("/lab-root");
    poller.joins("/", "");
    poller
}

#[test]
fn a_handshake_is_the_body_of_the_first_get() {
    for shards in [1, 2, 4] {
        let world = world(shards);
        let poller = world.polling("/lab-root");
        let sid = poller.sid;
        assert_eq!(
            poller.opened,
            format!(
                "200 0{{\"sid\":\"{sid}\",\"upgrades\":[\"websocket\"],\"pingInterval\":25000,\"pingTimeout\":20000,\"maxPayload\":1000000}}"
            )
        );
        assert_eq!(world.look(0, |shard| shard.config.placement.of_sid(&sid)).0, 0, "the sid names its shard");
    }
}

#[test]
fn a_get_waits_for_a_packet_and_takes_all_that_wait() {
    let world = world(1);
    let poller = joined(&world);
    let get = poller.get();
    get.is("parked");
    poller.posts("42[\"message\",1]");
    get.is("200 42[\"message-back\",1]");
    poller.posts("42[\"message\",2]\x1e42[\"message\",\"é\u{2028}\"]");
    poller.gets("42[\"message-back\",2]\x1e42[\"message-back\",\"é\u{2028}\"]");
}

#[test]
fn b64_two_emits_while_a_poll_is_parked_are_one_body() {
    let world = world(1);
    let poller = joined(&world);
    let get = poller.get();
    poller.posts("42[\"message\",1]\x1e42[\"message\",2]");
    get.is("200 42[\"message-back\",1]\x1e42[\"message-back\",2]");
}

#[test]
fn binary_is_base64_between_the_packets() {
    let world = world(1);
    let poller = joined(&world);
    poller.posts("452-[\"message\",{\"_placeholder\":true,\"num\":0},{\"_placeholder\":true,\"num\":1}]\x1ebAQID\x1eb");
    poller.gets(
        "452-[\"message-back\",{\"_placeholder\":true,\"num\":0},{\"_placeholder\":true,\"num\":1}]\x1ebAQID\x1eb",
    );
}

#[test]
fn a_second_get_ends_the_session() {
    let world = world(1);
    let poller = joined(&world);
    let (first, second) = (poller.get(), poller.get());
    first.is("200 1");
    second.is("400");
    poller.get().is(UNKNOWN);
    world.assert_empty();
}

#[test]
fn a_second_post_ends_the_session() {
    let world = world(1);
    let poller = joined(&world);
    let get = poller.get();
    let (first, second) = (poller.post_opened(true), poller.post_opened(true));
    first.is("400");
    second.is("400");
    get.is("200 1");
    poller.post("40").is(UNKNOWN);
    world.assert_empty();
}

#[test]
fn an_aborted_request_ends_the_session() {
    for get in [true, false] {
        let world = world(1);
        let poller = joined(&world);
        let request = if get { poller.get() } else { poller.post_opened(true) };
        poller.aborts(&request);
        poller.get().is(UNKNOWN);
        world.assert_empty();
    }
}

#[test]
fn an_aborted_request_that_was_answered_ends_nothing() {
    let world = world(1);
    let poller = joined(&world);
    let post = poller.post("42[\"message\",1]");
    poller.aborts(&post);
    poller.gets("42[\"message-back\",1]");
}

#[test]
fn b08_a_foreign_content_type_is_answered_and_ends_the_session() {
    let world = world(1);
    let poller = joined(&world);
    let get = poller.get();
    poller.post_opened(false).is("400");
    get.is("200 1");
    poller.get().is(UNKNOWN);
    world.assert_empty();
}

#[test]
fn a_body_above_the_limit_is_413_and_the_session_stays() {
    let world = world(1);
    let poller = joined(&world);
    let post = poller.post_opened(true);
    poller.post_body(&post, Posted::TooLarge);
    post.is("413");
    poller.posts("42[\"message\",1]");
    poller.gets("42[\"message-back\",1]");
}

/// What a body does: the POST's answer, what a parked GET reads, and the next GET after that.
#[test]
fn bodies_that_end_a_session() {
    for (body, post, parked, next) in [
        ("abc", "400", "200 1", UNKNOWN),
        ("", "400", "200 1", UNKNOWN),
        ("\x1e\x1e\x1e", "400", "200 1", UNKNOWN),
        ("b!!!", "400", "200 1", UNKNOWN),
        ("2", "ok", "200 1", UNKNOWN),
        ("2probe", "ok", "200 1", UNKNOWN),
        ("1", "ok", "200 6", UNKNOWN),
        ("1\x1e42[\"message\",1]", "ok", "200 6", UNKNOWN),
        ("4", "ok", "200 1", UNKNOWN),
        ("42[\"connect\"]", "ok", "200 1", UNKNOWN),
        ("4x", "ok", "200 1", UNKNOWN),
        // The answers to the packets before come first.
        ("40/nope,\x1eabc", "400", "200 44/nope,{\"message\":\"Invalid namespace\"}", UNKNOWN),
        ("40/nope,\x1e4x", "ok", "200 44/nope,{\"message\":\"Invalid namespace\"}", "200 6\x1e1"),
        ("40/nope,\x1e2", "ok", "200 44/nope,{\"message\":\"Invalid namespace\"}", UNKNOWN),
    ] {
        let world = world(1);
        let poller = joined(&world);
        let get = poller.get();
        poller.post(body).is(post);
        assert_eq!((get.says().as_str(), body), (parked, body));
        poller.get().is(next);
        poller.get().is(UNKNOWN);
        world.assert_empty();
    }
}

#[test]
fn a_body_that_is_not_utf8_ends_the_session() {
    let world = world(1);
    let poller = joined(&world);
    let post = poller.post_opened(true);
    poller.post_body(&post, Posted::Body(Bytes::from_static(b"4\xff")));
    post.is("400");
    poller.get().is(UNKNOWN);
    world.assert_empty();
}

#[test]
fn packets_that_mean_nothing_are_ignored() {
    let world = world(1);
    let poller = joined(&world);
    for body in ["0", "5", "6", "3", "0\x1e5\x1e6"] {
        poller.posts(body);
    }
    poller.get().is("parked");
}

#[test]
fn b04_b27_packets_of_a_body_are_bounded() {
    let world = world(1);
    let poller = joined(&world);
    let max = packets_max(1_000_000);
    poller.posts(&vec!["3"; max].join("\x1e"));
    poller.post(&vec!["3"; max + 1].join("\x1e")).is("400");
    poller.get().is(UNKNOWN);
}

#[test]
fn other_methods_are_500() {
    let world = world(1);
    let poller = joined(&world);
    poller.puts().is("500");
    poller.posts("42[\"message\",1]");
    poller.gets("42[\"message-back\",1]");
}

#[test]
fn t08_an_unknown_sid_is_refused_on_every_way() {
    let world = world(2);
    let poller = world.polling("/lab-root");
    poller.posts("1");
    for request in [poller.get(), poller.post_opened(true), poller.post_opened(false), poller.puts()] {
        request.is(UNKNOWN);
    }
    assert_eq!(poller.upgrades().err().as_deref(), Some(UNKNOWN));
    world.assert_empty();
}

/// The answer to a guess is always the same, and no guess touches a session.
#[test]
fn t07_guesses_of_a_sid_find_nobody() {
    let world = world(1);
    let sessions: Vec<Poller> = (0..500).map(|_| world.polling("/engine.io/")).collect();
    let mut guess = world.polling("/engine.io/");
    let mut rng = Rng::from_seed([77; 32]);
    for _ in 0..100_000 {
        guess.sid = rng.sid();
        guess.get().is(UNKNOWN);
    }
    // Neighbours of a sid are as unknown as others.
    for session in &sessions {
        guess.sid = session.sid;
        let last = guess.sid.0.last_mut().expect("a sid has characters");
        *last = if *last == b'A' { b'B' } else { b'A' };
        guess.get().is(UNKNOWN);
    }
    assert_eq!(world.look(0, |shard| shard.peer_count()), 501);
    sessions[0].posts("4x");
    sessions[0].gets("4x");
}

#[test]
fn a_session_closed_by_the_server_is_told_on_the_next_get() {
    let world = world(1);
    let poller = joined(&world);
    poller.posts("4x");
    // POSTs meanwhile are taken and dropped.
    poller.posts("40\x1e2\x1e1\x1eabc");
    poller.gets("6\x1e1");
    poller.get().is(UNKNOWN);
    world.assert_empty();
}

#[test]
fn buffered_packets_are_delivered_before_the_close() {
    let world = world(1);
    let poller = joined(&world);
    poller.posts("42[\"message\",1]");
    poller.posts("4x");
    poller.gets("42[\"message-back\",1]");
    poller.gets("6\x1e1");
    poller.get().is(UNKNOWN);
    world.assert_empty();
}

#[test]
fn a_closed_session_is_kept_for_thirty_seconds() {
    let world = world(1);
    let poller = joined(&world);
    poller.posts("4x");
    assert_eq!(world.deadline(), Some(30_000));
    world.advance(29_999);
    poller.posts("x");
    world.advance(1);
    poller.get().is(UNKNOWN);
    world.assert_empty();
}

#[test]
fn a_post_in_flight_when_the_session_ends_is_answered() {
    let world = world(1);
    let poller = joined(&world);
    let post = poller.post_opened(true);
    let get = poller.get();
    world.drains(0);
    world.advance(DRAIN_NOTICE_MS);
    get.is("200 1");
    poller.post_body(&post, Posted::Body(Bytes::from_static(b"40")));
    post.is("400");
    world.assert_empty();
}

#[test]
fn requests_of_a_closing_session_may_fail_as_others_do() {
    let world = world(1);
    let poller = joined(&world);
    poller.posts("4x");
    poller.post_opened(false).is("400");
    poller.get().is(UNKNOWN);
    world.assert_empty();
}

#[test]
fn jsonp_wraps_every_answer_and_reads_forms() {
    let world = world(1);
    let poller = world.polling_with("/lab-root", |hello| hello.jsonp = Some("7".into()));
    assert!(poller.opened.starts_with("200 ___eio[7](\"0{\\\"sid\\\":"), "{}", poller.opened);
    poller.posts("d=40");
    poller.gets("___eio[7](\"40{\\\"sid\\\":\\\"*\\\"}\\u001e42[\\\"auth\\\",{}]\");");
    poller.posts("d=42%5B%22message%22%2C%22a%5C%5Cnb%22%5D");
    poller.gets("___eio[7](\"42[\\\"message-back\\\",\\\"a\\\\nb\\\"]\");");
    let get = poller.get();
    poller.posts("d=1");
    get.is("200 ___eio[7](\"6\");");
    world.assert_empty();
}

#[test]
fn jsonp_wraps_what_is_said_at_the_end() {
    let world = world(1);
    let wrapped = |world: &World| world.polling_with("/lab-root", |hello| hello.jsonp = Some("".into()));
    let poller = wrapped(&world);
    poller.posts("d=4x");
    poller.gets("___eio[](\"6\\u001e1\");");
    let poller = wrapped(&world);
    let first = poller.get();
    poller.get().is("400");
    first.is("200 ___eio[](\"1\");");
    world.assert_empty();
}

#[test]
fn an_engine_echo_speaks_no_socket_io() {
    let world = world(1);
    let poller = world.polling("/engine.io/");
    poller.posts("4hello\x1ebAQID\x1e40");
    poller.gets("4hello\x1ebAQID\x1e40");
    world.advance(24_999);
    poller.get().is("parked");
}

#[test]
fn the_queue_of_a_client_that_does_not_poll_is_bounded() {
    let mut setup = Setup::default();
    setup.limits.outbox_bytes_max = 16;
    assert_eq!(setup.limits.outbox_bytes_max * POLLING_BURST_FACTOR, 1_024);
    let world = World::with(setup, super::apps);
    let poller = joined(&world);
    let event = format!("42[\"message\",\"{}\"]", "x".repeat(500));
    for _ in 0..2 {
        poller.posts(&event);
    }
    assert!(world.look(0, |shard| shard.transports.peers.iter().all(|(_, peer)| !peer.session.is_closing())));
    poller.posts(&event);
    assert_eq!(world.sum(|shard| shard.stats.slow_consumers), 1);
    poller.gets("42[\"message-back\",*");
    poller.gets("6\x1e1");
    world.assert_empty();
}

#[test]
fn b42_refusals_count_as_bytes_too() {
    let mut setup = Setup::default();
    setup.limits.outbox_bytes_max = 16;
    let world = World::with(setup, super::apps);
    let poller = joined(&world);
    for _ in 0..100 {
        poller.post("40/nope,");
    }
    assert!(poller.get().says().len() < 1_200);
    poller.gets("6\x1e1");
}

#[test]
fn sessions_end_although_a_parked_get_has_just_been_given_something() {
    let world = world(1);
    let poller = joined(&world);
    let (get, mut late) = (poller.get(), None);
    world.in_one_turn(|| {
        poller.post("40/nope,");
        poller.post_opened(true);
        late = Some(poller.post_opened(true));
    });
    late.unwrap().is("400");
    get.is("200 44/nope,*");
    poller.get().is(UNKNOWN);
    world.assert_empty();
}
