//! Origins: which pages may talk to a listener, over polling and over WebSocket alike, and what their browsers are told.
//! Spec: PROTOCOL 9; the Fetch standard's CORS protocol. A foreign origin is refused, not just left without headers.

use hyper::HeaderMap;
use hyper::header::{self, HeaderName, HeaderValue};

use crate::base::origin;

/// Whom a listener admits.
#[derive(Clone, Debug, Default)]
pub(crate) struct Origins {
    /// Every origin.
    pub any: bool,
    /// Exactly these, as browsers write them (`null` included), compared without regard to case.
    pub listed: Vec<String>,
    /// Pages on this machine, on any port: development only.
    pub loopback: bool,
    /// Pages of the host and port that the request is for, whatever their scheme. Never in development, where a token is no
    /// obstacle: a stranger's name may be made to point to this machine (DNS rebinding), and is in `Host` and `Origin` alike.
    pub same_host: bool,
}

/// The origin of a request, as far as it matters.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Origin {
    /// Not a browser's cross-origin request: no header.
    None,
    /// Admitted because it is listed; reflected in the answer.
    Admitted(HeaderValue),
    /// Admitted like every other one: answered `*`, which browsers take without credentials only.
    Anyone,
    Foreign,
}

impl Origins {
    /// Judges the `Origin` header; more than one is foreign. `host` says which host and port the request is for.
    pub(crate) fn judge<'a>(&self, headers: &HeaderMap, host: impl FnOnce() -> Option<&'a str>) -> Origin {
        let mut values = headers.get_all(header::ORIGIN).iter();
        match (values.next(), values.next()) {
            (None, _) => Origin::None,
            (Some(_), None) if self.any => Origin::Anyone,
            (Some(value), None) if self.admits(value, host) => Origin::Admitted(value.clone()),
            _ => Origin::Foreign,
        }
    }

    fn admits<'a>(&self, value: &HeaderValue, host: impl FnOnce() -> Option<&'a str>) -> bool {
        let Ok(text) = value.to_str() else { return false };
        if self.listed.iter().any(|listed| listed.eq_ignore_ascii_case(text)) {
            return true;
        }
        let Some(origin) = origin::Origin::parse(text) else { return false };
        self.loopback && origin.is_loopback() || self.same_host && host().is_some_and(|host| origin.is_of_host(host))
    }
}

impl Origin {
    /// Adds what the browser needs to let its page read an answer.
    pub(crate) fn write(&self, headers: &mut HeaderMap) {
        match self {
            Origin::Anyone => {
                headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
            }
            Origin::Admitted(origin) => {
                headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
                headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
                headers.append(header::VARY, HeaderValue::from_static("Origin"));
            }
            Origin::None | Origin::Foreign => {}
        }
    }

    /// Adds what a preflight asks: methods, and the headers it named.
    pub(crate) fn write_preflight(&self, asked: &HeaderMap, headers: &mut HeaderMap) {
        self.write(headers);
        const METHODS: HeaderValue = HeaderValue::from_static("GET,HEAD,PUT,PATCH,POST,DELETE");
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, METHODS);
        const NAMED: HeaderName = header::ACCESS_CONTROL_REQUEST_HEADERS;
        if let Some(named) = asked.get(NAMED) {
            headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, named.clone());
            headers.append(header::VARY, HeaderValue::from_static("Access-Control-Request-Headers"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::forwarded::only;
    use super::*;

    fn judge(origins: &Origins, values: &[&str]) -> &'static str {
        judge_at(origins, values, &["panel.example"])
    }

    fn judge_at(origins: &Origins, values: &[&str], hosts: &[&str]) -> &'static str {
        let mut headers = HeaderMap::new();
        for host in hosts {
            headers.append(header::HOST, HeaderValue::from_str(host).unwrap());
        }
        for value in values {
            headers.append(header::ORIGIN, HeaderValue::from_str(value).unwrap());
        }
        match origins.judge(&headers, || only(&headers, &header::HOST)) {
            Origin::None => "none",
            Origin::Admitted(_) | Origin::Anyone => "admitted",
            Origin::Foreign => "foreign",
        }
    }

    #[test]
    fn t01_only_the_exact_origin_is_admitted() {
        let origins = Origins { listed: vec!["https://good.com".into()], ..Origins::default() };
        for (value, expected) in [
            ("https://good.com", "admitted"),
            ("https://GOOD.com", "admitted"),
            ("http://good.com", "foreign"),
            ("https://good.com:8443", "foreign"),
            ("https://good.com.evil.com", "foreign"),
            ("https://evilgood.com", "foreign"),
            ("https://good.com.", "foreign"),
            ("https://good.com@evil.com", "foreign"),
            ("https://xn--good-.com", "foreign"),
            ("null", "foreign"),
            ("", "foreign"),
            ("http://localhost:3000", "foreign"),
        ] {
            assert_eq!(judge(&origins, &[value]), expected, "{value}");
        }
        assert_eq!(judge(&origins, &[]), "none");
        assert_eq!(judge(&origins, &["https://good.com", "https://good.com"]), "foreign");
    }

    #[test]
    fn development_admits_pages_of_this_machine_only() {
        let origins = Origins { loopback: true, ..Origins::default() };
        for (value, expected) in [
            ("http://localhost:8080", "admitted"),
            ("https://127.0.0.1", "admitted"),
            ("http://[::1]:3000", "admitted"),
            ("http://127.8.8.8:5173", "admitted"),
            ("http://shop.localhost:5173", "admitted"),
            ("https://LOCALHOST", "admitted"),
            ("http://panel.example", "foreign"),
            ("http://notlocalhost", "foreign"),
            ("http://localhost.evil.com", "foreign"),
            ("http://localhost:80@evil.com", "foreign"),
            ("http://127.0.0.1.nip.io", "foreign"),
            ("file://localhost", "foreign"),
            ("capacitor://localhost", "foreign"),
        ] {
            assert_eq!(judge(&origins, &[value]), expected, "{value}");
        }
    }

    #[test]
    fn t01_a_page_of_the_same_host_is_not_foreign_in_production() {
        let production = Origins { same_host: true, ..Origins::default() };
        for (values, hosts, expected) in [
            (&["https://panel.example"][..], &["panel.example"][..], "admitted"),
            (&["https://panel.example"], &["panel.example:443"], "admitted"),
            (&["http://panel.example:3000"], &["panel.example:3000"], "admitted"),
            (&["https://evil.example"], &["panel.example"], "foreign"),
            (&["https://panel.example"], &["panel.example", "panel.example"], "foreign"),
            (&["https://panel.example", "https://panel.example"], &["panel.example"], "foreign"),
            (&["https://panel.example"], &[], "foreign"),
            (&["null"], &["null"], "foreign"),
            (&["http://localhost:5173"], &["localhost:3000"], "foreign"),
        ] {
            assert_eq!(judge_at(&production, values, hosts), expected, "{values:?} at {hosts:?}");
        }
    }

    #[test]
    fn every_origin_that_can_be_listed_is_admitted_and_no_other_for_it() {
        for listed in ["capacitor://localhost", "app://obsidian.md", "http://[::1]:8080", "null", "file://"] {
            let origins = Origins { listed: vec![listed.to_owned()], ..Origins::default() };
            assert_eq!(judge(&origins, &[listed]), "admitted");
            for other in
                ["capacitor://evil", "app://obsidian.md.evil", "http://[::1]:8081", "https://localhost", "file:"]
            {
                assert_eq!(judge(&origins, &[other]), "foreign", "{other} for {listed}");
            }
        }
    }

    #[test]
    fn t02_a_listed_origin_is_reflected_and_a_star_never_goes_with_credentials() {
        let listed = Origins { listed: vec!["https://a.example".into()], ..Origins::default() };
        let any = Origins { any: true, ..Origins::default() };
        let mut asked = HeaderMap::new();
        asked.insert(header::ORIGIN, HeaderValue::from_static("https://a.example"));
        asked.insert(header::ACCESS_CONTROL_REQUEST_HEADERS, HeaderValue::from_static("authorization,x-a"));
        let (mut headers, mut of_any) = (HeaderMap::new(), HeaderMap::new());
        listed.judge(&asked, || None).write_preflight(&asked, &mut headers);
        assert_eq!(headers[header::ACCESS_CONTROL_ALLOW_ORIGIN], "https://a.example");
        assert_eq!(headers[header::ACCESS_CONTROL_ALLOW_CREDENTIALS], "true");
        assert_eq!(headers[header::ACCESS_CONTROL_ALLOW_HEADERS], "authorization,x-a");
        assert_eq!(headers.get_all(header::VARY).iter().count(), 2);
        any.judge(&asked, || None).write_preflight(&asked, &mut of_any);
        assert_eq!(of_any[header::ACCESS_CONTROL_ALLOW_HEADERS], "authorization,x-a");
        assert_eq!(of_any[header::ACCESS_CONTROL_ALLOW_ORIGIN], "*");
        assert!(!of_any.contains_key(header::ACCESS_CONTROL_ALLOW_CREDENTIALS));
    }
}
