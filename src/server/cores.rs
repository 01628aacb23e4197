//! One thread, one single-threaded runtime and one reactor per shard.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::thread;

use tokio::sync::mpsc;
use tokio::task::LocalSet;

use super::backend::Daemon;
use super::plan::Plan;
use crate::api::client_files;
use crate::app::Token;
use crate::app::home::Flow;
use crate::app::job::{Job, Outcome};
use crate::app::link::{LinkId, LinkOrder};
use crate::base::ids::{AppId, ShardId};
use crate::base::limit::{LINGERING_MAX, LINGERING_REFUSED_MAX};
use crate::base::time::Millis;
use crate::hashing::Hasher;
use crate::net::clock::Clock;
use crate::net::core::{Core, Process};
use crate::net::guard::Guard;
use crate::net::linger::Lingering;
use crate::net::mailbox::{Mailboxes, Message};
use crate::net::outside::Outside;
use crate::net::reactor::Reactor;
use crate::shard::Shard;
use crate::shard::io::{Purpose, Ticket};
use crate::store::Store;
use crate::upstream::{Credit, LinkName, Upstream};

/// What the cores are made of, beside the plan.
pub(crate) struct Parts {
    pub clock: Clock,
    pub guard: Arc<Guard>,
    pub store: Store,
    pub upstream: Upstream,
    pub hasher: Hasher,
    pub control: tokio::runtime::Handle,
    pub daemon: Arc<Daemon>,
}

/// The running cores.
pub(crate) struct Cores {
    /// One message per core that has ended: `Ok` after its drain.
    ended: tokio::sync::Mutex<mpsc::UnboundedReceiver<io::Result<()>>>,
    count: usize,
}

impl Cores {
    /// Starts a thread per shard, each with its own socket on every address.
    pub(crate) fn start(plan: &Plan, parts: Parts, sockets: Vec<(SocketAddr, Vec<TcpListener>)>) -> io::Result<Cores> {
        let count = usize::from(plan.shard_config.placement.shards);
        let routers = plan.listeners.iter().map(|listener| parts.daemon.clone().public_router(listener.root));
        let process = Arc::new(Process {
            shard_config: plan.shard_config.clone(),
            listeners: plan.listenings(),
            mailboxes: parts.daemon.mailboxes(),
            guard: parts.guard.clone(),
            draining: parts.daemon.draining(),
            drained: AtomicUsize::new(0),
            lingering: Lingering::new(LINGERING_MAX, parts.daemon.lingered()),
            lingering_refused: Lingering::new(LINGERING_REFUSED_MAX, parts.daemon.lingered()),
            refusals: parts.daemon.refusals(),
            is_client_file: client_files::is_client_file,
            routers: routers.collect(),
            control: parts.control.clone(),
        });
        parts.daemon.watch(parts.guard.clone());
        let mut by_core: Vec<Vec<TcpListener>> = (0..count).map(|_| Vec::new()).collect();
        for (_, sockets) in sockets {
            by_core.iter_mut().zip(sockets).for_each(|(core, socket)| core.push(socket));
        }
        let (report, ended) = mpsc::unbounded_channel();
        for (index, sockets) in by_core.into_iter().enumerate() {
            let id = ShardId(index as u16);
            let start = Millis::from(parts.clock.started.elapsed());
            let shard = Shard::new(id, plan.shard_config.clone(), plan.applications(), plan.seed(), start);
            let (upstream, hasher) = (parts.upstream.clone(), parts.hasher.clone());
            let (mailboxes, store) = (process.mailboxes.clone(), parts.store.clone());
            let outside = Shell { id, mailboxes, store, upstream, hasher };
            let (process, clock) = (process.clone(), parts.clock);
            let report = report.clone();
            thread::Builder::new().name(format!("shard-{index}")).spawn(move || {
                // Nobody listens once the process is ending.
                let _ = report.send(run_core(id, process, shard, outside, clock, sockets));
            })?;
        }
        Ok(Cores { ended: tokio::sync::Mutex::new(ended), count })
    }

    /// Resolves with a sentence when a core has failed.
    pub(crate) async fn failed(&self) -> String {
        loop {
            match self.ended.lock().await.recv().await {
                Some(Err(error)) => return failure(&error),
                Some(Ok(())) => {}
                None => std::future::pending().await,
            }
        }
    }

    /// Resolves when all cores have drained, or with a sentence when one has failed instead.
    pub(crate) async fn ended(&self) -> Result<(), String> {
        let mut ended = self.ended.lock().await;
        for _ in 0..self.count {
            match ended.recv().await {
                Some(Ok(())) => {}
                Some(Err(error)) => return Err(failure(&error)),
                None => return Err("a core has gone without a word".to_owned()),
            }
        }
        Ok(())
    }
}

fn failure(error: &io::Error) -> String {
    format!("a core has failed: {error}")
}

fn run_core(
    id: ShardId,
    process: Arc<Process>,
    shard: Shard,
    outside: Shell,
    clock: Clock,
    sockets: Vec<TcpListener>,
) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, async move {
        let core = Rc::new(Core::new(id, process));
        Reactor::new(core, shard, outside, clock, sockets)?.run().await
    })
}

/// What a shard asks of the process, on its way.
struct Shell {
    id: ShardId,
    mailboxes: Mailboxes,
    store: Store,
    upstream: Upstream,
    hasher: Hasher,
}

impl Shell {
    fn named(&self, app: AppId, token: Token) -> LinkName {
        LinkName { app, shard: self.id, token }
    }
}

impl Outside for Shell {
    /// The answer comes back as a message, whoever is still connected.
    fn job(&self, app: AppId, purpose: Option<Purpose>, job: Job) {
        let (mailboxes, id) = (self.mailboxes.clone(), usize::from(self.id.0));
        let reply = move |outcome: Outcome| {
            if let Some(purpose) = purpose {
                mailboxes[id].send(Message::Done { ticket: Ticket { app, purpose }, outcome });
            }
        };
        match job {
            Job::Fetch(fetch) => self.upstream.submit(app, fetch, Box::new(|came| reply(Outcome::Fetched(came)))),
            Job::Hash(hash) => self.hasher.submit(app, hash, Box::new(reply)),
            job => self.store.submit(job, Box::new(reply)),
        }
    }

    fn link(&self, app: AppId, link: Token, order: LinkOrder) {
        let name = self.named(app, link);
        let LinkOrder::Open(dial) = order else { return self.upstream.order(&name, order) };
        let mailboxes = self.mailboxes.clone();
        let home = move |event, credit: Option<Credit>| {
            let credit = credit.map(|credit| Box::new(credit) as Box<dyn Send>);
            let message = Message::Link { app, link: LinkId::Dialled(link), event, credit };
            mailboxes[usize::from(name.shard.0)].send(message);
        };
        self.upstream.open(name, *dial, Box::new(home));
    }

    fn link_flow(&self, app: AppId, link: Token, flow: Flow) {
        self.upstream.flow(&self.named(app, link), flow);
    }

    fn drain(&self) {
        self.upstream.drain(self.id);
    }
}
