//! Which addresses may be asked. What a name leads to, what stands in a URL and what a redirect says are judged alike: somebody
//! else may have written them, and the daemon stands inside the network of its operator.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::app::fetch::{FetchError, FetchFailure};

/// Public addresses, and what the configuration lists or names.
#[derive(Debug)]
pub(super) struct Judge {
    allow: Vec<IpNet>,
    /// Hosts in lower case, and the one port that is meant, if one is.
    named: Vec<(String, Option<u16>)>,
}

impl Judge {
    /// `named` are URLs, hosts with or without a port, or networks; what is none of them names nobody.
    pub(super) fn new(mut allow: Vec<IpNet>, named: &[String]) -> Judge {
        allow.extend(named.iter().filter_map(|text| text.parse::<IpNet>().ok()));
        Judge { allow, named: named.iter().filter_map(|text| host_of(text)).collect() }
    }

    /// Whether the configuration names this host itself: where it leads is its operator's business then.
    fn names(&self, host: &str, port: u16) -> bool {
        let is_it = |(named, only): &(String, Option<u16>)| {
            named.eq_ignore_ascii_case(host) && only.is_none_or(|only| only == port)
        };
        self.named.iter().any(is_it)
    }

    /// Whether an address may be connected to. Of metadata services each has to be listed by itself: a network that contains
    /// one does not mean it.
    pub(super) fn permits(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        if is_metadata(address) {
            return self.allow.contains(&IpNet::from(address));
        }
        carried(address).iter().all(|address| is_public(*address))
            || self.allow.iter().any(|net| net.contains(&address))
    }

    /// Those of a host's addresses that may be connected to.
    pub(super) fn permitted(&self, host: &str, port: u16, addresses: Vec<IpAddr>) -> Result<Vec<IpAddr>, FetchError> {
        let is_named = self.names(host, port);
        let may = |address: &IpAddr| self.permits(*address) || (is_named && !is_metadata(address.to_canonical()));
        let permitted: Vec<IpAddr> = addresses.into_iter().filter(may).collect();
        if permitted.is_empty() {
            let text = format!("{host} leads to addresses that upstream.allow does not list");
            return Err(FetchError::new(FetchFailure::Forbidden, text));
        }
        Ok(permitted)
    }
}

/// The host of a URL, or of `host` or `host:port`, with the port that it says or implies.
fn host_of(text: &str) -> Option<(String, Option<u16>)> {
    let uri: http::Uri = text.parse().ok()?;
    let implied = match uri.scheme_str() {
        Some("https" | "wss") => Some(443),
        Some(_) => Some(80),
        None => None,
    };
    Some((uri.host()?.to_ascii_lowercase(), uri.port_u16().or(implied)))
}

fn is_metadata(address: IpAddr) -> bool {
    METADATA.iter().any(|service| carried(address).contains(service))
}

/// The address, and the IPv4 address that it carries to, where it is one that is translated on its way.
fn carried(address: IpAddr) -> Vec<IpAddr> {
    let IpAddr::V6(v6) = address else { return vec![address] };
    let octets = v6.octets();
    let v4 = |at: usize| Ipv4Addr::new(octets[at], octets[at + 1], octets[at + 2], octets[at + 3]).into();
    if NAT64.contains(&v6) || COMPATIBLE.contains(&v6) {
        return vec![address, v4(12)];
    }
    if SIX_TO_FOUR.contains(&v6) { vec![address, v4(2)] } else { vec![address] }
}

fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => !INNER_V4.iter().any(|net| net.contains(&v4)),
        IpAddr::V6(v6) => !INNER_V6.iter().any(|net| net.contains(&v6)),
    }
}

const fn v4(a: u8, b: u8, c: u8, d: u8, prefix: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix)
}

const fn v6(first: u16, second: u16, prefix: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(first, second, 0, 0, 0, 0, 0, 0), prefix)
}

/// What clouds tell their machines, credentials included: link-local ones, and those that are not.
const METADATA: [IpAddr; 5] = [
    IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)),
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
    IpAddr::V4(Ipv4Addr::new(192, 0, 0, 192)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
];

/// What is no address of somebody else in the internet (the registries of RFC 6890): this host, private, shared, loopback,
/// link-local, protocol assignments, documentation, benchmarks, relays, multicast, reserved.
const INNER_V4: [Ipv4Net; 15] = [
    v4(0, 0, 0, 0, 8),
    v4(10, 0, 0, 0, 8),
    v4(100, 64, 0, 0, 10),
    v4(127, 0, 0, 0, 8),
    v4(169, 254, 0, 0, 16),
    v4(172, 16, 0, 0, 12),
    v4(192, 0, 0, 0, 24),
    v4(192, 0, 2, 0, 24),
    v4(192, 88, 99, 0, 24),
    v4(192, 168, 0, 0, 16),
    v4(198, 18, 0, 0, 15),
    v4(198, 51, 100, 0, 24),
    v4(203, 0, 113, 0, 24),
    v4(224, 0, 0, 0, 4),
    v4(240, 0, 0, 0, 4),
];

/// As [`INNER_V4`]: unspecified and loopback, discard-only, local translation, Teredo, documentation, unique local, link- and
/// site-local, multicast. What only carries an IPv4 address is judged by that one ([`carried`]).
const INNER_V6: [Ipv6Net; 10] = [
    Ipv6Net::new_assert(Ipv6Addr::UNSPECIFIED, 127),
    v6(0x100, 0, 64),
    Ipv6Net::new_assert(Ipv6Addr::new(0x64, 0xff9b, 1, 0, 0, 0, 0, 0), 48),
    v6(0x2001, 0, 32),
    v6(0x2001, 0xdb8, 32),
    v6(0x3fff, 0, 20),
    v6(0xfc00, 0, 7),
    v6(0xfe80, 0, 10),
    v6(0xfec0, 0, 10),
    v6(0xff00, 0, 8),
];

const NAT64: Ipv6Net = v6(0x64, 0xff9b, 96);
const COMPATIBLE: Ipv6Net = Ipv6Net::new_assert(Ipv6Addr::UNSPECIFIED, 96);
const SIX_TO_FOUR: Ipv6Net = v6(0x2002, 0, 16);

#[cfg(test)]
mod tests {
    use super::*;

    fn check(allow: &[&str], address: &str, permitted: bool) {
        let judge = Judge::new(allow.iter().map(|net| net.parse().unwrap()).collect(), &[]);
        assert_eq!(judge.permits(address.parse().unwrap()), permitted, "{address} with {allow:?}");
    }

    #[test]
    fn public_addresses_are_permitted_and_inner_ones_are_not() {
        for address in
            ["1.1.1.1", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "2002:101:101::1", "64:ff9b::101:101"]
        {
            check(&[], address, true);
        }
        for address in [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "127.0.0.1",
            "127.9.9.9",
            "169.254.1.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "198.18.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "fc00::1",
            "fd12::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "2001::1",
            "2001:db8::1",
            "64:ff9b:1::1",
        ] {
            check(&[], address, false);
        }
    }

    #[test]
    fn an_inner_address_that_is_carried_in_another_one_is_an_inner_one() {
        for address in [
            "::ffff:10.0.0.1",
            "::ffff:169.254.169.254",
            "64:ff9b::a00:1",
            "64:ff9b::a9fe:a9fe",
            "2002:a00:1::1",
            "::7f00:1",
        ] {
            check(&[], address, false);
        }
    }

    #[test]
    fn what_is_listed_is_permitted_and_nothing_beside_it() {
        check(&["10.1.0.0/16"], "10.1.2.3", true);
        check(&["10.1.0.0/16"], "::ffff:10.1.2.3", true);
        check(&["10.1.0.0/16"], "10.2.2.3", false);
        check(&["127.0.0.1/32", "::1/128"], "::1", true);
        check(&["127.0.0.1/32"], "127.0.0.2", false);
    }

    #[test]
    fn a_metadata_service_is_listed_by_itself_or_not_at_all() {
        for (service, net) in [
            ("169.254.169.254", "169.254.0.0/16"),
            ("fd00:ec2::254", "fd00::/8"),
            ("100.100.100.200", "100.64.0.0/10"),
            ("168.63.129.16", "0.0.0.0/0"),
            ("64:ff9b::a9fe:a9fe", "::/0"),
        ] {
            check(&[], service, false);
            check(&[net], service, false);
            check(&[&format!("{service}/{}", if service.contains(':') { 128 } else { 32 })], service, true);
        }
    }

    #[test]
    fn a_network_that_the_configuration_names_is_as_good_as_listed() {
        let judge = Judge::new(Vec::new(), &["10.1.0.0/16".to_owned(), "169.254.0.0/16".to_owned()]);
        for (address, may) in [("10.1.2.3", true), ("10.2.0.1", false), ("169.254.169.254", false)] {
            assert_eq!(judge.permits(address.parse().unwrap()), may, "{address}");
        }
    }

    #[test]
    fn a_host_that_the_configuration_names_may_lead_inside_at_the_port_it_says() {
        let named =
            ["http://127.0.0.1:9000/hook", "https://Hooks.Example/x", "files.example", "10.0.0.7:81", "[::1]:8"];
        let judge = Judge::new(Vec::new(), &named.map(str::to_owned));
        let metadata = "169.254.169.254";
        for (host, port, address, permitted) in [
            ("127.0.0.1", 9000, "127.0.0.1", true),
            ("127.0.0.1", 9001, "127.0.0.1", false),
            ("localhost", 9000, "127.0.0.1", false),
            ("hooks.example", 443, "10.1.1.1", true),
            ("hooks.example", 80, "10.1.1.1", false),
            ("hooks.example", 443, metadata, false),
            ("FILES.example", 1234, "192.168.0.9", true),
            ("10.0.0.7", 81, "10.0.0.7", true),
            ("[::1]", 8, "::1", true),
            ("[::1]", 9, "::1", false),
            ("other.example", 443, "10.1.1.1", false),
        ] {
            let permits = judge.permitted(host, port, vec![address.parse().unwrap()]).is_ok();
            assert_eq!(permits, permitted, "{host}:{port} at {address}");
        }
    }
}
