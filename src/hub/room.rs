//! Rooms of one shard: each knows its own members. Joining and leaving cost constant time per room, a departing socket
//! costs O(its rooms), and an idle member costs 4 bytes in the room and 8 bytes at the socket.
//!
//! A member is a socket's slot in its shard's slab. Empty rooms are gone.

use hashbrown::HashMap;
use smallvec::SmallVec;

use super::target::Room as RoomName;
use crate::base::hash::Keyed;
use crate::base::ids::NspId;
use crate::base::slab::Slab;

/// All rooms of one shard, with the room "everybody" of each namespace among them.
#[derive(Debug)]
pub struct Hub {
    rooms: Slab<Room>,
    /// Clients choose names: the hash has a key.
    by_name: HashMap<(NspId, Option<RoomName>), u32, Keyed>,
    /// Where each socket slot stands in its rooms; the first place is its namespace's "everybody".
    places: Vec<SmallVec<[Place; 2]>>,
    /// `marks[slot] == epoch`: this slot was taken or excluded in the current selection.
    marks: Vec<u32>,
    epoch: u32,
}

#[derive(Debug)]
struct Room {
    nsp: NspId,
    /// `None`: everybody in the namespace.
    name: Option<RoomName>,
    /// Slots of the sockets in the room, in no order.
    members: Vec<u32>,
}

/// A membership, seen from the socket.
#[derive(Clone, Copy, Debug)]
struct Place {
    /// Slot of the room in the slab.
    room: u32,
    /// Index in its members.
    position: u32,
}

/// The rooms of a broadcast, as [`Hub::select`] takes them.
pub struct Selection<'a> {
    pub nsp: NspId,
    /// Empty: everybody.
    pub rooms: &'a [RoomName],
    pub except: &'a [RoomName],
    /// Slots left out.
    pub except_slots: &'a [u32],
}

impl Hub {
    /// No rooms yet. `hash` keeps clients from choosing names that collide.
    pub fn new(hash: Keyed) -> Hub {
        Hub {
            rooms: Slab::default(),
            by_name: HashMap::with_hasher(hash),
            places: Vec::new(),
            marks: Vec::new(),
            epoch: 0,
        }
    }

    /// A socket was accepted into a namespace.
    pub fn enter(&mut self, slot: u32, nsp: NspId) {
        if self.places.len() <= slot as usize {
            self.places.resize_with(slot as usize + 1, SmallVec::new);
        }
        self.add(slot, nsp, None);
    }

    /// Adds a socket that has entered to a room; joining twice is joining once. `false`: it is in `max` rooms already.
    pub fn join(&mut self, slot: u32, nsp: NspId, name: &RoomName, max: usize) -> bool {
        if self.is_member(slot, nsp, name) {
            return true;
        }
        // "Everybody" takes one place and does not count.
        if self.places.get(slot as usize).is_none_or(|places| places.is_empty() || places.len() > max) {
            return false;
        }
        self.add(slot, nsp, Some(name.clone()));
        true
    }

    /// Takes a socket out of one room.
    pub fn leave(&mut self, slot: u32, nsp: NspId, name: &RoomName) {
        let Some(&room) = self.by_name.get(&(nsp, Some(name.clone()))) else { return };
        let Some(places) = self.places.get_mut(slot as usize) else { return };
        if let Some(index) = places.iter().position(|place| place.room == room) {
            let place = places.swap_remove(index);
            self.remove_at(place);
        }
    }

    /// Takes a socket out of all its rooms, "everybody" included.
    pub fn leave_all(&mut self, slot: u32) {
        let Some(places) = self.places.get_mut(slot as usize) else { return };
        for place in std::mem::take(places) {
            self.remove_at(place);
        }
    }

    /// Appends the slots of all receivers to `out`, each once.
    pub fn select(&mut self, wanted: &Selection<'_>, out: &mut Vec<u32>) {
        let plain = wanted.except.is_empty() && wanted.except_slots.is_empty();
        if plain && wanted.rooms.len() <= 1 {
            out.extend_from_slice(self.members(wanted.nsp, wanted.rooms.first()));
            return;
        }
        self.next_epoch();
        for slot in wanted.except_slots {
            if let Some(mark) = self.marks.get_mut(*slot as usize) {
                *mark = self.epoch;
            }
        }
        for name in wanted.except {
            self.mark(wanted.nsp, Some(name), |_| ());
        }
        if wanted.rooms.is_empty() {
            self.mark(wanted.nsp, None, |slot| out.push(slot));
        }
        for name in wanted.rooms {
            self.mark(wanted.nsp, Some(name), |slot| out.push(slot));
        }
    }

    /// Whether the socket in `slot` is in a room.
    pub fn is_member(&self, slot: u32, nsp: NspId, name: &RoomName) -> bool {
        let Some(room) = self.by_name.get(&(nsp, Some(name.clone()))) else { return false };
        self.places.get(slot as usize).is_some_and(|places| places.iter().any(|place| place.room == *room))
    }

    /// Named rooms on this shard.
    pub fn room_count(&self) -> usize {
        self.rooms.iter().filter(|(_, room)| room.name.is_some()).count()
    }

    /// Sockets in a namespace on this shard.
    pub fn namespace_count(&self, nsp: NspId) -> usize {
        self.members(nsp, None).len()
    }

    /// Bytes of the members' lists and the sockets' places, room for more included; names and spilled places are not counted.
    pub fn reserved_bytes(&self) -> usize {
        let members: usize = self.rooms.iter().map(|(_, room)| room.members.capacity() * size_of::<u32>()).sum();
        let places = self.places.capacity() * size_of::<SmallVec<[Place; 2]>>();
        members + places + self.marks.capacity() * size_of::<u32>() + self.rooms.reserved_bytes()
    }

    /// Marks the members of a room that are not marked yet and hands each of them to `taken`.
    fn mark(&mut self, nsp: NspId, name: Option<&RoomName>, mut taken: impl FnMut(u32)) {
        let Some(room) = self.by_name.get(&(nsp, name.cloned())).and_then(|room| self.rooms.at(*room)) else { return };
        for slot in &room.members {
            let mark = &mut self.marks[*slot as usize];
            if *mark != self.epoch {
                *mark = self.epoch;
                taken(*slot);
            }
        }
    }

    fn members(&self, nsp: NspId, name: Option<&RoomName>) -> &[u32] {
        let room = self.by_name.get(&(nsp, name.cloned())).and_then(|room| self.rooms.at(*room));
        room.map_or(&[], |room| &room.members)
    }

    fn next_epoch(&mut self) {
        self.marks.resize(self.places.len(), self.epoch);
        self.epoch = self.epoch.wrapping_add(1);
        if self.epoch == 0 {
            self.marks.fill(0);
            self.epoch = 1;
        }
    }

    fn add(&mut self, slot: u32, nsp: NspId, name: Option<RoomName>) {
        let rooms = &mut self.rooms;
        let room = *self
            .by_name
            .entry((nsp, name))
            .or_insert_with_key(|key| rooms.insert(Room { nsp: key.0, name: key.1.clone(), members: Vec::new() }).slot);
        let members = &mut rooms.at_mut(room).expect("by_name holds live rooms only").members;
        self.places[slot as usize].push(Place { room, position: members.len() as u32 });
        members.push(slot);
    }

    fn remove_at(&mut self, place: Place) {
        let Some(room) = self.rooms.at_mut(place.room) else { return };
        room.members.swap_remove(place.position as usize);
        if let Some(&moved) = room.members.get(place.position as usize) {
            let places = &mut self.places[moved as usize];
            if let Some(theirs) = places.iter_mut().find(|theirs| theirs.room == place.room) {
                theirs.position = place.position;
            }
        }
        if room.members.is_empty() {
            let key = (room.nsp, room.name.clone());
            self.by_name.remove(&key);
            if let Some(key) = self.rooms.key_at(place.room) {
                self.rooms.remove(key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rng::Rng;
    use std::collections::{BTreeMap, BTreeSet};

    const NSP: NspId = NspId(0);

    fn empty() -> Hub {
        Hub::new(Keyed::draw(&mut Rng::from_seed([3; 32])))
    }

    fn name(text: &str) -> RoomName {
        RoomName::from(text)
    }

    fn select(hub: &mut Hub, rooms: &[&str], except: &[&str], except_slots: &[u32]) -> Vec<u32> {
        let (rooms, except): (Vec<_>, Vec<_>) =
            (rooms.iter().map(|room| name(room)).collect(), except.iter().map(|room| name(room)).collect());
        let mut out = Vec::new();
        hub.select(&Selection { nsp: NSP, rooms: &rooms, except: &except, except_slots }, &mut out);
        out.sort_unstable();
        out
    }

    fn hub(members: &[(u32, &[&str])]) -> Hub {
        let mut hub = empty();
        for (slot, rooms) in members {
            hub.enter(*slot, NSP);
            for room in *rooms {
                assert!(hub.join(*slot, NSP, &name(room), 128));
            }
        }
        hub
    }

    #[test]
    fn unions_reach_everybody_once_and_exceptions_win() {
        let mut hub = hub(&[(0, &["a", "b"]), (1, &["a"]), (2, &["b"]), (3, &[])]);
        for (rooms, except, slots, expected) in [
            (&["a"][..], &[][..], &[][..], &[0, 1][..]),
            (&["a", "b"], &[], &[], &[0, 1, 2]),
            (&["a", "a"], &[], &[], &[0, 1]),
            (&["a", "b"], &["b"], &[], &[1]),
            (&[], &["a"], &[], &[2, 3]),
            (&[], &[], &[3, 77], &[0, 1, 2]),
            (&[], &[], &[], &[0, 1, 2, 3]),
            (&["nobody"], &[], &[], &[]),
        ] {
            assert_eq!(select(&mut hub, rooms, except, slots), expected, "{rooms:?} {except:?}");
        }
    }

    #[test]
    fn namespaces_do_not_share_rooms() {
        let mut hub = hub(&[(0, &["a"])]);
        hub.enter(1, NspId(1));
        hub.join(1, NspId(1), &name("a"), 128);
        assert_eq!(select(&mut hub, &["a"], &[], &[]), [0]);
        assert_eq!(hub.namespace_count(NspId(1)), 1);
    }

    #[test]
    fn t12_rooms_of_a_socket_are_bounded_and_empty_rooms_are_gone() {
        let mut hub = hub(&[(0, &[])]);
        assert!((0..128).all(|n| hub.join(0, NSP, &name(&n.to_string()), 128)));
        assert!(!hub.join(0, NSP, &name("one more"), 128));
        assert!(hub.join(0, NSP, &name("5"), 128), "joining again is not one more");
        assert_eq!(hub.room_count(), 128);
        hub.leave_all(0);
        assert_eq!((hub.room_count(), hub.namespace_count(NSP)), (0, 0));
    }

    #[test]
    fn b26_a_socket_that_has_left_joins_nothing() {
        let mut hub = hub(&[(0, &[])]);
        hub.leave_all(0);
        assert!(!hub.join(0, NSP, &name("ghost"), 128));
        assert_eq!(hub.room_count(), 0);
    }

    /// The hub against sets, over random joins, leaves and departures.
    #[test]
    fn behaves_as_sets() {
        let mut rng = Rng::from_seed([9; 32]);
        let mut hub = empty();
        let mut model: BTreeMap<u32, BTreeSet<String>> = BTreeMap::new();
        for _ in 0..20_000 {
            let (slot, room) = (rng.below(20), format!("r{}", rng.below(8)));
            match (rng.below(8), model.contains_key(&slot)) {
                (0, true) => {
                    hub.leave_all(slot);
                    model.remove(&slot);
                }
                (_, false) => {
                    hub.enter(slot, NSP);
                    model.insert(slot, BTreeSet::new());
                }
                (1..=3, true) => {
                    hub.leave(slot, NSP, &name(&room));
                    model.get_mut(&slot).unwrap().remove(&room);
                }
                _ => {
                    assert!(hub.join(slot, NSP, &name(&room), 128));
                    model.get_mut(&slot).unwrap().insert(room.clone());
                }
            }
            let expected: Vec<u32> =
                model.iter().filter(|(_, rooms)| rooms.contains(&room)).map(|(slot, _)| *slot).collect();
            assert_eq!(select(&mut hub, &[&room], &[], &[]), expected);
        }
    }
}
