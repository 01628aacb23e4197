//! A client that is alive stays: through a stop of the whole process, and on a line so slow that one message takes longer than all
//! heartbeats together.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tokio_tungstenite::tungstenite::Message;

use crate::process::{Daemon, Polling, Setup, Ws, ask, connect, get};

const PING_TIMEOUTS: &str = "siod_connections_closed_total{reason=\"ping_timeout\"}";

/// 400 clients, half of them polling over a new connection for each request; each takes a while for its pong, so that many
/// pongs fall into the time in which the process does not run. That is longer than interval and timeout together.
#[test]
fn f14_a_process_that_was_stopped_finds_all_its_clients_again() {
    let daemon =
        Daemon::with(Setup { listener: "ping_interval_ms = 2000\nping_timeout_ms = 4000", ..Setup::default() });
    let (ended, lost, late) = (AtomicBool::new(false), AtomicUsize::new(0), AtomicUsize::new(0));
    let (stopped, ready) = (AtomicBool::new(false), AtomicUsize::new(0));
    let pong_after = || {
        let began_before = !stopped.load(Ordering::Relaxed);
        thread::sleep(Duration::from_millis(1_000));
        late.fetch_add(usize::from(began_before && stopped.load(Ordering::Relaxed)), Ordering::Relaxed);
    };
    thread::scope(|scope| {
        for index in 0..400 {
            let (ended, lost, ready, port, pong_after) = (&ended, &lost, &ready, daemon.port, &pong_after);
            scope.spawn(move || {
                let is_lost = if index % 2 == 0 {
                    answers_late_by_websocket(port, ready, ended, pong_after)
                } else {
                    answers_late_by_polling(port, ready, ended, pong_after)
                };
                lost.fetch_add(usize::from(is_lost), Ordering::Relaxed);
            });
        }
        daemon.until(Duration::from_secs(60), |_| ready.load(Ordering::Relaxed) == 400);
        thread::sleep(Duration::from_millis(2_000));
        daemon.signal("-STOP");
        stopped.store(true, Ordering::Relaxed);
        thread::sleep(Duration::from_millis(7_000));
        daemon.signal("-CONT");
        thread::sleep(Duration::from_millis(8_000));
        ended.store(true, Ordering::Relaxed);
    });
    assert!(late.load(Ordering::Relaxed) > 20, "pongs were sent while nobody read: {late:?}");
    assert_eq!((lost.load(Ordering::Relaxed), daemon.figure(PING_TIMEOUTS)), (0, 0.0));
}

/// `true`: the session ended before the test did.
fn answers_late_by_websocket(port: u16, ready: &AtomicUsize, ended: &AtomicBool, pong_after: impl Fn()) -> bool {
    let mut ws = Ws::joined(port);
    ready.fetch_add(1, Ordering::Relaxed);
    while !ended.load(Ordering::Relaxed) {
        match ws.0.read() {
            Ok(Message::Text(text)) if text.as_str() == "2" => {
                pong_after();
                ws.send("3");
            }
            Ok(Message::Close(_)) | Err(_) => return true,
            Ok(_) => {}
        }
    }
    false
}

fn answers_late_by_polling(port: u16, ready: &AtomicUsize, ended: &AtomicBool, pong_after: impl Fn()) -> bool {
    let session = Polling::open(port);
    session.post("40");
    ready.fetch_add(1, Ordering::Relaxed);
    while !ended.load(Ordering::Relaxed) {
        let Some(answer) = get(port, &session.path()) else { return true };
        let packets: Vec<&str> = answer.body.split('\x1e').collect();
        if answer.status != 200 || packets.contains(&"1") {
            return true;
        }
        if packets.contains(&"2") {
            pong_after();
            let posted = ask(port, "POST", &session.path(), "Content-Type: text/plain\r\n", "3");
            if posted.is_none_or(|answer| answer.status != 200) {
                return true;
            }
        }
    }
    false
}

/// Heartbeats of two seconds, and a message that takes eight.
const SLOW: Setup = Setup {
    host: None,
    server: "",
    listener: "ping_interval_ms = 500\nping_timeout_ms = 1500\nmax_payload_bytes = 8388608",
    limits: "",
    sections: "",
    shell: None,
    environment: Vec::new(),
};
const PICTURE_BYTES: usize = 4_000_000;
const PIECE_BYTES: usize = 50_000;
const PIECE_MS: u64 = 100;

/// A connection whose kernel holds little for a reader that takes its time.
fn narrow(port: u16) -> TcpStream {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("there are sockets");
    socket.set_recv_buffer_size(65_536).expect("its size can be set");
    socket.connect(&std::net::SocketAddr::from(([127, 0, 0, 1], port)).into()).expect("loopback takes a connection");
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a time limit can be set");
    stream
}

/// Reads at the pace of a slow line until `is_whole`.
fn takes_slowly(stream: &mut TcpStream, is_whole: impl Fn(&[u8]) -> bool) -> Duration {
    let (mut all, mut piece, begun) = (Vec::new(), vec![0; PIECE_BYTES], Instant::now());
    while !is_whole(&all) {
        thread::sleep(Duration::from_millis(PIECE_MS));
        let count = stream.read(&mut piece).expect("it goes on");
        assert!(count > 0, "it ends after {} bytes", all.len());
        all.extend_from_slice(&piece[..count]);
    }
    begun.elapsed()
}

fn picture() -> String {
    format!("42[\"message\",\"{}\"]", "x".repeat(PICTURE_BYTES))
}

fn has_the_echo(bytes: &[u8]) -> bool {
    bytes.len() > PICTURE_BYTES && memchr::memmem::find(bytes, b"xx\"]").is_some()
}

#[test]
fn a_slow_line_takes_a_large_message_by_websocket() {
    let daemon = Daemon::with(SLOW);
    let mut ws = Ws::over(narrow(daemon.port), daemon.port).joins();
    ws.send(&picture());
    let took = takes_slowly(ws.0.get_mut(), has_the_echo);
    assert!(took > Duration::from_secs(4), "twice all heartbeats: {took:?}");
    assert_eq!(daemon.figure(PING_TIMEOUTS), 0.0);
    ws.send("3");
    // What is silent after it is noticed.
    daemon.until(Duration::from_secs(10), |daemon| daemon.figure(PING_TIMEOUTS) > 0.0);
}

#[test]
fn a_slow_line_takes_a_large_message_by_polling() {
    let daemon = Daemon::with(SLOW);
    // As the reactor answers, and as hyper does.
    for connection in ["keep-alive", "close"] {
        let session = Polling::open(daemon.port);
        assert_eq!(session.post("40").status, 200);
        session.get();
        assert_eq!(session.post(&picture()).status, 200);
        let mut stream = narrow(daemon.port);
        let head = format!("GET {} HTTP/1.1\r\nHost: x\r\nConnection: {connection}\r\n\r\n", session.path());
        stream.write_all(head.as_bytes()).expect("it is open");
        let took = takes_slowly(&mut stream, has_the_echo);
        assert!(took > Duration::from_secs(4), "{connection}: {took:?}");
        assert_eq!((session.post("3").status, daemon.figure(PING_TIMEOUTS)), (200, 0.0), "{connection}");
        session.post("1");
    }
}

#[test]
fn a_slow_line_brings_a_large_message_by_either_transport() {
    let daemon = Daemon::with(SLOW);
    let brings = |stream: &mut TcpStream, bytes: &[u8]| {
        for piece in bytes.chunks(PIECE_BYTES) {
            thread::sleep(Duration::from_millis(PIECE_MS));
            stream.write_all(piece).expect("it goes on");
        }
    };
    let session = Polling::open(daemon.port);
    assert_eq!(session.post("40").status, 200);
    let mut stream = connect(daemon.port);
    let body = picture();
    let head = format!(
        "POST {} HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n",
        session.path(),
        body.len()
    );
    stream.write_all(head.as_bytes()).expect("it is open");
    brings(&mut stream, body.as_bytes());
    let mut status = [0; 12];
    stream.read_exact(&mut status).expect("it is answered");
    assert_eq!(&status, b"HTTP/1.1 200");
    assert!(session.get().body.contains("message-back"));
    session.post("1");

    let mut ws = Ws::joined(daemon.port);
    // One frame with a mask of zeros.
    let mut frame = vec![0x81, 0xFF];
    frame.extend_from_slice(&(body.len() as u64).to_be_bytes());
    frame.extend_from_slice(&[0; 4]);
    frame.extend_from_slice(body.as_bytes());
    brings(ws.0.get_mut(), &frame);
    assert!(ws.next().starts_with("42[\"message-back\""));
    assert_eq!(daemon.figure(PING_TIMEOUTS), 0.0);
}
