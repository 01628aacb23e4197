//! Coming and going: who is let in, tokens that end or are renewed, presence, typing, rooms.

use std::sync::Arc;

use serde_json::{Value, json};

use super::world::{ADMIN, AGENT, APP, CUSTOMER, Id, WEB, World, claims, identity, text_of};
use crate::app::AuthFailure;
use crate::app::identity::{Authenticator, Claims, Subject};
use crate::apps::utalk::settings::Settings;
use crate::base::close::CloseReason;
use crate::base::time::WallMillis;

fn refused(world: &World, id: Id) -> (String, Value) {
    let (message, data) = world.refusal(id);
    (message, data["code"].clone())
}

#[test]
fn a_token_that_is_none_is_refused_with_one_text() {
    let mut world = World::new();
    for (why, code) in [
        (AuthFailure::Missing, "UNAUTHENTICATED"),
        (AuthFailure::Invalid, "UNAUTHENTICATED"),
        (AuthFailure::Expired, "TOKEN_EXPIRED"),
    ] {
        let id = world.brings(Err(why), APP);
        assert_eq!(refused(&world, id), ("Authentication failed".to_owned(), json!(code)));
    }
    let refresh = Claims { kind: Some("refresh".into()), ..claims("w1", "a", "agent") };
    let id = world.brings(Ok(Arc::new(refresh.into())), APP);
    assert_eq!(refused(&world, id).0, "Authentication failed");
}

#[test]
fn namespaces_are_open_to_roles() {
    let mut world = World::new();
    for (role, agent, admin) in [
        ("admin", true, true),
        ("superadmin", true, true),
        ("service", true, false),
        ("agent", true, false),
        ("qa", true, false),
        ("", true, false),
        ("bot", false, false),
        ("viewer", false, false),
        ("janitor", false, false),
    ] {
        for (nsp, may) in [(APP, true), (AGENT, agent), (ADMIN, admin)] {
            let id = world.knocks("w1", &format!("u-{role}"), role, nsp);
            assert_eq!(world.is_open(id), may, "{role:?} {nsp:?}");
            if !may {
                assert_eq!(refused(&world, id), ("Authentication failed".to_owned(), json!("FORBIDDEN")));
            }
        }
    }
}

#[test]
fn a_user_has_ten_sockets_in_a_namespace() {
    let mut world = World::new();
    let first = world.person("a", "agent");
    for _ in 0..9 {
        world.person("a", "agent");
    }
    let one_more = world.knocks("w1", "a", "agent", APP);
    assert_eq!(refused(&world, one_more), ("Too many connections".to_owned(), json!("TOO_MANY_SOCKETS")));
    assert!(
        {
            let id = world.knocks("w1", "a", "agent", AGENT);
            world.is_open(id)
        },
        "each namespace by itself"
    );
    assert!(
        {
            let id = world.knocks("w2", "a", "agent", APP);
            world.is_open(id)
        },
        "another scope's user is another"
    );
    world.leaves(first, CloseReason::TransportClose);
    assert!({
        let id = world.knocks("w1", "a", "agent", APP);
        world.is_open(id)
    });
}

#[test]
fn a_token_that_ends_is_told_and_its_socket_ends() {
    let mut world = World::new();
    let a = world.person("a", "agent");
    world.forget(&[a]);
    world.token_ends(a, 0);
    assert_eq!(world.heard(a), [("token:expired".to_owned(), Value::Null)]);
    assert!(!world.is_open(a));
}

/// A token of workspace `w1`, of ours, for a minute.
fn token(world: &World, workspace: &str, user: &str, role: &str) -> String {
    let claims = json!({"workspaceId": workspace, "tenantId": "t1"}).as_object().unwrap().clone();
    let authenticator = Authenticator::new(&super::world::auth());
    authenticator.mint(Subject { sub: user, role, claims, ttl_s: 60 }, world.now.wall).unwrap()
}

#[test]
fn a_token_that_is_refreshed_in_time_goes_on() {
    let mut world = World::new();
    let a = world.person("a", "agent");
    world.forget(&[a]);
    let good = token(&world, "w1", "a", "agent");
    let ack = world.asks(a, "auth:refresh", json!({"token": format!("Bearer {good}")}));
    let end = WallMillis((world.now.wall.as_secs() + 60) * 1_000).to_string();
    assert_eq!(ack, json!({"ok": true, "userId": "a", "expiresAt": end}));
    assert_eq!(world.hears(a, "auth:refreshed"), json!({"userId": "a", "expiresAt": end}));
    for (bad, code) in [
        (token(&world, "w1", "b", "agent"), "FORBIDDEN"),
        (token(&world, "w2", "a", "agent"), "FORBIDDEN"),
        ("garbage".to_owned(), "UNAUTHENTICATED"),
    ] {
        world.send(a, "auth:refresh", json!({"token": bad}));
        assert_eq!(
            world.heard(a),
            [("auth:failed".to_owned(), json!({"code": code, "message": "Authentication failed"}))]
        );
        assert!(world.is_open(a), "the old identity stays");
    }
    world.send(a, "auth:refresh", json!({}));
    assert_eq!(world.hears_error(a)["code"], "INVALID_EVENT");
}

#[test]
fn another_role_by_a_refresh_is_another_audience() {
    let mut world = World::new();
    let (a, b) = (world.person("a", "agent"), world.person("b", "agent"));
    let viewer = token(&world, "w1", "b", "viewer");
    world.asks(b, "auth:refresh", json!({"token": viewer}));
    world.says(a, WEB, "Hola");
    world.forget(&[a, b]);
    world.says(b, WEB, "Hola");
    assert_eq!(world.hears(b, "message:error")["error"]["code"], "ACCESS_DENIED", "a viewer writes nothing");
    let bot = token(&world, "w1", "b", "bot");
    world.asks(b, "auth:refresh", json!({"token": bot}));
    world.forget(&[b]);
    world.send(a, "message:send", json!({"messageId": "n", "conversationId": WEB, "type": "note", "text": "Ojo"}));
    assert_eq!(world.names(b), [""; 0], "bots hear no notes");
    // What may not be read any more is left.
    let boss = world.person("boss", "admin");
    world.assigns(WEB, "a");
    world.asks(boss, "join:conversation", json!({"conversationId": WEB}));
    world.forget(&[a, boss]);
    let agent = token(&world, "w1", "boss", "agent");
    world.asks(boss, "auth:refresh", json!({"token": agent}));
    assert_eq!(world.hears(boss, "left:conversation"), json!({"conversationId": WEB, "reason": "access_lost"}));
    world.forget(&[boss]);
    world.says(a, WEB, "Hola");
    world.send(a, "typing:start", json!({"conversationId": WEB}));
    assert_eq!(world.names(boss), [""; 0]);
}

#[test]
fn presence_counts_sockets_over_namespaces_with_a_grace() {
    let mut world = World::new();
    let watcher = world.person("w", "admin");
    let stranger = world.of_workspace("w2", "s", "admin", APP);
    world.pass(100);
    world.forget(&[watcher, stranger]);
    let a = world.person("a", "agent");
    let connected = world.hears(watcher, "user:connected");
    assert_eq!(
        connected,
        json!({"userId": "a", "email": "a@example.com", "role": "agent", "connectedAt": world.now.wall.to_string()})
    );
    let seen = world.hears(watcher, "presence:update");
    assert_eq!(
        seen,
        json!({"userId": "a", "email": "a@example.com", "status": "online", "role": "agent", "lastSeen": world.now.wall.to_string()})
    );
    assert_eq!(world.names(a), [""; 0], "its own coming is not told to the one that has come");
    let at_work = world.of_workspace("w1", "a", "agent", AGENT);
    world.pass(100);
    world.leaves(a, CloseReason::TransportClose);
    world.pass(10_000);
    assert_eq!(world.names(watcher), [""; 0]);
    world.leaves(at_work, CloseReason::TransportClose);
    world.pass(2_900);
    assert_eq!(world.names(watcher), [""; 0]);
    let back = world.of_workspace("w1", "a", "agent", ADMIN.min(AGENT));
    world.pass(10_000);
    assert_eq!(world.names(watcher), [""; 0], "back within the grace");
    world.leaves(back, CloseReason::TransportClose);
    world.pass(3_100);
    assert_eq!(world.hears(watcher, "user:disconnected")["userId"], "a");
    assert_eq!(world.hears(watcher, "presence:update")["status"], "offline");
    assert_eq!(world.names(stranger), [""; 0]);
}

#[test]
fn what_a_user_wants_to_be_seen_as_is_kept() {
    let mut world = World::new();
    let (a, b) = (world.person("a", "agent"), world.person("b", "agent"));
    world.pass(100);
    world.forget(&[a, b]);
    let ack = world.asks(a, "presence:set", json!({"status": "busy"}));
    assert_eq!((&ack["ok"], &ack["status"]), (&json!(true), &json!("busy")));
    world.hears(a, "presence:update");
    assert_eq!(world.hears(b, "presence:update")["status"], "busy");
    world.send(a, "presence:set", json!({"status": "busy"}));
    world.hears(a, "presence:update");
    world.hears_nothing(b, "presence:update");
    world.restart();
    let b = world.person("b", "agent");
    world.pass(100);
    world.forget(&[b]);
    world.person("a", "agent");
    assert_eq!(world.hears(b, "presence:update")["status"], "busy");
    let a = world.person("a", "agent");
    world.send(a, "presence:set", json!({"status": "offline"}));
    assert_eq!(world.hears(b, "presence:update")["status"], "offline");
    world.hears_nothing(b, "user:disconnected");
    for (payload, message) in [
        (json!({}), "Datos inválidos: \"status\" es obligatorio"),
        (json!({"status": "gone"}), "Datos inválidos: \"status\" no es válido"),
    ] {
        world.forget(&[a]);
        world.send(a, "presence:set", payload);
        let error = world.hears_error(a);
        assert_eq!(
            (&error["message"], &error["details"]),
            (&json!(message), &json!({"event": "presence:set", "path": "status"}))
        );
    }
}

#[test]
fn a_burst_of_arrivals_is_told_together() {
    let mut world = World::new();
    let watcher = world.person("w", "admin");
    world.pass(100);
    world.forget(&[watcher]);
    for n in 0..50 {
        world.person(&format!("u{n}"), "agent");
    }
    assert_eq!(world.all(watcher, "user:connected").len(), 1, "the first at once");
    world.pass(50);
    assert_eq!(world.all(watcher, "user:connected").len(), 49);
    let seen = world.all(watcher, "presence:update");
    assert_eq!(seen.len(), 50, "all users' last state");
}

#[test]
fn who_comes_and_goes_within_a_burst_was_not_there() {
    let mut world = World::with(Settings { presence_grace_ms: 0, ..Settings::default() });
    let watcher = world.person("w", "admin");
    let a = world.person("a", "agent");
    world.leaves(a, CloseReason::TransportClose);
    world.pass(100);
    assert_eq!(world.names(watcher), [""; 0]);
}

#[test]
fn typing_is_told_and_stops_by_itself() {
    let mut world = World::new();
    let (a, again, b, c) = (
        world.person("a", "agent"),
        world.person("a", "agent"),
        world.person("b", "agent"),
        world.person("c", "agent"),
    );
    let at_work = world.of_workspace("w1", "b", "agent", AGENT);
    world.says(a, WEB, "Hola");
    for id in [b, at_work] {
        world.send(id, "join:conversation", json!({"conversationId": WEB}));
    }
    world.pass(100);
    world.forget(&[a, again, b, c, at_work]);
    let about = json!({"conversationId": WEB});
    let ack = world.asks(a, "typing:start", about.clone());
    assert_eq!(ack, json!({"ok": true, "conversationId": WEB}));
    assert_eq!(world.names(a), ["typing:acknowledged"]);
    let told = world.hears(b, "typing:start");
    assert_eq!(
        told,
        json!({"conversationId": WEB, "userId": "a", "email": "a@example.com", "role": "agent", "timestamp": world.now.wall.to_string()})
    );
    assert_eq!(
        (world.names(at_work), world.names(again)),
        (vec!["typing:start".to_owned()], vec!["typing:start".to_owned()])
    );
    assert_eq!(world.names(c), [""; 0], "whoever has not joined hears nothing of it");
    world.pass(7_000);
    world.send(a, "typing:start", about.clone());
    world.pass(7_000);
    assert_eq!(world.names(b), [""; 0], "it goes on");
    world.pass(1_100);
    assert_eq!(world.names(b), ["typing:stop"]);
    world.forget(&[a]);
    world.send(a, "typing:stop", about.clone());
    assert_eq!((world.names(a), world.names(b)), (vec!["typing:acknowledged".to_owned()], vec![]), "nobody was typing");
    // A send ends it, and so does the end of its socket.
    world.send(a, "typing:start", about.clone());
    world.forget(&[b]);
    world.says(a, WEB, "Listo");
    assert_eq!(world.names(b), ["typing:stop", "message:new", "conversation:updated"]);
    world.send(a, "typing:start", about.clone());
    world.forget(&[b]);
    world.leaves(a, CloseReason::TransportClose);
    assert_eq!(world.names(b), ["typing:stop"]);
    world.forget(&[c]);
    world.send(c, "typing:start", json!({"conversationId": "conv_unknown"}));
    assert_eq!(world.hears_error(c)["code"], "ACCESS_DENIED");
}

#[test]
fn a_room_takes_a_hundred_sockets() {
    let mut world = World::with(Settings { sockets_per_user_max: 1_000, ..Settings::default() });
    let a = world.person("a", "agent");
    world.says(a, WEB, "Hola");
    let about = json!({"conversationId": WEB});
    let mut last = a;
    for _ in 0..100 {
        last = world.person("a", "agent");
        assert_eq!(world.asks(last, "join:conversation", about.clone())["ok"], true);
    }
    world.forget(&[a, last]);
    world.send(a, "join:conversation", about.clone());
    assert_eq!(world.hears_error(a)["code"], "ROOM_FULL");
    assert_eq!(world.metric("utalk_room_limit_exceeded_total", ""), 1.0);
    assert_eq!(world.asks(last, "join:conversation", about.clone())["ok"], true, "joining again is free");
    world.asks(last, "leave:conversation", about.clone());
    assert_eq!(world.hears(last, "left:conversation"), about);
    assert_eq!(world.asks(a, "join:conversation", about.clone())["ok"], true);
    world.leaves(a, CloseReason::TransportClose);
    assert_eq!(world.asks(last, "join:conversation", about.clone())["ok"], true, "one that has gone has left");
}

#[test]
fn a_room_of_another_scope_is_none() {
    let mut world = World::new();
    let (a, b) = (world.person("a", "agent"), world.of_workspace("w2", "b", "agent", APP));
    world.says(b, CUSTOMER, "Hola");
    world.forget(&[a, b]);
    world.send(a, "join:conversation", json!({"conversationId": CUSTOMER}));
    assert_eq!(
        world.hears_error(a),
        json!({"code": "ACCESS_DENIED", "message": "No tienes acceso a esta conversación"})
    );
    assert_eq!(world.names(b), [""; 0]);
    world.send(b, "join:conversation", json!({"conversationId": CUSTOMER}));
    assert_eq!(world.hears(b, "joined:conversation"), json!({"conversationId": CUSTOMER}));
}

#[test]
fn before_the_end_everybody_is_told() {
    let mut world = World::new();
    let ids = [world.person("a", "agent"), world.of_workspace("w2", "b", "agent", AGENT)];
    world.pass(100);
    world.forget(&ids);
    world.drains();
    for id in ids {
        let told = world.hears(id, "system:notification");
        assert_eq!((&told["type"], &told["scheduledAt"]), (&json!("maintenance"), &json!(world.now.wall.to_string())));
    }
}

#[test]
fn a_user_is_known_after_it_has_connected_once() {
    let mut world = World::new();
    world.person("a", "agent");
    world.person("a", "agent");
    world.brings(Ok(identity("w1", "b", "viewer")), APP);
    assert_eq!(world.count("SELECT count(*) AS count FROM ut_users"), 2);
    world.store.down = true;
    world.person("c", "agent");
    world.store.down = false;
    assert_eq!(world.count("SELECT count(*) AS count FROM ut_users"), 2);
    world.person("c", "agent");
    assert_eq!(
        world.count("SELECT count(*) AS count FROM ut_users"),
        3,
        "what could not be written is written when it comes again"
    );
}

#[test]
fn a_scope_that_could_not_be_loaded_is_loaded_when_the_store_works_again() {
    // No ticks of the process among its timers.
    let mut world = World::with(Settings { metrics_interval_ms: 3_600_000, ..Settings::default() });
    let a = world.person("a", "agent");
    world.asks(a, "presence:set", json!({"status": "away"}));
    world.says(a, WEB, "Hola");
    world.restart();
    world.store.down = true;
    let watcher = world.person("w", "admin");
    world.send(watcher, "message:send", text_of("m9", WEB, "¿?"));
    assert_eq!(world.hears(watcher, "message:error")["error"]["code"], "DATABASE_ERROR");
    world.pass(5_000);
    world.store.down = false;
    world.pass(1_100);
    world.forget(&[watcher]);
    world.person("a", "agent");
    assert_eq!(world.hears(watcher, "presence:update")["status"], "away");
    assert_eq!(world.asks(watcher, "message:send", text_of("m9", WEB, "¿?"))["seq"], 2);
    let timers = world.timers_run;
    world.pass(60_000);
    assert!(world.timers_run - timers < 3, "it is asked for no more");
}

#[test]
fn a_message_is_denied_where_it_may_not_be_written() {
    let mut world = World::new();
    let (viewer, a) = (world.person("v", "viewer"), world.person("a", "agent"));
    world.forget(&[viewer, a]);
    for conversation in [WEB, CUSTOMER] {
        let ack = world.asks(viewer, "message:send", text_of("m1", conversation, "Hola"));
        assert_eq!(ack["error"], json!({"code": "ACCESS_DENIED", "message": "No tienes acceso a esta conversación"}));
        assert_eq!(world.names(viewer), ["message:error"], "alone");
    }
    assert_eq!(world.conversations().len(), 0);
}
