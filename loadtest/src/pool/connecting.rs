//! The next client to connect, when it does, and from which address.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::ClientId;
use crate::clock::{Nanos, SECOND_NS};

/// Connections from one source address before the next one is taken: far fewer than it has ports. Beyond half of them the
/// kernel tries thousands before it finds a free one, at 100 µs and more for a connection.
const PORTS_PER_SOURCE: u64 = 5_000;

/// The clients that are to connect, and the rules by which they may.
pub(super) struct Connecting {
    /// Each with the time since when it wants to.
    queue: VecDeque<(ClientId, Nanos)>,
    /// Apart from each other at least; 0: as fast as handshakes end.
    interval_ns: f64,
    next_at: f64,
    /// Handshakes under way.
    pub in_flight: usize,
    pub in_flight_max: usize,
}

impl Connecting {
    /// `per_second` 0: as fast as handshakes end.
    pub(super) fn new(per_second: f64, in_flight_max: usize) -> Connecting {
        let interval_ns = if per_second > 0.0 { SECOND_NS as f64 / per_second } else { 0.0 };
        Connecting { queue: VecDeque::new(), interval_ns, next_at: 0.0, in_flight: 0, in_flight_max }
    }

    pub(super) fn push(&mut self, client: ClientId, now: Nanos) {
        self.queue.push_back((client, now));
    }

    /// The next client that may connect, and since when it was meant to: with a rate its time counts from then, however
    /// late we are; without one from now.
    pub(super) fn next(&mut self, now: Nanos) -> Option<(ClientId, Nanos)> {
        let (client, due) = (self.queue.front()?.0, self.deadline()?);
        if due > now {
            return None;
        }
        self.queue.pop_front();
        self.in_flight += 1;
        self.next_at = self.next_at.max(due as f64) + self.interval_ns;
        Some((client, if self.interval_ns > 0.0 { due } else { now }))
    }

    /// When the next one is due, if it waits for nothing else.
    pub(super) fn deadline(&self) -> Option<Nanos> {
        let (_, since) = self.queue.front()?;
        (self.in_flight < self.in_flight_max).then_some((self.next_at as Nanos).max(*since))
    }

    pub(super) fn is_idle(&self) -> bool {
        self.queue.is_empty() && self.in_flight == 0
    }
}

/// Source addresses in 127.0.0.0/8, so that ports do not run out; another range for each process and thread.
pub(super) struct Sources {
    loopback: bool,
    base: u32,
    opened: u64,
}

impl Sources {
    pub(super) fn new(loopback: bool, process: u32, thread: usize) -> Sources {
        // 127.x.y.z: x from the process, y from the thread, z counts on. Zero is left out everywhere.
        let base = 127 << 24 | (1 + process % 254) << 16 | (1 + thread as u32 % 254) << 8;
        Sources { loopback, base, opened: 0 }
    }

    pub(super) fn next(&mut self) -> Option<SocketAddr> {
        let block = (self.opened / PORTS_PER_SOURCE % 254) as u32;
        self.opened += 1;
        self.loopback.then(|| SocketAddr::new(IpAddr::V4(Ipv4Addr::from_bits(self.base | (1 + block))), 0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_start_counts_from_when_it_was_due() {
        let mut connecting = Connecting::new(1e9 / 100.0, 2);
        (0..4).for_each(|n| connecting.push(ClientId(n), 1_000));
        assert_eq!(connecting.next(1_000), Some((ClientId(0), 1_000)));
        assert_eq!(connecting.next(1_050), None);
        assert_eq!(connecting.deadline(), Some(1_100));
        assert_eq!(connecting.next(1_500), Some((ClientId(1), 1_100)));
        assert_eq!(connecting.next(1_500), None, "two are under way");
        connecting.in_flight = 0;
        assert_eq!(connecting.next(1_500), Some((ClientId(2), 1_200)));
        assert_eq!(connecting.next(1_500), Some((ClientId(3), 1_300)));
        connecting.in_flight = 0;
        connecting.push(ClientId(4), 9_000);
        assert_eq!(connecting.next(9_000), Some((ClientId(4), 9_000)), "nobody is late who came later");
    }

    #[test]
    fn every_5_000_connections_have_another_source() {
        let mut sources = Sources::new(true, 7, 0);
        let all: Vec<_> = (0..5_001).map(|_| sources.next().unwrap().ip().to_string()).collect();
        assert_eq!(
            (all[0].as_str(), all[4_999].as_str(), all[5_000].as_str()),
            ("127.8.1.1", "127.8.1.1", "127.8.1.2")
        );
        assert_eq!(Sources::new(false, 7, 0).next(), None);
    }
}
