//! What may be asked, and where a redirect leads. Pure: values in, values out.

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, StatusCode, Uri};
use http_body_util::Full;
use url::Url;

use crate::app::fetch::{Fetch, FetchError, FetchFailure};
use crate::base::limit::FETCH_HEADERS_MAX;

/// One request on its way; a redirect makes another one of it.
#[derive(Clone, Debug)]
pub(super) struct Hop {
    method: Method,
    url: Url,
    headers: HeaderMap,
    body: Bytes,
}

impl Hop {
    /// What an application asks for, if it may be asked.
    pub(super) fn first(fetch: &Fetch) -> Result<Hop, FetchError> {
        let url = Url::parse(&fetch.url).map_err(|error| invalid(format!("the URL is none: {error}")))?;
        let url = plain(url).map_err(invalid)?;
        let headers = headers(&fetch.headers, &[])?;
        let method = fetch.method.name().parse().expect("our methods are HTTP's");
        Ok(Hop { method, url, headers, body: fetch.body.clone() })
    }

    /// Host and port, in one spelling.
    pub(super) fn host(&self) -> String {
        host(&self.url)
    }

    /// `rests`: whether the connection is for the next request as well.
    pub(super) fn request(&self, rests: bool) -> Result<Request<Full<Bytes>>, FetchError> {
        let uri: Uri = self.url.as_str().parse().map_err(|_| invalid("the URL cannot be asked for"))?;
        let mut request = Request::new(Full::new(self.body.clone()));
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = uri;
        *request.headers_mut() = self.headers.clone();
        if !rests {
            request.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        Ok(request)
    }

    /// The request that an answer redirects to; `None` where it is no redirect.
    pub(super) fn redirected(mut self, status: StatusCode, headers: &HeaderMap) -> Result<Option<Hop>, FetchError> {
        let is_redirect = matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308);
        let Some(location) = headers.get(header::LOCATION).filter(|_| is_redirect) else { return Ok(None) };
        let host = self.host();
        let refused = |why| FetchError::new(FetchFailure::Redirects, format!("{host} redirects: {why}"));
        let location = location.to_str().map_err(|_| refused("to what is no URL"))?;
        let to = self.url.join(location).map_err(|_| refused("to what is no URL"))?;
        let to = plain(to).map_err(refused)?;
        let is_asked_again = matches!(status.as_u16(), 307 | 308);
        if !is_asked_again && self.method != Method::GET {
            (self.method, self.body) = (Method::GET, Bytes::new());
            OF_A_BODY.iter().for_each(|name| drop(self.headers.remove(name)));
        }
        if to.origin() != self.url.origin() {
            if !self.body.is_empty() {
                return Err(refused("a body is not taken to another origin"));
            }
            self.headers = HeaderMap::from_iter(self.headers.into_iter().filter_map(|(name, value)| {
                let name = name.filter(|name| NO_SECRET.contains(name))?;
                Some((name, value))
            }));
        }
        self.url = to;
        Ok(Some(self))
    }
}

/// What an asker says in headers, and who asks. Neither those that frame a message are among them, nor any of `others`.
pub(super) fn headers(asked: &[(String, String)], others: &[HeaderName]) -> Result<HeaderMap, FetchError> {
    let mut headers = HeaderMap::new();
    if asked.len() > FETCH_HEADERS_MAX {
        return Err(invalid(format!("there are more than {FETCH_HEADERS_MAX} headers")));
    }
    for (name, value) in asked {
        let name: HeaderName = name.parse().map_err(|_| invalid("a header's name is none"))?;
        if FRAMING.contains(&name) || others.contains(&name) {
            return Err(invalid(format!("{name} is not the asker's to say")));
        }
        let mut value: HeaderValue = value.parse().map_err(|_| invalid(format!("the value of {name} is none")))?;
        value.set_sensitive(true);
        headers.append(name, value);
    }
    headers.entry(header::USER_AGENT).or_insert(HeaderValue::from_static(USER_AGENT));
    Ok(headers)
}

/// Host and port of a URL, in one spelling.
pub(super) fn host(url: &Url) -> String {
    let port = url.port_or_known_default().unwrap_or_default();
    format!("{}:{port}", url.host_str().unwrap_or_default())
}

/// A URL that can be asked for and has no secret where everybody looks.
pub(super) fn plain(mut url: Url) -> Result<Url, &'static str> {
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err("the URL is neither http nor https");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("there is a user in the URL");
    }
    url.set_fragment(None);
    Ok(url)
}

pub(super) fn invalid(text: impl Into<String>) -> FetchError {
    FetchError::new(FetchFailure::Invalid, text)
}

const USER_AGENT: &str = concat!("siod/", env!("CARGO_PKG_VERSION"));

/// Headers that say how a message is framed or what becomes of a connection.
const FRAMING: [HeaderName; 9] = [
    header::HOST,
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
    header::CONNECTION,
    header::UPGRADE,
    header::TE,
    header::TRAILER,
    header::EXPECT,
    HeaderName::from_static("keep-alive"),
];

/// Headers that go with a body.
const OF_A_BODY: [HeaderName; 3] = [header::CONTENT_TYPE, header::CONTENT_ENCODING, header::CONTENT_LANGUAGE];

/// Headers that another origin may see: any other one could be a credential, whatever it is called.
const NO_SECRET: [HeaderName; 3] = [header::ACCEPT, header::ACCEPT_LANGUAGE, header::USER_AGENT];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::route;

    fn hop(method: route::Method, url: &str) -> Hop {
        let headers = [("authorization", "Bearer x"), ("x-api-key", "k"), ("accept", "*/*"), ("content-type", "a/b")];
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let body = if method == route::Method::Get { Bytes::new() } else { Bytes::from_static(b"body") };
        Hop::first(&Fetch { headers, body, ..Fetch::new(method, url) }).unwrap()
    }

    fn names(hop: &Hop) -> Vec<&str> {
        let mut names: Vec<&str> = hop.headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        names
    }

    fn redirect(hop: Hop, status: u16, location: &str) -> Result<Option<Hop>, FetchError> {
        let headers = HeaderMap::from_iter([(header::LOCATION, location.parse().unwrap())]);
        hop.redirected(StatusCode::from_u16(status).unwrap(), &headers)
    }

    #[test]
    fn what_is_no_request_is_invalid_and_says_no_secret() {
        let get = |url: &str| Fetch::new(route::Method::Get, url);
        let with =
            |name: &str, value: &str| Fetch { headers: vec![(name.into(), value.into())], ..get("http://a.example/") };
        for fetch in [
            get(""),
            get("/s3cret"),
            get("ftp://a.example/s3cret"),
            get("file:///etc/s3cret"),
            get("http://s3cret@a.example/"),
            get("http://u:s3cret@a.example/"),
            get("http://a.example:99999/s3cret"),
            with("host", "s3cret"),
            with("Content-Length", "7"),
            with("transfer-encoding", "chunked"),
            with("a b", "s3cret"),
            with("a", "s3cret\r\nb: c"),
            Fetch { headers: vec![("a".into(), "b".into()); 101], ..get("http://a.example/") },
        ] {
            let error = Hop::first(&fetch).map(|_| fetch.url).unwrap_err();
            assert!(error.kind == FetchFailure::Invalid && !error.text.contains("s3cret"), "{error}");
        }
    }

    #[test]
    fn a_host_has_one_spelling() {
        for (url, host) in [
            ("http://A.example", "a.example:80"),
            ("https://a.example/x", "a.example:443"),
            ("http://0x7f.1/", "127.0.0.1:80"),
            ("http://2130706433/", "127.0.0.1:80"),
            ("http://[::ffff:7f00:1]:8080/", "[::ffff:7f00:1]:8080"),
        ] {
            assert_eq!(hop(route::Method::Get, url).host(), host);
        }
    }

    #[test]
    fn a_redirect_within_the_origin_keeps_headers_and_what_was_asked() {
        let next = redirect(hop(route::Method::Post, "https://a.example/x"), 307, "/y?z#f").unwrap().unwrap();
        assert_eq!(
            (next.url.as_str(), next.method.as_str(), &next.body[..]),
            ("https://a.example/y?z", "POST", &b"body"[..])
        );
        assert_eq!(names(&next), ["accept", "authorization", "content-type", "user-agent", "x-api-key"]);
        for status in [301, 302, 303] {
            let next = redirect(hop(route::Method::Post, "https://a.example/x"), status, "y").unwrap().unwrap();
            assert_eq!((next.method.as_str(), next.body.len()), ("GET", 0));
            assert_eq!(names(&next), ["accept", "authorization", "user-agent", "x-api-key"]);
        }
    }

    #[test]
    fn another_origin_sees_no_credentials_and_no_body() {
        for to in ["https://b.example/", "http://a.example/", "https://a.example:444/", "//b.example/x"] {
            let next = redirect(hop(route::Method::Get, "https://a.example/"), 302, to).unwrap().unwrap();
            assert_eq!(names(&next), ["accept", "user-agent"], "{to}");
            let refused = redirect(hop(route::Method::Post, "https://a.example/"), 307, to).unwrap_err();
            assert_eq!(refused.kind, FetchFailure::Redirects, "{to}");
        }
    }

    #[test]
    fn what_cannot_be_followed_is_a_failure_and_what_is_no_redirect_an_answer() {
        for to in ["ftp://a.example/", "https://u:p@b.example/", "http://", "javascript:1", "data:,x"] {
            let refused = redirect(hop(route::Method::Get, "https://a.example/"), 302, to).unwrap_err();
            assert_eq!(refused.kind, FetchFailure::Redirects, "{to}");
        }
        for status in [200, 201, 300, 304, 404] {
            assert!(
                redirect(hop(route::Method::Get, "https://a.example/"), status, "/y").unwrap().is_none(),
                "{status}"
            );
        }
        let bare = hop(route::Method::Get, "https://a.example/").redirected(StatusCode::FOUND, &HeaderMap::new());
        assert!(bare.unwrap().is_none());
    }
}
