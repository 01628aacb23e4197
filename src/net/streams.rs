//! The descriptors in one core's epoll set, by the slots that name connections towards the shard: WebSockets, and
//! newcomers that have not said yet what they are. An idle one costs a descriptor, a generation and its place in the guard.

use std::io;

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};

use super::guard::Place;
use crate::base::ids::ConnKey;
use crate::base::slab::Slab;

/// One descriptor.
#[derive(Debug)]
pub(crate) struct Stream {
    pub tcp: TcpStream,
    /// Stands in the list of sockets to read.
    pub ready: bool,
    /// The kernel has announced the end of what can be read.
    pub ended: bool,
    /// Nothing of it is read for a while.
    pub paused: bool,
    pub kind: Kind,
    pub place: Place,
}

/// What a descriptor is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// Its first request has not come.
    Newcomer,
    /// It polls, or asks for a link and waits.
    Polling,
    /// The only kind that a shard knows as a connection.
    WebSocket,
}

/// All descriptors of a core.
#[derive(Default)]
pub(crate) struct Streams(Slab<Stream>);

impl Streams {
    /// Takes a stream in and registers it, once and for all: edge-triggered, both directions.
    pub(crate) fn adopt(
        &mut self,
        mut tcp: TcpStream,
        place: Place,
        kind: Kind,
        registry: &Registry,
    ) -> io::Result<ConnKey> {
        let mut registered = Ok(());
        let key = self.0.insert_with(|key| {
            registered = registry.register(&mut tcp, Token(key.slot as usize), Interest::READABLE | Interest::WRITABLE);
            Stream { tcp, ready: false, ended: false, paused: false, kind, place }
        });
        match registered {
            Ok(()) => Ok(ConnKey(key)),
            Err(error) => {
                self.0.remove(key);
                Err(error)
            }
        }
    }

    /// The connection an event is about.
    pub(crate) fn of_token(&self, token: Token) -> Option<ConnKey> {
        self.0.key_at(token.0 as u32).map(ConnKey)
    }

    pub(crate) fn get_mut(&mut self, conn: ConnKey) -> Option<&mut Stream> {
        self.0.get_mut(conn.0)
    }

    /// Whether a connection is not a WebSocket.
    pub(crate) fn is_caller(&self, conn: ConnKey) -> bool {
        self.0.get(conn.0).is_some_and(|stream| stream.kind != Kind::WebSocket)
    }

    /// Takes a stream out; closing the descriptor takes it out of the epoll set, too.
    pub(crate) fn remove(&mut self, conn: ConnKey) -> Option<Stream> {
        self.0.remove(conn.0)
    }
}
