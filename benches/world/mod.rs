//! Shards with clients whose bytes are values, for benches.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use siod::app::Application;
use siod::app::event::Handshake;
use siod::app::kit::identity::{AuthSettings, Authenticator};
use siod::app::lab::Lab;
use siod::base::ids::{ConnKey, Key, ListenerId, NspId, ShardId};
use siod::base::limit::{EngineLimits, Limits};
use siod::base::time::{Millis, Now, WallMillis};
use siod::shard::io::{Hello, Input, Service};
use siod::shard::placement::Placement;
use siod::shard::{Shard, ShardConfig};
use siod::wire::frame::{Opcode, write_masked};

const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// Shard `id` of `shards`, with lab as its only application.
pub fn new_shard(id: u16, shards: u16) -> Shard {
    let config = ShardConfig {
        placement: Placement { shards, key: (1, 2) },
        limits: Limits::default(),
        engines: vec![EngineLimits::default()],
        namespaces: vec!["/lab".to_owned()],
        authenticator: Authenticator::new(&AuthSettings::default()),
    };
    let apps: Vec<Box<dyn Application>> = vec![Box::new(Lab::default())];
    Shard::new(ShardId(id), Arc::new(config), apps, [id as u8; 32], Millis(0))
}

/// The time of every turn.
pub fn now() -> Now {
    Now { mono: Millis(1), wall: WallMillis(1_755_684_031_000) }
}

/// The connection of the client in `slot`.
pub fn conn(slot: usize) -> ConnKey {
    ConnKey(Key { slot: slot as u32, generation: 0 })
}

/// A client with a handshake of its own joins over WebSocket and has read everything.
pub fn join(shard: &mut Shard, slot: usize) {
    let conn = conn(slot);
    let handshake = Handshake {
        ip: IpAddr::V4(Ipv4Addr::from(slot as u32)),
        query: String::new(),
        user_agent: String::new(),
        authorization: String::new(),
    };
    let hello = Hello {
        listener: ListenerId(0),
        service: Service::SocketIo { root: Some(NspId(0)) },
        handshake: Arc::new(handshake),
        base64: false,
        jsonp: None,
    };
    shard.on_input(now(), Input::Connected { conn, hello });
    send(shard, conn, b"40");
    flush(shard);
}

/// A packet of a client arrives.
pub fn send(shard: &mut Shard, conn: ConnKey, packet: &[u8]) {
    let mut bytes = Vec::new();
    write_masked(&mut bytes, Opcode::Text, true, packet, KEY);
    shard.on_input(now(), Input::Bytes { conn, bytes: &mut bytes });
}

/// Writes everything to nowhere; returns the bytes.
pub fn flush(shard: &mut Shard) -> usize {
    let mut total = 0;
    while shard.next_output().is_some() {}
    while let Some(conn) = shard.next_flush() {
        shard.flush(conn, |slices| {
            let written = slices.map(<[u8]>::len).sum();
            total += written;
            written
        });
    }
    total
}
