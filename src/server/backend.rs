//! The daemon as HTTP callers reach it: one message to a shard and one answer, each within a time limit.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};
use tracing::error;

use super::plan::Plan;
use crate::api::backend::{Backend, BoxFuture, Reply};
use crate::api::{self, Api, Served, ServedApplication, ServedListener};
use crate::app::effect::{Outcome, Query};
use crate::app::event::Call;
use crate::app::kit::identity::Identity;
use crate::app::signage::job::Snapshot;
use crate::app::{AuthFailure, Home};
use crate::base::ids::{NspId, ReqId, ShardId};
use crate::base::slab::Slab;
use crate::base::time::WallMillis;
use crate::net::core::Refusals;
use crate::net::guard::Guard;
use crate::net::mailbox::{Mailboxes, Message};
use crate::shard::ShardConfig;
use crate::shard::sample::ShardSample;
use crate::store::{Health, Store};

pub use crate::api::backend::Readiness;

/// How long a scrape waits for a shard before it shows the shard's last figures.
const SCRAPE_TIMEOUT: Duration = Duration::from_millis(500);
/// How long an HTTP call waits for its application.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// The running daemon.
pub struct Daemon {
    shard_config: Arc<ShardConfig>,
    settings: Arc<api::Settings>,
    mailboxes: Mailboxes,
    store: Store,
    refusals: Arc<Refusals>,
    guard: OnceLock<Arc<Guard>>,
    readiness: Mutex<Readiness>,
    drain: Notify,
    /// HTTP calls that wait for an application.
    calls: Mutex<Slab<oneshot::Sender<Reply>>>,
    /// Each shard's last answer to a scrape.
    last: Mutex<Vec<ShardSample>>,
    /// Namespace of signage, where it is served.
    signage: Option<NspId>,
}

impl Daemon {
    pub fn new(plan: &Plan, mailboxes: Mailboxes, store: Store) -> Arc<Daemon> {
        let stale = |shard| ShardSample { shard: shard as u16, stale: true, ..ShardSample::default() };
        let signage = plan.apps.iter().position(|app| app.name == crate::app::name::AppName::Signage);
        Arc::new(Daemon {
            shard_config: plan.shard_config.clone(),
            settings: Arc::new(api_settings(plan)),
            last: Mutex::new((0..mailboxes.len()).map(stale).collect()),
            mailboxes,
            store,
            refusals: Arc::default(),
            guard: OnceLock::new(),
            readiness: Mutex::new(Readiness::Starting),
            drain: Notify::new(),
            calls: Mutex::default(),
            signage: signage.map(|index| NspId(index as u16)),
        })
    }

    pub fn mailboxes(&self) -> Mailboxes {
        self.mailboxes.clone()
    }

    pub fn refusals(&self) -> Arc<Refusals> {
        self.refusals.clone()
    }

    /// Whose connections a drain counts.
    pub fn watch(&self, guard: Arc<Guard>) {
        // Set once, by whoever starts the cores.
        let _ = self.guard.set(guard);
    }

    pub fn public_router(self: Arc<Daemon>) -> axum::Router {
        api::public(self.api())
    }

    /// Serves the admin listener until the process ends.
    pub async fn serve_admin(self: Arc<Daemon>, listener: tokio::net::TcpListener) {
        let service = api::admin(self.api()).into_make_service_with_connect_info::<SocketAddr>();
        if let Err(error) = axum::serve(listener, service).await {
            error!(target: "siod::server", %error, "the admin listener has failed");
        }
    }

    pub fn set_readiness(&self, readiness: Readiness) {
        *self.readiness.lock() = readiness;
    }

    /// Resolves when a drain is asked for by HTTP.
    pub async fn drain_asked(&self) {
        self.drain.notified().await;
    }

    /// Tells every shard to close its clients within `window`.
    pub fn drain_shards(&self, window: Duration) {
        for mailbox in self.mailboxes.iter() {
            mailbox.send(Message::Drain { window_ms: window.as_millis() as u64 });
        }
    }

    /// Open TCP connections.
    pub fn connections(&self) -> usize {
        self.guard.get().map_or(0, |guard| guard.connections())
    }

    /// An application's answer to an HTTP call; a caller that has given up is not missed.
    pub fn reply(&self, req: ReqId, status: u16, body: String) {
        if let Some(caller) = self.calls.lock().remove(req.key) {
            let _ = caller.send(Reply { status, body });
        }
    }

    fn api(self: Arc<Daemon>) -> Api {
        Api { settings: self.settings.clone(), backend: self }
    }

    async fn sample(&self, shard: usize) -> ShardSample {
        let (sender, receiver) = oneshot::channel();
        self.mailboxes[shard].send(Message::Sample(sender));
        match tokio::time::timeout(SCRAPE_TIMEOUT, receiver).await {
            Ok(Ok(sample)) => {
                self.last.lock()[shard] = sample.clone();
                sample
            }
            _ => ShardSample { stale: true, ..self.last.lock()[shard].clone() },
        }
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
            let mut samples = Vec::with_capacity(self.mailboxes.len());
            for shard in 0..self.mailboxes.len() {
                samples.push(self.sample(shard).await);
            }
            // What no shard has seen is shown with the first.
            if let Some(first) = samples.first_mut() {
                let refused = first.refused.iter_mut().zip(self.refusals.by_code());
                refused.for_each(|(count, before)| *count += before);
                first.store_us = self.store.latency();
            }
            samples
        })
    }

    fn call(&self, home: Home, call: Call) -> BoxFuture<'_, Option<Reply>> {
        Box::pin(async move {
            let nsp = match &call {
                Call::Signage(_) => self.signage?,
            };
            let (sender, receiver) = oneshot::channel();
            let key = self.calls.lock().insert(sender);
            let shard = self.shard_config.placement.of_home(nsp, &home, ShardId(0));
            let req = ReqId { shard, key };
            self.mailboxes[usize::from(shard.0)].send(Message::Call { req, nsp, call });
            let reply = tokio::time::timeout(CALL_TIMEOUT, receiver).await.ok()?.ok();
            self.calls.lock().remove(key);
            reply
        })
    }

    fn read(&self, query: Query) -> BoxFuture<'_, Outcome> {
        Box::pin(self.store.read(query))
    }

    fn picture(&self, row: Snapshot) -> BoxFuture<'_, io::Result<Bytes>> {
        let store = self.store.clone();
        Box::pin(async move { tokio::task::spawn_blocking(move || store.picture(&row)).await? })
    }

    fn verify(&self, token: &str) -> Result<Arc<Identity>, AuthFailure> {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        self.shard_config.authenticator.verify(token, WallMillis(now.as_millis() as u64))
    }

    fn drain(&self) {
        self.drain.notify_one();
    }
}

fn api_settings(plan: &Plan) -> api::Settings {
    let paths = plan.listeners.iter().flat_map(|listener| &listener.routes).map(|route| route.path.clone());
    let mut engine_paths: Vec<String> = paths.filter(|path| path.ends_with('/')).collect();
    engine_paths.sort_unstable();
    engine_paths.dedup();
    api::Settings {
        started: Instant::now(),
        started_at: SystemTime::now(),
        served: served(plan),
        engine_paths,
        client_dir: plan.client_dir.clone(),
        admin_token: plan.admin_token.expose().to_owned(),
    }
}

fn served(plan: &Plan) -> Served {
    let application = |app: &super::plan::PlannedApp| ServedApplication {
        name: app.name.as_str().to_owned(),
        namespaces: vec![app.namespace.clone()],
    };
    let listener = |listener: &super::plan::PlannedListener| ServedListener {
        bind: listener.bind.to_string(),
        root: listener.root.map_or("none", |root| root.as_str()).to_owned(),
        paths: listener.routes.iter().map(|route| route.path.clone()).collect(),
    };
    Served {
        applications: plan.apps.iter().map(application).collect(),
        listeners: plan.listeners.iter().map(listener).collect(),
        auth_mode: if plan.dev { "dev" } else { "jwt" }.to_owned(),
    }
}
