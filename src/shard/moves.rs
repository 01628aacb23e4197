//! A socket that is somebody else from now on: its identity, its token's end, and, where that changes the home that decides
//! about it, its way there. The old home hears everything that came before, and says its last word, before the new one hears
//! of the socket; what the client sends meanwhile waits here, in order.

use std::sync::Arc;

use bytes::Bytes;

use super::Shard;
use super::peer::Timer;
use crate::app::event::{AppInput, Connect};
use crate::app::home::{Flow, Parked};
use crate::app::identity::Identity;
use crate::base::close::CloseReason;
use crate::base::ids::{AppId, Key, ShardId, SocketRef};

/// A socket between two homes.
pub(super) struct Moving {
    app: AppId,
    /// Where it goes.
    to: ShardId,
    connect: Connect,
    /// Inputs about the socket that have come since, within the bounds of what waits behind a commit.
    held: Parked,
}

impl Shard {
    /// Hands an input to the home of a live socket.
    pub(super) fn hand_socket(&mut self, key: Key, input: AppInput) {
        let Some(socket) = self.members.sockets.get(key) else { return };
        let (app, home) = (self.config.namespaces.owner(socket.nsp.id), socket.home);
        self.hand_or_hold(key, app, home, input);
    }

    /// Hands an input about a socket to `home`, or keeps it while the socket is on its way to another one.
    pub(super) fn hand_or_hold(&mut self, key: Key, app: AppId, home: ShardId, input: AppInput) {
        let moving = if self.homes.moving.is_empty() { None } else { self.homes.moving.get_mut(&key) };
        let Some(moving) = moving else { return self.hand_home(app, home, input) };
        let mut decisions = Vec::new();
        moving.held.push(input, &mut decisions);
        if !decisions.is_empty() {
            self.apply_decisions(app, decisions);
        }
    }

    /// The socket is somebody else from now on.
    pub(super) fn identify(&mut self, app: AppId, key: Key, identity: Arc<Identity>) {
        let Some(socket) = self.members.sockets.get_mut(key) else { return };
        let was = std::mem::replace(&mut socket.identity, identity.clone());
        let (home, sid, nsp, peer, dialect) = (socket.home, socket.sid, socket.nsp_id(), socket.peer, socket.dialect);
        if let Some(timer) = socket.expiry.take() {
            self.wheel.cancel(timer);
        }
        self.arm_expiry(key);
        let place = self.home_of(app, &identity);
        let to = self.config.placement.of_home(app, &place, self.id);
        if let Some(moving) = self.homes.moving.get_mut(&key) {
            moving.to = to;
            moving.connect.identity = identity;
            return;
        }
        if place == self.home_of(app, &was) {
            return;
        }
        let Some(handshake) = self.transports.peers.get(peer.0).map(|peer| peer.handshake.clone()) else { return };
        let socket = SocketRef { shard: self.id, key };
        let dialect = self.config.dialects.get(app, dialect).map(|dialect| dialect.name);
        let (nsp, auth) = (self.config.namespaces.index(nsp), Bytes::from_static(b"{}"));
        let connect = Connect { socket, nsp, dialect, moved: true, sid, identity, auth, handshake };
        let held = Parked::new(self.homes.apps[usize::from(app.0)].app().ack_style());
        self.homes.moving.insert(key, Moving { app, to, connect, held });
        self.hand_home(app, home, AppInput::Moved { socket, identity: was });
    }

    /// The old home is done with the socket: the new one hears of it, then of what has come since.
    pub(super) fn release(&mut self, key: Key) {
        let Some(Moving { app, to, connect, mut held }) = self.homes.moving.remove(&key) else { return };
        if let Some(socket) = self.members.sockets.get_mut(key) {
            socket.home = to;
        }
        self.hand_home(app, to, AppInput::Connect(connect));
        while let Some(input) = held.pop() {
            self.hand_home(app, to, input);
        }
        if held.has_held() {
            self.on_flow(key, Flow::Release);
        }
    }

    /// Wakes when the application wants to speak of the token's end, or at that end, by today's wall clock.
    pub(super) fn arm_expiry(&mut self, key: Key) {
        let Some(socket) = self.members.sockets.get(key) else { return };
        let Some(left_ms) = self.left_ms(&socket.identity) else { return };
        let app = self.config.namespaces.owner(socket.nsp.id);
        let notice_ms = self.homes.apps[usize::from(app.0)].app().expiry_notice_ms().unwrap_or(0);
        let in_ms = if left_ms > notice_ms { left_ms - notice_ms } else { left_ms };
        let timer = self.wheel.arm(self.now.mono + in_ms, Timer::TokenExpiry(key));
        if let Some(socket) = self.members.sockets.get_mut(key) {
            socket.expiry = Some(timer);
        }
    }

    /// Milliseconds until the token of an identity ends, if it does.
    fn left_ms(&self, identity: &Identity) -> Option<u64> {
        let expires_at_s = identity.expires_at_s?;
        Some(expires_at_s.saturating_mul(1000).saturating_sub(self.now.wall.0))
    }

    /// By the wall clock of now: after a jump backwards the token still has time (F-16).
    pub(super) fn on_token_expiry(&mut self, key: Key) {
        let Some(socket) = self.members.sockets.get_mut(key) else { return };
        socket.expiry = None;
        let (identity, nsp, accepted) = (socket.identity.clone(), socket.nsp.id, socket.accepted);
        let Some(in_ms) = self.left_ms(&identity) else { return };
        let app = self.config.namespaces.owner(nsp);
        let notice_ms = self.homes.apps[usize::from(app.0)].app().expiry_notice_ms().filter(|_| accepted);
        match notice_ms {
            None if in_ms == 0 => return self.disconnect_namespace(key, CloseReason::TokenExpired),
            Some(notice_ms) if in_ms <= notice_ms => {
                let socket = SocketRef { shard: self.id, key };
                self.hand_socket(key, AppInput::Expiring { socket, identity, in_ms });
            }
            _ => {}
        }
        if in_ms > 0 {
            self.arm_expiry(key);
        }
    }

    /// The home has spoken to a socket whose token has ended. It ends, too, unless it has a better one by now.
    pub(super) fn expire(&mut self, key: Key) {
        let Some(socket) = self.members.sockets.get(key) else { return };
        if self.left_ms(&socket.identity) == Some(0) {
            self.disconnect_namespace(key, CloseReason::TokenExpired);
        }
    }
}
