//! Layer 7: hashes of passwords. In come [`enum@Hash`]es as values, out goes what came of them, each once. A few threads
//! do it, so that none of it slows a shard, and so that no number of logins takes more memory and cores than is written in
//! [`crate::base::limit`]. It knows no application.

pub(crate) mod password;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use parking_lot::Mutex;

use self::password::Cost;
use crate::app::hash::{Hash, Hashed};
use crate::app::job::{JobError, JobErrorKind, Outcome};
use crate::base::ids::AppId;
use crate::base::limit::{HASH_QUEUE_MAX, HASH_THREADS};
use crate::shard::sample::HashSample;

/// Hears what came of a hash. It is called on a thread of the hashes, or inside `submit` where it is refused at once.
pub(crate) type OnHashed = Box<dyn FnOnce(Outcome) + Send>;

/// The door; clones share it.
#[derive(Clone)]
pub(crate) struct Hasher {
    inner: Arc<Inner>,
}

struct Inner {
    /// None once it is closed.
    queue: Mutex<Option<SyncSender<Asked>>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    shared: Arc<Shared>,
}

struct Shared {
    closing: AtomicBool,
    /// By the ids of the applications.
    samples: Mutex<Vec<HashSample>>,
}

struct Asked {
    app: AppId,
    hash: Hash,
    at: Instant,
    reply: OnHashed,
}

impl Hasher {
    /// Starts the threads. `apps` are the names of the applications, by their ids.
    ///
    /// # Errors
    /// A sentence about what the operating system refuses.
    pub(crate) fn start(apps: &[&'static str]) -> Result<Hasher, String> {
        let refused = |error| format!("a thread of hashes does not start: {error}");
        let samples = apps.iter().map(|app| HashSample { app, ..HashSample::default() }).collect();
        let shared = Arc::new(Shared { closing: AtomicBool::new(false), samples: Mutex::new(samples) });
        let (sender, receiver) = sync_channel(HASH_QUEUE_MAX);
        let receiver = Arc::new(Mutex::new(receiver));
        let start = |_| {
            let (receiver, shared) = (receiver.clone(), shared.clone());
            thread::Builder::new().name("hashing".to_owned()).spawn(move || work(&receiver, &shared)).map_err(refused)
        };
        let threads = (0..HASH_THREADS).map(start).collect::<Result<Vec<_>, String>>()?;
        let inner = Inner { queue: Mutex::new(Some(sender)), threads: Mutex::new(threads), shared };
        Ok(Hasher { inner: Arc::new(inner) })
    }

    /// Takes a hash of an application; `reply` hears what came of it. Where too many wait, that is `Busy`, at once.
    pub(crate) fn submit(&self, app: AppId, hash: Hash, reply: OnHashed) {
        let shared = &self.inner.shared;
        shared.count(app, |sample| sample.in_flight += 1);
        let asked = Asked { app, hash, at: Instant::now(), reply };
        let sent = match &*self.inner.queue.lock() {
            Some(queue) => queue.try_send(asked),
            None => Err(TrySendError::Disconnected(asked)),
        };
        match sent {
            Ok(()) => {}
            Err(TrySendError::Full(asked)) => shared.answer(asked, Err(busy())),
            Err(TrySendError::Disconnected(asked)) => shared.answer(asked, Err(ending())),
        }
    }

    /// What operators see, of each application that has asked for one.
    pub(crate) fn samples(&self) -> Vec<HashSample> {
        let samples = self.inner.shared.samples.lock();
        samples.iter().filter(|sample| sample.asked() > 0).cloned().collect()
    }

    /// What waits, and what is submitted from now on, is answered `Unavailable`. Blocks for as long as a hash takes; a second
    /// call does nothing.
    pub(crate) fn close(&self) {
        self.inner.shared.closing.store(true, Ordering::Relaxed);
        drop(self.inner.queue.lock().take());
        let threads = std::mem::take(&mut *self.inner.threads.lock());
        threads.into_iter().for_each(|thread| thread.join().expect("a thread of hashes does not panic"));
    }
}

/// One thread's life: hashes until nobody can ask any more. A thread that is free waits for the next one, others behind it.
fn work(queue: &Mutex<Receiver<Asked>>, shared: &Shared) {
    loop {
        let next = queue.lock().recv();
        let Ok(asked) = next else { return };
        let came = if shared.closing.load(Ordering::Relaxed) { Err(ending()) } else { hashed(&asked.hash) };
        shared.answer(asked, came);
    }
}

fn hashed(hash: &Hash) -> Result<Hashed, JobError> {
    let mut salt = [0; 16];
    getrandom::fill(&mut salt).map_err(|error| JobError::new(JobErrorKind::Unavailable, error.to_string()))?;
    password::work(hash, Cost::FULL, &salt)
}

fn busy() -> JobError {
    JobError::new(JobErrorKind::Busy, format!("{HASH_QUEUE_MAX} hashes wait already"))
}

fn ending() -> JobError {
    JobError::new(JobErrorKind::Unavailable, "the daemon is ending")
}

impl Shared {
    /// Counted out before the call: an asker that asks again from its reply finds the place free.
    fn answer(&self, asked: Asked, came: Result<Hashed, JobError>) {
        let took_us = u64::try_from(asked.at.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.count(asked.app, |sample| {
            sample.in_flight -= 1;
            sample.took_us.record(took_us);
            match &came {
                Ok(Hashed::Made(_)) => sample.made += 1,
                Ok(Hashed::Verified(true)) => sample.matched += 1,
                Ok(Hashed::Verified(false)) => sample.mismatched += 1,
                Err(error) if error.kind == JobErrorKind::Busy => sample.busy += 1,
                Err(_) => sample.failed += 1,
            }
        });
        (asked.reply)(came.map_or_else(Outcome::Failed, Outcome::Hashed));
    }

    fn count(&self, app: AppId, change: impl FnOnce(&mut HashSample)) {
        if let Some(sample) = self.samples.lock().get_mut(usize::from(app.0)) {
            change(sample);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Sender, channel};

    use super::*;
    use crate::base::secret::Secret;

    fn ask(hasher: &Hasher, hash: Hash, answers: &Sender<Outcome>) {
        let answers = answers.clone();
        // A test that has failed hears nothing more.
        hasher.submit(AppId(1), hash, Box::new(move |came| drop(answers.send(came))));
    }

    #[test]
    fn salts_differ_and_figures_say_what_came() {
        let hasher = Hasher::start(&["a", "b"]).unwrap();
        let (sender, answers) = channel();
        let password = || Secret::new("correct horse");
        let mut made = Vec::new();
        for _ in 0..2 {
            ask(&hasher, Hash::Make { password: password() }, &sender);
            let Outcome::Hashed(Hashed::Made(phc)) = answers.recv().unwrap() else { panic!("no hash") };
            made.push(phc);
        }
        assert_ne!(made[0], made[1]);
        for (password, phc, expected) in [
            (password(), Some(made[1].clone()), Some(true)),
            (Secret::new("x"), Some(made[1].clone()), Some(false)),
            (password(), None, Some(false)),
            (password(), Some("garbage".to_owned()), None),
        ] {
            ask(&hasher, Hash::Verify { password, phc }, &sender);
            let came = match answers.recv().unwrap() {
                Outcome::Hashed(Hashed::Verified(matches)) => Some(matches),
                _ => None,
            };
            assert_eq!(came, expected);
        }
        let samples = hasher.samples();
        let [sample] = &samples[..] else { panic!("only who has asked: {samples:?}") };
        assert_eq!((sample.app, sample.in_flight, sample.made, sample.matched), ("b", 0, 2, 1));
        assert_eq!((sample.mismatched, sample.failed, sample.busy, sample.took_us.count()), (2, 1, 0, 6));
    }

    #[test]
    fn more_than_may_wait_are_busy_at_once_and_the_end_answers_everybody_once() {
        let hasher = Hasher::start(&["a", "b"]).unwrap();
        let (sender, answers) = channel();
        let many = HASH_QUEUE_MAX + 2 * HASH_THREADS + 8;
        (0..many).for_each(|_| ask(&hasher, Hash::Verify { password: Secret::new("x"), phc: None }, &sender));
        hasher.close();
        hasher.close();
        ask(&hasher, Hash::Make { password: Secret::new("late") }, &sender);
        drop(sender);
        let kind = |came: &Outcome| match came {
            Outcome::Failed(error) => Some(error.kind),
            _ => None,
        };
        let came: Vec<_> = answers.iter().map(|came| kind(&came)).collect();
        let count = |wanted| came.iter().filter(|kind| **kind == wanted).count();
        assert_eq!(came.len(), many + 1, "each once");
        assert!(count(Some(JobErrorKind::Busy)) > 0, "{came:?}");
        assert!(count(Some(JobErrorKind::Unavailable)) > 1, "what waited, and what came late: {came:?}");
        assert_eq!(hasher.samples()[0].in_flight, 0);
    }
}
