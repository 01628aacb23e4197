//! The store in one SQLite file: the embedded default. WAL with `synchronous = FULL`, so a commit that returns is on disk.
//!
//! `open` (refuse what is not ours, untouched; create; pragmas) → `migrate` (numbered schemas) → `write` (one group, one
//! transaction, a savepoint for each batch) → `read`. SQL is constant text with bound parameters, here and nowhere else.

mod migrate;
mod open;
mod read;
mod write;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use rusqlite::{Connection, ErrorCode};

use super::{Batch, Bounds, OpenError, Repository};
use crate::app::effect::{JobError, JobErrorKind, Outcome, Query};
use crate::apps::signage::job::Snapshot;

/// One connection, reopened after an error that leaves its state in doubt.
pub struct Sqlite {
    path: PathBuf,
    access: Access,
    bounds: Bounds,
    /// `None` after such an error, until the next use.
    connection: Option<Connection>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Access {
    ReadWrite,
    ReadOnly,
}

impl Sqlite {
    /// Opens the database at `path`, created if absent, and brings its schema up to date. A file that is not an intact
    /// database of ours is refused and left as it was.
    pub fn open(path: &Path, bounds: Bounds) -> Result<Sqlite, OpenError> {
        let mut connection = open::writer(path)?;
        migrate::run(&mut connection).map_err(|error| open::unusable(path, &error))?;
        Ok(Sqlite { path: path.to_owned(), access: Access::ReadWrite, bounds, connection: Some(connection) })
    }

    /// Another connection to the same file, that cannot write.
    pub fn reader(&self) -> Sqlite {
        Sqlite { path: self.path.clone(), access: Access::ReadOnly, bounds: self.bounds, connection: None }
    }

    /// Runs `work` on the connection, opened if need be. After an error that is neither a lock, a full disk nor the
    /// input's fault the connection is given up: what an fsync has refused once is not asked again (the kernel forgets).
    fn with<T>(&mut self, work: impl FnOnce(&Connection, Bounds) -> Result<T, JobError>) -> Result<T, JobError> {
        if self.connection.is_none() {
            let opened = match self.access {
                Access::ReadWrite => open::reopen(&self.path),
                Access::ReadOnly => open::reader(&self.path),
            };
            self.connection = Some(opened.map_err(|error| job_error(&error))?);
        }
        let connection = self.connection.as_ref().expect("opened above");
        let result = work(connection, self.bounds);
        if result.as_ref().is_err_and(|error| error.kind == JobErrorKind::Unavailable) {
            self.connection = None;
        }
        result
    }
}

impl Repository for Sqlite {
    fn commit(&mut self, group: &[&Batch]) -> Result<Vec<Result<(), JobError>>, JobError> {
        self.with(|connection, bounds| write::group(connection, group, bounds))
    }

    fn read(&mut self, query: &Query) -> Result<Outcome, JobError> {
        self.with(|connection, bounds| read::answer(connection, query, bounds).map_err(|error| job_error(&error)))
    }

    fn snapshots(&mut self) -> Result<Vec<Snapshot>, JobError> {
        self.with(|connection, _| read::snapshots(connection).map_err(|error| job_error(&error)))
    }
}

/// The kind says who is at fault: another process, the disk, the input, or something that only an operator can judge.
fn job_error(error: &rusqlite::Error) -> JobError {
    let kind = match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => JobErrorKind::Busy,
        Some(ErrorCode::DiskFull) => JobErrorKind::Full,
        Some(ErrorCode::TooBig | ErrorCode::ConstraintViolation) => JobErrorKind::Invalid,
        _ => JobErrorKind::Unavailable,
    };
    JobError { kind, text: format!("database: {error}") }
}

/// SQLite's integers are signed. Times and revisions never get there; a value that does is kept as the largest.
fn integer(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn unsigned(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}
