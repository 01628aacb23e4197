//! The work of agents as values: what somebody asks to be done with a conversation, what is on its way to the disk then, and what the store is
//! asked for it.

use std::sync::Arc;

use super::escalation::{Escalation, Reason};
use super::message::Message;
use super::who::Asker;
use crate::app::settings::words;
use crate::base::time::WallMillis;

words! {
    /// Why a conversation goes back to the bot.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub(super) enum Return { Resolved = "resolved", Timeout = "timeout", Manual = "manual" }
}

/// What is asked.
#[derive(Clone, Debug)]
pub(super) enum Task {
    Take(Take),
    Return,
    /// It is nobody's any more.
    Release,
    /// It is no more that of an agent who has gone.
    Drop(Arc<str>),
    Escalate(Escalate),
    Reject {
        escalation: Arc<str>,
        why: Option<Arc<str>>,
    },
}

/// An agent gets a conversation.
#[derive(Clone, Debug)]
pub(super) struct Take {
    /// Id or e-mail; nobody: the one who asks.
    pub agent: Option<Arc<str>>,
    /// As `conversation:assigned` tells it; nothing: by the way it is got.
    pub reason: Option<Arc<str>>,
    pub via: Via,
}

/// The way an agent gets a conversation.
#[derive(Clone, Debug)]
pub(super) enum Via {
    /// By its own hand; an admin may take what is another's.
    Takeover { force: bool },
    /// Somebody assigns it.
    Assign,
    /// It has just been made for this agent.
    Open,
    /// The one who has it, or an admin, hands it on, with a note for the staff.
    Transfer { note: Option<Arc<str>> },
    /// This escalation is accepted.
    Accept(Arc<str>),
    /// It was the next that waits.
    Queue,
}

/// An escalation begins.
#[derive(Clone, Debug)]
pub(super) struct Escalate {
    pub reason: Reason,
    /// Id or e-mail.
    pub to: Option<Arc<str>>,
    pub notes: Option<Arc<str>>,
}

/// What is on its way to the disk.
#[derive(Debug)]
pub(super) enum Deed {
    Taken(Taken),
    Returned,
    Released,
    Escalated(Escalation),
    Rejected { escalation: Arc<str>, to: Option<Arc<str>> },
}

/// An agent is about to have a conversation.
#[derive(Debug)]
pub(super) struct Taken {
    pub agent: Arc<str>,
    pub reason: Arc<str>,
    pub via: Via,
    /// It counts as one more of the agent's until it is on disk.
    pub is_claimed: bool,
    /// The pending escalation that ends with it, and whom it was offered to.
    pub escalation: Option<(Arc<str>, Option<Arc<str>>)>,
    pub note: Option<Arc<Message>>,
}

/// What the store was asked.
#[derive(Debug)]
pub(super) enum Lookup {
    /// An escalation that somebody decides on.
    Decided { asker: Asker, verdict: Verdict },
    /// The one that is pending already, for the one who wants to begin one.
    Pending(Asker),
    /// The conversations that wait for an agent.
    Waiting,
    /// The conversations whose customers have waited for too long.
    Late,
    /// The unanswered conversations of an agent who has gone.
    Dropped(Arc<str>),
}

/// What becomes of an escalation.
#[derive(Clone, Debug)]
pub(super) enum Verdict {
    Accept,
    Reject(Option<Arc<str>>),
}

impl Via {
    /// What `conversation:assigned` gives as the reason if nobody has said one.
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Via::Takeover { .. } => "manual_assignment",
            Via::Assign | Via::Open => "assignment",
            Via::Transfer { .. } => "transfer",
            Via::Accept(_) => "escalation",
            Via::Queue => "queue",
        }
    }
}

/// When something is told to have happened.
pub(super) fn told(at: Option<WallMillis>) -> Option<String> {
    at.map(|at| at.to_string())
}
