//! Everybody loses the connection at once and comes back at once, as after the restart of a proxy: how long until each is
//! back, counted from the loss.

use super::{Cx, Kind, Measured, Scenario, each};
use crate::clock::Nanos;
use crate::pool::{ClientId, Phase, Transport};
use crate::report::Lines;
use crate::run::Outcome;

pub const KIND: Kind = Kind {
    name: "storm",
    about: "Everybody disconnects and reconnects at once: time until all are back",
    unit: ("return", "returns"),
    measured: Measured::Running,
    transport: Transport::WebSocket,
    build: |options| each(options, |_| Storm { began: None, away: 0, tries: 0 }),
    describe,
};

/// Attempts of all clients together, after which those that are not back stay away.
const TRIES_MAX: usize = 1_000_000;

struct Storm {
    began: Option<Nanos>,
    away: usize,
    tries: usize,
}

impl Scenario for Storm {
    fn measure(&mut self, cx: &mut Cx<'_>) {
        self.began = Some(cx.now());
        for client in cx.pool.ids().filter(|client| cx.pool.phase(*client) == Phase::Joined).collect::<Vec<_>>() {
            self.away += 1;
            cx.pool.abort(client);
        }
    }

    fn on_ended(&mut self, cx: &mut Cx<'_>, client: ClientId) {
        if self.began.is_some() && self.tries < TRIES_MAX {
            self.tries += 1;
            cx.pool.connect(client);
        }
    }

    fn on_joined(&mut self, cx: &mut Cx<'_>, _: ClientId, _: Nanos) {
        if let Some(began) = self.began {
            self.away -= 1;
            cx.done(began);
        }
    }

    fn is_over(&self) -> bool {
        self.began.is_some() && self.away == 0
    }

    fn finish(&mut self, cx: &mut Cx<'_>) {
        cx.figures.add("not back", self.away as u64);
    }
}

fn describe(outcome: &Outcome, lines: &mut Lines) {
    lines.add("all_back_ms", "all were back after", outcome.figures.latency.max() as f64 / 1e6, "ms");
    lines.must_be_zero("not back", outcome.figures.count("not back"));
}
