//! Everything that happens by itself: heartbeats, time limits, expiries, the drain. One wheel, one match.

use super::Shard;
use super::connection::Role;
use super::link::{Link, State};
use super::outbox::Coalesce;
use super::peer::Timer;
use crate::app::event::AppInput;
use crate::base::close::CloseReason;
use crate::base::ids::{AppId, ConnKey, Key, PeerKey};
use crate::base::limit::{DRAIN_GAP_MS_MAX, DRAIN_NOTICE_MS, HEARING_GRACE_MS, UPGRADE_NOOP_INTERVAL_MS};
use crate::base::time::Millis;
use crate::engine::heartbeat::Phase;
use crate::engine::polling::Reply;
use crate::engine::session::Transport;
use crate::socketio::ack::AckKey;

impl Shard {
    /// What is due of one peer, room or ack.
    pub(super) fn on_timer(&mut self, timer: Timer) {
        match timer {
            Timer::Heartbeat(peer) => self.on_heartbeat(peer),
            Timer::Connect(peer) => self.on_connect_timeout(peer),
            Timer::UpgradeLimit(peer) => self.on_upgrade_timeout(peer),
            Timer::UpgradeNoop(peer) => self.on_upgrade_noop(peer),
            Timer::ForgetClosing(peer) => self.forget(peer),
            Timer::Cut(conn) => {
                self.drop_connection(conn);
            }
            Timer::Stall(conn) => self.on_stall(conn),
            Timer::TokenExpiry(socket) => self.on_token_expiry(socket),
            Timer::Ack(key) => self.on_ack_timeout(key),
            Timer::App(app, token) => {
                self.homes.timers.remove(&(app, token));
                self.homes.local.push_back((app, AppInput::Timer { token }));
            }
            Timer::Thaw(peer) => self.on_thaw(peer),
            Timer::Link(link) => self.on_link_timer(link),
            Timer::DrainLink(link) => self.drain_link(link),
            Timer::Drain(peer) => self.close_peer(peer, CloseReason::ServerShuttingDown),
        }
    }

    /// The interval is over: ping. Or the pong is overdue (PROTOCOL 6).
    fn on_heartbeat(&mut self, key: PeerKey) {
        let Some(peer) = self.transports.peers.get_mut(key.0) else { return };
        let timeout = self.config.engines[usize::from(peer.listener.0)].ping_timeout_ms;
        if peer.session.heartbeat.phase != Phase::Resting {
            return self.on_overdue(key, timeout);
        }
        let timer = self.wheel.arm(self.now.mono + timeout, Timer::Heartbeat(key));
        peer.session.heartbeat.arm(Phase::Waiting, timer);
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

    /// Nothing has arrived within the timeout: the session ends, unless what is sent to it has moved meanwhile, or not all
    /// that lay in the sockets has been read.
    fn on_overdue(&mut self, key: PeerKey, timeout: u64) {
        let Some(peer) = self.transports.peers.get(key.0) else { return };
        let now = self.now.mono;
        let grace = timeout.min(HEARING_GRACE_MS);
        let read_up_to = match peer.session.heartbeat.phase {
            Phase::Overdue => self.heard + grace,
            Phase::Waiting | Phase::Resting => self.heard,
        };
        let moved_at = match peer.session.transport {
            Transport::WebSocket(conn) => self.moved_at(conn),
            _ => None,
        };
        let (phase, at) = match moved_at {
            Some(moved_at) if moved_at + timeout > now => (Phase::Waiting, moved_at + timeout),
            // What it has sent is not read for a while.
            _ if peer.holds > 0 => (Phase::Waiting, now + timeout),
            _ if read_up_to < now => (Phase::Overdue, now + grace),
            _ => return self.close_peer(key, CloseReason::PingTimeout),
        };
        let timer = self.wheel.arm(at, Timer::Heartbeat(key));
        if let Some(peer) = self.transports.peers.get_mut(key.0) {
            peer.session.heartbeat.arm(phase, timer);
        }
    }

    /// When the kernel last took something of what waits for a WebSocket.
    pub(super) fn moved_at(&self, conn: ConnKey) -> Option<Millis> {
        self.transports.conns.lane(conn).filter(|lane| !lane.outbox.is_empty())?;
        Some(self.transports.conns.get(conn)?.slow()?.progress_at)
    }

    /// The process was late, and what lay in the sockets has not been read since: time limits that a packet would have met
    /// wait until it has.
    pub(super) fn is_behind(&self) -> bool {
        self.heard + HEARING_GRACE_MS < self.now.mono
    }

    /// No namespace was joined in time (PROTOCOL 11). A CONNECT that waits for its home is no fault of the client: it gets the
    /// time once more.
    fn on_connect_timeout(&mut self, key: PeerKey) {
        let behind = self.is_behind();
        let Some(peer) = self.transports.peers.get_mut(key.0) else { return };
        peer.connect_timer = None;
        let again_ms = match peer.client.memberships().is_empty() {
            true if behind => HEARING_GRACE_MS,
            true => return self.close_peer(key, CloseReason::ConnectTimeout),
            false => self.config.engines[usize::from(peer.listener.0)].connect_timeout_ms,
        };
        peer.connect_timer = Some(self.wheel.arm(self.now.mono + again_ms, Timer::Connect(key)));
    }

    /// The WebSocket did not take over in time (PROTOCOL 5).
    fn on_upgrade_timeout(&mut self, key: PeerKey) {
        if !self.is_behind() {
            return self.fail_upgrade(key, None);
        }
        let again = self.wheel.arm(self.now.mono + HEARING_GRACE_MS, Timer::UpgradeLimit(key));
        if let Some(peer) = self.transports.peers.get_mut(key.0)
            && let Transport::Probing(probing) = &mut peer.session.transport
        {
            probing.timeout = again;
        }
    }

    /// While an upgrade goes on, a parked GET reads a noop, again and again: one alone stalls clients (PROTOCOL 5).
    fn on_upgrade_noop(&mut self, key: PeerKey) {
        let Some(peer) = self.transports.peers.get_mut(key.0) else { return };
        let Transport::Probing(probing) = &mut peer.session.transport else { return };
        let at = self.now.mono + UPGRADE_NOOP_INTERVAL_MS;
        probing.noop = Some(self.wheel.arm(at, Timer::UpgradeNoop(key)));
        if let Some((req, body)) = probing.polling.interrupt("6") {
            self.respond(req, Reply::Packets(body));
        }
    }

    fn on_ack_timeout(&mut self, key: AckKey) {
        let Some((gathered, late)) = self.members.acks.on_timeout(key) else { return };
        for socket in late {
            if let Some(socket) = self.members.sockets.get_mut(socket) {
                socket.acks.retain(|pending| *pending != key.id);
            }
        }
        let app = self.config.namespaces.owner(key.nsp);
        self.report_acks(app, key.id, gathered.answers, gathered.missing);
    }

    /// Every client and link is closed at its moment within the window, so that they do not all come back at once (F-17). A handful of
    /// them need no long window. What applications say at the end, of whatever home, comes first, and is read first: a client that reads
    /// both at once drops what came before the end.
    pub(super) fn on_drain(&mut self, window_ms: u64) {
        self.draining = true;
        self.homes.local.extend((0..self.homes.apps.len()).map(|app| (AppId(app as u16), AppInput::Draining)));
        let waits = |link: &Link| matches!(link.state, State::Waiting(_));
        let waiting: Vec<Key> =
            self.transports.links.iter().filter(|(_, link)| waits(link)).map(|(key, _)| key).collect();
        waiting.into_iter().for_each(|link| self.drain_link(link));
        let peers = self.transports.peers.keys().map(|peer| Timer::Drain(PeerKey(peer)));
        let ends: Vec<Timer> =
            peers.chain(self.transports.links.iter().map(|(link, _)| Timer::DrainLink(link))).collect();
        let count = ends.len().max(1) as u64;
        let window_ms = window_ms.min(count * DRAIN_GAP_MS_MAX);
        for (index, end) in ends.into_iter().enumerate() {
            self.wheel.arm(self.now.mono + DRAIN_NOTICE_MS + window_ms * index as u64 / count, end);
        }
        for echo in self.transports.conns.keys_of(Role::Echo) {
            self.close_connection(echo, CloseReason::ServerShuttingDown.ws_code());
        }
    }

    /// A drain has been asked for, and every client has been told.
    pub fn has_told_all(&self) -> bool {
        self.draining
            && self.transports.links.is_empty()
            && self.transports.peers.iter().all(|(_, peer)| peer.session.is_closing())
    }

    /// And its connection has ended.
    pub fn is_drained(&self) -> bool {
        self.has_told_all() && self.transports.conns.is_empty()
    }
}

/// The engine's ping as a WebSocket frame: FIN, text, one byte, `2`.
const PING_FRAME: &[u8] = &[0x81, 1, b'2'];
