//! What was asked and is not answered yet, by number.

use std::collections::HashMap;

use crate::clock::Nanos;
use crate::pool::ClientId;

/// Threads count in strides, so that a number belongs to one of them.
const THREADS_MAX: u64 = 64;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Span {
    /// The part of the work under which its latency is told.
    pub part: &'static str,
    pub client: ClientId,
    pub intended: Nanos,
}

pub(super) struct Spans {
    next: u64,
    open: HashMap<u64, Span>,
}

impl Spans {
    pub(super) fn new(thread: u32) -> Spans {
        Spans { next: u64::from(thread), open: HashMap::new() }
    }

    /// The number of a new question; no other thread of this process has it.
    pub(super) fn begin(&mut self, span: Span) -> u64 {
        let number = self.next;
        self.next += THREADS_MAX;
        self.open.insert(number, span);
        number
    }

    /// The question that was answered, if it was this client's and had not been.
    pub(super) fn end(&mut self, number: u64, client: ClientId) -> Option<Span> {
        self.open.get(&number).filter(|span| span.client == client)?;
        self.open.remove(&number)
    }

    /// The questions of a client that is gone; how many there were.
    pub(super) fn forget(&mut self, client: ClientId) -> u64 {
        let before = self.open();
        self.open.retain(|_, span| span.client != client);
        before - self.open()
    }

    pub(super) fn open(&self) -> u64 {
        self.open.len() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_answered_once_and_to_the_one_who_asked() {
        let mut spans = Spans::new(1);
        let span = |client| Span { part: "x", client: ClientId(client), intended: 5 };
        assert_eq!([7, 8, 7].map(|client| spans.begin(span(client))), [1, 65, 129]);
        assert_eq!(spans.end(1, ClientId(8)), None, "another client's");
        assert_eq!(spans.end(1, ClientId(7)), Some(span(7)));
        assert_eq!(spans.end(1, ClientId(7)), None, "twice");
        assert_eq!((spans.forget(ClientId(7)), spans.open()), (1, 1));
    }
}
