//! Files that customers send: fetched once, kept, told; what is left where it is, and why; and the order of what waits for them.

use serde_json::{Value, json};

use super::provided::{self, OURS, THEIRS, meta, only, settings};
use super::world::{CUSTOMER, Count, World};
use crate::app::fetch::{Fetch, FetchError, FetchFailure, Fetched};
use crate::app::sql::Statement;
use crate::apps::utalk::ROW;
use crate::apps::utalk::settings::{Provider, ProviderKind, Settings};
use crate::base::limit::FETCH_BYTES_MAX;
use crate::base::secret::Secret;
use crate::testing::Id;

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n and what a picture is made of";
const AT: &str = "http://provider/2010-04-01/Accounts/AC1/Messages/MM1/Media/ME1";
const ELSEWHERE: &str = "https://files.example/of/photo.png?token=1";

fn bytes(body: &[u8], mime: &str) -> Result<Fetched, FetchError> {
    let headers = vec![("content-type".to_owned(), mime.to_owned().into())];
    Ok(Fetched { status: 200, headers, body: body.to_vec().into(), redirects: 0 })
}

/// A world with an agent that has joined the customer's conversation.
fn world() -> (World, Id) {
    let mut world = provided::world();
    assert_eq!(provided::inbound(&mut world, "SM0", "Hola").0, 200);
    let a = world.person("a", "agent");
    world.send(a, "join:conversation", json!({"conversationId": CUSTOMER}));
    world.pass(100);
    world.forget(&[a]);
    (world, a)
}

fn sends(world: &mut World, sid: &str, files: &[(&str, &str)], text: &str) {
    let (from, to, count) = (format!("whatsapp:{THEIRS}"), format!("whatsapp:{OURS}"), files.len().to_string());
    let names: Vec<_> = (0..files.len()).map(|at| (format!("MediaUrl{at}"), format!("MediaContentType{at}"))).collect();
    let mut fields = vec![("MessageSid", sid), ("From", &from), ("To", &to), ("Body", text), ("NumMedia", &*count)];
    for ((url, mime), (at, kind)) in files.iter().zip(&names) {
        fields.extend([(at.as_str(), *url), (kind.as_str(), *mime)]);
    }
    let target = "/utalk/webhooks/twilio/whatsapp";
    let signature = provided::signature(&format!("https://chat.example{target}"), &fields);
    world.requests_with(&ROW, "POST", target, |call| {
        call.headers = vec![("x-twilio-signature", signature.into())];
        call.body = provided::form(&fields).into();
    });
}

fn statuses(world: &World) -> Vec<u16> {
    world.replies.iter().map(|(status, _)| *status).collect()
}

fn files_on_disk(world: &World) -> [u64; 2] {
    let sql = "SELECT count(*) AS count FROM ut_media UNION ALL SELECT count(*) AS count FROM blobs";
    let counts = world.store.rows::<Count>(Statement::new(sql));
    [counts[0].0, counts[1].0]
}

#[test]
fn a_customers_file_is_kept_and_its_message_names_it() {
    let (mut world, a) = world();
    world.outside.says(|_| bytes(PNG, "image/png"));
    sends(&mut world, "SM1", &[(AT, "image/png"), (ELSEWHERE, "image/png")], "Mira");
    let heard = world.heard(a);
    let names: Vec<&str> = heard.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["message:new", "conversation:updated", "media:uploaded", "media:uploaded"], "{heard:?}");
    let (message, first) = (&heard[0].1, &heard[2].1);
    assert_eq!(
        (&message["type"], &message["text"], &message["mediaId"]),
        (&json!("image"), &json!("Mira"), &first["id"])
    );
    assert_eq!(
        (&first["messageId"], &first["uploadedBy"], &first["sizeBytes"]),
        (&json!("SM1"), &Value::Null, &json!(PNG.len()))
    );
    assert!(first["url"].as_str().unwrap().starts_with("https://chat.example/utalk/media/media_"), "{first}");
    let media = &message["metadata"]["media"];
    let expected = json!({"url": ELSEWHERE, "mimeType": "image/png", "mediaId": heard[3].1["id"]});
    assert_eq!((&media[0]["mediaId"], &media[1]), (&first["id"], &expected));
    assert_eq!(heard[3].1["fileName"], "photo.png");
    // Only the provider is told who asks; nobody takes longer than a webhook may, or sends more than is kept.
    let asked: Vec<&Fetch> = world.outside.asked.iter().collect();
    let named = |fetch: &Fetch| fetch.headers.iter().any(|(name, _)| name == "authorization");
    assert_eq!(
        asked.iter().map(|fetch| (&*fetch.url, named(fetch))).collect::<Vec<_>>(),
        [(AT, true), (ELSEWHERE, false)]
    );
    for fetch in asked {
        assert_eq!((fetch.redirects, fetch.timeout_ms, fetch.bytes_max), (3, 5_000, FETCH_BYTES_MAX));
    }
    assert_eq!((files_on_disk(&world), world.metric("utalk_customer_files_total", "kept")), ([2, 2], 2.0));
    // The same again, also after a restart, is the first one, and fetches nothing.
    sends(&mut world, "SM1", &[(AT, "image/png")], "Mira");
    world.restart();
    sends(&mut world, "SM1", &[(AT, "image/png")], "Mira");
    assert_eq!((world.outside.asked.len(), files_on_disk(&world), world.messages().len()), (2, [2, 2], 2));
    assert_eq!(statuses(&world), [200; 4]);
    // Its conversation's readers may have it.
    let id = message["mediaId"].as_str().unwrap();
    for (workspace, status) in [("w1", 200), ("w2", 404)] {
        let got = world.http((workspace, "a", "agent"), "GET", &format!("/api/media/{id}"), &Value::Null);
        assert_eq!(got.0, status, "{got:?}");
    }
}

#[test]
fn clients_of_the_dialect_are_told_a_customers_files_by_their_names() {
    let (mut world, _) = world();
    world.outside.says(|_| bytes(PNG, "image/png"));
    let ana = world.speaker("ana", "agent");
    for (sid, files, kind, content) in [
        ("SM1", &[(ELSEWHERE, "image/png")][..], "image", "photo.png"),
        ("SM2", &[(ELSEWHERE, "image/png"), (AT, "image/png")], "message_with_files", "photo.png"),
    ] {
        sends(&mut world, sid, files, "");
        let message = &world.hears(ana, "new-message")["message"];
        assert_eq!((&message["type"], &message["content"]), (&json!(kind), &json!(content)));
        let attached = message["metadata"]["attachments"].as_array().unwrap();
        assert_eq!((attached.len(), &attached[0]["url"]), (files.len(), &message["mediaUrl"]));
        assert!(attached.iter().all(|file| file["name"].is_string() && file["mime"] == "image/png"), "{attached:?}");
    }
}

#[test]
fn what_is_not_kept_stays_where_it_is_and_says_so() {
    let (mut world, a) = world();
    let large = [PNG, &vec![0; 10 * 1024 * 1024]].concat();
    let fails = |kind| Err(FetchError::new(kind, "…"));
    let cases: Vec<(&str, Result<Fetched, FetchError>)> = vec![
        ("forbidden", fails(FetchFailure::Forbidden)),
        ("timed_out", fails(FetchFailure::TimedOut)),
        ("redirects", fails(FetchFailure::Redirects)),
        ("too_large", fails(FetchFailure::TooLarge)),
        ("cut", fails(FetchFailure::Cut)),
        ("http_404", Ok(Fetched { status: 404, ..bytes(PNG, "image/png").unwrap() })),
        ("unsupported_type", bytes(b"<html>", "image/png")),
        ("unsupported_type", bytes(b"", "image/png")),
        ("too_large", bytes(&large, "image/png")),
    ];
    for (at, (why, says)) in cases.into_iter().enumerate() {
        world.outside.says(move |_| says.clone());
        sends(&mut world, &format!("SM{}", at + 1), &[(AT, "image/png")], "");
        let heard = world.heard(a);
        let names: Vec<&str> = heard.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["message:new", "conversation:updated"], "{why}");
        let message = &heard[0].1;
        let left = json!([{"url": AT, "mimeType": "image/png", "error": why}]);
        assert_eq!(
            (&message["mediaId"], &message["metadata"]["media"], &message["type"]),
            (&Value::Null, &left, &json!("image"))
        );
    }
    // A shelf that takes nothing keeps no message from its reader.
    let (mut failing, _) = self::world();
    failing.outside.says(|_| bytes(PNG, "image/png"));
    failing.store.hangs = true;
    sends(&mut failing, "SM1", &[(AT, "image/png")], "");
    failing.answer();
    failing.store.down = true;
    failing.answer();
    failing.store.down = false;
    failing.store.hangs = false;
    while failing.answer() {}
    assert_eq!(failing.messages()[1].metadata.matches("\"error\":\"storage\"").count(), 1);
    assert_eq!((statuses(&failing), files_on_disk(&failing)), (vec![200; 2], [0, 0]));
    assert_eq!(statuses(&world), [200; 10]);
    assert_eq!((files_on_disk(&world), world.metric("utalk_customer_files_total", "left")), ([0, 0], 9.0));
}

#[test]
fn what_comes_behind_a_file_waits_for_it_and_repeats_join() {
    let (mut world, a) = world();
    world.outside.says(|_| bytes(PNG, "image/png"));
    world.outside.hangs = true;
    sends(&mut world, "SM1", &[(AT, "image/png")], "uno");
    sends(&mut world, "SM1", &[(AT, "image/png")], "uno");
    sends(&mut world, "SM2", &[], "dos");
    // Another conversation does not wait, nor do sockets.
    world.twilio_brings("SM3", "conv_+99_+0987654321", "tres");
    world.send(a, "typing:start", json!({"conversationId": CUSTOMER}));
    assert_eq!(only(&world.names(a), &["message:new", "typing:acknowledged"]), ["message:new", "typing:acknowledged"]);
    assert_eq!((world.outside.asked.len(), statuses(&world).len()), (1, 1), "they are not answered yet");
    world.outside.hangs = false;
    while world.outside_answers() {}
    let texts: Vec<_> = world
        .all(a, "message:new")
        .into_iter()
        .map(|payload| (payload["text"].clone(), payload["seq"].clone()))
        .collect();
    assert_eq!(texts, [(json!("uno"), json!(2)), (json!("dos"), json!(3))]);
    assert_eq!((statuses(&world), files_on_disk(&world)), (vec![200; 4], [1, 1]));
    // What the disk does not take is brought again, and leaves no file behind.
    world.outside.hangs = true;
    sends(&mut world, "SM4", &[(AT, "image/png")], "cuatro");
    world.store.hangs = true;
    world.outside.hangs = false;
    while world.outside_answers() {}
    world.answer();
    world.store.down = true;
    world.answer();
    world.store.down = false;
    world.store.hangs = false;
    while world.answer() {}
    assert_eq!((statuses(&world).last(), files_on_disk(&world)), (Some(&503), [1, 1]));
    sends(&mut world, "SM4", &[(AT, "image/png")], "cuatro");
    assert_eq!((statuses(&world).last(), files_on_disk(&world)), (Some(&200), [2, 2]));
}

#[test]
fn an_id_of_whatsapp_cloud_becomes_a_url_first() {
    let provider = Provider {
        kind: ProviderKind::Whatsapp,
        base_url: "http://graph".to_owned(),
        token: Secret::new("t"),
        ..Provider::default()
    };
    let mut world = provided::with(Settings { provider, ..settings() });
    let a = world.person("a", "agent");
    world.outside.says(|fetch| match &*fetch.url {
        "http://graph/M1" => bytes(br#"{"url": "http://files/1", "mime_type": "image/png"}"#, "application/json"),
        "http://files/1" => bytes(PNG, "image/png"),
        _ => bytes(b"{}", "application/json"),
    });
    let body = |sid: &str, id: &str| {
        json!({"entry": [{"changes": [{"value": {
            "metadata": {"display_phone_number": OURS},
            "messages": [{"id": sid, "from": THEIRS, "type": "image", "image": {"id": id, "mime_type": "image/png", "caption": "Mira"}}],
        }}]}]})
    };
    assert_eq!(meta(&mut world, "/utalk/webhooks/whatsapp", &body("wamid.1", "M1")).0, 200);
    assert_eq!(meta(&mut world, "/utalk/webhooks/whatsapp", &body("wamid.2", "M2")).0, 200);
    let told = world.all(a, "message:new");
    assert!(told[0]["mediaId"].is_string(), "{told:?}");
    assert_eq!((&told[1]["mediaId"], &told[1]["metadata"]["media"][0]["error"]), (&Value::Null, &json!("protocol")));
    let named = |fetch: &Fetch| fetch.headers.iter().any(|(name, _)| name == "authorization");
    let asked: Vec<_> = world.outside.asked.iter().map(|fetch| (&*fetch.url, named(fetch))).collect();
    assert_eq!(asked, [("http://graph/M1", true), ("http://files/1", false), ("http://graph/M2", true)]);
}
