//! Counters of signage, and the rows a scrape reads. Labels come from closed sets only.

use std::collections::BTreeMap;

use super::fleet::Fleet;
use crate::app::{Metric, Tally};

/// What has happened since the start. Plain numbers; a scrape copies.
#[derive(Default)]
pub struct Counts {
    pub state_updates: u64,
    pub state_bytes_saved: u64,
    /// By command label and status.
    pub commands: BTreeMap<(&'static str, &'static str), u64>,
    pub command_ms_sum: u64,
    pub command_count: u64,
    pub auth_failures: BTreeMap<&'static str, u64>,
    pub snapshot_bytes: u64,
    pub snapshots_failed: u64,
    /// Responses to nobody's, another device's, or an ended command, by which of these.
    pub responses_ignored: BTreeMap<&'static str, u64>,
    pub tally: Tally,
    pub store_failures: u64,
}

impl Counts {
    /// A command has ended, or was rejected.
    pub fn command(&mut self, label: &'static str, status: &'static str) {
        *self.commands.entry((label, status)).or_default() += 1;
    }

    /// A device was not let in.
    pub fn auth_failure(&mut self, reason: &'static str) {
        *self.auth_failures.entry(reason).or_default() += 1;
    }

    /// A response was to no command that waits.
    pub fn response_ignored(&mut self, why: &'static str) {
        *self.responses_ignored.entry(why).or_default() += 1;
    }

    /// The rows of a scrape.
    pub fn metrics<'a>(&self, fleets: impl Iterator<Item = &'a Fleet>, out: &mut Vec<Metric>) {
        let mut row = |name, labels: Vec<(&'static str, String)>, value: u64| {
            out.push(Metric { name, labels, value: value as f64 });
        };
        let mut devices: BTreeMap<&str, u64> =
            ["pending", "online", "silent", "offline", "retired"].map(|state| (state, 0)).into();
        let (mut in_flight, mut degraded, mut admins) = (0, 0, 0);
        for fleet in fleets {
            for (id, device) in &fleet.devices {
                *devices.entry(fleet.status(id, device)).or_default() += 1;
            }
            *devices.entry("silent").or_default() += fleet.newcomers().len() as u64;
            in_flight += fleet.commands.len() as u64;
            degraded += u64::from(fleet.degraded);
            admins += fleet.admins().count() as u64;
        }
        for (state, count) in devices {
            row("sg_devices", vec![("state", state.to_owned())], count);
        }
        for ((command, status), count) in &self.commands {
            let labels = vec![("command", (*command).to_owned()), ("status", (*status).to_owned())];
            row("sg_commands_total", labels, *count);
        }
        for (reason, count) in &self.auth_failures {
            row("sg_auth_failures_total", vec![("reason", (*reason).to_owned())], *count);
        }
        for (why, count) in &self.responses_ignored {
            row("sg_responses_ignored_total", vec![("reason", (*why).to_owned())], *count);
        }
        for (name, value) in [
            ("sg_state_updates_total", self.state_updates),
            ("sg_state_bytes_saved_total", self.state_bytes_saved),
            ("sg_command_seconds_count", self.command_count),
            ("sg_snapshot_bytes", self.snapshot_bytes),
            ("sg_snapshots_failed_total", self.snapshots_failed),
            ("sg_store_failures_total", self.store_failures),
            ("sg_commands_in_flight", in_flight),
            ("sg_fleets_degraded", degraded),
            ("sg_admins", admins),
        ] {
            row(name, Vec::new(), value);
        }
        let seconds = self.command_ms_sum as f64 / 1000.0;
        out.push(Metric { name: "sg_command_seconds_sum", labels: Vec::new(), value: seconds });
    }
}
