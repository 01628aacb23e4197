//! The store in memory: the reference that the databases must agree with, and `store.url = "memory:"`.
//! Nothing outlives the process. Commands and resolved alerts are taken and forgotten: no question asks for them.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;

use super::{Batch, Bounds, Repository};
use crate::app::effect::{JobError, Outcome, Query, Write};
use crate::app::kit::audit;
use crate::apps::signage::job::{self as signage, Alert, Answer, Change, Device, Failure, Snapshot, State};
use crate::base::time::WallMillis;

/// `(fleet, device_id)`.
type DeviceKey = (String, String);

#[derive(Default)]
pub struct Memory {
    bounds: Bounds,
    devices: BTreeMap<DeviceKey, Device>,
    states: BTreeMap<DeviceKey, State>,
    history: BTreeMap<DeviceKey, BTreeMap<u64, Change>>,
    snapshots: BTreeMap<String, Snapshot>,
    /// Unresolved ones, by device, kind and since.
    alerts: BTreeMap<(DeviceKey, String, WallMillis), Alert>,
    failures: VecDeque<Failure>,
    audit: VecDeque<audit::Entry>,
}

impl Memory {
    pub fn new(bounds: Bounds) -> Memory {
        Memory { bounds, ..Memory::default() }
    }

    fn write(&mut self, write: &Write) {
        match write {
            Write::Audit(entry) => push_bounded(&mut self.audit, entry, self.bounds.append_rows_max),
            Write::Signage(write) => self.write_signage(write),
        }
    }

    fn write_signage(&mut self, write: &signage::Write) {
        match write {
            signage::Write::PutDevice(device) => {
                self.devices.insert(key(&device.fleet, &device.device_id), device.clone());
            }
            signage::Write::PutState(state) => {
                self.states.insert(key(&state.fleet, &state.device_id), state.clone());
            }
            signage::Write::AddChange(change) => {
                let ring = self.history.entry(key(&change.fleet, &change.device_id)).or_default();
                ring.insert(change.rev, change.clone());
                while ring.len() > self.bounds.history_rows_max as usize {
                    ring.pop_first();
                }
            }
            signage::Write::PutCommand(_) => {}
            signage::Write::PutAlert(alert) => {
                let key = (key(&alert.fleet, &alert.device_id), alert.kind.clone(), alert.since);
                if alert.resolved.is_some() {
                    self.alerts.remove(&key);
                } else {
                    self.alerts.insert(key, alert.clone());
                }
            }
            signage::Write::AddFailure(failure) => {
                push_bounded(&mut self.failures, failure, self.bounds.append_rows_max);
            }
        }
    }

    fn answer(&self, query: &Query) -> Outcome {
        match query {
            Query::Audit { domain, limit } => {
                let newest = self.audit.iter().rev().filter(|entry| entry.domain == *domain);
                Outcome::Audit(newest.take(*limit as usize).cloned().collect())
            }
            Query::Signage(query) => Outcome::Signage(self.answer_signage(query)),
        }
    }

    fn answer_signage(&self, query: &signage::Query) -> Answer {
        match query {
            signage::Query::Fleet { fleet } => Answer::Fleet {
                devices: self.devices.values().filter(|device| device.fleet == *fleet).cloned().collect(),
                states: self.states.values().filter(|state| state.fleet == *fleet).cloned().collect(),
                alerts: self.alerts.values().filter(|alert| alert.fleet == *fleet).cloned().collect(),
            },
            signage::Query::History { fleet, device_id, since, limit } => {
                let ring = self.history.get(&key(fleet, device_id));
                let newest = ring.into_iter().flat_map(|ring| ring.values().rev()).take_while(|row| row.rev > *since);
                let mut rows: Vec<Change> = newest.take(*limit as usize).cloned().collect();
                rows.reverse();
                Answer::History(rows)
            }
            signage::Query::Failures { fleet, limit } => {
                let newest = self.failures.iter().rev().filter(|failure| failure.fleet == *fleet);
                Answer::Failures(newest.take(*limit as usize).cloned().collect())
            }
            signage::Query::Snapshot { id } => Answer::Snapshot(self.snapshots.get(id).cloned()),
        }
    }
}

impl Repository for Memory {
    fn commit(&mut self, group: &[&Batch]) -> Result<Vec<Result<(), JobError>>, JobError> {
        for batch in group {
            match batch {
                Batch::Writes(writes) => writes.iter().for_each(|write| self.write(write)),
                Batch::Snapshots { put, drop } => {
                    self.snapshots.retain(|id, _| !drop.contains(id));
                    self.snapshots.extend(put.iter().map(|row| (row.id.clone(), row.clone())));
                }
                Batch::Probe(_) => {}
            }
        }
        Ok(group.iter().map(|_| Ok(())).collect())
    }

    fn read(&mut self, query: &Query) -> Result<Outcome, JobError> {
        Ok(self.answer(query))
    }

    fn snapshots(&mut self) -> Result<Vec<Snapshot>, JobError> {
        Ok(self.snapshots.values().cloned().collect())
    }
}

/// One memory that the writer and the readers share.
impl Repository for Arc<Mutex<Memory>> {
    fn commit(&mut self, group: &[&Batch]) -> Result<Vec<Result<(), JobError>>, JobError> {
        self.lock().commit(group)
    }

    fn read(&mut self, query: &Query) -> Result<Outcome, JobError> {
        self.lock().read(query)
    }

    fn snapshots(&mut self) -> Result<Vec<Snapshot>, JobError> {
        self.lock().snapshots()
    }
}

fn key(fleet: &str, device_id: &str) -> DeviceKey {
    (fleet.to_owned(), device_id.to_owned())
}

fn push_bounded<T: Clone>(rows: &mut VecDeque<T>, row: &T, rows_max: u32) {
    rows.push_back(row.clone());
    while rows.len() > rows_max as usize {
        rows.pop_front();
    }
}
