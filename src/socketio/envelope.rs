//! A packet ready to be sent to any number of clients: encoded once, framed for WebSocket once, shared by reference.
//! The header and the attachments of a binary packet are one unit and can never be separated.

use std::ops::Range;

use bytes::{Buf, Bytes};
use smallvec::SmallVec;

use crate::engine::payload;
use crate::wire::frame::{self, Opcode, SENT_HEADER_BYTES_MAX};

/// One packet in the form WebSocket clients get; the other forms are made from it when somebody needs them.
#[derive(Clone, Debug)]
pub(crate) struct Envelope {
    /// WebSocket frames: one text frame, then one binary frame per attachment.
    frames: Bytes,
    /// Where in `frames` the text packet is, its engine type digit first.
    text: Range<usize>,
    /// Where the attachments are.
    attachments: SmallVec<[Range<usize>; 0]>,
}

impl Envelope {
    /// Frames what `write_text` writes (it begins with the engine's type digit, and has about `capacity` bytes) and its
    /// attachments. The text is written where it stays: its frame's header is put before it afterwards.
    pub(crate) fn new(capacity: usize, write_text: impl FnOnce(&mut Vec<u8>), attachments: &[Bytes]) -> Envelope {
        let attached: usize = attachments.iter().map(|data| data.len() + SENT_HEADER_BYTES_MAX).sum();
        let mut out = Vec::with_capacity(SENT_HEADER_BYTES_MAX + capacity + attached);
        out.resize(SENT_HEADER_BYTES_MAX, 0);
        write_text(&mut out);
        let text_end = out.len();
        let header = frame::header(Opcode::Text, text_end - SENT_HEADER_BYTES_MAX);
        let start = SENT_HEADER_BYTES_MAX - header.len();
        out[start..SENT_HEADER_BYTES_MAX].copy_from_slice(&header);
        let framed = attachments.iter().map(|data| {
            frame::write(&mut out, Opcode::Binary, data);
            out.len() - start - data.len()..out.len() - start
        });
        let attachments = framed.collect();
        let mut frames = Bytes::from(out);
        frames.advance(start);
        Envelope { frames, text: header.len()..text_end - start, attachments }
    }

    /// What a WebSocket client gets.
    pub(crate) fn ws(&self) -> Bytes {
        self.frames.clone()
    }

    /// What a WebSocket client that asked for `b64` gets: attachments as text frames `b<base64>` (PROTOCOL 4).
    pub(crate) fn ws_base64(&self) -> Bytes {
        let mut out = Vec::new();
        frame::write(&mut out, Opcode::Text, self.text());
        for data in self.attachments() {
            let mut text = Vec::new();
            payload::push_binary(&mut text, data);
            frame::write(&mut out, Opcode::Text, &text);
        }
        Bytes::from(out)
    }

    /// Appends the packet to the body of a poll's answer.
    pub(crate) fn write_polling(&self, body: &mut Vec<u8>) {
        payload::push_text(body, self.text());
        for data in self.attachments() {
            payload::push_binary(body, data);
        }
    }

    fn text(&self) -> &[u8] {
        &self.frames[self.text.clone()]
    }

    fn attachments(&self) -> impl Iterator<Item = &[u8]> {
        self.attachments.iter().map(|range| &self.frames[range.clone()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_packet_in_three_forms() {
        let text = b"451-[\"e\",{\"_placeholder\":true,\"num\":0}]";
        let envelope = Envelope::new(8, |out| out.extend_from_slice(text), &[Bytes::from_static(&[1, 2, 3])]);
        let mut ws = vec![0x81, 39];
        ws.extend_from_slice(b"451-[\"e\",{\"_placeholder\":true,\"num\":0}]");
        ws.extend_from_slice(&[0x82, 3, 1, 2, 3]);
        assert_eq!(envelope.ws(), ws);
        assert!(envelope.ws_base64().ends_with(b"\x81\x05bAQID"));
        let mut body = b"2".to_vec();
        envelope.write_polling(&mut body);
        assert_eq!(body, b"2\x1e451-[\"e\",{\"_placeholder\":true,\"num\":0}]\x1ebAQID");
    }
}
