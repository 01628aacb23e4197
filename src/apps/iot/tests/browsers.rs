//! Browsers: who comes in, what joining tells, what each event answers and refuses.

use serde_json::{Value, json};

use super::world::{D1, D2, World, claims, identity};
use crate::app::AuthFailure;
use crate::app::Token;
use crate::app::identity::{AuthMethod, Claims};
use crate::app::link::{LinkEnd, LinkId, LinkMessage};
use crate::apps::iot::settings::{Join, Settings};

fn open() -> Settings {
    Settings { join: Join::Open, open_origins: vec!["*".into()], ..Settings::default() }
}

#[test]
fn joining_tells_that_it_has_and_what_is_known() {
    let mut world = World::new();
    world.knows("s1", "c0", "ddeeff");
    let id = world.person("s1", "viewer");
    assert!(world.heard(id).is_empty(), "nothing unasked before it has joined");
    let ack = world.asks(id, "join-system", json!("s1"));
    let heard = world.heard(id);
    let (name, status) = &heard[0];
    assert_eq!(name, "connection-status");
    assert_eq!((&status["connected"], &status["systemId"]), (&json!(true), &json!("s1")));
    assert!(status["timestamp"].as_str().unwrap().ends_with('Z') && status["socketId"].is_string());
    assert_eq!((&ack["ok"], &ack["socketId"]), (&json!(true), &status["socketId"]));
    let told: Vec<(&str, &Value)> = heard[1..].iter().map(|(name, view)| (&**name, &view["deviceId"])).collect();
    assert_eq!(told, [("device-update", &json!("c0")), ("device-update", &json!("c1"))]);
    assert_eq!(heard[1].1["reason"], "snapshot");
    // On every join again, by whatever form its name has.
    for payload in [json!({"systemId": "s1"}), json!(null), json!(""), json!({})] {
        world.send(id, "join-system", payload);
        assert_eq!(world.names(id), ["connection-status", "device-update", "device-update"]);
    }
}

#[test]
fn a_system_that_is_not_ones_own_is_forbidden_and_nothing_changes() {
    let mut world = World::new();
    let id = world.person("s1", "admin");
    world.send(id, "join-system", json!("s2"));
    let error = world.hears(id, "device-error");
    let text = "Acceso denegado a este sistema";
    assert_eq!(error, json!({"deviceId": null, "error": "FORBIDDEN_SYSTEM", "message": text, "event": "join-system"}));
    world.reports("s2", D2, json!({"switch:0": {"output": true}}));
    assert!(world.heard(id).is_empty());
    world.send(id, "join-system", json!(5));
    assert_eq!(world.hears(id, "device-error")["error"], "VALIDATION");
}

#[test]
fn nobody_comes_in_without_a_token_of_a_system() {
    let mut world = World::new();
    let refused = |world: &mut World, verified| {
        let id = world.brings(verified);
        world.refusal(id)
    };
    for why in [AuthFailure::Missing, AuthFailure::Invalid, AuthFailure::Expired] {
        assert_eq!(refused(&mut world, Err(why)), ("Unauthorized".into(), json!({"code": "UNAUTHENTICATED"})));
    }
    let without = refused(&mut world, Ok(identity("", "admin")));
    assert_eq!(without, ("Unauthorized".into(), json!({"code": "NO_SYSTEM"})));
}

#[test]
fn an_open_door_lets_guests_look_and_nothing_else() {
    let mut world = World::with(open());
    let guest = world.brings(Err(AuthFailure::Missing));
    assert!(world.is_open(guest));
    world.send(guest, "request-device-update", json!(D1));
    assert_eq!(world.hears(guest, "device-error")["error"], "DEVICE_NOT_FOUND", "it has named no system");
    world.send(guest, "join-system", json!(null));
    assert_eq!(world.hears(guest, "device-error")["error"], "VALIDATION");
    world.send(guest, "join-system", json!("s1"));
    let heard = world.heard(guest);
    assert_eq!((heard.len(), &heard[0].1["systemId"], &heard[1].1["deviceId"]), (2, &json!("s1"), &json!("c1")));
    world.reports("s1", D1, json!({"switch:0": {"output": true}}));
    assert_eq!(world.names(guest), ["device-offline-status", "device-update"]);
    let said = json!({"systemId": "s1", "eventName": "x", "data": 1});
    assert_eq!(world.asks(guest, "broadcast-to-system", said)["error"]["code"], "FORBIDDEN");
    // Another system moves it; one that nobody knows is answered alike and makes nothing.
    world.heard(guest);
    for (system, devices) in [("s2", 1), ("s3", 0)] {
        world.send(guest, "join-system", json!(system));
        let heard = world.heard(guest);
        assert_eq!((heard.len(), &heard[0].1["systemId"]), (1 + devices, &json!(system)));
    }
    world.reports("s1", D1, json!({"switch:0": {"output": false}}));
    assert!(world.heard(guest).is_empty(), "of the system that it was in before");
    world.pass(2_000);
    let rows = "SELECT count(*) AS count FROM iot_connections WHERE systemId = 's3'";
    assert_eq!(world.count(rows), 0);
    // A token is judged whatever the door.
    let bad = world.brings(Err(AuthFailure::Invalid));
    assert_eq!(world.refusal(bad).1["code"], "UNAUTHENTICATED");
}

#[test]
fn in_development_mode_the_first_join_names_the_system() {
    let mut world = World::new();
    let dev = Claims { sub: "anonymous".into(), role: "*".into(), method: AuthMethod::Dev, ..Claims::default() };
    let id = world.brings(Ok(std::sync::Arc::new(dev.into())));
    world.send(id, "join-system", json!("s1"));
    assert_eq!(world.names(id), ["connection-status", "device-update"]);
    world.send(id, "join-system", json!("s2"));
    assert_eq!(world.hears(id, "device-error")["error"], "FORBIDDEN_SYSTEM");
}

#[test]
fn who_has_left_hears_nothing_till_it_joins_again() {
    let mut world = World::new();
    let id = world.watcher("s1", "viewer");
    let ack = world.asks(id, "leave-system", json!(null));
    assert_eq!((&ack["ok"], &ack["connected"]), (&json!(true), &json!(false)));
    let status = world.hears(id, "connection-status");
    assert_eq!((&status["connected"], &status["systemId"]), (&json!(false), &json!("s1")));
    world.reports("s1", D1, json!({"switch:0": {"output": true}}));
    assert!(world.heard(id).is_empty());
    world.send(id, "join-system", json!("s1"));
    assert_eq!(world.names(id), ["connection-status", "device-update"]);
}

#[test]
fn what_is_known_of_a_device_is_told_to_the_one_who_asks() {
    let mut world = World::new();
    let (id, other) = (world.watcher("s1", "viewer"), world.watcher("s1", "viewer"));
    for asked in [json!("c1"), json!("C1"), json!({"deviceId": "B0B21C12DD94"}), json!(D1)] {
        world.send(id, "request-device-update", asked);
        let view = world.hears(id, "device-update");
        assert_eq!(
            (&view["deviceId"], &view["reason"], &view["online"]),
            (&json!("c1"), &json!("manual"), &json!(false))
        );
    }
    for (asked, told) in [(json!("nothing"), json!("nothing")), (json!({"deviceId": D2}), json!(D2))] {
        world.send(id, "request-device-update", asked);
        let error = world.hears(id, "device-error");
        assert_eq!((&error["error"], &error["deviceId"]), (&json!("DEVICE_NOT_FOUND"), &told));
        assert_eq!(error["message"], "Dispositivo no encontrado");
    }
    assert!(world.heard(other).is_empty());
}

#[test]
fn a_test_message_comes_back() {
    let mut world = World::new();
    let id = world.person("s1", "viewer");
    for (payload, original) in
        [(json!({"a": 1}), json!({"a": 1})), (json!("x"), json!("x")), (json!(null), json!(null))]
    {
        world.send(id, "test-message", payload);
        let response = world.hears(id, "test-response");
        assert_eq!((&response["received"], &response["originalData"]), (&json!(true), &original));
        assert!(response["timestamp"].is_u64());
    }
    world.send(id, "test-message", json!("x".repeat(16 * 1024)));
    assert_eq!(world.hears(id, "device-error")["error"], "PAYLOAD_TOO_LARGE");
}

#[test]
fn the_sixty_first_event_of_a_minute_is_refused_and_the_socket_stays() {
    let mut world = World::new();
    let id = world.person("s1", "viewer");
    for _ in 0..65 {
        world.send(id, "request-device-update", json!("c1"));
    }
    assert_eq!(world.all(id, "device-update").len(), 60);
    let refused = world.all(id, "device-error");
    assert_eq!(refused.len(), 5);
    let expected = json!({
        "deviceId": null, "error": "RATE_LIMITED", "message": "Demasiados mensajes", "event": "request-device-update",
        "limit": 60, "windowMs": 60_000, "resetAt": "2025-08-20T10:00:01.000Z",
    });
    assert_eq!(refused[0], expected);
    let ack = world.asks(id, "join-system", json!("s1"));
    assert_eq!((&ack["ok"], &ack["error"]["code"]), (&json!(false), &json!("RATE_LIMITED")));
    // Test messages have a bucket of their own.
    world.heard(id);
    for _ in 0..61 {
        world.send(id, "test-message", json!(1));
    }
    assert_eq!((world.all(id, "test-response").len(), world.all(id, "device-error").len()), (60, 1));
    world.pass(1_000);
    world.send(id, "join-system", json!("s1"));
    assert_eq!(world.all(id, "connection-status").len(), 1);
}

#[test]
fn an_address_is_counted_over_all_its_sockets_of_a_system() {
    let mut world = World::with(Settings { max_messages_per_minute_ip: 3, ..Settings::default() });
    let (a, b, other) = (world.person("s1", "viewer"), world.person("s1", "viewer"), world.person("s2", "viewer"));
    for id in [a, b, a, b] {
        world.send(id, "request-device-update", json!("c1"));
    }
    assert_eq!(world.all(a, "device-update").len(), 2);
    let error = world.hears(b, "device-error");
    assert_eq!((&error["error"], &error["limit"]), (&json!("RATE_LIMITED"), &json!(3)));
    world.send(other, "request-device-update", json!("c2"));
    assert_eq!(world.all(other, "device-update").len(), 1);
}

#[test]
fn a_service_tells_a_room_something_unchanged() {
    let mut world = World::new();
    let (watcher, stranger) = (world.watcher("s1", "viewer"), world.watcher("s2", "viewer"));
    let service = world.brings(Ok(identity("", "service")));
    let said = |system: &str, name: &str, data: Value| json!({"systemId": system, "eventName": name, "data": data});
    let data = json!({"type": "smart-plug-assignment-updated", "n": 1.5, "ñ": [null, true]});
    assert_eq!(world.asks(service, "broadcast-to-system", said("s1", "my:event", data.clone())), json!({"ok": true}));
    assert_eq!(world.heard(watcher), [("my:event".to_owned(), data)]);
    assert!(world.heard(stranger).is_empty());
    let code = |world: &mut World, id, payload| world.asks(id, "broadcast-to-system", payload)["error"]["code"].clone();
    for wrong in [
        said("s1", "disconnect", json!(1)),
        said("s1", "a b", json!(1)),
        said("", "a", json!(1)),
        json!({"systemId": "s1", "eventName": "a"}),
        json!("s1"),
    ] {
        assert_eq!(code(&mut world, service, wrong.clone()), "VALIDATION", "{wrong}");
    }
    let admin = world.person("s1", "admin");
    assert_eq!(code(&mut world, admin, said("s1", "a", json!(1))), "FORBIDDEN");
    let limited = world.brings(Ok(std::sync::Arc::new(claims("s1", "service").into())));
    assert_eq!(code(&mut world, limited, said("s2", "a", json!(1))), "FORBIDDEN_SYSTEM");
    assert_eq!(world.asks(limited, "broadcast-to-system", said("s1", "a", json!(1))), json!({"ok": true}));
}

#[test]
fn an_address_of_a_bridge_may_tell_rooms_too() {
    let mut world = World::with(Settings { bridge_addresses: vec!["10.0.0.0/24".into()], ..Settings::default() });
    let id = world.person("s1", "viewer");
    let said = json!({"systemId": "s1", "eventName": "a", "data": null});
    assert_eq!(world.asks(id, "broadcast-to-system", said), json!({"ok": true}));
}

#[test]
fn an_unknown_event_is_counted_and_acked() {
    let mut world = World::new();
    let id = world.person("s1", "viewer");
    assert_eq!(world.asks(id, "explode", json!(1))["error"]["code"], "UNKNOWN_EVENT");
    world.send(id, "explode", json!(1));
    assert!(world.heard(id).is_empty());
    assert_eq!(world.tally().unknown, 2);
}

#[test]
fn one_row_stands_for_the_sockets_of_a_system() {
    let mut world = World::new();
    let (a, b) = (world.watcher("s1", "viewer"), world.watcher("s1", "viewer"));
    let row = |world: &mut World, status: &str, sockets: u32| {
        world.pass(1_000);
        let one = "SELECT count(*) AS count FROM iot_connections WHERE type = 'SOCKET_IO' AND referenceId = 's1'";
        assert_eq!(world.count(one), 1);
        let rows: Vec<crate::apps::iot::connection::Connection> =
            world.store.rows(crate::app::sql::Statement::new("SELECT * FROM iot_connections"));
        assert_eq!(crate::app::settings::Word::word(rows[0].status), status);
        assert_eq!(rows[0].metadata(), json!({"sockets": sockets}));
    };
    row(&mut world, "connected", 2);
    world.leaves(a, crate::base::close::CloseReason::ClientNamespaceDisconnect);
    row(&mut world, "connected", 1);
    world.leaves(b, crate::base::close::CloseReason::ClientNamespaceDisconnect);
    row(&mut world, "disconnected", 0);
    let logs = "SELECT count(*) AS count FROM iot_logs WHERE eventType = 'disconnect' AND clientIp = '10.0.0.4' AND userAgent = 'UA'";
    assert_eq!(world.count(logs), 2);
}

#[test]
fn a_large_system_is_told_in_parts_each_device_once_and_in_order() {
    let mut world = World::new();
    for number in 0..1_200 {
        world.knows("s1", &format!("d{number:04}"), &format!("{number:012x}"));
    }
    let id = world.person("s1", "viewer");
    world.send(id, "join-system", json!("s1"));
    world.pass(1_000);
    let told = world.all(id, "device-update");
    let ids: Vec<&str> = told.iter().filter_map(|view| view["deviceId"].as_str()).collect();
    assert_eq!(ids.len(), 1_201);
    assert!(ids.is_sorted());
}

#[test]
fn what_rooms_are_told_goes_to_the_bridge_while_that_is_there() {
    let mut world = World::with(Settings { bridge_url: "https://bridge.example".into(), ..Settings::default() });
    let dialled = |world: &World| (1..100).find(|token| world.link_dialled(*token).is_some());
    let token = dialled(&world).expect("it is dialled at the start");
    let url = "wss://bridge.example/socket.io/?EIO=4&transport=websocket";
    assert_eq!(world.link_dialled(token).unwrap().url, url);
    world.reports("s1", D1, json!({"switch:0": {"output": true}}));
    assert_eq!(world.metric("iot_bridge_dropped_total", ""), 2.0, "nobody is there yet");
    world.link_opens(token, None);
    let link = LinkId::Dialled(Token(token));
    world.link_says(link, LinkMessage::text("0{}"));
    world.link_says(link, LinkMessage::text("40{}"));
    world.link_says(link, LinkMessage::text("2"));
    world.reports("s1", D1, json!({"switch:0": {"output": false}}));
    let told = world.link_told(link);
    assert_eq!(told[..2], [LinkMessage::text("40"), LinkMessage::text("3")]);
    let LinkMessage::Text(text) = &told[2] else { panic!("{told:?}") };
    let said: Value = serde_json::from_str(text.strip_prefix("42").unwrap()).unwrap();
    assert_eq!((&said[0], &said[1]["systemId"]), (&json!("broadcast-to-system"), &json!("s1")));
    assert_eq!((&said[1]["eventName"], &said[1]["data"]["relayOn"]), (&json!("device-update"), &json!(false)));
    world.link_ends(link, LinkEnd::Silent);
    world.pass(5_000);
    assert!(dialled(&world).is_some(), "and again");
}
