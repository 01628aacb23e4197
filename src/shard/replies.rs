//! What the protocol itself says to one client: CONNECT replies, echoes, pongs, close frames. Bounded like everything that
//! is sent: a client that makes us answer and does not read is cut off (B42).

use bytes::Bytes;

use super::Shard;
use super::outbox::Coalesce;
use crate::base::close::CloseReason;
use crate::base::ids::{ConnKey, PeerKey};
use crate::base::limit::POLLING_BURST_FACTOR;
use crate::engine::payload;
use crate::engine::polling::Polling;
use crate::engine::session::Transport;
use crate::wire::frame::Opcode;
use crate::wire::{close, frame};

impl Shard {
    /// One packet of the protocol itself (CONNECT replies, DISCONNECT) to a client.
    pub(super) fn send_packet(&mut self, key: PeerKey, write: impl FnOnce(&mut Vec<u8>)) {
        let mut text = Vec::new();
        write(&mut text);
        self.send_text(key, &text);
    }

    /// One engine packet, its type digit first.
    pub(super) fn send_text(&mut self, key: PeerKey, packet: &[u8]) {
        match self.transports.peers.get(key.0).map(|peer| &peer.session.transport) {
            Some(&Transport::WebSocket(conn)) => self.push_frame(conn, Opcode::Text, packet),
            Some(_) => self.poll_with_room(key, |polling| polling.push_text(packet)),
            None => {}
        }
    }

    /// One binary message, in the form the client reads.
    pub(super) fn send_binary(&mut self, key: PeerKey, data: &[u8]) {
        let Some(peer) = self.transports.peers.get(key.0) else { return };
        let Transport::WebSocket(conn) = peer.session.transport else {
            return self.poll_with_room(key, |polling| payload::push_binary(polling.body_mut(), data));
        };
        if !self.transports.conns.lane(conn).is_some_and(|lane| lane.base64) {
            return self.push_frame(conn, Opcode::Binary, data);
        }
        let mut text = Vec::new();
        payload::push_binary(&mut text, data);
        self.push_frame(conn, Opcode::Text, &text);
    }

    fn poll_with_room(&mut self, key: PeerKey, push: impl FnOnce(&mut Polling)) {
        let max = self.config.limits.outbox_bytes_max * POLLING_BURST_FACTOR;
        let Some(polling) = self.transports.peers.get_mut(key.0).and_then(|peer| peer.session.polling_mut()) else {
            return;
        };
        if polling.is_full(max) {
            return self.close_peer(key, CloseReason::SlowConsumer);
        }
        push(polling);
        self.stats.packets_out += 1;
        self.mark_poll_dirty(key);
    }

    /// Queues one frame, unless its reader has stopped and the queue is full: then the connection ends.
    pub(super) fn push_frame(&mut self, conn: ConnKey, opcode: Opcode, payload: &[u8]) {
        if self.ends_if_full(conn) {
            return;
        }
        let mut out = Vec::with_capacity(frame::SENT_HEADER_BYTES_MAX + payload.len());
        frame::write(&mut out, opcode, payload);
        self.stats.packets_out += 1;
        self.push_bytes(conn, Bytes::from(out), Coalesce::NEVER);
    }

    /// The answer to a ping. A peer that has stopped reading gets the answer to its last ping only (B38).
    pub(super) fn push_pong(&mut self, conn: ConnKey, data: &[u8]) {
        let mut out = Vec::new();
        frame::write(&mut out, Opcode::Pong, data);
        let Some(lane) = self.transports.conns.lane_mut(conn) else { return };
        let bytes = Bytes::from(out);
        if !lane.blocked || !self.transports.pool.replace(&mut lane.outbox, bytes.clone(), Coalesce::PONG) {
            self.push_bytes(conn, bytes, Coalesce::PONG);
        }
    }

    pub(super) fn push_close(&mut self, conn: ConnKey, code: Option<u16>) {
        self.push_bytes(conn, close::frame(code), Coalesce::NEVER);
    }
}
