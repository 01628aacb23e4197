//! The one who keeps and drops blobs: checks them, puts them on their shelves, has their rows committed by the writer, and
//! makes room by quota and age. Order: file on disk, then rows, then answer, then the files of what was pushed out; a crash
//! in between leaves a file without a row, which the next start sweeps up.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;

use super::check::{self, Checked};
use super::part::Part;
#[cfg(test)]
use super::queue::Upload;
use super::queue::{Errand, Message, Slot, State};
use super::shelf::Shelf;
use super::status::{Status, wall_now};
use super::stock::Stock;
use super::{Repository, Settings, ShelfSettings, tables};
use crate::app::job::{Blob, Job, JobError, JobErrorKind, Keep, Outcome};
use crate::app::sql::Statement;
use crate::app::upload::Take;
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

    /// These bytes of a blob; `NotFound` where quota or age has taken it.
    pub(crate) fn part(&self, blob: &Blob, part: Range<u64>) -> io::Result<Bytes> {
        self.0.get(&*blob.shelf).ok_or(io::ErrorKind::NotFound)?.fetch(&blob.file, part)
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
    pub(super) fn run(mut self, inbox: &Receiver<Message<Errand>>) {
        loop {
            match inbox.recv_timeout(EXPIRY_INTERVAL) {
                Ok(Message::Work(errand, ticket)) => ticket.answer(self.run_errand(errand, wall_now())),
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
            Job::Write(_) | Job::Read(_) | Job::Fetch(_) | Job::Hash(_) => {
                unreachable!("only blobs are the librarian's")
            }
        };
        self.counted(outcome)
    }

    /// Carries out what the door has passed on.
    pub(super) fn run_errand(&mut self, errand: Errand, now: WallMillis) -> Outcome {
        let outcome = match errand {
            Errand::Job(job) => return self.work(&job, now),
            Errand::Append(slot, bytes) => self.append(&slot, &bytes).map(|()| Outcome::Written(Vec::new())),
            Errand::Finish(slot, mime) => self.finish(&slot, mime, now),
            Errand::Abandon(slot) => {
                let mut upload = slot.lock();
                return match std::mem::replace(&mut upload.state, State::Over) {
                    State::Kept => self.drop(upload.take.shelf, upload.take.id.as_str()),
                    State::Awaited | State::Begun(_) | State::Over => Outcome::Written(Vec::new()),
                };
            }
        };
        self.counted(outcome.unwrap_or_else(Outcome::Failed))
    }

    /// An upload from its first piece to its end, in the thread of whoever asks.
    #[cfg(test)]
    pub(crate) fn take(&mut self, take: Take, pieces: Vec<Bytes>, mime: &'static str) -> Outcome {
        let slot = Slot::new(Mutex::new(Upload { take, state: State::Awaited }));
        let mut errands: Vec<Errand> = pieces.into_iter().map(|piece| Errand::Append(slot.clone(), piece)).collect();
        errands.push(Errand::Finish(slot, mime));
        let mut outcome = Outcome::Written(Vec::new());
        for errand in errands {
            outcome = self.run_errand(errand, wall_now());
            if let Outcome::Failed(_) = outcome {
                break;
            }
        }
        outcome
    }

    fn counted(&self, outcome: Outcome) -> Outcome {
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
        self.shelves.part(blob, 0..u64::MAX)
    }

    /// From what was sent to a committed row.
    fn keep(&mut self, keep: &Keep, now: WallMillis) -> Result<Outcome, JobError> {
        let Checked { bytes, mime, sha256 } = check::check(keep)?;
        let (shelf, id) = (keep.shelf.to_owned(), keep.id.to_string());
        let (size, file) = (bytes.len() as u64, sha256.clone());
        let blob = Blob { shelf, id, at: keep.at, mime: mime.to_owned(), bytes: size, sha256, file };
        self.settle(keep.shelf, blob, keep.write.clone(), now, |shelf, file| shelf.keep(file, &bytes))
    }

    /// The next bytes of an upload. After a failure it is over, and nothing is left of it.
    fn append(&self, slot: &Slot, bytes: &[u8]) -> Result<(), JobError> {
        let mut upload = slot.lock();
        let state = std::mem::replace(&mut upload.state, State::Over);
        let mut part = self.begun(&upload.take, state)?;
        let quota_bytes = self.stocks.get(upload.take.shelf).map_or(0, |(settings, _)| settings.quota_bytes);
        if part.bytes() + bytes.len() as u64 > quota_bytes {
            return Err(over_quota());
        }
        part.append(bytes).map_err(|error| file_error(&error))?;
        upload.state = State::Begun(part);
        Ok(())
    }

    /// From an upload that has come whole to a committed row.
    fn finish(&mut self, slot: &Slot, mime: &str, now: WallMillis) -> Result<Outcome, JobError> {
        let mut upload = slot.lock();
        let state = std::mem::replace(&mut upload.state, State::Over);
        let part = self.begun(&upload.take, state)?;
        let Take { shelf, id, at, .. } = &upload.take;
        let sha256 = part.sha256();
        let (mime, bytes, file) = (mime.to_owned(), part.bytes(), sha256.clone());
        let blob = Blob { shelf: (*shelf).to_owned(), id: id.to_string(), at: *at, mime, bytes, sha256, file };
        let outcome = self.settle(shelf, blob, Vec::new(), now, |shelf, file| shelf.settle(file, part))?;
        if let Outcome::Kept(_) = outcome {
            upload.state = State::Kept;
        }
        Ok(outcome)
    }

    fn begun(&self, take: &Take, state: State) -> Result<Part, JobError> {
        match state {
            State::Begun(part) => Ok(part),
            State::Awaited => {
                let shelf = self.shelves.0.get(take.shelf).ok_or_else(|| no_shelf(take.shelf))?;
                shelf.begin(take.id.as_str()).map_err(|error| file_error(&error))
            }
            State::Kept | State::Over => Err(JobError::new(JobErrorKind::Unavailable, "the upload is over")),
        }
    }

    /// Puts a file on its shelf by `place`, unless it is there, has the rows committed, and makes room.
    fn settle(
        &mut self,
        name: &'static str,
        blob: Blob,
        mut write: Vec<Statement>,
        now: WallMillis,
        place: impl FnOnce(&Shelf, &str) -> io::Result<()>,
    ) -> Result<Outcome, JobError> {
        let (Some(shelf), Some((settings, stock))) = (self.shelves.0.get(name), self.stocks.get(name)) else {
            return Err(no_shelf(name));
        };
        if stock.has(&blob.id) {
            return Err(JobError::new(JobErrorKind::Invalid, "the id is taken"));
        }
        if blob.bytes > settings.quota_bytes {
            return Err(over_quota());
        }
        let is_new = !stock.has_file(&blob.file);
        if is_new {
            place(shelf, &blob.file).map_err(|error| file_error(&error))?;
        }
        let old = stock.surplus(Some(&blob), settings.quota_bytes, oldest(settings, now));
        // The application's come first: its conflicts are told by the numbers that it knows.
        write.push(tables::add_blob(&blob));
        write.extend(drops(name, &old));
        let committed = (self.commit)(write);
        if !committed.is_written() {
            if is_new {
                shelf.discard(&blob.file);
            }
            return Ok(committed);
        }
        if let Some((_, stock)) = self.stocks.get_mut(name) {
            stock.note(&blob);
        }
        self.forget(name, &old);
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

fn no_shelf(name: &str) -> JobError {
    JobError::new(JobErrorKind::Invalid, format!("there is no shelf `{name}`"))
}

fn over_quota() -> JobError {
    JobError::new(JobErrorKind::Full, "it alone is larger than the quota")
}

fn file_error(error: &io::Error) -> JobError {
    let kind = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => JobErrorKind::Full,
        io::ErrorKind::AlreadyExists => JobErrorKind::Invalid,
        _ => JobErrorKind::Unavailable,
    };
    JobError { kind, text: format!("shelf: {error}") }
}

const EXPIRY_INTERVAL: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests;
