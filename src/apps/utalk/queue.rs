//! The queue of conversations that wait, the bench of agents who are free, and the next pair of both. Plain values: what the rows on disk say comes in, the next pair comes out.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::conversation::{Row, Status};
use super::settings::{Assignment, Bot, Settings};
use crate::base::time::{Millis, WallMillis};

/// A conversation's place in the queue, the next first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Place {
    /// Not of an agent who has gone: those go first.
    pub is_behind: bool,
    /// Since when its customer waits.
    pub since: WallMillis,
}

/// What a row means to the work of agents.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Standing {
    /// The agent of whose active conversations it is one.
    pub active: Option<Arc<str>>,
    /// Its place, if it waits for an agent.
    pub waits: Option<Place>,
    /// When its customer has waited for too long.
    pub late: Option<WallMillis>,
}

impl Standing {
    /// What it means under these settings.
    pub(super) fn of(row: &Row, settings: &Settings) -> Standing {
        Standing {
            active: row.assigned.clone().filter(|_| row.status != Status::Closed),
            waits: waits(row, settings),
            late: late(row, settings),
        }
    }
}

/// Where it waits: nobody has it, its customer was the last to say something, and no bot looks after it.
fn waits(row: &Row, settings: &Settings) -> Option<Place> {
    let is_people_s = settings.bot == Bot::Off || !row.bot_enabled;
    let is_waiting = row.assigned.is_none() && row.status != Status::Closed && is_people_s;
    let since = row.unanswered_at.filter(|_| is_waiting && settings.assignment != Assignment::Off)?;
    Some(Place { is_behind: !row.ahead, since })
}

/// When the bot, or else the agent, will have left its customer without an answer for too long.
fn late(row: &Row, settings: &Settings) -> Option<WallMillis> {
    let since = row.unanswered_at.filter(|_| matches!(row.status, Status::Open | Status::Pending))?;
    let (since, timeout_ms) = match row.assigned_at.filter(|_| row.assigned.is_some()) {
        _ if row.bot_enabled => (since, settings.bot_timeout_ms),
        Some(assigned_at) => (since.max(assigned_at), settings.agent_reply_timeout_ms),
        None => return None,
    };
    (timeout_ms > 0).then(|| WallMillis(since.0 + timeout_ms))
}

/// Those who wait, the first of them in memory.
#[derive(Debug, Default)]
pub(super) struct Queue {
    order: BTreeSet<(Place, Arc<str>)>,
    places: BTreeMap<Arc<str>, Place>,
    /// Those that are being assigned.
    given: BTreeMap<Arc<str>, (Place, Arc<str>)>,
    /// Further ones, which only the store knows.
    beyond: u64,
    /// What has changed since the store was asked who waits.
    meanwhile: Option<Vec<(Arc<str>, Option<Place>)>>,
    /// Whether it is another one than it was when this was last taken back.
    pub is_changed: bool,
}

impl Queue {
    /// A conversation waits, or waits no longer.
    pub(super) fn put(&mut self, id: &Arc<str>, place: Option<Place>) {
        if let Some(meanwhile) = &mut self.meanwhile {
            meanwhile.push((id.clone(), place));
        }
        self.is_changed = true;
        match (place, self.given.get_mut(id)) {
            (Some(place), Some(given)) => given.0 = place,
            (None, Some(_)) => {
                self.given.remove(id);
            }
            (place, None) => {
                let was_held = self.leave(id);
                match place {
                    Some(place) => self.enter(id, place),
                    None => self.beyond = self.beyond.saturating_sub(u64::from(!was_held)),
                }
            }
        }
    }

    fn leave(&mut self, id: &Arc<str>) -> bool {
        let place = self.places.remove(id);
        place.is_some_and(|place| self.order.remove(&(place, id.clone())))
    }

    fn enter(&mut self, id: &Arc<str>, place: Place) {
        let last = self.order.last().map(|(place, _)| *place);
        if self.beyond > 0 && last.is_none_or(|last| last < place) {
            self.beyond += 1;
            return;
        }
        self.order.insert((place, id.clone()));
        self.places.insert(id.clone(), place);
        if self.order.len() > HELD_MAX
            && let Some((_, last)) = self.order.pop_last()
        {
            self.places.remove(&last);
            self.beyond += 1;
        }
    }

    /// The next one goes to this agent; it is none that waits until that has failed.
    pub(super) fn give(&mut self, agent: &Arc<str>) -> Option<Arc<str>> {
        let (place, id) = self.order.pop_first()?;
        self.places.remove(&id);
        self.given.insert(id.clone(), (place, agent.clone()));
        self.is_changed = true;
        Some(id)
    }

    /// It was not assigned: it waits again, where it did.
    pub(super) fn take_back(&mut self, id: &Arc<str>) {
        if let Some((place, _)) = self.given.remove(id) {
            self.enter(id, place);
            self.is_changed = true;
        }
    }

    /// Whether the store has to be asked who is next.
    pub(super) fn is_short(&self) -> bool {
        self.beyond > 0 && self.order.len() < HELD_LOW && self.meanwhile.is_none()
    }

    /// The store is asked.
    pub(super) fn asks(&mut self) {
        self.meanwhile = Some(Vec::new());
    }

    /// The store has not answered.
    pub(super) fn was_not_told(&mut self) {
        self.meanwhile = None;
    }

    /// The store has answered: the first that wait, and how many wait in all.
    pub(super) fn fill(&mut self, rows: Vec<(Arc<str>, Place)>, total: u64) {
        let meanwhile = self.meanwhile.take().unwrap_or_default();
        self.order.clear();
        self.places.clear();
        self.beyond = 0;
        let held = rows.len() as u64;
        for (id, place) in rows {
            if !self.given.contains_key(&id) {
                self.enter(&id, place);
            }
        }
        self.beyond = total.saturating_sub(held);
        self.is_changed = true;
        for (id, place) in meanwhile {
            let was_held = self.leave(&id);
            match place.filter(|_| !self.given.contains_key(&id)) {
                Some(place) => self.enter(&id, place),
                None if was_held => {}
                None => self.beyond = self.beyond.saturating_sub(u64::from(place.is_none())),
            }
        }
    }

    /// How many wait.
    pub(super) fn len(&self) -> u64 {
        self.order.len() as u64 + self.beyond
    }

    /// How many wait, and the first of them with the times since when.
    pub(super) fn shown(&self) -> (u64, Vec<(Arc<str>, WallMillis)>) {
        let first = self.order.iter().take(SHOWN_MAX).map(|(place, id)| (id.clone(), place.since));
        (self.len(), first.collect())
    }
}

/// What agents have to do.
#[derive(Debug, Default)]
pub(super) struct Loads {
    active: BTreeMap<Arc<str>, u32>,
    /// Conversations that are on their way to an agent.
    claims: BTreeMap<Arc<str>, u32>,
    /// When each was last given one, as numbers that no two share.
    last: BTreeMap<Arc<str>, u64>,
    stamp: u64,
}

impl Loads {
    /// What was on disk.
    pub(super) fn begin(&mut self, active: Vec<(Arc<str>, u32)>, last: Vec<(Arc<str>, u64)>) {
        self.active = active.into_iter().collect();
        self.stamp = last.iter().map(|(_, at)| *at).max().unwrap_or(0).max(self.stamp);
        self.last = last.into_iter().collect();
    }

    /// Active conversations, and those that are about to be.
    pub(super) fn of(&self, agent: &str) -> u32 {
        let count = |counts: &BTreeMap<Arc<str>, u32>| counts.get(agent).copied().unwrap_or(0);
        count(&self.active) + count(&self.claims)
    }

    /// Agents with active conversations.
    pub(super) fn agents(&self) -> impl Iterator<Item = &Arc<str>> {
        self.active.keys()
    }

    /// An agent has one more, or one less.
    pub(super) fn count(&mut self, agent: &Arc<str>, more: bool) {
        step(&mut self.active, agent, more);
    }

    /// One is on its way to an agent, or is no longer.
    pub(super) fn claim(&mut self, agent: &Arc<str>, on: bool) {
        step(&mut self.claims, agent, on);
    }

    /// An agent is given one now. The number that says so, which is about the time.
    pub(super) fn given(&mut self, agent: &Arc<str>, now: WallMillis) -> u64 {
        self.stamp = (self.stamp + 1).max(now.0);
        self.last.insert(agent.clone(), self.stamp);
        self.stamp
    }

    /// An agent's key on the bench, the next first.
    pub(super) fn key(&self, agent: &str, assignment: Assignment) -> Key {
        let last = self.last.get(agent).copied().unwrap_or(0);
        match assignment {
            Assignment::Lowest => (self.of(agent), last),
            Assignment::Off | Assignment::RoundRobin => (0, last),
        }
    }
}

fn step(counts: &mut BTreeMap<Arc<str>, u32>, agent: &Arc<str>, more: bool) {
    let count = counts.get(agent).copied().unwrap_or(0);
    match if more { count + 1 } else { count.saturating_sub(1) } {
        0 => counts.remove(agent),
        count => counts.insert(agent.clone(), count),
    };
}

/// Agents who can take one more, the next first.
#[derive(Debug, Default)]
pub(super) struct Bench {
    keys: BTreeMap<Arc<str>, Key>,
    order: BTreeSet<(Key, Arc<str>)>,
}

impl Bench {
    /// An agent can take one more, or cannot.
    pub(super) fn put(&mut self, agent: &Arc<str>, key: Option<Key>) {
        if let Some(key) = self.keys.remove(agent) {
            self.order.remove(&(key, agent.clone()));
        }
        if let Some(key) = key {
            self.order.insert((key, agent.clone()));
            self.keys.insert(agent.clone(), key);
        }
    }

    /// The next one.
    pub(super) fn first(&self) -> Option<Arc<str>> {
        self.order.first().map(|(_, agent)| agent.clone())
    }
}

/// What a scope knows of the work of its agents.
#[derive(Debug, Default)]
pub(super) struct Work {
    pub loads: Loads,
    pub queue: Queue,
    pub bench: Bench,
    /// Users of whom it is to be found out whether they are on the bench.
    pub doubtful: BTreeSet<Arc<str>>,
    /// When somebody will have waited for too long next.
    pub late_at: Option<WallMillis>,
    /// Nothing is assigned until the store has had a rest.
    pub rests: bool,
    /// What `queue:updated` has told last, and when.
    pub told: (u64, Vec<(Arc<str>, WallMillis)>),
    pub told_at: Option<Millis>,
}

/// How many it has, and when it was last given one.
pub(super) type Key = (u32, u64);

/// Waiting conversations of a scope in memory; the store is asked for further ones when fewer than the second are left.
pub(super) const HELD_MAX: usize = 10_000;
const HELD_LOW: usize = 1_000;
/// Waiting conversations that `queue:updated` names.
const SHOWN_MAX: usize = 50;

#[cfg(test)]
mod tests {
    use super::*;

    fn row() -> Row {
        Row { unanswered_at: Some(WallMillis(10)), ..Row::new(&"conv_x".into(), &Settings::default(), WallMillis(1)) }
    }

    #[test]
    fn a_row_says_who_waits() {
        let queue = Settings { assignment: Assignment::Lowest, ..Settings::default() };
        let with_bot = Settings { bot: Bot::Client, ..queue.clone() };
        let behind = Some(Place { is_behind: true, since: WallMillis(10) });
        let escalated = Row { bot_enabled: false, status: Status::Escalated, ..row() };
        for (what, row, settings, expected) in [
            ("off", row(), &Settings::default(), None),
            ("nobody's", row(), &queue, behind),
            ("the bot's", row(), &with_bot, None),
            ("escalated", escalated.clone(), &with_bot, behind),
            ("answered", Row { unanswered_at: None, ..row() }, &queue, None),
            ("closed", Row { status: Status::Closed, ..row() }, &queue, None),
            ("assigned", Row { assigned: Some("a".into()), ..escalated }, &queue, None),
            (
                "of one who has gone",
                Row { ahead: true, ..row() },
                &queue,
                Some(Place { is_behind: false, since: WallMillis(10) }),
            ),
        ] {
            assert_eq!(Standing::of(&row, settings).waits, expected, "{what}");
        }
    }

    #[test]
    fn a_row_says_when_its_customer_has_waited_for_too_long() {
        let settings = Settings { bot_timeout_ms: 100, agent_reply_timeout_ms: 30, ..Settings::default() };
        let assigned =
            |at| Row { assigned: Some("a".into()), assigned_at: Some(WallMillis(at)), bot_enabled: false, ..row() };
        for (what, row, settings, expected) in [
            ("the bot's", row(), &settings, Some(110)),
            ("an agent's", assigned(2), &settings, Some(40)),
            ("an agent's since later", assigned(20), &settings, Some(50)),
            ("nobody's", Row { bot_enabled: false, ..row() }, &settings, None),
            ("escalated", Row { status: Status::Escalated, ..assigned(2) }, &settings, None),
            ("closed", Row { status: Status::Closed, ..row() }, &settings, None),
            ("answered", Row { unanswered_at: None, ..row() }, &settings, None),
            ("an agent's, by default", assigned(2), &Settings::default(), None),
            ("never", row(), &Settings { bot_timeout_ms: 0, ..Settings::default() }, None),
        ] {
            assert_eq!(Standing::of(&row, settings).late, expected.map(WallMillis), "{what}");
        }
    }

    fn place(is_behind: bool, since: u64) -> Place {
        Place { is_behind, since: WallMillis(since) }
    }

    fn ids(queue: &Queue) -> Vec<String> {
        queue.shown().1.iter().map(|(id, _)| id.to_string()).collect()
    }

    #[test]
    fn the_first_to_come_is_the_first_and_those_of_the_gone_are_before_it() {
        let mut queue = Queue::default();
        for (id, at) in [("b", place(true, 2)), ("c", place(true, 3)), ("a", place(true, 1)), ("gone", place(false, 9))]
        {
            queue.put(&id.into(), Some(at));
        }
        assert_eq!((queue.shown().0, ids(&queue)), (4, ["gone", "a", "b", "c"].map(String::from).to_vec()));
        assert_eq!(queue.give(&"x".into()).as_deref(), Some("gone"));
        assert_eq!(ids(&queue), ["a", "b", "c"]);
        queue.take_back(&"gone".into());
        assert_eq!(ids(&queue), ["gone", "a", "b", "c"]);
        queue.give(&"x".into());
        queue.put(&"gone".into(), None);
        queue.take_back(&"gone".into());
        queue.put(&"b".into(), None);
        assert_eq!((queue.shown().0, ids(&queue)), (2, ["a", "c"].map(String::from).to_vec()));
    }

    #[test]
    fn a_long_queue_is_held_in_part() {
        let mut queue = Queue::default();
        let all = HELD_MAX as u64 + 5;
        for at in 0..all {
            queue.put(&format!("c{at:06}").into(), Some(place(true, at)));
        }
        assert_eq!((queue.shown().0, queue.order.len()), (all, HELD_MAX));
        queue.put(&format!("c{:06}", all - 1).into(), None);
        assert_eq!(queue.shown().0, all - 1, "one that only the store knows");
        for _ in 0..=HELD_MAX - HELD_LOW {
            assert!(!queue.is_short());
            let next = queue.give(&"x".into()).unwrap();
            queue.put(&next, None);
        }
        assert!(queue.is_short());
        queue.asks();
        assert!(!queue.is_short(), "it is asked once");
        queue.put(&"new".into(), Some(place(false, 1)));
        queue.put(&"c010000".into(), None);
        let rows = (9_500..10_004).map(|at| (format!("c{at:06}").into(), place(true, at)));
        queue.fill(rows.collect(), 504);
        assert_eq!((queue.shown().0, &*ids(&queue)[0]), (504, "new"), "what has changed meanwhile counts");
        assert!(!queue.places.contains_key("c010000"));
    }

    #[test]
    fn the_next_agent_has_fewest_or_has_waited_for_longest() {
        let mut loads = Loads::default();
        loads.begin(vec![("a".into(), 2), ("b".into(), 1), ("c".into(), 1)], vec![("b".into(), 7), ("c".into(), 5)]);
        let first = |loads: &Loads, by| {
            let mut bench = Bench::default();
            for agent in ["a", "b", "c"] {
                bench.put(&agent.into(), Some(loads.key(agent, by)));
            }
            bench.put(&"b".into(), Some(loads.key("b", by)));
            bench.first().unwrap().to_string()
        };
        assert_eq!(
            (first(&loads, Assignment::Lowest), first(&loads, Assignment::RoundRobin)),
            ("c".into(), "a".into())
        );
        loads.claim(&"c".into(), true);
        assert_eq!(first(&loads, Assignment::Lowest), "b");
        loads.claim(&"c".into(), false);
        assert_eq!(loads.given(&"a".into(), WallMillis(3)), 8);
        assert_eq!(loads.given(&"c".into(), WallMillis(3)), 9, "two within one millisecond");
        assert_eq!(first(&loads, Assignment::RoundRobin), "b");
        loads.count(&"b".into(), false);
        loads.count(&"b".into(), false);
        assert_eq!((loads.of("b"), loads.of("a")), (0, 2));
        assert_eq!(loads.agents().map(|agent| &**agent).collect::<Vec<_>>(), ["a", "c"]);
    }
}
