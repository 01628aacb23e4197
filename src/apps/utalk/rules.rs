//! Plain functions: ids, and what clients are told of failures.

use std::fmt::Write as _;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::app::kit::ack::Fail;
use crate::base::hex::hex;
use crate::base::ids::Sid;
use crate::base::percent::decode_segment;
use crate::base::rng::Rng;

/// An id of ours: `msg_` and a UUID of version 7 (RFC 9562) that rises with the scope's change numbers, whose time and count it has.
pub(super) fn message_id(change: u64, rng: &mut Rng) -> Arc<str> {
    let mut id = String::with_capacity(40);
    id.push_str("msg_");
    uuid_v7(change, rng, &mut id);
    id.into()
}

/// What is known of a message's body when that has gone.
pub(super) fn digest(text: Option<&str>, media: Option<&str>) -> String {
    hex(&Sha256::digest(json!([text, media]).to_string()))
}

/// The number of the change that has made the message of an id of ours; 0 for what is none.
pub(super) fn born(id: &str) -> u64 {
    let digits = id.strip_prefix("msg_").filter(|uuid| uuid.len() == 36).map(|uuid| uuid.replace('-', ""));
    let uuid = digits.and_then(|digits| u128::from_str_radix(&digits, 16).ok()).unwrap_or(0);
    let (high, low) = ((uuid >> 64) as u64, uuid as u64);
    let change = (high >> 16 << 16) | ((high & 0xFFF) << 4) | ((low >> 58) & 0xF);
    if change <= i64::MAX as u64 { change } else { 0 }
}

/// A UUID of version 7 for a change number.
pub(super) fn uuid_v7(change: u64, rng: &mut Rng, text: &mut String) {
    let (millis, count) = (change >> 16, change & 0xFFFF);
    // Twelve bits of the count stand behind the version, four behind the variant.
    let high = (millis << 16) | 0x7000 | (count >> 4);
    let low = (0b10 << 62) | ((count & 0xF) << 58) | (rng.u64() >> 6);
    let digits = hex(&[high.to_be_bytes(), low.to_be_bytes()].concat());
    let parts = [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]];
    write!(text, "{}", parts.join("-")).expect("text takes text");
}

/// A UUID of version 4.
pub(super) fn uuid_v4(rng: &mut Rng) -> String {
    let (high, low) = (rng.u64() & !0xF000 | 0x4000, rng.u64() >> 2 | 0b10 << 62);
    let digits = hex(&[high.to_be_bytes(), low.to_be_bytes()].concat());
    [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]].join("-")
}

/// The id of a file whose blob is found by this: `media_` and a UUID of version 4 of the same random bits.
pub(super) fn media_id(blob: Sid) -> Arc<str> {
    let bits = URL_SAFE_NO_PAD.decode(blob.as_str()).expect("twenty characters are fifteen bytes");
    let digits = hex(&bits);
    let parts = [&digits[..8], &digits[8..12], &digits[12..15], &digits[15..18], &digits[18..]];
    format!("media_{}-{}-4{}-8{}-{}", parts[0], parts[1], parts[2], parts[3], parts[4]).into()
}

/// What the blob of a file is found by; `None`: this is no id of a file.
pub(super) fn blob_id(media: &str) -> Option<Sid> {
    let parts: Vec<&str> = media.strip_prefix("media_")?.split('-').collect();
    let [first, second, third, fourth, fifth] = parts[..] else { return None };
    let digits = [first, second, third.strip_prefix('4')?, fourth.strip_prefix('8')?, fifth].concat();
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if !digits.bytes().all(is_digit) || digits.len() != 30 {
        return None;
    }
    let bits: Vec<u8> = (0..30).step_by(2).filter_map(|at| u8::from_str_radix(&digits[at..at + 2], 16).ok()).collect();
    let blob = Sid::parse(&URL_SAFE_NO_PAD.encode(bits))?;
    (&*media_id(blob) == media).then_some(blob)
}

/// The id of a conversation as clients write it in a path: decoded until nothing changes, with the `+` back that a blank was.
pub(super) fn conversation_id(text: &str) -> Arc<str> {
    let mut id = text.to_owned();
    for _ in 0..DECODED_MAX {
        let decoded = decode_segment(&id).into_owned();
        if decoded == id {
            break;
        }
        id = decoded;
    }
    let mut id = id.replace(' ', "+");
    while id.contains("++") {
        id = id.replace("++", "+");
    }
    id.into()
}

/// The key under which events of which the last one counts replace each other.
pub(super) fn key(parts: &[&str]) -> u64 {
    let mut hasher = DefaultHasher::new();
    parts.hash(&mut hasher);
    hasher.finish()
}

/// A message that has not reached its customer.
pub(super) fn delivery_failed(code: &str, reason: Option<&str>) -> Fail {
    let known = FAILURES.iter().find(|(known, _)| *known == code).unwrap_or(&FAILURES[0]);
    let fail = Fail::new(known.0, known.1);
    match reason {
        Some(reason) => fail.with(json!({"reason": reason})),
        None => fail,
    }
}

/// Times that an id is decoded; the first has happened before.
const DECODED_MAX: usize = 2;
/// What everybody is told who is not let in.
pub(super) const AUTHENTICATION_FAILED: &str = "Authentication failed";
/// An upload in which there is nothing to keep …
pub(super) const NO_FILE: &str = "Falta el archivo";
/// … and one that is too much.
pub(super) const FILE_TOO_LARGE: &str = "El archivo es demasiado grande";
/// Codes of failures that a message's row has, with what clients are told; the first is what another is.
const FAILURES: [(&str, &str); 2] = [
    ("DELIVERY_FAILED", "No se pudo entregar el mensaje"),
    ("WINDOW_CLOSED", "La ventana de 24h está cerrada o falta plantilla aprobada"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_of_a_file_is_that_of_its_blob_and_back() {
        let mut rng = Rng::from_seed([2; 32]);
        for _ in 0..100 {
            let blob = rng.sid();
            let id = media_id(blob);
            assert_eq!((id.len(), &id[20..21], &id[25..26]), (42, "4", "8"), "{id}");
            assert_eq!(blob_id(&id), Some(blob));
            for bad in
                [&id[1..], &id[..41], &id.to_uppercase(), &id.replace('-', ""), &id.replacen('-', "", 1), "media_", ""]
            {
                assert_eq!(blob_id(bad), None, "{bad}");
            }
        }
        assert_eq!(blob_id("media_00000000-0000-1000-8000-000000000000"), None);
        assert_eq!(blob_id("media_éééé-0000-4000-8000-000000000000"), None);
    }

    #[test]
    fn an_id_is_decoded_until_it_is_stable_and_blanks_are_pluses() {
        for text in
            ["conv_+1_+2", "conv_%2B1_%2B2", "conv_%252B1_%252B2", "conv_ 1_ 2", "conv_++1_+2", "conv_%201_%202"]
        {
            assert_eq!(&*conversation_id(text), "conv_+1_+2", "{text}");
        }
        assert_eq!(&*conversation_id("conv_a%zz"), "conv_a%zz");
    }

    #[test]
    fn ids_rise_with_changes_and_are_uuids_of_version_7() {
        let mut rng = Rng::from_seed([1; 32]);
        let first = 1_755_684_031_000 << 16;
        let ids: Vec<Arc<str>> = [0, 1, 15, 16, 255, 65_535, 65_536].map(|n| message_id(first + n, &mut rng)).to_vec();
        assert!(ids.is_sorted(), "{ids:?}");
        for id in &ids {
            let parts: Vec<&str> = id.strip_prefix("msg_").unwrap().split('-').collect();
            assert_eq!(parts.iter().map(|part| part.len()).collect::<Vec<_>>(), [8, 4, 4, 4, 12]);
            assert!(parts[2].starts_with('7') && parts[3].starts_with(['8', '9', 'a', 'b']), "{id}");
        }
        assert!(ids[0].starts_with("msg_0198c6ec-4a18-7000-"), "{}", ids[0]);
        for (id, n) in ids.iter().zip([0, 1, 15, 16, 255, 65_535, 65_536]) {
            assert_eq!(born(id), first + n);
        }
        for bad in ["", "msg_", "msg_é", &ids[0][4..], &ids[0][..39], "msg_ffffffff-ffff-7fff-8fff-ffffffffffff"] {
            assert_eq!(born(bad), 0, "{bad}");
        }
    }
}
