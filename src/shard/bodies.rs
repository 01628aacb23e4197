//! Bodies of POSTs, taken a few packets at a time: a client that was offline sends all it has at once, and its neighbours do
//! not wait for that. The POST is answered when all of it has been taken, so nothing overtakes it.

use super::Shard;
use super::io::Posted;
use crate::base::close::CloseReason;
use crate::base::ids::{PeerKey, ReqId, Sid};
use crate::base::limit::{PACKETS_PER_TURN_MAX, packets_max};
use crate::engine::payload::{self, Cursor};
use crate::engine::polling::{Polling, Reply};

/// A body of which a part has been taken.
#[derive(Debug)]
pub(crate) struct Taking {
    pub key: PeerKey,
    pub req: ReqId,
    body: String,
    cursor: Cursor,
}

impl Shard {
    /// The body of a POST: each packet in turn, until one ends the session.
    pub(super) fn on_post_body(&mut self, req: ReqId, sid: Sid, body: Posted) {
        let Some(key) = self.find_peer(&sid) else { return self.respond(req, Reply::Empty(400)) };
        let Some(peer) = self.transports.peers.get_mut(key.0) else { return };
        let closing = peer.session.is_closing();
        // Only the POST that was admitted: one that was refused when it opened has its answer already.
        let admitted = match peer.session.polling_mut() {
            Some(polling) => polling.on_post_done(req),
            None => peer.late_post.take_if(|post| **post == req).is_some(),
        };
        if !admitted {
            return;
        }
        self.hear(key);
        let Posted::Body(body) = body else { return self.respond(req, Reply::Empty(413)) };
        self.stats.bytes_in += body.len() as u64;
        if closing {
            return self.respond(req, Reply::Taken);
        }
        let jsonp =
            self.transports.peers.get(key.0).and_then(|peer| peer.session.polling()).is_some_and(Polling::is_jsonp);
        let Ok(text) = std::str::from_utf8(&body) else {
            self.close_peer(key, CloseReason::EngineParseError);
            return self.respond(req, Reply::Empty(400));
        };
        let unwrapped = if jsonp { payload::jsonp_unwrap(text) } else { None };
        let mut cursor = Cursor::default();
        let text = unwrapped.as_deref().unwrap_or(text);
        match self.take_packets(key, text, &mut cursor) {
            Some(reply) => self.respond(req, reply),
            None => {
                self.set_taking(key, Some(req));
                self.wait_with(Taking { key, req, body: text.to_owned(), cursor });
            }
        }
    }

    /// A few packets more of the body that waits for the longest time; once a turn.
    pub(super) fn take_bodies(&mut self) {
        let Some(mut taking) = self.transports.backlog.bodies.pop_front() else { return };
        match self.take_packets(taking.key, &taking.body, &mut taking.cursor) {
            Some(reply) => {
                self.set_taking(taking.key, None);
                self.respond(taking.req, reply);
            }
            None => self.wait_with(taking),
        }
    }

    fn wait_with(&mut self, taking: Taking) {
        if self.transports.peers.get(taking.key.0).is_some_and(|peer| peer.holds > 0) {
            self.transports.backlog.held_bodies.insert(taking.key, taking);
        } else {
            self.transports.backlog.bodies.push_back(taking);
        }
    }

    fn set_taking(&mut self, key: PeerKey, req: Option<ReqId>) {
        if let Some(polling) = self.transports.peers.get_mut(key.0).and_then(|peer| peer.session.polling_mut()) {
            polling.taking = req;
        }
    }

    /// Takes packets for one turn; the answer, once there is one. A client that is held gets it when it is no more.
    fn take_packets(&mut self, key: PeerKey, text: &str, cursor: &mut Cursor) -> Option<Reply> {
        for _ in 0..PACKETS_PER_TURN_MAX {
            let peer = match self.transports.peers.get(key.0) {
                Some(peer) if !peer.session.is_closing() => peer,
                // Closed by a packet before; what follows is ignored, and the POST has been taken.
                _ => return Some(Reply::Taken),
            };
            if peer.holds > 0 {
                return None;
            }
            let max = packets_max(self.config.engines[usize::from(peer.listener.0)].max_payload_bytes);
            match cursor.next(text, max) {
                None => return Some(Reply::Taken),
                Some(Ok(packet)) => {
                    self.stats.packets_in += 1;
                    self.on_packet(key, packet);
                    self.run_homes();
                }
                Some(Err(_)) => {
                    self.close_peer(key, CloseReason::EngineParseError);
                    return Some(Reply::Empty(400));
                }
            }
        }
        None
    }
}
