//! A librarian over shelves on disk and a database in memory.

use std::fs;
use std::path::Path;

use super::*;
use crate::app::job::Data;
use crate::app::kind::IMAGES;
use crate::app::sql::{Migration, Tables};
use crate::base::ids::Sid;
use crate::store::sqlite::Sqlite;

const SHELF: &str = "pictures";
const DAY_MS: u64 = 86_400_000;

const ALBUM: Tables = Tables {
    owner: "album",
    migrations: &[Migration { what: "the album", sql: "CREATE TABLE album (id {text} PRIMARY KEY) {strict};" }],
    statements: &[],
};

type Shared = Arc<Mutex<Sqlite>>;

fn database() -> Shared {
    Arc::new(Mutex::new(Sqlite::memory(&[&tables::TABLES, &ALBUM]).unwrap()))
}

/// A librarian over a shelf of 20 bytes and a day.
fn librarian(directory: &Path, database: &Shared) -> Librarian {
    let shelf = ShelfSettings { name: SHELF, quota_bytes: 20, ttl_ms: DAY_MS };
    let settings = Settings { shelves: vec![shelf], ..Settings::new("memory:", directory) };
    let mut librarian = Librarian::direct(&settings, database);
    librarian.shelves = Arc::new(Shelves::new(&settings, false));
    librarian.shelves.0[SHELF].sweep(&librarian.stocks[SHELF].1.files().collect()).unwrap();
    librarian
}

fn id(n: u64) -> Sid {
    Sid::parse(&format!("{n:020}")).unwrap()
}

/// Blob number `n` of so many bytes, like no other, written into the album as well.
fn keep(n: u64, bytes: usize) -> Keep {
    let mut data = b"GIF87a".to_vec();
    data.resize(bytes, n as u8);
    Keep {
        shelf: SHELF,
        id: id(n),
        at: WallMillis(n),
        data: Data::Raw(Bytes::from(data)),
        bytes_max: 100,
        kinds: IMAGES,
        write: vec![Statement::new("INSERT INTO album (id) VALUES (?1)").bind(id(n).as_str())],
    }
}

fn kept(librarian: &mut Librarian, keep: Keep, now: u64) -> Blob {
    match librarian.work(&Job::Keep(keep), WallMillis(now)) {
        Outcome::Kept(blob) => blob,
        other => panic!("{other:?}"),
    }
}

fn failed(librarian: &mut Librarian, keep: Keep) -> JobErrorKind {
    match librarian.work(&Job::Keep(keep), WallMillis(9)) {
        Outcome::Failed(error) => error.kind,
        other => panic!("{other:?}"),
    }
}

fn row(database: &Shared, n: u64) -> Option<Blob> {
    database.lock().read(&[tables::blob(SHELF, id(n).as_str())]).unwrap()[0].read().unwrap().pop()
}

fn is_in_album(database: &Shared, n: u64) -> bool {
    let question = Statement::new("SELECT id FROM album WHERE id = ?1").bind(id(n).as_str());
    !database.lock().read(&[question]).unwrap()[0].is_empty()
}

fn files(directory: &Path) -> usize {
    let folders = fs::read_dir(directory.join(SHELF)).into_iter().flatten().map(|entry| entry.unwrap().path());
    folders.map(|folder| fs::read_dir(folder).unwrap().count()).sum()
}

#[test]
fn the_oldest_make_room_and_lose_row_and_file_while_the_applications_rows_stay() {
    let (root, database) = (tempfile::tempdir().unwrap(), database());
    let mut librarian = librarian(root.path(), &database);
    let first = kept(&mut librarian, keep(1, 10), 1);
    assert_eq!(librarian.contents(&first).unwrap().len(), 10);
    kept(&mut librarian, keep(2, 10), 2);
    let third = kept(&mut librarian, keep(3, 8), 3);
    assert_eq!([1, 2, 3].map(|n| row(&database, n).is_some()), [false, true, true]);
    assert!([1, 2, 3].iter().all(|n| is_in_album(&database, *n)));
    assert_eq!(librarian.contents(&first).unwrap_err().kind(), io::ErrorKind::NotFound);
    assert_eq!((files(root.path()), row(&database, 3)), (2, Some(third)));
    let counters = librarian.status.counters();
    assert_eq!((counters.blobs, counters.blobs_dropped, counters.blob_bytes), (3, 1, 18));
}

#[test]
fn the_same_bytes_are_one_file_that_leaves_with_its_last_blob() {
    let (root, database) = (tempfile::tempdir().unwrap(), database());
    let mut librarian = librarian(root.path(), &database);
    let again = |n| Keep { data: keep(1, 15).data, ..keep(n, 15) };
    let (first, second) = (kept(&mut librarian, again(1), 1), kept(&mut librarian, again(2), 2));
    assert_eq!((first.file == second.file, files(root.path())), (true, 1));
    assert_eq!(librarian.work(&Job::Drop { shelf: SHELF, id: id(1) }, WallMillis(3)), Outcome::Written(vec![]));
    assert_eq!((row(&database, 1), librarian.contents(&second).unwrap().len()), (None, 15));
    // What is not there is forgotten already.
    assert!(librarian.work(&Job::Drop { shelf: SHELF, id: id(1) }, WallMillis(3)).is_written());
    assert!(librarian.work(&Job::Drop { shelf: SHELF, id: id(2) }, WallMillis(3)).is_written());
    assert_eq!((files(root.path()), librarian.status.counters().blob_bytes), (0, 0));
}

#[test]
fn a_part_of_a_blob_is_read_by_itself() {
    let (root, database) = (tempfile::tempdir().unwrap(), database());
    let mut on_disk = librarian(root.path(), &database);
    let blob = kept(&mut on_disk, keep(1, 10), 1);
    let whole = on_disk.contents(&blob).unwrap();
    let in_memory = Shelf::Memory(Mutex::default());
    in_memory.keep(&blob.file, &whole).unwrap();
    for (part, expected) in
        [(0..10, 0..10), (3..7, 3..7), (9..u64::MAX, 9..10), (10..11, 10..10), (20..30, 10..10), (4..4, 4..4)]
    {
        assert_eq!(on_disk.shelves.part(&blob, part.clone()).unwrap(), whole[expected.clone()], "{part:?}");
        assert_eq!(in_memory.fetch(&blob.file, part.clone()).unwrap(), whole[expected], "{part:?} in memory");
    }
}

#[test]
fn age_takes_blobs_too() {
    let (root, database) = (tempfile::tempdir().unwrap(), database());
    let mut librarian = librarian(root.path(), &database);
    kept(&mut librarian, keep(1, 6), 1);
    librarian.expire(WallMillis(DAY_MS));
    assert!(row(&database, 1).is_some());
    librarian.expire(WallMillis(DAY_MS + 1));
    assert_eq!((row(&database, 1), files(root.path())), (None, 0));
}

#[test]
fn refusals_leave_nothing_behind() {
    let (root, database) = (tempfile::tempdir().unwrap(), database());
    let mut librarian = librarian(root.path(), &database);
    kept(&mut librarian, keep(1, 6), 1);
    let bad_row = vec![Statement::new("INSERT INTO album (id) VALUES (?1)")];
    for (keep, kind) in [
        (keep(1, 7), JobErrorKind::Invalid),
        (keep(2, 21), JobErrorKind::Full),
        (keep(2, 101), JobErrorKind::Invalid),
        (Keep { shelf: "cupboard", ..keep(2, 6) }, JobErrorKind::Invalid),
        (Keep { write: bad_row, ..keep(2, 7) }, JobErrorKind::Invalid),
    ] {
        assert_eq!(failed(&mut librarian, keep), kind);
    }
    let taken = Statement::new("DELETE FROM album WHERE id = 'nobody'").touching(1);
    let conflict = librarian.work(&Job::Keep(Keep { write: vec![taken], ..keep(2, 7) }), WallMillis(2));
    assert_eq!(conflict, Outcome::Conflict { statement: 0 }, "by the number the asker knows");
    librarian.commit = Box::new(|_| Outcome::Failed(JobError::new(JobErrorKind::Busy, "")));
    assert_eq!(failed(&mut librarian, keep(2, 7)), JobErrorKind::Busy);
    assert_eq!((files(root.path()), row(&database, 2), is_in_album(&database, 2)), (1, None, false));
    assert_eq!(librarian.status.counters().blob_failures, 7);
}

#[test]
fn f09_a_blob_on_a_full_disk_is_answered_full_and_leaves_nothing_behind() {
    let (root, database) = (tempfile::tempdir().unwrap(), database());
    let mut librarian = librarian(root.path(), &database);
    let sound = Arc::clone(&librarian.shelves);
    librarian.shelves = Arc::new(Shelves(BTreeMap::from([(SHELF, Shelf::Full)])));
    assert_eq!(failed(&mut librarian, keep(1, 6)), JobErrorKind::Full);
    // The file has found room, its row has not.
    librarian.shelves = sound;
    let commit = std::mem::replace(&mut librarian.commit, Box::new(|_| Outcome::Failed(full())));
    assert_eq!(failed(&mut librarian, keep(1, 6)), JobErrorKind::Full);
    assert_eq!((files(root.path()), row(&database, 1), is_in_album(&database, 1)), (0, None, false));
    librarian.commit = commit;
    kept(&mut librarian, keep(1, 6), 1);
}

/// A file that comes in pieces, to be blob number `n`.
fn coming(n: u64) -> Slot {
    let take = Take { shelf: SHELF, id: id(n), at: WallMillis(n), bytes_max: 100, kinds: IMAGES, bounds: &[] };
    Slot::new(Mutex::new(Upload { take, state: State::Awaited }))
}

fn append(librarian: &mut Librarian, slot: &Slot, bytes: &'static [u8]) -> Outcome {
    librarian.run_errand(Errand::Append(slot.clone(), Bytes::from_static(bytes)), WallMillis(9))
}

fn finish(librarian: &mut Librarian, slot: &Slot) -> Outcome {
    librarian.run_errand(Errand::Finish(slot.clone(), "image/gif"), WallMillis(9))
}

fn abandon(librarian: &mut Librarian, slot: &Slot) {
    assert!(librarian.run_errand(Errand::Abandon(slot.clone()), WallMillis(9)).is_written());
}

fn fault(outcome: Outcome) -> JobErrorKind {
    if let Outcome::Failed(error) = outcome { error.kind } else { panic!("{outcome:?}") }
}

#[test]
fn an_upload_is_a_blob_once_it_is_whole_and_its_bytes_are_kept_once() {
    let (root, database) = (tempfile::tempdir().unwrap(), database());
    let mut librarian = librarian(root.path(), &database);
    for n in [1, 2] {
        let slot = coming(n);
        assert!(append(&mut librarian, &slot, b"GIF87a").is_written());
        assert!(append(&mut librarian, &slot, b" more").is_written());
        assert_eq!((row(&database, n), files(root.path())), (None, n as usize), "only a part so far");
        let Outcome::Kept(blob) = finish(&mut librarian, &slot) else { panic!("it is not kept") };
        assert_eq!((row(&database, n), files(root.path())), (Some(blob.clone()), 1));
        assert_eq!(&librarian.contents(&blob).unwrap()[..], b"GIF87a more");
    }
    let same = Keep { data: Data::Raw(Bytes::from_static(b"GIF87a more")), ..keep(3, 6) };
    assert_eq!(kept(&mut librarian, same, 9).sha256, row(&database, 1).unwrap().sha256, "hashed alike");
}

#[test]
fn an_upload_that_is_given_up_leaves_nothing_however_far_it_was() {
    let (root, database) = (tempfile::tempdir().unwrap(), database());
    let mut librarian = librarian(root.path(), &database);
    abandon(&mut librarian, &coming(1));
    let slot = coming(2);
    append(&mut librarian, &slot, b"GIF87a");
    assert_eq!(files(root.path()), 1);
    abandon(&mut librarian, &slot);
    assert_eq!(files(root.path()), 0);
    assert_eq!(fault(append(&mut librarian, &slot, b"GIF87a")), JobErrorKind::Unavailable);
    assert_eq!(fault(finish(&mut librarian, &slot)), JobErrorKind::Unavailable);
    // It is a blob by now, and the one who brought it has not heard so.
    let (other, slot) = (coming(3), coming(4));
    for slot in [&other, &slot] {
        append(&mut librarian, slot, b"GIF87a");
        assert!(matches!(finish(&mut librarian, slot), Outcome::Kept(_)));
    }
    abandon(&mut librarian, &slot);
    assert_eq!((row(&database, 4), row(&database, 3).is_some(), files(root.path())), (None, true, 1));
    abandon(&mut librarian, &other);
    assert_eq!((row(&database, 3), files(root.path())), (None, 0));
    // Dropped without a word, as where nobody takes errands any more.
    let slot = coming(5);
    append(&mut librarian, &slot, b"GIF87a");
    drop(slot);
    assert_eq!(files(root.path()), 0);
}

#[test]
fn f09_an_upload_that_finds_no_room_is_answered_full_and_leaves_nothing_behind() {
    let (root, database) = (tempfile::tempdir().unwrap(), database());
    let mut librarian = librarian(root.path(), &database);
    let sound = Arc::clone(&librarian.shelves);
    librarian.shelves = Arc::new(Shelves(BTreeMap::from([(SHELF, Shelf::Full)])));
    assert_eq!(fault(append(&mut librarian, &coming(1), b"GIF87a")), JobErrorKind::Full);
    librarian.shelves = sound;
    // More than the whole shelf may hold is not written first.
    let slot = coming(2);
    append(&mut librarian, &slot, b"GIF87a and so on");
    assert_eq!(fault(append(&mut librarian, &slot, b"12345")), JobErrorKind::Full);
    assert_eq!(files(root.path()), 0);
    // The file has found room, its row has not.
    let slot = coming(3);
    append(&mut librarian, &slot, b"GIF87a");
    let commit = std::mem::replace(&mut librarian.commit, Box::new(|_| Outcome::Failed(full())));
    assert_eq!(fault(finish(&mut librarian, &slot)), JobErrorKind::Full);
    assert_eq!((files(root.path()), row(&database, 3)), (0, None));
    librarian.commit = commit;
    // A shelf that nobody has declared.
    let slot = coming(4);
    slot.lock().take.shelf = "elsewhere";
    assert_eq!(fault(append(&mut librarian, &slot, b"")), JobErrorKind::Invalid);
}

fn full() -> JobError {
    JobError::new(JobErrorKind::Full, "disk full")
}

#[test]
fn stock_is_taken_at_a_start_and_orphans_are_swept_up() {
    let (root, database) = (tempfile::tempdir().unwrap(), database());
    kept(&mut librarian(root.path(), &database), keep(1, 15), 1);
    let orphan = root.path().join(SHELF).join("00").join("0".repeat(64));
    fs::create_dir_all(orphan.parent().unwrap()).unwrap();
    fs::write(&orphan, "x").unwrap();
    let mut again = librarian(root.path(), &database);
    assert!(!orphan.exists());
    assert_eq!(again.stocks[SHELF].1.bytes(), 15);
    kept(&mut again, keep(2, 6), 2);
    assert_eq!(row(&database, 1), None);
}
