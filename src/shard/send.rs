//! Packets into outboxes: one packet in the few forms its receivers need, each made once; what happens above a bound
//! (design 4.11); and the one flush per socket and turn.

use bytes::Bytes;

use super::Shard;
use super::connection::Role;
use super::outbox::Coalesce;
use crate::app::effect::{Delivery, Emission};
use crate::base::close::CloseReason;
use crate::base::ids::{ConnKey, PeerKey};
use crate::base::limit::POLLING_BURST_FACTOR;
use crate::engine::session::Transport;
use crate::socketio::encode;
use crate::socketio::envelope::Envelope;

/// One packet, framed on first need for each name its receivers know the namespace by.
pub struct Variants {
    body: Body,
    attachments: Vec<Bytes>,
    /// For clients that use the namespace's own name, and for those that use `/`.
    named: Option<Envelope>,
    as_root: Option<Envelope>,
}

enum Body {
    Event { array: Bytes, id: Option<u64> },
    Ack { id: u64, args: Bytes },
}

impl Body {
    /// Bytes of its JSON.
    fn len(&self) -> usize {
        match self {
            Body::Event { array, .. } => array.len(),
            Body::Ack { args, .. } => args.len(),
        }
    }
}

impl Variants {
    pub fn of_event(event: Emission, id: Option<u64>) -> Variants {
        Variants::new(Body::Event { array: event.array, id }, event.attachments)
    }

    pub fn of_ack(id: u64, args: Bytes, attachments: Vec<Bytes>) -> Variants {
        Variants::new(Body::Ack { id, args }, attachments)
    }

    fn new(body: Body, attachments: Vec<Bytes>) -> Variants {
        Variants { body, attachments, named: None, as_root: None }
    }

    /// The packet for a client that calls the namespace `name`.
    fn envelope(&mut self, name: &str) -> &Envelope {
        let Variants { body, attachments, named, as_root, .. } = self;
        let form = if name == "/" { as_root } else { named };
        form.get_or_insert_with(|| {
            let mut text = Vec::with_capacity(body.len() + name.len() + encode::HEAD_BYTES_MAX);
            match body {
                Body::Event { array, id } => encode::event(&mut text, name, *id, array, attachments.len()),
                Body::Ack { id, args } => encode::ack(&mut text, name, *id, args, attachments.len()),
            }
            Envelope::new(&text, attachments)
        })
    }
}

impl Shard {
    /// One packet to the socket in `slot`.
    pub(super) fn deliver(&mut self, slot: u32, variants: &mut Variants, delivery: Delivery) {
        let Some(owner) = self.sockets.key_at(slot) else { return };
        let Some(socket) = self.sockets.get(owner) else { return };
        let (peer_key, nsp) = (socket.peer, socket.nsp);
        let Some(peer) = self.peers.get_mut(peer_key.0) else { return };
        let envelope = variants.envelope(super::peer::wire_name(nsp, &self.config.namespaces));
        let Transport::WebSocket(conn) = peer.session.transport else {
            let Some(polling) = peer.session.polling_mut() else { return };
            if delivery == Delivery::Volatile && !polling.is_writable() {
                self.stats.dropped_volatile += 1;
                return;
            }
            if polling.is_full(self.config.limits.outbox_bytes_max * POLLING_BURST_FACTOR) {
                return self.close_peer(peer_key, CloseReason::SlowConsumer);
            }
            envelope.write_polling(polling.body_mut());
            self.stats.packets_out += 1;
            return self.mark_poll_dirty(peer_key);
        };
        let Some(connection) = self.conns.get(conn) else { return };
        let (behind, base64) = (!connection.outbox.is_empty() || connection.slow.is_some(), connection.base64);
        if behind && !self.admit_behind(conn, owner, delivery, envelope) {
            return;
        }
        let bytes = if base64 { envelope.ws_base64() } else { envelope.ws() };
        let coalesce = match delivery {
            Delivery::Latest { key } => Coalesce { owner, key },
            _ => Coalesce::NEVER,
        };
        self.stats.packets_out += 1;
        self.push_bytes(conn, bytes, coalesce);
    }

    /// Queues framed bytes.
    pub(super) fn push_bytes(&mut self, conn: ConnKey, bytes: Bytes, coalesce: Coalesce) {
        let Some(connection) = self.conns.get_mut(conn) else { return };
        self.pool.push(&mut connection.outbox, bytes, coalesce);
        self.mark_dirty(conn);
    }

    pub(super) fn mark_dirty(&mut self, conn: ConnKey) {
        if let Some(connection) = self.conns.get_mut(conn)
            && !connection.dirty
        {
            connection.dirty = true;
            self.dirty_conns.push(conn);
        }
    }

    pub(super) fn mark_poll_dirty(&mut self, key: PeerKey) {
        if let Some(peer) = self.peers.get_mut(key.0)
            && !peer.poll_dirty
        {
            peer.poll_dirty = true;
            self.dirty_polls.push(key);
        }
    }

    /// Writes what waits for one socket: `write` gets the slices in order and says how many bytes the kernel took. What
    /// is left waits for [`Shard::on_writable`]; until then nothing is tried.
    pub fn flush(&mut self, conn: ConnKey, write: impl FnOnce(&mut dyn Iterator<Item = &[u8]>) -> usize) {
        let Some(connection) = self.conns.get_mut(conn) else { return };
        connection.dirty = false;
        let queued = connection.outbox.queued_bytes();
        if queued > 0 && !connection.blocked {
            let written = write(&mut self.pool.slices(&connection.outbox, usize::MAX));
            self.pool.advance(&mut connection.outbox, written);
            self.stats.bytes_out += written as u64;
            self.stats.writes += 1;
            let left = connection.outbox.queued_bytes();
            self.note_progress(conn, written, left);
        }
        if self.conns.get(conn).is_some_and(|connection| connection.role == Role::Hangup) {
            self.linger(conn);
        }
        self.pool.shrink_when_idle();
    }

    /// The kernel takes bytes again.
    pub fn on_writable(&mut self, conn: ConnKey) {
        if let Some(connection) = self.conns.get_mut(conn)
            && connection.blocked
        {
            connection.blocked = false;
            self.mark_dirty(conn);
        }
    }
}
