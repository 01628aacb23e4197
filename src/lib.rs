//! siod, a Socket.IO daemon: Engine.IO v4 and Socket.IO v5 to the letter, real-time applications on top. Two exist:
//! [`apps::signage`], which drives fleets of displays, and [`apps::lab`], the smallest one, for trying things out. A third
//! is added by one folder and one line of [`apps::TABLE`]: `docs/ADDING-AN-APPLICATION.md` walks through it.
//!
//! Layers, in reading order: [`base`] → [`wire`] → [`engine`] → [`socketio`] → [`hub`] → [`app`] → [`apps`] → [`shard`],
//! all pure: values in, values out. Then the shell, which touches the operating system: [`config`], [`store`], [`upstream`],
//! [`hashing`], [`net`], [`api`], assembled by [`server`] and started by [`cli`].
//!
//! Comments cite sections of the pages in `docs/`, as `DESIGN 4.6`; `docs/ARCHITECTURE.md` is the map and names them all.

use std::process::ExitCode;

use app::table::Table;

pub(crate) mod api;
pub mod app;
pub mod apps;
pub mod base;
pub(crate) mod cli;
pub mod config;
pub mod engine;
pub mod fuzz;
pub(crate) mod hashing;
pub mod hub;
pub mod log;
pub mod net;
pub mod server;
pub mod shard;
pub mod socketio;
pub mod store;
#[cfg(test)]
mod testing;
pub mod upstream;
pub mod wire;

/// Runs a daemon of these applications, as the process's arguments ask: what `main` does with [`apps::TABLE`].
pub fn run(table: &'static Table) -> ExitCode {
    cli::main(table)
}
