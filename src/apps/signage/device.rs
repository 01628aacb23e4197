//! One device as its fleet's home knows it, and the rooms that hear of it.
//! Its row is on disk; the state that was reported and the one that was told are kept apart, so that a patch is exact.

use std::collections::VecDeque;

use serde_json::{Map, Value, json};

use super::payload::{Info, LastFailure, Listed};
use super::rules::short_hash;
use super::tables;
use crate::app::effect::Room;
use crate::base::time::{Millis, WallMillis};

/// One device, online or not.
pub(super) struct Device {
    /// What is on disk, or will be within a flush; `rev_reserved` is what has been asked for.
    pub row: tables::Device,
    pub number: u64,
    pub rooms: Rooms,
    /// As last reported.
    pub current: Value,
    /// As last told to watchers, under `rev`.
    pub published: Value,
    pub rev: u64,
    /// Revisions up to this one are reserved on disk: only these may be told.
    pub rev_allowed: u64,
    pub published_at: Option<Millis>,
    /// A publication waits for its revision to be reserved.
    pub held: bool,
    pub connected_at: WallMillis,
    /// Since when nothing was reported and the device was not asked either.
    pub quiet_since: Millis,
    /// Reports of any kind since the start, over and over from 0; and which of the fleet's states its last one was, 0 for none.
    pub reports: u32,
    pub last_state: u64,
    /// Whether it is to be asked for its state is on the agenda.
    pub ask_scheduled: bool,
    /// Times of the newest takeovers, at most one more than raises an alert.
    pub takeovers: VecDeque<Millis>,
    /// Snapshots taken out so far, and the newest that has been applied.
    pub snapshots_seen: u64,
    pub snapshot_applied: u64,
    pub snapshots_in_flight: u32,
}

impl Device {
    pub(super) fn new(row: tables::Device, number: u64, fleet: &str) -> Device {
        let rev = row.rev_reserved;
        let rooms = Rooms::new(fleet, number, &row.group);
        Device {
            row,
            number,
            rooms,
            current: json!({}),
            published: json!({}),
            rev,
            rev_allowed: rev,
            published_at: None,
            held: false,
            connected_at: WallMillis(0),
            quiet_since: Millis(0),
            reports: 0,
            last_state: 0,
            ask_scheduled: false,
            takeovers: VecDeque::new(),
            snapshots_seen: 0,
            snapshot_applied: 0,
            snapshots_in_flight: 0,
        }
    }

    /// Puts in what the device tells of itself; says whether anything is new.
    pub(super) fn learn(&mut self, info: &Info) -> bool {
        let mut told: Map<String, Value> = serde_json::from_str(&self.row.register_info).unwrap_or_default();
        let before = told.clone();
        let fields = [
            ("deviceName", &info.name, &mut self.row.name),
            ("deviceType", &info.kind, &mut self.row.kind),
            ("deviceGroup", &info.group, &mut self.row.group),
            ("appVersion", &info.app_version, &mut self.row.app_version),
        ];
        for (key, news, field) in fields {
            if let Some(news) = news {
                field.clone_from(news);
                told.insert(key.to_owned(), json!(news));
            }
        }
        if let Some(network) = &info.network {
            told.insert("deviceNetwork".to_owned(), network.clone());
        }
        let changed = told != before;
        if changed {
            self.row.register_info = Value::Object(told).to_string();
        }
        changed
    }

    /// What it last told of its network, `null` if nothing.
    pub(super) fn network(&self) -> Value {
        let told: Map<String, Value> = serde_json::from_str(&self.row.register_info).unwrap_or_default();
        told.get("deviceNetwork").cloned().unwrap_or_default()
    }

    pub(super) fn has_state(&self) -> bool {
        self.published.as_object().is_some_and(|state| !state.is_empty())
    }

    /// A stranger that has only ever knocked.
    pub(super) fn is_stranger(&self) -> bool {
        !self.row.authorized && !self.row.retired && self.row.token_hash.is_empty()
    }

    /// It has been here and may come back: one that stays away is missed.
    pub(super) fn is_expected(&self) -> bool {
        self.row.authorized && !self.row.retired && self.row.register_info != "{}"
    }

    /// Where it stands: `unknown → pending → online ↔ offline → retired` (SIGNAGE 5), and `silent` for one that
    /// is connected and has not registered.
    pub(super) fn status(&self, online: bool, silent: bool) -> &'static str {
        match (self.row.retired, online, silent, self.row.authorized) {
            (true, ..) => "retired",
            (_, true, ..) => "online",
            (_, _, true, _) => "silent",
            (.., false) => "pending",
            (.., true) => "offline",
        }
    }

    /// When it was last heard of, if ever.
    pub(super) fn last_seen(&self) -> Option<String> {
        (self.row.last_seen > WallMillis::default()).then(|| self.row.last_seen.to_string())
    }

    /// The last refused attempt under its id.
    fn last_failure(&self) -> Option<LastFailure<'_>> {
        let (reason, ip) = (&*self.row.failure_reason, &*self.row.failure_ip);
        (!reason.is_empty()).then(|| LastFailure { reason, at: self.row.failure_at.to_string(), ip })
    }

    /// As lists show it to admins.
    pub(super) fn listed(&self, online: bool, silent: bool) -> Listed<'_> {
        Listed {
            device_id: &self.row.device_id,
            device_name: &self.row.name,
            device_type: &self.row.kind,
            device_group: &self.row.group,
            app_version: &self.row.app_version,
            online,
            rev: self.rev,
            last_seen: self.last_seen(),
            authorized: self.row.authorized,
            ip: &self.row.ip,
            status: self.status(online, silent),
            pending: !self.row.pending_hash.is_empty(),
            last_failure: self.last_failure(),
        }
    }
}

/// The rooms that hear of one device. A fleet's name ends each, so that no fleet can name another's room.
#[derive(Clone, Debug)]
pub(super) struct Rooms {
    /// Everybody who may see it: presence and alerts.
    pub see: Vec<Room>,
    /// Watchers by merge patch, who all have the state of the rev before.
    pub diff: Vec<Room>,
    /// Watchers who always want the whole state.
    pub full: Vec<Room>,
}

impl Rooms {
    pub(super) fn new(fleet: &str, number: u64, group: &str) -> Rooms {
        let watch = [Watch::All, Watch::Group(group.to_owned()), Watch::Device(number)];
        let of = |kind: &str, watch: &[Watch]| watch.iter().map(|watch| watch.room(kind, fleet)).collect();
        Rooms { see: of("see", &watch[..2]), diff: of("diff", &watch), full: of("full", &watch) }
    }
}

/// What a subscription is about.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Watch {
    All,
    Group(String),
    /// By number.
    Device(u64),
}

impl Watch {
    /// `kind`: `see`, `diff` or `full`.
    pub(super) fn room(&self, kind: &str, fleet: &str) -> Room {
        match self {
            Watch::All => format!("{kind}/all/{fleet}").into(),
            Watch::Group(group) => format!("{kind}/g{}/{fleet}", short_hash(group)).into(),
            Watch::Device(number) => format!("{kind}/d{number}/{fleet}").into(),
        }
    }

    /// Whether a device's state goes to those who subscribed to this.
    pub(super) fn covers(&self, device: &Device) -> bool {
        match self {
            Watch::All => true,
            Watch::Group(group) => device.row.group == *group,
            Watch::Device(number) => device.number == *number,
        }
    }
}
