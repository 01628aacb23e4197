//! Layer 1: bytes ↔ WebSocket messages, server side. Bytes of one connection come in, whole messages go out; what a
//! server sends is framed here too. No extension is negotiated, so none is understood. Spec: RFC 6455.
//!
//! [`message`] makes messages of the frames that [`frame`] reads and [`mask`] uncovers, `assembly` keeps those that come
//! in pieces, `incoming` is one of them; [`close`] is the payload of the close frame.

mod assembly;
pub(crate) mod close;
pub mod frame;
mod incoming;
pub mod mask;
pub(crate) mod message;

pub use incoming::Incoming;
pub use message::Decoder;

use crate::base::close::CloseReason;

/// What a peer did wrong on the WebSocket. The connection is closed with the code of [`WireError::reason`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WireError {
    /// A rule of RFC 6455 was broken; says which.
    Protocol(&'static str),
    /// A text message, or the reason of a close frame, is not UTF-8.
    InvalidUtf8,
    /// The message would exceed the limit of the listener.
    TooBig,
    /// The message came in more than [`fragments_max`](crate::base::limit::fragments_max) frames.
    TooManyFragments,
}

impl WireError {
    /// Close code, log level and metric of this violation.
    pub fn reason(&self) -> CloseReason {
        match self {
            WireError::Protocol(_) => CloseReason::WsProtocolError,
            WireError::InvalidUtf8 => CloseReason::WsInvalidUtf8,
            WireError::TooBig => CloseReason::WsTooBig,
            WireError::TooManyFragments => CloseReason::WsPolicy,
        }
    }
}
