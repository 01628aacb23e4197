//! The events that clients may send: who may send each, and what handles it. The way of an event through this table is the kit's.

use serde_json::{Map, Value, json};

use super::device::DEVICE_UPDATE;
use super::http::NAME_CHARS_MAX;
use super::payload::{TEXT_CHARS_MAX, object, text};
use super::system::{Seat, room_of};
use super::turn::Turn;
use super::waiting::Dirty;
use super::who::{
    DEVICE_NOT_FOUND, FORBIDDEN, FORBIDDEN_SYSTEM, Level, PAYLOAD_TOO_LARGE, RATE_LIMITED, UNKNOWN_EVENT, VALIDATION,
    fail, is_system, system_of,
};
use crate::app::effect::{Delivery, Effect, Emission, Target};
use crate::app::event::Event;
use crate::app::kit::ack::{AckStyle, Fail};
use crate::app::kit::events::{Answer, BYTES_MAX, Events, Hands, Refused, Row, Run, dispatch};
use crate::app::kit::rate::{Exceeded, Meter, Rate};
use crate::app::settings::network;

/// The table.
enum Table {}

const fn row(name: &'static str, level: Level, run: Run<Table>) -> Row<Table> {
    Row::new(name, level, run)
}

impl Events for Table {
    type Turn<'a> = Turn<'a>;
    type Rule = Level;

    const ROWS: &'static [Row<Table>] = &[
        Row {
            answer: Answer::Event("connection-status"),
            ..row("join-system", Level::Viewer, Run::Now(|turn, event| turn.on_join(event)))
        },
        Row {
            answer: Answer::Event("connection-status"),
            ..row("leave-system", Level::Viewer, Run::Now(|turn, event| turn.on_leave(event)))
        },
        row("request-device-update", Level::Viewer, Run::Now(|turn, event| turn.on_request(event))),
        Row {
            bytes_max: TEST_BYTES_MAX,
            answer: Answer::Event("test-response"),
            ..row(TEST_MESSAGE, Level::Viewer, Run::Now(|turn, event| turn.on_test(event)))
        },
        row("subscribe-logs", Level::Operator, Run::Now(|turn, event| turn.on_subscribe(event))),
        row("unsubscribe-logs", Level::Operator, Run::Now(|turn, event| turn.on_unsubscribe(event))),
        row("rename-device", Level::Admin, Run::Now(|turn, event| turn.on_rename(event))),
        row("broadcast-to-system", Level::Viewer, Run::Now(|turn, event| turn.on_broadcast(event))),
        row("control-device", Level::Operator, Run::Later(|turn, event| turn.on_control(event))),
        row("control-devices", Level::Operator, Run::Later(|turn, event| turn.on_control_many(event))),
        // What comes from outside, for tests.
        #[cfg(test)]
        row("test:report", Level::Viewer, Run::Now(|turn, event| super::tests::world::report(turn, event))),
    ];

    fn hands<'t>(turn: &'t mut Turn<'_>) -> Hands<'t> {
        Hands { now: turn.now, fx: turn.fx, tally: &mut turn.shared.counts.tally }
    }

    fn may(turn: &mut Turn<'_>, event: &Event, row: &Row<Table>) -> Result<(), Fail> {
        turn.system.seats.get(&event.socket).ok_or_else(|| fail(FORBIDDEN))?.rights.reach(row.rule)
    }

    /// Everything but test messages is counted together, before it comes here.
    fn rate(turn: &Turn<'_>, row: &Row<Table>) -> Option<Rate> {
        (row.name == TEST_MESSAGE).then(|| turn.settings.per_socket())
    }

    fn meter<'t>(turn: &'t mut Turn<'_>, event: &Event) -> Option<&'t mut Meter> {
        turn.system.seats.get_mut(&event.socket).map(|seat| &mut seat.meter)
    }

    fn refuse(_: &mut Turn<'_>, _: &Event, _: Option<&Row<Table>>, refused: &Refused) -> Fail {
        match refused {
            Refused::Unknown => fail(UNKNOWN_EVENT),
            Refused::TooLarge { .. } => fail(PAYLOAD_TOO_LARGE),
            Refused::TooOften { exceeded, now } => fail(RATE_LIMITED).with(exceeded.details(*now)),
        }
    }

    fn tell(turn: &mut Turn<'_>, event: &Event, name: &str, fail: &Fail) {
        turn.tell_error(event, name, fail);
    }
}

impl Turn<'_> {
    /// A client has sent an event.
    pub(super) fn on_event(&mut self, event: &Event) {
        let name = event.args.name();
        let taken = if name == TEST_MESSAGE { Ok(()) } else { self.take_token(event) };
        match taken {
            Ok(()) => dispatch::<Table>(self, event),
            Err(exceeded) => {
                let fail = fail(RATE_LIMITED).with(exceeded.details(self.now));
                self.shared.counts.tally.rejected += 1;
                self.tell_error(event, &name, &fail);
                self.fx.0.extend(AckStyle::Result.refusal(event.socket, event.ack, &fail));
            }
        }
    }

    fn take_token(&mut self, event: &Event) -> Result<(), Exceeded> {
        let Some(seat) = self.system.seats.get_mut(&event.socket) else { return Ok(()) };
        seat.meter.take(self.now.mono, "", self.settings.per_socket())?;
        self.system.addresses.take(self.now.mono, &seat.handshake.ip)
    }

    /// `device-error` to the sender of an event. Only what is about a device names one, as it was asked.
    pub(super) fn tell_error(&mut self, event: &Event, name: &str, fail: &Fail) {
        let is_about = !matches!(fail.code, RATE_LIMITED | FORBIDDEN | FORBIDDEN_SYSTEM | PAYLOAD_TOO_LARGE);
        let device = if is_about { asked_device(event, name) } else { None };
        let mut error = json!({"deviceId": device, "error": fail.code, "message": fail.message, "event": name});
        if let (Value::Object(error), Some(Value::Object(details))) = (&mut error, &fail.details) {
            error.extend(details.clone());
        }
        self.fx.emit(event.socket, "device-error", &error);
    }

    fn on_test(&mut self, event: &Event) -> Result<Value, Fail> {
        let original: Value = event.args.parse(0).unwrap_or_default();
        Ok(json!({"received": true, "timestamp": self.now.wall.0, "originalData": original}))
    }

    /// `request-device-update`: what is known of a device, at once; one that can be asked is.
    fn on_request(&mut self, event: &Event) -> Result<Value, Fail> {
        let asked = super::payload::named(event, "deviceId")?.ok_or_else(|| fail(VALIDATION))?;
        let device = self.system.find(&asked).ok_or_else(|| fail(DEVICE_NOT_FOUND))?;
        let id = device.id.clone();
        self.fx.emit(event.socket, DEVICE_UPDATE, &device.view().told(self.now.wall, "manual"));
        self.ask_state(&id);
        Ok(json!({}))
    }

    /// `rename-device`.
    fn on_rename(&mut self, event: &Event) -> Result<Value, Fail> {
        let said = object(event)?;
        let (asked, name) = (text(&said, "deviceId", TEXT_CHARS_MAX)?, text(&said, "name", NAME_CHARS_MAX)?);
        let now = self.now.wall;
        let device = self.system.find_mut(asked).ok_or_else(|| fail(DEVICE_NOT_FOUND))?;
        (device.name, device.updated_at) = (name.into(), now);
        let id = device.id.clone();
        self.touch(Dirty::Device(id.clone()));
        self.tell(&id, "manual");
        let actor = self.system.seats.get(&event.socket).map(Seat::actor).unwrap_or_default();
        self.audit(&actor, "device-rename", &id, "success", &json!({ "name": name }));
        Ok(json!({"deviceId": id, "name": name}))
    }

    /// `broadcast-to-system`: a service tells a room something, unchanged.
    fn on_broadcast(&mut self, event: &Event) -> Result<Value, Fail> {
        let Some(seat) = self.system.seats.get(&event.socket) else { return Err(fail(FORBIDDEN)) };
        let networks = self.settings.bridge_addresses.iter().filter_map(|text| network(text));
        let is_bridge = || networks.into_iter().any(|network| network.contains(&seat.handshake.ip));
        if !seat.rights.service && !is_bridge() {
            return Err(fail(FORBIDDEN));
        }
        let said: Map<String, Value> = event.args.parse(0).ok_or_else(|| fail(VALIDATION))?;
        let text = |key: &str| said.get(key).and_then(Value::as_str).unwrap_or("");
        let (system, name) = (text("systemId"), text("eventName"));
        let data = said.get("data").ok_or_else(|| fail(VALIDATION))?;
        if !is_system(system) || !is_event_name(name) {
            return Err(fail(VALIDATION));
        }
        if system_of(&event.identity).is_some_and(|own| own != system) {
            return Err(fail(FORBIDDEN_SYSTEM));
        }
        let mut told = Emission::new(name, data);
        told.attachments = event.args.attachments().to_vec();
        let target = Target::room(room_of(system));
        self.fx.push(Effect::Emit { target, event: told, delivery: Delivery::Must });
        Ok(json!({}))
    }
}

/// The device that an event is about, as its sender spells it.
fn asked_device(event: &Event, name: &str) -> Option<String> {
    let value: Value = event.args.parse(0)?;
    let bare = value.as_str().filter(|_| name == "request-device-update");
    let text = bare.or_else(|| value.get("deviceId")?.as_str())?;
    (text.chars().count() <= TEXT_CHARS_MAX).then(|| text.to_owned())
}

/// Whether clients can hear an event of this name.
fn is_event_name(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b":_.-".contains(&byte);
    (1..=64).contains(&name.len()) && name.bytes().all(fits) && !RESERVED.contains(&name)
}

const TEST_MESSAGE: &str = "test-message";
const TEST_BYTES_MAX: usize = 16 * 1024;
const _: () = assert!(TEST_BYTES_MAX < BYTES_MAX);
/// Names that clients of Socket.IO keep for themselves.
const RESERVED: &[&str] = &["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_events_are_plain_and_not_reserved() {
        for (name, expected) in [
            ("device-update", true),
            ("a:b.c_d-1", true),
            ("", false),
            ("a b", false),
            ("ñ", false),
            ("disconnect", false),
            ("newListener", false),
            (&"x".repeat(64), true),
            (&"x".repeat(65), false),
        ] {
            assert_eq!(is_event_name(name), expected, "{name}");
        }
    }

    #[test]
    fn the_page_for_client_developers_lists_every_event() {
        let page = include_str!("../../../docs/apps/iot.md");
        let section = page.split("\n## ").find(|section| section.starts_with("2. ")).expect("a section");
        let mut rows: Vec<&str> =
            section.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
        let ours = Table::ROWS.iter().map(|row| row.name).filter(|name| !name.starts_with("test:"));
        let mut ours: Vec<&str> = ours.collect();
        rows.sort_unstable();
        ours.sort_unstable();
        assert_eq!(rows, ours);
    }
}
