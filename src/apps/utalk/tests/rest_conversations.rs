//! Conversations and messages by HTTP: by the rules of the sockets, and told to them.

use serde_json::{Value, json};

use super::rest::{Rest, refused};
use crate::apps::utalk::settings::{Number, Settings};

const ONE: &str = "conv_+1234567890_+0987654321";
const PATH: &str = "/api/conversations/conv_+1234567890_+0987654321";

/// A world with an agent, whose token it is, and a conversation with one message.
fn world() -> (Rest, String) {
    let mut rest = Rest::new();
    let agent = rest.token("w1", "ana", "agent");
    let (status, body) = rest.call(&agent, "POST", "/api/messages", text(ONE, "m1", "hola"));
    assert_eq!(status, 201, "{body}");
    (rest, agent)
}

fn text(conversation: &str, message_id: &str, text: &str) -> Value {
    json!({"messageId": message_id, "conversationId": conversation, "type": "text", "text": text})
}

#[test]
fn a_message_by_http_is_one_of_the_sockets_and_all_sockets_hear_of_it() {
    let mut rest = Rest::new();
    let agent = rest.token("w1", "ana", "agent");
    let socket = rest.joins(&agent, 0);
    rest.heard(socket);
    let (status, body) = rest.call(&agent, "POST", "/api/messages", text(ONE, "m1", "hola"));
    let message = &body["data"];
    assert_eq!((status, &message["seq"], &message["status"]), (201, &json!(1), &json!("sent")));
    for name in ["id", "messageId", "conversationId", "type", "text", "sender", "direction", "createdAt", "agentId"] {
        assert!(message[name].is_string(), "{name}: {message}");
    }
    assert!(message["twilioSid"].is_null() && message["deliveredAt"].is_null() && message["readAt"].is_null());
    let names: Vec<String> = rest.heard(socket).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["conversation:new", "message:new", "conversation:updated"]);
    // The same again is a conflict that names it; by a socket it is the stored one; another body is another matter.
    let again = rest.call(&agent, "POST", "/api/messages", text(ONE, "m1", "hola"));
    assert_eq!(refused(&again), (409, "MESSAGE_DUPLICATE"));
    let details = json!({"messageId": "m1", "existingMessageId": message["id"]});
    assert_eq!(again.1["error"]["details"], details);
    let ack = rest.asks(socket, "message:send", text(ONE, "m1", "hola"));
    assert_eq!((&ack["id"], &ack["duplicate"]), (&message["id"], &json!(true)));
    let other = rest.call(&agent, "POST", "/api/messages", text(ONE, "m1", "adiós"));
    assert_eq!(refused(&other), (409, "MESSAGE_ID_CONFLICT"));
    assert!(!other.1.to_string().contains("hola"), "nothing is said of the stored one");
}

#[test]
fn a_message_that_is_none_is_400_and_leaves_nothing() {
    let mut rest = Rest::new();
    let agent = rest.token("w1", "ana", "agent");
    for (body, path) in [
        (json!({"conversationId": ONE, "text": "x"}), "messageId"),
        (json!({"messageId": "m", "text": "x"}), "conversationId"),
        (json!({"messageId": "m", "conversationId": "x", "text": "x"}), "conversationId"),
        (json!({"messageId": "m", "conversationId": ONE, "type": "video"}), "type"),
        (json!({"messageId": "m", "conversationId": ONE, "text": " "}), "text"),
        (json!({"messageId": "m", "conversationId": ONE, "text": "x".repeat(4_097)}), "text"),
    ] {
        let answer = rest.call(&agent, "POST", "/api/messages", body);
        assert_eq!(refused(&answer), (400, "VALIDATION_ERROR"));
        assert_eq!(answer.1["error"]["details"]["path"], json!(path));
    }
    assert_eq!(refused(&rest.call(&agent, "POST", "/api/messages", json!([1]))), (400, "VALIDATION_ERROR"));
    assert_eq!(rest.gets(&agent, "/api/conversations")["conversations"], json!([]));
}

#[test]
fn a_sixty_first_message_in_a_minute_is_too_many() {
    let (mut rest, agent) = world();
    for number in 2..=60 {
        assert_eq!(rest.call(&agent, "POST", "/api/messages", text(ONE, &format!("m{number}"), "x")).0, 201);
    }
    let body = json!({"content": "x"});
    let answer = rest.call(&agent, "POST", &format!("{PATH}/messages"), body);
    assert_eq!(refused(&answer), (429, "RATE_LIMIT_EXCEEDED"));
    assert_eq!(answer.1["error"]["details"]["limit"], json!(60));
    let other = rest.token("w1", "bea", "agent");
    assert_eq!(rest.call(&other, "POST", "/api/messages", text(ONE, "b1", "x")).0, 201, "another user");
}

#[test]
fn a_reply_needs_its_conversation_and_no_message_id() {
    let (mut rest, agent) = world();
    let (status, body) = rest.call(&agent, "POST", &format!("{PATH}/messages"), json!({"content": "uno"}));
    let data = &body["data"];
    assert_eq!((status, &data["message"]["text"], &data["message"]["seq"]), (201, &json!("uno"), &json!(2)));
    assert_eq!((&data["conversation"]["id"], &data["conversation"]["messageCount"]), (&json!(ONE), &json!(2)));
    let named = json!({"text": "dos", "messageId": "r1", "sender": "somebody else"});
    let (status, first) = rest.call(&agent, "POST", &format!("{PATH}/messages"), named.clone());
    assert_eq!((status, &first["data"]["message"]["agentId"]), (201, &json!("ana")), "of the token alone");
    let (status, again) = rest.call(&agent, "POST", &format!("{PATH}/messages"), named);
    assert_eq!((status, &again["data"]["message"]), (200, &first["data"]["message"]));
    for path in ["/api/conversations/conv_none/messages", "/api/conversations/nonsense/messages"] {
        let answer = rest.call(&agent, "POST", path, json!({"content": "x"}));
        assert_eq!(refused(&answer), (404, "CONVERSATION_NOT_FOUND"));
    }
    assert_eq!(rest.gets(&agent, "/api/conversations")["pagination"]["total"], json!(1), "none was made");
    assert_eq!(refused(&rest.call(&agent, "POST", &format!("{PATH}/messages"), json!({}))), (400, "VALIDATION_ERROR"));
}

#[test]
fn somebody_who_only_looks_writes_nothing() {
    let (mut rest, _) = world();
    let viewer = rest.token("w1", "v", "viewer");
    for (method, path, body) in [
        ("POST", "/api/messages", text(ONE, "v1", "x")),
        ("POST", &format!("{PATH}/messages"), json!({"content": "x"})),
        ("POST", "/api/conversations", json!({"customerPhone": "+34911222333"})),
        ("PUT", PATH, json!({"priority": "low"})),
        ("PUT", &format!("{PATH}/status"), json!({"status": "closed"})),
        ("PUT", &format!("{PATH}/read-all"), json!(null)),
        ("PUT", &format!("{PATH}/messages/m1/read"), json!(null)),
    ] {
        assert_eq!(refused(&rest.call(&viewer, method, path, body)), (403, "FORBIDDEN"), "{method} {path}");
    }
    assert_eq!(rest.gets(&viewer, PATH)["messageCount"], json!(1));
}

#[test]
fn a_conversation_is_shown_to_those_who_may_read_it() {
    let (mut rest, agent) = world();
    let shown = rest.gets(&agent, PATH);
    for (name, expected) in [
        ("id", json!(ONE)),
        ("participants", json!(["+1234567890", "+0987654321"])),
        ("status", json!("open")),
        ("channel", json!("whatsapp")),
        ("assignedAgent", json!(null)),
        ("botEnabled", json!(true)),
        ("priority", json!("medium")),
        ("tags", json!([])),
        ("unreadCount", json!(0)),
        ("messageCount", json!(1)),
    ] {
        assert_eq!(shown[name], expected, "{name}");
    }
    for path in
        ["conv_%2B1234567890_%2B0987654321", "conv_%252B1234567890_%252B0987654321", "conv_%201234567890_ 0987654321"]
    {
        assert_eq!(rest.gets(&agent, &format!("/api/conversations/{path}"))["id"], json!(ONE), "{path}");
    }
    assert_eq!(rest.gets(&agent, &format!("{PATH}/assigned-agents")), json!({"assignedAgents": []}));
    let other = rest.token("w2", "ana", "admin");
    for path in [PATH.to_owned(), format!("{PATH}/messages"), format!("{PATH}/assigned-agents")] {
        let answer = rest.call(&other, "GET", &path, json!(null));
        assert_eq!(refused(&answer), (404, "CONVERSATION_NOT_FOUND"), "of another scope: {path}");
    }
    for path in ["/api/messages", "/api/messages?conversationId=x", "/api/messages?conversationId=conv_none"] {
        let answer = rest.call(&agent, "GET", path, json!(null));
        assert_eq!(refused(&answer), (404, "CONVERSATION_NOT_FOUND"), "{path}");
    }
}

#[test]
fn fields_are_changed_and_told_and_stay_as_they_are_where_they_are_the_same() {
    let (mut rest, agent) = world();
    let socket = rest.joins(&agent, 0);
    rest.heard(socket);
    let body = json!({"customerName": "Juan", "priority": "urgent", "tags": ["vip", "ñ"], "status": "closed"});
    let (status, answer) = rest.call(&agent, "PUT", PATH, body.clone());
    let data = &answer["data"];
    assert_eq!((status, &data["customerName"], &data["tags"]), (200, &json!("Juan"), &json!(["vip", "ñ"])));
    assert_eq!((&data["priority"], &data["status"]), (&json!("urgent"), &json!("open")), "a status has its own route");
    let told = rest.hears(socket, "conversation:updated");
    assert_eq!(
        (&told["priority"], &told["customerName"], &told["rev"]),
        (&json!("urgent"), &json!("Juan"), &data["rev"])
    );
    assert_eq!(rest.call(&agent, "PUT", PATH, body).1["data"]["rev"], data["rev"]);
    rest.hears_nothing(socket, "conversation:updated");
    rest.restart();
    assert_eq!(rest.gets(&agent, PATH)["tags"], json!(["vip", "ñ"]), "kept");
    let (_, answer) = rest.call(&agent, "PUT", PATH, json!({"customerName": null}));
    assert_eq!(answer["data"]["customerName"], json!("Juan"), "null says nothing");
    for (path, body) in [
        ("priority", json!({"priority": "huge"})),
        ("tags", json!({"tags": "vip"})),
        ("tags", json!({"tags": [""]})),
        ("tags", json!({"tags": vec!["x"; 51]})),
        ("customerName", json!({"customerName": "x".repeat(121)})),
    ] {
        let answer = rest.call(&agent, "PUT", PATH, body);
        assert_eq!(
            (refused(&answer), &answer.1["error"]["details"]["path"]),
            ((400, "VALIDATION_ERROR"), &json!(path))
        );
    }
    let (status, answer) = rest.call(&agent, "PUT", &format!("{PATH}/priority"), json!({"priority": "low"}));
    assert_eq!((status, &answer["data"]["priority"]), (200, &json!("low")));
    let missing = rest.call(&agent, "PUT", &format!("{PATH}/priority"), json!({}));
    assert_eq!(refused(&missing), (400, "VALIDATION_ERROR"));
}

#[test]
fn a_status_goes_only_where_it_may() {
    let (mut rest, agent) = world();
    for (status, expected) in [
        ("pending", (200, "")),
        ("open", (200, "")),
        ("closed", (200, "")),
        ("closed", (200, "")),
        ("pending", (409, "INVALID_TRANSITION")),
        ("escalated", (400, "VALIDATION_ERROR")),
        ("open", (200, "")),
        ("gone", (400, "VALIDATION_ERROR")),
    ] {
        let answer = rest.call(&agent, "PUT", &format!("{PATH}/status"), json!({"status": status}));
        assert_eq!(refused(&answer), expected, "{status}");
    }
    let none = rest.call(&agent, "PUT", "/api/conversations/conv_none/status", json!({"status": "open"}));
    assert_eq!(refused(&none), (404, "CONVERSATION_NOT_FOUND"));
}

#[test]
fn conversations_are_listed_page_by_page_and_narrowed() {
    let mut rest = Rest::new();
    let agent = rest.token("w1", "ana", "agent");
    for number in 1..=5 {
        rest.now = rest.now.plus(10);
        let id = if number == 1 { "conv_web".to_owned() } else { format!("conv_+3400000000{number}_+1") };
        assert_eq!(rest.call(&agent, "POST", "/api/messages", text(&id, &format!("m{number}"), "x")).0, 201);
    }
    rest.call(&agent, "PUT", "/api/conversations/conv_+34000000002_+1", json!({"customerName": "Ana 100% Ñandú"}));
    rest.call(&agent, "PUT", "/api/conversations/conv_+34000000003_+1/status", json!({"status": "closed"}));
    let ids = |data: &Value| -> Vec<String> {
        data["conversations"].as_array().unwrap().iter().map(|row| row["id"].as_str().unwrap().to_owned()).collect()
    };
    let (mut all, mut cursor) = (Vec::new(), String::new());
    loop {
        let data = rest.gets(&agent, &format!("/api/conversations?limit=2&cursor={cursor}"));
        assert!(ids(&data).len() <= 2 && data["pagination"]["total"] == json!(5), "{data}");
        all.extend(ids(&data));
        let Some(next) = data["pagination"]["nextCursor"].as_str() else { break };
        cursor = next.to_owned();
    }
    assert_eq!(
        all,
        ["conv_+34000000003_+1", "conv_+34000000002_+1", "conv_+34000000005_+1", "conv_+34000000004_+1", "conv_web"],
        "what was changed last comes first"
    );
    for (query, count) in [
        ("status=all", 5),
        ("status=closed", 1),
        ("status=open", 4),
        ("channel=web", 1),
        ("channel=whatsapp", 4),
        ("channel=fax", 0),
        ("search=ana", 1),
        ("search=100%25", 1),
        ("search=100%2525", 0),
        ("search=_", 5),
        ("search=0000005", 1),
        ("assignedTo=unassigned", 5),
        ("assignedTo=me", 0),
        ("assignedTo=nobody@x", 0),
        ("status=closed&channel=web", 0),
    ] {
        let data = rest.gets(&agent, &format!("/api/conversations?{query}"));
        assert_eq!((ids(&data).len(), &data["pagination"]["total"]), (count, &json!(count)), "{query}");
    }
    let other = rest.token("w2", "ana", "admin");
    assert_eq!(rest.gets(&other, "/api/conversations")["pagination"]["total"], json!(0));
    for (query, code) in [
        ("status=gone", "VALIDATION_ERROR"),
        ("limit=0", "VALIDATION_ERROR"),
        ("limit=101", "VALIDATION_ERROR"),
        ("cursor=x", "INVALID_CURSOR"),
        (&format!("status=open&cursor={cursor}"), "INVALID_CURSOR"),
    ] {
        let answer = rest.call(&agent, "GET", &format!("/api/conversations?{query}"), json!(null));
        assert_eq!(refused(&answer), (400, code), "{query}");
    }
}

#[test]
fn messages_are_listed_page_by_page_and_narrowed() {
    let (mut rest, agent) = world();
    for number in 2..=5 {
        rest.now = rest.now.plus(1_000);
        let kind = if number == 3 { "note" } else { "text" };
        let body = json!({"text": number.to_string(), "type": kind, "messageId": format!("m{number}")});
        assert_eq!(rest.call(&agent, "POST", &format!("{PATH}/messages"), body).0, 201);
    }
    let seqs = |data: &Value| -> Vec<u64> {
        data["messages"].as_array().unwrap().iter().map(|row| row["seq"].as_u64().unwrap()).collect()
    };
    let first = rest.gets(&agent, &format!("{PATH}/messages?limit=3"));
    assert_eq!((seqs(&first), &first["pagination"]["hasMore"]), (vec![5, 4, 3], &json!(true)));
    let cursor = first["pagination"]["nextCursor"].as_str().unwrap();
    let last =
        rest.gets(&agent, &format!("/api/messages?conversationId={}&limit=3&cursor={cursor}", ONE.replace('+', "%2B")));
    assert_eq!((seqs(&last), &last["pagination"]["nextCursor"]), (vec![2, 1], &json!(null)));
    assert_eq!((&first["pagination"]["total"], &last["pagination"]["total"]), (&json!(5), &json!(5)));
    let third = first["messages"][2]["createdAt"].as_str().unwrap();
    for (query, expected) in [
        ("type=note".to_owned(), vec![3]),
        ("direction=internal".to_owned(), vec![3]),
        ("direction=outbound".to_owned(), vec![5, 4, 2, 1]),
        ("direction=inbound".to_owned(), vec![]),
        (format!("after={third}"), vec![5, 4]),
        (format!("before={third}"), vec![2, 1]),
    ] {
        let data = rest.gets(&agent, &format!("{PATH}/messages?{query}"));
        assert_eq!((seqs(&data), &data["pagination"]["total"]), (expected.clone(), &json!(expected.len())), "{query}");
    }
    let bot = rest.token("w1", "b", "bot");
    assert_eq!(seqs(&rest.gets(&bot, &format!("{PATH}/messages"))), [5, 4, 2, 1], "notes are not a bot's");
    for query in ["type=video", "direction=up", "before=yesterday", "after=7", "limit=x"] {
        let answer = rest.call(&agent, "GET", &format!("{PATH}/messages?{query}"), json!(null));
        assert_eq!(refused(&answer), (400, "VALIDATION_ERROR"), "{query}");
    }
}

#[test]
fn reading_by_http_moves_the_horizon_as_a_socket_does() {
    let (mut rest, agent) = world();
    let socket = rest.joins(&agent, 0);
    rest.asks(socket, "join:conversation", json!({"conversationId": ONE}));
    rest.heard(socket);
    let (status, body) = rest.call(&agent, "PUT", &format!("{PATH}/messages/m1/read"), json!(null));
    assert_eq!((status, &body["data"]["messageId"], &body["data"]["conversationId"]), (200, &json!("m1"), &json!(ONE)));
    assert!(body["data"]["readAt"].is_string());
    assert_eq!(rest.hears(socket, "message:read")["readBy"], json!("ana"));
    assert_eq!(rest.call(&agent, "PUT", &format!("{PATH}/read-all"), json!(null)).0, 200);
    let unknown = rest.call(&agent, "PUT", &format!("{PATH}/messages/other/read"), json!(null));
    assert_eq!(refused(&unknown), (404, "MESSAGE_NOT_FOUND"));
    for path in ["/api/conversations/conv_none/messages/m1/read", "/api/conversations/conv_none/read-all"] {
        assert_eq!(refused(&rest.call(&agent, "PUT", path, json!(null))), (404, "CONVERSATION_NOT_FOUND"));
    }
}

#[test]
fn a_status_of_a_message_goes_up_by_those_who_see_all_and_never_back() {
    let (mut rest, agent) = world();
    let service = rest.token("w1", "hook", "service");
    let socket = rest.joins(&agent, 0);
    rest.asks(socket, "join:conversation", json!({"conversationId": ONE}));
    rest.heard(socket);
    let path = "/api/messages/m1/status";
    let id = rest.gets(&agent, &format!("{PATH}/messages"))["messages"][0]["id"].as_str().unwrap().to_owned();
    for (path, status, event) in [
        (path.to_owned(), "failed", "message:error"),
        (path.to_owned(), "sent", ""),
        (format!("/api/messages/{id}/status"), "delivered", "message:delivered"),
        (path.to_owned(), "failed", ""),
        (path.to_owned(), "read", "message:read"),
        (path.to_owned(), "delivered", ""),
    ] {
        let (code, body) = rest.call(&service, "PUT", &path, json!({"status": status}));
        assert_eq!((code, &body["data"]["messageId"]), (200, &json!("m1")), "{status}");
        let names: Vec<String> = rest.heard(socket).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names.concat(), event, "{status}");
    }
    for (token, path, body, expected) in [
        (&agent, path, json!({"status": "read"}), (403, "FORBIDDEN")),
        (&service, "/api/messages/other/status", json!({"status": "read"}), (404, "MESSAGE_NOT_FOUND")),
        (&service, path, json!({"status": "pending"}), (400, "VALIDATION_ERROR")),
        (&service, path, json!({"status": "gone"}), (400, "VALIDATION_ERROR")),
        (&service, path, json!({}), (400, "VALIDATION_ERROR")),
    ] {
        assert_eq!(refused(&rest.call(token, "PUT", path, body)), expected);
    }
    let other = rest.token("w2", "hook", "service");
    assert_eq!(refused(&rest.call(&other, "PUT", path, json!({"status": "read"}))), (404, "MESSAGE_NOT_FOUND"));
}

#[test]
fn a_conversation_is_opened_once_by_its_customers_number() {
    let numbers = vec![
        Number { number: "+1".into(), workspace: "w2".into(), tenant: "t".into(), ..Number::default() },
        Number { number: "+2".into(), workspace: "w1".into(), tenant: "t".into(), ..Number::default() },
    ];
    let mut rest = Rest::with(Settings { numbers, ..Settings::default() });
    let agent = rest.token("w1", "ana", "agent");
    let socket = rest.joins(&agent, 0);
    rest.heard(socket);
    let body = json!({
        "id": "conv_mine", "customerPhone": "+34911222333", "customerName": "Juan", "initialMessage": "hola",
    });
    let (status, answer) = rest.call(&agent, "POST", "/api/conversations", body.clone());
    let data = &answer["data"];
    assert_eq!((status, &data["id"], &data["channel"]), (201, &json!("conv_+34911222333_+2"), &json!("whatsapp")));
    assert_eq!((&data["customerName"], &data["status"]), (&json!("Juan"), &json!("open")));
    let names: Vec<String> = rest.heard(socket).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["conversation:new", "message:new", "conversation:updated"]);
    let (status, answer) = rest.call(&agent, "POST", "/api/conversations", json!({"customerPhone": "+34911222333"}));
    assert_eq!((status, &answer["data"]["messageCount"]), (200, &json!(1)));
    assert!(rest.heard(socket).is_empty());
    for phone in
        [json!(null), json!("34911222333"), json!("+12"), json!("+1234567890123456"), json!("+34 911"), json!(7)]
    {
        let answer = rest.call(&agent, "POST", "/api/conversations", json!({"customerPhone": phone}));
        assert_eq!(refused(&answer), (400, "VALIDATION_ERROR"), "{phone}");
    }
    rest.store.down = true;
    let failed = rest.call(&agent, "POST", "/api/conversations", json!({"customerPhone": "+34911222444"}));
    assert_eq!(refused(&failed), (503, "DATABASE_ERROR"));
    rest.store.down = false;
    let again = rest.call(&agent, "POST", "/api/conversations", json!({"customerPhone": "+34911222444"}));
    assert_eq!(again.0, 201, "nothing of it was left");
}

#[test]
fn figures_are_of_a_time_and_of_those_who_may_have_them() {
    let (mut rest, agent) = world();
    rest.now = rest.now.plus(30_000);
    rest.call(&agent, "PUT", &format!("{PATH}/status"), json!({"status": "closed"}));
    rest.call(&agent, "POST", "/api/messages", text("conv_other", "o1", "x"));
    let metrics = rest.gets(&agent, "/api/kpis/conversations")["metrics"].clone();
    let expected = json!({
        "totalConversations": 2, "openConversations": 1, "resolvedConversations": 1,
        "averageResolutionTime": 30.0, "escalationRate": 0.0,
    });
    assert_eq!(metrics, expected);
    for (query, total) in [
        ("startDate=2025-08-20&endDate=2025-08-20", 2),
        ("startDate=2025-08-21", 0),
        ("endDate=2025-08-19", 0),
        ("startDate=2025-08-20T10:00:10Z", 1),
    ] {
        let data = rest.gets(&agent, &format!("/api/kpis/conversations?{query}"));
        assert_eq!(data["metrics"]["totalConversations"], json!(total), "{query}");
    }
    let bad = rest.call(&agent, "GET", "/api/kpis/conversations?startDate=x", json!(null));
    assert_eq!(refused(&bad), (400, "VALIDATION_ERROR"));
    assert_eq!(refused(&rest.call(&agent, "GET", "/api/kpis/agents", json!(null))), (403, "FORBIDDEN"));
    let socket = rest.joins(&agent, 0);
    let admin = rest.token("w1", "boss", "admin");
    let agents = rest.gets(&admin, "/api/kpis/agents")["agents"].clone();
    assert_eq!((&agents[0]["id"], &agents[0]["status"]), (&json!("ana"), &json!("online")));
    assert_eq!(agents[0]["currentLoad"], json!({"activeConversations": 0, "maxConversations": 10}));
    assert!(rest.is_open(socket));
    let other = rest.token("w2", "boss", "admin");
    assert_eq!(rest.gets(&other, "/api/kpis/conversations")["metrics"]["totalConversations"], json!(0));
    assert_eq!(rest.gets(&other, "/api/kpis/agents")["agents"], json!([]));
}

#[test]
fn while_the_store_is_down_http_says_so_and_goes_on_afterwards() {
    let (mut rest, agent) = world();
    rest.store.down = true;
    for (method, path, body) in [
        ("GET", "/api/conversations", json!(null)),
        ("GET", &format!("{PATH}/messages"), json!(null)),
        ("GET", "/api/kpis/conversations", json!(null)),
        ("PUT", &format!("{PATH}/status"), json!({"status": "closed"})),
        ("POST", "/api/messages", text(ONE, "m2", "x")),
    ] {
        assert_eq!(refused(&rest.call(&agent, method, path, body)), (503, "DATABASE_ERROR"), "{method} {path}");
    }
    assert_eq!(rest.gets(&agent, PATH)["status"], json!("open"), "what is in memory is shown");
    rest.store.down = false;
    assert_eq!(rest.call(&agent, "POST", "/api/messages", text(ONE, "m2", "x")).1["data"]["seq"], json!(2));
}

#[test]
fn a_conversation_is_opened_for_an_agent_or_not_at_all() {
    let mut rest = Rest::with(Settings { agent_conversations_max: 1, ..Settings::default() });
    let (ana, bot) = (rest.token("w1", "ana", "agent"), rest.token("w1", "b", "bot"));
    let socket = rest.joins(&ana, 0);
    rest.heard(socket);
    let body =
        |phone: &str, agent: &str| json!({"customerPhone": phone, "assignedTo": agent, "initialMessage": "hola"});
    for (token, agent, expected) in
        [(&ana, "nobody@x", (404, "AGENT_NOT_FOUND")), (&bot, "ana", (403, "ACCESS_DENIED"))]
    {
        let answer = rest.call(token, "POST", "/api/conversations", body("+34911222333", agent));
        assert_eq!(refused(&answer), expected);
    }
    assert_eq!(rest.gets(&ana, "/api/conversations")["conversations"], json!([]), "nothing was made");
    let (status, answer) = rest.call(&ana, "POST", "/api/conversations", body("+34911222333", "ANA@x"));
    let data = &answer["data"];
    assert_eq!((status, &data["assignedAgent"], &data["botEnabled"]), (201, &json!("ana"), &json!(false)));
    let heard = rest.heard(socket);
    let names: Vec<&str> = heard.iter().map(|(name, _)| name.as_str()).collect();
    let expected =
        ["conversation:new", "conversation:assigned", "conversation:updated", "message:new", "conversation:updated"];
    assert_eq!(names, expected);
    assert_eq!((&heard[1].1["agentId"], &heard[1].1["reason"]), (&json!("ana"), &json!("assignment")));
    let full = rest.call(&ana, "POST", "/api/conversations", body("+34911222444", "ana"));
    assert_eq!(refused(&full), (409, "AGENT_NOT_AVAILABLE"));
    // One that is there stays whose it is.
    let bea = rest.token("w1", "bea", "agent");
    rest.joins(&bea, 0);
    let again = rest.call(&ana, "POST", "/api/conversations", body("+34911222333", "bea"));
    assert_eq!((again.0, &again.1["data"]["assignedAgent"]), (200, &json!("ana")));
}
