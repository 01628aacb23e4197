//! What a fleet's home holds in memory: devices, seats (who is connected), watchers, and what waits to be written or told.
//! Plain data with small methods; the decisions are in the handlers.

use core::net::IpAddr;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use smallvec::SmallVec;

use super::device::{Device, Watch};
use super::origin::CommandOrigin;
use super::payload::{CommandResponse, Info, Listed};
use super::rules::{self, Role};
use super::settings::Settings;
use super::tables;
use super::tokens;
use super::waiting::{Pairing, UNSAVED, Unsaved, WaitingSeat, Wanted};
use crate::app::effect::{Room, Token};
use crate::app::event::Handshake;
use crate::app::identity::{AuthMethod, Identity};
use crate::app::kit::agenda::{Agenda, Timer};
use crate::app::kit::alert::Alerts;
use crate::app::kit::audit::Actor;
use crate::app::kit::command::{Bounds, Key, Table};
use crate::app::kit::presence::Presence;
use crate::app::kit::rate::{Bucket, Buckets, Rate};
use crate::app::kit::roles::Scope;
use crate::base::ids::{Sid, SocketRef};
use crate::base::time::{Millis, Now, WallMillis};

/// Commands on their way in one fleet, and to one device.
const COMMANDS: Bounds = Bounds { rows_max: 16_384, rows_per_target_max: 256, ended_max: 1_024 };
/// Addresses whose failures are counted.
const THROTTLED_ADDRESSES_MAX: usize = 10_000;
/// Rows about throttled attempts: more than these teach nothing.
pub(super) const THROTTLED_ROWS: Rate = Rate { limit: 10, window_ms: 60_000 };
/// An offline alert of one device is not repeated sooner.
const ALERT_COOL_DOWN_MS: u64 = 60_000;

/// One fleet: a tenant's devices and the people who watch them.
pub(super) struct Fleet {
    pub name: Arc<str>,
    pub devices: BTreeMap<Arc<str>, Device>,
    /// A device's number names it in rooms, timers and coalescing keys.
    pub numbers: BTreeMap<u64, Arc<str>>,
    next_number: u64,
    /// Devices by the hashes of their tokens, older ones too; several may have one.
    tokens: BTreeSet<(String, Arc<str>)>,
    /// Devices that have only ever knocked, those not seen for longest first.
    strangers: BTreeSet<(WallMillis, Arc<str>)>,
    pub seats: BTreeMap<SocketRef, Seat>,
    /// Auxiliary sockets: those that stand for a device and have not registered, with the time they came, the newest last.
    aux: BTreeMap<Arc<str>, SmallVec<[(SocketRef, WallMillis); 1]>>,
    /// Registered devices, by their one socket.
    pub here: Presence<Arc<str>>,
    pub commands: Table<CommandOrigin>,
    /// The newest ends of commands, with who had asked, for those who ask again under the same id.
    pub answered: VecDeque<(Key, String, CommandResponse)>,
    pub alerts: Alerts<(Arc<str>, AlertKind)>,
    /// Failed handshakes by address.
    pub failures: Buckets<IpAddr>,
    pub throttled_rows: Bucket,
    pub agenda: Agenda<Due>,
    /// Devices that may be asked for their state, by number, at the moment at which they are.
    pub asks: BTreeMap<Millis, Vec<u64>>,
    /// States that devices have reported since the start.
    pub states: u64,
    /// Those who wait for a new snapshot of a device, by number.
    pub looks: BTreeMap<u64, Wanted>,
    pub next_look: u64,
    /// Devices that wait to be paired.
    pub pairing: Pairing,
    pub timer: Timer,
    /// Sockets per watch room, so that nothing is encoded for nobody.
    pub watchers: BTreeMap<Room, u32>,
    pub unsaved: Unsaved,
    /// A change of authorisation is on its way to the disk: rows of devices wait, so that none overtakes it.
    pub committing: bool,
    /// Bytes of snapshots handed to the shell and not yet answered.
    pub snapshot_bytes: usize,
}

impl Fleet {
    pub(super) fn new(name: &str, timer: Token, now: Now, settings: &Settings) -> Fleet {
        let window_ms = settings.auth_failure_window_s.saturating_mul(1_000).max(1);
        let rate = Rate { limit: settings.auth_failures_max, window_ms };
        Fleet {
            name: Arc::from(name),
            devices: BTreeMap::new(),
            numbers: BTreeMap::new(),
            next_number: 0,
            tokens: BTreeSet::new(),
            strangers: BTreeSet::new(),
            seats: BTreeMap::new(),
            aux: BTreeMap::new(),
            here: Presence::new(0),
            commands: Table::new(COMMANDS),
            answered: VecDeque::new(),
            alerts: Alerts::new(ALERT_COOL_DOWN_MS.min(settings.offline_alert_after_ms)),
            failures: Buckets::new(rate, THROTTLED_ADDRESSES_MAX),
            throttled_rows: Bucket::full(now.mono, THROTTLED_ROWS),
            agenda: Agenda::default(),
            asks: BTreeMap::new(),
            states: 0,
            looks: BTreeMap::new(),
            next_look: 0,
            pairing: Pairing::new(),
            timer: Timer::new(timer),
            watchers: BTreeMap::new(),
            unsaved: Unsaved::new(UNSAVED),
            committing: false,
            snapshot_bytes: 0,
        }
    }

    /// The row of a device nobody knew. It has not been heard of: what makes it known may be an admin.
    pub(super) fn new_row(&self, device_id: &str, now: WallMillis) -> tables::Device {
        tables::Device {
            fleet: self.name.to_string(),
            device_id: device_id.to_owned(),
            first_seen: now,
            register_info: "{}".to_owned(),
            ..tables::Device::default()
        }
    }

    /// Takes a device in; its row says everything else.
    pub(super) fn insert(&mut self, row: tables::Device) -> Arc<str> {
        let id: Arc<str> = Arc::from(row.device_id.as_str());
        let number = self.next_number;
        self.next_number += 1;
        self.numbers.insert(number, id.clone());
        self.devices.insert(id.clone(), Device::new(row, number, &self.name));
        self.index(&id);
        id
    }

    pub(super) fn remove(&mut self, id: &Arc<str>) {
        self.unindex(id);
        if let Some(device) = self.devices.remove(id) {
            self.numbers.remove(&device.number);
        }
    }

    /// The only way to change a row's token, whether it is let in, and when a stranger was seen: devices are found by these.
    pub(super) fn amend(&mut self, id: &Arc<str>, change: impl FnOnce(&mut tables::Device)) {
        self.unindex(id);
        if let Some(device) = self.devices.get_mut(id) {
            change(&mut device.row);
        }
        self.index(id);
    }

    /// The device that a token with this hash lets in.
    pub(super) fn token_owner(&self, hash: &str, now: WallMillis) -> Option<Arc<str>> {
        let from = (hash.to_owned(), Arc::from(""));
        let mut owners = self.tokens.range(from..).take_while(|(of, _)| of == hash).map(|(_, id)| id);
        let is_good = |id: &&Arc<str>| {
            self.devices.get(*id).is_some_and(|device| tokens::shown(&device.row, hash, now).is_some())
        };
        owners.find(is_good).cloned()
    }

    /// Forgets the strangers not seen for longest, until fewer than `max` are left.
    pub(super) fn bound_strangers(&mut self, max: usize) {
        while self.strangers.len() >= max.max(1)
            && let Some((_, id)) = self.strangers.first().cloned()
        {
            self.remove(&id);
        }
    }

    fn index(&mut self, id: &Arc<str>) {
        let Some(device) = self.devices.get(id) else { return };
        self.tokens.extend(tokens::hashes(&device.row).map(|hash| (hash.to_owned(), id.clone())));
        if device.is_stranger() {
            self.strangers.insert((device.row.last_seen, id.clone()));
        }
    }

    fn unindex(&mut self, id: &Arc<str>) {
        let Some(device) = self.devices.get(id) else { return };
        for hash in tokens::hashes(&device.row) {
            self.tokens.remove(&(hash.to_owned(), id.clone()));
        }
        self.strangers.remove(&(device.row.last_seen, id.clone()));
    }

    /// The key under which `id` is known here.
    pub(super) fn known(&self, id: &str) -> Option<Arc<str>> {
        self.devices.get_key_value(id).map(|(id, _)| id.clone())
    }

    /// When the fleet has something to do next.
    pub(super) fn deadline(&self) -> Option<Millis> {
        [self.agenda.deadline(), self.commands.deadline(), self.alerts.deadline()].into_iter().flatten().min()
    }

    /// The seat of a person's socket.
    pub(super) fn admin(&self, socket: SocketRef) -> Option<&AdminSeat> {
        match self.seats.get(&socket)? {
            Seat::Admin(seat) => Some(seat),
            Seat::Device(_) | Seat::Waiting(_) => None,
        }
    }

    /// As [`Fleet::admin`], to change.
    pub(super) fn admin_mut(&mut self, socket: SocketRef) -> Option<&mut AdminSeat> {
        match self.seats.get_mut(&socket)? {
            Seat::Admin(seat) => Some(seat),
            Seat::Device(_) | Seat::Waiting(_) => None,
        }
    }

    /// The seat of a device's socket.
    pub(super) fn device_seat(&self, socket: SocketRef) -> Option<&DeviceSeat> {
        match self.seats.get(&socket)? {
            Seat::Device(seat) => Some(seat),
            Seat::Admin(_) | Seat::Waiting(_) => None,
        }
    }

    /// As [`Fleet::device_seat`], to change.
    pub(super) fn device_seat_mut(&mut self, socket: SocketRef) -> Option<&mut DeviceSeat> {
        match self.seats.get_mut(&socket)? {
            Seat::Device(seat) => Some(seat),
            Seat::Admin(_) | Seat::Waiting(_) => None,
        }
    }

    /// Lets a device's socket in. It is an auxiliary one until it registers.
    pub(super) fn seat_device(&mut self, socket: SocketRef, seat: DeviceSeat, now: WallMillis) {
        if let Some(id) = &seat.bound {
            self.aux.entry(id.clone()).or_default().push((socket, now));
        }
        self.seats.insert(socket, Seat::Device(Box::new(seat)));
    }

    /// A device's socket registers, or goes.
    pub(super) fn end_aux(&mut self, socket: SocketRef) {
        let Some(id) = self.device_seat(socket).and_then(|seat| seat.bound.clone()) else { return };
        let Some(sockets) = self.aux.get_mut(&id) else { return };
        sockets.retain(|(aux, _)| *aux != socket);
        if sockets.is_empty() {
            self.aux.remove(&id);
        }
    }

    /// The auxiliary sockets of a device, the newest last.
    pub(super) fn aux(&self, id: &str) -> &[(SocketRef, WallMillis)] {
        self.aux.get(id).map_or(&[], |sockets| sockets)
    }

    /// All of them.
    pub(super) fn aux_count(&self) -> usize {
        self.aux.values().map(SmallVec::len).sum()
    }

    /// Whether a socket stands for this device and has not registered.
    pub(super) fn is_silent(&self, id: &str) -> bool {
        self.aux.contains_key(id)
    }

    /// Where a known device stands.
    pub(super) fn status(&self, id: &Arc<str>, device: &Device) -> &'static str {
        device.status(self.here.is_here(id), self.is_silent(id))
    }

    /// Devices nobody knows yet of which a socket is here: they become known when they register.
    pub(super) fn newcomers(&self) -> Vec<Device> {
        let unknown = self.aux.iter().filter(|(id, _)| !self.devices.contains_key(*id));
        let described = unknown.filter_map(|(id, sockets)| {
            let (socket, since) = sockets.last()?;
            let seat = self.device_seat(*socket)?;
            let (ip, last_seen) = (seat.ip.to_string(), *since);
            let row = tables::Device { authorized: true, ip, last_seen, ..self.new_row(id, *since) };
            let mut device = Device::new(row, u64::MAX, &self.name);
            device.learn(&seat.info);
            Some(device)
        });
        described.collect()
    }

    /// The devices of a scope as lists show them, the newcomers behind those that are known.
    pub(super) fn listed<'a>(&'a self, newcomers: &'a [Device], scope: &Scope<'_>) -> Vec<Listed<'a>> {
        let known = self.devices.iter().map(|(id, device)| (device, self.listed_one(id, device)));
        let all = known.chain(newcomers.iter().map(|device| (device, device.listed(false, true))));
        let seen = all.filter(|(device, _)| scope.covers(&device.row.group)).map(|(_, listed)| listed);
        let for_all = |listed: Listed<'a>| Listed {
            last_failure: listed.last_failure.filter(|_| *scope == Scope::All),
            ..listed
        };
        seen.map(for_all).collect()
    }

    /// A known device as lists show it.
    pub(super) fn listed_one<'a>(&self, id: &Arc<str>, device: &'a Device) -> Listed<'a> {
        device.listed(self.here.is_here(id), self.is_silent(id))
    }

    /// All people who are connected.
    pub(super) fn admins(&self) -> impl Iterator<Item = (SocketRef, &AdminSeat)> {
        self.seats.iter().filter_map(|(socket, seat)| match seat {
            Seat::Admin(seat) => Some((*socket, &**seat)),
            Seat::Device(_) | Seat::Waiting(_) => None,
        })
    }

    /// Whether somebody listens in one of these rooms.
    pub(super) fn is_watched(&self, rooms: &[Room]) -> bool {
        rooms.iter().any(|room| self.watchers.contains_key(room))
    }
}

/// One connected socket. Boxed: a map's nodes are half empty, and no kind pays for the size of the other.
pub(super) enum Seat {
    Device(Box<DeviceSeat>),
    Admin(Box<AdminSeat>),
    /// It has no token yet: see `pairing`.
    Waiting(Box<WaitingSeat>),
}

/// A socket that is, or will register as, a device.
pub(super) struct DeviceSeat {
    pub actor: Actor,
    pub ip: IpAddr,
    pub sid: Sid,
    /// The device its token or handshake stands for; `None`: any, it says which when it registers.
    pub bound: Option<Arc<str>>,
    pub registered: bool,
    pub speech: Speech,
    /// States of the fleet before it came.
    pub came: u64,
    /// From the handshake, for a registration that brings less or never comes.
    pub info: Info,
}

/// What a device's socket understands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Speech {
    Today,
    /// It came by `AUTHENTICATE`: commands are bare events, and it is asked for nothing.
    Legacy,
    /// As `Legacy`, and it was let in without a token: it may send nothing else.
    LegacyOnly,
}

/// A person's socket. There are many, and most of them only listen: what the identity and the handshake say is asked there.
pub(super) struct AdminSeat {
    pub identity: Arc<Identity>,
    pub handshake: Arc<Handshake>,
    pub sid: Sid,
    pub role: Role,
    /// What is watched, each once, and whether the whole state is wanted each time.
    pub watches: Vec<(Watch, bool)>,
    pub audits: bool,
}

impl AdminSeat {
    /// This person, as the audit log and commands keep it.
    pub(super) fn actor(&self) -> Actor {
        Actor::of(self.identity.sub(), &self.handshake)
    }

    /// Which devices it may see and command.
    pub(super) fn scope(&self) -> Scope<'_> {
        rules::scope_of(self.role, &self.identity)
    }

    /// Development mode: may still turn out to be a device.
    pub(super) fn is_dev(&self) -> bool {
        self.identity.method == AuthMethod::Dev
    }

    pub(super) fn is_watching(&self, watch: &Watch) -> bool {
        self.watches.iter().any(|(watched, _)| watched == watch)
    }

    /// Takes note of one subscription more.
    pub(super) fn watch(&mut self, watch: Watch, whole: bool) {
        // One is what most have: no room for more is kept.
        self.watches.reserve_exact(1);
        self.watches.push((watch, whole));
    }

    /// Forgets a subscription; whether the whole state was wanted, if there was one.
    pub(super) fn unwatch(&mut self, watch: &Watch) -> Option<bool> {
        let index = self.watches.iter().position(|(watched, _)| watched == watch)?;
        Some(self.watches.remove(index).1)
    }
}

/// Kinds of `device:alert`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum AlertKind {
    Offline,
    DuplicateDevice,
    /// About the fleet: its device id is empty.
    StoreDegraded,
}

impl AlertKind {
    /// Every kind.
    pub(super) const ALL: [AlertKind; 3] = [AlertKind::Offline, AlertKind::DuplicateDevice, AlertKind::StoreDegraded];

    /// What clients, rows and metrics call it.
    pub(super) fn name(self) -> &'static str {
        match self {
            AlertKind::Offline => "offline",
            AlertKind::DuplicateDevice => "duplicate_device",
            AlertKind::StoreDegraded => "store_degraded",
        }
    }

    /// How bad it is, as `device:alert` says it.
    pub(super) fn severity(self) -> &'static str {
        match self {
            AlertKind::StoreDegraded => "critical",
            _ => "warning",
        }
    }
}

/// Something the fleet's timer is for; devices by number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Due {
    Publish(u64),
    Calm(u64),
    /// The first of [`Fleet::asks`]: the last reports of these devices may be too old.
    Ask,
    /// Some time after a command that it obeyed, when so many reports had come.
    Settled(u64, u32),
    /// Somebody waits for its snapshot: a number of [`Fleet::looks`].
    Look(u64),
    Flush,
    Stats,
}
