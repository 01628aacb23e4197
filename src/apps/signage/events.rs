//! The events of SIGNAGE 2 and 3: who may send each, and what handles it. The way of an event through this table is the kit's
//! (DESIGN 5.2 and 5.4).

use super::fleet::Seat;
use super::payload::forbidden;
use super::rules::{self, Role};
use super::turn::Turn;
use crate::app::event::Event;
use crate::app::kit::ack::Fail;
use crate::app::kit::events::{Events, Hands, Refused, Row, Run, dispatch};

/// The table.
enum Table {}

/// What a row says beside its handler.
struct Rule {
    from: From,
    /// May carry a snapshot, and be as large as one.
    snapshot: bool,
}

/// Those who may send an event.
#[derive(Clone, Copy, PartialEq, Eq)]
enum From {
    Device,
    /// A device that waits to be paired.
    Waiting,
    /// People of at least this role.
    People(Role),
}

const fn device(name: &'static str, snapshot: bool, run: Run<Table>) -> Row<Table> {
    Row::new(name, Rule { from: From::Device, snapshot }, run)
}

const fn people(name: &'static str, role: Role, run: Run<Table>) -> Row<Table> {
    Row::new(name, Rule { from: From::People(role), snapshot: false }, run)
}

impl Events for Table {
    type Turn<'a> = Turn<'a>;
    type Rule = Rule;

    const ROWS: &'static [Row<Table>] = &[
        device("player:register", false, Run::Now(|turn, event| turn.on_register(event))),
        device("player:state", true, Run::Now(|turn, event| turn.on_state(event))),
        device("player:command:response", true, Run::Now(|turn, event| turn.on_answer(event))),
        device("state:update", true, Run::Now(|turn, event| turn.on_update(event))),
        device("player:status", true, Run::Now(|turn, event| turn.on_status(event, "vlc"))),
        device("system:status", true, Run::Now(|turn, event| turn.on_status(event, "system"))),
        device("network:status", true, Run::Now(|turn, event| turn.on_status(event, "network"))),
        device("playlist:status", true, Run::Now(|turn, event| turn.on_status(event, "activePlaylist"))),
        device("command:error", false, Run::Now(|turn, event| turn.on_aux_error(event))),
        device("monitor:error", false, Run::Now(|turn, event| turn.on_trouble(event))),
        Row::new(
            "player:pair",
            Rule { from: From::Waiting, snapshot: false },
            Run::Now(|turn, event| turn.on_pair(event)),
        ),
        device("AUTHENTICATE", false, Run::Now(|turn, event| turn.on_authenticate(event))),
        device("heartbeat", true, Run::Now(|turn, event| turn.on_heartbeat(event))),
        device("STATUS_UPDATE", true, Run::Now(|turn, event| turn.on_heartbeat(event))),
        device("command_received", false, Run::Now(|turn, event| turn.on_received(event))),
        device("ERROR", false, Run::Now(|turn, event| turn.on_trouble(event))),
        // A viewer is refused by the handler: it answers with a `command:response`.
        people("player:command", Role::Viewer, Run::Telling(|turn, event| turn.on_command(event))),
        people("command", Role::Viewer, Run::Telling(|turn, event| turn.on_command(event))),
        people("admin:command", Role::Viewer, Run::Telling(|turn, event| turn.on_command(event))),
        people("command:send", Role::Viewer, Run::Telling(|turn, event| turn.on_command(event))),
        people("devices:list", Role::Viewer, Run::Now(|turn, event| turn.on_list(event))),
        people("device:subscribe", Role::Viewer, Run::Now(|turn, event| turn.on_subscribe(event))),
        people("device:unsubscribe", Role::Viewer, Run::Now(|turn, event| turn.on_unsubscribe(event))),
        people("device:state", Role::Viewer, Run::Now(|turn, event| turn.on_device_state(event))),
        people("device:history", Role::Viewer, Run::Later(|turn, event| turn.on_history(event))),
        people("device:snapshot", Role::Operator, Run::Now(|turn, event| turn.on_device_snapshot(event))),
        people("device:authorize", Role::Admin, Run::Later(|turn, event| turn.on_authorize(event))),
        people("device:revoke", Role::Admin, Run::Later(|turn, event| turn.on_revoke(event))),
        people("device:rotate-token", Role::Admin, Run::Later(|turn, event| turn.on_rotate(event))),
        people("device:pair", Role::Admin, Run::Later(|turn, event| turn.on_device_pair(event))),
        people("audit:subscribe", Role::Admin, Run::Now(|turn, event| turn.on_audit(event))),
    ];

    fn hands<'t>(turn: &'t mut Turn<'_>) -> Hands<'t> {
        Hands { now: turn.now, fx: turn.fx, tally: &mut turn.shared.counts.tally }
    }

    fn may(turn: &mut Turn<'_>, event: &Event, row: &Row<Table>) -> Result<(), Fail> {
        let is_waiting = matches!(turn.fleet.seats.get(&event.socket), Some(Seat::Waiting(_)));
        if is_waiting || row.rule.from == From::Waiting {
            let both = is_waiting && row.rule.from == From::Waiting;
            return if both { Ok(()) } else { Err(forbidden()) };
        }
        match (row.rule.from, turn.fleet.admin(event.socket)) {
            (From::People(role), Some(admin)) if admin.role >= role => Ok(()),
            (From::Device, None) if turn.may_speak(event, row.name) => Ok(()),
            (From::Device, Some(admin)) if admin.is_dev() => match row.name {
                "player:register" | "AUTHENTICATE" => Ok(()),
                _ => Err(Fail::new("NOT_REGISTERED", "Send player:register first")),
            },
            _ => Err(forbidden()),
        }
    }

    /// Base64 takes four bytes for three.
    fn bytes_max(turn: &Turn<'_>, row: &Row<Table>) -> usize {
        let snapshot = if row.rule.snapshot { turn.settings.snapshot_bytes_max / 3 * 4 } else { 0 };
        snapshot + rules::EVENT_BYTES_MAX
    }

    fn refuse(turn: &mut Turn<'_>, event: &Event, row: Option<&Row<Table>>, refused: &Refused) -> Fail {
        match (row, refused) {
            (Some(row), Refused::TooLarge { .. }) if row.rule.snapshot => {
                let text = format!("A snapshot may have {} bytes", turn.settings.snapshot_bytes_max);
                let fail = Fail::new("SNAPSHOT_TOO_LARGE", text);
                if row.name == "player:command:response" {
                    turn.on_oversize_answer(event, &fail);
                }
                fail
            }
            _ => refused.fail(),
        }
    }

    fn tell(turn: &mut Turn<'_>, event: &Event, name: &str, fail: &Fail) {
        turn.tell_error(event.socket, name, fail);
    }
}

impl Turn<'_> {
    /// A client has sent an event.
    pub(super) fn on_event(&mut self, event: &Event) {
        // A socket that was replaced or revoked has no seat: what it still says is nobody's.
        if self.fleet.seats.contains_key(&event.socket) {
            dispatch::<Table>(self, event);
        }
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
            let ours = Table::ROWS.iter().filter(|row| !matches!(row.rule.from, From::People(_)) == of_devices);
            assert!(rows.eq(ours.map(|row| row.name)), "SIGNAGE {number}");
        }
    }
}
