//! How messages and conversations look in the dialect, from how they look in our events and from what their home says beside.

use serde_json::{Map, Value, json};

use super::Beside;

/// A type as its clients say it, in our word.
pub(in crate::apps::utalk) fn kind_heard(kind: &str) -> &str {
    match kind {
        "document" | "video" => "file",
        "voice" => "audio",
        other => other,
    }
}

/// A status as its clients say it, in our word.
pub(in crate::apps::utalk) fn status_heard(status: &str) -> &str {
    if status == "resolved" { "closed" } else { status }
}

/// A type in their word.
fn kind_told(kind: &str) -> &str {
    if kind == "file" { "document" } else { kind }
}

/// A message.
pub(in crate::apps::utalk) fn message(ours: &Value, beside: &Beside) -> Value {
    let mut metadata: Map<String, Value> = ours["metadata"].as_object().cloned().unwrap_or_default();
    let attached = metadata.get("attachments").and_then(Value::as_array).filter(|attached| !attached.is_empty());
    // Several files make another message than one that is of a file.
    let kind = match attached.is_some() || beside.files.len() > 1 {
        true => "message_with_files",
        false => kind_told(ours["type"].as_str().unwrap_or("text")),
    };
    let files = attached.unwrap_or(&beside.files).clone();
    let file = files.first().cloned().unwrap_or_default();
    let texts = [&ours["text"], &file["name"]].into_iter().filter_map(Value::as_str);
    let content = texts.map(str::to_owned).find(|text| !text.is_empty()).unwrap_or_else(|| format!("[{kind}]"));
    metadata.insert("attachments".into(), files.into());
    let is_inbound = ours["direction"] == "inbound";
    let author = if ours["agentId"].is_null() { &ours["sender"] } else { &ours["agentId"] };
    let sender = match is_inbound {
        true => ours["sender"].clone(),
        false => format!("agent:{}", beside.email(author).as_str().unwrap_or_default()).into(),
    };
    let recipient = if is_inbound { &beside.ours } else { &beside.customer };
    let status = if ours["status"] == "pending" { json!("queued") } else { ours["status"].clone() };
    json!({
        "id": ours["id"],
        "conversationId": ours["conversationId"],
        "content": content,
        "type": kind,
        "direction": ours["direction"],
        "status": status,
        "senderIdentifier": sender,
        "recipientIdentifier": recipient,
        "sender": {"identifier": sender, "type": if is_inbound { "customer" } else { "agent" }},
        "recipient": recipient,
        "mediaUrl": file["url"],
        "timestamp": ours["createdAt"],
        "createdAt": ours["createdAt"],
        "updatedAt": ours["createdAt"],
        "metadata": metadata,
    })
}

/// A conversation: ours, with what they call its fields.
pub(in crate::apps::utalk) fn conversation(ours: &Value, beside: &Beside) -> Value {
    let Some(fields) = ours.as_object() else { return ours.clone() };
    let customer = ours["participants"].get(0).cloned().unwrap_or_default();
    let agent = beside.person(&ours["assignedAgent"]);
    let mut theirs = fields.clone();
    let last = last_message(&ours["lastMessage"], beside);
    theirs.extend([
        ("customerPhone".to_owned(), customer.clone()),
        ("contact".to_owned(), json!({"name": ours["customerName"], "phoneNumber": customer})),
        ("assignedTo".to_owned(), beside.email(&ours["assignedAgent"])),
        ("assignedToName".to_owned(), agent.map(|agent| agent.name.as_str()).into()),
        ("lastMessageAt".to_owned(), last["timestamp"].clone()),
        ("lastMessage".to_owned(), last),
        ("workspaceId".to_owned(), beside.workspace_id.as_str().into()),
        ("tenantId".to_owned(), beside.tenant_id.as_str().into()),
    ]);
    if ours["status"] == "escalated" {
        theirs.insert("status".into(), "pending".into());
    }
    theirs.into()
}

/// The last message of a conversation; null where there is none.
fn last_message(ours: &Value, beside: &Beside) -> Value {
    if ours.is_null() {
        return Value::Null;
    }
    let kind = kind_told(ours["type"].as_str().unwrap_or("text"));
    let text = ours["text"].as_str().filter(|text| !text.is_empty());
    json!({
        "messageId": ours["id"],
        "content": text.map_or_else(|| format!("[{kind}]"), str::to_owned),
        "sender": beside.email(&ours["sender"]),
        "direction": ours["direction"],
        "timestamp": ours["createdAt"],
        "timestampISO": ours["createdAt"],
    })
}
