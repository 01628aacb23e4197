//! What an application wants to happen. A handler fills a list; the shard applies it in order, after the handler has returned.

use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;

use super::Entity;
use super::kit::audit;
use crate::base::ids::{ReqId, SocketRef};

/// A handler's own name for something it will hear of again (a timer, a job, an ack). Opaque to everybody else.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Token(pub u64);

/// Name of a room inside a namespace. The room of a socket's own id is virtual: address the socket instead.
pub type Room = Arc<str>;

/// One thing that should happen.
#[derive(Debug)]
pub enum Effect {
    /// The CONNECT succeeds: the client gets its sid, and events may flow from here on in this list.
    Accept {
        socket: SocketRef,
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
    /// The answer to an event that asked for one. `args` is JSON text of the arguments without brackets.
    Ack {
        socket: SocketRef,
        id: u64,
        args: Bytes,
        attachments: Vec<Bytes>,
    },
    /// The answer to a call from HTTP: a status and a JSON body.
    Reply {
        req: ReqId,
        status: u16,
        body: String,
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
    /// Writes and, when the write is on disk, applies `then`, else `or_else`; until then later inputs about `entity` park.
    /// With a `token` the application hears the outcome as `AppInput::Done` before `then` or `or_else` is applied.
    Commit {
        entity: Entity,
        write: Vec<Write>,
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
    /// One line for operators, at warning level, and one count of `siod_alerts_total{app,kind}`. `kind` is from a closed set.
    Alert {
        kind: &'static str,
        text: String,
    },
}

/// Who receives an event.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Target {
    Socket(SocketRef),
    /// The union of `rooms` (empty: the whole namespace) without the members of `except` and without the sockets of
    /// `except_sockets`; nobody gets it twice. The namespace is the handler's own.
    Rooms {
        rooms: Vec<Room>,
        except: Vec<Room>,
        except_sockets: Vec<SocketRef>,
    },
}

impl Target {
    pub fn room(room: impl Into<Room>) -> Target {
        Target::Rooms { rooms: vec![room.into()], except: Vec::new(), except_sockets: Vec::new() }
    }

    /// The whole namespace.
    pub fn all() -> Target {
        Target::Rooms { rooms: Vec::new(), except: Vec::new(), except_sockets: Vec::new() }
    }
}

/// What may happen to an event on its way to a slow reader (design 4.11).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Delivery {
    /// Never dropped: a socket that cannot take it is closed.
    #[default]
    Must,
    /// Dropped for a receiver that is not writable right now (protocol 1.3, `volatile`).
    Volatile,
    /// Over the low mark, a later event of the same key replaces the queued one.
    Latest { key: u64 },
    /// Over the low mark, events of this key are dropped, and the application hears `AppInput::Drained` with the key once
    /// the socket has drained, to send one full state.
    Patch { key: u64 },
}

/// An event to send: its JSON array and attachments, encoded once whoever receives it.
#[derive(Clone, Debug)]
pub struct Emission {
    /// `["name",arg,…]`; binary arguments are placeholders.
    pub array: Bytes,
    /// At most 10, depth-first.
    pub attachments: Vec<Bytes>,
}

impl Emission {
    /// An event with one argument.
    pub fn new(name: &str, arg: &impl Serialize) -> Emission {
        Emission::with_args(name, &[&serde_json::to_string(arg).expect("our own types serialise to JSON")])
    }

    /// An event without arguments.
    pub fn bare(name: &str) -> Emission {
        Emission::with_args::<&str>(name, &[])
    }

    /// An event whose arguments are JSON texts already.
    pub fn with_args<T: AsRef<str>>(name: &str, args: &[T]) -> Emission {
        let mut array =
            Vec::with_capacity(name.len() + 4 + args.iter().map(|arg| arg.as_ref().len() + 1).sum::<usize>());
        array.push(b'[');
        serde_json::to_writer(&mut array, name).expect("a string serialises, and a vector takes it");
        for arg in args {
            array.push(b',');
            array.extend_from_slice(arg.as_ref().as_bytes());
        }
        array.push(b']');
        Emission { array: Bytes::from(array), attachments: Vec::new() }
    }

    /// An event that relays a client's arguments (JSON text without brackets) and attachments as they came.
    pub fn relay(name: &str, args: &Bytes, attachments: Vec<Bytes>) -> Emission {
        let text = std::str::from_utf8(args).expect("arguments were validated as UTF-8 on arrival");
        let mut emission = if args.is_empty() { Emission::bare(name) } else { Emission::with_args(name, &[text]) };
        emission.attachments = attachments;
        emission
    }
}

/// The list a handler fills.
#[derive(Debug, Default)]
pub struct Effects(pub Vec<Effect>);

impl Effects {
    pub fn push(&mut self, effect: Effect) {
        self.0.push(effect);
    }

    pub fn accept(&mut self, socket: SocketRef) {
        self.push(Effect::Accept { socket });
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
            self.push(Effect::Ack { socket, id, args, attachments: Vec::new() });
        }
    }

    pub fn join(&mut self, socket: SocketRef, room: impl Into<Room>) {
        self.push(Effect::Join { socket, room: room.into() });
    }
}

/// Work that touches the operating system, done by the shell.
#[derive(Debug)]
pub enum Job {
    /// Appends and updates, all or nothing, in the writer's next group commit.
    Write(Vec<Write>),
    /// A question to the store.
    Read(Query),
    /// Decodes, hashes and stores a snapshot picture, records it, and deletes what the quota pushes out.
    Snapshot(super::signage::job::SnapshotJob),
}

/// One change in the store.
#[derive(Clone, Debug, PartialEq)]
pub enum Write {
    Audit(audit::Entry),
    Signage(super::signage::job::Write),
}

/// One question to the store.
#[derive(Clone, Debug, PartialEq)]
pub enum Query {
    Signage(super::signage::job::Query),
    /// The newest audit entries of a domain, newest first.
    Audit {
        domain: String,
        limit: u32,
    },
}

/// What came of a job.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// On disk.
    Written,
    Signage(super::signage::job::Answer),
    Audit(Vec<audit::Entry>),
    Failed(JobError),
}

/// Why a job failed; `text` is for operators.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobError {
    pub kind: JobErrorKind,
    pub text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobErrorKind {
    /// The queue is full or the database locked: try again.
    Busy,
    /// The disk is full or a quota is reached.
    Full,
    /// The input was refused (not base64, too large, no picture).
    Invalid,
    /// The store cannot be used.
    Unavailable,
}

impl JobErrorKind {
    /// The `code` clients see.
    pub fn code(self) -> &'static str {
        match self {
            JobErrorKind::Busy => "STORE_BUSY",
            JobErrorKind::Full => "STORE_FULL",
            JobErrorKind::Invalid => "VALIDATION",
            JobErrorKind::Unavailable => "STORE_UNAVAILABLE",
        }
    }
}
