//! How long a connection may take for the head of its next request: hyper's clock, wound by what has been read. A head that
//! has begun has ten seconds, and so has the first one (T-03, B51). In between a connection may rest for longer: a polling
//! client answers a ping every 25 s, and would need a new connection for each.
//!
//! hyper starts one timer when it begins to wait for a head and ends the connection when that fires. It cannot tell waiting
//! from dribbling; [`Heard`] counts reads, and the timer looks at that whenever hyper looks at the timer.

use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hyper::rt::{Sleep, Timer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::base::limit::{HEAD_TIMEOUT_MS, KEEP_ALIVE_TIMEOUT_MS};

const HEAD_TIMEOUT: Duration = Duration::from_millis(HEAD_TIMEOUT_MS);
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_millis(KEEP_ALIVE_TIMEOUT_MS);

/// Reads of one connection that brought something. One core's tasks count and look; it is atomic because hyper wants that.
type Reads = Arc<AtomicU64>;

/// A connection that counts what is heard.
pub(crate) struct Heard {
    stream: TcpStream,
    /// What had been read before it came here.
    early: Bytes,
    reads: Reads,
    /// The peer has ended its side.
    ended: bool,
}

/// The timer of its heads.
pub(crate) struct HeadTimer {
    reads: Reads,
    /// When the first head has to be complete.
    first: Instant,
    /// The first head has been waited for.
    served: AtomicBool,
}

/// One wait for a head.
struct HeadSleep {
    sleep: Pin<Box<tokio::time::Sleep>>,
    reads: Reads,
    /// Reads before this wait, while nothing of the head has come.
    before: Option<u64>,
}

/// A connection of which `early` has been read already and whose first head has until `first`, and the timer for it.
pub(crate) fn heard(stream: TcpStream, early: Bytes, first: Instant) -> (Heard, HeadTimer) {
    let reads = Reads::default();
    (
        Heard { stream, early, reads: reads.clone(), ended: false },
        HeadTimer { reads, first, served: AtomicBool::new(false) },
    )
}

impl Heard {
    /// The peer has ended its side: nothing more will come.
    pub(crate) fn has_ended(&self) -> bool {
        self.ended
    }

    /// The stream, and what was read early and not asked for.
    pub(crate) fn into_parts(self) -> (TcpStream, Bytes) {
        (self.stream, self.early)
    }
}

impl Timer for HeadTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        self.sleep_until(self.now() + duration)
    }

    /// `deadline` is that of a head that begins now. A piece of it may lie in hyper's buffer already, behind the request
    /// before; until more comes that connection counts as one that rests.
    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        let (deadline, before) = match self.served.swap(true, Ordering::Relaxed) {
            false => (deadline.min(self.first), None),
            true => (self.now() + KEEP_ALIVE_TIMEOUT, Some(self.reads.load(Ordering::Relaxed))),
        };
        let sleep = Box::pin(tokio::time::sleep_until(deadline.into()));
        Box::pin(HeadSleep { sleep, reads: self.reads.clone(), before })
    }

    fn now(&self) -> Instant {
        tokio::time::Instant::now().into_std()
    }
}

impl Sleep for HeadSleep {}

impl Future for HeadSleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.before.is_some_and(|before| before != self.reads.load(Ordering::Relaxed)) {
            self.before = None;
            self.sleep.as_mut().reset(tokio::time::Instant::now() + HEAD_TIMEOUT);
        }
        self.sleep.as_mut().poll(cx)
    }
}

impl AsyncRead for Heard {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if !self.early.is_empty() {
            let count = buffer.remaining().min(self.early.len());
            buffer.put_slice(&self.early.split_to(count));
            self.reads.fetch_add(1, Ordering::Relaxed);
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if buffer.filled().len() > before {
            self.reads.fetch_add(1, Ordering::Relaxed);
        } else if matches!(read, Poll::Ready(Ok(()))) && buffer.remaining() > 0 {
            self.ended = true;
        }
        read
    }
}

impl AsyncWrite for Heard {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::Waker;

    /// A timer and its sleeps without a connection: how long each would last.
    #[tokio::test]
    async fn t03_who_has_waited_elsewhere_has_less_time_for_its_first_head() {
        let first = Instant::now() + HEAD_TIMEOUT / 2;
        let timer = HeadTimer { reads: Reads::default(), first, served: AtomicBool::new(false) };
        let mut sleep = timer.sleep_until(timer.now() + HEAD_TIMEOUT);
        let sleep = sleep.as_mut().downcast_mut_pin::<HeadSleep>().expect("it is ours");
        assert_eq!(sleep.sleep.deadline().into_std(), first);
    }

    #[tokio::test]
    async fn t03_only_a_connection_that_was_served_and_says_nothing_may_rest() {
        let first = Instant::now() + HEAD_TIMEOUT * 2;
        let timer = HeadTimer { reads: Reads::default(), first, served: AtomicBool::new(false) };
        let sleep = || timer.sleep_until(timer.now() + HEAD_TIMEOUT);
        let lasts = |sleep: &mut Pin<Box<dyn Sleep>>| {
            assert!(sleep.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
            let sleep = sleep.as_mut().downcast_mut_pin::<HeadSleep>().expect("it is ours");
            sleep.sleep.deadline().duration_since(tokio::time::Instant::now()).as_secs_f64().round()
        };
        let mut first = sleep();
        assert_eq!(lasts(&mut first), 10.0);
        timer.reads.fetch_add(1, Ordering::Relaxed);
        assert_eq!(lasts(&mut first), 10.0);
        let mut next = sleep();
        assert_eq!(lasts(&mut next), 75.0);
        timer.reads.fetch_add(1, Ordering::Relaxed);
        assert_eq!(lasts(&mut next), 10.0);
        tokio::time::sleep(Duration::from_millis(600)).await;
        timer.reads.fetch_add(1, Ordering::Relaxed);
        assert_eq!(lasts(&mut next), 9.0, "what comes later gives it no more time");
    }
}
