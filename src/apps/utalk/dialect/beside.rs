//! What a home says beside an event, of which clients of the dialect are told more than ours say.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::app::effect::Emission;

/// All of it; what an event does not need is left empty.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(in crate::apps::utalk) struct Beside {
    pub tenant_id: String,
    pub workspace_id: String,
    /// Those whom the event names by their ids.
    pub people: BTreeMap<String, Person>,
    /// Numbers of the conversation.
    pub customer: String,
    pub ours: String,
    /// Files of a message, as messages have them attached; its own is the first.
    pub files: Vec<Value>,
    /// The message that has made its conversation.
    pub is_new_conversation: bool,
    /// A message whole, where its event tells of it.
    pub message: Value,
    /// Messages that were read, the newest last; and how many of them only now.
    pub ids: Vec<String>,
    pub updated: usize,
    /// Fields of a conversation that are others than before.
    pub changed: Vec<String>,
    /// E-mails of those who are in a conversation's room, by conversation.
    pub online: BTreeMap<String, Vec<String>>,
}

/// An event, and what it says beside.
pub(in crate::apps::utalk) fn emission(event: &str, payload: &impl Serialize, beside: Option<&Beside>) -> Emission {
    let emission = Emission::new(event, payload);
    if let Some(beside) = beside { emission.beside(beside) } else { emission }
}

/// A user as others know it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(in crate::apps::utalk) struct Person {
    pub email: String,
    pub name: String,
    pub role: String,
}

impl Beside {
    /// Read from what travels beside an event; empty where nothing does.
    pub(super) fn of(text: Option<&str>) -> Beside {
        text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
    }

    /// The user of an id, if it is known.
    pub(super) fn person(&self, id: &Value) -> Option<&Person> {
        self.people.get(id.as_str()?)
    }

    /// The e-mail of the user of an id; else the id.
    pub(super) fn email(&self, id: &Value) -> Value {
        self.person(id).map_or_else(|| id.clone(), |person| person.email.clone().into())
    }
}
