//! The arguments of requests: one string that is always the same, or what a template says, with an id that is new each time.

use std::time::{SystemTime, UNIX_EPOCH};

use super::kind::random;
use crate::options::Options;

/// Stands for an id that rises with every request (RFC 9562, version 7).
const RISING: &str = "{rising}";
/// Stands for a random id (RFC 9562, version 4).
const RANDOM: &str = "{random}";

pub(super) enum Arguments {
    /// JSON, which the server answers with.
    Same(String),
    /// JSON once an id stands in its places, which the server answers in words of its own.
    Template { text: String, seed: u64, count: u64 },
}

impl Arguments {
    pub(super) fn new(options: &Options) -> Arguments {
        match &options.echo_args {
            Some(text) => Arguments::Template { text: text.clone(), seed: u64::from(random()) << 32, count: 0 },
            None => Arguments::Same(format!("\"{}\"", "x".repeat(options.size as usize))),
        }
    }

    /// Those of the next request.
    pub(super) fn next(&mut self) -> String {
        match self {
            Arguments::Same(text) => text.clone(),
            Arguments::Template { text, seed, count } => {
                *count += 1;
                let bits = [mixed(*seed + *count), mixed(!*seed ^ *count)];
                filled(text, bits, *count)
            }
        }
    }

    /// Whether this is the answer to them: they themselves, or a yes, which is an object that says `ok`.
    pub(super) fn is_answer(&self, args: &[u8]) -> bool {
        match self {
            Arguments::Same(text) => args == text.as_bytes(),
            Arguments::Template { .. } => args.starts_with(br#"{"ok":true"#),
        }
    }
}

/// Whether a template is JSON arguments.
pub(super) fn check(template: &str) -> Result<(), String> {
    let text = format!("[{}]", filled(template, [0, 0], 0));
    match serde_json::from_str::<Vec<serde_json::Value>>(&text) {
        Ok(_) => Ok(()),
        Err(error) => Err(format!("--echo-args is no JSON arguments: {error}")),
    }
}

fn filled(template: &str, [high, low]: [u64; 2], count: u64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64;
    // Of one millisecond the number of the request makes it rise.
    let rising = id((now << 16) | (count & 0x0fff), 7, low);
    template.replace(RISING, &rising).replace(RANDOM, &id(high, 4, low))
}

fn id(high: u64, version: u64, low: u64) -> String {
    let high = (high & !0xf000) | (version << 12);
    let low = (low >> 2) | (0b10 << 62);
    let (head, middle, tail) = (high >> 32, (high >> 16) & 0xffff, high & 0xffff);
    format!("{head:08x}-{middle:04x}-{tail:04x}-{:04x}-{:012x}", low >> 48, low & 0xffff_ffff_ffff)
}

/// SplitMix64's finalizer: neighbours come out far apart.
fn mixed(mut bits: u64) -> u64 {
    bits = bits.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_new_each_time_and_of_their_kind() {
        let mut arguments = Arguments::new(&Options::of(&["--echo-args", r#""{rising}","{random}""#]));
        let pairs: Vec<Vec<String>> =
            (0..5_000).map(|_| serde_json::from_str(&format!("[{}]", arguments.next())).expect("it is JSON")).collect();
        for (place, version) in [(0, '7'), (1, '4')] {
            let mut ids: Vec<&String> = pairs.iter().map(|pair| &pair[place]).collect();
            let is_id = |id: &&String| {
                let dashes: Vec<_> = id.match_indices('-').map(|(at, _)| at).collect();
                id.len() == 36 && dashes == [8, 13, 18, 23] && id.chars().nth(14) == Some(version)
            };
            assert!(ids.iter().all(is_id), "{}", ids[0]);
            ids.sort_unstable();
            ids.dedup();
            assert_eq!(ids.len(), pairs.len());
        }
        assert!(
            pairs.windows(2).filter(|pair| pair[0][0] > pair[1][0]).count() < 3,
            "a run of 4,096 in a millisecond begins anew"
        );
    }

    #[test]
    fn what_is_an_answer() {
        let same = Arguments::new(&Options::of(&["--size", "2"]));
        assert!(same.is_answer(br#""xx""#) && !same.is_answer(br#""x""#));
        let template = Arguments::new(&Options::of(&["--echo-args", "{}"]));
        assert!(template.is_answer(br#"{"ok":true,"id":"m"}"#) && !template.is_answer(br#"{"ok":false}"#));
        assert!(check(r#"{"a":"{random}"},2"#).is_ok());
        assert!(check("{").is_err());
    }
}
