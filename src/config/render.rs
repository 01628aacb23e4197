//! From [`Config`] back to TOML, every key with its meaning and range in a comment above it. Rendered from the defaults it
//! is `config.toml.example`; rendered from a running configuration it is what `siod check` prints.

use std::fmt::Write as _;

use super::check::app_section;
use super::keys::listener::LISTENER;
use super::keys::{APP, SECTIONS};
use super::{Config, Secret, Store};
use crate::app::settings::{Entry, Kind, Value, entries};

/// Whether secrets are written out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Secrets {
    Shown,
    /// As `***`, unless empty.
    Hidden,
}

const PREAMBLE: &str = "\
The configuration of siod, with every key. A flag goes before the environment, the environment before this file, this
file before the defaults. In the environment auth.jwt_secret is SIOD__AUTH__JWT_SECRET, the bind of the first listener
SIOD__LISTENER__0__BIND; a list is JSON or separated by commas, a table is JSON. Unknown keys are errors. A key that
stands here as a comment follows from another one until it is set, a table as a comment is there once it is written.";

/// The whole configuration as commented TOML.
pub(crate) fn render(config: &Config, secrets: Secrets) -> String {
    let mut out = Out { text: String::new(), secrets };
    out.comment(PREAMBLE);
    for section in SECTIONS {
        out.heading(section.doc, &format!("[{}]", section.name));
        let follows = |name: &str| match (section.name, name) {
            ("store", "url") => config.store == Store::within(&config.server.data_dir),
            ("server", "drain_delay_s") => config.server.drain_delay_s.is_none(),
            _ => false,
        };
        out.entries(section.name, entries(section.keys, config), &follows);
        if section.name == "server" {
            for listener in &config.listeners {
                out.heading(LISTENER.doc, &format!("[[{}]]", LISTENER.name));
                let (is, root) = (&listener.engine, listener.engine_default());
                let follows = |name: &str| match name {
                    "max_payload_bytes" => is.max_payload_bytes == root.max_payload_bytes,
                    "ping_timeout_ms" => is.ping_timeout_ms == root.ping_timeout_ms,
                    "connect_timeout_ms" => is.connect_timeout_ms == root.connect_timeout_ms,
                    _ => false,
                };
                out.entries(LISTENER.name, entries(LISTENER.keys, listener), &follows);
            }
        }
    }
    for app in &config.apps {
        let path = app_section(app);
        out.heading(app.row.doc, &format!("[{path}]"));
        let all = entries(APP, app).into_iter().chain(app.settings.entries()).collect();
        out.entries(&path, all, &|_| false);
    }
    out.text
}

struct Out {
    text: String,
    secrets: Secrets,
}

impl Out {
    /// The keys of one table, those that are tables themselves last. A value that follows from another key (`follows`) is
    /// shown as a comment and goes on following.
    fn entries(&mut self, path: &str, all: Vec<Entry>, follows: &dyn Fn(&str) -> bool) {
        let is_table = |entry: &Entry| matches!(entry.kind, Kind::Table | Kind::Rows);
        let (tables, lines): (Vec<Entry>, Vec<Entry>) = all.into_iter().partition(is_table);
        for Entry { name, doc, kind, value } in lines {
            self.comment(doc);
            self.comment(&wanted(&kind));
            let mark = if follows(name) { "# " } else { "" };
            let value = self.inline(value);
            writeln!(self.text, "{mark}{name} = {value}").expect("a string takes everything");
        }
        for Entry { name, doc, value, .. } in tables {
            let path = format!("{path}.{name}");
            match value {
                Value::Rows { rows, blank } if rows.is_empty() => self.as_comment(|out| {
                    out.heading(doc, &format!("[[{path}]]"));
                    out.entries(&path, blank, &|_| false);
                }),
                Value::Rows { rows, .. } => {
                    for row in rows {
                        self.heading(doc, &format!("[[{path}]]"));
                        self.entries(&path, row, &|_| false);
                    }
                }
                Value::Table(keys) => {
                    self.heading(doc, &format!("[{path}]"));
                    self.entries(&path, keys, &|_| false);
                }
                _ => unreachable!("the value of a table is a table, of rows it is rows"),
            }
        }
    }

    fn heading(&mut self, doc: &str, title: &str) {
        self.text.push('\n');
        self.comment(doc);
        writeln!(self.text, "{title}").expect("a string takes everything");
    }

    fn comment(&mut self, text: &str) {
        for line in text.lines() {
            writeln!(self.text, "# {line}").expect("a string takes everything");
        }
    }

    /// What `write` writes, as a comment.
    fn as_comment(&mut self, write: impl FnOnce(&mut Out)) {
        let mut out = Out { text: String::new(), secrets: self.secrets };
        write(&mut out);
        for line in out.text.lines() {
            let mark = if line.is_empty() { "" } else { "# " };
            writeln!(self.text, "{mark}{line}").expect("a string takes everything");
        }
    }

    /// A value on one line.
    fn inline(&self, value: Value) -> String {
        let text = |text: String| toml::Value::String(text).to_string();
        let shown = |secret: &Secret| match self.secrets {
            Secrets::Hidden => secret.to_string(),
            Secrets::Shown => secret.expose().to_owned(),
        };
        let list = |items: Vec<String>| toml::Value::Array(items.into_iter().map(toml::Value::String).collect());
        match value {
            Value::Int(number) => number.to_string(),
            Value::Real(number) => toml::Value::Float(number).to_string(),
            Value::Bool(on) => on.to_string(),
            Value::Text(value) => text(value),
            Value::Secret(secret) => text(shown(&secret)),
            Value::List(items) => list(items).to_string(),
            Value::Secrets(items) => list(items.iter().map(shown).collect()).to_string(),
            Value::Map(items) if items.is_empty() => "{}".to_owned(),
            Value::Map(items) => {
                let item = |(name, value)| format!("{} = {}", text(name), self.inline(value));
                format!("{{ {} }}", items.into_iter().map(item).collect::<Vec<_>>().join(", "))
            }
            Value::Table(_) | Value::Rows { .. } => unreachable!("tables have lines of their own"),
        }
    }
}

/// What a key takes, as a sentence; empty where its value shows it.
fn wanted(kind: &Kind) -> String {
    match kind {
        Kind::Int { .. } | Kind::Real { .. } => format!("A number {}.", kind.wanted()),
        Kind::Word(_) => format!("{}.", kind.wanted().replacen("one", "One", 1)),
        Kind::Map(of) => match wanted(of) {
            each if each.is_empty() => "A table of any names.".to_owned(),
            each => format!("A table of any names. {each}"),
        },
        _ => String::new(),
    }
}
