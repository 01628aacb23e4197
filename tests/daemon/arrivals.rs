//! WebSockets of others than Socket.IO clients against the running daemon: `lab` echoes them at `/lab/link`. Each is asked for both
//! ways, in one piece, which the core answers by itself, and in two, which hyper does.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{self, Error, Message, WebSocket};

use super::process::{Answer, Daemon, Setup, Ws, ask, connect, get, parse, read_all};

const KEY: &str = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
const UPGRADE: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\n";
const VERSION: &str = "Sec-WebSocket-Version: 13\r\n";
const QUICK: Duration = Duration::from_secs(10);

/// A request for a link with these headers, and others.
fn asking(query: &str, headers: &str) -> String {
    format!("GET /lab/link?{query} HTTP/1.1\r\nHost: x\r\n{headers}\r\n")
}

fn handshake(query: &str) -> String {
    asking(query, &[UPGRADE, VERSION, KEY].concat())
}

/// Sends a request whole or in two pieces.
fn send(port: u16, request: &str, whole: bool) -> TcpStream {
    let mut stream = connect(port);
    let cut = if whole { request.len() } else { 30 };
    stream.write_all(&request.as_bytes()[..cut]).expect("it is open");
    if !whole {
        thread::sleep(Duration::from_millis(30));
        stream.write_all(&request.as_bytes()[cut..]).expect("it is open");
    }
    stream
}

/// What a request is answered, to the end of its connection.
fn answer(port: u16, request: &str, whole: bool) -> (String, Answer) {
    let text = read_all(&mut send(port, request, whole));
    let answer = parse(&text).unwrap_or_else(|| panic!("no answer: {text:?}"));
    (text, answer)
}

/// Reads the head of an answer.
fn head(stream: &mut TcpStream) -> String {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&head)));
        head.push(byte[0]);
    }
    String::from_utf8(head).expect("heads are text")
}

/// An open link, by hand.
fn raw(port: u16, query: &str, whole: bool) -> TcpStream {
    let mut stream = send(port, &handshake(query), whole);
    let head = head(&mut stream);
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
    stream
}

/// An open link, by a client that we did not write.
fn open(port: u16, query: &str) -> WebSocket<TcpStream> {
    let url = format!("ws://127.0.0.1:{port}/lab/link?{query}");
    tungstenite::client(url, connect(port)).expect("it is let in").0
}

#[track_caller]
fn echoes(link: &mut WebSocket<TcpStream>, text: &str) {
    link.send(Message::text(text)).expect("it is open");
    assert_eq!(link.read().expect("it comes back"), Message::text(text));
}

fn closed_with(link: &mut WebSocket<TcpStream>) -> Option<u16> {
    loop {
        match link.read() {
            Ok(Message::Close(frame)) => return frame.map(|frame| frame.code.into()),
            Ok(_) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn a_link_echoes_by_way_of_its_home_whichever_core_that_is_and_however_its_request_came() {
    let daemon = Daemon::start();
    for home in ["", "home=a", "home=b", "home=c", "home=d"] {
        let mut link = open(daemon.port, home);
        echoes(&mut link, "hello");
        let large = Message::binary(vec![7; 200_000]);
        link.send(large.clone()).expect("it is open");
        assert!(link.read().expect("it comes back") == large);
        link.send(Message::text("close")).expect("it is open");
        assert_eq!(closed_with(&mut link), Some(4_000));
        for whole in [true, false] {
            // The first byte of a frame comes behind the request, though it should have waited.
            let mut stream = send(daemon.port, &(handshake(home) + "\u{1}"), whole);
            let head = head(&mut stream);
            assert!(head.starts_with("HTTP/1.1 101") && !head.contains("protocol"), "{head}");
            stream.write_all(&[0x81, 0, 0, 0, 0, b'h', 0x80, 0x81, 0, 0, 0, 0, b'i']).expect("it is open");
            let mut frame = [0; 4];
            stream.read_exact(&mut frame).expect("it comes back");
            assert_eq!(frame, [0x81, 2, b'h', b'i'], "{home} {whole}");
        }
    }
}

#[test]
fn the_home_chooses_among_the_subprotocols_that_are_offered() {
    let daemon = Daemon::start();
    for whole in [true, false] {
        let request = asking("", &[UPGRADE, VERSION, KEY, "Sec-WebSocket-Protocol: json-rpc, other\r\n"].concat());
        let head = head(&mut send(daemon.port, &request, whole));
        assert!(head.contains("sec-websocket-protocol: json-rpc\r\n"), "{head}");
        assert!(head.contains("sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"), "{head}");
    }
}

#[test]
fn what_is_no_request_for_a_link_is_answered_as_http_and_its_home_hears_nothing() {
    let daemon = Daemon::start();
    let plain = get(daemon.port, "/lab/link").expect("it is answered");
    assert_eq!((plain.status, plain.body.contains("UPGRADE_REQUIRED")), (426, true), "{plain:?}");
    assert_eq!(ask(daemon.port, "POST", "/lab/link", "", "x").map(|answer| answer.status), Some(426));
    assert_eq!(get(daemon.port, "/lab/links").map(|answer| answer.status), Some(404));
    assert_eq!(get(daemon.port, "/link").map(|answer| answer.status), Some(404), "it is not bare");
    for whole in [true, false] {
        for (headers, status, says) in [
            ([UPGRADE, KEY, "Sec-WebSocket-Version: 12\r\n"], 400, "sec-websocket-version: 13, 8"),
            ([UPGRADE, KEY, ""], 400, "sec-websocket-version: 13, 8"),
            ([UPGRADE, VERSION, "Sec-WebSocket-Key: c2hvcnQ=\r\n"], 400, "Sec-WebSocket-Key"),
            ([UPGRADE, VERSION, ""], 400, "Sec-WebSocket-Key"),
        ] {
            let (text, answer) = answer(daemon.port, &asking("", &headers.concat()), whole);
            assert!(answer.status == status && text.contains(says), "{headers:?}: {text}");
        }
        let foreign = asking("", &[UPGRADE, VERSION, KEY, "Origin: https://elsewhere.example\r\n"].concat());
        assert_eq!(answer(daemon.port, &foreign, whole).1.status, 403);
        let forwarded = asking("", &[UPGRADE, VERSION, KEY, "X-Forwarded-For: 192.0.2.1\r\n"].concat());
        let development = answer(daemon.port, &forwarded, whole).0;
        assert!(development.contains("came through a proxy"), "{development}");
    }
}

#[test]
fn one_whom_its_home_refuses_reads_why_and_its_connection_ends() {
    let daemon = Daemon::start();
    for whole in [true, false] {
        for home in ["", "&home=a", "&home=b"] {
            let (text, refused) = answer(daemon.port, &handshake(&format!("refuse=403{home}")), whole);
            assert_eq!((refused.status, &*refused.body), (403, "not you"), "{text}");
            assert!(text.to_ascii_lowercase().contains("connection: close\r\n"), "{text}");
        }
        // A status that is none of a refusal.
        assert_eq!(answer(daemon.port, &handshake("refuse=200"), whole).1.status, 500);
        // The function that finds its home refuses it.
        let (text, refused) = answer(daemon.port, &handshake("home="), whole);
        assert!(refused.status == 400 && refused.body.contains("a home has a name"), "{text}");
    }
}

#[test]
fn crowds_of_arrivals_that_are_never_admitted_are_all_answered_and_nobody_else_notices() {
    const CROWD: usize = 2_300;
    const PLACES: usize = 2 * 1_024;
    let own = std::process::id().to_string();
    let raised = Command::new("prlimit").args(["--pid", &own, "--nofile=4000:"]).status();
    assert!(raised.expect("there is prlimit").success());
    let daemon = Daemon::start();
    let mut ws = Ws::joined(daemon.port);
    let request = handshake("hold=1");
    let crowd: Vec<TcpStream> = (0..CROWD).map(|at| send(daemon.port, &request, at % 50 != 0)).collect();
    ws.is_served();
    let mut busy = 0;
    for mut stream in crowd {
        stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a timeout can be set");
        let text = read_all(&mut stream);
        match parse(&text).map(|answer| answer.status) {
            Some(503) => {
                assert!(text.to_ascii_lowercase().contains("retry-after: 5\r\n"), "{text}");
                busy += 1;
            }
            status => assert_eq!(status, Some(504), "{text}"),
        }
    }
    assert!(busy >= CROWD - PLACES, "{busy} were turned away at once");
    assert_eq!(daemon.figure("siod_links_refused_total{app=\"lab\"}"), CROWD as f64);
    ws.is_served();
    echoes(&mut open(daemon.port, ""), "there is room again");
}

#[test]
fn one_who_leaves_while_it_waits_leaves_nothing_behind() {
    let daemon = Daemon::start();
    echoes(&mut open(daemon.port, ""), "first");
    get(daemon.port, "/health/live");
    let before = daemon.descriptors();
    for whole in [true, false] {
        let crowd: Vec<TcpStream> = (0..50).map(|_| send(daemon.port, &handshake("hold=1"), whole)).collect();
        let waiting = "siod_links_opening{app=\"lab\",kind=\"arrived\"}";
        daemon.until(QUICK, |daemon| daemon.figure(waiting) == 50.0);
        drop(crowd);
        daemon.until(QUICK, |daemon| daemon.figure(waiting) == 0.0 && daemon.descriptors() <= before + 1);
    }
    assert_eq!(daemon.figure("siod_links_closed_total{app=\"lab\",kind=\"arrived\",why=\"cut\"}"), 101.0);
    let detailed = get(daemon.admin, "/health/detailed").expect("it is answered").body;
    assert!(detailed.contains(r#""cut":101"#) && detailed.contains(r#""kind":"arrived""#), "{detailed}");
}

#[test]
fn what_breaks_a_rule_is_told_by_a_close_code() {
    let daemon = Daemon::start();
    let large = [&[0x82, 0x8B, 0, 0, 0, 0][..], &[7; 11]].concat();
    for (what, bytes, code) in [
        ("unmasked", &[0x81, 2, b'h', b'i'][..], 1_002_u16),
        ("reserved bits", &[0xF1, 0x80, 0, 0, 0, 0], 1_002),
        ("no UTF-8", &[0x81, 0x81, 0, 0, 0, 0, 0xFF], 1_007),
        ("over the limit", &large, 1_009),
        ("HTTP", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", 1_002),
    ] {
        for home in ["", "&home=a", "&home=b"] {
            let mut stream = raw(daemon.port, &format!("max=10{home}"), true);
            stream.write_all(bytes).expect("it is open");
            let mut frame = [0; 4];
            stream.read_exact(&mut frame).unwrap_or_else(|error| panic!("{what}: {error}"));
            let [high, low] = code.to_be_bytes();
            assert_eq!(frame, [0x88, 2, high, low], "{what}");
            assert_eq!(stream.read(&mut frame).expect("it ends"), 0, "{what}");
        }
    }
    echoes(&mut open(daemon.port, "max=10"), "ten bytes!");
}

#[test]
fn a_link_that_breaks_off_in_mid_message_or_is_silent_leaves_nothing_behind() {
    let daemon = Daemon::start();
    echoes(&mut open(daemon.port, ""), "first");
    get(daemon.port, "/health/live");
    let before = daemon.descriptors();
    for _ in 0..20 {
        let mut broken = raw(daemon.port, "home=a", true);
        broken.write_all(&[0x81, 0xFE, 1, 0, 0, 0, 0, 0, b'h']).expect("it is open");
    }
    let mut silent = raw(daemon.port, "ping=200", false);
    let mut frames = Vec::new();
    silent.read_to_end(&mut frames).expect("it ends");
    let close = [&[0x88, 22, 3, 0xF0][..], b"no answer to a ping"].concat();
    assert_eq!(frames, [&[0x89, 0][..], &[0x88, 21, 3, 0xF0], b"no answer to a ping"].concat(), "{close:?}");
    drop(silent);
    daemon.until(QUICK, |daemon| daemon.descriptors() <= before + 1);
}

/// Writes frames for as long as the peer takes them, and says whether it ended.
fn floods(stream: &mut TcpStream, until: &AtomicBool) -> bool {
    let frame = [&[0x82, 0xFE, 0x40, 0, 0, 0, 0, 0][..], &[7; 0x4000]].concat();
    stream.set_write_timeout(Some(Duration::from_millis(200))).expect("a timeout can be set");
    while !until.load(Ordering::Relaxed) {
        match stream.write(&frame) {
            // A part of a frame makes the rest garbage: whole ones alone are written after it.
            Ok(count) if count == frame.len() => {}
            Ok(count) => {
                let mut rest = &frame[count..];
                while !rest.is_empty() && !until.load(Ordering::Relaxed) {
                    match stream.write(rest) {
                        Ok(count) => rest = &rest[count..],
                        Err(error) if is_timeout(&error) => {}
                        Err(_) => return true,
                    }
                }
            }
            Err(error) if is_timeout(&error) => {}
            Err(_) => return true,
        }
    }
    false
}

fn is_timeout(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

/// Turns so far, and those of them that took longer than about half a second, by `/metrics`.
fn turns(daemon: &Daemon) -> (f64, f64) {
    let text = get(daemon.admin, "/metrics").expect("it can be scraped").body;
    let value = |line: &str| line.rsplit_once(' ').and_then(|(_, value)| value.parse::<f64>().ok()).expect("a number");
    let count =
        text.lines().find(|line| line.starts_with("siod_turn_seconds_count")).map(value).expect("there are turns");
    let below = text.lines().filter_map(|line| line.strip_prefix("siod_turn_seconds_bucket{le=\""));
    let below =
        below.filter(|rest| rest.split_once('"').is_some_and(|(le, _)| le.parse::<f64>().is_ok_and(|le| le < 0.6)));
    (count, count - below.map(value).fold(0.0, f64::max))
}

#[test]
fn no_turn_is_slow_while_links_are_stopped_slow_and_flooding() {
    let daemon = Daemon::start();
    let mut ws = Ws::joined(daemon.port);
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let enders: Vec<_> = ["", "home=a", "home=b"]
            .into_iter()
            .flat_map(|home| {
                // One that never reads, and one that reads a little now and then, and both send all they can.
                let stopped = raw(daemon.port, home, true);
                let slow = raw(daemon.port, home, true);
                let mut reader = slow.try_clone().expect("a descriptor can be copied");
                let over = &over;
                scope.spawn(move || {
                    let mut buffer = [0; 1_000];
                    while !over.load(Ordering::Relaxed) && reader.read(&mut buffer).is_ok_and(|count| count > 0) {
                        thread::sleep(Duration::from_millis(5));
                    }
                });
                [stopped, slow].map(|mut stream| scope.spawn(move || floods(&mut stream, over)))
            })
            .collect();
        // Many that ask and are not let in.
        let _waiting: Vec<TcpStream> = (0..100).map(|_| send(daemon.port, &handshake("hold=1"), true)).collect();
        let mut polite = open(daemon.port, "home=a");
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(3) {
            ws.is_served();
            echoes(&mut polite, "among them");
        }
        let (turns, slow) = turns(&daemon);
        assert!(turns > 100.0 && slow <= turns / 100.0, "{slow} of {turns} turns took long");
        over.store(true, Ordering::Relaxed);
        for ender in enders {
            ender.join().expect("it does not panic");
        }
    });
}

#[test]
fn one_that_never_reads_is_closed_and_what_it_held_comes_back() {
    let daemon = Daemon::start();
    echoes(&mut open(daemon.port, ""), "first");
    let before = daemon.descriptors();
    for home in ["", "home=a", "home=b"] {
        let mut stopped = raw(daemon.port, home, true);
        assert!(floods(&mut stopped, &AtomicBool::new(false)));
    }
    daemon.until(QUICK, |daemon| daemon.descriptors() <= before + 1);
    assert_eq!(daemon.figure("siod_outbox_bytes"), 0.0);
    assert_eq!(daemon.figure("siod_links_closed_total{app=\"lab\",kind=\"arrived\",why=\"too_slow\"}"), 3.0);
}

#[test]
fn a_drain_closes_links_with_1001_and_a_killed_daemon_lets_them_come_again() {
    let mut daemon = Daemon::with(Setup { server: "drain_timeout_s = 10", ..Setup::default() });
    let mut links: Vec<WebSocket<TcpStream>> = ["", "home=a", "home=b"].map(|home| open(daemon.port, home)).into();
    let waiting = send(daemon.port, &handshake("hold=1"), true);
    links.iter_mut().for_each(|link| echoes(link, "there"));
    daemon.signal("-TERM");
    let codes: Vec<Option<u16>> = links.iter_mut().map(closed_with).collect();
    assert_eq!(codes, [Some(1_001); 3]);
    let mut waiting = waiting;
    assert_eq!(parse(&read_all(&mut waiting)).map(|answer| answer.status), Some(503));
    // Their side of the closing handshake.
    links.iter_mut().for_each(|link| while link.read().is_ok() {});
    drop((links, waiting));
    assert_eq!(daemon.exit_code(QUICK), 0, "{}", daemon.log());
    daemon.start_again();
    let mut link = open(daemon.port, "home=a");
    echoes(&mut link, "again");
    daemon.kill();
    assert!(matches!(link.read(), Err(Error::ConnectionClosed | Error::Io(_) | Error::Protocol(_))));
    daemon.start_again();
    echoes(&mut open(daemon.port, "home=a"), "and again");
}

#[test]
fn a_client_that_offers_a_subprotocol_gets_it() {
    let daemon = Daemon::start();
    let mut request = format!("ws://127.0.0.1:{}/lab/link", daemon.port).into_client_request().expect("a URL");
    request.headers_mut().insert("Sec-WebSocket-Protocol", "json-rpc".parse().expect("a value"));
    let (mut link, response) = tungstenite::client(request, connect(daemon.port)).expect("it is let in");
    assert_eq!(response.headers()["sec-websocket-protocol"], "json-rpc");
    echoes(&mut link, "{\"id\":1}");
}
