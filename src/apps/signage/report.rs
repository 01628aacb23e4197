//! Reports of state, and the snapshots in them (SIGNAGE 9.6 and 9.10).

use core::net::IpAddr;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::origin::CommandOrigin;
use super::payload::no_device;
use super::register::Speaks;
use super::rules;
use super::snapshot::{self, Look};
use super::state::{self, Report};
use super::tables::{SHELF, Snapshot};
use super::turn::Turn;
use super::waiting::{SnapshotWait, Wait};
use crate::app::effect::Effect;
use crate::app::event::Event;
use crate::app::job::{Blob, Data, Job, JobError, JobErrorKind, Keep};
use crate::app::kind::IMAGES;
use crate::app::kit::ack::Fail;
use crate::app::kit::command::{Key, Row};
use crate::base::ids::SocketRef;

/// Snapshots of one device, and bytes of snapshots of a fleet, that the shell may have in hand.
const SNAPSHOTS_IN_FLIGHT_PER_DEVICE_MAX: u32 = 4;
const SNAPSHOT_BYTES_IN_FLIGHT_MAX: usize = 64 << 20;

/// What a successful answer to a command amounts to.
pub(super) enum Answering {
    /// It is told as it is.
    Plain(Row<CommandOrigin>, Option<Value>),
    /// It is told when its snapshot is stored.
    Waiting,
    /// Its snapshot could not be taken in.
    Failed(Row<CommandOrigin>, Fail),
}

impl Turn<'_> {
    /// `player:state`.
    pub(super) fn on_state(&mut self, event: &Event) -> Result<Value, Fail> {
        self.on_report(event, Speaks::State, state::report)
    }

    /// `state:update {changes}`.
    pub(super) fn on_update(&mut self, event: &Event) -> Result<Value, Fail> {
        self.on_report(event, Speaks::Aux, state::update)
    }

    /// `player:status`, `system:status`, `network:status` and `playlist:status`: of this section.
    pub(super) fn on_status(&mut self, event: &Event, section: &str) -> Result<Value, Fail> {
        self.on_report(event, Speaks::Aux, |map| state::status(map, section))
    }

    /// `heartbeat` and `STATUS_UPDATE` of legacy clients.
    pub(super) fn on_heartbeat(&mut self, event: &Event) -> Result<Value, Fail> {
        self.on_report(event, Speaks::State, state::heartbeat)
    }

    fn on_report(
        &mut self,
        event: &Event,
        speaks: Speaks,
        read: impl FnOnce(Map<String, Value>) -> Result<Report, Fail>,
    ) -> Result<Value, Fail> {
        let mut report = read(rules::object(event.args.parse(0))?)?;
        let taken = snapshot::take_from_state(&mut report.state, event.args.attachments());
        let id = self.speaker_as(event.socket, report.device_id.as_deref(), speaks)?;
        let rest = report.state.get("snapshot").and_then(Value::as_object).cloned().unwrap_or_default();
        let address = self.address_of(&id, event.socket);
        self.take_in(&id, report, taken.is_some(), address)?;
        self.note_report(&id, speaks == Speaks::State);
        if let Some(taken) = taken {
            self.take_snapshot(&id, event.socket, taken, rest)?;
        }
        let rev = self.fleet.devices.get(&id).map_or(0, |device| device.rev);
        Ok(json!({"deviceId": &*id, "rev": rev}))
    }

    fn note_report(&mut self, id: &Arc<str>, is_state: bool) {
        let Some(device) = self.fleet.devices.get_mut(id) else { return };
        device.quiet_since = self.now.mono;
        device.reports = device.reports.wrapping_add(1);
        if is_state {
            self.fleet.states += 1;
            device.last_state = self.fleet.states;
        }
    }

    /// Where the player itself can be reached: the address of its registered socket, else of the one that speaks.
    pub(super) fn address_of(&self, id: &Arc<str>, speaks: SocketRef) -> IpAddr {
        let socket = self.fleet.here.socket(id).unwrap_or(speaks);
        self.fleet.device_seat(socket).map_or(IpAddr::from([0; 4]), |seat| seat.ip)
    }

    fn take_in(&mut self, id: &Arc<str>, mut report: Report, with_snapshot: bool, address: IpAddr) -> Result<(), Fail> {
        let Some(device) = self.fleet.devices.get_mut(id) else { return Ok(()) };
        // Until the snapshot is stored the one before stands; what came beside it waits with it.
        if with_snapshot {
            device.snapshots_seen += 1;
            match device.current.get("snapshot") {
                Some(before) => drop(report.state.insert("snapshot".to_owned(), before.clone())),
                None => drop(report.state.shift_remove("snapshot")),
            }
        }
        if report.state.get("timestamp").is_some_and(Value::is_number) {
            report.state.insert("timestamp".to_owned(), json!(self.now.wall.to_string()));
        }
        let mut next = state::merge(&device.current, report);
        state::put_player_url(&mut next, address, self.settings.player_port);
        if rules::weight(&next) > rules::EVENT_BYTES_MAX {
            let message = format!("A state may have {} bytes, snapshots apart", rules::EVENT_BYTES_MAX);
            return Err(Fail::new("PAYLOAD_TOO_LARGE", message));
        }
        device.current = next;
        let changed = state::differ(&device.published, &device.current, &self.shared.volatile);
        let urgent = changed && state::is_urgent(&device.published, &device.current);
        if changed {
            self.publish_when_due(id, urgent);
        }
        self.seen_snapshot(id);
        Ok(())
    }

    fn take_snapshot(
        &mut self,
        id: &Arc<str>,
        socket: SocketRef,
        snapshot: Data,
        rest: Map<String, Value>,
    ) -> Result<(), Fail> {
        match self.store_snapshot(id, snapshot, rest, None) {
            Ok(()) => Ok(()),
            Err(fail) => {
                self.snapshot_failed(id, fail.code);
                if fail.code == "SNAPSHOT_TOO_LARGE" {
                    return Err(fail);
                }
                self.tell_error(socket, "player:state", &fail);
                Ok(())
            }
        }
    }

    /// Hands a snapshot to the shell, unless it is too large or too many are on their way.
    fn store_snapshot(
        &mut self,
        id: &Arc<str>,
        snapshot: Data,
        rest: Map<String, Value>,
        command: Option<(Key, Row<CommandOrigin>, Option<Value>)>,
    ) -> Result<(), Fail> {
        let bytes = snapshot.bytes();
        let bytes_max = self.settings.snapshot_bytes_max;
        // Base64 says its size to within two bytes; the job looks again.
        if bytes > bytes_max + 2 {
            return Err(Fail::new("SNAPSHOT_TOO_LARGE", format!("A snapshot may have {bytes_max} bytes")));
        }
        let Some(device) = self.fleet.devices.get_mut(id) else { return Err(no_device(id)) };
        let crowded = device.snapshots_in_flight >= SNAPSHOTS_IN_FLIGHT_PER_DEVICE_MAX
            || self.fleet.snapshot_bytes + bytes > SNAPSHOT_BYTES_IN_FLIGHT_MAX;
        if crowded {
            return Err(Fail::new(JobErrorKind::Busy.code(), "Too many snapshots at once"));
        }
        if command.is_some() {
            device.snapshots_seen += 1;
        }
        device.snapshots_in_flight += 1;
        self.fleet.snapshot_bytes += bytes;
        let (number, at) = (device.snapshots_seen, self.now.wall);
        let wait = SnapshotWait { device: id.clone(), number, bytes, rest, created_at: at.to_string(), command };
        let token = self.wait(Wait::Snapshot(Box::new(wait)));
        let blob = self.rng.sid();
        let (fleet, device_id) = (self.fleet.name.to_string(), id.to_string());
        // The row that says whose it is is on disk before anybody is told of the snapshot, and may ask for it.
        let write = Snapshot { id: blob.to_string(), fleet, device_id, at }.add();
        let keep = Keep { shelf: SHELF, id: blob, at, data: snapshot, bytes_max, kinds: IMAGES, write };
        self.fx.push(Effect::Job { job: Job::Keep(keep), token: Some(token) });
        Ok(())
    }

    /// Takes the snapshot out of a successful answer, if it carries one.
    pub(super) fn answer_with_snapshot(
        &mut self,
        key: &Key,
        row: Row<CommandOrigin>,
        mut result: Option<Value>,
        event: &Event,
    ) -> Answering {
        let look = if row.origin.command == "vlc:snapshot" { Look::Here } else { Look::Elsewhere };
        let taken = result.as_mut().and_then(|result| snapshot::take(result, event.args.attachments(), look));
        let Some(taken) = taken else { return Answering::Plain(row, result) };
        let kept = row.clone();
        match self.store_snapshot(&key.target, taken, Map::new(), Some((key.clone(), row, result))) {
            Ok(()) => Answering::Waiting,
            Err(fail) => {
                self.snapshot_failed(&key.target, fail.code);
                Answering::Failed(kept, fail)
            }
        }
    }

    /// The shell is done with a snapshot: it appears in the state, and in the response it came with.
    pub(super) fn on_snapshot(&mut self, wait: SnapshotWait, outcome: Result<Blob, JobError>) {
        self.fleet.snapshot_bytes = self.fleet.snapshot_bytes.saturating_sub(wait.bytes);
        let Some(device) = self.fleet.devices.get_mut(&wait.device) else { return };
        device.snapshots_in_flight = device.snapshots_in_flight.saturating_sub(1);
        let newest = wait.number > device.snapshot_applied;
        match outcome {
            Ok(stored) => {
                let mut shown = wait.rest;
                shown.insert("url".to_owned(), json!(snapshot_url(&self.settings.public_url, &stored.id)));
                shown.retain(|_, value| !value.is_null());
                shown.entry("createdAt").or_insert(json!(wait.created_at));
                shown.insert("mime".to_owned(), json!(stored.mime));
                shown.insert("bytes".to_owned(), json!(stored.bytes));
                shown.insert("sha256".to_owned(), json!(stored.sha256));
                self.shared.counts.snapshot_bytes += stored.bytes;
                if newest {
                    device.snapshot_applied = wait.number;
                    device.current["snapshot"] = Value::Object(shown.clone());
                    self.publish_when_due(&wait.device, false);
                    self.seen_snapshot(&wait.device);
                }
                if let Some((key, row, result)) = wait.command {
                    let mut result = result.and_then(|value| value.as_object().cloned()).unwrap_or_default();
                    result.extend(shown);
                    self.end_command(&key, &row, "success", Some(Value::Object(result)), None);
                }
            }
            Err(error) => {
                let code = error.kind.code();
                self.snapshot_failed(&wait.device, code);
                if let Some(socket) = self.fleet.here.socket(&wait.device) {
                    self.tell_error(socket, "player:state", &Fail::new(code, "The snapshot could not be stored"));
                }
                if let Some((key, row, _)) = wait.command {
                    let fail = Fail::new(code, "The snapshot could not be stored");
                    self.end_command(&key, &row, "error", None, Some(fail));
                }
            }
        }
    }

    /// The state goes on without the snapshot, and says so.
    pub(super) fn snapshot_failed(&mut self, id: &Arc<str>, code: &str) {
        self.shared.counts.snapshots_failed += 1;
        let Some(device) = self.fleet.devices.get_mut(id) else { return };
        if !device.current.get("snapshot").is_some_and(Value::is_object) {
            device.current["snapshot"] = json!({});
        }
        device.current["snapshot"]["error"] = json!(code);
        self.publish_when_due(id, false);
    }
}

/// Where a stored snapshot is served.
fn snapshot_url(public_url: &str, id: &str) -> String {
    format!("{}/signage/snapshots/{id}", public_url.trim_end_matches('/'))
}
