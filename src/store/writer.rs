//! The one thread that writes: takes what has queued up, commits it as one group, and answers after the commit.
//! In: writes with tickets. Out: outcomes. Does not know SQL, and never repeats a group that may have half happened.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use super::queue::{Message, Ticket};
use super::status::{Side, Status, wall_now};
use super::{Repository, tables};
use crate::app::job::{JobError, JobErrorKind, Outcome};
use crate::app::sql::Statement;
use crate::base::limit;

/// A write as it waits, shared with whoever asked.
pub(super) type Write = Arc<Vec<Statement>>;

pub(super) struct Writer {
    repository: Box<dyn Repository>,
    inbox: Receiver<Message<Write>>,
    status: Arc<Status>,
    /// Taken from the inbox, not committed yet; the front of it is the next group.
    pending: VecDeque<(Write, Ticket)>,
    stopping: bool,
}

impl Writer {
    pub(super) fn new(repository: Box<dyn Repository>, inbox: Receiver<Message<Write>>, status: Arc<Status>) -> Writer {
        Writer { repository, inbox, status, pending: VecDeque::new(), stopping: false }
    }

    /// Until the store closes and all that was queued is answered.
    pub(super) fn run(mut self) {
        while self.gather() {
            if !self.pending.is_empty() {
                self.commit_group();
            }
        }
    }

    /// Waits for work and takes all there is. `false`: nothing is left and nothing will come.
    fn gather(&mut self) -> bool {
        if self.pending.is_empty() && !self.stopping {
            let message = match self.inbox.recv_timeout(self.patience()) {
                Ok(message) => message,
                Err(RecvTimeoutError::Disconnected) => return false,
                Err(RecvTimeoutError::Timeout) => {
                    self.probe();
                    return true;
                }
            };
            self.take(message);
        }
        while let Ok(message) = self.inbox.try_recv() {
            self.take(message);
        }
        !(self.stopping && self.pending.is_empty())
    }

    fn take(&mut self, message: Message<Write>) {
        match message {
            Message::Work(write, ticket) => self.pending.push_back((write, ticket)),
            Message::Stop => self.stopping = true,
        }
    }

    /// An idle writer in trouble looks now and then whether it is over; without trouble it sleeps.
    fn patience(&self) -> Duration {
        if self.status.is_troubled(Side::Write) { PROBE_INTERVAL } else { Duration::from_secs(3_600) }
    }

    fn probe(&mut self) {
        if !self.status.is_troubled(Side::Write) {
            return;
        }
        match self.repository.commit(&[&[tables::probe(wall_now())]]) {
            Ok(outcomes) if outcomes.iter().all(Outcome::is_written) => self.status.recovered(Side::Write),
            Ok(_) => {}
            Err(error) => self.status.failed(Side::Write, &error),
        }
    }

    fn commit_group(&mut self) {
        let jobs = self.group_jobs();
        let group: Vec<&[Statement]> = self.pending.iter().take(jobs).map(|(write, _)| write.as_slice()).collect();
        match self.repository.commit(&group) {
            Ok(outcomes) => self.answer(outcomes),
            Err(error) if error.kind == JobErrorKind::Busy => self.wait_or_give_up(&error),
            Err(error) => self.fail_group(jobs, &error),
        }
    }

    fn group_jobs(&self) -> usize {
        let mut bytes = 0;
        let fits = self.pending.iter().take(limit::STORE_GROUP_JOBS_MAX).take_while(|(_, ticket)| {
            bytes += ticket.bytes();
            bytes <= limit::STORE_GROUP_BYTES_MAX
        });
        fits.count().max(1)
    }

    /// The group is on disk. Counted first: whoever has an answer finds it counted.
    fn answer(&mut self, outcomes: Vec<Outcome>) {
        let errors: Vec<&JobError> = outcomes.iter().filter_map(error_of).collect();
        let decided = self.pending.iter().zip(&outcomes).filter(|(_, outcome)| error_of(outcome).is_none());
        self.status.committed(decided.map(|((_, ticket), _)| ticket.waited_us()), errors.len() as u64);
        match errors.into_iter().find(|error| error.kind != JobErrorKind::Invalid) {
            Some(error) => self.status.failed(Side::Write, error),
            None => self.status.recovered(Side::Write),
        }
        let group: Vec<_> = self.pending.drain(..outcomes.len()).collect();
        for ((_, ticket), outcome) in group.into_iter().zip(outcomes) {
            ticket.answer(outcome);
        }
    }

    /// The database is locked: nothing happened, so the group may be tried again until its time is over.
    fn wait_or_give_up(&mut self, error: &JobError) {
        self.status.failed(Side::Write, error);
        while self.pending.front().is_some_and(|(_, ticket)| ticket.waited_ms() >= limit::STORE_BUSY_TIMEOUT_MS) {
            self.fail_group(1, error);
        }
        std::thread::sleep(BUSY_PAUSE);
    }

    /// A write that was not acknowledged is never tried again by us: the asker decides.
    fn fail_group(&mut self, jobs: usize, error: &JobError) {
        self.status.failed(Side::Write, error);
        self.status.count(|counters| counters.write_failures += jobs as u64);
        let group: Vec<_> = self.pending.drain(..jobs).collect();
        for (_, ticket) in group {
            ticket.fail(error.clone());
        }
    }
}

fn error_of(outcome: &Outcome) -> Option<&JobError> {
    if let Outcome::Failed(error) = outcome { Some(error) } else { None }
}

const PROBE_INTERVAL: Duration = Duration::from_millis(500);
const BUSY_PAUSE: Duration = Duration::from_millis(5);

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Instant;

    use super::*;
    use crate::app::sql::Rows;
    use crate::store::queue::Gauge;
    use crate::store::status::{Counters, Health};

    /// Answers commits from a script, the last answer again and again; notes the size of every group.
    struct Scripted {
        answers: Vec<Result<(), JobErrorKind>>,
        groups: mpsc::Sender<usize>,
    }

    impl Repository for Scripted {
        fn commit(&mut self, group: &[&[Statement]]) -> Result<Vec<Outcome>, JobError> {
            self.groups.send(group.len()).unwrap();
            let next = if self.answers.len() > 1 { self.answers.remove(0) } else { self.answers[0] };
            match next {
                Ok(()) => Ok(group.iter().map(|_| Outcome::Written(vec![])).collect()),
                Err(kind) => Err(JobError { kind, text: format!("{kind:?}") }),
            }
        }

        fn read(&mut self, _: &[Statement]) -> Result<Vec<Rows>, JobError> {
            unreachable!("the writer does not read")
        }
    }

    /// Queues `jobs`, runs the writer to its end; gives the kinds of the failures (`None`: written), group sizes, health.
    fn check(
        jobs: usize,
        answers: Vec<Result<(), JobErrorKind>>,
    ) -> (Vec<Option<JobErrorKind>>, Vec<usize>, Health, Counters) {
        let (sender, inbox) = mpsc::channel();
        let (groups, sizes) = mpsc::channel();
        let (replies, outcomes) = mpsc::channel();
        let gauge = Gauge::new(10_000, 10_000);
        for _ in 0..jobs {
            let replies = replies.clone();
            let reply = Box::new(move |outcome| replies.send(outcome).unwrap());
            let ticket = gauge.admit(0, reply).unwrap();
            assert!(sender.send(Message::Work(Write::default(), ticket)).is_ok());
        }
        assert!(sender.send(Message::Stop).is_ok());
        let (status, repository) = (Arc::<Status>::default(), Box::new(Scripted { answers, groups }));
        Writer::new(repository, inbox, Arc::clone(&status)).run();
        let kinds = outcomes.try_iter().map(|outcome| match outcome {
            Outcome::Failed(error) => Some(error.kind),
            other => {
                assert!(other.is_written(), "{other:?}");
                None
            }
        });
        assert_eq!(gauge.jobs(), 0);
        (kinds.collect(), sizes.try_iter().collect(), status.health(), status.counters())
    }

    #[test]
    fn what_has_queued_up_is_one_group_of_bounded_size() {
        let (kinds, sizes, health, counters) = check(limit::STORE_GROUP_JOBS_MAX + 3, vec![Ok(())]);
        assert!(kinds.iter().all(Option::is_none));
        assert_eq!(sizes, [limit::STORE_GROUP_JOBS_MAX, 3]);
        assert_eq!(health, Health::Ok);
        assert_eq!((counters.commits, counters.written), (2, kinds.len() as u64));
    }

    #[test]
    fn a_failed_commit_fails_its_whole_group_and_is_not_repeated() {
        let answers = vec![Err(JobErrorKind::Unavailable), Ok(())];
        let (kinds, sizes, health, counters) = check(limit::STORE_GROUP_JOBS_MAX + 1, answers);
        assert_eq!(sizes, [limit::STORE_GROUP_JOBS_MAX, 1]);
        let (failed, written) = kinds.split_at(limit::STORE_GROUP_JOBS_MAX);
        assert!(failed.iter().all(|kind| *kind == Some(JobErrorKind::Unavailable)));
        assert_eq!(written, [None]);
        assert_eq!(health, Health::Ok);
        assert_eq!(counters.write_failures, limit::STORE_GROUP_JOBS_MAX as u64);
    }

    #[test]
    fn a_short_lock_is_waited_out_and_a_long_one_answers_busy_in_time() {
        let (kinds, sizes, health, _) = check(2, vec![Err(JobErrorKind::Busy), Err(JobErrorKind::Busy), Ok(())]);
        assert_eq!(
            (kinds.as_slice(), sizes.as_slice(), health),
            ([None, None].as_slice(), [2, 2, 2].as_slice(), Health::Ok)
        );

        let start = Instant::now();
        let (kinds, _, health, _) = check(limit::STORE_GROUP_JOBS_MAX + 1, vec![Err(JobErrorKind::Busy)]);
        assert!(kinds.iter().all(|kind| *kind == Some(JobErrorKind::Busy)));
        assert!(matches!(health, Health::Degraded { text, .. } if text == "Busy"));
        assert!(start.elapsed() < Duration::from_millis(2 * limit::STORE_BUSY_TIMEOUT_MS));
    }
}
