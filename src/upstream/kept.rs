//! Hosts whose connections rest for the next request. There are only so many: whoever asks many hosts once each, by names that
//! others chose, leaves few connections open.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::base::limit::FETCH_IDLE_TIMEOUT_MS;

pub(super) struct Kept {
    hosts_max: usize,
    /// When each was asked or has answered last.
    hosts: HashMap<String, Instant>,
}

impl Kept {
    pub(super) fn new(hosts_max: usize) -> Kept {
        Kept { hosts_max, hosts: HashMap::new() }
    }

    /// Whether a connection of `host`, which is asked or answers now, may rest. Where there is no place for another host,
    /// those go whose connections have rested out.
    pub(super) fn keeps(&mut self, host: &str, now: Instant) -> bool {
        if self.hosts.len() >= self.hosts_max {
            self.hosts.retain(|_, used| now.duration_since(*used) < IDLE_TIMEOUT);
        }
        let keeps = self.hosts.contains_key(host) || self.hosts.len() < self.hosts_max;
        if keeps {
            self.hosts.insert(host.to_owned(), now);
        }
        keeps
    }
}

const IDLE_TIMEOUT: Duration = Duration::from_millis(FETCH_IDLE_TIMEOUT_MS);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_free_again_when_the_connections_of_its_host_have_rested_out() {
        let (mut kept, begun) = (Kept::new(2), Instant::now());
        let mut keeps = |host: &str, after_ms: u64| kept.keeps(host, begun + Duration::from_millis(after_ms));
        assert!(keeps("a", 0) && keeps("b", 1) && !keeps("c", 2));
        assert!(keeps("a", FETCH_IDLE_TIMEOUT_MS - 1), "it is asked again");
        assert!(!keeps("c", FETCH_IDLE_TIMEOUT_MS));
        assert!(keeps("c", FETCH_IDLE_TIMEOUT_MS + 1), "instead of b");
        assert!(!keeps("b", FETCH_IDLE_TIMEOUT_MS + 2) && keeps("a", FETCH_IDLE_TIMEOUT_MS + 2));
    }
}
