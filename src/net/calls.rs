//! HTTP calls that wait for their home: in a table of that home's core, which nobody else touches. The asker has the other
//! end of a channel, and says so when it leaves.

use std::sync::Arc;
use std::task::{Context, Poll};

use hashbrown::HashMap;
use tokio::sync::Notify;

use super::asker::{Asker, Heard, channel};
use super::mailbox::{Mailboxes, Message};
use crate::app::reply::{Answer, Content, Leave, Reply};
use crate::base::ids::{AppId, Key, ReqId};

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
    /// It has had its reply, and hears items now.
    streams: bool,
}

impl Calls {
    /// A call has come.
    pub(crate) fn on_call(&mut self, req: ReqId, app: AppId, asker: Asker) {
        self.waiting.insert(req.key, Waiting { app, asker, streams: false });
    }

    /// Its home answers; an asker that has left is not missed. Gives the application of a stream whose asker was too slow
    /// and is cut off: its home is to hear of that.
    pub(crate) fn on_answer(&mut self, req: ReqId, answer: Answer) -> Option<(AppId, Leave)> {
        let call = self.waiting.get_mut(&req.key)?;
        let is_reply = matches!(answer, Answer::Reply(_));
        if is_reply == call.streams {
            return None;
        }
        call.streams = true;
        let (app, last) = (call.app, is_last(&answer));
        let is_told = call.asker.tell(answer);
        if !last && self.draining {
            call.asker.tell(Answer::End);
        }
        if last || !is_told || self.draining {
            self.waiting.remove(&req.key);
        }
        (!is_told).then_some((app, Leave::TooSlow))
    }

    /// Its asker has left. Gives the application, where it was a stream's.
    pub(crate) fn on_left(&mut self, req: ReqId) -> Option<(AppId, Leave)> {
        let call = self.waiting.remove(&req.key)?;
        call.streams.then_some((call.app, Leave::Gone))
    }

    /// The daemon ends, and so do streams, when their homes have had their last word.
    pub(crate) fn on_drain(&mut self) {
        self.draining = true;
        for (_, call) in self.waiting.extract_if(|_, call| call.streams) {
            call.asker.tell(Answer::End);
        }
    }
}

/// Whether nothing follows it.
fn is_last(answer: &Answer) -> bool {
    match answer {
        Answer::Reply(Reply { content, .. }) => *content != Content::Stream,
        Answer::Item(_) => false,
        Answer::End => true,
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;
    use crate::app::reply::Item;
    use crate::base::ids::ShardId;
    use crate::base::limit::{STREAM_BYTES_MAX, STREAM_ITEMS_MAX};
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
        assert_eq!(setup.calls.on_answer(REQ, Answer::Reply(Reply::stream())), None);
        assert!(matches!(next(&mut setup.answers).await, Some(Answer::Reply(_))));
        setup
    }

    async fn next(answers: &mut Answers) -> Option<Answer> {
        poll_fn(|cx| answers.poll_next(cx)).await
    }

    fn item(bytes: usize) -> Answer {
        Answer::Item(Item { data: "x".repeat(bytes), ..Item::default() })
    }

    fn told(setup: &mut Setup) -> Option<(AppId, Leave)> {
        match setup.mailboxes[0].take() {
            Some(Message::Left { req }) => setup.calls.on_left(req),
            _ => panic!("the home is not told"),
        }
    }

    #[tokio::test]
    async fn an_answered_call_leaves_nothing_behind() {
        let Setup { mut calls, mailboxes, mut answers, .. } = call();
        let reply = Answer::Reply(Reply::empty(204));
        assert_eq!(calls.on_answer(REQ, item(1)), None, "there is no stream");
        calls.on_answer(REQ, reply.clone());
        calls.on_answer(REQ, Answer::Reply(Reply::empty(200)));
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
        assert_eq!(setup.calls.on_answer(REQ, Answer::Reply(Reply::empty(204))), None);
    }

    #[tokio::test]
    async fn a_stream_has_its_items_in_order_and_an_end() {
        let Setup { mut calls, mailboxes, mut answers, .. } = stream().await;
        for bytes in 1..=3 {
            calls.on_answer(REQ, item(bytes));
        }
        calls.on_answer(REQ, Answer::Reply(Reply::empty(200)));
        calls.on_answer(REQ, Answer::End);
        calls.on_answer(REQ, item(4));
        for expected in [item(1), item(2), item(3), Answer::End] {
            assert_eq!(next(&mut answers).await, Some(expected));
        }
        drop(answers);
        assert!(calls.waiting.is_empty() && mailboxes[0].take().is_none());
    }

    #[tokio::test]
    async fn the_home_hears_of_an_asker_that_leaves_in_mid_stream() {
        let mut setup = stream().await;
        setup.calls.on_answer(REQ, item(1));
        drop(std::mem::replace(&mut setup.answers, call().answers));
        assert_eq!(told(&mut setup), Some((APP, Leave::Gone)));
        assert!(setup.calls.waiting.is_empty());
    }

    #[tokio::test]
    async fn a_stream_that_nobody_reads_is_cut_off_at_its_bounds_and_its_home_hears_it_once() {
        for (fitting, bytes) in [(STREAM_ITEMS_MAX, 1), (4, STREAM_BYTES_MAX / 4)] {
            let Setup { mut calls, mut answers, cut, .. } = stream().await;
            for _ in 0..fitting {
                assert_eq!(calls.on_answer(REQ, item(bytes)), None);
            }
            assert_eq!(calls.on_answer(REQ, item(bytes)), Some((APP, Leave::TooSlow)));
            assert_eq!(calls.on_answer(REQ, item(bytes)), None);
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
            assert_eq!(calls.on_answer(REQ, item(STREAM_BYTES_MAX / 2)), None);
            assert!(next(&mut answers).await.is_some());
        }
    }

    #[tokio::test]
    async fn streams_end_with_the_daemon_and_replies_are_waited_for() {
        let Setup { mut calls, mut answers, .. } = stream().await;
        let other = ReqId { key: Key { slot: 8, generation: 1 }, ..REQ };
        let (asker, mut waits) = open(other, answers.mailboxes.clone(), Arc::default());
        calls.on_call(other, APP, asker);
        calls.on_drain();
        assert_eq!(next(&mut answers).await, Some(Answer::End));
        calls.on_answer(other, Answer::Reply(Reply::stream()));
        assert_eq!(next(&mut waits).await, Some(Answer::Reply(Reply::stream())));
        assert_eq!(next(&mut waits).await, Some(Answer::End), "no stream begins any more");
        assert!(calls.waiting.is_empty());
    }
}
