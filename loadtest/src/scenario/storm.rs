//! Everybody loses the connection at once and comes back at once, as after the restart of a proxy: how long until each is
//! back, counted from the loss, and what those notice whose connection stayed (`--neighbours`, on a thread of their own).

mod waits;

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use self::waits::Waits;
use super::echo::{self, Echo};
use super::kind::{Cx, IDENTITY, Kind, MEASURED_TIME, Measured, Own, PROCESSES, Scenario, THRESHOLDS, own};
use crate::clock::{Nanos, SECOND_NS};
use crate::lines::Lines;
use crate::options::Options;
use crate::outcome::Outcome;
use crate::pool::{ClientId, ClientState, Transport};

pub const KIND: Kind = Kind {
    name: "storm",
    about: "Everybody disconnects and reconnects at once (--back-off): time until all are back; --neighbours stay and echo",
    unit: ("return", "returns"),
    measured: Measured::Running,
    transport: Transport::WebSocket,
    options: &[OWN, IDENTITY, PROCESSES, MEASURED_TIME, THRESHOLDS],
    check: |_| Ok(()),
    build,
    describe,
};

const OWN: &[Own] = &[
    own("seconds", "Measured time at most: it is over when all are back"),
    own(
        "connecting-max",
        "Handshakes under way at a time, in all, until the connections are lost; then as many as there are clients",
    ),
    own("back-off", ""),
    own("neighbours", ""),
    Own { option: "rate", help: "Requests per second of all neighbours; 0: five of each", idle: of_nobody },
    Own { option: "size", help: "Bytes of the string in a neighbour's request", idle: of_nobody },
    Own { option: "echo-event", help: "", idle: of_nobody },
];

fn of_nobody(options: &Options) -> Option<&'static str> {
    (options.storm.neighbours == 0).then_some("only --neighbours send something, and there are none")
}

/// Attempts of one thread's clients together, after which those that are not back stay away.
const TRIES_MAX: u64 = 1_000_000;
/// Requests of one neighbour in a second, unless `--rate` says how many all of them make.
const NEIGHBOUR_RATE: f64 = 5.0;
/// Within this time everybody should be back.
const GOAL_NS: Nanos = 5 * SECOND_NS;

const BEFORE: &str = "neighbours before";
const DURING: &str = "neighbours during";

fn build(options: &Options) -> Vec<Box<dyn Scenario>> {
    let storm = |thread: u32| Storm {
        waits: Waits::new(options.storm.back_off, options.clients_of(thread), thread),
        began: None,
        lost: 0,
        back: 0,
        tries: 0,
        waiting: BinaryHeap::new(),
    };
    let one = |thread| -> Box<dyn Scenario> {
        if options.is_neighbours(thread) {
            let per_neighbour = NEIGHBOUR_RATE * f64::from(options.storm.neighbours);
            let rate = if options.rate > 0.0 { options.rate } else { per_neighbour };
            Box::new(Neighbours { echo: Echo::beside(options, rate, BEFORE) })
        } else {
            Box::new(storm(thread))
        }
    };
    (0..options.threads).map(one).collect()
}

struct Storm {
    waits: Waits,
    began: Option<Nanos>,
    lost: u64,
    back: u64,
    tries: u64,
    /// The clients that try again, and when.
    waiting: BinaryHeap<Reverse<(Nanos, ClientId)>>,
}

impl Scenario for Storm {
    fn measure(&mut self, cx: &mut Cx<'_>) {
        // All at once is the point.
        cx.pool.lift_connecting_max();
        self.began = Some(cx.now());
        for client in cx.pool.ids().filter(|client| cx.pool.phase(*client) == ClientState::Joined).collect::<Vec<_>>() {
            self.lost += 1;
            cx.pool.abort(client);
        }
    }

    /// First the loss, then each try that came to nothing.
    fn on_ended(&mut self, cx: &mut Cx<'_>, client: ClientId) {
        if self.began.is_some() && self.tries < TRIES_MAX {
            self.tries += 1;
            let at = cx.now() + self.waits.next_ns(client);
            self.waiting.push(Reverse((at, client)));
        }
    }

    fn on_joined(&mut self, cx: &mut Cx<'_>, client: ClientId, _: Nanos) {
        if let Some(began) = self.began {
            self.back += 1;
            self.waits.reset(client);
            cx.done(began);
        }
    }

    fn on_time(&mut self, cx: &mut Cx<'_>) {
        while let Some(Reverse((_, client))) = self.waiting.peek().filter(|next| next.0.0 <= cx.now()).copied() {
            self.waiting.pop();
            cx.pool.connect(client);
        }
    }

    fn deadline(&self) -> Option<Nanos> {
        self.waiting.peek().map(|next| next.0.0)
    }

    fn is_over(&self) -> bool {
        self.began.is_some() && self.back >= self.lost
    }

    fn finish(&mut self, cx: &mut Cx<'_>) {
        cx.figures.add("lost", self.lost);
        cx.figures.add("tries", self.tries);
        cx.figures.add("not back", self.lost.saturating_sub(self.back));
    }
}

/// Clients whose connection stays, and who keep asking.
struct Neighbours {
    echo: Echo,
}

impl Scenario for Neighbours {
    fn start(&mut self, cx: &mut Cx<'_>) {
        self.echo.start(cx);
    }

    fn measure(&mut self, _: &mut Cx<'_>) {
        self.echo.tell_as(DURING);
    }

    fn on_ack(&mut self, cx: &mut Cx<'_>, client: ClientId, id: u64, args: &[u8]) {
        self.echo.on_ack(cx, client, id, args);
    }

    fn on_ended(&mut self, cx: &mut Cx<'_>, client: ClientId) {
        self.echo.on_ended(cx, client);
    }

    fn on_time(&mut self, cx: &mut Cx<'_>) {
        self.echo.on_time(cx);
    }

    fn deadline(&self) -> Option<Nanos> {
        self.echo.deadline()
    }

    fn is_over(&self) -> bool {
        true
    }

    fn stop(&mut self, cx: &mut Cx<'_>) {
        self.echo.stop(cx);
    }

    fn is_done(&self) -> bool {
        self.echo.is_done()
    }

    fn finish(&mut self, cx: &mut Cx<'_>) {
        self.echo.finish(cx);
    }
}

fn describe(outcome: &Outcome, lines: &mut Lines) {
    let figures = &outcome.figures;
    let lost = figures.count("lost");
    let within = figures.latency.count_between(0, GOAL_NS) as f64 / lost as f64 * 100.0;
    let (tries, back) = (figures.count("tries"), lost - figures.count("not back"));
    lines.add("lost", "connections lost at once", lost as f64, "");
    lines.add("all_back_ms", "the last was back after", figures.latency.max() as f64 / 1e6, "ms");
    lines.add("back_within_5s_percent", "back within 5 s", within, "%");
    lines.add("tries", "tries to come back", tries as f64, "");
    lines.add("tries_failed", "of them refused or failed", tries.saturating_sub(back) as f64, "");
    let dropped = outcome.to.machine.listen_drops.saturating_sub(outcome.from.machine.listen_drops);
    lines.add("kernel_dropped", "handshakes the kernel dropped meanwhile", dropped as f64, "");
    lines.add_parts(figures);
    lines.must_be_zero("not back", figures.count("not back"));
    if outcome.options.storm.neighbours > 0 {
        echo::describe(outcome, lines);
    }
}
