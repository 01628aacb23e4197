//! Players as they really are: two sockets, states that are asked for, snapshots that are paths, clients that know only bare events
//! (SIGNAGE 9.14 to 9.20).

use std::net::IpAddr;
use std::sync::Arc;

use serde_json::{Value, json};

use super::acceptance::full_state;
use super::world::{Id, World, by_fleet_token};
use crate::app::AuthFailure;
use crate::app::event::Args;
use crate::app::identity::{Claims, Identity};
use crate::apps::signage::settings::Settings;
use crate::base::close::CloseReason;
use crate::base::secret::Secret;

fn settings() -> Settings {
    let extra = ["sync:updateConfig", "sync:updatePlaylist", "sync:restart", "vlc:next"];
    Settings {
        fleet_token: Secret::new("player_token"),
        extra_commands: extra.map(str::to_owned).into(),
        legacy_addresses: vec!["10.7.0.0/16".to_owned()],
        ..Settings::default()
    }
}

/// A socket of `p1`, of group g1, that has not registered.
fn socket(world: &mut World) -> Id {
    by_fleet_token(world, json!({"deviceId": "p1", "deviceName": "Lobby", "deviceGroup": "g1"}))
}

fn register(world: &mut World, socket: Id) {
    world.send(socket, "player:register", json!({"deviceId": "p1"}));
    world.hears(socket, "player:registered");
}

/// A legacy client of a listed address.
fn legacy(world: &mut World) -> Id {
    let socket = world.connect_from(IpAddr::from([10, 7, 0, 9]), Err(AuthFailure::Missing), json!({}), "");
    assert!(world.is_open(socket), "{:?}", world.refusal(socket));
    socket
}

fn authenticated(world: &mut World) -> (Id, String) {
    let old = legacy(world);
    world.send(
        old,
        "AUTHENTICATE",
        json!({"id": null, "name": "Old", "ip": "10.7.0.9", "mac": "aa:bb", "status": "ok"}),
    );
    let id = world.hears(old, "AUTH_SUCCESS")["id"].as_str().unwrap().to_owned();
    (old, id)
}

fn command(world: &mut World, admin: Id, command: &str, id: &str) {
    world.send(admin, "player:command", json!({"deviceId": "p1", "command": command, "commandId": id}));
}

fn last_seen(world: &mut World, admin: Id) -> String {
    world.asks(admin, "device:state", json!({"deviceId": "p1"}))["lastSeen"].as_str().unwrap().to_owned()
}

#[test]
fn a11_the_real_player_keeps_both_its_sockets_and_is_asked_for_its_state() {
    for aux_first in [false, true] {
        let mut world = World::with(settings());
        let admin = world.admin();
        let early = aux_first.then(|| socket(&mut world));
        if let Some(aux) = early {
            world.send(aux, "state:update", json!({"deviceId": "p1", "changes": {"app": {"version": "2"}}}));
            assert_eq!(world.hears(admin, "state:updated")["online"], false, "it is no presence");
        }
        let own = socket(&mut world);
        register(&mut world, own);
        let aux = early.unwrap_or_else(|| socket(&mut world));
        world.hears(own, "player:request:state");
        world.send(own, "player:state", full_state(1));
        world.pass(500);
        let told = world.all(admin, "state:updated").pop().unwrap();
        assert_eq!(told["state"].get("vlc").or(told["changes"].get("vlc")), Some(&full_state(1)["vlc"]));
        assert_eq!(world.all(admin, "device:connected").len(), 1);
        world.send(aux, "state:update", json!({"deviceId": "p1", "changes": {"vlc": {"playing": true}}}));
        let state = world.asks(admin, "device:state", json!({"deviceId": "p1"}));
        assert_eq!(state["state"]["vlc"], json!({"playing": true}), "exactly that");
        assert!(world.is_open(own) && world.is_open(aux));
        world.leaves(aux, CloseReason::TransportClose);
        world.hears_nothing(admin, "device:disconnected");
        let again = socket(&mut world);
        world.send(again, "player:register", json!({"deviceId": "p1"}));
        world.hears(own, "player:replaced");
        assert!(!world.is_open(own) && world.is_open(again));
        world.hears_nothing(admin, "device:disconnected");
    }
}

#[test]
fn a12_what_is_volatile_waits_for_a_change_and_what_plays_does_not() {
    let mut world = World::with(settings());
    let (admin, own) = (world.admin(), socket(&mut world));
    let mut state = full_state(1);
    state["system"] = json!({"uptime": 1, "loadavg": [0.1], "timestamp": "a", "freeMem": 5, "hostname": "h"});
    state["vlc"] = json!({"playing": false, "time": 1});
    world.send(own, "player:state", state);
    let full = world.hears(admin, "state:updated");
    for uptime in 2..5 {
        world.pass(1_000);
        world.send(
            own,
            "player:state",
            json!({"timestamp": uptime.to_string(), "storage": {"timestamp": "b"},
            "system": {"uptime": uptime, "loadavg": [uptime], "timestamp": "b"}}),
        );
    }
    world.pass(1_000);
    world.send(own, "player:state", json!({"vlc": {"time": 2}}));
    world.hears(admin, "state:updated");
    world.pass(1);
    world.send(own, "player:state", json!({"system": {"uptime": 9}}));
    world.pass(1_000);
    world.hears_nothing(admin, "state:updated");
    world.send(own, "player:state", json!({"vlc": {"time": 3}, "system": {"freeMem": 4}}));
    world.hears(admin, "state:updated");
    world.send(own, "player:state", json!({"system": {"uptime": 10}}));
    world.hears_nothing(admin, "state:updated");
    world.send(own, "player:state", json!({"vlc": {"playing": true}}));
    let told = world.hears(admin, "state:updated");
    assert_eq!(told["changes"], json!({"system": {"uptime": 10}, "vlc": {"playing": true}}), "one patch, at once");
    assert_eq!(told["rev"].as_u64(), full["rev"].as_u64().map(|rev| rev + 3));
    for (field, value) in
        [("status", json!("x")), ("paused", json!(true)), ("stopped", json!(true)), ("currentItem", json!("b"))]
    {
        world.send(own, "player:state", json!({"vlc": {field: value}}));
        assert_eq!(world.hears(admin, "state:updated")["changes"]["vlc"][field], value, "{field}");
    }
}

#[test]
fn a13_a_path_gets_a_url_and_a_new_snapshot_is_waited_for() {
    let mut world = World::with(settings());
    let (admin, own) = (world.admin(), socket(&mut world));
    register(&mut world, own);
    command(&mut world, admin, "vlc:snapshot", "s");
    let result = json!({"success": true, "snapshot": {"url": "public/snapshots/snapshot.jpg", "createdAt": "t1"}});
    world.send(own, "player:command:response", json!({"commandId": "s", "status": "success", "result": result}));
    let mut expected = result;
    expected["playerUrl"] = json!("http://10.0.0.4:3000/snapshots/snapshot.jpg");
    assert_eq!(world.hears(admin, "command:response")["result"], expected);
    let shot =
        |at: &str| json!({"app": {"server": {"port": 8080}}, "snapshot": {"url": "/public/a.jpg", "createdAt": at}});
    world.send(own, "player:state", shot("t1"));
    world.heard(own);
    world.send(admin, "device:snapshot", json!({"deviceId": "p1"}));
    let shown = json!({"url": "/public/a.jpg", "createdAt": "t1", "playerUrl": "http://10.0.0.4:8080/a.jpg"});
    let first = world.hears(admin, "device:snapshot");
    assert_eq!(first, json!({"deviceId": "p1", "snapshot": shown, "requested": true}));
    assert_eq!(world.heard(own), [("player:request:snapshot".to_owned(), Value::Null)]);
    world.pass(1_999);
    world.hears_nothing(own, "player:request:state");
    world.pass(1);
    world.hears(own, "player:request:state");
    world.send(own, "player:state", shot("t1"));
    world.hears_nothing(admin, "device:snapshot");
    world.pass(2_000);
    world.hears(own, "player:request:state");
    world.send(own, "player:state", shot("t2"));
    let second = world.hears(admin, "device:snapshot");
    assert_eq!((&second["requested"], &second["snapshot"]["createdAt"]), (&json!(false), &json!("t2")));
    assert!(second["snapshot"]["playerUrl"].is_string() && second.get("error").is_none());
    world.pass(20_000);
    world.hears_nothing(admin, "device:snapshot");
    world.hears_nothing(own, "player:request:state");
}

#[test]
fn a14_a_legacy_client_is_known_again_and_hears_bare_events() {
    let mut world = World::with(settings());
    let admin = world.admin();
    let (old, id) = authenticated(&mut world);
    assert!(id.starts_with("legacy-") && id.len() == "legacy-".len() + 8, "{id}");
    world.leaves(old, CloseReason::TransportClose);
    let (old, again) = authenticated(&mut world);
    assert_eq!(id, again);
    world.hears_nothing(old, "player:request:state");
    let beat = json!({"id": id, "name": "Old", "snapshot": null, "systemState": {"cpu": 3},
        "vlc": {"status": {"currentItem": "a.mp4"}, "playlist": {"playlistName": "m"}}});
    world.send(old, "heartbeat", beat.clone());
    let state = world.hears(admin, "state:updated")["state"].clone();
    assert_eq!((&state["vlc"]["currentItem"], &state["system"]["cpu"]), (&json!("a.mp4"), &json!(3)));
    assert_eq!(state["activePlaylist"]["playlistName"], "m");
    world.send(old, "STATUS_UPDATE", json!({"id": id, "vlc": {"status": {"currentItem": "b.mp4"}}}));
    assert_eq!(world.hears(admin, "state:updated")["changes"]["vlc"]["currentItem"], "b.mp4");
    for (name, command, received) in
        [("PLAY", "vlc:play", true), ("PAUSE", "vlc:pause", false), ("NEXT", "vlc:next", false)]
    {
        world.send(admin, "player:command", json!({"deviceId": id, "command": command, "timeoutMs": 10}));
        assert!(world.hears(old, name)["timestamp"].is_string());
        if received {
            world.send(old, "command_received", json!({"command": name}));
        } else {
            world.pass(999);
            world.hears_nothing(admin, "command:response");
            world.pass(1);
        }
        let response = world.hears(admin, "command:response");
        assert_eq!((&response["status"], &response["attempts"]), (&json!("success"), &json!(1)), "{command}");
        assert_eq!(response["result"]["assumed"] == json!(true), !received);
        world.pass(10_000);
        world.hears_nothing(old, name);
        world.hears_nothing(admin, "command:response");
    }
    world.hears_nothing(old, "player:command");
    world.hears_nothing(old, "player:request:state");
    for unsupported in ["vlc:fullscreen", "vlc:snapshot"] {
        world.send(admin, "player:command", json!({"deviceId": id, "command": unsupported}));
        let response = world.hears(admin, "command:response");
        assert_eq!((&response["status"], &response["code"]), (&json!("rejected"), &json!("UNSUPPORTED_COMMAND")));
    }
    let asked = world.asks(admin, "device:snapshot", json!({"deviceId": id}));
    assert_eq!((&asked["requested"], &asked["error"]), (&json!(false), &json!("UNSUPPORTED_COMMAND")));
    assert_eq!(world.asks(old, "command_received", json!({}))["ignored"], "late");
}

#[test]
fn r14_an_auxiliary_socket_may_report_and_nothing_else() {
    let mut world = World::with(settings());
    let admin = world.admin();
    let (own, aux) = (socket(&mut world), socket(&mut world));
    register(&mut world, own);
    command(&mut world, admin, "vlc:play", "c");
    world.heard(own);
    world.heard(admin);
    for (name, payload, code) in [
        ("player:command:response", json!({"commandId": "c", "status": "success"}), "NOT_REGISTERED"),
        ("command_received", json!({}), "NOT_REGISTERED"),
        ("player:command", json!({"deviceId": "p1", "command": "vlc:stop"}), "FORBIDDEN"),
        ("command", json!({"deviceId": "p1", "command": "vlc:stop"}), "FORBIDDEN"),
        ("devices:list", json!({}), "FORBIDDEN"),
        ("player:pair", json!({}), "FORBIDDEN"),
        ("player:register", json!({"deviceId": "p2"}), "DEVICE_ID_MISMATCH"),
        ("state:update", json!({"deviceId": "p2", "changes": {}}), "DEVICE_ID_MISMATCH"),
        ("system:status", json!({"deviceId": "p2"}), "DEVICE_ID_MISMATCH"),
        ("monitor:error", json!({"deviceId": "p2", "error": "x"}), "DEVICE_ID_MISMATCH"),
        ("state:update", json!({"changes": []}), "VALIDATION"),
        ("state:update", json!({"changes": {"vlc": 5}}), "VALIDATION"),
        ("state:update", json!(5), "VALIDATION"),
        ("player:state", json!({"vlc": 5}), "VALIDATION"),
        ("player:status", json!([]), "VALIDATION"),
        ("command:error", json!({"error": "x"}), "VALIDATION"),
    ] {
        let ack = world.asks(aux, name, payload.clone());
        assert_eq!(ack["error"]["code"], code, "{name} {payload}");
        let error = world.hears(aux, "player:error");
        assert_eq!((&error["code"], &error["event"]), (&json!(code), &json!(name)));
    }
    world.hears_nothing(admin, "state:updated");
    world.hears_nothing(admin, "command:response");
    world.hears_nothing(own, "player:command");
    for (name, payload, path, value) in [
        ("player:state", json!({"vlc": {"time": 7}}), "/vlc/time", json!(7)),
        ("player:status", json!({"deviceId": "p1", "timestamp": "t", "volume": 5}), "/vlc/volume", json!(5)),
        ("system:status", json!({"cpus": 4}), "/system/cpus", json!(4)),
        ("network:status", json!({"eth0": {"mac": "aa"}}), "/system/network/eth0/mac", json!("aa")),
        ("playlist:status", json!({"currentIndex": 2}), "/activePlaylist/currentIndex", json!(2)),
        ("state:update", json!({"playlist": {"isActive": true}}), "/activePlaylist/isActive", json!(true)),
    ] {
        world.pass(500);
        world.send(aux, name, payload);
        let told = world.hears(admin, "state:updated");
        let place = if told["full"] == true { &told["state"] } else { &told["changes"] };
        assert_eq!(place.pointer(path), Some(&value), "{name}");
        assert_eq!(told["online"], true);
    }
    assert_eq!(world.metric("sg_aux_sockets", ""), 1.0);
    assert!(world.heard(aux).is_empty(), "it is told nothing");
    world.send(aux, "monitor:error", json!({"error": "VLC is gone", "timestamp": "t"}));
    assert_eq!(world.metric("sg_player_errors_total", ""), 1.0);
    assert!(world.is_open(own) && world.is_open(aux));
}

#[test]
fn r14_of_too_many_auxiliary_sockets_the_oldest_goes() {
    let mut world = World::with(settings());
    let (admin, own) = (world.admin(), socket(&mut world));
    register(&mut world, own);
    let aux: Vec<Id> = (0..3).map(|_| socket(&mut world)).collect();
    assert_eq!(aux.iter().map(|aux| world.is_open(*aux)).collect::<Vec<_>>(), [false, true, true]);
    assert!(world.is_open(own));
    assert_eq!(world.all(admin, "device:connected").len(), 1);
    world.hears_nothing(admin, "device:disconnected");
}

#[test]
fn r15_a_device_is_asked_when_it_was_quiet_and_after_a_command() {
    let mut world = World::with(settings());
    let (admin, own) = (world.admin(), socket(&mut world));
    register(&mut world, own);
    world.hears(own, "player:request:state");
    world.send(own, "player:state", full_state(1));
    let aux = socket(&mut world);
    world.pass(20_000);
    world.send(aux, "system:status", json!({"uptime": 5}));
    world.pass(29_999);
    world.hears_nothing(own, "player:request:state");
    world.pass(1_000);
    world.hears(own, "player:request:state");
    // It never answers: that is no error, and it is asked again at the same pace.
    world.pass(90_000);
    assert_eq!(world.all(own, "player:request:state").len(), 3);
    world.hears_nothing(own, "player:error");
    // Twice, late, and as another device.
    world.send(own, "player:state", full_state(2));
    world.send(own, "player:state", full_state(2));
    let mut foreign = full_state(3);
    foreign["deviceId"] = json!("p2");
    assert_eq!(world.asks(own, "player:state", foreign)["error"]["code"], "DEVICE_ID_MISMATCH");
    world.pass(1_000);
    world.all(admin, "state:updated");
    let answer = |world: &mut World, id: &str| {
        command(world, admin, "vlc:play", id);
        world.send(own, "player:command:response", json!({"commandId": id, "status": "success"}));
    };
    answer(&mut world, "a");
    world.pass(999);
    world.hears_nothing(own, "player:request:state");
    world.pass(1);
    world.hears(own, "player:request:state");
    answer(&mut world, "b");
    world.pass(500);
    world.send(own, "player:state", full_state(4));
    world.pass(5_000);
    world.hears_nothing(own, "player:request:state");
    command(&mut world, admin, "vlc:pause", "d");
    world.send(own, "player:command:response", json!({"commandId": "d", "status": "error"}));
    world.pass(5_000);
    world.hears_nothing(own, "player:request:state");
    assert_eq!(world.metric("sg_state_requests_total", ""), 6.0);
    let later = world.admin();
    world.hears(later, "state:updated");
    world.hears_nothing(own, "player:request:state");
    world.leaves(own, CloseReason::TransportClose);
    world.heard(aux);
    world.pass(100_000);
    assert!(world.heard(aux).is_empty(), "only its own socket is asked");
}

#[test]
fn r15_nobody_is_asked_for_what_has_come_or_where_it_is_off() {
    let mut world = World::with(settings());
    let own = socket(&mut world);
    world.send(own, "player:state", full_state(1));
    world.hears(own, "player:registered");
    world.hears_nothing(own, "player:request:state");
    register(&mut world, own);
    world.hears_nothing(own, "player:request:state");
    // What came before its handshake does not count for the next one.
    world.leaves(own, CloseReason::TransportClose);
    let own = socket(&mut world);
    register(&mut world, own);
    world.hears(own, "player:request:state");
    let mut world = World::with(Settings { state_request_interval_ms: 0, ..settings() });
    let own = socket(&mut world);
    register(&mut world, own);
    world.hears(own, "player:request:state");
    world.pass(600_000);
    world.hears_nothing(own, "player:request:state");
}

#[test]
fn r15_ten_thousand_quiet_devices_wake_their_fleet_a_few_times() {
    let mut world = World::with(settings());
    let count = 300;
    let sockets: Vec<Id> = (0..count)
        .map(|number| {
            world.pass(97);
            let socket = by_fleet_token(&mut world, json!({"deviceId": format!("p{number}")}));
            world.send(socket, "player:register", json!({"deviceId": format!("p{number}")}));
            socket
        })
        .collect();
    sockets.iter().for_each(|socket| drop(world.heard(*socket)));
    let before = world.timers_run;
    world.pass(30_500);
    let woken = world.timers_run - before;
    assert!(woken < 100, "{woken} times for {count} devices");
    assert!(sockets.iter().all(|socket| world.all(*socket, "player:request:state").len() == 1));
}

#[test]
fn r17_commands_for_the_auxiliary_socket_succeed_in_silence() {
    let mut world = World::with(settings());
    let (admin, own) = (world.admin(), socket(&mut world));
    register(&mut world, own);
    command(&mut world, admin, "sync:restart", "none");
    let rejected = world.hears(admin, "command:response");
    assert_eq!((&rejected["status"], &rejected["code"]), (&json!("rejected"), &json!("DEVICE_OFFLINE")));
    let (older, newest) = (socket(&mut world), socket(&mut world));
    world.heard(own);
    let params = json!({"volume": 5});
    let ask =
        json!({"deviceId": "p1", "command": "sync:updateConfig", "commandId": "u", "params": params, "timeoutMs": 1});
    world.send(admin, "player:command", ask);
    assert_eq!(world.hears(newest, "command"), json!({"id": "u", "type": "updateConfig", "data": params}));
    world.pass(1_999);
    world.hears_nothing(admin, "command:response");
    world.pass(1);
    let done = world.hears(admin, "command:response");
    assert_eq!((&done["status"], &done["result"]), (&json!("success"), &json!({"assumed": true})));
    assert_eq!(world.asks(newest, "command:error", json!({"commandId": "u", "error": "late"}))["ignored"], "late");
    command(&mut world, admin, "sync:updatePlaylist", "p");
    // The device's own socket does not answer for it, and another command's id is nobody's.
    let ack = world.asks(own, "player:command:response", json!({"commandId": "p", "status": "success"}));
    assert_eq!(ack["ignored"], "unknown");
    assert_eq!(world.asks(newest, "command:error", json!({"commandId": "x"}))["ignored"], "unknown");
    world.send(newest, "command:error", json!({"commandId": "p", "error": "no such playlist"}));
    let failed = world.hears(admin, "command:response");
    assert_eq!((&failed["status"], &failed["message"]), (&json!("error"), &json!("no such playlist")));
    command(&mut world, admin, "sync:restart", "r");
    command(&mut world, admin, "sync:updateConfig", "v");
    world.leaves(newest, CloseReason::TransportClose);
    let restarted = world.hears(admin, "command:response");
    assert_eq!((&restarted["commandId"], &restarted["status"]), (&json!("r"), &json!("success")));
    world.hears_nothing(admin, "command:response");
    world.pass(2_000);
    assert_eq!(world.hears(admin, "command:response")["commandId"], "v");
    world.hears_nothing(own, "command");
    world.hears_nothing(older, "command");
    world.hears_nothing(own, "player:command");
    world.hears_nothing(own, "player:request:state");
}

#[test]
fn r17_a_command_of_an_auxiliary_socket_does_not_wait_for_the_device_to_come_back() {
    let mut world = World::with(settings());
    let (admin, own) = (world.admin(), socket(&mut world));
    register(&mut world, own);
    let aux = socket(&mut world);
    command(&mut world, admin, "sync:updateConfig", "u");
    world.leaves(own, CloseReason::TransportClose);
    let own = socket(&mut world);
    world.send(own, "player:register", json!({"deviceId": "p1"}));
    assert_eq!(world.hears(own, "player:registered")["pendingCommands"], 0);
    assert_eq!(world.all(aux, "command").len(), 1);
    world.pass(2_000);
    assert_eq!(world.hears(admin, "command:response")["attempts"], 1);
    let unknown = World::with(Settings { extra_commands: Vec::new(), ..settings() });
    let mut world = unknown;
    let (admin, own) = (world.admin(), socket(&mut world));
    register(&mut world, own);
    command(&mut world, admin, "sync:restart", "r");
    assert_eq!(world.hears(admin, "command:response")["code"], "UNSUPPORTED_COMMAND");
}

#[test]
fn r18_a_snapshot_that_is_announced_and_never_there_is_a_timeout() {
    let mut world = World::with(settings());
    let (admin, own) = (world.admin(), socket(&mut world));
    register(&mut world, own);
    world.heard(own);
    world.send(admin, "device:snapshot", json!({"deviceId": "p1"}));
    assert_eq!(world.hears(admin, "device:snapshot"), json!({"deviceId": "p1", "snapshot": null, "requested": true}));
    // An attachment that is not there, and a snapshot without a time.
    let state = json!({"snapshot": {"data": {"_placeholder": true, "num": 4}}});
    world.event(own, Args::of("player:state", &[state]), None);
    world.send(own, "player:state", json!({"snapshot": {"url": "public/a.jpg"}}));
    world.pass(9_999);
    assert_eq!(world.all(own, "player:request:state").len(), 4);
    world.hears_nothing(admin, "device:snapshot");
    world.pass(1);
    let late = world.hears(admin, "device:snapshot");
    assert_eq!((&late["requested"], &late["error"]), (&json!(false), &json!("TIMEOUT")));
    world.send(own, "player:state", json!({"snapshot": {"createdAt": "t"}}));
    world.pass(20_000);
    world.hears_nothing(admin, "device:snapshot");
    world.leaves(own, CloseReason::TransportClose);
    let offline = world.asks(admin, "device:snapshot", json!({"deviceId": "p1"}));
    assert_eq!((&offline["requested"], &offline["error"]), (&json!(false), &json!("DEVICE_OFFLINE")));
}

#[test]
fn r18_bytes_are_a_new_snapshot_too_and_whoever_has_left_waits_for_none() {
    let mut world = World::with(settings());
    let (admin, gone, own) = (world.admin(), world.admin(), socket(&mut world));
    register(&mut world, own);
    for asker in [admin, gone] {
        world.send(asker, "device:snapshot", json!({"deviceId": "p1"}));
        world.hears(asker, "device:snapshot");
    }
    world.leaves(gone, CloseReason::TransportClose);
    world.send(own, "player:state", json!({"snapshot": "data:image/gif;base64,R0lGODdh"}));
    let new = world.hears(admin, "device:snapshot");
    assert_eq!((&new["requested"], new["snapshot"]["sha256"].is_string()), (&json!(false), true));
    assert!(new["snapshot"].get("playerUrl").is_none(), "it is here, not there");
    world.pass(20_000);
    world.hears_nothing(admin, "device:snapshot");
}

#[test]
fn r19_without_a_token_a_legacy_client_may_little_and_only_from_listed_addresses() {
    let mut world = World::with(settings());
    let other = world.connect_from(IpAddr::from([10, 8, 0, 9]), Err(AuthFailure::Missing), json!({}), "");
    assert_eq!(world.refusal(other).0, "Device not authorized");
    let old = legacy(&mut world);
    for (name, payload, code) in [
        ("heartbeat", json!({"id": "x1"}), "NOT_REGISTERED"),
        ("command_received", json!({}), "NOT_REGISTERED"),
        ("player:register", json!({"deviceId": "x1"}), "FORBIDDEN"),
        ("player:state", json!({}), "FORBIDDEN"),
        ("state:update", json!({"changes": {}}), "FORBIDDEN"),
        ("devices:list", json!({}), "FORBIDDEN"),
        ("AUTHENTICATE", json!({"id": null}), "VALIDATION"),
        ("AUTHENTICATE", json!({"id": {}}), "VALIDATION"),
        ("AUTHENTICATE", json!(null), "VALIDATION"),
    ] {
        assert_eq!(world.asks(old, name, payload)["error"]["code"], code, "{name}");
    }
    world.call("POST", "/signage/devices/tokened/issue");
    let claimed = world.asks(old, "AUTHENTICATE", json!({"id": "tokened", "name": "x"}));
    assert_eq!(claimed["error"]["code"], "DEVICE_NOT_AUTHORIZED", "a token is not got round");
    assert_eq!(
        world.asks(old, "AUTHENTICATE", json!({"id": "x1", "name": "Old"})),
        json!({"ok": true, "id": "x1", "name": "Old"})
    );
    assert_eq!(world.asks(old, "player:state", json!({}))["error"]["code"], "FORBIDDEN", "still");
    assert_eq!(world.asks(old, "AUTHENTICATE", json!({"id": "x2"}))["error"]["code"], "DEVICE_ID_MISMATCH");
    assert_eq!(world.asks(old, "ERROR", json!({"message": "VLC is gone"}))["deviceId"], "x1");
}

#[test]
fn r19_in_development_mode_a_legacy_client_needs_no_address() {
    let mut world = World::new();
    let anybody: Identity = Claims { sub: "anonymous".into(), role: "*".into(), ..Claims::default() }.into();
    let anybody = Arc::new(anybody);
    let old = world.connect(Ok(anybody.clone()), json!({}), "");
    assert_eq!(world.asks(old, "heartbeat", json!({"id": "x"}))["error"]["code"], "NOT_REGISTERED");
    let id = world.asks(old, "AUTHENTICATE", json!({"id": null, "name": "Old", "mac": "aa"}))["id"].clone();
    let admin = world.connect(Ok(anybody), json!({}), "");
    world.heard(old);
    world.send(old, "heartbeat", json!({"id": id, "vlc": {"status": {"currentItem": "a"}}}));
    assert_eq!(world.hears(admin, "state:updated")["state"]["vlc"]["currentItem"], "a");
    world.send(admin, "player:command", json!({"deviceId": id, "command": "vlc:stop"}));
    let heard: Vec<String> = world.heard(old).into_iter().map(|(name, _)| name).collect();
    assert_eq!(heard, ["STOP"], "a device from now on, and asked for nothing");
}

#[test]
fn r20_only_what_comes_from_the_device_moves_last_seen() {
    let mut world = World::with(settings());
    let (admin, own) = (world.admin(), socket(&mut world));
    register(&mut world, own);
    let first = last_seen(&mut world, admin);
    world.pass(10_000);
    command(&mut world, admin, "vlc:play", "c");
    world.send(admin, "device:snapshot", json!({"deviceId": "p1"}));
    world.pass(40_000);
    assert_eq!(last_seen(&mut world, admin), first, "no request and no command");
    let aux = socket(&mut world);
    world.send(aux, "system:status", json!({"cpus": 4}));
    let second = last_seen(&mut world, admin);
    assert!(second > first);
    world.pass(1_000);
    world.pongs(admin);
    assert_eq!(last_seen(&mut world, admin), second, "nobody else's pong");
    world.pongs(own);
    let second = last_seen(&mut world, admin);
    assert_eq!(second, world.now.wall.to_string());
    world.pass(20_000);
    world.times_out(own, 15_000);
    let told = world.hears(admin, "device:disconnected")["lastSeen"].as_str().unwrap().to_owned();
    let expected = crate::base::time::WallMillis(world.now.wall.0 - 15_000).to_string();
    assert_eq!(told, expected, "when it was last heard of");
    assert!(told > second);
    let own = socket(&mut world);
    register(&mut world, own);
    world.pass(20_000);
    world.leaves(own, CloseReason::TransportClose);
    assert_eq!(last_seen(&mut world, admin), world.now.wall.to_string(), "it has said goodbye");
}
