//! The shard's part: an input goes through the application's home, effects are applied in order, and what the store and
//! the outside answer comes when the turn that asked has ended.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};

use super::dialects::refused_in;
use super::{Asker, Client, Id, Question, World, socket};
use crate::app::effect::{Delivery, Effect, Emission, Target};
use crate::app::event::{AppInput, Connect};
use crate::app::home::{Decision, Flow, HomeState, Speaker};
use crate::app::identity::Identity;
use crate::app::job::{Job, Outcome};
use crate::app::reply::{Content, Reply};
use crate::app::{Context, Refusal};
use crate::base::close::CloseReason;
use crate::base::ids::SocketRef;
use crate::base::limit::NOTE_BYTES_MAX;

impl World {
    pub(super) fn input(&mut self, input: AppInput) {
        self.inputs.push_back(input);
        self.run();
    }

    /// Until nothing happens by itself any more. As in the shard, what the store answers comes when the turn has ended.
    pub(super) fn run(&mut self) {
        loop {
            match self.inputs.pop_front() {
                Some(input) => self.turn(|home, cx, out| home.on_input(cx, input, out)),
                None if !self.store.hangs && self.answer_one() => {}
                None if !self.outside.hangs && self.outside_answers_one() => {}
                None => return,
            }
        }
    }

    /// The store answers the job that has waited longest, if one does.
    pub(crate) fn answer(&mut self) -> bool {
        let answered = self.answer_one();
        self.run();
        answered
    }

    /// The outside answers the request that has waited longest, if one does.
    pub(crate) fn outside_answers(&mut self) -> bool {
        let answered = self.outside_answers_one();
        self.run();
        answered
    }

    fn outside_answers_one(&mut self) -> bool {
        let Some((fetch, token)) = self.requests.pop_front() else { return false };
        let outcome = Outcome::Fetched(self.outside.work(&fetch));
        self.inputs.extend(token.map(|token| AppInput::Done { token, outcome }));
        true
    }

    fn answer_one(&mut self) -> bool {
        let Some((job, asker)) = self.waiting.pop_front() else { return false };
        let outcome = self.store.work(&job, self.now.wall);
        match asker {
            Asker::Application(None) => {}
            Asker::Application(Some(token)) => self.inputs.push_back(AppInput::Done { token, outcome }),
            Asker::Load(entity) => self.turn(|home, cx, out| home.on_loaded(cx, &entity, outcome, out)),
            Asker::Commit(number) => self.turn(|home, cx, out| home.on_committed(cx, number, outcome, out)),
        }
        true
    }

    fn turn(&mut self, act: impl FnOnce(&mut HomeState, &mut Context<'_>, &mut Vec<Decision>)) {
        let mut out = Vec::new();
        let mut cx = Context { now: self.now, rng: &mut self.rng, authenticator: &self.authenticator };
        act(&mut self.home, &mut cx, &mut out);
        let mut gone = Vec::new();
        for decision in out {
            match decision {
                Decision::Effect(effect) => self.effect(effect, &mut gone),
                Decision::Load { entity, job } => self.waiting.push_back((job, Asker::Load(entity))),
                Decision::Commit { number, job } => self.waiting.push_back((job, Asker::Commit(number))),
                Decision::Released(socket) => self.release(socket),
                Decision::Expired(socket) if self.client(socket).expired => {
                    self.depart(socket.key.slot, CloseReason::TokenExpired, 0);
                }
                Decision::Expired(_) => {}
                Decision::Flow { of: Speaker::Link(link), flow } => self.link_flow(link, flow),
                Decision::Flow { of: Speaker::Socket(socket), flow: Flow::Cut } => {
                    self.depart(socket.key.slot, CloseReason::RateLimited, 0);
                }
                Decision::Flow { of: Speaker::Socket(socket), flow } => {
                    self.client(socket).held = flow == Flow::Hold;
                    self.hear(socket.key.slot);
                }
            }
        }
        for socket in gone {
            self.depart(socket.key.slot, CloseReason::ServerNamespaceDisconnect, 0);
        }
    }

    fn effect(&mut self, effect: Effect, gone: &mut Vec<SocketRef>) {
        match effect {
            Effect::Accept { socket, identity } => {
                self.client(socket).open = true;
                identity.into_iter().for_each(|identity| self.identify(socket, identity));
            }
            Effect::Identify { socket, identity } => self.identify(socket, identity),
            Effect::Wake { home } => self.inputs.push_back(AppInput::Wake { home }),
            Effect::Pass { event, .. } => self.inputs.push_back(AppInput::Event(event)),
            Effect::Say { home, note } => {
                assert!(note.size_bytes() <= NOTE_BYTES_MAX, "the shard would not deliver this: {note:?}");
                self.inputs.push_back(AppInput::Said { home, note });
            }
            Effect::Refuse { socket, message, data } => {
                let dialect = self.client(socket).dialect;
                let Refusal { message, data } = refused_in(dialect, Refusal { message, data }, None);
                let data = data.map(|data| serde_json::from_str(&data).unwrap()).unwrap_or_default();
                self.client(socket).refused = Some((message, data));
            }
            Effect::Emit { target, event, delivery } => drop(self.emit(&target, &event, delivery)),
            Effect::EmitWithAck { target, event, timeout_ms, token } => {
                let (asked, missing) = self.emit(&target, &event, Delivery::Must);
                let (due, asked) = (self.now.mono + timeout_ms, asked.into_iter().collect());
                self.questions.push(Question { token, due, asked, answers: Vec::new(), missing });
            }
            Effect::Ack { socket, id, args, beside, .. } => {
                let value = self.answer_of(socket.key.slot, id, &args, beside.as_ref().map(|text| text.as_str()));
                self.client(socket).acks.push((id, value));
            }
            Effect::Take { req, take } => self.take(req, take),
            Effect::Reply { reply, .. } => {
                // A file that still comes is broken off.
                self.coming = None;
                self.replies.push(shown(reply));
            }
            Effect::Item { item, .. } => self.items.push(item),
            Effect::End { .. } => self.ends += 1,
            Effect::Join { socket, room } => drop(self.client(socket).rooms.insert(room)),
            Effect::Leave { socket, room } => drop(self.client(socket).rooms.remove(&room)),
            Effect::Disconnect { socket, .. } => {
                if self.client(socket).open && !self.lingering && !gone.contains(&socket) {
                    gone.push(socket);
                }
            }
            Effect::Job { job: Job::Fetch(fetch), token } => {
                self.outside.asked.push(fetch.clone());
                self.requests.push_back((fetch, token));
            }
            Effect::Job { job: Job::Hash(hash), token } => {
                let outcome = self.outside.hash(&hash);
                self.inputs.extend(token.map(|token| AppInput::Done { token, outcome }));
            }
            Effect::Job { job, token } => self.waiting.push_back((job, Asker::Application(token))),
            Effect::Timer { token, after_ms } => drop(self.timers.insert(token, self.now.mono + after_ms)),
            Effect::Cancel { token } => drop(self.timers.remove(&token)),
            Effect::Link { link, order } => self.order(link, order),
            Effect::Alert { kind, .. } => self.alerts.push(kind),
            Effect::Commit { .. } => unreachable!("the home has made a decision of it"),
        }
    }

    /// The client is somebody else now; where that is another home's, the old one has a last word first.
    fn identify(&mut self, socket: SocketRef, identity: Arc<Identity>) {
        let client = self.clients.entry(socket.key.slot).or_default();
        client.expired = false;
        let was = std::mem::replace(&mut client.identity, identity);
        let moves = self.home.app().home(&was) != self.home.app().home(&client.identity);
        if moves && !std::mem::replace(&mut client.moving, moves) {
            self.inputs.push_back(AppInput::Moved { socket, identity: was });
        }
    }

    fn release(&mut self, socket: SocketRef) {
        let client = self.client(socket);
        client.moving = false;
        let Some((sid, handshake)) = client.joined.clone() else { return };
        let (nsp, identity, auth) = (client.nsp, client.identity.clone(), Bytes::from_static(b"{}"));
        let dialect = client.dialect.map(|dialect| dialect.name);
        let connect = Connect { socket, nsp, dialect, moved: true, sid, identity, auth, handshake };
        self.inputs.push_back(AppInput::Connect(connect));
        self.hear(socket.key.slot);
    }

    /// What a client has sent reaches its home, unless the client is not read now.
    pub(super) fn hear(&mut self, id: Id) {
        let client = self.clients.get_mut(&id).unwrap();
        if !client.moving && !client.held {
            self.inputs.extend(client.unheard.drain(..));
        }
    }

    /// The client is gone: out of its rooms, missing where its ack is awaited.
    pub(super) fn depart(&mut self, id: Id, reason: CloseReason, silent_ms: u64) {
        let client = self.clients.get_mut(&id).unwrap();
        (client.open, client.rooms) = (false, BTreeSet::new());
        let identity = client.identity.clone();
        for question in &mut self.questions {
            question.missing += u32::from(question.asked.remove(&id));
        }
        self.inputs.push_back(AppInput::Disconnect { socket: socket(id), identity, reason, silent_ms });
        self.settle_questions();
    }

    fn client(&mut self, socket: SocketRef) -> &mut Client {
        self.clients.entry(socket.key.slot).or_default()
    }

    /// Puts an event into the inboxes of its receivers. Says who they are, and how many are not told in their dialect.
    fn emit(&mut self, target: &Target, event: &Emission, delivery: Delivery) -> (Vec<Id>, u32) {
        let (mut receivers, mut untold) = (Vec::new(), 0);
        // What is told in each dialect, by its name: once, however many speak it.
        let own = self.in_words_of(None, event);
        self.encodings.push(own[0].0.clone());
        self.besides += usize::from(event.beside.is_some());
        let mut spelled: BTreeMap<&str, Vec<(String, Value)>> = BTreeMap::from([("", own)]);
        let hit = self.clients.iter().filter(|(id, client)| client.open && is_hit(target, **id, client));
        for id in hit.map(|(id, _)| *id).collect::<Vec<Id>>() {
            let client = self.clients.get_mut(&id).unwrap();
            if let Delivery::Patch { key } | Delivery::Full { key } = delivery
                && client.slow
            {
                client.dropped.insert(key);
                continue;
            }
            let dialect = client.dialect;
            let name = dialect.map_or("", |dialect| dialect.name);
            if !spelled.contains_key(name) {
                let told = self.in_words_of(dialect, event);
                self.encodings.extend(told.iter().map(|(name, _)| name.clone()));
                spelled.insert(name, told);
            }
            let told = &spelled[name];
            match told.is_empty() {
                true => untold += 1,
                false => receivers.push(id),
            }
            self.clients.get_mut(&id).unwrap().inbox.extend_from_slice(told);
        }
        (receivers, untold)
    }

    /// Questions that all have answered, or whose time is over, are told.
    pub(super) fn settle_questions(&mut self) {
        let now = self.now.mono;
        let is_over = |question: &Question| question.asked.is_empty() || question.due <= now;
        let over: Vec<Question> = self.questions.extract_if(.., |question| is_over(question)).collect();
        for Question { token, asked, answers, missing, .. } in over {
            self.inputs.push_back(AppInput::Acked { token, answers, missing: missing + asked.len() as u32 });
        }
    }
}

fn is_hit(target: &Target, id: Id, client: &Client) -> bool {
    match target {
        Target::Socket(one) => *one == socket(id),
        Target::Rooms { nsp, rooms, except, except_sockets } => {
            let everybody = rooms.is_empty();
            client.nsp == *nsp
                && (everybody || rooms.iter().any(|room| client.rooms.contains(room)))
                && !except.iter().any(|room| client.rooms.contains(room))
                && !except_sockets.contains(&socket(id))
        }
    }
}

/// Status and JSON of an answer, or what stands for another one.
fn shown(reply: Reply) -> (u16, Value) {
    let value = match reply.content {
        Content::Empty | Content::Stream => Value::Null,
        Content::Json(text) | Content::Later { text, .. } => {
            serde_json::from_str(&text).unwrap_or_else(|error| panic!("{text}: {error}"))
        }
        Content::Text(text) => text.into(),
        Content::Refused(refused) => json!({ "code": refused.code, "message": refused.text }),
        Content::Redirect(to) => json!({ "to": to }),
        Content::Blob { shelf, id, .. } => json!({ "shelf": shelf, "id": id.as_str() }),
    };
    (reply.status, value)
}
