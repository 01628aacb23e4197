//! Shards with clients whose bytes are values, for benches.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use siod::app::Application;
use siod::app::event::Handshake;
use siod::app::identity::{AuthSettings, Authenticator};
use siod::app::job::{Job, Outcome};
use siod::apps::lab::Lab;
use siod::apps::signage::Signage;
use siod::base::ids::{ConnKey, Key, ListenerId, NspId, ShardId};
use siod::base::limit::{EngineLimits, Limits};
use siod::base::secret::Secret;
use siod::base::time::{Millis, Now, WallMillis};
use siod::hub::namespace::Namespaces;
use siod::shard::dialects::Dialects;
use siod::shard::io::{Hello, Input, Output, Service, Ticket};
use siod::shard::placement::Placement;
use siod::shard::{Shard, ShardConfig};
use siod::wire::frame::{Opcode, write_masked};

const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// The key of the tokens that signage's clients bring.
pub(crate) fn secret() -> Secret {
    Secret::new("a key of thirty-two bytes or more")
}

/// Shard `id` of `shards`, with lab as its only application.
pub(crate) fn new_shard(id: u16, shards: u16) -> Shard {
    shard_of(id, shards, Box::new(Lab::default()))
}

/// A shard that is alone, with signage as its only application.
#[allow(dead_code, reason = "not every bench measures signage")]
pub(crate) fn new_signage() -> Shard {
    shard_of(0, 1, Box::new(Signage::new(Default::default())))
}

fn shard_of(id: u16, shards: u16, app: Box<dyn Application>) -> Shard {
    let config = ShardConfig {
        placement: Placement { shards, key: (1, 2) },
        limits: Limits::default(),
        engines: vec![EngineLimits::default()],
        namespaces: Namespaces::new([vec![format!("/{}", app.name())]]),
        dialects: Dialects::default(),
        authenticator: Authenticator::new(&AuthSettings { jwt_secret: secret(), ..AuthSettings::default() }),
    };
    Shard::new(ShardId(id), Arc::new(config), vec![app], [id as u8; 32], Millis(0))
}

/// The time of every turn.
pub(crate) fn now() -> Now {
    Now { mono: Millis(1), wall: WallMillis(1_755_684_031_000) }
}

/// The connection of the client in `slot`.
pub(crate) fn conn(slot: usize) -> ConnKey {
    ConnKey(Key { slot: slot as u32, generation: 0 })
}

/// A client with a handshake of its own joins over WebSocket and has read everything.
pub(crate) fn join(shard: &mut Shard, slot: usize) {
    join_as(shard, slot, "");
}

/// As [`join`], with the JSON text of an auth object.
pub(crate) fn join_as(shard: &mut Shard, slot: usize, auth: &str) {
    let conn = conn(slot);
    let handshake = Handshake::new(IpAddr::V4(Ipv4Addr::from(slot as u32)), "", "", "");
    let hello = Hello {
        listener: ListenerId(0),
        service: Service::SocketIo { root: Some(NspId(0)) },
        handshake: Arc::new(handshake),
        base64: false,
        jsonp: None,
    };
    shard.on_input(now(), Input::Connected { conn, hello });
    send(shard, conn, format!("40{auth}").as_bytes());
    flush(shard);
}

/// A packet of a client arrives.
pub(crate) fn send(shard: &mut Shard, conn: ConnKey, packet: &[u8]) {
    let mut bytes = Vec::new();
    write_masked(&mut bytes, Opcode::Text, true, packet, KEY);
    shard.on_input(now(), Input::Bytes { conn, bytes: &mut bytes });
}

/// Writes everything to nowhere; returns the bytes. The store is there and empty.
pub(crate) fn flush(shard: &mut Shard) -> usize {
    let mut total = 0;
    while let Some(output) = shard.next_output() {
        let Output::Job { app, purpose: Some(purpose), job } = output else { continue };
        let outcome = match job {
            Job::Read(_) => Outcome::Read(Vec::new()),
            _ => Outcome::Written(Vec::new()),
        };
        shard.on_input(now(), Input::Done { ticket: Ticket { app, purpose }, outcome });
    }
    while let Some(conn) = shard.next_flush() {
        shard.flush(conn, |slices| {
            let written = slices.map(<[u8]>::len).sum();
            total += written;
            written
        });
    }
    total
}
