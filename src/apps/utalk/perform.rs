//! From a wish to what is done about it: the conversation is loaded where it is not in memory, and a change of its fields waits for the one
//! before it. Rules see conversations as they are on disk.

use std::sync::Arc;

use super::conversation::Horizon;
use super::edit::not_found;
use super::memory::Conversation;
use super::tables::conversations::{self, ReaderRow};
use super::task::Task;
use super::turn::Turn;
use super::wish::{Wait, What, Wish};
use crate::app::job::{Job, Outcome};
use crate::app::kit::ack::Fail;

impl Turn<'_> {
    /// Somebody asks something of a conversation. Answered now or later, whatever comes of it.
    pub(super) fn wish(&mut self, wish: Wish) {
        if self.scope.conversation(&wish.conversation).is_some() {
            return self.perform(wish);
        }
        let id = wish.conversation.clone();
        let waiting = self.scope.loading.entry(id.clone()).or_default();
        if waiting.len() >= WISHES_MAX {
            return self.refuse_wish(&wish, &busy());
        }
        waiting.push_back(wish);
        if waiting.len() == 1 {
            let load = conversations::load(&self.scope.key, &id);
            self.ask(Job::Read(load), Wait::Conversation(id));
        }
    }

    /// A conversation was looked for: what has waited for it is performed, whether it is there or not.
    pub(super) fn on_conversation(&mut self, id: &Arc<str>, outcome: &Outcome) {
        let found = outcome.rows(0).and_then(|rows| Ok((rows, outcome.rows::<ReaderRow>(1)?)));
        let waiting = self.scope.loading.remove(id).unwrap_or_default();
        match found {
            Err(error) => {
                let fail = self.store_failed(&error);
                waiting.iter().for_each(|wish| self.refuse_wish(wish, &fail));
            }
            Ok((rows, readers)) => {
                if let Some(row) = rows.into_iter().next() {
                    let mut conversation = Conversation::new(row, true);
                    conversation.horizons = readers.into_iter().map(|row| (row.reader, row.horizon)).collect();
                    self.scope.conversations.entry(id.clone()).or_insert(conversation);
                }
                waiting.into_iter().for_each(|wish| self.perform(wish));
            }
        }
    }

    /// Does what is asked. The conversation is in memory, unless there is none.
    fn perform(&mut self, wish: Wish) {
        if wish.what.changes()
            && let Some(conversation) = self.scope.conversation(&wish.conversation)
            && conversation.changing > 0
        {
            match conversation.waiting.len() < WISHES_MAX {
                true => conversation.waiting.push_back(wish),
                false => self.refuse_wish(&wish, &busy()),
            }
            return;
        }
        let Wish { asker, conversation, what } = wish;
        match what {
            What::Show(show) => self.show(asker, &conversation, show),
            What::Open(opening) => self.open(asker, &conversation, opening),
            What::Reply(draft) if self.scope.conversations.contains_key(&conversation) => {
                self.send(asker, &conversation, draft);
            }
            What::Reply(_) => self.refuse(&asker, &not_found()),
            What::Read(_) if asker.is_call() && !self.scope.conversations.contains_key(&conversation) => {
                self.refuse(&asker, &not_found());
            }
            What::Join => self.join(&asker, &conversation),
            What::Type(on) => self.type_in(&asker, &conversation, on),
            What::Send(draft) => self.send(asker, &conversation, draft),
            What::Receive(inbound) => self.receive(asker, &conversation, inbound),
            What::Read(reading) => self.read(asker, &conversation, reading),
            What::Edit(edit) => self.edit(asker, &conversation, edit),
            What::Work(task) => self.perform_task(asker, &conversation, task),
            What::Bring(wanted) => self.bring(asker, &conversation, wanted),
            What::Attach(attaching) => self.attach(asker, &conversation, attaching),
            What::ShowMedia(shown) => self.show_media(&asker, &conversation, &shown),
            What::Tell(told) => self.tell_fate(&told),
        }
    }

    /// What has waited for a change that has ended is performed, until another one begins.
    pub(super) fn go_on(&mut self, id: &Arc<str>) {
        while let Some(conversation) = self.scope.conversations.get_mut(id)
            && conversation.changing == 0
            && let Some(wish) = conversation.waiting.pop_front()
        {
            self.perform(wish);
        }
    }

    /// Refuses as what is asked is refused: a message has its own event.
    pub(super) fn refuse_wish(&mut self, wish: &Wish, fail: &Fail) {
        match &wish.what {
            What::Send(draft) | What::Reply(draft) => {
                let message_id = draft.message_id.clone();
                self.refuse_message(&wish.asker, &message_id, &wish.conversation, fail);
            }
            What::Work(Task::Take(take)) => {
                self.not_taken(&wish.conversation, take);
                self.refuse(&wish.asker, fail);
            }
            _ => self.refuse(&wish.asker, fail),
        }
    }

    /// How far somebody has read a conversation.
    pub(super) fn horizon(&mut self, conversation: &str, reader: &str) -> Horizon {
        let horizons = self.scope.conversation(conversation).map(|conversation| &conversation.horizons);
        horizons.and_then(|horizons| horizons.get(reader)).copied().unwrap_or_default()
    }
}

impl What {
    /// Whether it changes fields that others judge by.
    fn changes(&self) -> bool {
        !matches!(
            self,
            What::Join
                | What::Type(_)
                | What::Send(_)
                | What::Receive(_)
                | What::Reply(_)
                | What::Show(_)
                | What::Open(_)
                | What::Bring(_)
                | What::Attach(_)
                | What::ShowMedia(_)
        )
    }
}

/// Too much waits.
pub(super) fn busy() -> Fail {
    Fail::new("SERVICE_UNAVAILABLE", "Servicio no disponible")
}

/// Wishes that wait for one conversation.
const WISHES_MAX: usize = 1_024;
