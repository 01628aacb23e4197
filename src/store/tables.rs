//! The store's own tables, declared as applications declare theirs: versions of schemas, the audit log that all
//! applications share, what lies on shelves, and the row that tells whether the disk takes writes.

use crate::app::job::Blob;
use crate::app::kit::audit;
use crate::app::sql::{FromRow, Migration, Row, RowError, Statement, Tables};
use crate::base::time::WallMillis;

/// Its steps are taken before those of any application.
pub const TABLES: Tables = Tables {
    owner: "store",
    migrations: &[Migration { what: "the store's own tables", sql: CREATE }],
    statements: &[
        VERSIONS,
        SET_VERSION,
        PROBE,
        ADD_BLOB,
        DROP_BLOB,
        BLOB,
        BLOBS,
        audit::ADD,
        audit::TRIM,
        audit::NEWEST,
    ],
};

impl FromRow for Blob {
    const TABLE: &'static str = "blobs";
    fn from_row(row: &mut Row<'_>) -> Result<Blob, RowError> {
        Ok(Blob {
            shelf: row.get("shelf")?,
            id: row.get("id")?,
            at: row.get("at")?,
            mime: row.get("mime")?,
            bytes: row.get("bytes")?,
            sha256: row.get("sha256")?,
            file: row.get("file")?,
        })
    }
}

/// One small write that asks whether the disk takes writes again.
pub(super) fn probe(at: WallMillis) -> Statement {
    Statement::new(PROBE).bind(at)
}

pub(super) fn add_blob(blob: &Blob) -> Statement {
    let statement = Statement::new(ADD_BLOB).bind(&blob.shelf).bind(&blob.id).bind(blob.at).bind(&blob.mime);
    statement.bind(blob.bytes).bind(&blob.sha256).bind(&blob.file)
}

pub(super) fn drop_blob(shelf: &str, id: &str) -> Statement {
    Statement::new(DROP_BLOB).bind(shelf).bind(id)
}

/// The [`Blob`] of an id, if it is on this shelf.
pub(super) fn blob(shelf: &str, id: &str) -> Statement {
    Statement::new(BLOB).bind(shelf).bind(id)
}

/// Every [`Blob`] of a shelf.
pub(super) fn blobs(shelf: &str) -> Statement {
    Statement::new(BLOBS).bind(shelf)
}

/// `audit` and `probe` as the version before made them: `IF NOT EXISTS`, because its files count no steps.
const CREATE: &str = "
    CREATE TABLE schema_versions (owner {text} PRIMARY KEY, version {int} NOT NULL) {strict_by_key};
    CREATE TABLE IF NOT EXISTS audit (
        seq {identity}, at {int} NOT NULL, domain {text} NOT NULL, actor {text} NOT NULL, ip {text} NOT NULL,
        user_agent {text} NOT NULL, action {text} NOT NULL, target {text} NOT NULL, outcome {text} NOT NULL,
        details {text} NOT NULL
    ) {strict};
    CREATE INDEX IF NOT EXISTS audit_by_domain ON audit (domain);
    CREATE TABLE IF NOT EXISTS probe (id {int} PRIMARY KEY CHECK (id = 1), at {int} NOT NULL) {strict};
    CREATE TABLE blobs (
        shelf {text} NOT NULL, id {text} NOT NULL, at {int} NOT NULL, mime {text} NOT NULL, bytes {int} NOT NULL,
        sha256 {text} NOT NULL, file {text} NOT NULL,
        PRIMARY KEY (shelf, id)
    ) {strict_by_key};
";

/// How many steps of its schema each owner has taken.
pub(super) const VERSIONS: &str = "SELECT owner, version FROM schema_versions";
/// It has taken so many.
pub(super) const SET_VERSION: &str = "
    INSERT INTO schema_versions (owner, version) VALUES (?1, ?2)
    ON CONFLICT (owner) DO UPDATE SET version = excluded.version";
const PROBE: &str = "INSERT INTO probe (id, at) VALUES (1, ?1) ON CONFLICT (id) DO UPDATE SET at = excluded.at";
const ADD_BLOB: &str =
    "INSERT INTO blobs (shelf, id, at, mime, bytes, sha256, file) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
const DROP_BLOB: &str = "DELETE FROM blobs WHERE shelf = ?1 AND id = ?2";
const BLOB: &str = "SELECT shelf, id, at, mime, bytes, sha256, file FROM blobs WHERE shelf = ?1 AND id = ?2";
const BLOBS: &str = "SELECT shelf, id, at, mime, bytes, sha256, file FROM blobs WHERE shelf = ?1 ORDER BY at, id";
