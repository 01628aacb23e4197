//! What a broadcast touches, dense and apart from the rest of its receivers: by socket the way to its client ([`Routes`]),
//! by WebSocket the queue and its state ([`Lane`]). A receiver costs one look into each, a link in the pool and a place in
//! the list of sockets to flush; its peer, socket and connection are not read.

use super::outbox::Outbox;
use crate::base::ids::{ConnKey, DialectId};

/// The way to one socket's client.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum Route {
    /// Not accepted yet, or gone.
    #[default]
    Nobody,
    /// Through the polling half of its session; an upgrade under way counts as polling.
    Polling { dialect: DialectId },
    /// `as_root`: the client calls the namespace `/`.
    WebSocket { conn: ConnKey, as_root: bool, dialect: DialectId },
}

impl Route {
    /// What the client speaks.
    pub(super) fn dialect(self) -> DialectId {
        match self {
            Route::Nobody => DialectId::NONE,
            Route::Polling { dialect } | Route::WebSocket { dialect, .. } => dialect,
        }
    }
}

/// Routes by socket slot.
#[derive(Debug, Default)]
pub(crate) struct Routes(Vec<Route>);

impl Routes {
    /// The way to the socket in `slot`.
    pub(crate) fn of(&self, slot: u32) -> Route {
        self.0.get(slot as usize).copied().unwrap_or_default()
    }

    /// From now on this is the way to the socket in `slot`.
    pub(crate) fn set(&mut self, slot: u32, route: Route) {
        let slot = slot as usize;
        if self.0.len() <= slot {
            self.0.resize(slot + 1, Route::Nobody);
        }
        self.0[slot] = route;
    }

    /// Bytes of the vector, room for growth included.
    pub(crate) fn reserved_bytes(&self) -> usize {
        self.0.capacity() * size_of::<Route>()
    }
}

/// What is written to one WebSocket, and in what state it is to take it.
#[derive(Debug, Default)]
pub(crate) struct Lane {
    pub outbox: Outbox,
    /// Of the connection that has this slot, or had it last.
    pub(super) generation: u32,
    pub(super) open: bool,
    /// Stands in the shard's list of sockets to flush.
    pub dirty: bool,
    /// The kernel took less than we had; the next writability resumes.
    pub blocked: bool,
    /// Attachments go out as base64 text.
    pub base64: bool,
    /// The connection has [`Slow`](super::connection::Slow) state.
    pub slow: bool,
    /// After the next flush our side ends ([`Role::Hangup`](super::connection::Role::Hangup)).
    pub hangs_up: bool,
}

impl Lane {
    /// Puts its connection into the list of sockets to flush, where it stands once.
    pub(super) fn mark_dirty(&mut self, conn: ConnKey, dirty: &mut Vec<ConnKey>) {
        if !std::mem::replace(&mut self.dirty, true) {
            dirty.push(conn);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A million receivers are 40 MB to walk through, not 400.
    #[test]
    fn receivers_lie_dense() {
        assert_eq!((size_of::<Route>(), size_of::<Lane>()), (12, 28));
    }

    #[test]
    fn a_slot_without_a_route_leads_nowhere() {
        let mut routes = Routes::default();
        let polling = Route::Polling { dialect: DialectId(2) };
        routes.set(3, polling);
        assert_eq!((routes.of(2), routes.of(3), routes.of(4)), (Route::Nobody, polling, Route::Nobody));
    }
}
