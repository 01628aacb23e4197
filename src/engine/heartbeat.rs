//! The heartbeat of one session: the server pings, and the client is heard of in time or is gone. Spec: PROTOCOL 6.
//!
//! ```text
//!   Resting ──interval──► ping sent, Waiting ──anything arrives──► Resting
//!                           ▲   │      └──timeout──► the session ends: ping timeout
//!                           └───┘ what is sent to it still moves: one timeout more
//! ```
//! Whatever arrives is a sign of life: a slow line brings the pong behind a picture. Where the process itself was late, the
//! end of a timeout is [`Phase::Overdue`] first: what lies in the sockets is read before anybody is declared dead. An
//! unsolicited pong restarts the interval, and there is never more than one timer (B69).

use crate::base::limit::EngineLimits;
use crate::base::rng::Rng;
use crate::base::wheel::TimerKey;

/// What the one timer of a session stands for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Phase {
    /// Until the next ping.
    Resting,
    /// A ping is out; until the pong is overdue.
    Waiting,
    /// The pong is overdue, but not all that had arrived by then was read: judged a moment later.
    Overdue,
}

/// The state: phase and armed timer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Heartbeat {
    pub phase: Phase,
    pub timer: TimerKey,
}

/// Time to the next ping, in milliseconds: 0.9 to 1.0 of the configured interval, so that clients that came together do
/// not ping together (T-20); exact where `ping_jitter` is off.
pub(crate) fn next_ping_in_ms(limits: &EngineLimits, rng: &mut Rng) -> u64 {
    if !limits.ping_jitter {
        return limits.ping_interval_ms;
    }
    let tenth = u32::try_from(limits.ping_interval_ms / 10).unwrap_or(u32::MAX);
    limits.ping_interval_ms - u64::from(rng.below(tenth + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t20_intervals_spread_over_the_last_tenth_and_are_exact_without_jitter() {
        let mut rng = Rng::from_seed([5; 32]);
        let mut limits = EngineLimits::default();
        let drawn: Vec<u64> = (0..1000).map(|_| next_ping_in_ms(&limits, &mut rng)).collect();
        assert!(drawn.iter().all(|interval| (22_500..=25_000).contains(interval)));
        assert!(drawn.iter().max().unwrap() - drawn.iter().min().unwrap() > 2_400);
        limits.ping_jitter = false;
        assert_eq!(next_ping_in_ms(&limits, &mut rng), 25_000);
    }
}
