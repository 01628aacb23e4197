//! The head of the PROXY protocol, versions 1 and 2, by which a proxy says at the start of a connection whose it is. Bytes
//! come in; out comes the client's address, or that more bytes are wanted, or what is wrong.
//! Deliberately left unread: the blocks behind the addresses of version 2 (TLVs, a checksum among them), ports and targets.
//! Spec: <https://www.haproxy.org/download/2.8/doc/proxy-protocol.txt>, section 2.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::base::limit::PROXY_HEAD_BYTES_MAX;

/// A head that is complete.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct ProxyHead {
    /// `None`: the proxy speaks for itself, as its health checks do (`LOCAL`), or for somebody without an IP address
    /// (`UNKNOWN`, a Unix socket).
    pub client: Option<IpAddr>,
    /// Bytes it had; what follows is the client's.
    pub bytes: usize,
}

/// Why a connection is refused that should begin with a head.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum BadHead {
    /// It begins with something else.
    Missing,
    Malformed,
    TooLong,
}

impl BadHead {
    pub(crate) fn sentence(self) -> &'static str {
        match self {
            BadHead::Missing => {
                "Here a trusted proxy begins a connection with a PROXY head: let it send one, or set proxy_protocol = false"
            }
            BadHead::Malformed => "The PROXY head is malformed",
            BadHead::TooLong => "The PROXY head is too long",
        }
    }
}

/// Reads the head at the start of `bytes`. `None`: it is not complete.
pub(crate) fn read(bytes: &[u8]) -> Result<Option<ProxyHead>, BadHead> {
    if begins(bytes, SIGNATURE) {
        read_binary(bytes)
    } else if begins(bytes, PREFIX) {
        read_line(bytes)
    } else {
        Err(BadHead::Missing)
    }
}

/// Whether `bytes` begin with `start`, as far as both go.
fn begins(bytes: &[u8], start: &[u8]) -> bool {
    bytes.iter().zip(start).all(|(byte, expected)| byte == expected)
}

/// Version 1: `PROXY TCP4 192.0.2.1 192.0.2.2 4711 443`, CR and LF.
fn read_line(bytes: &[u8]) -> Result<Option<ProxyHead>, BadHead> {
    let Some(end) = bytes.iter().take(LINE_BYTES_MAX).position(|byte| *byte == b'\n') else {
        return if bytes.len() < LINE_BYTES_MAX { Ok(None) } else { Err(BadHead::TooLong) };
    };
    let line = bytes[PREFIX.len().min(end)..end].strip_suffix(b"\r").ok_or(BadHead::Malformed)?;
    let client = line_client(line).ok_or(BadHead::Malformed)?;
    Ok(Some(ProxyHead { client, bytes: end + 1 }))
}

/// Whom the rest of a line names; the outer `None`: it is malformed. Behind `UNKNOWN` anything may stand.
fn line_client(line: &[u8]) -> Option<Option<IpAddr>> {
    let mut words = std::str::from_utf8(line).ok()?.split(' ');
    let family = words.next()?;
    if family == "UNKNOWN" {
        return Some(None);
    }
    let mut address = || words.next()?.parse::<IpAddr>().ok();
    let (client, target) = (address()?, address()?);
    let is_of_family = match family {
        "TCP4" => client.is_ipv4() && target.is_ipv4(),
        "TCP6" => client.is_ipv6() && target.is_ipv6(),
        _ => false,
    };
    let has_ports = words.next().is_some_and(is_port) && words.next().is_some_and(is_port) && words.next().is_none();
    (is_of_family && has_ports).then_some(Some(client.to_canonical()))
}

fn is_port(word: &str) -> bool {
    word.bytes().all(|byte| byte.is_ascii_digit()) && word.parse::<u16>().is_ok()
}

/// Version 2: signature, version and command, family and protocol, length, addresses, blocks.
fn read_binary(bytes: &[u8]) -> Result<Option<ProxyHead>, BadHead> {
    let Some(([command, family, high, low], rest)) =
        bytes.get(SIGNATURE.len()..).and_then(|rest| rest.split_first_chunk())
    else {
        return Ok(None);
    };
    let length = usize::from(u16::from_be_bytes([*high, *low]));
    let whole = SIGNATURE.len() + 4 + length;
    if whole > PROXY_HEAD_BYTES_MAX {
        return Err(BadHead::TooLong);
    }
    let Some(block) = rest.get(..length) else { return Ok(None) };
    let client = match command {
        // Anything else that stands there is to be ignored.
        0x20 => None,
        0x21 => binary_client(*family, block).ok_or(BadHead::Malformed)?,
        _ => return Err(BadHead::Malformed),
    };
    Ok(Some(ProxyHead { client, bytes: whole }))
}

/// Whom the addresses of a head name; the outer `None`: it is malformed, or of a family or protocol that is not assigned.
fn binary_client(family: u8, block: &[u8]) -> Option<Option<IpAddr>> {
    let client = match family >> 4 {
        0 => None,
        1 => {
            block.get(..12)?;
            block.first_chunk::<4>().map(|client| IpAddr::V4(Ipv4Addr::from(*client)))
        }
        2 => {
            block.get(..36)?;
            block.first_chunk::<16>().map(|client| IpAddr::V6(Ipv6Addr::from(*client)).to_canonical())
        }
        3 => block.get(..216).map(|_| None)?,
        _ => return None,
    };
    match family & 15 {
        STREAM => Some(client),
        // Nobody reaches a TCP port by datagrams.
        UNSPECIFIED | DATAGRAM => Some(None),
        _ => None,
    }
}

const PREFIX: &[u8] = b"PROXY ";
/// The longest line of version 1, CR and LF included.
const LINE_BYTES_MAX: usize = 107;
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
const UNSPECIFIED: u8 = 0;
const STREAM: u8 = 1;
const DATAGRAM: u8 = 2;

const _: () = assert!(LINE_BYTES_MAX <= PROXY_HEAD_BYTES_MAX);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A head of version 2.
    fn binary(command: u8, family: u8, block: &[u8]) -> Vec<u8> {
        let length = (block.len() as u16).to_be_bytes();
        [SIGNATURE, &[command, family], &length, block].concat()
    }

    const V4: [u8; 12] = [192, 0, 2, 1, 192, 0, 2, 2, 0x12, 0x67, 1, 0xbb];

    /// The same, whole, cut anywhere, and with the client's bytes behind it.
    fn check(head: &[u8], expected: Result<Option<&str>, BadHead>) {
        let expected = expected.map(|client| client.map(|client| client.parse::<IpAddr>().unwrap()));
        let whole = expected.map(|client| Some(ProxyHead { client, bytes: head.len() }));
        assert_eq!(read(head), whole, "{:?}", String::from_utf8_lossy(head));
        assert_eq!(read(&[head, b"GET / HTTP/1.1\r\n\r\n"].concat()), whole, "{:?}", String::from_utf8_lossy(head));
        for end in 0..head.len() {
            let cut = read(&head[..end]);
            assert!(cut == Ok(None) || expected.is_err() && cut.is_err(), "{end} bytes: {cut:?}");
        }
    }

    #[test]
    fn a_line_names_the_client() {
        for (line, expected) in [
            ("PROXY TCP4 192.0.2.1 192.0.2.2 4711 443\r\n", Ok(Some("192.0.2.1"))),
            ("PROXY TCP6 2001:db8::1 2001:db8::2 0 65535\r\n", Ok(Some("2001:db8::1"))),
            ("PROXY TCP6 ::ffff:192.0.2.1 ::1 1 2\r\n", Ok(Some("192.0.2.1"))),
            ("PROXY UNKNOWN\r\n", Ok(None)),
            ("PROXY UNKNOWN 2001:db8::1 what ever 1 2 3 4\r\n", Ok(None)),
            ("PROXY TCP4 192.0.2.1 192.0.2.2 4711 65536\r\n", Err(BadHead::Malformed)),
            ("PROXY TCP4 192.0.2.1 192.0.2.2 -1 443\r\n", Err(BadHead::Malformed)),
            ("PROXY TCP4 192.0.2.1 192.0.2.2 +1 443\r\n", Err(BadHead::Malformed)),
            ("PROXY TCP4 192.0.2.1 192.0.2.2 4711\r\n", Err(BadHead::Malformed)),
            ("PROXY TCP4 192.0.2.1 192.0.2.2 4711 443 1\r\n", Err(BadHead::Malformed)),
            ("PROXY TCP4 192.0.2.1  192.0.2.2 4711 443\r\n", Err(BadHead::Malformed)),
            ("PROXY TCP4 192.0.2.256 192.0.2.2 4711 443\r\n", Err(BadHead::Malformed)),
            ("PROXY TCP4 2001:db8::1 2001:db8::2 1 2\r\n", Err(BadHead::Malformed)),
            ("PROXY TCP6 192.0.2.1 192.0.2.2 1 2\r\n", Err(BadHead::Malformed)),
            ("PROXY TCP4 192.0.2.1 ::1 1 2\r\n", Err(BadHead::Malformed)),
            ("PROXY UDP4 192.0.2.1 192.0.2.2 1 2\r\n", Err(BadHead::Malformed)),
            ("PROXY unknown\r\n", Err(BadHead::Malformed)),
            ("PROXY UNKNOWN\n", Err(BadHead::Malformed)),
            ("PROXY \r\n", Err(BadHead::Malformed)),
            ("PROXY TCP4 192.0.2.1 192.0.2.2 4711 443\r \r\n", Err(BadHead::Malformed)),
            ("PROXYTCP4 192.0.2.1 192.0.2.2 4711 443\r\n", Err(BadHead::Missing)),
            ("proxy TCP4 192.0.2.1 192.0.2.2 4711 443\r\n", Err(BadHead::Missing)),
            ("GET / HTTP/1.1\r\nHost: x\r\n\r\n", Err(BadHead::Missing)),
        ] {
            check(line.as_bytes(), expected);
        }
        check(b"PROXY TCP4 \xff\xfe 192.0.2.2 4711 443\r\n", Err(BadHead::Malformed));
    }

    #[test]
    fn a_line_has_an_end_within_107_bytes() {
        let line = |padding: usize| format!("PROXY UNKNOWN {}\r\n", "x".repeat(padding));
        check(line(91).as_bytes(), Ok(None));
        assert_eq!(line(91).len(), LINE_BYTES_MAX);
        check(line(92).as_bytes(), Err(BadHead::TooLong));
        assert_eq!(read(&line(4096).as_bytes()[..107]), Err(BadHead::TooLong));
    }

    #[test]
    fn a_binary_head_names_the_client() {
        let v6: [u8; 36] = std::array::from_fn(|index| if index == 15 || index == 31 { 1 } else { 0 });
        let mapped: [u8; 36] =
            std::array::from_fn(|at| [255, 255, 192, 0, 2, 1].get(at.wrapping_sub(10)).map_or(0, |b| *b));
        for (command, family, block, expected) in [
            (0x21, 0x11, &V4[..], Ok(Some("192.0.2.1"))),
            (0x21, 0x21, &v6, Ok(Some("::1"))),
            (0x21, 0x21, &mapped, Ok(Some("192.0.2.1"))),
            // With blocks behind the addresses: an unknown one, a cut one, bytes that are none.
            (0x21, 0x11, &[&V4[..], b"\xee\0\x03abc"].concat(), Ok(Some("192.0.2.1"))),
            (0x21, 0x11, &[&V4[..], b"\x01\xff\xffh2"].concat(), Ok(Some("192.0.2.1"))),
            (0x21, 0x11, &[&V4[..], b"\x20"].concat(), Ok(Some("192.0.2.1"))),
            (0x20, 0x00, b"", Ok(None)),
            (0x20, 0x11, &V4, Ok(None)),
            (0x20, 0xff, b"what ever", Ok(None)),
            (0x21, 0x00, b"", Ok(None)),
            (0x21, 0x00, b"\x04\0\x01x", Ok(None)),
            (0x21, 0x31, &[b'/'; 216], Ok(None)),
            (0x21, 0x12, &V4, Ok(None)),
            (0x21, 0x10, &V4, Ok(None)),
            // What is not assigned: families, protocols, commands, versions.
            (0x21, 0x41, &V4, Err(BadHead::Malformed)),
            (0x21, 0xf1, &V4, Err(BadHead::Malformed)),
            (0x21, 0x13, &V4, Err(BadHead::Malformed)),
            (0x22, 0x11, &V4, Err(BadHead::Malformed)),
            (0x11, 0x11, &V4, Err(BadHead::Malformed)),
            (0x31, 0x11, &V4, Err(BadHead::Malformed)),
            // Shorter than its addresses.
            (0x21, 0x11, &V4[..11], Err(BadHead::Malformed)),
            (0x21, 0x21, &v6[..35], Err(BadHead::Malformed)),
            (0x21, 0x31, &[b'/'; 215], Err(BadHead::Malformed)),
        ] {
            check(&binary(command, family, block), expected);
        }
    }

    #[test]
    fn a_binary_head_has_at_most_536_bytes() {
        let head = |blocks: usize| binary(0x21, 0x11, &[&V4[..], &vec![4; blocks]].concat());
        check(&head(508), Ok(Some("192.0.2.1")));
        assert_eq!(head(508).len(), PROXY_HEAD_BYTES_MAX);
        assert_eq!(read(&head(509)[..16]), Err(BadHead::TooLong), "its length is enough to refuse it");
        assert_eq!(read(&head(65_000)), Err(BadHead::TooLong));
        let wrong = [&SIGNATURE[..11], b"\r"].concat();
        check(&[&wrong[..], &[0x21, 0x11, 0, 12], &V4].concat(), Err(BadHead::Missing));
    }

    proptest! {
        #[test]
        fn what_a_proxy_writes_is_read(client: [u8; 4], ports: (u16, u16), blocks in prop::collection::vec(any::<u8>(), 0..508)) {
            let client = Ipv4Addr::from(client);
            let block = [&client.octets()[..], &[127, 0, 0, 1], &ports.0.to_be_bytes(), &ports.1.to_be_bytes(), &blocks].concat();
            check(&binary(0x21, 0x11, &block), Ok(Some(&client.to_string())));
            let line = format!("PROXY TCP4 {client} 127.0.0.1 {} {}\r\n", ports.0, ports.1);
            check(line.as_bytes(), Ok(Some(&client.to_string())));
        }

        #[test]
        fn so_is_version_6(client: [u16; 8], port: u16) {
            let client = Ipv6Addr::from(client);
            let line = format!("PROXY TCP6 {client} ::1 {port} 443\r\n");
            check(line.as_bytes(), Ok(Some(&IpAddr::from(client).to_canonical().to_string())));
        }
    }
}
