//! The two things a client is on its shard: a [`Peer`] (one engine session with its Socket.IO client) and, per
//! namespace it joined, a [`Socket`].

use std::sync::Arc;

use crate::app::event::Handshake;
use crate::app::identity::Identity;
use crate::base::ids::{AppId, DialectId, Key, ListenerId, NspId, PeerKey, ReqId, ShardId, Sid};
use crate::base::wheel::TimerKey;
use crate::engine::session::Session;
use crate::socketio::client::{Client, Joined};

use super::io::Service;

/// One client.
#[derive(Debug)]
pub(crate) struct Peer {
    pub session: Session,
    pub service: Service,
    pub listener: ListenerId,
    pub client: Client,
    /// Shared by all that need it; most clients of one kind bring a small one.
    pub handshake: Arc<Handshake>,
    /// Until the first namespace is joined: the connect timeout.
    pub connect_timer: Option<TimerKey>,
    /// A POST whose body was on its way when the WebSocket took over: it still counts.
    pub late_post: Option<Box<ReqId>>,
    /// Stands in the shard's list of polls to answer at the end of the turn.
    pub poll_dirty: bool,
    /// Events taken in the current second, where events are limited.
    pub events: EventBudget,
    /// Held for its events until [`Timer::Thaw`].
    pub throttled: bool,
    /// How often it is held; while it is, nothing of it is read.
    pub holds: u16,
}

/// A client's events in one second, and what it owes for those before; the limit is `events_per_socket_per_s_max`.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct EventBudget {
    second: u32,
    count: u32,
}

impl EventBudget {
    /// Counts one event at `now_ms` (monotonic), and says as [`EventBudget::owed_ms`] whether it is one too many.
    pub(crate) fn take(&mut self, now_ms: u64, max: u32) -> u64 {
        self.owed_ms(now_ms, max);
        self.count = self.count.saturating_add(u32::from(max > 0));
        self.owed_ms(now_ms, max)
    }

    /// For how long no more events are to be taken, in milliseconds; a `max` of 0 is no limit.
    pub(crate) fn owed_ms(&mut self, now_ms: u64, max: u32) -> u64 {
        if max == 0 {
            return 0;
        }
        let second = (now_ms / 1000) as u32;
        self.count = self.count.saturating_sub(second.wrapping_sub(self.second).saturating_mul(max));
        self.second = second;
        let seconds = u64::from(self.count.saturating_sub(max).div_ceil(max));
        (seconds * 1000).saturating_sub(if seconds > 0 { now_ms % 1000 } else { 0 })
    }
}

/// One client inside one namespace.
#[derive(Debug)]
pub(crate) struct Socket {
    pub peer: PeerKey,
    pub sid: Sid,
    pub nsp: Joined,
    /// What its client speaks.
    pub dialect: DialectId,
    /// Where its events are decided.
    pub home: ShardId,
    pub identity: Arc<Identity>,
    pub accepted: bool,
    /// How many homes hold it, since too much of it waits there.
    pub holds: u16,
    /// Ends the socket when its token expires.
    pub expiry: Option<TimerKey>,
    /// Acks the server waits for from this socket.
    pub acks: Vec<u64>,
}

impl Socket {
    /// The namespace as this client knows it: `/` where the listener maps the root to it.
    pub(crate) fn wire_name<'a>(&self, names: &'a [String]) -> &'a str {
        wire_name(self.nsp, names)
    }

    pub(crate) fn nsp_id(&self) -> NspId {
        self.nsp.id
    }
}

/// The name a client uses for a namespace.
pub(crate) fn wire_name(nsp: Joined, names: &[String]) -> &str {
    if nsp.as_root { "/" } else { &names[nsp.id.0 as usize] }
}

/// What a timer of the wheel stands for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Timer {
    Heartbeat(PeerKey),
    Connect(PeerKey),
    UpgradeLimit(PeerKey),
    UpgradeNoop(PeerKey),
    /// A closed session has waited long enough for the GET that would tell its client.
    ForgetClosing(PeerKey),
    /// A client that has not answered our close frame.
    Cut(crate::base::ids::ConnKey),
    /// A reader that takes nothing.
    Stall(crate::base::ids::ConnKey),
    TokenExpiry(Key),
    Ack(crate::socketio::ack::AckKey),
    App(AppId, crate::app::effect::Token),
    Drain(PeerKey),
    /// What is due of a link: a decision about it, or a sign of life.
    Link(Key),
    DrainLink(Key),
    /// A client that sent more events than it may is looked at again.
    Thaw(PeerKey),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_counted_by_second() {
        let mut budget = EventBudget::default();
        let owed: Vec<u64> = [0, 10, 20, 999, 1000, 1001, 1002, 1002].iter().map(|ms| budget.take(*ms, 3)).collect();
        assert_eq!(owed, [0, 0, 0, 1, 0, 0, 998, 998]);
        // Seven are owed two seconds, and the debt goes down with time.
        budget.take(1500, 3);
        budget.take(1500, 3);
        assert_eq!((budget.owed_ms(1500, 3), budget.owed_ms(2200, 3), budget.owed_ms(3000, 3)), (1500, 800, 0));
        assert!((0..100).all(|_| budget.take(0, 0) == 0));
    }

    /// What an idle client costs on the heap before allocator overhead; `docs/PERFORMANCE.md` has the measured sum.
    #[test]
    fn idle_clients_stay_small() {
        assert!(size_of::<Peer>() <= 144, "{}", size_of::<Peer>());
        assert!(size_of::<Socket>() <= 88, "{}", size_of::<Socket>());
        assert!(size_of::<Handshake>() <= 48, "{}", size_of::<Handshake>());
        assert!(size_of::<Timer>() <= 24, "{}", size_of::<Timer>());
    }
}
