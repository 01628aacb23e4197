//! Circuit breaker: who asks an end that keeps failing is told so at once instead of waiting for it. After a while some are let
//! through again to see. Pure: time comes in, nothing is asked here.

use crate::base::time::Millis;

/// When a breaker opens and closes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Failures in a row that open it.
    pub failures: u32,
    /// How long it stays open.
    pub open_ms: u64,
    /// Successes in a row that close it again.
    pub successes: u32,
}

/// Five failures open it for a minute, three successes close it.
pub const LIMITS: Limits = Limits { failures: 5, open_ms: 60_000, successes: 3 };

/// ```text
///            failures in a row             open_ms later, somebody asks
///   closed ───────────────────► open ───────────────────────────────────► half-open
///     ▲                          ▲  └──────────── a failure ──────────────┘  │
///     └─────────────────────── successes in a row ───────────────────────────┘
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Breaker {
    limits: Limits,
    stage: Stage,
    /// Counts the stages: what was let through in an earlier one says nothing about this one.
    era: u32,
}

#[derive(Clone, Copy, Debug)]
enum Stage {
    Closed {
        failures: u32,
    },
    Open {
        until: Millis,
    },
    /// One at a time is let through. One that has not ended by `asked_until` is not waited for.
    HalfOpen {
        successes: u32,
        asked_until: Option<Millis>,
    },
}

/// What a breaker shows to operators.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    Closed,
    HalfOpen,
    Open,
}

/// Leave to ask the end. What came of it is told with it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pass(u32);

impl Breaker {
    /// Closed.
    pub fn new(limits: Limits) -> Breaker {
        Breaker { limits, stage: Stage::Closed { failures: 0 }, era: 0 }
    }

    /// Leave to ask the end now.
    ///
    /// # Errors
    /// When it is worth asking again.
    pub fn admit(&mut self, now: Millis) -> Result<Pass, Millis> {
        match self.stage {
            Stage::Closed { .. } => {}
            Stage::Open { until } | Stage::HalfOpen { asked_until: Some(until), .. } if now < until => {
                return Err(until);
            }
            Stage::Open { .. } => self.enter(Stage::HalfOpen { successes: 0, asked_until: self.asked_until(now) }),
            Stage::HalfOpen { successes, .. } => {
                self.stage = Stage::HalfOpen { successes, asked_until: self.asked_until(now) };
            }
        }
        Ok(Pass(self.era))
    }

    /// The end has answered.
    pub fn succeeded(&mut self, pass: Pass) {
        if pass.0 != self.era {
            return;
        }
        match self.stage {
            Stage::HalfOpen { successes, .. } if successes + 1 < self.limits.successes => {
                self.stage = Stage::HalfOpen { successes: successes + 1, asked_until: None };
            }
            Stage::HalfOpen { .. } => self.enter(Stage::Closed { failures: 0 }),
            Stage::Closed { .. } => self.stage = Stage::Closed { failures: 0 },
            Stage::Open { .. } => {}
        }
    }

    /// The end has not answered, or said that it cannot.
    pub fn failed(&mut self, now: Millis, pass: Pass) {
        if pass.0 != self.era {
            return;
        }
        match self.stage {
            Stage::Closed { failures } if failures + 1 < self.limits.failures => {
                self.stage = Stage::Closed { failures: failures + 1 };
            }
            _ => self.enter(Stage::Open { until: now + self.limits.open_ms }),
        }
    }

    /// Where it stands; open until somebody asks after its time.
    pub fn state(&self) -> State {
        match self.stage {
            Stage::Closed { .. } => State::Closed,
            Stage::Open { .. } => State::Open,
            Stage::HalfOpen { .. } => State::HalfOpen,
        }
    }

    fn asked_until(&self, now: Millis) -> Option<Millis> {
        Some(now + self.limits.open_ms)
    }

    fn enter(&mut self, stage: Stage) {
        self.stage = stage;
        self.era = self.era.wrapping_add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rng::Rng;

    /// Each step: the time, what the end does with who is let through, and what is seen then.
    fn check(steps: &[(u64, Option<bool>, State)]) {
        let mut breaker = Breaker::new(LIMITS);
        for (at, answers, expected) in steps {
            let now = Millis(*at);
            match (breaker.admit(now), answers) {
                (Ok(pass), Some(true)) => breaker.succeeded(pass),
                (Ok(pass), Some(false)) => breaker.failed(now, pass),
                (Err(_), None) => {}
                (admitted, answers) => panic!("at {at}: {admitted:?} but {answers:?}"),
            }
            assert_eq!(breaker.state(), *expected, "at {at}");
        }
    }

    #[test]
    fn five_failures_open_it_for_a_minute_and_three_successes_close_it() {
        use State::{Closed, HalfOpen, Open};
        let (works, fails) = (Some(true), Some(false));
        let failing =
            [(0, fails, Closed), (1, fails, Closed), (2, fails, Closed), (3, fails, Closed), (4, fails, Open)];
        let closing = [(5, None, Open), (60_003, None, Open), (60_004, works, HalfOpen), (60_005, works, HalfOpen)];
        check(&[&failing[..], &closing, &[(60_006, works, Closed), (60_007, fails, Closed)]].concat());
        check(
            &[&failing[..], &closing, &[(60_006, fails, Open), (120_005, None, Open), (120_006, works, HalfOpen)]]
                .concat(),
        );
        check(&[&failing[..4], &[(4, works, Closed)], &failing[..4], &[(9, fails, Open)]].concat());
    }

    #[test]
    fn half_open_it_lets_one_through_at_a_time() {
        let mut breaker = Breaker::new(Limits { failures: 1, ..LIMITS });
        let pass = breaker.admit(Millis(0)).unwrap();
        breaker.failed(Millis(0), pass);
        let first = breaker.admit(Millis(60_000)).unwrap();
        assert_eq!(breaker.admit(Millis(60_001)), Err(Millis(120_000)));
        breaker.succeeded(first);
        breaker.admit(Millis(60_002)).unwrap();
        assert!(breaker.admit(Millis(120_001)).is_err());
        assert!(breaker.admit(Millis(120_002)).is_ok(), "one that never ends is not waited for");
    }

    #[test]
    fn what_was_let_through_before_says_nothing_about_now() {
        let mut breaker = Breaker::new(Limits { failures: 1, successes: 1, ..LIMITS });
        let (early, late) = (breaker.admit(Millis(0)).unwrap(), breaker.admit(Millis(0)).unwrap());
        breaker.failed(Millis(1), early);
        breaker.succeeded(late);
        assert_eq!(breaker.state(), State::Open);
        let trial = breaker.admit(Millis(60_001)).unwrap();
        breaker.failed(Millis(60_002), late);
        assert_eq!(breaker.state(), State::HalfOpen);
        breaker.succeeded(trial);
        assert_eq!(breaker.state(), State::Closed);
    }

    /// A day of an end that is asked four times a second and is away for the hour after noon, while one answer in fifty fails
    /// all day: who asks waits for a dead end once a minute at most, and all are served again a minute after it is back.
    #[test]
    fn a_day_with_an_end_that_is_away_for_an_hour() {
        const HOUR_MS: u64 = 3_600_000;
        let mut rng = Rng::from_seed([5; 32]);
        let mut breaker = Breaker::new(LIMITS);
        let (mut waited_in_vain, mut turned_away, mut turned_away_early) = (0, 0, 0);
        for at in (0..24 * HOUR_MS).step_by(250) {
            let away = (12 * HOUR_MS..13 * HOUR_MS).contains(&at);
            match breaker.admit(Millis(at)) {
                Ok(pass) if away || rng.below(50) == 0 => {
                    breaker.failed(Millis(at), pass);
                    waited_in_vain += u32::from(away);
                }
                Ok(pass) => breaker.succeeded(pass),
                Err(_) if away => turned_away += 1,
                Err(until) => {
                    assert!(until <= Millis(at) + LIMITS.open_ms);
                    turned_away_early += u32::from(!(12 * HOUR_MS..13 * HOUR_MS + LIMITS.open_ms).contains(&at));
                }
            }
        }
        assert!((59..=65).contains(&waited_in_vain), "{waited_in_vain}");
        assert_eq!(turned_away + waited_in_vain, 3_600 * 4);
        assert_eq!((turned_away_early, breaker.state()), (0, State::Closed), "a failure now and then opens nothing");
    }
}
