//! Newtypes for everything that is counted or addressed. A handle carries a generation, so that a stale one
//! finds nothing instead of somebody else.

use std::fmt;

/// Index of a shard; one shard per core.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct ShardId(pub u16);

/// A slot of a [`Slab`](super::slab::Slab) and the generation it had when the handle was given out.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Key {
    pub slot: u32,
    pub generation: u32,
}

/// One client: an engine session with its Socket.IO client and outbox. Meaningful on one shard only.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct PeerKey(pub Key);

/// One WebSocket connection. Its slot is given by the reactor that owns the descriptor.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ConnKey(pub Key);

/// One Socket.IO socket (a client inside one namespace), addressable from every shard.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SocketRef {
    pub shard: ShardId,
    pub key: Key,
}

/// One HTTP request that waits for an answer; `shard` names the reactor that holds it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ReqId {
    pub shard: ShardId,
    pub key: Key,
}

/// One link that somebody has opened here, addressable from every shard; `shard` holds its connection.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct LinkRef {
    pub shard: ShardId,
    pub key: Key,
}

/// Index of an application among those that are served: homes, tenants, timers and jobs go by it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct AppId(pub u16);

/// Index of a namespace among all: rooms, acks and names go by it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct NspId(pub u16);

/// Place of a namespace in the list of the application that owns it; 0, the first, is what a listener's root stands for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct NspIndex(pub u8);

/// Index of a configured `[[listener]]`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct ListenerId(pub u16);

/// Which of its application's dialects a socket speaks, counted from 1.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct DialectId(pub u8);

impl DialectId {
    /// The application's own words.
    pub const NONE: DialectId = DialectId(0);
}

/// A session or socket id: 20 characters of the URL-safe base64 alphabet, 120 random bits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sid(pub [u8; Sid::LEN]);

impl Sid {
    /// Clients and cluster engines expect exactly 20 characters.
    pub const LEN: usize = 20;

    /// Reads a sid as a client sent it; `None` unless it is 20 characters of `[A-Za-z0-9_-]`.
    pub fn parse(text: &str) -> Option<Sid> {
        let bytes: [u8; Sid::LEN] = text.as_bytes().try_into().ok()?;
        let valid = bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
        valid.then_some(Sid(bytes))
    }

    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("a Sid is ASCII by construction")
    }
}

impl fmt::Display for Sid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Sid {
    /// A sid is a bearer secret: logs get a prefix that tells two clients apart, not the secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sid({}…)", &self.as_str()[..6])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sid_is_twenty_url_safe_characters() {
        for (text, valid) in [
            ("AAAAAAAAAAAAAAAAAAAA", true),
            ("abcXYZ019_-abcXYZ019", true),
            ("AAAAAAAAAAAAAAAAAAA", false),
            ("AAAAAAAAAAAAAAAAAAAAA", false),
            ("AAAAAAAAAAAAAAAAAAA=", false),
            ("__proto__", false),
            ("éAAAAAAAAAAAAAAAAAA", false),
        ] {
            assert_eq!(Sid::parse(text).is_some(), valid, "{text}");
        }
    }

    #[test]
    fn debug_never_shows_the_whole_sid() {
        let sid = Sid::parse("abcdefghijklmnopqrst").unwrap();
        assert_eq!(format!("{sid:?}"), "Sid(abcdef…)");
    }
}
