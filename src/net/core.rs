//! What all tasks of one core share: its place in the process, where to send things, and the HTTP requests that wait
//! for a shard's answer.

use std::borrow::Cow;
use std::cell::RefCell;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use hyper::HeaderMap;
use tokio::sync::{oneshot, watch};

use super::cors::{Origin, Origins};
use super::forwarded::Proxies;
use super::guard::Guard;
use super::linger::Lingering;
use super::mailbox::{Admitted, Mailbox, Mailboxes, Message};
use crate::app::link::paths::LinkPaths;
use crate::base::ids::{ConnKey, ListenerId, ReqId, ShardId, Sid};
use crate::base::limit::MOVING_INTERVAL_MS;
use crate::base::slab::Slab;
use crate::engine::open::EngineError;
use crate::engine::polling::Reply;
use crate::shard::ShardConfig;
use crate::shard::io::{Input, Service, Verdict};

/// What all cores share, fixed at start.
pub(crate) struct Process {
    pub shard_config: Arc<ShardConfig>,
    pub listeners: Vec<Listening>,
    pub mailboxes: Mailboxes,
    pub guard: Arc<Guard>,
    /// Whether the daemon ends; then so do the WebSockets of shells.
    pub draining: watch::Receiver<bool>,
    /// Cores whose shards have drained.
    pub drained: AtomicUsize,
    /// Connections that have had their last answer, and of them those that were refused when they were accepted.
    pub lingering: Arc<Lingering>,
    pub lingering_refused: Arc<Lingering>,
    pub refusals: Arc<Refusals>,
    /// Whether a path below an engine path is a file of the router's, such as `/socket.io/socket.io.js`.
    pub is_client_file: fn(path: &str, engine_path: &str) -> bool,
    /// Everything that is not an engine path, on the control runtime: one for each listener.
    pub routers: Vec<axum::Router>,
    pub control: tokio::runtime::Handle,
}

/// What was refused before a shard saw it.
#[derive(Debug, Default)]
pub(crate) struct Refusals {
    by_code: [AtomicU64; EngineError::ALL.len()],
    overload: AtomicU64,
}

impl Refusals {
    pub(crate) fn count(&self, error: EngineError) {
        self.by_code[usize::from(error.code())].fetch_add(1, Ordering::Relaxed);
    }

    /// A connection above a limit of the process or its address.
    pub(crate) fn count_overload(&self) {
        self.overload.fetch_add(1, Ordering::Relaxed);
    }

    /// Engine requests refused, by error code.
    pub(crate) fn by_code(&self) -> [u64; EngineError::ALL.len()] {
        std::array::from_fn(|code| self.by_code[code].load(Ordering::Relaxed))
    }

    /// Connections answered 503.
    pub(crate) fn overload(&self) -> u64 {
        self.overload.load(Ordering::Relaxed)
    }
}

/// A listening address: its engine paths, whom it admits, which proxies it trusts.
#[derive(Default)]
pub(crate) struct Listening {
    pub routes: Vec<Route>,
    pub origins: Origins,
    pub proxies: Proxies,
    /// Paths of applications at which links arrive.
    pub links: LinkPaths,
}

/// An engine path.
#[derive(Clone, Debug)]
pub(crate) struct Route {
    /// With a slash at its end it matches everything below, else itself, with or without one.
    pub path: String,
    pub service: Service,
    /// The listener whose engine values hold.
    pub engine: ListenerId,
}

impl Listening {
    /// Judges the origin of a request that came from `peer`.
    pub(crate) fn judge(&self, peer: IpAddr, headers: &HeaderMap) -> Origin {
        self.origins.judge(headers, || self.proxies.host(peer, headers))
    }

    /// The engine path a request is for, if it is for one.
    pub(crate) fn route(&self, path: &str) -> Option<&Route> {
        self.routes.iter().find(|route| match route.path.strip_suffix('/') {
            Some(stem) => path.strip_prefix(stem).is_some_and(|rest| rest.starts_with('/')),
            None => path.strip_suffix('/').unwrap_or(path) == route.path,
        })
    }
}

/// One core.
pub(crate) struct Core {
    pub id: ShardId,
    pub process: Arc<Process>,
    waiting: RefCell<Slab<Waiter>>,
}

/// The one who waits for a shard's answer.
enum Waiter {
    /// A task of hyper's.
    Task(oneshot::Sender<Reply>),
    /// A connection in the core's epoll set.
    Caller(ConnKey),
    /// A task of hyper's that asks for a link.
    Arrival(oneshot::Sender<Decided>),
}

/// What becomes of somebody who asks for a link.
pub(crate) enum Decided {
    Admitted { link: Admitted, subprotocol: Option<String> },
    TurnedAway { status: u16, body: Cow<'static, str> },
}

impl Core {
    pub(crate) fn new(id: ShardId, process: Arc<Process>) -> Core {
        Core { id, process, waiting: RefCell::default() }
    }

    /// This core's own inbox.
    pub(crate) fn mailbox(&self) -> &Mailbox {
        &self.process.mailboxes[usize::from(self.id.0)]
    }

    /// The shard that owns a session.
    pub(crate) fn owner(&self, sid: &Sid) -> ShardId {
        self.process.shard_config.placement.of_sid(sid)
    }

    /// How often a session's shard hears of what is on its way.
    pub(crate) fn moving_interval_ms(&self) -> u64 {
        let timeouts = self.process.shard_config.engines.iter().map(|engine| engine.ping_timeout_ms / 2);
        timeouts.chain([MOVING_INTERVAL_MS]).min().unwrap_or(MOVING_INTERVAL_MS)
    }

    pub(crate) fn send(&self, to: ShardId, message: Message) {
        self.process.mailboxes[usize::from(to.0)].send(message);
    }

    /// A name for a request that will wait, and where its answer will come.
    pub(crate) fn register(&self) -> (ReqId, oneshot::Receiver<Reply>) {
        let (sender, receiver) = oneshot::channel();
        let key = self.waiting.borrow_mut().insert(Waiter::Task(sender));
        (ReqId { shard: self.id, key }, receiver)
    }

    /// A name for a request of a connection in the epoll set.
    pub(crate) fn register_caller(&self, conn: ConnKey) -> ReqId {
        ReqId { shard: self.id, key: self.waiting.borrow_mut().insert(Waiter::Caller(conn)) }
    }

    /// A name for a request for a link that will wait, and where it hears what becomes of it.
    pub(crate) fn register_arrival(&self) -> (ReqId, oneshot::Receiver<Decided>) {
        let (sender, receiver) = oneshot::channel();
        let key = self.waiting.borrow_mut().insert(Waiter::Arrival(sender));
        (ReqId { shard: self.id, key }, receiver)
    }

    /// Hands a verdict to the task that waits for it, or gives it back with the connection that does. A link that nobody waits
    /// for any more is told so as its verdict is dropped.
    pub(crate) fn decide(&self, req: ReqId, verdict: Verdict) -> Option<(ConnKey, Decided)> {
        let decided = match verdict {
            Verdict::Admitted { link, subprotocol } => {
                let link = Admitted::new(self.process.mailboxes.clone(), self.id, link);
                Decided::Admitted { link, subprotocol }
            }
            Verdict::TurnedAway { status, body } => Decided::TurnedAway { status, body },
        };
        match self.waiting.borrow_mut().remove(req.key)? {
            Waiter::Caller(conn) => return Some((conn, decided)),
            // The task may have ended in this very moment.
            Waiter::Arrival(sender) => drop(sender.send(decided)),
            Waiter::Task(_) => {}
        }
        None
    }

    /// Hands an answer to the task that waits for it, or gives it back with the connection that does. A request that was
    /// given up finds nobody.
    pub(crate) fn answer(&self, req: ReqId, reply: Reply) -> Option<(ConnKey, Reply)> {
        match self.waiting.borrow_mut().remove(req.key)? {
            Waiter::Caller(conn) => Some((conn, reply)),
            Waiter::Task(sender) => {
                // The task may have ended in this very moment.
                let _ = sender.send(reply);
                None
            }
            Waiter::Arrival(_) => None,
        }
    }

    /// Forgets a request that nobody waits for any more.
    pub(crate) fn forget(&self, req: ReqId) {
        self.waiting.borrow_mut().remove(req.key);
    }

    /// HTTP requests waiting for a shard.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.borrow().len()
    }
}

/// A request that a shard holds. Dropped before its answer, it tells the shard that the client has gone.
pub(crate) struct Held<'a> {
    core: &'a Core,
    pub req: ReqId,
    sid: Option<Sid>,
    receiver: oneshot::Receiver<Reply>,
    answered: bool,
}

impl<'a> Held<'a> {
    /// `sid` is none for a handshake, which nobody can abort.
    pub(crate) fn new(core: &'a Core, sid: Option<Sid>) -> Held<'a> {
        let (req, receiver) = core.register();
        Held { core, req, sid, receiver, answered: false }
    }

    /// The shard's answer. `None`: the shard has gone, which only happens while the process ends.
    pub(crate) async fn answer(&mut self) -> Option<Reply> {
        let reply = (&mut self.receiver).await.ok();
        self.answered = true;
        reply
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        if self.answered {
            return;
        }
        self.core.forget(self.req);
        if let Some(sid) = self.sid {
            let aborted = Input::Aborted { req: self.req, sid };
            self.core.send(self.core.owner(&sid), Message::Request(aborted));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_match_as_the_reference_matches_them() {
        let route =
            |path: &str| Route { path: path.into(), service: Service::SocketIo { root: None }, engine: ListenerId(0) };
        let listening = Listening { routes: vec![route("/socket.io/"), route("/api/socket")], ..Listening::default() };
        for (path, matched) in [
            ("/socket.io/", Some("/socket.io/")),
            ("/socket.io/foo", Some("/socket.io/")),
            ("/socket.io", None),
            ("/socket.iox/", None),
            ("/api/socket", Some("/api/socket")),
            ("/api/socket/", Some("/api/socket")),
            ("/api/socket/x", None),
            ("/", None),
        ] {
            assert_eq!(listening.route(path).map(|route| &*route.path), matched, "{path}");
        }
    }
}
