//! Layer 8: assembles the daemon: store, cores, listeners, the control runtime, signals, and the order in which all of
//! it ends.
//!
//! | file | what happens there |
//! |---|---|
//! | [`plan`] | configuration → what every core needs: namespaces, applications, paths |
//! | [`memory`], [`descriptors`] | how much memory there is, how many files may be open |
//! | [`cores`] | one thread and one reactor per shard |
//! | [`backend`] | the daemon as HTTP callers reach it |
//! | [`banner`] | what is printed once it serves |
//! | [`signals`] | what asks for the end, and what does not |

pub(crate) mod backend;
pub(crate) mod banner;
pub(crate) mod cores;
pub(crate) mod descriptors;
#[cfg(test)]
mod feed;
#[cfg(test)]
mod fetching;
#[cfg(test)]
mod linking;
pub(crate) mod memory;
pub(crate) mod plan;
pub(crate) mod signals;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod uploads;

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::{error, info};

use crate::app::table::Row;
use crate::base::limit::{ADMIN_CONNECTIONS_MAX, ADMIN_CONNECTIONS_PER_IP_MAX, Limits};
use crate::config::Config;
use crate::hashing::Hasher;
use crate::net::beside::Beside;
use crate::net::clock::Clock;
use crate::net::guard::Guard;
use crate::net::listen::{self, Address};
use crate::net::mailbox::Mailbox;
use crate::store::Store;
use crate::upstream::{self, Upstream};

use backend::{Daemon, Readiness};
use cores::{Cores, Parts};
use plan::Plan;
use signals::Signals;

/// The process of a daemon before it is one: signals are heard already, nothing else has begun.
pub struct Process {
    control: tokio::runtime::Runtime,
    signals: Signals,
}

impl Process {
    /// # Errors
    /// A sentence about what the operating system refuses.
    pub fn start() -> Result<Process, String> {
        let refused = |error| format!("the control runtime does not start: {error}");
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let control = builder.worker_threads(1).thread_name("control").enable_all().build().map_err(refused)?;
        let signals = control.block_on(async { Signals::listen() }).map_err(refused)?;
        upstream::install_tls();
        Ok(Process { control, signals })
    }

    /// Serves until told to stop. 0 after a clean drain, 1 otherwise.
    pub fn run(self, config: &Config) -> ExitCode {
        self.serve(Plan::of(config))
    }

    /// Serves the conformance fixture (DESIGN 6) on `addr` and on the same port of the other loopback address.
    pub fn conformance(self, echo: &'static Row, addr: SocketAddr) -> ExitCode {
        self.serve(Ok(Plan::fixture(echo.untold(), addr)))
    }

    fn serve(self, plan: Result<Plan, String>) -> ExitCode {
        let control = self.control.handle().clone();
        let ended = plan.and_then(|plan| self.control.block_on(live(plan, control, self.signals)));
        self.control.shutdown_timeout(Duration::from_secs(1));
        match ended {
            Ok(()) => ExitCode::SUCCESS,
            Err(sentence) => {
                error!(target: "siod::server", "{sentence}");
                ExitCode::FAILURE
            }
        }
    }
}

/// The daemon's life: bind, start, serve, drain.
async fn live(plan: Plan, control: tokio::runtime::Handle, signals: Signals) -> Result<(), String> {
    let clock = Clock { started: Instant::now() };
    // Ports first: a second daemon on the same port must not touch the first one's data.
    let sockets = bind_all(&plan)?;
    let admin = bind_admin(&plan)?;
    let store = Store::open(&plan.store).map_err(|error| error.to_string())?;
    let upstream = Upstream::start(&plan.upstream)?;
    let hasher = Hasher::start(&plan.upstream.apps)?;
    let shards = plan.shard_config.placement.shards;
    let mailboxes = (0..shards).map(|_| Mailbox::default()).collect();
    let daemon = Daemon::new(&plan, mailboxes, (store.clone(), upstream.clone(), hasher.clone()));
    let limits = &plan.shard_config.limits;
    let connections_max = descriptors::connections_max(limits.connections_max);
    let guard = Guard::new(&Limits { connections_max, ..limits.clone() });
    let parts = Parts {
        clock,
        guard,
        store: store.clone(),
        upstream: upstream.clone(),
        hasher: hasher.clone(),
        control,
        daemon: daemon.clone(),
    };
    let bound: Vec<SocketAddr> = sockets.iter().map(|(addr, _)| *addr).collect();
    let cores = Cores::start(&plan, parts, sockets).map_err(|error| format!("a core does not start: {error}"))?;
    if let Some(listener) = admin {
        let proxies = plan.admin_proxies.clone();
        let (router, lingered) = (daemon.clone().admin_router(), daemon.lingered());
        let admin = Beside { listener, guard: admin_guard(limits), proxies, router, lingered };
        admin.start("admin").map_err(|error| format!("the admin listener does not start: {error}"))?;
    }
    daemon.set_readiness(Readiness::Ready);
    banner::print(&plan, &bound);
    info!(target: "siod::server", shards, listeners = bound.len(), version = crate::api::VERSION, "serving");
    let ended = match wait_for_the_end(&daemon, &cores, &signals).await {
        Ok(()) => drain(&plan, &daemon, cores, &signals).await,
        failed => failed,
    };
    // However it ends: nobody is asked any more, and what was submitted is written.
    let close = move || {
        upstream.close();
        hasher.close();
        store.close();
    };
    tokio::task::spawn_blocking(close).await.map_err(|error| error.to_string())?;
    info!(target: "siod::server", "stopped");
    ended
}

type Bound = Vec<(SocketAddr, Vec<std::net::TcpListener>)>;

fn bind_all(plan: &Plan) -> Result<Bound, String> {
    let shards = plan.shard_config.placement.shards;
    let limits = &plan.shard_config.limits;
    let bind = |at: Address| listen::bind(at, shards, limits).map_err(|error| cannot_bind(at.addr, &error));
    plan.listeners.iter().map(|listener| bind(listener.bind)).collect()
}

fn bind_admin(plan: &Plan) -> Result<Option<std::net::TcpListener>, String> {
    let Some(at) = plan.admin_bind else { return Ok(None) };
    let bound = listen::bind(at, 1, &plan.shard_config.limits);
    bound.map(|(_, mut sockets)| sockets.pop()).map_err(|error| cannot_bind(at.addr, &error))
}

/// Places of the admin listener: its own, so that neither side takes them from the other.
fn admin_guard(limits: &Limits) -> Arc<Guard> {
    Guard::new(&Limits {
        connections_max: ADMIN_CONNECTIONS_MAX,
        connections_per_ip_max: ADMIN_CONNECTIONS_PER_IP_MAX,
        ..limits.clone()
    })
}

fn cannot_bind(addr: SocketAddr, error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::AddrInUse => format!("{addr} is in use by another process"),
        _ => format!("cannot listen on {addr}: {error}"),
    }
}

/// A signal, a drain asked for by HTTP, or the death of a core.
async fn wait_for_the_end(daemon: &Arc<Daemon>, cores: &Cores, signals: &Signals) -> Result<(), String> {
    tokio::select! {
        () = signals.end() => Ok(()),
        () = daemon.drain_asked() => Ok(()),
        error = cores.failed() => Err(error),
    }
}

/// Readiness turns away first; after the delay clients are told, spread over the window, and listeners close. A second signal
/// is quick. An error unless the last client has gone in time.
async fn drain(plan: &Plan, daemon: &Arc<Daemon>, cores: Cores, signals: &Signals) -> Result<(), String> {
    daemon.set_readiness(Readiness::Draining);
    let (clients, delay_s) = (daemon.connections(), plan.drain_delay_s);
    let limit = Duration::from_secs(plan.drain_timeout_s);
    let window = window(limit);
    info!(target: "siod::server", clients, delay_s, window_ms = window.as_millis() as u64, "draining");
    let closed = async {
        tokio::time::sleep(Duration::from_secs(delay_s)).await;
        daemon.drain_shards(window);
        match tokio::time::timeout(limit, cores.ended()).await {
            Ok(ended) => ended,
            Err(_) => Err(cut_off("drain timeout", daemon)),
        }
    };
    tokio::select! {
        ended = closed => ended,
        () = signals.end() => Err(cut_off("second signal", daemon)),
    }
}

fn cut_off(why: &str, daemon: &Daemon) -> String {
    format!("{why}: the drain is not complete, {} connections are cut off", daemon.connections())
}

/// Clients are told over three quarters of the time there is; in the rest they go.
fn window(limit: Duration) -> Duration {
    limit * 3 / 4
}
