//! Typing and rooms: what is told to those who look at one conversation, and kept nowhere.

use std::sync::Arc;

use serde_json::{Value, json};

use super::audience::Audience;
use super::dialect::Beside;
use super::payload::Fields;
use super::scope::Due;
use super::turn::{Turn, access_denied};
use super::who::{Asker, Back, Who};
use crate::app::effect::{Delivery, Effect};
use crate::app::event::Event;
use crate::app::kit::ack::Fail;
use crate::base::ids::SocketRef;

impl Turn<'_> {
    /// Somebody starts to type, or stops.
    pub(super) fn type_in(&mut self, asker: &Asker, id: &Arc<str>, on: bool) {
        let settings = self.settings;
        let conversation = self.scope.conversation(id);
        if !conversation.is_some_and(|conversation| conversation.row.is_writable(&asker.who, settings)) {
            return self.refuse(asker, &access_denied());
        }
        self.answer(asker, "typing:acknowledged", &json!({"conversationId": id}));
        let Back::Socket { socket, .. } = asker.back else { return };
        if !on {
            return self.stop_typing(id, &asker.who.user);
        }
        let key = (asker.who.user.clone(), id.clone());
        let was_typing = self.scope.typing.insert(key, socket).is_some();
        let due = Due::Silence(id.clone(), asker.who.user.clone());
        self.scope.agenda.put(self.now.mono + self.settings.typing_ttl_ms, due);
        if !was_typing {
            self.tell_typing("typing:start", id, &asker.who, socket);
        }
    }

    /// Somebody has stopped, whatever the reason; nothing where nobody was typing.
    pub(super) fn stop_typing(&mut self, id: &Arc<str>, user: &Arc<str>) {
        let key = (user.clone(), id.clone());
        let Some(socket) = self.scope.typing.remove(&key) else { return };
        let (user, id) = (&key.0, &key.1);
        self.scope.agenda.remove(&Due::Silence(id.clone(), user.clone()));
        let seat = self.scope.seats.get(&socket).map(|seat| seat.who.clone());
        let known = seat.or_else(|| self.scope.who(user).map(Arc::new));
        if let Some(who) = known {
            self.tell_typing("typing:stop", id, &who, socket);
        }
    }

    fn tell_typing(&mut self, event: &str, id: &Arc<str>, who: &Who, by: SocketRef) {
        let Some(row) = self.scope.conversation(id).map(|conversation| conversation.row.clone()) else { return };
        let payload = json!({
            "conversationId": id,
            "userId": who.user,
            "email": who.email,
            "role": who.role.word(),
            "timestamp": self.now.wall.to_string(),
        });
        let key = crate::apps::utalk::rules::key(&["typing", id, &who.user]);
        self.tell(&Audience::Party(&row, Some(&who.user)), &[by], Delivery::Latest { key }, event, &payload);
    }

    /// Somebody enters a conversation's room.
    pub(super) fn join(&mut self, asker: &Asker, id: &Arc<str>) {
        let settings = self.settings;
        let Back::Socket { socket, .. } = asker.back else { return };
        let conversation = self.scope.conversation(id);
        if !conversation.is_some_and(|conversation| conversation.row.is_readable(&asker.who, settings)) {
            return self.refuse(asker, &access_denied());
        }
        let Some(seat) = self.scope.seats.get_mut(&socket) else { return };
        let joined = self.scope.joined.entry(id.clone()).or_default();
        if !joined.contains(&socket) {
            if joined.len() >= settings.room_sockets_max {
                self.shared.counts.rooms_full += 1;
                tracing::warn!(target: "siod::utalk", sockets = joined.len(), "Room limit exceeded");
                return self.refuse(asker, &Fail::new("ROOM_FULL", "La sala está llena"));
            }
            joined.insert(socket);
            seat.joined.push(id.clone());
            let room = self.scope.room_of_conversation(id);
            self.fx.push(Effect::Join { socket, room });
            self.tell_room(id, socket, &asker.who, true);
        }
        let beside = self.is_speaker(asker).then(|| Beside { online: [self.online_in(id)].into(), ..self.side(None) });
        self.answer_beside(asker, "joined:conversation", &json!({"conversationId": id}), beside.as_ref());
    }

    /// `leave:conversation`; a room that one is not in is left, too.
    pub(super) fn on_leave(&mut self, event: &Event) -> Result<Option<Value>, Fail> {
        let id = Fields::of("leave:conversation", event)?.conversation()?;
        let Some(asker) = self.asker(event) else { return Ok(None) };
        self.out_of_room(event.socket, &id, &asker.who);
        self.answer(&asker, "left:conversation", &json!({"conversationId": id}));
        Ok(None)
    }
}
