//! The thread that stores pictures: checks them, puts them on the shelf, has their rows committed by the writer, and
//! makes room by quota and age. Order: file on disk, then row, then answer, then the files of what was pushed out; a
//! crash in between leaves a file without a row, which the next start sweeps up.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use super::queue::{Message, not_stored};
use super::shelf::{self, Shelf};
use super::status::{Status, wall_now};
use super::{Batch, SnapshotSettings, picture};
use crate::app::effect::{JobError, JobErrorKind, Outcome};
use crate::apps::signage::job::{Answer, Snapshot, SnapshotJob};
use crate::base::time::WallMillis;

/// Has a batch committed and waits for it.
pub(super) type Commit = Box<dyn Fn(Batch) -> Result<(), JobError> + Send>;

/// The only one who adds and removes pictures, so it knows them all.
pub(super) struct Librarian {
    shelf: Arc<Shelf>,
    settings: SnapshotSettings,
    commit: Commit,
    status: Arc<Status>,
    /// Oldest first.
    pictures: BTreeMap<(WallMillis, String), Held>,
    ids: BTreeSet<String>,
    bytes: u64,
}

struct Held {
    path: String,
    bytes: u64,
}

impl Librarian {
    /// Takes stock: `rows` are all that the repository knows; files beside them are swept up.
    pub fn new(
        shelf: Arc<Shelf>,
        settings: SnapshotSettings,
        rows: Vec<Snapshot>,
        status: Arc<Status>,
        commit: Commit,
    ) -> io::Result<Librarian> {
        let (pictures, ids, bytes) = (BTreeMap::new(), BTreeSet::new(), 0);
        let mut librarian = Librarian { shelf, settings, commit, status, pictures, ids, bytes };
        rows.iter().for_each(|row| librarian.note(row));
        librarian.shelf.sweep(&librarian.pictures.values().map(|held| held.path.clone()).collect())?;
        Ok(librarian)
    }

    /// Until the store closes.
    pub fn run(mut self, inbox: &Receiver<Message<SnapshotJob>>) {
        loop {
            match inbox.recv_timeout(EXPIRY_INTERVAL) {
                Ok(Message::Work(job, ticket)) => match self.store(&job, wall_now()) {
                    Ok(row) => ticket.answer(Outcome::Signage(Answer::Stored(Ok(row)))),
                    Err(error) => {
                        self.status.count(|counters| counters.snapshot_failures += 1);
                        ticket.answer(not_stored(error));
                    }
                },
                Err(RecvTimeoutError::Timeout) => self.expire(wall_now()),
                Ok(Message::Stop) | Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// One picture, from what was sent to a committed row.
    pub fn store(&mut self, job: &SnapshotJob, now: WallMillis) -> Result<Snapshot, JobError> {
        let refuse = |kind, text: &str| Err(JobError { kind, text: text.to_owned() });
        let picture = picture::check(&job.data, job.bytes_max)?;
        let Some(path) = shelf::path_of(&job.id, picture.mime) else {
            return refuse(JobErrorKind::Invalid, "the picture's id is not 20 URL-safe characters");
        };
        let bytes = picture.bytes.len() as u64;
        if self.ids.contains(&job.id) {
            return refuse(JobErrorKind::Invalid, "the picture's id is taken");
        }
        if bytes > self.settings.quota_bytes {
            return refuse(JobErrorKind::Full, "the picture alone is larger than the quota");
        }
        let row = Snapshot {
            id: job.id.clone(),
            fleet: job.fleet.clone(),
            device_id: job.device_id.clone(),
            at: job.at,
            mime: picture.mime.to_owned(),
            bytes,
            sha256: picture.sha256,
            path,
        };
        self.shelf.keep(&row.path, &picture.bytes).map_err(|error| file_error(&error))?;
        let old = self.surplus(bytes, now);
        let committed = (self.commit)(Batch::Snapshots { put: Some(row.clone()), drop: ids_of(&old) });
        committed.inspect_err(|_| self.shelf.discard(&row.path))?;
        self.note(&row);
        self.forget(&old);
        self.status.count(|counters| counters.snapshots += 1);
        Ok(row)
    }

    /// Drops what is too old. What cannot be committed now is tried again next time.
    pub fn expire(&mut self, now: WallMillis) {
        let old = self.surplus(0, now);
        if !old.is_empty() && (self.commit)(Batch::Snapshots { put: None, drop: ids_of(&old) }).is_ok() {
            self.forget(&old);
        }
    }

    /// The oldest pictures that must go so that `incoming` more bytes fit and nothing outlives its time.
    fn surplus(&self, incoming: u64, now: WallMillis) -> Vec<(WallMillis, String)> {
        let mut bytes = self.bytes + incoming;
        let mut old = Vec::new();
        for (key, held) in &self.pictures {
            if bytes <= self.settings.quota_bytes && now.0 < key.0.0.saturating_add(self.settings.ttl_ms) {
                break;
            }
            bytes -= held.bytes;
            old.push(key.clone());
        }
        old
    }

    fn note(&mut self, row: &Snapshot) {
        self.pictures.insert((row.at, row.id.clone()), Held { path: row.path.clone(), bytes: row.bytes });
        self.ids.insert(row.id.clone());
        self.bytes += row.bytes;
        self.status.count(|counters| counters.snapshot_bytes = self.bytes);
    }

    fn forget(&mut self, old: &[(WallMillis, String)]) {
        for key in old {
            let Some(held) = self.pictures.remove(key) else { continue };
            self.ids.remove(&key.1);
            self.bytes -= held.bytes;
            self.shelf.discard(&held.path);
        }
        self.status.count(|counters| {
            counters.snapshot_bytes = self.bytes;
            counters.snapshots_dropped += old.len() as u64;
        });
    }
}

fn file_error(error: &io::Error) -> JobError {
    let kind = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => JobErrorKind::Full,
        _ => JobErrorKind::Unavailable,
    };
    JobError { kind, text: format!("snapshot directory: {error}") }
}

fn ids_of(old: &[(WallMillis, String)]) -> Vec<String> {
    old.iter().map(|(_, id)| id.clone()).collect()
}

const EXPIRY_INTERVAL: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use parking_lot::Mutex;

    use super::*;
    use crate::app::effect::Query;
    use crate::apps::signage::job::{self as signage, SnapshotData};
    use crate::store::memory::Memory;
    use crate::store::{Bounds, Repository};

    type Shared = Arc<Mutex<Memory>>;

    const DAY_MS: u64 = 86_400_000;

    /// A librarian over a fresh shelf of 20 bytes and a day.
    fn librarian(directory: &std::path::Path, repository: &Shared) -> Librarian {
        let settings = SnapshotSettings { dir: directory.to_owned(), quota_bytes: 20, ttl_ms: DAY_MS };
        let (rows, writer) = (repository.clone().snapshots().unwrap(), repository.clone());
        let commit = Box::new(move |batch| writer.clone().commit(&[&batch]).unwrap().remove(0));
        let shelf = Arc::new(Shelf::Directory(directory.to_owned()));
        Librarian::new(shelf, settings, rows, Arc::default(), commit).unwrap()
    }

    fn job(n: u64, bytes: usize) -> SnapshotJob {
        let mut data = b"GIF87a".to_vec();
        data.resize(bytes, 0);
        SnapshotJob {
            id: format!("{n:020}"),
            fleet: "f".to_owned(),
            device_id: "d".to_owned(),
            at: WallMillis(n),
            data: SnapshotData::Raw(Bytes::from(data)),
            mime: String::new(),
            bytes_max: 100,
        }
    }

    fn row(repository: &Shared, n: u64) -> Option<Snapshot> {
        let query = Query::Signage(signage::Query::Snapshot { id: format!("{n:020}") });
        match repository.clone().read(&query).unwrap() {
            Outcome::Signage(Answer::Snapshot(row)) => row,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_oldest_make_room_and_lose_row_and_file() {
        let (root, repository) = (tempfile::tempdir().unwrap(), Shared::default());
        let mut librarian = librarian(root.path(), &repository);
        let first = librarian.store(&job(1, 10), WallMillis(1)).unwrap();
        librarian.store(&job(2, 10), WallMillis(2)).unwrap();
        assert!(root.path().join(&first.path).is_file());
        let third = librarian.store(&job(3, 8), WallMillis(3)).unwrap();
        assert_eq!([1, 2, 3].map(|n| row(&repository, n).is_some()), [false, true, true]);
        assert!(!root.path().join(&first.path).exists());
        assert_eq!(librarian.bytes, 18);
        assert_eq!(row(&repository, 3), Some(third));
    }

    #[test]
    fn age_takes_pictures_too() {
        let (root, repository) = (tempfile::tempdir().unwrap(), Shared::default());
        let mut librarian = librarian(root.path(), &repository);
        librarian.store(&job(1, 6), WallMillis(1)).unwrap();
        librarian.expire(WallMillis(DAY_MS));
        assert!(row(&repository, 1).is_some());
        librarian.expire(WallMillis(DAY_MS + 1));
        assert_eq!((row(&repository, 1), librarian.bytes), (None, 0));
    }

    #[test]
    fn refusals_leave_nothing_behind() {
        let (root, repository) = (tempfile::tempdir().unwrap(), Shared::default());
        let mut librarian = librarian(root.path(), &repository);
        librarian.store(&job(1, 6), WallMillis(1)).unwrap();
        let with_id = |id: &str| SnapshotJob { id: id.to_owned(), ..job(2, 6) };
        for (job, kind) in [
            (job(1, 7), JobErrorKind::Invalid),
            (job(2, 21), JobErrorKind::Full),
            (job(2, 101), JobErrorKind::Invalid),
            (with_id("../../../../etc/pass"), JobErrorKind::Invalid),
        ] {
            assert_eq!(librarian.store(&job, WallMillis(2)).unwrap_err().kind, kind, "{}", job.id);
        }
        librarian.commit = Box::new(|_| Err(JobError { kind: JobErrorKind::Busy, text: String::new() }));
        let unwritten = librarian.store(&job(2, 6), WallMillis(2)).unwrap_err();
        assert_eq!(unwritten.kind, JobErrorKind::Busy);
        assert_eq!(std::fs::read_dir(root.path().join("00")).unwrap().count(), 1);
        assert_eq!(librarian.bytes, 6);
    }

    #[test]
    fn stock_is_taken_at_a_start() {
        let (root, repository) = (tempfile::tempdir().unwrap(), Arc::new(Mutex::new(Memory::new(Bounds::default()))));
        librarian(root.path(), &repository).store(&job(1, 15), WallMillis(1)).unwrap();
        let mut again = librarian(root.path(), &repository);
        assert_eq!(again.bytes, 15);
        again.store(&job(2, 6), WallMillis(2)).unwrap();
        assert_eq!(row(&repository, 1), None);
    }
}
