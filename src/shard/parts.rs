//! The parts of a shard, each with the fields that only make sense together and what holds between them. A method that says
//! `self.transports.…` touches what carries bytes, one that says `self.homes.…` what decides.

use std::collections::VecDeque;

use hashbrown::{HashMap, HashTable};

use super::connection::Connections;
use super::effects::AskedFor;
use super::flow::Backlog;
use super::io::{Directive, Mail, Output};
use super::lane::Routes;
use super::link::Links;
use super::moves::Moving;
use super::outbox::Pool;
use super::peer::{Peer, Socket};
use crate::app::Token;
use crate::app::event::AppInput;
use crate::app::home::{Decision, HomeState};
use crate::base::ids::{AppId, ConnKey, Key, PeerKey, ShardId};
use crate::base::slab::Slab;
use crate::base::wheel::TimerKey;
use crate::hub::Hub;
use crate::socketio::ack::AckTable;

/// What carries connections: clients, their WebSockets and polls, and what waits on the way in and out.
#[derive(Default)]
pub(super) struct Transports {
    pub(super) peers: Slab<Peer>,
    /// Slots of `peers`, by sid.
    pub(super) by_sid: HashTable<u32>,
    pub(super) conns: Connections,
    pub(super) links: Links,
    pub(super) pool: Pool,
    pub(super) backlog: Backlog,
    /// WebSockets to flush, each once.
    pub(super) dirty_conns: Vec<ConnKey>,
    /// Clients whose polls may be answered, each once.
    pub(super) dirty_polls: Vec<PeerKey>,
}

/// The sockets in namespaces and rooms, and where what is sent to them goes.
pub(super) struct Members {
    pub(super) sockets: Slab<Socket>,
    /// By socket slot.
    pub(super) routes: Routes,
    /// By `NspId`: accepted sockets that speak a dialect. Where there is none, receivers are not asked.
    pub(super) speakers: Vec<u32>,
    pub(super) hub: Hub,
    /// Acks that sockets of this shard owe.
    pub(super) acks: AckTable,
}

/// The applications at home here, and what they wait for.
pub(super) struct Homes {
    /// By `AppId`.
    pub(super) apps: Vec<HomeState>,
    pub(super) timers: HashMap<(AppId, Token), TimerKey>,
    /// Packets that asked for acks, seen from the home that sent them.
    pub(super) asked: HashMap<(AppId, u64), AskedFor>,
    /// By `AppId`.
    pub(super) next_ack: Vec<u64>,
    /// Sockets of this shard between two homes, with what waits for the second.
    pub(super) moving: HashMap<Key, Moving>,
    /// Inputs of the applications, in order.
    pub(super) local: VecDeque<(AppId, AppInput)>,
    /// Scratch, kept for its capacity.
    pub(super) decisions: Vec<Decision>,
}

/// What goes out of the shard in this turn.
pub(super) struct Outgoing {
    pub(super) outputs: VecDeque<Output>,
    /// By shard.
    pub(super) mail: Vec<Vec<Mail>>,
    /// What one run of a home decided, by the shard of the sockets it is about.
    pub(super) staged: Vec<Vec<Directive>>,
    /// Scratch, kept for its capacity.
    pub(super) receivers: Vec<u32>,
}

impl Transports {
    /// A sid names one client, and a connection in a list of what to write knows it, so as to stand there once.
    pub(super) fn assert_sound(&self) {
        debug_assert!(self.by_sid.len() <= self.peers.len(), "more sids than clients");
        let mut conns = self.dirty_conns.iter().filter_map(|conn| self.conns.lane(*conn));
        debug_assert!(conns.all(|lane| lane.dirty), "a WebSocket would be flushed twice");
        let mut polls = self.dirty_polls.iter().filter_map(|peer| self.peers.get(peer.0));
        debug_assert!(polls.all(|peer| peer.poll_dirty), "a poll would be answered twice");
    }
}

impl Homes {
    /// `applications` are in the order of `AppId`s.
    pub(super) fn new(applications: Vec<HomeState>) -> Homes {
        let ids = 0..applications.len() as u16;
        Homes {
            timers: HashMap::new(),
            asked: HashMap::new(),
            next_ack: vec![0; applications.len()],
            moving: HashMap::new(),
            local: ids.map(|app| (AppId(app), AppInput::Started)).collect(),
            decisions: Vec::new(),
            apps: applications,
        }
    }

    /// Between inputs nothing waits for an application, and nothing it decided waits to be applied.
    pub(super) fn assert_sound(&self) {
        debug_assert!(self.local.is_empty(), "an input was left to the next turn");
        debug_assert!(self.decisions.is_empty(), "a decision was not applied");
        debug_assert!(self.asked.values().all(|asked| asked.shards_left > 0), "everybody has answered");
    }
}

impl Outgoing {
    /// For so many shards.
    pub(super) fn new(shards: usize) -> Outgoing {
        Outgoing {
            outputs: VecDeque::new(),
            mail: (0..shards).map(|_| Vec::new()).collect(),
            staged: (0..shards).map(|_| Vec::new()).collect(),
            receivers: Vec::new(),
        }
    }

    /// Between inputs nothing is half on its way; a shard sends itself no mail.
    pub(super) fn assert_sound(&self, own: ShardId) {
        debug_assert!(self.staged.iter().all(Vec::is_empty), "a directive was not handed over");
        debug_assert!(self.mail[usize::from(own.0)].is_empty(), "mail to itself");
    }
}
