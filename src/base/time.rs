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

/// The inverse of how wall time prints, for any time of ISO 8601 with a zone: `2025-08-20T10:00:31Z`, `2025-08-20T12:00:31.5+02:00`.
/// What is finer than a millisecond is cut off; times before 1970 are none.
pub fn parse_iso(text: &str) -> Option<WallMillis> {
    let (date, rest) = text.split_once('T')?;
    let zone_at = rest.find(['Z', '+', '-'])?;
    let (clock, zone) = rest.split_at(zone_at);
    let [year, month, day] = numbers(date, '-', [4, 2, 2])?;
    let (clock, fraction) = clock.split_once('.').map_or((clock, "0"), |(clock, fraction)| (clock, fraction));
    let [hour, minute, second] = numbers(clock, ':', [2, 2, 2])?;
    let offset = match zone.split_at(1) {
        ("Z", "") => 0,
        (sign, offset) => {
            let [hours, minutes] = numbers(offset, ':', [2, 2])?;
            let minutes = i64::try_from(hours * 60 + minutes).ok().filter(|_| hours < 24 && minutes < 60)?;
            if sign == "-" { -minutes } else { minutes }
        }
    };
    let is_in_range = hour < 24 && minute < 60 && second < 60 && (1..=12).contains(&month) && (1..=31).contains(&day);
    let is_fraction = !fraction.is_empty() && fraction.len() <= 9 && fraction.bytes().all(|byte| byte.is_ascii_digit());
    let days = days_from_civil(year, month, day).filter(|_| is_in_range && is_fraction)?;
    // A day that its month does not have is another day.
    (civil_from_days(days) == (year, month, day)).then_some(())?;
    let millis: u64 = format!("{fraction:0<3}")[..3].parse().ok()?;
    let local = days * 86_400_000 + hour * 3_600_000 + minute * 60_000 + second * 1_000 + millis;
    local.checked_add_signed(-offset * 60_000).map(WallMillis)
}

/// So many numbers of so many digits each.
fn numbers<const N: usize>(text: &str, between: char, digits: [usize; N]) -> Option<[u64; N]> {
    let mut parts = text.split(between);
    let mut found = [0; N];
    for (number, digits) in found.iter_mut().zip(digits) {
        let part = parts.next()?;
        let is_number = part.len() == digits && part.bytes().all(|byte| byte.is_ascii_digit());
        *number = is_number.then(|| part.parse().ok())??;
    }
    parts.next().is_none().then_some(found)
}

/// Days since 1970-01-01 of a date from then on.
fn days_from_civil(year: u64, month: u64, day: u64) -> Option<u64> {
    let year = if month <= 2 { year.checked_sub(1)? } else { year };
    let (era, year_of_era) = (year / 400, year % 400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day.checked_sub(1)?;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    (era * 146_097 + day_of_era).checked_sub(719_468)
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
            assert_eq!(parse_iso(text), Some(WallMillis(millis)));
        }
    }

    #[test]
    fn times_are_read_with_any_zone_and_fraction_and_nothing_else_is() {
        for (text, millis) in [
            ("2025-08-20T10:00:31Z", Some(1_755_684_031_000)),
            ("2025-08-20T12:00:31.5+02:00", Some(1_755_684_031_500)),
            ("2025-08-20T09:30:31.123456-00:30", Some(1_755_684_031_123)),
            ("1970-01-01T01:00:00+02:00", None),
            ("1969-12-31T23:59:59Z", None),
            ("2025-02-29T00:00:00Z", None),
            ("2024-02-29T00:00:00Z", Some(1_709_164_800_000)),
            ("2025-13-01T00:00:00Z", None),
            ("2025-01-01T24:00:00Z", None),
            ("2025-01-01T00:00:00", None),
            ("2025-01-01T00:00:00.Z", None),
            ("2025-01-01T00:00:00Zx", None),
            ("2025-1-01T00:00:00Z", None),
            ("+025-01-01T00:00:00Z", None),
            ("2025-01-01", None),
            ("", None),
            ("T", None),
            ("éT00:00:00Z", None),
        ] {
            assert_eq!(parse_iso(text), millis.map(WallMillis), "{text}");
        }
    }

    #[test]
    fn deadlines_saturate() {
        assert_eq!(Millis(u64::MAX) + 5, Millis(u64::MAX));
        assert_eq!(Millis(3).since(Millis(5)), 0);
    }
}
