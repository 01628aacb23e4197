//! Scripted peers against the shard: one file per chapter of the protocol.

mod dialects;
mod flow;
mod heartbeat;
mod limits;
mod links;
mod moves;
mod namespaces;
mod polling;
mod rooms;
mod slow;
mod storm;
mod upgrade;
mod websocket;

use super::testing::fleet::Fleet;
use super::testing::{Apps, Peer, World};
use crate::apps::lab::Lab;

/// `/lab` on the socket's own shard, `/fleet` at home by its token.
fn apps() -> Apps {
    vec![("/lab", Box::new(Lab::default())), ("/fleet", Box::new(Fleet::new(None)))]
}

fn world(shards: u16) -> World {
    World::new(shards, apps)
}

/// A client in `/fleet` of the tenant `t`, on the next shard in turn.
fn fleet(world: &World) -> Peer {
    let peer = world.websocket("/fleet-root");
    peer.joins("/", "{\"token\":\"t\"}");
    peer
}
