//! How HTTP answers: `{success, data, message, timestamp}`, or `{success, error: {type, code, message, details?}, message, timestamp}`,
//! and which status a code of ours has.

use serde::Serialize;
use serde_json::{Value, json};

use crate::app::kit::ack::Fail;
use crate::app::reply::{Content, Reply};
use crate::app::route::Refused;
use crate::apps::utalk::payload::INVALID_EVENT;
use crate::apps::utalk::rules::{FILE_TOO_LARGE, NO_FILE};
use crate::base::time::WallMillis;

/// 200 with what came of it, or a refusal.
pub(in crate::apps::utalk) fn done(result: Result<&Value, &Fail>, now: WallMillis) -> Reply {
    answered(200, result, now)
}

/// As [`done`], where something has been made.
pub(in crate::apps::utalk) fn created(result: Result<&Value, &Fail>, now: WallMillis) -> Reply {
    answered(201, result, now)
}

/// As [`created`], or 200 where `created` is false in what came of it, which is no part of the answer.
pub(in crate::apps::utalk) fn created_or_found(result: Result<&Value, &Fail>, now: WallMillis) -> Reply {
    let Ok(value) = result else { return done(result, now) };
    let status = if value["created"] == json!(false) { 200 } else { 201 };
    answered(status, Ok(&value["data"]), now)
}

/// A message that was sent, as it is now. One that was sent before is a conflict.
pub(in crate::apps::utalk) fn message(result: Result<&Value, &Fail>, now: WallMillis) -> Reply {
    match result {
        Ok(value) if value["duplicate"] == json!(true) => {
            let message = &value["message"];
            let details = json!({"messageId": message["messageId"], "existingMessageId": message["id"]});
            refusal(&Fail::new("MESSAGE_DUPLICATE", "El mensaje ya existe").with(details), now)
        }
        Ok(value) => answered(201, Ok(&value["message"]), now),
        Err(_) => done(result, now),
    }
}

/// The same with its conversation; one that was sent before is found.
pub(in crate::apps::utalk) fn message_and_conversation(result: Result<&Value, &Fail>, now: WallMillis) -> Reply {
    let Ok(value) = result else { return done(result, now) };
    let status = if value["duplicate"] == json!(true) { 200 } else { 201 };
    let data = json!({"message": value["message"], "conversation": value["conversation"]});
    answered(status, Ok(&data), now)
}

/// The same with what is attached.
pub(in crate::apps::utalk) fn message_and_files(result: Result<&Value, &Fail>, now: WallMillis) -> Reply {
    let Ok(value) = result else { return done(result, now) };
    let status = if value["duplicate"] == json!(true) { 200 } else { 201 };
    let attachments = &value["message"]["metadata"]["attachments"];
    let data = json!({
        "message": value["message"], "conversation": value["conversation"], "attachments": attachments,
    });
    answered(status, Ok(&data), now)
}

fn answered(status: u16, result: Result<&Value, &Fail>, now: WallMillis) -> Reply {
    match result {
        Ok(data) => {
            let timestamp = now.to_string();
            Reply::json(status, &json!({"success": true, "data": data, "message": "OK", "timestamp": timestamp}))
        }
        Err(fail) => refusal(fail, now),
    }
}

/// A refusal as HTTP has it.
pub(in crate::apps::utalk) fn refusal(fail: &Fail, now: WallMillis) -> Reply {
    let (status, code) = status_of(fail.code);
    let details = fail.details.as_ref();
    let text = Reply::json(status, &error(status, code, &fail.message, details, now));
    match (status, text.content) {
        (429, Content::Json(text)) => {
            let reset_at =
                details.and_then(|details| details["resetAt"].as_str()).and_then(crate::base::time::parse_iso);
            let after_ms = reset_at.map_or(0, |at| at.0.saturating_sub(now.0));
            Reply { status, content: Content::Later { text, after_s: after_ms.div_ceil(1_000).max(1) } }
        }
        (_, content) => Reply { status, content },
    }
}

/// What the daemon refuses on our behalf, with the codes that clients of ours know.
pub(super) fn refused(refused: &Refused, now: WallMillis) -> String {
    if let Some((code, text)) = match *refused {
        Refused::NO_FILE => Some(("NO_FILE", NO_FILE)),
        Refused::LARGE_FILE => Some(("FILE_TOO_LARGE", FILE_TOO_LARGE)),
        _ => None,
    } {
        return json!(error(refused.status, code, text, None, now)).to_string();
    }
    let code = match *refused {
        Refused::NO_TOKEN | Refused::NO_TOKEN_OR_QUERY => "MISSING_AUTHORIZATION_HEADER",
        Refused::ENDED_TOKEN => "TOKEN_EXPIRED",
        Refused::BAD_TOKEN => "MALFORMED_TOKEN",
        Refused::NOT_FOUND => "ROUTE_NOT_FOUND",
        Refused::BUSY | Refused::NO_STORE | Refused::NO_ANSWER => "SERVICE_UNAVAILABLE",
        Refused { code: "VALIDATION", .. } => "VALIDATION_ERROR",
        Refused { code: "INTERNAL", .. } => "INTERNAL_ERROR",
        Refused { code, .. } => code,
    };
    json!(error(refused.status, code, refused.text, None, now)).to_string()
}

#[derive(Serialize)]
struct Envelope<'a> {
    success: bool,
    error: Value,
    message: &'a str,
    timestamp: String,
}

fn error<'a>(status: u16, code: &str, message: &'a str, details: Option<&Value>, now: WallMillis) -> Envelope<'a> {
    let mut error = json!({"type": kind_of(status), "code": code, "message": message});
    if let Some(details) = details {
        error["details"] = details.clone();
    }
    Envelope { success: false, error, message, timestamp: now.to_string() }
}

/// Status of a code of ours, and how HTTP spells it.
fn status_of(code: &'static str) -> (u16, &'static str) {
    if code == INVALID_EVENT {
        return (400, "VALIDATION_ERROR");
    }
    if code == "WINDOW_CLOSED" {
        return (424, "WHATSAPP_WINDOW_CLOSED");
    }
    let status = STATUSES.iter().find(|(_, codes)| codes.contains(&code)).map_or(500, |(status, _)| *status);
    (status, code)
}

const STATUSES: &[(u16, &[&str])] = &[
    (400, &["VALIDATION_ERROR", "INVALID_CURSOR", "CONVERSATION_NOT_ASSIGNED", "MISSING_ATTACHMENTS", "NO_FILE"]),
    (401, &["INVALID_CREDENTIALS", "UNAUTHORIZED", "TOKEN_EXPIRED", "MALFORMED_TOKEN"]),
    (403, &["ACCESS_DENIED", "FORBIDDEN", "USER_INACTIVE", "BOT_DISABLED"]),
    (
        404,
        &[
            "AGENT_NOT_FOUND",
            "CONVERSATION_NOT_FOUND",
            "ESCALATION_NOT_FOUND",
            "MEDIA_NOT_FOUND",
            "MESSAGE_NOT_FOUND",
            "USER_NOT_FOUND",
        ],
    ),
    (
        409,
        &[
            "AGENT_NOT_AVAILABLE",
            "CONVERSATION_ALREADY_ASSIGNED",
            "ESCALATION_NOT_PENDING",
            "INVALID_TRANSITION",
            "MESSAGE_DUPLICATE",
            "MESSAGE_ID_CONFLICT",
            "ROOM_FULL",
            "USER_ALREADY_EXISTS",
        ],
    ),
    (413, &["FILE_TOO_LARGE", "PAYLOAD_TOO_LARGE"]),
    (415, &["UNSUPPORTED_FILE_TYPE"]),
    (424, &["DELIVERY_FAILED"]),
    (429, &["RATE_LIMIT_EXCEEDED"]),
    (503, &["DATABASE_ERROR", "SERVICE_UNAVAILABLE", "STORAGE_ERROR"]),
];

fn kind_of(status: u16) -> &'static str {
    match status {
        401 => "AUTHENTICATION_ERROR",
        403 => "AUTHORIZATION_ERROR",
        404 => "NOT_FOUND_ERROR",
        409 => "CONFLICT_ERROR",
        424 => "DELIVERY_ERROR",
        429 => "RATE_LIMIT_ERROR",
        500.. => "SERVER_ERROR",
        _ => "VALIDATION_ERROR",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: WallMillis = WallMillis(1_755_684_000_000);

    fn json_of(reply: &Reply) -> Value {
        match &reply.content {
            Content::Json(text) | Content::Later { text, .. } => serde_json::from_str(text).unwrap(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_answer_and_a_refusal_have_the_form_that_clients_read() {
        let good = done(Ok(&json!({"a": 1})), NOW);
        let expected = json!({
            "success": true, "data": {"a": 1}, "message": "OK", "timestamp": "2025-08-20T10:00:00.000Z",
        });
        assert_eq!((good.status, json_of(&good)), (200, expected));
        let fail = Fail::new(INVALID_EVENT, "Datos inválidos").with(json!({"path": "text"}));
        let bad = done(Err(&fail), NOW);
        let expected = json!({
            "success": false,
            "error": {
                "type": "VALIDATION_ERROR", "code": "VALIDATION_ERROR", "message": "Datos inválidos",
                "details": {"path": "text"},
            },
            "message": "Datos inválidos",
            "timestamp": "2025-08-20T10:00:00.000Z",
        });
        assert_eq!((bad.status, json_of(&bad)), (400, expected));
    }

    #[test]
    fn too_often_says_when_to_come_back() {
        let fail = Fail::new("RATE_LIMIT_EXCEEDED", "…");
        for (details, expected) in [
            (json!({"resetAt": "2025-08-20T10:00:11.001Z"}), 12),
            (json!({"resetAt": "2025-08-20T09:00:00.000Z"}), 1),
            (json!({}), 1),
        ] {
            let reply = refusal(&fail.clone().with(details), NOW);
            let Content::Later { after_s, .. } = reply.content else { panic!("{reply:?}") };
            assert_eq!((reply.status, after_s), (429, expected));
        }
    }

    #[test]
    fn what_the_daemon_refuses_has_our_codes() {
        for (why, code) in [
            (Refused::NO_TOKEN, "MISSING_AUTHORIZATION_HEADER"),
            (Refused::ENDED_TOKEN, "TOKEN_EXPIRED"),
            (Refused::BAD_TOKEN, "MALFORMED_TOKEN"),
            (Refused::NOT_FOUND, "ROUTE_NOT_FOUND"),
            (Refused::WRONG_METHOD, "METHOD_NOT_ALLOWED"),
            (Refused::BUSY, "SERVICE_UNAVAILABLE"),
            (Refused::new(400, "VALIDATION", "the body is not JSON"), "VALIDATION_ERROR"),
        ] {
            let value: Value = serde_json::from_str(&refused(&why, NOW)).unwrap();
            assert_eq!((&value["error"]["code"], &value["success"]), (&json!(code), &json!(false)));
            assert!(value["timestamp"].is_string() && value["message"] == json!(why.text), "{value}");
        }
    }

    #[test]
    fn what_is_wrong_with_an_upload_as_a_whole_has_our_words() {
        for (why, code, text) in
            [(Refused::NO_FILE, "NO_FILE", NO_FILE), (Refused::LARGE_FILE, "FILE_TOO_LARGE", FILE_TOO_LARGE)]
        {
            let value: Value = serde_json::from_str(&refused(&why, NOW)).unwrap();
            assert_eq!((&value["error"]["code"], &value["message"]), (&json!(code), &json!(text)));
        }
    }

    #[test]
    fn codes_have_one_status_each() {
        let mut codes: Vec<&str> = STATUSES.iter().flat_map(|(_, codes)| codes.iter().copied()).collect();
        let count = codes.len();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), count);
        assert_eq!(status_of("WINDOW_CLOSED"), (424, "WHATSAPP_WINDOW_CLOSED"));
        assert_eq!(status_of("SOMETHING_ELSE").0, 500);
    }
}
