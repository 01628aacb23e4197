//! How messages and conversations look in the dialect, from how they look in our events and from what their home says beside.

use serde_json::{Map, Value, json};

/// A type as its clients say it, in our word.
pub(super) fn kind_heard(kind: &str) -> &str {
    match kind {
        "document" | "video" => "file",
        "voice" => "audio",
        other => other,
    }
}

/// A type in their word.
pub(super) fn kind_told(kind: &str) -> &str {
    if kind == "file" { "document" } else { kind }
}

/// A message. `sender.email` and `recipient` come from beside, as does the file.
pub(super) fn message(ours: &Value, beside: &Value) -> Value {
    let kind = kind_told(ours["type"].as_str().unwrap_or("text"));
    let is_inbound = ours["direction"] == "inbound";
    let file = &beside["file"];
    let texts = [&ours["text"], &file["name"]].into_iter().filter_map(Value::as_str);
    let content = texts.filter(|text| !text.is_empty()).map(str::to_owned).next();
    let status = if ours["status"] == "pending" { json!("queued") } else { ours["status"].clone() };
    let agent = [&beside["email"], &ours["agentId"], &ours["sender"]].into_iter().find_map(Value::as_str);
    let sender = match is_inbound {
        true => ours["sender"].as_str().unwrap_or_default().to_owned(),
        false => format!("agent:{}", agent.unwrap_or_default()),
    };
    let recipient = if is_inbound { &beside["ours"] } else { &beside["customer"] };
    let mut metadata: Map<String, Value> = ours["metadata"].as_object().cloned().unwrap_or_default();
    metadata.entry("attachments").or_insert_with(|| file.as_object().map_or(json!([]), |file| json!([file])));
    json!({
        "id": ours["id"],
        "conversationId": ours["conversationId"],
        "content": content.unwrap_or_else(|| format!("[{kind}]")),
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
pub(super) fn conversation(ours: &Value, beside: &Value) -> Value {
    let Some(fields) = ours.as_object() else { return ours.clone() };
    let customer = ours["participants"].get(0).cloned().unwrap_or_default();
    let mut theirs = fields.clone();
    let last = last_message(&ours["lastMessage"]);
    theirs.extend([
        ("customerPhone".to_owned(), customer.clone()),
        ("contact".to_owned(), json!({"name": ours["customerName"], "phoneNumber": customer})),
        ("assignedTo".to_owned(), beside["assignedTo"].clone()),
        ("assignedToName".to_owned(), beside["assignedToName"].clone()),
        ("lastMessageAt".to_owned(), last["timestamp"].clone()),
        ("lastMessage".to_owned(), last),
        ("workspaceId".to_owned(), beside["workspaceId"].clone()),
        ("tenantId".to_owned(), beside["tenantId"].clone()),
    ]);
    if ours["status"] == "escalated" {
        theirs.insert("status".into(), "pending".into());
    }
    theirs.into()
}

/// The last message of a conversation; null where there is none.
pub(super) fn last_message(ours: &Value) -> Value {
    if ours.is_null() {
        return Value::Null;
    }
    let kind = kind_told(ours["type"].as_str().unwrap_or("text"));
    let text = ours["text"].as_str().filter(|text| !text.is_empty());
    json!({
        "messageId": ours["id"],
        "content": text.map_or_else(|| format!("[{kind}]"), str::to_owned),
        "sender": ours["sender"],
        "direction": ours["direction"],
        "timestamp": ours["createdAt"],
        "timestampISO": ours["createdAt"],
    })
}
