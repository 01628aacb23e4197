//! What signage asks of the store: rows, changes and questions, as values. The tables are called `sg_*`.

use bytes::Bytes;

use crate::app::effect::JobError;
use crate::base::time::WallMillis;

/// A row of `sg_devices`, keyed by `(fleet, device_id)`.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Device {
    pub fleet: String,
    pub device_id: String,
    pub name: String,
    pub kind: String,
    pub group: String,
    pub app_version: String,
    /// Hex SHA-256 of the accepted token; empty: none.
    pub token_hash: String,
    /// Hex SHA-256 of a token that was presented and waits for `device:authorize`; empty: none.
    pub pending_hash: String,
    pub authorized: bool,
    pub retired: bool,
    pub online: bool,
    pub first_seen: WallMillis,
    pub last_seen: WallMillis,
    pub ip: String,
    /// JSON object of the last `player:register`.
    pub register_info: String,
    /// Revisions up to this one may have been published: after a crash `rev` goes on above it (blocks of 1,000).
    pub rev_reserved: u64,
}

/// A row of `sg_state`: the last published state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    pub fleet: String,
    pub device_id: String,
    pub rev: u64,
    /// JSON object.
    pub json: String,
}

/// A row of `sg_state_history`; the newest 500 of a device are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    pub fleet: String,
    pub device_id: String,
    pub rev: u64,
    pub at: WallMillis,
    /// RFC 7386 merge patch from the rev before, JSON text.
    pub patch: String,
}

/// A row of `sg_commands`, keyed by `(fleet, command_id, device_id)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    pub fleet: String,
    pub command_id: String,
    pub device_id: String,
    pub command: String,
    /// JSON text.
    pub params: String,
    /// `sub` of the admin who asked.
    pub origin: String,
    /// `sent`, `success`, `error`, `timeout`, `rejected`.
    pub status: String,
    pub attempts: u32,
    pub at: WallMillis,
    pub duration_ms: u64,
}

/// A row of `sg_snapshots`: a picture on disk under the quota.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// 20 characters, the last part of its URL.
    pub id: String,
    pub fleet: String,
    pub device_id: String,
    pub at: WallMillis,
    pub mime: String,
    pub bytes: u64,
    /// Hex.
    pub sha256: String,
    /// Relative to the snapshot directory.
    pub path: String,
}

/// A row of `sg_alerts`, keyed by `(fleet, device_id, kind, since)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alert {
    pub fleet: String,
    pub device_id: String,
    pub kind: String,
    pub severity: String,
    pub since: WallMillis,
    pub resolved: Option<WallMillis>,
}

/// A row of `sg_auth_failures`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub fleet: String,
    pub at: WallMillis,
    pub ip: String,
    pub device_id: String,
    /// From a closed set: `unknown_token`, `device_id_mismatch`, `throttled`, …
    pub reason: String,
}

/// One change of a row; `Put` replaces the row of the same key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    PutDevice(Device),
    PutState(State),
    AddChange(Change),
    PutCommand(Command),
    PutAlert(Alert),
    AddFailure(Failure),
}

/// One question, answered from what has been committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Query {
    /// Everything a home needs to serve a fleet: [`Answer::Fleet`].
    Fleet { fleet: String },
    /// Changes after `since`, oldest first, at most `limit` (newest ones if more): [`Answer::History`].
    History { fleet: String, device_id: String, since: u64, limit: u32 },
    /// Newest first: [`Answer::Failures`].
    Failures { fleet: String, limit: u32 },
    /// [`Answer::Snapshot`].
    Snapshot { id: String },
}

/// What the store says to a question or a picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Devices ordered by id, with their states and unresolved alerts.
    Fleet {
        devices: Vec<Device>,
        states: Vec<State>,
        alerts: Vec<Alert>,
    },
    History(Vec<Change>),
    Failures(Vec<Failure>),
    Snapshot(Option<Snapshot>),
    /// What came of a [`SnapshotJob`].
    Stored(Result<Snapshot, JobError>),
}

/// A picture to decode, hash and keep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotJob {
    pub id: String,
    pub fleet: String,
    pub device_id: String,
    pub at: WallMillis,
    /// Raw bytes, or base64 text that is decoded first.
    pub data: SnapshotData,
    /// From the data URL, or empty: told from the first bytes (PNG, JPEG, WebP, GIF).
    pub mime: String,
    /// Larger pictures are refused as `Invalid`.
    pub bytes_max: usize,
}

/// A picture as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SnapshotData {
    Raw(Bytes),
    Base64(Bytes),
}
