//! What clients do. One file a scenario: its `KIND` says what is measured, its [`Scenario`] reacts, its `describe` says
//! what was found. A new one is a file and a line in [`SCENARIOS`].

pub mod cast;
pub mod churn;
pub mod connect;
pub mod echo;
pub mod fanout;
pub mod hold;
pub mod mix;
pub mod polling;
pub mod rooms;
pub mod slow;
pub mod storm;
pub mod upgrade;

use crate::args::Options;
use crate::clock::Nanos;
use crate::figures::Figures;
use crate::pool::{ClientId, Pool, Transport};
use crate::report::Lines;
use crate::run::Outcome;

pub const SCENARIOS: &[Kind] = &[
    hold::KIND,
    connect::KIND,
    echo::KIND,
    fanout::KIND,
    rooms::KIND,
    polling::KIND,
    upgrade::KIND,
    churn::KIND,
    storm::KIND,
    slow::KIND,
    mix::signage::KIND,
];

/// One scenario, as the command line and the report know it.
pub struct Kind {
    pub name: &'static str,
    pub about: &'static str,
    /// What is counted and timed, in the singular and the plural; empty: nothing is.
    pub unit: (&'static str, &'static str),
    pub measured: Measured,
    pub transport: Transport,
    /// One for each thread.
    pub build: fn(&Options) -> Vec<Box<dyn Scenario>>,
    /// The lines of the report that are this scenario's own.
    pub describe: fn(&Outcome, &mut Lines),
}

/// Which part of a run is measured.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Measured {
    /// From the first connection until all have joined.
    Joining,
    /// From the end of the warm-up, for the time that was asked.
    Running,
}

/// What one thread's clients do. Called on that thread only, in this order: joins, `start` when the clients of all
/// threads have joined, `measure` after the warm-up, `stop`, and `finish` when [`Scenario::is_done`] or out of patience.
pub trait Scenario: Send {
    /// What a client says with its join, JSON, where that is the scenario's matter.
    fn auth(&mut self, _: ClientId) -> Option<String> {
        None
    }
    fn on_joined(&mut self, _: &mut Cx<'_>, _: ClientId, _since: Nanos) {}
    /// An event: the JSON array of name and arguments.
    fn on_event(&mut self, _: &mut Cx<'_>, _: ClientId, _array: &[u8]) {}
    /// An answer: its number, the JSON array of its arguments.
    fn on_ack(&mut self, _: &mut Cx<'_>, _: ClientId, _id: u64, _args: &[u8]) {}
    fn on_upgraded(&mut self, _: &mut Cx<'_>, _: ClientId, _since: Nanos) {}
    /// A session is over. Faults have been counted already.
    fn on_ended(&mut self, _: &mut Cx<'_>, _: ClientId) {}
    /// Once every turn, which comes at [`Scenario::deadline`] at the latest.
    fn on_time(&mut self, _: &mut Cx<'_>) {}
    fn deadline(&self) -> Option<Nanos> {
        None
    }
    /// Beside having joined, nothing is to be waited for before the start.
    fn is_ready(&self) -> bool {
        true
    }
    fn start(&mut self, _: &mut Cx<'_>) {}
    fn measure(&mut self, _: &mut Cx<'_>) {}
    /// There is nothing more to measure, whatever time is left.
    fn is_over(&self) -> bool {
        false
    }
    /// Nothing new is begun from now on.
    fn stop(&mut self, _: &mut Cx<'_>) {}
    /// Nothing is on its way.
    fn is_done(&self) -> bool {
        true
    }
    /// The last word: what did not come is counted now.
    fn finish(&mut self, _: &mut Cx<'_>) {}
}

/// What a scenario acts on.
pub struct Cx<'a> {
    pub pool: &'a mut Pool,
    pub figures: &'a mut Figures,
    /// What happens now counts.
    pub measuring: bool,
}

impl Cx<'_> {
    pub fn now(&self) -> Nanos {
        self.pool.now()
    }

    /// One unit is done that was meant to begin at `intended`.
    pub fn done(&mut self, intended: Nanos) {
        self.figures.done += 1;
        self.figures.note_latency(self.pool.now().saturating_sub(intended));
    }

    /// Something goes out now that was meant to at `intended`.
    pub fn note_lateness(&mut self, intended: Nanos) {
        if self.measuring {
            self.figures.lateness.saturating_record(self.pool.now().saturating_sub(intended));
        }
    }
}

/// The same for each thread.
fn each<S: Scenario + 'static>(options: &Options, mut one: impl FnMut(u32) -> S) -> Vec<Box<dyn Scenario>> {
    (0..options.threads).map(|thread| Box::new(one(thread)) as Box<dyn Scenario>).collect()
}

/// The parts of the work that were told apart, each with its own latency.
fn describe_parts(figures: &Figures, lines: &mut Lines) {
    for (name, latency) in &figures.parts {
        let key = name.replace(' ', "_");
        lines.add(&format!("{key}_count"), name, latency.len() as f64, "");
        for (quantile, value) in [("p50", 0.5), ("p99", 0.99), ("max", 1.0)] {
            let ms = latency.value_at_quantile(value) as f64 / 1e6;
            lines.add(&format!("{key}_{quantile}_ms"), &format!("{name}: {quantile}"), ms, "ms");
        }
    }
}

/// As random as the standard library is: its hasher's seed.
fn random() -> u32 {
    std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), 0) as u32
}
