//! What an operator may change about signage: `[apps.signage]` of the configuration.

use crate::app::identity::intake;
use crate::app::settings::{any, any_text, int, is_plain, list, networks, secret, settings, switch, text};
use crate::base::limit;
use crate::base::secret::Secret;

const HOUR_MS: u64 = 3_600_000;
const GIB: u64 = 1_073_741_824;
const PATHS_MAX: usize = 64;

settings! {
    /// `[apps.signage]` without `enabled`.
    pub struct Settings {
        state_interval_ms: u64 = 500, int(0..=HOUR_MS, "milliseconds"),
            "A device's state is published at most this often; a change of what plays at once.";
        volatile_paths: Vec<String> = volatile(), list(paths),
            "Paths of a state whose changes alone are not published; the next published change carries them.";
        state_request_interval_ms: u64 = 30_000, int(0..=24 * HOUR_MS, "milliseconds"),
            "A device that has reported nothing for this long is asked for its state; 0: never.";
        command_timeout_ms: u64 = 5_000, int(10..=HOUR_MS, "milliseconds"),
            "A command unanswered for this long has timed out; per attempt.";
        command_retries_max: u32 = 2, int(0..=10, ""),
            "Further attempts for an unanswered command that may be repeated (play, stop, snapshot).";
        snapshot_bytes_max: usize = 8_388_608, int(1_024..=268_435_456, "bytes"),
            "Larger snapshots are refused as SNAPSHOT_TOO_LARGE.";
        snapshot_quota_bytes: u64 = GIB, int(0..=1_024 * GIB, "bytes"),
            "All snapshots on disk together; above it the oldest go.";
        snapshot_ttl_h: u64 = 24, int(1..=87_600, "hours"), "Snapshots older than this go.";
        offline_alert_after_ms: u64 = 30_000, int(0..=24 * HOUR_MS, "milliseconds"),
            "A device gone for this long raises the alert \"offline\".";
        stats_interval_ms: u64 = 5_000, int(10..=HOUR_MS, "milliseconds"), "devices:stats goes out this often.";
        history_per_device_max: u32 = 500, int(0..=100_000, ""),
            "Published states kept per device; the oldest go first.";
        subscribe_on_connect: bool = true, switch(),
            "An admin is subscribed to the devices it may see when it connects.";
        extra_commands: Vec<String> = Vec::new(), list(names),
            "Commands let through beside vlc:play, vlc:pause, vlc:stop, vlc:fullscreen, vlc:snapshot.";
        aux_sockets_max: usize = 2, int(1..=16, ""),
            "Sockets of one device that have not registered; the oldest goes first.";
        aux_command_grace_ms: u64 = 2_000, int(10..=HOUR_MS, "milliseconds"),
            "A command to an auxiliary socket that hears of no error for this long counts as done.";
        player_port: u16 = 3_000, int(1..=65_535, ""),
            "The port of a player's own web server, unless its state names it in app.server.port.";
        legacy_addresses: Vec<String> = Vec::new(), list(networks),
            "Addresses and networks from which legacy players are let in without a token.";
        pairing: bool = false, switch(),
            "A device without a token may show a code, by which an admin lets it in.";
        token_overlap_min: u64 = 60, int(0..=525_600, "minutes"),
            "A token that was rotated is good for this long after its successor was first used.";
        fleet_token: Secret = Secret::default(), secret(for_an_auth_object),
            "A token that admits any device (existing players all send the same one); empty: each\ndevice has its own. Better kept out of this file: SIOD__APPS__SIGNAGE__FLEET_TOKEN=…";
        auth_failures_max: u32 = 10, int(1..=1_000_000, ""),
            "Bad tokens from one address within the window before further ones are throttled.";
        auth_failure_window_s: u64 = 60, int(1..=86_400, "seconds"), "The window of auth_failures_max.";
        devices_max: usize = 10_000, int(1..=1_000_000, ""), "Devices of one fleet, known or pending.";
        public_url: String = String::new(), text(url),
            "What the URLs of snapshots begin with, such as \"https://signage.example\";\nempty: they are relative.";
    }
}

fn volatile() -> Vec<String> {
    let paths =
        ["timestamp", "system.timestamp", "system.uptime", "system.freeMem", "system.loadavg", "storage.timestamp"];
    paths.map(str::to_owned).into()
}

fn paths(at: &mut Vec<String>, list: Vec<String>) -> Result<(), String> {
    let is_path = |path: &String| path.len() <= limit::NAME_BYTES_MAX && path.split('.').all(|name| !name.is_empty());
    match list.len() <= PATHS_MAX && list.iter().all(is_path) {
        true => any(at, list),
        false => Err(format!("must be a list of at most {PATHS_MAX} paths such as \"system.uptime\"")),
    }
}

fn names(at: &mut Vec<String>, list: Vec<String>) -> Result<(), String> {
    match list.iter().all(|name| (1..=limit::NAME_BYTES_MAX).contains(&name.len())) {
        true => any(at, list),
        false => Err(format!("must be a list of names of 1 to {} bytes", limit::NAME_BYTES_MAX)),
    }
}

/// A secret that devices present as `auth.token` or `auth.authToken`: any text that arrives there as it is.
fn for_an_auth_object(at: &mut Secret, secret: Secret) -> Result<(), String> {
    let text = secret.expose();
    match text.is_empty() || text.len() <= limit::TOKEN_BYTES_MAX && intake::bare(text) == Some(text) {
        true => any(at, secret),
        false => {
            Err(format!("must be at most {} bytes, without \"Bearer\" and spaces around it", limit::TOKEN_BYTES_MAX))
        }
    }
}

/// Without a slash at its end.
fn url(at: &mut String, text: &str) -> Result<(), String> {
    let is_url = is_plain(text) && (text.starts_with("https://") || text.starts_with("http://"));
    match text.is_empty() || is_url {
        true => any_text(at, text.trim_end_matches('/')),
        false => Err("must be empty or begin with http:// or https://".to_owned()),
    }
}
