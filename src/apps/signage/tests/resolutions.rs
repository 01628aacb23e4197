//! SIGNAGE 9, resolution by resolution, and what development mode and the legacy client add.

use std::sync::Arc;

use serde_json::{Value, json};

use super::acceptance::full_state;
use super::world::{Id, World, by_fleet_token, fleet_world, of_tenant};
use crate::app::AuthFailure;
use crate::app::identity::{Claims, Identity};
use crate::apps::signage::settings::Settings;
use crate::base::close::CloseReason;

/// A person in development mode.
fn dev(token: &str) -> Result<Arc<Identity>, AuthFailure> {
    Ok(Arc::new(Claims { sub: token.into(), role: "*".into(), ..Claims::default() }.into()))
}

#[test]
fn r01_direction_is_decided_by_role_and_the_request_has_aliases() {
    let mut world = World::new();
    let p1 = world.player("p1", "g1");
    let admin = world.admin();
    for name in ["player:command", "command", "admin:command", "command:send"] {
        world.send(admin, name, json!({"deviceId": "p1", "command": "vlc:stop"}));
        world.hears(admin, "command:accepted");
        world.hears(p1, "player:command");
    }
    for name in ["player:state", "player:register", "player:command:response", "heartbeat"] {
        let ack = world.asks(admin, name, json!({"deviceId": "p1"}));
        assert_eq!(ack["error"]["code"], "FORBIDDEN", "{name}");
        assert_eq!(world.hears(admin, "player:error")["event"], name);
    }
}

#[test]
fn r02_people_see_their_groups_and_are_subscribed_to_them() {
    let mut world = World::new();
    let (p1, p2) = (world.player("p1", "g1"), world.player("p2", "g2"));
    let operator = world.person("operator", &["g2"]);
    let nobody = world.person("viewer", &[]);
    let list = world.hears(operator, "devices:list");
    assert_eq!(list["devices"].as_array().unwrap().len(), 1);
    let shown = &list["devices"][0];
    for (key, value) in [("deviceId", "p2"), ("deviceName", "Lobby"), ("ip", "10.0.0.4"), ("status", "online")] {
        assert_eq!(shown[key], value);
    }
    assert_eq!(world.hears(nobody, "devices:list")["devices"], json!([]));
    world.send(p1, "player:state", full_state(1));
    world.send(p2, "player:state", full_state(2));
    assert_eq!(world.hears(operator, "state:updated")["deviceId"], "p2");
    for (name, payload) in [
        ("device:state", json!({"deviceId": "p1"})),
        ("device:history", json!({"deviceId": "p1"})),
        ("device:snapshot", json!({"deviceId": "p1"})),
        ("device:subscribe", json!({"deviceId": "p1"})),
        ("device:subscribe", json!({"group": "g1"})),
        ("device:revoke", json!({"deviceId": "p2"})),
        ("audit:subscribe", json!({})),
    ] {
        assert_eq!(world.asks(operator, name, payload)["error"]["code"], "FORBIDDEN", "{name}");
    }
    world.pass(5_000);
    assert_eq!(world.hears(operator, "devices:stats")["total"], 1);
    assert_eq!(world.hears(nobody, "devices:stats")["total"], 0);
    world.hears_nothing(nobody, "state:updated");
    world.leaves(p1, CloseReason::TransportClose);
    world.hears_nothing(operator, "device:disconnected");
}

#[test]
fn r02_subscribing_at_connect_can_be_switched_off() {
    let mut world = World::with(Settings { subscribe_on_connect: false, ..Settings::default() });
    let p1 = world.player("p1", "g1");
    let admin = world.admin();
    world.send(p1, "player:state", full_state(1));
    world.hears_nothing(admin, "devices:list");
    world.hears_nothing(admin, "state:updated");
    assert_eq!(world.asks(admin, "device:subscribe", json!({"group": "g1"}))["mode"], "diff");
    assert_eq!(world.hears(admin, "state:updated")["full"], true);
    world.pass(500);
    world.send(p1, "player:state", full_state(2));
    assert_eq!(world.hears(admin, "state:updated")["full"], false);
    world.send(admin, "device:unsubscribe", json!({"group": "g1"}));
    world.pass(500);
    world.send(p1, "player:state", full_state(3));
    world.hears_nothing(admin, "state:updated");
}

#[test]
fn r05_a_command_waits_for_its_device_if_it_may_be_repeated() {
    let mut world = World::new();
    let p1 = world.player("p1", "g1");
    let p2 = world.player("p2", "g1");
    let admin = world.admin();
    for (id, command) in [("play", "vlc:play"), ("pause", "vlc:pause")] {
        world.send(admin, "player:command", json!({"deviceId": "p1", "command": command, "commandId": id}));
    }
    world.leaves(p1, CloseReason::TransportError);
    world.pass(1_000);
    let back = world.device("p1", "token-p1");
    world.send(back, "player:register", json!({"deviceId": "p1"}));
    assert_eq!(world.hears(back, "player:registered")["pendingCommands"], 2);
    assert_eq!(world.hears(back, "player:command")["commandId"], "play");
    for (from, id, why) in [(p2, "play", "foreign"), (back, "nonsense", "unknown")] {
        let ack = world.asks(from, "player:command:response", json!({"commandId": id, "status": "success"}));
        assert_eq!(ack["ignored"], why);
    }
    world.send(back, "player:command:response", json!({"commandId": "play", "status": "success"}));
    let response = world.hears(admin, "command:response");
    assert_eq!((&response["commandId"], &response["attempts"]), (&json!("play"), &json!(2)));
    world.pass(5_000);
    assert_eq!(world.hears(admin, "command:response")["commandId"], "pause");
    assert_eq!(world.disk().commands[&("play".to_owned(), "p1".to_owned())].status, "success");
    assert_eq!(world.disk().commands[&("pause".to_owned(), "p1".to_owned())].status, "timeout");
}

#[test]
fn r05_the_same_command_id_is_one_command() {
    let mut world = World::new();
    let p1 = world.player("p1", "g1");
    let (admin, other) = (world.admin(), world.admin());
    let ask = json!({"deviceId": "p1", "command": "vlc:pause", "commandId": "c"});
    world.send(admin, "player:command", ask.clone());
    world.send(admin, "player:command", ask.clone());
    world.hears(p1, "player:command");
    assert_eq!(world.asks(other, "player:command", ask.clone())["error"]["code"], "VALIDATION");
    world.send(p1, "player:command:response", json!({"commandId": "c", "status": "success", "result": 5}));
    assert_eq!(world.hears(admin, "command:response")["result"], 5);
    world.send(admin, "player:command", ask);
    assert_eq!(world.hears(admin, "command:response")["result"], 5, "the first answer again");
    world.hears_nothing(p1, "player:command");
}

#[test]
fn r05_who_asked_last_is_answered() {
    let mut world = fleet_world();
    let p1 = by_fleet_token(&mut world, json!({"deviceId": "p1"}));
    world.send(p1, "player:register", json!({"deviceId": "p1"}));
    let before = world.connect(of_tenant("default", "admin", None), json!({}), "");
    let ask = json!({"deviceId": "p1", "command": "vlc:pause", "commandId": "c"});
    world.send(before, "player:command", ask.clone());
    world.leaves(before, CloseReason::TransportClose);
    let after = world.connect(of_tenant("default", "admin", None), json!({}), "");
    world.send(after, "player:command", ask);
    world.hears(p1, "player:command");
    world.send(p1, "player:command:response", json!({"commandId": "c", "status": "success"}));
    assert_eq!(world.hears(after, "command:response")["status"], "success");
}

#[test]
fn r06_a_subscription_may_change_its_mode() {
    let mut world = World::new();
    let p1 = world.player("p1", "g1");
    let admin = world.admin();
    world.send(p1, "player:state", full_state(0));
    world.send(admin, "device:subscribe", json!({"deviceId": "*", "mode": "full"}));
    world.heard(admin);
    world.pass(500);
    world.send(p1, "player:state", full_state(1));
    assert_eq!(world.hears(admin, "state:updated")["full"], true);
    world.send(admin, "device:subscribe", json!("*"));
    world.heard(admin);
    world.pass(500);
    world.send(p1, "player:state", full_state(2));
    assert_eq!(world.hears(admin, "state:updated")["full"], false);
    world.encodings.clear();
    world.leaves(admin, CloseReason::TransportClose);
    world.pass(500);
    world.send(p1, "player:state", full_state(3));
    assert!(world.encodings.is_empty(), "nothing is encoded for nobody");
}

#[test]
fn statistics_come_at_their_pace_whoever_comes_and_goes() {
    let mut world = World::new();
    world.player("p1", "g1");
    for _ in 0..5 {
        let passing = world.admin();
        world.pass(100);
        world.leaves(passing, CloseReason::TransportClose);
    }
    let admin = world.admin();
    world.pass(20_000);
    let stats = world.all(admin, "devices:stats");
    assert_eq!(stats.len(), 4);
    assert_eq!((&stats[0]["total"], &stats[0]["online"]), (&json!(1), &json!(1)));
}

#[test]
fn r06_states_are_coalesced_and_the_last_wins() {
    let mut world = World::new();
    let p1 = world.player("p1", "g1");
    let admin = world.admin();
    for time in 0..10 {
        world.send(p1, "player:state", full_state(time));
        world.pass(10);
    }
    assert_eq!(world.all(admin, "state:updated").len(), 1);
    world.pass(400);
    assert_eq!(world.hears(admin, "state:updated")["changes"], json!({"vlc":{"time":9}}));
    world.pass(10);
    world.send(p1, "player:state", json!({"vlc": {"state": "paused"}}));
    assert_eq!(world.hears(admin, "state:updated")["changes"], json!({"vlc":{"state":"paused"}}), "at once");
    world.pass(1_000);
    world.send(p1, "player:state", json!({"timestamp": "2025-08-20T11:00:00.000Z"}));
    world.pass(1_000);
    world.hears_nothing(admin, "state:updated");
    world.send(p1, "player:state", json!({"vlc": {"time": null}}));
    let changes = world.hears(admin, "state:updated")["changes"].clone();
    assert_eq!(changes, json!({"timestamp":"2025-08-20T11:00:00.000Z","vlc":{"time":null}}));
    assert_eq!(world.metric("sg_state_updates_total", ""), 4.0);
    assert!(world.metric("sg_state_bytes_saved_total", "") > 100.0);
    let history = world.asks(admin, "device:history", json!({"deviceId": "p1", "limit": 500}));
    assert_eq!(history["changes"].as_array().unwrap().len(), 4, "one row per revision");
    assert_eq!(world.hears(admin, "device:history")["changes"][1]["changes"], json!({"vlc":{"time":9}}));
}

#[test]
fn r06_one_encoding_serves_all_who_have_the_state_before() {
    let mut world = World::new();
    let p1 = world.player("p1", "g1");
    world.send(p1, "player:state", full_state(0));
    let admins: Vec<Id> = (0..20).map(|_| world.admin()).collect();
    let whole = world.admin();
    world.send(whole, "device:subscribe", json!({"deviceId": "p1", "mode": "full"}));
    for admin in &admins {
        assert_eq!(world.hears(*admin, "state:updated")["full"], true);
    }
    world.heard(whole);
    world.encodings.clear();
    world.pass(500);
    world.send(p1, "player:state", full_state(1));
    assert_eq!(world.encodings, ["state:updated", "state:updated"]);
    for admin in admins {
        assert_eq!(world.hears(admin, "state:updated")["full"], false);
    }
    let told = world.hears(whole, "state:updated");
    assert_eq!((&told["full"], &told["state"]), (&json!(true), &full_state(1)), "never both kinds");
    let gap = world.asks(whole, "device:state", json!({"deviceId": "p1"}));
    assert_eq!((&gap["state"], &gap["rev"]), (&full_state(1), &told["rev"]));
    assert_eq!(world.hears(whole, "state:updated")["full"], true);
}

#[test]
fn r06_a_slow_admin_gets_the_whole_state_when_it_has_drained() {
    let mut world = World::new();
    let p1 = world.player("p1", "g1");
    let admin = world.admin();
    world.send(p1, "player:state", full_state(0));
    world.hears(admin, "state:updated");
    world.slow(admin, true);
    for time in 1..4 {
        world.pass(500);
        world.send(p1, "player:state", full_state(time));
    }
    world.hears_nothing(admin, "state:updated");
    world.slow(admin, false);
    let full = world.hears(admin, "state:updated");
    assert_eq!((&full["full"], &full["state"]), (&json!(true), &full_state(3)));
    world.pass(500);
    world.send(p1, "player:state", full_state(4));
    assert_eq!(world.hears(admin, "state:updated")["rev"].as_u64(), full["rev"].as_u64().map(|rev| rev + 1));
}

#[test]
fn r06_a_move_to_another_group_brings_the_state_to_its_watchers() {
    let mut world = World::new();
    let p1 = world.player("p1", "g1");
    world.send(p1, "player:state", full_state(0));
    let (one, two) = (world.person("viewer", &["g1"]), world.person("viewer", &["g2"]));
    world.send(one, "device:subscribe", json!({"deviceId": "p1"}));
    world.heard(one);
    world.send(p1, "player:register", json!({"deviceId": "p1", "deviceGroup": "g2"}));
    assert_eq!(world.hears(two, "state:updated")["full"], true);
    assert_eq!(world.hears(two, "device:updated")["deviceGroup"], "g2");
    world.pass(500);
    world.send(p1, "player:state", full_state(1));
    assert_eq!(world.hears(two, "state:updated")["full"], false);
    world.hears_nothing(one, "state:updated");
}

#[test]
fn r07_flapping_raises_one_alert_that_ends() {
    let mut world = World::new();
    world.player("p1", "g1");
    let admin = world.admin();
    for _ in 0..5 {
        world.player("p1", "g1");
    }
    world.hears_nothing(admin, "device:alert");
    for _ in 0..5 {
        world.player("p1", "g1");
    }
    assert_eq!(world.hears(admin, "device:alert")["kind"], "duplicate_device");
    assert_eq!(world.alerts, ["duplicate_device"]);
    world.pass(61_000);
    assert!(world.hears(admin, "device:alert")["resolved"].is_string());
    world.hears_nothing(admin, "device:disconnected");
}

#[test]
fn r07_what_a_replaced_socket_left_unanswered_is_pending() {
    let mut world = World::new();
    let old = world.player("p1", "g1");
    let admin = world.admin();
    world.send(admin, "player:command", json!({"deviceId": "p1", "command": "vlc:play", "commandId": "play"}));
    assert_eq!(world.hears(old, "player:command")["commandId"], "play");
    let new = world.device("p1", "token-p1");
    let ack = world.asks(new, "player:register", json!({"deviceId": "p1"}));
    let mut told = world.hears(new, "player:registered");
    assert_eq!(told["pendingCommands"], 1);
    assert_eq!(world.hears(new, "player:command")["commandId"], "play");
    told["ok"] = json!(true);
    assert_eq!(ack, told, "the ack is the reply");
}

#[test]
fn r07_what_a_replaced_socket_still_says_is_nobodys() {
    let mut world = World::new();
    let old = world.player("p1", "g1");
    world.lingering = true;
    let new = world.player("p1", "g1");
    world.send(old, "player:state", full_state(9));
    world.send(old, "player:register", json!({"deviceId": "p1"}));
    world.leaves(old, CloseReason::TransportClose);
    assert!(world.is_open(new));
    world.hears_nothing(new, "player:replaced");
    let admin = world.admin();
    world.hears_nothing(admin, "state:updated");
}

#[test]
fn r08_state_before_registration_registers_where_the_handshake_named_the_device() {
    let mut world = fleet_world();
    let admin = world.admin();
    let named = by_fleet_token(&mut world, json!({"deviceId": "p1", "deviceName": "Hall", "deviceGroup": "g1"}));
    world.send(named, "player:state", full_state(1));
    world.hears(named, "player:registered");
    assert_eq!(world.hears(admin, "device:connected")["deviceName"], "Hall");
    assert_eq!(world.hears(admin, "state:updated")["deviceId"], "p1");
    let nameless = by_fleet_token(&mut world, json!({}));
    for (name, payload) in
        [("player:state", full_state(1)), ("player:command:response", json!({"commandId": "c", "status": "success"}))]
    {
        world.send(nameless, name, payload);
        assert_eq!(world.hears(nameless, "player:error")["code"], "NOT_REGISTERED");
    }
    world.send(nameless, "player:register", json!({"deviceId": "p2"}));
    world.hears(nameless, "player:registered");
    world.send(nameless, "player:register", json!({"deviceId": "p3"}));
    assert_eq!(world.hears(nameless, "player:error")["code"], "DEVICE_ID_MISMATCH");
}

#[test]
fn r09_a_foreign_device_id_in_a_state_is_a_failed_attempt() {
    let mut world = World::new();
    let p1 = world.player("p1", "g1");
    world.player("p2", "g1");
    let mut state = full_state(1);
    state["deviceId"] = json!("p2");
    world.send(p1, "player:state", state);
    assert_eq!(world.hears(p1, "player:error")["code"], "DEVICE_ID_MISMATCH");
    world.pass(1_000);
    assert_eq!(world.disk().failures.last().unwrap().reason, "device_id_mismatch");
    assert!(world.disk().states.is_empty());
}

#[test]
fn r09_so_is_one_in_an_answer_which_ends_nothing() {
    let mut world = World::with(Settings { extra_commands: vec!["sync:restart".to_owned()], ..Settings::default() });
    let p1 = world.player("p1", "g1");
    let (aux, admin) = (world.device("p1", "token-p1"), world.admin());
    for (command, from, answer) in [("vlc:play", p1, "player:command:response"), ("sync:restart", aux, "command:error")]
    {
        world.send(admin, "player:command", json!({"deviceId": "p1", "command": command, "commandId": command}));
        let payload = json!({"commandId": command, "status": "success", "error": "no", "deviceId": "p2"});
        assert_eq!(world.asks(from, answer, payload)["error"]["code"], "DEVICE_ID_MISMATCH", "{answer}");
        world.hears_nothing(admin, "command:response");
        let payload = json!({"commandId": command, "status": "success", "error": "no", "deviceId": "p1"});
        assert_eq!(world.asks(from, answer, payload)["commandId"], command);
        assert_eq!(world.hears(admin, "command:response")["commandId"], command);
    }
    world.pass(1_000);
    assert_eq!(world.disk().failures.last().unwrap().reason, "device_id_mismatch");
}

#[test]
fn r10_a_snapshot_that_cannot_be_stored_does_not_hold_the_state_up() {
    let mut world = World::new();
    let p1 = world.player("p1", "g1");
    let admin = world.admin();
    world.send(p1, "player:state", full_state(1));
    world.hears(admin, "state:updated");
    world.store.down = true;
    world.pass(600);
    world.send(p1, "player:state", json!({"vlc": {"time": 2}, "snapshot": "data:image/png;base64,QUJD"}));
    world.pass(600);
    let changes: Vec<Value> = world.all(admin, "state:updated").into_iter().map(|u| u["changes"].clone()).collect();
    assert_eq!(changes[0]["vlc"], json!({"time": 2}));
    assert!(changes.iter().any(|change| change["snapshot"]["error"] == "STORE_UNAVAILABLE"), "{changes:?}");
}

#[test]
fn r12_a_device_is_pending_until_an_admin_accepts_its_token() {
    let mut world = World::new();
    let admin = world.admin();
    let stranger = world.device("p1", "mine");
    assert_eq!(world.refusal(stranger).1, json!({"code": "DEVICE_NOT_AUTHORIZED", "pending": true}));
    let list = world.asks(admin, "devices:list", json!({}));
    assert_eq!((&list["devices"][0]["status"], &list["devices"][0]["authorized"]), (&json!("pending"), &json!(false)));
    assert_eq!(world.asks(admin, "device:authorize", json!({"deviceId": "p1"}))["ok"], true);
    world.hears(admin, "device:authorized");
    assert!(world.disk().devices["p1"].authorized, "on disk before it is told");
    let p1 = world.device("p1", "mine");
    world.send(p1, "player:register", json!({"deviceId": "p1"}));
    let other = world.device("p1", "other");
    assert!(!world.is_open(other));
    assert_eq!(world.asks(admin, "device:revoke", json!({"deviceId": "p1"}))["ok"], true);
    assert!(!world.is_open(p1));
    world.hears(admin, "device:revoked");
    world.hears(admin, "device:disconnected");
    world.pass(60_000);
    world.hears_nothing(admin, "device:alert");
    let back = world.device("p1", "mine");
    assert!(!world.is_open(back));
    world.pass(1_000);
    world.restart();
    let back = world.device("p1", "mine");
    assert!(!world.is_open(back), "revoked stays revoked");
    let admin = world.admin();
    assert_eq!(world.asks(admin, "device:authorize", json!({"deviceId": "p1"}))["ok"], true);
    let back = world.device("p1", "mine");
    assert!(world.is_open(back));
}

#[test]
fn r12_the_admin_api_answers_with_the_right_status() {
    let mut world = World::new();
    for (method, target, status) in [
        ("POST", "/signage/devices/p1/authorize", 404),
        ("POST", "/signage/devices/p1/revoke", 404),
        ("POST", "/signage/devices/*/issue", 400),
        ("POST", "/signage/devices/p1/issue", 200),
        ("POST", "/signage/devices/p1/authorize", 409),
        ("GET", "/signage/devices", 200),
        ("POST", "/signage/devices/p1/revoke", 200),
        ("GET", "/signage/failures?limit=5", 200),
    ] {
        world.call(method, target);
        assert_eq!(world.replies.pop().unwrap().0, status, "{method} {target}");
    }
}

#[test]
fn r12_what_cannot_be_stored_is_not_granted() {
    let mut world = World::new();
    let p1 = world.player("p1", "g1");
    let admin = world.admin();
    world.store.down = true;
    world.call("POST", "/signage/devices/p2/issue");
    assert_eq!(world.replies.pop().unwrap().0, 503);
    let ack = world.asks(admin, "device:revoke", json!({"deviceId": "p1"}));
    assert_eq!(ack["error"]["code"], "STORE_UNAVAILABLE");
    assert!(world.is_open(p1), "nothing has changed");
    world.hears_nothing(admin, "device:revoked");
}

#[test]
fn r12_the_fleet_token_admits_any_but_the_revoked() {
    let mut world = fleet_world();
    let p1 = by_fleet_token(&mut world, json!({"deviceId": "p1"}));
    world.send(p1, "player:register", json!({"deviceId": "p1"}));
    world.hears(p1, "player:registered");
    world.call("POST", "/signage/devices/p1/revoke");
    assert!(!world.is_open(p1));
    let back = by_fleet_token(&mut world, json!({"deviceId": "p1"}));
    assert_eq!(world.refusal(back).0, "Device not authorized");
    let late = by_fleet_token(&mut world, json!({}));
    world.send(late, "player:register", json!({"deviceId": "p1"}));
    assert_eq!(world.hears(late, "player:error")["code"], "DEVICE_NOT_AUTHORIZED");
}

#[test]
fn r13_fleets_do_not_see_each_other() {
    let mut world = World::new();
    let (a, b) = (of_tenant("a", "device", Some("p1")), of_tenant("b", "device", Some("p1")));
    let (admin_a, admin_b) = (of_tenant("a", "admin", None), of_tenant("b", "admin", None));
    let (admin_a, admin_b) = (world.connect(admin_a, json!({}), ""), world.connect(admin_b, json!({}), ""));
    let (p1a, p1b) = (world.connect(a, json!({}), ""), world.connect(b, json!({}), ""));
    world.send(p1a, "player:state", full_state(1));
    world.hears(p1a, "player:registered");
    world.hears(admin_a, "device:connected");
    world.hears_nothing(admin_b, "device:connected");
    world.hears_nothing(admin_b, "state:updated");
    world.send(p1b, "player:state", full_state(2));
    assert_eq!(world.hears(admin_b, "state:updated")["state"], full_state(2));
    assert_eq!(world.hears(admin_a, "state:updated")["state"], full_state(1));
    assert!(world.is_open(p1a) && world.is_open(p1b), "the same id in two fleets is two devices");
    world.pass(5_000);
    assert_eq!(world.hears(admin_a, "devices:stats")["online"], 1);
}

#[test]
fn development_mode_takes_a_handshake_at_its_word() {
    let mut world = World::new();
    let p1 = world.connect(dev("x"), json!({"deviceId": "p1", "authToken": "x"}), "");
    world.send(p1, "player:register", json!({"deviceId": "p1"}));
    world.hears(p1, "player:registered");
    let admin = world.connect(dev("y"), json!({}), "");
    world.hears(admin, "devices:list");
    world.send(admin, "player:command", json!({"deviceId": "p1", "command": "vlc:play"}));
    world.hears(p1, "player:command");
    let late = world.connect(dev("z"), json!({}), "");
    world.send(late, "player:state", json!({}));
    assert_eq!(world.hears(late, "player:error")["code"], "NOT_REGISTERED");
    world.send(late, "player:register", json!({"deviceId": "p2"}));
    world.hears(late, "player:registered");
    world.send(late, "player:command", json!({"deviceId": "p1", "command": "vlc:play"}));
    assert_eq!(world.hears(late, "player:error")["code"], "FORBIDDEN", "a device from now on");
    world.heard(late);
    world.send(p1, "player:state", full_state(1));
    world.hears_nothing(late, "state:updated");
}

#[test]
fn the_legacy_client_is_understood() {
    let mut world = fleet_world();
    let admin = world.admin();
    let old = by_fleet_token(&mut world, json!({}));
    world.send(
        old,
        "AUTHENTICATE",
        json!({"id": "p1", "name": "Lobby", "ip": "10.1.1.1", "mac": "aa", "status": "ok"}),
    );
    assert_eq!(world.hears(old, "AUTH_SUCCESS"), json!({"id": "p1", "name": "Lobby"}));
    assert_eq!(world.hears(admin, "device:connected")["deviceNetwork"]["macAddress"], "aa");
    let beat = json!({"id": "p1", "vlc": {"state": "playing"}, "systemState": {"cpu": 3}, "status": "ok",
        "snapshot": "data:image/gif;base64,R0lGODdh"});
    world.send(old, "heartbeat", beat);
    let state = world.hears(admin, "state:updated")["state"].clone();
    assert_eq!((&state["vlc"]["state"], &state["system"]["cpu"]), (&json!("playing"), &json!(3)));
    world.pass(500);
    assert!(world.hears(admin, "state:updated")["changes"]["snapshot"]["url"].is_string());
}

#[test]
fn revisions_are_reserved_in_blocks_before_they_are_told() {
    let mut world = World::new();
    let p1 = world.player("p1", "g1");
    let admin = world.admin();
    for time in 0..1_300 {
        world.send(p1, "player:state", full_state(time));
        world.pass(500);
        let told = world.hears(admin, "state:updated")["rev"].as_u64().unwrap();
        assert!(told <= world.disk().devices["p1"].rev_reserved, "rev {told}");
        world.all(admin, "devices:stats");
    }
    assert!(world.disk().devices["p1"].rev_reserved < 4_000, "in blocks");
}
