//! What goes with time, what stays, and how little is done at once.

use serde_json::{Value, json};

use super::provided::{self, always, inbound};
use super::rest::{Rest, refused};
use super::world::{CUSTOMER, Count, WEB, World, text_of};
use crate::app::kit::audit::{self, Actor, Entry};
use crate::app::sql::Statement;
use crate::apps::utalk::message::Message;
use crate::apps::utalk::settings::Settings;
use crate::testing::outside::answer;

const DAY_MS: u64 = 86_400_000;
const HOUR_MS: u64 = 3_600_000;

fn settings(message_retention_days: u32, dedup_days: u32) -> Settings {
    let events_per_minute = [("default".to_owned(), 0)].into();
    let metrics_interval_ms = HOUR_MS;
    Settings { message_retention_days, dedup_days, events_per_minute, metrics_interval_ms, ..Settings::default() }
}

impl Rest {
    /// So many days pass at once, and everything old goes.
    fn ages(&mut self, days: u64) {
        self.now = self.now.plus(days * DAY_MS);
        self.pass(2 * HOUR_MS);
    }

    fn says(&mut self, token: &str, message_id: &str, text: &str) -> (u16, Value) {
        self.call(token, "POST", "/api/messages", text_of(message_id, WEB, text))
    }

    fn texts(&mut self, token: &str) -> Vec<String> {
        let data = self.gets(token, "/api/conversations/conv_test/messages");
        let messages = data["messages"].as_array().unwrap();
        assert_eq!(data["pagination"]["total"], json!(messages.len()));
        messages.iter().map(|message| message["text"].as_str().unwrap().to_owned()).collect()
    }
}

#[test]
fn what_was_said_goes_and_the_same_message_again_gets_its_first_answer() {
    let mut rest = Rest::with(settings(1, 3));
    let ana = rest.token("w1", "ana", "agent");
    let socket = rest.joins(&ana, 0);
    let first = rest.says(&ana, "m1", "hola").1["data"].clone();
    rest.says(&ana, "m2", "¿qué tal?");
    rest.call(&ana, "POST", "/api/messages", text_of("o1", "conv_other", "y yo"));
    rest.ages(2);
    let ana = rest.token("w1", "ana", "agent");
    assert_eq!(rest.gets(&ana, "/api/conversations/conv_other")["lastMessage"], Value::Null, "in memory");
    let rows: Vec<Count> = rest.store.rows(Statement::new(
        "SELECT count(*) AS count FROM ut_conversations WHERE last_message IS NOT NULL
         UNION ALL SELECT count(*) AS count FROM ut_messages WHERE text IS NOT NULL OR metadata <> '{}'",
    ));
    assert_eq!([rows[0].0, rows[1].0], [0, 0], "on disk");
    assert_eq!(rest.says(&ana, "m3", "sigo aquí").1["data"]["seq"], json!(3), "numbers go on");
    assert_eq!(rest.texts(&ana), ["sigo aquí"]);
    let shown = rest.gets(&ana, "/api/conversations/conv_test");
    assert_eq!((&shown["messageCount"], &shown["lastMessage"]["text"]), (&json!(3), &json!("sigo aquí")));
    rest.heard(socket);
    let day_before = crate::base::time::WallMillis(rest.now.wall.0 - 2 * DAY_MS).to_string();
    let sync = rest.asks(socket, "sync:state", json!({"syncId": "s", "lastSync": day_before}));
    assert_eq!(sync["messages"].as_array().unwrap().len(), 1, "{sync}");
    // The same again is the first one; with another text, or a file, it is another one.
    let ack = rest.asks(socket, "message:send", text_of("m1", WEB, "hola"));
    assert_eq!((&ack["id"], &ack["seq"], &ack["duplicate"]), (&first["id"], &json!(1), &json!(true)));
    assert_eq!(refused(&rest.says(&ana, "m1", "hola")), (409, "MESSAGE_DUPLICATE"));
    assert_eq!(refused(&rest.says(&ana, "m1", "otra cosa")), (409, "MESSAGE_ID_CONFLICT"));
    let read = rest.asks(socket, "conversation:read", json!({"conversationId": WEB, "messageId": "m2"}));
    assert_eq!(read["ok"], json!(true), "it is still a place in its conversation");
    // When its id is not known any more either, nothing is left, and the id is as good as new.
    rest.ages(1);
    let ana = rest.token("w1", "ana", "agent");
    let left: Vec<Message> = rest.store.rows(Statement::new("SELECT * FROM ut_messages"));
    assert_eq!(left.iter().map(|message| &*message.message_id).collect::<Vec<_>>(), ["m3"]);
    let again = rest.says(&ana, "m1", "otra cosa");
    assert_eq!((again.0, &again.1["data"]["seq"]), (201, &json!(4)));
    assert_ne!(again.1["data"]["id"], first["id"]);
}

#[test]
fn an_id_that_is_not_known_any_more_names_another_message_beside_the_first() {
    let mut world = provided::with(Settings { dedup_days: 1, metrics_interval_ms: HOUR_MS, ..provided::settings() });
    assert_eq!(inbound(&mut world, "SMi1", "Hola").0, 200);
    let root = world.person("root", "admin");
    world.send(root, "message:send", text_of("m1", WEB, "uno"));
    for (days, count) in [(0, 1), (2, 2)] {
        world.now = world.now.plus(days * DAY_MS);
        world.pass(2 * HOUR_MS);
        assert_eq!(inbound(&mut world, "SMi1", "Hola").0, 200);
        let root = world.person("root", "admin");
        world.send(root, "message:send", text_of("m1", WEB, "uno"));
        let of = |id: &str| world.messages().iter().filter(|message| &*message.message_id == id).count();
        assert_eq!((of("SMi1"), of("m1")), (count, count), "after {days} days");
    }
    assert!(world.messages().iter().all(|message| message.text.is_some()), "what was said stays");
    // The newer one is known by it now.
    assert_eq!(inbound(&mut world, "SMi1", "Hola").0, 200);
    assert_eq!(world.messages().len(), 4);
}

#[test]
fn a_message_that_has_never_gone_out_goes_as_a_whole_and_one_on_its_way_stays() {
    let mut world =
        provided::with(Settings { message_retention_days: 1, metrics_interval_ms: HOUR_MS, ..provided::settings() });
    let (a, _) = provided::two_agents(&mut world);
    always(&mut world, || answer(503, ""));
    let send = |world: &mut World, id| world.send(a, "message:send", text_of(id, CUSTOMER, "x"));
    send(&mut world, "rests");
    world.pass(60_000);
    world.outside.hangs = true;
    send(&mut world, "goes");
    world.now = world.now.plus(2 * DAY_MS);
    world.pass(2 * HOUR_MS);
    let messages = world.messages();
    let left: Vec<_> = messages.iter().map(|message| (&*message.message_id, message.text.as_deref())).collect();
    assert_eq!(left, [("SMi0", None), ("goes", Some("x"))]);
}

#[test]
fn it_goes_piece_by_piece_and_waits_for_a_store_that_fails() {
    let mut rest = Rest::with(settings(1, 1));
    let ana = rest.token("w1", "ana", "agent");
    for number in 0..250 {
        rest.says(&ana, &format!("m{number}"), "x");
    }
    rest.now = rest.now.plus(2 * DAY_MS);
    rest.store.down = true;
    rest.pass(HOUR_MS + 1_000);
    rest.store.down = false;
    let (batches, before) = (rest.store.batches, count(&rest).0);
    assert_eq!(before, 250);
    // It is asked again by and by, and rests between two pieces.
    let mut steps = vec![before];
    for _ in 0..400 {
        rest.pass(25);
        steps.push(count(&rest).0);
    }
    steps.dedup();
    assert!(steps.len() >= 3 && steps.windows(2).all(|two| two[0] - two[1] <= 100), "{steps:?}");
    assert_eq!(count(&rest), (0, 0));
    let writes = rest.store.batches - batches;
    assert!(writes <= 12, "{writes}: three for each walk, the log, the files");
    // A round that finds nothing old writes nothing of messages.
    let batches = rest.store.batches;
    rest.pass(600_000);
    assert!(rest.store.batches - batches <= 4, "the log and the files");
}

/// Messages that say something, and all of them.
fn count(rest: &Rest) -> (u64, u64) {
    let sql = "SELECT count(text) AS count FROM ut_messages UNION ALL SELECT count(*) AS count FROM ut_messages";
    let counts = rest.store.rows::<Count>(Statement::new(sql));
    (counts[0].0, counts[1].0)
}

#[test]
fn the_log_keeps_its_days_and_only_ours_goes() {
    let mut rest = Rest::with(Settings { metrics_interval_ms: HOUR_MS, ..Settings::default() });
    let admin = rest.token("w1", "boss", "admin");
    let body = json!({"email": "ana@x", "password": "correct horse", "name": "Ana"});
    assert_eq!(rest.call(&admin, "POST", "/api/auth/create-user", body).0, 201);
    let foreign = Entry::new(rest.now.wall, "signage", &Actor::default(), "revoke", "p1");
    rest.store.writes(foreign.add());
    let known = |rest: &Rest, domain: &str| rest.store.rows::<Entry>(audit::newest(domain, 9)).len();
    rest.ages(29);
    assert_eq!((known(&rest, "utalk"), known(&rest, "signage")), (1, 1));
    rest.ages(2);
    assert_eq!((known(&rest, "utalk"), known(&rest, "signage")), (0, 1));
}
