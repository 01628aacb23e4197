//! The store of a world: SQLite in memory, called directly, and as ill as a test wants it.

use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;

use crate::app::job::{Blob, Job, JobError, JobErrorKind, Outcome};
use crate::app::sql::{FromRow, Statement, Tables};
use crate::app::upload::Take;
use crate::base::time::WallMillis;
use crate::store::blobs::Librarian;
use crate::store::sqlite::Sqlite;
use crate::store::{Repository, Settings, ShelfSettings};

pub(crate) struct Store {
    /// Every job fails.
    pub down: bool,
    /// Jobs get no answer until [`World::answer`](super::World::answer).
    pub hangs: bool,
    /// Writes handed in so far, those that failed too, and their statements; and reads.
    pub batches: usize,
    pub statements: usize,
    pub questions: usize,
    repository: Arc<Mutex<Sqlite>>,
    librarian: Librarian,
}

impl Store {
    pub(crate) fn new(tables: &[&'static Tables], shelves: &[ShelfSettings]) -> Store {
        let settings =
            Settings { tables: tables.into(), shelves: shelves.into(), ..Settings::new("memory:", "".as_ref()) };
        let sqlite = Sqlite::memory(&settings.owners()).unwrap_or_else(|error| panic!("{error}"));
        let repository = Arc::new(Mutex::new(sqlite));
        let librarian = Librarian::direct(&settings, &repository);
        Store { down: false, hangs: false, batches: 0, statements: 0, questions: 0, repository, librarian }
    }

    pub(super) fn work(&mut self, job: &Job, now: WallMillis) -> Outcome {
        match job {
            Job::Write(write) => (self.batches, self.statements) = (self.batches + 1, self.statements + write.len()),
            Job::Read(questions) => self.questions += questions.len(),
            _ => {}
        }
        if self.down {
            return Outcome::Failed(JobError::new(JobErrorKind::Unavailable, "down"));
        }
        match job {
            Job::Write(write) => match self.repository.commit(&[write]) {
                Ok(mut outcomes) => outcomes.remove(0),
                Err(error) => Outcome::Failed(error),
            },
            Job::Read(questions) => self.repository.read(questions).map_or_else(Outcome::Failed, Outcome::Read),
            Job::Keep(_) | Job::Drop { .. } => self.librarian.work(job, now),
            Job::Fetch(_) | Job::Hash(_) => unreachable!("requests and hashes are the outside's"),
        }
    }

    /// A file has come in these pieces, and is of this kind.
    pub(super) fn take(&mut self, take: Take, pieces: Vec<Bytes>, mime: &'static str) -> Result<Blob, JobError> {
        if self.down {
            return Err(JobError::new(JobErrorKind::Unavailable, "down"));
        }
        match self.librarian.take(take, pieces, mime) {
            Outcome::Kept(blob) => Ok(blob),
            Outcome::Failed(error) => Err(error),
            other => panic!("{other:?}"),
        }
    }

    /// Something is on disk already.
    pub(crate) fn put(&mut self, row: Statement) {
        let outcomes = self.repository.commit(&[&[row]]).unwrap_or_else(|error| panic!("{}", error.text));
        assert!(outcomes.iter().all(Outcome::is_written), "{outcomes:?}");
    }

    /// What is on disk, whatever the store is made to say.
    pub(crate) fn rows<T: FromRow>(&self, question: Statement) -> Vec<T> {
        let answer = self.repository.lock().read(&[question]).unwrap_or_else(|error| panic!("{}", error.text));
        answer[0].read().unwrap_or_else(|error| panic!("{error}"))
    }

    /// Puts something on disk.
    pub(crate) fn writes(&mut self, statement: Statement) {
        let outcome = self.repository.commit(&[&[statement]]);
        assert!(outcome.is_ok_and(|outcomes| outcomes[0].is_written()));
    }

    /// The bytes of a blob, if it is on its shelf.
    pub(crate) fn contents(&self, blob: Option<Blob>) -> Option<Bytes> {
        self.librarian.contents(&blob?).ok()
    }
}
