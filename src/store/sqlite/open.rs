//! Opens the file, or refuses it. A file that is refused has been opened for reading only: not one byte of it changed.
//! A new database is made under another name and renamed when it is complete, so that a crash leaves no half of one.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::migrate::{self, Failed};
use crate::app::sql::Tables;
use crate::store::OpenError;

/// The connection that writes, once the file has passed [`examine`].
pub(super) fn writer(path: &Path, owners: &[&'static Tables]) -> Result<Connection, OpenError> {
    assert!(rusqlite::version_number() >= SQLITE_VERSION_MIN, "SQLite before 3.51.3 can corrupt a WAL");
    if is_absent(path)? {
        create(path, owners)?;
    } else {
        examine(path, owners)?;
    }
    reopen(path).map_err(|error| unusable(path, &error))
}

/// The writing connection again, after an error took the first one.
pub(super) fn reopen(path: &Path) -> rusqlite::Result<Connection> {
    let connection = settled(Connection::open_with_flags(path, WRITER)?, WRITER_BUSY_TIMEOUT)?;
    let mode: String = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
    assert_eq!(mode, "wal", "a file on disk takes WAL mode");
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "journal_size_limit", WAL_KEPT_BYTES)?;
    connection.pragma_update(None, "wal_autocheckpoint", WAL_CHECKPOINT_PAGES)?;
    connection.pragma_update(None, "cache_size", -WRITER_CACHE_KIB)?;
    // What a savepoint copies would otherwise go through a file of its own from the first large write on.
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    Ok(connection)
}

/// A connection that cannot write.
pub(super) fn reader(path: &Path) -> rusqlite::Result<Connection> {
    settled(Connection::open_with_flags(path, READER)?, READER_BUSY_TIMEOUT)
}

/// A database of its own, empty, in memory.
pub(super) fn memory() -> rusqlite::Result<Connection> {
    settled(Connection::open_in_memory_with_flags(WRITER)?, WRITER_BUSY_TIMEOUT)
}

/// What every connection is set to.
fn settled(connection: Connection, busy_timeout: Duration) -> rusqlite::Result<Connection> {
    connection.busy_timeout(busy_timeout)?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "mmap_size", 0)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_CACHED_MAX);
    Ok(connection)
}

/// An empty file counts as absent: that is what a crash before the first page leaves.
fn is_absent(path: &Path) -> Result<bool, OpenError> {
    match fs::metadata(path) {
        Ok(meta) if meta.is_file() => Ok(meta.len() == 0),
        Ok(_) => Err(OpenError::Unusable { path: path.to_owned(), why: "is not a file".to_owned() }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(access(path, &error)),
    }
}

/// Only the owner may read it: it holds addresses and hashes of tokens.
fn create(path: &Path, owners: &[&'static Tables]) -> Result<(), OpenError> {
    let unfinished = with_suffix(path, ".new");
    let access = |error: io::Error| access(path, &error);
    let unusable = |error: rusqlite::Error| unusable(path, &error);
    make_empty(&unfinished).map_err(access)?;
    let mut connection = reopen(&unfinished).map_err(unusable)?;
    migrate::run(&mut connection, owners).map_err(|failed| outdated(path, &failed))?;
    connection.close().map_err(|(_, error)| unusable(error))?;
    put_in_place(&unfinished, path).map_err(access)
}

fn make_empty(path: &Path) -> io::Result<()> {
    for leftover in ["", "-wal", "-shm", "-journal"].map(|suffix| with_suffix(path, suffix)) {
        remove_if_there(&leftover)?;
    }
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map(|_| ())
}

fn put_in_place(unfinished: &Path, path: &Path) -> io::Result<()> {
    fs::rename(unfinished, path)?;
    File::open(path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new(".")))?.sync_all()
}

/// Reads before anything could write: the header, whose database it is, how new, and whether it is intact.
fn examine(path: &Path, owners: &[&'static Tables]) -> Result<(), OpenError> {
    let refuse = |why: String| Err(OpenError::Unusable { path: path.to_owned(), why });
    let mut header = Vec::new();
    let mut file = File::open(path).map_err(|error| access(path, &error))?;
    file.by_ref().take(HEADER_BYTES).read_to_end(&mut header).map_err(|error| access(path, &error))?;
    if !header.starts_with(MAGIC) {
        return refuse("is not an SQLite database".to_owned());
    }
    let connection = reader(path).map_err(|error| unusable(path, &error))?;
    let number = |pragma: &str| connection.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0));
    let application = number("application_id").map_err(|error| unusable(path, &error))?;
    if application != migrate::APPLICATION_ID {
        return refuse("is an SQLite database of another program".to_owned());
    }
    let version = number("user_version").map_err(|error| unusable(path, &error))?;
    let newer = |schema: &str, version: usize, known: usize| {
        format!("was written by a newer siod ({schema} {version}; this one knows {known}): start that version")
    };
    if version > migrate::FORMAT {
        return refuse(newer("schema", version as usize, migrate::FORMAT as usize));
    }
    let taken = migrate::versions(&connection).map_err(|error| unusable(path, &error))?;
    for tables in owners {
        let (taken, known) = (taken.get(tables.owner).copied().unwrap_or(0), tables.migrations.len());
        if taken > known {
            return refuse(newer(&format!("tables of `{}`: schema", tables.owner), taken, known));
        }
    }
    if file.metadata().is_ok_and(|meta| meta.len() <= QUICK_CHECK_BYTES_MAX) {
        let verdict: String = connection
            .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
            .map_err(|error| unusable(path, &error))?;
        if verdict != "ok" {
            return refuse(format!("is damaged ({}): restore a copy", verdict.replace('\n', " ")));
        }
    }
    Ok(())
}

fn access(path: &Path, error: &io::Error) -> OpenError {
    OpenError::Access { path: path.to_owned(), error: error.to_string() }
}

/// Why the tables are not what they should be. A lock and a file that cannot be written are said as everywhere.
pub(super) fn outdated(path: &Path, failed: &Failed) -> OpenError {
    match failed {
        Failed::Database(error) => unusable(path, error),
        Failed::Step { error, .. } if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => {
            unusable(path, error)
        }
        Failed::Step { owner, number, what, error } => {
            let step = format!("step {number} of the tables of `{owner}` ({what})");
            OpenError::Unusable { path: path.to_owned(), why: format!("cannot be brought up to date, {step}: {error}") }
        }
    }
}

/// What SQLite's own refusal means to an operator.
pub(super) fn unusable(path: &Path, error: &rusqlite::Error) -> OpenError {
    let path = path.to_owned();
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            OpenError::InUse { path, by: "another program that has locked it".to_owned() }
        }
        Some(ErrorCode::NotADatabase) => OpenError::Unusable { path, why: "is not an SQLite database".to_owned() },
        Some(ErrorCode::DatabaseCorrupt) => {
            OpenError::Unusable { path, why: format!("is damaged ({error}): restore a copy") }
        }
        _ => OpenError::Access { path, error: error.to_string() },
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

const WRITER: OpenFlags = OpenFlags::SQLITE_OPEN_READ_WRITE.union(OpenFlags::SQLITE_OPEN_NO_MUTEX);
const READER: OpenFlags = OpenFlags::SQLITE_OPEN_READ_ONLY.union(OpenFlags::SQLITE_OPEN_NO_MUTEX);
/// B102.
const SQLITE_VERSION_MIN: i32 = 3_051_003;
/// <https://sqlite.org/fileformat2.html#the_database_header>
const MAGIC: &[u8] = b"SQLite format 3\0";
const HEADER_BYTES: u64 = 100;
/// Larger files are not read through at a start: one read sequentially in a second or two.
const QUICK_CHECK_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// How long one attempt waits for a lock; the writer's thread tries again, the readers answer `Busy`.
const WRITER_BUSY_TIMEOUT: Duration = Duration::from_millis(50);
const READER_BUSY_TIMEOUT: Duration = Duration::from_millis(250);
/// A WAL that a burst has made larger is cut back to this.
const WAL_KEPT_BYTES: i64 = 64 * 1024 * 1024;
/// A checkpoint moves a page once, however often it was written since the last one: 32 MiB of pages of 4 KiB.
const WAL_CHECKPOINT_PAGES: i64 = 8_192;
/// Pages that a group changes stay in memory up to its commit.
const WRITER_CACHE_KIB: i64 = 16 * 1024;
/// More than all applications have together.
const STATEMENTS_CACHED_MAX: usize = 512;
