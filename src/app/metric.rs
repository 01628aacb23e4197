//! Metrics of an application: the families it has, as rows of a table, and the samples of a scrape. What an application counts
//! stays plain numbers; its [`super::table::Row`] names its families, and the shell writes HELP and TYPE from there.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use crate::base::stats::Histogram;

/// One family of metrics: a row of an application's table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Family {
    /// Unique in the daemon: the application's prefix, what is counted, the unit, and `_total` where it is a counter.
    pub name: &'static str,
    pub kind: Kind,
    /// Names of its labels. Their values come from closed sets or from the configuration, never from a client.
    pub labels: &'static [&'static str],
    /// One sentence for whoever reads the page.
    pub help: &'static str,
}

/// What the values of a family are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Only grows, from 0 at the start of the process.
    Counter,
    /// As of now.
    Gauge,
    Histogram(Buckets),
}

/// How a [`Histogram`] is shown: in which unit, and which of its buckets. What is above the last one shows in `+Inf` alone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Buckets {
    /// How many of the recorded units are one of the unit that the family's name says.
    pub per_unit: u64,
    /// Smallest and largest bound, in recorded units.
    pub bounds: (u64, u64),
}

impl Buckets {
    /// Microseconds shown in seconds, from 16 µs to 16.8 s.
    pub const MICROSECONDS: Buckets = Buckets { per_unit: 1_000_000, bounds: (1 << 4, 1 << 24) };
    /// Milliseconds shown in seconds, from 8 ms to 262 s.
    pub const MILLISECONDS: Buckets = Buckets { per_unit: 1_000, bounds: (1 << 3, 1 << 18) };
}

impl Family {
    pub const fn counter(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Family {
        Family { name, kind: Kind::Counter, labels, help }
    }

    pub const fn gauge(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Family {
        Family { name, kind: Kind::Gauge, labels, help }
    }

    /// A histogram without labels.
    pub const fn histogram(name: &'static str, buckets: Buckets, help: &'static str) -> Family {
        Family { name, kind: Kind::Histogram(buckets), labels: &[], help }
    }

    fn holds(&self, metric: &Metric) -> bool {
        let is_histogram = matches!(self.kind, Kind::Histogram(_));
        metric.labels.len() == self.labels.len() && matches!(metric.value, Value::Histogram(_)) == is_histogram
    }
}

/// One sample of a family.
#[derive(Clone, PartialEq, Debug)]
pub struct Metric {
    /// The family's.
    pub name: &'static str,
    /// A value for each label of the family, in the family's order.
    pub labels: Vec<String>,
    pub value: Value,
}

/// A number for a counter or a gauge; a histogram for a histogram.
#[derive(Clone, PartialEq, Debug)]
pub enum Value {
    Number(f64),
    Histogram(Box<Histogram>),
}

impl Metric {
    pub fn count<const LABELS: usize>(name: &'static str, labels: [&str; LABELS], count: u64) -> Metric {
        Metric::number(name, labels, count as f64)
    }

    pub fn number<const LABELS: usize>(name: &'static str, labels: [&str; LABELS], number: f64) -> Metric {
        Metric { name, labels: labels.map(str::to_owned).into(), value: Value::Number(number) }
    }

    pub fn histogram(name: &'static str, histogram: &Histogram) -> Metric {
        Metric { name, labels: Vec::new(), value: Value::Histogram(Box::new(histogram.clone())) }
    }
}

impl Value {
    fn add(&mut self, other: Value) {
        match (self, other) {
            (Value::Number(mine), Value::Number(theirs)) => *mine += theirs,
            (Value::Histogram(mine), Value::Histogram(theirs)) => mine.merge(&theirs),
            // A family holds values of one kind.
            (Value::Number(_), Value::Histogram(_)) | (Value::Histogram(_), Value::Number(_)) => {}
        }
    }
}

/// The samples of a scrape by their families.
#[derive(Default, Debug)]
pub struct Gathered {
    /// Families that have samples, in the order in which they were declared.
    pub families: Vec<(&'static Family, Series)>,
    /// Names of samples that are of no family, and of families that were declared twice: they are left out.
    pub strays: BTreeSet<&'static str>,
}

/// Values of one family by the values of its labels.
pub type Series = BTreeMap<Vec<String>, Value>;

/// Puts samples under their families. Those of equal labels (every shard has its own) are added up.
pub fn gather(
    declared: impl IntoIterator<Item = &'static Family>,
    metrics: impl IntoIterator<Item = Metric>,
) -> Gathered {
    let mut gathered = Gathered::default();
    let mut places = BTreeMap::new();
    for family in declared {
        match places.entry(family.name) {
            Entry::Vacant(place) => {
                place.insert(gathered.families.len());
                gathered.families.push((family, Series::new()));
            }
            Entry::Occupied(_) => {
                gathered.strays.insert(family.name);
            }
        }
    }
    for metric in metrics {
        let place = places.get(metric.name).map(|place| &mut gathered.families[*place]);
        match place.filter(|(family, _)| family.holds(&metric)) {
            None => {
                gathered.strays.insert(metric.name);
            }
            Some((_, series)) => match series.entry(metric.labels) {
                Entry::Vacant(first) => {
                    first.insert(metric.value);
                }
                Entry::Occupied(mut sum) => sum.get_mut().add(metric.value),
            },
        }
    }
    gathered.families.retain(|(_, series)| !series.is_empty());
    gathered
}

#[cfg(test)]
mod tests {
    use super::*;

    static FAMILIES: [Family; 4] = [
        Family::counter("x_total", &["way"], "Counted."),
        Family::gauge("x_now", &[], "Now."),
        Family::histogram("x_seconds", Buckets::MILLISECONDS, "Timed."),
        Family::gauge("x_silent", &[], "Nobody says it."),
    ];

    fn histogram(values: &[u64]) -> Histogram {
        let mut histogram = Histogram::default();
        values.iter().for_each(|value| histogram.record(*value));
        histogram
    }

    #[test]
    fn equal_labels_add_up_and_a_family_without_samples_is_left_out() {
        let metrics = [
            Metric::count("x_total", ["b"], 1),
            Metric::histogram("x_seconds", &histogram(&[3])),
            Metric::count("x_total", ["a"], 2),
            Metric::count("x_total", ["b"], 4),
            Metric::number("x_now", [], 0.5),
            Metric::histogram("x_seconds", &histogram(&[300])),
        ];
        let Gathered { families, strays } = gather(&FAMILIES, metrics);
        assert!(strays.is_empty());
        let series = |labels: &[(&[&str], Value)]| -> Series {
            labels
                .iter()
                .map(|(labels, value)| (labels.iter().map(|l| (*l).to_owned()).collect(), value.clone()))
                .collect()
        };
        assert_eq!(
            families,
            [
                (&FAMILIES[0], series(&[(&["a"], Value::Number(2.0)), (&["b"], Value::Number(5.0))])),
                (&FAMILIES[1], series(&[(&[], Value::Number(0.5))])),
                (&FAMILIES[2], series(&[(&[], Value::Histogram(Box::new(histogram(&[3, 300]))))])),
            ]
        );
    }

    #[test]
    fn a_sample_of_no_family_is_left_out_and_named() {
        for (metric, stray) in [
            (Metric::count("y_total", [], 1), "y_total"),
            (Metric::count("x_total", [], 1), "x_total"),
            (Metric::count("x_total", ["a", "b"], 1), "x_total"),
            (Metric::count("x_seconds", [], 1), "x_seconds"),
            (Metric::histogram("x_now", &Histogram::default()), "x_now"),
        ] {
            let Gathered { families, strays } = gather(&FAMILIES, [metric]);
            assert_eq!((families.len(), strays), (0, BTreeSet::from([stray])));
        }
    }

    #[test]
    fn the_first_of_two_families_of_one_name_counts() {
        static AGAIN: [Family; 1] = [Family::gauge("x_total", &[], "Another application's.")];
        let metrics = [Metric::count("x_total", ["a"], 1)];
        let Gathered { families, strays } = gather(FAMILIES.iter().chain(&AGAIN), metrics);
        assert_eq!((families.len(), families[0].0, strays), (1, &FAMILIES[0], BTreeSet::from(["x_total"])));
    }
}
