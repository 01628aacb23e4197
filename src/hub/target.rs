//! What an application says about receivers: a socket, or the union of rooms without exceptions; and what may be dropped.

use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;

use crate::base::ids::{NspIndex, SocketRef};

/// Name of a room inside a namespace. The room of a socket's own id is virtual: address the socket instead.
pub type Room = Arc<str>;

/// The receivers of an event.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Target {
    Socket(SocketRef),
    /// The union of `rooms` (empty: the whole namespace) without the members of `except` and without the sockets of
    /// `except_sockets`; nobody gets it twice. All of it is in the application's namespace at `nsp`.
    Rooms {
        nsp: NspIndex,
        rooms: Vec<Room>,
        except: Vec<Room>,
        except_sockets: Vec<SocketRef>,
    },
}

impl Target {
    /// One room of the application's first namespace.
    pub fn room(room: impl Into<Room>) -> Target {
        Target::rooms(vec![room.into()], Vec::new())
    }

    /// The members of `rooms` that are in none of `except`, in the application's first namespace.
    pub fn rooms(rooms: Vec<Room>, except: Vec<Room>) -> Target {
        Target::Rooms { nsp: NspIndex(0), rooms, except, except_sockets: Vec::new() }
    }

    /// The whole first namespace of the application.
    pub fn all() -> Target {
        Target::rooms(Vec::new(), Vec::new())
    }

    /// The same rooms in another namespace of the application; a socket stays where it is.
    pub fn within(self, nsp: NspIndex) -> Target {
        match self {
            Target::Rooms { rooms, except, except_sockets, .. } => Target::Rooms { nsp, rooms, except, except_sockets },
            socket => socket,
        }
    }
}

/// What may happen to an event on its way to a slow reader (DESIGN 4.11).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Delivery {
    /// Never dropped: a socket that cannot take it is closed.
    #[default]
    Must,
    /// Dropped for a receiver that is not writable right now (PROTOCOL 10).
    Volatile,
    /// Over the low mark, a later event of the same key replaces the queued one.
    Latest { key: u64 },
    /// Over the low mark, events of this key are dropped, and the application hears `AppInput::Drained` with the key once
    /// the socket has drained, to send one full state.
    Patch { key: u64 },
    /// A full state that later events of class `Patch` with this key build on. Dropped over the low mark like a patch; once
    /// it has passed, patches pass again.
    Full { key: u64 },
}

/// An event to send: its JSON array and attachments, encoded once, however many receive it.
#[derive(Clone, Debug)]
pub struct Emission {
    /// `["name",arg,…]`; binary arguments are placeholders.
    pub array: Bytes,
    /// At most 10, depth-first.
    pub attachments: Vec<Bytes>,
    /// What clients of a dialect are told beside, and nobody else: JSON text that its functions read.
    pub beside: Option<Arc<String>>,
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
        Emission { array: Bytes::from(array), attachments: Vec::new(), beside: None }
    }

    /// An event that relays a client's arguments (JSON text without brackets) and attachments as they came.
    pub fn relay(name: &str, args: &Bytes, attachments: Vec<Bytes>) -> Emission {
        let text = std::str::from_utf8(args).expect("arguments were validated as UTF-8 on arrival");
        let mut emission = if args.is_empty() { Emission::bare(name) } else { Emission::with_args(name, &[text]) };
        emission.attachments = attachments;
        emission
    }

    /// The event, with what only dialects tell.
    pub fn beside(mut self, more: &impl Serialize) -> Emission {
        self.beside = Some(Arc::new(serde_json::to_string(more).expect("our own types serialise to JSON")));
        self
    }

    /// The first argument; `None` where there is none.
    pub(crate) fn arg(&self) -> Option<serde_json::Value> {
        let array: Vec<serde_json::Value> = serde_json::from_slice(&self.array).ok()?;
        array.into_iter().nth(1)
    }
}
