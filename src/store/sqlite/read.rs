//! Questions as constant SQL, answers as the applications' own rows. A question of several statements sees one moment.

use rusqlite::{Connection, OptionalExtension, Params, Row, params};

use super::{integer, unsigned};
use crate::app::effect::{Outcome, Query};
use crate::app::kit::audit;
use crate::apps::signage::job::{self as signage, Alert, Answer, Change, Device, Failure, Snapshot, State};
use crate::base::time::WallMillis;
use crate::store::Bounds;

pub(super) fn answer(connection: &Connection, query: &Query, bounds: Bounds) -> rusqlite::Result<Outcome> {
    match query {
        Query::Audit { domain, limit } => {
            let sql = "SELECT at, domain, actor, ip, user_agent, action, target, outcome, details
                FROM audit WHERE domain = ?1 ORDER BY seq DESC LIMIT ?2";
            Ok(Outcome::Audit(rows(connection, sql, params![domain, limit], audit_entry)?))
        }
        Query::Signage(query) => Ok(Outcome::Signage(answer_signage(connection, query, bounds)?)),
    }
}

fn answer_signage(connection: &Connection, query: &signage::Query, bounds: Bounds) -> rusqlite::Result<Answer> {
    match query {
        signage::Query::Fleet { fleet } => one_moment(connection, |connection| read_fleet(connection, fleet)),
        signage::Query::History { fleet, device_id, since, limit } => {
            // Until it is cut the ring may hold more rows than its bound: those are not shown.
            let sql = "SELECT fleet, device_id, rev, at, patch FROM sg_state_history
                WHERE fleet = ?1 AND device_id = ?2 AND rev > ?3 ORDER BY rev DESC LIMIT ?4";
            let limit = (*limit).min(bounds.history_rows_max);
            let mut newest = rows(connection, sql, params![fleet, device_id, integer(*since), limit], change)?;
            newest.reverse();
            Ok(Answer::History(newest))
        }
        signage::Query::Failures { fleet, limit } => {
            let sql = "SELECT fleet, at, ip, device_id, reason FROM sg_auth_failures
                WHERE fleet = ?1 ORDER BY seq DESC LIMIT ?2";
            Ok(Answer::Failures(rows(connection, sql, params![fleet, limit], failure)?))
        }
        signage::Query::Snapshot { id } => {
            let sql = "SELECT id, fleet, device_id, at, mime, bytes, sha256, path FROM sg_snapshots WHERE id = ?1";
            Ok(Answer::Snapshot(row(connection, sql, params![id], snapshot)?))
        }
    }
}

fn read_fleet(connection: &Connection, fleet: &str) -> rusqlite::Result<Answer> {
    let devices =
        "SELECT fleet, device_id, name, kind, device_group, app_version, token_hash, pending_hash, authorized,
            retired, online, first_seen, last_seen, ip, register_info, rev_reserved
        FROM sg_devices WHERE fleet = ?1 ORDER BY device_id";
    let states = "SELECT fleet, device_id, rev, json FROM sg_state WHERE fleet = ?1 ORDER BY device_id";
    let alerts = "SELECT fleet, device_id, kind, severity, since, resolved FROM sg_alerts
        WHERE fleet = ?1 AND resolved IS NULL ORDER BY device_id, kind, since";
    Ok(Answer::Fleet {
        devices: rows(connection, devices, params![fleet], device)?,
        states: rows(connection, states, params![fleet], state)?,
        alerts: rows(connection, alerts, params![fleet], alert)?,
    })
}

/// Every stored picture's row.
pub(super) fn snapshots(connection: &Connection) -> rusqlite::Result<Vec<Snapshot>> {
    let sql = "SELECT id, fleet, device_id, at, mime, bytes, sha256, path FROM sg_snapshots ORDER BY id";
    rows(connection, sql, params![], snapshot)
}

fn device(row: &Row<'_>) -> rusqlite::Result<Device> {
    Ok(Device {
        fleet: row.get(0)?,
        device_id: row.get(1)?,
        name: row.get(2)?,
        kind: row.get(3)?,
        group: row.get(4)?,
        app_version: row.get(5)?,
        token_hash: row.get(6)?,
        pending_hash: row.get(7)?,
        authorized: row.get(8)?,
        retired: row.get(9)?,
        online: row.get(10)?,
        first_seen: wall(row.get(11)?),
        last_seen: wall(row.get(12)?),
        ip: row.get(13)?,
        register_info: row.get(14)?,
        rev_reserved: unsigned(row.get(15)?),
    })
}

fn state(row: &Row<'_>) -> rusqlite::Result<State> {
    Ok(State { fleet: row.get(0)?, device_id: row.get(1)?, rev: unsigned(row.get(2)?), json: row.get(3)? })
}

fn change(row: &Row<'_>) -> rusqlite::Result<Change> {
    Ok(Change {
        fleet: row.get(0)?,
        device_id: row.get(1)?,
        rev: unsigned(row.get(2)?),
        at: wall(row.get(3)?),
        patch: row.get(4)?,
    })
}

fn alert(row: &Row<'_>) -> rusqlite::Result<Alert> {
    Ok(Alert {
        fleet: row.get(0)?,
        device_id: row.get(1)?,
        kind: row.get(2)?,
        severity: row.get(3)?,
        since: wall(row.get(4)?),
        resolved: row.get::<_, Option<i64>>(5)?.map(wall),
    })
}

fn failure(row: &Row<'_>) -> rusqlite::Result<Failure> {
    Ok(Failure {
        fleet: row.get(0)?,
        at: wall(row.get(1)?),
        ip: row.get(2)?,
        device_id: row.get(3)?,
        reason: row.get(4)?,
    })
}

fn snapshot(row: &Row<'_>) -> rusqlite::Result<Snapshot> {
    Ok(Snapshot {
        id: row.get(0)?,
        fleet: row.get(1)?,
        device_id: row.get(2)?,
        at: wall(row.get(3)?),
        mime: row.get(4)?,
        bytes: unsigned(row.get(5)?),
        sha256: row.get(6)?,
        path: row.get(7)?,
    })
}

fn audit_entry(row: &Row<'_>) -> rusqlite::Result<audit::Entry> {
    Ok(audit::Entry {
        at: wall(row.get(0)?),
        domain: row.get(1)?,
        actor: row.get(2)?,
        ip: row.get(3)?,
        user_agent: row.get(4)?,
        action: row.get(5)?,
        target: row.get(6)?,
        outcome: row.get(7)?,
        details: row.get(8)?,
    })
}

fn one_moment<T>(
    connection: &Connection,
    work: impl FnOnce(&Connection) -> rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    let transaction = connection.unchecked_transaction()?;
    let result = work(&transaction)?;
    transaction.commit()?;
    Ok(result)
}

fn rows<T>(
    connection: &Connection,
    sql: &'static str,
    bound: impl Params,
    of_row: fn(&Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Vec<T>> {
    connection.prepare_cached(sql)?.query_map(bound, of_row)?.collect()
}

fn row<T>(
    connection: &Connection,
    sql: &'static str,
    bound: impl Params,
    of_row: fn(&Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Option<T>> {
    connection.prepare_cached(sql)?.query_row(bound, of_row).optional()
}

fn wall(at: i64) -> WallMillis {
    WallMillis(unsigned(at))
}
