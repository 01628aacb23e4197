//! Proxies in front of the daemon, and peers that pretend to be some (F-22, T-16): whose each connection and request is, what
//! malformed and hostile heads and headers get, and that nobody else notices. The listed proxy is 127.0.0.2.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

use super::process::{Answer, Daemon, SECRET, Setup, Ws, parse, read_all, status_of};

const PROXY: u8 = 2;
const STRANGER: u8 = 3;
const TRUSTED: &str = "trusted_proxies = [\"127.0.0.2\"]";
const ANNOUNCED: &str = "trusted_proxies = [\"127.0.0.2\"]\nproxy_protocol = true";
const HANDSHAKE: &str = "/socket.io/?EIO=4&transport=polling";
const HEALTH: &str = "GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
const LINE: &str = "PROXY TCP4 192.0.2.1 127.0.0.1 4711 443\r\n";

/// In production mode, talkative.
fn daemon(listener: &'static str, limits: &'static str) -> Daemon {
    const SECTIONS: &str = "[auth]\nmode = \"jwt\"\n[log]\nlevel = \"debug\"\nformat = \"json\"\n";
    let environment = vec![("SIOD__AUTH__JWT_SECRET", SECRET)];
    Daemon::with(Setup { listener, limits, sections: SECTIONS, environment, ..Setup::default() })
}

/// A connection from `127.0.0.<last>`.
fn from(last: u8, port: u16) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.bind(&SocketAddr::from(([127, 0, 0, last], 0)).into()).expect("all of 127/8 is ours");
    socket.connect(&SocketAddr::from(([127, 0, 0, 1], port)).into()).expect("it takes a connection");
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(Duration::from_secs(15))).expect("a socket can be told to");
    stream
}

/// All that is answered to some bytes of `127.0.0.<last>`, sent in pieces of `size`.
fn exchange(last: u8, port: u16, bytes: &[u8], size: usize) -> String {
    let mut stream = from(last, port);
    stream.set_nodelay(true).expect("a socket can be told to");
    for piece in bytes.chunks(size) {
        // It may be refused before it has been sent whole.
        if stream.write_all(piece).is_err() {
            break;
        }
        if size < bytes.len() {
            thread::sleep(Duration::from_millis(1));
        }
    }
    read_all(&mut stream)
}

/// One request of `127.0.0.<last>`; `headers` end in CR and LF.
fn ask(last: u8, port: u16, target: &str, headers: &str) -> Answer {
    let host = if headers.starts_with("Host:") { "" } else { "Host: x\r\n" };
    let request = format!("{target} HTTP/1.1\r\n{host}Connection: close\r\nContent-Length: 0\r\n{headers}\r\n");
    let text = exchange(last, port, request.as_bytes(), usize::MAX);
    parse(&text).unwrap_or_else(|| panic!("no answer to {target} with {headers:?}: {text}"))
}

fn handshake(last: u8, port: u16, headers: &str) -> Answer {
    ask(last, port, &format!("GET {HANDSHAKE}"), headers)
}

/// Opens a WebSocket session, its head in pieces of `size`; `None`: it is refused with 503.
fn websocket(last: u8, port: u16, before: &str, headers: &str, size: usize) -> Option<TcpStream> {
    websocket_at("/socket.io/?EIO=4&transport=websocket", last, port, before, headers, size)
}

/// As [`websocket`], at another path.
fn websocket_at(path: &str, last: u8, port: u16, before: &str, headers: &str, size: usize) -> Option<TcpStream> {
    let head = format!(
        "{before}GET {path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}\r\n"
    );
    let mut stream = from(last, port);
    for piece in head.as_bytes().chunks(size) {
        stream.write_all(piece).expect("it reads");
        if size < head.len() {
            thread::sleep(Duration::from_millis(20));
        }
    }
    let mut start = [0; 12];
    std::io::Read::read_exact(&mut stream, &mut start).expect("it is answered");
    match &start {
        b"HTTP/1.1 101" => Some(stream),
        b"HTTP/1.1 503" => None,
        other => panic!("{}", String::from_utf8_lossy(other)),
    }
}

fn version_2(client: [u8; 4], blocks: &[u8]) -> Vec<u8> {
    let length = (12 + blocks.len()) as u16;
    let addresses = [&client[..], &[127, 0, 0, 1, 0, 1, 0, 2]].concat();
    [b"\r\n\r\n\0\r\nQUIT\n\x21\x11", &length.to_be_bytes()[..], &addresses, blocks].concat()
}

#[test]
fn f22_sessions_through_a_proxy_count_for_their_clients_and_give_their_places_back() {
    let daemon = daemon(TRUSTED, "connections_per_ip_max = 2");
    let open = |client: &str| handshake(PROXY, daemon.port, &format!("X-Forwarded-For: {client}\r\n"));
    let first = open("192.0.2.1");
    assert_eq!((first.status, open("192.0.2.1").status), (200, 200));
    assert_eq!(open("192.0.2.1").status, 503);
    // What the client itself has written changes nothing, nor that it says it were a proxy.
    assert_eq!(open("192.0.2.7, 192.0.2.1").status, 503);
    assert_eq!(open("127.0.0.2, 192.0.2.1, 127.0.0.2").status, 503);
    assert_eq!(handshake(PROXY, daemon.port, "Forwarded: for=\"192.0.2.1:80\"\r\n").status, 503);
    assert_eq!(open("192.0.2.2").status, 200);
    // Whole and in pieces: not every handshake takes the same way.
    for (client, size) in [("192.0.2.3", usize::MAX), ("192.0.2.4", 90)] {
        let header = format!("X-Forwarded-For: {client}\r\n");
        let mut held: Vec<TcpStream> =
            (0..2).map(|_| websocket(PROXY, daemon.port, "", &header, size).expect("there is a place")).collect();
        assert!(websocket(PROXY, daemon.port, "", &header, size).is_none(), "{size}");
        held.pop();
        daemon.until(Duration::from_secs(5), |daemon| {
            websocket(PROXY, daemon.port, "", &header, size).is_some_and(|again| {
                drop(again);
                true
            })
        });
    }
    // A session that ends makes room.
    let sid = &first.body.split_once("\"sid\":\"").expect("it has a sid").1[..20];
    let mut goodbye = from(PROXY, daemon.port);
    let head =
        format!("POST {HANDSHAKE}&sid={sid} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 1\r\n\r\n1");
    goodbye.write_all(head.as_bytes()).expect("it reads");
    assert_eq!(status_of(&read_all(&mut goodbye)), Some(200));
    daemon.until(Duration::from_secs(5), |_| open("192.0.2.1").status == 200);
    // The log names the client.
    daemon.until(Duration::from_secs(5), |daemon| daemon.log().contains("\"ip\":\"192.0.2.1\""));
}

#[test]
fn f22_links_through_a_proxy_count_for_their_clients_while_they_wait_and_give_their_places_back() {
    let daemon = daemon(TRUSTED, "connections_per_ip_max = 2");
    for (client, home, size) in [
        ("192.0.2.1", "", usize::MAX),
        ("192.0.2.2", "", 90),
        ("192.0.2.3", "home=a", usize::MAX),
        ("192.0.2.4", "home=b", 90),
    ] {
        let header = format!("X-Forwarded-For: {client}\r\n");
        let link = |query: &str| {
            let path = format!("/lab/link?{query}&{home}");
            websocket_at(&path, PROXY, daemon.port, "", &header, size)
        };
        let (held, _other) = (link("").expect("there is a place"), link("").expect("there is another"));
        assert!(link("").is_none(), "{client}");
        drop(held);
        daemon.until(Duration::from_secs(5), |_| link("").is_some());
        // A place that is held while its home decides comes back when that refuses.
        let refused = |daemon: &Daemon| daemon.figure("siod_links_refused_total{app=\"lab\"}");
        let before = refused(&daemon);
        daemon.until(Duration::from_secs(5), |daemon| link("refuse=503").is_none() && refused(daemon) >= before + 3.0);
        daemon.until(Duration::from_secs(5), |_| link("").is_some());
    }
}

#[test]
fn f22_who_is_not_listed_counts_itself_whatever_it_says() {
    let daemon = daemon(TRUSTED, "connections_per_ip_max = 2");
    let held: Vec<TcpStream> = (0..2)
        .map(|index| {
            let headers = format!("X-Forwarded-For: 192.0.2.{index}\r\nForwarded: for=\"\r\n");
            websocket(STRANGER, daemon.port, "", &headers, usize::MAX).expect("there is a place")
        })
        .collect();
    assert_eq!(status_of(&exchange(STRANGER, daemon.port, HEALTH.as_bytes(), usize::MAX)), Some(503));
    drop(held);
}

#[test]
fn t09_f22_handshakes_through_a_proxy_have_the_rate_of_their_clients() {
    let daemon = daemon(TRUSTED, "handshakes_per_ip_per_s_max = 5");
    let open = |client: &str| handshake(PROXY, daemon.port, &format!("X-Forwarded-For: {client}\r\n")).status;
    let begun = Instant::now();
    let refused = (0..30).filter(|_| open("192.0.2.1") == 503).count();
    let refilled = begun.elapsed().as_secs_f64() * 5.0;
    assert!(refused as f64 >= 24.0 - refilled, "{refused} of 30 were refused in {:?}", begun.elapsed());
    assert_eq!(open("192.0.2.2"), 200);
}

#[test]
fn f22_forwarding_headers_that_are_malformed_doubled_or_giant() {
    let daemon = daemon(TRUSTED, "");
    let giant = format!("X-Forwarded-For: {}\r\n", "192.0.2.1, ".repeat(1_000));
    let too_large = format!("X-Forwarded-For: {}\r\n", "192.0.2.1, ".repeat(2_000));
    let giant_forwarded = format!("Forwarded: {}for=192.0.2.1\r\n", "for=192.0.2.9,".repeat(1_000));
    for (headers, expected) in [
        ("X-Forwarded-For: unknown\r\n", 200),
        ("X-Forwarded-For: \r\n", 200),
        ("X-Forwarded-For: 999.1.1.1, <script>\r\n", 200),
        ("X-Forwarded-For: \u{e9}\u{202e}\r\n", 200),
        ("X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-For: 192.0.2.2\r\n", 200),
        ("Forwarded: for=192.0.2.1\r\nForwarded: for=192.0.2.2;proto=https\r\n", 200),
        ("Forwarded: for=_hidden\r\n", 200),
        (&giant, 200),
        (&giant_forwarded, 200),
        (&too_large, 431),
        ("Forwarded: for=\"192.0.2.1\r\n", 400),
        ("Forwarded: for=192.0.2.1;for=192.0.2.2\r\n", 400),
        ("Forwarded: 192.0.2.1\r\n", 400),
        ("Forwarded: for=\u{e9}\r\n", 400),
        ("X-Forwarded-For: 192.0.2.1\r\nForwarded: for=192.0.2.2\r\n", 400),
        ("X-Forwarded-For: 192.0.2.1\r\nForwarded: for=192.0.2.1\r\n", 200),
        ("X-Forwarded-Proto: gopher\r\nX-Forwarded-Host: \u{e9}, x\r\nX-Forwarded-Host: y\r\n", 200),
    ] {
        let shown = &headers[..headers.len().min(60)].to_owned();
        assert_eq!(handshake(PROXY, daemon.port, headers).status, expected, "a handshake with {shown:?}");
        assert_eq!(ask(PROXY, daemon.port, "GET /health/live", headers).status, expected, "a request with {shown:?}");
        // The others say nothing about proxies, whatever they say.
        let expected = if expected == 431 { 431 } else { 200 };
        assert_eq!(handshake(STRANGER, daemon.port, headers).status, expected, "a stranger's with {shown:?}");
    }
}

#[test]
fn f22_a_page_is_of_the_host_that_the_proxy_was_asked_for() {
    let daemon = daemon(TRUSTED, "");
    let origin = "Origin: https://panel.example\r\n";
    for (forwarded, of_proxy, of_stranger) in [
        ("X-Forwarded-Host: panel.example\r\nX-Forwarded-Proto: https\r\n", 200, 403),
        ("X-Forwarded-Host: panel.example:443\r\n", 200, 403),
        ("X-Forwarded-Host: other.example\r\n", 403, 403),
        ("X-Forwarded-Host: panel.example, x\r\n", 403, 403),
        ("X-Forwarded-Host: panel.example\r\nX-Forwarded-Host: panel.example\r\n", 403, 403),
        ("X-Forwarded-Host: \r\n", 403, 403),
    ] {
        let headers = format!("{origin}{forwarded}");
        assert_eq!(handshake(PROXY, daemon.port, &headers).status, of_proxy, "{forwarded}");
        assert_eq!(handshake(STRANGER, daemon.port, &headers).status, of_stranger, "{forwarded}");
    }
}

#[test]
fn f22_proxy_heads_whole_in_single_bytes_cut_too_long_and_missing() {
    let daemon = daemon(ANNOUNCED, "");
    let line = |line: &str| [line, HEALTH].concat().into_bytes();
    let binary = |head: Vec<u8>| [head, HEALTH.into()].concat();
    let mut family = version_2([192, 0, 2, 1], b"");
    family[13] = 0x41;
    for (what, bytes, expected) in [
        ("version 1", line(LINE), 200),
        ("version 1, of IPv6", line("PROXY TCP6 2001:db8::1 ::1 1 2\r\n"), 200),
        ("version 1, for nobody", line("PROXY UNKNOWN\r\n"), 200),
        ("version 2", binary(version_2([192, 0, 2, 1], b"")), 200),
        ("version 2 with unknown blocks", binary(version_2([192, 0, 2, 1], b"\xee\0\x01x\x01\xff\xffh")), 200),
        ("version 2 of 536 bytes", binary(version_2([192, 0, 2, 1], &[4; 508])), 200),
        ("version 2 of 537 bytes", binary(version_2([192, 0, 2, 1], &[4; 509])), 400),
        ("version 2 of a health check", binary(b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0".to_vec()), 200),
        ("version 2, an unknown family", binary(family), 400),
        ("version 1, another protocol", line("PROXY UDP4 192.0.2.1 127.0.0.1 1 2\r\n"), 400),
        ("version 1, no addresses", line("PROXY TCP4 a b 1 2\r\n"), 400),
        ("version 1, too long", line(&format!("PROXY UNKNOWN {}\r\n", "x".repeat(200))), 400),
        ("none", HEALTH.into(), 400),
        ("two", line(&[LINE, LINE].concat()), 400),
        ("nonsense", vec![0xff; 600], 400),
    ] {
        for size in [usize::MAX, 1] {
            let answer = exchange(PROXY, daemon.port, &bytes, size);
            assert_eq!(status_of(&answer), Some(expected), "{what} in pieces of {size}: {answer}");
        }
    }
    let cut = |bytes: &[u8]| {
        let mut stream = from(PROXY, daemon.port);
        stream.write_all(bytes).expect("it reads");
        stream.shutdown(std::net::Shutdown::Write).expect("it is open");
        read_all(&mut stream)
    };
    assert_eq!(cut(&LINE.as_bytes()[..20]), "", "a head that ends early is no request");
    assert_eq!(cut(&version_2([192, 0, 2, 1], b"")[..20]), "");
    // A peer that is not listed has no head to send.
    assert_eq!(status_of(&exchange(STRANGER, daemon.port, HEALTH.as_bytes(), usize::MAX)), Some(200));
    assert_eq!(status_of(&exchange(STRANGER, daemon.port, &line(LINE), usize::MAX)), Some(400));
    assert!(daemon.log().contains("refused"), "a head that is refused is in the log");
}

#[test]
fn f22_a_proxy_head_where_none_is_wanted_is_a_bad_request() {
    let daemon = daemon(TRUSTED, "");
    for head in [LINE.as_bytes().to_vec(), version_2([192, 0, 2, 1], b"")] {
        for last in [PROXY, STRANGER] {
            let answer = exchange(last, daemon.port, &[&head[..], HEALTH.as_bytes()].concat(), usize::MAX);
            assert_eq!(status_of(&answer), Some(400), "{answer}");
        }
    }
}

#[test]
fn t03_f22_a_proxy_head_has_the_time_of_a_head_and_those_who_hold_it_back_cost_nobody() {
    let daemon = daemon(ANNOUNCED, "");
    let begun = Instant::now();
    let mut slow: Vec<TcpStream> = (0..100).map(|_| from(PROXY, daemon.port)).collect();
    for (index, stream) in slow.iter_mut().enumerate() {
        stream.write_all(&LINE.as_bytes()[..index % LINE.len()]).expect("it reads");
    }
    let health = || status_of(&exchange(PROXY, daemon.port, &[LINE, HEALTH].concat().into_bytes(), usize::MAX));
    while begun.elapsed() < Duration::from_secs(3) {
        let asked = Instant::now();
        assert_eq!(health(), Some(200));
        assert!(asked.elapsed() < Duration::from_secs(3), "{:?}", asked.elapsed());
    }
    for stream in &mut slow {
        assert_eq!(read_all(stream), "");
    }
    assert!((9..15).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
}

#[test]
fn f22_a_connection_that_is_announced_takes_a_place_of_its_client() {
    let daemon = daemon(ANNOUNCED, "connections_per_ip_max = 2");
    let head = |client: u8| version_2([192, 0, 2, client], b"");
    // Sessions on such connections take no second place.
    let hold = |client: u8| {
        let line = format!("PROXY TCP4 192.0.2.{client} 127.0.0.1 4711 443\r\n");
        websocket(PROXY, daemon.port, &line, "", usize::MAX).expect("there is a place")
    };
    let health = |client: u8| {
        let bytes = [&head(client)[..], HEALTH.as_bytes()].concat();
        status_of(&exchange(PROXY, daemon.port, &bytes, usize::MAX))
    };
    let mut held = vec![hold(1), hold(1)];
    assert_eq!(health(1), Some(503));
    assert_eq!(health(9), Some(200), "another client has places of its own");
    // What it says about others is not asked: it is no proxy.
    let spoofed = [&head(1)[..], HEALTH.replacen("Host", "X-Forwarded-For: 192.0.2.8\r\nHost", 1).as_bytes()].concat();
    assert_eq!(status_of(&exchange(PROXY, daemon.port, &spoofed, usize::MAX)), Some(503));
    held.pop();
    daemon.until(Duration::from_secs(5), |_| health(1) == Some(200));
}

#[test]
fn f22_proxies_in_a_row_the_first_one_announces_and_the_second_one_writes_headers() {
    let daemon = daemon(
        "trusted_proxies = [\"127.0.0.2\", \"10.0.0.0/8\"]\nproxy_protocol = true",
        "connections_per_ip_max = 1",
    );
    let open = |headers: &str| {
        let head = format!(
            "PROXY TCP4 10.1.2.3 127.0.0.1 1 2\r\nGET {HANDSHAKE} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        );
        status_of(&exchange(PROXY, daemon.port, format!("{head}{headers}\r\n").as_bytes(), usize::MAX))
    };
    assert_eq!(open("X-Forwarded-For: 192.0.2.1\r\n"), Some(200));
    assert_eq!(open("X-Forwarded-For: 192.0.2.1, 10.9.9.9\r\n"), Some(503));
    assert_eq!(open("X-Forwarded-For: 192.0.2.2\r\n"), Some(200));
}

#[test]
fn f22_t32_the_admin_listener_has_the_same_rules() {
    let metrics = |last: u8, port: u16, headers: &str| ask(last, port, "GET /metrics", headers);
    // Without a token this machine is trusted, and a proxy on it is not this machine.
    let daemon = Daemon::start();
    assert_eq!(metrics(1, daemon.admin, "Host: 127.0.0.1\r\n").status, 200);
    for header in ["X-Forwarded-For: 127.0.0.1", "Forwarded: for=127.0.0.1", "Via: 1.1 x", "X-Real-IP: ::1"] {
        let answer = metrics(1, daemon.admin, &format!("Host: 127.0.0.1\r\n{header}\r\n"));
        assert!(answer.status == 403 && answer.body.contains("SIOD__ADMIN__TOKEN"), "{header}: {answer:?}");
    }
    let environment = vec![
        ("SIOD__ADMIN__TOKEN", "adm-0123456789abcdef"),
        ("SIOD__ADMIN__TRUSTED_PROXIES", "127.0.0.2"),
        ("SIOD__ADMIN__PROXY_PROTOCOL", "true"),
    ];
    let daemon = Daemon::with(Setup { environment, ..Setup::default() });
    let token = "Authorization: Bearer adm-0123456789abcdef\r\n";
    assert_eq!(metrics(STRANGER, daemon.admin, &format!("Host: x\r\nX-Forwarded-For: a\r\n{token}")).status, 200);
    let request = format!("GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{token}\r\n");
    for (head, expected) in [
        (LINE.as_bytes().to_vec(), Some(200)),
        (version_2([192, 0, 2, 1], b"\x04\0\x01x"), Some(200)),
        (b"PROXY UNKNOWN\r\n".to_vec(), Some(200)),
        (b"PROXY TCP4 x\r\n".to_vec(), Some(400)),
        (version_2([192, 0, 2, 1], &[4; 509]), Some(400)),
        (Vec::new(), Some(400)),
    ] {
        for size in [usize::MAX, 1] {
            let answer = exchange(PROXY, daemon.admin, &[&head[..], request.as_bytes()].concat(), size);
            assert_eq!(status_of(&answer), expected, "{head:?} in pieces of {size}: {answer}");
        }
    }
}

#[test]
fn f22_in_development_mode_what_came_through_a_proxy_is_refused_with_the_line_that_mends_it() {
    let daemon = Daemon::with(Setup { listener: ANNOUNCED, ..Setup::default() });
    let mut ws = Ws::joined(daemon.port);
    let mends =
        |answer: &Answer| answer.body.contains("SIOD__AUTH__MODE=jwt") && answer.body.contains("trusted_proxies");
    for header in ["X-Forwarded-For: 192.0.2.1", "Forwarded: for=192.0.2.1", "X-Forwarded-Proto: https", "Via: 1.1 x"] {
        for target in [
            "GET /socket.io/?EIO=4&transport=polling",
            "POST /socket.io/?EIO=4&transport=polling&sid=nobody",
            "GET /health/live",
            "GET /",
        ] {
            let answer = ask(1, daemon.port, target, &format!("{header}\r\n"));
            assert!(answer.status == 403 && mends(&answer), "{target} with {header}: {answer:?}");
        }
        let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
            Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
        let head =
            format!("GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\n{upgrade}{header}\r\n\r\n");
        let answer = exchange(1, daemon.port, head.as_bytes(), usize::MAX);
        assert_eq!(status_of(&answer), Some(403), "{answer}");
    }
    let announced = exchange(PROXY, daemon.port, &[LINE, HEALTH].concat().into_bytes(), usize::MAX);
    assert!(parse(&announced).is_some_and(|answer| answer.status == 403 && mends(&answer)), "{announced}");
    // A health check of the proxy's own is nobody's request.
    let check = exchange(PROXY, daemon.port, &["PROXY UNKNOWN\r\n", HEALTH].concat().into_bytes(), usize::MAX);
    assert_eq!(status_of(&check), Some(200));
    ws.is_served();
}
