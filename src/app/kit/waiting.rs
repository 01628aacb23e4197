//! What jobs on their way are for: each has a name that none has had before, and behind it whose job it is and what waits for it.
//!
//! Timers and links take their names here as well, so that a token says by itself what it is the token of.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::app::effect::Token;

/// Names, and what waits for a job of each. Bounded by what the application has under way.
pub struct Waiting<W> {
    last: u64,
    waits: BTreeMap<u64, (Arc<str>, W)>,
}

impl<W> Waiting<W> {
    /// Names begin behind `last`, which is somebody's already.
    pub fn behind(last: Token) -> Waiting<W> {
        Waiting { last: last.0, waits: BTreeMap::new() }
    }

    /// A name no timer, job or link has had.
    pub fn token(&mut self) -> Token {
        self.last += 1;
        Token(self.last)
    }

    /// The name of a job of `home`, for whose outcome `wait` waits.
    pub fn begin(&mut self, home: Arc<str>, wait: W) -> Token {
        let token = self.token();
        self.waits.insert(token.0, (home, wait));
        token
    }

    /// The job is over: whose it was, and what has waited for it; `None` where nothing did.
    pub fn end(&mut self, token: Token) -> Option<(Arc<str>, W)> {
        self.waits.remove(&token.0)
    }
}

impl<W> Default for Waiting<W> {
    fn default() -> Waiting<W> {
        Waiting::behind(Token(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_is_new_and_what_waits_is_told_once() {
        let mut waiting = Waiting::behind(Token(1));
        let (timer, job) = (waiting.token(), waiting.begin("s1".into(), "rows"));
        assert_eq!((timer, job), (Token(2), Token(3)));
        assert_eq!(waiting.end(timer), None);
        assert_eq!((waiting.end(job), waiting.end(job)), (Some(("s1".into(), "rows")), None));
        assert_eq!(waiting.token(), Token(4));
        assert_eq!(Waiting::<()>::default().token(), Token(1));
    }
}
