//! What somebody who has one timer does by and by: many things, each due once, in the order of their times and, at the same time, in
//! the order in which they were put down. [`Timer`] sets the one timer to the next of them.

use std::collections::BTreeMap;

use crate::app::Token;
use crate::app::effect::Effect;
use crate::base::time::Millis;

/// Things to do. Each has one time: so there are never more than there are things.
#[derive(Debug)]
pub struct Agenda<T> {
    times: BTreeMap<T, Slot>,
    order: BTreeMap<Slot, T>,
    put_down: u64,
}

/// When, and behind how many it was put down.
type Slot = (Millis, u64);

impl<T> Default for Agenda<T> {
    fn default() -> Agenda<T> {
        Agenda { times: BTreeMap::new(), order: BTreeMap::new(), put_down: 0 }
    }
}

impl<T: Ord + Clone> Agenda<T> {
    /// To be done at `at`, unless it has a time already: that stays.
    pub fn add(&mut self, at: Millis, thing: T) {
        if !self.has(&thing) {
            self.put(at, thing);
        }
    }

    /// To be done at `at`, whatever time it had.
    pub fn put(&mut self, at: Millis, thing: T) {
        self.remove(&thing);
        let slot = (at, self.put_down);
        self.put_down += 1;
        self.times.insert(thing.clone(), slot);
        self.order.insert(slot, thing);
    }

    /// Not to be done after all.
    pub fn remove(&mut self, thing: &T) {
        if let Some(slot) = self.times.remove(thing) {
            self.order.remove(&slot);
        }
    }

    /// The next thing that is due, taken off. Call until `None`.
    pub fn next_due(&mut self, now: Millis) -> Option<T> {
        self.deadline().filter(|at| *at <= now)?;
        let (_, thing) = self.order.pop_first()?;
        self.times.remove(&thing);
        Some(thing)
    }

    /// When the next thing is due.
    pub fn deadline(&self) -> Option<Millis> {
        self.order.first_key_value().map(|((at, _), _)| *at)
    }

    /// Things to do.
    pub fn len(&self) -> usize {
        self.times.len()
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.times.is_empty()
    }

    /// Whether it is to be done.
    pub fn has(&self, thing: &T) -> bool {
        self.times.contains_key(thing)
    }
}

/// The one timer, as it was last set.
#[derive(Debug)]
pub struct Timer {
    token: Token,
    set_to: Option<Millis>,
}

impl Timer {
    /// Not set.
    pub fn new(token: Token) -> Timer {
        Timer { token, set_to: None }
    }

    /// It has gone off.
    pub fn went_off(&mut self) {
        self.set_to = None;
    }

    /// Sets it to `next`; `None`: stops it. Nothing where it is so already.
    pub fn set(&mut self, now: Millis, next: Option<Millis>) -> Option<Effect> {
        if next == self.set_to {
            return None;
        }
        self.set_to = next;
        let token = self.token;
        Some(match next {
            Some(at) => Effect::Timer { token, after_ms: at.since(now) },
            None => Effect::Cancel { token },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(agenda: &mut Agenda<&'static str>, now: u64, expected: &[&str]) {
        let due: Vec<&str> = std::iter::from_fn(|| agenda.next_due(Millis(now))).collect();
        assert_eq!(due, expected, "at {now}");
    }

    #[test]
    fn things_come_by_time_and_then_as_they_were_put_down() {
        let mut agenda = Agenda::default();
        for (at, thing) in [(20, "late"), (10, "z"), (10, "a"), (5, "first"), (10, "m")] {
            agenda.add(Millis(at), thing);
        }
        assert_eq!(agenda.deadline(), Some(Millis(5)));
        check(&mut agenda, 4, &[]);
        check(&mut agenda, 10, &["first", "z", "a", "m"]);
        assert_eq!(agenda.deadline(), Some(Millis(20)));
        check(&mut agenda, 99, &["late"]);
        assert_eq!(agenda.deadline(), None);
    }

    #[test]
    fn a_thing_has_one_time_which_only_put_moves() {
        let mut agenda = Agenda::default();
        agenda.add(Millis(10), "a");
        agenda.add(Millis(5), "a");
        agenda.add(Millis(10), "b");
        check(&mut agenda, 9, &[]);
        agenda.put(Millis(10), "a");
        agenda.put(Millis(10), "c");
        agenda.remove(&"c");
        agenda.remove(&"nothing");
        assert!(agenda.has(&"a") && !agenda.has(&"c"));
        check(&mut agenda, 10, &["b", "a"]);
        assert!(!agenda.has(&"a") && agenda.times.is_empty());
        agenda.add(Millis(11), "a");
        check(&mut agenda, 11, &["a"]);
    }

    #[test]
    fn the_timer_is_set_when_its_time_changes() {
        let mut timer = Timer::new(Token(7));
        let mut set = |now: u64, next: Option<u64>| match timer.set(Millis(now), next.map(Millis)) {
            Some(Effect::Timer { token: Token(7), after_ms }) => format!("in {after_ms}"),
            Some(Effect::Cancel { token: Token(7) }) => "stop".to_owned(),
            None => "as it is".to_owned(),
            other => panic!("{other:?}"),
        };
        for (now, next, expected) in [
            (0, None, "as it is"),
            (0, Some(10), "in 10"),
            (3, Some(10), "as it is"),
            (3, Some(8), "in 5"),
            (4, None, "stop"),
            (9, Some(8), "in 0"),
        ] {
            assert_eq!(set(now, next), expected, "{now} {next:?}");
        }
        timer.went_off();
        assert!(timer.set(Millis(9), Some(Millis(8))).is_some(), "one that went off is set again");
    }
}
