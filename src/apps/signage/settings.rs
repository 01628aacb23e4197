//! What an operator may change about signage: `[apps.signage]` of the configuration, as plain values.

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
    /// Commands let through beside the five of the contract.
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
