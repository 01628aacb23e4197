//! The admin listener: its guard and the drain.
//!
//! Without a token only this machine may ask, and no web page through a browser on it: a request with an `Origin`, or for a host
//! name that is not this machine's, is refused (the page of a stranger, and DNS rebinding). With a token only the token counts.

use std::net::{IpAddr, SocketAddr};

use axum::Router;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use axum::routing::post;

use super::{Api, reply};
use crate::base::secret::Secret;

pub(crate) fn routes() -> Router<Api> {
    Router::new().route("/drain", post(drain))
}

/// Lets a request through or says why not.
pub(crate) async fn guard(State(api): State<Api>, request: Request, next: Next) -> Response {
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
}
