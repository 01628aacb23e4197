//! Which of the statuses of one source counts: not one that was there already, not one that is older than the last. A clock that was
//! wrong for longer than that is believed again.

/// What is remembered of the statuses of one source about one device.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub(crate) struct Order {
    serial: Option<f64>,
    uptime_s: u32,
}

/// What a status is worth.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Worth {
    Fresh,
    /// The same again: the device is there, and nothing else.
    KeepAlive,
    /// Older than the last one.
    Stale,
}

impl Order {
    /// Judges a status by its `serial`, or its `ts`; one that is fresh is the last one from now on. Without either it is fresh.
    /// First devices count their statuses, from zero again when they start: `uptime_s` tells.
    pub(crate) fn judge(&mut self, serial: Option<f64>, uptime_s: Option<u32>) -> Worth {
        let Some(serial) = serial else { return Worth::Fresh };
        let has_restarted = serial < TIMES_BEGIN && uptime_s.is_some_and(|uptime_s| uptime_s < self.uptime_s);
        if let Some(last) = self.serial.filter(|_| !has_restarted) {
            if serial == last {
                return Worth::KeepAlive;
            }
            if serial < last && last - serial <= STALE_S {
                return Worth::Stale;
            }
        }
        (self.serial, self.uptime_s) = (Some(serial), uptime_s.unwrap_or(self.uptime_s));
        Worth::Fresh
    }
}

/// A serial is seconds since 1970, or, below this, a count.
const TIMES_BEGIN: f64 = 1e9;
/// So much older is late; older still is another clock.
const STALE_S: f64 = 3_600.0;

#[cfg(test)]
mod tests {
    use super::*;

    fn check(statuses: &[(Option<f64>, Option<u32>, Worth)]) {
        let mut order = Order::default();
        for (serial, uptime_s, worth) in statuses {
            assert_eq!(order.judge(*serial, *uptime_s), *worth, "{serial:?} {uptime_s:?} of {statuses:?}");
        }
    }

    #[test]
    fn the_same_again_is_a_keep_alive_and_an_older_one_is_stale() {
        let at = 1_634_630_341.44;
        check(&[
            (Some(at), None, Worth::Fresh),
            (Some(at), None, Worth::KeepAlive),
            (Some(at - 0.01), None, Worth::Stale),
            (Some(at - 3_600.0), Some(5), Worth::Stale),
            (Some(at), None, Worth::KeepAlive),
            (None, None, Worth::Fresh),
            (Some(at + 1.0), None, Worth::Fresh),
            (Some(at), None, Worth::Stale),
        ]);
    }

    #[test]
    fn a_clock_that_is_set_back_for_longer_is_believed() {
        let at = 1_634_630_341.0;
        check(&[
            (Some(at), None, Worth::Fresh),
            (Some(at - 3_601.0), None, Worth::Fresh),
            (Some(at - 3_601.0), None, Worth::KeepAlive),
            (Some(at - 3_600.0), None, Worth::Fresh),
        ]);
    }

    #[test]
    fn a_count_begins_anew_when_its_device_does() {
        check(&[
            (Some(500.0), Some(9_000), Worth::Fresh),
            (Some(499.0), Some(9_001), Worth::Stale),
            (Some(1.0), Some(3), Worth::Fresh),
            (Some(1.0), Some(4), Worth::KeepAlive),
            (Some(2.0), Some(5), Worth::Fresh),
        ]);
    }
}
