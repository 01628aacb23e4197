//! From what was written to what it means: takes every key of the table out of the raw values, checks it, and refuses what
//! is left over. Then come the rules that need more than one key. Nothing stops at the first mistake.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use super::keys::listener::LISTENER;
use super::keys::{APP, Over, SECTIONS};
use super::raw::{Raw, Written};
use super::{AuthMode, Config, Listener, Proxies, Refusals, Secret};
use crate::app::settings::{Kind, Settings, Value};
use crate::app::table::{Configured, Table};

/// # Errors
/// One sentence for each thing that is wrong.
pub fn check(table: &'static Table, mut raw: Raw) -> Result<Config, Refusals> {
    let mut config = Config::untold(table);
    let mut refusals = Vec::new();
    for section in SECTIONS {
        let mut keys = Over { keys: section.keys, values: &mut config };
        take_section(&mut keys, section.name, &mut raw.values, &mut refusals);
    }
    for app in &mut config.apps {
        let section = app_section(app);
        take_section(&mut Over { keys: APP, values: app }, &section, &mut raw.values, &mut refusals);
        take_section(&mut *app.settings, &section, &mut raw.values, &mut refusals);
    }
    config.listeners.clear();
    for index in 0..raw.listeners {
        let mut listener = Listener::untold(table);
        let name = format!("{}[{index}]", LISTENER.name);
        let mut keys = Over { keys: LISTENER.keys, values: &mut listener };
        take_section(&mut keys, &name, &mut raw.values, &mut refusals);
        config.listeners.push(listener);
    }
    refusals.extend(raw.values.iter().filter_map(|(key, written)| leftover(&config, key, written)));
    let named = |sentence: &str| sentence.split([' ', ':']).next().unwrap_or_default().to_owned();
    let refused: Vec<String> = refusals.iter().map(|sentence| named(sentence)).collect();
    // A key that was refused still has its default: what follows from that teaches nobody anything.
    refusals.extend(refuse_combinations(&config).into_iter().filter(|sentence| !refused.contains(&named(sentence))));
    if refusals.is_empty() { Ok(config) } else { Err(Refusals(refusals)) }
}

/// Moves every known key of one section out of `values` and into `keys`.
fn take_section<S: Settings + ?Sized>(
    keys: &mut S,
    name: &str,
    values: &mut BTreeMap<String, Written>,
    refusals: &mut Vec<String>,
) {
    for (index, (key, _, kind)) in keys.keys().into_iter().enumerate() {
        let path = format!("{name}.{key}");
        if kind == Kind::Secret && take_below(&path, values) {
            refusals.push(format!("{path} = ***: must be {}", kind.wanted()));
            continue;
        }
        let Some(written) = values.remove(&path) else { continue };
        let (value, origin) = match written {
            Written::Toml(value) => (value, String::new()),
            Written::Text(text, origin) => (from_text(text, kind), format!(" (from {origin})")),
        };
        if let Err(wanted) = read(kind, &value).and_then(|value| keys.set(index, value)) {
            let shown = if kind == Kind::Secret { "***".to_owned() } else { shown(&value) };
            refusals.push(format!("{path} = {shown}{origin}: {wanted}"));
        }
    }
}

/// Removes what was written below a key, as `jwt_secret = { … }` or `jwt_secret.x`, where even names may be the secret.
fn take_below(path: &str, values: &mut BTreeMap<String, Written>) -> bool {
    let below = format!("{path}.");
    let before = values.len();
    values.retain(|key, _| !key.starts_with(&below));
    let found = values.len() < before;
    if found {
        values.remove(path);
    }
    found
}

/// Reads the text of a variable or flag as the kind of value its key wants; as a string where it does not look like one.
fn from_text(text: String, kind: Kind) -> toml::Value {
    let value = match kind {
        Kind::Int { .. } => text.parse().ok().map(toml::Value::Integer),
        Kind::Bool => text.parse().ok().map(toml::Value::Boolean),
        Kind::List if text.trim_start().starts_with('[') => {
            let list: Option<Vec<String>> = serde_json::from_str(&text).ok();
            list.map(|items| toml::Value::Array(items.into_iter().map(toml::Value::String).collect()))
        }
        Kind::List => {
            let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
            Some(toml::Value::Array(items.map(|item| toml::Value::String(item.to_owned())).collect()))
        }
        Kind::Text | Kind::Secret => None,
    };
    value.unwrap_or(toml::Value::String(text))
}

/// A value of the kind its key wants, or what it must be.
fn read(kind: Kind, value: &toml::Value) -> Result<Value, String> {
    let wanted = || format!("must be {}", kind.wanted());
    Ok(match kind {
        Kind::Int { .. } => {
            let number = value.as_integer().and_then(|number| u64::try_from(number).ok());
            Value::Int(number.ok_or_else(wanted)?)
        }
        Kind::Bool => Value::Bool(value.as_bool().ok_or_else(wanted)?),
        Kind::Text => Value::Text(text(value)?.to_owned()),
        Kind::Secret => Value::Secret(Secret::new(text(value)?)),
        Kind::List => {
            let items = value.as_array().ok_or_else(wanted)?;
            let items: Option<Vec<&str>> = items.iter().map(|item| text(item).ok()).collect();
            Value::List(items.ok_or_else(wanted)?.into_iter().map(str::to_owned).collect())
        }
    })
}

/// The table of an application: `apps.NAME`.
pub(super) fn app_section(app: &Configured) -> String {
    format!("apps.{}", app.row.name)
}

/// A value on one line, whatever it holds.
fn shown(value: &toml::Value) -> String {
    match value {
        toml::Value::String(text) => format!("{text:?}"),
        toml::Value::Array(items) => format!("[{}]", items.iter().map(shown).collect::<Vec<_>>().join(", ")),
        other => other.to_string(),
    }
}

/// A string that fits on one line.
fn text(value: &toml::Value) -> Result<&str, String> {
    let text = value.as_str().ok_or("must be a string")?;
    if text.chars().any(char::is_control) { Err("must not contain control characters".to_owned()) } else { Ok(text) }
}

/// The sentence about a key nobody took. Its value is not shown: it may be a secret under a misspelt name.
fn leftover(config: &Config, key: &str, written: &Written) -> Option<String> {
    let is_section = |key: &str| {
        let below = format!("{key}.");
        let names = SECTIONS.iter().map(|section| section.name.to_owned()).chain(config.apps.iter().map(app_section));
        key.starts_with("listener[") || names.into_iter().any(|name| name == key || name.starts_with(&below))
    };
    match written {
        Written::Toml(toml::Value::Table(empty)) if empty.is_empty() && is_section(key) => None,
        Written::Toml(_) => Some(format!("{key}: unknown key")),
        Written::Text(_, origin) => Some(format!("{key}: unknown key (from {origin})")),
    }
}

/// The rules that need more than one key.
fn refuse_combinations(config: &Config) -> Vec<String> {
    let mut refusals = Vec::new();
    let secret = config.auth.jwt_secret.expose().len();
    if config.auth.mode == AuthMode::Jwt && secret < JWT_SECRET_BYTES_MIN {
        refusals.push(format!(
            "auth.jwt_secret: must be at least {JWT_SECRET_BYTES_MIN} bytes where auth.mode = \"jwt\", and has {secret}; \
             set SIOD__AUTH__JWT_SECRET=\"$(openssl rand -hex 32)\""
        ));
    }
    for (index, listener) in config.listeners.iter().enumerate() {
        let key = format!("listener[{index}].bind = \"{}\"", listener.bind);
        if config.auth.mode == AuthMode::Dev && !listener.bind.ip().to_canonical().is_loopback() {
            refusals.push(format!(
                "{key}: must be a loopback address where auth.mode = \"dev\", since any token is good there; \
                 set SIOD__AUTH__MODE=jwt SIOD__AUTH__JWT_SECRET=\"$(openssl rand -hex 32)\""
            ));
        }
        if let Some(root) = listener.root.filter(|root| !config.serves(root)) {
            let enabled = config.apps.iter().filter(|app| app.enabled).map(|app| app.row.name);
            let allowed: Vec<&str> = enabled.chain(["none"]).collect();
            refusals.push(format!(
                "listener[{index}].root = \"{root}\": must be one of {} where apps.{root}.enabled = false",
                allowed.join(", ")
            ));
        }
        refusals.extend(refuse_proxies(&format!("listener[{index}]"), &listener.proxies));
        let taken = config.listeners[..index].iter().map(|other| (other.bind, other.ipv6_only));
        let mut taken = taken.chain([(config.admin.bind, config.admin.ipv6_only)]);
        if taken.any(|other| overlap(other, (listener.bind, listener.ipv6_only))) {
            refusals.push(format!(
                "{key}: must differ from every other listener and admin.bind; [::] is IPv4 too unless ipv6_only = true"
            ));
        }
    }
    if config.admin.token.is_empty() && !config.admin.bind.ip().to_canonical().is_loopback() {
        refusals.push(format!(
            "admin.bind = \"{}\": must be a loopback address where admin.token is empty; \
             set SIOD__ADMIN__TOKEN=\"$(openssl rand -hex 32)\"",
            config.admin.bind
        ));
    }
    refusals.extend(refuse_proxies("admin", &config.admin.proxies));
    let token = config.admin.token.expose().len();
    if (1..ADMIN_TOKEN_BYTES_MIN).contains(&token) {
        refusals.push(format!(
            "admin.token: must be empty or at least {ADMIN_TOKEN_BYTES_MIN} characters, and has {token}; \
             set SIOD__ADMIN__TOKEN=\"$(openssl rand -hex 32)\""
        ));
    }
    let (low, max) = (config.limits.outbox_low_mark_bytes, config.limits.outbox_bytes_max);
    if low > max {
        refusals.push(format!("limits.outbox_low_mark_bytes = {low}: must be at most limits.outbox_bytes_max = {max}"));
    }
    let (total, shards) = (config.limits.outbox_total_bytes_max, usize::from(config.server.shards.max(1)));
    if total > 0 && total < max * shards {
        refusals.push(format!(
            "limits.outbox_total_bytes_max = {total}: must be 0 or at least {}, which is limits.outbox_bytes_max for each shard",
            max * shards
        ));
    }
    refusals
}

/// Whether two listening addresses (and whether each is IPv6 only) are one for some client.
fn overlap(one: (SocketAddr, bool), other: (SocketAddr, bool)) -> bool {
    let covers = |(at, ipv6_only): (SocketAddr, bool), other: SocketAddr| {
        at.ip() == other.ip() || at.is_ipv6() && at.ip().is_unspecified() && !ipv6_only && other.is_ipv4()
    };
    one.0.port() != 0 && one.0.port() == other.0.port() && (covers(one, other.0) || covers(other, one.0))
}

/// Nobody may send a PROXY head, and everybody who is listed has to.
fn refuse_proxies(section: &str, proxies: &Proxies) -> Option<String> {
    (proxies.proxy_protocol && proxies.trusted.is_empty()).then(|| {
        format!(
            "{section}.proxy_protocol = true: must be false where trusted_proxies is empty, since PROXY heads are read from \
             these only; set {section}.trusted_proxies"
        )
    })
}

/// The shortest HS256 key we accept: as long as the hash (RFC 7518 section 3.2).
const JWT_SECRET_BYTES_MIN: usize = 32;
/// Nobody is kept from guessing: a token is too long for that.
const ADMIN_TOKEN_BYTES_MIN: usize = 16;
