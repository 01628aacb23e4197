//! A packet ready to be sent to any number of clients: encoded once, framed for WebSocket once, shared by reference.
//! The header and the attachments of a binary packet are one unit and can never be separated.

use bytes::Bytes;
use smallvec::SmallVec;

use crate::engine::payload;
use crate::wire::frame::{self, Opcode};

/// One packet in the form WebSocket clients get; the other forms are made from it when somebody needs them.
#[derive(Clone, Debug)]
pub struct Envelope {
    /// WebSocket frames: one text frame, then one binary frame per attachment.
    frames: Bytes,
    /// The text packet inside `frames`, its engine type digit first.
    text: Bytes,
    /// The attachments inside `frames`.
    attachments: SmallVec<[Bytes; 0]>,
}

impl Envelope {
    /// Frames `text` (which begins with the engine's type digit) and its attachments.
    pub fn new(text: &[u8], attachments: &[Bytes]) -> Envelope {
        let attached: usize = attachments.iter().map(|data| data.len() + frame::SENT_HEADER_BYTES_MAX).sum();
        let mut out = Vec::with_capacity(frame::SENT_HEADER_BYTES_MAX + text.len() + attached);
        frame::write(&mut out, Opcode::Text, text);
        let text_end = out.len();
        let mut ends = SmallVec::<[usize; 10]>::new();
        for data in attachments {
            frame::write(&mut out, Opcode::Binary, data);
            ends.push(out.len());
        }
        let frames = Bytes::from(out);
        let text = frames.slice(text_end - text.len()..text_end);
        let attachments = attachments.iter().zip(ends).map(|(data, end)| frames.slice(end - data.len()..end)).collect();
        Envelope { frames, text, attachments }
    }

    /// What a WebSocket client gets.
    pub fn ws(&self) -> Bytes {
        self.frames.clone()
    }

    /// What a WebSocket client that asked for `b64` gets: attachments as text frames `b<base64>` (protocol 2.4).
    pub fn ws_base64(&self) -> Bytes {
        let mut out = Vec::new();
        frame::write(&mut out, Opcode::Text, &self.text);
        for data in &self.attachments {
            let mut text = Vec::new();
            payload::push_binary(&mut text, data);
            frame::write(&mut out, Opcode::Text, &text);
        }
        Bytes::from(out)
    }

    /// Appends the packet to the body of a poll's answer.
    pub fn write_polling(&self, body: &mut Vec<u8>) {
        payload::push_text(body, &self.text);
        for data in &self.attachments {
            payload::push_binary(body, data);
        }
    }

    /// Bytes this packet takes in an outbox.
    pub fn len(&self) -> usize {
        self.frames.len()
    }

    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_packet_in_three_forms() {
        let envelope =
            Envelope::new(b"451-[\"e\",{\"_placeholder\":true,\"num\":0}]", &[Bytes::from_static(&[1, 2, 3])]);
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
