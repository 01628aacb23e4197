//! A daemon made of constants, and a request at a router: what the tests of this layer share.

pub(crate) mod album;

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::ops::Range;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{HeaderMap, Request};
use bytes::Bytes;
use http_body_util::BodyExt;
use tokio::sync::Notify;
use tokio::time::{Instant, Sleep, sleep};
use tower::ServiceExt;

use super::backend::{Answers, Backend, BoxFuture, Intake, Readiness};
use super::{Api, Settings};
use crate::app::identity::{AuthMethod, Claims, Identity};
use crate::app::job::{Blob, JobError, JobErrorKind};
use crate::app::kind::IMAGES;
use crate::app::reply::{Answer as Told, Reply};
use crate::app::route::shell::Items;
use crate::app::route::{Bare, Body as Kind, Call, Door, Http, Method, Page, Param, Place, Refused, Route, Who};
use crate::app::settings::Chosen;
use crate::app::table::Row;
use crate::app::upload::{News, Take};
use crate::app::{AuthFailure, Home};
use crate::base::ids::Sid;
use crate::base::time::WallMillis;
use crate::shard::sample::ShardSample;

/// An application with routes of every sort, whose errors have a form of their own.
pub(crate) const ROWS: &[&Row] = &[&Row {
    http: Http {
        routes: &[
            Route {
                who: Who::Token { in_query: false },
                params: &[NOTE],
                ..route("note", Method::Get, "/notes/{note}")
            },
            Route { params: &[NOTE], ..route("forget", Method::Delete, "/notes/{note}") },
            Route { who: Who::Token { in_query: true }, ..route("picture", Method::Get, "/picture") },
            Route { who: Who::Session { cookie: |_| Some("sid".to_owned()) }, ..route("mine", Method::Get, "/mine") },
            Route { body: HOOK, ..route("file", Method::Post, "/files/{*path}") },
            Route {
                bare: Bare::AtRoot,
                body: Kind::Json { bytes_max: 16 },
                ..route("echo", Method::Post, "/api/echo")
            },
            Route { bare: Bare::Everywhere, body: HOOK, ..route("hook", Method::Post, "/hook/{of}") },
            Route { home: of_all, ..route("each", Method::Get, "/each") },
            Route { body: Kind::Upload { bytes_max: 40 }, ..route("upload", Method::Post, "/upload") },
            Route { door: Door::Admin, ..route("ledger", Method::Get, "/ledger") },
        ],
        pages: &[
            Page { path: "/", bare: Bare::No, mime: "text/html; charset=utf-8", text: "<p>desk</p>" },
            Page { path: "/desk.js", bare: Bare::AtRoot, mime: "text/javascript; charset=utf-8", text: "1;" },
        ],
        error: |refused, _| serde_json::json!({ "fault": refused.code, "text": refused.text }).to_string(),
        commands: &[],
    },
    ..Row::new("desk", "", &["/desk"], || Chosen::<()>::untold(|()| unreachable!("nobody builds it")))
}];

const NOTE: Param = Param { name: "note", doc: "Which", default: None };
const HOOK: Kind = Kind::Raw { bytes_max: 16, headers: &["x-signature"] };

const fn route(name: &'static str, method: Method, path: &'static str) -> Route {
    Route::new(name, method, path, "A route.", |call| match call.query_value("refuse") {
        Some(_) => Err(Refused::new(409, "NOT_TODAY", "")),
        None => Ok(Place::At(Home::Tenant("one".to_owned()))),
    })
}

fn of_all(call: &Call) -> Result<Place, Refused> {
    let names = call.query_value("of").unwrap_or_default();
    Ok(Place::Each(names.split(',').map(|name| Home::Tenant(name.to_owned())).collect()))
}

/// What the daemon would say.
pub(crate) struct Fake {
    pub readiness: Readiness,
    pub samples: Vec<ShardSample>,
    pub settings: Settings,
    /// Files of uploads are taken, before the answer comes.
    pub takes: bool,
    /// What the store says of each piece; `None`: it keeps the file.
    pub intake_fails: Option<JobErrorKind>,
    /// Answer to every call; `None`: nobody answers.
    pub reply: Option<Reply>,
    /// What follows the answer, each after longer than a call waits.
    pub later: Vec<Told>,
    /// Homes that do not answer.
    pub silent: &'static [&'static str],
    /// The store answers no question.
    pub store_fails: bool,
    /// Every blob, and its bytes; `None`: it has gone.
    pub blob: Option<Blob>,
    pub contents: Option<Bytes>,
    /// `(token, identity)`; `ended` has ended, any other token is invalid.
    pub tokens: Vec<(&'static str, Identity)>,
    pub seen: Arc<Seen>,
}

/// What the routes asked of the daemon.
#[derive(Default)]
pub(crate) struct Seen {
    /// What the home of an upload has heard, and the pieces of its file that the store was handed.
    pub news: Mutex<Vec<News>>,
    pub pieces: Mutex<Vec<Bytes>>,
    pub calls: Mutex<Vec<Call>>,
    pub drains: AtomicUsize,
    pub glances: AtomicUsize,
    pub scrapes: AtomicUsize,
}

impl Default for Fake {
    fn default() -> Self {
        Fake {
            readiness: Readiness::Ready,
            samples: vec![ShardSample::default()],
            settings: Settings { applications: ROWS.into(), call_timeout: AT_ONCE, ..Settings::default() },
            takes: false,
            intake_fails: None,
            reply: None,
            later: Vec::new(),
            silent: &[],
            store_fails: false,
            blob: None,
            contents: None,
            tokens: Vec::new(),
            seen: Arc::default(),
        }
    }
}

impl Fake {
    /// The same, with no patience for bodies.
    pub(crate) fn hasty(mut self) -> Fake {
        self.settings.body_timeout = AT_ONCE;
        self
    }

    pub(crate) fn api(&self) -> Api {
        let daemon = Daemon {
            readiness: self.readiness.clone(),
            samples: self.samples.clone(),
            takes: self.takes,
            intake_fails: self.intake_fails,
            reply: self.reply.clone(),
            later: self.later.clone(),
            silent: self.silent,
            store_fails: self.store_fails,
            blob: self.blob.clone(),
            contents: self.contents.clone(),
            tokens: self.tokens.clone(),
            seen: self.seen.clone(),
        };
        Api { backend: Arc::new(daemon), settings: Arc::new(self.settings.clone()) }
    }
}

pub(crate) fn identity(sub: &str, role: &str) -> Identity {
    Claims { sub: sub.into(), role: role.into(), method: AuthMethod::Jwt, ..Claims::default() }.into()
}

struct Daemon {
    readiness: Readiness,
    samples: Vec<ShardSample>,
    takes: bool,
    intake_fails: Option<JobErrorKind>,
    reply: Option<Reply>,
    later: Vec<Told>,
    silent: &'static [&'static str],
    store_fails: bool,
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

    fn call(&self, _: &'static str, call: Call, _: Arc<Notify>) -> Box<dyn Answers> {
        let is_silent = matches!(&call.home, Home::Tenant(name) if self.silent.contains(&&**name));
        self.seen.calls.lock().unwrap().push(call);
        let take = self.takes.then(|| (Duration::ZERO, Told::Take(take())));
        let first = self.reply.clone().filter(|_| !is_silent).map(|reply| (Duration::ZERO, Told::Reply(reply)));
        let later = self.later.iter().cloned().map(|told| (AT_ONCE * 2, told));
        let (rest, pause) = (take.into_iter().chain(first).chain(later).collect(), Box::pin(sleep(Duration::ZERO)));
        Box::new(Script { rest, pause, takes: false, seen: self.seen.clone() })
    }

    fn take(&self, _: Take) -> Result<Box<dyn Intake>, JobError> {
        Ok(Box::new(Bin { fails: self.intake_fails, seen: self.seen.clone() }))
    }

    fn blob(&self, _shelf: &'static str, _id: String) -> BoxFuture<'_, Result<Option<Blob>, JobError>> {
        let known = if self.store_fails { Err(failed()) } else { Ok(self.blob.clone()) };
        Box::pin(async { known })
    }

    fn contents(&self, _blob: Blob, part: Range<u64>) -> BoxFuture<'_, io::Result<Bytes>> {
        let of = |bytes: Bytes| {
            let [start, end] = [part.start, part.end].map(|at| bytes.len().min(at as usize));
            bytes.slice(start..end)
        };
        let found = self.contents.clone().map(of).ok_or(io::ErrorKind::NotFound.into());
        Box::pin(async { found })
    }

    fn verify(&self, token: &str) -> Result<Arc<Identity>, AuthFailure> {
        let known = self.tokens.iter().find(|(known, _)| *known == token);
        let failure = if token == "ended" { AuthFailure::Expired } else { AuthFailure::Invalid };
        known.map(|(_, identity)| Arc::new(identity.clone())).ok_or(failure)
    }

    fn drain(&self) {
        self.seen.drains.fetch_add(1, Ordering::SeqCst);
    }
}

/// What a home says, and how long after what it has said before; then nothing, ever. Behind a file that it takes it waits for
/// the end of that.
struct Script {
    rest: VecDeque<(Duration, Told)>,
    pause: Pin<Box<Sleep>>,
    takes: bool,
    seen: Arc<Seen>,
}

impl Items for Script {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Told>> {
        if self.takes || self.rest.is_empty() || self.pause.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        let told = self.rest.pop_front().map(|(_, told)| told);
        self.takes = matches!(told, Some(Told::Take(_)));
        let pause = self.rest.front().map_or(Duration::ZERO, |(pause, _)| *pause);
        self.pause.as_mut().reset(Instant::now() + pause);
        Poll::Ready(told)
    }
}

impl Answers for Script {
    fn tell(&mut self, news: News) {
        self.takes &= matches!(news, News::Progress { .. });
        self.seen.news.lock().unwrap().push(news);
    }
}

fn take() -> Take {
    let id = Sid::parse("abcdefghijklmnopqrst").unwrap();
    Take { shelf: "s", id, at: WallMillis(0), bytes_max: 30, kinds: IMAGES, bounds: &[] }
}

/// A store for one file.
struct Bin {
    fails: Option<JobErrorKind>,
    seen: Arc<Seen>,
}

impl Intake for Bin {
    fn push(&mut self, bytes: Bytes) -> BoxFuture<'_, Result<(), JobError>> {
        self.seen.pieces.lock().unwrap().push(bytes);
        let fails = self.fails.map(|kind| JobError::new(kind, "no room in this test"));
        Box::pin(async { fails.map_or(Ok(()), Err) })
    }

    fn finish(self: Box<Self>, mime: &'static str) -> BoxFuture<'static, Result<Blob, JobError>> {
        let (bytes, hash) = (self.seen.pieces.lock().unwrap().concat().len() as u64, "ab12".to_owned());
        let (shelf, id, mime) = ("s".to_owned(), take().id.to_string(), mime.to_owned());
        let blob = Blob { shelf, id, at: WallMillis(0), mime, bytes, sha256: hash.clone(), file: hash };
        Box::pin(async { Ok(blob) })
    }
}

fn failed() -> JobError {
    JobError { kind: JobErrorKind::Unavailable, text: "no store in this test".into() }
}

/// Nobody is waited for in these tests: an answer is there when it is asked for.
const AT_ONCE: Duration = Duration::from_millis(20);

/// An answer, read to its end.
pub(crate) struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).expect("a JSON body")
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("a text header"))
    }
}

pub(crate) async fn ask(router: Router, request: Request<Body>) -> Answer {
    let response = router.oneshot(request).await.expect("a router always answers");
    let (parts, body) = response.into_parts();
    let body = body.collect().await.expect("bodies of this layer do not fail").to_bytes();
    Answer { status: parts.status.as_u16(), headers: parts.headers, body }
}

pub(crate) fn public_get(path: &str) -> Request<Body> {
    Request::get(path).header("host", "siod.example").body(Body::empty()).unwrap()
}

pub(crate) fn admin_get(path: &str) -> Request<Body> {
    admin_request("GET", path, "127.0.0.1:40000", &[("host", "127.0.0.1:9464")])
}

pub(crate) fn admin_request(method: &str, path: &str, peer: &str, headers: &[(&str, &str)]) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let peer: SocketAddr = peer.parse().expect("an address");
    request.extension(ConnectInfo(peer)).body(Body::empty()).unwrap()
}
