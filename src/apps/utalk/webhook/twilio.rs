//! Webhooks of Twilio: a form is a message of a customer, or, with `MessageStatus`, the receipt of one of ours.

use serde_json::{Map, Value};

use super::super::message::{Kind, Status};
use super::super::numbers;
use super::{Inbound, MEDIA_MAX, Media, Notice, Receipt, kind_of, sid, storable};
use crate::base::percent;

/// What of a form concerns us; parameters nobody here has heard of are passed over.
#[derive(Clone, PartialEq, Debug)]
pub(in super::super) struct Told {
    /// The number of ours that it is about.
    pub ours: String,
    /// `None`: a status that says nothing new.
    pub notice: Option<Notice>,
}

/// Reads a webhook: its query, which holds what we asked to be given back, and its form (or, with `bodySHA256`, JSON).
///
/// # Errors
/// The sentence about what is missing.
pub(in super::super) fn read(query: &str, body: &[u8]) -> Result<Told, &'static str> {
    let fields = Fields::of(body);
    match fields.get("MessageStatus") {
        Some(status) => receipt(query, &fields, status),
        None => inbound(&fields),
    }
}

fn receipt(query: &str, fields: &Fields, status: &str) -> Result<Told, &'static str> {
    let ours = numbers::plain(fields.get("From").unwrap_or_default());
    let Some(status) = status_of(status) else { return Ok(Told { ours, notice: None }) };
    let id = percent::value(query, "m").as_deref().and_then(sid);
    let sid = fields.sid().and_then(sid).unwrap_or_default();
    if id.is_none() && sid.is_empty() {
        return Err("MessageSid es obligatorio");
    }
    let code = fields.get("ErrorCode").and_then(|code| code.parse().ok());
    Ok(Told { ours, notice: Some(Notice::Receipt(Receipt { id, sid, status, code })) })
}

fn status_of(word: &str) -> Option<Status> {
    Some(match word {
        "accepted" | "queued" | "sending" | "sent" => Status::Sent,
        "undelivered" | "failed" => Status::Failed,
        "delivered" => Status::Delivered,
        "read" => Status::Read,
        _ => return None,
    })
}

fn inbound(fields: &Fields) -> Result<Told, &'static str> {
    let sid = fields.sid().and_then(sid).ok_or("MessageSid es obligatorio")?;
    let address = |name| fields.get(name).map(numbers::plain).filter(|address| !address.is_empty());
    let customer = address("From").ok_or("From es obligatorio")?;
    let ours = address("To").ok_or("To es obligatorio")?;
    numbers::conversation(&customer, &ours).ok_or("From o To no es válido")?;
    let text = storable(fields.get("Body").unwrap_or_default());
    let media = fields.media();
    let place = fields.place();
    if text.trim().is_empty() && media.is_empty() && place.is_empty() {
        return Err("Body o MediaUrl0 es obligatorio");
    }
    let kind = match media.first() {
        Some(media) => kind_of(&media.mime),
        None if place.is_empty() => Kind::Text,
        None => Kind::Location,
    };
    let name = fields.get("ProfileName").filter(|name| !name.is_empty()).map(storable);
    let message = Inbound { sid, customer, ours: ours.clone(), name, kind, text, media, more: place };
    Ok(Told { ours, notice: Some(Notice::Message(message)) })
}

/// Names and values, the first of a name.
struct Fields(Vec<(String, String)>);

impl Fields {
    fn of(body: &[u8]) -> Fields {
        if let Ok(object) = serde_json::from_slice::<Map<String, Value>>(body) {
            let text = |value: Value| match value {
                Value::String(text) => text,
                other => other.to_string(),
            };
            return Fields(object.into_iter().map(|(name, value)| (name, text(value))).collect());
        }
        let form = String::from_utf8_lossy(body);
        let decoded = |text: &str| percent::decode(text).into_owned();
        Fields(percent::pairs(&form).map(|(name, value)| (decoded(name), decoded(value))).collect())
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| &**value)
    }

    /// Its id under its name of today, or an older one.
    fn sid(&self) -> Option<&str> {
        let names = ["MessageSid", "SmsMessageSid", "SmsSid"];
        names.iter().find_map(|name| self.get(name).filter(|sid| !sid.is_empty()))
    }

    fn media(&self) -> Vec<Media> {
        let count = self.get("NumMedia").and_then(|count| count.parse().ok()).unwrap_or(0);
        let of = |number: usize| {
            let at = self.get(&format!("MediaUrl{number}")).filter(|url| !url.is_empty())?.to_owned();
            let mime = self.get(&format!("MediaContentType{number}")).unwrap_or_default().to_owned();
            Some(Media { at, mime })
        };
        (0..MEDIA_MAX.min(count)).filter_map(of).collect()
    }

    /// Where the customer is, if they say so.
    fn place(&self) -> Map<String, Value> {
        let number = |name| self.get(name)?.parse::<f64>().ok().filter(|number| number.is_finite());
        let mut place = Map::new();
        if let (Some(latitude), Some(longitude)) = (number("Latitude"), number("Longitude")) {
            place.insert("latitude".to_owned(), latitude.into());
            place.insert("longitude".to_owned(), longitude.into());
            for (field, name) in [("Label", "label"), ("Address", "address")] {
                if let Some(text) = self.get(field).filter(|text| !text.is_empty()) {
                    place.insert(name.to_owned(), text.into());
                }
            }
        }
        place
    }
}

#[cfg(test)]
mod tests {
    use super::super::SID_CHARS_MAX;
    use super::*;
    use serde_json::json;

    const FORM: &str = "MessageSid=SM1&From=whatsapp%3A%2B5215550001&To=whatsapp%3A%2B5215559999&Body=Hola%2C+%C2%BFqu%C3%A9%3F&NumMedia=0&ProfileName=Ana+P&SmsStatus=received";

    fn message(form: &str) -> Result<Inbound, &'static str> {
        match read("", form.as_bytes())?.notice {
            Some(Notice::Message(message)) => Ok(message),
            other => panic!("{form}: {other:?}"),
        }
    }

    #[test]
    fn a_form_is_a_message_of_a_customer() {
        let told = read("", FORM.as_bytes()).unwrap();
        let message = message(FORM).unwrap();
        assert_eq!((&*told.ours, &*message.ours, &*message.customer), ("+5215559999", "+5215559999", "+5215550001"));
        assert_eq!((&*message.sid, &*message.text, message.kind), ("SM1", "Hola, ¿qué?", Kind::Text));
        assert_eq!(message.name.as_deref(), Some("Ana P"));
        assert_eq!(Value::from(message.metadata()), json!({"twilioSid": "SM1"}));
    }

    #[test]
    fn parameters_nobody_has_heard_of_are_passed_over() {
        let strange = format!("%00=%ff&{FORM}&Brand=new&Brand=newer&=&&x&Body=again");
        assert_eq!(message(&strange), message(FORM));
    }

    #[test]
    fn what_no_database_keeps_is_left_out() {
        let got = message("MessageSid=S&From=%2B1&To=%2B2&Body=a%00b&ProfileName=%00A").unwrap();
        assert_eq!((&*got.text, got.name.as_deref()), ("ab", Some("A")));
        assert_eq!(message("MessageSid=S%00&From=%2B1&To=%2B2&Body=x"), Err("MessageSid es obligatorio"));
    }

    #[test]
    fn json_says_the_same_as_a_form() {
        let body = json!({"MessageSid": "SM1", "From": "whatsapp:+5215550001", "To": "whatsapp:+5215559999",
            "Body": "Hola, ¿qué?", "NumMedia": 0, "ProfileName": "Ana P", "Other": [1]});
        assert_eq!(message(&body.to_string()), message(FORM));
    }

    #[test]
    fn files_and_places_come_along() {
        let media =
            "&MediaUrl0=https%3A%2F%2Fm%2F0&MediaContentType0=image%2Fjpeg&MediaUrl1=https%3A%2F%2Fm%2F1&MediaUrl2=x";
        let form = |more: &str| format!("SmsMessageSid=SM2&From=%2B1&To=%2B2&Body={more}");
        let got = message(&form(&format!("&NumMedia=2{media}"))).unwrap();
        assert_eq!((got.kind, got.media.len(), &*got.media[1].at), (Kind::Image, 2, "https://m/1"));
        assert_eq!((&*got.media[0].mime, &*got.media[1].mime), ("image/jpeg", ""));
        assert_eq!(
            Value::from(got.metadata()),
            json!({"twilioSid": "SM2"}),
            "what has become of them is said when it is known"
        );
        for (mime, kind) in [
            ("audio%2Fogg", Kind::Audio),
            ("video%2Fmp4", Kind::File),
            ("application%2Fpdf", Kind::File),
            ("", Kind::File),
        ] {
            let got = message(&form(&format!("&NumMedia=1&MediaUrl0=u&MediaContentType0={mime}"))).unwrap();
            assert_eq!(got.kind, kind, "{mime}");
        }
        let got = message(&form("&Latitude=-33.4&Longitude=-70.6&Label=Aqu%C3%AD")).unwrap();
        assert_eq!(got.kind, Kind::Location);
        let place = json!({"latitude": -33.4, "longitude": -70.6, "label": "Aquí", "twilioSid": "SM2"});
        assert_eq!(Value::from(got.metadata()), place);
        let many = (0..99).map(|n| format!("&MediaUrl{n}=u")).collect::<String>();
        assert_eq!(message(&form(&format!("&NumMedia=4000000000{many}"))).unwrap().media.len(), MEDIA_MAX);
    }

    #[test]
    fn what_is_no_message_says_why() {
        for (form, why) in [
            ("", "MessageSid es obligatorio"),
            ("MessageSid=&From=%2B1&To=%2B2&Body=x", "MessageSid es obligatorio"),
            ("MessageSid=S&To=%2B2&Body=x", "From es obligatorio"),
            ("MessageSid=S&From=%2B1&To=whatsapp:&Body=x", "To es obligatorio"),
            ("MessageSid=S&From=a%3Ab&To=%2B2&Body=x", "From o To no es válido"),
            ("MessageSid=S&From=%2B1&To=%2B2", "Body o MediaUrl0 es obligatorio"),
            ("MessageSid=S&From=%2B1&To=%2B2&Body=+%0A", "Body o MediaUrl0 es obligatorio"),
            ("MessageSid=S&From=%2B1&To=%2B2&NumMedia=1&MediaUrl0=", "Body o MediaUrl0 es obligatorio"),
            ("MessageSid=S&From=%2B1&To=%2B2&NumMedia=x&MediaUrl0=u", "Body o MediaUrl0 es obligatorio"),
            ("MessageSid=S&From=%2B1&To=%2B2&Latitude=1&Longitude=NaN", "Body o MediaUrl0 es obligatorio"),
        ] {
            assert_eq!(message(form), Err(why), "{form}");
        }
        let long = format!("MessageSid={}&From=%2B1&To=%2B2&Body=x", "S".repeat(SID_CHARS_MAX + 1));
        assert_eq!(message(&long), Err("MessageSid es obligatorio"));
    }

    #[test]
    fn a_status_is_a_receipt() {
        for (word, status) in [
            ("accepted", Some(Status::Sent)),
            ("queued", Some(Status::Sent)),
            ("sending", Some(Status::Sent)),
            ("sent", Some(Status::Sent)),
            ("undelivered", Some(Status::Failed)),
            ("failed", Some(Status::Failed)),
            ("delivered", Some(Status::Delivered)),
            ("read", Some(Status::Read)),
            ("canceled", None),
            ("scheduled", None),
            ("", None),
        ] {
            let form = format!(
                "MessageStatus={word}&MessageSid=SM1&From=whatsapp%3A%2B9&To=whatsapp%3A%2B1&ErrorCode=63016&Foo=1"
            );
            let told = read("m=msg_1&s=a%2Fb", form.as_bytes()).unwrap();
            let (id, sid) = (Some("msg_1".to_owned()), "SM1".to_owned());
            let expected = status.map(|status| Notice::Receipt(Receipt { id, sid, status, code: Some(63016) }));
            assert_eq!((&*told.ours, told.notice), ("+9", expected), "{word}");
        }
        assert!(
            Status::Sent < Status::Failed && Status::Failed < Status::Delivered && Status::Delivered < Status::Read
        );
        let none = read("m=", b"MessageStatus=sent").map(|told| told.ours);
        assert_eq!(none, Err("MessageSid es obligatorio"));
        let by_id = read("m=msg_1", b"MessageStatus=sent&ErrorCode=").unwrap().notice;
        let receipt = Receipt { id: Some("msg_1".to_owned()), sid: String::new(), status: Status::Sent, code: None };
        assert_eq!(by_id, Some(Notice::Receipt(receipt)));
    }
}
