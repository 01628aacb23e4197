//! Time as a value. Nothing below the border reads a clock: the shell reads both once a turn and passes them in.

use std::fmt;
use std::ops::Add;
use std::time::Duration;

/// Milliseconds on the monotonic clock since the process started. All deadlines are of this kind.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Millis(pub u64);

impl Millis {
    /// Milliseconds since `earlier`; 0 where `earlier` is later.
    pub fn since(self, earlier: Millis) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl Add<u64> for Millis {
    type Output = Millis;
    fn add(self, milliseconds: u64) -> Millis {
        Millis(self.0.saturating_add(milliseconds))
    }
}

impl From<Duration> for Millis {
    fn from(since_start: Duration) -> Millis {
        Millis(u64::try_from(since_start.as_millis()).unwrap_or(u64::MAX))
    }
}

/// Milliseconds since the Unix epoch: what clients see and tokens expire by. May jump; never a deadline.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct WallMillis(pub u64);

impl WallMillis {
    /// Whole seconds since the epoch, the unit of JWT claims.
    pub fn as_secs(self) -> u64 {
        self.0 / 1000
    }
}

impl From<Duration> for WallMillis {
    fn from(since_epoch: Duration) -> WallMillis {
        WallMillis(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX))
    }
}

impl fmt::Display for WallMillis {
    /// ISO 8601 as JavaScript's `Date.toISOString` writes it: `2025-08-20T10:00:31.000Z`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days, in_day) = (self.0 / 86_400_000, self.0 % 86_400_000);
        let (year, month, day) = civil_from_days(days);
        let (hour, minute) = (in_day / 3_600_000, in_day / 60_000 % 60);
        let (second, milli) = (in_day / 1000 % 60, in_day % 1000);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z")
    }
}

/// The two clocks of one turn.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Now {
    pub mono: Millis,
    pub wall: WallMillis,
}

impl Now {
    /// Both clocks moved on by the same span; what tests use to let time pass.
    pub fn plus(self, milliseconds: u64) -> Now {
        Now { mono: self.mono + milliseconds, wall: WallMillis(self.wall.0 + milliseconds) }
    }
}

/// Year, month (1–12) and day (1–31) of a day counted from 1970-01-01, by counting 400-year eras from 0000-03-01.
fn civil_from_days(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wall_time_prints_as_javascript_does() {
        for (millis, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399_999, "2000-02-28T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_755_684_031_000, "2025-08-20T10:00:31.000Z"),
            (4_107_542_399_000, "2100-02-28T23:59:59.000Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(WallMillis(millis).to_string(), text);
        }
    }

    #[test]
    fn deadlines_saturate() {
        assert_eq!(Millis(u64::MAX) + 5, Millis(u64::MAX));
        assert_eq!(Millis(3).since(Millis(5)), 0);
    }
}
