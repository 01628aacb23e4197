//! An engine request: judged in the order of PROTOCOL 1, asked of the shard that owns its session, answered.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::header::{self, HeaderMap};
use hyper::{Method, Request, Response};

use super::connection::{Connection, Purpose};
use super::core::{Held, Route};
use super::cors::Origin;
use super::mailbox::{Arrival, Entry, Message};
use super::moving::{self, Moving, Way};
use super::respond::{self, Body};
use super::upgrade;
use super::visitor::Visitor;
use crate::app::event::Handshake;
use crate::base::ids::Sid;
use crate::base::limit::{BODY_BYTES_PER_S_MIN, BODY_TIMEOUT_MS, USER_AGENT_BYTES_MAX};
use crate::engine::open::{self, Asked, EngineError, EngineQuery, Transport};
use crate::engine::polling::Reply;
use crate::shard::io::{Hello, Input, Posted, Service};

/// Answers one request to an engine path.
pub(crate) async fn serve(connection: &Connection, route: &Route, request: Request<Incoming>) -> Response<Body> {
    let origin = connection.listening().judge(connection.ip, request.headers());
    if let Some(answer) = respond::preflight(&origin, &request) {
        return answer;
    }
    let mut response = route_request(connection, route, request, &origin).await;
    origin.write(response.headers_mut());
    response
}

async fn route_request(
    connection: &Connection,
    route: &Route,
    request: Request<Incoming>,
    origin: &Origin,
) -> Response<Body> {
    let wants_upgrade = upgrade::is_asked(request.headers());
    if route.service == Service::WebSocketEcho {
        return open_websocket(
            connection,
            &request,
            Arrival::Session(entry(Visitor::at(connection.ip), route, request.headers(), EngineQuery::default())),
        );
    }
    let query = EngineQuery::parse(request.uri().query().unwrap_or(""));
    let origin_header = request.headers().get(header::ORIGIN).map(|value| value.as_bytes());
    let asked = match open::verify(&query, request.method() == Method::GET, wants_upgrade, origin_header) {
        Ok(_) if *origin == Origin::Foreign => Err(EngineError::Forbidden),
        verified => verified,
    };
    match asked {
        Err(error) if wants_upgrade => refused(connection, error, respond::upgrade_refused(error)),
        Err(error) => refused(connection, error, respond::polling(Reply::Error(error))),
        Ok(Asked::Handshake(transport)) => {
            let process = &connection.core.process;
            let visitor = Visitor::of(process, connection.listening(), connection.ip, request.headers());
            match visitor.map(|visitor| entry(visitor, route, request.headers(), query)) {
                Err(refused) => refused.answer(process),
                Ok(entry) if transport == Transport::WebSocket => {
                    open_websocket(connection, &request, Arrival::Session(entry))
                }
                Ok(entry) => handshake(connection, entry).await,
            }
        }
        Ok(Asked::Session { sid, transport: Transport::WebSocket }) => {
            upgrade_session(connection, &request, sid, query.b64).await
        }
        Ok(Asked::Session { sid, .. }) => poll(connection, route, request, sid).await,
    }
}

/// Counts a refusal that no shard has seen.
fn refused(connection: &Connection, error: EngineError, response: Response<Body>) -> Response<Body> {
    connection.core.process.refusals.count(error);
    response
}

async fn handshake(connection: &Connection, entry: Entry) -> Response<Body> {
    let core = &connection.core;
    let mut held = Held::new(core, None);
    core.send(core.id, Message::Request(Input::Handshake { req: held.req, hello: entry.enter() }));
    answer(held.answer().await)
}

/// GET, POST or anything else on a session.
async fn poll(connection: &Connection, route: &Route, request: Request<Incoming>, sid: Sid) -> Response<Body> {
    let core = &connection.core;
    let owner = core.owner(&sid);
    let mut held = Held::new(core, Some(sid));
    let req = held.req;
    match *request.method() {
        Method::GET => {
            core.send(owner, Message::Request(Input::Poll { req, sid }));
            let Some(reply) = held.answer().await else { return respond::empty(503) };
            return moving::answer(reply, Moving::new(core, sid, Way::Out));
        }
        Method::POST => {
            let acceptable = is_acceptable(request.headers());
            core.send(owner, Message::Request(Input::PostOpened { req, sid, acceptable }));
            if acceptable {
                let max = core.process.shard_config.engines[usize::from(route.engine.0)].max_payload_bytes;
                let body = match read_body(request, max, &mut held, Moving::new(core, sid, Way::In)).await {
                    Ok(body) => body,
                    Err(early) => return respond::closing(early),
                };
                let too_large = matches!(body, Posted::TooLarge);
                core.send(owner, Message::Request(Input::PostBody { req, sid, body }));
                let response = answer(held.answer().await);
                // The rest of the body is still on its way: nothing after it may be read as a request (B85).
                return if too_large { respond::closing(response) } else { response };
            }
            return respond::closing(answer(held.answer().await));
        }
        _ => core.send(owner, Message::Request(Input::WrongMethod { req, sid })),
    }
    answer(held.answer().await)
}

/// A v4 client posts text as it is: no octet streams, nothing compressed. `identity` says that nothing is.
pub(crate) fn is_acceptable(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).map_or(&b""[..], |value| value.as_bytes());
    let mut codings = headers.get_all(header::CONTENT_ENCODING).iter();
    let is_plain = codings.all(|coding| coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"identity"));
    !kind.starts_with(b"application/octet-stream") && is_plain
}

/// The whole body within its limit and its time, unless the shard refuses the request meanwhile.
async fn read_body(
    request: Request<Incoming>,
    max: usize,
    held: &mut Held<'_>,
    mut moving: Moving,
) -> Result<Posted, Response<Body>> {
    let declared =
        request.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if declared.is_some_and(|length| length > max) {
        return Ok(Posted::TooLarge);
    }
    let mut body = request.into_body();
    let begun = tokio::time::Instant::now();
    let mut whole = Vec::new();
    loop {
        let for_bytes_ms = whole.len() as u64 * 1_000 / BODY_BYTES_PER_S_MIN;
        let deadline = begun + Duration::from_millis(BODY_TIMEOUT_MS + for_bytes_ms);
        let frame = tokio::select! {
            frame = body.frame() => frame,
            reply = held.answer() => return Err(answer(reply)),
            () = tokio::time::sleep_until(deadline) => return Err(respond::sentence(408, "The body took too long")),
        };
        let frame = match frame {
            None => break,
            Some(Err(_)) => return Err(respond::empty(400)),
            Some(Ok(frame)) => frame,
        };
        let Ok(data) = frame.into_data() else { continue };
        if whole.len() + data.len() > max {
            return Ok(Posted::TooLarge);
        }
        whole.extend_from_slice(&data);
        moving.on_bytes();
    }
    Ok(Posted::Body(Bytes::from(whole)))
}

/// Asks the owner before the 101, then sends the stream there.
async fn upgrade_session<B>(connection: &Connection, request: &Request<B>, sid: Sid, base64: bool) -> Response<Body> {
    let core = &connection.core;
    let mut held = Held::new(core, None);
    core.send(core.owner(&sid), Message::Request(Input::UpgradeAsked { req: held.req, sid }));
    match held.answer().await {
        Some(Reply::SwitchProtocols) => open_websocket(connection, request, Arrival::Upgrade { sid, base64 }),
        Some(Reply::Error(error)) => respond::upgrade_refused(error),
        _ => respond::empty(503),
    }
}

/// The 101; what the stream is for is left with the connection, which sends it on its way.
fn open_websocket<B>(connection: &Connection, request: &Request<B>, purpose: Arrival) -> Response<Body> {
    match upgrade::accept(request) {
        Ok(response) => {
            connection.upgrade_to(Purpose::Engine(purpose));
            response
        }
        Err(refusal) => *refusal,
    }
}

fn answer(reply: Option<Reply>) -> Response<Body> {
    reply.map_or_else(|| respond::empty(503), respond::polling)
}

/// What is kept of the request by which `visitor` opens a session.
pub(crate) fn entry(visitor: Visitor, route: &Route, headers: &HeaderMap, query: EngineQuery) -> Entry {
    let text = |name: header::HeaderName, max: usize| {
        let value = headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("");
        value[..value.len().min(max)].to_owned()
    };
    let authorization = text(header::AUTHORIZATION, crate::base::limit::TOKEN_BYTES_MAX + "Bearer ".len());
    let user_agent = text(header::USER_AGENT, USER_AGENT_BYTES_MAX);
    let origin = text(header::ORIGIN, crate::base::limit::NAME_BYTES_MAX);
    let mut handshake = Handshake::with_origin(visitor.ip, &query.rest, &user_agent, &authorization, &origin);
    handshake.holds_place = visitor.place.is_some();
    let hello = Hello {
        listener: route.engine,
        service: route.service,
        handshake: Arc::new(handshake),
        base64: query.b64,
        jsonp: query.jsonp.map(String::into_boxed_str),
    };
    Entry { hello, place: visitor.place }
}
