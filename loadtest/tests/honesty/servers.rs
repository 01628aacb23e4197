//! Servers that a measurement must not be fooled by: one behind a way that stands still for a time, and one that loses,
//! doubles and swaps what it is given.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use loadtest::floor::{self, Mode};
use loadtest::target::HANDSHAKE_ACCEPT;
use loadtest::wire::frame;

/// The floor, on a port of its own.
pub(crate) fn floor(mode: Mode) -> SocketAddr {
    let server = floor::Server::bind("127.0.0.1:0".parse().expect("an address"), mode).expect("a port is free");
    let addr = server.local_addr().expect("it is bound");
    std::thread::spawn(move || server.run());
    addr
}

/// A way to `server` for one client, on which nothing moves towards it for `stall`, once, `after` the client came.
pub(crate) fn stalling(server: SocketAddr, after: Duration, stall: Duration) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let addr = listener.local_addr().expect("it is bound");
    std::thread::spawn(move || {
        let (client, _) = listener.accept().expect("a client comes");
        let server = TcpStream::connect(server).expect("the server listens");
        [&client, &server].into_iter().for_each(|stream| stream.set_nodelay(true).expect("it is open"));
        let ends = [client.try_clone(), server.try_clone()].map(|end| end.expect("it is open"));
        let back = std::thread::spawn(move || pass(&ends[1], &ends[0], || {}));
        let (came, mut stalled) = (Instant::now(), false);
        pass(&client, &server, || {
            if !stalled && came.elapsed() > after {
                stalled = true;
                std::thread::sleep(stall);
            }
        });
        back.join().expect("a thread does not panic");
    });
    addr
}

fn pass(mut from: &TcpStream, mut to: &TcpStream, mut before: impl FnMut()) {
    let mut buffer = [0; 65_536];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        before();
        if to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    // The other side may be gone already.
    let _ = to.shutdown(Shutdown::Write);
}

/// A server for one client: of ten broadcasts it doubles one, loses one, and sends one after the next one.
pub(crate) fn careless() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let addr = listener.local_addr().expect("it is bound");
    std::thread::spawn(move || {
        let (mut client, _) = listener.accept().expect("a client comes");
        let mut bytes = Vec::new();
        while !bytes.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            client.read_exact(&mut byte).expect("a client asks");
            bytes.extend(byte);
        }
        let head = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade";
        let head = format!("{head}\r\nSec-WebSocket-Accept: {HANDSHAKE_ACCEPT}\r\n\r\n");
        client.write_all(head.as_bytes()).expect("it reads");
        send(&mut client, br#"0{"sid":"s","upgrades":[],"pingInterval":86400000,"pingTimeout":86400000}"#);
        serve(client);
    });
    addr
}

fn serve(mut client: TcpStream) {
    let (mut bytes, mut held, mut count) = (Vec::new(), None, 0);
    let mut buffer = [0; 65_536];
    while let Ok(read @ 1..) = client.read(&mut buffer) {
        bytes.extend_from_slice(&buffer[..read]);
        while let Some((_, payload, size)) = frame::unmask(&mut bytes) {
            let message = bytes[payload].to_vec();
            bytes.drain(..size);
            if message.starts_with(b"40") {
                send(&mut client, b"40{\"sid\":\"s\"}");
            } else if message.starts_with(b"42") {
                count += 1;
                match count % 10 {
                    3 => (0..2).for_each(|_| send(&mut client, &message)),
                    5 => {}
                    7 => held = Some(message),
                    _ => {
                        send(&mut client, &message);
                        held.take().into_iter().for_each(|late| send(&mut client, &late));
                    }
                }
            }
        }
    }
}

fn send(client: &mut TcpStream, message: &[u8]) {
    let mut bytes = Vec::new();
    frame::write_plain(&mut bytes, frame::TEXT, message);
    // A client that is gone is noticed by the next read.
    let _ = client.write_all(&bytes);
}
