//! Answers the server waits for. One entry per packet that asked for an ack, however many sockets of this shard got it;
//! one outcome per receiver: its answer, or missing. The entry is gone when all have answered, left, or time is up.

use bytes::Bytes;
use hashbrown::{HashMap, HashSet};

use crate::base::ids::{Key, NspId};
use crate::base::wheel::TimerKey;

/// Names a packet that asked for an ack. Ids count per namespace.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct AckKey {
    pub nsp: NspId,
    pub id: u64,
}

/// Acks pending on one shard.
#[derive(Debug, Default)]
pub(crate) struct AckTable {
    pending: HashMap<AckKey, Pending>,
}

#[derive(Debug)]
struct Pending {
    waiting: HashSet<Key>,
    answers: Vec<Answer>,
    missing: u32,
    timer: TimerKey,
}

/// One socket's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub socket: Key,
    /// JSON text of the arguments without brackets.
    pub args: Bytes,
    pub attachments: Vec<Bytes>,
}

/// All that came of one packet on this shard.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Gathered {
    pub answers: Vec<Answer>,
    pub missing: u32,
    /// To be disarmed, unless it is what ended the wait.
    pub timer: TimerKey,
}

impl AckTable {
    /// Waits for `receivers` to answer; `missing` counts those who could not be asked.
    pub(crate) fn expect(
        &mut self,
        key: AckKey,
        receivers: impl IntoIterator<Item = Key>,
        missing: u32,
        timer: TimerKey,
    ) {
        let waiting = receivers.into_iter().collect();
        self.pending.insert(key, Pending { waiting, answers: Vec::new(), missing, timer });
    }

    /// An ACK packet came. Unknown, repeated and foreign ids are ignored: `None`. `Some(Some(_))`: that was the last one.
    pub(crate) fn on_answer(&mut self, key: AckKey, answer: Answer) -> Option<Option<Gathered>> {
        let pending = self.pending.get_mut(&key)?;
        if !pending.waiting.remove(&answer.socket) {
            return None;
        }
        pending.answers.push(answer);
        Some(self.finish_if_complete(key))
    }

    /// A receiver has gone.
    pub(crate) fn on_gone(&mut self, key: AckKey, socket: Key) -> Option<Gathered> {
        let pending = self.pending.get_mut(&key)?;
        if pending.waiting.remove(&socket) {
            pending.missing += 1;
        }
        self.finish_if_complete(key)
    }

    /// Time is up: sockets that have not answered are missing. Returns the sockets that still waited, too.
    pub(crate) fn on_timeout(&mut self, key: AckKey) -> Option<(Gathered, Vec<Key>)> {
        let pending = self.pending.remove(&key)?;
        let missing = pending.missing + pending.waiting.len() as u32;
        let mut late: Vec<Key> = pending.waiting.into_iter().collect();
        late.sort_unstable();
        Some((Gathered { answers: pending.answers, missing, timer: pending.timer }, late))
    }

    /// Acks that are waited for.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.pending.len()
    }

    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    fn finish_if_complete(&mut self, key: AckKey) -> Option<Gathered> {
        if !self.pending.get(&key)?.waiting.is_empty() {
            return None;
        }
        let Pending { answers, missing, timer, .. } = self.pending.remove(&key)?;
        Some(Gathered { answers, missing, timer })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::time::Millis;
    use crate::base::wheel::Wheel;

    const KEY: AckKey = AckKey { nsp: NspId(0), id: 3 };

    fn socket(slot: u32) -> Key {
        Key { slot, generation: 0 }
    }

    fn answer(slot: u32) -> Answer {
        Answer { socket: socket(slot), args: Bytes::from_static(b"1"), attachments: Vec::new() }
    }

    fn waiting_for(sockets: &[u32]) -> AckTable {
        let mut table = AckTable::default();
        let timer = Wheel::new(Millis(0)).arm(Millis(5), ());
        table.expect(KEY, sockets.iter().map(|slot| socket(*slot)), 0, timer);
        table
    }

    #[test]
    fn the_last_answer_completes() {
        let mut table = waiting_for(&[1, 2]);
        assert_eq!(table.on_answer(KEY, answer(1)), Some(None));
        let gathered = table.on_answer(KEY, answer(2)).unwrap().unwrap();
        assert_eq!((gathered.answers.len(), gathered.missing), (2, 0));
        assert!(table.is_empty());
    }

    #[test]
    fn t13_unknown_repeated_and_foreign_acks_are_ignored() {
        let mut table = waiting_for(&[1, 2]);
        assert_eq!(table.on_answer(AckKey { id: 99, ..KEY }, answer(1)), None);
        assert_eq!(table.on_answer(KEY, answer(7)), None);
        assert_eq!(table.on_answer(KEY, answer(1)), Some(None));
        assert_eq!(table.on_answer(KEY, answer(1)), None);
    }

    #[test]
    fn b24_b66_a_timeout_frees_the_entry_and_leaves_one_outcome() {
        let mut table = waiting_for(&[1, 2, 3]);
        table.on_answer(KEY, answer(2));
        let (gathered, late) = table.on_timeout(KEY).unwrap();
        assert_eq!((gathered.answers.len(), gathered.missing), (1, 2));
        assert_eq!(late, [socket(1), socket(3)]);
        assert_eq!(table.on_answer(KEY, answer(1)), None);
        assert!(table.on_timeout(KEY).is_none());
        assert!(table.is_empty());
    }

    #[test]
    fn a_receiver_that_leaves_is_missing() {
        let mut table = waiting_for(&[1, 2]);
        assert_eq!(table.on_gone(KEY, socket(1)), None);
        let gathered = table.on_answer(KEY, answer(2)).unwrap().unwrap();
        assert_eq!((gathered.answers.len(), gathered.missing), (1, 1));
    }
}
