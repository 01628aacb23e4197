//! Places, and what happens where there is none: requests on their way in all, to one host, and the bytes their answers may come to.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::app::fetch::{FetchError, FetchFailure};
use crate::base::limit;

/// What there is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub in_flight: usize,
    pub in_flight_per_host: usize,
    /// In flight or waiting for a place.
    pub per_host: usize,
    pub bytes: usize,
    /// Hosts whose connections rest for the next request.
    pub idle_hosts: usize,
    /// Links, and bytes that their peers could make us hold.
    pub links: usize,
    pub links_bytes: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Bounds {
            in_flight: limit::FETCHES_MAX,
            in_flight_per_host: limit::FETCHES_PER_HOST_MAX,
            per_host: limit::FETCH_QUEUE_PER_HOST_MAX,
            bytes: limit::FETCHES_BYTES_MAX,
            idle_hosts: limit::FETCH_IDLE_HOSTS_MAX,
            links: limit::LINKS_DIALLED_MAX,
            links_bytes: limit::LINKS_IN_BYTES_MAX,
        }
    }
}

pub(super) struct Places {
    bounds: Bounds,
    all: Arc<Semaphore>,
    /// Of [`GRAIN_BYTES`] each.
    bytes: Arc<Semaphore>,
    /// Hosts that somebody asks now.
    hosts: Mutex<HashMap<String, Host>>,
}

struct Host {
    asked: usize,
    places: Arc<Semaphore>,
}

/// One request may be on its way for as long as this lives.
pub(super) struct Place {
    _permits: [OwnedSemaphorePermit; 3],
    _asked: Asked,
}

/// Counted at its host.
struct Asked {
    places: Arc<Places>,
    host: String,
}

impl Places {
    pub(super) fn new(bounds: Bounds) -> Arc<Places> {
        Arc::new(Places {
            all: Arc::new(Semaphore::new(bounds.in_flight)),
            bytes: Arc::new(Semaphore::new(bounds.bytes / GRAIN_BYTES)),
            hosts: Mutex::default(),
            bounds,
        })
    }

    /// Waits for a place at `host` for an answer of at most so many bytes. First at the host, so that those who wait for a
    /// slow one take no place from others.
    pub(super) async fn take(self: &Arc<Places>, host: String, bytes_max: usize) -> Result<Place, FetchError> {
        let (asked, own) = self.ask(host)?;
        let grains = bytes_max.div_ceil(GRAIN_BYTES) as u32;
        let own = own.acquire_owned().await;
        let all = self.all.clone().acquire_owned().await;
        let bytes = self.bytes.clone().acquire_many_owned(grains).await;
        let permits = [own, all, bytes].map(|permit| permit.expect("nobody closes these"));
        Ok(Place { _permits: permits, _asked: asked })
    }

    fn ask(self: &Arc<Places>, host: String) -> Result<(Asked, Arc<Semaphore>), FetchError> {
        let mut hosts = self.hosts.lock();
        let new = || Host { asked: 0, places: Arc::new(Semaphore::new(self.bounds.in_flight_per_host)) };
        let known = hosts.entry(host.clone()).or_insert_with(new);
        if known.asked >= self.bounds.per_host {
            let text = format!("{} requests wait for {host} already", known.asked);
            return Err(FetchError::new(FetchFailure::Busy, text));
        }
        known.asked += 1;
        Ok((Asked { places: self.clone(), host }, known.places.clone()))
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        let mut hosts = self.places.hosts.lock();
        let Some(host) = hosts.get_mut(&self.host) else { return };
        host.asked -= 1;
        if host.asked == 0 {
            hosts.remove(&self.host);
        }
    }
}

const GRAIN_BYTES: usize = 1_024;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const SMALL: Bounds = Bounds {
        in_flight: 3,
        in_flight_per_host: 2,
        per_host: 4,
        bytes: 8 * GRAIN_BYTES,
        idle_hosts: 1,
        links: 0,
        links_bytes: 0,
    };

    async fn waits(places: &Arc<Places>, host: &str, bytes: usize) -> bool {
        tokio::time::timeout(Duration::from_millis(5), places.take(host.to_owned(), bytes)).await.is_err()
    }

    #[tokio::test]
    async fn those_beyond_a_bound_wait_and_those_beyond_the_queue_are_turned_away() {
        let places = Places::new(SMALL);
        let take = |host: &str| places.take(host.to_owned(), 1);
        let first = [take("a").await.unwrap(), take("a").await.unwrap()];
        assert!(waits(&places, "a", 1).await, "two at one host");
        let third = take("b").await.unwrap();
        assert!(waits(&places, "c", 1).await, "three in all");
        let waiting = [0, 1].map(|_| {
            tokio::spawn({
                let places = places.clone();
                async move { places.take("a".to_owned(), 1).await }
            })
        });
        tokio::task::yield_now().await;
        let refused = take("a").await.map(|_| ()).unwrap_err();
        assert_eq!(refused.kind, FetchFailure::Busy);
        drop(third);
        assert!(!waits(&places, "c", 1).await, "those who wait for a take no place from others");
        drop(first);
        for place in waiting {
            assert!(place.await.unwrap().is_ok());
        }
        assert!(places.hosts.lock().is_empty(), "a host that nobody asks is forgotten");
    }

    #[tokio::test]
    async fn answers_share_the_bytes_there_are_and_who_gives_up_leaves_nothing() {
        let places = Places::new(SMALL);
        let large = places.take("a".to_owned(), 7 * GRAIN_BYTES).await.unwrap();
        assert!(waits(&places, "b", 2 * GRAIN_BYTES).await);
        assert!(!waits(&places, "b", GRAIN_BYTES).await);
        drop(large);
        assert!(!waits(&places, "b", SMALL.bytes).await);
        assert!(places.hosts.lock().is_empty());
    }
}
