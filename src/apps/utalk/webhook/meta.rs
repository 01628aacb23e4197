//! Webhooks of Meta: WhatsApp Cloud and Messenger. One body tells many messages and receipts, of several numbers at times. What of it
//! cannot be read is passed over, and the rest is taken: a body that is refused comes again and again.

use serde_json::{Map, Value, json};

use super::super::message::{Kind, Status};
use super::super::numbers;
use super::{Inbound, MEDIA_MAX, Media, Notice, Receipt, sid, storable};

/// One thing that a body tells.
#[derive(Clone, PartialEq, Debug)]
pub(in super::super) struct Told {
    /// The number, or the page, of ours that it is about.
    pub ours: String,
    pub notice: Notice,
}

/// Reads a body of WhatsApp Cloud, in its order.
pub(in super::super) fn whatsapp(body: &[u8]) -> Vec<Told> {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let changes = items(&body["entry"]).iter().flat_map(|entry| items(&entry["changes"]));
    let mut told = Vec::new();
    for value in changes.map(|change| &change["value"]) {
        let ours = numbers::international(text(&value["metadata"]["display_phone_number"]));
        let contacts = items(&value["contacts"]);
        let messages = items(&value["messages"]).iter().filter_map(|message| of_whatsapp(&ours, contacts, message));
        let receipts = items(&value["statuses"]).iter().filter_map(receipt);
        let notices = messages.map(Notice::Message).chain(receipts.map(Notice::Receipt));
        told.extend(notices.map(|notice| Told { ours: ours.clone(), notice }));
    }
    told
}

/// Reads a body of Messenger. Its receipts have nothing to raise: what goes there is accepted at once.
pub(in super::super) fn messenger(body: &[u8]) -> Vec<Told> {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let events = items(&body["entry"]).iter().flat_map(|entry| items(&entry["messaging"]));
    let messages = events.filter_map(of_messenger);
    messages.map(|message| Told { ours: message.ours.clone(), notice: Notice::Message(message) }).collect()
}

fn of_whatsapp(ours: &str, contacts: &[Value], message: &Value) -> Option<Inbound> {
    let from = text(&message["from"]);
    let customer = numbers::international(from);
    numbers::conversation(&customer, ours)?;
    let word = message["type"].as_str()?;
    let part = &message[word];
    let (mut media, mut more) = (Vec::new(), Map::new());
    let (kind, said) = match word {
        "text" => (Kind::Text, text(&part["body"])),
        "image" | "sticker" | "audio" | "voice" | "video" | "document" => {
            media.push(Media { at: part["id"].as_str()?.to_owned(), mime: text(&part["mime_type"]).to_owned() });
            (of_file(word), part["caption"].as_str().unwrap_or(text(&part["filename"])))
        }
        "location" => {
            copy(part, &PLACE_OF_WHATSAPP, &mut more);
            (Kind::Location, "")
        }
        "button" => (Kind::Text, text(&part["text"])),
        "interactive" => (Kind::Text, text(&part[text(&part["type"])]["title"])),
        "reaction" => {
            more.insert("reaction".to_owned(), json!({"messageId": part["message_id"]}));
            (Kind::Text, text(&part["emoji"]))
        }
        _ => (Kind::Text, ""),
    };
    // The customer has said something, even where nobody here can show it.
    let unsaid = kind == Kind::Text && said.trim().is_empty();
    let said = if unsaid { storable(&format!("[{word}]")) } else { storable(said) };
    let contact = contacts.iter().find(|contact| text(&contact["wa_id"]) == from);
    let name = contact.map(|contact| text(&contact["profile"]["name"])).filter(|name| !name.is_empty());
    let (sid, ours, name) = (sid(text(&message["id"]))?, ours.to_owned(), name.map(storable));
    Some(Inbound { sid, customer, ours, name, kind, text: said, media, more })
}

fn receipt(status: &Value) -> Option<Receipt> {
    let word = match text(&status["status"]) {
        "sent" => Status::Sent,
        "delivered" => Status::Delivered,
        "read" => Status::Read,
        "failed" => Status::Failed,
        _ => return None,
    };
    let id = Some(text(&status["biz_opaque_callback_data"])).filter(|id| !id.is_empty());
    let code = status["errors"][0]["code"].as_u64().and_then(|code| code.try_into().ok());
    Some(Receipt { id: id.map(str::to_owned), sid: sid(text(&status["id"]))?, status: word, code })
}

fn of_messenger(event: &Value) -> Option<Inbound> {
    let [customer, ours] = ["sender", "recipient"].map(|party| text(&event[party]["id"]).to_owned());
    numbers::conversation(&customer, &ours)?;
    let message = if event["message"].is_object() { &event["message"] } else { &event["postback"] };
    // What we have said ourselves is told, too.
    if message["is_echo"] == true {
        return None;
    }
    let attachments = items(&message["attachments"]);
    let file = |attachment: &Value| {
        Some((of_file(text(&attachment["type"])), attachment["payload"]["url"].as_str()?.to_owned()))
    };
    let (kinds, at): (Vec<_>, Vec<_>) = attachments.iter().take(MEDIA_MAX).filter_map(file).unzip();
    let mut more = Map::new();
    for attachment in attachments {
        copy(&attachment["payload"]["coordinates"], &PLACE_OF_MESSENGER, &mut more);
    }
    let kind = kinds.first().copied().unwrap_or(if more.is_empty() { Kind::Text } else { Kind::Location });
    let said = storable(message["text"].as_str().unwrap_or(text(&message["title"])));
    if kind == Kind::Text && said.trim().is_empty() {
        return None;
    }
    let media = at.into_iter().map(|at| Media { at, mime: String::new() }).collect();
    Some(Inbound { sid: sid(text(&message["mid"]))?, customer, ours, name: None, kind, text: said, media, more })
}

fn of_file(word: &str) -> Kind {
    match word {
        "image" => Kind::Image,
        "sticker" => Kind::Sticker,
        "audio" | "voice" => Kind::Audio,
        _ => Kind::File,
    }
}

fn copy(from: &Value, names: &[(&str, &str)], to: &mut Map<String, Value>) {
    for (name, ours) in names {
        from.get(name).map(|value| to.insert((*ours).to_owned(), value.clone()));
    }
}

fn items(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

const PLACE_OF_WHATSAPP: [(&str, &str); 4] =
    [("latitude", "latitude"), ("longitude", "longitude"), ("name", "label"), ("address", "address")];
const PLACE_OF_MESSENGER: [(&str, &str); 2] = [("lat", "latitude"), ("long", "longitude")];

#[cfg(test)]
mod tests {
    use super::super::SID_CHARS_MAX;
    use super::*;
    use crate::app::settings::Word;

    /// What one change of WhatsApp Cloud tells.
    fn told(value: &Value) -> Vec<Told> {
        whatsapp(json!({"entry": [{"changes": [{"field": "messages", "value": value}]}]}).to_string().as_bytes())
    }

    fn value(messages: &Value, statuses: &Value) -> Value {
        json!({"metadata": {"display_phone_number": "1 555-000-9999", "phone_number_id": "7"}, "messages": messages,
            "contacts": [{"wa_id": "5215550001", "profile": {"name": "Ana"}}], "statuses": statuses})
    }

    fn message(part: &Value) -> Option<Inbound> {
        let mut message = json!({"id": "wamid.1", "from": "5215550001", "timestamp": "1"});
        message.as_object_mut().unwrap().extend(part.as_object().unwrap().clone());
        let told = told(&value(&json!([message]), &json!([])));
        told.into_iter().next().map(|told| match told.notice {
            Notice::Message(message) => message,
            other => panic!("{other:?}"),
        })
    }

    #[test]
    fn each_kind_of_message_of_whatsapp_is_read() {
        for (part, kind, text, at) in [
            (json!({"type": "text", "text": {"body": "Hola"}}), "text", "Hola", ""),
            (json!({"type": "image", "image": {"id": "m1", "caption": "mira"}}), "image", "mira", "m1"),
            (json!({"type": "sticker", "sticker": {"id": "m1"}}), "sticker", "", "m1"),
            (json!({"type": "voice", "voice": {"id": "m1"}}), "audio", "", "m1"),
            (json!({"type": "video", "video": {"id": "m1"}}), "file", "", "m1"),
            (json!({"type": "document", "document": {"id": "m1", "filename": "a.pdf"}}), "file", "a.pdf", "m1"),
            (json!({"type": "location", "location": {"latitude": 1.5, "name": "Casa"}}), "location", "", ""),
            (json!({"type": "button", "button": {"text": "Sí"}}), "text", "Sí", ""),
            (
                json!({"type": "interactive", "interactive": {"type": "list_reply", "list_reply": {"title": "Uno"}}}),
                "text",
                "Uno",
                "",
            ),
            (json!({"type": "reaction", "reaction": {"emoji": "👍", "message_id": "w"}}), "text", "👍", ""),
            (json!({"type": "order", "order": {}}), "text", "[order]", ""),
            (json!({"type": "text", "text": {"body": 7}}), "text", "[text]", ""),
            (json!({"type": "text", "text": {"body": "a\u{0}b"}}), "text", "ab", ""),
        ] {
            let got = message(&part).unwrap();
            let got_at = got.media.first().map_or("", |media| &*media.at);
            assert_eq!((got.kind.word(), &*got.text, got_at), (kind, text, at), "{part}");
            assert_eq!((&*got.customer, &*got.ours), ("+5215550001", "+15550009999"));
            assert_eq!((got.name.as_deref(), &*got.sid), (Some("Ana"), "wamid.1"));
        }
        let place = message(&json!({"type": "location", "location": {"latitude": 1.5, "name": "Casa"}})).unwrap();
        assert_eq!(Value::from(place.more), json!({"latitude": 1.5, "label": "Casa"}));
    }

    #[test]
    fn many_of_many_numbers_come_in_one_body() {
        let text = |id: &str| json!({"id": id, "from": "5215550001", "type": "text", "text": {"body": "x"}});
        let statuses = json!([{"id": "w9", "status": "read", "biz_opaque_callback_data": "msg_1"},
            {"id": "w8", "status": "failed", "errors": [{"code": 131026}]}, {"id": "w7", "status": "deleted"}]);
        let one = value(&json!([text("w1"), text("w2")]), &statuses);
        let other = json!({"metadata": {"display_phone_number": "+44"}, "messages": [text("w3")]});
        let body = json!({"object": "whatsapp_business_account", "entry": [
            {"changes": [{"value": one}, {"value": {"metadata": 7, "messages": 8}}, 9]}, {"changes": [{"value": other}]}, null]});
        let seen: Vec<String> = whatsapp(body.to_string().as_bytes())
            .into_iter()
            .map(|told| match told.notice {
                Notice::Message(message) => format!("{} {}", told.ours, message.sid),
                Notice::Receipt(Receipt { id, sid, status, code }) => {
                    format!("{} {sid} {status:?} {id:?} {code:?}", told.ours)
                }
            })
            .collect();
        let expected = [
            "+15550009999 w1",
            "+15550009999 w2",
            "+15550009999 w9 Read Some(\"msg_1\") None",
            "+15550009999 w8 Failed None Some(131026)",
            "+44 w3",
        ];
        assert_eq!(seen, expected);
    }

    #[test]
    fn what_cannot_be_read_is_passed_over_and_the_rest_is_taken() {
        for part in [
            json!({"id": "", "type": "text", "text": {"body": "x"}}),
            json!({"id": "w".repeat(SID_CHARS_MAX + 1), "type": "text", "text": {"body": "x"}}),
            json!({"from": "", "type": "text", "text": {"body": "x"}}),
            json!({"from": "a b", "type": "text", "text": {"body": "x"}}),
            json!({"type": 7}),
            json!({"type": "image", "image": {"caption": "no id"}}),
        ] {
            assert_eq!(message(&part), None, "{part}");
        }
        for body in [
            "",
            "{",
            "[]",
            "7",
            "{\"entry\":7}",
            "{\"entry\":[{\"changes\":7}]}",
            "{\"entry\":[{\"messaging\":[7,{}]}]}",
        ] {
            assert_eq!((whatsapp(body.as_bytes()).len(), messenger(body.as_bytes()).len()), (0, 0), "{body}");
        }
        let good = json!({"id": "w1", "from": "5215550001", "type": "text", "text": {"body": "x"}});
        assert_eq!(told(&value(&json!([null, 7, {"id": "w"}, good]), &json!([7, {}]))).len(), 1);
    }

    #[test]
    fn messenger_tells_messages_and_pressed_buttons() {
        let event = |part: &Value| {
            let mut event = json!({"sender": {"id": "psid.1"}, "recipient": {"id": "100200"}});
            event.as_object_mut().unwrap().extend(part.as_object().unwrap().clone());
            let body = json!({"object": "page", "entry": [{"messaging": [event]}]});
            messenger(body.to_string().as_bytes()).into_iter().next().map(|told| match told.notice {
                Notice::Message(message) => (told.ours, message),
                other => panic!("{other:?}"),
            })
        };
        let image = json!({"type": "image", "payload": {"url": "https://m/1"}});
        let place = json!({"type": "location", "payload": {"coordinates": {"lat": 1, "long": 2}}});
        for (part, expected) in [
            (json!({"message": {"mid": "m1", "text": "Hola"}}), Some(("text", "Hola", 0))),
            (json!({"message": {"mid": "m1", "attachments": [image]}}), Some(("image", "", 1))),
            (json!({"message": {"mid": "m1", "attachments": [place]}}), Some(("location", "", 0))),
            (json!({"postback": {"mid": "m1", "title": "Sí"}}), Some(("text", "Sí", 0))),
            (json!({"message": {"mid": "m1", "text": "ours", "is_echo": true}}), None),
            (json!({"message": {"mid": "m1", "text": " "}}), None),
            (json!({"message": {"text": "no id"}}), None),
            (json!({"delivery": {"mids": ["m1"]}}), None),
            (json!({"read": {"watermark": 1}}), None),
        ] {
            let got = event(&part);
            let seen = got.as_ref().map(|(_, message)| (message.kind.word(), &*message.text, message.media.len()));
            assert_eq!(seen, expected, "{part}");
            if let Some((ours, message)) = got {
                assert_eq!(
                    (&*ours, &*message.ours, &*message.customer, &*message.sid),
                    ("100200", "100200", "psid.1", "m1")
                );
            }
        }
    }
}
