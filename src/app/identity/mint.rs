//! New tokens: whom one is for and how long goes in, a token comes out that the daemon takes, or why there is none.

use serde_json::{Map, Value};

use super::jwt::{self, Verifier};
use crate::base::time::WallMillis;

/// Whom a new token is to stand for.
#[derive(Debug, Default)]
pub struct Subject<'a> {
    pub sub: &'a str,
    /// Empty: none.
    pub role: &'a str,
    /// What else it says; `iat`, `exp`, `iss` and `aud` are not taken from here.
    pub claims: Map<String, Value>,
    pub ttl_s: u64,
}

/// Why there is no token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unminted {
    /// No secret is configured.
    NoSecret,
    /// The daemon would refuse a token of these claims.
    Refused,
}

impl Verifier {
    /// A token for `subject` from `now` on, by the names and with the issuer and audience that are asked of one.
    ///
    /// # Errors
    /// [`Unminted::Refused`] where it would not be accepted: it would be of no use to anybody.
    pub fn mint(&self, subject: Subject<'_>, now: WallMillis) -> Result<String, Unminted> {
        let mut claims = Map::new();
        for (names, value) in [(&self.names.sub, subject.sub), (&self.names.role, subject.role)] {
            if !value.is_empty() {
                claims.insert(names[0].clone(), value.into());
            }
        }
        claims.extend(subject.claims);
        claims.insert("iat".to_owned(), now.as_secs().into());
        claims.insert("exp".to_owned(), now.as_secs().saturating_add(subject.ttl_s).into());
        for (name, value) in [("iss", &self.issuer), ("aud", &self.audience)] {
            if !value.is_empty() {
                claims.insert(name.to_owned(), value.as_str().into());
            }
        }
        let token = jwt::mint(&Value::Object(claims), &self.secret);
        self.verify(&token, now).map(|_| token).map_err(|_| Unminted::Refused)
    }
}
