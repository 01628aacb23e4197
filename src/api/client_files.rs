//! The browser bundles of the official client, `/socket.io/socket.io.js` and siblings, from a directory of the operator's.
//! The eight names are fixed: no part of a path ever comes from a request. Each file is read and compressed once.
//! Spec: PROTOCOL 12.

use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use sha2::{Digest, Sha256};
use tokio::sync::OnceCell;

use super::{Api, Settings, reply};
use crate::base::hex::hex;

/// What `serveClient` of the reference serves.
pub(crate) const NAMES: [&str; 8] = [
    "socket.io.js",
    "socket.io.js.map",
    "socket.io.min.js",
    "socket.io.min.js.map",
    "socket.io.esm.min.js",
    "socket.io.esm.min.js.map",
    "socket.io.msgpack.min.js",
    "socket.io.msgpack.min.js.map",
];

/// Whether `path` is a client file beneath the engine path `engine_path`: such a request is ours, not the engine's.
pub(crate) fn is_client_file(path: &str, engine_path: &str) -> bool {
    path.strip_prefix(engine_path).is_some_and(|name| NAMES.contains(&name))
}

pub(crate) fn routes(settings: &Settings) -> Router<Api> {
    let mut router = Router::new();
    for name in NAMES {
        let cell: Arc<OnceCell<Option<Arc<File>>>> = Arc::default();
        for path in &settings.engine_paths {
            let cell = cell.clone();
            let handler = async move |State(api): State<Api>, headers: HeaderMap| {
                let file = cell.get_or_init(|| load(api.settings.clone(), name)).await;
                file.as_ref().map_or_else(absent, |file| file.answer(&headers))
            };
            router = router.route(&format!("{}{name}", directory(path)), get(handler));
        }
    }
    router
}

/// An engine path with exactly one slash at its end.
fn directory(path: &str) -> String {
    format!("{}/", path.trim_end_matches('/'))
}

fn absent() -> Response {
    let text = "the client files are not served here: set client_dir, or load socket.io-client from your own site";
    reply::error(StatusCode::NOT_FOUND, "NO_CLIENT_FILES", text)
}

async fn load(settings: Arc<Settings>, name: &'static str) -> Option<Arc<File>> {
    let read = move || settings.client_dir.as_deref().and_then(|directory| File::read(directory, name));
    tokio::task::spawn_blocking(read).await.ok().flatten().map(Arc::new)
}

struct File {
    content_type: &'static str,
    /// With its quotes.
    etag: String,
    plain: Bytes,
    gzip: Bytes,
}

impl File {
    fn read(directory: &Path, name: &str) -> Option<File> {
        let plain = std::fs::read(directory.join(name)).ok()?;
        let script = name.ends_with(".js");
        let content_type = if script { "application/javascript; charset=utf-8" } else { "application/json" };
        let etag = format!("\"{}\"", hex(&Sha256::digest(&plain)[..10]));
        Some(File { content_type, etag, gzip: compress(&plain)?, plain: plain.into() })
    }

    fn answer(&self, headers: &HeaderMap) -> Response {
        let common = [
            (header::ETAG, self.etag.as_str()),
            (header::CACHE_CONTROL, "public, max-age=0"),
            (header::VARY, "Accept-Encoding"),
            // A public script: pages of any origin may import it as a module.
            (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
        ];
        if list(headers, header::IF_NONE_MATCH).any(|tag| tag == "*" || tag.trim_start_matches("W/") == self.etag) {
            return (StatusCode::NOT_MODIFIED, common).into_response();
        }
        let content_type = [(header::CONTENT_TYPE, self.content_type)];
        if list(headers, header::ACCEPT_ENCODING).any(accepts_gzip) {
            let encoding = [(header::CONTENT_ENCODING, "gzip")];
            return (common, content_type, encoding, self.gzip.clone()).into_response();
        }
        (common, content_type, self.plain.clone()).into_response()
    }
}

/// The members of a comma-separated header.
fn list(headers: &HeaderMap, name: header::HeaderName) -> impl Iterator<Item = &str> {
    let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim)
}

/// `gzip`, `gzip;q=0.8`; not `gzip;q=0`.
fn accepts_gzip(member: &str) -> bool {
    let (coding, parameters) = member.split_once(';').unwrap_or((member, ""));
    let quality = parameters.trim().strip_prefix("q=").map_or(Some(1.0), |quality| quality.parse::<f32>().ok());
    coding.trim().eq_ignore_ascii_case("gzip") && quality.is_some_and(|quality| quality > 0.0)
}

fn compress(plain: &[u8]) -> Option<Bytes> {
    use std::io::Write;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(plain).ok()?;
    encoder.finish().ok().map(Bytes::from)
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use axum::body::Body;
    use axum::http::Request;

    use super::super::testing::{Fake, ask, public_get};
    use super::*;

    fn served() -> (tempfile::TempDir, Fake) {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("socket.io.js"), "let io = 1;\n".repeat(200)).unwrap();
        std::fs::write(directory.path().join("socket.io.js.map"), "{}").unwrap();
        std::fs::write(directory.path().join("secret.txt"), "secret").unwrap();
        let settings = Settings {
            client_dir: Some(directory.path().to_owned()),
            engine_paths: vec!["/socket.io/".into(), "/api/socket".into()],
            ..Settings::default()
        };
        (directory, Fake { settings, ..Fake::default() })
    }

    fn get_with(path: &str, name: &str, value: &str) -> Request<Body> {
        Request::get(path).header("host", "siod.example").header(name, value).body(Body::empty()).unwrap()
    }

    #[tokio::test]
    async fn files_come_plain_or_compressed_or_not_at_all() {
        let (_directory, fake) = served();
        let router = super::super::public(fake.api(), None);
        let plain = ask(router.clone(), public_get("/socket.io/socket.io.js")).await;
        assert_eq!((plain.status, plain.body.len()), (200, 2400));
        assert_eq!(plain.header("content-type"), "application/javascript; charset=utf-8");
        assert_eq!(plain.header("cache-control"), "public, max-age=0");
        let zipped =
            ask(router.clone(), get_with("/socket.io/socket.io.js", "accept-encoding", "br, gzip;q=0.5")).await;
        assert_eq!(zipped.header("content-encoding"), "gzip");
        let mut text = String::new();
        flate2::read::GzDecoder::new(&zipped.body[..]).read_to_string(&mut text).unwrap();
        assert_eq!(text.as_bytes(), &plain.body[..]);
        let etag = plain.header("etag").to_owned();
        for tag in [etag.clone(), format!("W/{etag}"), format!("\"other\", {etag}"), "*".into()] {
            let answer = ask(router.clone(), get_with("/socket.io/socket.io.js", "if-none-match", &tag)).await;
            assert_eq!((answer.status, answer.body.len()), (304, 0), "{tag}");
        }
        let map = ask(router.clone(), public_get("/api/socket/socket.io.js.map")).await;
        assert_eq!((map.status, map.header("content-type")), (200, "application/json"));
        assert_eq!(ask(router, public_get("/socket.io/socket.io.min.js")).await.status, 404);
    }

    /// B71.
    #[tokio::test]
    async fn no_path_reaches_another_file() {
        let (_directory, fake) = served();
        for path in [
            "/socket.io/secret.txt",
            "/socket.io/../secret.txt",
            "/socket.io/../../etc/passwd",
            "/socket.io/%2e%2e/secret.txt",
            "/socket.io/..%5csecret.txt",
            "/socket.io//secret.txt",
            "/socket.io/socket.io.js/../secret.txt",
            "/socket.io/socket.io.js%00.map",
        ] {
            let answer = ask(super::super::public(fake.api(), None), public_get(path)).await;
            assert_eq!(answer.status, 404, "{path}");
            assert!(!answer.text().contains("secret"), "{path}");
        }
    }

    #[tokio::test]
    async fn without_a_directory_the_answer_says_what_to_do() {
        let answer =
            ask(super::super::public(Fake::default().api(), None), public_get("/socket.io/socket.io.js")).await;
        assert_eq!(answer.status, 404);
        assert!(answer.text().contains("client_dir"));
    }

    #[test]
    fn a_client_file_is_told_from_an_engine_request() {
        for (path, expected) in [
            ("/socket.io/socket.io.js", true),
            ("/socket.io/socket.io.msgpack.min.js.map", true),
            ("/socket.io/", false),
            ("/socket.io/foo", false),
            ("/socket.io/x/socket.io.js", false),
            ("/socket.io.js", false),
        ] {
            assert_eq!(is_client_file(path, "/socket.io/"), expected, "{path}");
        }
    }

    #[test]
    fn quality_zero_is_a_refusal() {
        for (member, expected) in
            [("gzip", true), ("GZIP; q=0.1", true), ("gzip;q=0", false), ("gzip;q=0.0", false), ("br", false)]
        {
            assert_eq!(accepts_gzip(member), expected, "{member}");
        }
    }
}
