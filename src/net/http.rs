//! One HTTP connection of a core, from its first bytes to its end or to its 101. Engine paths are answered here, everything
//! else by the router on the control runtime (DESIGN 4.16).

use std::net::IpAddr;
use std::rc::Rc;
use std::time::Instant;

use axum::extract::ConnectInfo;
use bytes::Bytes;
use http_body_util::Either;
use hyper::body::Incoming;
use hyper::{Request, Response, header};
use tokio::net::TcpStream;
use tower::ServiceExt;

use super::carry::carry;
use super::connection::{Connection, Purpose};
use super::core::Core;
use super::cors::Origin;
use super::engine;
use super::guard::Place;
use super::mailbox::{Adopted, Arrival, Message};
use super::respond::{self, Body};
use super::{links, shell_socket, upgrade};
use crate::app::route::shell::{Speakable, Speech};
use crate::base::ids::ListenerId;

/// Serves one TCP connection until it ends or becomes a WebSocket, and lets it linger in the first case. Of its first request `early` has been read, the head of
/// which has to be complete at `first`.
pub(crate) async fn serve(
    core: Rc<Core>,
    listener: usize,
    ip: IpAddr,
    stream: TcpStream,
    place: Place,
    early: Bytes,
    first: Instant,
) {
    let connection = Rc::new(Connection::new(core.clone(), listener, ip));
    let carried = carry(stream, early, first, |request| {
        let connection = connection.clone();
        async move { answer(&connection, request).await }
    });
    let Some((stream, early)) = carried.await else { return };
    let Some(purpose) = connection.take_purpose() else { return core.process.lingering.end(stream, place) };
    // A 101 may be refused by a client that has gone; then there is nothing to hand over.
    let Ok(stream) = stream.into_std() else { return };
    let purpose = match purpose {
        Purpose::Engine(purpose) => purpose,
        Purpose::Shell(speech) => {
            let draining = core.process.draining.clone();
            drop(core.process.control.spawn(shell_socket::serve(stream, place, early, speech, draining)));
            return;
        }
    };
    let owner = match &purpose {
        Arrival::Session(_) | Arrival::Link(_) => core.id,
        Arrival::Upgrade { sid, .. } => core.owner(sid),
    };
    core.send(owner, Message::Adopt(Box::new(Adopted { stream, place, early, purpose })));
}

async fn answer(connection: &Rc<Connection>, request: Request<Incoming>) -> Response<Body> {
    if let Err(refused) = connection.listening().proxies.check(request.headers()) {
        return respond::forwarding(refused);
    }
    if let Some(route) = connection.listening().route(request.uri().path())
        && !(connection.core.process.is_client_file)(request.uri().path(), &route.path)
    {
        return engine::serve(connection, route, request).await;
    }
    if upgrade::is_asked(request.headers())
        && let Some(found) = connection.listening().links.find(request.uri().path())
    {
        return links::serve(connection, found, &request).await;
    }
    beside(connection, request).await
}

/// Everything beside the engine, on the control runtime.
async fn beside(connection: &Connection, mut request: Request<Incoming>) -> Response<Body> {
    let process = &connection.core.process;
    let client = match connection.listening().proxies.client(connection.ip, request.headers()) {
        Ok(client) => client,
        Err(refused) => return respond::forwarding(refused),
    };
    // Pages of other origins ask applications as they ask the engine; an OPTIONS that is no preflight is a method like others.
    let origin = connection.listening().judge(connection.ip, request.headers());
    let preflight = request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    if let Some(answer) = respond::preflight(&origin, &request).filter(|_| preflight) {
        return answer;
    }
    request.extensions_mut().insert(ListenerId(connection.listener as u16));
    let switch = speakable(connection, &mut request);
    let answer = route(process.routers[connection.listener].clone(), client, request);
    let mut answer = process.control.spawn(answer).await.unwrap_or_else(|_| respond::empty(503));
    match (answer.extensions_mut().remove::<Speech>(), switch) {
        (Some(speech), Some(Ok(switch))) => {
            connection.upgrade_to(Purpose::Shell(speech));
            switch
        }
        (Some(_), Some(Err(refusal))) => *refusal,
        _ => {
            origin.write(answer.headers_mut());
            answer
        }
    }
}

/// For a request that asks for a WebSocket: the 101, or what it gets instead. A page of an origin that is not let in gets none.
fn speakable(
    connection: &Connection,
    request: &mut Request<Incoming>,
) -> Option<Result<Response<Body>, Box<Response<Body>>>> {
    if !upgrade::is_asked(request.headers()) {
        return None;
    }
    request.extensions_mut().insert(Speakable);
    Some(match connection.listening().judge(connection.ip, request.headers()) {
        Origin::Foreign => Err(Box::new(respond::sentence(403, "This origin is not let in"))),
        _ => upgrade::accept(request),
    })
}

/// What `router` answers a request from `ip`.
pub(crate) fn route(
    router: axum::Router,
    ip: IpAddr,
    request: Request<Incoming>,
) -> impl Future<Output = Response<Body>> + Send + use<> {
    let mut request = request.map(axum::body::Body::new);
    request.extensions_mut().insert(ConnectInfo(std::net::SocketAddr::new(ip, 0)));
    async move {
        match router.oneshot(request).await {
            Ok(response) => response.map(Either::Right),
            Err(never) => match never {},
        }
    }
}
