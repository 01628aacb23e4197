//! `/signage/snapshots/{id}`: a player's picture, for those who may see the player. The token is the one of the socket, by
//! header or, for an `<img>`, by query. An id is a secret by itself; the token is asked nevertheless.

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::backend::Reply;
use super::{Api, reply};
use crate::app::Home;
use crate::app::event::Call;
use crate::app::identity::Identity;
use crate::app::job::Blob;
use crate::apps::signage::call::{Ask, Call as SignageCall};
use crate::apps::signage::rules::{self, Scope};
use crate::apps::signage::tables::{self, SHELF, Snapshot};
use crate::base::ids::Sid;
use crate::base::limit::TOKEN_BYTES_MAX;

pub fn routes() -> Router<Api> {
    Router::new().route("/signage/snapshots/{id}", get(snapshot))
}

#[derive(serde::Deserialize)]
struct Token {
    token: Option<String>,
}

async fn snapshot(
    State(api): State<Api>,
    Path(id): Path<String>,
    Query(query): Query<Token>,
    headers: HeaderMap,
) -> Response {
    let token = reply::bearer(&headers).or(query.token.as_deref()).unwrap_or("");
    if token.is_empty() || token.len() > TOKEN_BYTES_MAX {
        return unauthorized("a snapshot wants a token, by Authorization: Bearer or ?token=");
    }
    let Ok(identity) = api.backend.verify(token) else { return unauthorized("the token is not valid") };
    let snapshot = match find(&api, id).await {
        Ok(snapshot) => snapshot,
        Err(response) => return response,
    };
    if !may_see(&api, &identity, &snapshot).await {
        return reply::error(StatusCode::FORBIDDEN, "FORBIDDEN", "this snapshot is of another fleet or group");
    }
    match api.backend.blob(SHELF, snapshot.id).await {
        Ok(Some(blob)) => file(&api, blob, &headers).await,
        Ok(None) => missing(),
        Err(_) => unanswered(),
    }
}

fn unauthorized(why: &str) -> Response {
    let mut response = reply::error(StatusCode::UNAUTHORIZED, "UNAUTHORIZED", why);
    response.headers_mut().insert(header::WWW_AUTHENTICATE, header::HeaderValue::from_static("Bearer"));
    response
}

fn missing() -> Response {
    reply::error(StatusCode::NOT_FOUND, "SNAPSHOT_NOT_FOUND", "there is no such snapshot, or no longer")
}

fn unanswered() -> Response {
    reply::error(StatusCode::SERVICE_UNAVAILABLE, "STORE_UNAVAILABLE", "the store does not answer")
}

async fn find(api: &Api, id: String) -> Result<Snapshot, Response> {
    if Sid::parse(&id).is_none() {
        return Err(missing());
    }
    let rows = api.backend.read(vec![tables::snapshot(&id)]).await.rows(0).map_err(|_| unanswered())?;
    rows.into_iter().next().ok_or_else(missing)
}

/// A player sees its own pictures, a person those of the devices it would see as a watcher.
async fn may_see(api: &Api, identity: &Identity, snapshot: &Snapshot) -> bool {
    if rules::fleet_of(identity) != snapshot.fleet {
        return false;
    }
    let Some(role) = rules::role_of(identity) else {
        return identity.device_id() == Some(&*snapshot.device_id);
    };
    match rules::scope_of(role, identity) {
        Scope::All => true,
        Scope::Groups(groups) if groups.is_empty() => false,
        scope => group_of(api, snapshot).await.is_some_and(|group| scope.covers(&group)),
    }
}

/// The group a device is in now: the fleet's home knows.
async fn group_of(api: &Api, snapshot: &Snapshot) -> Option<String> {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Listed {
        device_group: String,
    }
    let ask = Ask::Device { device_id: snapshot.device_id.clone() };
    let call = Call::Signage(SignageCall { fleet: snapshot.fleet.clone(), ask });
    let Reply { status, body } = api.backend.call("signage", Home::Tenant(snapshot.fleet.clone()), call).await?;
    let listed: Listed = serde_json::from_str(&body).ok().filter(|_| status == 200)?;
    Some(listed.device_group)
}

async fn file(api: &Api, blob: Blob, headers: &HeaderMap) -> Response {
    let etag = format!("\"{}\"", blob.sha256);
    let common = [(header::ETAG, etag.clone()), (header::CACHE_CONTROL, "private, max-age=86400".to_owned())];
    let asked = headers.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok()).unwrap_or("");
    if asked.split(',').any(|tag| tag.trim() == etag) {
        return (StatusCode::NOT_MODIFIED, common).into_response();
    }
    // A picture is shown, never run: whatever the player sent, the browser gets a picture type or a download.
    let shown = blob.mime.starts_with("image/") && blob.mime != "image/svg+xml";
    let mime = if shown { blob.mime.clone() } else { "application/octet-stream".to_owned() };
    match api.backend.contents(blob).await {
        Ok(bytes) => {
            let guards = [(header::CONTENT_SECURITY_POLICY, "default-src 'none'; sandbox")];
            (common, guards, [(header::CONTENT_TYPE, mime)], bytes).into_response()
        }
        Err(_) => missing(),
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::Request;
    use bytes::Bytes;

    use super::super::public;
    use super::super::testing::{Fake, ask, identity, public_get};
    use super::*;
    use crate::app::identity::Claims;
    use crate::app::job::Outcome;
    use crate::app::sql::Rows;
    use crate::base::time::WallMillis;

    const ID: &str = "abcdefghijklmnopqrst";

    fn blob(mime: &str) -> Option<Blob> {
        let (shelf, file) = (SHELF.to_owned(), "ab12".to_owned());
        let (mime, sha256) = (mime.to_owned(), file.clone());
        Some(Blob { shelf, id: ID.into(), at: WallMillis(0), mime, bytes: 4, sha256, file })
    }

    /// The row of a picture of `p1`, and the picture.
    fn stored() -> Outcome {
        let columns = ["id", "fleet", "device_id", "at"].map(Into::into).into();
        Outcome::Read(vec![Rows::new(columns, vec![ID.into(), "default".into(), "p1".into(), 0_i64.into()])])
    }

    fn fake(outcome: Outcome) -> Fake {
        let (blob, contents) = (blob("image/png"), Some(Bytes::from_static(b"\x89PNG")));
        let grouped = |groups: &[&str], role| {
            let groups = groups.iter().map(|group| (*group).to_owned()).collect();
            Identity::from(Claims { groups, ..identity("x", role).claims() })
        };
        let of_tenant = |tenant: &str, sub| {
            Identity::from(Claims { tenant_id: Some(tenant.into()), ..identity(sub, "admin").claims() })
        };
        let player =
            |id: &str| Identity::from(Claims { device_id: Some(id.into()), ..identity(id, "device").claims() });
        let tokens = vec![
            ("admin", identity("a", "admin")),
            ("no-tenant", of_tenant("", "e")),
            ("other-fleet", of_tenant("acme", "b")),
            ("viewer", identity("c", "viewer")),
            ("viewer-g1", grouped(&["g1"], "viewer")),
            ("operator-g2", grouped(&["g2"], "operator")),
            ("driver", identity("d", "driver")),
            ("p1", player("p1")),
            ("p2", player("p2")),
        ];
        let reply = Some(Reply { status: 200, body: r#"{"deviceId":"p1","deviceGroup":"g1"}"#.into() });
        Fake { blob, contents, tokens, reply, outcome, ..Fake::default() }
    }

    fn with_token(token: &str) -> Request<Body> {
        Request::get(format!("/signage/snapshots/{ID}"))
            .header("authorization", format!("Bearer {token}"))
            .body(Body::empty())
            .unwrap()
    }

    #[tokio::test]
    async fn who_may_see_a_snapshot() {
        for (token, expected) in [
            ("", 401),
            ("nonsense", 401),
            ("admin", 200),
            ("no-tenant", 200),
            ("viewer", 403),
            ("viewer-g1", 200),
            ("operator-g2", 403),
            ("other-fleet", 403),
            ("driver", 403),
            ("p1", 200),
            ("p2", 403),
        ] {
            let fake = fake(stored());
            assert_eq!(ask(public(fake.api()), with_token(token)).await.status, expected, "{token} by header");
            let query = public_get(&format!("/signage/snapshots/{ID}?token={token}"));
            assert_eq!(ask(public(fake.api()), query).await.status, expected, "{token} by query");
        }
        let fake = fake(stored());
        assert_eq!(ask(public(fake.api()), public_get(&format!("/signage/snapshots/{ID}"))).await.status, 401);
    }

    #[tokio::test]
    async fn a_picture_comes_with_headers_that_keep_it_one() {
        let mut fake = fake(stored());
        let answer = ask(public(fake.api()), with_token("admin")).await;
        assert_eq!(&answer.body[..], b"\x89PNG");
        assert_eq!(answer.header("content-type"), "image/png");
        assert_eq!(answer.header("etag"), "\"ab12\"");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert!(answer.header("cache-control").starts_with("private"));
        let mut again = with_token("admin");
        again.headers_mut().insert("if-none-match", "\"ab12\"".parse().unwrap());
        assert_eq!(ask(public(fake.api()), again).await.status, 304);
        for mime in ["text/html", "image/svg+xml", "", "bad\nmime"] {
            fake.blob = blob(mime);
            let answer = ask(public(fake.api()), with_token("admin")).await;
            assert_eq!(answer.header("content-type"), "application/octet-stream", "{mime:?}");
        }
    }

    /// T-26. Where a picture lies is the store's business: no path of a row or a request is followed here.
    #[tokio::test]
    async fn what_is_not_there_is_404() {
        let (mut without_blob, mut without_file) = (fake(stored()), fake(stored()));
        (without_blob.blob, without_file.contents) = (None, None);
        for fake in [fake(Outcome::Read(vec![])), without_blob, without_file] {
            assert_eq!(ask(public(fake.api()), with_token("admin")).await.status, 404);
        }
        let fake = fake(stored());
        for id in ["short", "abcdefghijklmnopqrs%2f", "..%2f..%2fetc%2fpasswd00"] {
            let answer = ask(public(fake.api()), public_get(&format!("/signage/snapshots/{id}?token=admin"))).await;
            assert_eq!(answer.status, 404, "{id}");
        }
    }

    #[tokio::test]
    async fn a_home_that_does_not_know_the_device_shows_nothing_of_it() {
        for reply in
            [None, Some((404, r#"{"deviceGroup":"g1"}"#)), Some((200, r#"{"deviceGroup":""}"#)), Some((200, "{}"))]
        {
            let mut fake = fake(stored());
            fake.reply = reply.map(|(status, body)| Reply { status, body: body.into() });
            assert_eq!(ask(public(fake.api()), with_token("viewer-g1")).await.status, 403, "{reply:?}");
        }
    }

    #[tokio::test]
    async fn a_failing_store_is_503() {
        let fake = fake(Fake::default().outcome);
        assert_eq!(ask(public(fake.api()), with_token("admin")).await.status, 503);
    }
}
