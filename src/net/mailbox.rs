//! Messages to one core from the tasks and threads around it. Sending never blocks; a core stops reading its sockets
//! while a mailbox it fills is too full (DESIGN 4.4). One wake per batch: a core that is awake is not woken again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use bytes::Bytes;
use crossbeam_queue::SegQueue;
use tokio::sync::{Notify, oneshot};

use super::asker::Asker;
use super::guard::Place;
use crate::app::link::{LinkEvent, LinkId};
use crate::app::route::Call;
use crate::app::upload::News;
use crate::base::ids::{AppId, ConnKey, Key, ReqId, ShardId, Sid};
use crate::base::limit::MAILBOX_OVERFLOW_MAX;
use crate::engine::polling::Reply;
use crate::shard::io::{Hello, Input, Mail, Ticket};
use crate::shard::sample::ShardSample;

/// One core's inbox.
#[derive(Default)]
pub struct Mailbox {
    queue: SegQueue<Message>,
    depth: AtomicUsize,
    awake: AtomicBool,
    wake: Notify,
}

/// All cores' inboxes, by shard.
pub type Mailboxes = Arc<[Mailbox]>;

/// What a core is told.
pub enum Message {
    /// From another shard.
    Mail(Vec<Mail>),
    /// From hyper's tasks, here or on another core.
    Request(Input<'static>),
    /// The answer of a shard to a request that this core's hyper holds.
    Answer {
        req: ReqId,
        reply: Reply,
    },
    /// A WebSocket whose 101 has been sent.
    Adopt(Box<Adopted>),
    /// A job came back.
    Done {
        ticket: Ticket,
        outcome: crate::app::job::Outcome,
    },
    /// From the control runtime.
    Call {
        req: ReqId,
        app: AppId,
        call: Box<Call>,
        asker: Asker,
    },
    /// How it goes with the file of a call.
    Upload {
        req: ReqId,
        news: News,
    },
    /// Something happens to a link.
    Link {
        app: AppId,
        link: LinkId,
        event: LinkEvent,
        /// Given up when the home has taken it: until then it is on its way.
        credit: Option<Box<dyn Send>>,
    },
    /// The asker of a call has left.
    Left {
        req: ReqId,
    },
    Sample(oneshot::Sender<ShardSample>),
    Drain {
        window_ms: u64,
    },
}

/// An open WebSocket on its way to the epoll set of its shard.
pub struct Adopted {
    pub stream: std::net::TcpStream,
    pub place: Place,
    /// What hyper had read already.
    pub early: Bytes,
    pub purpose: Arrival,
}

/// What a WebSocket was opened for.
pub enum Arrival {
    Session(Entry),
    Upgrade { sid: Sid, base64: bool },
    Link(Admitted),
}

/// A link whose 101 is on its way. Dropped before it is open, it is told so.
pub struct Admitted {
    mailboxes: Mailboxes,
    shard: ShardId,
    link: Key,
    is_open: bool,
}

impl Admitted {
    /// One of this shard.
    pub(super) fn new(mailboxes: Mailboxes, shard: ShardId, link: Key) -> Admitted {
        Admitted { mailboxes, shard, link, is_open: false }
    }

    /// What its shard is told when `conn` is its WebSocket.
    pub(super) fn opened(mut self, conn: ConnKey) -> Input<'static> {
        self.is_open = true;
        Input::LinkOpen { link: self.link, conn: Some(conn) }
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        if !self.is_open {
            let over = Input::LinkOpen { link: self.link, conn: None };
            self.mailboxes[usize::from(self.shard.0)].send(Message::Request(over));
        }
    }
}

/// A session on its way to its shard. Dropped before it is there, it gives its place back.
pub struct Entry {
    pub hello: Hello,
    /// The place of its client's address, unless the connection holds it.
    pub place: Option<Place>,
}

impl Entry {
    /// The shard takes it now, and will say when the session has ended.
    pub fn enter(self) -> Hello {
        if let Some(place) = self.place {
            place.hand_to_session();
        }
        self.hello
    }
}

impl Mailbox {
    pub fn send(&self, message: Message) {
        // Counted before it can be taken: the count never falls below zero.
        self.depth.fetch_add(1, Ordering::Relaxed);
        self.queue.push(message);
        if !self.awake.swap(true, Ordering::SeqCst) {
            self.wake.notify_one();
        }
    }

    /// The next message; `None` when it is empty. Only the owner takes.
    pub fn take(&self) -> Option<Message> {
        let message = self.queue.pop()?;
        self.depth.fetch_sub(1, Ordering::Relaxed);
        Some(message)
    }

    /// The owner is awake, whatever woke it: sends need not wake it until it falls asleep.
    pub fn rise(&self) {
        self.awake.store(true, Ordering::Relaxed);
    }

    /// Before the owner sleeps: from here on a send wakes it. A message that came in between is still there to be taken.
    pub fn fall_asleep(&self) -> bool {
        // In one order with the sender's push and swap: else each could miss what the other did.
        self.awake.swap(false, Ordering::SeqCst);
        self.queue.is_empty()
    }

    /// Resolves when a message has come after [`Mailbox::fall_asleep`].
    pub async fn woken(&self) {
        self.wake.notified().await;
    }

    /// Messages waiting.
    pub fn depth(&self) -> usize {
        self.depth.load(Ordering::Relaxed)
    }

    pub fn is_overfull(&self) -> bool {
        self.depth() > MAILBOX_OVERFLOW_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_sleeper_is_woken_once_per_batch_and_loses_nothing() {
        let mailbox = Mailbox::default();
        assert!(mailbox.fall_asleep());
        mailbox.send(Message::Drain { window_ms: 1 });
        mailbox.send(Message::Drain { window_ms: 2 });
        mailbox.woken().await;
        assert_eq!(mailbox.depth(), 2);
        while mailbox.take().is_some() {}
        assert!(mailbox.fall_asleep());
        mailbox.send(Message::Drain { window_ms: 3 });
        assert!(!mailbox.fall_asleep(), "something is waiting: no sleep");
    }
}
