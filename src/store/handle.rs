//! The door to the store: what reactors and the control plane hold. Submitting never blocks; the answer comes by a call,
//! exactly once. Behind it one writer, two readers and one thread for pictures.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{self, Sender};
use std::thread::{self, JoinHandle};

use bytes::Bytes;
use parking_lot::Mutex;

use super::lock::{self, DirectoryLock};
use super::memory::Memory;
use super::queue::{Gauge, Message, OnOutcome, Ticket, not_stored, weight};
use super::reader::Reader;
use super::shelf::{self, Shelf};
use super::snapshot::{Commit, Librarian};
use super::sqlite::Sqlite;
use super::status::{Counters, Health, Status};
use super::writer::Writer;
use super::{Batch, OpenError, Repository, Settings};
use crate::app::effect::{Job, JobError, JobErrorKind, Outcome, Query};
use crate::apps::signage::job::{Snapshot, SnapshotJob};
use crate::base::limit;
use crate::base::stats::Histogram;

/// The open store; clones share it. The threads end with [`Store::close`], or when the last clone is gone and the queue
/// is empty.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    writes: Sender<Message<Batch>>,
    queries: Sender<Message<Query>>,
    pictures: Sender<Message<SnapshotJob>>,
    gauge: Arc<Gauge>,
    pictures_gauge: Arc<Gauge>,
    status: Arc<Status>,
    shelf: Arc<Shelf>,
    threads: Mutex<Option<Threads>>,
}

struct Threads {
    librarian: JoinHandle<()>,
    readers: Vec<JoinHandle<()>>,
    /// Holds the locks of the directories until the last write is done.
    writer: JoinHandle<()>,
}

/// What `store.url` comes to: a writer, the readers, a shelf, and the locks to hold.
struct Backend {
    writer: Box<dyn Repository>,
    readers: Vec<Box<dyn Repository>>,
    shelf: Shelf,
    locks: Vec<DirectoryLock>,
}

impl Store {
    /// Locks the data directory, opens the database and starts the threads.
    pub fn open(settings: &Settings) -> Result<Store, OpenError> {
        let Backend { mut writer, readers, shelf, locks } = Backend::open(settings)?;
        let (status, shelf) = (Arc::<Status>::default(), Arc::new(shelf));
        let (writes, write_inbox) = mpsc::channel();
        let (queries, query_inbox) = mpsc::channel();
        let (pictures, picture_inbox) = mpsc::channel();
        let gauge = Gauge::new(limit::STORE_QUEUE_JOBS_MAX, limit::STORE_QUEUE_BYTES_MAX);
        let directory = |error: String| OpenError::Access { path: settings.snapshots.dir.clone(), error };

        let rows = writer.snapshots().map_err(|error| directory(error.text))?;
        let commit = committer(writes.clone(), Arc::clone(&gauge));
        let librarian =
            Librarian::new(Arc::clone(&shelf), settings.snapshots.clone(), rows, Arc::clone(&status), commit)
                .map_err(|error| directory(error.to_string()))?;
        let writer = Writer::new(writer, write_inbox, Arc::clone(&status));
        let query_inbox = Arc::new(Mutex::new(query_inbox));
        let readers = readers.into_iter().map(|repository| {
            let reader = Reader { repository, inbox: Arc::clone(&query_inbox), status: Arc::clone(&status) };
            spawn("store-read", move || reader.run())
        });
        let threads = Threads {
            readers: readers.collect(),
            librarian: spawn("store-pictures", move || librarian.run(&picture_inbox)),
            writer: spawn("store-write", move || {
                writer.run();
                drop(locks);
            }),
        };
        let pictures_gauge = Gauge::new(limit::STORE_QUEUE_JOBS_MAX, limit::SNAPSHOT_QUEUE_BYTES_MAX);
        let threads = Mutex::new(Some(threads));
        let inner = Inner { writes, queries, pictures, gauge, pictures_gauge, status, shelf, threads };
        Ok(Store { inner: Arc::new(inner) })
    }

    /// Takes a job; `reply` hears its outcome. Writes are committed in the order of submission; a question is answered
    /// from what was committed when its turn comes, so ask after the answer to a write to see it. A picture is answered
    /// by `Stored`, everything else that fails by `Failed`.
    pub fn submit(&self, job: Job, reply: OnOutcome) {
        let inner = &*self.inner;
        let bytes = weight(&job);
        match job {
            Job::Write(writes) => {
                let ticket = inner.gauge.admit(bytes, Outcome::Failed, reply);
                pass_on(&inner.writes, Batch::Writes(writes), ticket);
            }
            Job::Read(query) => {
                let ticket = inner.gauge.admit(bytes, Outcome::Failed, reply);
                pass_on(&inner.queries, query, ticket);
            }
            Job::Snapshot(picture) => {
                let ticket = inner.pictures_gauge.admit(bytes, not_stored, reply);
                pass_on(&inner.pictures, picture, ticket);
            }
        }
    }

    /// A question from the control plane.
    pub async fn read(&self, query: Query) -> Outcome {
        let (sender, answer) = tokio::sync::oneshot::channel();
        // The task that asked may have gone away: nobody is left to tell.
        self.submit(Job::Read(query), Box::new(move |outcome| drop(sender.send(outcome))));
        answer.await.expect("every job is answered, a closed store included")
    }

    /// The bytes of a stored picture, for download. Reads a file: call it where blocking is allowed. `NotFound` where
    /// quota or age has taken it since the row was read.
    pub fn picture(&self, row: &Snapshot) -> io::Result<Bytes> {
        let path = shelf::path_of(&row.id, &row.mime).ok_or(io::ErrorKind::NotFound)?;
        self.inner.shelf.fetch(&path)
    }

    /// Finishes what was submitted, flushes, and gives the directory free. What is submitted afterwards fails as
    /// `Unavailable`. Blocks; a second call does nothing.
    pub fn close(&self) {
        let Some(threads) = self.inner.threads.lock().take() else { return };
        // In this order: pictures need the writer. A thread that is gone already needs no word.
        let _ = self.inner.pictures.send(Message::Stop);
        join(threads.librarian);
        for _ in &threads.readers {
            let _ = self.inner.queries.send(Message::Stop);
        }
        threads.readers.into_iter().for_each(join);
        let _ = self.inner.writes.send(Message::Stop);
        join(threads.writer);
    }

    pub fn health(&self) -> Health {
        self.inner.status.health()
    }

    pub fn counters(&self) -> Counters {
        self.inner.status.counters()
    }

    /// Microseconds from the submission of a write to its commit.
    pub fn latency(&self) -> Histogram {
        self.inner.status.latency_us()
    }

    /// Jobs that wait or are being worked on.
    pub fn queue_depth(&self) -> usize {
        self.inner.gauge.jobs() + self.inner.pictures_gauge.jobs()
    }
}

impl Backend {
    fn open(settings: &Settings) -> Result<Backend, OpenError> {
        if matches!(settings.url.as_str(), "memory:" | "sqlite::memory:") {
            return Ok(Backend::memory(settings));
        }
        let path = settings.url.strip_prefix("sqlite:").map(|path| path.strip_prefix("//").unwrap_or(path));
        let Some(path) = path.filter(|path| !path.is_empty()).map(Path::new) else {
            return Err(OpenError::Url(settings.url.clone()));
        };
        let mut locks = vec![lock::acquire(&settings.data_dir)?];
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let home = |directory: &Path| directory.canonicalize().ok();
        if home(parent).is_none_or(|parent| home(&settings.data_dir) != Some(parent)) {
            locks.push(lock::acquire(parent)?);
        }
        let writer = Sqlite::open(path, settings.bounds)?;
        let readers = (0..READERS).map(|_| -> Box<dyn Repository> { Box::new(writer.reader()) }).collect();
        let shelf = Shelf::Directory(settings.snapshots.dir.clone());
        Ok(Backend { writer: Box::new(writer), readers, shelf, locks })
    }

    fn memory(settings: &Settings) -> Backend {
        let memory = Arc::new(Mutex::new(Memory::new(settings.bounds)));
        let reader: Box<dyn Repository> = Box::new(Arc::clone(&memory));
        let shelf = Shelf::Memory(Mutex::default());
        Backend { writer: Box::new(memory), readers: vec![reader], shelf, locks: Vec::new() }
    }
}

/// A thread that has ended hands the message back; its ticket then answers by being dropped.
fn pass_on<W>(inbox: &Sender<Message<W>>, work: W, ticket: Option<Ticket>) {
    if let Some(ticket) = ticket {
        drop(inbox.send(Message::Work(work, ticket)));
    }
}

/// How the librarian has rows committed: through the same queue as everybody.
fn committer(writes: Sender<Message<Batch>>, gauge: Arc<Gauge>) -> Commit {
    Box::new(move |batch| {
        let (sender, answer) = mpsc::channel();
        let reply = Box::new(move |outcome| drop(sender.send(outcome)));
        pass_on(&writes, batch, gauge.admit(0, Outcome::Failed, reply));
        match answer.recv() {
            Ok(Outcome::Written) => Ok(()),
            Ok(Outcome::Failed(error)) => Err(error),
            other => {
                Err(JobError { kind: JobErrorKind::Unavailable, text: format!("no answer to a write: {other:?}") })
            }
        }
    })
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> JoinHandle<()> {
    thread::Builder::new().name(name.to_owned()).spawn(work).expect("a few threads can be started at the start")
}

fn join(thread: JoinHandle<()>) {
    thread.join().expect("a thread of the store does not panic");
}

const READERS: usize = 2;

#[cfg(test)]
mod tests;
