//! What a shard counts: plain numbers it alone adds to. A scrape copies them into a [`super::sample::ShardSample`].

use std::collections::BTreeMap;

use crate::app::link::LinkEnd;
use crate::base::close::CloseReason;
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
    /// By application: what came of links that arrived.
    pub links: Vec<LinkStats>,
    /// Acks of clients that nobody waits for.
    pub unknown_acks: u64,
    /// Joins beyond `rooms_per_socket_max`.
    pub joins_refused: u64,
    /// Volatile entries that a slow reader was not sent.
    pub dropped_volatile: u64,
    /// Entries of slow readers that a newer one of the same key replaced.
    pub coalesced: u64,
    pub slow_consumers: u64,
    /// By application and kind, which the applications take from closed sets.
    pub alerts: BTreeMap<(u16, &'static str), u64>,
    /// Flushes of a WebSocket; as long as the kernel takes all, one system call each.
    pub writes: u64,
    /// Microseconds from the first input of a turn to its last flush.
    pub turn_us: Histogram,
    /// Microseconds from the first input of a turn that emitted to the end of its flush.
    pub emit_to_flush_us: Histogram,
}

/// What came of links that arrived at one application.
#[derive(Clone, Debug, Default)]
pub struct LinkStats {
    pub opened: u64,
    /// Those that were turned away.
    pub refused: u64,
    /// Messages and their bytes, from links that were open and to them.
    pub messages_in: u64,
    pub messages_out: u64,
    pub bytes_in: u64,
    pub bytes_out: u64,
    /// By [`LinkEnd::place`], whether they had opened or not.
    pub closed: [u64; LinkEnd::LABELS.len()],
    /// Microseconds from the arrival to the opening.
    pub open_us: Histogram,
}

/// What came of one namespace's traffic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcomes {
    /// CONNECTs.
    pub accepted: u64,
    pub refused: u64,
    /// Events from clients.
    pub events: u64,
    /// Acks to clients.
    pub acked: u64,
    /// Emits of the application, counted on each shard that was told of one.
    pub emitted: u64,
    /// Receivers of those.
    pub delivered: u64,
}
