//! Webhooks: receipts of messages of ours, messages of customers, and what is refused.

use std::sync::Arc;

use serde_json::{Value, json};

use super::provided::{
    MESSAGES, OURS, THEIRS, form, inbound, meta, only, ours, receipt, settings, signature, twilio, two_agents, world,
};
use super::world::{APP, CUSTOMER};
use crate::apps::utalk::ROW;
use crate::apps::utalk::message::Status;
use crate::apps::utalk::settings::Settings;

#[test]
fn receipts_raise_the_rank_and_never_lower_it() {
    for (receipts, events, last) in [
        (&["sent", "delivered", "read"][..], &["message:delivered", "message:read"][..], Status::Read),
        (&["read", "delivered", "read"], &["message:read"], Status::Read),
        (&["failed", "delivered"], &["message:error", "message:delivered"], Status::Delivered),
        (&["undelivered", "sent"], &["message:error"], Status::Failed),
        (&["delivered", "failed"], &["message:delivered"], Status::Delivered),
        (&["queued", "accepted", "sending", "canceled"], &[], Status::Sent),
    ] {
        let mut world = world();
        let (a, b) = two_agents(&mut world);
        world.says(a, CUSTOMER, "Hola");
        world.forget(&[a, b]);
        for status in receipts {
            assert_eq!(receipt(&mut world, "", "SM1", status), 200);
        }
        for agent in [a, b] {
            assert_eq!(only(&world.names(agent), MESSAGES), *events, "{receipts:?}");
        }
        assert_eq!(ours(&world)[0].status, last, "{receipts:?}");
    }
}

#[test]
fn a_receipt_tells_what_the_provider_says() {
    let mut world = world();
    let (a, b) = two_agents(&mut world);
    world.says(a, CUSTOMER, "Hola");
    world.forget(&[a, b]);
    let id = ours(&world)[0].id.clone();
    receipt(&mut world, &id, "SM1", "failed");
    let error = world.hears(b, "message:error");
    assert_eq!(error["error"]["details"]["reason"], json!("provider_30008"));
    receipt(&mut world, &id, "SM1", "read");
    let (told, now) = (world.hears(b, "message:read"), world.now.wall.to_string());
    let expected = json!({"id": id, "messageId": "m1", "conversationId": CUSTOMER, "status": "read", "readAt": now,
        "readBy": THEIRS, "ids": [id]});
    assert_eq!(told, expected);
    assert!(ours(&world)[0].error.is_none(), "it has reached the customer after all");
}

#[test]
fn a_receipt_that_is_quicker_than_the_answer_waits_for_it() {
    let mut world = world();
    let (a, b) = two_agents(&mut world);
    world.outside.hangs = true;
    world.says(a, CUSTOMER, "Hola");
    let id = ours(&world)[0].id.clone();
    assert_eq!(receipt(&mut world, &id, "SM1", "delivered"), 200);
    assert_eq!(receipt(&mut world, "", "SM2", "read"), 200);
    world.hears_nothing(a, "message:delivered");
    world.outside_answers();
    assert_eq!(only(&world.names(a), MESSAGES), ["message:sent", "message:delivered"]);
    assert_eq!(only(&world.names(b), MESSAGES), ["message:new", "message:sent", "message:delivered"]);
    world.says(a, CUSTOMER, "second");
    world.outside_answers();
    assert_eq!(only(&world.names(a), MESSAGES), ["message:sent", "message:read"], "by the provider's id alone");
    assert_eq!(receipt(&mut world, "", "SM3", "read"), 200);
    world.pass(120_000);
    world.says(a, CUSTOMER, "third");
    world.outside_answers();
    assert_eq!(only(&world.names(a), MESSAGES), ["message:sent"], "two minutes are long enough");
}

#[test]
fn a_message_of_a_customer_is_recorded_once() {
    let mut world = world();
    let (a, other) = (world.person("a", "agent"), world.of_workspace("w2", "z", "admin", APP));
    world.forget(&[a, other]);
    let (status, first) = inbound(&mut world, "SMi1", "Hola, ¿qué tal?");
    assert_eq!((status, &first["success"], &first["messageId"]), (200, &json!(true), &json!("SMi1")));
    assert_eq!(world.names(a), ["conversation:new", "message:new", "conversation:updated"]);
    for text in ["Hola, ¿qué tal?", "changed on its way"] {
        let (status, repeat) = inbound(&mut world, "SMi1", text);
        assert_eq!((status, &repeat["messageId"]), (200, &first["messageId"]));
    }
    assert_eq!((world.names(a).len(), world.names(other).len(), world.messages().len()), (0, 0, 1));
    world.restart();
    assert_eq!(inbound(&mut world, "SMi1", "Hola, ¿qué tal?").0, 200);
    assert_eq!(world.messages().len(), 1);
    let message = &world.messages()[0];
    assert_eq!((&*message.sender, message.status, message.inbound), (THEIRS, Status::Received, 1));
    let conversation = &world.conversations()[0];
    assert_eq!((&*conversation.id, conversation.customer_name.as_deref()), (CUSTOMER, Some("Ana")));
    assert_eq!(world.metric("utalk_webhooks_total", "duplicate"), 1.0);
}

#[test]
fn what_could_not_be_recorded_comes_again() {
    let mut world = world();
    let a = world.person("a", "agent");
    world.forget(&[a]);
    world.store.down = true;
    let (status, refused) = inbound(&mut world, "SMi1", "Hola");
    assert_eq!((status, &refused["error"]["code"]), (503, &json!("DATABASE_ERROR")));
    assert_eq!(only(&world.names(a), MESSAGES), [""; 0]);
    assert_eq!(receipt(&mut world, "msg_1", "", "read"), 503);
    world.store.down = false;
    assert_eq!(inbound(&mut world, "SMi1", "Hola").0, 200);
    world.hears(a, "message:new");
}

#[test]
fn what_is_not_signed_reaches_no_home() {
    let mut world = world();
    let form = "MessageSid=S&From=%2B1&To=%2B0987654321&Body=x";
    let mut ask = |target: &str, headers: &[(&'static str, &'static str)], body: &str| {
        world.requests_with(&ROW, "POST", target, |call| {
            call.headers = headers.iter().map(|(name, value)| (*name, value.as_bytes().into())).collect();
            call.body = body.to_owned().into();
        });
        let (status, body) = world.replies.last().cloned().unwrap();
        (status, body["error"]["code"].as_str().unwrap_or_default().to_owned())
    };
    for target in [
        "/utalk/webhooks/twilio/whatsapp",
        "/utalk/webhooks/twilio/status?m=1",
        "/utalk/api/messages/webhook",
        "/utalk/api/twilio/status-callback",
    ] {
        assert_eq!(ask(target, &[], form), (400, "SIGNATURE_MISSING".into()), "{target}");
        assert_eq!(ask(target, &[("x-twilio-signature", "AAAA")], form), (403, "SIGNATURE_INVALID".into()), "{target}");
    }
    for target in ["/utalk/webhooks/whatsapp", "/utalk/webhooks/facebook/messages"] {
        assert_eq!(ask(target, &[], "{}"), (400, "SIGNATURE_MISSING".into()), "{target}");
        let wrong = [("x-hub-signature-256", "sha256=00")];
        assert_eq!(ask(target, &wrong, "{}"), (403, "SIGNATURE_INVALID".into()), "{target}");
    }
    world.settings = Some(Arc::new(Settings::default()));
    world.requests_with(&ROW, "POST", "/utalk/webhooks/twilio/whatsapp", |call| call.body = form.into());
    assert_eq!(world.replies.last().unwrap().1["error"]["code"], json!("WEBHOOK_NOT_CONFIGURED"));
    assert_eq!(world.messages().len(), 0);
    assert_eq!(world.metric("utalk_webhooks_total", "refused"), 13.0);
}

/// Behind a proxy that speaks TLS, an operator says what is called from outside.
#[test]
fn without_a_public_url_the_host_that_was_asked_for_is_signed() {
    let mut world = world();
    world.settings = Some(Arc::new(Settings { public_url: String::new(), ..settings() }));
    let target = "/utalk/webhooks/twilio/whatsapp";
    let fields = [("Body", "x"), ("From", THEIRS), ("MessageSid", "S1"), ("To", OURS)];
    for (host, status) in [("127.0.0.1:3000", 200), ("chat.example", 403), ("", 403)] {
        let signature = signature("http://127.0.0.1:3000/utalk/webhooks/twilio/whatsapp", &fields);
        world.requests_with(&ROW, "POST", target, |call| {
            call.headers = vec![("host", host.into()), ("x-twilio-signature", signature.into())];
            call.body = form(&fields).into();
        });
        assert_eq!(world.replies.last().unwrap().0, status, "{host}");
    }
}

#[test]
fn a_form_that_says_nothing_is_400() {
    let mut world = world();
    let fields = [("MessageSid", "S"), ("From", THEIRS), ("To", OURS)];
    let (status, refused) = twilio(&mut world, "/utalk/webhooks/twilio/whatsapp", &fields);
    assert_eq!((status, &refused["error"]["code"]), (400, &json!("VALIDATION_ERROR")));
}

#[test]
fn a_body_of_whatsapp_cloud_brings_messages_and_receipts() {
    let mut world = world();
    let (a, b) = two_agents(&mut world);
    world.says(a, CUSTOMER, "Hola");
    let id = ours(&world)[0].id.clone();
    world.forget(&[a, b]);
    let text = |id: &str, text: &str| json!({"id": id, "from": &THEIRS[1..], "type": "text", "text": {"body": text}});
    let value = json!({
        "metadata": {"display_phone_number": &OURS[1..]},
        "messages": [text("w1", "one"), text("w2", "two"), text("w1", "one")],
        "statuses": [{"id": "w9", "status": "delivered", "biz_opaque_callback_data": id}],
    });
    let body = json!({"object": "whatsapp_business_account", "entry": [{"changes": [{"value": value}]}]});
    for expected in [&["one", "two"][..], &[]] {
        let (status, reply) = meta(&mut world, "/utalk/webhooks/whatsapp", &body);
        assert_eq!((status, &reply["success"]), (200, &json!(true)));
        let texts: Vec<Value> = world.all(b, "message:new").into_iter().map(|new| new["text"].clone()).collect();
        assert_eq!(texts, expected);
    }
    assert_eq!(world.all(a, "message:delivered").len(), 1);
    assert_eq!(meta(&mut world, "/utalk/webhooks/whatsapp", &json!({"entry": []})).0, 200);
}

#[test]
fn a_body_of_messenger_brings_messages_of_a_page() {
    let mut world = world();
    let a = world.person("a", "agent");
    world.forget(&[a]);
    let event =
        json!({"sender": {"id": "777"}, "recipient": {"id": "100200"}, "message": {"mid": "m_1", "text": "Hola"}});
    let body = json!({"object": "page", "entry": [{"messaging": [event]}]});
    assert_eq!(meta(&mut world, "/utalk/webhooks/facebook/messages", &body).0, 200);
    let new = world.hears(a, "conversation:new");
    assert_eq!((&new["id"], &new["channel"]), (&json!("conv_777_100200"), &json!("facebook")));
    assert_eq!(new["participants"], json!(["777", "100200"]));
    world.hears(a, "message:new");
    world.says(a, "conv_777_100200", "¿Sí?");
    assert_eq!(world.hears(a, "message:sent")["twilioSid"], json!(null), "it is accepted at once");
}

#[test]
fn meta_asks_whether_we_are_there() {
    let mut world = world();
    for path in ["/utalk/webhooks/whatsapp", "/utalk/webhooks/facebook/verify"] {
        for (query, status) in [
            ("hub.mode=subscribe&hub.verify_token=verify&hub.challenge=1158201444", 200),
            ("hub.mode=subscribe&hub.verify_token=wrong&hub.challenge=1", 403),
            ("hub.mode=unsubscribe&hub.verify_token=verify&hub.challenge=1", 403),
            ("hub.verify_token=verify", 403),
            ("", 403),
        ] {
            world.requests(&ROW, "GET", &format!("{path}?{query}"), None);
            let (got, body) = world.replies.last().cloned().unwrap();
            assert_eq!(got, status, "{path} {query}");
            if status == 200 {
                assert_eq!(body, json!("1158201444"));
            }
        }
    }
}
