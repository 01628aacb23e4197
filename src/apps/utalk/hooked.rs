//! What webhooks bring, at its home: messages are recorded, receipts looked up, and the call is answered once all of it is on disk. A call that
//! was not answered with 200 comes again, and what it brings is known by its ids.

use std::sync::Arc;

use serde_json::{Value, json};

use super::hooks;
use super::media::base_of;
use super::message::Kind;
use super::numbers;
use super::payload::Draft;
use super::receipts::nobody;
use super::turn::{DATABASE_ERROR, Turn};
use super::webhook::{Inbound, Notice};
use super::who::Back;
use super::wish::{self, Hooked, What, Wish};
use crate::app::effect::Effect;
use crate::app::kit::ack::Fail;
use crate::app::reply::Reply;
use crate::app::route::Call;
use crate::base::ids::ReqId;

impl Turn<'_> {
    /// A call of one of the routes of webhooks.
    pub(super) fn on_webhook(&mut self, req: ReqId, call: &Call) {
        if let Some(challenge) = hooks::challenge(call) {
            return self.fx.push(Effect::Reply { req, reply: Reply::text(200, challenge) });
        }
        let base = base_of(call, self.settings);
        let notices = hooks::told(call, self.settings, &self.scope.key);
        // The call itself is a part: none of the others is the last one before all have begun.
        self.scope.hooked.insert(req, Hooked { left: notices.len() + 1, ..Hooked::default() });
        for notice in notices {
            match notice {
                Notice::Receipt(receipt) => self.report(Back::Part { req }, receipt),
                Notice::Message(inbound) => self.on_inbound(req, &base, inbound),
            }
        }
        self.part_is_done(req, Ok(&Value::Null));
    }

    fn on_inbound(&mut self, req: ReqId, base: &Arc<str>, inbound: Inbound) {
        let metadata = inbound.metadata();
        let Inbound { sid, customer, ours, name, kind, text, media, .. } = inbound;
        let Some(conversation) = numbers::conversation(&customer, &ours) else { return };
        let sid: Arc<str> = sid.into();
        let text = Some(text).filter(|text| kind == Kind::Text || !text.is_empty()).map(Arc::from);
        let conversation: Arc<str> = conversation.into();
        let draft =
            Draft { message_id: sid.clone(), kind, text, media: None, metadata: json!(metadata).to_string().into() };
        let (sid, name) = (Some(sid), name.map(Arc::from));
        let inbound =
            wish::Inbound { draft, sender: customer.into(), sid, name, files: Vec::new(), base: base.clone() };
        let asker = nobody(Back::Part { req });
        match media.is_empty() && !self.scope.held.contains_key(&conversation) {
            true => self.wish(Wish { asker, conversation, what: What::Receive(inbound) }),
            false => self.hold(asker, conversation, inbound, (metadata, media)),
        }
    }

    /// A part of a webhook has come to its end. With the last one the call is answered.
    pub(super) fn part_is_done(&mut self, req: ReqId, result: Result<&Value, &Fail>) {
        let Some(hooked) = self.scope.hooked.get_mut(&req) else { return };
        hooked.left -= 1;
        match result {
            Ok(value) => {
                let id = value.get("messageId").filter(|id| id.is_string());
                hooked.message_id = hooked.message_id.take().or_else(|| id.cloned());
                if !value.is_null() {
                    let repeat = value["duplicate"] == true;
                    self.shared.counts.webhook(if repeat { "duplicate" } else { "accepted" });
                }
            }
            Err(fail) => {
                hooked.fail = hooked.fail.take().or_else(|| Some(fail.clone()));
                self.shared.counts.webhook("failed");
            }
        }
        if hooked.left > 0 {
            return;
        }
        let Some(Hooked { message_id, fail, .. }) = self.scope.hooked.remove(&req) else { return };
        let timestamp = self.now.wall.to_string();
        let reply = match fail {
            None => {
                let mut body = json!({"success": true, "timestamp": timestamp});
                if let Some(id) = message_id {
                    body["messageId"] = id;
                }
                Reply::json(200, &body)
            }
            Some(fail) => {
                let status = if [DATABASE_ERROR, "SERVICE_UNAVAILABLE"].contains(&fail.code) { 503 } else { 409 };
                let error = json!({"type": "API_ERROR", "code": fail.code, "message": fail.message});
                Reply::json(
                    status,
                    &json!({"success": false, "error": error, "message": fail.message, "timestamp": timestamp}),
                )
            }
        };
        self.fx.push(Effect::Reply { req, reply });
    }
}
