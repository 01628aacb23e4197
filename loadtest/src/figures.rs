//! What one thread found out, and how threads' findings become one: histograms are merged, never averaged.

use std::borrow::Cow;
use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

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

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Figures {
    /// Of every unit of the scenario that counts: the intervals of the measured time, merged.
    #[serde(with = "as_values")]
    pub latency: Histogram<u64>,
    /// Of the interval that runs, whether it counts or not.
    #[serde(skip, default = "histogram")]
    interval: Histogram<u64>,
    /// How late an open loop sent: the harness's own part of the latency.
    #[serde(with = "as_values")]
    pub lateness: Histogram<u64>,
    /// Of parts of the work that are told apart.
    #[serde(with = "as_values_of_parts")]
    pub parts: BTreeMap<String, Histogram<u64>>,
    /// Units of the scenario, from the beginning.
    pub done: u64,
    /// What the scenario counts beside its units.
    pub counts: BTreeMap<Cow<'static, str>, u64>,
    /// Why clients were lost or never joined.
    pub faults: BTreeMap<String, u64>,
}

/// The values of a histogram of [`histogram`]'s bounds with how often each came: what goes from a thread or a process to
/// another. Put into such a histogram again it is the same one.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub struct Values(Vec<(u64, u64)>);

impl Values {
    pub fn of(histogram: &Histogram<u64>) -> Values {
        let recorded = histogram.iter_recorded();
        Values(recorded.map(|step| (step.value_iterated_to(), step.count_at_value())).collect())
    }

    pub fn add_to(&self, histogram: &mut Histogram<u64>) {
        self.0.iter().for_each(|(value, count)| histogram.saturating_record_n(*value, *count));
    }

    /// How many values came, in all.
    pub fn count(&self) -> u64 {
        self.0.iter().map(|(_, count)| count).sum()
    }
}

mod as_values {
    use super::{Histogram, Values, histogram};
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(histogram: &Histogram<u64>, to: S) -> Result<S::Ok, S::Error> {
        Values::of(histogram).serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Histogram<u64>, D::Error> {
        let mut blank = histogram();
        Values::deserialize(from)?.add_to(&mut blank);
        Ok(blank)
    }
}

mod as_values_of_parts {
    use super::{BTreeMap, Histogram, Values, histogram};
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    type Parts = BTreeMap<String, Histogram<u64>>;

    pub(super) fn serialize<S: Serializer>(parts: &Parts, to: S) -> Result<S::Ok, S::Error> {
        parts.iter().map(|(name, part)| (name, Values::of(part))).collect::<BTreeMap<_, _>>().serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Parts, D::Error> {
        let parts = BTreeMap::<String, Values>::deserialize(from)?.into_iter();
        let filled = parts.map(|(name, values)| {
            let mut part = histogram();
            values.add_to(&mut part);
            (name, part)
        });
        Ok(filled.collect())
    }
}

impl Default for Figures {
    fn default() -> Figures {
        let blank = histogram();
        Figures {
            latency: blank.clone(),
            interval: blank.clone(),
            lateness: blank,
            parts: BTreeMap::new(),
            done: 0,
            counts: BTreeMap::new(),
            faults: BTreeMap::new(),
        }
    }
}

/// An empty one for latencies in nanoseconds: from a microsecond to an hour, to three digits.
pub(crate) fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(LATENCY_NS_MIN, LATENCY_NS_MAX, 3).expect("these bounds are valid")
}

impl Figures {
    /// A unit ended. It belongs to the interval that runs; [`Figures::cut`] says whether that one counts.
    pub fn note_latency(&mut self, latency_ns: Nanos) {
        self.interval.saturating_record(latency_ns);
    }

    /// Ends the interval, which is part of the whole if it `counts`. Gives back its latencies.
    pub fn cut(&mut self, counts: bool) -> Values {
        if self.interval.is_empty() {
            return Values::default();
        }
        if counts {
            self.latency.add(&self.interval).expect("both have the same bounds");
        }
        let values = Values::of(&self.interval);
        self.interval.reset();
        values
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
        *self.counts.entry(Cow::Borrowed(name)).or_default() += count;
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
        other.counts.iter().for_each(|(name, count)| *self.counts.entry(name.clone()).or_default() += count);
        other.faults.iter().for_each(|(label, count)| *self.faults.entry(label.clone()).or_default() += count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merged_quantiles_are_those_of_all_values_together() {
        let (mut fast, mut slow) = (Figures::default(), Figures::default());
        (0..990).for_each(|_| fast.note_latency(1_000_000));
        (0..10).for_each(|_| slow.note_latency(100_000_000));
        fast.cut(true);
        fast.note_latency(1);
        fast.cut(false);
        slow.cut(true);
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
    fn intervals_merge_into_the_whole() {
        let mut figures = Figures::default();
        let (mut direct, mut merged) = (histogram(), histogram());
        for interval in 0..5u64 {
            for n in 0..1_000 {
                let latency_ns = 500 + interval * 77_777 + n * n * 311;
                figures.note_latency(latency_ns);
                direct.saturating_record(latency_ns);
            }
            let values = figures.cut(true);
            assert_eq!(values.count(), 1_000);
            let text = serde_json::to_string(&values).unwrap();
            serde_json::from_str::<Values>(&text).unwrap().add_to(&mut merged);
        }
        assert_eq!((figures.latency == direct, merged == direct), (true, true));
        assert_eq!(figures.cut(true), Values::default(), "nothing is cut twice");
    }

    #[test]
    fn kinds_of_faults_are_bounded() {
        let mut figures = Figures::default();
        (0..1_000).for_each(|n| figures.note_fault(&Fault::Status(n)));
        assert_eq!((figures.faults.len(), figures.faults_total()), (FAULT_KINDS_MAX + 1, 1_000));
    }
}
