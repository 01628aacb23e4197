//! What an application asks of the shell, as values: capabilities, none of which names an application, and what came of
//! them. Each is bounded in time and size, and each outcome is a value.

use std::sync::Arc;

use bytes::Bytes;

use super::fetch::{Fetch, FetchError, Fetched};
use super::hash::{Hash, Hashed};
use super::kind::Kind;
use super::sql::{FromRow, RowError, Rows, Statement};
use crate::base::ids::Sid;
use crate::base::time::WallMillis;

/// Work that touches the operating system, done by the shell. What else reaches outside (a program, files)
/// has its place here when there is somebody to ask it of.
#[derive(Debug)]
pub enum Job {
    /// All or nothing, in the writer's next group commit. Shared, so that whoever asked can ask again without a copy.
    Write(Arc<Vec<Statement>>),
    /// Questions to the store, answered from one moment.
    Read(Vec<Statement>),
    /// A blob to decode, check, hash and put on a shelf.
    Keep(Keep),
    /// A blob to forget. One that is not there is forgotten already.
    Drop { shelf: &'static str, id: Sid },
    /// One HTTP request to the outside.
    Fetch(Fetch),
    /// A password to hash, or to hold against its hash.
    Hash(Hash),
}

/// A blob on its way to a shelf.
#[derive(Clone, Debug, PartialEq)]
pub struct Keep {
    /// A name that the application has declared, with quota and age, among its shelves.
    pub shelf: &'static str,
    /// What it will be found by: fresh random bits, which are a secret by themselves.
    pub id: Sid,
    pub at: WallMillis,
    pub data: Data,
    /// Larger ones are refused as `Invalid`.
    pub bytes_max: usize,
    /// Its first bytes must be those of one of these; anything else is refused as `Invalid`.
    pub kinds: &'static [Kind],
    /// Rows of the application that are written together with the blob's own, or not at all.
    pub write: Vec<Statement>,
}

/// One shelf of blobs: how many bytes of them, and for how long. With `memory:` it is in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShelfSettings {
    pub name: &'static str,
    /// All its files together; the oldest blobs make room for a new one.
    pub quota_bytes: u64,
    pub ttl_ms: u64,
}

/// Bytes as they came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Data {
    Raw(Bytes),
    /// Decoded first.
    Base64(Bytes),
}

impl Data {
    /// Bytes as they came.
    pub fn len(&self) -> usize {
        match self {
            Data::Raw(bytes) | Data::Base64(bytes) => bytes.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes once decoded; for base64 at most two too many.
    pub fn bytes(&self) -> usize {
        match self {
            Data::Raw(bytes) => bytes.len(),
            Data::Base64(text) => text.len() / 4 * 3,
        }
    }
}

/// A blob that is on its shelf, until quota or age take it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blob {
    pub shelf: String,
    pub id: String,
    pub at: WallMillis,
    /// Told from its first bytes, whatever the sender called it.
    pub mime: String,
    pub bytes: u64,
    /// Hex.
    pub sha256: String,
    /// The file that holds it, shared by all blobs of a shelf with the same bytes.
    pub file: String,
}

/// What came of a job.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// On disk, with the rows that statements gave back: see [`Outcome::rows`].
    Written(Vec<Rows>),
    /// Not written: this statement touched another number of rows than was demanded.
    Conflict {
        statement: usize,
    },
    /// Answers to the questions of a read, in their order.
    Read(Vec<Rows>),
    /// The blob is on its shelf, and its rows on disk.
    Kept(Blob),
    /// The answer to a request, whatever its status, or why there is none.
    Fetched(Result<Fetched, FetchError>),
    /// The hash of a password, or whether it matches.
    Hashed(Hashed),
    Failed(JobError),
}

impl Outcome {
    pub fn is_written(&self) -> bool {
        matches!(self, Outcome::Written(_))
    }

    /// The rows that statement number `statement`, from 0, gave or answered.
    pub fn rows<T: FromRow>(&self, statement: usize) -> Result<Vec<T>, JobError> {
        match self {
            Outcome::Written(rows) | Outcome::Read(rows) => {
                Ok(rows.get(statement).map(Rows::read).transpose()?.unwrap_or_default())
            }
            Outcome::Failed(error) => Err(error.clone()),
            Outcome::Conflict { .. } | Outcome::Kept(_) | Outcome::Fetched(_) | Outcome::Hashed(_) => {
                Err(JobError::new(JobErrorKind::Unavailable, "no rows came"))
            }
        }
    }
}

/// Why a job failed; `text` is for operators.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobError {
    pub kind: JobErrorKind,
    pub text: String,
}

impl JobError {
    pub fn new(kind: JobErrorKind, text: impl Into<String>) -> JobError {
        JobError { kind, text: text.into() }
    }
}

/// Rows that cannot be read are as good as no rows.
impl From<RowError> for JobError {
    fn from(error: RowError) -> JobError {
        JobError::new(JobErrorKind::Unavailable, error.to_string())
    }
}

/// What kind of failure clients are told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobErrorKind {
    /// The queue is full or the database locked: try again.
    Busy,
    /// The disk is full or a quota is reached.
    Full,
    /// The input was refused (not base64, too large, no image).
    Invalid,
    /// The store cannot be used.
    Unavailable,
}

impl JobErrorKind {
    /// The `code` clients see.
    pub fn code(self) -> &'static str {
        match self {
            JobErrorKind::Busy => "STORE_BUSY",
            JobErrorKind::Full => "STORE_FULL",
            JobErrorKind::Invalid => "VALIDATION",
            JobErrorKind::Unavailable => "STORE_UNAVAILABLE",
        }
    }
}
