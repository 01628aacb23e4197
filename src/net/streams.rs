//! The WebSocket descriptors of one core, by the slots that name connections towards the shard. An idle one costs a
//! descriptor, a generation and its place in the guard.

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
    _place: Place,
}

/// All descriptors of a core.
#[derive(Default)]
pub struct Streams(Slab<Stream>);

impl Streams {
    /// Takes a stream in and registers it, once and for all: edge-triggered, both directions.
    pub fn adopt(&mut self, stream: std::net::TcpStream, place: Place, registry: &Registry) -> io::Result<ConnKey> {
        let mut tcp = TcpStream::from_std(stream);
        let mut registered = Ok(());
        let key = self.0.insert_with(|key| {
            registered = registry.register(&mut tcp, Token(key.slot as usize), Interest::READABLE | Interest::WRITABLE);
            Stream { tcp, ready: false, ended: false, _place: place }
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

    /// Takes a stream out; closing the descriptor takes it out of the epoll set, too.
    pub fn remove(&mut self, conn: ConnKey) -> Option<Stream> {
        self.0.remove(conn.0)
    }
}
