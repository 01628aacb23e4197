//! Files of conversations: brought, told, kept, sent; and what is refused of them.

use serde_json::{Value, json};

use super::rest::{Answer, Rest};
use crate::app::form::Form;
use crate::app::job::{JobError, JobErrorKind};
use crate::app::upload::Fault;
use crate::apps::utalk::ROW;
use crate::apps::utalk::settings::{Media, Settings};
use crate::testing::Id;

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n and what a picture is made of";
const WEB: (&str, &str) = ("conversationId", "conv_test");

impl Rest {
    /// An agent with a socket, and a conversation of the web.
    fn has_web(&mut self) -> (String, Id) {
        let ana = self.token("w1", "ana", "agent");
        let socket = self.joins(&ana, 0);
        self.send(socket, "message:send", json!({"messageId": "first", "conversationId": "conv_test", "text": "hola"}));
        self.heard(socket);
        (ana, socket)
    }

    fn begins(&mut self, token: &str, fields: &[(&str, &str)], declared: &str) {
        let fields = fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let form = Form { fields, part: "file".into(), file_name: "a.png".into(), declared: declared.into() };
        let identity = self.identity(token).unwrap();
        self.uploads(&ROW, "/utalk/api/media/upload", Some(identity), form);
    }

    fn said(&mut self) -> Answer {
        assert_eq!(self.replies.len(), 1, "{:?}", self.replies);
        self.replies.pop().unwrap()
    }

    fn brings_all(&mut self, token: &str, fields: &[(&str, &str)], bytes: &[u8]) -> Answer {
        self.begins(token, fields, "image/png");
        self.brings(bytes);
        if self.is_taking() {
            self.has_brought();
        }
        self.said()
    }

    fn has_picture(&mut self, token: &str) -> Value {
        let (status, body) = self.brings_all(token, &[WEB, ("messageId", "m9")], PNG);
        assert_eq!(status, 201, "{body}");
        body["data"].clone()
    }

    /// What a path answers that is no envelope.
    fn plain(&mut self, token: &str, path: &str) -> Answer {
        let identity = (!token.is_empty()).then(|| self.identity(token).unwrap());
        self.requests(&ROW, "GET", path, identity);
        self.said()
    }
}

fn code(answer: &Answer) -> (u16, &str) {
    (answer.0, answer.1["error"]["code"].as_str().unwrap_or_default())
}

#[test]
fn a_file_is_told_to_those_who_have_to_do_with_it_and_found_again() {
    let mut world = Rest::new();
    let (ana, socket) = world.has_web();
    let bob = world.token("w1", "bob", "agent");
    let (joined, other) = (world.joins(&bob, 0), world.joins(&bob, 0));
    let boss = world.token("w2", "boss", "admin");
    let foreign = world.joins(&boss, 0);
    world.send(joined, "join:conversation", json!({"conversationId": "conv_test"}));
    world.pass(100);
    for id in [socket, joined, other, foreign] {
        world.heard(id);
    }
    let data = world.has_picture(&ana);
    for id in [socket, joined] {
        let heard = world.heard(id);
        let names: Vec<&str> = heard.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["media:upload:progress", "media:uploaded"], "{heard:?}");
        let bytes = PNG.len();
        let progress = json!({"messageId": "m9", "progress": 100, "uploadedBytes": bytes, "totalBytes": bytes});
        assert_eq!(heard[0].1, progress);
        for (field, value) in heard[1].1.as_object().unwrap() {
            assert_eq!(*value, data[field], "{field}");
        }
    }
    assert!(world.heard(other).is_empty() && world.heard(foreign).is_empty());
    assert_eq!(
        (&data["type"], &data["mimeType"], &data["fileName"]),
        (&json!("image"), &json!("image/png"), &json!("a.png"))
    );
    assert_eq!((&data["uploadedBy"], &data["sizeBytes"]), (&json!("ana"), &json!(PNG.len())));
    let attachment = &data["attachments"][0];
    assert_eq!(
        (&attachment["id"], &attachment["url"], &attachment["whatsappCompatible"]),
        (&data["id"], &data["publicUrl"], &json!(true))
    );
    let id = data["id"].as_str().unwrap();
    let found = world.gets(&bob, &format!("/api/media/{id}"));
    assert_eq!((&found["id"], &found["sizeBytes"]), (&data["id"], &json!(PNG.len())));
    let files = world.gets(&bob, "/api/media/conversation/conv_test");
    assert_eq!((&files["count"], &files["files"][0]["id"]), (&json!(1), &data["id"]));
}

#[test]
fn how_far_a_file_is_rises_and_is_told_four_times_a_second_at_most() {
    let mut world = Rest::new();
    let (ana, socket) = world.has_web();
    world.begins(&ana, &[WEB], "image/png");
    world.announces(10_000);
    let mut told: Vec<(u64, Value)> = Vec::new();
    // More than what was announced comes: nothing is above 99 before it is kept.
    for piece in 0..120 {
        world.brings(if piece == 0 { PNG } else { &[0; 100] });
        for payload in world.all(socket, "media:upload:progress") {
            told.push((world.now.mono.0, payload));
        }
        world.pass(50);
    }
    world.has_brought();
    let heard = world.heard(socket);
    assert_eq!(
        heard.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(),
        ["media:upload:progress", "media:uploaded"]
    );
    told.push((world.now.mono.0, heard[0].1.clone()));
    let percents: Vec<u64> = told.iter().map(|(_, payload)| payload["progress"].as_u64().unwrap()).collect();
    assert!(percents.len() > 10 && percents.is_sorted_by(|a, b| a < b), "{percents:?}");
    assert_eq!(percents[percents.len() - 2..], [99, 100]);
    assert!(told.windows(5).all(|five| five[4].0 - five[0].0 >= 1_000), "{told:?}");
    assert_eq!(world.said().0, 201);
}

#[test]
fn whoever_may_not_write_or_names_nothing_brings_no_file() {
    let mut world = Rest::new();
    let (ana, _) = world.has_web();
    let viewer = world.token("w1", "vic", "viewer");
    let foreign = world.token("w2", "boss", "admin");
    let long = "x".repeat(129);
    for (token, fields, expected) in [
        (&viewer, vec![WEB], (403, "FORBIDDEN")),
        (&foreign, vec![WEB], (404, "CONVERSATION_NOT_FOUND")),
        (&ana, vec![("conversationId", "conv_other")], (404, "CONVERSATION_NOT_FOUND")),
        (&ana, vec![("conversationId", "nothing")], (404, "CONVERSATION_NOT_FOUND")),
        (&ana, vec![], (400, "VALIDATION_ERROR")),
        (&ana, vec![WEB, ("type", "hologram")], (400, "VALIDATION_ERROR")),
        (&ana, vec![WEB, ("messageId", &long)], (400, "VALIDATION_ERROR")),
    ] {
        world.begins(token, &fields, "image/png");
        assert!(!world.is_taking(), "{fields:?}");
        assert_eq!(code(&world.said()), expected, "{fields:?}");
    }
}

#[test]
fn a_file_that_lies_is_too_large_or_breaks_off_leaves_nothing() {
    let media = Media { bytes_max: 1_024, ..Media::default() };
    let mut world = Rest::with(Settings { media, ..Settings::default() });
    let (ana, socket) = world.has_web();
    let large = [PNG, &[0; 2_000]].concat();
    for (bytes, expected) in [
        (&b"<!doctype html> and a script"[..], (415, "UNSUPPORTED_FILE_TYPE")),
        (b"MZ\x90 a program, whatever it is called", (415, "UNSUPPORTED_FILE_TYPE")),
        (b"", (415, "UNSUPPORTED_FILE_TYPE")),
        (&large, (413, "FILE_TOO_LARGE")),
    ] {
        assert_eq!(code(&world.brings_all(&ana, &[WEB], bytes)), expected);
    }
    for (fault, expected) in [
        (Fault::Gone, (400, "VALIDATION_ERROR")),
        (Fault::Slow, (400, "VALIDATION_ERROR")),
        (Fault::Malformed("why"), (400, "VALIDATION_ERROR")),
        (Fault::Store(JobError::new(JobErrorKind::Full, "full")), (503, "STORAGE_ERROR")),
        (Fault::Store(JobError::new(JobErrorKind::Unavailable, "down")), (503, "STORAGE_ERROR")),
    ] {
        world.begins(&ana, &[WEB], "image/png");
        world.brings(PNG);
        world.breaks(fault.clone());
        assert_eq!(code(&world.said()), expected, "{fault:?}");
    }
    assert!(world.heard(socket).is_empty());
    assert_eq!(world.gets(&ana, "/api/media/conversation/conv_test")["count"], 0);
    // Chat goes on, and so do files.
    world.send(socket, "message:send", json!({"messageId": "after", "conversationId": "conv_test", "text": "sigue"}));
    assert_eq!(world.hears(socket, "message:sent")["seq"], 2);
    world.has_picture(&ana);
}

#[test]
fn a_message_about_a_file_names_one_of_its_conversation() {
    let mut world = Rest::new();
    let (ana, socket) = world.has_web();
    world.send(socket, "message:send", json!({"messageId": "o", "conversationId": "conv_other", "text": "hola"}));
    let id = world.has_picture(&ana)["id"].clone();
    world.heard(socket);
    for (message, conversation, media, code) in [
        ("a", "conv_test", json!(null), "VALIDATION_ERROR"),
        ("b", "conv_test", json!("media_none"), "MEDIA_NOT_FOUND"),
        ("c", "conv_other", id.clone(), "MEDIA_NOT_FOUND"),
        ("d", "conv_new", id.clone(), "MEDIA_NOT_FOUND"),
    ] {
        for kind in ["image", "audio", "file", "sticker"] {
            let send = json!({"messageId": message, "conversationId": conversation, "type": kind, "mediaId": media});
            world.send(socket, "message:send", send);
            assert_eq!(world.hears(socket, "message:error")["error"]["code"], code, "{message} {kind}");
        }
    }
    let status = world.call(&ana, "GET", "/api/conversations/conv_new", json!(null)).0;
    assert_eq!(status, 404, "nothing was made");
    let send = json!({"messageId": "e", "conversationId": "conv_test", "type": "image", "mediaId": id});
    world.send(socket, "message:send", send);
    assert_eq!(world.hears(socket, "message:sent")["seq"], 2);
}

#[test]
fn files_that_were_brought_go_as_one_message_or_not_at_all() {
    let mut world = Rest::new();
    let (ana, socket) = world.has_web();
    let path = "/api/messages/send-with-file-ids";
    let (one, two) = (world.has_picture(&ana)["id"].clone(), world.has_picture(&ana)["id"].clone());
    let viewer = world.token("w1", "vic", "viewer");
    for (token, conversation, attachments, expected) in [
        (&ana, "conv_test", json!(null), (400, "MISSING_ATTACHMENTS")),
        (&ana, "conv_test", json!([]), (400, "MISSING_ATTACHMENTS")),
        (&ana, "conv_test", json!("all"), (400, "VALIDATION_ERROR")),
        (&ana, "conv_test", json!([{"type": "image"}]), (400, "VALIDATION_ERROR")),
        (&ana, "conv_test", json!(vec![json!({"id": one}); 11]), (400, "VALIDATION_ERROR")),
        (&ana, "conv_test", json!([{"id": one}, {"id": "media_none"}]), (404, "MEDIA_NOT_FOUND")),
        (&ana, "conv_new", json!([{"id": one}]), (404, "CONVERSATION_NOT_FOUND")),
        (&viewer, "conv_test", json!([{"id": one}]), (403, "FORBIDDEN")),
    ] {
        let body = json!({"conversationId": conversation, "attachments": attachments});
        assert_eq!(code(&world.call(token, "POST", path, body)), expected, "{attachments}");
    }
    world.heard(socket);
    let attachments = json!([{"id": one, "type": "image"}, {"id": two, "type": "document"}]);
    let body = json!({"conversationId": "conv_test", "content": "mira", "messageId": "x", "attachments": attachments});
    let (status, said) = world.call(&ana, "POST", path, body.clone());
    assert_eq!(status, 201, "{said}");
    let data = &said["data"];
    let (message, sent) = (&data["message"], &data["attachments"]);
    assert_eq!((&message["seq"], &message["type"], &message["mediaId"]), (&json!(2), &json!("image"), &one));
    assert_eq!((&sent[0]["id"], &sent[1]["id"], &sent[1]["type"]), (&one, &two, &json!("file")));
    assert_eq!(data["conversation"]["messageCount"], 2);
    assert_eq!(world.hears(socket, "message:new")["metadata"]["attachments"], *sent);
    assert_eq!(world.call(&ana, "POST", path, body).0, 200, "the same again");
}

#[test]
fn files_are_shown_to_those_who_may_read_their_conversation() {
    let mut world = Rest::new();
    let (ana, _) = world.has_web();
    let data = world.has_picture(&ana);
    let id = data["id"].as_str().unwrap();
    let foreign = world.token("w2", "boss", "admin");
    let paths = [id.to_owned(), format!("{id}/download"), format!("file/{id}/download")];
    for path in paths.map(|path| format!("/api/media/{path}")) {
        assert_eq!(code(&world.call(&foreign, "GET", &path, json!(null))), (404, "MEDIA_NOT_FOUND"), "{path}");
    }
    assert_eq!(code(&world.call(&ana, "GET", "/api/media/media_x", json!(null))), (404, "MEDIA_NOT_FOUND"));
    let path = "/api/media/conversation/conv_test";
    assert_eq!(code(&world.call(&foreign, "GET", path, json!(null))), (404, "CONVERSATION_NOT_FOUND"));
    assert_eq!(code(&world.call(&ana, "GET", &format!("{path}?limit=0"), json!(null))), (400, "VALIDATION_ERROR"));
    let (status, place) = world.plain(&ana, &format!("/utalk/api/media/{id}/download"));
    assert_eq!(status, 302);
    let blob = world.plain(&ana, &format!("/utalk/api/media/file/{id}/download"));
    assert_eq!((blob.0, &blob.1["shelf"]), (200, &json!("utalk_media")));
    assert_eq!(world.plain("", place["to"].as_str().unwrap()), blob);
}

#[test]
fn a_url_is_good_as_it_was_signed_and_until_it_ends() {
    let mut world = Rest::new();
    let (ana, _) = world.has_web();
    let data = world.has_picture(&ana);
    let url = data["publicUrl"].as_str().unwrap().to_owned();
    assert_eq!(world.plain("", &url).0, 200);
    let other = world.has_picture(&ana)["id"].as_str().unwrap().to_owned();
    let id = data["id"].as_str().unwrap();
    let end = url.split(['=', '&']).nth(1).unwrap();
    let later = (end.parse::<u64>().unwrap() + 1).to_string();
    for bad in [
        url.replace(id, &other),
        url.replace(end, &later),
        url.replace(end, ""),
        format!("{url}x"),
        url[..url.len() - 1].to_owned(),
        url.split("&sig").next().unwrap().to_owned(),
        url.split('?').next().unwrap().to_owned(),
        url.replace(id, "media_x"),
    ] {
        let (status, said) = world.plain("", &bad);
        assert_eq!((status, &said["code"]), (403, &json!("FORBIDDEN")), "{bad}");
    }
    world.now = world.now.plus(3_600_000);
    assert_eq!(world.plain("", &url).0, 403);
}
