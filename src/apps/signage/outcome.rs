//! What came of jobs: batches that were written or not, and answers of the store.

use std::sync::Arc;

use serde_json::{Value, json};

use super::tables::{self, Change, Failure};
use super::turn::Turn;
use super::waiting::{Dirty, Flushed, Reader, Wait};
use crate::app::effect::Effect;
use crate::app::job::{JobError, JobErrorKind, Outcome};
use crate::app::kit::ack::{AckStyle, Fail};

impl Turn<'_> {
    /// A job has come back.
    pub(super) fn on_done(&mut self, wait: Wait, outcome: Outcome) {
        match wait {
            Wait::Flush(flushed) => self.on_flushed(flushed, &outcome),
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

    fn on_flushed(&mut self, flushed: Flushed, outcome: &Outcome) {
        let Flushed { batch, reserved } = flushed;
        let ended = self.fleet.unsaved.ended(self.now.mono, self.rng, batch, outcome, tables::replaces);
        if let Some((rows, text)) = ended.refused {
            let text = format!("fleet {}: {rows} rows are lost, the store refuses them: {text}", self.fleet.name);
            self.fx.push(Effect::Alert { kind: "rows_refused", text });
        }
        self.store_works(ended.is_written);
        let mut held = Vec::new();
        for (id, reserved) in reserved {
            let Some(device) = self.fleet.devices.get_mut(&id) else { continue };
            device.rev_allowed = device.rev_allowed.max(reserved);
            held.extend(device.held.then_some(id));
        }
        if !ended.is_written {
            // Nobody waits for a store that fails.
            held = self.fleet.unsaved.dirty().iter().filter_map(|key| self.held(key)).collect();
        }
        for id in held {
            self.publish(&id);
        }
        for (query, reader) in ended.questions {
            self.read(query, reader);
        }
        if self.fleet.unsaved.is_pressing() {
            self.flush();
        }
    }

    /// The device of this key, if its next revision waits for its row.
    fn held(&self, key: &Dirty) -> Option<Arc<str>> {
        let Dirty::Device(id) = key else { return None };
        self.fleet.devices.get(id).filter(|device| device.held).map(|_| id.clone())
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
