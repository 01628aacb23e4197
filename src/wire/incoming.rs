//! One whole message of a client, or what a control frame of it says.

use std::borrow::Cow;

/// What a client sent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Incoming<'a> {
    Text(Cow<'a, str>),
    Binary(Cow<'a, [u8]>),
    /// At most 125 bytes, to be sent back in a pong.
    Ping(Cow<'a, [u8]>),
    Pong,
    /// The peer closes, with this code and reason; whatever follows is to be ignored.
    Close(Option<u16>, Cow<'a, str>),
}
