//! Events in and out, row by row of the contract.

use serde_json::{Value, json};

use super::DIALECTS;
use crate::app::Refusal;
use crate::app::effect::Emission;
use crate::app::event::Args;
use crate::app::kit::dialect::{Aside, Heard, Way};
use crate::base::rng::Rng;
use crate::base::time::{Now, WallMillis};

/// What a client says, and what its home hears.
fn heard(name: &str, payload: &Value) -> (String, Value) {
    let mut rng = Rng::from_seed([0; 32]);
    let mut aside = Aside { now: Now::default(), rng: &mut rng, beside: None };
    let text = payload.to_string();
    let args = Args::written(name, [text.as_bytes()].into_iter());
    let Heard::Home(args, _) = DIALECTS[0].hear(args, &mut aside) else { panic!("{name} is for its home") };
    (args.name().into_owned(), args.parse(0).unwrap_or_default())
}

/// What a home tells, and what a client gets.
fn told(name: &str, payload: &Value, beside: &Value) -> Vec<(String, Value)> {
    let mut rng = Rng::from_seed([0; 32]);
    let beside = beside.to_string();
    let now = Now { wall: WallMillis(1_755_684_000_000), ..Now::default() };
    let mut aside = Aside { now, rng: &mut rng, beside: Some(&beside) };
    let event = Emission::new(name, payload);
    let all = DIALECTS[0].tell(&event, &mut aside).unwrap_or_else(|| vec![event]);
    let parts = all.iter().map(|event| serde_json::from_slice::<(String, Value)>(&event.array).expect("an event"));
    parts.collect()
}

#[test]
fn what_clients_say_is_heard_in_our_words() {
    let room = json!({"conversationId": "conv_%2B1_%252B2", "roomId": "r", "timestamp": 1});
    let plain = json!({"conversationId": "conv_+1_+2"});
    let timed = json!({"conversationId": "conv_+1_+2", "timestamp": 1});
    for (theirs, ours, expected) in [
        ("join-conversation", "join:conversation", &timed),
        ("conversation:join", "join:conversation", &timed),
        ("leave-conversation", "leave:conversation", &timed),
        ("conversation:leave", "leave:conversation", &timed),
        ("typing", "typing:start", &plain),
        ("typing-stop", "typing:stop", &plain),
        ("stop-typing", "typing:stop", &plain),
    ] {
        assert_eq!(heard(theirs, &room), (ours.to_owned(), expected.clone()), "{theirs}");
    }
    for theirs in ["mark-read", "message-read", "messages:read"] {
        let said = json!({"conversationId": "conv_%2Ba", "messageIds": ["msg_1", "x"]});
        let expected = json!({"conversationId": "conv_+a", "messageIds": ["msg_1", "x"]});
        assert_eq!(heard(theirs, &said), ("conversation:read".to_owned(), expected), "{theirs}");
    }
    let invisible = heard("user-status-change", &json!({"status": "invisible"}));
    assert_eq!(invisible, ("presence:set".to_owned(), json!({"status": "offline"})));
    let (name, sync) = heard("sync-state", &json!({"timestamp": 1, "reason": "x"}));
    assert!(name == "sync:state" && sync["syncId"].is_string() && sync.as_object().unwrap().len() == 1, "{sync}");
}

#[test]
fn the_page_for_client_developers_lists_every_name() {
    let page = include_str!("../../../../docs/apps/utalk.md");
    let section = page.split("\n## ").find(|section| section.starts_with("9. ")).expect("a section");
    let rows: Vec<&str> = section.lines().filter(|line| line.starts_with("| ")).collect();
    for word in DIALECTS[0].words.iter().filter(|word| !word.theirs.is_empty()) {
        let is_said = |row: &&&str| {
            let mut cells = row.split(" | ");
            let cell = if word.way == Way::Heard { cells.next() } else { cells.nth(1) };
            let name = format!("`{}", word.theirs);
            cell.is_some_and(|cell| cell.contains(&format!("{name}`")) || cell.contains(&format!("{name} {{")))
        };
        let is_same = word.ours == word.theirs;
        assert!(is_same || rows.iter().find(is_said).is_some(), "{} as {}", word.ours, word.theirs);
    }
}

#[test]
fn a_message_gets_an_id_and_our_types() {
    let said = json!({"conversationId": "conv_%2B1", "content": "hola", "type": "voice", "timestamp": "t"});
    let (name, mut message) = heard("new-message", &said);
    assert_eq!(name, "message:send");
    assert!(message["messageId"].as_str().is_some_and(|id| id.len() == 36), "{message}");
    message["messageId"].take();
    let metadata = json!({"clientTs": "t"});
    let expected = json!({
        "messageId": null, "conversationId": "conv_+1", "text": "hola", "type": "audio", "metadata": metadata,
    });
    assert_eq!(message, expected);
    let own = json!({"conversationId": "conv_a", "messageId": "m", "content": "x"});
    assert_eq!(heard("new-message", &own).1["messageId"], "m");
}

#[test]
fn our_names_that_are_spelled_otherwise_are_not_permitted() {
    for name in ["message:send", "typing:start", "conversation:read", "sync:state", "presence:set", "join:conversation"]
    {
        assert_eq!(heard(name, &json!({})).0, format!("hyphen/{name}"));
    }
    for name in ["auth:refresh", "agent:takeover", "escalation:accept"] {
        assert_eq!(heard(name, &json!({})).0, name);
    }
}

#[test]
fn a_refusal_that_is_not_about_who_somebody_is_keeps_its_text() {
    for text in ["Too many connections", "Server busy"] {
        let mut refusal = Refusal { message: text.to_owned(), data: None };
        DIALECTS[0].refused.expect("a function")(&mut refusal, None);
        assert_eq!(refusal, Refusal { message: text.to_owned(), data: None });
    }
}

#[test]
fn events_are_told_in_their_words() {
    let of = |id: &str| json!({"conversationId": id});
    let names = |name: &str, payload: &Value, beside: &Value| {
        told(name, payload, beside).into_iter().map(|(name, _)| name).collect::<Vec<_>>()
    };
    let inbound = json!({"direction": "inbound"});
    for (name, payload, beside, expected) in [
        ("message:new", &inbound, json!({}), &["new-message"][..]),
        ("message:new", &inbound, json!({"isNewConversation": true}), &["webhook:new-message"]),
        ("conversation:new", &of("a"), json!({}), &["webhook:conversation-created"]),
        ("message:sent", &of("a"), json!({}), &["message-sent"]),
        ("message:delivered", &of("a"), json!({}), &["message-delivered"]),
        ("message:read", &of("a"), json!({}), &["message-read"]),
        ("message:error", &of("a"), json!({}), &["message-error"]),
        ("conversation:updated", &of("a"), json!({}), &["conversation-event"]),
        ("conversation:assigned", &json!({"agentId": "a"}), json!({}), &["conversation-assigned", "agent-assigned"]),
        ("conversation:unassigned", &of("a"), json!({}), &["conversation-unassigned", "agent-unassigned"]),
        ("room:entered", &of("a"), json!({}), &["user-online"]),
        ("room:left", &of("a"), json!({}), &["user-offline"]),
        ("system:notification", &json!({"type": "maintenance"}), json!({}), &["server-shutdown"]),
        ("joined:conversation", &of("a"), json!({}), &["conversation-joined", "websocket:state-synced"]),
        ("left:conversation", &of("a"), json!({}), &["conversation-left"]),
        ("conversation:read:acknowledged", &of("a"), json!({}), &["message-read-ack"]),
        ("typing:start", &of("a"), json!({}), &["typing"]),
        ("typing:stop", &of("a"), json!({}), &["typing-stop", "stop-typing"]),
        ("typing:acknowledged", &of("a"), json!({}), &[]),
        ("state:synced", &of("a"), json!({}), &["state-synced"]),
        ("presence:update", &of("a"), json!({}), &["presence-update"]),
        ("user:connected", &of("a"), json!({}), &[]),
        ("user:disconnected", &of("a"), json!({}), &[]),
        ("media:uploaded", &of("a"), json!({}), &["file-uploaded"]),
        ("media:upload:progress", &of("a"), json!({}), &["file-progress"]),
        ("escalation:started", &of("a"), json!({}), &["escalation:started"]),
        ("error", &of("a"), json!({}), &["error"]),
    ] {
        assert_eq!(names(name, payload, &beside), expected, "{name}");
    }
}

#[test]
fn a_message_is_told_whole() {
    let ours = json!({
        "id": "msg_1", "messageId": "m", "conversationId": "conv_a", "type": "file", "text": null, "sender": "u",
        "direction": "outbound", "status": "pending", "mediaId": "x", "metadata": {"a": 1}, "seq": 1, "agentId": "u",
        "createdAt": "t",
    });
    let people = json!({"u": {"email": "u@x", "name": "U", "role": "agent"}});
    let file = json!({"name": "a.pdf", "url": "http://x/media/x"});
    let all = told("message:new", &ours, &json!({"people": people, "customer": "+1", "files": [file]}));
    let sender = json!({"identifier": "agent:u@x", "type": "agent"});
    let expected = json!({
        "id": "msg_1", "conversationId": "conv_a", "content": "a.pdf", "type": "document", "direction": "outbound",
        "status": "queued", "senderIdentifier": "agent:u@x", "recipientIdentifier": "+1", "sender": sender,
        "recipient": "+1", "mediaUrl": "http://x/media/x", "timestamp": "t", "createdAt": "t", "updatedAt": "t",
        "metadata": {"a": 1, "attachments": [file]},
    });
    let payload = json!({"conversationId": "conv_a", "message": expected, "correlationId": "m"});
    assert_eq!(all, [("new-message".to_owned(), payload)]);
}

#[test]
fn errors_are_texts_with_a_code_and_rates_say_when_to_try_again() {
    let fail = json!({"code": "ACCESS_DENIED", "message": "No"});
    let expected = json!({"code": "ACCESS_DENIED", "message": "No", "error": "ACCESS_DENIED"});
    assert_eq!(told("error", &fail, &json!({})), [("error".to_owned(), expected)]);
    let foreign = json!({"code": "INVALID_EVENT", "message": "Evento no permitido: hyphen/message:send"});
    assert_eq!(told("error", &foreign, &json!({}))[0].1["message"], "Evento no permitido: message:send");
    let details = json!({"limit": 60, "windowMs": 60_000, "resetAt": "2025-08-20T10:00:01.500Z"});
    let often = json!({"code": "RATE_LIMIT_EXCEEDED", "message": "Límite", "details": details});
    let (_, error) = told("error", &often, &json!({})).remove(0);
    assert_eq!((&error["error"], &error["message"]), (&json!("RATE_LIMITED"), &json!("Too many events")));
    assert_eq!(error["retryAfter"], 2, "{error}");
}
