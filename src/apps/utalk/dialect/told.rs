//! What clients are told, in their words. What an event of ours does not say comes from beside it; where nothing is there, it is null.

// A row of the table wants functions of these types, and some of them tell more than one event.
#![expect(clippy::ptr_arg)]

use serde_json::{Map, Value, json};

use super::shape;
use crate::app::kit::dialect::{Aside, Said};

/// `message:new`; the first inbound one of a new conversation is what a webhook has brought.
pub(super) fn message(all: &mut Vec<Said>, aside: &mut Aside<'_>) {
    let (ours, beside) = read_of(all, aside);
    let mut payload = json!({
        "conversationId": ours["conversationId"],
        "message": shape::message(&ours, &beside),
        "correlationId": ours["messageId"],
    });
    if ours["direction"] == "inbound" && beside["isNewConversation"] == true {
        payload["isNewConversation"] = true.into();
        all[0].name = "webhook:new-message".into();
    }
    all[0].set(0, &payload);
}

/// `conversation:new`.
pub(super) fn created(all: &mut Vec<Said>, aside: &mut Aside<'_>) {
    let (ours, beside) = read_of(all, aside);
    let conversation = shape::conversation(&ours, &beside);
    let payload = json!({"conversationId": ours["id"], "conversation": conversation, "timestamp": at(aside)});
    all[0].set(0, &payload);
}

/// `message:sent`.
pub(super) fn sent(all: &mut Vec<Said>, aside: &mut Aside<'_>) {
    let (ours, beside) = read_of(all, aside);
    // Beside it is the whole message, for `message:sent` does not tell its text.
    let whole = if beside["message"].is_null() { &ours } else { &beside["message"] };
    let message = shape::message(whole, &beside);
    let payload = json!({"message": message, "conversationId": ours["conversationId"], "timestamp": at(aside)});
    all[0].set(0, &payload);
}

/// `message:delivered`.
pub(super) fn delivered(all: &mut Vec<Said>, aside: &mut Aside<'_>) {
    let (ours, _) = read_of(all, aside);
    all[0].set(
        0,
        &json!({
            "conversationId": ours["conversationId"], "messageId": ours["id"], "status": ours["status"],
            "timestamp": ours.get("deliveredAt").cloned().unwrap_or_else(|| at(aside)),
        }),
    );
}

/// `message:read`: the reader by its e-mail, where that is known.
pub(super) fn read(all: &mut Vec<Said>, aside: &mut Aside<'_>) {
    let (ours, beside) = read_of(all, aside);
    let ids = [&beside["ids"], &ours["ids"]].into_iter().find(|ids| ids.is_array()).cloned();
    let payload = json!({
        "conversationId": ours["conversationId"],
        "messageIds": ids.unwrap_or_else(|| json!([ours["id"]])),
        "readBy": if beside["email"].is_null() { &ours["readBy"] } else { &beside["email"] },
        "timestamp": ours["readAt"],
    });
    all[0].set(0, &payload);
}

/// `message:error`: flat, its text as `error`.
pub(super) fn message_error(all: &mut Vec<Said>, aside: &mut Aside<'_>) {
    let (ours, _) = read_of(all, aside);
    let error = &ours["error"];
    all[0].set(
        0,
        &json!({
            "conversationId": ours["conversationId"], "messageId": ours["messageId"],
            "error": error["message"], "code": error["code"], "details": error["details"],
        }),
    );
}

/// `conversation:updated`: beside it are the names of the fields that have changed.
pub(super) fn updated(all: &mut Vec<Said>, aside: &mut Aside<'_>) {
    let (ours, beside) = read_of(all, aside);
    let theirs = shape::conversation(&ours, &beside);
    let changed = beside["changed"].as_array().cloned().unwrap_or_default();
    let updates: Map<String, Value> = changed
        .iter()
        .filter_map(Value::as_str)
        .filter_map(|name| Some((name.to_owned(), theirs.get(name)?.clone())))
        .collect();
    let payload = json!({
        "conversationId": ours["id"], "lastMessage": theirs["lastMessage"], "updatedAt": ours["updatedAt"],
        "unreadCount": ours["unreadCount"], "correlationId": format!("{}:{}", ours["id"].as_str().unwrap_or_default(), ours["rev"]),
        "updates": updates,
    });
    all[0].set(0, &payload);
}

/// An assignment is told twice, by both of its names; so is its end.
pub(super) fn assigned(all: &mut Vec<Said>, aside: &mut Aside<'_>) {
    let (ours, beside) = read_of(all, aside);
    let (id, email, role) = (&ours["conversationId"], &beside["email"], &beside["role"]);
    let agent = json!({"email": email, "name": ours["agentName"], "role": role});
    if ours["agentId"].is_null() {
        let gone = json!({"conversationId": id, "previousAssignedTo": email, "timestamp": at(aside)});
        *all = vec![Said::new("conversation-unassigned", &gone), Said::new("agent-unassigned", &gone)];
        return;
    }
    let first = json!({
        "conversationId": id, "assignedTo": agent, "assignedAgents": [agent], "agentEmail": email,
        "isPrimary": true, "timestamp": ours["assignedAt"],
    });
    let second = json!({"conversationId": id, "agentEmail": email, "role": role, "isPrimary": true});
    *all = vec![Said::new("conversation-assigned", &first), Said::new("agent-assigned", &second)];
}

/// One that has joined is told so, and then that it is up to date.
pub(super) fn joined(all: &mut Vec<Said>, aside: &mut Aside<'_>) {
    let (ours, beside) = read_of(all, aside);
    let (id, timestamp) = (&ours["conversationId"], at(aside));
    let online = if beside["onlineUsers"].is_array() { beside["onlineUsers"].clone() } else { json!([]) };
    let joined = json!({
        "conversationId": id, "roomId": id, "onlineUsers": online, "success": true, "timestamp": timestamp,
    });
    let synced = json!({"conversationId": id, "roomId": id, "success": true, "timestamp": timestamp});
    *all = vec![Said::new("conversation-joined", &joined), Said::new("websocket:state-synced", &synced)];
}

/// `conversation:read:acknowledged`.
pub(super) fn has_read(all: &mut Vec<Said>, aside: &mut Aside<'_>) {
    let (ours, beside) = read_of(all, aside);
    let ids = if beside["ids"].is_array() { beside["ids"].clone() } else { json!([ours["messageId"]]) };
    let updated = ids.as_array().map_or(0, Vec::len);
    let payload = json!({
        "ok": true, "conversationId": ours["conversationId"], "messageIds": ids, "updated": updated,
        "timestamp": ours["readAt"],
    });
    all[0].set(0, &payload);
}

/// `typing:start`.
pub(super) fn typing(all: &mut Vec<Said>, aside: &mut Aside<'_>) {
    let (ours, _) = read_of(all, aside);
    let email = if ours["email"].is_null() { &ours["userId"] } else { &ours["email"] };
    all[0].set(
        0,
        &json!({
            "conversationId": ours["conversationId"], "userId": email, "userEmail": email,
            "timestamp": ours["timestamp"],
        }),
    );
}

/// The end of typing has two names.
pub(super) fn typing_stop(all: &mut Vec<Said>, aside: &mut Aside<'_>) {
    typing(all, aside);
    all.push(Said { name: "stop-typing".into(), ..all[0].clone() });
}

/// `state:synced`.
pub(super) fn synced(all: &mut Vec<Said>, aside: &mut Aside<'_>) {
    let (ours, beside) = read_of(all, aside);
    let conversations = ours["conversations"].as_array().cloned().unwrap_or_default();
    let shown: Vec<Value> = conversations
        .iter()
        .map(|conversation| {
            let id = conversation["id"].as_str().unwrap_or_default();
            shape::conversation(conversation, &beside["conversations"][id])
        })
        .collect();
    let online = if beside["onlineUsers"].is_object() { beside["onlineUsers"].clone() } else { json!({}) };
    let payload = json!({
        "conversations": shown, "unreadCounts": ours["unreadCounts"], "onlineUsers": online,
        "serverTime": ours["serverTime"], "syncId": ours["syncId"], "version": aside.now.wall.0,
        "timestamp": at(aside),
    });
    all[0].set(0, &payload);
}

/// `presence:update`.
pub(super) fn presence(all: &mut Vec<Said>, aside: &mut Aside<'_>) {
    let (ours, _) = read_of(all, aside);
    let (email, status, role) = (&ours["email"], &ours["status"], &ours["role"]);
    let payload = json!({"email": email, "status": status, "role": role, "timestamp": at(aside)});
    all[0].set(0, &payload);
}

/// An error: as ours, with its code as `error`; one about too many events in their words.
pub(super) fn error(all: &mut Vec<Said>, aside: &mut Aside<'_>) {
    let (mut ours, _) = read_of(all, aside);
    if ours["code"] == "RATE_LIMIT_EXCEEDED" {
        ours["code"] = "RATE_LIMITED".into();
        ours["message"] = "Too many events".into();
        let resets = ours["details"]["resetAt"].as_str().and_then(crate::base::time::parse_iso);
        let left_ms = resets.map_or(0, |at| at.0.saturating_sub(aside.now.wall.0));
        ours["retryAfter"] = left_ms.div_ceil(1_000).max(1).into();
    }
    // A name that is spelled otherwise here has come with the dialect's before it.
    let text = ours["message"].as_str().unwrap_or_default().replacen(": hyphen/", ": ", 1);
    ours["message"] = text.into();
    ours["error"] = ours["code"].clone();
    all[0].set(0, &ours);
}

/// What is told, as an object, and what is told beside.
fn read_of(all: &[Said], aside: &Aside<'_>) -> (Value, Value) {
    let ours: Option<Map<String, Value>> = all[0].arg(0);
    let beside = aside.beside.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    (ours.unwrap_or_default().into(), beside)
}

fn at(aside: &Aside<'_>) -> Value {
    aside.now.wall.to_string().into()
}
