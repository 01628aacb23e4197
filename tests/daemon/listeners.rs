//! What holds on every listener, the admin listener as well as the public one.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use super::process::{Daemon, SECRET, Setup, Ws, connect, fill, get, read_all, status_of};

/// What an exchange of bytes brings until the end.
fn exchange(port: u16, bytes: &str) -> String {
    let mut stream = connect(port);
    stream.write_all(bytes.as_bytes()).expect("it is open");
    read_all(&mut stream)
}

#[test]
fn a_request_of_http_1_1_without_a_host_or_with_two_is_400_on_every_listener() {
    let daemon = Daemon::start();
    let handshake = "/socket.io/?EIO=4&transport=polling";
    for (port, path) in
        [(daemon.port, handshake), (daemon.port, "/health/live"), (daemon.admin, "/health/live"), (daemon.admin, "/no")]
    {
        let status = |version: &str, hosts: &str| {
            status_of(&exchange(port, &format!("GET {path} {version}\r\n{hosts}Connection: close\r\n\r\n")))
        };
        for hosts in ["", "Host: a\r\nHost: a\r\n", "Host: a@b\r\n", "Host: a b\r\n"] {
            assert_eq!(status("HTTP/1.1", hosts), Some(400), "{path} {hosts:?}");
        }
        let good = if path == "/no" { Some(404) } else { Some(200) };
        assert_eq!(status("HTTP/1.1", "Host: localhost\r\n"), good, "{path}");
        assert_eq!(status("HTTP/1.1", "hOST:127.0.0.1:1\r\n"), good, "{path}");
    }
    let old = exchange(daemon.port, "GET /health/live HTTP/1.0\r\n\r\n");
    assert!(old.starts_with("HTTP/1.0 200") || old.starts_with("HTTP/1.1 200"), "{old}");
    // No way around: nor with the whole address in the request line, nor by an upgrade.
    for line in ["GET http://a/health/live HTTP/1.1", "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1"] {
        let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
            Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";
        assert_eq!(status_of(&exchange(daemon.port, &format!("{line}\r\n{upgrade}\r\n\r\n"))), Some(400), "{line}");
    }
}

#[test]
fn heads_are_bounded_on_every_listener() {
    let daemon = Daemon::start();
    for port in [daemon.port, daemon.admin] {
        let status = |path: &str, headers: &str| {
            let head = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}\r\n");
            status_of(&exchange(port, &head))
        };
        assert_eq!(status("/health/live", &format!("A: {}\r\n", "y".repeat(8_000))), Some(200));
        assert_eq!(status("/health/live", &format!("A: {}\r\n", "y".repeat(17_000))), Some(431));
        assert_eq!(status("/health/live", &"A: y\r\n".repeat(90)), Some(200));
        assert_eq!(status("/health/live", &"A: y\r\n".repeat(101)), Some(431));
        assert_eq!(status(&format!("/health/live?{}", "y".repeat(8_000)), ""), Some(200));
        assert_eq!(status(&format!("/health/live?{}", "y".repeat(9_000)), ""), Some(414));
        // A body that nobody wants is not waited for, and nothing behind it is a request.
        let hidden = "GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n";
        let body = format!("POST /health/live HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5000000\r\n\r\n{hidden}");
        let answers = exchange(port, &body);
        assert_eq!((status_of(&answers), answers.matches("HTTP/1.1 ").count()), (Some(405), 1), "{answers}");
    }
}

/// Strangers fill the admin listener: the operator is told so, clients notice nothing, and it all comes back.
#[test]
fn places_of_the_admin_listener_are_its_own() {
    let daemon = Daemon::with(Setup { limits: "connections_max = 40", ..Setup::default() });
    let mut ws = Ws::joined(daemon.port);
    let crowd = fill(&daemon, daemon.admin);
    for _ in 0..30 {
        assert_eq!(get(daemon.port, "/health/live").expect("it is answered").status, 200);
    }
    ws.is_served();
    Ws::joined(daemon.port).is_served();
    drop(crowd);
    daemon.until(Duration::from_secs(5), |daemon| get(daemon.admin, "/metrics").is_some_and(|at| at.status == 200));

    // Nor do clients take the operator's places.
    let clients = fill(&daemon, daemon.port);
    assert_eq!(get(daemon.admin, "/health/live").expect("it is answered").status, 200);
    drop(clients);
}

#[test]
fn every_listener_on_the_unspecified_address_serves_both_families_unless_told_otherwise() {
    const ADMIN: &str = "planted-admin-token-0123456789";
    let production =
        vec![("SIOD__AUTH__MODE", "jwt"), ("SIOD__AUTH__JWT_SECRET", SECRET), ("SIOD__ADMIN__TOKEN", ADMIN)];
    let only = vec![("SIOD__LISTENER__0__IPV6_ONLY", "true"), ("SIOD__ADMIN__IPV6_ONLY", "true")];
    for (more, families) in [(vec![], &["127.0.0.1", "::1"][..]), (only, &["::1"])] {
        let environment = [production.clone(), more].concat();
        let daemon = Daemon::with(Setup { host: Some("[::]"), environment, ..Setup::default() });
        for port in [daemon.port, daemon.admin] {
            for family in ["127.0.0.1", "::1"] {
                let addr = SocketAddr::new(family.parse().expect("an address"), port);
                let answered = TcpStream::connect(addr).is_ok_and(|mut stream| {
                    let head = format!("Host: a\r\nConnection: close\r\nAuthorization: Bearer {ADMIN}\r\n");
                    write!(stream, "GET /health/live HTTP/1.1\r\n{head}\r\n").expect("it is open");
                    status_of(&read_all(&mut stream)) == Some(200)
                });
                assert_eq!(answered, families.contains(&family), "{addr}");
            }
        }
    }
}
