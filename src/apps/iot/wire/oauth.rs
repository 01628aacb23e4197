//! How an account of the cloud is opened, and how it stays so: a code for e-mail and password, a token for the code, a newer token for
//! the one that ends. Codes and tokens are JWTs that are not signed for us: what they say of a host is held against the hosts that
//! the configuration knows.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::Value;
use sha1::{Digest as _, Sha1};
use url::Url;

use super::http::{Fault, form, of_status};
use crate::app::fetch::{Fetch, FetchError, Fetched};
use crate::base::hex::hex;
use crate::base::secret::Secret;

/// Which hosts are a cloud's.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hosts<'a> {
    /// Names, or `*.` and what they end in.
    pub patterns: &'a [String],
    /// Without TLS, too.
    pub allow_insecure: bool,
}

/// What a token is good for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Grant {
    pub access_token: Secret,
    /// One that is asked with for the next; none: the code is used again.
    pub refresh_token: Option<Secret>,
    /// From now on, in seconds.
    pub life_s: u64,
    /// Where its account is now, if it says so.
    pub api_host: Option<Url>,
}

/// Why there is none.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Denied {
    /// The cloud will not have it: e-mail and password, or a code or token that is over.
    Refused,
    /// An account that is where none may be.
    ForbiddenHost,
    /// Nobody knows: it may be asked again, later.
    Failed(Fault),
}

impl Hosts<'_> {
    /// The address of an account: its scheme, host and port, if it is one of a cloud's. Without a scheme it is `https`.
    pub(crate) fn address(&self, text: &str) -> Option<Url> {
        let text = text.trim();
        let whole = if text.contains("://") { text.to_owned() } else { format!("https://{text}") };
        let mut url = Url::parse(&whole).ok()?;
        let is_safe = url.scheme() == "https" || (self.allow_insecure && url.scheme() == "http");
        let is_plain = url.username().is_empty() && url.password().is_none();
        let is_known = url.host_str().is_some_and(|host| self.patterns.iter().any(|pattern| covers(pattern, host)));
        if !(is_safe && is_plain && is_known) {
            return None;
        }
        url.set_path("");
        url.set_query(None);
        url.set_fragment(None);
        Some(url)
    }
}

/// Asks for a code.
pub(crate) fn login(login_url: &str, email: &str, password: &str) -> Fetch {
    let password = hex(&Sha1::digest(password.as_bytes()));
    let fields = [("email", email), ("password", &password), ("client_id", CLIENT)];
    form(format!("{}/oauth/login", login_url.trim_end_matches('/')), &fields)
}

/// The code, and where its account is.
pub(crate) fn read_login(result: &Result<Fetched, FetchError>, hosts: Hosts<'_>) -> Result<(String, Url), Denied> {
    let body = body(result)?;
    if body["isok"] == Value::Bool(false) {
        return Err(Denied::Refused);
    }
    let code = text(&body["data"]["code"]).ok_or(Denied::Failed(Fault::Unreadable))?;
    let address = address_of_code(code, hosts)?;
    Ok((code.to_owned(), address))
}

/// Where the account of a code is.
pub(crate) fn address_of_code(code: &str, hosts: Hosts<'_>) -> Result<Url, Denied> {
    let claims = claims(code).ok_or(Denied::Refused)?;
    let said = text(&claims["user_api_url"]).ok_or(Denied::ForbiddenHost)?;
    hosts.address(said).ok_or(Denied::ForbiddenHost)
}

/// Asks for a token, or a newer one, by a code.
pub(crate) fn by_code(api_host: &Url, code: &str) -> Fetch {
    grant(api_host, &[("client_id", CLIENT), ("grant_type", "code"), ("code", code)])
}

/// Asks for a newer token by a refresh token.
pub(crate) fn by_refresh(api_host: &Url, token: &str) -> Fetch {
    grant(api_host, &[("client_id", CLIENT), ("grant_type", "refresh_token"), ("refresh_token", token)])
}

/// The token of an answer that came at `now_s`, seconds since 1970.
pub(crate) fn read_grant(result: &Result<Fetched, FetchError>, hosts: Hosts<'_>, now_s: u64) -> Result<Grant, Denied> {
    let body = body(result)?;
    if body["isok"] == Value::Bool(false) {
        return Err(Denied::Refused);
    }
    // Some answers wrap it as those of other calls.
    let body = if body["access_token"].is_null() { &body["data"] } else { &body };
    let access_token = text(&body["access_token"]).ok_or(Denied::Failed(Fault::Unreadable))?;
    let claims = claims(access_token).unwrap_or_default();
    let ends = claims["exp"].as_f64().map(|ends| (ends as u64).saturating_sub(now_s));
    let said = || body["expires_in"].as_f64().or_else(|| body["expires_in"].as_str()?.parse().ok());
    let life_s = ends.or_else(|| said().map(|life| life as u64)).unwrap_or(LIFE_S).min(LIFE_S_MAX);
    let api_host = match text(&claims["user_api_url"]) {
        Some(address) => Some(hosts.address(address).ok_or(Denied::ForbiddenHost)?),
        None => None,
    };
    let refresh_token = text(&body["refresh_token"]).map(Secret::new);
    Ok(Grant { access_token: Secret::new(access_token), refresh_token, life_s, api_host })
}

fn grant(api_host: &Url, fields: &[(&str, &str)]) -> Fetch {
    form(format!("{}oauth/auth", api_host), fields)
}

/// The body of an answer that is one. A refusal in words comes with a status of its own at times.
fn body(result: &Result<Fetched, FetchError>) -> Result<Value, Denied> {
    let fetched = result.as_ref().map_err(|error| Denied::Failed(Fault::Network(error.kind)))?;
    match fetched.status {
        200..=299 => {
            serde_json::from_slice(&fetched.body).ok().filter(Value::is_object).ok_or(Denied::Failed(Fault::Unreadable))
        }
        429 | 408 => Err(Denied::Failed(of_status(fetched))),
        400..=499 => Err(Denied::Refused),
        _ => Err(Denied::Failed(of_status(fetched))),
    }
}

/// What a JWT says, which nobody has checked.
fn claims(token: &str) -> Option<Value> {
    let payload = token.split('.').nth(1)?.trim_end_matches('=');
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(payload).ok()?;
    serde_json::from_slice(&bytes).ok().filter(Value::is_object)
}

fn text(value: &Value) -> Option<&str> {
    value.as_str().filter(|text| !text.is_empty())
}

fn covers(pattern: &str, host: &str) -> bool {
    match pattern.strip_prefix("*.") {
        Some(end) => {
            let (host, end) = (host.to_ascii_lowercase(), end.to_ascii_lowercase());
            host.strip_suffix(&*end).is_some_and(|name| name.len() > 1 && name.ends_with('.'))
        }
        None => pattern.trim_matches(['[', ']']).eq_ignore_ascii_case(host.trim_matches(['[', ']'])),
    }
}

/// The client that the cloud gives to those who are none of its partners.
const CLIENT: &str = "shelly-diy";
/// Of a token that does not say, and the longest that one is believed to have.
const LIFE_S: u64 = 12 * 3_600;
const LIFE_S_MAX: u64 = 366 * 24 * 3_600;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::fetch::FetchFailure;
    use bytes::Bytes;
    use serde_json::json;

    fn patterns() -> Vec<String> {
        ["*.shelly.cloud", "127.0.0.1", "cloud.example", "[::1]"].map(str::to_owned).into()
    }

    fn jwt(claims: &Value) -> String {
        let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
        format!("{}.{}.c2ln", part(&json!({"alg": "HS256"})), part(claims))
    }

    fn fetched(status: u16, body: &str) -> Result<Fetched, FetchError> {
        Ok(Fetched { status, headers: Vec::new(), body: Bytes::copy_from_slice(body.as_bytes()), redirects: 0 })
    }

    #[test]
    fn only_known_hosts_are_a_clouds() {
        let patterns = patterns();
        let secure = Hosts { patterns: &patterns, allow_insecure: false };
        let insecure = Hosts { patterns: &patterns, allow_insecure: true };
        for (text, with_tls, without) in [
            ("https://shelly-49-eu.shelly.cloud", Some("https://shelly-49-eu.shelly.cloud/"), true),
            ("https://shelly-49-eu.shelly.cloud:8443/x?y#z", Some("https://shelly-49-eu.shelly.cloud:8443/"), true),
            ("shelly-49-eu.shelly.cloud", Some("https://shelly-49-eu.shelly.cloud/"), true),
            ("https://SHELLY-49-EU.Shelly.Cloud/", Some("https://shelly-49-eu.shelly.cloud/"), true),
            ("https://cloud.example", Some("https://cloud.example/"), true),
            ("https://[::1]:7", Some("https://[::1]:7/"), true),
            ("http://127.0.0.1:9000", None, true),
            ("http://shelly-49-eu.shelly.cloud", None, true),
            ("https://shelly.cloud", None, false),
            ("https://.shelly.cloud", None, false),
            ("https://evilshelly.cloud", None, false),
            ("https://x.shelly.cloud.evil.example", None, false),
            ("https://x.shelly.cloud@evil.example", None, false),
            ("https://user:pass@x.shelly.cloud", None, false),
            ("https://evil.example/?x.shelly.cloud", None, false),
            ("https://sub.cloud.example", None, false),
            ("file:///etc/passwd", None, false),
            ("ws://x.shelly.cloud", None, false),
            ("", None, false),
        ] {
            assert_eq!(secure.address(text).as_ref().map(Url::as_str), with_tls, "{text}");
            assert_eq!(insecure.address(text).is_some(), without, "{text}");
        }
    }

    #[test]
    fn requests_are_forms() {
        let body = |fetch: &Fetch| String::from_utf8(fetch.body.to_vec()).unwrap();
        let fetch = login("https://api.shelly.cloud/", "ana+1@example.com", "secret");
        assert_eq!(fetch.url, "https://api.shelly.cloud/oauth/login");
        assert_eq!(
            body(&fetch),
            "email=ana%2B1%40example%2Ecom&password=e5e9fa1ba31ecd1ae84f75caaa474f3a663f05f4&client_id=shelly%2Ddiy"
                .replace("%2Ddiy", "-diy")
        );
        assert!(fetch.headers.contains(&("content-type".to_owned(), "application/x-www-form-urlencoded".to_owned())));
        let host: Url = "https://shelly-49-eu.shelly.cloud".parse().unwrap();
        let fetch = by_code(&host, "a.b.c");
        assert_eq!(fetch.url, "https://shelly-49-eu.shelly.cloud/oauth/auth");
        assert_eq!(body(&fetch), "client_id=shelly-diy&grant_type=code&code=a%2Eb%2Ec");
        let fetch = by_refresh(&host, "r/1");
        assert_eq!(body(&fetch), "client_id=shelly-diy&grant_type=refresh_token&refresh_token=r%2F1");
    }

    #[test]
    fn a_login_gives_a_code_and_its_host_or_says_why_not() {
        let patterns = patterns();
        let hosts = Hosts { patterns: &patterns, allow_insecure: false };
        let read = |status, body: &str| read_login(&fetched(status, body), hosts);
        let code = jwt(&json!({"user_api_url": "https://shelly-49-eu.shelly.cloud"}));
        let good = json!({"isok": true, "data": {"code": code}}).to_string();
        assert_eq!(read(200, &good), Ok((code, "https://shelly-49-eu.shelly.cloud/".parse().unwrap())));
        let of = |code: &str| json!({"isok": true, "data": {"code": code}}).to_string();
        let elsewhere = jwt(&json!({"user_api_url": "https://evil.example"}));
        for (status, body, expected) in [
            (200, r#"{"isok":false,"errors":{"wrong":"x"}}"#.to_owned(), Denied::Refused),
            (401, r#"{"isok":false}"#.to_owned(), Denied::Refused),
            (400, String::new(), Denied::Refused),
            (200, of(&elsewhere), Denied::ForbiddenHost),
            (200, of(&jwt(&json!({}))), Denied::ForbiddenHost),
            (200, of("no.jwt"), Denied::Refused),
            (200, r#"{"isok":true}"#.to_owned(), Denied::Failed(Fault::Unreadable)),
            (200, "<html>".to_owned(), Denied::Failed(Fault::Unreadable)),
            (200, "[]".to_owned(), Denied::Failed(Fault::Unreadable)),
            (500, String::new(), Denied::Failed(Fault::Status(500))),
            (302, String::new(), Denied::Failed(Fault::Status(302))),
            (429, String::new(), Denied::Failed(Fault::TooMany { after_s: None })),
        ] {
            assert_eq!(read(status, &body), Err(expected), "{status} {body}");
        }
        let failed = Err(FetchError::new(FetchFailure::Dns, ""));
        assert_eq!(read_login(&failed, hosts), Err(Denied::Failed(Fault::Network(FetchFailure::Dns))));
    }

    #[test]
    fn a_token_lives_as_long_as_it_says_and_may_move_its_account() {
        let patterns = patterns();
        let hosts = Hosts { patterns: &patterns, allow_insecure: false };
        let read = |body: &Value| read_grant(&fetched(200, &body.to_string()), hosts, 1_000);
        let life = |body: &Value| read(body).map(|grant| grant.life_s);
        let ends = jwt(&json!({"exp": 1_600}));
        assert_eq!(life(&json!({"access_token": ends, "expires_in": 7})), Ok(600));
        assert_eq!(life(&json!({"access_token": jwt(&json!({"exp": 900}))})), Ok(0));
        assert_eq!(life(&json!({"access_token": "opaque", "expires_in": 7})), Ok(7));
        assert_eq!(life(&json!({"access_token": "opaque", "expires_in": "7"})), Ok(7));
        assert_eq!(life(&json!({"access_token": "opaque"})), Ok(43_200));
        assert_eq!(life(&json!({"isok": true, "data": {"access_token": "opaque", "expires_in": 9}})), Ok(9));
        assert_eq!(life(&json!({"access_token": "opaque", "expires_in": 1e300})), Ok(LIFE_S_MAX));
        assert_eq!(life(&json!({"access_token": ""})), Err(Denied::Failed(Fault::Unreadable)));
        let moved = jwt(&json!({"exp": 1_600, "user_api_url": "https://shelly-50-eu.shelly.cloud"}));
        let grant = read(&json!({"access_token": moved, "refresh_token": "r"})).unwrap();
        assert_eq!(grant.api_host.unwrap().as_str(), "https://shelly-50-eu.shelly.cloud/");
        assert_eq!(grant.refresh_token, Some(Secret::new("r")));
        let evil = jwt(&json!({"user_api_url": "https://evil.example"}));
        assert_eq!(read(&json!({"access_token": evil})), Err(Denied::ForbiddenHost));
        assert_eq!(read(&json!({"isok": false})), Err(Denied::Refused));
    }
}
