//! lab: echo and fan-out for load tests, and the conformance fixture (design section 6). Keeps no state; each socket is
//! decided on its own shard.
//!
//! | event | what happens |
//! |---|---|
//! | *connection* | emits `auth` with the handshake's auth object, `{}` if none |
//! | `message` | emits `message-back` with the same arguments |
//! | `message-with-ack` | acks with the same arguments |
//! | `echo` | acks with the same arguments |
//! | `bcast` | emits `bcast` with the same arguments to the whole namespace |

use std::sync::Arc;

use super::effect::{Delivery, Effect, Effects, Emission, Job, Outcome, Target};
use super::event::{AppInput, Connect, Event};
use super::kit::identity::Identity;
use super::{Application, Asked, AuthFailure, Context, Entity, Home, Metric, Refusal, Tally};

/// The application. `bcast` and `echo` are what load tests use; the rest is what protocol test suites expect.
#[derive(Debug, Default)]
pub struct Lab {
    tally: Tally,
}

impl Application for Lab {
    /// Everybody is welcome, with or without a token.
    fn admit(&self, verified: Result<Arc<Identity>, AuthFailure>, _: &Asked<'_>) -> Result<Arc<Identity>, Refusal> {
        Ok(verified.unwrap_or_default())
    }

    fn home(&self, _: &Identity) -> Home {
        Home::Local
    }

    fn entity(&self, _: &AppInput) -> Option<Entity> {
        None
    }

    fn load(&mut self, _: &Entity) -> Option<Job> {
        None
    }

    fn loaded(&mut self, _: &mut Context<'_>, _: &Entity, _: Outcome, _: &mut Effects) {}

    fn handle(&mut self, _: &mut Context<'_>, input: AppInput, fx: &mut Effects) {
        match input {
            AppInput::Connect(connect) => greet(&connect, fx),
            AppInput::Event(event) => self.on_event(event, fx),
            _ => {}
        }
    }

    fn name(&self) -> &'static str {
        "lab"
    }

    fn tally(&self) -> Tally {
        self.tally
    }

    fn metrics(&self, _: &mut Vec<Metric>) {}
}

fn greet(connect: &Connect, fx: &mut Effects) {
    fx.accept(connect.socket);
    let auth = std::str::from_utf8(&connect.auth).unwrap_or("{}");
    emit(Target::Socket(connect.socket), Emission::with_args("auth", &[auth]), fx);
}

impl Lab {
    fn on_event(&mut self, event: Event, fx: &mut Effects) {
        let Event { socket, args, ack, .. } = event;
        self.tally.handled += 1;
        match &*args.name() {
            "echo" | "message-with-ack" => {
                if let Some(id) = ack {
                    fx.push(Effect::Ack { socket, id, args: args.raw_all(), attachments: args.attachments().to_vec() });
                }
            }
            "message" => relay(Target::Socket(socket), "message-back", &args, fx),
            "bcast" => relay(Target::all(), "bcast", &args, fx),
            _ => {
                self.tally.handled -= 1;
                self.tally.unknown += 1;
                let error =
                    serde_json::json!({"ok": false, "error": {"code": "UNKNOWN_EVENT", "message": "Unknown event"}});
                fx.ack(socket, ack, &error);
            }
        }
    }
}

fn relay(target: Target, name: &str, args: &super::event::Args, fx: &mut Effects) {
    emit(target, Emission::relay(name, &args.raw_all(), args.attachments().to_vec()), fx);
}

fn emit(target: Target, event: Emission, fx: &mut Effects) {
    fx.push(Effect::Emit { target, event, delivery: Delivery::Must });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::event::Args;
    use crate::base::ids::{Key, ShardId, SocketRef};
    use crate::base::rng::Rng;
    use crate::base::time::Now;
    use serde_json::json;

    fn check(args: Args, ack: Option<u64>, expected: &str) {
        let mut rng = Rng::from_seed([0; 32]);
        let mut cx = Context { now: Now::default(), rng: &mut rng };
        let socket = SocketRef { shard: ShardId(0), key: Key { slot: 1, generation: 0 } };
        let mut fx = Effects::default();
        let event = Event { socket, identity: Arc::default(), args, ack };
        Lab::default().handle(&mut cx, AppInput::Event(event), &mut fx);
        let shown = match fx.0.as_slice() {
            [] => "nothing".to_owned(),
            [Effect::Emit { target, event, .. }] => {
                let whom = if matches!(target, Target::Socket(_)) { "it" } else { "all" };
                format!("{whom} {}", String::from_utf8_lossy(&event.array))
            }
            [Effect::Ack { id, args, .. }] => format!("ack {id} {}", String::from_utf8_lossy(args)),
            other => format!("{other:?}"),
        };
        assert_eq!(shown, expected);
    }

    #[test]
    fn events_and_what_comes_of_them() {
        check(Args::of("echo", &[json!(1), json!("é")]), Some(4), "ack 4 1,\"é\"");
        check(Args::of("echo", &[]), None, "nothing");
        check(Args::of("message-with-ack", &[json!({"a": [1]})]), Some(0), "ack 0 {\"a\":[1]}");
        check(Args::of("message", &[json!(1), json!(2)]), None, "it [\"message-back\",1,2]");
        check(Args::of("bcast", &[json!("x")]), None, "all [\"bcast\",\"x\"]");
        check(
            Args::of("nope", &[]),
            Some(1),
            "ack 1 {\"ok\":false,\"error\":{\"code\":\"UNKNOWN_EVENT\",\"message\":\"Unknown event\"}}",
        );
    }
}
