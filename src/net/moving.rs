//! Bodies and answers on their way through hyper. A slow line may need minutes for a large one, and its session must not count
//! as silent meanwhile: its shard hears of what moves, now and then.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::Either;
use hyper::Response;
use hyper::body::{Frame, SizeHint};

use super::core::Core;
use super::mailbox::{Mailboxes, Message};
use super::respond::{self, Body};
use crate::base::ids::{ShardId, Sid};
use crate::engine::polling::Reply;
use crate::shard::io::Input;

/// Bytes of an answer that hyper gets at once; it asks for the next when the kernel has taken most of them.
const PIECE_BYTES: usize = 16 * 1024;

/// Which way something moves, seen from here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Way {
    In,
    Out,
}

/// Tells a session's shard of one body or answer, not too often.
pub(crate) struct Moving {
    mailboxes: Mailboxes,
    owner: ShardId,
    sid: Sid,
    way: Way,
    interval: Duration,
    told: Instant,
}

impl Moving {
    /// The shard knows by the request itself that something has moved just now.
    pub(crate) fn new(core: &Core, sid: Sid, way: Way) -> Moving {
        let interval = Duration::from_millis(core.moving_interval_ms());
        let mailboxes = core.process.mailboxes.clone();
        Moving { mailboxes, owner: core.owner(&sid), sid, way, interval, told: Instant::now() }
    }

    /// Some bytes have come or gone.
    pub(crate) fn on_bytes(&mut self) {
        if self.told.elapsed() < self.interval {
            return;
        }
        self.told = Instant::now();
        let sid = self.sid;
        let input = match self.way {
            Way::In => Input::Arriving { sid },
            Way::Out => Input::Leaving { sid },
        };
        self.mailboxes[usize::from(self.owner.0)].send(Message::Request(input));
    }
}

/// The answer to a GET; where it is long, its session hears of each piece.
pub(crate) fn answer(reply: Reply, mut moving: Moving) -> Response<Body> {
    let long = match &reply {
        Reply::Packets(body) if body.len() > PIECE_BYTES => Some(body.clone()),
        _ => None,
    };
    let response = respond::polling(reply);
    let Some(rest) = long else { return response };
    moving.told = Instant::now();
    response.map(|_| Either::Right(axum::body::Body::new(Pieces { rest, moving })))
}

/// A body that is given away piece by piece.
struct Pieces {
    rest: Bytes,
    moving: Moving,
}

impl hyper::body::Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.rest.is_empty() {
            return Poll::Ready(None);
        }
        self.moving.on_bytes();
        let length = self.rest.len().min(PIECE_BYTES);
        Poll::Ready(Some(Ok(Frame::data(self.rest.split_to(length)))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest.len() as u64)
    }
}
