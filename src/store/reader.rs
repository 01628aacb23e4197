//! A thread that answers questions on a connection of its own, so that no question waits for a commit.
//! In: questions with tickets. Out: answers from what had been committed when the question's turn came.

use std::sync::Arc;
use std::sync::mpsc::Receiver;

use parking_lot::Mutex;

use super::Repository;
use super::queue::Message;
use super::status::{Side, Status};
use crate::app::job::{JobError, JobErrorKind, Outcome};
use crate::app::sql::Statement;
use crate::base::limit;

/// The inbox is shared by all readers: the first one that is free takes the next question.
pub(super) struct Reader {
    pub repository: Box<dyn Repository>,
    pub inbox: Arc<Mutex<Receiver<Message<Vec<Statement>>>>>,
    pub status: Arc<Status>,
}

impl Reader {
    /// Until the store closes; each reader takes one `Stop`.
    pub(super) fn run(mut self) {
        let mut locked: Option<JobError> = None;
        loop {
            let message = self.inbox.lock().recv();
            let Ok(Message::Work(questions, ticket)) = message else { return };
            // Behind a locked database, what has waited too long is not tried at all: the queue drains in time.
            let stale = ticket.waited_ms() >= limit::STORE_BUSY_TIMEOUT_MS;
            let result = match locked.take() {
                Some(error) if stale => Err(error),
                _ => self.repository.read(&questions),
            };
            match result {
                Ok(rows) => {
                    self.count(None);
                    ticket.answer(Outcome::Read(rows));
                }
                Err(error) => {
                    self.count(Some(&error));
                    locked = (error.kind == JobErrorKind::Busy && stale).then(|| error.clone());
                    ticket.fail(error);
                }
            }
        }
    }

    fn count(&self, error: Option<&JobError>) {
        self.status.count(|counters| {
            counters.reads += 1;
            counters.read_failures += u64::from(error.is_some());
        });
        match error {
            Some(error) => self.status.failed(Side::Read, error),
            None => self.status.recovered(Side::Read),
        }
    }
}
