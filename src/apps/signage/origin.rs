//! Where a command on its way comes from.

use std::sync::Arc;

use serde_json::Value;

use crate::app::kit::audit::Actor;
use crate::base::ids::SocketRef;
use crate::base::time::WallMillis;

/// The person who asked for a command, and what is needed to send it again and to answer.
#[derive(Clone, Debug)]
pub(super) struct CommandOrigin {
    pub socket: SocketRef,
    pub actor: Actor,
    pub command: String,
    pub params: Arc<Value>,
    pub at: WallMillis,
    pub way: Way,
}

/// How a command reaches its device, and how it is answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Way {
    /// `player:command` to the registered socket, answered by `player:command:response`.
    Player,
    /// `command` to this auxiliary socket, answered by `command:error` or not at all.
    Aux(SocketRef),
    /// A bare event of this name to a legacy client, answered by `command_received` or not at all.
    Bare(&'static str),
}
