//! What was found, for people and for programs: the same lines in both. Warnings say what spoils a figure, failures what
//! ends the process with 1.

use std::fmt::Write;

use serde_json::{Map, Value, json};

use crate::figures::Figures;
use crate::run::Outcome;

/// A thread that has less than this left over may have been what was measured.
const BUSY_SHARE_MAX: f64 = 0.9;
/// CPUs that others may use before they are mentioned.
const OTHERS_CPUS_MAX: f64 = 0.2;
/// A shorter measurement is mentioned.
const SECONDS_MIN: f64 = 0.5;

const QUANTILES: [(&str, f64); 5] = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999), ("max", 1.0)];

/// Named figures in the order in which they are printed.
#[derive(Default)]
pub struct Lines {
    lines: Vec<Line>,
    failures: Vec<String>,
}

struct Line {
    key: String,
    label: String,
    value: f64,
    unit: &'static str,
}

impl Lines {
    /// `key` is for programs: it ends with its unit.
    pub fn add(&mut self, key: &str, label: &str, value: f64, unit: &'static str) {
        self.lines.push(Line { key: key.to_owned(), label: label.to_owned(), value, unit });
    }

    /// A count that is a failure unless it is zero.
    pub fn must_be_zero(&mut self, name: &str, count: u64) {
        self.add(&name.replace(' ', "_"), name, count as f64, "");
        if count > 0 {
            self.failures.push(format!("{count} {name}"));
        }
    }

    fn find(&self, key: &str) -> Option<f64> {
        self.lines.iter().find(|line| line.key == key).map(|line| line.value)
    }
}

/// A finished run, ready to be shown.
pub struct Report {
    title: String,
    lines: Lines,
    latency_ms: Vec<(&'static str, f64)>,
    lateness_p99_ms: Option<f64>,
    faults: Vec<(String, u64)>,
    pub warnings: Vec<String>,
    pub failures: Vec<String>,
    about: Value,
}

impl Report {
    pub fn of(outcome: &Outcome) -> Report {
        let mut lines = Lines::default();
        let options = &outcome.options;
        lines.add("clients_joined", "clients joined", outcome.joined.joined as f64, "");
        lines.add("seconds", "measured for", outcome.seconds(), "s");
        add_units(outcome, &mut lines);
        (outcome.kind.describe)(outcome, &mut lines);
        add_cpu(outcome, &mut lines);
        let failures = failures(outcome, &mut lines);
        Report {
            title: format!("{} · {} · {} clients", outcome.kind.name, options.url, options.clients),
            latency_ms: quantiles(&outcome.figures),
            lateness_p99_ms: (!outcome.figures.lateness.is_empty() && options.rate > 0.0)
                .then(|| outcome.figures.lateness.value_at_quantile(0.99) as f64 / 1e6),
            faults: outcome.figures.faults.iter().map(|(label, count)| (label.clone(), *count)).collect(),
            warnings: warnings(outcome, &lines),
            failures,
            about: json!({
                "scenario": outcome.kind.name, "url": options.url, "namespace": options.namespace,
                "clients": options.clients, "threads": options.threads, "size_bytes": options.size,
                "in_flight": options.in_flight, "rate": options.rate, "connect_rate": options.connect_rate,
                "server_pids": options.pids,
            }),
            lines,
        }
    }

    pub fn to_text(&self) -> String {
        let mut text = format!("{}\n", self.title);
        // Writing to a String cannot fail.
        for Line { label, value, unit, .. } in &self.lines.lines {
            let _ = writeln!(text, "  {label:<42} {:>14} {unit}", number(*value));
        }
        if !self.latency_ms.is_empty() {
            let all: Vec<_> = self.latency_ms.iter().map(|(name, ms)| format!("{name} {}", number(*ms))).collect();
            let _ = writeln!(text, "  latency, ms: {}", all.join(" · "));
        }
        if let Some(late) = self.lateness_p99_ms {
            let _ = writeln!(text, "  of which sent late by us, ms: p99 {}", number(late));
        }
        let faults = self.faults.iter().map(|(label, count)| format!("fault:   {count} × {label}"));
        let warnings = self.warnings.iter().map(|warning| format!("warning: {warning}"));
        let failures = self.failures.iter().map(|failure| format!("FAILED:  {failure}"));
        faults.chain(warnings).chain(failures).for_each(|line| text.push_str(&format!("  {line}\n")));
        text
    }

    pub fn to_json(&self) -> String {
        let values = |pairs: Vec<(String, f64)>| pairs.into_iter().map(|(key, value)| (key, json!(value)));
        let figures = self.lines.lines.iter().map(|line| (line.key.clone(), line.value)).collect();
        let latency = self.latency_ms.iter().map(|(name, ms)| ((*name).to_owned(), *ms)).collect();
        let whole = json!({
            "about": self.about,
            "figures": values(figures).collect::<Map<_, _>>(),
            "latency_ms": values(latency).collect::<Map<_, _>>(),
            "sent_late_p99_ms": self.lateness_p99_ms,
            "faults": self.faults.iter().map(|(label, count)| (label.clone(), json!(count))).collect::<Map<_, _>>(),
            "warnings": self.warnings,
            "failures": self.failures,
        });
        format!("{whole:#}\n")
    }
}

fn add_units(outcome: &Outcome, lines: &mut Lines) {
    let (unit, units) = outcome.kind.unit;
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

fn add_cpu(outcome: &Outcome, lines: &mut Lines) {
    let wall_ns = outcome.seconds() * 1e9;
    if let Some(cpu_ns) = outcome.server_cpu_ns() {
        lines.add("server_cpus", "server CPU", cpu_ns / wall_ns, "CPUs");
        let rss_bytes = outcome.to.server.map_or(0, |server| server.rss_bytes);
        lines.add("server_rss_mib", "server RSS at the end", rss_bytes as f64 / 1_048_576.0, "MiB");
    }
    let own_ns = (outcome.to.own_cpu_ns - outcome.from.own_cpu_ns) as f64;
    lines.add("own_cpus", "our own CPU", own_ns / wall_ns, "CPUs");
    let unit = outcome.kind.unit.0;
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

fn quantiles(figures: &Figures) -> Vec<(&'static str, f64)> {
    if figures.latency.is_empty() {
        return Vec::new();
    }
    let value = |quantile| figures.latency.value_at_quantile(quantile) as f64 / 1e6;
    QUANTILES.iter().map(|(name, quantile)| (*name, value(*quantile))).collect()
}

fn failures(outcome: &Outcome, lines: &mut Lines) -> Vec<String> {
    let mut failures = std::mem::take(&mut lines.failures);
    let options = &outcome.options;
    let faults = outcome.figures.faults_total();
    if faults > 0 {
        failures.push(format!("{faults} faults"));
    }
    if outcome.joined.joined < u64::from(options.clients) {
        failures.push(format!("{} of {} clients joined", outcome.joined.joined, options.clients));
    }
    let p99_ms = outcome.figures.latency.value_at_quantile(0.99) as f64 / 1e6;
    if let Some(limit) = options.max_p99_ms.filter(|limit| p99_ms > *limit) {
        failures.push(format!("p99 is {} ms, above {limit}", number(p99_ms)));
    }
    let rate = lines.find("rate_per_s").unwrap_or(0.0);
    if let Some(limit) = options.min_rate.filter(|limit| rate < *limit) {
        failures.push(format!("the rate is {}, below {limit}", number(rate)));
    }
    failures
}

fn warnings(outcome: &Outcome, lines: &Lines) -> Vec<String> {
    let mut warnings = Vec::new();
    let wall_ns = outcome.seconds() * 1e9;
    let spent = outcome.to.threads_cpu_ns.iter().enumerate().map(|(thread, cpu_ns)| {
        // Threads begin after the sample before them.
        cpu_ns.saturating_sub(outcome.from.threads_cpu_ns.get(thread).copied().unwrap_or(0))
    });
    let busiest = spent.max().unwrap_or(0) as f64 / wall_ns;
    if busiest > BUSY_SHARE_MAX {
        let share = busiest * 100.0;
        warnings.push(format!(
            "a thread of ours was busy for {share:.0} % of the time: this may be our limit, not the server's"
        ));
    }
    if lines.find("others_cpus").is_some_and(|others| others > OTHERS_CPUS_MAX) {
        warnings.push("other processes used the CPU too: the figures are noisy".to_owned());
    }
    if outcome.options.pids.is_empty() {
        warnings.push("the server's process was not found (--pid): no figures of its CPU and memory".to_owned());
    }
    if outcome.options.metrics.is_some() && outcome.to.metrics.is_none() {
        warnings.push("--metrics was not answered".to_owned());
    }
    if outcome.seconds() < SECONDS_MIN {
        warnings.push("measured for a very short time: take more clients or seconds".to_owned());
    }
    warnings
}

/// Three significant digits where it matters, all of them where they are whole.
fn number(value: f64) -> String {
    match value.abs() {
        _ if !value.is_finite() => "-".to_owned(),
        magnitude if magnitude >= 1_000.0 || value.fract() == 0.0 => format!("{value:.0}"),
        magnitude if magnitude >= 100.0 => format!("{value:.1}"),
        magnitude if magnitude >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        for (value, expected) in [
            (0.0, "0"),
            (12.0, "12"),
            (0.5512, "0.551"),
            (5.912, "5.91"),
            (123.45, "123.5"),
            (98765.4, "98765"),
            (f64::NAN, "-"),
        ] {
            assert_eq!(number(value), expected);
        }
    }

    #[test]
    fn a_count_that_must_be_zero_fails_the_run() {
        let mut lines = Lines::default();
        lines.must_be_zero("missing", 0);
        lines.must_be_zero("out of order", 2);
        assert_eq!(lines.failures, ["2 out of order"]);
        assert_eq!(lines.find("out_of_order"), Some(2.0));
    }
}
