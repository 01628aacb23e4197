//! `device:snapshot`: somebody wants a new snapshot (SIGNAGE 9.18). The player is told to take one, and to that answers nothing: that it
//! has done so shows in a state, so it is asked for its state until the snapshot there is another one, or time is up.

use std::sync::Arc;

use serde_json::{Value, json};

use super::fleet::Due;
use super::state;
use super::turn::Turn;
use super::waiting::Wanted;
use crate::app::event::Event;
use crate::app::kit::ack::Fail;
use crate::base::ids::SocketRef;

/// How often the player is asked, and for how long.
const LOOK_AGAIN_MS: u64 = 2_000;
const LOOK_MS: u64 = 10_000;
/// People of a fleet who wait for snapshots.
const LOOKS_MAX: usize = 1_024;

impl Turn<'_> {
    /// `device:snapshot {deviceId}`: the newest snapshot at once, and a newer one when there is one.
    pub(super) fn on_device_snapshot(&mut self, event: &Event) -> Result<Value, Fail> {
        let id = self.seen_device(event)?;
        let player = self.hears_questions(&id);
        if player.is_some() && self.fleet.looks.len() >= LOOKS_MAX {
            return Err(Fail::new("TOO_MANY_COMMANDS", "Too many people wait for snapshots"));
        }
        let mut reply = json!({"deviceId": &*id, "snapshot": self.snapshot_of(&id), "requested": player.is_some()});
        if player.is_none() {
            reply["error"] = json!(if self.is_online(&id) { "UNSUPPORTED_COMMAND" } else { "DEVICE_OFFLINE" });
        }
        self.fx.emit(event.socket, "device:snapshot", &reply);
        if let Some(player) = player {
            self.tell_bare(player, "player:request:snapshot");
            self.look(event.socket, &id);
        }
        Ok(reply)
    }

    fn look(&mut self, socket: SocketRef, id: &Arc<str>) {
        let Some(device) = self.fleet.devices.get(id) else { return };
        let before = state::created_at(&device.current).cloned();
        let look = Wanted { socket, device: device.number, before, until: self.now.mono + LOOK_MS };
        let number = self.fleet.next_look;
        self.fleet.next_look += 1;
        self.fleet.looks.insert(number, look);
        self.fleet.agenda.add(self.now.mono + LOOK_AGAIN_MS, Due::Look(number));
    }

    /// Still no new snapshot: the player is asked again, or its asker is told.
    pub(super) fn on_look(&mut self, number: u64) {
        let Some(look) = self.fleet.looks.get(&number) else { return };
        let (until, socket) = (look.until, look.socket);
        let Some(id) = self.fleet.numbers.get(&look.device).cloned() else { return self.end_look(number) };
        if until <= self.now.mono {
            let reply =
                json!({"deviceId": &*id, "snapshot": self.snapshot_of(&id), "requested": false, "error": "TIMEOUT"});
            self.fx.emit(socket, "device:snapshot", &reply);
            return self.end_look(number);
        }
        self.ask_state(&id);
        self.fleet.agenda.add(self.now.mono + LOOK_AGAIN_MS, Due::Look(number));
    }

    /// The device has a snapshot, perhaps a new one.
    pub(super) fn seen_snapshot(&mut self, id: &Arc<str>) {
        if self.fleet.looks.is_empty() {
            return;
        }
        let Some(device) = self.fleet.devices.get(id) else { return };
        let taken = state::created_at(&device.current);
        let is_new = |look: &Wanted| look.device == device.number && taken.is_some() && look.before.as_ref() != taken;
        let waited = self.fleet.looks.iter().filter(|(_, look)| is_new(look));
        let waited: Vec<(u64, SocketRef)> = waited.map(|(number, look)| (*number, look.socket)).collect();
        for (number, socket) in waited {
            let reply = json!({"deviceId": &**id, "snapshot": self.snapshot_of(id), "requested": false});
            self.fx.emit(socket, "device:snapshot", &reply);
            self.end_look(number);
        }
    }

    /// Nobody waits any more on this socket.
    pub(super) fn end_looks_of(&mut self, socket: SocketRef) {
        self.fleet.looks.retain(|_, look| look.socket != socket);
    }

    /// What is due of it finds nothing.
    fn end_look(&mut self, number: u64) {
        self.fleet.looks.remove(&number);
    }

    /// The newest snapshot, `null` if there is none.
    fn snapshot_of(&self, id: &Arc<str>) -> Value {
        let snapshot = self.fleet.devices.get(id).and_then(|device| device.current.get("snapshot"));
        snapshot
            .filter(|snapshot| snapshot.as_object().is_some_and(|fields| !fields.is_empty()))
            .cloned()
            .unwrap_or_default()
    }
}
