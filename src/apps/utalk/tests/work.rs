//! Takeover, return, transfer: an agent gets a conversation, and others hear of it, in order.

use serde_json::{Value, json};

use super::world::{ADMIN, AGENT, CUSTOMER, WEB, World};
use crate::app::settings::Word;
use crate::apps::utalk::settings::Settings;
use crate::testing::Id;

/// A customer has written; nobody has anything unheard.
fn world(settings: Settings) -> (World, Id, Id, Id) {
    let mut world = World::with(settings);
    let (a, b, root) = (world.person("a", "agent"), world.person("b", "agent"), world.person("root", "admin"));
    world.customer_says(CUSTOMER, "Hola");
    world.pass(100);
    world.forget(&[a, b, root]);
    (world, a, b, root)
}

fn takeover(world: &mut World, id: Id, conversation: &str) -> Value {
    world.asks(id, "agent:takeover", json!({"conversationId": conversation, "reason": "manual_assignment"}))
}

fn code(answer: &Value) -> &str {
    answer["error"]["code"].as_str().unwrap_or("none")
}

fn one() -> Value {
    json!({"conversationId": CUSTOMER})
}

#[test]
fn acceptance_6_a_takeover_is_told_in_order_and_only_one_has_it() {
    let (mut world, a, b, root) = world(Settings::default());
    let (at_work, bot) = (world.of_workspace("w1", "a", "agent", AGENT), world.person("r2", "bot"));
    world.send(b, "join:conversation", one());
    world.pass(100);
    world.forget(&[a, b, root, at_work, bot]);
    let ack = takeover(&mut world, a, CUSTOMER);
    let now = world.now.wall.to_string();
    let acknowledged = json!({"conversationId": CUSTOMER, "agentId": "a", "assignedAt": now, "botEnabled": false});
    let assigned = json!({"conversationId": CUSTOMER, "agentId": "a", "agentName": "a@example.com", "assignedAt": now,
        "reason": "manual_assignment", "fromAgent": null});
    let heard = world.heard(a);
    assert_eq!(
        heard.iter().map(|(name, _)| &**name).collect::<Vec<_>>(),
        ["agent:takeover:acknowledged", "conversation:assigned", "conversation:updated"]
    );
    assert_eq!((&heard[0].1, &heard[1].1), (&acknowledged, &assigned));
    assert_eq!(ack["agentId"], "a");
    let updated = &heard[2].1;
    assert_eq!(
        (&updated["botEnabled"], &updated["status"], &updated["assignedAgent"]),
        (&json!(false), &json!("open"), &json!("a"))
    );
    assert_eq!(world.names(at_work), ["conversation:assigned"], "work is told in all namespaces");
    assert_eq!(world.names(root), ["conversation:assigned", "conversation:updated"]);
    for id in [b, bot] {
        let lost = json!({"conversationId": CUSTOMER, "reason": "access_lost"});
        assert_eq!(world.heard(id), [("left:conversation".to_owned(), lost)]);
    }
    world.customer_says(CUSTOMER, "¿Hola?");
    assert_eq!(world.names(b), [""; 0], "out of the room");
    world.forget(&[a, root]);
    // Another one, the same one again, an admin without and with force.
    assert_eq!(code(&takeover(&mut world, b, CUSTOMER)), "CONVERSATION_ALREADY_ASSIGNED");
    assert_eq!(world.hears_error(b)["code"], "CONVERSATION_ALREADY_ASSIGNED");
    assert_eq!(takeover(&mut world, a, CUSTOMER)["assignedAt"], now);
    assert_eq!(world.heard(a), [("agent:takeover:acknowledged".to_owned(), acknowledged)]);
    assert_eq!(world.names(root), [""; 0]);
    assert_eq!(code(&takeover(&mut world, root, CUSTOMER)), "CONVERSATION_ALREADY_ASSIGNED");
    // The bot has it again.
    world.forget(&[a, b, root, bot]);
    world.send(a, "agent:return-to-bot", json!({"conversationId": CUSTOMER, "reason": "resolved"}));
    let heard = world.heard(a);
    let now = world.now.wall.to_string();
    assert_eq!(
        heard[..2],
        [
            (
                "agent:return:acknowledged".to_owned(),
                json!({"conversationId": CUSTOMER, "botEnabled": true, "assignedAgent": null, "returnedAt": now})
            ),
            (
                "bot:resumed".to_owned(),
                json!({"conversationId": CUSTOMER, "reason": "agent_returned", "resumedAt": now})
            ),
        ]
    );
    assert_eq!(heard[2].1["botEnabled"], true);
    for id in [b, root, bot] {
        assert_eq!(world.names(id), ["bot:resumed", "conversation:updated"]);
    }
    let wrong = world.asks(a, "agent:return-to-bot", json!({"conversationId": CUSTOMER, "reason": "x"}));
    assert_eq!(
        wrong["error"],
        json!({"code": "INVALID_EVENT", "message": "Datos inválidos: \"reason\" no es válido",
            "details": {"event": "agent:return-to-bot", "path": "reason"}})
    );
}

#[test]
fn an_admin_may_take_what_is_anothers() {
    let (mut world, a, _, root) = world(Settings::default());
    takeover(&mut world, a, CUSTOMER);
    world.forget(&[a, root]);
    let ack = world.asks(root, "agent:takeover", json!({"conversationId": CUSTOMER, "force": true}));
    assert_eq!(ack["agentId"], "root");
    assert_eq!(world.hears(root, "conversation:assigned")["fromAgent"], "a");
    assert_eq!(world.names(a), ["left:conversation"]);
    let again = world.asks(a, "agent:takeover", json!({"conversationId": CUSTOMER, "force": true}));
    assert_eq!(code(&again), "CONVERSATION_ALREADY_ASSIGNED", "force is for admins");
}

#[test]
fn of_two_at_once_one_wins() {
    let (mut world, a, b, _) = world(Settings::default());
    world.store.hangs = true;
    world.send(a, "agent:takeover", one());
    world.send(b, "agent:takeover", one());
    world.store.hangs = false;
    while world.answer() {}
    assert_eq!(world.hears(a, "agent:takeover:acknowledged")["agentId"], "a");
    assert_eq!(world.all(b, "error")[0]["code"], "CONVERSATION_ALREADY_ASSIGNED");
    assert_eq!(world.conversations()[0].assigned.as_deref(), Some("a"));
}

#[test]
fn who_may_not_is_told_so() {
    let (mut world, a, b, root) = world(Settings::default());
    let (viewer, bot, other) =
        (world.person("v", "viewer"), world.person("r2", "bot"), world.of_workspace("w2", "c", "agent", AGENT));
    for id in [viewer, bot, other] {
        assert_eq!(code(&takeover(&mut world, id, CUSTOMER)), "ACCESS_DENIED");
    }
    assert_eq!(code(&takeover(&mut world, a, WEB)), "ACCESS_DENIED", "there is none");
    let resolved = json!({"conversationId": CUSTOMER, "reason": "resolved"});
    let transfer = json!({"conversationId": CUSTOMER, "toAgent": "b"});
    assert_eq!(code(&world.asks(a, "agent:return-to-bot", resolved.clone())), "CONVERSATION_NOT_ASSIGNED");
    assert_eq!(code(&world.asks(a, "agent:transfer", transfer.clone())), "CONVERSATION_NOT_ASSIGNED");
    takeover(&mut world, a, CUSTOMER);
    assert_eq!(code(&world.asks(b, "agent:return-to-bot", resolved.clone())), "ACCESS_DENIED");
    assert_eq!(code(&world.asks(b, "agent:transfer", transfer)), "ACCESS_DENIED");
    for to in ["nobody", "v", "r2", "c", "v@example.com"] {
        let transfer = json!({"conversationId": CUSTOMER, "toAgent": to});
        assert_eq!(code(&world.asks(a, "agent:transfer", transfer)), "AGENT_NOT_FOUND", "{to}");
    }
    for (event, payload, why) in [
        ("agent:takeover", json!({}), "\"conversationId\" es obligatorio"),
        ("agent:takeover", json!({"conversationId": CUSTOMER, "reason": 1}), "\"reason\" no es válido"),
        (
            "agent:takeover",
            json!({"conversationId": CUSTOMER, "reason": "x".repeat(501)}),
            "\"reason\" es demasiado largo",
        ),
        ("agent:takeover", json!({"conversationId": CUSTOMER, "force": "yes"}), "\"force\" no es válido"),
        ("agent:return-to-bot", one(), "\"reason\" es obligatorio"),
        ("agent:transfer", one(), "\"toAgent\" es obligatorio"),
        ("agent:transfer", json!({"conversationId": CUSTOMER, "toAgent": "b", "note": []}), "\"note\" no es válido"),
        ("escalation:start", json!({"conversationId": CUSTOMER, "reason": "x"}), "\"reason\" no es válido"),
        ("escalation:accept", json!({}), "\"id\" es obligatorio"),
        ("escalation:reject", json!({"id": "e", "reason": {}}), "\"reason\" no es válido"),
    ] {
        let error = &world.asks(a, event, payload)["error"];
        assert_eq!(error["message"], format!("Datos inválidos: {why}"), "{event}");
    }
    assert_eq!(world.asks(root, "agent:return-to-bot", resolved)["ok"], true, "an admin may");
}

#[test]
fn a_transfer_goes_on_with_its_note() {
    let (mut world, a, b, root) = world(Settings::default());
    let (c, bot) = (world.person("c", "agent"), world.person("r2", "bot"));
    takeover(&mut world, a, CUSTOMER);
    world.pass(100);
    world.forget(&[a, b, c, root, bot]);
    let transfer = json!({"conversationId": CUSTOMER, "toAgent": "B@example.com", "note": "Quiere factura"});
    world.send(a, "agent:transfer", transfer);
    let now = world.now.wall.to_string();
    let acknowledged = json!({"conversationId": CUSTOMER, "fromAgent": "a", "toAgent": "b", "transferredAt": now});
    let heard = world.heard(a);
    assert_eq!(heard[0], ("agent:transfer:acknowledged".to_owned(), acknowledged));
    assert_eq!((heard.len(), &*heard[1].0), (2, "left:conversation"));
    let heard = world.heard(b);
    assert_eq!(
        heard.iter().map(|(name, _)| &**name).collect::<Vec<_>>(),
        ["conversation:assigned", "message:new", "conversation:updated"]
    );
    let (assigned, note, updated) = (&heard[0].1, &heard[1].1, &heard[2].1);
    assert_eq!((&assigned["fromAgent"], &assigned["reason"]), (&json!("a"), &json!("transfer")));
    assert_eq!(
        (&note["type"], &note["direction"], &note["text"], &note["seq"]),
        (&json!("note"), &json!("internal"), &json!("Quiere factura"), &json!(2))
    );
    assert_eq!(updated["messageCount"], 2);
    assert_eq!((world.names(c), world.names(bot)), (vec![], vec![]), "it was not theirs before");
    world.says(b, CUSTOMER, "Ahora mismo");
    assert_eq!(world.hears(b, "message:sent")["seq"], 3);
    let stored = world.messages();
    assert_eq!((stored.len(), stored[1].text.as_deref()), (3, Some("Quiere factura")));
    // To the one who has it: nothing happens.
    world.forget(&[b, root]);
    let again = world.asks(b, "agent:transfer", json!({"conversationId": CUSTOMER, "toAgent": "b"}));
    assert_eq!((&again["fromAgent"], &again["toAgent"]), (&json!("b"), &json!("b")));
    assert_eq!(world.names(root), [""; 0]);
}

#[test]
fn an_agent_has_a_capacity_and_an_admin_has_none() {
    let settings = Settings { agent_conversations_max: 2, ..Settings::default() };
    let (mut world, a, _, root) = world(settings);
    let all: Vec<String> = (0..4).map(|n| format!("conv_{n}")).collect();
    for id in &all {
        world.says(root, id, "Hola");
    }
    // Two that are on their way count as well.
    world.store.hangs = true;
    for id in &all[..3] {
        world.send(a, "agent:takeover", json!({"conversationId": id}));
    }
    world.store.hangs = false;
    while world.answer() {}
    let error = world.all(a, "error").remove(0);
    assert_eq!(
        error,
        json!({"code": "AGENT_NOT_AVAILABLE", "message": "El agente no está disponible",
            "details": {"active": 2, "capacity": 2}})
    );
    assert_eq!(code(&takeover(&mut world, a, CUSTOMER)), "AGENT_NOT_AVAILABLE");
    for id in &all[2..] {
        assert_eq!(takeover(&mut world, root, id)["ok"], true);
    }
    assert_eq!(takeover(&mut world, root, CUSTOMER)["ok"], true);
    let to_a = json!({"conversationId": CUSTOMER, "toAgent": "a"});
    assert_eq!(code(&world.asks(root, "agent:transfer", to_a)), "AGENT_NOT_AVAILABLE");
    // One that is closed is not active, and a restart counts anew.
    world.closes("a", &all[0]);
    world.restart();
    let (a, root) = (world.person("a", "agent"), world.person("root", "admin"));
    let to_a = json!({"conversationId": CUSTOMER, "toAgent": "a"});
    assert_eq!(world.asks(root, "agent:transfer", to_a)["toAgent"], "a");
    assert_eq!(code(&takeover(&mut world, a, &all[0])), "AGENT_NOT_AVAILABLE", "to open it again is one more");
    let to_b = json!({"conversationId": all[1], "toAgent": "b"});
    assert_eq!(world.asks(a, "agent:transfer", to_b)["toAgent"], "b", "who is not here, but was");
    assert_eq!(takeover(&mut world, a, &all[0])["ok"], true);
    assert_eq!(world.all(a, "conversation:updated").pop().unwrap()["status"], "open");
    assert_eq!(world.count("SELECT count(*) AS count FROM ut_conversations WHERE assigned = 'a'"), 2);
}

#[test]
fn what_does_not_come_to_the_disk_has_not_happened() {
    let settings = Settings { agent_conversations_max: 1, ..Settings::default() };
    let (mut world, a, b, root) = world(settings);
    let before = world.conversations();
    world.store.down = true;
    for (event, payload) in
        [("agent:takeover", one()), ("escalation:start", one()), ("escalation:accept", json!({"id": "escalation_x"}))]
    {
        assert_eq!(code(&world.asks(a, event, payload)), "DATABASE_ERROR", "{event}");
    }
    world.store.down = false;
    assert_eq!((world.names(b), world.names(root)), (vec![], vec![]));
    assert_eq!(world.conversations(), before);
    assert_eq!(takeover(&mut world, a, CUSTOMER)["ok"], true, "nothing was counted");
    let before = world.conversations();
    world.forget(&[a, b, root]);
    world.store.down = true;
    for (event, payload) in [
        ("agent:return-to-bot", json!({"conversationId": CUSTOMER, "reason": "manual"})),
        ("agent:transfer", json!({"conversationId": CUSTOMER, "toAgent": "b", "note": "n"})),
    ] {
        assert_eq!(code(&world.asks(a, event, payload)), "DATABASE_ERROR", "{event}");
    }
    world.store.down = false;
    assert_eq!((world.names(b), world.names(root), world.messages().len()), (vec![], vec![], 1));
    assert_eq!(world.conversations(), before);
}

#[test]
fn a_closed_conversation_begins_anew_with_its_customer() {
    let (mut world, a, _, _) = world(Settings::default());
    takeover(&mut world, a, CUSTOMER);
    world.closes("a", CUSTOMER);
    world.customer_says(CUSTOMER, "Otra cosa");
    let row = &world.conversations()[0];
    assert_eq!((row.assigned.as_deref(), row.bot_enabled, row.status.word()), (None, true, "open"));
    assert_eq!(row.unanswered_at, Some(world.now.wall));
    let at_admin = world.of_workspace("w1", "root", "admin", ADMIN);
    assert_eq!(takeover(&mut world, at_admin, CUSTOMER)["ok"], true);
}
