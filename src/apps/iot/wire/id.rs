//! How a device is called: its MAC address, or the end of it, as hex with devices and browsers, as the decimal form of the same
//! number with clouds. Ids that begin with `X` are a cloud's own and have one spelling.

use std::fmt;

/// A device's id: 6 or 12 small hex digits, or an `X…` as it came.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct ShellyId(Box<str>);

impl ShellyId {
    /// An id in hex of any case, colons between its bytes or not; one that begins with `X`; else a decimal number.
    pub(crate) fn parse(text: &str) -> Option<ShellyId> {
        ShellyId::readings(text).next()
    }

    /// Everything that a text may mean. One of 6 or 12 digits alone is hex or decimal: who knows the devices knows which.
    pub(crate) fn readings(text: &str) -> impl Iterator<Item = ShellyId> {
        let text = text.trim();
        let own = || is_own(text).then(|| ShellyId(text.into()));
        own().or_else(|| of_hex(text)).into_iter().chain(of_decimal(text).filter(|_| !is_own(text)))
    }

    /// The id of a device that calls itself `<model>-<hex>`, as in the `src` of its frames.
    pub(crate) fn of_src(src: &str) -> Option<ShellyId> {
        of_hex(src.split_once('-')?.1)
    }

    /// Small hex, or the cloud's own as it is.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// As clouds spell it: the decimal form of the number.
    pub(crate) fn decimal(&self) -> String {
        u64::from_str_radix(&self.0, 16).map_or_else(|_| self.0.to_string(), |number| number.to_string())
    }

    /// The last four characters, by which people tell devices apart.
    pub(crate) fn tail(&self) -> &str {
        let start = self.0.char_indices().rev().nth(3).map_or(0, |(at, _)| at);
        &self.0[start..]
    }
}

impl fmt::Display for ShellyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_own(text: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || b"_-:.".contains(&byte);
    text.starts_with('X') && (2..=ID_CHARS_MAX).contains(&text.len()) && text.bytes().all(is_word)
}

fn of_hex(text: &str) -> Option<ShellyId> {
    let digits: String = text.chars().filter(|character| *character != ':').collect();
    let is_id = matches!(digits.len(), 6 | 12) && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_id.then(|| ShellyId(digits.to_ascii_lowercase().into()))
}

fn of_decimal(text: &str) -> Option<ShellyId> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    match text.parse().ok()? {
        number @ 0..=0xff_ffff_u64 => Some(ShellyId(format!("{number:06x}").into())),
        number @ 0..=0xffff_ffff_ffff => Some(ShellyId(format!("{number:012x}").into())),
        _ => None,
    }
}

/// Of an id that is a cloud's own.
const ID_CHARS_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_and_decimal_are_two_spellings_of_one_id() {
        for (text, hex, decimal) in [
            ("b0b21c12dd94", "b0b21c12dd94", "194279021665684"),
            ("B0B21C12DD94", "b0b21c12dd94", "194279021665684"),
            ("B0:B2:1C:12:DD:94", "b0b21c12dd94", "194279021665684"),
            (" 194279021665684 ", "b0b21c12dd94", "194279021665684"),
            ("ddeeff", "ddeeff", "14544639"),
            ("14544639", "ddeeff", "14544639"),
            ("1", "000001", "1"),
            ("0", "000000", "0"),
            ("16777216", "000001000000", "16777216"),
            ("0017ab000001", "0017ab000001", "101653151745"),
            ("281474976710655", "ffffffffffff", "281474976710655"),
            ("XB3b41c9d20", "XB3b41c9d20", "XB3b41c9d20"),
        ] {
            let id = ShellyId::parse(text).unwrap_or_else(|| panic!("{text}"));
            assert_eq!((id.as_str(), &*id.decimal(), &*id.to_string()), (hex, decimal, hex), "{text}");
        }
    }

    #[test]
    fn what_is_no_id_is_none() {
        let long = format!("X{}", "1".repeat(ID_CHARS_MAX));
        for text in [
            "",
            " ",
            "b0b21c12dd9",
            "b0b21c12dd94f",
            "zzzzzz",
            "-1",
            "1.5",
            "281474976710656",
            "X",
            "X /..",
            "é",
            &long,
        ] {
            assert_eq!(ShellyId::parse(text), None, "{text}");
        }
    }

    #[test]
    fn digits_alone_may_mean_two_devices() {
        let readings = |text| ShellyId::readings(text).map(|id| id.to_string()).collect::<Vec<_>>();
        assert_eq!(readings("123456"), ["123456", "01e240"]);
        assert_eq!(readings("112233445566"), ["112233445566", "001a21a278be"]);
        assert_eq!(readings("194279021665684"), ["b0b21c12dd94"]);
        assert_eq!(readings("ddeeff"), ["ddeeff"]);
    }

    #[test]
    fn a_device_says_its_id_behind_the_first_dash() {
        for (src, expected) in [
            ("shellyplusplugs-aabbccddeeff", Some("aabbccddeeff")),
            ("ShellyWallDisplay-AABBCCDDEEFF", Some("aabbccddeeff")),
            ("shellyplug-s-DDEEFF", None),
            ("shelly", None),
            ("shelly-", None),
            ("shelly-194279021665684", None),
            ("", None),
        ] {
            assert_eq!(ShellyId::of_src(src).as_ref().map(ShellyId::as_str), expected, "{src}");
        }
        assert_eq!(ShellyId::parse("aabbccddeeff").unwrap().tail(), "eeff");
    }
}
