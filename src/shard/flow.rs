//! Back-pressure on the way in: a client that is held is not read. Its WebSocket's bytes stay in the kernel, its POST waits
//! for its answer, and nothing is lost. Homes hold the sockets that add to a long queue; a socket that sends more events a
//! second than it may is held until it may again.

use std::collections::VecDeque;

use hashbrown::HashMap;
use tracing::debug;

use super::Shard;
use super::bodies::Taking;
use super::connection::Role;
use super::io::Output;
use super::peer::Timer;
use crate::app::home::Flow;
use crate::base::close::CloseReason;
use crate::base::ids::{ConnKey, Key, PeerKey};
use crate::base::limit::READS_PER_TURN_MAX;
use crate::engine::polling::Reply;
use crate::engine::session::Transport;

/// What has been read and could not be taken yet.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    /// POSTs of which a part has been taken: the next in line.
    pub(super) bodies: VecDeque<Taking>,
    /// Clients and links that are not read, and what had been read of them.
    pub(super) held: usize,
    pub(super) held_bodies: HashMap<PeerKey, Taking>,
    pub(super) unread: HashMap<ConnKey, Vec<u8>>,
    /// Connections that are to be read again.
    pub(super) thawed: VecDeque<ConnKey>,
}

impl Shard {
    /// A home says how a socket is to be read from now on.
    pub(super) fn on_flow(&mut self, key: Key, flow: Flow) {
        let Some(socket) = self.members.sockets.get_mut(key) else { return };
        let peer = socket.peer;
        match flow {
            Flow::Hold => {
                socket.holds += 1;
                self.hold(peer);
            }
            Flow::Release => {
                let held = socket.holds.min(1);
                socket.holds -= held;
                self.unhold(peer, held);
            }
            Flow::Cut => self.close_peer(peer, CloseReason::RateLimited),
        }
    }

    /// Counts what a client asks for; one that is over the rate is held until it is not.
    pub(super) fn count_event(&mut self, key: PeerKey) {
        let (max, now) = (self.config.limits.events_per_socket_per_s_max, self.now.mono);
        let Some(peer) = self.transports.peers.get_mut(key.0) else { return };
        let owed_ms = peer.events.take(now.0, max);
        if owed_ms > 0 && !std::mem::replace(&mut peer.throttled, true) {
            debug!(target: "siod::limit", sid = ?peer.session.sid, max, "events_per_socket_per_s_max reached: held");
            self.wheel.arm(now + owed_ms, Timer::Thaw(key));
            self.hold(key);
        }
    }

    /// The rate of a client that was held for it is to be looked at again.
    pub(super) fn on_thaw(&mut self, key: PeerKey) {
        let (max, now) = (self.config.limits.events_per_socket_per_s_max, self.now.mono);
        let Some(peer) = self.transports.peers.get_mut(key.0) else { return };
        let owed_ms = peer.events.owed_ms(now.0, max);
        if owed_ms > 0 {
            self.wheel.arm(now + owed_ms, Timer::Thaw(key));
            return;
        }
        peer.throttled = false;
        self.unhold(key, 1);
    }

    fn hold(&mut self, key: PeerKey) {
        let Some(peer) = self.transports.peers.get_mut(key.0) else { return };
        peer.holds += 1;
        if peer.holds > 1 {
            return;
        }
        self.transports.backlog.held += 1;
        if let Transport::WebSocket(conn) = peer.session.transport {
            self.out.outputs.push_back(Output::Pause { conn });
        }
    }

    /// Ends `count` of the holds of a client.
    pub(super) fn unhold(&mut self, key: PeerKey, count: u16) {
        let Some(peer) = self.transports.peers.get_mut(key.0).filter(|_| count > 0) else { return };
        peer.holds -= count;
        if peer.holds > 0 {
            return;
        }
        self.transports.backlog.held -= 1;
        if let Transport::WebSocket(conn) = peer.session.transport {
            self.transports.backlog.thawed.push_back(conn);
        }
        self.transports.backlog.bodies.extend(self.transports.backlog.held_bodies.remove(&key));
    }

    /// Keeps for later what has been read of a client that is held. `false`: it is not held.
    pub(super) fn keeps_unread(&mut self, conn: ConnKey, rest: &[u8]) -> bool {
        if self.transports.backlog.held == 0 || !self.is_held(conn) {
            return false;
        }
        self.transports.backlog.unread.insert(conn, rest.to_vec());
        true
    }

    fn is_held(&self, conn: ConnKey) -> bool {
        match self.transports.conns.get(conn).map(|connection| connection.role) {
            Some(Role::Session(key)) => self.transports.peers.get(key.0).is_some_and(|peer| peer.holds > 0),
            Some(Role::Link(key)) => self.transports.links.get(key).is_some_and(|link| link.holds > 0),
            _ => false,
        }
    }

    /// Clients that are held no more: first what had been read of them, then their sockets. Once a turn, as many as are
    /// read in one.
    pub(super) fn thaw(&mut self) {
        for _ in 0..READS_PER_TURN_MAX.min(self.transports.backlog.thawed.len()) {
            let Some(conn) = self.transports.backlog.thawed.pop_front() else { return };
            if self.is_held(conn) {
                continue;
            }
            if let Some(mut bytes) = self.transports.backlog.unread.remove(&conn) {
                self.take_frames(conn, &mut bytes);
            }
            if !self.is_held(conn) {
                self.out.outputs.push_back(Output::Resume { conn });
            }
        }
    }

    /// Whether something that was read before can be taken now, without anything else happening.
    pub fn has_backlog(&self) -> bool {
        !self.transports.backlog.bodies.is_empty() || !self.transports.backlog.thawed.is_empty()
    }

    /// A client that is forgotten is held no more.
    pub(super) fn release_forgotten(&mut self, key: PeerKey, transport: &Transport) {
        self.transports.backlog.held -= 1;
        if let Transport::WebSocket(conn) = *transport {
            self.transports.backlog.thawed.push_back(conn);
        }
        if let Some(taking) = self.transports.backlog.held_bodies.remove(&key) {
            self.respond(taking.req, Reply::Taken);
        }
    }
}
