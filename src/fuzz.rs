//! Bodies of the fuzz targets, always compiled, so that tests replay their corpus. Each takes any bytes, must not panic,
//! and asserts what holds for every input.

use std::borrow::Cow;
use std::net::IpAddr;

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::api::form;
use crate::base::json;
use crate::base::limit::{PROXY_HEAD_BYTES_MAX, UPLOAD_FIELDS_MAX, UPLOAD_HEAD_BYTES_MAX};
use crate::engine::packet::Packet;
use crate::engine::{open, packet, payload};
use crate::net::forwarded::Proxies;
use crate::net::proxy_head;
use crate::wire::{Decoder, Incoming, WireError};

/// Bytes of one WebSocket connection, read at once and in pieces whose size the first byte chooses: the same messages.
pub fn wire_decoder(data: &[u8]) {
    let Some((size, stream)) = data.split_first() else { return };
    let whole = decode_all(stream, stream.len().max(1));
    let split = decode_all(stream, usize::from(*size).max(1));
    assert_eq!(whole, split, "messages depend on how the bytes were split");
}

/// A text with `attachments` as its first byte says: the scanner accepts what serde_json accepts, and its ranges are
/// values of their own.
pub fn json_scanner(data: &[u8]) {
    let Some((attachments, text)) = data.split_first() else { return };
    if std::str::from_utf8(text).is_err() {
        return;
    }
    let checked = json::check(text);
    if serde_json::from_slice::<serde_json::Value>(text).is_ok() {
        assert!(!matches!(checked, Err(json::JsonError::Syntax { .. })), "valid JSON refused");
    }
    let Ok(scan) = json::scan_array(text, u32::from(*attachments)) else { return };
    assert_eq!(checked, Ok(json::Kind::Array));
    for range in &scan.elements {
        assert!(json::check(&text[range.start as usize..range.end as usize]).is_ok());
    }
    assert!(scan.placeholders.iter().all(|num| *num < u32::from(*attachments)));
}

/// A polling body, plain and as JSONP, and the same bytes as a query: what is decoded survives being written again.
pub fn engine_payload(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let _ = open::verify(&open::EngineQuery::parse(text), true, false, Some(data));
    let unwrapped = payload::jsonp_unwrap(text);
    for body in [Some(text), unwrapped.as_deref()].into_iter().flatten() {
        for decoded in payload::decode(body, usize::MAX).flatten() {
            let mut body = Vec::new();
            match &decoded {
                Packet::Text(content) => payload::push_text(&mut body, format!("4{content}").as_bytes()),
                Packet::Binary(content) => payload::push_binary(&mut body, content),
                _ => continue,
            }
            let body = String::from_utf8(body).expect("bodies are text");
            assert_eq!(packet::decode_text(Cow::Owned(body)), Ok(decoded));
        }
    }
}

/// The start of a connection of a trusted proxy: what its PROXY head says does not depend on how its bytes were split.
pub fn proxy_head(data: &[u8]) {
    let whole = proxy_head::read(data);
    if let Ok(Some(head)) = whole {
        assert!((1..=data.len().min(PROXY_HEAD_BYTES_MAX)).contains(&head.bytes));
    }
    for end in 0..data.len() {
        let cut = proxy_head::read(&data[..end]);
        assert!(cut == whole || cut == Ok(None), "{end} bytes are {cut:?}, all are {whole:?}");
    }
}

/// What a proxy was told about its client, and what it appends itself: nobody is taken for somebody else.
pub fn forwarded(data: &[u8]) {
    let proxy = IpAddr::from([10, 0, 0, 1]);
    let proxies = Proxies { trusted: vec![proxy.into()], ..Proxies::default() };
    for (name, appended, client) in [
        ("x-forwarded-for", "192.0.2.1", IpAddr::from([192, 0, 2, 1])),
        ("forwarded", "for=192.0.2.1", IpAddr::from([192, 0, 2, 1])),
        ("forwarded", "for=\"[2001:db8::1]:4711\"", IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1])),
    ] {
        let Ok(value) = HeaderValue::from_bytes(&[data, b", ", appended.as_bytes()].concat()) else { return };
        let headers = HeaderMap::from_iter([(HeaderName::from_static(name), value)]);
        match proxies.client(proxy, &headers) {
            Ok(found) => assert_eq!(found, client),
            Err(refused) => assert!(name == "forwarded", "{refused:?}"),
        }
    }
}

/// The body of an upload, read at once and in pieces whose size the first byte chooses: the same fields and the same file, or a
/// refusal both times.
pub fn multipart(data: &[u8]) {
    let Some((size, body)) = data.split_first() else { return };
    // A head is cut off by what has come, so that a longer one depends on its pieces.
    if body.len() > UPLOAD_HEAD_BYTES_MAX {
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let whole = runtime.block_on(form::read(body, body.len().max(1)));
    let split = runtime.block_on(form::read(body, usize::from(*size).max(1)));
    assert_eq!(whole.as_ref().ok(), split.as_ref().ok(), "a form depends on how its bytes were split");
    if let Ok((form, file)) = whole {
        assert!(form.size_bytes() + file.len() < body.len() && form.fields.len() <= UPLOAD_FIELDS_MAX);
    }
}

const MAX_PAYLOAD: usize = 4096;

/// What each message was (its text or bytes, or a word for the rest), up to the close or the error.
fn decode_all(stream: &[u8], piece: usize) -> (Vec<Vec<u8>>, Option<WireError>) {
    let (mut decoder, mut messages) = (Decoder::default(), Vec::new());
    for piece in stream.chunks(piece) {
        let mut buffer = piece.to_vec();
        let mut input = &mut buffer[..];
        loop {
            match decoder.next(&mut input, MAX_PAYLOAD) {
                Ok(Some(Incoming::Text(text))) => messages.push(text.as_bytes().to_vec()),
                Ok(Some(Incoming::Binary(data) | Incoming::Ping(data))) => messages.push(data.to_vec()),
                Ok(Some(Incoming::Pong)) => messages.push(b"pong".to_vec()),
                Ok(Some(Incoming::Close(code))) => {
                    messages.push(format!("{code:?}").into_bytes());
                    return (messages, None);
                }
                Ok(None) => break,
                Err(error) => return (messages, Some(error)),
            }
        }
        assert!(decoder.held_bytes() <= MAX_PAYLOAD + 256);
    }
    (messages, None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Inputs that fuzzing starts from; each reaches far into its target.
    #[test]
    fn seeds_pass() {
        for seed in [
            &b"\x01\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"[..],
            b"\x03\x01\x81\0\0\0\0a\x89\x81\0\0\0\0p\x80\x81\0\0\0\0b\x88\x82\0\0\0\0\x03\xe8",
            b"\x02\x81\xfe\x01\x00\0\0\0\0\xff\xff",
        ] {
            wire_decoder(seed);
        }
        for seed in [&b"\x02[\"e\",{\"_placeholder\":true,\"num\":1},[[{}]]]"[..], b"\0[1e400,\"\\ud800\"]", b"\0"] {
            json_scanner(seed);
        }
        for seed in ["4a\x1ebAQID\x1e2probe", "d=4a%5Cn%1E4b", "EIO=4&transport=polling&sid=x"] {
            engine_payload(seed.as_bytes());
        }
        for seed in [
            &b"PROXY TCP4 192.0.2.1 192.0.2.2 4711 443\r\nGET"[..],
            b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0e\xc0\0\x02\x01\xc0\0\x02\x02\0\x01\0\x02\x20\0",
        ] {
            proxy_head(seed);
        }
        for seed in ["1.1.1.1, 10.0.0.2", "for=\"1.1.1.1;x=\"\\", "for=\"[::1]:1\";host=\"a,b\""] {
            forwarded(seed.as_bytes());
        }
        for seed in [
            "\x01--b\r\ncontent-disposition: form-data; name=a\r\n\r\n1\r\n--b--",
            "\x07--b\r\ncontent-disposition: form-data; name=\"f\"; filename*=utf-8''%41\r\n\r\n\r\n--c\r\n--b--\r\n",
        ] {
            multipart(seed.as_bytes());
        }
    }

    proptest! {
        #[test]
        fn any_bytes_pass(data: Vec<u8>, text: String) {
            for input in [&data[..], text.as_bytes()] {
                wire_decoder(input);
                json_scanner(input);
                engine_payload(input);
                proxy_head(input);
                forwarded(input);
                multipart(input);
            }
        }
    }
}
