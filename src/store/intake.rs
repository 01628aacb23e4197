//! A file that comes in pieces, at the one who brings it. In: its bytes, as they come. Out: a blob, or nothing at all. How many
//! pieces may wait is bounded: whoever has more waits, and need not be read meanwhile.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::Sender;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::queue::{Errand, Gauge, Message, Slot, State, Ticket, Upload, pass_on};
use crate::app::job::{Blob, JobError, JobErrorKind, Outcome};
use crate::app::upload::Take;
use crate::base::limit::UPLOAD_PIECES_MAX;

/// A file that is being taken. Dropped before it is kept, nothing is left of it.
pub(crate) struct Intake {
    slot: Slot,
    /// Pieces that are not written yet.
    on_their_way: VecDeque<oneshot::Receiver<Outcome>>,
    gauge: Arc<Gauge>,
    librarian: Sender<Message<Errand>>,
    is_kept: bool,
    /// One of so many files at once.
    _place: Ticket,
}

impl Intake {
    pub(super) fn begin(
        take: Take,
        places: &Arc<Gauge>,
        gauge: &Arc<Gauge>,
        librarian: &Sender<Message<Errand>>,
    ) -> Result<Intake, JobError> {
        let place = places.admit(0, Box::new(drop));
        let _place = place.ok_or_else(|| JobError::new(JobErrorKind::Busy, "too many files come at once"))?;
        let slot = Arc::new(Mutex::new(Upload { take, state: State::Awaited }));
        let (gauge, librarian) = (gauge.clone(), librarian.clone());
        Ok(Intake { slot, on_their_way: VecDeque::new(), gauge, librarian, is_kept: false, _place })
    }

    /// Hands over the next bytes; waits while [`UPLOAD_PIECES_MAX`] pieces are on their way.
    ///
    /// # Errors
    /// Those of a piece before; the file is lost.
    pub(crate) async fn push(&mut self, bytes: Bytes) -> Result<(), JobError> {
        while self.on_their_way.len() >= UPLOAD_PIECES_MAX {
            self.next_written().await?;
        }
        let size = bytes.len();
        let answer = self.send(Errand::Append(self.slot.clone(), bytes), size);
        self.on_their_way.push_back(answer);
        Ok(())
    }

    /// All of it has been handed over, and it is of this kind.
    ///
    /// # Errors
    /// Those of a piece, of its name on the shelf, or of its row; the file is lost.
    pub(crate) async fn finish(mut self, mime: &'static str) -> Result<Blob, JobError> {
        while !self.on_their_way.is_empty() {
            self.next_written().await?;
        }
        match self.send(Errand::Finish(self.slot.clone(), mime), 0).await.unwrap_or_else(|_| closed()) {
            Outcome::Kept(blob) => {
                self.is_kept = true;
                Ok(blob)
            }
            Outcome::Failed(error) => Err(error),
            _ => Err(JobError::new(JobErrorKind::Unavailable, "the blob has no row")),
        }
    }

    async fn next_written(&mut self) -> Result<(), JobError> {
        let Some(answer) = self.on_their_way.front_mut() else { return Ok(()) };
        let outcome = answer.await.unwrap_or_else(|_| closed());
        self.on_their_way.pop_front();
        if let Outcome::Failed(error) = outcome { Err(error) } else { Ok(()) }
    }

    fn send(&self, errand: Errand, bytes: usize) -> oneshot::Receiver<Outcome> {
        let (sender, answer) = oneshot::channel();
        let ticket = self.gauge.admit(bytes, Box::new(move |outcome| drop(sender.send(outcome))));
        pass_on(&self.librarian, errand, ticket);
        answer
    }
}

impl Drop for Intake {
    /// What has been written is removed by the thread that may wait for files, even where it is a blob by now.
    fn drop(&mut self) {
        if !self.is_kept {
            drop(self.send(Errand::Abandon(self.slot.clone()), 0));
        }
    }
}

fn closed() -> Outcome {
    Outcome::Failed(JobError::new(JobErrorKind::Unavailable, "the store is closed"))
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, channel};

    use futures_util::FutureExt;

    use super::*;
    use crate::app::kind::IMAGES;
    use crate::base::ids::Sid;
    use crate::base::time::WallMillis;

    type Inbox = Receiver<Message<Errand>>;

    fn begin(places: &Arc<Gauge>) -> (Result<Intake, JobError>, Inbox) {
        let id = Sid::parse("abcdefghijklmnopqrst").unwrap();
        let take = Take { shelf: "s", id, at: WallMillis(0), bytes_max: 9, kinds: IMAGES, bounds: &[] };
        let (librarian, inbox) = channel();
        (Intake::begin(take, places, &Gauge::new(99, 99), &librarian), inbox)
    }

    /// The librarian's part: the name of the next errand, which comes to this.
    fn answer(inbox: &Inbox, outcome: Outcome) -> &'static str {
        let Ok(Message::Work(errand, ticket)) = inbox.try_recv() else { return "none" };
        ticket.answer(outcome);
        match errand {
            Errand::Append(..) => "append",
            Errand::Finish(..) => "finish",
            Errand::Abandon(..) => "abandon",
            Errand::Job(_) => "job",
        }
    }

    fn written() -> Outcome {
        Outcome::Written(Vec::new())
    }

    const PIECE: Bytes = Bytes::from_static(b"piece");

    #[tokio::test]
    async fn no_more_pieces_are_taken_than_may_wait() {
        let (intake, inbox) = begin(&Gauge::new(1, 0));
        let mut intake = intake.unwrap();
        for _ in 0..UPLOAD_PIECES_MAX {
            intake.push(PIECE).await.unwrap();
        }
        assert_eq!(intake.push(PIECE).now_or_never(), None, "its bringer waits");
        assert_eq!(answer(&inbox, written()), "append");
        assert_eq!(intake.push(PIECE).now_or_never(), Some(Ok(())));
        for _ in 0..UPLOAD_PIECES_MAX {
            assert_eq!(answer(&inbox, written()), "append");
        }
        assert_eq!(answer(&inbox, written()), "none", "the one that waited was dropped with its future");
    }

    #[tokio::test]
    async fn a_piece_that_fails_fails_the_file() {
        let (intake, inbox) = begin(&Gauge::new(1, 0));
        let mut intake = intake.unwrap();
        intake.push(PIECE).await.unwrap();
        answer(&inbox, Outcome::Failed(JobError::new(JobErrorKind::Full, "")));
        assert_eq!(intake.finish("image/gif").await.unwrap_err().kind, JobErrorKind::Full);
        assert_eq!(answer(&inbox, written()), "abandon", "it is never finished");
    }

    #[tokio::test]
    async fn what_is_not_known_to_be_kept_is_given_up() {
        let (intake, inbox) = begin(&Gauge::new(1, 0));
        drop(intake);
        assert_eq!(answer(&inbox, written()), "abandon");
        let (intake, inbox) = begin(&Gauge::new(1, 0));
        assert!(intake.unwrap().finish("image/gif").now_or_never().is_none());
        assert_eq!(["finish", "abandon"].map(|_| answer(&inbox, written())), ["finish", "abandon"]);
        // Nobody takes errands any more.
        let (intake, inbox) = begin(&Gauge::new(1, 0));
        drop(inbox);
        assert_eq!(intake.unwrap().finish("image/gif").await.unwrap_err().kind, JobErrorKind::Unavailable);
    }

    #[test]
    fn above_a_bound_no_file_is_begun_and_a_place_is_free_again_once_one_ends() {
        let places = Gauge::new(1, 0);
        let first = begin(&places);
        assert_eq!(begin(&places).0.err().map(|error| error.kind), Some(JobErrorKind::Busy));
        drop(first);
        assert!(begin(&places).0.is_ok());
    }
}
