//! Each refusal of a route as its asker gets it, and each kind of answer, at a router over homes made of constants.

use axum::Router;
use axum::body::Body as HttpBody;

use super::super::testing::{Answer as Got, Fake, admin_get, ask, identity, public_get};
use super::super::{admin, public};
use super::*;
use crate::app::job::Blob;
use crate::app::reply::{Answer as Told, Item};
use crate::base::ids::Sid;
use crate::base::time::WallMillis;

const ID: &str = "abcdefghijklmnopqrst";
const GONE: Refused = Refused::new(404, "NO_SUCH_PICTURE", "");

fn with(reply: Option<Reply>) -> Fake {
    Fake { reply, tokens: vec![("good", identity("u1", "admin"))], ..Fake::default() }
}

fn desk(fake: &Fake) -> Router {
    public(fake.api(), Some("desk"))
}

fn request(method: &str, path: &str, headers: &[(&str, &str)], body: impl Into<HttpBody>) -> Request {
    let request = Request::builder().method(method).uri(path);
    headers.iter().fold(request, |request, (name, value)| request.header(*name, *value)).body(body.into()).unwrap()
}

fn fault(got: &Got) -> String {
    got.json()["fault"].as_str().unwrap_or_default().to_owned()
}

async fn post(path: &str, headers: &[(&str, &str)], body: impl Into<HttpBody>) -> (Got, Vec<Call>) {
    post_to(&with(Some(Reply::empty(204))), path, headers, body).await
}

async fn post_to(fake: &Fake, path: &str, headers: &[(&str, &str)], body: impl Into<HttpBody>) -> (Got, Vec<Call>) {
    let got = ask(desk(fake), request("POST", path, headers, body)).await;
    let calls = std::mem::take(&mut *fake.seen.calls.lock().unwrap());
    (got, calls)
}

const JSON: (&str, &str) = ("content-type", "application/json");

#[tokio::test]
async fn a_wrong_method_is_405_with_what_is_allowed_in_the_applications_form() {
    let got = ask(desk(&with(None)), request("PUT", "/desk/notes/x", &[], "")).await;
    assert_eq!((got.status, got.header("allow")), (405, "GET, HEAD, DELETE"));
    assert_eq!(fault(&got), "METHOD_NOT_ALLOWED");
}

#[tokio::test]
async fn what_an_application_does_not_have_is_404_in_its_form() {
    for path in ["/desk/nothing", "/api/nothing"] {
        let got = ask(desk(&with(None)), public_get(path)).await;
        assert_eq!((got.status, fault(&got).as_str()), (404, "NOT_FOUND"), "{path}");
    }
    for path in ["/nothing", "/signage"] {
        let got = ask(desk(&with(None)), public_get(path)).await;
        assert_eq!(
            (got.status, got.json()["error"]["code"].as_str()),
            (404, Some("NOT_FOUND")),
            "{path}: the daemon's"
        );
    }
}

#[tokio::test]
async fn a_wrong_kind_of_body_is_415() {
    for kind in [&[][..], &[("content-type", "text/plain")], &[("content-type", "application/x-www-form-urlencoded")]] {
        let (got, calls) = post("/desk/api/echo", kind, "{}").await;
        assert_eq!((got.status, fault(&got).as_str()), (415, "UNSUPPORTED_MEDIA_TYPE"), "{kind:?}");
        assert!(calls.is_empty());
    }
    for kind in ["application/json; charset=utf-8", "APPLICATION/JSON", "application/problem+json"] {
        assert_eq!(post("/desk/api/echo", &[("content-type", kind)], "{}").await.0.status, 204, "{kind}");
    }
}

#[tokio::test]
async fn what_is_no_json_is_400() {
    for body in ["", "{", "nonsense", "{}x"] {
        let (got, calls) = post("/desk/api/echo", &[JSON], body).await;
        assert_eq!((got.status, fault(&got).as_str(), calls.len()), (400, "VALIDATION", 0), "{body}");
    }
}

/// With a length that says so, and in pieces that do not.
#[tokio::test]
async fn a_body_over_its_bound_is_413() {
    let at_bound = "[1,2,3,4,5,6,78]";
    let over = "[1,2,3,4,5,6,789]";
    for (body, status) in [(at_bound, 204), (over, 413)] {
        let length = body.len().to_string();
        let (got, _) = post("/desk/api/echo", &[JSON, ("content-length", &length)], body).await;
        assert_eq!(got.status, status, "{body}");
        let pieces = futures_util::stream::iter([Ok::<_, std::io::Error>("[1,2,3,4"), Ok(&body[8..])]);
        let (got, calls) = post("/desk/api/echo", &[JSON], HttpBody::from_stream(pieces)).await;
        assert_eq!(got.status, status, "{body} in pieces");
        assert_eq!(calls.len(), usize::from(status == 204));
    }
}

#[tokio::test]
async fn a_body_that_ends_in_the_middle_is_400() {
    let pieces = futures_util::stream::iter([Ok("[1,"), Err(std::io::Error::other("gone"))]);
    let (got, calls) = post("/desk/api/echo", &[JSON], HttpBody::from_stream(pieces)).await;
    assert_eq!((got.status, fault(&got).as_str(), calls.len()), (400, "VALIDATION", 0));
}

/// Whatever of it has come, and whether or not it says how much there is.
#[tokio::test]
async fn t04_a_body_that_is_slow_is_408() {
    use futures_util::StreamExt as _;
    for (path, headers) in [("/desk/api/echo", &[JSON][..]), ("/hook/x", &[]), ("/hook/x", &[("content-length", "9")])]
    {
        let begun = futures_util::stream::iter([Ok::<_, std::io::Error>("[1,")]);
        let body = HttpBody::from_stream(begun.chain(futures_util::stream::pending()));
        let (got, calls) = post_to(&with(Some(Reply::empty(204))).hasty(), path, headers, body).await;
        assert_eq!((got.status, fault(&got).as_str(), calls.len()), (408, "TIMEOUT", 0), "{path}");
    }
}

#[tokio::test]
async fn a_raw_body_reaches_its_home_as_it_came_with_the_headers_the_route_has_chosen() {
    let headers = [("x-signature", "a"), ("x-signature", "b"), ("x-other", "c"), ("content-type", "what/ever")];
    let (got, calls) = post("/hook/me%2Fyou?q=1", &headers, &b"\x00\xff{"[..]).await;
    assert_eq!(got.status, 204);
    let call = &calls[0];
    assert_eq!((call.param("of"), call.query_value("q").as_deref()), ("me/you", Some("1")));
    assert_eq!((&call.body[..], call.header("x-signature")), (&b"\x00\xff{"[..], Some(&b"b"[..])));
    assert_eq!(call.headers.len(), 1, "{:?}", call.headers);
    assert_eq!(call.target, "/hook/me%2Fyou?q=1");
}

/// What was signed is what was sent, to the last byte.
#[tokio::test]
async fn the_target_of_a_call_is_as_it_was_received() {
    for target in ["/hook/%7e+b", "/desk/hook/a?", "/hook/a?b=%20&&b=+&c", "/hook/a?b#c"] {
        let (_, calls) = post(target, &[], "").await;
        assert_eq!(calls[0].target, target.trim_end_matches("#c"));
    }
}

#[tokio::test]
async fn a_call_knows_the_settings_of_its_application() {
    let mut fake = with(Some(Reply::empty(204)));
    fake.settings.chosen = vec![("other", Arc::new("theirs")), ("desk", Arc::new(7_u32))];
    let (_, calls) = post_to(&fake, "/hook/x", &[], "").await;
    assert_eq!((calls[0].settings::<u32>(), calls[0].settings::<&str>()), (Some(&7), None));
}

#[tokio::test]
async fn whoever_has_no_token_or_a_bad_one_is_401() {
    let fake = with(Some(Reply::empty(204)));
    for (path, headers, status) in [
        ("/desk/notes/x", &[][..], 401),
        ("/desk/notes/x", &[("authorization", "Bearer bad")], 401),
        ("/desk/notes/x", &[("authorization", "Basic good")], 401),
        ("/desk/notes/x?token=good", &[], 401),
        ("/desk/notes/x", &[("authorization", "bearer good")], 204),
        ("/desk/picture?token=good", &[], 204),
        ("/desk/picture?token=", &[], 401),
        ("/desk/picture?token=bad", &[], 401),
    ] {
        let got = ask(desk(&fake), request("GET", path, headers, "")).await;
        assert_eq!(got.status, status, "{path} {headers:?}");
        assert_eq!(got.header("www-authenticate"), if status == 401 { "Bearer" } else { "" });
    }
    let calls = fake.seen.calls.lock().unwrap();
    assert!(calls.len() == 2 && calls.iter().all(|call| call.identity.as_ref().unwrap().sub() == "u1"));
}

#[tokio::test]
async fn an_application_can_tell_why_a_token_is_none() {
    for (headers, why) in [
        (&[][..], Refused::NO_TOKEN),
        (&[("authorization", "Bearer bad")], Refused::BAD_TOKEN),
        (&[("authorization", "Bearer ended")], Refused::ENDED_TOKEN),
    ] {
        let got = ask(desk(&with(None)), request("GET", "/desk/notes/x", headers, "")).await;
        assert_eq!((got.status, fault(&got).as_str()), (401, "UNAUTHORIZED"));
        assert_eq!(got.json()["text"], why.text);
    }
}

#[tokio::test]
async fn a_refusal_for_now_says_when_to_ask_again_and_the_daemons_own_are_in_the_applications_form() {
    let later = with(Some(Reply::later(429, &json!({"fault": "TOO_OFTEN"}), 60)));
    let got = ask(desk(&later), request("DELETE", "/desk/notes/x", &[], "")).await;
    assert_eq!((got.status, got.header("retry-after"), fault(&got).as_str()), (429, "60", "TOO_OFTEN"));
    let busy = with(Some(Reply::refused(Refused::BUSY)));
    let got = ask(desk(&busy), request("DELETE", "/desk/notes/x", &[], "")).await;
    assert_eq!((got.status, fault(&got).as_str()), (503, "BUSY"));
}

#[tokio::test]
async fn what_finds_no_home_is_refused_before_anybody_is_asked() {
    let fake = with(Some(Reply::empty(204)));
    let got = ask(desk(&fake), request("DELETE", "/desk/notes/x?refuse=1", &[], "")).await;
    assert_eq!((got.status, fault(&got).as_str()), (409, "NOT_TODAY"));
    assert!(fake.seen.calls.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_home_that_does_not_answer_is_504() {
    let got = ask(desk(&with(None)), request("DELETE", "/desk/notes/x", &[], "")).await;
    assert_eq!((got.status, fault(&got).as_str()), (504, "NO_ANSWER"));
}

/// A stream goes on for as long as its home does, at whatever pace.
#[tokio::test]
async fn the_time_limit_of_a_call_ends_with_its_first_reply() {
    let item = |data: &str| Told::Item(Item { data: data.to_owned(), ..Item::default() });
    let fake = Fake { later: vec![item("1"), item("2"), Told::End], ..with(Some(Reply::stream())) };
    let begun = std::time::Instant::now();
    let got = ask(desk(&fake), request("DELETE", "/desk/notes/x", &[], "")).await;
    assert!(begun.elapsed() > 3 * fake.settings.call_timeout, "{:?}", begun.elapsed());
    assert_eq!((got.status, got.header("content-type")), (200, "text/event-stream"));
    assert_eq!(got.text(), "data: 1\n\ndata: 2\n\n");
}

#[tokio::test]
async fn of_several_homes_the_missing_are_named_at_one_deadline() {
    let fake = Fake { silent: &["b", "d"], ..with(Some(Reply::json(200, &json!({"n": 1})))) };
    let begun = std::time::Instant::now();
    let got = ask(desk(&fake), public_get("/desk/each?of=a,b,c,d,a")).await;
    assert!(begun.elapsed() >= fake.settings.call_timeout);
    assert_eq!((got.status, &got.json()["missing"]), (504, &json!(["b", "d"])));
    assert_eq!(got.json()["homes"], json!({"a": {"n": 1}, "c": {"n": 1}}));
    assert_eq!(fake.seen.calls.lock().unwrap().len(), 4, "each once");
    let got = ask(desk(&fake), public_get("/desk/each?of=b,d")).await;
    assert_eq!((got.status, &got.json()["missing"]), (504, &json!(["b", "d"])));
    for (reply, status) in [(200, 200), (404, 200), (503, 503)] {
        let fake = with(Some(Reply::json(reply, &json!({"n": 1}))));
        let got = ask(desk(&fake), public_get("/desk/each?of=a,c")).await;
        assert_eq!((got.status, got.json()["homes"]["c"]["n"].as_u64()), (status, Some(1)), "all say {reply}");
    }
    let many = (0..=CALL_HOMES_MAX).map(|n| n.to_string()).collect::<Vec<_>>().join(",");
    let got = ask(desk(&fake), public_get(&format!("/desk/each?of={many}"))).await;
    assert_eq!((got.status, fault(&got).as_str()), (400, "VALIDATION"));
}

#[tokio::test]
async fn every_kind_of_reply_is_http() {
    const BAD: &str = r#"{"fault":"INTERNAL","text":"the application's answer is none"}"#;
    for (reply, status, kind, body, to) in [
        (Reply::json(201, &json!({"a": 1})), 201, "application/json", r#"{"a":1}"#, ""),
        (Reply::text(404, "no such thing"), 404, "text/plain; charset=utf-8", "no such thing", ""),
        (Reply::empty(204), 204, "", "", ""),
        (Reply::redirect(303, "/elsewhere?a=1"), 303, "", "", "/elsewhere?a=1"),
        (Reply::redirect(302, "a\r\nset-cookie: x"), 500, "application/json", BAD, ""),
        (Reply::empty(7), 500, "application/json", BAD, ""),
    ] {
        let got = ask(desk(&with(Some(reply.clone()))), request("DELETE", "/desk/notes/x", &[], "")).await;
        assert_eq!((got.status, got.text().as_str()), (status, body), "{reply:?}");
        assert_eq!((got.header("content-type"), got.header("location")), (kind, to), "{reply:?}");
        assert_eq!((got.header("cache-control"), got.header("x-content-type-options")), ("no-store", "nosniff"));
        assert_eq!(got.header("set-cookie"), "");
    }
}

fn stored(mime: &str) -> Fake {
    let (mime, sha256, file) = (mime.to_owned(), "ab12".to_owned(), "ab12".to_owned());
    let blob = Blob { shelf: "s".into(), id: ID.into(), at: WallMillis(0), mime, bytes: 4, sha256, file };
    let reply = Some(Reply::blob("s", Sid::parse(ID).unwrap(), GONE));
    Fake { blob: Some(blob), contents: Some(Bytes::from_static(b"\x89PNG")), ..with(reply) }
}

async fn picture(fake: &Fake, headers: &[(&str, &str)]) -> Got {
    ask(desk(fake), request("GET", "/desk/picture?token=good", headers, "")).await
}

#[tokio::test]
async fn a_blob_comes_with_headers_that_keep_it_one() {
    let got = picture(&stored("image/png"), &[]).await;
    assert_eq!((got.status, &got.body[..], got.header("content-type")), (200, &b"\x89PNG"[..], "image/png"));
    assert_eq!((got.header("etag"), got.header("accept-ranges")), ("\"ab12\"", "bytes"));
    assert_eq!(
        (got.header("x-content-type-options"), got.header("cache-control")),
        ("nosniff", "private, max-age=86400")
    );
    assert_eq!(got.header("content-security-policy"), "default-src 'none'; sandbox");
    let again = picture(&stored("image/png"), &[("if-none-match", "\"ab12\"")]).await;
    assert_eq!((again.status, again.body.len()), (304, 0));
    for mime in ["text/html", "image/svg+xml", "", "bad\nmime"] {
        assert_eq!(picture(&stored(mime), &[]).await.header("content-type"), "application/octet-stream", "{mime:?}");
    }
}

#[tokio::test]
async fn a_range_of_a_blob_is_206_and_one_outside_416() {
    let fake = stored("image/png");
    let part = picture(&fake, &[("range", "bytes=1-2")]).await;
    assert_eq!((part.status, &part.body[..], part.header("content-range")), (206, &b"PN"[..], "bytes 1-2/4"));
    let outside = picture(&fake, &[("range", "bytes=4-9")]).await;
    assert_eq!((outside.status, outside.body.len(), outside.header("content-range")), (416, 0, "bytes */4"));
    for headers in
        [&[("range", "bytes=1-2"), ("if-range", "\"old\"")][..], &[("range", "bytes=2-1")], &[("range", "bytes=x-")]]
    {
        let whole = picture(&fake, headers).await;
        assert_eq!((whole.status, whole.body.len(), whole.header("content-range")), (200, 4, ""), "{headers:?}");
    }
    let other = picture(&fake, &[("if-match", "\"old\"")]).await;
    assert_eq!((other.status, other.body.len()), (412, 0));
}

#[tokio::test]
async fn a_blob_that_has_gone_is_as_the_home_said_and_a_failing_store_503() {
    let (mut without_row, mut without_file) = (stored(""), stored(""));
    (without_row.blob, without_file.contents) = (None, None);
    for fake in [without_row, without_file] {
        let got = picture(&fake, &[]).await;
        assert_eq!((got.status, fault(&got).as_str()), (404, "NO_SUCH_PICTURE"));
    }
    let shorter = Fake { contents: Some(Bytes::from_static(b"\x89P")), ..stored("") };
    for fake in [Fake { store_fails: true, ..stored("") }, shorter] {
        let got = picture(&fake, &[("range", "bytes=2-3")]).await;
        assert_eq!((got.status, fault(&got).as_str()), (503, "STORE_UNAVAILABLE"));
    }
}

#[tokio::test]
async fn the_operators_routes_are_behind_the_admin_guard_and_nowhere_else() {
    let fake = with(Some(Reply::empty(204)));
    assert_eq!(ask(desk(&fake), public_get("/desk/ledger")).await.status, 404);
    assert_eq!(ask(admin(fake.api()), admin_get("/desk/ledger")).await.status, 204);
    let page = request("GET", "/desk/ledger", &[("host", "127.0.0.1"), ("origin", "https://evil.example")], "");
    assert_eq!(ask(admin(fake.api()), page).await.status, 403);
    assert_eq!(fake.seen.calls.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn each_listener_describes_what_it_serves() {
    let fake = with(None);
    let described = ask(desk(&fake), public_get("/openapi.json")).await.json();
    assert!(described["paths"]["/desk/notes/{note}"]["get"].is_object() && described["paths"]["/api/echo"].is_object());
    assert!(described["paths"].get("/desk/ledger").is_none());
    let described = ask(admin(fake.api()), admin_get("/openapi.json")).await.json();
    assert!(described["paths"]["/desk/ledger"]["get"].is_object());
}

/// The list of the daemon's own paths is about what is there.
#[tokio::test]
async fn every_path_of_the_daemon_that_is_listed_is_served() {
    use crate::app::route::Door;
    for own in super::super::OWN {
        let fake = with(None);
        let (router, host) = match own.door {
            Door::Shell => continue,
            Door::Public => (desk(&fake), admin_get("/")),
            Door::Admin => (admin(fake.api()), admin_get("/")),
        };
        let (mut parts, body) = host.into_parts();
        (parts.method, parts.uri) = (own.method.parse().unwrap(), own.path.parse().unwrap());
        let status = ask(router, Request::from_parts(parts, body)).await.status;
        assert!(status < 400, "{} {}: {status}", own.method, own.path);
    }
}

#[tokio::test]
async fn a_call_says_what_its_listener_speaks_to_its_application() {
    for (dialects, listener, expected) in [
        (vec![None, Some(("desk", "old"))], 1, Some("old")),
        (vec![None, Some(("desk", "old"))], 0, None),
        (vec![Some(("other", "old"))], 0, None),
        (vec![], 0, None),
    ] {
        let mut fake = with(Some(Reply::empty(204)));
        fake.settings.dialects = dialects.clone();
        let mut request = request("POST", "/desk/api/echo", &[JSON], "{}");
        request.extensions_mut().insert(ListenerId(listener));
        assert_eq!(ask(desk(&fake), request).await.status, 204);
        assert_eq!(fake.seen.calls.lock().unwrap()[0].dialect, expected, "{dialects:?} {listener}");
    }
}

/// A session is known by the first token that came, wherever it stands; where none is good, the home says so.
#[tokio::test]
async fn a_session_comes_by_header_query_or_cookie_and_its_absence_is_the_homes_to_judge() {
    for (path, headers, known, by_cookie) in [
        ("/desk/mine", &[][..], false, false),
        ("/desk/mine", &[("authorization", "Bearer good")], true, false),
        ("/desk/mine?token=good", &[], true, false),
        ("/desk/mine", &[("cookie", "a=b; sid=good")], true, true),
        ("/desk/mine", &[("cookie", "a=b"), ("cookie", "sid=%67ood")], true, true),
        ("/desk/mine", &[("cookie", "sid=bad")], false, true),
        ("/desk/mine", &[("authorization", "Bearer bad"), ("cookie", "sid=good")], false, false),
        ("/desk/mine", &[("cookie", "xsid=good")], false, false),
    ] {
        let fake = with(Some(Reply::empty(204)));
        let headers = [headers, &[("origin", "https://panel.example")]].concat();
        let got = ask(desk(&fake), request("GET", path, &headers, "")).await;
        let calls = std::mem::take(&mut *fake.seen.calls.lock().unwrap());
        assert_eq!((got.status, calls.len()), (204, 1), "{path} {headers:?}");
        assert_eq!((calls[0].identity.is_some(), calls[0].by_cookie), (known, by_cookie), "{path} {headers:?}");
        assert_eq!(calls[0].origin, "https://panel.example");
    }
}
