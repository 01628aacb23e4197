//! How many TCP connections there are, of the process and of each address, before anything else is done for one.
//! The one table all cores share: a lock per accept and per close, none per packet.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;

use crate::base::limit::Limits;

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
}

#[derive(Debug)]
struct Address {
    connections: usize,
    /// Token bucket of new connections: tokens left, and when that was true.
    tokens: f64,
    at: Instant,
}

/// One admitted connection; gives its place back when it is dropped.
#[derive(Debug)]
pub struct Place {
    guard: Arc<Guard>,
    ip: IpAddr,
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
        let mut state = self.state.lock();
        if state.connections >= self.connections_max {
            return Err(Refused::Process);
        }
        let burst = f64::from(self.handshakes_per_s_max);
        let now = Instant::now();
        let address = state.by_ip.entry(ip).or_insert_with(|| Address { connections: 0, tokens: burst, at: now });
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
        Ok(Place { guard: self.clone(), ip })
    }

    /// TCP connections now.
    pub fn connections(&self) -> usize {
        self.state.lock().connections
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.guard.state.lock();
        state.connections -= 1;
        let Some(address) = state.by_ip.get_mut(&self.ip) else { return };
        address.connections -= 1;
        // An address whose bucket is full again is a new one; until then it is remembered, so that it cannot reset its rate.
        let idle = address.connections == 0;
        if idle && (self.guard.handshakes_per_s_max == 0 || address.at.elapsed().as_secs() >= 1) {
            state.by_ip.remove(&self.ip);
        }
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
}
