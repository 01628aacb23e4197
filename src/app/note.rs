//! What one home of an application tells another: a value, not a call. It goes the way of an event that is passed on, in the
//! order in which it was said, and nothing comes back of itself.

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A note. One of more than [`NOTE_BYTES_MAX`](crate::base::limit::NOTE_BYTES_MAX) is not delivered, which is an alert.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Note {
    /// What it is about, from the application's closed set.
    pub about: &'static str,
    /// JSON.
    text: Bytes,
}

impl Note {
    pub fn new(about: &'static str, value: &impl Serialize) -> Note {
        let text = serde_json::to_vec(value).expect("our own types serialise to JSON");
        Note { about, text: text.into() }
    }

    /// Its value read as `T`; `None` if it is of another shape.
    pub fn read<T: DeserializeOwned>(&self) -> Option<T> {
        serde_json::from_slice(&self.text).ok()
    }

    pub fn size_bytes(&self) -> usize {
        self.text.len()
    }
}
