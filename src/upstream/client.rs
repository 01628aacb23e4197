//! One request and its whole answer, redirects included, over connections that are kept for the next one.

use std::error::Error;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::HeaderMap;
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper_util::client::legacy;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use parking_lot::Mutex;

use super::connect::Connector;
use super::kept::Kept;
use super::places::{Bounds, Places};
use super::request::Hop;
use crate::app::fetch::{Fetch, FetchError, FetchFailure, Fetched};
use crate::base::limit;

pub(super) struct Client {
    http: legacy::Client<Connector, Full<Bytes>>,
    places: Arc<Places>,
    kept: Mutex<Kept>,
}

impl Client {
    pub(super) fn new(connector: Connector, bounds: Bounds) -> Client {
        let http = legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_millis(limit::FETCH_IDLE_TIMEOUT_MS))
            .pool_max_idle_per_host(limit::FETCH_IDLE_PER_HOST_MAX)
            .http1_max_buf_size(limit::FETCH_HEAD_BYTES_MAX)
            .http1_max_headers(limit::FETCH_HEADERS_MAX)
            .build(connector);
        Client { http, places: Places::new(bounds), kept: Mutex::new(Kept::new(bounds.idle_hosts)) }
    }

    /// The answer, or why there is none; within the asker's bounds but for time, which is the caller's. `begun` tells that it has waited
    /// for its place and somebody may be asked.
    pub(super) async fn fetch(&self, fetch: &Fetch, begun: &AtomicBool) -> Result<Fetched, FetchError> {
        let redirects_max = fetch.redirects.min(limit::FETCH_REDIRECTS_MAX);
        let bytes_max = fetch.bytes_max.min(limit::FETCH_BYTES_MAX);
        let mut hop = Hop::first(fetch)?;
        let mut redirects = 0;
        loop {
            let host = hop.host();
            let place = self.places.take(host.clone(), bytes_max).await?;
            begun.store(true, Ordering::Relaxed);
            let rests = self.rests(&host);
            let request = hop.request(rests)?;
            let response = self.http.request(request).await.map_err(|error| failed(&host, &error))?;
            let (head, body) = response.into_parts();
            if redirects_max > 0
                && let Some(next) = hop.clone().redirected(head.status, &head.headers)?
            {
                if redirects == redirects_max {
                    let text = format!("{host} redirects once more after {redirects} redirects");
                    return Err(FetchError::new(FetchFailure::Redirects, text));
                }
                redirects += 1;
                hop = next;
                continue;
            }
            let body = Limited::new(body, bytes_max).collect().await.map_err(|error| broken(&host, &*error))?;
            drop(place);
            if rests {
                self.rests(&host);
            }
            return Ok(Fetched {
                status: head.status.as_u16(),
                headers: headers(&head.headers),
                body: body.to_bytes(),
                redirects,
            });
        }
    }

    /// Whether the connection to a host that is asked, or has answered, may rest.
    fn rests(&self, host: &str) -> bool {
        self.kept.lock().keeps(host, Instant::now())
    }
}

fn headers(map: &HeaderMap) -> Vec<(String, Bytes)> {
    map.iter().map(|(name, value)| (name.as_str().to_owned(), Bytes::copy_from_slice(value.as_bytes()))).collect()
}

/// There was no head of an answer.
fn failed(host: &str, error: &legacy::Error) -> FetchError {
    let own = causes(error).find_map(|cause| cause.downcast_ref::<FetchError>());
    own.cloned().unwrap_or_else(|| broken(host, error))
}

/// What came is no whole answer.
fn broken(host: &str, error: &(dyn Error + 'static)) -> FetchError {
    let (mut kind, mut why) = (FetchFailure::Cut, "the connection ended before the answer did");
    for cause in causes(error) {
        if cause.is::<LengthLimitError>() {
            (kind, why) = (FetchFailure::TooLarge, "the body is above its bound");
        } else if let Some(error) = cause.downcast_ref::<hyper::Error>() {
            if error.is_parse_too_large() {
                (kind, why) = (FetchFailure::TooLarge, "the head is above its bound");
            } else if error.is_parse() || error.is_user() {
                (kind, why) = (FetchFailure::Protocol, "what came is no HTTP");
            }
        } else if let Some(error) = cause.downcast_ref::<io::Error>() {
            let is_malformed = matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData);
            if is_malformed {
                (kind, why) = (FetchFailure::Protocol, "the body is malformed");
            }
        }
    }
    FetchError::new(kind, format!("{host}: {why}"))
}

/// An error and what led to it, the outermost first.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error: &&'a (dyn Error + 'static)| (*error).source())
}
