//! A daemon made of constants, and a request at a router: what the tests of this layer share.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{HeaderMap, Request};
use bytes::Bytes;
use http_body_util::BodyExt;
use tower::ServiceExt;

use super::backend::{Backend, BoxFuture, Readiness, Reply};
use super::{Api, Settings};
use crate::app::event::Call;
use crate::app::identity::{AuthMethod, Claims, Identity};
use crate::app::job::{Blob, JobError, JobErrorKind, Outcome};
use crate::app::sql::Statement;
use crate::app::{AuthFailure, Home};
use crate::shard::sample::ShardSample;

/// What the daemon would say.
pub struct Fake {
    pub readiness: Readiness,
    pub samples: Vec<ShardSample>,
    pub settings: Settings,
    /// Answer to every question to the store.
    pub outcome: Outcome,
    /// Answer to every call; `None`: nobody answers.
    pub reply: Option<Reply>,
    /// Every blob, and its bytes; `None`: it has gone.
    pub blob: Option<Blob>,
    pub contents: Option<Bytes>,
    /// `(token, identity)`; any other token is invalid.
    pub tokens: Vec<(&'static str, Identity)>,
    pub seen: Arc<Seen>,
}

/// What the routes asked of the daemon.
#[derive(Default)]
pub struct Seen {
    pub calls: Mutex<Vec<(Home, String)>>,
    pub drains: AtomicUsize,
    pub glances: AtomicUsize,
    pub scrapes: AtomicUsize,
}

impl Default for Fake {
    fn default() -> Self {
        let failed = JobError { kind: JobErrorKind::Unavailable, text: "no store in this test".into() };
        Fake {
            readiness: Readiness::Ready,
            samples: vec![ShardSample::default()],
            settings: Settings::default(),
            outcome: Outcome::Failed(failed),
            reply: None,
            blob: None,
            contents: None,
            tokens: Vec::new(),
            seen: Arc::default(),
        }
    }
}

impl Fake {
    pub fn api(&self) -> Api {
        let daemon = Daemon {
            readiness: self.readiness.clone(),
            samples: self.samples.clone(),
            outcome: self.outcome.clone(),
            reply: self.reply.clone(),
            blob: self.blob.clone(),
            contents: self.contents.clone(),
            tokens: self.tokens.clone(),
            seen: self.seen.clone(),
        };
        Api { backend: Arc::new(daemon), settings: Arc::new(self.settings.clone()) }
    }
}

pub fn identity(sub: &str, role: &str) -> Identity {
    Claims { sub: sub.into(), role: role.into(), method: AuthMethod::Jwt, ..Claims::default() }.into()
}

struct Daemon {
    readiness: Readiness,
    samples: Vec<ShardSample>,
    outcome: Outcome,
    reply: Option<Reply>,
    blob: Option<Blob>,
    contents: Option<Bytes>,
    tokens: Vec<(&'static str, Identity)>,
    seen: Arc<Seen>,
}

impl Backend for Daemon {
    fn readiness(&self) -> Readiness {
        self.readiness.clone()
    }

    fn scrape(&self) -> BoxFuture<'_, Vec<ShardSample>> {
        self.seen.scrapes.fetch_add(1, Ordering::SeqCst);
        Box::pin(async { self.samples.clone() })
    }

    fn glance(&self) -> BoxFuture<'_, Arc<[ShardSample]>> {
        self.seen.glances.fetch_add(1, Ordering::SeqCst);
        Box::pin(async { self.samples.clone().into() })
    }

    fn call(&self, _: &'static str, home: Home, call: Call) -> BoxFuture<'_, Option<Reply>> {
        self.seen.calls.lock().unwrap().push((home, format!("{call:?}")));
        Box::pin(async { self.reply.clone() })
    }

    fn read(&self, _questions: Vec<Statement>) -> BoxFuture<'_, Outcome> {
        Box::pin(async { self.outcome.clone() })
    }

    fn blob(&self, _shelf: &'static str, _id: String) -> BoxFuture<'_, Result<Option<Blob>, JobError>> {
        Box::pin(async { Ok(self.blob.clone()) })
    }

    fn contents(&self, _blob: Blob) -> BoxFuture<'_, io::Result<Bytes>> {
        Box::pin(async { self.contents.clone().ok_or(io::ErrorKind::NotFound.into()) })
    }

    fn verify(&self, token: &str) -> Result<Arc<Identity>, AuthFailure> {
        let known = self.tokens.iter().find(|(known, _)| *known == token);
        known.map(|(_, identity)| Arc::new(identity.clone())).ok_or(AuthFailure::Invalid)
    }

    fn drain(&self) {
        self.seen.drains.fetch_add(1, Ordering::SeqCst);
    }
}

/// An answer, read to its end.
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).expect("a JSON body")
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("a text header"))
    }
}

pub async fn ask(router: Router, request: Request<Body>) -> Answer {
    let response = router.oneshot(request).await.expect("a router always answers");
    let (parts, body) = response.into_parts();
    let body = body.collect().await.expect("bodies of this layer do not fail").to_bytes();
    Answer { status: parts.status.as_u16(), headers: parts.headers, body }
}

pub fn public_get(path: &str) -> Request<Body> {
    Request::get(path).header("host", "siod.example").body(Body::empty()).unwrap()
}

pub fn admin_get(path: &str) -> Request<Body> {
    admin_request("GET", path, "127.0.0.1:40000", &[("host", "127.0.0.1:9464")])
}

pub fn admin_request(method: &str, path: &str, peer: &str, headers: &[(&str, &str)]) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let peer: SocketAddr = peer.parse().expect("an address");
    request.extension(ConnectInfo(peer)).body(Body::empty()).unwrap()
}
