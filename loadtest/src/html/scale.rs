//! From values to places on an axis, and the values that an axis names.

/// An axis. Places are between 0 and 1.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Scale {
    /// From zero to a value, in steps.
    Linear { to: f64, step: f64 },
    /// Each factor of ten has the same room: exponents of ten at both ends.
    Log { from: f64, to: f64 },
    /// Quantiles: 90, 99, 99.9 % and so on are equally far apart; so many nines.
    Nines { to: f64 },
}

/// Where the values of a logarithmic axis differ less than by this, it is a linear one.
const LOG_RATIO_MIN: f64 = 20.0;
const STEPS: f64 = 5.0;

impl Scale {
    /// From zero to at least `max`, with about five steps of 1, 2 or 5 times a power of ten.
    pub(super) fn linear(max: f64) -> Scale {
        let max = if max > 0.0 { max } else { 1.0 };
        let power = 10f64.powf((max / STEPS).log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * power).into_iter().find(|step| step * STEPS >= max);
        let step = step.unwrap_or(10.0 * power);
        Scale::Linear { to: (max / step).ceil() * step, step }
    }

    /// For time: it ends where the time ends.
    pub(super) fn time(max: f64) -> Scale {
        match Scale::linear(max) {
            Scale::Linear { step, .. } => Scale::Linear { to: max, step },
            other => other,
        }
    }

    /// Logarithmic if the values, all above zero, are far apart; otherwise from zero.
    pub(super) fn fitting(values: impl Iterator<Item = f64>) -> Scale {
        let (min, max) = values.fold((f64::INFINITY, 0.0f64), |(min, max), value| (min.min(value), max.max(value)));
        if max / min < LOG_RATIO_MIN || !min.is_finite() || min <= 0.0 {
            return Scale::linear(max);
        }
        Scale::Log { from: round_to_125(min, f64::floor), to: round_to_125(max, f64::ceil) }
    }

    pub(super) fn is_log(self) -> bool {
        matches!(self, Scale::Log { .. })
    }

    pub(super) fn place(self, value: f64) -> f64 {
        let place = match self {
            Scale::Linear { to, .. } => value / to,
            Scale::Log { from, to } => (value.max(f64::MIN_POSITIVE).log10() - from) / (to - from),
            Scale::Nines { to } => nines(value) / to,
        };
        place.clamp(0.0, 1.0)
    }

    /// The values that are named.
    pub(super) fn ticks(self) -> Vec<f64> {
        match self {
            Scale::Linear { to, step } => {
                let count = (to / step + 1e-9).floor() as u32;
                (0..=count).map(|at| f64::from(at) * step).collect()
            }
            Scale::Log { from, to } => {
                let factors: &[f64] = if to - from > 3.0 { &[1.0] } else { &[1.0, 2.0, 5.0] };
                let decades = from.floor() as i32..=to.ceil() as i32;
                let all = decades.flat_map(|decade| factors.iter().map(move |factor| factor * 10f64.powi(decade)));
                all.filter(|tick| (from - 1e-9..=to + 1e-9).contains(&tick.log10())).collect()
            }
            Scale::Nines { to } => {
                let usual = [0.0, 0.5, 0.9, 0.99, 0.999, 0.9999, 0.99999, 0.999_999, 0.999_999_9];
                usual.into_iter().filter(|quantile| nines(*quantile) <= to + 1e-9).collect()
            }
        }
    }
}

/// 0.9 → 1, 0.99 → 2.
pub(super) fn nines(quantile: f64) -> f64 {
    -(1.0 - quantile).max(1e-12).log10()
}

/// The exponent of the next 1, 2 or 5 times a power of ten.
fn round_to_125(value: f64, round: fn(f64) -> f64) -> f64 {
    let exponent = value.log10();
    let decade = exponent.floor();
    let marks = [0.0, 2f64.log10(), 5f64.log10(), 1.0].map(|mark| decade + mark);
    let down = round(0.5) == 0.0;
    let found = if down {
        marks.into_iter().rev().find(|mark| *mark <= exponent + 1e-9)
    } else {
        marks.into_iter().find(|mark| *mark >= exponent - 1e-9)
    };
    found.unwrap_or(exponent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn linear_axes_have_round_steps() {
        for (max, to, step) in [(9.3, 10.0, 2.0), (0.0, 1.0, 0.2), (21_125.0, 25_000.0, 5_000.0), (1.0, 1.0, 0.2)] {
            assert_eq!(Scale::linear(max), Scale::Linear { to, step }, "{max}");
        }
        assert_eq!(Scale::linear(10.0).ticks(), [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]);
        assert_eq!(Scale::time(11.0).ticks(), [0.0, 5.0, 10.0]);
        assert_eq!(Scale::linear(10.0).place(2.5), 0.25);
    }

    #[test]
    fn values_far_apart_get_a_logarithmic_axis() {
        assert!(!Scale::fitting([1.0, 19.0].into_iter()).is_log());
        let scale = Scale::fitting([0.3, 80.0].into_iter());
        let rounded: Vec<f64> = scale.ticks().iter().map(|tick| (tick * 100.0).round() / 100.0).collect();
        assert_eq!(rounded, [0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0]);
        assert!(scale.place(0.2) < 1e-9 && scale.place(100.0) > 1.0 - 1e-9);
        assert_eq!(Scale::fitting([].into_iter()), Scale::linear(0.0));
    }

    #[test]
    fn nines_are_equally_far_apart() {
        let scale = Scale::Nines { to: 4.0 };
        assert!((scale.place(0.99) - 0.5).abs() < 1e-9 && (scale.place(0.9999) - 1.0).abs() < 1e-9);
        assert_eq!(scale.ticks(), [0.0, 0.5, 0.9, 0.99, 0.999, 0.9999]);
    }
}
