//! The events that clients may send: the table, and a handler for each.

use serde::Deserialize;
use serde_json::{Value, json};
use siod::app::effect::{Delivery, Effect, Effects, Emission, Target};
use siod::app::event::Event;
use siod::app::kit::ack::{AckStyle, Fail};
use siod::app::kit::events::{self, Hands, Row, Run};
use siod::app::sql::Statement;
use siod::app::{Entity, Tally, Token};
use siod::base::time::Now;

use super::List;
use super::tables::{self, Item};

/// The table. Everybody of a tenant may send all of it.
pub(super) enum Events {}

/// What a handler gets.
pub(super) struct Turn<'a> {
    pub now: Now,
    pub tenant: &'a str,
    pub list: &'a List,
    /// Of the write that it may ask for.
    pub token: Token,
    /// What it asked to be written.
    pub written: Option<Item>,
    pub tally: &'a mut Tally,
    pub fx: &'a mut Effects,
}

impl events::Events for Events {
    type Turn<'a> = Turn<'a>;
    type Rule = ();
    const ROWS: &'static [Row<Events>] = &[
        Row::new("todo:add", (), Run::Later(|turn, event| turn.on_add(event))),
        Row::new("todo:done", (), Run::Later(|turn, event| turn.on_done(event))),
    ];

    fn hands<'t>(turn: &'t mut Turn<'_>) -> Hands<'t> {
        Hands { now: turn.now, fx: turn.fx, tally: turn.tally }
    }

    fn may(_: &mut Turn<'_>, _: &Event, _: &Row<Events>) -> Result<(), Fail> {
        Ok(())
    }

    fn tell(turn: &mut Turn<'_>, event: &Event, name: &str, fail: &Fail) {
        turn.fx.emit(event.socket, "todo:error", &json!({"event": name, "code": fail.code, "message": fail.message}));
    }
}

impl Turn<'_> {
    fn on_add(&mut self, event: &Event) -> Result<Option<Value>, Fail> {
        #[derive(Deserialize)]
        struct Add {
            text: String,
        }
        let is_text = |add: &Add| (1..=TEXT_CHARS_MAX).contains(&add.text.chars().count());
        let add = event.args.parse::<Add>(0).filter(is_text);
        let Add { text } = add.ok_or_else(|| Fail::validation("text is 1 to 500 characters"))?;
        if self.list.len() >= ITEMS_MAX {
            return Err(Fail::new("LIST_FULL", "A list has at most 1000 items"));
        }
        let id = self.list.last_key_value().map_or(1, |(last, _)| last + 1);
        let item = Item { id, text, done: false };
        self.write(event, "todo:added", tables::add(self.tenant, &item), item)
    }

    fn on_done(&mut self, event: &Event) -> Result<Option<Value>, Fail> {
        #[derive(Deserialize)]
        struct Done {
            id: u64,
        }
        let Done { id } = event.args.parse(0).ok_or_else(|| Fail::validation("id is a number"))?;
        let item = self.list.get(&id).ok_or_else(|| Fail::new("NOT_FOUND", "No such item"))?;
        let item = Item { done: true, ..item.clone() };
        self.write(event, "todo:done", tables::done(self.tenant, id), item)
    }

    /// Writes, and tells everybody of the item when it is on disk. Until then what is asked about this list waits.
    fn write(&mut self, event: &Event, name: &str, write: Statement, item: Item) -> Result<Option<Value>, Fail> {
        let (target, emission) = (Target::room(self.tenant), Emission::new(name, &item));
        let told = Effect::Emit { target, event: emission, delivery: Delivery::Must };
        let acked = AckStyle::Result.reply(event.socket, event.ack, json!(item));
        let refused = AckStyle::Result.refusal(event.socket, event.ack, &Fail::new("NOT_SAVED", "Try again"));
        self.fx.push(Effect::Commit {
            entity: Entity(self.tenant.to_owned()),
            write: vec![write],
            token: Some(self.token),
            then: [told].into_iter().chain(acked).collect(),
            or_else: refused.into_iter().collect(),
        });
        self.written = Some(item);
        Ok(None)
    }
}

const ITEMS_MAX: usize = 1_000;
const TEXT_CHARS_MAX: usize = 500;
