//! What a fleet's home holds in memory: devices, seats (who is connected), watchers, and what waits to be written or told.
//! Plain data with small methods; the decisions are in the handlers.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::event::{CommandResponse, Info, Listed};
use super::job;
use super::rules::{Role, Scope, short_hash};
use super::settings::Settings;
use crate::app::effect::{Room, Token, Write};
use crate::app::kit::alert::Alerts;
use crate::app::kit::audit::Actor;
use crate::app::kit::command::{Bounds, Key, Row, Table};
use crate::app::kit::presence::Presence;
use crate::app::kit::rate::{Bucket, Buckets, Rate};
use crate::base::ids::{ReqId, Sid, SocketRef};
use crate::base::time::{Millis, Now, WallMillis};

/// Commands on their way in one fleet, and to one device.
const COMMANDS: Bounds = Bounds { rows_max: 16_384, rows_per_target_max: 256, ended_max: 1_024 };
/// Addresses whose failures are counted.
const THROTTLED_ADDRESSES_MAX: usize = 10_000;
/// Rows about throttled attempts: more than these teach nothing.
pub const THROTTLED_ROWS: Rate = Rate { limit: 10, window_ms: 60_000 };
/// An offline alert of one device is not repeated sooner.
const ALERT_COOL_DOWN_MS: u64 = 60_000;

/// One fleet: a tenant's devices and the people who watch them.
pub struct Fleet {
    pub name: Arc<str>,
    pub devices: BTreeMap<Arc<str>, Device>,
    /// A device's number names it in rooms, timers and coalescing keys.
    pub numbers: BTreeMap<u64, Arc<str>>,
    next_number: u64,
    pub seats: BTreeMap<SocketRef, Seat>,
    /// Registered devices, by their one socket.
    pub here: Presence<Arc<str>>,
    pub commands: Table<Origin>,
    /// The newest ends of commands, with who had asked, for those who ask again under the same id.
    pub answered: VecDeque<(Key, String, CommandResponse)>,
    pub alerts: Alerts<(Arc<str>, AlertKind)>,
    /// Failed handshakes by address.
    pub failures: Buckets<IpAddr>,
    pub throttled_rows: Bucket,
    pub agenda: BTreeSet<(Millis, Due)>,
    /// What the fleet's one timer is set to.
    pub armed: Option<Millis>,
    pub timer: Token,
    /// Sockets per watch room, so that nothing is encoded for nobody.
    pub watchers: BTreeMap<Room, u32>,
    pub unsaved: Unsaved,
    /// A change of authorisation is on its way to the disk: rows of devices wait, so that none overtakes it.
    pub committing: bool,
    pub degraded: bool,
    /// Bytes of pictures handed to the shell and not yet answered.
    pub picture_bytes: usize,
}

impl Fleet {
    pub fn new(name: &str, timer: Token, now: Now, settings: &Settings) -> Fleet {
        let window_ms = settings.auth_failure_window_s.saturating_mul(1_000).max(1);
        let rate = Rate { limit: settings.auth_failures_max, window_ms };
        Fleet {
            name: Arc::from(name),
            devices: BTreeMap::new(),
            numbers: BTreeMap::new(),
            next_number: 0,
            seats: BTreeMap::new(),
            here: Presence::new(0),
            commands: Table::new(COMMANDS),
            answered: VecDeque::new(),
            alerts: Alerts::new(ALERT_COOL_DOWN_MS.min(settings.offline_alert_after_ms)),
            failures: Buckets::new(rate, THROTTLED_ADDRESSES_MAX),
            throttled_rows: Bucket::full(now.mono, THROTTLED_ROWS),
            agenda: BTreeSet::new(),
            armed: None,
            timer,
            watchers: BTreeMap::new(),
            unsaved: Unsaved::default(),
            committing: false,
            degraded: false,
            picture_bytes: 0,
        }
    }

    /// Takes a device in; its row says everything else.
    pub fn insert(&mut self, row: job::Device) -> Arc<str> {
        let id: Arc<str> = Arc::from(row.device_id.as_str());
        let number = self.next_number;
        self.next_number += 1;
        self.numbers.insert(number, id.clone());
        self.devices.insert(id.clone(), Device::new(row, number, &self.name));
        id
    }

    pub fn remove(&mut self, id: &str) {
        if let Some(device) = self.devices.remove(id) {
            self.numbers.remove(&device.number);
        }
    }

    /// The key under which `id` is known here.
    pub fn known(&self, id: &str) -> Option<Arc<str>> {
        self.devices.get_key_value(id).map(|(id, _)| id.clone())
    }

    /// Something to do at `at`; the same thing is done once at a time.
    pub fn schedule(&mut self, at: Millis, due: Due) {
        self.agenda.insert((at, due));
    }

    pub fn deadline(&self) -> Option<Millis> {
        let agenda = self.agenda.first().map(|(at, _)| *at);
        [agenda, self.commands.deadline(), self.alerts.deadline()].into_iter().flatten().min()
    }

    pub fn admin(&self, socket: SocketRef) -> Option<&AdminSeat> {
        match self.seats.get(&socket)? {
            Seat::Admin(seat) => Some(seat),
            Seat::Device(_) => None,
        }
    }

    pub fn admin_mut(&mut self, socket: SocketRef) -> Option<&mut AdminSeat> {
        match self.seats.get_mut(&socket)? {
            Seat::Admin(seat) => Some(seat),
            Seat::Device(_) => None,
        }
    }

    pub fn device_seat(&self, socket: SocketRef) -> Option<&DeviceSeat> {
        match self.seats.get(&socket)? {
            Seat::Device(seat) => Some(seat),
            Seat::Admin(_) => None,
        }
    }

    pub fn device_seat_mut(&mut self, socket: SocketRef) -> Option<&mut DeviceSeat> {
        match self.seats.get_mut(&socket)? {
            Seat::Device(seat) => Some(seat),
            Seat::Admin(_) => None,
        }
    }

    pub fn admins(&self) -> impl Iterator<Item = (SocketRef, &AdminSeat)> {
        self.seats.iter().filter_map(|(socket, seat)| match seat {
            Seat::Admin(seat) => Some((*socket, seat)),
            Seat::Device(_) => None,
        })
    }

    /// Whether somebody listens in one of these rooms.
    pub fn is_watched(&self, rooms: &[Room]) -> bool {
        rooms.iter().any(|room| self.watchers.contains_key(room))
    }
}

/// One device, online or not.
pub struct Device {
    /// What is on disk, or will be within a flush; `rev_reserved` is what has been asked for.
    pub row: job::Device,
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
    /// When the next publication is due.
    pub due: Option<Millis>,
    /// A publication waits for its revision to be reserved.
    pub held: bool,
    pub connected_at: WallMillis,
    /// Times of the newest takeovers, at most one more than raises an alert.
    pub takeovers: VecDeque<Millis>,
    /// Pictures taken out so far, and the newest that has been applied.
    pub pictures_seen: u64,
    pub picture_applied: u64,
    pub pictures_in_flight: u32,
}

impl Device {
    fn new(row: job::Device, number: u64, fleet: &str) -> Device {
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
            due: None,
            held: false,
            connected_at: WallMillis(0),
            takeovers: VecDeque::new(),
            pictures_seen: 0,
            picture_applied: 0,
            pictures_in_flight: 0,
        }
    }

    /// Puts in what the device tells of itself; says whether anything is new.
    pub fn learn(&mut self, info: &Info) -> bool {
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

    pub fn network(&self) -> Value {
        let told: Map<String, Value> = serde_json::from_str(&self.row.register_info).unwrap_or_default();
        told.get("deviceNetwork").cloned().unwrap_or_default()
    }

    pub fn has_state(&self) -> bool {
        self.published.as_object().is_some_and(|state| !state.is_empty())
    }

    /// A stranger that has only ever knocked.
    pub fn is_stranger(&self) -> bool {
        !self.row.authorized && !self.row.retired && self.row.token_hash.is_empty()
    }

    /// Where it stands: `unknown → pending → online ↔ offline → retired` (contract, state machines).
    pub fn status(&self, online: bool) -> &'static str {
        match (self.row.retired, self.row.authorized, online) {
            (true, ..) => "retired",
            (_, false, _) => "pending",
            (_, _, true) => "online",
            (_, _, false) => "offline",
        }
    }

    pub fn listed(&self, online: bool) -> Listed<'_> {
        Listed {
            device_id: &self.row.device_id,
            device_name: &self.row.name,
            device_type: &self.row.kind,
            device_group: &self.row.group,
            app_version: &self.row.app_version,
            online,
            rev: self.rev,
            last_seen: self.row.last_seen.to_string(),
            authorized: self.row.authorized,
            ip: &self.row.ip,
            status: self.status(online),
            pending: !self.row.pending_hash.is_empty(),
        }
    }
}

/// The rooms that hear of one device. A fleet's name ends each, so that no fleet can name another's room.
#[derive(Clone, Debug)]
pub struct Rooms {
    /// Everybody who may see it: presence and alerts.
    pub see: Vec<Room>,
    /// Watchers by merge patch, who all have the state of the rev before.
    pub diff: Vec<Room>,
    /// Watchers who always want the whole state.
    pub full: Vec<Room>,
}

impl Rooms {
    pub fn new(fleet: &str, number: u64, group: &str) -> Rooms {
        let watch = [Watch::All, Watch::Group(group.to_owned()), Watch::Device(number)];
        let of = |kind: &str, watch: &[Watch]| watch.iter().map(|watch| watch.room(kind, fleet)).collect();
        Rooms { see: of("see", &watch[..2]), diff: of("diff", &watch), full: of("full", &watch) }
    }
}

/// What a subscription is about.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Watch {
    All,
    Group(String),
    /// By number.
    Device(u64),
}

impl Watch {
    /// `kind`: `see`, `diff` or `full`.
    pub fn room(&self, kind: &str, fleet: &str) -> Room {
        match self {
            Watch::All => format!("{kind}/all/{fleet}").into(),
            Watch::Group(group) => format!("{kind}/g{}/{fleet}", short_hash(group)).into(),
            Watch::Device(number) => format!("{kind}/d{number}/{fleet}").into(),
        }
    }

    pub fn covers(&self, device: &Device) -> bool {
        match self {
            Watch::All => true,
            Watch::Group(group) => device.row.group == *group,
            Watch::Device(number) => device.number == *number,
        }
    }
}

/// One connected socket.
pub enum Seat {
    Device(DeviceSeat),
    Admin(AdminSeat),
}

/// A socket that is, or will register as, a device.
pub struct DeviceSeat {
    pub actor: Actor,
    pub ip: IpAddr,
    pub sid: Sid,
    /// The device its token or handshake stands for; `None`: any, it says which when it registers.
    pub bound: Option<Arc<str>>,
    pub registered: bool,
    /// From the handshake, for a registration that brings less or never comes.
    pub info: Info,
}

/// A person's socket.
pub struct AdminSeat {
    pub actor: Actor,
    pub ip: IpAddr,
    pub sid: Sid,
    pub role: Role,
    pub scope: Scope,
    /// Development mode: may still turn out to be a device.
    pub dev: bool,
    /// By what is watched: whether the whole state is wanted each time.
    pub watches: BTreeMap<Watch, bool>,
    pub audits: bool,
}

/// Who asked for a command, and what is needed to send it again and to answer.
#[derive(Clone, Debug)]
pub struct Origin {
    pub socket: SocketRef,
    pub actor: Actor,
    pub command: String,
    pub params: Arc<Value>,
    pub at: WallMillis,
}

/// Kinds of `device:alert`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum AlertKind {
    Offline,
    DuplicateDevice,
    /// About the fleet: its device id is empty.
    StoreDegraded,
}

impl AlertKind {
    pub const ALL: [AlertKind; 3] = [AlertKind::Offline, AlertKind::DuplicateDevice, AlertKind::StoreDegraded];

    pub fn name(self) -> &'static str {
        match self {
            AlertKind::Offline => "offline",
            AlertKind::DuplicateDevice => "duplicate_device",
            AlertKind::StoreDegraded => "store_degraded",
        }
    }

    pub fn severity(self) -> &'static str {
        match self {
            AlertKind::StoreDegraded => "critical",
            _ => "warning",
        }
    }
}

/// Something the fleet's timer is for; devices by number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Due {
    Publish(u64),
    Calm(u64),
    Flush,
    Stats,
}

/// What is not on disk yet. Rows of devices and states are written as they stand when they are flushed.
#[derive(Default)]
pub struct Unsaved {
    pub writes: Vec<Write>,
    pub devices: BTreeSet<Arc<str>>,
    pub states: BTreeSet<Arc<str>>,
    pub scheduled: bool,
    /// Flushes the store has not answered.
    pub in_flight: u32,
}

/// What a token of a job stands for.
pub enum Wait {
    Flush(Flushed),
    Picture(Box<PictureWait>),
    Read(Reader),
    Grant(Box<GrantWait>),
}

/// A batch on its way to the disk.
pub struct Flushed {
    /// Kept until it is there, to try again.
    pub writes: Vec<Write>,
    /// With the revisions their rows reserve.
    pub devices: Vec<(Arc<str>, u64)>,
    pub states: Vec<Arc<str>>,
    /// Questions that must see this batch.
    pub then: Vec<(job::Query, Reader)>,
}

/// Who asked the store.
#[derive(Clone)]
pub enum Reader {
    History { socket: SocketRef, ack: Option<u64>, device_id: String },
    Failures { req: ReqId },
}

/// A picture the shell works on.
pub struct PictureWait {
    pub device: Arc<str>,
    pub number: u64,
    pub bytes: usize,
    /// What stood beside the picture.
    pub rest: Map<String, Value>,
    pub created_at: String,
    /// The command it answers, if it came with a response.
    pub command: Option<(Key, Row<Origin>, Option<Value>)>,
}

/// A change of who may come in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Change {
    /// A new token with this hash.
    Issue(String),
    Authorize,
    Revoke,
}

/// A change of authorisation on its way to the disk.
pub struct GrantWait {
    pub row: job::Device,
    pub change: Change,
    pub audit: crate::app::kit::audit::Entry,
}
