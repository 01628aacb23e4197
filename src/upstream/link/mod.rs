//! Links that we dial: WebSockets of somebody else's. A task for each, on the thread of [`super`]: about 8 KiB at rest, of which
//! 4 KiB are its read buffer. Where large messages have gone, their buffers stay.
//!
//! Reading order: [`links`] (the door: names, orders, the end of all) → [`side`] (one link between its two sides: what waits, what
//! is told) → [`dial`] (from an order to an open WebSocket) → [`talk`] (messages, pings, farewells), [`metered`] → [`figures`]
//! (what operators see).

mod dial;
mod figures;
pub(super) mod links;
mod metered;
pub(super) mod side;
mod talk;

use std::io;

use tokio_tungstenite::tungstenite;
use tungstenite::error::{CapacityError, Error, ProtocolError};

use crate::app::fetch::{FetchError, FetchFailure};
use crate::app::link::LinkEnd;

/// Why a link is over, and that in words for operators: they name a host at most.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Broken {
    why: LinkEnd,
    text: String,
}

impl Broken {
    fn new(why: LinkEnd, text: impl Into<String>) -> Broken {
        Broken { why, text: text.into() }
    }

    fn failed(kind: FetchFailure, text: impl Into<String>) -> Broken {
        Broken::new(LinkEnd::Failed(kind), text)
    }

    /// What `host` has done, or has not, by what the library says of it.
    fn of(host: &str, error: &Error) -> Broken {
        let (kind, what) = match error {
            Error::Http(answer) => {
                let status = answer.status().as_u16();
                return Broken::new(LinkEnd::Rejected { status }, format!("{host} answers {status}"));
            }
            Error::Capacity(CapacityError::MessageTooLong { .. }) => {
                (FetchFailure::TooLarge, "a message is above its bound")
            }
            Error::Capacity(CapacityError::TooManyHeaders) | Error::AttackAttempt => {
                (FetchFailure::TooLarge, "the head of the answer is above its bound")
            }
            Error::Io(error) if is_of_tls(error) => (FetchFailure::Tls, "what came is no TLS any more"),
            Error::Io(_)
            | Error::ConnectionClosed
            | Error::AlreadyClosed
            | Error::Protocol(ProtocolError::HandshakeIncomplete | ProtocolError::ResetWithoutClosingHandshake) => {
                (FetchFailure::Cut, "the connection ended without a word")
            }
            _ => (FetchFailure::Protocol, "what came is no WebSocket's"),
        };
        Broken::failed(kind, format!("{host}: {what}"))
    }
}

impl From<FetchError> for Broken {
    fn from(error: FetchError) -> Broken {
        Broken::failed(error.kind, error.text)
    }
}

fn is_of_tls(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<rustls::Error>())
}
