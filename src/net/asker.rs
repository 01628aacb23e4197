//! The channel from a home to whoever called it by HTTP, bounded in items and bytes: what is too slow is cut off.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use tokio::sync::{Notify, mpsc};

use crate::app::reply::Answer;
use crate::base::limit::{STREAM_BYTES_MAX, STREAM_ITEMS_MAX};

/// The home's end.
pub struct Asker {
    sender: mpsc::UnboundedSender<Answer>,
    load: Arc<Load>,
    /// Ends the asker's connection, which may be stuck in a write.
    cut: Arc<Notify>,
}

/// The asker's end.
pub(crate) struct Heard {
    receiver: mpsc::UnboundedReceiver<Answer>,
    load: Arc<Load>,
}

/// Items on their way.
#[derive(Default)]
struct Load {
    items: AtomicUsize,
    bytes: AtomicUsize,
}

/// Both ends.
pub(crate) fn channel(cut: Arc<Notify>) -> (Asker, Heard) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let load = Arc::<Load>::default();
    (Asker { sender, load: load.clone(), cut }, Heard { receiver, load })
}

impl Asker {
    /// Tells the asker, if it is still there. False where more lies there than an asker that reads leaves: then it is cut off.
    pub fn tell(&self, answer: Answer) -> bool {
        if let Answer::Item(item) = &answer {
            let items = self.load.items.fetch_add(1, Ordering::Relaxed) + 1;
            let bytes = self.load.bytes.fetch_add(item.size_bytes(), Ordering::Relaxed) + item.size_bytes();
            if items > STREAM_ITEMS_MAX || bytes > STREAM_BYTES_MAX {
                self.cut.notify_one();
                return false;
            }
        }
        let _ = self.sender.send(answer);
        true
    }
}

impl Heard {
    /// The next answer; `None` when there will be none.
    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Answer>> {
        let next = self.receiver.poll_recv(cx);
        if let Poll::Ready(Some(Answer::Item(item))) = &next {
            self.load.items.fetch_sub(1, Ordering::Relaxed);
            self.load.bytes.fetch_sub(item.size_bytes(), Ordering::Relaxed);
        }
        next
    }
}
