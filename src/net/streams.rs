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
pub struct Stream {
    pub tcp: TcpStream,
    /// Stands in the list of sockets to read.
    pub ready: bool,
    /// The kernel has announced the end of what can be read.
    pub ended: bool,
    /// Its first request has not come; the shard does not know it.
    pub fresh: bool,
    pub place: Place,
}

/// All descriptors of a core.
#[derive(Default)]
pub struct Streams(Slab<Stream>);

impl Streams {
    /// Takes a stream in and registers it, once and for all: edge-triggered, both directions.
    pub fn adopt(&mut self, mut tcp: TcpStream, place: Place, fresh: bool, registry: &Registry) -> io::Result<ConnKey> {
        let mut registered = Ok(());
        let key = self.0.insert_with(|key| {
            registered = registry.register(&mut tcp, Token(key.slot as usize), Interest::READABLE | Interest::WRITABLE);
            Stream { tcp, ready: false, ended: false, fresh, place }
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
    pub fn of_token(&self, token: Token) -> Option<ConnKey> {
        self.0.key_at(token.0 as u32).map(ConnKey)
    }

    pub fn get_mut(&mut self, conn: ConnKey) -> Option<&mut Stream> {
        self.0.get_mut(conn.0)
    }

    /// Whether the first request of a connection has not come.
    pub fn is_fresh(&self, conn: ConnKey) -> bool {
        self.0.get(conn.0).is_some_and(|stream| stream.fresh)
    }

    /// Takes a stream out; closing the descriptor takes it out of the epoll set, too.
    pub fn remove(&mut self, conn: ConnKey) -> Option<Stream> {
        self.0.remove(conn.0)
    }
}
