//! Escalations: by hand, by a word, by a timer; accepted, rejected, over.

use serde_json::{Value, json};

use super::world::{AGENT, CUSTOMER, World};
use crate::app::settings::Word;
use crate::apps::utalk::settings::Settings;
use crate::testing::Id;

fn world(settings: Settings) -> (World, [Id; 4]) {
    let mut world = World::with(settings);
    let ids =
        [("a", "agent"), ("b", "agent"), ("c", "agent"), ("root", "admin")].map(|(it, role)| world.person(it, role));
    world.customer_says(CUSTOMER, "Hola");
    world.pass(100);
    world.forget(&ids);
    (world, ids)
}

fn start(world: &mut World, id: Id, more: Value) -> Value {
    let mut payload = json!({"conversationId": CUSTOMER});
    payload.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    world.asks(id, "escalation:start", payload)
}

fn accept(world: &mut World, id: Id, escalation: &Value) -> Value {
    world.asks(id, "escalation:accept", json!({"id": escalation}))
}

fn code(answer: &Value) -> &str {
    answer["error"]["code"].as_str().unwrap_or("none")
}

fn stages(world: &World) -> Vec<String> {
    let rows = world.escalations();
    rows.iter().map(|row| row.stage.word().to_owned()).collect()
}

#[test]
fn one_begins_and_is_accepted_in_order() {
    let (mut world, [a, b, c, root]) = world(Settings::default());
    let at_work = world.of_workspace("w1", "b", "agent", AGENT);
    world.pass(100);
    world.asks(a, "agent:takeover", json!({"conversationId": CUSTOMER}));
    world.forget(&[a, b, c, root, at_work]);
    let ack = start(&mut world, a, json!({"toAgent": "b@example.com", "notes": "Enfadado"}));
    let id = ack["id"].clone();
    let now = world.now.wall.to_string();
    let started = json!({"id": id, "conversationId": CUSTOMER, "reason": "manual", "fromAgent": "a", "toAgent": "b",
        "status": "pending", "createdAt": now});
    assert!(id.as_str().unwrap().starts_with("escalation_"));
    let heard = world.heard(a);
    assert_eq!(heard[0], ("escalation:started".to_owned(), started.clone()));
    assert_eq!((heard.len(), &heard[1].1["status"]), (2, &json!("escalated")));
    for told in [b, at_work, root] {
        assert_eq!(world.heard(told)[0], ("escalation:started".to_owned(), started.clone()));
    }
    assert_eq!(world.names(c), [""; 0]);
    // While it is pending, it is the answer, and nobody else hears of it.
    assert_eq!(start(&mut world, a, json!({"reason": "intent"}))["id"], id);
    assert_eq!(world.names(b), [""; 0]);
    assert_eq!(code(&accept(&mut world, c, &id)), "ACCESS_DENIED");
    world.forget(&[a, b, c, root, at_work]);
    let ack = accept(&mut world, b, &id);
    let now = world.now.wall.to_string();
    let accepted = json!({"id": id, "conversationId": CUSTOMER, "status": "accepted", "acceptedAt": now});
    assert_eq!(ack["status"], "accepted");
    let heard = world.heard(b);
    assert_eq!(
        heard.iter().map(|(name, _)| &**name).collect::<Vec<_>>(),
        ["escalation:accepted", "conversation:assigned", "conversation:updated"]
    );
    assert_eq!(heard[0].1, accepted);
    assert_eq!((&heard[1].1["fromAgent"], &heard[1].1["reason"]), (&json!("a"), &json!("escalation")));
    assert_eq!((&heard[2].1["status"], &heard[2].1["botEnabled"]), (&json!("open"), &json!(false)));
    assert_eq!(world.names(at_work), ["escalation:accepted", "conversation:assigned"]);
    assert_eq!(world.names(root), ["escalation:accepted", "conversation:assigned", "conversation:updated"]);
    assert_eq!(world.names(a), ["left:conversation"]);
    for late in [b, root] {
        assert_eq!(code(&accept(&mut world, late, &id)), "ESCALATION_NOT_PENDING");
    }
    assert_eq!(code(&world.asks(b, "escalation:reject", json!({"id": id}))), "ESCALATION_NOT_PENDING");
    let row = &world.escalations()[0];
    assert_eq!((row.notes.as_deref(), row.stage.word()), (Some("Enfadado"), "accepted"));
    world.send(b, "agent:return-to-bot", json!({"conversationId": CUSTOMER, "reason": "resolved"}));
    assert_eq!(stages(&world), ["completed"]);
}

#[test]
fn of_two_who_accept_at_once_one_wins() {
    let (mut world, [a, b, c, _]) = world(Settings::default());
    let id = start(&mut world, a, json!({}))["id"].clone();
    world.forget(&[a, b, c]);
    world.store.hangs = true;
    world.send(b, "escalation:accept", json!({"id": id}));
    world.send(c, "escalation:accept", json!({"id": id}));
    world.store.hangs = false;
    while world.answer() {}
    assert_eq!(world.all(b, "escalation:accepted").len(), 1);
    assert_eq!(world.all(c, "error")[0]["code"], "ESCALATION_NOT_PENDING");
    assert_eq!(world.conversations()[0].assigned.as_deref(), Some("b"));
}

#[test]
fn a_rejected_one_is_offered_to_nobody_and_another_may_begin() {
    let (mut world, [a, b, c, root]) = world(Settings::default());
    world.asks(a, "agent:takeover", json!({"conversationId": CUSTOMER}));
    let id = start(&mut world, a, json!({"toAgent": "b"}))["id"].clone();
    world.forget(&[a, b, c, root]);
    assert_eq!(code(&world.asks(c, "escalation:reject", json!({"id": id}))), "ACCESS_DENIED");
    let reply = world.asks(b, "escalation:reject", json!({"id": id, "reason": "Ocupado"}));
    let now = world.now.wall.to_string();
    assert_eq!(
        (&reply["status"], &reply["rejectedAt"], &reply["conversationId"]),
        (&json!("rejected"), &json!(now), &json!(CUSTOMER))
    );
    assert_eq!(world.names(b), ["escalation:rejected", "left:conversation"]);
    for told in [a, root] {
        assert_eq!(world.names(told), ["escalation:rejected", "conversation:updated"]);
    }
    let row = &world.conversations()[0];
    assert_eq!((row.status.word(), row.assigned.as_deref(), row.offer.as_deref()), ("escalated", Some("a"), None));
    let next = start(&mut world, a, json!({}))["id"].clone();
    assert_ne!(next, id);
    assert_eq!(world.hears(c, "escalation:started")["toAgent"], Value::Null, "to anybody, so c hears of it");
    assert_eq!(stages(&world), ["rejected", "pending"]);
    // A takeover by the one who has it ends it as well.
    world.forget(&[a, root]);
    world.send(a, "agent:takeover", json!({"conversationId": CUSTOMER}));
    assert_eq!(world.names(a), ["agent:takeover:acknowledged", "escalation:accepted", "conversation:updated"]);
    assert_eq!(stages(&world), ["rejected", "accepted"]);
}

#[test]
fn a_close_ends_what_is_pending() {
    let (mut world, [a, b, _, root]) = world(Settings::default());
    let id = start(&mut world, a, json!({"toAgent": "b"}))["id"].clone();
    world.forget(&[a, b, root]);
    world.closes("a", CUSTOMER);
    assert_eq!(world.hears(b, "escalation:rejected")["id"], id);
    assert_eq!(
        (stages(&world), code(&accept(&mut world, b, &id))),
        (vec!["rejected".to_owned()], "ESCALATION_NOT_PENDING")
    );
    assert_eq!(code(&start(&mut world, a, json!({}))), "INVALID_TRANSITION");
}

#[test]
fn who_may_not_is_told_so() {
    let (mut world, [a, _, _, _]) = world(Settings::default());
    let (viewer, bot, other) =
        (world.person("v", "viewer"), world.person("r2", "bot"), world.of_workspace("w2", "x", "admin", AGENT));
    assert_eq!(code(&start(&mut world, viewer, json!({}))), "ACCESS_DENIED");
    assert_eq!(code(&start(&mut world, other, json!({}))), "ACCESS_DENIED");
    assert_eq!(code(&start(&mut world, a, json!({"toAgent": "v"}))), "AGENT_NOT_FOUND");
    let started = start(&mut world, bot, json!({"reason": "intent"}));
    assert_eq!((&started["fromAgent"], &started["reason"]), (&Value::Null, &json!("intent")));
    let id = started["id"].clone();
    for nobody in [viewer, bot] {
        assert_eq!(code(&accept(&mut world, nobody, &id)), "ACCESS_DENIED");
    }
    assert_eq!(code(&accept(&mut world, other, &id)), "ESCALATION_NOT_PENDING", "it does not exist there");
    world.send(bot, "message:send", json!({"messageId": "x", "conversationId": CUSTOMER, "text": "Hola"}));
    assert_eq!(world.hears(bot, "message:error")["error"]["code"], "BOT_DISABLED");
    assert_eq!(accept(&mut world, a, &id)["status"], "accepted");
}

#[test]
fn a_word_of_a_customer_escalates_while_the_bot_has_it() {
    let (mut world, [a, ..]) = world(Settings::default());
    world.customer_says(CUSTOMER, "Tengo un PROBLEMÁ, ¿vale?");
    let names = world.names(a);
    assert_eq!(names, ["message:new", "conversation:updated", "escalation:started", "conversation:updated"]);
    assert_eq!(stages(&world), ["pending"]);
    world.customer_says(CUSTOMER, "¡Urgente!");
    assert_eq!(world.names(a), ["message:new", "conversation:updated"], "no bot has it");
    let row = &world.escalations()[0];
    assert_eq!((row.reason.word(), row.from_agent.as_deref()), ("keyword", None));
}

#[test]
fn a_customer_whom_the_bot_does_not_answer_is_escalated_at_its_time() {
    let settings = Settings { bot_timeout_ms: 5_000, ..Settings::default() };
    let (mut world, [a, _, _, root]) = world(settings);
    let other = "conv_+55_+9";
    world.pass(1_000);
    world.customer_says(other, "Hola");
    world.says(a, CUSTOMER, "¿Sí?");
    world.pass(1_000);
    world.customer_says(CUSTOMER, "Hola");
    world.forget(&[a, root]);
    world.pass(3_999);
    world.hears_nothing(a, "escalation:started");
    world.pass(1);
    let told = world.hears(a, "escalation:started");
    assert_eq!((&told["conversationId"], &told["reason"]), (&json!(other), &json!("timeout")));
    assert_eq!(told["createdAt"], world.now.wall.to_string());
    // The other one comes after a restart, whether somebody is there or not.
    world.restart();
    world.pass(1_000);
    assert_eq!(stages(&world), ["pending", "pending"]);
    let last = &world.escalations()[1];
    assert_eq!((&*last.conversation, last.reason.word()), (CUSTOMER, "timeout"));
}

#[test]
fn a_timer_that_ended_while_nothing_ran_is_due_at_the_start() {
    let settings = Settings { bot_timeout_ms: 86_400_000, ..Settings::default() };
    let (mut world, _) = world(settings);
    world.restart();
    world.now = world.now.plus(86_400_000 - 3_000);
    world.restart();
    assert_eq!(stages(&world), [""; 0]);
    world.pass(2_000);
    assert_eq!(stages(&world), ["pending"]);
    // One that is far ahead is found in time.
    world.pass(100);
    let said = world.now.wall;
    world.customer_says("conv_+77_+9", "Hola");
    world.restart();
    world.pass(86_400_000);
    assert_eq!(stages(&world), ["pending", "pending"]);
    assert_eq!(world.escalations()[1].created_at.0, said.0 + 86_400_000, "at its time");
}

#[test]
fn an_assignee_who_does_not_answer_loses_it_to_whoever_accepts() {
    let settings = Settings { agent_reply_timeout_ms: 5_000, ..Settings::default() };
    let (mut world, [a, b, _, root]) = world(settings);
    world.pass(10_000);
    world.asks(a, "agent:takeover", json!({"conversationId": CUSTOMER}));
    world.forget(&[a, b, root]);
    world.pass(4_999);
    world.hears_nothing(b, "escalation:started");
    world.pass(1);
    let told = world.hears(b, "escalation:started");
    assert_eq!((&told["fromAgent"], &told["toAgent"], &told["reason"]), (&json!("a"), &Value::Null, &json!("timeout")));
    // Rejected, it does not begin again by itself.
    assert_eq!(world.asks(b, "escalation:reject", json!({"id": told["id"]}))["ok"], true);
    world.pass(20_000);
    assert_eq!(stages(&world), ["rejected"]);
}

#[test]
fn a_timer_waits_for_a_store_that_fails() {
    let settings = Settings { bot_timeout_ms: 5_000, ..Settings::default() };
    let (mut world, [a, ..]) = world(settings);
    world.store.down = true;
    world.pass(8_000);
    world.hears_nothing(a, "escalation:started");
    world.store.down = false;
    world.pass(1_100);
    assert_eq!(world.all(a, "escalation:started").len(), 1);
    world.pass(10_000);
    assert_eq!(stages(&world), ["pending"]);
}

#[test]
fn a_word_escalates_in_the_write_of_its_message_and_changes_meanwhile_see_it() {
    let (mut world, [a, _, _, root]) = world(Settings::default());
    let batches = world.store.batches;
    world.customer_says(CUSTOMER, "¡Urgente!");
    assert_eq!((world.store.batches - batches, stages(&world)), (1, vec!["pending".to_owned()]));
    world.asks(a, "agent:takeover", json!({"conversationId": CUSTOMER}));
    world.asks(a, "agent:return-to-bot", json!({"conversationId": CUSTOMER, "reason": "manual"}));
    world.forget(&[a, root]);
    // Nothing has come back of the message when somebody takes the conversation, before whom another change is on its way.
    world.store.hangs = true;
    world.send(root, "conversation:read", json!({"conversationId": CUSTOMER, "messageId": "SM2"}));
    world.customer_says(CUSTOMER, "Es urgente");
    world.send(a, "agent:takeover", json!({"conversationId": CUSTOMER}));
    world.store.hangs = false;
    while world.answer() {}
    assert_eq!(stages(&world), ["completed", "accepted"]);
    let row = &world.conversations()[0];
    assert_eq!((row.assigned.as_deref(), row.offer.as_deref(), row.status.word()), (Some("a"), None, "open"));
    // Neither does a repeat escalate, nor one that fails.
    world.asks(a, "agent:return-to-bot", json!({"conversationId": CUSTOMER, "reason": "manual"}));
    world.store.down = true;
    world.customer_says(CUSTOMER, "urgente");
    world.store.down = false;
    assert_eq!(stages(&world), ["completed", "completed"]);
    world.send(a, "agent:takeover", json!({"conversationId": CUSTOMER}));
    assert_eq!(world.conversations()[0].assigned.as_deref(), Some("a"), "changes go on");
}
