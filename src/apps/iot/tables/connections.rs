//! Statements about connections.

use super::word;
use crate::app::settings::Word;
use crate::app::sql::{FromRow, Row, RowError, Statement};
use crate::apps::iot::connection::Connection;

impl FromRow for Connection {
    const TABLE: &'static str = "iot_connections";
    fn from_row(row: &mut Row<'_>) -> Result<Connection, RowError> {
        let kind = word(row, Self::TABLE, "type")?;
        let (id, reference) = (row.get("id")?, row.get::<String>("referenceId")?);
        let mut connection = Connection::new(id, kind, &reference, row.get("createdAt")?);
        connection.status = word(row, Self::TABLE, "status")?;
        connection.last_ping_at = row.get("lastPingAt")?;
        connection.error = row.get::<Option<String>>("errorMessage")?.map(String::into_boxed_str);
        connection.metadata = row.get::<Option<String>>("metadata")?.map(String::into_boxed_str);
        connection.auto_reconnect = row.get("autoReconnect")?;
        connection.logging_enabled = row.get("loggingEnabled")?;
        connection.updated_at = row.get("updatedAt")?;
        Ok(connection)
    }
}

/// A connection as it stands now.
pub(crate) fn put(system: &str, connection: &Connection) -> Statement {
    let statement = Statement::new(PUT).bind(&connection.id).bind(system).bind(connection.kind.word());
    let statement = statement.bind(&*connection.reference).bind(connection.status.word());
    let statement = statement.bind(connection.last_ping_at).bind(connection.error.as_deref());
    let statement = statement.bind(connection.metadata.as_deref()).bind(connection.auto_reconnect);
    statement.bind(connection.logging_enabled).bind(connection.created_at).bind(connection.updated_at)
}

/// It goes, and its log with it.
pub(crate) fn delete(system: &str, id: &str) -> Statement {
    Statement::new(DELETE).bind(system).bind(id)
}

/// All of a system.
pub(crate) const OF_SYSTEM: &str = "
SELECT id, type, referenceId, status, lastPingAt, errorMessage, metadata, autoReconnect, loggingEnabled, createdAt, updatedAt
FROM iot_connections WHERE systemId = ?1 ORDER BY createdAt, id LIMIT 10000";

/// See [`put`].
pub(crate) const PUT: &str = "
INSERT INTO iot_connections (id, systemId, type, referenceId, status, lastPingAt, errorMessage, metadata, autoReconnect,
    loggingEnabled, createdAt, updatedAt)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)
ON CONFLICT (id) DO UPDATE SET status = excluded.status, lastPingAt = excluded.lastPingAt,
    errorMessage = excluded.errorMessage, metadata = excluded.metadata, autoReconnect = excluded.autoReconnect,
    loggingEnabled = excluded.loggingEnabled, updatedAt = excluded.updatedAt";

/// See [`delete`].
pub(crate) const DELETE: &str = "DELETE FROM iot_connections WHERE systemId = ?1 AND id = ?2";
