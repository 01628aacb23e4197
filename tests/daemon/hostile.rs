//! Hostile and broken peers against the running daemon. "It serves" always means: it lives, a client that was there before
//! is served as before, and what the offender held has come back.

use std::cell::RefCell;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use socket2::{Domain, SockRef, Socket, Type};

use super::process::{Daemon, Polling, Setup, Ws, ask, connect, get, read_all, status_of, try_connect};

const UPGRADE: &str = "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n\
    Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// Ends a connection by a reset.
fn reset(stream: TcpStream) {
    SockRef::from(&stream).set_linger(Some(Duration::ZERO)).expect("a socket can be told to linger");
}

/// What an exchange of bytes brings until the end.
fn exchange(port: u16, bytes: &[u8]) -> String {
    let mut stream = connect(port);
    // It may be refused before it has been sent whole.
    let _ = stream.write_all(bytes);
    read_all(&mut stream)
}

/// Processor time taken in one second, by the kernel's account.
fn cpu_of_a_second(daemon: &Daemon) -> f64 {
    let ticks = || {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", daemon.id())).expect("it lives");
        let after = stat.rsplit_once(')').expect("the name is in parentheses").1;
        after.split_whitespace().skip(11).take(2).map(|field| field.parse::<f64>().expect("a number")).sum::<f64>()
    };
    let before = ticks();
    thread::sleep(Duration::from_secs(1));
    (ticks() - before) / 100.0
}

#[test]
fn f10_out_of_descriptors_it_serves_whom_it_has_and_accepts_again_when_it_can() {
    // Lowered under it: at its start it would have refused what is above.
    let daemon = Daemon::start();
    let lowered = Command::new("prlimit").args(["--pid", &daemon.id().to_string(), "--nofile=64"]).status();
    assert!(lowered.expect("there is prlimit").success());
    let mut ws = Ws::joined(daemon.port);
    let ports = [daemon.port, daemon.admin];
    let crowd: Vec<TcpStream> = (0..300).filter_map(|at| try_connect(ports[at % 2]).ok()).collect();
    thread::sleep(Duration::from_millis(300));
    let cpu = cpu_of_a_second(&daemon);
    assert!(cpu < 0.05, "{cpu} s of processor time in a second");
    ws.is_served();
    // The database was opened before.
    assert!(daemon.log().contains("cannot accept"), "{}", daemon.log());
    assert!(daemon.log().matches("cannot accept").count() < 100);
    drop(crowd);
    daemon.until(Duration::from_secs(3), |daemon| get(daemon.port, "/health/live").is_some());
    ws.is_served();
    assert_eq!(ask(daemon.admin, "POST", "/signage/devices/d/issue", "", "").expect("it is answered").status, 200);
}

#[test]
fn f10_what_descriptors_do_not_allow_is_refused_and_said_at_the_start() {
    let shell = Some("ulimit -S -n 40; ulimit -H -n 128");
    let untold = Daemon::with(Setup { shell, ..Setup::default() });
    assert!(untold.log().contains("as many connections as there may be"), "{}", untold.log());
    assert!(!untold.log().contains("\"WARN\""), "nobody has set what it would warn about:\n{}", untold.log());
    let daemon = Daemon::with(Setup { shell, limits: "connections_max = 5000", ..Setup::default() });
    assert!(daemon.log().contains("limits.connections_max is above"), "{}", daemon.log());
    assert_eq!(daemon.figure("process_max_fds"), 128.0);
    let mut ws = Ws::joined(daemon.port);
    let held = RefCell::new((0..100).map(|_| connect(daemon.port)).collect::<Vec<TcpStream>>());
    daemon.until(Duration::from_secs(3), |daemon| {
        // Somebody of before may have left only now.
        held.borrow_mut().push(connect(daemon.port));
        status_of(&exchange(daemon.port, b"GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"))
            == Some(503)
    });
    ws.is_served();
    drop(held);
    daemon.until(Duration::from_secs(3), |daemon| get(daemon.port, "/health/live").is_some_and(|at| at.status == 200));
}

#[test]
fn t09_connections_of_one_address_have_a_rate_and_other_addresses_do_not_notice() {
    let daemon = Daemon::with(Setup { limits: "handshakes_per_ip_per_s_max = 20", ..Setup::default() });
    let answers = || exchange(daemon.port, b"GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    let statuses: Vec<Option<u16>> = (0..60).map(|_| status_of(&answers())).collect();
    let busy = statuses.iter().filter(|status| **status == Some(503)).count();
    assert!((20..=55).contains(&busy), "{busy} of 60 were refused: {statuses:?}");

    let other = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    other.bind(&SocketAddr::from(([127, 0, 0, 2], 0)).into()).expect("all of 127/8 is ours");
    other.connect(&SocketAddr::from(([127, 0, 0, 1], daemon.port)).into()).expect("it takes a connection");
    Ws::over(other.into(), daemon.port).joins().is_served();
    thread::sleep(Duration::from_millis(1_100));
    Ws::joined(daemon.port).is_served();
}

#[test]
fn t10_clients_that_never_join_are_gone_at_the_connect_timeout() {
    let daemon = Daemon::with(Setup { listener: "connect_timeout_ms = 1000", ..Setup::default() });
    let mut ws = Ws::joined(daemon.port);
    let mut crowd: Vec<Ws> = (0..200).map(|_| Ws::open(daemon.port)).collect();
    let _sessions: Vec<Polling> = (0..50).map(|_| Polling::open(daemon.port)).collect();
    let begun = Instant::now();
    assert!(crowd.iter_mut().all(|ws| ws.close_code().is_none()));
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
    drop(crowd);
    let closed = "siod_connections_closed_total{reason=\"connect_timeout\"}";
    daemon.until(Duration::from_secs(3), |daemon| daemon.figure(closed) == 250.0);
    ws.is_served();
}

#[test]
fn b06_b50_t17_resets_and_half_closed_connections_leave_nothing_behind() {
    let daemon = Daemon::start();
    let mut ws = Ws::joined(daemon.port);
    get(daemon.port, "/health/live");
    daemon.until(Duration::from_secs(5), |daemon| daemon.figure("siod_connections{transport=\"websocket\"}") == 1.0);
    let before = daemon.descriptors();
    let bad = "GET /socket.io/?EIO=4&transport=websocket&sid=nobody HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n\
        Upgrade: websocket\r\n\r\n";
    for round in 0..300 {
        // Reset during a bad upgrade, during a good one, after it, while half closed, and in the middle of a head.
        for (bytes, half_closed, waits) in [
            (bad, false, false),
            (UPGRADE, false, false),
            (UPGRADE, true, true),
            (UPGRADE, false, true),
            ("GET", true, false),
        ] {
            let mut stream = connect(daemon.port);
            stream.write_all(bytes.as_bytes()).expect("it is open");
            if waits {
                assert!(stream.read(&mut [0; 64]).expect("a 101 comes") > 0);
            }
            if half_closed {
                stream.shutdown(Shutdown::Write).expect("our side can be ended");
            }
            if round % 10 == 0 {
                thread::sleep(Duration::from_millis(1));
            }
            reset(stream);
        }
    }
    daemon.until(Duration::from_secs(5), |daemon| daemon.descriptors() <= before + 1);
    daemon.until(Duration::from_secs(5), |daemon| daemon.figure("siod_connections{transport=\"websocket\"}") == 1.0);
    let cpu = cpu_of_a_second(&daemon);
    assert!(cpu < 0.05, "{cpu} s of processor time in a second");
    ws.is_served();
}

/// Its own side ended, a client still reads what it is owed; then the connection ends.
#[test]
fn b50_b52_a_half_closed_client_costs_no_processor_time() {
    let daemon = Daemon::start();
    let polling = Polling::open(daemon.port);
    let parked: Vec<TcpStream> = (0..50)
        .map(|index| {
            let mut stream = connect(daemon.port);
            let path = if index == 0 { polling.path() } else { Polling::open(daemon.port).path() };
            stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).expect("it is open");
            stream.shutdown(Shutdown::Write).expect("our side can be ended");
            stream
        })
        .collect();
    let cpu = cpu_of_a_second(&daemon);
    assert!(cpu < 0.05, "{cpu} s of processor time in a second");
    drop(parked);
    Ws::joined(daemon.port).is_served();
}

#[test]
fn b52_heads_that_end_oddly_are_one_request_at_most() {
    let daemon = Daemon::start();
    let hidden = "GET /health/live HTTP/1.1\r\nHost: hidden\r\n\r\n";
    for (name, bytes) in [
        ("bare line feeds", "GET /nothing HTTP/1.1\nHost: x\nConnection: close\n\n".to_owned()),
        ("a line feed, then CR LF", "GET /nothing HTTP/1.1\r\nHost: x\r\nConnection: close\n\r\n".to_owned()),
        (
            "Content-Length before chunked",
            format!(
                "POST /nothing HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n\
             0\r\n\r\n{hidden}"
            ),
        ),
        (
            "Content-Length behind chunked",
            format!(
                "POST /nothing HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: {}\r\nConnection: close\r\n\r\n\
             0\r\n\r\n{hidden}",
                5 + hidden.len()
            ),
        ),
        (
            "chunked twice",
            format!(
                "POST /nothing HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\
             Connection: close\r\n\r\n0\r\n\r\n{hidden}"
            ),
        ),
        (
            "a comma first",
            format!(
                "POST /nothing HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: , chunked\r\nConnection: close\r\n\r\n0\r\n\r\n{hidden}"
            ),
        ),
        (
            "equal lengths twice",
            format!(
                "POST /nothing HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nContent-Length: 0\r\nConnection: close\r\n\r\n{hidden}"
            ),
        ),
    ] {
        let text = exchange(daemon.port, bytes.as_bytes());
        assert!(text.matches("HTTP/1.1 ").count() <= 1 && !text.contains("\"ok\""), "{name}: {text}");
    }
}

#[test]
fn b14_a_request_line_over_8_kb_is_414() {
    let daemon = Daemon::start();
    let line = |bytes: usize| format!("GET /socket.io/?EIO=4&transport=polling&t={} HTTP/1.1\r\n", "y".repeat(bytes));
    let ask =
        |bytes: usize| exchange(daemon.port, format!("{}Host: x\r\nConnection: close\r\n\r\n", line(bytes)).as_bytes());
    assert_eq!(status_of(&ask(8_000)), Some(200));
    assert_eq!(status_of(&ask(8_300)), Some(414));
    // What does not even fit the buffer of a head is refused before it is read whole.
    assert!(matches!(status_of(&ask(1_000_000)), Some(414 | 431) | None));
    Ws::joined(daemon.port).is_served();
}

#[test]
fn b40_a_head_in_single_bytes_is_read_once_and_bounded() {
    let daemon = Daemon::start();
    let mut stream = connect(daemon.port);
    stream.set_nodelay(true).expect("a socket can be told so");
    for byte in b"GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" {
        stream.write_all(&[*byte]).expect("it is open");
    }
    assert_eq!(status_of(&read_all(&mut stream)), Some(200));

    let before = daemon.cpu_s();
    let mut stream = connect(daemon.port);
    stream.set_nodelay(true).expect("a socket can be told so");
    stream.write_all(b"GET /health/live HTTP/1.1\r\nHost: x\r\nA: ").expect("it is open");
    // It is refused when it is too long; what comes then is thrown away for a while.
    let taken = (0..200_000).take_while(|_| stream.write_all(b"y").is_ok()).count();
    assert!(taken > 17_000, "it was cut before its answer: {taken}");
    assert_eq!(status_of(&read_all(&mut stream)), Some(431));
    let took = daemon.cpu_s() - before;
    assert!(took < 5.0, "{took} s of processor time");
    Ws::joined(daemon.port).is_served();
}

#[test]
fn b45_an_upgrade_of_a_path_that_nobody_serves_is_refused() {
    let daemon = Daemon::start();
    for path in ["/", "/nothing", "/health/live", "/socket.io", "/socket.io/socket.io.js", "/_siod/page.js"] {
        let text = exchange(
            daemon.port,
            UPGRADE
                .replace("/socket.io/?EIO=4&transport=websocket", path)
                .replace("Connection: Upgrade", "Connection: Upgrade, close")
                .as_bytes(),
        );
        assert!(status_of(&text).is_some_and(|status| status != 101), "{path}: {text}");
    }
    // Frames sent before the 101 are no tunnel: they are the first frames, or nothing.
    let mut early = UPGRADE.as_bytes().to_vec();
    early.extend_from_slice(&[0x81, 0x82, 0, 0, 0, 0, b'4', b'0']);
    let mut stream = connect(daemon.port);
    stream.write_all(&early).expect("it is open");
    let mut text = Vec::new();
    while !String::from_utf8_lossy(&text).contains("40{\"sid\"") {
        let mut buffer = [0; 512];
        let count = stream.read(&mut buffer).expect("the answer to the CONNECT comes");
        assert!(count > 0, "{}", String::from_utf8_lossy(&text));
        text.extend_from_slice(&buffer[..count]);
    }
}

/// One byte now and then, for ever: the whole head has ten seconds on every listener, the whole body thirty.
#[test]
fn t03_t04_b51_slow_heads_and_bodies_are_cut_in_time() {
    let daemon = Daemon::start();
    let mut ws = Ws::joined(daemon.port);
    let dribble = &|port: u16, start: String, every_ms: u64| {
        let mut stream = connect(port);
        stream.set_read_timeout(Some(Duration::from_millis(every_ms))).expect("a time limit can be set");
        stream.write_all(start.as_bytes()).expect("it is open");
        let begun = Instant::now();
        let mut buffer = [0; 512];
        loop {
            match stream.read(&mut buffer) {
                Ok(_) => return (begun.elapsed(), String::from_utf8_lossy(&buffer).into_owned()),
                Err(error) if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => {
                }
                Err(_) => return (begun.elapsed(), String::new()),
            }
            assert!(begun.elapsed() < Duration::from_secs(45), "it is never cut");
            // The end is seen by the next read.
            let _ = stream.write_all(b"y");
        }
    };
    let polling = Polling::open(daemon.port);
    polling.post("40");
    let head = "GET / HTTP/1.1\r\nHost: x\r\nA: ";
    let live = b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n";
    let mut resting = connect(daemon.port);
    resting.write_all(live).expect("it is open");
    assert!(resting.read(&mut [0; 512]).expect("it is answered") > 0);
    let body = format!(
        "POST {} HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: 1000\r\n\r\n4",
        polling.path()
    );
    thread::scope(|scope| {
        let starts =
            [daemon.port, daemon.admin].into_iter().flat_map(|port| ["", "G", head].map(|start| (port, start)));
        let heads: Vec<_> =
            starts.map(|(port, start)| scope.spawn(move || dribble(port, start.to_owned(), 2_000))).collect();
        // Pings go unanswered meanwhile, but a session outlives them for longer than the body may take.
        let body = scope.spawn(|| dribble(daemon.port, body, 1_000));
        // A connection that has been answered may rest for longer; the head it begins then has no more time than others.
        thread::sleep(Duration::from_secs(12));
        resting.write_all(live).expect("it is open");
        let mut answer = [0; 512];
        let read = resting.read(&mut answer).expect("it is open");
        assert_eq!(status_of(&String::from_utf8_lossy(&answer[..read])), Some(200));
        resting.write_all(b"GET /he").expect("it is open");
        resting.set_read_timeout(Some(Duration::from_secs(13))).expect("a time limit can be set");
        let begun = Instant::now();
        assert_eq!(resting.read(&mut [0; 512]).unwrap_or(0), 0, "it is cut");
        assert!((Duration::from_secs(8)..Duration::from_secs(12)).contains(&begun.elapsed()), "{:?}", begun.elapsed());
        for head in heads {
            let (took, _) = head.join().expect("it is cut");
            assert!((Duration::from_secs(8)..Duration::from_secs(13)).contains(&took), "{took:?}");
        }
        let (took, said) = body.join().expect("it is cut");
        assert!((Duration::from_secs(28)..Duration::from_secs(34)).contains(&took), "{took:?}");
        assert_eq!(status_of(&said), Some(408), "{said}");
    });
    // Its own pings were not answered in all that time.
    ws.0.read().expect("it is open");
    Ws::joined(daemon.port).is_served();
}

/// Twenty of twenty-one clients stop reading while a megabyte is said to all.
#[test]
fn f12_readers_that_stop_are_closed_and_the_healthy_one_misses_nothing() {
    let daemon = Daemon::with(Setup {
        limits: "outbox_bytes_max = 65536\noutbox_low_mark_bytes = 65536\nnotsent_lowat_bytes = 4096\noutbox_stall_ms = 5000",
        ..Setup::default()
    });
    let (mut sender, mut healthy) = (Ws::joined(daemon.port), Ws::joined(daemon.port));
    let slow: Vec<Ws> = (0..20)
        .map(|_| {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
            socket.set_recv_buffer_size(4096).expect("a buffer can be small");
            socket.connect(&SocketAddr::from(([127, 0, 0, 1], daemon.port)).into()).expect("it takes a connection");
            Ws::over(socket.into(), daemon.port).joins()
        })
        .collect();
    let text = "x".repeat(16_384);
    for number in 0..64 {
        sender.send(&format!("42[\"bcast\",{number},\"{text}\"]"));
        assert!(healthy.next().starts_with(&format!("42[\"bcast\",{number},")));
        assert!(sender.next().starts_with("42[\"bcast\","));
    }
    daemon.until(Duration::from_secs(15), |daemon| daemon.figure("siod_slow_consumers_total") == 20.0);
    daemon.until(Duration::from_secs(5), |daemon| daemon.figure("siod_outbox_bytes") == 0.0);
    daemon.until(Duration::from_secs(5), |daemon| daemon.figure("siod_connections{transport=\"websocket\"}") == 2.0);
    healthy.is_served();
    drop(slow);
}

#[test]
fn t30_no_secret_is_found_in_what_is_written_at_the_most_talkative_level() {
    let setup = Setup {
        sections: "[log]\nlevel = \"trace\"\nformat = \"json\"\n",
        environment: vec![
            ("SIOD__AUTH__JWT_SECRET", super::process::SECRET),
            ("SIOD__ADMIN__TOKEN", "planted-admin-token-0123456789"),
        ],
        ..Setup::default()
    };
    let mut daemon = Daemon::with(setup);
    let bearer = "Authorization: Bearer planted-header-token\r\nCookie: session=planted-cookie\r\n";
    let admin = "Authorization: Bearer planted-admin-token-0123456789\r\n";
    let handshake = "/socket.io/?EIO=4&transport=polling&token=planted-query-token&authToken=planted-query-auth";
    ask(daemon.port, "GET", handshake, bearer, "");
    ask(daemon.port, "GET", "/socket.io/?EIO=9&transport=x&token=planted-refused-token", bearer, "");
    ask(daemon.port, "GET", "/snapshots/x?token=planted-download-token", bearer, "");
    ask(daemon.admin, "GET", "/metrics", "Authorization: Bearer planted-wrong-admin\r\n", "");
    let issued = ask(daemon.admin, "POST", "/signage/devices/d1/issue", admin, "").expect("it is answered").body;
    let device_token = issued.split('"').find(|part| part.len() > 30).expect("a token is issued").to_owned();
    for (namespace, auth) in [
        ("/lab", "{\"token\":\"planted-connect-token\"}"),
        ("/signage", "{\"deviceId\":\"d1\",\"authToken\":\"planted-wrong-device-token\"}"),
        ("/nobody", "{\"token\":\"planted-unknown-namespace\"}"),
    ] {
        let mut ws = Ws::open(daemon.port);
        ws.send(&format!("40{namespace},{auth}"));
        ws.next();
    }
    let mut ws = Ws::open(daemon.port);
    ws.send(&format!("40/signage,{{\"deviceId\":\"d1\",\"authToken\":\"{device_token}\"}}"));
    ws.next();
    ws.send("40/signage,{\"token\":\"planted-second-connect\"}");
    exchange(daemon.port, b"GET / HTTP/1.1\r\nAuthorization: planted-broken-head\r\nbroken\r\n\r\n");
    let metrics = ask(daemon.admin, "GET", "/metrics", admin, "").expect("it can be scraped").body;
    daemon.signal("-TERM");
    assert_eq!(daemon.exit_code(Duration::from_secs(30)), 0);
    let log = daemon.log();
    assert!(log.contains("\"siod::connection\""), "the level was not talkative:\n{log}");
    for text in [&log, &metrics] {
        let at = text.find("planted").or_else(|| text.find(&device_token));
        let around = at.map(|at| text.get(at.saturating_sub(300)..).unwrap_or(text).lines().next());
        assert_eq!(around, None, "a secret was written");
    }
}
