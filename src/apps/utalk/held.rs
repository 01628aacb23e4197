//! Messages of customers that wait for their files, as values.

use serde_json::{Map, Value, json};

use super::file::Media;
use super::webhook;
use super::who::Asker;
use super::wish::Inbound;
use crate::base::time::Millis;

/// A message of a customer that waits for its files, or behind one that does.
#[derive(Debug)]
pub(super) struct Held {
    pub askers: Vec<Asker>,
    pub inbound: Inbound,
    pub metadata: Map<String, Value>,
    pub files: Vec<Coming>,
    pub deadline: Millis,
    /// It is not known whether it was recorded before.
    pub is_doubtful: bool,
}

/// A file of one, and where it is.
#[derive(Debug)]
pub(super) struct Coming {
    pub from: webhook::Media,
    pub at: Stage,
}

/// Where a file is.
#[derive(Debug)]
pub(super) enum Stage {
    /// It is on its way.
    Asked,
    Kept(Media),
    /// It stays where the provider has it, for this reason.
    Left(String),
}

impl Held {
    /// Whether it has all its files, or knows why not.
    pub(super) fn is_whole(&self) -> bool {
        !self.is_doubtful && self.files.iter().all(|file| !matches!(file.at, Stage::Asked))
    }
}

impl Inbound {
    /// The same with what has become of its files: the first that was kept is the message's.
    pub(super) fn with(mut self, mut metadata: Map<String, Value>, files: Vec<Coming>) -> Inbound {
        let shown = files.iter().map(|Coming { from, at }| match at {
            Stage::Kept(media) => json!({"url": from.at, "mimeType": media.mime, "mediaId": media.id}),
            Stage::Left(why) => json!({"url": from.at, "mimeType": from.mime, "error": why}),
            Stage::Asked => json!({"url": from.at, "mimeType": from.mime}),
        });
        let shown: Vec<Value> = shown.collect();
        if !shown.is_empty() {
            metadata.insert("media".to_owned(), shown.into());
        }
        self.draft.metadata = Value::from(metadata).to_string().into();
        let kept =
            files.into_iter().filter_map(|file| if let Stage::Kept(media) = file.at { Some(media) } else { None });
        self.files = kept.collect();
        if let Some(first) = self.files.first() {
            (self.draft.kind, self.draft.media) = (first.kind, Some(first.id.clone()));
        }
        self
    }
}
