//! Emits with acks over HTTP long-polling: a POST carries the request, the parked GET brings the answer.

use super::{Kind, Measured, echo};
use crate::pool::Transport;

pub const KIND: Kind = Kind {
    name: "polling",
    about: "Emit with ack over HTTP long-polling (a POST and a GET each)",
    unit: ("round trip", "round trips"),
    measured: Measured::Running,
    transport: Transport::Polling,
    build: echo::build,
    describe: echo::describe,
};
