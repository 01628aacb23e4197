//! What of a representation a request wants: by its conditions and its range (RFC 9110 sections 13 and 14). One range is
//! served. Several, or what is no range, are the whole, as the RFC allows; one that lies outside is refused.

use std::ops::RangeInclusive;
use std::time::SystemTime;

use axum::http::{HeaderMap, HeaderValue, Method, header};
use headers::{
    ETag, HeaderMapExt as _, IfMatch, IfModifiedSince, IfNoneMatch, IfRange, IfUnmodifiedSince, LastModified,
};

/// What of so many bytes an asker wants.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    Whole,
    /// From the first of these bytes to the last.
    Part(RangeInclusive<u64>),
    /// A range that lies outside.
    Outside,
    /// The asker has it already.
    Nothing,
    /// Another version than this one.
    Other,
}

/// What a request wants of `total` bytes in this version; conditions in their order (RFC 9110 section 13.2.2).
pub(crate) fn wanted(
    method: &Method,
    asked: &HeaderMap,
    etag: &ETag,
    modified: Option<SystemTime>,
    total: u64,
) -> Wanted {
    let is_this = match (asked.typed_get::<IfMatch>(), asked.typed_get::<IfUnmodifiedSince>()) {
        (Some(tags), _) => tags.precondition_passes(etag),
        (None, Some(since)) => modified.is_none_or(|modified| since.precondition_passes(modified)),
        (None, None) => true,
    };
    if !is_this {
        return Wanted::Other;
    }
    let is_new = match (asked.typed_get::<IfNoneMatch>(), asked.typed_get::<IfModifiedSince>()) {
        (Some(tags), _) => tags.precondition_passes(etag),
        (None, Some(since)) => modified.is_none_or(|modified| since.is_modified(modified)),
        (None, None) => true,
    };
    if !is_new {
        return Wanted::Nothing;
    }
    let since = modified.map(LastModified::from);
    let is_part_of_this = |part: IfRange| !part.is_modified(Some(etag), since.as_ref());
    let is_same = !asked.contains_key(header::IF_RANGE) || asked.typed_get::<IfRange>().is_some_and(is_part_of_this);
    if *method == Method::GET && is_same { ranged(asked, total) } else { Wanted::Whole }
}

fn ranged(asked: &HeaderMap, total: u64) -> Wanted {
    let mut ranges = asked.get_all(header::RANGE).iter();
    let (Some(range), None) = (ranges.next(), ranges.next()) else { return Wanted::Whole };
    let one = range.to_str().ok().filter(|range| !range.contains(','));
    match one.and_then(|range| http_range_header::parse_range_header(range).ok()).map(|range| range.validate(total)) {
        Some(Ok(ranges)) => ranges.into_iter().next().map_or(Wanted::Whole, Wanted::Part),
        Some(Err(_)) => Wanted::Outside,
        None => Wanted::Whole,
    }
}

/// `Content-Range` of a part of `total` bytes; without a part that of a refusal.
pub(crate) fn content_range(part: Option<&RangeInclusive<u64>>, total: u64) -> HeaderValue {
    let place = part.map_or_else(|| "*".to_owned(), |part| format!("{}-{}", part.start(), part.end()));
    HeaderValue::try_from(format!("bytes {place}/{total}")).expect("digits are visible")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(method: Method, headers: &[(&'static str, &str)], total: u64) -> Wanted {
        let mut asked = HeaderMap::new();
        for (name, value) in headers {
            asked.append(*name, value.parse().unwrap());
        }
        let modified = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(86_400);
        wanted(&method, &asked, &"\"e\"".parse().unwrap(), Some(modified), total)
    }

    #[test]
    fn one_range_is_served_what_is_none_is_ignored_and_one_outside_is_refused() {
        for (range, total, expected) in [
            ("bytes=0-3", 10, Wanted::Part(0..=3)),
            ("bytes= 0-3", 10, Wanted::Part(0..=3)),
            ("Bytes=0-3", 10, Wanted::Part(0..=3)),
            ("bytes=9-9", 10, Wanted::Part(9..=9)),
            ("bytes=8-99", 10, Wanted::Part(8..=9)),
            ("bytes=4-", 10, Wanted::Part(4..=9)),
            ("bytes=4-99999999999999999999", 10, Wanted::Part(4..=9)),
            ("bytes=-3", 10, Wanted::Part(7..=9)),
            ("bytes=-99", 10, Wanted::Part(0..=9)),
            // No range, or none that this server has to serve.
            ("bytes=0-1,4-5", 10, Wanted::Whole),
            ("bytes=0-1,", 10, Wanted::Whole),
            ("bytes=3-1", 10, Wanted::Whole),
            ("bytes=12-11", 10, Wanted::Whole),
            ("bytes=-", 10, Wanted::Whole),
            ("bytes=", 10, Wanted::Whole),
            ("bytes", 10, Wanted::Whole),
            ("", 10, Wanted::Whole),
            ("bytes=a-b", 10, Wanted::Whole),
            ("bytes=+1-2", 10, Wanted::Whole),
            ("bytes=1-2-3", 10, Wanted::Whole),
            ("bytes=0x1-2", 10, Wanted::Whole),
            ("lines=0-3", 10, Wanted::Whole),
            ("bytes=-5", 0, Wanted::Whole),
            // A range, and nothing lies in it.
            ("bytes=10-", 10, Wanted::Outside),
            ("bytes=10-12", 10, Wanted::Outside),
            ("bytes=99999999999999999999-", 10, Wanted::Outside),
            ("bytes=-0", 10, Wanted::Outside),
            ("bytes=0-", 0, Wanted::Outside),
        ] {
            assert_eq!(asked(Method::GET, &[("range", range)], total), expected, "{range} of {total}");
            let twice = [("range", range), ("range", range)];
            assert_eq!(asked(Method::GET, &twice, total), Wanted::Whole, "{range} twice");
            assert_eq!(asked(Method::HEAD, &[("range", range)], total), Wanted::Whole, "{range} with HEAD");
        }
    }

    #[test]
    fn a_range_is_of_the_version_that_is_named() {
        for (condition, expected) in [
            ("\"e\"", Wanted::Part(0..=3)),
            ("Fri, 02 Jan 1970 00:00:00 GMT", Wanted::Part(0..=3)),
            ("\"old\"", Wanted::Whole),
            ("W/\"e\"", Wanted::Whole),
            ("Thu, 01 Jan 1970 00:00:00 GMT", Wanted::Whole),
            ("yesterday", Wanted::Whole),
        ] {
            let headers = [("range", "bytes=0-3"), ("if-range", condition)];
            assert_eq!(asked(Method::GET, &headers, 10), expected, "{condition}");
        }
    }

    #[test]
    fn an_asker_that_has_it_gets_nothing_and_one_that_wants_another_version_neither() {
        for (name, value, expected) in [
            ("if-none-match", "\"e\"", Wanted::Nothing),
            ("if-none-match", "W/\"e\"", Wanted::Nothing),
            ("if-none-match", "\"a\", \"e\"", Wanted::Nothing),
            ("if-none-match", "*", Wanted::Nothing),
            ("if-none-match", "\"f\"", Wanted::Whole),
            ("if-none-match", "e", Wanted::Whole),
            ("if-modified-since", "Fri, 02 Jan 1970 00:00:00 GMT", Wanted::Nothing),
            ("if-modified-since", "Thu, 01 Jan 1970 00:00:00 GMT", Wanted::Whole),
            ("if-modified-since", "yesterday", Wanted::Whole),
            ("if-match", "\"f\"", Wanted::Other),
            ("if-match", "\"e\"", Wanted::Whole),
            ("if-unmodified-since", "Thu, 01 Jan 1970 00:00:00 GMT", Wanted::Other),
        ] {
            assert_eq!(asked(Method::GET, &[(name, value)], 10), expected, "{name}: {value}");
        }
    }
}
