//! What a disk may do to the file: it is full, it loses the end of the log, it changes a byte of it.

use std::fs;
use std::path::Path;

use super::Sqlite;
use crate::app::effect::{JobErrorKind, Outcome, Query, Write};
use crate::app::kit::audit::Entry;
use crate::base::rng::Rng;
use crate::base::time::WallMillis;
use crate::store::{Batch, Bounds, Repository};

fn open(path: &Path) -> Sqlite {
    Sqlite::open(path, Bounds::default()).unwrap()
}

/// The `n`th row, long enough for a page to hold few of them.
fn row(n: u64) -> Batch {
    let text = || format!("{n} ").repeat(100);
    let entry = Entry {
        at: WallMillis(n),
        domain: "d".to_owned(),
        actor: text(),
        ip: String::new(),
        user_agent: text(),
        action: String::new(),
        target: text(),
        outcome: String::new(),
        details: "{}".to_owned(),
    };
    Batch::Writes(vec![Write::Audit(entry)].into())
}

/// The rows there are, oldest first; each must be what was written.
fn rows(store: &mut Sqlite) -> Vec<u64> {
    let Ok(Outcome::Audit(mut entries)) = store.read(&Query::Audit { domain: "d".to_owned(), limit: 1_000 }) else {
        panic!("it cannot be read");
    };
    entries.reverse();
    let number = |entry: &Entry| {
        assert_eq!(row(entry.at.0), Batch::Writes(vec![Write::Audit(entry.clone())].into()));
        entry.at.0
    };
    entries.iter().map(number).collect()
}

#[test]
fn f09_a_full_disk_is_answered_full_and_room_makes_it_work_again() {
    let root = tempfile::tempdir().unwrap();
    let mut store = open(&root.path().join("siod.db"));
    let pages_max = |store: &mut Sqlite, pages: u32| {
        store.connection.as_ref().unwrap().pragma_update(None, "max_page_count", pages).unwrap();
    };
    pages_max(&mut store, 40);
    let full = (0..).find_map(|n| {
        let error = match store.commit(&[&row(n)]) {
            Ok(results) => results.into_iter().find_map(Result::err),
            Err(error) => Some(error),
        };
        error.map(|error| (n, error))
    });
    let (written, error) = full.unwrap();
    assert_eq!(error.kind, JobErrorKind::Full, "{error:?}");
    assert_eq!(rows(&mut store), (0..written).collect::<Vec<u64>>());
    pages_max(&mut store, 10_000);
    assert_eq!(store.commit(&[&row(written)]), Ok(vec![Ok(())]));
    assert_eq!(rows(&mut store), (0..=written).collect::<Vec<u64>>());
}

#[test]
fn f03_a_log_that_is_torn_or_changed_gives_a_prefix_of_what_was_written() {
    let root = tempfile::tempdir().unwrap();
    let (path, log) = (root.path().join("siod.db"), root.path().join("siod.db-wal"));
    let mut store = open(&path);
    for n in 0..60 {
        assert_eq!(store.commit(&[&row(n)]), Ok(vec![Ok(())]));
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
        let rows = rows(&mut open(&copy));
        assert_eq!(rows, (0..rows.len() as u64).collect::<Vec<u64>>(), "round {round}, byte {at}");
        lost += u32::from(rows.len() < 60);
    }
    assert!(lost > 10, "the log was damaged in earnest");
}
