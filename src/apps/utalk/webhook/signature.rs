//! Whether a webhook is from whom it says. What comes in is the request as it was received and the secrets that are live; what goes
//! out is why it is not believed. Nothing is parsed here beyond what is signed.
//!
//! | of | header | signed |
//! |---|---|---|
//! | Twilio | `X-Twilio-Signature`, base64 HMAC-SHA1 | the URL, then each field: name, value |
//! | Twilio, `bodySHA256` in the query | the same | the URL; the body has that SHA-256 |
//! | Twilio, by a signing key | the same, HMAC-SHA256, the key named by `X-Twilio-Webhooks-Signature-Settings` | as above |
//! | Meta | `X-Hub-Signature-256: sha256=<hex>`, HMAC-SHA256 | the raw body |

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, Mac};
use sha1::Sha1;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::base::hex::hex;
use crate::base::percent;
use crate::base::secret::Secret;

/// Why a webhook is not believed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in super::super) enum Fault {
    /// It is not signed.
    Missing,
    /// It is signed by somebody else, or was changed on its way.
    Wrong,
    /// No secret is configured by which it could be judged.
    NotConfigured,
}

/// A request that claims to be of Twilio.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct FromTwilio<'a> {
    /// What the URL that Twilio called begins with: scheme, host, and port if there is one.
    pub base: &'a str,
    /// Path and query as they were received.
    pub target: &'a str,
    pub body: &'a [u8],
    /// `X-Twilio-Signature`.
    pub signature: Option<&'a [u8]>,
    /// `X-Twilio-Webhooks-Signature-Settings`.
    pub settings: Option<&'a [u8]>,
}

impl FromTwilio<'_> {
    /// Whether one of the live tokens, or the signing key that the request names, has signed it.
    pub(in super::super) fn judge(&self, tokens: &[Secret], keys: &BTreeMap<String, Secret>) -> Result<(), Fault> {
        let tokens: Vec<&Secret> = tokens.iter().filter(|token| !token.is_empty()).collect();
        if tokens.is_empty() && keys.values().all(Secret::is_empty) {
            return Err(Fault::NotConfigured);
        }
        let signature = self.signature.filter(|signature| !signature.is_empty()).ok_or(Fault::Missing)?;
        let signature = BASE64_STANDARD.decode(signature.trim_ascii()).map_err(|_| Fault::Wrong)?;
        let fields = self.signed_fields().ok_or(Fault::Wrong)?;
        let urls = spellings(self.base).map(|base| base + self.target);
        let is_good = match self.settings.filter(|settings| !settings.trim_ascii().is_empty()) {
            None => {
                let is_of =
                    |token: &&Secret| urls.iter().any(|url| signs::<Hmac<Sha1>>(token, url, &fields, &signature));
                tokens.iter().any(is_of)
            }
            Some(settings) => {
                let key = signing_key(settings).and_then(|id| keys.get(id)).filter(|key| !key.is_empty());
                let key = key.ok_or(Fault::Wrong)?;
                urls.iter().any(|url| signs::<Hmac<Sha256>>(key, url, &fields, &signature))
            }
        };
        if is_good { Ok(()) } else { Err(Fault::Wrong) }
    }

    /// What is signed behind the URL. `None`: the body is not the one that the URL vouches for.
    fn signed_fields(&self) -> Option<Vec<(String, String)>> {
        let query = self.target.split_once('?').map_or("", |(_, query)| query);
        let Some(promised) = percent::value(query, "bodySHA256") else { return Some(fields(self.body)) };
        let is_it = hex(&Sha256::digest(self.body)).as_bytes().ct_eq(promised.to_ascii_lowercase().as_bytes());
        bool::from(is_it).then(Vec::new)
    }
}

/// The fields of a form as Twilio signs them: by name, then by value, in the order of bytes, equal ones once.
fn fields(form: &[u8]) -> Vec<(String, String)> {
    let form = String::from_utf8_lossy(form);
    let decoded = |text: &str| percent::decode(text).into_owned();
    let mut fields: Vec<_> = percent::pairs(&form).map(|(name, value)| (decoded(name), decoded(value))).collect();
    fields.sort_unstable();
    fields.dedup();
    fields
}

/// What a base may have been to who signed: as it is, with the port of its scheme spelled out, without a port.
fn spellings(base: &str) -> [String; 3] {
    let (scheme, rest) = base.split_once("://").unwrap_or(("http", base));
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    // The colons of an IPv6 address are within its brackets.
    let host_from = authority.rfind(']').unwrap_or(0);
    let port_at = authority[host_from..].find(':').map(|at| host_from + at);
    let bare = &authority[..port_at.unwrap_or(authority.len())];
    let implied = if scheme == "https" { 443 } else { 80 };
    let spelled = if port_at.is_some() { authority.to_owned() } else { format!("{bare}:{implied}") };
    [base.to_owned(), format!("{scheme}://{spelled}{path}"), format!("{scheme}://{bare}{path}")]
}

/// The key that signature settings name, if they are ones we know: `key=<id>,algorithm=HMAC_SHA256`.
fn signing_key(settings: &[u8]) -> Option<&str> {
    let settings = std::str::from_utf8(settings).ok()?;
    let mut said: BTreeMap<&str, &str> = BTreeMap::new();
    for part in settings.split(',') {
        let (name, value) = part.split_once('=')?;
        said.insert(name.trim(), value.trim());
    }
    (said.get("algorithm") == Some(&"HMAC_SHA256")).then(|| said.get("key").copied())?
}

/// In constant time, whatever the signature.
fn signs<M: Mac + hmac::digest::KeyInit>(
    key: &Secret,
    url: &str,
    fields: &[(String, String)],
    signature: &[u8],
) -> bool {
    let mut mac = <M as Mac>::new_from_slice(key.expose().as_bytes()).expect("a key of any length will do");
    mac.update(url.as_bytes());
    for (name, value) in fields {
        mac.update(name.as_bytes());
        mac.update(value.as_bytes());
    }
    mac.verify_slice(signature).is_ok()
}

/// Whether one of the live secrets has signed a body of Meta's, by `X-Hub-Signature-256`.
pub(in super::super) fn judge_hub(secrets: &[Secret], header: Option<&[u8]>, body: &[u8]) -> Result<(), Fault> {
    let secrets: Vec<&Secret> = secrets.iter().filter(|secret| !secret.is_empty()).collect();
    if secrets.is_empty() {
        return Err(Fault::NotConfigured);
    }
    let header = header.filter(|header| !header.is_empty()).ok_or(Fault::Missing)?;
    let digits = header.trim_ascii().strip_prefix(b"sha256=").ok_or(Fault::Wrong)?;
    let digits = String::from_utf8_lossy(digits).to_ascii_lowercase();
    let is_of = |secret: &&Secret| {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes()).expect("a key of any length will do");
        mac.update(body);
        bool::from(hex(&mac.finalize().into_bytes()).as_bytes().ct_eq(digits.as_bytes()))
    };
    if secrets.iter().any(is_of) { Ok(()) } else { Err(Fault::Wrong) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORM: &str = "NumMedia=0&To=whatsapp%3A%2B5215559999&Body=Hola%2C+%C2%BFqu%C3%A9%3F+%2B+%26+%3D&From=whatsapp%3A%2B5215550001";
    const TARGET: &str = "/webhooks/twilio/whatsapp?a=1";
    /// By Twilio's own helper, with the token `12345`.
    const OF_FORM: &str = "wqhNdvsQYrpCCCa+sEI5xFGypaI=";
    const HASH: &str = "015abd7f5cc57a2dd94b7590f04ad8084273905ee33ec5cebeae62276a97f862";

    struct Asked<'a> {
        base: &'a str,
        target: &'a str,
        body: &'a str,
        signature: &'a str,
        settings: &'a str,
    }

    const ASKED: Asked<'_> =
        Asked { base: "https://chat.example", target: TARGET, body: FORM, signature: OF_FORM, settings: "" };

    fn judge(asked: &Asked<'_>, tokens: &[&str]) -> Result<(), Fault> {
        let request = FromTwilio {
            base: asked.base,
            target: asked.target,
            body: asked.body.as_bytes(),
            signature: (asked.signature != "absent").then_some(asked.signature.as_bytes()),
            settings: (!asked.settings.is_empty()).then_some(asked.settings.as_bytes()),
        };
        let tokens: Vec<Secret> = tokens.iter().map(|token| Secret::new(*token)).collect();
        let keys = [("webhooks_1", "k3y"), ("none", "")].map(|(id, key)| (id.to_owned(), Secret::new(key)));
        request.judge(&tokens, &keys.into())
    }

    fn check(asked: &Asked<'_>, expected: Result<(), Fault>) {
        let Asked { base, target, body, signature, settings } = asked;
        assert_eq!(judge(asked, &["12345"]), expected, "{base}{target} {body} {signature} {settings}");
    }

    #[test]
    fn a_form_is_signed_with_its_url() {
        check(&ASKED, Ok(()));
        check(&Asked { target: "/webhooks/twilio/whatsapp?a=2", ..ASKED }, Err(Fault::Wrong));
        check(&Asked { target: "/webhooks/twilio/whatsapp", ..ASKED }, Err(Fault::Wrong));
        check(&Asked { base: "http://chat.example", ..ASKED }, Err(Fault::Wrong));
        check(&Asked { body: &format!("{FORM}&x="), ..ASKED }, Err(Fault::Wrong));
        check(&Asked { body: &FORM.replace("NumMedia=0&", ""), ..ASKED }, Err(Fault::Wrong));
        check(&Asked { signature: " wqhNdvsQYrpCCCa+sEI5xFGypaI= ", ..ASKED }, Ok(()));
        check(&Asked { settings: " ", ..ASKED }, Ok(()));
    }

    #[test]
    fn the_port_may_be_spelled_out_or_not() {
        let with_port = "maUMTufi0pSGCZchdqHoYopeq1I=";
        for base in ["https://chat.example", "https://chat.example:443"] {
            for signature in [OF_FORM, with_port] {
                check(&Asked { base, signature, ..ASKED }, Ok(()));
            }
        }
        check(&Asked { base: "https://chat.example:8443", ..ASKED }, Ok(()));
        check(&Asked { base: "https://chat.example:8443", signature: with_port, ..ASKED }, Err(Fault::Wrong));
        let local = "http://127.0.0.1:3000";
        for signature in ["e0WDIqY+nQoCMuun8aHqRkV2v7A=", "Z3dEIUURbH3KWD35Jta4Dskf70A="] {
            check(&Asked { base: local, signature, ..ASKED }, Ok(()));
        }
        let plain = "+QQhXLlYC7iCOgppUvFmDZjYGUM=";
        check(&Asked { base: "http://chat.example", target: "/x", body: "", signature: plain, ..ASKED }, Ok(()));
        for (base, spelled, bare) in [
            ("http://[::1]", "http://[::1]:80", "http://[::1]"),
            ("http://[::1]:3000", "http://[::1]:3000", "http://[::1]"),
            ("https://x/deep", "https://x:443/deep", "https://x/deep"),
            ("http://", "http://:80", "http://"),
        ] {
            assert_eq!(spellings(base), [base, spelled, bare]);
        }
    }

    #[test]
    fn empty_and_repeated_fields_count() {
        let at = |body, signature| Asked { target: "/x", body, signature, ..ASKED };
        let empty = "da8u34tL07cSgccYqAiknT8EBzk=";
        check(&at("b=&a=1&A=&Zz=new+thing", empty), Ok(()));
        check(&at("b&a=1&A&Zz=new%20thing&&", empty), Ok(()));
        check(&at("a=1&Zz=new+thing", empty), Err(Fault::Wrong));
        let repeated = "wnXxT35rcnv/8aHd0Up++1+JSFU=";
        check(&at("A=b&B=1&A=a&A=b", repeated), Ok(()));
        check(&at("A=a&A=b&B=1", repeated), Ok(()));
        check(&at("A=b&B=1", repeated), Err(Fault::Wrong));
    }

    #[test]
    fn a_hash_in_the_query_vouches_for_the_body() {
        let (target, signature) = (format!("/x?bodySHA256={HASH}"), "XJVSBAYn/ZNDsWa/RDvHh3Sf2JE=");
        let at = |body| Asked { target: &target, body, signature, ..ASKED };
        check(&at("{\"a\":1}"), Ok(()));
        check(&at("{\"a\":2}"), Err(Fault::Wrong));
        check(&at(""), Err(Fault::Wrong));
        let (target, signature) = (format!("/x?bodySHA256={}", "0".repeat(64)), "L8xHVBXJzM4GRkxGrqvsT5wd36M=");
        check(&Asked { target: &target, body: "{\"a\":1}", signature, ..ASKED }, Err(Fault::Wrong));
    }

    #[test]
    fn a_signing_key_is_the_one_that_is_named() {
        let signature = "nVxeJ5paaK/9SMRdxNF46V3LR83duK2LB2CjGc/s/t8=";
        let at = |settings| Asked { target: "/x", signature, settings, ..ASKED };
        for settings in ["key=webhooks_1,algorithm=HMAC_SHA256", "algorithm=HMAC_SHA256 , key=webhooks_1"] {
            check(&at(settings), Ok(()));
            assert_eq!(judge(&at(settings), &[]), Ok(()), "without any token");
        }
        for settings in [
            "key=webhooks_2,algorithm=HMAC_SHA256",
            "key=none,algorithm=HMAC_SHA256",
            "key=webhooks_1,algorithm=HMAC_SHA1",
            "key=webhooks_1,algorithm=none",
            "key=webhooks_1",
            "algorithm=HMAC_SHA256",
            "HMAC_SHA256",
            ",",
        ] {
            check(&at(settings), Err(Fault::Wrong));
            check(&Asked { settings, ..ASKED }, Err(Fault::Wrong));
        }
        check(&Asked { signature, target: "/x", ..ASKED }, Err(Fault::Wrong));
    }

    #[test]
    fn any_live_token_will_do_and_an_empty_one_is_none() {
        assert_eq!(judge(&ASKED, &["old", "12345"]), Ok(()));
        assert_eq!(judge(&ASKED, &["old", ""]), Err(Fault::Wrong));
        let request = FromTwilio { base: "", target: "", body: b"", signature: None, settings: None };
        for tokens in [&[][..], &[Secret::default()]] {
            assert_eq!(request.judge(tokens, &BTreeMap::new()), Err(Fault::NotConfigured));
        }
    }

    #[test]
    fn what_is_no_signature_is_wrong_and_none_is_missing() {
        for signature in ["wqhNdvsQYrpCCCa+sEI5xFGypaI", "wqhN", "ñ", "=", "AAAAAAAAAAAAAAAAAAAAAAAAAAA="] {
            check(&Asked { signature, ..ASKED }, Err(Fault::Wrong));
        }
        for signature in ["", "absent"] {
            check(&Asked { signature, ..ASKED }, Err(Fault::Missing));
        }
    }

    #[test]
    fn a_hub_signs_the_raw_body() {
        let digits = "5910e62016ef5034272c926c27071992a465c2335cecf41851bda071577f4f6d";
        let judge = |secrets: &[&str], header: Option<&str>, body: &str| {
            let secrets: Vec<Secret> = secrets.iter().map(|secret| Secret::new(*secret)).collect();
            judge_hub(&secrets, header.map(str::as_bytes), body.as_bytes())
        };
        let good = format!("sha256={digits}");
        let body = "{\"a\":1}";
        for header in [good.clone(), format!("sha256={}", digits.to_ascii_uppercase())] {
            assert_eq!(judge(&["old", "s3cret"], Some(&header), body), Ok(()));
        }
        for (secrets, header, body, fault) in [
            (&["s3cret"][..], Some(&*good), "{\"a\": 1}", Fault::Wrong),
            (&["old"], Some(&*good), body, Fault::Wrong),
            (&["s3cret"], Some(digits), body, Fault::Wrong),
            (&["s3cret"], Some("sha1=5910"), body, Fault::Wrong),
            (&["s3cret"], Some("sha256="), body, Fault::Wrong),
            (&["s3cret"], Some(""), body, Fault::Missing),
            (&["s3cret"], None, body, Fault::Missing),
            (&[], Some(&*good), body, Fault::NotConfigured),
            (&[""], None, body, Fault::NotConfigured),
        ] {
            assert_eq!(judge(secrets, header, body), Err(fault), "{header:?} {body}");
        }
    }
}
