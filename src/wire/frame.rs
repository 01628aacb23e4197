//! One WebSocket frame: its header, both ways. A client's header is read as soon as its bytes allow and refused at its
//! first wrong byte; ours is FIN, unmasked, of the shortest length. Spec: RFC 6455 section 5.2.

use smallvec::SmallVec;

use super::WireError;
use crate::base::limit::CONTROL_PAYLOAD_BYTES_MAX;

/// What a frame is; the discriminant is the wire's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Opcode {
    Continuation = 0x0,
    Text = 0x1,
    Binary = 0x2,
    Close = 0x8,
    Ping = 0x9,
    Pong = 0xA,
}

impl Opcode {
    fn parse(nibble: u8) -> Option<Opcode> {
        Some(match nibble {
            0x0 => Opcode::Continuation,
            0x1 => Opcode::Text,
            0x2 => Opcode::Binary,
            0x8 => Opcode::Close,
            0x9 => Opcode::Ping,
            0xA => Opcode::Pong,
            _ => return None,
        })
    }

    /// Close, ping and pong: small, never fragmented, allowed between the fragments of a message.
    pub fn is_control(self) -> bool {
        self as u8 & 0x8 != 0
    }
}

/// A client's frame header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    pub opcode: Opcode,
    pub fin: bool,
    /// Declared bytes of payload: not to be trusted, not to be allocated.
    pub length: u64,
    pub key: [u8; 4],
}

/// A header we send: two to ten bytes.
pub type HeaderBytes = SmallVec<[u8; SENT_HEADER_BYTES_MAX]>;

/// The longest header we send.
pub const SENT_HEADER_BYTES_MAX: usize = 10;

/// The longest header a client can send.
pub(super) const HEADER_BYTES_MAX: usize = 14;

const FIN: u8 = 0x80;
const RESERVED: u8 = 0x70;
const MASKED: u8 = 0x80;

impl Header {
    /// Reads a header from the front of `bytes`, and how long it is; `None` if there is more of it to come.
    pub fn parse(bytes: &[u8]) -> Result<Option<(Header, usize)>, WireError> {
        let Some(&first) = bytes.first() else { return Ok(None) };
        if first & RESERVED != 0 {
            return Err(WireError::Protocol("a reserved bit is set"));
        }
        let opcode = Opcode::parse(first & 0xF).ok_or(WireError::Protocol("reserved opcode"))?;
        let fin = first & FIN != 0;
        if opcode.is_control() && !fin {
            return Err(WireError::Protocol("fragmented control frame"));
        }
        let Some(&second) = bytes.get(1) else { return Ok(None) };
        if second & MASKED == 0 {
            return Err(WireError::Protocol("frame without a mask"));
        }
        let short = second & !MASKED;
        if opcode.is_control() && usize::from(short) > CONTROL_PAYLOAD_BYTES_MAX {
            return Err(WireError::Protocol("control frame of more than 125 bytes"));
        }
        let Some((length, after)) = parse_length(short, bytes)? else { return Ok(None) };
        let key = bytes.get(after..).and_then(<[u8]>::first_chunk);
        Ok(key.map(|key| (Header { opcode, fin, length, key: *key }, after + 4)))
    }
}

/// The payload's length, and the offset of what follows it; `None` if there is more of it to come.
fn parse_length(short: u8, bytes: &[u8]) -> Result<Option<(u64, usize)>, WireError> {
    let rest = &bytes[2..];
    let (length, after, minimum) = match short {
        126 => match rest.first_chunk() {
            Some(long) => (u64::from(u16::from_be_bytes(*long)), 4, 126),
            None => return Ok(None),
        },
        127 => match rest.first_chunk() {
            Some(long) => (u64::from_be_bytes(*long), 10, 65_536),
            None => return Ok(None),
        },
        _ => (u64::from(short), 2, 0),
    };
    if length > i64::MAX as u64 {
        return Err(WireError::Protocol("the highest bit of the length is set"));
    }
    if length < minimum {
        return Err(WireError::Protocol("length not in its shortest form"));
    }
    Ok(Some((length, after)))
}

/// Header of a whole message or control frame from us, whose payload has `payload_len` bytes.
pub fn header(opcode: Opcode, payload_len: usize) -> HeaderBytes {
    header_with(FIN | opcode as u8, 0, payload_len)
}

/// Appends a whole message or control frame from us.
pub fn write(out: &mut Vec<u8>, opcode: Opcode, payload: &[u8]) {
    out.extend_from_slice(&header(opcode, payload.len()));
    out.extend_from_slice(payload);
}

/// Appends a frame as a client sends it: for tests and load.
pub fn write_masked(out: &mut Vec<u8>, opcode: Opcode, fin: bool, payload: &[u8], mask: [u8; 4]) {
    let fin = if fin { FIN } else { 0 };
    out.extend_from_slice(&header_with(fin | opcode as u8, MASKED, payload.len()));
    out.extend_from_slice(&mask);
    let start = out.len();
    out.extend_from_slice(payload);
    super::mask::unmask(&mut out[start..], mask, 0);
}

fn header_with(first: u8, masked: u8, payload_len: usize) -> HeaderBytes {
    let mut header = HeaderBytes::new();
    header.push(first);
    match payload_len {
        0..126 => header.push(masked | payload_len as u8),
        126..=0xFFFF => {
            header.push(masked | 126);
            header.extend_from_slice(&(payload_len as u16).to_be_bytes());
        }
        _ => {
            header.push(masked | 127);
            header.extend_from_slice(&(payload_len as u64).to_be_bytes());
        }
    }
    header
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn our_headers_use_the_shortest_length() {
        for (length, expected) in [
            (0, &[0x82, 0][..]),
            (125, &[0x82, 125]),
            (126, &[0x82, 126, 0, 126]),
            (65_535, &[0x82, 126, 0xFF, 0xFF]),
            (65_536, &[0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]),
        ] {
            assert_eq!(&header(Opcode::Binary, length)[..], expected);
        }
        let mut out = Vec::new();
        write(&mut out, Opcode::Text, b"Hello");
        assert_eq!(out, b"\x81\x05Hello");
    }

    #[test]
    fn b45_a_header_is_refused_at_its_first_wrong_byte() {
        let key = [1, 2, 3, 4];
        for (bytes, why) in [
            (&[0xC1][..], "a reserved bit is set"),
            (&[0xA1], "a reserved bit is set"),
            (&[0x91], "a reserved bit is set"),
            (&[0x83], "reserved opcode"),
            (&[0x8B], "reserved opcode"),
            (&[0x8F], "reserved opcode"),
            (&[0x09], "fragmented control frame"),
            (&[0x81, 0x05], "frame without a mask"),
            (&[0x89, 0xFE], "control frame of more than 125 bytes"),
            (&[0x88, 0xFF], "control frame of more than 125 bytes"),
            (&[0x81, 0xFE, 0, 125], "length not in its shortest form"),
            (&[0x81, 0xFF, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF], "length not in its shortest form"),
            (&[0x81, 0xFF, 0x80, 0, 0, 0, 0, 0, 0, 0], "the highest bit of the length is set"),
        ] {
            assert_eq!(Header::parse(bytes), Err(WireError::Protocol(why)), "{bytes:x?}");
            assert_eq!(Header::parse(&bytes[..bytes.len() - 1]), Ok(None), "{bytes:x?}");
            let with_key = [bytes, &key].concat();
            assert_eq!(Header::parse(&with_key), Err(WireError::Protocol(why)), "{bytes:x?}");
        }
    }

    proptest! {
        #[test]
        fn a_client_header_is_read_back_once_it_is_whole(length in 0usize..70_000, fin: bool, key: [u8; 4]) {
            let mut frame = Vec::new();
            write_masked(&mut frame, Opcode::Text, fin, &vec![7; length], key);
            let (header, size) = Header::parse(&frame).unwrap().unwrap();
            prop_assert_eq!(header, Header { opcode: Opcode::Text, fin, length: length as u64, key });
            prop_assert_eq!(size + length, frame.len());
            prop_assert!(size <= HEADER_BYTES_MAX);
            prop_assert!((0..size).all(|cut| Header::parse(&frame[..cut]) == Ok(None)));
        }
    }
}
