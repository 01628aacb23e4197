//! Clients of the dialect `hyphen` and others in one workspace: what each says reaches the other, each in its own words; and what only
//! those of the dialect are told.

use serde_json::{Value, json};

use super::world::{ADMIN, APP, CUSTOMER, Id, WEB, World, claims};
use crate::app::AuthFailure;
use crate::app::identity::{AuthMethod, Claims};
use crate::apps::utalk::dialect::DIALECTS;
use crate::apps::utalk::settings::Settings;
use crate::base::close::CloseReason;
use crate::base::ids::NspIndex;

impl World {
    /// Somebody of w1 who speaks the dialect, as `user@example.com`, in this namespace.
    fn speaker_in(&mut self, user: &str, role: &str, nsp: NspIndex) -> Id {
        self.speaks(DIALECTS, Some("hyphen"));
        let id = self.of_workspace("w1", user, role, nsp);
        self.speaks(DIALECTS, None);
        id
    }

    /// The same, who has been told what there is.
    pub(super) fn speaker(&mut self, user: &str, role: &str) -> Id {
        let id = self.speaker_in(user, role, APP);
        self.pass(100);
        self.heard(id);
        id
    }

    fn joined(&mut self, id: Id, conversation: &str) {
        self.send(id, "join-conversation", json!({"conversationId": conversation}));
        self.heard(id);
    }
}

fn names(heard: &[(String, Value)]) -> Vec<&str> {
    heard.iter().map(|(name, _)| name.as_str()).collect()
}

fn text(content: &str) -> Value {
    json!({"conversationId": WEB, "content": content, "type": "text", "timestamp": "t1"})
}

#[test]
fn acceptance_12_a_message_arrives_in_the_words_of_each_and_so_does_the_answer_once() {
    let mut world = World::new();
    let (ana, bob) = (world.speaker("ana", "agent"), world.person("bob", "agent"));
    world.pass(100);
    world.forget(&[ana, bob]);
    let ack = world.asks(ana, "new-message", text("hola"));
    let heard = world.heard(bob);
    assert_eq!(names(&heard), ["conversation:new", "message:new", "conversation:updated"]);
    let new = &heard[1].1;
    assert_eq!(
        (&new["text"], &new["sender"], &new["metadata"]),
        (&json!("hola"), &json!("ana"), &json!({"clientTs": "t1"}))
    );
    let heard = world.heard(ana);
    assert_eq!(names(&heard), ["message-sent", "webhook:conversation-created", "conversation-event"]);
    let (sent, conversation) = (&heard[0].1, &heard[1].1["conversation"]);
    assert_eq!(sent["conversationId"], WEB);
    assert!(sent["timestamp"].is_string());
    let message = json!({
        "id": new["id"], "conversationId": WEB, "content": "hola", "type": "text", "direction": "outbound",
        "status": "sent", "senderIdentifier": "agent:ana@example.com", "recipientIdentifier": "",
        "sender": {"identifier": "agent:ana@example.com", "type": "agent"}, "recipient": "", "mediaUrl": null,
        "timestamp": new["createdAt"], "createdAt": new["createdAt"], "updatedAt": new["createdAt"],
        "metadata": {"clientTs": "t1", "attachments": []},
    });
    assert_eq!(sent["message"], message);
    assert_eq!((&ack["ok"], &ack["message"], &ack["conversationId"]), (&json!(true), &message, &json!(WEB)));
    assert_eq!((&conversation["tenantId"], &conversation["workspaceId"]), (&json!("t1"), &json!("w1")));
    assert_eq!(conversation["lastMessage"]["content"], "hola");
    assert_eq!(conversation["lastMessage"]["sender"], "ana@example.com");

    let message_id = world.says(bob, WEB, "buenas");
    let heard = world.heard(ana);
    assert_eq!(names(&heard), ["new-message", "conversation-event"]);
    let (new, event) = (&heard[0].1, &heard[1].1);
    assert_eq!((&new["correlationId"], &new["conversationId"]), (&json!(message_id), &json!(WEB)));
    assert_eq!(new["message"]["senderIdentifier"], "agent:bob@example.com");
    let fields: Vec<&str> = event["updates"].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(fields, ["lastMessage", "lastMessageAt", "messageCount", "updatedAt"]);
    assert_eq!((&event["lastMessage"]["content"], &event["unreadCount"]), (&json!("buenas"), &json!(0)));
    assert_eq!(event["correlationId"], format!("{WEB}:2"));
}

#[test]
fn one_that_comes_is_told_unasked_what_there_is() {
    let mut world = World::new();
    let bob = world.person("bob", "agent");
    world.customer_says(CUSTOMER, "hola");
    world.send(bob, "join:conversation", json!({"conversationId": CUSTOMER}));
    let ana = world.speaker_in("ana", "agent", APP);
    let first = world.hears(ana, "state-synced");
    assert_eq!(first["syncId"], format!("initial_{}", world.now.wall.0));
    let conversation = &first["conversations"][0];
    for (field, value) in [
        ("id", json!(CUSTOMER)),
        ("customerPhone", json!("+1234567890")),
        ("contact", json!({"name": null, "phoneNumber": "+1234567890"})),
        ("assignedTo", Value::Null),
        ("status", json!("open")),
        ("unreadCount", json!(1)),
    ] {
        assert_eq!(conversation[field], value, "{field}");
    }
    assert_eq!(conversation["lastMessage"]["timestamp"], conversation["lastMessageAt"]);
    assert_eq!(first["unreadCounts"], json!({CUSTOMER: 1}));
    assert_eq!(first["onlineUsers"], json!({CUSTOMER: ["bob@example.com"]}));
    assert_eq!(first["version"], world.now.wall.0);
    assert!(first["serverTime"].is_string() && first["timestamp"].is_string());
    // Whatever time a client names, it gets a snapshot; the ack says the same.
    let ack = world.asks(ana, "sync-state", json!({"timestamp": 7, "version": 1, "reason": "reconnect"}));
    let asked = world.hears(ana, "state-synced");
    assert_eq!(asked["conversations"], first["conversations"]);
    assert!(asked["syncId"].as_str().unwrap().len() == 36 && asked["messages"].is_null());
    assert_eq!(
        (&ack["ok"], &ack["syncId"], &ack["conversations"]),
        (&json!(true), &asked["syncId"], &asked["conversations"])
    );
    world.hears_nothing(bob, "state:synced");
}

#[test]
fn rooms_tell_who_is_in_them() {
    let mut world = World::new();
    let (ana, bob) = (world.speaker("ana", "agent"), world.person("bob", "agent"));
    world.says(bob, WEB, "hola");
    world.send(bob, "join:conversation", json!({"conversationId": WEB}));
    world.forget(&[ana, bob]);
    let ack = world.asks(ana, "conversation:join", json!({"conversationId": "conv%5Ftest", "roomId": "r"}));
    let heard = world.heard(ana);
    assert_eq!(names(&heard), ["conversation-joined", "websocket:state-synced"]);
    let at = world.now.wall.to_string();
    let joined = json!({
        "conversationId": WEB, "roomId": WEB, "onlineUsers": ["ana@example.com", "bob@example.com"], "success": true,
        "timestamp": at,
    });
    assert_eq!(heard[0].1, joined);
    assert_eq!(heard[1].1, json!({"conversationId": WEB, "roomId": WEB, "success": true, "timestamp": at}));
    assert_eq!((&ack["ok"], &ack["onlineUsers"]), (&json!(true), &joined["onlineUsers"]));
    // Another comes, by two sockets, and goes; only those of the dialect are told, and of the user once.
    let cleo = [world.speaker("cleo", "agent"), world.speaker("cleo", "agent")];
    world.forget(&[ana, bob]);
    for id in cleo {
        world.send(id, "join-conversation", json!({"conversationId": WEB}));
        world.hears_nothing(id, "user-online");
    }
    let cleo_at = |world: &World| json!({"email": "cleo@example.com", "conversationId": WEB, "timestamp": world.now.wall.to_string()});
    assert_eq!(world.heard(ana), [("user-online".to_owned(), cleo_at(&world))]);
    world.send(cleo[0], "leave-conversation", json!({"conversationId": WEB}));
    assert_eq!(world.hears(cleo[0], "conversation-left"), json!({"conversationId": WEB}));
    assert!(world.heard(ana).is_empty());
    world.leaves(cleo[1], CloseReason::TransportClose);
    assert_eq!(world.heard(ana), [("user-offline".to_owned(), cleo_at(&world))]);
    assert!(world.heard(bob).is_empty());
    let refused = world.asks(ana, "join-conversation", json!({"conversationId": "conv_none"}));
    assert_eq!(refused["error"]["code"], "ACCESS_DENIED");
    let error = world.hears(ana, "error");
    assert_eq!((&error["error"], &error["code"]), (&json!("ACCESS_DENIED"), &json!("ACCESS_DENIED")));
    assert_eq!(refused["error"], error);
}

#[test]
fn several_are_read_at_once_and_both_directions_are_told() {
    let mut world = World::new();
    let (ana, boss) = (world.speaker("ana", "agent"), world.speaker("boss", "admin"));
    let brought: Vec<String> = (0..3).map(|_| world.customer_says(CUSTOMER, "hola")).collect();
    world.asks(boss, "new-message", json!({"conversationId": CUSTOMER, "content": "respuesta"}));
    let ids: Vec<String> = world.messages().iter().map(|message| message.id.to_string()).collect();
    world.joined(ana, CUSTOMER);
    world.joined(boss, CUSTOMER);
    world.forget(&[ana, boss]);
    // By our ids and by theirs, in any order, with one that nobody knows.
    let asked = json!({"conversationId": CUSTOMER, "messageIds": [brought[2], ids[0], "nobody's"]});
    let ack = world.asks(ana, "mark-read", asked.clone());
    let at = world.now.wall.to_string();
    let expected = json!({
        "ok": true, "conversationId": CUSTOMER, "messageIds": [brought[2], ids[0]], "updated": 2, "timestamp": at,
    });
    assert_eq!((world.hears(ana, "message-read-ack"), ack), (expected.clone(), expected));
    let read = json!({
        "conversationId": CUSTOMER, "messageIds": ids[..3], "readBy": "ana@example.com", "timestamp": at,
    });
    assert_eq!(world.hears(boss, "message-read"), read);
    let event = world.hears(boss, "conversation-event");
    assert_eq!((&event["updates"], &event["unreadCount"]), (&json!({"unreadCount": 0}), &json!(0)));
    // Again: nothing changes.
    world.pass(10);
    let again = world.asks(ana, "messages:read", asked);
    assert_eq!((&again["updated"], &again["timestamp"]), (&json!(0), &json!(at)));
    assert!(world.heard(boss).is_empty());
    // One of ours is passed by as well; after a restart none of them is in memory.
    world.restart();
    let (ana, boss) = (world.speaker("ana", "agent"), world.speaker("boss", "admin"));
    world.joined(ana, CUSTOMER);
    world.joined(boss, CUSTOMER);
    world.forget(&[ana, boss]);
    let one = world.asks(ana, "message-read", json!({"conversationId": CUSTOMER, "messageId": ids[3]}));
    assert_eq!((&one["messageIds"], &one["updated"]), (&json!([ids[3]]), &json!(1)));
    assert_eq!(world.hears(boss, "message-read")["messageIds"], json!([ids[3]]));
    let none = world.asks(ana, "mark-read", json!({"conversationId": CUSTOMER, "messageIds": ["x", "y"]}));
    assert_eq!(none["error"]["code"], "MESSAGE_NOT_FOUND");
    for bad in [json!([]), json!("x"), json!([7]), json!([""]), json!(vec!["x"; 501])] {
        let bad = world.asks(ana, "mark-read", json!({"conversationId": CUSTOMER, "messageIds": bad}));
        assert_eq!(
            (&bad["error"]["code"], &bad["error"]["details"]["path"]),
            (&json!("INVALID_EVENT"), &json!("messageIds"))
        );
    }
    // A client that does not speak the dialect names one.
    let plain = world.person("bob", "admin");
    let refused = world.asks(plain, "conversation:read", json!({"conversationId": CUSTOMER, "messageIds": [ids[0]]}));
    assert_eq!(refused["error"]["details"]["path"], "messageId");
}

#[test]
fn what_a_customer_brings_is_told_by_its_webhook() {
    let mut world = World::new();
    let ana = world.speaker("ana", "agent");
    world.pass(100);
    world.forget(&[ana]);
    let sid = world.customer_says(CUSTOMER, "hola");
    let heard = world.heard(ana);
    assert_eq!(names(&heard), ["webhook:conversation-created", "webhook:new-message", "conversation-event"]);
    let new = &heard[1].1;
    assert_eq!((&new["isNewConversation"], &new["correlationId"]), (&json!(true), &json!(sid)));
    let message = &new["message"];
    assert_eq!(message["sender"], json!({"identifier": "+1234567890", "type": "customer"}));
    assert_eq!((&message["recipient"], &message["status"]), (&json!("+0987654321"), &json!("received")));
    world.customer_says(CUSTOMER, "¿hay alguien?");
    let heard = world.heard(ana);
    assert_eq!(names(&heard), ["new-message", "conversation-event"]);
    assert!(heard[0].1["isNewConversation"].is_null());
    let mut fields: Vec<&str> = heard[1].1["updates"].as_object().unwrap().keys().map(String::as_str).collect();
    fields.sort_unstable();
    assert_eq!(fields, ["lastMessage", "lastMessageAt", "messageCount", "unreadCount", "updatedAt"]);
}

#[test]
fn an_assignment_and_its_end_are_told_by_both_names() {
    let mut world = World::new();
    let (ana, boss) = (world.speaker("ana", "agent"), world.person("boss", "admin"));
    let other = world.speaker_in("dora", "admin", ADMIN);
    world.says(boss, CUSTOMER, "hola");
    world.forget(&[ana, boss, other]);
    world.send(ana, "agent:takeover", json!({"conversationId": "conv%5F+1234567890_+0987654321"}));
    let heard = world.heard(ana);
    let expected = ["agent:takeover:acknowledged", "conversation-assigned", "agent-assigned", "conversation-event"];
    assert_eq!(names(&heard), expected);
    let agent = json!({"email": "ana@example.com", "name": "ana@example.com", "role": "agent"});
    let assigned = json!({
        "conversationId": CUSTOMER, "assignedTo": agent, "assignedAgents": [agent], "agentEmail": "ana@example.com",
        "isPrimary": true, "timestamp": world.now.wall.to_string(),
    });
    assert_eq!(heard[1].1, assigned);
    let second =
        json!({"conversationId": CUSTOMER, "agentEmail": "ana@example.com", "role": "agent", "isPrimary": true});
    assert_eq!(heard[2].1, second);
    let updates = json!({
        "assignedAgent": "ana", "assignedTo": "ana@example.com", "assignedToName": "ana@example.com", "botEnabled": false,
    });
    assert_eq!(heard[3].1["updates"], updates);
    assert_eq!(names(&world.heard(other)), ["conversation-assigned", "agent-assigned"]);
    world.forget(&[boss]);
    world.send(ana, "agent:return-to-bot", json!({"conversationId": CUSTOMER, "reason": "resolved"}));
    let heard = world.heard(ana);
    let expected = [
        "agent:return:acknowledged",
        "bot:resumed",
        "conversation-unassigned",
        "agent-unassigned",
        "conversation-event",
    ];
    assert_eq!(names(&heard), expected);
    let at = world.now.wall.to_string();
    let gone = json!({"conversationId": CUSTOMER, "previousAssignedTo": "ana@example.com", "timestamp": at});
    assert_eq!(heard[2].1, gone);
    assert_eq!(heard[3].1["agentEmail"], "ana@example.com");
    let expected = ["bot:resumed", "conversation-unassigned", "agent-unassigned"];
    assert_eq!(names(&world.heard(other)), expected);
    assert_eq!(world.names(boss), ["bot:resumed", "conversation:updated"]);
    // It ends as well where a customer comes back to what was closed.
    world.send(ana, "agent:takeover", json!({"conversationId": CUSTOMER}));
    world.closes("ana", CUSTOMER);
    world.forget(&[ana, boss]);
    world.customer_says(CUSTOMER, "otra cosa");
    let heard = world.heard(ana);
    let expected = ["new-message", "conversation-unassigned", "agent-unassigned", "conversation-event"];
    assert_eq!(names(&heard), expected);
    let updates = &heard[3].1["updates"];
    assert_eq!(
        (&updates["status"], &updates["assignedTo"], &updates["botEnabled"]),
        (&json!("open"), &Value::Null, &json!(true))
    );
    world.send(ana, "escalation:start", json!({"conversationId": "conv%5F+1234567890_+0987654321"}));
    assert_eq!(world.hears(ana, "escalation:started")["conversationId"], CUSTOMER);
    let updates = json!({"status": "pending", "botEnabled": false});
    assert_eq!(world.hears(ana, "conversation-event")["updates"], updates);
    // One that is taken away: who had it is told that it is out.
    world.joined(ana, CUSTOMER);
    world.forget(&[ana, boss]);
    world.send(boss, "agent:takeover", json!({"conversationId": CUSTOMER}));
    let left = world.hears(ana, "conversation-left");
    assert_eq!(left, json!({"conversationId": CUSTOMER, "reason": "access_lost"}));
}

#[test]
fn people_are_seen_and_heard_by_their_e_mails() {
    let mut world = World::new();
    let (ana, bob) = (world.speaker("ana", "agent"), world.person("bob", "agent"));
    world.pass(100);
    let at = |world: &World| world.now.wall.to_string();
    let seen = world.hears(ana, "presence-update");
    assert_eq!(
        (&seen["email"], &seen["status"], &seen["role"]),
        (&json!("bob@example.com"), &json!("online"), &json!("agent"))
    );
    assert!(world.heard(ana).is_empty(), "`user:connected` has no word there");
    world.forget(&[bob]);
    let ack = world.asks(ana, "user-status-change", json!({"status": "invisible"}));
    let gone = json!({"email": "ana@example.com", "status": "offline", "role": "agent", "timestamp": at(&world)});
    assert_eq!(world.heard(ana), [("presence-update".to_owned(), gone)]);
    assert_eq!((&ack["ok"], &ack["email"]), (&json!(true), &json!("ana@example.com")));
    assert_eq!(world.hears(bob, "presence:update")["status"], "offline");
    world.says(bob, WEB, "hola");
    world.send(bob, "join:conversation", json!({"conversationId": WEB}));
    world.joined(ana, WEB);
    world.forget(&[ana, bob]);
    let ack = world.asks(ana, "typing", json!({"conversationId": WEB, "timestamp": 1}));
    assert_eq!(ack, json!({"ok": true, "conversationId": WEB}));
    assert_eq!(world.hears(bob, "typing:start")["email"], "ana@example.com");
    for stop in ["typing-stop", "stop-typing"] {
        world.send(ana, stop, json!({"conversationId": WEB}));
        assert_eq!(world.all(bob, "typing:stop").len(), usize::from(stop == "typing-stop"));
    }
    assert!(world.heard(ana).is_empty(), "nothing is acknowledged by an event");
    world.send(bob, "typing:start", json!({"conversationId": WEB}));
    let typing = json!({
        "conversationId": WEB, "userId": "bob@example.com", "userEmail": "bob@example.com", "timestamp": at(&world),
    });
    assert_eq!(world.heard(ana), [("typing".to_owned(), typing.clone())]);
    world.send(bob, "typing:stop", json!({"conversationId": WEB}));
    assert_eq!(world.heard(ana), [("typing-stop".to_owned(), typing.clone()), ("stop-typing".to_owned(), typing)]);
}

#[test]
fn a_refusal_says_what_is_to_be_done_about_it() {
    let mut world = World::new();
    let ana = claims("w1", "ana", "agent");
    let nameless = Claims { email: None, ..ana.clone() };
    let wrong = Claims { email: Some("ana".to_owned()), ..ana.clone() };
    let viewer = Claims { role: "viewer".to_owned(), ..ana.clone() };
    let developer = Claims { method: AuthMethod::Dev, ..nameless.clone() };
    let by_sub = Claims { sub: "ana@example.com".to_owned(), ..nameless.clone() };
    for (claims, nsp, expected) in [
        (Err(AuthFailure::Missing), APP, Some(("AUTHENTICATION_REQUIRED: JWT token required", "UNAUTHENTICATED"))),
        (Err(AuthFailure::Invalid), APP, Some(("AUTHENTICATION_FAILED: Invalid or expired token", "UNAUTHENTICATED"))),
        (Err(AuthFailure::Expired), APP, Some(("AUTHENTICATION_FAILED: Invalid or expired token", "TOKEN_EXPIRED"))),
        (Ok(viewer), ADMIN, Some(("AUTHENTICATION_FAILED: Invalid or expired token", "FORBIDDEN"))),
        (Ok(nameless.clone()), APP, Some(("AUTHENTICATION_FAILED: Valid email required", "EMAIL_REQUIRED"))),
        (Ok(wrong), APP, Some(("AUTHENTICATION_FAILED: Valid email required", "EMAIL_REQUIRED"))),
        (Ok(developer), APP, None),
        (Ok(by_sub), APP, None),
        (Ok(ana), APP, None),
    ] {
        world.speaks(DIALECTS, Some("hyphen"));
        let id = world.brings(claims.map(|claims| std::sync::Arc::new(claims.into())), nsp);
        match expected {
            Some((message, code)) => assert_eq!(world.refusal(id), (message.to_owned(), json!({"code": code}))),
            None => assert!(world.is_open(id)),
        }
    }
    world.speaks(DIALECTS, None);
    let plain = world.brings(Ok(std::sync::Arc::new(nameless.into())), APP);
    assert!(world.is_open(plain), "others need no e-mail");
    let missing = world.brings(Err(AuthFailure::Missing), APP);
    assert_eq!(world.refusal(missing).0, "Authentication failed");
    let settings = Settings { sockets_per_user_max: 1, ..Settings::default() };
    let mut world = World::with(settings);
    world.speaker("ana", "agent");
    world.speaks(DIALECTS, Some("hyphen"));
    let second = world.knocks("w1", "ana", "agent", APP);
    assert_eq!(world.refusal(second), ("Too many connections".to_owned(), json!({"code": "TOO_MANY_SOCKETS"})));
}

#[test]
fn our_names_are_not_permitted_and_errors_have_their_words_in_events_and_acks() {
    let mut settings = Settings::default();
    settings.events_per_minute.insert("message:send".to_owned(), 1);
    let mut world = World::with(settings);
    let ana = world.speaker("ana", "agent");
    let ack = world.asks(ana, "message:send", json!({"messageId": "m", "conversationId": WEB, "text": "x"}));
    let error = world.hears(ana, "error");
    assert_eq!((&error["code"], &error["error"]), (&json!("INVALID_EVENT"), &json!("INVALID_EVENT")));
    assert_eq!(error["message"], "Evento no permitido: message:send");
    assert_eq!(ack["error"], error);
    assert!(world.messages().is_empty());
    world.asks(ana, "new-message", text("uno"));
    world.heard(ana);
    let ack = world.asks(ana, "new-message", text("dos"));
    let error = world.hears(ana, "error");
    let expected = (&json!("RATE_LIMITED"), &json!("Too many events"), &json!(60));
    assert_eq!((&error["code"], &error["message"], &error["retryAfter"]), expected);
    assert_eq!(error["details"]["limit"], 1);
    assert_eq!(ack["error"], error);
    let failed = world.hears(ana, "message-error");
    assert_eq!((&failed["conversationId"], &failed["code"]), (&json!(WEB), &json!("RATE_LIMIT_EXCEEDED")));
    assert!(failed["messageId"].is_string() && failed["error"].is_string() && failed["details"]["limit"] == 1);
    let ack =
        world.asks(ana, "copilot_chat_message", json!({"conversationId": "conv%5Ftest", "message": "¿qué digo?"}));
    let response = json!({"conversationId": WEB, "response": null, "error": "Copilot no disponible"});
    assert_eq!(world.hears(ana, "copilot_response"), response);
    assert_eq!(
        (&ack["ok"], &ack["conversationId"], &ack["error"]),
        (&json!(true), &response["conversationId"], &response["error"])
    );
}

#[test]
fn nothing_is_made_beside_where_nobody_speaks_it() {
    let mut world = World::new();
    let ana = world.person("ana", "agent");
    world.says(ana, WEB, "hola");
    world.customer_says(CUSTOMER, "hola");
    world.send(ana, "agent:takeover", json!({"conversationId": WEB}));
    world.send(ana, "agent:return-to-bot", json!({"conversationId": WEB, "reason": "resolved"}));
    world.send(ana, "sync:state", json!({"syncId": "s"}));
    world.pass(100);
    assert_eq!(world.besides, 0);
    let other = world.speaks_of_w2();
    world.says(ana, WEB, "hola");
    let own = world.besides;
    world.heard(other);
    assert_eq!(own, 1, "the one of another workspace was told what there is, by its own home");
    let speaker = world.speaker("eva", "agent");
    world.says(ana, WEB, "hola");
    assert!(world.besides > own);
    world.leaves(speaker, CloseReason::TransportClose);
    world.pass(10_000);
    let own = world.besides;
    world.says(ana, WEB, "hola");
    assert_eq!(world.besides, own, "the last one has gone");
}

impl World {
    fn speaks_of_w2(&mut self) -> Id {
        self.speaks(DIALECTS, Some("hyphen"));
        let id = self.of_workspace("w2", "zoe", "agent", APP);
        self.speaks(DIALECTS, None);
        self.pass(100);
        id
    }
}

#[test]
fn the_end_of_the_server_is_told() {
    let mut world = World::new();
    let ana = world.speaker("ana", "agent");
    world.drains();
    let at = world.now.wall.to_string();
    let told = json!({"message": "El servidor se reiniciará en breve", "timestamp": at, "reason": "maintenance"});
    assert_eq!(world.hears(ana, "server-shutdown"), told);
}
