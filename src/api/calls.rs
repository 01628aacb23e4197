//! Requests for the routes of applications: judged by their rows, handed to their homes, and answered by what comes back.
//! No application is known here.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::request::Parts;
use axum::http::uri::{Authority, PathAndQuery};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout, timeout_at};

use super::answer::{self, TOO_LARGE, refuse};
use super::routes::{Found, Owned, Routes};
use super::{Api, reply, shell, upload};
use crate::app::identity::Identity;
use crate::app::reply::{Answer, Content, Reply};
use crate::app::route::shell::{Given, Speakable};
use crate::app::route::{Body, Call, Place, Refused, Who};
use crate::app::{AuthFailure, Home};
use crate::base::ids::ListenerId;
use crate::base::limit::{CALL_HOMES_MAX, NAME_BYTES_MAX, TOKEN_BYTES_MAX, USER_AGENT_BYTES_MAX};
use crate::base::percent;

/// Answers what is for an application; everything else goes on.
pub(super) async fn answer(State((api, routes)): State<(Api, Arc<Routes>)>, request: Request, next: Next) -> Response {
    match routes.find(request.method(), request.uri().path()) {
        Found::Route(owned, values) => serve(&api, owned, values, request).await,
        Found::WrongMethod { http, allow } => {
            let mut response = refuse(http, &Refused::WRONG_METHOD);
            let allow = HeaderValue::try_from(allow).expect("names of methods are text");
            response.headers_mut().insert(header::ALLOW, allow);
            response
        }
        Found::Link(http) => {
            let mut response = refuse(http, &NO_UPGRADE);
            response.headers_mut().insert(header::UPGRADE, HeaderValue::from_static("websocket"));
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
            response
        }
        Found::Nothing(http) => refuse(http, &Refused::NOT_FOUND),
        Found::Elsewhere => next.run(request).await,
    }
}

async fn serve(api: &Api, owned: Owned, values: Vec<String>, request: Request) -> Response {
    let http = &owned.row.http;
    let (parts, body) = request.into_parts();
    let ip = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|peer| peer.0.ip());
    let cut = parts.extensions.get::<Arc<Notify>>().cloned().unwrap_or_default();
    let mut call = Call {
        values,
        query: parts.uri.query().unwrap_or("").to_owned(),
        target: parts.uri.path_and_query().map_or("/", PathAndQuery::as_str).to_owned(),
        host: host(&parts).to_owned(),
        chosen: api.settings.of(owned.row.name),
        user_agent: user_agent(&parts.headers),
        dialect: dialect(api, owned.row.name, parts.extensions.get()),
        ..Call::of(owned.route, ip.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)))
    };
    let judged = match identified(api, &mut call, &parts.headers) {
        Ok(()) => {
            if let Body::Upload { bytes_max } = owned.route.body {
                return upload::serve(api, owned, call, bytes_max, &parts, body, cut).await;
            }
            with_body(api, &mut call, &parts.headers, body).await
        }
        Err(refused) => Err(refused),
    };
    if let (Ok(()), Some(shell)) = (&judged, owned.route.shell) {
        if shell.speaks() && parts.extensions.get::<Speakable>().is_some() {
            return shell::speech(api, owned, shell, call);
        }
        let given = shell::answer(api, owned, shell, call).await.unwrap_or_else(Given::Refused);
        return answer::give(api, http, given, &parts).await;
    }
    match judged.and_then(|()| (owned.route.home)(&call)) {
        Ok(Place::At(home)) => at(api, owned, Call { home, ..call }, &parts, cut).await,
        Ok(Place::Each(homes)) => each(api, owned, &call, homes).await,
        Err(refused) => refuse(http, &refused),
    }
}

/// What the asker calls us: by `Host`, or as HTTP/2 says it.
fn host(parts: &Parts) -> &str {
    let named = parts.headers.get(header::HOST).and_then(|host| host.to_str().ok());
    named
        .or_else(|| parts.uri.authority().map(Authority::as_str))
        .filter(|host| host.len() <= NAME_BYTES_MAX)
        .unwrap_or("")
}

/// What is spoken to an application on the listener of a request.
fn dialect(api: &Api, app: &str, listener: Option<&ListenerId>) -> Option<&'static str> {
    let (owner, dialect) = (*api.settings.dialects.get(usize::from(listener?.0))?)?;
    (owner == app).then_some(dialect)
}

/// Finds out whom the request's token stands for, where the route wants to know.
fn identified(api: &Api, call: &mut Call, headers: &HeaderMap) -> Result<(), Refused> {
    call.identity = match call.route.who {
        Who::Anybody => None,
        Who::Token { in_query } => Some(of_token(api, in_query, headers, &call.query)?),
        Who::Session { cookie } => {
            let cookie = cookie(call);
            of_session(api, call, headers, cookie)
        }
    };
    Ok(())
}

fn of_token(api: &Api, in_query: bool, headers: &HeaderMap, query: &str) -> Result<Arc<Identity>, Refused> {
    let by_query = || in_query.then(|| percent::value(query, "token")).flatten();
    let token = reply::bearer(headers).map(str::to_owned).or_else(by_query).unwrap_or_default();
    if token.is_empty() || token.len() > TOKEN_BYTES_MAX {
        return Err(if in_query { Refused::NO_TOKEN_OR_QUERY } else { Refused::NO_TOKEN });
    }
    api.backend.verify(&token).map_err(|failure| match failure {
        AuthFailure::Expired => Refused::ENDED_TOKEN,
        AuthFailure::Missing | AuthFailure::Invalid => Refused::BAD_TOKEN,
    })
}

/// Whom the first token that came stands for; a bad one is not mended by a good one further on.
fn of_session(api: &Api, call: &mut Call, headers: &HeaderMap, cookie: Option<String>) -> Option<Arc<Identity>> {
    let origin = headers.get(header::ORIGIN).and_then(|origin| origin.to_str().ok()).unwrap_or("");
    call.origin = origin.chars().take(NAME_BYTES_MAX).collect();
    let said = reply::bearer(headers).map(str::to_owned).or_else(|| percent::value(&call.query, "token"));
    let token = said.filter(|token| !token.is_empty()).or_else(|| {
        let token = reply::cookie(headers, &cookie?)?;
        call.by_cookie = true;
        Some(token)
    });
    api.backend.verify(&token.unwrap_or_default()).ok()
}

/// Reads the body as the route wants it, within its bound and its time.
async fn with_body(api: &Api, call: &mut Call, headers: &HeaderMap, body: axum::body::Body) -> Result<(), Refused> {
    let bytes_max = match call.route.body {
        Body::None | Body::Upload { .. } => return Ok(()),
        Body::Json { bytes_max } if is_json(headers) => bytes_max,
        Body::Json { .. } => return Err(NOT_OF_JSON),
        Body::Raw { bytes_max, headers: chosen } => {
            let value = |name: &&'static str| {
                let value = headers.get_all(*name).iter().next_back()?;
                Some((*name, Bytes::copy_from_slice(value.as_bytes())))
            };
            call.headers = chosen.iter().filter_map(value).collect();
            bytes_max
        }
    };
    if reply::length(headers).is_some_and(|length| length > bytes_max as u64) {
        return Err(TOO_LARGE);
    }
    let whole = Limited::new(body, bytes_max).collect();
    let whole = timeout(api.settings.body_timeout, whole).await.map_err(|_| TOO_SLOW)?;
    call.body = match whole {
        Ok(whole) => whole.to_bytes(),
        Err(error) if error.is::<LengthLimitError>() => return Err(TOO_LARGE),
        Err(_) => return Err(BROKEN),
    };
    let is_json = matches!(call.route.body, Body::Json { .. });
    if is_json && serde_json::from_slice::<serde::de::IgnoredAny>(&call.body).is_err() {
        return Err(NO_JSON);
    }
    Ok(())
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or("");
    let kind = kind.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    kind == "application/json" || (kind.starts_with("application/") && kind.ends_with("+json"))
}

fn user_agent(headers: &HeaderMap) -> String {
    let text = headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or("");
    text.chars().take(USER_AGENT_BYTES_MAX).collect()
}

async fn at(api: &Api, owned: Owned, call: Call, asked: &Parts, cut: Arc<Notify>) -> Response {
    let mut answers = api.backend.call(owned.row.name, call, cut);
    let first = answer::next(api, &mut *answers).await;
    answer::respond(api, &owned.row.http, first, answers, asked).await
}

/// Asks several homes at once. All have the same deadline, and whoever misses it is named.
async fn each(api: &Api, owned: Owned, call: &Call, mut homes: Vec<Home>) -> Response {
    homes.sort_unstable();
    homes.dedup();
    if homes.len() > CALL_HOMES_MAX {
        return refuse(&owned.row.http, &TOO_MANY_HOMES);
    }
    let deadline = Instant::now() + api.settings.call_timeout;
    let mut asked = Vec::with_capacity(homes.len());
    for home in homes {
        let answers = api.backend.call(owned.row.name, Call { home: home.clone(), ..call.clone() }, Arc::default());
        asked.push((home, answers));
    }
    let (mut told, mut missing, mut worst) = (serde_json::Map::new(), Vec::new(), 200);
    for (home, mut answers) in asked {
        let name = match home {
            Home::Tenant(name) => name,
            Home::Local => "local".to_owned(),
        };
        match timeout_at(deadline, answer::said(&mut *answers)).await {
            Ok(Some(Answer::Reply(Reply { status, content }))) => {
                worst = worst.max(status);
                let said = if let Content::Json(text) = content { serde_json::from_str(&text).ok() } else { None };
                told.insert(name, said.unwrap_or(Value::Null));
            }
            Ok(_) | Err(_) => {
                worst = worst.max(NOBODY);
                missing.push(name);
            }
        }
    }
    // A refusal of one home is its asker's to read; that one has failed is told to whoever would ask again.
    let failed = StatusCode::from_u16(worst).ok().filter(StatusCode::is_server_error);
    let status = failed.unwrap_or(StatusCode::OK);
    reply::json(status, json!({ "homes": told, "missing": missing }).to_string())
}

const NO_UPGRADE: Refused = Refused::new(426, "UPGRADE_REQUIRED", "a WebSocket is opened here");
/// The status of a home that does not answer.
const NOBODY: u16 = 504;
const NOT_OF_JSON: Refused =
    Refused::new(415, "UNSUPPORTED_MEDIA_TYPE", "this path takes JSON, as Content-Type: application/json");
const NO_JSON: Refused = Refused::new(400, "VALIDATION", "the body is not JSON");
const TOO_SLOW: Refused = Refused::new(408, "TIMEOUT", "the body did not arrive in time");
const BROKEN: Refused = Refused::new(400, "VALIDATION", "the body did not arrive whole");
const TOO_MANY_HOMES: Refused = Refused::new(400, "VALIDATION", "too many are asked at once");

#[cfg(test)]
mod tests;
