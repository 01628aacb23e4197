//! One client says something, everybody gets it. With `--senders` several do, with `--room-sizes` the groups are rooms of
//! these sizes, each with its latency.

use super::cast::plan::Plan;
use super::cast::{self, Cast};
use super::{Kind, Measured, Scenario};
use crate::args::Options;
use crate::pool::Transport;

pub const KIND: Kind = Kind {
    name: "fanout",
    about: "One client's message to all: deliveries per second, latency, CPU per delivery, nothing lost; --senders, --room-sizes",
    unit: ("delivery", "deliveries"),
    measured: Measured::Running,
    transport: Transport::WebSocket,
    build: |options| casts(options).into_iter().map(|cast| Box::new(cast) as Box<dyn Scenario>).collect(),
    describe: cast::describe,
};

pub(super) fn casts(options: &Options) -> Vec<Cast> {
    let sizes = &options.rooms.room_sizes;
    let plan = if sizes.is_empty() { Plan::namespace(options) } else { Plan::room_sizes(options) };
    cast::casts(options, plan)
}
