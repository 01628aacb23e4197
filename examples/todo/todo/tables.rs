//! What is kept on disk: one table, its rows as a type, and every statement about it.

use serde::Serialize;
use siod::app::sql::{FromRow, Migration, Row, RowError, Statement, Tables};

/// For the row of the table of applications.
pub(super) const TABLES: Tables = Tables {
    owner: "todo",
    migrations: &[Migration { what: "the table", sql: CREATE }],
    statements: &[ITEMS, ADD, DONE],
};

/// A row of `todo_items`, and how clients see it.
#[derive(Clone, Serialize)]
pub(super) struct Item {
    pub id: u64,
    pub text: String,
    pub done: bool,
}

impl FromRow for Item {
    const TABLE: &'static str = "todo_items";
    fn from_row(row: &mut Row<'_>) -> Result<Item, RowError> {
        Ok(Item { id: row.get("id")?, text: row.get("text")?, done: row.get("done")? })
    }
}

/// The whole list of a tenant.
pub(super) fn items(tenant: &str) -> Statement {
    Statement::new(ITEMS).bind(tenant)
}

/// One more item.
pub(super) fn add(tenant: &str, item: &Item) -> Statement {
    Statement::new(ADD).bind(tenant).bind(item.id).bind(&item.text).touching(1)
}

/// The item is done.
pub(super) fn done(tenant: &str, id: u64) -> Statement {
    Statement::new(DONE).bind(tenant).bind(id).touching(1)
}

const CREATE: &str = "CREATE TABLE todo_items (
    tenant {text} NOT NULL,
    id {int} NOT NULL,
    text {text} NOT NULL,
    done {int} NOT NULL,
    PRIMARY KEY (tenant, id)
) {strict_by_key};";
const ITEMS: &str = "SELECT id, text, done FROM todo_items WHERE tenant = ?1 ORDER BY id";
const ADD: &str = "INSERT INTO todo_items (tenant, id, text, done) VALUES (?1, ?2, ?3, 0)";
const DONE: &str = "UPDATE todo_items SET done = 1 WHERE tenant = ?1 AND id = ?2";
