//! What was found, for people and for programs: the same lines in both. Warnings say what spoils a figure, failures what
//! ends the process with 1.

use hdrhistogram::Histogram;
use serde_json::{Map, Value, json};

use crate::circumstances::Circumstances;
use crate::clock::Nanos;
use crate::host::MachineSample;
use crate::lines::{Line, Lines, grouped, number};
use crate::outcome::Outcome;
use crate::scenario::kind::Kind;
use crate::series::{Interval, Latency, Series};
use crate::verdict;

/// Of the JSON: it grows by one when a field changes its meaning or goes, not when one is added.
const SCHEMA_VERSION: u32 = 1;
/// Points of the percentile curve for each factor of ten in what is left above.
const CURVE_STEPS: u32 = 10;
/// The curve ends at the latest here: seven nines.
const CURVE_POINTS_MAX: u32 = 7 * CURVE_STEPS;

const QUANTILES: [(&str, f64); 5] = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999), ("max", 1.0)];

/// A finished run, ready to be shown.
pub struct Report {
    pub(crate) title: String,
    pub(crate) units: &'static str,
    lines: Lines,
    /// So many of the lines are about the work; the others are about what it took.
    work_lines: usize,
    pub(crate) latency_ms: Vec<(&'static str, f64)>,
    /// Quantiles and their latencies in milliseconds, the last one the longest.
    pub(crate) curve: Vec<(f64, f64)>,
    pub(crate) lateness_p99_ms: Option<f64>,
    pub(crate) faults: Vec<(String, u64)>,
    pub warnings: Vec<String>,
    pub failures: Vec<String>,
    about: Value,
    pub(crate) circumstances: Circumstances,
    pub(crate) series: Series,
}

impl Report {
    pub fn of(kind: &Kind, outcome: &Outcome) -> Report {
        let mut lines = Lines::default();
        let options = &outcome.options;
        lines.add("clients_joined", "clients joined", outcome.joined.joined as f64, "");
        lines.add("seconds", "measured for", outcome.seconds(), "s");
        add_units(kind, outcome, &mut lines);
        (kind.describe)(outcome, &mut lines);
        let work_lines = lines.all.len();
        add_cpu(kind, outcome, &mut lines);
        add_drops(outcome, &mut lines);
        let failures = verdict::failures(outcome, &mut lines);
        let figures = &outcome.figures;
        Report {
            title: format!("{} · {} · {} clients", kind.name, options.url, grouped(options.clients.into())),
            units: kind.unit.1,
            latency_ms: quantiles(&figures.latency),
            curve: curve(&figures.latency),
            lateness_p99_ms: verdict::lateness_p99_ms(outcome),
            faults: figures.faults.iter().map(|(label, count)| (label.clone(), *count)).collect(),
            warnings: verdict::warnings(outcome, &lines),
            failures,
            about: json!({
                "scenario": kind.name, "url": options.url, "namespace": options.namespace,
                "clients": options.clients, "threads": options.threads, "processes": options.processes,
                "size_bytes": options.size, "in_flight": options.in_flight, "rate": options.rate,
                "connect_rate": options.connect_rate, "server_pids": options.pids,
            }),
            lines,
            work_lines,
            circumstances: outcome.circumstances.clone(),
            series: outcome.series.clone(),
        }
    }

    pub(crate) fn lines(&self) -> &[Line] {
        &self.lines.all
    }

    pub fn to_text(&self) -> String {
        let (work, cost) = self.lines().split_at(self.work_lines);
        let faults = self.faults.iter().map(|(label, count)| format!("fault:   {} × {label}", grouped(*count as f64)));
        let warnings = self.warnings.iter().map(|warning| format!("warning: {warning}"));
        let failures = self.failures.iter().map(|failure| format!("FAILED:  {failure}"));
        let groups = [
            work.iter().map(Line::to_text).collect(),
            self.latency_text(),
            cost.iter().map(Line::to_text).collect(),
            faults.chain(warnings).chain(failures).collect::<Vec<_>>(),
        ];
        let mut text = format!("{}\n", self.title);
        for group in groups.iter().filter(|group| !group.is_empty()) {
            text.push('\n');
            group.iter().for_each(|line| text.push_str(&format!("  {}\n", line.trim_end())));
        }
        text
    }

    fn latency_text(&self) -> Vec<String> {
        if self.latency_ms.is_empty() {
            return Vec::new();
        }
        let (names, values): (String, String) =
            self.latency_ms.iter().map(|(name, ms)| (format!("{name:>10}"), format!("{:>10}", number(*ms)))).unzip();
        let late = self.lateness_p99_ms.map(|ms| format!("of which sent late by us, p99 {} ms", number(ms)));
        let rows = [format!("{:<12}{names}", "latency"), format!("{:<12}{values}", "ms")];
        rows.into_iter().chain(late).collect()
    }

    pub fn to_json(&self) -> String {
        let values = |pairs: Vec<(String, f64)>| pairs.into_iter().map(|(key, value)| (key, json!(value)));
        let figures = self.lines().iter().map(|line| (line.key().to_owned(), line.value)).collect();
        let latency = self.latency_ms.iter().map(|(name, ms)| ((*name).to_owned(), *ms)).collect();
        let began = self.series.intervals().first().map_or(0, |first| first.from.at);
        let whole = json!({
            "schema_version": SCHEMA_VERSION,
            "about": self.about,
            "circumstances": self.circumstances,
            "figures": values(figures).collect::<Map<_, _>>(),
            "latency_ms": values(latency).collect::<Map<_, _>>(),
            "latency_curve_ms": self.curve,
            "sent_late_p99_ms": self.lateness_p99_ms,
            "faults": self.faults.iter().map(|(label, count)| (label.clone(), json!(count))).collect::<Map<_, _>>(),
            "warnings": self.warnings,
            "failures": self.failures,
            "series": self.series.intervals().iter().map(|interval| sample(interval, began)).collect::<Vec<_>>(),
        });
        format!("{whole:#}\n")
    }
}

/// An interval for programs; `began` is when the first one did.
fn sample(interval: &Interval, began: Nanos) -> Value {
    let latency = interval.latency();
    let ms = |of: fn(Latency) -> u64| latency.map(|latency| of(latency) as f64 / 1e6);
    let cpus = interval.server_cpus();
    json!({
        "from_s": (interval.from.at - began) as f64 / 1e9,
        "to_s": (interval.to.at - began) as f64 / 1e9,
        "phase": interval.phase.name(),
        "counts": interval.counts,
        "clients_joined": interval.to.joined,
        "done": interval.done,
        "rate_per_s": interval.rate_per_s(),
        "p50_ms": ms(|latency| latency.p50_ns),
        "p99_ms": ms(|latency| latency.p99_ns),
        "max_ms": ms(|latency| latency.max_ns),
        "faults": interval.faults,
        "server_user_cpus": cpus.map(|[user, _]| user),
        "server_system_cpus": cpus.map(|[_, system]| system),
        "server_rss_mib": interval.to.server.map(|server| server.rss_bytes as f64 / 1_048_576.0),
        "own_cpus": interval.own_cpus(),
    })
}

fn add_units(kind: &Kind, outcome: &Outcome, lines: &mut Lines) {
    let (unit, units) = kind.unit;
    if unit.is_empty() {
        return;
    }
    let done = outcome.done() as f64;
    lines.add("done", units, done, "");
    lines.add("rate_per_s", &format!("{units} per second"), done / outcome.seconds(), "/s");
    if let Some(cpu_ns) = outcome.server_cpu_ns() {
        lines.add("server_cpu_us_per_unit", &format!("server CPU per {unit}"), cpu_ns / 1e3 / done, "µs");
    }
}

fn add_cpu(kind: &Kind, outcome: &Outcome, lines: &mut Lines) {
    let wall_ns = outcome.seconds() * 1e9;
    if let Some(cpu_ns) = outcome.server_cpu_ns() {
        lines.add("server_cpus", "server CPU", cpu_ns / wall_ns, "CPUs");
        if let Some([user, system]) = outcome.server_cpu_parts() {
            lines.add("server_user_cpus", "server CPU in user mode", user * cpu_ns / wall_ns, "CPUs");
            lines.add("server_system_cpus", "server CPU in the kernel", system * cpu_ns / wall_ns, "CPUs");
        }
        let rss_bytes = outcome.to.server.map_or(0, |server| server.rss_bytes);
        lines.add("server_rss_mib", "server RSS at the end", rss_bytes as f64 / 1_048_576.0, "MiB");
    }
    let own_ns = (outcome.to.own_cpu_ns - outcome.from.own_cpu_ns) as f64;
    lines.add("own_cpus", "our own CPU", own_ns / wall_ns, "CPUs");
    let unit = kind.unit.0;
    if !unit.is_empty() {
        lines.add(
            "own_cpu_us_per_unit",
            &format!("our own CPU per {unit}"),
            own_ns / 1e3 / outcome.done() as f64,
            "µs",
        );
    }
    let others_ns = (outcome.to.machine.busy_ns.saturating_sub(outcome.from.machine.busy_ns)) as f64
        - own_ns
        - outcome.server_cpu_ns().unwrap_or(0.0);
    lines.add("others_cpus", "CPU of everything else here", (others_ns / wall_ns).max(0.0), "CPUs");
}

/// What the kernel dropped from the first connection to the end of the measured time. Its counters are of this machine:
/// of both ends where the server is here.
fn add_drops(outcome: &Outcome, lines: &mut Lines) {
    let (before, after) = (&outcome.before.machine, &outcome.to.machine);
    let mut add = |key: &str, label: &str, of: fn(&MachineSample) -> u64| {
        lines.add(key, label, of(after).saturating_sub(of(before)) as f64, "");
    };
    if !outcome.options.pids.is_empty() {
        add("listen_drops", "connections dropped while listening", |machine| machine.listen_drops);
        add("listen_overflows", "dropped because accept was behind", |machine| machine.listen_overflows);
    }
    add("syn_retransmits", "connection requests sent again (SYN)", |machine| machine.syn_retransmits);
}

fn quantiles(latency: &Histogram<u64>) -> Vec<(&'static str, f64)> {
    if latency.is_empty() {
        return Vec::new();
    }
    let value = |quantile| latency.value_at_quantile(quantile) as f64 / 1e6;
    QUANTILES.iter().map(|(name, quantile)| (*name, value(*quantile))).collect()
}

/// Evenly apart where each factor of ten in what is left above has the same room: 0, 90, 99, 99.9 % and between.
fn curve(latency: &Histogram<u64>) -> Vec<(f64, f64)> {
    let quantiles = (0..=CURVE_POINTS_MAX).map(|step| 1.0 - 10f64.powf(-f64::from(step) / f64::from(CURVE_STEPS)));
    // Above its last value a histogram knows nothing.
    let known = quantiles.take_while(|quantile| (1.0 - quantile) * latency.len() as f64 >= 1.0);
    let mut curve: Vec<_> =
        known.map(|quantile| (quantile, latency.value_at_quantile(quantile) as f64 / 1e6)).collect();
    curve.extend((!latency.is_empty()).then(|| (1.0, latency.max() as f64 / 1e6)));
    curve
}
