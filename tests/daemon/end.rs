//! How the daemon ends, by itself, when it is told to, and when it is killed; and a store that cannot write.

use std::collections::BTreeSet;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use super::process::{Daemon, Polling, Setup, Ws, ask, get, try_connect};

const QUICK: Duration = Duration::from_secs(5);

#[test]
fn f17_sigterm_tells_every_client_in_its_way_and_ends_with_0() {
    let mut daemon = Daemon::with(Setup { server: "drain_timeout_s = 10", ..Setup::default() });
    let (mut ws, polling) = (Ws::joined(daemon.port), Polling::open(daemon.port));
    assert_eq!(polling.post("40").body, "ok");
    polling.get();
    let parked = thread::spawn(move || polling.get());
    thread::sleep(Duration::from_millis(100));
    daemon.signal("-TERM");
    assert_eq!(ws.close_code(), Some(1001));
    let told = parked.join().expect("the poll is answered").body;
    assert!(told == "1" || told.ends_with("\u{1e}1"), "{told:?}");
    drop(ws);
    assert_eq!(daemon.exit_code(QUICK), 0, "{}", daemon.log());
    assert!(!daemon.log().contains("cut off"), "{}", daemon.log());
    assert!(try_connect(daemon.port).is_err());
    daemon.start_again();
}

#[test]
fn f17_a_drain_that_takes_too_long_is_a_failure_that_says_so() {
    let mut daemon = Daemon::with(Setup { server: "drain_timeout_s = 1", ..Setup::default() });
    let silent = Ws::joined(daemon.port);
    daemon.signal("-TERM");
    assert_eq!(daemon.exit_code(QUICK), 1, "{}", daemon.log());
    let said = "drain timeout: the drain is not complete, 1 connections are cut off";
    assert!(daemon.log().contains(said) && daemon.log().contains("stopped"), "{}", daemon.log());
    drop(silent);
    daemon.start_again();
}

#[test]
fn f17_readiness_is_503_while_all_are_served_and_then_the_closes_fill_the_window() {
    let mut daemon = Daemon::with(Setup { server: "drain_delay_s = 2\ndrain_timeout_s = 8", ..Setup::default() });
    let mut clients: Vec<Ws> = (0..39).map(|_| Ws::joined(daemon.port)).collect();
    daemon.signal("-TERM");
    let begun = Instant::now();
    let ready = |port| get(port, "/health/ready").map(|answer| answer.status);
    daemon.until(QUICK, |daemon| ready(daemon.port) == Some(503));
    // A client that comes now is served as everybody is.
    clients.push(Ws::joined(daemon.port));
    Polling::open(daemon.port);
    clients.iter_mut().for_each(Ws::is_served);
    assert_eq!((ready(daemon.port), ready(daemon.admin)), (Some(503), Some(503)));
    assert!(begun.elapsed() < Duration::from_secs(2), "too slow to tell: {:?}", begun.elapsed());

    let told_at = move |mut ws: Ws| {
        assert_eq!(ws.close_code(), Some(1001));
        begun.elapsed().as_secs_f64()
    };
    let told: Vec<_> = clients.into_iter().map(|ws| thread::spawn(move || told_at(ws))).collect();
    // A client that comes once it has begun is told at once, and the operator is answered to the end.
    thread::sleep(Duration::from_secs(3).saturating_sub(begun.elapsed()));
    assert_eq!(Ws::open(daemon.port).close_code(), Some(1001));
    assert_eq!((ready(daemon.port), ready(daemon.admin)), (Some(503), Some(503)));
    let mut told: Vec<f64> = told.into_iter().map(|told| told.join().expect("it is told")).collect();
    told.sort_by(f64::total_cmp);
    let (first, last) = (told[0], told[told.len() - 1]);
    assert!(first >= 2.0 && (4.5..7.5).contains(&(last - first)), "{told:?}");
    let most = told.iter().map(|at| told.iter().filter(|other| (*at..*at + 1.0).contains(other)).count()).max();
    assert!(most < Some(20), "{told:?}");
    assert_eq!(daemon.exit_code(QUICK), 0, "{}", daemon.log());
    assert!(try_connect(daemon.admin).is_err());
}

#[test]
fn f17_a_second_signal_does_not_wait_for_clients() {
    let mut daemon = Daemon::with(Setup { server: "drain_timeout_s = 60", ..Setup::default() });
    // It reads nothing and answers nothing, so its connection would be waited for.
    let silent = Ws::joined(daemon.port);
    daemon.signal("-TERM");
    daemon.until(QUICK, |daemon| try_connect(daemon.port).is_err());
    thread::sleep(Duration::from_millis(300));
    assert!(daemon.is_alive(), "{}", daemon.log());
    daemon.signal("-TERM");
    assert_eq!(daemon.exit_code(Duration::from_secs(2)), 1, "{}", daemon.log());
    assert!(daemon.log().contains("second signal: the drain is not complete"), "{}", daemon.log());
    drop(silent);
}

/// Authorises devices on two connections, each after the answer to the one before, until that fails; notes whose answer came.
fn issue_until_the_end(admin: u16, round: usize, acknowledged: &Mutex<BTreeSet<String>>) {
    thread::scope(|scope| {
        for writer in 0..2 {
            scope.spawn(move || {
                for number in 0.. {
                    let id = format!("d-{round}-{writer}-{number}");
                    let answer = ask(admin, "POST", &format!("/signage/devices/{id}/issue"), "", "");
                    if answer.is_none_or(|answer| answer.status != 200) {
                        return;
                    }
                    acknowledged.lock().expect("no writer panics").insert(id);
                }
            });
        }
    });
}

fn stored(daemon: &Daemon) -> String {
    get(daemon.admin, "/signage/devices").expect("it is answered").body
}

fn missing(list: &str, acknowledged: &Mutex<BTreeSet<String>>) -> Vec<String> {
    let acknowledged = acknowledged.lock().expect("no writer panics");
    acknowledged.iter().filter(|id| !list.contains(&format!("\"{id}\""))).cloned().collect()
}

#[test]
fn f01_what_was_acknowledged_survives_kill_9_under_writes() {
    let mut daemon = Daemon::start();
    let acknowledged = Mutex::new(BTreeSet::new());
    for (round, after_ms) in [60, 350, 130, 500, 220].into_iter().enumerate() {
        let before = acknowledged.lock().expect("no writer panics").len();
        thread::scope(|scope| {
            scope.spawn(|| issue_until_the_end(daemon.admin, round, &acknowledged));
            // The time runs from the first acknowledgement: a busy machine may be slow to give it.
            daemon.until(QUICK, |_| acknowledged.lock().expect("no writer panics").len() > before);
            thread::sleep(Duration::from_millis(after_ms));
            let killed = Command::new("kill").args(["-9", &daemon.id().to_string()]).status();
            assert!(killed.expect("there is kill").success());
        });
        daemon.kill();
        assert!(acknowledged.lock().expect("no writer panics").len() > before, "nothing was written in round {round}");
        daemon.start_again();
        assert_eq!(missing(&stored(&daemon), &acknowledged), [""; 0], "round {round}");
    }
}

/// A limit on the size of files stands for a disk that is full or broken: writes fail, and are possible again later.
#[test]
fn f09_f23_a_write_that_fails_is_answered_with_an_error_and_live_traffic_goes_on() {
    let mut daemon = Daemon::with(Setup { shell: Some("trap '' XFSZ; ulimit -S -f 1024"), ..Setup::default() });
    let acknowledged = Mutex::new(BTreeSet::new());
    let mut ws = Ws::joined(daemon.port);
    issue_until_the_end(daemon.admin, 0, &acknowledged);
    assert!(!acknowledged.lock().expect("no writer panics").is_empty());
    let refused = ask(daemon.admin, "POST", "/signage/devices/more/issue", "", "").expect("it is answered");
    assert!(refused.status >= 500, "{refused:?}");
    ws.is_served();
    let health = |daemon: &Daemon| get(daemon.port, "/health").expect("it is answered").body;
    assert!(health(&daemon).contains("\"store\":\"degraded\""), "{}", health(&daemon));

    let raised = Command::new("prlimit").args(["--pid", &daemon.id().to_string(), "--fsize=unlimited"]).status();
    assert!(raised.expect("there is prlimit").success());
    daemon.until(Duration::from_secs(10), |daemon| {
        let answer = ask(daemon.admin, "POST", "/signage/devices/again/issue", "", "");
        answer.is_some_and(|answer| answer.status == 200)
    });
    acknowledged.lock().expect("no writer panics").insert("again".to_owned());
    daemon.until(QUICK, |daemon| health(daemon).contains("\"store\":\"ok\""));
    ws.is_served();
    daemon.kill();
    daemon.start_again();
    assert_eq!(missing(&stored(&daemon), &acknowledged), [""; 0]);
}

/// The test runs itself again as the process that panics.
#[test]
fn t41_a_panic_ends_the_process_at_once_with_one_line_that_says_where() {
    const PANICS: &str = "SIOD_TEST_PANICS";
    if std::env::var_os(PANICS).is_some() {
        siod::log::start(&siod::config::Log::default());
        siod::log::end_on_panic();
        let _ = thread::spawn(|| panic!("planted\nforged line")).join();
        thread::sleep(Duration::from_secs(30));
        return;
    }
    let this = std::env::current_exe().expect("it runs");
    let name = "end::t41_a_panic_ends_the_process_at_once_with_one_line_that_says_where";
    let mut command = Command::new(this);
    command.args(["--exact", name, "--nocapture"]).env(PANICS, "1").stdin(Stdio::null());
    let begun = Instant::now();
    let output = command.output().expect("it runs again");
    assert!(begun.elapsed() < QUICK, "{:?}", begun.elapsed());
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<&str> = said.lines().filter(|line| line.contains("planted")).collect();
    assert!(lines.len() == 1 && lines[0].contains("tests/daemon/end.rs:"), "{said}");
    assert!(!said.lines().any(|line| line.starts_with("forged")), "{said}");
}
