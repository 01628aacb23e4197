//! What iot keeps on disk: its tables (`iot_*`), with the names of columns that dashboards know. Statements are in files by what they are
//! about; rows are types of the things they are of. Every row is of a system.

pub(crate) mod connections;
pub(crate) mod credentials;
pub(crate) mod devices;
pub(crate) mod logs;
pub(crate) mod outbound;

use crate::app::settings::Word;
use crate::app::sql::{FromRow, Migration, Row, RowError, Statement, Tables};

/// For the row of the table of applications.
pub(crate) const TABLES: Tables = Tables {
    owner: "iot",
    migrations: &[Migration { what: "the tables", sql: CREATE }],
    statements: &[
        AUDIT,
        AUDIT_COUNT,
        UNFINISHED,
        connections::OF_SYSTEM,
        connections::PUT,
        connections::DELETE,
        credentials::OF_SYSTEM,
        credentials::PUT,
        credentials::DELETE,
        devices::OF_SYSTEM,
        devices::ADD,
        devices::PUT,
        devices::DELETE,
        logs::ADD,
        logs::LIST,
        logs::COUNT,
        logs::NEWEST,
        logs::OF_CONNECTION,
        logs::DELETE,
        logs::DELETE_ALL,
        logs::DELETE_OLD,
        logs::FORGET_OLD,
        logs::DELETE_BEYOND,
        logs::STATS,
        logs::TIMES,
        outbound::OF_SYSTEM,
        outbound::PUT,
        outbound::REVOKE,
    ],
};

/// A column that holds one of the words of an enum.
pub(crate) fn word<W: Word>(row: &mut Row<'_>, table: &'static str, column: &'static str) -> Result<W, RowError> {
    let text: std::sync::Arc<str> = row.get(column)?;
    W::of(&text).ok_or_else(|| RowError { table, column, why: format!("holds {text}, which is none of its words") })
}

/// The questions that load a system, in the order in which [`Turn::on_system`](super::turn::Turn) reads their answers.
pub(crate) fn system(name: &str) -> Vec<Statement> {
    [connections::OF_SYSTEM, credentials::OF_SYSTEM, devices::OF_SYSTEM, outbound::OF_SYSTEM]
        .map(|sql| Statement::new(sql).bind(name))
        .into()
}

/// A number that a statement counts.
pub(crate) struct Count(pub u64);

impl FromRow for Count {
    const TABLE: &'static str = "a count";
    fn from_row(row: &mut Row<'_>) -> Result<Count, RowError> {
        Ok(Count(row.get("count")?))
    }
}

/// A system that has something to do by itself.
pub(crate) struct Unfinished(pub std::sync::Arc<str>);

impl FromRow for Unfinished {
    const TABLE: &'static str = "iot_credentials";
    fn from_row(row: &mut Row<'_>) -> Result<Unfinished, RowError> {
        Ok(Unfinished(row.get("systemId")?))
    }
}

/// Systems with credentials, with devices that counted as online when the process ended, or with some that are dialled.
pub(crate) const UNFINISHED: &str = "
SELECT systemId FROM iot_credentials UNION SELECT systemId FROM iot_devices WHERE online = 1 OR deviceIp IS NOT NULL
ORDER BY systemId LIMIT 100000";

/// Entries of the audit about a system, the newest first; an empty action: all. The store's own table has no column for a system: details
/// name it.
pub(crate) const AUDIT: &str = "
SELECT at, domain, actor, ip, user_agent, action, target, outcome, details FROM audit
WHERE domain = 'iot' AND details LIKE ?1 ESCAPE '\\' AND (?2 = '' OR action = ?2)
ORDER BY seq DESC LIMIT ?3 OFFSET ?4";

/// How many those are.
pub(crate) const AUDIT_COUNT: &str = "
SELECT count(*) AS count FROM audit
WHERE domain = 'iot' AND details LIKE ?1 ESCAPE '\\' AND (?2 = '' OR action = ?2)";

const CREATE: &str = "
CREATE TABLE iot_connections (
    id {text} NOT NULL,
    systemId {text} NOT NULL,
    type {text} NOT NULL,
    referenceId {text} NOT NULL,
    status {text} NOT NULL,
    lastPingAt {int},
    errorMessage {text},
    metadata {text},
    autoReconnect {int} NOT NULL,
    loggingEnabled {int} NOT NULL,
    createdAt {int} NOT NULL,
    updatedAt {int} NOT NULL,
    PRIMARY KEY (id)
) {strict_by_key};
CREATE UNIQUE INDEX iot_connections_reference ON iot_connections (systemId, type, referenceId);

CREATE TABLE iot_logs (
    id {text} NOT NULL,
    connectionId {text} NOT NULL,
    systemId {text} NOT NULL,
    eventType {text} NOT NULL,
    message {text},
    errorDetails {text},
    metadata {text},
    responseTime {int},
    dataSize {int},
    clientIp {text},
    userAgent {text},
    createdAt {int} NOT NULL,
    searched {text} NOT NULL,
    PRIMARY KEY (id)
) {strict_by_key};
CREATE INDEX iot_logs_newest ON iot_logs (systemId, createdAt, id);
CREATE INDEX iot_logs_connection ON iot_logs (connectionId, createdAt, id);

CREATE TABLE iot_credentials (
    id {text} NOT NULL,
    systemId {text} NOT NULL,
    name {text} NOT NULL,
    email {text} NOT NULL,
    apiHost {text} NOT NULL,
    secrets {text} NOT NULL,
    status {text} NOT NULL,
    errorMessage {text},
    lastSyncAt {int},
    createdAt {int} NOT NULL,
    updatedAt {int} NOT NULL,
    PRIMARY KEY (id)
) {strict_by_key};
CREATE UNIQUE INDEX iot_credentials_email ON iot_credentials (systemId, email);

CREATE TABLE iot_devices (
    id {text} NOT NULL,
    systemId {text} NOT NULL,
    credentialId {text},
    deviceId {text} NOT NULL,
    cloudId {text},
    deviceIp {text},
    localPassword {text},
    name {text} NOT NULL,
    type {text} NOT NULL,
    generation {int} NOT NULL,
    modelCode {text} NOT NULL,
    firmwareVersion {text},
    hasUpdate {int} NOT NULL,
    online {int} NOT NULL,
    lastSeenAt {int},
    lastConnectAt {int},
    lastDisconnectAt {int},
    lastActivityAt {int},
    relayOn {int},
    currentPower {real},
    voltage {real},
    temperature {real},
    totalEnergy {real},
    energyBase {real} NOT NULL,
    energyLast {real},
    wifiRssi {int},
    powerThreshold {real},
    appointmentOnlyMode {int} NOT NULL,
    autoShutdownEnabled {int} NOT NULL,
    excludeFromSync {int} NOT NULL,
    clinicId {text},
    equipmentClinicAssignmentId {text},
    equipmentClinicAssignment {text},
    createdAt {int} NOT NULL,
    updatedAt {int} NOT NULL,
    PRIMARY KEY (id)
) {strict_by_key};
CREATE UNIQUE INDEX iot_devices_device ON iot_devices (systemId, deviceId);
CREATE INDEX iot_devices_online ON iot_devices (online, systemId);

CREATE TABLE iot_outbound_secrets (
    systemId {text} NOT NULL,
    hash {text} NOT NULL,
    createdAt {int} NOT NULL,
    revokedAt {int},
    PRIMARY KEY (systemId, hash)
) {strict_by_key};
";
