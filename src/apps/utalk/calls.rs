//! Calls of the provider: of each conversation one at a time, by seq (`outgoing`). That a call begins is on disk before it does, and what has
//! come of it is on disk before anybody is told. Repeated is only what has surely not been processed.

use std::sync::Arc;

use super::conversation::Parties;
use super::message::{Message, Status};
use super::numbers;
use super::outgoing::{Call, End, Stage};
use super::perform::busy;
use super::provider::{Answer, Refusal, request};
use super::rules;
use super::scope::Due;
use super::settings::Settings;
use super::tables::calls::{self, Fate, Left};
use super::turn::Turn;
use super::wish::{Came, Wait};
use crate::app::fetch::{FetchError, FetchFailure};
use crate::app::job::{Job, JobError, JobErrorKind, Outcome};
use crate::app::kit::ack::Fail;
use crate::app::kit::backoff::{Backoff, Growth};
use crate::app::kit::breaker::{Breaker, Limits};
use crate::base::time::{Millis, WallMillis};

impl Turn<'_> {
    /// A stored message that is `pending` goes on its way. Those who wait for it are among [`super::scope::Scope::sends`]; what comes of it
    /// is told by [`Turn::end_sending`].
    pub(super) fn dispatch(&mut self, message: Arc<Message>) {
        let conversation = message.conversation.clone();
        if !self.enqueue(message.clone(), false) {
            let rest = calls::rest(&self.scope.key, &message.id);
            return self.write(vec![rest], Wait::CallDropped(message.message_id.clone()));
        }
        self.next_call(&conversation);
    }

    fn enqueue(&mut self, message: Arc<Message>, is_begun: bool) -> bool {
        let base_ms = self.settings.provider.retry_base_ms;
        let growth = Growth { base_ms, factor: 2.0, cap_ms: RETRY_MAX_MS, jitter: 0.2, stable_ms: 0 };
        let (conversation, seq) = (message.conversation.clone(), message.seq);
        let call = Call { message, tries: 0, backoff: Backoff::new(growth), pass: None, is_begun, end: None };
        self.scope.outgoing.add(&conversation, seq, call)
    }

    /// There was no room for a message: it rests.
    pub(super) fn on_call_dropped(&mut self, message_id: &Arc<str>) {
        self.end_sending(message_id, &Err(busy()));
    }

    /// What the last process has left goes on: what was due is called now, what was begun is unknown.
    pub(super) fn resume_calls(&mut self, left: Vec<Left>) {
        let mut conversations: Vec<Arc<str>> = Vec::new();
        for Left { message, is_begun } in left {
            conversations.push(message.conversation.clone());
            self.enqueue(Arc::new(message), is_begun);
        }
        conversations.dedup();
        conversations.iter().for_each(|conversation| self.next_call(conversation));
    }

    /// A conversation's next message begins its call, unless one is on its way; or the one that rests tries once more.
    pub(super) fn next_call(&mut self, conversation: &Arc<str>) {
        let now = self.now;
        let Some(head) = self.scope.outgoing.begin(conversation) else { return };
        let call = &mut head.message;
        let parties = Parties::of(conversation, self.settings);
        let end = if call.is_begun {
            Some(End::Fate(failed(Refusal::Unknown, now.wall)))
        } else if numbers::callable(&parties.customer).is_none() {
            Some(End::Fate(failed(Refusal::InvalidNumber, now.wall)))
        } else {
            let breaker = self.shared.breaker.get_or_insert_with(|| breaker(self.settings));
            call.pass = breaker.admit(now.mono).ok();
            call.pass.is_none().then_some(End::Rest)
        };
        if let Some(end) = end {
            return self.end_call(conversation, end);
        }
        let mark = calls::begin(&self.scope.key, &call.message.id);
        self.write(vec![mark], Wait::CallMarked(conversation.clone()));
    }

    /// That a call begins is on disk, or is not.
    pub(super) fn on_call_marked(&mut self, conversation: &Arc<str>, outcome: &Outcome) {
        let settings = self.settings;
        let Some(head) = self.scope.outgoing.head(conversation, Stage::Marking) else { return };
        match outcome {
            Outcome::Written(_) => {
                head.stage = Stage::Calling;
                head.message.tries += 1;
                let message = head.message.message.clone();
                let file = message.media.as_ref().map(|id| self.address(id, &format!("{}/utalk", settings.public_url)));
                let fetch = request::of(settings, &self.scope.key, &message, file.as_deref().unwrap_or_default());
                self.ask(Job::Fetch(fetch), Wait::Called(conversation.clone(), self.now.mono));
            }
            Outcome::Conflict { .. } => self.look_at_call(conversation),
            outcome => {
                head.stage = Stage::Resting;
                self.call_again(conversation, STORE_RETRY_MS, outcome);
            }
        }
    }

    /// The provider has answered, or has not.
    pub(super) fn on_called(&mut self, conversation: &Arc<str>, began: Millis, outcome: &Outcome) {
        let (now, settings) = (self.now, &self.settings.provider);
        let none = Err(FetchError::new(FetchFailure::Busy, "no request was made"));
        let result = if let Outcome::Fetched(result) = outcome { result } else { &none };
        let Some(head) = self.scope.outgoing.head(conversation, Stage::Calling) else { return };
        let call = &mut head.message;
        let answer = request::read(settings.kind, result);
        if let (Some(pass), Some(breaker)) = (call.pass.take(), &mut self.shared.breaker) {
            match request::has_failed(&answer, result) {
                true => breaker.failed(now.mono, pass),
                false => breaker.succeeded(pass),
            }
        }
        self.shared.counts.provider_ms.record(now.mono.since(began));
        let end = match answer {
            Answer::Accepted { sid } => End::Fate(Fate { sid: Some(sid.into()), ..fate(Status::Sent, now.wall) }),
            Answer::Refused(refusal) => End::Fate(failed(refusal, now.wall)),
            Answer::Unknown => End::Fate(failed(Refusal::Unknown, now.wall)),
            Answer::Unprocessed if call.tries < settings.attempts_max => {
                head.stage = Stage::Settling;
                let wait_ms = call.backoff.failed(now.mono, self.rng);
                let due = calls::due(&self.scope.key, &call.message.id);
                return self.write(vec![due], Wait::CallDue(conversation.clone(), wait_ms));
            }
            Answer::Unprocessed => End::Rest,
        };
        self.end_call(conversation, end);
    }

    /// That a message is to be tried once more is on disk; where it is not, the next mark says so as well.
    pub(super) fn on_call_due(&mut self, conversation: &Arc<str>, wait_ms: u64) {
        let Some(head) = self.scope.outgoing.head(conversation, Stage::Settling) else { return };
        head.stage = Stage::Resting;
        self.scope.agenda.put(self.now.mono + wait_ms, Due::Call(conversation.clone()));
    }

    /// It is time to go on with a conversation: with another try, or with writing what has come of the last one.
    pub(super) fn on_call_time(&mut self, conversation: &Arc<str>) {
        match self.scope.outgoing.head(conversation, Stage::Unsettled) {
            Some(_) => self.write_end(conversation),
            None => self.next_call(conversation),
        }
    }

    fn end_call(&mut self, conversation: &Arc<str>, end: End) {
        if let Some(head) = self.scope.outgoing.current(conversation) {
            head.message.end = Some(end);
        }
        self.write_end(conversation);
    }

    fn write_end(&mut self, conversation: &Arc<str>) {
        let number = self.scope.next_change(self.now);
        let scope = &self.scope.key;
        let Some(head) = self.scope.outgoing.current(conversation) else { return };
        head.stage = Stage::Settling;
        let id = &head.message.message.id;
        let write = match &head.message.end {
            Some(End::Fate(fate)) => calls::settle(scope, id, fate, number),
            _ => calls::rest(scope, id),
        };
        self.write(vec![write], Wait::CallEnded(conversation.clone(), number));
    }

    /// What has come of a message is on disk, or is not yet.
    pub(super) fn on_call_ended(&mut self, conversation: &Arc<str>, number: u64, outcome: &Outcome) {
        self.scope.in_flight.remove(&number);
        let Some(head) = self.scope.outgoing.head(conversation, Stage::Settling) else { return };
        match outcome {
            Outcome::Written(_) => {
                let row = outcome.rows::<Message>(0).ok().and_then(|rows| rows.into_iter().next());
                let result = row.map(Arc::new).ok_or_else(busy);
                let message = head.message.message.clone();
                self.over(conversation, &message, &result, true);
            }
            Outcome::Conflict { .. } => self.look_at_call(conversation),
            // The provider has given the same id to another message.
            Outcome::Failed(JobError { kind: JobErrorKind::Invalid, .. }) if head.message.forgets_sid() => {
                self.write_end(conversation);
            }
            outcome => {
                head.stage = Stage::Unsettled;
                self.call_again(conversation, STORE_RETRY_MS, outcome);
            }
        }
    }

    /// The store does not work: once more, later.
    fn call_again(&mut self, conversation: &Arc<str>, wait_ms: u64, outcome: &Outcome) {
        if let Outcome::Failed(error) = outcome {
            self.store_failed(error);
        }
        self.scope.agenda.put(self.now.mono + wait_ms, Due::Call(conversation.clone()));
    }

    /// A message is not pending any more, whoever has said so: it is as its row says.
    fn look_at_call(&mut self, conversation: &Arc<str>) {
        let Some(head) = self.scope.outgoing.current(conversation) else { return };
        head.stage = Stage::Settling;
        let question = calls::named(&self.scope.key, &head.message.message.id, "");
        self.ask(Job::Read(vec![question]), Wait::CallLooked(conversation.clone()));
    }

    /// Its row was looked at.
    pub(super) fn on_call_looked(&mut self, conversation: &Arc<str>, outcome: &Outcome) {
        let Some(head) = self.scope.outgoing.head(conversation, Stage::Settling) else { return };
        let message = head.message.message.clone();
        let row = outcome.rows::<Message>(0).ok().and_then(|rows| rows.into_iter().next());
        self.over(conversation, &message, &row.map(Arc::new).ok_or_else(busy), false);
    }

    /// A message has come to its end: those who wait are told, then, where it is news, the others; and the next one begins.
    fn over(&mut self, conversation: &Arc<str>, asked: &Message, result: &Result<Arc<Message>, Fail>, is_news: bool) {
        self.scope.outgoing.end(conversation);
        if let Ok(message) = result {
            self.scope.refresh(message);
        }
        let by = self.end_sending(&asked.message_id, result);
        let (message, fail) = match result {
            Ok(message) => (message.clone(), message.failure()),
            Err(fail) => (Arc::new(asked.clone()), Some(fail.clone())),
        };
        if is_news {
            self.tell_later(message.clone(), fail.map_or(Came::Sent, Came::Failed), by);
        }
        let sid = message.sid.as_deref().unwrap_or_default();
        for receipt in self.scope.early.take(self.now.mono, &message.id, sid) {
            self.report(super::who::Back::Nobody, receipt);
        }
        self.next_call(conversation);
    }
}

impl Message {
    /// Why it has failed, as clients are told.
    pub(super) fn failure(&self) -> Option<Fail> {
        let error = self.error.as_deref().filter(|_| self.status == Status::Failed)?;
        Some(rules::delivery_failed(error, self.reason.as_deref()))
    }
}

/// A message that does not reach its customer.
pub(super) fn failed(refusal: Refusal, at: WallMillis) -> Fate {
    let (error, reason) = match refusal {
        Refusal::WindowClosed => ("WINDOW_CLOSED", None),
        refusal => ("DELIVERY_FAILED", Some(refusal.reason().into())),
    };
    Fate { error: Some(error.into()), reason, ..fate(Status::Failed, at) }
}

/// A status, and nothing else that is known.
pub(super) fn fate(status: Status, at: WallMillis) -> Fate {
    Fate { status, sid: None, error: None, reason: None, at }
}

fn breaker(settings: &Settings) -> Breaker {
    let provider = &settings.provider;
    Breaker::new(Limits { failures: provider.breaker_failures, open_ms: provider.breaker_open_ms, successes: 1 })
}

/// Between two tries of one message.
const RETRY_MAX_MS: u64 = 60_000;
/// Until a store that has failed is asked again.
const STORE_RETRY_MS: u64 = 500;
