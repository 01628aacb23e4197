//! Namespaces of a client: CONNECT and what the application says to it, events and acks on their way to the home, the
//! end of a socket (PROTOCOL 7, DESIGN 4.5).

use std::sync::Arc;

use bytes::Bytes;
use tracing::debug;

use super::Shard;
use super::lane::Route;
use super::peer::Socket;
use crate::app::event::{AckAnswer, AppInput, Args, Connect, Event};
use crate::app::identity::Identity;
use crate::app::{Asked, Home, Refusal};
use crate::base::close::CloseReason;
use crate::base::ids::{AppId, DialectId, Key, PeerKey, ShardId, SocketRef};
use crate::base::json::surrogate;
use crate::engine::session::Transport;
use crate::socketio::ack::{AckKey, Answer, Gathered};
use crate::socketio::client::{Joined, Message};
use crate::socketio::encode;

impl Shard {
    /// A CONNECT: the token is judged here, the rest at the home.
    pub(super) fn on_connect(&mut self, key: PeerKey, nsp: Joined, auth: &str) {
        let Some(peer) = self.transports.peers.get(key.0) else { return };
        if peer.client.memberships().len() >= self.config.limits.namespaces_per_client_max {
            return self.close_peer(key, CloseReason::ParseError);
        }
        let auth = if auth.is_empty() { "{}" } else { auth };
        let mended = surrogate::mend(auth.as_bytes());
        let auth = mended.as_deref().unwrap_or(auth.as_bytes());
        let asked = Asked { auth, handshake: &peer.handshake };
        let verified = self.config.authenticator.identify(&asked, self.now.wall);
        let why = verified.as_ref().err().copied();
        let app = self.config.namespaces.owner(nsp.id);
        let application = self.homes.apps[usize::from(app.0)].app();
        let configured = self.config.dialects.configured(peer.listener, app);
        let admitted = application.admit(verified, &asked);
        let dialect = application.dialect(&asked, configured);
        match admitted {
            Ok(identity) => self.ask_home(key, nsp, dialect, identity, Bytes::copy_from_slice(auth)),
            Err(mut refusal) => {
                self.stats.outcomes[usize::from(nsp.id.0)].refused += 1;
                let dialects = &self.config.dialects;
                dialects.refuse(app, dialects.id(app, dialect), &mut refusal, why);
                let Refusal { message, data } = refusal;
                let name = super::peer::wire_name(nsp, self.config.namespaces.names()).to_owned();
                self.send_packet(key, |out| encode::connect_error(out, &name, &message, data.as_deref()));
            }
        }
    }

    /// Creates the socket, undecided, and asks its home.
    fn ask_home(
        &mut self,
        key: PeerKey,
        nsp: Joined,
        dialect: Option<&'static str>,
        identity: Arc<Identity>,
        auth: Bytes,
    ) {
        let app = self.config.namespaces.owner(nsp.id);
        let home = self.config.placement.of_home(app, &self.home_of(app, &identity), self.id);
        let sid = self.rng.sid();
        let socket = self.members.sockets.insert(Socket {
            peer: key,
            sid,
            nsp,
            dialect: self.config.dialects.id(app, dialect),
            home,
            identity: identity.clone(),
            accepted: false,
            holds: 0,
            expiry: None,
            acks: Vec::new(),
        });
        self.arm_expiry(socket);
        let Some(peer) = self.transports.peers.get_mut(key.0) else { return };
        peer.client.join(nsp, socket);
        let socket = SocketRef { shard: self.id, key: socket };
        let handshake = peer.handshake.clone();
        let nsp = self.config.namespaces.index(nsp.id);
        let connect = Connect { socket, nsp, dialect, moved: false, sid, identity, auth, handshake };
        self.hand_home(app, home, AppInput::Connect(connect));
    }

    /// Where a socket of this identity is decided.
    pub(super) fn home_of(&self, app: AppId, identity: &Identity) -> Home {
        match self.homes.apps[usize::from(app.0)].app().home(identity) {
            // Sockets of one identity are counted in one place, wherever they connect: there they are decided.
            Home::Local if self.config.limits.sockets_per_user_max > 0 => Home::Tenant(identity.sub().to_owned()),
            home => home,
        }
    }

    /// A CONNECT to a name nobody serves; the connection stays.
    pub(super) fn on_unknown_namespace(&mut self, key: PeerKey, name: &str) {
        self.send_packet(key, |out| encode::connect_error(out, name, "Invalid namespace", None));
    }

    /// A complete event: to its home.
    pub(super) fn on_event(&mut self, message: Message) {
        let Some(socket) = self.members.sockets.get(message.socket) else { return };
        let (nsp, identity, dialect) = (socket.nsp_id(), socket.identity.clone(), socket.dialect);
        self.stats.outcomes[usize::from(nsp.0)].events += 1;
        let mut heard = (Args::new(message.array, message.scan.elements, message.attachments), message.id);
        if dialect != DialectId::NONE {
            let app = self.config.namespaces.owner(nsp);
            let Some(ours) = self.translate_event((app, nsp), (message.socket, dialect), heard) else { return };
            heard = ours;
        }
        let (args, ack) = heard;
        let socket = SocketRef { shard: self.id, key: message.socket };
        let nsp = self.config.namespaces.index(nsp);
        self.hand_socket(message.socket, AppInput::Event(Event { socket, nsp, identity, args, ack }));
    }

    /// An ACK packet. Unknown, repeated and foreign ids are ignored and counted.
    pub(super) fn on_ack_packet(&mut self, message: Message) {
        let Some(socket) = self.members.sockets.get_mut(message.socket) else { return };
        let Some(id) = message.id else { return };
        let nsp = socket.nsp_id();
        let array = message.array;
        let elements = &message.scan.elements;
        let args = match (elements.first(), elements.last()) {
            (Some(first), Some(last)) => array.slice(first.start as usize..last.end as usize),
            _ => Bytes::new(),
        };
        let answer = Answer { socket: message.socket, args, attachments: message.attachments };
        match self.members.acks.on_answer(AckKey { nsp, id }, answer) {
            None => self.stats.unknown_acks += 1,
            Some(done) => {
                socket.acks.retain(|pending| *pending != id);
                if let Some(Gathered { answers, missing, timer }) = done {
                    self.wheel.cancel(timer);
                    self.report_acks(self.config.namespaces.owner(nsp), id, answers, missing);
                }
            }
        }
    }

    /// All answers of this shard are in: they go to the home that asked. Ids are interleaved by shard, so the id names it.
    pub(super) fn report_acks(&mut self, app: AppId, id: u64, answers: Vec<Answer>, missing: u32) {
        let shard = self.id;
        let answers = answers
            .into_iter()
            .map(|Answer { socket, args, attachments }| AckAnswer {
                socket: SocketRef { shard, key: socket },
                args,
                attachments,
            })
            .collect();
        let home = ShardId((id % u64::from(self.config.placement.shards)) as u16);
        if home == self.id {
            self.on_acked(app, id, answers, missing);
        } else {
            self.out.mail[usize::from(home.0)].push(super::io::Mail::Acked { app, id, answers, missing });
        }
    }

    /// This socket will not answer.
    pub(super) fn miss_ack(&mut self, ack: AckKey, socket: Key) {
        if let Some(Gathered { answers, missing, timer }) = self.members.acks.on_gone(ack, socket) {
            self.wheel.cancel(timer);
            self.report_acks(self.config.namespaces.owner(ack.nsp), ack.id, answers, missing);
        }
    }

    /// At the home: one shard has reported. When all have, the application hears.
    pub(super) fn on_acked(&mut self, app: AppId, id: u64, answers: Vec<AckAnswer>, missing: u32) {
        let Some(asked) = self.homes.asked.get_mut(&(app, id)) else { return };
        asked.answers.extend(answers);
        asked.missing += missing;
        asked.shards_left -= 1;
        if asked.shards_left == 0
            && let Some(asked) = self.homes.asked.remove(&(app, id))
        {
            let input = AppInput::Acked { token: asked.token, answers: asked.answers, missing: asked.missing };
            self.homes.local.push_back((app, input));
        }
    }

    /// Where what is sent to the client's sockets goes from now on.
    pub(super) fn reroute(&mut self, key: PeerKey) {
        let Some(peer) = self.transports.peers.get(key.0) else { return };
        for member in peer.client.memberships().iter().filter(|member| member.connected) {
            let dialect = self.members.sockets.get(member.socket).map_or(DialectId::NONE, |socket| socket.dialect);
            let route = match peer.session.transport {
                Transport::WebSocket(conn) => Route::WebSocket { conn, as_root: member.nsp.as_root, dialect },
                _ => Route::Polling { dialect },
            };
            self.members.routes.set(member.socket.slot, route);
        }
    }

    /// Ends one socket: out of its rooms, its pending acks missing, its home told. The client's connection stays.
    pub(super) fn end_socket(&mut self, key: Key, reason: CloseReason) {
        let Some(socket) = self.remove_socket(key) else { return };
        debug!(target: "siod::socket", sid = ?socket.sid, nsp = socket.nsp.id.0, reason = reason.label(), "left");
        let (app, home) = (self.config.namespaces.owner(socket.nsp.id), socket.home);
        let peer = self.transports.peers.get(socket.peer.0);
        let silent_ms = peer.map_or(0, |peer| peer.session.heartbeat.silent_ms(self.now.mono));
        let (socket, identity) = (SocketRef { shard: self.id, key }, socket.identity);
        let input = AppInput::Disconnect { socket, identity, reason, silent_ms };
        self.hand_or_hold(key, app, home, input);
    }

    /// Takes a socket out of everything on this shard.
    pub(super) fn remove_socket(&mut self, key: Key) -> Option<Socket> {
        let socket = self.members.sockets.remove(key)?;
        self.members.hub.leave_all(key.slot);
        self.members.routes.set(key.slot, Route::Nobody);
        if let Some(timer) = socket.expiry {
            self.wheel.cancel(timer);
        }
        if socket.accepted && socket.dialect != DialectId::NONE {
            self.members.speakers[usize::from(socket.nsp.id.0)] -= 1;
        }
        for id in &socket.acks {
            self.miss_ack(AckKey { nsp: socket.nsp_id(), id: *id }, key);
        }
        if let Some(peer) = self.transports.peers.get_mut(socket.peer.0) {
            peer.client.leave(key);
        }
        self.unhold(socket.peer, socket.holds);
        Some(socket)
    }
}
