//! Back-off with jitter: how long somebody who was turned away waits before the next try. Waits grow by a factor up to a cap, chance
//! takes a share away, so that those who were turned away together do not come back together, and they begin anew once a try has
//! held for long enough. Pure: time and random bits come in.

use crate::base::rng::Rng;
use crate::base::time::Millis;

/// How waits grow.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Growth {
    /// The first wait, before chance.
    pub base_ms: u64,
    /// Each further one is so many times as long; 1 and less: as long.
    pub factor: f64,
    /// None is longer.
    pub cap_ms: u64,
    /// The share of a wait that chance may take away, 0 to 1.
    pub jitter: f64,
    /// What has held for this long was good: its end is a first failure.
    pub stable_ms: u64,
}

/// The waits of one who tries.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Backoff {
    growth: Growth,
    failures: u32,
    /// Since when the try holds, if it does.
    holds_since: Option<Millis>,
}

impl Backoff {
    /// Nothing has been tried.
    pub fn new(growth: Growth) -> Backoff {
        Backoff { growth, failures: 0, holds_since: None }
    }

    /// A try has worked, and holds until [`Backoff::failed`].
    pub fn worked(&mut self, now: Millis) {
        self.holds_since = Some(now);
    }

    /// A try has failed, or what held has ended. Milliseconds until the next one.
    pub fn failed(&mut self, now: Millis, rng: &mut Rng) -> u64 {
        if self.holds_since.take().is_some_and(|since| now.since(since) >= self.growth.stable_ms) {
            self.failures = 0;
        }
        let whole = self.growth.wait(self.failures);
        self.failures = self.failures.saturating_add(1);
        whole - self.growth.taken(whole, rng)
    }

    /// Failures since it last held for long enough.
    pub fn failures(&self) -> u32 {
        self.failures
    }
}

impl Growth {
    /// Milliseconds after so many failures before, before chance.
    fn wait(&self, failures: u32) -> u64 {
        let grown = self.base_ms as f64 * self.factor.max(1.0).powf(f64::from(failures));
        // A float that is too large, or infinite, becomes the largest integer.
        (grown as u64).min(self.cap_ms)
    }

    /// What chance takes away.
    fn taken(&self, whole: u64, rng: &mut Rng) -> u64 {
        let share = self.jitter.clamp(0.0, 1.0) * f64::from(rng.below(u32::MAX)) / f64::from(u32::MAX);
        ((whole as f64 * share) as u64).min(whole)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLOUD: Growth = Growth { base_ms: 5_000, factor: 1.5, cap_ms: 300_000, jitter: 0.0, stable_ms: 60_000 };

    fn rng() -> Rng {
        Rng::from_seed([3; 32])
    }

    fn check(growth: Growth, expected: &[u64]) {
        let (mut backoff, mut rng) = (Backoff::new(growth), rng());
        let waits: Vec<u64> = expected.iter().map(|_| backoff.failed(Millis(0), &mut rng)).collect();
        assert_eq!(waits, expected, "{growth:?}");
    }

    #[test]
    fn waits_grow_to_the_cap() {
        check(CLOUD, &[5_000, 7_500, 11_250, 16_875, 25_312]);
        check(Growth { base_ms: 1_000, factor: 2.0, cap_ms: 4_000, ..CLOUD }, &[1_000, 2_000, 4_000, 4_000]);
        check(Growth { factor: 1.0, ..CLOUD }, &[5_000, 5_000]);
        check(Growth { factor: 0.5, ..CLOUD }, &[5_000, 5_000]);
        check(Growth { base_ms: 0, ..CLOUD }, &[0, 0]);
        check(Growth { base_ms: u64::MAX, factor: f64::INFINITY, ..CLOUD }, &[300_000, 300_000]);
        let mut backoff = Backoff { failures: u32::MAX, ..Backoff::new(CLOUD) };
        assert_eq!(backoff.failed(Millis(0), &mut rng()), 300_000);
    }

    #[test]
    fn waits_begin_anew_once_a_try_has_held() {
        let (mut backoff, mut rng) = (Backoff::new(CLOUD), rng());
        backoff.failed(Millis(0), &mut rng);
        backoff.failed(Millis(5_000), &mut rng);
        backoff.worked(Millis(20_000));
        assert_eq!(backoff.failed(Millis(79_999), &mut rng), 11_250, "not long enough");
        backoff.worked(Millis(100_000));
        assert_eq!(backoff.failed(Millis(160_000), &mut rng), 5_000);
        assert_eq!(backoff.failures(), 1);
    }

    #[test]
    fn chance_only_shortens_and_spreads_evenly() {
        let growth = Growth { base_ms: 1_000, factor: 1.0, jitter: 0.5, ..CLOUD };
        let (mut backoff, mut rng) = (Backoff::new(growth), rng());
        let mut tenths = [0; 10];
        for _ in 0..10_000 {
            let wait = backoff.failed(Millis(0), &mut rng);
            assert!((500..=1_000).contains(&wait), "{wait}");
            tenths[((wait - 500) / 50).min(9) as usize] += 1;
        }
        assert!(tenths.iter().all(|count| (850..=1_150).contains(count)), "{tenths:?}");
    }

    /// A day of a thousand who try the same end, which is away for an hour in the morning and flaps in the afternoon: nobody
    /// waits longer than the cap, the end is not tried by all at once, and everybody is back a cap after it is.
    #[test]
    fn a_day_of_a_thousand_who_try_one_end() {
        const HOUR_MS: u64 = 3_600_000;
        let growth = Growth { jitter: 0.5, ..CLOUD };
        let is_up = |at: u64| match at / HOUR_MS {
            9 => false,
            15 => at / 1_000 % 90 < 45,
            _ => true,
        };
        let ends = |at: u64| (at..24 * HOUR_MS).step_by(1_000).find(|at| !is_up(*at));
        let mut rng = rng();
        let mut tries = vec![0_u32; (24 * HOUR_MS / 1_000) as usize];
        for _ in 0..1_000 {
            let (mut backoff, mut at) = (Backoff::new(growth), 8 * HOUR_MS);
            while at < 24 * HOUR_MS {
                tries[(at / 1_000) as usize] += 1;
                let end = if is_up(at) { ends(at) } else { Some(at) };
                if is_up(at) {
                    backoff.worked(Millis(at));
                }
                let Some(end) = end else { break };
                let wait = backoff.failed(Millis(end), &mut rng);
                assert!((2_500..=300_000).contains(&wait), "{wait}");
                at = end + wait;
            }
            assert!(at < 16 * HOUR_MS + 300_000, "back at {at}");
        }
        let at = |hour: u64, second: u64| (hour * 3_600 + second) as usize;
        let late = &tries[at(9, 1_800)..at(10, 0)];
        assert!(late.iter().all(|count| *count < 30), "half an hour later they still come together");
        assert_eq!(tries[at(10, 301)..at(15, 0)].iter().sum::<u32>(), 0, "all are back");
    }
}
