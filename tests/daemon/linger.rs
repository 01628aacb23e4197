//! An early answer reaches whoever is still sending, and those who never stop are held to bounds.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use super::process::{Daemon, Polling, Setup, Ws, connect, fill, read_all, status_of};

const QUICK: Duration = Duration::from_secs(5);
const UNKNOWN: &str = "/socket.io/?EIO=4&transport=polling&sid=AAAAAAAAAAAAAAAAAAAA";

fn head(path: &str, length: usize) -> String {
    format!("POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\n")
}

/// Sends all of `bytes` in pieces, long after the answer, and only then reads: the whole answer and the end, no reset.
#[track_caller]
fn told(port: u16, bytes: &[u8], what: &str) -> Option<u16> {
    let mut stream = connect(port);
    for piece in bytes.chunks(64 * 1024) {
        stream.write_all(piece).unwrap_or_else(|error| panic!("{what}: {error} while sending"));
        thread::sleep(Duration::from_millis(2));
    }
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap_or_else(|error| panic!("{what}: {error} instead of the end"));
    status_of(&String::from_utf8_lossy(&answer))
}

#[test]
fn an_early_answer_reaches_whoever_is_still_sending() {
    let daemon = Daemon::start();
    let body = vec![b'x'; 1_200_000];
    let after = |head: String| [head.as_bytes(), b"\r\n", &body].concat();
    let session = Polling::open(daemon.port).path();
    let octets = head(UNKNOWN, body.len()).replace("text/plain", "application/octet-stream");
    let upgrade = format!("GET {UNKNOWN} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n");
    let chunked = format!("POST {session} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n124f80\r\n");
    for (what, port, bytes, status) in [
        ("too large, of a session that is none", daemon.port, after(head(UNKNOWN, body.len())), 400),
        ("too large", daemon.port, after(head(&session, body.len())), 413),
        ("too large, in chunks", daemon.port, [chunked.as_bytes(), &body].concat(), 413),
        ("another type", daemon.port, after(octets), 400),
        ("no path for bodies", daemon.port, after(head("/health/live", body.len())), 405),
        ("no path", daemon.port, after(head("/nothing", body.len())), 404),
        ("no host", daemon.port, after(head("/", body.len()).replace("Host: 127.0.0.1\r\n", "")), 400),
        ("a head that is none", daemon.port, after("POST / HTTP/9.9\r\n".to_owned()), 400),
        ("a head without end", daemon.port, after(head("/", body.len()) + "A: "), 431),
        ("a refused upgrade", daemon.port, after(upgrade), 400),
        ("the operator's listener", daemon.admin, after(head("/metrics", body.len())), 405),
        (
            "the operator's listener, a foreign page",
            daemon.admin,
            after(head("/drain", body.len()) + "Origin: x\r\n"),
            403,
        ),
    ] {
        for _ in 0..8 {
            assert_eq!(told(port, &bytes, what), Some(status), "{what}");
        }
    }
    Ws::joined(daemon.port).is_served();
}

#[test]
fn a_refusal_at_accept_reaches_whoever_is_still_sending() {
    let daemon = Daemon::with(Setup { limits: "connections_max = 40", ..Setup::default() });
    let ports = [daemon.port, daemon.admin];
    let crowd = ports.map(|port| fill(&daemon, port));
    let bytes = [head("/", 600_000).as_bytes(), b"\r\n", &[b'x'; 600_000][..]].concat();
    for port in ports {
        for _ in 0..8 {
            assert_eq!(told(port, &bytes, "refused"), Some(503));
        }
    }
    drop(crowd);
}

/// What three peers get who do not take their answer for the end.
#[test]
fn whoever_goes_on_after_its_answer_is_cut_at_a_bound() {
    let daemon = Daemon::start();
    // Of the one that is silent only a descriptor tells.
    let apart = Daemon::start();
    let start = |port: u16, length: usize| {
        let mut stream = connect(port);
        stream.write_all(format!("{}\r\nx", head(UNKNOWN, length)).as_bytes()).expect("it is open");
        let mut answer = [0; 512];
        let count = stream.read(&mut answer).expect("it is answered");
        assert_eq!(status_of(&String::from_utf8_lossy(&answer[..count])), Some(400));
        (stream, Instant::now())
    };
    let is_cut = |stream: &mut TcpStream| stream.write_all(b"x").is_err();
    thread::scope(|scope| {
        // It sends for ever: so many bytes.
        scope.spawn(|| {
            let (mut stream, begun) = start(daemon.port, 2_000_000_000);
            let chunk = vec![b'x'; 64 * 1024];
            let mut sent = 0;
            while stream.write_all(&chunk).is_ok() {
                sent += chunk.len();
                assert!(sent < 64 << 20, "it is never cut");
            }
            assert!(sent >= 12 << 20 && begun.elapsed() < Duration::from_secs(25), "{sent} {:?}", begun.elapsed());
        });
        // One byte a second: so long.
        scope.spawn(|| {
            let (mut stream, begun) = start(daemon.port, 2_000_000);
            while !is_cut(&mut stream) {
                assert!(begun.elapsed() < Duration::from_secs(45), "it is never cut");
                thread::sleep(Duration::from_secs(1));
            }
            assert!(begun.elapsed() > Duration::from_secs(25), "{:?}", begun.elapsed());
        });
        // It says nothing and never closes: not so long.
        scope.spawn(|| {
            // The connections of its start have gone by then.
            thread::sleep(Duration::from_secs(1));
            let before = apart.descriptors();
            let (stream, begun) = start(apart.port, 2_000_000);
            assert!(apart.descriptors() > before);
            assert_eq!(apart.figure("siod_lingering_connections"), 1.0);
            apart.until(Duration::from_secs(15), |daemon| daemon.descriptors() <= before);
            assert!(begun.elapsed() > Duration::from_secs(3), "{:?}", begun.elapsed());
            apart.until(QUICK, |daemon| daemon.figure("siod_lingering_connections") == 0.0);
            assert_eq!(apart.figure("siod_lingering_cut_total"), 1.0);
            drop(stream);
        });
    });
    Ws::joined(daemon.port).is_served();
    assert_eq!(daemon.figure("siod_lingering_cut_total"), 2.0);
}

/// As many peers at once as descriptors allow, all of whom send on after their early answers.
#[test]
fn a_crowd_that_goes_on_after_its_answers_keeps_nobody_waiting() {
    const CROWD: usize = 9_000;
    let daemon = Daemon::start();
    let mut neighbour = Ws::joined(daemon.port);
    let before = daemon.descriptors();
    let (done, ended) = std::sync::mpsc::channel::<()>();
    let port = daemon.port;
    let senders: Vec<_> = (0..4)
        .map(|_| {
            let done = done.clone();
            thread::spawn(move || {
                let request = format!("{}\r\nx", head(UNKNOWN, 2_000_000_000));
                let mut crowd: Vec<TcpStream> = Vec::new();
                for number in 0..CROWD / 4 {
                    let mut stream = connect(port);
                    stream.write_all(request.as_bytes()).expect("it is open");
                    let mut answer = [0; 512];
                    let count = stream.read(&mut answer).expect("it is answered");
                    assert_eq!(status_of(&String::from_utf8_lossy(&answer[..count])), Some(400));
                    stream.set_nonblocking(true).expect("a socket can be told so");
                    crowd.push(stream);
                    if number % 256 == 0 {
                        // Those who came first are not to be taken for silent.
                        crowd.iter_mut().for_each(|stream| drop(stream.write(b"x")));
                    }
                }
                let begun = Instant::now();
                let piece = [b'x'; 4096];
                // Everybody sends for ten seconds: one byte, or all that goes. A peer that has been cut by then was cut in time.
                while begun.elapsed() < Duration::from_secs(10) {
                    for (at, stream) in crowd.iter_mut().enumerate() {
                        let _ = stream.write(if at % 2 == 0 { &piece[..] } else { &piece[..1] });
                    }
                }
                drop(done);
                crowd
            })
        })
        .collect();
    drop(done);
    let (mut slowest, mut served) = (Duration::ZERO, 0);
    while ended.try_recv() != Err(std::sync::mpsc::TryRecvError::Disconnected) {
        let begun = Instant::now();
        neighbour.is_served();
        (slowest, served) = (slowest.max(begun.elapsed()), served + 1);
        thread::sleep(Duration::from_millis(20));
    }
    let crowds: Vec<Vec<TcpStream>> = senders.into_iter().map(|sender| sender.join().expect("it sends")).collect();
    assert_eq!(crowds.iter().map(Vec::len).sum::<usize>(), CROWD);
    assert!(served > 20 && slowest < Duration::from_secs(3), "{served} answers, the slowest after {slowest:?}");
    daemon.until(Duration::from_secs(45), |daemon| daemon.descriptors() <= before + 1);
    neighbour.is_served();
}

#[test]
fn requests_that_are_whole_keep_their_connection_whatever_they_are_answered() {
    let daemon = Daemon::start();
    let mut stream = connect(daemon.port);
    let whole = format!("{}\r\n40", head(UNKNOWN, 2));
    let last = "GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    stream.write_all((whole.repeat(3) + last).as_bytes()).expect("it is open");
    let answers = read_all(&mut stream);
    assert_eq!((answers.matches("HTTP/1.1 400").count(), answers.matches("HTTP/1.1 200").count()), (3, 1), "{answers}");
}
