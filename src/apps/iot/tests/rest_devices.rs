//! Devices, accounts and secrets by HTTP.

use serde_json::{Value, json};

use super::shelly::{ALL_STATUS, LOGIN, devices, jwt, key, settings};
use super::world::{D1, D2, World};
use crate::apps::iot::settings::Settings;

const ADMIN: (&str, &str) = ("s1", "admin");
const OPERATOR: (&str, &str) = ("s1", "operator");
const VIEWER: (&str, &str) = ("s1", "viewer");
const DEVICES: &str = "/api/internal/smart-plug-devices";

#[test]
fn devices_are_rows_by_name_page_by_page() {
    let mut world = World::new();
    for (name, id) in [("B", "112233445566"), ("A", "112233445567")] {
        let (status, row) = world.rest(ADMIN, "POST", DEVICES, json!({"name": name, "deviceId": id}));
        assert_eq!((status, &row["name"], &row["deviceId"]), (201, &json!(name), &json!(id)));
        assert_eq!(
            (&row["online"], &row["appointmentOnlyMode"], &row["credential"]),
            (&json!(false), &json!(true), &json!(null))
        );
    }
    let names = |world: &mut World, query: &str| {
        let (_, body) = world.rest(VIEWER, "GET", &format!("{DEVICES}{query}"), Value::Null);
        let names = body["data"].as_array().unwrap().iter().map(|row| row["name"].clone()).collect::<Vec<_>>();
        (names, body["totalPages"].clone(), body["totalCount"].clone())
    };
    assert_eq!(names(&mut world, ""), (vec![json!("A"), json!("B"), json!("Láser 1")], json!(1), json!(3)));
    assert_eq!(names(&mut world, "?page=2&pageSize=2"), (vec![json!("Láser 1")], json!(2), json!(3)));
    assert_eq!(names(&mut world, "?credentialId=a1").2, 0);
    assert_eq!(world.rest(VIEWER, "GET", &format!("{DEVICES}?page=x"), Value::Null).0, 400);
    world.restart();
    assert_eq!(names(&mut world, "").2, 3, "they are on disk");
}

#[test]
fn a_device_is_claimed_once_and_with_what_makes_sense() {
    let mut world = World::new();
    for (body, status, code) in [
        (json!({"name": "x", "deviceId": "B0B21C12DD94"}), 409, "DEVICE_EXISTS"),
        (json!({"name": "x", "deviceId": "194279021665684"}), 409, "DEVICE_EXISTS"),
        (json!({"name": "", "deviceId": "112233445566"}), 400, "VALIDATION"),
        (json!({"name": "x"}), 400, "VALIDATION"),
        (json!({"name": "x", "deviceId": "no id"}), 400, "VALIDATION"),
        (json!({"name": "x", "deviceId": "112233445566", "deviceIp": "a b"}), 400, "VALIDATION"),
        (json!({"name": "x", "deviceId": "112233445566", "credentialId": "none"}), 404, "NOT_FOUND"),
        (json!({"name": "x", "deviceId": "112233445566", "localPassword": "p"}), 503, "NO_ENCRYPTION_KEY"),
    ] {
        let (got, answer) = world.rest(ADMIN, "POST", DEVICES, body.clone());
        assert_eq!((got, &answer["code"]), (status, &json!(code)), "{body}");
    }
    // Another system's device of the same id is another device.
    assert_eq!(world.rest(ADMIN, "POST", DEVICES, json!({"name": "x", "deviceId": D2})).0, 201);
}

#[test]
fn a_device_that_was_there_already_is_online_as_soon_as_it_is_claimed() {
    let mut world = World::new();
    let watcher = world.watcher("s1", "viewer");
    let (_, none) = world.rest(ADMIN, "GET", "/api/shelly/unclaimed", Value::Null);
    assert_eq!(none["data"], json!([]));
    world.reports("s1", D2, json!({"switch:0": {"output": true, "apower": 7}}));
    let (_, body) = world.rest(ADMIN, "GET", "/api/shelly/unclaimed", Value::Null);
    assert_eq!((&body["data"][0]["shellyDeviceId"], body["data"].as_array().unwrap().len()), (&json!(D2), 1));
    assert!(world.heard(watcher).is_empty());
    let (_, row) = world.rest(ADMIN, "POST", DEVICES, json!({"name": "Nuevo", "deviceId": D2}));
    assert_eq!((&row["online"], &row["relayOn"], &row["currentPower"]), (&json!(true), &json!(true), &json!(7.0)));
    assert_eq!(world.names(watcher), ["device-offline-status", "device-update"]);
    let (_, body) = world.rest(ADMIN, "GET", "/api/shelly/unclaimed", Value::Null);
    assert_eq!(body["data"], json!([]));
}

#[test]
fn a_new_assignment_is_told_to_the_system() {
    let mut world = World::new();
    let (watcher, stranger) = (world.watcher("s1", "viewer"), world.watcher("s2", "viewer"));
    let path = format!("{DEVICES}/{D1}");
    let assignment = json!({"equipment": {"name": "Láser"}, "clinic": {"name": "Centro"}});
    let body = json!({"clinicId": "k1", "equipmentClinicAssignmentId": "e1", "equipmentClinicAssignment": assignment});
    let (status, row) = world.rest(ADMIN, "PATCH", &path, body.clone());
    assert_eq!((status, &row["equipmentClinicAssignmentId"], &row["clinicId"]), (200, &json!("e1"), &json!("k1")));
    assert_eq!(row["equipment"], json!({"name": "Láser"}));
    let expected = json!({
        "type": "smart-plug-assignment-updated", "deviceId": "c1", "deviceName": "Láser 1", "systemId": "s1",
        "equipmentClinicAssignmentId": "e1", "clinicId": "k1", "equipmentName": "Láser", "clinicName": "Centro",
        "timestamp": "2025-08-20T10:00:00.000Z",
    });
    assert_eq!(world.heard(watcher), [("smart-plug-assignment-updated".to_owned(), expected)]);
    world.rest(ADMIN, "PATCH", &path, body);
    assert!(world.heard(watcher).is_empty(), "it is not new any more");
    let (_, row) = world.rest(ADMIN, "PATCH", &path, json!({"name": "Láser 2", "excludeFromSync": true}));
    assert_eq!((&row["name"], &row["excludeFromSync"]), (&json!("Láser 2"), &json!(true)));
    assert_eq!(world.hears(watcher, "device-update")["name"], "Láser 2");
    assert!(world.heard(stranger).is_empty());
    for wrong in [json!({"name": ""}), json!({"excludeFromSync": "yes"}), json!({"equipmentClinicAssignment": 5})] {
        assert_eq!(world.rest(ADMIN, "PATCH", &path, wrong).0, 400);
    }
    assert_eq!(world.rest(("s2", "admin"), "PATCH", &path, json!({"name": "x"})).0, 404);
    world.pass(1_000);
    assert_eq!(&*world.devices()[0].name, "Láser 2");
}

#[test]
fn options_of_appointments_are_switched_by_either_id() {
    let mut world = World::new();
    for (id, route, field) in
        [("c1", "toggle-appointment-only", "appointmentOnlyMode"), (D1, "toggle-auto-shutdown", "autoShutdownEnabled")]
    {
        let path = format!("{DEVICES}/{id}/{route}");
        let (status, body) = world.rest(OPERATOR, "POST", &path, json!({ field: false }));
        assert_eq!((status, body), (200, json!({"success": true, field: false})));
        assert_eq!(world.rest(OPERATOR, "POST", &path, json!({ field: 1 })).0, 400);
    }
    assert_eq!(world.rest(OPERATOR, "POST", &format!("{DEVICES}/none/toggle-auto-shutdown"), json!({})).0, 404);
    world.pass(1_000);
    assert!(!world.devices()[0].appointment_only && !world.devices()[0].auto_shutdown);
}

#[test]
fn a_device_that_is_dropped_is_nobodys() {
    let mut world = World::new();
    let watcher = world.watcher("s1", "viewer");
    world.reports("s1", D1, json!({"switch:0": {"output": true}}));
    world.heard(watcher);
    assert_eq!(world.rest(ADMIN, "DELETE", &format!("{DEVICES}/c1"), Value::Null).0, 200);
    assert_eq!(world.hears(watcher, "device-offline-status")["reason"], "manual_stop");
    assert_eq!(world.rest(ADMIN, "DELETE", &format!("{DEVICES}/c1"), Value::Null).0, 404);
    world.pass(1_000);
    assert_eq!(world.devices().len(), 1);
}

#[test]
fn a_device_is_renamed_by_admins() {
    let mut world = World::new();
    let (admin, watcher) = (world.watcher("s1", "admin"), world.watcher("s1", "viewer"));
    let ack = world.asks(admin, "rename-device", json!({"deviceId": D1, "name": "Cabina 2"}));
    assert_eq!(ack, json!({"ok": true, "deviceId": "c1", "name": "Cabina 2"}));
    assert_eq!(world.hears(watcher, "device-update")["name"], "Cabina 2");
    for (payload, code) in [
        (json!({"deviceId": D1, "name": ""}), "VALIDATION"),
        (json!({"deviceId": D1, "name": "x".repeat(101)}), "VALIDATION"),
        (json!({"deviceId": D2, "name": "x"}), "DEVICE_NOT_FOUND"),
    ] {
        assert_eq!(world.asks(admin, "rename-device", payload)["error"]["code"], code);
    }
    assert_eq!(
        world.asks(watcher, "rename-device", json!({"deviceId": D1, "name": "x"}))["error"]["code"],
        "FORBIDDEN"
    );
}

#[test]
fn a_control_by_http_is_answered_when_the_device_has() {
    let mut world = World::with(settings());
    let shelly = world.cloud();
    shelly.says(ALL_STATUS, 200, devices(&[]));
    world.account("s1", "a1", 43_200);
    world.restart();
    world.pass(10);
    let path = format!("/api/shelly/device/{D1}/control");
    let (status, body) = world.rest(OPERATOR, "POST", &path, json!({"action": "on"}));
    assert_eq!((status, &body["code"]), (409, &json!("UPSTREAM_DISCONNECTED")));
    let link = world.opens();
    world.plug_says(link, json!({"switch:0": {"output": false, "apower": 0}}));
    world.pass(2_000);
    world.told(link);
    assert_eq!(world.rest(OPERATOR, "POST", &path, json!({"action": "on"})), (0, Value::Null));
    let asked = world.told(link).remove(0);
    let answer = json!({"event": "Shelly:CommandResponse", "trid": asked["trid"], "deviceId": asked["deviceId"], "data": {"isok": true}});
    world.cloud_says(link, &answer);
    let (status, body) = world.replies.pop().unwrap();
    assert_eq!((status, &body["message"]), (200, &json!("Dispositivo encendido correctamente")));
    assert_eq!(body["data"]["deviceId"], "c1");
    assert_eq!(world.rest(OPERATOR, "POST", &path, json!({"action": "off"})), (0, Value::Null));
    world.pass(6_000);
    let (status, body) = world.replies.pop().unwrap();
    assert_eq!((status, &body["code"]), (504, &json!("TIMEOUT")));
    for (body, path, status, text) in [
        (json!({"action": "toggle"}), &*path, 400, "Acción inválida. Debe ser 'on' o 'off'"),
        (json!({}), &*path, 400, "Acción inválida. Debe ser 'on' o 'off'"),
        (json!({"action": "on"}), "/api/shelly/device/none/control", 404, "Dispositivo no encontrado"),
        (json!({"action": "on"}), "/api/shelly/device/c2/control", 404, "Dispositivo no encontrado"),
        (json!({"action": "on", "timer": 0}), &*path, 400, "Datos inválidos"),
    ] {
        let (got, answer) = world.rest(OPERATOR, "POST", path, body.clone());
        assert_eq!((got, &answer["error"]), (status, &json!(text)), "{body}");
    }
    let (_, shown) = world.rest(VIEWER, "GET", &format!("/api/shelly/device/{D1}/status"), Value::Null);
    assert_eq!(
        (&shown["online"], &shown["relay"]["isOn"], &shown["cloud"]["connected"]),
        (&json!(true), &json!(false), &json!(true))
    );
    assert_eq!(world.rest(VIEWER, "GET", "/api/shelly/device/none/status", Value::Null).0, 404);
}

#[test]
fn accounts_are_listed_without_a_secret() {
    let mut world = World::with(settings());
    let shelly = world.cloud();
    shelly.says(ALL_STATUS, 200, devices(&[]));
    world.account("s1", "a1", 43_200);
    world.restart();
    world.pass(10);
    world.opens();
    let (_, list) = world.rest(VIEWER, "GET", "/api/shelly/credentials", Value::Null);
    let row = &list[0];
    assert_eq!(
        (&row["id"], &row["status"], &row["webSocketStatus"]),
        (&json!("a1"), &json!("connected"), &json!("connected"))
    );
    assert_eq!((&row["connectionStatus"], &row["webSocketAutoReconnect"]), (&json!("connected"), &json!(true)));
    assert!(!list.to_string().contains("tok1") && !list.to_string().contains("c0de"));
    let active = "/api/internal/shelly/active-credentials";
    let (_, body) = world.rest(VIEWER, "GET", &format!("{active}?systemId=s1"), Value::Null);
    assert_eq!(
        (&body["hasActiveCredentials"], &body["moduleActive"], &body["activeCredentialsCount"]),
        (&json!(true), &json!(true), &json!(1))
    );
    let (status, body) = world.rest(VIEWER, "GET", active, Value::Null);
    assert_eq!((status, &body["error"]), (400, &json!("systemId requerido")));
    let (status, body) = world.rest(VIEWER, "GET", &format!("{active}?systemId=s2"), Value::Null);
    assert_eq!((status, &body["error"]), (403, &json!("Acceso denegado")));
    let (_, body) = world.rest(ADMIN, "POST", "/api/shelly/credentials/a1/disconnect-websocket", Value::Null);
    assert_eq!(
        (&body["data"]["credentialId"], &body["data"]["connectionId"], &body["data"]["status"]),
        (&json!("a1"), &json!("conn-a1"), &json!("disconnected"))
    );
    assert_eq!(world.rest(ADMIN, "POST", "/api/shelly/credentials/none/reconnect", Value::Null).0, 404);
    assert_eq!(
        world.rest(ADMIN, "POST", "/api/shelly/sync/none", Value::Null),
        (404, json!({"error": "Credenciales no encontradas", "code": "NOT_FOUND"}))
    );
    assert_eq!(world.rest(ADMIN, "DELETE", "/api/shelly/credentials/a1", Value::Null).0, 200);
    world.pass(1_000);
    let rows = "SELECT (SELECT count(*) FROM iot_credentials) + (SELECT count(*) FROM iot_connections) AS count";
    assert_eq!(world.count(rows), 0);
    assert_eq!(world.rest(VIEWER, "GET", "/api/shelly/credentials", Value::Null).1, json!([]));
}

#[test]
fn an_account_is_brought_by_its_password_and_its_socket_opens() {
    let mut world = World::with(settings());
    let shelly = world.cloud();
    let code = jwt(&json!({"user_api_url": "https://shelly-1-eu.shelly.cloud"}));
    shelly.says(LOGIN, 200, json!({"isok": true, "data": {"code": code}}));
    let body = json!({"name": "Clínica", "email": "ana@example.com", "password": "p4ss"});
    let (status, answer) = world.rest(ADMIN, "POST", "/api/shelly/connect", body.clone());
    let id = answer["credentialId"].as_str().unwrap().to_owned();
    let expected = json!({"success": true, "message": "Cuenta conectada exitosamente", "credentialId": id});
    assert_eq!((status, answer), (200, expected));
    let asked = shelly.asked(LOGIN).remove(0);
    assert!(asked.contains("client_id=shelly-diy") && !asked.contains("p4ss"), "{asked}");
    world.opens();
    let (_, list) = world.rest(VIEWER, "GET", "/api/shelly/credentials", Value::Null);
    assert_eq!((&list[0]["name"], &list[0]["connectionStatus"]), (&json!("Clínica"), &json!("connected")));
    let plug = ("194279021665684", true, json!({"switch:0": {"output": true}}));
    let other = ("12345678901234", true, json!({"switch:0": {"output": true}}));
    shelly.says(ALL_STATUS, 200, devices(&[plug, other]));
    world.pass(2_000);
    let (status, answer) = world.rest(ADMIN, "POST", &format!("/api/shelly/sync/{id}"), Value::Null);
    let data = json!({"total": 2, "created": 1});
    assert_eq!(
        (status, &answer["message"], &answer["data"]),
        (200, &json!("Dispositivos sincronizados exitosamente"), &data)
    );
    let (_, rows) = world.rest(VIEWER, "GET", DEVICES, Value::Null);
    assert_eq!(rows["totalCount"], 2);
    // What is secret is not on disk as it is; what is new is there after a restart.
    world.pass(1_000);
    assert_eq!(world.devices().iter().filter(|device| device.credential.as_deref() == Some(&*id)).count(), 2);
    let rows: Vec<crate::apps::iot::credential::Credential> =
        world.store.rows(crate::app::sql::Statement::new("SELECT * FROM iot_credentials"));
    assert!(rows.iter().all(|row| !row.sealed.contains("tok2") && !row.sealed.contains(&code)));
    shelly.says(LOGIN, 200, json!({"isok": false, "errors": {"bad": "x"}}));
    let (status, answer) = world.rest(ADMIN, "POST", "/api/shelly/connect", body);
    assert_eq!((status, &answer["error"]), (401, &json!("Email o contraseña incorrectos")));
}

#[test]
fn an_account_needs_its_fields_and_a_key_to_be_kept_by() {
    let mut world = World::new();
    for wrong in [
        json!({}),
        json!({"name": "x", "email": "e"}),
        json!({"email": "e", "password": "p"}),
        json!({"name": "x", "apiHost": "h"}),
    ] {
        let (status, body) = world.rest(ADMIN, "POST", "/api/shelly/connect", wrong);
        assert_eq!((status, &body["error"]), (400, &json!("Todos los campos son requeridos")));
    }
    let body = json!({"name": "x", "email": "e@x", "password": "p"});
    let (status, body) = world.rest(ADMIN, "POST", "/api/shelly/connect", body);
    assert_eq!((status, &body["code"]), (503, &json!("NO_ENCRYPTION_KEY")));
}

#[test]
fn a_secret_is_shown_once_and_the_one_before_it_is_not_good() {
    let mut world = World::with(Settings { encryption_key: key(1), ..Settings::default() });
    let secret = |world: &mut World| {
        let (_, body) = world.rest(ADMIN, "POST", "/api/shelly/outbound-secret", Value::Null);
        let secret = body["data"]["secret"].as_str().unwrap().to_owned();
        assert_eq!(body["data"]["path"], format!("/api/shelly/ws/{secret}"));
        secret
    };
    let (first, second) = (secret(&mut world), secret(&mut world));
    assert_ne!(first, second);
    let good = "SELECT count(*) AS count FROM iot_outbound_secrets WHERE revokedAt IS NULL";
    assert_eq!(world.count(good), 1);
    assert_eq!(world.rest(ADMIN, "DELETE", "/api/shelly/outbound-secret", Value::Null).0, 200);
    assert_eq!(world.count(good), 0);
}

#[test]
fn more_power_than_the_threshold_is_told_once_until_it_falls() {
    let mut world = World::new();
    let watcher = world.watcher("s1", "viewer");
    let path = format!("{DEVICES}/c1");
    assert_eq!(world.rest(ADMIN, "PATCH", &path, json!({"powerThreshold": -1})).0, 400);
    let (_, row) = world.rest(ADMIN, "PATCH", &path, json!({"powerThreshold": 100}));
    assert_eq!(row["powerThreshold"], 100.0);
    for (power, told) in [(90, 0), (101, 1), (150, 0), (80, 0), (120, 1)] {
        world.reports("s1", D1, json!({"switch:0": {"output": true, "apower": power}}));
        world.pass(200);
        let events = world.all(watcher, "device-event");
        assert_eq!(events.len(), told, "{power}");
        assert!(events.iter().all(|event| event["kind"] == "over_power" && event["value"] == f64::from(power)));
    }
}
