//! The daemon as a process: how it starts, what it refuses, how it ends or is ended, and what hostile peers do to it. Each
//! test has a daemon of its own in a directory of its own, on loopback.

#[path = "daemon/arrivals.rs"]
mod arrivals;
#[path = "daemon/end.rs"]
mod end;
#[path = "daemon/hostile.rs"]
mod hostile;
#[path = "daemon/linger.rs"]
mod linger;
#[path = "daemon/listeners.rs"]
mod listeners;
#[path = "daemon/liveness.rs"]
mod liveness;
#[path = "daemon/log.rs"]
mod log;
#[path = "daemon/process.rs"]
mod process;
#[path = "daemon/proxies.rs"]
mod proxies;
#[path = "daemon/requests.rs"]
mod requests;
#[path = "daemon/signals.rs"]
mod signals;
#[path = "daemon/start.rs"]
mod start;
