//! A WebSocket handshake of a new session, answered from the bytes it came in. Only what is complete and plain is answered
//! here, by the same rules and with the same bytes as by [`super::engine`]; anything else is hyper's: an upgrade of a
//! session, a head in pieces, a body, a refusal.

use std::io::Write;
use std::time::{Duration, UNIX_EPOCH};

use httpdate::HttpDate;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::{Request, Response, Uri, header};

use super::arrivals::Newcomer;
use super::core::Core;
use super::cors::Origin;
use super::{engine, upgrade};
use crate::base::limit::{HEADERS_BYTES_MAX, REQUEST_LINE_BYTES_MAX};
use crate::base::time::WallMillis;
use crate::engine::open::{self, Asked, EngineQuery, Transport};
use crate::shard::io::{Hello, Service};

/// Headers of a plain handshake; a browser sends about fifteen.
const QUICK_HEADERS_MAX: usize = 32;
/// Bytes of a 101, about.
const HEAD_BYTES: usize = 256;

/// A handshake that has been agreed to.
pub struct Opened {
    pub hello: Hello,
    /// The 101.
    pub head: Vec<u8>,
    /// Bytes the request had; what follows is the WebSocket's.
    pub head_bytes: usize,
}

/// Agrees to the handshake in `bytes`. `None`: it is none, or there is something about it that is not for here.
pub fn open(core: &Core, newcomer: &Newcomer, bytes: &[u8], wall: WallMillis) -> Option<Opened> {
    let (request, head_bytes) = parse(bytes)?;
    let listening = &core.process.listeners[newcomer.listener];
    let path = request.uri().path();
    let route = listening.route(path).filter(|route| !(core.process.is_client_file)(path, &route.path))?;
    let origin = listening.origins.judge(request.headers());
    let query = match route.service {
        Service::WebSocketEcho => EngineQuery::default(),
        _ => {
            let query = EngineQuery::parse(request.uri().query().unwrap_or(""));
            let origin_header = request.headers().get(header::ORIGIN).map(HeaderValue::as_bytes);
            let asked = open::verify(&query, true, true, origin_header);
            if origin == Origin::Foreign || asked != Ok(Asked::Handshake(Transport::WebSocket)) {
                return None;
            }
            query
        }
    };
    let mut response = upgrade::accept(&request).ok()?;
    origin.write(response.headers_mut());
    let hello = engine::hello(newcomer.ip, route, request.headers(), query);
    Some(Opened { hello, head: switching_protocols(&response, wall), head_bytes })
}

/// A whole GET that asks for a WebSocket and brings no body, and the length of its head.
fn parse(bytes: &[u8]) -> Option<(Request<()>, usize)> {
    let mut parsed = [httparse::EMPTY_HEADER; QUICK_HEADERS_MAX];
    let mut head = httparse::Request::new(&mut parsed);
    let Ok(httparse::Status::Complete(head_bytes)) = head.parse(bytes) else { return None };
    let target = head.path.filter(|target| target.starts_with('/') && target.len() <= REQUEST_LINE_BYTES_MAX)?;
    if head_bytes > HEADERS_BYTES_MAX || head.method != Some("GET") || head.version != Some(1) {
        return None;
    }
    let mut request = Request::new(());
    *request.uri_mut() = Uri::try_from(target).ok()?;
    let mut headers = HeaderMap::with_capacity(head.headers.len());
    for field in head.headers.iter() {
        let name = HeaderName::from_bytes(field.name.as_bytes()).ok()?;
        headers.append(name, HeaderValue::from_bytes(field.value).ok()?);
    }
    let has_body = [header::CONTENT_LENGTH, header::TRANSFER_ENCODING, header::EXPECT];
    let is_plain = upgrade::is_asked(&headers) && !has_body.iter().any(|name| headers.contains_key(name));
    *request.headers_mut() = headers;
    is_plain.then_some((request, head_bytes))
}

/// The bytes of a 101, as hyper writes them.
fn switching_protocols<B>(response: &Response<B>, wall: WallMillis) -> Vec<u8> {
    let mut head = Vec::with_capacity(HEAD_BYTES);
    head.extend_from_slice(b"HTTP/1.1 101 Switching Protocols\r\n");
    for (name, value) in response.headers() {
        head.extend_from_slice(name.as_str().as_bytes());
        head.extend_from_slice(b": ");
        head.extend_from_slice(value.as_bytes());
        head.extend_from_slice(b"\r\n");
    }
    let date = HttpDate::from(UNIX_EPOCH + Duration::from_secs(wall.as_secs()));
    // A vector takes everything.
    let _ = write!(head, "date: {date}\r\n\r\n");
    head
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: &str = "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: a\r\nUpgrade: WebSocket\r\n\
        Connection: keep-alive, Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

    #[test]
    fn only_a_whole_and_plain_handshake_is_for_here() {
        let plain = format!("{PLAIN}\r\n");
        let (request, length) = parse(format!("{plain}early").as_bytes()).unwrap();
        assert_eq!((length, request.headers().len()), (plain.len(), 5));
        assert_eq!(request.uri().query(), Some("EIO=4&transport=websocket"));
        for (what, head) in [
            ("a piece", PLAIN.to_owned()),
            ("a POST", plain.replacen("GET", "POST", 1)),
            ("an old version", plain.replacen("HTTP/1.1", "HTTP/1.0", 1)),
            ("a whole address", plain.replacen("GET /", "GET http://a/", 1)),
            ("no upgrade", plain.replacen("Upgrade: WebSocket", "X: y", 1)),
            ("a body", format!("{PLAIN}Content-Length: 1\r\n\r\nx")),
            ("an empty body", format!("{PLAIN}Content-Length: 0\r\n\r\n")),
            ("chunks", format!("{PLAIN}Transfer-Encoding: chunked\r\n\r\n")),
            ("an expectation", format!("{PLAIN}Expect: 100-continue\r\n\r\n")),
            ("many headers", format!("{PLAIN}{}\r\n", "X: y\r\n".repeat(QUICK_HEADERS_MAX))),
            ("a long head", format!("{PLAIN}X: {}\r\n\r\n", "y".repeat(HEADERS_BYTES_MAX))),
            ("a long target", plain.replacen("EIO", &"y".repeat(REQUEST_LINE_BYTES_MAX), 1)),
        ] {
            assert!(parse(head.as_bytes()).is_none(), "{what}");
        }
    }

    #[test]
    fn a_101_has_the_form_that_hyper_gives_it() {
        let (request, _) = parse(format!("{PLAIN}\r\n").as_bytes()).unwrap();
        let head = switching_protocols(&upgrade::accept(&request).unwrap(), WallMillis(1_784_000_000_999));
        let expected = "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\n\
            sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\ndate: Tue, 14 Jul 2026 03:33:20 GMT\r\n\r\n";
        assert_eq!(String::from_utf8(head).unwrap(), expected);
    }
}
