//! From what was written to what it means: takes every key of the table out of what was written, checks it, and refuses what
//! is left over. Then come the rules that need more than one key. Nothing stops at the first mistake.

use std::net::SocketAddr;

use super::keys::listener::LISTENER;
use super::keys::{APP, SECTIONS};
use super::{AuthMode, Config, Listener, Proxies, Refusals};
use crate::app::settings::{Parts, Written, refuse_unknown, take_keys, take_rows, take_table};
use crate::app::table::{Configured, Table};
use crate::base::limit::LISTENERS_MAX;

/// # Errors
/// One sentence for each thing that is wrong.
pub(crate) fn check(table: &'static Table, written: Written, mut refusals: Vec<String>) -> Result<Config, Refusals> {
    let mut config = Config::untold(table);
    let mut parts = written.into_parts("", &mut refusals);
    for section in SECTIONS {
        let written = parts.remove(section.name).unwrap_or_default();
        take_table(section.keys, &mut config, written, section.name, &mut refusals);
    }
    take_apps(&mut config.apps, parts.remove("apps").unwrap_or_default(), &mut refusals);
    let (listeners, written) = (&mut config.listeners, parts.remove(LISTENER.name).unwrap_or_default());
    let fresh = || Listener::untold(table);
    take_rows(LISTENER.keys, listeners, &fresh, 1..=LISTENERS_MAX, written, LISTENER.name, &mut refusals);
    refuse_unknown("", parts, &mut refusals);
    let named = |sentence: &str| sentence.split([' ', ':']).next().unwrap_or_default().to_owned();
    let refused: Vec<String> = refusals.iter().map(|sentence| named(sentence)).collect();
    // Whether a dialect is one of a root that was refused is not known.
    let roots = refused.iter().filter_map(|key| key.strip_suffix(".root"));
    let unknown: Vec<String> = roots.map(|listener| format!("{listener}.dialect")).collect();
    refusals.retain(|sentence| !unknown.contains(&named(sentence)));
    // A key that was refused still has its default: what follows from that teaches nobody anything.
    refusals.extend(refuse_combinations(&config).into_iter().filter(|sentence| !refused.contains(&named(sentence))));
    if refusals.is_empty() { Ok(config) } else { Err(Refusals(refusals)) }
}

/// The tables of the applications.
fn take_apps(apps: &mut [Configured], written: Written, refusals: &mut Vec<String>) {
    let mut tables = written.into_parts("apps", refusals);
    for app in apps {
        let path = app_section(app);
        let mut parts: Parts = tables.remove(app.row.name).unwrap_or_default().into_parts(&path, refusals);
        take_keys(APP, app, &mut parts, &path, refusals);
        app.settings.take(&mut parts, &path, refusals);
        refuse_unknown(&path, parts, refusals);
    }
    refuse_unknown("apps", tables, refusals);
}

/// The table of an application: `apps.NAME`.
pub(super) fn app_section(app: &Configured) -> String {
    format!("apps.{}", app.row.name)
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
