//! The rows of the short sections: `[server]`, `[admin]`, `[auth]`, `[store]`, `[log]` ([`super`]).

use std::path::{Path, PathBuf};

use super::{Access, Key, address, for_a_header, int, networks, networks_text, switch, word};
use crate::base::limit;
use crate::config::{AuthMode, Config, LogFormat, Store};

pub const SERVER: &[Key<Config>] = &[
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
    int!(drain_timeout_s in server: 0, 3_600, "seconds", "The drain after SIGTERM ends within this time. Clients are closed over three quarters of it, in steps of at\nmost a second, so that they do not all come back at once."),
    Key {
        name: "drain_delay_s",
        doc: "Before it closes anything, a drain serves and accepts for so long as before, while /health/ready says\n503: balancers turn away first. Unset: 0 where all listeners are on loopback, else 3.",
        access: Access::Int {
            min: 0,
            max: 3_600,
            unit: "seconds",
            get: Config::drain_delay_s,
            set: |config, value| config.server.drain_delay_s = Some(value),
        },
    },
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

pub const ADMIN: &[Key<Config>] = &[
    Key {
        name: "bind",
        doc: "Address and port. Beyond loopback only with a token.",
        access: Access::Text {
            get: |config| config.admin.bind.to_string(),
            set: |config, text| address(text).map(|value| config.admin.bind = value),
        },
    },
    switch!(ipv6_only in admin, "Whether [::] takes IPv6 only; else it takes both."),
    Key {
        name: "token",
        doc: "Bearer token of every request. Empty: loopback only, and no request that carries an\nOrigin or a foreign Host.",
        access: Access::Secret {
            get: |config| &config.admin.token,
            set: |config, token| for_a_header(token).map(|value| config.admin.token = value),
        },
    },
    Key {
        name: "trusted_proxies",
        doc: "As of a listener. What came through a proxy is answered with a token only.",
        access: Access::List {
            get: |config| networks_text(&config.admin.proxies.trusted),
            set: |config, list| networks(&list).map(|value| config.admin.proxies.trusted = value),
        },
    },
    switch!(proxy_protocol in admin.proxies, "As of a listener."),
];

pub const AUTH: &[Key<Config>] = &[
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

pub const STORE: &[Key<Config>] = &[Key {
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

pub const LOG: &[Key<Config>] = &[
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
    int!(lines_per_s_max in log: 1, 1_000_000, "per second",
        "Lines of one kind that clients can cause; further ones are counted, and one line says how many."),
];

const LOG_FORMATS: [(&str, LogFormat); 3] =
    [("auto", LogFormat::Auto), ("pretty", LogFormat::Pretty), ("json", LogFormat::Json)];

fn filled<'a>(text: &'a str, what: &str) -> Result<&'a str, String> {
    if text.is_empty() { Err(format!("must name {what}")) } else { Ok(text) }
}

fn shown(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
