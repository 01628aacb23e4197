//! Reads one Socket.IO packet from the text of an engine message: `<type>[<n>-][<nsp>,][<id>][<json>]`. The JSON is
//! checked and its ranges found, never rebuilt. Spec: socket.io-protocol v5; PROTOCOL 7 for what the reference accepts.

use crate::base::json::{self, Kind, Scan};
use crate::base::limit::{ACK_ID_DIGITS_MAX, ATTACHMENTS_MAX, NAME_BYTES_MAX};

/// One packet, borrowed from the message it came in.
#[derive(Debug)]
pub(crate) struct Packet<'a> {
    /// `/` where the packet names none.
    pub nsp: &'a str,
    pub body: Body<'a>,
}

/// What a packet says, by its type; binary events and acks are events and acks with attachments.
#[derive(Debug)]
pub(crate) enum Body<'a> {
    /// `auth` is a JSON object, or empty.
    Connect {
        auth: &'a str,
    },
    Disconnect,
    /// `array` is `["name",…]`; `attachments` binary messages follow.
    Event {
        id: Option<u64>,
        array: &'a str,
        scan: Scan,
        attachments: usize,
    },
    /// `array` holds the answer's arguments.
    Ack {
        id: Option<u64>,
        array: &'a str,
        scan: Scan,
        attachments: usize,
    },
    /// An event or ack without JSON: harmless, and ignored by the reference.
    Empty,
    /// A client never sends this; it ends the connection (`forced server close`).
    ConnectError,
}

/// What the peer did wrong; the engine connection is closed for any of these.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum DecodeError {
    UnknownType,
    /// The number of attachments is missing, zero, above 10 or not digits (B19, B22).
    Attachments,
    /// A namespace above 255 bytes.
    NamespaceTooLong,
    /// An ack id no client counts up to.
    AckId,
    /// Not JSON, too deep, or of a shape the packet type does not allow.
    Payload,
    /// The event's name is neither a number nor a string, is too long, or is reserved (B17, B18).
    EventName,
}

/// Names that mean something to the libraries themselves; a client must not send them.
pub(crate) const RESERVED_EVENTS: [&str; 6] =
    ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"];

/// Decodes the text after the engine's `4`.
pub(crate) fn decode(text: &str) -> Result<Packet<'_>, DecodeError> {
    let kind = match text.as_bytes().first() {
        Some(b' ') => b'0', // the reference reads the type with Number(), for which a space is 0
        Some(digit @ b'0'..=b'6') => *digit,
        _ => return Err(DecodeError::UnknownType),
    };
    let (attachments, rest) = match kind {
        b'5' | b'6' => split_attachments(&text[1..])?,
        _ => (0, &text[1..]),
    };
    let (nsp, rest) = split_namespace(rest)?;
    let (id, json) = split_id(rest)?;
    let body = match kind {
        b'0' => Body::Connect { auth: object(json)? },
        b'1' if json.is_empty() => Body::Disconnect,
        b'2' | b'3' if json.is_empty() => Body::Empty,
        b'2' | b'5' => event(id, json, attachments)?,
        b'3' | b'6' => {
            let scan = json::scan_array(json.as_bytes(), attachments as u32).map_err(|_| DecodeError::Payload)?;
            Body::Ack { id, array: json, scan, attachments }
        }
        b'4' => Body::ConnectError,
        _ => return Err(DecodeError::Payload),
    };
    Ok(Packet { nsp, body })
}

fn event(id: Option<u64>, json: &str, attachments: usize) -> Result<Body<'_>, DecodeError> {
    let scan = json::scan_array(json.as_bytes(), attachments as u32).map_err(|_| DecodeError::Payload)?;
    let name = scan.elements.first().ok_or(DecodeError::EventName)?;
    check_name(&json[name.start as usize..name.end as usize])?;
    if id == Some(u64::MAX) {
        return Err(DecodeError::AckId);
    }
    Ok(Body::Event { id, array: json, scan, attachments })
}

/// `3-…` → 3. ASCII digits only, 1 to 10.
fn split_attachments(text: &str) -> Result<(usize, &str), DecodeError> {
    let dash = text.bytes().take(4).position(|byte| byte == b'-').ok_or(DecodeError::Attachments)?;
    let digits = &text[..dash];
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(DecodeError::Attachments);
    }
    let count = digits.parse().map_err(|_| DecodeError::Attachments)?;
    if (1..=ATTACHMENTS_MAX).contains(&count) { Ok((count, &text[dash + 1..])) } else { Err(DecodeError::Attachments) }
}

/// `/admin,…` → `/admin`; the comma may be missing at the end of the packet.
fn split_namespace(text: &str) -> Result<(&str, &str), DecodeError> {
    if !text.starts_with('/') {
        return Ok(("/", text));
    }
    let (nsp, rest) = text.split_once(',').unwrap_or((text, ""));
    if nsp.len() > NAME_BYTES_MAX { Err(DecodeError::NamespaceTooLong) } else { Ok((nsp, rest)) }
}

/// `12[…` → 12. An id no counter reaches reads as `u64::MAX`, which no ack ever has.
fn split_id(text: &str) -> Result<(Option<u64>, &str), DecodeError> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    if digits == 0 {
        return Ok((None, text));
    }
    let id = if digits > ACK_ID_DIGITS_MAX { u64::MAX } else { text[..digits].parse().unwrap_or(u64::MAX) };
    Ok((Some(id), &text[digits..]))
}

fn object(json: &str) -> Result<&str, DecodeError> {
    match json.is_empty() {
        true => Ok(json),
        false if json::check(json.as_bytes()) == Ok(Kind::Object) => Ok(json),
        false => Err(DecodeError::Payload),
    }
}

fn check_name(raw: &str) -> Result<(), DecodeError> {
    match raw.as_bytes() {
        [b'"', inner @ .., b'"'] if !inner.contains(&b'\\') => refuse_reserved(&raw[1..raw.len() - 1]),
        [b'"', ..] => refuse_reserved(&serde_json::from_str::<String>(raw).map_err(|_| DecodeError::EventName)?),
        [b'-' | b'0'..=b'9', ..] => Ok(()),
        _ => Err(DecodeError::EventName),
    }
}

fn refuse_reserved(name: &str) -> Result<(), DecodeError> {
    if RESERVED_EVENTS.contains(&name) { Err(DecodeError::EventName) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(text: &str) -> String {
        match decode(text) {
            Err(error) => format!("{error:?}"),
            Ok(Packet { nsp, body }) => match body {
                Body::Connect { auth } => format!("{nsp} connect {auth}"),
                Body::Disconnect => format!("{nsp} disconnect"),
                Body::Event { id, array, attachments, .. } => format!("{nsp} event {id:?} {attachments} {array}"),
                Body::Ack { id, array, attachments, .. } => format!("{nsp} ack {id:?} {attachments} {array}"),
                Body::Empty => format!("{nsp} empty"),
                Body::ConnectError => format!("{nsp} connect_error"),
            },
        }
    }

    #[test]
    fn packets_decode_as_the_reference_does() {
        for (text, expected) in [
            ("0", "/ connect "),
            (" ", "/ connect "),
            ("0{\"a\":1}", "/ connect {\"a\":1}"),
            ("0/admin", "/admin connect "),
            ("0/admin,", "/admin connect "),
            ("0/custom?x=1,{}", "/custom?x=1 connect {}"),
            ("0[]", "Payload"),
            ("0null", "Payload"),
            ("0\"s\"", "Payload"),
            ("1", "/ disconnect"),
            ("1/admin,", "/admin disconnect"),
            ("1{}", "Payload"),
            ("2", "/ empty"),
            ("3", "/ empty"),
            ("2[\"m\",1]", "/ event None 0 [\"m\",1]"),
            ("212[\"m\"]", "/ event Some(12) 0 [\"m\"]"),
            ("2/a,0[\"m\"]", "/a event Some(0) 0 [\"m\"]"),
            ("2[7]", "/ event None 0 [7]"),
            ("2{}", "Payload"),
            ("2[\"m\"", "Payload"),
            ("2[\"m\"]x", "Payload"),
            ("31[]", "/ ack Some(1) 0 []"),
            ("3[1]", "/ ack None 0 [1]"),
            ("3999999999999999999999[]", "/ ack Some(18446744073709551615) 0 []"),
            ("2999999999999999999999[\"m\"]", "AckId"),
            ("4{}", "/ connect_error"),
            (
                "51-[\"m\",{\"_placeholder\":true,\"num\":0}]",
                "/ event None 1 [\"m\",{\"_placeholder\":true,\"num\":0}]",
            ),
            ("61-/a,3[{\"_placeholder\":true,\"num\":0}]", "/a ack Some(3) 1 [{\"_placeholder\":true,\"num\":0}]"),
            ("7", "UnknownType"),
            ("", "UnknownType"),
            ("x", "UnknownType"),
        ] {
            assert_eq!(show(text), expected, "{text}");
        }
    }

    #[test]
    fn b16_a_placeholder_names_an_attachment_that_comes() {
        for num in ["\"splice\"", "-1", "1.5", "99", "1e400", "1", "null"] {
            let text = format!("51-[\"e\",{{\"_placeholder\":true,\"num\":{num}}}]");
            assert_eq!(show(&text), "Payload", "{text}");
        }
    }

    #[test]
    fn b17_b18_event_names_are_numbers_or_unreserved_strings() {
        for array in ["[{\"toString\":1}]", "[[]]", "[null]", "[]", "[true]", "[\"connect\"]", "[\"disconnecting\"]"] {
            assert!(decode(&format!("2{array}")).is_err(), "{array}");
        }
        assert_eq!(show("2[\"\\u0063onnect\"]"), "EventName");
        assert_eq!(show("2[\"error\",\"x\"]"), "/ event None 0 [\"error\",\"x\"]");
        // As long as the message allows: other languages write a name of 43 letters in 258 bytes.
        assert!(decode(&format!("2[\"{}\"]", "\\u65e5".repeat(10_000))).is_ok());
    }

    #[test]
    fn b19_b22_attachment_counts_are_one_to_ten_in_ascii_digits() {
        for head in ["5999999999-", "511-", "50-", "5-", "51e3-", "5 1-", "5٣-", "5+1-", "50x1-", "51", "5"] {
            assert_eq!(show(&format!("{head}[\"e\"]")), "Attachments", "{head}");
        }
    }

    #[test]
    fn long_namespaces_are_refused() {
        assert_eq!(show(&format!("0/{}", "n".repeat(255))), "NamespaceTooLong");
        assert!(decode(&format!("0/{}", "n".repeat(254))).is_ok());
    }

    #[test]
    fn b98_depth_is_bounded() {
        assert_eq!(show(&format!("2[\"e\",{}", "[".repeat(100_000))), "Payload");
    }
}
