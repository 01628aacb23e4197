//! A blob as an answer: whole, a range of it, or the word that the asker has it already (by [`super::range`]).
//! It is shown, never run: whatever was stored, a browser gets an image type or a download.

use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use headers::ETag;

use super::Api;
use super::range::{Wanted, content_range, wanted};
use crate::base::ids::Sid;

/// Why there is no blob to show.
#[derive(Debug)]
pub(super) enum Unfetched {
    /// Quota or age have taken it, or it never was.
    Gone,
    StoreFails,
}

/// Answers a request with what it asks for of a blob.
pub(crate) async fn fetch(
    api: &Api,
    shelf: &'static str,
    id: Sid,
    method: &Method,
    headers: &HeaderMap,
) -> Result<Response, Unfetched> {
    let known = api.backend.blob(shelf, id.to_string()).await.map_err(|_| Unfetched::StoreFails)?;
    let blob = known.ok_or(Unfetched::Gone)?;
    let etag = format!("\"{}\"", blob.sha256);
    let version: ETag = etag.parse().expect("hexadecimal digits make a tag");
    let common = [(header::ETAG, etag), (header::CACHE_CONTROL, "private, max-age=86400".to_owned())];
    let guards = [(header::CONTENT_SECURITY_POLICY, "default-src 'none'; sandbox"), (header::ACCEPT_RANGES, "bytes")];
    let shown = blob.mime.starts_with("image/") && blob.mime != "image/svg+xml";
    let kind = [(header::CONTENT_TYPE, if shown { &blob.mime } else { "application/octet-stream" }.to_owned())];
    let total = blob.bytes;
    let part = match wanted(method, headers, &version, None, total) {
        Wanted::Nothing => return Ok((StatusCode::NOT_MODIFIED, common).into_response()),
        Wanted::Other => return Ok(StatusCode::PRECONDITION_FAILED.into_response()),
        Wanted::Outside => {
            let place = [(header::CONTENT_RANGE, content_range(None, total))];
            return Ok((StatusCode::RANGE_NOT_SATISFIABLE, common, guards, place).into_response());
        }
        Wanted::Whole => None,
        Wanted::Part(part) => Some(part),
    };
    let place = part.as_ref().map_or(0..total, |part| *part.start()..*part.end() + 1);
    let wanted = place.end - place.start;
    let bytes = api.backend.contents(blob, place).await.map_err(|_| Unfetched::Gone)?;
    if bytes.len() as u64 != wanted {
        return Err(Unfetched::StoreFails);
    }
    let Some(part) = part else { return Ok((common, guards, kind, bytes).into_response()) };
    let place = [(header::CONTENT_RANGE, content_range(Some(&part), total))];
    Ok((StatusCode::PARTIAL_CONTENT, common, guards, kind, place, bytes).into_response())
}
