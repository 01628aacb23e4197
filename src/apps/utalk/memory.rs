//! A conversation in memory: its row, and beside it the newest messages, how far its readers are, and what waits for it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::conversation::{Horizon, Row};
use super::message::Message;
use super::wish::Wish;

/// A conversation in memory.
#[derive(Debug)]
pub(super) struct Conversation {
    pub row: Row,
    /// Whether the row is on disk; else the first write makes it.
    pub is_stored: bool,
    /// The newest messages that have come by since it was loaded, by seq.
    pub ring: VecDeque<Arc<Message>>,
    /// How far each reader is: seq and inbound ordinal.
    pub horizons: BTreeMap<Arc<str>, Horizon>,
    /// Writes on their way.
    pub in_flight: u32,
    /// Changes of its fields on their way; others wait for them.
    pub changing: u32,
    pub waiting: VecDeque<Wish>,
    /// When it was last asked for, in turns of the scope.
    pub used: u64,
}

impl Conversation {
    pub(super) fn new(row: Row, is_stored: bool) -> Conversation {
        Conversation {
            row,
            is_stored,
            ring: VecDeque::new(),
            horizons: BTreeMap::new(),
            in_flight: 0,
            changing: 0,
            waiting: VecDeque::new(),
            used: 0,
        }
    }

    /// A message has been written. The oldest goes where there are too many, and is returned.
    pub(super) fn remember(&mut self, message: Arc<Message>) -> Option<Arc<Message>> {
        let is_full = self.ring.len() >= RING_MESSAGES_MAX;
        let oldest = is_full.then(|| self.ring.pop_front()).flatten();
        self.ring.push_back(message);
        oldest
    }

    /// Bytes of the messages in memory.
    pub(super) fn weight(&self) -> usize {
        self.ring.iter().map(|message| message.weight()).sum()
    }

    /// The message of this id or messageId, if it is in memory.
    pub(super) fn message(&self, id: &str) -> Option<&Arc<Message>> {
        self.ring.iter().rev().find(|message| &*message.id == id || &*message.message_id == id)
    }

    /// Whether it can be forgotten: all that is known of it is on disk.
    pub(super) fn is_idle(&self) -> bool {
        self.in_flight == 0 && self.changing == 0 && self.waiting.is_empty()
    }
}

/// Messages of one conversation that are kept in memory.
const RING_MESSAGES_MAX: usize = 1_000;
