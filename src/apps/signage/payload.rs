//! What signage says and hears, as typed payloads: names and shapes are those of SIGNAGE 2 to 5.
//! Reading a payload that bends the shape is the business of `rules`; here are only shapes.

use serde::Serialize;
use serde_json::Value;

use crate::app::kit::ack::Fail;

/// The sender's role or groups do not allow it.
pub(crate) fn forbidden() -> Fail {
    Fail::new("FORBIDDEN", "Not allowed for this role or group")
}

/// To operators a device that does not hear commands is offline; what it lacks is in the text.
pub(crate) fn unregistered(device_id: &str) -> Fail {
    Fail::new("DEVICE_OFFLINE", format!("Device is connected, but has not sent player:register: {device_id}"))
}

/// No device has this id.
pub(crate) fn no_device(device_id: &str) -> Fail {
    Fail::new("DEVICE_NOT_FOUND", format!("No such device: {device_id}"))
}

/// `player:error`.
#[derive(Serialize)]
pub(crate) struct PlayerError<'a> {
    #[serde(flatten)]
    pub fail: &'a Fail,
    /// Name of the event that was refused.
    pub event: &'a str,
}

/// What a device tells of itself, in `player:register` or its handshake. Absent: not told.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Info {
    pub name: Option<String>,
    pub kind: Option<String>,
    pub group: Option<String>,
    pub app_version: Option<String>,
    pub network: Option<Value>,
}

/// `player:registered`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Registered<'a> {
    pub device_id: &'a str,
    pub status: &'static str,
    pub socket_id: &'a str,
    pub server_time: String,
    pub config: DeviceConfig,
    /// Commands whose carrier died before the answer.
    pub pending_commands: usize,
}

/// What a device is told to keep to.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DeviceConfig {
    pub state_interval_ms: u64,
    pub snapshot_max_bytes: usize,
    pub command_timeout_ms: u64,
}

/// `device:connected` and `device:updated`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Connected<'a> {
    pub device_id: &'a str,
    pub device_name: &'a str,
    pub device_type: &'a str,
    pub device_group: &'a str,
    pub app_version: &'a str,
    #[serde(skip_serializing_if = "Value::is_null")]
    pub device_network: &'a Value,
    pub connected_at: String,
}

/// `device:disconnected`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Disconnected<'a> {
    pub device_id: &'a str,
    pub reason: &'a str,
    pub last_seen: String,
}

/// One entry of `devices:list`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Listed<'a> {
    pub device_id: &'a str,
    pub device_name: &'a str,
    pub device_type: &'a str,
    pub device_group: &'a str,
    pub app_version: &'a str,
    pub online: bool,
    pub rev: u64,
    /// `null` until the device has been heard of.
    pub last_seen: Option<String>,
    pub authorized: bool,
    pub ip: &'a str,
    /// `pending`, `online`, `silent` (connected, not registered), `offline` or `retired`.
    pub status: &'static str,
    /// A token waits for `device:authorize`.
    pub pending: bool,
    /// For admins alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_failure: Option<LastFailure<'a>>,
}

/// The last refused attempt under a device's id.
#[derive(Serialize)]
pub(crate) struct LastFailure<'a> {
    pub reason: &'a str,
    pub at: String,
    pub ip: &'a str,
}

/// `devices:list`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct List<'a> {
    pub devices: Vec<Listed<'a>>,
    pub server_time: String,
}

/// `state:updated`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct StateUpdated<'a> {
    pub device_id: &'a str,
    pub rev: u64,
    pub full: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<&'a Value>,
    /// RFC 7386 merge patch from `rev` − 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub changes: Option<&'a Value>,
    pub online: bool,
    pub timestamp: String,
}

/// `player:command`, towards the device.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Order<'a> {
    pub command: &'a str,
    pub params: &'a Value,
    pub command_id: &'a str,
}

/// `command`, towards an auxiliary socket of the device.
#[derive(Serialize)]
pub(crate) struct AuxOrder<'a> {
    pub id: &'a str,
    /// `updateConfig`, `updatePlaylist` or `restart`.
    #[serde(rename = "type")]
    pub kind: &'a str,
    pub data: &'a Value,
}

/// `command:response`.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CommandResponse {
    pub command_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device_id: Option<String>,
    pub command: String,
    /// `success`, `error`, `timeout` or `rejected`.
    pub status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<&'static str>,
    pub attempts: u32,
    pub duration_ms: u64,
    pub timestamp: String,
}

/// `device:alert`; `resolved` is there when it has ended.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AlertTold<'a> {
    /// `null` for an alert about the fleet as a whole.
    pub device_id: Option<&'a str>,
    pub kind: &'static str,
    pub severity: &'static str,
    pub since: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resolved: Option<String>,
}

/// `devices:stats`, about the devices the receiver may see.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Stats {
    pub total: usize,
    pub online: usize,
    /// Connected, not registered.
    pub silent: usize,
    pub offline: usize,
    pub pending: usize,
    pub retired: usize,
    pub commands_in_flight: usize,
    pub alerts: usize,
    pub server_time: String,
}

/// A command as an admin asked for it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Ask {
    pub command: String,
    pub params: Value,
    pub to: Address,
    pub command_id: Option<String>,
    pub timeout_ms: Option<u64>,
}

/// Whom a command is for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Address {
    Device(String),
    Devices(Vec<String>),
    Group(String),
}

/// `player:command:response`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Answer {
    pub command_id: String,
    pub success: bool,
    pub result: Option<Value>,
    pub message: Option<String>,
}
