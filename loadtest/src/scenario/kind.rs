//! What a scenario is: how the command line and the report know it, what it reacts to, what it acts on.

use crate::clock::Nanos;
use crate::figures::Figures;
use crate::lines::Lines;
use crate::options::Options;
use crate::outcome::Outcome;
use crate::pool::{ClientId, Pool, Transport};

/// One scenario, as the command line and the report know it.
pub struct Kind {
    pub name: &'static str,
    pub about: &'static str,
    /// What is counted and timed, in the singular and the plural; empty: nothing is.
    pub unit: (&'static str, &'static str),
    pub measured: Measured,
    pub transport: Transport,
    /// Its own options, beside those of every scenario.
    pub options: &'static [&'static [Own]],
    /// Whether its options go together; says which do not.
    pub check: fn(&Options) -> Result<(), String>,
    /// One for each thread.
    pub build: fn(&Options) -> Vec<Box<dyn Scenario>>,
    /// The lines of the report that are this scenario's own.
    pub describe: fn(&Outcome, &mut Lines),
}

/// An option that does something in a scenario.
pub struct Own {
    /// As it is written behind its dashes.
    pub option: &'static str,
    /// What it does here; empty: what is said of it in [`Options`].
    pub help: &'static str,
    /// Why it does nothing beside the other options, if that is so.
    pub idle: fn(&Options) -> Option<&'static str>,
}

pub const fn own(option: &'static str, help: &'static str) -> Own {
    Own { option, help, idle: |_| None }
}

/// Options of every scenario.
const EVERYWHERE: &[Own] = &[
    own("url", ""),
    own("namespace", ""),
    own("header", ""),
    own("clients", ""),
    own("threads", ""),
    own("connect-rate", ""),
    own("connecting-max", ""),
    own("join-timeout-s", ""),
    own("pid", ""),
    own("metrics", ""),
    own("json", ""),
    own("report", ""),
];
/// Where something is measured for a time.
pub const MEASURED_TIME: &[Own] = &[own("seconds", ""), own("warm-up-ms", "")];
/// Where units are counted and timed.
pub const THRESHOLDS: &[Own] = &[own("max-p99-ms", ""), own("min-rate", "")];
/// Where clients need not know of each other.
pub const PROCESSES: &[Own] = &[own("processes", "")];
/// Where it is not the scenario that says who clients are.
pub const IDENTITY: &[Own] = &[
    Own {
        option: "auth",
        help: "",
        idle: |options| options.identity.claims.is_some().then_some("--claims are sent instead of --auth"),
    },
    own("claims", ""),
    Own {
        option: "jwt-secret",
        help: "",
        idle: |options| options.identity.claims.is_none().then_some("--jwt-secret signs --claims, and there are none"),
    },
];

impl Kind {
    /// What an option does here, as [`Own::help`]; `None` if it does nothing.
    pub fn option(&self, option: &str) -> Option<&'static str> {
        self.own(option).map(|own| own.help)
    }

    /// Why an option does nothing beside the others.
    pub fn idle(&self, option: &str, options: &Options) -> Option<&'static str> {
        (self.own(option)?.idle)(options)
    }

    fn own(&self, option: &str) -> Option<&'static Own> {
        self.options.iter().copied().chain([EVERYWHERE]).flatten().find(|own| own.option == option)
    }
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
    /// The measured time runs: units that end now count.
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
pub fn each<S: Scenario + 'static>(options: &Options, mut one: impl FnMut(u32) -> S) -> Vec<Box<dyn Scenario>> {
    (0..options.threads).map(|thread| Box::new(one(thread)) as Box<dyn Scenario>).collect()
}

/// As random as the standard library is: its hasher's seed.
pub fn random() -> u32 {
    std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), 0) as u32
}
