//! Routes that send messages, or mark them as read: the same wishes as those of sockets.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::conversations::decode_id;
use super::envelope;
use crate::app::kit::ack::Fail;
use crate::app::route::Call;
use crate::apps::utalk::edit::not_found;
use crate::apps::utalk::message::Status;
use crate::apps::utalk::payload::{Fields, Why, conversation_fault};
use crate::apps::utalk::rules::{self, conversation_id};
use crate::apps::utalk::turn::Turn;
use crate::apps::utalk::who::Asker;
use crate::apps::utalk::wish::{Reading, What};

impl Turn<'_> {
    /// `POST /api/messages`: as `message:send`.
    pub(super) fn send_message(&mut self, asker: &Asker, mut body: Map<String, Value>) -> Result<(), Fail> {
        decode_id(&mut body);
        let (conversation, draft) = Fields::new(SEND, body).draft(self.settings)?;
        self.wish(What::Send(draft).of(&asker.answered(envelope::message), conversation));
        Ok(())
    }

    /// `POST /api/conversations/{id}/messages`: a text, or what is attached, under a messageId of its own or a new one.
    pub(super) fn reply_message(&mut self, asker: &Asker, id: Arc<str>, body: Map<String, Value>) -> Result<(), Fail> {
        let mut fields: Map<String, Value> =
            body.into_iter().filter(|(name, _)| REPLIED.contains(&name.as_str())).collect();
        if let Some(content) = fields.remove("content") {
            fields.entry("text").or_insert(content);
        }
        if fields.get("messageId").is_none_or(Value::is_null) {
            fields.insert("messageId".to_owned(), rules::uuid_v4(self.rng).into());
        }
        fields.insert("conversationId".to_owned(), json!(id));
        let (conversation, draft) = Fields::new(SEND, fields).draft(self.settings)?;
        self.wish(What::Reply(draft).of(&asker.answered(envelope::message_and_conversation), conversation));
        Ok(())
    }

    /// `PUT /api/messages/{id}/status`: as a receipt of a provider.
    pub(super) fn set_message_status(
        &mut self,
        asker: &Asker,
        call: &Call,
        body: Map<String, Value>,
    ) -> Result<(), Fail> {
        let fields = Fields::new(call.route.name, body);
        let status = fields.word("status")?.ok_or_else(|| fields.wrong("status", Why::Missing))?;
        if !matches!(status, Status::Sent | Status::Failed | Status::Delivered | Status::Read) {
            return Err(fields.wrong("status", Why::Invalid));
        }
        self.report_of(asker.back, call.param("id"), status);
        Ok(())
    }

    /// `PUT /api/conversations/{id}/messages/{mid}/read`, and `…/read-all` without a message.
    pub(super) fn read_messages(&mut self, asker: &Asker, id: Arc<str>, message: Option<&str>) {
        let reading = Reading { asked: message.into_iter().map(Arc::from).collect(), found: None };
        self.wish(What::Read(reading).of(asker, id));
    }
}

/// The conversation of a path. What is no id of one names none.
pub(super) fn conversation_of(call: &Call) -> Result<Arc<str>, Fail> {
    let id = conversation_id(call.param("id"));
    if conversation_fault(&id).is_some() { Err(not_found()) } else { Ok(id) }
}

/// The event whose limits and checks hold.
pub(super) const SEND: &str = "message:send";
const REPLIED: &[&str] = &["content", "text", "type", "messageId", "mediaId", "metadata"];
