//! From [`Config`] back to TOML, every key with its meaning and range in a comment above it. Rendered from the defaults it
//! is `config.toml.example`; rendered from a running configuration it is what `siod check` prints.

use std::fmt::Write as _;

use toml::Value;

use super::Config;
use super::check::int_range;
use super::keys::listener::LISTENER;
use super::keys::{Access, Key, SECTIONS};

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
SIOD__LISTENER__0__BIND; a list is JSON or separated by commas. Unknown keys are errors.";

/// The whole configuration as commented TOML.
pub fn render(config: &Config, secrets: Secrets) -> String {
    let mut out = String::new();
    comment(&mut out, PREAMBLE);
    for section in SECTIONS {
        heading(&mut out, section.doc, &format!("[{}]", section.name));
        section.keys.iter().for_each(|key| line(&mut out, key, config, secrets));
        if section.name == "server" {
            for listener in &config.listeners {
                heading(&mut out, LISTENER.doc, &format!("[[{}]]", LISTENER.name));
                LISTENER.keys.iter().for_each(|key| line(&mut out, key, listener, secrets));
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

fn line<T>(out: &mut String, key: &Key<T>, from: &T, secrets: Secrets) {
    comment(out, key.doc);
    let value = match &key.access {
        Access::Int { min, max, unit, get, .. } => {
            comment(out, &int_range(*min, *max, unit));
            get(from).to_string()
        }
        Access::Bool { get, .. } => get(from).to_string(),
        Access::Text { get, .. } => Value::String(get(from)).to_string(),
        Access::Secret { get, .. } if secrets == Secrets::Hidden => Value::String(get(from).to_string()).to_string(),
        Access::Secret { get, .. } => Value::String(get(from).expose().to_owned()).to_string(),
        Access::List { get, .. } => Value::Array(get(from).into_iter().map(Value::String).collect()).to_string(),
    };
    writeln!(out, "{} = {value}", key.name).expect("a string takes everything");
}

fn comment(out: &mut String, text: &str) {
    for line in text.lines() {
        writeln!(out, "# {line}").expect("a string takes everything");
    }
}
