//! Whatever becomes of standard error and standard output, the daemon starts, serves and ends; and what clients cause is bounded.

use std::fs::File;
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tokio_tungstenite::tungstenite::Message;

use super::process::{Daemon, Polling, Setup, Ws, get};

const QUICK: Duration = Duration::from_secs(5);
const TALKATIVE: &str = "[log]\nlevel = \"debug\"\nlines_per_s_max = 1000000\n[store]\nurl = \"memory:\"\n";

/// One client that leaves and joins, for each time a line of about 130 bytes at level debug.
fn cause_lines(ws: &mut Ws, lines: usize) {
    const TOGETHER: usize = 100;
    for begun in (0..lines).step_by(TOGETHER) {
        let times = TOGETHER.min(lines - begun);
        for text in ["41", "40"].into_iter().cycle().take(2 * times) {
            ws.0.write(Message::text(text)).expect("it is open");
        }
        ws.0.flush().expect("it is open");
        for _ in 0..times {
            assert!(ws.next().starts_with("40{"));
            assert_eq!(ws.next(), "42[\"auth\",{}]");
        }
    }
}

/// Refusals of several kinds, each of which is a line or two.
fn misbehave(port: u16) {
    for _ in 0..100 {
        Ws::open(port).send("9 is no packet");
        let polling = Polling::open(port);
        polling.post("also none");
        get(port, "/socket.io/?EIO=4&transport=polling&sid=unknown");
    }
}

/// More lines than any pipe and the queue hold together, from one client and from many, while another one is served.
#[track_caller]
fn serves_and_ends(shell: &'static str) {
    let setup = Setup { sections: TALKATIVE, shell: Some(shell), ..Setup::default() };
    let mut daemon = Daemon::with(setup);
    let (mut healthy, mut noisy) = (Ws::joined(daemon.port), Ws::joined(daemon.port));
    misbehave(daemon.port);
    for _ in 0..10 {
        cause_lines(&mut noisy, 1_000);
        healthy.is_served();
    }
    assert_eq!(get(daemon.port, "/health/ready").map(|answer| answer.status), Some(200), "{shell}");
    drop((healthy, noisy));
    daemon.signal("-TERM");
    assert_eq!(daemon.exit_code(QUICK), 0, "{shell}");
}

#[test]
fn a_standard_error_that_is_full_closed_or_left_ends_nothing() {
    for shell in [
        "exec 2>/dev/full",
        "exec 2>&-",
        "exec >&- 2>&- <&-",
        "exec >/dev/full 2>&1",
        // The one reader leaves at once.
        "mkfifo left; (: <left) & exec 2>left; wait",
    ] {
        serves_and_ends(shell);
    }
}

/// A pipe that nobody reads and that is full before the first line, as standard error, and as both.
#[test]
fn a_standard_error_that_nobody_reads_keeps_nobody_waiting() {
    for shell in [
        "mkfifo stuck; exec 2<>stuck; dd if=/dev/zero bs=65536 count=1 >&2 2>/dev/null",
        "mkfifo stuck; exec 2<>stuck >&2; dd if=/dev/zero bs=65536 count=1 >&2 2>/dev/null",
    ] {
        serves_and_ends(shell);
    }
}

#[test]
fn once_somebody_reads_again_a_line_says_how_many_were_dropped() {
    let shell = Some("mkfifo stuck; exec 2<>stuck");
    let mut daemon = Daemon::with(Setup { sections: TALKATIVE, shell, ..Setup::default() });
    let mut ws = Ws::joined(daemon.port);
    cause_lines(&mut ws, 12_000);
    let mut pipe = File::open(daemon.dir.path().join("stuck")).expect("it is there");
    let (mut text, begun) = (Vec::new(), Instant::now());
    let dropped = loop {
        let mut bytes = [0; 65_536];
        let count = pipe.read(&mut bytes).expect("the daemon holds it open");
        text.extend_from_slice(&bytes[..count]);
        let text = String::from_utf8_lossy(&text);
        if let Some(line) = text.lines().find(|line| line.contains("dropped: ") && line.ends_with('}')) {
            break serde_json::from_str::<serde_json::Value>(line).expect("it is JSON")["lines"].clone();
        }
        assert!(begun.elapsed() < QUICK, "{text}");
    };
    let written = String::from_utf8_lossy(&text).matches("\"left\"").count() as u64;
    assert_eq!(written + dropped.as_u64().expect("a number"), 12_000, "each line is written or counted");
    ws.is_served();
    assert!(daemon.is_alive());
}

/// A limit on the size of files stands for a disk that is full.
#[test]
fn a_log_disk_that_fills_up_ends_nothing_and_what_was_lost_is_said_when_there_is_room() {
    let setup = Setup { sections: TALKATIVE, shell: Some("ulimit -S -f 64"), ..Setup::default() };
    let mut daemon = Daemon::with(setup);
    let mut ws = Ws::joined(daemon.port);
    cause_lines(&mut ws, 3_000);
    assert!(!daemon.log().contains("dropped: "), "{}", daemon.log());
    assert!(daemon.log().len() <= 65_536, "the limit holds");
    let raised = Command::new("prlimit").args(["--pid", &daemon.id().to_string(), "--fsize=unlimited"]).status();
    assert!(raised.expect("there is prlimit").success());
    cause_lines(&mut ws, 1);
    daemon.until(QUICK, |daemon| daemon.log().contains("dropped: standard error did not take them"));
    cause_lines(&mut ws, 1);
    assert!(daemon.is_alive());
}

#[test]
fn what_clients_cause_is_bounded_in_lines_a_second_and_summed_up() {
    const MAX: usize = 100;
    let daemon = Daemon::with(Setup { sections: "[log]\nlevel = \"debug\"\n", ..Setup::default() });
    let (mut ws, begun) = (Ws::joined(daemon.port), Instant::now());
    cause_lines(&mut ws, 5_000);
    let seconds = begun.elapsed().as_secs() as usize + 1;
    let left_out = |daemon: &Daemon| -> u64 {
        let summaries = daemon.log();
        let summaries = summaries.lines().filter(|line| line.contains("left out: ") && line.contains("siod::socket"));
        let number = |line: &str| serde_json::from_str::<serde_json::Value>(line).ok()?["lines"].as_u64();
        summaries.filter_map(number).sum()
    };
    let written = |daemon: &Daemon| daemon.log().matches("\"message\":\"left\"").count();
    daemon.until(QUICK, |daemon| written(daemon) as u64 + left_out(daemon) == 5_000);
    assert!(written(&daemon) <= MAX * (seconds + 1), "{} lines in {seconds} s", written(&daemon));
}

/// A pipe that is full and that nobody reads, to give away.
fn full_pipe(dir: &Path) -> File {
    let path = dir.join("full");
    assert!(Command::new("mkfifo").arg(&path).status().expect("there is mkfifo").success());
    let open = |flags| File::options().read(true).write(true).custom_flags(flags).open(&path).expect("it was made");
    let mut filler = open(libc::O_NONBLOCK);
    let full = loop {
        if let Err(error) = filler.write(&[0; 4096]) {
            break error;
        }
    };
    assert_eq!(full.kind(), ErrorKind::WouldBlock);
    open(0)
}

/// The test runs itself again as the process that panics.
#[test]
fn a_panic_ends_the_process_soon_wherever_its_line_goes() {
    const PANICS: &str = "SIOD_TEST_PANICS_ANYWHERE";
    if std::env::var_os(PANICS).is_some() {
        siod::log::start(&siod::config::Log::default());
        siod::log::end_on_panic();
        let _ = thread::spawn(|| panic!("planted")).join();
        thread::sleep(Duration::from_secs(60));
        return;
    }
    let dir = tempfile::tempdir().expect("there is room for a directory");
    let device = || File::options().write(true).open("/dev/full").expect("there is one");
    for stderr in [device(), full_pipe(dir.path())] {
        let mut command = Command::new(std::env::current_exe().expect("it runs"));
        command.args(["--exact", "log::a_panic_ends_the_process_soon_wherever_its_line_goes", "--nocapture"]);
        command.env(PANICS, "1").stdin(Stdio::null()).stdout(Stdio::null()).stderr(stderr);
        let begun = Instant::now();
        let status = command.status().expect("it runs again");
        assert!(begun.elapsed() < QUICK, "{:?}", begun.elapsed());
        assert_eq!(status.signal(), Some(libc::SIGABRT), "{status}");
    }
}
