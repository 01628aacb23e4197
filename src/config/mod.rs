//! Layer 7: the configuration. What an operator wrote goes in, resolved values come out, or every reason why not.
//!
//! [`args`] the command line · [`raw`] file, environment and flags laid over each other · [`keys`] the table of all keys:
//! the one place where a key is declared · [`check`] raw → [`Config`] · [`render`] [`Config`] → commented TOML.

pub mod args;
pub mod check;
pub mod keys;
pub mod raw;
pub mod render;

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use ipnet::IpNet;

pub use crate::app::identity::{AuthMode, AuthSettings};
pub use crate::app::name::AppName;
pub use crate::apps::signage::settings::Settings as SignageSettings;
pub use crate::base::limit::{EngineLimits, Limits};
pub use crate::base::secret::Secret;
pub use raw::Source;

/// Everything the daemon was told, resolved and checked. `Config::default()` is what it does untold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    pub server: Server,
    /// At least one.
    pub listeners: Vec<Listener>,
    pub admin: Admin,
    pub auth: AuthSettings,
    pub store: Store,
    pub limits: Limits,
    pub log: Log,
    pub apps: Apps,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            server: Server::default(),
            listeners: vec![Listener::default()],
            admin: Admin::default(),
            auth: AuthSettings::default(),
            store: Store::default(),
            limits: Limits::default(),
            log: Log::default(),
            apps: Apps::default(),
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
    /// Where the official client bundles lie; `None`: not served.
    pub client_dir: Option<PathBuf>,
}

impl Default for Server {
    fn default() -> Self {
        Server { shards: 0, data_dir: PathBuf::from("data"), drain_timeout_s: 20, client_dir: None }
    }
}

/// `[[listener]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    pub bind: SocketAddr,
    /// The application the namespace `/` is; `None`: none, its CONNECT is refused.
    pub root: Option<AppName>,
    /// Engine paths as they were resolved, each with what `/` is there: those configured, and `/api/socket` (always iot).
    pub paths: Vec<(String, Option<AppName>)>,
    pub engine: EngineLimits,
    pub cors: Cors,
    pub proxies: Proxies,
}

impl Default for Listener {
    fn default() -> Self {
        let bind = SocketAddr::from(([127, 0, 0, 1], 3000));
        let mut listener = Listener {
            bind,
            root: None,
            paths: Vec::new(),
            engine: EngineLimits::default(),
            cors: Cors::default(),
            proxies: Proxies::default(),
        };
        listener.resolve_paths(vec!["/socket.io/".to_owned()]);
        listener
    }
}

impl Listener {
    /// What the namespace `/` is for a request to `path` (without its query); the outer `None`: no engine path.
    /// A configured path that ends in `/` matches all that begins with it, another one itself, with or without a slash behind.
    pub fn root_at(&self, path: &str) -> Option<Option<AppName>> {
        let matches = |engine_path: &str| match engine_path.ends_with('/') {
            true => path.starts_with(engine_path),
            false => path.strip_suffix('/').unwrap_or(path) == engine_path,
        };
        self.paths.iter().find(|(engine_path, _)| matches(engine_path)).map(|(_, root)| *root)
    }

    /// Builds the path table from the paths as configured; clients of iot know theirs by heart (contract 0.1).
    fn resolve_paths(&mut self, written: Vec<String>) {
        let is_iot = |path: &str| path.strip_suffix('/').unwrap_or(path) == IOT_PATH;
        self.paths = written.into_iter().filter(|path| !is_iot(path)).map(|path| (path, self.root)).collect();
        self.paths.push((IOT_PATH.to_owned(), Some(AppName::Iot)));
    }

    /// The paths as they are configured, without the fixed one unless it is the only one.
    fn written_paths(&self) -> Vec<String> {
        let others = self.paths.len().saturating_sub(1).max(1);
        self.paths.iter().take(others).map(|(path, _)| path.clone()).collect()
    }
}

/// The engine path at which `/` is iot on every listener, with and without a slash behind.
const IOT_PATH: &str = "/api/socket";

/// Whose pages may talk to a listener.
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
    /// Empty: loopback only, and no request that carries an Origin or a foreign Host.
    pub token: Secret,
}

impl Default for Admin {
    fn default() -> Self {
        Admin { bind: SocketAddr::from(([127, 0, 0, 1], 9464)), token: Secret::default() }
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

/// `[log]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    pub format: LogFormat,
    /// `error`, `warn`, `info`, `debug` or `trace`.
    pub level: String,
}

impl Default for Log {
    fn default() -> Self {
        Log { format: LogFormat::Auto, level: "info".to_owned() }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// Pretty on a terminal, JSON otherwise.
    #[default]
    Auto,
    Pretty,
    Json,
}

/// `[apps.*]`.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Apps {
    pub lab: Lab,
    pub signage: Signage,
}

impl Apps {
    /// Whether this version has the application and it is switched on.
    pub fn is_enabled(&self, name: AppName) -> bool {
        match name {
            AppName::Lab => self.lab.enabled,
            AppName::Signage => self.signage.enabled,
            AppName::Orchestrator | AppName::Utalk | AppName::Dispatch | AppName::Iot => false,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Lab {
    pub enabled: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signage {
    pub enabled: bool,
    pub settings: SignageSettings,
}

impl Default for Signage {
    fn default() -> Self {
        Signage { enabled: true, settings: SignageSettings::default() }
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
    pub fn load(source: &Source) -> Result<Config, Refusals> {
        check::check(raw::Raw::read(source)?)
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
