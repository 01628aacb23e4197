//! One Socket.IO client: the namespaces it is in, and the attachments it still owes.
//!
//! ```text
//!  a namespace:   (absent) ──CONNECT──► Connecting ──accept──► Connected ──DISCONNECT──► (absent)
//!                     ▲                     └──refuse──► (absent)
//!  a message:     Whole ──binary header──► Awaiting(n) ──n binary messages──► Whole
//! ```
//! Anything for a namespace that is not Connected, and a second CONNECT in any state, ends the connection (DESIGN 4.9).
//! Text while attachments are awaited, and binary without a header, end it too (B21).

use bytes::Bytes;
use smallvec::SmallVec;

use super::decode::{self, Body, DecodeError};
use crate::base::ids::{Key, NspId};
use crate::base::json::Scan;

/// What a client is inside the Socket.IO layer. Owns no memory beyond itself while idle in one namespace.
#[derive(Debug, Default)]
pub(crate) struct Client {
    joined: SmallVec<[Membership; 1]>,
    /// The binary packet whose attachments are on their way.
    awaiting: Option<Box<Awaiting>>,
}

/// A client's place in one namespace.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Membership {
    pub nsp: Joined,
    /// Key of the socket in its shard's slab.
    pub socket: Key,
    pub connected: bool,
}

/// A namespace and the name this client uses for it: an application mapped to `/` is the same namespace as its own name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Joined {
    pub id: NspId,
    pub as_root: bool,
}

#[derive(Debug)]
struct Awaiting {
    message: Message,
    missing: usize,
}

/// A complete event or ack of a connected socket.
#[derive(Debug)]
pub(crate) struct Message {
    pub socket: Key,
    pub is_ack: bool,
    pub id: Option<u64>,
    /// The JSON array as it came, with the ranges of its elements.
    pub array: Bytes,
    pub scan: Scan,
    pub attachments: Vec<Bytes>,
}

/// What a packet means for the client.
#[derive(Debug)]
pub(crate) enum Incoming<'a> {
    /// A CONNECT to a namespace that exists and that the client is not in.
    Connect {
        nsp: Joined,
        auth: &'a str,
    },
    /// A CONNECT to a name nobody serves: CONNECT_ERROR, the connection stays.
    UnknownNamespace {
        name: &'a str,
    },
    Disconnect(Membership),
    Message(Message),
    /// Nothing to do (yet).
    Nothing,
}

/// The client broke the protocol: its engine connection is closed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Violation {
    Packet(DecodeError),
    /// A packet for a namespace that is not connected.
    NotConnected,
    SecondConnect,
    TextWhileAwaiting,
    UnexpectedBinary,
    /// Header and attachments together exceed the payload limit.
    TooBig,
    ConnectError,
}

impl Client {
    /// Takes the text of an engine message. `resolve` names the namespaces there are.
    pub(crate) fn on_text<'a>(
        &mut self,
        text: &'a str,
        resolve: impl Fn(&str) -> Option<Joined>,
    ) -> Result<Incoming<'a>, Violation> {
        if self.awaiting.is_some() {
            return Err(Violation::TextWhileAwaiting);
        }
        let packet = decode::decode(text).map_err(Violation::Packet)?;
        let nsp = resolve(packet.nsp);
        let member = nsp.and_then(|nsp| self.membership(nsp));
        match packet.body {
            Body::ConnectError => Err(Violation::ConnectError),
            Body::Connect { auth } => match (nsp, member) {
                (_, Some(_)) => Err(Violation::SecondConnect),
                (Some(nsp), None) => Ok(Incoming::Connect { nsp, auth }),
                (None, None) => Ok(Incoming::UnknownNamespace { name: packet.nsp }),
            },
            body => {
                let member = member.filter(|member| member.connected).ok_or(Violation::NotConnected)?;
                self.on_member_packet(member, body)
            }
        }
    }

    fn on_member_packet<'a>(&mut self, member: Membership, body: Body<'a>) -> Result<Incoming<'a>, Violation> {
        let (is_ack, id, array, scan, attachments) = match body {
            Body::Disconnect => return Ok(Incoming::Disconnect(member)),
            Body::Event { id, array, scan, attachments } => (false, id, array, scan, attachments),
            Body::Ack { id, array, scan, attachments } => (true, id, array, scan, attachments),
            Body::Empty | Body::Connect { .. } | Body::ConnectError => return Ok(Incoming::Nothing),
        };
        let array = Bytes::copy_from_slice(array.as_bytes());
        let message = Message { socket: member.socket, is_ack, id, array, scan, attachments: Vec::new() };
        if attachments == 0 {
            return Ok(Incoming::Message(message));
        }
        self.awaiting = Some(Box::new(Awaiting { message, missing: attachments }));
        Ok(Incoming::Nothing)
    }

    /// Takes a binary engine message: the next attachment. All attachments together stay within `max_payload_bytes`.
    pub(crate) fn on_binary(&mut self, data: Bytes, max_payload_bytes: usize) -> Result<Incoming<'static>, Violation> {
        let mut awaiting = self.awaiting.take().ok_or(Violation::UnexpectedBinary)?;
        let held: usize = awaiting.message.attachments.iter().map(Bytes::len).sum();
        if held + data.len() > max_payload_bytes {
            return Err(Violation::TooBig);
        }
        awaiting.message.attachments.push(data);
        awaiting.missing -= 1;
        if awaiting.missing > 0 {
            self.awaiting = Some(awaiting);
            return Ok(Incoming::Nothing);
        }
        // The socket may have been disconnected by the server while its attachments were on their way.
        let alive = self.joined.iter().any(|member| member.connected && member.socket == awaiting.message.socket);
        Ok(if alive { Incoming::Message(awaiting.message) } else { Incoming::Nothing })
    }

    /// Remembers a CONNECT that is being decided.
    pub(crate) fn join(&mut self, nsp: Joined, socket: Key) {
        self.joined.push(Membership { nsp, socket, connected: false });
    }

    /// The CONNECT of `socket` was accepted.
    pub(crate) fn accept(&mut self, socket: Key) {
        if let Some(member) = self.joined.iter_mut().find(|member| member.socket == socket) {
            member.connected = true;
        }
    }

    /// Forgets a socket that was refused or disconnected.
    pub(crate) fn leave(&mut self, socket: Key) {
        self.joined.retain(|member| member.socket != socket);
        self.joined.shrink_to_fit();
    }

    /// The namespaces this client is in or asks to be in.
    pub(crate) fn memberships(&self) -> &[Membership] {
        &self.joined
    }

    fn membership(&self, nsp: Joined) -> Option<Membership> {
        self.joined.iter().find(|member| member.nsp == nsp).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(name: &str) -> Option<Joined> {
        match name {
            "/" => Some(Joined { id: NspId(0), as_root: true }),
            "/lab" => Some(Joined { id: NspId(0), as_root: false }),
            _ => None,
        }
    }

    fn socket(slot: u32) -> Key {
        Key { slot, generation: 0 }
    }

    fn connected() -> Client {
        let mut client = Client::default();
        client.join(Joined { id: NspId(0), as_root: true }, socket(1));
        client.accept(socket(1));
        client
    }

    #[test]
    fn an_undecided_connect_allows_nothing() {
        let mut client = Client::default();
        assert!(matches!(client.on_text("0", resolve), Ok(Incoming::Connect { .. })));
        client.join(Joined { id: NspId(0), as_root: true }, socket(1));
        assert!(matches!(client.on_text("2[\"admin\"]", resolve), Err(Violation::NotConnected)));
        assert!(matches!(client.on_text("0", resolve), Err(Violation::SecondConnect)));
        client.accept(socket(1));
        assert!(matches!(client.on_text("2[\"admin\"]", resolve), Ok(Incoming::Message(_))));
        assert!(matches!(client.on_text("0", resolve), Err(Violation::SecondConnect)));
    }

    #[test]
    fn the_root_and_the_own_name_of_an_application_are_two_sockets() {
        let mut client = connected();
        assert!(matches!(client.on_text("0/lab,", resolve), Ok(Incoming::Connect { .. })));
        assert!(matches!(client.on_text("0/nope,", resolve), Ok(Incoming::UnknownNamespace { name: "/nope" })));
        assert!(matches!(client.on_text("2/nope,[\"e\"]", resolve), Err(Violation::NotConnected)));
    }

    #[test]
    fn a_binary_event_is_whole_when_its_last_attachment_is_there() {
        let mut client = connected();
        let head = "52-[\"e\",{\"_placeholder\":true,\"num\":1},{\"_placeholder\":true,\"num\":0}]";
        assert!(matches!(client.on_text(head, resolve), Ok(Incoming::Nothing)));
        assert!(matches!(client.on_binary(Bytes::from_static(b"a"), 100), Ok(Incoming::Nothing)));
        match client.on_binary(Bytes::from_static(b"b"), 100) {
            Ok(Incoming::Message(message)) => assert_eq!(message.attachments, ["a", "b"]),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn b21_text_and_binary_come_in_their_order_only() {
        let mut client = connected();
        assert_eq!(client.on_binary(Bytes::new(), 100).unwrap_err(), Violation::UnexpectedBinary);
        assert!(client.on_text("51-[\"e\",{\"_placeholder\":true,\"num\":0}]", resolve).is_ok());
        assert_eq!(client.on_text("2[\"e\"]", resolve).unwrap_err(), Violation::TextWhileAwaiting);
    }

    #[test]
    fn t06_attachments_are_bounded_in_sum() {
        let mut client = connected();
        client.on_text("52-[\"e\",{\"_placeholder\":true,\"num\":0}]", resolve).unwrap();
        assert!(client.on_binary(Bytes::from(vec![0; 60]), 100).is_ok());
        assert_eq!(client.on_binary(Bytes::from(vec![0; 60]), 100).unwrap_err(), Violation::TooBig);
    }
}
