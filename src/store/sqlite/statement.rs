//! One statement on one connection: its values bound, run, and its rows taken. A statement at fault says so to its asker,
//! and to nobody else.

use rusqlite::types::{ToSql, ToSqlOutput, ValueRef};
use rusqlite::{CachedStatement, Connection, ErrorCode};

use super::job_error;
use crate::app::job::{JobError, JobErrorKind};
use crate::app::sql::{Dialect, Rows, Statement, Value};

/// What a statement did.
pub(super) struct Done {
    /// Rows it touched, or gave back.
    pub touched: u64,
    /// `None` where it gives none by its nature.
    pub rows: Option<Rows>,
}

/// Questions of one read, all answered from one moment.
pub(super) fn read(connection: &Connection, questions: &[Statement]) -> Result<Vec<Rows>, JobError> {
    let all = || questions.iter().enumerate().map(|(at, question)| ask(connection, question, at)).collect();
    if questions.len() <= 1 {
        return all();
    }
    let moment = connection.unchecked_transaction().map_err(|error| job_error(&error))?;
    let answers = all()?;
    moment.commit().map_err(|error| job_error(&error))?;
    Ok(answers)
}

fn ask(connection: &Connection, question: &Statement, at: usize) -> Result<Rows, JobError> {
    let mut prepared = prepare(connection, question).map_err(|error| about(question, at, error))?;
    if !prepared.readonly() {
        return Err(about(question, at, invalid("a question writes nothing".to_owned())));
    }
    rows(&mut prepared).map_err(|error| about(question, at, error))
}

/// Runs statement number `at` of a write.
pub(super) fn run(connection: &Connection, statement: &Statement, at: usize) -> Result<Done, JobError> {
    let done = prepare(connection, statement).and_then(|mut prepared| {
        if prepared.column_count() > 0 {
            let rows = rows(&mut prepared)?;
            return Ok(Done { touched: rows.len() as u64, rows: Some(rows) });
        }
        let touched = prepared.raw_execute().map_err(|error| fault(&error))?;
        Ok(Done { touched: touched as u64, rows: None })
    });
    done.map_err(|error| about(statement, at, error))
}

fn prepare<'a>(connection: &'a Connection, statement: &Statement) -> Result<CachedStatement<'a>, JobError> {
    let sql = Dialect::Sqlite.spell(statement.sql());
    let mut prepared = connection.prepare_cached(&sql).map_err(|error| fault(&error))?;
    let (places, values) = (prepared.parameter_count(), statement.values());
    if places != values.len() {
        return Err(invalid(format!("it has places for {places} values, and {} are bound", values.len())));
    }
    for (number, value) in (1..).zip(values) {
        if let Some(fault) = value.fault() {
            return Err(invalid(format!("value {number} is {fault}")));
        }
        prepared.raw_bind_parameter(number, Bound(value)).map_err(|error| fault(&error))?;
    }
    Ok(prepared)
}

fn rows(prepared: &mut CachedStatement<'_>) -> Result<Rows, JobError> {
    let columns: Vec<Box<str>> = prepared.column_names().into_iter().map(Into::into).collect();
    let mut values = Vec::new();
    let mut rows = prepared.raw_query();
    while let Some(row) = rows.next().map_err(|error| fault(&error))? {
        for (at, name) in columns.iter().enumerate() {
            values.push(match row.get_ref(at).map_err(|error| fault(&error))? {
                ValueRef::Null => Value::Null,
                ValueRef::Integer(number) => Value::Int(number),
                ValueRef::Real(number) => Value::Real(number),
                ValueRef::Blob(bytes) => Value::Blob(bytes::Bytes::copy_from_slice(bytes)),
                ValueRef::Text(text) => std::str::from_utf8(text).map(Value::from).map_err(|error| {
                    JobError::new(JobErrorKind::Unavailable, format!("`{name}` holds text that is none: {error}"))
                })?,
            });
        }
    }
    Ok(Rows::new(columns, values))
}

/// A value without a copy.
struct Bound<'a>(&'a Value);

impl ToSql for Bound<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self.0 {
            Value::Null | Value::Beyond(_) => ValueRef::Null,
            Value::Int(number) => ValueRef::Integer(*number),
            Value::Real(number) => ValueRef::Real(*number),
            Value::Text(text) => ValueRef::Text(text.as_bytes()),
            Value::Blob(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

/// What SQLite says of the statement itself (no such table, another type, two statements in one) is its asker's fault.
fn fault(error: &rusqlite::Error) -> JobError {
    let about_it = matches!(
        error.sqlite_error_code(),
        None | Some(ErrorCode::Unknown | ErrorCode::TypeMismatch | ErrorCode::ParameterOutOfRange)
    );
    if about_it { invalid(format!("database: {error}")) } else { job_error(error) }
}

fn invalid(text: String) -> JobError {
    JobError { kind: JobErrorKind::Invalid, text }
}

/// Which statement, by number and first words.
fn about(statement: &Statement, at: usize, error: JobError) -> JobError {
    let words: Vec<&str> = statement.sql().split_whitespace().take(WORDS_TOLD_MAX).collect();
    JobError { text: format!("statement {at}, `{} …`: {}", words.join(" "), error.text), ..error }
}

const WORDS_TOLD_MAX: usize = 4;
