//! How messages fare beyond the provider: receipts raise their rank, never lower it. What a receipt is about may be unknown yet, or on its way
//! still: then the receipt waits (`early`).

use std::sync::Arc;

use serde_json::{Value, json};

use super::audience::Audience;
use super::calls::{failed, fate};
use super::message::{Direction, Message, Status};
use super::provider::Refusal;
use super::tables::calls::{self, Fate};
use super::tables::messages;
use super::turn::Turn;
use super::webhook::Receipt;
use super::who::{Asker, Back, Role, Who};
use super::wish::{Came, Reported, Told, Wait, What, Wish};
use crate::app::effect::Delivery;
use crate::app::job::{Job, Outcome};
use crate::app::kit::ack::Fail;
use crate::app::settings::Word;
use crate::base::ids::SocketRef;
use crate::base::time::WallMillis;

impl Turn<'_> {
    /// A receipt has come: its message is looked for.
    pub(super) fn report(&mut self, back: Back, receipt: Receipt) {
        let id = receipt.id.as_deref().unwrap_or_default();
        let question = calls::named(&self.scope.key, id, &receipt.sid);
        self.ask(Job::Read(vec![question]), Wait::Reported(Box::new(Reported { receipt, back, waits: true })));
    }

    /// Somebody of the scope says how a message fares: by our id, or by its messageId.
    pub(super) fn report_of(&mut self, back: Back, id: &str, status: Status) {
        let receipt = Receipt { id: Some(id.to_owned()), sid: String::new(), status, code: None };
        let questions =
            vec![calls::named(&self.scope.key, id, id), messages::by_message_id(&self.scope.key, &id.into())];
        self.ask(Job::Read(questions), Wait::Reported(Box::new(Reported { receipt, back, waits: false })));
    }

    /// The message of a receipt was looked for.
    pub(super) fn on_reported(&mut self, reported: Reported, outcome: &Outcome) {
        let Reported { mut receipt, back, waits } = reported;
        let asker = nobody(back);
        let found = match outcome.rows::<Message>(0).and_then(|rows| Ok((rows, outcome.rows::<Message>(1)?))) {
            Ok((named, others)) => named.into_iter().chain(others).next(),
            Err(error) => {
                let fail = self.store_failed(&error);
                return self.refuse(&asker, &fail);
            }
        };
        let is_early = match &found {
            None => true,
            Some(message) => self.scope.outgoing.find(&message.conversation, message.seq).is_some(),
        };
        let payload = json!({"messageId": found.as_ref().map(|message| &message.message_id)});
        match found {
            Some(message)
                if !is_early && message.direction == Direction::Outbound && message.status < receipt.status =>
            {
                let number = self.scope.next_change(self.now);
                let fate = self.fate_of(&receipt);
                let raise = calls::raise(&self.scope.key, &message.id, &fate, number);
                return self.write(vec![raise], Wait::Raised { back, number, payload });
            }
            Some(message) if is_early => {
                receipt.id = Some(message.id.to_string());
                self.scope.early.keep(self.now.mono, receipt);
            }
            None if !waits => {
                return self.refuse(&asker, &Fail::new("MESSAGE_NOT_FOUND", "El mensaje no existe"));
            }
            None => self.scope.early.keep(self.now.mono, receipt),
            Some(_) => {}
        }
        self.answer(&asker, "", &payload);
    }

    fn fate_of(&self, receipt: &Receipt) -> Fate {
        let at = self.now.wall;
        match receipt.status {
            Status::Failed => failed(receipt.code.map_or(Refusal::Unknown, Refusal::of), at),
            status => fate(status, at),
        }
    }

    /// A message's rank is higher on disk, unless another receipt was quicker.
    pub(super) fn on_raised(&mut self, back: Back, number: u64, payload: &Value, outcome: &Outcome) {
        self.scope.in_flight.remove(&number);
        let asker = nobody(back);
        let row = match outcome.rows::<Message>(0) {
            Ok(rows) => rows.into_iter().next(),
            Err(error) => {
                let fail = self.store_failed(&error);
                return self.refuse(&asker, &fail);
            }
        };
        self.answer(&asker, "", payload);
        let Some(message) = row.map(Arc::new) else { return };
        self.scope.refresh(&message);
        let came = match message.status {
            Status::Delivered => Came::Delivered,
            Status::Read => Came::Read,
            _ => message.failure().map_or(Came::Sent, Came::Failed),
        };
        self.tell_later(message, came, Vec::new());
    }

    /// Tells what has become of a message, once its conversation is in memory.
    pub(super) fn tell_later(&mut self, message: Arc<Message>, came: Came, by: Vec<SocketRef>) {
        let conversation = message.conversation.clone();
        let what = What::Tell(Box::new(Told { message, came, by }));
        self.wish(Wish { asker: nobody(Back::Nobody), conversation, what });
    }

    /// Tells it to those who are in the conversation, its agent and its sender.
    pub(super) fn tell_fate(&mut self, told: &Told) {
        let Told { message, came, by } = told;
        let Some(row) = self.scope.conversation(&message.conversation).map(|it| it.row.clone()) else { return };
        let at = |name: &str, at: Option<WallMillis>| {
            let mut payload = json!({
                "id": message.id, "messageId": message.message_id, "conversationId": message.conversation,
                "status": message.status.word(),
            });
            payload[name] = at.map(|at| at.to_string()).into();
            payload
        };
        let (event, payload) = match came {
            Came::Sent => ("message:sent", json!(message.as_sent(false))),
            Came::Failed(fail) => {
                let id = (&message.message_id, &message.conversation);
                ("message:error", json!({"messageId": id.0, "conversationId": id.1, "error": fail}))
            }
            Came::Delivered => ("message:delivered", at("deliveredAt", message.delivered_at)),
            Came::Read => {
                let mut payload = at("readAt", message.read_at);
                payload["readBy"] = json!(row.customer);
                payload["ids"] = json!([message.id]);
                ("message:read", payload)
            }
        };
        let is_sent = matches!(came, Came::Sent);
        let beside = if is_sent { self.beside_whole(&row, message) } else { self.beside_people(&[]) };
        let audience = Audience::Party(&row, message.author.as_ref());
        self.tell_beside(&audience, by, Delivery::Must, (event, &payload), beside.as_ref());
    }
}

/// The daemon itself, or a customer: whoever they are, they are told nothing but that it is taken.
pub(super) fn nobody(back: Back) -> Asker {
    Asker { who: Arc::new(Who { user: "".into(), email: None, role: Role::Service }), back }
}
