//! The one text of a statement as each database spells it: tokens for types are replaced, mechanically.

use std::borrow::Cow;

/// A database, by how it spells.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Dialect {
    Sqlite,
    Postgres,
}

impl Dialect {
    /// `sql` in this spelling. PostgreSQL numbers its places `$1`, so no text of ours holds a question mark beside them.
    pub fn spell(self, sql: &'static str) -> Cow<'static, str> {
        let mut text = Cow::Borrowed(sql);
        if memchr::memchr(b'{', sql.as_bytes()).is_some() {
            for (token, spelled) in TOKENS {
                if text.contains(token) {
                    text = text.replace(token, spelled[self as usize]).into();
                }
            }
        }
        if self == Dialect::Postgres { text.replace('?', "$").into() } else { text }
    }
}

/// Tokens with what SQLite and PostgreSQL call it. Text is compared byte by byte on both.
const TOKENS: [(&str, [&str; 2]); 7] = [
    ("{int}", ["INTEGER", "BIGINT"]),
    ("{real}", ["REAL", "DOUBLE PRECISION"]),
    ("{text}", ["TEXT", "TEXT COLLATE \"C\""]),
    ("{blob}", ["BLOB", "BYTEA"]),
    // A number that the database gives, larger than those before it; rollbacks may leave holes.
    ("{identity}", ["INTEGER PRIMARY KEY", "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY"]),
    // After a table's columns: every value is of its column's type.
    ("{strict}", ["STRICT", ""]),
    // The same for a table that is read by its primary key alone, and lies in its order.
    ("{strict_by_key}", ["STRICT, WITHOUT ROWID", ""]),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_database_has_its_spelling() {
        let table = "CREATE TABLE t (n {identity}, a {int}, b {real}, c {text} DEFAULT '{}', d {blob}) {strict}";
        for (sql, sqlite, postgres) in [
            ("SELECT a FROM t WHERE b = ?1", "SELECT a FROM t WHERE b = ?1", "SELECT a FROM t WHERE b = $1"),
            ("SELECT CAST(sum(a) AS {int})", "SELECT CAST(sum(a) AS INTEGER)", "SELECT CAST(sum(a) AS BIGINT)"),
            (
                table,
                "CREATE TABLE t (n INTEGER PRIMARY KEY, a INTEGER, b REAL, c TEXT DEFAULT '{}', d BLOB) STRICT",
                "CREATE TABLE t (n BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, a BIGINT, b DOUBLE PRECISION, \
                 c TEXT COLLATE \"C\" DEFAULT '{}', d BYTEA) ",
            ),
            ("(a) {strict_by_key}", "(a) STRICT, WITHOUT ROWID", "(a) "),
        ] {
            assert_eq!(Dialect::Sqlite.spell(sql), sqlite);
            assert_eq!(Dialect::Postgres.spell(sql), postgres);
        }
        assert!(matches!(Dialect::Sqlite.spell("SELECT 1"), Cow::Borrowed(_)));
    }
}
