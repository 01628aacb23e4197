//! Time as nanoseconds since the process began: one number, comparable between threads.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// Nanoseconds since the first call of [`now`].
pub(crate) type Nanos = u64;

pub(crate) const SECOND_NS: Nanos = 1_000_000_000;
pub(crate) const MS_NS: Nanos = 1_000_000;

pub(crate) fn now() -> Nanos {
    static BEGAN: OnceLock<Instant> = OnceLock::new();
    BEGAN.get_or_init(Instant::now).elapsed().as_nanos() as Nanos
}

/// How long from `now` to `then`; nothing if it has passed.
pub(crate) fn until(now: Nanos, then: Nanos) -> Duration {
    Duration::from_nanos(then.saturating_sub(now))
}

/// Times evenly apart, kept however late one looks: what an open loop is paced by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    began: Nanos,
    per_second: f64,
    count: u64,
}

impl Pace {
    /// `per_second` must be above zero. The first time is `began`.
    pub(crate) fn new(began: Nanos, per_second: f64) -> Pace {
        Pace { began, per_second, count: 0 }
    }

    /// The next time, whether it has come or not.
    pub(crate) fn next_at(&self) -> Nanos {
        self.began + (self.count as f64 * SECOND_NS as f64 / self.per_second) as Nanos
    }

    /// The next time if it has come; then the one after it is next.
    pub(crate) fn take(&mut self, now: Nanos) -> Option<Nanos> {
        let at = self.next_at();
        (at <= now).then(|| self.count += 1).map(|()| at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pace_keeps_its_times_however_late_one_looks() {
        let mut pace = Pace::new(100, 1e8);
        let mut taken = |now| std::iter::from_fn(|| pace.take(now)).collect::<Vec<_>>();
        assert!(taken(99).is_empty());
        assert_eq!(taken(100), [100]);
        assert_eq!(taken(135), [110, 120, 130]);
        assert!(taken(135).is_empty());
    }
}
