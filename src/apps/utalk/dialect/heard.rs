//! What clients say, in our words.

use serde_json::{Map, Value, json};

use super::shape;
use crate::app::kit::dialect::{Aside, Said};
use crate::apps::utalk::rules::{conversation_id, uuid_v4};
use crate::base::rng::Rng;

/// An event about a conversation, whose id may be percent-encoded; rooms have no names of their own with us.
pub(super) fn in_conversation(said: &mut Said, _: &mut Aside<'_>) {
    change(said, |fields| {
        fields.remove("roomId");
    });
}

/// `new-message`.
pub(super) fn new_message(said: &mut Said, aside: &mut Aside<'_>) {
    change(said, |fields| message(fields, aside.rng));
}

/// A message: it gets an id where its client gives none, and is then a new one each time.
pub(in crate::apps::utalk) fn message(fields: &mut Map<String, Value>, rng: &mut Rng) {
    if let Some(content) = fields.remove("content") {
        fields.entry("text").or_insert(content);
    }
    if fields.get("messageId").is_none_or(Value::is_null) {
        fields.insert("messageId".into(), uuid_v4(rng).into());
    }
    if let Some(kind) = fields.get("type").and_then(Value::as_str).map(shape::kind_heard) {
        fields.insert("type".into(), kind.into());
    }
}

/// `sync-state`: a snapshot, whatever time or version is named.
pub(super) fn sync(said: &mut Said, aside: &mut Aside<'_>) {
    let id = said.arg::<Value>(0).and_then(|fields| fields["syncId"].as_str().map(str::to_owned));
    said.args.truncate(1);
    said.set(0, &json!({"syncId": id.unwrap_or_else(|| uuid_v4(aside.rng))}));
}

/// `user-status-change`.
pub(super) fn status(said: &mut Said, _: &mut Aside<'_>) {
    change(said, |fields| {
        if fields.get("status").is_some_and(|status| status == "invisible") {
            fields.insert("status".into(), "offline".into());
        }
    });
}

/// Changes the first argument, if it is an object, and decodes its conversation's id.
fn change(said: &mut Said, run: impl FnOnce(&mut Map<String, Value>)) {
    let Some(mut fields) = said.arg::<Map<String, Value>>(0) else { return };
    if let Some(id) = fields.get("conversationId").and_then(Value::as_str) {
        let id = decoded(id);
        fields.insert("conversationId".into(), id);
    }
    run(&mut fields);
    said.set(0, &fields);
}

/// The id of a conversation without its percents.
pub(super) fn decoded(id: &str) -> Value {
    json!(&*conversation_id(&crate::base::percent::decode_segment(id)))
}
