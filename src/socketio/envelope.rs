//! A packet ready to be sent to any number of clients: encoded once, framed for WebSocket once, shared by reference.
//! The header and the attachments of a binary packet are one unit and can never be separated; nor can packets that go together.

use std::ops::Range;

use bytes::{Buf, Bytes};
use smallvec::SmallVec;

use crate::engine::payload;
use crate::wire::frame::{self, Opcode, SENT_HEADER_BYTES_MAX};

/// One packet in the form WebSocket clients get; the other forms are made from it when somebody needs them.
#[derive(Clone, Debug)]
pub(crate) struct Envelope {
    /// WebSocket frames: one text frame, then one binary frame per attachment; then those of the next packet.
    frames: Bytes,
    /// Where in `frames` the text packet is, its engine type digit first.
    text: Range<usize>,
    /// Where the attachments are, and what follows.
    rest: SmallVec<[Piece; 0]>,
}

#[derive(Clone, Debug)]
enum Piece {
    Text(Range<usize>),
    Attachment(Range<usize>),
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
            Piece::Attachment(out.len() - start - data.len()..out.len() - start)
        });
        let rest = framed.collect();
        let mut frames = Bytes::from(out);
        frames.advance(start);
        #[cfg(test)]
        made::count();
        Envelope { frames, text: header.len()..text_end - start, rest }
    }

    /// Packets, one at least, that a client gets in this order or not at all.
    pub(crate) fn together(packets: &[Envelope]) -> Envelope {
        let (mut frames, mut pieces) = (Vec::new(), SmallVec::<[Piece; 0]>::new());
        for packet in packets {
            let at = |range: &Range<usize>| frames.len() + range.start..frames.len() + range.end;
            pieces.push(Piece::Text(at(&packet.text)));
            pieces.extend(packet.rest.iter().map(|piece| match piece {
                Piece::Text(range) => Piece::Text(at(range)),
                Piece::Attachment(range) => Piece::Attachment(at(range)),
            }));
            frames.extend_from_slice(&packet.frames);
        }
        let text = packets[0].text.clone();
        pieces.remove(0);
        Envelope { frames: frames.into(), text, rest: pieces }
    }

    /// What a WebSocket client gets.
    pub(crate) fn ws(&self) -> Bytes {
        self.frames.clone()
    }

    /// What a WebSocket client that asked for `b64` gets: attachments as text frames `b<base64>` (PROTOCOL 4).
    pub(crate) fn ws_base64(&self) -> Bytes {
        let mut out = Vec::new();
        frame::write(&mut out, Opcode::Text, self.text());
        for piece in &self.rest {
            match piece {
                Piece::Text(range) => frame::write(&mut out, Opcode::Text, &self.frames[range.clone()]),
                Piece::Attachment(range) => {
                    let mut text = Vec::new();
                    payload::push_binary(&mut text, &self.frames[range.clone()]);
                    frame::write(&mut out, Opcode::Text, &text);
                }
            }
        }
        Bytes::from(out)
    }

    /// Appends the packet to the body of a poll's answer.
    pub(crate) fn write_polling(&self, body: &mut Vec<u8>) {
        payload::push_text(body, self.text());
        for piece in &self.rest {
            match piece {
                Piece::Text(range) => payload::push_text(body, &self.frames[range.clone()]),
                Piece::Attachment(range) => payload::push_binary(body, &self.frames[range.clone()]),
            }
        }
    }

    fn text(&self) -> &[u8] {
        &self.frames[self.text.clone()]
    }
}

/// Tests count how often something is encoded.
#[cfg(test)]
pub(crate) mod made {
    use std::cell::Cell;

    thread_local!(static MADE: Cell<usize> = const { Cell::new(0) });

    pub(super) fn count() {
        MADE.set(MADE.get() + 1);
    }

    /// Packets encoded by this thread since it was asked last.
    pub(crate) fn take() -> usize {
        MADE.take()
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

    #[test]
    fn packets_that_go_together_are_one_in_every_form() {
        let packet = |text: &'static [u8], attachments: &[Bytes]| {
            Envelope::new(8, |out| out.extend_from_slice(text), attachments)
        };
        let (first, second) = (packet(b"451-[1]", &[Bytes::from_static(&[1])]), packet(b"42[2]", &[]));
        let both = Envelope::together(&[first, second.clone()]);
        assert_eq!(both.ws(), b"\x81\x07451-[1]\x82\x01\x01\x81\x0542[2]".as_slice());
        assert_eq!(both.ws_base64(), b"\x81\x07451-[1]\x81\x05bAQ==\x81\x0542[2]".as_slice());
        let mut body = Vec::new();
        Envelope::together(&[second, both]).write_polling(&mut body);
        assert_eq!(body, b"42[2]\x1e451-[1]\x1ebAQ==\x1e42[2]");
    }
}
