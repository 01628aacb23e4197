//! Layer 7: the configuration. What an operator wrote goes in, resolved values come out, or every reason why not.
//!
//! [`args`] the command line · [`raw`] file, environment and flags laid over each other · [`keys`] the table of the daemon's keys:
//! the one place where one is declared · [`check`] what was written → [`Config`] · [`render`] [`Config`] → commented TOML.

pub mod args;
pub(crate) mod check;
pub(crate) mod keys;
pub(crate) mod raw;
pub(crate) mod render;

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use ipnet::IpNet;

pub use crate::app::identity::{AuthMode, AuthSettings};
pub use crate::base::limit::{EngineLimits, Limits};
pub use crate::base::secret::Secret;
pub use raw::Source;

use crate::app::settings::words;
use crate::app::table::{Configured, Table};

/// Everything the daemon was told, resolved and checked. [`Config::untold`] is what it does untold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    pub server: Server,
    /// At least one.
    pub listeners: Vec<Listener>,
    pub admin: Admin,
    pub auth: AuthSettings,
    pub store: Store,
    pub limits: Limits,
    pub upstream: Upstream,
    pub log: Log,
    /// The applications there are, in the order of the table.
    pub apps: Vec<Configured>,
}

impl Config {
    /// What the daemon of these applications does untold.
    pub fn untold(table: &'static Table) -> Config {
        Config {
            server: Server::default(),
            listeners: vec![Listener::untold(table)],
            admin: Admin::default(),
            auth: AuthSettings::default(),
            store: Store::default(),
            limits: Limits::default(),
            upstream: Upstream::default(),
            log: Log::default(),
            apps: table.untold(),
        }
    }
}

/// `[server]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// 0: one per core.
    pub shards: u16,
    pub data_dir: PathBuf,
    pub drain_timeout_s: u64,
    /// `None`: what [`Config::drain_delay_s`] says.
    pub drain_delay_s: Option<u64>,
    /// Where the official client bundles lie; `None`: not served.
    pub client_dir: Option<PathBuf>,
}

impl Default for Server {
    fn default() -> Self {
        Server {
            shards: 0,
            data_dir: PathBuf::from("data"),
            drain_timeout_s: 20,
            drain_delay_s: None,
            client_dir: None,
        }
    }
}

/// Until a balancer that asks every second has read 503 thrice.
const DRAIN_DELAY_S_DEFAULT: u64 = 3;

/// `[[listener]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    pub bind: SocketAddr,
    /// `[::]` takes no IPv4.
    pub ipv6_only: bool,
    /// Names what may be the root.
    table: &'static Table,
    /// The application the namespace `/` is, by its name; `None`: none, its CONNECT is refused.
    pub root: Option<&'static str>,
    /// Engine paths as they were resolved, each with what `/` is there: those configured, and those of the table.
    pub paths: Vec<(String, Option<&'static str>)>,
    pub engine: EngineLimits,
    pub cors: Cors,
    pub proxies: Proxies,
    /// A directory whose files are served beside the engine; `None`: the daemon's own page.
    pub static_root: Option<PathBuf>,
    /// What clients of the root speak here, by its name among the root's; `None`: the root's own words.
    pub dialect: Option<&'static str>,
}

impl Listener {
    /// A listener that nothing was said of.
    fn untold(table: &'static Table) -> Listener {
        let bind = SocketAddr::from(([127, 0, 0, 1], 3000));
        let (engine, cors, proxies) = (EngineLimits::default(), Cors::default(), Proxies::default());
        let mut listener = Listener {
            bind,
            ipv6_only: false,
            table,
            root: None,
            paths: Vec::new(),
            engine,
            cors,
            proxies,
            static_root: None,
            dialect: None,
        };
        listener.resolve_paths(vec!["/socket.io/".to_owned()]);
        listener
    }

    /// What the namespace `/` is for a request to `path` (without its query); the outer `None`: no engine path.
    /// A configured path that ends in `/` matches all that begins with it, another one itself, with or without a slash behind.
    pub fn root_at(&self, path: &str) -> Option<Option<&'static str>> {
        let matches = |engine_path: &str| match engine_path.ends_with('/') {
            true => path.starts_with(engine_path),
            false => path.strip_suffix('/').unwrap_or(path) == engine_path,
        };
        self.paths.iter().find(|(engine_path, _)| matches(engine_path)).map(|(_, root)| *root)
    }

    /// Builds the path table from the paths as configured; what the table fixes is fixed (DESIGN 5.1).
    fn resolve_paths(&mut self, written: Vec<String>) {
        let fixed = self.table.paths;
        let is_fixed = |path: &str| fixed.iter().any(|(fixed, _)| path.strip_suffix('/').unwrap_or(path) == *fixed);
        self.paths = written.into_iter().filter(|path| !is_fixed(path)).map(|path| (path, self.root)).collect();
        self.paths.extend(fixed.iter().map(|(path, root)| ((*path).to_owned(), Some(*root))));
    }

    /// The paths as they are configured, without the fixed ones unless there is no other.
    fn written_paths(&self) -> Vec<String> {
        let others = self.paths.len().saturating_sub(self.table.paths.len()).max(1);
        self.paths.iter().take(others).map(|(path, _)| path.clone()).collect()
    }

    /// The root's dialect of this name; empty: none.
    fn dialect_named(&self, name: &str) -> Result<Option<&'static str>, String> {
        if name.is_empty() {
            return Ok(None);
        }
        let Some(row) = self.root.and_then(|root| self.table.row(root)) else {
            return Err("must be empty where root = \"none\", since a dialect is the root's".to_owned());
        };
        let known: Vec<&str> = row.dialects.iter().map(|dialect| dialect.name).collect();
        match row.dialect(name) {
            Some(dialect) => Ok(Some(dialect.name)),
            None if known.is_empty() => Err(format!("must be empty, since {} has no dialect", row.name)),
            None => Err(format!("must be empty or one of {} where root = \"{}\"", known.join(", "), row.name)),
        }
    }

    /// The engine's values unless the configuration says otherwise: some are the root's to want.
    fn engine_default(&self) -> EngineLimits {
        let usual = EngineLimits::default();
        let Some(row) = self.root.and_then(|root| self.table.row(root)) else { return usual };
        EngineLimits {
            max_payload_bytes: row.max_payload_bytes.unwrap_or(usual.max_payload_bytes),
            ping_timeout_ms: row.ping_timeout_ms.unwrap_or(usual.ping_timeout_ms),
            connect_timeout_ms: row.connect_timeout_ms.unwrap_or(usual.connect_timeout_ms),
            ..usual
        }
    }
}

/// The origins whose pages may talk to a listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cors {
    Any,
    /// Exactly these origins; empty: none (in dev mode loopback origins are admitted too).
    List(Vec<String>),
}

impl Default for Cors {
    fn default() -> Self {
        Cors::List(Vec::new())
    }
}

/// Which proxies may say for whom they ask.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proxies {
    /// Addresses, or networks of them.
    pub trusted: Vec<IpNet>,
    /// They begin each connection with a PROXY head, version 1 or 2.
    pub proxy_protocol: bool,
}

/// `[admin]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admin {
    pub bind: SocketAddr,
    /// `[::]` takes no IPv4.
    pub ipv6_only: bool,
    /// Empty: loopback only, and no request that carries an Origin or a foreign Host, or came through a proxy.
    pub token: Secret,
    pub proxies: Proxies,
}

impl Default for Admin {
    fn default() -> Self {
        Admin {
            bind: SocketAddr::from(([127, 0, 0, 1], 9464)),
            ipv6_only: false,
            token: Secret::default(),
            proxies: Proxies::default(),
        }
    }
}

/// `[store]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Store {
    Memory,
    /// The database file.
    Sqlite(PathBuf),
}

impl Default for Store {
    fn default() -> Self {
        Store::within(&Server::default().data_dir)
    }
}

impl Store {
    /// The store of a daemon that is told nothing but its data directory.
    fn within(data_dir: &Path) -> Store {
        Store::Sqlite(data_dir.join("siod.db"))
    }
}

/// `[upstream]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Upstream {
    /// Networks that may be asked though they are not public.
    pub allow: Vec<IpNet>,
    /// Empty: those of `/etc/resolv.conf`.
    pub nameservers: Vec<SocketAddr>,
    /// Roots beside those in the binary.
    pub ca_file: Option<PathBuf>,
}

/// `[log]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    pub format: LogFormat,
    pub level: LogLevel,
    /// Of one kind that clients can cause.
    pub lines_per_s_max: u32,
}

impl Default for Log {
    fn default() -> Self {
        Log { format: LogFormat::Auto, level: LogLevel::Info, lines_per_s_max: 100 }
    }
}

words! {
    /// How lines look.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
    pub enum LogFormat {
        /// Pretty on a terminal, JSON otherwise.
        #[default]
        Auto = "auto",
        Pretty = "pretty",
        Json = "json",
    }
}

words! {
    /// How much is written.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
    pub enum LogLevel {
        Error = "error",
        Warn = "warn",
        #[default]
        Info = "info",
        Debug = "debug",
        Trace = "trace",
    }
}

/// Why a configuration was refused: one sentence for each thing that is wrong, naming key, value and what is allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusals(pub Vec<String>);

impl fmt::Display for Refusals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

impl std::error::Error for Refusals {}

impl Config {
    /// Lays flags over environment over file over defaults and checks the lot.
    ///
    /// # Errors
    /// Everything that is wrong, not only the first thing.
    pub fn load(table: &'static Table, source: &Source) -> Result<Config, Refusals> {
        let (written, refusals) = raw::read(source)?;
        check::check(table, written, refusals)
    }

    /// Whether the application of this name is there and switched on.
    pub fn serves(&self, name: &str) -> bool {
        self.apps.iter().any(|app| app.enabled && app.row.name == name)
    }

    /// How long a drain says that it has begun before it closes anything: balancers are only beyond loopback.
    pub fn drain_delay_s(&self) -> u64 {
        let is_loopback = |listener: &Listener| listener.bind.ip().to_canonical().is_loopback();
        let implied = if self.listeners.iter().all(is_loopback) { 0 } else { DRAIN_DELAY_S_DEFAULT };
        self.server.drain_delay_s.unwrap_or(implied)
    }

    /// This configuration as commented TOML that reads back as the same one, secrets included.
    pub fn to_toml(&self) -> String {
        render::render(self, render::Secrets::Shown)
    }

    /// The same with every secret replaced by `***`, for people to look at.
    pub fn to_printable_toml(&self) -> String {
        render::render(self, render::Secrets::Hidden)
    }
}

#[cfg(test)]
mod tests;
