//! Layer 2: Engine.IO v4. WebSocket messages and polling bodies become packets, packets become bodies and messages,
//! and requests are judged before a session sees them. Spec: PROTOCOL 1 to 6.
//!
//! [`packet`] is one packet, [`payload`] the packets of one polling body, [`open`] how a session begins.

pub mod heartbeat;
pub mod open;
pub mod packet;
pub mod payload;
pub mod polling;
pub mod session;
