//! One turn of a scope: what every handler has at hand, and the few things all of them do: answer, wait, write.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;
use serde_json::json;

use super::counters::Counts;
use super::dialect::{Beside, emission};
use super::operation::Operation;
use super::scope::Scope;
use super::settings::Settings;
use super::who::{Asker, Back};
use super::wish::Wait;
use crate::app::effect::{Delivery, Effect, Effects, Target, Token};
use crate::app::identity::Authenticator;
use crate::app::job::{Job, JobError};
use crate::app::kit::ack::{AckStyle, Fail};
use crate::app::kit::breaker::Breaker;
use crate::app::kit::waiting::Waiting;
use crate::app::sql::Statement;
use crate::base::ids::ReqId;
use crate::base::rng::Rng;
use crate::base::time::Now;

/// What the whole application keeps beside its scopes.
pub(super) struct Shared {
    pub counts: Counts,
    /// Of the provider, once it was asked.
    pub breaker: Option<Breaker>,
    pub waiting: Waiting<Wait>,
    /// The scope of each file on its way.
    pub uploads: BTreeMap<ReqId, Arc<str>>,
    pub operation: Operation,
    /// Bytes of messages in memory, of all scopes.
    pub remembered: usize,
}

impl Shared {
    pub(super) fn new() -> Shared {
        let (waiting, operation) = (Waiting::behind(OPERATION), Operation::new(OPERATION));
        let (counts, uploads) = (Counts::default(), BTreeMap::new());
        Shared { counts, waiting, uploads, operation, remembered: 0, breaker: None }
    }

    /// Whether scopes hold more messages than they should.
    pub(super) fn is_full(&self) -> bool {
        self.remembered > MESSAGES_BYTES_MAX
    }
}

/// A scope, its surroundings, and the list to fill.
pub(super) struct Turn<'a> {
    pub now: Now,
    pub rng: &'a mut Rng,
    pub authenticator: &'a Authenticator,
    pub settings: &'a Settings,
    pub scope: &'a mut Scope,
    pub shared: &'a mut Shared,
    pub fx: &'a mut Effects,
}

impl Turn<'_> {
    /// A job's outcome will come back as this.
    pub(super) fn ask(&mut self, job: Job, wait: Wait) {
        let token = self.shared.waiting.begin(self.scope.key.clone(), wait);
        self.scope.jobs += 1;
        self.fx.push(Effect::Job { job, token: Some(token) });
    }

    /// All or nothing of these.
    pub(super) fn write(&mut self, write: Vec<Statement>, wait: Wait) {
        self.ask(Job::Write(write.into()), wait);
    }

    /// Answers: to a socket by the named reply and an ack, to a call by its reply.
    pub(super) fn answer(&mut self, asker: &Asker, event: &str, reply: &impl Serialize) {
        self.answer_beside(asker, event, reply, None);
    }

    /// The same, with what those are told beside who speak the dialect.
    pub(super) fn answer_beside(
        &mut self,
        asker: &Asker,
        event: &str,
        reply: &impl Serialize,
        beside: Option<&Beside>,
    ) {
        match asker.back {
            Back::Socket { socket, ack, at } => {
                self.shared.operation.tick.latencies.add(self.now.mono.since(at));
                let event = emission(event, reply, beside);
                let beside = event.beside.clone();
                self.fx.push(Effect::Emit { target: Target::Socket(socket), event, delivery: Delivery::Must });
                if ack.is_some() {
                    let ack = AckStyle::Result.reply(socket, ack, json!(reply));
                    self.fx.0.extend(ack.map(|ack| ack.beside(beside)));
                }
            }
            Back::Call { req, form, is_speaker } => {
                let mut reply = form(Ok(&json!(reply)), self.now.wall);
                if is_speaker {
                    self.respell(&asker.who, &mut reply);
                }
                self.fx.push(Effect::Reply { req, reply });
            }
            Back::Part { req } => self.part_is_done(req, Ok(&json!(reply))),
            Back::Nobody => {}
        }
    }

    /// Refuses: to a socket by `error` and an ack, to a call by its reply.
    pub(super) fn refuse(&mut self, asker: &Asker, fail: &Fail) {
        if let Back::Socket { socket, .. } = asker.back {
            self.fx.emit(socket, "error", fail);
        }
        self.refuse_behind(asker, fail);
    }

    /// The same where its event has been told already.
    pub(super) fn refuse_behind(&mut self, asker: &Asker, fail: &Fail) {
        match asker.back {
            Back::Socket { socket, ack, at } => {
                let tick = &mut self.shared.operation.tick;
                tick.latencies.add(self.now.mono.since(at));
                tick.errors.message += 1;
                self.fx.0.extend(AckStyle::Result.refusal(socket, ack, fail));
            }
            Back::Call { req, form, .. } => {
                let reply = form(Err(fail), self.now.wall);
                self.fx.push(Effect::Reply { req, reply });
            }
            Back::Part { req } => self.part_is_done(req, Err(fail)),
            Back::Nobody => {}
        }
    }

    /// A job of the store has failed: said to operators, counted, and what clients are told.
    pub(super) fn store_failed(&mut self, error: &JobError) -> Fail {
        self.shared.counts.store_failures += 1;
        tracing::warn!(target: "siod::utalk", error = error.text, "the store has failed");
        Fail::new(DATABASE_ERROR, "Error de base de datos")
    }
}

/// The timer of [`Operation`]: the first name.
const OPERATION: Token = Token(1);

/// Nobody may know more of a conversation than this.
pub(super) fn access_denied() -> Fail {
    Fail::new("ACCESS_DENIED", "No tienes acceso a esta conversación")
}

/// The store has not done what was asked.
pub(super) const DATABASE_ERROR: &str = "DATABASE_ERROR";
/// Messages that one shard keeps in memory.
const MESSAGES_BYTES_MAX: usize = 64 * 1024 * 1024;
