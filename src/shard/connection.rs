//! One WebSocket: wire state. Its queue stands apart, in its [`Lane`]. It belongs to a peer, proves itself as an
//! upgrade of one, is a link, or echoes.

use std::collections::BTreeMap;

use crate::base::ids::{ConnKey, Key, ListenerId, PeerKey};
use crate::base::time::Millis;
use crate::base::wheel::TimerKey;
use crate::wire::message::Decoder;

use super::lane::Lane;
use super::outbox::Outbox;

/// The wire state of one WebSocket. An idle one owns nothing on the heap.
#[derive(Debug)]
pub(crate) struct Connection {
    pub role: Role,
    pub listener: ListenerId,
    pub decoder: Decoder,
    /// Rare state, while the peer reads too slowly or a close is under way; see [`Connections::slow_mut`].
    slow: Option<Box<Slow>>,
}

/// What a connection is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Role {
    /// Carries a session.
    Session(PeerKey),
    /// Asks to carry one.
    Probe(PeerKey),
    /// A bare WebSocket that echoes.
    Echo,
    /// A link that has arrived.
    Link(Key),
    /// Our close frame is out; whatever still comes is ignored, until the peer's close frame.
    Closing,
    /// Our side ends as soon as what is queued has been offered to the kernel once.
    Hangup,
    /// Our side has ended; whatever still comes is thrown away, until the peer ends its side or time is up. Closing with
    /// bytes unread would reset the connection, and the reset may overtake our close frame.
    Lingering,
}

impl Role {
    /// A close frame of ours is out or on its way.
    pub(crate) fn is_ending(self) -> bool {
        matches!(self, Role::Closing | Role::Hangup)
    }
}

/// State of a connection that does not take what we have for it.
#[derive(Debug, Default)]
pub(crate) struct Slow {
    /// Fires when the outbox has made no progress for too long, or the close handshake takes too long.
    pub timer: Option<TimerKey>,
    /// When the kernel last took something.
    pub progress_at: Millis,
    /// Coalescing keys, by socket, of which something was dropped until a full state makes it good; and whether the
    /// application has been asked for one.
    pub stale: BTreeMap<(Key, u64), Reported>,
}

/// Whether the application knows that a key is stale.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Reported {
    No,
    Yes,
}

impl Connection {
    pub(crate) fn new(role: Role, listener: ListenerId) -> Connection {
        Connection { role, listener, decoder: Decoder::default(), slow: None }
    }

    pub(crate) fn slow(&self) -> Option<&Slow> {
        self.slow.as_deref()
    }
}

/// Connections by the reactor's slot numbers, each with its lane.
#[derive(Debug, Default)]
pub(crate) struct Connections {
    lanes: Vec<Lane>,
    /// An open lane's connection has the same index.
    slots: Vec<Option<Connection>>,
    open: usize,
}

impl Connections {
    pub(crate) fn insert(&mut self, key: ConnKey, connection: Connection, base64: bool) {
        let slot = key.0.slot as usize;
        if self.slots.len() <= slot {
            self.slots.resize_with(slot + 1, || None);
            self.lanes.resize_with(slot + 1, Lane::default);
        }
        self.slots[slot] = Some(connection);
        self.lanes[slot] = Lane { generation: key.0.generation, open: true, base64, ..Lane::default() };
        self.open += 1;
    }

    /// What is queued for a connection, and its state.
    pub(crate) fn lane(&self, key: ConnKey) -> Option<&Lane> {
        self.lanes.get(key.0.slot as usize).filter(|lane| lane.open && lane.generation == key.0.generation)
    }

    /// As [`Connections::lane`], to change.
    pub(crate) fn lane_mut(&mut self, key: ConnKey) -> Option<&mut Lane> {
        self.lanes.get_mut(key.0.slot as usize).filter(|lane| lane.open && lane.generation == key.0.generation)
    }

    pub(crate) fn get_mut(&mut self, key: ConnKey) -> Option<&mut Connection> {
        self.lane(key)?;
        self.slots[key.0.slot as usize].as_mut()
    }

    pub(crate) fn get(&self, key: ConnKey) -> Option<&Connection> {
        self.lane(key)?;
        self.slots[key.0.slot as usize].as_ref()
    }

    /// The state of a connection that is slow as of `now`, or has been.
    pub(crate) fn slow_mut(&mut self, key: ConnKey, now: Millis) -> Option<&mut Slow> {
        self.lane_mut(key)?.slow = true;
        let connection = self.slots[key.0.slot as usize].as_mut()?;
        Some(connection.slow.get_or_insert_with(|| Box::new(Slow { progress_at: now, ..Slow::default() })))
    }

    /// The connection has caught up.
    pub(crate) fn forget_slow(&mut self, key: ConnKey) {
        if let Some(lane) = self.lane_mut(key) {
            lane.slow = false;
        }
        if let Some(connection) = self.get_mut(key) {
            connection.slow = None;
        }
    }

    /// Takes a connection out, with what was queued for it.
    pub(crate) fn remove(&mut self, key: ConnKey) -> Option<(Connection, Outbox)> {
        let lane = self.lane_mut(key)?;
        lane.open = false;
        let outbox = std::mem::take(&mut lane.outbox);
        self.open -= 1;
        self.slots[key.0.slot as usize].take().map(|connection| (connection, outbox))
    }

    /// Keys of the connections of one kind, in slot order.
    pub(crate) fn keys_of(&self, role: Role) -> Vec<ConnKey> {
        self.iter().filter(|(_, connection)| connection.role == role).map(|(key, _)| key).collect()
    }

    /// All connections, in slot order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (ConnKey, &Connection)> + '_ {
        self.lanes().filter_map(|(key, _)| Some((key, self.get(key)?)))
    }

    /// The lanes of all connections, in slot order.
    pub(crate) fn lanes(&self) -> impl Iterator<Item = (ConnKey, &Lane)> + '_ {
        let open = self.lanes.iter().enumerate().filter(|(_, lane)| lane.open);
        open.map(|(slot, lane)| (ConnKey(Key { slot: slot as u32, generation: lane.generation }), lane))
    }

    pub(crate) fn len(&self) -> usize {
        self.open
    }

    /// Bytes of the vectors, room for growth included.
    pub(crate) fn reserved_bytes(&self) -> usize {
        self.slots.capacity() * size_of::<Option<Connection>>() + self.lanes.capacity() * size_of::<Lane>()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.open == 0
    }
}
