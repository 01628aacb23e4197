//! What clients are told, in their words. What an event of ours does not say comes from beside it; where nothing is there, it is null or
//! empty. An ack says what the event does that answers.

// A row of the table wants functions of these types, and some of them tell more than one event.
#![expect(clippy::ptr_arg)]

use serde_json::{Map, Value, json};

use super::{Beside, EMAIL_REQUIRED, shape};
use crate::app::kit::dialect::{Aside, Said};
use crate::app::{AuthFailure, Refusal};
use crate::apps::utalk::rules::AUTHENTICATION_FAILED;
use crate::base::time::{WallMillis, parse_iso};

/// A CONNECT_ERROR about who its client is: its text says what is to be done about it. What we say beside it stays.
pub(super) fn refused(refusal: &mut Refusal, why: Option<AuthFailure>) {
    if refusal.message != AUTHENTICATION_FAILED {
        return;
    }
    let data: Value = refusal.data.as_deref().and_then(|data| serde_json::from_str(data).ok()).unwrap_or_default();
    let text = match (why, data["code"].as_str()) {
        (Some(AuthFailure::Missing), _) => "AUTHENTICATION_REQUIRED: JWT token required",
        (_, Some(EMAIL_REQUIRED)) => "AUTHENTICATION_FAILED: Valid email required",
        _ => "AUTHENTICATION_FAILED: Invalid or expired token",
    };
    text.clone_into(&mut refusal.message);
}

/// `message:new`; the first inbound one of a new conversation is what a webhook has brought.
pub(super) fn message(all: &mut Vec<Said>, aside: &mut Aside<'_>) {
    let (ours, beside) = read_of(&all[0], aside);
    let mut payload = json!({
        "conversationId": ours["conversationId"],
        "message": shape::message(&ours, &beside),
        "correlationId": ours["messageId"],
    });
    if ours["direction"] == "inbound" && beside.is_new_conversation {
        payload["isNewConversation"] = true.into();
        all[0].name = "webhook:new-message".into();
    }
    all[0].set(0, &payload);
}

/// `conversation:new`.
pub(super) fn created(all: &mut Vec<Said>, aside: &mut Aside<'_>) {
    let (ours, beside) = read_of(&all[0], aside);
    let conversation = shape::conversation(&ours, &beside);
    let payload = json!({"conversationId": ours["id"], "conversation": conversation, "timestamp": at(aside)});
    all[0].set(0, &payload);
}

/// `message:sent`.
pub(super) fn sent(all: &mut Vec<Said>, aside: &mut Aside<'_>) {
    reply(&mut all[0], aside, sent_of);
}

/// The ack of `new-message`.
pub(super) fn is_sent(said: &mut Said, aside: &mut Aside<'_>) {
    ack(said, aside, sent_of);
}

/// Beside it is the message whole, for `message:sent` does not tell its text.
fn sent_of(ours: &Value, beside: &Beside, at: WallMillis) -> Value {
    let whole = if beside.message.is_null() { ours } else { &beside.message };
    let message = shape::message(whole, beside);
    json!({"message": message, "conversationId": ours["conversationId"], "timestamp": at.to_string()})
}

/// `message:delivered`.
pub(super) fn delivered(all: &mut Vec<Said>, aside: &mut Aside<'_>) {
    reply(&mut all[0], aside, |ours, _, at| {
        json!({
            "conversationId": ours["conversationId"], "messageId": ours["id"], "status": ours["status"],
            "timestamp": ours.get("deliveredAt").cloned().unwrap_or_else(|| at.to_string().into()),
        })
    });
}

/// `message:read`.
pub(super) fn read(all: &mut Vec<Said>, aside: &mut Aside<'_>) {
    reply(&mut all[0], aside, |ours, beside, _| {
        let ids = if beside.ids.is_empty() { ours["ids"].clone() } else { json!(beside.ids) };
        json!({
            "conversationId": ours["conversationId"],
            "messageIds": if ids.is_array() { ids } else { json!([ours["id"]]) },
            "readBy": beside.email(&ours["readBy"]),
            "timestamp": ours["readAt"],
        })
    });
}

/// `message:error`: flat, its text as `error`.
pub(super) fn message_error(all: &mut Vec<Said>, aside: &mut Aside<'_>) {
    reply(&mut all[0], aside, |ours, _, _| {
        let error = &ours["error"];
        json!({
            "conversationId": ours["conversationId"], "messageId": ours["messageId"],
            "error": error["message"], "code": error["code"], "details": error["details"],
        })
    });
}

/// `conversation:updated`.
pub(super) fn updated(all: &mut Vec<Said>, aside: &mut Aside<'_>) {
    reply(&mut all[0], aside, |ours, beside, _| {
        let theirs = shape::conversation(ours, beside);
        let changed = beside.changed.iter();
        let updates: Map<String, Value> =
            changed.filter_map(|name| Some((name.clone(), theirs.get(name)?.clone()))).collect();
        json!({
            "conversationId": ours["id"], "lastMessage": theirs["lastMessage"], "updatedAt": ours["updatedAt"],
            "unreadCount": ours["unreadCount"],
            "correlationId": format!("{}:{}", ours["id"].as_str().unwrap_or_default(), ours["rev"]),
            "updates": updates,
        })
    });
}

/// An assignment is told twice, by both of its names.
pub(super) fn assigned(all: &mut Vec<Said>, aside: &mut Aside<'_>) {
    let (ours, beside) = read_of(&all[0], aside);
    let (id, email) = (&ours["conversationId"], beside.email(&ours["agentId"]));
    let role = beside.person(&ours["agentId"]).map(|agent| &agent.role);
    let agent = json!({"email": email, "name": ours["agentName"], "role": role});
    let first = json!({
        "conversationId": id, "assignedTo": agent, "assignedAgents": [agent], "agentEmail": email,
        "isPrimary": true, "timestamp": ours["assignedAt"],
    });
    let second = json!({"conversationId": id, "agentEmail": email, "role": role, "isPrimary": true});
    *all = vec![Said::new("conversation-assigned", &first), Said::new("agent-assigned", &second)];
}

/// So is its end, which only these clients are told.
pub(super) fn unassigned(all: &mut Vec<Said>, aside: &mut Aside<'_>) {
    let (ours, beside) = read_of(&all[0], aside);
    let (id, at, email) = (&ours["conversationId"], &ours["timestamp"], beside.email(&ours["agentId"]));
    let role = beside.person(&ours["agentId"]).map(|agent| &agent.role);
    let first = json!({"conversationId": id, "previousAssignedTo": email, "timestamp": at});
    let second = json!({
        "conversationId": id, "agentEmail": email, "role": role, "isPrimary": true, "previousAssignedTo": email,
        "timestamp": at,
    });
    *all = vec![Said::new("conversation-unassigned", &first), Said::new("agent-unassigned", &second)];
}

/// One that has joined is told so, and then that it is up to date.
pub(super) fn joined(all: &mut Vec<Said>, aside: &mut Aside<'_>) {
    let (ours, beside) = read_of(&all[0], aside);
    let joined = joined_of(&ours, &beside, aside.now.wall);
    let id = &ours["conversationId"];
    let synced = json!({"conversationId": id, "roomId": id, "success": true, "timestamp": at(aside)});
    *all = vec![Said::new("conversation-joined", &joined), Said::new("websocket:state-synced", &synced)];
}

/// The ack of `join-conversation`.
pub(super) fn has_joined(said: &mut Said, aside: &mut Aside<'_>) {
    ack(said, aside, joined_of);
}

fn joined_of(ours: &Value, beside: &Beside, at: WallMillis) -> Value {
    let id = &ours["conversationId"];
    let online = beside.online.values().next().cloned().unwrap_or_default();
    json!({
        "conversationId": id, "roomId": id, "onlineUsers": online, "success": true, "timestamp": at.to_string(),
    })
}

/// `conversation:read:acknowledged`.
pub(super) fn has_read(all: &mut Vec<Said>, aside: &mut Aside<'_>) {
    reply(&mut all[0], aside, read_ack_of);
}

/// The ack of `mark-read`.
pub(super) fn is_read(said: &mut Said, aside: &mut Aside<'_>) {
    ack(said, aside, read_ack_of);
}

fn read_ack_of(ours: &Value, beside: &Beside, _: WallMillis) -> Value {
    let ids = if beside.ids.is_empty() { json!([ours["messageId"]]) } else { json!(beside.ids) };
    json!({
        "ok": true, "conversationId": ours["conversationId"], "messageIds": ids, "updated": beside.updated,
        "timestamp": ours["readAt"],
    })
}

/// `typing:start`.
pub(super) fn typing(all: &mut Vec<Said>, aside: &mut Aside<'_>) {
    reply(&mut all[0], aside, |ours, _, _| {
        let email = if ours["email"].is_null() { &ours["userId"] } else { &ours["email"] };
        json!({
            "conversationId": ours["conversationId"], "userId": email, "userEmail": email,
            "timestamp": ours["timestamp"],
        })
    });
}

/// The end of typing has two names.
pub(super) fn typing_stop(all: &mut Vec<Said>, aside: &mut Aside<'_>) {
    typing(all, aside);
    all.push(Said { name: "stop-typing".into(), ..all[0].clone() });
}

/// `state:synced`.
pub(super) fn synced(all: &mut Vec<Said>, aside: &mut Aside<'_>) {
    reply(&mut all[0], aside, synced_of);
}

/// The ack of `sync-state`.
pub(super) fn is_synced(said: &mut Said, aside: &mut Aside<'_>) {
    ack(said, aside, synced_of);
}

fn synced_of(ours: &Value, beside: &Beside, at: WallMillis) -> Value {
    let conversations = ours["conversations"].as_array().map(Vec::as_slice).unwrap_or_default();
    let shown: Vec<Value> = conversations.iter().map(|ours| shape::conversation(ours, beside)).collect();
    json!({
        "conversations": shown, "unreadCounts": ours["unreadCounts"], "onlineUsers": beside.online,
        "serverTime": ours["serverTime"], "syncId": ours["syncId"], "version": at.0, "timestamp": at.to_string(),
    })
}

/// `presence:update`.
pub(super) fn presence(all: &mut Vec<Said>, aside: &mut Aside<'_>) {
    reply(&mut all[0], aside, presence_of);
}

/// The ack of `user-status-change`.
pub(super) fn is_seen(said: &mut Said, aside: &mut Aside<'_>) {
    ack(said, aside, presence_of);
}

fn presence_of(ours: &Value, _: &Beside, at: WallMillis) -> Value {
    let email = if ours["email"].is_null() { &ours["userId"] } else { &ours["email"] };
    json!({"email": email, "status": ours["status"], "role": ours["role"], "timestamp": at.to_string()})
}

/// `system:notification`: the server is about to end.
pub(super) fn shutdown(all: &mut Vec<Said>, aside: &mut Aside<'_>) {
    reply(
        &mut all[0],
        aside,
        |ours, _, at| json!({"message": ours["message"], "timestamp": at.to_string(), "reason": ours["type"]}),
    );
}

/// `copilot_chat_message`: nobody is there who would answer, and its client is told so.
pub(super) fn no_copilot(all: &mut Vec<Said>, _: &mut Aside<'_>) {
    let asked: Value = all[0].arg(0).unwrap_or_default();
    let payload = json!({
        "conversationId": asked["conversationId"].as_str().map(super::heard::decoded), "response": Value::Null, "error": "Copilot no disponible",
    });
    all[0] = Said::new("copilot_response", &payload);
}

/// An error.
pub(super) fn error(all: &mut Vec<Said>, aside: &mut Aside<'_>) {
    reply(&mut all[0], aside, |ours, _, at| error_of(ours.clone(), at));
}

/// The error of an ack.
pub(super) fn failed(said: &mut Said, aside: &mut Aside<'_>) {
    let Some(mut ours) = said.arg::<Value>(0).filter(|ours| ours["ok"] == false) else { return };
    ours["error"] = error_of(ours["error"].take(), aside.now.wall);
    said.set(0, &ours);
}

/// As ours, with its code as `error`; one about too many events in their words.
fn error_of(mut ours: Value, at: WallMillis) -> Value {
    if ours["code"] == "RATE_LIMIT_EXCEEDED" {
        ours["code"] = "RATE_LIMITED".into();
        ours["message"] = "Too many events".into();
        let resets = ours["details"]["resetAt"].as_str().and_then(parse_iso);
        let left_ms = resets.map_or(0, |resets| resets.0.saturating_sub(at.0));
        ours["retryAfter"] = left_ms.div_ceil(1_000).max(1).into();
    }
    // A name that is spelled otherwise here has come with the dialect's before it.
    let text = ours["message"].as_str().unwrap_or_default().replacen(": hyphen/", ": ", 1);
    ours["message"] = text.into();
    ours["error"] = ours["code"].clone();
    ours
}

/// Makes one event of another.
fn reply(said: &mut Said, aside: &Aside<'_>, make: fn(&Value, &Beside, WallMillis) -> Value) {
    let (ours, beside) = read_of(said, aside);
    said.set(0, &make(&ours, &beside, aside.now.wall));
}

/// Makes the ack of what it answers, unless that has failed.
fn ack(said: &mut Said, aside: &Aside<'_>, make: fn(&Value, &Beside, WallMillis) -> Value) {
    let (ours, beside) = read_of(said, aside);
    if ours["ok"] == true {
        let mut theirs = make(&ours, &beside, aside.now.wall);
        theirs["ok"] = true.into();
        said.set(0, &theirs);
    }
}

/// What is told, as an object, and what is told beside.
fn read_of(said: &Said, aside: &Aside<'_>) -> (Value, Beside) {
    let ours: Option<Map<String, Value>> = said.arg(0);
    (ours.unwrap_or_default().into(), Beside::of(aside.beside))
}

fn at(aside: &Aside<'_>) -> Value {
    aside.now.wall.to_string().into()
}
