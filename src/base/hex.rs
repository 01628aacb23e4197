//! Bytes as hexadecimal digits, as hashes are kept and told.

/// Two small digits for each byte.
pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| char::from(DIGITS[usize::from(nibble)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_is_two_digits() {
        assert_eq!((hex(&[]), hex(&[0, 9, 0xaf, 0xff])), (String::new(), "0009afff".to_owned()));
    }
}
