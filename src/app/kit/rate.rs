//! Token buckets (DESIGN 5.6): capacity is the limit, refilled at the limit per window, so a burst inside a second
//! sees exactly the limit. Time comes in; keys are bounded.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::base::time::{Millis, Now, WallMillis};

/// The window of rates that are said per minute.
pub const MINUTE_MS: u64 = 60_000;

/// How often: `limit` times per `window_ms`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rate {
    pub limit: u32,
    pub window_ms: u64,
}

impl Rate {
    /// `limit` times a minute; `None` for 0, which is no limit.
    pub fn per_minute(limit: u32) -> Option<Rate> {
        (limit > 0).then_some(Rate { limit, window_ms: MINUTE_MS })
    }

    fn capacity(self) -> u64 {
        u64::from(self.limit).saturating_mul(self.window_ms)
    }
}

/// What a refused caller is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Exceeded {
    pub limit: u32,
    pub window_ms: u64,
    /// When the next token is there.
    pub reset_at: Millis,
}

impl Exceeded {
    /// `{limit, windowMs, resetAt}`, the last as ISO 8601.
    pub fn details(&self, now: Now) -> Value {
        let reset_at = WallMillis(now.wall.0.saturating_add(self.reset_at.since(now.mono)));
        json!({"limit": self.limit, "windowMs": self.window_ms, "resetAt": reset_at.to_string()})
    }
}

/// One bucket. It starts full.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bucket {
    /// Tokens times `window_ms`, so that refilling is exact in integers.
    filled: u64,
    at: Millis,
}

impl Bucket {
    pub fn full(now: Millis, rate: Rate) -> Bucket {
        Bucket { filled: rate.capacity(), at: now }
    }

    /// Takes one token, or says when there will be one.
    pub fn take(&mut self, now: Millis, rate: Rate) -> Result<(), Exceeded> {
        self.check(now, rate)?;
        self.filled -= rate.window_ms;
        Ok(())
    }

    /// Whether a token is there; takes none.
    pub fn check(&mut self, now: Millis, rate: Rate) -> Result<(), Exceeded> {
        self.refill(now, rate);
        if self.filled >= rate.window_ms {
            return Ok(());
        }
        let missing = rate.window_ms - self.filled;
        let wait = missing
            .checked_div(u64::from(rate.limit))
            .map_or(u64::MAX, |whole| whole + u64::from(!missing.is_multiple_of(u64::from(rate.limit))));
        Err(Exceeded { limit: rate.limit, window_ms: rate.window_ms, reset_at: now + wait })
    }

    fn refill(&mut self, now: Millis, rate: Rate) {
        let gained = now.since(self.at).saturating_mul(u64::from(rate.limit));
        self.filled = self.filled.saturating_add(gained).min(rate.capacity());
        self.at = self.at.max(now);
    }
}

/// The buckets of one subject, a socket or a user: one for each name it has used. Names are an application's own, so there are
/// never more than it has.
#[derive(Debug, Default)]
pub struct Meter(Vec<(&'static str, Bucket)>);

impl Meter {
    /// Takes one token of the bucket `name`, or says when there is one again.
    pub fn take(&mut self, now: Millis, name: &'static str, rate: Rate) -> Result<(), Exceeded> {
        if let Some((_, bucket)) = self.0.iter_mut().find(|(used, _)| *used == name) {
            return bucket.take(now, rate);
        }
        let mut bucket = Bucket::full(now, rate);
        let taken = bucket.take(now, rate);
        self.0.push((name, bucket));
        taken
    }
}

/// One bucket per key, at most `keys_max`; beyond that the key with the most tokens is forgotten, which only ever favours it.
#[derive(Debug)]
pub struct Buckets<K> {
    rate: Rate,
    keys_max: usize,
    buckets: BTreeMap<K, Bucket>,
}

impl<K: Ord + Clone> Buckets<K> {
    pub fn new(rate: Rate, keys_max: usize) -> Buckets<K> {
        Buckets { rate, keys_max: keys_max.max(1), buckets: BTreeMap::new() }
    }

    /// Takes one token of `key`, or says when there is one again.
    pub fn take(&mut self, now: Millis, key: &K) -> Result<(), Exceeded> {
        if !self.buckets.contains_key(key) {
            self.make_room(now);
        }
        let rate = self.rate;
        self.buckets.entry(key.clone()).or_insert_with(|| Bucket::full(now, rate)).take(now, rate)
    }

    /// Whether `key` has a token left; takes none and remembers nothing.
    pub fn check(&mut self, now: Millis, key: &K) -> Result<(), Exceeded> {
        let rate = self.rate;
        self.buckets.get_mut(key).map_or(Ok(()), |bucket| bucket.check(now, rate))
    }

    pub fn len(&self) -> usize {
        self.buckets.len()
    }

    pub fn is_empty(&self) -> bool {
        self.buckets.is_empty()
    }

    fn make_room(&mut self, now: Millis) {
        if self.buckets.len() < self.keys_max {
            return;
        }
        let rate = self.rate;
        self.buckets.values_mut().for_each(|bucket| bucket.refill(now, rate));
        self.buckets.retain(|_, bucket| bucket.filled < rate.capacity());
        if self.buckets.len() >= self.keys_max {
            let fullest = self.buckets.iter().max_by_key(|(_, bucket)| bucket.filled).map(|(key, _)| key.clone());
            fullest.and_then(|key| self.buckets.remove(&key));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEN_A_MINUTE: Rate = Rate { limit: 10, window_ms: 60_000 };

    #[test]
    fn a_burst_sees_exactly_the_limit_and_the_next_token_comes_in_time() {
        let mut bucket = Bucket::full(Millis(5), TEN_A_MINUTE);
        assert!((0..10).all(|_| bucket.take(Millis(5), TEN_A_MINUTE).is_ok()));
        let refused = bucket.take(Millis(5), TEN_A_MINUTE).unwrap_err();
        assert_eq!(refused, Exceeded { limit: 10, window_ms: 60_000, reset_at: Millis(6005) });
        assert!(bucket.take(Millis(6004), TEN_A_MINUTE).is_err());
        assert!(bucket.take(Millis(6005), TEN_A_MINUTE).is_ok());
        assert!(bucket.take(Millis(6005), TEN_A_MINUTE).is_err());
    }

    #[test]
    fn a_meter_has_a_bucket_for_each_name() {
        let mut meter = Meter::default();
        for _ in 0..10 {
            meter.take(Millis(0), "a", TEN_A_MINUTE).unwrap();
        }
        meter.take(Millis(0), "b", TEN_A_MINUTE).unwrap();
        let exceeded = meter.take(Millis(0), "a", TEN_A_MINUTE).unwrap_err();
        let now = Now { mono: Millis(500), wall: WallMillis(1_755_684_031_000) };
        let details = json!({"limit": 10, "windowMs": 60_000, "resetAt": "2025-08-20T10:00:36.500Z"});
        assert_eq!(exceeded.details(now), details);
        assert!(meter.take(Millis(6_000), "a", TEN_A_MINUTE).is_ok());
        assert_eq!((Rate::per_minute(10), Rate::per_minute(0)), (Some(TEN_A_MINUTE), None));
    }

    #[test]
    fn a_limit_of_zero_never_lets_through() {
        let mut bucket = Bucket::full(Millis(0), Rate { limit: 0, window_ms: 10 });
        let refused = bucket.take(Millis(50), Rate { limit: 0, window_ms: 10 }).unwrap_err();
        assert_eq!(refused.reset_at, Millis(u64::MAX));
    }

    #[test]
    fn keys_are_bounded_and_the_emptiest_stay() {
        let mut buckets = Buckets::new(TEN_A_MINUTE, 3);
        for _ in 0..10 {
            buckets.take(Millis(0), &"bad").unwrap();
        }
        for key in ["a", "b", "c", "d"] {
            buckets.take(Millis(0), &key).unwrap();
            assert!(buckets.len() <= 3);
        }
        assert!(buckets.check(Millis(0), &"bad").is_err());
        assert!(buckets.check(Millis(0), &"unknown").is_ok());
    }

    #[test]
    fn time_that_jumps_back_gives_nothing() {
        let mut bucket = Bucket::full(Millis(1000), Rate { limit: 1, window_ms: 1000 });
        bucket.take(Millis(1000), Rate { limit: 1, window_ms: 1000 }).unwrap();
        assert!(bucket.take(Millis(0), Rate { limit: 1, window_ms: 1000 }).is_err());
        assert!(bucket.take(Millis(1999), Rate { limit: 1, window_ms: 1000 }).is_err());
        assert!(bucket.take(Millis(2000), Rate { limit: 1, window_ms: 1000 }).is_ok());
    }
}
