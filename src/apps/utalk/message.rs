//! A message: its row, and how events tell of it.

use std::sync::Arc;

use serde::Serialize;
use serde_json::value::RawValue;

use crate::app::settings::{Word, words};
use crate::base::time::WallMillis;

words! {
    /// What a message is.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub(crate) enum Kind {
        Text = "text",
        Image = "image",
        Audio = "audio",
        File = "file",
        Location = "location",
        Sticker = "sticker",
        /// For the staff only.
        Note = "note",
        /// One that the provider has approved.
        Template = "template",
    }
}

words! {
    /// Which way it goes.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub(crate) enum Direction { Inbound = "inbound", Outbound = "outbound", Internal = "internal" }
}

words! {
    /// How far it has come. Of what goes out: sent < failed < delivered < read, and never back.
    #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
    pub(crate) enum Status {
        Received = "received",
        Pending = "pending",
        Sent = "sent",
        Failed = "failed",
        Delivered = "delivered",
        Read = "read",
    }
}

impl Kind {
    /// Whether it goes out when whatsapp's window is closed, or never goes out.
    pub(super) fn passes_window(self) -> bool {
        matches!(self, Kind::Template | Kind::Note)
    }

    /// Whether it is about a file.
    pub(super) fn has_media(self) -> bool {
        matches!(self, Kind::Image | Kind::Audio | Kind::File | Kind::Sticker)
    }
}

/// A row of `ut_messages`.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Message {
    /// Ours: `msg_` and a UUID of version 7.
    pub id: Arc<str>,
    /// The sender's: unique in its scope.
    pub message_id: Arc<str>,
    pub conversation: Arc<str>,
    /// 1, 2, 3… in its conversation.
    pub seq: u64,
    /// How many inbound messages its conversation had with it.
    pub inbound: u64,
    pub kind: Kind,
    pub text: Option<Arc<str>>,
    pub media: Option<Arc<str>>,
    /// JSON object.
    pub metadata: Arc<str>,
    /// As clients see it: a number, or a user's id.
    pub sender: Arc<str>,
    /// The user who has sent it; nobody: the customer.
    pub author: Option<Arc<str>>,
    pub direction: Direction,
    pub status: Status,
    /// Why it failed: the code of `message:error`, and the reason in its details.
    pub error: Option<Arc<str>>,
    pub reason: Option<Arc<str>>,
    /// Calls of the provider that have begun.
    pub attempt: u32,
    /// The provider's id.
    pub sid: Option<Arc<str>>,
    pub sent_at: Option<WallMillis>,
    pub delivered_at: Option<WallMillis>,
    pub read_at: Option<WallMillis>,
    pub created_at: WallMillis,
    /// The scope's number of its last change.
    pub change: u64,
    /// Of its body, where that has gone.
    pub digest: Option<Arc<str>>,
}

impl Message {
    /// About how many bytes it holds in memory.
    pub(super) fn weight(&self) -> usize {
        size_of::<Message>() + self.text.as_deref().map_or(0, str::len) + self.metadata.len() + IDS_BYTES
    }

    /// `message:new`.
    pub(super) fn as_new(&self) -> New<'_> {
        New {
            id: &self.id,
            message_id: &self.message_id,
            conversation_id: &self.conversation,
            kind: self.kind.word(),
            text: self.text.as_deref(),
            sender: &self.sender,
            direction: self.direction.word(),
            status: self.status.word(),
            media_id: self.media.as_deref(),
            metadata: raw(&self.metadata),
            seq: self.seq,
            agent_id: self.author.as_deref(),
            created_at: self.created_at.to_string(),
        }
    }

    /// A message as HTTP has it.
    pub(super) fn as_full(&self) -> Full<'_> {
        Full {
            new: self.as_new(),
            twilio_sid: self.sid.as_deref(),
            delivered_at: self.delivered_at.map(|at| at.to_string()),
            read_at: self.read_at.map(|at| at.to_string()),
        }
    }

    /// `message:sent`.
    pub(super) fn as_sent(&self, duplicate: bool) -> Sent<'_> {
        Sent {
            id: &self.id,
            message_id: &self.message_id,
            conversation_id: &self.conversation,
            kind: self.kind.word(),
            status: self.status.word(),
            twilio_sid: self.sid.as_deref(),
            seq: self.seq,
            sent_at: self.sent_at.map(|at| at.to_string()),
            created_at: self.created_at.to_string(),
            duplicate,
        }
    }

    /// What a conversation keeps of its last message.
    pub(super) fn as_last(&self) -> Arc<str> {
        let last = Last {
            id: &self.id,
            text: self.text.as_deref(),
            sender: &self.sender,
            kind: self.kind.word(),
            direction: self.direction.word(),
            created_at: self.created_at.to_string(),
        };
        serde_json::to_string(&last).expect("our own types serialise to JSON").into()
    }
}

/// JSON text as it is, inside other JSON.
pub(super) fn raw(json: &str) -> Option<&RawValue> {
    serde_json::from_str(json).ok()
}

/// `message:new`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct New<'a> {
    id: &'a str,
    message_id: &'a str,
    conversation_id: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
    text: Option<&'a str>,
    sender: &'a str,
    direction: &'static str,
    status: &'static str,
    media_id: Option<&'a str>,
    metadata: Option<&'a RawValue>,
    seq: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    agent_id: Option<&'a str>,
    created_at: String,
}

/// What HTTP has.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Full<'a> {
    #[serde(flatten)]
    new: New<'a>,
    twilio_sid: Option<&'a str>,
    delivered_at: Option<String>,
    read_at: Option<String>,
}

/// `message:sent`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Sent<'a> {
    id: &'a str,
    message_id: &'a str,
    conversation_id: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
    status: &'static str,
    twilio_sid: Option<&'a str>,
    seq: u64,
    sent_at: Option<String>,
    created_at: String,
    duplicate: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Last<'a> {
    id: &'a str,
    text: Option<&'a str>,
    sender: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
    direction: &'static str,
    created_at: String,
}

/// About what the ids of one message take.
const IDS_BYTES: usize = 256;
