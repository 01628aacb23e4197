//! Messages: who hears what of one, in which order; the same one again; what is refused; failures of the store.

use serde_json::{Value, json};

use super::world::{AGENT, CUSTOMER, WEB, World, text_of};
use crate::apps::utalk::settings::Settings;

#[test]
fn a_message_is_stored_and_told_in_order() {
    let mut world = World::new();
    let (a, b, admin) = (world.person("a", "agent"), world.person("b", "agent"), world.person("root", "admin"));
    let (again, at_work) = (world.person("a", "agent"), world.of_workspace("w1", "b", "agent", AGENT));
    world.pass(100);
    world.forget(&[a, b, admin, again, at_work]);
    let message_id = world.says(a, CUSTOMER, "Hola");
    assert_eq!(
        world.heard(a).iter().map(|(name, _)| &**name).collect::<Vec<_>>(),
        ["message:sent", "conversation:new", "conversation:updated"]
    );
    for id in [b, admin, again] {
        assert_eq!(world.names(id), ["conversation:new", "message:new", "conversation:updated"]);
    }
    assert_eq!(world.names(at_work), [""; 0], "messages are told to /agent where the conversation was joined");
    let stored = world.messages();
    assert_eq!((stored.len(), stored[0].seq, &*stored[0].message_id), (1, 1, &*message_id));
    world.send(at_work, "join:conversation", json!({"conversationId": CUSTOMER}));
    world.hears(at_work, "joined:conversation");
    world.says(b, CUSTOMER, "¿Cómo estás?");
    assert_eq!(world.names(at_work), ["message:new", "conversation:updated"]);
    assert_eq!(world.names(b), ["message:sent", "conversation:updated"]);
    assert_eq!(world.names(a), ["message:new", "conversation:updated"]);
    assert_eq!(world.conversations()[0].last_seq, 2);
}

#[test]
fn what_is_told_of_a_message_is_as_the_contract_has_it() {
    let mut world = World::new();
    let (a, b) = (world.person("a", "agent"), world.person("b", "agent"));
    world.forget(&[a, b]);
    let sent = world.asks(
        a,
        "message:send",
        json!({
            "messageId": "m1", "conversationId": CUSTOMER, "text": "Hola", "mediaId": null,
            "metadata": {"clientTs": "2025-08-20T10:00:00Z", "botResponse": false},
        }),
    );
    let reply = world.hears(a, "message:sent");
    let mut acked = reply.clone();
    acked["ok"] = json!(true);
    assert_eq!(sent, acked);
    let id = reply["id"].as_str().unwrap().to_owned();
    assert!(id.starts_with("msg_") && id.len() == 40, "{id}");
    let now = world.now.wall.to_string();
    assert_eq!(
        reply,
        json!({"id": id, "messageId": "m1", "conversationId": CUSTOMER, "type": "text", "status": "sent",
        "twilioSid": null, "seq": 1, "sentAt": now, "createdAt": now, "duplicate": false})
    );
    assert_eq!(
        world.hears(b, "message:new"),
        json!({"id": id, "messageId": "m1", "conversationId": CUSTOMER, "type": "text",
        "text": "Hola", "sender": "+0987654321", "direction": "outbound", "status": "sent", "mediaId": null,
        "metadata": {"clientTs": "2025-08-20T10:00:00Z", "botResponse": false}, "seq": 1, "agentId": "a", "createdAt": now})
    );
    let last = json!({"id": id, "text": "Hola", "sender": "+0987654321", "type": "text", "direction": "outbound", "createdAt": now});
    let conversation = json!({"id": CUSTOMER, "participants": ["+1234567890", "+0987654321"], "status": "open", "channel": "whatsapp",
        "assignedAgent": null, "botEnabled": true, "customerName": null, "priority": "medium", "tags": [], "lastMessage": last,
        "unreadCount": 0, "messageCount": 1, "windowExpiresAt": null, "createdAt": now, "updatedAt": now, "rev": 1});
    assert_eq!(world.hears(b, "conversation:new"), conversation);
    assert_eq!(world.hears(b, "conversation:updated"), conversation);
}

#[test]
fn a_send_is_two_statements_of_one_write_and_asks_nothing_before() {
    let mut world = World::new();
    let a = world.person("a", "agent");
    world.says(a, WEB, "The first one makes its conversation, too");
    let before = (world.store.batches, world.store.statements, world.store.questions);
    for _ in 0..10 {
        world.says(a, WEB, "Hola");
    }
    let (batches, statements, questions) = before;
    let after = (world.store.batches - batches, world.store.statements - statements, world.store.questions - questions);
    assert_eq!((after, world.messages().len()), ((10, 20, 0), 11));
}

#[test]
fn the_same_message_again_gets_the_first_answer() {
    let mut world = World::new();
    let (a, b) = (world.person("a", "agent"), world.person("b", "agent"));
    world.forget(&[a, b]);
    let first = world.asks(a, "message:send", text_of("m1", WEB, "Hola"));
    let again = world.asks(a, "message:send", text_of("m1", WEB, "Hola"));
    assert_eq!((&first["id"], &first["duplicate"]), (&again["id"], &json!(false)));
    assert_eq!((&again["duplicate"], &again["seq"]), (&json!(true), &json!(1)));
    world.hears(b, "message:new");
    // From another socket, in another namespace, after a restart.
    let at_work = world.of_workspace("w1", "a", "agent", AGENT);
    assert_eq!(world.asks(at_work, "message:send", text_of("m1", WEB, "Hola"))["id"], first["id"]);
    world.restart();
    let back = world.person("a", "agent");
    assert_eq!(world.asks(back, "message:send", text_of("m1", WEB, "Hola"))["id"], first["id"]);
    assert_eq!((world.messages().len(), world.conversations()[0].last_seq), (1, 1));
    assert_eq!(world.metric("utalk_duplicates_total", ""), 1.0, "counted since the restart");
}

#[test]
fn two_at_once_are_one() {
    let mut world = World::new();
    let (a, again, b) = (world.person("a", "agent"), world.person("a", "agent"), world.person("b", "agent"));
    world.forget(&[a, again, b]);
    world.store.hangs = true;
    world.send(a, "message:send", text_of("m1", WEB, "Hola"));
    world.send(again, "message:send", text_of("m1", WEB, "Hola"));
    world.send(a, "message:send", text_of("m1", WEB, "Hola"));
    world.store.hangs = false;
    while world.answer() {}
    let (first, joined) = (world.all(a, "message:sent"), world.hears(again, "message:sent"));
    assert_eq!((first.len(), &first[0]["duplicate"], &first[1]["duplicate"]), (2, &json!(false), &json!(true)));
    assert_eq!((&first[0]["id"], &joined["duplicate"]), (&joined["id"], &json!(true)));
    assert_eq!(world.names(b).iter().filter(|name| *name == "message:new").count(), 1);
    world.hears_nothing(a, "message:new");
    world.hears_nothing(again, "message:new");
    assert_eq!(world.messages().len(), 1);
}

#[test]
fn another_message_under_the_same_id_is_a_conflict_that_tells_nothing() {
    let mut world = World::new();
    let (a, b) = (world.person("a", "agent"), world.person("b", "agent"));
    world.asks(a, "message:send", text_of("m1", WEB, "Hola"));
    world.forget(&[a, b]);
    for (id, payload) in [
        (a, text_of("m1", WEB, "Otra cosa")),
        (a, text_of("m1", "conv_other", "Hola")),
        (b, text_of("m1", WEB, "Hola")),
        (a, json!({"messageId": "m1", "conversationId": WEB, "type": "note", "text": "Hola"})),
    ] {
        let ack = world.asks(id, "message:send", payload.clone());
        assert_eq!((&ack["ok"], &ack["error"]["code"]), (&json!(false), &json!("MESSAGE_ID_CONFLICT")), "{payload}");
        let told = world.heard(id);
        assert_eq!(told.len(), 1, "{told:?}");
        assert_eq!(
            told[0].1["error"],
            json!({"code": "MESSAGE_ID_CONFLICT", "message": "El messageId ya se usó para otro mensaje"})
        );
    }
    assert_eq!((world.messages().len(), world.conversations().len()), (1, 1), "no conversation was made");
    world.store.hangs = true;
    world.send(a, "message:send", text_of("m2", WEB, "Uno"));
    world.send(a, "message:send", text_of("m2", WEB, "Dos"));
    world.store.hangs = false;
    while world.answer() {}
    assert_eq!(world.hears(a, "message:error")["error"]["code"], "MESSAGE_ID_CONFLICT");
    assert_eq!(world.hears(a, "message:sent")["messageId"], "m2");
    // Other scopes know nothing of it.
    let c = world.of_workspace("w2", "c", "agent", super::world::APP);
    assert_eq!(world.asks(c, "message:send", text_of("m1", WEB, "Mío"))["seq"], 1);
}

#[test]
fn while_the_store_fails_nothing_is_told_and_the_same_id_works_later() {
    let mut world = World::new();
    let (a, b) = (world.person("a", "agent"), world.person("b", "agent"));
    world.says(a, WEB, "Hola");
    world.forget(&[a, b]);
    world.store.down = true;
    for conversation in [WEB, "conv_new"] {
        let ack = world.asks(a, "message:send", text_of("m9", conversation, "¿Hola?"));
        assert_eq!(ack["error"]["code"], "DATABASE_ERROR");
        assert_eq!(world.names(a), ["message:error"]);
        assert_eq!(world.names(b), [""; 0]);
    }
    world.store.down = false;
    let ack = world.asks(a, "message:send", text_of("m9", WEB, "¿Hola?"));
    assert_eq!((&ack["seq"], &ack["duplicate"]), (&json!(2), &json!(false)), "seq has no holes");
    assert_eq!(world.hears(b, "message:new")["seq"], 2);
    assert_eq!(world.conversations().len(), 1);
}

#[test]
fn sends_that_are_handed_over_together_keep_their_order_and_their_numbers() {
    let mut world = World::new();
    let (a, b) = (world.person("a", "agent"), world.person("b", "agent"));
    world.forget(&[a, b]);
    // The conversation is looked for first.
    world.says(a, WEB, "0");
    world.store.hangs = true;
    for n in 1..10 {
        world.says(a, WEB, &n.to_string());
    }
    world.store.hangs = false;
    while world.answer() {}
    let seqs = |events: Vec<Value>| events.iter().map(|event| event["seq"].as_u64().unwrap()).collect::<Vec<_>>();
    assert_eq!(seqs(world.all(a, "message:sent")), (1..=10).collect::<Vec<_>>());
    assert_eq!(seqs(world.all(b, "message:new")), (1..=10).collect::<Vec<_>>());
    let revs: Vec<u64> = world.all(b, "conversation:updated").iter().map(|it| it["rev"].as_u64().unwrap()).collect();
    assert_eq!(revs, (1..=10).collect::<Vec<_>>());
    assert_eq!(world.all(b, "conversation:new").len(), 1);
    let changes: Vec<u64> = world.messages().iter().map(|message| message.change).collect();
    assert!(changes.is_sorted_by(|one, next| one < next), "{changes:?}");
}

#[test]
fn several_first_messages_at_once_make_one_conversation() {
    let mut world = World::new();
    let (a, b) = (world.person("a", "agent"), world.person("b", "agent"));
    world.forget(&[a, b]);
    world.store.hangs = true;
    for text in ["uno", "dos", "tres"] {
        world.says(a, WEB, text);
    }
    world.answer();
    world.says(b, WEB, "cuatro");
    world.store.hangs = false;
    while world.answer() {}
    assert_eq!(world.all(b, "conversation:new").len(), 1);
    assert_eq!(world.all(a, "conversation:new").len(), 1);
    assert_eq!((world.messages().len(), world.conversations()[0].last_seq), (4, 4));
}

#[test]
fn a_note_is_for_the_staff_and_moves_nothing_but_seq() {
    let mut world = World::new();
    let (a, b, bot) = (world.person("a", "agent"), world.person("b", "agent"), world.person("r2", "bot"));
    world.says(a, CUSTOMER, "Hola");
    world.forget(&[a, b, bot]);
    let note = json!({"messageId": "n1", "conversationId": CUSTOMER, "type": "note", "text": "Ojo"});
    assert_eq!(world.asks(a, "message:send", note)["seq"], 2);
    assert_eq!(world.names(a), ["message:sent"]);
    let told = world.hears(b, "message:new");
    assert_eq!((&told["direction"], &told["sender"], &told["type"]), (&json!("internal"), &json!("a"), &json!("note")));
    assert_eq!(world.names(bot), [""; 0]);
    let row = &world.conversations()[0];
    assert_eq!((row.rev, row.last_seq), (1, 2));
    assert!(row.last_message.as_deref().unwrap().contains("Hola"));
}

#[test]
fn a_file_has_to_be_one_of_the_conversation() {
    let mut world = World::new();
    let a = world.person("a", "agent");
    world.says(a, WEB, "Hola");
    world.forget(&[a]);
    let image = json!({"messageId": "i1", "conversationId": WEB, "type": "image", "mediaId": "media_1"});
    let ack = world.asks(a, "message:send", image.clone());
    assert_eq!(ack["error"]["code"], "MEDIA_NOT_FOUND");
    assert_eq!(world.hears(a, "message:error")["messageId"], "i1");
    assert_eq!((world.messages().len(), world.conversations()[0].last_seq), (1, 1));
}

#[test]
fn outside_whatsapps_window_only_templates_go_out_and_what_has_gone_out_is_replayed() {
    use crate::apps::utalk::settings::Window;
    let mut world = World::with(Settings { whatsapp_window: Window::On, ..Settings::default() });
    let a = world.person("a", "agent");
    let closed = world.asks(a, "message:send", text_of("m1", CUSTOMER, "Hola"));
    assert_eq!(
        closed["error"],
        json!({"code": "WINDOW_CLOSED", "message": "La ventana de 24h está cerrada o falta plantilla aprobada"})
    );
    assert_eq!(world.conversations().len(), 0);
    world.customer_says(CUSTOMER, "Hola");
    let sent = world.asks(a, "message:send", text_of("m1", CUSTOMER, "Hola"));
    assert_eq!(sent["status"], "sent");
    world.pass(24 * 3_600_000);
    let again = world.asks(a, "message:send", text_of("m1", CUSTOMER, "Hola"));
    assert_eq!((&again["id"], &again["duplicate"]), (&sent["id"], &json!(true)));
    assert_eq!(world.asks(a, "message:send", text_of("m2", CUSTOMER, "¿?"))["error"]["code"], "WINDOW_CLOSED");
    assert_eq!(world.asks(a, "message:send", text_of("m3", WEB, "Web"))["ok"], true);
    let template = json!({"messageId": "m4", "conversationId": CUSTOMER, "type": "template", "metadata": {"template": {"sid": "HX1"}}});
    assert_eq!(world.asks(a, "message:send", template)["status"], "sent");
}

#[test]
fn an_inbound_message_is_told_once_and_reopens_what_was_closed() {
    let mut world = World::new();
    let (a, b) = (world.person("a", "agent"), world.person("b", "agent"));
    world.forget(&[a, b]);
    let twice = [(); 2].map(|()| world.twilio_brings("SM1", CUSTOMER, "Ayuda"));
    assert_eq!(twice, [200, 200]);
    assert_eq!(world.names(b), ["conversation:new", "message:new", "conversation:updated"]);
    let stored = &world.messages()[0];
    assert_eq!((&*stored.sender, stored.author.as_deref(), stored.sid.as_deref()), ("+1234567890", None, Some("SM1")));
    assert_eq!((world.messages().len(), world.conversations()[0].unread()), (1, 1));
}
