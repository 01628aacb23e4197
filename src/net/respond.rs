//! Replies as HTTP: statuses, headers and bodies as the official server sends them (PROTOCOL 1, 3).

use std::borrow::Cow;

use bytes::Bytes;
use http_body_util::{Either, Full};
use hyper::header::{self, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};

use super::cors::Origin;
use super::forwarded;
use crate::engine::open::EngineError;
use crate::engine::polling::Reply;

/// Ours are short and complete; those of the router may stream.
pub(crate) type Body = Either<Full<Bytes>, axum::body::Body>;

/// A reply in terms of HTTP.
pub(crate) struct Answer {
    pub status: u16,
    /// Its media type, if it has a body.
    pub kind: Option<&'static str>,
    /// Caches may keep it.
    pub stored: bool,
    pub body: Bytes,
}

/// What a reply is in HTTP.
pub(crate) fn answer(reply: Reply) -> Answer {
    let (status, kind, stored, body) = match reply {
        Reply::Packets(body) => (200, Some("text/plain; charset=UTF-8"), false, body),
        Reply::Taken => (200, Some("text/html"), false, Bytes::from_static(b"ok")),
        Reply::Error(error) => {
            (error.status(), Some("application/json"), true, Bytes::from_static(error.json_body().as_bytes()))
        }
        Reply::Empty(code) => (code, None, true, Bytes::new()),
        Reply::SwitchProtocols => (101, None, true, Bytes::new()),
    };
    Answer { status, kind, stored, body }
}

/// An answer to a polling request.
pub(crate) fn polling(reply: Reply) -> Response<Body> {
    let Answer { status, kind, stored, body } = answer(reply);
    let response = kind.map_or_else(|| empty(status), |kind| full(status, kind, body));
    if stored { response } else { not_stored(response) }
}

/// A refusal of a WebSocket handshake: always 400, the message as text, and the connection ends.
pub(crate) fn upgrade_refused(error: EngineError) -> Response<Body> {
    closing(full(400, "text/html", Bytes::from_static(error.message().as_bytes())))
}

/// A status and a sentence for its reader; the connection ends.
pub(crate) fn sentence(code: u16, text: &'static str) -> Response<Body> {
    closing(full(code, PLAIN, Bytes::from_static(text.as_bytes())))
}

/// What somebody is told who is not let in; the connection ends.
pub(crate) fn turned_away(code: u16, kind: &'static str, body: Cow<'static, str>) -> Response<Body> {
    let body = match body {
        Cow::Borrowed(text) => Bytes::from_static(text.as_bytes()),
        Cow::Owned(text) => Bytes::from(text),
    };
    let mut response = closing(full(code, kind, body));
    if code == 503 {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
    }
    response
}

/// A refusal for what a request says about proxies.
pub(crate) fn forwarding(refused: forwarded::Refused) -> Response<Body> {
    sentence(refused.status(), refused.sentence())
}

/// A sentence as bytes, for a connection that hyper does not serve.
pub(crate) fn refusal(code: u16, text: &str) -> Vec<u8> {
    let status = StatusCode::from_u16(code).expect("statuses are ours");
    let retry = if code == 503 { "Retry-After: 5\r\n" } else { "" };
    let head = format!("HTTP/1.1 {status}\r\nConnection: close\r\n{retry}Content-Type: {PLAIN}\r\n");
    format!("{head}Content-Length: {}\r\n\r\n{text}", text.len()).into_bytes()
}

/// The media type of a sentence.
pub(crate) const PLAIN: &str = "text/plain; charset=utf-8";

/// What a preflight of a page that is let in is answered; `None`: this is another request.
pub(crate) fn preflight<B>(origin: &Origin, request: &Request<B>) -> Option<Response<Body>> {
    let is_admitted = matches!(origin, Origin::Admitted(_) | Origin::Anyone);
    (request.method() == Method::OPTIONS && is_admitted).then(|| {
        let mut response = empty(204);
        origin.write_preflight(request.headers(), response.headers_mut());
        response
    })
}

/// A status without a body.
pub(crate) fn empty(code: u16) -> Response<Body> {
    let mut response = Response::new(Either::Left(Full::default()));
    *response.status_mut() = StatusCode::from_u16(code).expect("statuses are ours");
    response
}

fn full(code: u16, kind: &'static str, body: Bytes) -> Response<Body> {
    let mut response = Response::new(Either::Left(Full::new(body)));
    *response.status_mut() = StatusCode::from_u16(code).expect("statuses are ours");
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

fn not_stored(mut response: Response<Body>) -> Response<Body> {
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Ends the connection after this answer.
pub(crate) fn closing(mut response: Response<Body>) -> Response<Body> {
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}
