//! Where a token may be written (DESIGN 5.3), in order: `auth.token`, `auth.authToken`, the `Authorization` header, the
//! query parameter `token`. The first that is there decides; a bad one is not mended by a good one further on.

use serde::Deserialize;
use serde_json::Value;

use super::jwt;
use crate::app::{Asked, AuthFailure};

/// The token a CONNECT brings, without `Bearer `; `None` where no place holds one (empty and `null` count as none).
///
/// # Errors
/// `Invalid` where the auth object is no JSON object, names a token twice, or holds one that is neither text nor a whole number.
pub fn token(asked: &Asked<'_>) -> Result<Option<String>, AuthFailure> {
    let auth: AuthObject = serde_json::from_slice(asked.auth).map_err(|_| AuthFailure::Invalid)?;
    for written in [auth.token, auth.auth_token].into_iter().flatten() {
        let text = jwt::plain(&written).ok_or(AuthFailure::Invalid)?;
        if let Some(token) = bare(&text) {
            return Ok(Some(token.to_owned()));
        }
    }
    // Credentials of another scheme (`Basic …`, meant for a proxy before us) contain a space and are no token of ours.
    if let Some(token) = bare(asked.handshake.authorization()).filter(|token| !token.contains(' ')) {
        return Ok(Some(token.to_owned()));
    }
    let query = asked.handshake.query_value("token").unwrap_or_default();
    Ok(bare(&query).map(str::to_owned))
}

/// A token without the word `Bearer` and the white space around it (one that was read from a file ends in a newline);
/// `None` if nothing is left.
pub fn bare(text: &str) -> Option<&str> {
    let text = text.trim_ascii();
    let token = match text.split_at_checked(7) {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("bearer ") => rest.trim_ascii_start(),
        _ if text.eq_ignore_ascii_case("bearer") => "",
        _ => text,
    };
    (!token.is_empty()).then_some(token)
}

/// The two members of the auth object that matter here; serde refuses either one written twice.
#[derive(Deserialize)]
struct AuthObject {
    token: Option<Value>,
    #[serde(rename = "authToken")]
    auth_token: Option<Value>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::event::Handshake;

    fn check(auth: &str, authorization: &str, query: &str, expected: Result<Option<&str>, AuthFailure>) {
        let handshake = Handshake::new([127, 0, 0, 1].into(), query, "", authorization);
        let found = token(&Asked { auth: auth.as_bytes(), handshake: &handshake });
        assert_eq!(found, expected.map(|token| token.map(str::to_owned)), "{auth} {authorization} {query}");
    }

    #[test]
    fn the_first_place_that_holds_a_token_decides() {
        let all = r#"{"authToken":"b","token":"a"}"#;
        check(all, "c", "token=d", Ok(Some("a")));
        check(r#"{"authToken":"b","deviceId":"p1"}"#, "c", "token=d", Ok(Some("b")));
        check("{}", "c", "token=d", Ok(Some("c")));
        check("{}", "", "x=1&token=d%2Ee", Ok(Some("d.e")));
        check("{}", "", "x=1", Ok(None));
        check(r#"{"token":"","authToken":null}"#, "", "", Ok(None));
        check(r#"{"token":null,"authToken":"b"}"#, "", "", Ok(Some("b")));
    }

    #[test]
    fn bearer_is_stripped_and_other_schemes_are_not_tokens() {
        check(r#"{"token":"Bearer a"}"#, "", "", Ok(Some("a")));
        check(r#"{"token":"bearer  a "}"#, "", "", Ok(Some("a")));
        check(r#"{"token":"Bearer "}"#, "", "token=d", Ok(Some("d")));
        check("{}", "Bearer c", "", Ok(Some("c")));
        check("{}", "Basic dXNlcjpwYXNz", "token=d", Ok(Some("d")));
        check(r#"{"token":"Bearér"}"#, "", "", Ok(Some("Bearér")));
        check(r#"{"token":"\ta.b.c\r\n"}"#, "", "", Ok(Some("a.b.c")));
        check(r#"{"token":"Bearer a.b.c\n"}"#, "", "", Ok(Some("a.b.c")));
        check("{}", "", "token=a.b.c%0A", Ok(Some("a.b.c")));
        check(r#"{"authToken":20250820}"#, "", "", Ok(Some("20250820")));
    }

    #[test]
    fn what_is_no_token_is_refused_rather_than_passed_over() {
        for auth in [
            r#"{"token":1.5}"#,
            r#"{"token":true}"#,
            r#"{"token":["a"]}"#,
            r#"{"token":"a","token":"b"}"#,
            r#"["#,
            r#""a""#,
            "",
        ] {
            check(auth, "c", "token=d", Err(AuthFailure::Invalid));
        }
    }
}
