//! The end of a connection whose peer may still be sending (RFC 9112 section 9.6). Closed with bytes unread, or before bytes
//! that are on their way, it would be reset, and a reset takes the answer away that the peer has not read yet. So our side
//! ends, what comes is thrown away, and the connection is closed when the peer has ended or a bound is met.

use std::net::Shutdown;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use socket2::SockRef;
use tokio::net::TcpStream;
use tokio::task::{spawn_local, yield_now};
use tokio::time::{sleep, timeout};

use crate::base::limit::{LINGER_BYTES_MAX, LINGER_SILENCE_MS, LINGER_TIMEOUT_MS};

/// How many connections of one kind are in their last moments.
#[derive(Debug)]
pub(crate) struct Lingering {
    count: AtomicUsize,
    max: usize,
    all: Arc<Lingered>,
}

/// What a scrape shows of the connections of all kinds.
#[derive(Debug, Default)]
pub(crate) struct Lingered {
    now: AtomicU64,
    cut: AtomicU64,
}

impl Lingered {
    /// Connections that linger now.
    pub(crate) fn now(&self) -> u64 {
        self.now.load(Ordering::Relaxed)
    }

    /// Connections whose peers had not ended: there were too many, or a peer was silent, slow or sent too much.
    pub(crate) fn cut(&self) -> u64 {
        self.cut.load(Ordering::Relaxed)
    }
}

/// One of them.
struct Turn(Arc<Lingering>);

impl Lingering {
    /// No more than `max` at once; others are closed as they are.
    pub(crate) fn new(max: usize, all: Arc<Lingered>) -> Arc<Lingering> {
        Arc::new(Lingering { count: AtomicUsize::new(0), max, all })
    }

    /// Ends a connection to which its last answer has been written. `held` is given back when it is closed.
    pub(crate) fn end(self: &Arc<Lingering>, stream: TcpStream, held: impl Sized + 'static) {
        let Some(turn) = self.enter() else {
            self.all.cut.fetch_add(1, Ordering::Relaxed);
            return;
        };
        if SockRef::from(&stream).shutdown(Shutdown::Write).is_err() {
            return;
        }
        spawn_local(async move {
            // Out of time is as good a reason to close it as its end.
            let ended = timeout(Duration::from_millis(LINGER_TIMEOUT_MS), read_away(&stream)).await;
            if !ended.unwrap_or(false) {
                turn.0.all.cut.fetch_add(1, Ordering::Relaxed);
            }
            drop((stream, held, turn));
        });
    }

    /// Resolves when there are none, at the latest after `limit`.
    pub(crate) async fn ended(&self, limit: Duration) {
        let none = async {
            while self.count.load(Ordering::Relaxed) > 0 {
                sleep(LOOK_INTERVAL).await;
            }
        };
        // A connection that is there then is cut off.
        let _ = timeout(limit, none).await;
    }

    fn enter(self: &Arc<Lingering>) -> Option<Turn> {
        let turn = Turn(self.clone());
        self.all.now.fetch_add(1, Ordering::Relaxed);
        (self.count.fetch_add(1, Ordering::Relaxed) < self.max).then_some(turn)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.count.fetch_sub(1, Ordering::Relaxed);
        self.0.all.now.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Reads until the peer has ended, has said nothing for a while, or has sent too much. One read at a time: whoever sends
/// without end comes behind everybody else. True where the peer has ended.
pub(super) async fn read_away(stream: &TcpStream) -> bool {
    let mut left = LINGER_BYTES_MAX;
    while timeout(Duration::from_millis(LINGER_SILENCE_MS), stream.readable()).await.is_ok_and(|ready| ready.is_ok()) {
        match stream.try_read(&mut [0; PIECE_BYTES]) {
            Ok(0) => return true,
            Ok(count) if count >= left => return false,
            Ok(count) => left -= count,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(_) => return true,
        }
        yield_now().await;
    }
    false
}

const PIECE_BYTES: usize = 16 * 1024;
/// How often the end of the process looks whether they have gone.
const LOOK_INTERVAL: Duration = Duration::from_millis(5);
