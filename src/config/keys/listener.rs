//! The rows of `[[listener]]` ([`super`]).

use std::path::PathBuf;

use super::{Section, address, networks, networks_text, shown};
use crate::app::settings::{Access, Key, field, int, is_plain, switch};
use crate::app::table::Table;
use crate::base::limit::{self, EngineLimits};
use crate::base::origin::Origin;
use crate::config::{Cors, Listener};

/// `[[listener]]`; `root` comes first, since it decides the defaults of other keys and the words of one.
pub(crate) const LISTENER: Section<Listener> = Section {
    name: "listener",
    doc: "A public listener; repeat the table for more. Its engine values precede any namespace,\nso they hold for all applications reached through it.",
    keys: LISTENER_KEYS,
};

const LISTENER_KEYS: &[Key<Listener>] = &[
    Key {
        name: "root",
        doc: "The application that the namespace \"/\" is, by its name, or none. It must be enabled.",
        required: false,
        access: Access::Text {
            get: |listener| listener.root.unwrap_or("none").to_owned(),
            set: |listener, text| {
                listener.root = match text {
                    "none" => None,
                    name => Some(listener.table.row(name).ok_or_else(|| names(listener.table))?.name),
                };
                let EngineLimits { max_payload_bytes, ping_timeout_ms, connect_timeout_ms, .. } =
                    listener.engine_default();
                listener.engine.max_payload_bytes = max_payload_bytes;
                listener.engine.ping_timeout_ms = ping_timeout_ms;
                listener.engine.connect_timeout_ms = connect_timeout_ms;
                listener.resolve_paths(listener.written_paths());
                Ok(())
            },
        },
    },
    Key {
        name: "bind",
        doc: "Address and port. Beyond loopback only with auth.mode = \"jwt\" and a secret.",
        required: false,
        access: Access::Text {
            get: |listener| listener.bind.to_string(),
            set: |listener, text| address(text).map(|value| listener.bind = value),
        },
    },
    field!(ipv6_only: switch(), "Whether [::] takes IPv6 only; else it takes both."),
    Key {
        name: "paths",
        doc: "Engine paths. One with a slash at its end matches all paths that begin with it.\n/api/socket is always there too, with a root of its own.",
        required: false,
        access: Access::List {
            get: |listener| listener.written_paths(),
            set: |listener, list| {
                let is_path =
                    |path: &String| path.starts_with('/') && path.len() <= limit::NAME_BYTES_MAX && is_plain(path);
                if list.is_empty() || !list.iter().all(is_path) {
                    return Err("must be a list of paths, each beginning with / and without spaces, ? and #".to_owned());
                }
                listener.resolve_paths(list);
                Ok(())
            },
        },
    },
    field!(ping_interval_ms in engine: int(limit::PING_INTERVAL_MS_RANGE, "milliseconds"),
        "A ping goes to every client this often."),
    field!(ping_timeout_ms in engine: int(limit::PING_TIMEOUT_MS_RANGE, "milliseconds"),
        "A client that has not answered a ping for this long is gone.\nUnset: what the application that is the root wants, else 20000."),
    field!(max_payload_bytes in engine: int(limit::MAX_PAYLOAD_BYTES_RANGE, "bytes"),
        "Largest message a client may send, on every transport.\nUnset: what the application that is the root wants, else 1000000."),
    field!(connect_timeout_ms in engine: int(limit::CONNECT_TIMEOUT_MS_RANGE, "milliseconds"),
        "A client that has joined no namespace by then is closed.\nUnset: what the application that is the root wants, else 10000."),
    field!(ping_jitter in engine: switch(), "Pings come up to a tenth early, at random, so that they spread."),
    Key {
        name: "cors_origins",
        doc: "Web origins whose pages may connect: [\"*\"] or exact ones as browsers send them (\"https://app.example\",\n\"capacitor://localhost\", \"null\"). Admitted too: in dev mode pages of this machine, in jwt mode pages of\nthe same host and port as the request's Host, which a proxy must pass on.",
        required: false,
        access: Access::List {
            get: |listener| match &listener.cors {
                Cors::Any => vec!["*".to_owned()],
                Cors::List(origins) => origins.clone(),
            },
            set: |listener, list| cors(list).map(|value| listener.cors = value),
        },
    },
    Key {
        name: "trusted_proxies",
        doc: "Addresses and networks of proxies, such as \"10.0.0.4\" or \"10.1.0.0/16\". What X-Forwarded-For,\nForwarded and PROXY heads say of a client is read from these only: see \"Behind a proxy\" in README.md.",
        required: false,
        access: Access::List {
            get: |listener| networks_text(&listener.proxies.trusted),
            set: |listener, list| networks(&list).map(|value| listener.proxies.trusted = value),
        },
    },
    Key {
        name: "static_root",
        doc: "Directory with the page of an existing client, served with GET and HEAD on the socket's own origin: files and\nindex.html, no listing, no name that begins with a dot, no link that leads out. Engine paths, health and the\napplications' paths come first. Empty: the daemon's own page.",
        required: false,
        access: Access::Text {
            get: |listener| listener.static_root.as_deref().map(shown).unwrap_or_default(),
            set: |listener, text| {
                listener.static_root = (!text.is_empty()).then(|| PathBuf::from(text));
                Ok(())
            },
        },
    },
    Key {
        name: "dialect",
        doc: "How the clients of this listener spell the events of its root, where they do so otherwise: one of the dialects\nin the root's documentation. A handshake may choose for itself where the root says so. Empty: none.",
        required: false,
        access: Access::Text {
            get: |listener| listener.dialect.unwrap_or_default().to_owned(),
            set: |listener, text| listener.dialect_named(text).map(|value| listener.dialect = value),
        },
    },
    field!(proxy_protocol in proxies: switch(),
        "Connections of trusted_proxies begin with a head of the PROXY protocol, version 1 or 2."),
];

fn names(table: &Table) -> String {
    let names: Vec<&str> = table.rows.iter().map(|row| row.name).chain(["none"]).collect();
    format!("must be one of {}", names.join(", "))
}

fn cors(list: Vec<String>) -> Result<Cors, String> {
    if list == ["*"] {
        return Ok(Cors::Any);
    }
    let list: Option<Vec<String>> = list.iter().map(|origin| as_sent(origin)).collect();
    list.map(Cors::List).ok_or_else(|| {
        "must be [\"*\"] or exact origins as browsers send them, such as \"https://app.example\", \"http://[::1]:8080\", \
         \"capacitor://localhost\" or \"null\""
            .to_owned()
    })
}

/// An origin as browsers send it: without the port that its scheme has anyway.
fn as_sent(text: &str) -> Option<String> {
    if text == "null" {
        return Some(text.to_owned());
    }
    let origin = Origin::parse(text)?;
    Some(if origin.has_default_port() { format!("{}://{}", origin.scheme, origin.host) } else { text.to_owned() })
}
