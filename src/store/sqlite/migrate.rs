//! Brings a database up to date. Each owner of tables (the store itself, every application) has numbered steps, and the
//! database knows how many each has taken. All that are missing are one transaction: they are taken together or not at all.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension, TransactionBehavior};

use crate::app::sql::{Dialect, Tables};
use crate::store::tables::{SET_VERSION, VERSIONS};

/// Marks a file as ours: "siod" in ASCII.
pub(super) const APPLICATION_ID: i64 = 0x7369_6f64;

/// `user_version`: how a file says which steps it has taken. 1 counted them there, for all tables together; since 2 they
/// are counted by owner in `schema_versions`, and a binary that knows 1 alone refuses the file.
pub(super) const FORMAT: i64 = 2;

/// Why it is not up to date, and as it was.
pub(super) enum Failed {
    Database(rusqlite::Error),
    Step { owner: &'static str, number: usize, what: &'static str, error: rusqlite::Error },
}

impl From<rusqlite::Error> for Failed {
    fn from(error: rusqlite::Error) -> Failed {
        Failed::Database(error)
    }
}

/// Takes the missing steps of all these owners, in their order.
pub(super) fn run(connection: &mut Connection, owners: &[&'static Tables]) -> Result<(), Failed> {
    let taken = versions(connection)?;
    let missing = |tables: &&Tables| taken_by(&taken, tables) < tables.migrations.len();
    if !owners.iter().any(missing) {
        return Ok(());
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for tables in owners.iter().copied().filter(missing) {
        for (index, step) in tables.migrations.iter().enumerate().skip(taken_by(&taken, tables)) {
            let done = transaction.execute_batch(&Dialect::Sqlite.spell(step.sql));
            let (owner, number, what) = (tables.owner, index + 1, step.what);
            done.map_err(|error| Failed::Step { owner, number, what, error })?;
        }
        transaction.execute(SET_VERSION, (tables.owner, tables.migrations.len() as i64))?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", FORMAT)?;
    transaction.commit()?;
    Ok(())
}

/// Steps taken, by owner; none in a new file and in one of the version before.
pub(super) fn versions(connection: &Connection) -> rusqlite::Result<BTreeMap<String, usize>> {
    let sql = "SELECT 1 FROM sqlite_schema WHERE name = 'schema_versions'";
    if connection.query_row(sql, [], |_| Ok(())).optional()?.is_none() {
        return Ok(BTreeMap::new());
    }
    let mut prepared = connection.prepare(VERSIONS)?;
    prepared.query_map([], |row| Ok((row.get(0)?, row.get::<_, i64>(1)?.try_into().unwrap_or(0))))?.collect()
}

fn taken_by(taken: &BTreeMap<String, usize>, tables: &Tables) -> usize {
    taken.get(tables.owner).copied().unwrap_or(0)
}
