//! Which sockets have something to read. Readiness is edge-triggered: a socket stays in the list until a read takes less
//! than there was room for, or fails; one whose end has been announced stays until it is read. Each gets one read a turn, so that nobody starves (design 4.2).
//! Newcomers wait in a line of their own, so that a storm of them does not come before who is connected.

use std::collections::VecDeque;
use std::io::{self, Read};

use super::callers::{Callers, Next};
use super::streams::{Kind, Streams};
use crate::base::ids::ConnKey;
use crate::base::limit::{FIRST_READS_PER_TURN_MAX, READS_PER_TURN_MAX};

/// The list.
#[derive(Default)]
pub struct Ready {
    known: VecDeque<ConnKey>,
    fresh: VecDeque<ConnKey>,
}

/// What one read brought.
pub enum Taken {
    Bytes(usize),
    Nothing,
    /// The peer has closed its side, or the connection broke.
    Gone {
        broken: bool,
    },
}

impl Ready {
    /// The socket has become readable.
    pub fn mark(&mut self, conn: ConnKey, streams: &mut Streams) {
        if let Some(stream) = streams.get_mut(conn)
            && !std::mem::replace(&mut stream.ready, true)
        {
            self.line(stream.kind == Kind::Newcomer).push_back(conn);
        }
    }

    /// The peer has ended its side, or the connection broke. The announcement may have come together with the last bytes,
    /// and comes once.
    pub fn mark_ended(&mut self, conn: ConnKey, streams: &mut Streams) {
        if let Some(stream) = streams.get_mut(conn) {
            stream.ended = true;
        }
        self.mark(conn, streams);
    }

    /// Sockets to read in this turn: newcomers, or the others.
    pub fn budget(&self, fresh: bool) -> usize {
        match fresh {
            true => self.fresh.len().min(FIRST_READS_PER_TURN_MAX),
            false => self.known.len().min(READS_PER_TURN_MAX),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.known.is_empty() && self.fresh.is_empty()
    }

    fn line(&mut self, fresh: bool) -> &mut VecDeque<ConnKey> {
        if fresh { &mut self.fresh } else { &mut self.known }
    }

    /// Reads the next socket of one line into `buffer`. A full buffer leaves it in the list, behind the others.
    pub fn read_next(
        &mut self,
        fresh: bool,
        streams: &mut Streams,
        callers: &mut Callers,
        buffer: &mut [u8],
    ) -> Option<(ConnKey, Taken)> {
        let conn = self.line(fresh).pop_front()?;
        let Some(stream) = streams.get_mut(conn) else { return Some((conn, Taken::Nothing)) };
        stream.ready = false;
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
                    self.line(stream.kind == Kind::Newcomer).push_back(conn);
                }
                Taken::Bytes(count)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Taken::Nothing,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                stream.ready = true;
                self.line(stream.kind == Kind::Newcomer).push_back(conn);
                Taken::Nothing
            }
            Err(_) => Taken::Gone { broken: true },
        };
        Some((conn, taken))
    }
}
