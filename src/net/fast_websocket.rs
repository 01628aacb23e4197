//! A WebSocket handshake of a new session, answered from the bytes it came in. Only what is complete and plain is answered
//! here, by the same rules and with the same bytes as by [`super::engine`]; anything else is hyper's: an upgrade of a
//! session, a head in pieces, a body, a refusal.

use std::cell::RefCell;
use std::time::{Duration, UNIX_EPOCH};

use httpdate::HttpDate;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Request, Response, Uri, Version, header};

use super::callers::Caller;
use super::carry::host_fault;
use super::core::{Core, Listening, Route};
use super::cors::Origin;
use super::mailbox::Entry;
use super::visitor::Visitor;
use super::{engine, upgrade};
use crate::base::limit::{HEADERS_BYTES_MAX, REQUEST_LINE_BYTES_MAX};
use crate::base::time::WallMillis;
use crate::engine::open::{self, Asked, EngineQuery, Transport};
use crate::shard::io::Service;

/// Headers of a plain handshake; a browser sends about fifteen.
const FAST_HEADERS_MAX: usize = 32;
/// Bytes of a 101, about.
const HEAD_BYTES: usize = 256;

/// A handshake that has been agreed to.
pub(crate) struct Opened {
    pub entry: Entry,
    /// The 101.
    pub head: Vec<u8>,
}

/// Agrees to the handshake of `head`, by which `caller` asks. `None`: it is none, or there is something about it that is not
/// for here.
pub(crate) fn open(core: &Core, caller: &Caller, head: &Head, wall: WallMillis) -> Option<Opened> {
    let (request, listening) = (&head.request, &core.process.listeners[caller.listener]);
    let headers = request.headers();
    if !upgrade::is_asked(headers) || has_body(headers) {
        return None;
    }
    let route = head.route(core, listening)?;
    let origin = listening.judge(caller.ip, headers);
    let query = match route.service {
        Service::WebSocketEcho => EngineQuery::default(),
        _ => {
            let query = EngineQuery::parse(request.uri().query().unwrap_or(""));
            let origin_header = headers.get(header::ORIGIN).map(HeaderValue::as_bytes);
            let asked = open::verify(&query, request.method() == Method::GET, true, origin_header);
            if origin == Origin::Foreign || asked != Ok(Asked::Handshake(Transport::WebSocket)) {
                return None;
            }
            query
        }
    };
    let mut response = upgrade::accept(request).ok()?;
    origin.write(response.headers_mut());
    let visitor = match route.service {
        Service::WebSocketEcho => Visitor::at(caller.ip),
        _ => Visitor::of(&core.process, listening, caller.ip, headers).ok()?,
    };
    let entry = engine::entry(visitor, route, headers, query);
    Some(Opened { entry, head: switching_protocols(&response, wall) })
}

/// Whether a handshake brings anything along.
pub(crate) fn has_body(headers: &HeaderMap) -> bool {
    headers.get_all(header::CONTENT_LENGTH).iter().any(|length| length != "0")
}

/// The head of a plain request.
pub(crate) struct Head {
    pub request: Request<()>,
    /// Bytes it had.
    pub bytes: usize,
}

impl Head {
    /// A whole GET or POST whose body, if any, has a length that is said beforehand.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Head> {
        let mut parsed = [httparse::EMPTY_HEADER; FAST_HEADERS_MAX];
        let mut head = httparse::Request::new(&mut parsed);
        let Ok(httparse::Status::Complete(count)) = head.parse(bytes) else { return None };
        let target = head.path.filter(|target| target.starts_with('/') && target.len() <= REQUEST_LINE_BYTES_MAX)?;
        if count > HEADERS_BYTES_MAX || head.version != Some(1) {
            return None;
        }
        let mut request = Request::new(());
        *request.method_mut() = match head.method? {
            "GET" => Method::GET,
            "POST" => Method::POST,
            _ => return None,
        };
        *request.uri_mut() = Uri::try_from(target).ok()?;
        let mut headers = HeaderMap::with_capacity(head.headers.len());
        for field in head.headers.iter() {
            let name = HeaderName::from_bytes(field.name.as_bytes()).ok()?;
            headers.append(name, HeaderValue::from_bytes(field.value).ok()?);
        }
        let is_plain = !headers.contains_key(header::TRANSFER_ENCODING)
            && !headers.contains_key(header::EXPECT)
            && host_fault(Version::HTTP_11, &headers).is_none();
        *request.headers_mut() = headers;
        is_plain.then_some(Head { request, bytes: count })
    }

    /// The engine path it is for.
    pub(crate) fn route<'a>(&self, core: &Core, listening: &'a Listening) -> Option<&'a Route> {
        let path = self.request.uri().path();
        listening.route(path).filter(|route| !(core.process.is_client_file)(path, &route.path))
    }
}

/// The bytes of a 101, as hyper writes them.
pub(crate) fn switching_protocols<B>(response: &Response<B>, wall: WallMillis) -> Vec<u8> {
    let mut head = Vec::with_capacity(HEAD_BYTES);
    head.extend_from_slice(b"HTTP/1.1 101 Switching Protocols\r\n");
    write_fields(&mut head, response.headers());
    write_date(&mut head, wall);
    head
}

/// Appends the lines of some headers.
pub(crate) fn write_fields(out: &mut Vec<u8>, headers: &HeaderMap) {
    for (name, value) in headers {
        out.extend_from_slice(name.as_str().as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(value.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
}

/// Appends the date, the last line of a head, and the end of it.
pub(crate) fn write_date(out: &mut Vec<u8>, wall: WallMillis) {
    thread_local! {
        /// What is written for a whole second.
        static LAST: RefCell<(u64, String)> = RefCell::default();
    }
    LAST.with_borrow_mut(|(second, line)| {
        if *second != wall.as_secs() || line.is_empty() {
            *second = wall.as_secs();
            *line = format!("date: {}\r\n\r\n", HttpDate::from(UNIX_EPOCH + Duration::from_secs(*second)));
        }
        out.extend_from_slice(line.as_bytes());
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: &str = "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: a\r\nUpgrade: WebSocket\r\n\
        Connection: keep-alive, Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

    #[test]
    fn only_a_whole_and_plain_head_is_for_here() {
        let plain = format!("{PLAIN}\r\n");
        let Head { request, bytes } = Head::parse(format!("{plain}early").as_bytes()).unwrap();
        assert_eq!((bytes, request.headers().len()), (plain.len(), 5));
        assert_eq!(request.uri().query(), Some("EIO=4&transport=websocket"));
        for (what, head) in [
            ("a piece", PLAIN.to_owned()),
            ("another method", plain.replacen("GET", "PUT", 1)),
            ("an old version", plain.replacen("HTTP/1.1", "HTTP/1.0", 1)),
            ("a whole address", plain.replacen("GET /", "GET http://a/", 1)),
            ("chunks", format!("{PLAIN}Transfer-Encoding: chunked\r\n\r\n")),
            ("an expectation", format!("{PLAIN}Expect: 100-continue\r\n\r\n")),
            ("no host", plain.replacen("Host: a\r\n", "", 1)),
            ("two hosts", plain.replacen("Host: a\r\n", "Host: a\r\nHost: a\r\n", 1)),
            ("many headers", format!("{PLAIN}{}\r\n", "X: y\r\n".repeat(FAST_HEADERS_MAX))),
            ("a long head", format!("{PLAIN}X: {}\r\n\r\n", "y".repeat(HEADERS_BYTES_MAX))),
            ("a long target", plain.replacen("EIO", &"y".repeat(REQUEST_LINE_BYTES_MAX), 1)),
        ] {
            assert!(Head::parse(head.as_bytes()).is_none(), "{what}");
        }
    }

    #[test]
    fn a_101_has_the_form_that_hyper_gives_it() {
        let Head { request, .. } = Head::parse(format!("{PLAIN}\r\n").as_bytes()).unwrap();
        let head = switching_protocols(&upgrade::accept(&request).unwrap(), WallMillis(1_784_000_000_999));
        let expected = "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\n\
            sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\ndate: Tue, 14 Jul 2026 03:33:20 GMT\r\n\r\n";
        assert_eq!(String::from_utf8(head).unwrap(), expected);
    }
}
