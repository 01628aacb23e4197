//! Bad input of every kind, and a store that fails: what is refused, with which code, and what goes on.

use core::net::IpAddr;
use std::sync::Arc;

use serde_json::{Value, json};

use super::acceptance::full_state;
use super::world::{World, by_fleet_token, fleet_world, of_tenant};
use crate::app::AuthFailure;
use crate::app::event::Args;
use crate::app::identity::{Claims, Identity};
use crate::apps::signage::settings::Settings;
use crate::base::close::CloseReason;

#[test]
fn bad_input_is_refused_with_a_code_and_changes_nothing() {
    let mut world = World::new();
    let p1 = world.player("p1", "g1");
    let admin = world.admin();
    let long = "x".repeat(256);
    for (from, name, payload, code) in [
        (p1, "player:register", json!(5), "VALIDATION"),
        (p1, "player:register", json!({"deviceId": {}}), "VALIDATION"),
        (p1, "player:register", json!({"deviceId": long.clone()}), "VALIDATION"),
        (p1, "player:register", json!({"deviceName": "no id"}), "VALIDATION"),
        (p1, "player:register", json!({"deviceId": "p1", "deviceName": long.clone()}), "VALIDATION"),
        (p1, "player:register", json!({"deviceId": "p1", "deviceGroup": []}), "VALIDATION"),
        (p1, "player:register", json!({"deviceId": "p1", "deviceNetwork": "n".repeat(5_000)}), "VALIDATION"),
        (p1, "player:state", json!([]), "VALIDATION"),
        (p1, "player:state", json!("x"), "VALIDATION"),
        (p1, "player:state", json!({"vlc": 4}), "VALIDATION"),
        (p1, "player:state", json!({"app": {"x": "y".repeat(1_100_000)}}), "PAYLOAD_TOO_LARGE"),
        (p1, "player:register", json!({"deviceId": "p1", "x": "y".repeat(1_100_000)}), "PAYLOAD_TOO_LARGE"),
        (p1, "player:command:response", json!({}), "VALIDATION"),
        (p1, "player:command:response", json!({"commandId": "c", "status": "maybe"}), "VALIDATION"),
        (p1, "AUTHENTICATE", json!({}), "VALIDATION"),
        (p1, "heartbeat", json!(null), "VALIDATION"),
        (admin, "device:subscribe", json!({}), "VALIDATION"),
        (admin, "device:subscribe", json!({"deviceId": "p1", "group": "g1"}), "VALIDATION"),
        (admin, "device:subscribe", json!({"deviceId": "p1", "mode": "half"}), "VALIDATION"),
        (admin, "device:subscribe", json!({"deviceId": "nobody"}), "DEVICE_NOT_FOUND"),
        (admin, "device:state", json!({}), "VALIDATION"),
        (admin, "device:state", json!({"deviceId": "nobody"}), "DEVICE_NOT_FOUND"),
        (admin, "device:history", json!({"deviceId": "p1", "limit": 501}), "VALIDATION"),
        (admin, "device:history", json!({"deviceId": "p1", "since": -1}), "VALIDATION"),
        (admin, "device:authorize", json!({"deviceId": "nobody"}), "DEVICE_NOT_FOUND"),
        (admin, "device:authorize", json!({"deviceId": "p1"}), "NOTHING_PENDING"),
        (admin, "device:revoke", json!(7), "VALIDATION"),
    ] {
        let shown: String = payload.to_string().chars().take(80).collect();
        let ack = world.asks(from, name, payload);
        assert_eq!((&ack["ok"], &ack["error"]["code"]), (&json!(false), &json!(code)), "{name} {shown}");
        let error = world.hears(from, "player:error");
        assert_eq!((&error["code"], &error["event"]), (&json!(code), &json!(name)), "{name} {shown}");
    }
    let attached =
        Args::of("player:register", &[json!({"deviceId": "p1"})]).with_attachments(vec![vec![0; 1 << 20].into()]);
    world.event(p1, attached, None);
    assert_eq!(world.hears(p1, "player:error")["code"], "PAYLOAD_TOO_LARGE");
    let unknown = world.asks(p1, "player:dance", json!({}));
    assert_eq!(unknown["error"]["code"], "UNKNOWN_EVENT");
    world.hears_nothing(p1, "player:error");
    world.event(p1, Args::of("player:state", &[]), None);
    assert_eq!(world.hears(p1, "player:error")["code"], "VALIDATION");
    assert_eq!(world.tally().unknown, 1);
    world.hears_nothing(admin, "state:updated");
}

#[test]
fn a_name_that_was_cut_inside_an_emoji_is_no_reason_to_refuse_a_report() {
    let mut world = World::new();
    let p1 = world.player("p1", "g1");
    let array = br#"["player:state",{"app":{"title":"Feliz \ud83d"}}]"#;
    let args = Args::new(array[..].into(), [1..15, 16..array.len() as u32 - 1].into_iter().collect(), Vec::new());
    world.event(p1, args, None);
    world.hears_nothing(p1, "player:error");
    let admin = world.admin();
    assert_eq!(world.hears(admin, "state:updated")["state"]["app"]["title"], "Feliz \u{fffd}");
}

#[test]
fn bad_handshakes_are_refused_with_the_one_message() {
    let mut world = World::with(Settings { devices_max: 1, ..fleet_settings() });
    world.player("p1", "g1");
    let no_role = of_tenant("default", "driver", None);
    for (verified, auth, code) in [
        (Err(AuthFailure::Missing), json!({"deviceId": "p1"}), "DEVICE_NOT_AUTHORIZED"),
        (Err(AuthFailure::Missing), json!({}), "DEVICE_NOT_AUTHORIZED"),
        (Err(AuthFailure::Expired), json!({"token": "x"}), "DEVICE_NOT_AUTHORIZED"),
        (Err(AuthFailure::Invalid), json!({"deviceId": "x".repeat(300), "token": "player_token"}), "VALIDATION"),
        (Err(AuthFailure::Invalid), json!({"deviceId": "p2", "token": "player_token"}), "FLEET_FULL"),
        (of_tenant("default", "device", Some("p1")), json!({"deviceId": "p2"}), "DEVICE_ID_MISMATCH"),
        (no_role, json!({}), "FORBIDDEN"),
    ] {
        let socket = world.connect_from(IpAddr::from([10, 9, 9, 9]), verified, auth.clone(), "");
        let (message, data) = world.refusal(socket);
        assert_eq!((message.as_str(), &data["code"]), ("Device not authorized", &json!(code)), "{auth}");
        assert!(!world.is_open(socket));
    }
    let foreign =
        Identity::from(Claims { tenant_id: Some("t".repeat(129)), role: "admin".into(), ..Claims::default() });
    let refused = world.connect(Ok(Arc::new(foreign)), json!({}), "");
    assert_eq!(world.refusal(refused).0, "Device not authorized");
}

fn fleet_settings() -> Settings {
    Settings { fleet_token: crate::base::secret::Secret::new("player_token"), ..Settings::default() }
}

#[test]
fn the_live_path_goes_on_while_the_store_fails_and_nothing_is_lost_after() {
    let mut world = fleet_world();
    let admin = world.admin();
    world.store.down = true;
    let p1 = by_fleet_token(&mut world, json!({"deviceId": "p1"}));
    world.send(p1, "player:state", full_state(1));
    assert_eq!(world.hears(admin, "state:updated")["full"], true);
    let degraded = world.hears(admin, "device:alert");
    assert_eq!((&degraded["kind"], &degraded["severity"]), (&json!("store_degraded"), &json!("critical")));
    world.pass(3_000);
    world.send(p1, "player:state", full_state(2));
    assert_eq!(world.hears(admin, "state:updated")["changes"], json!({"vlc":{"time":2}}));
    world.hears_nothing(admin, "device:alert");
    let history = world.asks(admin, "device:history", json!({"deviceId": "p1"}));
    assert_eq!(history["error"]["code"], "STORE_UNAVAILABLE");
    world.store.down = false;
    world.pass(3_000);
    assert!(world.hears(admin, "device:alert")["resolved"].is_string());
    assert_eq!(world.disk().changes.len(), 2);
    let stored: Value = serde_json::from_str(&world.disk().states["p1"].json).unwrap();
    assert_eq!(stored, full_state(2));
}

#[test]
fn a_store_that_cannot_load_a_fleet_does_not_stop_it() {
    let mut world = fleet_world();
    world.store.down = true;
    let admin = world.admin();
    world.hears(admin, "devices:list");
    let p1 = by_fleet_token(&mut world, json!({"deviceId": "p1"}));
    world.send(p1, "player:register", json!({"deviceId": "p1"}));
    world.hears(admin, "device:connected");
    assert_eq!(world.metric("sg_fleets_degraded", ""), 1.0);
}

#[test]
fn a_failing_store_is_tried_once_a_second_whatever_waits() {
    let mut world = fleet_world();
    let admin = world.admin();
    let p1 = by_fleet_token(&mut world, json!({"deviceId": "p1"}));
    world.send(p1, "player:register", json!({"deviceId": "p1"}));
    world.pass(1_000);
    world.store.down = true;
    // Each refusal leaves an entry in the audit: more than a batch holds.
    for _ in 0..3_000 {
        world.send(admin, "command", json!({"command": "vlc:dance", "deviceId": "p1"}));
    }
    let before = world.store.batches;
    world.pass(5_000);
    let tries = world.store.batches - before;
    assert!((4..=6).contains(&tries), "{tries} in five seconds");
    let p2 = by_fleet_token(&mut world, json!({"deviceId": "p2"}));
    world.heard(admin);
    world.send(p2, "player:state", full_state(1));
    assert_eq!(world.hears(admin, "state:updated")["deviceId"], "p2", "the live path goes on");
    assert_eq!(world.store.batches - before, tries);
    world.store.down = false;
    world.pass(2_000);
    assert!(world.disk().audits >= 3_000, "{}", world.disk().audits);
}

#[test]
fn batches_reach_the_disk_in_the_order_of_what_they_say() {
    let mut world = fleet_world();
    let admin = world.admin();
    let p1 = by_fleet_token(&mut world, json!({"deviceId": "p1"}));
    world.send(p1, "player:register", json!({"deviceId": "p1"}));
    world.pass(1_000);
    world.store.hangs = true;
    world.send(admin, "command", json!({"command": "vlc:play", "deviceId": "p1", "commandId": "c"}));
    world.pass(600);
    world.send(p1, "player:command:response", json!({"commandId": "c", "status": "success"}));
    world.event(admin, Args::of("device:history", &[json!({"deviceId": "p1"})]), Some(1));
    world.pass(600);
    // The batch that says `sent` fails; what came after it has waited.
    world.store.down = true;
    assert!(world.answer());
    world.store.down = false;
    world.pass(2_000);
    while world.answer() {}
    assert_eq!(world.disk().commands[&("c".to_owned(), "p1".to_owned())].status, "success");
    world.hears(admin, "device:history");
}

#[test]
fn f17_what_is_known_when_a_drain_begins_and_what_it_brings_about_is_saved_at_once() {
    let mut world = fleet_world();
    let p1 = by_fleet_token(&mut world, json!({"deviceId": "p1"}));
    world.send(p1, "player:state", full_state(1));
    world.pass(500);
    world.send(p1, "player:state", full_state(2));
    assert_eq!(world.disk().changes.len(), 1);
    // The last batch is not answered before the end: nothing waits for that.
    world.store.hangs = true;
    world.drains();
    world.leaves(p1, CloseReason::ServerShuttingDown);
    world.store.hangs = false;
    while world.answer() {}
    assert_eq!(world.disk().changes.len(), 2);
    let stored: Value = serde_json::from_str(&world.disk().states["p1"].json).unwrap();
    assert_eq!(stored, full_state(2));
    assert!(!world.disk().devices["p1"].online);
}

#[test]
fn a_devices_token_is_found_as_everybodys_is() {
    let mut world = fleet_world();
    for (auth, query, admitted) in [
        (json!({"deviceId": "p1", "token": " bearer  player_token "}), "", true),
        (json!({"deviceId": "p1", "token": "Bearer", "authToken": "player_token"}), "", true),
        (json!({"deviceId": "p1"}), "token=BEARER+player_token", true),
        (json!({"deviceId": "p1", "token": 5, "authToken": "player_token"}), "", false),
        (json!({"deviceId": "p1", "token": "Basic player_token"}), "", false),
    ] {
        let socket = world.connect(Err(AuthFailure::Invalid), auth.clone(), query);
        assert_eq!(world.is_open(socket), admitted, "{auth} {query}");
    }
}

#[test]
fn a_token_alone_finds_its_device_until_it_is_revoked() {
    let mut world = World::new();
    for id in ["p1", "p2"] {
        world.player(id, "g1");
    }
    let by_token = |world: &mut World| world.connect(Err(AuthFailure::Invalid), json!({"token": "token-p2"}), "");
    let socket = by_token(&mut world);
    assert!(world.is_open(socket));
    assert_eq!(world.asks(socket, "player:state", full_state(1))["deviceId"], "p2");
    world.call("POST", "/signage/devices/p2/revoke");
    let socket = by_token(&mut world);
    assert!(!world.is_open(socket));
}

#[test]
fn strangers_are_bounded_and_those_not_seen_for_longest_make_room() {
    let mut world = World::new();
    world.player("p1", "g1");
    for n in 0..1_100_u32 {
        let address = IpAddr::from((0x0a00_0000 + n).to_be_bytes());
        let auth = json!({"deviceId": format!("s{n}"), "token": "guess"});
        world.connect_from(address, Err(AuthFailure::Invalid), auth, "");
        world.pass(1);
    }
    let admin = world.admin();
    let list = world.asks(admin, "devices:list", json!({}));
    let ids: Vec<&str> = list["devices"].as_array().unwrap().iter().filter_map(|d| d["deviceId"].as_str()).collect();
    assert_eq!(ids.len(), 1_001);
    assert!(ids.contains(&"p1") && ids.contains(&"s100") && ids.contains(&"s1099") && !ids.contains(&"s99"));
}

#[test]
fn a_stranger_is_on_disk_only_once_it_is_let_in() {
    let mut world = World::new();
    world.device("p1", "mine");
    world.pass(1_000);
    assert_eq!((world.disk().devices.len(), world.disk().failures.len()), (0, 1));
    world.restart();
    let admin = world.admin();
    assert_eq!(world.asks(admin, "device:authorize", json!({"deviceId": "p1"}))["error"]["code"], "DEVICE_NOT_FOUND");
    let again = world.device("p1", "mine");
    assert_eq!(world.refusal(again).1["pending"], true);
    assert_eq!(world.asks(admin, "device:authorize", json!({"deviceId": "p1"}))["ok"], true);
    assert!(world.disk().devices["p1"].authorized);
    world.restart();
    let p1 = world.device("p1", "mine");
    assert!(world.is_open(p1));
}

/// A player that registers only once is connected after a restart and hears no command: operators see what it lacks.
#[test]
fn a_device_that_is_connected_and_silent_is_shown_as_that() {
    let mut world = World::new();
    world.player("p1", "g1");
    world.restart();
    let (admin, p1) = (world.admin(), world.device("p1", "token-p1"));
    assert!(world.is_open(p1));
    for _ in 0..2 {
        let listed = shown(&mut world, admin, "p1");
        assert_eq!((&listed["status"], &listed["online"]), (&json!("silent"), &json!(false)));
        assert_eq!((world.metric("sg_devices", "silent"), world.metric("sg_devices", "offline")), (1.0, 0.0));
        let refused = world.asks(admin, "player:command", json!({"deviceId": "p1", "command": "vlc:play"}));
        assert_eq!(refused["error"]["code"], "DEVICE_OFFLINE");
        assert!(refused["error"]["message"].as_str().unwrap().contains("has not sent player:register"), "{refused}");
        world.pass(5_000);
        let stats = world.all(admin, "devices:stats").pop().unwrap();
        assert_eq!((&stats["total"], &stats["silent"], &stats["offline"]), (&json!(1), &json!(1), &json!(0)));
        // A socket more changes nothing, nor that it leaves.
        let other = world.device("p1", "token-p1");
        world.leaves(other, CloseReason::TransportClose);
    }
    world.send(p1, "player:register", json!({"deviceId": "p1"}));
    assert_eq!(shown(&mut world, admin, "p1")["status"], "online");
    world.device("p1", "token-p1");
    assert_eq!(shown(&mut world, admin, "p1")["status"], "online", "one socket of it is registered");
    world.leaves(p1, CloseReason::TransportClose);
    assert_eq!(shown(&mut world, admin, "p1")["status"], "silent", "and the other one is still here");
    world.call("POST", "/signage/devices/p1/revoke");
    assert_eq!(shown(&mut world, admin, "p1")["status"], "retired");
    assert_eq!(world.metric("sg_devices", "silent"), 0.0);
}

#[test]
fn a_device_nobody_knows_is_shown_while_it_is_connected_and_silent() {
    let mut world = fleet_world();
    let (admin, viewer) = (world.admin(), world.person("viewer", &["g7"]));
    let p7 = by_fleet_token(&mut world, json!({"deviceId": "p7", "deviceName": "Door", "deviceGroup": "g7"}));
    assert!(world.is_open(p7));
    for who in [admin, viewer] {
        let listed = shown(&mut world, who, "p7");
        assert_eq!((&listed["status"], &listed["deviceName"]), (&json!("silent"), &json!("Door")));
    }
    world.call("GET", "/signage/devices");
    assert_eq!(world.replies.pop().unwrap().1["devices"][0]["status"], "silent");
    let refused = world.asks(admin, "player:command", json!({"deviceId": "p7", "command": "vlc:play"}));
    assert_eq!(refused["error"]["code"], "DEVICE_OFFLINE");
    world.leaves(p7, CloseReason::TransportClose);
    assert_eq!(shown(&mut world, admin, "p7"), Value::Null, "it has never registered");
    assert!(world.disk().devices.is_empty());
}

/// A device's entry in `devices:list`; `null` if it is not there.
fn shown(world: &mut World, admin: u32, id: &str) -> Value {
    world.all(admin, "devices:list");
    world.send(admin, "devices:list", json!({}));
    let list = world.hears(admin, "devices:list");
    list["devices"].as_array().unwrap().iter().find(|device| device["deviceId"] == id).cloned().unwrap_or_default()
}
