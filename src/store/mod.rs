//! Layer 7: what outlives the process. In come [`Job`](crate::app::effect::Job)s as values, out go
//! [`Outcome`]s; what is answered `Written` is on disk.
//!
//! Reading order: [`handle`] (the door: submit, health, close) → `queue` (bounds, one answer per job) → `writer` (group
//! commit) and `reader` → the two repositories, [`memory`] (the reference) and [`sqlite`] → pictures: `picture` (bytes to
//! a checked picture), `shelf` (files), `snapshot` (quota and age) → `lock` (one daemon per directory), [`status`].
//!
//! Deliberately absent: a cache (applications keep their working set), retries of a failed write (the application decides).

pub mod handle;
mod lock;
pub mod memory;
mod picture;
mod queue;
mod reader;
mod shelf;
mod snapshot;
pub mod sqlite;
pub mod status;
mod writer;

#[cfg(test)]
mod cases;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use self::handle::Store;
pub use self::queue::OnOutcome;
pub use self::status::{Counters, Health};
use crate::app::effect::{JobError, Outcome, Query, Write};
use crate::apps::signage::job::Snapshot;
use crate::base::time::WallMillis;

/// Where the store lives and what it may hold.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `sqlite:PATH` or `memory:`.
    pub url: String,
    /// Holds the lock file and the pictures; created if absent. Not touched by `memory:`.
    pub data_dir: PathBuf,
    pub bounds: Bounds,
    pub snapshots: SnapshotSettings,
}

impl Settings {
    /// Defaults for everything but the place. Pictures go to `data_dir/snapshots`.
    pub fn new(url: &str, data_dir: &Path) -> Settings {
        let snapshots = SnapshotSettings { dir: data_dir.join("snapshots"), ..SnapshotSettings::default() };
        Settings { url: url.to_owned(), data_dir: data_dir.to_owned(), bounds: Bounds::default(), snapshots }
    }
}

/// Rows the store keeps of what only grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// State changes of one device.
    pub history_rows_max: u32,
    /// Rows of each append-only table: audit, failures, commands, resolved alerts.
    pub append_rows_max: u32,
}

impl Default for Bounds {
    fn default() -> Self {
        Bounds { history_rows_max: 500, append_rows_max: 100_000 }
    }
}

/// Pictures: where they are, how many bytes of them, and for how long. With `memory:` they stay in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotSettings {
    pub dir: PathBuf,
    /// All pictures together; the oldest make room for a new one.
    pub quota_bytes: u64,
    pub ttl_ms: u64,
}

impl Default for SnapshotSettings {
    fn default() -> Self {
        SnapshotSettings { dir: PathBuf::from("data/snapshots"), quota_bytes: 1 << 30, ttl_ms: 24 * 3_600_000 }
    }
}

/// One connection to the rows. Two implementations pass the same cases: [`memory::Memory`] and [`sqlite::Sqlite`].
pub trait Repository: Send {
    /// Applies each batch all or nothing, in order, and makes the group durable. `Ok` holds one result for each batch;
    /// `Err` means that nothing of the group may be relied on (kind `Busy`: nothing happened, it may be tried again).
    fn commit(&mut self, group: &[&Batch]) -> Result<Vec<Result<(), JobError>>, JobError>;

    /// Answers from what has been committed.
    fn read(&mut self, query: &Query) -> Result<Outcome, JobError>;

    /// Every stored picture's row.
    fn snapshots(&mut self) -> Result<Vec<Snapshot>, JobError>;
}

/// What is committed all or nothing.
#[derive(Clone, Debug, PartialEq)]
pub enum Batch {
    Writes(Arc<Vec<Write>>),
    /// The row of a picture that is on disk already, and the ids of those that quota or age pushed out.
    Snapshots {
        put: Option<Snapshot>,
        drop: Vec<String>,
    },
    /// One small write that asks whether the disk takes writes again.
    Probe(WallMillis),
}

/// Why the store does not open, as a sentence for the operator. The file or directory it names was left as it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OpenError {
    /// `store.url` is neither `sqlite:PATH` nor `memory:`.
    Url(String),
    /// A directory or file cannot be created, written or read.
    Access { path: PathBuf, error: String },
    /// Another process works on the same directory or database.
    InUse { path: PathBuf, by: String },
    /// The file is no database, a broken one, or not one this version can use.
    Unusable { path: PathBuf, why: String },
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OpenError::Url(url) => write!(f, "store.url = \"{url}\" is neither \"sqlite:PATH\" nor \"memory:\""),
            OpenError::Access { path, error } => write!(f, "{} cannot be used: {error}", path.display()),
            OpenError::InUse { path, by } => write!(f, "{} is in use by {by}", path.display()),
            OpenError::Unusable { path, why } => write!(f, "{} {why}; it was left untouched", path.display()),
        }
    }
}

impl std::error::Error for OpenError {}
