//! How the requests are doing: figures by application, bounds on what waits, and a ticket for each that guarantees one answer.

use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;

use crate::app::fetch::{FetchError, FetchFailure, Fetched};
use crate::base::ids::AppId;
use crate::base::limit::{FETCH_QUEUE_BYTES_MAX, FETCH_QUEUE_MAX, FETCH_TEXT_CHARS_MAX};
use crate::base::time::WallMillis;
use crate::shard::sample::FetchSample;

/// Hears what came of a request. It is called on the thread of the requests, or inside `submit` where the request is refused
/// at once: it should only pass the outcome on.
pub type OnFetched = Box<dyn FnOnce(Result<Fetched, FetchError>) + Send>;

pub(super) struct Status {
    inner: Mutex<Inner>,
}

struct Inner {
    waiting: usize,
    bytes: usize,
    /// By the ids of the applications.
    apps: Vec<FetchSample>,
}

impl Status {
    pub(super) fn new(apps: &[&'static str]) -> Arc<Status> {
        let apps = apps.iter().map(|app| FetchSample { app, ..FetchSample::default() }).collect();
        Arc::new(Status { inner: Mutex::new(Inner { waiting: 0, bytes: 0, apps }) })
    }

    /// Counts a request in that holds so many bytes, or answers it `Busy` at once.
    pub(super) fn admit(self: &Arc<Status>, app: AppId, bytes: usize, reply: OnFetched) -> Option<Ticket> {
        let mut inner = self.inner.lock();
        let is_full = inner.waiting >= FETCH_QUEUE_MAX || inner.bytes + bytes > FETCH_QUEUE_BYTES_MAX;
        let waiting = inner.waiting;
        inner.waiting += 1;
        inner.bytes += bytes;
        if let Some(sample) = inner.apps.get_mut(usize::from(app.0)) {
            sample.in_flight += 1;
        }
        drop(inner);
        let ticket = Ticket { reply: Some(reply), app, bytes, asked: Instant::now(), status: Arc::clone(self) };
        if is_full {
            let text = format!("{waiting} requests wait already");
            ticket.answer(Err(FetchError::new(FetchFailure::Busy, text)), 0);
            return None;
        }
        Some(ticket)
    }

    /// What operators see, of each application that has asked for something.
    pub(super) fn samples(&self) -> Vec<FetchSample> {
        let inner = self.inner.lock();
        inner.apps.iter().filter(|sample| sample.asked() > 0).cloned().collect()
    }

    fn count(&self, ticket: &Ticket, came: &Result<Fetched, FetchError>, bytes_sent: usize) {
        let mut inner = self.inner.lock();
        inner.waiting -= 1;
        inner.bytes -= ticket.bytes;
        let Some(sample) = inner.apps.get_mut(usize::from(ticket.app.0)) else { return };
        sample.in_flight -= 1;
        sample.bytes_sent += bytes_sent as u64;
        sample.took_us.record(u64::try_from(ticket.asked.elapsed().as_micros()).unwrap_or(u64::MAX));
        match came {
            Ok(fetched) => {
                let class = usize::from(fetched.status / 100).clamp(1, FetchSample::CLASSES.len());
                sample.answered[class - 1] += 1;
                sample.bytes_received += fetched.body.len() as u64;
            }
            Err(error) => {
                sample.failed[error.kind as usize] += 1;
                sample.last_error = Some((wall_now(), error.to_string()));
            }
        }
    }
}

/// The right to be answered once. Dropped unanswered, the request came to nothing because the daemon ends.
pub(super) struct Ticket {
    reply: Option<OnFetched>,
    app: AppId,
    bytes: usize,
    asked: Instant,
    status: Arc<Status>,
}

impl Ticket {
    /// `bytes_sent`: of the request's body, where it was answered.
    pub(super) fn answer(mut self, came: Result<Fetched, FetchError>, bytes_sent: usize) {
        self.send(came, bytes_sent);
    }

    /// Counted out before the call: an asker that asks again from its reply finds the place free.
    fn send(&mut self, came: Result<Fetched, FetchError>, bytes_sent: usize) {
        let Some(reply) = self.reply.take() else { return };
        let short = |error: FetchError| {
            let text = error.text.chars().take(FETCH_TEXT_CHARS_MAX).collect::<String>();
            FetchError::new(error.kind, text)
        };
        let came = came.map_err(short);
        self.status.count(self, &came, bytes_sent);
        reply(came);
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.send(Err(FetchError::new(FetchFailure::Unavailable, "the daemon is ending")), 0);
    }
}

pub(super) fn wall_now() -> WallMillis {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().into()
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn above_a_bound_the_answer_is_busy_and_everybody_is_answered_once() {
        let status = Status::new(&["a", "b"]);
        let (sender, answers) = mpsc::channel();
        let admit = |app, bytes| {
            let sender = sender.clone();
            status.admit(AppId(app), bytes, Box::new(move |came| sender.send(came).unwrap()))
        };
        let kind = || answers.try_recv().unwrap().unwrap_err().kind;
        let first = admit(0, FETCH_QUEUE_BYTES_MAX).unwrap();
        assert!(admit(1, 1).is_none(), "too many bytes");
        assert_eq!(kind(), FetchFailure::Busy);
        drop(first);
        assert_eq!(kind(), FetchFailure::Unavailable);
        let waiting: Vec<_> = (0..FETCH_QUEUE_MAX).map(|_| admit(0, 0).unwrap()).collect();
        assert!(admit(0, 0).is_none(), "too many");
        assert_eq!(kind(), FetchFailure::Busy);
        drop(waiting);
        assert_eq!(answers.try_iter().count(), FETCH_QUEUE_MAX);
        let ok = Fetched { status: 204, headers: Vec::new(), body: "12".into(), redirects: 0 };
        admit(1, 0).unwrap().answer(Ok(ok), 7);
        let samples = status.samples();
        let [a, b] = &samples[..] else { panic!("{samples:?}") };
        assert_eq!((a.in_flight, b.in_flight, b.answered[1], b.bytes_received, b.bytes_sent), (0, 0, 1, 2, 7));
        assert_eq!((b.failed[FetchFailure::Busy as usize], b.took_us.count()), (1, 2));
        assert!(b.last_error.as_ref().unwrap().1.starts_with("busy: "));
    }
}
