//! utalk: customer chat that never loses a message it has acknowledged (`docs/apps/utalk.md`). One [`Utalk`] per shard decides for the
//! scopes whose home that shard is; a scope is a tenant's workspace.
//!
//! In reading order: `events` (their table) → `who`, `user`, `conversation`, `message`, `wish`, `memory`, `scope` (what there is) → `payload`, `rules` (plain functions)
//! → `turn` (what handlers share), `audience` (who receives what) → `perform` (from a wish to what is done), `change` (of a conversation's
//! fields) → the handlers: `connect`, `presence`, `send`, `dispatch`, `inbound`, `read`, `edit`, `typing`, `sync`, `media` (of `file`s), `fetching` (of those `held`), `agenda`; the work
//! of agents: `queue`, `escalation`, `task` (what there is), `work`, `take`, `escalate`, `sweep`; what goes with time: `retention` → `tables`.
//! Clients that spell its events otherwise: `dialect` (their table), `hyphen` (what homes say beside).
//!
//! Truth is in the store: what is told `sent` is on disk, and what is told of a conversation is its row as it came back. Memory holds what is
//! being talked about; lists, and what somebody has missed, are bounded reads.

mod accounts;
mod agenda;
mod alarm;
mod asks;
mod audience;
mod calls;
mod change;
mod connect;
pub(crate) mod conversation;
mod counters;
mod dialect;
mod dispatch;
mod early;
mod edit;
mod escalate;
pub(crate) mod escalation;
mod events;
mod fetching;
mod file;
mod held;
mod hooked;
mod hooks;
mod http;
mod hyphen;
mod inbound;
mod media;
mod memory;
pub(crate) mod message;
mod numbers;
mod operation;
mod outgoing;
mod payload;
mod perform;
mod presence;
mod provider;
mod pulse;
pub(crate) mod queue;
mod read;
mod receipts;
mod retention;
mod rules;
mod scope;
mod send;
pub(crate) mod settings;
mod sweep;
mod sync;
pub(crate) mod tables;
mod take;
mod task;
#[cfg(test)]
mod tests;
mod turn;
mod typing;
pub(crate) mod user;
mod webhook;
mod who;
mod wish;
mod work;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::json;

use self::accounts::Accounts;
use self::connect::{code_of, is_access};
use self::retention::{FORGOTTEN, Retention};
use self::rules::AUTHENTICATION_FAILED;
use self::scope::Scope;
use self::settings::Settings;
use self::sweep::Sweep;
use self::turn::{Shared, Turn};
use self::who::{home_of, scope_of};
use crate::app::effect::{Effect, Effects};
use crate::app::event::{AppInput, Connect};
use crate::app::identity::Identity;
use crate::app::job::{Job, Outcome};
use crate::app::kit::breaker;
use crate::app::metric::Metric;
use crate::app::reply::{Content, Reply};
use crate::app::route::Call;
use crate::app::settings::Chosen;
use crate::app::table::Row;
use crate::app::{Application, Asked, AuthFailure, Context, Entity, Home, Refusal, Tally};
use crate::base::close::CloseReason;
use crate::base::ids::ReqId;

/// Its line in the table of applications.
pub const ROW: Row = Row {
    max_payload_bytes: Some(100_000_000),
    ping_timeout_ms: Some(60_000),
    connect_timeout_ms: Some(5_000),
    tables: Some(&tables::TABLES),
    dialects: dialect::DIALECTS,
    http: http::HTTP,
    metrics: counters::METRICS,
    ..Row::new("utalk", "Customer chat: conversations of agents, bots and customers.", NAMESPACES, || {
        let build = |settings: &Settings| -> Box<dyn Application> { Box::new(Utalk::new(settings.clone())) };
        Box::new(Chosen { hosts: Settings::hosts, shelves: media::shelves, ..Chosen::of(build) })
    })
};

const NAMESPACES: &[&str] = &["/app", "/agent", "/admin"];

/// Scopes that one shard holds; beyond that, those that nobody is in are forgotten.
const SCOPES_MAX: usize = 4_096;

/// The application: its settings, the scopes at home here, and what it waits for.
pub struct Utalk {
    settings: Settings,
    scopes: BTreeMap<Arc<str>, Scope>,
    /// The scope of each timer.
    timers: BTreeMap<u64, Arc<str>>,
    accounts: Accounts,
    shared: Shared,
    /// CONNECTs that were refused on their socket's shard since the last tick.
    refused: Cell<u64>,
    sweep: Sweep,
    retention: Retention,
}

impl Utalk {
    pub fn new(settings: Settings) -> Utalk {
        let (scopes, timers, accounts) = (BTreeMap::new(), BTreeMap::new(), Accounts::new());
        let mut shared = Shared::new();
        let (sweep, retention) = (Sweep::new(shared.waiting.token()), Retention::new(shared.waiting.token()));
        Utalk { settings, scopes, timers, accounts, shared, refused: Cell::new(0), sweep, retention }
    }

    /// Runs one turn of a scope that is loaded; `false` if it is not.
    fn turn(&mut self, cx: &mut Context<'_>, scope: &str, fx: &mut Effects, run: impl FnOnce(&mut Turn<'_>)) -> bool {
        let Some(scope) = self.scopes.get_mut(scope) else { return false };
        let Context { now, rng, authenticator } = cx;
        let (settings, shared) = (&self.settings, &mut self.shared);
        let mut turn = Turn { now: *now, rng, authenticator, settings, scope, shared, fx };
        run(&mut turn);
        turn.finish();
        true
    }

    fn scope_of_input(&self, input: &AppInput) -> Option<String> {
        match input {
            AppInput::Connect(Connect { identity, .. })
            | AppInput::Disconnect { identity, .. }
            | AppInput::Moved { identity, .. }
            | AppInput::Expiring { identity, .. } => Some(scope_of(identity, &self.settings)),
            AppInput::Event(event) => Some(scope_of(&event.identity, &self.settings)),
            AppInput::Call { call, .. } => match &call.home {
                Home::Tenant(scope) if !http::is_login(&call.home) => Some(scope.clone()),
                _ => None,
            },
            AppInput::Wake { home: Home::Tenant(scope) } => Some(scope.clone()),
            AppInput::Upload { req, .. } => self.shared.uploads.get(req).map(|scope| scope.to_string()),
            AppInput::Timer { token } => self.timers.get(&token.0).map(|scope| scope.to_string()),
            _ => None,
        }
    }

    /// A call that is of no scope: a login, a webhook that is not believed, or a signed URL.
    fn on_open_call(&mut self, cx: &mut Context<'_>, req: ReqId, call: &Call, fx: &mut Effects) {
        if http::is_login(&call.home) {
            self.accounts.on_call(cx, (&self.settings, &mut self.shared), (req, call), fx);
        } else if let Some(refused) = hooks::refused(call) {
            self.shared.counts.webhook("refused");
            let content = Content::Json((http::HTTP.error)(&refused, cx.now.wall));
            fx.push(Effect::Reply { req, reply: Reply { status: refused.status, content } });
        } else {
            media::on_signed(cx, req, call, fx);
        }
    }

    /// Makes room where there are too many scopes: those that nobody is in can be loaded again.
    fn forget_idle(&mut self) {
        if self.scopes.len() < SCOPES_MAX && !self.shared.is_full() {
            return;
        }
        self.scopes.retain(|_, scope| !scope.is_idle());
        self.shared.remembered = self.scopes.values().map(|scope| scope.counted).sum();
        let scopes = &self.scopes;
        self.timers.retain(|_, scope| scopes.contains_key(scope));
    }
}

impl Application for Utalk {
    /// Everybody comes with a token that the daemon has verified. Which namespaces are open to whom, the home says.
    fn admit(&self, verified: Result<Arc<Identity>, AuthFailure>, _: &Asked<'_>) -> Result<Arc<Identity>, Refusal> {
        let refused = |why| {
            self.refused.set(self.refused.get() + 1);
            let data = json!({"code": code_of(why)}).to_string();
            Refusal { message: AUTHENTICATION_FAILED.to_owned(), data: Some(data) }
        };
        match verified {
            Ok(identity) if is_access(&identity) => Ok(identity),
            Ok(_) => Err(refused(AuthFailure::Invalid)),
            Err(why) => Err(refused(why)),
        }
    }

    fn home(&self, identity: &Identity) -> Home {
        home_of(scope_of(identity, &self.settings))
    }

    /// `token:expired` is said at the end.
    fn expiry_notice_ms(&self) -> Option<u64> {
        Some(0)
    }

    fn entity(&self, input: &AppInput) -> Option<Entity> {
        self.scope_of_input(input).map(Entity)
    }

    fn has_loaded(&self, input: &AppInput) -> bool {
        self.scope_of_input(input).is_some_and(|scope| self.scopes.contains_key(&*scope))
    }

    fn load(&mut self, entity: &Entity) -> Option<Job> {
        let absent = !self.scopes.contains_key(&*entity.0);
        absent.then(|| Job::Read(agenda::stored(&entity.0.as_str().into())))
    }

    fn loaded(&mut self, cx: &mut Context<'_>, entity: &Entity, outcome: Outcome, fx: &mut Effects) {
        self.forget_idle();
        let timer = self.shared.waiting.token();
        let scope = Scope::new(&entity.0, timer, &self.settings);
        self.timers.insert(timer.0, scope.key.clone());
        self.scopes.insert(scope.key.clone(), scope);
        self.turn(cx, &entity.0, fx, |turn| turn.on_scope(&outcome));
    }

    fn handle(&mut self, cx: &mut Context<'_>, input: AppInput, fx: &mut Effects) {
        let scope = self.scope_of_input(&input).unwrap_or_default();
        match input {
            input if self.sweep.has_heard(&input, cx.now, &self.settings, fx) => {}
            input if self.retention.has_heard(&input, cx.now, &self.settings, fx) => {}
            AppInput::Connect(connect) => {
                self.turn(cx, &scope, fx, |turn| turn.on_connect(&connect));
            }
            AppInput::Event(event) => {
                self.turn(cx, &scope, fx, |turn| turn.on_event(&event));
            }
            AppInput::Started => {
                self.shared.operation.on_started(cx, &self.settings, fx);
                self.sweep.look(cx.now, &self.settings, fx);
            }
            AppInput::Said { home: Home::Tenant(scope), note } if note.about == FORGOTTEN => {
                self.turn(cx, &scope, fx, |turn| turn.scope.on_forgotten(&note));
            }
            AppInput::Said { note, .. } => {
                self.retention.begin(&self.settings, fx);
                let Shared { operation, waiting, .. } = &mut self.shared;
                operation.on_said(cx, &self.settings, &note, || waiting.token(), fx);
            }
            AppInput::Disconnect { socket, reason, .. } => {
                self.shared.operation.tick.errors.timeout += u64::from(reason == CloseReason::PingTimeout);
                self.turn(cx, &scope, fx, |turn| turn.on_disconnect(socket));
            }
            AppInput::Moved { socket, .. } => {
                self.turn(cx, &scope, fx, |turn| turn.on_disconnect(socket));
            }
            AppInput::Expiring { socket, in_ms: 0, .. } => {
                self.turn(cx, &scope, fx, |turn| turn.on_expired(socket));
            }
            AppInput::Timer { token } if scope.is_empty() => {
                self.shared.operation.tick.errors.connection += self.refused.take();
                let active = self.scopes.values().map(|scope| scope.seats.len() as u64).sum();
                self.shared.operation.on_timer(&self.settings, token, active, fx);
            }
            AppInput::Timer { .. } => {
                self.turn(cx, &scope, fx, |turn| turn.on_timer());
            }
            AppInput::Upload { req, news } => {
                self.turn(cx, &scope, fx, |turn| turn.on_news(req, news));
            }
            AppInput::Call { req, call } if scope.is_empty() => self.on_open_call(cx, req, &call, fx),
            AppInput::Call { req, call } => {
                self.turn(cx, &scope, fx, |turn| turn.on_call(req, &call));
            }
            AppInput::Done { token, outcome } if self.accounts.awaits(token) => {
                self.accounts.on_done(cx, (&self.settings, &mut self.shared), (token, &outcome), fx);
            }
            AppInput::Done { token, outcome } => {
                if self.shared.operation.on_done(cx, token, &outcome, fx) {
                    return;
                }
                if let Some((scope, wait)) = self.shared.waiting.end(token) {
                    self.turn(cx, &scope, fx, |turn| turn.on_done(wait, &outcome));
                }
            }
            AppInput::Draining => {
                let scopes: Vec<Arc<str>> = self.scopes.keys().cloned().collect();
                for scope in scopes {
                    self.turn(cx, &scope, fx, |turn| turn.on_draining());
                }
            }
            // It asks nobody for acks; a scope that is woken is loaded by that, and goes on by itself.
            _ => {}
        }
    }

    fn metrics(&self, out: &mut Vec<Metric>) {
        let mut sockets = [0; 3];
        for scope in self.scopes.values() {
            for (sum, count) in sockets.iter_mut().zip(scope.counts) {
                *sum += count;
            }
        }
        let waiting = self.scopes.values().map(|scope| scope.work.queue.len()).sum();
        self.shared.counts.metrics(self.scopes.len(), waiting, sockets, out);
        self.shared.operation.metrics(out);
        let is_open = self.shared.breaker.is_some_and(|breaker| breaker.state() == breaker::State::Open);
        out.push(Metric::count("utalk_provider_breaker_open", [], is_open.into()));
    }

    fn name(&self) -> &'static str {
        "utalk"
    }

    fn tally(&self) -> Tally {
        self.shared.counts.tally
    }
}
