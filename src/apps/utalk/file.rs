//! Files of conversations as values: what is kept of one, what is asked about one, and how clients see it.

use std::sync::Arc;

use serde::Serialize;

use super::message::Kind;
use super::who::Asker;
use crate::app::settings::Word;
use crate::base::ids::Sid;
use crate::base::time::{Millis, WallMillis};

/// A row of `ut_media`.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Media {
    /// `media_` and a UUID.
    pub id: Arc<str>,
    pub conversation: Arc<str>,
    /// The message that it is for, as its uploader calls it.
    pub message: Option<Arc<str>>,
    /// The kind of message that it makes.
    pub kind: Kind,
    pub mime: Arc<str>,
    pub file_name: Arc<str>,
    pub bytes: u64,
    pub sha256: Arc<str>,
    /// Its place on the shelf.
    pub blob: Arc<str>,
    /// Nobody: it came with a message of the customer.
    pub uploaded_by: Option<Arc<str>>,
    pub created_at: WallMillis,
}

/// A file that somebody wants to bring.
#[derive(Clone, Debug)]
pub(super) struct Bringing {
    pub message: Option<Arc<str>>,
    /// What it is to be, where that is another kind than its bytes make it.
    pub kind: Option<Kind>,
    pub file_name: Arc<str>,
    pub base: Arc<str>,
}

/// A message of several files that somebody wants to send.
#[derive(Clone, Debug)]
pub(super) struct Attaching {
    pub message_id: Arc<str>,
    pub text: Option<Arc<str>>,
    /// Ids, and what each is to be.
    pub files: Vec<(Arc<str>, Option<Kind>)>,
    pub base: Arc<str>,
}

/// A file on its way.
#[derive(Debug)]
pub(super) struct Uploading {
    pub asker: Asker,
    pub conversation: Arc<str>,
    pub wanted: Bringing,
    pub blob: Sid,
    /// The percentage that was told last, and when.
    pub told: (u64, Millis),
}

/// A file on its shelf whose row is being written.
#[derive(Debug)]
pub(super) struct Storing {
    pub asker: Asker,
    pub media: Media,
    pub base: Arc<str>,
}

/// A file that is on its way: of which message, and its place among the message's.
#[derive(Clone, Debug)]
pub(super) struct Which {
    pub conversation: Arc<str>,
    pub sid: Arc<str>,
    pub place: usize,
}

/// What somebody wants of a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Shown {
    Row,
    /// Where its bytes are.
    Address,
    Bytes,
}

/// A look for a file.
#[derive(Debug)]
pub(super) struct Looking {
    pub asker: Asker,
    pub shown: Shown,
    pub base: Arc<str>,
}

/// A file in an event or a reply.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ShownMedia<'a> {
    pub id: &'a str,
    pub conversation_id: &'a str,
    pub message_id: Option<&'a str>,
    #[serde(rename = "type")]
    pub kind: &'static str,
    pub mime_type: &'a str,
    pub file_name: &'a str,
    pub size_bytes: u64,
    pub url: String,
    pub public_url: String,
    pub uploaded_by: Option<&'a str>,
    pub created_at: String,
}

/// The kind of message that a file makes; anything may go as a file, an image as a sticker.
pub(super) fn kind_of(mime: &str, wanted: Option<Kind>) -> Kind {
    let own = match mime.split('/').next() {
        Some("image") => Kind::Image,
        Some("audio") => Kind::Audio,
        _ => Kind::File,
    };
    match wanted {
        Some(Kind::File) => Kind::File,
        Some(Kind::Sticker) if own == Kind::Image => Kind::Sticker,
        _ => own,
    }
}

/// The kind that an uploader's word asks for.
pub(super) fn kind_of_word(word: &str) -> Option<Kind> {
    match word {
        "document" | "video" => Some(Kind::File),
        "voice" => Some(Kind::Audio),
        word => Kind::of(word).filter(|kind| kind.has_media()),
    }
}
