//! The door to the store: what reactors and the control plane hold. Submitting never blocks; the answer comes by a call,
//! exactly once. Behind it one writer, two readers and one thread for blobs.

use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{self, Sender};
use std::thread::{self, JoinHandle};

use bytes::Bytes;
use parking_lot::Mutex;

use super::blobs::{Commit, Librarian, Shelves};
use super::intake::Intake;
use super::lock::{self, DirectoryLock};
use super::queue::{Errand, Gauge, Message, OnOutcome, pass_on, weight};
use super::reader::Reader;
use super::sqlite::Sqlite;
use super::status::{Counters, Health, Status};
use super::writer::{Write, Writer};
use super::{OpenError, Repository, Settings, tables};
use crate::app::job::{Blob, Job, JobError, JobErrorKind, Outcome};
use crate::app::sql::Statement;
use crate::app::upload::Take;
use crate::base::limit;
use crate::base::stats::Histogram;

/// The open store; clones share it. The threads end with [`Store::close`], or when the last clone is gone and the queue
/// is empty.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    writes: Sender<Message<Write>>,
    questions: Sender<Message<Vec<Statement>>>,
    blobs: Sender<Message<Errand>>,
    gauge: Arc<Gauge>,
    blobs_gauge: Arc<Gauge>,
    /// Counts files that come in pieces.
    uploads: Arc<Gauge>,
    status: Arc<Status>,
    shelves: Arc<Shelves>,
    threads: Mutex<Option<Threads>>,
}

struct Threads {
    librarian: JoinHandle<()>,
    readers: Vec<JoinHandle<()>>,
    /// Holds the locks of the directories until the last write is done.
    writer: JoinHandle<()>,
}

/// What `store.url` comes to: a writer, the readers, the shelves, and the locks to hold.
struct Backend {
    writer: Box<dyn Repository>,
    readers: Vec<Box<dyn Repository>>,
    shelves: Shelves,
    locks: Vec<DirectoryLock>,
}

impl Store {
    /// Locks the data directory, opens the database and starts the threads.
    pub fn open(settings: &Settings) -> Result<Store, OpenError> {
        let Backend { mut writer, readers, shelves, locks } = Backend::open(settings)?;
        let (status, shelves) = (Arc::<Status>::default(), Arc::new(shelves));
        let (writes, write_inbox) = mpsc::channel();
        let (questions, question_inbox) = mpsc::channel();
        let (blobs, blob_inbox) = mpsc::channel();
        let gauge = Gauge::new(limit::STORE_QUEUE_JOBS_MAX, limit::STORE_QUEUE_BYTES_MAX);

        let commit = committer(writes.clone(), Arc::clone(&gauge));
        let librarian =
            Librarian::new(Arc::clone(&shelves), &settings.shelves, &mut *writer, Arc::clone(&status), commit)
                .map_err(|error| OpenError::Access { path: settings.data_dir.clone(), error: error.text })?;
        let writer = Writer::new(writer, write_inbox, Arc::clone(&status));
        let question_inbox = Arc::new(Mutex::new(question_inbox));
        let readers = readers.into_iter().map(|repository| {
            let reader = Reader { repository, inbox: Arc::clone(&question_inbox), status: Arc::clone(&status) };
            spawn("store-read", move || reader.run())
        });
        let threads = Threads {
            readers: readers.collect(),
            librarian: spawn("store-blobs", move || librarian.run(&blob_inbox)),
            writer: spawn("store-write", move || {
                writer.run();
                drop(locks);
            }),
        };
        let blobs_gauge = Gauge::new(limit::STORE_QUEUE_JOBS_MAX, limit::BLOB_QUEUE_BYTES_MAX);
        let uploads = Gauge::new(limit::UPLOADS_MAX, usize::MAX);
        let threads = Mutex::new(Some(threads));
        let inner = Inner { writes, questions, blobs, gauge, blobs_gauge, uploads, status, shelves, threads };
        Ok(Store { inner: Arc::new(inner) })
    }

    /// Takes a job; `reply` hears its outcome. Writes are committed in the order of submission; questions are answered
    /// from what was committed when their turn comes, so ask after the answer to a write to see it.
    pub fn submit(&self, job: Job, reply: OnOutcome) {
        let inner = &*self.inner;
        let bytes = weight(&job);
        match job {
            Job::Write(write) => pass_on(&inner.writes, write, inner.gauge.admit(bytes, reply)),
            Job::Read(questions) => pass_on(&inner.questions, questions, inner.gauge.admit(bytes, reply)),
            Job::Keep(_) | Job::Drop { .. } => {
                pass_on(&inner.blobs, Errand::Job(job), inner.blobs_gauge.admit(bytes, reply));
            }
            Job::Fetch(_) | Job::Hash(_) => unreachable!("requests to the outside and hashes are not the store's"),
        }
    }

    /// Begins to take a file in pieces.
    ///
    /// # Errors
    /// Too many files come at once.
    pub(crate) fn take(&self, take: Take) -> Result<Intake, JobError> {
        let inner = &*self.inner;
        Intake::begin(take, &inner.uploads, &inner.blobs_gauge, &inner.blobs)
    }

    /// Questions from the control plane.
    pub async fn read(&self, questions: Vec<Statement>) -> Outcome {
        let (sender, answer) = tokio::sync::oneshot::channel();
        // The task that asked may have gone away: nobody is left to tell.
        self.submit(Job::Read(questions), Box::new(move |outcome| drop(sender.send(outcome))));
        answer.await.expect("every job is answered, a closed store included")
    }

    /// What is known of a blob; nothing where quota or age has taken it, or it never was.
    pub async fn blob(&self, shelf: &str, id: &str) -> Result<Option<Blob>, JobError> {
        Ok(self.read(vec![tables::blob(shelf, id)]).await.rows(0)?.pop())
    }

    /// The bytes of a blob, for download. Reads a file: call it where blocking is allowed. `NotFound` where quota or age
    /// has taken it since the row was read.
    pub fn contents(&self, blob: &Blob) -> io::Result<Bytes> {
        self.part(blob, 0..u64::MAX)
    }

    /// As [`Store::contents`], a part of them, and no more of the file is read.
    pub fn part(&self, blob: &Blob, part: Range<u64>) -> io::Result<Bytes> {
        self.inner.shelves.part(blob, part)
    }

    /// Finishes what was submitted, flushes, and gives the directory free. A job that is submitted afterwards fails
    /// as `Unavailable`. Blocks; a second call does nothing.
    pub fn close(&self) {
        let Some(threads) = self.inner.threads.lock().take() else { return };
        // In this order: blobs need the writer. A thread that is gone already needs no word.
        let _ = self.inner.blobs.send(Message::Stop);
        join(threads.librarian);
        for _ in &threads.readers {
            let _ = self.inner.questions.send(Message::Stop);
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
        self.inner.gauge.jobs() + self.inner.blobs_gauge.jobs()
    }
}

impl Backend {
    fn open(settings: &Settings) -> Result<Backend, OpenError> {
        if matches!(settings.url.as_str(), "memory:" | "sqlite::memory:") {
            return Backend::memory(settings);
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
        let writer = Sqlite::open(path, &settings.owners())?;
        let readers = (0..READERS).map(|_| -> Box<dyn Repository> { Box::new(Sqlite::reader(path)) }).collect();
        Ok(Backend { writer: Box::new(writer), readers, shelves: Shelves::new(settings, false), locks })
    }

    fn memory(settings: &Settings) -> Result<Backend, OpenError> {
        let memory = Arc::new(Mutex::new(Sqlite::memory(&settings.owners())?));
        let reader: Box<dyn Repository> = Box::new(Arc::clone(&memory));
        let shelves = Shelves::new(settings, true);
        Ok(Backend { writer: Box::new(memory), readers: vec![reader], shelves, locks: Vec::new() })
    }
}

/// How the librarian has rows committed: through the same queue as everybody.
fn committer(writes: Sender<Message<Write>>, gauge: Arc<Gauge>) -> Commit {
    Box::new(move |write| {
        let (sender, answer) = mpsc::channel();
        let reply = Box::new(move |outcome| drop(sender.send(outcome)));
        pass_on(&writes, Arc::new(write), gauge.admit(0, reply));
        let none = |_| Outcome::Failed(JobError::new(JobErrorKind::Unavailable, "no answer to a write"));
        answer.recv().unwrap_or_else(none)
    })
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> JoinHandle<()> {
    thread::Builder::new().name(name.to_owned()).spawn(work).expect("a few threads can be started at the start")
}

fn join(thread: JoinHandle<()>) {
    thread.join().expect("a thread of the store does not panic");
}

const READERS: usize = 2;
