//! What comes of a call as HTTP: a home's reply, or a refusal in the form of its application's errors.

use std::future::poll_fn;

use axum::body::Body;
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use tokio::time::timeout;

use super::backend::Answers;
use super::{Api, blob, reply, stream};
use crate::app::reply::{Answer, Content, Reply};
use crate::app::route::shell::Given;
use crate::app::route::{Http, Refused};

/// What a home says next; `None`: nothing any more.
pub(super) async fn said(answers: &mut dyn Answers) -> Option<Answer> {
    poll_fn(|cx| answers.poll_next(cx)).await
}

/// The same, in the time of a call; `None`: nothing in time, or nothing any more.
pub(crate) async fn next(api: &Api, answers: &mut dyn Answers) -> Option<Answer> {
    timeout(api.settings.call_timeout, said(answers)).await.ok().flatten()
}

/// The response that this answer of a home is, or begins.
pub(crate) async fn respond(
    api: &Api,
    http: &Http,
    answer: Option<Answer>,
    answers: Box<dyn Answers>,
    asked: &Parts,
) -> Response {
    match answer {
        Some(Answer::Reply(Reply { content: Content::Stream, .. })) => stream::response(answers),
        Some(Answer::Reply(reply)) => show(api, http, reply, asked).await,
        Some(Answer::Take(_)) => refuse(http, &BAD_REPLY),
        _ => refuse(http, &Refused::NO_ANSWER),
    }
}

/// What the application's shell gives, as HTTP.
pub(super) async fn give(api: &Api, http: &Http, given: Given, asked: &Parts) -> Response {
    match given {
        Given::Reply(reply) => show(api, http, reply, asked).await,
        Given::Items(items) => stream::response(items),
        Given::Response(response) => response.map(Body::from),
        Given::Refused(refused) => refuse(http, &refused),
    }
}

/// A home's reply as HTTP.
async fn show(api: &Api, http: &Http, reply: Reply, asked: &Parts) -> Response {
    let Ok(status) = StatusCode::from_u16(reply.status) else { return refuse(http, &BAD_REPLY) };
    let not_stored = (header::CACHE_CONTROL, "no-store");
    match reply.content {
        Content::Empty => (status, [not_stored]).into_response(),
        Content::Stream => refuse(http, &BAD_REPLY),
        Content::Json(text) => reply::json(status, text),
        Content::Later { text, after_s } => {
            let mut response = reply::json(status, text);
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(after_s));
            response
        }
        Content::Refused(refused) => refuse(http, &refused),
        Content::Text(text) => (status, [not_stored], text).into_response(),
        Content::Redirect(to) => match HeaderValue::try_from(to) {
            Ok(to) => (status, [(header::LOCATION, to)], [not_stored]).into_response(),
            Err(_) => refuse(http, &BAD_REPLY),
        },
        Content::Blob { shelf, id, gone } => match blob::fetch(api, shelf, id, &asked.method, &asked.headers).await {
            Ok(response) => response,
            Err(blob::Unfetched::Gone) => refuse(http, &gone),
            Err(blob::Unfetched::StoreFails) => refuse(http, &Refused::NO_STORE),
        },
    }
}

/// A refusal, as clients of the application know errors.
pub(crate) fn refuse(http: &Http, refused: &Refused) -> Response {
    let status = StatusCode::from_u16(refused.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = reply::json(status, (http.error)(refused, reply::wall_now()));
    if status == StatusCode::UNAUTHORIZED {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

pub(crate) const TOO_LARGE: Refused = Refused::new(413, "PAYLOAD_TOO_LARGE", "the body is larger than this path takes");
pub(crate) const BAD_REPLY: Refused = Refused::new(500, "INTERNAL", "the application's answer is none");
