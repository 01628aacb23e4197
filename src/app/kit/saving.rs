//! Writing behind: what is told at once and saved later. Rows are added in their order; of what only its latest state counts, such as
//! the row of an entity, a key is kept, and the row is made when it is written. One batch at a time is on its way to the store, so
//! that none overtakes another. While the store fails, everything goes on: rows are kept within a bound, the oldest go first, keys stay,
//! and a batch is tried again by and by. Pure: the application hands the batches over, and brings what came of them.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::backoff::{Backoff, Growth};
use crate::app::job::{Job, JobErrorKind, Outcome};
use crate::app::sql::{Statement, Value};
use crate::base::rng::Rng;
use crate::base::time::Millis;

/// How much waits, and for how long.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Bounds {
    /// What is unsaved is handed to the store within this time.
    pub after_ms: u64,
    /// So many rows do not wait for that.
    pub batch_rows: usize,
    /// Rows kept for another try while the store fails.
    pub kept_rows_max: usize,
    /// How long nothing is tried after a failure.
    pub again: Growth,
}

/// What is not on disk yet. `K`: keys of rows that are made when they are written; `Q`: questions that must see what was unsaved when
/// they were asked.
#[derive(Debug)]
pub struct Saving<K, Q> {
    bounds: Bounds,
    rows: Vec<Statement>,
    dirty: BTreeSet<K>,
    questions: Vec<Q>,
    /// Batches the store has not answered; more than one only in a drain.
    in_flight: u32,
    /// Somebody wants a flush as soon as the batch on its way has ended.
    is_pressing: bool,
    backoff: Backoff,
    /// A batch has failed: nothing is tried before this time.
    retry_at: Option<Millis>,
    is_degraded: bool,
}

/// What the row of a key comes to when it is to be written.
#[derive(Debug)]
pub enum Latest {
    Row(Statement),
    /// There is nothing to write any more.
    Gone,
    /// Not in this batch; it stays unsaved.
    NotYet,
}

/// When [`Saving::flush`] wants to be called.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum When {
    Now,
    /// Then, unless it is called before.
    At(Millis),
}

/// What a flush comes to.
#[derive(Debug)]
pub struct Flush<K, Q> {
    /// To be handed to the store, and brought back by [`Saving::ended`].
    pub batch: Option<Batch<K, Q>>,
    /// Questions that may be asked now.
    pub questions: Vec<Q>,
    /// The store fails: flush again then.
    pub again_at: Option<Millis>,
    /// Why rows were left out: no database takes them.
    pub faults: Vec<&'static str>,
}

/// Rows on their way to the disk.
#[derive(Debug)]
pub struct Batch<K, Q> {
    /// What the store has in hand. The first `kept` of it are tried again; rows of keys and what follows are made anew.
    rows: Arc<Vec<Statement>>,
    kept: usize,
    keys: Vec<K>,
    /// Questions that must see this batch.
    then: Vec<Q>,
}

impl<K, Q> Batch<K, Q> {
    pub fn rows(&self) -> &[Statement] {
        &self.rows
    }

    /// Statements that follow from its rows, such as what bounds their tables.
    pub fn also(&mut self, more: Vec<Statement>) {
        Arc::make_mut(&mut self.rows).extend(more);
    }

    /// For the store: all or nothing of it.
    pub fn job(&self) -> Job {
        Job::Write(self.rows.clone())
    }
}

/// What came of a batch.
#[derive(Debug)]
pub struct Ended<Q> {
    pub is_written: bool,
    /// Questions that may be asked now.
    pub questions: Vec<Q>,
    /// The store refuses what its rows say, and would again: so many are lost, and why.
    pub refused: Option<(usize, String)>,
}

/// A change of how the store does, to be told once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Turned {
    Degraded,
    Restored,
}

impl<K: Ord + Clone, Q> Saving<K, Q> {
    /// Nothing is unsaved.
    pub fn new(bounds: Bounds) -> Saving<K, Q> {
        Saving {
            bounds,
            rows: Vec::new(),
            dirty: BTreeSet::new(),
            questions: Vec::new(),
            in_flight: 0,
            is_pressing: false,
            backoff: Backoff::new(bounds.again),
            retry_at: None,
            is_degraded: false,
        }
    }

    /// One row more.
    ///
    /// # Errors
    /// Why no database takes it: it would hold up all that is saved with it, for ever.
    pub fn add(&mut self, now: Millis, row: Statement) -> Result<When, &'static str> {
        fault(&row).map_or(Ok(()), Err)?;
        if self.rows.len() >= self.bounds.kept_rows_max + self.bounds.batch_rows {
            self.rows.drain(..self.bounds.batch_rows.max(1));
        }
        self.rows.push(row);
        Ok(if self.rows.len() >= self.bounds.batch_rows { When::Now } else { self.soon(now) })
    }

    /// What this key stands for has changed.
    pub fn touch(&mut self, now: Millis, key: K) -> When {
        self.dirty.insert(key);
        self.soon(now)
    }

    /// A question that must see what has been saved so far; a flush gives it back when it may be asked.
    pub fn ask(&mut self, question: Q) {
        self.questions.push(question);
    }

    fn soon(&self, now: Millis) -> When {
        When::At(now + self.bounds.after_ms)
    }

    /// What is to be handed over now. A batch on its way is waited for, except in a drain, where nobody may be there to hear of it;
    /// the store keeps the order.
    pub fn flush(&mut self, now: Millis, is_draining: bool, latest: impl FnMut(&K) -> Latest) -> Flush<K, Q> {
        let mut flush = Flush { batch: None, questions: Vec::new(), again_at: None, faults: Vec::new() };
        if self.in_flight > 0 && !is_draining {
            self.is_pressing = true;
            return flush;
        }
        flush.questions = std::mem::take(&mut self.questions);
        flush.again_at = self.retry_at.filter(|at| now < *at);
        // A store that fails is asked all the same: it says so.
        if flush.again_at.is_none() {
            self.fill(&mut flush, latest);
        }
        flush
    }

    fn fill(&mut self, flush: &mut Flush<K, Q>, mut latest: impl FnMut(&K) -> Latest) {
        self.is_pressing = false;
        let mut rows = std::mem::take(&mut self.rows);
        let (kept, mut keys) = (rows.len(), Vec::new());
        for key in std::mem::take(&mut self.dirty) {
            match latest(&key) {
                Latest::Row(row) => {
                    match fault(&row) {
                        Some(fault) => flush.faults.push(fault),
                        None => rows.push(row),
                    }
                    keys.push(key);
                }
                Latest::Gone => {}
                Latest::NotYet => drop(self.dirty.insert(key)),
            }
        }
        if rows.is_empty() {
            return;
        }
        self.in_flight += 1;
        let then = std::mem::take(&mut flush.questions);
        flush.batch = Some(Batch { rows: Arc::new(rows), kept, keys, then });
    }

    /// The store has answered. `replaces`: whether a statement puts a row in the place of an earlier one.
    pub fn ended(
        &mut self,
        now: Millis,
        rng: &mut Rng,
        batch: Batch<K, Q>,
        outcome: &Outcome,
        replaces: impl Fn(&Statement) -> bool,
    ) -> Ended<Q> {
        let Batch { rows, kept, keys, then } = batch;
        self.in_flight = self.in_flight.saturating_sub(1);
        let is_written = outcome.is_written();
        // What the database refuses for what it says is refused again, however often it is tried.
        let refused = match outcome {
            Outcome::Failed(error) if error.kind == JobErrorKind::Invalid => Some((kept, error.text.clone())),
            _ => None,
        };
        if is_written {
            (self.retry_at, self.backoff) = (None, Backoff::new(self.bounds.again));
        } else {
            self.retry_at = Some(now + self.backoff.failed(now, rng));
            self.dirty.extend(keys);
            if refused.is_none() {
                self.keep(rows, kept, replaces);
            }
        }
        Ended { is_written, questions: then, refused }
    }

    /// A batch that did not reach the disk is tried again before what came after it, as far as memory is given to it.
    fn keep(&mut self, batch: Arc<Vec<Statement>>, kept: usize, replaces: impl Fn(&Statement) -> bool) {
        let mut rows = Arc::try_unwrap(batch).unwrap_or_else(|shared| shared[..kept].to_vec());
        rows.truncate(kept);
        if self.in_flight > 0 {
            // In a drain a later batch may have said something newer.
            rows.retain(|row| !replaces(row));
        }
        rows.append(&mut self.rows);
        rows.drain(..rows.len().saturating_sub(self.bounds.kept_rows_max));
        self.rows = rows;
    }

    /// The store has done something for this application, or failed to: a batch or anything else.
    pub fn store_works(&mut self, works: bool) -> Option<Turned> {
        let was_degraded = std::mem::replace(&mut self.is_degraded, !works);
        match (was_degraded, works) {
            (false, false) => Some(Turned::Degraded),
            (true, true) => Some(Turned::Restored),
            _ => None,
        }
    }

    /// Whether the store has failed, and not worked since.
    pub fn is_degraded(&self) -> bool {
        self.is_degraded
    }

    /// Whether the last batch has failed.
    pub fn fails(&self) -> bool {
        self.retry_at.is_some()
    }

    /// Whether [`Saving::flush`] wants to be called, now that a batch has ended and what waited for it has gone on.
    pub fn is_pressing(&self) -> bool {
        self.is_pressing || self.fails()
    }

    /// Whether nothing waits to be written. A batch on its way does not count.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.dirty.is_empty()
    }

    /// Rows that wait to be written, those of keys as well. Those on their way do not count.
    pub fn len(&self) -> usize {
        self.rows.len() + self.dirty.len()
    }

    /// Keys whose rows are to be written.
    pub fn dirty(&self) -> &BTreeSet<K> {
        &self.dirty
    }
}

fn fault(row: &Statement) -> Option<&'static str> {
    row.values().iter().find_map(Value::fault)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::job::JobError;

    const BOUNDS: Bounds = Bounds {
        after_ms: 500,
        batch_rows: 3,
        kept_rows_max: 4,
        again: Growth { base_ms: 1_000, factor: 2.0, cap_ms: 4_000, jitter: 0.0, stable_ms: 0 },
    };
    const ADD: &str = "add";
    const PUT: &str = "put";

    /// A saving with its clock; the row of a key is the key and what the world says of it now.
    struct World {
        now: Millis,
        rng: Rng,
        saving: Saving<u32, &'static str>,
        latest: u32,
        is_draining: bool,
    }

    impl World {
        fn new() -> World {
            let (now, rng) = (Millis(0), Rng::from_seed([1; 32]));
            World { now, rng, saving: Saving::new(BOUNDS), latest: 0, is_draining: false }
        }

        fn add(&mut self, value: u32) -> When {
            self.saving.add(self.now, Statement::new(ADD).bind(value)).unwrap()
        }

        fn touch(&mut self, key: u32) {
            self.latest += 1;
            assert_eq!(self.saving.touch(self.now, key), When::At(self.now + BOUNDS.after_ms));
        }

        fn flush(&mut self) -> Flush<u32, &'static str> {
            let latest = self.latest;
            self.saving.flush(self.now, self.is_draining, |key| match key {
                404 => Latest::Gone,
                425 => Latest::NotYet,
                key => Latest::Row(Statement::new(PUT).bind(key * 1_000 + latest)),
            })
        }

        /// The batch of a flush, which is there, and is these values.
        fn batch(&mut self, expected: &[i64]) -> Batch<u32, &'static str> {
            let batch = self.flush().batch.expect("something to write");
            assert_eq!(values(batch.rows()), expected);
            batch
        }

        fn ends(&mut self, batch: Batch<u32, &'static str>, outcome: &Outcome) -> Ended<&'static str> {
            self.saving.ended(self.now, &mut self.rng, batch, outcome, |row| row.sql() == PUT)
        }
    }

    fn values(rows: &[Statement]) -> Vec<i64> {
        let value = |row: &Statement| match row.values() {
            [Value::Int(value)] => *value,
            other => panic!("{other:?}"),
        };
        rows.iter().map(value).collect()
    }

    fn written() -> Outcome {
        Outcome::Written(Vec::new())
    }

    fn failed(kind: JobErrorKind) -> Outcome {
        Outcome::Failed(JobError::new(kind, "the reason"))
    }

    #[test]
    fn rows_go_in_their_order_and_keys_as_they_stand_then() {
        let mut world = World::new();
        assert_eq!(world.add(1), When::At(Millis(500)));
        world.touch(7);
        world.add(2);
        for key in [5, 404, 425, 7] {
            world.touch(key);
        }
        let batch = world.batch(&[1, 2, 5_005, 7_005]);
        assert_eq!(world.saving.dirty().iter().collect::<Vec<_>>(), [&425], "what is not written yet stays");
        let ended = world.ends(batch, &written());
        assert!(ended.is_written && ended.refused.is_none() && !world.saving.is_pressing());
        assert!(world.flush().batch.is_none());
    }

    #[test]
    fn many_rows_do_not_wait_and_one_batch_at_a_time_does() {
        let mut world = World::new();
        world.add(1);
        world.add(2);
        assert_eq!(world.add(3), When::Now);
        let batch = world.batch(&[1, 2, 3]);
        world.add(4);
        assert!(world.flush().batch.is_none(), "one is on its way");
        world.ends(batch, &written());
        assert!(world.saving.is_pressing());
        let batch = world.batch(&[4]);
        assert!(!world.saving.is_pressing());
        world.is_draining = true;
        world.add(5);
        let behind = world.batch(&[5]);
        world.ends(batch, &written());
        world.ends(behind, &written());
        assert!(world.saving.is_empty());
    }

    #[test]
    fn a_question_sees_what_was_unsaved_when_it_was_asked() {
        let mut world = World::new();
        world.saving.ask("at once");
        assert_eq!(world.flush().questions, ["at once"]);
        world.add(1);
        world.saving.ask("behind the row");
        let flush = world.flush();
        assert!(flush.questions.is_empty());
        let ended = world.ends(flush.batch.unwrap(), &failed(JobErrorKind::Unavailable));
        assert_eq!(ended.questions, ["behind the row"]);
        world.saving.ask("while it fails");
        let flush = world.flush();
        assert_eq!((flush.questions, flush.again_at), (vec!["while it fails"], Some(Millis(1_000))));
    }

    #[test]
    fn while_the_store_fails_rows_are_kept_within_a_bound_and_tried_by_and_by() {
        let mut world = World::new();
        world.touch(7);
        for value in [1, 2, 3] {
            world.add(value);
        }
        let mut batch = world.batch(&[1, 2, 3, 7_001]);
        batch.also(vec![Statement::new("trim").bind(9_u32)]);
        assert!(matches!(batch.job(), Job::Write(rows) if values(&rows) == [1, 2, 3, 7_001, 9]));
        world.add(4);
        world.ends(batch, &failed(JobErrorKind::Unavailable));
        assert!(world.saving.fails());
        for (wait, next) in [(1_000, 2_000), (2_000, 4_000), (4_000, 4_000)] {
            assert_eq!(world.flush().again_at, Some(world.now + wait));
            world.now = world.now + wait;
            world.touch(7);
            let latest = 7_000 + i64::from(world.latest);
            let batch = world.batch(&[1, 2, 3, 4, latest]);
            world.ends(batch, &failed(JobErrorKind::Busy));
            assert_eq!(world.flush().again_at, Some(world.now + next));
        }
        for value in 5..=9 {
            world.add(value);
        }
        world.now = world.now + 4_000;
        let batch = world.batch(&[4, 5, 6, 7, 8, 9, 7_004]);
        world.ends(batch, &failed(JobErrorKind::Unavailable));
        world.now = world.now + 4_000;
        let batch = world.batch(&[6, 7, 8, 9, 7_004]);
        world.ends(batch, &written());
        assert!(world.saving.is_empty() && !world.saving.fails());
        world.add(10);
        let batch = world.batch(&[10]);
        world.ends(batch, &failed(JobErrorKind::Unavailable));
        assert_eq!(world.flush().again_at, Some(world.now + 1_000), "waits begin anew");
    }

    #[test]
    fn what_the_store_refuses_is_lost_once_and_what_no_database_takes_is_not_taken() {
        let mut world = World::new();
        world.add(1);
        world.touch(7);
        let batch = world.batch(&[1, 7_001]);
        let ended = world.ends(batch, &failed(JobErrorKind::Invalid));
        assert_eq!(ended.refused, Some((1, "the reason".to_owned())));
        world.now = Millis(1_000);
        world.batch(&[7_001]);
        let nul = || Statement::new(ADD).bind("a\0b");
        assert_eq!(world.saving.add(world.now, nul()), Err("text with a NUL"));
        let mut saving: Saving<u32, ()> = Saving::new(BOUNDS);
        saving.touch(Millis(0), 1);
        let flush = saving.flush(Millis(0), false, |_| Latest::Row(nul()));
        assert_eq!((flush.faults, flush.batch.is_none()), (vec!["text with a NUL"], true));
    }

    /// The later batch may have been written, and then its row is the newer one.
    #[test]
    fn in_a_drain_a_failed_batch_does_not_put_an_old_row_over_a_newer_one() {
        let mut world = World { is_draining: true, ..World::new() };
        world.add(1);
        world.saving.add(world.now, Statement::new(PUT).bind(2_u32)).unwrap();
        let first = world.batch(&[1, 2]);
        world.saving.add(world.now, Statement::new(PUT).bind(3_u32)).unwrap();
        let second = world.batch(&[3]);
        world.ends(first, &failed(JobErrorKind::Unavailable));
        world.now = Millis(1_000);
        let again = world.batch(&[1]);
        world.ends(second, &written());
        world.ends(again, &written());
        assert!(world.saving.is_empty());
    }

    #[test]
    fn a_store_that_fails_is_told_once_and_once_when_it_is_back() {
        let mut saving: Saving<u32, ()> = Saving::new(BOUNDS);
        let (degraded, restored) = (Some(Turned::Degraded), Some(Turned::Restored));
        for (works, expected) in
            [(true, None), (false, degraded), (false, None), (true, restored), (true, None), (false, degraded)]
        {
            assert_eq!(saving.store_works(works), expected);
            assert_eq!(saving.is_degraded(), !works);
        }
    }
}
