//! The events that clients may send, in all three namespaces alike. The way of one through this table is the kit's: size, rate, then its handler,
//! which judges shape, access and state, in this order.

use serde_json::{Value, json};

use super::payload::{Fields, INVALID_EVENT, MESSAGE_ID_CHARS_MAX};
use super::turn::Turn;
use super::who::{Asker, Back};
use super::wish::{Reading, What, Wish};
use crate::app::event::Event;
use crate::app::kit::ack::{AckStyle, Fail};
use crate::app::kit::events::{Events, Hands, Refused, Row, Run, dispatch};
use crate::app::kit::rate::{Meter, Rate};

/// The table.
enum Table {}

/// All of these answer by themselves, now or later.
const fn row(name: &'static str, run: Run<Table>) -> Row<Table> {
    Row::new(name, (), run)
}

/// A handler that asks something of one conversation.
fn wish(turn: &mut Turn<'_>, event: &Event, name: &str, what: What) -> Result<Option<Value>, Fail> {
    let conversation = Fields::of(name, event)?.conversation()?;
    Ok(turn.wish_of(event, conversation, what))
}

impl Events for Table {
    type Turn<'a> = Turn<'a>;
    type Rule = ();

    const ROWS: &'static [Row<Table>] = &[
        row(
            "message:send",
            Run::Later(|turn, event| {
                let (conversation, draft) = Fields::of("message:send", event)?.draft(turn.settings)?;
                Ok(turn.wish_of(event, conversation, What::Send(draft)))
            }),
        ),
        row("typing:start", Run::Later(|turn, event| wish(turn, event, "typing:start", What::Type(true)))),
        row("typing:stop", Run::Later(|turn, event| wish(turn, event, "typing:stop", What::Type(false)))),
        row(
            "conversation:read",
            Run::Later(|turn, event| {
                let fields = Fields::of("conversation:read", event)?;
                let conversation = fields.conversation()?;
                let asked = match turn.scope.speaks(event.socket) {
                    true => fields.ids("messageIds", "messageId")?,
                    false => vec![fields.filled("messageId", MESSAGE_ID_CHARS_MAX)?],
                };
                Ok(turn.wish_of(event, conversation, What::Read(Reading { asked, found: None })))
            }),
        ),
        row("sync:state", Run::Later(|turn, event| turn.on_sync(event))),
        row("join:conversation", Run::Later(|turn, event| wish(turn, event, "join:conversation", What::Join))),
        row("leave:conversation", Run::Later(|turn, event| turn.on_leave(event))),
        row("presence:set", Run::Later(|turn, event| turn.on_presence_set(event))),
        row("agent:takeover", Run::Later(|turn, event| turn.on_takeover(event))),
        row("agent:return-to-bot", Run::Later(|turn, event| turn.on_return(event))),
        row("agent:transfer", Run::Later(|turn, event| turn.on_transfer(event))),
        row("escalation:start", Run::Later(|turn, event| turn.on_escalation(event))),
        row("escalation:accept", Run::Later(|turn, event| turn.on_verdict(event, "escalation:accept"))),
        row("escalation:reject", Run::Later(|turn, event| turn.on_verdict(event, "escalation:reject"))),
        row("auth:refresh", Run::Later(|turn, event| turn.on_refresh(event))),
    ];
    const TELLS_UNKNOWN: bool = true;

    fn hands<'t>(turn: &'t mut Turn<'_>) -> Hands<'t> {
        Hands { now: turn.now, fx: turn.fx, tally: &mut turn.shared.counts.tally }
    }

    /// Roles are part of access, which comes behind size, rate and shape.
    fn may(_: &mut Turn<'_>, _: &Event, _: &Row<Table>) -> Result<(), Fail> {
        Ok(())
    }

    fn bytes_max(turn: &Turn<'_>, _: &Row<Table>) -> usize {
        turn.settings.event_bytes_max
    }

    fn rate(turn: &Turn<'_>, row: &Row<Table>) -> Option<Rate> {
        Rate::per_minute(turn.settings.per_minute(row.name))
    }

    fn meter<'t>(turn: &'t mut Turn<'_>, event: &Event) -> Option<&'t mut Meter> {
        turn.scope.seats.get_mut(&event.socket).map(|seat| &mut seat.meter)
    }

    fn refuse(turn: &mut Turn<'_>, event: &Event, row: Option<&Row<Table>>, refused: &Refused) -> Fail {
        match (row, refused) {
            (_, Refused::TooLarge { bytes_max }) => {
                let text = format!("El evento supera el límite de {bytes_max} bytes");
                Fail::new("PAYLOAD_TOO_LARGE", text).with(json!({"limit": bytes_max}))
            }
            (Some(row), Refused::TooOften { exceeded, now }) => too_often(row.name).with(exceeded.details(*now)),
            _ => {
                let _ = turn;
                Fail::new(INVALID_EVENT, format!("Evento no permitido: {}", event.args.name()))
            }
        }
    }

    fn tell(turn: &mut Turn<'_>, event: &Event, name: &str, fail: &Fail) {
        // It was answered in the turn in which it came.
        turn.shared.operation.tick.errors.message += 1;
        turn.shared.operation.tick.latencies.add(0);
        turn.fx.emit(event.socket, "error", fail);
        // The one who waits for what comes of a message waits for no other event.
        let code = match fail.code {
            INVALID_EVENT => "VALIDATION_ERROR",
            RATE_LIMIT_EXCEEDED => RATE_LIMIT_EXCEEDED,
            _ => return,
        };
        let payload = (name == "message:send").then(|| event.args.parse::<Value>(0)).flatten();
        let Some(payload) = payload else { return };
        if payload["messageId"].is_string() {
            let error = Fail { code, ..fail.clone() };
            turn.fx.emit(
                event.socket,
                "message:error",
                &json!({
                    "messageId": payload["messageId"], "conversationId": payload["conversationId"], "error": error,
                }),
            );
        }
    }
}

impl Turn<'_> {
    /// A client has sent an event.
    pub(super) fn on_event(&mut self, event: &Event) {
        self.shared.operation.tick.events += 1;
        let Some(seat) = self.scope.seats.get_mut(&event.socket) else { return };
        if let Some(rate) = Rate::per_minute(self.settings.socket_max_events)
            && let Err(exceeded) = seat.meter.take(self.now.mono, "", rate)
        {
            let name = event.args.name();
            let fail = too_often(&name).with(exceeded.details(self.now));
            Table::tell(self, event, &name, &fail);
            return self.acked_refusal(event, &fail);
        }
        dispatch::<Table>(self, event);
    }

    fn acked_refusal(&mut self, event: &Event, fail: &Fail) {
        self.shared.counts.tally.rejected += 1;
        self.fx.0.extend(AckStyle::Result.refusal(event.socket, event.ack, fail));
    }

    /// The one who asks by an event; its socket has a seat.
    pub(super) fn asker(&self, event: &Event) -> Option<Asker> {
        let who = self.scope.seats.get(&event.socket)?.who.clone();
        let back = Back::Socket { socket: event.socket, ack: event.ack, at: self.now.mono };
        Some(Asker { who, back })
    }

    /// Asks something of a conversation on behalf of an event's sender, which is answered now or later.
    pub(super) fn wish_of(&mut self, event: &Event, conversation: std::sync::Arc<str>, what: What) -> Option<Value> {
        let asker = self.asker(event)?;
        self.wish(Wish { asker, conversation, what });
        None
    }
}

pub(super) fn too_often(event: &str) -> Fail {
    Fail::new(RATE_LIMIT_EXCEEDED, format!("Límite excedido para evento: {event}"))
}

const RATE_LIMIT_EXCEEDED: &str = "RATE_LIMIT_EXCEEDED";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_for_client_developers_lists_every_event() {
        let page = include_str!("../../../docs/apps/utalk.md");
        let section = page.split("\n## ").find(|section| section.starts_with("2. ")).expect("a section");
        let mut rows: Vec<&str> =
            section.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
        let mut ours: Vec<&str> = Table::ROWS.iter().map(|row| row.name).collect();
        rows.sort_unstable();
        ours.sort_unstable();
        assert_eq!(rows, ours);
    }
}
