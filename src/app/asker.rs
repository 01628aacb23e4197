//! The one who asks an application for something: one author, whether a socket's event asks, a call from HTTP or the application's own
//! shell on somebody's behalf. So a rule about who may do what is written once.

use std::sync::Arc;

use super::identity::Identity;
use crate::base::ids::{ReqId, SocketRef};

/// The one who asks, as whom, with what rights.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Asker {
    pub by: By,
    /// `None`: nobody known.
    pub identity: Option<Arc<Identity>>,
    /// What it may do beside what its identity says, in words of the application: the one that a key of a gateway gives. Only the
    /// application's shell gives any.
    pub rights: &'static [&'static str],
}

/// How it asks, and so where the answer goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum By {
    /// By an event: the answer is an ack or an event.
    Socket(SocketRef),
    /// By a call: the answer is a reply.
    Call(ReqId),
    /// By a request or WebSocket that the application's shell has in hand, and answers itself.
    Shell,
}

impl Asker {
    /// The one on whose behalf a shell asks, without further rights.
    pub fn of_shell(identity: Option<Arc<Identity>>) -> Asker {
        Asker { by: By::Shell, identity, rights: &[] }
    }
}
