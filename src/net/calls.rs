//! HTTP calls that wait for their home: in a table of that home's core, which nobody else touches. The asker has the other
//! end of a channel, says how the file goes that it brings, and says so when it leaves.

use std::sync::Arc;
use std::task::{Context, Poll};

use hashbrown::HashMap;
use tokio::sync::Notify;

use super::asker::{Asker, Heard, channel};
use super::mailbox::{Mailboxes, Message};
use crate::app::reply::{Answer, Content, Leave, Reply};
use crate::app::upload::{Fault, News};
use crate::base::ids::{AppId, Key, ReqId};
use crate::shard::io::Input;

/// The asker's end of a call. Dropped before the call is over, it gives the call up.
pub(crate) struct Answers {
    req: ReqId,
    mailboxes: Mailboxes,
    heard: Heard,
    over: bool,
}

/// Both ends of the call `req`; `cut` ends the asker's connection.
pub(crate) fn open(req: ReqId, mailboxes: Mailboxes, cut: Arc<Notify>) -> (Asker, Answers) {
    let (asker, heard) = channel(cut);
    (asker, Answers { req, mailboxes, heard, over: false })
}

impl Answers {
    /// How it goes with the file that the home takes.
    pub(crate) fn tell(&mut self, news: News) {
        self.mailboxes[usize::from(self.req.shard.0)].send(Message::Upload { req: self.req, news });
    }

    /// The next answer; `None` when there will be none.
    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Answer>> {
        let next = self.heard.poll_next(cx);
        self.over |= match &next {
            Poll::Ready(Some(answer)) => is_last(answer),
            Poll::Ready(None) => true,
            Poll::Pending => false,
        };
        next
    }
}

impl Drop for Answers {
    fn drop(&mut self) {
        if !self.over {
            self.mailboxes[usize::from(self.req.shard.0)].send(Message::Left { req: self.req });
        }
    }
}

/// The calls at home on one core.
#[derive(Default)]
pub(crate) struct Calls {
    waiting: HashMap<Key, Waiting>,
    draining: bool,
}

struct Waiting {
    app: AppId,
    asker: Asker,
    phase: Phase,
}

/// How far a call is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Its home has not replied.
    Waits,
    /// Nor yet; its file comes.
    Takes,
    /// It has had its reply, and hears items now.
    Streams,
}

/// What is said of a call.
pub(crate) enum Said {
    /// By its home, of this application.
    Answer(AppId, Answer),
    /// By the asker, who brings a file.
    News(News),
    /// The asker has left.
    Left,
}

impl Calls {
    /// A call has come.
    pub(crate) fn on_call(&mut self, req: ReqId, app: AppId, asker: Asker) {
        self.waiting.insert(req.key, Waiting { app, asker, phase: Phase::Waits });
    }

    /// Something is said of a call. Gives what its home has to hear.
    pub(crate) fn on_said(&mut self, req: ReqId, said: Said) -> Option<Input<'static>> {
        let heard = match said {
            Said::Answer(app, answer) => self.on_answer(req, app, answer),
            Said::News(news) => self.on_news(req, news),
            Said::Left => self.on_left(req),
        };
        heard.map(|(app, told)| match told {
            Told::Left(why) => Input::AskerLeft { req, app, why },
            Told::News(news) => Input::Upload { req, app, news },
        })
    }

    /// Its home answers. The home of a stream whose asker was too slow and is cut off hears of that; so does one that takes a
    /// file whose asker has left. No other asker that has left is missed.
    fn on_answer(&mut self, req: ReqId, app: AppId, answer: Answer) -> Option<(AppId, Told)> {
        let Some(call) = self.waiting.get_mut(&req.key) else {
            return matches!(answer, Answer::Take(_)).then_some((app, Told::News(News::Failed(Fault::Gone))));
        };
        call.phase = match (&answer, call.phase) {
            (Answer::Take(_), Phase::Waits) => Phase::Takes,
            (Answer::Reply(_), Phase::Waits | Phase::Takes) | (Answer::Item(_) | Answer::End, Phase::Streams) => {
                Phase::Streams
            }
            _ => return None,
        };
        let (is_taking, last) = (call.phase == Phase::Takes, is_last(&answer));
        let is_told = call.asker.tell(answer);
        let is_ended = self.draining && !is_taking;
        if !last && is_ended {
            call.asker.tell(Answer::End);
        }
        if last || !is_told || is_ended {
            self.waiting.remove(&req.key);
        }
        (!is_told).then_some((app, Told::Left(Leave::TooSlow)))
    }

    /// How it goes with a file. When it is kept or lost, its home owes a reply.
    fn on_news(&mut self, req: ReqId, news: News) -> Option<(AppId, Told)> {
        let call = self.waiting.get_mut(&req.key).filter(|call| call.phase == Phase::Takes)?;
        if !matches!(news, News::Progress { .. }) {
            call.phase = Phase::Waits;
        }
        Some((call.app, Told::News(news)))
    }

    /// Its asker has left: of a stream, or with a file in the middle, its home hears so.
    fn on_left(&mut self, req: ReqId) -> Option<(AppId, Told)> {
        let call = self.waiting.remove(&req.key)?;
        let told = match call.phase {
            Phase::Waits => return None,
            Phase::Takes => Told::News(News::Failed(Fault::Gone)),
            Phase::Streams => Told::Left(Leave::Gone),
        };
        Some((call.app, told))
    }

    /// The daemon ends, and so do streams, when their homes have had their last word.
    pub(crate) fn on_drain(&mut self) {
        self.draining = true;
        for (_, call) in self.waiting.extract_if(|_, call| call.phase == Phase::Streams) {
            call.asker.tell(Answer::End);
        }
    }
}

/// What a home has to hear of a call.
#[derive(Debug, PartialEq, Eq)]
enum Told {
    Left(Leave),
    News(News),
}

/// Whether nothing follows it.
fn is_last(answer: &Answer) -> bool {
    match answer {
        Answer::Reply(Reply { content, .. }) => *content != Content::Stream,
        Answer::Item(_) | Answer::Take(_) => false,
        Answer::End => true,
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;
    use crate::app::kind::IMAGES;
    use crate::app::reply::Item;
    use crate::app::upload::Take;
    use crate::base::ids::{ShardId, Sid};
    use crate::base::limit::{STREAM_BYTES_MAX, STREAM_ITEMS_MAX};
    use crate::base::time::WallMillis;
    use crate::net::mailbox::Mailbox;

    const REQ: ReqId = ReqId { shard: ShardId(0), key: Key { slot: 7, generation: 1 } };
    const APP: AppId = AppId(3);

    struct Setup {
        calls: Calls,
        mailboxes: Mailboxes,
        answers: Answers,
        cut: Arc<Notify>,
    }

    fn call() -> Setup {
        let (mut calls, cut) = (Calls::default(), Arc::<Notify>::default());
        let mailboxes: Mailboxes = [Mailbox::default()].into_iter().collect();
        let (asker, answers) = open(REQ, mailboxes.clone(), cut.clone());
        calls.on_call(REQ, APP, asker);
        Setup { calls, mailboxes, answers, cut }
    }

    /// A call that has had its reply: items follow.
    async fn stream() -> Setup {
        let mut setup = call();
        assert_eq!(setup.calls.on_answer(REQ, APP, Answer::Reply(Reply::stream())), None);
        assert!(matches!(next(&mut setup.answers).await, Some(Answer::Reply(_))));
        setup
    }

    async fn next(answers: &mut Answers) -> Option<Answer> {
        poll_fn(|cx| answers.poll_next(cx)).await
    }

    fn item(bytes: usize) -> Answer {
        Answer::Item(Item { data: "x".repeat(bytes), ..Item::default() })
    }

    fn told(setup: &mut Setup) -> Option<(AppId, Told)> {
        match setup.mailboxes[0].take() {
            Some(Message::Left { req }) => setup.calls.on_left(req),
            _ => panic!("the home is not told"),
        }
    }

    #[tokio::test]
    async fn an_answered_call_leaves_nothing_behind() {
        let Setup { mut calls, mailboxes, mut answers, .. } = call();
        let reply = Answer::Reply(Reply::empty(204));
        assert_eq!(calls.on_answer(REQ, APP, item(1)), None, "there is no stream");
        calls.on_answer(REQ, APP, reply.clone());
        calls.on_answer(REQ, APP, Answer::Reply(Reply::empty(200)));
        assert_eq!(next(&mut answers).await, Some(reply));
        drop(answers);
        assert!(calls.waiting.is_empty() && mailboxes[0].take().is_none());
    }

    #[tokio::test]
    async fn a_call_that_is_given_up_leaves_nothing_behind_and_its_home_hears_nothing() {
        let mut setup = call();
        drop(std::mem::replace(&mut setup.answers, call().answers));
        assert_eq!(told(&mut setup), None);
        assert!(setup.calls.waiting.is_empty());
        assert_eq!(setup.calls.on_answer(REQ, APP, Answer::Reply(Reply::empty(204))), None);
    }

    #[tokio::test]
    async fn a_stream_has_its_items_in_order_and_an_end() {
        let Setup { mut calls, mailboxes, mut answers, .. } = stream().await;
        for bytes in 1..=3 {
            calls.on_answer(REQ, APP, item(bytes));
        }
        calls.on_answer(REQ, APP, Answer::Reply(Reply::empty(200)));
        calls.on_answer(REQ, APP, Answer::End);
        calls.on_answer(REQ, APP, item(4));
        for expected in [item(1), item(2), item(3), Answer::End] {
            assert_eq!(next(&mut answers).await, Some(expected));
        }
        drop(answers);
        assert!(calls.waiting.is_empty() && mailboxes[0].take().is_none());
    }

    #[tokio::test]
    async fn the_home_hears_of_an_asker_that_leaves_in_mid_stream() {
        let mut setup = stream().await;
        setup.calls.on_answer(REQ, APP, item(1));
        drop(std::mem::replace(&mut setup.answers, call().answers));
        assert_eq!(told(&mut setup), Some((APP, Told::Left(Leave::Gone))));
        assert!(setup.calls.waiting.is_empty());
    }

    #[tokio::test]
    async fn a_stream_that_nobody_reads_is_cut_off_at_its_bounds_and_its_home_hears_it_once() {
        for (fitting, bytes) in [(STREAM_ITEMS_MAX, 1), (4, STREAM_BYTES_MAX / 4)] {
            let Setup { mut calls, mut answers, cut, .. } = stream().await;
            for _ in 0..fitting {
                assert_eq!(calls.on_answer(REQ, APP, item(bytes)), None);
            }
            assert_eq!(calls.on_answer(REQ, APP, item(bytes)), Some((APP, Told::Left(Leave::TooSlow))));
            assert_eq!(calls.on_answer(REQ, APP, item(bytes)), None);
            assert!(calls.waiting.is_empty());
            cut.notified().await;
            for _ in 0..fitting {
                assert_eq!(next(&mut answers).await, Some(item(bytes)));
            }
            assert_eq!(next(&mut answers).await, None, "broken off, without an end");
        }
    }

    #[tokio::test]
    async fn what_has_been_read_counts_no_more() {
        let Setup { mut calls, mut answers, .. } = stream().await;
        for _ in 0..2 * STREAM_ITEMS_MAX {
            assert_eq!(calls.on_answer(REQ, APP, item(STREAM_BYTES_MAX / 2)), None);
            assert!(next(&mut answers).await.is_some());
        }
    }

    fn take() -> Answer {
        let id = Sid::parse("abcdefghijklmnopqrst").unwrap();
        Answer::Take(Take { shelf: "s", id, at: WallMillis(0), bytes_max: 9, kinds: IMAGES, bounds: &[] })
    }

    /// A call whose home takes its file.
    async fn upload() -> Setup {
        let mut setup = call();
        assert_eq!(setup.calls.on_answer(REQ, APP, take()), None);
        assert_eq!(next(&mut setup.answers).await, Some(take()));
        setup
    }

    fn told_news(setup: &mut Setup) -> Option<(AppId, Told)> {
        match setup.mailboxes[0].take() {
            Some(Message::Upload { req, news }) => setup.calls.on_news(req, news),
            _ => panic!("the home is not told"),
        }
    }

    #[tokio::test]
    async fn the_home_hears_how_a_file_goes_and_replies_once() {
        let mut setup = upload().await;
        let progress = News::Progress { bytes: 3, total: None };
        setup.answers.tell(progress.clone());
        assert_eq!(told_news(&mut setup), Some((APP, Told::News(progress))));
        assert_eq!(setup.calls.on_answer(REQ, APP, take()), None, "it is taken once");
        setup.answers.tell(News::Failed(Fault::TooLarge));
        assert_eq!(told_news(&mut setup), Some((APP, Told::News(News::Failed(Fault::TooLarge)))));
        setup.answers.tell(News::Failed(Fault::TooLarge));
        assert_eq!(told_news(&mut setup), None, "the last word has been said");
        let reply = Answer::Reply(Reply::empty(413));
        setup.calls.on_answer(REQ, APP, reply.clone());
        assert_eq!(next(&mut setup.answers).await, Some(reply));
        assert!(setup.calls.waiting.is_empty());
    }

    #[tokio::test]
    async fn the_home_of_a_file_hears_of_an_asker_that_leaves_before_its_end_whenever_that_is() {
        let gone = Some((APP, Told::News(News::Failed(Fault::Gone))));
        let mut setup = upload().await;
        drop(std::mem::replace(&mut setup.answers, call().answers));
        assert_eq!(told(&mut setup), gone);
        // It has left before its home took the file.
        let mut setup = call();
        drop(std::mem::replace(&mut setup.answers, call().answers));
        assert_eq!(told(&mut setup), None);
        assert_eq!(setup.calls.on_answer(REQ, APP, take()), gone);
        assert!(setup.calls.waiting.is_empty());
    }

    #[tokio::test]
    async fn a_file_goes_on_coming_while_the_daemon_ends() {
        let mut setup = call();
        setup.calls.on_drain();
        setup.calls.on_answer(REQ, APP, take());
        assert_eq!(next(&mut setup.answers).await, Some(take()));
        setup.answers.tell(News::Failed(Fault::Slow));
        assert!(told_news(&mut setup).is_some());
        setup.calls.on_answer(REQ, APP, Answer::Reply(Reply::empty(408)));
        assert_eq!(next(&mut setup.answers).await, Some(Answer::Reply(Reply::empty(408))));
        assert!(setup.calls.waiting.is_empty());
    }

    #[tokio::test]
    async fn streams_end_with_the_daemon_and_replies_are_waited_for() {
        let Setup { mut calls, mut answers, .. } = stream().await;
        let other = ReqId { key: Key { slot: 8, generation: 1 }, ..REQ };
        let (asker, mut waits) = open(other, answers.mailboxes.clone(), Arc::default());
        calls.on_call(other, APP, asker);
        calls.on_drain();
        assert_eq!(next(&mut answers).await, Some(Answer::End));
        calls.on_answer(other, APP, Answer::Reply(Reply::stream()));
        assert_eq!(next(&mut waits).await, Some(Answer::Reply(Reply::stream())));
        assert_eq!(next(&mut waits).await, Some(Answer::End), "no stream begins any more");
        assert!(calls.waiting.is_empty());
    }
}
