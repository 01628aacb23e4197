//! What a broadcast says: the run it belongs to, its channel and its number, in hexadecimal, and padding.

/// Digits of the run, the channel and the number at the beginning of a payload.
const RUN_DIGITS: usize = 8;
const CHANNEL_DIGITS: usize = 5;
const NUMBER_DIGITS: usize = 11;
const DIGITS: usize = RUN_DIGITS + CHANNEL_DIGITS + NUMBER_DIGITS;

/// Channels that can be told apart.
pub const CHANNELS_MAX: u32 = 1 << (4 * CHANNEL_DIGITS as u32);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stamp {
    /// Tells our broadcasts from those of others who test the same server.
    pub run: u32,
    pub channel: u32,
    pub number: u64,
}

impl Stamp {
    /// The payload's text, of `size` bytes if that is enough for the stamp.
    pub fn to_text(self, size: usize) -> String {
        let Stamp { run, channel, number } = self;
        format!("{run:08x}{channel:05x}{number:011x}{:x<1$}", "", size.saturating_sub(DIGITS))
    }

    /// The stamp that a payload begins with.
    pub fn parse(payload: &[u8]) -> Option<Stamp> {
        let (run, rest) = payload.get(..DIGITS)?.split_at(RUN_DIGITS);
        let (channel, number) = rest.split_at(CHANNEL_DIGITS);
        Some(Stamp { run: value(run)? as u32, channel: value(channel)? as u32, number: value(number)? })
    }
}

/// Of hexadecimal digits, at most 16.
fn value(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0, |value, digit| Some(value << 4 | u64::from(char::from(*digit).to_digit(16)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_read_as_it_was_written() {
        let stamp = Stamp { run: 42, channel: CHANNELS_MAX - 1, number: 15 };
        let text = stamp.to_text(30);
        assert_eq!(text, "0000002afffff0000000000fxxxxxx");
        assert_eq!(Stamp::parse(text.as_bytes()), Some(stamp));
        assert_eq!(Stamp::parse(stamp.to_text(0).as_bytes()), Some(stamp));
        assert_eq!(Stamp::parse(b"0000002a"), None);
        assert_eq!(Stamp::parse(b"zzzz002a0000000000000000f"), None);
    }
}
