//! Fan-out while some receivers do not read: what the others notice of it, and what the server does with the slow ones.

use super::cast::plan::Plan;
use super::cast::{self, Cast};
use super::kind::{Cx, IDENTITY, Kind, MEASURED_TIME, Measured, Scenario, THRESHOLDS, own};
use crate::clock::Nanos;
use crate::lines::Lines;
use crate::options::Options;
use crate::outcome::Outcome;
use crate::pool::{ClientId, Transport};

pub const KIND: Kind = Kind {
    name: "slow",
    about: "Fan-out while --slow-percent of the receivers do not read: latency of the others, nothing lost",
    unit: ("delivery", "deliveries"),
    measured: Measured::Running,
    transport: Transport::WebSocket,
    options: &[
        IDENTITY,
        MEASURED_TIME,
        THRESHOLDS,
        cast::BROADCASTS,
        &[own("slow-percent", ""), own("bcast-event", "")],
    ],
    check: |_| Ok(()),
    build,
    describe,
};

fn build(options: &Options) -> Vec<Box<dyn Scenario>> {
    let mut options = options.clone();
    // The first client, and nobody else: it reads.
    options.rooms.senders = 1;
    let casts = cast::casts(&options, Plan::namespace(&options)).into_iter().zip(0..);
    let slow = |(cast, thread)| {
        let slow = vec![false; options.clients_of(thread) as usize];
        Box::new(Slow { cast, percent: options.slow_percent, slow }) as Box<dyn Scenario>
    };
    casts.map(slow).collect()
}

struct Slow {
    cast: Cast,
    percent: u32,
    slow: Vec<bool>,
}

impl Slow {
    /// Spread evenly, and never the first: it sends.
    fn is_chosen(&self, client: ClientId) -> bool {
        let before = |n: u32| n * self.percent / 100;
        client.0 > 0 && before(client.0 + 1) > before(client.0)
    }
}

impl Scenario for Slow {
    /// A slow one is no receiver.
    fn on_joined(&mut self, cx: &mut Cx<'_>, client: ClientId, since: Nanos) {
        if self.is_chosen(client) {
            self.slow[client.0 as usize] = true;
            cx.pool.pause(client);
        } else {
            self.cast.on_joined(cx, client, since);
        }
    }

    fn on_event(&mut self, cx: &mut Cx<'_>, client: ClientId, array: &[u8]) {
        if !self.slow[client.0 as usize] {
            self.cast.on_event(cx, client, array);
        }
    }

    fn on_ended(&mut self, cx: &mut Cx<'_>, client: ClientId) {
        if self.slow[client.0 as usize] {
            cx.figures.add("slow ones cut off", 1);
        } else {
            self.cast.on_ended(cx, client);
        }
    }

    fn start(&mut self, cx: &mut Cx<'_>) {
        self.cast.start(cx);
    }

    fn on_time(&mut self, cx: &mut Cx<'_>) {
        self.cast.on_time(cx);
    }

    fn deadline(&self) -> Option<Nanos> {
        self.cast.deadline()
    }

    fn stop(&mut self, cx: &mut Cx<'_>) {
        self.cast.stop(cx);
    }

    fn is_done(&self) -> bool {
        self.cast.is_done()
    }

    fn finish(&mut self, cx: &mut Cx<'_>) {
        let slow = self.slow.iter().filter(|slow| **slow).count();
        cx.figures.add("slow", slow as u64);
        self.cast.finish(cx);
    }
}

fn describe(outcome: &Outcome, lines: &mut Lines) {
    cast::describe(outcome, lines);
    lines.add("slow_clients", "clients that did not read", outcome.figures.count("slow") as f64, "");
    let cut = outcome.figures.count("slow ones cut off");
    lines.add("slow_cut_off", "of them cut off, as seen here", cut as f64, "");
    // The server's last bytes wait behind those that are not read, so only the server knows for sure.
    if let Some(closed) = outcome.metric_delta("siod_slow_consumers_total") {
        lines.add("slow_closed", "closed as too slow, says the server", closed, "");
    }
}
