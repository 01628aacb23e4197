//! A scripted WebSocket client.

use super::{World, is_like, open_sid};
use crate::shard::io::Input;
use crate::wire::frame::{Opcode, write_masked};

/// One WebSocket client. Texts are engine packets, as on the wire: `40/lab,`, `42/lab,["echo",1]`.
pub(crate) struct Peer {
    world: World,
    pipe: usize,
    /// The engine's sid; empty for an upgrade and a bare echo.
    pub sid: String,
}

/// One frame from the server.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Frame {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    /// A close frame and its code.
    Close(Option<u16>),
    /// The end of the TCP connection.
    End,
}

impl Peer {
    pub(super) fn new(world: World, pipe: usize) -> Peer {
        Peer { world, pipe, sid: String::new() }
    }

    /// The shell writes what waits for it before the end of the turn, as it does when that can leave together with a 101.
    pub(crate) fn is_written_early(&self) {
        self.world.0.borrow_mut().write(self.pipe);
    }

    pub(crate) fn sends(&self, text: &str) {
        self.sends_frame(Opcode::Text, true, text.as_bytes());
    }

    /// Several texts in one read.
    pub(crate) fn sends_together(&self, texts: &[&str]) {
        let mut bytes = Vec::new();
        for text in texts {
            write_masked(&mut bytes, Opcode::Text, true, text.as_bytes(), [9, 8, 7, 6]);
        }
        self.sends_bytes(&mut bytes);
    }

    pub(crate) fn sends_binary(&self, data: &[u8]) {
        self.sends_frame(Opcode::Binary, true, data);
    }

    pub(crate) fn sends_frame(&self, opcode: Opcode, fin: bool, payload: &[u8]) {
        let mut bytes = Vec::new();
        write_masked(&mut bytes, opcode, fin, payload, [0x1b, 0x5a, 0x80, 0x3f]);
        self.sends_bytes(&mut bytes);
    }

    pub(crate) fn sends_close(&self, code: Option<u16>) {
        let payload = code.map(u16::to_be_bytes);
        self.sends_frame(Opcode::Close, true, payload.as_ref().map_or(&[], |code| &code[..]));
    }

    /// Bytes as they are, as one read. A client that has been cut off sends in vain.
    pub(crate) fn sends_bytes(&self, bytes: &mut [u8]) {
        let (shard, conn, closed) = {
            let mut state = self.world.0.borrow_mut();
            let pipe = &mut state.pipes[self.pipe];
            if let Some(unheard) = &mut pipe.unheard {
                return unheard.extend_from_slice(bytes);
            }
            (pipe.shard, pipe.conn, pipe.closed)
        };
        if !closed {
            self.world.input(shard, Input::Bytes { conn, bytes });
        }
    }

    /// CONNECT with `auth` (JSON text, may be empty) to `nsp`; reads the reply and returns the socket's sid.
    pub(crate) fn joins(&self, nsp: &str, auth: &str) -> String {
        let name = if nsp == "/" { String::new() } else { format!("{nsp},") };
        self.sends(&format!("40{name}{auth}"));
        open_sid(&self.gets(&format!("40{name}{{\"sid\":\"*\"}}")))
    }

    /// The next frame is a text like `pattern`.
    #[track_caller]
    pub(crate) fn gets(&self, pattern: &str) -> String {
        match self.next() {
            Some(Frame::Text(text)) if is_like(pattern, &text) => text,
            other => panic!("expected {pattern}\n     got {other:?}"),
        }
    }

    #[track_caller]
    pub(crate) fn gets_binary(&self, data: &[u8]) {
        assert_eq!(self.next(), Some(Frame::Binary(data.to_vec())));
    }

    #[track_caller]
    pub(crate) fn gets_pong(&self, data: &[u8]) {
        assert_eq!(self.next(), Some(Frame::Pong(data.to_vec())));
    }

    /// The next frame is a close frame with this code; `None`: without one.
    #[track_caller]
    pub(crate) fn gets_close(&self, code: Option<u16>) {
        assert_eq!(self.next(), Some(Frame::Close(code)));
    }

    /// Nothing more is to be read, and the TCP connection has been closed.
    #[track_caller]
    pub(crate) fn gets_end(&self) {
        assert_eq!(self.next(), Some(Frame::End));
    }

    #[track_caller]
    pub(crate) fn gets_nothing(&self) {
        assert_eq!(self.next(), None);
    }

    /// Everything that has come, `End` not among it.
    pub(crate) fn takes_all(&self) -> Vec<Frame> {
        std::iter::from_fn(|| self.next().filter(|frame| *frame != Frame::End)).collect()
    }

    /// The same as texts, whatever is none as it is shown.
    pub(crate) fn takes_texts(&self) -> Vec<String> {
        let text = |frame| match frame {
            Frame::Text(text) => text,
            other => format!("{other:?}"),
        };
        self.takes_all().into_iter().map(text).collect()
    }

    /// Answers the engine's pings by itself from now on.
    pub(crate) fn answers_pings(&self) {
        self.world.0.borrow_mut().pipes[self.pipe].answers_pings = true;
    }

    /// From now on reads `bytes` more bytes and then nothing.
    pub(crate) fn reads_only(&self, bytes: usize) {
        self.world.0.borrow_mut().pipes[self.pipe].room = Some(bytes);
        self.wakes_writer();
    }

    /// Reads everything again.
    pub(crate) fn reads_on(&self) {
        self.world.0.borrow_mut().pipes[self.pipe].room = None;
        self.wakes_writer();
    }

    fn wakes_writer(&self) {
        let mut state = self.world.0.borrow_mut();
        let (shard, conn) = (state.pipes[self.pipe].shard, state.pipes[self.pipe].conn);
        state.shards[usize::from(shard)].on_writable(conn);
        if !state.held {
            state.run();
        }
    }

    /// The TCP connection ends, `broken` or in peace.
    pub(crate) fn hangs_up(&self, broken: bool) {
        let (shard, conn, closed) = {
            let state = self.world.0.borrow();
            let pipe = &state.pipes[self.pipe];
            (pipe.shard, pipe.conn, pipe.closed)
        };
        if !closed {
            self.world.input(shard, Input::Gone { conn, broken });
        }
    }

    /// The server does not read what this one sends.
    pub(crate) fn is_held(&self) -> bool {
        self.world.0.borrow().pipes[self.pipe].unheard.is_some()
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.world.0.borrow().pipes[self.pipe].closed
    }

    /// The next frame the server has written.
    #[track_caller]
    pub(crate) fn next(&self) -> Option<Frame> {
        let mut state = self.world.0.borrow_mut();
        let pipe = &mut state.pipes[self.pipe];
        if pipe.unread.is_empty() {
            return pipe.closed.then_some(Frame::End);
        }
        let (frame, size) = parse(&pipe.unread)?;
        pipe.unread.drain(..size);
        Some(frame)
    }
}

/// One frame of ours: whole, unmasked, in its shortest form. `None`: the rest has yet to come.
#[track_caller]
fn parse(bytes: &[u8]) -> Option<(Frame, usize)> {
    let (first, second) = (*bytes.first()?, *bytes.get(1)?);
    let (start, length) = match second {
        126 => (4, usize::from(u16::from_be_bytes(*bytes.get(2..)?.first_chunk()?))),
        127 => (10, u64::from_be_bytes(*bytes.get(2..)?.first_chunk()?) as usize),
        short => (2, usize::from(short)),
    };
    let payload = bytes.get(start..start + length)?;
    let frame = match first {
        0x81 => Frame::Text(String::from_utf8(payload.to_vec()).expect("texts are UTF-8")),
        0x82 => Frame::Binary(payload.to_vec()),
        0x89 => Frame::Ping(payload.to_vec()),
        0x8A => Frame::Pong(payload.to_vec()),
        0x88 => Frame::Close(payload.first_chunk().map(|code| u16::from_be_bytes(*code))),
        other => panic!("a server does not send {other:#x}"),
    };
    Some((frame, start + length))
}
