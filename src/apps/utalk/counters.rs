//! What utalk counts, and the families of its metrics. Labels come from closed sets only.

use std::collections::BTreeMap;

use crate::app::Tally;
use crate::app::metric::{Family, Metric};

/// The families of utalk.
pub(super) const METRICS: &[Family] = &[
    Family::counter("utalk_messages_total", &["direction", "status"], "Messages, by what came of them first."),
    Family::counter("utalk_duplicates_total", &[], "Messages that were asked for again."),
    Family::gauge("utalk_bus_up", &[], "Whether other daemons are heard of; 0: there is one alone."),
    Family::counter("utalk_room_limit_exceeded_total", &[], "Sockets that were not let into a full room."),
    Family::counter("utalk_store_failures_total", &[], "Jobs of the store that failed."),
    Family::counter("utalk_alerts_total", &["rule"], "Alerts that were told, their ends as well."),
    Family::counter("utalk_alert_posts_lost_total", &[], "Alerts that a sink has not taken."),
    Family::gauge("utalk_sockets", &["namespace"], "Sockets now."),
    Family::gauge("utalk_scopes", &[], "Workspaces in memory."),
];

/// What has happened since the start.
#[derive(Default)]
pub(super) struct Counts {
    pub tally: Tally,
    /// By direction and status.
    pub messages: BTreeMap<(&'static str, &'static str), u64>,
    pub duplicates: u64,
    pub rooms_full: u64,
    pub store_failures: u64,
}

impl Counts {
    /// A message was stored.
    pub(super) fn message(&mut self, direction: &'static str, status: &'static str) {
        *self.messages.entry((direction, status)).or_default() += 1;
    }

    /// The samples of a scrape; `sockets` by namespace.
    pub(super) fn metrics(&self, scopes: usize, sockets: [usize; 3], out: &mut Vec<Metric>) {
        let messages = self.messages.iter();
        out.extend(messages.map(|((way, status), count)| Metric::count("utalk_messages_total", [way, status], *count)));
        for (namespace, sockets) in ["/app", "/agent", "/admin"].into_iter().zip(sockets) {
            out.push(Metric::count("utalk_sockets", [namespace], sockets as u64));
        }
        for (name, value) in [
            ("utalk_duplicates_total", self.duplicates),
            ("utalk_bus_up", 0),
            ("utalk_room_limit_exceeded_total", self.rooms_full),
            ("utalk_store_failures_total", self.store_failures),
            ("utalk_scopes", scopes as u64),
        ] {
            out.push(Metric::count(name, [], value));
        }
    }
}
