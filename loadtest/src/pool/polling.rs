//! What a client keeps while it polls: the parked GET, the POST beside it, and an upgrade under way.

use super::link::Link;
use crate::wire::packet::SEPARATOR;

pub(super) struct Polling {
    pub get: Link,
    /// Opened with the first thing to send.
    pub post: Option<Link>,
    pub sid: String,
    /// The body of the next POST.
    waiting: Vec<u8>,
    pub posting: bool,
    /// A GET is parked at the server.
    pub parked: bool,
    pub upgrade: Upgrade,
}

/// How far the move to WebSocket is. Spec: <https://socket.io/docs/v4/engine-io-protocol/#upgrade>.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Upgrade {
    No,
    /// The WebSocket is open, the probe is sent.
    Probing,
    /// The probe was answered: as soon as neither GET nor POST is under way, the session moves.
    Probed,
}

impl Polling {
    pub(super) fn new(get: Link) -> Polling {
        Polling {
            get,
            post: None,
            sid: String::new(),
            waiting: Vec::new(),
            posting: false,
            parked: true,
            upgrade: Upgrade::No,
        }
    }

    /// Puts a message into the next body.
    pub(super) fn push(&mut self, message: &[u8]) {
        if !self.waiting.is_empty() {
            self.waiting.push(SEPARATOR);
        }
        self.waiting.extend_from_slice(message);
    }

    /// The body of a POST that may go now.
    pub(super) fn next_body(&mut self) -> Option<Vec<u8>> {
        let may = !self.posting && !self.sid.is_empty() && !self.waiting.is_empty();
        may.then(|| {
            self.posting = true;
            std::mem::take(&mut self.waiting)
        })
    }

    pub(super) fn is_quiet(&self) -> bool {
        !self.posting && !self.parked && self.waiting.is_empty()
    }
}
