//! Layer 2: Engine.IO v4. WebSocket messages and polling bodies become packets, packets become bodies and messages,
//! and requests are judged before a session sees them. Spec: PROTOCOL 1 to 6.
//!
//! [`packet`] is one packet, [`payload`] the packets of one polling body, [`open`] how a session begins.

pub(crate) mod heartbeat;
pub(crate) mod open;
pub(crate) mod packet;
pub(crate) mod payload;
pub(crate) mod polling;
pub(crate) mod session;
