//! One run: threads of clients, taken through the phases together, and what was measured between them.
//!
//! ```text
//! sample `before` ► Joining ► sample `joined` ► Warming ► sample `from` ► Measuring ► sample `to` ► Stopping ► Finished
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU8, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crate::args::Options;
use crate::auth::Auth;
use crate::clock::{self, MS_NS, Nanos, SECOND_NS};
use crate::figures::Figures;
use crate::host::{self, MachineSample, ServerSample};
use crate::metrics::{self, Metrics};
use crate::pool::{ClientId, Handler, Happening, Pool, Rules};
use crate::progress::Progress;
use crate::scenario::{Cx, Kind, Measured, Scenario};
use crate::target::Target;

/// After the measured time this long is waited for what is still on its way.
const GRACE_NS: Nanos = 6 * SECOND_NS;
/// How often the phases are looked at.
const TICK: Duration = Duration::from_millis(2);
/// How often a thread publishes recent latencies.
const RECENT_NS: Nanos = 500 * MS_NS;

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

    pub fn metric_delta(&self, name: &str) -> Option<f64> {
        let of = |sample: &Sample| sample.metrics.as_ref()?.get(name).copied();
        Some(of(&self.to)? - of(&self.from)?)
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
enum Phase {
    Joining,
    Warming,
    Measuring,
    Stopping,
    Finished,
}

const PHASES: [Phase; 5] = [Phase::Joining, Phase::Warming, Phase::Measuring, Phase::Stopping, Phase::Finished];

/// What a thread tells while it runs. Each figure by itself: nothing follows from two of them.
#[derive(Default)]
pub struct Live {
    thread: AtomicI32,
    pub joined: AtomicU64,
    pub done: AtomicU64,
    pub faults: AtomicU64,
    reads: AtomicU64,
    bytes_read: AtomicU64,
    pub p50_ns: AtomicU64,
    pub p99_ns: AtomicU64,
    ready: AtomicBool,
    over: AtomicBool,
    idle: AtomicBool,
    failed: AtomicBool,
}

struct Shared {
    auth: Auth,
    phase: AtomicU8,
    live: Vec<Live>,
    target: Arc<Target>,
    rules: Rules,
    watched: bool,
}

/// Runs a scenario from its first connection to its last word.
pub fn run(kind: &'static Kind, options: &Options) -> Result<Outcome, String> {
    let target = Arc::new(Target::new(&options.url, &options.namespace, &options.headers)?);
    let auth = Auth::new(options)?;
    let mut options = options.settled();
    if options.pids.is_empty() {
        options.pids = host::listeners(target.addr);
    }
    let threads = f64::from(options.threads);
    let rules = Rules {
        transport: kind.transport,
        connects_per_s: options.connect_rate / threads,
        connecting_max: (options.connecting_max / options.threads).max(1) as usize,
        join_timeout_ns: options.join_timeout_s * SECOND_NS,
    };
    let live = (0..options.threads).map(|_| Live::default()).collect();
    let progress = Progress::new(kind);
    let shared = Shared { auth, phase: AtomicU8::new(0), live, target, rules, watched: progress.is_visible() };
    std::thread::scope(|scope| {
        let before = sample(&shared, &options);
        let scenarios = (kind.build)(&options).into_iter().enumerate();
        let (shared, options) = (&shared, &options);
        let works: Vec<_> = scenarios
            .map(|(thread, scenario)| scope.spawn(move || Worker::work(shared, options, kind, thread, scenario)))
            .collect();
        let samples = conduct(shared, options, kind, &progress);
        let mut figures = Figures::default();
        for work in works {
            let found = work.join().expect("a thread does not panic").map_err(|error| error.to_string())?;
            figures.merge(&found);
        }
        let [joined, from, to] = samples;
        let from = if kind.measured == Measured::Joining { before.clone() } else { from };
        Ok(Outcome { kind, options: options.clone(), figures, before, joined, from, to })
    })
}

/// Leads all threads through the phases. Gives back the samples `joined`, `from` and `to`.
fn conduct(shared: &Shared, options: &Options, kind: &Kind, progress: &Progress) -> [Sample; 3] {
    let enter = |phase: Phase| shared.phase.store(phase as u8, Relaxed);
    let wait = |for_ns: Nanos, until: fn(&Live) -> bool| {
        let deadline = clock::now().saturating_add(for_ns);
        let failed = || shared.live.iter().any(|live| live.failed.load(Relaxed));
        while clock::now() < deadline && !shared.live.iter().all(until) && !failed() {
            std::thread::sleep(TICK.min(clock::until(clock::now(), deadline)));
            progress.show(&shared.live);
        }
    };
    // Handshakes have their own time limit, so this wait ends by itself.
    wait(Nanos::MAX, |live| live.ready.load(Relaxed));
    let joined = sample(shared, options);
    let (mut from, mut to) = (joined.clone(), joined.clone());
    if kind.measured == Measured::Running {
        enter(Phase::Warming);
        wait(options.warm_up_ms * MS_NS, |_| false);
        from = sample(shared, options);
        enter(Phase::Measuring);
        wait(options.seconds * SECOND_NS, |live| live.over.load(Relaxed));
        to = sample(shared, options);
    }
    enter(Phase::Stopping);
    wait(GRACE_NS, |live| live.idle.load(Relaxed));
    enter(Phase::Finished);
    progress.finish();
    [joined, from, to]
}

fn sample(shared: &Shared, options: &Options) -> Sample {
    let sum = |of: fn(&Live) -> &AtomicU64| shared.live.iter().map(|live| of(live).load(Relaxed)).sum();
    // The scrape costs the server time, so it comes before its CPU is read.
    let metrics = options.metrics.as_deref().and_then(metrics::scrape);
    Sample {
        metrics,
        at: clock::now(),
        server: host::server(&options.pids),
        done: sum(|live| &live.done),
        reads: sum(|live| &live.reads),
        bytes_read: sum(|live| &live.bytes_read),
        joined: sum(|live| &live.joined),
        machine: host::machine(),
        own_cpu_ns: host::own_cpu_ns(),
        threads_cpu_ns: shared.live.iter().map(|live| host::thread_cpu_ns(live.thread.load(Relaxed))).collect(),
    }
}

/// One thread: its scenario and what it found.
struct Worker<'a> {
    auth: &'a Auth,
    /// Number of its first client among those of all threads.
    first: u32,
    scenario: Box<dyn Scenario>,
    figures: Figures,
    measuring: bool,
    recent_at: Nanos,
}

impl<'a> Worker<'a> {
    fn work(
        shared: &'a Shared,
        options: &Options,
        kind: &Kind,
        thread: usize,
        scenario: Box<dyn Scenario>,
    ) -> std::io::Result<Figures> {
        let live = &shared.live[thread];
        live.thread.store(host::thread_id(), Relaxed);
        let measuring = kind.measured == Measured::Joining;
        let first = (0..thread as u32).map(|before| options.clients_of(before)).sum();
        let auth = &shared.auth;
        let mut worker = Worker { auth, first, scenario, figures: Figures::default(), measuring, recent_at: 0 };
        worker.figures.watched = shared.watched;
        let done = worker.drive(shared, live, options.clients_of(thread as u32), thread);
        live.failed.store(done.is_err(), Relaxed);
        done.map(|()| worker.figures)
    }

    fn drive(&mut self, shared: &Shared, live: &Live, clients: u32, thread: usize) -> std::io::Result<()> {
        let mut pool = Pool::new(shared.target.clone(), shared.rules, clients, thread)?;
        pool.ids().for_each(|client| pool.connect(client));
        let mut phase = Phase::Joining;
        while phase != Phase::Finished {
            let asked = PHASES[usize::from(shared.phase.load(Relaxed))];
            if asked != phase {
                phase = asked;
                self.enter(phase, &mut pool);
            }
            let deadline = self.scenario.deadline();
            pool.turn(deadline, self)?;
            self.with(&mut pool, |scenario, cx| scenario.on_time(cx));
            pool.settle(self);
            self.publish(live, &pool, phase);
        }
        Ok(())
    }

    fn with(&mut self, pool: &mut Pool, then: impl FnOnce(&mut dyn Scenario, &mut Cx<'_>)) {
        let mut cx = Cx { pool, figures: &mut self.figures, measuring: self.measuring };
        then(&mut *self.scenario, &mut cx);
    }

    fn enter(&mut self, phase: Phase, pool: &mut Pool) {
        self.measuring = phase == Phase::Measuring;
        self.with(pool, |scenario, cx| match phase {
            Phase::Joining => {}
            Phase::Warming => scenario.start(cx),
            Phase::Measuring => scenario.measure(cx),
            Phase::Stopping => scenario.stop(cx),
            Phase::Finished => scenario.finish(cx),
        });
    }

    fn publish(&mut self, live: &Live, pool: &Pool, phase: Phase) {
        let tally = pool.tally;
        live.joined.store(tally.joined, Relaxed);
        live.done.store(self.figures.done, Relaxed);
        live.reads.store(tally.reads, Relaxed);
        live.bytes_read.store(tally.bytes_read, Relaxed);
        match phase {
            Phase::Joining => live.ready.store(pool.is_settled() && self.scenario.is_ready(), Relaxed),
            Phase::Measuring => live.over.store(self.scenario.is_over(), Relaxed),
            Phase::Stopping => live.idle.store(self.scenario.is_done(), Relaxed),
            Phase::Warming | Phase::Finished => {}
        }
        if self.figures.watched && pool.now() > self.recent_at + RECENT_NS {
            self.recent_at = pool.now();
            live.faults.store(self.figures.faults_total(), Relaxed);
            live.p50_ns.store(self.figures.recent.value_at_quantile(0.5), Relaxed);
            live.p99_ns.store(self.figures.recent.value_at_quantile(0.99), Relaxed);
            self.figures.recent.reset();
        }
    }
}

impl Handler for Worker<'_> {
    fn auth(&mut self, client: ClientId) -> String {
        self.scenario.auth(client).unwrap_or_else(|| self.auth.of(self.first + client.0))
    }

    fn on(&mut self, pool: &mut Pool, client: ClientId, what: Happening<'_>) {
        if let Happening::Ended(Some(fault)) = what {
            self.figures.note_fault(fault);
        }
        self.with(pool, |scenario, cx| match what {
            Happening::Joined { since } => scenario.on_joined(cx, client, since),
            Happening::Event(array) => scenario.on_event(cx, client, array),
            Happening::Ack { id, args } => scenario.on_ack(cx, client, id, args),
            Happening::Upgraded { since } => scenario.on_upgraded(cx, client, since),
            Happening::Ended(_) => scenario.on_ended(cx, client),
        });
    }
}
