//! From a host's name to its addresses, without the system's resolver, whose plug-ins a static binary cannot load. First
//! `/etc/hosts`, then the nameservers, whose answers are kept for as long as they say.

use std::fs::File;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hickory_resolver::config::{LookupIpStrategy, NameServerConfig, ResolveHosts, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::{Hosts, TokioResolver};

use super::Settings;
use crate::app::fetch::{FetchError, FetchFailure};

pub(super) struct Names {
    resolver: TokioResolver,
}

impl Names {
    /// Reads the files once; who changes them starts the daemon again.
    pub(super) fn new(settings: &Settings) -> Result<Names, String> {
        let mut builder = match TokioResolver::builder_tokio() {
            Ok(builder) if settings.nameservers.is_empty() => builder,
            _ => TokioResolver::builder_with_config(servers(&settings.nameservers), TokioRuntimeProvider::default()),
        };
        let options = builder.options_mut();
        options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
        options.use_hosts_file = ResolveHosts::Always;
        options.positive_max_ttl = Some(KEPT_MAX);
        options.negative_max_ttl = Some(KEPT_NEGATIVE_MAX);
        let mut resolver = builder.build().map_err(|error| format!("names cannot be resolved: {error}"))?;
        resolver.set_hosts(Arc::new(hosts(&settings.hosts)));
        Ok(Names { resolver })
    }

    /// All addresses of a host, at least one; those that stand in the URL as they are.
    pub(super) async fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, FetchError> {
        let literal = host.trim_start_matches('[').trim_end_matches(']');
        if let Ok(address) = literal.parse() {
            return Ok(vec![address]);
        }
        let unknown = || FetchError::new(FetchFailure::Dns, format!("{host} does not resolve"));
        let found = self.resolver.lookup_ip(host).await.map_err(|_| unknown())?;
        let addresses: Vec<IpAddr> = found.iter().collect();
        if addresses.is_empty() { Err(unknown()) } else { Ok(addresses) }
    }
}

/// Where nothing else is said there is one on this host, as `resolv.conf(5)` has it.
fn servers(listed: &[SocketAddr]) -> ResolverConfig {
    let own = [SocketAddr::from((Ipv4Addr::LOCALHOST, 53))];
    let listed = if listed.is_empty() { &own } else { listed };
    let server = |address: &SocketAddr| {
        let mut server = NameServerConfig::udp_and_tcp(address.ip());
        server.connections.iter_mut().for_each(|connection| connection.port = address.port());
        server
    };
    ResolverConfig::from_parts(None, Vec::new(), listed.iter().map(server).collect())
}

fn hosts(path: &Path) -> Hosts {
    let mut hosts = Hosts::default();
    if let Ok(file) = File::open(path) {
        // A line that cannot be read ends the reading; what stands above it is known.
        let _ = hosts.read_hosts_conf(file);
    }
    hosts
}

/// How long an answer is kept at most, whatever it says, and how long that there is none.
const KEPT_MAX: Duration = Duration::from_secs(300);
const KEPT_NEGATIVE_MAX: Duration = Duration::from_secs(10);
