//! From accept to the first bytes of a connection, and where these lead: to the shard at once if they are a plain WebSocket
//! handshake, else to hyper, together with what has been read.

use std::net::Shutdown;
use std::time::Duration;

use bytes::Bytes;
use mio::net::TcpStream;
use tokio::task::spawn_local;
use tracing::debug;

use super::arrivals::Newcomer;
use super::flush;
use super::listen;
use super::quick::{self, Opened};
use super::reactor::{Outside, Reactor};
use super::{guard, http};
use crate::base::ids::ConnKey;
use crate::base::limit::{ACCEPTS_PER_TURN_MAX, HEAD_TIMEOUT_MS};
use crate::base::time::Now;
use crate::shard::Input;

impl<O: Outside> Reactor<O> {
    /// Lets in who waits, within the turn's budget, and closes on who has said nothing in time. Returns how many came in.
    pub(super) fn receive(&mut self, now: Now) -> usize {
        while let Some(conn) = self.arrivals.next_late(now.mono) {
            self.streams.remove(conn);
        }
        for count in 0..ACCEPTS_PER_TURN_MAX {
            let Some((listener, stream, peer)) = self.doors.accept(now.mono) else { return count };
            let newcomer = Newcomer { listener, ip: peer.ip().to_canonical(), due: now.mono + HEAD_TIMEOUT_MS };
            match self.core.process.guard.admit(newcomer.ip) {
                Ok(place) => self.welcome(newcomer, stream, place),
                Err(limit) => {
                    debug!(target: "siod::listen", ip = %newcomer.ip, ?limit, "refused");
                    self.core.process.refusals.count_overload();
                    listen::refuse(stream);
                }
            }
        }
        ACCEPTS_PER_TURN_MAX
    }

    fn welcome(&mut self, newcomer: Newcomer, stream: TcpStream, place: guard::Place) {
        if let Ok(conn) = self.streams.adopt(stream, place, true, self.poll.registry()) {
            self.arrivals.insert(conn, newcomer);
        }
    }

    /// The first `count` bytes of a newcomer are in the read buffer.
    pub(super) fn on_first_bytes(&mut self, now: Now, conn: ConnKey, count: usize) {
        let Some(newcomer) = self.arrivals.remove(conn) else { return };
        let bytes = &self.read_buffer[..count];
        match quick::open(&self.core, &newcomer, bytes, now.wall) {
            Some(opened) => self.open(now, conn, opened, count),
            None => {
                let early = Bytes::copy_from_slice(bytes);
                self.pass_on(now, conn, newcomer, early);
            }
        }
    }

    /// A newcomer has gone before it said anything.
    pub(super) fn on_no_word(&mut self, conn: ConnKey) {
        self.arrivals.remove(conn);
        self.streams.remove(conn);
    }

    /// The 101 leaves together with what the shard has to say at once.
    fn open(&mut self, now: Now, conn: ConnKey, opened: Opened, count: usize) {
        let Opened { hello, head, head_bytes } = opened;
        let Some(stream) = self.streams.get_mut(conn) else { return };
        stream.fresh = false;
        self.shard.on_input(now, Input::Connected { conn, hello });
        if self.write_head(conn, &head) < head.len()
            && let Some(stream) = self.streams.get_mut(conn)
        {
            // An empty socket takes a head, unless it is broken: reading it will tell the shard so.
            let _ = stream.tcp.shutdown(Shutdown::Both);
        }
        if head_bytes < count {
            let bytes = &mut self.read_buffer[head_bytes..count];
            self.shard.on_input(now, Input::Bytes { conn, bytes });
        }
    }

    /// Writes `head` and then what the shard has for the same socket; returns how many bytes the kernel took.
    fn write_head(&mut self, conn: ConnKey, head: &[u8]) -> usize {
        let Some(stream) = self.streams.get_mut(conn) else { return 0 };
        let (tcp, scratch) = (&stream.tcp, &mut self.scratch);
        let mut written = None;
        self.shard.flush(conn, |slices| {
            let mut with_head = std::iter::once(head).chain(slices.map(|slice| -> &[u8] { slice }));
            let all = flush::write(tcp, &mut with_head, scratch);
            written = Some(all);
            all.saturating_sub(head.len())
        });
        written.unwrap_or_else(|| flush::write(tcp, &mut std::iter::once(head), scratch))
    }

    /// A newcomer leaves for hyper.
    fn pass_on(&mut self, now: Now, conn: ConnKey, newcomer: Newcomer, early: Bytes) {
        let Some(mut stream) = self.streams.remove(conn) else { return };
        let left = Duration::from_millis(newcomer.due.since(now.mono));
        let first = tokio::time::Instant::now().into_std() + left;
        let gone = self.poll.registry().deregister(&mut stream.tcp);
        let Ok(tcp) = gone.and_then(|()| tokio::net::TcpStream::from_std(stream.tcp.into())) else { return };
        spawn_local(http::serve(self.core.clone(), newcomer, tcp, stream.place, early, first));
    }
}
