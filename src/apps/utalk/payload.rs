//! What clients send, as types. In: an event's first argument. Out: what it asks for, or which field is wrong and why.

use std::fmt;
use std::sync::Arc;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde_json::{Map, Value, json};

use super::message::{Direction, Kind, Message, Status};
use super::settings::Settings;
use super::user::Presence;
use crate::app::event::Event;
use crate::app::kit::ack::Fail;
use crate::app::settings::Word;
use crate::base::time::WallMillis;

/// The fields of a payload.
pub(super) struct Fields<'a> {
    event: &'a str,
    fields: Map<String, Value>,
}

/// The fields of a JSON object. One that is there twice makes it none: who reads the first and who reads the last would see different things.
pub(super) struct Unique(pub Map<String, Value>);

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Unique, D::Error> {
        from.deserialize_map(EachOnce)
    }
}

struct EachOnce;

impl<'de> Visitor<'de> for EachOnce {
    type Value = Unique;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Unique, A::Error> {
        let mut fields = Map::new();
        while let Some((name, value)) = map.next_entry::<String, Value>()? {
            if fields.insert(name, value).is_some() {
                return Err(A::Error::custom("a field is there twice"));
            }
        }
        Ok(Unique(fields))
    }
}

/// What may be wrong with a field.
#[derive(Clone, Copy, Debug)]
pub(super) enum Why {
    Missing,
    Invalid,
    TooLong,
}

/// A message that somebody wants to send.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Draft {
    pub message_id: Arc<str>,
    pub kind: Kind,
    pub text: Option<Arc<str>>,
    pub media: Option<Arc<str>>,
    /// JSON object.
    pub metadata: Arc<str>,
}

impl Draft {
    /// The message that it becomes, as a customer's that has come in: without numbers, and nobody has done anything with it. What goes out says
    /// otherwise.
    pub(super) fn into_message(
        self,
        id: Arc<str>,
        conversation: &Arc<str>,
        sender: Arc<str>,
        change: u64,
        at: WallMillis,
    ) -> Message {
        Message {
            id,
            message_id: self.message_id,
            conversation: conversation.clone(),
            seq: 0,
            inbound: 0,
            kind: self.kind,
            text: self.text,
            media: self.media,
            metadata: self.metadata,
            sender,
            author: None,
            direction: Direction::Inbound,
            status: Status::Received,
            error: None,
            reason: None,
            attempt: 0,
            sid: None,
            sent_at: None,
            delivered_at: None,
            read_at: None,
            created_at: at,
            change,
            digest: None,
        }
    }
}

/// What `sync:state` asks for.
#[derive(Clone, Debug)]
pub(super) struct SyncAsked {
    pub sync_id: Arc<str>,
    /// Milliseconds since 1970.
    pub last_sync: Option<u64>,
    pub cursor: Option<String>,
    pub limit: u32,
}

impl<'a> Fields<'a> {
    /// The fields of an event of this name.
    ///
    /// # Errors
    /// Where its first argument is no object, or has a field twice.
    pub(super) fn of(name: &'a str, event: &Event) -> Result<Fields<'a>, Fail> {
        match event.args.parse(0) {
            Some(Unique(fields)) => Ok(Fields { event: name, fields }),
            None if event.args.is_empty() => Err(wrong(name, PAYLOAD, Why::Missing)),
            _ => Err(wrong(name, PAYLOAD, Why::Invalid)),
        }
    }

    /// The fields of a value, as a request has it.
    pub(super) fn new(name: &'a str, fields: Map<String, Value>) -> Fields<'a> {
        Fields { event: name, fields }
    }

    /// A refusal about one of its fields.
    pub(super) fn wrong(&self, path: &str, why: Why) -> Fail {
        wrong(self.event, path, why)
    }

    /// A field; null is none.
    pub(super) fn value(&self, path: &str) -> Option<&Value> {
        self.fields.get(path).filter(|value| !value.is_null())
    }

    /// Text of at most `chars_max` characters that may be left out.
    ///
    /// # Errors
    /// Where it is there and is not.
    pub(super) fn text(&self, path: &str, chars_max: usize) -> Result<Option<Arc<str>>, Fail> {
        match self.value(path) {
            None => Ok(None),
            Some(Value::String(text)) if text.contains('\0') => Err(self.wrong(path, Why::Invalid)),
            Some(Value::String(text)) if is_longer(text, chars_max) => Err(self.wrong(path, Why::TooLong)),
            Some(Value::String(text)) => Ok(Some(text.as_str().into())),
            Some(_) => Err(self.wrong(path, Why::Invalid)),
        }
    }

    /// Text of 1 to `chars_max` characters.
    ///
    /// # Errors
    /// Where it is not there, or is not.
    pub(super) fn filled(&self, path: &str, chars_max: usize) -> Result<Arc<str>, Fail> {
        let text = self.text(path, chars_max)?.filter(|text| !text.is_empty());
        text.ok_or_else(|| self.wrong(path, Why::Missing))
    }

    /// Ids of messages: of several, else of the one.
    ///
    /// # Errors
    /// Where there is none, or what is there is none.
    pub(super) fn ids(&self, several: &str, one: &str) -> Result<Vec<Arc<str>>, Fail> {
        let ids = match self.value(several) {
            None => return Ok(vec![self.filled(one, MESSAGE_ID_CHARS_MAX)?]),
            Some(Value::Array(ids)) => ids,
            Some(_) => return Err(self.wrong(several, Why::Invalid)),
        };
        if ids.len() > IDS_MAX {
            return Err(self.wrong(several, Why::TooLong));
        }
        let texts = ids.iter().map(|id| id.as_str().filter(|id| !id.is_empty() && !id.contains('\0')));
        let ids: Option<Vec<&str>> = texts.collect();
        let ids = ids.filter(|ids| !ids.is_empty() && ids.iter().all(|id| !is_longer(id, MESSAGE_ID_CHARS_MAX)));
        let ids = ids.ok_or_else(|| self.wrong(several, Why::Invalid))?;
        Ok(ids.into_iter().map(Arc::from).collect())
    }

    /// One of the words of an enum; `None` where it is left out.
    ///
    /// # Errors
    /// Where it is another.
    pub(super) fn word<W: Word>(&self, path: &str) -> Result<Option<W>, Fail> {
        match self.value(path) {
            None => Ok(None),
            Some(value) => {
                let word = value.as_str().and_then(W::of);
                word.map(Some).ok_or_else(|| self.wrong(path, Why::Invalid))
            }
        }
    }

    /// True or false; false where it is left out.
    ///
    /// # Errors
    /// Where it is neither.
    pub(super) fn switch(&self, path: &str) -> Result<bool, Fail> {
        match self.value(path) {
            None => Ok(false),
            Some(Value::Bool(on)) => Ok(*on),
            Some(_) => Err(self.wrong(path, Why::Invalid)),
        }
    }

    /// `conversationId`.
    ///
    /// # Errors
    /// Where it is none.
    pub(super) fn conversation(&self) -> Result<Arc<str>, Fail> {
        let path = "conversationId";
        let id = self.filled(path, usize::MAX)?;
        match conversation_fault(&id) {
            None => Ok(id),
            Some(why) => Err(self.wrong(path, why)),
        }
    }

    /// The status of `presence:set`.
    ///
    /// # Errors
    /// Where it is none.
    pub(super) fn presence(&self) -> Result<Presence, Fail> {
        self.word("status")?.ok_or_else(|| self.wrong("status", Why::Missing))
    }

    /// The message of `message:send`, and its conversation.
    ///
    /// # Errors
    /// The first field that is wrong, in the order of the contract.
    pub(super) fn draft(&self, settings: &Settings) -> Result<(Arc<str>, Draft), Fail> {
        let message_id = self.filled("messageId", MESSAGE_ID_CHARS_MAX)?;
        if settings.strict_ids && !is_uuid_v4(&message_id) {
            return Err(self.wrong("messageId", Why::Invalid));
        }
        let conversation = self.conversation()?;
        let kind = self.word("type")?.unwrap_or(Kind::Text);
        let text = self.text("text", settings.text_chars_max)?;
        if matches!(kind, Kind::Text | Kind::Note) && text.as_ref().is_none_or(|text| text.trim().is_empty()) {
            return Err(self.wrong("text", Why::Missing));
        }
        let media = self.text("mediaId", MESSAGE_ID_CHARS_MAX)?;
        if kind.has_media() && media.as_ref().is_none_or(|id| id.is_empty()) {
            return Err(self.wrong("mediaId", Why::Missing));
        }
        let metadata = self.metadata(kind)?;
        Ok((conversation, Draft { message_id, kind, text, media, metadata }))
    }

    fn metadata(&self, kind: Kind) -> Result<Arc<str>, Fail> {
        let none = Map::new();
        let metadata = match self.value("metadata") {
            None => &none,
            Some(Value::Object(metadata)) => metadata,
            Some(_) => return Err(self.wrong("metadata", Why::Invalid)),
        };
        if kind == Kind::Location {
            for (name, path, max) in
                [("latitude", "metadata.latitude", 90.0), ("longitude", "metadata.longitude", 180.0)]
            {
                match metadata.get(name).filter(|value| !value.is_null()) {
                    None => return Err(self.wrong(path, Why::Missing)),
                    Some(value) if value.as_f64().is_some_and(|number| number.abs() <= max) => {}
                    Some(_) => return Err(self.wrong(path, Why::Invalid)),
                }
            }
        }
        if kind == Kind::Template {
            match metadata.get("template").filter(|value| !value.is_null()) {
                None => return Err(self.wrong("metadata.template", Why::Missing)),
                Some(template) if template["sid"].as_str().is_some_and(|sid| !sid.is_empty()) => {}
                Some(template) if template["sid"].is_null() => {
                    return Err(self.wrong("metadata.template.sid", Why::Missing));
                }
                Some(_) => return Err(self.wrong("metadata.template.sid", Why::Invalid)),
            }
        }
        let text = json!(metadata).to_string();
        match text.len() > METADATA_BYTES_MAX {
            true => Err(self.wrong("metadata", Why::TooLong)),
            false => Ok(text.into()),
        }
    }

    /// What `sync:state` asks for.
    ///
    /// # Errors
    /// The first field that is wrong.
    pub(super) fn sync(&self) -> Result<SyncAsked, Fail> {
        let sync_id = self.filled("syncId", MESSAGE_ID_CHARS_MAX)?;
        let last_sync = match self.text("lastSync", MESSAGE_ID_CHARS_MAX)? {
            None => None,
            Some(text) => Some(instant(&text).ok_or_else(|| self.wrong("lastSync", Why::Invalid))?),
        };
        // One that is none of ours is answered by a snapshot.
        let cursor = match self.value("cursor") {
            None => None,
            Some(Value::String(cursor)) => Some(cursor.clone()),
            Some(_) => return Err(self.wrong("cursor", Why::Invalid)),
        };
        let limit = match self.value("limit") {
            None => SYNC_LIMIT_MAX,
            Some(value) => {
                let limit = value.as_u64().and_then(|limit| u32::try_from(limit).ok());
                let limit = limit.filter(|limit| (1..=SYNC_LIMIT_MAX).contains(limit));
                limit.ok_or_else(|| self.wrong("limit", Why::Invalid))?
            }
        };
        Ok(SyncAsked { sync_id, last_sync, cursor, limit })
    }
}

/// A payload that is not as it should be.
pub(super) fn wrong(event: &str, path: &str, why: Why) -> Fail {
    let why = match why {
        Why::Missing => "es obligatorio",
        Why::Invalid => "no es válido",
        Why::TooLong => "es demasiado largo",
    };
    let message = format!("Datos inválidos: \"{path}\" {why}");
    Fail::new(INVALID_EVENT, message).with(json!({"event": event, "path": path}))
}

/// Why this is no id of a conversation: `conv_` and 1 to 120 letters, digits and `_+-.`.
pub(super) fn conversation_fault(id: &str) -> Option<Why> {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'+' | b'-' | b'.');
    match id.strip_prefix("conv_") {
        Some(rest) if !rest.is_empty() && rest.bytes().all(is_part) => (rest.len() > 120).then_some(Why::TooLong),
        _ => Some(Why::Invalid),
    }
}

/// Milliseconds since 1970 of an ISO 8601 time with a zone.
pub(super) fn instant(text: &str) -> Option<u64> {
    crate::base::time::parse_iso(text).map(|at| at.0)
}

fn is_longer(text: &str, chars_max: usize) -> bool {
    text.len() > chars_max && text.chars().count() > chars_max
}

fn is_uuid_v4(text: &str) -> bool {
    let is_in_place = |(at, byte): (usize, u8)| match at {
        8 | 13 | 18 | 23 => byte == b'-',
        14 => byte == b'4',
        19 => matches!(byte, b'8' | b'9' | b'a' | b'b' | b'A' | b'B'),
        _ => byte.is_ascii_hexdigit(),
    };
    text.len() == 36 && text.bytes().enumerate().all(is_in_place)
}

/// An event that is not permitted, or has not the shape it should have.
pub(super) const INVALID_EVENT: &str = "INVALID_EVENT";
/// What the payload as a whole is called.
const PAYLOAD: &str = "payload";
/// Characters of an id of ours or of a client.
pub(super) const MESSAGE_ID_CHARS_MAX: usize = 128;
/// Messages that are read at once.
const IDS_MAX: usize = 500;
const METADATA_BYTES_MAX: usize = 16 * 1024;
const SYNC_LIMIT_MAX: u32 = 500;
