//! What signage keeps on disk: its tables, its rows as types, and every statement about them (`sg_*`).
//! What only grows is bounded here: a batch ends with [`trims`] of what it has added to.

use super::settings::Settings;
use crate::app::job::ShelfSettings;
use crate::app::kit::audit;
use crate::app::sql::{FromRow, Migration, Row, RowError, Statement, Tables};
use crate::base::time::WallMillis;

/// For the row of the table of applications.
pub(crate) const TABLES: Tables = Tables {
    owner: "signage",
    migrations: &[
        Migration { what: "the tables", sql: CREATE },
        Migration { what: "snapshots become blobs of the store", sql: SNAPSHOTS_TO_BLOBS },
        Migration { what: "tokens that were rotated, and the last refused attempt", sql: ROTATED_AND_REFUSED },
    ],
    statements: &[
        PUT_DEVICE,
        PUT_STATE,
        ADD_CHANGE,
        TRIM_CHANGES,
        PUT_COMMAND,
        TRIM_COMMANDS,
        PUT_ALERT,
        TRIM_ALERTS,
        ADD_FAILURE,
        TRIM_FAILURES,
        ADD_SNAPSHOT,
        TRIM_SNAPSHOTS,
        DEVICES,
        STATES,
        OPEN_ALERTS,
        CHANGES,
        FAILURES,
        SNAPSHOT,
    ],
};

/// The shelf of snapshots.
pub(crate) const SHELF: &str = "snapshots";

/// Its bounds.
pub(crate) fn shelves(settings: &Settings) -> Vec<ShelfSettings> {
    let ttl_ms = settings.snapshot_ttl_h * 3_600_000;
    vec![ShelfSettings { name: SHELF, quota_bytes: settings.snapshot_quota_bytes, ttl_ms }]
}

/// A row of `sg_devices`, keyed by `(fleet, device_id)`.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(crate) struct Device {
    pub fleet: String,
    pub device_id: String,
    pub name: String,
    pub kind: String,
    pub group: String,
    pub app_version: String,
    /// Hex SHA-256 of the accepted token; empty: none.
    pub token_hash: String,
    /// Hex SHA-256 of a token that was presented and waits for `device:authorize`; empty: none.
    pub pending_hash: String,
    pub authorized: bool,
    pub retired: bool,
    pub online: bool,
    pub first_seen: WallMillis,
    pub last_seen: WallMillis,
    pub ip: String,
    /// JSON object of the last `player:register`.
    pub register_info: String,
    /// Revisions up to this one may have been published: after a crash `rev` goes on above it (blocks of 1,000).
    pub rev_reserved: u64,
    /// Tokens before the newest that may be good, `hash:end hash:end`: see `tokens`.
    pub old_tokens: String,
    /// The last refused attempt under this id: why (empty: there was none), when, from where.
    pub failure_reason: String,
    pub failure_at: WallMillis,
    pub failure_ip: String,
}

impl Device {
    /// Puts the row in the place of the one before.
    pub(crate) fn put(&self) -> Statement {
        let names = [&self.fleet, &self.device_id, &self.name, &self.kind, &self.group, &self.app_version];
        let statement = names.into_iter().fold(Statement::new(PUT_DEVICE), Statement::bind);
        let statement = statement.bind(&self.token_hash).bind(&self.pending_hash);
        let statement = statement.bind(self.authorized).bind(self.retired).bind(self.online);
        let statement = statement.bind(self.first_seen).bind(self.last_seen);
        let statement = statement.bind(&self.ip).bind(&self.register_info).bind(self.rev_reserved);
        let statement = statement.bind(&self.old_tokens).bind(&self.failure_reason);
        statement.bind(self.failure_at).bind(&self.failure_ip)
    }
}

impl FromRow for Device {
    const TABLE: &'static str = "sg_devices";
    fn from_row(row: &mut Row<'_>) -> Result<Device, RowError> {
        Ok(Device {
            fleet: row.get("fleet")?,
            device_id: row.get("device_id")?,
            name: row.get("name")?,
            kind: row.get("kind")?,
            group: row.get("device_group")?,
            app_version: row.get("app_version")?,
            token_hash: row.get("token_hash")?,
            pending_hash: row.get("pending_hash")?,
            authorized: row.get("authorized")?,
            retired: row.get("retired")?,
            online: row.get("online")?,
            first_seen: row.get("first_seen")?,
            last_seen: row.get("last_seen")?,
            ip: row.get("ip")?,
            register_info: row.get("register_info")?,
            rev_reserved: row.get("rev_reserved")?,
            old_tokens: row.get("old_tokens")?,
            failure_reason: row.get("failure_reason")?,
            failure_at: row.get("failure_at")?,
            failure_ip: row.get("failure_ip")?,
        })
    }
}

/// A row of `sg_state`: the last published state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct State {
    pub fleet: String,
    pub device_id: String,
    pub rev: u64,
    /// JSON object.
    pub json: String,
}

impl State {
    /// Puts the row in the place of the one before.
    pub(crate) fn put(&self) -> Statement {
        let statement = Statement::new(PUT_STATE).bind(&self.fleet).bind(&self.device_id);
        statement.bind(self.rev).bind(&self.json)
    }
}

impl FromRow for State {
    const TABLE: &'static str = "sg_state";
    fn from_row(row: &mut Row<'_>) -> Result<State, RowError> {
        Ok(State {
            fleet: row.get("fleet")?,
            device_id: row.get("device_id")?,
            rev: row.get("rev")?,
            json: row.get("json")?,
        })
    }
}

/// A row of `sg_state_history`; the newest of a device are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    pub fleet: String,
    pub device_id: String,
    pub rev: u64,
    pub at: WallMillis,
    /// RFC 7386 merge patch from the rev before, JSON text.
    pub patch: String,
}

impl Change {
    /// Adds the row.
    pub(crate) fn add(&self) -> Statement {
        let statement = Statement::new(ADD_CHANGE).bind(&self.fleet).bind(&self.device_id);
        statement.bind(self.rev).bind(self.at).bind(&self.patch)
    }

    /// Cuts the ring of the row's device to its newest `rows_max`; nothing where it is not due. Until it is cut the ring
    /// holds some rows more: questions never see them.
    pub(crate) fn trim(&self, rows_max: u32) -> Option<Statement> {
        let due = self.rev.is_multiple_of(CHANGES_TRIM_INTERVAL_REVS);
        due.then(|| Statement::new(TRIM_CHANGES).bind(&self.fleet).bind(&self.device_id).bind(rows_max))
    }
}

impl FromRow for Change {
    const TABLE: &'static str = "sg_state_history";
    fn from_row(row: &mut Row<'_>) -> Result<Change, RowError> {
        Ok(Change {
            fleet: row.get("fleet")?,
            device_id: row.get("device_id")?,
            rev: row.get("rev")?,
            at: row.get("at")?,
            patch: row.get("patch")?,
        })
    }
}

/// A row of `sg_commands`, keyed by `(fleet, command_id, device_id)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Command {
    pub fleet: String,
    pub command_id: String,
    pub device_id: String,
    pub command: String,
    /// JSON text.
    pub params: String,
    /// `sub` of the admin who asked.
    pub origin: String,
    /// `sent`, `success`, `error`, `timeout`, `rejected`.
    pub status: String,
    pub attempts: u32,
    pub at: WallMillis,
    pub duration_ms: u64,
}

impl Command {
    /// Puts the row in the place of the one before.
    pub(crate) fn put(&self) -> Statement {
        let statement = Statement::new(PUT_COMMAND).bind(&self.fleet).bind(&self.command_id).bind(&self.device_id);
        let statement = statement.bind(&self.command).bind(&self.params).bind(&self.origin).bind(&self.status);
        statement.bind(self.attempts).bind(self.at).bind(self.duration_ms)
    }
}

/// A row of `sg_alerts`, keyed by `(fleet, device_id, kind, since)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Alert {
    pub fleet: String,
    pub device_id: String,
    pub kind: String,
    pub severity: String,
    pub since: WallMillis,
    pub resolved: Option<WallMillis>,
}

impl Alert {
    /// Puts the row in the place of the one before.
    pub(crate) fn put(&self) -> Statement {
        let statement = Statement::new(PUT_ALERT).bind(&self.fleet).bind(&self.device_id).bind(&self.kind);
        statement.bind(&self.severity).bind(self.since).bind(self.resolved)
    }
}

impl FromRow for Alert {
    const TABLE: &'static str = "sg_alerts";
    fn from_row(row: &mut Row<'_>) -> Result<Alert, RowError> {
        Ok(Alert {
            fleet: row.get("fleet")?,
            device_id: row.get("device_id")?,
            kind: row.get("kind")?,
            severity: row.get("severity")?,
            since: row.get("since")?,
            resolved: row.get("resolved")?,
        })
    }
}

/// A row of `sg_auth_failures`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub fleet: String,
    pub at: WallMillis,
    pub ip: String,
    pub device_id: String,
    /// From a closed set: `unknown_token`, `device_id_mismatch`, `throttled`, …
    pub reason: String,
}

impl Failure {
    /// Adds the row.
    pub(crate) fn add(&self) -> Statement {
        let statement = Statement::new(ADD_FAILURE).bind(&self.fleet).bind(self.at).bind(&self.ip);
        statement.bind(&self.device_id).bind(&self.reason)
    }
}

impl FromRow for Failure {
    const TABLE: &'static str = "sg_auth_failures";
    fn from_row(row: &mut Row<'_>) -> Result<Failure, RowError> {
        Ok(Failure {
            fleet: row.get("fleet")?,
            at: row.get("at")?,
            ip: row.get("ip")?,
            device_id: row.get("device_id")?,
            reason: row.get("reason")?,
        })
    }
}

/// A row of `sg_snapshots`: whose snapshot a blob is. The blob may have gone before the row: quota and age take it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Snapshot {
    /// 20 characters, the last part of its URL; the blob has the same.
    pub id: String,
    pub fleet: String,
    pub device_id: String,
    pub at: WallMillis,
}

impl Snapshot {
    /// Adds the row, and forgets the oldest ones of the device beyond what is kept.
    pub(crate) fn add(&self) -> Vec<Statement> {
        let add = Statement::new(ADD_SNAPSHOT).bind(&self.id).bind(&self.fleet).bind(&self.device_id).bind(self.at);
        let trim = Statement::new(TRIM_SNAPSHOTS).bind(&self.fleet).bind(&self.device_id);
        vec![add, trim.bind(SNAPSHOTS_PER_DEVICE_MAX)]
    }
}

impl FromRow for Snapshot {
    const TABLE: &'static str = "sg_snapshots";
    fn from_row(row: &mut Row<'_>) -> Result<Snapshot, RowError> {
        Ok(Snapshot {
            id: row.get("id")?,
            fleet: row.get("fleet")?,
            device_id: row.get("device_id")?,
            at: row.get("at")?,
        })
    }
}

/// Everything a home needs to serve a fleet: three questions, answered by [`Device`]s, [`State`]s and unresolved
/// [`Alert`]s, each in the order of device ids.
pub(crate) fn fleet(fleet: &str) -> Vec<Statement> {
    [DEVICES, STATES, OPEN_ALERTS].map(|sql| Statement::new(sql).bind(fleet)).into()
}

/// [`Change`]s after the revision `since`, newest first, at most `limit`.
pub(crate) fn changes(fleet: &str, device_id: &str, since: u64, limit: u32) -> Statement {
    // No revision is larger, and no column holds more.
    let since = since.min(i64::MAX as u64);
    Statement::new(CHANGES).bind(fleet).bind(device_id).bind(since).bind(limit)
}

/// [`Failure`]s, newest first, at most `limit`.
pub(crate) fn failures(fleet: &str, limit: u32) -> Statement {
    Statement::new(FAILURES).bind(fleet).bind(limit)
}

/// The [`Snapshot`] of an id, if there is one.
pub(crate) fn snapshot(id: &str) -> Statement {
    Statement::new(SNAPSHOT).bind(id)
}

/// What a batch with these statements ends with: each table it has added to forgets its oldest rows beyond `rows_max`.
pub(crate) fn trims(batch: &[Statement], rows_max: u32) -> Vec<Statement> {
    let bounded = [(PUT_COMMAND, TRIM_COMMANDS), (PUT_ALERT, TRIM_ALERTS), (ADD_FAILURE, TRIM_FAILURES)];
    let has = |sql| batch.iter().any(|statement| statement.sql() == sql);
    let ours = bounded.into_iter().filter(|(add, _)| has(*add)).map(|(_, trim)| Statement::new(trim).bind(rows_max));
    ours.chain(has(audit::ADD).then(|| audit::trim(rows_max))).collect()
}

/// Whether a statement puts a row in the place of an earlier one.
pub(crate) fn replaces(statement: &Statement) -> bool {
    matches!(statement.sql(), PUT_COMMAND | PUT_ALERT)
}

/// Rows of each table that only grows: failures, commands, resolved alerts, the audit log.
pub(crate) const ROWS_MAX: u32 = 100_000;
/// Rows about snapshots of one device; the snapshots themselves have a quota.
pub(crate) const SNAPSHOTS_PER_DEVICE_MAX: u32 = 500;
/// The ring of a device's changes is cut every so many revisions.
pub(crate) const CHANGES_TRIM_INTERVAL_REVS: u64 = 32;

/// As the version before made them: `IF NOT EXISTS`, because its files count no steps.
const CREATE: &str = "
    CREATE TABLE IF NOT EXISTS sg_devices (
        fleet {text} NOT NULL, device_id {text} NOT NULL,
        name {text} NOT NULL, kind {text} NOT NULL, device_group {text} NOT NULL, app_version {text} NOT NULL,
        token_hash {text} NOT NULL, pending_hash {text} NOT NULL,
        authorized {int} NOT NULL, retired {int} NOT NULL, online {int} NOT NULL,
        first_seen {int} NOT NULL, last_seen {int} NOT NULL,
        ip {text} NOT NULL, register_info {text} NOT NULL, rev_reserved {int} NOT NULL,
        PRIMARY KEY (fleet, device_id)
    ) {strict_by_key};
    CREATE TABLE IF NOT EXISTS sg_state (
        fleet {text} NOT NULL, device_id {text} NOT NULL, rev {int} NOT NULL, json {text} NOT NULL,
        PRIMARY KEY (fleet, device_id)
    ) {strict};
    CREATE TABLE IF NOT EXISTS sg_state_history (
        fleet {text} NOT NULL, device_id {text} NOT NULL, rev {int} NOT NULL, at {int} NOT NULL, patch {text} NOT NULL,
        PRIMARY KEY (fleet, device_id, rev)
    ) {strict_by_key};
    CREATE TABLE IF NOT EXISTS sg_commands (
        seq {identity}, fleet {text} NOT NULL, command_id {text} NOT NULL, device_id {text} NOT NULL,
        command {text} NOT NULL, params {text} NOT NULL, origin {text} NOT NULL, status {text} NOT NULL,
        attempts {int} NOT NULL, at {int} NOT NULL, duration_ms {int} NOT NULL,
        UNIQUE (fleet, command_id, device_id)
    ) {strict};
    CREATE TABLE IF NOT EXISTS sg_snapshots (
        id {text} PRIMARY KEY, fleet {text} NOT NULL, device_id {text} NOT NULL, at {int} NOT NULL, mime {text} NOT NULL,
        bytes {int} NOT NULL, sha256 {text} NOT NULL, path {text} NOT NULL
    ) {strict_by_key};
    CREATE INDEX IF NOT EXISTS sg_snapshots_by_device ON sg_snapshots (fleet, device_id, at);
    CREATE TABLE IF NOT EXISTS sg_alerts (
        seq {identity}, fleet {text} NOT NULL, device_id {text} NOT NULL, kind {text} NOT NULL,
        severity {text} NOT NULL, since {int} NOT NULL, resolved {int},
        UNIQUE (fleet, device_id, kind, since)
    ) {strict};
    CREATE INDEX IF NOT EXISTS sg_alerts_open ON sg_alerts (fleet) WHERE resolved IS NULL;
    CREATE TABLE IF NOT EXISTS sg_auth_failures (
        seq {identity}, fleet {text} NOT NULL, at {int} NOT NULL, ip {text} NOT NULL, device_id {text} NOT NULL,
        reason {text} NOT NULL
    ) {strict};
    CREATE INDEX IF NOT EXISTS sg_auth_failures_by_fleet ON sg_auth_failures (fleet);
";

/// A file is called by its snapshot's id here, `ab/abcdefghijklmnopqrst.png`; the store calls new ones by their hashes.
const SNAPSHOTS_TO_BLOBS: &str = "
    INSERT INTO blobs (shelf, id, at, mime, bytes, sha256, file)
        SELECT 'snapshots', id, at, mime, bytes, sha256, substr(path, 4) FROM sg_snapshots;
    ALTER TABLE sg_snapshots DROP COLUMN mime;
    ALTER TABLE sg_snapshots DROP COLUMN bytes;
    ALTER TABLE sg_snapshots DROP COLUMN sha256;
    ALTER TABLE sg_snapshots DROP COLUMN path;
";

const ROTATED_AND_REFUSED: &str = "
    ALTER TABLE sg_devices ADD COLUMN old_tokens {text} NOT NULL DEFAULT '';
    ALTER TABLE sg_devices ADD COLUMN failure_reason {text} NOT NULL DEFAULT '';
    ALTER TABLE sg_devices ADD COLUMN failure_at {int} NOT NULL DEFAULT 0;
    ALTER TABLE sg_devices ADD COLUMN failure_ip {text} NOT NULL DEFAULT '';
";

const PUT_DEVICE: &str = "
    INSERT INTO sg_devices (fleet, device_id, name, kind, device_group, app_version, token_hash, pending_hash,
        authorized, retired, online, first_seen, last_seen, ip, register_info, rev_reserved,
        old_tokens, failure_reason, failure_at, failure_ip)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20)
    ON CONFLICT (fleet, device_id) DO UPDATE SET name = excluded.name, kind = excluded.kind,
        device_group = excluded.device_group, app_version = excluded.app_version, token_hash = excluded.token_hash,
        pending_hash = excluded.pending_hash, authorized = excluded.authorized, retired = excluded.retired,
        online = excluded.online, first_seen = excluded.first_seen, last_seen = excluded.last_seen, ip = excluded.ip,
        register_info = excluded.register_info, rev_reserved = excluded.rev_reserved,
        old_tokens = excluded.old_tokens, failure_reason = excluded.failure_reason,
        failure_at = excluded.failure_at, failure_ip = excluded.failure_ip";
const PUT_STATE: &str = "
    INSERT INTO sg_state (fleet, device_id, rev, json) VALUES (?1, ?2, ?3, ?4)
    ON CONFLICT (fleet, device_id) DO UPDATE SET rev = excluded.rev, json = excluded.json";
const ADD_CHANGE: &str = "
    INSERT INTO sg_state_history (fleet, device_id, rev, at, patch) VALUES (?1, ?2, ?3, ?4, ?5)
    ON CONFLICT (fleet, device_id, rev) DO UPDATE SET at = excluded.at, patch = excluded.patch";
const TRIM_CHANGES: &str = "
    DELETE FROM sg_state_history WHERE fleet = ?1 AND device_id = ?2 AND rev <=
        (SELECT rev FROM sg_state_history WHERE fleet = ?1 AND device_id = ?2 ORDER BY rev DESC LIMIT 1 OFFSET ?3)";
const PUT_COMMAND: &str = "
    INSERT INTO sg_commands (fleet, command_id, device_id, command, params, origin, status, attempts, at, duration_ms)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
    ON CONFLICT (fleet, command_id, device_id) DO UPDATE SET command = excluded.command, params = excluded.params,
        origin = excluded.origin, status = excluded.status, attempts = excluded.attempts, at = excluded.at,
        duration_ms = excluded.duration_ms";
const TRIM_COMMANDS: &str = "DELETE FROM sg_commands WHERE seq <= (SELECT max(seq) FROM sg_commands) - ?1";
const PUT_ALERT: &str = "
    INSERT INTO sg_alerts (fleet, device_id, kind, severity, since, resolved) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
    ON CONFLICT (fleet, device_id, kind, since)
    DO UPDATE SET severity = excluded.severity, resolved = excluded.resolved";
/// An alert that is not resolved is never trimmed.
const TRIM_ALERTS: &str =
    "DELETE FROM sg_alerts WHERE seq <= (SELECT max(seq) FROM sg_alerts) - ?1 AND resolved IS NOT NULL";
const ADD_FAILURE: &str = "INSERT INTO sg_auth_failures (fleet, at, ip, device_id, reason) VALUES (?1, ?2, ?3, ?4, ?5)";
const TRIM_FAILURES: &str = "DELETE FROM sg_auth_failures WHERE seq <= (SELECT max(seq) FROM sg_auth_failures) - ?1";
const ADD_SNAPSHOT: &str = "INSERT INTO sg_snapshots (id, fleet, device_id, at) VALUES (?1, ?2, ?3, ?4)";
const TRIM_SNAPSHOTS: &str = "
    DELETE FROM sg_snapshots WHERE fleet = ?1 AND device_id = ?2 AND at <=
        (SELECT at FROM sg_snapshots WHERE fleet = ?1 AND device_id = ?2 ORDER BY at DESC LIMIT 1 OFFSET ?3)";
const DEVICES: &str = "
    SELECT fleet, device_id, name, kind, device_group, app_version, token_hash, pending_hash, authorized, retired,
        online, first_seen, last_seen, ip, register_info, rev_reserved,
        old_tokens, failure_reason, failure_at, failure_ip
    FROM sg_devices WHERE fleet = ?1 ORDER BY device_id";
const STATES: &str = "SELECT fleet, device_id, rev, json FROM sg_state WHERE fleet = ?1 ORDER BY device_id";
const OPEN_ALERTS: &str = "
    SELECT fleet, device_id, kind, severity, since, resolved FROM sg_alerts
    WHERE fleet = ?1 AND resolved IS NULL ORDER BY device_id, kind, since";
const CHANGES: &str = "
    SELECT fleet, device_id, rev, at, patch FROM sg_state_history
    WHERE fleet = ?1 AND device_id = ?2 AND rev > ?3 ORDER BY rev DESC LIMIT ?4";
const FAILURES: &str = "
    SELECT fleet, at, ip, device_id, reason FROM sg_auth_failures WHERE fleet = ?1 ORDER BY seq DESC LIMIT ?2";
const SNAPSHOT: &str = "SELECT id, fleet, device_id, at FROM sg_snapshots WHERE id = ?1";
