//! The one source of random bits below the border: ChaCha12, seeded by the shell, so that a seed replays a run.

use rand_chacha::ChaCha12Rng;
use rand_core::{Rng as _, SeedableRng};

use super::ids::Sid;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// A cryptographically secure generator that a seed replays.
#[derive(Clone)]
pub struct Rng(ChaCha12Rng);

impl Rng {
    /// `seed` comes from the operating system in the daemon, from a number in tests.
    pub fn from_seed(seed: [u8; 32]) -> Rng {
        Rng(ChaCha12Rng::from_seed(seed))
    }

    /// 64 random bits.
    pub fn u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// Uniform in `0..bound`; 0 where `bound` is 0. The bias of the multiplication is below 2⁻³².
    pub fn below(&mut self, bound: u32) -> u32 {
        ((u64::from(self.0.next_u32()) * u64::from(bound)) >> 32) as u32
    }

    /// A fresh id: 120 random bits as 20 URL-safe characters.
    pub fn sid(&mut self) -> Sid {
        let mut id = [0; Sid::LEN];
        for half in id.chunks_exact_mut(10) {
            let mut bits = self.0.next_u64();
            for character in half {
                *character = ALPHABET[(bits & 63) as usize];
                bits >>= 6;
            }
        }
        Sid(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn a_seed_replays() {
        let draw = |seed| Rng::from_seed([seed; 32]).sid();
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
    }

    /// T-07: no repeat, and no character position that is predictable (chi-square over 64 values, 63 degrees of freedom).
    #[test]
    fn t07_sids_do_not_repeat_and_every_character_is_uniform() {
        const DRAWS: usize = 100_000;
        let mut rng = Rng::from_seed([7; 32]);
        let mut seen = HashSet::with_capacity(DRAWS);
        let mut counts = [[0u32; 128]; Sid::LEN];
        for _ in 0..DRAWS {
            let sid = rng.sid();
            assert!(seen.insert(sid));
            for (position, byte) in sid.0.iter().enumerate() {
                counts[position][*byte as usize] += 1;
            }
        }
        let expected = DRAWS as f64 / 64.0;
        for position in counts {
            let chi: f64 =
                ALPHABET.iter().map(|byte| (f64::from(position[*byte as usize]) - expected).powi(2) / expected).sum();
            assert!(chi < 115.0, "chi-square {chi} of 63 degrees of freedom, p < 0.0001");
        }
    }

    #[test]
    fn below_stays_below() {
        let mut rng = Rng::from_seed([3; 32]);
        assert!((0..1000).all(|_| rng.below(10) < 10));
        assert_eq!(rng.below(0), 0);
    }
}
