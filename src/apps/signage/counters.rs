//! What signage counts, and the families of its metrics. Labels come from closed sets only.

use std::collections::BTreeMap;

use super::fleet::Fleet;
use crate::app::Tally;
use crate::app::metric::{Buckets, Family, Metric};
use crate::base::stats::Histogram;

/// The families of signage. Their names are the contract's, which calls one counter `sg_snapshot_bytes`.
pub(super) const METRICS: &[Family] = &[
    Family::gauge("sg_devices", &["state"], "Devices, by state."),
    Family::gauge("sg_admins", &[], "Sockets of people now."),
    Family::gauge("sg_fleets_degraded", &[], "Fleets whose store does not work now: what they hold is in memory only."),
    Family::counter("sg_state_updates_total", &[], "States published."),
    Family::counter("sg_state_bytes_saved_total", &[], "Bytes that patches had less than whole states."),
    Family::counter("sg_state_requests_total", &[], "Requests for a state, sent to players."),
    Family::counter("sg_player_errors_total", &[], "Errors that players have reported of themselves."),
    Family::gauge("sg_aux_sockets", &[], "Sockets of devices that have not registered."),
    Family::counter("sg_commands_total", &["command", "status"], "Commands that ended or were rejected, by how."),
    Family::gauge("sg_commands_in_flight", &[], "Commands that wait for their device now."),
    Family::histogram("sg_command_seconds", Buckets::MILLISECONDS, "From a command's first sending to its end."),
    Family::counter("sg_responses_ignored_total", &["reason"], "Responses to no command that waits for them."),
    Family::counter("sg_auth_failures_total", &["reason"], "Devices that were not let in, by reason."),
    Family::counter("sg_snapshot_bytes", &[], "Bytes of snapshots taken in."),
    Family::counter("sg_snapshots_failed_total", &[], "Snapshots that were refused or could not be kept."),
    Family::counter("sg_store_failures_total", &[], "Jobs of the store that failed for a fleet."),
];

/// What has happened since the start. Plain numbers; a scrape copies.
#[derive(Default)]
pub(super) struct Counts {
    pub state_updates: u64,
    pub state_bytes_saved: u64,
    pub state_requests: u64,
    /// Errors that players have reported of themselves.
    pub player_errors: u64,
    /// By command label and status.
    pub commands: BTreeMap<(&'static str, &'static str), u64>,
    /// From the first sending of a command to its end.
    pub command_ms: Histogram,
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
    pub(super) fn command(&mut self, label: &'static str, status: &'static str) {
        *self.commands.entry((label, status)).or_default() += 1;
    }

    /// A device was not let in.
    pub(super) fn auth_failure(&mut self, reason: &'static str) {
        *self.auth_failures.entry(reason).or_default() += 1;
    }

    /// A response was to no command that waits.
    pub(super) fn response_ignored(&mut self, why: &'static str) {
        *self.responses_ignored.entry(why).or_default() += 1;
    }

    /// The samples of a scrape.
    pub(super) fn metrics<'a>(&self, fleets: impl Iterator<Item = &'a Fleet>, out: &mut Vec<Metric>) {
        let mut devices: BTreeMap<&str, u64> =
            ["pending", "online", "silent", "offline", "retired"].map(|state| (state, 0)).into();
        let (mut in_flight, mut degraded, mut admins, mut aux) = (0, 0, 0, 0);
        for fleet in fleets {
            for (id, device) in &fleet.devices {
                *devices.entry(fleet.status(id, device)).or_default() += 1;
            }
            *devices.entry("silent").or_default() += fleet.newcomers().len() as u64;
            in_flight += fleet.commands.len() as u64;
            degraded += u64::from(fleet.unsaved.is_degraded());
            admins += fleet.admins().count() as u64;
            aux += fleet.aux_count() as u64;
        }
        out.extend(devices.iter().map(|(state, count)| Metric::count("sg_devices", [state], *count)));
        let commands = self.commands.iter();
        out.extend(commands.map(|((command, status), n)| Metric::count("sg_commands_total", [command, status], *n)));
        let failures = self.auth_failures.iter();
        out.extend(failures.map(|(reason, count)| Metric::count("sg_auth_failures_total", [reason], *count)));
        let ignored = self.responses_ignored.iter();
        out.extend(ignored.map(|(reason, count)| Metric::count("sg_responses_ignored_total", [reason], *count)));
        for (name, value) in [
            ("sg_state_updates_total", self.state_updates),
            ("sg_state_bytes_saved_total", self.state_bytes_saved),
            ("sg_state_requests_total", self.state_requests),
            ("sg_player_errors_total", self.player_errors),
            ("sg_aux_sockets", aux),
            ("sg_snapshot_bytes", self.snapshot_bytes),
            ("sg_snapshots_failed_total", self.snapshots_failed),
            ("sg_store_failures_total", self.store_failures),
            ("sg_commands_in_flight", in_flight),
            ("sg_fleets_degraded", degraded),
            ("sg_admins", admins),
        ] {
            out.push(Metric::count(name, [], value));
        }
        out.push(Metric::histogram("sg_command_seconds", &self.command_ms));
    }
}
