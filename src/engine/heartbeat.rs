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

use crate::base::limit::{EngineLimits, HEARING_GRACE_MS, PING_INTERVAL_MS_RANGE, PING_TIMEOUT_MS_RANGE};
use crate::base::rng::Rng;
use crate::base::time::Millis;
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

/// The state: phase and armed timer, and when the client was last heard of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Heartbeat {
    pub phase: Phase,
    /// In units of [`HEARD_UNIT_MS`], over and over from 0: there is room for it beside the phase.
    heard: u16,
    pub timer: TimerKey,
}

impl Heartbeat {
    /// The state of a client that has just come.
    pub(crate) fn new(now: Millis, timer: TimerKey) -> Heartbeat {
        Heartbeat { phase: Phase::Resting, heard: units(now), timer }
    }

    /// Another phase, and the timer that ends it.
    pub(crate) fn arm(&mut self, phase: Phase, timer: TimerKey) {
        (self.phase, self.timer) = (phase, timer);
    }

    /// Something of the client has arrived.
    pub(crate) fn hear(&mut self, now: Millis) {
        self.heard = units(now);
    }

    /// How long nothing has arrived, to within [`HEARD_UNIT_MS`].
    pub(crate) fn silent_ms(&self, now: Millis) -> u64 {
        u64::from(units(now).wrapping_sub(self.heard)) * HEARD_UNIT_MS
    }
}

fn units(at: Millis) -> u16 {
    (at.0 / HEARD_UNIT_MS) as u16
}

/// A client is known to have been silent in these units.
const HEARD_UNIT_MS: u64 = 128;
// A silence as long as any that ends a session is told from a shorter one.
const _: () = assert!(
    *PING_INTERVAL_MS_RANGE.end() + *PING_TIMEOUT_MS_RANGE.end() + HEARING_GRACE_MS < (u16::MAX as u64) * HEARD_UNIT_MS
);

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
    use crate::base::wheel::Wheel;

    #[test]
    fn a_silence_is_known_and_takes_no_room() {
        assert_eq!(size_of::<Heartbeat>(), size_of::<TimerKey>() + 4);
        for (heard, now, expected) in [(0, 127, 0), (1_000, 31_000, 30_000), (8_388_000, 8_389_000, 1_000)] {
            let mut heartbeat = Heartbeat::new(Millis(0), Wheel::new(Millis(0)).arm(Millis(1), ()));
            heartbeat.hear(Millis(heard));
            let silent = heartbeat.silent_ms(Millis(now));
            assert!(silent.abs_diff(expected) <= HEARD_UNIT_MS, "{heard} to {now}: {silent}");
        }
    }

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
