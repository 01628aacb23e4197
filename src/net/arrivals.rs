//! Who has been accepted and has said nothing yet. All have the same time for it, so the oldest is the first to be out of
//! time, and a queue in order of arrival is all the timer they need (T-03).

use std::collections::VecDeque;
use std::net::IpAddr;

use hashbrown::HashMap;

use crate::base::ids::ConnKey;
use crate::base::time::Millis;

/// Room kept when nobody is left: above it the memory of a burst goes back.
const ROOM_KEPT: usize = 1_024;

/// A connection whose first request has not come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Newcomer {
    /// Index of the listener it came in by.
    pub listener: usize,
    pub ip: IpAddr,
    /// The head of its first request is complete by then.
    pub due: Millis,
}

/// All newcomers of a core.
#[derive(Default)]
pub struct Arrivals {
    waiting: HashMap<ConnKey, Newcomer>,
    /// In order of arrival; those who have gone on are left out when they come to the front.
    order: VecDeque<(Millis, ConnKey)>,
}

impl Arrivals {
    pub fn insert(&mut self, conn: ConnKey, newcomer: Newcomer) {
        self.waiting.insert(conn, newcomer);
        self.order.push_back((newcomer.due, conn));
    }

    /// Somebody has spoken, or gone.
    pub fn remove(&mut self, conn: ConnKey) -> Option<Newcomer> {
        let newcomer = self.waiting.remove(&conn);
        while self.order.front().is_some_and(|(_, conn)| !self.waiting.contains_key(conn)) {
            self.order.pop_front();
        }
        if self.waiting.is_empty() && self.order.capacity() > ROOM_KEPT {
            *self = Arrivals::default();
        }
        newcomer
    }

    /// Takes out the next one that has said nothing in time.
    pub fn next_late(&mut self, now: Millis) -> Option<ConnKey> {
        let conn = self.order.front().filter(|(due, _)| *due <= now).map(|(_, conn)| *conn)?;
        self.remove(conn);
        Some(conn)
    }

    pub fn deadline(&self) -> Option<Millis> {
        self.order.front().map(|(due, _)| *due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ids::Key;

    #[test]
    fn t03_who_says_nothing_in_time_is_found_in_order() {
        let conn = |slot| ConnKey(Key { slot, generation: 0 });
        let mut arrivals = Arrivals::default();
        for slot in 0..4 {
            let ip = IpAddr::from([127, 0, 0, 1]);
            arrivals.insert(conn(slot), Newcomer { listener: 0, ip, due: Millis(10 + u64::from(slot)) });
        }
        assert!(arrivals.remove(conn(2)).is_some());
        assert_eq!(arrivals.deadline(), Some(Millis(10)));
        assert!(arrivals.remove(conn(0)).is_some());
        assert_eq!((arrivals.deadline(), arrivals.next_late(Millis(10))), (Some(Millis(11)), None));
        assert_eq!(arrivals.next_late(Millis(13)), Some(conn(1)));
        assert_eq!(arrivals.next_late(Millis(13)), Some(conn(3)), "the one that spoke is not among them");
        assert_eq!((arrivals.next_late(Millis(99)), arrivals.deadline()), (None, None));
    }
}
