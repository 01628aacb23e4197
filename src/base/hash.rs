//! A keyed hash for tables whose keys clients choose, so that nobody can choose names that collide (T-23). The key is drawn
//! from the seed, so that a seed replays; nothing may depend on the order of such a table.

use std::hash::BuildHasher;

use siphasher::sip::SipHasher13;

use super::rng::Rng;

/// SipHash-1-3 with a key of its own.
#[derive(Clone, Copy, Debug)]
pub struct Keyed(u64, u64);

impl Keyed {
    /// A fresh key.
    pub fn draw(rng: &mut Rng) -> Keyed {
        Keyed(rng.u64(), rng.u64())
    }
}

impl BuildHasher for Keyed {
    type Hasher = SipHasher13;

    fn build_hasher(&self) -> SipHasher13 {
        SipHasher13::new_with_keys(self.0, self.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draw(seed: u8) -> Keyed {
        Keyed::draw(&mut Rng::from_seed([seed; 32]))
    }

    #[test]
    fn t23_names_that_collide_under_one_key_spread_under_another() {
        let (known, ours) = (draw(1), draw(2));
        let bucket = |key: &Keyed, name: &str| key.hash_one(name) % 256;
        let names = (0..200_000).map(|number| format!("room-{number}"));
        let colliding: Vec<String> = names.filter(|name| bucket(&known, name) == 0).collect();
        assert!(colliding.len() > 600, "{}", colliding.len());
        let mut lengths = [0; 256];
        colliding.iter().for_each(|name| lengths[bucket(&ours, name) as usize] += 1);
        // About three for each bucket on average.
        assert!(lengths.iter().all(|length| *length < 20), "{lengths:?}");
    }

    #[test]
    fn a_seed_gives_the_same_key_again() {
        assert_eq!(draw(7).hash_one("x"), draw(7).hash_one("x"));
        assert_ne!(draw(7).hash_one("x"), draw(8).hash_one("x"));
    }
}
