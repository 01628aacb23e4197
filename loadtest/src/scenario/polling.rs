//! Emits with acks over HTTP long-polling: a POST carries the request, the parked GET brings the answer.

use super::echo;
use super::kind::{IDENTITY, Kind, MEASURED_TIME, Measured, PROCESSES, THRESHOLDS};
use crate::pool::Transport;

pub const KIND: Kind = Kind {
    name: "polling",
    about: "Emit with ack over HTTP long-polling (a POST and a GET each)",
    unit: ("round trip", "round trips"),
    measured: Measured::Running,
    transport: Transport::Polling,
    options: &[IDENTITY, PROCESSES, MEASURED_TIME, THRESHOLDS, echo::REQUESTS],
    check: |_| Ok(()),
    build: echo::build,
    describe: echo::describe,
};
