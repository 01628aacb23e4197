//! One Engine.IO packet, as a WebSocket message or as a part of a polling body. Spec: PROTOCOL 3 and 4.

use std::borrow::Cow;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// What a client says. The text behind `0`, `1`, `5` and `6` is dropped; it means nothing to a server.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Packet<'a> {
    Open,
    Close,
    Ping(Cow<'a, str>),
    Pong(Cow<'a, str>),
    /// A text message, without its type.
    Text(Cow<'a, str>),
    /// A binary message.
    Binary(Cow<'a, [u8]>),
    Upgrade,
    Noop,
}

/// The peer sent what is not an Engine.IO packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct PacketError;

/// Reads a text: one digit of type and the data, or `b` and base64. Base64 may use either alphabet, lack its padding
/// and hold whitespace; other characters are refused (B27).
pub(crate) fn decode_text(text: Cow<'_, str>) -> Result<Packet<'_>, PacketError> {
    match text.as_bytes().first() {
        Some(b'0') => Ok(Packet::Open),
        Some(b'1') => Ok(Packet::Close),
        Some(b'2') => Ok(Packet::Ping(without_first(text))),
        Some(b'3') => Ok(Packet::Pong(without_first(text))),
        Some(b'4') => Ok(Packet::Text(without_first(text))),
        Some(b'5') => Ok(Packet::Upgrade),
        Some(b'6') => Ok(Packet::Noop),
        Some(b'b') => decode_base64(&text.as_bytes()[1..]).map(|data| Packet::Binary(Cow::Owned(data))),
        _ => Err(PacketError),
    }
}

/// A binary WebSocket message is a binary message as it is.
pub(crate) fn decode_binary(data: Cow<'_, [u8]>) -> Packet<'_> {
    Packet::Binary(data)
}

/// Moves the bytes of an owned text, which is cheaper than a new allocation.
fn without_first(text: Cow<'_, str>) -> Cow<'_, str> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(&text[1..]),
        Cow::Owned(mut text) => {
            text.remove(0);
            Cow::Owned(text)
        }
    }
}

/// As clients write it, or else with the oddities that JavaScript's decoders accept evened out.
fn decode_base64(encoded: &[u8]) -> Result<Vec<u8>, PacketError> {
    if let Ok(data) = LENIENT.decode(encoded) {
        return Ok(data);
    }
    let plain = |byte: &u8| match byte {
        b'-' => b'+',
        b'_' => b'/',
        other => *other,
    };
    let evened: Vec<u8> = encoded.iter().filter(|byte| !byte.is_ascii_whitespace()).map(plain).collect();
    LENIENT.decode(evened).map_err(|_| PacketError)
}

const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn each_type_and_what_is_none() {
        for (text, expected) in [
            ("0{\"sid\":1}", Ok(Packet::Open)),
            ("1", Ok(Packet::Close)),
            ("2", Ok(Packet::Ping("".into()))),
            ("2probe", Ok(Packet::Ping("probe".into()))),
            ("3", Ok(Packet::Pong("".into()))),
            ("4", Ok(Packet::Text("".into()))),
            ("4héllo", Ok(Packet::Text("héllo".into()))),
            ("5", Ok(Packet::Upgrade)),
            ("6", Ok(Packet::Noop)),
            ("", Err(PacketError)),
            ("7", Err(PacketError)),
            ("abc", Err(PacketError)),
            (" 4", Err(PacketError)),
            ("٤", Err(PacketError)),
            ("é", Err(PacketError)),
        ] {
            assert_eq!(decode_text(Cow::Borrowed(text)), expected, "{text:?}");
            assert_eq!(decode_text(Cow::Owned(text.to_owned())), expected, "{text:?}");
        }
        assert!(matches!(decode_text(Cow::Borrowed("4hi")), Ok(Packet::Text(Cow::Borrowed("hi")))));
        assert_eq!(decode_binary(Cow::Borrowed(b"4")), Packet::Binary(Cow::Borrowed(b"4")));
    }

    #[test]
    fn b27_base64_is_lenient_but_not_blind() {
        for (text, expected) in [
            ("bAQIDBA==", Ok(&[1, 2, 3, 4][..])),
            ("bAQIDBA", Ok(&[1, 2, 3, 4])),
            ("b", Ok(&[])),
            ("b+/8=", Ok(&[0xfb, 0xff])),
            ("b-_8=", Ok(&[0xfb, 0xff])),
            ("bAQ\r\nID BA==", Ok(&[1, 2, 3, 4])),
            ("bAQJ=", Ok(&[1, 2])),
            ("bA", Err(PacketError)),
            ("b!!!!", Err(PacketError)),
            ("bAQ==AQ==", Err(PacketError)),
            ("bAQIDé", Err(PacketError)),
        ] {
            let expected = expected.map(|data| Packet::Binary(Cow::Borrowed(data)));
            assert_eq!(decode_text(Cow::Borrowed(text)), expected, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn binary_survives_both_alphabets(data: Vec<u8>) {
            let engines = [base64::prelude::BASE64_STANDARD, base64::prelude::BASE64_URL_SAFE_NO_PAD];
            for text in engines.map(|engine| format!("b{}", engine.encode(&data))) {
                prop_assert_eq!(decode_text(Cow::Owned(text)), Ok(Packet::Binary(Cow::Borrowed(&data))));
            }
        }

        #[test]
        fn never_panics(text: String) {
            let _ = decode_text(Cow::Borrowed(&text));
            let _ = decode_text(Cow::Owned(format!("b{text}")));
        }
    }
}
