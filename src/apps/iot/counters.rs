//! What iot counts, and the families of its metrics. Labels come from closed sets only.

use std::collections::BTreeMap;

use super::device::Source;
use crate::app::Tally;
use crate::app::metric::{Buckets, Family, Metric};
use crate::base::stats::Histogram;

/// The families of iot.
pub(super) const METRICS: &[Family] = &[
    Family::gauge("iot_upstream_connected", &[], "Event sockets of the cloud that are open."),
    Family::gauge("iot_devices", &["online"], "Devices, by whether they are online."),
    Family::counter("iot_status_total", &["source", "outcome"], "Statuses that came, by what became of them."),
    Family::counter("iot_commands_total", &["outcome"], "Commands to devices, by what came of them."),
    Family::counter("iot_reconnects_total", &[], "Tries to open a connection again."),
    Family::counter("iot_token_refresh_total", &["outcome"], "Tries to renew a token of the cloud."),
    Family::gauge("iot_store_queue", &[], "Rows that wait to be written."),
    Family::counter("iot_logs_dropped_total", &[], "Rows of logs that were not written, since too many waited."),
    Family::histogram("iot_upstream_lag_seconds", Buckets::MILLISECONDS, "How old a status is when it comes."),
    Family::counter("iot_bridge_dropped_total", &[], "What rooms were told while the bridge was not there."),
    Family::gauge("iot_systems", &[], "Systems in memory."),
];

/// What becomes of a status.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Became {
    Applied,
    KeepAlive,
    Stale,
    /// Of a device that is nobody's.
    Unmapped,
    Oversize,
    Invalid,
    /// One of its fields was of another type, and passed over.
    Field,
}

impl Became {
    fn label(self) -> &'static str {
        match self {
            Became::Applied => "applied",
            Became::KeepAlive => "keepalive",
            Became::Stale => "stale",
            Became::Unmapped => "unmapped",
            Became::Oversize => "oversize",
            Became::Invalid => "invalid",
            Became::Field => "field",
        }
    }
}

/// What has happened since the start.
#[derive(Default)]
pub(super) struct Counts {
    pub tally: Tally,
    statuses: BTreeMap<(Source, Became), u64>,
    commands: BTreeMap<&'static str, u64>,
    refreshes: BTreeMap<&'static str, u64>,
    pub reconnects: u64,
    pub logs_dropped: u64,
    pub lag_ms: Histogram,
}

impl Counts {
    pub(super) fn status(&mut self, source: Source, became: Became) {
        *self.statuses.entry((source, became)).or_default() += 1;
    }

    /// A command has come to its end: `ok`, or a code.
    pub(super) fn command(&mut self, outcome: &'static str) {
        *self.commands.entry(outcome).or_default() += 1;
    }

    /// A token was renewed, or not: `ok`, `refused`, `failed`.
    pub(super) fn refresh(&mut self, outcome: &'static str) {
        *self.refreshes.entry(outcome).or_default() += 1;
    }

    /// The samples of a scrape, beside those of the systems.
    pub(super) fn metrics(&self, out: &mut Vec<Metric>) {
        for ((source, became), count) in &self.statuses {
            out.push(Metric::count("iot_status_total", [source.label(), became.label()], *count));
        }
        for (outcome, count) in &self.commands {
            out.push(Metric::count("iot_commands_total", [outcome], *count));
        }
        for (outcome, count) in &self.refreshes {
            out.push(Metric::count("iot_token_refresh_total", [outcome], *count));
        }
        out.push(Metric::count("iot_reconnects_total", [], self.reconnects));
        out.push(Metric::count("iot_logs_dropped_total", [], self.logs_dropped));
        out.push(Metric::histogram("iot_upstream_lag_seconds", &self.lag_ms));
    }
}
