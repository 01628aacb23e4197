//! The plots of a run: latency over time and by percentile, rate, clients, CPU, memory, and faults if there were any.

use super::plot::{Curve, Plot};
use super::scale::{Scale, nines};
use crate::lines::number;
use crate::phase::Phase;
use crate::report::Report;
use crate::series::{Edge, Interval, Latency};

/// A shorter interval at the seam of two phases says little and would jump.
const SECONDS_MIN: f64 = 0.1;
/// From this many seconds on, time is named in minutes.
const MINUTES_FROM: f64 = 240.0;

/// What the plots over time have in common.
struct Timeline<'a> {
    intervals: Vec<&'a Interval>,
    began: u64,
    seconds: f64,
    measured: Option<(f64, f64)>,
}

/// All of them, as HTML.
pub(super) fn of(report: &Report) -> String {
    let time = Timeline::of(report);
    let has_units = !report.units.is_empty();
    let mut out = String::new();
    if has_units {
        out += &latency_over_time(&time);
        out += &by_percentile(report);
        out += &time.plot(
            format!("Rate, {} per second", report.units),
            &short,
            vec![time.curve("rate", 1, |interval| Some(interval.rate_per_s()))],
        );
    }
    out +=
        &time.plot("Clients joined".to_owned(), &short, vec![time.edges("joined", 4, |edge| Some(edge.joined as f64))]);
    if time.intervals.iter().any(|interval| interval.server_cpus().is_some()) {
        out += &cpu(&time);
        out += &time.plot(
            "Memory of the server, MiB of RSS".to_owned(),
            &short,
            vec![time.edges("RSS", 1, |edge| Some(edge.server?.rss_bytes as f64 / 1_048_576.0))],
        );
    } else {
        out += &time.plot(
            "CPU of the clients, CPUs".to_owned(),
            &number,
            vec![time.curve("clients (this harness)", 2, |interval| Some(interval.own_cpus()))],
        );
    }
    if time.intervals.iter().any(|interval| interval.faults > 0) {
        out += &time.plot(
            "Faults in each interval".to_owned(),
            &short,
            vec![time.curve("faults", 2, |interval| Some(interval.faults as f64))],
        );
    }
    out
}

impl<'a> Timeline<'a> {
    fn of(report: &'a Report) -> Timeline<'a> {
        let all = report.series.intervals();
        let is_measured = |interval: &Interval| interval.counts && interval.phase != Phase::Stopping;
        let is_long = |interval: &Interval| interval.seconds() >= SECONDS_MIN;
        // Where all that was measured is short, it is all there is to show.
        let is_all = !all.iter().any(|interval| is_measured(interval) && is_long(interval));
        let shown = |interval: &&Interval| is_long(interval) || (is_all && is_measured(interval));
        let began = all.first().map_or(0, |first| first.from.at);
        let at = |ns: u64| (ns - began) as f64 / 1e9;
        let mut counted = all.iter().filter(|interval| is_measured(interval));
        let first = counted.next();
        let last = counted.next_back().or(first);
        Timeline {
            intervals: all.iter().filter(shown).collect(),
            began,
            seconds: all.last().map_or(0.0, |last| at(last.to.at)),
            measured: first.zip(last).map(|(first, last)| (at(first.from.at), at(last.to.at))),
        }
    }

    fn at(&self, ns: u64) -> f64 {
        (ns - self.began) as f64 / 1e9
    }

    fn curve(&self, name: &'static str, colour: u8, of: impl Fn(&Interval) -> Option<f64>) -> Curve {
        let middle = |interval: &Interval| (self.at(interval.from.at) + self.at(interval.to.at)) / 2.0;
        let points = self.intervals.iter().map(|interval| (middle(interval), of(interval))).collect();
        Curve { name, colour, is_area: false, points }
    }

    /// Of what is read where intervals meet.
    fn edges(&self, name: &'static str, colour: u8, of: impl Fn(&Edge) -> Option<f64>) -> Curve {
        let first = self.intervals.first().map(|first| &first.from);
        let edges = first.into_iter().chain(self.intervals.iter().map(|interval| &interval.to));
        let points = edges.map(|edge| (self.at(edge.at), of(edge))).collect();
        Curve { name, colour, is_area: false, points }
    }

    fn plot(&self, title: String, y_text: &dyn Fn(f64) -> String, curves: Vec<Curve>) -> String {
        let values = curves.iter().flat_map(|curve| curve.points.iter().filter_map(|(_, y)| *y));
        self.plot_with(title, Scale::linear(values.fold(0.0, f64::max)), y_text, curves)
    }

    fn plot_with(&self, title: String, y: Scale, y_text: &dyn Fn(f64) -> String, curves: Vec<Curve>) -> String {
        let minutes = self.seconds >= MINUTES_FROM;
        let (unit_s, unit) = if minutes { (60.0, "min") } else { (1.0, "s") };
        let x = match Scale::time(self.seconds / unit_s) {
            Scale::Linear { to, step } => Scale::Linear { to: to * unit_s, step: step * unit_s },
            other => other,
        };
        let x_text = |seconds: f64| format!("{} {unit}", trimmed(seconds / unit_s));
        let tip = |interval: &&Interval| {
            let (from, to) = (self.at(interval.from.at), self.at(interval.to.at));
            (from, to, tip(interval, from, to))
        };
        let tips = self.intervals.iter().map(tip).collect();
        Plot { title, x, y, x_text: &x_text, y_text, curves, measured: self.measured, tips }.to_html()
    }
}

fn latency_over_time(time: &Timeline<'_>) -> String {
    let curve = |name, colour, of: fn(Latency) -> u64| {
        time.curve(name, colour, move |interval| interval.latency().map(|latency| of(latency) as f64 / 1e6))
    };
    let curves = vec![
        curve("max", 3, |latency| latency.max_ns),
        curve("p99", 2, |latency| latency.p99_ns),
        curve("p50", 1, |latency| latency.p50_ns),
    ];
    let y = Scale::fitting(curves.iter().flat_map(|curve| curve.points.iter().filter_map(|(_, y)| *y)));
    time.plot_with(format!("Latency over time, ms{}", note(y)), y, &trimmed, curves)
}

fn by_percentile(report: &Report) -> String {
    // The longest has a place of its own, a little to the right of the last percentile that is known.
    let last = report.curve.iter().rev().nth(1).map_or(0.0, |(quantile, _)| nines(*quantile)) + 0.1;
    let place = |quantile: f64| {
        if quantile >= 1.0 { 1.0 - 10f64.powf(-last) } else { quantile }
    };
    let points: Vec<(f64, Option<f64>)> =
        report.curve.iter().map(|(quantile, ms)| (place(*quantile), Some(*ms))).collect();
    let y = Scale::fitting(report.curve.iter().map(|(_, ms)| *ms));
    let text = |quantile: f64| format!("{} %", trimmed(quantile * 100.0));
    let tips = report.curve.windows(2).map(|pair| {
        let (from, to) = (place(pair[0].0), place(pair[1].0));
        let what = if pair[1].0 >= 1.0 { "longest".to_owned() } else { text(pair[1].0) };
        (from, to, format!("{what}: {} ms", number(pair[1].1)))
    });
    let curves = vec![Curve { name: "latency", colour: 1, is_area: false, points }];
    let title = format!("Latency by percentile, ms{}", note(y));
    let (x, measured) = (Scale::Nines { to: last }, None);
    Plot { title, x, y, x_text: &text, y_text: &trimmed, curves, measured, tips: tips.collect() }.to_html()
}

fn cpu(time: &Timeline<'_>) -> String {
    let part = |name, colour, at: usize| Curve {
        is_area: true,
        ..time.curve(name, colour, move |interval| interval.server_cpus().map(|cpus| cpus[at]))
    };
    let curves = vec![
        part("server, user", 1, 0),
        part("server, kernel", 4, 1),
        time.curve("clients (this harness)", 2, |interval| Some(interval.own_cpus())),
    ];
    let most =
        |interval: &&Interval| interval.server_cpus().map_or(0.0, |cpus| cpus[0] + cpus[1]).max(interval.own_cpus());
    let y = Scale::linear(time.intervals.iter().map(most).fold(0.0, f64::max));
    time.plot_with("CPU, in CPUs".to_owned(), y, &trimmed, curves)
}

/// What is said of an interval.
fn tip(interval: &Interval, from: f64, to: f64) -> String {
    let mut lines = vec![format!("{} to {} s, {}", trimmed(round(from)), trimmed(round(to)), interval.phase.name())];
    lines.push(format!("{} done, {} per second", number(interval.done as f64), number(interval.rate_per_s().round())));
    if let Some(Latency { p50_ns, p99_ns, max_ns }) = interval.latency() {
        let ms = |ns: u64| number(ns as f64 / 1e6);
        lines.push(format!("p50 {} · p99 {} · max {} ms", ms(p50_ns), ms(p99_ns), ms(max_ns)));
    }
    if let Some([user, system]) = interval.server_cpus() {
        lines.push(format!(
            "server {} + {} CPUs, clients {}",
            number(user),
            number(system),
            number(interval.own_cpus())
        ));
    }
    if let Some(server) = interval.to.server {
        lines.push(format!("{} MiB", number(server.rss_bytes as f64 / 1_048_576.0)));
    }
    lines.push(format!("{} joined, {} faults", number(interval.to.joined as f64), interval.faults));
    lines.join("\n")
}

fn note(scale: Scale) -> &'static str {
    if scale.is_log() { " (logarithmic)" } else { "" }
}

fn round(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

/// As many digits as the value has, seven at most.
fn trimmed(value: f64) -> String {
    let text = format!("{value:.5}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// `25000` → `25k`.
fn short(value: f64) -> String {
    match value {
        _ if value >= 1e6 => format!("{}M", trimmed(value / 1e6)),
        _ if value >= 1e4 => format!("{}k", trimmed(value / 1e3)),
        _ => trimmed(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_on_axes_are_short() {
        for (value, expected) in [(0.0, "0"), (0.2, "0.2"), (5_000.0, "5000"), (25_000.0, "25k"), (1.5e6, "1.5M")] {
            assert_eq!(short(value), expected);
        }
        assert_eq!(
            (trimmed(99.9), trimmed(99.99999), trimmed(100.0)),
            ("99.9".into(), "99.99999".into(), "100".into())
        );
    }
}
