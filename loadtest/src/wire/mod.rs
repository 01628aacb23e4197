//! What goes over the wire, as pure functions of bytes.

pub mod frame;
pub mod http;
pub mod packet;
