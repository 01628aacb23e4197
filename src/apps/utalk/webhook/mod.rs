//! What providers tell us over HTTP: messages of customers, and how our own messages fare. `signature` (is it from whom it says?) →
//! `twilio`, `meta` (what it says, as the values below). Pure; where it is decided and what comes of it are elsewhere.

pub(super) mod meta;
pub(super) mod signature;
pub(super) mod twilio;

use serde_json::{Map, Value};

use super::message::{Kind, Status};

/// A message of a customer.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Inbound {
    /// The provider's id, by which a repetition is known.
    pub sid: String,
    /// As ids of conversations spell them: a number with its `+`, or an id of the platform.
    pub customer: String,
    pub ours: String,
    /// What the customer calls themself.
    pub name: Option<String>,
    pub kind: Kind,
    pub text: String,
    pub media: Vec<Media>,
    /// What else is told, such as where the customer is.
    pub more: Map<String, Value>,
}

/// A file that comes with a message, where it lies.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Media {
    /// A URL; or with WhatsApp Cloud an id, which its API turns into one.
    pub at: String,
    /// As the provider has it; empty: it does not say.
    pub mime: String,
}

/// How one of our messages fares.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Receipt {
    /// Our own id, where the provider gives it back.
    pub id: Option<String>,
    /// The provider's.
    pub sid: String,
    pub status: Status,
    /// The provider's code of a failure.
    pub code: Option<u32>,
}

/// What a webhook tells of one of our numbers.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Notice {
    Message(Inbound),
    Receipt(Receipt),
}

impl Inbound {
    /// The metadata that clients see, without its files.
    pub(super) fn metadata(&self) -> Map<String, Value> {
        let mut metadata = self.more.clone();
        metadata.insert("twilioSid".to_owned(), self.sid.clone().into());
        metadata
    }
}

/// A provider's id for a message, if it can be one of ours.
fn sid(text: &str) -> Option<String> {
    let fits = (1..=SID_CHARS_MAX).contains(&text.chars().count()) && !text.contains(char::is_control);
    fits.then(|| text.to_owned())
}

/// What a customer says, as it can be stored: no database keeps a NUL.
fn storable(text: &str) -> String {
    text.replace('\0', "")
}

/// What kind of message a file makes.
fn kind_of(mime: &str) -> Kind {
    match mime.split('/').next() {
        Some("image") => Kind::Image,
        Some("audio") => Kind::Audio,
        _ => Kind::File,
    }
}

/// Files of one message that are looked at; providers send no more.
pub(super) const MEDIA_MAX: usize = 10;
/// Characters of a provider's id for a message: it is a message id here.
pub(super) const SID_CHARS_MAX: usize = 128;
