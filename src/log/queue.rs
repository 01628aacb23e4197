//! The lines that wait to be written: every thread puts them in without waiting, one thread takes them out. It also counts what
//! clients cause, so that no site of the source says more than its share in a second.

use std::time::{Duration, Instant};

use hashbrown::HashMap;
use parking_lot::{Condvar, Mutex};
use tracing::Metadata;
use tracing::callsite::Identifier;

use crate::base::limit::LOG_QUEUE_BYTES_MAX;

/// Shared by all threads.
pub(super) struct Queue {
    state: Mutex<State>,
    /// There is something to write, or to say later.
    filled: Condvar,
    /// Everything that was taken has been written.
    written: Condvar,
    lines_per_s_max: u32,
}

#[derive(Default)]
struct State {
    /// Whole lines, at most `LOG_QUEUE_BYTES_MAX`.
    lines: Vec<u8>,
    /// Lines that found no room.
    dropped: u64,
    /// By where in the source an event is: as many as there are such places.
    sites: HashMap<Identifier, Site>,
    /// When the lines that were left out are summed up; `None`: none was.
    summary_due: Option<Instant>,
    /// Whether what was taken is still being written.
    writing: bool,
}

/// What one place in the source has said in this second.
struct Site {
    metadata: &'static Metadata<'static>,
    since: Instant,
    lines: u32,
    left_out: u64,
}

/// What was taken beside the lines themselves.
#[derive(Default)]
pub(super) struct Missing {
    /// Lines that found no room.
    pub dropped: u64,
    /// Level and target of events that were too many in a second, and how many.
    pub left_out: Vec<(String, u64)>,
}

impl Queue {
    pub(super) fn new(lines_per_s_max: u32) -> Queue {
        let state = Mutex::default();
        Queue { state, filled: Condvar::new(), written: Condvar::new(), lines_per_s_max }
    }

    /// Puts a whole line in, or counts it where there is no room.
    pub(super) fn push(&self, line: &[u8]) {
        let mut state = self.state.lock();
        match state.lines.len() + line.len() <= LOG_QUEUE_BYTES_MAX {
            true => state.lines.extend_from_slice(line),
            false => state.dropped += 1,
        }
        drop(state);
        self.filled.notify_one();
    }

    /// Whether an event of this site may become a line now; one that may not is counted.
    pub(super) fn admits(&self, metadata: &'static Metadata<'static>) -> bool {
        let now = Instant::now();
        let mut state = self.state.lock();
        let site = state.sites.entry(metadata.callsite());
        let site = site.or_insert(Site { metadata, since: now, lines: 0, left_out: 0 });
        if now.duration_since(site.since) >= SECOND {
            (site.since, site.lines) = (now, 0);
        }
        if site.lines < self.lines_per_s_max {
            site.lines += 1;
            return true;
        }
        site.left_out += 1;
        if state.summary_due.is_none() {
            state.summary_due = Some(now + SECOND);
            self.filled.notify_one();
        }
        false
    }

    /// Waits for something to write, and moves it into `lines`, which is empty.
    pub(super) fn take(&self, lines: &mut Vec<u8>) -> Missing {
        let mut state = self.state.lock();
        state.writing = false;
        self.written.notify_all();
        loop {
            match state.summary_due {
                Some(due) if due <= Instant::now() => break,
                _ if !state.lines.is_empty() || state.dropped > 0 => break,
                Some(due) => drop(self.filled.wait_until(&mut state, due)),
                None => self.filled.wait(&mut state),
            }
        }
        state.writing = true;
        std::mem::swap(lines, &mut state.lines);
        let left_out =
            if state.summary_due.is_some_and(|due| due <= Instant::now()) { state.sum_up() } else { Vec::new() };
        Missing { dropped: std::mem::take(&mut state.dropped), left_out }
    }

    /// Waits until all there is has been written, at most for `limit`.
    pub(super) fn finish(&self, limit: Duration) {
        let deadline = Instant::now() + limit;
        let Some(mut state) = self.state.try_lock_until(deadline) else { return };
        if let Some(due) = &mut state.summary_due {
            *due = Instant::now();
            self.filled.notify_one();
        }
        while state.has_work() && !self.written.wait_until(&mut state, deadline).timed_out() {}
    }
}

impl State {
    fn sum_up(&mut self) -> Vec<(String, u64)> {
        self.summary_due = None;
        let silent = self.sites.values_mut().filter(|site| site.left_out > 0);
        let sum = |site: &mut Site| {
            (format!("{} {}", site.metadata.level(), site.metadata.target()), std::mem::take(&mut site.left_out))
        };
        silent.map(sum).collect()
    }

    fn has_work(&self) -> bool {
        self.writing || !self.lines.is_empty() || self.dropped > 0 || self.summary_due.is_some()
    }
}

const SECOND: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::thread;

    #[test]
    fn what_does_not_fit_is_counted_and_there_is_room_again_once_it_is_taken() {
        let queue = Queue::new(1);
        let line = vec![b'x'; LOG_QUEUE_BYTES_MAX / 2];
        (0..5).for_each(|_| queue.push(&line));
        let mut lines = Vec::new();
        assert_eq!((queue.take(&mut lines).dropped, lines.len()), (3, LOG_QUEUE_BYTES_MAX));
        lines.clear();
        queue.push(b"more\n");
        assert_eq!((queue.take(&mut lines).dropped, &lines[..]), (0, &b"more\n"[..]));
    }

    #[test]
    fn the_end_waits_for_what_is_written_and_not_for_what_is_stuck() {
        let queue = Arc::new(Queue::new(1));
        queue.finish(Duration::from_secs(60));
        queue.push(b"stuck\n");
        let begun = Instant::now();
        queue.finish(Duration::from_millis(50));
        assert!(begun.elapsed() >= Duration::from_millis(50));
        let writer = queue.clone();
        thread::spawn(move || {
            loop {
                writer.take(&mut Vec::new());
            }
        });
        queue.finish(Duration::from_secs(60));
        assert!(begun.elapsed() < Duration::from_secs(60));
    }

    #[test]
    fn each_site_has_its_own_share_of_a_second_and_what_is_left_out_is_summed_up() {
        const LINES: u32 = 3;
        let queue = Arc::new(Queue::new(LINES));
        let (lines, begun) = (super::super::Lines(queue.clone()), Instant::now());
        let subscriber = tracing_subscriber::fmt().with_writer(lines.clone()).finish();
        let subscriber = tracing_subscriber::layer::SubscriberExt::with(subscriber, lines);
        tracing::subscriber::with_default(subscriber, || {
            for number in 0..100 {
                tracing::info!(target: "siod::listen", number, "refused");
                tracing::error!(target: "siod::server", number, "own");
            }
            tracing::warn!(target: "siod::limit", "another");
        });
        let seconds = begun.elapsed().as_secs() as usize + 1;
        let mut taken = Vec::new();
        queue.take(&mut taken);
        let text = String::from_utf8(taken).unwrap();
        let count = |word: &str| text.lines().filter(|line| line.contains(word)).count();
        assert_eq!((count("own"), count("another")), (100, 1), "{text}");
        let refused = count("refused");
        assert!((1..=LINES as usize * seconds).contains(&refused), "{refused} in {seconds} s:\n{text}");
        let missing = queue.take(&mut Vec::new());
        assert_eq!(missing.left_out, [("INFO siod::listen".to_owned(), 100 - refused as u64)]);
    }
}
