//! What waits for the store: bounds on it, and a ticket for each job that guarantees exactly one answer.
//! In: a reply to call. Out: that call, whatever becomes of the job, even when its thread ends first.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::Sender;
use std::time::Instant;

use bytes::Bytes;
use parking_lot::Mutex;

use super::part::Part;
use crate::app::job::{Job, JobError, JobErrorKind, Outcome};
use crate::app::sql::Statement;
use crate::app::upload::Take;

/// Hears what came of a job. Called on a thread of the store, or inside [`Store::submit`](super::Store::submit) where the job is refused at once: it
/// should only pass the outcome on.
pub type OnOutcome = Box<dyn FnOnce(Outcome) + Send>;

/// What a thread of the store receives.
pub(super) enum Message<W> {
    Work(W, Ticket),
    /// Finish what is queued, then end.
    Stop,
}

/// What the librarian is asked.
pub(super) enum Errand {
    Job(Job),
    /// The next bytes of an upload.
    Append(Slot, Bytes),
    /// It has come to its end, and is of this kind.
    Finish(Slot, &'static str),
    /// Nobody waits for it any more: nothing of it is to stay.
    Abandon(Slot),
}

/// Where an upload is, for the one who brings it and for the librarian. Dropped by both, it is thrown away.
pub(super) type Slot = Arc<Mutex<Upload>>;

/// A file that comes in pieces.
pub(super) struct Upload {
    pub take: Take,
    pub state: State,
}

/// How far it is.
pub(super) enum State {
    Awaited,
    Begun(Part),
    /// A blob, of which its bringer may not know yet.
    Kept,
    /// Failed or given up: nothing more is taken.
    Over,
}

/// Counts what waits, and refuses above its bounds.
pub(super) struct Gauge {
    jobs: AtomicUsize,
    bytes: AtomicUsize,
    jobs_max: usize,
    bytes_max: usize,
}

impl Gauge {
    pub(super) fn new(jobs_max: usize, bytes_max: usize) -> Arc<Gauge> {
        Arc::new(Gauge { jobs: AtomicUsize::new(0), bytes: AtomicUsize::new(0), jobs_max, bytes_max })
    }

    pub(super) fn jobs(&self) -> usize {
        self.jobs.load(Ordering::Relaxed)
    }

    /// Counts a job in, or answers it `Busy` at once.
    pub(super) fn admit(self: &Arc<Gauge>, bytes: usize, reply: OnOutcome) -> Option<Ticket> {
        let jobs = self.jobs.fetch_add(1, Ordering::Relaxed) + 1;
        let held = self.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let ticket = Ticket { reply: Some(reply), bytes, gauge: Arc::clone(self), submitted: Instant::now() };
        if jobs > self.jobs_max || held > self.bytes_max {
            ticket.fail(JobError { kind: JobErrorKind::Busy, text: format!("{} jobs wait already", jobs - 1) });
            return None;
        }
        Some(ticket)
    }
}

/// The right to be answered once. Dropped unanswered, the job failed because the store closed under it.
pub(super) struct Ticket {
    reply: Option<OnOutcome>,
    bytes: usize,
    gauge: Arc<Gauge>,
    submitted: Instant,
}

impl Ticket {
    pub(super) fn answer(mut self, outcome: Outcome) {
        self.send(outcome);
    }

    pub(super) fn fail(mut self, error: JobError) {
        self.send(Outcome::Failed(error));
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn waited_ms(&self) -> u64 {
        self.waited_us() / 1000
    }

    pub(super) fn waited_us(&self) -> u64 {
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
            self.send(Outcome::Failed(closed));
        }
    }
}

/// A thread that has ended hands the message back; its ticket then answers by being dropped.
pub(super) fn pass_on<W>(inbox: &Sender<Message<W>>, work: W, ticket: Option<Ticket>) {
    if let Some(ticket) = ticket {
        drop(inbox.send(Message::Work(work, ticket)));
    }
}

/// About how many bytes a job holds while it waits.
pub(super) fn weight(job: &Job) -> usize {
    let all = |statements: &[Statement]| statements.iter().map(Statement::weight).sum();
    match job {
        Job::Read(questions) => all(questions),
        Job::Write(write) => all(write),
        Job::Keep(keep) => keep.data.len() + all(&keep.write),
        Job::Drop { .. } | Job::Fetch(_) | Job::Hash(_) => 0,
    }
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
            gauge.admit(bytes, Box::new(move |outcome| sender.send(outcome).unwrap()))
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
        first.answer(Outcome::Written(vec![]));
        assert_eq!(answers.try_recv().unwrap(), Outcome::Written(vec![]));
        assert!(admit(60).is_some_and(|third| third.bytes() == 60));
        assert_eq!(kind(answers.try_recv().unwrap()), JobErrorKind::Unavailable, "a dropped ticket answers too");
        drop(second);
        assert_eq!(gauge.jobs(), 0);
    }
}
