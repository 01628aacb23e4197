//! What time and the store bring: the fleet's one timer, alerts, statistics, and the outcomes of jobs.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};

use super::connect::room_of_scope;
use super::device::Watch;
use super::event::{AlertTold, Fail, Stats};
use super::job::{self, Answer};
use super::rules::Scope;
use super::state::{AlertKind, Due};
use super::turn::{Turn, UNSAVED_KEPT_MAX};
use super::waiting::{Flushed, Reader, Wait};
use crate::app::effect::{Delivery, Effect, JobError, JobErrorKind, Outcome, Room, Write};
use crate::base::time::WallMillis;

/// Coalescing key of `devices:stats`; devices' numbers never get there.
const STATS_KEY: u64 = u64::MAX;
/// Nothing is tried for this time after a batch has failed.
const FLUSH_AGAIN_MS: u64 = 1_000;

impl Turn<'_> {
    /// The fleet's timer is due.
    pub fn on_timer(&mut self) {
        self.fleet.armed = None;
        while let Some((at, due)) = self.fleet.agenda.first().copied()
            && at <= self.now.mono
        {
            self.fleet.agenda.remove(&(at, due));
            match due {
                Due::Publish(number) => {
                    if let Some(id) = self.fleet.numbers.get(&number).cloned() {
                        if let Some(device) = self.fleet.devices.get_mut(&id) {
                            device.due = None;
                        }
                        self.publish(&id);
                    }
                }
                Due::Calm(number) => {
                    if let Some(id) = self.fleet.numbers.get(&number).cloned() {
                        self.on_calm(&id);
                    }
                }
                Due::Flush => {
                    self.fleet.unsaved.scheduled = false;
                    self.flush();
                }
                Due::Stats => self.tell_stats(),
            }
        }
        self.expire_commands();
    }

    /// At the end of every turn: alerts that are due are told, in a drain what is unsaved is handed over, and the timer is
    /// set to what comes next.
    pub fn finish(&mut self) {
        while let Some(raised) = self.fleet.alerts.due(self.now.mono) {
            let (id, kind) = raised.key;
            self.tell_alert(&id, kind, raised.since, None);
        }
        if self.books.draining && !self.fleet.unsaved.is_empty() {
            self.flush();
        }
        let next = self.fleet.deadline();
        if next == self.fleet.armed {
            return;
        }
        self.fleet.armed = next;
        let token = self.fleet.timer;
        self.fx.push(match next {
            Some(at) => Effect::Timer { token, after_ms: at.since(self.now.mono) },
            None => Effect::Cancel { token },
        });
    }

    /// Ends an alert and tells so, if it had been told.
    pub fn resolve_alert(&mut self, id: &Arc<str>, kind: AlertKind) {
        if let Some(since) = self.fleet.alerts.resolve(self.now.mono, &(id.clone(), kind)) {
            self.tell_alert(id, kind, since, Some(self.now.wall));
        }
    }

    fn tell_alert(&mut self, id: &Arc<str>, kind: AlertKind, since: WallMillis, resolved: Option<WallMillis>) {
        let told = AlertTold {
            device_id: Some(&**id).filter(|id| !id.is_empty()),
            kind: kind.name(),
            severity: kind.severity(),
            since: since.to_string(),
            resolved: resolved.map(|at| at.to_string()),
        };
        if id.is_empty() {
            let everybody = Watch::All.room("see", &self.fleet.name);
            self.tell_rooms(vec![everybody], Vec::new(), "device:alert", &told, Delivery::Must);
        } else {
            self.tell_seers(id, "device:alert", &told);
        }
        if resolved.is_none() {
            let text = format!("fleet {}, device {:?}: {} since {since}", self.fleet.name, &**id, kind.name());
            self.fx.push(Effect::Alert { kind: kind.name(), text });
        }
        let (fleet, device_id) = (self.fleet.name.to_string(), id.to_string());
        let (kind, severity) = (kind.name().to_owned(), kind.severity().to_owned());
        let alert = job::Alert { fleet, device_id, kind, severity, since, resolved };
        self.save(Write::Signage(job::Write::PutAlert(alert)));
    }

    /// `devices:stats`: each sees the devices of its scope; admins of one scope get the same bytes.
    fn tell_stats(&mut self) {
        let scopes: BTreeSet<Scope<'_>> = self.fleet.admins().map(|(_, admin)| admin.scope()).collect();
        let told = scopes.iter().map(|scope| (room_of_scope(scope, &self.fleet.name), self.stats(scope)));
        let told: Vec<(Room, Stats)> = told.collect();
        self.fleet.stats_scheduled = !told.is_empty();
        if told.is_empty() {
            return;
        }
        for (room, stats) in told {
            self.tell_rooms(vec![room], Vec::new(), "devices:stats", &stats, Delivery::Latest { key: STATS_KEY });
        }
        self.fleet.schedule(self.now.mono + self.settings.stats_interval_ms, Due::Stats);
    }

    fn stats(&self, scope: &Scope<'_>) -> Stats {
        let mut stats = Stats { server_time: self.now.wall.to_string(), ..Stats::default() };
        for (id, device) in self.fleet.devices.iter().filter(|(_, device)| scope.covers(&device.row.group)) {
            stats.total += 1;
            match device.status(self.fleet.here.is_here(id)) {
                "online" => stats.online += 1,
                "offline" => stats.offline += 1,
                "pending" => stats.pending += 1,
                _ => stats.retired += 1,
            }
            stats.commands_in_flight += self.fleet.commands.in_flight(id);
            let raised = AlertKind::ALL.iter().filter(|kind| self.fleet.alerts.is_raised(&(id.clone(), **kind)));
            stats.alerts += raised.count();
        }
        stats
    }

    /// A job has come back.
    pub fn on_done(&mut self, wait: Wait, outcome: Outcome) {
        match wait {
            Wait::Flush(flushed) => self.on_flushed(flushed, outcome),
            Wait::Grant(wait) => {
                let written = matches!(outcome, Outcome::Written);
                self.store_works(written);
                self.on_granted(*wait, written);
            }
            Wait::Picture(wait) => {
                let outcome = match outcome {
                    Outcome::Signage(Answer::Stored(outcome)) => outcome,
                    Outcome::Failed(error) => Err(error),
                    _ => Err(JobError { kind: JobErrorKind::Unavailable, text: "not a picture".to_owned() }),
                };
                self.on_picture(*wait, outcome);
            }
            Wait::Read(reader) => self.on_read(reader, outcome),
        }
    }

    fn on_flushed(&mut self, flushed: Flushed, outcome: Outcome) {
        let written = matches!(outcome, Outcome::Written);
        let Flushed { batch, kept, devices, states, then } = flushed;
        self.fleet.unsaved.in_flight = self.fleet.unsaved.in_flight.saturating_sub(1);
        self.fleet.unsaved.retry_at = (!written).then(|| self.now.mono + FLUSH_AGAIN_MS);
        if !written {
            self.keep_unsaved(batch, kept);
            self.fleet.unsaved.devices.extend(devices.iter().map(|(id, _)| id.clone()));
            self.fleet.unsaved.states.extend(states);
        }
        self.store_works(written);
        let mut held = Vec::new();
        for (id, reserved) in devices {
            let Some(device) = self.fleet.devices.get_mut(&id) else { continue };
            device.rev_allowed = device.rev_allowed.max(reserved);
            held.extend(device.held.then_some(id));
        }
        if !written {
            // Nobody waits for a store that fails.
            let waits = |id: &&Arc<str>| self.fleet.devices.get(*id).is_some_and(|device| device.held);
            held = self.fleet.unsaved.devices.iter().filter(waits).cloned().collect();
        }
        for id in held {
            self.publish(&id);
        }
        for (query, reader) in then {
            self.read(query, reader);
        }
        if !written || self.fleet.unsaved.pressing {
            self.flush();
        }
    }

    /// A batch that did not reach the disk is tried again before what came after it, as far as memory is given to it.
    fn keep_unsaved(&mut self, batch: Arc<Vec<Write>>, kept: usize) {
        let mut writes = Arc::try_unwrap(batch).unwrap_or_else(|shared| shared[..kept].to_vec());
        writes.truncate(kept);
        if self.fleet.unsaved.in_flight > 0 {
            // In a drain a later batch may have said something newer.
            writes.retain(|write| !replaces(write));
        }
        writes.append(&mut self.fleet.unsaved.writes);
        let too_many = writes.len().saturating_sub(UNSAVED_KEPT_MAX);
        writes.drain(..too_many);
        self.fleet.unsaved.writes = writes;
    }

    /// `store degraded` is told once when the store begins to fail, and once when it is back.
    pub fn store_works(&mut self, works: bool) {
        let everybody: Arc<str> = Arc::from("");
        if !works {
            self.books.counts.store_failures += 1;
            self.fleet.degraded = true;
            self.fleet.alerts.raise(self.now, (everybody, AlertKind::StoreDegraded), 0);
        } else if std::mem::replace(&mut self.fleet.degraded, false) {
            self.resolve_alert(&everybody, AlertKind::StoreDegraded);
        }
    }

    fn on_read(&mut self, reader: Reader, outcome: Outcome) {
        match (reader, outcome) {
            (Reader::History { socket, ack, device_id }, Outcome::Signage(Answer::History(changes))) => {
                let changes: Vec<Value> = changes.into_iter().map(shown_change).collect();
                let mut reply = json!({"deviceId": device_id, "changes": changes});
                self.fx.emit(socket, "device:history", &reply);
                reply["ok"] = json!(true);
                self.fx.ack(socket, ack, &reply);
            }
            (Reader::Failures { req }, Outcome::Signage(Answer::Failures(failures))) => {
                let failures: Vec<Value> = failures.into_iter().map(shown_failure).collect();
                self.reply(req, 200, &json!({"failures": failures}));
            }
            (reader, outcome) => {
                let kind = match outcome {
                    Outcome::Failed(error) => error.kind,
                    _ => JobErrorKind::Unavailable,
                };
                self.read_failed(&reader, &Fail::new(kind.code(), "The store did not answer"));
            }
        }
    }

    fn read_failed(&mut self, reader: &Reader, fail: &Fail) {
        match reader {
            Reader::History { socket, ack, .. } => {
                self.tell_error(*socket, "device:history", fail);
                if let Some(id) = ack {
                    let args = Bytes::from(json!({"ok": false, "error": fail}).to_string());
                    self.fx.push(Effect::Ack { socket: *socket, id: *id, args, attachments: Vec::new() });
                }
            }
            Reader::Failures { req } => self.reply(*req, 503, &json!({"error": fail})),
        }
    }

    /// The fleet has just come from the store: devices that were not known offline yet are, and are alerted about if they
    /// stay away.
    pub fn on_loaded(&mut self) {
        let expected = self.fleet.devices.iter().filter(|(_, device)| device.is_expected());
        let expected: Vec<Arc<str>> = expected.map(|(id, _)| id.clone()).collect();
        for id in expected {
            let after = self.settings.offline_alert_after_ms;
            self.fleet.alerts.raise(self.now, (id, AlertKind::Offline), after);
        }
    }
}

/// Whether a write takes the place of an earlier one.
fn replaces(write: &Write) -> bool {
    matches!(write, Write::Signage(job::Write::PutCommand(_) | job::Write::PutAlert(_)))
}

fn shown_change(change: job::Change) -> Value {
    let patch: Value = serde_json::from_str(&change.patch).unwrap_or_default();
    json!({"rev": change.rev, "timestamp": change.at.to_string(), "changes": patch})
}

fn shown_failure(failure: job::Failure) -> Value {
    json!({"at": failure.at.to_string(), "ip": failure.ip, "deviceId": failure.device_id, "reason": failure.reason})
}
