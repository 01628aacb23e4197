//! What came of jobs: batches that were written or not, and answers of the store.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};

use super::job::{self, Answer};
use super::payload::Fail;
use super::turn::{Turn, UNSAVED_KEPT_MAX};
use super::waiting::{Flushed, Reader, Wait};
use crate::app::effect::{Effect, JobError, JobErrorKind, Outcome, Write};

/// Nothing is tried for this time after a batch has failed.
const FLUSH_AGAIN_MS: u64 = 1_000;

impl Turn<'_> {
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
