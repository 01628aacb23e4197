//! From what was written to what it means: takes every key of the table out of the raw values, checks it, and refuses what
//! is left over. Then come the rules that need more than one key. Nothing stops at the first mistake.

use std::collections::BTreeMap;

use toml::Value;

use super::keys::listener::LISTENER;
use super::keys::{Access, Key, SECTIONS};
use super::raw::{Raw, Written};
use super::{AppName, AuthMode, Config, Listener, Refusals, Secret};

/// # Errors
/// One sentence for each thing that is wrong.
pub fn check(mut raw: Raw) -> Result<Config, Refusals> {
    let mut config = Config::default();
    let mut refusals = Vec::new();
    for section in SECTIONS {
        take_section(&mut config, section.name, section.keys, &mut raw.values, &mut refusals);
    }
    config.listeners.clear();
    for index in 0..raw.listeners {
        let mut listener = Listener::default();
        let name = format!("{}[{index}]", LISTENER.name);
        take_section(&mut listener, &name, LISTENER.keys, &mut raw.values, &mut refusals);
        config.listeners.push(listener);
    }
    refusals.extend(raw.values.iter().filter_map(|(key, written)| leftover(key, written)));
    let named = |sentence: &str| sentence.split([' ', ':']).next().unwrap_or_default().to_owned();
    let refused: Vec<String> = refusals.iter().map(|sentence| named(sentence)).collect();
    // A key that was refused still has its default: what follows from that teaches nobody anything.
    refusals.extend(refuse_combinations(&config).into_iter().filter(|sentence| !refused.contains(&named(sentence))));
    if refusals.is_empty() { Ok(config) } else { Err(Refusals(refusals)) }
}

/// Moves every known key of one section out of `values` and into `target`.
fn take_section<T>(
    target: &mut T,
    name: &str,
    keys: &[Key<T>],
    values: &mut BTreeMap<String, Written>,
    refusals: &mut Vec<String>,
) {
    for key in keys {
        let path = format!("{name}.{}", key.name);
        let Some(written) = values.remove(&path) else { continue };
        let (value, origin) = match written {
            Written::Toml(value) => (value, String::new()),
            Written::Text(text, origin) => (from_text(text, &key.access), format!(" (from {origin})")),
        };
        if let Err(wanted) = set(target, &key.access, &value) {
            let shown = if matches!(key.access, Access::Secret { .. }) { "***".to_owned() } else { shown(&value) };
            refusals.push(format!("{path} = {shown}{origin}: {wanted}"));
        }
    }
}

/// Reads the text of a variable or flag as the kind of value its key wants; as a string where it does not look like one.
fn from_text<T>(text: String, access: &Access<T>) -> Value {
    let value = match access {
        Access::Int { .. } => text.parse().ok().map(Value::Integer),
        Access::Bool { .. } => text.parse().ok().map(Value::Boolean),
        Access::List { .. } if text.trim_start().starts_with('[') => {
            let list: Option<Vec<String>> = serde_json::from_str(&text).ok();
            list.map(|items| Value::Array(items.into_iter().map(Value::String).collect()))
        }
        Access::List { .. } => {
            let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
            Some(Value::Array(items.map(|item| Value::String(item.to_owned())).collect()))
        }
        Access::Text { .. } | Access::Secret { .. } => None,
    };
    value.unwrap_or(Value::String(text))
}

/// Puts a value where its key says, or says what it must be.
fn set<T>(target: &mut T, access: &Access<T>, value: &Value) -> Result<(), String> {
    match access {
        Access::Int { min, max, unit, set, .. } => {
            let number = value.as_integer().and_then(|number| u64::try_from(number).ok());
            let number = number.filter(|number| (*min..=*max).contains(number));
            set(target, number.ok_or_else(|| format!("must be {}", int_range(*min, *max, unit)))?);
            Ok(())
        }
        Access::Bool { set, .. } => {
            set(target, value.as_bool().ok_or("must be true or false")?);
            Ok(())
        }
        Access::Text { set, .. } => set(target, text(value)?),
        Access::Secret { set, .. } => set(target, Secret::new(text(value)?)),
        Access::List { set, .. } => {
            let items = value.as_array().ok_or("must be a list of strings")?;
            let items: Option<Vec<&str>> = items.iter().map(|item| text(item).ok()).collect();
            set(target, items.ok_or("must be a list of strings")?.into_iter().map(str::to_owned).collect())
        }
    }
}

/// `between 100 and 3600000 (milliseconds)`.
pub(super) fn int_range(min: u64, max: u64, unit: &str) -> String {
    let unit = if unit.is_empty() { String::new() } else { format!(" ({unit})") };
    format!("between {min} and {max}{unit}")
}

/// A value on one line, whatever it holds.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => format!("{text:?}"),
        Value::Array(items) => format!("[{}]", items.iter().map(shown).collect::<Vec<_>>().join(", ")),
        other => other.to_string(),
    }
}

/// A string that fits on one line.
fn text(value: &Value) -> Result<&str, String> {
    let text = value.as_str().ok_or("must be a string")?;
    if text.chars().any(char::is_control) { Err("must not contain control characters".to_owned()) } else { Ok(text) }
}

/// The sentence about a key nobody took. Its value is not shown: it may be a secret under a misspelt name.
fn leftover(key: &str, written: &Written) -> Option<String> {
    let is_section = |key: &str| {
        let below = format!("{key}.");
        key.starts_with("listener[") || SECTIONS.iter().any(|at| at.name == key || at.name.starts_with(&below))
    };
    match written {
        Written::Toml(Value::Table(empty)) if empty.is_empty() && is_section(key) => None,
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
        if let Some(root) = listener.root.filter(|root| !config.apps.is_enabled(*root)) {
            let enabled = AppName::SERVED.into_iter().filter(|name| config.apps.is_enabled(*name));
            let allowed: Vec<&str> = enabled.map(AppName::as_str).chain(["none"]).collect();
            let root = root.as_str();
            refusals.push(format!(
                "listener[{index}].root = \"{root}\": must be one of {} where apps.{root}.enabled = false",
                allowed.join(", ")
            ));
        }
        if listener.proxies.proxy_protocol && listener.proxies.trusted.is_empty() {
            refusals.push(format!(
                "listener[{index}].proxy_protocol = true: must be false where trusted_proxies is empty, since PROXY heads are \
                 read from these only; set listener[{index}].trusted_proxies"
            ));
        }
        let taken = config.listeners[..index].iter().map(|other| other.bind).chain([config.admin.bind]);
        if listener.bind.port() != 0 && taken.into_iter().any(|other| other == listener.bind) {
            refusals.push(format!("{key}: must differ from every other listener and admin.bind"));
        }
    }
    if config.admin.token.is_empty() && !config.admin.bind.ip().to_canonical().is_loopback() {
        refusals.push(format!(
            "admin.bind = \"{}\": must be a loopback address where admin.token is empty; \
             set SIOD__ADMIN__TOKEN=\"$(openssl rand -hex 32)\"",
            config.admin.bind
        ));
    }
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

/// The shortest HS256 key we accept: as long as the hash (RFC 7518 section 3.2).
const JWT_SECRET_BYTES_MIN: usize = 32;
/// Nobody is kept from guessing: a token is too long for that.
const ADMIN_TOKEN_BYTES_MIN: usize = 16;
