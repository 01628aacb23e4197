//! Answers that several routes give.

use std::time::SystemTime;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::app::route::Refused;
use crate::base::percent;
use crate::base::time::WallMillis;

/// An error of this API: `{"error":{"code","message"}}`.
pub(super) fn error(status: StatusCode, code: &str, message: &str) -> Response {
    let body = serde_json::json!({ "error": { "code": code, "message": message } });
    json(status, body.to_string())
}

fn refused(refused: Refused) -> Response {
    let status = StatusCode::from_u16(refused.status).expect("our own statuses are some");
    error(status, refused.code, refused.text)
}

/// JSON text that nobody may keep.
pub(super) fn json(status: StatusCode, body: String) -> Response {
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
    (status, headers, body).into_response()
}

pub(super) async fn not_found() -> Response {
    refused(Refused::NOT_FOUND)
}

pub(super) async fn method_not_allowed() -> Response {
    refused(Refused::WRONG_METHOD)
}

/// No answer of ours is to be taken for something else than it says.
pub(super) async fn nosniff(mut response: Response) -> Response {
    response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// The token of `Authorization: Bearer …`.
pub(super) fn bearer(headers: &axum::http::HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// The decoded value of a cookie.
pub(super) fn cookie(headers: &axum::http::HeaderMap, name: &str) -> Option<String> {
    let all = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let pairs = all.flat_map(|all| all.split(';')).filter_map(|pair| pair.split_once('='));
    let value = pairs.filter(|(own, _)| own.trim() == name).map(|(_, value)| value.trim().trim_matches('"')).next()?;
    Some(percent::decode_segment(value).into_owned()).filter(|value| !value.is_empty())
}

/// The time of the wall, for answers that say when they were given.
pub(super) fn wall_now() -> WallMillis {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().into()
}

/// Bytes that a request says its body has.
pub(crate) fn length(headers: &axum::http::HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}
