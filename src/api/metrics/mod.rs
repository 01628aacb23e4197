//! `/metrics`: what the shards and the process say at a scrape, as Prometheus text. The families are rows, the daemon's in
//! [`families`], an application's in its own folder; the text is written by the `prometheus` crate.
//!
//! Figures of all shards are summed. A family without samples is left out; so is a sample of no family, which is a mistake
//! of ours that the log tells once. Spec: <https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format>

mod families;
mod samples;

use std::sync::Once;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use prometheus::TextEncoder;
use prometheus::proto::{self, MetricFamily, MetricType};

use self::families::DAEMON;
use super::process::Process;
use super::{Api, Settings};
use crate::app::metric::{Buckets, Family, Gathered, Kind, Series, Value, gather};
use crate::base::stats::Histogram;
use crate::shard::sample::ShardSample;

pub(crate) fn routes() -> Router<Api> {
    Router::new().route("/metrics", get(metrics))
}

async fn metrics(State(api): State<Api>) -> Response {
    let samples = api.backend.scrape().await;
    let gathered = gathered(&samples, &Process::read(), &api.settings);
    if !gathered.strays.is_empty() {
        static TOLD: Once = Once::new();
        TOLD.call_once(|| tracing::warn!(metrics = ?gathered.strays, "metrics that no table declares are left out"));
    }
    match text(&gathered) {
        Ok(text) => ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

/// Everything the page says.
fn gathered(samples: &[ShardSample], process: &Process, settings: &Settings) -> Gathered {
    let mut metrics = Vec::new();
    samples::of_process(process, settings, &mut metrics);
    samples.iter().for_each(|sample| samples::of_shard(sample, &mut metrics));
    gather(DAEMON.iter().chain(settings.metrics.iter().copied().flatten()), metrics)
}

fn text(gathered: &Gathered) -> prometheus::Result<String> {
    let families: Vec<MetricFamily> = gathered.families.iter().map(|(family, series)| shown(family, series)).collect();
    TextEncoder::new().encode_to_string(&families)
}

fn shown(family: &Family, series: &Series) -> MetricFamily {
    let mut shown = MetricFamily::default();
    shown.set_name(family.name.to_owned());
    shown.set_help(family.help.to_owned());
    shown.set_field_type(match family.kind {
        Kind::Counter => MetricType::COUNTER,
        Kind::Gauge => MetricType::GAUGE,
        Kind::Histogram(_) => MetricType::HISTOGRAM,
    });
    shown.set_metric(series.iter().map(|(labels, value)| sample(family, labels, value)).collect());
    shown
}

fn sample(family: &Family, labels: &[String], value: &Value) -> proto::Metric {
    let label = |(name, value): (&&str, &String)| {
        let mut label = proto::LabelPair::default();
        label.set_name((*name).to_owned());
        label.set_value(value.clone());
        label
    };
    let mut sample = proto::Metric::from_label(family.labels.iter().zip(labels).map(label).collect());
    match (family.kind, value) {
        (Kind::Counter, Value::Number(number)) => {
            let mut counter = proto::Counter::default();
            counter.set_value(*number);
            sample.set_counter(counter);
        }
        (Kind::Gauge, Value::Number(number)) => {
            let mut gauge = proto::Gauge::default();
            gauge.set_value(*number);
            sample.set_gauge(gauge);
        }
        (Kind::Histogram(buckets), Value::Histogram(histogram)) => sample.set_histogram(in_units(histogram, buckets)),
        // `gather` puts values under families of their kind.
        (Kind::Counter | Kind::Gauge, Value::Histogram(_)) | (Kind::Histogram(_), Value::Number(_)) => {}
    }
    sample
}

fn in_units(histogram: &Histogram, Buckets { per_unit, bounds: (smallest, largest) }: Buckets) -> proto::Histogram {
    let in_units = |recorded: u64| recorded as f64 / per_unit as f64;
    let bucket = |(bound, count)| {
        let mut bucket = proto::Bucket::default();
        bucket.set_upper_bound(in_units(bound));
        bucket.set_cumulative_count(count);
        bucket
    };
    let shown = histogram.cumulative().filter(|(bound, _)| (smallest..=largest).contains(bound));
    let mut histogram_shown = proto::Histogram::default();
    histogram_shown.set_bucket(shown.map(bucket).collect());
    histogram_shown.set_sample_count(histogram.count());
    histogram_shown.set_sample_sum(in_units(histogram.sum()));
    histogram_shown
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeSet, HashMap, HashSet};

    use super::super::testing::{Fake, admin_get, ask, public_get};
    use super::*;
    use crate::app::fetch::FetchFailure;
    use crate::app::link::LinkEnd;
    use crate::app::metric::Metric;
    use crate::apps::TABLE;
    use crate::base::close::CloseReason;
    use crate::shard::sample::{
        AlertSample, ByJob, ByTransport, EventOutcome, EventSample, FetchSample, HashSample, LinkSample,
        NamespaceSample,
    };
    use crate::shard::stats::Outcomes;

    /// Families of an application that is not ours.
    static STRANGE: [Family; 3] = [
        Family::gauge("to_dos", &["state"], "Things to do,\nby \\ state."),
        Family::counter("to_dos_done_total", &[], "Things done."),
        Family::histogram("to_do_seconds", Buckets::MILLISECONDS, "How long things took."),
    ];

    /// Counters whose names contracts fix, without the ending that others have.
    const NAMED_BY_A_CONTRACT: &[&str] = &["sg_snapshot_bytes"];

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
        let mut fetches = FetchSample { app: "signage", in_flight: 1, bytes_sent: 5, ..FetchSample::default() };
        (fetches.answered[1], fetches.failed[FetchFailure::Dns as usize]) = (3, 2);
        sample.fetches = vec![fetches];
        let mut links = LinkSample { app: "signage", kind: LinkSample::DIALLED, open: 1, ..LinkSample::default() };
        (links.closed[LinkEnd::Silent.place()], links.messages_received) = (3, 2);
        let arrived = LinkSample { app: "signage", kind: LinkSample::ARRIVED, refused: 4, ..LinkSample::default() };
        sample.links = vec![links, arrived];
        sample.hashes = vec![HashSample { app: "signage", in_flight: 1, mismatched: 2, ..HashSample::default() }];
        sample.alerts = vec![AlertSample { app: "signage", kind: "offline", count: 1 }];
        for microseconds in [3, 20, 2_000, 60_000_000] {
            sample.turn_us.record(microseconds);
        }
        let mut took = Histogram::default();
        [3, 20, 400_000].into_iter().for_each(|ms| took.record(ms));
        sample.app_metrics = vec![
            Metric::count("to_dos", ["on\"line\\\n"], 2),
            Metric::count("to_dos_done_total", [], 1),
            Metric::histogram("to_do_seconds", &took),
        ];
        sample
    }

    fn strange() -> Settings {
        Settings { metrics: vec![&STRANGE], ..Settings::default() }
    }

    /// The page, and what is left out of it.
    fn render(samples: &[ShardSample], settings: &Settings) -> (String, BTreeSet<&'static str>) {
        let gathered = gathered(samples, &Process::read(), settings);
        (text(&gathered).unwrap(), gathered.strays)
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
        let (text, strays) = render(&[busy(0), busy(1)], &strange());
        assert_eq!(strays, BTreeSet::new());
        let values = parse(&text);
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
            ("siod_fetches_total{app=\"signage\",outcome=\"2xx\"}", 6.0),
            ("siod_fetches_total{app=\"signage\",outcome=\"dns\"}", 4.0),
            ("siod_fetches_total{app=\"signage\",outcome=\"tls\"}", 0.0),
            ("siod_fetches_in_flight{app=\"signage\"}", 2.0),
            ("siod_fetch_bytes_total{app=\"signage\",direction=\"sent\"}", 10.0),
            ("siod_links{app=\"signage\",kind=\"dialled\"}", 2.0),
            ("siod_links_closed_total{app=\"signage\",kind=\"dialled\",why=\"silent\"}", 6.0),
            ("siod_links_refused_total{app=\"signage\"}", 8.0),
            ("siod_links_closed_total{app=\"signage\",kind=\"dialled\",why=\"ours\"}", 0.0),
            ("siod_link_messages_total{app=\"signage\",kind=\"dialled\",direction=\"received\"}", 4.0),
            ("siod_hashes_total{app=\"signage\",outcome=\"mismatched\"}", 4.0),
            ("siod_hashes_in_flight{app=\"signage\"}", 2.0),
            ("siod_alerts_total{app=\"signage\",kind=\"offline\"}", 2.0),
            ("siod_shard_mailbox_depth{shard=\"1\"}", 1.0),
            ("siod_shard_stale{shard=\"0\"}", 0.0),
            ("to_dos{state=\"on\\\"line\\\\\\n\"}", 4.0),
            ("to_dos_done_total", 2.0),
            ("to_do_seconds_bucket{le=\"0.008\"}", 2.0),
            ("to_do_seconds_bucket{le=\"262.144\"}", 4.0),
            ("to_do_seconds_bucket{le=\"+Inf\"}", 6.0),
            ("to_do_seconds_sum", 800.046),
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
    fn every_family_of_the_daemon_has_samples() {
        let (text, _) = render(&[busy(0)], &Settings::default());
        for Family { name, help, .. } in DAEMON {
            assert!(text.contains(&format!("# HELP {name} {help}\n# TYPE {name} ")), "{name} is in the table only");
        }
    }

    #[test]
    fn a_family_without_samples_is_left_out() {
        let (text, _) = render(&[ShardSample::default()], &strange());
        for name in ["siod_sockets", "siod_alerts_total", "to_dos"] {
            assert!(!text.contains(name), "{name}");
        }
        assert!(text.contains("\nsiod_packets_received_total 0\n"));
    }

    #[test]
    fn the_page_of_a_strangers_application_is_its_rows() {
        let (text, _) = render(&[busy(0)], &strange());
        for head in [
            "# HELP to_dos Things to do,\\nby \\\\ state.\n# TYPE to_dos gauge\nto_dos{state=",
            "# HELP to_dos_done_total Things done.\n# TYPE to_dos_done_total counter\nto_dos_done_total 1\n",
            "# HELP to_do_seconds How long things took.\n# TYPE to_do_seconds histogram\nto_do_seconds_bucket{le=\"0.008\"} 1\n",
        ] {
            assert!(text.contains(head), "{head}");
        }
    }

    #[tokio::test]
    async fn a_metric_that_no_table_declares_is_left_out_and_the_rest_is_shown() {
        let (_, strays) = render(&[busy(0)], &Settings::default());
        assert_eq!(strays, STRANGE.iter().map(|family| family.name).collect());
        let fake = Fake { samples: vec![busy(0)], ..Fake::default() };
        let answer = ask(super::super::admin(fake.api()), admin_get("/metrics")).await;
        assert_eq!(answer.status, 200);
        assert!(!answer.text().contains("to_do") && answer.text().contains("\nsiod_writes_total 11\n"));
    }

    #[test]
    fn families_are_named_and_described_as_the_format_wants() {
        let (mut names, mut helps) = (HashSet::new(), HashSet::new());
        for family in DAEMON.iter().chain(TABLE.rows.iter().flat_map(|row| row.metrics)) {
            let Family { name, kind, labels, help } = family;
            assert!(names.insert(name) && helps.insert(help), "{name} comes twice, or what it says");
            assert!(help.ends_with('.') && help.len() > 3, "{name}: {help}");
            for word in labels.iter().chain([name]) {
                assert!(word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{name}: {word}");
            }
            let ends_as_counter = name.ends_with("_total") || NAMED_BY_A_CONTRACT.contains(name);
            assert_eq!(*kind == Kind::Counter, ends_as_counter, "{name}");
        }
    }

    #[test]
    fn what_an_application_shows_from_its_start_its_row_declares() {
        for app in TABLE.untold() {
            let mut samples = Vec::new();
            app.build().metrics(&mut samples);
            assert_eq!(gather(app.row.metrics, samples).strays, BTreeSet::new(), "{}", app.row.name);
        }
    }

    #[test]
    fn buckets_never_decrease() {
        let mut sample = ShardSample::default();
        (0..2_000).for_each(|n| sample.turn_us.record(n * n));
        let (text, _) = render(&[sample], &Settings::default());
        let buckets = text.lines().filter(|line| line.starts_with("siod_turn_seconds_bucket"));
        let counts: Vec<f64> = buckets.map(|line| line.rsplit_once(' ').unwrap().1.parse().unwrap()).collect();
        assert_eq!(counts.len(), 22);
        assert!(counts.is_sorted());
        assert_eq!(counts.last(), Some(&2_000.0));
    }

    /// T-31.
    #[tokio::test]
    async fn only_the_admin_listener_shows_metrics() {
        let fake = Fake { samples: vec![busy(0)], settings: strange(), ..Fake::default() };
        let answer = ask(super::super::admin(fake.api()), admin_get("/metrics")).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
        parse(&answer.text());
        for path in ["/metrics", "/metrics/", "/admin", "/debug", "/debug/pprof", "/graphql", "/drain"] {
            assert_eq!(ask(super::super::public(fake.api(), None), public_get(path)).await.status, 404, "{path}");
        }
    }
}
