//! One HTTP connection, from its first bytes to its end or to its 101. Engine paths are answered here, everything else by the
//! router on the control runtime (DESIGN 4.16).

use std::convert::Infallible;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use axum::extract::ConnectInfo;
use bytes::Bytes;
use http_body_util::Either;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tower::ServiceExt;

use super::connection::Connection;
use super::core::Core;
use super::engine;
use super::guard::Place;
use super::head;
use super::mailbox::{Adopted, Arrival, Message};
use super::respond::{self, Body};
use crate::base::limit::{HEAD_TIMEOUT_MS, HEADERS_BYTES_MAX, HEADERS_MAX, REQUEST_LINE_BYTES_MAX};

/// Serves one TCP connection until it ends or becomes a WebSocket. Of its first request `early` has been read, the head of
/// which has to be complete at `first`.
pub async fn serve(
    core: Rc<Core>,
    listener: usize,
    ip: IpAddr,
    stream: TcpStream,
    place: Place,
    early: Bytes,
    first: Instant,
) {
    // hyper tries once to write why it refuses a head: the runtime has to know by then that the stream takes bytes.
    if stream.writable().await.is_err() {
        return;
    }
    let (stream, timer) = head::heard(stream, early, first);
    let connection = Rc::new(Connection::new(core.clone(), listener, ip));
    let service = {
        let connection = connection.clone();
        service_fn(move |request| {
            let connection = connection.clone();
            Box::pin(async move { Ok::<_, Infallible>(answer(&connection, request).await) })
        })
    };
    let served = http1::Builder::new()
        .timer(timer)
        .header_read_timeout(Duration::from_millis(HEAD_TIMEOUT_MS))
        .max_buf_size(HEADERS_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        .serve_connection(TokioIo::new(stream), service)
        .without_shutdown()
        .await;
    let Ok(parts) = served else { return };
    let Some(purpose) = connection.take_purpose() else { return };
    // A 101 may be refused by a client that has gone; then there is nothing to hand over.
    let (stream, unread) = parts.io.into_inner().into_parts();
    let Ok(stream) = stream.into_std() else { return };
    let early = match (parts.read_buf, unread) {
        (early, unread) if unread.is_empty() => early,
        (early, unread) => [early, unread].concat().into(),
    };
    let owner = match &purpose {
        Arrival::Session(_) => core.id,
        Arrival::Upgrade { sid, .. } => core.owner(sid),
    };
    core.send(owner, Message::Adopt(Box::new(Adopted { stream, place, early, purpose })));
}

async fn answer(connection: &Rc<Connection>, request: Request<Incoming>) -> Response<Body> {
    if let Err(refused) = connection.listening().proxies.check(request.headers()) {
        return respond::sentence(refused.status(), refused.sentence());
    }
    if request.uri().path_and_query().is_some_and(|target| target.as_str().len() > REQUEST_LINE_BYTES_MAX) {
        return respond::sentence(414, "The request line is too long");
    }
    if let Some(route) = connection.listening().route(request.uri().path())
        && !(connection.core.process.is_client_file)(request.uri().path(), &route.path)
    {
        return engine::serve(connection, route, request).await;
    }
    beside(connection, request).await
}

/// Everything beside the engine, on the control runtime.
async fn beside(connection: &Connection, request: Request<Incoming>) -> Response<Body> {
    let process = &connection.core.process;
    let client = match connection.listening().proxies.client(connection.ip, request.headers()) {
        Ok(client) => client,
        Err(refused) => return respond::sentence(refused.status(), refused.sentence()),
    };
    let router = process.router.clone();
    let mut request = request.map(axum::body::Body::new);
    request.extensions_mut().insert(ConnectInfo(std::net::SocketAddr::new(client, 0)));
    match process.control.spawn(router.oneshot(request)).await {
        Ok(Ok(response)) => response.map(Either::Right),
        Ok(Err(never)) => match never {},
        Err(_) => respond::empty(503),
    }
}
