//! Who connects next, when, and from which address.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::ClientId;
use crate::clock::{Nanos, Pace};

/// Connections from one source address before the next one is taken.
const PORTS_PER_SOURCE: u64 = 20_000;

/// The clients that are to connect, and the rules by which they may.
pub struct Connecting {
    queue: VecDeque<ClientId>,
    pace: Option<Pace>,
    per_second: f64,
    /// Handshakes under way.
    pub in_flight: usize,
    in_flight_max: usize,
}

impl Connecting {
    /// `per_second` 0: as fast as handshakes end.
    pub fn new(per_second: f64, in_flight_max: usize) -> Connecting {
        Connecting { queue: VecDeque::new(), pace: None, per_second, in_flight: 0, in_flight_max }
    }

    pub fn push(&mut self, client: ClientId) {
        self.queue.push_back(client);
    }

    /// The next client that may connect, and since when it may: its time counts from then, however late we are.
    pub fn next(&mut self, now: Nanos) -> Option<(ClientId, Nanos)> {
        if self.queue.is_empty() || self.in_flight >= self.in_flight_max {
            return None;
        }
        let since = if self.per_second > 0.0 {
            let (first, per_second) = (now, self.per_second);
            self.pace.get_or_insert_with(|| Pace::new(first, per_second)).take(now)?
        } else {
            now
        };
        self.in_flight += 1;
        self.queue.pop_front().map(|client| (client, since))
    }

    /// When to look again, if that is a matter of time.
    pub fn deadline(&self) -> Option<Nanos> {
        let waits = !self.queue.is_empty() && self.in_flight < self.in_flight_max;
        waits.then(|| self.pace.map_or(0, |pace| pace.next_at()))
    }

    pub fn is_idle(&self) -> bool {
        self.queue.is_empty() && self.in_flight == 0
    }
}

/// Source addresses in 127.0.0.0/8, so that ports do not run out; another range for each process and thread.
pub struct Sources {
    loopback: bool,
    base: u32,
    opened: u64,
}

impl Sources {
    pub fn new(loopback: bool, process: u32, thread: usize) -> Sources {
        // 127.x.y.z: x from the process, y from the thread, z counts on. Zero is left out everywhere.
        let base = 127 << 24 | (1 + process % 254) << 16 | (1 + thread as u32 % 254) << 8;
        Sources { loopback, base, opened: 0 }
    }

    pub fn next(&mut self) -> Option<SocketAddr> {
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
        (0..4).for_each(|n| connecting.push(ClientId(n)));
        assert_eq!(connecting.next(1_000), Some((ClientId(0), 1_000)));
        assert_eq!(connecting.next(1_050), None);
        assert_eq!(connecting.deadline(), Some(1_100));
        assert_eq!(connecting.next(1_500), Some((ClientId(1), 1_100)));
        assert_eq!(connecting.next(1_500), None, "two are under way");
        connecting.in_flight = 0;
        assert_eq!(connecting.next(1_500), Some((ClientId(2), 1_200)));
    }

    #[test]
    fn every_20_000_connections_have_another_source() {
        let mut sources = Sources::new(true, 7, 0);
        let all: Vec<_> = (0..20_001).map(|_| sources.next().unwrap().ip().to_string()).collect();
        assert_eq!((all[0].as_str(), all[19_999].as_str(), all[20_000].as_str()), ("127.8.1.1", "127.8.1.1", "127.8.1.2"));
        assert_eq!(Sources::new(false, 7, 0).next(), None);
    }
}
