//! One TCP connection: its socket, what waits to be written, and what came but is not whole yet. Knows no protocol.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::time::Duration;

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use socket2::{Domain, Protocol, SockRef, Socket, Type};

use crate::fault::Fault;

/// An idle one owns no buffer.
pub(super) struct Link {
    stream: TcpStream,
    out: Vec<u8>,
    partial: Vec<u8>,
    connected: bool,
    /// It is in the list of those to flush.
    pub dirty: bool,
    /// The answer to the WebSocket handshake has come.
    pub upgraded: bool,
}

/// What one read brought.
pub(super) enum Got {
    /// So many bytes at the front of the buffer, earlier ones included; there may be more to read.
    Bytes {
        filled: usize,
        more: bool,
    },
    Nothing,
    End,
}

impl Link {
    /// Begins to connect, from `source` if it is said.
    pub(super) fn open(
        registry: &Registry,
        token: Token,
        to: SocketAddr,
        source: Option<SocketAddr>,
    ) -> io::Result<Link> {
        let socket = Socket::new(Domain::for_address(to), Type::STREAM.nonblocking().cloexec(), Some(Protocol::TCP))?;
        socket.set_tcp_nodelay(true)?;
        if let Some(source) = source {
            // The port is chosen when it connects: then only the pair of addresses must be free.
            set_bind_address_no_port(&socket)?;
            socket.bind(&source.into())?;
        }
        match socket.connect(&to.into()) {
            Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => return Err(error),
            _ => {}
        }
        let mut stream = TcpStream::from_std(socket.into());
        registry.register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
        let (out, partial) = (Vec::new(), Vec::new());
        Ok(Link { stream, out, partial, connected: false, dirty: false, upgraded: false })
    }

    /// Where bytes to be sent are appended; [`Link::flush`] sends them.
    pub(super) fn out(&mut self) -> &mut Vec<u8> {
        &mut self.out
    }

    /// Writes what waits, as far as the kernel takes it. Gives back the number of write calls.
    pub(super) fn flush(&mut self) -> Result<u64, Fault> {
        if !self.connected {
            return Ok(0);
        }
        let (mut sent, mut calls) = (0, 0);
        while sent < self.out.len() {
            calls += 1;
            match self.stream.write(&self.out[sent..]) {
                Ok(count) => sent += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Fault::Broken(error.kind())),
            }
        }
        if sent == self.out.len() {
            self.out = Vec::new();
        } else {
            self.out.drain(..sent);
        }
        Ok(calls)
    }

    /// The socket is writable: connected, if it was not before.
    pub(super) fn on_writable(&mut self) -> Result<u64, Fault> {
        if !self.connected {
            match self.stream.take_error() {
                Ok(None) => {}
                Ok(Some(error)) | Err(error) => return Err(Fault::Connect(error.kind())),
            }
            match self.stream.peer_addr() {
                Ok(_) => self.connected = true,
                Err(error) if error.kind() == io::ErrorKind::NotConnected => return Ok(0),
                Err(error) => return Err(Fault::Connect(error.kind())),
            }
        }
        self.flush()
    }

    /// Reads once: what was left over goes to the front of `buffer`, what comes now behind it.
    pub(super) fn read(&mut self, buffer: &mut Vec<u8>) -> Result<Got, Fault> {
        let kept = self.partial.len();
        if buffer.len() < kept * 2 {
            buffer.resize(kept * 2, 0);
        }
        let got = self.stream.read(&mut buffer[kept..]);
        match got {
            Ok(0) => Ok(Got::End),
            Ok(count) => {
                buffer[..kept].copy_from_slice(&self.partial);
                self.partial = Vec::new();
                Ok(Got::Bytes { filled: kept + count, more: kept + count == buffer.len() })
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
                Ok(Got::Nothing)
            }
            Err(error) if !self.connected => Err(Fault::Connect(error.kind())),
            Err(error) => Err(Fault::Broken(error.kind())),
        }
    }

    /// Its end will be a reset, which waits for nothing; where the kernel refuses that, a plain end.
    pub(super) fn reset_on_close(&self) {
        let _ = SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
    }

    /// Keeps what could not be used yet.
    pub(super) fn keep(&mut self, rest: &[u8]) {
        self.partial = rest.to_vec();
    }
}

fn set_bind_address_no_port(socket: &Socket) -> io::Result<()> {
    use std::os::fd::AsRawFd;
    let on: libc::c_int = 1;
    // SAFETY: the descriptor is open, and the option is read from `on`, whose size is given.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_IP,
            libc::IP_BIND_ADDRESS_NO_PORT,
            (&raw const on).cast(),
            size_of_val(&on) as libc::socklen_t,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
