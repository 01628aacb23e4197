//! What the requests of one HTTP connection share, and what its stream is for once one of them is answered by a 101.

use std::cell::RefCell;
use std::net::IpAddr;
use std::rc::Rc;

use super::core::{Core, Listening};
use super::mailbox::Arrival;
use crate::app::route::shell::Speech;

/// What the requests of one connection share.
pub(crate) struct Connection {
    pub core: Rc<Core>,
    /// Index of the listener it came in by.
    pub listener: usize,
    pub ip: IpAddr,
    /// Set by the request whose answer is a 101.
    purpose: RefCell<Option<Purpose>>,
}

/// What a stream serves after its 101.
pub(crate) enum Purpose {
    /// A session, at its shard.
    Engine(Arrival),
    /// An application's shell.
    Shell(Speech),
}

impl Connection {
    pub(crate) fn new(core: Rc<Core>, listener: usize, ip: IpAddr) -> Connection {
        Connection { core, listener, ip, purpose: RefCell::new(None) }
    }

    pub(crate) fn listening(&self) -> &Listening {
        &self.core.process.listeners[self.listener]
    }

    /// The answer being sent is a 101, after which the stream serves `purpose`.
    pub(crate) fn upgrade_to(&self, purpose: Purpose) {
        *self.purpose.borrow_mut() = Some(purpose);
    }

    /// What the stream serves after the 101, if that is what was answered.
    pub(crate) fn take_purpose(&self) -> Option<Purpose> {
        self.purpose.take()
    }
}
