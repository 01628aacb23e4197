//! Everything that happens by itself: heartbeats, time limits, expiries, the drain. One wheel, one match.

use super::Shard;
use super::connection::Role;
use super::outbox::Coalesce;
use super::peer::Timer;
use crate::app::event::AppInput;
use crate::base::close::CloseReason;
use crate::base::ids::{Key, NspId, PeerKey};
use crate::base::limit::UPGRADE_NOOP_INTERVAL_MS;
use crate::engine::heartbeat::{Heartbeat, Phase};
use crate::engine::polling::Reply;
use crate::engine::session::Transport;
use crate::socketio::ack::AckKey;

impl Shard {
    pub(super) fn on_timer(&mut self, timer: Timer) {
        match timer {
            Timer::Heartbeat(peer) => self.on_heartbeat(peer),
            Timer::Connect(peer) => self.on_connect_timeout(peer),
            Timer::UpgradeLimit(peer) => self.fail_upgrade(peer, None),
            Timer::UpgradeNoop(peer) => self.on_upgrade_noop(peer),
            Timer::ForgetClosing(peer) => self.forget(peer),
            Timer::Cut(conn) => {
                self.drop_connection(conn);
            }
            Timer::Stall(conn) => self.end_slow_reader(conn),
            Timer::TokenExpiry(socket) => self.on_token_expiry(socket),
            Timer::Ack(key) => self.on_ack_timeout(key),
            Timer::App(nsp, token) => {
                self.app_timers.remove(&(nsp, token));
                self.local.push_back((nsp, AppInput::Timer { token }));
            }
            Timer::Drain(peer) => self.close_peer(peer, CloseReason::ServerShuttingDown),
        }
    }

    /// The interval is over: ping. Or the pong is overdue: the session ends (protocol 2.6).
    fn on_heartbeat(&mut self, key: PeerKey) {
        let Some(peer) = self.peers.get_mut(key.0) else { return };
        if peer.session.heartbeat.phase == Phase::Waiting {
            return self.close_peer(key, CloseReason::PingTimeout);
        }
        let timeout = self.config.engines[usize::from(peer.listener.0)].ping_timeout_ms;
        let timer = self.wheel.arm(self.now.mono + timeout, Timer::Heartbeat(key));
        peer.session.heartbeat = Heartbeat { phase: Phase::Waiting, timer };
        match peer.session.transport {
            Transport::WebSocket(conn) => {
                self.stats.packets_out += 1;
                self.push_bytes(conn, bytes::Bytes::from_static(PING_FRAME), Coalesce::NEVER);
            }
            _ => {
                if let Some(polling) = peer.session.polling_mut() {
                    polling.push_text(b"2");
                    self.stats.packets_out += 1;
                    self.mark_poll_dirty(key);
                }
            }
        }
    }

    /// No namespace was joined in time (protocol 1.2).
    fn on_connect_timeout(&mut self, key: PeerKey) {
        if let Some(peer) = self.peers.get_mut(key.0) {
            peer.connect_timer = None;
            self.close_peer(key, CloseReason::ConnectTimeout);
        }
    }

    /// While an upgrade goes on, a parked GET reads a noop, again and again: one alone stalls clients (protocol 2.5).
    fn on_upgrade_noop(&mut self, key: PeerKey) {
        let Some(peer) = self.peers.get_mut(key.0) else { return };
        let Transport::Probing(probing) = &mut peer.session.transport else { return };
        let at = self.now.mono + UPGRADE_NOOP_INTERVAL_MS;
        probing.noop = Some(self.wheel.arm(at, Timer::UpgradeNoop(key)));
        if let Some((req, body)) = probing.polling.interrupt("6") {
            self.respond(req, Reply::Packets(body));
        }
    }

    /// By the wall clock of now: after a jump backwards the token still has time (F-16).
    fn on_token_expiry(&mut self, key: Key) {
        let Some(expires_at_s) = self.sockets.get(key).and_then(|socket| socket.identity.expires_at_s) else { return };
        if self.now.wall.as_secs() >= expires_at_s {
            if let Some(socket) = self.sockets.get_mut(key) {
                socket.expiry = None;
            }
            return self.disconnect_namespace(key, CloseReason::TokenExpired);
        }
        let timer = self.arm_expiry(key, expires_at_s);
        if let Some(socket) = self.sockets.get_mut(key) {
            socket.expiry = Some(timer);
        }
    }

    fn on_ack_timeout(&mut self, key: AckKey) {
        let Some((gathered, late)) = self.acks.on_timeout(key) else { return };
        for socket in late {
            if let Some(socket) = self.sockets.get_mut(socket) {
                socket.acks.retain(|pending| *pending != key.id);
            }
        }
        self.report_acks(key, gathered.answers, gathered.missing);
    }

    /// Every client is closed at its moment within the window, so that they do not all come back at once (F-17).
    pub(super) fn on_drain(&mut self, window_ms: u64) {
        self.draining = true;
        let namespaces = (0..self.homes.len()).map(|nsp| (NspId(nsp as u16), AppInput::Draining));
        self.local.extend(namespaces);
        let peers: Vec<PeerKey> = self.peers.keys().map(PeerKey).collect();
        let count = peers.len().max(1) as u64;
        for (index, peer) in peers.into_iter().enumerate() {
            self.wheel.arm(self.now.mono + window_ms * index as u64 / count, Timer::Drain(peer));
        }
        for echo in self.conns.keys_of(Role::Echo) {
            self.close_connection(echo, CloseReason::ServerShuttingDown.ws_code());
        }
    }

    /// A drain has been asked for, and every client has been told.
    pub fn is_drained(&self) -> bool {
        self.draining && self.peers.iter().all(|(_, peer)| peer.session.is_closing()) && self.conns.is_empty()
    }
}

/// The engine's ping as a WebSocket frame: FIN, text, one byte, `2`.
const PING_FRAME: &[u8] = &[0x81, 1, b'2'];
