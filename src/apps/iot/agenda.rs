//! What a system does by itself: its one timer, and what is due then; and what came of jobs.

use super::connection::{Connection, Status};
use super::credential::Credential;
use super::device::Device;
use super::tables;
use super::tables::logs;
use super::tables::outbound::Hash;
use super::turn::Turn;
use super::waiting::{Due, Wait};
use crate::app::job::{Job, JobError, Outcome};
use crate::base::time::WallMillis;

impl Turn<'_> {
    /// The system's timer is due.
    pub(super) fn on_timer(&mut self) {
        self.system.timer.went_off();
        while let Some(due) = self.system.agenda.next_due(self.now.mono) {
            match due {
                Due::Flush => self.flush(),
                Due::Reload => self.ask(Job::Read(tables::system(&self.system.name)), Wait::System),
                Due::Tell(number) => self.tell_device(number),
                Due::Silent(number) => self.on_silence(number),
                Due::Consumption(number) => self.on_old_consumption(number),
                Due::Retention => self.forget_old_logs(),
                Due::Snapshot(socket) => self.tell_snapshot(socket),
                Due::Cloud(account, step) => self.on_cloud_due(&account, step),
                Due::Command(ticket) => self.on_command_due(ticket),
                Due::Device(link) => self.on_device_due(link),
                Due::Call(link, id) => self.on_call_due(link, id),
                Due::Dial(device) => self.on_dial(&device),
            }
        }
    }

    /// At the end of every turn: the timer is set to what comes next.
    pub(super) fn finish(&mut self) {
        if self.shared.draining {
            self.flush();
        }
        let next = self.system.agenda.deadline();
        self.fx.0.extend(self.system.timer.set(self.now.mono, next));
    }

    /// What is stored of the system has come, or has not: then it is asked for again.
    pub(super) fn on_system(&mut self, outcome: &Outcome) {
        match self.restore(outcome) {
            Ok(()) => {
                self.system.is_loaded = true;
                self.store_works(true);
                self.on_loaded();
            }
            Err(error) => {
                tracing::warn!(target: "siod::iot", system = &*self.system.name, error = error.text, "a system is not read");
                self.store_works(false);
                self.system.agenda.add(self.now.mono + RELOAD_MS, Due::Reload);
            }
        }
    }

    fn restore(&mut self, outcome: &Outcome) -> Result<(), JobError> {
        let (connections, credentials) = (outcome.rows::<Connection>(0)?, outcome.rows::<Credential>(1)?);
        let (devices, hashes) = (outcome.rows::<Device>(2)?, outcome.rows::<Hash>(3)?);
        for connection in connections {
            self.system.connections.insert(connection.id.clone(), connection);
        }
        for credential in credentials {
            self.system.credentials.insert(credential.id.clone(), credential);
        }
        self.system.take_in(devices);
        self.system.outbound.extend(hashes.into_iter().map(|hash| hash.0));
        Ok(())
    }

    /// The system is in memory: what was connected when the process ended is not.
    fn on_loaded(&mut self) {
        for connection in self.system.connections.values_mut() {
            connection.traffic = Default::default();
            if connection.kind == super::connection::Kind::Sockets {
                connection.status = Status::Disconnected;
            }
        }
        self.settle_devices();
        self.system.agenda.put(self.now.mono + RETENTION_FIRST_MS, Due::Retention);
        self.start_clouds();
        self.dial_devices();
        if self.system.seats.values().any(|seat| seat.joined) {
            self.count_sockets();
            let sockets: Vec<_> = self.system.seats.iter().filter(|(_, seat)| seat.joined).map(|(at, _)| *at).collect();
            for socket in sockets {
                self.begin_snapshot(socket);
            }
        }
    }

    /// Rows of logs that are too old go, by and by.
    fn forget_old_logs(&mut self) {
        self.system.agenda.put(self.now.mono + RETENTION_MS, Due::Retention);
        let days = u64::from(self.settings.log_retention_days);
        if days > 0 {
            let before = WallMillis(self.now.wall.0.saturating_sub(days * DAY_MS));
            self.save(logs::forget_old(&self.system.name.clone(), before));
        }
    }

    /// A job has come back.
    pub(super) fn on_done(&mut self, wait: Wait, outcome: &Outcome) {
        self.system.jobs = self.system.jobs.saturating_sub(1);
        match wait {
            Wait::System => self.on_system(outcome),
            Wait::Flush(batch) => self.on_flushed(batch, outcome),
            Wait::Read(reading) => self.on_read(&reading, outcome),
            Wait::Stored(storing) => self.on_stored(*storing, outcome),
            Wait::Cloud(account, http) => self.on_call(&account, http, outcome),
            Wait::Join(join) => self.on_join_answer(join, outcome),
            Wait::First(device, ask) => self.on_first(&device, ask, outcome),
        }
    }
}

impl Wait {
    /// What is asked of the store where this waits for it.
    pub(super) fn question(&self, system: &str) -> Option<Job> {
        match self {
            Wait::System => Some(Job::Read(tables::system(system))),
            Wait::Read(reading) => Some(Job::Read(reading.questions.clone())),
            _ => None,
        }
    }
}

/// How long a system that could not be read waits for another try.
const RELOAD_MS: u64 = 500;
/// When old rows go first, and how often afterwards.
const RETENTION_FIRST_MS: u64 = 60_000;
const RETENTION_MS: u64 = 3_600_000;
const DAY_MS: u64 = 86_400_000;
