//! The daemon as HTTP callers reach it: one message to a shard and one answer, each within a time limit.

use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot, watch};

use super::plan::Plan;
use crate::api::backend::{Answers, Backend, BoxFuture, Intake};
use crate::api::{self, Api, Served, ServedApplication, ServedListener};
use crate::app::AuthFailure;
use crate::app::identity::Identity;
use crate::app::job::{Blob, JobError};
use crate::app::reply::Answer;
use crate::app::route::Call;
use crate::app::route::shell::Items;
use crate::app::upload::{News, Take};
use crate::base::ids::{AppId, Key, ReqId, ShardId};
use crate::hashing::Hasher;
use crate::net::calls;
use crate::net::core::Refusals;
use crate::net::guard::Guard;
use crate::net::linger::Lingered;
use crate::net::mailbox::{Mailbox, Mailboxes, Message};
use crate::shard::ShardConfig;
use crate::shard::sample::{ByJob, ShardSample, StoreSample};
use crate::store::{self, Health, Store};
use crate::upstream::Upstream;

pub(crate) use crate::api::backend::Readiness;

/// How long a scrape waits for a shard before it shows the shard's last figures.
const SCRAPE_TIMEOUT: Duration = Duration::from_millis(500);
/// How long one sight of the shards is good enough for callers who may ask as often as they like.
const GLANCE_LASTS: Duration = Duration::from_secs(1);

/// The running daemon.
pub(crate) struct Daemon {
    shard_config: Arc<ShardConfig>,
    settings: Arc<api::Settings>,
    mailboxes: Mailboxes,
    store: Store,
    upstream: Upstream,
    hasher: Hasher,
    refusals: Arc<Refusals>,
    lingered: Arc<Lingered>,
    guard: OnceLock<Arc<Guard>>,
    readiness: Mutex<Readiness>,
    drain: Notify,
    /// Whether it drains.
    draining: watch::Sender<bool>,
    /// HTTP calls so far: each has a number of its own.
    calls: AtomicU64,
    /// Each shard's last answer to a scrape.
    last: Mutex<Vec<ShardSample>>,
    /// What the last glance saw, and when.
    glance: tokio::sync::Mutex<Option<(Instant, Arc<[ShardSample]>)>>,
    /// Names of the applications, by their ids.
    names: Vec<&'static str>,
}

impl Daemon {
    pub(crate) fn new(plan: &Plan, mailboxes: Mailboxes, ends: (Store, Upstream, Hasher)) -> Arc<Daemon> {
        let (store, upstream, hasher) = ends;
        let stale = |shard| ShardSample { shard: shard as u16, stale: true, ..ShardSample::default() };
        Arc::new(Daemon {
            shard_config: plan.shard_config.clone(),
            settings: Arc::new(api_settings(plan)),
            last: Mutex::new((0..mailboxes.len()).map(stale).collect()),
            glance: tokio::sync::Mutex::default(),
            mailboxes,
            store,
            upstream,
            hasher,
            refusals: Arc::default(),
            lingered: Arc::default(),
            guard: OnceLock::new(),
            readiness: Mutex::new(Readiness::Starting),
            drain: Notify::new(),
            draining: watch::Sender::new(false),
            calls: AtomicU64::new(0),
            names: plan.apps.iter().map(|planned| planned.app.row.name).collect(),
        })
    }

    pub(crate) fn mailboxes(&self) -> Mailboxes {
        self.mailboxes.clone()
    }

    pub(crate) fn refusals(&self) -> Arc<Refusals> {
        self.refusals.clone()
    }

    pub(crate) fn lingered(&self) -> Arc<Lingered> {
        self.lingered.clone()
    }

    /// The guard whose connections a drain counts.
    pub(crate) fn watch(&self, guard: Arc<Guard>) {
        // Set once, by the one who starts the cores.
        let _ = self.guard.set(guard);
    }

    /// What a listener with this root answers beside the engine.
    pub(crate) fn public_router(self: Arc<Daemon>, root: Option<&'static str>) -> axum::Router {
        api::public(self.api(), root)
    }

    pub(crate) fn admin_router(self: Arc<Daemon>) -> axum::Router {
        api::admin(self.api())
    }

    pub(crate) fn set_readiness(&self, readiness: Readiness) {
        *self.readiness.lock() = readiness;
    }

    /// Resolves when a drain is asked for by HTTP.
    pub(crate) async fn drain_asked(&self) {
        self.drain.notified().await;
    }

    /// Changes when the drain begins to close clients.
    pub(crate) fn draining(&self) -> watch::Receiver<bool> {
        self.draining.subscribe()
    }

    /// Tells every shard to close its clients within `window`, and shells that theirs end now.
    pub(crate) fn drain_shards(&self, window: Duration) {
        self.draining.send_replace(true);
        for mailbox in self.mailboxes.iter() {
            mailbox.send(Message::Drain { window_ms: window.as_millis() as u64 });
        }
    }

    /// Open TCP connections.
    pub(crate) fn connections(&self) -> usize {
        self.guard.get().map_or(0, |guard| guard.connections())
    }

    fn api(self: Arc<Daemon>) -> Api {
        Api { settings: self.settings.clone(), backend: self }
    }

    /// Asks all shards at once and waits for each until the same moment.
    async fn samples(&self) -> Vec<ShardSample> {
        let deadline = tokio::time::Instant::now() + SCRAPE_TIMEOUT;
        let ask = |mailbox: &Mailbox| {
            let (sender, receiver) = oneshot::channel();
            mailbox.send(Message::Sample(sender));
            receiver
        };
        let asked: Vec<_> = self.mailboxes.iter().map(ask).collect();
        let mut samples = Vec::with_capacity(asked.len());
        for (shard, answer) in asked.into_iter().enumerate() {
            samples.push(match tokio::time::timeout_at(deadline, answer).await {
                Ok(Ok(sample)) => {
                    self.last.lock()[shard] = sample.clone();
                    sample
                }
                _ => ShardSample { stale: true, ..self.last.lock()[shard].clone() },
            });
        }
        samples
    }
}

impl Items for calls::Answers {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Answer>> {
        calls::Answers::poll_next(self, cx)
    }
}

impl Answers for calls::Answers {
    fn tell(&mut self, news: News) {
        calls::Answers::tell(self, news);
    }
}

/// Where nobody will answer.
struct Nobody;

impl Items for Nobody {
    fn poll_next(&mut self, _: &mut Context<'_>) -> Poll<Option<Answer>> {
        Poll::Ready(None)
    }
}

impl Answers for Nobody {
    fn tell(&mut self, _: News) {}
}

impl Intake for store::Intake {
    fn push(&mut self, bytes: Bytes) -> BoxFuture<'_, Result<(), JobError>> {
        Box::pin(store::Intake::push(self, bytes))
    }

    fn finish(self: Box<Self>, mime: &'static str) -> BoxFuture<'static, Result<Blob, JobError>> {
        Box::pin(store::Intake::finish(*self, mime))
    }
}

impl Backend for Daemon {
    fn readiness(&self) -> Readiness {
        match (self.readiness.lock().clone(), self.store.health()) {
            (Readiness::Ready, Health::Degraded { text, .. }) => Readiness::Degraded(format!("store: {text}")),
            (readiness, _) => readiness,
        }
    }

    fn scrape(&self) -> BoxFuture<'_, Vec<ShardSample>> {
        Box::pin(async {
            let mut samples = self.samples().await;
            // Refusals that no shard has seen are shown with the first.
            if let Some(first) = samples.first_mut() {
                let refused = first.refused.iter_mut().zip(self.refusals.by_code());
                refused.for_each(|(count, before)| *count += before);
                first.overload = self.refusals.overload();
                (first.lingering, first.lingering_cut) = (self.lingered.now(), self.lingered.cut());
                first.store_us = self.store.latency();
                first.store = store_sample(&self.store);
                first.fetches = self.upstream.samples();
                first.links.extend(self.upstream.link_samples());
                first.hashes = self.hasher.samples();
            }
            samples
        })
    }

    fn glance(&self) -> BoxFuture<'_, Arc<[ShardSample]>> {
        Box::pin(async {
            // A caller that comes while the shards are asked waits here for the same answer.
            let mut glance = self.glance.lock().await;
            match &*glance {
                Some((at, samples)) if at.elapsed() < GLANCE_LASTS => samples.clone(),
                _ => {
                    let samples: Arc<[ShardSample]> = self.scrape().await.into();
                    *glance = Some((Instant::now(), samples.clone()));
                    samples
                }
            }
        })
    }

    fn call(&self, app: &'static str, call: Call, cut: Arc<Notify>) -> Box<dyn Answers> {
        let Some(app) = self.names.iter().position(|name| *name == app) else { return Box::new(Nobody) };
        let app = AppId(app as u16);
        let shard = self.shard_config.placement.of_home(app, &call.home, ShardId(0));
        let number = self.calls.fetch_add(1, Ordering::Relaxed);
        let key = Key { slot: number as u32, generation: (number >> 32) as u32 };
        let req = ReqId { shard, key };
        let (asker, answers) = calls::open(req, self.mailboxes.clone(), cut);
        self.mailboxes[usize::from(shard.0)].send(Message::Call { req, app, call: Box::new(call), asker });
        Box::new(answers)
    }

    fn take(&self, take: Take) -> Result<Box<dyn Intake>, JobError> {
        Ok(Box::new(self.store.take(take)?))
    }

    fn blob(&self, shelf: &'static str, id: String) -> BoxFuture<'_, Result<Option<Blob>, JobError>> {
        Box::pin(async move { self.store.blob(shelf, &id).await })
    }

    fn contents(&self, blob: Blob, part: Range<u64>) -> BoxFuture<'_, io::Result<Bytes>> {
        let store = self.store.clone();
        Box::pin(async move { tokio::task::spawn_blocking(move || store.part(&blob, part)).await? })
    }

    fn verify(&self, token: &str) -> Result<Arc<Identity>, AuthFailure> {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        self.shard_config.authenticator.verify(token, now.into())
    }

    fn drain(&self) {
        self.drain.notify_one();
    }
}

fn store_sample(store: &Store) -> StoreSample {
    let counters = store.counters();
    StoreSample {
        commits: counters.commits,
        done: ByJob { write: counters.written, read: counters.reads, blob: counters.blobs },
        failed: ByJob { write: counters.write_failures, read: counters.read_failures, blob: counters.blob_failures },
        queue_depth: store.queue_depth() as u64,
        blob_bytes: counters.blob_bytes,
        blobs_dropped: counters.blobs_dropped,
    }
}

fn api_settings(plan: &Plan) -> api::Settings {
    let paths = plan.listeners.iter().flat_map(|listener| &listener.routes).map(|route| route.path.clone());
    let mut engine_paths: Vec<String> = paths.filter(|path| path.ends_with('/')).collect();
    engine_paths.sort_unstable();
    engine_paths.dedup();
    api::Settings {
        served: served(plan),
        engine_paths,
        client_dir: plan.client_dir.clone(),
        static_roots: plan.listeners.iter().map(|listener| listener.static_root.clone()).collect(),
        dialects: plan.listeners.iter().map(|listener| listener.root.zip(listener.dialect)).collect(),
        admin_token: plan.admin_token.clone(),
        metrics: plan.apps.iter().map(|app| app.app.row.metrics).collect(),
        applications: plan.apps.iter().map(|planned| planned.app.row).collect(),
        chosen: plan.apps.iter().map(|planned| (planned.app.row.name, planned.app.settings.shared())).collect(),
        ..api::Settings::default()
    }
}

fn served(plan: &Plan) -> Served {
    let application = |app: &super::plan::PlannedApp| ServedApplication {
        name: app.app.row.name.to_owned(),
        namespaces: app.namespaces.clone(),
        page: (!app.app.row.http.pages.is_empty()).then(|| format!("/{}/", app.app.row.name)),
    };
    let listener = |listener: &super::plan::PlannedListener| ServedListener {
        bind: listener.bind.addr.to_string(),
        root: listener.root.unwrap_or("none").to_owned(),
        paths: listener.routes.iter().map(|route| route.path.clone()).collect(),
    };
    Served {
        applications: plan.apps.iter().map(application).collect(),
        listeners: plan.listeners.iter().map(listener).collect(),
        auth_mode: if plan.dev { "dev" } else { "jwt" }.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::Home;

    /// A daemon whose shards do not run: nobody takes what is in their mailboxes.
    fn daemon(shards: usize) -> Arc<Daemon> {
        let mut config = crate::config::Config::untold(&crate::apps::TABLE);
        config.server.shards = shards as u16;
        let mut plan = Plan::of(&config).unwrap();
        plan.store.url = "memory:".to_owned();
        let (store, upstream) = (Store::open(&plan.store).unwrap(), Upstream::start(&plan.upstream).unwrap());
        let ends = (store, upstream, Hasher::start(&plan.upstream.apps).unwrap());
        Daemon::new(&plan, (0..shards).map(|_| Mailbox::default()).collect(), ends)
    }

    #[tokio::test]
    async fn every_call_is_a_request_of_its_own_at_the_shard_of_its_home() {
        let daemon = daemon(2);
        let row = crate::apps::TABLE.rows.iter().find(|row| !row.http.routes.is_empty()).unwrap();
        let call = |tenant: &str| Call {
            home: Home::Tenant(tenant.to_owned()),
            ..Call::of(&row.http.routes[0], "127.0.0.1".parse().unwrap())
        };
        let waiting: Vec<_> = (0..32).map(|n| daemon.call(row.name, call(&n.to_string()), Arc::default())).collect();
        let mut seen = Vec::new();
        for (shard, mailbox) in daemon.mailboxes.iter().enumerate() {
            while let Some(Message::Call { req, .. }) = mailbox.take() {
                assert_eq!(usize::from(req.shard.0), shard);
                seen.push(req.key);
            }
        }
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), waiting.len());
        drop(waiting);
        assert_eq!(
            daemon.mailboxes.iter().map(Mailbox::depth).sum::<usize>(),
            32,
            "every home hears that its asker left"
        );
        let mut nobody = daemon.call("nobody", call("x"), Arc::default());
        assert_eq!(std::future::poll_fn(|cx| nobody.poll_next(cx)).await, None);
    }

    #[tokio::test]
    async fn all_shards_are_asked_at_once_and_glances_within_a_second_share_the_answer() {
        let daemon = daemon(4);
        let begun = Instant::now();
        let (first, second) = tokio::join!(daemon.glance(), daemon.glance());
        assert!(begun.elapsed() < SCRAPE_TIMEOUT * 2, "{:?}", begun.elapsed());
        assert!(first.len() == 4 && first.iter().all(|sample| sample.stale));
        assert!(Arc::ptr_eq(&first, &second));
        assert!(Arc::ptr_eq(&first, &daemon.glance().await));
        assert!(daemon.mailboxes.iter().all(|mailbox| mailbox.depth() == 1));
    }
}
