//! Two servers in turns, on two floors in this process: a test of the harness, not of speed.

use std::net::SocketAddr;

use loadtest::compare::{self, Compare};
use loadtest::floor::{self, Mode};

fn floor() -> SocketAddr {
    let any = "127.0.0.1:0".parse().expect("an address");
    let server = floor::Server::bind(any, Mode::Fanout).expect("a port is free");
    let addr = server.local_addr().expect("it is bound");
    std::thread::spawn(move || server.run());
    addr
}

#[test]
fn options_that_take_several_values_reach_both_sides() {
    let words = ["compare", "fanout", "--a", "http://127.0.0.1:1", "--b", "http://127.0.0.1:2", "--room-sizes", "1,5"];
    let with = ["--header", "A: b", "--header", "C: d", "--b-with", "--header=E:f --warm-up-ms 7"];
    let matches = compare::command().get_matches_from(words.into_iter().chain(with));
    let [a, b] = Compare::from(&matches).expect("the arguments are valid").sides;
    assert_eq!(
        (&a.rooms.room_sizes, &a.headers, a.warm_up_ms),
        (&vec![1, 5], &vec!["A: b".into(), "C: d".into()], 1_000)
    );
    assert_eq!((&b.rooms.room_sizes, b.headers.len(), b.warm_up_ms), (&vec![1, 5], 3, 7));
}

#[test]
fn two_servers_take_turns() {
    let (a, b) = (format!("http://{}", floor()), format!("http://{}", floor()));
    let words = ["compare", "fanout", "--a", &a, "--b", &b, "--pairs", "2", "--clients", "5", "--seconds", "1"];
    let with = ["--warm-up-ms", "50", "--b-with", "--clients 7 --size 100"];
    let matches = compare::command().get_matches_from(words.into_iter().chain(with));
    let asked = Compare::from(&matches).expect("the arguments are valid");
    assert_eq!(
        asked.sides.each_ref().map(|side| (side.clients, side.size, side.warm_up_ms)),
        [(5, 64, 50), (7, 100, 50)]
    );
    let turns = std::cell::RefCell::new(Vec::new());
    let comparison = asked.run(|turn| turns.borrow_mut().push(turn.to_owned())).expect("both are there");
    assert_eq!(comparison.failures(), [""; 0]);
    let expected = [("1", "A", &a), ("1", "B", &b), ("2", "A", &a), ("2", "B", &b)];
    assert_eq!(*turns.borrow(), expected.map(|(pair, side, url)| format!("pair {pair} of 2: {side}, {url}")));
    let text = comparison.to_text();
    for label in ["server CPU per unit, µs", "units per second, /s", "latency, p50, ms", "latency, p99, ms"] {
        assert!(text.contains(label), "{text}");
    }
    let json: serde_json::Value = serde_json::from_str(&comparison.to_json()).expect("it is JSON");
    let ratio = json["figures"]["rate_per_s"]["a_to_b"]["median"].as_f64();
    assert!(ratio.is_some_and(|ratio| ratio > 0.0), "{json:#}");
    assert_eq!(["a", "b"].map(|side| json["runs"][side].as_array().map(Vec::len)), [Some(2), Some(2)]);
}
