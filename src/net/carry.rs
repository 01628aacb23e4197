//! HTTP on one TCP connection, by the rules that hold on every listener: how long a head may take and a connection may rest,
//! how large a head may be, what a request must say. What it is answered is the caller's.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use hyper::body::Incoming;
use hyper::header::{self, HeaderMap};
use hyper::http::uri::Authority;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, Version};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::Notify;

use super::head;
use super::respond::{self, Body};
use crate::base::limit::{HEAD_TIMEOUT_MS, HEADERS_BYTES_MAX, HEADERS_MAX, REQUEST_LINE_BYTES_MAX};

/// Serves requests until the connection has ended, or the answer to one of them was a 101. Of its first request `early` has
/// been read, the head of which has to be complete at `first`. A request carries along, among its extensions, an `Arc<Notify>`
/// that ends the connection: the asker of a stream that does not read cannot be told anything. Returns the stream, with everything written, and what was read
/// beyond the last request; `None`: the peer has ended too, or was out of time and has been told nothing.
pub(crate) async fn carry<A, F>(
    stream: TcpStream,
    early: Bytes,
    first: Instant,
    answer: A,
) -> Option<(TcpStream, Bytes)>
where
    A: Fn(Request<Incoming>) -> F,
    F: Future<Output = Response<Body>>,
{
    // hyper tries once to write why it refuses a head: the runtime has to know by then that the stream takes bytes.
    stream.writable().await.ok()?;
    let (stream, timer) = head::heard(stream, early, first);
    let (answer, cut) = (&answer, Arc::<Notify>::default());
    let service = service_fn(|mut request: Request<Incoming>| {
        request.extensions_mut().insert(cut.clone());
        Box::pin(async move {
            Ok::<_, Infallible>(match fault_of(&request) {
                Some(refusal) => refusal,
                None => answer(request).await,
            })
        })
    });
    let mut connection = http1::Builder::new()
        .timer(timer)
        .header_read_timeout(Duration::from_millis(HEAD_TIMEOUT_MS))
        .max_buf_size(HEADERS_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        .serve_connection(TokioIo::new(stream), service);
    let served = tokio::select! {
        served = poll_fn(|cx| connection.poll_without_shutdown(cx)) => served,
        () = cut.notified() => return None,
    };
    let parts = connection.into_parts();
    let heard = parts.io.into_inner();
    if heard.has_ended() || served.is_err_and(|error| error.is_timeout()) {
        return None;
    }
    let (stream, unread) = heard.into_parts();
    let early = match (parts.read_buf, unread) {
        (early, unread) if unread.is_empty() => early,
        (early, unread) => [early, unread].concat().into(),
    };
    Some((stream, early))
}

/// What is wrong with a request before anybody looks at what it asks for.
fn fault_of(request: &Request<Incoming>) -> Option<Response<Body>> {
    if request.uri().path_and_query().is_some_and(|target| target.as_str().len() > REQUEST_LINE_BYTES_MAX) {
        return Some(respond::sentence(414, "The request line is too long"));
    }
    let fault = host_fault(request.version(), request.headers())?;
    Some(respond::sentence(400, fault))
}

/// The host of a request is said once, and in HTTP/1.1 always (RFC 9112 section 3.2).
pub(crate) fn host_fault(version: Version, headers: &HeaderMap) -> Option<&'static str> {
    let mut hosts = headers.get_all(header::HOST).iter();
    match (hosts.next(), hosts.next()) {
        (None, _) => (version == Version::HTTP_11).then_some("A request of HTTP/1.1 has a Host header"),
        (Some(_), Some(_)) => Some("There is more than one Host header"),
        (Some(host), None) => {
            let authority = Authority::try_from(host.as_bytes());
            let is_host = host.is_empty() || authority.is_ok_and(|host| !host.as_str().contains('@'));
            (!is_host).then_some("The Host header is no host")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::HeaderValue;

    #[test]
    fn a_host_is_said_once_and_in_http_1_1_always() {
        for (version, hosts, is_good) in [
            (Version::HTTP_11, &["siod.example"][..], true),
            (Version::HTTP_11, &["my_service:3000"], true),
            (Version::HTTP_11, &["[::1]:3000"], true),
            (Version::HTTP_11, &["127.0.0.1"], true),
            (Version::HTTP_11, &[""], true),
            (Version::HTTP_11, &[], false),
            (Version::HTTP_11, &["a", "a"], false),
            (Version::HTTP_11, &["a, b"], false),
            (Version::HTTP_11, &["a b"], false),
            (Version::HTTP_11, &["a/b"], false),
            (Version::HTTP_11, &["a@b"], false),
            (Version::HTTP_10, &[], true),
            (Version::HTTP_10, &["a"], true),
            (Version::HTTP_10, &["a", "b"], false),
        ] {
            let mut headers = HeaderMap::new();
            for host in hosts {
                headers.append(header::HOST, HeaderValue::from_static(host));
            }
            assert_eq!(host_fault(version, &headers).is_none(), is_good, "{version:?} {hosts:?}");
        }
    }
}
