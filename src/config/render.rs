//! From [`Config`] back to TOML, every key with its meaning and range in a comment above it. Rendered from the defaults it
//! is `config.toml.example`; rendered from a running configuration it is what `siod check` prints.

use std::fmt::Write as _;

use toml::Value;

use super::check::int_range;
use super::keys::listener::{LISTENER, max_payload_default};
use super::keys::{Access, Key, SECTIONS};
use super::{Config, Store};

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
            let implied =
                (section.name, key.name) == ("store", "url") && config.store == Store::within(&config.server.data_dir);
            line(&mut out, key, config, implied, secrets);
        }
        if section.name == "server" {
            for listener in &config.listeners {
                heading(&mut out, LISTENER.doc, &format!("[[{}]]", LISTENER.name));
                for key in LISTENER.keys {
                    let payload_max = listener.engine.max_payload_bytes;
                    let implied = key.name == "max_payload_bytes" && payload_max == max_payload_default(listener.root);
                    line(&mut out, key, listener, implied, secrets);
                }
            }
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
fn line<T>(out: &mut String, key: &Key<T>, from: &T, implied: bool, secrets: Secrets) {
    comment(out, key.doc);
    let value = match &key.access {
        Access::Int { min, max, unit, get, .. } => {
            comment(out, &format!("A number {}.", int_range(*min, *max, unit)));
            get(from).to_string()
        }
        Access::Bool { get, .. } => get(from).to_string(),
        Access::Text { get, .. } => Value::String(get(from)).to_string(),
        Access::Secret { get, .. } if secrets == Secrets::Hidden => Value::String(get(from).to_string()).to_string(),
        Access::Secret { get, .. } => Value::String(get(from).expose().to_owned()).to_string(),
        Access::List { get, .. } => Value::Array(get(from).into_iter().map(Value::String).collect()).to_string(),
    };
    writeln!(out, "{}{} = {value}", if implied { "# " } else { "" }, key.name).expect("a string takes everything");
}

fn comment(out: &mut String, text: &str) {
    for line in text.lines() {
        writeln!(out, "# {line}").expect("a string takes everything");
    }
}
