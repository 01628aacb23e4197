//! Half characters. A JavaScript string that was cut inside an emoji holds one, and `JSON.stringify` writes it as `\ud83d`:
//! well-formed JSON, and no Unicode text, so that readers refuse all that surrounds it. Spec: RFC 8259 section 8.2.

/// `text` with U+FFFD for each lone surrogate; `None` if it has none. `text` has been scanned.
pub(crate) fn mend(text: &[u8]) -> Option<Vec<u8>> {
    let mut mended: Option<Vec<u8>> = None;
    let mut at = 0;
    while let Some(found) = memchr::memchr(b'\\', &text[at..]) {
        at += found;
        at += match (unit(text, at), unit(text, at + ESCAPE_BYTES)) {
            (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => 2 * ESCAPE_BYTES,
            (Some(0xd800..=0xdfff), _) => {
                let out = mended.get_or_insert_with(|| text.to_vec());
                out[at..at + ESCAPE_BYTES].copy_from_slice(REPLACEMENT);
                ESCAPE_BYTES
            }
            // Another escape, of which the letter may be a backslash itself.
            _ => 2.min(text.len() - at),
        };
    }
    mended
}

/// The code unit of the escape `\uXXXX` that stands at `at`, if one does.
fn unit(text: &[u8], at: usize) -> Option<u16> {
    let digits = text.get(at..at + ESCAPE_BYTES)?.strip_prefix(b"\\u")?;
    u16::from_str_radix(str::from_utf8(digits).ok()?, 16).ok()
}

const REPLACEMENT: &[u8; ESCAPE_BYTES] = br"\ufffd";
const ESCAPE_BYTES: usize = 6;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_characters_are_replaced_and_whole_ones_kept() {
        for (text, expected) in [
            (r#""plain""#, None),
            (r#""\ud83d\ude00""#, None),
            (r#""\\ud83d""#, None),
            (r#""\\\\ud83d \n\u0041""#, None),
            (r#""\ud83d""#, Some(r#""\ufffd""#)),
            (r#""\uDE00 x""#, Some(r#""\ufffd x""#)),
            (r#""\\\ud83d""#, Some(r#""\\\ufffd""#)),
            (r#""\ud83d\ud83d\ude00""#, Some(r#""\ufffd\ud83d\ude00""#)),
            (r#""\ude00\ud83d""#, Some(r#""\ufffd\ufffd""#)),
            (r#""\ud83d\u0041""#, Some(r#""\ufffd\u0041""#)),
            (r#"{"a\ud83d":["\ud83d\n"]}"#, Some(r#"{"a\ufffd":["\ufffd\n"]}"#)),
            ("\\", None),
        ] {
            let mended = mend(text.as_bytes()).map(|bytes| String::from_utf8(bytes).unwrap());
            assert_eq!(mended.as_deref(), expected, "{text}");
            let read = serde_json::from_str::<serde_json::Value>(mended.as_deref().unwrap_or(text));
            assert!(read.is_ok() || text == "\\", "{text}");
        }
    }
}
