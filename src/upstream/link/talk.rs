//! An open WebSocket: messages both ways, pings of our own, and how it ends. One side at a time is slow, never both: what is read
//! waits for the home, what is written for the peer.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Error, Message};

use super::Broken;
use super::dial::{Peer, PeerSink, PeerStream};
use super::side::{Out, Side};
use crate::app::fetch::FetchFailure;
use crate::app::link::{LinkEnd, LinkMessage};
use crate::base::limit::{LINK_MESSAGE_BYTES_MAX, LINK_WRITE_TIMEOUT_MS, WS_CLOSE_TIMEOUT_MS};

/// Until it is over, and the connection with it.
pub(super) async fn talk((mut sink, mut stream): Peer, side: &Arc<Side>, host: &str) {
    let ended = tokio::select! {
        ended = read(&mut stream, side, host) => ended,
        ended = write(&mut sink, side, host) => ended,
        () = side.cut() => Ended::Left(false),
    };
    let last = match ended {
        Ended::Left(may_answer) => may_answer.then_some(None),
        Ended::Broken(broken) => {
            let last = last_word(&broken.why);
            side.end(&broken, None);
            last
        }
    };
    if let Some(code) = last {
        // The peer's answer to our last word, or ours to its: for so long the connection is there.
        let farewell = farewell(&mut sink, &mut stream, side, code);
        let _ = timeout(Duration::from_millis(WS_CLOSE_TIMEOUT_MS), farewell).await;
    }
}

/// Why one side has stopped.
enum Ended {
    Broken(Broken),
    /// The link was over. The peer may answer what we have said last, if anything.
    Left(bool),
}

/// The code to say at the end, where the peer may still hear one; `None` in it: all has been said.
fn last_word(why: &LinkEnd) -> Option<Option<u16>> {
    match why {
        LinkEnd::Peer { .. } => Some(None),
        LinkEnd::Failed(FetchFailure::TooLarge) => Some(Some(1_009)),
        LinkEnd::Failed(FetchFailure::Protocol) => Some(Some(1_002)),
        _ => None,
    }
}

/// Says it, and reads until the peer has gone. One that goes on and on is not waited for.
async fn farewell(sink: &mut PeerSink, stream: &mut PeerStream, side: &Side, code: Option<u16>) {
    if let Some(code) = code {
        let _ = sink.send(Message::Close(Some(CloseFrame { code: code.into(), reason: "".into() }))).await;
    }
    let read = || side.moved.read.load(Ordering::Relaxed);
    let most = read() + LINK_MESSAGE_BYTES_MAX as u64;
    while let Some(Ok(_)) = stream.next().await
        && read() < most
    {}
}

async fn read(stream: &mut PeerStream, side: &Arc<Side>, host: &str) -> Ended {
    loop {
        side.readable().await;
        let message = match heard(stream, side).await {
            Some(Some(Ok(message))) => message,
            Some(Some(Err(error))) => return Ended::Broken(Broken::of(host, &error)),
            Some(None) => return Ended::Broken(Broken::of(host, &Error::ConnectionClosed)),
            None => return Ended::Broken(Broken::new(LinkEnd::Silent, format!("{host} has not answered a ping"))),
        };
        match message {
            // Copied, both: a small message would keep the whole buffer that it came in.
            Message::Text(text) => side.received(LinkMessage::Text(text.as_str().to_owned())),
            Message::Binary(bytes) => side.received(LinkMessage::Binary(Bytes::copy_from_slice(&bytes))),
            Message::Close(frame) => {
                let code = frame.as_ref().map(|frame| u16::from(frame.code));
                let text = code.map_or_else(
                    || format!("{host} has closed it"),
                    |code| format!("{host} has closed it with {code}"),
                );
                let reason = frame.map(|frame| frame.reason.as_str().to_owned()).unwrap_or_default();
                return Ended::Broken(Broken::new(LinkEnd::Peer { code, reason }, text));
            }
            Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
        }
    }
}

/// The next message. `None`: the peer is silent, though it was asked for a sign of life.
async fn heard(stream: &mut PeerStream, side: &Arc<Side>) -> Option<Option<Result<Message, Error>>> {
    let (interval_ms, timeout_ms) = (side.terms.ping_interval_ms, side.terms.ping_timeout_ms);
    if interval_ms == 0 {
        return Some(stream.next().await);
    }
    if let Ok(next) = while_moving(&side.moved.read, interval_ms, |cx| stream.poll_next_unpin(cx)).await {
        return Some(next);
    }
    side.ask_ping();
    while_moving(&side.moved.read, timeout_ms, |cx| stream.poll_next_unpin(cx)).await.ok()
}

async fn write(sink: &mut PeerSink, side: &Arc<Side>, host: &str) -> Ended {
    let mut written = Vec::new();
    loop {
        let mut out = side.next_out().await;
        loop {
            let message = match out {
                Out::Ping => Message::Ping(Bytes::new()),
                Out::Message(message) => {
                    written.push(message.len());
                    match message {
                        LinkMessage::Text(text) => Message::Text(text.into()),
                        LinkMessage::Binary(bytes) => Message::Binary(bytes),
                    }
                }
                Out::Leave(None) => return Ended::Left(false),
                Out::Leave(Some((code, reason))) => {
                    let frame = CloseFrame { code: code.into(), reason: reason.into() };
                    let said = taken(sink, side, host, Some(Message::Close(Some(frame)))).await;
                    return Ended::Left(said.is_ok());
                }
            };
            if let Err(broken) = taken(sink, side, host, Some(message)).await {
                return Ended::Broken(broken);
            }
            match side.try_next_out() {
                Some(next) => out = next,
                None => break,
            }
        }
        if let Err(broken) = taken(sink, side, host, None).await {
            return Ended::Broken(broken);
        }
        side.sent(&written);
        written.clear();
    }
}

/// Hands a message to the connection, or all that has been handed to it to the kernel.
async fn taken(sink: &mut PeerSink, side: &Arc<Side>, host: &str, message: Option<Message>) -> Result<(), Broken> {
    let is_last = matches!(message, Some(Message::Close(_)));
    let moved = &side.moved.written;
    let late = |()| Broken::new(LinkEnd::TooSlow, format!("{host} takes nothing"));
    let failed = |error: Error| Broken::of(host, &error);
    if let Some(message) = message {
        let ready = while_moving(moved, LINK_WRITE_TIMEOUT_MS, |cx| sink.poll_ready_unpin(cx));
        ready.await.map_err(late)?.map_err(failed)?;
        sink.start_send_unpin(message).map_err(failed)?;
        if !is_last {
            return Ok(());
        }
    }
    let flushed = while_moving(moved, LINK_WRITE_TIMEOUT_MS, |cx| sink.poll_flush_unpin(cx));
    flushed.await.map_err(late)?.map_err(failed)
}

/// What comes of polling `act`, as long as something moves within each `limit_ms`.
async fn while_moving<T>(
    moved: &AtomicU64,
    limit_ms: u64,
    mut act: impl FnMut(&mut Context<'_>) -> Poll<T>,
) -> Result<T, ()> {
    loop {
        let before = moved.load(Ordering::Relaxed);
        match timeout(Duration::from_millis(limit_ms), poll_fn(&mut act)).await {
            Ok(output) => return Ok(output),
            Err(_) if moved.load(Ordering::Relaxed) == before => return Err(()),
            Err(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Never done; says so often that something has moved.
    async fn limit_of(moves: u64) -> bool {
        let (moved, mut polls) = (AtomicU64::new(0), 0);
        let act = |_: &mut Context<'_>| {
            polls += 1;
            if polls <= moves {
                moved.fetch_add(1, Ordering::Relaxed);
            }
            if polls > 10 { Poll::Ready(()) } else { Poll::<()>::Pending }
        };
        while_moving(&moved, 5, act).await.is_ok()
    }

    #[tokio::test]
    async fn what_moves_may_take_long_and_what_does_not_is_late() {
        assert!(!limit_of(0).await, "nothing moves");
        assert!(!limit_of(3).await, "nothing moves any more");
        assert!(limit_of(10).await);
    }

    #[test]
    fn what_is_said_last_is_said_to_those_who_can_hear_it() {
        for (why, said) in [
            (LinkEnd::Failed(FetchFailure::TooLarge), Some(Some(1_009))),
            (LinkEnd::Failed(FetchFailure::Protocol), Some(Some(1_002))),
            (LinkEnd::Peer { code: None, reason: String::new() }, Some(None)),
            (LinkEnd::Failed(FetchFailure::Cut), None),
            (LinkEnd::Silent, None),
            (LinkEnd::TooSlow, None),
        ] {
            assert_eq!(last_word(&why), said, "{why:?}");
        }
    }
}
