//! The same request twice is one request: the first does the work, those that come meanwhile join it, and later ones get its
//! answer. Keys are chosen by clients, so the same key with another body is a conflict. Bounded in number and time; what is to
//! outlive the process is in the application's tables, and asked there where nothing is known here.

use std::collections::{BTreeMap, VecDeque};

use crate::base::time::Millis;

/// How much is remembered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bounds {
    /// Requests in flight and answers together; the oldest answers go first.
    pub requests_max: usize,
    /// Those who wait for one request, the first not counted.
    pub joined_max: usize,
    /// How long an answer is kept.
    pub keep_ms: u64,
}

/// Requests by key. `B`: what has to be equal for a request to be the same, such as a hash of its fields; `A`: an answer; `W`: somebody
/// who waits for it.
#[derive(Debug)]
pub struct Dedup<K, B, A, W> {
    bounds: Bounds,
    requests: BTreeMap<K, Request<B, A, W>>,
    /// Keys of answered requests, in the order of their answers.
    answered: VecDeque<(Millis, K)>,
}

#[derive(Debug)]
struct Request<B, A, W> {
    body: B,
    stage: Stage<A, W>,
}

#[derive(Debug)]
enum Stage<A, W> {
    InFlight(Vec<W>),
    Answered(A),
}

/// What a request is to those before it.
#[derive(Debug, PartialEq, Eq)]
pub enum Asked<A> {
    /// The first: do the work, then [`Dedup::answer`] or [`Dedup::give_up`].
    First,
    /// It waits for the one in flight, and comes back with its answer.
    Joined,
    /// This was the answer.
    Again(A),
    /// The key stands for another body.
    Conflict,
    /// Nothing more can be remembered, or nobody more wait. It has changed nothing.
    Full,
}

impl<K: Ord + Clone, B: PartialEq, A: Clone, W> Dedup<K, B, A, W> {
    /// Nothing is known.
    pub fn new(bounds: Bounds) -> Dedup<K, B, A, W> {
        Dedup { bounds, requests: BTreeMap::new(), answered: VecDeque::new() }
    }

    /// A request has come; `who` waits if it joins another.
    pub fn ask(&mut self, now: Millis, key: &K, body: B, who: W) -> Asked<A> {
        self.expire(now);
        let Some(request) = self.requests.get_mut(key) else { return self.first(key, body) };
        match &mut request.stage {
            _ if request.body != body => Asked::Conflict,
            Stage::Answered(answer) => Asked::Again(answer.clone()),
            Stage::InFlight(joined) if joined.len() >= self.bounds.joined_max => Asked::Full,
            Stage::InFlight(joined) => {
                joined.push(who);
                Asked::Joined
            }
        }
    }

    fn first(&mut self, key: &K, body: B) -> Asked<A> {
        if self.requests.len() >= self.bounds.requests_max {
            self.forget_oldest();
        }
        if self.requests.len() >= self.bounds.requests_max {
            return Asked::Full;
        }
        self.requests.insert(key.clone(), Request { body, stage: Stage::InFlight(Vec::new()) });
        Asked::First
    }

    /// The first of this key has its answer, which is kept, or what was answered has changed. Those who have joined it.
    pub fn answer(&mut self, now: Millis, key: &K, answer: A) -> Vec<W> {
        let Some(request) = self.requests.get_mut(key) else { return Vec::new() };
        let before = std::mem::replace(&mut request.stage, Stage::Answered(answer));
        match before {
            Stage::InFlight(joined) => {
                self.answered.push_back((now, key.clone()));
                joined
            }
            Stage::Answered(_) => Vec::new(),
        }
    }

    /// The first of this key came to nothing that would be worth keeping: the next one is a first again. Those who have joined it.
    pub fn give_up(&mut self, key: &K) -> Vec<W> {
        match self.requests.remove(key) {
            Some(Request { stage: Stage::InFlight(joined), .. }) => joined,
            Some(answered) => {
                self.requests.insert(key.clone(), answered);
                Vec::new()
            }
            None => Vec::new(),
        }
    }

    /// Requests that are remembered.
    pub fn len(&self) -> usize {
        self.requests.len()
    }

    pub fn is_empty(&self) -> bool {
        self.requests.is_empty()
    }

    fn expire(&mut self, now: Millis) {
        while self.answered.front().is_some_and(|(at, _)| now.since(*at) >= self.bounds.keep_ms) {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        if let Some((_, key)) = self.answered.pop_front() {
            self.requests.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Requests = Dedup<&'static str, u32, &'static str, u32>;

    const BOUNDS: Bounds = Bounds { requests_max: 3, joined_max: 2, keep_ms: 600_000 };

    fn check(requests: &mut Requests, at: u64, key: &'static str, body: u32, who: u32, expected: Asked<&str>) {
        assert_eq!(requests.ask(Millis(at), &key, body, who), expected, "{key} {body} at {at}");
    }

    #[test]
    fn the_first_works_those_meanwhile_join_and_later_ones_get_the_answer() {
        let mut requests = Requests::new(BOUNDS);
        check(&mut requests, 0, "a", 1, 10, Asked::First);
        check(&mut requests, 1, "a", 1, 11, Asked::Joined);
        check(&mut requests, 2, "a", 2, 12, Asked::Conflict);
        check(&mut requests, 3, "a", 1, 13, Asked::Joined);
        check(&mut requests, 4, "a", 1, 14, Asked::Full);
        check(&mut requests, 5, "b", 2, 15, Asked::First);
        assert_eq!(requests.answer(Millis(6), &"a", "done"), [11, 13]);
        check(&mut requests, 7, "a", 1, 16, Asked::Again("done"));
        check(&mut requests, 8, "a", 2, 17, Asked::Conflict);
        assert!(requests.answer(Millis(9), &"b", "other").is_empty());
        assert_eq!(requests.len(), 2);
    }

    #[test]
    fn what_came_to_nothing_may_be_asked_anew_with_any_body() {
        let mut requests = Requests::new(BOUNDS);
        check(&mut requests, 0, "a", 1, 10, Asked::First);
        check(&mut requests, 0, "a", 1, 11, Asked::Joined);
        assert_eq!(requests.give_up(&"a"), [11]);
        assert!(requests.is_empty() && requests.give_up(&"a").is_empty());
        check(&mut requests, 1, "a", 2, 12, Asked::First);
        requests.answer(Millis(2), &"a", "done");
        assert!(requests.give_up(&"a").is_empty(), "an answer stays");
        check(&mut requests, 3, "a", 2, 13, Asked::Again("done"));
        assert!(requests.answer(Millis(4), &"nobody's", "done").is_empty());
    }

    #[test]
    fn an_answer_ends_with_its_time() {
        let mut requests = Requests::new(BOUNDS);
        check(&mut requests, 0, "a", 1, 10, Asked::First);
        check(&mut requests, 700_000, "a", 1, 11, Asked::Joined);
        requests.answer(Millis(700_000), &"a", "done");
        // What an answer says may change; its time has begun.
        requests.answer(Millis(800_000), &"a", "done later");
        check(&mut requests, 1_299_999, "a", 1, 12, Asked::Again("done later"));
        check(&mut requests, 1_300_000, "a", 2, 13, Asked::First);
    }

    #[test]
    fn the_oldest_answers_make_room_and_what_is_in_flight_does_not() {
        let mut requests = Requests::new(BOUNDS);
        for key in ["a", "b", "c"] {
            check(&mut requests, 0, key, 1, 10, Asked::First);
        }
        check(&mut requests, 1, "d", 1, 11, Asked::Full);
        requests.answer(Millis(2), &"b", "b's");
        requests.answer(Millis(3), &"a", "a's");
        check(&mut requests, 4, "d", 1, 12, Asked::First);
        check(&mut requests, 5, "a", 1, 13, Asked::Again("a's"));
        check(&mut requests, 6, "b", 1, 14, Asked::First);
        assert_eq!(requests.len(), 3);
    }
}
