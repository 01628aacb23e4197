//! What is refused before anything happens: size, rate, shape.

use serde_json::{Value, json};

use super::world::{WEB, World, text_of};
use crate::app::event::Args;
use crate::apps::utalk::settings::Settings;

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

/// JSON as it is hard to read: what cannot be kept as it is meant is no payload, and the next one works.
#[test]
fn t22_unusual_json_is_kept_as_it_is_meant_or_refused() {
    let mut world = World::with(Settings { events_per_minute: [].into(), ..Settings::default() });
    let a = world.person("a", "agent");
    world.forget(&[a]);
    let number = "7".repeat(400);
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    for (more, kept) in [
        (r#""metadata":{"n":18446744073709551615,"m":-9223372036854775808,"f":0.1,"e":1e300}"#, true),
        (r#""metadata":{"same":1,"same":2}"#, true),
        (r#""metadata":{"n":1e400}"#, false),
        (r#""metadata":{"n":1E+99999999}"#, false),
        (&format!(r#""metadata":{{"n":{number}}}"#), false),
        (&format!(r#""metadata":{{"n":{deep}}}"#), false),
        (r#""messageId":"another""#, false),
        (r#""conversationId":"conv_other""#, false),
        (r#""text":"Hola""#, false),
    ] {
        let payload =
            format!(r#"{{"messageId":"{}","conversationId":"{WEB}","text":"Hola",{more}}}"#, world.messages().len());
        let before = world.messages().len();
        world.event(a, Args::written("message:send", [payload.as_bytes()].into_iter()), None);
        assert_eq!(world.messages().len() - before, usize::from(kept), "{}", &payload[..payload.len().min(200)]);
        if !kept {
            assert_eq!(world.hears(a, "error")["details"], json!({"event": "message:send", "path": "payload"}));
        }
        world.forget(&[a]);
    }
    let metadata: Value = serde_json::from_str(&world.messages()[0].metadata).unwrap();
    assert_eq!(metadata.to_string(), r#"{"n":18446744073709551615,"m":-9223372036854775808,"f":0.1,"e":1e+300}"#);
    let lone = format!(r#"{{"messageId":"lone","conversationId":"{WEB}","text":"a\ud800b"}}"#);
    world.event(a, Args::written("message:send", [lone.as_bytes()].into_iter()), None);
    assert_eq!(world.messages().last().unwrap().text.as_deref(), Some("a\u{fffd}b"), "as browsers show it");
}
