//! A stream of items as server-sent events (HTML, section 9.2), for as long as its home goes on and its asker stays.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http_body::Frame;
use tokio::time::{Instant, Sleep, sleep};

use crate::app::reply::{Answer, Item};
use crate::app::route::shell::Items;
use crate::base::limit::STREAM_REST_MS;

/// The answer whose body is what comes.
pub(super) fn response(answers: Box<dyn Items>) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-store"),
        // A proxy that gathers an answer would keep its items.
        (header::HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    let rest = Box::pin(sleep(REST));
    (headers, Body::new(Events { answers, rest })).into_response()
}

struct Events {
    answers: Box<dyn Items>,
    /// When a comment is sent that shows both sides that the other one is there.
    rest: Pin<Box<Sleep>>,
}

/// The home has gone without an end: the asker must not take what it has for all there is.
#[derive(Debug)]
struct Broken;

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the stream has no end")
    }
}

impl std::error::Error for Broken {}

impl HttpBody for Events {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        match self.answers.poll_next(cx) {
            Poll::Ready(Some(Answer::Item(item))) => {
                self.rest.as_mut().reset(Instant::now() + REST);
                Poll::Ready(Some(Ok(Frame::data(written(&item).into()))))
            }
            Poll::Ready(Some(Answer::End | Answer::Reply(_) | Answer::Take(_))) => Poll::Ready(None),
            Poll::Ready(None) => Poll::Ready(Some(Err(Broken))),
            Poll::Pending => {
                if self.rest.as_mut().poll(cx).is_pending() {
                    return Poll::Pending;
                }
                self.rest.as_mut().reset(Instant::now() + REST);
                // Polled, it wakes this task when it is due again.
                let _ = self.rest.as_mut().poll(cx);
                Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b":\n\n")))))
            }
        }
    }
}

/// An item as an event. A line break in a name would be a field of its own: it is left out.
fn written(item: &Item) -> String {
    let mut text = String::with_capacity(item.size_bytes() + 32);
    for (field, value) in [("event", item.name.as_ref()), ("id", item.id.as_ref())] {
        if let Some(value) = value {
            let line: String = value.chars().filter(|char| !matches!(char, '\r' | '\n' | '\0')).collect();
            text.push_str(&format!("{field}: {line}\n"));
        }
    }
    for line in item.data.replace("\r\n", "\n").split(['\r', '\n']) {
        text.push_str("data: ");
        text.push_str(line);
        text.push('\n');
    }
    text.push('\n');
    text
}

const REST: Duration = Duration::from_millis(STREAM_REST_MS);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_is_one_event_whatever_is_in_it() {
        let item = |name: &str, id: &str, data: &str| Item {
            name: (!name.is_empty()).then(|| name.to_owned()),
            id: (!id.is_empty()).then(|| id.to_owned()),
            data: data.to_owned(),
        };
        for (item, text) in [
            (item("", "", "{}"), "data: {}\n\n"),
            (item("tick", "7", "1"), "event: tick\nid: 7\ndata: 1\n\n"),
            (item("a\ndata: x", "1\r\n\n2", "b"), "event: adata: x\nid: 12\ndata: b\n\n"),
            (
                item("", "", "one\ntwo\r\nthree\rfour\n\nevent: x"),
                "data: one\ndata: two\ndata: three\ndata: four\ndata: \ndata: event: x\n\n",
            ),
        ] {
            assert_eq!(written(&item), text, "{item:?}");
        }
    }
}
