//! Messages on their way to a provider: of each conversation one call at a time, by seq. Pure, and bounded; who calls, and
//! what comes of it, is decided in `calls`.
//!
//! ```text
//!   waiting ──► marking ──► calling ──► settling ──► gone
//!                  ▲                       │ surely unprocessed, and tries are left
//!                  └─────── resting ◄──────┘
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;

use super::message::Message;
use super::tables::calls::Fate;
use crate::app::kit::backoff::Backoff;
use crate::app::kit::breaker::Pass;

/// All of one scope. `M`: what is sent.
#[derive(Debug)]
pub(super) struct Outgoing<M> {
    lines: BTreeMap<Arc<str>, Line<M>>,
    held: usize,
    held_max: usize,
}

/// Of one conversation.
#[derive(Debug)]
struct Line<M> {
    waiting: BTreeMap<u64, M>,
    head: Option<Head<M>>,
}

/// The message that a conversation is at.
#[derive(Debug)]
pub(super) struct Head<M> {
    pub seq: u64,
    pub message: M,
    pub stage: Stage,
}

/// Where it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stage {
    /// That a call begins is on its way to the disk.
    Marking,
    /// The provider has it.
    Calling,
    /// What came of the call is on its way to the disk.
    Settling,
    /// What has come of it could not be written, and will be.
    Unsettled,
    /// It waits for another try.
    Resting,
}

/// A message on its way to the provider.
#[derive(Debug)]
pub(super) struct Call {
    pub message: Arc<Message>,
    pub tries: u32,
    pub backoff: Backoff,
    /// Leave to ask the provider now.
    pub pass: Option<Pass>,
    /// The last process has begun a call of it.
    pub is_begun: bool,
    /// What has come of it, once that is known.
    pub end: Option<End>,
}

/// What comes of a message.
#[derive(Clone, Debug)]
pub(super) enum End {
    Fate(Fate),
    /// It stays as it is, until it is sent again.
    Rest,
}

impl Call {
    /// What has come of it is kept without the provider's id. False: there is none.
    pub(super) fn forgets_sid(&mut self) -> bool {
        if let Some(End::Fate(fate)) = &mut self.end { fate.sid.take().is_some() } else { false }
    }
}

impl<M> Outgoing<M> {
    /// Holds so many messages at most.
    pub(super) fn new(held_max: usize) -> Outgoing<M> {
        Outgoing { lines: BTreeMap::new(), held: 0, held_max }
    }

    /// A message waits for its turn. False: there is no room, and it does not.
    pub(super) fn add(&mut self, conversation: &Arc<str>, seq: u64, message: M) -> bool {
        if self.held >= self.held_max {
            return false;
        }
        let line =
            self.lines.entry(conversation.clone()).or_insert_with(|| Line { waiting: BTreeMap::new(), head: None });
        let is_new =
            line.head.as_ref().is_none_or(|head| head.seq != seq) && line.waiting.insert(seq, message).is_none();
        self.held += usize::from(is_new);
        true
    }

    /// The next message of a conversation where none is on its way, or the one that rests: it is marking from now on.
    pub(super) fn begin(&mut self, conversation: &str) -> Option<&mut Head<M>> {
        let line = self.lines.get_mut(conversation)?;
        match &line.head {
            Some(head) if head.stage != Stage::Resting => return None,
            Some(_) => {}
            None => {
                let (seq, message) = line.waiting.pop_first()?;
                line.head = Some(Head { seq, message, stage: Stage::Marking });
            }
        }
        let head = line.head.as_mut()?;
        head.stage = Stage::Marking;
        Some(head)
    }

    /// The message that a conversation is at, if it is in this stage.
    pub(super) fn head(&mut self, conversation: &str, stage: Stage) -> Option<&mut Head<M>> {
        self.lines.get_mut(conversation)?.head.as_mut().filter(|head| head.stage == stage)
    }

    /// The message that a conversation is at, whatever its stage.
    pub(super) fn current(&mut self, conversation: &str) -> Option<&mut Head<M>> {
        self.lines.get_mut(conversation)?.head.as_mut()
    }

    /// A message that is held, wherever it is.
    pub(super) fn find(&mut self, conversation: &str, seq: u64) -> Option<&mut M> {
        let line = self.lines.get_mut(conversation)?;
        match &mut line.head {
            Some(head) if head.seq == seq => Some(&mut head.message),
            _ => line.waiting.get_mut(&seq),
        }
    }

    /// The message that a conversation was at is settled: what follows may begin.
    pub(super) fn end(&mut self, conversation: &str) -> Option<Head<M>> {
        let line = self.lines.get_mut(conversation)?;
        let head = line.head.take()?;
        self.held -= 1;
        if line.waiting.is_empty() {
            self.lines.remove(conversation);
        }
        Some(head)
    }

    /// Messages that are held.
    pub(super) fn len(&self) -> usize {
        self.held
    }
}

/// Messages of one scope on their way to the provider; what is left by a crash is read up to as many.
pub(super) const OUTGOING_MAX: usize = 10_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rng::Rng;

    fn begun(outgoing: &mut Outgoing<&'static str>, conversation: &str) -> Option<(u64, &'static str)> {
        outgoing.begin(conversation).map(|head| (head.seq, head.message))
    }

    #[test]
    fn a_conversation_is_at_one_message_at_a_time_by_seq() {
        let mut outgoing = Outgoing::new(9);
        let (a, b) = (Arc::from("a"), Arc::from("b"));
        assert!(outgoing.add(&a, 2, "two") && outgoing.add(&a, 1, "one") && outgoing.add(&b, 7, "seven"));
        assert_eq!(begun(&mut outgoing, "a"), Some((1, "one")));
        assert_eq!(begun(&mut outgoing, "a"), None, "it is at one");
        assert_eq!(begun(&mut outgoing, "b"), Some((7, "seven")), "others are not kept up");
        outgoing.head("a", Stage::Marking).unwrap().stage = Stage::Resting;
        assert!(outgoing.head("a", Stage::Marking).is_none());
        assert_eq!(begun(&mut outgoing, "a"), Some((1, "one")), "what rests keeps its place");
        assert_eq!(outgoing.end("a").map(|head| head.message), Some("one"));
        assert_eq!(begun(&mut outgoing, "a"), Some((2, "two")));
        assert!(outgoing.end("a").is_some() && outgoing.end("b").is_some());
        assert_eq!((begun(&mut outgoing, "a"), outgoing.len(), outgoing.lines.len()), (None, 0, 0));
    }

    #[test]
    fn a_message_is_held_once_and_no_more_than_there_is_room_for() {
        let mut outgoing = Outgoing::new(2);
        let a = Arc::from("a");
        assert!(outgoing.add(&a, 1, "one") && outgoing.add(&a, 1, "one"));
        assert_eq!(outgoing.len(), 1);
        begun(&mut outgoing, "a");
        assert!(outgoing.add(&a, 1, "one"));
        assert_eq!((outgoing.len(), outgoing.find("a", 1).is_some()), (1, true));
        assert!(outgoing.add(&a, 2, "two") && !outgoing.add(&a, 3, "three"));
        assert_eq!((outgoing.find("a", 2).copied(), outgoing.find("a", 3)), (Some("two"), None));
        outgoing.end("a");
        assert!(outgoing.add(&a, 3, "three"));
    }

    /// Whatever happens in whatever order, each message is begun, by seq among those that wait, and ended once.
    #[test]
    fn nothing_is_lost_and_nothing_is_twice() {
        let mut rng = Rng::from_seed([11; 32]);
        let names: Vec<Arc<str>> = ["a", "b", "c"].map(Arc::from).into();
        for _ in 0..50 {
            let mut outgoing = Outgoing::new(1_000);
            let (mut next, mut ended) = ([0_u64; 3], [const { Vec::new() }; 3]);
            for _ in 0..400 {
                let of = rng.below(3) as usize;
                match rng.below(4) {
                    0 => {
                        next[of] += 1;
                        assert!(outgoing.add(&names[of], next[of], next[of]));
                    }
                    1 => drop(outgoing.begin(&names[of])),
                    2 => {
                        if let Some(head) = outgoing.head(&names[of], Stage::Marking) {
                            head.stage = if rng.below(2) == 0 { Stage::Resting } else { Stage::Calling };
                        }
                    }
                    _ => ended[of].extend(outgoing.end(&names[of]).map(|head| head.seq)),
                }
            }
            for of in 0..3 {
                while outgoing.begin(&names[of]).is_some() || outgoing.head(&names[of], Stage::Calling).is_some() {
                    ended[of].extend(outgoing.end(&names[of]).map(|head| head.seq));
                }
                ended[of].extend(outgoing.end(&names[of]).map(|head| head.seq));
                while outgoing.begin(&names[of]).is_some() {
                    ended[of].extend(outgoing.end(&names[of]).map(|head| head.seq));
                }
                assert_eq!(ended[of], (1..=next[of]).collect::<Vec<_>>());
            }
            assert_eq!(outgoing.len(), 0);
        }
    }
}
