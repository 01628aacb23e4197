//! The close frame: what a peer may put into it, and the ones we send. Spec: RFC 6455 sections 5.5.1 and 7.4.

use bytes::Bytes;

use super::WireError;
use super::frame::{self, Opcode};

/// Reads the unmasked payload of a close frame: its code, `None` if it has none, and its reason.
pub(crate) fn parse(payload: &[u8]) -> Result<(Option<u16>, &str), WireError> {
    let Some((code, reason)) = payload.split_first_chunk() else {
        return if payload.is_empty() { Ok((None, "")) } else { Err(WireError::Protocol("close payload of one byte")) };
    };
    let code = u16::from_be_bytes(*code);
    if !may_be_sent(code) {
        return Err(WireError::Protocol("close code that must not be sent"));
    }
    let reason = std::str::from_utf8(reason).map_err(|_| WireError::InvalidUtf8)?;
    Ok((Some(code), reason))
}

/// A close frame ready to send. Without a code the peer reads 1005.
pub(crate) fn frame(code: Option<u16>) -> Bytes {
    let mut out = Vec::with_capacity(4);
    match code {
        Some(code) => frame::write(&mut out, Opcode::Close, &code.to_be_bytes()),
        None => frame::write(&mut out, Opcode::Close, &[]),
    }
    Bytes::from(out)
}

/// A close frame that says why, ready to send. A code that must not be sent is told as 1000.
pub(crate) fn frame_saying(code: u16, reason: &str) -> Bytes {
    let code = if may_be_sent(code) { code } else { 1000 };
    let mut out = Vec::new();
    frame::write(&mut out, Opcode::Close, &payload(code, reason));
    Bytes::from(out)
}

/// What a close frame says: a code, and of a reason as much as there is room for.
pub(crate) fn payload(code: u16, reason: &str) -> Vec<u8> {
    let reason = &reason.as_bytes()[..reason.floor_char_boundary(REASON_BYTES_MAX)];
    [&code.to_be_bytes(), reason].concat()
}

/// A control frame has 125 bytes, two of which are the code.
const REASON_BYTES_MAX: usize = 123;

/// Registered with IANA and meant for the wire, or left to libraries (3000s) and applications (4000s).
fn may_be_sent(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::close::CloseReason;

    #[test]
    fn b45_codes_that_must_not_be_sent_are_refused() {
        for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535] {
            assert!(matches!(parse(&u16::to_be_bytes(code)), Err(WireError::Protocol(_))), "{code}");
        }
        for code in [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999] {
            assert_eq!(parse(&u16::to_be_bytes(code)), Ok((Some(code), "")));
        }
    }

    #[test]
    fn payload_is_nothing_or_a_code_and_text() {
        assert_eq!(parse(b""), Ok((None, "")));
        assert_eq!(parse(b"\x03"), Err(WireError::Protocol("close payload of one byte")));
        assert_eq!(parse("\u{3}\u{e8}".as_bytes()), Err(WireError::Protocol("close code that must not be sent")));
        assert_eq!(parse(b"\x03\xe8bye \xc3\xa9"), Ok((Some(1000), "bye é")));
        assert_eq!(parse(b"\x03\xe8\xc3"), Err(WireError::InvalidUtf8));
    }

    #[test]
    fn reasons_fit() {
        for (reason, bytes) in [("bye", 5), (&*"x".repeat(200), 125), (&"é".repeat(62), 124)] {
            let payload = payload(4_400, reason);
            assert_eq!((payload.len(), parse(&payload)), (bytes, Ok((Some(4_400), &reason[..bytes - 2]))), "{reason}");
        }
        assert_eq!(&frame_saying(4_400, "bye")[..], b"\x88\x05\x11\x30bye");
        assert_eq!(&frame_saying(1_005, "")[..], [0x88, 2, 0x03, 0xe8], "that one must not be sent");
    }

    #[test]
    fn b35_our_frames_hold_the_code_and_nothing_else() {
        assert_eq!(&frame(None)[..], [0x88, 0]);
        assert_eq!(&frame(Some(1001))[..], [0x88, 2, 0x03, 0xe9]);
        for code in CloseReason::ALL.iter().filter_map(|reason| reason.ws_code()) {
            assert_eq!(parse(&frame(Some(code))[2..]), Ok((Some(code), "")));
        }
    }
}
