//! How long a client waits before it tries to come back: not at all, or as the official JavaScript client does unless it is
//! told otherwise (1 s, twice as long each time, 5 s at most, each moved by up to half of itself in either direction).
//! Spec: <https://socket.io/docs/v4/client-options/#reconnectiondelay>.

use crate::clock::{MS_NS, Nanos};
use crate::options::BackOff;
use crate::pool::ClientId;

const FIRST_NS: Nanos = 1_000 * MS_NS;
const LONGEST_NS: Nanos = 5_000 * MS_NS;
const FACTOR: u64 = 2;
const JITTER: f64 = 0.5;
/// More tries than this change nothing: the longest wait is long reached.
const TRIES_COUNTED_MAX: u8 = 16;

pub(super) struct Waits {
    back_off: BackOff,
    /// Tries of each client since it was last connected.
    tries: Vec<u8>,
    seed: u64,
}

impl Waits {
    pub(super) fn new(back_off: BackOff, clients: u32, seed: u32) -> Waits {
        Waits { back_off, tries: vec![0; clients as usize], seed: u64::from(seed) + 1 }
    }

    /// How long a client waits before its next try.
    pub(super) fn next_ns(&mut self, client: ClientId) -> Nanos {
        if self.back_off == BackOff::None {
            return 0;
        }
        let tries = &mut self.tries[client.0 as usize];
        let plain = FIRST_NS * FACTOR.pow(u32::from(*tries));
        *tries = (*tries + 1).min(TRIES_COUNTED_MAX);
        let moved = plain as f64 * (1.0 + JITTER * (self.random() * 2.0 - 1.0));
        (moved as Nanos).min(LONGEST_NS)
    }

    /// It is connected.
    pub(super) fn reset(&mut self, client: ClientId) {
        self.tries[client.0 as usize] = 0;
    }

    /// Between 0 and 1, the same ones in every run (xorshift).
    fn random(&mut self) -> f64 {
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        (self.seed >> 11) as f64 / (1u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stock_waits_double_up_to_five_seconds_and_spread() {
        let mut waits = Waits::new(BackOff::Stock, 2_000, 0);
        for (first, last) in [(500, 1_500), (1_000, 3_000), (2_000, 5_000), (4_000, 5_000), (5_000, 5_000)] {
            let all: Vec<_> = (0..2_000).map(|client| waits.next_ns(ClientId(client)) / MS_NS).collect();
            let (least, most) = (*all.iter().min().unwrap(), *all.iter().max().unwrap());
            assert!(least >= first && most <= last, "{least} to {most}, not {first} to {last}");
            assert!(least < first + 50 && most + 50 > last, "{least} to {most} is not spread over {first} to {last}");
        }
        waits.reset(ClientId(0));
        assert!(waits.next_ns(ClientId(0)) <= 1_500 * MS_NS);
        assert!((0..1_000).all(|_| waits.next_ns(ClientId(1)) == LONGEST_NS));
        assert_eq!(Waits::new(BackOff::None, 1, 0).next_ns(ClientId(0)), 0);
    }
}
