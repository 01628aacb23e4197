//! What an operator may set about signage (`[apps.signage]`). Values only; ranges are checked where the configuration is read.

/// Every bound has its unit last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    pub enabled: bool,
    /// A device's state is published at most this often; a change of `vlc.state` at once.
    pub state_interval_ms: u64,
    /// For one attempt of a command, where the admin names no `timeoutMs`.
    pub command_timeout_ms: u64,
    /// Attempts after the first, of commands that may be repeated (play, stop, snapshot).
    pub command_retries_max: u32,
    /// A larger picture is refused `SNAPSHOT_TOO_LARGE`.
    pub snapshot_bytes_max: usize,
    /// All pictures on disk; the oldest go first.
    pub snapshot_quota_bytes: u64,
    pub snapshot_ttl_h: u64,
    /// An offline device is alerted about after this long.
    pub offline_alert_after_ms: u64,
    pub stats_interval_ms: u64,
    pub history_per_device_max: usize,
    /// Admins watch their groups (admins of role `admin`: all devices) from the start.
    pub subscribe_on_connect: bool,
    /// Commands admitted beside the five of the contract; they are never repeated.
    pub extra_commands: Vec<String>,
    /// A token that admits any device; empty: none.
    pub fleet_token: String,
    /// Refused handshakes of one address within the window, before bad tokens from there are throttled.
    pub auth_failures_max: u32,
    pub auth_failure_window_s: u64,
    /// Devices of one fleet, pending ones included.
    pub devices_max: usize,
    /// What snapshot URLs begin with, e.g. `https://signage.example`; empty: they are relative.
    pub public_url: String,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            enabled: true,
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
            fleet_token: String::new(),
            auth_failures_max: 10,
            auth_failure_window_s: 60,
            devices_max: 10_000,
            public_url: String::new(),
        }
    }
}
