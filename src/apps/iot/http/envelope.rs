//! The forms of answers: what went well, what did not, and the status of each code.

use serde_json::{Map, Value, json};

use crate::app::kit::ack::Fail;
use crate::app::reply::Reply;
use crate::app::route::{Call, Refused};
use crate::apps::iot::who::{self, fail};
use crate::base::time::WallMillis;

/// Why a call is not answered as it asks.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::apps::iot) struct Refusal {
    pub status: u16,
    pub fail: Fail,
}

impl From<Fail> for Refusal {
    fn from(fail: Fail) -> Refusal {
        Refusal { status: status_of(fail.code), fail }
    }
}

/// A code with another text than everybody is told of it.
pub(in crate::apps::iot) fn says(code: &'static str, message: &str) -> Refusal {
    Fail { message: message.to_owned(), ..fail(code) }.into()
}

fn status_of(code: &str) -> u16 {
    match code {
        who::UNAUTHENTICATED | who::AUTH_FAILED => 401,
        who::FORBIDDEN | who::FORBIDDEN_SYSTEM | who::NO_SYSTEM => 403,
        who::NOT_FOUND | who::DEVICE_NOT_FOUND => 404,
        who::DEVICE_OFFLINE | who::DEVICE_EXISTS | who::UPSTREAM_DISCONNECTED | who::TIMER_UNSUPPORTED => 409,
        who::PAYLOAD_TOO_LARGE => 413,
        who::RATE_LIMITED => 429,
        who::UPSTREAM_ERROR => 502,
        who::NO_ENCRYPTION_KEY | who::STORE_UNAVAILABLE => 503,
        who::TIMEOUT => 504,
        _ => 400,
    }
}

/// Whether a call's answers say whether they are a success.
pub(in crate::apps::iot) fn has_success(path: &str) -> bool {
    path.starts_with("/api/websocket/")
}

/// A refusal as its caller gets it.
pub(in crate::apps::iot) fn refuse(path: &str, refusal: &Refusal) -> Reply {
    let Refusal { status, fail } = refusal;
    let mut body = Map::new();
    if has_success(path) {
        body.insert("success".to_owned(), json!(false));
    }
    body.insert("error".to_owned(), json!(fail.message));
    body.insert("code".to_owned(), json!(fail.code));
    fail.details.iter().for_each(|details| drop(body.insert("details".to_owned(), details.clone())));
    Reply::json(*status, &body)
}

/// `{success:true, data}`.
pub(in crate::apps::iot) fn good(data: &Value) -> Reply {
    Reply::json(200, &json!({"success": true, "data": data}))
}

/// `{success:true, message, data}`.
pub(in crate::apps::iot) fn done(message: &str, data: &Value) -> Reply {
    Reply::json(200, &json!({"success": true, "message": message, "data": data}))
}

/// What the daemon refuses for us.
pub(in crate::apps::iot) fn error(refused: &Refused, _: WallMillis) -> String {
    let text = match refused.status {
        401 => "No autorizado",
        404 => "No encontrado",
        405 => "Método no permitido",
        413 => "El cuerpo de la petición es demasiado grande",
        _ => refused.text,
    };
    json!({"error": text, "code": refused.code}).to_string()
}

/// The object that a call brings; none is an empty one.
///
/// # Errors
/// `VALIDATION` where it is anything else.
pub(in crate::apps::iot) fn body(call: &Call) -> Result<Map<String, Value>, Refusal> {
    if call.body.is_empty() {
        return Ok(Map::new());
    }
    serde_json::from_slice(&call.body).map_err(|_| fail(who::VALIDATION).into())
}

/// A whole number of the query.
///
/// # Errors
/// `VALIDATION` where it is none of the range.
pub(in crate::apps::iot) fn number(
    call: &Call,
    name: &str,
    default: u64,
    range: std::ops::RangeInclusive<u64>,
) -> Result<u64, Refusal> {
    let Some(text) = call.query_value(name).filter(|text| !text.is_empty()) else { return Ok(default) };
    let number = text.parse().ok().filter(|number| range.contains(number));
    number.ok_or_else(|| fail(who::VALIDATION).into())
}

/// `{success:true, message, data:{}}` of what has gone.
pub(in crate::apps::iot) fn gone(message: &str) -> Reply {
    done(message, &json!({}))
}

/// There is no account of that id.
pub(in crate::apps::iot) fn no_credential() -> Refusal {
    says(who::NOT_FOUND, "Credenciales no encontradas")
}
