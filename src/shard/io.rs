//! The only border of a shard: everything that can happen to it ([`Input`]), everything it asks of the shell
//! ([`Output`]), and what shards say to each other ([`Mail`]).

use core::net::IpAddr;
use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;

use crate::app::effect::{Delivery, Emission, Room, Token};
use crate::app::event::{AppInput, Handshake};
use crate::app::home::Flow;
use crate::app::identity::Identity;
use crate::app::job::{Job, Outcome};
use crate::app::link::{LinkEvent, LinkId, LinkOrder};
use crate::app::reply::{Answer, Leave};
use crate::app::route::Call;
use crate::app::upload::News;
use crate::base::ids::{AppId, ConnKey, Key, LinkRef, ListenerId, NspId, ReqId, ShardId, Sid, SocketRef};
use crate::engine::polling::Reply;

pub use super::link::Coming;

/// What a WebSocket or a first GET brings along.
#[derive(Clone, Debug)]
pub struct Hello {
    pub listener: ListenerId,
    pub service: Service,
    pub handshake: Arc<Handshake>,
    /// Binary messages go out as `b<base64>` text (PROTOCOL 4).
    pub base64: bool,
    /// Answers to GETs are wrapped for JSONP with this index.
    pub jsonp: Option<Box<str>>,
}

/// What a path offers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Service {
    /// Socket.IO; `root` is the application that `/` stands for.
    SocketIo { root: Option<NspId> },
    /// Engine.IO alone: every message comes back (the fixture's `/engine.io/`).
    EngineEcho,
    /// A bare WebSocket: every message comes back (the fixture's `/echo`).
    WebSocketEcho,
}

/// One thing that happens to a shard.
#[derive(Debug)]
pub enum Input<'a> {
    /// A GET without sid.
    Handshake { req: ReqId, hello: Hello },
    /// A GET with sid.
    Poll { req: ReqId, sid: Sid },
    /// The head of a POST; `acceptable` is false for `application/octet-stream` (B08).
    PostOpened { req: ReqId, sid: Sid, acceptable: bool },
    /// The body of a POST that was opened.
    PostBody { req: ReqId, sid: Sid, body: Posted },
    /// Any other method with a sid.
    WrongMethod { req: ReqId, sid: Sid },
    /// A WebSocket handshake with a sid, before its 101.
    UpgradeAsked { req: ReqId, sid: Sid },
    /// The client gave a request up before it was answered.
    Aborted { req: ReqId, sid: Sid },
    /// Bytes of a POST have come whose body is not complete.
    Arriving { sid: Sid },
    /// Bytes of an answer have been taken that is not written whole.
    Leaving { sid: Sid },
    /// A WebSocket without a sid is open.
    Connected { conn: ConnKey, hello: Hello },
    /// A WebSocket with a sid is open, on the shard of that sid.
    Upgraded { conn: ConnKey, sid: Sid, base64: bool },
    /// Somebody who is no Socket.IO client asks for a WebSocket; the request waits for its [`Verdict`].
    Arrived { req: ReqId, coming: Box<Coming> },
    /// The asker has gone before it.
    ArrivalGone { req: ReqId },
    /// The 101 of an arrival that was admitted is out, and this its WebSocket; `None`: it could not be sent.
    LinkOpen { link: Key, conn: Option<ConnKey> },
    /// Bytes from a WebSocket, in the reactor's read buffer; they are unmasked in place.
    Bytes { conn: ConnKey, bytes: &'a mut [u8] },
    /// The TCP connection of a WebSocket has ended; `broken`: by a reset or an error.
    Gone { conn: ConnKey, broken: bool },
    /// From another shard.
    Mail(Vec<Mail>),
    /// A job came back.
    Done { ticket: Ticket, outcome: Outcome },
    /// From HTTP, at the home it concerns.
    Call { req: ReqId, app: AppId, call: Box<Call> },
    /// How it goes with a file that one of its homes takes.
    Upload { req: ReqId, app: AppId, news: News },
    /// The asker of one of its streams is not there any more.
    AskerLeft { req: ReqId, app: AppId, why: Leave },
    /// Something happens to a link of an application that is at home here.
    Link { app: AppId, link: LinkId, event: LinkEvent },
    /// Close everything, spread over `window_ms`.
    Drain { window_ms: u64 },
}

/// A POST's body.
#[derive(Debug)]
pub enum Posted {
    Body(Bytes),
    /// Above the payload limit: 413, the session stays.
    TooLarge,
}

/// One thing a shard asks of the shell. Writes to WebSockets are not among them: see [`super::Shard::next_flush`].
#[derive(Debug)]
pub enum Output {
    Respond {
        req: ReqId,
        reply: Reply,
    },
    /// All that this turn has for one other shard.
    Mail {
        to: ShardId,
        mail: Vec<Mail>,
    },
    /// `purpose: None`: nobody waits for what comes of it.
    Job {
        app: AppId,
        purpose: Option<Purpose>,
        job: Job,
    },
    /// An order about a link that the application dials under this token.
    Link {
        app: AppId,
        link: Token,
        order: LinkOrder,
    },
    /// How that link is to be read, beside what the application says of it.
    LinkFlow {
        app: AppId,
        link: Token,
        flow: Flow,
    },
    /// Read nothing more of this connection, until [`Output::Resume`].
    Pause {
        conn: ConnKey,
    },
    Resume {
        conn: ConnKey,
    },
    /// End our side of the TCP connection; the peer's is read on until it ends, too.
    Finish {
        conn: ConnKey,
    },
    /// Close the descriptor, once for each connection, [`Input::Gone`] included; everything that could be written is written.
    Close {
        conn: ConnKey,
    },
    /// A session has ended that held a place of its client's address ([`Handshake::holds_place`]).
    Left {
        ip: IpAddr,
    },
    /// What becomes of an arrival.
    Decided {
        req: ReqId,
        verdict: Verdict,
    },
    /// The answer to a call from HTTP, by this application.
    Answer {
        req: ReqId,
        app: AppId,
        answer: Answer,
    },
}

/// What becomes of an arrival.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Its request is answered by a 101 with this subprotocol; [`Input::LinkOpen`] follows.
    Admitted { link: Key, subprotocol: Option<String> },
    /// Its request is answered so, and its connection ends.
    TurnedAway { status: u16, body: Cow<'static, str> },
}

/// Brings a job's outcome back to the right application.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ticket {
    pub app: AppId,
    pub purpose: Purpose,
}

/// What a job was for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Purpose {
    /// The application asked and waits under this token.
    Token(Token),
    /// An entity is being loaded.
    Load(crate::app::Entity),
    /// A commit of an entity; the number names the entry that holds its `then` and `or_else`.
    Commit(u64),
}

/// One message between shards.
#[derive(Debug)]
pub enum Mail {
    /// Towards a home: something happened to a socket of the sender.
    Input {
        app: AppId,
        input: AppInput,
    },
    /// From a home: what should happen to sockets of the receiver, in order.
    Directives {
        app: AppId,
        home: ShardId,
        list: Vec<Directive>,
    },
    /// Towards the home of a link, behind its messages: comes back as `Marked` when all before it has been handed over.
    Mark {
        link: LinkRef,
    },
    Marked {
        link: Key,
    },
    /// Towards a home: what became of a packet that asked for acks on one shard.
    Acked {
        app: AppId,
        id: u64,
        answers: Vec<crate::app::event::AckAnswer>,
        missing: u32,
    },
}

/// One effect on its way to the shard of its sockets.
#[derive(Clone, Debug)]
pub enum Directive {
    Accept {
        socket: Key,
        identity: Option<Arc<Identity>>,
    },
    Identify {
        socket: Key,
        identity: Arc<Identity>,
    },
    /// Its old home has said its last word about the socket.
    Release {
        socket: Key,
    },
    /// Its home has told the socket that its token ends.
    Expire {
        socket: Key,
    },
    Refuse {
        socket: Key,
        message: String,
        data: Option<String>,
    },
    Send {
        to: Receivers,
        event: Emission,
        delivery: Delivery,
        ack: Option<AckWanted>,
    },
    Ack {
        socket: Key,
        id: u64,
        args: Bytes,
        attachments: Vec<Bytes>,
        beside: Option<Arc<String>>,
    },
    Join {
        socket: Key,
        room: Room,
    },
    Leave {
        socket: Key,
        room: Room,
    },
    Disconnect {
        socket: Key,
        close: bool,
    },
    Flow {
        socket: Key,
        flow: Flow,
    },
    Link {
        link: Key,
        order: LinkOrder,
    },
    LinkFlow {
        link: Key,
        flow: Flow,
    },
}

/// Receivers on one shard.
#[derive(Clone, Debug)]
pub enum Receivers {
    Socket(Key),
    Rooms { nsp: NspId, rooms: Vec<Room>, except: Vec<Room>, except_sockets: Vec<SocketRef> },
}

/// The ack id a broadcast carries and how long answers are waited for.
#[derive(Clone, Copy, Debug)]
pub struct AckWanted {
    pub id: u64,
    pub timeout_ms: u64,
}
