//! Shards with clients whose bytes are values, for benches.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use siod::app::event::Handshake;
use siod::app::identity::{AuthSettings, Authenticator};
use siod::app::job::{Job, Outcome};
use siod::app::link::Arrival;
use siod::app::{Application, Home};
use siod::apps::lab::{self, Lab};
use siod::apps::signage::Signage;
use siod::base::ids::{AppId, ConnKey, Key, ListenerId, NspId, ReqId, ShardId};
use siod::base::limit::{EngineLimits, Limits};
use siod::base::secret::Secret;
use siod::base::time::{Millis, Now, WallMillis};
use siod::hub::namespace::Namespaces;
use siod::shard::dialects::Dialects;
use siod::shard::io::{Coming, Hello, Input, Output, Service, Ticket, Verdict};
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

/// A WebSocket of a client that speaks no Socket.IO opens as the connection in `slot` of one of these shards, at home with `tenant`.
#[allow(dead_code, reason = "not every bench measures links")]
pub(crate) fn open_link(shards: &mut [Shard], at: usize, slot: usize, tenant: &str) {
    let conn = conn(slot);
    let arrival = Arrival {
        path: &lab::ROW.links[0],
        values: Vec::new(),
        query: "ping=60000".to_owned(),
        headers: Vec::new(),
        subprotocols: Vec::new(),
        ip: IpAddr::V4(Ipv4Addr::from(slot as u32)),
    };
    let coming = Coming { app: AppId(0), home: Home::Tenant(tenant.to_owned()), holds_place: false, arrival };
    let req = ReqId { shard: ShardId(at as u16), key: conn.0 };
    shards[at].on_input(now(), Input::Arrived { req, coming: Box::new(coming) });
    let verdicts = exchange(shards);
    let [Verdict::Admitted { link, .. }] = verdicts[..] else { panic!("lab lets everybody in: {verdicts:?}") };
    shards[at].on_input(now(), Input::LinkOpen { link, conn: Some(conn) });
    exchange(shards);
}

/// Carries mail between shards until none is left; gives what they have decided about arrivals.
#[allow(dead_code, reason = "not every bench measures links")]
pub(crate) fn exchange(shards: &mut [Shard]) -> Vec<Verdict> {
    let mut verdicts = Vec::new();
    while let Some((at, output)) =
        shards.iter_mut().enumerate().find_map(|(at, shard)| Some((at, shard.next_output()?)))
    {
        match output {
            Output::Mail { to, mail } => shards[usize::from(to.0)].on_input(now(), Input::Mail(mail)),
            Output::Decided { verdict, .. } => verdicts.push(verdict),
            other => panic!("nothing else is asked of shard {at}'s shell: {other:?}"),
        }
    }
    verdicts
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
