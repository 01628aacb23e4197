//! Layer 7: what outlives the process. In come [`Job`](crate::app::job::Job)s as values, out go
//! [`Outcome`]s; what is answered `Written` or `Kept` is on disk. It knows no application: each
//! brings its tables, its statements and the names of its shelves.
//!
//! Reading order: [`handle`] (the door: submit, health, close) → `queue` (bounds, one answer per job) → `writer` (group
//! commit) and `reader` → [`sqlite`] and the store's own [`tables`] → blobs: `check` (bytes to a known kind), `shelf` (files), `part` (one
//! that comes in pieces),
//! `stock` (what is there, quota and age), [`blobs`] (the one who keeps and drops) → `lock` (one daemon per directory),
//! [`status`].
//!
//! Deliberately absent: a cache (applications keep their working set), retries of a failed write (the application decides).

pub(crate) mod blobs;
mod check;
pub(crate) mod handle;
mod intake;
mod lock;
mod part;
mod queue;
mod reader;
mod shelf;
pub(crate) mod sqlite;
pub(crate) mod status;
mod stock;
pub mod tables;
mod writer;

#[cfg(test)]
mod tests;

use std::fmt;
use std::path::{Path, PathBuf};

pub use self::handle::Store;
pub(crate) use self::intake::Intake;
pub use self::queue::OnOutcome;
pub use self::status::{Counters, Health};
pub use crate::app::job::ShelfSettings;
use crate::app::job::{JobError, Outcome};
use crate::app::sql::{Rows, Statement, Tables};

/// Where the store lives and what it may hold.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `sqlite:PATH` or `memory:`.
    pub url: String,
    /// Holds the lock file and the shelves, each in a folder of its name; created if absent. Not touched by `memory:`.
    pub data_dir: PathBuf,
    /// Of the applications; the store's own come before them.
    pub tables: Vec<&'static Tables>,
    pub shelves: Vec<ShelfSettings>,
}

impl Settings {
    /// A store for nobody yet, at a place.
    pub fn new(url: &str, data_dir: &Path) -> Settings {
        Settings { url: url.to_owned(), data_dir: data_dir.to_owned(), tables: Vec::new(), shelves: Vec::new() }
    }

    /// The owners of tables, in the order of their steps.
    pub(crate) fn owners(&self) -> Vec<&'static Tables> {
        std::iter::once(&tables::TABLES).chain(self.tables.iter().copied()).collect()
    }
}

/// One connection to the rows.
pub trait Repository: Send {
    /// Applies each write all or nothing, in order, and makes the group durable. `Ok` holds one outcome for each: written,
    /// in conflict, or failed by itself. `Err` means that nothing of the group may be relied on (kind `Busy`: nothing
    /// happened, it may be tried again).
    fn commit(&mut self, group: &[&[Statement]]) -> Result<Vec<Outcome>, JobError>;

    /// Answers all questions from one moment, from what has been committed.
    fn read(&mut self, questions: &[Statement]) -> Result<Vec<Rows>, JobError>;
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
