//! One turn of a system: what every handler has at hand, and the few things all of them do: tell, save, wait.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use super::counters::Counts;
use super::settings::Settings;
use super::system::System;
use super::tables::{connections, credentials, devices};
use super::waiting::{Dirty, Due, Wait};
use super::wire::seal::Keyring;
use crate::app::effect::{Delivery, Effect, Effects, Emission, Target};
use crate::app::job::{Job, JobErrorKind, Outcome};
use crate::app::kit::audit;
use crate::app::kit::saving::{Batch, Latest, Turned, When};
use crate::app::kit::waiting::Waiting;
use crate::app::link::LinkId;
use crate::app::sql::Statement;
use crate::base::rng::Rng;
use crate::base::time::Now;

/// What the whole application keeps beside its systems.
pub(super) struct Shared {
    pub counts: Counts,
    pub waiting: Waiting<Wait>,
    pub draining: bool,
    pub keyring: Keyring,
    /// The system of each link, and its other end.
    pub links: BTreeMap<LinkId, (Arc<str>, Peer)>,
}

/// The other end of a link.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Peer {
    /// The cloud of an account.
    Cloud(Arc<str>),
    Device,
}

impl Shared {
    pub(super) fn new(settings: &Settings) -> Shared {
        let keyring = Keyring::new(&settings.encryption_key, &settings.encryption_keys_old);
        let (waiting, links) = (Waiting::default(), BTreeMap::new());
        Shared { counts: Counts::default(), waiting, draining: false, keyring, links }
    }
}

/// A system, its surroundings, and the list to fill.
pub(super) struct Turn<'a> {
    pub now: Now,
    pub rng: &'a mut Rng,
    pub settings: &'a Settings,
    pub system: &'a mut System,
    pub shared: &'a mut Shared,
    pub fx: &'a mut Effects,
}

impl Turn<'_> {
    /// One event to everybody who has joined the system, if somebody has.
    pub(super) fn tell_room(&mut self, name: &str, payload: &impl Serialize) {
        let text = serde_json::to_string(payload).expect("our own types serialise to JSON");
        self.tell_room_text(name, &text, Delivery::Must);
    }

    /// The same of JSON text.
    pub(super) fn tell_room_text(&mut self, name: &str, text: &str, delivery: Delivery) {
        super::bridge::pass(self.settings, &self.system.name, name, text, self.fx);
        if self.system.joined == 0 {
            return;
        }
        let (target, event) = (Target::room(self.system.room.clone()), Emission::with_args(name, &[text]));
        self.fx.push(Effect::Emit { target, event, delivery });
    }

    /// A job's outcome will come back as this.
    pub(super) fn ask(&mut self, job: Job, wait: Wait) {
        let token = self.shared.waiting.begin(self.system.name.clone(), wait);
        self.system.jobs += 1;
        self.fx.push(Effect::Job { job, token: Some(token) });
    }

    /// Written with the next flush.
    pub(super) fn save(&mut self, write: Statement) {
        let before = self.system.unsaved.len();
        match self.system.unsaved.add(self.now.mono, write) {
            Ok(when) => {
                // While the store fails too many wait, and the oldest go.
                let lost = (before + 1).saturating_sub(self.system.unsaved.len());
                self.shared.counts.logs_dropped += lost as u64;
                self.flush_when(when);
            }
            Err(fault) => self.not_saved(fault),
        }
    }

    /// The row of this, as it stands then, is written with the next flush.
    pub(super) fn touch(&mut self, dirty: Dirty) {
        let when = self.system.unsaved.touch(self.now.mono, dirty);
        self.flush_when(when);
    }

    /// A question that must see what has been saved so far.
    pub(super) fn read_saved(&mut self, wait: Wait) {
        self.system.unsaved.ask(wait);
        self.flush();
    }

    fn flush_when(&mut self, when: When) {
        match when {
            When::Now => self.flush(),
            When::At(at) => self.system.agenda.add(at, Due::Flush),
        }
    }

    /// Hands what is unsaved to the store. While a batch is on its way it follows that one; after a failure it waits.
    pub(super) fn flush(&mut self) {
        let (system, is_draining) = (&mut *self.system, self.shared.draining);
        let (name, now) = (system.name.clone(), self.now);
        let (devices, links, accounts) = (&system.devices, &system.connections, &system.credentials);
        let row = |row: Option<Statement>| row.map_or(Latest::Gone, Latest::Row);
        let flush = system.unsaved.flush(now.mono, is_draining, |key| match key {
            Dirty::Device(id) => row(devices.get(id).map(|device| devices::put(&name, device))),
            Dirty::Connection(id) => row(links.get(id).map(|connection| connections::put(&name, connection))),
            Dirty::Credential(id) => row(accounts.get(id).map(|account| credentials::put(&name, account, now.wall))),
        });
        for fault in flush.faults {
            self.not_saved(fault);
        }
        if let Some(at) = flush.again_at {
            self.system.agenda.add(at, Due::Flush);
        }
        if let Some(mut batch) = flush.batch {
            if batch.rows().iter().any(|row| row.sql() == audit::ADD) {
                batch.also(vec![audit::trim(audit::ROWS_MAX)]);
            }
            self.ask(batch.job(), Wait::Flush(batch));
        }
        for wait in flush.questions {
            self.ask_waiting(wait);
        }
    }

    /// A batch has come back.
    pub(super) fn on_flushed(&mut self, batch: Batch<Dirty, Wait>, outcome: &Outcome) {
        let rows = batch.rows().len();
        let ended = self.system.unsaved.ended(self.now.mono, self.rng, batch, outcome, |_| false);
        self.store_works(ended.is_written);
        if let Some((_, why)) = &ended.refused {
            let text = format!("system {}: {rows} rows are refused by the store: {why}", self.system.name);
            self.fx.push(Effect::Alert { kind: "rows_refused", text });
        }
        for wait in ended.questions {
            self.ask_waiting(wait);
        }
        if self.system.unsaved.is_pressing() {
            self.flush();
        }
    }

    fn ask_waiting(&mut self, wait: Wait) {
        if let Some(job) = wait.question(&self.system.name) {
            self.ask(job, wait);
        }
    }

    /// The store has done something, or has failed to.
    pub(super) fn store_works(&mut self, works: bool) {
        let name = &self.system.name;
        match self.system.unsaved.store_works(works) {
            Some(Turned::Degraded) => {
                let text = format!("system {name}: the store fails, its rows wait");
                self.fx.push(Effect::Alert { kind: "store_failed", text });
            }
            Some(Turned::Restored) => tracing::info!(target: "siod::iot", system = &**name, "the store works again"),
            None => {}
        }
    }

    fn not_saved(&mut self, fault: &str) {
        let text = format!("system {}: a row is not saved, it holds {fault}", self.system.name);
        self.fx.push(Effect::Alert { kind: "row_not_saved", text });
    }

    /// A write came to this.
    pub(super) fn is_written(&mut self, outcome: &Outcome) -> bool {
        let invalid = matches!(outcome, Outcome::Failed(error) if error.kind == JobErrorKind::Invalid);
        if !invalid {
            self.store_works(!matches!(outcome, Outcome::Failed(_)));
        }
        outcome.is_written()
    }
}
