//! What went wrong with one client: the label under which it is counted.

use std::fmt;
use std::io;

/// Why a client was lost or never joined.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Fault {
    /// No TCP connection.
    Connect(io::ErrorKind),
    /// The connection broke.
    Broken(io::ErrorKind),
    /// The server answered the handshake with this status.
    Status(u16),
    /// The namespace was refused.
    Refused(String),
    /// A request was refused: the code its client was told.
    Rejected(String),
    /// The server ended the session; with the close code of the WebSocket, if it sent one.
    Closed(Option<u16>),
    /// The server broke a rule.
    Protocol(&'static str),
    /// Nothing came when something had to.
    Timeout(&'static str),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Connect(kind) => write!(f, "cannot connect: {kind}"),
            Fault::Broken(kind) => write!(f, "connection broke: {kind}"),
            Fault::Status(status) => write!(f, "handshake answered {status}"),
            Fault::Refused(why) => write!(f, "namespace refused: {why}"),
            Fault::Rejected(code) => write!(f, "refused: {code}"),
            Fault::Closed(Some(code)) => write!(f, "closed by the server with {code}"),
            Fault::Closed(None) => f.write_str("closed by the server"),
            Fault::Protocol(rule) => write!(f, "protocol: {rule}"),
            Fault::Timeout(what) => write!(f, "timed out: {what}"),
        }
    }
}
