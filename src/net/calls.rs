//! HTTP calls that wait for their home: in a table of that home's core, which nobody else touches. The asker has the other
//! end of a channel, and says so when it leaves.

use std::task::{Context, Poll};

use hashbrown::HashMap;
use tokio::sync::mpsc;

use super::mailbox::{Mailboxes, Message};
use crate::app::reply::Answer;
use crate::base::ids::{Key, ReqId};

/// The asker's end. Dropped before the call is over, it gives the call up.
pub struct Answers {
    req: ReqId,
    mailboxes: Mailboxes,
    receiver: mpsc::UnboundedReceiver<Answer>,
    over: bool,
}

/// Both ends of the call `req`.
pub fn open(req: ReqId, mailboxes: Mailboxes) -> (mpsc::UnboundedSender<Answer>, Answers) {
    let (asker, receiver) = mpsc::unbounded_channel();
    (asker, Answers { req, mailboxes, receiver, over: false })
}

impl Answers {
    /// The next answer; `None` when there will be none.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Answer>> {
        let next = self.receiver.poll_recv(cx);
        self.over |= matches!(next, Poll::Ready(None | Some(Answer::Reply(_))));
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
pub struct Calls {
    waiting: HashMap<Key, mpsc::UnboundedSender<Answer>>,
}

impl Calls {
    /// A call has come.
    pub fn on_call(&mut self, req: ReqId, asker: mpsc::UnboundedSender<Answer>) {
        self.waiting.insert(req.key, asker);
    }

    /// Its home answers; an asker that has left is not missed.
    pub fn on_answer(&mut self, req: ReqId, answer: Answer) {
        if let Some(asker) = self.waiting.remove(&req.key) {
            let _ = asker.send(answer);
        }
    }

    /// Its asker has left.
    pub fn on_left(&mut self, req: ReqId) {
        self.waiting.remove(&req.key);
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;
    use crate::app::reply::Reply;
    use crate::base::ids::ShardId;
    use crate::net::mailbox::Mailbox;

    const REQ: ReqId = ReqId { shard: ShardId(0), key: Key { slot: 7, generation: 1 } };

    fn call(calls: &mut Calls) -> (Mailboxes, Answers) {
        let mailboxes: Mailboxes = [Mailbox::default()].into_iter().collect();
        let (asker, answers) = open(REQ, mailboxes.clone());
        calls.on_call(REQ, asker);
        (mailboxes, answers)
    }

    #[tokio::test]
    async fn an_answered_call_leaves_nothing_behind() {
        let mut calls = Calls::default();
        let (mailboxes, mut answers) = call(&mut calls);
        let reply = Answer::Reply(Reply::empty(204));
        calls.on_answer(REQ, reply.clone());
        calls.on_answer(REQ, Answer::Reply(Reply::empty(200)));
        assert_eq!(poll_fn(|cx| answers.poll_next(cx)).await, Some(reply));
        drop(answers);
        assert!(calls.waiting.is_empty() && mailboxes[0].take().is_none());
    }

    #[tokio::test]
    async fn a_call_that_is_given_up_leaves_nothing_behind() {
        let mut calls = Calls::default();
        let (mailboxes, answers) = call(&mut calls);
        drop(answers);
        match mailboxes[0].take() {
            Some(Message::Left { req }) => calls.on_left(req),
            _ => panic!("the home is not told"),
        }
        assert!(calls.waiting.is_empty());
        calls.on_answer(REQ, Answer::Reply(Reply::empty(204)));
    }
}
