//! One group of writes into one transaction: a write that fails leaves no trace and hurts no other; a commit that fails is
//! the failure of all.
//!
//! A savepoint around a write keeps a copy of every page that the write touches, and most writes succeed. So a group goes without
//! savepoints first; where a write fails that has changed something by then, all of it is undone, and the group goes again with
//! a savepoint around each.

use rusqlite::Connection;

use super::{job_error, statement};
use crate::app::job::{JobError, JobErrorKind, Outcome};
use crate::app::sql::Statement;

/// One outcome for each write, or the error that undid them all.
pub(super) fn group(connection: &Connection, group: &[&[Statement]]) -> Result<Vec<Outcome>, JobError> {
    let plainly = transaction(connection, group, |write| plain(connection, write))?;
    match plainly {
        Some(outcomes) => Ok(outcomes),
        None => {
            let outcomes = transaction(connection, group, |write| savepoint(connection, write).map(Some))?;
            Ok(outcomes.expect("a savepoint undoes what a write has left"))
        }
    }
}

/// `None` where a write has left what only the end of the transaction could undo: nothing of the group has happened then.
fn transaction(
    connection: &Connection,
    group: &[&[Statement]],
    one: impl Fn(&[Statement]) -> Result<Option<Outcome>, JobError>,
) -> Result<Option<Vec<Outcome>>, JobError> {
    run(connection, "BEGIN IMMEDIATE")?;
    let done = group.iter().map(|write| one(write)).collect::<Result<Option<Vec<_>>, JobError>>();
    let done = done.and_then(|outcomes| match outcomes {
        Some(outcomes) => run(connection, "COMMIT").map(|()| Some(outcomes)),
        None => run(connection, "ROLLBACK").map(|()| None),
    });
    if done.is_err() && !connection.is_autocommit() {
        // Where even this fails, the next BEGIN says so and the connection is given up.
        let _ = run(connection, "ROLLBACK");
    }
    done
}

/// `None` where the write failed after it had changed something.
fn plain(connection: &Connection, write: &[Statement]) -> Result<Option<Outcome>, JobError> {
    let (outcome, changed) = apply(connection, write);
    let outcome = usable(connection, outcome)?;
    let clean = matches!(outcome, Outcome::Written(_)) || !changed;
    Ok(clean.then_some(outcome))
}

fn savepoint(connection: &Connection, write: &[Statement]) -> Result<Outcome, JobError> {
    run(connection, "SAVEPOINT one")?;
    let (outcome, _) = apply(connection, write);
    let outcome = usable(connection, outcome)?;
    if !matches!(outcome, Outcome::Written(_)) {
        run(connection, "ROLLBACK TO one")?;
    }
    run(connection, "RELEASE one")?;
    Ok(outcome)
}

/// An error ends the group where SQLite rolled the whole transaction back, or can no longer be trusted with it.
fn usable(connection: &Connection, outcome: Outcome) -> Result<Outcome, JobError> {
    match outcome {
        Outcome::Failed(error) if error.kind == JobErrorKind::Unavailable || connection.is_autocommit() => Err(error),
        outcome => Ok(outcome),
    }
}

/// What came of a write, and whether a statement of it has changed (or given back) a row. A statement that fails undoes itself.
fn apply(connection: &Connection, write: &[Statement]) -> (Outcome, bool) {
    let (mut given, mut changed) = (Vec::new(), false);
    for (at, statement) in write.iter().enumerate() {
        let done = match statement::run(connection, statement, at) {
            Ok(done) => done,
            Err(error) => return (Outcome::Failed(error), changed),
        };
        changed |= done.touched > 0;
        if statement.demand().is_some_and(|rows| rows != done.touched) {
            return (Outcome::Conflict { statement: at }, changed);
        }
        if let Some(rows) = done.rows {
            given.resize_with(at, Default::default);
            given.push(rows);
        }
    }
    (Outcome::Written(given), changed)
}

fn run(connection: &Connection, sql: &'static str) -> Result<(), JobError> {
    let done = connection.prepare_cached(sql).and_then(|mut prepared| prepared.execute([]));
    done.map(|_| ()).map_err(|error| job_error(&error))
}
