//! Framed packets that wait to be written, each once, however many sockets it waits for. They are counted by hand, not by
//! atomic references: all that wait for one are outboxes of one shard.

use bytes::Bytes;

/// The packets of all outboxes of a shard.
#[derive(Debug)]
pub(crate) struct Packets {
    slots: Vec<Packet>,
    /// Head of the free list, chained through `holders`.
    free: u32,
}

/// One packet among [`Packets`]; valid as long as somebody holds it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct PacketId(u32);

#[derive(Debug)]
struct Packet {
    bytes: Bytes,
    /// Which packets it may replace and be replaced by; see [`super::outbox::Coalesce`].
    key: u64,
    /// How many outboxes hold it; in a free slot, the index of the next free one.
    holders: u32,
}

const NONE: u32 = u32::MAX;

impl Default for Packets {
    fn default() -> Self {
        Packets { slots: Vec::new(), free: NONE }
    }
}

impl Packets {
    /// Takes a packet in; the caller holds it once.
    pub(crate) fn hold(&mut self, bytes: Bytes, key: u64) -> PacketId {
        let packet = Packet { bytes, key, holders: 1 };
        let Some(slot) = self.slots.get_mut(self.free as usize) else {
            self.slots.push(packet);
            return PacketId((self.slots.len() - 1) as u32);
        };
        let id = PacketId(self.free);
        self.free = slot.holders;
        *slot = packet;
        id
    }

    /// One more holds it; returns its length in bytes.
    pub(crate) fn share(&mut self, id: PacketId) -> usize {
        let packet = &mut self.slots[id.0 as usize];
        packet.holders += 1;
        packet.bytes.len()
    }

    /// One less holds it; the last one frees its bytes.
    pub(crate) fn release(&mut self, id: PacketId) {
        let packet = &mut self.slots[id.0 as usize];
        packet.holders -= 1;
        if packet.holders == 0 {
            packet.bytes = Bytes::new();
            packet.holders = self.free;
            self.free = id.0;
        }
    }

    pub(crate) fn bytes(&self, id: PacketId) -> &[u8] {
        &self.slots[id.0 as usize].bytes
    }

    pub(crate) fn key(&self, id: PacketId) -> u64 {
        self.slots[id.0 as usize].key
    }

    /// Gives memory back, where nothing is held and there is room for more than `kept` packets.
    pub(crate) fn shrink(&mut self, kept: usize) {
        if self.slots.capacity() > kept {
            *self = Packets::default();
        }
    }

    /// Bytes of the table, room for more included.
    pub(crate) fn reserved_bytes(&self) -> usize {
        self.slots.capacity() * size_of::<Packet>()
    }
}
