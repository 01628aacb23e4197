//! What waits for the store: bounds on it, and a ticket for each job that guarantees exactly one answer.
//! In: a reply to call. Out: that call, whatever becomes of the job, even when its thread ends first.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use crate::app::effect::{Job, JobError, JobErrorKind, Outcome, Write};
use crate::apps::signage::job::{self as signage, Answer, SnapshotData};

/// Hears what came of a job. Called on a thread of the store, or inside [`Store::submit`](super::Store::submit) where the job is refused at once: it
/// should only pass the outcome on.
pub type OnOutcome = Box<dyn FnOnce(Outcome) + Send>;

/// What a thread of the store receives.
pub(super) enum Message<W> {
    Work(W, Ticket),
    /// Finish what is queued, then end.
    Stop,
}

/// Counts what waits, and refuses above its bounds.
pub(super) struct Gauge {
    jobs: AtomicUsize,
    bytes: AtomicUsize,
    jobs_max: usize,
    bytes_max: usize,
}

impl Gauge {
    pub fn new(jobs_max: usize, bytes_max: usize) -> Arc<Gauge> {
        Arc::new(Gauge { jobs: AtomicUsize::new(0), bytes: AtomicUsize::new(0), jobs_max, bytes_max })
    }

    pub fn jobs(&self) -> usize {
        self.jobs.load(Ordering::Relaxed)
    }

    /// Counts a job in, or answers it `Busy` at once.
    pub fn admit(self: &Arc<Gauge>, bytes: usize, failed: Failed, reply: OnOutcome) -> Option<Ticket> {
        let jobs = self.jobs.fetch_add(1, Ordering::Relaxed) + 1;
        let held = self.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let ticket = Ticket { reply: Some(reply), failed, bytes, gauge: Arc::clone(self), submitted: Instant::now() };
        if jobs > self.jobs_max || held > self.bytes_max {
            ticket.fail(JobError { kind: JobErrorKind::Busy, text: format!("{} jobs wait already", jobs - 1) });
            return None;
        }
        Some(ticket)
    }
}

/// How a failure is said to the asker of one kind of job.
pub(super) type Failed = fn(JobError) -> Outcome;

/// How a picture that could not be stored is said.
pub(super) fn not_stored(error: JobError) -> Outcome {
    Outcome::Signage(Answer::Stored(Err(error)))
}

/// The right to be answered once. Dropped unanswered, the job failed because the store closed under it.
pub(super) struct Ticket {
    reply: Option<OnOutcome>,
    failed: Failed,
    bytes: usize,
    gauge: Arc<Gauge>,
    submitted: Instant,
}

impl Ticket {
    pub fn answer(mut self, outcome: Outcome) {
        self.send(outcome);
    }

    pub fn fail(mut self, error: JobError) {
        let outcome = (self.failed)(error);
        self.send(outcome);
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }

    pub fn waited_ms(&self) -> u64 {
        self.waited_us() / 1000
    }

    pub fn waited_us(&self) -> u64 {
        u64::try_from(self.submitted.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// Counted out before the call: an asker that submits again from its reply finds the place free.
    fn send(&mut self, outcome: Outcome) {
        if let Some(reply) = self.reply.take() {
            self.gauge.jobs.fetch_sub(1, Ordering::Relaxed);
            self.gauge.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
            reply(outcome);
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if self.reply.is_some() {
            let closed = JobError { kind: JobErrorKind::Unavailable, text: "the store is closed".to_owned() };
            let outcome = (self.failed)(closed);
            self.send(outcome);
        }
    }
}

/// About how many bytes a job holds while it waits.
pub(super) fn weight(job: &Job) -> usize {
    match job {
        Job::Read(_) => 0,
        Job::Write(writes) => writes.iter().map(weight_of_write).sum(),
        Job::Snapshot(picture) => match &picture.data {
            SnapshotData::Raw(data) | SnapshotData::Base64(data) => data.len(),
        },
    }
}

fn weight_of_write(write: &Write) -> usize {
    let text = match write {
        Write::Audit(entry) => entry.details.len(),
        Write::Signage(signage::Write::PutDevice(device)) => device.register_info.len(),
        Write::Signage(signage::Write::PutState(state)) => state.json.len(),
        Write::Signage(signage::Write::AddChange(change)) => change.patch.len(),
        Write::Signage(signage::Write::PutCommand(command)) => command.params.len(),
        Write::Signage(signage::Write::PutAlert(_) | signage::Write::AddFailure(_)) => 0,
    };
    size_of::<Write>() + text
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn above_a_bound_the_answer_is_busy_and_a_place_is_free_again_once_answered() {
        let (sender, answers) = mpsc::channel();
        let gauge = Gauge::new(2, 100);
        let admit = |bytes| {
            let sender = sender.clone();
            gauge.admit(bytes, Outcome::Failed, Box::new(move |outcome| sender.send(outcome).unwrap()))
        };
        let kind = |outcome| match outcome {
            Outcome::Failed(error) => error.kind,
            other => panic!("{other:?}"),
        };
        let first = admit(60).unwrap();
        assert!(admit(60).is_none(), "too many bytes");
        let second = admit(1).unwrap();
        assert!(admit(1).is_none(), "too many jobs");
        for _ in 0..2 {
            assert_eq!(kind(answers.try_recv().unwrap()), JobErrorKind::Busy);
        }
        first.answer(Outcome::Written);
        assert_eq!(answers.try_recv().unwrap(), Outcome::Written);
        assert!(admit(60).is_some_and(|third| third.bytes() == 60));
        assert_eq!(kind(answers.try_recv().unwrap()), JobErrorKind::Unavailable, "a dropped ticket answers too");
        drop(second);
        assert_eq!(gauge.jobs(), 0);
    }
}
