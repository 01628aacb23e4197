//! Which sockets have something to read. Readiness is edge-triggered: a socket stays in the list until a read takes less
//! than there was room for, or fails; one whose end has been announced stays until it is read. Each gets one read a turn, so that nobody starves (DESIGN 4.2).
//! Newcomers wait in a line of their own, and so do connections that have ended: a storm of either does not come before
//! the clients that are there.

use std::collections::VecDeque;
use std::io::{self, Read};

use super::callers::{Callers, Next};
use super::streams::{Kind, Stream, Streams};
use crate::base::ids::ConnKey;
use crate::base::limit::{FIRST_READS_PER_TURN_MAX, LAST_READS_PER_TURN_MAX, READS_PER_TURN_MAX};
use crate::base::time::Millis;

/// The list, line by line.
#[derive(Default)]
pub(crate) struct Ready {
    lines: [VecDeque<ConnKey>; Line::ALL.len()],
    /// By line: how many sockets at its front were there at `noted`, and have yet to be read.
    owed: [usize; Line::ALL.len()],
    noted: Millis,
    heard: Millis,
}

/// Sockets that wait together.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Line {
    /// Sockets that are connected and stay so.
    Known,
    /// Newcomers, with their first request.
    Fresh,
    /// Sockets whose end has been announced.
    Ended,
}

impl Line {
    /// In the order in which they are read.
    pub(crate) const ALL: [Line; 3] = [Line::Known, Line::Fresh, Line::Ended];

    fn of(stream: &Stream) -> Line {
        match stream.kind {
            _ if stream.ended => Line::Ended,
            Kind::Newcomer => Line::Fresh,
            Kind::Polling | Kind::WebSocket => Line::Known,
        }
    }
}

/// What one read brought.
pub(crate) enum Taken {
    Bytes(usize),
    Nothing,
    /// The peer has closed its side, or the connection broke.
    Gone {
        broken: bool,
    },
}

impl Ready {
    /// A turn begins `now`, when all sockets that have something are in the list.
    pub(crate) fn begin(&mut self, now: Millis) {
        if self.is_read_through() {
            self.owed = std::array::from_fn(|line| self.lines[line].len());
            self.noted = now;
        }
    }

    /// The latest moment of which is known: all that had arrived by then has been read. The list need not be empty for
    /// that: each socket that stood in it at that moment has been read since.
    pub(crate) fn heard(&mut self) -> Millis {
        if self.is_read_through() {
            self.heard = self.noted;
        }
        self.heard
    }

    fn is_read_through(&self) -> bool {
        self.owed.iter().all(|owed| *owed == 0)
    }

    /// The socket has become readable.
    pub(crate) fn mark(&mut self, conn: ConnKey, streams: &mut Streams) {
        if let Some(stream) = streams.get_mut(conn)
            && !std::mem::replace(&mut stream.ready, true)
        {
            self.lines[Line::of(stream) as usize].push_back(conn);
        }
    }

    /// The peer has ended its side, or the connection broke. The announcement may have come together with the last bytes,
    /// and comes once.
    pub(crate) fn mark_ended(&mut self, conn: ConnKey, streams: &mut Streams) {
        if let Some(stream) = streams.get_mut(conn) {
            stream.ended = true;
        }
        self.mark(conn, streams);
    }

    /// Nothing more of this one is read until it is `paused` no more; then what has come meanwhile.
    pub(crate) fn pause(&mut self, conn: ConnKey, paused: bool, streams: &mut Streams) {
        if let Some(stream) = streams.get_mut(conn) {
            stream.paused = paused;
        }
        if !paused {
            self.mark(conn, streams);
        }
    }

    /// Sockets of a line to read in this turn.
    pub(crate) fn budget(&self, line: Line) -> usize {
        let max = match line {
            Line::Known => READS_PER_TURN_MAX,
            Line::Fresh => FIRST_READS_PER_TURN_MAX,
            Line::Ended => LAST_READS_PER_TURN_MAX,
        };
        self.lines[line as usize].len().min(max)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lines.iter().all(VecDeque::is_empty)
    }

    /// Reads the next socket of one line into `buffer`. A full buffer leaves it in the list, behind the others.
    pub(crate) fn read_next(
        &mut self,
        line: Line,
        streams: &mut Streams,
        callers: &mut Callers,
        buffer: &mut [u8],
    ) -> Option<(ConnKey, Taken)> {
        let conn = self.lines[line as usize].pop_front()?;
        let owed = &mut self.owed[line as usize];
        *owed = owed.saturating_sub(1);
        let Some(stream) = streams.get_mut(conn) else { return Some((conn, Taken::Nothing)) };
        stream.ready = false;
        if stream.paused {
            return Some((conn, Taken::Nothing));
        }
        if stream.kind == Kind::Polling {
            match callers.on_readable(conn, stream.ended) {
                Next::Read => {}
                Next::Leave => return Some((conn, Taken::Nothing)),
                Next::GiveUp => return Some((conn, Taken::Gone { broken: false })),
            }
        }
        let taken = match stream.tcp.read(buffer) {
            Ok(0) => Taken::Gone { broken: false },
            Ok(count) => {
                if count == buffer.len() || stream.ended {
                    stream.ready = true;
                    self.lines[Line::of(stream) as usize].push_back(conn);
                }
                Taken::Bytes(count)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Taken::Nothing,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                stream.ready = true;
                self.lines[Line::of(stream) as usize].push_back(conn);
                Taken::Nothing
            }
            Err(_) => Taken::Gone { broken: true },
        };
        Some((conn, taken))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ids::Key;

    #[test]
    fn f14_a_list_that_is_never_empty_is_read_through_all_the_same() {
        let (mut ready, mut streams, mut callers) = (Ready::default(), Streams::default(), Callers::new(Millis(0)));
        let known = |slot| ConnKey(Key { slot, generation: 0 });
        // Keys that lead nowhere do for the order.
        (0..3).for_each(|slot| ready.lines[0].push_back(known(slot)));
        let mut turn = |ready: &mut Ready, now| {
            ready.begin(Millis(now));
            ready.read_next(Line::Known, &mut streams, &mut callers, &mut []);
            ready.lines[0].push_back(known(9));
            ready.heard()
        };
        let heard: Vec<u64> = (10..17).map(|now| turn(&mut ready, now).0).collect();
        assert_eq!(heard, [0, 0, 10, 10, 10, 13, 13]);
    }
}
