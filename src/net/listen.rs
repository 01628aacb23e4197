//! Listening sockets, and accepting on them. Every core has its own socket on every address (SO_REUSEPORT), so the kernel
//! spreads connections and no core waits for another. A plain bind goes first: SO_REUSEPORT would hide that another
//! process has the port.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::time::Duration;

use mio::net::{TcpListener, TcpStream};
use mio::{Interest, Registry, Token};
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tracing::warn;

use crate::base::limit::{ACCEPT_BACKLOG, Limits};
use crate::base::time::Millis;

/// A peer that takes nothing of what is written to it for this long is cut off by the kernel, whether a shard or hyper waits for the write: no
/// time limit of ours watches an HTTP answer that is not read (T-04). Outboxes have a time limit of their own.
const UNREAD_TIMEOUT: Duration = Duration::from_secs(60);

/// Where to listen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    pub addr: SocketAddr,
    /// An IPv6 address takes no IPv4: else `[::]` is every address of both families, whatever the system's default is.
    pub ipv6_only: bool,
}

/// One socket per core at `at`. Port 0 takes a free one, the same for all.
pub(crate) fn bind(at: Address, cores: u16, limits: &Limits) -> io::Result<(SocketAddr, Vec<std::net::TcpListener>)> {
    let probe = socket(at)?;
    let addr = at.addr;
    probe.bind(&addr.into())?;
    probe.listen(1)?;
    let addr = probe.local_addr()?.as_socket().expect("an IP socket has an IP address");
    drop(probe);
    let sockets = (0..cores).map(|_| {
        let socket = socket(Address { addr, ..at })?;
        socket.set_reuse_port(true)?;
        // Accepted sockets inherit these: three system calls less for each of them.
        socket.set_tcp_nodelay(true)?;
        set_notsent_lowat(&socket, limits.notsent_lowat_bytes)?;
        let stall = Duration::from_millis(limits.outbox_stall_ms);
        socket.set_tcp_user_timeout(Some(stall.max(UNREAD_TIMEOUT)))?;
        socket.bind(&addr.into())?;
        socket.listen(ACCEPT_BACKLOG)?;
        Ok(socket.into())
    });
    Ok((addr, sockets.collect::<io::Result<Vec<_>>>()?))
}

fn socket(Address { addr, ipv6_only }: Address) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    if addr.is_ipv6() {
        socket.set_only_v6(ipv6_only)?;
    }
    Ok(socket)
}

/// TCP_NOTSENT_LOWAT: without it the kernel swallows megabytes for a reader that has stopped (DESIGN 2.6).
fn set_notsent_lowat(socket: &Socket, bytes: u32) -> io::Result<()> {
    socket.set_tcp_notsent_lowat(bytes)
}

/// The listening sockets of one core, in its epoll set.
pub(crate) struct Doors {
    sockets: Vec<TcpListener>,
    /// Those where somebody may wait; they take turns.
    waiting: VecDeque<usize>,
    /// Out of descriptors or memory: nothing is accepted until then.
    rests_until: Option<Millis>,
    pace: Pace,
}

/// How long an accept loop rests that is out of descriptors or memory: longer each time, until it has accepted somebody.
#[derive(Debug)]
pub(crate) struct Pace {
    rest_ms: u64,
}

impl Default for Pace {
    fn default() -> Pace {
        Pace { rest_ms: REST_MS_MIN }
    }
}

impl Pace {
    /// The rest before the next attempt, in milliseconds.
    pub(crate) fn on_error(&mut self) -> u64 {
        let rest_ms = self.rest_ms;
        self.rest_ms = (rest_ms * 2).min(REST_MS_MAX);
        rest_ms
    }

    pub(crate) fn on_accepted(&mut self) {
        *self = Pace::default();
    }
}

impl Doors {
    /// Registers `sockets`, edge-triggered; the index of each is that of its listener.
    pub(crate) fn new(sockets: Vec<std::net::TcpListener>, registry: &Registry) -> io::Result<Doors> {
        let mut sockets: Vec<TcpListener> = sockets.into_iter().map(TcpListener::from_std).collect();
        for (index, socket) in sockets.iter_mut().enumerate() {
            registry.register(socket, Token(usize::MAX - index), Interest::READABLE)?;
        }
        Ok(Doors { sockets, waiting: VecDeque::new(), rests_until: None, pace: Pace::default() })
    }

    /// Takes note of a readiness event; `false`: it is about no listening socket.
    pub(crate) fn mark(&mut self, token: Token) -> bool {
        let index = usize::MAX - token.0;
        if index >= self.sockets.len() {
            return false;
        }
        if !self.waiting.contains(&index) {
            self.waiting.push_back(index);
        }
        true
    }

    /// The next connection and the index of its listener; `None`: nobody waits, or there is nothing to accept with.
    pub(crate) fn accept(&mut self, now: Millis) -> Option<(usize, TcpStream, SocketAddr)> {
        if self.rests_until.is_some_and(|until| now < until) {
            return None;
        }
        self.rests_until = None;
        while let Some(index) = self.waiting.pop_front() {
            match self.sockets[index].accept() {
                Ok((stream, peer)) => {
                    self.pace.on_accepted();
                    self.waiting.push_back(index);
                    return Some((index, stream, peer));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if is_of_one_connection(&error) => self.waiting.push_back(index),
                Err(error) => {
                    let rest_ms = self.pace.on_error();
                    warn!(target: "siod::listen", %error, rest_ms, "cannot accept");
                    self.waiting.push_back(index);
                    self.rests_until = Some(now + rest_ms);
                    return None;
                }
            }
        }
        None
    }

    /// Somebody may wait who can be accepted now.
    pub(crate) fn is_waited_at(&self) -> bool {
        self.rests_until.is_none() && !self.waiting.is_empty()
    }

    /// When the rest is over.
    pub(crate) fn deadline(&self) -> Option<Millis> {
        self.rests_until
    }

    /// Listens no more.
    pub(crate) fn close(&mut self) {
        self.sockets.clear();
        self.waiting.clear();
        self.rests_until = None;
    }
}

/// What a connection above a limit is answered.
pub(crate) const BUSY: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: 0\r\nRetry-After: 5\r\n\r\n";

/// An answer in one write, before a byte of the request is read. A client that has gone already needs none.
pub(crate) fn refuse(stream: &impl AsFd, answer: &[u8]) {
    let _ = SockRef::from(stream).send(answer);
}

/// Errors that concern the connection that was to be accepted, not the socket that accepts.
pub(crate) fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

/// How long an accept loop without descriptors rests before it accepts again: at first, and at most.
const REST_MS_MIN: u64 = 10;
const REST_MS_MAX: u64 = 1_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rests_grow_to_a_bound_and_begin_anew_when_somebody_was_accepted() {
        let mut pace = Pace::default();
        let rests: Vec<u64> = (0..9).map(|_| pace.on_error()).collect();
        assert_eq!(rests, [10, 20, 40, 80, 160, 320, 640, 1_000, 1_000]);
        pace.on_accepted();
        assert_eq!(pace.on_error(), 10);
    }

    const LOOPBACK: Address =
        Address { addr: SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0), ipv6_only: false };

    #[test]
    fn both_families_reach_the_unspecified_address_unless_it_is_told_otherwise() {
        for (bind, ipv6_only, client, reached) in [
            ("[::]:0", false, "127.0.0.1", true),
            ("[::]:0", false, "::1", true),
            ("[::]:0", true, "127.0.0.1", false),
            ("[::]:0", true, "::1", true),
            ("[::ffff:127.0.0.1]:0", false, "127.0.0.1", true),
            ("0.0.0.0:0", false, "127.0.0.1", true),
            ("0.0.0.0:0", false, "::1", false),
        ] {
            let at = Address { addr: bind.parse().unwrap(), ipv6_only };
            let (addr, _sockets) = bind_one(at);
            let client = SocketAddr::new(client.parse().unwrap(), addr.port());
            assert_eq!(std::net::TcpStream::connect(client).is_ok(), reached, "{bind} {ipv6_only} {client}");
        }
    }

    fn bind_one(at: Address) -> (SocketAddr, Vec<std::net::TcpListener>) {
        bind(at, 1, &Limits::default()).unwrap()
    }

    #[test]
    fn a_taken_port_is_noticed_although_it_could_be_shared() {
        let (addr, sockets) = bind(LOOPBACK, 2, &Limits::default()).unwrap();
        let same = Address { addr, ..LOOPBACK };
        assert_eq!(sockets.len(), 2);
        assert_eq!(bind(same, 1, &Limits::default()).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        drop(sockets);
        assert!(bind(same, 1, &Limits::default()).is_ok());
    }

    #[test]
    fn t04_accepted_sockets_have_the_options_of_the_listening_one() {
        let limits = Limits { outbox_stall_ms: 90_000, ..Limits::default() };
        for (limits, unread_s) in [(Limits::default(), 60), (limits, 90)] {
            let (addr, sockets) = bind(LOOPBACK, 1, &limits).unwrap();
            sockets[0].set_nonblocking(false).unwrap();
            let _client = std::net::TcpStream::connect(addr).unwrap();
            let accepted = Socket::from(sockets[0].accept().unwrap().0);
            assert_eq!(accepted.tcp_user_timeout().unwrap(), Some(Duration::from_secs(unread_s)));
            assert_eq!(accepted.tcp_notsent_lowat().unwrap(), limits.notsent_lowat_bytes);
            assert!(accepted.tcp_nodelay().unwrap());
        }
    }
}
