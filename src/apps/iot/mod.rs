//! iot: plugs of clinics, watched and switched, and never an invented value (`docs/apps/iot.md`). One [`Iot`] per shard decides for the systems
//! whose home that shard is; a system is a clinic's devices, the accounts and sockets that they come by, and the browsers that watch.
//!
//! In reading order: `events` (their table) → `who`, `device`, `connection`, `credential`, `system`, `waiting` (what there is) → `wire` (what the
//! outside says, pure) → `turn` (what handlers share) → `connect` (browsers), `report` (the offline manager: all that comes of a device goes
//! through it), `alarm`, `log`, `agenda`, `actions` → `http` (what dashboards ask), `bridge` (a server elsewhere) → `tables`.
//!
//! What is told goes out at once; rows follow, the newest of each device. Nothing is shown that no device has said.

mod actions;
mod agenda;
mod alarm;
mod bridge;
mod cloud;
mod command;
mod connect;
pub(crate) mod connection;
mod control;
mod controls;
mod counters;
pub(crate) mod credential;
pub(crate) mod device;
mod events;
pub(crate) mod http;
mod local;
mod log;
mod order;
mod payload;
mod report;
pub(crate) mod settings;
mod system;
pub(crate) mod tables;
#[cfg(test)]
mod tests;
mod turn;
mod waiting;
mod who;
pub(crate) mod wire;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use self::bridge::Bridge;
use self::settings::Settings;
use self::system::System;
use self::turn::{Peer, Shared, Turn};
use self::who::{home_of, system_of};
use crate::app::effect::{Effect, Effects};
use crate::app::event::{AppInput, Connect};
use crate::app::identity::Identity;
use crate::app::job::{Job, Outcome};
use crate::app::link::{Arrival, LinkEvent, LinkId};
use crate::app::metric::Metric;
use crate::app::route::Call;
use crate::app::settings::Chosen;
use crate::app::sql::Statement;
use crate::app::table::Row;
use crate::app::{Application, Asked, AuthFailure, Context, Entity, Home, Refusal, Tally, Token};
use crate::base::time::Millis;

/// Its line in the table of applications.
pub const ROW: Row = Row {
    tables: Some(&tables::TABLES),
    http: http::HTTP,
    metrics: counters::METRICS,
    links: local::PATHS,
    ..Row::new("iot", "Smart plugs of clinics: their state, and who may switch them.", &["/iot"], || {
        let build = |settings: &Settings| -> Box<dyn Application> { Box::new(Iot::new(settings.clone())) };
        Box::new(Chosen { hosts: Settings::hosts, origins: Settings::origins, ..Chosen::of(build) })
    })
};

/// Systems that one shard holds; beyond that, those in which nothing runs are forgotten.
const SYSTEMS_MAX: usize = 4_096;

/// The application: its settings, the systems at home here, and what it waits for.
pub struct Iot {
    settings: Settings,
    /// By name. The one without is of sockets that have named none yet.
    systems: BTreeMap<Arc<str>, System>,
    /// The system of each timer.
    timers: BTreeMap<u64, Arc<str>>,
    shared: Shared,
    bridge: Bridge,
    /// The job that looks for systems with something to do.
    look: Option<Token>,
}

impl Iot {
    pub fn new(settings: Settings) -> Iot {
        let shared = Shared::new(&settings);
        let mut iot = Iot {
            settings,
            systems: BTreeMap::new(),
            timers: BTreeMap::new(),
            shared,
            bridge: Bridge::default(),
            look: None,
        };
        iot.make("", Millis(0));
        iot
    }

    fn make(&mut self, name: &str, now: Millis) {
        let timer = self.shared.waiting.token();
        let system = System::new(name, timer, now, &self.settings);
        self.timers.insert(timer.0, system.name.clone());
        self.systems.insert(system.name.clone(), system);
    }

    /// Runs one turn of a system that is in memory; `false` if it is not.
    fn turn(&mut self, cx: &mut Context<'_>, system: &str, fx: &mut Effects, run: impl FnOnce(&mut Turn<'_>)) -> bool {
        let Some(system) = self.systems.get_mut(system) else { return false };
        let (settings, shared) = (&self.settings, &mut self.shared);
        let mut turn = Turn { now: cx.now, rng: cx.rng, settings, system, shared, fx };
        run(&mut turn);
        turn.finish();
        true
    }

    /// The system that an input is about; empty: none.
    fn system_of_input<'a>(&'a self, input: &'a AppInput) -> Cow<'a, str> {
        let system = match input {
            AppInput::Link { event: LinkEvent::Arrived(arrival), .. } => return Cow::Owned(system_of_arrival(arrival)),
            AppInput::Connect(Connect { identity, .. })
            | AppInput::Disconnect { identity, .. }
            | AppInput::Moved { identity, .. } => system_of(identity).unwrap_or(""),
            AppInput::Event(event) => system_of(&event.identity).unwrap_or(""),
            AppInput::Call { call, .. } => system_of_call(call),
            AppInput::Wake { home: Home::Tenant(system) } if !bridge::is_home(system) => system,
            AppInput::Link { link, .. } => self.shared.links.get(link).map_or("", |(system, _)| system),
            AppInput::Timer { token } => self.timers.get(&token.0).map_or("", |system| system),
            _ => "",
        };
        Cow::Borrowed(system)
    }

    /// Looks for systems that have something to do by themselves.
    fn look(&mut self, fx: &mut Effects) {
        let token = self.shared.waiting.token();
        self.look = Some(token);
        fx.push(Effect::Job { job: Job::Read(vec![Statement::new(tables::UNFINISHED)]), token: Some(token) });
    }

    fn on_looked(&mut self, outcome: &Outcome, fx: &mut Effects) {
        match outcome.rows::<tables::Unfinished>(0) {
            Ok(found) => {
                self.look = None;
                for tables::Unfinished(system) in found {
                    fx.push(Effect::Wake { home: Home::Tenant(system.to_string()) });
                }
            }
            Err(error) => {
                tracing::warn!(target: "siod::iot", error = error.text, "systems with something to do are not known");
                let token = self.shared.waiting.token();
                self.look = Some(token);
                fx.push(Effect::Timer { token, after_ms: LOOK_AGAIN_MS });
            }
        }
    }

    /// Makes room where there are too many systems: those in which nothing runs can be read again.
    fn forget_idle(&mut self) {
        if self.systems.len() < SYSTEMS_MAX {
            return;
        }
        self.systems.retain(|name, system| name.is_empty() || !system.is_idle());
        let systems = &self.systems;
        self.timers.retain(|_, system| systems.contains_key(system));
    }

    fn on_link(&mut self, cx: &mut Context<'_>, link: LinkId, event: LinkEvent, fx: &mut Effects) {
        if let LinkEvent::Arrived(arrival) = &event {
            let system = system_of_arrival(arrival);
            self.turn(cx, &system, fx, |turn| turn.on_device_link(link, event));
            return;
        }
        let is_over = matches!(event, LinkEvent::Closed { .. });
        let Some((system, peer)) = self.shared.links.get(&link).cloned() else { return };
        if is_over {
            self.shared.links.remove(&link);
        }
        self.turn(cx, &system, fx, |turn| match (peer, link) {
            (Peer::Cloud(account), LinkId::Dialled(token)) => turn.on_cloud_link(&account, token, event),
            _ => turn.on_device_link(link, event),
        });
    }

    fn on_done(&mut self, cx: &mut Context<'_>, token: Token, outcome: &Outcome, fx: &mut Effects) {
        if self.look == Some(token) {
            return self.on_looked(outcome, fx);
        }
        if let Some((system, wait)) = self.shared.waiting.end(token) {
            self.turn(cx, &system, fx, |turn| turn.on_done(wait, outcome));
        }
    }
}

impl Application for Iot {
    fn admit(&self, verified: Result<Arc<Identity>, AuthFailure>, asked: &Asked<'_>) -> Result<Arc<Identity>, Refusal> {
        who::admit(verified, asked.handshake.origin(), &self.settings)
    }

    fn home(&self, identity: &Identity) -> Home {
        home_of(identity)
    }

    fn entity(&self, input: &AppInput) -> Option<Entity> {
        let system = self.system_of_input(input);
        (!system.is_empty()).then(|| Entity(system.into_owned()))
    }

    fn has_loaded(&self, input: &AppInput) -> bool {
        self.systems.contains_key(&*self.system_of_input(input))
    }

    fn load(&mut self, entity: &Entity) -> Option<Job> {
        (!self.systems.contains_key(&*entity.0)).then(|| Job::Read(tables::system(&entity.0)))
    }

    fn loaded(&mut self, cx: &mut Context<'_>, entity: &Entity, outcome: Outcome, fx: &mut Effects) {
        self.forget_idle();
        self.make(&entity.0, cx.now.mono);
        self.turn(cx, &entity.0, fx, |turn| turn.on_system(&outcome));
    }

    fn handle(&mut self, cx: &mut Context<'_>, input: AppInput, fx: &mut Effects) {
        let system = self.system_of_input(&input).into_owned();
        match input {
            AppInput::Started => {
                self.look(fx);
                if !self.settings.bridge_url.is_empty() {
                    fx.push(Effect::Wake { home: bridge::home() });
                }
            }
            AppInput::Wake { home: Home::Tenant(name) } if bridge::is_home(&name) => {
                let token = self.shared.waiting.token();
                self.bridge.dial(&self.settings, token, fx);
            }
            AppInput::Said { note, .. } => self.bridge.on_said(&note, fx),
            AppInput::Connect(connect) => {
                self.turn(cx, &system, fx, |turn| turn.on_connect(&connect));
            }
            AppInput::Event(event) => {
                self.turn(cx, &system, fx, |turn| turn.on_event(&event));
            }
            AppInput::Disconnect { socket, .. } | AppInput::Moved { socket, .. } => {
                self.turn(cx, &system, fx, |turn| turn.on_disconnect(socket));
            }
            AppInput::Timer { token } if self.look == Some(token) => self.look(fx),
            AppInput::Timer { token } if self.bridge.is_its(token) => {
                let next = self.shared.waiting.token();
                self.bridge.again(&self.settings, next, fx);
            }
            AppInput::Timer { .. } => {
                self.turn(cx, &system, fx, |turn| turn.on_timer());
            }
            AppInput::Link { link: LinkId::Dialled(token), event } if self.bridge.is_its(token) => {
                self.bridge.on_link(&self.settings, token, &event, fx);
            }
            AppInput::Link { link, event } => self.on_link(cx, link, event, fx),
            AppInput::Done { token, outcome } => self.on_done(cx, token, &outcome, fx),
            AppInput::Call { req, call } => {
                self.turn(cx, &system, fx, |turn| turn.on_http_call(req, &call));
            }
            AppInput::Draining => {
                self.shared.draining = true;
                let systems: Vec<Arc<str>> = self.systems.keys().cloned().collect();
                for system in systems {
                    self.turn(cx, &system, fx, |_| {});
                }
            }
            // It asks nobody for acks and takes no uploads; a system that is woken is read by that, and goes on by itself.
            _ => {}
        }
    }

    fn metrics(&self, out: &mut Vec<Metric>) {
        self.shared.counts.metrics(out);
        out.push(Metric::count("iot_bridge_dropped_total", [], self.bridge.dropped));
        let devices = || self.systems.values().flat_map(|system| system.devices.values());
        let online = devices().filter(|device| device.online).count() as u64;
        let open = |system: &System| system.connections.values().filter(|it| it.is_upstream() && it.is_open()).count();
        let queue: usize = self.systems.values().map(|system| system.unsaved.len()).sum();
        for (name, value) in [
            ("iot_upstream_connected", self.systems.values().map(open).sum::<usize>() as u64),
            ("iot_store_queue", queue as u64),
            ("iot_systems", self.systems.len() as u64 - 1),
        ] {
            out.push(Metric::count(name, [], value));
        }
        out.push(Metric::count("iot_devices", ["true"], online));
        out.push(Metric::count("iot_devices", ["false"], devices().count() as u64 - online));
    }

    fn name(&self) -> &'static str {
        "iot"
    }

    fn tally(&self) -> Tally {
        self.shared.counts.tally
    }
}

/// The system that a path of devices names.
fn system_of_arrival(arrival: &Arrival) -> String {
    wire::path::read(arrival.param("secret")).map(|presented| presented.system).unwrap_or_default()
}

fn system_of_call(call: &Call) -> &str {
    match &call.home {
        Home::Tenant(system) => system,
        Home::Local => "",
    }
}

/// How long the search for systems waits for another try.
const LOOK_AGAIN_MS: u64 = 1_000;
