//! One group of writes into one transaction, a savepoint around each: a write that fails leaves no trace and hurts no
//! other; a commit that fails is the failure of all.

use rusqlite::Connection;

use super::{job_error, statement};
use crate::app::job::{JobError, JobErrorKind, Outcome};
use crate::app::sql::Statement;

/// One outcome for each write, or the error that undid them all.
pub(super) fn group(connection: &Connection, group: &[&[Statement]]) -> Result<Vec<Outcome>, JobError> {
    run(connection, "BEGIN IMMEDIATE")?;
    let done = group
        .iter()
        .map(|write| savepoint(connection, write))
        .collect::<Result<Vec<_>, JobError>>()
        .and_then(|outcomes| run(connection, "COMMIT").map(|()| outcomes));
    if done.is_err() && !connection.is_autocommit() {
        // Where even this fails, the next BEGIN says so and the connection is given up.
        let _ = run(connection, "ROLLBACK");
    }
    done
}

/// The error ends the group: SQLite rolled the whole transaction back, or can no longer be trusted with it.
fn savepoint(connection: &Connection, write: &[Statement]) -> Result<Outcome, JobError> {
    run(connection, "SAVEPOINT one")?;
    let outcome = apply(connection, write).unwrap_or_else(Outcome::Failed);
    match &outcome {
        Outcome::Failed(error) if error.kind == JobErrorKind::Unavailable || connection.is_autocommit() => {
            return Err(error.clone());
        }
        Outcome::Written(_) => {}
        _ => run(connection, "ROLLBACK TO one")?,
    }
    run(connection, "RELEASE one")?;
    Ok(outcome)
}

fn apply(connection: &Connection, write: &[Statement]) -> Result<Outcome, JobError> {
    let mut given = Vec::new();
    for (at, statement) in write.iter().enumerate() {
        let done = statement::run(connection, statement, at)?;
        if statement.demand().is_some_and(|rows| rows != done.touched) {
            return Ok(Outcome::Conflict { statement: at });
        }
        if let Some(rows) = done.rows {
            given.resize_with(at, Default::default);
            given.push(rows);
        }
    }
    Ok(Outcome::Written(given))
}

fn run(connection: &Connection, sql: &'static str) -> Result<(), JobError> {
    let done = connection.prepare_cached(sql).and_then(|mut prepared| prepared.execute([]));
    done.map(|_| ()).map_err(|error| job_error(&error))
}
