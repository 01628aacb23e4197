//! A link that has arrived: a WebSocket of somebody who is no Socket.IO client, on the shard that has its connection. Its home may
//! be another one. Idle, it owns nothing on the heap.
//!
//! ```text
//!   Waiting ──admitted──► Opening ──its 101 is out──► Open ──► over
//!      └──────turned away─────┴────────gone───────────────────► over
//! ```

use core::net::IpAddr;

use hashbrown::HashMap;

use crate::app::Home;
use crate::app::link::{Arrival, LinkOrder, Terms};
use crate::base::ids::{AppId, ConnKey, Key, ReqId, ShardId};
use crate::base::limit::LINK_IN_MESSAGES_MAX;
use crate::base::slab::Slab;
use crate::base::time::Millis;
use crate::base::wheel::TimerKey;

/// Somebody asks for a WebSocket on a path of this application's.
#[derive(Debug)]
pub struct Coming {
    pub app: AppId,
    pub home: Home,
    /// It holds a place of its address, since it came through a proxy; the shell is told when it ends.
    pub holds_place: bool,
    pub arrival: Arrival,
}

/// One link.
#[derive(Debug)]
pub(crate) struct Link {
    pub app: AppId,
    pub home: ShardId,
    pub state: State,
    /// The address of which it holds a place.
    pub place: Option<IpAddr>,
    pub terms: Terms,
    /// The time limit of an arrival, then its heartbeat.
    pub timer: Option<TimerKey>,
    /// When it arrived, then when something of it came last.
    pub heard_at: Millis,
    /// It has been pinged since.
    pub asked: bool,
    /// Its application has paused it.
    pub paused: bool,
    /// How often it is held, that pause included; while it is, nothing of it is read.
    pub holds: u16,
    pub window: Window,
    /// Messages that wait for it, or more: as many as it was told since none waited.
    pub told: usize,
}

/// How far it is.
#[derive(Debug)]
pub(crate) enum State {
    /// Its home has not decided.
    Waiting(Box<Waiting>),
    /// Its 101 is on its way.
    Opening(Box<Opening>),
    Open(ConnKey),
}

/// What is known of one that waits.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub req: ReqId,
    /// Subprotocols it offers.
    pub offered: Vec<String>,
}

/// What is kept for one until it is open.
#[derive(Debug, Default)]
pub(crate) struct Opening {
    pub subprotocol: Option<String>,
    /// What its home has wanted of it meanwhile, in order, and the bytes of the messages among it.
    pub orders: Vec<LinkOrder>,
    pub bytes: usize,
}

/// All links of a shard.
#[derive(Debug, Default)]
pub(crate) struct Links {
    links: Slab<Link>,
    /// Those that wait to be let in, by the requests that wait.
    waiting: HashMap<ReqId, Key>,
}

impl Links {
    /// One that asks to be let in.
    pub(crate) fn insert(&mut self, link: Link, req: ReqId) -> Key {
        let key = self.links.insert(link);
        self.waiting.insert(req, key);
        key
    }

    pub(crate) fn get(&self, key: Key) -> Option<&Link> {
        self.links.get(key)
    }

    pub(crate) fn get_mut(&mut self, key: Key) -> Option<&mut Link> {
        self.links.get_mut(key)
    }

    /// The arrival that this request has made.
    pub(crate) fn of_request(&self, req: ReqId) -> Option<Key> {
        self.waiting.get(&req).copied()
    }

    /// It is let in: its 101 is on its way.
    pub(crate) fn admit(&mut self, key: Key, subprotocol: Option<String>, terms: Terms) -> Option<ReqId> {
        let link = self.links.get_mut(key)?;
        let State::Waiting(waiting) = &link.state else { return None };
        let req = waiting.req;
        link.state = State::Opening(Box::new(Opening { subprotocol, ..Opening::default() }));
        link.terms = terms;
        self.waiting.remove(&req);
        Some(req)
    }

    pub(crate) fn remove(&mut self, key: Key) -> Option<Link> {
        let link = self.links.remove(key)?;
        if let State::Waiting(waiting) = &link.state {
            self.waiting.remove(&waiting.req);
        }
        Some(link)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (Key, &Link)> + '_ {
        self.links.iter()
    }

    /// Those that wait to be let in.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.links.len() == 0
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.links.len()
    }

    /// Bytes of the tables, room for growth included.
    pub(crate) fn reserved_bytes(&self) -> usize {
        self.links.reserved_bytes() + self.waiting.allocation_size()
    }
}

impl Link {
    pub(crate) fn new(app: AppId, home: ShardId, waiting: Waiting, place: Option<IpAddr>, now: Millis) -> Link {
        Link {
            app,
            home,
            state: State::Waiting(Box::new(waiting)),
            place,
            terms: Terms::default(),
            timer: None,
            heard_at: now,
            asked: false,
            paused: false,
            holds: 0,
            window: Window::default(),
            told: 0,
        }
    }

    /// Its 101 is out. Gives what had been wanted of it meanwhile; `None`: it is not being opened.
    pub(crate) fn open(&mut self, conn: ConnKey, now: Millis) -> Option<Opening> {
        let State::Opening(opening) = &mut self.state else { return None };
        let opening = std::mem::take(&mut **opening);
        (self.state, self.heard_at) = (State::Open(conn), now);
        Some(opening)
    }

    /// Its connection, once it is open.
    pub(crate) fn conn(&self) -> Option<ConnKey> {
        match self.state {
            State::Open(conn) => Some(conn),
            State::Waiting(_) | State::Opening(_) => None,
        }
    }
}

/// What is on its way to a home on another shard. After every half of what may be, in messages or in bytes, a mark is sent behind it, which comes back when all
/// before it has been handed to the application; with a mark on its way and another half behind it, the link waits. So what is
/// on its way is no more than the bounds, and one message for each half.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Window {
    /// Since the last mark.
    messages: u32,
    bytes: u32,
    is_marked: bool,
    /// The link waits for the mark.
    waits: bool,
}

/// What is to be done behind a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Step {
    Go,
    Mark,
    Wait,
}

impl Window {
    /// One message more, of so many bytes; half of what may be on its way is `bytes_half`.
    pub(crate) fn push(&mut self, bytes: usize, bytes_half: usize) -> Step {
        self.messages += 1;
        self.bytes += bytes as u32;
        let is_half = self.messages as usize * 2 >= LINK_IN_MESSAGES_MAX || self.bytes as usize >= bytes_half;
        if !is_half || self.waits {
            return Step::Go;
        }
        if self.is_marked {
            self.waits = true;
            return Step::Wait;
        }
        *self = Window { is_marked: true, ..Window::default() };
        Step::Mark
    }

    /// The mark is back. `true`: the link has waited for it, and the next mark is to be sent.
    pub(crate) fn on_marked(&mut self) -> bool {
        let waited = self.waits;
        *self = match waited {
            true => Window { is_marked: true, ..Window::default() },
            false => Window { is_marked: false, ..*self },
        };
        waited
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_on_its_way_is_bounded_and_goes_on_when_it_has_arrived() {
        const HALF: usize = 1_000;
        for (messages, bytes) in [(LINK_IN_MESSAGES_MAX, 1), (8, HALF / 4)] {
            let (mut window, half) = (Window::default(), messages / 2);
            let steps = |window: &mut Window| -> Vec<Step> { (0..half).map(|_| window.push(bytes, HALF)).collect() };
            let last = |steps: &[Step], step| {
                let (last, before) = steps.split_last().unwrap();
                *last == step && before.iter().all(|step| *step == Step::Go)
            };
            assert!(last(&steps(&mut window), Step::Mark));
            assert!(last(&steps(&mut window), Step::Wait));
            assert!(window.on_marked(), "it waits, and the half behind the mark is marked now");
            assert_eq!(window.push(bytes, HALF), Step::Go);
            assert!(!window.on_marked(), "nobody waits");
            assert!(last(&steps(&mut window)[..half - 1], Step::Mark));
        }
    }

    /// `docs/PERFORMANCE.md` says what one costs in all.
    #[test]
    fn idle_links_stay_small() {
        assert!(size_of::<Link>() <= 136, "{}", size_of::<Link>());
    }
}
