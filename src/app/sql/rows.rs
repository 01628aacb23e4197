//! What a database gives back, and how it is read into types: by the names of columns, and a row of another shape is an
//! error that names table and column.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use super::Value;
use crate::base::time::WallMillis;

/// The rows one statement gave, in its order.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Rows {
    columns: Vec<Box<str>>,
    /// Row after row.
    values: Vec<Value>,
}

impl Rows {
    /// `values` hold row after row, each as long as `columns`.
    pub fn new(columns: Vec<Box<str>>, values: Vec<Value>) -> Rows {
        debug_assert!(values.is_empty() || values.len().is_multiple_of(columns.len()), "every row is whole");
        Rows { columns, values }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.values.len() / self.columns.len().max(1)
    }

    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// All of them as `T`.
    pub fn read<T: FromRow>(&self) -> Result<Vec<T>, RowError> {
        let rows = self.values.chunks_exact(self.columns.len().max(1));
        rows.map(|values| T::from_row(&mut Row { table: T::TABLE, columns: &self.columns, values, next: 0 })).collect()
    }
}

/// A type that a row is read into.
pub trait FromRow: Sized {
    /// What errors say the row is of.
    const TABLE: &'static str;

    /// Takes the columns it needs, best in the order of the question.
    fn from_row(row: &mut Row<'_>) -> Result<Self, RowError>;
}

/// One row while it is read.
pub struct Row<'a> {
    table: &'static str,
    columns: &'a [Box<str>],
    values: &'a [Value],
    /// Where the next column probably is.
    next: usize,
}

impl Row<'_> {
    /// The value of a column.
    pub fn get<T: FromValue>(&mut self, column: &'static str) -> Result<T, RowError> {
        let is_it = |name: &str| name == column;
        let found = match self.columns.get(self.next) {
            Some(name) if is_it(name) => Some(self.next),
            _ => self.columns.iter().position(|name| is_it(name)),
        };
        let error = |why| RowError { table: self.table, column, why };
        let at = found.ok_or_else(|| error("is not among the columns".to_owned()))?;
        self.next = at + 1;
        let value = &self.values[at];
        T::from_value(value).ok_or_else(|| error(format!("holds {}, expected {}", value.kind(), T::EXPECTED)))
    }
}

/// Why a row could not be read. The statement or the table is at fault, not its values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowError {
    pub table: &'static str,
    pub column: &'static str,
    pub why: String,
}

impl fmt::Display for RowError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{} {}", self.table, self.column, self.why)
    }
}

/// A type that a column's value is read into.
pub trait FromValue: Sized {
    /// What errors say it should have been.
    const EXPECTED: &'static str;

    /// `None` where the value is another kind.
    fn from_value(value: &Value) -> Option<Self>;
}

impl FromValue for i64 {
    const EXPECTED: &'static str = "an integer";
    fn from_value(value: &Value) -> Option<i64> {
        if let Value::Int(number) = value { Some(*number) } else { None }
    }
}

impl FromValue for u64 {
    const EXPECTED: &'static str = "an integer from 0";
    fn from_value(value: &Value) -> Option<u64> {
        i64::from_value(value)?.try_into().ok()
    }
}

impl FromValue for u32 {
    const EXPECTED: &'static str = "an integer of 32 bits from 0";
    fn from_value(value: &Value) -> Option<u32> {
        i64::from_value(value)?.try_into().ok()
    }
}

impl FromValue for bool {
    const EXPECTED: &'static str = "0 or 1";
    fn from_value(value: &Value) -> Option<bool> {
        match value {
            Value::Int(0) => Some(false),
            Value::Int(1) => Some(true),
            _ => None,
        }
    }
}

impl FromValue for f64 {
    const EXPECTED: &'static str = "a real";
    fn from_value(value: &Value) -> Option<f64> {
        if let Value::Real(number) = value { Some(*number) } else { None }
    }
}

impl FromValue for Arc<str> {
    const EXPECTED: &'static str = "text";
    fn from_value(value: &Value) -> Option<Arc<str>> {
        if let Value::Text(text) = value { Some(text.clone()) } else { None }
    }
}

impl FromValue for String {
    const EXPECTED: &'static str = "text";
    fn from_value(value: &Value) -> Option<String> {
        if let Value::Text(text) = value { Some((**text).to_owned()) } else { None }
    }
}

impl FromValue for Bytes {
    const EXPECTED: &'static str = "a blob";
    fn from_value(value: &Value) -> Option<Bytes> {
        if let Value::Blob(bytes) = value { Some(bytes.clone()) } else { None }
    }
}

impl FromValue for WallMillis {
    const EXPECTED: &'static str = "milliseconds since 1970";
    fn from_value(value: &Value) -> Option<WallMillis> {
        u64::from_value(value).map(WallMillis)
    }
}

impl<T: FromValue> FromValue for Option<T> {
    const EXPECTED: &'static str = T::EXPECTED;
    fn from_value(value: &Value) -> Option<Option<T>> {
        if *value == Value::Null { Some(None) } else { T::from_value(value).map(Some) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq)]
    struct Door {
        name: String,
        open: bool,
        since: Option<WallMillis>,
    }

    impl FromRow for Door {
        const TABLE: &'static str = "doors";
        fn from_row(row: &mut Row<'_>) -> Result<Door, RowError> {
            Ok(Door { name: row.get("name")?, open: row.get("open")?, since: row.get("since")? })
        }
    }

    fn rows(columns: &[&str], values: &[Value]) -> Rows {
        Rows::new(columns.iter().map(|name| (*name).into()).collect(), values.to_vec())
    }

    #[test]
    fn rows_are_read_by_name_in_any_order() {
        let doors = rows(
            &["since", "name", "unasked", "open"],
            &[5_u64.into(), "a".into(), Value::Null, true.into(), Value::Null, "b".into(), Value::Null, false.into()],
        );
        let expected = [
            Door { name: "a".into(), open: true, since: Some(WallMillis(5)) },
            Door { name: "b".into(), open: false, since: None },
        ];
        assert_eq!((doors.len(), doors.read::<Door>().unwrap().as_slice()), (2, expected.as_slice()));
        assert_eq!(Rows::default().read::<Door>(), Ok(vec![]));
        assert!(Rows::default().is_empty());
    }

    #[test]
    fn a_row_of_another_shape_is_an_error_that_names_table_and_column() {
        let columns = &["name", "open", "since"][..];
        for (columns, values, sentence) in [
            (&["name", "open"][..], vec!["a".into(), true.into()], "doors.since is not among the columns"),
            (columns, vec![5_i64.into(), true.into(), Value::Null], "doors.name holds an integer, expected text"),
            (columns, vec!["a".into(), 2_i64.into(), Value::Null], "doors.open holds an integer, expected 0 or 1"),
            (columns, vec!["a".into(), Value::Null, Value::Null], "doors.open holds null, expected 0 or 1"),
            (
                columns,
                vec!["a".into(), true.into(), Value::Int(-1)],
                "doors.since holds an integer, expected milliseconds since 1970",
            ),
        ] {
            assert_eq!(rows(columns, &values).read::<Door>().unwrap_err().to_string(), sentence);
        }
    }
}
