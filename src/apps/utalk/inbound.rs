//! A customer's message: recorded once by the provider's id, and told.

use std::sync::Arc;

use serde_json::json;

use super::audience::Audience;
use super::conversation::Row;
use super::memory::Conversation;
use super::message::Message;
use super::perform::busy;
use super::rules;
use super::turn::Turn;
use super::who::Asker;
use super::wish::{Inbound, Sending};
use crate::app::effect::Delivery;

impl Turn<'_> {
    /// Records a message that a webhook has brought. The asker hears of it as of a message that was sent: a repeat gets the first one's answer.
    pub(super) fn receive(&mut self, asker: Asker, id: &Arc<str>, inbound: Inbound) {
        let Inbound { draft, sender, sid, name, files, base } = inbound;
        if let Some(sending) = self.scope.sends.get_mut(&draft.message_id) {
            let has_room = sending.askers.len() < REPEATS_MAX;
            if has_room {
                sending.askers.push(asker);
                return self.files_end(None, &files, &base);
            }
            self.files_end(None, &files, &base);
            return self.refuse_message(&asker, &draft.message_id, id, &busy());
        }
        if self.scope.conversation(id).is_none() {
            let fresh = Row { customer_name: name.clone(), ..Row::new(id, self.settings, self.now.wall) };
            self.scope.conversations.insert(id.clone(), Conversation::new(fresh, false));
        }
        if self.has_speakers() {
            files.iter().for_each(|media| self.remember_file(media));
        }
        let change = self.scope.next_change(self.now);
        let id_of_ours = rules::message_id(change, self.rng);
        let message = Message { sid, ..draft.into_message(id_of_ours, id, sender, change, self.now.wall) };
        let escalation = self.escalation_by_word(&message);
        if let Some(conversation) = self.scope.conversation(id).filter(|_| escalation.is_some()) {
            // A change that is asked for meanwhile would be judged by what the conversation was.
            conversation.changing += 1;
        }
        let (message, askers) = (Arc::new(message), vec![asker]);
        self.hand_over(Sending { name, files, base, escalation, ..Sending::new(message, askers) });
    }

    /// An assigned agent that has no socket in the room is told that there is something new.
    pub(super) fn notify_absent(&mut self, row: &Row) {
        let Some(agent) = &row.assigned else { return };
        let joined = self.scope.joined.get(&row.id).into_iter().flatten();
        let mut users = joined.filter_map(|socket| self.scope.seats.get(socket)).map(|seat| &seat.who.user);
        if users.any(|user| user == agent) {
            return;
        }
        let mut id = "notification_".to_owned();
        rules::uuid_v7(row.change, self.rng, &mut id);
        let payload = json!({
            "id": id,
            "type": "info",
            "title": "Nuevo mensaje",
            "message": "Tienes un nuevo mensaje en la conversación",
            "data": {"conversationId": row.id},
            "timestamp": self.now.wall.to_string(),
        });
        self.tell(&Audience::User(agent), &[], Delivery::Must, "notification", &payload);
    }
}

/// Repeats that wait for the first one.
const REPEATS_MAX: usize = 64;
