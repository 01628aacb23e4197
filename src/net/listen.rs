//! Listening sockets and the accept loop. Every core has its own socket on every address (SO_REUSEPORT), so the kernel
//! spreads connections and no core waits for another. A plain bind goes first: SO_REUSEPORT would hide that another
//! process has the port.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::spawn_local;
use tracing::{debug, warn};

use super::core::Core;
use super::http;
use crate::base::limit::{ACCEPT_BACKLOG, Limits};

/// A peer that takes nothing of what is written to it for this long is cut off by the kernel, whoever waits for the write: no
/// time limit of ours watches an HTTP answer that is not read (T-04). Outboxes have a time limit of their own.
const UNREAD_TIMEOUT: Duration = Duration::from_secs(60);

/// One socket per core on `addr`. Port 0 takes a free one, the same for all.
pub fn bind(addr: SocketAddr, cores: u16, limits: &Limits) -> io::Result<(SocketAddr, Vec<std::net::TcpListener>)> {
    let probe = socket(addr)?;
    probe.bind(&addr.into())?;
    probe.listen(1)?;
    let addr = probe.local_addr()?.as_socket().expect("an IP socket has an IP address");
    drop(probe);
    let sockets = (0..cores).map(|_| {
        let socket = socket(addr)?;
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

fn socket(addr: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    if addr.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    Ok(socket)
}

/// TCP_NOTSENT_LOWAT: without it the kernel swallows megabytes for a reader that has stopped (design 2.6).
fn set_notsent_lowat(socket: &Socket, bytes: u32) -> io::Result<()> {
    socket.set_tcp_notsent_lowat(bytes)
}

/// Accepts on one socket until `stop` turns true. Out of descriptors, it rests and tries again.
pub async fn accept(core: Rc<Core>, listener: usize, socket: TcpListener, mut stop: watch::Receiver<bool>) {
    let mut rest = Duration::from_millis(10);
    loop {
        let accepted = tokio::select! {
            accepted = socket.accept() => accepted,
            _ = stop.changed() => return,
        };
        match accepted {
            Ok((stream, peer)) => {
                rest = Duration::from_millis(10);
                admit(&core, listener, stream, peer);
            }
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                warn!(target: "siod::listen", %error, rest_ms = rest.as_millis() as u64, "cannot accept");
                tokio::time::sleep(rest).await;
                rest = (rest * 2).min(Duration::from_secs(1));
            }
        }
    }
}

fn admit(core: &Rc<Core>, listener: usize, stream: TcpStream, peer: SocketAddr) {
    let ip = peer.ip().to_canonical();
    match core.process.guard.admit(ip) {
        Ok(place) => {
            spawn_local(http::serve(core.clone(), listener, stream, ip, place));
        }
        Err(limit) => {
            debug!(target: "siod::listen", %ip, ?limit, "refused");
            core.process.refusals.count_overload();
            spawn_local(refuse(stream));
        }
    }
}

/// 503 in one write, before a byte of the request is read.
async fn refuse(mut stream: TcpStream) {
    const BUSY: &[u8] =
        b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: 0\r\nRetry-After: 5\r\n\r\n";
    // A client that has gone already needs no answer.
    let _ = stream.write_all(BUSY).await;
    let _ = stream.shutdown().await;
}

/// Errors that concern the connection that was to be accepted, not the socket that accepts.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_is_noticed_although_it_could_be_shared() {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let (addr, sockets) = bind(any, 2, &Limits::default()).unwrap();
        assert_eq!(sockets.len(), 2);
        assert_eq!(bind(addr, 1, &Limits::default()).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        drop(sockets);
        assert!(bind(addr, 1, &Limits::default()).is_ok());
    }

    #[test]
    fn t04_accepted_sockets_have_the_options_of_the_listening_one() {
        let limits = Limits { outbox_stall_ms: 90_000, ..Limits::default() };
        for (limits, unread_s) in [(Limits::default(), 60), (limits, 90)] {
            let (addr, sockets) = bind(SocketAddr::from(([127, 0, 0, 1], 0)), 1, &limits).unwrap();
            sockets[0].set_nonblocking(false).unwrap();
            let _client = std::net::TcpStream::connect(addr).unwrap();
            let accepted = Socket::from(sockets[0].accept().unwrap().0);
            assert_eq!(accepted.tcp_user_timeout().unwrap(), Some(Duration::from_secs(unread_s)));
            assert_eq!(accepted.tcp_notsent_lowat().unwrap(), limits.notsent_lowat_bytes);
            assert!(accepted.tcp_nodelay().unwrap());
        }
    }
}
