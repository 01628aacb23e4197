//! `/`: one page that says what is served and lets a person connect, emit and see. It needs no script but its own, which comes
//! from its own path, so that the policy can forbid everything else (T-37). Pages of applications are served likewise.

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;

use super::{Api, VERSION, reply};
use crate::app::route::Page;
use crate::app::table::Row;

pub(crate) fn routes() -> Router<Api> {
    Router::new()
        .route("/", get(async || part("text/html; charset=utf-8", include_str!("page/page.html"))))
        .route("/_siod/page.css", get(async || part("text/css; charset=utf-8", include_str!("page/page.css"))))
        .route("/_siod/page.js", get(async || part("text/javascript; charset=utf-8", include_str!("page/page.js"))))
        .route("/_siod/icon.svg", get(async || part("image/svg+xml", include_str!("page/icon.svg"))))
        .route("/_siod/served.json", get(served))
}

/// What the page may do: run its own script, wear its own style, and talk to where it came from.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The pages of these applications, as a listener with this root serves them. One that is asked for without the slash at its end
/// is there with it.
pub(crate) fn of_applications(rows: &[&'static Row], root: Option<&str>) -> Router<Api> {
    let mut router = Router::new();
    for row in rows {
        for Page { path, bare, mime, text } in row.http.pages {
            let answer = get(async || part(mime, text));
            if *path == "/" {
                let whole = format!("/{}/", row.name);
                let name = &whole[..whole.len() - 1];
                router = router.route(name, get(async || Redirect::permanent(&format!("/{}/", row.name))));
            }
            if bare.holds(row.name, root) {
                router = router.route(path, answer.clone());
            }
            router = router.route(&format!("/{}{path}", row.name), answer);
        }
    }
    router
}

fn part(content_type: &'static str, text: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, content_type),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (headers, text).into_response()
}

/// Applications, namespaces and paths as the configuration has them; no secret, and nothing about clients.
async fn served(State(api): State<Api>) -> Response {
    let mut body = serde_json::to_value(&api.settings.served).expect("our own types serialise to JSON");
    body["version"] = VERSION.into();
    reply::json(StatusCode::OK, body.to_string())
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Fake, ROWS, ask, public_get};
    use super::super::{Served, ServedApplication, ServedListener, Settings, public};
    use super::*;

    #[tokio::test]
    async fn the_page_and_its_parts_are_served_under_a_strict_policy() {
        for (path, content_type) in [
            ("/", "text/html; charset=utf-8"),
            ("/_siod/page.css", "text/css; charset=utf-8"),
            ("/_siod/page.js", "text/javascript; charset=utf-8"),
            ("/_siod/icon.svg", "image/svg+xml"),
        ] {
            let answer = ask(public(Fake::default().api(), None), public_get(path)).await;
            assert_eq!((answer.status, answer.header("content-type")), (200, content_type), "{path}");
            let policy = answer.header("content-security-policy");
            assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{path}: {policy}");
            assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        }
    }

    /// T-37: the policy would block them, and nobody should have to find out.
    #[test]
    fn the_page_has_nothing_inline_and_nothing_foreign() {
        let (html, script) = (include_str!("page/page.html"), include_str!("page/page.js"));
        for forbidden in ["<style", "style=", " onclick", " onload", " onsubmit", "javascript:", "http://", "https://"]
        {
            assert!(!html.contains(forbidden), "page.html has {forbidden}");
        }
        assert_eq!(html.matches("<script").count(), html.matches("<script src=\"/_siod/").count());
        for forbidden in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "Function("] {
            assert!(!script.contains(forbidden), "page.js has {forbidden}");
        }
    }

    #[tokio::test]
    async fn applications_have_pages_of_their_own() {
        let at = async |root, path: &str| {
            let settings = Settings { applications: ROWS.to_vec(), ..Settings::default() };
            ask(public(Fake { settings, ..Fake::default() }.api(), root), public_get(path)).await
        };
        let page = at(None, "/desk/").await;
        assert_eq!((page.status, page.header("content-type")), (200, "text/html; charset=utf-8"));
        assert_eq!((page.header("content-security-policy"), page.text()), (POLICY, "<p>desk</p>".to_owned()));
        let almost = at(None, "/desk").await;
        assert_eq!((almost.status, almost.header("location")), (308, "/desk/"));
        assert_eq!(at(None, "/desk/desk.js").await.text(), "1;");
        assert_eq!(at(None, "/desk.js").await.status, 404);
        assert_eq!(at(Some("desk"), "/desk.js").await.text(), "1;");
    }

    #[tokio::test]
    async fn what_is_served_comes_from_the_configuration() {
        let served = Served {
            applications: vec![ServedApplication {
                name: "signage".into(),
                namespaces: vec!["/signage".into()],
                page: None,
            }],
            listeners: vec![ServedListener {
                bind: "127.0.0.1:3000".into(),
                root: "none".into(),
                paths: vec!["/socket.io/".into()],
            }],
            auth_mode: "dev".into(),
        };
        let fake = Fake {
            settings: Settings {
                served,
                admin_token: crate::base::secret::Secret::new("hidden"),
                ..Settings::default()
            },
            ..Fake::default()
        };
        let answer = ask(public(fake.api(), None), public_get("/_siod/served.json")).await;
        assert_eq!(answer.json()["applications"][0]["namespaces"][0], "/signage");
        assert_eq!(answer.json()["listeners"][0]["paths"][0], "/socket.io/");
        assert_eq!(answer.json()["version"], VERSION);
        assert!(!answer.text().contains("hidden"));
    }
}
