//! One turn of a fleet: what every handler has at hand, and the few things all of them do: tell, save, publish, wait.

use std::sync::Arc;

use ipnet::IpNet;
use serde::Serialize;
use serde_json::Value;

use super::counters::Counts;
use super::device::Device;
use super::fleet::{Due, Fleet};
use super::payload::{PlayerError, StateUpdated};
use super::rules;
use super::settings::Settings;
use super::state::{self, Volatile};
use super::tables;
use super::waiting::{Dirty, Flushed, Reader, Wait};
use crate::app::effect::{Delivery, Effect, Effects, Emission, Room, Target, Token};
use crate::app::job::Job;
use crate::app::kit::ack::Fail;
use crate::app::kit::audit::{Actor, Entry};
use crate::app::kit::patch;
use crate::app::kit::saving::{Latest, When};
use crate::app::kit::waiting::Waiting;
use crate::app::sql::Statement;
use crate::base::ids::SocketRef;
use crate::base::rng::Rng;
use crate::base::time::Now;

/// Revisions are reserved on disk in blocks, so that none is told twice after a crash.
const REV_BLOCK: u64 = 1_000;
/// The next block is asked for when this many are left.
const REV_AHEAD: u64 = 200;

/// What the whole application keeps beside its fleets.
pub(super) struct Shared {
    pub counts: Counts,
    pub waiting: Waiting<Wait>,
    /// Hash of the token that admits any device; empty: none does.
    pub fleet_token_hash: String,
    /// What the settings say of volatile paths and of legacy clients, ready for use.
    pub volatile: Volatile,
    pub legacy: Vec<IpNet>,
    /// The process is about to end: every turn ends with a flush.
    pub draining: bool,
}

/// A fleet, its surroundings, and the list to fill.
pub(super) struct Turn<'a> {
    pub now: Now,
    pub rng: &'a mut Rng,
    pub settings: &'a Settings,
    pub fleet: &'a mut Fleet,
    pub shared: &'a mut Shared,
    pub fx: &'a mut Effects,
}

impl Turn<'_> {
    /// `player:error`.
    pub(super) fn tell_error(&mut self, socket: SocketRef, event: &str, fail: &Fail) {
        self.fx.emit(socket, "player:error", &PlayerError { fail, event });
    }

    /// One event to everybody who may see this device.
    pub(super) fn tell_seers(&mut self, device: &str, name: &str, payload: &impl Serialize) {
        let Some(device) = self.fleet.devices.get(device) else { return };
        let rooms = device.rooms.see.clone();
        self.tell_rooms(rooms, Vec::new(), name, payload, Delivery::Must);
    }

    /// One event to rooms, if somebody is there.
    pub(super) fn tell_rooms(
        &mut self,
        rooms: Vec<Room>,
        except: Vec<Room>,
        name: &str,
        payload: &impl Serialize,
        delivery: Delivery,
    ) {
        if !self.fleet.is_watched(&rooms) {
            return;
        }
        let (target, event) = (Target::rooms(rooms, except), Emission::new(name, payload));
        self.fx.push(Effect::Emit { target, event, delivery });
    }

    pub(super) fn is_online(&self, device: &Arc<str>) -> bool {
        self.fleet.here.is_here(device)
    }

    /// A job's outcome will come back as this.
    pub(super) fn wait(&mut self, wait: Wait) -> Token {
        self.shared.waiting.begin(self.fleet.name.clone(), wait)
    }

    /// An entry of the audit, written with the next flush.
    pub(super) fn audit(&mut self, entry: Entry) {
        self.save(entry.add());
    }

    /// An entry about this turn.
    pub(super) fn entry(&self, actor: &Actor, action: &str, target: &str) -> Entry {
        Entry::new(self.now.wall, "signage", actor, action, target)
    }

    /// Written with the next flush.
    pub(super) fn save(&mut self, write: Statement) {
        match self.fleet.unsaved.add(self.now.mono, write) {
            Ok(when) => self.flush_when(when),
            Err(fault) => self.not_saved(fault),
        }
    }

    fn not_saved(&mut self, fault: &str) {
        let text = format!("fleet {}: a row is not saved, it holds {fault}", self.fleet.name);
        self.fx.push(Effect::Alert { kind: "row_not_saved", text });
    }

    /// The device's row, as it stands then, is written with the next flush.
    pub(super) fn save_device(&mut self, device: &Arc<str>) {
        let when = self.fleet.unsaved.touch(self.now.mono, Dirty::Device(device.clone()));
        self.flush_when(when);
    }

    fn flush_when(&mut self, when: When) {
        match when {
            When::Now => self.flush(),
            When::At(at) => self.fleet.agenda.add(at, Due::Flush),
        }
    }

    /// Hands what is unsaved to the store. While a batch is on its way it follows that one; after a failure it waits.
    pub(super) fn flush(&mut self) {
        let Fleet { unsaved, devices, name, committing, .. } = &mut *self.fleet;
        let mut reserved = Vec::new();
        let flush = unsaved.flush(self.now.mono, self.shared.draining, |key| match key {
            Dirty::Device(_) if *committing => Latest::NotYet,
            Dirty::Device(id) => devices.get(id).map_or(Latest::Gone, |device| {
                reserved.push((id.clone(), device.row.rev_reserved));
                Latest::Row(device.row.put())
            }),
            Dirty::State(id) => devices.get(id).map_or(Latest::Gone, |device| {
                let (fleet, device_id, json) = (name.to_string(), id.to_string(), device.published.to_string());
                Latest::Row(tables::State { fleet, device_id, rev: device.rev, json }.put())
            }),
        });
        for fault in flush.faults {
            self.not_saved(fault);
        }
        if let Some(at) = flush.again_at {
            self.fleet.agenda.add(at, Due::Flush);
        }
        if let Some(mut batch) = flush.batch {
            batch.also(tables::trims(batch.rows(), tables::ROWS_MAX));
            let job = batch.job();
            let token = self.wait(Wait::Flush(Flushed { batch, reserved }));
            self.fx.push(Effect::Job { job, token: Some(token) });
        }
        for (query, reader) in flush.questions {
            self.read(query, reader);
        }
    }

    /// A question that must see what has been saved so far.
    pub(super) fn read_saved(&mut self, query: Statement, reader: Reader) {
        self.fleet.unsaved.ask((query, reader));
        self.flush();
    }

    /// Asks the store as it is; [`Turn::read_saved`] where what is unsaved counts.
    pub(super) fn read(&mut self, query: Statement, reader: Reader) {
        let token = self.wait(Wait::Read(reader));
        self.fx.push(Effect::Job { job: Job::Read(vec![query]), token: Some(token) });
    }

    /// The reported state has changed: it is published at once if that is urgent or allowed again, else when it is.
    pub(super) fn publish_when_due(&mut self, id: &Arc<str>, urgent: bool) {
        let Some(device) = self.fleet.devices.get_mut(id) else { return };
        let next = device.published_at.map_or(self.now.mono, |at| at + self.settings.state_interval_ms);
        if urgent || next <= self.now.mono {
            return self.publish(id);
        }
        self.fleet.agenda.add(next, Due::Publish(device.number));
    }

    /// Tells watchers what has changed, under the next revision, and saves it.
    pub(super) fn publish(&mut self, id: &Arc<str>) {
        let Some(device) = self.fleet.devices.get_mut(id) else { return };
        self.fleet.agenda.remove(&Due::Publish(device.number));
        if !state::differ(&device.published, &device.current, &self.shared.volatile) {
            return;
        }
        if !self.reserve(id) {
            return;
        }
        let Some(device) = self.fleet.devices.get_mut(id) else { return };
        let Some(changes) = patch::diff(&device.published, &device.current) else { return };
        let first = !device.has_state();
        device.published = device.current.clone();
        device.published_at = Some(self.now.mono);
        device.rev += 1;
        let change = tables::Change {
            fleet: self.fleet.name.to_string(),
            device_id: id.to_string(),
            rev: device.rev,
            at: self.now.wall,
            patch: changes.to_string(),
        };
        self.shared.counts.state_updates += 1;
        if !first {
            let saved = rules::weight(&device.published).saturating_sub(change.patch.len());
            self.shared.counts.state_bytes_saved += saved as u64;
        }
        self.save(change.add());
        if let Some(trim) = change.trim(self.settings.history_per_device_max) {
            self.save(trim);
        }
        let when = self.fleet.unsaved.touch(self.now.mono, Dirty::State(id.clone()));
        self.flush_when(when);
        self.tell_state(id, &changes, first);
    }

    /// One encoding for those who have the state before, one for those who want it whole.
    fn tell_state(&mut self, id: &Arc<str>, changes: &Value, first: bool) {
        let online = self.is_online(id);
        let Some(device) = self.fleet.devices.get(id) else { return };
        let (rooms, key) = (device.rooms.clone(), device.number);
        let update = whole_state(id, device, online, self.now);
        let emit = |rooms: Vec<Room>, except: Vec<Room>, update: &StateUpdated<'_>, delivery| Effect::Emit {
            target: Target::rooms(rooms, except),
            event: Emission::new("state:updated", update),
            delivery,
        };
        let (by_diff, whole) = (self.fleet.is_watched(&rooms.diff), self.fleet.is_watched(&rooms.full));
        if first && (by_diff || whole) {
            let all = rooms.diff.into_iter().chain(rooms.full).collect();
            return self.fx.push(emit(all, Vec::new(), &update, Delivery::Full { key }));
        }
        if whole {
            self.fx.push(emit(rooms.full.clone(), Vec::new(), &update, Delivery::Latest { key }));
        }
        if by_diff {
            let update = StateUpdated { full: false, state: None, changes: Some(changes), ..update };
            self.fx.push(emit(rooms.diff, rooms.full, &update, Delivery::Patch { key }));
        }
    }

    /// The published state as a whole, to one socket.
    pub(super) fn tell_full(&mut self, socket: SocketRef, id: &Arc<str>, delivery: Delivery) {
        let online = self.is_online(id);
        let Some(device) = self.fleet.devices.get(id) else { return };
        let update = whole_state(id, device, online, self.now);
        let event = Emission::new("state:updated", &update);
        self.fx.push(Effect::Emit { target: Target::Socket(socket), event, delivery });
    }

    /// Whether the next revision may be told. If not, the block it is in is on its way to the disk, and [`Turn::publish`]
    /// is called again when it is there.
    pub(super) fn reserve(&mut self, id: &Arc<str>) -> bool {
        let Some(device) = self.fleet.devices.get_mut(id) else { return false };
        // Where the store fails, the live path goes on all the same.
        if self.fleet.unsaved.fails() {
            device.rev_allowed = device.rev_allowed.max(device.row.rev_reserved);
        }
        let (allowed, reserved) = (device.rev < device.rev_allowed, device.row.rev_reserved);
        device.held = !allowed;
        if device.rev + REV_AHEAD >= reserved {
            device.row.rev_reserved = device.rev + REV_AHEAD + REV_BLOCK;
            self.save_device(id);
        }
        if !allowed && self.fleet.unsaved.dirty().contains(&Dirty::Device(id.clone())) {
            self.flush();
        }
        allowed
    }
}

/// `state:updated` with the published state as a whole.
fn whole_state<'a>(id: &'a str, device: &'a Device, online: bool, now: Now) -> StateUpdated<'a> {
    StateUpdated {
        device_id: id,
        rev: device.rev,
        full: true,
        state: Some(&device.published),
        changes: None,
        online,
        timestamp: now.wall.to_string(),
    }
}
