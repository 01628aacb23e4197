//! The way of a message to a provider: calls, tries, crashes, the breaker, the window.

use serde_json::{Value, json};

use super::provided::{
    MESSAGES, OURS, THEIRS, accepts, always, bodies, calls_on_disk, field, inbound, only, ours, receipt, settings,
    two_agents, with, world,
};
use super::world::{CUSTOMER, WEB, World, text_of};
use crate::app::fetch::{FetchError, FetchFailure};
use crate::apps::utalk::message::Status;
use crate::apps::utalk::settings::{Settings, Window};
use crate::testing::outside::answer;

#[test]
fn a_message_is_sent_when_the_provider_has_taken_it() {
    let mut world = world();
    let (a, b) = two_agents(&mut world);
    world.outside.hangs = true;
    let message_id = world.says(a, CUSTOMER, "Hola & adiós");
    assert_eq!(only(&world.names(a), MESSAGES), [""; 0], "the provider has not answered");
    let new = world.hears(b, "message:new");
    assert_eq!((&new["status"], &new["sender"]), (&json!("pending"), &json!(OURS)));
    assert_eq!(calls_on_disk(&world, "begun"), 1, "the mark is there before the call");
    world.outside_answers();
    let sent = world.hears(a, "message:sent");
    assert_eq!(
        (&sent["messageId"], &sent["status"], &sent["twilioSid"]),
        (&json!(message_id), &json!("sent"), &json!("SM1"))
    );
    let told = world.hears(b, "message:sent");
    assert_eq!((&told["id"], &told["twilioSid"], &told["seq"]), (&sent["id"], &json!("SM1"), &json!(2)));
    let fetch = &world.outside.asked[0];
    assert_eq!(fetch.url, "http://provider/2010-04-01/Accounts/AC1/Messages.json");
    assert_eq!(field(fetch, "To"), format!("whatsapp:{THEIRS}"));
    let id = sent["id"].as_str().unwrap();
    let callback = format!("https://chat.example/utalk/webhooks/twilio/status?m={id}&s=t1%2Fw1");
    assert_eq!((field(fetch, "Body"), field(fetch, "StatusCallback")), ("Hola & adiós".to_owned(), callback));
    assert_eq!((calls_on_disk(&world, "begun"), ours(&world)[0].attempt), (0, 1));
}

#[test]
fn a_conversation_of_the_web_and_notes_are_accepted_at_once() {
    let mut world = world();
    let a = world.person("a", "agent");
    world.says(a, WEB, "Hola");
    assert_eq!(world.hears(a, "message:sent")["twilioSid"], json!(null));
    let note = json!({"type": "note", "messageId": "n", "conversationId": CUSTOMER, "text": "ojo"});
    world.send(a, "message:send", note);
    assert_eq!(world.hears(a, "message:sent")["status"], json!("sent"));
    assert_eq!(bodies(&world), [""; 0]);
}

#[test]
fn of_one_conversation_one_call_at_a_time_goes_out_by_seq() {
    let mut world = world();
    let a = world.person("a", "agent");
    world.outside.hangs = true;
    for text in ["one", "two", "three"] {
        world.says(a, CUSTOMER, text);
    }
    world.says(a, "conv_+5555555555_+0987654321", "other");
    assert_eq!(bodies(&world), ["one", "other"], "others are not kept up");
    world.outside_answers();
    assert_eq!(bodies(&world), ["one", "other", "two"]);
    world.outside.hangs = false;
    world.outside_answers();
    assert_eq!(bodies(&world), ["one", "other", "two", "three"]);
    let sent: Vec<Value> = world.all(a, "message:sent").into_iter().map(|sent| sent["seq"].clone()).collect();
    assert_eq!(sent.len(), 4);
    assert!(ours(&world).iter().all(|message| message.status == Status::Sent));
}

#[test]
fn what_the_provider_refuses_stays_refused() {
    for (status, body, code, reason) in [
        (400, r#"{"code":21211}"#, "DELIVERY_FAILED", json!("invalid_phone_number")),
        (400, r#"{"code":30034}"#, "DELIVERY_FAILED", json!("provider_30034")),
        (400, r#"{"code":63016}"#, "WINDOW_CLOSED", json!(null)),
        (404, "<html>", "DELIVERY_FAILED", json!("provider_404")),
    ] {
        let mut world = world();
        let (a, b) = two_agents(&mut world);
        let calls = always(&mut world, move || answer(status, body));
        for again in [false, true] {
            world.send(a, "message:send", text_of("m1", CUSTOMER, "Hola"));
            let error = world.hears(a, "message:error");
            assert_eq!((&error["error"]["code"], &error["error"]["details"]["reason"]), (&json!(code), &reason));
            assert_eq!(world.all(b, "message:error").len(), usize::from(!again), "others hear it once");
        }
        assert_eq!((calls.get(), ours(&world)[0].status, ours(&world).len()), (1, Status::Failed, 1));
        world.restart();
        let a = world.person("a", "agent");
        world.send(a, "message:send", text_of("m1", CUSTOMER, "Hola"));
        assert_eq!(world.hears(a, "message:error")["error"]["code"], json!(code));
        assert_eq!(calls.get(), 1, "a restart changes nothing");
    }
}

#[test]
fn what_was_surely_not_processed_is_tried_three_times_and_then_waits_to_be_sent_again() {
    let refused = || Err(FetchError::new(FetchFailure::Refused, ""));
    for says in [|| answer(503, ""), || answer(429, "{\"code\":20429}"), refused] {
        let mut world = world();
        let a = world.person("a", "agent");
        let calls = always(&mut world, says);
        world.send(a, "message:send", text_of("m1", CUSTOMER, "Hola"));
        assert_eq!((calls.get(), calls_on_disk(&world, "due")), (1, 1), "the next call is due");
        world.pass(500);
        assert_eq!(calls.get(), 2);
        world.hears_nothing(a, "message:error");
        world.pass(1_000);
        assert_eq!(calls.get(), 3);
        assert_eq!(world.hears(a, "message:error")["error"]["code"], json!("SERVICE_UNAVAILABLE"));
        assert_eq!((ours(&world)[0].status, calls_on_disk(&world, "none")), (Status::Pending, 1));
        world.pass(60_000);
        world.restart();
        assert_eq!(calls.get(), 3, "nobody has sent it again");
        let a = world.person("a", "agent");
        accepts(&mut world);
        world.send(a, "message:send", text_of("m1", CUSTOMER, "Hola"));
        assert_eq!(world.hears(a, "message:sent")["seq"], json!(1));
        assert_eq!((ours(&world).len(), ours(&world)[0].status), (1, Status::Sent));
    }
}

#[test]
fn what_nobody_knows_of_is_never_sent_again() {
    let late = || Err(FetchError::new(FetchFailure::TimedOut, ""));
    let cut = || Err(FetchError::new(FetchFailure::Cut, ""));
    for says in [late, cut, || answer(500, ""), || answer(502, ""), || answer(200, "{\"sid\":\"SM"), || answer(302, "")]
    {
        let mut world = world();
        let (a, b) = two_agents(&mut world);
        let calls = always(&mut world, says);
        for _ in 0..2 {
            world.send(a, "message:send", text_of("m1", CUSTOMER, "Hola"));
            assert_eq!(world.hears(a, "message:error")["error"]["details"]["reason"], json!("unknown"));
            world.pass(10_000);
        }
        assert_eq!((calls.get(), ours(&world)[0].status), (1, Status::Failed));
        world.forget(&[a, b]);
        let id = ours(&world)[0].id.clone();
        assert_eq!(receipt(&mut world, &id, "SM7", "sent"), 200);
        world.hears_nothing(b, "message:sent");
        assert_eq!(receipt(&mut world, &id, "SM7", "delivered"), 200);
        for agent in [a, b] {
            let told = world.hears(agent, "message:delivered");
            assert_eq!((&told["id"], &told["messageId"]), (&json!(id), &json!("m1")), "a callback raises it");
        }
        world.send(a, "message:send", text_of("m1", CUSTOMER, "Hola"));
        let sent = world.hears(a, "message:sent");
        assert_eq!((&sent["status"], &sent["duplicate"]), (&json!("delivered"), &json!(true)));
    }
}

#[test]
fn a_crash_in_a_call_is_unknown_and_what_was_due_goes_on() {
    let mut world = world();
    let a = world.person("a", "agent");
    world.outside.hangs = true;
    for (message_id, text) in [("m1", "one"), ("m2", "two")] {
        world.send(a, "message:send", text_of(message_id, CUSTOMER, text));
    }
    assert_eq!((calls_on_disk(&world, "begun"), calls_on_disk(&world, "due")), (1, 1));
    world.restart();
    assert_eq!(bodies(&world), ["one", "two"], "without anybody having come");
    let stored = ours(&world);
    assert_eq!((stored[0].status, stored[0].reason.as_deref()), (Status::Failed, Some("unknown")));
    let b = world.person("b", "agent");
    world.send(b, "join:conversation", json!({"conversationId": CUSTOMER}));
    world.outside_answers();
    assert_eq!(world.hears(b, "message:sent")["messageId"], json!("m2"));
    let a = world.person("a", "agent");
    for message_id in ["m1", "m2"] {
        world.send(a, "message:send", text_of(message_id, CUSTOMER, if message_id == "m1" { "one" } else { "two" }));
    }
    assert_eq!(world.hears(a, "message:error")["error"]["details"]["reason"], json!("unknown"));
    assert_eq!(world.hears(a, "message:sent")["messageId"], json!("m2"));
    assert_eq!(bodies(&world), ["one", "two"]);
}

#[test]
fn a_crash_between_two_tries_does_not_end_them() {
    let mut world = world();
    let a = world.person("a", "agent");
    let calls = always(&mut world, || answer(503, ""));
    world.says(a, CUSTOMER, "Hola");
    assert_eq!(calls.get(), 1);
    accepts(&mut world);
    world.restart();
    assert_eq!(ours(&world)[0].status, Status::Sent);
}

#[test]
fn whoever_sends_it_again_meanwhile_joins_its_call() {
    let mut world = world();
    let a = world.person("a", "agent");
    world.outside.hangs = true;
    world.send(a, "message:send", text_of("m1", CUSTOMER, "Hola"));
    let again = world.person("a", "agent");
    world.send(again, "message:send", text_of("m1", CUSTOMER, "Hola"));
    world.outside_answers();
    assert_eq!(world.hears(a, "message:sent")["duplicate"], json!(false));
    assert_eq!(world.hears(again, "message:sent")["duplicate"], json!(true));
    assert_eq!(bodies(&world).len(), 1);
}

/// The one who comes back after a crash finds the call of the message that has gone on by itself.
#[test]
fn whoever_sends_it_again_after_a_crash_joins_the_call_that_goes_on() {
    let mut world = world();
    let a = world.person("a", "agent");
    world.outside.hangs = true;
    world.send(a, "message:send", text_of("m1", CUSTOMER, "one"));
    world.send(a, "message:send", text_of("m2", CUSTOMER, "two"));
    world.restart();
    let a = world.person("a", "agent");
    world.send(a, "message:send", text_of("m2", CUSTOMER, "two"));
    world.outside_answers();
    assert_eq!(world.hears(a, "message:sent")["messageId"], json!("m2"));
    assert_eq!(bodies(&world), ["one", "two"]);
}

#[test]
fn after_five_failures_in_a_row_the_provider_is_left_alone_for_a_minute() {
    let mut world = world();
    let a = world.person("a", "agent");
    let calls = always(&mut world, || answer(500, ""));
    for n in 0..5 {
        world.send(a, "message:send", text_of(&format!("m{n}"), CUSTOMER, "Hola"));
        assert_eq!(world.hears(a, "message:error")["error"]["code"], json!("DELIVERY_FAILED"));
    }
    assert_eq!(world.metric("utalk_provider_breaker_open", ""), 1.0);
    world.send(a, "message:send", text_of("m5", CUSTOMER, "Hola"));
    assert_eq!(world.hears(a, "message:error")["error"]["code"], json!("SERVICE_UNAVAILABLE"));
    assert_eq!(calls.get(), 5, "at once, and without a call");
    world.pass(60_000);
    accepts(&mut world);
    world.send(a, "message:send", text_of("m5", CUSTOMER, "Hola"));
    assert_eq!(world.hears(a, "message:sent")["seq"], json!(6));
    assert_eq!(world.metric("utalk_provider_breaker_open", ""), 0.0);
    assert_eq!(world.metric("utalk_provider_seconds", ""), 6.0);
}

#[test]
fn refusals_open_no_breaker() {
    let mut world = world();
    let a = world.person("a", "agent");
    let calls = always(&mut world, || answer(400, r#"{"code":21211}"#));
    (0..20).for_each(|n| world.send(a, "message:send", text_of(&format!("m{n}"), CUSTOMER, "Hola")));
    assert_eq!(calls.get(), 20);
}

#[test]
fn a_customer_without_a_number_is_not_called() {
    for id in ["conv_+123456_+0987654321", "conv_+1234567890123456_+0987654321"] {
        let mut world = world();
        let a = world.person("a", "agent");
        world.says(a, id, "Hola");
        let error = world.hears(a, "message:error");
        assert_eq!(error["error"]["details"]["reason"], json!("invalid_phone_number"), "{id}");
        assert_eq!((bodies(&world).len(), ours(&world)[0].status), (0, Status::Failed));
    }
}

#[test]
fn outside_the_window_only_templates_go_out() {
    let mut world = with(Settings { whatsapp_window: Window::Auto, ..settings() });
    let a = world.person("a", "agent");
    let closed = |world: &mut World| {
        world.says(a, CUSTOMER, "Hola");
        let error = world.hears(a, "message:error")["error"].clone();
        assert_eq!(error["code"], json!("WINDOW_CLOSED"));
        assert_eq!(error["message"], json!("La ventana de 24h está cerrada o falta plantilla aprobada"));
    };
    closed(&mut world);
    assert_eq!((ours(&world).len(), world.conversations().len(), bodies(&world).len()), (0, 0, 0));
    let template = json!({"type": "template", "messageId": "t1", "conversationId": CUSTOMER,
        "metadata": {"template": {"sid": "HX1", "variables": {"1": "Ana"}}}});
    world.send(a, "message:send", template);
    world.hears(a, "message:sent");
    let fetch = &world.outside.asked[0];
    assert_eq!(
        (field(fetch, "ContentSid"), field(fetch, "ContentVariables")),
        ("HX1".into(), "{\"1\":\"Ana\"}".into())
    );
    assert_eq!(inbound(&mut world, "SMi1", "Hola").0, 200);
    world.says(a, CUSTOMER, "within");
    world.hears(a, "message:sent");
    world.pass(86_400_000);
    world.forget(&[a]);
    closed(&mut world);
}

#[test]
fn a_store_that_fails_keeps_what_the_provider_has_said_until_it_works() {
    let mut world = world();
    let a = world.person("a", "agent");
    world.outside.hangs = true;
    world.send(a, "message:send", text_of("m1", CUSTOMER, "Hola"));
    world.store.down = true;
    world.outside_answers();
    world.pass(2_000);
    assert_eq!(only(&world.names(a), MESSAGES), [""; 0], "nothing is told that is not on disk");
    world.store.down = false;
    world.pass(1_000);
    assert_eq!(world.hears(a, "message:sent")["twilioSid"], json!("SM1"));
    assert_eq!(bodies(&world).len(), 1);
}

#[test]
fn an_id_that_the_provider_gives_twice_is_the_first_ones() {
    let mut world = world();
    let a = world.person("a", "agent");
    always(&mut world, || answer(201, r#"{"sid":"SM1"}"#));
    for (message_id, sid) in [("m1", json!("SM1")), ("m2", json!(null))] {
        world.send(a, "message:send", text_of(message_id, CUSTOMER, "Hola"));
        let sent = world.hears(a, "message:sent");
        assert_eq!((&sent["status"], &sent["twilioSid"]), (&json!("sent"), &sid));
    }
}

#[test]
fn a_mark_that_cannot_be_written_delays_the_call() {
    let mut world = world();
    let a = world.person("a", "agent");
    world.outside.hangs = true;
    world.send(a, "message:send", text_of("m1", CUSTOMER, "one"));
    world.send(a, "message:send", text_of("m2", CUSTOMER, "two"));
    world.store.hangs = true;
    world.outside_answers();
    world.answer();
    world.store.down = true;
    world.store.hangs = false;
    world.answer();
    world.pass(1_000);
    assert_eq!(bodies(&world), ["one"]);
    world.store.down = false;
    world.pass(1_000);
    assert_eq!(bodies(&world), ["one", "two"]);
}
