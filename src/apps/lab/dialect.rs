//! Dialects that tests of the mechanism speak.

use serde_json::Value;

use crate::app::Asked;
use crate::app::kit::dialect::{Aside, Dialect, Said, Word};

pub(crate) const DIALECTS: &[Dialect] = &[
    Dialect {
        name: "loud",
        strict: true,
        refused: None,
        acked: None,
        words: &[
            Word { fields: &[("text", "TEXT"), ("from.name", "WHO")], ..Word::both("bcast", "SHOUT") },
            Word { ack: &[("text", "TEXT")], ..Word::heard("ECHO", "echo") },
            Word { fields: &[("text", "TEXT")], ..Word::both("room", "ROOM") },
            Word { told: Some(twice), ..Word::told("message-back", "BACK") },
            Word::told("auth", ""),
            Word::heard("HUSH", ""),
            Word { told: Some(answered), ..Word::heard("ASK", "") },
        ],
    },
    Dialect { name: "quiet", strict: false, refused: None, acked: None, words: &[Word::both("bcast", "whisper")] },
];

/// What a handshake asks for by `dialect` in its auth object or query, `none` being a choice, too; else what its listener has.
pub(super) fn chosen(asked: &Asked<'_>, configured: Option<&'static str>) -> Option<&'static str> {
    let auth: Value = serde_json::from_slice(asked.auth).unwrap_or_default();
    let wanted = auth["dialect"].as_str().map(str::to_owned).or_else(|| asked.handshake.query_value("dialect"));
    match wanted {
        Some(name) if name == "none" => None,
        Some(name) => DIALECTS.iter().map(|dialect| dialect.name).find(|known| *known == name).or(configured),
        None => configured,
    }
}

fn answered(said: &mut Vec<Said>, _: &mut Aside<'_>) {
    *said = vec![Said { name: "ANSWER".into(), ..said[0].clone() }];
}

fn twice(said: &mut Vec<Said>, _: &mut Aside<'_>) {
    said.push(Said { name: "BACK2".into(), ..said[0].clone() });
}
