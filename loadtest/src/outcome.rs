//! What a run found, and what could be read at the moments between its phases.

use crate::circumstances::Circumstances;
use crate::clock::Nanos;
use crate::figures::Figures;
use crate::host::{MachineSample, ServerSample};
use crate::metrics::Metrics;
use crate::options::Options;
use crate::series::Series;

/// What was found.
pub struct Outcome {
    pub options: Options,
    pub figures: Figures,
    pub before: Sample,
    pub joined: Sample,
    /// The measured part.
    pub from: Sample,
    pub to: Sample,
    /// The whole run in intervals.
    pub series: Series,
    pub circumstances: Circumstances,
}

/// Everything that can be read at one moment.
#[derive(Clone, Default)]
pub struct Sample {
    pub at: Nanos,
    pub server: Option<ServerSample>,
    pub machine: MachineSample,
    pub own_cpu_ns: Nanos,
    /// Of each thread of clients.
    pub threads_cpu_ns: Vec<Nanos>,
    pub joined: u64,
    pub done: u64,
    pub reads: u64,
    pub bytes_read: u64,
    pub metrics: Option<Metrics>,
}

impl Outcome {
    pub fn seconds(&self) -> f64 {
        (self.to.at - self.from.at) as f64 / 1e9
    }

    pub fn done(&self) -> u64 {
        self.to.done - self.from.done
    }

    /// CPU of the server in the measured part, if it is on this machine.
    pub fn server_cpu_ns(&self) -> Option<f64> {
        Some((self.to.server?.cpu_ns - self.from.server?.cpu_ns) as f64)
    }

    /// The shares of user and system mode in it.
    pub fn server_cpu_parts(&self) -> Option<[f64; 2]> {
        let (from, to) = (self.from.server?, self.to.server?);
        let [user, system] = [to.user_ns - from.user_ns, to.system_ns - from.system_ns].map(|ns| ns as f64);
        (user + system > 0.0).then(|| [user, system].map(|part| part / (user + system)))
    }

    pub fn metric_delta(&self, name: &str) -> Option<f64> {
        let of = |sample: &Sample| sample.metrics.as_ref()?.get(name).copied();
        Some(of(&self.to)? - of(&self.from)?)
    }
}
