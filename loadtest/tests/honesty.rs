//! That the figures cannot flatter: stalls are seen by those who had to wait, what is lost is counted, the intervals are
//! the whole, and the exit code says whether a run went well.

#[path = "honesty/servers.rs"]
mod servers;

use std::net::SocketAddr;
use std::process::{Command, Output};
use std::time::Duration;

use loadtest::floor::Mode;
use loadtest::outcome::Outcome;
use loadtest::scenario;
use loadtest::{request, run};
use serde_json::Value;

const STALL: Duration = Duration::from_millis(500);

fn run(scenario: &str, addr: SocketAddr, more: &[&str]) -> Outcome {
    let kind = scenario::find(scenario).expect("it is in the table");
    let url = format!("http://{addr}");
    let mut arguments = vec!["--url", url.as_str(), "--clients", "1", "--seconds", "2", "--warm-up-ms", "100"];
    arguments.extend(more);
    run::run(kind, &request::parse(kind, &arguments).expect("the arguments are valid")).expect("it can be run")
}

/// How many had to wait for longer than a fifth of the stall.
fn waited(outcome: &Outcome) -> u64 {
    outcome.figures.latency.count_between(STALL.as_nanos() as u64 / 5, u64::MAX)
}

#[test]
fn an_open_loop_counts_everybody_who_had_to_wait() {
    let check = |scenario, mode, more: &[&str], expected: std::ops::RangeInclusive<u64>| {
        let addr = servers::stalling(servers::floor(mode), Duration::from_millis(900), STALL);
        let outcome = run(scenario, addr, more);
        let waited = waited(&outcome);
        assert!(expected.contains(&waited), "{scenario} {more:?}: {waited} of {}", outcome.figures.latency.len());
    };
    std::thread::scope(|scope| {
        // 100 a second for half a second, but for those that came in its last tenth.
        scope.spawn(|| check("echo", Mode::Echo, &["--rate", "100"], 35..=60));
        scope.spawn(|| check("fanout", Mode::Fanout, &["--rate", "100"], 35..=60));
        // In a closed loop nobody asks while one waits: what it is blind to, and why there is an open one.
        scope.spawn(|| check("echo", Mode::Echo, &[], 1..=3));
    });
}

/// The stall begins in the measured time and ends after it.
#[test]
fn what_is_on_its_way_at_the_end_counts() {
    let addr = servers::stalling(servers::floor(Mode::Echo), Duration::from_millis(1_900), Duration::from_secs(1));
    let outcome = run("echo", addr, &["--rate", "100"]);
    let waited = waited(&outcome);
    assert!(waited >= 10, "{waited} of {}", outcome.figures.latency.len());
    assert!(outcome.done() + 10 <= outcome.figures.latency.len(), "they are no part of the rate");
    assert_eq!(outcome.figures.count("unanswered"), 0);
}

#[test]
fn intervals_are_the_whole() {
    let outcome = run("echo", servers::floor(Mode::Echo), &["--clients", "20", "--threads", "2"]);
    let counted = outcome.series.intervals().iter().filter(|interval| interval.counts);
    assert_eq!(counted.clone().map(|interval| interval.done).sum::<u64>(), outcome.figures.latency.len());
    let most = counted.clone().filter_map(|interval| interval.latency()).map(|latency| latency.max_ns).max();
    assert_eq!(most, Some(outcome.figures.latency.max()));
    assert!(counted.count() >= 4, "two seconds of half seconds");
    let intervals = outcome.series.intervals();
    assert!(intervals.windows(2).all(|pair| pair[0].to.at == pair[1].from.at), "without gaps");
    assert_eq!(intervals.iter().map(|interval| interval.done).sum::<u64>(), outcome.figures.done);
}

#[test]
fn what_is_lost_doubled_and_swapped_is_counted() {
    let outcome = run("fanout", servers::careless(), &["--rate", "100", "--seconds", "1"]);
    let sent = outcome.figures.count("broadcasts");
    for (what, each) in [("duplicate", 10), ("missing", 10), ("out of order", 10)] {
        let count = outcome.figures.count(what);
        assert!(count > 0 && count.abs_diff(sent / each) <= 1, "{what}: {count} of {sent}");
    }
}

fn loadtest(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_loadtest")).args(arguments).output().expect("it can be started")
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn exit_codes() {
    let url = format!("http://{}", servers::floor(Mode::Echo));
    let short = ["echo", "--url", &url, "--clients", "2", "--seconds", "1", "--warm-up-ms", "50"];
    let check = |arguments: &[&str], code: i32, says: &str| {
        let output = loadtest(arguments);
        let text = said(&output);
        assert_eq!((output.status.code(), text.contains(says)), (Some(code), true), "{arguments:?}: {text}");
    };
    check(&[&short[..], &["--max-p99-ms", "60000", "--min-rate", "1"]].concat(), 0, "round trips per second");
    check(&[&short[..], &["--max-p99-ms", "0.0001"]].concat(), 1, "FAILED:  p99 is");
    check(&[&short[..], &["--min-rate", "1e9"]].concat(), 1, "FAILED:  the rate is");
    check(&["echo", "--url", "http://127.0.0.1:1", "--clients", "1"], 1, "0 of 1 clients joined");
    check(&["echo", "--url", "https://127.0.0.1"], 2, "only http://");
    check(&["echo", "--clients", "0"], 2, "--clients");
    check(&["hold", "--clients", "19001"], 2, "--processes 2");
    check(&["fanout", "--processes", "2"], 2, "fanout has no --processes");
    check(&["fanout", "--clients", "19001"], 2, "19000 clients at most");
    check(&["echo", "--max-p99-ms", "fast"], 2, "--max-p99-ms");
}

#[test]
fn processes_are_one_run_and_files_are_written() {
    let url = format!("http://{}", servers::floor(Mode::Echo));
    let folder = std::env::temp_dir().join(format!("loadtest-processes-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("the temporary directory can be written to");
    let [json, html] = ["out.json", "out.html"].map(|name| folder.join(name).to_string_lossy().into_owned());
    let shape = ["--clients", "21", "--processes", "3", "--threads", "2", "--rate", "300", "--seconds", "2"];
    let output = loadtest(&[&["echo", "--url", &url, "--json", &json, "--report", &html], &shape[..]].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    let read = |path: &str| std::fs::read_to_string(path).expect("it was written");
    let (whole, page): (Value, String) = (serde_json::from_str(&read(&json)).expect("it is JSON"), read(&html));
    std::fs::remove_dir_all(folder).expect("it was made above");
    assert_eq!((&whole["schema_version"], &whole["figures"]["clients_joined"]), (&1.into(), &21.0.into()));
    let rate = whole["figures"]["rate_per_s"].as_f64().expect("it has one");
    assert!((270.0..330.0).contains(&rate), "{rate}");
    let series = whole["series"].as_array().expect("it has one");
    let done: u64 =
        series.iter().filter(|part| part["phase"] == "measuring").filter_map(|part| part["done"].as_u64()).sum();
    assert!(series.len() >= 6 && done.abs_diff(600) < 60, "{done} in {} intervals", series.len());
    assert!(whole["figures"]["listen_drops"].is_number() && whole["figures"]["syn_retransmits"].is_number());
    assert_eq!(page.matches("<svg").count(), 6);
    let asks = ["http-equiv=\"refresh\"", "<script", "src=", "@import", "url(", "<link"];
    assert!(asks.iter().all(|word| !page.contains(word)), "it asks for nothing");
}
