//! One WebSocket frame, the client's side: ours are masked and whole, the server's are neither masked nor copied.
//! Fragmented messages are a fault here: no Socket.IO server sends them. Spec: RFC 6455 section 5.2.

use crate::fault::Fault;

pub const TEXT: u8 = 0x1;
pub const BINARY: u8 = 0x2;
pub const CLOSE: u8 = 0x8;
pub const PING: u8 = 0x9;
pub const PONG: u8 = 0xA;

/// A server that announces more than this is not believed.
pub const PAYLOAD_BYTES_MAX: u64 = 64 << 20;

/// A frame of the server; its payload stays where it was received.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Frame<'a> {
    pub opcode: u8,
    pub payload: &'a [u8],
}

/// The frame at the front of `bytes` and its size with the header; `None` if there is more of it to come.
pub fn read(bytes: &[u8]) -> Result<Option<(Frame<'_>, usize)>, Fault> {
    let &[first, second, ref rest @ ..] = bytes else { return Ok(None) };
    if first & 0x80 == 0 || first & 0xF == 0 {
        return Err(Fault::Protocol("fragmented message"));
    }
    if first & 0x70 != 0 {
        return Err(Fault::Protocol("reserved bit in a frame"));
    }
    let opcode = first & 0xF;
    if !matches!(opcode, TEXT | BINARY | CLOSE | PING | PONG) {
        return Err(Fault::Protocol("reserved opcode"));
    }
    let (length, header_len) = match second {
        0x80.. => return Err(Fault::Protocol("masked frame from the server")),
        126 => match rest.first_chunk() {
            Some(long) => (u64::from(u16::from_be_bytes(*long)), 4),
            None => return Ok(None),
        },
        127 => match rest.first_chunk() {
            Some(long) => (u64::from_be_bytes(*long), 10),
            None => return Ok(None),
        },
        short => (u64::from(short), 2),
    };
    if length > PAYLOAD_BYTES_MAX {
        return Err(Fault::Protocol("frame larger than 64 MiB"));
    }
    let end = header_len + length as usize;
    Ok(bytes.get(header_len..end).map(|payload| (Frame { opcode, payload }, end)))
}

/// Appends a whole masked frame.
pub fn write_masked(out: &mut Vec<u8>, opcode: u8, payload: &[u8], mask: [u8; 4]) {
    out.push(0x80 | opcode);
    match payload.len() {
        short @ 0..126 => out.push(0x80 | short as u8),
        medium @ 126..=0xFFFF => {
            out.push(0x80 | 126);
            out.extend_from_slice(&(medium as u16).to_be_bytes());
        }
        long => {
            out.push(0x80 | 127);
            out.extend_from_slice(&(long as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(&mask);
    let start = out.len();
    out.extend_from_slice(payload);
    let (words, tail) = out[start..].as_chunks_mut::<4>();
    for word in words {
        *word = (u32::from_ne_bytes(*word) ^ u32::from_ne_bytes(mask)).to_ne_bytes();
    }
    for (byte, key) in tail.iter_mut().zip(mask) {
        *byte ^= key;
    }
}

/// Appends a frame as a server sends it: for the floor server.
pub fn write_plain(out: &mut Vec<u8>, opcode: u8, payload: &[u8]) {
    out.push(0x80 | opcode);
    match payload.len() {
        short @ 0..126 => out.push(short as u8),
        medium @ 126..=0xFFFF => {
            out.push(126);
            out.extend_from_slice(&(medium as u16).to_be_bytes());
        }
        long => {
            out.push(127);
            out.extend_from_slice(&(long as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(payload);
}

/// A client's frame at the front of `bytes`, unmasked in place: opcode, range of the payload, size. For the floor server.
pub fn unmask(bytes: &mut [u8]) -> Option<(u8, std::ops::Range<usize>, usize)> {
    let (&first, &second) = (bytes.first()?, bytes.get(1)?);
    let rest = &bytes[2..];
    let (length, after) = match second & 0x7F {
        126 => (usize::from(u16::from_be_bytes(*rest.first_chunk()?)), 4),
        127 => (usize::try_from(u64::from_be_bytes(*rest.first_chunk()?)).ok()?, 10),
        short => (usize::from(short), 2),
    };
    let mask: [u8; 4] = *bytes.get(after..)?.first_chunk()?;
    let range = after + 4..(after + 4).checked_add(length)?;
    let payload = bytes.get_mut(range.clone())?;
    payload.iter_mut().zip(mask.iter().cycle()).for_each(|(byte, key)| *byte ^= key);
    let end = range.end;
    Some((first & 0xF, range, end))
}

#[cfg(test)]
mod tests {
    use super::*;
    use siod::wire::frame as server;

    #[test]
    fn the_server_reads_what_we_write() {
        for length in [0, 1, 3, 125, 126, 300, 65_535, 65_536, 70_001] {
            let payload: Vec<u8> = (0..length).map(|n| n as u8).collect();
            let mut out = Vec::new();
            write_masked(&mut out, TEXT, &payload, [1, 2, 3, 250]);
            let (header, size) = server::Header::parse(&out).unwrap().unwrap();
            assert_eq!((header.opcode, header.fin, header.length), (server::Opcode::Text, true, length as u64));
            let mut body = out[size..].to_vec();
            siod::wire::mask::unmask(&mut body, header.key, 0);
            assert_eq!(body, payload);
            assert_eq!(unmask(&mut out.clone()), Some((TEXT, size..size + length, size + length)));
            assert_eq!(unmask(&mut out[..size + length - 1]), None, "length {length}");
        }
    }

    #[test]
    fn we_read_what_the_server_writes_once_it_is_whole() {
        for length in [0, 1, 125, 126, 65_535, 65_536] {
            let payload = vec![7; length];
            let (mut theirs, mut ours) = (Vec::new(), Vec::new());
            server::write(&mut theirs, server::Opcode::Binary, &payload);
            write_plain(&mut ours, BINARY, &payload);
            assert_eq!(theirs, ours);
            assert_eq!(read(&theirs), Ok(Some((Frame { opcode: BINARY, payload: &payload }, theirs.len()))));
            assert_eq!(read(&theirs[..theirs.len() - 1]), Ok(None));
        }
    }

    #[test]
    fn what_a_server_must_not_send() {
        for (bytes, why) in [
            (&[0x01, 0][..], "fragmented message"),
            (&[0x80, 0], "fragmented message"),
            (&[0xC1, 0], "reserved bit in a frame"),
            (&[0x83, 0], "reserved opcode"),
            (&[0x81, 0x80], "masked frame from the server"),
            (&[0x82, 127, 0, 0, 0, 0, 255, 0, 0, 0], "frame larger than 64 MiB"),
        ] {
            assert_eq!(read(bytes), Err(Fault::Protocol(why)), "{bytes:x?}");
        }
    }
}
