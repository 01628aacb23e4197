//! From an event to its handler: the table's row, the sender's right, the event's size, and the ack (DESIGN 5.2 and 5.4).

use serde_json::{Value, json};

use super::payload::Fail;
use super::turn::Turn;
use super::{From, ROUTES, Route, Run, rules};
use crate::app::event::Event;

impl Turn<'_> {
    /// Finds the event in the table, checks who sends it and how large it is, runs it, and acks.
    pub(super) fn on_event(&mut self, event: &Event) {
        // A socket that was replaced or revoked has no seat: what it still says is nobody's.
        if !self.fleet.seats.contains_key(&event.socket) {
            return;
        }
        let name = event.args.name();
        let Some(route) = ROUTES.iter().find(|route| route.name == name) else {
            self.shared.counts.tally.unknown += 1;
            return self.ack_error(event, &Fail::new("UNKNOWN_EVENT", "No such event"));
        };
        let outcome = match self.admit_event(event, route) {
            Err(fail) => Err((fail, true)),
            Ok(()) => match route.run {
                Run::Now(run) => run(self, event).map(Some).map_err(|fail| (fail, true)),
                Run::Later(run) => run(self, event).map_err(|fail| (fail, true)),
                Run::Telling(run) => run(self, event).map(Some).map_err(|fail| (fail, false)),
            },
        };
        match outcome {
            Ok(_) => self.shared.counts.tally.handled += 1,
            Err(_) => self.shared.counts.tally.rejected += 1,
        }
        match outcome {
            Ok(Some(reply)) => self.ack_reply(event, reply),
            Ok(None) => {}
            Err((fail, tell)) => {
                if tell {
                    self.tell_error(event.socket, route.name, &fail);
                }
                self.ack_error(event, &fail);
            }
        }
    }

    fn admit_event(&mut self, event: &Event, route: &Route) -> Result<(), Fail> {
        let admin = self.fleet.admin(event.socket);
        match (route.from, admin) {
            (From::People(role), Some(admin)) if admin.role >= role => {}
            (From::Device, None) => {}
            (From::Device, Some(admin))
                if admin.is_dev() && matches!(route.name, "player:register" | "AUTHENTICATE") => {}
            (From::Device, Some(admin)) if admin.is_dev() => {
                return Err(Fail::new("NOT_REGISTERED", "Send player:register first"));
            }
            _ => return Err(Fail::forbidden()),
        }
        let bytes = event.args.raw_all().len();
        // Base64 takes four bytes for three.
        let with_snapshot = self.settings.snapshot_bytes_max / 3 * 4 + rules::EVENT_BYTES_MAX;
        if route.snapshot && bytes > with_snapshot {
            let text = format!("A snapshot may have {} bytes", self.settings.snapshot_bytes_max);
            let fail = Fail::new("SNAPSHOT_TOO_LARGE", text);
            if route.name == "player:command:response" {
                self.on_oversize_answer(event, &fail);
            }
            return Err(fail);
        }
        if !route.snapshot && bytes > rules::EVENT_BYTES_MAX {
            return Err(Fail::new("PAYLOAD_TOO_LARGE", format!("At most {} bytes", rules::EVENT_BYTES_MAX)));
        }
        Ok(())
    }

    fn ack_reply(&mut self, event: &Event, reply: Value) {
        if event.ack.is_some() {
            let mut ack = json!({"ok": true});
            if let (Value::Object(ack), Value::Object(reply)) = (&mut ack, reply) {
                ack.extend(reply);
            }
            self.fx.ack(event.socket, event.ack, &ack);
        }
    }

    fn ack_error(&mut self, event: &Event, fail: &Fail) {
        self.fx.ack(event.socket, event.ack, &json!({"ok": false, "error": fail}));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// SIGNAGE 2 and 3 list the events of the table, in its order, those of devices apart from those of people.
    #[test]
    fn the_page_for_client_developers_lists_every_event() {
        let page = include_str!("../../../docs/apps/signage.md");
        for (number, of_devices) in [("2. ", true), ("3. ", false)] {
            let section = page.split("\n## ").find(|section| section.starts_with(number)).expect("a section");
            let rows = section.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
            let routes = ROUTES.iter().filter(|route| matches!(route.from, From::Device) == of_devices);
            assert!(rows.eq(routes.map(|route| route.name)), "SIGNAGE {number}");
        }
    }
}
