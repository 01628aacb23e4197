//! One run: threads of clients, taken through the phases together, and what was measured between them.
//!
//! ```text
//! sample `before` ► Joining ► sample `joined` ► Warming ► sample `from` ► Measuring ► sample `to` ► Stopping ► Finished
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crate::about::Circumstances;
use crate::args::Options;
use crate::auth::Auth;
use crate::clock::{self, MS_NS, Nanos, SECOND_NS};
use crate::figures::Figures;
use crate::host::{self, MachineSample, ServerSample};
use crate::live::{Live, Order, Phase, Shared};
use crate::metrics::{self, Metrics};
use crate::part::{self, Errand};
use crate::pool::Rules;
use crate::progress::Progress;
use crate::scenario::{Kind, Measured, Scenario};
use crate::series::{Edge, Series};
use crate::target::Target;
use crate::worker::{self, Crew};

/// After the measured time this long is waited for what is still on its way.
const GRACE_NS: Nanos = 6 * SECOND_NS;
/// How often the phases are looked at.
const TICK: Duration = Duration::from_millis(2);

/// What was found.
pub struct Outcome {
    pub kind: &'static Kind,
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

/// Runs a scenario from its first connection to its last word.
pub fn run(kind: &'static Kind, options: &Options) -> Result<Outcome, String> {
    part::check(kind, options)?;
    let errands: Vec<Errand> = Errand::all(kind, options);
    let (crew, scenarios, mut options) = prepare(kind, options)?;
    if options.pids.is_empty() {
        options.pids = host::listeners(crew.target.addr);
    }
    let circumstances = Circumstances::now();
    let apart = options.processes > 1;
    let shared = Shared::new(if apart { part::threads(&errands) } else { options.threads as usize });
    std::thread::scope(|scope| {
        let mut conductor = Conductor::new(&shared, &options, kind);
        let before = conductor.sample();
        let (shared, options, crew) = (&shared, &options, &crew);
        let works: Vec<_> = if apart {
            errands.iter().map(|errand| scope.spawn(move || part::lead(shared, errand))).collect()
        } else {
            let each = scenarios.into_iter().enumerate();
            each.map(|(thread, scenario)| scope.spawn(move || worker::work(shared, crew, options, thread, scenario)))
                .collect()
        };
        let [joined, from, to] = conductor.conduct();
        let mut figures = Figures::default();
        for work in works {
            figures.merge(&work.join().expect("a thread does not panic")?);
        }
        let series = conductor.finish();
        let from = if kind.measured == Measured::Joining { before.clone() } else { from };
        let options = options.clone();
        Ok(Outcome { kind, options, figures, before, joined, from, to, series, circumstances })
    })
}

/// What the threads of this process need: what they have in common, their scenarios, and the options for as many threads
/// as there is work for.
type Prepared = (Crew, Vec<Box<dyn Scenario>>, Options);

/// # Errors
/// A sentence that says which options make no sense.
pub fn prepare(kind: &Kind, options: &Options) -> Result<Prepared, String> {
    let target = Arc::new(Target::new(&options.url, &options.namespace, &options.headers)?);
    let auth = Auth::new(options)?;
    let options = options.settled();
    let threads = f64::from(options.threads);
    let rules = Rules {
        transport: kind.transport,
        connects_per_s: options.connect_rate / threads,
        connecting_max: (options.connecting_max / options.threads).max(1) as usize,
        join_timeout_ns: options.join_timeout_s * SECOND_NS,
        source: options.share.source.unwrap_or_else(std::process::id),
    };
    let crew = Crew { target, auth, rules, measured: kind.measured };
    // Where there are several processes, each builds its own.
    let scenarios = if options.processes > 1 { Vec::new() } else { (kind.build)(&options) };
    Ok((crew, scenarios, options))
}

/// Leads all threads through the phases and keeps the series.
struct Conductor<'a> {
    shared: &'a Shared,
    options: &'a Options,
    measured: Measured,
    progress: Progress,
    series: Series,
    order: Order,
}

impl Conductor<'_> {
    fn new<'a>(shared: &'a Shared, options: &'a Options, kind: &Kind) -> Conductor<'a> {
        let (series, progress) = (Series::default(), Progress::new(kind, options));
        let mut new = Conductor { shared, options, measured: kind.measured, progress, series, order: Order::FIRST };
        new.enter(Phase::Joining);
        new
    }

    /// Gives back the samples `joined`, `from` and `to`.
    fn conduct(&mut self) -> [Sample; 3] {
        self.wait_for_joins();
        let joined = self.sample();
        let (mut from, mut to) = (joined.clone(), joined.clone());
        if self.measured == Measured::Running && joined.joined > 0 {
            self.enter(Phase::Warming);
            self.wait(self.options.warm_up_ms * MS_NS, |_| false);
            from = self.sample();
            self.enter(Phase::Measuring);
            self.wait(self.options.seconds * SECOND_NS, |live| live.over.load(Relaxed));
            to = self.sample();
        }
        self.enter(Phase::Stopping);
        self.wait(GRACE_NS, |live| live.idle.load(Relaxed));
        self.series.end(self.edge());
        // An interval of its own, so that the one before is cut.
        self.shared.give(Order { phase: Phase::Finished, interval: self.order.interval + 1 });
        self.progress.finish();
        [joined, from, to]
    }

    /// Until all have joined and are ready; where nothing has come forward for longer than a handshake may take, no more will.
    fn wait_for_joins(&mut self) {
        let ready = |live: &Live| live.ready.load(Relaxed);
        let stalled_ns = (self.options.join_timeout_s + 1) * SECOND_NS;
        loop {
            let come = |shared: &Shared| shared.sum(|live| &live.joined) + shared.sum(|live| &live.done);
            let before = come(self.shared);
            self.wait(stalled_ns, ready);
            if come(self.shared) == before || self.shared.has_failed() || self.shared.live.iter().all(ready) {
                return;
            }
        }
    }

    /// All threads have ended.
    fn finish(mut self) -> Series {
        self.take_parts();
        self.series.finish();
        self.series
    }

    /// Begins a phase, or another interval of it.
    fn enter(&mut self, phase: Phase) {
        let counts = worker::counts(self.measured, phase);
        self.order = Order { phase, interval: self.series.begin(phase, counts, self.edge()) };
        self.shared.give(self.order);
    }

    fn take_parts(&mut self) {
        self.shared.take_parts().into_iter().for_each(|part| self.series.on_part(part));
    }

    fn wait(&mut self, for_ns: Nanos, until: fn(&Live) -> bool) {
        let began = clock::now();
        let deadline = began.saturating_add(for_ns);
        while clock::now() < deadline && !self.shared.live.iter().all(until) && !self.shared.has_failed() {
            std::thread::sleep(TICK.min(clock::until(clock::now(), deadline)));
            self.take_parts();
            if clock::now() >= self.series.deadline() {
                self.enter(self.order.phase);
            }
            self.progress.show(self.order.phase, clock::now() - began, self.shared, &self.series);
        }
    }

    fn edge(&self) -> Edge {
        Edge {
            at: clock::now(),
            joined: self.shared.sum(|live| &live.joined),
            server: host::server(&self.options.pids),
            own_cpu_ns: host::cpu_sum_ns(self.shared.processes()),
        }
    }

    fn sample(&self) -> Sample {
        let sum = |of: fn(&Live) -> &AtomicU64| self.shared.sum(of);
        // The scrape costs the server time, so it comes before its CPU is read.
        let metrics = self.options.metrics.as_deref().and_then(metrics::scrape);
        let threads = self.shared.live.iter().map(|live| live.thread.load(Relaxed));
        Sample {
            metrics,
            at: clock::now(),
            server: host::server(&self.options.pids),
            done: sum(|live| &live.done),
            reads: sum(|live| &live.reads),
            bytes_read: sum(|live| &live.bytes_read),
            joined: sum(|live| &live.joined),
            machine: host::machine(),
            own_cpu_ns: host::cpu_sum_ns(self.shared.processes()),
            threads_cpu_ns: threads.map(host::thread_cpu_ns).collect(),
        }
    }
}
