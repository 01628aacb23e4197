//! What somebody has missed, and how far somebody has read.

use serde_json::{Value, json};

use super::world::{APP, CUSTOMER, Id, WEB, World, text_of};
use crate::apps::utalk::settings::Settings;
use crate::base::close::CloseReason;

fn free() -> World {
    let events_per_minute = [("default".to_owned(), 0)].into();
    World::with(Settings { events_per_minute, ..Settings::default() })
}

fn sync(world: &mut World, id: Id, more: Value) -> Value {
    world.heard(id);
    let mut asked = json!({"syncId": "s1"});
    asked.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    world.send(id, "sync:state", asked);
    let reply = world.hears(id, "state:synced");
    assert_eq!(reply["syncId"], "s1");
    reply
}

fn ids(reply: &Value, list: &str) -> Vec<String> {
    let id = |value: &Value| value["messageId"].as_str().or(value["id"].as_str()).unwrap().to_owned();
    reply[list].as_array().unwrap().iter().map(id).collect()
}

#[test]
fn what_was_missed_comes_once_and_is_read_then() {
    let mut world = World::new();
    let (a, b) = (world.person("a", "agent"), world.person("b", "agent"));
    world.says(a, CUSTOMER, "Hola");
    let first = sync(&mut world, a, json!({}));
    assert_eq!((ids(&first, "conversations"), ids(&first, "messages")), (vec![CUSTOMER.to_owned()], vec![]));
    assert_eq!((&first["reset"], &first["hasMore"]), (&json!(false), &json!(false)));
    assert_eq!(
        first["onlineUsers"],
        json!([
            {"userId": "a", "email": "a@example.com", "status": "online", "role": "agent"},
            {"userId": "b", "email": "b@example.com", "status": "online", "role": "agent"},
        ])
    );
    assert_eq!(first["serverTime"], world.now.wall.to_string());
    let server_time = first["serverTime"].clone();
    world.leaves(a, CloseReason::TransportClose);
    world.pass(5_000);
    let missed: Vec<String> = (0..3).map(|n| world.customer_says(CUSTOMER, &n.to_string())).collect();
    let a = world.person("a", "agent");
    let by_cursor = sync(&mut world, a, json!({"cursor": first["cursor"]}));
    let by_time = sync(&mut world, a, json!({"lastSync": server_time}));
    assert_eq!(
        (ids(&by_cursor, "messages"), ids(&by_cursor, "conversations")),
        (missed.clone(), vec![CUSTOMER.to_owned()])
    );
    assert!(ids(&by_time, "messages").ends_with(&missed), "{by_time}");
    assert_eq!(by_cursor["unreadCounts"], json!({CUSTOMER: 3}));
    assert_eq!(by_cursor["conversations"][0]["unreadCount"], 3);
    world.pass(1_000);
    world.send(a, "conversation:read", json!({"conversationId": CUSTOMER, "messageId": missed[2]}));
    let read = sync(&mut world, a, json!({"cursor": by_cursor["cursor"]}));
    assert_eq!(read["unreadCounts"], json!({CUSTOMER: 0}));
    let none = sync(&mut world, a, json!({"cursor": read["cursor"]}));
    assert_eq!((ids(&none, "conversations"), ids(&none, "messages")), (vec![], vec![]));
    let snapshot = sync(&mut world, b, json!({}));
    assert_eq!(snapshot["unreadCounts"], json!({CUSTOMER: 3}), "each reader's own");
}

#[test]
fn a_long_absence_is_three_pages_and_nothing_comes_twice() {
    let mut world = free();
    let (a, b) = (world.person("a", "agent"), world.person("b", "agent"));
    world.says(a, WEB, "Hola");
    let first = sync(&mut world, a, json!({}));
    for n in 0..1_200 {
        let conversation = if n % 3 == 0 { WEB.to_owned() } else { format!("conv_{n}") };
        world.says(b, &conversation, "x");
    }
    let (mut cursor, mut seen, mut met, mut pages) = (first["cursor"].clone(), Vec::new(), Vec::new(), 0);
    loop {
        let page = sync(&mut world, a, json!({"cursor": cursor}));
        pages += 1;
        cursor = page["cursor"].clone();
        seen.extend(ids(&page, "messages"));
        met.extend(ids(&page, "conversations"));
        if page["hasMore"] == false {
            break;
        }
        // What happens meanwhile is for the next chain.
        world.says(b, WEB, "y");
    }
    assert_eq!((pages, seen.len(), met.len()), (3, 1_200, 800));
    let is_once = |list: &mut Vec<String>| {
        list.sort();
        list.dedup();
        list.len()
    };
    assert_eq!((is_once(&mut seen), is_once(&mut met)), (1_200, 800));
    let rest = sync(&mut world, a, json!({"cursor": cursor}));
    assert_eq!((ids(&rest, "messages").len(), ids(&rest, "conversations")), (2, vec![WEB.to_owned()]));
}

#[test]
fn a_snapshot_has_pages_newest_first_without_what_is_closed() {
    let mut world = free();
    let a = world.person("a", "agent");
    for n in 0..7 {
        world.says(a, &format!("conv_{n}"), "x");
    }
    world.closes("a", "conv_3");
    let (mut seen, mut asked) = (Vec::new(), json!({"limit": 2}));
    loop {
        let page = sync(&mut world, a, asked);
        assert!(page["messages"] == json!([]) && page["reset"] == false);
        seen.extend(ids(&page, "conversations"));
        if page["hasMore"] == false {
            break;
        }
        asked = json!({"limit": 2, "cursor": page["cursor"]});
    }
    assert_eq!(seen, ["conv_6", "conv_5", "conv_4", "conv_2", "conv_1", "conv_0"]);
}

#[test]
fn a_cursor_that_is_no_good_is_a_snapshot() {
    let mut world = World::new();
    let (a, b) = (world.person("a", "agent"), world.person("b", "agent"));
    let c = world.of_workspace("w2", "a", "agent", APP);
    world.says(a, WEB, "Hola");
    let of = |world: &mut World, id| sync(world, id, json!({}))["cursor"].clone();
    let (own, other, foreign) = (of(&mut world, a), of(&mut world, b), of(&mut world, c));
    for bad in [other, foreign, json!("garbage"), json!("")] {
        let reply = sync(&mut world, a, json!({"cursor": bad}));
        assert_eq!((&reply["reset"], ids(&reply, "conversations").len()), (&json!(true), 1), "{bad}");
    }
    world.pass(73 * 3_600_000);
    assert_eq!(sync(&mut world, a, json!({"cursor": own}))["reset"], true);
    assert_eq!(sync(&mut world, a, json!({"lastSync": "2025-08-20T10:00:00.000Z"}))["reset"], true);
    let future = sync(&mut world, a, json!({"lastSync": "2099-01-01T00:00:00Z"}));
    assert_eq!((&future["reset"], &future["messages"]), (&json!(false), &json!([])));
    for (bad, message) in [
        (json!({"lastSync": "yesterday"}), "Datos inválidos: \"lastSync\" no es válido"),
        (json!({"limit": 501}), "Datos inválidos: \"limit\" no es válido"),
        (json!({"limit": 0}), "Datos inválidos: \"limit\" no es válido"),
        (json!({"cursor": 7}), "Datos inválidos: \"cursor\" no es válido"),
        (json!({"syncId": null}), "Datos inválidos: \"syncId\" es obligatorio"),
    ] {
        let mut asked = json!({"syncId": "s"});
        asked.as_object_mut().unwrap().extend(bad.as_object().unwrap().clone());
        world.heard(b);
        world.send(b, "sync:state", asked);
        assert_eq!(world.hears_error(b)["message"], message);
    }
}

#[test]
fn what_somebody_may_not_read_is_not_in_its_sync() {
    let mut world = free();
    let (a, b, admin, bot) =
        (world.person("a", "agent"), world.person("b", "agent"), world.person("r", "admin"), world.person("o", "bot"));
    let before = sync(&mut world, b, json!({}))["cursor"].clone();
    world.says(a, WEB, "Hola");
    world.assigns(WEB, "a");
    world.says(a, WEB, "Sigo");
    world.says(a, "conv_other", "Hola");
    world.send(
        a,
        "message:send",
        json!({"messageId": "n", "conversationId": "conv_other", "type": "note", "text": "Ojo"}),
    );
    let missed = sync(&mut world, b, json!({"cursor": before}));
    assert_eq!((ids(&missed, "conversations"), ids(&missed, "messages").len()), (vec!["conv_other".to_owned()], 2));
    let all = |world: &mut World, id| ids(&sync(world, id, json!({})), "conversations").len();
    assert_eq!((all(&mut world, a), all(&mut world, b), all(&mut world, admin), all(&mut world, bot)), (2, 1, 2, 1));
    let of_bot = sync(&mut world, bot, json!({"lastSync": "2025-08-20T10:00:00.000Z"}));
    assert_eq!(ids(&of_bot, "messages").len(), 1, "no notes");
}

#[test]
fn while_the_store_fails_syncs_are_answered_from_memory_and_lose_nothing() {
    let mut world = free();
    let (a, b) = (world.person("a", "agent"), world.person("b", "agent"));
    world.says(b, WEB, "1");
    let first = sync(&mut world, a, json!({}));
    let missed = world.says(b, WEB, "2");
    world.store.down = true;
    let ill = sync(&mut world, a, json!({"cursor": first["cursor"]}));
    assert_eq!((ids(&ill, "messages"), ids(&ill, "conversations")), (vec![missed.clone()], vec![WEB.to_owned()]));
    assert_eq!(ids(&sync(&mut world, a, json!({})), "conversations"), [WEB]);
    world.store.down = false;
    let well = sync(&mut world, a, json!({"cursor": ill["cursor"]}));
    assert_eq!(ids(&well, "messages"), [missed]);
}

#[test]
fn a_horizon_moves_once_and_never_back() {
    let mut world = World::new();
    let (a, b) = (world.person("a", "agent"), world.person("b", "agent"));
    let sids: Vec<String> = (0..3).map(|n| world.customer_says(CUSTOMER, &n.to_string())).collect();
    let ids: Vec<String> = world.messages().iter().map(|message| message.id.to_string()).collect();
    world.send(b, "join:conversation", json!({"conversationId": CUSTOMER}));
    world.forget(&[a, b]);
    let read = |message: &str| json!({"conversationId": CUSTOMER, "messageId": message});
    let ack = world.asks(a, "conversation:read", read(&sids[1]));
    let now = world.now.wall.to_string();
    assert_eq!(ack, json!({"ok": true, "conversationId": CUSTOMER, "messageId": sids[1], "readAt": now}));
    assert_eq!(world.names(a), ["conversation:read:acknowledged", "conversation:updated"]);
    assert_eq!(
        world.hears(b, "message:read"),
        json!({"id": ids[1], "messageId": sids[1], "conversationId": CUSTOMER,
        "status": "read", "readAt": now, "readBy": "a", "ids": [ids[0], ids[1]]})
    );
    assert_eq!(world.hears(b, "conversation:updated")["unreadCount"], 1);
    assert!(world.messages().iter().map(|message| message.read_at.is_some()).eq([true, true, false]));
    // An older one, and the same again, by either id.
    for message in [&sids[0], &sids[1], &ids[1]] {
        assert_eq!(world.asks(a, "conversation:read", read(message))["ok"], true);
        assert_eq!((world.names(a), world.names(b)), (vec!["conversation:read:acknowledged".to_owned()], vec![]));
    }
    world.asks(b, "conversation:read", read(&sids[0]));
    assert_eq!(world.hears(b, "conversation:updated")["unreadCount"], 1, "the furthest of anybody");
    world.hears_nothing(a, "message:read");
    world.restart();
    let a = world.person("a", "agent");
    world.forget(&[a]);
    assert_eq!(world.asks(a, "conversation:read", read(&ids[1]))["ok"], true, "found on disk");
    assert_eq!(world.names(a), ["conversation:read:acknowledged"]);
    world.send(a, "conversation:read", read("nothing"));
    assert_eq!(world.hears_error(a)["code"], "MESSAGE_NOT_FOUND");
    world.send(a, "conversation:read", json!({"conversationId": "conv_none", "messageId": "x"}));
    assert_eq!(world.hears_error(a)["code"], "ACCESS_DENIED");
    assert_eq!(world.count("SELECT count(*) AS count FROM ut_horizons"), 2);
}

#[test]
fn reads_that_come_together_are_one_move_each() {
    let mut world = World::new();
    let (a, b) = (world.person("a", "agent"), world.person("b", "agent"));
    let sid = world.customer_says(CUSTOMER, "Hola");
    world.forget(&[a, b]);
    world.store.hangs = true;
    for id in [a, b, a] {
        world.send(id, "conversation:read", json!({"conversationId": CUSTOMER, "messageId": sid}));
    }
    world.store.hangs = false;
    while world.answer() {}
    assert_eq!(world.all(a, "conversation:read:acknowledged").len(), 2);
    assert_eq!(world.all(a, "conversation:updated").len(), 2, "one move of each reader");
    world.store.down = true;
    let sid = {
        world.store.down = false;
        world.customer_says(CUSTOMER, "¿Hola?")
    };
    world.store.down = true;
    world.forget(&[a]);
    world.send(a, "conversation:read", json!({"conversationId": CUSTOMER, "messageId": sid}));
    assert_eq!(world.hears_error(a)["code"], "DATABASE_ERROR");
    world.store.down = false;
    assert_eq!(world.asks(a, "conversation:read", json!({"conversationId": CUSTOMER, "messageId": sid}))["ok"], true);
}

#[test]
fn access_that_is_lost_is_told_to_all_who_had_it() {
    let mut world = World::new();
    let (a, b, admin) = (world.person("a", "agent"), world.person("b", "agent"), world.person("r", "admin"));
    let at_work = world.of_workspace("w1", "b", "agent", super::world::AGENT);
    world.says(b, CUSTOMER, "Hola");
    world.send(b, "join:conversation", json!({"conversationId": CUSTOMER}));
    world.send(at_work, "join:conversation", json!({"conversationId": CUSTOMER}));
    world.pass(100);
    world.forget(&[a, b, admin, at_work]);
    world.assigns(CUSTOMER, "a");
    let lost = json!({"conversationId": CUSTOMER, "reason": "access_lost"});
    assert_eq!(world.heard(b), [("left:conversation".to_owned(), lost.clone())]);
    assert_eq!(world.heard(at_work), [("left:conversation".to_owned(), lost)]);
    assert_eq!(
        (world.names(admin), world.hears(a, "conversation:updated")["assignedAgent"].clone()),
        (["conversation:assigned", "conversation:updated"].map(String::from).to_vec(), json!("a"))
    );
    world.says(a, CUSTOMER, "Sigo");
    assert_eq!((world.names(b), world.names(at_work)), (vec![], vec![]));
    world.send(b, "message:send", text_of("x", CUSTOMER, "¿?"));
    assert_eq!(world.hears(b, "message:error")["error"]["code"], "ACCESS_DENIED");
    // The assigned agent hears of its customer, wherever it looks.
    world.forget(&[a, admin]);
    world.customer_says(CUSTOMER, "Hola");
    let told = world.hears(a, "notification");
    assert_eq!(
        (&told["title"], &told["message"], &told["data"]),
        (
            &json!("Nuevo mensaje"),
            &json!("Tienes un nuevo mensaje en la conversación"),
            &json!({"conversationId": CUSTOMER})
        )
    );
    world.send(a, "join:conversation", json!({"conversationId": CUSTOMER}));
    world.customer_says(CUSTOMER, "¿Hola?");
    world.hears_nothing(a, "notification");
}
