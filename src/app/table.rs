//! The table of applications: one row for each, all that the daemon has to know before one exists. A binary passes its table
//! to [`crate::run`]; the one of siod itself is `apps::TABLE`.

use std::fmt;

use super::Application;
use super::kit::dialect::Dialect;
use super::link::LinkPath;
use super::metric::Family;
use super::route::Http;
use super::settings::Choice;
use super::sql::Tables;

/// The applications of a binary, in the order in which configuration and documents list them.
pub struct Table {
    pub rows: &'static [Row],
    /// Engine paths at which `/` is one application, whatever a listener's root: the path, without a slash at its end, and the
    /// application's name. Where that application is not there, a CONNECT to `/` is refused.
    pub paths: &'static [(&'static str, &'static str)],
    /// The row that protocol test suites talk to (`siod conformance`).
    pub fixture: &'static Row,
}

/// One application.
#[derive(Debug)]
pub struct Row {
    /// As configuration, metrics and paths spell it.
    pub name: &'static str,
    /// One sentence for the operator.
    pub doc: &'static str,
    /// Whether it is served unless the configuration says otherwise.
    pub enabled: bool,
    /// Its namespaces. The first is what a listener's root stands for.
    pub namespaces: &'static [&'static str],
    /// Other spellings of its events; a listener chooses one by its name.
    pub dialects: &'static [Dialect],
    /// Largest message, in bytes, on a listener whose root it is; `None`: as everywhere.
    pub max_payload_bytes: Option<usize>,
    /// How long a client may take to answer a ping, and to join a namespace, on such a listener; `None`: as everywhere.
    pub ping_timeout_ms: Option<u64>,
    pub connect_timeout_ms: Option<u64>,
    /// What it keeps, if anything.
    pub tables: Option<&'static Tables>,
    /// What it answers by HTTP.
    pub http: Http,
    /// Paths on which those who are no Socket.IO clients may open a WebSocket.
    pub links: &'static [LinkPath],
    /// Its settings, untold.
    pub settings: fn() -> Box<dyn Choice>,
    /// The families of its metrics.
    pub metrics: &'static [Family],
}

/// An application as it was configured.
pub struct Configured {
    pub row: &'static Row,
    pub enabled: bool,
    pub settings: Box<dyn Choice>,
}

impl Table {
    /// The row of this name.
    pub fn row(&self, name: &str) -> Option<&'static Row> {
        self.rows.iter().find(|row| row.name == name)
    }

    /// All applications as they are where nothing is configured.
    pub fn untold(&self) -> Vec<Configured> {
        self.rows.iter().map(Row::untold).collect()
    }
}

impl Row {
    /// An application that keeps nothing, answers nothing by HTTP and shows no metrics of its own, and is served unless the
    /// configuration says otherwise. One that differs says so: `Row { tables: Some(&TABLES), ..Row::new(…) }`.
    pub const fn new(
        name: &'static str,
        doc: &'static str,
        namespaces: &'static [&'static str],
        settings: fn() -> Box<dyn Choice>,
    ) -> Row {
        let (enabled, max_payload_bytes, ping_timeout_ms, connect_timeout_ms) = (true, None, None, None);
        let (tables, http) = (None, Http::NONE);
        let (dialects, links, metrics) = (&[], &[], &[]);
        Row {
            name,
            doc,
            enabled,
            namespaces,
            dialects,
            max_payload_bytes,
            ping_timeout_ms,
            connect_timeout_ms,
            tables,
            http,
            links,
            settings,
            metrics,
        }
    }

    /// Its dialect of this name.
    pub fn dialect(&self, name: &str) -> Option<&'static Dialect> {
        self.dialects.iter().find(|dialect| dialect.name == name)
    }

    /// The application as it is where nothing is configured.
    pub fn untold(&'static self) -> Configured {
        Configured { row: self, enabled: self.enabled, settings: (self.settings)() }
    }
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.rows.iter().map(|row| row.name)).finish()
    }
}

impl PartialEq for Table {
    /// A table is itself.
    fn eq(&self, other: &Table) -> bool {
        std::ptr::eq(self, other)
    }
}

impl Eq for Table {}

impl Configured {
    /// The application, one value for each shard.
    pub fn build(&self) -> Box<dyn Application> {
        self.settings.build()
    }
}

impl Clone for Configured {
    fn clone(&self) -> Configured {
        Configured { row: self.row, enabled: self.enabled, settings: self.settings.copy() }
    }
}

impl PartialEq for Configured {
    fn eq(&self, other: &Configured) -> bool {
        self.row.name == other.row.name
            && self.enabled == other.enabled
            && self.settings.entries() == other.settings.entries()
    }
}

impl Eq for Configured {}

impl fmt::Debug for Configured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let settings = self.settings.entries();
        f.debug_struct(self.row.name).field("enabled", &self.enabled).field("settings", &settings).finish()
    }
}
