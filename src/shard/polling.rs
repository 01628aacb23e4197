//! HTTP long-polling on a shard: handshakes, GETs, POSTs and the requests that may not be (PROTOCOL 3).

use super::Shard;
use super::io::{Hello, Output};
use crate::base::close::CloseReason;
use crate::base::ids::{PeerKey, ReqId, Sid};
use crate::engine::open::{self, EngineError};
use crate::engine::polling::{Polling, Reply};
use crate::engine::session::Transport;

/// What a GET reads when the session has ended behind its back: a noop, then close.
const CLOSED_WHILE_AWAY: &str = "6\x1e1";

impl Shard {
    /// A first GET: a new session answers with its `open` packet.
    pub(super) fn on_handshake(&mut self, req: ReqId, hello: Hello) {
        let mut polling = Polling::new(hello.jsonp.clone());
        let listener = hello.listener;
        let key = self.open_peer(hello, |_| Transport::Polling(Box::default()));
        let Some(peer) = self.transports.peers.get_mut(key.0) else { return };
        let open = open::open_packet(&peer.session.sid, true, &self.config.engines[usize::from(listener.0)]);
        polling.push_text(open.as_bytes());
        let answer = polling.on_get(req);
        peer.session.transport = Transport::Polling(Box::new(polling));
        self.stats.opened_polling += 1;
        self.stats.packets_out += 1;
        if let Ok(Some(body)) = answer {
            self.respond(req, Reply::Packets(body));
        }
    }

    /// A GET with sid: answered with what waits, or parked.
    pub(super) fn on_poll(&mut self, req: ReqId, sid: Sid) {
        let Some(key) = self.find_polling(req, sid) else { return };
        self.hear(key);
        let Some(peer) = self.transports.peers.get_mut(key.0) else { return };
        let closing = peer.session.is_closing();
        let Some(polling) = peer.session.polling_mut() else { return };
        if closing && polling.queued_bytes() == 0 {
            let body = polling.wrap(CLOSED_WHILE_AWAY);
            self.respond(req, Reply::Packets(body));
            return self.forget(key);
        }
        match polling.on_get(req) {
            Ok(None) => {}
            Ok(Some(body)) => {
                self.count_polling(key);
                self.respond(req, Reply::Packets(body));
            }
            Err(overlap) => {
                let body = polling.wrap("1");
                self.respond(overlap.first, Reply::Packets(body));
                self.respond(req, Reply::Empty(400));
                self.close_peer(key, CloseReason::TransportError);
            }
        }
    }

    /// The head of a POST. The body follows, unless it is refused here.
    pub(super) fn on_post_opened(&mut self, req: ReqId, sid: Sid, acceptable: bool) {
        let Some(key) = self.find_polling(req, sid) else { return };
        self.hear(key);
        let Some(polling) = self.transports.peers.get_mut(key.0).and_then(|peer| peer.session.polling_mut()) else {
            return;
        };
        if !acceptable {
            self.respond(req, Reply::Empty(400));
            return self.close_peer(key, CloseReason::TransportError);
        }
        if let Err(overlap) = polling.on_post(req) {
            polling.on_post_done(req);
            self.respond(overlap.first, Reply::Empty(400));
            self.respond(req, Reply::Empty(400));
            self.close_peer(key, CloseReason::TransportError);
        }
    }

    /// PUT, DELETE, HEAD… with the sid of a session.
    pub(super) fn on_wrong_method(&mut self, req: ReqId, sid: Sid) {
        if self.find_polling(req, sid).is_some() {
            self.respond(req, Reply::Empty(500));
        }
    }

    /// The client gave up a request that we held: its session ends.
    pub(super) fn on_aborted(&mut self, req: ReqId, sid: Sid) {
        let Some(key) = self.find_peer(&sid) else { return };
        let polling = self.transports.peers.get_mut(key.0).and_then(|peer| peer.session.polling_mut());
        if polling.is_some_and(|polling| polling.on_aborted(req)) {
            self.close_peer(key, CloseReason::TransportError);
        }
    }

    /// A body or an answer of this session is on its way.
    pub(super) fn on_moving(&mut self, sid: &Sid, note: impl FnOnce(&mut Shard, PeerKey)) {
        if let Some(key) = self.find_peer(sid) {
            note(self, key);
        }
    }

    /// At the end of a turn: parked GETs of sessions that have something to say now.
    pub(super) fn next_poll_answer(&mut self) -> Option<Output> {
        while let Some(key) = self.transports.dirty_polls.pop() {
            let Some(peer) = self.transports.peers.get_mut(key.0) else { continue };
            peer.poll_dirty = false;
            let answer = peer.session.polling_mut().and_then(Polling::next_answer);
            self.count_polling(key);
            if let Some((req, body)) = answer {
                self.stats.bytes_out += body.len() as u64;
                return Some(Output::Respond { req, reply: Reply::Packets(body) });
            }
        }
        None
    }

    /// The session a polling request belongs to; answers 400 itself where there is none, or where it has left polling.
    fn find_polling(&mut self, req: ReqId, sid: Sid) -> Option<PeerKey> {
        let error = match self.find_peer(&sid) {
            None => EngineError::SessionUnknown,
            Some(key) if self.transports.peers.get(key.0)?.session.polling().is_none() => EngineError::BadRequest,
            Some(key) => return Some(key),
        };
        self.refuse(req, error);
        None
    }

    /// Answers a request that cannot be served, and counts it.
    pub(super) fn refuse(&mut self, req: ReqId, error: EngineError) {
        self.stats.refused[usize::from(error.code())] += 1;
        self.respond(req, Reply::Error(error));
    }

    pub(super) fn respond(&mut self, req: ReqId, reply: Reply) {
        self.out.outputs.push_back(Output::Respond { req, reply });
    }
}
