//! How fast clients connect and join, and what one of them costs.

use super::kind::{Cx, IDENTITY, Kind, Measured, PROCESSES, Scenario, THRESHOLDS, each};
use crate::clock::Nanos;
use crate::pool::{ClientId, Transport};

pub const KIND: Kind = Kind {
    name: "connect",
    about: "Connect and join: rate, latency, CPU per client; --connect-rate for an open loop",
    unit: ("join", "joins"),
    measured: Measured::Joining,
    transport: Transport::WebSocket,
    options: &[IDENTITY, PROCESSES, THRESHOLDS],
    check: |_| Ok(()),
    build: |options| each(options, |_| Connect),
    describe: |_, _| {},
};

struct Connect;

impl Scenario for Connect {
    fn on_joined(&mut self, cx: &mut Cx<'_>, _: ClientId, since: Nanos) {
        cx.done(since);
    }
}
