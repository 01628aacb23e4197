//! What is refused before anything happens: size, rate, shape; and two scopes beside each other.

use serde_json::{Value, json};

use super::world::{APP, CUSTOMER, Id, WEB, World, text_of};
use crate::apps::utalk::settings::Settings;
use crate::base::close::CloseReason;
use crate::base::rng::Rng;

#[test]
fn a_payload_is_refused_with_the_first_field_that_is_wrong() {
    let mut world = World::with(Settings { events_per_minute: [].into(), ..Settings::default() });
    let a = world.person("a", "agent");
    world.forget(&[a]);
    let base = text_of("m1", WEB, "Hola");
    let with = |field: &str, value: Value| {
        let mut payload = base.clone();
        payload[field] = value;
        payload
    };
    let long = "x".repeat(4_097);
    for (event, payload, path, why) in [
        ("message:send", with("messageId", Value::Null), "messageId", "es obligatorio"),
        ("message:send", with("messageId", json!("")), "messageId", "es obligatorio"),
        ("message:send", with("messageId", json!(7)), "messageId", "no es válido"),
        ("message:send", with("messageId", json!("x".repeat(129))), "messageId", "es demasiado largo"),
        ("message:send", with("conversationId", Value::Null), "conversationId", "es obligatorio"),
        ("message:send", with("conversationId", json!("x")), "conversationId", "no es válido"),
        ("message:send", with("conversationId", json!("conv_")), "conversationId", "no es válido"),
        ("message:send", with("conversationId", json!("conv_a b")), "conversationId", "no es válido"),
        (
            "message:send",
            with("conversationId", json!(format!("conv_{}", "x".repeat(121)))),
            "conversationId",
            "es demasiado largo",
        ),
        ("message:send", with("type", json!("video")), "type", "no es válido"),
        ("message:send", with("type", json!(7)), "type", "no es válido"),
        ("message:send", with("text", json!(" \n")), "text", "es obligatorio"),
        ("message:send", with("text", Value::Null), "text", "es obligatorio"),
        ("message:send", with("text", json!({})), "text", "no es válido"),
        ("message:send", with("text", json!("a\u{0}b")), "text", "no es válido"),
        ("message:send", with("text", json!(long)), "text", "es demasiado largo"),
        ("message:send", with("type", json!("image")), "mediaId", "es obligatorio"),
        ("message:send", with("type", json!("sticker")), "mediaId", "es obligatorio"),
        ("message:send", with("metadata", json!([])), "metadata", "no es válido"),
        ("message:send", with("metadata", json!({"x": "y".repeat(17_000)})), "metadata", "es demasiado largo"),
        ("message:send", with("type", json!("location")), "metadata.latitude", "es obligatorio"),
        ("message:send", with("type", json!("template")), "metadata.template", "es obligatorio"),
        ("conversation:read", json!({"conversationId": WEB}), "messageId", "es obligatorio"),
        ("typing:start", json!({}), "conversationId", "es obligatorio"),
        ("typing:stop", json!({"conversationId": 5}), "conversationId", "no es válido"),
        ("join:conversation", json!("conv_test"), "payload", "no es válido"),
        ("leave:conversation", json!(null), "payload", "no es válido"),
        ("auth:refresh", json!({"token": 7}), "token", "no es válido"),
    ] {
        world.send(a, event, payload.clone());
        let mut heard = world.heard(a);
        let message = format!("Datos inválidos: \"{path}\" {why}");
        let error = json!({"code": "INVALID_EVENT", "message": message, "details": {"event": event, "path": path}});
        assert_eq!(heard.remove(0), ("error".to_owned(), error.clone()), "{payload}");
        if event == "message:send" && payload["messageId"].is_string() {
            let (name, told) = heard.remove(0);
            assert_eq!((&*name, &told["messageId"]), ("message:error", &payload["messageId"]));
            assert_eq!(
                (&told["error"]["code"], &told["error"]["message"]),
                (&json!("VALIDATION_ERROR"), &json!(message))
            );
        }
        assert!(heard.is_empty(), "{heard:?}");
        let ack = world.asks(a, event, payload);
        assert_eq!(ack, json!({"ok": false, "error": error}));
        world.forget(&[a]);
    }
    world.raw(a, "typing:start", &[]);
    assert_eq!(world.hears_error(a)["message"], "Datos inválidos: \"payload\" es obligatorio");
    assert_eq!(world.messages().len(), 0);
    assert_eq!(world.asks(a, "message:send", base)["ok"], true, "the next one works");
}

#[test]
fn what_fits_exactly_is_taken() {
    let mut world = World::new();
    let a = world.person("a", "agent");
    for payload in [
        text_of(&"é".repeat(128), WEB, &"ñ".repeat(4_096)),
        json!({"messageId": "l", "conversationId": WEB, "type": "location", "metadata": {"latitude": -90, "longitude": 180.0}}),
        json!({"messageId": "d", "conversationId": format!("conv_{}", "x".repeat(120)), "text": "x"}),
        json!({"messageId": "t", "conversationId": WEB, "type": "template", "metadata": {"template": {"sid": "HX1", "variables": {"1": "a"}}}}),
    ] {
        assert_eq!(world.asks(a, "message:send", payload.clone())["ok"], true, "{payload}");
    }
    let mut strict = World::with(Settings { strict_ids: true, ..Settings::default() });
    let a = strict.person("a", "agent");
    for (id, ok) in
        [("9b2f1c3e-4d5a-4f60-8a7b-0c1d2e3f4a5b", true), ("9b2f1c3e-4d5a-7f60-8a7b-0c1d2e3f4a5b", false), ("m1", false)]
    {
        assert_eq!(strict.asks(a, "message:send", text_of(id, WEB, "x"))["ok"], ok, "{id}");
    }
}

#[test]
fn an_event_that_is_not_permitted_or_too_large_is_refused_and_the_socket_stays() {
    let mut world = World::new();
    let a = world.person("a", "agent");
    world.forget(&[a]);
    let ack = world.asks(a, "foo:bar", json!({}));
    assert_eq!(ack["error"]["code"], "INVALID_EVENT");
    assert_eq!(world.hears_error(a), json!({"code": "INVALID_EVENT", "message": "Evento no permitido: foo:bar"}));
    world.send(a, "message:send", text_of("m1", WEB, &"x".repeat(2 << 20)));
    let error = world.hears_error(a);
    assert_eq!((&error["code"], &error["details"]), (&json!("PAYLOAD_TOO_LARGE"), &json!({"limit": 1_048_576})));
    assert_eq!(world.asks(a, "message:send", text_of("m1", WEB, "x"))["ok"], true);
}

#[test]
fn sixty_messages_go_and_the_next_one_is_told_when() {
    let mut world = World::new();
    let a = world.person("a", "agent");
    world.forget(&[a]);
    for _ in 0..60 {
        world.says(a, WEB, "x");
    }
    assert_eq!(world.all(a, "message:sent").len(), 60);
    world.forget(&[a]);
    world.send(a, "message:send", text_of("m61", WEB, "x"));
    let error = world.hears(a, "error");
    let reset_at = world.now.plus(1_000).wall.to_string();
    assert_eq!(
        error,
        json!({"code": "RATE_LIMIT_EXCEEDED", "message": "Límite excedido para evento: message:send",
        "details": {"limit": 60, "windowMs": 60_000, "resetAt": reset_at}})
    );
    let told = world.hears(a, "message:error");
    assert_eq!((&told["messageId"], &told["error"]["code"]), (&json!("m61"), &json!("RATE_LIMIT_EXCEEDED")));
    assert_eq!(world.asks(a, "typing:start", json!({"conversationId": WEB}))["ok"], true, "each event by itself");
    world.pass(1_000);
    assert_eq!(world.asks(a, "message:send", text_of("m61", WEB, "x"))["ok"], true);
    assert_eq!(world.messages().len(), 61);
}

#[test]
fn all_events_of_a_socket_together_are_limited_where_that_is_set() {
    let mut world = World::with(Settings { socket_max_events: 3, ..Settings::default() });
    let a = world.person("a", "agent");
    for (event, ok) in [("typing:start", false), ("message:send", true), ("typing:start", true), ("typing:stop", false)]
    {
        let ack = world.asks(a, event, text_of("m1", WEB, "x"));
        assert_eq!(ack["ok"], ok, "{event}: {ack}");
    }
    let told = world.all(a, "error").pop().unwrap();
    assert_eq!((&told["code"], &told["details"]["limit"]), (&json!("RATE_LIMIT_EXCEEDED"), &json!(3)));
}

/// People of both scopes have the same ids, and so have their conversations and messages; what they write says where it is from.
fn act(world: &mut World, rng: &mut Rng, workspace: &str, people: &mut [Id]) {
    let at = rng.below(people.len() as u32) as usize;
    let (id, user) = (people[at], format!("{workspace}-{at}"));
    let conversation = [WEB, CUSTOMER, "conv_other"][rng.below(3) as usize];
    let message_id = format!("m{}", rng.below(40));
    let about = json!({"conversationId": conversation});
    let roles = ["agent", "admin", "bot", "viewer"];
    match rng.below(14) {
        0..=3 => {
            world.send(id, "message:send", text_of(&message_id, conversation, &format!("{workspace} {message_id}")))
        }
        4 => world.send(id, "test:inbound", text_of(&message_id, conversation, workspace)),
        5 => world.send(id, "join:conversation", about),
        6 => world.send(id, "leave:conversation", about),
        7 => world.send(id, "typing:start", about),
        8 => world.send(id, "conversation:read", json!({"conversationId": conversation, "messageId": message_id})),
        9 => world.send(id, "sync:state", json!({"syncId": workspace, "lastSync": "2025-08-20T10:00:00.000Z"})),
        10 => {
            let status = ["online", "busy", "offline"][rng.below(3) as usize];
            world.send(id, "presence:set", json!({"status": status}));
        }
        11 => world.send(id, "test:assign", json!({"conversationId": conversation, "agentId": user})),
        12 => {
            world.leaves(id, CloseReason::TransportClose);
            people[at] = world.of_workspace(workspace, &user, roles[at % roles.len()], APP);
        }
        _ => world.send(
            id,
            "message:send",
            json!({"messageId": message_id, "conversationId": conversation, "type": "note", "text": workspace}),
        ),
    }
}

/// What people of the first scope hear, event by event, while people of as many other scopes act as well.
fn heard_beside(others: usize, seed: u8) -> Vec<Vec<(String, Value)>> {
    let mut world = World::with(Settings { events_per_minute: [].into(), ..Settings::default() });
    let mut ours = Rng::from_seed([seed; 32]);
    let mut theirs = Rng::from_seed([seed + 1; 32]);
    let workspaces: Vec<String> = (1..=others + 1).map(|n| format!("w{n}")).collect();
    let mut people: Vec<Vec<Id>> = Vec::new();
    for workspace in &workspaces {
        let roles = ["agent", "admin", "bot", "viewer"].into_iter().enumerate();
        people.push(
            roles.map(|(at, role)| world.of_workspace(workspace, &format!("{workspace}-{at}"), role, APP)).collect(),
        );
    }
    let mut heard = Vec::new();
    for step in 0..300 {
        act(&mut world, &mut ours, "w1", &mut people[0]);
        for (workspace, people) in workspaces.iter().zip(&mut people).skip(1) {
            act(&mut world, &mut theirs, workspace, people);
        }
        if step % 10 == 0 {
            world.pass(700);
        }
        let told = people[0].clone().into_iter().flat_map(|id| world.heard(id)).collect();
        heard.push(told);
        for id in people.iter().skip(1).flatten() {
            for (name, payload) in world.heard(*id) {
                assert!(!payload.to_string().contains("w1"), "{name} {payload}");
            }
        }
    }
    heard
}

#[test]
fn two_scopes_know_nothing_of_each_other() {
    for seed in [1, 5, 9] {
        let (alone, beside) = (heard_beside(0, seed), heard_beside(1, seed));
        let names = |heard: &[(String, Value)]| heard.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
        for (step, (alone, beside)) in alone.iter().zip(&beside).enumerate() {
            assert_eq!(
                names(alone),
                names(beside),
                "seed {seed}, step {step}: the same is heard, whoever else is there"
            );
            for (name, payload) in beside {
                assert!(!payload.to_string().contains("w2"), "{name} {payload}");
            }
        }
        assert!(alone.iter().map(Vec::len).sum::<usize>() > 500, "they have heard something");
    }
}
