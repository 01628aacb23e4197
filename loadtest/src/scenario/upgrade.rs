//! Sessions that begin by polling and move to WebSocket: timed from the upgrade request to the first answer that comes
//! over the new transport.

use std::collections::HashMap;

use super::kind::{Cx, IDENTITY, Kind, Measured, PROCESSES, Scenario, THRESHOLDS, each, own};
use crate::clock::Nanos;
use crate::pool::{ClientId, Transport};

pub const KIND: Kind = Kind {
    name: "upgrade",
    about: "Polling sessions that upgrade to WebSocket: rate, latency, CPU per join and upgrade",
    unit: ("upgrade", "upgrades"),
    measured: Measured::Joining,
    transport: Transport::Polling,
    options: &[IDENTITY, PROCESSES, THRESHOLDS, &[own("echo-event", "")]],
    check: |_| Ok(()),
    build: |options| each(options, |_| Upgrade { event: options.echo_event.clone(), moving: HashMap::new() }),
    describe: |outcome, lines| lines.must_be_zero("unanswered", outcome.figures.count("unanswered")),
};

struct Upgrade {
    event: String,
    /// Those under way, and since when.
    moving: HashMap<ClientId, Nanos>,
}

impl Scenario for Upgrade {
    fn on_joined(&mut self, cx: &mut Cx<'_>, client: ClientId, _: Nanos) {
        self.moving.insert(client, cx.now());
        cx.pool.upgrade(client);
    }

    fn on_upgraded(&mut self, cx: &mut Cx<'_>, client: ClientId, _: Nanos) {
        cx.pool.emit(client, Some(0), &self.event, "1");
    }

    fn on_ack(&mut self, cx: &mut Cx<'_>, client: ClientId, _: u64, _: &[u8]) {
        if let Some(since) = self.moving.remove(&client) {
            cx.done(since);
        }
    }

    fn on_ended(&mut self, _: &mut Cx<'_>, client: ClientId) {
        self.moving.remove(&client);
    }

    fn is_ready(&self) -> bool {
        self.moving.is_empty()
    }

    fn finish(&mut self, cx: &mut Cx<'_>) {
        cx.figures.add("unanswered", self.moving.len() as u64);
    }
}
