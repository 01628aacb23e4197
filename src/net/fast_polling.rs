//! A polling request from the bytes it came in to its answer, without hyper: one that is whole and plain. By the same rules
//! and with the same bytes as by [`super::engine`]; everything else is hyper's.

use bytes::Bytes;
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::{Method, StatusCode};
use smallvec::{SmallVec, smallvec};

use super::behind::Asked;
use super::callers::Caller;
use super::core::Core;
use super::cors::Origin;
use super::fast_websocket::{Head, write_date, write_fields};
use super::mailbox::{Entry, Message};
use super::respond::{self, Answer};
use super::visitor::Visitor;
use super::{engine, upgrade};
use crate::base::ids::{ConnKey, Sid};
use crate::base::time::WallMillis;
use crate::engine::open::{self, EngineQuery, Transport};
use crate::engine::polling::Reply;
use crate::shard::io::{Input, Posted};
use crate::socketio::encode::decimal;

/// What a plain polling request asks for.
pub(crate) enum Poll {
    Handshake(Entry),
    Get(Sid),
    Post(Sid, Bytes),
}

/// A polling request that has been read.
pub(crate) struct Read {
    pub poll: Poll,
    pub origin: Origin,
    /// Bytes it had, head and body; others may follow.
    pub bytes: usize,
}

/// Reads the request whose head is `head` and which has the bytes `rest` after it. `None`: it is none for here.
pub(crate) fn read(core: &Core, caller: &Caller, head: &Head, rest: &[u8]) -> Option<Read> {
    let (request, listening) = (&head.request, &core.process.listeners[caller.listener]);
    let headers = request.headers();
    if upgrade::is_asked(headers) || !stays_open(headers) {
        return None;
    }
    let route = head.route(core, listening)?;
    let origin = listening.judge(caller.ip, headers);
    let query = EngineQuery::parse(request.uri().query().unwrap_or(""));
    let origin_header = headers.get(header::ORIGIN).map(HeaderValue::as_bytes);
    let verified = open::verify(&query, request.method() == Method::GET, false, origin_header).ok()?;
    if origin == Origin::Foreign {
        return None;
    }
    let body = body(headers, rest)?;
    let poll = match (verified, request.method(), body) {
        (open::Asked::Handshake(Transport::Polling), &Method::GET, b"") => {
            let visitor = Visitor::of(&core.process, listening, caller.ip, headers).ok()?;
            Poll::Handshake(engine::entry(visitor, route, headers, query))
        }
        (open::Asked::Session { sid, transport: Transport::Polling }, &Method::GET, b"") => Poll::Get(sid),
        (open::Asked::Session { sid, transport: Transport::Polling }, &Method::POST, body)
            if headers.contains_key(header::CONTENT_LENGTH) =>
        {
            let max = core.process.shard_config.engines[usize::from(route.engine.0)].max_payload_bytes;
            let is_plain = body.len() <= max && engine::is_acceptable(headers);
            is_plain.then(|| Poll::Post(sid, Bytes::copy_from_slice(body)))?
        }
        _ => return None,
    };
    Some(Read { poll, origin, bytes: head.bytes + body.len() })
}

/// The whole body, empty where none is announced; `None`: it has not come whole, or its length is not plain.
fn body<'a>(headers: &HeaderMap, rest: &'a [u8]) -> Option<&'a [u8]> {
    let mut lengths = headers.get_all(header::CONTENT_LENGTH).iter();
    match (lengths.next(), lengths.next()) {
        (None, _) => Some(&[]),
        (Some(length), None) if length.as_bytes().iter().all(u8::is_ascii_digit) => {
            rest.get(..length.to_str().ok()?.parse().ok()?)
        }
        _ => None,
    }
}

/// Whether the connection is to go on after this request: nothing else that `Connection` may say means anything here.
fn stays_open(headers: &HeaderMap) -> bool {
    !upgrade::lists(headers, header::CONNECTION, b"close")
}

impl Poll {
    /// The session it is about, and whether it brings something.
    pub(crate) fn kind(&self) -> (Option<Sid>, bool) {
        match self {
            Poll::Handshake(_) => (None, false),
            Poll::Get(sid) => (Some(*sid), false),
            Poll::Post(sid, _) => (Some(*sid), true),
        }
    }

    /// Registers the request and says what its owner is told: at most two inputs, in order.
    pub(crate) fn ask(self, core: &Core, conn: ConnKey, origin: Origin) -> (Asked, SmallVec<[Input<'static>; 2]>) {
        let req = core.register_caller(conn);
        let (sid, is_post) = self.kind();
        let inputs = match self {
            Poll::Handshake(entry) => smallvec![Input::Handshake { req, hello: entry.enter() }],
            Poll::Get(sid) => smallvec![Input::Poll { req, sid }],
            Poll::Post(sid, body) => {
                let opened = Input::PostOpened { req, sid, acceptable: true };
                smallvec![opened, Input::PostBody { req, sid, body: Posted::Body(body) }]
            }
        };
        (Asked { req, sid, is_post, origin }, inputs)
    }
}

/// Tells the owner that the asker has gone.
pub(crate) fn abort(core: &Core, asked: &Asked) {
    core.forget(asked.req);
    if let Some(sid) = asked.sid {
        core.send(core.owner(&sid), Message::Request(Input::Aborted { req: asked.req, sid }));
    }
}

/// Appends an answer as hyper writes it.
pub(crate) fn write_answer(out: &mut Vec<u8>, reply: Reply, origin: &Origin, wall: WallMillis) {
    let Answer { status, kind, stored, body } = respond::answer(reply);
    let code = StatusCode::from_u16(status).expect("statuses are ours");
    let mut put = |parts: &[&str]| parts.iter().for_each(|part| out.extend_from_slice(part.as_bytes()));
    put(&["HTTP/1.1 ", code.as_str(), " ", code.canonical_reason().unwrap_or(""), "\r\n"]);
    if let Some(kind) = kind {
        put(&["content-type: ", kind, "\r\n"]);
    }
    if !stored {
        out.extend_from_slice(b"cache-control: no-store\r\n");
    }
    if *origin != Origin::None {
        let mut headers = HeaderMap::new();
        origin.write(&mut headers);
        write_fields(out, &headers);
    }
    out.extend_from_slice(b"content-length: ");
    decimal(out, body.len() as u64);
    out.extend_from_slice(b"\r\n");
    write_date(out, wall);
    out.extend_from_slice(&body);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn b85_only_a_whole_body_is_for_here_and_it_ends_where_it_says() {
        for (fields, rest, expected) in [
            (&[][..], &b""[..], Some(&b""[..])),
            (&[], b"GET /", Some(b"")),
            (&[("content-length", "2")], b"ok", Some(b"ok")),
            (&[("content-length", "2")], b"okGET /", Some(b"ok")),
            (&[("content-length", "0")], b"", Some(b"")),
            (&[("content-length", "3")], b"ok", None),
            (&[("content-length", "+2")], b"ok", None),
            (&[("content-length", "")], b"", None),
            (&[("content-length", "2"), ("content-length", "2")], b"ok", None),
            (&[("content-length", "99999999999999999999999")], b"ok", None),
        ] {
            assert_eq!(body(&headers(fields), rest), expected, "{fields:?}");
        }
    }

    #[test]
    fn a_connection_that_is_to_end_is_not_for_here() {
        assert!(stays_open(&headers(&[])));
        for value in ["Keep-Alive", "", "upgrade", "keep-alive, TE", "closed"] {
            assert!(stays_open(&headers(&[("connection", value)])), "{value}");
        }
        for value in ["close", "keep-alive, close", "Close ,TE"] {
            assert!(!stays_open(&headers(&[("connection", value)])), "{value}");
        }
    }

    #[test]
    fn an_answer_has_the_form_that_hyper_gives_it() {
        let wall = WallMillis(1_784_000_000_999);
        let text = |reply, origin: &Origin| {
            let mut out = Vec::new();
            write_answer(&mut out, reply, origin, wall);
            String::from_utf8(out).unwrap()
        };
        let date = "date: Tue, 14 Jul 2026 03:33:20 GMT\r\n\r\n";
        assert_eq!(
            text(Reply::Packets(Bytes::from_static(b"2")), &Origin::None),
            format!(
                "HTTP/1.1 200 OK\r\ncontent-type: text/plain; charset=UTF-8\r\ncache-control: no-store\r\n\
                content-length: 1\r\n{date}2"
            )
        );
        assert_eq!(
            text(Reply::Empty(400), &Origin::Anyone),
            format!("HTTP/1.1 400 Bad Request\r\naccess-control-allow-origin: *\r\ncontent-length: 0\r\n{date}")
        );
    }
}
