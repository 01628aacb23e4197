//! What a play acts on, and which client plays which role.

use super::Script;
use super::spans::{Span, Spans};
use crate::clock::Nanos;
use crate::fault::Fault;
use crate::options::Options;
use crate::pool::ClientId;
use crate::scenario::kind::Cx;

/// A reason is told up to this length.
const CODE_CHARS_MAX: usize = 40;

/// One client and its part.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Who {
    pub client: ClientId,
    /// Index in the script's roles.
    pub role: usize,
    /// Its number among all clients of the role, of every thread.
    pub number: u32,
}

/// How many clients each role has, one role after the other.
#[derive(Clone, Debug)]
pub struct Casting {
    counts: Vec<u32>,
}

impl Casting {
    pub fn new(options: &Options, script: &Script) -> Casting {
        let mut left = options.clients;
        let last = script.roles.len() - 1;
        let counts = script.roles.iter().enumerate().map(|(at, role)| {
            let asked =
                options.identity.roles.iter().rev().find(|(name, _)| name == role.name).map(|(_, count)| *count);
            let wanted = asked.unwrap_or((options.clients * role.percent).div_ceil(100)).max(1);
            let count = if at == last { left } else { wanted.min(left) };
            left -= count;
            count
        });
        Casting { counts: counts.collect() }
    }

    /// Clients of a role, on all threads.
    pub fn count(&self, role: usize) -> u32 {
        self.counts[role]
    }

    /// The part of a client of the thread whose first one has the number `first`.
    pub fn who(&self, first: u32, client: ClientId) -> Who {
        let mut number = first + client.0;
        let mut role = 0;
        while number >= self.counts[role] {
            number -= self.counts[role];
            role += 1;
        }
        Who { client, role, number }
    }
}

pub struct Stage<'a, 'b> {
    pub cx: &'a mut Cx<'b>,
    pub(super) spans: &'a mut Spans,
    pub cast: &'a Casting,
}

impl Stage<'_, '_> {
    pub fn now(&self) -> Nanos {
        self.cx.now()
    }

    /// An event; with a number the server is asked to answer under it.
    pub fn emit(&mut self, who: Who, number: Option<u64>, name: &str, args: &str) {
        self.cx.pool.emit(who.client, number, name, args);
    }

    /// `who` asks something; the answer's latency will be told under `part`. Gives back the question's number.
    pub fn ask(&mut self, who: Who, part: &'static str, intended: Nanos) -> u64 {
        self.spans.begin(Span { part, client: who.client, intended })
    }

    /// The answer to a question; whether there was one that waited for it.
    pub fn answered(&mut self, who: Who, number: u64) -> bool {
        let Some(span) = self.spans.end(number, who.client) else { return false };
        self.saw(span.part, span.intended);
        true
    }

    /// Something was refused; `code` says why.
    pub fn refused(&mut self, code: Option<&str>) {
        let code = code.unwrap_or("no reason given").chars().take(CODE_CHARS_MAX).collect();
        self.cx.figures.note_fault(&Fault::Rejected(code));
    }

    /// Something has come of what was meant to happen at `intended`.
    pub fn saw(&mut self, part: &'static str, intended: Nanos) {
        let latency_ns = self.now().saturating_sub(intended);
        self.cx.figures.note_part(part, latency_ns, self.cx.measuring);
        self.cx.done(intended);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::mix::signage;

    fn counts(arguments: &[&str]) -> Vec<u32> {
        let cast = Casting::new(&Options::of(arguments), &signage::SCRIPT);
        (0..signage::SCRIPT.roles.len()).map(|role| cast.count(role)).collect()
    }

    #[test]
    fn roles_have_their_share_or_what_was_asked() {
        assert_eq!(counts(&["--clients", "150"]), [2, 148]);
        assert_eq!(counts(&["--clients", "10"]), [1, 9]);
        assert_eq!(counts(&["--clients", "10", "--role", "admin=4"]), [4, 6]);
        assert_eq!(counts(&["--clients", "3", "--role", "admin=4"]), [3, 0]);
        let cast = Casting::new(&Options::of(&["--clients", "10", "--role", "admin=4"]), &signage::SCRIPT);
        assert_eq!(cast.who(2, ClientId(1)), Who { client: ClientId(1), role: 0, number: 3 });
        assert_eq!(cast.who(2, ClientId(2)), Who { client: ClientId(2), role: 1, number: 0 });
    }
}
