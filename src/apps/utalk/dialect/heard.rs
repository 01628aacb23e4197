//! What clients say, in our words.

use serde_json::{Map, Value, json};

use super::shape;
use crate::app::kit::dialect::{Aside, Said};
use crate::apps::utalk::http::conversations::conversation_id;
use crate::apps::utalk::rules::uuid_v4;

/// An event about a conversation, whose id may be percent-encoded; rooms have no names of their own with us.
pub(super) fn in_conversation(said: &mut Said, _: &mut Aside<'_>) {
    change(said, |fields| {
        fields.remove("roomId");
    });
}

/// `new-message`: it gets an id where its client gives none, and is then a new one each time.
pub(super) fn message(said: &mut Said, aside: &mut Aside<'_>) {
    change(said, |fields| {
        if fields.get("messageId").is_none_or(Value::is_null) {
            fields.insert("messageId".into(), uuid_v4(aside.rng).into());
        }
        if let Some(kind) = fields.get("type").and_then(Value::as_str).map(shape::kind_heard) {
            fields.insert("type".into(), kind.into());
        }
    });
}

/// Messages that were read. Our ids rise, so the highest of them is the latest; ids of clients do not, and the last one named counts.
pub(super) fn read(said: &mut Said, _: &mut Aside<'_>) {
    change(said, |fields| {
        let Some(Value::Array(ids)) = fields.remove("messageIds") else { return };
        let ids: Vec<&str> = ids.iter().filter_map(Value::as_str).collect();
        let ours = ids.iter().filter(|id| id.starts_with("msg_")).max();
        if let Some(id) = ours.or(ids.last()) {
            fields.insert("messageId".into(), json!(id));
        }
    });
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
        let id = crate::base::percent::decode_segment(id).into_owned();
        fields.insert("conversationId".into(), json!(&*conversation_id(&id)));
    }
    run(&mut fields);
    said.set(0, &fields);
}
