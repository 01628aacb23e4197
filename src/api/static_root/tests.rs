//! A directory with a page, with everything beside it that nobody may see.

use std::os::unix::fs::symlink;

use super::super::testing::{Answer, Fake, ask};
use super::super::{Settings, public};
use super::*;

/// A directory `page` in a directory with a secret.
fn world() -> (tempfile::TempDir, axum::Router) {
    let world = tempfile::tempdir().unwrap();
    let (page, outside) = (world.path().join("page"), world.path().join("outside"));
    for directory in [&page.join("sub"), &page.join("empty"), &page.join(".git"), &outside] {
        std::fs::create_dir_all(directory).unwrap();
    }
    for (name, text) in [
        ("page/index.html", "<p>root</p>"),
        ("page/sub/index.html", "<p>sub</p>"),
        ("page/app.js", "0123456789"),
        ("page/a b.txt", "spaced"),
        ("page/ñ.svg", "<svg/>"),
        ("page/100%.bin", "bytes"),
        ("page/.env", "secret"),
        ("page/.git/config", "secret"),
        ("page/..secret", "secret"),
        ("outside/secret.txt", "secret"),
        ("secret.txt", "secret"),
    ] {
        std::fs::write(world.path().join(name), text).unwrap();
    }
    for (target, link) in [
        ("../secret.txt", "file-out"),
        ("../outside", "directory-out"),
        ("file-out", "link-to-a-link-out"),
        ("sub/../../secret.txt", "through-out"),
        ("/proc/self/root", "magic-out"),
        ("app.js", "inside.js"),
        ("loop", "loop"),
        ("nowhere", "dangling"),
    ] {
        symlink(target, page.join(link)).unwrap();
    }
    symlink(world.path().join("secret.txt"), page.join("absolute-out")).unwrap();
    let made = std::process::Command::new("mkfifo").arg(page.join("pipe")).status();
    assert!(made.unwrap().success());
    let static_roots = vec![None, Some(Root::open(&page).unwrap())];
    let router =
        public(Fake { settings: Settings { static_roots, ..Settings::default() }, ..Fake::default() }.api(), None);
    (world, router)
}

/// A request by the listener that has the directory, or the other one.
fn request(listener: u16, method: &str, path: &str, headers: &[(&str, &str)]) -> Request {
    let mut request = Request::builder().method(method).uri(path).header("host", "siod.example");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let mut request = request.body(Body::empty()).unwrap();
    request.extensions_mut().insert(ListenerId(listener));
    request
}

async fn get(router: &axum::Router, path: &str, headers: &[(&str, &str)]) -> Answer {
    ask(router.clone(), request(1, "GET", path, headers)).await
}

/// Nobody gets what lies beside the page, whatever the status; nor a hint that it is there.
async fn is_not_there(paths: &[&str]) {
    let (_world, router) = world();
    for path in paths {
        let answer = get(&router, path, &[]).await;
        assert_eq!((answer.status, answer.text().contains("secret")), (404, false), "{path}: {}", answer.text());
        assert_eq!(answer.json()["error"]["code"], "NOT_FOUND", "{path}");
    }
}

#[tokio::test]
async fn a_file_comes_with_its_type_and_validators() {
    let (_world, router) = world();
    for (path, content_type, text) in [
        ("/", "text/html; charset=utf-8", "<p>root</p>"),
        ("/index.html", "text/html; charset=utf-8", "<p>root</p>"),
        ("/sub/", "text/html; charset=utf-8", "<p>sub</p>"),
        ("/sub/?x=1", "text/html; charset=utf-8", "<p>sub</p>"),
        ("/app.js", "text/javascript; charset=utf-8", "0123456789"),
        ("/inside.js", "text/javascript; charset=utf-8", "0123456789"),
        ("/a%20b.txt", "text/plain; charset=utf-8", "spaced"),
        ("/%C3%B1.svg", "image/svg+xml", "<svg/>"),
        ("/100%25.bin", "application/octet-stream", "bytes"),
    ] {
        let answer = get(&router, path, &[]).await;
        assert_eq!((answer.status, answer.text().as_str()), (200, text), "{path}");
        assert_eq!(answer.header("content-type"), content_type, "{path}");
        assert_eq!(answer.header("content-length"), text.len().to_string(), "{path}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert!(answer.header("etag").starts_with('"') && answer.header("last-modified").ends_with("GMT"), "{path}");
        let head = ask(router.clone(), request(1, "HEAD", path, &[])).await;
        assert_eq!((head.status, head.body.len()), (200, 0), "{path}");
        assert_eq!(head.header("content-length"), text.len().to_string(), "{path}");
        assert_eq!(head.header("etag"), answer.header("etag"), "{path}");
    }
}

#[tokio::test]
async fn what_the_daemon_has_itself_comes_first_and_the_page_of_its_own_last() {
    let (world, router) = world();
    std::fs::create_dir_all(world.path().join("page/health")).unwrap();
    std::fs::write(world.path().join("page/health/live"), "from the directory").unwrap();
    assert_eq!(get(&router, "/health/live", &[]).await.json()["status"], "ok");
    assert!(get(&router, "/_siod/page.js", &[]).await.status == 200, "the page's own files are still there");
    let other = ask(router, request(0, "GET", "/", &[])).await;
    assert!(other.status == 200 && !other.text().contains("<p>root</p>"), "another listener has its own page");
}

#[tokio::test]
async fn a_directory_is_never_listed_and_asked_for_with_its_slash() {
    let (_world, router) = world();
    let answer = get(&router, "/sub?x=1", &[]).await;
    assert_eq!((answer.status, answer.header("location")), (307, "/sub/?x=1"));
    for path in ["/empty", "/empty/", "/app.js/", "/nothing", "/nothing/"] {
        assert_eq!(get(&router, path, &[]).await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn another_method_is_refused_with_those_there_are() {
    let (_world, router) = world();
    for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
        let answer = ask(router.clone(), request(1, method, "/app.js", &[])).await;
        assert_eq!((answer.status, answer.header("allow")), (405, "GET,HEAD"), "{method}");
    }
    assert_eq!(ask(router, request(1, "POST", "/nothing", &[])).await.status, 404);
}

#[tokio::test]
async fn who_has_it_already_is_told_so() {
    let (_world, router) = world();
    let whole = get(&router, "/app.js", &[]).await;
    let (etag, since) = (whole.header("etag").to_owned(), whole.header("last-modified").to_owned());
    let weak = format!("W/{etag}");
    for (headers, status) in [
        (&[("if-none-match", etag.as_str())][..], 304),
        (&[("if-none-match", &weak)], 304),
        (&[("if-none-match", "*")], 304),
        (&[("if-none-match", "\"other\"")], 200),
        (&[("if-none-match", "\"other\""), ("if-modified-since", &since)], 200),
        (&[("if-modified-since", &since)], 304),
        (&[("if-modified-since", "Thu, 01 Jan 1970 00:00:00 GMT")], 200),
        (&[("if-modified-since", "yesterday")], 200),
        (&[("if-match", "\"other\"")], 412),
        (&[("if-match", &etag)], 200),
        (&[("if-unmodified-since", "Thu, 01 Jan 1970 00:00:00 GMT")], 412),
    ] {
        let answer = get(&router, "/app.js", headers).await;
        assert_eq!((answer.status, answer.body.is_empty()), (status, status != 200), "{headers:?}");
    }
}

#[tokio::test]
async fn a_range_is_served_and_one_outside_is_refused() {
    let (_world, router) = world();
    let etag = get(&router, "/app.js", &[]).await.header("etag").to_owned();
    for (range, if_range, status, place, text) in [
        ("bytes=0-3", "", 206, "bytes 0-3/10", "0123"),
        ("bytes=8-99", "", 206, "bytes 8-9/10", "89"),
        ("bytes=4-", etag.as_str(), 206, "bytes 4-9/10", "456789"),
        ("bytes=-3", "", 206, "bytes 7-9/10", "789"),
        ("bytes=10-", "", 416, "bytes */10", ""),
        ("bytes=99-100", "", 416, "bytes */10", ""),
        ("bytes=0-3", "\"other\"", 200, "", "0123456789"),
        ("bytes=0-1,4-5", "", 200, "", "0123456789"),
        ("lines=0-1", "", 200, "", "0123456789"),
        ("bytes=a-b", "", 200, "", "0123456789"),
    ] {
        let condition = ("if-range", if_range);
        let headers = [("range", range), condition];
        let answer = get(&router, "/app.js", if if_range.is_empty() { &headers[..1] } else { &headers }).await;
        assert_eq!((answer.status, answer.header("content-range")), (status, place), "{range} {if_range}");
        assert_eq!(answer.text(), text, "{range} {if_range}");
    }
}

#[tokio::test]
async fn no_link_leads_out_of_it() {
    is_not_there(&[
        "/file-out",
        "/directory-out/secret.txt",
        "/directory-out/",
        "/link-to-a-link-out",
        "/through-out",
        "/magic-out/etc/passwd",
        "/absolute-out",
        "/loop",
        "/dangling",
        "/pipe",
    ])
    .await;
}

#[tokio::test]
async fn no_name_that_begins_with_a_dot_is_served() {
    is_not_there(&[
        "/.env",
        "/%2eenv",
        "/%2Eenv",
        "/.git/config",
        "/sub/../.env",
        "/.git/",
        "/..secret",
        "/%2e.secret",
    ])
    .await;
}

#[tokio::test]
async fn no_spelling_of_two_dots_leads_out_of_it() {
    is_not_there(&[
        "/../secret.txt",
        "/sub/../../secret.txt",
        "/sub/../index.html",
        "/%2e%2e/secret.txt",
        "/%2E%2E/secret.txt",
        "/.%2e/secret.txt",
        "/%2e./secret.txt",
        "/..%2fsecret.txt",
        "/..%2Fsecret.txt",
        "/%2e%2e%2fsecret.txt",
        "/sub%2f..%2f..%2fsecret.txt",
        "/%252e%252e/secret.txt",
        "/%252e%252e%252fsecret.txt",
        "/..%5csecret.txt",
        "/%2e%2e%5csecret.txt",
        "/sub%5c..%5c..%5csecret.txt",
        "/....//secret.txt",
        "//secret.txt",
        "//../secret.txt",
        "/sub//../secret.txt",
        "/./secret.txt",
        "/%c0%ae%c0%ae/secret.txt",
        "/%e0%80%ae%e0%80%ae/secret.txt",
        "/%uff0e%uff0e/secret.txt",
        "/..%00/secret.txt",
        "/app.js%00",
        "/index.html%00.js",
        "/..;/secret.txt",
        "/%2e%2e;/secret.txt",
        "/proc/self/cwd/secret.txt",
    ])
    .await;
}

#[test]
fn a_root_that_is_no_directory_is_an_error() {
    let world = tempfile::tempdir().unwrap();
    let file = world.path().join("file");
    std::fs::write(&file, "").unwrap();
    assert!(Root::open(&file).is_err() && Root::open(&world.path().join("nothing")).is_err());
}
