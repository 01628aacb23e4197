//! What comes of a device, whatever brought it: what is told, in which order, once, and what is on disk.

use serde_json::{Value, json};

use super::world::{D1, D2, Id, World};
use crate::apps::iot::settings::Settings;

fn plug(is_on: bool, power: f64) -> Value {
    json!({"switch:0": {"output": is_on, "apower": power, "voltage": 231.2, "temperature": {"tC": 40.0}}})
}

/// The one update, and nothing else.
fn update(world: &mut World, id: Id) -> Value {
    let heard = world.heard(id);
    assert_eq!(heard.len(), 1, "{heard:?}");
    assert_eq!(heard[0].0, "device-update");
    heard[0].1.clone()
}

#[test]
fn a_status_is_told_to_its_system_at_once_and_its_row_follows() {
    let mut world = World::new();
    let (id, stranger) = (world.watcher("s1", "viewer"), world.watcher("s2", "viewer"));
    world.reports("s1", D1, plug(true, 42.5));
    let heard = world.heard(id);
    let names: Vec<&str> = heard.iter().map(|(name, _)| &**name).collect();
    assert_eq!(names, ["device-offline-status", "device-update"]);
    let expected = json!({
        "type": "device-update", "deviceId": "c1", "shellyDeviceId": D1, "name": "Láser 1", "online": true,
        "relayOn": true, "currentPower": 42.5, "voltage": 231.2, "temperature": 40.0, "totalEnergy": null,
        "hasValidConsumption": true, "stateKnown": true, "timestamp": world.now.wall.0,
        "reason": "websocket_message_received",
    });
    assert_eq!(heard[1].1, expected);
    let mut transition = expected;
    transition["type"] = json!("device-offline-status");
    assert_eq!(heard[0].1, transition);
    assert!(world.heard(stranger).is_empty());
    world.pass(600);
    let row = &world.devices()[0];
    assert!(row.online && row.known && row.last_seen_at.is_some());
    assert_eq!((row.shown().power, row.cloud_id.as_deref()), (Some(42.5), Some("194279021665684")));
    assert_eq!(world.metric("iot_status_total", "applied"), 1.0);
    assert_eq!((world.metric("iot_devices", "true"), world.metric("iot_devices", "")), (1.0, 2.0));
}

#[test]
fn a_partial_status_leaves_what_it_does_not_say() {
    let mut world = World::new();
    let id = world.watcher("s1", "viewer");
    world.reports("s1", D1, plug(true, 42.5));
    world.heard(id);
    world.pass(200);
    world.reports("s1", D1, json!({"switch:0": {"apower": 10}}));
    let view = update(&mut world, id);
    assert_eq!(
        (&view["relayOn"], &view["currentPower"], &view["voltage"]),
        (&json!(true), &json!(10.0), &json!(231.2))
    );
    world.pass(200);
    world.reports("s1", D1, json!({"switch:0": {"apower": null, "output": "yes", "voltage": 230}}));
    let view = update(&mut world, id);
    assert_eq!(
        (&view["relayOn"], &view["currentPower"], &view["voltage"]),
        (&json!(true), &json!(10.0), &json!(230.0))
    );
    assert_eq!(world.metric("iot_status_total", "field"), 1.0);
}

#[test]
fn the_same_again_and_what_is_older_tell_nothing() {
    let mut world = World::new();
    let id = world.watcher("s1", "viewer");
    let status = |serial: f64, power: f64| json!({"serial": serial, "switch:0": {"output": true, "apower": power}});
    world.reports("s1", D1, status(1_634_630_341.44, 10.0));
    world.heard(id);
    world.reports("s1", D1, status(1_634_630_341.44, 11.0));
    world.reports("s1", D1, status(1_634_630_340.0, 12.0));
    world.pass(1_000);
    assert!(world.heard(id).is_empty());
    assert_eq!((world.metric("iot_status_total", "keepalive"), world.metric("iot_status_total", "stale")), (1.0, 1.0));
    // What changes nothing that is shown moves the time alone.
    world.reports("s1", D1, status(1_634_630_342.0, 10.0));
    world.pass(1_000);
    assert!(world.heard(id).is_empty());
    assert_eq!(world.devices()[0].last_seen_at.map(|at| at.0 / 1_000), Some((world.now.wall.0 - 1_000) / 1_000));
}

#[test]
fn a_device_that_goes_is_told_once_with_what_was_known_of_it() {
    let mut world = World::new();
    let id = world.watcher("s1", "viewer");
    world.reports("s1", D1, plug(true, 42.5));
    world.heard(id);
    for _ in 0..2 {
        world.says("s1", json!({"id": D1, "gone": "websocket_disconnected"}));
    }
    let heard = world.heard(id);
    assert_eq!(heard.len(), 1, "{heard:?}");
    let expected = json!({
        "type": "device-offline-status", "deviceId": "c1", "shellyDeviceId": D1, "name": "Láser 1", "online": false,
        "relayOn": false, "currentPower": 0.0, "voltage": null, "temperature": null, "totalEnergy": null,
        "hasValidConsumption": false, "stateKnown": false, "lastKnown": {"relayOn": true, "currentPower": 42.5},
        "timestamp": world.now.wall.0, "reason": "websocket_disconnected",
    });
    assert_eq!(heard[0], ("device-offline-status".to_owned(), expected));
    world.pass(600);
    let row = &world.devices()[0];
    assert!(!row.online && row.last_disconnect_at.is_some());
    assert_eq!((row.shown().relay_on, row.shown().power, row.shown().voltage), (Some(false), Some(0.0), None));
}

#[test]
fn a_device_that_comes_without_a_status_is_online_and_nothing_is_invented() {
    let mut world = World::new();
    let id = world.watcher("s1", "viewer");
    world.reports("s1", D1, plug(true, 42.5));
    world.says("s1", json!({"id": D1, "gone": "shelly_online_event"}));
    world.heard(id);
    for _ in 0..2 {
        world.says("s1", json!({"id": D1, "there": "shelly_online_event"}));
    }
    let heard = world.heard(id);
    let names: Vec<&str> = heard.iter().map(|(name, _)| &**name).collect();
    assert_eq!(names, ["device-offline-status", "device-update"]);
    for (_, view) in &heard {
        assert_eq!(
            (&view["online"], &view["relayOn"], &view["currentPower"]),
            (&json!(true), &json!(null), &json!(null))
        );
        assert_eq!((&view["stateKnown"], &view["hasValidConsumption"]), (&json!(false), &json!(false)));
        assert_eq!(view["reason"], "shelly_online_event");
    }
    // Part of a status is laid over nothing: what it was before it went is not known any more.
    world.pass(200);
    world.reports("s1", D1, json!({"switch:0": {"apower": 3}}));
    let view = update(&mut world, id);
    assert_eq!((&view["relayOn"], &view["currentPower"], &view["voltage"]), (&json!(null), &json!(3.0), &json!(null)));
    assert_eq!(view["stateKnown"], false);
}

#[test]
fn a_device_that_another_source_holds_stays() {
    let mut world = World::new();
    let id = world.watcher("s1", "viewer");
    world.reports("s1", D1, plug(true, 1.0));
    world.says("s1", json!({"id": D1, "source": "direct", "status": plug(true, 1.0)}));
    world.heard(id);
    world.says("s1", json!({"id": D1, "gone": "websocket_disconnected"}));
    assert!(world.heard(id).is_empty());
    world.says("s1", json!({"id": D1, "source": "direct", "gone": "device_ws_closed"}));
    assert_eq!(world.hears(id, "device-offline-status")["reason"], "device_ws_closed");
}

#[test]
fn a_relay_is_told_at_once_and_the_rest_ten_times_a_second() {
    let mut world = World::new();
    let id = world.watcher("s1", "viewer");
    world.reports("s1", D1, plug(true, 1.0));
    world.heard(id);
    for power in 2..=9 {
        world.reports("s1", D1, plug(true, f64::from(power)));
        world.pass(5);
    }
    assert!(world.heard(id).is_empty(), "they wait");
    world.pass(100);
    assert_eq!(update(&mut world, id)["currentPower"], 9.0, "the newest");
    world.reports("s1", D1, plug(true, 10.0));
    world.reports("s1", D1, plug(false, 0.0));
    assert_eq!(update(&mut world, id)["relayOn"], false);
    world.pass(1_000);
    assert!(world.heard(id).is_empty(), "nothing is told twice");
}

#[test]
fn a_device_of_nobody_is_counted_and_noted() {
    let mut world = World::new();
    let id = world.watcher("s1", "viewer");
    world.reports("s1", D2, plug(true, 1.0));
    world.says("s1", json!({"id": "112233445566", "there": "shelly_online_event"}));
    assert!(world.heard(id).is_empty());
    assert_eq!(world.metric("iot_status_total", "unmapped"), 2.0);
}

#[test]
fn energy_never_falls_and_goes_on_after_a_restart() {
    let mut world = World::new();
    let mut id = world.watcher("s1", "viewer");
    let total = |world: &mut World, id: Id, counted: f64| {
        world.pass(200);
        world.reports("s1", D1, json!({"switch:0": {"output": true, "aenergy": {"total": counted}}}));
        world.all(id, "device-update").pop().unwrap()["totalEnergy"].clone()
    };
    for (counted, shown) in [(100.0, 100.0), (150.0, 150.0), (5.0, 155.0)] {
        assert_eq!(total(&mut world, id, counted), json!(shown));
    }
    world.pass(1_000);
    world.restart();
    id = world.watcher("s1", "viewer");
    assert_eq!(total(&mut world, id, 7.0), json!(157.0));
}

#[test]
fn devices_that_nothing_will_hold_are_offline_after_a_start() {
    let mut world = World::new();
    world.watcher("s1", "viewer");
    world.reports("s1", D1, plug(true, 42.5));
    world.pass(1_000);
    assert!(world.devices()[0].online);
    world.restart();
    world.pass(1_000);
    assert!(!world.devices()[0].online, "nobody had to look");
    let id = world.person("s1", "viewer");
    world.send(id, "join-system", json!("s1"));
    let view = world.hears(id, "device-update");
    assert_eq!((&view["online"], &view["relayOn"]), (&json!(false), &json!(false)));
}

#[test]
fn while_the_store_fails_all_is_told_and_rows_are_right_afterwards() {
    let mut world = World::new();
    let id = world.watcher("s1", "viewer");
    world.pass(1_000);
    world.store.down = true;
    world.reports("s1", D1, plug(true, 1.0));
    world.pass(200);
    world.reports("s1", D1, plug(true, 2.0));
    world.pass(2_000);
    assert_eq!(world.all(id, "device-update").len(), 2);
    assert!(!world.devices()[0].online);
    assert!(world.alerts.contains(&"store_failed"));
    world.store.down = false;
    world.pass(1_500);
    assert_eq!(world.devices()[0].shown().power, Some(2.0));
}

#[test]
fn timers_are_off_unless_they_are_set() {
    let mut world = World::new();
    let id = world.watcher("s1", "viewer");
    world.reports("s1", D1, plug(true, 1.0));
    world.heard(id);
    world.pass(3_600_000);
    assert!(world.heard(id).is_empty());
    let settings = Settings { state_timeout_ms: 1_000, consumption_timeout_ms: 500, ..Settings::default() };
    let mut world = World::with(settings);
    let id = world.watcher("s1", "viewer");
    world.reports("s1", D1, plug(true, 1.0));
    world.heard(id);
    world.pass(600);
    let view = update(&mut world, id);
    assert_eq!((&view["hasValidConsumption"], &view["currentPower"]), (&json!(false), &json!(1.0)), "nothing invented");
    assert_eq!(view["reason"], "consumption_timeout");
    world.pass(600);
    assert_eq!(world.hears(id, "device-offline-status")["reason"], "state_timeout");
}

#[test]
fn several_switches_are_channels() {
    let mut world = World::new();
    let id = world.watcher("s1", "viewer");
    let status =
        json!({"switch:0": {"output": true, "apower": 1}, "switch:1": {"output": false, "aenergy": {"total": 9}}});
    world.reports("s1", D1, status);
    let view = world.hears(id, "device-update");
    assert_eq!((&view["relayOn"], &view["currentPower"]), (&json!(true), &json!(1.0)));
    let expected = json!([
        {"id": 0, "relayOn": true, "currentPower": 1.0, "voltage": null, "totalEnergy": null},
        {"id": 1, "relayOn": false, "currentPower": null, "voltage": null, "totalEnergy": 9.0},
    ]);
    assert_eq!(view["channels"], expected);
}
