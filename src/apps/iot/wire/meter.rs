//! Energy that never falls. Devices count from zero again when they are reset or replaced; who watches sees a sum that goes on.

/// The counter of one channel, in Wh.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub(crate) struct Meter {
    /// What had been counted before the device began anew.
    pub base: f64,
    /// What the device said last, if it has.
    pub last: Option<f64>,
}

impl Meter {
    /// The device counts `total` now; what is no count is passed over.
    pub(crate) fn take(&mut self, total: f64) {
        if !total.is_finite() || total < 0.0 {
            return;
        }
        if let Some(last) = self.last.filter(|last| total < *last) {
            self.base += last;
        }
        self.last = Some(total);
    }

    /// What is shown; none where no device has said anything.
    pub(crate) fn shown(&self) -> Option<f64> {
        self.last.map(|last| self.base + last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_never_falls() {
        let mut meter = Meter::default();
        assert_eq!(meter.shown(), None);
        for (total, shown) in [
            (100.0, 100.0),
            (150.0, 150.0),
            (5.0, 155.0),
            (7.0, 157.0),
            (7.0, 157.0),
            (f64::NAN, 157.0),
            (-1.0, 157.0),
            (f64::INFINITY, 157.0),
            (0.0, 157.0),
            (1.5, 158.5),
        ] {
            meter.take(total);
            assert_eq!(meter.shown(), Some(shown), "{total}");
        }
    }

    #[test]
    fn a_meter_goes_on_from_what_was_kept_of_it() {
        let mut meter = Meter { base: 150.0, last: Some(5.0) };
        meter.take(7.0);
        assert_eq!((meter.shown(), meter), (Some(157.0), Meter { base: 150.0, last: Some(7.0) }));
    }
}
