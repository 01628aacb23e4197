//! What a disk may do to the file, what may be wrong with it at a start, and what a statement may be wrong in.

use std::fs;
use std::path::Path;

use super::Sqlite;
use crate::app::job::{JobError, JobErrorKind, Outcome};
use crate::app::kit::audit::{self, Entry};
use crate::app::sql::{Migration, Statement, Tables, Value};
use crate::base::rng::Rng;
use crate::base::time::WallMillis;
use crate::store::{OpenError, Repository, tables};

const DOORS: Tables = Tables {
    owner: "doors",
    migrations: &[Migration {
        what: "the doors",
        sql: "CREATE TABLE doors (seq {identity}, name {text} NOT NULL UNIQUE, open {int} NOT NULL) {strict};",
    }],
    statements: &[],
};

fn open(path: &Path) -> Sqlite {
    Sqlite::open(path, &[&tables::TABLES, &DOORS]).unwrap()
}

fn in_memory() -> Sqlite {
    Sqlite::memory(&[&tables::TABLES, &DOORS]).unwrap()
}

/// The `n`th entry, long enough for a page to hold few of them.
fn entry(n: u64) -> Entry {
    let text = || format!("{n} ").repeat(100);
    Entry {
        at: WallMillis(n),
        domain: "d".to_owned(),
        actor: text(),
        ip: String::new(),
        user_agent: text(),
        action: String::new(),
        target: text(),
        outcome: String::new(),
        details: "{}".to_owned(),
    }
}

fn commit(store: &mut Sqlite, write: &[Statement]) -> Result<Outcome, JobError> {
    store.commit(&[write]).map(|mut outcomes| outcomes.remove(0))
}

/// The entries there are, oldest first; each must be what was written.
fn entries(store: &mut Sqlite) -> Vec<u64> {
    let mut entries: Vec<Entry> = store.read(&[audit::newest("d", 1_000)]).unwrap()[0].read().unwrap();
    entries.reverse();
    entries.iter().for_each(|found| assert_eq!(*found, entry(found.at.0)));
    entries.iter().map(|entry| entry.at.0).collect()
}

fn door(name: &str, open: bool) -> Statement {
    Statement::new("INSERT INTO doors (name, open) VALUES (?1, ?2)").bind(name).bind(open)
}

fn doors(store: &mut Sqlite) -> Vec<Value> {
    let rows = store.read(&[Statement::new("SELECT name AS id FROM doors ORDER BY name")]).unwrap();
    rows[0].read::<Cell>().unwrap().into_iter().map(|cell| cell.0).collect()
}

/// A column `id` of any kind.
struct Cell(Value);

impl crate::app::sql::FromRow for Cell {
    const TABLE: &'static str = "doors";
    fn from_row(row: &mut crate::app::sql::Row<'_>) -> Result<Cell, crate::app::sql::RowError> {
        Ok(Cell(row.get("id")?))
    }
}

impl crate::app::sql::FromValue for Value {
    const EXPECTED: &'static str = "anything";
    fn from_value(value: &Value) -> Option<Value> {
        Some(value.clone())
    }
}

#[test]
fn f09_a_full_disk_is_answered_full_and_room_makes_it_work_again() {
    let root = tempfile::tempdir().unwrap();
    let mut store = open(&root.path().join("siod.db"));
    let pages_max = |store: &mut Sqlite, pages: u32| {
        store.connection.as_ref().unwrap().pragma_update(None, "max_page_count", pages).unwrap();
    };
    pages_max(&mut store, 40);
    let full = (0..).find_map(|n| match commit(&mut store, &[entry(n).add()]) {
        Ok(Outcome::Written(_)) => None,
        Ok(Outcome::Failed(error)) | Err(error) => Some((n, error)),
        other => panic!("{other:?}"),
    });
    let (written, error) = full.unwrap();
    assert_eq!(error.kind, JobErrorKind::Full, "{error:?}");
    assert_eq!(entries(&mut store), (0..written).collect::<Vec<u64>>());
    pages_max(&mut store, 10_000);
    assert_eq!(commit(&mut store, &[entry(written).add()]), Ok(Outcome::Written(vec![])));
    assert_eq!(entries(&mut store), (0..=written).collect::<Vec<u64>>());
}

#[test]
fn f03_a_log_that_is_torn_or_changed_gives_a_prefix_of_what_was_written() {
    let root = tempfile::tempdir().unwrap();
    let (path, log) = (root.path().join("siod.db"), root.path().join("siod.db-wal"));
    let mut store = open(&path);
    for n in 0..60 {
        assert_eq!(commit(&mut store, &[entry(n).add()]), Ok(Outcome::Written(vec![])));
    }
    // As a crash leaves it: the connection is never closed.
    let (database, whole) = (fs::read(&path).unwrap(), fs::read(&log).unwrap());
    assert!(whole.len() > 60 * 4096);
    let mut rng = Rng::from_seed([3; 32]);
    let mut lost = 0;
    for round in 0..40 {
        let mut torn = whole.clone();
        let at = rng.below(torn.len() as u32) as usize;
        match round % 2 {
            0 => torn.truncate(at),
            _ => torn[at] ^= 1 + rng.below(255) as u8,
        }
        let copy = root.path().join(format!("copy-{round}.db"));
        fs::write(&copy, &database).unwrap();
        fs::write(root.path().join(format!("copy-{round}.db-wal")), &torn).unwrap();
        let rows = entries(&mut open(&copy));
        assert_eq!(rows, (0..rows.len() as u64).collect::<Vec<u64>>(), "round {round}, byte {at}");
        lost += u32::from(rows.len() < 60);
    }
    assert!(lost > 10, "the log was damaged in earnest");
}

/// What is wrong with a statement is told its asker, undoes its whole write, and hurts nobody else in the group.
#[test]
fn a_statement_at_fault_is_invalid_and_leaves_no_trace() {
    let beyond = u64::MAX;
    for (statement, said) in [
        (door("b", true).bind(1_u32), "it has places for 2 values, and 3 are bound"),
        (Statement::new("INSERT INTO doors (name, open) VALUES (?1, ?2)").bind("b"), "places for 2 values, and 1 are"),
        (Statement::new("INSERT INTO doors (name, open) VALUES (?1, 0)").bind("a\0b"), "value 1 is text with a NUL"),
        (
            Statement::new("UPDATE doors SET open = ?1").bind(beyond),
            "statement 1, `UPDATE doors SET open …`: value 1 is a number beyond 63 bits",
        ),
        (Statement::new("UPDATE windows SET open = 1"), "no such table: windows"),
        (Statement::new("UPDATE doors SET wide = 1"), "no such column: wide"),
        (Statement::new("UPDATE doors"), "incomplete input"),
        (Statement::new("DELETE FROM doors; DELETE FROM audit"), "Multiple statements"),
        (Statement::new("UPDATE doors SET open = ?1").bind("wide"), "cannot store TEXT value in INTEGER column"),
        (door("a", true), "UNIQUE constraint failed"),
    ] {
        let mut store = in_memory();
        let (before, bad, good) = ([door("a", true)], [door("c", true), statement], [door("d", true)]);
        let outcomes = store.commit(&[&before, &bad, &good]).unwrap();
        let Outcome::Failed(error) = &outcomes[1] else { panic!("{said}: {outcomes:?}") };
        assert_eq!(error.kind, JobErrorKind::Invalid, "{error:?}");
        assert!(error.text.contains(said), "{error:?}, expected {said}");
        assert!(outcomes[0].is_written() && outcomes[2].is_written());
        assert_eq!(doors(&mut store), ["a".into(), "d".into()], "{said}");
    }
}

#[test]
fn a_question_at_fault_is_invalid_and_writes_nothing() {
    let mut store = in_memory();
    for (question, said) in [
        (Statement::new("SELECT name FROM doors WHERE open = ?1"), "places for 1 values, and 0 are"),
        (Statement::new("SELECT name FROM windows"), "no such table: windows"),
        (door("a", true), "a question writes nothing"),
        (Statement::new("DELETE FROM doors RETURNING seq"), "a question writes nothing"),
    ] {
        let good = || Statement::new("SELECT 1");
        let error = store.read(&[good(), question.clone(), good()]).unwrap_err();
        assert_eq!(error.kind, JobErrorKind::Invalid, "{error:?}");
        assert!(error.text.starts_with("statement 1, ") && error.text.contains(said), "{error:?}, expected {said}");
        assert_eq!(store.read(&[question]).unwrap_err().kind, JobErrorKind::Invalid);
    }
    assert_eq!(doors(&mut store), []);
}

#[test]
fn a_demand_that_is_not_met_is_a_conflict_and_undoes_the_whole_write() {
    let mut store = in_memory();
    assert!(commit(&mut store, &[door("a", false), door("b", false)]).unwrap().is_written());
    let shut = |name: &str| Statement::new("UPDATE doors SET open = 0 WHERE name = ?1 AND open = 1").bind(name);
    let take = |open: bool| Statement::new("DELETE FROM doors WHERE open = ?1 RETURNING name AS id").bind(open);
    for (demanding, expected) in [
        (shut("a").touching(1), Outcome::Conflict { statement: 1 }),
        (take(false).touching(1), Outcome::Conflict { statement: 1 }),
        (shut("a").touching(0), Outcome::Written(vec![])),
        (door("c", true).touching(1), Outcome::Written(vec![])),
    ] {
        let write = [door("x", true), demanding, Statement::new("DELETE FROM doors WHERE name = 'x'")];
        assert_eq!(commit(&mut store, &write), Ok(expected));
    }
    assert_eq!(doors(&mut store), ["a".into(), "b".into(), "c".into()]);
    let taken = commit(&mut store, &[shut("c").touching(1), take(false).touching(3)]).unwrap();
    let names: Vec<Value> = taken.rows::<Cell>(1).unwrap().into_iter().map(|cell| cell.0).collect();
    assert_eq!(names, ["a".into(), "b".into(), "c".into()]);
    assert_eq!(taken.rows::<Cell>(0).unwrap().len(), 0, "a statement without RETURNING gives no rows");
}

#[test]
fn a_statement_reads_the_number_an_earlier_one_was_given_and_all_kinds_of_values_come_back() {
    let mut store = in_memory();
    let number = "SELECT (SELECT seq FROM doors WHERE name = ?1) AS id";
    let write = [door("a", true), Statement::new(number).bind("a")];
    let given = commit(&mut store, &write).unwrap();
    assert_eq!(given.rows::<Cell>(1).unwrap()[0].0, Value::Int(1));
    for value in [
        Value::Null,
        Value::Int(i64::MIN),
        Value::Real(-0.5),
        Value::from("ñ'\"%_"),
        Value::Blob(vec![0, 255].into()),
        Value::Text("".into()),
    ] {
        let rows = store.read(&[Statement::new("SELECT ?1 AS id").bind(value.clone())]).unwrap();
        assert_eq!(rows[0].read::<Cell>().unwrap()[0].0, value);
    }
}

/// Steps that build on each other, the second of which can be broken.
const WINDOWS: [Tables; 3] = {
    const FIRST: Migration = Migration { what: "the windows", sql: "CREATE TABLE windows (name {text}) {strict};" };
    const GOOD: Migration = Migration { what: "panes", sql: "ALTER TABLE windows ADD COLUMN panes {int};" };
    const BROKEN: Migration = Migration {
        what: "panes of glass",
        sql: "ALTER TABLE windows ADD COLUMN panes {int}; INSERT INTO windows VALUES ('a', 'glass');",
    };
    const fn windows(migrations: &'static [Migration]) -> Tables {
        Tables { owner: "windows", migrations, statements: &[] }
    }
    [windows(&[FIRST]), windows(&[FIRST, GOOD]), windows(&[FIRST, BROKEN])]
};

#[test]
fn a_migration_that_fails_half_way_changes_nothing_and_is_named() {
    let [first, second, broken] = &WINDOWS;
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("siod.db");
    drop(Sqlite::open(&path, &[&tables::TABLES, first]).unwrap());
    let before = fs::read(&path).unwrap();
    // Doors come first and are sound; they are undone as well.
    let refusal = Sqlite::open(&path, &[&tables::TABLES, &DOORS, broken]).err().unwrap();
    let sentence = refusal.to_string();
    let expected = "siod.db cannot be brought up to date, step 2 of the tables of `windows` (panes of glass): ";
    assert!(sentence.contains(expected) && sentence.ends_with("; it was left untouched"), "{sentence}");
    assert!(fs::read(&path).unwrap() == before, "the file was changed");

    let mut store = Sqlite::open(&path, &[&tables::TABLES, &DOORS, second]).unwrap();
    assert!(commit(&mut store, &[Statement::new("INSERT INTO windows VALUES ('a', 4)")]).unwrap().is_written());
    assert!(commit(&mut store, &[door("a", true)]).unwrap().is_written());
    // Not even a new file comes of steps that fail.
    let new = root.path().join("new.db");
    assert!(matches!(Sqlite::open(&new, &[&tables::TABLES, broken]), Err(OpenError::Unusable { .. })));
    assert!(!new.exists());
    assert!(matches!(Sqlite::memory(&[&tables::TABLES, broken]), Err(OpenError::Unusable { .. })));
}

#[test]
fn a_database_newer_than_the_binary_is_refused_whoever_of_it_is_newer() {
    let [first, second, _] = &WINDOWS;
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("siod.db");
    drop(Sqlite::open(&path, &[&tables::TABLES, second]).unwrap());
    let before = fs::read(&path).unwrap();
    let sentence = Sqlite::open(&path, &[&tables::TABLES, first]).err().unwrap().to_string();
    let expected = "was written by a newer siod (tables of `windows`: schema 2; this one knows 1): start that version";
    assert!(sentence.contains(expected), "{sentence}");
    assert!(fs::read(&path).unwrap() == before, "the file was changed");
    // Tables of an application that is not asked for are nobody's business.
    drop(Sqlite::open(&path, &[&tables::TABLES]).unwrap());

    rusqlite::Connection::open(&path).unwrap().pragma_update(None, "user_version", 3).unwrap();
    let sentence = Sqlite::open(&path, &[&tables::TABLES, second]).err().unwrap().to_string();
    assert!(sentence.contains("newer siod (schema 3; this one knows 2)"), "{sentence}");
}
