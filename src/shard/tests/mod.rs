//! Scripted peers against the shard: one file per chapter of the protocol.

mod heartbeat;
mod namespaces;
mod polling;
mod upgrade;
mod websocket;

use super::testing::fleet::Fleet;
use super::testing::{Apps, World};
use crate::app::lab::Lab;

/// `/lab` on the socket's own shard, `/fleet` at home by its token.
fn apps() -> Apps {
    vec![("/lab", Box::new(Lab::default())), ("/fleet", Box::new(Fleet::new(None)))]
}

fn world(shards: u16) -> World {
    World::new(shards, apps)
}
