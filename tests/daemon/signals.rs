//! Signals that are sent in good faith: before, while and after the daemon serves.

use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::process::{Daemon, Setup, Ws, config, free_ports, try_connect};

const QUICK: Duration = Duration::from_secs(5);
const HARMLESS: [&str; 4] = ["HUP", "QUIT", "USR1", "USR2"];

fn said(daemon: &Daemon) -> bool {
    let log = daemon.log();
    HARMLESS.iter().all(|name| log.contains(&format!("\"signal\":\"SIG{name}\"")))
}

#[test]
fn a_signal_without_a_meaning_is_a_line_and_sigterm_still_drains() {
    let mut daemon = Daemon::start();
    let mut ws = Ws::joined(daemon.port);
    for _ in 0..3 {
        HARMLESS.iter().for_each(|name| daemon.signal(&format!("-{name}")));
        ws.is_served();
    }
    daemon.until(QUICK, said);
    assert!(daemon.log().contains("there is nothing to reload"), "{}", daemon.log());
    daemon.signal("-TERM");
    assert_eq!(ws.close_code(), Some(1001));
    drop(ws);
    assert_eq!(daemon.exit_code(QUICK), 0, "{}", daemon.log());
}

#[test]
fn a_signal_without_a_meaning_does_not_shorten_a_drain() {
    let mut daemon = Daemon::with(Setup { server: "drain_timeout_s = 60", ..Setup::default() });
    let silent = Ws::joined(daemon.port);
    daemon.signal("-TERM");
    daemon.until(QUICK, |daemon| daemon.log().contains("\"draining\""));
    HARMLESS.iter().for_each(|name| daemon.signal(&format!("-{name}")));
    daemon.until(QUICK, said);
    assert!(daemon.is_alive(), "{}", daemon.log());
    daemon.signal("-INT");
    assert_eq!(daemon.exit_code(QUICK), 1, "{}", daemon.log());
    assert!(try_connect(daemon.port).is_err());
    drop(silent);
}

/// In a shell that becomes the daemon, beside it: waits until SIGUSR2 is caught, the last of those that are sent here.
macro_rules! when_caught {
    () => {
        "until grep -q '^SigCgt:.*[89a-f]..$' /proc/$$/status; do :; done"
    };
}

#[test]
fn a_signal_during_the_start_changes_nothing() {
    const SHELL: &str = concat!("(", when_caught!(), "; for name in HUP QUIT USR1 USR2; do kill -$name $$; done) & :");
    for _ in 0..3 {
        let mut daemon = Daemon::with(Setup { shell: Some(SHELL), ..Setup::default() });
        Ws::joined(daemon.port).is_served();
        daemon.signal("-TERM");
        assert_eq!(daemon.exit_code(QUICK), 0, "{}", daemon.log());
    }
}

#[test]
fn sigterm_during_the_start_is_a_drain_as_soon_as_there_is_something_to_drain() {
    let dir = tempfile::tempdir().expect("there is room for a directory");
    let [port, admin] = free_ports();
    let text = config(&Setup::default(), dir.path(), port, admin);
    fs::write(dir.path().join("siod.toml"), text).expect("a file can be written");
    let siod = env!("CARGO_BIN_EXE_siod");
    let script = format!("({}; kill -TERM $$) & exec {siod} run --config siod.toml", when_caught!());
    let mut command = Command::new("sh");
    let output = command.args(["-c", &script]).current_dir(dir.path()).stdin(Stdio::null()).output();
    let output = output.expect("there is a shell");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("\"stopped\""), "{output:?}");
}
