//! Layer 6: one core's world. A [`Shard`] owns its peers, sockets, rooms and the state of the applications at home here.
//! It is a value: [`Input`] in, [`Output`](io::Output) out, time as a parameter.
//!
//! | file | what happens there |
//! |---|---|
//! | [`io`] | the border: inputs, outputs, mail |
//! | `parts` | what a shard holds, by what it is for |
//! | [`turn`] | the conveyor: one input, from its arrival to what leaves |
//! | [`polling`], [`bodies`], [`websocket`] | the two transports, down to packets |
//! | [`session`], [`flow`] | packets to events; the end of a client; clients that are not read for a while |
//! | [`link`], `arrivals`, `links` | WebSockets of others than Socket.IO clients: asking to be let in, and open |
//! | [`dialects`] | sockets that spell events otherwise |
//! | [`sockets`] | joining and leaving a namespace |
//! | `moves` | a socket that is somebody else from now on, and its way to another home |
//! | [`effects`] | decisions become directives, directives become packets |
//! | [`send`], [`slow`], [`shed`] | packets into outboxes; readers that are behind, one by one and all together |
//! | [`replies`] | what the protocol itself says |
//! | [`lane`], [`outbox`], [`packets`] | what a broadcast touches, dense; what waits to be written |
//! | [`timers`] | everything that happens by itself |

mod arrivals;
pub(crate) mod bodies;
pub(crate) mod connection;
pub mod dialects;
pub(crate) mod effects;
pub(crate) mod flow;
pub(crate) mod footprint;
pub mod io;
pub(crate) mod lane;
pub mod link;
mod links;
mod moves;
pub(crate) mod outbox;
pub(crate) mod packets;
mod parts;
pub(crate) mod peer;
pub mod placement;
pub(crate) mod polling;
pub(crate) mod replies;
pub(crate) mod sample;
pub(crate) mod send;
pub(crate) mod session;
pub(crate) mod shed;
pub(crate) mod slow;
pub(crate) mod sockets;
pub(crate) mod stats;
pub(crate) mod timers;
pub(crate) mod turn;
pub(crate) mod websocket;

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use crate::app::Application;
use crate::app::home::HomeState;
use crate::app::identity::Authenticator;
use crate::base::hash::Keyed;
use crate::base::ids::ShardId;
use crate::base::limit::{EngineLimits, Limits};
use crate::base::rng::Rng;
use crate::base::slab::Slab;
use crate::base::time::{Millis, Now};
use crate::base::wheel::Wheel;
use crate::hub::Hub;
use crate::hub::namespace::Namespaces;
use crate::socketio::ack::AckTable;

use dialects::Dialects;
use lane::Routes;
use parts::{Homes, Members, Outgoing, Transports};
use peer::Timer;
use placement::Placement;
use stats::{LinkStats, Outcomes, Stats};

pub use io::Input;

/// What all shards of a process share, fixed at start.
#[derive(Debug)]
pub struct ShardConfig {
    pub placement: Placement,
    pub limits: Limits,
    /// By `ListenerId`.
    pub engines: Vec<EngineLimits>,
    pub namespaces: Namespaces,
    pub dialects: Dialects,
    pub authenticator: Authenticator,
}

/// One core's world.
pub struct Shard {
    pub id: ShardId,
    config: Arc<ShardConfig>,
    now: Now,
    /// The moment up to which all that had arrived has been read.
    heard: Millis,
    rng: Rng,
    wheel: Wheel<Timer>,

    transports: Transports,
    members: Members,
    homes: Homes,
    out: Outgoing,

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
        let stats = Stats {
            outcomes: vec![Outcomes::default(); config.namespaces.names().len()],
            links: vec![LinkStats::default(); apps.len()],
            ..Stats::default()
        };
        let hub = Hub::new(Keyed::draw(&mut rng));
        let homes = apps.into_iter().map(|app| HomeState::new(app, config.limits.sockets_per_user_max)).collect();
        Shard {
            id,
            now: Now::default(),
            heard: start,
            rng,
            wheel: Wheel::new(start),
            transports: Transports::default(),
            members: Members {
                sockets: Slab::default(),
                routes: Routes::default(),
                speakers: vec![0; config.namespaces.names().len()],
                hub,
                acks: AckTable::default(),
            },
            homes: Homes::new(homes),
            out: Outgoing::new(shards),
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
        self.transports.peers.len()
    }

    /// What holds between two inputs, in debug and test builds.
    fn assert_sound(&self) {
        if cfg!(not(debug_assertions)) {
            return;
        }
        self.transports.assert_sound();
        self.homes.assert_sound();
        self.out.assert_sound(self.id);
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
