//! One client says something, everybody gets it. With `--senders` several do, with `--room-sizes` the groups are rooms of
//! these sizes, each with its latency.

use super::cast::plan::Plan;
use super::cast::{self, Cast};
use super::kind::{IDENTITY, Kind, MEASURED_TIME, Measured, Own, Scenario, THRESHOLDS, own};
use crate::options::Options;
use crate::pool::Transport;

pub const KIND: Kind = Kind {
    name: "fanout",
    about: "One client's message to all: deliveries per second, latency, CPU per delivery, nothing lost; --senders, --room-sizes",
    unit: ("delivery", "deliveries"),
    measured: Measured::Running,
    transport: Transport::WebSocket,
    options: &[IDENTITY, MEASURED_TIME, THRESHOLDS, cast::BROADCASTS, OWN],
    check,
    build: |options| casts(options).into_iter().map(|cast| Box::new(cast) as Box<dyn Scenario>).collect(),
    describe: cast::describe,
};

const OWN: &[Own] = &[
    own("senders", "Clients that speak; with --room-sizes: to each room, and as many at most as are in it"),
    own("room-sizes", ""),
    Own {
        option: "bcast-event",
        help: "",
        idle: |options| in_rooms(options).then_some("--bcast-event goes to all, --room-sizes has rooms"),
    },
    Own {
        option: "join-event",
        help: "",
        idle: |options| (!in_rooms(options)).then_some("--join-event needs --room-sizes"),
    },
    Own {
        option: "room-event",
        help: "",
        idle: |options| (!in_rooms(options)).then_some("--room-event needs --room-sizes"),
    },
];

fn in_rooms(options: &Options) -> bool {
    !options.rooms.room_sizes.is_empty()
}

fn check(options: &Options) -> Result<(), String> {
    if !in_rooms(options) && options.rooms.senders > options.clients {
        return Err("--senders are some of the --clients, or all".to_owned());
    }
    Ok(())
}

fn casts(options: &Options) -> Vec<Cast> {
    let plan = if in_rooms(options) { Plan::room_sizes(options) } else { Plan::namespace(options) };
    cast::casts(options, plan)
}
