//! What players and people rely on, in ten scenarios, at the level of inputs and effects.

use bytes::Bytes;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::world::World;
use crate::app::AuthFailure;
use crate::app::event::Args;
use crate::apps::signage::settings::Settings;
use crate::base::close::CloseReason;

pub(super) fn full_state(time: u32) -> Value {
    json!({"timestamp":"2025-08-20T10:00:30.000Z","system":{"cpu":12},"storage":{},
        "vlc":{"state":"playing","time":time},"app":{},"activePlaylist":{},"defaultPlaylist":{},"snapshot":{}})
}

#[test]
fn a01_a_device_registers_with_either_handshake() {
    let mut world = World::new();
    let admin = world.admin();
    let p1 = world.player("p1", "g1");
    world.send(p1, "player:register", json!({"deviceId": "p1"}));
    assert_eq!(world.hears(p1, "player:registered")["deviceId"], "p1");
    let connected = world.hears(admin, "device:connected");
    assert_eq!(connected["deviceName"], "Lobby");
    assert_eq!(connected["deviceGroup"], "g1");
    world.call("POST", "/signage/devices/p2/issue");
    let issued = world.replies.pop().unwrap().1;
    let token = issued["token"].as_str().unwrap().to_owned();
    assert_eq!(issued["authToken"], issued["token"]);
    let query = "deviceId=p2&deviceName=Hall+2&deviceType=player&deviceGroup=g2&appVersion=1.0";
    let p2 = world.connect(Err(AuthFailure::Invalid), json!({"token": token}), query);
    world.send(p2, "player:register", json!({"deviceId": "p2"}));
    let registered = world.hears(p2, "player:registered");
    assert_eq!((&registered["status"], &registered["pendingCommands"]), (&json!("registered"), &json!(0)));
    assert_eq!(registered["config"], json!({"stateIntervalMs":500,"snapshotMaxBytes":8388608,"commandTimeoutMs":5000}));
    let connected = world.hears(admin, "device:connected");
    assert_eq!((&connected["deviceId"], &connected["deviceName"]), (&json!("p2"), &json!("Hall 2")));
}

#[test]
fn a02_a_wrong_token_is_refused_recorded_and_throttled() {
    let mut world = World::new();
    let p1 = world.player("p1", "g1");
    for attempt in 0..9 {
        let bad = world.device("p1", &format!("wrong{attempt}"));
        let (message, data) = world.refusal(bad);
        assert_eq!(message, "Device not authorized");
        assert_eq!(data["code"], "DEVICE_NOT_AUTHORIZED", "attempt {attempt}");
    }
    // The knock of the pairing was the first of ten.
    let bad = world.device("p1", "wrong");
    assert_eq!(world.refusal(bad).1["code"], "THROTTLED");
    assert_eq!(world.refusal(bad).1["limit"], 10);
    assert_eq!(world.metric("sg_auth_failures_total", "unknown_token"), 10.0);
    assert_eq!(world.metric("sg_auth_failures_total", "throttled"), 1.0);
    world.call("GET", "/signage/failures?limit=100");
    let failures = world.replies.pop().unwrap().1;
    assert_eq!(failures["failures"].as_array().unwrap().len(), 11);
    let again = world.device("p1", "token-p1");
    assert!(world.is_open(again), "a good token is admitted from a throttled address");
    world.send(p1, "player:register", json!({"deviceId": "p2"}));
    assert_eq!(world.hears(p1, "player:error")["code"], "DEVICE_ID_MISMATCH");
    assert_eq!(world.metric("sg_auth_failures_total", "device_id_mismatch"), 1.0);
    world.pass(6_000);
    let later = world.device("p1", "wrong");
    assert_eq!(world.refusal(later).1["code"], "DEVICE_NOT_AUTHORIZED", "a token of the bucket has come back");
}

#[test]
fn a03_state_is_full_first_and_then_a_patch() {
    let mut world = World::new();
    let p1 = world.player("p1", "g1");
    let admin = world.admin();
    world.send(p1, "player:state", full_state(30));
    let first = world.hears(admin, "state:updated");
    assert_eq!((&first["full"], &first["state"]["vlc"]["state"]), (&json!(true), &json!("playing")));
    world.pass(500);
    world.send(p1, "player:state", full_state(31));
    let second = world.hears(admin, "state:updated");
    assert_eq!(second["full"], false);
    assert_eq!(second["changes"], json!({"vlc":{"time":31}}));
    assert_eq!(second["rev"].as_u64(), first["rev"].as_u64().map(|rev| rev + 1));
    world.pass(500);
    world.send(p1, "player:state", full_state(31));
    world.pass(2_000);
    world.hears_nothing(admin, "state:updated");
    world.heard(p1);
    let later = world.admin();
    let full = world.hears(later, "state:updated");
    assert_eq!((&full["full"], &full["rev"], &full["state"]), (&json!(true), &second["rev"], &full_state(31)));
    world.hears_nothing(p1, "player:request:state");
}

#[test]
fn a04_a_command_makes_its_round_trip() {
    let mut world = World::new();
    let (p1, p2) = (world.player("p1", "g1"), world.player("p2", "g1"));
    let (admin, other, auditor) = (world.admin(), world.admin(), world.admin());
    world.send(auditor, "audit:subscribe", json!({}));
    world.send(admin, "player:command", json!({"deviceId": "p1", "command": "vlc:play"}));
    let accepted = world.hears(admin, "command:accepted");
    assert_eq!(accepted["deviceId"], "p1");
    let order = world.hears(p1, "player:command");
    assert_eq!(order, json!({"command": "vlc:play", "params": {}, "commandId": accepted["commandId"]}));
    world.hears_nothing(p2, "player:command");
    world.pass(83);
    let answer = json!({"commandId": order["commandId"], "status": "success", "result": {"ok": 1}});
    world.send(p1, "player:command:response", answer);
    let response = world.hears(admin, "command:response");
    assert_eq!(response["commandId"], order["commandId"]);
    assert_eq!((&response["status"], &response["deviceId"]), (&json!("success"), &json!("p1")));
    assert_eq!(
        (&response["result"]["ok"], &response["attempts"], &response["durationMs"]),
        (&json!(1), &json!(1), &json!(83))
    );
    world.hears_nothing(other, "command:response");
    world.hears_nothing(other, "audit:entry");
    assert_eq!(world.hears(auditor, "audit:entry")["target"], "p1");
    assert_eq!(world.metric("sg_commands_total", "success"), 1.0);
    assert_eq!(world.metric("sg_command_seconds", ""), 1.0);
}

#[test]
fn a05_bad_commands_are_rejected_and_reach_nobody() {
    let mut world = World::new();
    let p1 = world.player("p1", "g1");
    let admin = world.admin();
    for (payload, code) in [
        (json!({"deviceId": "p1", "command": "rm -rf"}), "UNSUPPORTED_COMMAND"),
        (json!({"command": "vlc:play"}), "VALIDATION"),
        (json!({"deviceId": "nobody", "command": "vlc:play"}), "DEVICE_NOT_FOUND"),
        (json!({"deviceId": "p1", "command": "vlc:play", "params": "str"}), "VALIDATION"),
        (json!("play"), "VALIDATION"),
        (json!(null), "VALIDATION"),
        (json!({"group": "none", "command": "vlc:play"}), "DEVICE_NOT_FOUND"),
    ] {
        let ack = world.asks(admin, "player:command", payload.clone());
        assert_eq!((&ack["ok"], &ack["error"]["code"]), (&json!(false), &json!(code)), "{payload}");
        let response = world.hears(admin, "command:response");
        assert_eq!((&response["status"], &response["code"]), (&json!("rejected"), &json!(code)), "{payload}");
        if code == "UNSUPPORTED_COMMAND" {
            assert_eq!(response["message"], "Comando no soportado: rm -rf");
        }
    }
    world.hears_nothing(p1, "player:command");
    world.hears_nothing(admin, "command:accepted");
    world.send(admin, "command:send", json!({"deviceId": "p1", "command": "vlc:stop", "commandId": "c1"}));
    world.send(p1, "player:command:response", json!({"commandId":"c1","status":"error","message":"VLC no responde"}));
    let response = world.hears(admin, "command:response");
    assert_eq!((&response["status"], &response["message"]), (&json!("error"), &json!("VLC no responde")));
}

#[test]
fn a06_idempotent_commands_are_retried_and_toggles_are_not() {
    let mut world = World::new();
    let p1 = world.player("p1", "g1");
    let admin = world.admin();
    world.send(admin, "player:command", json!({"deviceId":"p1","command":"vlc:play","timeoutMs":500,"commandId":"c1"}));
    world.pass(1_499);
    let orders = world.all(p1, "player:command");
    assert_eq!(orders.len(), 3);
    assert!(orders.iter().all(|order| order["commandId"] == "c1"));
    world.hears_nothing(admin, "command:response");
    world.pass(1);
    let response = world.hears(admin, "command:response");
    assert_eq!((&response["status"], &response["attempts"]), (&json!("timeout"), &json!(3)));
    world.send(
        admin,
        "player:command",
        json!({"deviceId":"p1","command":"vlc:pause","timeoutMs":500,"commandId":"c2"}),
    );
    world.pass(5_000);
    world.hears(p1, "player:command");
    assert_eq!(world.hears(admin, "command:response")["attempts"], 1);
    let late = world.asks(p1, "player:command:response", json!({"commandId":"c1","status":"success"}));
    assert_eq!(late["ignored"], "late");
    world.hears_nothing(admin, "command:response");
    assert_eq!(world.metric("sg_responses_ignored_total", "late"), 1.0);
}

#[test]
fn a07_an_offline_device_is_told_alerted_and_comes_back() {
    let mut world = World::new();
    let p1 = world.player("p1", "g1");
    world.send(p1, "player:state", full_state(1));
    let admin = world.admin();
    let rev = world.hears(admin, "state:updated")["rev"].as_u64().unwrap();
    world.leaves(p1, CloseReason::PingTimeout);
    let gone = world.hears(admin, "device:disconnected");
    assert_eq!((&gone["deviceId"], &gone["reason"]), (&json!("p1"), &json!("ping timeout")));
    world.pass(29_999);
    world.hears_nothing(admin, "device:alert");
    world.pass(1);
    let alert = world.hears(admin, "device:alert");
    assert_eq!((&alert["kind"], &alert["severity"]), (&json!("offline"), &json!("warning")));
    world.pass(60_000);
    world.hears_nothing(admin, "device:alert");
    world.send(admin, "player:command", json!({"deviceId": "p1", "command": "vlc:play"}));
    assert_eq!(world.hears(admin, "command:response")["code"], "DEVICE_OFFLINE");
    let back = world.player("p1", "g1");
    world.hears(admin, "device:connected");
    let resolved = world.hears(admin, "device:alert");
    assert!(resolved["resolved"].is_string() && resolved["since"] == alert["since"]);
    world.send(back, "player:state", json!({"vlc": {"time": 2}}));
    let update = world.hears(admin, "state:updated");
    assert_eq!((update["rev"].as_u64(), &update["changes"]), (Some(rev + 1), &json!({"vlc":{"time":2}})));
}

#[test]
fn a08_the_newest_socket_wins_and_roles_are_kept_apart() {
    let mut world = World::new();
    let old = world.player("p1", "g1");
    let admin = world.admin();
    let new = world.player("p1", "g1");
    assert_eq!(world.hears(old, "player:replaced")["deviceId"], "p1");
    assert!(!world.is_open(old) && world.is_open(new));
    world.hears_nothing(admin, "device:disconnected");
    world.hears_nothing(admin, "device:connected");
    for event in ["player:command", "devices:list", "device:revoke", "command:send"] {
        world.send(new, event, json!({"deviceId": "p1", "command": "vlc:play"}));
        assert_eq!(world.hears(new, "player:error")["code"], "FORBIDDEN", "{event}");
    }
    let viewer = world.person("viewer", &["g1"]);
    world.send(viewer, "player:command", json!({"deviceId": "p1", "command": "vlc:play"}));
    assert_eq!(world.hears(viewer, "command:response")["code"], "FORBIDDEN");
    let operator = world.person("operator", &["g2"]);
    for to in [json!({"deviceId": "p1"}), json!({"group": "g1"})] {
        let mut payload = to;
        payload["command"] = json!("vlc:play");
        world.send(operator, "player:command", payload);
        let response = world.hears(operator, "command:response");
        assert_eq!((&response["status"], &response["code"]), (&json!("rejected"), &json!("FORBIDDEN")));
    }
    world.hears_nothing(new, "player:command");
    world.send(operator, "device:authorize", json!({"deviceId": "p1"}));
    assert_eq!(world.hears(operator, "player:error")["code"], "FORBIDDEN");
}

#[test]
fn a09_a_snapshot_becomes_a_url_everywhere() {
    let mut world = World::new();
    let p1 = world.player("p1", "g1");
    let admin = world.admin();
    let mut snapshot: Vec<u8> = (0..3_000_000u32).map(|at| at as u8).collect();
    snapshot[..8].copy_from_slice(b"\x89PNG\r\n\x1a\n");
    let snapshot = Bytes::from(snapshot);
    world.send(admin, "player:command", json!({"deviceId": "p1", "command": "vlc:snapshot", "commandId": "s1"}));
    let answer = json!({"commandId": "s1", "status": "success",
        "result": {"width": 1920, "image": {"_placeholder": true, "num": 0}}});
    let args = Args::of("player:command:response", &[answer]).with_attachments(vec![snapshot.clone()]);
    world.event(p1, args, None);
    let result = world.hears(admin, "command:response")["result"].clone();
    let url = result["url"].as_str().unwrap().to_owned();
    let id = url.strip_prefix("/signage/snapshots/").unwrap();
    let stored = world.snapshot(id).unwrap();
    assert_eq!(stored, snapshot);
    let sha256: String = Sha256::digest(&stored).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(
        (&result["sha256"], &result["bytes"], &result["width"]),
        (&json!(sha256), &json!(3_000_000), &json!(1920))
    );
    assert!(result.get("image").is_none());
    let update = world.hears(admin, "state:updated");
    assert_eq!(update["state"]["snapshot"]["url"], json!(url));
    world.pass(1_000);
    let data_url = format!("data:image/jpeg;base64,/9j/{}", "QUJD".repeat(99));
    world.send(p1, "player:state", json!({"snapshot": {"data": data_url, "createdAt": "2025-08-20T10:00:31.000Z"}}));
    world.pass(1_000);
    let update = world.hears(admin, "state:updated");
    let shown = &update["changes"]["snapshot"];
    assert_eq!((&shown["mime"], &shown["bytes"]), (&json!("image/jpeg"), &json!(300)));
    assert_eq!(shown["createdAt"], "2025-08-20T10:00:31.000Z");
    assert!(!update.to_string().contains("base64"));
    assert_eq!(world.metric("sg_snapshot_bytes", ""), 3_000_300.0);
    // Too large: as text, as an attachment, and as an answer.
    world.send(p1, "player:state", json!({"snapshot": {"data": "QUJD".repeat(5_000_000)}}));
    assert_eq!(world.hears(p1, "player:error")["code"], "SNAPSHOT_TOO_LARGE");
    let big = Bytes::from(vec![0; 20_000_000]);
    let state = json!({"snapshot": {"data": {"_placeholder": true, "num": 0}}});
    world.event(p1, Args::of("player:state", &[state]).with_attachments(vec![big]), None);
    assert_eq!(world.hears(p1, "player:error")["code"], "SNAPSHOT_TOO_LARGE");
    world.send(admin, "player:command", json!({"deviceId": "p1", "command": "vlc:snapshot", "commandId": "s2"}));
    let answer = json!({"commandId": "s2", "status": "success", "result": {"image": "QUJD".repeat(5_000_000)}});
    world.send(p1, "player:command:response", answer);
    assert_eq!(world.hears(p1, "player:error")["code"], "SNAPSHOT_TOO_LARGE");
    let response = world.hears(admin, "command:response");
    assert_eq!((&response["status"], &response["code"]), (&json!("error"), &json!("SNAPSHOT_TOO_LARGE")));
    assert!(world.is_open(p1));
}

#[test]
fn a10_a_restart_keeps_states_and_a_group_command_answers_per_device() {
    let mut world =
        World::with(Settings { fleet_token: crate::base::secret::Secret::new("player_token"), ..Settings::default() });
    let enter = |world: &mut World, number: u32| {
        let auth = json!({"deviceId": format!("p{number}"), "authToken": "player_token"});
        let socket = world.connect(Err(AuthFailure::Invalid), auth, "");
        let group = if number < 150 { "g1" } else { "g2" };
        world.send(socket, "player:register", json!({"deviceId": format!("p{number}"), "deviceGroup": group}));
        world.hears(socket, "player:registered");
        socket
    };
    let sockets: Vec<_> = (0..200).map(|number| enter(&mut world, number)).collect();
    for (number, socket) in sockets.iter().enumerate() {
        world.send(*socket, "player:state", full_state(number as u32));
    }
    let before = world.admin();
    let told = world.all(before, "state:updated");
    let last_rev = told.iter().filter_map(|update| update["rev"].as_u64()).max().unwrap();
    world.pass(1_000);
    world.restart();
    let admin = world.admin();
    let list = world.hears(admin, "devices:list");
    assert_eq!(list["devices"].as_array().unwrap().len(), 200);
    assert!(list["devices"].as_array().unwrap().iter().all(|device| device["online"] == false));
    let full = world.all(admin, "state:updated");
    assert_eq!(full.len(), 200, "full state from the store before any device reports");
    assert!(full.iter().all(|update| update["full"] == true && update["online"] == false));
    let sockets: Vec<_> = (0..190).map(|number| enter(&mut world, number)).collect();
    world.send(sockets[0], "player:state", json!({"vlc": {"time": 999}}));
    let update = world.hears(admin, "state:updated");
    assert_eq!(update["changes"], json!({"vlc":{"time":999}}));
    let base = full.iter().find(|update| update["deviceId"] == "p0").unwrap();
    assert_eq!(update["rev"].as_u64(), base["rev"].as_u64().map(|rev| rev + 1));
    assert!(update["rev"].as_u64().unwrap() > last_rev);
    assert_eq!(world.metric("sg_devices", "offline"), 10.0);
    world.all(admin, "device:connected");
    world.send(admin, "player:command", json!({"group": "g1", "command": "vlc:play", "commandId": "all"}));
    assert_eq!(world.hears(admin, "command:accepted")["deviceIds"].as_array().unwrap().len(), 150);
    for socket in &sockets[..150] {
        world.send(*socket, "player:command:response", json!({"commandId": "all", "status": "success"}));
    }
    let responses = world.all(admin, "command:response");
    assert_eq!(responses.len(), 150);
    let devices: std::collections::BTreeSet<_> =
        responses.iter().map(|response| response["deviceId"].as_str()).collect();
    assert_eq!(devices.len(), 150);
    world.pass(30_000);
    assert_eq!(world.all(admin, "device:alert").len(), 10);
}
