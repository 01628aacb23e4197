//! Commands on their way (DESIGN 5.5): a row per (command id, target), from sending to the one end that is told.
//! Knows time and counts; knows neither payloads nor sockets: `origin` is whatever the caller needs to answer.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use crate::base::time::Millis;

/// Names one row.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Key {
    pub id: Arc<str>,
    pub target: Arc<str>,
}

/// How long and how often a command is tried.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Plan {
    /// For one attempt.
    pub timeout_ms: u64,
    /// Attempts after the first. 0 for what must not happen twice (a toggle).
    pub retries_max: u32,
}

/// Where a row stands:
///
/// ```text
///   send ──► Sent ──────────────► done | error (answered) · timeout · cancelled
///             │ ▲ returned (if a retry is left)
///        lost ▼ │
///           Pending ─────────────► timeout · cancelled
/// ```
///
/// `rejected` never gets a row. A row that has ended is gone; the newest ends are remembered for repeats.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// The target's connection has died before it answered.
    Pending,
    Sent,
}

/// One command towards one target.
#[derive(Clone, Debug)]
pub struct Row<O> {
    pub origin: O,
    pub plan: Plan,
    pub state: State,
    /// Times it was sent.
    pub attempts: u32,
    pub first_sent: Millis,
    deadline: Millis,
}

/// Why a command gets no row.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refused {
    /// That id is on its way to that target.
    InFlight,
    /// The table, or the target's share of it, is full.
    Full,
}

/// What became of a row whose time was over.
#[derive(Clone, Debug)]
pub enum Expired<O> {
    /// Send it again: the row stays, with one attempt more.
    Retry(Key),
    TimedOut(Key, Row<O>),
}

/// What a response is worth.
#[derive(Clone, Debug)]
pub enum Answered<O> {
    /// The first answer to a command that waits for it: the row is done.
    Row(Row<O>),
    /// It has ended before: a duplicate, or an answer after the timeout.
    Late,
    /// That id went to others, not to this target.
    Foreign,
    /// Nobody asked.
    Unknown,
}

/// All commands on their way.
#[derive(Debug)]
pub struct Table<O> {
    rows: BTreeMap<Key, Row<O>>,
    due: BTreeSet<(Millis, Key)>,
    targets: BTreeMap<Arc<str>, BTreeSet<Arc<str>>>,
    ended: VecDeque<Key>,
    bounds: Bounds,
}

/// What one table may hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bounds {
    pub rows_max: usize,
    pub rows_per_target_max: usize,
    /// Ends remembered, to tell a late answer from a wrong one.
    pub ended_max: usize,
}

impl<O> Table<O> {
    pub fn new(bounds: Bounds) -> Table<O> {
        Table { rows: BTreeMap::new(), due: BTreeSet::new(), targets: BTreeMap::new(), ended: VecDeque::new(), bounds }
    }

    /// A command goes out for the first time.
    pub fn send(&mut self, now: Millis, key: Key, plan: Plan, origin: O) -> Result<(), Refused> {
        if self.rows.contains_key(&key) {
            return Err(Refused::InFlight);
        }
        let of_target = self.targets.get(&key.target).map_or(0, BTreeSet::len);
        if self.rows.len() >= self.bounds.rows_max || of_target >= self.bounds.rows_per_target_max {
            return Err(Refused::Full);
        }
        let deadline = now + plan.timeout_ms;
        self.due.insert((deadline, key.clone()));
        self.targets.entry(key.target.clone()).or_default().insert(key.id.clone());
        self.rows.insert(key, Row { origin, plan, state: State::Sent, attempts: 1, first_sent: now, deadline });
        Ok(())
    }

    /// The target has answered, for good or ill.
    pub fn answer(&mut self, key: &Key) -> Answered<O> {
        if let Some(row) = self.end(key) {
            return Answered::Row(row);
        }
        if self.ended.contains(key) {
            return Answered::Late;
        }
        let first = Key { id: key.id.clone(), target: Arc::from("") };
        let foreign = self.rows.range(&first..).next().is_some_and(|(other, _)| other.id == key.id)
            || self.ended.iter().any(|other| other.id == key.id);
        if foreign { Answered::Foreign } else { Answered::Unknown }
    }

    /// Takes a row away unanswered; returns it if it was there.
    pub fn cancel(&mut self, key: &Key) -> Option<Row<O>> {
        self.end(key)
    }

    /// Takes all rows of a target away (it is gone for good).
    pub fn cancel_target(&mut self, target: &Arc<str>) -> Vec<(Key, Row<O>)> {
        let keys = self.keys_of(target);
        keys.into_iter().filter_map(|key| self.end(&key).map(|row| (key, row))).collect()
    }

    /// The target's connection has died: its unanswered rows are pending. One that may be sent again is kept as long as all
    /// its attempts would have taken; any other until its attempt's time is over.
    pub fn lost(&mut self, target: &Arc<str>) {
        for key in self.keys_of(target) {
            let Some(row) = self.rows.get_mut(&key) else { continue };
            row.state = State::Pending;
            if row.attempts <= row.plan.retries_max {
                let span = row.plan.timeout_ms.saturating_mul(u64::from(row.plan.retries_max) + 1);
                let deadline = row.first_sent + span;
                let old = std::mem::replace(&mut row.deadline, deadline);
                self.due.remove(&(old, key.clone()));
                self.due.insert((deadline, key));
            }
        }
    }

    /// The target is back: the pending rows to send again, each with one attempt more. A command that may not be repeated stays pending.
    pub fn returned(&mut self, now: Millis, target: &Arc<str>) -> Vec<Key> {
        let keys = self.keys_of(target);
        keys.into_iter().filter(|key| self.is_pending(key) && self.try_again(now, key)).collect()
    }

    /// The next row whose time is over. Call until `None`.
    pub fn expire(&mut self, now: Millis) -> Option<Expired<O>> {
        if self.due.first()?.0 > now {
            return None;
        }
        let key = self.due.first()?.1.clone();
        if !self.is_pending(&key) && self.try_again(now, &key) {
            return Some(Expired::Retry(key));
        }
        self.end(&key).map(|row| Expired::TimedOut(key, row))
    }

    /// When [`Table::expire`] has something to say.
    pub fn deadline(&self) -> Option<Millis> {
        self.due.first().map(|(at, _)| *at)
    }

    pub fn get(&self, key: &Key) -> Option<&Row<O>> {
        self.rows.get(key)
    }

    /// The asker to be answered, which changes when somebody asks again from elsewhere.
    pub fn origin_mut(&mut self, key: &Key) -> Option<&mut O> {
        self.rows.get_mut(key).map(|row| &mut row.origin)
    }

    /// Rows of a target, pending or sent.
    pub fn in_flight(&self, target: &Arc<str>) -> usize {
        self.targets.get(target).map_or(0, BTreeSet::len)
    }

    /// Rows of a target with their ids, in the order of these.
    pub fn rows_of(&self, target: &Arc<str>) -> impl Iterator<Item = (Key, &Row<O>)> {
        self.keys_of(target).into_iter().filter_map(|key| self.rows.get(&key).map(|row| (key, row)))
    }

    /// Rows of a target that wait for its return.
    pub fn pending(&self, target: &Arc<str>) -> usize {
        self.keys_of(target).iter().filter(|key| self.is_pending(key)).count()
    }

    pub fn len(&self) -> usize {
        self.rows.len()
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    fn is_pending(&self, key: &Key) -> bool {
        self.rows.get(key).is_some_and(|row| row.state == State::Pending)
    }

    fn keys_of(&self, target: &Arc<str>) -> Vec<Key> {
        let ids = self.targets.get(target).into_iter().flatten();
        ids.map(|id| Key { id: id.clone(), target: target.clone() }).collect()
    }

    /// Counts one attempt more and gives it its time, if one is left.
    fn try_again(&mut self, now: Millis, key: &Key) -> bool {
        let Some(row) = self.rows.get_mut(key) else { return false };
        if row.attempts > row.plan.retries_max {
            return false;
        }
        row.attempts += 1;
        row.state = State::Sent;
        let old = std::mem::replace(&mut row.deadline, now + row.plan.timeout_ms);
        self.due.remove(&(old, key.clone()));
        self.due.insert((row.deadline, key.clone()));
        true
    }

    fn end(&mut self, key: &Key) -> Option<Row<O>> {
        let row = self.rows.remove(key)?;
        self.due.remove(&(row.deadline, key.clone()));
        if let Some(ids) = self.targets.get_mut(&key.target) {
            ids.remove(&key.id);
            if ids.is_empty() {
                self.targets.remove(&key.target);
            }
        }
        self.ended.push_back(key.clone());
        if self.ended.len() > self.bounds.ended_max {
            self.ended.pop_front();
        }
        Some(row)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAY: Plan = Plan { timeout_ms: 500, retries_max: 2 };
    const PAUSE: Plan = Plan { timeout_ms: 500, retries_max: 0 };

    fn key(id: &str, target: &str) -> Key {
        Key { id: Arc::from(id), target: Arc::from(target) }
    }

    fn table() -> Table<()> {
        Table::new(Bounds { rows_max: 4, rows_per_target_max: 2, ended_max: 3 })
    }

    /// All that happens until nothing is left: `(when, "retry" or "timeout n")`.
    fn run(table: &mut Table<()>) -> Vec<(u64, String)> {
        let mut told = Vec::new();
        while let Some(at) = table.deadline() {
            match table.expire(at).expect("something is due at its deadline") {
                Expired::Retry(_) => told.push((at.0, "retry".to_owned())),
                Expired::TimedOut(_, row) => told.push((at.0, format!("timeout {}", row.attempts))),
            }
        }
        told
    }

    #[test]
    fn what_may_be_repeated_is_sent_three_times_and_a_toggle_once() {
        let mut rows = table();
        rows.send(Millis(0), key("c", "p1"), PLAY, ()).unwrap();
        let expected = [(500, "retry"), (1000, "retry"), (1500, "timeout 3")].map(|(at, what)| (at, what.to_owned()));
        assert_eq!(run(&mut rows), expected);
        rows.send(Millis(0), key("d", "p1"), PAUSE, ()).unwrap();
        assert_eq!(run(&mut rows), [(500, "timeout 1".to_owned())]);
    }

    #[test]
    fn one_answer_counts_and_the_others_are_told_apart() {
        let mut rows = table();
        rows.send(Millis(0), key("c", "p1"), PLAY, ()).unwrap();
        assert!(matches!(rows.answer(&key("c", "p0")), Answered::Foreign));
        assert!(matches!(rows.answer(&key("c", "p2")), Answered::Foreign));
        assert!(matches!(rows.answer(&key("x", "p1")), Answered::Unknown));
        assert!(matches!(rows.answer(&key("c", "p1")), Answered::Row(row) if row.attempts == 1));
        assert!(matches!(rows.answer(&key("c", "p1")), Answered::Late));
        assert!(rows.is_empty() && rows.deadline().is_none());
    }

    #[test]
    fn a_lost_target_gets_it_again_when_it_returns_in_time() {
        let mut rows = table();
        rows.send(Millis(0), key("play", "p1"), PLAY, ()).unwrap();
        rows.send(Millis(0), key("pause", "p1"), PAUSE, ()).unwrap();
        rows.lost(&Arc::from("p1"));
        assert_eq!(rows.pending(&Arc::from("p1")), 2);
        assert!(matches!(rows.expire(Millis(500)), Some(Expired::TimedOut(at, _)) if &*at.id == "pause"));
        assert!(rows.expire(Millis(1200)).is_none(), "no retry while there is nobody to send to");
        assert_eq!(rows.returned(Millis(1200), &Arc::from("p1")), [key("play", "p1")]);
        assert_eq!(rows.get(&key("play", "p1")).map(|row| row.attempts), Some(2));
        assert_eq!(rows.pending(&Arc::from("p1")), 0);
        assert_eq!(rows.deadline(), Some(Millis(1700)));
    }

    #[test]
    fn a_target_that_stays_away_times_out_after_all_attempts_time() {
        let mut rows = table();
        rows.send(Millis(0), key("play", "p1"), PLAY, ()).unwrap();
        rows.lost(&Arc::from("p1"));
        assert_eq!(run(&mut rows), [(1500, "timeout 1".to_owned())]);
        assert!(rows.returned(Millis(1600), &Arc::from("p1")).is_empty());
    }

    #[test]
    fn a_toggle_is_not_sent_again() {
        let mut rows = table();
        rows.send(Millis(0), key("pause", "p1"), PAUSE, ()).unwrap();
        rows.lost(&Arc::from("p1"));
        assert!(rows.returned(Millis(100), &Arc::from("p1")).is_empty());
        assert!(matches!(rows.answer(&key("pause", "p1")), Answered::Row(_)), "its answer still counts");
    }

    #[test]
    fn everything_is_bounded() {
        let mut rows = table();
        rows.send(Millis(0), key("a", "p1"), PLAY, ()).unwrap();
        assert_eq!(rows.send(Millis(0), key("a", "p1"), PLAY, ()), Err(Refused::InFlight));
        rows.send(Millis(0), key("b", "p1"), PLAY, ()).unwrap();
        assert_eq!(rows.send(Millis(0), key("c", "p1"), PLAY, ()), Err(Refused::Full));
        rows.send(Millis(0), key("a", "p2"), PLAY, ()).unwrap();
        rows.send(Millis(0), key("a", "p3"), PLAY, ()).unwrap();
        assert_eq!(rows.send(Millis(0), key("a", "p4"), PLAY, ()), Err(Refused::Full));
        assert_eq!(rows.cancel_target(&Arc::from("p1")).len(), 2);
        assert!(rows.cancel(&key("a", "p2")).is_some());
        assert!(rows.cancel(&key("a", "p3")).is_some());
        assert!(rows.ended.len() <= 3);
        assert!(matches!(rows.answer(&key("a", "p1")), Answered::Foreign), "forgotten, but the id is known elsewhere");
    }
}
