//! The request about a message of ours, and what its answer means, with the provider that is configured.

use serde_json::Value;

use super::{Account, Answer, Content, Outbound, cloud, twilio};
use crate::app::fetch::{Fetch, FetchError, Fetched};
use crate::app::settings::Word;
use crate::apps::utalk::conversation::Parties;
use crate::apps::utalk::message::{Kind, Message};
use crate::apps::utalk::numbers;
use crate::apps::utalk::settings::{ProviderKind, Settings};

/// The request about a message, whose file, if it has one, is at `file`.
pub(in super::super) fn of(settings: &Settings, scope: &str, message: &Message, file: &str) -> Fetch {
    let provider = &settings.provider;
    let base_url = match provider.kind {
        _ if !provider.base_url.is_empty() => &*provider.base_url,
        ProviderKind::Whatsapp => "https://graph.facebook.com/v23.0",
        _ => "https://api.twilio.com",
    };
    let account = Account {
        base_url,
        account_sid: &provider.account_sid,
        phone_number_id: &provider.phone_number_id,
        token: &provider.token,
        timeout_ms: provider.timeout_ms,
        public_url: &settings.public_url,
    };
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
