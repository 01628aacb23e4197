//! The one who keeps and drops blobs: checks them, puts them on their shelves, has their rows committed by the writer, and
//! makes room by quota and age. Order: file on disk, then rows, then answer, then the files of what was pushed out; a crash
//! in between leaves a file without a row, which the next start sweeps up.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;

use super::queue::Message;
use super::shelf::Shelf;
use super::status::{Status, wall_now};
use super::stock::Stock;
use super::{Repository, Settings, ShelfSettings, check, tables};
use crate::app::job::{Blob, Job, JobError, JobErrorKind, Keep, Outcome};
use crate::app::sql::Statement;
use crate::base::time::WallMillis;

/// The shelves that applications have declared, by name.
pub(crate) struct Shelves(BTreeMap<&'static str, Shelf>);

impl Shelves {
    pub(crate) fn new(settings: &Settings, in_memory: bool) -> Shelves {
        let shelf = |shelf: &ShelfSettings| match in_memory {
            true => Shelf::Memory(Mutex::default()),
            false => Shelf::Directory(settings.data_dir.join(shelf.name)),
        };
        Shelves(settings.shelves.iter().map(|settings| (settings.name, shelf(settings))).collect())
    }

    /// The bytes of a blob; `NotFound` where quota or age has taken it.
    pub(crate) fn contents(&self, blob: &Blob) -> io::Result<Bytes> {
        self.0.get(&*blob.shelf).ok_or(io::ErrorKind::NotFound)?.fetch(&blob.file)
    }
}

/// Has a write committed and waits for it.
pub(super) type Commit = Box<dyn Fn(Vec<Statement>) -> Outcome + Send>;

/// The only one who adds and removes blobs, so it knows them all.
pub(crate) struct Librarian {
    shelves: Arc<Shelves>,
    stocks: BTreeMap<&'static str, (ShelfSettings, Stock)>,
    commit: Commit,
    status: Arc<Status>,
}

impl Librarian {
    /// Takes stock of what `repository` knows; files beside it are swept up.
    pub(super) fn new(
        shelves: Arc<Shelves>,
        settings: &[ShelfSettings],
        repository: &mut dyn Repository,
        status: Arc<Status>,
        commit: Commit,
    ) -> Result<Librarian, JobError> {
        let mut librarian = Librarian { shelves, stocks: BTreeMap::new(), commit, status };
        for settings in settings {
            let mut stock = Stock::default();
            let rows = repository.read(&[tables::blobs(settings.name)])?;
            rows[0].read::<Blob>()?.iter().for_each(|blob| stock.note(blob));
            if let Some(shelf) = librarian.shelves.0.get(settings.name) {
                shelf.sweep(&stock.files().collect()).map_err(|error| file_error(&error))?;
            }
            librarian.stocks.insert(settings.name, (settings.clone(), stock));
        }
        librarian.count(0);
        Ok(librarian)
    }

    /// One that works on a repository in the thread of whoever asks.
    #[cfg(test)]
    pub(crate) fn direct(settings: &Settings, repository: &(impl Repository + Clone + Sync + 'static)) -> Librarian {
        let writer = repository.clone();
        let commit = move |write: Vec<Statement>| match writer.clone().commit(&[&write]) {
            Ok(mut outcomes) => outcomes.remove(0),
            Err(error) => Outcome::Failed(error),
        };
        let shelves = Arc::new(Shelves::new(settings, true));
        let made =
            Librarian::new(shelves, &settings.shelves, &mut repository.clone(), Arc::default(), Box::new(commit));
        made.expect("shelves in memory are there")
    }

    /// Until the store closes.
    pub(super) fn run(mut self, inbox: &Receiver<Message<Job>>) {
        loop {
            match inbox.recv_timeout(EXPIRY_INTERVAL) {
                Ok(Message::Work(job, ticket)) => ticket.answer(self.work(&job, wall_now())),
                Err(RecvTimeoutError::Timeout) => self.expire(wall_now()),
                Ok(Message::Stop) | Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// Keeps or drops one blob.
    pub(crate) fn work(&mut self, job: &Job, now: WallMillis) -> Outcome {
        let outcome = match job {
            Job::Keep(keep) => self.keep(keep, now).unwrap_or_else(Outcome::Failed),
            Job::Drop { shelf, id } => self.drop(shelf, id.as_str()),
            Job::Write(_) | Job::Read(_) => unreachable!("rows are not the librarian's"),
        };
        self.status.count(|counters| match outcome {
            Outcome::Kept(_) => counters.blobs += 1,
            Outcome::Failed(_) | Outcome::Conflict { .. } => counters.blob_failures += 1,
            _ => {}
        });
        outcome
    }

    /// The bytes of a blob.
    #[cfg(test)]
    pub(crate) fn contents(&self, blob: &Blob) -> io::Result<Bytes> {
        self.shelves.contents(blob)
    }

    /// From what was sent to a committed row.
    fn keep(&mut self, keep: &Keep, now: WallMillis) -> Result<Outcome, JobError> {
        let refuse = |kind, text: String| Err(JobError { kind, text });
        let checked = check::check(keep)?;
        let (Some(shelf), Some((settings, stock))) = (self.shelves.0.get(keep.shelf), self.stocks.get(keep.shelf))
        else {
            return refuse(JobErrorKind::Invalid, format!("there is no shelf `{}`", keep.shelf));
        };
        let blob = Blob {
            shelf: keep.shelf.to_owned(),
            id: keep.id.to_string(),
            at: keep.at,
            mime: checked.mime.to_owned(),
            bytes: checked.bytes.len() as u64,
            file: checked.sha256.clone(),
            sha256: checked.sha256,
        };
        if stock.has(&blob.id) {
            return refuse(JobErrorKind::Invalid, "the id is taken".to_owned());
        }
        if blob.bytes > settings.quota_bytes {
            return refuse(JobErrorKind::Full, "it alone is larger than the quota".to_owned());
        }
        let is_new = !stock.has_file(&blob.file);
        if is_new {
            shelf.keep(&blob.file, &checked.bytes).map_err(|error| file_error(&error))?;
        }
        let old = stock.surplus(Some(&blob), settings.quota_bytes, oldest(settings, now));
        // The application's come first: its conflicts are told by the numbers that it knows.
        let mut write = keep.write.clone();
        write.push(tables::add_blob(&blob));
        write.extend(drops(keep.shelf, &old));
        let committed = (self.commit)(write);
        if !committed.is_written() {
            if is_new {
                shelf.discard(&blob.file);
            }
            return Ok(committed);
        }
        if let Some((_, stock)) = self.stocks.get_mut(keep.shelf) {
            stock.note(&blob);
        }
        self.forget(keep.shelf, &old);
        Ok(Outcome::Kept(blob))
    }

    fn drop(&mut self, shelf: &'static str, id: &str) -> Outcome {
        let committed = (self.commit)(drops(shelf, &[id.to_owned()]));
        if committed.is_written() {
            self.forget(shelf, &[id.to_owned()]);
        }
        committed
    }

    /// Drops what is too old. What cannot be committed now is tried again next time.
    fn expire(&mut self, now: WallMillis) {
        let of_shelf = |(name, (settings, stock)): (&&'static str, &(ShelfSettings, Stock))| {
            (*name, stock.surplus(None, settings.quota_bytes, oldest(settings, now)))
        };
        let old: Vec<_> = self.stocks.iter().map(of_shelf).filter(|(_, old)| !old.is_empty()).collect();
        for (shelf, old) in old {
            if (self.commit)(drops(shelf, &old)).is_written() {
                self.forget(shelf, &old);
            }
        }
    }

    /// Rows that are gone leave the stock, and their files the shelf.
    fn forget(&mut self, name: &str, ids: &[String]) {
        let (Some(shelf), Some((_, stock))) = (self.shelves.0.get(name), self.stocks.get_mut(name)) else { return };
        let mut gone = 0;
        for id in ids {
            gone += u64::from(stock.has(id));
            if let Some(file) = stock.forget(id) {
                shelf.discard(&file);
            }
        }
        self.count(gone);
    }

    fn count(&self, gone: u64) {
        let bytes = self.stocks.values().map(|(_, stock)| stock.bytes()).sum();
        self.status.count(|counters| {
            counters.blob_bytes = bytes;
            counters.blobs_dropped += gone;
        });
    }
}

fn drops(shelf: &str, ids: &[String]) -> Vec<Statement> {
    ids.iter().map(|id| tables::drop_blob(shelf, id)).collect()
}

/// The newest moment whose blobs are too old.
fn oldest(settings: &ShelfSettings, now: WallMillis) -> WallMillis {
    WallMillis(now.0.saturating_sub(settings.ttl_ms))
}

fn file_error(error: &io::Error) -> JobError {
    let kind = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => JobErrorKind::Full,
        _ => JobErrorKind::Unavailable,
    };
    JobError { kind, text: format!("shelf: {error}") }
}

const EXPIRY_INTERVAL: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests;
