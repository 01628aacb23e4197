//! A WebSocket that an application's shell speaks on: a task of the control runtime over a stream of its own. Messages are read and
//! framed by `wire`, pings are answered here, and a peer that is silent for too long is asked whether it is there. It ends with
//! the daemon's drain (1001). Nothing is kept for a peer but what it has begun to send, and one message on its way to it.

use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};

use super::guard::Place;
use super::linger::read_away;
use crate::app::route::shell::{Later, Said, Socket, Speech};
use crate::base::close::CloseReason;
use crate::base::limit::{LINGER_TIMEOUT_MS, SHELL_MESSAGE_BYTES_MAX, SHELL_PING_INTERVAL_MS, SHELL_WRITE_TIMEOUT_MS};
use crate::wire::frame::{self, Opcode};
use crate::wire::{Decoder, Incoming, close};

/// Lets `speech` go on over an open stream, of which `early` has been read, until it is over.
pub(crate) async fn serve(
    stream: std::net::TcpStream,
    place: Place,
    early: Bytes,
    speech: Speech,
    draining: watch::Receiver<bool>,
) {
    let Ok(stream) = TcpStream::from_std(stream) else { return };
    let (heard, read) = (Instant::now(), early.to_vec());
    let socket = Open {
        stream,
        _place: place,
        decoder: Decoder::default(),
        read,
        at: 0,
        out: Vec::new(),
        heard,
        asked: false,
        ended: false,
        draining,
    };
    speech.0(Box::new(socket)).await;
}

struct Open {
    stream: TcpStream,
    /// Given back when the stream is closed.
    _place: Place,
    decoder: Decoder,
    /// What has been read; up to `at` it has been decoded.
    read: Vec<u8>,
    at: usize,
    /// What has to be written before anything else is.
    out: Vec<u8>,
    /// When the peer was last heard of, and whether it has been asked for a sign of life since then.
    heard: Instant,
    asked: bool,
    ended: bool,
    draining: watch::Receiver<bool>,
}

impl Socket for Open {
    fn next(&mut self) -> Later<'_, Option<Said>> {
        Box::pin(async move {
            while !self.ended {
                if !self.flush().await {
                    break;
                }
                match self.decode() {
                    Ok(Some(said)) => return Some(said),
                    Ok(None) if self.at == self.read.len() && self.out.is_empty() => self.fill().await,
                    Ok(None) => {}
                    Err(code) => self.finish(code, "").await,
                }
            }
            None
        })
    }

    fn tell(&mut self, text: String) -> Later<'_, bool> {
        Box::pin(async move {
            if self.ended {
                return false;
            }
            frame::write(&mut self.out, Opcode::Text, text.as_bytes());
            self.flush().await
        })
    }

    fn close(mut self: Box<Self>, code: u16, reason: &'static str) -> Later<'static, ()> {
        Box::pin(async move { self.finish(Some(code), reason).await })
    }
}

impl Open {
    /// The next message of what has been read. An error is the code to end with.
    fn decode(&mut self) -> Result<Option<Said>, Option<u16>> {
        let mut input = &mut self.read[self.at..];
        let before = input.len();
        let decoded = self.decoder.next(&mut input, SHELL_MESSAGE_BYTES_MAX);
        let said = match decoded {
            Ok(Some(Incoming::Text(text))) => Ok(Some(Said::Text(text.into_owned()))),
            Ok(Some(Incoming::Binary(bytes))) => Ok(Some(Said::Binary(bytes.into_owned().into()))),
            Ok(Some(Incoming::Ping(bytes))) => {
                frame::write(&mut self.out, Opcode::Pong, &bytes);
                Ok(None)
            }
            Ok(Some(Incoming::Pong) | None) => Ok(None),
            Ok(Some(Incoming::Close(code, _))) => Err(code),
            Err(error) => Err(error.reason().ws_code()),
        };
        self.at += before - input.len();
        said
    }

    /// Reads on, or asks for a sign of life, or ends. May be dropped: what has been read is kept.
    async fn fill(&mut self) {
        const PIECE_BYTES: usize = 16 * 1024;
        self.read.resize(PIECE_BYTES, 0);
        self.at = PIECE_BYTES;
        let due = self.heard + Duration::from_millis(SHELL_PING_INTERVAL_MS);
        let read = tokio::select! {
            read = timeout_at(due, self.stream.read(&mut self.read)) => Some(read),
            _ = self.draining.wait_for(|draining| *draining) => None,
        };
        let Some(read) = read else { return self.finish(CloseReason::ServerShuttingDown.ws_code(), "").await };
        match read {
            Ok(Ok(count @ 1..)) => {
                self.read.truncate(count);
                (self.at, self.heard, self.asked) = (0, Instant::now(), false);
            }
            Ok(_) => self.ended = true,
            Err(_) if self.asked => self.ended = true,
            Err(_) => {
                (self.heard, self.asked) = (Instant::now(), true);
                frame::write(&mut self.out, Opcode::Ping, b"");
            }
        }
    }

    /// Writes what is to be written; false where the peer does not take it. May be dropped: the rest is kept.
    async fn flush(&mut self) -> bool {
        while !self.out.is_empty() && !self.ended {
            let wait = Duration::from_millis(SHELL_WRITE_TIMEOUT_MS);
            match timeout(wait, self.stream.write(&self.out)).await {
                Ok(Ok(count @ 1..)) => drop(self.out.drain(..count)),
                _ => self.ended = true,
            }
        }
        !self.ended
    }

    /// Says the last word, as far as the peer takes it.
    async fn finish(&mut self, code: Option<u16>, reason: &str) {
        match code {
            Some(code) => frame::write(&mut self.out, Opcode::Close, &close::payload(code, reason)),
            None => self.out.extend_from_slice(&close::frame(None)),
        }
        if self.flush().await && self.stream.shutdown().await.is_ok() {
            // What the peer is still sending would reset the connection, and take the last word away.
            let _ = timeout(Duration::from_millis(LINGER_TIMEOUT_MS), read_away(&self.stream)).await;
        }
        self.ended = true;
    }
}
