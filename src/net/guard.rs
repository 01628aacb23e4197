//! How many TCP connections there are, of the process and of each address, before anything else is done for one.
//! The one table all cores share: a lock per accept and per close, none per packet.
//!
//! A connection of a trusted proxy takes a place of the process only. The address is its client's, and the place there is
//! held by the connection where a PROXY head names the client, by the session where the request does that opens it: a proxy
//! sends the requests of many clients over one connection, and those of one over many.

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
pub(crate) struct Guard {
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

/// One place, or what is left of it: gives it back when it is dropped.
#[derive(Debug)]
pub struct Place {
    guard: Arc<Guard>,
    /// It is one of the process's.
    of_process: bool,
    /// It is one of this address's.
    address: Option<IpAddr>,
}

/// Why a connection is not admitted; it is answered 503.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refused {
    Process,
    Address,
    Rate,
}

impl Guard {
    pub(crate) fn new(limits: &Limits) -> Arc<Guard> {
        Arc::new(Guard {
            connections_max: limits.connections_max,
            per_ip_max: limits.connections_per_ip_max,
            handshakes_per_s_max: limits.handshakes_per_ip_per_s_max,
            state: Mutex::default(),
        })
    }

    /// Admits a new connection of `ip`, or says which limit it meets.
    pub(crate) fn admit(self: &Arc<Guard>, ip: IpAddr) -> Result<Place, Refused> {
        self.take(true, Some(ip))
    }

    /// Admits a new connection of a proxy, which is nobody's yet.
    pub(crate) fn admit_proxy(self: &Arc<Guard>) -> Result<Place, Refused> {
        self.take(true, None)
    }

    /// Admits a new session of `ip` on a connection that has been admitted.
    pub(crate) fn admit_session(self: &Arc<Guard>, ip: IpAddr) -> Result<Place, Refused> {
        self.take(false, Some(ip))
    }

    fn take(self: &Arc<Guard>, of_process: bool, ip: Option<IpAddr>) -> Result<Place, Refused> {
        let (address, now) = (ip.map(address_of), Instant::now());
        let mut state = self.state.lock();
        state.forget_idle(now);
        if of_process && state.connections >= self.connections_max {
            return Err(Refused::Process);
        }
        if let Some(address) = address {
            self.take_address(&mut state, address, now)?;
        }
        state.connections += usize::from(of_process);
        Ok(Place { guard: self.clone(), of_process, address })
    }

    fn take_address(&self, state: &mut State, key: IpAddr, now: Instant) -> Result<(), Refused> {
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
        Ok(())
    }

    /// Gives back the place of a session ([`Place::hand_to_session`]) of `ip`.
    pub(crate) fn leave(&self, ip: IpAddr) {
        self.give_back(false, Some(address_of(ip)));
    }

    fn give_back(&self, of_process: bool, address: Option<IpAddr>) {
        let now = Instant::now();
        let mut state = self.state.lock();
        state.connections -= usize::from(of_process);
        state.forget_idle(now);
        let Some(key) = address else { return };
        let Some(address) = state.by_ip.get_mut(&key) else { return };
        address.connections -= 1;
        if address.connections > 0 {
            return;
        }
        if self.handshakes_per_s_max == 0 {
            state.by_ip.remove(&key);
        } else if !std::mem::replace(&mut address.queued, true) {
            state.idle.push_back((now + REFILLED_AFTER, key));
        }
    }

    /// TCP connections now.
    pub(crate) fn connections(&self) -> usize {
        self.state.lock().connections
    }
}

impl Place {
    /// From here on the session holds it, and its shard says when it has ended ([`Guard::leave`]).
    pub fn hand_to_session(mut self) {
        self.address = None;
    }

    /// A connection of a proxy is one of `ip`'s from here on.
    pub fn belongs_to(&mut self, ip: IpAddr) -> Result<(), Refused> {
        let mut of_address = self.guard.admit_session(ip)?;
        self.address = of_address.address.take();
        Ok(())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.of_process || self.address.is_some() {
            self.guard.give_back(self.of_process, self.address);
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

/// What counts as one address: of IPv6 the first 64 bits, since a client with one address there has that whole network.
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
    fn f22_a_client_of_a_proxy_has_a_place_of_its_own_which_its_session_holds() {
        let guard = guard(2, 1, 0);
        let mut announced = guard.admit_proxy().unwrap();
        announced.belongs_to(ip(1)).unwrap();
        assert_eq!(guard.admit_session(ip(1)).unwrap_err(), Refused::Address);
        let shared = guard.admit_proxy().unwrap();
        assert_eq!(guard.admit_proxy().unwrap_err(), Refused::Process);
        drop(guard.admit_session(ip(2)).unwrap());
        guard.admit_session(ip(2)).unwrap().hand_to_session();
        assert_eq!(guard.admit_session(ip(2)).unwrap_err(), Refused::Address);
        drop(shared);
        assert_eq!(guard.admit_session(ip(2)).unwrap_err(), Refused::Address, "the session lives on");
        guard.leave(ip(2));
        assert!(guard.admit_session(ip(2)).is_ok());
        drop(announced);
        assert!(guard.state.lock().by_ip.is_empty());
        assert_eq!(guard.connections(), 0);
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
