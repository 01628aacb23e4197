//! That options do what they say: what a server hears of them, and what is written.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};

use loadtest::floor::{self, Mode};
use loadtest::wire::frame;
use serde_json::Value;

/// A floor, and what each connection has said to it.
struct Recorded {
    addr: SocketAddr,
    said: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Recorded {
    fn new(mode: Mode) -> Recorded {
        let (server, listener) = (floor(mode), TcpListener::bind("127.0.0.1:0").expect("a port is free"));
        let new = Recorded { addr: listener.local_addr().expect("it is bound"), said: Arc::default() };
        let all = new.said.clone();
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let (client, server) =
                    (client.expect("a client comes"), TcpStream::connect(server).expect("it listens"));
                let at = {
                    let mut all = all.lock().expect("nobody panics with it");
                    all.push(Vec::new());
                    all.len() - 1
                };
                let ends = [client.try_clone(), server.try_clone()].map(|end| end.expect("it is open"));
                std::thread::spawn(move || pass(&ends[1], &ends[0], |_| {}));
                let all = all.clone();
                let record =
                    move |bytes: &[u8]| all.lock().expect("nobody panics with it")[at].extend_from_slice(bytes);
                std::thread::spawn(move || pass(&client, &server, record));
            }
        });
        new
    }

    /// The heads of all requests and the texts of all frames, one a line.
    fn text(&self) -> String {
        let mut text = String::new();
        for connection in self.said.lock().expect("nobody panics with it").iter_mut() {
            let end =
                connection.windows(4).position(|window| window == b"\r\n\r\n").map_or(connection.len(), |at| at + 4);
            let (head, mut frames) = connection.split_at_mut(end);
            text.push_str(&String::from_utf8_lossy(head));
            while let Some((_, payload, size)) = frame::unmask(frames) {
                text.push_str(&String::from_utf8_lossy(&frames[payload]));
                text.push('\n');
                frames = &mut std::mem::take(&mut frames)[size..];
            }
        }
        text
    }
}

fn floor(mode: Mode) -> SocketAddr {
    let server = floor::Server::bind("127.0.0.1:0".parse().expect("an address"), mode).expect("a port is free");
    let addr = server.local_addr().expect("it is bound");
    std::thread::spawn(move || server.run());
    addr
}

fn pass(mut from: &TcpStream, mut to: &TcpStream, mut heard: impl FnMut(&[u8])) {
    let mut buffer = [0; 65_536];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        heard(&buffer[..count]);
        if to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    // The other side may be gone already.
    let _ = to.shutdown(Shutdown::Both);
}

fn loadtest(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_loadtest")).args(arguments).output().expect("it can be started")
}

/// Runs a scenario with two clients; what the server has heard then contains all that is expected. `{url}` is the server's.
fn check(mode: Mode, words: &str, expected: &[&str]) {
    let server = Recorded::new(mode);
    let url = format!("http://{}", server.addr);
    let words: Vec<String> = words.split('|').map(|word| word.replace("{url}", &url)).collect();
    let mut arguments: Vec<&str> = words.iter().map(String::as_str).collect();
    let (short, timed) = (["--url", &url, "--clients", "2"], ["--seconds", "1", "--warm-up-ms", "10"]);
    let others = short.chunks(2).chain(timed.chunks(2).filter(|_| words[0] != "connect"));
    arguments.extend(others.filter(|other| !words.iter().any(|word| word == other[0])).flatten());
    let output = loadtest(&arguments);
    assert_ne!(output.status.code(), Some(2), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    let text = server.text();
    expected
        .iter()
        .for_each(|expected| assert!(text.contains(expected), "{arguments:?}: {expected} is not in\n{text}"));
}

#[test]
fn what_options_say_is_said_to_the_server() {
    let cases: [(Mode, &str, &[&str]); 11] = [
        (Mode::Echo, "connect|--url|{url}/api/x", &["GET /api/x/?EIO=4&transport=websocket HTTP/1.1\r\n"]),
        (Mode::Echo, "connect|--header|X-A: b|--header|X-C: d", &["\r\nX-A: b\r\nX-C: d\r\n"]),
        (Mode::Echo, "connect|--auth|{\"id\":\"d{n}\"}", &["40{\"id\":\"d0\"}\n", "40{\"id\":\"d1\"}\n"]),
        (Mode::Echo, "connect|--claims|{}|--jwt-secret|k", &["40{\"token\":\"eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9."]),
        (Mode::Echo, "connect|--namespace|/lab", &["40/lab,\n"]),
        (Mode::Echo, "hold|--metrics|{url}/counted", &["GET /counted HTTP/1.1\r\n"]),
        (Mode::Echo, "echo|--echo-event|say|--size|5", &["[\"say\",\"xxxxx\"]\n"]),
        (Mode::Echo, "storm|--neighbours|1|--echo-event|say|--size|3|--warm-up-ms|1000", &["[\"say\",\"xxx\"]\n"]),
        (Mode::Fanout, "fanout|--bcast-event|say|--size|26", &["[\"say\",\"", "xx\"]\n"]),
        (Mode::Fanout, "slow|--bcast-event|say|--size|27", &["[\"say\",\"", "xxx\"]\n"]),
        (
            Mode::Echo,
            "rooms|--rooms|1|--room-size|2|--join-event|enter|--room-event|tell",
            &["[\"enter\",\"r0\"]\n", "42[\"tell\",\"r0\",\""],
        ),
    ];
    std::thread::scope(|scope| {
        cases.iter().for_each(|(mode, words, expected)| drop(scope.spawn(move || check(*mode, words, expected))));
    });
}

#[test]
fn files_are_written_and_processes_are_those_that_are_named() {
    let folder = std::env::temp_dir().join(format!("loadtest-effects-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("the temporary directory can be written to");
    let file = folder.join("out.json").to_string_lossy().into_owned();
    let read =
        || serde_json::from_str::<Value>(&std::fs::read_to_string(&file).expect("it was written")).expect("JSON");
    let (url, own) = (format!("http://{}", floor(Mode::Echo)), std::process::id().to_string());
    let short = ["--clients", "2", "--seconds", "1", "--warm-up-ms", "10", "--json", &file];
    let output = loadtest(&[&["echo", "--url", &url, "--pid", &own], &short[..]].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    assert_eq!(read()["about"]["server_pids"], serde_json::json!([std::process::id()]));
    std::fs::remove_file(&file).expect("it was written");
    let output = loadtest(&[&["compare", "echo", "--a", &url, "--b", &url, "--pairs", "1"], &short[..]].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    assert_eq!(["a", "b"].map(|side| read()["runs"][side].as_array().map(Vec::len)), [Some(1), Some(1)]);
    std::fs::remove_dir_all(folder).expect("it was made above");
}
