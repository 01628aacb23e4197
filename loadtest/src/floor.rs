//! The floor: a server that does as little as one can and still is answered by Socket.IO clients. One thread, epoll, and
//! for every message one `send()` of a ready frame to each client. The cost of a real server beyond this is its own.
//! No heartbeats, no limits, the namespace `/` only, and the handshake key of this harness only.

use std::io::{self, Read, Write};
use std::net::SocketAddr;

use clap::Args;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};

use crate::target::HANDSHAKE_ACCEPT;
use crate::wire::frame;

const READ_BYTES: usize = 256 * 1024;
const EVENTS_PER_TURN: usize = 1_024;
const BACKLOG: i32 = 4_096;
const LISTENER: Token = Token(usize::MAX);
const OPEN: &str =
    r#"0{"sid":"floor","upgrades":[],"pingInterval":86400000,"pingTimeout":86400000,"maxPayload":1000000}"#;

#[derive(Args, Clone, Debug)]
pub struct Floor {
    /// Where it listens
    #[arg(long, default_value = "127.0.0.1:3900")]
    pub listen: SocketAddr,
    /// What an event does
    #[arg(long, value_enum, default_value = "echo")]
    pub mode: Mode,
}

#[derive(clap::ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// It is answered with its arguments
    Echo,
    /// It goes to everybody, one send() each
    Fanout,
}

/// Serves until the process is ended.
pub fn serve(asked: &Floor) -> io::Result<()> {
    let server = Server::bind(asked.listen, asked.mode)?;
    eprintln!("floor: {:?} on {}", asked.mode, asked.listen);
    server.run()
}

struct Client {
    stream: TcpStream,
    /// The beginning of a request or frame of which the rest is still to come.
    partial: Vec<u8>,
    /// Bytes that the kernel did not take.
    waiting: Vec<u8>,
    upgraded: bool,
    joined: bool,
}

pub struct Server {
    poll: Poll,
    listener: TcpListener,
    mode: Mode,
    clients: Vec<Option<Client>>,
    free: Vec<usize>,
    buffer: Vec<u8>,
}

impl Server {
    pub fn bind(addr: SocketAddr, mode: Mode) -> io::Result<Server> {
        let socket = socket2::Socket::new(
            socket2::Domain::for_address(addr),
            socket2::Type::STREAM.nonblocking().cloexec(),
            None,
        )?;
        socket.set_reuse_address(true)?;
        socket.bind(&addr.into())?;
        socket.listen(BACKLOG)?;
        let mut listener = TcpListener::from_std(socket.into());
        let poll = Poll::new()?;
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
        Ok(Server { poll, listener, mode, clients: Vec::new(), free: Vec::new(), buffer: vec![0; READ_BYTES] })
    }

    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    pub fn run(mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(EVENTS_PER_TURN);
        loop {
            match self.poll.poll(&mut events, None) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
                _ => {}
            }
            for event in &events {
                if event.token() == LISTENER {
                    self.accept();
                    continue;
                }
                let at = event.token().0;
                if event.is_writable()
                    && let Some(client) = &mut self.clients[at]
                {
                    client.flush();
                }
                if event.is_readable() || event.is_read_closed() {
                    self.receive(at, event.is_read_closed());
                }
            }
        }
    }

    fn accept(&mut self) {
        while let Ok((mut stream, _)) = self.listener.accept() {
            let at = self.free.pop().unwrap_or_else(|| {
                self.clients.push(None);
                self.clients.len() - 1
            });
            let registered =
                self.poll.registry().register(&mut stream, Token(at), Interest::READABLE | Interest::WRITABLE);
            // Without it answers wait for the acknowledgement of the one before; a client that is gone is seen later.
            let _ = stream.set_nodelay(true);
            let blank = Client { stream, partial: Vec::new(), waiting: Vec::new(), upgraded: false, joined: false };
            self.clients[at] = registered.is_ok().then_some(blank);
        }
    }

    fn receive(&mut self, at: usize, closed: bool) {
        let mut buffer = std::mem::take(&mut self.buffer);
        while let Some(client) = &mut self.clients[at] {
            let kept = client.partial.len();
            buffer.resize(READ_BYTES.max(kept * 2), 0);
            match client.stream.read(&mut buffer[kept..]) {
                Ok(0) => self.drop_client(at),
                Ok(count) => {
                    buffer[..kept].copy_from_slice(&client.partial);
                    client.partial.clear();
                    let filled = kept + count;
                    let used = self.on_bytes(at, &mut buffer[..filled]);
                    if let Some(client) = &mut self.clients[at] {
                        client.partial = buffer[used..filled].to_vec();
                    }
                    if filled < buffer.len() && !closed {
                        break;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(_) => self.drop_client(at),
            }
        }
        self.buffer = buffer;
    }

    fn drop_client(&mut self, at: usize) {
        if self.clients[at].take().is_some() {
            self.free.push(at);
        }
    }

    /// Gives back how many bytes were used.
    fn on_bytes(&mut self, at: usize, bytes: &mut [u8]) -> usize {
        let mut used = 0;
        let Some(client) = &mut self.clients[at] else { return 0 };
        if !client.upgraded {
            let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else { return 0 };
            client.upgrade();
            used = end + 4;
        }
        while let Some((opcode, payload, size)) = frame::unmask(&mut bytes[used..]) {
            let message = bytes[used..][payload].to_vec();
            used += size;
            if opcode == frame::CLOSE {
                self.close(at);
                return bytes.len();
            }
            self.on_message(at, &message);
        }
        used
    }

    fn close(&mut self, at: usize) {
        if let Some(client) = &mut self.clients[at] {
            client.send(&ready(frame::CLOSE, &1000u16.to_be_bytes()));
        }
        self.drop_client(at);
    }

    fn on_message(&mut self, at: usize, message: &[u8]) {
        let Some(client) = &mut self.clients[at] else { return };
        match (message, self.mode) {
            ([b'4', b'0', ..], _) => {
                client.joined = true;
                client.send(&ready(frame::TEXT, b"40{\"sid\":\"floor\"}"));
            }
            ([b'4', b'2', rest @ ..], Mode::Echo) => {
                if let Some(answer) = answer(rest) {
                    client.send(&ready(frame::TEXT, &answer));
                }
            }
            ([b'4', b'2', ..], Mode::Fanout) => {
                let frame = ready(frame::TEXT, message);
                self.clients.iter_mut().flatten().filter(|client| client.joined).for_each(|client| client.send(&frame));
            }
            _ => {}
        }
    }
}

impl Client {
    fn upgrade(&mut self) {
        self.upgraded = true;
        let head = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade";
        let mut out = format!("{head}\r\nSec-WebSocket-Accept: {HANDSHAKE_ACCEPT}\r\n\r\n").into_bytes();
        frame::write_plain(&mut out, frame::TEXT, OPEN.as_bytes());
        self.send(&out);
    }

    /// One `send()`, unless earlier bytes still wait.
    fn send(&mut self, bytes: &[u8]) {
        if !self.waiting.is_empty() {
            return self.waiting.extend_from_slice(bytes);
        }
        let sent = match self.stream.write(bytes) {
            Ok(sent) => sent,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            // Its end is read, and then it is dropped.
            Err(_) => return,
        };
        self.waiting.extend_from_slice(&bytes[sent..]);
    }

    fn flush(&mut self) {
        let waiting = std::mem::take(&mut self.waiting);
        if !waiting.is_empty() {
            self.send(&waiting);
        }
    }
}

fn ready(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(payload.len() + 10);
    frame::write_plain(&mut frame, opcode, payload);
    frame
}

/// `12["echo",<args>]` → `4312[<args>]`; nothing if no answer is asked for.
fn answer(event: &[u8]) -> Option<Vec<u8>> {
    let digits = event.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let comma = event.iter().position(|byte| *byte == b',')?;
    (digits > 0).then(|| [b"43", &event[..digits], b"[", &event[comma + 1..]].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers() {
        assert_eq!(answer(b"7[\"echo\",\"x\",1]").as_deref(), Some(&b"437[\"x\",1]"[..]));
        assert_eq!(answer(b"[\"echo\",1]"), None);
    }
}
