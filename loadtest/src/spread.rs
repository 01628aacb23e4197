//! The same figure of several runs: its middle and its ends. Runs taken in turns are compared pair by pair, so that a
//! machine that is slow for a while is slow for both sides.

/// Of at least one value.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Spread {
    pub median: f64,
    pub min: f64,
    pub max: f64,
    /// How many values there were.
    pub count: usize,
}

impl Spread {
    /// Values that are not finite are left out; `None` if nothing is left.
    pub(crate) fn of(values: &[f64]) -> Option<Spread> {
        let mut sorted: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
        sorted.sort_by(f64::total_cmp);
        let (min, max, middle) = (*sorted.first()?, *sorted.last()?, sorted.len() / 2);
        let even = sorted.len().is_multiple_of(2);
        let median = if even { f64::midpoint(sorted[middle - 1], sorted[middle]) } else { sorted[middle] };
        Some(Spread { median, min, max, count: sorted.len() })
    }

    /// Of `a` to `b`, pair by pair; what has no partner is left out.
    pub(crate) fn of_ratios(a: &[f64], b: &[f64]) -> Option<Spread> {
        Spread::of(&a.iter().zip(b).map(|(a, b)| a / b).collect::<Vec<_>>())
    }

    /// `5.91 (5.70 to 6.30)`; of one value, that value.
    pub(crate) fn to_text(self) -> String {
        let [median, min, max] = [self.median, self.min, self.max].map(digits);
        if self.count == 1 { median } else { format!("{median} ({min} to {max})") }
    }
}

/// Three significant digits, and whole numbers whole.
pub(crate) fn digits(value: f64) -> String {
    match value.abs() {
        _ if !value.is_finite() => "-".to_owned(),
        magnitude if magnitude >= 100.0 || value.fract() == 0.0 => format!("{value:.0}"),
        magnitude if magnitude >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_and_the_ends() {
        let check = |values: &[f64], expected: &str| {
            assert_eq!(Spread::of(values).map_or("nothing".to_owned(), Spread::to_text), expected);
        };
        check(&[], "nothing");
        check(&[f64::NAN], "nothing");
        check(&[7.5], "7.50");
        check(&[3.0, 1.0, 22.25], "3 (1 to 22.2)");
        check(&[0.125, 0.375], "0.25 (0.12 to 0.38)");
        let ratios = Spread::of_ratios(&[2.0, 9.0, 8.0], &[4.0, 3.0]);
        assert_eq!(ratios.map(|ratios| (ratios.min, ratios.max, ratios.count)), Some((0.5, 3.0, 2)));
    }
}
