//! What each client says with its join: the same for all, or a signed token of its own.

use std::time::{SystemTime, UNIX_EPOCH};

use jsonwebtoken::{EncodingKey, Header};
use serde_json::{Map, Value};

use crate::args::Options;

/// A token is good for this long.
const LIFE_S: u64 = 24 * 3_600;
/// What stands for a client's number in `--auth` and `--claims`.
const NUMBER: &str = "{n}";

/// The key that tokens are signed with (HS256).
#[derive(Clone)]
pub struct Minter {
    key: EncodingKey,
    expires_at_s: u64,
}

impl Minter {
    /// `None` without a secret.
    pub fn new(options: &Options) -> Option<Minter> {
        let secret = options.identity.jwt_secret.as_ref()?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Some(Minter { key: EncodingKey::from_secret(secret.as_bytes()), expires_at_s: now.as_secs() + LIFE_S })
    }

    /// A token with these claims, and `exp` unless they have one.
    pub fn mint(&self, mut claims: Map<String, Value>) -> String {
        claims.entry("exp").or_insert(self.expires_at_s.into());
        jsonwebtoken::encode(&Header::default(), &claims, &self.key).expect("HMAC takes a key of any length")
    }
}

/// The auth object of every client, by its number.
pub struct Auth {
    template: String,
    minter: Option<(Minter, String)>,
}

impl Auth {
    /// # Errors
    /// A sentence where `--claims` is no JSON object, or where there is no secret to sign it with.
    pub fn new(options: &Options) -> Result<Auth, String> {
        let template = options.auth.clone();
        let Some(claims) = options.identity.claims.clone() else { return Ok(Auth { template, minter: None }) };
        let minter = Minter::new(options).ok_or("--claims needs --jwt-secret")?;
        object(&claims, 0).ok_or("--claims is a JSON object")?;
        Ok(Auth { template, minter: Some((minter, claims)) })
    }

    /// JSON, or nothing at all.
    pub fn of(&self, number: u32) -> String {
        match &self.minter {
            Some((minter, claims)) => {
                let claims = object(claims, number).expect("it was one when it was checked");
                serde_json::json!({"token": minter.mint(claims)}).to_string()
            }
            None => self.template.replace(NUMBER, &number.to_string()),
        }
    }
}

fn object(template: &str, number: u32) -> Option<Map<String, Value>> {
    serde_json::from_str(&template.replace(NUMBER, &number.to_string())).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_client_has_its_number_and_its_token() {
        let plain = Auth::new(&Options::of(&["--auth", r#"{"deviceId":"d{n}"}"#])).unwrap();
        assert_eq!(plain.of(7), r#"{"deviceId":"d7"}"#);
        assert_eq!(Auth::new(&Options::of(&[])).unwrap().of(7), "");
        let claims = [r#"--claims={"sub":"u{n}"}"#, "--jwt-secret", "s"];
        let auth: Value = serde_json::from_str(&Auth::new(&Options::of(&claims)).unwrap().of(7)).unwrap();
        let token = auth["token"].as_str().unwrap();
        let read = jsonwebtoken::decode::<Map<String, Value>>(
            token,
            &jsonwebtoken::DecodingKey::from_secret(b"s"),
            &jsonwebtoken::Validation::default(),
        );
        assert_eq!(read.unwrap().claims["sub"], "u7");
    }

    #[test]
    fn claims_need_a_secret_and_a_shape() {
        assert!(Auth::new(&Options::of(&["--claims", "{}"])).is_err());
        assert!(Auth::new(&Options::of(&["--claims", "[]", "--jwt-secret", "s"])).is_err());
    }
}
