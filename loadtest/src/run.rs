//! One run: threads of clients, taken through the phases together, and what was measured between them.
//!
//! ```text
//! sample `before` ► Joining ► sample `joined` ► Warming ► sample `from` ► Measuring ► sample `to` ► Stopping ► Finished
//! ```

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crate::circumstances::Circumstances;
use crate::clock::{self, MS_NS, Nanos, SECOND_NS};
use crate::figures::Figures;
use crate::host;
use crate::live::{Live, Order, Shared};
use crate::metrics;
use crate::options::Options;
use crate::outcome::{Outcome, Sample};
use crate::phase::Phase;
use crate::processes::{self, Errand};
use crate::progress::Progress;
use crate::request;
use crate::scenario::kind::{Kind, Measured};
use crate::series::{Edge, Series};
use crate::worker;

/// After the measured time this long is waited for what is still on its way.
const GRACE_NS: Nanos = 6 * SECOND_NS;
/// How often the phases are looked at.
const TICK: Duration = Duration::from_millis(2);

/// Runs a scenario from its first connection to its last word.
pub fn run(kind: &'static Kind, options: &Options) -> Result<Outcome, String> {
    request::check(kind, options)?;
    let errands: Vec<Errand> = Errand::all(kind, options);
    let (crew, scenarios, mut options) = worker::prepare(kind, options)?;
    if options.pids.is_empty() {
        options.pids = host::listeners(crew.target.addr);
    }
    let circumstances = Circumstances::now();
    let apart = options.processes > 1;
    let shared = Shared::new(if apart { processes::threads(&errands) } else { options.threads as usize });
    std::thread::scope(|scope| {
        let mut conductor = Conductor::new(&shared, &options, kind);
        let before = conductor.sample();
        let (shared, options, crew) = (&shared, &options, &crew);
        let works: Vec<_> = if apart {
            errands.iter().map(|errand| scope.spawn(move || processes::lead(shared, errand))).collect()
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
        Ok(Outcome { options, figures, before, joined, from, to, series, circumstances })
    })
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
