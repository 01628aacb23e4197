//! What a shard counts: plain numbers it alone adds to. A scrape copies them into a [`super::sample::ShardSample`].

use std::collections::BTreeMap;

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
    pub unknown_acks: u64,
    /// Joins beyond `rooms_per_socket_max`.
    pub joins_refused: u64,
    /// Entries dropped or replaced for slow readers, and volatile ones.
    pub dropped_volatile: u64,
    pub coalesced: u64,
    pub slow_consumers: u64,
    /// By namespace and kind, which the applications take from closed sets.
    pub alerts: BTreeMap<(u16, &'static str), u64>,
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
