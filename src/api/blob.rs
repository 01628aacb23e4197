//! A blob as an answer: whole, a range of it, or the word that the asker has it already (RFC 9110 sections 13 and 14).
//! It is shown, never run: whatever was stored, a browser gets a picture type or a download.

use std::ops::Range;

use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::Api;
use crate::base::ids::Sid;

/// Why there is no blob to show.
#[derive(Debug)]
pub(super) enum Unfetched {
    /// Quota or age have taken it, or it never was.
    Gone,
    StoreFails,
}

/// Answers a request with what it asks for of a blob.
pub(super) async fn fetch(api: &Api, shelf: &'static str, id: Sid, headers: &HeaderMap) -> Result<Response, Unfetched> {
    let known = api.backend.blob(shelf, id.to_string()).await.map_err(|_| Unfetched::StoreFails)?;
    let blob = known.ok_or(Unfetched::Gone)?;
    let etag = format!("\"{}\"", blob.sha256);
    let common = [(header::ETAG, etag.clone()), (header::CACHE_CONTROL, "private, max-age=86400".to_owned())];
    if has_it(headers, &etag) {
        return Ok((StatusCode::NOT_MODIFIED, common).into_response());
    }
    let shown = blob.mime.starts_with("image/") && blob.mime != "image/svg+xml";
    let mime = if shown { blob.mime.clone() } else { "application/octet-stream".to_owned() };
    let bytes = api.backend.contents(blob).await.map_err(|_| Unfetched::Gone)?;
    let guards = [(header::CONTENT_SECURITY_POLICY, "default-src 'none'; sandbox"), (header::ACCEPT_RANGES, "bytes")];
    let kind = [(header::CONTENT_TYPE, mime)];
    let total = bytes.len();
    Ok(match wanted(headers, &etag, total) {
        Wanted::Whole => (common, guards, kind, bytes).into_response(),
        Wanted::Part(range) => {
            let place = [(header::CONTENT_RANGE, format!("bytes {}-{}/{total}", range.start, range.end - 1))];
            (StatusCode::PARTIAL_CONTENT, common, guards, kind, place, bytes.slice(range)).into_response()
        }
        Wanted::Nothing => {
            let place = [(header::CONTENT_RANGE, format!("bytes */{total}"))];
            (StatusCode::RANGE_NOT_SATISFIABLE, common, guards, place).into_response()
        }
    })
}

/// What of so many bytes is asked for.
#[derive(Debug, PartialEq, Eq)]
enum Wanted {
    Whole,
    Part(Range<usize>),
    /// A range that lies outside.
    Nothing,
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

fn has_it(headers: &HeaderMap, etag: &str) -> bool {
    let known = text(headers, header::IF_NONE_MATCH).unwrap_or("");
    let is_it = |tag: &str| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag;
    known.split(',').any(|tag| is_it(tag.trim()))
}

/// One range is served; several, another unit, or one that is none: the whole, as the RFC allows.
fn wanted(headers: &HeaderMap, etag: &str, total: usize) -> Wanted {
    let is_same = text(headers, header::IF_RANGE).is_none_or(|known| known == etag);
    let range = text(headers, header::RANGE).and_then(|range| range.strip_prefix("bytes="));
    let Some((first, last)) = range.filter(|_| is_same).and_then(|range| range.trim().split_once('-')) else {
        return Wanted::Whole;
    };
    let number = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse::<usize>());
    let (first, last) = (first.trim(), last.trim());
    let range = match (first.is_empty(), last.is_empty()) {
        (true, true) => return Wanted::Whole,
        (true, false) => number(last).map(|last| total.saturating_sub(last.unwrap_or(usize::MAX))..total),
        (false, true) => number(first).map(|first| first.unwrap_or(usize::MAX)..total),
        (false, false) => match (number(first), number(last)) {
            (Some(first), Some(last)) => {
                let (first, last) = (first.unwrap_or(usize::MAX), last.unwrap_or(usize::MAX));
                if last < first {
                    return Wanted::Whole;
                }
                Some(first..total.min(last.saturating_add(1)))
            }
            _ => None,
        },
    };
    match range {
        None => Wanted::Whole,
        Some(range) if range.start >= range.end => Wanted::Nothing,
        Some(range) => Wanted::Part(range),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(range: &str, if_range: &str) -> Wanted {
        let mut headers = HeaderMap::new();
        headers.insert(header::RANGE, range.parse().unwrap());
        if !if_range.is_empty() {
            headers.insert(header::IF_RANGE, if_range.parse().unwrap());
        }
        wanted(&headers, "\"e\"", 10)
    }

    #[test]
    fn one_range_is_served_and_what_is_none_is_the_whole() {
        for (range, expected) in [
            ("bytes=0-3", Wanted::Part(0..4)),
            ("bytes=9-9", Wanted::Part(9..10)),
            ("bytes=4-", Wanted::Part(4..10)),
            ("bytes=4-99999999999999999999", Wanted::Part(4..10)),
            ("bytes=-3", Wanted::Part(7..10)),
            ("bytes=-99", Wanted::Part(0..10)),
            ("bytes=0-1,4-5", Wanted::Whole),
            ("bytes=3-1", Wanted::Whole),
            ("bytes=-", Wanted::Whole),
            ("bytes=a-b", Wanted::Whole),
            ("bytes=+1-2", Wanted::Whole),
            ("lines=0-3", Wanted::Whole),
        ] {
            assert_eq!(asked(range, ""), expected, "{range}");
        }
        assert_eq!(asked("bytes=0-3", "\"e\""), Wanted::Part(0..4));
        assert_eq!(asked("bytes=0-3", "\"old\""), Wanted::Whole);
        assert_eq!(asked("bytes=0-3", "W/\"e\""), Wanted::Whole);
    }

    #[test]
    fn a_range_outside_is_nothing() {
        for range in ["bytes=10-", "bytes=10-12", "bytes=99999999999999999999-", "bytes=-0"] {
            assert_eq!(asked(range, ""), Wanted::Nothing, "{range}");
        }
    }

    #[test]
    fn whoever_has_it_is_told_so() {
        for (known, expected) in
            [("\"e\"", true), ("W/\"e\"", true), ("\"a\", \"e\"", true), ("*", true), ("\"f\"", false), ("e", false)]
        {
            let mut headers = HeaderMap::new();
            headers.insert(header::IF_NONE_MATCH, known.parse().unwrap());
            assert_eq!(has_it(&headers, "\"e\""), expected, "{known}");
        }
    }
}
