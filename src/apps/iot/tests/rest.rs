//! Connections and their logs by HTTP: who may ask, the exact answers, what is refused.

use serde_json::{Value, json};

use super::shelly::{ALL_STATUS, devices, settings};
use super::world::{D1, World};
use crate::app::identity::{AuthMethod, Claims};
use crate::apps::iot::settings::{Join, Settings};
use crate::base::close::CloseReason;

const ADMIN: (&str, &str) = ("s1", "admin");
const OPERATOR: (&str, &str) = ("s1", "operator");
const VIEWER: (&str, &str) = ("s1", "viewer");

/// A system with somebody's sockets in it, and the id of their connection.
fn with_sockets() -> (World, String) {
    let mut world = World::new();
    world.watcher("s1", "viewer");
    let (_, body) = world.rest(VIEWER, "GET", "/api/websocket/connections", Value::Null);
    let id = body["data"]["connections"][0]["id"].as_str().unwrap().to_owned();
    (world, id)
}

#[test]
fn nobody_is_answered_without_a_token_and_everybody_by_rank() {
    let mut world = World::new();
    let unknown = json!({"success": false, "error": "No autorizado", "code": "UNAUTHENTICATED"});
    assert_eq!(world.rest_with("GET", "/api/websocket/manager", |_| {}), (401, unknown));
    let unknown = json!({"error": "No autorizado", "code": "UNAUTHENTICATED"});
    assert_eq!(world.rest_with("GET", "/api/shelly/credentials", |_| {}), (401, unknown));
    for (who, method, path) in [
        (VIEWER, "GET", "/api/websocket/logs"),
        (VIEWER, "POST", "/api/shelly/device/c1/control"),
        (OPERATOR, "POST", "/api/websocket/x/start"),
        (OPERATOR, "POST", "/api/internal/smart-plug-devices"),
        (OPERATOR, "GET", "/api/internal/audit"),
    ] {
        let (status, body) = world.rest(who, method, path, Value::Null);
        assert_eq!((status, &body["code"]), (403, &json!("FORBIDDEN")), "{who:?} {path}");
    }
    let (status, body) = world.rest(("", "service"), "GET", "/api/websocket/manager", Value::Null);
    assert_eq!((status, &body["code"]), (403, &json!("NO_SYSTEM")));
}

#[test]
fn a_cookie_acts_for_pages_of_ours_alone() {
    let mut world =
        World::with(Settings { open_origins: vec!["https://clinic.example".into()], ..Settings::default() });
    for (origin, expected) in [
        ("https://panel.example", 200),
        ("https://clinic.example", 200),
        ("https://evil.example", 403),
        ("", 403),
        ("null", 403),
    ] {
        let (status, _) = world.rest_with("POST", "/api/socket/init", |call| {
            call.identity = Some(super::world::identity("s1", "viewer"));
            (call.by_cookie, call.origin, call.host) = (true, origin.to_owned(), "panel.example".to_owned());
        });
        assert_eq!(status, expected, "{origin}");
    }
    let (status, _) = world.rest_with("GET", "/api/socket/init", |call| {
        call.identity = Some(super::world::identity("s1", "viewer"));
        (call.by_cookie, call.origin) = (true, "https://evil.example".to_owned());
    });
    assert_eq!(status, 200, "what changes nothing is not a page's to steal");
}

#[test]
fn the_server_says_that_it_is_there() {
    let mut world = World::new();
    for (method, path, message) in [
        ("GET", "/api/socket/init", "Socket.io server inicializado"),
        ("POST", "/api/socket/init", "Socket.io server inicializado"),
        ("GET", "/api/socket/start-monitoring", "Monitoreo iniciado correctamente"),
        ("POST", "/api/socket/start-monitoring", "Monitoreo iniciado correctamente"),
    ] {
        let expected = json!({"success": true, "message": message, "data": {"connections": 0}});
        assert_eq!(world.rest(VIEWER, method, path, Value::Null), (200, expected.clone()));
        assert_eq!(world.rest_with(method, path, |_| {}).0, 401);
        let mut open = World::with(Settings { join: Join::Open, ..Settings::default() });
        assert_eq!(open.rest_with(method, path, |_| {}), (200, expected));
    }
}

#[test]
fn in_development_mode_the_query_names_the_system() {
    let mut world = World::new();
    let dev = Claims { sub: "anonymous".into(), role: "*".into(), method: AuthMethod::Dev, ..Claims::default() };
    let dev = std::sync::Arc::new(dev.into());
    let mut count = |target: &str| {
        let (_, body) = world.rest_with("GET", target, |call| call.identity = Some(std::sync::Arc::clone(&dev)));
        body["totalCount"].clone()
    };
    assert_eq!(count("/api/internal/smart-plug-devices?systemId=s1"), 1);
    assert_eq!(count("/api/internal/smart-plug-devices"), 0, "the default one");
}

#[test]
fn a_connection_that_is_not_ones_own_is_not_found() {
    let (mut world, id) = with_sockets();
    for (who, path) in
        [(ADMIN, "/api/websocket/none/start".to_owned()), (("s2", "admin"), format!("/api/websocket/{id}/start"))]
    {
        let (status, body) = world.rest(who, "POST", &path, Value::Null);
        let expected = json!({"success": false, "error": "Conexión no encontrada", "code": "NOT_FOUND"});
        assert_eq!((status, body), (404, expected));
    }
    let (status, body) = world.rest(ADMIN, "POST", &format!("/api/websocket/{id}/explode"), Value::Null);
    let text = "Acción inválida. Válidas: start, stop, restart, toggle-reconnect, refresh-token";
    assert_eq!((status, &body["error"]), (400, &json!(text)));
    let (status, _) = world.rest(ADMIN, "POST", &format!("/api/websocket/{id}/refresh-token"), Value::Null);
    assert_eq!(status, 400, "of another type than SHELLY");
}

#[test]
fn actions_on_an_account_are_answered_as_the_dashboard_knows_them_and_audited() {
    let mut world = World::with(settings());
    let shelly = world.cloud();
    shelly.says(ALL_STATUS, 200, devices(&[]));
    world.account("s1", "a1", 43_200);
    world.restart();
    let act = |world: &mut World, action: &str| {
        world.rest(ADMIN, "POST", &format!("/api/websocket/conn-a1/{action}"), Value::Null)
    };
    let good = |status: &str, reconnects: bool| {
        let data = json!({"connectionId": "conn-a1", "status": status, "autoReconnect": reconnects});
        (200, json!({"success": true, "message": "Acción ejecutada correctamente", "data": data}))
    };
    world.pass(10);
    world.opens();
    assert_eq!(act(&mut world, "start"), good("connected", true), "it is open already");
    assert_eq!(act(&mut world, "toggle-reconnect"), good("connected", false));
    assert_eq!(act(&mut world, "toggle-reconnect"), good("connected", true));
    assert_eq!(act(&mut world, "stop"), good("disconnected", false));
    assert_eq!(act(&mut world, "start"), (0, Value::Null), "once it is open or has failed");
    world.opens();
    assert_eq!(world.replies.pop().unwrap(), good("connected", true));
    assert_eq!(act(&mut world, "restart"), (0, Value::Null));
    world.pass(1_100);
    world.opens();
    assert_eq!(world.replies.pop().unwrap(), good("connected", true));
    world.pass(1_000);
    let (_, body) = world.rest(ADMIN, "GET", "/api/internal/audit?action=stop", Value::Null);
    let entry = &body["data"]["entries"][0];
    assert_eq!(body["data"]["total"], 1);
    for (field, value) in [("actor", "admin@s1"), ("ip", "10.0.0.4"), ("userAgent", "UA"), ("target", "conn-a1")] {
        assert_eq!(entry[field], value, "{field}");
    }
    assert_eq!((&entry["outcome"], &entry["details"]["systemId"]), (&json!("success"), &json!("s1")));
    let (_, other) = world.rest(("s2", "admin"), "GET", "/api/internal/audit", Value::Null);
    assert_eq!(other["data"]["total"], 0, "of the own system alone");
}

#[test]
fn the_sockets_of_browsers_stop_with_their_connection() {
    let (mut world, id) = with_sockets();
    let socket = world.watcher("s1", "viewer");
    let (status, body) = world.rest(ADMIN, "POST", &format!("/api/websocket/{id}/stop"), Value::Null);
    assert_eq!(
        (status, &body["data"]["autoReconnect"], &body["data"]["status"]),
        (200, &json!(false), &json!("disconnected"))
    );
    assert!(!world.is_open(socket));
}

#[test]
fn rows_of_a_dashboards_own_are_made_acted_on_and_cleaned() {
    let mut world = World::new();
    let put = |world: &mut World, mut body: Value| {
        body["action"] = json!("create-or-update");
        world.rest(ADMIN, "POST", "/api/websocket/connections", body)
    };
    let row = json!({"type": "CUSTOM", "referenceId": "r1", "status": "connected", "metadata": {"a": 1}});
    let (status, body) = put(&mut world, row.clone());
    assert_eq!((status, &body["data"]["isNew"]), (200, &json!(true)));
    let id = body["data"]["id"].clone();
    let (_, again) = put(&mut world, json!({"type": "CUSTOM", "referenceId": "r1", "status": "error"}));
    assert_eq!(again["data"], json!({"id": id, "isNew": false}));
    for wrong in [
        json!({"type": "SHELLY", "referenceId": "r", "status": "connected"}),
        json!({"type": "CUSTOM", "referenceId": "", "status": "connected"}),
        json!({"type": "CUSTOM", "referenceId": "r", "status": "up"}),
        json!({"type": "CUSTOM", "referenceId": "r", "status": "error", "metadata": 5}),
    ] {
        let (status, body) = put(&mut world, wrong.clone());
        assert_eq!((status, &body["code"], &body["success"]), (400, &json!("VALIDATION"), &json!(false)), "{wrong}");
    }
    let path = format!("/api/websocket/{}/start", id.as_str().unwrap());
    assert_eq!(world.rest(ADMIN, "POST", &path, Value::Null).1["data"]["status"], "connected");
    let (_, body) = world.rest(VIEWER, "GET", "/api/websocket/connections?action=stats", Value::Null);
    assert_eq!((&body["data"]["total"], &body["data"]["connected"]), (&json!(1), &json!(1)));
    let (_, body) = world.rest(VIEWER, "GET", "/api/websocket/connections?page=1&limit=1", Value::Null);
    assert_eq!(body["data"]["pagination"], json!({"page": 1, "limit": 1, "total": 1, "pages": 1}));
    assert_eq!(body["data"]["connections"][0]["metadata"], json!({"a": 1}));
    for (query, status) in [
        ("action=by-type&type=CUSTOM", 200),
        ("action=get-connection&type=CUSTOM&referenceId=r1", 200),
        ("action=get-connection&id=none", 404),
        ("page=0", 400),
        ("limit=x", 400),
        ("action=cleanup", 405),
    ] {
        assert_eq!(
            world.rest(VIEWER, "GET", &format!("/api/websocket/connections?{query}"), Value::Null).0,
            status,
            "{query}"
        );
    }
    put(&mut world, json!({"type": "CUSTOM", "referenceId": "r1", "status": "disconnected"}));
    world.pass(8 * 86_400_000);
    let (_, body) = world.rest(ADMIN, "DELETE", "/api/websocket/connections?days=7", Value::Null);
    assert_eq!((&body["data"]["cleanedCount"], &body["data"]["olderThanDays"]), (&json!(1), &json!(7)));
}

#[test]
fn logging_is_switched_off_and_on() {
    let (mut world, id) = with_sockets();
    let path = format!("/api/websocket/{id}/logging");
    let (status, body) = world.rest(OPERATOR, "GET", &path, Value::Null);
    let data = &body["data"];
    assert_eq!(
        (status, &data["loggingEnabled"], &data["type"], &data["totalLogs"]),
        (200, &json!(true), &json!("SOCKET_IO"), &json!(1))
    );
    let (_, body) = world.rest(ADMIN, "PUT", &path, json!({"loggingEnabled": false}));
    assert_eq!(body["message"], "Logging deshabilitado para la conexión");
    assert_eq!(body["data"]["loggingEnabled"], false);
    world.watcher("s1", "viewer");
    world.pass(1_000);
    assert_eq!(world.count("SELECT count(*) AS count FROM iot_logs WHERE eventType = 'connect'"), 1);
    for wrong in [json!({}), json!({"loggingEnabled": "no"})] {
        let (status, body) = world.rest(ADMIN, "PUT", &path, wrong);
        assert_eq!((status, &body["error"]), (400, &json!("loggingEnabled debe ser un boolean")));
    }
    assert_eq!(world.rest(ADMIN, "PUT", "/api/websocket/none/logging", json!({"loggingEnabled": true})).0, 404);
    let (_, body) = world.rest(ADMIN, "PUT", &path, json!({"loggingEnabled": true}));
    assert_eq!(body["message"], "Logging habilitado para la conexión");
}

#[test]
fn logs_are_found_by_what_is_asked_for() {
    let (mut world, id) = with_sockets();
    let socket = world.watcher("s1", "viewer");
    world.leaves(socket, CloseReason::ClientNamespaceDisconnect);
    let list = |world: &mut World, query: &str| {
        let (status, body) = world.rest(OPERATOR, "GET", &format!("/api/websocket/logs?{query}"), Value::Null);
        assert_eq!(status, 200, "{query}: {body}");
        body["data"].clone()
    };
    let all = list(&mut world, "");
    assert_eq!(
        (&all["total"], &all["limit"], &all["offset"], &all["hasMore"]),
        (&json!(3), &json!(100), &json!(0), &json!(false))
    );
    assert_eq!(all["logs"][0]["connection"]["type"], "SOCKET_IO");
    assert_eq!(all["logs"][0]["clientIp"], "10.0.0.4");
    for (query, total) in [
        ("type=SOCKET_IO", 3),
        ("type=SHELLY", 0),
        ("type=all&eventType=all", 3),
        ("eventType=disconnect", 1),
        ("search=DESCONECTADO", 1),
        ("search=%25", 0),
        ("search=_", 0),
        ("dateFrom=2025-08-20T10:00:00.000Z&dateTo=2025-08-20T10:00:00.000Z", 3),
        ("dateTo=2025-08-19T00:00:00Z", 0),
        ("dateFrom=2025-08-20&dateTo=2025-08-20", 3),
    ] {
        assert_eq!(list(&mut world, query)["total"], total, "{query}");
    }
    let page = list(&mut world, "limit=1&offset=1");
    assert_eq!((page["logs"].as_array().unwrap().len(), &page["hasMore"]), (1, &json!(true)));
    assert_eq!(list(&mut world, "limit=5000")["limit"], 1_000);
    for wrong in ["dateFrom=yesterday", "limit=x", "offset=-1"] {
        let (status, body) = world.rest(OPERATOR, "GET", &format!("/api/websocket/logs?{wrong}"), Value::Null);
        assert_eq!((status, &body["code"]), (400, &json!("VALIDATION")), "{wrong}");
    }
    let (_, stats) = world.rest(OPERATOR, "GET", "/api/websocket/logs/stats", Value::Null);
    let stats = &stats["data"];
    assert_eq!((&stats["totalLogs"], &stats["recentActivity"]), (&json!(3), &json!(3)));
    assert_eq!(stats["logsByEventType"], json!({"connect": 2, "disconnect": 1}));
    assert_eq!(stats["logsByConnectionType"], json!({"SOCKET_IO": 3}));
    let summary = json!({"hasLogs": true, "activeInLast24h": true, "mostCommonEvent": "connect", "mostActiveConnectionType": "SOCKET_IO"});
    assert_eq!((&stats["summary"], &stats["oldestLog"]), (&summary, &json!("2025-08-20T10:00:00.000Z")));
    let (_, internal) = world.rest(VIEWER, "GET", "/api/internal/websocket-connections", Value::Null);
    assert_eq!((&internal["connections"][0]["id"], internal["logs"].as_array().unwrap().len()), (&json!(id), 3));
    assert_eq!(internal["messageStats"], json!({"sent": 0, "received": 0, "total": 0}));
}

#[test]
fn logs_are_cleared_as_it_is_said() {
    let (mut world, _) = with_sockets();
    world.watcher("s1", "viewer");
    let act = |world: &mut World, body: Value| world.rest(ADMIN, "POST", "/api/websocket/logs", body);
    for (body, text) in [
        (Value::Null, "Acción requerida"),
        (json!({"action": "delete"}), "IDs de logs requeridos para eliminación"),
        (json!({"action": "delete", "ids": []}), "IDs de logs requeridos para eliminación"),
        (json!({"action": "delete_all"}), "Confirmación requerida para eliminar todos los logs"),
        (json!({"action": "burn"}), "Acción inválida: burn"),
    ] {
        let (status, answer) = act(&mut world, body.clone());
        assert_eq!((status, &answer["error"], &answer["success"]), (400, &json!(text), &json!(false)), "{body}");
    }
    let (_, body) = world.rest(OPERATOR, "GET", "/api/websocket/logs", Value::Null);
    let id = body["data"]["logs"][0]["id"].clone();
    let (status, body) = act(&mut world, json!({"action": "delete", "ids": [id, "none"]}));
    assert_eq!((status, &body["message"]), (200, &json!("Acción 'delete' ejecutada correctamente")));
    assert_eq!((&body["data"]["deletedCount"], &body["data"]["deletedIds"]), (&json!(1), &json!([id])));
    let (_, body) = act(&mut world, json!({"action": "cleanup", "maxLogsPerConnection": 0}));
    let criteria = json!({"olderThanDays": 7, "maxLogsPerConnection": 0});
    assert_eq!((&body["data"]["deletedCount"], &body["data"]["criteria"]), (&json!(1), &criteria));
    world.watcher("s1", "viewer");
    world.pass(1_000);
    let (_, body) = act(&mut world, json!({"action": "delete_all", "confirm": true}));
    assert_eq!(body["data"]["deletedCount"], 1);
    assert_eq!(world.count("SELECT count(*) AS count FROM iot_logs"), 0);
    world.pass(1_000);
    let audited = "SELECT count(*) AS count FROM audit WHERE action = 'logs-delete_all'";
    assert_eq!(world.count(audited), 1);
}

#[test]
fn old_rows_of_logs_go_by_themselves() {
    let (mut world, _) = with_sockets();
    world.pass(29 * 86_400_000);
    assert_eq!(world.count("SELECT count(*) AS count FROM iot_logs"), 1);
    world.pass(2 * 86_400_000);
    assert_eq!(world.count("SELECT count(*) AS count FROM iot_logs"), 0);
}

#[test]
fn who_subscribes_to_a_log_reads_along() {
    let (mut world, id) = with_sockets();
    let (reader, other) = (world.watcher("s1", "operator"), world.watcher("s1", "operator"));
    assert_eq!(world.asks(reader, "subscribe-logs", json!({"connectionId": "none"}))["error"]["code"], "NOT_FOUND");
    assert_eq!(world.asks(reader, "subscribe-logs", json!({ "connectionId": id }))["ok"], true);
    world.heard(reader);
    world.watcher("s1", "viewer");
    let log = world.hears(reader, "websocket-log");
    assert_eq!((&log["connectionId"], &log["eventType"]), (&json!(id), &json!("connect")));
    assert!(world.heard(other).is_empty());
    assert_eq!(world.asks(reader, "unsubscribe-logs", json!({ "connectionId": id }))["ok"], true);
    world.watcher("s1", "viewer");
    assert!(world.heard(reader).is_empty());
    let viewer = world.watcher("s1", "viewer");
    assert_eq!(world.asks(viewer, "subscribe-logs", json!({ "connectionId": id }))["error"]["code"], "FORBIDDEN");
}

#[test]
fn the_manager_shows_figures_health_and_connections_without_a_token() {
    let mut world = World::with(settings());
    let shelly = world.cloud();
    shelly.says(ALL_STATUS, 200, devices(&[]));
    world.account("s1", "a1", 43_200);
    world.restart();
    world.pass(10);
    let link = world.opens();
    world.plug_says(link, json!({"switch:0": {"output": true, "apower": 42.5}}));
    world.pass(2_000);
    let show = |world: &mut World, action: &str| {
        world.rest(VIEWER, "GET", &format!("/api/websocket/manager?action={action}"), Value::Null).1["data"].clone()
    };
    let metrics = show(&mut world, "metrics");
    assert_eq!(
        (&metrics["system"]["totalConnections"], &metrics["shelly"]["activeConnections"]),
        (&json!(1), &json!(1))
    );
    assert_eq!(
        (&metrics["shelly"]["totalDevices"], &metrics["shelly"]["avgDevicesPerConnection"]),
        (&json!(1), &json!(1.0))
    );
    let health = show(&mut world, "health");
    assert_eq!((&health["shelly"][0]["isHealthy"], &health["shelly"][0]["latency"]), (&json!(true), &json!(0)));
    let connections = show(&mut world, "connections");
    let connection = &connections["connections"][0];
    assert_eq!(connection["url"], "wss://shelly-1-eu.shelly.cloud:6113/shelly/wss/hk_sock");
    let texts: Vec<&str> =
        connection["logs"].as_array().unwrap().iter().filter_map(|log| log["message"].as_str()).collect();
    assert!(texts.contains(&"Update recibido para dispositivo Láser 1: ON (42.5W)"), "{texts:?}");
    assert!(!connections.to_string().contains("tok1"));
    assert!(show(&mut world, "")["endpoints"].is_array());
    for (body, status, code) in [
        (json!({"action": "connect"}), 403, "FORBIDDEN"),
        (json!({"action": "x"}), 400, "VALIDATION"),
        (json!({"action": "shelly-connect", "credentialId": "none"}), 404, "NOT_FOUND"),
    ] {
        let (got, answer) = world.rest(ADMIN, "POST", "/api/websocket/manager", body.clone());
        assert_eq!((got, &answer["code"]), (status, &json!(code)), "{body}");
    }
    let body = json!({"action": "shelly-disconnect", "credentialId": "a1"});
    assert_eq!(world.rest(ADMIN, "POST", "/api/websocket/manager", body).1["data"]["status"], "disconnected");
    let (_, figures) = world.rest(VIEWER, "GET", "/api/shelly/metrics", Value::Null);
    assert_eq!((&figures["totalConnections"], &figures["activeConnections"]), (&json!(1), &json!(0)));
    let (_, upstreams) = world.rest(VIEWER, "GET", "/api/shelly/connections", Value::Null);
    assert_eq!((&upstreams[0]["id"], &upstreams[0]["deviceCount"]), (&json!("conn-a1"), &json!(1)));
    let _ = D1;
}

#[test]
fn bodies_are_json_objects() {
    let mut world = World::new();
    for body in ["{", "[1]", "\"x\""] {
        let (status, answer) = world.rest_with("POST", "/api/websocket/logs", |call| {
            call.identity = Some(super::world::identity("s1", "admin"));
            call.body = body.as_bytes().to_vec().into();
        });
        assert_eq!((status, &answer["code"]), (400, &json!("VALIDATION")), "{body}");
    }
}

#[test]
fn actions_and_new_things_are_refused_while_the_store_fails() {
    let (mut world, id) = with_sockets();
    world.pass(1_000);
    world.store.down = true;
    world.reports("s1", D1, json!({"switch:0": {"output": true}}));
    world.pass(1_000);
    for (method, path, body) in [
        ("POST", format!("/api/websocket/{id}/start"), Value::Null),
        ("POST", "/api/internal/smart-plug-devices".to_owned(), json!({"name": "x", "deviceId": "112233445566"})),
        ("POST", "/api/shelly/connect".to_owned(), json!({"name": "x", "email": "e@x", "password": "p"})),
        ("POST", "/api/shelly/outbound-secret".to_owned(), Value::Null),
    ] {
        let (status, answer) = world.rest(ADMIN, method, &path, body);
        assert_eq!((status, &answer["code"]), (503, &json!("STORE_UNAVAILABLE")), "{path}");
    }
}
