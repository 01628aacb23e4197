//! Clients that come and go all the time: each leaves as soon as it has joined, and comes back as soon as it has left.

use super::kind::{Cx, IDENTITY, Kind, MEASURED_TIME, Measured, Own, PROCESSES, Scenario, THRESHOLDS, each, own};
use crate::clock::Nanos;
use crate::pool::{ClientId, ClientState, Transport};

pub const KIND: Kind = Kind {
    name: "churn",
    about: "Clients that leave as soon as they have joined, and come back; --connect-rate for an open loop",
    unit: ("visit", "visits"),
    measured: Measured::Running,
    transport: Transport::WebSocket,
    options: &[IDENTITY, PROCESSES, MEASURED_TIME, THRESHOLDS, OWN],
    check: |_| Ok(()),
    build: |options| each(options, |_| Churn { started: false, stopped: false, away: 0 }),
    describe: |_, _| {},
};

const OWN: &[Own] = &[own(
    "connect-rate",
    "Connections begun per second, in all (open loop); 0: each client comes back as soon as it has left",
)];

struct Churn {
    started: bool,
    stopped: bool,
    /// Clients between leaving and being back.
    away: usize,
}

impl Churn {
    fn leave(&mut self, cx: &mut Cx<'_>, client: ClientId) {
        self.away += 1;
        cx.pool.leave(client);
    }
}

impl Scenario for Churn {
    fn start(&mut self, cx: &mut Cx<'_>) {
        self.started = true;
        for client in cx.pool.ids().filter(|client| cx.pool.phase(*client) == ClientState::Joined).collect::<Vec<_>>() {
            self.leave(cx, client);
        }
    }

    fn on_joined(&mut self, cx: &mut Cx<'_>, client: ClientId, since: Nanos) {
        if !self.started {
            return;
        }
        self.away -= 1;
        cx.done(since);
        if !self.stopped {
            self.leave(cx, client);
        }
    }

    fn on_ended(&mut self, cx: &mut Cx<'_>, client: ClientId) {
        // A client that failed to come back tries again; one that never joined at the beginning does not count.
        if self.started && !self.stopped && self.away > 0 {
            cx.pool.connect(client);
        } else if self.started {
            self.away = self.away.saturating_sub(1);
        }
    }

    fn stop(&mut self, _: &mut Cx<'_>) {
        self.stopped = true;
    }

    fn is_done(&self) -> bool {
        self.away == 0
    }
}
