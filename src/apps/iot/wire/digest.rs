//! Digest authentication inside RPC frames: a device refuses a call with a challenge, and the call is made again with an answer to it.
//! Names and numbers go back as they came: a nonce may be a number, and a count a text.

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::base::hex::hex;

/// What a device has asked for, and how often it was answered.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Challenge {
    realm: String,
    /// As it came.
    nonce: Value,
    nc: u64,
}

impl Challenge {
    /// Reads the challenge in the message of an error 401, which is JSON in a text; some devices send the object itself.
    pub(crate) fn read(message: &Value) -> Option<Challenge> {
        let parsed = message.as_str().and_then(|text| serde_json::from_str(text).ok());
        let asked: &Value = parsed.as_ref().unwrap_or(message);
        let algorithm = asked["algorithm"].as_str().unwrap_or(ALGORITHM);
        let is_ours = asked["auth_type"].as_str().is_none_or(|kind| kind.eq_ignore_ascii_case("digest"));
        if !is_ours || !algorithm.eq_ignore_ascii_case(ALGORITHM) {
            return None;
        }
        let nonce = asked.get("nonce").filter(|nonce| nonce.is_number() || nonce.is_string())?.clone();
        let nc = &asked["nc"];
        let nc = nc.as_u64().or_else(|| nc.as_str()?.parse().ok()).unwrap_or(1);
        Some(Challenge { realm: asked["realm"].as_str()?.to_owned(), nonce, nc })
    }

    /// The `auth` of the next call; each counts one more.
    pub(crate) fn answer(&mut self, password: &str, cnonce: u32) -> Value {
        let Challenge { realm, nonce, nc } = self;
        let written = nonce.as_str().map_or_else(|| nonce.to_string(), str::to_owned);
        let ha1 = sha256(&format!("{USER}:{realm}:{password}"));
        let ha2 = sha256("dummy_method:dummy_uri");
        let response = sha256(&format!("{ha1}:{written}:{nc}:{cnonce}:auth:{ha2}"));
        let auth = json!({"realm": realm, "username": USER, "nonce": nonce, "nc": nc, "cnonce": cnonce, "response": response, "algorithm": ALGORITHM});
        self.nc += 1;
        auth
    }
}

fn sha256(text: &str) -> String {
    hex(&Sha256::digest(text.as_bytes()))
}

const USER: &str = "admin";
const ALGORITHM: &str = "SHA-256";

#[cfg(test)]
mod tests {
    use super::*;

    /// By another implementation: `printf … | sha256sum`.
    const RESPONSE: &str = "8358e651fce989c84e9ff0cdfccb2d1f8914f2661cd764fd07524f9aa04527a8";

    #[test]
    fn a_challenge_is_answered_with_what_came() {
        let asked = r#"{"auth_type":"digest","nonce":1707272138,"nc":"1","realm":"shellyplusplugs-aabbccddeeff","algorithm":"SHA-256"}"#;
        let mut challenge = Challenge::read(&json!(asked)).unwrap();
        let auth = challenge.answer("secret", 42);
        assert_eq!(
            auth,
            json!({"realm": "shellyplusplugs-aabbccddeeff", "username": "admin", "nonce": 1_707_272_138, "nc": 1,
                "cnonce": 42, "response": RESPONSE, "algorithm": "SHA-256"})
        );
        let again = challenge.answer("secret", 42);
        assert_eq!(again["nc"], json!(2));
        assert_ne!(again["response"], auth["response"]);
    }

    #[test]
    fn nonces_and_counts_are_read_as_numbers_and_as_texts() {
        for (asked, nonce, nc) in [
            (json!({"nonce": "abc", "nc": 7, "realm": "r", "algorithm": "sha-256"}), json!("abc"), 7),
            (json!({"nonce": 1.5, "realm": "r"}), json!(1.5), 1),
            (json!({"nonce": 5, "nc": "x", "realm": "r", "auth_type": "Digest"}), json!(5), 1),
        ] {
            for message in [asked.clone(), json!(asked.to_string())] {
                let auth = Challenge::read(&message).unwrap().answer("p", 1);
                assert_eq!((&auth["nonce"], &auth["nc"]), (&nonce, &json!(nc)), "{asked}");
            }
        }
    }

    #[test]
    fn what_is_no_challenge_of_ours_is_none() {
        for message in [
            json!(null),
            json!(""),
            json!("Unauthorized"),
            json!({}),
            json!({"nonce": 1}),
            json!({"realm": "r"}),
            json!({"realm": "r", "nonce": [1]}),
            json!({"realm": "r", "nonce": 1, "algorithm": "MD5"}),
            json!({"realm": "r", "nonce": 1, "auth_type": "basic"}),
        ] {
            assert_eq!(Challenge::read(&message), None, "{message}");
        }
    }
}
