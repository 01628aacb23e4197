//! The rows of `[apps.signage]` ([`super`]).

use super::{Access, Key, int, is_plain, switch};
use crate::app::identity::intake;
use crate::base::limit;
use crate::config::{Config, Secret};

const HOUR_MS: u64 = 3_600_000;
const GIB: u64 = 1_073_741_824;

pub const SIGNAGE: &[Key<Config>] = &[
    switch!(enabled in apps.signage, "Whether it is served."),
    int!(state_interval_ms in apps.signage.settings: 0, HOUR_MS, "milliseconds",
        "A device's state is published at most this often; a change of vlc.state at once."),
    int!(command_timeout_ms in apps.signage.settings: 100, HOUR_MS, "milliseconds",
        "A command unanswered for this long has timed out; per attempt."),
    int!(command_retries_max in apps.signage.settings: 0, 10, "",
        "Further attempts for an unanswered command that may be repeated (play, stop, snapshot)."),
    int!(snapshot_bytes_max in apps.signage.settings: 1_024, 268_435_456, "bytes",
        "Larger pictures are refused as SNAPSHOT_TOO_LARGE."),
    int!(snapshot_quota_bytes in apps.signage.settings: 0, 1_024 * GIB, "bytes",
        "All pictures on disk together; above it the oldest go."),
    int!(snapshot_ttl_h in apps.signage.settings: 1, 87_600, "hours", "Pictures older than this go."),
    int!(offline_alert_after_ms in apps.signage.settings: 0, 24 * HOUR_MS, "milliseconds",
        "A device gone for this long raises the alert \"offline\"."),
    int!(stats_interval_ms in apps.signage.settings: 100, HOUR_MS, "milliseconds",
        "devices:stats goes out this often."),
    int!(history_per_device_max in apps.signage.settings: 0, 100_000, "",
        "Published states kept per device; the oldest go first."),
    switch!(subscribe_on_connect in apps.signage.settings,
        "An admin is subscribed to the devices it may see when it connects."),
    Key {
        name: "extra_commands",
        doc: "Commands let through beside vlc:play, vlc:pause, vlc:stop, vlc:fullscreen, vlc:snapshot.",
        access: Access::List {
            get: |config| config.apps.signage.settings.extra_commands.clone(),
            set: |config, list| {
                if !list.iter().all(|name| (1..=limit::NAME_BYTES_MAX).contains(&name.len())) {
                    return Err(format!("must be a list of names of 1 to {} bytes", limit::NAME_BYTES_MAX));
                }
                config.apps.signage.settings.extra_commands = list;
                Ok(())
            },
        },
    },
    Key {
        name: "fleet_token",
        doc: "A token that admits any device (existing players all send the same one); empty: each\ndevice has its own. Better kept out of this file: SIOD__APPS__SIGNAGE__FLEET_TOKEN=…",
        access: Access::Secret {
            get: |config| &config.apps.signage.settings.fleet_token,
            set: |config, token| {
                for_an_auth_object(token).map(|token| config.apps.signage.settings.fleet_token = token)
            },
        },
    },
    int!(auth_failures_max in apps.signage.settings: 1, 1_000_000, "",
        "Bad tokens from one address within the window before further ones are throttled."),
    int!(auth_failure_window_s in apps.signage.settings: 1, 86_400, "seconds", "The window of auth_failures_max."),
    int!(devices_max in apps.signage.settings: 1, 1_000_000, "", "Devices of one fleet, known or pending."),
    Key {
        name: "public_url",
        doc: "What the URLs of snapshots begin with, such as \"https://signage.example\";\nempty: they are relative.",
        access: Access::Text {
            get: |config| config.apps.signage.settings.public_url.clone(),
            set: |config, text| {
                let is_url = is_plain(text) && (text.starts_with("https://") || text.starts_with("http://"));
                if !text.is_empty() && !is_url {
                    return Err("must be empty or begin with http:// or https://".to_owned());
                }
                config.apps.signage.settings.public_url = text.trim_end_matches('/').to_owned();
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
