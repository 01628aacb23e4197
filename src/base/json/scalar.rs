//! Where a JSON scalar ends. Most of a text is strings, so theirs is the scanner's tightest loop.
//! Spec: RFC 8259 sections 3, 6 and 7.

use super::JsonError;

/// The offset behind the scalar that starts at `at`.
pub(super) fn end(text: &[u8], at: usize) -> Result<usize, JsonError> {
    match text.get(at) {
        Some(b'"') => string_end(text, at + 1),
        Some(b'-' | b'0'..=b'9') => number_end(text, at),
        Some(b't') => literal_end(text, at, b"true"),
        Some(b'f') => literal_end(text, at, b"false"),
        Some(b'n') => literal_end(text, at, b"null"),
        _ => Err(JsonError::Syntax { at }),
    }
}

/// The offset behind the closing quote of a string whose opening quote is right before `at`.
pub(super) fn string_end(text: &[u8], mut at: usize) -> Result<usize, JsonError> {
    loop {
        at += plain_prefix(&text[at..]);
        match text.get(at) {
            Some(b'"') => return Ok(at + 1),
            Some(b'\\') => at = escape_end(text, at + 1)?,
            _ => return Err(JsonError::Syntax { at }),
        }
    }
}

/// The offset behind an escape whose backslash is right before `at`.
fn escape_end(text: &[u8], at: usize) -> Result<usize, JsonError> {
    match text.get(at) {
        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Ok(at + 1),
        Some(b'u') => {
            let digits = text[at + 1..].iter().take(4).take_while(|byte| byte.is_ascii_hexdigit()).count();
            if digits == 4 { Ok(at + 5) } else { Err(JsonError::Syntax { at: at + 1 + digits }) }
        }
        _ => Err(JsonError::Syntax { at }),
    }
}

/// How many bytes at the front of `text` mean themselves: neither quote, backslash nor control character.
fn plain_prefix(text: &[u8]) -> usize {
    let (words, tail) = text.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let special = special_bytes(u64::from_le_bytes(*word));
        if special != 0 {
            return index * 8 + special.trailing_zeros() as usize / 8;
        }
    }
    let in_tail = tail.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20));
    text.len() - tail.len() + in_tail.unwrap_or(tail.len())
}

/// Eight bytes at a time: the high bit of each quote, backslash and control character. A borrow may set bits above
/// the lowest one; only that is exact.
fn special_bytes(word: u64) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH_BITS: u64 = 0x8080_8080_8080_8080;
    let quote = word ^ (ONES * b'"' as u64);
    let backslash = word ^ (ONES * b'\\' as u64);
    let is_quote = quote.wrapping_sub(ONES) & !quote;
    let is_backslash = backslash.wrapping_sub(ONES) & !backslash;
    let is_control = word.wrapping_sub(ONES * 0x20) & !word;
    (is_quote | is_backslash | is_control) & HIGH_BITS
}

fn number_end(text: &[u8], mut at: usize) -> Result<usize, JsonError> {
    let is = |at: usize, wanted: &[u8]| text.get(at).is_some_and(|byte| wanted.contains(byte));
    at += usize::from(is(at, b"-"));
    at = if is(at, b"0") { at + 1 } else { digits_end(text, at)? };
    if is(at, b".") {
        at = digits_end(text, at + 1)?;
    }
    if is(at, b"eE") {
        at = digits_end(text, at + 1 + usize::from(is(at + 1, b"+-")))?;
    }
    Ok(at)
}

/// One digit or more.
fn digits_end(text: &[u8], at: usize) -> Result<usize, JsonError> {
    let count = text[at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    if count == 0 { Err(JsonError::Syntax { at }) } else { Ok(at + count) }
}

fn literal_end(text: &[u8], at: usize, word: &'static [u8]) -> Result<usize, JsonError> {
    if text[at..].starts_with(word) { Ok(at + word.len()) } else { Err(JsonError::Syntax { at }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_special_byte_is_found_at_every_place_among_every_other() {
        for other in (0x20..=0xff).filter(|byte| !matches!(byte, b'"' | b'\\')) {
            for place in 0..24 {
                for special in [b'"', b'\\', 0, 0x1f, b'\n'] {
                    let mut text = [other; 24];
                    text[place] = special;
                    assert_eq!(plain_prefix(&text), place, "{special:#x} at {place} among {other:#x}");
                }
            }
            assert_eq!(plain_prefix(&[other; 24]), 24);
        }
    }

    #[test]
    fn an_escape_may_cross_words() {
        for before in 0..20 {
            let text = format!("{}\\\"\\u00e9\\\\\"rest", "x".repeat(before));
            assert_eq!(string_end(text.as_bytes(), 0), Ok(text.len() - "rest".len()));
        }
    }
}
