//! Sending a message: judged, written, told, and handed on. What is told `sent` is on disk.
//!
//! Sends do not wait for each other: the database gives each its seq, in the order in which they were handed over. A messageId that is on its way
//! already is joined; one that has been on disk for longer is found by the write's conflict.

use std::sync::Arc;

use serde_json::json;

use super::audience::Audience;
use super::conversation::{Row, WHATSAPP};
use super::dispatch::Carrier;
use super::file::Media;
use super::memory::Conversation;
use super::message::{Direction, Kind, Message, Status};
use super::payload::Draft;
use super::perform::busy;
use super::queue::Standing;
use super::rules;
use super::tables::conversations::{self, Advanced};
use super::tables::{escalations, media, messages};
use super::turn::{Turn, access_denied};
use super::who::{Asker, Role};
use super::wish::{Sending, Wait};
use crate::app::effect::Delivery;
use crate::app::job::{Job, JobError, JobErrorKind, Outcome};
use crate::app::kit::ack::Fail;
use crate::app::settings::Word;
use crate::app::sql::Statement;
use crate::base::ids::SocketRef;

impl Turn<'_> {
    /// Somebody sends a message into a conversation, which is made where there is none.
    pub(super) fn send(&mut self, asker: Asker, conversation: &Arc<str>, draft: Draft) {
        let message_id = draft.message_id.clone();
        if let Err(fail) = self.judge_send(asker, conversation, draft) {
            let (asker, fail) = *fail;
            self.refuse_message(&asker, &message_id, conversation, &fail);
        }
    }

    fn judge_send(&mut self, asker: Asker, id: &Arc<str>, draft: Draft) -> Result<(), Box<(Asker, Fail)>> {
        let (now, settings) = (self.now.wall, self.settings);
        let known = self.scope.conversation(id);
        let is_there = known.is_some();
        let fresh = Row::new(id, settings, now);
        let row = known.map_or(&fresh, |conversation| &conversation.row);
        let may = row.is_writable(&asker.who, settings);
        if !may && is_there && asker.who.role == Role::Bot {
            return Err(Box::new((asker, Fail::new("BOT_DISABLED", "El bot no está habilitado en esta conversación"))));
        }
        if !may {
            return Err(Box::new((asker, access_denied())));
        }
        let closed = !draft.kind.passes_window() && row.is_outside_window(settings, now);
        let (carrier, sender) = (Carrier::of(row, draft.kind, settings), sender_of(row, draft.kind, &asker));
        let Some(asker) = self.join_sending(asker, id, &draft)? else { return Ok(()) };
        let message = self.message_of(id, draft, sender, &asker, carrier);
        let sending = Sending::new(message, vec![asker]);
        if closed {
            self.ask_first(sending);
            return Ok(());
        }
        if !is_there {
            self.scope.conversations.insert(id.clone(), Conversation::new(fresh, false));
        }
        self.hand_over(sending);
        Ok(())
    }

    /// It may not go out any more; but where it has gone out before, it is the same message again.
    fn ask_first(&mut self, sending: Sending) {
        let message_id = sending.message.message_id.clone();
        self.scope.in_flight.remove(&sending.message.change);
        self.scope.sends.insert(message_id.clone(), sending);
        let question = messages::by_message_id(&self.scope.key, &message_id);
        self.ask(Job::Read(vec![question]), Wait::Stored(message_id));
    }

    /// Where the same messageId is on its way: joins it. `Some`: it is not.
    fn join_sending(
        &mut self,
        asker: Asker,
        id: &Arc<str>,
        draft: &Draft,
    ) -> Result<Option<Asker>, Box<(Asker, Fail)>> {
        let Some(sending) = self.scope.sends.get_mut(&draft.message_id) else { return Ok(Some(asker)) };
        if !is_same(&sending.message, id, draft, &asker) {
            return Err(Box::new((asker, conflict())));
        }
        if sending.askers.len() >= JOINED_MAX {
            return Err(Box::new((asker, busy())));
        }
        sending.askers.push(asker);
        self.shared.counts.duplicates += 1;
        Ok(None)
    }

    fn message_of(
        &mut self,
        id: &Arc<str>,
        draft: Draft,
        sender: Arc<str>,
        asker: &Asker,
        by: Carrier,
    ) -> Arc<Message> {
        let change = self.scope.next_change(self.now);
        let (is_sent, is_note) = (by == Carrier::Nobody, draft.kind == Kind::Note);
        Arc::new(Message {
            author: Some(asker.who.user.clone()),
            direction: if is_note { Direction::Internal } else { Direction::Outbound },
            status: if is_sent { Status::Sent } else { Status::Pending },
            sent_at: is_sent.then_some(self.now.wall),
            ..draft.into_message(rules::message_id(change, self.rng), id, sender, change, self.now.wall)
        })
    }

    /// Hands a message and what it makes of its conversation to the store.
    pub(super) fn hand_over(&mut self, mut sending: Sending) {
        let (scope, now) = (self.scope.key.clone(), self.now.wall);
        let message = sending.message.clone();
        let id = &message.conversation;
        let Some(conversation) = self.scope.conversation(id) else { return };
        conversation.in_flight += 1;
        sending.creates = !conversation.is_stored;
        let mut write: Vec<Statement> = Vec::with_capacity(4);
        if let Some(file) = message.media.as_ref().filter(|_| message.kind.has_media() && message.author.is_some()) {
            sending.has_media = true;
            write.push(messages::use_media(&scope, id, file, now));
        }
        if sending.creates {
            let change = message.change;
            let row = Row { change, customer_name: sending.name.clone(), ..conversation.row.clone() };
            write.push(conversations::create(&scope, &row));
        }
        write.push(match message.direction {
            Direction::Inbound => conversations::receive(&scope, id, message.change, message.as_last(), now),
            Direction::Outbound => conversations::advance(&scope, id, message.change, message.as_last(), now),
            Direction::Internal => conversations::annotate(&scope, id),
        });
        write.push(messages::add(&scope, &message));
        if let Some(escalation) = &sending.escalation {
            write.extend(escalations::begin_by_word(&scope, escalation, message.change, now));
        }
        write.extend(sending.files.iter().map(|media| media::add(&scope, media)));
        self.scope.sends.insert(message.message_id.clone(), sending);
        self.write(write, Wait::Written(message.message_id.clone()));
    }

    /// A message was written, or was not.
    pub(super) fn on_written(&mut self, message_id: &Arc<str>, outcome: &Outcome) {
        let Some(sending) = self.scope.sends.get_mut(message_id) else { return };
        let (escalation, id) = (sending.escalation.take(), sending.message.conversation.clone());
        let (files, base) = (std::mem::take(&mut sending.files), sending.base.clone());
        let at = usize::from(sending.has_media) + usize::from(sending.creates) + ESCALATED_AT;
        self.written(message_id, outcome);
        if !files.is_empty() {
            let row = self.scope.conversation(&id).map(|conversation| conversation.row.clone());
            self.files_end(row.as_ref().filter(|_| outcome.is_written()), &files, &base);
        }
        let Some(escalation) = escalation else { return };
        if let Some(conversation) = self.scope.conversation(&id) {
            conversation.changing -= 1;
        }
        if let Some(row) = outcome.rows::<Row>(at).ok().and_then(|rows| rows.into_iter().next()) {
            self.escalated_by_word(*escalation, row);
        }
        self.go_on(&id);
    }

    fn written(&mut self, message_id: &Arc<str>, outcome: &Outcome) {
        let Some(sending) = self.scope.sends.get(message_id) else { return };
        let (message, has_media, creates) = (sending.message.clone(), sending.has_media, sending.creates);
        self.scope.in_flight.remove(&message.change);
        let conversation = self.scope.conversations.get_mut(&message.conversation);
        // Of several that were handed over at once, the first has made it.
        let is_first = conversation.is_some_and(|conversation| {
            conversation.in_flight -= 1;
            creates && !conversation.is_stored
        });
        let moved = usize::from(has_media) + usize::from(creates);
        if has_media && self.has_speakers() {
            let files: Vec<Media> = outcome.rows(0).unwrap_or_default();
            files.iter().for_each(|media| self.remember_file(media));
        }
        let result = match outcome {
            Outcome::Conflict { statement: 0 } if has_media => {
                Err(Fail::new("MEDIA_NOT_FOUND", "El archivo no existe"))
            }
            Outcome::Conflict { statement } if *statement > moved => {
                let job = Job::Read(vec![messages::by_message_id(&self.scope.key, message_id)]);
                self.forget_unstored(&message.conversation);
                return self.ask(job, Wait::Stored(message_id.clone()));
            }
            Outcome::Conflict { .. } => {
                // The conversation is not there any more: who asks next looks again.
                self.scope.conversations.remove(&message.conversation);
                Err(self.store_failed(&JobError::new(JobErrorKind::Unavailable, "a conversation has gone")))
            }
            outcome => self.settle(&message, moved, outcome).map_err(|error| self.store_failed(&error)),
        };
        match result {
            Ok((message, before)) => self.on_stored(message, before.as_ref(), is_first),
            Err(fail) => {
                self.forget_unstored(&message.conversation);
                self.end_sending(message_id, &Err(fail));
            }
        }
    }

    /// Brings memory to where the disk is. The message as it is there; and, where a customer has sent it, its conversation as it was.
    fn settle(
        &mut self,
        message: &Arc<Message>,
        moved: usize,
        outcome: &Outcome,
    ) -> Result<(Arc<Message>, Option<Row>), JobError> {
        let mut was = None;
        let missing = || JobError::new(JobErrorKind::Unavailable, "no row came of a write");
        let of = |advanced: Advanced| Message {
            seq: advanced.last_seq,
            inbound: advanced.last_inbound,
            ..Message::clone(message)
        };
        let now = message.created_at;
        let written = match message.direction {
            Direction::Inbound => {
                let row: Row = outcome.rows(moved)?.into_iter().next().ok_or_else(missing)?;
                let Row { last_seq, last_inbound, rev, change, .. } = row;
                if let Some(conversation) = self.scope.conversation(&message.conversation) {
                    let before = std::mem::replace(&mut conversation.row, row.clone());
                    let (then, after) = (Standing::of(&before, self.settings), Standing::of(&row, self.settings));
                    self.moved(&message.conversation, &then, &after);
                    was = Some(before);
                }
                of(Advanced { last_seq, last_inbound, rev, change })
            }
            direction => {
                let advanced: Advanced = outcome.rows(moved)?.into_iter().next().ok_or_else(missing)?;
                let settings = self.settings;
                let mut moves = None;
                if let Some(conversation) = self.scope.conversation(&message.conversation) {
                    let row = &mut conversation.row;
                    row.last_seq = advanced.last_seq;
                    if direction == Direction::Outbound {
                        (row.rev, row.change, row.updated_at) = (advanced.rev, advanced.change, now);
                        row.last_message = Some(message.as_last());
                        if row.unanswered_at.is_some() {
                            let before = Standing::of(row, settings);
                            (row.unanswered_at, row.ahead) = (None, false);
                            moves = Some((before, Standing::of(row, settings)));
                        }
                    }
                }
                if let Some((before, after)) = moves {
                    self.moved(&message.conversation, &before, &after);
                }
                of(advanced)
            }
        };
        if let Some(conversation) = self.scope.conversation(&message.conversation) {
            conversation.is_stored = true;
        }
        let written = Arc::new(written);
        self.scope.remember(written.clone());
        Ok((written, was))
    }

    /// A conversation that no write has made is none, once nothing of it is on its way.
    pub(super) fn forget_unstored(&mut self, id: &Arc<str>) {
        let conversation = self.scope.conversations.get(id);
        if conversation.is_some_and(|conversation| !conversation.is_stored && conversation.is_idle()) {
            self.scope.conversations.remove(id);
        }
    }

    /// The message is on disk: the one who has sent it is told first, then all others; then it goes on its way.
    fn on_stored(&mut self, message: Arc<Message>, before: Option<&Row>, creates: bool) {
        self.shared.counts.message(message.direction.word(), message.status.word());
        let by = match message.status {
            Status::Pending => self.sockets_of(&message.message_id),
            _ => self.end_sending(&message.message_id, &Ok(message.clone())),
        };
        if let Some(author) = &message.author {
            let author = author.clone();
            self.stop_typing(&message.conversation, &author);
        }
        self.tell_new(&message, (before, creates), &by);
        if message.status == Status::Pending {
            self.dispatch(message);
        }
    }

    /// `conversation:new` where there was none, `message:new`, `conversation:updated`.
    fn tell_new(&mut self, message: &Arc<Message>, (before, creates): (Option<&Row>, bool), by: &[SocketRef]) {
        let Some(row) = self.scope.conversation(&message.conversation).map(|it| it.row.clone()) else { return };
        if creates {
            self.tell_conversation(&row);
        }
        let is_note = message.direction == Direction::Internal;
        let audience = if is_note { Audience::Staff(&row) } else { Audience::Readers(&row) };
        let beside = self.beside_new(&row, message, creates);
        self.tell_beside(&audience, by, Delivery::Must, ("message:new", &message.as_new()), beside.as_ref());
        if message.direction == Direction::Inbound {
            self.notify_absent(&row);
        }
        if !is_note {
            self.tell_updated(before, &row);
        }
    }

    /// `conversation:new`, to all who may read it.
    pub(super) fn tell_conversation(&mut self, row: &Row) {
        let (beside, fact) = (self.beside_row(row), ("conversation:new", &row.shown(row.unread())));
        self.tell_beside(&Audience::Readers(row), &[], Delivery::Must, fact, beside.as_ref());
    }

    /// `conversation:updated`, to all who may read it; `before` is unknown where one of ours has sent a message.
    pub(super) fn tell_updated(&mut self, before: Option<&Row>, row: &Row) {
        if let Some(before) = before {
            self.tell_unassigned(before, row);
        }
        let (beside, fact) = (self.beside_update(before, row), ("conversation:updated", &row.shown(row.unread())));
        self.tell_beside(&Audience::Readers(row), &[], Delivery::Must, fact, beside.as_ref());
    }

    /// The write has found the messageId taken: it is the same message again, or another one.
    pub(super) fn on_taken(&mut self, message_id: &Arc<str>, outcome: &Outcome) {
        let Some(sending) = self.scope.sends.get(message_id) else { return };
        let asked = sending.message.clone();
        let stored: Result<Vec<Message>, JobError> = outcome.rows(0);
        let result = match stored.map(|rows| rows.into_iter().next()) {
            Err(error) => Err(self.store_failed(&error)),
            // It was only asked for, or has gone between the two.
            Ok(None) => Err(if self.is_closed_to(&asked) { window_closed() } else { busy() }),
            Ok(Some(stored)) if asked.author.is_some() && !is_equal(&stored, &asked) => Err(conflict()),
            Ok(Some(stored)) => Ok(Arc::new(stored)),
        };
        let stored = match result {
            Ok(stored) => stored,
            Err(fail) => {
                self.end_sending(message_id, &Err(fail));
                return;
            }
        };
        self.shared.counts.duplicates += 1;
        if stored.status == Status::Pending {
            // It has never come to an end: it is sent once more.
            if let Some(sending) = self.scope.sends.get_mut(message_id) {
                sending.message = stored.clone();
            }
            return self.dispatch(stored);
        }
        self.answer_sending(message_id, &Ok(stored), true);
    }

    fn is_closed_to(&mut self, message: &Message) -> bool {
        let (settings, now) = (self.settings, self.now.wall);
        let fresh = Row::new(&message.conversation, settings, now);
        let row = self.scope.conversation(&message.conversation).map_or(&fresh, |conversation| &conversation.row);
        !message.kind.passes_window() && row.is_outside_window(settings, now)
    }

    /// What came of a message that was on its way: all who wait are told, the first as the one who has sent it. The sockets among them.
    pub(super) fn end_sending(&mut self, message_id: &Arc<str>, result: &Result<Arc<Message>, Fail>) -> Vec<SocketRef> {
        self.answer_sending(message_id, result, false)
    }

    fn answer_sending(
        &mut self,
        message_id: &Arc<str>,
        result: &Result<Arc<Message>, Fail>,
        duplicate: bool,
    ) -> Vec<SocketRef> {
        let Some(Sending { askers, message, .. }) = self.scope.sends.remove(message_id) else { return Vec::new() };
        for (at, asker) in askers.iter().enumerate() {
            match result {
                Ok(message) => self.answer_message(asker, message, duplicate || at > 0),
                Err(fail) => self.refuse_message(asker, message_id, &message.conversation, fail),
            }
        }
        sockets_among(&askers)
    }

    /// `message:sent`, or how it has failed.
    fn answer_message(&mut self, asker: &Asker, message: &Message, duplicate: bool) {
        match &message.error {
            Some(error) if message.status == Status::Failed => {
                let fail = rules::delivery_failed(error, message.reason.as_deref());
                self.refuse_message(asker, &message.message_id, &message.conversation, &fail);
            }
            _ if asker.is_call() => {
                let row = self.scope.conversation(&message.conversation).map(|it| it.row.clone());
                let conversation = row.as_ref().map(|row| row.shown(row.unread()));
                let sent = json!({
                    "message": message.as_full(), "conversation": conversation, "duplicate": duplicate,
                });
                self.answer(asker, "", &sent);
            }
            _ => {
                let beside = self.is_speaker(asker).then(|| self.beside_stored(message)).flatten();
                self.answer_beside(asker, "message:sent", &message.as_sent(duplicate), beside.as_ref());
            }
        }
    }

    /// `message:error`, and an ack.
    pub(super) fn refuse_message(&mut self, asker: &Asker, message_id: &str, conversation: &str, fail: &Fail) {
        if let Some(socket) = asker.socket() {
            let payload = json!({"messageId": message_id, "conversationId": conversation, "error": fail});
            self.fx.emit(socket, "message:error", &payload);
        }
        self.refuse_behind(asker, fail);
    }

    /// The sockets that wait for a message.
    fn sockets_of(&self, message_id: &Arc<str>) -> Vec<SocketRef> {
        let sending = self.scope.sends.get(message_id);
        sending.map(|sending| sockets_among(&sending.askers)).unwrap_or_default()
    }
}

/// The sockets of those who ask, each once.
fn sockets_among(askers: &[Asker]) -> Vec<SocketRef> {
    let mut sockets: Vec<SocketRef> = askers.iter().filter_map(Asker::socket).collect();
    sockets.sort_unstable();
    sockets.dedup();
    sockets
}

/// The sender of a message as clients see it.
fn sender_of(row: &Row, kind: Kind, asker: &Asker) -> Arc<str> {
    match kind != Kind::Note && &*row.channel == WHATSAPP && !row.ours.is_empty() {
        true => row.ours.clone(),
        false => asker.who.user.clone(),
    }
}

fn is_same(message: &Message, conversation: &Arc<str>, draft: &Draft, asker: &Asker) -> bool {
    message.author.as_ref() == Some(&asker.who.user)
        && message.conversation == *conversation
        && message.kind == draft.kind
        && message.text == draft.text
        && message.media == draft.media
}

fn is_equal(stored: &Message, asked: &Message) -> bool {
    let has_body = match &stored.digest {
        None => stored.text == asked.text && stored.media == asked.media,
        Some(digest) => **digest == *rules::digest(asked.text.as_deref(), asked.media.as_deref()),
    };
    has_body && stored.author == asked.author && stored.conversation == asked.conversation && stored.kind == asked.kind
}

fn conflict() -> Fail {
    Fail::new("MESSAGE_ID_CONFLICT", "El messageId ya se usó para otro mensaje")
}

fn window_closed() -> Fail {
    Fail::new("WINDOW_CLOSED", "La ventana de 24h está cerrada o falta plantilla aprobada")
}

/// The conversation as an escalation has left it, behind the first statement about it: the message, the escalation.
const ESCALATED_AT: usize = 3;
/// Those who wait for one message.
const JOINED_MAX: usize = 64;
