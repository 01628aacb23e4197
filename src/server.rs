//! Layer 8: assembles the daemon. Nothing is assembled yet.

use std::net::SocketAddr;
use std::process::ExitCode;

use crate::config::Config;

/// Serves until told to stop.
pub fn run(config: Config) -> ExitCode {
    tracing::error!(listeners = config.listeners.len(), "there is no server yet");
    ExitCode::FAILURE
}

/// Serves the conformance fixture on `addr`.
pub fn conformance(addr: SocketAddr) -> ExitCode {
    tracing::error!(%addr, "there is no fixture yet");
    ExitCode::FAILURE
}
