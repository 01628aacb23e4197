//! Links: everything outside that talks in messages while an application listens. An application gives orders about a link by
//! [`Effect::Link`](super::effect::Effect::Link) and hears of it by [`AppInput::Link`](super::event::AppInput::Link), in order, at
//! one home: the one that opened it, or the one that the path it came by has chosen.
//!
//! There are two kinds: a WebSocket that we dial, and one that somebody who is no Socket.IO client opens here. A link is bounded
//! both ways; reconnecting, back-off and correlation are the application's.

pub(crate) mod paths;

use core::net::IpAddr;
use std::fmt;

use bytes::Bytes;

use super::fetch::FetchFailure;
use super::refused::Refused;
use super::route::Bare;
use super::{Home, Token, route};
use crate::base::ids::LinkRef;
use crate::base::percent;

/// The name of a link.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum LinkId {
    /// One that the application has opened under this token, from its [`LinkOrder::Open`] until its [`LinkEvent::Closed`]; unique
    /// among those of the application on its shard.
    Dialled(Token),
    /// One that has arrived, as the frame calls it. A name that has outlived its link finds nothing.
    Arrived(LinkRef),
}

/// What an application wants of a link. An order about a link that is not there, or not of this kind, is passed over.
#[derive(Clone, Debug)]
pub enum LinkOrder {
    /// Dial; comes back as `Opened`, or as `Closed` with the reason. One that is still open under this name is closed first,
    /// and so told, before anything of the new one is.
    Open(Box<Dial>),
    /// A message to the other side, behind those told before; what is told before a dialled link is open waits for that. More than
    /// [`LINK_OUT_MESSAGES_MAX`](crate::base::limit::LINK_OUT_MESSAGES_MAX) or
    /// [`LINK_OUT_BYTES_MAX`](crate::base::limit::LINK_OUT_BYTES_MAX) waiting, and the link is closed as too slow; one above
    /// [`LINK_MESSAGE_BYTES_MAX`](crate::base::limit::LINK_MESSAGE_BYTES_MAX), and it is closed as too large.
    Tell(LinkMessage),
    /// The end, behind what was told before: `Closed` comes at once, and nothing else after it. `code` is one that may be sent
    /// ([RFC 6455 section 7.4](https://www.rfc-editor.org/rfc/rfc6455#section-7.4)), of `reason` 123 bytes are.
    Close {
        code: u16,
        reason: String,
    },
    /// An arrival is let in: it gets its 101, and `Opened` follows.
    Admit(Box<Admission>),
    /// An arrival is turned away with this status, from 400 to 599, and this text. `Closed` follows.
    Refuse {
        status: u16,
        body: String,
    },
    /// Nothing more is read of it until `Resume`. What has been read before still comes.
    Pause,
    Resume,
}

/// What is to be opened. A program, or a subscription at a Redis server, has its place here when there is one to open it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Dial {
    WebSocket(WebSocketDial),
}

/// A WebSocket of somebody else's. Its `Debug` form tells neither path nor values: secrets stand there.
#[derive(Clone, PartialEq, Eq)]
pub struct WebSocketDial {
    /// Absolute, `ws` or `wss`, without a user in it. Where its host leads is judged by the configuration.
    pub url: String,
    /// Names and values. Those that are the handshake's (`host`, `upgrade`, `sec-websocket-…`) are not the asker's: with one of
    /// them it is `Invalid`.
    pub headers: Vec<(String, String)>,
    /// Subprotocols that are offered. A peer that chooses none of them, where there are some, has not understood.
    pub subprotocols: Vec<String>,
    /// From the order to the peer's 101, waiting for a place included; at most
    /// [`LINK_OPEN_TIMEOUT_MS_MAX`](crate::base::limit::LINK_OPEN_TIMEOUT_MS_MAX).
    pub open_timeout_ms: u64,
    pub terms: Terms,
}

/// How an open link is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Terms {
    /// Of a message that comes; at most [`LINK_MESSAGE_BYTES_MAX`](crate::base::limit::LINK_MESSAGE_BYTES_MAX).
    pub message_bytes_max: usize,
    /// A peer that has been silent for so long is pinged, and so long later, still silent, given up. 0: it may be silent for ever.
    pub ping_interval_ms: u64,
    pub ping_timeout_ms: u64,
}

impl Default for Terms {
    fn default() -> Self {
        Terms { message_bytes_max: 256 * 1024, ping_interval_ms: 25_000, ping_timeout_ms: 20_000 }
    }
}

/// How an arrival is let in.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Admission {
    /// One of those that it offers.
    pub subprotocol: Option<String>,
    pub terms: Terms,
}

/// One message, whole.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LinkMessage {
    Text(String),
    Binary(Bytes),
}

/// What happens to a link. First `Arrived` or the application's own order to open it; then `Opened`, unless it comes to nothing;
/// then messages; at the end `Closed`, once.
#[derive(Debug)]
pub enum LinkEvent {
    /// Somebody asks to be let in. Answer with `Admit` or `Refuse` within
    /// [`LINK_ADMIT_TIMEOUT_MS`](crate::base::limit::LINK_ADMIT_TIMEOUT_MS).
    Arrived(Box<Arrival>),
    /// Messages may come and go.
    Opened {
        subprotocol: Option<String>,
    },
    Message(LinkMessage),
    /// It is over; the name means nothing any more.
    Closed {
        why: LinkEnd,
    },
}

/// Why a link is over: a closed set, with one label each.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LinkEnd {
    /// It has not opened, or broke, as a request does. `Busy`: there are too many links. `TimedOut`: it was not open, or not
    /// admitted, in time. `TooLarge`: a message above the bound. `Protocol`: what came is no WebSocket's. `Cut`: the
    /// connection ended without a word. `Unavailable`: the daemon is ending.
    Failed(FetchFailure),
    /// The peer has answered the handshake, but not with 101.
    Rejected { status: u16 },
    /// The peer takes nothing for too long, or too much waits for it.
    TooSlow,
    /// So much of it waited at its home that a message was lost.
    Flooded,
    /// A ping was not answered in time.
    Silent,
    /// The peer has said that it is over.
    Peer { code: Option<u16>, reason: String },
    /// The application has.
    Ours,
}

impl LinkEnd {
    /// Every label, [`LinkEnd::place`] by place.
    pub const LABELS: [&'static str; 18] = {
        let mut labels = ["rejected", "too_slow", "flooded", "silent", "peer", "ours"].as_slice();
        let mut all = [""; 18];
        let mut at = 0;
        while at < FetchFailure::ALL.len() {
            all[at] = FetchFailure::ALL[at].label();
            at += 1;
        }
        while let [first, rest @ ..] = labels {
            (all[at], labels) = (first, rest);
            at += 1;
        }
        all
    };

    /// The word that operators see.
    pub fn label(&self) -> &'static str {
        LinkEnd::LABELS[self.place()]
    }

    /// Where it stands among all.
    pub fn place(&self) -> usize {
        let own = match self {
            LinkEnd::Failed(kind) => return *kind as usize,
            LinkEnd::Rejected { .. } => 0,
            LinkEnd::TooSlow => 1,
            LinkEnd::Flooded => 2,
            LinkEnd::Silent => 3,
            LinkEnd::Peer { .. } => 4,
            LinkEnd::Ours => 5,
        };
        FetchFailure::ALL.len() + own
    }
}

/// A path on which those who are no Socket.IO clients may open a WebSocket.
#[derive(Debug)]
pub struct LinkPath {
    /// Below `/<application>`, as of a [`Route`](route::Route).
    pub path: &'static str,
    /// One sentence for whoever reads a list of paths.
    pub doc: &'static str,
    pub bare: Bare,
    /// Headers that matter to home and application, in lower case; they hear of no other one.
    pub headers: &'static [&'static str],
    /// Where its arrivals are decided: a pure function of what they say, asked on the way. A refusal is the answer.
    pub home: fn(&Arrival) -> Result<Home, Refused>,
}

/// Somebody who asks for a WebSocket.
#[derive(Clone, Debug)]
pub struct Arrival {
    pub path: &'static LinkPath,
    /// Values of the path's parameters, decoded, in the order of the path.
    pub values: Vec<String>,
    /// Still percent-encoded.
    pub query: String,
    /// The headers that the path has chosen, as far as they came; the last of a name.
    pub headers: Vec<(&'static str, Bytes)>,
    /// Those it offers, in its order.
    pub subprotocols: Vec<String>,
    /// Where it comes from: what a listed proxy says, else its connection.
    pub ip: IpAddr,
}

impl WebSocketDial {
    /// Without headers and subprotocols, ten seconds to open, the usual terms.
    pub fn new(url: impl Into<String>) -> WebSocketDial {
        let (headers, subprotocols) = (Vec::new(), Vec::new());
        WebSocketDial { url: url.into(), headers, subprotocols, open_timeout_ms: 10_000, terms: Terms::default() }
    }
}

impl fmt::Debug for WebSocketDial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.headers.iter().map(|(name, _)| &**name).collect();
        let WebSocketDial { subprotocols, open_timeout_ms, terms, .. } = self;
        write!(f, "WebSocketDial {{ headers {names:?}, subprotocols {subprotocols:?}, ")?;
        write!(f, "open_timeout_ms {open_timeout_ms}, {terms:?} }}")
    }
}

impl LinkMessage {
    pub fn text(text: impl Into<String>) -> LinkMessage {
        LinkMessage::Text(text.into())
    }

    /// Bytes that it holds.
    pub fn len(&self) -> usize {
        match self {
            LinkMessage::Text(text) => text.len(),
            LinkMessage::Binary(bytes) => bytes.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl LinkEvent {
    /// Bytes that it holds while it waits.
    pub fn size_bytes(&self) -> usize {
        match self {
            LinkEvent::Arrived(arrival) => arrival.size_bytes(),
            LinkEvent::Message(message) => message.len(),
            LinkEvent::Opened { .. } | LinkEvent::Closed { .. } => 0,
        }
    }
}

impl Arrival {
    /// A parameter of the path; empty where that has none of this name.
    pub fn param(&self, name: &str) -> &str {
        let index = route::in_path(self.path.path).position(|known| known == name);
        index.and_then(|index| self.values.get(index)).map_or("", |value| value)
    }

    /// The decoded value of one query parameter (`+` is a space, last duplicate wins).
    pub fn query_value(&self, name: &str) -> Option<String> {
        percent::value(&self.query, name)
    }

    /// A chosen header, if it came.
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        self.headers.iter().find(|(known, _)| *known == name).map(|(_, value)| &value[..])
    }

    /// Bytes that it holds.
    pub fn size_bytes(&self) -> usize {
        let texts = self.values.iter().chain(&self.subprotocols).map(String::len);
        let headers = self.headers.iter().map(|(_, value)| value.len());
        texts.chain(headers).sum::<usize>() + self.query.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dial_that_is_shown_shows_no_secret() {
        let headers = vec![("authorization".to_owned(), "Bearer s3cret".to_owned())];
        let dial = WebSocketDial { headers, ..WebSocketDial::new("wss://cloud.example/s3cret?key=s3cret") };
        let shown = format!("{:?}", LinkOrder::Open(Box::new(Dial::WebSocket(dial))));
        assert!(shown.contains("authorization") && !shown.contains("s3cret"), "{shown}");
    }

    #[test]
    fn every_end_has_a_place_and_a_label_of_its_own() {
        let own = [
            LinkEnd::Rejected { status: 401 },
            LinkEnd::TooSlow,
            LinkEnd::Flooded,
            LinkEnd::Silent,
            LinkEnd::Peer { code: None, reason: String::new() },
            LinkEnd::Ours,
        ];
        let failed = FetchFailure::ALL.into_iter().map(LinkEnd::Failed);
        let all: Vec<LinkEnd> = failed.chain(own).collect();
        let labels: Vec<&str> = all.iter().map(LinkEnd::label).collect();
        assert_eq!(labels, LinkEnd::LABELS);
        let distinct: std::collections::BTreeSet<&str> = labels.into_iter().collect();
        assert_eq!(distinct.len(), LinkEnd::LABELS.len());
        assert_eq!((LinkEnd::Failed(FetchFailure::Tls).label(), LinkEnd::Ours.label()), ("tls", "ours"));
    }

    #[test]
    fn an_arrival_says_what_its_path_has_chosen() {
        static PATH: LinkPath = LinkPath {
            path: "/devices/{device}/socket",
            doc: "",
            bare: Bare::No,
            headers: &["authorization"],
            home: |arrival| Ok(Home::Tenant(arrival.param("device").to_owned())),
        };
        let arrival = Arrival {
            path: &PATH,
            values: vec!["d1".into()],
            query: "a=1&a=2%20".into(),
            headers: vec![("authorization", Bytes::from_static(b"x"))],
            subprotocols: vec!["v1".into()],
            ip: [127, 0, 0, 1].into(),
        };
        assert_eq!((arrival.param("device"), arrival.param("x")), ("d1", ""));
        assert_eq!(arrival.query_value("a").as_deref(), Some("2 "));
        assert_eq!((arrival.header("authorization"), arrival.header("cookie")), (Some(&b"x"[..]), None));
        assert_eq!((PATH.home)(&arrival).unwrap(), Home::Tenant("d1".into()));
        assert_eq!(LinkEvent::Arrived(Box::new(arrival)).size_bytes(), 2 + 10 + 1 + 2);
    }
}
