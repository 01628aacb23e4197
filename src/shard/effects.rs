//! Decisions become directives, one list per shard and handler run, in order; directives become packets and memberships
//! (DESIGN 4.5). Directives for this shard take the same path as mailed ones.

use bytes::Bytes;
use tracing::{debug, warn};

use super::Shard;
use super::io::{AckWanted, Directive, Mail, Output, Purpose, Receivers};
use super::peer::{Socket, Timer};
use super::send::Variants;
use crate::app::effect::{Effect, Emission, Target, Token};
use crate::app::event::{AckAnswer, AppInput};
use crate::app::home::{Decision, Flow, Speaker};
use crate::app::link::{LinkId, LinkOrder};
use crate::app::note::Note;
use crate::app::reply::Answer;
use crate::app::{Home, Refusal};
use crate::base::close::CloseReason;
use crate::base::ids::{AppId, DialectId, Key, NspId, ReqId, ShardId, SocketRef};
use crate::base::limit::NOTE_BYTES_MAX;
use crate::hub::room::Selection;
use crate::socketio::ack::AckKey;
use crate::socketio::encode;

/// An `EmitWithAck` whose answers are being gathered.
pub(super) struct AskedFor {
    pub(super) token: Token,
    /// Shards that have not reported yet.
    pub(super) shards_left: u16,
    pub(super) answers: Vec<AckAnswer>,
    pub(super) missing: u32,
}

impl Shard {
    /// Applies what one application decided in one run; gives the emptied list back for the next run.
    pub(super) fn apply_decisions(&mut self, app: AppId, mut decisions: Vec<Decision>) {
        for decision in decisions.drain(..) {
            match decision {
                Decision::Effect(effect) => self.apply_effect(app, effect),
                Decision::Load { entity, job } => self.ask(app, Purpose::Load(entity), job),
                Decision::Commit { number, job } => self.ask(app, Purpose::Commit(number), job),
                Decision::Released(socket) => self.stage(socket, Directive::Release { socket: socket.key }),
                Decision::Expired(socket) => self.stage(socket, Directive::Expire { socket: socket.key }),
                Decision::Flow { of: Speaker::Socket(socket), flow } => {
                    self.stage(socket, Directive::Flow { socket: socket.key, flow });
                }
                Decision::Flow { of: Speaker::Link(link), flow } => self.link_flow(app, link, flow),
            }
        }
        self.homes.decisions = decisions;
        for to in 0..self.out.staged.len() {
            if self.out.staged[to].is_empty() {
                continue;
            }
            let mut list = std::mem::take(&mut self.out.staged[to]);
            if to == usize::from(self.id.0) {
                // Nothing is staged meanwhile: what directives lead to waits in the local queue.
                self.apply_directives(app, self.id, list.drain(..));
                self.out.staged[to] = list;
            } else {
                self.out.mail[to].push(Mail::Directives { app, home: self.id, list });
            }
        }
    }

    fn ask(&mut self, app: AppId, purpose: Purpose, job: crate::app::job::Job) {
        self.out.outputs.push_back(Output::Job { app, purpose: Some(purpose), job });
    }

    fn apply_effect(&mut self, app: AppId, effect: Effect) {
        match effect {
            Effect::Accept { socket, identity } => {
                self.stage(socket, Directive::Accept { socket: socket.key, identity });
            }
            Effect::Identify { socket, identity } => {
                self.stage(socket, Directive::Identify { socket: socket.key, identity });
            }
            Effect::Pass { home, event } => {
                let home = self.config.placement.of_home(app, &home, self.id);
                self.hand_home(app, home, AppInput::Event(event));
            }
            Effect::Wake { home } => {
                let shard = self.config.placement.of_home(app, &home, self.id);
                self.hand_home(app, shard, AppInput::Wake { home });
            }
            Effect::Say { home, note } => self.say(app, home, note),
            Effect::Refuse { socket, message, data } => {
                self.stage(socket, Directive::Refuse { socket: socket.key, message, data });
            }
            Effect::Emit { target, event, delivery } => self.stage_send(app, target, event, delivery, None),
            Effect::EmitWithAck { target, event, timeout_ms, token } => {
                let next = &mut self.homes.next_ack[usize::from(app.0)];
                let id = *next * u64::from(self.config.placement.shards) + u64::from(self.id.0);
                *next += 1;
                let shards_left = if matches!(target, Target::Socket(_)) { 1 } else { self.config.placement.shards };
                self.homes.asked.insert((app, id), AskedFor { token, shards_left, answers: Vec::new(), missing: 0 });
                self.stage_send(app, target, event, Default::default(), Some(AckWanted { id, timeout_ms }));
            }
            Effect::Ack { socket, id, args, attachments, beside } => {
                self.stage(socket, Directive::Ack { socket: socket.key, id, args, attachments, beside });
            }
            Effect::Join { socket, room } => self.stage(socket, Directive::Join { socket: socket.key, room }),
            Effect::Leave { socket, room } => self.stage(socket, Directive::Leave { socket: socket.key, room }),
            Effect::Disconnect { socket, close } => {
                self.stage(socket, Directive::Disconnect { socket: socket.key, close });
            }
            Effect::Take { req, take } => self.answer(req, app, Answer::Take(take)),
            Effect::Reply { req, reply } => self.answer(req, app, Answer::Reply(reply)),
            Effect::Item { req, item } => self.answer(req, app, Answer::Item(item)),
            Effect::End { req } => self.answer(req, app, Answer::End),
            Effect::Job { job, token } => {
                self.out.outputs.push_back(Output::Job { app, purpose: token.map(Purpose::Token), job });
            }
            Effect::Timer { token, after_ms } => {
                // Never in the same millisecond: a timer that arms itself again would not let the turn end.
                let timer = self.wheel.arm(self.now.mono + after_ms.max(1), Timer::App(app, token));
                if let Some(old) = self.homes.timers.insert((app, token), timer) {
                    self.wheel.cancel(old);
                }
            }
            Effect::Cancel { token } => {
                if let Some(timer) = self.homes.timers.remove(&(app, token)) {
                    self.wheel.cancel(timer);
                }
            }
            Effect::Link { link, order } => self.order(app, link, order),
            Effect::Alert { kind, text } => {
                *self.stats.alerts.entry((app.0, kind)).or_default() += 1;
                let app = self.homes.apps[usize::from(app.0)].app().name();
                warn!(target: "siod::alert", app, kind, text, "alert");
            }
            Effect::Commit { .. } => unreachable!("the home has turned commits into jobs"),
        }
    }

    fn order(&mut self, app: AppId, link: LinkId, order: LinkOrder) {
        match link {
            LinkId::Dialled(link) => self.out.outputs.push_back(Output::Link { app, link, order }),
            LinkId::Arrived(link) => self.stage_at(link.shard, Directive::Link { link: link.key, order }),
        }
    }

    fn link_flow(&mut self, app: AppId, link: LinkId, flow: Flow) {
        match link {
            LinkId::Dialled(link) => self.out.outputs.push_back(Output::LinkFlow { app, link, flow }),
            LinkId::Arrived(link) => self.stage_at(link.shard, Directive::LinkFlow { link: link.key, flow }),
        }
    }

    fn say(&mut self, app: AppId, home: Home, note: Note) {
        if note.size_bytes() > NOTE_BYTES_MAX {
            let text = format!("{}: {} bytes", note.about, note.size_bytes());
            return self.apply_effect(app, Effect::Alert { kind: "note_too_large", text });
        }
        let shard = self.config.placement.of_home(app, &home, self.id);
        self.hand_home(app, shard, AppInput::Said { home, note });
    }

    fn answer(&mut self, req: ReqId, app: AppId, answer: Answer) {
        self.out.outputs.push_back(Output::Answer { req, app, answer });
    }

    fn stage(&mut self, socket: SocketRef, directive: Directive) {
        self.stage_at(socket.shard, directive);
    }

    fn stage_at(&mut self, shard: ShardId, directive: Directive) {
        if let Some(list) = self.out.staged.get_mut(usize::from(shard.0)) {
            list.push(directive);
        }
    }

    fn stage_send(
        &mut self,
        app: AppId,
        target: Target,
        event: Emission,
        delivery: crate::app::effect::Delivery,
        ack: Option<AckWanted>,
    ) {
        match target {
            Target::Socket(socket) => {
                let to = Receivers::Socket(socket.key);
                self.stage(socket, Directive::Send { to, event, delivery, ack });
            }
            Target::Rooms { nsp, rooms, except, except_sockets } => {
                let nsp = self.config.namespaces.id(app, nsp);
                let to = Receivers::Rooms { nsp, rooms, except, except_sockets };
                let send = Directive::Send { to, event, delivery, ack };
                let (last, others) = self.out.staged.split_last_mut().expect("there is at least one shard");
                others.iter_mut().for_each(|list| list.push(send.clone()));
                last.push(send);
            }
        }
    }

    /// Carries out what a home says about sockets of this shard, in order. Sockets that have gone are passed over.
    pub(super) fn apply_directives(&mut self, app: AppId, home: ShardId, list: impl IntoIterator<Item = Directive>) {
        for directive in list {
            match directive {
                Directive::Send { to, event, delivery, ack } => self.send_event(app, to, event, delivery, ack),
                Directive::Accept { socket, identity } => {
                    self.accept_socket(socket);
                    if let Some(identity) = identity.filter(|_| self.is_accepted(socket)) {
                        self.identify(app, socket, identity);
                    }
                }
                Directive::Identify { socket, identity } => self.identify(app, socket, identity),
                Directive::Release { socket } => self.release(socket),
                Directive::Expire { socket } => self.expire(socket),
                Directive::Refuse { socket, message, data } => self.refuse_socket(socket, Refusal { message, data }),
                Directive::Ack { socket, id, args, attachments, beside } => {
                    let beside = beside.as_ref().map(|text| text.as_str());
                    self.send_ack(app, socket, (id, args, attachments), beside);
                }
                Directive::Join { socket, room } => {
                    if let Some(nsp) = self.accepted_in(socket) {
                        let max = self.config.limits.rooms_per_socket_max;
                        if !self.members.hub.join(socket.slot, nsp, &room, max) {
                            self.stats.joins_refused += 1;
                            debug!(target: "siod::limit", max, home = home.0, "rooms_per_socket_max reached: not joined");
                        }
                    }
                }
                Directive::Leave { socket, room } => {
                    if let Some(nsp) = self.accepted_in(socket) {
                        self.members.hub.leave(socket.slot, nsp, &room);
                    }
                }
                Directive::Disconnect { socket, close } => self.disconnect_socket(socket, close),
                Directive::Flow { socket, flow } => self.on_flow(socket, flow),
                Directive::Link { link, order } => self.on_link_order(app, link, order),
                Directive::LinkFlow { link, flow } => self.on_link_flow(app, link, flow),
            }
        }
    }

    /// One event to its receivers on this shard. A socket that has gone is nobody, and its answer is missing.
    fn send_event(
        &mut self,
        app: AppId,
        to: Receivers,
        event: Emission,
        delivery: crate::app::effect::Delivery,
        ack: Option<AckWanted>,
    ) {
        let nsp = match &to {
            Receivers::Socket(socket) => self.accepted_in(*socket),
            Receivers::Rooms { nsp, .. } => Some(*nsp),
        };
        let Some(nsp) = nsp else {
            if let Some(wanted) = ack {
                self.report_acks(app, wanted.id, Vec::new(), 1);
            }
            return;
        };
        let mut receivers = self.select(to);
        if let Some(wanted) = ack {
            self.expect_acks(nsp, &receivers, wanted);
        }
        let id = ack.map(|wanted| wanted.id);
        let outcomes = &mut self.stats.outcomes[usize::from(nsp.0)];
        outcomes.emitted += 1;
        outcomes.delivered += receivers.len() as u64;
        if self.members.speakers[usize::from(nsp.0)] > 0 {
            self.deliver_in_dialects(nsp, &mut receivers, &event, id, delivery);
        }
        self.deliver(&receivers, Variants::of_event(nsp, event, id), delivery);
        self.out.receivers = receivers;
    }

    /// An ack to its socket.
    fn send_ack(&mut self, app: AppId, key: Key, mut ack: (u64, Bytes, Vec<Bytes>), beside: Option<&str>) {
        let Some(socket) = self.members.sockets.get(key).filter(|socket| socket.accepted) else { return };
        let (nsp, dialect) = (socket.nsp_id(), socket.dialect);
        self.stats.outcomes[usize::from(nsp.0)].acked += 1;
        if dialect != DialectId::NONE {
            ack = self.translate_ack(app, dialect, ack, beside);
        }
        let (id, args, attachments) = ack;
        self.deliver(&[key.slot], Variants::of_ack(nsp, id, args, attachments), Default::default());
    }

    /// Slots of the receivers on this shard, in a vector that is given back after use.
    fn select(&mut self, to: Receivers) -> Vec<u32> {
        let mut receivers = std::mem::take(&mut self.out.receivers);
        receivers.clear();
        match to {
            Receivers::Socket(socket) => receivers.push(socket.slot),
            Receivers::Rooms { nsp, rooms, except, except_sockets } => {
                // A reference that has outlived its socket must not leave out the slot's next one.
                let except_sockets = except_sockets.iter().filter(|socket| socket.shard == self.id);
                let except_slots: Vec<u32> = except_sockets
                    .filter(|socket| self.is_accepted(socket.key))
                    .map(|socket| socket.key.slot)
                    .collect();
                let selection = Selection { nsp, rooms: &rooms, except: &except, except_slots: &except_slots };
                self.members.hub.select(&selection, &mut receivers);
            }
        }
        receivers
    }

    /// Remembers the sockets whose answers are awaited. One that has too many acks pending is missing already; where none is
    /// left to answer, that is the outcome.
    fn expect_acks(&mut self, nsp: NspId, receivers: &[u32], wanted: AckWanted) {
        let key = AckKey { nsp, id: wanted.id };
        let max = self.config.limits.acks_per_socket_max;
        let mut asked = Vec::with_capacity(receivers.len());
        for slot in receivers {
            let Some(full) = self.members.sockets.key_at(*slot) else { continue };
            if let Some(socket) = self.members.sockets.get_mut(full).filter(|socket| socket.acks.len() < max) {
                socket.acks.push(wanted.id);
                asked.push(full);
            }
        }
        let missing = (receivers.len() - asked.len()) as u32;
        if asked.is_empty() {
            return self.report_acks(self.config.namespaces.owner(nsp), wanted.id, Vec::new(), missing);
        }
        let timer = self.wheel.arm(self.now.mono + wanted.timeout_ms, Timer::Ack(key));
        self.members.acks.expect(key, asked, missing, timer);
    }

    fn is_accepted(&self, socket: Key) -> bool {
        self.accepted_in(socket).is_some()
    }

    /// The namespace of a socket that has been accepted and is still here.
    fn accepted_in(&self, socket: Key) -> Option<NspId> {
        self.members.sockets.get(socket).filter(|socket| socket.accepted).map(Socket::nsp_id)
    }

    fn accept_socket(&mut self, key: Key) {
        let Some(socket) = self.members.sockets.get_mut(key).filter(|socket| !socket.accepted) else { return };
        socket.accepted = true;
        let (peer_key, nsp, sid, dialect) = (socket.peer, socket.nsp, socket.sid, socket.dialect);
        self.members.speakers[usize::from(nsp.id.0)] += u32::from(dialect != DialectId::NONE);
        self.members.hub.enter(key.slot, nsp.id);
        self.stats.outcomes[usize::from(nsp.id.0)].accepted += 1;
        if let Some(peer) = self.transports.peers.get_mut(peer_key.0) {
            peer.client.accept(key);
            if let Some(timer) = peer.connect_timer.take() {
                self.wheel.cancel(timer);
            }
        }
        self.reroute(peer_key);
        let config = self.config.clone();
        let name = super::peer::wire_name(nsp, config.namespaces.names());
        self.send_packet(peer_key, |out| encode::connected(out, name, &sid));
    }

    fn refuse_socket(&mut self, key: Key, mut refusal: Refusal) {
        if self.is_accepted(key) {
            return;
        }
        let Some(socket) = self.remove_socket(key) else { return };
        self.stats.outcomes[usize::from(socket.nsp.id.0)].refused += 1;
        let config = self.config.clone();
        config.dialects.refuse(config.namespaces.owner(socket.nsp_id()), socket.dialect, &mut refusal, None);
        let name = socket.wire_name(config.namespaces.names());
        let Refusal { message, data } = &refusal;
        self.send_packet(socket.peer, |out| encode::connect_error(out, name, message, data.as_deref()));
    }

    fn disconnect_socket(&mut self, key: Key, close: bool) {
        let Some(socket) = self.members.sockets.get(key) else { return };
        let peer_key = socket.peer;
        let leaving: Vec<Key> = match self.transports.peers.get(peer_key.0) {
            Some(peer) if close => peer.client.memberships().iter().map(|member| member.socket).collect(),
            _ => vec![key],
        };
        for key in leaving {
            self.disconnect_namespace(key, CloseReason::ServerNamespaceDisconnect);
        }
        if close {
            self.close_peer(peer_key, CloseReason::ForcedServerClose);
        }
    }

    /// Tells the client that this socket has ended (`41`), and ends it.
    pub(super) fn disconnect_namespace(&mut self, key: Key, reason: CloseReason) {
        let Some(socket) = self.members.sockets.get(key) else { return };
        let (peer_key, config) = (socket.peer, self.config.clone());
        let name = socket.wire_name(config.namespaces.names());
        self.send_packet(peer_key, |out| encode::disconnect(out, name));
        self.end_socket(key, reason);
    }
}
