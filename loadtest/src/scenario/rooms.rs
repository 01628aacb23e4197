//! Many small rooms: every client is in one or more, and each room has its senders. A message that reaches a
//! client that is no member is counted as leaked.

use super::cast;
use super::cast::plan::Plan;
use super::kind::{IDENTITY, Kind, MEASURED_TIME, Measured, Own, Scenario, THRESHOLDS, own};
use crate::lines::Lines;
use crate::options::Options;
use crate::outcome::Outcome;
use crate::pool::Transport;

pub const KIND: Kind = Kind {
    name: "rooms",
    about: "Many small rooms (--rooms, --room-size): deliveries per second, nothing lost, nothing to others",
    unit: ("delivery", "deliveries"),
    measured: Measured::Running,
    transport: Transport::WebSocket,
    options: &[IDENTITY, MEASURED_TIME, THRESHOLDS, cast::BROADCASTS, OWN],
    check: |_| Ok(()),
    build,
    describe,
};

const OWN: &[Own] = &[
    own("rooms", ""),
    own("room-size", ""),
    own("senders", "Clients that speak to each room: as many at most as are in it"),
    own("join-event", ""),
    own("room-event", ""),
];

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
