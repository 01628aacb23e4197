//! Alerts with a memory: raised after a delay, resolved once, quiet for a cool-down. One transition is told once, never twice.

use std::collections::{BTreeMap, BTreeSet};

use crate::base::time::{Millis, Now, WallMillis};

/// Alerts by key (a subject and a kind). A key is quiet, waiting, or raised:
///
/// ```text
///           raise              due
///   quiet ────────► waiting ────────► raised
///     ▲  ◄───────────┘ resolve          │
///     └────────────── resolve ──────────┘   (quiet until the cool-down is over: a raise meanwhile waits that long)
/// ```
#[derive(Debug)]
pub struct Alerts<K> {
    cool_down_ms: u64,
    alerts: BTreeMap<K, Stage>,
    waiting: BTreeSet<(Millis, K)>,
}

#[derive(Clone, Copy, Debug)]
enum Stage {
    Waiting { due: Millis, since: WallMillis },
    Raised { since: WallMillis },
    Cooling { until: Millis },
}

/// A transition to tell.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Raised<K> {
    pub key: K,
    /// When the condition began.
    pub since: WallMillis,
}

impl<K: Ord + Clone> Alerts<K> {
    /// After an alert was resolved, the same key is not told again before `cool_down_ms`.
    pub fn new(cool_down_ms: u64) -> Alerts<K> {
        Alerts { cool_down_ms, alerts: BTreeMap::new(), waiting: BTreeSet::new() }
    }

    /// The condition holds from now on; it is told by [`Alerts::due`] after `delay_ms` if it still does then.
    pub fn raise(&mut self, now: Now, key: K, delay_ms: u64) {
        let earliest = match self.alerts.get(&key) {
            Some(Stage::Waiting { .. } | Stage::Raised { .. }) => return,
            Some(Stage::Cooling { until }) => *until,
            None => Millis(0),
        };
        let due = (now.mono + delay_ms).max(earliest);
        self.waiting.insert((due, key.clone()));
        self.alerts.insert(key, Stage::Waiting { due, since: now.wall });
    }

    /// An alert that was told by an earlier process and has not been resolved.
    pub fn restore(&mut self, key: K, since: WallMillis) {
        self.alerts.insert(key, Stage::Raised { since });
    }

    /// The condition has ended; says since when it held if it had been told, so that its end is told too.
    pub fn resolve(&mut self, now: Millis, key: &K) -> Option<WallMillis> {
        match *self.alerts.get(key)? {
            Stage::Cooling { .. } => None,
            Stage::Waiting { due, .. } => {
                self.waiting.remove(&(due, key.clone()));
                self.alerts.remove(key);
                None
            }
            Stage::Raised { since } => {
                self.alerts.remove(key);
                if self.cool_down_ms > 0 {
                    self.alerts.insert(key.clone(), Stage::Cooling { until: now + self.cool_down_ms });
                }
                Some(since)
            }
        }
    }

    /// The next alert to tell. Call until `None`.
    pub fn due(&mut self, now: Millis) -> Option<Raised<K>> {
        if self.waiting.first()?.0 > now {
            return None;
        }
        let (_, key) = self.waiting.pop_first()?;
        let Some(Stage::Waiting { since, .. }) = self.alerts.get(&key).copied() else { return None };
        self.alerts.insert(key.clone(), Stage::Raised { since });
        Some(Raised { key, since })
    }

    /// When [`Alerts::due`] has something to say.
    pub fn deadline(&self) -> Option<Millis> {
        self.waiting.first().map(|(at, _)| *at)
    }

    pub fn is_raised(&self, key: &K) -> bool {
        matches!(self.alerts.get(key), Some(Stage::Raised { .. }))
    }

    /// Alerts told and not resolved.
    pub fn raised_count(&self) -> usize {
        self.alerts.values().filter(|stage| matches!(stage, Stage::Raised { .. })).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Now {
        Now { mono: Millis(millis), wall: WallMillis(1_000_000 + millis) }
    }

    #[test]
    fn an_alert_is_told_after_its_delay_and_once() {
        let mut alerts = Alerts::new(0);
        alerts.raise(at(0), "p1", 30);
        alerts.raise(at(10), "p1", 5);
        assert_eq!(alerts.due(Millis(29)), None);
        assert_eq!(alerts.deadline(), Some(Millis(30)));
        assert_eq!(alerts.due(Millis(30)), Some(Raised { key: "p1", since: WallMillis(1_000_000) }));
        assert_eq!(alerts.due(Millis(30)), None);
        alerts.raise(at(40), "p1", 0);
        assert_eq!(alerts.due(Millis(99)), None, "raised already");
        assert_eq!(alerts.resolve(Millis(100), &"p1"), Some(WallMillis(1_000_000)));
        assert_eq!(alerts.resolve(Millis(100), &"p1"), None);
    }

    #[test]
    fn what_ends_before_its_delay_is_never_told() {
        let mut alerts = Alerts::new(0);
        alerts.raise(at(0), "p1", 30);
        assert_eq!(alerts.resolve(Millis(20), &"p1"), None);
        assert_eq!(alerts.due(Millis(1000)), None);
        assert_eq!(alerts.deadline(), None);
    }

    #[test]
    fn the_cool_down_delays_the_next_one() {
        let mut alerts = Alerts::new(60_000);
        alerts.raise(at(0), "p1", 0);
        assert!(alerts.due(Millis(0)).is_some());
        assert!(alerts.resolve(Millis(10), &"p1").is_some());
        alerts.raise(at(20), "p1", 0);
        assert_eq!(alerts.due(Millis(60_009)), None);
        assert!(alerts.due(Millis(60_010)).is_some());
    }

    #[test]
    fn one_of_an_earlier_process_resolves() {
        let mut alerts = Alerts::new(0);
        alerts.restore("p1", WallMillis(7));
        alerts.raise(at(0), "p1", 0);
        assert_eq!(alerts.due(Millis(10)), None);
        assert_eq!(alerts.raised_count(), 1);
        assert_eq!(alerts.resolve(Millis(1), &"p1"), Some(WallMillis(7)));
    }
}
