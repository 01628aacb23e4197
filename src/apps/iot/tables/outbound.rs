//! Statements about the secrets by which devices come in: their hashes alone.

use std::sync::Arc;

use crate::app::sql::{FromRow, Row, RowError, Statement};
use crate::base::time::WallMillis;

/// The hash of a secret that is good.
pub(crate) struct Hash(pub Arc<str>);

impl FromRow for Hash {
    const TABLE: &'static str = "iot_outbound_secrets";
    fn from_row(row: &mut Row<'_>) -> Result<Hash, RowError> {
        Ok(Hash(row.get("hash")?))
    }
}

/// A secret takes the place of those before it.
pub(crate) fn put(system: &str, hash: &str, at: WallMillis) -> Vec<Statement> {
    vec![revoke(system, at), Statement::new(PUT).bind(system).bind(hash).bind(at)]
}

/// No secret is good any more.
pub(crate) fn revoke(system: &str, at: WallMillis) -> Statement {
    Statement::new(REVOKE).bind(system).bind(at)
}

/// Those that are good.
pub(crate) const OF_SYSTEM: &str = "SELECT hash FROM iot_outbound_secrets WHERE systemId = ?1 AND revokedAt IS NULL";
/// See [`put`].
pub(crate) const PUT: &str = "INSERT INTO iot_outbound_secrets (systemId, hash, createdAt) VALUES (?1, ?2, ?3)";
/// See [`revoke`].
pub(crate) const REVOKE: &str = "
UPDATE iot_outbound_secrets SET revokedAt = ?2 WHERE systemId = ?1 AND revokedAt IS NULL";
