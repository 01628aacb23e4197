//! From [`Config`] back to TOML, every key with its meaning and range in a comment above it. Rendered from the defaults it
//! is `config.toml.example`; rendered from a running configuration it is what `siod check` prints.

use std::fmt::Write as _;

use super::check::app_section;
use super::keys::listener::LISTENER;
use super::keys::{APP, SECTIONS};
use super::{Config, Store};
use crate::app::settings::{Kind, Value};

/// Whether secrets are written out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Secrets {
    Shown,
    /// As `***`, unless empty.
    Hidden,
}

const PREAMBLE: &str = "\
The configuration of siod, with every key. A flag goes before the environment, the environment before this file, this
file before the defaults. In the environment auth.jwt_secret is SIOD__AUTH__JWT_SECRET, the bind of the first listener
SIOD__LISTENER__0__BIND; a list is JSON or separated by commas. Unknown keys are errors. A key that stands here as a
comment follows from another one until it is set.";

/// The whole configuration as commented TOML.
pub fn render(config: &Config, secrets: Secrets) -> String {
    let mut out = String::new();
    comment(&mut out, PREAMBLE);
    for section in SECTIONS {
        heading(&mut out, section.doc, &format!("[{}]", section.name));
        for key in section.keys {
            let implied = match (section.name, key.name) {
                ("store", "url") => config.store == Store::within(&config.server.data_dir),
                ("server", "drain_delay_s") => config.server.drain_delay_s.is_none(),
                _ => false,
            };
            line(&mut out, key.describe(), key.access.get(config), implied, secrets);
        }
        if section.name == "server" {
            for listener in &config.listeners {
                heading(&mut out, LISTENER.doc, &format!("[[{}]]", LISTENER.name));
                for key in LISTENER.keys {
                    let payload_max = listener.engine.max_payload_bytes;
                    let implied = key.name == "max_payload_bytes" && payload_max == listener.max_payload_default();
                    line(&mut out, key.describe(), key.access.get(listener), implied, secrets);
                }
            }
        }
    }
    for app in &config.apps {
        heading(&mut out, app.row.doc, &format!("[{}]", app_section(app)));
        for key in APP {
            line(&mut out, key.describe(), key.access.get(app), false, secrets);
        }
        for (index, key) in app.settings.keys().into_iter().enumerate() {
            line(&mut out, key, app.settings.get(index), false, secrets);
        }
    }
    out
}

fn heading(out: &mut String, doc: &str, title: &str) {
    out.push('\n');
    comment(out, doc);
    out.push_str(title);
    out.push('\n');
}

/// One key. `implied`: its value follows from another key, so it is shown as a comment and goes on following.
fn line(out: &mut String, key: (&str, &str, Kind), value: Value, implied: bool, secrets: Secrets) {
    let (name, doc, kind) = key;
    comment(out, doc);
    if matches!(kind, Kind::Int { .. }) {
        comment(out, &format!("A number {}.", kind.wanted()));
    }
    let text = |text: String| toml::Value::String(text).to_string();
    let value = match value {
        Value::Int(number) => number.to_string(),
        Value::Bool(on) => on.to_string(),
        Value::Text(value) => text(value),
        Value::Secret(secret) if secrets == Secrets::Hidden => text(secret.to_string()),
        Value::Secret(secret) => text(secret.expose().to_owned()),
        Value::List(items) => toml::Value::Array(items.into_iter().map(toml::Value::String).collect()).to_string(),
    };
    writeln!(out, "{}{name} = {value}", if implied { "# " } else { "" }).expect("a string takes everything");
}

fn comment(out: &mut String, text: &str) {
    for line in text.lines() {
        writeln!(out, "# {line}").expect("a string takes everything");
    }
}
