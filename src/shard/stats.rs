//! What a shard counts: plain numbers it alone adds to. A scrape copies them into a [`Sample`].

use super::Shard;
use crate::app::Metric;
use crate::base::close::CloseReason;
use crate::base::ids::NspId;
use crate::base::stats::Histogram;

/// Counters since start.
#[derive(Clone, Debug, Default)]
pub struct Stats {
    pub opened_polling: u64,
    pub opened_websocket: u64,
    pub upgraded: u64,
    /// By `reason as usize`.
    pub closed: [u64; CloseReason::ALL.len()],
    /// Engine requests refused, by error code 0 to 5.
    pub refused: [u64; 6],
    pub packets_in: u64,
    pub packets_out: u64,
    pub bytes_in: u64,
    pub bytes_out: u64,
    /// By namespace: events and connects, by what came of them.
    pub outcomes: Vec<Outcomes>,
    pub unknown_acks: u64,
    /// Joins beyond `rooms_per_socket_max`.
    pub joins_refused: u64,
    /// Entries dropped or replaced for slow readers, and volatile ones.
    pub dropped_volatile: u64,
    pub coalesced: u64,
    pub slow_consumers: u64,
    pub alerts: u64,
    pub writes: u64,
    pub turns: u64,
    /// Microseconds from the first input of a turn to its last flush.
    pub turn_us: Histogram,
    /// Microseconds from the first input of a turn that emitted to the end of its flush.
    pub emit_to_flush_us: Histogram,
}

/// What came of one namespace's traffic.
#[derive(Clone, Copy, Debug, Default)]
pub struct Outcomes {
    pub accepted: u64,
    pub refused: u64,
    pub events: u64,
    pub acked: u64,
    pub emitted: u64,
    pub delivered: u64,
}

/// One shard as a scrape sees it: counters, and what it holds at this moment.
#[derive(Clone, Debug, Default)]
pub struct Sample {
    pub shard: u16,
    /// The shard did not answer in time: these are older figures.
    pub stale: bool,
    pub stats: Stats,
    pub polling_now: u64,
    pub websocket_now: u64,
    /// Sockets by namespace, in the order of the table of namespaces.
    pub sockets: Vec<u64>,
    pub rooms: u64,
    pub timers: u64,
    pub outbox_bytes: u64,
    pub mailbox_depth: u64,
    pub pending_acks: u64,
    pub app: Vec<Metric>,
}

impl Shard {
    /// Figures for a scrape; `mailbox_depth` is the reactor's to fill in.
    pub fn sample(&self) -> Sample {
        let mut app: Vec<Metric> = Vec::new();
        self.homes.iter().for_each(|home| home.metrics(&mut app));
        Sample {
            shard: self.id.0,
            stale: false,
            stats: self.stats.clone(),
            polling_now: self.peers.iter().filter(|(_, peer)| peer.session.polling().is_some()).count() as u64,
            websocket_now: self.conns.len() as u64,
            sockets: (0..self.homes.len()).map(|nsp| self.hub.namespace_count(NspId(nsp as u16)) as u64).collect(),
            rooms: self.hub.room_count() as u64,
            timers: self.wheel.len() as u64,
            outbox_bytes: self.pool.queued_bytes() as u64,
            mailbox_depth: 0,
            pending_acks: self.acks.len() as u64,
            app,
        }
    }
}
