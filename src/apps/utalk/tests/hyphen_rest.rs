//! HTTP on a listener of the dialect `hyphen`, and files as its clients see them.

use serde_json::{Value, json};

use super::rest::{Answer, Rest, refused};
use crate::app::form::Form;
use crate::apps::utalk::ROW;
use crate::apps::utalk::dialect::DIALECTS;
use crate::apps::utalk::settings::Settings;

const ONE: &str = "conv_+1234567890_+0987654321";
const PATH: &str = "/api/conversations/conv_%2B1234567890_%2B0987654321";

/// A world whose listener speaks the dialect, and an agent's token.
fn world() -> (Rest, String) {
    let mut rest = Rest::with(Settings { public_url: "https://chat.example".to_owned(), ..Settings::default() });
    rest.speaks(DIALECTS, Some("hyphen"));
    let ana = rest.token("w1", "ana", "agent");
    (rest, ana)
}

fn upload(rest: &mut Rest, token: &str, conversation: &str) -> Value {
    let fields = vec![("conversationId".to_owned(), conversation.to_owned())];
    let form = Form { fields, part: "file".into(), file_name: "plan.png".into(), declared: "image/png".into() };
    let identity = rest.identity(token).unwrap();
    rest.uploads(&ROW, "/utalk/api/media/upload", Some(identity), form);
    rest.brings(b"\x89PNG\r\n\x1a\n and what a picture is made of");
    rest.has_brought();
    let (status, body): Answer = rest.replies.pop().unwrap();
    assert_eq!(status, 201, "{body}");
    body["data"].clone()
}

#[test]
fn messages_and_conversations_look_as_in_events() {
    let (mut rest, ana) = world();
    let body = json!({"conversationId": ONE, "content": "hola", "type": "text"});
    let (status, sent) = rest.call(&ana, "POST", "/api/messages", body);
    let message = &sent["data"];
    assert_eq!(
        (status, &message["content"], &message["senderIdentifier"]),
        (201, &json!("hola"), &json!("agent:ana@x"))
    );
    assert_eq!((&message["recipient"], &message["text"]), (&json!("+1234567890"), &Value::Null));
    let (_, replied) = rest.call(&ana, "POST", &format!("{PATH}/messages"), json!({"content": "¿sigue ahí?"}));
    let (message, conversation) = (&replied["data"]["message"], &replied["data"]["conversation"]);
    assert_eq!((&message["content"], &conversation["customerPhone"]), (&json!("¿sigue ahí?"), &json!("+1234567890")));
    let shown = rest.gets(&ana, PATH);
    assert_eq!((&shown["workspaceId"], &shown["tenantId"]), (&json!("w1"), &json!("t")));
    assert_eq!(shown["lastMessage"]["content"], "¿sigue ahí?");
    let listed = rest.gets(&ana, &format!("{PATH}/messages"));
    let contents: Vec<&Value> = listed["messages"].as_array().unwrap().iter().map(|it| &it["content"]).collect();
    assert_eq!(contents, ["¿sigue ahí?", "hola"]);
    // What is sent under the same id is known by it still.
    let own = json!({"messageId": "m1", "conversationId": ONE, "content": "una"});
    let (_, first) = rest.call(&ana, "POST", "/api/messages", own.clone());
    let again = rest.call(&ana, "POST", "/api/messages", own);
    assert_eq!(refused(&again), (409, "MESSAGE_DUPLICATE"));
    assert_eq!(again.1["error"]["details"]["existingMessageId"], first["data"]["id"]);
    let body = json!({"conversationId": ONE, "reason": "manual"});
    assert_eq!(rest.call(&ana, "POST", "/api/escalate", body).0, 201);
    let (_, pending) = rest.call(&ana, "GET", "/api/conversations?status=pending", json!(null));
    assert_eq!(pending["data"][0]["status"], "pending", "one that is escalated");
    let (_, closed) = rest.call(&ana, "PUT", &format!("{PATH}/status"), json!({"status": "resolved"}));
    assert_eq!(closed["data"]["status"], "closed");
    let (_, resolved) = rest.call(&ana, "GET", "/api/conversations?status=resolved", json!(null));
    assert_eq!(resolved["data"].as_array().map(Vec::len), Some(1));
}

#[test]
fn a_list_of_conversations_is_the_data_itself_and_has_pages() {
    let (mut rest, ana) = world();
    for number in 0..5 {
        let body = json!({"conversationId": format!("conv_{number}"), "content": "hola"});
        assert_eq!(rest.call(&ana, "POST", "/api/messages", body).0, 201);
    }
    let ids = |body: &Value| -> Vec<String> {
        body["data"].as_array().unwrap().iter().map(|it| it["id"].as_str().unwrap().to_owned()).collect()
    };
    for (query, expected) in [
        ("", &["conv_4", "conv_3", "conv_2", "conv_1", "conv_0"][..]),
        ("?limit=2", &["conv_4", "conv_3"]),
        ("?limit=2&page=1", &["conv_4", "conv_3"]),
        ("?limit=2&page=3", &["conv_0"]),
        ("?limit=2&page=9", &[]),
    ] {
        let (status, body) = rest.call(&ana, "GET", &format!("/api/conversations{query}"), json!(null));
        assert_eq!((status, ids(&body)), (200, expected.iter().map(|id| (*id).to_owned()).collect()), "{query}");
        assert_eq!(body["pagination"]["total"], 5);
    }
    for bad in ["0", "x", "-1", "50001"] {
        let answer = rest.call(&ana, "GET", &format!("/api/conversations?page={bad}"), json!(null));
        assert_eq!(refused(&answer), (400, "VALIDATION_ERROR"), "{bad}");
    }
    rest.speaks(DIALECTS, None);
    let plain = rest.gets(&ana, "/api/conversations?page=x");
    assert_eq!(plain["conversations"].as_array().map(Vec::len), Some(5), "others have no pages");
    assert!(plain["conversations"][0]["customerPhone"].is_null());
}

#[test]
fn assigned_agents_stand_beside_the_data_as_well_and_permissions_are_told() {
    let (mut rest, ana) = world();
    rest.joins(&ana, 0);
    rest.call(&ana, "POST", "/api/messages", json!({"conversationId": ONE, "content": "hola"}));
    let body = json!({"agentEmail": "ana@x"});
    assert_eq!(rest.call(&ana, "POST", &format!("{PATH}/assign"), body).0, 200);
    let (_, body) = rest.call(&ana, "GET", &format!("{PATH}/assigned-agents"), json!(null));
    let agent = &body["assignedAgents"][0];
    assert_eq!(
        (&agent["email"], &agent["role"], &agent["isPrimary"]),
        (&json!("ana@x"), &json!("agent"), &json!(true))
    );
    assert!(agent["assignedAt"].is_string() && agent.get("assignedBy").is_some());
    assert_eq!(body["assignedAgents"], body["data"]["assignedAgents"]);
    let shown = rest.gets(&ana, PATH);
    assert_eq!((&shown["assignedTo"], &shown["assignedToName"]), (&json!("ana@x"), &json!("ana")));
    for (role, level, write, configure) in
        [("viewer", "read", false, false), ("agent", "write", true, false), ("admin", "configure", true, true)]
    {
        let token = rest.token("w1", "eva", role);
        let permissions = &rest.gets(&token, "/api/module-permissions/my-permissions")["permissions"];
        assert_eq!((&permissions["email"], &permissions["role"]), (&json!("eva@x"), &json!(role)));
        let module = &permissions["accessibleModules"][0];
        assert_eq!((&module["id"], &module["level"]), (&json!("chat"), &json!(level)));
        assert!(module["name"].is_string() && module["description"].is_string());
        let chat = json!({"read": true, "write": write, "configure": configure});
        assert_eq!(permissions["permissions"]["modules"]["chat"], chat);
    }
    rest.speaks(DIALECTS, None);
    let answer = rest.call(&ana, "GET", "/api/module-permissions/my-permissions", json!(null));
    assert_eq!(refused(&answer), (404, "ROUTE_NOT_FOUND"));
}

#[test]
fn a_file_is_told_by_its_name_with_a_url_that_is_signed() {
    let (mut rest, ana) = world();
    let bob = rest.token("w1", "bob", "agent");
    let (socket, other) = (rest.joins(&ana, 0), rest.joins(&bob, 0));
    rest.asks(socket, "new-message", json!({"conversationId": "conv_test", "content": "hola"}));
    rest.send(other, "join-conversation", json!({"conversationId": "conv_test"}));
    rest.pass(100);
    let media = upload(&mut rest, &ana, "conv_test");
    let heard: Vec<String> = rest.heard(other).into_iter().map(|(name, _)| name).collect();
    assert!(heard.ends_with(&["file-progress".to_owned(), "file-uploaded".to_owned()]), "{heard:?}");
    rest.heard(socket);
    let body = json!({"conversationId": "conv_test", "type": "image", "mediaId": media["id"]});
    let ack = rest.asks(socket, "new-message", body.clone());
    let told = rest.hears(other, "new-message")["message"].clone();
    for message in [&ack["message"], &told] {
        assert_eq!((&message["content"], &message["type"]), (&json!("plan.png"), &json!("image")));
        let file = &message["metadata"]["attachments"][0];
        assert_eq!((&file["id"], &file["mime"]), (&media["id"], &json!("image/png")));
        let url = message["mediaUrl"].as_str().unwrap();
        assert!(url.starts_with("https://chat.example/utalk/media/") && url.contains("&sig="), "{url}");
    }
    // One that came as a document is one, and what is not known any more is still a message with a file.
    rest.restart();
    let socket = rest.joins(&ana, 0);
    rest.heard(socket);
    let (_, sent) = rest.call(
        &ana,
        "POST",
        "/api/messages",
        json!({
            "messageId": "d", "conversationId": "conv_test", "type": "document", "mediaId": media["id"],
        }),
    );
    assert_eq!((&sent["data"]["type"], &sent["data"]["content"]), (&json!("document"), &json!("plan.png")));
    assert_eq!(rest.hears(socket, "new-message")["message"]["content"], "plan.png");
    let listed = rest.gets(&ana, "/api/messages?conversationId=conv_test&type=document");
    assert_eq!(listed["messages"][0]["content"], "plan.png");
    let files = json!([{"id": media["id"]}, {"id": media["id"], "type": "document"}]);
    let body = json!({"conversationId": "conv_test", "attachments": files});
    let (status, sent) = rest.call(&ana, "POST", "/api/messages/send-with-file-ids", body);
    let message = &sent["data"]["message"];
    assert_eq!(
        (status, &message["type"], &message["content"]),
        (201, &json!("message_with_files"), &json!("plan.png"))
    );
    assert_eq!(message["metadata"]["attachments"], sent["data"]["attachments"]);
    assert_eq!(rest.hears(socket, "new-message")["message"]["type"], "message_with_files");
}
