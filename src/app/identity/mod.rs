//! From what a client presents to an [`Identity`] (DESIGN 5.3). [`intake`] finds the token, [`jwt`]
//! judges it, [`Authenticator`] decides by the configured mode. Pure: the time comes in with every question.
//! Cookie sessions are not read here, and no key is ever looked up by what an unverified token says (B95, B96).

pub mod intake;
pub mod jwt;
mod mint;
mod packed;

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac as _};
use serde_json::{Map, Value};
use sha2::Sha256;

pub use self::mint::{Subject, Unminted};
pub use self::packed::{Claims, Identity};
use crate::app::settings::{any, list, settings, words};
use crate::app::{Asked, AuthFailure};
use crate::base::limit;
use crate::base::secret::Secret;
use crate::base::time::WallMillis;

/// How an identity was established.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum AuthMethod {
    /// Development mode: anything goes, loopback only.
    #[default]
    Dev,
    Jwt,
    /// No token that this layer can judge: the application decides by itself (a signage device with its own token).
    Application,
}

words! {
    /// What `auth.mode` says.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
    pub enum AuthMode {
        /// Any token, and none, is an identity of every role. Refused beyond loopback.
        #[default]
        Dev = "dev",
        /// Only JSON Web Tokens of the configured secret.
        Jwt = "jwt",
    }
}

/// `[auth]` of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthSettings {
    pub mode: AuthMode,
    /// HS256 key; at least 32 bytes in `jwt` mode; may be empty in `dev` mode.
    pub jwt_secret: Secret,
    /// The `iss` a token must carry; empty: any or none.
    pub jwt_issuer: String,
    /// The `aud` a token must name; empty: any or none.
    pub jwt_audience: String,
    /// How far `nbf` and `iat` may lie in the future, in seconds; `exp` is exact.
    pub jwt_leeway_s: u64,
    pub claims: ClaimNames,
}

settings! {
    /// What claims of a token are called. Of each list the first claim that is there, neither null nor empty, decides.
    #[derive(Eq)]
    pub struct ClaimNames {
        sub: Vec<String> = words(&["sub", "userId", "id", "email"]), list(names), "Who somebody is.";
        name: Vec<String> = words(&["name", "nombre", "displayName"]), list(names), "What somebody is called.";
        role: Vec<String> = words(&["role", "rol"]), list(names), "What somebody may do; capitals are as small letters.";
    }
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn names(at: &mut Vec<String>, names: Vec<String>) -> Result<(), String> {
    let is_name = |name: &String| (1..=limit::NAME_BYTES_MAX).contains(&name.len());
    match (1..=limit::CLAIM_NAMES_MAX).contains(&names.len()) && names.iter().all(is_name) {
        true => any(at, names),
        false => Err(format!(
            "must be a list of 1 to {} names of 1 to {} bytes",
            limit::CLAIM_NAMES_MAX,
            limit::NAME_BYTES_MAX
        )),
    }
}

impl Default for AuthSettings {
    fn default() -> Self {
        AuthSettings {
            mode: AuthMode::Dev,
            jwt_secret: Secret::default(),
            jwt_issuer: String::new(),
            jwt_audience: String::new(),
            jwt_leeway_s: 30,
            claims: ClaimNames::default(),
        }
    }
}

/// Turns tokens into identities. One per shard, built once: it keeps the key ready for use.
#[derive(Debug)]
pub struct Authenticator {
    mode: AuthMode,
    /// `None`: no secret is configured, so no JWT can be read.
    verifier: Option<jwt::Verifier>,
    /// The identity of everybody who brings no token in development mode.
    anonymous: Arc<Identity>,
}

impl Authenticator {
    pub fn new(settings: &AuthSettings) -> Authenticator {
        let verifier = (!settings.jwt_secret.is_empty()).then(|| jwt::Verifier::new(settings));
        Authenticator { mode: settings.mode, verifier, anonymous: Arc::new(dev_identity("anonymous")) }
    }

    /// The identity of a CONNECT, by the first token of [`intake::token`].
    ///
    /// # Errors
    /// `Missing` (in `jwt` mode) where no token came at all; else as [`Authenticator::verify`].
    pub fn identify(&self, asked: &Asked<'_>, now: WallMillis) -> Result<Arc<Identity>, AuthFailure> {
        match (intake::token(asked)?, self.mode) {
            (Some(token), _) => self.verify(&token, now),
            (None, AuthMode::Dev) => Ok(self.anonymous.clone()),
            (None, AuthMode::Jwt) => Err(AuthFailure::Missing),
        }
    }

    /// The identity of the bearer of `token`, for HTTP callers as for sockets. In `dev` mode a token that is no JWT of the
    /// configured secret is a name: `sub` is the token, and the role is every role.
    ///
    /// # Errors
    /// `Missing` for an empty token in `jwt` mode, `Expired` for a token that was good once, `Invalid` for all others.
    pub fn verify(&self, token: &str, now: WallMillis) -> Result<Arc<Identity>, AuthFailure> {
        if token.len() > limit::TOKEN_BYTES_MAX {
            return Err(AuthFailure::Invalid);
        }
        let verified = match &self.verifier {
            Some(verifier) => verifier.verify(token, now),
            None => Err(AuthFailure::Invalid),
        };
        match (verified, self.mode) {
            (Ok(identity), _) => Ok(Arc::new(identity)),
            (Err(_), AuthMode::Dev) if token.is_empty() => Ok(self.anonymous.clone()),
            (Err(_), AuthMode::Dev) => Ok(Arc::new(dev_identity(token))),
            (Err(_), AuthMode::Jwt) if token.is_empty() => Err(AuthFailure::Missing),
            (Err(failure), AuthMode::Jwt) => Err(failure),
        }
    }

    /// All claims of a JWT of ours, whatever the mode: a refresh token says more than who somebody is.
    ///
    /// # Errors
    /// As [`Authenticator::verify`] in `jwt` mode.
    pub fn claims(&self, token: &str, now: WallMillis) -> Result<Map<String, Value>, AuthFailure> {
        let verifier = self.verifier.as_ref().ok_or(AuthFailure::Invalid)?;
        verifier.read(token, now).map(|(_, claims)| claims)
    }

    /// A token that [`Authenticator::verify`] takes for `subject` from `now` on.
    ///
    /// # Errors
    /// There is no secret to sign with, as in `dev` mode where none is set, or nobody would take a token of these claims.
    pub fn mint(&self, subject: Subject<'_>, now: WallMillis) -> Result<String, Unminted> {
        self.verifier.as_ref().ok_or(Unminted::NoSecret)?.mint(subject, now)
    }

    /// A signature of a text that is none of a token (it has a byte that no token has): by it we know our own word again, after a restart
    /// and on every shard. Where there is no secret, as in `dev` mode, anybody could make it.
    pub fn sign(&self, text: &str) -> String {
        let secret = self.verifier.as_ref().map_or("", |verifier| verifier.secret.expose());
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("a key may have any length");
        mac.update(text.as_bytes());
        URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes())
    }

    /// Whether [`Authenticator::sign`] has made it.
    pub fn has_signed(&self, text: &str, signature: &str) -> bool {
        Secret::new(self.sign(text)).matches(signature)
    }
}

fn dev_identity(sub: &str) -> Identity {
    Claims { sub: sub.to_owned(), role: "*".to_owned(), method: AuthMethod::Dev, ..Claims::default() }.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::event::Handshake;
    use serde_json::json;

    const NOW: WallMillis = WallMillis(1_755_684_031_000);

    fn settings(mode: AuthMode) -> AuthSettings {
        AuthSettings { mode, jwt_secret: Secret::new("k".repeat(32)), ..AuthSettings::default() }
    }

    fn ask(authenticator: &Authenticator, auth: &str) -> Result<Arc<Identity>, AuthFailure> {
        let handshake = Handshake::new([127, 0, 0, 1].into(), "", "", "");
        authenticator.identify(&Asked { auth: auth.as_bytes(), handshake: &handshake }, NOW)
    }

    #[test]
    fn in_development_mode_a_token_is_a_name_and_no_token_is_anonymous() {
        let dev = Authenticator::new(&AuthSettings::default());
        let nobody = ask(&dev, "{}").unwrap();
        assert_eq!((nobody.sub(), nobody.role()), ("anonymous", "*"));
        assert!(Arc::ptr_eq(&nobody, &ask(&dev, r#"{"token":""}"#).unwrap()), "one identity for all");
        let named = ask(&dev, r#"{"token":"test_token_7"}"#).unwrap();
        assert_eq!((named.sub(), named.method), ("test_token_7", AuthMethod::Dev));
        assert!(named.has_role("admin"));
        let too_long = format!(r#"{{"token":"{}"}}"#, "x".repeat(limit::TOKEN_BYTES_MAX + 1));
        assert_eq!(ask(&dev, &too_long), Err(AuthFailure::Invalid));
    }

    #[test]
    fn in_development_mode_a_good_jwt_is_read_and_a_bad_one_is_a_name() {
        let settings = settings(AuthMode::Dev);
        let dev = Authenticator::new(&settings);
        let claims = json!({"sub": "u1", "role": "viewer", "exp": NOW.as_secs() + 60});
        let token = jwt::mint(&claims, &settings.jwt_secret);
        let identity = dev.verify(&token, NOW).unwrap();
        assert_eq!((identity.sub(), identity.role()), ("u1", "viewer"));
        assert_eq!(identity.method, AuthMethod::Jwt);
        let foreign = jwt::mint(&claims, &Secret::new("x".repeat(32)));
        assert_eq!(dev.verify(&foreign, NOW).unwrap().sub(), foreign);
    }

    #[test]
    fn in_jwt_mode_only_jwts_count() {
        let settings = settings(AuthMode::Jwt);
        let strict = Authenticator::new(&settings);
        assert_eq!(ask(&strict, "{}"), Err(AuthFailure::Missing));
        assert_eq!(strict.verify("", NOW), Err(AuthFailure::Missing));
        assert_eq!(ask(&strict, r#"{"token":"test_token_7"}"#), Err(AuthFailure::Invalid));
        let claims = |exp| json!({"sub": "u1", "exp": exp});
        let good = jwt::mint(&claims(NOW.as_secs() + 1), &settings.jwt_secret);
        assert_eq!(strict.verify(&good, NOW).unwrap().role(), "");
        let old = jwt::mint(&claims(NOW.as_secs()), &settings.jwt_secret);
        assert_eq!(strict.verify(&old, NOW), Err(AuthFailure::Expired));
    }

    #[test]
    fn what_is_minted_is_accepted_and_read_until_it_ends() {
        let settings = AuthSettings {
            jwt_issuer: "i".to_owned(),
            jwt_audience: "a".to_owned(),
            claims: ClaimNames { sub: vec!["uid".to_owned()], ..ClaimNames::default() },
            ..settings(AuthMode::Jwt)
        };
        let ours = Authenticator::new(&settings);
        let with = |claims: Value| Map::from_iter(claims.as_object().unwrap().clone());
        let refresh = with(json!({"type": "refresh", "family": 7, "iss": "other", "exp": 1}));
        let subject = Subject { sub: "u1", role: "agent", claims: refresh, ttl_s: 60 };
        let token = ours.mint(subject, NOW).unwrap();
        let identity = ours.verify(&token, NOW).unwrap();
        assert_eq!((identity.sub(), identity.role(), identity.kind()), ("u1", "agent", Some("refresh")));
        let claims = ours.claims(&token, NOW).unwrap();
        assert_eq!((&claims["family"], &claims["uid"], &claims["iss"]), (&json!(7), &json!("u1"), &json!("i")));
        let later = WallMillis(NOW.0 + 60_000);
        assert_eq!(ours.claims(&token, later), Err(AuthFailure::Expired));
        assert_eq!(ours.verify(&token, later), Err(AuthFailure::Expired));
        assert_eq!(ours.claims("x", NOW), Err(AuthFailure::Invalid));
    }

    #[test]
    fn no_token_is_minted_that_nobody_would_take() {
        let ours = Authenticator::new(&settings(AuthMode::Jwt));
        let mint = |sub, role, ttl_s| ours.mint(Subject { sub, role, ttl_s, ..Subject::default() }, NOW).map(drop);
        assert_eq!(mint("u1", "", 1), Ok(()));
        for (sub, role, ttl_s) in [("", "", 1), ("u1", "*", 1), ("u1", "", 0), ("u1", "", u64::MAX)] {
            assert_eq!(mint(sub, role, ttl_s), Err(Unminted::Refused), "{sub} {role} {ttl_s}");
        }
        let dev = Authenticator::new(&AuthSettings::default());
        let subject = Subject { sub: "u1", ttl_s: 1, ..Subject::default() };
        assert_eq!(dev.mint(subject, NOW), Err(Unminted::NoSecret));
        assert_eq!(dev.claims("u1", NOW), Err(AuthFailure::Invalid));
    }

    #[test]
    fn nothing_printed_shows_the_secret() {
        let settings = settings(AuthMode::Jwt);
        let printed = format!("{settings:?} {:?}", Authenticator::new(&settings));
        assert!(!printed.contains("kkkk"), "{printed}");
    }
}
