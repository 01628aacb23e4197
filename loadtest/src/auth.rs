//! What each client says with its join: the same for all, or a signed token of its own (RFC 7519, HS256).

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use serde_json::{Map, Value};
use sha2::Sha256;

use crate::options::Options;

/// A token is good for this long.
const LIFE_S: u64 = 24 * 3_600;
/// What stands for a client's number in `--auth` and `--claims`.
const NUMBER: &str = "{n}";

/// The key that tokens are signed with (HS256).
#[derive(Clone)]
pub struct Minter {
    key: Hmac<Sha256>,
    expires_at_s: u64,
}

impl Minter {
    /// `None` without a secret.
    pub fn new(options: &Options) -> Option<Minter> {
        let secret = options.identity.jwt_secret.as_ref()?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let key = <Hmac<Sha256> as Mac>::new_from_slice(secret.as_bytes()).expect("HMAC takes a key of any length");
        Some(Minter { key, expires_at_s: now.as_secs() + LIFE_S })
    }

    /// A token with these claims, and `exp` unless they have one.
    pub fn mint(&self, mut claims: Map<String, Value>) -> String {
        claims.entry("exp").or_insert(self.expires_at_s.into());
        let part = |json: &str| URL_SAFE_NO_PAD.encode(json);
        let signed = format!("{}.{}", part(r#"{"alg":"HS256","typ":"JWT"}"#), part(&Value::Object(claims).to_string()));
        let signature = self.key.clone().chain_update(&signed).finalize().into_bytes();
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

/// The auth object of every client, by its number.
pub(crate) struct Auth {
    template: String,
    minter: Option<(Minter, String)>,
}

impl Auth {
    /// # Errors
    /// A sentence where `--auth` or `--claims` is no JSON object, or where there is no secret to sign claims with.
    pub(crate) fn new(options: &Options) -> Result<Auth, String> {
        let template = options.auth.clone();
        // Of the first and of the last client: a number that is too long for its place is so for the last one.
        let last = options.share.first_client + options.clients - 1;
        let is_object = |text: &str| [0, last].into_iter().all(|number| object(text, number).is_some());
        if !template.is_empty() && !is_object(&template) {
            return Err("--auth is a JSON object".to_owned());
        }
        let Some(claims) = options.identity.claims.clone() else { return Ok(Auth { template, minter: None }) };
        let minter = Minter::new(options).ok_or("--claims needs --jwt-secret")?;
        if !is_object(&claims) {
            return Err("--claims is a JSON object".to_owned());
        }
        Ok(Auth { template, minter: Some((minter, claims)) })
    }

    /// JSON, or nothing at all.
    pub(crate) fn of(&self, number: u32) -> String {
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
    use siod::app::identity::AuthSettings;
    use siod::app::identity::jwt::Verifier;
    use siod::base::secret::Secret;
    use siod::base::time::WallMillis;

    #[test]
    fn every_client_has_its_number_and_its_token() {
        let plain = Auth::new(&Options::of(&["--auth", r#"{"deviceId":"d{n}"}"#])).unwrap();
        assert_eq!(plain.of(7), r#"{"deviceId":"d7"}"#);
        assert_eq!(Auth::new(&Options::of(&[])).unwrap().of(7), "");
        let secret = "a secret of at least thirty-two bytes";
        let claims = [r#"--claims={"sub":"u{n}"}"#, "--jwt-secret", secret];
        let auth: Value = serde_json::from_str(&Auth::new(&Options::of(&claims)).unwrap().of(7)).unwrap();
        let (jwt_secret, now) = (Secret::new(secret), SystemTime::now().duration_since(UNIX_EPOCH).unwrap());
        let verifier = Verifier::new(&AuthSettings { jwt_secret, ..AuthSettings::default() });
        let read = verifier.verify(auth["token"].as_str().unwrap(), WallMillis(now.as_millis() as u64));
        assert_eq!(read.unwrap().sub(), "u7");
    }

    #[test]
    fn what_is_no_object_is_refused() {
        let check = |words: &[&str], fits: bool| assert_eq!(Auth::new(&Options::of(words)).is_ok(), fits, "{words:?}");
        for text in ["token", "{", "{\"token\":}", "[]", "\"x\"", "1", "null", "{\"a\":0{n}}", "{} {}", " "] {
            check(&["--auth", text], false);
            check(&["--claims", text, "--jwt-secret", "s"], false);
        }
        for text in ["{}", "{\"n\":{n}}", "{\"token\":\"t{n}\"}"] {
            check(&["--auth", text], true);
            check(&["--claims", text, "--jwt-secret", "s"], true);
        }
        check(&["--clients", "400", "--auth", "{\"a\":1e{n}}"], false);
        check(&["--clients", "300", "--auth", "{\"a\":1e{n}}"], true);
    }

    #[test]
    fn claims_need_a_secret() {
        assert!(Auth::new(&Options::of(&["--claims", "{}"])).is_err());
    }
}
