//! The dialect `hyphen`: events as clients spelled them before. Here is the table; `heard` and `told` are what no table can say,
//! `shape` is how messages and conversations look there.

mod heard;
mod shape;
#[cfg(test)]
mod tests;
mod told;

use crate::app::kit::dialect::{Dialect, Word};

/// For the row of the table of applications.
pub(super) const DIALECTS: &[Dialect] = &[Dialect { name: "hyphen", strict: true, words: WORDS }];

const fn said(theirs: &'static str, ours: &'static str) -> Word {
    Word { heard: Some(heard::in_conversation), ..Word::heard(theirs, ours) }
}

const WORDS: &[Word] = &[
    said("join-conversation", "join:conversation"),
    said("conversation:join", "join:conversation"),
    said("leave-conversation", "leave:conversation"),
    said("conversation:leave", "leave:conversation"),
    said("agent:takeover", "agent:takeover"),
    said("agent:return-to-bot", "agent:return-to-bot"),
    said("agent:transfer", "agent:transfer"),
    said("escalation:start", "escalation:start"),
    Word {
        fields: &[("text", "content"), ("metadata.clientTs", "timestamp")],
        heard: Some(heard::message),
        ..Word::heard("new-message", "message:send")
    },
    Word { fields: &[("", "timestamp")], ..said("typing", "typing:start") },
    Word { fields: &[("", "timestamp")], ..said("typing-stop", "typing:stop") },
    Word { fields: &[("", "timestamp")], ..said("stop-typing", "typing:stop") },
    Word { heard: Some(heard::read), ..Word::heard("mark-read", "conversation:read") },
    Word { heard: Some(heard::read), ..Word::heard("message-read", "conversation:read") },
    Word { heard: Some(heard::read), ..Word::heard("messages:read", "conversation:read") },
    Word { heard: Some(heard::sync), ..Word::heard("sync-state", "sync:state") },
    Word { heard: Some(heard::status), ..Word::heard("user-status-change", "presence:set") },
    Word { told: Some(told::message), ..Word::told("message:new", "new-message") },
    Word { told: Some(told::created), ..Word::told("conversation:new", "webhook:conversation-created") },
    Word { told: Some(told::sent), ..Word::told("message:sent", "message-sent") },
    Word { told: Some(told::delivered), ..Word::told("message:delivered", "message-delivered") },
    Word { told: Some(told::read), ..Word::told("message:read", "message-read") },
    Word { told: Some(told::message_error), ..Word::told("message:error", "message-error") },
    Word { told: Some(told::updated), ..Word::told("conversation:updated", "conversation-event") },
    Word { told: Some(told::assigned), ..Word::told("conversation:assigned", "conversation-assigned") },
    Word { told: Some(told::joined), ..Word::told("joined:conversation", "conversation-joined") },
    Word::told("left:conversation", "conversation-left"),
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
    Word { told: Some(told::error), ..Word::told("error", "error") },
];
