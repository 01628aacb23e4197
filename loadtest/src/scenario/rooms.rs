//! Many small rooms: every client is in one or more, and each room has its senders. What reaches somebody who is not a
//! member is counted as leaked.

use super::cast::plan::Plan;
use super::cast::{self};
use super::{Kind, Measured, Scenario};
use crate::args::Options;
use crate::pool::Transport;
use crate::report::Lines;
use crate::run::Outcome;

pub const KIND: Kind = Kind {
    name: "rooms",
    about: "Many small rooms (--rooms, --room-size): deliveries per second, nothing lost, nothing to others",
    unit: ("delivery", "deliveries"),
    measured: Measured::Running,
    transport: Transport::WebSocket,
    build,
    describe,
};

fn build(options: &Options) -> Vec<Box<dyn Scenario>> {
    let casts = cast::casts(options, Plan::many_rooms(options));
    casts.into_iter().map(|cast| Box::new(cast) as Box<dyn Scenario>).collect()
}

fn describe(outcome: &Outcome, lines: &mut Lines) {
    let rooms = &outcome.options.rooms;
    lines.add("rooms", "rooms", f64::from(rooms.rooms), "");
    lines.add("room_size", "members of each", f64::from(rooms.room_size.min(outcome.options.clients)), "");
    lines.add("memberships", "memberships, at the end", outcome.figures.count("memberships") as f64, "");
    cast::describe(outcome, lines);
}
