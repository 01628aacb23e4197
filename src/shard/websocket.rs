//! WebSockets on a shard: bytes to messages, upgrades, the close handshake (PROTOCOL 4, 5; RFC 6455 section 7).

use std::borrow::Cow;

use bytes::Bytes;

use super::Shard;
use super::connection::{Connection, Role};
use super::io::{Hello, Output, Service};
use super::outbox::Coalesce;
use super::peer::Timer;
use crate::app::fetch::FetchFailure;
use crate::app::link::{LinkEnd, LinkMessage};
use crate::base::close::CloseReason;
use crate::base::ids::{ConnKey, ListenerId, PeerKey, ReqId, Sid};
use crate::base::limit::{UPGRADE_NOOP_INTERVAL_MS, UPGRADE_TIMEOUT_MS, WS_CLOSE_TIMEOUT_MS};
use crate::engine::open::{self, EngineError};
use crate::engine::packet::{self, Packet};
use crate::engine::payload;
use crate::engine::polling::Reply;
use crate::engine::session::{self, ProbeStep, Probing, Transport};
use crate::wire::frame::Opcode;
use crate::wire::{Incoming, WireError, close};

impl Shard {
    /// A WebSocket without sid: a new session, or a bare echo.
    pub(super) fn on_connected(&mut self, conn: ConnKey, hello: Hello) {
        let (listener, base64) = (hello.listener, hello.base64);
        if hello.service == Service::WebSocketEcho {
            self.add_connection(conn, listener, Role::Echo, base64);
            if self.draining {
                self.close_connection(conn, CloseReason::ServerShuttingDown.ws_code());
            }
            return;
        }
        let key = self.open_peer(hello, |_| Transport::WebSocket(conn));
        self.add_connection(conn, listener, Role::Session(key), base64);
        self.stats.opened_websocket += 1;
        if let Some(peer) = self.transports.peers.get(key.0) {
            let open = open::open_packet(&peer.session.sid, false, &self.config.engines[usize::from(listener.0)]);
            self.push_frame(conn, Opcode::Text, open.as_bytes());
        }
    }

    /// Before the 101 of an upgrade: the session must exist. Whether it can upgrade is decided when the stream is here,
    /// as the reference does: a second upgrade gets its 101, then a close frame.
    pub(super) fn on_upgrade_asked(&mut self, req: ReqId, sid: Sid) {
        match self.find_peer(&sid) {
            Some(_) => self.respond(req, Reply::SwitchProtocols),
            None => self.refuse(req, EngineError::SessionUnknown),
        }
    }

    /// A WebSocket with a sid: it has to prove itself before it takes over.
    pub(super) fn on_upgraded(&mut self, conn: ConnKey, sid: Sid, base64: bool) {
        let key = self.find_peer(&sid);
        let peer = key.and_then(|key| self.transports.peers.get_mut(key.0));
        let listener = peer.as_ref().map_or(ListenerId(0), |peer| peer.listener);
        let polling = match peer.map(|peer| &mut peer.session.transport) {
            Some(Transport::Polling(polling)) => Some(std::mem::take(&mut **polling)),
            _ => None,
        };
        let (Some(key), Some(polling)) = (key, polling) else {
            // Too late, or not the first: it is nobody's, and told so.
            self.add_connection(conn, listener, Role::Echo, base64);
            return self.close_connection(conn, None);
        };
        self.add_connection(conn, listener, Role::Probe(key), base64);
        let timeout = self.wheel.arm(self.now.mono + UPGRADE_TIMEOUT_MS, Timer::UpgradeLimit(key));
        if let Some(peer) = self.transports.peers.get_mut(key.0) {
            let probing = Probing { polling, conn, timeout, noop: None, base64 };
            peer.session.transport = Transport::Probing(Box::new(probing));
        }
    }

    /// Bytes arrived.
    pub(super) fn on_bytes(&mut self, conn: ConnKey, bytes: &mut [u8]) {
        self.stats.bytes_in += bytes.len() as u64;
        self.take_frames(conn, bytes);
    }

    /// Every complete message is handled, in order, until its client is held: then what is left is kept.
    pub(super) fn take_frames(&mut self, conn: ConnKey, bytes: &mut [u8]) {
        let Some(connection) = self.transports.conns.get(conn) else { return };
        if matches!(connection.role, Role::Hangup | Role::Lingering) {
            return;
        }
        let max = match connection.role {
            Role::Link(key) => self.transports.links.get(key).map_or(0, |link| link.terms.message_bytes_max),
            _ => self.config.engines[usize::from(connection.listener.0)].max_payload_bytes,
        };
        let Some(connection) = self.transports.conns.get_mut(conn) else { return };
        let mut decoder = std::mem::take(&mut connection.decoder);
        let mut rest = bytes;
        loop {
            match decoder.next(&mut rest, max) {
                Ok(None) => break,
                Ok(Some(incoming)) => {
                    self.on_message(conn, incoming);
                    // At once, so that nothing depends on how the bytes came in pieces.
                    self.run_homes();
                }
                Err(error) => return self.on_wire_error(conn, error),
            }
            match self.transports.conns.get(conn) {
                Some(connection) if !matches!(connection.role, Role::Hangup | Role::Lingering) => {}
                _ => return,
            }
            if self.keeps_unread(conn, rest) {
                break;
            }
        }
        let Some(connection) = self.transports.conns.get_mut(conn) else { return };
        connection.decoder = decoder;
        // Behind the messages: where the pong is among them, there is nothing left to do.
        match connection.role {
            Role::Session(key) | Role::Probe(key) => self.hear(key),
            Role::Link(key) => self.hear_link(key),
            Role::Echo | Role::Closing | Role::Hangup | Role::Lingering => {}
        }
    }

    fn on_message(&mut self, conn: ConnKey, incoming: Incoming<'_>) {
        let Some(role) = self.transports.conns.get(conn).map(|connection| connection.role) else { return };
        match (role, incoming) {
            (_, Incoming::Close(code, reason)) => self.on_close_frame(conn, role, code, &reason),
            (Role::Closing | Role::Hangup | Role::Lingering, _) | (_, Incoming::Pong) => {}
            (_, Incoming::Ping(data)) => self.push_pong(conn, data.as_ref()),
            (Role::Echo, Incoming::Text(text)) => self.push_frame(conn, Opcode::Text, text.as_bytes()),
            (Role::Echo, Incoming::Binary(data)) => self.push_frame(conn, Opcode::Binary, &data),
            (Role::Link(key), Incoming::Text(text)) => self.on_link_message(key, LinkMessage::Text(text.into_owned())),
            (Role::Link(key), Incoming::Binary(data)) => {
                self.on_link_message(key, LinkMessage::Binary(data.into_owned().into()));
            }
            (Role::Session(key), message) => match read_packet(message) {
                Some(packet) => {
                    self.stats.packets_in += 1;
                    self.on_packet(key, packet);
                }
                None => self.close_peer(key, CloseReason::EngineParseError),
            },
            (Role::Probe(key), message) => {
                let step = read_packet(message).map_or(ProbeStep::Fail, |packet| session::probe_step(&packet));
                self.on_probe_step(key, conn, step);
            }
        }
    }

    fn on_probe_step(&mut self, key: PeerKey, conn: ConnKey, step: ProbeStep) {
        match step {
            ProbeStep::Probe => {
                let Some(peer) = self.transports.peers.get_mut(key.0) else { return };
                let Transport::Probing(probing) = &mut peer.session.transport else { return };
                if probing.noop.is_none() {
                    let at = self.now.mono + UPGRADE_NOOP_INTERVAL_MS;
                    probing.noop = Some(self.wheel.arm(at, Timer::UpgradeNoop(key)));
                }
                self.push_frame(conn, Opcode::Text, b"3probe");
            }
            ProbeStep::Upgrade => self.finish_upgrade(key, conn),
            ProbeStep::Fail => self.fail_upgrade(key, None),
        }
    }

    /// `5`: the WebSocket takes over. A parked GET reads `1`, what waited for polling goes out on the WebSocket. A POST
    /// in flight is still taken when its body has come.
    fn finish_upgrade(&mut self, key: PeerKey, conn: ConnKey) {
        let Some(probing) = self.take_probing(key, Transport::WebSocket(conn)) else { return };
        let Probing { mut polling, base64, .. } = *probing;
        if let Some((req, body)) = polling.interrupt("1") {
            self.respond(req, Reply::Packets(body));
        }
        self.set_role(conn, Role::Session(key));
        self.reroute(key);
        if let Some(peer) = self.transports.peers.get_mut(key.0) {
            peer.late_post = polling.take_post().map(Box::new);
            if peer.holds > 0 {
                self.out.outputs.push_back(Output::Pause { conn });
            }
        }
        let waiting = String::from_utf8(polling.take_raw()).expect("polling packets are text");
        let (before, now) = polling.count();
        self.transports.pool.count_polling(before, now);
        for packet in payload::split(&waiting) {
            match packet::decode_text(Cow::Borrowed(packet)) {
                Ok(Packet::Binary(data)) if !base64 => self.push_frame(conn, Opcode::Binary, &data),
                _ => self.push_frame(conn, Opcode::Text, packet.as_bytes()),
            }
        }
        self.stats.upgraded += 1;
        // A ping may have been on its way over polling: the next one starts afresh, so that its pong is never missed.
        self.rest_heartbeat(key);
    }

    /// The WebSocket did not prove itself: it is closed with `code`, the session stays on polling.
    pub(super) fn fail_upgrade(&mut self, key: PeerKey, code: Option<u16>) {
        let Some(probing) = self.take_probing(key, Transport::Polling(Box::default())) else { return };
        let conn = probing.conn;
        if let Some(peer) = self.transports.peers.get_mut(key.0) {
            peer.session.transport = Transport::Polling(Box::new(probing.polling));
        }
        self.close_connection(conn, code);
    }

    /// Takes the upgrade under way out of a session and disarms its timers.
    pub(super) fn take_probing(&mut self, key: PeerKey, next: Transport) -> Option<Box<Probing>> {
        let peer = self.transports.peers.get_mut(key.0)?;
        if !matches!(peer.session.transport, Transport::Probing(_)) {
            return None;
        }
        let Transport::Probing(probing) = std::mem::replace(&mut peer.session.transport, next) else { return None };
        self.wheel.cancel(probing.timeout);
        if let Some(noop) = probing.noop {
            self.wheel.cancel(noop);
        }
        Some(probing)
    }

    /// The TCP connection has ended.
    pub(super) fn on_gone(&mut self, conn: ConnKey, broken: bool) {
        let Some(role) = self.drop_connection(conn) else { return };
        let reason = if broken { CloseReason::TransportError } else { CloseReason::TransportClose };
        match role {
            Role::Session(key) => self.close_peer(key, reason),
            Role::Probe(key) => self.fail_upgrade(key, None),
            Role::Link(key) => self.end_link(key, LinkEnd::Failed(FetchFailure::Cut)),
            Role::Echo | Role::Closing | Role::Hangup | Role::Lingering => {}
        }
    }

    /// The peer's close frame: ours goes back with the same code, then the TCP connection ends.
    fn on_close_frame(&mut self, conn: ConnKey, role: Role, code: Option<u16>, reason: &str) {
        if role != Role::Closing {
            self.push_close(conn, code);
        }
        self.set_role(conn, Role::Hangup);
        match role {
            Role::Session(key) => self.close_peer(key, CloseReason::TransportClose),
            Role::Probe(key) => self.fail_upgrade(key, None),
            Role::Link(key) => self.end_link(key, LinkEnd::Peer { code, reason: reason.to_owned() }),
            Role::Echo | Role::Closing | Role::Hangup | Role::Lingering => {}
        }
    }

    fn on_wire_error(&mut self, conn: ConnKey, error: WireError) {
        let reason = error.reason();
        match self.transports.conns.get(conn).map(|connection| connection.role) {
            Some(Role::Session(key)) => self.close_peer(key, reason),
            Some(Role::Probe(key)) => self.fail_upgrade(key, reason.ws_code()),
            Some(Role::Echo) => self.push_close(conn, reason.ws_code()),
            Some(Role::Link(key)) => {
                self.on_link_error(key, error);
                self.push_close(conn, reason.ws_code());
            }
            Some(Role::Closing | Role::Hangup | Role::Lingering) | None => {}
        }
        // The byte stream is out of step: nothing of it can be read again, not even a close frame.
        self.hang_up(conn);
    }

    /// Sends a close frame and waits a while for the peer's; then the TCP connection is cut.
    pub(super) fn close_connection(&mut self, conn: ConnKey, code: Option<u16>) {
        self.close_with(conn, close::frame(code));
    }

    /// As [`Shard::close_connection`], with this close frame.
    pub(super) fn close_with(&mut self, conn: ConnKey, frame: Bytes) {
        match self.transports.conns.get(conn).map(|connection| connection.role) {
            None | Some(Role::Closing | Role::Hangup | Role::Lingering) => return,
            Some(_) => self.push_bytes(conn, frame, Coalesce::NEVER),
        }
        self.set_role(conn, Role::Closing);
        self.arm_cut(conn);
    }

    /// Whatever the peer does, the connection does not outlive this.
    fn arm_cut(&mut self, conn: ConnKey) {
        let timer = self.wheel.arm(self.now.mono + WS_CLOSE_TIMEOUT_MS, Timer::Cut(conn));
        let Some(slow) = self.transports.conns.slow_mut(conn, self.now.mono) else { return };
        if let Some(old) = slow.timer.replace(timer) {
            self.wheel.cancel(old);
        }
    }

    /// Ends our side of the TCP connection; what could not be written is given up together with the peer's side.
    pub(super) fn linger(&mut self, conn: ConnKey) {
        let Some(lane) = self.transports.conns.lane(conn) else { return };
        if !lane.outbox.is_empty() {
            self.drop_connection(conn);
            return;
        }
        self.set_role(conn, Role::Lingering);
        self.out.outputs.push_back(Output::Finish { conn });
        self.arm_cut(conn);
    }

    /// Ends the TCP connection after what is queued has been offered to the kernel once.
    pub(super) fn hang_up(&mut self, conn: ConnKey) {
        self.set_role(conn, Role::Hangup);
    }

    fn set_role(&mut self, conn: ConnKey, role: Role) {
        let Some(connection) = self.transports.conns.get_mut(conn) else { return };
        connection.role = role;
        if let Some(lane) = self.transports.conns.lane_mut(conn) {
            lane.hangs_up = role == Role::Hangup;
        }
        if role == Role::Hangup {
            self.mark_dirty(conn);
        }
    }

    pub(super) fn add_connection(&mut self, conn: ConnKey, listener: ListenerId, role: Role, base64: bool) {
        self.transports.conns.insert(conn, Connection::new(role, listener), base64);
    }

    /// Forgets a connection and what was queued for it; says what it was.
    pub(super) fn drop_connection(&mut self, conn: ConnKey) -> Option<Role> {
        let (connection, mut outbox) = self.transports.conns.remove(conn)?;
        self.transports.backlog.unread.remove(&conn);
        self.transports.pool.clear(&mut outbox);
        if let Some(timer) = connection.slow().and_then(|slow| slow.timer) {
            self.wheel.cancel(timer);
        }
        self.out.outputs.push_back(Output::Close { conn });
        Some(connection.role)
    }
}

/// The engine packet in a WebSocket message; `None`: it is none.
fn read_packet(message: Incoming<'_>) -> Option<Packet<'_>> {
    match message {
        Incoming::Text(text) => packet::decode_text(text).ok(),
        Incoming::Binary(data) => Some(packet::decode_binary(data)),
        Incoming::Ping(_) | Incoming::Pong | Incoming::Close(..) => Some(Packet::Text(Cow::Borrowed(""))),
    }
}
