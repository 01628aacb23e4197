//! Layer 3: Socket.IO v5 packets, inside the engine's messages (PROTOCOL 7).
//!
//! In: [`decode`] reads a text message, [`client`] puts attachments back and knows which namespaces a client is in.
//! Out: [`encode`] writes the text of a packet, [`envelope`] frames it once for all who receive it. [`ack`] remembers
//! the answers the server waits for.

pub(crate) mod ack;
pub(crate) mod client;
pub(crate) mod decode;
pub(crate) mod encode;
pub(crate) mod envelope;
