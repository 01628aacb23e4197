//! Packets into outboxes: one packet in the few forms its receivers need, each made once; what happens above a bound
//! (DESIGN 4.11); and the one flush per socket and turn.

use bytes::Bytes;

use super::Shard;
use super::lane::Route;
use super::outbox::{Coalesce, Pool, Slices};
use super::packets::PacketId;
use crate::app::effect::{Delivery, Emission};
use crate::base::close::CloseReason;
use crate::base::ids::{ConnKey, NspId, PeerKey};
use crate::base::limit::POLLING_BURST_FACTOR;
use crate::socketio::client::Joined;
use crate::socketio::encode;
use crate::socketio::envelope::Envelope;

/// One packet of a namespace, or several that are never apart, framed on first need for each name its receivers know the namespace by.
pub(crate) struct Variants {
    nsp: NspId,
    body: Body,
    attachments: Vec<Bytes>,
    /// For clients that use the namespace's own name, and for those that use `/`.
    named: Option<Form>,
    as_root: Option<Form>,
}

enum Body {
    Event {
        array: Bytes,
        id: Option<u64>,
    },
    Ack {
        id: u64,
        args: Bytes,
    },
    /// Events that are told together. The first one asks for the ack.
    Together {
        events: Vec<Emission>,
        id: Option<u64>,
    },
}

/// A packet under one name, and where it lies in the pool once somebody on WebSocket waits for it.
struct Form {
    envelope: Envelope,
    plain: Option<PacketId>,
    base64: Option<PacketId>,
}

impl Body {
    /// Once for many receivers: kept out of the loop over them.
    #[cold]
    #[inline(never)]
    fn envelope(&self, name: &str, attachments: &[Bytes]) -> Envelope {
        let capacity = |json: &Bytes| json.len() + name.len() + encode::HEAD_BYTES_MAX;
        let event = |id: Option<u64>, array: &Bytes, attachments: &[Bytes]| {
            let write = |out: &mut Vec<u8>| encode::event(out, name, id, array, attachments.len());
            Envelope::new(capacity(array), write, attachments)
        };
        match self {
            Body::Event { array, id } => event(*id, array, attachments),
            Body::Ack { id, args } => {
                let write = |out: &mut Vec<u8>| encode::ack(out, name, *id, args, attachments.len());
                Envelope::new(capacity(args), write, attachments)
            }
            Body::Together { events, id } => {
                let ids = std::iter::once(*id).chain(std::iter::repeat(None));
                let each = events.iter().zip(ids).map(|(told, id)| event(id, &told.array, &told.attachments));
                Envelope::together(&each.collect::<Vec<_>>())
            }
        }
    }
}

impl Variants {
    pub(crate) fn of_event(nsp: NspId, event: Emission, id: Option<u64>) -> Variants {
        Variants::new(nsp, Body::Event { array: event.array, id }, event.attachments)
    }

    /// Several events, one at least, that a receiver gets all or none of, in this order.
    pub(crate) fn of_events(nsp: NspId, mut events: Vec<Emission>, id: Option<u64>) -> Variants {
        match events.len() {
            1 => Variants::of_event(nsp, events.remove(0), id),
            _ => Variants::new(nsp, Body::Together { events, id }, Vec::new()),
        }
    }

    pub(crate) fn of_ack(nsp: NspId, id: u64, args: Bytes, attachments: Vec<Bytes>) -> Variants {
        Variants::new(nsp, Body::Ack { id, args }, attachments)
    }

    fn new(nsp: NspId, body: Body, attachments: Vec<Bytes>) -> Variants {
        Variants { nsp, body, attachments, named: None, as_root: None }
    }

    /// The packet for clients that call the namespace `/`, or by its name among `names`.
    fn form(&mut self, as_root: bool, names: &[String]) -> &mut Form {
        let Variants { nsp, body, attachments, .. } = self;
        let form = if as_root { &mut self.as_root } else { &mut self.named };
        form.get_or_insert_with(|| {
            let name = super::peer::wire_name(Joined { id: *nsp, as_root }, names);
            let envelope = body.envelope(name, attachments);
            Form { envelope, plain: None, base64: None }
        })
    }

    /// Nobody else gets it; outboxes that have it keep it.
    fn release(self, pool: &mut Pool) {
        let forms = [self.named, self.as_root].into_iter().flatten();
        forms.flat_map(|form| [form.plain, form.base64]).flatten().for_each(|packet| pool.release(packet));
    }
}

impl Form {
    fn packet(&mut self, base64: bool, key: u64, pool: &mut Pool) -> PacketId {
        if base64 {
            *self.base64.get_or_insert_with(|| pool.hold(self.envelope.ws_base64(), key))
        } else {
            *self.plain.get_or_insert_with(|| pool.hold(self.envelope.ws(), key))
        }
    }
}

impl Shard {
    /// One packet to the sockets in these slots.
    pub(super) fn deliver(&mut self, receivers: &[u32], mut variants: Variants, delivery: Delivery) {
        for slot in receivers {
            match self.members.routes.of(*slot) {
                Route::WebSocket { conn, as_root, .. } => {
                    self.deliver_websocket(*slot, conn, as_root, &mut variants, delivery);
                }
                Route::Polling { .. } => self.deliver_polling(*slot, &mut variants, delivery),
                Route::Nobody => {}
            }
        }
        variants.release(&mut self.transports.pool);
    }

    /// The body of the loop over receivers, of which a call would be a fifth.
    #[inline(always)]
    fn deliver_websocket(&mut self, slot: u32, conn: ConnKey, as_root: bool, variants: &mut Variants, class: Delivery) {
        let Some(lane) = self.transports.conns.lane(conn) else { return };
        let must = class == Delivery::Must;
        let behind = lane.blocked || !must && (lane.slow || !lane.outbox.is_empty());
        let base64 = lane.base64;
        // Only what may be dropped or replaced is known by its socket.
        let owner = if must { Coalesce::NOBODY } else { self.members.sockets.key_at(slot).unwrap_or(Coalesce::NOBODY) };
        let form = variants.form(as_root, self.config.namespaces.names());
        if behind && !self.admit_behind(conn, owner, class, &form.envelope) {
            return;
        }
        let (key, owner) = match class {
            Delivery::Latest { key } => (key, owner),
            _ => (Coalesce::NEVER.key, Coalesce::NOBODY),
        };
        let packet = form.packet(base64, key, &mut self.transports.pool);
        let Some(lane) = self.transports.conns.lane_mut(conn) else { return };
        self.transports.pool.push_shared(&mut lane.outbox, packet, owner);
        self.stats.packets_out += 1;
        lane.mark_dirty(conn, &mut self.transports.dirty_conns);
    }

    fn deliver_polling(&mut self, slot: u32, variants: &mut Variants, delivery: Delivery) {
        let Some((peer_key, nsp)) = self.members.sockets.at(slot).map(|socket| (socket.peer, socket.nsp)) else {
            return;
        };
        let Some(polling) = self.transports.peers.get_mut(peer_key.0).and_then(|peer| peer.session.polling_mut())
        else {
            return;
        };
        if delivery == Delivery::Volatile && !polling.is_writable() {
            self.stats.dropped_volatile += 1;
            return;
        }
        if polling.is_full(self.config.limits.outbox_bytes_max * POLLING_BURST_FACTOR) {
            return self.close_peer(peer_key, CloseReason::SlowConsumer);
        }
        let form = variants.form(nsp.as_root, self.config.namespaces.names());
        form.envelope.write_polling(polling.body_mut());
        self.stats.packets_out += 1;
        self.mark_poll_dirty(peer_key);
    }

    /// Queues framed bytes.
    pub(super) fn push_bytes(&mut self, conn: ConnKey, bytes: Bytes, coalesce: Coalesce) {
        let Some(lane) = self.transports.conns.lane_mut(conn) else { return };
        self.transports.pool.push(&mut lane.outbox, bytes, coalesce);
        lane.mark_dirty(conn, &mut self.transports.dirty_conns);
    }

    /// Something waits for this connection: it comes in [`Shard::next_flush`].
    pub(super) fn mark_dirty(&mut self, conn: ConnKey) {
        if let Some(lane) = self.transports.conns.lane_mut(conn) {
            lane.mark_dirty(conn, &mut self.transports.dirty_conns);
        }
    }

    /// Something waits for this peer's poll, which is answered at the end of the turn.
    pub(super) fn mark_poll_dirty(&mut self, key: PeerKey) {
        if let Some(peer) = self.transports.peers.get_mut(key.0)
            && !peer.poll_dirty
        {
            peer.poll_dirty = true;
            self.transports.dirty_polls.push(key);
        }
    }

    /// Writes what waits for one socket: `write` gets the slices in order and says how many bytes the kernel took. What
    /// is left waits for [`Shard::on_writable`]; until then nothing is tried. A socket may be written before its turn comes in
    /// [`Shard::next_flush`], too: it comes all the same, with what has been queued since.
    pub fn flush(&mut self, conn: ConnKey, write: impl FnOnce(Slices<'_>) -> usize) {
        let Some(lane) = self.transports.conns.lane_mut(conn) else { return };
        if !lane.outbox.is_empty() && !lane.blocked {
            let written = write(self.transports.pool.slices(&lane.outbox));
            self.transports.pool.advance(&mut lane.outbox, written);
            self.stats.bytes_out += written as u64;
            self.stats.writes += 1;
            let left = lane.outbox.queued_bytes();
            if left > 0 || lane.slow {
                self.note_progress(conn, written, left);
            }
        }
        if self.transports.conns.lane(conn).is_some_and(|lane| lane.hangs_up) {
            self.linger(conn);
        }
        if self.transports.dirty_conns.is_empty() {
            self.transports.pool.shrink_when_idle(self.transports.conns.len());
        }
    }

    /// The kernel takes bytes again.
    pub fn on_writable(&mut self, conn: ConnKey) {
        if let Some(lane) = self.transports.conns.lane_mut(conn)
            && lane.blocked
        {
            lane.blocked = false;
            self.mark_dirty(conn);
        }
    }
}
