//! JSON Web Tokens, HS256 and nothing else: token and time in, identity out. The algorithm is pinned by us, the header
//! chooses nothing (RFC 8725 section 3.1), and `exp`, `nbf`, `iat` are judged here by the time passed in: of the library
//! only the signature is used, since its own validation reads the clock. Spec: RFC 7515, RFC 7519.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, crypto};
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::{Map, Value};

use super::{AuthMethod, AuthSettings, ClaimNames, Claims, Identity};
use crate::app::AuthFailure;
use crate::base::limit;
use crate::base::secret::Secret;
use crate::base::time::WallMillis;

/// Keys ready for use, and what a token must say beside its signature.
#[derive(Debug)]
pub struct Verifier {
    key: DecodingKey,
    pub(super) secret: Secret,
    /// Empty: any or none; likewise `audience`.
    pub(super) issuer: String,
    pub(super) audience: String,
    leeway_s: u64,
    pub(super) names: ClaimNames,
}

impl Verifier {
    /// `settings.jwt_secret` must not be empty.
    pub fn new(settings: &AuthSettings) -> Verifier {
        Verifier {
            key: DecodingKey::from_secret(settings.jwt_secret.expose().as_bytes()),
            secret: settings.jwt_secret.clone(),
            issuer: settings.jwt_issuer.clone(),
            audience: settings.jwt_audience.clone(),
            leeway_s: settings.jwt_leeway_s,
            names: settings.claims.clone(),
        }
    }

    /// The identity a token stands for at `now`.
    ///
    /// # Errors
    /// `Expired` where all is well but `exp`; `Invalid` for everything else.
    pub fn verify(&self, token: &str, now: WallMillis) -> Result<Identity, AuthFailure> {
        self.read(token, now).map(|(identity, _)| identity)
    }

    /// As [`Verifier::verify`], with all claims of the token, those that an identity does not know included.
    pub fn read(&self, token: &str, now: WallMillis) -> Result<(Identity, Map<String, Value>), AuthFailure> {
        let claims = self.authentic_claims(token).ok_or(AuthFailure::Invalid)?;
        let identity = identity(&claims, &self.names).ok_or(AuthFailure::Invalid)?;
        if !self.meant_for_us(&claims) || !self.begun(&claims, now) {
            return Err(AuthFailure::Invalid);
        }
        match identity.expires_at_s {
            Some(exp) if now.as_secs() < exp => Ok((identity.into(), claims)),
            _ => Err(AuthFailure::Expired),
        }
    }

    /// The claims of a token with our signature; `None` for any other text.
    fn authentic_claims(&self, token: &str) -> Option<Map<String, Value>> {
        if token.len() > limit::TOKEN_BYTES_MAX {
            return None;
        }
        let (signed, signature) = token.rsplit_once('.')?;
        let (header, payload) = signed.split_once('.')?;
        let header = json_object(header)?;
        if header.get("alg") != Some(&Value::from("HS256")) || header.contains_key("crit") {
            return None;
        }
        // The signature is the only part the library decodes: an alphabet of our own keeps padding and newlines out.
        let is_alphabet = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if !signature.bytes().all(is_alphabet) {
            return None;
        }
        let authentic = crypto::verify(signature, signed.as_bytes(), &self.key, Algorithm::HS256);
        authentic.unwrap_or(false).then(|| json_object(payload))?
    }

    /// Whether `iss` and `aud` are ours, as far as the configuration asks for either.
    fn meant_for_us(&self, claims: &Map<String, Value>) -> bool {
        let issued = self.issuer.is_empty() || claims.get("iss").and_then(Value::as_str) == Some(self.issuer.as_str());
        let audience = match claims.get("aud") {
            None => Some(Vec::new()),
            Some(Value::String(one)) => Some(vec![one.clone()]),
            Some(_) => strings(claims, "aud"),
        };
        issued && audience.is_some_and(|named| self.audience.is_empty() || named.contains(&self.audience))
    }

    /// Whether `nbf` and `iat`, if there, are seconds no further ahead than the leeway.
    fn begun(&self, claims: &Map<String, Value>, now: WallMillis) -> bool {
        let latest = now.as_secs().saturating_add(self.leeway_s);
        let is_past = |at: &Value| seconds(at).is_some_and(|seconds| seconds <= latest);
        ["nbf", "iat"].iter().all(|name| claims.get(*name).is_none_or(is_past))
    }
}

/// Signs a token; `claims` is a JSON object, taken as it is.
pub fn mint(claims: &Value, secret: &Secret) -> String {
    let part = |json: &str| URL_SAFE_NO_PAD.encode(json);
    let signed = format!("{}.{}", part(r#"{"alg":"HS256","typ":"JWT"}"#), part(&claims.to_string()));
    let key = EncodingKey::from_secret(secret.expose().as_bytes());
    let signature = crypto::sign(signed.as_bytes(), &key, Algorithm::HS256).expect("HMAC takes a key of any length");
    format!("{signed}.{signature}")
}

/// The identity in a set of claims; `None` if one has the wrong shape, or if whom they are about or `exp` is missing.
fn identity(claims: &Map<String, Value>, names: &ClaimNames) -> Option<Claims> {
    let sub = first(claims, &names.sub)?.filter(|sub| !sub.is_empty() && sub.len() <= limit::NAME_BYTES_MAX)?;
    // Every role at once exists in development mode only; nobody is given it by a signature.
    let role = first(claims, &names.role)?.unwrap_or_default().to_ascii_lowercase();
    if role == "*" {
        return None;
    }
    Some(Claims {
        sub,
        role,
        name: first(claims, &names.name)?,
        email: text(claims, "email")?,
        permissions: strings(claims, "permissions")?,
        groups: strings(claims, "groups")?,
        workspace_id: text(claims, "workspaceId")?,
        tenant_id: text(claims, "tenantId")?,
        system_id: text(claims, "systemId")?,
        device_id: text(claims, "deviceId")?,
        kind: text(claims, "type")?,
        expires_at_s: Some(seconds(claims.get("exp")?).filter(|exp| *exp <= EXP_MAX_S)?),
        method: AuthMethod::Jwt,
    })
}

/// A NumericDate (RFC 7519 section 2), which may have a fraction, in whole seconds.
fn seconds(value: &Value) -> Option<u64> {
    // A float beyond the integers saturates, and is too late for every use.
    value.as_u64().or_else(|| value.as_f64().filter(|seconds| *seconds >= 0.0).map(|seconds| seconds as u64))
}

/// An optional text: `Some(None)` if absent or null, `None` if it is something else.
fn text(claims: &Map<String, Value>, name: &str) -> Option<Option<String>> {
    match claims.get(name) {
        None | Some(Value::Null) => Some(None),
        Some(value) => plain(value).map(Some),
    }
}

/// The text of the first of these claims that is there and not empty.
fn first(claims: &Map<String, Value>, names: &[String]) -> Option<Option<String>> {
    let is_there = |value: &Value| !value.is_null() && value.as_str() != Some("");
    let there = names.iter().find(|name| claims.get(*name).is_some_and(is_there));
    there.map_or(Some(None), |name| text(claims, name))
}

/// An optional array of texts: empty if absent or null, `None` if it is something else.
fn strings(claims: &Map<String, Value>, name: &str) -> Option<Vec<String>> {
    match claims.get(name) {
        None | Some(Value::Null) => Some(Vec::new()),
        Some(Value::Array(items)) => items.iter().map(plain).collect(),
        Some(_) => None,
    }
}

/// A string, or a whole number as its digits: ids are numbers where databases count them.
pub(super) fn plain(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) if !number.is_f64() => Some(number.to_string()),
        _ => None,
    }
}

/// Decodes one part of a token: unpadded URL-safe base64 of a JSON object in which no member occurs twice.
fn json_object(part: &str) -> Option<Map<String, Value>> {
    let bytes = URL_SAFE_NO_PAD.decode(part).ok()?;
    serde_json::from_slice::<Members>(&bytes).ok().map(|members| members.0)
}

/// A JSON object that was refused if any of its members occurred twice: readers differ in which one counts.
struct Members(Map<String, Value>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Members, D::Error> {
        deserializer.deserialize_map(UniqueMembers)
    }
}

struct UniqueMembers;

impl<'de> Visitor<'de> for UniqueMembers {
    type Value = Members;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object whose members differ in name")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Members, A::Error> {
        let mut members = Map::new();
        while let Some((name, value)) = access.next_entry::<String, Value>()? {
            if members.insert(name, value).is_some() {
                return Err(A::Error::custom("a member occurs twice"));
            }
        }
        Ok(Members(members))
    }
}

/// The last second of the year 9999. A later `exp` is a mistake (milliseconds, mostly), and would overflow a deadline.
const EXP_MAX_S: u64 = 253_402_300_799;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::identity::AuthMode;
    use jsonwebtoken::Header;
    use serde_json::json;

    const NOW: WallMillis = WallMillis(1_755_684_031_999);
    const NOW_S: u64 = 1_755_684_031;
    const HEADER: &str = r#"{"alg":"HS256","typ":"JWT"}"#;
    const GOOD: &str = r#"{"sub":"u1","exp":1755684091}"#;

    fn secret() -> Secret {
        Secret::new("0123456789abcdef0123456789abcdef")
    }

    fn verifier(issuer: &str, audience: &str) -> Verifier {
        Verifier::new(&AuthSettings {
            mode: AuthMode::Jwt,
            jwt_secret: secret(),
            jwt_issuer: issuer.to_owned(),
            jwt_audience: audience.to_owned(),
            jwt_leeway_s: 30,
            claims: ClaimNames::default(),
        })
    }

    /// The code under test against the whole of what a client sees: a `sub`, or a failure.
    fn check(token: &str, expected: Result<&str, AuthFailure>, why: &str) {
        let found = verifier("", "").verify(token, NOW).map(|identity| identity.sub().to_owned());
        assert_eq!(found, expected.map(str::to_owned), "{why}: {token}");
    }

    fn b64(text: impl AsRef<[u8]>) -> String {
        URL_SAFE_NO_PAD.encode(text)
    }

    /// Signs any two parts with `algorithm`, whatever they say.
    fn sign_as(algorithm: Algorithm, key: &str, header: &str, payload: &str) -> String {
        let signed = format!("{header}.{payload}");
        let key = EncodingKey::from_secret(key.as_bytes());
        let signature = crypto::sign(signed.as_bytes(), &key, algorithm).unwrap();
        format!("{signed}.{signature}")
    }

    /// A token of ours with this header and these claims, as JSON texts.
    fn signed(header: &str, claims: &str) -> String {
        sign_as(Algorithm::HS256, secret().expose(), &b64(header), &b64(claims))
    }

    /// `GOOD` with more members in front.
    fn claims(more: &str) -> String {
        signed(HEADER, &format!("{{{more},{}", &GOOD[1..]))
    }

    fn header(more: &str) -> String {
        signed(&format!("{{{more},{}", &HEADER[1..]), GOOD)
    }

    type Table = Vec<(&'static str, String)>;

    #[test]
    fn b96_no_hostile_token_is_accepted() {
        check(&signed(HEADER, GOOD), Ok("u1"), "the token all others are made from");
        let hostile = [misshapen(), with_a_key_or_algorithm_of_their_own(), with_claims_that_will_not_do()].concat();
        assert!(hostile.len() >= 40);
        for (why, token) in &hostile {
            check(token, Err(AuthFailure::Invalid), why);
        }
    }

    fn misshapen() -> Table {
        let good = signed(HEADER, GOOD);
        let [head, payload, signature]: [&str; 3] = good.split('.').collect::<Vec<_>>().try_into().unwrap();
        let forged = b64(r#"{"sub":"root","role":"admin","exp":1755684091}"#);
        let padded = |text: &str| {
            let part = base64::engine::general_purpose::URL_SAFE.encode(text);
            assert!(part.ends_with('='), "this text needs no padding: {text}");
            part
        };
        let ours = |header: &str, payload: &str| sign_as(Algorithm::HS256, secret().expose(), header, payload);
        vec![
            ("empty", String::new()),
            ("no dots", "token".into()),
            ("one dot", format!("{head}.{payload}")),
            ("only dots", "..".into()),
            ("four parts", format!("{good}.{signature}")),
            ("five parts, as a JWE", format!("{good}.a.b")),
            ("empty signature", format!("{head}.{payload}.")),
            ("empty header", ours("", &b64(GOOD))),
            ("empty payload", ours(&b64(HEADER), "")),
            ("another payload under the signature", format!("{head}.{forged}.{signature}")),
            ("another header under the signature", format!("{}.{payload}.{signature}", b64(r#"{"alg":"HS256"}"#))),
            ("signature cut short", good[..good.len() - 2].into()),
            ("signature with more bytes", format!("{good}AAAA")),
            ("signature with trailing bits set", trailing_bits(&good)),
            ("signature of zeros", format!("{head}.{payload}.{}", b64([0; 32]))),
            ("signature padded", format!("{good}=")),
            ("signature with a newline", format!("{good}\n")),
            ("signature in the standard alphabet", format!("{head}.{payload}.{}", "+/".repeat(21) + "A")),
            ("payload padded", ours(&b64(HEADER), &padded(r#"{"sub":"u1","exp":1755684091  }"#))),
            ("header padded", ours(&padded(r#"{"alg":"HS256" }"#), &b64(GOOD))),
            ("newline inside the payload", {
                let broken = format!("{}\n{}", &payload[..8], &payload[8..]);
                ours(&b64(HEADER), &broken)
            }),
            ("leading space", format!(" {good}")),
            ("a NUL behind", format!("{good}\0")),
            ("a megabyte", "e".repeat(1_000_000)),
            ("a megabyte of dots", ".".repeat(1_000_000)),
        ]
    }

    fn with_a_key_or_algorithm_of_their_own() -> Table {
        let good = signed(HEADER, GOOD);
        let (_, payload) = good.rsplit_once('.').unwrap().0.split_once('.').unwrap();
        let alg = |value: &str| signed(&format!(r#"{{"alg":{value}}}"#), GOOD);
        let key = secret();
        let key = key.expose();
        vec![
            ("alg none, unsigned", format!("{}.{payload}.", b64(r#"{"alg":"none"}"#))),
            ("alg none, signed", alg(r#""none""#)),
            ("alg None", alg(r#""None""#)),
            ("alg nOnE", alg(r#""nOnE""#)),
            ("alg NONE with a space", alg(r#""NONE ""#)),
            ("alg hs256", alg(r#""hs256""#)),
            ("alg empty", alg(r#""""#)),
            ("alg null", alg("null")),
            ("alg as an array", alg(r#"["HS256"]"#)),
            ("alg absent", signed(r#"{"typ":"JWT"}"#, GOOD)),
            ("alg RS256 over an HMAC", alg(r#""RS256""#)),
            ("alg ES256 over an HMAC", alg(r#""ES256""#)),
            ("alg HS384 over HMAC-SHA256", alg(r#""HS384""#)),
            ("HS512, honestly", sign_as(Algorithm::HS512, key, &b64(r#"{"alg":"HS512"}"#), &b64(GOOD))),
            ("HS384 said to be HS256", sign_as(Algorithm::HS384, key, &b64(HEADER), &b64(GOOD))),
            ("a public key as the HMAC key", {
                let pem = "-----BEGIN PUBLIC KEY-----\nMIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8A\n-----END PUBLIC KEY-----\n";
                sign_as(Algorithm::HS256, pem, &b64(HEADER), &b64(GOOD))
            }),
            ("the empty key", sign_as(Algorithm::HS256, "", &b64(HEADER), &b64(GOOD))),
            ("the key with a NUL", sign_as(Algorithm::HS256, &format!("{key}x\0"), &b64(HEADER), &b64(GOOD))),
            ("kid as a path, key of that file", {
                let kid = b64(r#"{"alg":"HS256","kid":"../../dev/null"}"#);
                sign_as(Algorithm::HS256, "", &kid, &b64(GOOD))
            }),
            ("kid as SQL", {
                let kid = b64(r#"{"alg":"HS256","kid":"' OR 1 UNION SELECT 'k"}"#);
                sign_as(Algorithm::HS256, "k", &kid, &b64(GOOD))
            }),
            ("jwk in the header, signed by it", {
                let jwk = b64(r#"{"alg":"HS256","jwk":{"kty":"oct","k":"YXR0YWNrZXI"}}"#);
                sign_as(Algorithm::HS256, "attacker", &jwk, &b64(GOOD))
            }),
            ("jku and x5u of somebody else", {
                let jku = b64(r#"{"alg":"HS256","jku":"http://169.254.169.254/","x5u":"http://a/"}"#);
                sign_as(Algorithm::HS256, "attacker", &jku, &b64(GOOD))
            }),
            ("crit unknown", header(r#""crit":["b64"],"b64":false"#)),
            ("crit empty", header(r#""crit":[]"#)),
            ("alg twice", header(r#""alg":"none""#)),
            ("header is an array", signed(r#"["HS256"]"#, GOOD)),
            ("header is not JSON", signed("HS256", GOOD)),
            ("header with bytes after it", signed(&format!("{HEADER}x"), GOOD)),
        ]
    }

    fn with_claims_that_will_not_do() -> Table {
        let exp = |value: &str| signed(HEADER, &format!(r#"{{"sub":"u1","exp":{value}}}"#));
        vec![
            ("sub twice", claims(r#""sub":"root""#)),
            ("exp twice", claims(r#""exp":9999999999"#)),
            ("a claim nobody reads, twice", claims(r#""x":1,"x":2"#)),
            ("sub twice, once escaped", claims(r#""\u0073ub":"root""#)),
            ("exp as a string", exp(r#""1755684091""#)),
            ("exp in milliseconds, as a float", exp("1755684091000.5")),
            ("exp 1e400", exp("1e400")),
            ("exp 1e12", exp("1e12")),
            ("exp negative", exp("-1")),
            ("exp beyond 64 bits", exp("99999999999999999999999")),
            ("exp in milliseconds", exp("1755684091000")),
            ("exp null", exp("null")),
            ("exp true", exp("true")),
            ("exp an array", exp("[1755684091]")),
            ("exp absent", signed(HEADER, r#"{"sub":"u1"}"#)),
            ("nbf past the leeway", claims(r#""nbf":1755684062"#)),
            ("nbf as a string", claims(r#""nbf":"0""#)),
            ("nbf past the leeway, as a float", claims(r#""nbf":1755684062.0"#)),
            ("nbf null", claims(r#""nbf":null"#)),
            ("iat past the leeway", claims(r#""iat":1755684062"#)),
            ("iat 1e400", claims(r#""iat":1e400"#)),
            ("sub absent", signed(HEADER, r#"{"exp":1755684091}"#)),
            ("sub empty", signed(HEADER, r#"{"sub":"","exp":1755684091}"#)),
            ("sub a fraction", signed(HEADER, r#"{"sub":1.5,"exp":1755684091}"#)),
            ("sub true", signed(HEADER, r#"{"sub":true,"exp":1755684091}"#)),
            ("sub too long", signed(HEADER, &format!(r#"{{"sub":"{}","exp":1755684091}}"#, "u".repeat(256)))),
            ("every role", claims(r#""role":"*""#)),
            ("role an array", claims(r#""role":["admin"]"#)),
            ("permissions a string", claims(r#""permissions":"all""#)),
            ("groups of lists", claims(r#""groups":[["g1"]]"#)),
            ("tenantId an object", claims(r#""tenantId":{}"#)),
            ("aud a number", claims(r#""aud":1"#)),
            ("aud of objects", claims(r#""aud":["a",{}]"#)),
            ("payload an array", signed(HEADER, r#"["sub"]"#)),
            ("payload not UTF-8", sign_as(Algorithm::HS256, secret().expose(), &b64(HEADER), &b64([b'"', 0xff, b'"']))),
            ("payload nested beyond reason", claims(&format!(r#""x":{}{}"#, "[".repeat(2_000), "]".repeat(2_000)))),
            ("a token a byte too long", claims(&format!(r#""x":"{}""#, "x".repeat(limit::TOKEN_BYTES_MAX)))),
        ]
    }

    /// The same signature bytes spelled differently: 43 characters carry 258 bits, two of them unused.
    fn trailing_bits(good: &str) -> String {
        const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let (rest, last) = good.split_at(good.len() - 1);
        let index = ALPHABET.iter().position(|letter| *letter == last.as_bytes()[0]).unwrap();
        format!("{rest}{}", ALPHABET[index + 1] as char)
    }

    #[test]
    fn no_letter_of_a_token_can_be_changed_dropped_or_doubled() {
        let good = signed(HEADER, GOOD);
        for at in 0..good.len() {
            let (before, letter, after) = (&good[..at], &good[at..=at], &good[at + 1..]);
            for other in ["", "A", "Z", "_", ".", "=", "é", &letter.repeat(2)] {
                if other != letter {
                    check(&format!("{before}{other}{after}"), Err(AuthFailure::Invalid), "one letter changed");
                }
            }
        }
    }

    #[test]
    fn key_hints_in_the_header_of_a_good_token_are_ignored() {
        for hint in [r#""kid":"../../dev/null""#, r#""jku":"http://a/""#, r#""jwk":{"kty":"oct"}"#, r#""x5u":1"#] {
            check(&header(hint), Ok("u1"), hint);
        }
    }

    #[test]
    fn exp_is_exact_and_the_leeway_is_for_nbf_and_iat_only() {
        for (offset, expected) in [(1, Ok("u1")), (0, Err(AuthFailure::Expired)), (-60, Err(AuthFailure::Expired))] {
            let exp = NOW_S.checked_add_signed(offset).unwrap();
            check(&signed(HEADER, &format!(r#"{{"sub":"u1","exp":{exp}}}"#)), expected, "exp");
        }
        for name in ["nbf", "iat"] {
            check(&claims(&format!(r#""{name}":{}"#, NOW_S + 30)), Ok("u1"), name);
            check(&claims(&format!(r#""{name}":{}"#, NOW_S + 31)), Err(AuthFailure::Invalid), name);
            check(&claims(&format!(r#""{name}":{}"#, NOW_S - 60)), Ok("u1"), name);
        }
        check(&signed(HEADER, r#"{"sub":"u1","exp":1,"nbf":9999999999}"#), Err(AuthFailure::Invalid), "both");
    }

    /// What other implementations sign: clocks with fractions, ids that a database counts, roles in capitals.
    #[test]
    fn numbers_and_capitals_are_read_as_they_are_meant() {
        let read = |claims: &str| verifier("", "").verify(&signed(HEADER, claims), NOW).unwrap().claims();
        for exp in ["1755684091.5", "1755684091.0", "1.755684091e9"] {
            let claims = read(&format!(r#"{{"sub":"u1","exp":{exp},"nbf":0.5,"iat":1755684031.25}}"#));
            assert_eq!(claims.expires_at_s, Some(1_755_684_091), "{exp}");
        }
        let ended = signed(HEADER, r#"{"sub":"u1","exp":1755684031.9}"#);
        check(&ended, Err(AuthFailure::Expired), "the fraction of the last second is not given");
        let counted =
            read(r#"{"sub":42,"tenantId":-7,"groups":[1,"g2"],"permissions":[9],"role":"ADMIN","exp":1755684091}"#);
        assert_eq!(
            (counted.sub.as_str(), counted.tenant_id.as_deref(), counted.role.as_str()),
            ("42", Some("-7"), "admin")
        );
        assert_eq!(
            (counted.groups, counted.permissions),
            (vec!["1".to_owned(), "g2".to_owned()], vec!["9".to_owned()])
        );
    }

    #[test]
    fn claims_go_by_the_first_of_their_names_that_is_there() {
        let read = |verifier: &Verifier, claims: &str| {
            let token = signed(HEADER, &format!(r#"{{{claims},"exp":1755684091}}"#));
            let claims = verifier.verify(&token, NOW).map(|identity| identity.claims());
            claims.map(|claims| (claims.sub, claims.name.unwrap_or_default(), claims.role))
        };
        let usual = verifier("", "");
        for (claims, sub, name, role) in [
            (r#""sub":"a","userId":"b","id":"c","email":"d""#, "a", "", ""),
            (r#""userId":7,"id":"c","email":"d","nombre":"N","rol":"ADMIN""#, "7", "N", "admin"),
            (r#""sub":"","userId":"","id":"c","name":"","nombre":"N","role":"","rol":"agent""#, "c", "N", "agent"),
            (r#""sub":null,"id":42,"name":null,"displayName":"D","role":null,"rol":"Viewer""#, "42", "D", "viewer"),
            (
                r#""email":"d@x","name":"A","nombre":"B","displayName":"C","role":"user","rol":"admin""#,
                "d@x",
                "A",
                "user",
            ),
        ] {
            assert_eq!(read(&usual, claims), Ok((sub.to_owned(), name.to_owned(), role.to_owned())), "{claims}");
        }
        // The first that says something decides, if it will not do as well: nobody is somebody by a second guess.
        for claims in [
            r#""sub":"","id":"""#,
            r#""sub":true,"id":"c""#,
            r#""id":1.5,"email":"d""#,
            r#""uid":"a""#,
            r#""id":"c","rol":"*""#,
        ] {
            assert_eq!(read(&usual, claims), Err(AuthFailure::Invalid), "{claims}");
        }
        let mut own = verifier("", "");
        own.names = ClaimNames { sub: vec!["uid".to_owned()], ..ClaimNames::default() };
        assert_eq!(read(&own, r#""uid":"a","sub":"b""#).map(|claims| claims.0), Ok("a".to_owned()));
        assert_eq!(read(&own, r#""sub":"b""#), Err(AuthFailure::Invalid));
    }

    #[test]
    fn issuer_and_audience_are_asked_for_where_configured() {
        let verifier = verifier("https://id.example", "siod");
        let accepts = |more: &str| verifier.verify(&claims(more), NOW).is_ok();
        assert!(accepts(r#""iss":"https://id.example","aud":"siod""#));
        assert!(accepts(r#""iss":"https://id.example","aud":["x","siod"]"#));
        for wrong in [
            r#""iss":"https://id.example""#,
            r#""aud":"siod""#,
            r#""iss":"https://id.example/","aud":"siod""#,
            r#""iss":["https://id.example"],"aud":"siod""#,
            r#""iss":"https://id.example","aud":"siodx""#,
            r#""iss":"https://id.example","aud":[]"#,
            r#""iss":"https://id.example","aud":null"#,
        ] {
            assert!(!accepts(wrong), "{wrong}");
        }
    }

    #[test]
    fn every_claim_finds_its_place() {
        let claims = json!({
            "sub": "u1", "name": "Ana", "email": "a@example", "role": "operator", "permissions": ["p"], "groups": ["g1", "g2"],
            "workspaceId": "w", "tenantId": "t", "systemId": "s", "deviceId": "d", "type": "access", "exp": NOW_S + 1, "other": [1, {"x": null}]
        });
        let some = |text: &str| Some(text.to_owned());
        let expected = Claims {
            sub: "u1".into(),
            name: some("Ana"),
            email: some("a@example"),
            role: "operator".into(),
            permissions: vec!["p".into()],
            groups: vec!["g1".into(), "g2".into()],
            workspace_id: some("w"),
            tenant_id: some("t"),
            system_id: some("s"),
            device_id: some("d"),
            kind: some("access"),
            expires_at_s: Some(NOW_S + 1),
            method: AuthMethod::Jwt,
        }
        .into();
        assert_eq!(verifier("", "").verify(&mint(&claims, &secret()), NOW), Ok(expected));
    }

    #[test]
    fn another_implementation_reads_what_we_mint_and_we_read_what_it_signs() {
        let key = EncodingKey::from_secret(secret().expose().as_bytes());
        let theirs = jsonwebtoken::encode(&Header::default(), &json!({"sub": "u1", "exp": NOW_S + 1}), &key).unwrap();
        check(&theirs, Ok("u1"), "signed by the library");
        let mut rules = jsonwebtoken::Validation::new(Algorithm::HS256);
        rules.validate_exp = false;
        let ours = mint(&json!({"sub": "u1", "exp": 1}), &secret());
        let key = DecodingKey::from_secret(secret().expose().as_bytes());
        assert_eq!(jsonwebtoken::decode::<Value>(&ours, &key, &rules).unwrap().claims["sub"], "u1");
    }
}
