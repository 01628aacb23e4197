//! One HTTP request to the outside, as a value, and what came of it. In the shell `upstream` carries it out; an application
//! pushes a [`Fetch`] as a job and hears [`Outcome::Fetched`](super::job::Outcome::Fetched). Retrying is the application's.

use std::fmt;

use bytes::Bytes;

use super::route::Method;

/// A request, and how much time and room its answer may take. Its `Debug` form tells neither path nor values: secrets stand there.
#[derive(Clone, PartialEq, Eq)]
pub struct Fetch {
    pub method: Method,
    /// Absolute, `http` or `https`, without a user in it. Where its host leads is judged by the configuration.
    pub url: String,
    /// Names and values. Those that frame a message or belong to one connection (`host`, `content-length`, …) are not the
    /// asker's: with one of them the request is `Invalid`.
    pub headers: Vec<(String, String)>,
    pub body: Bytes,
    /// From the asking to the last byte of the answer, waiting for a place and redirects included; at most
    /// [`FETCH_TIMEOUT_MS_MAX`](crate::base::limit::FETCH_TIMEOUT_MS_MAX).
    pub timeout_ms: u64,
    /// Of the answer's body, as it comes: nothing is decompressed. At most
    /// [`FETCH_BYTES_MAX`](crate::base::limit::FETCH_BYTES_MAX).
    pub bytes_max: usize,
    /// Redirects that are followed, at most [`FETCH_REDIRECTS_MAX`](crate::base::limit::FETCH_REDIRECTS_MAX); 0: the answer is
    /// the redirect itself. Another origin (scheme, host and port) gets no header that could be a credential, and no body.
    pub redirects: u8,
}

impl Fetch {
    /// Without headers and body, ten seconds, a mebibyte, no redirects.
    pub fn new(method: Method, url: impl Into<String>) -> Fetch {
        Fetch {
            method,
            url: url.into(),
            headers: Vec::new(),
            body: Bytes::new(),
            timeout_ms: 10_000,
            bytes_max: 1024 * 1024,
            redirects: 0,
        }
    }

    /// Bytes it holds while it waits.
    pub fn weight(&self) -> usize {
        let headers = self.headers.iter().map(|(name, value)| name.len() + value.len());
        self.url.len() + headers.sum::<usize>() + self.body.len()
    }
}

impl fmt::Debug for Fetch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.headers.iter().map(|(name, _)| &**name).collect();
        let Fetch { method, body, timeout_ms, bytes_max, redirects, .. } = self;
        write!(f, "Fetch {{ {method:?}, headers {names:?}, body of {} bytes, ", body.len())?;
        write!(f, "timeout_ms {timeout_ms}, bytes_max {bytes_max}, redirects {redirects} }}")
    }
}

/// An answer, whatever its status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    pub status: u16,
    /// In the order they came, names in lower case.
    pub headers: Vec<(String, Bytes)>,
    /// Whole, and as it came.
    pub body: Bytes,
    /// Redirects that were followed.
    pub redirects: u8,
}

impl Fetched {
    /// The first value of a header, if it is text; `name` in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let (_, value) = self.headers.iter().find(|(own, _)| own == name)?;
        std::str::from_utf8(value).ok()
    }
}

/// Why there is no answer. `text` is for operators: it names a host at most, and neither path, query nor headers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchError {
    pub kind: FetchFailure,
    pub text: String,
}

impl FetchError {
    pub fn new(kind: FetchFailure, text: impl Into<String>) -> FetchError {
        FetchError { kind, text: text.into() }
    }
}

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind.label(), self.text)
    }
}

impl std::error::Error for FetchError {}

/// What kind of failure it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FetchFailure {
    /// The request is none: its URL, its headers.
    Invalid,
    /// Too many requests wait already, in all or for this host, or this one has waited until its time was over: nobody was asked.
    Busy,
    /// The name does not resolve.
    Dns,
    /// All addresses of the host are ones that the configuration keeps from being asked.
    Forbidden,
    /// Nobody listens there, or there is no way there.
    Refused,
    /// The certificate is not trusted, has expired, is another host's, or the peer speaks no TLS that we speak.
    Tls,
    /// The answer was not whole in time.
    TimedOut,
    /// Head or body are above their bounds.
    TooLarge,
    /// What came is no HTTP: garbage, two lengths.
    Protocol,
    /// The connection ended before the answer did.
    Cut,
    /// More redirects than are followed, in a circle or not, or one that cannot be followed.
    Redirects,
    /// The daemon is ending.
    Unavailable,
}

impl FetchFailure {
    /// Every kind; `kind as usize` is its place.
    pub const ALL: [FetchFailure; 12] = [
        FetchFailure::Invalid,
        FetchFailure::Busy,
        FetchFailure::Dns,
        FetchFailure::Forbidden,
        FetchFailure::Refused,
        FetchFailure::Tls,
        FetchFailure::TimedOut,
        FetchFailure::TooLarge,
        FetchFailure::Protocol,
        FetchFailure::Cut,
        FetchFailure::Redirects,
        FetchFailure::Unavailable,
    ];

    /// The word that operators see.
    pub const fn label(self) -> &'static str {
        match self {
            FetchFailure::Invalid => "invalid",
            FetchFailure::Busy => "busy",
            FetchFailure::Dns => "dns",
            FetchFailure::Forbidden => "forbidden",
            FetchFailure::Refused => "refused",
            FetchFailure::Tls => "tls",
            FetchFailure::TimedOut => "timed_out",
            FetchFailure::TooLarge => "too_large",
            FetchFailure::Protocol => "protocol",
            FetchFailure::Cut => "cut",
            FetchFailure::Redirects => "redirects",
            FetchFailure::Unavailable => "unavailable",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_that_is_shown_shows_no_secret() {
        let headers = vec![("authorization".to_owned(), "Bearer s3cret".to_owned())];
        let body = Bytes::from_static(b"s3cret");
        let fetch = Fetch { headers, body, ..Fetch::new(Method::Post, "https://hooks.example/s3cret?key=s3cret") };
        let shown = format!("{fetch:?}");
        assert!(shown.contains("authorization") && !shown.contains("s3cret"), "{shown}");
    }

    #[test]
    fn kinds_are_numbered_in_their_order_and_named_once() {
        let places: Vec<usize> = FetchFailure::ALL.iter().map(|kind| *kind as usize).collect();
        assert_eq!(places, (0..FetchFailure::ALL.len()).collect::<Vec<_>>());
        let mut labels = FetchFailure::ALL.map(FetchFailure::label).to_vec();
        labels.sort_unstable();
        labels.dedup();
        assert_eq!(labels.len(), FetchFailure::ALL.len());
    }

    #[test]
    fn a_header_of_an_answer_is_found_if_it_is_text() {
        let headers = [("a", "1"), ("b", "2"), ("a", "3")].map(|(name, value)| (name.to_owned(), Bytes::from(value)));
        let mut fetched = Fetched { status: 200, headers: headers.into(), body: Bytes::new(), redirects: 0 };
        fetched.headers.push(("c".to_owned(), Bytes::from_static(b"\xff")));
        assert_eq!([fetched.header("a"), fetched.header("c"), fetched.header("d")], [Some("1"), None, None]);
    }
}
