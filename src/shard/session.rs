//! A client's life on a shard: opened by a handshake, read packet by packet, ended once.

use std::borrow::Cow;

use bytes::Bytes;
use hashbrown::hash_table::Entry;
use smallvec::SmallVec;
use tracing::{debug, info, warn};

use super::Shard;
use super::io::{Hello, Output, Service};
use super::peer::{EventBudget, Peer, Timer};
use crate::app::event::AppInput;
use crate::base::close::{CloseReason, LogLevel};
use crate::base::ids::{Key, NspId, PeerKey, Sid, SocketRef};
use crate::base::limit::POLLING_CLOSE_TIMEOUT_MS;
use crate::engine::heartbeat::{self, Heartbeat, Phase};
use crate::engine::packet::Packet;
use crate::engine::polling::{self, Reply};
use crate::engine::session::{Meaning, Session, Transport, meaning};
use crate::socketio::client::{Client, Incoming, Joined, Membership, Violation};

impl Shard {
    /// A new session: sid drawn, heartbeat and connect timeout armed.
    pub(super) fn open_peer(&mut self, hello: Hello, transport: impl FnOnce(PeerKey) -> Transport) -> PeerKey {
        let sid = self.config.placement.draw_sid(&mut self.rng, self.id);
        let engine = &self.config.engines[usize::from(hello.listener.0)];
        let ping_at = self.now.mono + heartbeat::next_ping_in_ms(engine, &mut self.rng);
        let connect_at = self.now.mono + engine.connect_timeout_ms;
        let (now, wheel) = (self.now.mono, &mut self.wheel);
        let key = self.transports.peers.insert_with(|key| {
            let key = PeerKey(key);
            let heartbeat = Heartbeat::new(now, wheel.arm(ping_at, Timer::Heartbeat(key)));
            let joins = matches!(hello.service, Service::SocketIo { .. });
            Peer {
                session: Session { sid, transport: transport(key), heartbeat },
                service: hello.service,
                listener: hello.listener,
                client: Client::default(),
                handshake: hello.handshake,
                connect_timer: joins.then(|| wheel.arm(connect_at, Timer::Connect(key))),
                late_post: None,
                poll_dirty: false,
                events: EventBudget::default(),
                throttled: false,
                holds: 0,
            }
        });
        let peers = &self.transports.peers;
        let hash = |slot: &u32| peers.at(*slot).map_or(0, |peer| sid_hash(&peer.session.sid));
        if let Entry::Vacant(entry) =
            self.transports.by_sid.entry(sid_hash(&sid), |slot| is_sid(peers.at(*slot), &sid), hash)
        {
            entry.insert(key.slot);
        }
        if self.draining {
            self.wheel.arm(self.now.mono, Timer::Drain(PeerKey(key)));
        }
        debug!(target: "siod::connection", sid = ?sid, "opened");
        PeerKey(key)
    }

    /// The session of a sid, if it lives here.
    pub(super) fn find_peer(&self, sid: &Sid) -> Option<PeerKey> {
        let slot = self.transports.by_sid.find(sid_hash(sid), |slot| is_sid(self.transports.peers.at(*slot), sid))?;
        self.transports.peers.key_at(*slot).map(PeerKey)
    }

    /// One engine packet of an open session.
    pub(super) fn on_packet(&mut self, key: PeerKey, packet: Packet<'_>) {
        match meaning(packet) {
            Meaning::Text(text) => self.on_text(key, text),
            Meaning::Binary(data) => self.on_binary(key, data),
            Meaning::Pong => {
                self.rest_heartbeat(key);
                self.tell_pong(key);
            }
            Meaning::Nothing => {}
            Meaning::Goodbye => {
                // The parked GET of a client that says goodbye reads a noop, not a close (PROTOCOL 3).
                let parked =
                    self.transports.peers.get_mut(key.0).and_then(|peer| peer.session.polling_mut()?.interrupt("6"));
                if let Some((req, body)) = parked {
                    self.respond(req, Reply::Packets(body));
                }
                self.close_peer(key, CloseReason::TransportClose);
            }
            Meaning::Violation(reason) => self.close_peer(key, reason),
        }
    }

    fn on_text(&mut self, key: PeerKey, text: Cow<'_, str>) {
        let Some(peer) = self.transports.peers.get_mut(key.0) else { return };
        let Service::SocketIo { root } = peer.service else {
            let echo = format!("4{text}");
            return self.send_text(key, echo.as_bytes());
        };
        let names = self.config.namespaces.names();
        match peer.client.on_text(&text, |name| resolve(names, root, name)) {
            Ok(incoming) => self.on_incoming(key, incoming),
            Err(violation) => self.on_violation(key, violation),
        }
    }

    fn on_binary(&mut self, key: PeerKey, data: Cow<'_, [u8]>) {
        let Some(peer) = self.transports.peers.get_mut(key.0) else { return };
        if peer.service == Service::EngineEcho {
            return self.send_binary(key, &data);
        }
        let max = self.config.engines[usize::from(peer.listener.0)].max_payload_bytes;
        match peer.client.on_binary(Bytes::from(data.into_owned()), max) {
            Ok(incoming) => self.on_incoming(key, incoming),
            Err(violation) => self.on_violation(key, violation),
        }
    }

    fn on_incoming(&mut self, key: PeerKey, incoming: Incoming<'_>) {
        let counts = match &incoming {
            Incoming::Connect { .. } | Incoming::UnknownNamespace { .. } => true,
            Incoming::Message(message) => !message.is_ack,
            Incoming::Disconnect(_) | Incoming::Nothing => false,
        };
        if counts {
            self.count_event(key);
        }
        match incoming {
            Incoming::Nothing => {}
            Incoming::Connect { nsp, auth } => self.on_connect(key, nsp, auth),
            Incoming::UnknownNamespace { name } => self.on_unknown_namespace(key, name),
            Incoming::Disconnect(member) => self.end_socket(member.socket, CloseReason::ClientNamespaceDisconnect),
            Incoming::Message(message) if message.is_ack => self.on_ack_packet(message),
            Incoming::Message(message) => self.on_event(message),
        }
    }

    fn on_violation(&mut self, key: PeerKey, violation: Violation) {
        debug!(target: "siod::connection", ?violation, "protocol violation");
        let reason = match violation {
            Violation::ConnectError => CloseReason::ForcedServerClose,
            Violation::TooBig => CloseReason::WsTooBig,
            _ => CloseReason::ParseError,
        };
        self.close_peer(key, reason);
    }

    /// Something of this client has arrived: while a ping is out, that is its pong (PROTOCOL 6).
    pub(super) fn hear(&mut self, key: PeerKey) {
        if let Some(peer) = self.transports.peers.get_mut(key.0) {
            peer.session.heartbeat.hear(self.now.mono);
        }
        if self.is_waited_for(key) {
            self.rest_heartbeat(key);
        }
    }

    /// Bytes for this client are on their way and move: while a ping is out, its pong has one timeout more.
    pub(super) fn wait_on(&mut self, key: PeerKey) {
        if self.is_waited_for(key)
            && let Some(peer) = self.transports.peers.get_mut(key.0)
        {
            let timeout = self.config.engines[usize::from(peer.listener.0)].ping_timeout_ms;
            self.wheel.cancel(peer.session.heartbeat.timer);
            let timer = self.wheel.arm(self.now.mono + timeout, Timer::Heartbeat(key));
            peer.session.heartbeat.arm(Phase::Waiting, timer);
        }
    }

    fn is_waited_for(&self, key: PeerKey) -> bool {
        let session = self.transports.peers.get(key.0).map(|peer| &peer.session);
        session.is_some_and(|session| session.heartbeat.phase != Phase::Resting && !session.is_closing())
    }

    /// Applications that want to hear of pongs hear of this one. The sockets of others are not looked at.
    fn tell_pong(&mut self, key: PeerKey) {
        let Some(peer) = self.transports.peers.get(key.0) else { return };
        let hears = |member: &&Membership| {
            let app = self.config.namespaces.owner(member.nsp.id);
            member.connected && self.homes.apps[usize::from(app.0)].app().hears_pongs()
        };
        let hearing: SmallVec<[Membership; 2]> = peer.client.memberships().iter().filter(hears).copied().collect();
        for member in hearing {
            let Some(socket) = self.members.sockets.get(member.socket) else { continue };
            let (app, home, identity) =
                (self.config.namespaces.owner(member.nsp.id), socket.home, socket.identity.clone());
            let input = AppInput::Heard { socket: SocketRef { shard: self.id, key: member.socket }, identity };
            self.hand_or_hold(member.socket, app, home, input);
        }
    }

    /// A pong, or a finished upgrade: the next ping is one interval away.
    pub(super) fn rest_heartbeat(&mut self, key: PeerKey) {
        let Some(peer) = self.transports.peers.get_mut(key.0) else { return };
        let engine = &self.config.engines[usize::from(peer.listener.0)];
        let at = self.now.mono + heartbeat::next_ping_in_ms(engine, &mut self.rng);
        self.wheel.cancel(peer.session.heartbeat.timer);
        let timer = self.wheel.arm(at, Timer::Heartbeat(key));
        peer.session.heartbeat.arm(Phase::Resting, timer);
    }

    /// Ends a client, for one reason, once: its sockets leave, its transport is told as the protocol says.
    pub(super) fn close_peer(&mut self, key: PeerKey, reason: CloseReason) {
        let Some(peer) = self.transports.peers.get(key.0) else { return };
        if peer.session.is_closing() {
            // Told already; a broken transport only means that nobody will ask.
            if !polling::ends_gracefully(reason) {
                self.forget(key);
            }
            return;
        }
        let sockets: Vec<Key> = peer.client.memberships().iter().map(|member| member.socket).collect();
        sockets.into_iter().for_each(|socket| self.end_socket(socket, reason));
        self.count_close(key, reason);
        if let Some(probing) = self.take_probing(key, Transport::Polling(Box::default())) {
            self.close_connection(probing.conn, None);
            if let Some(peer) = self.transports.peers.get_mut(key.0) {
                peer.session.transport = Transport::Polling(Box::new(probing.polling));
            }
        }
        match self.transports.peers.get(key.0).map(|peer| &peer.session.transport) {
            Some(Transport::WebSocket(conn)) => {
                let conn = *conn;
                self.forget(key);
                self.end_websocket(conn, reason);
            }
            Some(_) => self.end_polling(key, reason),
            None => {}
        }
    }

    fn end_websocket(&mut self, conn: crate::base::ids::ConnKey, reason: CloseReason) {
        if reason == CloseReason::SlowConsumer {
            return self.hang_up(conn);
        }
        self.close_connection(conn, reason.ws_code());
    }

    fn end_polling(&mut self, key: PeerKey, reason: CloseReason) {
        let Some(peer) = self.transports.peers.get_mut(key.0) else { return };
        let Transport::Polling(polling) = &mut peer.session.transport else { return };
        let graceful = polling::ends_gracefully(reason);
        let post = if graceful { None } else { polling.take_post() };
        // This turn's packets for a parked GET go out first; then the next GET is told that the session has ended.
        let waited = polling.next_answer();
        let told = if waited.is_none() { polling.interrupt("1") } else { None };
        let forget = told.is_some() || !graceful;
        for (req, body) in waited.into_iter().chain(told) {
            self.respond(req, Reply::Packets(body));
        }
        if let Some(req) = post {
            self.respond(req, Reply::Empty(400));
        }
        if forget {
            return self.forget(key);
        }
        let timer = self.wheel.arm(self.now.mono + POLLING_CLOSE_TIMEOUT_MS, Timer::ForgetClosing(key));
        let Some(peer) = self.transports.peers.get_mut(key.0) else { return };
        self.wheel.cancel(peer.session.heartbeat.timer);
        if let Some(connect) = peer.connect_timer.take() {
            self.wheel.cancel(connect);
        }
        if let Transport::Polling(polling) = &mut peer.session.transport {
            peer.session.transport = Transport::Closing(std::mem::take(polling), timer);
        }
    }

    /// Removes a client whose end has been told or need not be.
    pub(super) fn forget(&mut self, key: PeerKey) {
        let Some(sid) = self.transports.peers.get(key.0).map(|peer| peer.session.sid) else { return };
        let peers = &self.transports.peers;
        if let Ok(entry) = self.transports.by_sid.find_entry(sid_hash(&sid), |slot| is_sid(peers.at(*slot), &sid)) {
            entry.remove();
        }
        let Some(mut peer) = self.transports.peers.remove(key.0) else { return };
        if let Some(polling) = peer.session.polling_mut() {
            self.transports.pool.count_polling(polling.count().0, 0);
        }
        if peer.handshake.holds_place {
            self.out.outputs.push_back(Output::Left { ip: peer.handshake.ip });
        }
        if peer.holds > 0 {
            self.release_forgotten(key, &peer.session.transport);
        }
        self.wheel.cancel(peer.session.heartbeat.timer);
        if let Some(timer) = peer.connect_timer {
            self.wheel.cancel(timer);
        }
        if let Transport::Closing(_, timer) = peer.session.transport {
            self.wheel.cancel(timer);
        }
    }

    fn count_close(&mut self, key: PeerKey, reason: CloseReason) {
        self.stats.closed[reason as usize] += 1;
        self.stats.slow_consumers += u64::from(reason == CloseReason::SlowConsumer);
        let Some(peer) = self.transports.peers.get(key.0) else { return };
        let (sid, ip, label) = (peer.session.sid, peer.handshake.ip, reason.label());
        match reason.level() {
            LogLevel::Debug => debug!(target: "siod::connection", ?sid, %ip, reason = label, "closed"),
            LogLevel::Info => info!(target: "siod::connection", ?sid, %ip, reason = label, "closed"),
            LogLevel::Warn => warn!(target: "siod::connection", ?sid, %ip, reason = label, "closed"),
        }
    }
}

/// The namespace a client means by `name`: an own name, or `/` where its listener maps the root.
fn resolve(names: &[String], root: Option<NspId>, name: &str) -> Option<Joined> {
    if name == "/"
        && let Some(id) = root
    {
        return Some(Joined { id, as_root: true });
    }
    let index = names.iter().position(|known| known == name)?;
    Some(Joined { id: NspId(index as u16), as_root: name == "/" })
}

/// Sids are random: their first eight characters hash themselves. The rest decides equality.
fn sid_hash(sid: &Sid) -> u64 {
    let first = u64::from_le_bytes(sid.0[..8].try_into().expect("a sid has 20 bytes"));
    // Characters leave the high bits poor; spread them to where the table looks.
    first.wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

fn is_sid(peer: Option<&Peer>, sid: &Sid) -> bool {
    peer.is_some_and(|peer| peer.session.sid == *sid)
}
