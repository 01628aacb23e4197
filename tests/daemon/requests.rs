//! Requests as HTTP allows them: headers that change nothing, and several requests on one connection.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use socket2::SockRef;

use super::process::{Daemon, Polling, Ws, connect, read_all, status_of};

const HANDSHAKE: &str = "/socket.io/?EIO=4&transport=polling";
const UPGRADE: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

fn get(path: &str, headers: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: x\r\n{headers}\r\n")
}

fn post(path: &str, headers: &str, body: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n{headers}\r\n{body}", body.len())
}

fn send(stream: &mut TcpStream, bytes: &str) {
    stream.write_all(bytes.as_bytes()).expect("it is open");
}

/// One answer with a length, as text.
fn answer(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let mut byte = [0];
    while !bytes.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).unwrap_or_else(|error| panic!("{error} in {}", String::from_utf8_lossy(&bytes)));
        bytes.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&bytes).into_owned();
    let length = head.split_once("content-length: ").expect("an answer has a length").1;
    let length = length.split_once('\r').expect("a line ends").0.parse().expect("a number");
    let mut body = vec![0; length];
    stream.read_exact(&mut body).expect("the body comes");
    head + &String::from_utf8_lossy(&body)
}

fn body_of(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").expect("an answer has a head").1
}

/// A session that has joined.
fn joined(port: u16) -> Polling {
    let session = Polling::open(port);
    assert_eq!(session.post("40").body, "ok");
    assert!(session.get().body.ends_with("\u{1e}42[\"auth\",{}]"));
    session
}

#[test]
fn headers_that_change_nothing_change_nothing() {
    let daemon = Daemon::start();
    for headers in [
        "",
        "Content-Length: 0\r\n",
        "Connection: keep-alive\r\n",
        "Connection: Keep-Alive, TE\r\nTE: trailers\r\n",
        "Connection:\r\n",
        "Connection: upgrade\r\n",
        "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n",
        "Upgrade: websocket\r\n",
        "Upgrade: websocket\r\nConnection: keep-alive\r\n",
        "Keep-Alive: timeout=5\r\n",
        "Expect: 100-continue\r\n",
        "Content-Type: text/html\r\n",
        "Content-Encoding: identity\r\n",
        "Accept-Encoding: gzip, br\r\n",
        "Transfer-Encoding: chunked\r\n",
        "Range: bytes=0-1\r\nIf-None-Match: *\r\n",
        "Cookie: a=b\r\nCookie: c=d\r\n",
        "DNT: 1\r\nX-Requested-With: y\r\nPragma: no-cache\r\n",
    ] {
        // An empty body in chunks is one as well.
        let end = if headers.contains("chunked") { "0\r\n\r\n" } else { "" };
        let mut stream = connect(daemon.port);
        send(&mut stream, &(get(HANDSHAKE, headers) + end));
        let open = answer(&mut stream);
        assert_eq!(status_of(&open), Some(200), "handshake with {headers:?}: {open}");
        // The connection goes on.
        let sid = &open.split_once("\"sid\":\"").expect("it is open").1[..20];
        let path = format!("{HANDSHAKE}&sid={sid}");
        let of_post = headers.replace("Content-Length: 0\r\n", "");
        let (posted, expects) = match end {
            "" => (post(&path, &of_post, "40"), headers.contains("Expect")),
            _ => (format!("POST {path} HTTP/1.1\r\nHost: x\r\n{of_post}\r\n2\r\n40\r\n{end}"), false),
        };
        send(&mut stream, &posted);
        if expects {
            let mut went_on = [0; 25];
            stream.read_exact(&mut went_on).expect("it is told to go on");
            assert_eq!(&went_on, b"HTTP/1.1 100 Continue\r\n\r\n");
        }
        assert_eq!(body_of(&answer(&mut stream)), "ok", "POST with {headers:?}");
        send(&mut stream, &(get(&path, headers) + end));
        assert!(body_of(&answer(&mut stream)).starts_with("40{"), "GET with {headers:?}");
        // Nor is a WebSocket refused for any of them, with a session or without.
        if !headers.contains("Connection") && !headers.contains("Upgrade") && end.is_empty() {
            for path in [path.as_str(), "/socket.io/?EIO=4"] {
                let path = path.replace("&transport=polling", "") + "&transport=websocket";
                let mut stream = connect(daemon.port);
                send(&mut stream, &get(&path, &format!("{UPGRADE}{headers}")));
                let mut line = [0; 12];
                stream.read_exact(&mut line).expect("it is answered");
                assert_eq!(&line, b"HTTP/1.1 101", "WebSocket with {headers:?} on {path}");
            }
        }
    }
    Ws::joined(daemon.port).is_served();
}

/// A GET that is parked is answered by what the POST behind it brings, long before the next ping.
#[test]
fn a_request_behind_a_parked_one_is_read_when_it_comes() {
    let daemon = Daemon::start();
    let begun = Instant::now();
    let message = "42[\"message\",1]";
    for pieces in [1, 2, 7, 1_000] {
        let session = joined(daemon.port);
        let path = session.path();
        let mut stream = connect(daemon.port);
        stream.set_nodelay(true).expect("a socket can be told so");
        // The first request is whole: one in pieces would be hyper's.
        send(&mut stream, &get(&path, ""));
        let behind = post(&path, "", message) + &get("/health/live", "");
        let pieces = behind.len().min(pieces);
        for piece in behind.as_bytes().chunks(behind.len().div_ceil(pieces)) {
            std::thread::sleep(Duration::from_millis(if pieces > 10 { 0 } else { 20 }));
            stream.write_all(piece).expect("it is open");
        }
        // In order: the GET has the echo of what the POST behind it brought.
        assert_eq!(body_of(&answer(&mut stream)), "42[\"message-back\",1]", "in {pieces} pieces");
        assert_eq!(body_of(&answer(&mut stream)), "ok");
        assert!(answer(&mut stream).contains("\"status\":\"ok\""));
    }
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
}

#[test]
fn requests_of_a_kind_behind_each_other_are_no_overlap() {
    let daemon = Daemon::start();
    let session = joined(daemon.port);
    let path = session.path();
    let mut stream = connect(daemon.port);
    let echo = |number: u32| post(&path, "", &format!("42[\"message\",{number}]"));
    send(&mut stream, &(echo(1) + &get(&path, "") + &get(&path, "") + &echo(2) + &get(&path, "") + &echo(3)));
    let mut seen: Vec<String> = (0..3).map(|_| body_of(&answer(&mut stream)).to_owned()).collect();
    assert_eq!(seen.remove(0), "ok");
    // The second GET was asked when the first had been answered, and waits for nothing that lies behind it.
    assert!(seen.concat().contains("[\"message-back\",1]"), "{seen:?}");
    Ws::joined(daemon.port).is_served();
}

#[test]
fn many_sessions_may_share_one_connection_and_are_answered_in_order() {
    let daemon = Daemon::start();
    let sessions: Vec<Polling> = (0..40).map(|_| joined(daemon.port)).collect();
    let mut stream = connect(daemon.port);
    for (number, session) in sessions.iter().enumerate() {
        send(&mut stream, &post(&session.path(), "", &format!("42[\"message\",{number}]")));
    }
    send(&mut stream, &sessions.iter().map(|session| get(&session.path(), "")).collect::<String>());
    for _ in &sessions {
        assert_eq!(body_of(&answer(&mut stream)), "ok");
    }
    for number in 0..sessions.len() {
        let body = answer(&mut stream);
        assert!(body.contains(&format!("[\"message-back\",{number}]")), "{body}");
    }
}

/// A client that asks without reading, or sends without end behind a parked request, is held to what a connection may hold.
#[test]
fn what_lies_behind_a_parked_request_is_bounded() {
    let daemon = Daemon::start();
    let session = joined(daemon.port);
    let mut stream = connect(daemon.port);
    send(&mut stream, &get(&session.path(), ""));
    stream.set_write_timeout(Some(Duration::from_millis(500))).expect("a time limit can be set");
    let chunk = vec![b'x'; 64 * 1024];
    let taken = (0..1_000).take_while(|_| stream.write_all(&chunk).is_ok()).count();
    assert!(taken < 1_000, "all of it was read");
    Ws::joined(daemon.port).is_served();
    // Its end is its end: the session that was polled here goes with it. (Without a reset its end would lie behind all
    // that is not read.)
    SockRef::from(&stream).set_linger(Some(Duration::ZERO)).expect("a socket can be told to linger");
    drop(stream);
    daemon.until(Duration::from_secs(5), |daemon| daemon.figure("siod_connections{transport=\"polling\"}") == 0.0);

    let session = joined(daemon.port);
    let mut stream = connect(daemon.port);
    stream.set_write_timeout(Some(Duration::from_millis(500))).expect("a time limit can be set");
    let asks = get("/socket.io/?EIO=4&transport=polling&sid=nobody", "").repeat(100);
    let taken = (0..10_000).take_while(|_| stream.write_all(asks.as_bytes()).is_ok()).count();
    assert!(taken < 10_000, "its answers are kept somewhere");
    session.post("42[\"message\",1]");
    Ws::joined(daemon.port).is_served();
}

/// A line that ends is read to its end, whoever holds the connection.
#[test]
fn a_request_that_hyper_holds_is_followed_by_the_one_behind_it() {
    let daemon = Daemon::start();
    let session = joined(daemon.port);
    let path = session.path();
    let mut stream = connect(daemon.port);
    stream.set_nodelay(true).expect("a socket can be told so");
    // A head in two pieces is hyper's.
    let first = get(&path, "");
    send(&mut stream, &first[..20]);
    std::thread::sleep(Duration::from_millis(50));
    send(&mut stream, &(first[20..].to_owned() + &get("/health/live", "Connection: close\r\n")));
    assert_eq!(session.post("42[\"message\",1]").body, "ok");
    let rest = read_all(&mut stream);
    assert!(rest.contains("42[\"message-back\",1]") && rest.contains("\"status\":\"ok\""), "{rest}");
}
