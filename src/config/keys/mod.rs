//! The table of all keys: for each its name, meaning, allowed values, and where its value lives. Reading, checking,
//! rendering and `config.toml.example` all follow from this one table; a new key is one row, a new section one line.
//! The rows themselves: [`daemon`] (the short sections), [`listener`], [`limits`], [`signage`].

pub mod daemon;
pub mod limits;
pub mod listener;
pub mod signage;

use super::{Config, Secret};
use crate::base::limit;

/// One key of `T`.
pub struct Key<T: 'static> {
    pub name: &'static str,
    /// For the operator: what it does and why one would change it. Lines break where the rendered file should.
    pub doc: &'static str,
    pub access: Access<T>,
}

/// Where a key's value lives, by the kind of value. `set` takes values of the right kind and says what it wants instead
/// ("must be …") if one will not do.
pub enum Access<T: 'static> {
    /// Both bounds are allowed; `unit` may be empty.
    Int {
        min: u64,
        max: u64,
        unit: &'static str,
        get: fn(&T) -> u64,
        set: fn(&mut T, u64),
    },
    Bool {
        get: fn(&T) -> bool,
        set: fn(&mut T, bool),
    },
    Text {
        get: fn(&T) -> String,
        set: fn(&mut T, &str) -> Result<(), String>,
    },
    Secret {
        get: fn(&T) -> &Secret,
        set: fn(&mut T, Secret) -> Result<(), String>,
    },
    List {
        get: fn(&T) -> Vec<String>,
        set: fn(&mut T, Vec<String>) -> Result<(), String>,
    },
}

/// A TOML table and its keys.
pub struct Section<T: 'static> {
    /// Dotted, as in `[apps.lab]`.
    pub name: &'static str,
    pub doc: &'static str,
    pub keys: &'static [Key<T>],
}

/// All sections but `[[listener]]`, in the order they are rendered.
pub const SECTIONS: &[Section<Config>] = &[
    Section { name: "server", doc: "The process.", keys: daemon::SERVER },
    Section { name: "admin", doc: "The operator's listener: /metrics, /health, drain, devices.", keys: daemon::ADMIN },
    Section { name: "auth", doc: "Who clients are.", keys: daemon::AUTH },
    Section { name: "store", doc: "Where state outlives the process.", keys: daemon::STORE },
    Section { name: "limits", doc: LIMITS_DOC, keys: limits::LIMITS },
    Section { name: "log", doc: "What the daemon writes to standard error.", keys: daemon::LOG },
    Section { name: "apps.lab", doc: "Echo and fan-out, for load tests and conformance.", keys: daemon::LAB },
    Section {
        name: "apps.signage",
        doc: "Digital signage: players, their state, commands to them.",
        keys: signage::SIGNAGE,
    },
];

const LIMITS_DOC: &str = "What one process, address, user and socket may hold.";

/// A row for a whole number: `int!(key in path.to.parent: min..=max, "unit", "doc")`.
macro_rules! int {
    ($name:ident in $($at:ident).+: $min:expr, $max:expr, $unit:literal, $doc:literal) => {
        $crate::config::keys::Key {
            name: stringify!($name),
            doc: $doc,
            access: $crate::config::keys::Access::Int {
                min: $min as u64,
                max: $max as u64,
                unit: $unit,
                get: |at| at.$($at).+.$name as u64,
                set: |at, value| {
                    at.$($at).+.$name = value.try_into().expect("the range of a key fits the type of its field");
                },
            },
        }
    };
}

/// A row for a switch: `switch!(key in path.to.parent, "doc")`.
macro_rules! switch {
    ($name:ident in $($at:ident).+, $doc:literal) => {
        $crate::config::keys::Key {
            name: stringify!($name),
            doc: $doc,
            access: $crate::config::keys::Access::Bool {
                get: |at| at.$($at).+.$name,
                set: |at, value| at.$($at).+.$name = value,
            },
        }
    };
}
use {int, switch};

fn address(text: &str) -> Result<std::net::SocketAddr, String> {
    text.parse().map_err(|_| "must be an IP address and a port, such as 127.0.0.1:3000 or [::1]:3000".to_owned())
}

/// The value beside `text`, or which words there are.
fn word<V: Copy>(text: &str, words: &[(&str, V)]) -> Result<V, String> {
    let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
    found.ok_or_else(|| {
        let words: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        format!("must be one of {}", words.join(", "))
    })
}

/// A secret that fits into an HTTP header.
fn for_a_header(secret: Secret) -> Result<Secret, String> {
    match secret.expose().bytes().all(|byte| byte.is_ascii_graphic()) && secret.expose().len() <= limit::TOKEN_BYTES_MAX
    {
        true => Ok(secret),
        false => Err(format!("must be at most {} visible ASCII characters without spaces", limit::TOKEN_BYTES_MAX)),
    }
}

/// Whether a part of a URL is free of what would end or split it.
fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'?' | b'#' | b'"' | b'\\'))
}
