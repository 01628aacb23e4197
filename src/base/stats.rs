//! Counting, as plain numbers: a shard adds, a scrape copies. No atomics, no labels from clients.

/// A histogram over powers of two: bucket `n` counts values of at most `2ⁿ` units. 32 buckets reach 71 minutes in microseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Histogram {
    buckets: [u64; Histogram::BUCKETS],
    sum: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Histogram { buckets: [0; Histogram::BUCKETS], sum: 0 }
    }
}

impl Histogram {
    /// Powers of two up to 2³¹; the last bucket takes what is larger.
    pub const BUCKETS: usize = 32;

    /// Counts one value, in the unit the histogram's name says.
    pub fn record(&mut self, value: u64) {
        let bucket = (u64::BITS - value.saturating_sub(1).leading_zeros()) as usize;
        self.buckets[bucket.min(Histogram::BUCKETS - 1)] += 1;
        self.sum = self.sum.saturating_add(value);
    }

    /// Adds another histogram of the same unit.
    pub fn merge(&mut self, other: &Histogram) {
        for (mine, theirs) in self.buckets.iter_mut().zip(other.buckets) {
            *mine += theirs;
        }
        self.sum = self.sum.saturating_add(other.sum);
    }

    /// `(upper bound, values at most that)` for each bucket, cumulative as Prometheus wants them.
    pub fn cumulative(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.buckets.iter().enumerate().scan(0, |total, (exponent, count)| {
            *total += count;
            Some((1 << exponent, *total))
        })
    }

    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    pub fn sum(&self) -> u64 {
        self.sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_lands_in_the_first_bucket_that_holds_it() {
        for (value, bound) in [(0, 1), (1, 1), (2, 2), (3, 4), (4, 4), (5, 8), (1000, 1024), (u64::MAX, 1 << 31)] {
            let mut histogram = Histogram::default();
            histogram.record(value);
            let first = histogram.cumulative().find(|(_, count)| *count == 1).unwrap();
            assert_eq!(first.0, bound, "{value}");
        }
    }

    #[test]
    fn merging_adds() {
        let (mut left, mut right) = (Histogram::default(), Histogram::default());
        left.record(3);
        right.record(300);
        left.merge(&right);
        assert_eq!((left.count(), left.sum()), (2, 303));
    }
}
