//! Commands: over the cloud's socket, over HTTP, over the device's own; their answers, and what goes wrong.

use serde_json::{Value, json};

use super::shelly::{SET, devices, key, settings};
use super::world::{D1, World};
use crate::app::event::Args;
use crate::app::link::LinkId;
use crate::apps::iot::cloud::secrets::Secrets;
use crate::apps::iot::connection::Status;
use crate::apps::iot::settings::{CloudCommand, Settings};
use crate::base::secret::Secret;
use crate::base::time::WallMillis;

/// The plug of s1 is online over its account; somebody may switch it.
fn world(settings: Settings) -> (World, super::shelly::Shelly, u32, LinkId) {
    let mut world = World::with(settings);
    let shelly = world.cloud();
    shelly.says(super::shelly::ALL_STATUS, 200, devices(&[]));
    world.account("s1", "a1", 43_200);
    world.restart();
    let person = world.watcher("s1", "operator");
    let link = world.opens();
    world.plug_says(link, json!({"switch:0": {"output": false, "apower": 0}}));
    world.pass(2_000);
    world.heard(person);
    world.told(link);
    (world, shelly, person, link)
}

fn relay(trid: &Value, device: &str, data: Value) -> Value {
    json!({"event": "Shelly:CommandResponse", "trid": trid, "deviceId": device, "data": data})
}

const PLUG: &str = "194279021665684";

/// The acks of an event that is answered later.
fn asks(world: &mut World, person: u32, payload: Value) {
    world.event(person, Args::of("control-device", &[payload]), Some(7));
}

#[test]
fn a_command_is_a_relay_request_and_its_answer_is_the_result() {
    let (mut world, _, person, link) = world(settings());
    asks(&mut world, person, json!({"deviceId": "c1", "action": "on", "requestId": "r1"}));
    let told = world.told(link);
    assert_eq!(told.len(), 1);
    assert_eq!(told[0]["deviceId"], PLUG);
    assert_eq!(told[0]["data"], json!({"cmd": "relay", "params": {"id": 0, "turn": "on"}}));
    let trid = told[0]["trid"].clone();
    world.pass(120);
    // Answers of others, and to others.
    world.cloud_says(link, &relay(&json!(999), PLUG, json!({"isok": false})));
    world.cloud_says(link, &relay(&trid, "281474976710655", json!({"isok": false})));
    world.hears_nothing(person, "device-command-result");
    world.cloud_says(link, &relay(&trid, PLUG, json!({"isok": true})));
    let told = world.hears(person, "device-command-result");
    assert_eq!(told, json!({"requestId": "r1", "deviceId": "c1", "ok": true, "durationMs": 120}));
    assert_eq!(world.acked(person), json!({"ok": true, "requestId": "r1", "deviceId": "c1", "durationMs": 120}));
    world.cloud_says(link, &relay(&trid, PLUG, json!({"isok": true})));
    world.hears_nothing(person, "device-command-result");
    asks(&mut world, person, json!({"deviceId": "c1", "action": "on", "requestId": "r1"}));
    assert!(world.told(link).is_empty(), "the same request is one command");
    assert_eq!(world.hears(person, "device-command-result")["requestId"], "r1");
    assert_eq!(world.acked(person)["ok"], true);
}

#[test]
fn a_refusal_keeps_the_state_unless_it_says_that_the_device_is_offline() {
    let (mut world, _, person, link) = world(settings());
    asks(&mut world, person, json!({"deviceId": D1, "action": "off"}));
    let trid = world.told(link)[0]["trid"].clone();
    world.cloud_says(link, &relay(&trid, PLUG, json!({"isok": false, "errors": {"busy": "x"}})));
    let heard = world.heard(person);
    let names: Vec<&str> = heard.iter().map(|(name, _)| &**name).collect();
    assert_eq!(names, ["device-command-result", "device-error"]);
    assert_eq!(
        heard[1].1,
        json!({"deviceId": "c1", "error": "UPSTREAM_ERROR", "event": "control-device",
        "message": "El dispositivo o la nube ha rechazado la operación"})
    );
    assert_eq!(world.acked(person)["error"]["code"], "UPSTREAM_ERROR");
    asks(&mut world, person, json!({"deviceId": D1, "action": "off"}));
    let trid = world.told(link)[0]["trid"].clone();
    world.cloud_says(link, &relay(&trid, PLUG, json!({"isok": false, "errors": {"offline": "x"}})));
    let heard = world.heard(person);
    let gone = heard.iter().find(|(name, _)| name == "device-offline-status").unwrap();
    assert_eq!((&gone.1["reason"], &gone.1["online"]), (&json!("command_failed"), &json!(false)));
    assert_eq!(world.acked(person)["error"]["code"], "DEVICE_OFFLINE");
}

#[test]
fn silence_is_a_timeout_after_five_seconds_and_a_late_answer_is_nothing() {
    let (mut world, _, person, link) = world(settings());
    asks(&mut world, person, json!({"deviceId": "c1", "action": "toggle"}));
    let trid = world.told(link)[0]["trid"].clone();
    world.pass(4_990);
    world.hears_nothing(person, "device-command-result");
    world.pass(20);
    let told = world.hears(person, "device-command-result");
    assert_eq!((&told["error"], &told["durationMs"]), (&json!("TIMEOUT"), &json!(5_000)));
    world.cloud_says(link, &relay(&trid, PLUG, json!({"isok": true})));
    assert_eq!(world.acked(person)["error"]["code"], "TIMEOUT");
    world.hears_nothing(person, "device-command-result");
    assert_eq!(world.metric("iot_commands_total", "TIMEOUT"), 1.0);
}

#[test]
fn a_timer_is_kept_by_the_device_itself() {
    let (mut world, _, person, link) = world(settings());
    asks(&mut world, person, json!({"deviceId": "c1", "action": "on", "timer": 1_800}));
    let told = world.told(link);
    assert_eq!((&told[0]["event"], &told[0]["method"]), (&json!("Shelly:JrpcRequest"), &json!("Switch.Set")));
    assert_eq!(told[0]["params"], json!({"id": 0, "on": true, "toggle_after": 1_800}));
    let trid = told[0]["trid"].clone();
    assert!(trid.is_string());
    world.cloud_says(link, &json!({"event": "Shelly:JrpcResponse", "trid": trid, "deviceId": PLUG, "response": {"result": {"was_on": false}}}));
    assert_eq!(world.hears(person, "device-command-result")["wasOn"], false);
    for wrong in [
        json!({"action": "off", "timer": 5}),
        json!({"action": "toggle", "timer": 5}),
        json!({"action": "on", "timer": 0}),
        json!({"action": "on", "timer": 86_401}),
        json!({"action": "blink"}),
        json!({"action": "on", "channel": 16}),
        json!({}),
    ] {
        let mut wrong = wrong;
        wrong["deviceId"] = json!("c1");
        assert_eq!(world.asks(person, "control-device", wrong)["error"]["code"], "VALIDATION");
    }
    assert!(world.told(link).is_empty());
}

#[test]
fn the_first_generation_has_its_timer_by_the_key_or_not_at_all() {
    let (mut world, _, person, link) = world(settings());
    world.cloud_says(
        link,
        &json!({"event": "Shelly:StatusOnChange", "status": {"relays": [{"ison": false}], "meters": []},
        "device": {"id": PLUG, "code": "SHPLG-S", "gen": "G1"}}),
    );
    asks(&mut world, person, json!({"deviceId": "c1", "action": "on", "timer": 60}));
    assert!(world.told(link).is_empty(), "nothing is sent");
    assert_eq!(world.acked(person)["error"]["code"], "TIMER_UNSUPPORTED");
    asks(&mut world, person, json!({"deviceId": "c1", "action": "on"}));
    assert_eq!(world.told(link).len(), 1);
}

#[test]
fn jrpc_may_be_the_way_of_every_command() {
    let (mut world, _, person, link) = world(Settings { cloud_command: CloudCommand::Jrpc, ..settings() });
    asks(&mut world, person, json!({"deviceId": "c1", "action": "toggle", "channel": 1}));
    let told = world.told(link);
    assert_eq!((&told[0]["method"], &told[0]["params"]), (&json!("Switch.Toggle"), &json!({"id": 1})));
    world.pass(9_990);
    world.hears_nothing(person, "device-command-result");
    world.pass(20);
    assert_eq!(world.hears(person, "device-command-result")["error"], "TIMEOUT");
}

#[test]
fn a_key_alone_switches_by_http_one_call_a_second_in_order() {
    let mut world = World::with(settings());
    let shelly = world.cloud();
    shelly.says(SET, 200, json!(null));
    let secrets = Secrets { auth_key: Secret::new("k3y"), ends_at: WallMillis(0), ..Secrets::default() };
    world.account_with("s1", "a1", &secrets, &key(1), Status::Connected, true);
    let mut device = crate::apps::iot::device::Device::new("c9".into(), "aabbccddee01", "Láser 9", WallMillis(1));
    device.credential = Some("a1".into());
    world.store.put(crate::apps::iot::tables::devices::add("s1", &device));
    shelly.says(
        super::shelly::GET,
        200,
        json!([{"id": "aabbccddee01", "gen": "G2", "online": 1, "status": {"switch:0": {"output": true}}}]),
    );
    world.restart();
    let person = world.watcher("s1", "operator");
    world.pass(1_500);
    world.heard(person);
    for action in ["on", "off", "toggle"] {
        asks(&mut world, person, json!({"deviceId": "c9", "action": action}));
    }
    world.pass(10);
    assert_eq!(shelly.asked(SET), [r#"{"id":"aabbccddee01","channel":0,"on":true}"#]);
    world.pass(1_000);
    assert_eq!(shelly.asked(SET), [r#"{"id":"aabbccddee01","channel":0,"on":false}"#]);
    world.pass(1_000);
    assert_eq!(
        shelly.asked(SET),
        [r#"{"id":"aabbccddee01","channel":0,"on":false}"#],
        "the other state of the one that is known"
    );
    let told = world.all(person, "device-command-result");
    assert!(told.len() == 3 && told.iter().all(|told| told["ok"] == true), "{told:?}");
    shelly.says(SET, 400, json!({"error": "DEVICE_OFFLINE"}));
    asks(&mut world, person, json!({"deviceId": "c9", "action": "on", "timer": 60}));
    world.pass(1_000);
    assert_eq!(shelly.asked(SET), [r#"{"id":"aabbccddee01","channel":0,"on":true,"toggle_after":60}"#]);
    assert_eq!(world.hears(person, "device-command-result")["error"], "DEVICE_OFFLINE");
}

#[test]
fn several_devices_are_answered_each_and_in_the_order_asked() {
    let (mut world, _, person, link) = world(settings());
    world.event(person, Args::of("control-devices", &[json!({"deviceIds": ["nope", "c1"], "action": "on"})]), Some(7));
    let trid = world.told(link)[0]["trid"].clone();
    world.cloud_says(link, &relay(&trid, PLUG, json!({"isok": true})));
    let told = world.all(person, "device-command-result");
    assert_eq!(told.iter().map(|told| told["deviceId"].clone()).collect::<Vec<_>>(), [json!("nope"), json!("c1")]);
    let ack = world.acked(person);
    assert_eq!(
        (&ack["ok"], &ack["results"][0]["error"], &ack["results"][1]["ok"]),
        (&json!(false), &json!("DEVICE_NOT_FOUND"), &json!(true))
    );
    for wrong in [json!([]), json!(vec!["x"; 101]), json!([1]), json!("c1")] {
        let said = json!({"deviceIds": wrong, "action": "on"});
        assert_eq!(world.asks(person, "control-devices", said)["error"]["code"], "VALIDATION");
    }
    let viewer = world.watcher("s1", "viewer");
    assert_eq!(
        world.asks(viewer, "control-device", json!({"deviceId": "c1", "action": "on"}))["error"]["code"],
        "FORBIDDEN"
    );
    let other = world.watcher("s2", "operator");
    asks(&mut world, other, json!({"deviceId": "c1", "action": "on"}));
    assert_eq!(world.acked(other)["error"]["code"], "DEVICE_NOT_FOUND");
}

#[test]
fn a_socket_that_goes_ends_what_was_sent_over_it_and_without_one_there_is_no_way() {
    let (mut world, _, person, link) = world(settings());
    asks(&mut world, person, json!({"deviceId": "c1", "action": "on"}));
    world.told(link);
    world.cloud_closes(link);
    assert_eq!(world.acked(person)["error"]["code"], "UPSTREAM_DISCONNECTED");
    asks(&mut world, person, json!({"deviceId": "c1", "action": "on"}));
    assert_eq!(world.acked(person)["error"]["code"], "UPSTREAM_DISCONNECTED");
}

#[test]
fn commands_of_an_account_are_counted_together_and_several_devices_are_one() {
    let (mut world, _, person, link) = world(Settings { max_messages_per_minute: 3, ..settings() });
    for _ in 0..2 {
        let said = json!({"deviceIds": ["c1", "c1", "c1"], "action": "on"});
        world.event(person, Args::of("control-devices", &[said]), None);
        assert_eq!(world.told(link).len(), 3);
    }
    let second = world.watcher("s1", "operator");
    asks(&mut world, second, json!({"deviceId": "c1", "action": "on"}));
    assert_eq!(world.told(link).len(), 1);
    let third = world.watcher("s1", "admin");
    asks(&mut world, third, json!({"deviceId": "c1", "action": "on"}));
    assert!(world.told(link).is_empty());
    let error = world.hears(third, "device-error");
    assert_eq!(
        (&error["error"], &error["limit"], &error["windowMs"]),
        (&json!("RATE_LIMITED"), &json!(3), &json!(60_000))
    );
    assert!(error["resetAt"].is_string());
    assert_eq!(world.acked(third)["error"]["code"], "RATE_LIMITED");
}
