//! The table of events (DESIGN 5.2, 5.4 and 5.6). An application says of each event who may send it, how large it may be, how often
//! it may come, who handles it and how that is answered: one [`Row`] each. [`dispatch`] goes by the rows. What only the
//! application knows, its senders and its words, it lends by [`Events`].

use serde_json::{Value, json};

use super::ack::{AckStyle, Fail};
use super::rate::{Exceeded, Meter, Rate};
use crate::app::Tally;
use crate::app::effect::{Delivery, Effect, Effects, Emission, Target};
use crate::app::event::Event;
use crate::base::ids::NspIndex;
use crate::base::time::Now;

/// What an application says of its events as a whole.
pub trait Events: Sized + 'static {
    /// What its handlers get.
    type Turn<'a>;
    /// What a row says of those who may send it, and whatever else [`Events::may`] and the others judge by.
    type Rule: 'static;
    /// The table. Where an event differs by namespace, it has a row for each.
    const ROWS: &'static [Row<Self>];
    /// An event that has no row is also told as an error, not only acked as one.
    const TELLS_UNKNOWN: bool = false;

    /// What is needed of a turn to answer and to count.
    fn hands<'t>(turn: &'t mut Self::Turn<'_>) -> Hands<'t>;

    /// Whether this sender may send it. Asked first.
    ///
    /// # Errors
    /// Why not, in the application's words.
    fn may(turn: &mut Self::Turn<'_>, event: &Event, row: &Row<Self>) -> Result<(), Fail>;

    /// How large the event may be in bytes, arguments and attachments.
    fn bytes_max(_turn: &Self::Turn<'_>, row: &Row<Self>) -> usize {
        row.bytes_max
    }

    /// How often it may come; `None`: as often as it likes.
    fn rate(_turn: &Self::Turn<'_>, row: &Row<Self>) -> Option<Rate> {
        row.rate()
    }

    /// The buckets of those who are counted together: of the socket, or of the user. `None`: nobody is counted.
    fn meter<'t>(_turn: &'t mut Self::Turn<'_>, _event: &Event) -> Option<&'t mut Meter> {
        None
    }

    /// The application's words for what the table has refused; `row` is `None` where there is none.
    fn refuse(_turn: &mut Self::Turn<'_>, _event: &Event, _row: Option<&Row<Self>>, refused: &Refused) -> Fail {
        refused.fail()
    }

    /// Emits the application's error event to the sender.
    fn tell(turn: &mut Self::Turn<'_>, event: &Event, name: &str, fail: &Fail);

    /// An error as acks carry it.
    fn shown(_turn: &Self::Turn<'_>, fail: &Fail) -> Value {
        json!(fail)
    }

    /// How acks are spelled.
    fn style(_turn: &Self::Turn<'_>) -> AckStyle {
        AckStyle::Result
    }
}

/// One event that clients may send.
pub struct Row<E: Events> {
    pub name: &'static str,
    pub rule: E::Rule,
    pub run: Run<E>,
    /// Namespaces in which it is heard, by their places in the application's list; empty: in all.
    pub namespaces: &'static [NspIndex],
    /// Bytes of arguments and attachments.
    pub bytes_max: usize,
    /// Per minute; 0: as often as it likes.
    pub per_minute: u32,
    /// The name of its bucket. Rows with the same one are counted together.
    pub bucket: &'static str,
    pub answer: Answer,
}

/// How a handler is called, and what becomes of its error beside the ack.
pub enum Run<E: Events> {
    /// Its reply is the ack; an error is told by [`Events::tell`].
    Now(fn(&mut E::Turn<'_>, &Event) -> Result<Value, Fail>),
    /// As `Now`, and an answer may come later: then it returns `None`, and acks by [`AckStyle`].
    Later(fn(&mut E::Turn<'_>, &Event) -> Result<Option<Value>, Fail>),
    /// As `Now`, and it has told of its error itself.
    Telling(fn(&mut E::Turn<'_>, &Event) -> Result<Value, Fail>),
}

/// Where a handler's reply goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Answer {
    /// Into the ack, behind all that the handler has told.
    Behind,
    /// Into the ack, ahead of all that the handler has told.
    Ahead,
    /// Into an event of this name to the sender, and the ack behind it, both ahead of all that the handler has told: the sender
    /// sees its reply before the broadcasts it caused.
    Event(&'static str),
}

impl<E: Events> Row<E> {
    /// An event of all namespaces, of at most [`BYTES_MAX`] bytes, as often as it likes, the ack behind; a row that differs says so
    /// as `Row { per_minute: 60, ..Row::new(…) }`.
    pub const fn new(name: &'static str, rule: E::Rule, run: Run<E>) -> Row<E> {
        let (bytes_max, answer) = (BYTES_MAX, Answer::Behind);
        Row { name, rule, run, namespaces: &[], bytes_max, per_minute: 0, bucket: name, answer }
    }

    /// What the table says of how often.
    pub fn rate(&self) -> Option<Rate> {
        Rate::per_minute(self.per_minute)
    }

    fn is_heard_in(&self, nsp: NspIndex) -> bool {
        self.namespaces.is_empty() || self.namespaces.contains(&nsp)
    }
}

/// What [`dispatch`] needs of a turn.
pub struct Hands<'t> {
    pub now: Now,
    pub fx: &'t mut Effects,
    pub tally: &'t mut Tally,
}

/// Why the table refuses an event.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refused {
    /// It has no row here.
    Unknown,
    TooLarge {
        bytes_max: usize,
    },
    TooOften {
        exceeded: Exceeded,
        now: Now,
    },
}

impl Refused {
    /// The words of an application that has none of its own.
    pub fn fail(&self) -> Fail {
        match self {
            Refused::Unknown => Fail::new("UNKNOWN_EVENT", "No such event"),
            Refused::TooLarge { bytes_max } => Fail::new("PAYLOAD_TOO_LARGE", format!("At most {bytes_max} bytes")),
            Refused::TooOften { exceeded, now } => {
                Fail::new("RATE_LIMITED", "Too many of these events").with(exceeded.details(*now))
            }
        }
    }
}

/// An event that is heard: finds its row, asks who sends it, how large it is and how often it came, runs its handler, and answers.
/// A refusal has changed nothing.
pub fn dispatch<E: Events>(turn: &mut E::Turn<'_>, event: &Event) {
    let name = event.args.name();
    let Some(row) = E::ROWS.iter().find(|row| row.name == name && row.is_heard_in(event.nsp)) else {
        E::hands(turn).tally.unknown += 1;
        let fail = E::refuse(turn, event, None, &Refused::Unknown);
        return refuse::<E>(turn, event, E::TELLS_UNKNOWN.then_some(&*name), &fail);
    };
    let start = E::hands(turn).fx.0.len();
    let outcome = admit(turn, event, row).map_err(|fail| (fail, true)).and_then(|()| match row.run {
        Run::Now(run) => run(turn, event).map(Some).map_err(|fail| (fail, true)),
        Run::Later(run) => run(turn, event).map_err(|fail| (fail, true)),
        Run::Telling(run) => run(turn, event).map(Some).map_err(|fail| (fail, false)),
    });
    let tally = E::hands(turn).tally;
    match outcome {
        Ok(reply) => {
            tally.handled += 1;
            if let Some(reply) = reply {
                answer(turn, event, row, reply, start);
            }
        }
        Err((fail, tell)) => {
            tally.rejected += 1;
            refuse::<E>(turn, event, tell.then_some(row.name), &fail);
        }
    }
}

fn admit<E: Events>(turn: &mut E::Turn<'_>, event: &Event, row: &Row<E>) -> Result<(), Fail> {
    E::may(turn, event, row)?;
    let bytes_max = E::bytes_max(turn, row);
    if event.args.payload_bytes() > bytes_max {
        return Err(E::refuse(turn, event, Some(row), &Refused::TooLarge { bytes_max }));
    }
    let Some(rate) = E::rate(turn, row) else { return Ok(()) };
    let now = E::hands(turn).now;
    let taken = E::meter(turn, event).map_or(Ok(()), |meter| meter.take(now.mono, row.bucket, rate));
    taken.map_err(|exceeded| E::refuse(turn, event, Some(row), &Refused::TooOften { exceeded, now }))
}

/// `start`: where in the list what the handler has told begins.
fn answer<E: Events>(turn: &mut E::Turn<'_>, event: &Event, row: &Row<E>, reply: Value, start: usize) {
    let style = E::style(turn);
    let effects = &mut E::hands(turn).fx.0;
    let named = match row.answer {
        Answer::Event(name) => {
            let (target, event) = (Target::Socket(event.socket), Emission::new(name, &reply));
            Some(Effect::Emit { target, event, delivery: Delivery::Must })
        }
        Answer::Behind | Answer::Ahead => None,
    };
    let at = if row.answer == Answer::Behind { effects.len() } else { start };
    effects.splice(at..at, named.into_iter().chain(style.reply(event.socket, event.ack, reply)));
}

/// `told`: the event's name, if its sender is told by an event too.
fn refuse<E: Events>(turn: &mut E::Turn<'_>, event: &Event, told: Option<&str>, fail: &Fail) {
    if let Some(name) = told {
        E::tell(turn, event, name, fail);
    }
    if event.ack.is_some() {
        let (style, shown) = (E::style(turn), E::shown(turn, fail));
        E::hands(turn).fx.0.extend(style.refusal(event.socket, event.ack, &shown));
    }
}

/// Bytes of an event that says nothing else (DESIGN 5.2).
pub const BYTES_MAX: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::event::Args;
    use crate::app::kit::rate::MINUTE_MS;
    use crate::base::ids::{Key, ShardId, SocketRef};
    use crate::base::time::{Millis, WallMillis};
    use bytes::Bytes;
    use std::sync::Arc;

    /// An application of two namespaces, whose handlers say what they were called for.
    struct Spoken<const NODE: bool>;

    #[derive(Default)]
    struct Turn<'a> {
        now: Now,
        fx: Effects,
        tally: Tally,
        meter: Meter,
        role: &'a str,
    }

    impl<const NODE: bool> Events for Spoken<NODE> {
        type Turn<'a> = Turn<'a>;
        type Rule = &'static str;
        const ROWS: &'static [Row<Self>] = &[
            Row { per_minute: 2, ..Row::new("behind", "", Run::Now(|turn, _| turn.says("told"))) },
            Row { bytes_max: 8, answer: Answer::Ahead, ..Row::new("ahead", "", Run::Now(|turn, _| turn.says("told"))) },
            Row { answer: Answer::Event("named"), ..Row::new("event", "", Run::Now(|turn, _| turn.says("told"))) },
            Row { namespaces: &[ADMIN], ..Row::new("metrics", "admin", Run::Now(|turn, _| turn.says("of admins"))) },
            Row {
                namespaces: &[APP],
                ..Row::new("metrics", "", Run::Later(|turn, _| turn.says("later").map(|_| None)))
            },
            Row {
                per_minute: 2,
                bucket: "behind",
                ..Row::new("fails", "", Run::Now(|_, _| Err(Fail::validation("No"))))
            },
            Row::new("tells", "", Run::Telling(|turn, _| turn.says("why").and(Err(Fail::validation("No"))))),
        ];
        const TELLS_UNKNOWN: bool = NODE;

        fn hands<'t>(turn: &'t mut Turn<'_>) -> Hands<'t> {
            Hands { now: turn.now, fx: &mut turn.fx, tally: &mut turn.tally }
        }

        fn may(turn: &mut Turn<'_>, _: &Event, row: &Row<Self>) -> Result<(), Fail> {
            let may = row.rule.is_empty() || row.rule == turn.role;
            may.then_some(()).ok_or_else(|| Fail::new("FORBIDDEN", "Not you"))
        }

        fn meter<'t>(turn: &'t mut Turn<'_>, _: &Event) -> Option<&'t mut Meter> {
            Some(&mut turn.meter)
        }

        fn tell(turn: &mut Turn<'_>, event: &Event, name: &str, fail: &Fail) {
            turn.fx.emit(event.socket, "error", &json!([name, fail.code]));
        }

        fn style(_: &Turn<'_>) -> AckStyle {
            if NODE { AckStyle::Node } else { AckStyle::Result }
        }
    }

    impl Turn<'_> {
        fn says(&mut self, what: &str) -> Result<Value, Fail> {
            self.fx.emit(SOCKET, what, &json!(1));
            Ok(json!({"id": 7}))
        }

        /// What comes of an event, as lines.
        fn hears<const NODE: bool>(&mut self, nsp: NspIndex, args: Args, ack: Option<u64>) -> String {
            let event = Event { socket: SOCKET, nsp, identity: Arc::default(), args, ack };
            dispatch::<Spoken<NODE>>(self, &event);
            let shown = std::mem::take(&mut self.fx.0).into_iter().map(|effect| match effect {
                Effect::Emit { event, .. } => String::from_utf8_lossy(&event.array).into_owned(),
                Effect::Ack { args, .. } => format!("ack {}", String::from_utf8_lossy(&args)),
                other => format!("{other:?}"),
            });
            shown.collect::<Vec<_>>().join(" ")
        }
    }

    const APP: NspIndex = NspIndex(0);
    const ADMIN: NspIndex = NspIndex(1);
    const SOCKET: SocketRef = SocketRef { shard: ShardId(0), key: Key { slot: 1, generation: 0 } };

    fn check(name: &str, nsp: NspIndex, result: &str, node: &str) {
        let mut turn = Turn::default();
        assert_eq!(turn.hears::<false>(nsp, Args::of(name, &[json!({})]), Some(3)), result, "{name}");
        assert_eq!(turn.hears::<true>(nsp, Args::of(name, &[json!({})]), Some(3)), node, "{name}");
        let unheard = Turn::default().hears::<false>(nsp, Args::of(name, &[]), None);
        assert!(!unheard.contains("ack"), "{name}");
    }

    #[test]
    fn an_event_is_answered_as_its_row_says() {
        let reply = (r#"ack {"ok":true,"id":7}"#, r#"ack null,{"id":7}"#);
        check("behind", APP, &format!(r#"["told",1] {}"#, reply.0), &format!(r#"["told",1] {}"#, reply.1));
        check("ahead", APP, &format!(r#"{} ["told",1]"#, reply.0), &format!(r#"{} ["told",1]"#, reply.1));
        let named = r#"["named",{"id":7}]"#;
        check(
            "event",
            APP,
            &format!(r#"{named} {} ["told",1]"#, reply.0),
            &format!(r#"{named} {} ["told",1]"#, reply.1),
        );
        check("metrics", APP, r#"["later",1]"#, r#"["later",1]"#);
        let error = r#"{"code":"VALIDATION","message":"No"}"#;
        let (result, node) = (format!(r#"ack {{"ok":false,"error":{error}}}"#), format!("ack {error}"));
        let told = r#"["error",["fails","VALIDATION"]]"#;
        check("fails", APP, &format!("{told} {result}"), &format!("{told} {node}"));
        check("tells", APP, &format!(r#"["why",1] {result}"#), &format!(r#"["why",1] {node}"#));
    }

    #[test]
    fn an_unknown_event_is_counted_and_acked_and_told_where_the_application_tells_it() {
        let error = r#"{"code":"UNKNOWN_EVENT","message":"No such event"}"#;
        let node = format!(r#"["error",["nope","UNKNOWN_EVENT"]] ack {error}"#);
        check("nope", APP, &format!(r#"ack {{"ok":false,"error":{error}}}"#), &node);
        check("nope", ADMIN, &format!(r#"ack {{"ok":false,"error":{error}}}"#), &node);
        let mut turn = Turn::default();
        assert_eq!(turn.hears::<false>(APP, Args::of("nope", &[]), None), "");
        assert_eq!(turn.tally, Tally { unknown: 1, ..Tally::default() });
    }

    #[test]
    fn rows_are_for_their_namespaces_and_senders() {
        let mut turn = Turn { role: "admin", ..Turn::default() };
        assert_eq!(turn.hears::<false>(ADMIN, Args::of("metrics", &[]), None), r#"["of admins",1]"#);
        assert_eq!(turn.hears::<false>(APP, Args::of("metrics", &[]), None), r#"["later",1]"#);
        turn.role = "agent";
        let told = r#"["error",["metrics","FORBIDDEN"]]"#;
        assert_eq!(turn.hears::<false>(ADMIN, Args::of("metrics", &[]), None), told);
        assert_eq!(turn.tally, Tally { handled: 2, rejected: 1, unknown: 0 });
        assert_eq!(turn.hears::<false>(NspIndex(2), Args::of("metrics", &[]), None), "", "no namespace of either row");
    }

    #[test]
    fn an_event_is_bounded_in_bytes_with_its_attachments() {
        let too_large = r#"["error",["ahead","PAYLOAD_TOO_LARGE"]]"#;
        let blob = |bytes: usize| vec![Bytes::from(vec![0; bytes])];
        for (text, blob_bytes, expected) in
            [("123456", 0, r#"["told",1]"#), ("1234567", 0, too_large), ("1", 5, r#"["told",1]"#), ("1", 6, too_large)]
        {
            let args = Args::of("ahead", &[json!(text)]).with_attachments(blob(blob_bytes));
            assert_eq!(Turn::default().hears::<false>(APP, args, None), expected, "{text} and {blob_bytes}");
        }
    }

    #[test]
    fn an_event_too_many_is_told_when_the_next_may_come() {
        let mut turn = Turn { now: Now { mono: Millis(5), wall: WallMillis(1_755_684_000_000) }, ..Turn::default() };
        let mut hears = |name: &str, later_ms: u64| {
            turn.now = turn.now.plus(later_ms);
            turn.hears::<false>(APP, Args::of(name, &[]), Some(1))
        };
        assert!(hears("behind", 0).ends_with(r#"ack {"ok":true,"id":7}"#));
        // A rejected event gives its token not back, and one bucket counts both names.
        assert!(hears("fails", 0).contains("VALIDATION"));
        let limited = "{\"code\":\"RATE_LIMITED\",\"message\":\"Too many of these events\",\
                       \"details\":{\"limit\":2,\"windowMs\":60000,\"resetAt\":\"2025-08-20T10:00:30.000Z\"}}";
        let expected = format!(r#"["error",["behind","RATE_LIMITED"]] ack {{"ok":false,"error":{limited}}}"#);
        assert_eq!(hears("behind", 0), expected);
        assert!(hears("ahead", 0).starts_with("ack {\"ok\":true"), "others are as they were");
        assert!(hears("behind", MINUTE_MS / 2 - 1).contains("RATE_LIMITED"));
        assert!(hears("behind", 1).ends_with(r#"ack {"ok":true,"id":7}"#));
    }
}
