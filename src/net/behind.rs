//! Requests behind one that waits for its answer, on a connection in the epoll set: they are taken when they come, and
//! answered in their order (RFC 9112 section 9.3.2). A connection has this only while there is something behind.

use std::collections::VecDeque;

use super::cors::Origin;
use crate::base::ids::{ReqId, Sid};
use crate::base::limit::{PIPELINED_BYTES_MAX, PIPELINED_MAX};

/// A request that a shard has.
#[derive(Debug)]
pub(crate) struct Asked {
    pub req: ReqId,
    /// None for a handshake, which nobody can abort.
    pub sid: Option<Sid>,
    pub is_post: bool,
    pub origin: Origin,
}

/// What lies behind the request that is answered next.
#[derive(Debug, Default)]
pub(crate) struct Behind {
    line: VecDeque<Turn>,
    /// Read, and not yet taken for a request.
    bytes: Vec<u8>,
}

/// One request of the line.
#[derive(Debug)]
pub(crate) enum Turn {
    /// A shard works on it.
    Asked(Asked),
    /// Its answer waits for those before it.
    Answered { sid: Option<Sid>, answer: Vec<u8> },
}

impl Behind {
    pub(crate) fn keep(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// What has been read and no request was taken from.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The first `count` bytes were a request, and it is asked.
    pub(crate) fn take(&mut self, count: usize) {
        self.bytes.drain(..count);
    }

    pub(crate) fn push(&mut self, asked: Asked) {
        self.line.push_back(Turn::Asked(asked));
    }

    pub(crate) fn asked(&self, req: ReqId) -> Option<&Asked> {
        self.line.iter().filter_map(Turn::as_asked).find(|asked| asked.req == req)
    }

    /// The answer to a request whose turn has not come.
    pub(crate) fn keep_answer(&mut self, req: ReqId, answer: &[u8]) {
        for turn in &mut self.line {
            if let Turn::Asked(asked) = turn
                && asked.req == req
            {
                *turn = Turn::Answered { sid: asked.sid, answer: answer.to_vec() };
            }
        }
    }

    /// The request whose turn it is when those before have been answered.
    pub(crate) fn next_turn(&mut self) -> Option<Turn> {
        self.line.pop_front()
    }

    /// Whether one more request may be taken.
    pub(crate) fn has_turns(&self) -> bool {
        self.line.len() < PIPELINED_MAX
    }

    /// Whether more may be read.
    pub(crate) fn has_room(&self) -> bool {
        self.has_turns() && self.bytes.len() < PIPELINED_BYTES_MAX
    }

    /// Requests that shards work on.
    pub(crate) fn all_asked(&self) -> impl Iterator<Item = &Asked> {
        self.line.iter().filter_map(Turn::as_asked)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.line.is_empty() && self.bytes.is_empty()
    }
}

impl Turn {
    fn as_asked(&self) -> Option<&Asked> {
        match self {
            Turn::Asked(asked) => Some(asked),
            Turn::Answered { .. } => None,
        }
    }
}
