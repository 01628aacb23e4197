//! What one thread found out, and how threads' findings become one: histograms are merged, never averaged.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;

use crate::clock::Nanos;
use crate::fault::Fault;

/// Longest latency that is told apart: an hour.
const LATENCY_NS_MAX: u64 = 3_600_000_000_000;
/// Shortest: a microsecond.
const LATENCY_NS_MIN: u64 = 1_000;
/// Faults told apart; more kinds than this are one.
const FAULT_KINDS_MAX: usize = 50;
/// Parts of the work told apart; further ones are not.
const PARTS_MAX: usize = 50;

#[derive(Clone, Debug)]
pub struct Figures {
    /// Of every unit of the scenario that ended in the measured time.
    pub latency: Histogram<u64>,
    /// Since the last look of the progress line.
    pub recent: Histogram<u64>,
    /// Somebody looks at the progress line.
    pub watched: bool,
    /// How late an open loop sent: the harness's own part of the latency.
    pub lateness: Histogram<u64>,
    /// Of parts of the work that are told apart.
    pub parts: BTreeMap<String, Histogram<u64>>,
    /// Units of the scenario, from the beginning.
    pub done: u64,
    /// What the scenario counts beside its units.
    pub counts: BTreeMap<&'static str, u64>,
    /// Why clients were lost or never joined.
    pub faults: BTreeMap<String, u64>,
}

impl Default for Figures {
    fn default() -> Figures {
        let blank = histogram();
        Figures {
            latency: blank.clone(),
            recent: blank.clone(),
            watched: false,
            lateness: blank,
            parts: BTreeMap::new(),
            done: 0,
            counts: BTreeMap::new(),
            faults: BTreeMap::new(),
        }
    }
}

fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(LATENCY_NS_MIN, LATENCY_NS_MAX, 3).expect("these bounds are valid")
}

impl Figures {
    pub fn note_latency(&mut self, latency_ns: Nanos, measuring: bool) {
        if self.watched {
            self.recent.saturating_record(latency_ns);
        }
        if measuring {
            self.latency.saturating_record(latency_ns);
        }
    }

    /// A latency of one part of the work, named by `name`.
    pub fn note_part(&mut self, name: impl AsRef<str>, latency_ns: Nanos, measuring: bool) {
        if !measuring {
            return;
        }
        let (name, may_begin) = (name.as_ref(), self.parts.len() < PARTS_MAX);
        match self.parts.get_mut(name) {
            Some(part) => part.saturating_record(latency_ns),
            None if may_begin => {
                self.parts.entry(name.to_owned()).or_insert_with(histogram).saturating_record(latency_ns);
            }
            None => {}
        }
    }

    /// The latencies of a part, if it has any.
    pub fn part(&self, name: &str) -> Option<&Histogram<u64>> {
        self.parts.get(name)
    }

    pub fn note_fault(&mut self, fault: &Fault) {
        let label = fault.to_string();
        let known = self.faults.contains_key(&label) || self.faults.len() < FAULT_KINDS_MAX;
        *self.faults.entry(if known { label } else { "others".to_owned() }).or_default() += 1;
    }

    pub fn add(&mut self, name: &'static str, count: u64) {
        *self.counts.entry(name).or_default() += count;
    }

    pub fn count(&self, name: &str) -> u64 {
        self.counts.get(name).copied().unwrap_or(0)
    }

    pub fn faults_total(&self) -> u64 {
        self.faults.values().sum()
    }

    pub fn merge(&mut self, other: &Figures) {
        for (ours, theirs) in [(&mut self.latency, &other.latency), (&mut self.lateness, &other.lateness)] {
            ours.add(theirs).expect("all have the same bounds");
        }
        for (name, theirs) in &other.parts {
            self.parts.entry(name.clone()).or_insert_with(histogram).add(theirs).expect("all have the same bounds");
        }
        self.done += other.done;
        other.counts.iter().for_each(|(name, count)| self.add(name, *count));
        other.faults.iter().for_each(|(label, count)| *self.faults.entry(label.clone()).or_default() += count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merged_quantiles_are_those_of_all_values_together() {
        let (mut fast, mut slow) = (Figures::default(), Figures::default());
        (0..990).for_each(|_| fast.note_latency(1_000_000, true));
        (0..10).for_each(|_| slow.note_latency(100_000_000, true));
        fast.note_latency(1, false);
        (fast.done, slow.done) = (990, 10);
        fast.add("missing", 1);
        slow.add("missing", 2);
        fast.note_part("a", 1_000_000, true);
        fast.note_part("a", 1_000_000, false);
        slow.note_part("a", 2_000_000, true);
        slow.note_part("b", 3_000_000, true);
        slow.note_fault(&Fault::Status(503));
        fast.merge(&slow);
        assert_eq!((fast.latency.len(), fast.done, fast.count("missing"), fast.faults_total()), (1_000, 1_000, 3, 1));
        let counts: Vec<_> = fast.parts.iter().map(|(name, part)| (name.as_str(), part.len())).collect();
        assert_eq!(counts, [("a", 2), ("b", 1)]);
        let ms = |quantile| (fast.latency.value_at_quantile(quantile) as f64 / 1e6).round();
        assert_eq!((ms(0.5), ms(0.99), ms(0.999)), (1.0, 1.0, 100.0), "an average of the two p99 would be 50 ms");
    }

    #[test]
    fn kinds_of_faults_are_bounded() {
        let mut figures = Figures::default();
        (0..1_000).for_each(|n| figures.note_fault(&Fault::Status(n)));
        assert_eq!((figures.faults.len(), figures.faults_total()), (FAULT_KINDS_MAX + 1, 1_000));
    }
}
