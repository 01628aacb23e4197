//! How the store is doing, shared by its threads: health, counters, latency. Written once a group, copied for a scrape.

use std::time::{SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;

use crate::app::job::{JobError, JobErrorKind};
use crate::base::stats::Histogram;
use crate::base::time::WallMillis;

/// Whether what is written now would be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    Ok,
    /// Serving from memory; `since` is when the trouble began, `text` the newest error.
    Degraded {
        since: WallMillis,
        text: String,
    },
}

/// Plain numbers for a scrape.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Group commits that reached the disk.
    pub commits: u64,
    /// Write jobs that were decided (written, or in conflict), and those that failed.
    pub written: u64,
    pub write_failures: u64,
    pub reads: u64,
    pub read_failures: u64,
    /// Blobs kept and refused, those that have left their shelves, and the bytes held now.
    pub blobs: u64,
    pub blob_failures: u64,
    pub blobs_dropped: u64,
    pub blob_bytes: u64,
    pub last_error: Option<(WallMillis, String)>,
}

/// Which side of the store is in trouble; each recovers by its own success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Write = 0,
    Read = 1,
}

#[derive(Default)]
pub(super) struct Status {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    counters: Counters,
    latency_us: Histogram,
    trouble: [Option<(WallMillis, String)>; 2],
}

impl Status {
    pub(super) fn health(&self) -> Health {
        let inner = self.inner.lock();
        match inner.trouble.iter().flatten().min_by_key(|(since, _)| *since) {
            None => Health::Ok,
            Some((since, text)) => Health::Degraded { since: *since, text: text.clone() },
        }
    }

    pub(super) fn counters(&self) -> Counters {
        self.inner.lock().counters.clone()
    }

    pub(super) fn latency_us(&self) -> Histogram {
        self.inner.lock().latency_us.clone()
    }

    pub(super) fn count(&self, change: impl FnOnce(&mut Counters)) {
        change(&mut self.inner.lock().counters);
    }

    /// A group that reached the disk: submit-to-commit times of its jobs, and how many of them failed.
    pub(super) fn committed(&self, micros: impl Iterator<Item = u64>, failures: u64) {
        let mut inner = self.inner.lock();
        inner.counters.commits += 1;
        inner.counters.write_failures += failures;
        for value in micros {
            inner.counters.written += 1;
            inner.latency_us.record(value);
        }
    }

    pub(super) fn is_troubled(&self, side: Side) -> bool {
        self.inner.lock().trouble[side as usize].is_some()
    }

    pub(super) fn recovered(&self, side: Side) {
        self.inner.lock().trouble[side as usize] = None;
    }

    /// Remembers an error; one that is not the asker's own fault degrades the store until `side` succeeds again.
    pub(super) fn failed(&self, side: Side, error: &JobError) {
        let (now, mut inner) = (wall_now(), self.inner.lock());
        inner.counters.last_error = Some((now, error.text.clone()));
        if error.kind != JobErrorKind::Invalid {
            let trouble = &mut inner.trouble[side as usize];
            let since = trouble.as_ref().map_or(now, |(since, _)| *since);
            *trouble = Some((since, error.text.clone()));
        }
    }
}

pub(super) fn wall_now() -> WallMillis {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trouble_lasts_until_its_own_side_succeeds() {
        let status = Status::default();
        let error = |kind| JobError { kind, text: format!("{kind:?}") };
        status.failed(Side::Write, &error(JobErrorKind::Invalid));
        assert_eq!(status.health(), Health::Ok);
        status.failed(Side::Read, &error(JobErrorKind::Unavailable));
        status.failed(Side::Write, &error(JobErrorKind::Full));
        status.recovered(Side::Read);
        assert!(matches!(status.health(), Health::Degraded { text, .. } if text == "Full"));
        status.recovered(Side::Write);
        assert_eq!(status.health(), Health::Ok);
        assert_eq!(status.counters().last_error.unwrap().1, "Full");
    }
}
