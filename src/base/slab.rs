//! A slab with generations: constant-time insert, lookup and removal by [`Key`], dense storage, slots reused.
//! A key that outlived its entry finds nothing.

use super::ids::Key;

/// Entries in one vector; a free slot remembers the next free one.
#[derive(Debug)]
pub(crate) struct Slab<T> {
    slots: Vec<Slot<T>>,
    /// Head of the free list; `NONE` when every slot is taken.
    free: u32,
    len: usize,
}

#[derive(Debug)]
struct Slot<T> {
    /// Bumped when the entry leaves, so that old keys no longer match.
    generation: u32,
    entry: Entry<T>,
}

#[derive(Debug)]
enum Entry<T> {
    Free { next: u32 },
    Taken(T),
}

const NONE: u32 = u32::MAX;

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Slab { slots: Vec::new(), free: NONE, len: 0 }
    }
}

impl<T> Slab<T> {
    /// Puts `value` into a free slot.
    pub(crate) fn insert(&mut self, value: T) -> Key {
        self.insert_with(|_| value)
    }

    /// As [`Slab::insert`], for a value that wants to know its own key.
    pub(crate) fn insert_with(&mut self, make: impl FnOnce(Key) -> T) -> Key {
        self.len += 1;
        if self.free == NONE {
            let slot = u32::try_from(self.slots.len()).expect("bounded by the connection limit");
            let key = Key { slot, generation: 0 };
            self.slots.push(Slot { generation: 0, entry: Entry::Taken(make(key)) });
            return key;
        }
        let slot = &mut self.slots[self.free as usize];
        let key = Key { slot: self.free, generation: slot.generation };
        if let Entry::Free { next } = slot.entry {
            self.free = next;
        }
        slot.entry = Entry::Taken(make(key));
        key
    }

    /// Takes the entry out; `None` if the key is stale.
    pub(crate) fn remove(&mut self, key: Key) -> Option<T> {
        let slot = self.slots.get_mut(key.slot as usize)?;
        if slot.generation != key.generation || matches!(slot.entry, Entry::Free { .. }) {
            return None;
        }
        slot.generation = slot.generation.wrapping_add(1);
        let entry = std::mem::replace(&mut slot.entry, Entry::Free { next: self.free });
        self.free = key.slot;
        self.len -= 1;
        match entry {
            Entry::Taken(value) => Some(value),
            Entry::Free { .. } => None,
        }
    }

    pub(crate) fn get(&self, key: Key) -> Option<&T> {
        match self.slots.get(key.slot as usize) {
            Some(Slot { generation, entry: Entry::Taken(value) }) if *generation == key.generation => Some(value),
            _ => None,
        }
    }

    pub(crate) fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        match self.slots.get_mut(key.slot as usize) {
            Some(Slot { generation, entry: Entry::Taken(value) }) if *generation == key.generation => Some(value),
            _ => None,
        }
    }

    /// The entry now in `slot`, whatever its generation: for dense member lists that are kept exact by their owner.
    pub(crate) fn at_mut(&mut self, slot: u32) -> Option<&mut T> {
        match self.slots.get_mut(slot as usize) {
            Some(Slot { entry: Entry::Taken(value), .. }) => Some(value),
            _ => None,
        }
    }

    /// As [`Slab::at_mut`], to read.
    pub(crate) fn at(&self, slot: u32) -> Option<&T> {
        match self.slots.get(slot as usize) {
            Some(Slot { entry: Entry::Taken(value), .. }) => Some(value),
            _ => None,
        }
    }

    /// The full key of the entry now in `slot`.
    pub(crate) fn key_at(&self, slot: u32) -> Option<Key> {
        match self.slots.get(slot as usize) {
            Some(Slot { generation, entry: Entry::Taken(_) }) => Some(Key { slot, generation: *generation }),
            _ => None,
        }
    }

    /// Keys of all entries, in slot order.
    pub(crate) fn keys(&self) -> impl Iterator<Item = Key> + '_ {
        self.iter().map(|(key, _)| key)
    }

    /// All entries, in slot order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Key, &T)> + '_ {
        self.slots.iter().enumerate().filter_map(|(index, slot)| match &slot.entry {
            Entry::Taken(value) => Some((Key { slot: index as u32, generation: slot.generation }, value)),
            Entry::Free { .. } => None,
        })
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Bytes of the vector, room for growth included.
    pub(crate) fn reserved_bytes(&self) -> usize {
        self.slots.capacity() * size_of::<Slot<T>>()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stale_key_finds_nothing_even_when_its_slot_is_taken_again() {
        let mut slab = Slab::default();
        let old = slab.insert("old");
        assert_eq!(slab.remove(old), Some("old"));
        let new = slab.insert("new");
        assert_eq!(new.slot, old.slot);
        assert_eq!(slab.get(old), None);
        assert_eq!(slab.get_mut(old), None);
        assert_eq!(slab.remove(old), None);
        assert_eq!(slab.get(new), Some(&"new"));
        assert_eq!(slab.len(), 1);
    }

    #[test]
    fn freed_slots_are_reused_before_the_slab_grows() {
        let mut slab = Slab::default();
        let keys: Vec<Key> = (0..4).map(|n| slab.insert(n)).collect();
        slab.remove(keys[1]);
        slab.remove(keys[3]);
        let reused = [slab.insert(10).slot, slab.insert(11).slot];
        assert_eq!(reused, [3, 1]);
        assert_eq!(slab.keys().map(|key| key.slot).collect::<Vec<_>>(), [0, 1, 2, 3]);
    }
}
