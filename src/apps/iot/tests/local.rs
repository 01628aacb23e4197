//! Devices that speak for themselves: those that dial us, and those that we dial.

use serde_json::{Value, json};

use super::shelly::{key, settings};
use super::world::{D1, World};
use crate::app::event::Args;
use crate::app::link::{LinkEnd, LinkId, LinkMessage};
use crate::app::route::Refused;
use crate::apps::iot::device::Device;
use crate::apps::iot::settings::Settings;
use crate::apps::iot::wire::path;
use crate::apps::iot::wire::seal::Keyring;
use crate::apps::iot::{ROW, tables};
use crate::base::rng::Rng;
use crate::base::time::WallMillis;
use crate::testing::outside::answer;

const SRC: &str = "shellyplusplugs-B0B21C12DD94";

/// A system with a secret, and somebody who watches.
fn world() -> (World, String, u32) {
    let mut world = World::with(settings());
    let (secret, hash) = path::mint("s1", &mut Rng::from_seed([8; 32]));
    for statement in tables::outbound::put("s1", &hash, WallMillis(1)) {
        world.store.put(statement);
    }
    world.restart();
    let watcher = world.watcher("s1", "operator");
    (world, format!("/api/shelly/ws/{secret}"), watcher)
}

fn arrives(world: &mut World, path: &str) -> Result<LinkId, Refused> {
    world.link_arrives(&ROW, path, &[], &["json-rpc"])
}

fn notify(method: &str, params: Value) -> Value {
    json!({"src": SRC, "dst": "ws", "method": method, "params": params})
}

fn full() -> Value {
    notify(
        "NotifyFullStatus",
        json!({"ts": 1.0, "switch:0": {"id": 0, "output": true, "apower": 42.5, "voltage": 230}, "wifi": {"rssi": -53}}),
    )
}

#[test]
fn a_device_that_dials_us_with_its_systems_secret_is_let_in() {
    let (mut world, path, watcher) = world();
    let link = arrives(&mut world, &path).unwrap();
    let admission = world.link_admission(link).unwrap();
    assert_eq!(admission.subprotocol.as_deref(), Some("json-rpc"));
    assert_eq!((admission.terms.ping_interval_ms, admission.terms.ping_timeout_ms), (20_000, 20_000));
    world.cloud_says(link, &full());
    let told = world.hears(watcher, "device-update");
    assert_eq!(
        (&told["relayOn"], &told["currentPower"], &told["shellyDeviceId"]),
        (&json!(true), &json!(42.5), &json!(D1))
    );
    world.cloud_says(link, &notify("NotifyStatus", json!({"ts": 2.0, "switch:0": {"id": 0, "apower": 10}})));
    world.pass(200);
    let told = world.hears(watcher, "device-update");
    assert_eq!(
        (&told["relayOn"], &told["currentPower"], &told["voltage"]),
        (&json!(true), &json!(10.0), &json!(230.0))
    );
    assert!(world.told(link).is_empty(), "it says by itself what there is to know");
    world.cloud_closes(link);
    let told = world.all(watcher, "device-offline-status");
    assert_eq!((told.len(), &told[1]["reason"]), (2, &json!("device_ws_closed")));
}

#[test]
fn a_wrong_secret_is_turned_away_before_the_upgrade() {
    let (mut world, path, _) = world();
    let (other, _) = path::mint("s1", &mut Rng::from_seed([9; 32]));
    let (elsewhere, _) = path::mint("nowhere", &mut Rng::from_seed([8; 32]));
    for secret in [other, elsewhere] {
        let link = arrives(&mut world, &format!("/api/shelly/ws/{secret}")).unwrap();
        assert_eq!(world.link_left(link).unwrap().0, 403);
    }
    for text in ["x", "czE.AAAA", "."] {
        assert_eq!(arrives(&mut world, &format!("/api/shelly/ws/{text}")).unwrap_err().status, 403, "{text}");
    }
    world.store.put(tables::outbound::revoke("s1", WallMillis(2)));
    world.restart();
    let link = arrives(&mut world, &path).unwrap();
    assert_eq!(world.link_left(link).unwrap().0, 403, "revoked");
}

#[test]
fn a_command_goes_to_the_device_itself_and_says_how_it_was() {
    let (mut world, path, person) = world();
    let link = arrives(&mut world, &path).unwrap();
    world.cloud_says(link, &full());
    world.heard(person);
    let said = json!({"deviceId": D1, "action": "on", "timer": 1_800});
    world.event(person, Args::of("control-device", &[said]), Some(7));
    let told = world.told(link);
    assert_eq!(
        (&told[0]["method"], &told[0]["params"], &told[0]["src"]),
        (&json!("Switch.Set"), &json!({"id": 0, "on": true, "toggle_after": 1_800}), &json!("siod"))
    );
    world.cloud_says(link, &json!({"id": told[0]["id"], "src": SRC, "dst": "siod", "result": {"was_on": false}}));
    assert_eq!(world.hears(person, "device-command-result")["wasOn"], false);
    world.cloud_says(link, &json!({"id": 7, "src": SRC, "method": "Shelly.GetTime"}));
    assert_eq!(world.told(link)[0]["error"], json!({"code": 500, "message": "Not Implemented"}));
}

#[test]
fn changes_before_everything_are_not_applied_and_everything_is_asked_for() {
    let (mut world, path, watcher) = world();
    let link = arrives(&mut world, &path).unwrap();
    world.cloud_says(link, &notify("NotifyStatus", json!({"ts": 2.0, "switch:0": {"id": 0, "apower": 10}})));
    world.cloud_says(link, &notify("NotifyStatus", json!({"ts": 3.0, "switch:0": {"id": 0, "apower": 11}})));
    assert!(world.heard(watcher).is_empty());
    let told = world.told(link);
    assert_eq!((told.len(), &told[0]["method"]), (1, &json!("Shelly.GetStatus")));
    world.cloud_says(
        link,
        &json!({"id": told[0]["id"], "src": SRC, "result": {"switch:0": {"output": false}, "sys": {}}}),
    );
    assert_eq!(world.hears(watcher, "device-update")["relayOn"], false);
}

#[test]
fn a_second_socket_takes_the_place_of_the_first_and_nothing_is_told() {
    let (mut world, path, watcher) = world();
    let first = arrives(&mut world, &path).unwrap();
    world.cloud_says(first, &full());
    world.heard(watcher);
    let second = arrives(&mut world, &path).unwrap();
    world.cloud_says(second, &full());
    assert!(world.link_left(first).is_some() && world.link_left(second).is_none());
    world.hears_nothing(watcher, "device-offline-status");
    world.cloud_closes(second);
    assert_eq!(world.hears(watcher, "device-offline-status")["online"], false);
}

#[test]
fn a_sleeper_that_goes_is_not_offline() {
    let (mut world, path, watcher) = world();
    let link = arrives(&mut world, &path).unwrap();
    world.cloud_says(
        link,
        &notify("NotifyFullStatus", json!({"ts": 1.0, "sys": {"wakeup_period": 7_200}, "switch:0": {"output": true}})),
    );
    world.heard(watcher);
    world.cloud_closes(link);
    assert!(world.heard(watcher).is_empty());
}

#[test]
fn a_device_that_speaks_for_another_and_one_that_says_nothing() {
    let (mut world, path, watcher) = world();
    let link = arrives(&mut world, &path).unwrap();
    world.cloud_says(link, &full());
    world.heard(watcher);
    let mut other = full();
    other["src"] = json!("shellyplusplugs-aabbccddee02");
    world.cloud_says(link, &other);
    for text in ["{", "[]", "{}"] {
        world.link_says(link, LinkMessage::text(text));
    }
    assert!(world.heard(watcher).is_empty());
    assert_eq!((world.metric("iot_status_total", "unmapped"), world.metric("iot_status_total", "invalid")), (1.0, 3.0));
    let mute = arrives(&mut world, &path).unwrap();
    world.pass(59_000);
    assert!(world.link_left(mute).is_none());
    world.pass(1_100);
    assert!(world.link_left(mute).is_some() && world.link_left(link).is_none());
}

#[test]
fn what_happens_at_a_device_is_told() {
    let (mut world, path, watcher) = world();
    let link = arrives(&mut world, &path).unwrap();
    world.cloud_says(link, &full());
    world.heard(watcher);
    let events = json!({"ts": 2.0, "events": [{"component": "input:0", "event": "single_push", "ts": 1.5}, {"component": "sys", "event": "ota_begin"}]});
    world.cloud_says(link, &notify("NotifyEvent", events));
    let told = world.all(watcher, "device-event");
    assert_eq!(
        (told.len(), &told[0]["component"], &told[0]["kind"], &told[0]["ts"]),
        (1, &json!("input:0"), &json!("single_push"), &json!(1.5))
    );
}

/// A system with a device that is dialled, and its password.
fn dialled(password: Option<&str>, generation: u8) -> World {
    let settings = Settings { lan_networks: vec!["10.1.0.0/16".to_owned()], ..settings() };
    let mut world = World::with(settings);
    for (id, ip) in [("c7", "10.1.0.7"), ("c8", "10.2.0.8")] {
        let mut device = Device::new(id.into(), &format!("aabbccddee0{}", &id[1..]), "Láser", WallMillis(1));
        device.generation = generation;
        let sealed = password.map(|it| Keyring::new(&key(1), &[]).seal(id, it, &mut Rng::from_seed([4; 32])).unwrap());
        let extra = device.extra_mut();
        (extra.ip, extra.password) = (Some(ip.into()), sealed.map(String::into_boxed_str));
        world.store.put(tables::devices::add("s1", &device));
    }
    world.restart();
    world
}

#[test]
fn a_device_in_a_listed_network_is_dialled_and_must_be_itself() {
    let mut world = dialled(None, 2);
    let watcher = world.watcher("s1", "operator");
    world.pass(10);
    let dials: Vec<u64> = (1..1_000).filter(|token| world.link_dialled(*token).is_some()).collect();
    assert_eq!(dials.len(), 1, "the other is in no listed network");
    assert_eq!(world.link_dialled(dials[0]).unwrap().url, "ws://10.1.0.7/rpc");
    let link = world.opens();
    let told = world.told(link);
    assert_eq!((told.len(), &told[0]["method"]), (1, &json!("Shelly.GetDeviceInfo")));
    world.cloud_says(link, &json!({"id": told[0]["id"], "src": "shellyplusplugs-aabbccddee07", "result": {"mac": "AABBCCDDEE99", "gen": 2}}));
    assert!(world.link_left(link).is_some(), "another device");
    world.pass(5_000);
    let link = world.opens();
    let told = world.told(link);
    world.cloud_says(link, &json!({"id": told[0]["id"], "src": "shellyplusplugs-aabbccddee07", "result": {"mac": "AABBCCDDEE07", "gen": 2, "model": "SNPL-00112EU"}}));
    let told = world.told(link);
    assert_eq!(told[0]["method"], "Shelly.GetStatus");
    world.cloud_says(
        link,
        &json!({"id": told[0]["id"], "src": "shellyplusplugs-aabbccddee07", "result": {"switch:0": {"output": true}}}),
    );
    assert_eq!(world.hears(watcher, "device-update")["relayOn"], true);
    world.heard(watcher);
    world.link_ends(link, LinkEnd::Silent);
    assert_eq!(world.hears(watcher, "device-offline-status")["reason"], "device_ws_closed");
    world.pass(7_500);
    assert!(world.dialled().is_some(), "it is dialled again");
}

/// A device that asks for a password, its nonce a number, its count a text.
fn challenge(id: &Value) -> Value {
    let asked = r#"{"auth_type":"digest","nonce":1707272138,"nc":"1","realm":"shellyplusplugs-aabbccddee07","algorithm":"SHA-256"}"#;
    json!({"id": id, "src": "shellyplusplugs-aabbccddee07", "error": {"code": 401, "message": asked}})
}

fn known(world: &mut World) -> LinkId {
    world.pass(10);
    let link = world.opens();
    let told = world.told(link);
    world.cloud_says(link, &json!({"id": told[0]["id"], "src": "shellyplusplugs-aabbccddee07", "result": {"mac": "AABBCCDDEE07", "gen": 2}}));
    link
}

#[test]
fn a_password_answers_a_challenge_at_the_second_request() {
    let mut world = dialled(Some("secret"), 2);
    let watcher = world.watcher("s1", "operator");
    let link = known(&mut world);
    let first = world.told(link);
    world.cloud_says(link, &challenge(&first[0]["id"]));
    let second = world.told(link);
    assert_eq!(second.len(), 1);
    assert_eq!((&second[0]["auth"]["nonce"], &second[0]["auth"]["nc"]), (&json!(1_707_272_138), &json!(1)));
    world.cloud_says(link, &json!({"id": second[0]["id"], "src": "shellyplusplugs-aabbccddee07", "result": {"switch:0": {"output": true}}}));
    assert_eq!(world.hears(watcher, "device-update")["relayOn"], true);
    for action in ["on", "off"] {
        world.event(watcher, Args::of("control-device", &[json!({"deviceId": "c7", "action": action})]), None);
    }
    let third = world.told(link);
    assert_eq!(
        (third.len(), &third[0]["auth"]["nc"], &third[0]["params"]["on"]),
        (1, &json!(2), &json!(true)),
        "one by one"
    );
    world.cloud_says(
        link,
        &json!({"id": third[0]["id"], "src": "shellyplusplugs-aabbccddee07", "result": {"was_on": false}}),
    );
    let fourth = world.told(link);
    assert_eq!((&fourth[0]["auth"]["nc"], &fourth[0]["params"]["on"]), (&json!(3), &json!(false)));
}

#[test]
fn a_wrong_password_is_tried_once() {
    let mut world = dialled(Some("wrong"), 2);
    let watcher = world.watcher("s1", "operator");
    let link = known(&mut world);
    let first = world.told(link);
    world.cloud_says(link, &challenge(&first[0]["id"]));
    let second = world.told(link);
    world.cloud_says(link, &challenge(&second[0]["id"]));
    assert!(world.told(link).is_empty());
    assert_eq!(world.link_left(link).unwrap().1, "AUTH_FAILED");
    let told = world.hears(watcher, "device-error");
    assert_eq!((&told["deviceId"], &told["error"]), (&json!("c7"), &json!("AUTH_FAILED")));
    world.send(watcher, "control-device", json!({"deviceId": "c7", "action": "on"}));
    assert_eq!(world.hears(watcher, "device-command-result")["error"], "AUTH_FAILED");
    world.pass(600_000);
    assert!(world.dialled().is_none(), "no loop");
}

#[test]
fn a_call_that_is_not_answered_is_over_in_time() {
    let mut world = dialled(None, 2);
    world.pass(10);
    let link = world.opens();
    world.pass(10_000);
    assert_eq!(world.link_left(link).unwrap().1, "it does not answer");
    world.pass(8_000);
    // One that says who it is and not how it is, is asked again when something of it changes.
    let link = known(&mut world);
    let changes = json!({"src": "shellyplusplugs-aabbccddee07", "method": "NotifyStatus", "params": {"switch:0": {"output": true}}});
    for (wait_ms, asked) in [(0, 1), (0, 0), (10_000, 0), (0, 1)] {
        world.pass(wait_ms);
        let told = world.told(link);
        assert_eq!(told.iter().filter(|call| call["method"] == "Shelly.GetStatus").count(), asked, "{told:?}");
        world.cloud_says(link, &changes);
    }
    assert!(world.link_left(link).is_none());
}

#[test]
fn the_first_generation_is_asked_by_http() {
    let mut world = dialled(Some("secret"), 1);
    world.outside.says(|fetch| match fetch.url.strip_prefix("http://10.1.0.7") {
        Some("/shelly") => answer(200, r#"{"type":"SHPLG-S","mac":"AABBCCDDEE07","auth":true}"#),
        Some("/status") => {
            assert!(fetch.headers.iter().any(|(_, value)| value == "Basic YWRtaW46c2VjcmV0"));
            answer(200, r#"{"relays":[{"ison":true}],"meters":[{"power":12.5,"total":60}]}"#)
        }
        Some("/relay/0?turn=off") => answer(200, r#"{"ison":false}"#),
        Some("/relay/0?turn=on&timer=60") => answer(200, r#"{"ison":true,"has_timer":true}"#),
        other => panic!("{other:?}"),
    });
    world.restart();
    let person = world.watcher("s1", "operator");
    world.pass(10);
    let shown = world.devices().into_iter().find(|device| &*device.id == "c7");
    assert!(shown.is_some());
    world.event(person, Args::of("control-device", &[json!({"deviceId": "c7", "action": "off"})]), None);
    world.pass(10);
    let told = world.all(person, "device-update");
    assert_eq!(told.last().map(|told| told["relayOn"].clone()), Some(json!(false)));
    world.event(person, Args::of("control-device", &[json!({"deviceId": "c7", "action": "on", "timer": 60})]), None);
    world.pass(10);
    assert!(world.all(person, "device-command-result").iter().all(|told| told["ok"] == true));
}

#[test]
fn a_device_that_is_asked_about_is_asked_itself_once_in_ten_seconds() {
    let (mut world, path, watcher) = world();
    let link = arrives(&mut world, &path).unwrap();
    world.cloud_says(link, &full());
    world.heard(watcher);
    for _ in 0..3 {
        world.send(watcher, "request-device-update", json!(D1));
    }
    let told = world.told(link);
    assert_eq!(
        (told.len(), &told[0]["method"], &told[0]["params"]),
        (1, &json!("Switch.GetStatus"), &json!({"id": 0}))
    );
    assert_eq!(world.all(watcher, "device-update").len(), 3, "each is answered at once, by what is known");
    world.cloud_says(link, &json!({"id": told[0]["id"], "src": SRC, "result": {"id": 0, "output": false}}));
    assert_eq!(world.hears(watcher, "device-update")["relayOn"], false);
    world.pass(10_000);
    world.send(watcher, "request-device-update", json!("c1"));
    assert_eq!(world.told(link).len(), 1);
}

#[test]
fn when_the_process_ends_nobody_is_told_that_devices_are_offline() {
    let (mut world, path, watcher) = world();
    let link = arrives(&mut world, &path).unwrap();
    world.cloud_says(link, &full());
    world.heard(watcher);
    world.drains();
    world.link_ends(link, LinkEnd::Failed(crate::app::fetch::FetchFailure::Unavailable));
    world.hears_nothing(watcher, "device-offline-status");
    assert!(world.devices()[0].online);
}

#[test]
fn devices_that_nobody_has_claimed_are_noted_and_bounded() {
    let (mut world, path, watcher) = world();
    let says = |world: &mut World, number: u32| {
        let link = arrives(world, &path).unwrap();
        let src = format!("shellyplusplugs-{number:012x}");
        world.cloud_says(
            link,
            &json!({"src": src, "method": "NotifyFullStatus", "params": {"switch:0": {"output": true}}}),
        );
        link
    };
    for number in 1..=200 {
        let link = says(&mut world, number);
        assert!(world.link_left(link).is_none(), "{number}");
    }
    let link = arrives(&mut world, &path).unwrap();
    assert_eq!(world.link_left(link).unwrap().0, 503);
    assert!(world.heard(watcher).is_empty(), "others are not affected");
    assert_eq!(world.metric("iot_status_total", "unmapped"), 200.0);
}
