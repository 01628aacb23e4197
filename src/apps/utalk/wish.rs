//! What somebody asks of a conversation, as a value: it waits where the conversation has to be loaded, or is just being changed, and is
//! performed after that. And what the application waits for.

use std::collections::VecDeque;
use std::sync::Arc;

use serde_json::Value;

use super::conversation::{Priority, Status};
use super::escalation::Escalation;
use super::file::{Attaching, Bringing, Looking, Media, Shown, Storing, Which};
use super::http::wants::{Accounting, Counting, Listing, Made, Opening, Show};
use super::message::Message;
use super::payload::{Draft, SyncAsked};
use super::task::{Deed, Lookup, Task};
use super::user::Presence;
use super::webhook::Receipt;
use super::who::{Asker, Back};
use crate::app::kit::ack::Fail;
use crate::base::ids::{ReqId, SocketRef};
use crate::base::time::{Millis, WallMillis};

/// Somebody asks something of a conversation.
#[derive(Clone, Debug)]
pub(super) struct Wish {
    pub asker: Asker,
    pub conversation: Arc<str>,
    pub what: What,
}

/// What is asked.
#[derive(Clone, Debug)]
pub(super) enum What {
    Join,
    Type(bool),
    Send(Draft),
    Receive(Inbound),
    Read(Reading),
    Edit(Edit),
    /// As `Send`, into a conversation that is there.
    Reply(Draft),
    /// A file may come.
    Bring(Bringing),
    /// Files of it become a message.
    Attach(Attaching),
    /// A file of it is shown.
    ShowMedia(Box<(Media, Shown, Arc<str>)>),
    /// It is shown.
    Show(Show),
    /// It is made, unless it is there.
    Open(Opening),
    /// Others are told what has become of a message.
    Tell(Box<Told>),
    /// The work of agents.
    Work(Task),
}

/// Fields of a conversation that people set; what is left out stays.
#[derive(Clone, PartialEq, Debug, Default)]
pub(super) struct Edit {
    pub status: Option<Status>,
    pub customer_name: Option<Arc<str>>,
    pub priority: Option<Priority>,
    /// JSON list of texts.
    pub tags: Option<Arc<str>>,
}

/// A message of a customer, as it came.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Inbound {
    /// Its `message_id` is the provider's id.
    pub draft: Draft,
    pub sender: Arc<str>,
    pub sid: Option<Arc<str>>,
    /// What the customer calls itself.
    pub name: Option<Arc<str>>,
    /// Its files that are on their shelf, and what URLs of them begin with.
    pub files: Vec<Media>,
    pub base: Arc<str>,
}

/// Up to which message somebody has read.
#[derive(Clone, Debug)]
pub(super) struct Reading {
    /// As they were asked for, each by our id or its messageId; the highest of those that are known counts. None: the last one.
    pub asked: Vec<Arc<str>>,
    /// The message, once it was looked for.
    pub found: Option<Place>,
}

/// Where a message is in its conversation.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub id: Arc<str>,
    pub message_id: Arc<str>,
    /// The one of both by which it was asked for.
    pub asked: Arc<str>,
    pub seq: u64,
    pub inbound: u64,
    /// What was asked for and is known, with its seq.
    pub known: Vec<(Arc<str>, u64)>,
}

impl Place {
    /// The place of the highest of these messages, each with the id by which it was asked for; `None`: there is none.
    pub(super) fn of<'m>(found: impl Iterator<Item = (&'m Arc<str>, &'m Message)>) -> Option<Place> {
        let mut highest: Option<(&Arc<str>, &Message)> = None;
        let mut known = Vec::new();
        for (asked, message) in found {
            known.push((asked.clone(), message.seq));
            highest = highest.filter(|(_, highest)| highest.seq >= message.seq).or(Some((asked, message)));
        }
        let (asked, Message { id, message_id, seq, inbound, .. }) = highest?;
        let (id, message_id, asked) = (id.clone(), message_id.clone(), asked.clone());
        Some(Place { id, message_id, asked, seq: *seq, inbound: *inbound, known })
    }
}

/// A message on its way: to the disk, and then to the provider.
#[derive(Debug)]
pub(super) struct Sending {
    pub message: Arc<Message>,
    /// Those who wait for what comes of it; the first is the one who has sent it.
    pub askers: Vec<Asker>,
    /// A statement about its file is before those about it.
    pub has_media: bool,
    /// It makes its conversation.
    pub creates: bool,
    /// What a customer calls itself.
    pub name: Option<Arc<str>>,
    /// Files of a customer, whose rows are written with the message; what URLs of them begin with.
    pub files: Vec<Media>,
    pub base: Arc<str>,
    /// It begins with the message, if a bot has the conversation then.
    pub escalation: Option<Box<Escalation>>,
}

impl Sending {
    /// It is about to be written.
    pub(super) fn new(message: Arc<Message>, askers: Vec<Asker>) -> Sending {
        Sending {
            message,
            askers,
            has_media: false,
            creates: false,
            name: None,
            files: Vec::new(),
            base: "".into(),
            escalation: None,
        }
    }
}

/// A change of a conversation's fields on its way to the disk. The first statement gives the row back.
#[derive(Debug)]
pub(super) struct Change {
    pub asker: Asker,
    pub conversation: Arc<str>,
    /// The scope's number of it.
    pub number: u64,
    pub what: Changed,
}

/// What is changed.
#[derive(Debug)]
pub(super) enum Changed {
    /// Messages of the horizon are marked where it moves that of everybody.
    Read {
        place: Place,
        at: WallMillis,
        marks: bool,
    },
    Edited,
    Work(Box<Deed>),
}

/// A receipt, and who has brought it.
#[derive(Debug)]
pub(super) struct Reported {
    pub receipt: Receipt,
    pub back: Back,
    /// A message that is not there yet is waited for.
    pub waits: bool,
}

/// What has become of a message, for those who have not asked.
#[derive(Clone, Debug)]
pub(super) struct Told {
    pub message: Arc<Message>,
    pub came: Came,
    /// Sockets that know it by their answers.
    pub by: Vec<SocketRef>,
}

/// What it is that others are told.
#[derive(Clone, Debug)]
pub(super) enum Came {
    Sent,
    Failed(Fail),
    Delivered,
    Read,
}

/// A webhook whose parts are on their way.
#[derive(Debug, Default)]
pub(super) struct Hooked {
    pub left: usize,
    /// Of the first message.
    pub message_id: Option<Value>,
    pub fail: Option<Fail>,
}

/// What a job will have been about when it comes back.
#[derive(Debug)]
pub(super) enum Wait {
    /// A conversation is loaded.
    Conversation(Arc<str>),
    /// A message was written, by its messageId.
    Written(Arc<str>),
    /// The message that has this messageId already.
    Stored(Arc<str>),
    /// The message that a wish is about.
    Message(Box<Wish>),
    /// A file's row is written.
    Media(ReqId, Box<Storing>),
    /// Whether a message of a customer was recorded before.
    Repeat(Which),
    /// A file of a customer, or, by its id, where it is.
    File(Which, bool),
    /// It is put on its shelf.
    FileKept(Which),
    /// Files that are to be one message are looked for.
    Attached(Box<(Asker, Arc<str>, Attaching)>),
    /// A file is looked for.
    Looking(Box<Looking>),
    Changed(Box<Change>),
    Sync(Box<Syncing>),
    Account(Box<Accounting>),
    Listing(Box<Listing>),
    Made(Box<Made>),
    Counting(Counting),
    /// For the work of agents.
    Work(Box<Lookup>),
    /// A user's row, by id.
    User(Arc<str>),
    Chosen {
        asker: Asker,
        chosen: Presence,
    },
    /// What is stored of the scope, once more.
    Scope,
    /// A message for which there was no room on the way to the provider, by its messageId.
    CallDropped(Arc<str>),
    /// That a call of a conversation begins.
    CallMarked(Arc<str>),
    /// The provider; since when.
    Called(Arc<str>, Millis),
    /// That a call is due once more; in how many milliseconds.
    CallDue(Arc<str>, u64),
    /// What has come of a call; the change's number.
    CallEnded(Arc<str>, u64),
    /// The message that a call was about.
    CallLooked(Arc<str>),
    /// The message of a receipt.
    Reported(Box<Reported>),
    /// A receipt; the change's number, and the answer to whoever has brought it.
    Raised {
        back: Back,
        number: u64,
        payload: Value,
    },
}

/// A sync that waits for the store.
#[derive(Debug)]
pub(super) struct Syncing {
    pub asker: Asker,
    pub asked: SyncAsked,
    pub page: Page,
    /// The time that a client may name as its last sync, when this has been answered.
    pub server_time: WallMillis,
}

/// The part of what has changed that a sync answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Page {
    /// What is open, below this change; `upto`: the last change when it began, if it has begun.
    Snapshot { below: u64, upto: Option<u64>, reset: bool },
    /// What has changed beyond these, conversations and messages; `upto` as above.
    Changes { conversations: u64, messages: u64, upto: Option<u64> },
}

/// Wishes that wait for one conversation.
pub(super) type Waiting = VecDeque<Wish>;
