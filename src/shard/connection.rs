//! One WebSocket: wire state and outbox. It belongs to a peer, proves itself as an upgrade of one, or echoes.

use std::collections::BTreeMap;

use crate::base::ids::{ConnKey, Key, ListenerId, PeerKey};
use crate::base::time::Millis;
use crate::base::wheel::TimerKey;
use crate::wire::message::Decoder;

use super::outbox::Outbox;

/// The wire state of one WebSocket. An idle one owns nothing on the heap.
#[derive(Debug)]
pub struct Connection {
    pub role: Role,
    pub listener: ListenerId,
    pub decoder: Decoder,
    pub outbox: Outbox,
    /// Attachments go out as base64 text.
    pub base64: bool,
    /// Stands in the shard's list of sockets to flush.
    pub dirty: bool,
    /// The kernel took less than we had; the next writability resumes.
    pub blocked: bool,
    /// Rare state, while the peer reads too slowly or a close is under way.
    pub slow: Option<Box<Slow>>,
}

/// What a connection is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// Carries a session.
    Session(PeerKey),
    /// Asks to carry one.
    Probe(PeerKey),
    /// A bare WebSocket that echoes.
    Echo,
    /// Our close frame is out; whatever still comes is ignored, until the peer's close frame.
    Closing,
    /// Our side ends as soon as what is queued has been offered to the kernel once.
    Hangup,
    /// Our side has ended; whatever still comes is thrown away, until the peer ends its side or time is up. Closing with
    /// bytes unread would reset the connection, and the reset may overtake our close frame.
    Lingering,
}

/// State of a connection that does not take what we have for it.
#[derive(Debug, Default)]
pub struct Slow {
    /// Fires when the outbox has made no progress for too long, or the close handshake takes too long.
    pub timer: Option<TimerKey>,
    /// When the kernel last took something.
    pub progress_at: Millis,
    /// Of which coalescing keys something was dropped, by socket, until a full state makes it good; and whether the
    /// application has been asked for one.
    pub stale: BTreeMap<(Key, u64), Reported>,
}

impl Slow {
    /// The state of a connection that is slow as of now, or has been.
    pub fn of(slow: &mut Option<Box<Slow>>, now: Millis) -> &mut Slow {
        slow.get_or_insert_with(|| Box::new(Slow { progress_at: now, ..Slow::default() }))
    }
}

/// Whether the application knows that a key is stale.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reported {
    No,
    Yes,
}

/// Connections by the reactor's slot numbers.
#[derive(Debug, Default)]
pub struct Connections {
    slots: Vec<Option<(u32, Connection)>>,
    open: usize,
}

impl Connections {
    pub fn insert(&mut self, key: ConnKey, connection: Connection) {
        let slot = key.0.slot as usize;
        if self.slots.len() <= slot {
            self.slots.resize_with(slot + 1, || None);
        }
        self.slots[slot] = Some((key.0.generation, connection));
        self.open += 1;
    }

    pub fn get_mut(&mut self, key: ConnKey) -> Option<&mut Connection> {
        match self.slots.get_mut(key.0.slot as usize) {
            Some(Some((generation, connection))) if *generation == key.0.generation => Some(connection),
            _ => None,
        }
    }

    pub fn get(&self, key: ConnKey) -> Option<&Connection> {
        match self.slots.get(key.0.slot as usize) {
            Some(Some((generation, connection))) if *generation == key.0.generation => Some(connection),
            _ => None,
        }
    }

    pub fn remove(&mut self, key: ConnKey) -> Option<Connection> {
        self.get(key)?;
        self.open -= 1;
        self.slots[key.0.slot as usize].take().map(|(_, connection)| connection)
    }

    /// Keys of the connections of one kind, in slot order.
    pub fn keys_of(&self, role: Role) -> Vec<ConnKey> {
        self.iter().filter(|(_, connection)| connection.role == role).map(|(key, _)| key).collect()
    }

    /// All connections, in slot order.
    pub fn iter(&self) -> impl Iterator<Item = (ConnKey, &Connection)> + '_ {
        let key = |slot, generation| ConnKey(Key { slot: slot as u32, generation });
        let all = self.slots.iter().enumerate().filter_map(|(slot, entry)| Some((slot, entry.as_ref()?)));
        all.map(move |(slot, (generation, connection))| (key(slot, *generation), connection))
    }

    pub fn len(&self) -> usize {
        self.open
    }

    pub fn is_empty(&self) -> bool {
        self.open == 0
    }
}
