//! `siod token`: mints a JWT from the configured secret, and only one that the daemon would accept.

use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::app::identity::{Authenticator, Subject};
use crate::base::time::WallMillis;
use crate::config::args::Token;
use crate::config::{AuthMode, AuthSettings, Config};

/// Prints the token, or why there is none.
pub(super) fn print(config: &Config, asked: &Token) -> ExitCode {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    match mint(&config.auth, asked, since_epoch.into()) {
        Ok(token) => super::answer(&token),
        Err(sentence) => super::refuse(ExitCode::from(2), &[sentence]),
    }
}

fn mint(auth: &AuthSettings, asked: &Token, now: WallMillis) -> Result<String, String> {
    if auth.jwt_secret.is_empty() {
        let set = "set SIOD__AUTH__JWT_SECRET to mint tokens";
        return Err(match auth.mode {
            AuthMode::Dev => format!(
                "auth.jwt_secret is empty, and auth.mode is \"dev\": any string is a token there, with every role and with \
                 itself as sub (\"{}\" will do); {set}",
                asked.sub
            ),
            AuthMode::Jwt => format!("auth.jwt_secret is empty; {set}"),
        });
    }
    let (sub, role) = (asked.sub.as_str(), asked.role.as_str());
    let claims = asked.claims.iter().cloned().collect();
    let minted = Authenticator::new(auth).mint(Subject { sub, role, claims, ttl_s: asked.ttl.as_secs() }, now);
    minted.map_err(|_| {
        "the daemon would refuse a token of these claims: sub must have 1 to 255 bytes, role must not be *, \
                       permissions and groups must be lists of strings, and the other claims it reads strings"
            .to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::identity::ClaimNames;
    use crate::config::Secret;
    use serde_json::{Value, json};
    use std::time::Duration;

    const NOW: WallMillis = WallMillis(1_755_684_031_000);

    fn asked(claims: &[(&str, Value)]) -> Token {
        Token {
            sub: "u1".to_owned(),
            role: "operator".to_owned(),
            claims: claims.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect(),
            ttl: Duration::from_secs(60),
        }
    }

    #[test]
    fn a_minted_token_is_accepted_until_it_ends() {
        let auth = AuthSettings {
            mode: AuthMode::Jwt,
            jwt_secret: Secret::new("s".repeat(32)),
            jwt_issuer: "i".to_owned(),
            jwt_audience: "a".to_owned(),
            ..AuthSettings::default()
        };
        let token = mint(&auth, &asked(&[("tenantId", "t".into()), ("groups", json!(["g1"]))]), NOW).unwrap();
        let authenticator = Authenticator::new(&auth);
        let identity = authenticator.verify(&token, NOW).unwrap();
        assert_eq!((identity.role(), identity.tenant_id()), ("operator", Some("t")));
        assert!(identity.groups().eq(["g1"]));
        assert!(authenticator.verify(&token, WallMillis(NOW.0 + 60_000)).is_err());
        assert!(mint(&auth, &asked(&[("groups", "g1".into())]), NOW).unwrap_err().contains("lists of strings"));
    }

    #[test]
    fn a_minted_token_has_the_claims_by_the_names_that_are_read() {
        let claims = ClaimNames { sub: vec!["uid".to_owned()], role: vec!["rol".to_owned()], ..ClaimNames::default() };
        let auth = AuthSettings {
            mode: AuthMode::Jwt,
            jwt_secret: Secret::new("s".repeat(32)),
            claims,
            ..AuthSettings::default()
        };
        let identity = Authenticator::new(&auth).verify(&mint(&auth, &asked(&[]), NOW).unwrap(), NOW).unwrap();
        assert_eq!((identity.sub(), identity.role()), ("u1", "operator"));
    }

    #[test]
    fn without_a_secret_it_says_what_to_do() {
        let sentence = mint(&AuthSettings::default(), &asked(&[]), NOW).unwrap_err();
        assert!(
            sentence.contains("any string is a token") && sentence.contains("SIOD__AUTH__JWT_SECRET"),
            "{sentence}"
        );
    }
}
