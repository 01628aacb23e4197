//! A world of shards in one process, for tests: a virtual clock, WebSockets and HTTP requests as values, mail and jobs
//! delivered by hand. Every input is a turn of its own unless [`World::in_one_turn`] says otherwise.
//!
//! ```ignore
//! let world = World::new(2, || vec![("/lab", Box::new(Lab::default()))]);
//! let peer = world.websocket("/lab-root");
//! peer.sends("40");
//! peer.gets("40{\"sid\":\"*\"}");
//! world.advance(25_000);
//! peer.gets("2");
//! ```
//! A path names what it offers: `/socket.io/` (no root), `/NAME-root` (Socket.IO, `/` is the namespace `/NAME`),
//! `/engine.io/` and `/echo`. In expected texts `*` stands for anything.

mod asker;
pub(crate) mod fleet;
pub(crate) mod poller;
pub(crate) mod socket;
mod state;

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use super::dialects::Dialects;
use super::io::{Hello, Input, Service};
use super::{Shard, ShardConfig};
use crate::app::Application;
use crate::app::event::Handshake;
use crate::app::identity::{AuthSettings, Authenticator};
use crate::app::job::{Job, Outcome};
use crate::app::kit::dialect::Dialect;
use crate::base::ids::{AppId, ListenerId, NspId, ShardId};
use crate::base::limit::{EngineLimits, Limits};
use crate::base::time::{Millis, Now, WallMillis};
use crate::hub::namespace::Namespaces;
use crate::shard::placement::Placement;

pub(crate) use poller::{Poller, Request};
pub(crate) use socket::Peer;
use state::State;

/// Applications, made afresh for each shard, with the names of their namespaces, divided by commas.
pub(crate) type Apps = Vec<(&'static str, Box<dyn Application>)>;

/// What a world is made of; the defaults are the daemon's, without jitter.
pub(crate) struct Setup {
    pub shards: u16,
    pub seed: u8,
    pub engine: EngineLimits,
    pub limits: Limits,
    pub auth: AuthSettings,
    pub wall: WallMillis,
    /// Of each application, in their order.
    pub dialects: Vec<&'static [Dialect]>,
    /// By listener: an application and what is spoken to it there. Clients come by the first one, unless their hello says otherwise.
    pub spoken: Vec<Option<(AppId, &'static str)>>,
}

impl Default for Setup {
    fn default() -> Self {
        Setup {
            shards: 1,
            seed: 1,
            engine: EngineLimits { ping_jitter: false, ..EngineLimits::default() },
            limits: Limits::default(),
            auth: AuthSettings::default(),
            wall: WallMillis(1_755_684_031_000),
            dialects: Vec::new(),
            spoken: Vec::new(),
        }
    }
}

/// Shards, a clock, and everything around them. Clones are handles to the same world.
#[derive(Clone)]
pub(crate) struct World(Rc<RefCell<State>>);

impl World {
    pub(crate) fn new(shards: u16, apps: impl Fn() -> Apps) -> World {
        World::with(Setup { shards, ..Setup::default() }, apps)
    }

    pub(crate) fn with(setup: Setup, apps: impl Fn() -> Apps) -> World {
        let config = Arc::new(ShardConfig {
            placement: Placement { shards: setup.shards, key: (3, u64::from(setup.seed)) },
            limits: setup.limits,
            engines: vec![setup.engine; setup.spoken.len().max(1)],
            namespaces: Namespaces::new(
                apps().into_iter().map(|(names, _)| names.split(',').map(str::to_owned).collect()),
            ),
            dialects: Dialects::new(setup.dialects, setup.spoken),
            authenticator: Authenticator::new(&setup.auth),
        });
        let start = Millis(1_000);
        let shards = (0..setup.shards)
            .map(|id| {
                let apps = apps().into_iter().map(|(_, app)| app).collect();
                let mut seed = [setup.seed; 32];
                seed[..2].copy_from_slice(&id.to_le_bytes());
                Shard::new(ShardId(id), config.clone(), apps, seed, start)
            })
            .collect();
        let now = Now { mono: start, wall: setup.wall };
        World(Rc::new(RefCell::new(State::new(shards, config, now))))
    }

    /// A WebSocket that has read its `open` packet (a bare echo reads none), on the next shard in turn.
    pub(crate) fn websocket(&self, path: &str) -> Peer {
        self.websocket_with(path, |_| {})
    }

    /// As [`World::websocket`], with a handshake of one's own.
    pub(crate) fn websocket_with(&self, path: &str, change: impl FnOnce(&mut Hello)) -> Peer {
        let mut hello = self.hello(path);
        change(&mut hello);
        let opens = hello.service != Service::WebSocketEcho;
        let shard = self.0.borrow_mut().next_shard();
        let pipe = self.0.borrow_mut().add_pipe(shard);
        let conn = self.0.borrow().pipes[pipe].conn;
        self.input(shard, Input::Connected { conn, hello });
        let mut peer = Peer::new(self.clone(), pipe);
        if opens {
            peer.sid = open_sid(&peer.gets("0{\"sid\":\"*\",\"upgrades\":[],*}"));
        }
        peer
    }

    /// A polling client that has read its `open` packet.
    pub(crate) fn polling(&self, path: &str) -> Poller {
        self.polling_with(path, |_| {})
    }

    /// As [`World::polling`], with a handshake of one's own.
    pub(crate) fn polling_with(&self, path: &str, change: impl FnOnce(&mut Hello)) -> Poller {
        let mut hello = self.hello(path);
        change(&mut hello);
        let shard = self.0.borrow_mut().next_shard();
        let request = Request::new(self.clone());
        self.input(shard, Input::Handshake { req: request.id, hello });
        Poller::opened(self.clone(), shard, &request)
    }

    /// Addresses whose places sessions have given back, in order.
    pub(crate) fn left(&self) -> Vec<String> {
        self.0.borrow().left.iter().map(ToString::to_string).collect()
    }

    /// The clock moves on; every timer fires at its deadline exactly.
    pub(crate) fn advance(&self, milliseconds: u64) {
        self.0.borrow_mut().advance(milliseconds);
    }

    /// From now on nothing more is read of the sockets, until [`World::catches_up`]: so it is to a shard whose process is late.
    pub(crate) fn falls_behind(&self) {
        let mut state = self.0.borrow_mut();
        state.heard = Some(state.now.mono);
    }

    /// All that lies in the sockets is read again.
    pub(crate) fn catches_up(&self) {
        self.0.borrow_mut().heard = None;
    }

    /// The wall clock jumps; the monotonic one does not (F-16).
    pub(crate) fn wall_jumps_to(&self, wall: WallMillis) {
        self.0.borrow_mut().now.wall = wall;
    }

    /// Milliseconds to the next timer of any shard.
    pub(crate) fn deadline(&self) -> Option<u64> {
        self.0.borrow_mut().deadline()
    }

    /// Everything done inside is one turn of each shard: written once, at its end.
    pub(crate) fn in_one_turn(&self, script: impl FnOnce()) {
        self.0.borrow_mut().held = true;
        script();
        self.0.borrow_mut().held = false;
        self.0.borrow_mut().run();
    }

    /// Nothing travels between shards until [`World::delivers_mail`].
    pub(crate) fn holds_mail(&self) {
        self.0.borrow_mut().mail_held = true;
    }

    pub(crate) fn delivers_mail(&self) {
        self.0.borrow_mut().mail_held = false;
        self.0.borrow_mut().run();
    }

    /// What becomes of jobs from now on: an outcome, or `None` to keep them for [`World::finishes_job`]. Unless told
    /// otherwise writes succeed and everything else is unavailable.
    pub(crate) fn answers_jobs(&self, answer: impl FnMut(&Job) -> Option<Outcome> + 'static) {
        self.0.borrow_mut().answer_job = Box::new(answer);
    }

    /// The oldest job that was kept comes back. Panics where none was.
    pub(crate) fn finishes_job(&self, outcome: Outcome) {
        let (shard, ticket, _) = self.0.borrow_mut().kept_jobs.pop_front().expect("a job was kept");
        if let Some(ticket) = ticket {
            self.input(shard, Input::Done { ticket, outcome });
        }
    }

    pub(crate) fn drains(&self, window_ms: u64) {
        for shard in 0..self.shards() {
            self.input(shard, Input::Drain { window_ms });
        }
    }

    pub(crate) fn is_drained(&self) -> bool {
        self.0.borrow().shards.iter().all(Shard::is_drained)
    }

    pub(crate) fn shards(&self) -> u16 {
        self.0.borrow().shards.len() as u16
    }

    /// The next client arrives on this shard.
    pub(crate) fn next_on(&self, shard: u16) -> &World {
        self.0.borrow_mut().next_shard = shard;
        self
    }

    /// Reads one shard.
    pub(crate) fn look<T>(&self, shard: u16, look: impl FnOnce(&Shard) -> T) -> T {
        look(&self.0.borrow().shards[usize::from(shard)])
    }

    /// A figure summed over all shards.
    pub(crate) fn sum(&self, figure: impl Fn(&Shard) -> u64) -> u64 {
        self.0.borrow().shards.iter().map(figure).sum()
    }

    /// Nobody is left: no peer, connection, socket, room, ack, timer, byte, list entry or unanswered request.
    pub(crate) fn assert_empty(&self) {
        self.0.borrow_mut().assert_empty();
    }

    pub(super) fn input(&self, shard: u16, input: Input<'_>) {
        self.0.borrow_mut().input(shard, input);
    }

    fn hello(&self, path: &str) -> Hello {
        let names = self.0.borrow().config.namespaces.names().to_vec();
        let root = path.strip_suffix("-root").map(|name| {
            let index = names.iter().position(|known| known == name).expect("the path names a namespace");
            NspId(index as u16)
        });
        let service = match path {
            "/engine.io/" => Service::EngineEcho,
            "/echo" => Service::WebSocketEcho,
            _ => Service::SocketIo { root },
        };
        let handshake = Arc::new(Handshake::new([127, 0, 0, 1].into(), "", "", ""));
        Hello { listener: ListenerId(0), service, handshake, base64: false, jsonp: None }
    }
}

/// The sid in an `open` packet or a CONNECT reply.
fn open_sid(packet: &str) -> String {
    let after = packet.split_once("\"sid\":\"").expect("the packet has a sid").1;
    let sid = after.split_once('"').expect("the sid ends").0;
    assert_eq!(sid.len(), 20, "{packet}");
    sid.to_owned()
}

/// Whether `text` is as `pattern` says, `*` standing for anything.
pub(crate) fn is_like(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((front, rest)) => text.strip_prefix(front).is_some_and(|text| {
            let starts = text.char_indices().map(|(at, _)| at).chain([text.len()]);
            starts.into_iter().any(|at| is_like(rest, &text[at..]))
        }),
    }
}
