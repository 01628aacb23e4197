//! One group of batches into one transaction, a savepoint around each batch: a batch that fails leaves no trace and
//! hurts no other; a commit that fails is the failure of all.

use rusqlite::{Connection, Params, params};

use super::{integer, job_error};
use crate::app::effect::{JobError, JobErrorKind, Write};
use crate::app::kit::audit;
use crate::apps::signage::job::{self as signage, Alert, Change, Command, Device, Failure, Snapshot, State};
use crate::base::time::WallMillis;
use crate::store::{Batch, Bounds};

/// One result for each batch, or the error that undid them all.
pub(super) fn group(
    connection: &Connection,
    group: &[&Batch],
    bounds: Bounds,
) -> Result<Vec<Result<(), JobError>>, JobError> {
    run(connection, "BEGIN IMMEDIATE").map_err(|error| job_error(&error))?;
    let done = group
        .iter()
        .map(|batch| savepoint(connection, batch, bounds))
        .collect::<Result<Vec<_>, JobError>>()
        .and_then(|results| run(connection, "COMMIT").map(|()| results).map_err(|error| job_error(&error)));
    if done.is_err() && !connection.is_autocommit() {
        // Where even this fails, the next BEGIN says so and the connection is given up.
        let _ = run(connection, "ROLLBACK");
    }
    done
}

/// The outer error ends the group: SQLite rolled the whole transaction back, or can no longer be trusted with it.
fn savepoint(connection: &Connection, batch: &Batch, bounds: Bounds) -> Result<Result<(), JobError>, JobError> {
    let outcome = run(connection, "SAVEPOINT batch").and_then(|()| apply(connection, batch, bounds));
    let result = outcome.map_err(|error| job_error(&error));
    match &result {
        Err(error) if error.kind == JobErrorKind::Unavailable || connection.is_autocommit() => {
            return Err(error.clone());
        }
        Err(_) => run(connection, "ROLLBACK TO batch").map_err(|error| job_error(&error))?,
        Ok(()) => {}
    }
    run(connection, "RELEASE batch").map_err(|error| job_error(&error))?;
    Ok(result)
}

fn apply(connection: &Connection, batch: &Batch, bounds: Bounds) -> rusqlite::Result<()> {
    match batch {
        Batch::Writes(writes) => writes.iter().try_for_each(|write| apply_write(connection, write, bounds)),
        Batch::Snapshots { put, drop } => {
            let delete = "DELETE FROM sg_snapshots WHERE id = ?1";
            drop.iter().try_for_each(|id| execute(connection, delete, params![id]))?;
            put.iter().try_for_each(|row| put_snapshot(connection, row))
        }
        Batch::Probe(at) => {
            let sql = "INSERT INTO probe (id, at) VALUES (1, ?1) ON CONFLICT (id) DO UPDATE SET at = ?1";
            execute(connection, sql, params![wall(*at)])
        }
    }
}

fn apply_write(connection: &Connection, write: &Write, bounds: Bounds) -> rusqlite::Result<()> {
    let rows_max = bounds.append_rows_max;
    match write {
        Write::Audit(entry) => add_audit(connection, entry, rows_max),
        Write::Signage(signage::Write::PutDevice(device)) => put_device(connection, device),
        Write::Signage(signage::Write::PutState(state)) => put_state(connection, state),
        Write::Signage(signage::Write::AddChange(change)) => add_change(connection, change, bounds.history_rows_max),
        Write::Signage(signage::Write::PutCommand(command)) => put_command(connection, command, rows_max),
        Write::Signage(signage::Write::PutAlert(alert)) => put_alert(connection, alert, rows_max),
        Write::Signage(signage::Write::AddFailure(failure)) => add_failure(connection, failure, rows_max),
    }
}

fn put_device(connection: &Connection, device: &Device) -> rusqlite::Result<()> {
    let sql = "INSERT OR REPLACE INTO sg_devices (fleet, device_id, name, kind, device_group, app_version, token_hash,
            pending_hash, authorized, retired, online, first_seen, last_seen, ip, register_info, rev_reserved)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)";
    let row = params![
        device.fleet,
        device.device_id,
        device.name,
        device.kind,
        device.group,
        device.app_version,
        device.token_hash,
        device.pending_hash,
        device.authorized,
        device.retired,
        device.online,
        wall(device.first_seen),
        wall(device.last_seen),
        device.ip,
        device.register_info,
        integer(device.rev_reserved),
    ];
    execute(connection, sql, row)
}

fn put_state(connection: &Connection, state: &State) -> rusqlite::Result<()> {
    let sql = "INSERT INTO sg_state (fleet, device_id, rev, json) VALUES (?1, ?2, ?3, ?4)
        ON CONFLICT (fleet, device_id) DO UPDATE SET rev = excluded.rev, json = excluded.json";
    execute(connection, sql, params![state.fleet, state.device_id, integer(state.rev), state.json])
}

/// The ring is cut every so many revisions; questions never see more than its newest rows.
fn add_change(connection: &Connection, change: &Change, rows_max: u32) -> rusqlite::Result<()> {
    let sql = "INSERT OR REPLACE INTO sg_state_history (fleet, device_id, rev, at, patch) VALUES (?1, ?2, ?3, ?4, ?5)";
    let (rev, at) = (integer(change.rev), wall(change.at));
    execute(connection, sql, params![change.fleet, change.device_id, rev, at, change.patch])?;
    if change.rev.is_multiple_of(HISTORY_TRIM_INTERVAL_REVS) {
        let sql = "DELETE FROM sg_state_history WHERE fleet = ?1 AND device_id = ?2 AND rev <=
            (SELECT rev FROM sg_state_history WHERE fleet = ?1 AND device_id = ?2 ORDER BY rev DESC LIMIT 1 OFFSET ?3)";
        execute(connection, sql, params![change.fleet, change.device_id, rows_max])?;
    }
    Ok(())
}

fn put_command(connection: &Connection, command: &Command, rows_max: u32) -> rusqlite::Result<()> {
    let sql = "INSERT INTO sg_commands (fleet, command_id, device_id, command, params, origin, status, attempts, at,
            duration_ms)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
        ON CONFLICT (fleet, command_id, device_id) DO UPDATE SET command = excluded.command, params = excluded.params,
            origin = excluded.origin, status = excluded.status, attempts = excluded.attempts, at = excluded.at,
            duration_ms = excluded.duration_ms";
    let row = params![
        command.fleet,
        command.command_id,
        command.device_id,
        command.command,
        command.params,
        command.origin,
        command.status,
        command.attempts,
        wall(command.at),
        integer(command.duration_ms),
    ];
    execute(connection, sql, row)?;
    let trim = "DELETE FROM sg_commands WHERE seq <= (SELECT max(seq) FROM sg_commands) - ?1";
    execute(connection, trim, params![rows_max])
}

fn put_snapshot(connection: &Connection, row: &Snapshot) -> rusqlite::Result<()> {
    let sql = "INSERT OR REPLACE INTO sg_snapshots (id, fleet, device_id, at, mime, bytes, sha256, path)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
    let (at, bytes) = (wall(row.at), integer(row.bytes));
    let row = params![row.id, row.fleet, row.device_id, at, row.mime, bytes, row.sha256, row.path];
    execute(connection, sql, row)
}

/// An alert that is not resolved is never trimmed.
fn put_alert(connection: &Connection, alert: &Alert, rows_max: u32) -> rusqlite::Result<()> {
    let sql =
        "INSERT INTO sg_alerts (fleet, device_id, kind, severity, since, resolved) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
        ON CONFLICT (fleet, device_id, kind, since)
        DO UPDATE SET severity = excluded.severity, resolved = excluded.resolved";
    let (since, resolved) = (wall(alert.since), alert.resolved.map(wall));
    execute(connection, sql, params![alert.fleet, alert.device_id, alert.kind, alert.severity, since, resolved])?;
    let trim = "DELETE FROM sg_alerts
        WHERE seq <= (SELECT max(seq) FROM sg_alerts) - ?1 AND resolved IS NOT NULL";
    execute(connection, trim, params![rows_max])
}

fn add_failure(connection: &Connection, failure: &Failure, rows_max: u32) -> rusqlite::Result<()> {
    let sql = "INSERT INTO sg_auth_failures (fleet, at, ip, device_id, reason) VALUES (?1, ?2, ?3, ?4, ?5)";
    let at = wall(failure.at);
    execute(connection, sql, params![failure.fleet, at, failure.ip, failure.device_id, failure.reason])?;
    let trim = "DELETE FROM sg_auth_failures WHERE seq <= ?1 - ?2";
    execute(connection, trim, params![connection.last_insert_rowid(), rows_max])
}

fn add_audit(connection: &Connection, entry: &audit::Entry, rows_max: u32) -> rusqlite::Result<()> {
    let sql = "INSERT INTO audit (at, domain, actor, ip, user_agent, action, target, outcome, details)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
    let row = params![
        wall(entry.at),
        entry.domain,
        entry.actor,
        entry.ip,
        entry.user_agent,
        entry.action,
        entry.target,
        entry.outcome,
        entry.details,
    ];
    execute(connection, sql, row)?;
    let trim = "DELETE FROM audit WHERE seq <= ?1 - ?2";
    execute(connection, trim, params![connection.last_insert_rowid(), rows_max])
}

fn run(connection: &Connection, sql: &'static str) -> rusqlite::Result<()> {
    execute(connection, sql, [])
}

fn execute(connection: &Connection, sql: &'static str, row: impl Params) -> rusqlite::Result<()> {
    connection.prepare_cached(sql)?.execute(row).map(|_| ())
}

fn wall(at: WallMillis) -> i64 {
    integer(at.0)
}

const HISTORY_TRIM_INTERVAL_REVS: u64 = 32;
