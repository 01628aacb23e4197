//! The dialect `hyphen`: events as clients spelled them before. Here is the table; `heard` and `told` are what no table can say,
//! `shape` is how messages and conversations look there, `beside` what a home has to say beside an event, for ours do not tell it.

mod beside;
mod heard;
pub(super) mod shape;
#[cfg(test)]
mod tests;
mod told;

pub(super) use self::beside::{Beside, Person, emission};
pub(super) use self::heard::message as heard_message;
use crate::app::kit::dialect::{Dialect, Word};

/// For the row of the table of applications.
pub(super) const DIALECTS: &[Dialect] =
    &[Dialect { name: "hyphen", strict: true, refused: Some(told::refused), acked: Some(told::failed), words: WORDS }];

/// An event about a conversation, and how its reply looks.
const fn said(theirs: &'static str, ours: &'static str) -> Word {
    Word { heard: Some(heard::in_conversation), ..Word::heard(theirs, ours) }
}

const fn joins(theirs: &'static str) -> Word {
    Word { acked: Some(told::has_joined), ..said(theirs, "join:conversation") }
}

const fn types(theirs: &'static str, ours: &'static str) -> Word {
    Word { fields: &[("", "timestamp")], ..said(theirs, ours) }
}

const fn reads(theirs: &'static str) -> Word {
    Word { acked: Some(told::is_read), ..said(theirs, "conversation:read") }
}

const WORDS: &[Word] = &[
    joins("join-conversation"),
    joins("conversation:join"),
    said("leave-conversation", "leave:conversation"),
    said("conversation:leave", "leave:conversation"),
    said("agent:takeover", "agent:takeover"),
    said("agent:return-to-bot", "agent:return-to-bot"),
    said("agent:transfer", "agent:transfer"),
    said("escalation:start", "escalation:start"),
    Word {
        fields: &[("text", "content"), ("metadata.clientTs", "timestamp")],
        heard: Some(heard::new_message),
        acked: Some(told::is_sent),
        ..Word::heard("new-message", "message:send")
    },
    types("typing", "typing:start"),
    types("typing-stop", "typing:stop"),
    types("stop-typing", "typing:stop"),
    reads("mark-read"),
    reads("message-read"),
    reads("messages:read"),
    Word { heard: Some(heard::sync), acked: Some(told::is_synced), ..Word::heard("sync-state", "sync:state") },
    Word {
        heard: Some(heard::status),
        acked: Some(told::is_seen),
        ..Word::heard("user-status-change", "presence:set")
    },
    Word { told: Some(told::no_copilot), ..Word::heard("copilot_chat_message", "") },
    Word { told: Some(told::message), ..Word::told("message:new", "new-message") },
    Word { told: Some(told::created), ..Word::told("conversation:new", "webhook:conversation-created") },
    Word { told: Some(told::sent), ..Word::told("message:sent", "message-sent") },
    Word { told: Some(told::delivered), ..Word::told("message:delivered", "message-delivered") },
    Word { told: Some(told::read), ..Word::told("message:read", "message-read") },
    Word { told: Some(told::message_error), ..Word::told("message:error", "message-error") },
    Word { told: Some(told::updated), ..Word::told("conversation:updated", "conversation-event") },
    Word { told: Some(told::assigned), ..Word::told("conversation:assigned", "conversation-assigned") },
    Word { told: Some(told::unassigned), ..Word::told(UNASSIGNED, "conversation-unassigned") },
    Word { told: Some(told::joined), ..Word::told("joined:conversation", "conversation-joined") },
    Word::told("left:conversation", "conversation-left"),
    Word::told(ENTERED, "user-online"),
    Word::told(LEFT, "user-offline"),
    Word { told: Some(told::has_read), ..Word::told("conversation:read:acknowledged", "message-read-ack") },
    Word { told: Some(told::typing), ..Word::told("typing:start", "typing") },
    Word { told: Some(told::typing_stop), ..Word::told("typing:stop", "typing-stop") },
    Word::told("typing:acknowledged", ""),
    Word { told: Some(told::synced), ..Word::told("state:synced", "state-synced") },
    Word { told: Some(told::presence), ..Word::told("presence:update", "presence-update") },
    Word::told("user:connected", ""),
    Word::told("user:disconnected", ""),
    Word::told("media:uploaded", "file-uploaded"),
    Word::told("media:upload:progress", "file-progress"),
    Word { told: Some(told::shutdown), ..Word::told("system:notification", "server-shutdown") },
    Word { told: Some(told::error), ..Word::told("error", "error") },
];

/// What homes tell clients of the dialect alone: a conversation is nobody's any more …
pub(super) const UNASSIGNED: &str = "conversation:unassigned";
/// … a user is in a conversation's room …
pub(super) const ENTERED: &str = "room:entered";
/// … or no longer.
pub(super) const LEFT: &str = "room:left";
/// The code of a refusal: people have no name here but their e-mail.
pub(super) const EMAIL_REQUIRED: &str = "EMAIL_REQUIRED";
