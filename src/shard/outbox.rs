//! What waits to be written to the WebSockets of one shard. All entries live in one pool and are chained by index, so an
//! idle socket owns 16 bytes here and nothing on the heap, and a broadcast costs one chain link of 16 bytes per receiver.
//!
//! Bytes are counted; the sender decides what happens above a bound (DESIGN 4.11).

use bytes::Bytes;

use super::packets::{PacketId, Packets};
use crate::base::ids::Key;

/// The entries of all outboxes of a shard.
#[derive(Debug)]
pub(crate) struct Pool {
    entries: Vec<Entry>,
    packets: Packets,
    /// Head of the free list.
    free: u32,
    /// Bytes queued in all outboxes together.
    queued_bytes: usize,
    /// Bytes that wait for polling clients, which keep them themselves.
    polling_bytes: usize,
}

#[derive(Debug)]
struct Entry {
    packet: PacketId,
    next: u32,
    /// The packet's key says which entries of this owner may replace each other.
    owner: Key,
}

/// Names the entries that may replace each other: those of one owner and key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Coalesce {
    /// The socket, in its slab.
    pub owner: Key,
    pub key: u64,
}

impl Coalesce {
    /// An entry that nothing replaces.
    pub(crate) const NEVER: Coalesce = Coalesce { owner: Coalesce::NOBODY, key: 0 };
    /// Pongs of a connection.
    pub(crate) const PONG: Coalesce = Coalesce { owner: Coalesce::NOBODY, key: 1 };
    /// Owns what belongs to no socket.
    pub(crate) const NOBODY: Key = Key { slot: NONE, generation: 0 };
}

/// One socket's queue: a chain in the pool.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outbox {
    first: u32,
    last: u32,
    queued_bytes: u32,
    /// Bytes of the first entry that are written already.
    written: u32,
}

const NONE: u32 = u32::MAX;

impl Default for Outbox {
    fn default() -> Self {
        Outbox { first: NONE, last: NONE, queued_bytes: 0, written: 0 }
    }
}

impl Outbox {
    pub(crate) fn is_empty(&self) -> bool {
        self.first == NONE
    }

    /// Bytes that wait.
    pub(crate) fn queued_bytes(&self) -> usize {
        self.queued_bytes as usize
    }
}

/// What waits for one socket, slice by slice.
pub struct Slices<'a> {
    pool: &'a Pool,
    next: u32,
    /// Bytes of the next entry that are written already.
    skip: usize,
}

impl<'a> Iterator for Slices<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let entry = self.pool.entries.get(self.next as usize)?;
        self.next = entry.next;
        Some(&self.pool.packets.bytes(entry.packet)[std::mem::take(&mut self.skip)..])
    }
}

impl Default for Pool {
    fn default() -> Self {
        Pool { entries: Vec::new(), packets: Packets::default(), free: NONE, queued_bytes: 0, polling_bytes: 0 }
    }
}

impl Pool {
    /// Appends an entry. Unless it is [`Coalesce::NEVER`] it can be replaced by [`Pool::replace`].
    pub(crate) fn push(&mut self, outbox: &mut Outbox, bytes: Bytes, coalesce: Coalesce) {
        let packet = self.hold(bytes, coalesce.key);
        self.push_shared(outbox, packet, coalesce.owner);
        self.release(packet);
    }

    /// Takes in a packet that is about to be pushed to many; until [`Pool::release`] it stays.
    pub(crate) fn hold(&mut self, bytes: Bytes, key: u64) -> PacketId {
        self.packets.hold(bytes, key)
    }

    /// Ends a [`Pool::hold`]; outboxes that have the packet keep it.
    pub(crate) fn release(&mut self, packet: PacketId) {
        self.packets.release(packet);
    }

    /// Appends an entry for a packet that is held.
    pub(crate) fn push_shared(&mut self, outbox: &mut Outbox, packet: PacketId, owner: Key) {
        let bytes = self.packets.share(packet);
        outbox.queued_bytes += bytes as u32;
        self.queued_bytes += bytes;
        let index = self.take_entry(Entry { packet, next: NONE, owner });
        match outbox.last {
            NONE => outbox.first = index,
            last => self.entries[last as usize].next = index,
        }
        outbox.last = index;
    }

    /// Puts `bytes` in the place of the last queued entry of the same owner and key, unless that one is partly written.
    /// `false`: there is none.
    pub(crate) fn replace(&mut self, outbox: &mut Outbox, bytes: Bytes, coalesce: Coalesce) -> bool {
        let Some(index) = self.find(outbox, coalesce) else { return false };
        let entry = &mut self.entries[index as usize];
        let old = self.packets.bytes(entry.packet).len();
        outbox.queued_bytes = outbox.queued_bytes - old as u32 + bytes.len() as u32;
        self.queued_bytes = self.queued_bytes - old + bytes.len();
        self.packets.release(entry.packet);
        entry.packet = self.packets.hold(bytes, coalesce.key);
        true
    }

    /// The slices to write next, in order, the written part of the first one left out.
    pub(crate) fn slices(&self, outbox: &Outbox) -> Slices<'_> {
        Slices { pool: self, next: outbox.first, skip: outbox.written as usize }
    }

    /// `count` bytes of the front are written.
    pub(crate) fn advance(&mut self, outbox: &mut Outbox, count: usize) {
        outbox.queued_bytes -= count as u32;
        self.queued_bytes -= count;
        let mut left = outbox.written as usize + count;
        while outbox.first != NONE {
            let length = self.packets.bytes(self.entries[outbox.first as usize].packet).len();
            if left < length {
                break;
            }
            left -= length;
            self.drop_first(outbox);
        }
        outbox.written = left as u32;
    }

    /// Drops everything that waits.
    pub(crate) fn clear(&mut self, outbox: &mut Outbox) {
        self.queued_bytes -= outbox.queued_bytes();
        while outbox.first != NONE {
            self.drop_first(outbox);
        }
        *outbox = Outbox::default();
    }

    /// Bytes that wait behind the entry being written.
    pub(crate) fn bytes_behind_first(&self, outbox: &Outbox) -> usize {
        let first = self.entries.get(outbox.first as usize);
        let first = first.map_or(0, |entry| self.packets.bytes(entry.packet).len());
        outbox.queued_bytes() - first.saturating_sub(outbox.written as usize)
    }

    /// Bytes that wait for a client of the shard, on either transport.
    pub(crate) fn queued_bytes(&self) -> usize {
        self.queued_bytes + self.polling_bytes
    }

    /// The bytes that wait for one polling client were `before` and are `now`.
    pub(crate) fn count_polling(&mut self, before: usize, now: usize) {
        self.polling_bytes = self.polling_bytes - before + now;
    }

    /// Gives memory back after a burst, when nothing is queued at all: what `sockets` need for a few broadcasts stays.
    pub(crate) fn shrink_when_idle(&mut self, sockets: usize) {
        const KEPT_PER_SOCKET: usize = 4;
        const KEPT: usize = 4096;
        let kept = KEPT.max(sockets * KEPT_PER_SOCKET);
        if self.queued_bytes == 0 && self.entries.capacity() > kept * 2 {
            self.entries = Vec::with_capacity(kept);
            self.free = NONE;
            self.packets.shrink(KEPT);
        }
    }

    /// Bytes of the entries, room for more included.
    pub(crate) fn reserved_bytes(&self) -> usize {
        self.entries.capacity() * size_of::<Entry>() + self.packets.reserved_bytes()
    }

    /// The last entry of this owner and key: a later value must not go out before an earlier one.
    fn find(&self, outbox: &Outbox, coalesce: Coalesce) -> Option<u32> {
        let (mut index, mut found) = (outbox.first, None);
        let mut partly_written = outbox.written > 0;
        while let Some(entry) = self.entries.get(index as usize) {
            if entry.owner == coalesce.owner && self.packets.key(entry.packet) == coalesce.key {
                found = (!partly_written).then_some(index);
            }
            partly_written = false;
            index = entry.next;
        }
        found
    }

    fn take_entry(&mut self, entry: Entry) -> u32 {
        if self.free == NONE {
            self.entries.push(entry);
            return (self.entries.len() - 1) as u32;
        }
        let index = self.free;
        let slot = &mut self.entries[index as usize];
        self.free = slot.next;
        *slot = entry;
        index
    }

    fn drop_first(&mut self, outbox: &mut Outbox) {
        let index = outbox.first;
        let entry = &mut self.entries[index as usize];
        self.packets.release(entry.packet);
        outbox.first = std::mem::replace(&mut entry.next, self.free);
        self.free = index;
        if outbox.first == NONE {
            outbox.last = NONE;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rng::Rng;

    fn key(key: u64) -> Coalesce {
        Coalesce { owner: Key::default(), key }
    }

    fn waiting(pool: &Pool, outbox: &Outbox) -> Vec<u8> {
        pool.slices(outbox).flatten().copied().collect()
    }

    #[test]
    fn short_writes_resume_where_they_stopped() {
        let (mut pool, mut outbox) = (Pool::default(), Outbox::default());
        pool.push(&mut outbox, Bytes::from_static(b"abc"), Coalesce::NEVER);
        pool.push(&mut outbox, Bytes::from_static(b"defg"), Coalesce::NEVER);
        pool.advance(&mut outbox, 2);
        assert_eq!(waiting(&pool, &outbox), b"cdefg");
        pool.advance(&mut outbox, 3);
        assert_eq!(waiting(&pool, &outbox), b"fg");
        pool.advance(&mut outbox, 2);
        assert!(outbox.is_empty());
        assert_eq!((outbox.queued_bytes(), pool.queued_bytes()), (0, 0));
    }

    #[test]
    fn an_entry_is_replaced_only_before_its_first_byte_is_written() {
        let (mut pool, mut outbox) = (Pool::default(), Outbox::default());
        pool.push(&mut outbox, Bytes::from_static(b"old"), key(7));
        assert!(pool.replace(&mut outbox, Bytes::from_static(b"newer"), key(7)));
        assert_eq!(outbox.queued_bytes(), 5);
        pool.advance(&mut outbox, 1);
        assert!(!pool.replace(&mut outbox, Bytes::from_static(b"newest"), key(7)));
        assert!(!pool.replace(&mut outbox, Bytes::from_static(b"x"), key(8)));
        assert_eq!(waiting(&pool, &outbox), b"ewer");
    }

    #[test]
    fn the_pool_reuses_entries_and_gives_memory_back() {
        let (mut pool, mut outbox) = (Pool::default(), Outbox::default());
        for _ in 0..10_000 {
            pool.push(&mut outbox, Bytes::from_static(b"x"), Coalesce::NEVER);
        }
        pool.clear(&mut outbox);
        pool.push(&mut outbox, Bytes::from_static(b"y"), Coalesce::NEVER);
        assert_eq!(pool.entries.len(), 10_000);
        pool.advance(&mut outbox, 1);
        pool.shrink_when_idle(5_000);
        assert!(pool.entries.capacity() >= 10_000, "that many sockets may need it again");
        pool.shrink_when_idle(1);
        assert!(pool.entries.capacity() < 10_000);
    }

    #[test]
    fn a_shared_packet_lies_in_memory_once_and_goes_with_the_last_that_waits_for_it() {
        let (mut pool, mut outboxes) = (Pool::default(), [Outbox::default(); 3]);
        let packet = pool.hold(Bytes::from_static(b"news"), 0);
        outboxes.iter_mut().for_each(|outbox| pool.push_shared(outbox, packet, Coalesce::NOBODY));
        pool.release(packet);
        assert_eq!((pool.queued_bytes(), waiting(&pool, &outboxes[2])), (12, b"news".to_vec()));
        pool.clear(&mut outboxes[0]);
        pool.advance(&mut outboxes[1], 4);
        assert_eq!(waiting(&pool, &outboxes[2]), b"news");
        pool.advance(&mut outboxes[2], 4);
        assert_eq!(pool.hold(Bytes::from_static(b"next"), 0), packet, "its place is free again");
    }

    /// Many outboxes in one pool against one byte vector each.
    #[test]
    fn chains_do_not_mix() {
        let mut rng = Rng::from_seed([4; 32]);
        let mut pool = Pool::default();
        let mut outboxes = [Outbox::default(); 8];
        let mut models: [Vec<u8>; 8] = Default::default();
        for step in 0..20_000u32 {
            let who = rng.below(8) as usize;
            if rng.below(2) == 0 {
                let bytes = vec![step as u8; 1 + rng.below(9) as usize];
                models[who].extend_from_slice(&bytes);
                pool.push(&mut outboxes[who], Bytes::from(bytes), Coalesce::NEVER);
            } else {
                let count = rng.below(models[who].len() as u32 + 1) as usize;
                models[who].drain(..count);
                pool.advance(&mut outboxes[who], count);
            }
            assert_eq!(outboxes[who].queued_bytes(), models[who].len());
            assert_eq!(waiting(&pool, &outboxes[who]), models[who]);
        }
    }
}
