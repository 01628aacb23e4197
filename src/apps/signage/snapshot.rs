//! Snapshots inside payloads: found, taken out, and judged by size before anything is decoded (SIGNAGE 9.10). A snapshot is the
//! picture of what a player shows: that is its word on the wire, in tables, settings and metrics, and so in the code. What its bytes
//! are is an image, and once it is stored a blob.
//! Decoding, hashing and writing are a job of the shell.

use bytes::Bytes;
use serde_json::Value;

use crate::app::job::Data;

/// How eagerly text counts as a snapshot.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Look {
    /// Where a snapshot is expected: bare base64 counts too.
    Here,
    /// Anywhere else: data URLs and binary attachments only.
    Elsewhere,
}

/// Text shorter than this is never taken for bare base64.
const BASE64_BYTES_MIN: usize = 128;
/// Bytes before the data of a data URL.
const DATA_URL_HEAD_BYTES_MAX: usize = 128;

/// Takes every snapshot out of `value` and returns the first; the keys that held one are gone, `value` itself becomes `null`
/// if it was one.
pub(crate) fn take(value: &mut Value, attachments: &[Bytes], look: Look) -> Option<Data> {
    if let Some(snapshot) = as_snapshot(value, attachments, look) {
        *value = Value::Null;
        return Some(snapshot);
    }
    let mut first = None;
    match value {
        Value::Object(map) => map.retain(|_, inner| keep(inner, attachments, look, &mut first)),
        Value::Array(list) => list.retain_mut(|inner| keep(inner, attachments, look, &mut first)),
        _ => {}
    }
    first
}

fn keep(inner: &mut Value, attachments: &[Bytes], look: Look, first: &mut Option<Data>) -> bool {
    let was_null = inner.is_null();
    if let Some(snapshot) = take(inner, attachments, look) {
        first.get_or_insert(snapshot);
    }
    was_null || !inner.is_null()
}

/// Takes the snapshot out of a whole state: the section `snapshot` is where one is expected.
pub(crate) fn take_from_state(state: &mut serde_json::Map<String, Value>, attachments: &[Bytes]) -> Option<Data> {
    let mut first = state.get_mut("snapshot").and_then(|section| take(section, attachments, Look::Here));
    if state.get("snapshot").is_some_and(|section| section.is_string() || (first.is_some() && section.is_null())) {
        // The section was the image itself, or text that is none.
        state.insert("snapshot".to_owned(), serde_json::json!({}));
    }
    for (_, section) in state.iter_mut().filter(|(key, _)| *key != "snapshot") {
        let found = take(section, attachments, Look::Elsewhere);
        first = first.or(found);
    }
    first
}

fn as_snapshot(value: &mut Value, attachments: &[Bytes], look: Look) -> Option<Data> {
    match value {
        Value::Object(map) if map.get("_placeholder") == Some(&Value::Bool(true)) => {
            let number = map.get("num").and_then(Value::as_u64).and_then(|number| usize::try_from(number).ok());
            let bytes = number.and_then(|number| attachments.get(number)).cloned().unwrap_or_default();
            Some(Data::Raw(bytes))
        }
        Value::String(text) => {
            if let Some(start) = data_url(text) {
                return Some(Data::Base64(Bytes::from(std::mem::take(text)).slice(start..)));
            }
            let bare = look == Look::Here && text.len() >= BASE64_BYTES_MIN && text.bytes().all(is_base64);
            bare.then(|| Data::Base64(Bytes::from(std::mem::take(text))))
        }
        _ => None,
    }
}

/// Where the data of a base64 data URL begins.
fn data_url(text: &str) -> Option<usize> {
    let rest = text.strip_prefix("data:")?;
    let head = rest.as_bytes().iter().take(DATA_URL_HEAD_BYTES_MAX).position(|byte| *byte == b',')?;
    rest.get(..head)?.ends_with(";base64").then_some("data:".len() + head + 1)
}

fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=' | b'-' | b'_' | b'\r' | b'\n')
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn data_urls_bare_base64_and_attachments_are_taken_out() {
        let long = "QUJD".repeat(40);
        let attachment = Bytes::from_static(b"\x89PNG");
        for (value, rest, data) in [
            (json!({"image": "data:image/png;base64,QUJD", "at": 1}), json!({"at": 1}), Data::Base64("QUJD".into())),
            (json!({"data": long.clone()}), json!({}), Data::Base64(long.clone().into())),
            (
                json!({"a": {"b": [{"_placeholder":true,"num":0}]}}),
                json!({"a": {"b": []}}),
                Data::Raw(attachment.clone()),
            ),
            (json!("data:image/jpeg;base64,QQ=="), json!(null), Data::Base64("QQ==".into())),
        ] {
            let mut value = value;
            let snapshot = take(&mut value, std::slice::from_ref(&attachment), Look::Here).expect("a snapshot");
            assert_eq!((value, snapshot), (rest, data));
        }
    }

    #[test]
    fn other_text_stays() {
        let long = "QUJD".repeat(40);
        for (value, look) in [
            (json!({"url": "http://player/x.png", "createdAt": "2025-08-20T10:00:31.000Z"}), Look::Here),
            (json!({"hash": long}), Look::Elsewhere),
            (json!({"note": "data:text/plain,hello", "none": null}), Look::Elsewhere),
        ] {
            let mut after = value.clone();
            assert_eq!(take(&mut after, &[], look), None);
            assert_eq!(after, value);
        }
    }

    #[test]
    fn a_placeholder_without_its_attachment_is_an_empty_snapshot() {
        let snapshot = take(&mut json!({"_placeholder":true,"num":3}), &[], Look::Elsewhere).unwrap();
        assert_eq!(snapshot.bytes(), 0);
    }

    #[test]
    fn the_section_may_be_the_image_itself() {
        let mut state = json!({"snapshot":"data:image/png;base64,QUJD","vlc":{"x":"data:image/png;base64,QQ=="}});
        let map = state.as_object_mut().unwrap();
        assert_eq!(take_from_state(map, &[]).unwrap(), Data::Base64("QUJD".into()));
        assert_eq!(state, json!({"snapshot":{},"vlc":{}}));
        let mut text = json!({"snapshot":"none yet"});
        assert_eq!(take_from_state(text.as_object_mut().unwrap(), &[]), None);
        assert_eq!(text, json!({"snapshot":{}}));
    }
}
