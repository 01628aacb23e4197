//! SQL as values: what an application writes in its own folder and the store carries out without knowing whose it is.
//! A [`Statement`] is constant text and bound values; a write is a list of them, all or nothing; a read is a list of
//! questions that see one moment. What comes back are [`Rows`], read into types by name.
//!
//! The text is what SQLite and PostgreSQL share, with tokens for types and `?1`, `?2` for values: see [`Dialect`].
//! Booleans are 0 and 1, JSON is text, sums are cast; `ON CONFLICT` and `RETURNING`, never `INSERT OR REPLACE` or `rowid`.
//! A statement reads the number an earlier one was given by a subselect, and no client sees such a number: rollbacks
//! leave holes in them.

mod dialect;
mod rows;

use std::sync::Arc;

use bytes::Bytes;

pub use self::dialect::Dialect;
pub use self::rows::{FromRow, FromValue, Row, RowError, Rows};
use crate::base::time::WallMillis;

/// The tables of one owner, an application or the store itself, as a constant of its folder.
#[derive(Debug)]
pub struct Tables {
    /// The application's name; its version in the database is kept under it.
    pub owner: &'static str,
    /// Steps in order. Once released none is edited, moved or removed: a database counts how many it has taken.
    pub migrations: &'static [Migration],
    /// The text of every statement there is, so that a test can prepare each on every database.
    pub statements: &'static [&'static str],
}

/// One step of a schema.
#[derive(Debug)]
pub struct Migration {
    /// What it does, for the sentence that says that it failed.
    pub what: &'static str,
    /// Statements, each ended by a semicolon, without values.
    pub sql: &'static str,
}

/// Text with the values bound to its places, and how many rows it must touch.
#[derive(Clone, Debug, PartialEq)]
pub struct Statement {
    sql: &'static str,
    values: Vec<Value>,
    demand: Option<u64>,
}

impl Statement {
    /// A statement that may touch any number of rows.
    pub fn new(sql: &'static str) -> Statement {
        Statement { sql, values: Vec::new(), demand: None }
    }

    /// The next value, for the next number: the first call binds `?1`.
    pub fn bind(mut self, value: impl Into<Value>) -> Statement {
        self.values.push(value.into());
        self
    }

    /// It must touch (or, with `RETURNING`, give back) exactly so many rows; else the whole write is a conflict.
    pub fn touching(mut self, rows: u64) -> Statement {
        self.demand = Some(rows);
        self
    }

    pub fn sql(&self) -> &'static str {
        self.sql
    }

    pub fn values(&self) -> &[Value] {
        &self.values
    }

    pub fn demand(&self) -> Option<u64> {
        self.demand
    }

    /// About how many bytes it holds while it waits.
    pub fn weight(&self) -> usize {
        let of_value = |value: &Value| match value {
            Value::Text(text) => text.len(),
            Value::Blob(bytes) => bytes.len(),
            _ => 0,
        };
        size_of::<Statement>() + size_of_val(&*self.values) + self.values.iter().map(of_value).sum::<usize>()
    }
}

/// What a place or a column holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Null,
    Int(i64),
    Real(f64),
    /// Text with a NUL in it is refused as `Invalid`: PostgreSQL cannot hold it.
    Text(Arc<str>),
    Blob(Bytes),
    /// A number beyond what a column holds, refused as `Invalid`.
    Beyond(u64),
}

impl Value {
    /// What errors call its kind.
    pub fn kind(&self) -> &'static str {
        match self {
            Value::Null => "null",
            Value::Int(_) => "an integer",
            Value::Real(_) => "a real",
            Value::Text(_) => "text",
            Value::Blob(_) => "a blob",
            Value::Beyond(_) => "a number beyond 63 bits",
        }
    }

    /// Why no database takes it, if none does.
    pub fn fault(&self) -> Option<&'static str> {
        match self {
            Value::Beyond(_) => Some("a number beyond 63 bits"),
            Value::Text(text) if memchr::memchr(0, text.as_bytes()).is_some() => Some("text with a NUL"),
            _ => None,
        }
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Value {
        Value::Int(value)
    }
}

impl From<u32> for Value {
    fn from(value: u32) -> Value {
        Value::Int(value.into())
    }
}

impl From<u64> for Value {
    fn from(value: u64) -> Value {
        i64::try_from(value).map_or(Value::Beyond(value), Value::Int)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Value {
        Value::Int(value.into())
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Value {
        Value::Real(value)
    }
}

impl From<WallMillis> for Value {
    fn from(value: WallMillis) -> Value {
        value.0.into()
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Value {
        Value::Text(value.into())
    }
}

impl From<String> for Value {
    fn from(value: String) -> Value {
        Value::Text(value.into())
    }
}

impl From<&String> for Value {
    fn from(value: &String) -> Value {
        value.as_str().into()
    }
}

impl From<&Arc<str>> for Value {
    fn from(value: &Arc<str>) -> Value {
        Value::Text(value.clone())
    }
}

impl From<Bytes> for Value {
    fn from(value: Bytes) -> Value {
        Value::Blob(value)
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Value {
        value.map_or(Value::Null, Into::into)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_what_columns_hold() {
        for (value, expected) in [
            (Value::from(true), Value::Int(1)),
            (Value::from(7_u32), Value::Int(7)),
            (Value::from(i64::MAX as u64), Value::Int(i64::MAX)),
            (Value::from(i64::MAX as u64 + 1), Value::Beyond(1 << 63)),
            (Value::from(WallMillis(5)), Value::Int(5)),
            (Value::from(None::<&str>), Value::Null),
            (Value::from(Some("a")), Value::Text("a".into())),
        ] {
            assert_eq!(value, expected);
        }
        assert_eq!(Value::Beyond(u64::MAX).fault(), Some("a number beyond 63 bits"));
        assert_eq!(Value::from("a\0b").fault(), Some("text with a NUL"));
        assert_eq!(Value::from("ab").fault(), None);
    }

    #[test]
    fn a_statement_weighs_what_it_holds() {
        let light = Statement::new("SELECT ?1").bind("");
        let heavy = Statement::new("SELECT ?1").bind("x".repeat(1_000));
        assert_eq!(heavy.weight(), light.weight() + 1_000);
    }
}
