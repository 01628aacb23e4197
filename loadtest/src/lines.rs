//! Named figures of a report, and how numbers are written.

use crate::figures::Figures;

/// Named figures in the order in which they are printed.
#[derive(Default)]
pub struct Lines {
    pub(crate) all: Vec<Line>,
    pub(crate) failures: Vec<String>,
}

pub(crate) struct Line {
    key: String,
    pub label: String,
    pub value: f64,
    pub unit: &'static str,
}

impl Line {
    pub(crate) fn to_text(&self) -> String {
        format!("{:<42} {:>14} {}", self.label, number(self.value), self.unit)
    }

    /// Its name for programs.
    pub(crate) fn key(&self) -> &str {
        &self.key
    }
}

impl Lines {
    /// `key` is for programs: it ends with its unit.
    pub fn add(&mut self, key: &str, label: &str, value: f64, unit: &'static str) {
        self.all.push(Line { key: key.to_owned(), label: label.to_owned(), value, unit });
    }

    /// A count that is a failure unless it is zero.
    pub fn must_be_zero(&mut self, name: &str, count: u64) {
        self.add(&name.replace(' ', "_"), name, count as f64, "");
        if count > 0 {
            self.failures.push(format!("{count} {name}"));
        }
    }

    /// The parts of the work that were told apart, each with its own latency.
    pub fn add_parts(&mut self, figures: &Figures) {
        for (name, latency) in &figures.parts {
            let key = name.replace(' ', "_");
            self.add(&format!("{key}_count"), name, latency.len() as f64, "");
            for (quantile, value) in [("p50", 0.5), ("p99", 0.99), ("max", 1.0)] {
                let ms = latency.value_at_quantile(value) as f64 / 1e6;
                self.add(&format!("{key}_{quantile}_ms"), &format!("{name}: {quantile}"), ms, "ms");
            }
        }
    }

    pub(crate) fn find(&self, key: &str) -> Option<f64> {
        self.all.iter().find(|line| line.key == key).map(|line| line.value)
    }
}

/// Three significant digits where it matters, all of them where they are whole.
pub(crate) fn number(value: f64) -> String {
    match value.abs() {
        _ if !value.is_finite() => "-".to_owned(),
        magnitude if magnitude >= 1_000.0 || value.fract() == 0.0 => grouped(value),
        magnitude if magnitude >= 100.0 => format!("{value:.1}"),
        magnitude if magnitude >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

/// `1234567.8` → `1,234,568`.
pub(crate) fn grouped(value: f64) -> String {
    let digits = format!("{:.0}", value.abs());
    let mut text = if value < 0.0 { "-".to_owned() } else { String::new() };
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
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
            (98765.4, "98,765"),
            (-1234567.0, "-1,234,567"),
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
