//! The engine session of one client, from its handshake to its end.
//!
//! ```text
//!  handshake over polling ──► Polling ──websocket with our sid──► Probing ──`5`──► WebSocket
//!                               │  ▲                                │
//!                               │  └── probe fails or times out ────┘
//!  handshake over websocket ────┼──────────────────────────────────────────────► WebSocket
//!                               ▼
//!          ended by the server: Closing (polling only) ──next GET reads `6␞1`, or 30 s──► gone
//! ```
//! What a packet means is decided here; sending, timers and Socket.IO are the shard's. Spec: PROTOCOL 3 to 6.

use std::borrow::Cow;

use super::heartbeat::Heartbeat;
use super::packet::Packet;
use super::polling::Polling;
use crate::base::close::CloseReason;
use crate::base::ids::{ConnKey, Sid};
use crate::base::wheel::TimerKey;

/// One session.
#[derive(Debug)]
pub(crate) struct Session {
    pub sid: Sid,
    pub transport: Transport,
    pub heartbeat: Heartbeat,
}

/// How the session reaches its client now.
#[derive(Debug)]
pub(crate) enum Transport {
    Polling(Box<Polling>),
    /// Still polling, while a WebSocket proves itself.
    Probing(Box<Probing>),
    WebSocket(ConnKey),
    /// The server has ended the session; the polling client has yet to hear of it. The timer gives up on that.
    Closing(Box<Polling>, TimerKey),
}

/// An upgrade under way: the polling half that still serves, and the WebSocket that is to take over.
#[derive(Debug)]
pub(crate) struct Probing {
    pub polling: Polling,
    pub conn: ConnKey,
    /// The upgrade's time limit.
    pub timeout: TimerKey,
    /// Set by `2probe`: the parked GET is answered with a noop at this time, again and again.
    pub noop: Option<TimerKey>,
    /// The WebSocket wants attachments as base64 text.
    pub base64: bool,
}

/// What an engine packet in an open session means.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Meaning<'a> {
    Text(Cow<'a, str>),
    Binary(Cow<'a, [u8]>),
    Pong,
    /// The client says goodbye (`1`).
    Goodbye,
    Nothing,
    /// The packet may not come from a v4 client.
    Violation(CloseReason),
}

/// Reads a packet of an open session (PROTOCOL 3 and 4).
pub(crate) fn meaning(packet: Packet<'_>) -> Meaning<'_> {
    match packet {
        Packet::Text(text) => Meaning::Text(text),
        Packet::Binary(data) => Meaning::Binary(data),
        Packet::Pong(_) => Meaning::Pong,
        Packet::Close => Meaning::Goodbye,
        Packet::Open | Packet::Upgrade | Packet::Noop => Meaning::Nothing,
        Packet::Ping(_) => Meaning::Violation(CloseReason::TransportError),
    }
}

/// What a packet on a WebSocket that proves itself means (PROTOCOL 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ProbeStep {
    /// `2probe`: answer `3probe` and keep the poll moving.
    Probe,
    /// `5`: the WebSocket takes over, with or without a probe before.
    Upgrade,
    /// Anything else: the WebSocket is closed, the session stays on polling.
    Fail,
}

/// Reads a packet on a probing WebSocket.
pub(crate) fn probe_step(packet: &Packet<'_>) -> ProbeStep {
    match packet {
        Packet::Ping(data) if data.as_ref() == "probe" => ProbeStep::Probe,
        Packet::Upgrade => ProbeStep::Upgrade,
        _ => ProbeStep::Fail,
    }
}

impl Session {
    /// The polling half, while there is one.
    pub(crate) fn polling_mut(&mut self) -> Option<&mut Polling> {
        match &mut self.transport {
            Transport::Polling(polling) | Transport::Closing(polling, _) => Some(polling),
            Transport::Probing(probing) => Some(&mut probing.polling),
            Transport::WebSocket(_) => None,
        }
    }

    /// As [`Session::polling_mut`], to read.
    pub(crate) fn polling(&self) -> Option<&Polling> {
        match &self.transport {
            Transport::Polling(polling) | Transport::Closing(polling, _) => Some(polling),
            Transport::Probing(probing) => Some(&probing.polling),
            Transport::WebSocket(_) => None,
        }
    }

    /// Ended by the server, and not yet told.
    pub(crate) fn is_closing(&self) -> bool {
        matches!(self.transport, Transport::Closing(..))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_open_session_reads_packets_as_the_reference_does() {
        for (packet, expected) in [
            (Packet::Text("x".into()), Meaning::Text("x".into())),
            (Packet::Binary(Cow::Borrowed(&[1])), Meaning::Binary(Cow::Borrowed(&[1]))),
            (Packet::Pong("".into()), Meaning::Pong),
            (Packet::Close, Meaning::Goodbye),
            (Packet::Open, Meaning::Nothing),
            (Packet::Upgrade, Meaning::Nothing),
            (Packet::Noop, Meaning::Nothing),
            (Packet::Ping("".into()), Meaning::Violation(CloseReason::TransportError)),
        ] {
            assert_eq!(meaning(packet), expected);
        }
    }

    #[test]
    fn a_probe_is_a_ping_that_says_probe() {
        for (packet, expected) in [
            (Packet::Ping("probe".into()), ProbeStep::Probe),
            (Packet::Ping("".into()), ProbeStep::Fail),
            (Packet::Upgrade, ProbeStep::Upgrade),
            (Packet::Text("x".into()), ProbeStep::Fail),
            (Packet::Pong("probe".into()), ProbeStep::Fail),
            (Packet::Close, ProbeStep::Fail),
        ] {
            assert_eq!(probe_step(&packet), expected);
        }
    }
}
