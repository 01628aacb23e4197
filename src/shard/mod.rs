//! Layer 6: one core's world. A [`Shard`] owns its peers, sockets, rooms and the state of the applications at home here.
//! It is a value: [`Input`] in, [`Output`] out, time as a parameter.
//!
//! | file | what happens there |
//! |---|---|
//! | [`io`] | the border: inputs, outputs, mail |
//! | [`turn`] | the conveyor: one input, from its arrival to what leaves |
//! | [`polling`], [`bodies`], [`websocket`] | the two transports, down to packets |
//! | [`session`], [`flow`] | packets to events; the end of a client; clients that are not read for a while |
//! | [`sockets`] | joining and leaving a namespace |
//! | `moves` | a socket that is somebody else from now on, and its way to another home |
//! | [`effects`] | decisions become directives, directives become packets |
//! | [`send`], [`slow`], [`shed`] | packets into outboxes; readers that are behind, one by one and all together |
//! | [`replies`] | what the protocol itself says |
//! | [`lane`], [`outbox`], [`packets`] | what a broadcast touches, dense; what waits to be written |
//! | [`timers`] | everything that happens by itself |

pub mod bodies;
pub mod connection;
pub mod effects;
pub mod flow;
pub mod footprint;
pub mod io;
pub mod lane;
mod moves;
pub mod outbox;
pub mod packets;
pub mod peer;
pub mod placement;
pub mod polling;
pub mod replies;
pub mod sample;
pub mod send;
pub mod session;
pub mod shed;
pub mod slow;
pub mod sockets;
pub mod stats;
pub mod timers;
pub mod turn;
pub mod websocket;

#[cfg(test)]
pub mod testing;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use hashbrown::{HashMap, HashTable};

use crate::app::Application;
use crate::app::effect::Token;
use crate::app::event::AppInput;
use crate::app::home::{Decision, HomeState};
use crate::app::identity::Authenticator;
use crate::base::hash::Keyed;
use crate::base::ids::{AppId, ConnKey, Key, PeerKey, ShardId};
use crate::base::limit::{EngineLimits, Limits};
use crate::base::rng::Rng;
use crate::base::slab::Slab;
use crate::base::time::{Millis, Now};
use crate::base::wheel::{TimerKey, Wheel};
use crate::hub::Hub;
use crate::hub::namespace::Namespaces;
use crate::socketio::ack::AckTable;

use connection::Connections;
use effects::AskedFor;
use flow::Backlog;
use io::{Directive, Mail, Output};
use lane::Routes;
use moves::Moving;
use outbox::Pool;
use peer::{Peer, Socket, Timer};
use placement::Placement;
use stats::{Outcomes, Stats};

pub use io::Input;

/// What all shards of a process share, fixed at start.
#[derive(Debug)]
pub struct ShardConfig {
    pub placement: Placement,
    pub limits: Limits,
    /// By `ListenerId`.
    pub engines: Vec<EngineLimits>,
    pub namespaces: Namespaces,
    pub authenticator: Authenticator,
}

/// One core's world.
pub struct Shard {
    pub id: ShardId,
    config: Arc<ShardConfig>,
    now: Now,
    /// All that had arrived by then has been read.
    heard: Millis,
    rng: Rng,
    wheel: Wheel<Timer>,

    peers: Slab<Peer>,
    /// Slots of `peers`, by sid.
    by_sid: HashTable<u32>,
    sockets: Slab<Socket>,
    /// Where what is sent to a socket goes, by socket slot.
    routes: Routes,
    conns: Connections,
    pool: Pool,
    hub: Hub,
    acks: AckTable,

    /// By `AppId`.
    homes: Vec<HomeState>,
    app_timers: HashMap<(AppId, Token), TimerKey>,
    /// Packets that asked for acks, seen from the home that sent them.
    asked: HashMap<(AppId, u64), AskedFor>,
    /// By `AppId`.
    next_ack: Vec<u64>,
    /// Sockets between two homes, with what waits for the second.
    moving: HashMap<Key, Moving>,

    /// Inputs of applications at home here, in order.
    local: VecDeque<(AppId, AppInput)>,
    outputs: VecDeque<Output>,
    /// Mail of this turn, by shard.
    mail: Vec<Vec<Mail>>,
    dirty_conns: Vec<ConnKey>,
    dirty_polls: Vec<PeerKey>,
    backlog: Backlog,
    /// Scratch, kept for its capacity.
    decisions: Vec<Decision>,
    staged: Vec<Vec<Directive>>,
    receivers: Vec<u32>,

    pub stats: Stats,
    draining: bool,
}

impl Shard {
    /// A shard with its applications, in the order of `config.namespaces`. `seed` replays it.
    pub fn new(
        id: ShardId,
        config: Arc<ShardConfig>,
        apps: Vec<Box<dyn Application>>,
        seed: [u8; 32],
        start: Millis,
    ) -> Shard {
        assert_eq!(apps.len(), config.namespaces.applications(), "every application has its namespaces");
        let shards = usize::from(config.placement.shards);
        let mut rng = Rng::from_seed(seed);
        let stats = Stats { outcomes: vec![Outcomes::default(); config.namespaces.names().len()], ..Stats::default() };
        Shard {
            id,
            now: Now::default(),
            heard: start,
            hub: Hub::new(Keyed::draw(&mut rng)),
            rng,
            wheel: Wheel::new(start),
            peers: Slab::default(),
            by_sid: HashTable::new(),
            sockets: Slab::default(),
            routes: Routes::default(),
            conns: Connections::default(),
            pool: Pool::default(),
            acks: AckTable::default(),
            next_ack: vec![0; apps.len()],
            moving: HashMap::new(),
            local: (0..apps.len()).map(|app| (AppId(app as u16), AppInput::Started)).collect(),
            homes: apps.into_iter().map(|app| HomeState::new(app, config.limits.sockets_per_user_max)).collect(),
            app_timers: HashMap::new(),
            asked: HashMap::new(),
            outputs: VecDeque::new(),
            mail: (0..shards).map(|_| Vec::new()).collect(),
            dirty_conns: Vec::new(),
            dirty_polls: Vec::new(),
            backlog: Backlog::default(),
            decisions: Vec::new(),
            staged: (0..shards).map(|_| Vec::new()).collect(),
            receivers: Vec::new(),
            stats,
            draining: false,
            config,
        }
    }

    /// When the next timer is due, exactly.
    pub fn deadline(&mut self) -> Option<Millis> {
        self.wheel.deadline()
    }

    /// Clients on this shard, those still being told of their end included.
    pub fn peer_count(&self) -> usize {
        self.peers.len()
    }

    /// Takes note of how long a turn took, which the shell alone can tell.
    pub fn note_turn(&mut self, took: Duration, emitted: bool) {
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.stats.turn_us.record(us);
        if emitted {
            self.stats.emit_to_flush_us.record(us);
        }
    }
}
