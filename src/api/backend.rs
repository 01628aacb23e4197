//! What the routes ask of the daemon. The server implements it over the shards and the store, tests over a table.

use std::future::Future;
use std::io;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::Notify;

use crate::app::AuthFailure;
use crate::app::identity::Identity;
use crate::app::job::{Blob, JobError};
use crate::app::route::Call;
use crate::app::route::shell::Items;
use crate::app::upload::{News, Take};
use crate::shard::sample::ShardSample;

pub(crate) type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The daemon, as HTTP callers can reach it. No method blocks; every future ends within a bound of its own.
pub(crate) trait Backend: Send + Sync + 'static {
    fn readiness(&self) -> Readiness;

    /// One sample for each shard, in the shards' order. A shard that does not answer in time is represented by its last sample
    /// with `stale` set, or by an empty one.
    fn scrape(&self) -> BoxFuture<'_, Vec<ShardSample>>;

    /// As [`Backend::scrape`], but as of up to a second ago: for callers nobody has authenticated, who must not be able to
    /// keep the shards counting.
    fn glance(&self) -> BoxFuture<'_, Arc<[ShardSample]>>;

    /// Hands a call to its home in the application of this name. `cut` is told where the asker of a stream does not read.
    fn call(&self, app: &'static str, call: Call, cut: Arc<Notify>) -> Box<dyn Answers>;

    /// Begins to take a file.
    ///
    /// # Errors
    /// Too many files come at once.
    fn take(&self, take: Take) -> Result<Box<dyn Intake>, JobError>;

    /// What is known of a blob; nothing where quota or age has taken it, or it never was.
    fn blob(&self, shelf: &'static str, id: String) -> BoxFuture<'_, Result<Option<Blob>, JobError>>;

    /// These bytes of a blob, of which no others are read; `NotFound` where quota or age has taken it since it was asked for.
    fn contents(&self, blob: Blob, part: Range<u64>) -> BoxFuture<'_, io::Result<Bytes>>;

    /// The identity a token stands for, by the same rule as for a CONNECT.
    fn verify(&self, token: &str) -> Result<Arc<Identity>, AuthFailure>;

    /// Begins the drain, as SIGTERM does. Returns at once; a second call changes nothing.
    fn drain(&self);
}

/// What comes of a call, in order. Dropped, the asker has left.
pub(crate) trait Answers: Items {
    /// How it goes with the file that the home takes.
    fn tell(&mut self, news: News);
}

/// A file that is being taken. Dropped before it is kept, nothing is left of it.
pub(crate) trait Intake: Send {
    /// Hands over the next bytes; waits while too many are on their way.
    fn push(&mut self, bytes: Bytes) -> BoxFuture<'_, Result<(), JobError>>;

    /// All of it has been handed over, and it is of this kind.
    fn finish(self: Box<Self>, mime: &'static str) -> BoxFuture<'static, Result<Blob, JobError>>;
}

/// Whether the daemon takes new clients.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Readiness {
    Starting,
    Ready,
    /// It serves, but something it needs has failed; the text is for operators.
    Degraded(String),
    Draining,
}

impl Readiness {
    /// Degraded still serves: taking the node away would help nobody.
    pub(crate) fn takes_clients(&self) -> bool {
        matches!(self, Readiness::Ready | Readiness::Degraded(_))
    }

    pub(crate) fn label(&self) -> &'static str {
        match self {
            Readiness::Starting => "starting",
            Readiness::Ready => "ok",
            Readiness::Degraded(_) => "degraded",
            Readiness::Draining => "draining",
        }
    }
}
