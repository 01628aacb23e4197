//! How a session begins: a request's query is read and judged before any session sees it, and a new session's first
//! packet is written. Looking up the sid is the caller's. Spec: PROTOCOL 1 and 2.

use crate::base::ids::Sid;
use crate::base::limit::{EngineLimits, HANDSHAKE_QUERY_BYTES_MAX};
use crate::base::percent;

/// The ways to exchange packets.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Transport {
    Polling,
    WebSocket,
}

/// Why a request is refused.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum EngineError {
    TransportUnknown,
    SessionUnknown,
    BadHandshakeMethod,
    BadRequest,
    Forbidden,
    UnsupportedVersion,
}

impl EngineError {
    /// All errors; the code is the index.
    pub const ALL: [EngineError; 6] = [
        EngineError::TransportUnknown,
        EngineError::SessionUnknown,
        EngineError::BadHandshakeMethod,
        EngineError::BadRequest,
        EngineError::Forbidden,
        EngineError::UnsupportedVersion,
    ];

    /// `code` of the JSON body.
    pub fn code(self) -> u8 {
        self as u8
    }

    /// `message` of the JSON body; the whole body when an upgrade is refused.
    pub fn message(self) -> &'static str {
        match self {
            EngineError::TransportUnknown => "Transport unknown",
            EngineError::SessionUnknown => "Session ID unknown",
            EngineError::BadHandshakeMethod => "Bad handshake method",
            EngineError::BadRequest => "Bad request",
            EngineError::Forbidden => "Forbidden",
            EngineError::UnsupportedVersion => "Unsupported protocol version",
        }
    }

    /// HTTP status of a refused request. A refused upgrade is answered 400 whatever the error.
    pub fn status(self) -> u16 {
        if self == EngineError::Forbidden { 403 } else { 400 }
    }

    /// Body of a refused HTTP request, `application/json`.
    pub fn json_body(self) -> &'static str {
        match self {
            EngineError::TransportUnknown => r#"{"code":0,"message":"Transport unknown"}"#,
            EngineError::SessionUnknown => r#"{"code":1,"message":"Session ID unknown"}"#,
            EngineError::BadHandshakeMethod => r#"{"code":2,"message":"Bad handshake method"}"#,
            EngineError::BadRequest => r#"{"code":3,"message":"Bad request"}"#,
            EngineError::Forbidden => r#"{"code":4,"message":"Forbidden"}"#,
            EngineError::UnsupportedVersion => r#"{"code":5,"message":"Unsupported protocol version"}"#,
        }
    }
}

/// What a query says to the engine, and what is left of it for the application. Of a repeated parameter the last counts.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct EngineQuery {
    /// Protocol revision as sent; only `4` is spoken.
    pub eio: Option<String>,
    /// `None` if absent or not one of ours.
    pub transport: Option<Transport>,
    /// As sent, not empty; [`verify`] reads it.
    pub sid: Option<String>,
    /// The client cannot take binary: it gets base64 on every transport.
    pub b64: bool,
    /// The client polls by JSONP with this callback index: its digits, perhaps none.
    pub jsonp: Option<String>,
    /// Other parameters as they came, still encoded, at most [`HANDSHAKE_QUERY_BYTES_MAX`] bytes: what does not fit is
    /// left out pair by pair.
    pub rest: String,
}

impl EngineQuery {
    /// Reads the query of a request, without its `?`. Anything can be read; [`verify`] judges.
    pub(crate) fn parse(query: &str) -> EngineQuery {
        let mut parsed = EngineQuery::default();
        for pair in query.split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = || percent::decode(value);
            match &*percent::decode(name) {
                "EIO" => parsed.eio = Some(value().into_owned()),
                "transport" => parsed.transport = Transport::parse(&value()),
                "sid" => parsed.sid = Some(value().into_owned()).filter(|sid| !sid.is_empty()),
                "t" => {}
                "b64" => parsed.b64 = !value().is_empty(),
                "j" => parsed.jsonp = Some(value().chars().filter(char::is_ascii_digit).collect()),
                _ => parsed.keep(pair),
            }
        }
        parsed
    }

    fn keep(&mut self, pair: &str) {
        let separator = usize::from(!self.rest.is_empty());
        if pair.is_empty() || self.rest.len() + separator + pair.len() > HANDSHAKE_QUERY_BYTES_MAX {
            return;
        }
        if separator > 0 {
            self.rest.push('&');
        }
        self.rest.push_str(pair);
    }
}

impl Transport {
    /// The name in queries and metrics.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Transport::Polling => "polling",
            Transport::WebSocket => "websocket",
        }
    }

    fn parse(name: &str) -> Option<Transport> {
        [Transport::Polling, Transport::WebSocket].into_iter().find(|transport| transport.name() == name)
    }
}

/// What a request that passed asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Asked {
    /// A new session.
    Handshake(Transport),
    /// A session that may exist. If it does not: [`EngineError::SessionUnknown`]; if a request that is not an upgrade
    /// names another transport than the session is on: [`EngineError::BadRequest`].
    Session { sid: Sid, transport: Transport },
}

/// Judges a request in the order of PROTOCOL 1. `is_upgrade`: it asks for a WebSocket; `origin` is the header's value.
pub(crate) fn verify(
    query: &EngineQuery,
    method_is_get: bool,
    is_upgrade: bool,
    origin: Option<&[u8]>,
) -> Result<Asked, EngineError> {
    let transport = query.transport.ok_or(EngineError::TransportUnknown)?;
    if !origin.unwrap_or(b"").iter().all(may_be_in_header) {
        return Err(EngineError::BadRequest);
    }
    let upgrade_matches = is_upgrade == (transport == Transport::WebSocket);
    let speaks_v4 = query.eio.as_deref() == Some("4");
    if let Some(sid) = &query.sid {
        let sid = Sid::parse(sid).ok_or(EngineError::SessionUnknown)?;
        let changes_version = query.eio.is_some() && !speaks_v4;
        if changes_version || !upgrade_matches {
            return Err(EngineError::BadRequest);
        }
        return Ok(Asked::Session { sid, transport });
    }
    if !method_is_get {
        return Err(EngineError::BadHandshakeMethod);
    }
    if !upgrade_matches {
        return Err(EngineError::BadRequest);
    }
    if !speaks_v4 {
        return Err(EngineError::UnsupportedVersion);
    }
    Ok(Asked::Handshake(transport))
}

/// Anything but control characters; a tab is allowed.
fn may_be_in_header(byte: &u8) -> bool {
    *byte == b'\t' || !byte.is_ascii_control()
}

/// The first packet of a session, `0{…}`.
pub(crate) fn open_packet(sid: &Sid, upgrades_websocket: bool, limits: &EngineLimits) -> String {
    let upgrades = if upgrades_websocket { r#"["websocket"]"# } else { "[]" };
    let EngineLimits { ping_interval_ms, ping_timeout_ms, max_payload_bytes, .. } = limits;
    format!(
        r#"0{{"sid":"{sid}","upgrades":{upgrades},"pingInterval":{ping_interval_ms},"pingTimeout":{ping_timeout_ms},"maxPayload":{max_payload_bytes}}}"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SID: &str = "abcdefghijklmnopqrst";

    #[test]
    fn errors_say_what_the_reference_says() {
        for (index, error) in EngineError::ALL.into_iter().enumerate() {
            assert_eq!(usize::from(error.code()), index);
            let body = format!(r#"{{"code":{index},"message":"{}"}}"#, error.message());
            assert_eq!(error.json_body(), body);
        }
    }

    #[test]
    fn a_query_is_read_with_the_last_duplicate_winning() {
        let query =
            EngineQuery::parse("EIO=3&transport=polling&token=a%26b&EIO=4&t=xyz&b64=1&j=0a1&x&%73id=s%69d&token=2");
        let expected = EngineQuery {
            eio: Some("4".into()),
            transport: Some(Transport::Polling),
            sid: Some("sid".into()),
            b64: true,
            jsonp: Some("01".into()),
            rest: "token=a%26b&x&token=2".into(),
        };
        assert_eq!(query, expected);
        assert_eq!(EngineQuery::parse(""), EngineQuery::default());
        assert_eq!(EngineQuery::parse("sid=&b64=&b64&&t"), EngineQuery::default());
        assert_eq!(EngineQuery::parse("transport=polling&transport=").transport, None);
    }

    #[test]
    fn b12_names_of_prototypes_are_names() {
        let query = EngineQuery::parse("__proto__=x&constructor=y&EIO=4");
        assert_eq!(query.rest, "__proto__=x&constructor=y");
    }

    #[test]
    fn b14_what_is_kept_of_a_query_is_bounded() {
        let long = format!("a={}", "x".repeat(HANDSHAKE_QUERY_BYTES_MAX - 9));
        let query = EngineQuery::parse(&format!("{long}&b={}&c=1&d=12&e=1", "y".repeat(20)));
        assert_eq!(query.rest, format!("{long}&c=1"));
        let exact = "z".repeat(HANDSHAKE_QUERY_BYTES_MAX);
        assert_eq!(EngineQuery::parse(&exact).rest, exact);
        assert_eq!(EngineQuery::parse(&format!("{exact}z")).rest, "");
    }

    #[test]
    fn a_token_in_the_query_may_be_as_long_as_a_request_line_can_bring() {
        let token = format!("token={}", "x".repeat(HANDSHAKE_QUERY_BYTES_MAX - 100));
        assert_eq!(EngineQuery::parse(&format!("EIO=4&transport=polling&{token}&t=1")).rest, token);
    }

    #[test]
    fn requests_are_judged_in_the_order_of_the_reference() {
        use EngineError::*;
        let session = |transport| Ok(Asked::Session { sid: Sid::parse(SID).unwrap(), transport });
        let sid = format!("sid={SID}");
        for (query, get, upgrade, expected) in [
            ("EIO=4&transport=polling", true, false, Ok(Asked::Handshake(Transport::Polling))),
            ("EIO=4&transport=websocket", true, true, Ok(Asked::Handshake(Transport::WebSocket))),
            ("EIO=4", true, false, Err(TransportUnknown)),
            ("EIO=4&transport=webtransport", true, true, Err(TransportUnknown)),
            ("EIO=4&transport=Polling", true, false, Err(TransportUnknown)),
            ("EIO=3&transport=abc", false, false, Err(TransportUnknown)),
            ("EIO=4&transport=polling", false, false, Err(BadHandshakeMethod)),
            ("EIO=3&transport=websocket", false, false, Err(BadHandshakeMethod)),
            ("EIO=3&transport=websocket", true, false, Err(BadRequest)),
            ("EIO=4&transport=polling", true, true, Err(BadRequest)),
            ("EIO=3&transport=polling", true, false, Err(UnsupportedVersion)),
            ("EIO=abc&transport=polling", true, false, Err(UnsupportedVersion)),
            ("transport=websocket", true, true, Err(UnsupportedVersion)),
            ("EIO=4&transport=polling&sid=unknown", false, false, Err(SessionUnknown)),
            ("EIO=3&transport=polling&sid=__proto__", true, false, Err(SessionUnknown)),
            (&format!("transport=polling&{sid}"), false, false, session(Transport::Polling)),
            (&format!("EIO=4&transport=polling&{sid}"), true, false, session(Transport::Polling)),
            (&format!("EIO=4&transport=websocket&{sid}"), true, true, session(Transport::WebSocket)),
            (&format!("EIO=4&transport=websocket&{sid}"), true, false, Err(BadRequest)),
        ] {
            assert_eq!(verify(&EngineQuery::parse(query), get, upgrade, None), expected, "{query}");
        }
    }

    #[test]
    fn b07_a_transport_is_known_or_unknown() {
        for transport in ["constructor", "__proto__", "toString", "", "websocket%00"] {
            for query in [format!("EIO=4&transport={transport}"), format!("EIO=4&transport={transport}&sid={SID}")] {
                let asked = verify(&EngineQuery::parse(&query), true, false, None);
                assert_eq!(asked, Err(EngineError::TransportUnknown), "{query}");
            }
        }
    }

    #[test]
    fn b11_the_version_cannot_change_within_a_session() {
        for version in ["3", "5", "", "4%20"] {
            let query = EngineQuery::parse(&format!("EIO={version}&transport=websocket&sid={SID}"));
            assert_eq!(verify(&query, true, true, None), Err(EngineError::BadRequest), "{version}");
        }
    }

    #[test]
    fn an_origin_holds_no_control_characters() {
        let query = EngineQuery::parse("EIO=4&transport=polling");
        for (origin, valid) in [
            (&b"https://example.org"[..], true),
            (b"", true),
            (b"tab\there \xe9\x80", true),
            (b"nul\0", false),
            (b"line\nfeed", false),
            (b"\x7f", false),
            (b"\x1f", false),
        ] {
            assert_eq!(verify(&query, true, false, Some(origin)).is_ok(), valid, "{origin:?}");
        }
    }

    #[test]
    fn the_open_packet_has_the_reference_order_of_keys() {
        let sid = Sid::parse(SID).unwrap();
        let mut limits = EngineLimits::default();
        assert_eq!(
            open_packet(&sid, true, &limits),
            r#"0{"sid":"abcdefghijklmnopqrst","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}"#
        );
        limits.ping_interval_ms = 300;
        assert!(open_packet(&sid, false, &limits).contains(r#""upgrades":[],"pingInterval":300,"#));
    }

    proptest! {
        #[test]
        fn any_query_can_be_read(query: String) {
            let parsed = EngineQuery::parse(&query);
            prop_assert!(parsed.rest.len() <= HANDSHAKE_QUERY_BYTES_MAX);
            let _ = verify(&parsed, true, false, Some(query.as_bytes()));
        }
    }
}
