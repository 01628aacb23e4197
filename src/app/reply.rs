//! How a call from HTTP is answered. Values only: who holds the connection is the shell's to know.

use serde::Serialize;

use super::route::Refused;
use super::upload::Take;
use crate::base::ids::Sid;

/// How a call is answered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reply {
    pub status: u16,
    pub content: Content,
}

/// What an answer consists of.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Content {
    Empty,
    /// JSON text.
    Json(String),
    /// JSON text, and when to ask again (`Retry-After`).
    Later {
        text: String,
        after_s: u64,
    },
    /// What the daemon itself refuses so: its status, in the form in which clients of the application know errors.
    Refused(Refused),
    Text(String),
    /// What follows, item by item, until `Effect::End`.
    Stream,
    /// To this address, absolute or a path; the status is one of 301, 302, 303, 307, 308.
    Redirect(String),
    /// A blob, or what of it is asked for (ranges, validators). Where quota or age have taken it, `gone` is the answer.
    Blob {
        shelf: &'static str,
        id: Sid,
        gone: Refused,
    },
}

/// One item of a stream: an event of server-sent events.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Item {
    /// What kind of event it is.
    pub name: Option<String>,
    /// What an asker that comes back names as the last one it has.
    pub id: Option<String>,
    pub data: String,
}

/// What a home says to a call: one reply, and after [`Content::Stream`] items up to an end. A file that comes with the call is
/// taken before that.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Answer {
    Take(Take),
    Reply(Reply),
    Item(Item),
    End,
}

/// Why the asker of a stream is not there any more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Leave {
    /// It has closed its connection.
    Gone,
    /// It has not read what was said, and its connection was closed.
    TooSlow,
}

impl Item {
    /// Bytes that it holds.
    pub fn size_bytes(&self) -> usize {
        let length = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        length(&self.name) + length(&self.id) + self.data.len()
    }
}

impl Reply {
    /// 200, and then items.
    pub fn stream() -> Reply {
        Reply { status: 200, content: Content::Stream }
    }

    /// A status and a JSON value.
    pub fn json(status: u16, body: &impl Serialize) -> Reply {
        let text = serde_json::to_string(body).expect("our own types serialise to JSON");
        Reply { status, content: Content::Json(text) }
    }

    /// A refusal for now: a JSON value, and the seconds after which asking again may help.
    pub fn later(status: u16, body: &impl Serialize, after_s: u64) -> Reply {
        let text = serde_json::to_string(body).expect("our own types serialise to JSON");
        Reply { status, content: Content::Later { text, after_s } }
    }

    pub fn refused(refused: Refused) -> Reply {
        Reply { status: refused.status, content: Content::Refused(refused) }
    }

    pub fn text(status: u16, text: impl Into<String>) -> Reply {
        Reply { status, content: Content::Text(text.into()) }
    }

    pub fn empty(status: u16) -> Reply {
        Reply { status, content: Content::Empty }
    }

    pub fn redirect(status: u16, to: impl Into<String>) -> Reply {
        Reply { status, content: Content::Redirect(to.into()) }
    }

    /// 200 with a blob, or 304, 206 or 416 by what the asker has and wants.
    pub fn blob(shelf: &'static str, id: Sid, gone: Refused) -> Reply {
        Reply { status: 200, content: Content::Blob { shelf, id, gone } }
    }
}
