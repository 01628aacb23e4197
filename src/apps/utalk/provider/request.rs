//! The request about a message of ours, and what its answer means, with the provider that is configured.

use serde_json::Value;

use super::{Account, Answer, Content, Outbound, cloud, twilio};
use crate::app::fetch::{Fetch, FetchError, Fetched};
use crate::app::route::Method;
use crate::app::settings::Word;
use crate::apps::utalk::conversation::Parties;
use crate::apps::utalk::message::{Kind, Message};
use crate::apps::utalk::numbers;
use crate::apps::utalk::settings::{ProviderKind, Settings};
use crate::base::limit::FETCH_REDIRECTS_MAX;
use crate::base::percent;

/// The request about a message, whose file, if it has one, is at `file`.
pub(in super::super) fn of(settings: &Settings, scope: &str, message: &Message, file: &str) -> Fetch {
    let (provider, account) = (&settings.provider, account(settings));
    let parties = Parties::of(&message.conversation, settings);
    let metadata: Value = serde_json::from_str(&message.metadata).unwrap_or_default();
    let to = numbers::callable(&parties.customer).unwrap_or_default();
    let content = content(message, &metadata, file);
    let outbound = Outbound { id: &message.id, scope, from: &parties.ours, to, content };
    match provider.kind {
        ProviderKind::Whatsapp => cloud::request(&account, &outbound),
        _ => twilio::request(&account, &outbound),
    }
}

/// The request for a file of a customer: at a URL, or by an id, which only WhatsApp Cloud can make a URL of. The provider alone is told who asks.
pub(in super::super) fn of_file(settings: &Settings, at: &str, timeout_ms: u64, bytes_max: usize) -> Option<Fetch> {
    let (kind, account) = (settings.provider.kind, account(settings));
    let url = match is_url(at) {
        true => at.to_owned(),
        false if kind == ProviderKind::Whatsapp => format!("{}/{}", account.base_url, percent::encode(at)),
        false => return None,
    };
    let credentials = match kind {
        ProviderKind::Loopback => None,
        ProviderKind::Twilio => Some(twilio::credentials(&account)),
        ProviderKind::Whatsapp => Some(cloud::credentials(&account)),
    };
    let credentials = credentials.filter(|_| origin(&url).is_some_and(|it| origin(account.base_url) == Some(it)));
    let headers = credentials.map(|credentials| ("authorization".to_owned(), credentials)).into_iter().collect();
    Some(Fetch { headers, timeout_ms, bytes_max, redirects: FETCH_REDIRECTS_MAX, ..Fetch::new(Method::Get, url) })
}

/// Whether a provider has said where a file is, not only what it calls it.
pub(in super::super) fn is_url(at: &str) -> bool {
    at.starts_with("https://") || at.starts_with("http://")
}

/// Scheme, host and port of a URL that names no user.
fn origin(url: &str) -> Option<(&str, String)> {
    let (scheme, rest) = url.split_once("://")?;
    let host = rest.split(['/', '?', '#']).next().filter(|host| !host.contains('@'))?.to_ascii_lowercase();
    let default = if scheme == "https" { ":443" } else { ":80" };
    Some((scheme, host.strip_suffix(default).map_or_else(|| host.clone(), str::to_owned)))
}

fn account(settings: &Settings) -> Account<'_> {
    let provider = &settings.provider;
    let base_url = match provider.kind {
        _ if !provider.base_url.is_empty() => &*provider.base_url,
        ProviderKind::Whatsapp => "https://graph.facebook.com/v23.0",
        _ => "https://api.twilio.com",
    };
    Account {
        base_url,
        account_sid: &provider.account_sid,
        phone_number_id: &provider.phone_number_id,
        token: &provider.token,
        timeout_ms: provider.timeout_ms,
        public_url: &settings.public_url,
    }
}

fn content<'a>(message: &'a Message, metadata: &'a Value, url: &'a str) -> Content<'a> {
    let text = message.text.as_deref().unwrap_or_default();
    match message.kind {
        Kind::Template => {
            let template = &metadata["template"];
            Content::Template { sid: template["sid"].as_str().unwrap_or_default(), variables: &template["variables"] }
        }
        Kind::Location => {
            let number = |name: &str| metadata[name].as_f64().unwrap_or_default();
            Content::Location { latitude: number("latitude"), longitude: number("longitude"), text }
        }
        kind if kind.has_media() => {
            let name = metadata["fileName"].as_str().unwrap_or_default();
            Content::File { kind: kind.word(), url, name, caption: text }
        }
        _ => Content::Text(text),
    }
}

/// What came of it.
pub(in super::super) fn read(kind: ProviderKind, result: &Result<Fetched, FetchError>) -> Answer {
    match kind {
        ProviderKind::Whatsapp => cloud::read(result),
        _ => twilio::read(result),
    }
}

/// Whether an answer speaks against the provider: there is none, or the fault is its own. A refusal is an answer.
pub(in super::super) fn has_failed(answer: &Answer, result: &Result<Fetched, FetchError>) -> bool {
    let is_of_4xx = result.as_ref().is_ok_and(|fetched| (400..500).contains(&fetched.status));
    !is_of_4xx && matches!(answer, Answer::Unprocessed | Answer::Unknown)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::apps::utalk::settings::Provider;
    use crate::base::secret::Secret;

    #[test]
    fn only_the_provider_is_told_who_asks_for_a_file() {
        for (kind, base_url, at, expected) in [
            (ProviderKind::Twilio, "", "https://api.twilio.com/a/Media/1", Some("Basic OnQ=")),
            (ProviderKind::Twilio, "", "https://API.twilio.com:443/a", Some("Basic OnQ=")),
            (ProviderKind::Twilio, "", "http://api.twilio.com/a", None),
            (ProviderKind::Twilio, "", "https://api.twilio.com:8443/a", None),
            (ProviderKind::Twilio, "", "https://api.twilio.com.example/a", None),
            (ProviderKind::Twilio, "", "https://x@api.twilio.com/a", None),
            (ProviderKind::Twilio, "", "https://api.twilio.com\\@example/a", None),
            (ProviderKind::Twilio, "http://127.0.0.1:9", "http://127.0.0.1:9/a", Some("Basic OnQ=")),
            (ProviderKind::Twilio, "http://127.0.0.1:9", "http://127.0.0.1:8/a", None),
            (ProviderKind::Whatsapp, "", "https://graph.facebook.com/v23.0/7", Some("Bearer t")),
            (ProviderKind::Whatsapp, "", "https://lookaside.fbsbx.com/7", None),
            (ProviderKind::Loopback, "http://127.0.0.1:9", "http://127.0.0.1:9/a", None),
        ] {
            let provider = Provider { kind, base_url: base_url.into(), token: Secret::new("t"), ..Provider::default() };
            let fetch = of_file(&Settings { provider, ..Settings::default() }, at, 1, 2).unwrap();
            assert_eq!(fetch.headers.first().map(|(_, value)| &**value), expected, "{at}");
            assert_eq!((&*fetch.url, fetch.timeout_ms, fetch.bytes_max, fetch.redirects), (at, 1, 2, 3));
        }
    }

    #[test]
    fn an_id_is_looked_up_by_whatsapp_cloud_alone() {
        let of = |kind| {
            let provider = Provider { kind, ..Provider::default() };
            of_file(&Settings { provider, ..Settings::default() }, "12/34", 1, 2).map(|fetch| fetch.url)
        };
        assert_eq!(of(ProviderKind::Whatsapp).as_deref(), Some("https://graph.facebook.com/v23.0/12%2F34"));
        assert_eq!((of(ProviderKind::Twilio), of(ProviderKind::Loopback)), (None, None));
    }
}
