//! What HTTP asks for, as values that wait: for a conversation to be loaded, or for a job.

use std::sync::Arc;

use crate::app::kit::audit::Entry;
use crate::apps::utalk::payload::Draft;
use crate::apps::utalk::user::{Account, User};
use crate::apps::utalk::who::Asker;

/// What somebody wants to see of a conversation.
#[derive(Clone, Debug)]
pub(in crate::apps::utalk) enum Show {
    /// The conversation itself.
    Row,
    /// Whom it is assigned to.
    Agents,
    /// Its newest files; URLs begin so.
    Files { limit: usize, base: Arc<str> },
    /// A page of its messages.
    Messages { narrowed: NarrowedMessages, below: Option<u64>, limit: usize },
}

/// A conversation that somebody wants to be there.
#[derive(Clone, Debug)]
pub(in crate::apps::utalk) struct Opening {
    pub customer: Arc<str>,
    pub customer_name: Option<Arc<str>>,
    /// Whom it is for, by id or e-mail.
    pub agent: Option<Arc<str>>,
    /// What is sent into it when it is there.
    pub first: Option<Draft>,
}

/// A conversation that is being made.
#[derive(Debug)]
pub(in crate::apps::utalk) struct Made {
    pub asker: Asker,
    pub id: Arc<str>,
    /// The number of the change.
    pub number: u64,
    pub agent: Option<Arc<str>>,
    pub first: Option<Draft>,
}

/// A list that waits for the store; `list` is what its cursors are of.
#[derive(Debug)]
pub(in crate::apps::utalk) enum Listing {
    Conversations {
        asker: Asker,
        limit: usize,
        list: String,
    },
    /// `total`: how many there are where they are not counted.
    Messages {
        asker: Asker,
        limit: usize,
        list: String,
        total: u64,
    },
    Files {
        asker: Asker,
        base: Arc<str>,
    },
}

/// What a list of conversations is narrowed to; empty: not by that.
#[derive(Clone, Debug, Default)]
pub(crate) struct Narrowed {
    /// Words, a blank between: any of them.
    pub status: String,
    pub channel: String,
    /// An agent's id, or [`UNASSIGNED`].
    pub assigned: String,
    /// What the customer's name or number, or the id, has in it.
    pub search: String,
}

/// What a list of messages is narrowed to; empty: not by that.
#[derive(Clone, Debug)]
pub(crate) struct NarrowedMessages {
    /// Without notes.
    pub public: bool,
    pub kind: String,
    pub direction: String,
    /// Sent after the first and before the second, in milliseconds since 1970.
    pub between: (u64, u64),
}

impl NarrowedMessages {
    /// Whether there may be messages that are not in the list.
    pub(crate) fn is_narrowed(&self) -> bool {
        self.public || !self.kind.is_empty() || !self.direction.is_empty() || self.between != EVER
    }
}

/// The times between which all messages were sent.
pub(crate) const EVER: (u64, u64) = (0, i64::MAX as u64);

/// An account on its way to the disk.
#[derive(Debug)]
pub(in crate::apps::utalk) enum Accounting {
    /// Its password is being hashed; the log of who has done it.
    Hashing { asker: Asker, user: User, log: Entry },
    /// It is being written.
    Creating { asker: Asker, user: User },
    /// Whether it may come in changes.
    Status { asker: Asker, user: Arc<str>, status: Account },
}

/// Which figures somebody waits for.
#[derive(Debug)]
pub(in crate::apps::utalk) enum Counting {
    Conversations(Asker),
    Agents(Asker),
}

/// Stands for the agent of a conversation that has none; no id begins so. Statements have it as a literal.
pub(crate) const UNASSIGNED: &str = "\u{1}unassigned";
