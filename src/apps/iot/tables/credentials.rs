//! Statements about credentials. What is secret of one is sealed before it comes here.

use super::word;
use crate::app::settings::Word;
use crate::app::sql::{FromRow, Row, RowError, Statement};
use crate::apps::iot::credential::Credential;

impl FromRow for Credential {
    const TABLE: &'static str = "iot_credentials";
    fn from_row(row: &mut Row<'_>) -> Result<Credential, RowError> {
        Ok(Credential {
            id: row.get("id")?,
            name: row.get::<String>("name")?.into(),
            email: row.get::<String>("email")?.into(),
            api_host: row.get::<String>("apiHost")?.into(),
            sealed: row.get::<String>("secrets")?.into(),
            status: word(row, Self::TABLE, "status")?,
            error: row.get::<Option<String>>("errorMessage")?.map(String::into_boxed_str),
            last_sync_at: row.get("lastSyncAt")?,
            created_at: row.get("createdAt")?,
        })
    }
}

/// A credential as it stands now.
pub(crate) fn put(system: &str, credential: &Credential, now: crate::base::time::WallMillis) -> Statement {
    let statement = Statement::new(PUT).bind(&credential.id).bind(system).bind(&*credential.name);
    let statement = statement.bind(&*credential.email).bind(&*credential.api_host).bind(&*credential.sealed);
    let statement = statement.bind(credential.status.word()).bind(credential.error.as_deref());
    statement.bind(credential.last_sync_at).bind(credential.created_at).bind(now)
}

/// It goes. Its devices stay, without it.
pub(crate) fn delete(system: &str, id: &str) -> Statement {
    Statement::new(DELETE).bind(system).bind(id)
}

/// All of a system.
pub(crate) const OF_SYSTEM: &str = "
SELECT id, name, email, apiHost, secrets, status, errorMessage, lastSyncAt, createdAt FROM iot_credentials
WHERE systemId = ?1 ORDER BY createdAt, id LIMIT 1000";

/// See [`put`].
pub(crate) const PUT: &str = "
INSERT INTO iot_credentials (id, systemId, name, email, apiHost, secrets, status, errorMessage, lastSyncAt, createdAt, updatedAt)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
ON CONFLICT (id) DO UPDATE SET name = excluded.name, email = excluded.email, apiHost = excluded.apiHost,
    secrets = excluded.secrets, status = excluded.status, errorMessage = excluded.errorMessage,
    lastSyncAt = excluded.lastSyncAt, updatedAt = excluded.updatedAt";

/// See [`delete`].
pub(crate) const DELETE: &str = "DELETE FROM iot_credentials WHERE systemId = ?1 AND id = ?2";
