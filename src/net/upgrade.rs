//! The WebSocket handshake of RFC 6455 section 4.2, checked after the engine has agreed to it, and its 101.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Request, Response};
use sha1::{Digest, Sha1};

use super::forwarded::is_token_byte;
use super::respond::{self, Body};

/// Whether a request asks for a WebSocket at all. `Upgrade` is a list of protocols, and means nothing unless `Connection`
/// names it (RFC 9110 section 7.8).
pub(crate) fn is_asked(headers: &HeaderMap) -> bool {
    lists(headers, header::UPGRADE, b"websocket") && lists(headers, header::CONNECTION, b"upgrade")
}

/// The 101, or what is wrong with the handshake. Extensions are not negotiated, whatever is offered.
pub(crate) fn accept<B>(request: &Request<B>) -> Result<Response<Body>, Box<Response<Body>>> {
    if request.method() != Method::GET {
        return Err(Box::new(respond::sentence(405, "A WebSocket is opened by a GET")));
    }
    let headers = request.headers();
    let version = headers.get(header::SEC_WEBSOCKET_VERSION).map(HeaderValue::as_bytes);
    if !matches!(version, Some(b"13" | b"8")) {
        let mut response = respond::sentence(400, "Sec-WebSocket-Version must be 13 or 8");
        response.headers_mut().insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13, 8"));
        return Err(Box::new(response));
    }
    if !lists(headers, header::CONNECTION, b"upgrade") {
        return Err(Box::new(respond::sentence(400, "The Connection header does not say Upgrade")));
    }
    let key =
        key(headers).ok_or_else(|| Box::new(respond::sentence(400, "Sec-WebSocket-Key is not 16 bytes of base64")))?;
    let mut response = respond::empty(101);
    let out = response.headers_mut();
    out.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    out.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    out.insert(header::SEC_WEBSOCKET_ACCEPT, accept_value(key));
    if let Some(protocol) = first_protocol(headers) {
        out.insert(header::SEC_WEBSOCKET_PROTOCOL, protocol);
    }
    Ok(response)
}

/// The one key of the handshake.
fn key(headers: &HeaderMap) -> Option<&[u8]> {
    let mut keys = headers.get_all(header::SEC_WEBSOCKET_KEY).iter();
    let key = keys.next()?.as_bytes();
    let sixteen = BASE64_STANDARD.decode(key).is_ok_and(|bytes| bytes.len() == 16);
    (keys.next().is_none() && sixteen).then_some(key)
}

/// Whether a header that is a list names `token`, in whatever case.
pub(crate) fn lists(headers: &HeaderMap, name: HeaderName, token: &[u8]) -> bool {
    let values = headers.get_all(name).iter();
    let mut items = values.flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    items.any(|item| item.trim_ascii().eq_ignore_ascii_case(token))
}

/// The first subprotocol offered. It means nothing here, but a client that offers some, for a proxy's sake, fails the
/// connection when none is chosen; the reference chooses the first, too. `None` if that is no token: nothing else comes back.
fn first_protocol(headers: &HeaderMap) -> Option<HeaderValue> {
    let offer = headers.get(header::SEC_WEBSOCKET_PROTOCOL)?.as_bytes();
    let first = offer.split(|byte| *byte == b',').next()?.trim_ascii();
    let is_token = !first.is_empty() && first.iter().copied().all(is_token_byte);
    HeaderValue::from_bytes(first).ok().filter(|_| is_token)
}

/// RFC 6455 section 4.2.2, step 5.4.
fn accept_value(key: &[u8]) -> HeaderValue {
    let mut hash = Sha1::new();
    hash.update(key);
    hash.update(b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    HeaderValue::from_str(&BASE64_STANDARD.encode(hash.finalize())).expect("base64 is fit for a header")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(changes: &[(&'static str, &'static str)], status: u16) -> Response<Body> {
        let mut request = Request::new(());
        let defaults = [
            ("connection", "keep-alive, Upgrade"),
            ("upgrade", "websocket"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ];
        for (name, value) in defaults.iter().chain(changes) {
            request.headers_mut().insert(*name, HeaderValue::from_static(value));
        }
        let response = accept(&request).unwrap_or_else(|refusal| *refusal);
        assert_eq!(response.status(), status, "{changes:?}");
        response
    }

    #[test]
    fn an_upgrade_is_asked_for_by_both_headers_and_a_websocket_may_be_one_of_several() {
        for (upgrade, connection, is_asked_for) in [
            ("websocket", "Upgrade", true),
            ("WebSocket", "keep-alive, upgrade", true),
            ("h2c, websocket", "Upgrade, HTTP2-Settings", true),
            ("websocket", "keep-alive", false),
            ("h2c", "Upgrade", false),
            ("websockets", "Upgrade", false),
            ("", "Upgrade", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::UPGRADE, HeaderValue::from_static(upgrade));
            headers.insert(header::CONNECTION, HeaderValue::from_static(connection));
            assert_eq!(is_asked(&headers), is_asked_for, "{upgrade} {connection}");
        }
        assert!(!is_asked(&HeaderMap::new()));
    }

    #[test]
    fn handshakes_are_checked() {
        check(&[], 101);
        check(&[("sec-websocket-version", "8")], 101);
        for version in ["7", "", "13, 8", "constructor"] {
            check(&[("sec-websocket-version", version)], 400);
        }
        // B45: the key is base64 of exactly 16 bytes.
        for key in ["", "dGhlIHNhbXBsZSBub25jZQ", "AAAA", "dGhlIHNhbXBsZSBub25jZQ==x", "!!!!!!!!!!!!!!!!!!!!!!=="] {
            check(&[("sec-websocket-key", key)], 400);
        }
        check(&[("connection", "close")], 400);
    }

    #[test]
    fn b32_offered_extensions_change_nothing() {
        let response = check(&[("sec-websocket-extensions", "constructor; __proto__=\"")], 101);
        assert!(!response.headers().contains_key(header::SEC_WEBSOCKET_EXTENSIONS));
    }

    #[test]
    fn b33_the_first_protocol_offered_is_chosen_if_it_is_a_token() {
        for (offer, chosen) in [
            ("chat", Some("chat")),
            (" mqtt.v5 , chat", Some("mqtt.v5")),
            ("b,                x", Some("b")),
            ("b                x", None),
            ("", None),
            (", chat", None),
            ("chat\t(1)", None),
            ("\"chat\"", None),
        ] {
            let response = check(&[("sec-websocket-protocol", offer)], 101);
            let value = response.headers().get(header::SEC_WEBSOCKET_PROTOCOL);
            assert_eq!(value.map(|value| value.to_str().unwrap()), chosen, "{offer:?}");
        }
    }

    #[test]
    fn the_accept_value_is_that_of_the_rfc() {
        assert_eq!(accept_value(b"dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }
}
