//! `/metrics`: the shards' samples as Prometheus text, version 0.0.4. One table declares every metric of ours; the renderer
//! writes a family's HELP and TYPE from it, so that neither can be forgotten.
//!
//! Figures of all shards are summed; only what is about a shard as such carries a `shard` label. Spec:
//! <https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format>

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::SystemTime;

use axum::Router;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::process::Process;
use super::{Api, Settings, VERSION};
use crate::base::close::CloseReason;
use crate::base::stats::Histogram;
use crate::shard::sample::{ByJob, ByTransport, NamespaceSample, ShardSample, StoreSample};

pub fn routes() -> Router<Api> {
    Router::new().route("/metrics", get(metrics))
}

async fn metrics(State(api): State<Api>) -> Response {
    let samples = api.backend.scrape().await;
    let body = render(&samples, &Process::read(), &api.settings);
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], body).into_response()
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Counter,
    Gauge,
    Histogram,
}

macro_rules! families {
    ($($name:ident $text:literal $kind:ident $help:literal;)*) => {
        /// A metric of ours; the table below is the only place that names it.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        enum Family { $($name,)* }

        impl Family {
            #[cfg(test)]
            const ALL: &'static [Family] = &[$(Family::$name,)*];
            fn name(self) -> &'static str { match self { $(Family::$name => $text,)* } }
            fn kind(self) -> Kind { match self { $(Family::$name => Kind::$kind,)* } }
            fn help(self) -> &'static str { match self { $(Family::$name => $help,)* } }
        }
    };
}

families! {
    BuildInfo "siod_build_info" Gauge "Always 1; the label says which version runs.";
    Connections "siod_connections" Gauge "Engine connections open now, by transport.";
    Opened "siod_connections_opened_total" Counter "Engine connections opened, by the transport of the handshake.";
    Upgraded "siod_connections_upgraded_total" Counter "Polling sessions that moved to WebSocket.";
    Closed "siod_connections_closed_total" Counter "Engine connections closed, by reason.";
    Refused "siod_handshakes_refused_total" Counter "Requests refused by the engine, by Engine.IO error code.";
    Overload "siod_connections_refused_total" Counter "TCP connections above a limit of the process or of their address, answered 503.";
    PacketsIn "siod_packets_received_total" Counter "Engine.IO packets received, heartbeats included.";
    PacketsOut "siod_packets_sent_total" Counter "Engine.IO packets sent, heartbeats included.";
    BytesIn "siod_bytes_received_total" Counter "Bytes as received: WebSocket frames with their headers, and bodies of polling POSTs.";
    BytesOut "siod_bytes_sent_total" Counter "Bytes as sent: WebSocket frames with their headers, and bodies of polling answers.";
    Writes "siod_writes_total" Counter "Flushes of a WebSocket: one system call each, as long as the kernel takes all.";
    Sockets "siod_sockets" Gauge "Sockets connected now, by namespace.";
    Connects "siod_connects_total" Counter "CONNECTs decided, by namespace and outcome.";
    Emits "siod_emits_total" Counter "Emits of applications by namespace, counted on each shard that has to deliver one.";
    Deliveries "siod_emit_receivers_total" Counter "Sockets those emits were for, by namespace.";
    EventsIn "siod_events_received_total" Counter "Events received from clients, by namespace.";
    AcksOut "siod_acks_sent_total" Counter "Acks sent to clients, by namespace.";
    UnknownAcks "siod_unknown_acks_total" Counter "Acks from clients that nobody waited for.";
    JoinsRefused "siod_joins_refused_total" Counter "Joins above rooms_per_socket_max.";
    Rooms "siod_rooms" Gauge "Rooms with members, counted on each shard that has a member.";
    Events "siod_events_total" Counter "Events from clients, by application and outcome.";
    UnknownEvents "siod_unknown_events_total" Counter "Events that are in no application's table, by application.";
    Turn "siod_turn_seconds" Histogram "Time of one turn of a shard.";
    EmitToFlush "siod_emit_to_flush_seconds" Histogram "Time of a whole turn that emitted, from its first input to the end of its writes: no emit waited longer in it.";
    Store "siod_store_seconds" Histogram "From a store job's departure to its answer.";
    StoreCommits "siod_store_commits_total" Counter "Group commits that reached the disk.";
    StoreJobs "siod_store_jobs_total" Counter "Store jobs done, by kind.";
    StoreFailures "siod_store_failures_total" Counter "Store jobs that failed, by kind.";
    StoreQueue "siod_store_queue_depth" Gauge "Store jobs that wait or are being worked on now.";
    SnapshotBytes "siod_store_snapshot_bytes" Gauge "Bytes of the pictures stored now.";
    SnapshotsDropped "siod_store_snapshots_dropped_total" Counter "Pictures pushed out by quota or age.";
    Outbox "siod_outbox_bytes" Gauge "Bytes queued to sockets now.";
    Dropped "siod_dropped_volatile_total" Counter "Volatile packets that slow readers were not sent.";
    Coalesced "siod_coalesced_total" Counter "Packets of slow readers that a newer one of the same key replaced.";
    SlowConsumers "siod_slow_consumers_total" Counter "Sockets closed because they read too slowly.";
    Alerts "siod_alerts_total" Counter "Alerts raised by applications, by application and kind.";
    Mailbox "siod_shard_mailbox_depth" Gauge "Inputs waiting for a shard now.";
    ShardConnections "siod_shard_connections" Gauge "Engine connections open now, by shard.";
    Stale "siod_shard_stale" Gauge "1 where a shard did not answer this scrape in time: its figures are old.";
    Cpu "process_cpu_seconds_total" Counter "User and system time of the process, in seconds.";
    Resident "process_resident_memory_bytes" Gauge "Resident memory, in bytes.";
    Virtual "process_virtual_memory_bytes" Gauge "Virtual memory, in bytes.";
    Threads "process_threads" Gauge "Threads of the process.";
    OpenFds "process_open_fds" Gauge "Open file descriptors.";
    MaxFds "process_max_fds" Gauge "File descriptors the process may open.";
    StartTime "process_start_time_seconds" Gauge "When the process started, in seconds since the Unix epoch.";
}

/// Name and value of each label.
type Labels<'a> = &'a [(&'a str, &'a str)];
/// The values of one family by their labels.
type Series<'a> = BTreeMap<Vec<(&'a str, &'a str)>, f64>;

/// Buckets that are written: from 16 µs to 16.8 s. Shorter times land in the first, longer ones in `+Inf`.
const BUCKETS_US: std::ops::RangeInclusive<u64> = (1 << 4)..=(1 << 24);

/// The whole answer.
pub fn render(samples: &[ShardSample], process: &Process, settings: &Settings) -> String {
    let mut page = Page(String::with_capacity(16 * 1024));
    page.family(Family::BuildInfo).sample(&[("version", VERSION)], 1.0);
    connections(&mut page, samples);
    traffic(&mut page, samples);
    namespaces(&mut page, samples);
    events(&mut page, samples);
    store(&mut page, samples);
    times(&mut page, samples);
    shards(&mut page, samples);
    applications(&mut page, samples);
    process_figures(&mut page, process, settings);
    page.0
}

fn connections(page: &mut Page, samples: &[ShardSample]) {
    page.family(Family::Overload).sum(samples, |sample| sample.overload);
    page.family(Family::Connections).by_transport(samples, |sample| sample.connections);
    page.family(Family::Opened).by_transport(samples, |sample| sample.opened);
    page.family(Family::Upgraded).sum(samples, |sample| sample.upgraded);
    let mut closed = page.family(Family::Closed);
    for reason in CloseReason::ALL {
        let count = samples.iter().map(|sample| sample.closed[*reason as usize]).sum::<u64>();
        closed.sample(&[("reason", reason.label())], count as f64);
    }
    let mut refused = page.family(Family::Refused);
    for (code, label) in ["0", "1", "2", "3", "4", "5"].into_iter().enumerate() {
        let count = samples.iter().map(|sample| sample.refused[code]).sum::<u64>();
        refused.sample(&[("code", label)], count as f64);
    }
}

fn traffic(page: &mut Page, samples: &[ShardSample]) {
    page.family(Family::PacketsIn).sum(samples, |sample| sample.packets_in);
    page.family(Family::PacketsOut).sum(samples, |sample| sample.packets_out);
    page.family(Family::BytesIn).sum(samples, |sample| sample.bytes_in);
    page.family(Family::BytesOut).sum(samples, |sample| sample.bytes_out);
    page.family(Family::Writes).sum(samples, |sample| sample.writes);
    page.family(Family::Rooms).sum(samples, |sample| sample.rooms);
    page.family(Family::JoinsRefused).sum(samples, |sample| sample.joins_refused);
    page.family(Family::UnknownAcks).sum(samples, |sample| sample.unknown_acks);
    page.family(Family::Outbox).sum(samples, |sample| sample.outbox_bytes);
    page.family(Family::Dropped).sum(samples, |sample| sample.dropped_volatile);
    page.family(Family::Coalesced).sum(samples, |sample| sample.coalesced);
    page.family(Family::SlowConsumers).sum(samples, |sample| sample.slow_consumers);
}

fn namespaces(page: &mut Page, samples: &[ShardSample]) {
    page.family(Family::Sockets).by_namespace(samples, |namespace| namespace.sockets);
    page.family(Family::Emits).by_namespace(samples, |namespace| namespace.outcomes.emitted);
    page.family(Family::Deliveries).by_namespace(samples, |namespace| namespace.outcomes.delivered);
    page.family(Family::EventsIn).by_namespace(samples, |namespace| namespace.outcomes.events);
    page.family(Family::AcksOut).by_namespace(samples, |namespace| namespace.outcomes.acked);
    let named = samples.iter().flat_map(|sample| &sample.namespaces);
    let decided = named.flat_map(|NamespaceSample { name, outcomes, .. }| {
        [((name.as_str(), "accepted"), outcomes.accepted), ((name.as_str(), "refused"), outcomes.refused)]
    });
    let labels = |(name, outcome): &(_, _)| vec![("namespace", *name), ("outcome", *outcome)];
    page.family(Family::Connects).counts(summed(decided), labels);
}

fn store(page: &mut Page, samples: &[ShardSample]) {
    page.family(Family::StoreCommits).sum(samples, |sample| sample.store.commits);
    page.family(Family::StoreJobs).by_job(samples, |store| store.done);
    page.family(Family::StoreFailures).by_job(samples, |store| store.failed);
    page.family(Family::StoreQueue).sum(samples, |sample| sample.store.queue_depth);
    page.family(Family::SnapshotBytes).sum(samples, |sample| sample.store.snapshot_bytes);
    page.family(Family::SnapshotsDropped).sum(samples, |sample| sample.store.snapshots_dropped);
}

fn events(page: &mut Page, samples: &[ShardSample]) {
    use crate::shard::sample::EventOutcome::Unknown;
    let all = || samples.iter().flat_map(|sample| &sample.events);
    let outcomes = summed(all().map(|event| ((event.app, event.outcome.label()), event.count)));
    page.family(Family::Events).counts(outcomes, |(app, outcome)| vec![("app", *app), ("outcome", *outcome)]);
    let unknown = summed(all().filter(|event| event.outcome == Unknown).map(|event| (event.app, event.count)));
    page.family(Family::UnknownEvents).counts(unknown, |app| vec![("app", *app)]);
    let alerts = samples.iter().flat_map(|sample| &sample.alerts);
    let alerts = summed(alerts.map(|alert| ((alert.app, alert.kind), alert.count)));
    page.family(Family::Alerts).counts(alerts, |(app, kind)| vec![("app", *app), ("kind", *kind)]);
}

fn times(page: &mut Page, samples: &[ShardSample]) {
    page.histogram(Family::Turn, samples, |sample| &sample.turn_us);
    page.histogram(Family::EmitToFlush, samples, |sample| &sample.emit_to_flush_us);
    page.histogram(Family::Store, samples, |sample| &sample.store_us);
}

fn shards(page: &mut Page, samples: &[ShardSample]) {
    page.family(Family::Mailbox).by_shard(samples, |sample| sample.mailbox_depth);
    page.family(Family::ShardConnections).by_shard(samples, |sample| sample.connections.total());
    page.family(Family::Stale).by_shard(samples, |sample| u64::from(sample.stale));
}

/// What the applications add. Their names say the type: `_total` is a counter, anything else a gauge.
fn applications(page: &mut Page, samples: &[ShardSample]) {
    let mut families: BTreeMap<&str, Series<'_>> = BTreeMap::new();
    for metric in samples.iter().flat_map(|sample| &sample.app_metrics) {
        let labels = metric.labels.iter().map(|(name, value)| (*name, value.as_str())).collect();
        *families.entry(metric.name).or_default().entry(labels).or_default() += metric.value;
    }
    for (name, values) in families {
        let kind = if name.ends_with("_total") { Kind::Counter } else { Kind::Gauge };
        let mut family = page.declare(name, kind, "A figure of an application; see its contract.");
        for (labels, value) in values {
            family.sample(&labels, value);
        }
    }
}

fn process_figures(page: &mut Page, process: &Process, settings: &Settings) {
    let started = settings.started_at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    page.family(Family::StartTime).sample(&[], started);
    for (family, value) in [
        (Family::Cpu, process.cpu_seconds),
        (Family::Resident, process.resident_bytes.map(|bytes| bytes as f64)),
        (Family::Virtual, process.virtual_bytes.map(|bytes| bytes as f64)),
        (Family::Threads, process.threads.map(|threads| threads as f64)),
        (Family::OpenFds, process.open_fds.map(|fds| fds as f64)),
        (Family::MaxFds, process.max_fds.map(|fds| fds as f64)),
    ] {
        if let Some(value) = value {
            page.family(family).sample(&[], value);
        }
    }
}

/// Adds up what several shards say under one key, in the key's order.
fn summed<K: Ord>(counts: impl Iterator<Item = (K, u64)>) -> BTreeMap<K, u64> {
    let mut sums = BTreeMap::new();
    for (key, count) in counts {
        *sums.entry(key).or_default() += count;
    }
    sums
}

/// The text as it grows.
struct Page(String);

impl Page {
    fn family(&mut self, family: Family) -> Samples<'_> {
        self.declare(family.name(), family.kind(), family.help())
    }

    fn declare<'a>(&'a mut self, name: &'a str, kind: Kind, help: &str) -> Samples<'a> {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        let _ = write!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}\n"); // writing to a String cannot fail
        Samples { text: &mut self.0, name }
    }

    fn histogram(&mut self, family: Family, samples: &[ShardSample], of: impl Fn(&ShardSample) -> &Histogram) {
        let mut all = Histogram::default();
        for sample in samples {
            all.merge(of(sample));
        }
        self.family(family).histogram(&all);
    }
}

/// One family, after its HELP and TYPE.
struct Samples<'a> {
    text: &'a mut String,
    name: &'a str,
}

impl Samples<'_> {
    fn sample(&mut self, labels: Labels<'_>, value: f64) {
        self.line("", labels, value);
    }

    fn sum(&mut self, samples: &[ShardSample], of: impl Fn(&ShardSample) -> u64) {
        self.sample(&[], samples.iter().map(of).sum::<u64>() as f64);
    }

    fn by_transport(&mut self, samples: &[ShardSample], of: impl Fn(&ShardSample) -> ByTransport) {
        let all = || samples.iter().map(&of);
        self.sample(&[("transport", "polling")], all().map(|count| count.polling).sum::<u64>() as f64);
        self.sample(&[("transport", "websocket")], all().map(|count| count.websocket).sum::<u64>() as f64);
    }

    fn by_namespace(&mut self, samples: &[ShardSample], of: impl Fn(&NamespaceSample) -> u64) {
        let named = samples.iter().flat_map(|sample| &sample.namespaces);
        let counts = summed(named.map(|namespace| (namespace.name.as_str(), of(namespace))));
        self.counts(counts, |namespace| vec![("namespace", *namespace)]);
    }

    fn by_job(&mut self, samples: &[ShardSample], of: impl Fn(&StoreSample) -> ByJob) {
        let all = || samples.iter().map(|sample| of(&sample.store));
        self.sample(&[("job", "read")], all().map(|count| count.read).sum::<u64>() as f64);
        self.sample(&[("job", "snapshot")], all().map(|count| count.snapshot).sum::<u64>() as f64);
        self.sample(&[("job", "write")], all().map(|count| count.write).sum::<u64>() as f64);
    }

    fn by_shard(&mut self, samples: &[ShardSample], of: impl Fn(&ShardSample) -> u64) {
        for sample in samples {
            self.sample(&[("shard", &sample.shard.to_string())], of(sample) as f64);
        }
    }

    fn counts<'k, K>(&mut self, counts: BTreeMap<K, u64>, labels: impl Fn(&K) -> Vec<(&'k str, &'k str)>) {
        for (key, count) in counts {
            self.sample(&labels(&key), count as f64);
        }
    }

    /// Buckets of a histogram of microseconds, in seconds.
    fn histogram(&mut self, histogram: &Histogram) {
        for (bound_us, count) in histogram.cumulative().filter(|(bound_us, _)| BUCKETS_US.contains(bound_us)) {
            let bound = bound_us as f64 / 1e6;
            self.line("_bucket", &[("le", &bound.to_string())], count as f64);
        }
        self.line("_bucket", &[("le", "+Inf")], histogram.count() as f64);
        self.line("_sum", &[], histogram.sum() as f64 / 1e6);
        self.line("_count", &[], histogram.count() as f64);
    }

    fn line(&mut self, suffix: &str, labels: Labels<'_>, value: f64) {
        self.text.push_str(self.name);
        self.text.push_str(suffix);
        for (index, (name, value)) in labels.iter().enumerate() {
            self.text.push(if index == 0 { '{' } else { ',' });
            self.text.push_str(name);
            self.text.push_str("=\"");
            escape(value, self.text);
            self.text.push('"');
        }
        if !labels.is_empty() {
            self.text.push('}');
        }
        let _ = writeln!(self.text, " {value}"); // writing to a String cannot fail
    }
}

fn escape(value: &str, out: &mut String) {
    for character in value.chars() {
        match character {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            other => out.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};

    use super::super::testing::{Fake, admin_get, ask, public_get};
    use super::*;
    use crate::app::Metric;
    use crate::shard::sample::{AlertSample, EventOutcome, EventSample};
    use crate::shard::stats::Outcomes;

    fn busy(shard: u16) -> ShardSample {
        let mut sample = ShardSample { shard, packets_in: 10, mailbox_depth: u64::from(shard), ..Default::default() };
        sample.connections = ByTransport { polling: 1, websocket: 2 };
        sample.closed[CloseReason::PingTimeout as usize] = 3;
        sample.refused[5] = 4;
        sample.namespaces = vec![NamespaceSample {
            name: "/signage".into(),
            sockets: 2,
            outcomes: Outcomes { accepted: 3, refused: 1, events: 8, acked: 6, emitted: 5, delivered: 9 },
        }];
        sample.store.failed = ByJob { write: 2, ..ByJob::default() };
        sample.writes = 11;
        sample.events = vec![
            EventSample { app: "signage", outcome: EventOutcome::Handled, count: 7 },
            EventSample { app: "signage", outcome: EventOutcome::Unknown, count: 1 },
        ];
        sample.alerts = vec![AlertSample { app: "signage", kind: "offline", count: 1 }];
        for microseconds in [3, 20, 2_000, 60_000_000] {
            sample.turn_us.record(microseconds);
        }
        sample.app_metrics = vec![
            Metric { name: "sg_devices", labels: vec![("state", "on\"line\\\n".into())], value: 2.0 },
            Metric { name: "sg_auth_failures_total", labels: vec![], value: 1.0 },
        ];
        sample
    }

    /// Reads the text as a scraper does and fails on the first line that is not of the format.
    fn parse(text: &str) -> HashMap<String, f64> {
        let (mut types, mut helped, mut values) = (HashMap::new(), HashSet::new(), HashMap::new());
        let mut current = String::new();
        assert!(text.ends_with('\n'));
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, help) = rest.split_once(' ').expect(line);
                assert!(helped.insert(name.to_owned()) && !help.is_empty(), "{line}");
                current = name.to_owned();
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').expect(line);
                assert_eq!(name, current, "TYPE follows HELP");
                assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
                assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
                types.insert(name.to_owned(), kind.to_owned());
            } else {
                let (series, value) = line.rsplit_once(' ').expect(line);
                let name = series.split('{').next().unwrap();
                let family = match types.get(&current).map(String::as_str) {
                    Some("histogram") => ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end)),
                    _ => Some(name),
                };
                assert_eq!(family, Some(current.as_str()), "{line} is not of the family declared above it");
                assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_'));
                if let Some(labels) = series.strip_prefix(name).filter(|labels| !labels.is_empty()) {
                    assert!(labels.starts_with('{') && labels.ends_with("\"}"), "{line}");
                }
                let value: f64 = value.parse().expect(line);
                assert!(values.insert(series.to_owned(), value).is_none(), "{line} comes twice");
            }
        }
        values
    }

    #[test]
    fn every_line_is_of_the_format_and_shards_add_up() {
        let values = parse(&render(&[busy(0), busy(1)], &Process::read(), &Settings::default()));
        for (series, expected) in [
            ("siod_connections{transport=\"websocket\"}", 4.0),
            ("siod_connections_closed_total{reason=\"ping_timeout\"}", 6.0),
            ("siod_connections_closed_total{reason=\"ws_too_big\"}", 0.0),
            ("siod_handshakes_refused_total{code=\"5\"}", 8.0),
            ("siod_packets_received_total", 20.0),
            ("siod_sockets{namespace=\"/signage\"}", 4.0),
            ("siod_writes_total", 22.0),
            ("siod_connects_total{namespace=\"/signage\",outcome=\"accepted\"}", 6.0),
            ("siod_connects_total{namespace=\"/signage\",outcome=\"refused\"}", 2.0),
            ("siod_emits_total{namespace=\"/signage\"}", 10.0),
            ("siod_emit_receivers_total{namespace=\"/signage\"}", 18.0),
            ("siod_events_received_total{namespace=\"/signage\"}", 16.0),
            ("siod_acks_sent_total{namespace=\"/signage\"}", 12.0),
            ("siod_store_failures_total{job=\"write\"}", 4.0),
            ("siod_store_jobs_total{job=\"read\"}", 0.0),
            ("siod_events_total{app=\"signage\",outcome=\"handled\"}", 14.0),
            ("siod_unknown_events_total{app=\"signage\"}", 2.0),
            ("siod_alerts_total{app=\"signage\",kind=\"offline\"}", 2.0),
            ("siod_shard_mailbox_depth{shard=\"1\"}", 1.0),
            ("siod_shard_stale{shard=\"0\"}", 0.0),
            ("sg_devices{state=\"on\\\"line\\\\\\n\"}", 4.0),
            ("sg_auth_failures_total", 2.0),
            ("siod_turn_seconds_bucket{le=\"0.000016\"}", 2.0),
            ("siod_turn_seconds_bucket{le=\"0.000032\"}", 4.0),
            ("siod_turn_seconds_bucket{le=\"16.777216\"}", 6.0),
            ("siod_turn_seconds_bucket{le=\"+Inf\"}", 8.0),
            ("siod_turn_seconds_count", 8.0),
            ("siod_turn_seconds_sum", 120.004046),
        ] {
            let value = values.get(series).copied();
            assert!(value.is_some_and(|value| (value - expected).abs() < 1e-9), "{series}: {value:?}");
        }
        assert!(values["process_resident_memory_bytes"] > 0.0);
        assert!(values["process_start_time_seconds"] > 1.7e9);
    }

    #[test]
    fn every_family_of_the_table_is_written_even_when_nothing_happened() {
        let text = render(&[ShardSample::default()], &Process::read(), &Settings::default());
        parse(&text);
        for family in Family::ALL {
            assert!(text.contains(&format!("# TYPE {} ", family.name())), "{family:?} is in the table only");
        }
    }

    #[test]
    fn buckets_never_decrease() {
        let mut sample = ShardSample::default();
        (0..2_000).for_each(|n| sample.turn_us.record(n * n));
        let text = render(&[sample], &Process::default(), &Settings::default());
        let buckets = text.lines().filter(|line| line.starts_with("siod_turn_seconds_bucket"));
        let counts: Vec<f64> = buckets.map(|line| line.rsplit_once(' ').unwrap().1.parse().unwrap()).collect();
        assert_eq!(counts.len(), 22);
        assert!(counts.is_sorted());
        assert_eq!(counts.last(), Some(&2_000.0));
    }

    /// T-31.
    #[tokio::test]
    async fn only_the_admin_listener_shows_metrics() {
        let fake = Fake { samples: vec![busy(0)], ..Fake::default() };
        let answer = ask(super::super::admin(fake.api()), admin_get("/metrics")).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
        parse(&answer.text());
        for path in ["/metrics", "/metrics/", "/admin", "/debug", "/debug/pprof", "/graphql", "/drain"] {
            assert_eq!(ask(super::super::public(fake.api()), public_get(path)).await.status, 404, "{path}");
        }
    }
}
