//! Devices that are refused, paired, and given new tokens (SIGNAGE 9.21 to 9.23).

use std::net::IpAddr;

use serde_json::{Value, json};

use super::world::{Id, World, by_fleet_token, fleet_world};
use crate::app::AuthFailure;
use crate::app::identity::{Claims, Identity};
use crate::apps::signage::settings::Settings;
use crate::base::close::CloseReason;

fn pairing() -> World {
    World::with(Settings { pairing: true, ..Settings::default() })
}

fn waiting(world: &mut World, address: u8) -> Id {
    let ip = IpAddr::from([10, 1, 1, address]);
    world.connect_from(ip, Err(AuthFailure::Missing), json!({"pairing": true}), "")
}

fn code(world: &mut World, seat: Id) -> String {
    world.send(seat, "player:pair", json!({"deviceName": "Hall"}));
    world.hears(seat, "player:pairing")["code"].as_str().unwrap().to_owned()
}

fn listed(world: &mut World, who: Id, id: &str) -> Value {
    let list = world.asks(who, "devices:list", json!({}));
    list["devices"].as_array().unwrap().iter().find(|device| device["deviceId"] == id).cloned().unwrap_or_default()
}

fn pair(world: &mut World, admin: Id, code: &str, id: &str) -> Value {
    world.asks(admin, "device:pair", json!({"code": code, "deviceId": id, "deviceGroup": "g1"}))
}

#[test]
fn what_players_put_into_the_query_as_objects_says_nothing() {
    let mut world = fleet_world();
    let admin = world.admin();
    let object = "%5Bobject+Object%5D";
    let query = format!("deviceId=p1&deviceName={object}&deviceGroup=g1&deviceNetwork={object}");
    let p1 = world.connect(Err(AuthFailure::Invalid), json!({"token": "player_token"}), &query);
    world.send(p1, "player:register", json!({"deviceId": "p1"}));
    let told = world.hears(admin, "device:connected");
    assert_eq!((&told["deviceName"], &told["deviceGroup"]), (&json!(""), &json!("g1")));
    assert_eq!(told.get("deviceNetwork"), None);
    let query = format!("deviceId={object}");
    let nameless = world.connect(Err(AuthFailure::Invalid), json!({"token": "player_token"}), &query);
    world.send(nameless, "player:register", json!({"deviceId": "p2"}));
    assert_eq!(world.hears(nameless, "player:registered")["deviceId"], "p2");
}

#[test]
fn r20_a_device_is_not_seen_before_it_comes_and_an_end_to_its_tokens_does_not_show_it() {
    let mut world = World::new();
    let admin = world.admin();
    world.call("POST", "/signage/devices/p1/issue");
    let token = world.replies.pop().unwrap().1["token"].as_str().unwrap().to_owned();
    assert_eq!(listed(&mut world, admin, "p1")["lastSeen"], Value::Null);
    assert_eq!(world.asks(admin, "device:state", json!({"deviceId": "p1"}))["lastSeen"], Value::Null);
    let p1 = world.device("p1", &token);
    world.send(p1, "player:register", json!({"deviceId": "p1"}));
    let at = json!(world.now.wall.to_string());
    assert_eq!(listed(&mut world, admin, "p1")["lastSeen"], at);
    world.pass(1_000);
    world.asks(admin, "device:revoke", json!({"deviceId": "p1"}));
    assert_eq!(world.hears(admin, "device:disconnected")["lastSeen"], at, "it was put out");
    world.pass(1_000);
    world.device("p1", &token);
    assert_eq!(listed(&mut world, admin, "p1")["lastSeen"], at, "whoever knocks is not let in");
}

#[test]
fn r21_the_last_refused_attempt_is_kept_over_a_success_and_a_restart() {
    let mut world = World::new();
    let (admin, viewer) = (world.admin(), world.person("viewer", &["g1"]));
    let p1 = world.player("p1", "g1");
    assert_eq!(listed(&mut world, admin, "p1")["lastFailure"]["reason"], "unknown_token", "its own knock");
    world.pass(1_000);
    let from = IpAddr::from([10, 6, 6, 6]);
    world.connect_from(from, Err(AuthFailure::Invalid), json!({"deviceId": "p1", "authToken": "guess"}), "");
    let at = world.now.wall.to_string();
    let failure = json!({"reason": "unknown_token", "at": at, "ip": "10.6.6.6"});
    assert_eq!(listed(&mut world, admin, "p1")["lastFailure"], failure);
    world.pass(1_000);
    let again = world.device("p1", "token-p1");
    assert!(world.is_open(again));
    assert_eq!(listed(&mut world, admin, "p1")["lastFailure"], failure, "a success does not take it away");
    assert_eq!(listed(&mut world, viewer, "p1").get("lastFailure"), None, "for admins");
    world.call("GET", "/signage/devices");
    assert_eq!(world.replies.pop().unwrap().1["devices"][0]["lastFailure"], failure);
    world.player("p2", "g1");
    world.send(p1, "player:state", json!({"deviceId": "p2"}));
    assert_eq!(listed(&mut world, admin, "p2")["lastFailure"]["reason"], "device_id_mismatch");
    world.pass(1_000);
    world.restart();
    let admin = world.admin();
    assert_eq!(listed(&mut world, admin, "p1")["lastFailure"], failure);
}

#[test]
fn r22_a_device_is_paired_by_its_code() {
    let mut world = pairing();
    let admin = world.admin();
    let seat = waiting(&mut world, 1);
    assert!(world.is_open(seat));
    for (name, payload) in [
        ("player:register", json!({"deviceId": "p1"})),
        ("player:state", json!({})),
        ("devices:list", json!({})),
        ("AUTHENTICATE", json!({"id": "p1"})),
    ] {
        assert_eq!(world.asks(seat, name, payload)["error"]["code"], "FORBIDDEN", "{name}");
    }
    let told = world.asks(seat, "player:pair", json!({"deviceName": "Hall"}));
    let shown = told["code"].as_str().unwrap().to_owned();
    assert!(shown.len() == 6 && shown.bytes().all(|byte| matches!(byte, b'A'..=b'Z' | b'2'..=b'9')), "{shown}");
    assert_eq!(told["expiresAt"], json!(crate::base::time::WallMillis(world.now.wall.0 + 600_000).to_string()));
    world.heard(seat);
    assert_eq!(code(&mut world, seat), shown, "the same for as long as it is good");
    let ack = pair(&mut world, admin, &shown.to_lowercase(), "p1");
    assert_eq!(ack, json!({"ok": true, "deviceId": "p1"}), "without the token");
    assert!(!world.heard(admin).iter().any(|(_, payload)| payload.to_string().contains("authToken")));
    let paired = world.hears(seat, "player:paired");
    let token = paired["authToken"].as_str().unwrap();
    assert_eq!(paired["deviceId"], "p1");
    assert!(!world.is_open(seat));
    let p1 = world.device("p1", token);
    assert!(world.is_open(p1), "{:?}", world.refusal(p1));
    let shown = listed(&mut world, admin, "p1");
    assert_eq!((&shown["deviceName"], &shown["deviceGroup"]), (&json!("Hall"), &json!("g1")));
    world.pass(1_000);
    world.restart();
    let p1 = world.device("p1", token);
    assert!(world.is_open(p1), "it is on disk");
}

#[test]
fn r22_a_code_that_is_guessed_expired_or_used_is_unknown() {
    let mut world = pairing();
    let (admin, other) = (world.admin(), world.admin());
    let seat = waiting(&mut world, 1);
    let shown = code(&mut world, seat);
    let unknown = |ack: &Value| ack["error"]["code"] == "PAIR_CODE_UNKNOWN";
    world.pass(600_000);
    assert!(unknown(&pair(&mut world, admin, &shown, "p1")), "expired");
    let next = code(&mut world, seat);
    assert!(unknown(&pair(&mut world, admin, &shown, "p1")), "and gone");
    world.pass(60_000);
    // Ten guesses, and then not even the right one.
    for guess in 0..10 {
        assert!(unknown(&pair(&mut world, admin, &format!("GUESS{guess}"), "p1")), "{guess}");
    }
    let throttled = pair(&mut world, admin, &next, "p1");
    assert_eq!(
        (&throttled["error"]["code"], &throttled["error"]["details"]["limit"]),
        (&json!("THROTTLED"), &json!(10))
    );
    assert_eq!(pair(&mut world, other, &next, "p1")["ok"], true, "who has not guessed");
    assert!(unknown(&pair(&mut world, other, &next, "p2")), "used");
    world.hears(seat, "player:paired");
    let gone = waiting(&mut world, 1);
    let left = code(&mut world, gone);
    world.leaves(gone, CloseReason::TransportClose);
    assert!(unknown(&pair(&mut world, other, &left, "p3")));
    for bad in [json!({"deviceId": "p1"}), json!({"code": 5, "deviceId": "p1"}), json!({"code": "AAAAAA"}), json!("x")]
    {
        assert_eq!(world.asks(other, "device:pair", bad)["error"]["code"], "VALIDATION");
    }
    let operator = world.person("operator", &["g1"]);
    assert_eq!(pair(&mut world, operator, "AAAAAA", "p1")["error"]["code"], "FORBIDDEN");
}

#[test]
fn r22_few_wait_at_an_address_and_none_where_pairing_is_off() {
    let mut world = pairing();
    let seats: Vec<Id> = (0..6).map(|_| waiting(&mut world, 1)).collect();
    assert_eq!(seats.iter().filter(|seat| world.is_open(**seat)).count(), 5);
    assert_eq!(world.refusal(seats[5]).1["code"], "TOO_MANY_WAITING");
    let elsewhere = waiting(&mut world, 2);
    assert!(world.is_open(elsewhere));
    world.leaves(seats[0], CloseReason::TransportClose);
    let room = waiting(&mut world, 1);
    assert!(world.is_open(room));
    let mut world = World::new();
    let refused = waiting(&mut world, 1);
    assert_eq!(world.refusal(refused).0, "Device not authorized");
    // In development mode as well.
    let mut world = pairing();
    let dev: Identity = Claims { sub: "anonymous".into(), role: "*".into(), ..Claims::default() }.into();
    let seat = world.connect(Ok(std::sync::Arc::new(dev)), json!({"pairing": true}), "");
    code(&mut world, seat);
}

#[test]
fn r22_what_cannot_be_stored_pairs_nobody_and_the_code_stays_good() {
    let mut world = pairing();
    let admin = world.admin();
    let seat = waiting(&mut world, 1);
    let shown = code(&mut world, seat);
    world.store.down = true;
    assert_eq!(pair(&mut world, admin, &shown, "p1")["error"]["code"], "STORE_UNAVAILABLE");
    world.hears_nothing(seat, "player:paired");
    world.store.down = false;
    world.pass(2_000);
    assert_eq!(pair(&mut world, admin, &shown, "p1")["ok"], true);
    world.hears(seat, "player:paired");
}

#[test]
fn r23_the_old_token_is_good_until_an_hour_after_the_new_one_was_used() {
    let mut world = World::new();
    let admin = world.admin();
    let p1 = world.player("p1", "g1");
    let ack = world.asks(admin, "device:rotate-token", json!({"deviceId": "p1"}));
    assert_eq!(ack, json!({"ok": true, "deviceId": "p1"}), "the device has it");
    let token = world.hears(p1, "player:token")["authToken"].as_str().unwrap().to_owned();
    world.pass(10_000_000);
    let old = world.device("p1", "token-p1");
    assert!(world.is_open(old), "the new one has not been used");
    world.pass(1_000);
    world.restart();
    let new = world.device("p1", &token);
    assert!(world.is_open(new));
    world.pass(3_598_000);
    world.restart();
    let old = world.device("p1", "token-p1");
    assert!(world.is_open(old), "{:?}", world.refusal(old));
    world.pass(1_000);
    let old = world.device("p1", "token-p1");
    assert!(!world.is_open(old), "an hour is over");
    let by_token_alone = world.connect(Err(AuthFailure::Invalid), json!({"token": token}), "");
    assert!(world.is_open(by_token_alone));
    let admin = world.admin();
    let ack = world.asks(admin, "device:rotate-token", json!({"deviceId": "p1"}));
    let next = ack["authToken"].as_str().expect("the device is not here").to_owned();
    world.call("POST", "/signage/devices/p1/revoke");
    for ended in [&token, &next] {
        let socket = world.device("p1", ended);
        assert!(!world.is_open(socket), "both");
    }
}

#[test]
fn r23_the_admin_api_rotates_and_shows_the_token_once() {
    let mut world = World::new();
    let p1 = world.player("p1", "g1");
    for (target, status) in [("p1", 200), ("nobody", 404), ("*", 400)] {
        world.call("POST", &format!("/signage/devices/{target}/rotate"));
        let (got, body) = world.replies.pop().unwrap();
        assert_eq!(got, status, "{body}");
        if status == 200 {
            assert_eq!(body, json!({"deviceId": "p1", "authToken": body["authToken"]}));
            assert_eq!(world.hears(p1, "player:token")["authToken"], body["authToken"]);
        }
    }
    world.device("p2", "knock");
    world.call("POST", "/signage/devices/p2/rotate");
    assert_eq!(world.replies.pop().unwrap().0, 409, "not let in");
    world.store.down = true;
    world.call("POST", "/signage/devices/p1/rotate");
    assert_eq!(world.replies.pop().unwrap().0, 503);
    world.hears_nothing(p1, "player:token");
    let operator = world.person("operator", &["g1"]);
    assert_eq!(world.asks(operator, "device:rotate-token", json!({"deviceId": "p1"}))["error"]["code"], "FORBIDDEN");
}

/// The commit is on its way while another socket registers: the token goes to the one that was here, and the other one's is good.
#[test]
fn r23_a_rotation_in_the_middle_of_a_takeover() {
    let mut world = World::new();
    let admin = world.admin();
    let old = world.player("p1", "g1");
    let new = world.device("p1", "token-p1");
    world.heard(old);
    world.store.hangs = true;
    world.send(admin, "device:rotate-token", json!({"deviceId": "p1"}));
    world.send(new, "player:register", json!({"deviceId": "p1"}));
    world.store.hangs = false;
    while world.answer() {}
    let heard: Vec<String> = world.heard(old).into_iter().map(|(name, _)| name).collect();
    assert_eq!(heard, ["player:token", "player:replaced"]);
    world.hears(new, "player:registered");
    assert!(world.is_open(new) && !world.is_open(old));
    world.hears_nothing(admin, "device:disconnected");
    assert_eq!(world.hears(admin, "device:token-rotated"), json!({"deviceId": "p1"}));
    let again = world.device("p1", "token-p1");
    assert!(world.is_open(again), "what the new one came with");
}

/// Clones of one card: the newest registration is the device, and that it flaps is told.
#[test]
fn three_devices_that_claim_one_id() {
    let mut world = fleet_world();
    let admin = world.admin();
    let clone = |world: &mut World, address: u8| {
        let auth = json!({"deviceId": "p1", "token": "player_token"});
        world.connect_from(IpAddr::from([10, 2, 2, address]), Err(AuthFailure::Invalid), auth, "")
    };
    let mut here = Vec::new();
    for round in 0..3 {
        for address in 1..4 {
            let socket = clone(&mut world, address);
            world.send(socket, "player:register", json!({"deviceId": "p1"}));
            world.hears(socket, "player:registered");
            here.push(socket);
            let open: Vec<bool> = here.iter().map(|socket| world.is_open(*socket)).collect();
            assert_eq!(open.iter().filter(|open| **open).count(), 1, "round {round}");
            assert_eq!(open.last(), Some(&true), "the newest");
            assert_eq!(listed(&mut world, admin, "p1")["ip"], format!("10.2.2.{address}"));
        }
    }
    assert_eq!(world.all(admin, "device:connected").len(), 1);
    world.hears_nothing(admin, "device:disconnected");
    assert_eq!(world.hears(admin, "device:alert")["kind"], "duplicate_device");
    let aux = by_fleet_token(&mut world, json!({"deviceId": "p1"}));
    world.send(aux, "player:state", json!({"vlc": {"time": 1}}));
    assert!(world.is_open(*here.last().unwrap()), "a clone that only reports takes nothing over");
}
