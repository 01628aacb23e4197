//! Messages from frames: bytes as they were read go in, whole messages come out, in order. A message that lies whole in
//! the read buffer is lent from there; one that does not is collected in a buffer that grows with what has been
//! received, never with what was declared, and is freed with the message. Spec: RFC 6455 sections 5.4, 5.5 and 8.1.

use std::borrow::Cow;

use smallvec::SmallVec;

use super::WireError;
use super::assembly::Assembly;
use super::frame::{HEADER_BYTES_MAX, Header, Opcode};
use super::incoming::Incoming;
use super::{close, mask};

/// Reads one connection. One word while nothing is incomplete.
#[derive(Default, Debug)]
pub struct Decoder {
    partial: Option<Box<Partial>>,
}

/// What has been received of frames and messages that are not complete.
#[derive(Default, Debug)]
struct Partial {
    /// Front of a header; empty while a payload is under way.
    header: SmallVec<[u8; HEADER_BYTES_MAX]>,
    frame: Option<Frame>,
    /// Payload so far of the control frame under way.
    control: Vec<u8>,
    message: Option<Assembly>,
}

/// A frame whose payload is under way.
#[derive(Clone, Copy, Debug)]
struct Frame {
    header: Header,
    received: usize,
}

impl Decoder {
    /// Takes bytes from the front of `input`, unmasking them in place, up to the end of the next message. `None` once
    /// `input` is used up; what is incomplete has been kept. `max_payload` bounds the bytes of one message.
    ///
    /// After a [`Incoming::Close`] or an error the connection has no more messages: do not call again.
    pub fn next<'a>(
        &mut self,
        input: &mut &'a mut [u8],
        max_payload: usize,
    ) -> Result<Option<Incoming<'a>>, WireError> {
        loop {
            let Some(frame) = self.frame(input, max_payload)? else { return Ok(None) };
            // Bounded by `max_payload` or by 125 when the header was admitted.
            let missing = frame.header.length as usize - frame.received;
            let chunk = take_front(input, missing);
            mask::unmask(chunk, frame.header.key, frame.received);
            if chunk.len() < missing {
                self.keep(frame, chunk)?;
                return Ok(None);
            }
            if let Some(incoming) = self.complete(frame, chunk)? {
                return Ok(Some(incoming));
            }
        }
    }

    /// Nothing is incomplete, nothing is held.
    pub fn is_idle(&self) -> bool {
        self.partial.is_none()
    }

    /// Bytes held for what is incomplete.
    pub fn held_bytes(&self) -> usize {
        self.partial.as_ref().map_or(0, |partial| {
            let message = partial.message.as_ref().map_or(0, Assembly::len);
            partial.header.len() + partial.control.len() + message
        })
    }

    /// The frame under way, or the next one once its header is whole.
    fn frame(&mut self, input: &mut &mut [u8], max_payload: usize) -> Result<Option<Frame>, WireError> {
        if let Some(frame) = self.partial.as_mut().and_then(|partial| partial.frame.take()) {
            return Ok(Some(frame));
        }
        let Some(header) = self.header(input)? else { return Ok(None) };
        self.admit(&header, max_payload)?;
        Ok(Some(Frame { header, received: 0 }))
    }

    fn header(&mut self, input: &mut &mut [u8]) -> Result<Option<Header>, WireError> {
        let begun = self.partial.as_mut().map(|partial| &mut partial.header).filter(|begun| !begun.is_empty());
        if let Some(begun) = begun {
            while let [byte] = take_front(input, 1) {
                begun.push(*byte);
                if let Some((header, _)) = Header::parse(begun)? {
                    begun.clear();
                    return Ok(Some(header));
                }
            }
            return Ok(None);
        }
        if let Some((header, size)) = Header::parse(input)? {
            take_front(input, size);
            return Ok(Some(header));
        }
        if !input.is_empty() {
            let front = take_front(input, HEADER_BYTES_MAX);
            self.partial.get_or_insert_default().header.extend_from_slice(front);
        }
        Ok(None)
    }

    /// Judges a frame by its header and by what has come before, so that nothing of a refused one is read.
    fn admit(&mut self, header: &Header, max_payload: usize) -> Result<(), WireError> {
        if header.opcode.is_control() {
            return Ok(());
        }
        let message = self.partial.as_mut().and_then(|partial| partial.message.as_mut());
        let held = match (message, header.opcode) {
            (None, Opcode::Continuation) => return Err(WireError::Protocol("nothing to continue")),
            (None, _) => 0,
            (Some(message), Opcode::Continuation) => {
                message.count_fragment(max_payload)?;
                message.len() as u64
            }
            (Some(_), _) => return Err(WireError::Protocol("new message inside a fragmented one")),
        };
        if held.saturating_add(header.length) > max_payload as u64 {
            return Err(WireError::TooBig);
        }
        Ok(())
    }

    /// Stores the payload that has come of an incomplete frame.
    fn keep(&mut self, frame: Frame, chunk: &[u8]) -> Result<(), WireError> {
        let partial = self.partial.get_or_insert_default();
        if frame.header.opcode.is_control() {
            partial.control.extend_from_slice(chunk);
        } else {
            partial.message(frame.header.opcode).push(chunk)?;
        }
        partial.frame = Some(Frame { received: frame.received + chunk.len(), ..frame });
        Ok(())
    }

    /// The rest of a frame has come: is a message complete with it?
    fn complete<'a>(&mut self, frame: Frame, chunk: &'a [u8]) -> Result<Option<Incoming<'a>>, WireError> {
        let Frame { header, received } = frame;
        if header.opcode.is_control() {
            let payload = if received == 0 { Cow::Borrowed(chunk) } else { Cow::Owned(self.take_control(chunk)) };
            self.free_if_empty();
            return control(header.opcode, payload).map(Some);
        }
        let message_begun = self.partial.as_ref().is_some_and(|partial| partial.message.is_some());
        if header.fin && !message_begun {
            self.free_if_empty();
            return whole(header.opcode, chunk).map(Some);
        }
        let partial = self.partial.get_or_insert_default();
        partial.message(header.opcode).push(chunk)?;
        if !header.fin {
            return Ok(None);
        }
        let message = partial.message.take();
        self.free_if_empty();
        message.map(Assembly::finish).transpose()
    }

    /// The payload of a control frame that came in pieces, with its last one.
    fn take_control(&mut self, chunk: &[u8]) -> Vec<u8> {
        let mut payload = self.partial.as_mut().map(|partial| std::mem::take(&mut partial.control)).unwrap_or_default();
        payload.extend_from_slice(chunk);
        payload
    }

    /// Called between frames, where only an unfinished message is worth keeping.
    fn free_if_empty(&mut self) {
        self.partial.take_if(|partial| partial.message.is_none());
    }
}

impl Partial {
    /// The message under way, begun by a frame of this opcode if there is none.
    fn message(&mut self, opcode: Opcode) -> &mut Assembly {
        self.message.get_or_insert_with(|| Assembly::new(opcode == Opcode::Text))
    }
}

/// A message that came in one frame and one piece.
fn whole(opcode: Opcode, payload: &[u8]) -> Result<Incoming<'_>, WireError> {
    if opcode != Opcode::Text {
        return Ok(Incoming::Binary(Cow::Borrowed(payload)));
    }
    let text = std::str::from_utf8(payload).map_err(|_| WireError::InvalidUtf8)?;
    Ok(Incoming::Text(Cow::Borrowed(text)))
}

fn control(opcode: Opcode, payload: Cow<'_, [u8]>) -> Result<Incoming<'_>, WireError> {
    match opcode {
        Opcode::Close => match payload {
            Cow::Borrowed(payload) => close::parse(payload).map(|(code, reason)| Incoming::Close(code, reason.into())),
            Cow::Owned(payload) => {
                close::parse(&payload).map(|(code, reason)| Incoming::Close(code, reason.to_owned().into()))
            }
        },
        Opcode::Ping => Ok(Incoming::Ping(payload)),
        _ => Ok(Incoming::Pong),
    }
}

/// Takes at most `count` bytes from the front.
fn take_front<'a>(input: &mut &'a mut [u8], count: usize) -> &'a mut [u8] {
    let count = count.min(input.len());
    let (front, rest) = std::mem::take(input).split_at_mut(count);
    *input = rest;
    front
}

#[cfg(test)]
mod tests {
    use super::super::frame::write_masked;
    use super::*;
    use crate::base::limit::{FRAGMENT_BYTES, FRAGMENTS_MAX};
    use proptest::prelude::*;

    const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
    const MAX: usize = 1000;

    fn masked(frames: &[(Opcode, bool, &[u8])]) -> Vec<u8> {
        let mut out = Vec::new();
        for (opcode, fin, payload) in frames {
            write_masked(&mut out, *opcode, *fin, payload, KEY);
        }
        out
    }

    fn text(content: &str) -> Incoming<'static> {
        Incoming::Text(Cow::Owned(content.to_owned()))
    }

    fn owned(incoming: Incoming<'_>) -> Incoming<'static> {
        match incoming {
            Incoming::Text(text) => Incoming::Text(Cow::Owned(text.into_owned())),
            Incoming::Binary(data) => Incoming::Binary(Cow::Owned(data.into_owned())),
            Incoming::Ping(data) => Incoming::Ping(Cow::Owned(data.into_owned())),
            Incoming::Pong => Incoming::Pong,
            Incoming::Close(code, reason) => Incoming::Close(code, Cow::Owned(reason.into_owned())),
        }
    }

    /// Feeds one connection's bytes in the given pieces; everything that came before the error, and the error.
    fn feed<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Incoming<'static>>, Result<(), WireError>) {
        let (mut decoder, mut messages) = (Decoder::default(), Vec::new());
        for piece in pieces {
            let mut buffer = piece.to_vec();
            let mut input = &mut buffer[..];
            loop {
                match decoder.next(&mut input, MAX) {
                    Ok(Some(incoming)) => messages.push(owned(incoming)),
                    Ok(None) => break assert!(input.is_empty()),
                    Err(error) => return (messages, Err(error)),
                }
            }
            assert!(decoder.held_bytes() <= MAX + HEADER_BYTES_MAX + 125);
        }
        (messages, Ok(()))
    }

    /// The same whether the bytes come at once or one by one.
    #[track_caller]
    fn check(frames: &[(Opcode, bool, &[u8])], messages: &[Incoming<'_>], end: Result<(), WireError>) {
        let bytes = masked(frames);
        assert_eq!(feed([&bytes[..]]), (messages.to_vec(), end));
        assert_eq!(feed(bytes.chunks(1)), (messages.to_vec(), end));
    }

    #[test]
    fn messages_with_control_frames_between_their_fragments() {
        use Opcode::*;
        check(
            &[
                (Text, true, b"4hello"),
                (Text, true, b""),
                (Text, false, "caf\u{e9} \u{1d11e}".as_bytes().split_at(4).0),
                (Ping, true, b"alive?"),
                (Continuation, false, b""),
                (Pong, true, b"unasked"),
                (Continuation, true, "caf\u{e9} \u{1d11e}".as_bytes().split_at(4).1),
                (Binary, false, b"\xff\x00"),
                (Continuation, true, b"\xfe"),
                (Binary, true, b"\x01"),
                (Close, true, b"\x03\xe8"),
            ],
            &[
                text("4hello"),
                text(""),
                Incoming::Ping(Cow::Borrowed(b"alive?")),
                Incoming::Pong,
                text("caf\u{e9} \u{1d11e}"),
                Incoming::Binary(Cow::Borrowed(b"\xff\x00\xfe")),
                Incoming::Binary(Cow::Borrowed(b"\x01")),
                Incoming::Close(Some(1000), Cow::Borrowed("")),
            ],
            Ok(()),
        );
    }

    #[test]
    fn fragments_out_of_order_are_refused() {
        use Opcode::*;
        let hi = text("hi");
        check(&[(Continuation, true, b"x")], &[], Err(WireError::Protocol("nothing to continue")));
        check(
            &[(Text, false, b"h"), (Continuation, true, b"i"), (Continuation, false, b"")],
            &[hi],
            Err(WireError::Protocol("nothing to continue")),
        );
        for second in [Text, Binary] {
            let error = WireError::Protocol("new message inside a fragmented one");
            check(&[(Text, false, b"h"), (second, true, b"i")], &[], Err(error));
        }
    }

    #[test]
    fn text_is_refused_at_the_first_byte_that_is_not_utf8() {
        use Opcode::*;
        for bad in [&b"\xff"[..], b"ok\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90", b"\xf8", b"\xce\xba\x80"] {
            check(&[(Text, true, bad)], &[], Err(WireError::InvalidUtf8));
            check(&[(Text, false, bad)], &[], Err(WireError::InvalidUtf8));
            check(&[(Text, false, b"fine"), (Continuation, false, bad)], &[], Err(WireError::InvalidUtf8));
        }
        // A character that never gets its last byte.
        check(&[(Text, true, b"\xe2\x82")], &[], Err(WireError::InvalidUtf8));
        check(&[(Text, false, b"\xe2\x82"), (Continuation, true, b"")], &[], Err(WireError::InvalidUtf8));
        // Only the front of one frame has come: the bad byte is enough.
        let frame = masked(&[(Text, true, b"abc\xffdef")]);
        assert_eq!(feed([&frame[..frame.len() - 3]]), (vec![], Err(WireError::InvalidUtf8)));
    }

    #[test]
    fn b30_a_declared_length_over_the_limit_is_refused_before_its_payload() {
        use Opcode::*;
        let full = [b'x'; MAX];
        check(&[(Text, true, &full)], &[text(&"x".repeat(MAX))], Ok(()));
        let too_big = masked(&[(Text, true, &[b'x'; MAX + 1])]);
        assert_eq!(feed([&too_big[..8]]), (vec![], Err(WireError::TooBig)));
    }

    #[test]
    fn b47_a_limit_of_zero_is_not_unlimited() {
        let mut bytes = masked(&[(Opcode::Text, true, b""), (Opcode::Text, true, b"x")]);
        let (mut decoder, mut input) = (Decoder::default(), &mut bytes[..]);
        assert_eq!(decoder.next(&mut input, 0), Ok(Some(text(""))));
        assert_eq!(decoder.next(&mut input, 0), Err(WireError::TooBig));
    }

    #[test]
    fn b46_all_fragments_together_are_held_to_the_limit() {
        use Opcode::*;
        let half = [b'x'; MAX / 2];
        let mut frames = masked(&[(Binary, false, &half), (Continuation, false, &half), (Continuation, true, b"y")]);
        frames.pop();
        assert_eq!(feed([&frames[..]]), (vec![], Err(WireError::TooBig)));
        check(
            &[(Binary, false, &half), (Continuation, false, &half), (Ping, true, b"p")],
            &[Incoming::Ping(Cow::Borrowed(b"p"))],
            Ok(()),
        );
    }

    #[test]
    fn b41_nothing_is_allocated_for_a_declared_length() {
        let mut header = vec![0x82, 0xFF];
        header.extend_from_slice(&(1u64 << 62).to_be_bytes());
        header.extend_from_slice(&KEY);
        assert_eq!(feed([&header[..]]), (vec![], Err(WireError::TooBig)));

        header[2..10].copy_from_slice(&(1u64 << 30).to_be_bytes());
        let mut decoder = Decoder::default();
        header.extend_from_slice(b"abc");
        assert_eq!(decoder.next(&mut &mut header[..], usize::MAX), Ok(None));
        assert_eq!(decoder.held_bytes(), 3);
        assert!(decoder.partial.unwrap().message.unwrap().capacity() < 64);
    }

    #[test]
    fn b36_fragments_are_counted_even_when_empty() {
        let mut bytes = masked(&[(Opcode::Text, false, b"")]);
        for _ in 1..FRAGMENTS_MAX {
            write_masked(&mut bytes, Opcode::Continuation, false, b"", KEY);
        }
        assert_eq!(feed([&bytes[..]]), (vec![], Ok(())));
        write_masked(&mut bytes, Opcode::Continuation, true, b"", KEY);
        assert_eq!(feed([&bytes[..]]), (vec![], Err(WireError::TooManyFragments)));
    }

    #[test]
    fn b36_a_large_message_may_have_more_fragments_and_no_end_of_them() {
        let fragments = FRAGMENTS_MAX + 10;
        let (mut decoder, max) = (Decoder::default(), fragments * FRAGMENT_BYTES);
        let mut feed = |opcode, fin, payload: &[u8]| {
            let mut bytes = masked(&[(opcode, fin, payload)]);
            decoder.next(&mut &mut bytes[..], max).map(|message| message.map(owned))
        };
        for end in [Ok(Some(Incoming::Binary(Cow::Owned(vec![7; max])))), Err(WireError::TooManyFragments)] {
            let whole = end.is_ok();
            assert_eq!(feed(Opcode::Binary, false, &[7; FRAGMENT_BYTES]), Ok(None));
            for _ in 2..fragments {
                assert_eq!(feed(Opcode::Continuation, false, &[7; FRAGMENT_BYTES]), Ok(None));
            }
            if !whole {
                assert_eq!(feed(Opcode::Continuation, false, b""), Ok(None));
            }
            assert_eq!(feed(Opcode::Continuation, true, &[7; FRAGMENT_BYTES]), end);
        }
    }

    #[test]
    fn b31_a_ping_is_lent_exactly_as_it_came() {
        let payload = [7; 125];
        check(&[(Opcode::Ping, true, &payload)], &[Incoming::Ping(Cow::Borrowed(&payload))], Ok(()));
        check(&[(Opcode::Ping, true, b"")], &[Incoming::Ping(Cow::Borrowed(b""))], Ok(()));
    }

    #[test]
    fn b39_an_idle_decoder_is_one_word_and_owns_nothing() {
        assert_eq!(size_of::<Decoder>(), size_of::<usize>());
        let stream =
            masked(&[(Opcode::Text, false, b"a"), (Opcode::Ping, true, b"p"), (Opcode::Continuation, true, b"b")]);
        let mut decoder = Decoder::default();
        for (index, byte) in stream.iter().enumerate() {
            let done = matches!(decoder.next(&mut &mut [*byte][..], MAX), Ok(Some(Incoming::Text(_))));
            assert_eq!(decoder.is_idle(), done, "byte {index}");
        }
        assert_eq!((decoder.is_idle(), decoder.held_bytes()), (true, 0));
    }

    #[test]
    fn a_whole_message_is_lent_from_the_read_buffer() {
        let mut buffer =
            masked(&[(Opcode::Text, true, b"4hello"), (Opcode::Binary, true, b"abc"), (Opcode::Ping, true, b"p")]);
        let (mut decoder, mut input) = (Decoder::default(), &mut buffer[..]);
        assert!(matches!(decoder.next(&mut input, MAX), Ok(Some(Incoming::Text(Cow::Borrowed("4hello"))))));
        assert!(matches!(decoder.next(&mut input, MAX), Ok(Some(Incoming::Binary(Cow::Borrowed(b"abc"))))));
        assert!(matches!(decoder.next(&mut input, MAX), Ok(Some(Incoming::Ping(Cow::Borrowed(b"p"))))));
        assert_eq!(decoder.next(&mut input, MAX), Ok(None));
        assert!(decoder.is_idle());
    }

    /// A conversation as a client may send it, fragmented at will, with pings between.
    fn any_stream() -> impl Strategy<Value = (Vec<u8>, Vec<Incoming<'static>>)> {
        let message = prop_oneof![
            any::<String>().prop_map(|text| Incoming::Text(Cow::Owned(text))),
            prop::collection::vec(any::<u8>(), 0..300).prop_map(|data| Incoming::Binary(Cow::Owned(data))),
        ];
        let cuts = prop::collection::vec(any::<prop::sample::Index>(), 0..4);
        prop::collection::vec((message, cuts, any::<[u8; 4]>()), 0..5).prop_map(|messages| {
            let (mut bytes, mut expected) = (Vec::new(), Vec::new());
            for (message, cuts, key) in messages {
                let (opcode, payload) = match &message {
                    Incoming::Text(text) => (Opcode::Text, text.as_bytes()),
                    Incoming::Binary(data) => (Opcode::Binary, &data[..]),
                    _ => unreachable!("the strategy makes data messages"),
                };
                let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(payload.len() + 1)).collect();
                cuts.sort_unstable();
                let mut start = 0;
                for (index, cut) in cuts.iter().enumerate() {
                    let opcode = if index == 0 { opcode } else { Opcode::Continuation };
                    write_masked(&mut bytes, opcode, false, &payload[start..*cut], key);
                    write_masked(&mut bytes, Opcode::Ping, true, &key, key);
                    expected.push(Incoming::Ping(Cow::Owned(key.to_vec())));
                    start = *cut;
                }
                let last = if cuts.is_empty() { opcode } else { Opcode::Continuation };
                write_masked(&mut bytes, last, true, &payload[start..], key);
                expected.push(message);
            }
            (bytes, expected)
        })
    }

    /// The bytes cut into pieces of these sizes, again and again.
    fn pieces<'a>(mut bytes: &'a [u8], sizes: &'a [usize]) -> impl Iterator<Item = &'a [u8]> {
        let mut sizes = sizes.iter().cycle();
        std::iter::from_fn(move || {
            let size = sizes.next().copied().unwrap_or(usize::MAX).min(bytes.len());
            let (piece, rest) = bytes.split_at(size);
            bytes = rest;
            (!piece.is_empty()).then_some(piece)
        })
    }

    proptest! {
        #[test]
        fn any_split_gives_what_was_encoded(
            (bytes, expected) in any_stream(),
            sizes in prop::collection::vec(1usize..40, 0..8),
        ) {
            prop_assert_eq!(feed(pieces(&bytes, &sizes)), (expected, Ok(())));
        }

        #[test]
        fn any_split_of_a_damaged_stream_ends_the_same(
            (mut bytes, _) in any_stream(),
            at: prop::sample::Index,
            with: u8,
            sizes in prop::collection::vec(1usize..40, 1..8),
        ) {
            if !bytes.is_empty() {
                let at = at.index(bytes.len());
                bytes[at] = with;
            }
            prop_assert_eq!(feed([&bytes[..]]), feed(pieces(&bytes, &sizes)));
        }

        #[test]
        fn never_panics(bytes: Vec<u8>, sizes in prop::collection::vec(1usize..40, 0..8)) {
            let _ = feed(pieces(&bytes, &sizes));
        }
    }
}
