//! Digital signage: players register, report state and obey commands; admins watch and command (`docs/apps/signage.md`).
//! One [`Signage`] per shard decides for the fleets whose home that shard is; a fleet is a tenant's devices.
//! It sees no socket and no file: what it is told are `AppInput`s, what should happen are `Effects`.
//!
//! In reading order: `events` (their table) → `payload` → `fleet`, `device`, `origin`, `waiting` (what a fleet holds) → `rules`, `state`, `snapshot`,
//! `tokens` (plain functions) → `turn` (what handlers share) → the handlers: `connect`, `register`, `report`, `asks`, `command`, `answer`, `legacy`,
//! `subscription`, `looks`, `authorization`, `pairing`, `agenda`, `alerts`, `stats`, `outcome` → `tables`, `http` (what it keeps on disk, what
//! HTTP asks of it).
//!
//! A device's state goes out once for all who watch it: see `subscription`. The state of a fleet follows the disk only where
//! somebody relies on it (admission, revisions); everything else is written behind, and goes on while the store fails.

mod agenda;
mod alerts;
mod answer;
mod asks;
mod authorization;
mod command;
mod connect;
mod counters;
mod device;
mod events;
mod fleet;
pub(crate) mod http;
mod legacy;
mod looks;
mod origin;
mod outcome;
mod pairing;
pub(crate) mod payload;
mod register;
mod report;
pub(crate) mod rules;
pub(crate) mod settings;
pub(crate) mod snapshot;
pub(crate) mod state;
mod stats;
mod subscription;
pub(crate) mod tables;
#[cfg(test)]
mod tests;
pub(crate) mod tokens;
mod turn;
mod waiting;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use self::authorization::{entity_of, fleet_of_entity};
use self::connect::{is_pairing, named_device};
use self::counters::Counts;
use self::fleet::Fleet;
use self::rules::{NOT_AUTHORIZED, fleet_of};
use self::settings::Settings;
use self::state::Volatile;
use self::turn::{Shared, Turn};
use crate::app::effect::{Effect, Effects};
use crate::app::event::{AppInput, Connect};
use crate::app::identity::{AuthMethod, Claims, Identity};
use crate::app::job::{Job, JobError, Outcome};
use crate::app::kit::ack::Fail;
use crate::app::kit::waiting::Waiting;
use crate::app::metric::Metric;
use crate::app::reply::Reply;
use crate::app::route::Call;
use crate::app::settings::{Chosen, network};
use crate::app::table::Row;
use crate::app::{Application, Asked, AuthFailure, Context, Entity, Home, Refusal, Tally};

/// Its line in the table of applications.
pub const ROW: Row = Row {
    max_payload_bytes: Some(33_554_432),
    tables: Some(&tables::TABLES),
    http: http::HTTP,
    metrics: counters::METRICS,
    ..Row::new("signage", "Digital signage: players, their state, commands to them.", &["/signage"], || {
        let build = |settings: &Settings| -> Box<dyn Application> { Box::new(Signage::new(settings.clone())) };
        Chosen::with_shelves(build, tables::shelves)
    })
};

/// Fleets one shard holds.
const FLEETS_MAX: usize = 4_096;

/// The application: its settings, the fleets at home here, and what it waits for.
pub struct Signage {
    settings: Settings,
    fleets: BTreeMap<String, Fleet>,
    /// The fleet of each timer.
    timers: BTreeMap<u64, Arc<str>>,
    shared: Shared,
}

impl Signage {
    pub fn new(settings: Settings) -> Signage {
        let fleet_token_hash = rules::hash(settings.fleet_token.expose());
        let (counts, waiting) = (Counts::default(), Waiting::default());
        let volatile = Volatile::of(&settings.volatile_paths);
        let legacy = settings.legacy_addresses.iter().filter_map(|text| network(text)).collect();
        let shared = Shared { counts, waiting, fleet_token_hash, volatile, legacy, draining: false };
        Signage { settings, fleets: BTreeMap::new(), timers: BTreeMap::new(), shared }
    }

    /// Runs one turn of a fleet that is loaded; `false` if it is not.
    fn turn(&mut self, cx: &mut Context<'_>, fleet: &str, fx: &mut Effects, run: impl FnOnce(&mut Turn<'_>)) -> bool {
        let Some(fleet) = self.fleets.get_mut(fleet) else { return false };
        let mut turn = Turn { now: cx.now, rng: cx.rng, settings: &self.settings, fleet, shared: &mut self.shared, fx };
        run(&mut turn);
        turn.finish();
        true
    }

    fn fleet_of_input<'a>(&'a self, input: &'a AppInput) -> Option<&'a str> {
        match input {
            AppInput::Connect(connect) => Some(fleet_of(&connect.identity)),
            AppInput::Event(event) => Some(fleet_of(&event.identity)),
            AppInput::Disconnect { identity, .. }
            | AppInput::Heard { identity, .. }
            | AppInput::Drained { identity, .. } => Some(fleet_of(identity)),
            AppInput::Call { call, .. } => Some(fleet_of_call(call)),
            AppInput::Timer { token } => self.timers.get(&token.0).map(|fleet| &**fleet),
            _ => None,
        }
    }

    fn on_connect(&mut self, cx: &mut Context<'_>, connect: &Connect, fx: &mut Effects) {
        let fleet = fleet_of(&connect.identity);
        if !self.turn(cx, fleet, fx, |turn| turn.on_connect(connect)) {
            fx.refuse(connect.socket, NOT_AUTHORIZED, Some(json!({"code": "TOO_MANY_FLEETS"})));
        }
    }
}

/// Takes what the store answered to [`tables::fleet`] into memory.
fn restore(fleet: &mut Fleet, outcome: &Outcome) -> Result<(), JobError> {
    let (devices, states, alerts) = (outcome.rows(0)?, outcome.rows(1)?, outcome.rows(2)?);
    authorization::restore(fleet, devices, states, alerts);
    Ok(())
}

impl Application for Signage {
    /// People come with a token the daemon has verified; a device's own token is judged at its fleet's home.
    fn admit(&self, verified: Result<Arc<Identity>, AuthFailure>, asked: &Asked<'_>) -> Result<Arc<Identity>, Refusal> {
        let auth: Map<String, Value> = serde_json::from_slice(asked.auth).unwrap_or_default();
        let named = named_device(&auth, asked.handshake).and_then(|value| rules::id(Some(&value), "deviceId").ok());
        let identity = match verified {
            Ok(identity) if !rules::is_fleet(fleet_of(&identity)) => {
                let data = json!({"code": "VALIDATION"}).to_string();
                return Err(Refusal { message: NOT_AUTHORIZED.to_owned(), data: Some(data) });
            }
            // A device that waits to be paired has no token in any mode.
            Ok(_) if self.settings.pairing && is_pairing(&auth, asked) => Arc::new(of_device(None).into()),
            // In development mode a handshake that names a device is that device.
            Ok(identity) if identity.method == AuthMethod::Dev && named.is_some() => {
                Arc::new(Claims { role: "device".to_owned(), device_id: named, ..identity.claims() }.into())
            }
            Ok(identity) => identity,
            Err(_) => Arc::new(of_device(named).into()),
        };
        Ok(identity)
    }

    fn home(&self, identity: &Identity) -> Home {
        Home::Tenant(fleet_of(identity).to_owned())
    }

    /// They move `lastSeen`.
    fn hears_pongs(&self) -> bool {
        true
    }

    fn entity(&self, input: &AppInput) -> Option<Entity> {
        self.fleet_of_input(input).map(entity_of)
    }

    fn has_loaded(&self, input: &AppInput) -> bool {
        self.fleet_of_input(input).is_some_and(|fleet| self.fleets.contains_key(fleet))
    }

    fn load(&mut self, entity: &Entity) -> Option<Job> {
        let fleet = fleet_of_entity(entity);
        let room = self.fleets.len() < FLEETS_MAX && rules::is_fleet(fleet);
        let absent = !self.fleets.contains_key(fleet);
        (absent && room).then(|| Job::Read(tables::fleet(fleet)))
    }

    fn loaded(&mut self, cx: &mut Context<'_>, entity: &Entity, outcome: Outcome, fx: &mut Effects) {
        let name = fleet_of_entity(entity);
        let timer = self.shared.waiting.token();
        let mut fleet = Fleet::new(name, timer, cx.now, &self.settings);
        self.timers.insert(timer.0, fleet.name.clone());
        let restored = restore(&mut fleet, &outcome);
        if let Err(error) = &restored {
            let text = format!("fleet {name} is served without what is stored of it: {}", error.text);
            fx.push(Effect::Alert { kind: "fleet_not_loaded", text });
        }
        self.fleets.insert(name.to_owned(), fleet);
        self.turn(cx, name, fx, |turn| {
            turn.store_works(restored.is_ok());
            turn.on_loaded();
        });
    }

    fn handle(&mut self, cx: &mut Context<'_>, input: AppInput, fx: &mut Effects) {
        match input {
            AppInput::Connect(connect) => self.on_connect(cx, &connect, fx),
            AppInput::Event(event) => {
                self.turn(cx, fleet_of(&event.identity), fx, |turn| turn.on_event(&event));
            }
            AppInput::Disconnect { socket, identity, reason, silent_ms } => {
                self.turn(cx, fleet_of(&identity), fx, |turn| turn.on_disconnect(socket, reason, silent_ms));
            }
            AppInput::Heard { socket, identity } => {
                self.turn(cx, fleet_of(&identity), fx, |turn| turn.on_pong(socket));
            }
            AppInput::Timer { token } => {
                let Some(fleet) = self.timers.get(&token.0).cloned() else { return };
                self.turn(cx, &fleet, fx, |turn| turn.on_timer());
            }
            AppInput::Done { token, outcome } => {
                if let Some((fleet, wait)) = self.shared.waiting.end(token) {
                    self.turn(cx, &fleet, fx, |turn| turn.on_done(wait, outcome));
                }
            }
            AppInput::Call { req, call } => {
                if !self.turn(cx, fleet_of_call(&call), fx, |turn| turn.on_call(req, &call)) {
                    let fail = Fail::new("TOO_MANY_FLEETS", "No room for another fleet");
                    fx.push(Effect::Reply { req, reply: Reply::json(503, &json!({"error": fail})) });
                }
            }
            AppInput::Drained { socket, identity, keys } => {
                self.turn(cx, fleet_of(&identity), fx, |turn| turn.on_drained(socket, &keys));
            }
            AppInput::Draining => {
                self.shared.draining = true;
                let fleets: Vec<Arc<str>> = self.fleets.values().map(|fleet| fleet.name.clone()).collect();
                for fleet in fleets {
                    self.turn(cx, &fleet, fx, |_| {});
                }
            }
            // Its fleets say nothing to each other, it asks nobody for acks, takes no uploads, has no links, none of its sockets becomes somebody else, and a fleet is loaded when a client of it comes.
            AppInput::Acked { .. }
            | AppInput::Upload { .. }
            | AppInput::Left { .. }
            | AppInput::Link { .. }
            | AppInput::Said { .. }
            | AppInput::Moved { .. }
            | AppInput::Expiring { .. }
            | AppInput::Started
            | AppInput::Wake { .. } => {}
        }
    }

    fn metrics(&self, out: &mut Vec<Metric>) {
        self.shared.counts.metrics(self.fleets.values(), out);
    }

    fn name(&self) -> &'static str {
        "signage"
    }

    fn tally(&self) -> Tally {
        self.shared.counts.tally
    }
}

/// Somebody whose token, if there is one, is judged at the fleet's home.
fn of_device(named: Option<String>) -> Claims {
    let sub = named.clone().unwrap_or_else(|| "device".to_owned());
    let (role, method) = ("device".to_owned(), AuthMethod::Application);
    Claims { sub, role, device_id: named, method, ..Claims::default() }
}

fn fleet_of_call(call: &Call) -> &str {
    match &call.home {
        Home::Tenant(fleet) => fleet,
        Home::Local => "default",
    }
}
