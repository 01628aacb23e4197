//! How many TCP connections there are, of the process and of each address, before anything else is done for one.
//! The one table all cores share: a lock per accept and per close, none per packet.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::base::limit::Limits;

/// A bucket that nobody takes from is full again by then: it holds what comes in during a second.
const REFILLED_AFTER: Duration = Duration::from_secs(1);

/// The table.
#[derive(Debug)]
pub struct Guard {
    connections_max: usize,
    per_ip_max: usize,
    handshakes_per_s_max: u32,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    connections: usize,
    by_ip: HashMap<IpAddr, Address>,
    /// Addresses without a connection whose rate is still remembered, each once, and when to look at it again.
    idle: VecDeque<(Instant, IpAddr)>,
}

#[derive(Debug)]
struct Address {
    connections: usize,
    /// Token bucket of new connections: tokens left, and when that was true.
    tokens: f64,
    at: Instant,
    /// It is in [`State::idle`].
    queued: bool,
}

/// One admitted connection; gives its place back when it is dropped.
#[derive(Debug)]
pub struct Place {
    guard: Arc<Guard>,
    address: IpAddr,
}

/// Why a connection is not admitted; it is answered 503.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refused {
    Process,
    Address,
    Rate,
}

impl Guard {
    pub fn new(limits: &Limits) -> Arc<Guard> {
        Arc::new(Guard {
            connections_max: limits.connections_max,
            per_ip_max: limits.connections_per_ip_max,
            handshakes_per_s_max: limits.handshakes_per_ip_per_s_max,
            state: Mutex::default(),
        })
    }

    /// Admits a new connection, or says which limit it meets.
    pub fn admit(self: &Arc<Guard>, ip: IpAddr) -> Result<Place, Refused> {
        let (key, now) = (address_of(ip), Instant::now());
        let mut state = self.state.lock();
        state.forget_idle(now);
        if state.connections >= self.connections_max {
            return Err(Refused::Process);
        }
        let burst = f64::from(self.handshakes_per_s_max);
        let fresh = || Address { connections: 0, tokens: burst, at: now, queued: false };
        let address = state.by_ip.entry(key).or_insert_with(fresh);
        if address.connections >= self.per_ip_max {
            return Err(Refused::Address);
        }
        if self.handshakes_per_s_max > 0 {
            let refilled = address.tokens + now.duration_since(address.at).as_secs_f64() * burst;
            (address.tokens, address.at) = (refilled.min(burst), now);
            if address.tokens < 1.0 {
                return Err(Refused::Rate);
            }
            address.tokens -= 1.0;
        }
        address.connections += 1;
        state.connections += 1;
        Ok(Place { guard: self.clone(), address: key })
    }

    /// TCP connections now.
    pub fn connections(&self) -> usize {
        self.state.lock().connections
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let now = Instant::now();
        let mut state = self.guard.state.lock();
        state.connections -= 1;
        state.forget_idle(now);
        let Some(address) = state.by_ip.get_mut(&self.address) else { return };
        address.connections -= 1;
        if address.connections > 0 {
            return;
        }
        if self.guard.handshakes_per_s_max == 0 {
            state.by_ip.remove(&self.address);
        } else if !std::mem::replace(&mut address.queued, true) {
            state.idle.push_back((now + REFILLED_AFTER, self.address));
        }
    }
}

impl State {
    /// An address whose bucket is full again is a new one; until then it is remembered, so that it cannot reset its rate.
    fn forget_idle(&mut self, now: Instant) {
        while self.idle.front().is_some_and(|(due, _)| *due <= now)
            && let Some((_, key)) = self.idle.pop_front()
        {
            let Some(address) = self.by_ip.get_mut(&key) else { continue };
            if address.connections > 0 {
                address.queued = false;
            } else if now.duration_since(address.at) >= REFILLED_AFTER {
                self.by_ip.remove(&key);
            } else {
                // It came again meanwhile, and was refused or left.
                self.idle.push_back((now + REFILLED_AFTER, key));
            }
        }
    }
}

/// What counts as one address: of IPv6 the first 64 bits, since whoever has one address there has that whole network.
fn address_of(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(_) => ip,
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() & !u128::from(u64::MAX)).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard(connections_max: usize, connections_per_ip_max: usize, handshakes_per_ip_per_s_max: u32) -> Arc<Guard> {
        Guard::new(&Limits {
            connections_max,
            connections_per_ip_max,
            handshakes_per_ip_per_s_max,
            ..Limits::default()
        })
    }

    fn ip(last: u8) -> IpAddr {
        IpAddr::from([127, 0, 0, last])
    }

    #[test]
    fn places_are_bounded_by_process_and_address_and_come_back() {
        let guard = guard(3, 2, 0);
        let first = guard.admit(ip(1)).unwrap();
        let _second = guard.admit(ip(1)).unwrap();
        assert_eq!(guard.admit(ip(1)).unwrap_err(), Refused::Address);
        let _third = guard.admit(ip(2)).unwrap();
        assert_eq!(guard.admit(ip(3)).unwrap_err(), Refused::Process);
        drop(first);
        assert!(guard.admit(ip(3)).is_ok());
        assert_eq!(guard.connections(), 2);
    }

    #[test]
    fn t09_new_connections_of_an_address_have_a_rate() {
        let guard = guard(100, 100, 5);
        let admitted = (0..20).filter(|_| guard.admit(ip(1)).is_ok()).count();
        assert!((5..=6).contains(&admitted), "{admitted}");
        assert!(guard.admit(ip(2)).is_ok());
    }

    #[test]
    fn t09_addresses_that_have_gone_are_forgotten_once_their_rate_is() {
        let guard = guard(100, 100, 5);
        let held = guard.admit(ip(1)).unwrap();
        for last in 2..=50 {
            drop(guard.admit(ip(last)).unwrap());
            drop(guard.admit(ip(last)).unwrap());
        }
        let mut state = guard.state.lock();
        assert_eq!((state.by_ip.len(), state.idle.len()), (50, 49));
        state.forget_idle(Instant::now() + REFILLED_AFTER * 2);
        assert_eq!((state.by_ip.len(), state.idle.len()), (1, 0), "only the one that is connected is left");
        drop(state);
        drop(held);
        let mut state = guard.state.lock();
        state.forget_idle(Instant::now() + REFILLED_AFTER * 2);
        assert!(state.by_ip.is_empty());
    }

    #[test]
    fn t09_an_ipv6_address_is_its_network() {
        let guard = guard(100, 1, 0);
        let at = |text: &str| guard.admit(text.parse().unwrap());
        let _first = at("2001:db8:0:1::1").unwrap();
        assert_eq!(at("2001:db8:0:1:ffff::2").unwrap_err(), Refused::Address);
        let _other = at("2001:db8:0:2::1").unwrap();
    }
}
