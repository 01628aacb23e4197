//! Twilio: `POST /2010-04-01/Accounts/<sid>/Messages.json`.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;

use super::{ANSWER_BYTES_MAX, Account, Answer, Content, Outbound, filled, number};
use crate::app::fetch::{Fetch, FetchError, Fetched};
use crate::app::route::Method;
use crate::base::percent;

/// The request for a message.
pub(super) fn request(account: &Account<'_>, message: &Outbound<'_>) -> Fetch {
    let mut form = Vec::new();
    let mut add = |name: &str, value: &str| form.push(format!("{name}={}", percent::encode(value)));
    add("From", &format!("whatsapp:{}", message.from));
    add("To", &format!("whatsapp:+{}", message.to));
    match message.content {
        Content::Text(text) => add("Body", text),
        Content::File { url, caption, .. } => {
            add("MediaUrl", url);
            if !caption.is_empty() {
                add("Body", caption);
            }
        }
        Content::Location { latitude, longitude, text } => {
            let place = format!("{latitude},{longitude}");
            add("Body", if text.is_empty() { &place } else { text });
            add("PersistentAction", &format!("geo:{place}"));
        }
        Content::Template { sid, variables } => {
            add("ContentSid", sid);
            add("ContentVariables", &variables.to_string());
        }
    }
    if !account.public_url.is_empty() {
        let (id, scope) = (percent::encode(message.id), percent::encode(message.scope));
        add("StatusCallback", &format!("{}{STATUS_PATH}?m={id}&s={scope}", account.public_url));
    }
    let headers = [
        ("authorization", credentials(account)),
        ("content-type", "application/x-www-form-urlencoded".to_owned()),
        ("accept", "application/json".to_owned()),
    ];
    let sid = percent::encode(account.account_sid);
    Fetch {
        headers: headers.map(|(name, value)| (name.to_owned(), value)).into(),
        body: form.join("&").into(),
        timeout_ms: account.timeout_ms,
        bytes_max: ANSWER_BYTES_MAX,
        ..Fetch::new(Method::Post, format!("{}/2010-04-01/Accounts/{sid}/Messages.json", account.base_url))
    }
}

/// What it knows us by.
pub(super) fn credentials(account: &Account<'_>) -> String {
    format!("Basic {}", BASE64_STANDARD.encode(format!("{}:{}", account.account_sid, account.token.expose())))
}

/// What came of it.
pub(super) fn read(result: &Result<Fetched, FetchError>) -> Answer {
    let code = |body: &Value| number(&body["code"]).or_else(|| number(&body["error_code"]));
    super::read(result, |body| filled(&body["sid"]), code)
}

/// Where receipts are told to us: below our name, which every listener serves.
const STATUS_PATH: &str = "/utalk/webhooks/twilio/status";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::secret::Secret;
    use serde_json::json;

    fn check(content: Content<'_>, public_url: &str, expected: &[(&str, &str)]) {
        let token = Secret::new("tok");
        let account = Account {
            base_url: "http://127.0.0.1:1",
            account_sid: "AC1",
            phone_number_id: "",
            token: &token,
            timeout_ms: 10,
            public_url,
        };
        let message = Outbound { id: "msg_1", scope: "t/w", from: "+9", to: "5215550001", content };
        let fetch = request(&account, &message);
        assert_eq!(fetch.url, "http://127.0.0.1:1/2010-04-01/Accounts/AC1/Messages.json");
        assert!(fetch.headers.contains(&("authorization".to_owned(), "Basic QUMxOnRvaw==".to_owned())));
        assert_eq!((fetch.timeout_ms, fetch.redirects), (10, 0));
        let body = String::from_utf8(fetch.body.to_vec()).unwrap();
        let got: Vec<_> = percent::pairs(&body).map(|(name, value)| (name, percent::decode(value))).collect();
        let of_all = [("From", "whatsapp:+9"), ("To", "whatsapp:+5215550001")];
        let expected: Vec<_> = of_all.iter().chain(expected).map(|(name, value)| (*name, (*value).into())).collect();
        assert_eq!(got, expected);
    }

    #[test]
    fn a_message_is_a_form() {
        check(Content::Text("a&b=ñ +"), "", &[("Body", "a&b=ñ +")]);
        let file = |caption| Content::File { kind: "image", url: "https://m/1?exp=1&sig=2", name: "a.png", caption };
        check(file(""), "", &[("MediaUrl", "https://m/1?exp=1&sig=2")]);
        check(file("mira"), "", &[("MediaUrl", "https://m/1?exp=1&sig=2"), ("Body", "mira")]);
        let place = |text| Content::Location { latitude: -33.5, longitude: 70.0, text };
        check(place(""), "", &[("Body", "-33.5,70"), ("PersistentAction", "geo:-33.5,70")]);
        check(place("Casa"), "", &[("Body", "Casa"), ("PersistentAction", "geo:-33.5,70")]);
        let variables = json!({"1": "Ana"});
        let template = Content::Template { sid: "HX1", variables: &variables };
        check(template, "", &[("ContentSid", "HX1"), ("ContentVariables", "{\"1\":\"Ana\"}")]);
        let callback = "https://chat.example/utalk/webhooks/twilio/status?m=msg_1&s=t%2Fw";
        check(Content::Text("x"), "https://chat.example", &[("Body", "x"), ("StatusCallback", callback)]);
    }
}
