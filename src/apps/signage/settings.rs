//! What an operator may change about signage: `[apps.signage]` of the configuration, as plain values.

use crate::app::identity::intake;
use crate::app::settings::{Access, Key, int, is_plain, switch};
use crate::base::limit;
use crate::base::secret::Secret;

/// `[apps.signage]` without `enabled`. Ranges are checked where the configuration is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// A device's state is published at most this often; a change of `vlc.state` at once.
    pub state_interval_ms: u64,
    /// A command unanswered for this long has timed out; per attempt, where the command names no time of its own.
    pub command_timeout_ms: u64,
    /// Further attempts for an unanswered command that may be repeated (play, stop, snapshot).
    pub command_retries_max: u32,
    /// Larger pictures are refused as `SNAPSHOT_TOO_LARGE`.
    pub snapshot_bytes_max: usize,
    /// All pictures on disk together; above it the oldest go.
    pub snapshot_quota_bytes: u64,
    /// Pictures older than this go.
    pub snapshot_ttl_h: u64,
    /// A device gone for this long raises the alert `offline`.
    pub offline_alert_after_ms: u64,
    /// `devices:stats` goes out this often.
    pub stats_interval_ms: u64,
    /// Published states kept per device; the oldest go first.
    pub history_per_device_max: u32,
    /// An admin is subscribed to the devices it may see when it connects.
    pub subscribe_on_connect: bool,
    /// Commands let through beside the five of SIGNAGE 3.
    pub extra_commands: Vec<String>,
    /// A token that admits any device; empty: each device has its own.
    pub fleet_token: Secret,
    /// Bad tokens from one address within the window before further ones are throttled.
    pub auth_failures_max: u32,
    pub auth_failure_window_s: u64,
    /// Devices of one fleet, known or pending.
    pub devices_max: usize,
    /// What snapshot URLs begin with, without a slash at the end; empty: they are relative.
    pub public_url: String,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            state_interval_ms: 500,
            command_timeout_ms: 5_000,
            command_retries_max: 2,
            snapshot_bytes_max: 8_388_608,
            snapshot_quota_bytes: 1_073_741_824,
            snapshot_ttl_h: 24,
            offline_alert_after_ms: 30_000,
            stats_interval_ms: 5_000,
            history_per_device_max: 500,
            subscribe_on_connect: true,
            extra_commands: Vec::new(),
            fleet_token: Secret::default(),
            auth_failures_max: 10,
            auth_failure_window_s: 60,
            devices_max: 10_000,
            public_url: String::new(),
        }
    }
}

const HOUR_MS: u64 = 3_600_000;
const GIB: u64 = 1_073_741_824;

/// The keys of `[apps.signage]` but for `enabled`.
pub const KEYS: &[Key<Settings>] = &[
    int!(state_interval_ms: 0, HOUR_MS, "milliseconds",
        "A device's state is published at most this often; a change of vlc.state at once."),
    int!(command_timeout_ms: 100, HOUR_MS, "milliseconds",
        "A command unanswered for this long has timed out; per attempt."),
    int!(command_retries_max: 0, 10, "",
        "Further attempts for an unanswered command that may be repeated (play, stop, snapshot)."),
    int!(snapshot_bytes_max: 1_024, 268_435_456, "bytes",
        "Larger pictures are refused as SNAPSHOT_TOO_LARGE."),
    int!(snapshot_quota_bytes: 0, 1_024 * GIB, "bytes",
        "All pictures on disk together; above it the oldest go."),
    int!(snapshot_ttl_h: 1, 87_600, "hours", "Pictures older than this go."),
    int!(offline_alert_after_ms: 0, 24 * HOUR_MS, "milliseconds",
        "A device gone for this long raises the alert \"offline\"."),
    int!(stats_interval_ms: 100, HOUR_MS, "milliseconds",
        "devices:stats goes out this often."),
    int!(history_per_device_max: 0, 100_000, "",
        "Published states kept per device; the oldest go first."),
    switch!(subscribe_on_connect, "An admin is subscribed to the devices it may see when it connects."),
    Key {
        name: "extra_commands",
        doc: "Commands let through beside vlc:play, vlc:pause, vlc:stop, vlc:fullscreen, vlc:snapshot.",
        access: Access::List {
            get: |settings| settings.extra_commands.clone(),
            set: |settings, list| {
                if !list.iter().all(|name| (1..=limit::NAME_BYTES_MAX).contains(&name.len())) {
                    return Err(format!("must be a list of names of 1 to {} bytes", limit::NAME_BYTES_MAX));
                }
                settings.extra_commands = list;
                Ok(())
            },
        },
    },
    Key {
        name: "fleet_token",
        doc: "A token that admits any device (existing players all send the same one); empty: each\ndevice has its own. Better kept out of this file: SIOD__APPS__SIGNAGE__FLEET_TOKEN=…",
        access: Access::Secret {
            get: |settings| &settings.fleet_token,
            set: |settings, token| for_an_auth_object(token).map(|token| settings.fleet_token = token),
        },
    },
    int!(auth_failures_max: 1, 1_000_000, "",
        "Bad tokens from one address within the window before further ones are throttled."),
    int!(auth_failure_window_s: 1, 86_400, "seconds", "The window of auth_failures_max."),
    int!(devices_max: 1, 1_000_000, "", "Devices of one fleet, known or pending."),
    Key {
        name: "public_url",
        doc: "What the URLs of snapshots begin with, such as \"https://signage.example\";\nempty: they are relative.",
        access: Access::Text {
            get: |settings| settings.public_url.clone(),
            set: |settings, text| {
                let is_url = is_plain(text) && (text.starts_with("https://") || text.starts_with("http://"));
                if !text.is_empty() && !is_url {
                    return Err("must be empty or begin with http:// or https://".to_owned());
                }
                settings.public_url = text.trim_end_matches('/').to_owned();
                Ok(())
            },
        },
    },
];

/// A secret that devices present as `auth.token` or `auth.authToken`: any text that arrives there as it is.
fn for_an_auth_object(secret: Secret) -> Result<Secret, String> {
    let text = secret.expose();
    match text.is_empty() || text.len() <= limit::TOKEN_BYTES_MAX && intake::bare(text) == Some(text) {
        true => Ok(secret),
        false => {
            Err(format!("must be at most {} bytes, without \"Bearer\" and spaces around it", limit::TOKEN_BYTES_MAX))
        }
    }
}
