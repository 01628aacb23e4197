//! Web origins as their serialisation has them: `https://app.example`, `http://[::1]:8080`, `capacitor://localhost`. Which of
//! them are admitted is not decided here. Spec: RFC 6454 section 6.2, and the WHATWG URL standard's serialisation of origins.

use core::net::{Ipv4Addr, Ipv6Addr};

/// A tuple origin, in parts; the opaque origin `null` is none.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Origin<'a> {
    pub scheme: &'a str,
    /// An IPv6 address keeps its brackets. Empty for `file://` alone.
    pub host: &'a str,
    /// As it is written; browsers leave a scheme's own port out.
    pub port: Option<u16>,
}

impl<'a> Origin<'a> {
    /// Takes what browsers and the web views of applications send, and nothing that has a path, a user or a wildcard.
    pub(crate) fn parse(text: &'a str) -> Option<Origin<'a>> {
        let (scheme, authority) = text.split_once("://")?;
        let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
        if !scheme.starts_with(|first: char| first.is_ascii_alphabetic()) || !scheme.bytes().all(is_letter) {
            return None;
        }
        if authority.is_empty() && scheme.eq_ignore_ascii_case("file") {
            return Some(Origin { scheme, host: "", port: None });
        }
        let (host, port) = host_and_port(authority)?;
        Some(Origin { scheme, host, port })
    }

    /// Whether the port that is written is the scheme's own, which browsers leave out.
    pub(crate) fn has_default_port(&self) -> bool {
        self.port.is_some() && self.port == default_port(self.scheme)
    }

    /// Whether a page of this origin came from the same host and port as a request whose `Host` is `host`. Behind a proxy that
    /// ends TLS nobody here knows the scheme of the request: a `Host` without a port has that of the page's scheme.
    pub(crate) fn is_of_host(&self, host: &str) -> bool {
        let (Some((name, port)), Some(default)) = (host_and_port(host), default_port(self.scheme)) else {
            return false;
        };
        self.host.eq_ignore_ascii_case(name) && self.port.unwrap_or(default) == port.unwrap_or(default)
    }

    /// Whether it is a page of this machine over HTTP: `localhost`, a name below it, or a loopback address.
    pub(crate) fn is_loopback(&self) -> bool {
        let is_name = |host: &str| {
            let host = host.to_ascii_lowercase();
            host == "localhost" || host.ends_with(".localhost")
        };
        let v6 = || self.host.strip_prefix('[')?.strip_suffix(']')?.parse::<Ipv6Addr>().ok();
        let is_address = self.host.parse::<Ipv4Addr>().is_ok_and(|address| address.is_loopback())
            || v6().is_some_and(|address| address.is_loopback());
        default_port(self.scheme).is_some() && (is_address || is_name(self.host))
    }
}

/// Host and written port of an authority or a `Host` header; `None` for text that is neither.
fn host_and_port(authority: &str) -> Option<(&str, Option<u16>)> {
    // The colons inside the brackets of an IPv6 address are not followed by a port.
    let behind_address = authority.rfind(']').map_or(0, |end| end + 1);
    let (host, port) = match authority[behind_address..].rfind(':') {
        None => (authority, None),
        Some(at) => {
            let (host, port) = authority.split_at(behind_address + at);
            let port = &port[1..];
            let is_number = port.bytes().all(|byte| byte.is_ascii_digit());
            (host, Some(port.parse().ok().filter(|_| is_number)?))
        }
    };
    let is_bracketed =
        host.starts_with('[') && host.ends_with(']') && host[1..host.len() - 1].parse::<Ipv6Addr>().is_ok();
    let is_name = |host: &str| host.bytes().all(|byte| byte.is_ascii_graphic() && !br#"/\?#@*[]:,"<>"#.contains(&byte));
    (!host.is_empty() && (is_bracketed || is_name(host))).then_some((host, port))
}

fn default_port(scheme: &str) -> Option<u16> {
    [("http", 80), ("https", 443)].iter().find(|(name, _)| scheme.eq_ignore_ascii_case(name)).map(|(_, port)| *port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_a_browser_or_a_web_view_serialises_is_read() {
        for (text, scheme, host, port) in [
            ("https://app.example", "https", "app.example", None),
            ("http://10.0.0.4:8080", "http", "10.0.0.4", Some(8080)),
            ("http://[::1]:8080", "http", "[::1]", Some(8080)),
            ("https://[2001:db8::1]", "https", "[2001:db8::1]", None),
            ("https://xn--bcher-kva.example", "https", "xn--bcher-kva.example", None),
            ("http://under_score.example", "http", "under_score.example", None),
            ("capacitor://localhost", "capacitor", "localhost", None),
            ("ionic://localhost", "ionic", "localhost", None),
            ("tauri://localhost", "tauri", "localhost", None),
            ("app://obsidian.md", "app", "obsidian.md", None),
            ("app://.", "app", ".", None),
            ("app://-", "app", "-", None),
            (
                "chrome-extension://aapbdbdomjkkjkaonfhkkikfgjllcleb",
                "chrome-extension",
                "aapbdbdomjkkjkaonfhkkikfgjllcleb",
                None,
            ),
            (
                "moz-extension://2c127fa4-62c7-7e4f-90e5-472b45eecfdc",
                "moz-extension",
                "2c127fa4-62c7-7e4f-90e5-472b45eecfdc",
                None,
            ),
            ("ms-appx-web://publisher.app", "ms-appx-web", "publisher.app", None),
            ("file://", "file", "", None),
        ] {
            assert_eq!(Origin::parse(text), Some(Origin { scheme, host, port }), "{text}");
        }
    }

    #[test]
    fn what_no_browser_sends_is_no_origin() {
        for text in [
            "",
            "null",
            "*",
            "app.example",
            "//app.example",
            "://app.example",
            "https://",
            "app://",
            "https:app.example",
            "https://app.example/",
            "https://app.example?",
            "https://app.example#",
            "https://a.example/path",
            "https://*.example",
            "https://user@app.example",
            "https://app.example:",
            "https://app.example:65536",
            "https://app.example:+1",
            "https://app.example:x",
            "http://::1",
            "http://[::1",
            "http://[::1]x",
            "http://[x]",
            "http://a:1:2",
            "1http://a",
            "ht tp://a",
            "https://a b",
            "https://a.example, https://b.example",
            "https://bücher.example",
        ] {
            assert_eq!(Origin::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_page_is_of_the_host_whose_name_and_port_it_has() {
        for (origin, host, expected) in [
            ("https://panel.example", "panel.example", true),
            ("https://panel.example", "panel.example:443", true),
            ("https://panel.example:443", "panel.example", true),
            ("http://panel.example", "panel.example", true),
            ("http://panel.example", "panel.example:80", true),
            ("https://PANEL.example", "panel.EXAMPLE", true),
            ("https://panel.example:8443", "panel.example:8443", true),
            ("http://panel.example:3000", "panel.example:3000", true),
            ("http://[::1]:3000", "[::1]:3000", true),
            ("http://10.0.0.4:3000", "10.0.0.4:3000", true),
            ("https://panel.example", "panel.example:80", false),
            ("http://panel.example", "panel.example:443", false),
            ("https://panel.example:8443", "panel.example", false),
            ("https://panel.example", "panel.example:8443", false),
            ("https://panel.example.evil.com", "panel.example", false),
            ("https://evil.com", "panel.example", false),
            ("https://panel.example.", "panel.example", false),
            ("http://[::1]:3000", "127.0.0.1:3000", false),
            ("capacitor://localhost", "localhost", false),
            ("file://", "", false),
            ("https://panel.example", "", false),
            ("https://panel.example", "panel.example:", false),
            ("https://panel.example", "user@panel.example", false),
        ] {
            assert_eq!(Origin::parse(origin).unwrap().is_of_host(host), expected, "{origin} at {host}");
        }
    }
}
