//! The admin listener: its guard, the drain, and what operators ask of signage.
//!
//! Without a token only this machine may ask, and no web page through a browser on it: a request with an `Origin`, or for a host
//! name that is not this machine's, is refused (the page of a stranger, and DNS rebinding). With a token only the token counts.

use std::net::{IpAddr, SocketAddr};

use axum::Router;
use axum::extract::{ConnectInfo, Path, Query, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use axum::routing::{get, post};

use super::backend::Reply;
use super::{Api, reply};
use crate::app::Home;
use crate::app::event::Call;
use crate::apps::signage::call::{Ask, Call as SignageCall};
use crate::base::limit::NAME_BYTES_MAX;
use crate::base::secret::Secret;

pub fn routes() -> Router<Api> {
    Router::new()
        .route("/drain", post(drain))
        .route("/signage/devices", get(devices))
        .route("/signage/devices/{id}/{verb}", post(device))
        .route("/signage/failures", get(failures))
}

/// Failures answered at most, whatever the request says.
const FAILURES_MAX: u32 = 1_000;
/// Failures answered unless the request says otherwise.
const FAILURES_DEFAULT: u32 = 100;

/// Lets a request through or says why not.
pub async fn guard(State(api): State<Api>, request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|peer| peer.0.ip());
    match judge(&api.settings.admin_token, peer, request.headers()) {
        Ok(()) => next.run(request).await,
        Err((status, code, why)) => reply::error(status, code, why),
    }
}

type Refusal = (StatusCode, &'static str, &'static str);

fn judge(token: &Secret, peer: Option<IpAddr>, headers: &HeaderMap) -> Result<(), Refusal> {
    if !token.is_empty() {
        let given = reply::bearer(headers).unwrap_or("");
        return match token.matches(given) {
            true => Ok(()),
            false => Err((
                StatusCode::UNAUTHORIZED,
                "UNAUTHORIZED",
                "this listener wants Authorization: Bearer <admin token>",
            )),
        };
    }
    if !peer.is_some_and(|peer| peer.to_canonical().is_loopback()) {
        return Err((StatusCode::FORBIDDEN, "LOOPBACK_ONLY", "without admin.token only this machine may ask"));
    }
    if headers.contains_key(header::ORIGIN) {
        return Err((StatusCode::FORBIDDEN, "NO_PAGES", "without admin.token no request of a web page is answered"));
    }
    let mut hosts = headers.get_all(header::HOST).iter().map(|host| host.to_str().unwrap_or(""));
    if !hosts.next().is_some_and(names_loopback) || hosts.next().is_some() {
        return Err((StatusCode::FORBIDDEN, "FOREIGN_HOST", "without admin.token the host must be a loopback address"));
    }
    Ok(())
}

/// `127.0.0.1`, `localhost:9464`, `[::1]:9464`, …
fn names_loopback(host: &str) -> bool {
    if host.eq_ignore_ascii_case("localhost") {
        return true;
    }
    let address = host.parse::<SocketAddr>().map(|address| address.ip()).or_else(|_| host.parse());
    let bracketed = || host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'))?.parse().ok();
    if let Some(address) = address.ok().or_else(bracketed) {
        return address.to_canonical().is_loopback();
    }
    host.split_once(':')
        .is_some_and(|(name, port)| name.eq_ignore_ascii_case("localhost") && port.parse::<u16>().is_ok())
}

/// Answers before the drain has ended: it takes as long as it is configured to.
async fn drain(State(api): State<Api>) -> Response {
    api.backend.drain();
    reply::json(StatusCode::ACCEPTED, r#"{"status":"draining"}"#.to_owned())
}

#[derive(serde::Deserialize)]
struct Fleet {
    fleet: Option<String>,
    limit: Option<u32>,
}

async fn devices(State(api): State<Api>, Query(query): Query<Fleet>) -> Response {
    ask(&api, query.fleet, Ask::Devices).await
}

async fn failures(State(api): State<Api>, Query(query): Query<Fleet>) -> Response {
    let limit = query.limit.unwrap_or(FAILURES_DEFAULT).clamp(1, FAILURES_MAX);
    ask(&api, query.fleet, Ask::Failures { limit }).await
}

async fn device(
    State(api): State<Api>,
    Path((device_id, verb)): Path<(String, String)>,
    Query(query): Query<Fleet>,
) -> Response {
    if device_id.len() > NAME_BYTES_MAX {
        return reply::error(StatusCode::BAD_REQUEST, "VALIDATION", "the device id is too long");
    }
    let asked = match verb.as_str() {
        "issue" => Ask::Issue { device_id },
        "authorize" => Ask::Authorize { device_id },
        "revoke" => Ask::Revoke { device_id },
        _ => return reply::not_found().await,
    };
    ask(&api, query.fleet, asked).await
}

async fn ask(api: &Api, fleet: Option<String>, ask: Ask) -> Response {
    let fleet = fleet.filter(|fleet| !fleet.is_empty()).unwrap_or_else(|| "default".to_owned());
    if fleet.len() > NAME_BYTES_MAX {
        return reply::error(StatusCode::BAD_REQUEST, "VALIDATION", "the fleet's name is too long");
    }
    let call = SignageCall { fleet: fleet.clone(), ask };
    match api.backend.call("signage", Home::Tenant(fleet), Call::Signage(call)).await {
        Some(Reply { status, body }) => {
            reply::json(StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), body)
        }
        None => reply::error(StatusCode::GATEWAY_TIMEOUT, "NO_ANSWER", "the application did not answer in time"),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::super::testing::{Fake, admin_request, ask};
    use super::super::{Settings, admin};
    use super::*;

    const LOCAL: &str = "127.0.0.1:40000";

    /// T-32, and T-01 for this port.
    #[tokio::test]
    async fn without_a_token_only_this_machine_may_ask_and_no_page() {
        let host = ("host", "127.0.0.1:9464");
        for (peer, headers, expected) in [
            (LOCAL, vec![host], 200),
            ("[::1]:40000", vec![("host", "[::1]:9464")], 200),
            ("[::ffff:127.0.0.1]:40000", vec![("host", "localhost:9464")], 200),
            ("127.8.9.10:40000", vec![("host", "LOCALHOST")], 200),
            (LOCAL, vec![("host", "[::ffff:127.0.0.1]:9464")], 200),
            ("10.0.0.7:40000", vec![host], 403),
            ("[2001:db8::1]:40000", vec![host], 403),
            (LOCAL, vec![host, ("origin", "http://127.0.0.1:9464")], 403),
            (LOCAL, vec![host, ("origin", "null")], 403),
            (LOCAL, vec![("host", "evil.example")], 403),
            (LOCAL, vec![("host", "localhost.evil.example:9464")], 403),
            (LOCAL, vec![("host", "127.0.0.1.evil.example")], 403),
            (LOCAL, vec![("host", "localhost:evil")], 403),
            (LOCAL, vec![("host", "10.0.0.7:9464")], 403),
            (LOCAL, vec![host, ("host", "evil.example")], 403),
            (LOCAL, vec![("host", "")], 403),
            (LOCAL, vec![], 403),
        ] {
            for (method, path) in [("GET", "/metrics"), ("GET", "/health/ready")] {
                let request = admin_request(method, path, peer, &headers);
                assert_eq!(ask(admin(Fake::default().api()), request).await.status, expected, "{peer} {headers:?}");
            }
        }
    }

    #[tokio::test]
    async fn a_refused_request_has_no_effect() {
        let fake = Fake::default();
        let page = [("host", "127.0.0.1"), ("origin", "https://evil.example")];
        assert_eq!(ask(admin(fake.api()), admin_request("POST", "/drain", LOCAL, &page)).await.status, 403);
        assert_eq!(fake.seen.drains.load(Ordering::SeqCst), 0);
        let good = admin_request("POST", "/drain", LOCAL, &[("host", "127.0.0.1")]);
        assert_eq!(ask(admin(fake.api()), good).await.status, 202);
        assert_eq!(fake.seen.drains.load(Ordering::SeqCst), 1);
        let verb = admin_request("GET", "/drain", LOCAL, &[("host", "127.0.0.1")]);
        assert_eq!(ask(admin(fake.api()), verb).await.status, 405);
    }

    #[tokio::test]
    async fn with_a_token_only_the_token_counts() {
        let settings = Settings { admin_token: Secret::new("correct horse"), ..Settings::default() };
        let fake = Fake { settings, ..Fake::default() };
        for (authorization, expected) in [
            ("Bearer correct horse", 200),
            ("bearer correct horse", 200),
            ("Bearer correct hors", 401),
            ("Bearer correct horsee", 401),
            ("Bearer ", 401),
            ("Basic correct horse", 401),
            ("correct horse", 401),
        ] {
            let headers = [("host", "siod.example"), ("authorization", authorization)];
            let answer = ask(admin(fake.api()), admin_request("GET", "/metrics", "10.0.0.7:1", &headers)).await;
            assert_eq!(answer.status, expected, "{authorization}");
        }
        let bare = admin_request("GET", "/nothing", LOCAL, &[("host", "127.0.0.1")]);
        assert_eq!(ask(admin(fake.api()), bare).await.status, 401, "this machine needs the token as well");
    }

    #[tokio::test]
    async fn signage_routes_ask_the_fleets_home() {
        let reply = Some(Reply { status: 200, body: r#"{"devices":[]}"#.into() });
        for (method, path, fleet, call) in [
            ("GET", "/signage/devices", "default", "Devices"),
            ("GET", "/signage/devices?fleet=acme", "acme", "Devices"),
            ("POST", "/signage/devices/p%201/issue?fleet=", "default", "Issue { device_id: \"p 1\" }"),
            ("POST", "/signage/devices/p1/authorize", "default", "Authorize { device_id: \"p1\" }"),
            ("POST", "/signage/devices/p1/revoke?fleet=acme", "acme", "Revoke { device_id: \"p1\" }"),
            ("GET", "/signage/failures", "default", "Failures { limit: 100 }"),
            ("GET", "/signage/failures?limit=99999", "default", "Failures { limit: 1000 }"),
        ] {
            let fake = Fake { reply: reply.clone(), ..Fake::default() };
            let answer = ask(admin(fake.api()), admin_request(method, path, LOCAL, &[("host", "localhost")])).await;
            assert_eq!((answer.status, answer.text().as_str()), (200, r#"{"devices":[]}"#), "{path}");
            let calls = fake.seen.calls.lock().unwrap();
            assert_eq!(calls[0].0, Home::Tenant(fleet.into()), "{path}");
            assert!(calls[0].1.contains(&format!("fleet: \"{fleet}\"")) && calls[0].1.contains(call), "{}", calls[0].1);
        }
    }

    #[tokio::test]
    async fn answers_of_the_application_keep_their_status_and_silence_is_a_timeout() {
        for (reply, method, path, expected) in [
            (Some((404, "{}")), "POST", "/signage/devices/p1/authorize", 404),
            (Some((409, "{}")), "POST", "/signage/devices/p1/authorize", 409),
            (None, "GET", "/signage/devices", 504),
            (None, "POST", "/signage/devices/p1/explode", 404),
            (None, "GET", "/signage/devices/p1/revoke", 405),
            (None, "GET", "/signage/failures?limit=x", 400),
        ] {
            let reply = reply.map(|(status, body): (u16, &str)| Reply { status, body: body.into() });
            let fake = Fake { reply, ..Fake::default() };
            let answer = ask(admin(fake.api()), admin_request(method, path, LOCAL, &[("host", "localhost")])).await;
            assert_eq!(answer.status, expected, "{method} {path}");
        }
    }
}
