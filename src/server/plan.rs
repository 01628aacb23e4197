//! What the configuration means to the cores: which namespaces there are, which application each of them is, what every
//! path of every address offers. The fixture is a plan of its own.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::memory;
use crate::api;
use crate::app::Application;
use crate::app::identity::{AuthSettings, Authenticator};
use crate::app::link::paths::LinkPaths;
use crate::app::table::{Configured, Row};
use crate::base::hex::hex;
use crate::base::ids::{AppId, ListenerId, NspId, NspIndex};
use crate::base::limit::{EngineLimits, Limits};
use crate::base::secret::Secret;
use crate::config::{self, AuthMode, Config, Cors};
use crate::hub::namespace::Namespaces;
use crate::net::core::{Listening, Route};
use crate::net::cors::Origins;
use crate::net::forwarded::Proxies;
use crate::net::listen::Address;
use crate::shard::ShardConfig;
use crate::shard::dialects::Dialects;
use crate::shard::io::Service;
use crate::shard::placement::Placement;
use crate::store;
use crate::upstream;

/// Everything that is fixed before the first thread starts.
pub(crate) struct Plan {
    pub shard_config: Arc<ShardConfig>,
    pub listeners: Vec<PlannedListener>,
    pub apps: Vec<PlannedApp>,
    pub admin_bind: Option<Address>,
    pub admin_token: crate::base::secret::Secret,
    pub admin_proxies: Proxies,
    pub store: store::Settings,
    pub upstream: upstream::Settings,
    pub drain_delay_s: u64,
    pub drain_timeout_s: u64,
    pub client_dir: Option<PathBuf>,
    pub dev: bool,
}

/// One listening address.
pub(crate) struct PlannedListener {
    pub bind: Address,
    pub root: Option<&'static str>,
    /// Of the root.
    pub dialect: Option<&'static str>,
    pub routes: Vec<Route>,
    pub origins: Origins,
    pub proxies: Proxies,
    pub static_root: Option<Arc<api::static_root::Root>>,
}

/// One application and its namespaces.
pub(crate) struct PlannedApp {
    pub app: Configured,
    pub namespaces: Vec<String>,
}

impl Plan {
    /// The plan of a configuration that has been checked.
    pub(crate) fn of(config: &Config) -> Result<Plan, String> {
        let apps = enabled_apps(config);
        let namespaces = Namespaces::new(apps.iter().map(|app| app.namespaces.clone()));
        let root_of = |name: &str| Some(namespaces.id(app_id(&apps, name)?, NspIndex(0)));
        let dev = config.auth.mode == AuthMode::Dev;
        let listeners = config.listeners.iter().enumerate().map(|(index, listener)| {
            Ok(PlannedListener {
                bind: Address { addr: listener.bind, ipv6_only: listener.ipv6_only },
                root: listener.root,
                dialect: listener.dialect,
                routes: routes(listener, ListenerId(index as u16), root_of),
                origins: origins(listener, &apps, dev),
                proxies: proxies(&listener.proxies, dev.then_some(CLOSED_IN_DEVELOPMENT)),
                static_root: listener.static_root.as_deref().map(static_root).transpose()?,
            })
        });
        let listeners = listeners.collect::<Result<Vec<PlannedListener>, String>>()?;
        let spoken = |listener: &PlannedListener| Some((app_id(&apps, listener.root?)?, listener.dialect?));
        let dialects = Dialects::new(apps.iter().map(|app| app.app.row.dialects), listeners.iter().map(spoken));
        let shards = shard_count(config.server.shards);
        let shard_config = ShardConfig {
            placement: placement(shards),
            limits: limits_of_a_shard(&config.limits, shards),
            engines: config.listeners.iter().map(|listener| listener.engine.clone()).collect(),
            namespaces,
            dialects,
            authenticator: Authenticator::new(&auth(&config.auth)),
        };
        Ok(Plan {
            shard_config: Arc::new(shard_config),
            listeners,
            admin_bind: Some(Address { addr: config.admin.bind, ipv6_only: config.admin.ipv6_only }),
            admin_token: config.admin.token.clone(),
            admin_proxies: proxies(
                &config.admin.proxies,
                config.admin.token.is_empty().then_some(CLOSED_WITHOUT_TOKEN),
            ),
            store: store_settings(config),
            upstream: upstream_settings(config),
            drain_delay_s: config.drain_delay_s(),
            drain_timeout_s: config.server.drain_timeout_s,
            client_dir: config.server.client_dir.clone(),
            dev,
            apps,
        })
    }

    /// The conformance fixture of DESIGN 6, on both loopback addresses.
    pub(crate) fn fixture(echo: Configured, addr: SocketAddr) -> Plan {
        let engine = EngineLimits {
            ping_interval_ms: 300,
            ping_timeout_ms: 200,
            max_payload_bytes: 1_000_000,
            connect_timeout_ms: 1_000,
            ping_jitter: false,
        };
        let frames = EngineLimits { max_payload_bytes: 16 << 20, ..engine.clone() };
        let route = |path: &str, service, engine| Route { path: path.to_owned(), service, engine: ListenerId(engine) };
        let routes = vec![
            route("/socket.io/", Service::SocketIo { root: None }, 0),
            route("/engine.io/", Service::EngineEcho, 0),
            route("/echo", Service::WebSocketEcho, 1),
        ];
        let listener = |addr| PlannedListener {
            bind: Address { addr, ipv6_only: false },
            root: None,
            dialect: None,
            routes: routes.clone(),
            origins: Origins { any: true, ..Origins::default() },
            proxies: Proxies::default(),
            static_root: None,
        };
        let namespaces = vec!["/".to_owned(), "/custom".to_owned()];
        let shard_config = ShardConfig {
            placement: placement(1),
            limits: limits_of_a_shard(&Limits::default(), 1),
            engines: vec![engine, frames],
            namespaces: Namespaces::new([namespaces.clone()]),
            dialects: Dialects::default(),
            authenticator: Authenticator::new(&Default::default()),
        };
        Plan {
            shard_config: Arc::new(shard_config),
            listeners: both_loopbacks(addr).into_iter().map(listener).collect(),
            apps: vec![PlannedApp { app: echo, namespaces }],
            admin_bind: None,
            admin_token: Default::default(),
            admin_proxies: Proxies::default(),
            store: store::Settings::new("memory:", std::path::Path::new("data")),
            upstream: upstream::Settings::default(),
            drain_delay_s: 0,
            drain_timeout_s: 2,
            client_dir: None,
            dev: true,
        }
    }

    /// One value of each application, for one shard.
    pub(crate) fn applications(&self) -> Vec<Box<dyn Application>> {
        self.apps.iter().map(|app| app.app.build()).collect()
    }

    /// A fresh seed for one shard, from the operating system.
    pub(crate) fn seed(&self) -> [u8; 32] {
        random()
    }

    /// The listeners as requests see them.
    pub(crate) fn listenings(&self) -> Vec<Listening> {
        let rows: Vec<&'static Row> = self.apps.iter().map(|app| app.app.row).collect();
        let listening = |listener: &PlannedListener| Listening {
            routes: listener.routes.clone(),
            origins: listener.origins.clone(),
            proxies: listener.proxies.clone(),
            links: LinkPaths::of(&rows, listener.root),
        };
        self.listeners.iter().map(listening).collect()
    }
}

/// Enabled applications in the order of their ids.
fn enabled_apps(config: &Config) -> Vec<PlannedApp> {
    let enabled = config.apps.iter().filter(|app| app.enabled);
    let names = |app: &Configured| app.row.namespaces.iter().map(|name| (*name).to_owned()).collect();
    enabled.map(|app| PlannedApp { app: app.clone(), namespaces: names(app) }).collect()
}

fn app_id(apps: &[PlannedApp], name: &str) -> Option<AppId> {
    apps.iter().position(|planned| planned.app.row.name == name).map(|index| AppId(index as u16))
}

fn routes(listener: &config::Listener, engine: ListenerId, nsp: impl Fn(&str) -> Option<NspId>) -> Vec<Route> {
    let route = |(path, root): &(String, Option<&'static str>)| Route {
        path: path.clone(),
        service: Service::SocketIo { root: root.and_then(&nsp) },
        engine,
    };
    listener.paths.iter().map(route).collect()
}

/// Those of the listener, and those that its root admits by itself.
fn origins(listener: &config::Listener, apps: &[PlannedApp], dev: bool) -> Origins {
    let root = apps.iter().filter(|planned| Some(planned.app.row.name) == listener.root);
    let mut listed: Vec<String> = root.flat_map(|planned| planned.app.settings.origins()).collect();
    let any = listener.cors == Cors::Any || listed.iter().any(|origin| origin == "*");
    if let Cors::List(origins) = &listener.cors {
        listed.extend(origins.clone());
    }
    match any {
        true => Origins { any, ..Origins::default() },
        false => Origins { listed, loopback: dev, same_host: !dev, any },
    }
}

/// `closed`: nobody may come through one, and why.
fn proxies(configured: &config::Proxies, closed: Option<&'static str>) -> Proxies {
    let config::Proxies { trusted, proxy_protocol } = configured.clone();
    Proxies { trusted, proxy_protocol, closed }
}

/// Only this machine can connect, so who connects is trusted. Through a proxy everybody could.
const CLOSED_IN_DEVELOPMENT: &str = "This came through a proxy, and in development mode any token is good; set \
    SIOD__AUTH__MODE=jwt SIOD__AUTH__JWT_SECRET=\"$(openssl rand -hex 32)\" and list the proxy in trusted_proxies of its listener";
const CLOSED_WITHOUT_TOKEN: &str = "This came through a proxy, and without admin.token whoever is on this machine is trusted; \
    set SIOD__ADMIN__TOKEN=\"$(openssl rand -hex 32)\"";
fn static_root(path: &Path) -> Result<Arc<api::static_root::Root>, String> {
    api::static_root::Root::open(path).map_err(|error| format!("static_root {path:?} cannot be served: {error}"))
}

fn store_settings(config: &Config) -> store::Settings {
    let url = match &config.store {
        config::Store::Memory => "memory:".to_owned(),
        config::Store::Sqlite(path) => format!("sqlite:{}", path.display()),
    };
    let mut settings = store::Settings::new(&url, &config.server.data_dir);
    for app in config.apps.iter().filter(|app| app.enabled) {
        settings.tables.extend(app.row.tables);
        settings.shelves.extend(app.settings.shelves());
    }
    settings
}

fn upstream_settings(config: &Config) -> upstream::Settings {
    let config::Upstream { allow, nameservers, ca_file } = config.upstream.clone();
    let enabled = || config.apps.iter().filter(|app| app.enabled);
    let apps = enabled().map(|app| app.row.name).collect();
    let named = enabled().flat_map(|app| app.settings.hosts()).collect();
    upstream::Settings { allow, named, nameservers, hosts: PathBuf::from("/etc/hosts"), ca_file, apps }
}

fn shard_count(configured: u16) -> u16 {
    match configured {
        0 => std::thread::available_parallelism().map_or(1, |cores| cores.get() as u16),
        count => count,
    }
}

/// Without a secret, which is only in development, what this process signs is good for as long as it lives.
fn auth(auth: &AuthSettings) -> AuthSettings {
    let is_none = auth.jwt_secret.is_empty();
    let jwt_secret = if is_none { Secret::new(hex(&random::<32>())) } else { auth.jwt_secret.clone() };
    AuthSettings { jwt_secret, ..auth.clone() }
}

/// Bounds of the process are divided among the shards; those left open are settled.
fn limits_of_a_shard(limits: &Limits, shards: u16) -> Limits {
    let total = match limits.outbox_total_bytes_max {
        0 => memory::available_bytes() / 4,
        bytes => bytes,
    };
    let share = (total / usize::from(shards)).max(limits.outbox_bytes_max);
    Limits { outbox_total_bytes_max: share, ..limits.clone() }
}

fn placement(shards: u16) -> Placement {
    let key: [u8; 16] = random();
    let half = |at: usize| u64::from_le_bytes(key[at..at + 8].try_into().expect("eight of sixteen bytes"));
    Placement { shards, key: (half(0), half(8)) }
}

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the operating system has random bytes");
    bytes
}

/// The address itself, and the same port on the loopback address of the other family.
fn both_loopbacks(addr: SocketAddr) -> Vec<SocketAddr> {
    let other = match addr.ip() {
        IpAddr::V4(ip) if ip.is_loopback() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_loopback() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        _ => return vec![addr],
    };
    vec![addr, SocketAddr::new(other, addr.port())]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::identity::Subject;
    use crate::base::time::WallMillis;

    #[test]
    fn without_a_secret_each_process_has_its_own() {
        const NOW: WallMillis = WallMillis(1_755_684_000_000);
        let [one, other] = [(); 2].map(|()| Authenticator::new(&auth(&AuthSettings::default())));
        let token = one.mint(Subject { sub: "ana", ttl_s: 60, ..Subject::default() }, NOW).unwrap();
        assert!(one.claims(&token, NOW).is_ok() && other.claims(&token, NOW).is_err());
        let secret = AuthSettings { jwt_secret: Secret::new("k".repeat(32)), ..AuthSettings::default() };
        assert_eq!(auth(&secret), secret);
    }
}
