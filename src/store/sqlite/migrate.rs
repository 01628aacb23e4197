//! The schema, as numbered steps that are never edited once released. `user_version` counts the steps a file has taken.

use rusqlite::{Connection, TransactionBehavior};

/// Marks a file as ours: "siod" in ASCII.
pub(super) const APPLICATION_ID: i64 = 0x7369_6f64;

/// Steps this program knows; a file that has taken more is not ours to touch.
pub(super) const VERSION: i64 = STEPS.len() as i64;

/// Takes the missing steps, each in a transaction of its own.
pub(super) fn run(connection: &mut Connection) -> rusqlite::Result<()> {
    let taken: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    for (step, sql) in (1..).zip(STEPS).filter(|(step, _)| *step > taken) {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute_batch(sql)?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", step)?;
        transaction.commit()?;
    }
    Ok(())
}

/// Append-only tables have a `seq` that only grows by one: the newest N rows are those above the largest less N.
const STEPS: &[&str] = &["
    CREATE TABLE sg_devices (
        fleet TEXT NOT NULL, device_id TEXT NOT NULL,
        name TEXT NOT NULL, kind TEXT NOT NULL, device_group TEXT NOT NULL, app_version TEXT NOT NULL,
        token_hash TEXT NOT NULL, pending_hash TEXT NOT NULL,
        authorized INTEGER NOT NULL, retired INTEGER NOT NULL, online INTEGER NOT NULL,
        first_seen INTEGER NOT NULL, last_seen INTEGER NOT NULL,
        ip TEXT NOT NULL, register_info TEXT NOT NULL, rev_reserved INTEGER NOT NULL,
        PRIMARY KEY (fleet, device_id)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE sg_state (
        fleet TEXT NOT NULL, device_id TEXT NOT NULL, rev INTEGER NOT NULL, json TEXT NOT NULL,
        PRIMARY KEY (fleet, device_id)
    ) STRICT;
    CREATE TABLE sg_state_history (
        fleet TEXT NOT NULL, device_id TEXT NOT NULL, rev INTEGER NOT NULL, at INTEGER NOT NULL, patch TEXT NOT NULL,
        PRIMARY KEY (fleet, device_id, rev)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE sg_commands (
        seq INTEGER PRIMARY KEY, fleet TEXT NOT NULL, command_id TEXT NOT NULL, device_id TEXT NOT NULL,
        command TEXT NOT NULL, params TEXT NOT NULL, origin TEXT NOT NULL, status TEXT NOT NULL,
        attempts INTEGER NOT NULL, at INTEGER NOT NULL, duration_ms INTEGER NOT NULL,
        UNIQUE (fleet, command_id, device_id)
    ) STRICT;
    CREATE TABLE sg_snapshots (
        id TEXT PRIMARY KEY, fleet TEXT NOT NULL, device_id TEXT NOT NULL, at INTEGER NOT NULL, mime TEXT NOT NULL,
        bytes INTEGER NOT NULL, sha256 TEXT NOT NULL, path TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX sg_snapshots_by_device ON sg_snapshots (fleet, device_id, at);
    CREATE TABLE sg_alerts (
        seq INTEGER PRIMARY KEY, fleet TEXT NOT NULL, device_id TEXT NOT NULL, kind TEXT NOT NULL,
        severity TEXT NOT NULL, since INTEGER NOT NULL, resolved INTEGER,
        UNIQUE (fleet, device_id, kind, since)
    ) STRICT;
    CREATE INDEX sg_alerts_open ON sg_alerts (fleet) WHERE resolved IS NULL;
    CREATE TABLE sg_auth_failures (
        seq INTEGER PRIMARY KEY, fleet TEXT NOT NULL, at INTEGER NOT NULL, ip TEXT NOT NULL, device_id TEXT NOT NULL,
        reason TEXT NOT NULL
    ) STRICT;
    CREATE INDEX sg_auth_failures_by_fleet ON sg_auth_failures (fleet);
    CREATE TABLE audit (
        seq INTEGER PRIMARY KEY, at INTEGER NOT NULL, domain TEXT NOT NULL, actor TEXT NOT NULL, ip TEXT NOT NULL,
        user_agent TEXT NOT NULL, action TEXT NOT NULL, target TEXT NOT NULL, outcome TEXT NOT NULL,
        details TEXT NOT NULL
    ) STRICT;
    CREATE INDEX audit_by_domain ON audit (domain);
    CREATE TABLE probe (id INTEGER PRIMARY KEY CHECK (id = 1), at INTEGER NOT NULL) STRICT;
"];
