//! siod, a Socket.IO daemon: Engine.IO v4 and Socket.IO v5 to the letter, five real-time applications on top.
//!
//! Layers, in reading order: [`base`] → [`wire`] → [`engine`] → [`socketio`] → [`hub`] → [`app`] → [`shard`], all pure:
//! values in, values out. Then the shell, which touches the operating system: [`config`], [`store`], [`net`], [`api`],
//! assembled by [`server`] and started by [`cli`].

pub mod api;
pub mod app;
pub mod base;
pub mod cli;
pub mod config;
pub mod engine;
pub mod fuzz;
pub mod hub;
pub mod log;
pub mod net;
pub mod server;
pub mod shard;
pub mod socketio;
pub mod store;
pub mod wire;
