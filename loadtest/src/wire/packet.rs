//! Engine.IO and Socket.IO packets as far as a load test tells them apart; payloads stay bytes. Spec:
//! <https://socket.io/docs/v4/engine-io-protocol/> and <https://socket.io/docs/v4/socket-io-protocol/>.

/// Separates the packets of one polling body.
pub const SEPARATOR: u8 = 0x1E;

/// One packet of the server, for the namespace that we joined.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Packet<'a> {
    /// Engine.IO handshake: its JSON.
    Open(&'a [u8]),
    Close,
    Ping,
    Pong(&'a [u8]),
    Noop,
    Connected,
    /// Why the namespace was refused: JSON.
    Refused(&'a [u8]),
    Disconnected,
    /// The JSON array of an event: its name and arguments.
    Event(&'a [u8]),
    /// The JSON array of an answer.
    Ack {
        id: u64,
        args: &'a [u8],
    },
    /// Well-formed, and nothing to us: another namespace, binary.
    Other,
}

/// Tells what a message is; `None` if it is none of the protocol's.
pub fn parse<'a>(message: &'a [u8], namespace: &str) -> Option<Packet<'a>> {
    let (&kind, rest) = message.split_first()?;
    Some(match kind {
        b'0' => Packet::Open(rest),
        b'1' => Packet::Close,
        b'2' => Packet::Ping,
        b'3' => Packet::Pong(rest),
        b'4' => return parse_socketio(rest, namespace),
        b'6' => Packet::Noop,
        b'b' => Packet::Other,
        _ => return None,
    })
}

fn parse_socketio<'a>(packet: &'a [u8], namespace: &str) -> Option<Packet<'a>> {
    let (&kind, rest) = packet.split_first()?;
    if matches!(kind, b'5' | b'6') {
        return Some(Packet::Other);
    }
    let (name, rest) = split_namespace(rest);
    if name != namespace.as_bytes() {
        return Some(Packet::Other);
    }
    Some(match kind {
        b'0' => Packet::Connected,
        b'1' => Packet::Disconnected,
        b'2' => Packet::Event(rest),
        b'3' => {
            let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
            let id = std::str::from_utf8(&rest[..digits]).ok()?.parse().ok()?;
            Packet::Ack { id, args: &rest[digits..] }
        }
        b'4' => Packet::Refused(rest),
        _ => return None,
    })
}

fn split_namespace(rest: &[u8]) -> (&[u8], &[u8]) {
    if rest.first() != Some(&b'/') {
        return (b"/", rest);
    }
    match rest.iter().position(|byte| *byte == b',') {
        Some(comma) => (&rest[..comma], &rest[comma + 1..]),
        None => (rest, &[]),
    }
}

/// The string that follows `"key":"` in a handshake.
pub fn string_of<'a>(json: &'a [u8], key: &str) -> Option<&'a str> {
    let text = std::str::from_utf8(json).ok()?;
    let (_, after) = text.split_once(&format!("\"{key}\":\""))?;
    after.split_once('"').map(|(value, _)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_of_the_root_and_of_a_namespace() {
        for (message, namespace, expected) in [
            ("0{\"sid\":\"a\"}", "/", Some(Packet::Open(b"{\"sid\":\"a\"}"))),
            ("1", "/", Some(Packet::Close)),
            ("2", "/", Some(Packet::Ping)),
            ("3probe", "/", Some(Packet::Pong(b"probe"))),
            ("6", "/", Some(Packet::Noop)),
            ("40{\"sid\":\"b\"}", "/", Some(Packet::Connected)),
            ("40/lab,{\"sid\":\"b\"}", "/lab", Some(Packet::Connected)),
            ("40/lab,{\"sid\":\"b\"}", "/", Some(Packet::Other)),
            ("41/lab", "/lab", Some(Packet::Disconnected)),
            ("44/lab,{}", "/lab", Some(Packet::Refused(b"{}"))),
            ("42[\"x\",1]", "/", Some(Packet::Event(b"[\"x\",1]"))),
            ("42[\"x\",1]", "/lab", Some(Packet::Other)),
            ("4312[1]", "/", Some(Packet::Ack { id: 12, args: b"[1]" })),
            ("43/lab,0[]", "/lab", Some(Packet::Ack { id: 0, args: b"[]" })),
            ("451-[\"x\",{\"_placeholder\":true,\"num\":0}]", "/", Some(Packet::Other)),
            ("43[]", "/", None),
            ("9", "/", None),
            ("4", "/", None),
            ("", "/", None),
        ] {
            assert_eq!(parse(message.as_bytes(), namespace), expected, "{message}");
        }
    }

    #[test]
    fn the_sid_of_a_handshake() {
        assert_eq!(string_of(br#"{"sid":"x-1","upgrades":[]}"#, "sid"), Some("x-1"));
        assert_eq!(string_of(br#"{"upgrades":[]}"#, "sid"), None);
    }
}
