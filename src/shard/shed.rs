//! All outboxes of a shard together (F-13): above `limits.outbox_total_bytes_max` the largest slow readers are closed, before
//! memory runs out for everybody.
//!
//! Counted are references: a broadcast that waits for a thousand readers counts a thousand times, though its bytes lie in
//! memory once. So the count may be too large, and is never too small. It is looked at when every socket of a turn has been
//! written to: then only what nobody takes is left.

use tracing::warn;

use super::Shard;
use crate::base::close::CloseReason;
use crate::base::ids::{ConnKey, PeerKey};

/// A client for which bytes wait.
#[derive(Clone, Copy)]
enum Reader {
    WebSocket(ConnKey),
    Polling(PeerKey),
}

impl Shard {
    /// Closes the largest readers while too much waits, and a little more, so that the next byte does not lead here again.
    /// `true`: somebody was closed.
    pub(super) fn shed(&mut self) -> bool {
        let (max, before) = (self.config.limits.outbox_total_bytes_max, self.transports.pool.queued_bytes());
        if max == 0 || before <= max || !self.transports.dirty_conns.is_empty() {
            return false;
        }
        let (mut left, mut closed) = (before, 0u32);
        for (bytes, reader) in self.readers_by_size() {
            if left <= max - max / 8 {
                break;
            }
            left -= bytes;
            closed += 1;
            match reader {
                Reader::WebSocket(conn) => self.end_slow_reader(conn),
                // Nobody waits to be told: the next GET finds the sid unknown.
                Reader::Polling(peer) => {
                    self.close_peer(peer, CloseReason::SlowConsumer);
                    self.forget(peer);
                }
            }
        }
        warn!(target: "siod::limit", max, before, left, closed, "outbox_total_bytes_max reached: slow readers are closed");
        self.run_homes();
        closed > 0
    }

    /// Largest first; equal ones in the order of their slots.
    fn readers_by_size(&self) -> Vec<(usize, Reader)> {
        let sockets =
            self.transports.conns.lanes().map(|(conn, lane)| (lane.outbox.queued_bytes(), Reader::WebSocket(conn)));
        let polls =
            self.transports.peers.iter().filter_map(|(key, peer)| {
                Some((peer.session.polling()?.queued_bytes(), Reader::Polling(PeerKey(key))))
            });
        let mut readers: Vec<(usize, Reader)> = sockets.chain(polls).filter(|(bytes, _)| *bytes > 0).collect();
        readers.sort_by_key(|(bytes, _)| std::cmp::Reverse(*bytes));
        readers
    }

    /// The bytes that wait for a polling client's next GET have changed.
    pub(super) fn count_polling(&mut self, key: PeerKey) {
        if let Some(polling) = self.transports.peers.get_mut(key.0).and_then(|peer| peer.session.polling_mut()) {
            let (before, now) = polling.count();
            self.transports.pool.count_polling(before, now);
        }
    }
}
