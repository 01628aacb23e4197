//! The one thread that writes lines. Where they go may be full, closed, slow or stopped: this thread may wait for that, and
//! nobody waits for this thread.

use std::io::{ErrorKind, Write};
use std::thread;
use std::time::Duration;

use super::line::about_the_log;
use super::queue::{Missing, Queue};

/// Where lines go.
pub(super) struct Sink<W> {
    to: W,
    json: bool,
    /// Lines that were lost and not yet spoken of.
    lost: u64,
    /// Whether a line was cut off in its middle: the next one begins behind a newline.
    torn: bool,
}

impl<W: Write> Sink<W> {
    pub(super) fn new(to: W, json: bool) -> Sink<W> {
        Sink { to, json, lost: 0, torn: false }
    }

    /// Writes what comes, until the process ends.
    pub(super) fn run(mut self, queue: &Queue) {
        let mut lines = Vec::new();
        loop {
            let missing = queue.take(&mut lines);
            self.put(&lines, &missing);
            lines.clear();
            lines.shrink_to(CAPACITY_KEPT_BYTES);
        }
    }

    /// Writes whole lines, and what there is to say about those that are not among them.
    fn put(&mut self, lines: &[u8], missing: &Missing) {
        self.confess();
        self.write(lines);
        self.lost += missing.dropped;
        self.confess();
        for (of, count) in &missing.left_out {
            self.write(&about_the_log(self.json, "left out: more in a second than log.lines_per_s_max", *count, of));
        }
    }

    /// Says how many lines were lost, once that can be said.
    fn confess(&mut self) {
        if self.lost > 0 {
            let line = about_the_log(self.json, "dropped: standard error did not take them", self.lost, "all");
            // A sentence that is lost as well is no line that anybody misses.
            if self.try_write(&line).is_ok() {
                self.lost = 0;
            }
        }
    }

    fn write(&mut self, lines: &[u8]) {
        if let Err(rest) = self.try_write(lines) {
            self.lost += rest.iter().filter(|byte| **byte == b'\n').count() as u64;
        }
    }

    /// Writes all of it, however long that takes, or gives back what an error has left.
    fn try_write<'a>(&mut self, lines: &'a [u8]) -> Result<(), &'a [u8]> {
        let mut rest = lines;
        if self.torn && !rest.is_empty() {
            self.try_some(b"\n").map_err(|()| lines)?;
            self.torn = false;
        }
        while !rest.is_empty() {
            let Ok(count) = self.try_some(rest) else {
                self.torn = rest.len() < lines.len() && lines[lines.len() - rest.len() - 1] != b'\n';
                return Err(rest);
            };
            rest = &rest[count..];
        }
        Ok(())
    }

    fn try_some(&mut self, bytes: &[u8]) -> Result<usize, ()> {
        loop {
            match self.to.write(bytes) {
                Ok(0) => return Err(()),
                Ok(count) => return Ok(count),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // Somebody has made the descriptor, which processes share, one that never blocks.
                Err(error) if error.kind() == ErrorKind::WouldBlock => thread::sleep(FULL_PIPE_REST),
                Err(_) => return Err(()),
            }
        }
    }
}

/// How long a full pipe is left alone that says so instead of waiting.
const FULL_PIPE_REST: Duration = Duration::from_millis(20);
/// What is kept of the memory of a burst.
const CAPACITY_KEPT_BYTES: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    /// A disk with so much room; what is asked of it beyond fails.
    #[derive(Default)]
    struct Disk {
        written: Vec<u8>,
        room: usize,
        /// Errors that come before anything else happens.
        errors: Vec<ErrorKind>,
    }

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if let Some(error) = self.errors.pop() {
                return Err(error.into());
            }
            let count = bytes.len().min(self.room);
            if count == 0 {
                return Err(ErrorKind::StorageFull.into());
            }
            self.written.extend_from_slice(&bytes[..count]);
            self.room -= count;
            Ok(count)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn sink(room: usize, errors: &[ErrorKind]) -> Sink<Disk> {
        Sink::new(Disk { room, errors: errors.to_vec(), ..Disk::default() }, false)
    }

    fn written(sink: &Sink<Disk>) -> Vec<&str> {
        std::str::from_utf8(&sink.to.written).unwrap().lines().collect()
    }

    #[test]
    fn lines_that_cannot_be_written_are_counted_and_the_next_that_can_be_says_how_many() {
        let mut sink = sink(7, &[]);
        sink.put(b"one\ntwo\nthree\n", &Missing::default());
        sink.put(b"four\n", &Missing { dropped: 5, ..Missing::default() });
        assert_eq!((written(&sink), sink.lost), (vec!["one", "two"], 8));
        sink.to.room = 4096;
        sink.put(b"five\n", &Missing::default());
        sink.put(b"six\n", &Missing::default());
        let lines = written(&sink);
        assert_eq!((lines.len(), lines[1], lines[3], lines[4]), (5, "two", "five", "six"), "{lines:?}");
        assert!(lines[2].ends_with("dropped: standard error did not take them lines=8 of=\"all\""), "{lines:?}");
    }

    #[test]
    fn what_the_queue_dropped_is_said_behind_what_it_kept() {
        let mut sink = sink(4096, &[]);
        let left_out = vec![("INFO siod::listen".to_owned(), 9)];
        sink.put(b"one\n", &Missing { dropped: 2, left_out });
        let lines = written(&sink);
        assert!(lines[0] == "one" && lines[1].contains("lines=2 of=\"all\""), "{lines:?}");
        assert!(lines[2].contains("lines=9 of=\"INFO siod::listen\"") && lines.len() == 3, "{lines:?}");
    }

    #[test]
    fn a_line_that_was_cut_off_does_not_swallow_the_next() {
        let mut sink = sink(2, &[]);
        sink.put(b"one\n", &Missing::default());
        sink.to.room = 4096;
        sink.put(b"two\n", &Missing::default());
        let lines = written(&sink);
        assert!(lines[0] == "on" && lines[1].contains("lines=1") && lines[2] == "two", "{lines:?}");
    }

    #[test]
    fn an_interruption_and_a_full_pipe_are_waited_for_and_lose_nothing() {
        let mut sink = sink(4096, &[ErrorKind::Interrupted, ErrorKind::WouldBlock, ErrorKind::Interrupted]);
        sink.put(b"one\n", &Missing::default());
        assert_eq!((written(&sink), sink.lost), (vec!["one"], 0));
        for error in [ErrorKind::BrokenPipe, ErrorKind::StorageFull, ErrorKind::Other] {
            sink.to.errors.push(error);
            sink.put(b"two\n", &Missing::default());
        }
        assert_eq!(written(&sink).iter().filter(|line| line.contains("lines=1 ")).count(), 3);
    }
}
