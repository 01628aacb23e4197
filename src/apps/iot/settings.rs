//! What an operator may change about iot: `[apps.iot]` of the configuration.

use super::wire::oauth::Hosts;
use super::wire::seal::check_key;
use crate::app::kit::rate::Rate;
use crate::app::settings::{
    any, any_text, filled, int, is_plain, list, networks, real, secret, secrets, settings, switch, text, word, words,
};
use crate::base::limit;
use crate::base::secret::Secret;

const HOUR_MS: u64 = 3_600_000;
const DAY_MS: u64 = 24 * HOUR_MS;
const LIST_MAX: usize = 256;

words! {
    /// What names the system of a socket.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub enum Join {
        /// Its token.
        Token = "token",
        /// As well a client without a token, of an allowed origin: it may look.
        Open = "open",
    }
}

words! {
    /// How a plug is switched over the cloud's socket.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub enum CloudCommand {
        Relay = "relay",
        Jrpc = "jrpc",
    }
}

words! {
    /// How much the log of the process says of what comes from outside.
    #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
    pub enum Detail {
        Normal = "normal",
        /// Statuses as well.
        Verbose = "verbose",
        /// And what was not understood.
        Debug = "debug",
    }
}

settings! {
    /// `[apps.iot]` without `enabled`.
    pub struct Settings {
        join: Join = Join::Token, word(),
            "token: a client's token names its system. open: so may a client without a token whose page is of open_origins;\nit may look, and nothing else.";
        open_origins: Vec<String> = Vec::new(), list(names),
            "Origins whose pages need no token where join = \"open\", such as \"https://clinic.example\"; \"*\": any, and none.\nWhere iot is the root of a listener they count among its cors_origins.";
        legacy_actions: bool = false, switch(),
            "Answers of actions name the action, and a control by HTTP shows what was asked for before the device has\nanswered.";
        session_cookie: String = String::new(), text(any_text), "A cookie that holds a token, for HTTP; empty: none.";
        bridge_addresses: Vec<String> = Vec::new(), list(networks),
            "Addresses and networks whose sockets may send broadcast-to-system.";
        bridge_url: String = String::new(), text(url), "Where what rooms are told is sent on to; empty: nowhere.";
        max_messages_per_minute: u32 = 60, int(1..=1_000_000, ""), "Events of one socket, and commands of one credential, in the window.";
        max_messages_per_minute_ip: u32 = 600, int(1..=1_000_000, ""), "Events of one address and system in the window.";
        rate_limit_window_ms: u64 = 60_000, int(10..=HOUR_MS, "milliseconds"), "The window of both.";
        log_retention_days: u32 = 30, int(0..=36_500, "days"), "Older rows of connections' logs go; 0: never.";
        devices_per_system_max: usize = 10_000, int(1..=100_000, ""), "Devices of one system.";
        encryption_key: Secret = Secret::default(), secret(key),
            "32 bytes, as hex or base64, by which credentials are encrypted. Keep it out of this file:\nSIOD__APPS__IOT__ENCRYPTION_KEY=…";
        encryption_keys_old: Vec<Secret> = Vec::new(), secrets(keys), "Keys before it, by which what was encrypted can still be read.";
        cloud_login_url: String = "https://api.shelly.cloud".to_owned(), text(url), "Where accounts of the Shelly cloud log in.";
        cloud_hosts: Vec<String> = vec!["*.shelly.cloud".to_owned()], list(names),
            "Hosts that an account's token may name; \"*.\" in front: every host below.";
        cloud_ws_port: u16 = 6_113, int(1..=65_535, ""), "The port of the cloud's event socket.";
        allow_insecure_upstream: bool = false, switch(), "Whether the cloud may be asked over http and ws.";
        cloud_command: CloudCommand = CloudCommand::Relay, word(),
            "relay: plugs are switched by the cloud's own request. jrpc: by Switch.Set, which says how they were.";
        cloud_ping_ms: u64 = 120_000, int(10..=HOUR_MS, "milliseconds"), "The event socket is pinged when it has been silent for this long.";
        connect_timeout_ms: u64 = 10_000, int(10..=HOUR_MS, "milliseconds"), "A connection or an answer by HTTP is waited for this long.";
        command_timeout_ms: u64 = 5_000, int(10..=HOUR_MS, "milliseconds"), "The answer to a command over the cloud is waited for this long.";
        rpc_timeout_ms: u64 = 10_000, int(10..=HOUR_MS, "milliseconds"), "The answer of a device's own RPC is waited for this long.";
        reconnect_delay_ms: u64 = 5_000, int(10..=HOUR_MS, "milliseconds"), "Before the first try to connect again …";
        reconnect_backoff: f64 = 1.5, real(1.0..=10.0, ""), "… times this before each further one …";
        reconnect_delay_max_ms: u64 = 300_000, int(10..=DAY_MS, "milliseconds"), "… up to this.";
        backoff_reset_ms: u64 = 60_000, int(10..=DAY_MS, "milliseconds"), "A connection that lived for this long begins anew.";
        token_refresh_lead_s: u64 = 300, int(1..=86_400, "seconds"), "The cloud's token is renewed so long before its end.";
        http_interval_ms: u64 = 1_000, int(10..=HOUR_MS, "milliseconds"), "Between two HTTP requests of one account of the cloud.";
        device_ping_ms: u64 = 20_000, int(10..=HOUR_MS, "milliseconds"), "Sockets of devices are pinged this often; two misses end them.";
        lan_networks: Vec<String> = Vec::new(), list(networks), "Networks in which devices may be dialled, and asked, whatever upstream.allow says; empty: none.";
        state_timeout_ms: u64 = 0, int(0..=DAY_MS, "milliseconds"), "A device that said nothing for this long counts as offline; 0: never.";
        consumption_timeout_ms: u64 = 0, int(0..=DAY_MS, "milliseconds"),
            "Consumption that was not said again within this is not valid any more; 0: it stays.";
        sleeper_offline_factor: f64 = 0.0, real(0.0..=100.0, ""),
            "A device that sleeps counts as offline after this many of its periods; 0: never.";
        log_detail: Detail = Detail::Normal, word(), "normal. verbose: statuses too. debug: what was not understood, too.";
    }
}

impl Settings {
    /// Events of one socket.
    pub(super) fn per_socket(&self) -> Rate {
        Rate { limit: self.max_messages_per_minute, window_ms: self.rate_limit_window_ms }
    }

    /// Events of one address.
    pub(super) fn per_address(&self) -> Rate {
        Rate { limit: self.max_messages_per_minute_ip, window_ms: self.rate_limit_window_ms }
    }

    /// Whether a page of this origin, empty: no page, needs no token.
    pub(super) fn is_open_to(&self, origin: &str) -> bool {
        let is_listed = |listed: &String| listed == "*" || (!origin.is_empty() && listed == origin);
        self.join == Join::Open && self.open_origins.iter().any(is_listed)
    }

    /// Which hosts are a cloud's.
    pub(super) fn hosts_of_clouds(&self) -> Hosts<'_> {
        Hosts { patterns: &self.cloud_hosts, allow_insecure: self.allow_insecure_upstream }
    }

    /// Origins whose pages may come without a token.
    pub(super) fn origins(&self) -> Vec<String> {
        if self.join == Join::Open { self.open_origins.clone() } else { Vec::new() }
    }

    /// Hosts that may be asked wherever they lead, and networks.
    pub(super) fn hosts(&self) -> Vec<String> {
        let urls = [&self.cloud_login_url, &self.bridge_url];
        let named = urls.into_iter().filter(|url| !url.is_empty()).cloned();
        let plain = self.cloud_hosts.iter().filter(|host| !host.starts_with("*.")).cloned();
        named.chain(plain).chain(self.lan_networks.iter().cloned()).collect()
    }
}

fn key(at: &mut Secret, secret: Secret) -> Result<(), String> {
    check_key(secret.expose())?;
    any(at, secret)
}

fn keys(at: &mut Vec<Secret>, list: Vec<Secret>) -> Result<(), String> {
    list.iter().try_for_each(|secret| check_key(secret.expose()))?;
    any(at, list)
}

fn names(at: &mut Vec<String>, list: Vec<String>) -> Result<(), String> {
    let mut word = String::new();
    let is_name =
        |name: &String| name.len() <= limit::NAME_BYTES_MAX && filled(&mut word, name).is_ok() && is_plain(name);
    match list.len() <= LIST_MAX && list.iter().all(is_name) {
        true => any(at, list),
        false => Err(format!("must be a list of at most {LIST_MAX} names of 1 to {} bytes", limit::NAME_BYTES_MAX)),
    }
}

/// Without a slash at its end.
fn url(at: &mut String, text: &str) -> Result<(), String> {
    let schemes = ["https://", "http://", "wss://", "ws://"];
    match text.is_empty() || (is_plain(text) && schemes.iter().any(|scheme| text.starts_with(scheme))) {
        true => any_text(at, text.trim_end_matches('/')),
        false => Err("must be empty or begin with http:// or https://".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_open_door_is_open_to_listed_origins() {
        let open = |origins: &[&str]| Settings {
            join: Join::Open,
            open_origins: origins.iter().map(|origin| (*origin).to_owned()).collect(),
            ..Settings::default()
        };
        for (origins, origin, expected) in [
            (&[][..], "", false),
            (&["*"][..], "", true),
            (&["*"][..], "https://a.example", true),
            (&["https://a.example"][..], "https://a.example", true),
            (&["https://a.example"][..], "https://b.example", false),
            (&["https://a.example"][..], "", false),
        ] {
            assert_eq!(open(origins).is_open_to(origin), expected, "{origins:?} {origin}");
        }
        assert!(!Settings { open_origins: vec!["*".into()], ..Settings::default() }.is_open_to(""));
    }

    #[test]
    fn addresses_are_networks_of_one() {
        assert!(networks(&mut Vec::new(), vec!["10.0.0.0/8".into(), "127.0.0.1".into(), "::1".into()]).is_ok());
        assert!(networks(&mut Vec::new(), vec!["clinic".into()]).is_err());
    }
}
