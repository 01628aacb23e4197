//! The table of all keys: for each its name, meaning, allowed values, and where its value lives. Reading, checking,
//! rendering and `config.toml.example` all follow from this one table; a new key is one row, a new section one line.
//! The rows themselves: [`daemon`] (the short sections), [`listener`], [`limits`]. The sections of the applications are their own.

pub(crate) mod daemon;
pub(crate) mod limits;
pub(crate) mod listener;

use std::net::IpAddr;
use std::path::Path;

use ipnet::IpNet;

use super::{Config, Secret};
use crate::app::settings::{Access, Key, any, field, switch};
use crate::app::table::Configured;
use crate::base::limit;

/// A TOML table and its keys.
pub(crate) struct Section<T: 'static> {
    /// Dotted, as in `[apps.lab]`.
    pub name: &'static str,
    pub doc: &'static str,
    pub keys: &'static [Key<T>],
}

/// All sections but `[[listener]]`, in the order they are rendered.
pub(crate) const SECTIONS: &[Section<Config>] = &[
    Section { name: "server", doc: "The process.", keys: daemon::SERVER },
    Section { name: "admin", doc: "The operator's listener: /metrics, /health, drain, devices.", keys: daemon::ADMIN },
    Section { name: "auth", doc: "Who clients are.", keys: daemon::AUTH },
    Section { name: "store", doc: "Where state outlives the process.", keys: daemon::STORE },
    Section { name: "limits", doc: LIMITS_DOC, keys: limits::LIMITS },
    Section { name: "upstream", doc: UPSTREAM_DOC, keys: daemon::UPSTREAM },
    Section { name: "log", doc: "What the daemon writes to standard error.", keys: daemon::LOG },
];

/// What every application's section begins with.
pub(crate) const APP: &[Key<Configured>] = &[field!(enabled: switch(), "Whether it is served.")];

const LIMITS_DOC: &str = "What one process, address, user and socket may hold.";

const UPSTREAM_DOC: &str = "Whom applications may ask and dial, and how they are found and trusted.";

fn address(text: &str) -> Result<std::net::SocketAddr, String> {
    text.parse().map_err(|_| "must be an IP address and a port, such as 127.0.0.1:3000 or [::1]:3000".to_owned())
}

fn networks(list: &[String]) -> Result<Vec<IpNet>, String> {
    let networks: Option<Vec<IpNet>> = list.iter().map(|text| network(text)).collect();
    networks.ok_or_else(|| {
        "must be a list of IP addresses and networks, such as \"127.0.0.1\" or \"10.1.0.0/16\"".to_owned()
    })
}

/// A network, or an address, which is a network of one. An IPv4 address in the form of IPv6 never is a peer's.
fn network(text: &str) -> Option<IpNet> {
    let address = || text.parse::<IpAddr>().ok().map(|address| IpNet::from(address.to_canonical()));
    let network = text.parse::<IpNet>().ok().or_else(address)?;
    let is_mapped = matches!(network, IpNet::V6(network) if network.addr().to_ipv4_mapped().is_some());
    (!is_mapped).then(|| network.trunc())
}

/// Networks as they are written.
fn networks_text(networks: &[IpNet]) -> Vec<String> {
    let text = |network: &IpNet| match network.prefix_len() == network.max_prefix_len() {
        true => network.addr().to_string(),
        false => network.to_string(),
    };
    networks.iter().map(text).collect()
}

/// A secret that fits into an HTTP header.
fn for_a_header(at: &mut Secret, secret: Secret) -> Result<(), String> {
    match secret.expose().bytes().all(|byte| byte.is_ascii_graphic()) && secret.expose().len() <= limit::TOKEN_BYTES_MAX
    {
        true => any(at, secret),
        false => Err(format!("must be at most {} visible ASCII characters without spaces", limit::TOKEN_BYTES_MAX)),
    }
}

fn shown(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
