//! Bodies of HTTP long-polling: packets joined by the separator 0x1E, and the JSONP wrapping of old browsers.
//! Spec: PROTOCOL 3.

use std::borrow::Cow;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::packet::{self, Packet, PacketError};
use crate::base::percent;

/// Between two packets of a body.
const SEPARATOR: u8 = 0x1e;

/// How far the body of a POST has been read.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Cursor {
    /// Where the next packet begins.
    at: usize,
    taken: usize,
    ended: bool,
}

impl Cursor {
    /// The next packet of `body`, the same at each call. Ends after the first malformed one, or with an error in place of the
    /// packet that is one more than `max`; what came before counts.
    pub(crate) fn next<'a>(&mut self, body: &'a str, max: usize) -> Option<Result<Packet<'a>, PacketError>> {
        if self.ended {
            return None;
        }
        let rest = &body[self.at..];
        let end = memchr::memchr(SEPARATOR, rest.as_bytes());
        let packet = match self.taken < max {
            true => packet::decode_text(Cow::Borrowed(&rest[..end.unwrap_or(rest.len())])),
            false => Err(PacketError),
        };
        self.taken += 1;
        self.at += end.map_or(rest.len(), |end| end + 1);
        self.ended = end.is_none() || packet.is_err();
        Some(packet)
    }
}

/// The packets of a POST's body, in order, at most `max`.
pub(crate) fn decode(body: &str, max: usize) -> impl Iterator<Item = Result<Packet<'_>, PacketError>> {
    let mut cursor = Cursor::default();
    std::iter::from_fn(move || cursor.next(body, max))
}

/// The packets of a body of ours, as text with their types: what waited for polling when a WebSocket takes over.
pub(crate) fn split(body: &str) -> impl Iterator<Item = &str> {
    body.split(char::from(SEPARATOR)).filter(|packet| !packet.is_empty())
}

/// Adds a packet with its type, such as `4hello`, to the body of one answer to a poll.
pub(crate) fn push_text(body: &mut Vec<u8>, packet: &[u8]) {
    separate(body);
    body.extend_from_slice(packet);
}

/// Adds a binary message, as `b` and padded base64.
pub(crate) fn push_binary(body: &mut Vec<u8>, data: &[u8]) {
    separate(body);
    body.push(b'b');
    let start = body.len();
    body.resize(start + base64::encoded_len(data.len(), true).unwrap_or(0), 0);
    BASE64_STANDARD.encode_slice(data, &mut body[start..]).expect("the room is exactly what the encoding takes");
}

fn separate(body: &mut Vec<u8>) {
    if !body.is_empty() {
        body.push(SEPARATOR);
    }
}

/// The script that hands `body` to the callback `index_digits` of a JSONP client.
pub(crate) fn jsonp_wrap(index_digits: &str, body: &str) -> String {
    // JSON allows both line separators in strings, JavaScript before ES2019 does not.
    let quoted =
        serde_json::Value::from(body).to_string().replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029");
    format!("___eio[{index_digits}]({quoted});")
}

/// The payload inside the form that a JSONP client posts, `d=…`; `None` without exactly one `d`. Forms turn line feeds
/// into CR LF, so clients write them as `\n`, and a backslash before an `n` doubled.
pub(crate) fn jsonp_unwrap(form: &str) -> Option<String> {
    let mut named_d = percent::pairs(form).filter(|(name, _)| percent::decode(name) == "d");
    let (Some((_, value)), None) = (named_d.next(), named_d.next()) else { return None };
    let value = percent::decode(value);
    let mut out = String::with_capacity(value.len());
    let mut rest = &value[..];
    while let Some(at) = memchr::memchr(b'\\', rest.as_bytes()) {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let (size, meaning) = match rest.as_bytes() {
            [b'\\', b'\\', b'n', ..] => (3, "\\n"),
            [b'\\', b'n', ..] => (2, "\n"),
            _ => (1, "\\"),
        };
        out.push_str(meaning);
        rest = &rest[size..];
    }
    out.push_str(rest);
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PACKETS: usize = 1_000;

    fn texts(packets: &[&str]) -> Vec<Result<Packet<'static>, PacketError>> {
        packets.iter().map(|text| Ok(Packet::Text(Cow::Owned((*text).to_owned())))).collect()
    }

    #[test]
    fn packets_are_split_at_the_separator() {
        assert_eq!(decode("4a\x1e4\x1e4b", PACKETS).collect::<Vec<_>>(), texts(&["a", "", "b"]));
        let mixed = decode("4a\x1ebAQID\x1e3", PACKETS).collect::<Vec<_>>();
        let expected = [Packet::Text("a".into()), Packet::Binary(Cow::Borrowed(&[1, 2, 3])), Packet::Pong("".into())];
        assert_eq!(mixed, expected.map(Ok));
    }

    #[test]
    fn b27_decoding_ends_at_the_first_malformed_packet() {
        for (body, before) in [
            ("", &[][..]),
            ("\x1e\x1e\x1e", &[]),
            ("abc\x1e4a", &[]),
            ("4a\x1e", &["a"]),
            ("4a\x1e\x1e4b", &["a"]),
            ("4a\x1e4b\x1eb!!\x1e4c", &["a", "b"]),
        ] {
            let mut expected = texts(before);
            expected.push(Err(PacketError));
            assert_eq!(decode(body, PACKETS).collect::<Vec<_>>(), expected, "{body:?}");
        }
    }

    #[test]
    fn b04_packets_of_one_body_are_bounded() {
        let full = vec!["3"; PACKETS].join("\x1e");
        assert_eq!(decode(&full, PACKETS).filter(Result::is_ok).count(), PACKETS);
        assert!(decode(&full, PACKETS).all(|packet| packet.is_ok()));
        let over = format!("{full}\x1e3\x1e3");
        assert_eq!(decode(&over, PACKETS).count(), PACKETS + 1);
        assert_eq!(decode(&over, PACKETS).last(), Some(Err(PacketError)));
    }

    #[test]
    fn bodies_are_joined() {
        let mut body = Vec::new();
        push_text(&mut body, b"0{}");
        push_binary(&mut body, &[1, 2, 3, 4]);
        push_binary(&mut body, &[]);
        push_text(&mut body, b"4a");
        assert_eq!(body, b"0{}\x1ebAQIDBA==\x1eb\x1e4a");
        let body = String::from_utf8(body).unwrap();
        assert_eq!(split(&body).collect::<Vec<_>>(), ["0{}", "bAQIDBA==", "b", "4a"]);
    }

    #[test]
    fn jsonp_answers_are_scripts() {
        assert_eq!(jsonp_wrap("0", "4a\x1e4\"\\\n"), "___eio[0](\"4a\\u001e4\\\"\\\\\\n\");");
        assert_eq!(jsonp_wrap("", "4\u{2028}\u{2029}é"), "___eio[](\"4\\u2028\\u2029é\");");
    }

    #[test]
    fn jsonp_forms_are_unwrapped() {
        for (form, payload) in [
            ("d=4hello", Some("4hello")),
            ("x=1&d=4a%1E4b+c&y", Some("4a\x1e4b c")),
            ("d=4line%5Cnnext", Some("4line\nnext")),
            ("d=4%5C%5Cn", Some("4\\n")),
            ("d=4%5C%5C%5Cn", Some("4\\\\n")),
            ("d=%5C", Some("\\")),
            ("d=", Some("")),
            ("d=1&d=2", None),
            ("e=4", None),
            ("", None),
        ] {
            assert_eq!(jsonp_unwrap(form).as_deref(), payload, "{form}");
        }
    }

    proptest! {
        #[test]
        fn what_was_written_is_read_back(packets in prop::collection::vec(any::<Result<String, Vec<u8>>>(), 1..20)) {
            let mut body = Vec::new();
            let mut expected = Vec::new();
            for packet in packets {
                match packet {
                    Ok(text) => {
                        let text = text.replace(char::from(SEPARATOR), "");
                        push_text(&mut body, format!("4{text}").as_bytes());
                        expected.push(Ok(Packet::Text(Cow::Owned(text))));
                    }
                    Err(data) => {
                        push_binary(&mut body, &data);
                        expected.push(Ok(Packet::Binary(Cow::Owned(data))));
                    }
                }
            }
            let body = String::from_utf8(body).unwrap();
            prop_assert_eq!(decode(&body, PACKETS).collect::<Vec<_>>(), expected);
        }

        #[test]
        fn never_panics(text: String) {
            let _ = (decode(&text, PACKETS).count(), jsonp_unwrap(&text), jsonp_unwrap(&format!("d={text}")));
        }
    }
}
