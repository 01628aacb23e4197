//! Plain functions: ids, and what clients are told of failures.

use std::fmt::Write as _;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use serde_json::json;

use crate::app::kit::ack::Fail;
use crate::base::hex::hex;
use crate::base::rng::Rng;

/// An id of ours: `msg_` and a UUID of version 7 (RFC 9562) that rises with the scope's change numbers, whose time and count it has.
pub(super) fn message_id(change: u64, rng: &mut Rng) -> Arc<str> {
    let mut id = String::with_capacity(40);
    id.push_str("msg_");
    uuid_v7(change, rng, &mut id);
    id.into()
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

/// Codes of failures that a message's row has, with what clients are told; the first is what another is.
const FAILURES: [(&str, &str); 2] = [
    ("DELIVERY_FAILED", "No se pudo entregar el mensaje"),
    ("WINDOW_CLOSED", "La ventana de 24h está cerrada o falta plantilla aprobada"),
];

#[cfg(test)]
mod tests {
    use super::*;

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
    }
}
