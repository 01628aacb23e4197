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
}
