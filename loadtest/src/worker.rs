//! One thread of clients: it follows the orders of a run, and says what it did in each interval.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use crate::auth::Auth;
use crate::clock::SECOND_NS;
use crate::figures::Figures;
use crate::host;
use crate::live::{Live, Order, Shared};
use crate::options::Options;
use crate::phase::Phase;
use crate::pool::{ClientId, Handler, Happening, Pool, Rules};
use crate::scenario::kind::{Cx, Kind, Measured, Scenario};
use crate::series::Part;
use crate::target::Target;

/// What the threads of a process have in common.
pub(crate) struct Crew {
    pub target: Arc<Target>,
    pub auth: Auth,
    pub rules: Rules,
    pub measured: Measured,
}

/// What the threads of this process need: what they have in common, their scenarios, and the options for as many threads
/// as there is work for.
type Prepared = (Crew, Vec<Box<dyn Scenario>>, Options);

/// # Errors
/// A sentence that says which options make no sense.
pub(crate) fn prepare(kind: &Kind, options: &Options) -> Result<Prepared, String> {
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

/// Its scenario and what it found.
struct Worker<'a> {
    auth: &'a Auth,
    /// Number of its first client among those of all threads.
    first: u32,
    scenario: Box<dyn Scenario>,
    figures: Figures,
    measuring: bool,
    measured: Measured,
    /// Units and faults of the intervals before.
    told: (u64, u64),
}

/// Whether latencies that are noted in this phase are part of the whole. A request that was on its way when the
/// measured time ended belongs to it, too: left out, the slowest would be missing.
pub(crate) fn counts(measured: Measured, phase: Phase) -> bool {
    match measured {
        Measured::Joining => phase == Phase::Joining,
        Measured::Running => matches!(phase, Phase::Measuring | Phase::Stopping),
    }
}

/// Does what is ordered until that is to finish.
pub(crate) fn work(
    shared: &Shared,
    crew: &Crew,
    options: &Options,
    thread: usize,
    scenario: Box<dyn Scenario>,
) -> Result<Figures, String> {
    let live = &shared.live[thread];
    live.thread.store(host::thread_id(), Relaxed);
    live.process.store(std::process::id(), Relaxed);
    let before = (0..thread as u32).map(|before| options.clients_of(before)).sum::<u32>();
    let mut worker = Worker {
        auth: &crew.auth,
        first: options.share.first_client + before,
        scenario,
        figures: Figures::default(),
        measuring: counts(crew.measured, Phase::Joining),
        measured: crew.measured,
        told: (0, 0),
    };
    let clients = options.clients_of(thread as u32);
    let pool = Pool::new(crew.target.clone(), crew.rules, clients, thread);
    let done = pool.and_then(|pool| worker.drive(shared, live, pool));
    live.failed.store(done.is_err(), Relaxed);
    done.map(|()| worker.figures).map_err(|error| error.to_string())
}

impl Worker<'_> {
    fn drive(&mut self, shared: &Shared, live: &Live, mut pool: Pool) -> std::io::Result<()> {
        pool.ids().for_each(|client| pool.connect(client));
        let mut order = Order::FIRST;
        while order.phase != Phase::Finished {
            let asked = shared.order();
            if asked.interval != order.interval {
                shared.push_part(self.cut(order));
            }
            if asked.phase != order.phase {
                self.enter(asked.phase, &mut pool);
            }
            order = asked;
            let deadline = self.scenario.deadline();
            pool.turn(deadline, self)?;
            self.with(&mut pool, |scenario, cx| scenario.on_time(cx));
            pool.settle(self);
            self.publish(live, &pool, order.phase);
        }
        Ok(())
    }

    fn with(&mut self, pool: &mut Pool, then: impl FnOnce(&mut dyn Scenario, &mut Cx<'_>)) {
        let mut cx = Cx { pool, figures: &mut self.figures, measuring: self.measuring };
        then(&mut *self.scenario, &mut cx);
    }

    /// What was done since the last cut.
    fn cut(&mut self, order: Order) -> Part {
        let latency = self.figures.cut(counts(self.measured, order.phase));
        let now = (self.figures.done, self.figures.faults_total());
        let told = std::mem::replace(&mut self.told, now);
        Part { number: order.interval, done: now.0 - told.0, faults: now.1 - told.1, latency }
    }

    fn enter(&mut self, phase: Phase, pool: &mut Pool) {
        self.measuring = counts(self.measured, phase);
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
        live.faults.store(self.figures.faults_total(), Relaxed);
        live.reads.store(tally.reads, Relaxed);
        live.bytes_read.store(tally.bytes_read, Relaxed);
        match phase {
            Phase::Joining => live.ready.store(pool.is_settled() && self.scenario.is_ready(), Relaxed),
            Phase::Measuring => live.over.store(self.scenario.is_over(), Relaxed),
            Phase::Stopping => live.idle.store(self.scenario.is_done(), Relaxed),
            Phase::Warming | Phase::Finished => {}
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
