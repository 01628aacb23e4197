//! Percent-decoding as `application/x-www-form-urlencoded` has it: query strings and JSONP bodies.

use std::borrow::Cow;

/// Decodes `%XX` and `+`; broken escapes stay as they are, bytes that are not UTF-8 become U+FFFD.
pub(crate) fn decode(text: &str) -> Cow<'_, str> {
    decode_with(text, b' ')
}

/// The same for a segment of a path, where `+` is itself.
pub(crate) fn decode_segment(text: &str) -> Cow<'_, str> {
    decode_with(text, b'+')
}

fn decode_with(text: &str, plus: u8) -> Cow<'_, str> {
    if memchr::memchr2(b'%', b'+', text.as_bytes()).is_none() {
        return Cow::Borrowed(text);
    }
    let mut rest = text.as_bytes();
    let mut out = Vec::with_capacity(rest.len());
    while let [first, after @ ..] = rest {
        let escaped = if *first == b'%' { after.first_chunk().and_then(hex_byte) } else { None };
        match escaped {
            Some(byte) => out.push(byte),
            None => out.push(if *first == b'+' { plus } else { *first }),
        }
        rest = &after[if escaped.is_some() { 2 } else { 0 }..];
    }
    Cow::Owned(String::from_utf8_lossy(&out).into_owned())
}

/// The pairs of a form or query in their order, still encoded; a name without `=` has an empty value.
pub(crate) fn pairs(form: &str) -> impl DoubleEndedIterator<Item = (&str, &str)> {
    form.split('&').filter(|pair| !pair.is_empty()).map(|pair| pair.split_once('=').unwrap_or((pair, "")))
}

/// The decoded value of one name in a form or query; the last duplicate wins.
pub(crate) fn value(form: &str, name: &str) -> Option<String> {
    let pair = pairs(form).rev().find(|(key, _)| decode(key) == name);
    pair.map(|(_, value)| decode(value).into_owned())
}

/// Encodes everything but unreserved characters (RFC 3986 section 2.3), slashes and the dots of `..` included.
pub(crate) fn encode(text: &str) -> String {
    let is_unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-_~".contains(&byte);
    text.bytes()
        .map(|byte| if is_unreserved(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
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
    fn a_plus_in_a_path_is_a_plus() {
        assert_eq!(decode_segment("a+b%2f%20"), "a+b/ ");
    }

    #[test]
    fn what_is_encoded_decodes_to_itself() {
        for (text, encoded) in [("p1", "p1"), ("a&b", "a%26b"), ("café/x", "caf%C3%A9%2Fx"), ("..", "%2E%2E")] {
            assert_eq!(encode(text), encoded);
            assert_eq!(decode(encoded), text);
        }
    }

    #[test]
    fn pairs_need_no_value() {
        assert_eq!(pairs("a=1&&b&=2&c=3=4").collect::<Vec<_>>(), [("a", "1"), ("b", ""), ("", "2"), ("c", "3=4")]);
        assert_eq!(pairs("").count(), 0);
    }
}
