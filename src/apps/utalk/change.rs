//! A change of a conversation's fields: one at a time is on its way, and what others are told is the row that came back from the disk.

use std::sync::Arc;

use super::audience::Audience;
use super::conversation::Row;
use super::queue::Standing;
use super::tables::conversations;
use super::turn::Turn;
use super::who::{Asker, Who};
use super::wish::{Change, Changed, Wait};
use crate::app::effect::{Delivery, Effect};
use crate::app::job::{JobError, JobErrorKind, Outcome};
use crate::app::sql::Statement;
use crate::base::ids::SocketRef;

impl Turn<'_> {
    /// Hands a change to the store. The first statement must give the conversation's row back; wishes that change it too wait.
    pub(super) fn change(&mut self, change: Change, write: Vec<Statement>) {
        let Some(conversation) = self.scope.conversation(&change.conversation) else { return };
        conversation.changing += 1;
        self.write(write, Wait::Changed(Box::new(change)));
    }

    /// Changes the fields that people change to those of `row`, together with rows of other tables. What comes of it is told as `what` says.
    pub(super) fn amend(&mut self, asker: Asker, row: &Row, what: Changed, also: Vec<Statement>) {
        let number = self.scope.next_change(self.now);
        let mut write = vec![conversations::amend(&self.scope.key, row, number, self.now.wall)];
        write.extend(also);
        self.change(Change { asker, conversation: row.id.clone(), number, what }, write);
    }

    /// A change was written, or was not.
    pub(super) fn on_changed(&mut self, change: Change, outcome: &Outcome) {
        self.scope.in_flight.remove(&change.number);
        let id = change.conversation.clone();
        let row = outcome.rows::<Row>(0).and_then(|rows| {
            let missing = || JobError::new(JobErrorKind::Unavailable, "the conversation has gone");
            rows.into_iter().next().ok_or_else(missing)
        });
        let Some(conversation) = self.scope.conversation(&id) else { return };
        conversation.changing -= 1;
        let before = conversation.row.clone();
        if let Ok(row) = &row {
            conversation.row = row.clone();
        }
        if let Changed::Work(deed) = &change.what {
            self.work_ended(&id, deed, row.is_ok());
        }
        match row {
            Ok(row) => {
                self.moved(&id, &Standing::of(&before, self.settings), &Standing::of(&row, self.settings));
                self.changed(change, &before, row, outcome);
            }
            Err(error) => {
                let fail = self.store_failed(&error);
                self.refuse(&change.asker, &fail);
            }
        }
        self.go_on(&id);
    }

    /// The change is on disk: the one who has asked is told first.
    fn changed(&mut self, change: Change, before: &Row, mut row: Row, outcome: &Outcome) {
        let Change { asker, what, number, .. } = change;
        match what {
            Changed::Read { place, at, marks } => self.has_read(&asker, &row, (place, at, marks), number, outcome),
            Changed::Edited => {
                self.answer(&asker, "conversation", &row.shown(row.unread()));
                self.tell_withdrawn(before, &row);
            }
            Changed::Work(deed) => self.has_worked(&asker, before, &mut row, &deed, outcome),
        }
        self.tell_lost(before, &row);
        self.tell_updated(Some(before), &row);
    }

    /// Those who may not read it any more are told, and are out of the room.
    pub(super) fn tell_lost(&mut self, before: &Row, row: &Row) {
        let payload = serde_json::json!({"conversationId": row.id, "reason": "access_lost"});
        self.tell(&Audience::Lost(before, row), &[], Delivery::Must, "left:conversation", &payload);
        let joined = self.scope.joined.get(&row.id).into_iter().flatten().copied();
        let lost = |socket: SocketRef| {
            let who = &self.scope.seats.get(&socket)?.who;
            (!row.is_readable(who, self.settings)).then(|| (socket, who.clone()))
        };
        let lost: Vec<(SocketRef, Arc<Who>)> = joined.filter_map(lost).collect();
        lost.into_iter().for_each(|(socket, who)| self.out_of_room(socket, &row.id, &who));
    }

    /// A socket is out of a conversation's room.
    pub(super) fn out_of_room(&mut self, socket: SocketRef, id: &Arc<str>, who: &Who) {
        let Some(joined) = self.scope.joined.get_mut(id) else { return };
        if !joined.remove(&socket) {
            return;
        }
        if joined.is_empty() {
            self.scope.joined.remove(id);
        }
        if let Some(seat) = self.scope.seats.get_mut(&socket) {
            seat.joined.retain(|joined| joined != id);
        }
        let room = self.scope.room_of_conversation(id);
        self.fx.push(Effect::Leave { socket, room });
        self.tell_room(id, socket, who, false);
    }
}
