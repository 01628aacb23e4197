//! The table of all keys: for each its name, meaning, allowed values, and where its value lives. Reading, checking,
//! rendering and `config.toml.example` all follow from this one table; a new key is one row, a new section one line.
//! [`listener`], [`limits`] and [`signage`] hold rows of their own; the short sections are here.

pub mod limits;
pub mod listener;
pub mod signage;

use std::path::{Path, PathBuf};

use super::{AuthMode, Config, LogFormat, Secret, Store};
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
    Section { name: "server", doc: "The process.", keys: SERVER },
    Section { name: "admin", doc: "The operator's listener: /metrics, /health, drain, devices.", keys: ADMIN },
    Section { name: "auth", doc: "Who clients are.", keys: AUTH },
    Section { name: "store", doc: "Where state outlives the process.", keys: STORE },
    Section { name: "limits", doc: LIMITS_DOC, keys: limits::LIMITS },
    Section { name: "log", doc: "What the daemon writes to standard error.", keys: LOG },
    Section { name: "apps.lab", doc: "Echo and fan-out, for load tests and conformance.", keys: LAB },
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

const SERVER: &[Key<Config>] = &[
    int!(shards in server: 0, limit::SHARDS_MAX, "", "Shards, each with a thread of its own; 0: one per core."),
    Key {
        name: "data_dir",
        doc: "Directory of everything the daemon writes: the database, snapshots.",
        access: Access::Text {
            get: |config| shown(&config.server.data_dir),
            set: |config, text| {
                config.server.data_dir = PathBuf::from(filled(text, "a directory")?);
                // Where the store is not told otherwise, it lies there.
                config.store = Store::within(&config.server.data_dir);
                Ok(())
            },
        },
    },
    int!(drain_timeout_s in server: 0, 3_600, "seconds", "After SIGTERM clients are closed over this time, then the process ends."),
    Key {
        name: "client_dir",
        doc: "Directory with the official client bundles (socket.io.min.js, …), served at /socket.io/;\nempty: not served.",
        access: Access::Text {
            get: |config| config.server.client_dir.as_deref().map(shown).unwrap_or_default(),
            set: |config, text| {
                config.server.client_dir = (!text.is_empty()).then(|| PathBuf::from(text));
                Ok(())
            },
        },
    },
];

const ADMIN: &[Key<Config>] = &[
    Key {
        name: "bind",
        doc: "Address and port. Beyond loopback only with a token.",
        access: Access::Text {
            get: |config| config.admin.bind.to_string(),
            set: |config, text| address(text).map(|value| config.admin.bind = value),
        },
    },
    Key {
        name: "token",
        doc: "Bearer token of every request. Empty: loopback only, and no request that carries an\nOrigin or a foreign Host.",
        access: Access::Secret {
            get: |config| &config.admin.token,
            set: |config, token| for_a_header(token).map(|value| config.admin.token = value),
        },
    },
];

const AUTH: &[Key<Config>] = &[
    Key {
        name: "mode",
        doc: "dev: any token, or none, is somebody with every role; loopback only.\njwt: only tokens signed with jwt_secret (HS256).",
        access: Access::Text {
            get: |config| if config.auth.mode == AuthMode::Dev { "dev" } else { "jwt" }.to_owned(),
            set: |config, text| {
                let modes = [("dev", AuthMode::Dev), ("jwt", AuthMode::Jwt)];
                word(text, &modes).map(|mode| config.auth.mode = mode)
            },
        },
    },
    Key {
        name: "jwt_secret",
        doc: "Key of HS256, at least 32 bytes in jwt mode. Better kept out of this file:\nSIOD__AUTH__JWT_SECRET=… in the environment.",
        access: Access::Secret {
            get: |config| &config.auth.jwt_secret,
            set: |config, secret| {
                config.auth.jwt_secret = secret;
                Ok(())
            },
        },
    },
    Key {
        name: "jwt_issuer",
        doc: "The \"iss\" a token must carry; empty: any or none.",
        access: Access::Text {
            get: |config| config.auth.jwt_issuer.clone(),
            set: |config, text| {
                config.auth.jwt_issuer = text.to_owned();
                Ok(())
            },
        },
    },
    Key {
        name: "jwt_audience",
        doc: "The \"aud\" a token must name; empty: any or none.",
        access: Access::Text {
            get: |config| config.auth.jwt_audience.clone(),
            set: |config, text| {
                config.auth.jwt_audience = text.to_owned();
                Ok(())
            },
        },
    },
    int!(jwt_leeway_s in auth: 0, 600, "seconds", "How far \"nbf\" and \"iat\" may lie in the future; \"exp\" is exact."),
];

const STORE: &[Key<Config>] = &[Key {
    name: "url",
    doc: "\"sqlite:FILE\", or \"memory:\" (forgotten at the end). Unset: siod.db in server.data_dir.",
    access: Access::Text {
        get: |config| match &config.store {
            Store::Memory => "memory:".to_owned(),
            Store::Sqlite(file) => format!("sqlite:{}", shown(file)),
        },
        set: |config, text| {
            config.store = match text.strip_prefix("sqlite:") {
                Some(file) if !file.is_empty() => Store::Sqlite(PathBuf::from(file)),
                None if text == "memory:" => Store::Memory,
                _ => return Err("must be \"sqlite:FILE\" or \"memory:\"".to_owned()),
            };
            Ok(())
        },
    },
}];

const LOG: &[Key<Config>] = &[
    Key {
        name: "format",
        doc: "auto (pretty on a terminal, json otherwise), pretty, json.",
        access: Access::Text {
            get: |config| {
                LOG_FORMATS.iter().find(|row| row.1 == config.log.format).map_or("auto", |row| row.0).to_owned()
            },
            set: |config, text| word(text, &LOG_FORMATS).map(|value| config.log.format = value),
        },
    },
    Key {
        name: "level",
        doc: "error, warn, info, debug, trace.",
        access: Access::Text {
            get: |config| config.log.level.clone(),
            set: |config, text| {
                let levels = ["error", "warn", "info", "debug", "trace"].map(|level| (level, level));
                word(text, &levels).map(|level| config.log.level = level.to_owned())
            },
        },
    },
];

const LOG_FORMATS: [(&str, LogFormat); 3] =
    [("auto", LogFormat::Auto), ("pretty", LogFormat::Pretty), ("json", LogFormat::Json)];

const LAB: &[Key<Config>] = &[switch!(enabled in apps.lab, "Whether it is served.")];

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

fn filled<'a>(text: &'a str, what: &str) -> Result<&'a str, String> {
    if text.is_empty() { Err(format!("must name {what}")) } else { Ok(text) }
}

fn shown(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
