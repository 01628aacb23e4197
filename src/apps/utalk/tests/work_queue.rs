//! The queue: who waits, who gets whom, and what becomes of the conversations of agents who have gone.

use serde_json::{Value, json};

use super::world::World;
use crate::app::settings::Word;
use crate::apps::utalk::settings::{Assignment, Bot, Settings};
use crate::base::close::CloseReason;
use crate::testing::Id;

fn one_each() -> Settings {
    Settings { assignment: Assignment::Lowest, agent_conversations_max: 1, ..Settings::default() }
}

/// The nth customer's conversation.
fn customer(n: u32) -> String {
    format!("conv_+100{n}_+9")
}

/// Whom conversations are assigned to, in the order of their ids; nobody: `-`.
fn agents(world: &World) -> Vec<String> {
    let of = |row: crate::apps::utalk::conversation::Row| row.assigned.as_deref().unwrap_or("-").to_owned();
    world.conversations().into_iter().map(of).collect()
}

/// The last `queue:updated`: how many wait, and who.
fn queue(world: &mut World, id: Id) -> (u64, Vec<String>) {
    world.pass(100);
    let told = world.all(id, "queue:updated").pop().unwrap_or_else(|| panic!("no queue was told"));
    let listed = told["conversations"].as_array().unwrap();
    for (at, row) in listed.iter().enumerate() {
        assert_eq!(row["position"], at + 1);
        assert!(row["waitingSince"].is_string());
    }
    let id = |row: &Value| row["conversationId"].as_str().unwrap().to_owned();
    (told["waiting"].as_u64().unwrap(), listed.iter().map(id).collect())
}

#[test]
fn acceptance_11_two_agents_have_room_for_two_and_a_close_makes_room_for_the_third() {
    let mut world = World::with(one_each());
    let (a, b, root) = (world.person("a", "agent"), world.person("b", "agent"), world.person("root", "admin"));
    for n in 1..=3 {
        world.customer_says(&customer(n), "Hola");
    }
    assert_eq!(agents(&world), ["a", "b", "-"]);
    for id in [a, b, root] {
        assert_eq!(queue(&mut world, id), (1, vec![customer(3)]));
    }
    assert_eq!(world.metric("utalk_queue_waiting", ""), 1.0);
    world.forget(&[a, b, root]);
    world.closes("a", &customer(1));
    assert_eq!(agents(&world), ["a", "b", "a"]);
    let told = world.hears(a, "conversation:assigned");
    assert_eq!(
        (&told["conversationId"], &told["agentId"], &told["reason"], &told["fromAgent"]),
        (&json!(customer(3)), &json!("a"), &json!("queue"), &Value::Null)
    );
    assert_eq!(
        world.names(b),
        ["queue:updated", "left:conversation"],
        "of the third, which b could read while it was nobody's"
    );
    assert_eq!(queue(&mut world, root), (0, vec![]));
    let row = &world.conversations()[2];
    assert_eq!((row.status.word(), row.bot_enabled), ("open", false));
}

#[test]
fn the_next_agent_has_fewest_or_was_given_one_longest_ago() {
    for (assignment, expected) in
        [(Assignment::Lowest, ["a", "b", "c", "b", "a"]), (Assignment::RoundRobin, ["a", "b", "c", "a", "b"])]
    {
        let mut world = World::with(Settings { assignment, ..Settings::default() });
        for user in ["a", "b", "c"] {
            world.person(user, "agent");
        }
        for n in 1..=3 {
            world.customer_says(&customer(n), "Hola");
        }
        world.closes("b", &customer(2));
        for n in 4..=5 {
            world.customer_says(&customer(n), "Hola");
        }
        assert_eq!(agents(&world), expected, "{assignment:?}");
    }
}

#[test]
fn those_who_are_not_there_or_want_nothing_get_nothing() {
    let mut world = World::with(Settings { bot: Bot::Client, ..one_each() });
    let (root, viewer) = (world.person("root", "admin"), world.person("v", "viewer"));
    let (away, bot) = (world.person("away", "agent"), world.person("bot", "bot"));
    world.send(away, "presence:set", json!({"status": "away"}));
    world.customer_says(&customer(1), "Hola");
    world.customer_says(&customer(2), "Hola");
    assert_eq!(agents(&world), ["-", "-"], "the bot looks after them");
    world.pass(100);
    world.forget(&[root, viewer, away, bot]);
    world.send(bot, "escalation:start", json!({"conversationId": customer(2), "reason": "intent"}));
    assert_eq!(queue(&mut world, viewer), (1, vec![customer(2)]));
    world.hears_nothing(bot, "queue:updated");
    assert_eq!(agents(&world), ["-", "-"], "nobody is there for it");
    world.send(away, "presence:set", json!({"status": "online"}));
    assert_eq!(agents(&world), ["-", "away"]);
    assert_eq!(world.all(away, "conversation:assigned").len(), 1);
    // The escalation has been accepted by that.
    let stages = "SELECT count(*) AS count FROM ut_escalations WHERE status = 'accepted' AND decided_by = 'away'";
    assert_eq!(world.count(stages), 1);
}

#[test]
fn without_a_queue_nobody_is_told_of_one() {
    let mut world = World::new();
    let a = world.person("a", "agent");
    world.customer_says(&customer(1), "Hola");
    world.pass(1_000);
    assert_eq!(agents(&world), ["-"]);
    world.hears_nothing(a, "queue:updated");
}

#[test]
fn what_an_agent_who_has_gone_has_not_answered_goes_to_the_head() {
    let mut world = World::with(Settings { agent_conversations_max: 2, ..one_each() });
    let (a, root) = (world.person("a", "agent"), world.person("root", "admin"));
    for n in 1..=2 {
        world.customer_says(&customer(n), "Hola");
    }
    world.says(a, &customer(1), "¿Sí?");
    world.customer_says(&customer(3), "Hola");
    assert_eq!(agents(&world), ["a", "a", "-"]);
    world.pass(100);
    world.customer_says(&customer(2), "¿Hola?");
    world.forget(&[root]);
    world.leaves(a, CloseReason::TransportClose);
    // One who is back in time keeps all.
    world.pass(50_000);
    let a = world.person("a", "agent");
    world.pass(20_000);
    assert_eq!(agents(&world), ["a", "a", "-"]);
    world.leaves(a, CloseReason::TransportClose);
    world.pass(59_900);
    assert_eq!(agents(&world), ["a", "a", "-"]);
    world.pass(200);
    assert_eq!(agents(&world), ["a", "-", "-"], "the first was answered");
    assert_eq!(queue(&mut world, root), (2, vec![customer(2), customer(3)]));
    // The same after a restart; and somebody comes.
    world.restart();
    let b = world.person("b", "agent");
    world.pass(100);
    assert_eq!(agents(&world), ["a", "b", "b"]);
    let first = world.all(b, "conversation:assigned").remove(0);
    assert_eq!(first["conversationId"], customer(2));
}

#[test]
fn a_restart_knows_who_waits_and_who_has_not_come_back() {
    let mut world = World::with(one_each());
    world.person("a", "agent");
    for n in 1..=2 {
        world.customer_says(&customer(n), "Hola");
    }
    assert_eq!(agents(&world), ["a", "-"]);
    world.restart();
    let root = world.person("root", "admin");
    assert_eq!(queue(&mut world, root), (1, vec![customer(2)]));
    world.pass(60_000);
    assert_eq!(queue(&mut world, root), (2, vec![customer(1), customer(2)]));
    world.person("b", "agent");
    assert_eq!(agents(&world), ["b", "-"]);
}

#[test]
fn a_store_that_fails_delays_and_loses_nothing() {
    let mut world = World::with(one_each());
    let (a, root) = (world.person("a", "agent"), world.person("root", "admin"));
    world.send(a, "presence:set", json!({"status": "busy"}));
    for n in 1..=2 {
        world.customer_says(&customer(n), "Hola");
    }
    world.store.hangs = true;
    world.send(a, "presence:set", json!({"status": "online"}));
    world.answer();
    world.store.hangs = false;
    world.store.down = true;
    while world.answer() {}
    world.pass(1_500);
    assert_eq!(agents(&world), ["-", "-"]);
    assert_eq!(queue(&mut world, root), (2, vec![customer(1), customer(2)]));
    world.store.down = false;
    world.pass(1_000);
    assert_eq!(agents(&world), ["a", "-"]);
    assert_eq!(world.all(a, "conversation:assigned").len(), 1);
}

#[test]
fn somebody_may_be_quicker_than_the_queue() {
    let mut world = World::with(one_each());
    let (a, root) = (world.person("a", "agent"), world.person("root", "admin"));
    world.send(a, "presence:set", json!({"status": "busy"}));
    for n in 1..=2 {
        world.customer_says(&customer(n), "Hola");
    }
    world.store.hangs = true;
    world.send(root, "agent:takeover", json!({"conversationId": customer(1)}));
    world.send(a, "presence:set", json!({"status": "online"}));
    world.store.hangs = false;
    while world.answer() {}
    assert_eq!(agents(&world), ["root", "a"]);
    assert_eq!(queue(&mut world, root), (0, vec![]));
}
