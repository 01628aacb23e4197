//! Routes about files.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::envelope;
use super::messages::SEND;
use super::page::Page;
use super::wants::Show;
use crate::app::kit::ack::Fail;
use crate::app::route::Call;
use crate::apps::utalk::edit::not_found;
use crate::apps::utalk::file::{Attaching, Bringing, Looking, Shown, kind_of_word};
use crate::apps::utalk::media::base_of;
use crate::apps::utalk::message::Kind;
use crate::apps::utalk::payload::{Fields, MESSAGE_ID_CHARS_MAX, Why, conversation_fault, wrong};
use crate::apps::utalk::rules::{self, conversation_id};
use crate::apps::utalk::turn::Turn;
use crate::apps::utalk::who::Asker;
use crate::apps::utalk::wish::What;

impl Turn<'_> {
    /// `POST /api/media/upload`: what comes before the file.
    pub(super) fn upload(&mut self, asker: &Asker, call: &Call) -> Result<(), Fail> {
        let field = |name| call.field(name).filter(|text| !text.is_empty());
        let wrong = |path, why| wrong(call.route.name, path, why);
        let id = field("conversationId").ok_or_else(|| wrong("conversationId", Why::Missing))?;
        let id = conversation_id(id);
        if conversation_fault(&id).is_some() {
            return Err(not_found());
        }
        let message = field("messageId");
        if message.is_some_and(|id| id.chars().count() > MESSAGE_ID_CHARS_MAX) {
            return Err(wrong("messageId", Why::TooLong));
        }
        if message.is_some_and(|id| id.contains('\0')) {
            return Err(wrong("messageId", Why::Invalid));
        }
        let kind = match field("type") {
            None => None,
            Some(word) => Some(kind_of_word(word).ok_or_else(|| wrong("type", Why::Invalid))?),
        };
        let name = call.form.as_ref().map(|form| form.file_name.as_str()).unwrap_or_default();
        let wanted = Bringing {
            message: message.map(Arc::from),
            kind,
            file_name: file_name(name).into(),
            base: base_of(call, self.settings),
        };
        self.wish(What::Bring(wanted).of(&asker.answered(envelope::created), id));
        Ok(())
    }

    /// `POST /api/messages/send-with-file-ids`: files that were brought before, as one message.
    pub(super) fn send_files(&mut self, asker: &Asker, call: &Call, mut body: Map<String, Value>) -> Result<(), Fail> {
        if let Some(Value::String(id)) = body.get_mut("conversationId") {
            *id = conversation_id(id).to_string();
        }
        let fields = Fields::new(SEND, body);
        let conversation = fields.conversation()?;
        let files = match fields.value("attachments") {
            None => return Err(missing_attachments()),
            Some(Value::Array(files)) if files.is_empty() => return Err(missing_attachments()),
            Some(Value::Array(files)) if files.len() > ATTACHMENTS_MAX => {
                return Err(fields.wrong("attachments", Why::TooLong));
            }
            Some(Value::Array(files)) => files.iter().map(file_of).collect::<Option<Vec<_>>>(),
            Some(_) => None,
        };
        let attaching = Attaching {
            message_id: match fields.text("messageId", MESSAGE_ID_CHARS_MAX)?.filter(|id| !id.is_empty()) {
                Some(id) => id,
                None => rules::uuid_v4(self.rng).into(),
            },
            text: fields.text("content", self.settings.text_chars_max)?,
            files: files.ok_or_else(|| fields.wrong("attachments", Why::Invalid))?,
            base: base_of(call, self.settings),
        };
        self.wish(What::Attach(attaching).of(&asker.answered(envelope::message_and_files), conversation));
        Ok(())
    }

    /// What a request for a conversation's files wants to see.
    pub(super) fn files_wanted(&self, call: &Call) -> Result<Show, Fail> {
        let limit = Page::<1>::of(call, "files")?.limit;
        Ok(Show::Files { limit, base: base_of(call, self.settings) })
    }

    /// A file by its id.
    pub(super) fn media(&mut self, asker: &Asker, call: &Call, shown: Shown) {
        let looking = Looking { asker: asker.clone(), shown, base: base_of(call, self.settings) };
        self.look_for_media(looking, &call.param("id").into());
    }
}

/// An attachment of a request: its id, and what it is to be.
fn file_of(file: &Value) -> Option<(Arc<str>, Option<Kind>)> {
    let id = file["id"].as_str().filter(|id| !id.contains('\0') && id.len() <= MESSAGE_ID_CHARS_MAX)?;
    let kind = match &file["type"] {
        Value::Null => None,
        word => Some(kind_of_word(word.as_str()?)?),
    };
    Some((id.into(), kind))
}

fn missing_attachments() -> Fail {
    Fail::new("MISSING_ATTACHMENTS", "Faltan los archivos adjuntos")
}

/// What a file is called: the last part of what its sender says, without what is not seen.
fn file_name(text: &str) -> String {
    let last = text.rsplit(['/', '\\']).next().unwrap_or_default();
    let name: String = last.chars().filter(|char| !char.is_control()).collect();
    if name.trim().is_empty() { "file".to_owned() } else { name }
}

/// Of one message.
const ATTACHMENTS_MAX: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_called_by_no_path() {
        for (text, name) in [
            ("a.png", "a.png"),
            ("../../etc/passwd", "passwd"),
            ("C:\\x\\b.pdf", "b.pdf"),
            ("", "file"),
            ("a\0\nb", "ab"),
            ("x/", "file"),
        ] {
            assert_eq!(file_name(text), name, "{text:?}");
        }
    }
}
