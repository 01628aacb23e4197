//! What utalk counts, and the families of its metrics. Labels come from closed sets only.

use std::collections::BTreeMap;

use crate::app::Tally;
use crate::app::metric::{Buckets, Family, Metric};
use crate::base::stats::Histogram;

/// The families of utalk.
pub(super) const METRICS: &[Family] = &[
    Family::counter("utalk_messages_total", &["direction", "status"], "Messages, by what came of them first."),
    Family::counter("utalk_duplicates_total", &[], "Messages that were asked for again."),
    Family::gauge("utalk_bus_up", &[], "Whether other daemons are heard of; 0: there is one alone."),
    Family::counter("utalk_room_limit_exceeded_total", &[], "Sockets that were not let into a full room."),
    Family::counter("utalk_store_failures_total", &[], "Jobs of the store that failed."),
    Family::counter("utalk_alerts_total", &["rule"], "Alerts that were told, their ends as well."),
    Family::counter("utalk_alert_posts_lost_total", &[], "Alerts that a sink has not taken."),
    Family::counter(
        "utalk_webhooks_total",
        &["result"],
        "Messages and receipts that webhooks brought, by what came of them; refused: whole webhooks that were not believed or said nothing.",
    ),
    Family::counter("utalk_customer_files_total", &["result"], "Files of customers: kept, or left where they were."),
    Family::histogram("utalk_provider_seconds", Buckets::MILLISECONDS, "How long the provider takes to answer."),
    Family::gauge("utalk_provider_breaker_open", &[], "Whether the provider is not asked for a while."),
    Family::gauge("utalk_queue_waiting", &[], "Conversations that wait for an agent."),
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
    /// What webhooks brought, by what came of it.
    pub webhooks: BTreeMap<&'static str, u64>,
    /// Files of customers, by what came of them.
    pub files: BTreeMap<&'static str, u64>,
    /// Milliseconds of calls of the provider.
    pub provider_ms: Histogram,
    pub rooms_full: u64,
    pub store_failures: u64,
}

impl Counts {
    /// A message was stored.
    pub(super) fn message(&mut self, direction: &'static str, status: &'static str) {
        *self.messages.entry((direction, status)).or_default() += 1;
    }

    /// A message or a receipt that a webhook brought has come to its end.
    pub(super) fn webhook(&mut self, result: &'static str) {
        *self.webhooks.entry(result).or_default() += 1;
    }

    /// The samples of a scrape; `sockets` by namespace.
    pub(super) fn metrics(&self, scopes: usize, waiting: u64, sockets: [usize; 3], out: &mut Vec<Metric>) {
        let messages = self.messages.iter();
        out.extend(messages.map(|((way, status), count)| Metric::count("utalk_messages_total", [way, status], *count)));
        let webhooks = self.webhooks.iter();
        out.extend(webhooks.map(|(result, count)| Metric::count("utalk_webhooks_total", [result], *count)));
        let files = self.files.iter();
        out.extend(files.map(|(result, count)| Metric::count("utalk_customer_files_total", [result], *count)));
        out.push(Metric::histogram("utalk_provider_seconds", &self.provider_ms));
        for (namespace, sockets) in ["/app", "/agent", "/admin"].into_iter().zip(sockets) {
            out.push(Metric::count("utalk_sockets", [namespace], sockets as u64));
        }
        for (name, value) in [
            ("utalk_duplicates_total", self.duplicates),
            ("utalk_bus_up", 0),
            ("utalk_room_limit_exceeded_total", self.rooms_full),
            ("utalk_store_failures_total", self.store_failures),
            ("utalk_scopes", scopes as u64),
            ("utalk_queue_waiting", waiting),
        ] {
            out.push(Metric::count(name, [], value));
        }
    }
}
