//! Writes the text of Socket.IO packets, the engine's `4` included. `nsp` is the name as this client knows it; `/` is
//! not written. Spec: socket.io-protocol v5; PROTOCOL 7.

use crate::base::ids::Sid;

/// What stands around namespace and JSON at most: types, attachments, id, separators.
pub(crate) const HEAD_BYTES_MAX: usize = 32;

/// `42/nsp,7["name",…]`, or `452-…` with attachments. `array` is the JSON array with the name.
pub(crate) fn event(out: &mut Vec<u8>, nsp: &str, id: Option<u64>, array: &[u8], attachments: usize) {
    head(out, b'2', nsp, id, attachments);
    out.extend_from_slice(array);
}

/// `43/nsp,7[…]`, or `461-…` with attachments. `args` is JSON text without brackets.
pub(crate) fn ack(out: &mut Vec<u8>, nsp: &str, id: u64, args: &[u8], attachments: usize) {
    head(out, b'3', nsp, Some(id), attachments);
    out.push(b'[');
    out.extend_from_slice(args);
    out.push(b']');
}

/// `40/nsp,{"sid":"…"}`.
pub(crate) fn connected(out: &mut Vec<u8>, nsp: &str, sid: &Sid) {
    head(out, b'0', nsp, None, 0);
    out.extend_from_slice(b"{\"sid\":\"");
    out.extend_from_slice(&sid.0);
    out.extend_from_slice(b"\"}");
}

/// `44/nsp,{"message":"…","data":…}`; `data` is JSON text, its key is left out where there is none.
pub(crate) fn connect_error(out: &mut Vec<u8>, nsp: &str, message: &str, data: Option<&str>) {
    head(out, b'4', nsp, None, 0);
    out.extend_from_slice(b"{\"message\":");
    serde_json::to_writer(&mut *out, message).expect("a string serialises, and a vector takes it");
    if let Some(data) = data {
        out.extend_from_slice(b",\"data\":");
        out.extend_from_slice(data.as_bytes());
    }
    out.push(b'}');
}

/// `41` or `41/nsp,`.
pub(crate) fn disconnect(out: &mut Vec<u8>, nsp: &str) {
    head(out, b'1', nsp, None, 0);
}

/// Everything before the JSON. Events (2) and acks (3) with attachments become their binary kinds (5, 6).
fn head(out: &mut Vec<u8>, kind: u8, nsp: &str, id: Option<u64>, attachments: usize) {
    out.push(b'4');
    if attachments == 0 {
        out.push(kind);
    } else {
        out.push(kind + 3);
        decimal(out, attachments as u64);
        out.push(b'-');
    }
    if nsp != "/" {
        out.extend_from_slice(nsp.as_bytes());
        out.push(b',');
    }
    if let Some(id) = id {
        decimal(out, id);
    }
}

/// The digits of a number.
pub(crate) fn decimal(out: &mut Vec<u8>, number: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    let mut rest = number;
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::socketio::decode::{self, Body};
    use proptest::prelude::*;

    fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn packets_are_written_as_the_reference_writes_them() {
        let sid = Sid::parse("abcdefghijklmnopqrst").unwrap();
        for (written, expected) in [
            (text(|out| event(out, "/", None, b"[\"m\"]", 0)), "42[\"m\"]"),
            (text(|out| event(out, "/app", Some(70), b"[\"m\"]", 0)), "42/app,70[\"m\"]"),
            (text(|out| event(out, "/app", None, b"[\"m\"]", 10)), "4510-/app,[\"m\"]"),
            (text(|out| ack(out, "/", 0, b"", 0)), "430[]"),
            (text(|out| ack(out, "/a", 18, b"1,\"x\"", 2)), "462-/a,18[1,\"x\"]"),
            (text(|out| connected(out, "/", &sid)), "40{\"sid\":\"abcdefghijklmnopqrst\"}"),
            (text(|out| connected(out, "/a", &sid)), "40/a,{\"sid\":\"abcdefghijklmnopqrst\"}"),
            (
                text(|out| connect_error(out, "/no", "Invalid namespace", None)),
                "44/no,{\"message\":\"Invalid namespace\"}",
            ),
            (
                text(|out| connect_error(out, "/", "a\"b", Some("{\"c\":7}"))),
                "44{\"message\":\"a\\\"b\",\"data\":{\"c\":7}}",
            ),
            (text(|out| disconnect(out, "/")), "41"),
            (text(|out| disconnect(out, "/a")), "41/a,"),
        ] {
            assert_eq!(written, expected);
        }
    }

    proptest! {
        #[test]
        fn decode_after_encode_is_the_identity(
            nsp in "/[a-z]{0,8}", id in proptest::option::of(0u64..1_000_000_000), name in "[a-z:]{1,12}", n in any::<i64>(),
        ) {
            let array = format!("[\"ev:{name}\",{n}]");
            let written = text(|out| event(out, &nsp, id, array.as_bytes(), 0));
            let packet = decode::decode(&written[1..]).unwrap();
            prop_assert_eq!(packet.nsp, nsp);
            match packet.body {
                Body::Event { id: got, array: body, attachments: 0, .. } => {
                    prop_assert_eq!(got, id);
                    prop_assert_eq!(body, array);
                }
                other => prop_assert!(false, "{:?}", other),
            }
        }
    }
}
