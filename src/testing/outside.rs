//! The outside of a world: who answers requests, as a test scripts it.

use crate::app::fetch::{Fetch, FetchError, FetchFailure, Fetched};
use crate::app::hash::Hash;
use crate::app::job::{JobError, JobErrorKind, Outcome};
use crate::hashing::password::{Cost, work};

type Answer = Box<dyn FnMut(&Fetch) -> Result<Fetched, FetchError>>;

/// What is asked of the outside, and what it says.
pub(crate) struct Outside {
    /// All requests so far.
    pub asked: Vec<Fetch>,
    /// Requests get no answer until [`World::outside_answers`](super::World::outside_answers).
    pub hangs: bool,
    /// No hash is made or verified now, for this reason.
    pub hashes_fail: Option<JobErrorKind>,
    answer: Answer,
}

impl Default for Outside {
    /// Nobody is there.
    fn default() -> Self {
        let nobody = |_: &Fetch| Err(FetchError::new(FetchFailure::Refused, "nobody is there"));
        Outside { asked: Vec::new(), hangs: false, hashes_fail: None, answer: Box::new(nobody) }
    }
}

impl Outside {
    /// What comes of requests from now on.
    pub(crate) fn says(&mut self, answer: impl FnMut(&Fetch) -> Result<Fetched, FetchError> + 'static) {
        self.answer = Box::new(answer);
    }

    /// As the daemon, but for what it costs.
    pub(super) fn hash(&self, hash: &Hash) -> Outcome {
        let came = match self.hashes_fail {
            Some(kind) => Err(JobError::new(kind, "no hash now")),
            None => work(hash, Cost::LEAST, b"salt of a world!"),
        };
        came.map_or_else(Outcome::Failed, Outcome::Hashed)
    }

    pub(super) fn work(&mut self, fetch: &Fetch) -> Result<Fetched, FetchError> {
        (self.answer)(fetch)
    }
}

/// An answer in short.
pub(crate) fn answer(status: u16, body: &str) -> Result<Fetched, FetchError> {
    Ok(Fetched { status, headers: Vec::new(), body: body.to_owned().into(), redirects: 0 })
}
