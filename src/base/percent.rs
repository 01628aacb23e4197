//! Percent-decoding as `application/x-www-form-urlencoded` has it: query strings and JSONP bodies.

use std::borrow::Cow;

/// Decodes `%XX` and `+`; broken escapes stay as they are, bytes that are not UTF-8 become U+FFFD.
pub fn decode(text: &str) -> Cow<'_, str> {
    if memchr::memchr2(b'%', b'+', text.as_bytes()).is_none() {
        return Cow::Borrowed(text);
    }
    let mut rest = text.as_bytes();
    let mut out = Vec::with_capacity(rest.len());
    while let [first, after @ ..] = rest {
        let escaped = if *first == b'%' { after.first_chunk().and_then(hex_byte) } else { None };
        match escaped {
            Some(byte) => out.push(byte),
            None => out.push(if *first == b'+' { b' ' } else { *first }),
        }
        rest = &after[if escaped.is_some() { 2 } else { 0 }..];
    }
    Cow::Owned(String::from_utf8_lossy(&out).into_owned())
}

/// The pairs of a form or query in their order, still encoded; a name without `=` has an empty value.
pub fn pairs(form: &str) -> impl DoubleEndedIterator<Item = (&str, &str)> {
    form.split('&').filter(|pair| !pair.is_empty()).map(|pair| pair.split_once('=').unwrap_or((pair, "")))
}

fn hex_byte(digits: &[u8; 2]) -> Option<u8> {
    let [high, low] = digits.map(|digit| char::from(digit).to_digit(16));
    Some((high? << 4 | low?) as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_decoded_and_broken_ones_stay() {
        for (encoded, text) in [
            ("", ""),
            ("plain", "plain"),
            ("a+b%2B%20c", "a b+ c"),
            ("caf%C3%a9", "café"),
            ("%", "%"),
            ("%4", "%4"),
            ("%zz%+1", "%zz% 1"),
            ("%é", "%é"),
            ("%ff", "\u{fffd}"),
            ("%2541", "%41"),
        ] {
            assert_eq!(decode(encoded), text, "{encoded}");
        }
    }

    #[test]
    fn pairs_need_no_value() {
        assert_eq!(pairs("a=1&&b&=2&c=3=4").collect::<Vec<_>>(), [("a", "1"), ("b", ""), ("", "2"), ("c", "3=4")]);
        assert_eq!(pairs("").count(), 0);
    }
}
