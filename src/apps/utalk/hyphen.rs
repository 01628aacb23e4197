//! What homes do for clients of the dialect `hyphen` beyond its table: what they say beside an event, and what only such clients are told.
//! Where a scope has none of them, nothing of this is made.
//!
//! Each of their sockets is in the rooms of all others. Beside those of a scope and of a user there is one of such sockets alone; those in a
//! conversation's room are told one by one, for they are few.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Value, json};

use super::audience::Audience;
use super::conversation::Row;
use super::dialect::{Beside, ENTERED, LEFT, Person, UNASSIGNED};
use super::file::Media;
use super::message::{Direction, Message};
use super::payload::SyncAsked;
use super::scope::{Seat, room_of_speakers};
use super::turn::Turn;
use super::who::{Asker, Back, Who, scope_parts};
use crate::app::effect::{Effect, Room};
use crate::base::ids::SocketRef;

impl Turn<'_> {
    /// Whether somebody is there who speaks it.
    pub(super) fn has_speakers(&self) -> bool {
        self.scope.speakers > 0
    }

    /// Whether the one who asks is a socket that speaks it.
    pub(super) fn is_speaker(&self, asker: &Asker) -> bool {
        self.has_speakers() && asker.socket().is_some_and(|socket| self.scope.speaks(socket))
    }

    /// What every event of a conversation says beside; `None`: nobody would hear it.
    pub(super) fn beside_row(&self, row: &Row) -> Option<Beside> {
        self.has_speakers().then(|| self.side_of_row(row))
    }

    /// The same, with the fields that a change has left otherwise; `before` is unknown where one of ours has sent a message.
    pub(super) fn beside_update(&self, before: Option<&Row>, row: &Row) -> Option<Beside> {
        let changed = |before: &Row| changed(before, row).map(str::to_owned).collect();
        let mut beside = self.beside_row(row)?;
        beside.changed = before.map_or_else(|| SENT.iter().map(|name| (*name).to_owned()).collect(), changed);
        Some(beside)
    }

    /// What an event about a message says beside.
    pub(super) fn beside_message(&self, row: &Row, message: &Message) -> Option<Beside> {
        self.has_speakers().then(|| {
            // What customers send may have more files than its own.
            let metadata: Value = match message.media.is_some() && message.author.is_none() {
                true => serde_json::from_str(&message.metadata).unwrap_or_default(),
                false => Value::Null,
            };
            self.side_of_message(row, message.author.as_deref(), (message.media.as_deref(), &metadata))
        })
    }

    /// The same of an event that does not tell it whole.
    pub(super) fn beside_whole(&self, row: &Row, message: &Message) -> Option<Beside> {
        Some(Beside { message: json!(message.as_new()), ..self.beside_message(row, message)? })
    }

    /// The same, where its conversation may be in memory or not.
    pub(super) fn beside_stored(&self, message: &Message) -> Option<Beside> {
        let known = self.scope.conversations.get(&message.conversation).map(|conversation| &conversation.row);
        match known {
            Some(row) => self.beside_whole(row, message),
            None => self.beside_whole(&Row::new(&message.conversation, self.settings, self.now.wall), message),
        }
    }

    /// The same of one that is new; it may have made its conversation.
    pub(super) fn beside_new(&self, row: &Row, message: &Message, creates: bool) -> Option<Beside> {
        let is_new_conversation = creates && message.direction == Direction::Inbound;
        Some(Beside { is_new_conversation, ..self.beside_message(row, message)? })
    }

    /// What an event that names users says beside.
    pub(super) fn beside_people(&self, users: &[&str]) -> Option<Beside> {
        self.has_speakers().then(|| self.side(users.iter().copied()))
    }

    /// What an event about a conversation says beside.
    pub(super) fn side_of_row(&self, row: &Row) -> Beside {
        let last: Option<Value> = row.last_message.as_deref().and_then(|last| serde_json::from_str(last).ok());
        let sender = last.as_ref().and_then(|last| last["sender"].as_str());
        self.side(row.assigned.as_deref().into_iter().chain(sender))
    }

    /// What an event about one of its messages says beside: by whom it is, and which file it has.
    pub(super) fn side_of_message(
        &self,
        row: &Row,
        author: Option<&str>,
        (media, metadata): (Option<&str>, &Value),
    ) -> Beside {
        let (customer, ours) = (row.customer.to_string(), row.ours.to_string());
        let others = metadata["media"].as_array().map(Vec::as_slice).unwrap_or_default();
        let others = others.iter().filter_map(|file| file["mediaId"].as_str()).filter(|id| Some(*id) != media);
        let files = media.into_iter().chain(others).map(|id| self.file_of(id)).collect();
        Beside { customer, ours, files, ..self.side(author) }
    }

    /// The scope, and these users of it.
    pub(super) fn side<'u>(&self, users: impl IntoIterator<Item = &'u str>) -> Beside {
        let (tenant_id, workspace_id) = scope_parts(&self.scope.key);
        let named = users.into_iter().filter_map(|id| Some((id.to_owned(), self.person(id)?)));
        Beside { tenant_id, workspace_id, people: named.collect(), ..Beside::default() }
    }

    fn person(&self, id: &str) -> Option<Person> {
        let user = self.scope.users.get(id)?;
        let email = user.email.as_deref().unwrap_or(id);
        let name = user.name.as_deref().unwrap_or(email);
        Some(Person { email: email.to_owned(), name: name.to_owned(), role: user.role.to_string() })
    }

    /// A file as messages have it attached; of one that nobody has seen lately, where it is.
    fn file_of(&self, id: &str) -> Value {
        let base = match &*self.settings.public_url {
            "" => self.scope.base.to_string(),
            url => format!("{url}/utalk"),
        };
        match self.scope.files.get(id) {
            Some(media) => self.attachment(media, &base),
            None => json!({"id": id, "url": self.address(id, &base)}),
        }
    }

    /// A file may be told of soon.
    pub(super) fn remember_file(&mut self, media: &Media) {
        if self.scope.files.len() >= FILES_MAX {
            self.scope.files.clear();
        }
        self.scope.files.insert(media.id.clone(), media.clone());
    }

    /// The e-mails of those who are in a conversation's room.
    pub(super) fn online_in(&self, id: &Arc<str>) -> (String, Vec<String>) {
        let joined = self.scope.joined.get(id).into_iter().flatten();
        let seats = joined.filter_map(|socket| self.scope.seats.get(socket));
        let emails: BTreeSet<&str> = seats.map(|seat| seat.who.address()).collect();
        (id.to_string(), emails.into_iter().map(str::to_owned).collect())
    }

    /// What a sync says beside of these conversations.
    pub(super) fn beside_sync<'r>(&self, rows: impl Iterator<Item = &'r Row>) -> Beside {
        let (mut people, mut online) = (BTreeMap::new(), BTreeMap::new());
        for row in rows {
            people.extend(self.side_of_row(row).people);
            online.extend(Some(self.online_in(&row.id)).filter(|(_, emails)| !emails.is_empty()));
        }
        Beside { people, online, ..self.side(None) }
    }

    /// A socket that speaks it has come: it is told unasked what there is.
    pub(super) fn greet(&mut self, socket: SocketRef, who: Arc<Who>) {
        let asker = Asker { who, back: Back::Socket { socket, ack: None, at: self.now.mono } };
        let sync_id = format!("initial_{}", self.now.wall.0).into();
        self.sync(asker, SyncAsked { sync_id, last_sync: None, cursor: None, limit: GREETED_MAX });
    }

    /// A socket enters a room of its scope, of its role or of its user.
    pub(super) fn enter(&mut self, socket: SocketRef, room: Room) {
        if self.scope.speaks(socket) {
            self.fx.join(socket, room_of_speakers(&room));
        }
        self.fx.join(socket, room);
    }

    /// A socket leaves such a room.
    pub(super) fn leave(&mut self, socket: SocketRef, room: Room) {
        if self.scope.speaks(socket) {
            self.fx.push(Effect::Leave { socket, room: room_of_speakers(&room) });
        }
        self.fx.push(Effect::Leave { socket, room });
    }

    /// A socket has entered a conversation's room, or has left it: those who are in it are told, where its user was not in it by another.
    pub(super) fn tell_room(&mut self, id: &Arc<str>, socket: SocketRef, who: &Who, is_in: bool) {
        if !self.has_speakers() {
            return;
        }
        let joined = self.scope.joined.get(id).into_iter().flatten().filter(|other| **other != socket);
        let others: Vec<(SocketRef, &Seat)> =
            joined.filter_map(|other| Some((*other, self.scope.seats.get(other)?))).collect();
        if others.iter().any(|(_, seat)| seat.who.user == who.user) {
            return;
        }
        let payload = json!({"email": who.address(), "conversationId": id, "timestamp": self.now.wall.to_string()});
        let event = if is_in { ENTERED } else { LEFT };
        for (other, _) in others.iter().filter(|(_, seat)| seat.speaks) {
            self.fx.emit(*other, event, &payload);
        }
    }

    /// A conversation is nobody's any more.
    pub(super) fn tell_unassigned(&mut self, before: &Row, row: &Row) {
        let Some(agent) = before.assigned.as_ref().filter(|_| row.assigned.is_none()) else { return };
        let Some(beside) = self.beside_people(&[agent]) else { return };
        let payload = json!({"conversationId": row.id, "agentId": agent, "timestamp": row.updated_at.to_string()});
        self.tell_speakers(&Audience::Work(row, Some(agent)), UNASSIGNED, &payload, &beside);
    }
}

/// Whether a text could be somebody's e-mail.
pub(super) fn is_email(text: &str) -> bool {
    text.split_once('@').is_some_and(|(name, host)| !name.is_empty() && !host.is_empty())
}

/// Names of the fields in which two states of a conversation differ, as the dialect has them.
fn changed(before: &Row, row: &Row) -> impl Iterator<Item = &'static str> {
    let all: [(bool, &[&'static str]); 9] = [
        (before.status != row.status, &["status"]),
        (before.assigned != row.assigned, &["assignedAgent", "assignedTo", "assignedToName"]),
        (before.bot_enabled != row.bot_enabled, &["botEnabled"]),
        (before.customer_name != row.customer_name, &["customerName", "contact"]),
        (before.priority != row.priority, &["priority"]),
        (before.tags != row.tags, &["tags"]),
        (before.unread() != row.unread(), &["unreadCount"]),
        (before.window_expires_at() != row.window_expires_at(), &["windowExpiresAt"]),
        (before.last_message != row.last_message, SENT),
    ];
    all.into_iter().filter(|(differs, _)| *differs).flat_map(|(_, names)| names.iter().copied())
}

/// What a message changes of its conversation.
const SENT: &[&str] = &["lastMessage", "lastMessageAt", "messageCount", "updatedAt"];
/// Conversations that a socket is told of unasked.
const GREETED_MAX: u32 = 500;
/// Files of a scope whose names are known without a look.
const FILES_MAX: usize = 1_000;
