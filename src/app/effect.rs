//! What an application wants to happen. A handler fills a list; the shard applies it in order, after the handler has returned.

use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;

use super::event::Event;
use super::identity::Identity;
use super::job::Job;
use super::link::{Admission, Dial, LinkId, LinkMessage, LinkOrder};
use super::note::Note;
use super::reply::{Item, Reply};
use super::sql::Statement;
use super::upload::Take;
use super::{Entity, Home};

pub use super::Token;
use crate::base::ids::{ReqId, SocketRef};
pub use crate::hub::target::{Delivery, Emission, Room, Target};

/// One thing that should happen.
#[derive(Debug)]
pub enum Effect {
    /// The CONNECT succeeds: the client gets its sid, and events may flow from here on in this list. An `identity` takes the
    /// place of the one that `admit` made.
    Accept {
        socket: SocketRef,
        identity: Option<Arc<Identity>>,
    },
    /// A live socket is somebody else from here on in this list: its identity and its token's end are replaced, its rooms and
    /// acks stay. Where that changes its home, this one hears `Moved`, and the new one `Connect`.
    Identify {
        socket: SocketRef,
        identity: Arc<Identity>,
    },
    /// The event is another home's to decide, which hears it as if the client had sent it there.
    Pass {
        home: Home,
        event: Event,
    },
    /// That home hears `Wake`: a shard that has heard `Started` says so of whoever has unfinished work. Twice is as good as once.
    Wake {
        home: Home,
    },
    /// Another home is told something, which it hears as `AppInput::Said`: what one home says to another comes in that order.
    Say {
        home: Home,
        note: Note,
    },
    /// The CONNECT fails: CONNECT_ERROR with `message` and, if given, `data` (JSON text).
    Refuse {
        socket: SocketRef,
        message: String,
        data: Option<String>,
    },
    /// An event towards one socket or many.
    Emit {
        target: Target,
        event: Emission,
        delivery: Delivery,
    },
    /// As `Emit`, and every receiver is asked to answer; comes back as `AppInput::Acked` when all have answered or after `timeout_ms`.
    EmitWithAck {
        target: Target,
        event: Emission,
        timeout_ms: u64,
        token: Token,
    },
    /// The answer to an event that asked for one. `args` is JSON text of the arguments without brackets; `beside` is what clients of a
    /// dialect are told beside, as of an [`Emission`].
    Ack {
        socket: SocketRef,
        id: u64,
        args: Bytes,
        attachments: Vec<Bytes>,
        beside: Option<Arc<String>>,
    },
    /// The file of an upload may come; what becomes of it is told by `AppInput::Upload`. A reply before its end breaks it off.
    Take {
        req: ReqId,
        take: Take,
    },
    /// The answer to a call from HTTP.
    Reply {
        req: ReqId,
        reply: Reply,
    },
    /// Another item of a stream that [`Reply::stream`] has begun; nothing where its asker has left.
    Item {
        req: ReqId,
        item: Item,
    },
    /// There are no more items.
    End {
        req: ReqId,
    },
    Join {
        socket: SocketRef,
        room: Room,
    },
    Leave {
        socket: SocketRef,
        room: Room,
    },
    /// Ends the socket (`close = false`: DISCONNECT for this namespace) or its whole connection (`close = true`).
    Disconnect {
        socket: SocketRef,
        close: bool,
    },
    /// Writes and, when the write is on disk, applies `then`; where it failed or was in conflict, `or_else`. Until then later
    /// inputs about `entity` park. With a `token` the application hears the outcome, with the rows that statements gave
    /// back, as `AppInput::Done` before `then` or `or_else` is applied.
    Commit {
        entity: Entity,
        write: Vec<Statement>,
        token: Option<Token>,
        then: Vec<Effect>,
        or_else: Vec<Effect>,
    },
    /// Work for the shell; its outcome comes back as `AppInput::Done`. Nothing parks meanwhile. `token: None`: nobody waits.
    Job {
        job: Job,
        token: Option<Token>,
    },
    /// `AppInput::Timer { token }` after `after_ms`; a timer of the same token is replaced.
    Timer {
        token: Token,
        after_ms: u64,
    },
    /// Disarms the timer of this token, if it is armed.
    Cancel {
        token: Token,
    },
    /// What becomes of a link; it answers by `AppInput::Link`.
    Link {
        link: LinkId,
        order: LinkOrder,
    },
    /// One line for operators, at warning level, and one count of `siod_alerts_total{app,kind}`. `kind` is from a closed set.
    Alert {
        kind: &'static str,
        text: String,
    },
}

/// The list a handler fills.
#[derive(Debug, Default)]
pub struct Effects(pub Vec<Effect>);

impl Effect {
    /// The ack, with what only clients of a dialect are told.
    pub fn beside(mut self, text: Option<Arc<String>>) -> Effect {
        if let Effect::Ack { beside, .. } = &mut self {
            *beside = text;
        }
        self
    }
}

impl Effects {
    /// Adds any effect.
    pub fn push(&mut self, effect: Effect) {
        self.0.push(effect);
    }

    /// The CONNECT succeeds.
    pub fn accept(&mut self, socket: SocketRef) {
        self.push(Effect::Accept { socket, identity: None });
    }

    /// Tells another home something.
    pub fn say(&mut self, home: Home, about: &'static str, value: &impl Serialize) {
        self.push(Effect::Say { home, note: Note::new(about, value) });
    }

    /// CONNECT_ERROR with `message` and `data` as JSON.
    pub fn refuse(&mut self, socket: SocketRef, message: &str, data: Option<serde_json::Value>) {
        self.push(Effect::Refuse { socket, message: message.to_owned(), data: data.map(|data| data.to_string()) });
    }

    /// One event with one argument to one socket, must-deliver.
    pub fn emit(&mut self, socket: SocketRef, name: &str, arg: &impl Serialize) {
        let event = Emission::new(name, arg);
        self.push(Effect::Emit { target: Target::Socket(socket), event, delivery: Delivery::Must });
    }

    /// One event with one argument to everybody in a room, must-deliver.
    pub fn broadcast(&mut self, room: impl Into<Room>, name: &str, arg: &impl Serialize) {
        let event = Emission::new(name, arg);
        self.push(Effect::Emit { target: Target::room(room), event, delivery: Delivery::Must });
    }

    /// Answers an event's ack with one JSON value, if the client asked for an ack.
    pub fn ack(&mut self, socket: SocketRef, id: Option<u64>, arg: &impl Serialize) {
        if let Some(id) = id {
            let args = Bytes::from(serde_json::to_vec(arg).expect("our own types serialise to JSON"));
            self.push(Effect::Ack { socket, id, args, attachments: Vec::new(), beside: None });
        }
    }

    /// Opens a link under this token.
    pub fn open(&mut self, link: Token, dial: Dial) {
        self.push(Effect::Link { link: LinkId::Dialled(link), order: LinkOrder::Open(Box::new(dial)) });
    }

    /// One message to the other side of a link.
    pub fn tell(&mut self, link: LinkId, message: LinkMessage) {
        self.push(Effect::Link { link, order: LinkOrder::Tell(message) });
    }

    /// Closes a link.
    pub fn close_link(&mut self, link: LinkId, code: u16, reason: &str) {
        self.push(Effect::Link { link, order: LinkOrder::Close { code, reason: reason.to_owned() } });
    }

    /// Lets an arrival in.
    pub fn admit(&mut self, link: LinkId, admission: Admission) {
        self.push(Effect::Link { link, order: LinkOrder::Admit(Box::new(admission)) });
    }

    /// Turns an arrival away.
    pub fn refuse_link(&mut self, link: LinkId, status: u16, body: &str) {
        self.push(Effect::Link { link, order: LinkOrder::Refuse { status, body: body.to_owned() } });
    }

    /// The socket enters a room.
    pub fn join(&mut self, socket: SocketRef, room: impl Into<Room>) {
        self.push(Effect::Join { socket, room: room.into() });
    }
}
