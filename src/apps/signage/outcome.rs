//! What came of jobs: batches that were written or not, and answers of the store.

use std::sync::Arc;

use serde_json::{Value, json};

use super::tables::{self, Change, Failure};
use super::turn::{Turn, UNSAVED_KEPT_MAX};
use super::waiting::{Flushed, Reader, Wait};
use crate::app::effect::Effect;
use crate::app::job::{JobError, JobErrorKind, Outcome};
use crate::app::kit::ack::{AckStyle, Fail};
use crate::app::sql::Statement;

/// Nothing is tried for this time after a batch has failed.
const FLUSH_AGAIN_MS: u64 = 1_000;

impl Turn<'_> {
    /// A job has come back.
    pub(super) fn on_done(&mut self, wait: Wait, outcome: Outcome) {
        match wait {
            Wait::Flush(flushed) => self.on_flushed(flushed, outcome),
            Wait::Grant(wait) => {
                let written = outcome.is_written();
                self.store_works(written);
                self.on_granted(*wait, written);
            }
            Wait::Snapshot(wait) => {
                let outcome = match outcome {
                    Outcome::Kept(blob) => Ok(blob),
                    Outcome::Failed(error) => Err(error),
                    _ => Err(JobError::new(JobErrorKind::Unavailable, "not an image")),
                };
                self.on_snapshot(*wait, outcome);
            }
            Wait::Read(reader) => self.on_read(reader, outcome),
        }
    }

    fn on_flushed(&mut self, flushed: Flushed, outcome: Outcome) {
        let written = outcome.is_written();
        // What the database refuses for what it says is refused again, however often it is tried.
        let refused = match &outcome {
            Outcome::Failed(error) if error.kind == JobErrorKind::Invalid => Some(error.text.clone()),
            _ => None,
        };
        let Flushed { batch, kept, devices, states, then } = flushed;
        self.fleet.unsaved.in_flight = self.fleet.unsaved.in_flight.saturating_sub(1);
        self.fleet.unsaved.retry_at = (!written).then(|| self.now.mono + FLUSH_AGAIN_MS);
        if let Some(text) = refused {
            let text = format!("fleet {}: {kept} rows are lost, the store refuses them: {text}", self.fleet.name);
            self.fx.push(Effect::Alert { kind: "rows_refused", text });
        } else if !written {
            self.keep_unsaved(batch, kept);
        }
        if !written {
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
    fn keep_unsaved(&mut self, batch: Arc<Vec<Statement>>, kept: usize) {
        let mut writes = Arc::try_unwrap(batch).unwrap_or_else(|shared| shared[..kept].to_vec());
        writes.truncate(kept);
        if self.fleet.unsaved.in_flight > 0 {
            // In a drain a later batch may have said something newer.
            writes.retain(|write| !tables::replaces(write));
        }
        writes.append(&mut self.fleet.unsaved.writes);
        let too_many = writes.len().saturating_sub(UNSAVED_KEPT_MAX);
        writes.drain(..too_many);
        self.fleet.unsaved.writes = writes;
    }

    fn on_read(&mut self, reader: Reader, outcome: Outcome) {
        if let Err(error) = self.tell_rows(&reader, &outcome) {
            self.read_failed(&reader, &Fail::new(error.kind.code(), "The store did not answer"));
        }
    }

    fn tell_rows(&mut self, reader: &Reader, outcome: &Outcome) -> Result<(), JobError> {
        match reader {
            Reader::History { socket, ack, device_id } => {
                let changes: Vec<Value> = outcome.rows(0)?.into_iter().rev().map(shown_change).collect();
                let reply = json!({"deviceId": device_id, "changes": changes});
                self.fx.emit(*socket, "device:history", &reply);
                self.fx.0.extend(AckStyle::Result.reply(*socket, *ack, reply));
            }
            Reader::Failures { req } => {
                let failures: Vec<Value> = outcome.rows(0)?.into_iter().map(shown_failure).collect();
                self.reply(*req, 200, &json!({"failures": failures}));
            }
            Reader::Snapshot { req, id, identity } => {
                self.show_snapshot(*req, *id, identity, outcome.rows(0)?.into_iter().next());
            }
        }
        Ok(())
    }

    fn read_failed(&mut self, reader: &Reader, fail: &Fail) {
        match reader {
            Reader::History { socket, ack, .. } => {
                self.tell_error(*socket, "device:history", fail);
                self.fx.0.extend(AckStyle::Result.refusal(*socket, *ack, fail));
            }
            Reader::Failures { req } | Reader::Snapshot { req, .. } => self.reply(*req, 503, &json!({"error": fail})),
        }
    }
}

fn shown_change(change: Change) -> Value {
    let patch: Value = serde_json::from_str(&change.patch).unwrap_or_default();
    json!({"rev": change.rev, "timestamp": change.at.to_string(), "changes": patch})
}

fn shown_failure(failure: Failure) -> Value {
    json!({"at": failure.at.to_string(), "ip": failure.ip, "deviceId": failure.device_id, "reason": failure.reason})
}
