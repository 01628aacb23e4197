//! One run for programs: its figures by the names they have in the JSON that `--json` writes.

use serde_json::Value;

use crate::options::Options;
use crate::report::Report;
use crate::run;
use crate::scenario::kind::Kind;

pub(crate) struct Measurement {
    whole: Value,
}

impl Measurement {
    /// Runs a scenario.
    ///
    /// # Errors
    /// A sentence that says why it could not begin. An error later on is among the failures.
    pub(crate) fn take(kind: &'static Kind, options: &Options) -> Result<Measurement, String> {
        let report = Report::of(kind, &run::run(kind, options)?);
        Ok(Measurement { whole: serde_json::from_str(&report.to_json()).expect("a report's JSON is JSON") })
    }

    /// A figure by its key, or a quantile of the latency in milliseconds by its name (`p50`, `p99`).
    pub(crate) fn figure(&self, key: &str) -> Option<f64> {
        ["figures", "latency_ms"].iter().find_map(|part| self.whole[*part][key].as_f64())
    }

    /// Why the run failed: lost clients, lost messages, thresholds.
    pub(crate) fn failures(&self) -> Vec<&str> {
        self.sentences("failures")
    }

    /// What may spoil its figures.
    pub(crate) fn warnings(&self) -> Vec<&str> {
        self.sentences("warnings")
    }

    fn sentences(&self, part: &str) -> Vec<&str> {
        self.whole[part].as_array().into_iter().flatten().filter_map(Value::as_str).collect()
    }

    /// Everything.
    pub(crate) fn to_json(&self) -> &Value {
        &self.whole
    }
}
