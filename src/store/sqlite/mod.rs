//! The store in SQLite: in one file, the embedded default, or in memory. On disk in WAL mode with `synchronous = FULL`, so a
//! commit that returns is on disk. It knows no table: what it runs are statements, values of whoever asks.
//!
//! `open` (refuse what is not ours, untouched; create; pragmas) → `migrate` (numbered steps of every owner) → `write` (one
//! group, one transaction, each write whole or not at all) → `statement` (values in, rows out).

mod migrate;
mod open;
mod statement;
mod write;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use rusqlite::{Connection, ErrorCode};

use super::{OpenError, Repository};
use crate::app::job::{JobError, JobErrorKind, Outcome};
use crate::app::sql::{Rows, Statement, Tables};

/// One connection.
pub struct Sqlite {
    place: Place,
    /// `None` after an error that leaves its state in doubt, until the next use opens another one.
    connection: Option<Connection>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Place {
    File(PathBuf),
    /// A file that this connection cannot write.
    ReadOnly(PathBuf),
    /// All of it is this connection, which is never given up.
    Memory,
}

impl Sqlite {
    /// Opens the database at `path`, created if absent, and brings the tables of all `owners` up to date. A file that is not
    /// an intact database of ours is refused and left as it was.
    pub fn open(path: &Path, owners: &[&'static Tables]) -> Result<Sqlite, OpenError> {
        let mut connection = open::writer(path, owners)?;
        migrate::run(&mut connection, owners).map_err(|failed| open::outdated(path, &failed))?;
        Ok(Sqlite { place: Place::File(path.to_owned()), connection: Some(connection) })
    }

    /// A database that ends with the value. Readers share the one connection with the writer: SQLite's own
    /// ways to share memory answer "locked" where a file would let both go on.
    pub fn memory(owners: &[&'static Tables]) -> Result<Sqlite, OpenError> {
        let place = Path::new(":memory:");
        let mut connection = open::memory().map_err(|error| open::unusable(place, &error))?;
        migrate::run(&mut connection, owners).map_err(|failed| open::outdated(place, &failed))?;
        Ok(Sqlite { place: Place::Memory, connection: Some(connection) })
    }

    /// Another connection to the same file, that cannot write.
    pub fn reader(path: &Path) -> Sqlite {
        Sqlite { place: Place::ReadOnly(path.to_owned()), connection: None }
    }

    /// Runs `work` on the connection, opened if need be. After an error that is neither a lock, a full disk nor the
    /// input's fault the connection is given up: what an fsync has refused once is not asked again (the kernel forgets).
    fn with<T>(&mut self, work: impl FnOnce(&Connection) -> Result<T, JobError>) -> Result<T, JobError> {
        if self.connection.is_none() {
            let opened = match &self.place {
                Place::File(path) => open::reopen(path),
                Place::ReadOnly(path) => open::reader(path),
                Place::Memory => open::memory(),
            };
            self.connection = Some(opened.map_err(|error| job_error(&error))?);
        }
        let connection = self.connection.as_ref().expect("opened above");
        let result = work(connection);
        let in_doubt = result.as_ref().is_err_and(|error| error.kind == JobErrorKind::Unavailable);
        if in_doubt && self.place != Place::Memory {
            self.connection = None;
        }
        result
    }
}

impl Repository for Sqlite {
    fn commit(&mut self, group: &[&[Statement]]) -> Result<Vec<Outcome>, JobError> {
        self.with(|connection| write::group(connection, group))
    }

    fn read(&mut self, questions: &[Statement]) -> Result<Vec<Rows>, JobError> {
        self.with(|connection| statement::read(connection, questions))
    }
}

/// One connection that the writer and the readers share.
impl Repository for Arc<Mutex<Sqlite>> {
    fn commit(&mut self, group: &[&[Statement]]) -> Result<Vec<Outcome>, JobError> {
        self.lock().commit(group)
    }

    fn read(&mut self, questions: &[Statement]) -> Result<Vec<Rows>, JobError> {
        self.lock().read(questions)
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
