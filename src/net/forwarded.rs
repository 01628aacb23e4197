//! The client of a request, where proxies stand in between. A listener lists the proxies it trusts; what `X-Forwarded-For` and `Forwarded`
//! say is read from these only. Each proxy writes the address it was asked by on the right of what it was told: the
//! right-most address that is not trusted is the client, and what stands left of it is the client's own invention.
//! Spec: RFC 7239; `X-Forwarded-For` as nginx, HAProxy and Apache write it.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use hyper::header::{self, HeaderMap, HeaderName};
use ipnet::IpNet;

use super::guard::{self, Guard, Place};

/// The proxies before one listener, as far as it knows them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Proxies {
    pub trusted: Vec<IpNet>,
    /// A connection of a trusted proxy begins with a head of the PROXY protocol.
    pub proxy_protocol: bool,
    /// Nobody may come through a proxy, since whoever can connect is trusted: why, and what mends it.
    pub closed: Option<&'static str>,
}

/// Why a request is refused because of what it says about proxies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Refused {
    /// It came through a proxy where nobody may ([`Proxies::closed`]).
    Closed(&'static str),
    /// `Forwarded` is not what RFC 7239 says.
    Malformed,
    /// `X-Forwarded-For` and `Forwarded` name two clients. The proxy writes one of them, and the other one is its client's.
    Contradiction,
}

impl Refused {
    pub(crate) fn status(self) -> u16 {
        match self {
            Refused::Closed(_) => 403,
            Refused::Malformed | Refused::Contradiction => 400,
        }
    }

    pub(crate) fn sentence(self) -> &'static str {
        match self {
            Refused::Closed(why) => why,
            Refused::Malformed => "The header Forwarded is malformed",
            Refused::Contradiction => {
                "X-Forwarded-For and Forwarded name two clients; let the proxy remove the one it does not write"
            }
        }
    }
}

impl Proxies {
    pub(crate) fn trusts(&self, ip: IpAddr) -> bool {
        self.trusted.iter().any(|network| network.contains(&ip))
    }

    /// Whether a connection from `peer` has to begin with a PROXY head.
    pub(crate) fn announces(&self, peer: IpAddr) -> bool {
        self.proxy_protocol && self.trusts(peer)
    }

    /// Admits a new connection from `peer`: one of a proxy is nobody's yet.
    pub(crate) fn admit(&self, guard: &Arc<Guard>, peer: IpAddr) -> Result<Place, guard::Refused> {
        if self.trusts(peer) { guard.admit_proxy() } else { guard.admit(peer) }
    }

    /// Refuses a request that came through a proxy, where none may.
    pub(crate) fn check(&self, headers: &HeaderMap) -> Result<(), Refused> {
        match self.closed {
            Some(why) if headers.keys().any(is_of_a_proxy) => Err(Refused::Closed(why)),
            _ => Ok(()),
        }
    }

    /// The address of the client that sent a request with these headers, on a connection from `peer`.
    pub(crate) fn client(&self, peer: IpAddr, headers: &HeaderMap) -> Result<IpAddr, Refused> {
        if !self.trusts(peer) {
            return Ok(peer);
        }
        let listed = headers.contains_key(X_FORWARDED_FOR).then(|| self.right_most(peer, listed(headers)));
        let forwarded = match headers.contains_key(header::FORWARDED) {
            true => Some(self.right_most(peer, elements(headers).ok_or(Refused::Malformed)?.into_iter().rev())),
            false => None,
        };
        match (listed, forwarded) {
            (Some(one), Some(other)) if one != other => Err(Refused::Contradiction),
            (one, other) => Ok(one.or(other).unwrap_or(peer)),
        }
    }

    /// Which host and port a request is for: what the client asked the proxy for, where it says so, else its `Host`. Two of
    /// either are none.
    pub(crate) fn host<'a>(&self, peer: IpAddr, headers: &'a HeaderMap) -> Option<&'a str> {
        match self.trusts(peer) && headers.contains_key(X_FORWARDED_HOST) {
            true => only(headers, &X_FORWARDED_HOST),
            false => only(headers, &header::HOST),
        }
    }

    /// Walks from `peer` to the left. A proxy that names nobody, or by no address, counts itself.
    fn right_most(&self, peer: IpAddr, nodes: impl Iterator<Item = Option<IpAddr>>) -> IpAddr {
        let mut client = peer;
        for node in nodes {
            let Some(ip) = node else { break };
            client = ip;
            if !self.trusts(ip) {
                break;
            }
        }
        client
    }
}

/// The value of a header that is there exactly once.
pub(crate) fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}

/// Headers that proxies add.
fn is_of_a_proxy(name: &HeaderName) -> bool {
    name.as_str().starts_with("x-forwarded-") || matches!(name.as_str(), "forwarded" | "x-real-ip" | "via")
}

/// The addresses of `X-Forwarded-For` from the right; several headers are one list.
fn listed(headers: &HeaderMap) -> impl Iterator<Item = Option<IpAddr>> {
    let values = headers.get_all(X_FORWARDED_FOR).iter().rev();
    let entries = values.flat_map(|value| value.as_bytes().rsplit(|byte| *byte == b',')).map(<[u8]>::trim_ascii);
    entries.filter(|entry| !entry.is_empty()).map(|entry| address(std::str::from_utf8(entry).ok()?))
}

/// An address with or without a port: `192.0.2.1`, `192.0.2.1:4711`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:4711`.
fn address(text: &str) -> Option<IpAddr> {
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok().filter(IpAddr::is_ipv6);
    let ip = text.parse::<IpAddr>().ok().or_else(bracketed);
    ip.or_else(|| Some(text.parse::<SocketAddr>().ok()?.ip())).map(|ip| ip.to_canonical())
}

/// Whom each element of `Forwarded` names, from the left; the outer `None`: a header is malformed. A client that leaves a
/// quote open, so that it swallows what the proxy appends, ends here.
fn elements(headers: &HeaderMap) -> Option<Vec<Option<IpAddr>>> {
    let mut out = Vec::new();
    for value in headers.get_all(header::FORWARDED) {
        let mut rest = value.to_str().ok()?.trim_ascii_start();
        while !rest.is_empty() {
            match rest.strip_prefix(',') {
                Some(after) => rest = after.trim_ascii_start(),
                None => {
                    let client;
                    (client, rest) = element(rest)?;
                    out.push(client);
                }
            }
        }
    }
    Some(out)
}

/// One element at the start of `text`, and what follows it: a comma or nothing.
fn element(text: &str) -> Option<(Option<IpAddr>, &str)> {
    let (mut node, mut rest) = (None, text);
    loop {
        let (name, after) = rest.split_once('=')?;
        if name.is_empty() || !name.bytes().all(is_token_byte) {
            return None;
        }
        let (value, after) = value(after)?;
        if name.eq_ignore_ascii_case("for") && node.replace(value).is_some() {
            return None;
        }
        rest = after.trim_ascii_start();
        match rest.strip_prefix(';') {
            Some(after) => rest = after.trim_ascii_start(),
            None if rest.is_empty() || rest.starts_with(',') => return Some((node.and_then(address), rest)),
            None => return None,
        }
    }
}

/// A quoted string or a token at the start of `text`, and what follows it. Some proxies forget the quotes around an address
/// with colons and brackets. No address has anything to escape, so escapes are left as they are.
fn value(text: &str) -> Option<(&str, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(|byte| !is_token_byte(byte as u8) && !":[]".contains(byte)).unwrap_or(text.len());
        return (end > 0).then(|| text.split_at(end));
    };
    let mut escaped = false;
    let end = quoted.bytes().position(|byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    })?;
    Some((&quoted[..end], &quoted[end + 1..]))
}

/// RFC 9110 section 5.6.2.
pub(crate) fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::HeaderValue;
    use proptest::prelude::*;

    const PROXY: &str = "10.0.0.1";

    fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        headers
    }

    fn proxies() -> Proxies {
        let trusted = ["10.0.0.0/8", "2001:db8:ff::/48"].map(|network| network.parse().unwrap());
        Proxies { trusted: trusted.to_vec(), ..Proxies::default() }
    }

    fn client(peer: &str, fields: &[(&'static str, &str)]) -> Result<String, Refused> {
        proxies().client(peer.parse().unwrap(), &headers(fields)).map(|ip| ip.to_string())
    }

    #[test]
    fn who_is_not_listed_says_nothing_about_others() {
        for fields in [
            &[][..],
            &[("x-forwarded-for", "192.0.2.1")],
            &[("forwarded", "for=192.0.2.1")],
            &[("forwarded", "for=\"")],
            &[("x-forwarded-for", "192.0.2.1"), ("forwarded", "for=192.0.2.2")],
        ] {
            assert_eq!(client("203.0.113.9", fields), Ok("203.0.113.9".to_owned()), "{fields:?}");
        }
    }

    #[test]
    fn the_right_most_address_that_is_not_trusted_is_the_client() {
        for (values, expected) in [
            (&["192.0.2.1"][..], "192.0.2.1"),
            (&["192.0.2.1, 10.0.0.2"], "192.0.2.1"),
            (&["1.1.1.1, 192.0.2.1, 10.0.0.2 ,10.0.0.3"], "192.0.2.1"),
            // The client wrote what is left of it, and that it is trusted.
            (&["10.9.9.9, 192.0.2.1"], "192.0.2.1"),
            (&["10.9.9.9", "192.0.2.1"], "192.0.2.1"),
            (&["192.0.2.1", "10.0.0.2"], "192.0.2.1"),
            (&["192.0.2.1", ""], "192.0.2.1"),
            (&["10.0.0.7, 10.0.0.2"], "10.0.0.7"),
            (&["192.0.2.1:4711"], "192.0.2.1"),
            (&["2001:db8::1"], "2001:db8::1"),
            (&["[2001:db8::1]:4711"], "2001:db8::1"),
            (&["[2001:db8::1], 2001:db8:ff::7"], "2001:db8::1"),
            (&["::ffff:192.0.2.1, ::ffff:10.0.0.2"], "192.0.2.1"),
        ] {
            let fields: Vec<_> = values.iter().map(|value| ("x-forwarded-for", *value)).collect();
            assert_eq!(client(PROXY, &fields), Ok(expected.to_owned()), "{values:?}");
        }
        assert_eq!(client(PROXY, &[]), Ok(PROXY.to_owned()), "a proxy that names nobody counts itself");
    }

    #[test]
    fn where_a_list_is_no_list_of_addresses_the_last_proxy_known_counts() {
        for (value, expected) in [
            ("", PROXY),
            (" , ,", PROXY),
            ("unknown", PROXY),
            ("192.0.2.1, unknown, 10.0.0.2", "10.0.0.2"),
            ("192.0.2.256", PROXY),
            ("192.0.2.1:", PROXY),
            ("192.0.2.1:99999", PROXY),
            ("[192.0.2.1]", PROXY),
            ("192.0.2.1 10.0.0.2", PROXY),
            ("fe80::1%eth0", PROXY),
            ("\"192.0.2.1\"", PROXY),
            ("192.0.2.1;", PROXY),
            ("0x7f.1", PROXY),
            ("\u{e9}\u{fe0f}", PROXY),
            ("192.0.2.9,\u{e9}, 192.0.2.1", "192.0.2.1"),
        ] {
            assert_eq!(client(PROXY, &[("x-forwarded-for", value)]), Ok(expected.to_owned()), "{value}");
        }
        let giant = "10.0.0.2,".repeat(1_800);
        assert_eq!(client(PROXY, &[("x-forwarded-for", &giant)]), Ok("10.0.0.2".to_owned()));
    }

    #[test]
    fn forwarded_is_read_likewise() {
        for (values, expected) in [
            (&["for=192.0.2.1"][..], "192.0.2.1"),
            (&["For=192.0.2.1;proto=https;by=10.0.0.2"], "192.0.2.1"),
            (&["proto=https;host=\"a,b;c\";for=\"192.0.2.1:4711\""], "192.0.2.1"),
            (&["for=1.1.1.1, for=192.0.2.1,for=10.0.0.2"], "192.0.2.1"),
            (&["for=1.1.1.1", "for=192.0.2.1", "for=10.0.0.2"], "192.0.2.1"),
            (&["for=\"[2001:db8::1]:4711\""], "2001:db8::1"),
            (&["for=[2001:db8::1]:4711"], "2001:db8::1"),
            (&["for=192.0.2.1 ; proto=http , for=10.0.0.2"], "192.0.2.1"),
            (&[", for=192.0.2.1,,"], "192.0.2.1"),
            (&["for=192.0.2.1;host=\"a\\\", for=1.1.1.1\""], "192.0.2.1"),
            // A proxy that hides whom it serves, or forgets to say it.
            (&["for=unknown"], PROXY),
            (&["for=_hidden, for=10.0.0.2"], "10.0.0.2"),
            (&["for=192.0.2.1, proto=https"], PROXY),
            (&[""], PROXY),
        ] {
            let fields: Vec<_> = values.iter().map(|value| ("forwarded", *value)).collect();
            assert_eq!(client(PROXY, &fields), Ok(expected.to_owned()), "{values:?}");
        }
    }

    #[test]
    fn a_forwarded_header_that_is_none_refuses_the_request() {
        for value in [
            "for",
            "for=",
            "=192.0.2.1",
            "for=192.0.2.1;",
            "for=192.0.2.1 proto=https",
            "for=192.0.2.1;for=1.1.1.1",
            "for=\"192.0.2.1",
            "for=\"192.0.2.1\\\"",
            "for=\"a\"b",
            "fo r=192.0.2.1",
            "for=192.0.2.1;;proto=https",
            "for=\u{e9}",
            "192.0.2.1",
            "for=<script>",
            // What a client leaves open, and what its proxy appends.
            "for=\"1.1.1.1, for=192.0.2.1",
            "for=\"1.1.1.1, for=\"[2001:db8::1]:4711\"",
            "for=1.1.1.1;x=\"\\, for=\"[2001:db8::1]\"",
        ] {
            assert_eq!(client(PROXY, &[("forwarded", value)]), Err(Refused::Malformed), "{value}");
        }
    }

    #[test]
    fn a_header_that_the_proxy_does_not_write_cannot_name_another_client() {
        let both = |listed, forwarded| client(PROXY, &[("x-forwarded-for", listed), ("forwarded", forwarded)]);
        assert_eq!(both("192.0.2.1", "for=192.0.2.1"), Ok("192.0.2.1".to_owned()));
        assert_eq!(both("192.0.2.1", "for=192.0.2.2"), Err(Refused::Contradiction));
        assert_eq!(both("unknown", "for=192.0.2.2"), Err(Refused::Contradiction));
        assert_eq!(both("192.0.2.1", "for=\""), Err(Refused::Malformed));
    }

    #[test]
    fn the_host_that_the_client_asked_for_is_the_one_that_the_proxy_names() {
        for (peer, fields, expected) in [
            (PROXY, &[("host", "siod:3000"), ("x-forwarded-host", "panel.example")][..], Some("panel.example")),
            (PROXY, &[("host", "panel.example")], Some("panel.example")),
            ("192.0.2.1", &[("host", "siod:3000"), ("x-forwarded-host", "panel.example")], Some("siod:3000")),
            (PROXY, &[("host", "a"), ("x-forwarded-host", "b"), ("x-forwarded-host", "b")], None),
            (PROXY, &[("host", "a"), ("x-forwarded-host", "\u{e9}")], None),
            (PROXY, &[("host", "a"), ("host", "b")], None),
            (PROXY, &[], None),
        ] {
            assert_eq!(proxies().host(peer.parse().unwrap(), &headers(fields)), expected, "{peer} {fields:?}");
        }
    }

    #[test]
    fn in_development_what_a_proxy_has_touched_is_refused() {
        let development = Proxies { closed: Some("why"), ..proxies() };
        for name in ["x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "forwarded", "x-real-ip", "via"] {
            assert_eq!(development.check(&headers(&[(name, "")])), Err(Refused::Closed("why")), "{name}");
            assert_eq!(proxies().check(&headers(&[(name, "")])), Ok(()), "{name}");
        }
        assert_eq!(development.check(&headers(&[("host", "127.0.0.1"), ("x-forward", "a")])), Ok(()));
    }

    proptest! {
        /// Whatever a client puts before it, in however many pieces: what the proxy appends decides, or the request is refused.
        #[test]
        fn nobody_is_taken_for_somebody_else(said in "[ -~]{0,60}", more in "[ -~]{0,20}") {
            for (name, appended) in [("x-forwarded-for", "192.0.2.1"), ("forwarded", "for=192.0.2.1")] {
                let client = client(PROXY, &[(name, &more), (name, &format!("{said}, {appended}"))]);
                let refused = name == "forwarded" && client == Err(Refused::Malformed);
                prop_assert!(refused || client == Ok("192.0.2.1".to_owned()), "{client:?}");
            }
            let quoted = client(PROXY, &[("forwarded", &format!("{said}, for=\"[2001:db8::1]:4711\""))]);
            prop_assert!(matches!(&quoted, Err(Refused::Malformed)) || quoted == Ok("2001:db8::1".to_owned()), "{quoted:?}");
        }
    }
}
