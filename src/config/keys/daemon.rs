//! The rows of the short sections: `[server]`, `[admin]`, `[auth]`, `[store]`, `[upstream]`, `[log]` ([`super`]).

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use super::{Access, Key, address, for_a_header, networks, networks_text, shown};
use crate::app::settings::{any, any_text, field, int, secret, section, switch, text, word};
use crate::base::limit;
use crate::config::{Config, Store};

pub(crate) const SERVER: &[Key<Config>] = &[
    field!(shards in server: int(0..=limit::SHARDS_MAX as u64, ""), "Shards, each with a thread of its own; 0: one per core."),
    Key {
        name: "data_dir",
        doc: "Directory of everything the daemon writes: the database, blobs.",
        required: false,
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
    field!(drain_timeout_s in server: int(0..=3_600, "seconds"),
        "The drain after SIGTERM ends within this time. Clients are closed over three quarters of it, in steps of at\nmost a second, so that they do not all come back at once."),
    Key {
        name: "drain_delay_s",
        doc: "Before it closes anything, a drain serves and accepts for so long as before, while /health/ready says\n503: balancers turn away first. Unset: 0 where all listeners are on loopback, else 3.",
        required: false,
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
        required: false,
        access: Access::Text {
            get: |config| config.server.client_dir.as_deref().map(shown).unwrap_or_default(),
            set: |config, text| {
                config.server.client_dir = (!text.is_empty()).then(|| PathBuf::from(text));
                Ok(())
            },
        },
    },
];

pub(crate) const ADMIN: &[Key<Config>] = &[
    Key {
        name: "bind",
        doc: "Address and port. Beyond loopback only with a token.",
        required: false,
        access: Access::Text {
            get: |config| config.admin.bind.to_string(),
            set: |config, text| address(text).map(|value| config.admin.bind = value),
        },
    },
    field!(ipv6_only in admin: switch(), "Whether [::] takes IPv6 only; else it takes both."),
    field!(token in admin: secret(for_a_header),
        "Bearer token of every request. Empty: loopback only, and no request that carries an\nOrigin or a foreign Host."),
    Key {
        name: "trusted_proxies",
        doc: "As of a listener. What came through a proxy is answered with a token only.",
        required: false,
        access: Access::List {
            get: |config| networks_text(&config.admin.proxies.trusted),
            set: |config, list| networks(&list).map(|value| config.admin.proxies.trusted = value),
        },
    },
    field!(proxy_protocol in admin.proxies: switch(), "As of a listener."),
];

pub(crate) const AUTH: &[Key<Config>] = &[
    field!(mode in auth: word(),
        "dev: any token, or none, is somebody with every role; loopback only.\njwt: only tokens signed with jwt_secret (HS256)."),
    field!(jwt_secret in auth: secret(any),
        "Key of HS256, at least 32 bytes in jwt mode. Better kept out of this file:\nSIOD__AUTH__JWT_SECRET=… in the environment.\nEmpty, in dev: one of this process alone, so tokens of logins end with it."),
    field!(jwt_issuer in auth: text(any_text), "The \"iss\" a token must carry; empty: any or none."),
    field!(jwt_audience in auth: text(any_text), "The \"aud\" a token must name; empty: any or none."),
    field!(jwt_leeway_s in auth: int(0..=600, "seconds"), "How far \"nbf\" and \"iat\" may lie in the future; \"exp\" is exact."),
    field!(claims in auth: section(),
        "What claims of a token are called. Of each list the first claim that is there decides; a whole number becomes\nits decimal text."),
];

pub(crate) const STORE: &[Key<Config>] = &[Key {
    name: "url",
    doc: "\"sqlite:FILE\", or \"memory:\" (forgotten at the end). Unset: siod.db in server.data_dir.",
    required: false,
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

pub(crate) const UPSTREAM: &[Key<Config>] = &[
    Key {
        name: "allow",
        doc: "Addresses and networks that may be asked although they are private, loopback or link-local, such as\n\"127.0.0.1\" or \"10.1.0.0/16\". Metadata services of clouds (169.254.169.254, …) are asked only where\ntheir own address is listed.",
        required: false,
        access: Access::List {
            get: |config| networks_text(&config.upstream.allow),
            set: |config, list| networks(&list).map(|value| config.upstream.allow = value),
        },
    },
    Key {
        name: "nameservers",
        doc: "Who resolves names, such as \"9.9.9.9\" or \"127.0.0.1:5353\"; empty: those of /etc/resolv.conf.\nWhat stands in /etc/hosts goes before.",
        required: false,
        access: Access::List {
            get: |config| config.upstream.nameservers.iter().map(ToString::to_string).collect(),
            set: |config, list| {
                let servers: Option<Vec<SocketAddr>> = list.iter().map(|text| nameserver(text)).collect();
                config.upstream.nameservers =
                    servers.ok_or("must be a list of IP addresses, each with or without a port")?;
                Ok(())
            },
        },
    },
    Key {
        name: "ca_file",
        doc: "File of certificates (PEM) that are trusted beside the public roots, which the binary brings;\nempty: none.",
        required: false,
        access: Access::Text {
            get: |config| config.upstream.ca_file.as_deref().map(shown).unwrap_or_default(),
            set: |config, text| {
                config.upstream.ca_file = (!text.is_empty()).then(|| PathBuf::from(text));
                Ok(())
            },
        },
    },
];

pub(crate) const LOG: &[Key<Config>] = &[
    field!(format in log: word(), "auto: pretty on a terminal, json otherwise."),
    field!(level in log: word(), "Lines of this level and the ones before it are written."),
    field!(lines_per_s_max in log: int(1..=1_000_000, "per second"),
        "Lines of one kind that clients can cause; further ones are counted, and one line says how many."),
];

fn nameserver(text: &str) -> Option<SocketAddr> {
    let without_port = || text.parse::<IpAddr>().ok().map(|address| SocketAddr::new(address, DNS_PORT));
    text.parse().ok().or_else(without_port)
}

const DNS_PORT: u16 = 53;

fn filled<'a>(text: &'a str, what: &str) -> Result<&'a str, String> {
    if text.is_empty() { Err(format!("must name {what}")) } else { Ok(text) }
}
