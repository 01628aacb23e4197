//! Layer 7: what the daemon asks of the outside. In come [`Fetch`](crate::app::fetch::Fetch)es as values, out goes what came of
//! them, each once and in bounded time and room; and orders about [`link`](crate::app::link)s that are dialled, out goes what
//! happens to these. All of it happens on one thread of its own, so that none of it slows a shard. It knows no application.
//!
//! Reading order: [`handle`] (the door: submit, order, figures, close) → `places` (who has to wait, who is turned away) →
//! `request` (what may be asked, where a redirect leads) → `client` (one request and its answer), `kept` (whose connections rest) → `connect`
//! (name → judged address → connection), `names`, `judge`, `tls` → `status` (what operators see) → [`link`], with a reading order of its own.
//!
//! Deliberately absent: retries, back-off and breakers (the application's, by the kit), decompression, cookies, proxies, HTTP/2.

mod client;
mod connect;
mod handle;
mod judge;
mod kept;
mod link;
mod names;
mod places;
mod request;
mod status;
mod tls;

#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::path::PathBuf;

use ipnet::IpNet;

pub use self::handle::Upstream;
pub use self::link::links::LinkName;
pub use self::link::side::{Credit, OnLink};
pub use self::status::OnFetched;
pub(crate) use self::tls::install as install_tls;

/// Whom the daemon may ask, and how it finds and trusts them.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Networks that may be asked though they are not public ([`judge`]).
    pub allow: Vec<IpNet>,
    /// Hosts that the configuration of applications names, as URLs or as `host` or `host:port`: wherever they lead, metadata services
    /// excepted.
    pub named: Vec<String>,
    /// Empty: those of `/etc/resolv.conf`.
    pub nameservers: Vec<SocketAddr>,
    /// Names that are asked of nobody; one that cannot be read has none.
    pub hosts: PathBuf,
    /// Roots in PEM form that are trusted beside those in the binary.
    pub ca_file: Option<PathBuf>,
    /// Names of the applications, by their ids.
    pub apps: Vec<&'static str>,
}
