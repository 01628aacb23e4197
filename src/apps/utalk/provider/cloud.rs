//! WhatsApp Cloud: `POST /<phone_number_id>/messages`.

use serde_json::{Value, json};

use super::{ANSWER_BYTES_MAX, Account, Answer, Content, Outbound, filled, number};
use crate::app::fetch::{Fetch, FetchError, Fetched};
use crate::app::route::Method;
use crate::base::percent;

/// The request for a message.
pub(super) fn request(account: &Account<'_>, message: &Outbound<'_>) -> Fetch {
    let (kind, part) = part(message.content);
    let mut body = json!({
        "messaging_product": "whatsapp",
        "recipient_type": "individual",
        "to": message.to,
        "type": kind,
        "biz_opaque_callback_data": message.id,
    });
    body[kind] = part;
    let headers = [
        ("authorization", credentials(account)),
        ("content-type", "application/json".to_owned()),
        ("accept", "application/json".to_owned()),
    ];
    Fetch {
        headers: headers.map(|(name, value)| (name.to_owned(), value)).into(),
        body: body.to_string().into(),
        timeout_ms: account.timeout_ms,
        bytes_max: ANSWER_BYTES_MAX,
        ..Fetch::new(
            Method::Post,
            format!("{}/{}/messages", account.base_url, percent::encode(account.phone_number_id)),
        )
    }
}

/// What it knows us by.
pub(super) fn credentials(account: &Account<'_>) -> String {
    format!("Bearer {}", account.token.expose())
}

/// What came of it.
pub(super) fn read(result: &Result<Fetched, FetchError>) -> Answer {
    super::read(result, |body| filled(&body["messages"][0]["id"]), |body| number(&body["error"]["code"]))
}

fn part(content: Content<'_>) -> (&'static str, Value) {
    match content {
        Content::Text(text) => ("text", json!({"body": text})),
        Content::File { kind: "image", url, caption, .. } => ("image", with_caption(json!({"link": url}), caption)),
        Content::File { kind: "audio", url, .. } => ("audio", json!({"link": url})),
        Content::File { kind: "sticker", url, .. } => ("sticker", json!({"link": url})),
        Content::File { url, name, caption, .. } => {
            ("document", with_caption(json!({"link": url, "filename": name}), caption))
        }
        Content::Location { latitude, longitude, text } => {
            ("location", json!({"latitude": latitude, "longitude": longitude, "name": text}))
        }
        Content::Template { sid, variables } => ("template", template(sid, variables)),
    }
}

fn with_caption(mut part: Value, caption: &str) -> Value {
    if !caption.is_empty() {
        part["caption"] = caption.into();
    }
    part
}

/// Variables fill the places of the body in the order of their numbers.
fn template(sid: &str, variables: &Value) -> Value {
    let mut values: Vec<_> = variables.as_object().into_iter().flatten().collect();
    values.sort_by_key(|(name, _)| name.parse::<u32>().unwrap_or(u32::MAX));
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let parameters: Vec<_> = values.iter().map(|(_, value)| json!({"type": "text", "text": text(value)})).collect();
    let mut template = json!({"name": sid, "language": {"code": LANGUAGE}});
    if !parameters.is_empty() {
        template["components"] = json!([{"type": "body", "parameters": parameters}]);
    }
    template
}

/// Of templates.
const LANGUAGE: &str = "es";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::secret::Secret;

    fn check(content: Content<'_>, expected: &Value) {
        let token = Secret::new("tok");
        let account = Account {
            base_url: "https://graph.example/v21.0",
            account_sid: "",
            phone_number_id: "77",
            token: &token,
            timeout_ms: 10,
            public_url: "",
        };
        let message = Outbound { id: "msg_1", scope: "t/w", from: "+9", to: "5215550001", content };
        let fetch = request(&account, &message);
        assert_eq!(fetch.url, "https://graph.example/v21.0/77/messages");
        assert!(fetch.headers.contains(&("authorization".to_owned(), "Bearer tok".to_owned())));
        let got: Value = serde_json::from_slice(&fetch.body).unwrap();
        let kind = got["type"].as_str().unwrap();
        assert_eq!((&got["to"], &got["biz_opaque_callback_data"]), (&json!("5215550001"), &json!("msg_1")));
        assert_eq!(json!({kind: got[kind]}), *expected);
    }

    #[test]
    fn a_message_is_json() {
        let file = |kind, caption| Content::File { kind, url: "https://m/1", name: "a.pdf", caption };
        check(Content::Text("Hola"), &json!({"text": {"body": "Hola"}}));
        check(file("image", "mira"), &json!({"image": {"link": "https://m/1", "caption": "mira"}}));
        check(file("audio", "mira"), &json!({"audio": {"link": "https://m/1"}}));
        check(file("sticker", ""), &json!({"sticker": {"link": "https://m/1"}}));
        check(file("file", ""), &json!({"document": {"link": "https://m/1", "filename": "a.pdf"}}));
        let place = Content::Location { latitude: 1.5, longitude: 2.0, text: "Casa" };
        check(place, &json!({"location": {"latitude": 1.5, "longitude": 2.0, "name": "Casa"}}));
        let variables = json!({"2": 7, "10": "z", "1": "Ana"});
        let parameters =
            json!([{"type": "text", "text": "Ana"}, {"type": "text", "text": "7"}, {"type": "text", "text": "z"}]);
        let components = json!([{"type": "body", "parameters": parameters}]);
        let template = |variables| Content::Template { sid: "hola", variables };
        let bare = json!({"name": "hola", "language": {"code": "es"}});
        check(template(&json!(null)), &json!({"template": bare}));
        let mut whole = bare;
        whole["components"] = components;
        check(template(&variables), &json!({"template": whole}));
    }
}
