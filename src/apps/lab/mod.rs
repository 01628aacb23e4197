//! lab: echo and fan-out for load tests, and the conformance fixture (DESIGN 6). Keeps no state; each socket is
//! decided on its own shard.
//!
//! | event | what happens |
//! |---|---|
//! | *connection* | emits `auth` with the handshake's auth object, `{}` if none |
//! | `message` | emits `message-back` with the same arguments |
//! | `message-with-ack` | acks with the same arguments |
//! | `echo` | acks with the same arguments |
//! | `bcast` | emits `bcast` with the same arguments to the whole namespace |
//! | `join`, `leave` (room) | the socket enters or leaves the room; acks without arguments |
//! | `room` (room, …) | emits `room` with the arguments after the first to the room; the sender need not be a member |
//!
//! A room is a string of 1 to `NAME_BYTES_MAX` bytes; an event with any other is refused, and acked as `VALIDATION`. A
//! socket is in `limits.rooms_per_socket_max` rooms at most: a `join` beyond that changes nothing.
//!
//! A client that speaks no Socket.IO may open a WebSocket at `/lab/link`, which echoes; see `link`.

#[cfg(test)]
mod dialect;
mod link;

use std::sync::Arc;

use bytes::Bytes;

use crate::app::effect::{Delivery, Effect, Effects, Emission, Room, Target};
use crate::app::event::{AppInput, Args, Connect, Event};
use crate::app::identity::Identity;
use crate::app::settings::Chosen;
use crate::app::table::Row;
use crate::app::{Application, Asked, AuthFailure, Context, Home, Refusal, Tally};
use crate::base::limit::NAME_BYTES_MAX;

/// Its line in the table of applications.
pub const ROW: Row = Row {
    enabled: false,
    dialects: DIALECTS,
    links: link::PATHS,
    ..Row::new("lab", "Echo and fan-out, for load tests and conformance.", &["/lab"], || {
        Chosen::<()>::untold(|()| Box::new(Lab::default()))
    })
};

/// Load tests know one spelling; the tests of dialects have more.
#[cfg(not(test))]
const DIALECTS: &[crate::app::kit::dialect::Dialect] = &[];
#[cfg(test)]
pub(crate) use dialect::DIALECTS;

/// The application. `bcast`, `echo` and the events of rooms are what load tests use; the rest is what protocol test suites
/// expect.
#[derive(Debug, Default)]
pub struct Lab {
    tally: Tally,
}

impl Application for Lab {
    /// Everybody is welcome, with or without a token.
    fn admit(&self, verified: Result<Arc<Identity>, AuthFailure>, _: &Asked<'_>) -> Result<Arc<Identity>, Refusal> {
        Ok(verified.unwrap_or_default())
    }

    #[cfg(test)]
    fn dialect(&self, asked: &Asked<'_>, configured: Option<&'static str>) -> Option<&'static str> {
        dialect::chosen(asked, configured)
    }

    fn home(&self, _: &Identity) -> Home {
        Home::Local
    }

    fn handle(&mut self, _: &mut Context<'_>, input: AppInput, fx: &mut Effects) {
        match input {
            AppInput::Connect(connect) => greet(&connect, fx),
            AppInput::Event(event) => self.on_event(event, fx),
            AppInput::Link { link, event } => link::on_link(link, event, fx),
            _ => {}
        }
    }

    fn name(&self) -> &'static str {
        "lab"
    }

    fn tally(&self) -> Tally {
        self.tally
    }
}

fn greet(connect: &Connect, fx: &mut Effects) {
    fx.accept(connect.socket);
    let auth = std::str::from_utf8(&connect.auth).unwrap_or("{}");
    emit(Target::Socket(connect.socket), Emission::with_args("auth", &[auth]), fx);
}

impl Lab {
    fn on_event(&mut self, event: Event, fx: &mut Effects) {
        let Event { socket, nsp, ref args, ack, .. } = event;
        self.tally.handled += 1;
        match &*args.name() {
            name @ ("join" | "leave" | "room") => self.on_room(name, &event, fx),
            "echo" | "message-with-ack" => {
                if let Some(id) = ack {
                    fx.push(Effect::Ack {
                        socket,
                        id,
                        args: args.raw_all(),
                        attachments: args.attachments().to_vec(),
                        beside: None,
                    });
                }
            }
            "message" => relay(Target::Socket(socket), "message-back", args, fx),
            "bcast" => relay(Target::all().within(nsp), "bcast", args, fx),
            _ => {
                self.tally.handled -= 1;
                self.tally.unknown += 1;
                fx.ack(socket, ack, &failure("UNKNOWN_EVENT", "Unknown event"));
            }
        }
    }

    fn on_room(&mut self, name: &str, event: &Event, fx: &mut Effects) {
        let Event { socket, nsp, args, ack, .. } = event;
        let (socket, ack) = (*socket, *ack);
        let room = args.parse::<String>(0).filter(|room| (1..=NAME_BYTES_MAX).contains(&room.len()));
        let Some(room) = room.map(Room::from) else {
            self.tally.handled -= 1;
            self.tally.rejected += 1;
            return fx.ack(socket, ack, &failure("VALIDATION", "a room is a string of 1 to 255 bytes"));
        };
        match name {
            "join" => fx.join(socket, room),
            "leave" => fx.push(Effect::Leave { socket, room }),
            _ => {
                let event = Emission::relay("room", &args.raw_from(1), args.attachments().to_vec());
                return emit(Target::room(room).within(*nsp), event, fx);
            }
        }
        if let Some(id) = ack {
            fx.push(Effect::Ack { socket, id, args: Bytes::new(), attachments: Vec::new(), beside: None });
        }
    }
}

fn failure(code: &str, message: &str) -> serde_json::Value {
    serde_json::json!({"ok": false, "error": {"code": code, "message": message}})
}

fn relay(target: Target, name: &str, args: &Args, fx: &mut Effects) {
    emit(target, Emission::relay(name, &args.raw_all(), args.attachments().to_vec()), fx);
}

fn emit(target: Target, event: Emission, fx: &mut Effects) {
    fx.push(Effect::Emit { target, event, delivery: Delivery::Must });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::identity::{AuthSettings, Authenticator};
    use crate::base::ids::{Key, NspIndex, ShardId, SocketRef};
    use crate::base::rng::Rng;
    use crate::base::time::Now;
    use serde_json::json;

    fn check(args: Args, ack: Option<u64>, expected: &str) {
        let mut rng = Rng::from_seed([0; 32]);
        let authenticator = Authenticator::new(&AuthSettings::default());
        let mut cx = Context { now: Now::default(), rng: &mut rng, authenticator: &authenticator };
        let socket = SocketRef { shard: ShardId(0), key: Key { slot: 1, generation: 0 } };
        let mut fx = Effects::default();
        let event = Event { socket, nsp: NspIndex(0), identity: Arc::default(), args, ack };
        Lab::default().handle(&mut cx, AppInput::Event(event), &mut fx);
        let shown: Vec<String> = fx.0.iter().map(show).collect();
        assert_eq!(shown.join(", "), expected);
    }

    fn show(effect: &Effect) -> String {
        match effect {
            Effect::Emit { target, event, .. } => {
                let whom = match target {
                    Target::Socket(_) => "it".to_owned(),
                    Target::Rooms { rooms, .. } if rooms.is_empty() => "all".to_owned(),
                    Target::Rooms { rooms, .. } => rooms.concat(),
                };
                format!("{whom} {}", String::from_utf8_lossy(&event.array))
            }
            Effect::Ack { id, args, .. } => format!("ack {id} {}", String::from_utf8_lossy(args)),
            Effect::Join { room, .. } => format!("join {room}"),
            Effect::Leave { room, .. } => format!("leave {room}"),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn events_and_what_comes_of_them() {
        check(Args::of("echo", &[json!(1), json!("é")]), Some(4), "ack 4 1,\"é\"");
        check(Args::of("echo", &[]), None, "");
        check(Args::of("message-with-ack", &[json!({"a": [1]})]), Some(0), "ack 0 {\"a\":[1]}");
        check(Args::of("message", &[json!(1), json!(2)]), None, "it [\"message-back\",1,2]");
        check(Args::of("bcast", &[json!("x")]), None, "all [\"bcast\",\"x\"]");
        check(
            Args::of("nope", &[]),
            Some(1),
            "ack 1 {\"ok\":false,\"error\":{\"code\":\"UNKNOWN_EVENT\",\"message\":\"Unknown event\"}}",
        );
    }
    #[test]
    fn rooms_are_entered_left_and_spoken_to() {
        check(Args::of("join", &[json!("r1")]), Some(3), "join r1, ack 3 ");
        check(Args::of("join", &[json!("r1")]), None, "join r1");
        check(Args::of("leave", &[json!("r1")]), Some(4), "leave r1, ack 4 ");
        check(Args::of("room", &[json!("r1"), json!("x"), json!(2)]), None, "r1 [\"room\",\"x\",2]");
        check(Args::of("room", &[json!("r1")]), None, "r1 [\"room\"]");
    }

    #[test]
    fn what_is_no_room_is_refused() {
        let refused = "ack 1 {\"ok\":false,\"error\":{\"code\":\"VALIDATION\",\
                       \"message\":\"a room is a string of 1 to 255 bytes\"}}";
        check(Args::of("join", &[json!("x".repeat(NAME_BYTES_MAX))]), None, &format!("join {}", "x".repeat(255)));
        for room in [json!("x".repeat(NAME_BYTES_MAX + 1)), json!(""), json!(7), json!(["r1"]), json!(null)] {
            check(Args::of("join", std::slice::from_ref(&room)), Some(1), refused);
            check(Args::of("leave", std::slice::from_ref(&room)), Some(1), refused);
            check(Args::of("room", &[room, json!("x")]), None, "");
        }
        check(Args::of("join", &[]), Some(1), refused);
    }
}
