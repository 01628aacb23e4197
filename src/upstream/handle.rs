//! The door: what reactors and the control plane hold. Submitting never blocks; the answer comes by a call, exactly once.
//! Behind it one thread.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::Settings;
use super::client::Client;
use super::connect::Connector;
use super::link::links::{LinkName, Links};
use super::link::side::OnLink;
use super::places::Bounds;
use super::status::{OnFetched, Status};
use crate::app::fetch::{Fetch, FetchError, FetchFailure};
use crate::app::home::Flow;
use crate::app::link::{Dial, LinkOrder};
use crate::base::ids::{AppId, ShardId};
use crate::base::limit::FETCH_TIMEOUT_MS_MAX;
use crate::shard::sample::{FetchSample, LinkSample};

/// Requests to the outside; clones share it.
#[derive(Clone)]
pub struct Upstream {
    inner: Arc<Inner>,
}

struct Inner {
    runtime: tokio::runtime::Handle,
    client: Arc<Client>,
    links: Arc<Links>,
    status: Arc<Status>,
    thread: Mutex<Option<Running>>,
}

struct Running {
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl Upstream {
    /// Reads what the settings name and starts the thread.
    ///
    /// # Errors
    /// A sentence about what of the settings cannot be used.
    pub fn start(settings: &Settings) -> Result<Upstream, String> {
        Upstream::bounded(settings, Bounds::default())
    }

    pub(super) fn bounded(settings: &Settings, bounds: Bounds) -> Result<Upstream, String> {
        let refused = |error| format!("the thread of requests to the outside does not start: {error}");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(refused)?;
        let handle = runtime.handle().clone();
        let (client, links) = {
            // Sockets and timers of what is made here are the thread's.
            let _entered = runtime.enter();
            let connector = Connector::new(settings)?;
            let links = Links::new(connector.clone(), handle.clone(), bounds, &settings.apps);
            (Arc::new(Client::new(connector, bounds)), links)
        };
        let (stop, stopped) = oneshot::channel();
        let ending = links.clone();
        let work = move || {
            runtime.block_on(async {
                // It also ends when nobody can stop it any more.
                let _ = stopped.await;
                ending.drain(None);
                ending.finish().await;
            });
            // What is on its way is dropped, and thereby answered.
        };
        let thread = thread::Builder::new().name("upstream".to_owned()).spawn(work).map_err(refused)?;
        let thread = Mutex::new(Some(Running { stop, thread }));
        let status = Status::new(&settings.apps);
        Ok(Upstream { inner: Arc::new(Inner { runtime: handle, client, links, status, thread }) })
    }

    /// Takes a request of an application; `reply` hears what came of it.
    pub fn submit(&self, app: AppId, fetch: Fetch, reply: OnFetched) {
        let Some(ticket) = self.inner.status.admit(app, fetch.weight(), reply) else { return };
        let client = self.inner.client.clone();
        self.inner.runtime.spawn(async move {
            let limit = Duration::from_millis(fetch.timeout_ms.min(FETCH_TIMEOUT_MS_MAX));
            let begun = AtomicBool::new(false);
            let late = |_| {
                Err(match begun.load(Ordering::Relaxed) {
                    true => FetchError::new(FetchFailure::TimedOut, "no whole answer in time"),
                    false => FetchError::new(FetchFailure::Busy, "no place in time"),
                })
            };
            let came = tokio::time::timeout(limit, client.fetch(&fetch, &begun)).await.unwrap_or_else(late);
            let sent = if came.is_ok() { fetch.body.len() } else { 0 };
            ticket.answer(came, sent);
        });
    }

    /// Opens a link of an application; `home` hears what becomes of it.
    pub fn open(&self, name: LinkName, dial: Dial, home: OnLink) {
        self.inner.links.open(name, dial, home);
    }

    /// Any other order about a link. One that is not there hears nothing.
    pub fn order(&self, name: &LinkName, order: LinkOrder) {
        self.inner.links.on_order(name, order);
    }

    /// How a link is to be read, beside what its application says of it.
    pub(crate) fn flow(&self, name: &LinkName, flow: Flow) {
        self.inner.links.on_flow(name, flow);
    }

    /// Links at home on this shard are over, behind what they have been told, and no new one begins.
    pub(crate) fn drain(&self, shard: ShardId) {
        self.inner.links.drain(Some(shard));
    }

    /// What operators see of links, of each application that has dialled.
    pub(crate) fn link_samples(&self) -> Vec<LinkSample> {
        self.inner.links.samples()
    }

    /// What operators see, of each application that has asked for something.
    pub(crate) fn samples(&self) -> Vec<FetchSample> {
        self.inner.status.samples()
    }

    /// Answers what is on its way `Unavailable`, and what is submitted from now on, and closes what is open. Blocks for a moment,
    /// while peers are told; a second call does nothing.
    pub fn close(&self) {
        let Some(Running { stop, thread }) = self.inner.thread.lock().take() else { return };
        // A thread that has ended needs no word.
        let _ = stop.send(());
        thread.join().expect("the thread of requests does not panic");
    }
}
