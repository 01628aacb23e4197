//! Reading: how far each reader is, and how far anybody. A horizon never goes back.

use std::sync::Arc;

use serde_json::{Value, json};

use super::audience::Audience;
use super::conversation::{Horizon, Row};
use super::dialect::Beside;
use super::message::{Direction, Message, Status};
use super::tables::conversations;
use super::tables::messages::{self, Marked};
use super::turn::{Turn, access_denied};
use super::who::Asker;
use super::wish::{Change, Changed, Place, Reading, Wait, What, Wish};
use crate::app::effect::Delivery;
use crate::app::job::{Job, Outcome};
use crate::app::kit::ack::Fail;
use crate::base::time::WallMillis;

impl Turn<'_> {
    /// Somebody has read a conversation up to a message.
    pub(super) fn read(&mut self, asker: Asker, id: &Arc<str>, reading: Reading) {
        let settings = self.settings;
        let Some(conversation) = self.scope.conversation(id) else { return self.refuse(&asker, &access_denied()) };
        let row = &conversation.row;
        if !row.is_writable(&asker.who, settings) {
            return self.refuse(&asker, &access_denied());
        }
        let (read_seq, last) = (row.read_seq, last_of(row));
        let here: Vec<_> =
            reading.asked.iter().filter_map(|asked| Some((asked, &**conversation.message(asked)?))).collect();
        let place = match reading.found {
            Some(place) => place,
            None if reading.asked.is_empty() => last,
            None => match Place::of(here.iter().copied()).filter(|_| here.len() == reading.asked.len()) {
                Some(place) => place,
                None => return self.look_for(asker, id, reading),
            },
        };
        let horizon = self.horizon(id, &asker.who.user);
        if place.seq <= horizon.seq {
            return self.acknowledge_read(&asker, id, &place, horizon);
        }
        let (number, at, scope) = (self.scope.next_change(self.now), self.now.wall, self.scope.key.clone());
        let to = Horizon { seq: place.seq, inbound: place.inbound, at };
        let mut write = vec![
            conversations::read(&scope, id, number, to),
            conversations::move_horizon(&scope, id, &asker.who.user, to),
        ];
        let marks = place.seq > read_seq;
        if marks {
            let from = (read_seq + 1).max(place.seq.saturating_sub(MARKED_MAX - 1));
            write.push(messages::mark_read(&scope, id, (from, place.seq), number, at));
        }
        if self.has_speakers() {
            write.push(messages::passed(&scope, id, (horizon.seq, place.seq)));
        }
        let what = Changed::Read { place, at, marks };
        self.change(Change { asker, conversation: id.clone(), number, what }, write);
    }

    /// A message is not in memory.
    fn look_for(&mut self, asker: Asker, id: &Arc<str>, reading: Reading) {
        let look = |asked: &Arc<str>| messages::by_either_id(&self.scope.key, id, asked);
        let questions = reading.asked.iter().map(look).collect();
        let wish = Wish { asker, conversation: id.clone(), what: What::Read(reading) };
        self.ask(Job::Read(questions), Wait::Message(Box::new(wish)));
    }

    /// What somebody has read was looked for.
    pub(super) fn on_message_found(&mut self, wish: Wish, outcome: &Outcome) {
        let Wish { asker, conversation, what } = wish;
        let What::Read(reading) = what else { return };
        let all = reading.asked.iter().enumerate();
        let found: Result<Vec<_>, _> =
            all.map(|(at, asked)| Ok((asked, outcome.rows::<Message>(at)?.into_iter().next()))).collect();
        match found.map(|found| Place::of(found.iter().filter_map(|(asked, it)| Some((*asked, it.as_ref()?))))) {
            Err(error) => {
                let fail = self.store_failed(&error);
                self.refuse(&asker, &fail);
            }
            Ok(None) => self.refuse(&asker, &Fail::new("MESSAGE_NOT_FOUND", "El mensaje no existe")),
            Ok(Some(place)) => {
                let what = What::Read(Reading { found: Some(place), ..reading });
                self.wish(Wish { asker, conversation, what });
            }
        }
    }

    /// The time is that of the horizon as it is; its seq tells which of the messages were read before.
    fn acknowledge_read(&mut self, asker: &Asker, id: &Arc<str>, place: &Place, Horizon { seq, at, .. }: Horizon) {
        let reply = json!({"conversationId": id, "messageId": place.asked, "readAt": at.to_string()});
        let beside = self.is_speaker(asker).then(|| Beside {
            ids: place.known.iter().map(|(id, _)| id.to_string()).collect(),
            updated: place.known.iter().filter(|(_, known)| *known > seq).count(),
            ..Beside::default()
        });
        self.answer_beside(asker, "conversation:read:acknowledged", &reply, beside.as_ref());
    }

    /// A horizon has moved: its reader is told, and those who are in the conversation.
    pub(super) fn has_read(
        &mut self,
        asker: &Asker,
        row: &Row,
        (place, at, marks): (Place, WallMillis, bool),
        change: u64,
        outcome: &Outcome,
    ) {
        let marked: Vec<Marked> = if marks { outcome.rows(2).unwrap_or_default() } else { Vec::new() };
        let was = self.horizon(&row.id, &asker.who.user);
        if let Some(conversation) = self.scope.conversation(&row.id) {
            let to = Horizon { seq: place.seq, inbound: place.inbound, at };
            conversation.horizons.insert(asker.who.user.clone(), to);
            let is_passed = |message: &Message| {
                message.seq <= place.seq
                    && message.direction == Direction::Inbound
                    && message.status == Status::Received
            };
            for message in conversation.ring.iter_mut().filter(|message| is_passed(message)) {
                let read = Message { status: Status::Read, read_at: Some(at), change, ..Message::clone(message) };
                *message = Arc::new(read);
            }
        }
        self.acknowledge_read(asker, &row.id, &place, Horizon { at, ..was });
        let payload = read_payload(row, &place, at, &asker.who.user, marked);
        let by: Vec<_> = asker.socket().into_iter().collect();
        let beside = self.beside_people(&[&asker.who.user]).map(|beside| {
            let passed: Vec<Marked> = outcome.rows(2 + usize::from(marks)).unwrap_or_default();
            Beside { ids: passed.iter().rev().map(|message| message.id.to_string()).collect(), ..beside }
        });
        let fact = ("message:read", &payload);
        self.tell_beside(&Audience::Party(row, None), &by, Delivery::Must, fact, beside.as_ref());
    }
}

/// `message:read`: the message that was named, and the newest of those that are read with it.
fn read_payload(row: &Row, place: &Place, at: WallMillis, reader: &str, mut marked: Vec<Marked>) -> Value {
    marked.sort_by_key(|marked| marked.seq);
    let newest = marked.len().saturating_sub(IDS_MAX);
    let mut ids: Vec<Arc<str>> = marked.drain(newest..).map(|marked| marked.id).collect();
    if ids.is_empty() {
        ids.push(place.id.clone());
    }
    json!({
        "id": place.id,
        "messageId": place.message_id,
        "conversationId": row.id,
        "status": "read",
        "readAt": at.to_string(),
        "readBy": reader,
        "ids": ids,
    })
}

/// The place of a conversation's last message.
fn last_of(row: &Row) -> Place {
    let last: Value = row.last_message.as_deref().and_then(|last| serde_json::from_str(last).ok()).unwrap_or_default();
    let id: Arc<str> = last["id"].as_str().unwrap_or_default().into();
    let (seq, inbound, known) = (row.last_seq, row.last_inbound, Vec::new());
    Place { message_id: id.clone(), asked: id.clone(), id, seq, inbound, known }
}

/// Messages whose own rows say that they are read; of older ones it follows from their conversation's.
const MARKED_MAX: u64 = 500;
/// Ids that are told at once.
const IDS_MAX: usize = 100;
