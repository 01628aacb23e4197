//! Statements about the logs of connections.

use std::sync::Arc;

use serde::Serialize;

use crate::app::sql::{FromRow, Row, RowError, Statement};
use crate::base::time::WallMillis;

/// One row of a connection's log, as the table and dashboards have it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Log {
    pub id: Arc<str>,
    pub connection_id: Arc<str>,
    pub event_type: Arc<str>,
    pub message: Option<String>,
    pub error_details: Option<String>,
    /// JSON text.
    pub metadata: Option<String>,
    /// Milliseconds.
    pub response_time: Option<u64>,
    /// Bytes.
    pub data_size: Option<u64>,
    pub client_ip: Option<String>,
    pub user_agent: Option<String>,
    pub created_at: WallMillis,
}

impl FromRow for Log {
    const TABLE: &'static str = "iot_logs";
    fn from_row(row: &mut Row<'_>) -> Result<Log, RowError> {
        Ok(Log {
            id: row.get("id")?,
            connection_id: row.get("connectionId")?,
            event_type: row.get("eventType")?,
            message: row.get("message")?,
            error_details: row.get("errorDetails")?,
            metadata: row.get("metadata")?,
            response_time: row.get("responseTime")?,
            data_size: row.get("dataSize")?,
            client_ip: row.get("clientIp")?,
            user_agent: row.get("userAgent")?,
            created_at: row.get("createdAt")?,
        })
    }
}

/// What a list is narrowed to.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Filter {
    /// Empty: any.
    pub kind: String,
    pub event_type: String,
    /// A pattern of LIKE in small letters, empty: any text.
    pub like: String,
    pub from: Option<WallMillis>,
    pub to: Option<WallMillis>,
}

impl Filter {
    fn bound(&self, sql: &'static str, system: &str) -> Statement {
        let statement = Statement::new(sql).bind(system).bind(&self.kind).bind(&self.event_type).bind(&self.like);
        statement.bind(self.from.map_or(0, |at| at.0)).bind(self.to.map_or(i64::MAX as u64, |at| at.0))
    }
}

impl Log {
    /// A new row.
    pub(crate) fn add(&self, system: &str) -> Statement {
        let statement = Statement::new(ADD).bind(&self.id).bind(&self.connection_id).bind(system);
        let statement = statement.bind(&self.event_type).bind(self.message.as_ref()).bind(self.error_details.as_ref());
        let statement = statement.bind(self.metadata.as_ref()).bind(self.response_time).bind(self.data_size);
        let statement = statement.bind(self.client_ip.as_ref()).bind(self.user_agent.as_ref()).bind(self.created_at);
        statement.bind(self.searched())
    }

    /// What is searched, in small letters: a database folds those of ASCII alone.
    fn searched(&self) -> String {
        let texts = [&self.message, &self.error_details].map(|text| text.as_deref().unwrap_or(""));
        texts.join("\n").to_lowercase()
    }
}

/// Rows that a filter lets through, the newest first.
pub(crate) fn list(system: &str, filter: &Filter, limit: u64, offset: u64) -> Statement {
    filter.bound(LIST, system).bind(limit).bind(offset)
}

/// How many those are.
pub(crate) fn count(system: &str, filter: &Filter) -> Statement {
    filter.bound(COUNT, system)
}

/// The newest rows of a system.
pub(crate) fn newest(system: &str, limit: u64) -> Statement {
    Statement::new(NEWEST).bind(system).bind(limit)
}

/// How many rows a connection has.
pub(crate) fn of_connection(system: &str, id: &str) -> Statement {
    Statement::new(OF_CONNECTION).bind(system).bind(id)
}

/// One row goes, and tells that.
pub(crate) fn delete(system: &str, id: &str) -> Statement {
    Statement::new(DELETE).bind(system).bind(id)
}

/// Rows from before `before` go.
pub(crate) fn delete_old(system: &str, before: WallMillis) -> Statement {
    Statement::new(DELETE_OLD).bind(system).bind(before)
}

/// The same where nobody asks which.
pub(crate) fn forget_old(system: &str, before: WallMillis) -> Statement {
    Statement::new(FORGET_OLD).bind(system).bind(before)
}

/// The oldest rows of a connection beyond `kept` go.
pub(crate) fn delete_beyond(system: &str, connection: &str, kept: u64) -> Statement {
    Statement::new(DELETE_BEYOND).bind(system).bind(connection).bind(kept)
}

/// How many rows there are of each kind of event and connection.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Share {
    pub event_type: Arc<str>,
    pub kind: Option<Arc<str>>,
    pub count: u64,
    pub recent: u64,
}

impl FromRow for Share {
    const TABLE: &'static str = "iot_logs";
    fn from_row(row: &mut Row<'_>) -> Result<Share, RowError> {
        Ok(Share {
            event_type: row.get("eventType")?,
            kind: row.get("type")?,
            count: row.get("count")?,
            recent: row.get("recent")?,
        })
    }
}

/// The times of the first and the last row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    pub oldest: Option<WallMillis>,
    pub newest: Option<WallMillis>,
}

impl FromRow for Times {
    const TABLE: &'static str = "iot_logs";
    fn from_row(row: &mut Row<'_>) -> Result<Times, RowError> {
        Ok(Times { oldest: row.get("oldest")?, newest: row.get("newest")? })
    }
}

/// The id of a row that has gone.
pub(crate) struct Gone(pub Arc<str>);

impl FromRow for Gone {
    const TABLE: &'static str = "iot_logs";
    fn from_row(row: &mut Row<'_>) -> Result<Gone, RowError> {
        Ok(Gone(row.get("id")?))
    }
}

/// See [`Log::add`].
pub(crate) const ADD: &str = "
INSERT INTO iot_logs (id, connectionId, systemId, eventType, message, errorDetails, metadata, responseTime, dataSize, clientIp,
    userAgent, createdAt, searched)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)";

/// See [`list`].
pub(crate) const LIST: &str = "
SELECT l.id, l.connectionId, l.eventType, l.message, l.errorDetails, l.metadata, l.responseTime, l.dataSize, l.clientIp,
    l.userAgent, l.createdAt
FROM iot_logs l LEFT JOIN iot_connections c ON c.id = l.connectionId
WHERE l.systemId = ?1 AND (?2 = '' OR c.type = ?2) AND (?3 = '' OR l.eventType = ?3)
    AND (?4 = '' OR l.searched LIKE ?4 ESCAPE '\\')
    AND l.createdAt >= ?5 AND l.createdAt <= ?6
ORDER BY l.createdAt DESC, l.id DESC LIMIT ?7 OFFSET ?8";

/// See [`count`].
pub(crate) const COUNT: &str = "
SELECT count(*) AS count
FROM iot_logs l LEFT JOIN iot_connections c ON c.id = l.connectionId
WHERE l.systemId = ?1 AND (?2 = '' OR c.type = ?2) AND (?3 = '' OR l.eventType = ?3)
    AND (?4 = '' OR l.searched LIKE ?4 ESCAPE '\\')
    AND l.createdAt >= ?5 AND l.createdAt <= ?6";

/// See [`newest`].
pub(crate) const NEWEST: &str = "
SELECT id, connectionId, eventType, message, errorDetails, metadata, responseTime, dataSize, clientIp, userAgent, createdAt
FROM iot_logs WHERE systemId = ?1 ORDER BY createdAt DESC, id DESC LIMIT ?2";

/// See [`of_connection`].
pub(crate) const OF_CONNECTION: &str =
    "SELECT count(*) AS count FROM iot_logs WHERE systemId = ?1 AND connectionId = ?2";

/// See [`delete`].
pub(crate) const DELETE: &str = "DELETE FROM iot_logs WHERE systemId = ?1 AND id = ?2 RETURNING id";

/// All rows of a system go.
pub(crate) const DELETE_ALL: &str = "DELETE FROM iot_logs WHERE systemId = ?1 RETURNING id";

/// See [`delete_old`].
pub(crate) const DELETE_OLD: &str = "DELETE FROM iot_logs WHERE systemId = ?1 AND createdAt < ?2 RETURNING id";

/// See [`forget_old`].
pub(crate) const FORGET_OLD: &str = "DELETE FROM iot_logs WHERE systemId = ?1 AND createdAt < ?2";

/// See [`delete_beyond`].
pub(crate) const DELETE_BEYOND: &str = "
DELETE FROM iot_logs WHERE systemId = ?1 AND connectionId = ?2 AND id NOT IN (
    SELECT id FROM iot_logs WHERE systemId = ?1 AND connectionId = ?2 ORDER BY createdAt DESC, id DESC LIMIT ?3)
RETURNING id";

/// Rows by kind of event and of connection; those since `?2` are recent.
pub(crate) const STATS: &str = "
SELECT l.eventType AS eventType, c.type AS type, count(*) AS count,
    coalesce(sum(CASE WHEN l.createdAt >= ?2 THEN 1 ELSE 0 END), 0) AS recent
FROM iot_logs l LEFT JOIN iot_connections c ON c.id = l.connectionId
WHERE l.systemId = ?1 GROUP BY l.eventType, c.type ORDER BY l.eventType, c.type";

/// When the first and the last row are from.
pub(crate) const TIMES: &str =
    "SELECT min(createdAt) AS oldest, max(createdAt) AS newest FROM iot_logs WHERE systemId = ?1";
