//! The store as its askers meet it, with its threads.

use std::sync::mpsc;

use bytes::Bytes;

use super::*;
use crate::app::job::{Blob, Data, Job, JobErrorKind, Keep};
use crate::app::kind::IMAGES;
use crate::app::sql::{FromRow, Migration, Row, RowError};
use crate::base::ids::Sid;
use crate::base::time::WallMillis;

const ALBUM: Tables = Tables {
    owner: "album",
    migrations: &[Migration {
        what: "the album",
        sql: "CREATE TABLE album (id {text} PRIMARY KEY, stars {int} NOT NULL) {strict};",
    }],
    statements: &[],
};

#[derive(Debug, PartialEq)]
struct Page {
    id: String,
    stars: u32,
}

impl FromRow for Page {
    const TABLE: &'static str = "album";
    fn from_row(row: &mut Row<'_>) -> Result<Page, RowError> {
        Ok(Page { id: row.get("id")?, stars: row.get("stars")? })
    }
}

fn settings(url: &str, data_dir: &Path, quota_bytes: u64) -> Settings {
    let shelf = ShelfSettings { name: "pictures", quota_bytes, ttl_ms: u64::MAX };
    Settings { tables: vec![&ALBUM], shelves: vec![shelf], ..Settings::new(url, data_dir) }
}

/// A store on disk and one in memory.
fn each(quota_bytes: u64, case: impl Fn(&Store)) {
    let root = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", root.path().join("siod.db").display());
    for url in [&*url, "memory:"] {
        let store = Store::open(&settings(url, root.path(), quota_bytes)).unwrap();
        case(&store);
        store.close();
    }
}

fn submit(store: &Store, job: Job) -> mpsc::Receiver<Outcome> {
    let (sender, answer) = mpsc::channel();
    store.submit(job, Box::new(move |outcome| sender.send(outcome).unwrap()));
    answer
}

fn done(store: &Store, job: Job) -> Outcome {
    submit(store, job).recv().unwrap()
}

fn page(id: &str, stars: u32) -> Statement {
    Statement::new("INSERT INTO album (id, stars) VALUES (?1, ?2)").bind(id).bind(stars)
}

fn picture(n: u64, bytes: usize) -> Job {
    let mut data = b"GIF87a".to_vec();
    data.resize(bytes, n as u8);
    let id = Sid::parse(&format!("{n:020}")).unwrap();
    let (data, write) = (Data::Raw(Bytes::from(data)), vec![page(id.as_str(), 1)]);
    Job::Keep(Keep { shelf: "pictures", id, at: WallMillis(n), data, bytes_max: 100, kinds: IMAGES, write })
}

#[test]
fn what_is_written_is_read_and_what_cannot_be_is_said() {
    each(100, |store| {
        assert_eq!(done(store, Job::Write(vec![page("a", 3), page("b", 1)].into())), Outcome::Written(vec![]));
        let questions = || {
            vec![
                Statement::new("SELECT id, stars FROM album ORDER BY id"),
                Statement::new("SELECT CAST(sum(stars) AS {int}) AS id FROM album"),
            ]
        };
        let answer = done(store, Job::Read(questions()));
        let pages = vec![Page { id: "a".into(), stars: 3 }, Page { id: "b".into(), stars: 1 }];
        assert_eq!(answer.rows::<Page>(0), Ok(pages));
        // A row of another shape.
        let error = answer.rows::<Page>(1).unwrap_err();
        assert_eq!((error.kind, &*error.text), (JobErrorKind::Unavailable, "album.id holds an integer, expected text"));

        let Outcome::Failed(error) = done(store, Job::Write(vec![page("c", 1).bind(1_u32)].into())) else { panic!() };
        assert_eq!(error.kind, JobErrorKind::Invalid);
        assert_eq!(store.health(), Health::Ok, "who asks wrongly does not make the store ill");
        let raise = Statement::new("UPDATE album SET stars = 5 WHERE stars = 4").touching(1);
        assert_eq!(done(store, Job::Write(vec![page("c", 1), raise].into())), Outcome::Conflict { statement: 1 });
        assert_eq!(store.counters().write_failures, 1, "a conflict is an answer");
        assert_eq!(done(store, Job::Read(questions())).rows::<Page>(0).unwrap().len(), 2);
    });
}

#[test]
fn a_quota_that_is_reached_in_the_middle_of_two_writers_takes_the_older_ones_blob_and_leaves_its_rows() {
    each(20, |store| {
        // Both are on their way before either is kept.
        let answers = [submit(store, picture(1, 15)), submit(store, picture(2, 15))];
        let kept: Vec<Blob> = answers
            .into_iter()
            .map(|answer| match answer.recv().unwrap() {
                Outcome::Kept(blob) => blob,
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(store.contents(&kept[0]).unwrap_err().kind(), std::io::ErrorKind::NotFound);
        assert_eq!(store.contents(&kept[1]).unwrap().len(), 15);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let known = |blob: &Blob| runtime.block_on(store.blob("pictures", &blob.id)).unwrap();
        assert_eq!((known(&kept[0]), known(&kept[1])), (None, Some(kept[1].clone())));
        let pages = done(store, Job::Read(vec![Statement::new("SELECT id, stars FROM album ORDER BY id")]));
        assert_eq!(pages.rows::<Page>(0).unwrap().len(), 2);
        assert_eq!((store.counters().blob_bytes, store.counters().blobs_dropped), (15, 1));

        let larger_than_the_quota = done(store, picture(3, 21));
        assert!(matches!(larger_than_the_quota, Outcome::Failed(error) if error.kind == JobErrorKind::Full));
    });
}

#[test]
fn a_closed_store_answers_and_what_it_was_told_is_there_again() {
    let root = tempfile::tempdir().unwrap();
    let settings = settings(&format!("sqlite:{}", root.path().join("siod.db").display()), root.path(), 100);
    let store = Store::open(&settings).unwrap();
    let answers = [submit(&store, Job::Write(vec![page("a", 1)].into())), submit(&store, picture(1, 9))];
    store.close();
    let [Outcome::Written(_), Outcome::Kept(blob)] = answers.map(|answer| answer.recv().unwrap()) else { panic!() };
    for job in [Job::Write(vec![page("b", 1)].into()), Job::Read(vec![]), picture(2, 9)] {
        assert!(matches!(done(&store, job), Outcome::Failed(error) if error.kind == JobErrorKind::Unavailable));
    }
    let store = Store::open(&settings).unwrap();
    let pages = done(&store, Job::Read(vec![Statement::new("SELECT id, stars FROM album")]));
    assert_eq!((pages.rows::<Page>(0).unwrap().len(), store.contents(&blob).unwrap().len()), (2, 9));
}
