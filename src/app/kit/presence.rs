//! Presence: sockets counted per subject (a device, a user). Connected is 0→1, disconnected 1→0, after a grace if one is set.
//! Compares `SocketRef`s, so a leave that a reconnect has overtaken changes nothing.

use std::collections::{BTreeMap, BTreeSet};

use smallvec::SmallVec;

use crate::base::ids::SocketRef;
use crate::base::time::Millis;

/// Sockets of one subject; nearly always one.
pub type Sockets = SmallVec<[SocketRef; 1]>;

/// What a socket's coming meant for its subject.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Arrival {
    /// 0→1: the subject is connected now.
    First,
    /// It was here already, or came back within its grace.
    Again,
}

/// What a socket's going meant for its subject.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Departure {
    /// That socket was not (or no longer) one of the subject's.
    Stale,
    /// Other sockets of it are still here.
    StillHere,
    /// 1→0, and it counts as gone at this time unless it comes back: see [`Presence::expire`].
    GoneAt(Millis),
    /// 1→0.
    Gone,
}

/// Subjects and their sockets.
#[derive(Debug)]
pub struct Presence<K> {
    grace_ms: u64,
    subjects: BTreeMap<K, Subject>,
    /// Subjects without a socket, by the time their grace ends.
    leaving: BTreeSet<(Millis, K)>,
}

#[derive(Debug, Default)]
struct Subject {
    sockets: Sockets,
    leaves_at: Option<Millis>,
}

impl<K: Ord + Clone> Presence<K> {
    /// `grace_ms`: how long a subject without sockets still counts as connected; 0 for devices.
    pub fn new(grace_ms: u64) -> Presence<K> {
        Presence { grace_ms, subjects: BTreeMap::new(), leaving: BTreeSet::new() }
    }

    /// One more socket of a subject that may have many.
    pub fn join(&mut self, subject: &K, socket: SocketRef) -> Arrival {
        let here = self.subjects.contains_key(subject);
        let entry = self.subjects.entry(subject.clone()).or_default();
        if let Some(at) = entry.leaves_at.take() {
            self.leaving.remove(&(at, subject.clone()));
        }
        if !entry.sockets.contains(&socket) {
            entry.sockets.push(socket);
        }
        if here { Arrival::Again } else { Arrival::First }
    }

    /// The newest socket wins: the others are returned, to be ended, and no longer count.
    pub fn take_over(&mut self, subject: &K, socket: SocketRef) -> (Arrival, Sockets) {
        let arrival = self.join(subject, socket);
        let entry = self.subjects.entry(subject.clone()).or_default();
        let replaced = entry.sockets.iter().copied().filter(|other| *other != socket).collect();
        entry.sockets.retain(|other| *other == socket);
        (arrival, replaced)
    }

    /// A socket of `subject` has gone; a socket that was replaced changes nothing.
    pub fn leave(&mut self, now: Millis, subject: &K, socket: SocketRef) -> Departure {
        let Some(entry) = self.subjects.get_mut(subject) else { return Departure::Stale };
        let Some(at) = entry.sockets.iter().position(|other| *other == socket) else { return Departure::Stale };
        entry.sockets.remove(at);
        if !entry.sockets.is_empty() {
            return Departure::StillHere;
        }
        if self.grace_ms == 0 {
            self.subjects.remove(subject);
            return Departure::Gone;
        }
        let gone_at = now + self.grace_ms;
        entry.leaves_at = Some(gone_at);
        self.leaving.insert((gone_at, subject.clone()));
        Departure::GoneAt(gone_at)
    }

    /// The next subject whose grace is over: it is disconnected now. Call until `None`.
    pub fn expire(&mut self, now: Millis) -> Option<K> {
        if self.leaving.first()?.0 > now {
            return None;
        }
        let (_, subject) = self.leaving.pop_first()?;
        self.subjects.remove(&subject);
        Some(subject)
    }

    /// When [`Presence::expire`] has something to say.
    pub fn deadline(&self) -> Option<Millis> {
        self.leaving.first().map(|(at, _)| *at)
    }

    /// The newest socket of a subject.
    pub fn socket(&self, subject: &K) -> Option<SocketRef> {
        self.subjects.get(subject)?.sockets.last().copied()
    }

    /// All sockets of a subject.
    pub fn sockets(&self, subject: &K) -> &[SocketRef] {
        self.subjects.get(subject).map_or(&[], |entry| &entry.sockets)
    }

    /// Those who count as connected, in their order.
    pub fn subjects(&self) -> impl Iterator<Item = &K> {
        self.subjects.keys()
    }

    pub fn is_here(&self, subject: &K) -> bool {
        self.subjects.contains_key(subject)
    }

    /// Subjects that count as connected.
    pub fn len(&self) -> usize {
        self.subjects.len()
    }

    pub fn is_empty(&self) -> bool {
        self.subjects.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ids::{Key, ShardId};

    fn socket(slot: u32) -> SocketRef {
        SocketRef { shard: ShardId(0), key: Key { slot, generation: 0 } }
    }

    #[test]
    fn the_first_connects_and_the_last_disconnects() {
        let mut presence = Presence::new(0);
        assert_eq!(presence.join(&"u", socket(1)), Arrival::First);
        assert_eq!(presence.join(&"u", socket(2)), Arrival::Again);
        assert_eq!(presence.leave(Millis(0), &"u", socket(1)), Departure::StillHere);
        assert_eq!(presence.leave(Millis(0), &"u", socket(1)), Departure::Stale);
        assert_eq!(presence.leave(Millis(0), &"u", socket(2)), Departure::Gone);
        assert!(presence.is_empty());
    }

    #[test]
    fn a_takeover_is_no_transition_and_the_old_socket_leaves_in_vain() {
        let mut presence = Presence::new(0);
        presence.take_over(&"p1", socket(1));
        let (arrival, replaced) = presence.take_over(&"p1", socket(2));
        assert_eq!((arrival, replaced.as_slice()), (Arrival::Again, &[socket(1)][..]));
        assert_eq!(presence.leave(Millis(0), &"p1", socket(1)), Departure::Stale);
        assert_eq!(presence.socket(&"p1"), Some(socket(2)));
        assert!(presence.take_over(&"p1", socket(2)).1.is_empty());
    }

    #[test]
    fn a_return_within_the_grace_is_no_transition() {
        let mut presence = Presence::new(3000);
        presence.join(&"u", socket(1));
        assert_eq!(presence.leave(Millis(10), &"u", socket(1)), Departure::GoneAt(Millis(3010)));
        assert_eq!(presence.join(&"u", socket(2)), Arrival::Again);
        assert_eq!(presence.expire(Millis(9000)), None);
        presence.leave(Millis(9000), &"u", socket(2));
        assert_eq!(presence.deadline(), Some(Millis(12_000)));
        assert!(presence.is_here(&"u"));
        assert_eq!(presence.expire(Millis(11_999)), None);
        assert_eq!(presence.expire(Millis(12_000)), Some("u"));
        assert_eq!(presence.expire(Millis(12_000)), None);
    }
}
