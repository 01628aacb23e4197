//! What the daemon says instead of starting, and what it leaves as it was.

use std::fs;
use std::net::TcpListener;
use std::path::Path;

use super::process::{Daemon, Setup, config, free_ports, get, run_to_end};

/// Starts it and expects the end with `code` and one sentence, said once, that holds all of `said`: before there is a log by
/// the program's name, then as a line of the log.
#[track_caller]
fn refused(dir: &Path, config: &str, code: i32, said: &[&str]) {
    let (ended, log) = run_to_end(dir, config);
    assert_eq!(ended, code, "{log}");
    let is_about = |line: &&str| said.iter().all(|part| line.contains(part));
    let sentences: Vec<&str> = log.lines().filter(is_about).collect();
    assert_eq!(sentences.len(), 1, "{said:?} is not once in\n{log}");
    let start = if code == 2 { "siod: " } else { "{\"timestamp\":" };
    assert!(sentences[0].starts_with(start), "{log}");
}

fn dir() -> tempfile::TempDir {
    tempfile::tempdir().expect("there is room for a directory")
}

#[test]
fn a_wrong_value_is_named_with_its_key_and_range() {
    let dir = dir();
    let ports: [u16; 2] = free_ports();
    let refuse = |server: &'static str, said: &[&str]| {
        let setup = Setup { server, ..Setup::default() };
        refused(dir.path(), &config(&setup, dir.path(), ports[0], ports[1]), 2, said);
    };
    refuse("drain_timeout_s = 3601", &["server.drain_timeout_s = 3601", "between 0 and 3600 (seconds)"]);
    refuse("drain_timeout = 5", &["server.drain_timeout: unknown key"]);
    assert!(!dir.path().join("data").exists(), "nothing was begun");
}

#[test]
fn a_bind_beyond_loopback_without_a_secret_is_refused_with_the_line_that_mends_it() {
    let dir = dir();
    let text = "[[listener]]\nbind = \"0.0.0.0:0\"";
    refused(
        dir.path(),
        text,
        2,
        &["listener[0].bind = \"0.0.0.0:0\"", "SIOD__AUTH__JWT_SECRET=\"$(openssl rand -hex 32)\""],
    );
    refused(dir.path(), "[admin]\nbind = \"0.0.0.0:0\"", 2, &["admin.bind", "SIOD__ADMIN__TOKEN"]);
}

#[test]
fn a_port_in_use_is_said() {
    let dir = dir();
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let port = taken.local_addr().expect("it is bound").port();
    let [other] = free_ports();
    let said = format!("127.0.0.1:{port} is in use by another process");
    refused(dir.path(), &config(&Setup::default(), dir.path(), port, other), 1, &[&said]);
    refused(dir.path(), &config(&Setup::default(), dir.path(), other, port), 1, &[&said]);
    assert!(!dir.path().join("data").exists(), "the data of whoever has the port is not touched");
}

#[test]
fn a_second_daemon_on_the_same_directory_is_refused() {
    let mut first = Daemon::start();
    let ports: [u16; 2] = free_ports();
    let other = dir();
    let holder = format!("process {}", first.id());
    let text = config(&Setup::default(), first.dir.path(), ports[0], ports[1]);
    refused(other.path(), &text, 1, &["data is in use by another siod", &holder]);
    assert_eq!(get(first.port, "/health/ready").expect("the first one goes on").status, 200);
    // The lock goes with the process, however it ends.
    first.kill();
    first.start_again();
}

#[test]
fn a_directory_that_cannot_be_written_is_refused() {
    let dir = dir();
    let ports: [u16; 2] = free_ports();
    fs::write(dir.path().join("data"), "a file").expect("a file can be written");
    let text = config(&Setup::default(), dir.path(), ports[0], ports[1]);
    refused(dir.path(), &text, 1, &["data cannot be used: "]);
    assert_eq!(fs::read(dir.path().join("data")).expect("it is there"), b"a file");
    let text = text.replace(&format!("{}/data", dir.path().display()), "/proc/self/siod");
    refused(dir.path(), &text, 1, &["/proc/self/siod cannot be used: "]);
}

/// Whatever is refused stays as it was, to the byte, and so do the files beside it.
#[test]
fn f03_a_database_that_is_broken_foreign_or_newer_is_refused_and_left_as_it_was() {
    let mut daemon = Daemon::start();
    let data = daemon.dir.path().join("data");
    let issued = super::process::ask(daemon.admin, "POST", "/signage/devices/d1/issue", "", "");
    assert_eq!(issued.expect("it is answered").status, 200);
    daemon.signal("-TERM");
    daemon.exit_code(std::time::Duration::from_secs(10));
    let (file, ports): (_, [u16; 2]) = (data.join("siod.db"), free_ports());
    let sound = fs::read(&file).expect("the database is there");
    let sql = |text: &str| {
        let connection = rusqlite::Connection::open(&file).expect("it is a database");
        connection.execute_batch(text).expect("the statement is one");
    };
    let text = config(&Setup::default(), daemon.dir.path(), ports[0], ports[1]);
    let check = |said: &[&str]| {
        let before = fs::read(&file).expect("the database is there");
        refused(daemon.dir.path(), &text, 1, said);
        assert!(fs::read(&file).expect("the database is there") == before, "it was changed");
    };

    sql("PRAGMA user_version = 1000");
    check(&["siod.db was written by a newer siod (schema 1000; ", "left untouched"]);
    fs::write(&file, &sound).expect("it can be written");
    sql("PRAGMA application_id = 7");
    check(&["siod.db is an SQLite database of another program", "left untouched"]);
    fs::write(
        &file,
        b"these are not the bytes of a database, but more than a hundred of them, as a header has, and some",
    )
    .expect("it can be written");
    check(&["siod.db is not an SQLite database", "left untouched"]);
    fs::write(&file, &sound[..4096 * 3]).expect("it can be written");
    check(&["siod.db is damaged", "restore a copy", "left untouched"]);
    let mut torn = sound.clone();
    torn[4096..4096 * 2].fill(0xA5);
    fs::write(&file, &torn).expect("it can be written");
    check(&["siod.db is damaged", "restore a copy", "left untouched"]);
    fs::remove_file(&file).expect("it can be removed");
    fs::create_dir(&file).expect("a directory can be made");
    let (code, log) = run_to_end(daemon.dir.path(), &text);
    assert!(code == 1 && log.contains("siod.db is not a file"), "{log}");

    fs::remove_dir(&file).expect("it can be removed");
    fs::write(&file, &sound).expect("it can be written");
    daemon.start_again();
    assert!(get(daemon.admin, "/signage/devices").expect("it is answered").body.contains("\"d1\""));
}
