//! What a scope does by itself: its one timer, and what is due then; and what came of jobs.

use std::sync::Arc;

use serde_json::json;

use super::audience::Audience;
use super::scope::Due;
use super::tables::calls::Left;
use super::tables::sync::Change;
use super::tables::work::OfAgent;
use super::tables::{calls, sync, users, work};
use super::turn::Turn;
use super::user::User;
use super::wish::Wait;
use crate::app::effect::Delivery;
use crate::app::job::{Job, JobError, Outcome};
use crate::app::sql::Statement;

impl Turn<'_> {
    /// The scope's timer is due.
    pub(super) fn on_timer(&mut self) {
        self.scope.timer.went_off();
        while let Some(due) = self.scope.agenda.next_due(self.now.mono) {
            match due {
                Due::News => self.tell_news(),
                Due::Call(conversation) => self.on_call_time(&conversation),
                Due::Gone => self.on_gone(),
                Due::Reload => self.ask(Job::Read(stored(&self.scope.key)), Wait::Scope),
                Due::Assign => self.on_rested(),
                Due::Waiting => self.on_waiting_due(),
                // The end of the turn tells it.
                Due::Queue => {}
                Due::Late => self.look_for_late(),
                Due::Dropped(agent) => self.on_drop(agent),
                Due::Silence(conversation, user) => self.stop_typing(&conversation, &user),
            }
        }
    }

    /// At the end of every turn: presence is told, too much is forgotten, and the timer is set to what comes next.
    pub(super) fn finish(&mut self) {
        self.assign_waiting();
        self.tell_news_when_due();
        self.scope.turns += 1;
        self.scope.forget_some(self.shared.is_full());
        self.shared.remembered = self.shared.remembered + self.scope.remembered - self.scope.counted;
        self.scope.counted = self.scope.remembered;
        let next = self.scope.agenda.deadline();
        self.fx.0.extend(self.scope.timer.set(self.now.mono, next));
    }

    /// What is stored of the scope has come, or has not: then it is asked for again.
    pub(super) fn on_scope(&mut self, outcome: &Outcome) {
        if let Err(error) = self.restore(outcome) {
            self.store_failed(&error);
            self.scope.agenda.add(self.now.mono + RELOAD_MS, Due::Reload);
        }
    }

    fn restore(&mut self, outcome: &Outcome) -> Result<(), JobError> {
        let stored: Vec<User> = outcome.rows(0)?;
        let last = outcome.rows::<Change>(1)?.iter().map(|change| change.0).max().unwrap_or(0);
        self.scope.change = self.scope.change.max(last);
        let left: Vec<Left> = outcome.rows(2)?;
        let (loads, last): (Vec<OfAgent>, Vec<OfAgent>) = (outcome.rows(3)?, outcome.rows(4)?);
        for user in stored {
            self.scope.users.insert(user.id.clone(), user);
        }
        self.resume_calls(left);
        self.begin_work(loads, last);
        Ok(())
    }

    /// The daemon is about to end.
    pub(super) fn on_draining(&mut self) {
        let payload = json!({
            "type": "maintenance",
            "message": "El servidor se reiniciará en breve",
            "scheduledAt": self.now.wall.to_string(),
        });
        self.tell(&Audience::People, &[], Delivery::Must, "system:notification", &payload);
    }

    /// A job has come back.
    pub(super) fn on_done(&mut self, wait: Wait, outcome: &Outcome) {
        self.scope.jobs -= 1;
        match wait {
            Wait::Conversation(id) => self.on_conversation(&id, outcome),
            Wait::Written(message_id) => self.on_written(&message_id, outcome),
            Wait::Stored(message_id) => self.on_taken(&message_id, outcome),
            Wait::Message(wish) => self.on_message_found(*wish, outcome),
            Wait::Media(req, storing) => self.on_media_written(req, &storing, outcome),
            Wait::Repeat(which) => self.on_repeat(&which, outcome),
            Wait::File(which, is_id) => self.on_file(which, is_id, outcome),
            Wait::FileKept(which) => self.on_file_kept(&which, outcome),
            Wait::Attached(attached) => {
                let (asker, id, attaching) = *attached;
                self.on_attached(&asker, &id, attaching, outcome);
            }
            Wait::Looking(looking) => self.on_media_found(*looking, outcome),
            Wait::Changed(change) => self.on_changed(*change, outcome),
            Wait::Work(lookup) => self.on_lookup(*lookup, outcome),
            Wait::Sync(syncing) => self.on_synced(&syncing, outcome),
            Wait::Listing(listing) => self.on_listed(&listing, outcome),
            Wait::Counting(counting) => self.on_counted(&counting, outcome),
            Wait::Made(made) => self.on_made(*made, outcome),
            Wait::Account(accounting) => self.on_accounting(*accounting, outcome),
            Wait::User(id) => self.on_user_written(&id, outcome.is_written()),
            Wait::Chosen { asker, chosen } => self.on_chosen(&asker, chosen, outcome),
            Wait::Scope => self.on_scope(outcome),
            Wait::CallDropped(message_id) => self.on_call_dropped(&message_id),
            Wait::CallMarked(conversation) => self.on_call_marked(&conversation, outcome),
            Wait::Called(conversation, began) => self.on_called(&conversation, began, outcome),
            Wait::CallDue(conversation, wait_ms) => self.on_call_due(&conversation, wait_ms),
            Wait::CallEnded(conversation, number) => self.on_call_ended(&conversation, number, outcome),
            Wait::CallLooked(conversation) => self.on_call_looked(&conversation, outcome),
            Wait::Reported(reported) => self.on_reported(*reported, outcome),
            Wait::Raised { back, number, payload } => self.on_raised(back, number, &payload, outcome),
        }
    }
}

/// The questions that load a scope.
pub(super) fn stored(scope: &Arc<str>) -> Vec<Statement> {
    let [loads, last] = work::agents(scope);
    vec![users::of_scope(scope), Statement::new(sync::LAST_CHANGES).bind(scope), calls::left(scope), loads, last]
}

/// How long a scope that could not be loaded waits for another try.
const RELOAD_MS: u64 = 1_000;
