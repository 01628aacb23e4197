//! siod, a Socket.IO daemon: Engine.IO v4 and Socket.IO v5 to the letter, five real-time applications on top.
//!
//! Layers, in reading order: [`base`] → `wire` → `engine` → `socketio` → `hub` → [`app`] → [`shard`], all pure; then the
//! shell: [`api`].

pub mod api;
pub mod app;
pub mod base;
pub mod shard {
    //! Layer 6: one core's world.
    pub mod sample;
}
