//! A run in intervals: what happened in each of them, and what the server and we used for it. The intervals of the time
//! that counts are the parts of the whole: [`crate::figures::Figures::cut`] merges their histograms into it.

use serde::{Deserialize, Serialize};

use crate::clock::{MS_NS, Nanos};
use crate::figures::{self, Values};
use crate::host::ServerSample;
use crate::phase::Phase;

/// Length of an interval at first.
const INTERVAL_NS: Nanos = 500 * MS_NS;
/// After so many intervals they become twice as long, and so on: the longest run has less than 2,000.
const INTERVALS_PER_LENGTH: usize = 400;
/// Intervals for which a late part is still waited.
const OPEN_MAX: usize = 16;

/// What one thread did in one interval.
#[derive(Clone, Default, Debug, Serialize, Deserialize)]
pub struct Part {
    /// Of the interval.
    pub number: usize,
    pub done: u64,
    pub faults: u64,
    pub latency: Values,
}

/// What can be read where two intervals meet.
#[derive(Clone, Copy, Default, Debug)]
pub struct Edge {
    pub at: Nanos,
    /// Clients joined.
    pub joined: u64,
    pub server: Option<ServerSample>,
    pub own_cpu_ns: Nanos,
}

/// One interval.
#[derive(Clone, Debug)]
pub struct Interval {
    pub phase: Phase,
    /// Its latencies are part of the whole.
    pub counts: bool,
    pub from: Edge,
    pub to: Edge,
    pub done: u64,
    pub faults: u64,
    parts: Vec<Values>,
    latency: Option<Latency>,
}

/// Latencies of an interval, in nanoseconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Latency {
    pub p50_ns: u64,
    pub p99_ns: u64,
    pub max_ns: u64,
}

#[derive(Clone, Default, Debug)]
pub struct Series {
    intervals: Vec<Interval>,
    /// Those before have been added up.
    closed: usize,
}

impl Series {
    /// Ends the interval that runs and begins the next one; its number.
    pub fn begin(&mut self, phase: Phase, counts: bool, edge: Edge) -> usize {
        self.end(edge);
        let (parts, latency) = (Vec::new(), None);
        self.intervals.push(Interval { phase, counts, from: edge, to: edge, done: 0, faults: 0, parts, latency });
        self.close(self.intervals.len().saturating_sub(OPEN_MAX));
        self.intervals.len() - 1
    }

    /// Ends the last interval.
    pub fn end(&mut self, edge: Edge) {
        if let Some(last) = self.intervals.last_mut() {
            last.to = edge;
        }
    }

    /// A part that comes very late counts in a later interval; none is lost.
    pub fn on_part(&mut self, part: Part) {
        let at = part.number.max(self.closed).min(self.intervals.len().saturating_sub(1));
        let Some(interval) = self.intervals.get_mut(at) else { return };
        interval.done += part.done;
        interval.faults += part.faults;
        interval.parts.push(part.latency);
    }

    /// No part comes any more.
    pub fn finish(&mut self) {
        self.close(self.intervals.len());
    }

    /// Adds up the intervals before `until`: their values are not kept.
    fn close(&mut self, until: usize) {
        while self.closed < until {
            let interval = &mut self.intervals[self.closed];
            interval.latency = latency(&interval.parts);
            interval.parts = Vec::new();
            self.closed += 1;
        }
    }

    /// When the interval that runs is to end.
    pub fn deadline(&self) -> Nanos {
        let doublings = (self.intervals.len() / INTERVALS_PER_LENGTH) as u32;
        self.intervals.last().map_or(0, |last| last.from.at + (INTERVAL_NS << doublings.min(16)))
    }

    pub fn intervals(&self) -> &[Interval] {
        &self.intervals
    }

    /// The last one that is over.
    pub fn latest(&self) -> Option<&Interval> {
        self.intervals.iter().rev().nth(1)
    }
}

impl Interval {
    pub fn seconds(&self) -> f64 {
        (self.to.at - self.from.at) as f64 / 1e9
    }

    /// Of all its threads together; `None` if nothing ended in it.
    pub fn latency(&self) -> Option<Latency> {
        self.latency.or_else(|| latency(&self.parts))
    }

    pub fn rate_per_s(&self) -> f64 {
        self.done as f64 / self.seconds()
    }

    /// CPUs that the server used, in user and in system mode. The sum is exact, its parts are to the kernel's tick.
    pub fn server_cpus(&self) -> Option<[f64; 2]> {
        let (from, to) = (self.from.server?, self.to.server?);
        let all = to.cpu_ns.saturating_sub(from.cpu_ns) as f64 / 1e9 / self.seconds();
        let user = to.user_ns.saturating_sub(from.user_ns) as f64;
        let system = to.system_ns.saturating_sub(from.system_ns) as f64;
        let share = if user + system > 0.0 { user / (user + system) } else { 0.5 };
        Some([all * share, all * (1.0 - share)])
    }

    pub fn own_cpus(&self) -> f64 {
        self.to.own_cpu_ns.saturating_sub(self.from.own_cpu_ns) as f64 / 1e9 / self.seconds()
    }
}

fn latency(parts: &[Values]) -> Option<Latency> {
    let mut merged = figures::histogram();
    parts.iter().for_each(|part| part.add_to(&mut merged));
    let of = |quantile| merged.value_at_quantile(quantile);
    (!merged.is_empty()).then(|| Latency { p50_ns: of(0.5), p99_ns: of(0.99), max_ns: merged.max() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::Figures;

    fn edge(at_ms: u64) -> Edge {
        Edge { at: at_ms * MS_NS, ..Edge::default() }
    }

    fn part(number: usize, latencies_ns: &[u64]) -> Part {
        let mut figures = Figures::default();
        latencies_ns.iter().for_each(|latency_ns| figures.note_latency(*latency_ns));
        Part { number, done: latencies_ns.len() as u64, faults: 0, latency: figures.cut(true) }
    }

    #[test]
    fn parts_of_threads_become_one_interval() {
        let mut series = Series::default();
        assert_eq!(series.begin(Phase::Measuring, true, edge(0)), 0);
        assert_eq!((series.deadline(), series.latest().is_none()), (500 * MS_NS, true));
        assert_eq!(series.begin(Phase::Measuring, true, edge(500)), 1);
        series.on_part(part(0, &[1_000_000; 98]));
        series.on_part(part(0, &[80_000_000; 2]));
        let latest = series.latest().unwrap();
        let latency = latest.latency().unwrap();
        assert_eq!((latest.done, latest.rate_per_s(), latency.p50_ns / 100_000), (100, 200.0, 10));
        assert_eq!((latency.p99_ns / 1_000_000, latency.max_ns / 1_000_000), (80, 80));
        series.finish();
        assert_eq!(series.intervals()[0].latency(), Some(latency));
        assert_eq!(series.intervals()[1].latency(), None);
    }

    #[test]
    fn a_late_part_is_not_lost_and_the_number_of_intervals_is_bounded() {
        let mut series = Series::default();
        let (mut at, mut count) = (0, 0);
        while at < 3_600 * 1_000 * MS_NS {
            series.begin(Phase::Measuring, true, Edge { at, ..Edge::default() });
            (at, count) = (series.deadline(), count + 1);
        }
        assert!((1_000..2_000).contains(&count), "{count}");
        series.on_part(part(3, &[5_000]));
        series.on_part(part(usize::MAX, &[5_000]));
        series.finish();
        assert_eq!(series.intervals().iter().map(|interval| interval.done).sum::<u64>(), 2);
    }

    #[test]
    fn cpu_is_split_by_the_ticks() {
        let mut series = Series::default();
        let server = |cpu_ns, user_ns, system_ns| Some(ServerSample { cpu_ns, user_ns, system_ns, rss_bytes: 1 });
        series.begin(Phase::Measuring, true, Edge { server: server(0, 0, 0), ..edge(0) });
        series.end(Edge {
            server: server(400 * MS_NS, 100 * MS_NS, 300 * MS_NS),
            own_cpu_ns: 250 * MS_NS,
            ..edge(500)
        });
        let interval = &series.intervals()[0];
        let cpus = interval.server_cpus().unwrap();
        assert!((cpus[0] - 0.2).abs() < 1e-9 && (cpus[1] - 0.6).abs() < 1e-9, "{cpus:?}");
        assert!((interval.own_cpus() - 0.5).abs() < 1e-9);
    }
}
