//! What the home of a system holds in memory: its devices, connections and credentials, who is connected, and what waits to be written or
//! told. Plain data with small methods; the decisions are in the handlers.

use core::net::IpAddr;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::cloud::state::{Cloud, Phase};
use super::command::Commands;
use super::connection::{Connection, Kind};
use super::controls::Controls;
use super::credential::Credential;
use super::device::{Device, Source};
use super::local::state::Local;
use super::settings::Settings;
use super::waiting::{Due, UNSAVED, Unsaved};
use super::who::Rights;
use super::wire::status::Reading;
use crate::app::Token;
use crate::app::effect::Room;
use crate::app::event::Handshake;
use crate::app::identity::Identity;
use crate::app::kit::agenda::{Agenda, Timer};
use crate::app::kit::audit::Actor;
use crate::app::kit::rate::{Buckets, Meter};
use crate::base::ids::{Sid, SocketRef};
use crate::base::rng::Rng;
use crate::base::time::{Millis, WallMillis};

/// One system: a clinic's devices and the people who watch them. The one without a name is of those who have named none yet.
pub(super) struct System {
    pub name: Arc<str>,
    pub room: Room,
    pub seats: BTreeMap<SocketRef, Seat>,
    /// How many of them have joined.
    pub joined: usize,
    /// By their ids.
    pub devices: BTreeMap<Arc<str>, Device>,
    /// Ids of devices by what Shelly calls them, in small letters.
    shelly: BTreeMap<Box<str>, Arc<str>>,
    numbers: BTreeMap<u32, Arc<str>>,
    next_number: u32,
    pub connections: BTreeMap<Arc<str>, Connection>,
    pub credentials: BTreeMap<Arc<str>, Credential>,
    /// What runs of each credential.
    pub clouds: BTreeMap<Arc<str>, Cloud>,
    pub local: Local,
    pub commands: Commands,
    pub controls: Controls,
    /// How many sockets read the log of a connection.
    pub readers: BTreeMap<Arc<str>, u32>,
    /// Devices that came and are nobody's, by what Shelly calls them.
    pub unclaimed: BTreeMap<Box<str>, Unclaimed>,
    /// Hashes of the secrets by which devices may come in.
    pub outbound: BTreeSet<Arc<str>>,
    /// Events by the address that they came from.
    pub addresses: Buckets<IpAddr>,
    pub agenda: Agenda<Due>,
    pub timer: Timer,
    pub unsaved: Unsaved,
    /// Since when it is in memory.
    pub since: Millis,
    /// What is stored of it has been read.
    pub is_loaded: bool,
    /// Jobs whose outcome it waits for.
    pub jobs: usize,
}

/// Somebody who is connected.
pub(super) struct Seat {
    pub identity: Arc<Identity>,
    pub handshake: Arc<Handshake>,
    pub sid: Sid,
    pub rights: Rights,
    /// It hears what happens in its system.
    pub joined: bool,
    /// Connections whose logs it hears.
    pub logs: BTreeSet<Arc<str>>,
    pub meter: Meter,
    /// It is being told of all devices, and has been up to this one.
    pub snapshot: Option<Arc<str>>,
}

impl Seat {
    /// Its name and where it is, for logs and the audit.
    pub(super) fn actor(&self) -> Actor {
        Actor::of(self.identity.sub(), &self.handshake)
    }
}

/// A device that nobody has claimed.
#[derive(Clone, Debug)]
pub(super) struct Unclaimed {
    pub ip: Option<IpAddr>,
    pub first_seen: WallMillis,
    pub last_seen: WallMillis,
    /// The last that came of it, from a source that still holds it: it is online as soon as it is claimed.
    pub held: Option<Box<Held>>,
}

/// What is known of a device of nobody.
#[derive(Clone, Debug)]
pub(super) struct Held {
    pub source: Source,
    pub credential: Option<Arc<str>>,
    pub reading: Reading,
}

impl System {
    pub(super) fn new(name: &str, timer: Token, since: Millis, settings: &Settings) -> System {
        System {
            name: Arc::from(name),
            room: room_of(name),
            seats: BTreeMap::new(),
            joined: 0,
            devices: BTreeMap::new(),
            shelly: BTreeMap::new(),
            numbers: BTreeMap::new(),
            next_number: 0,
            connections: BTreeMap::new(),
            credentials: BTreeMap::new(),
            clouds: BTreeMap::new(),
            local: Local::default(),
            commands: Commands::default(),
            controls: Controls::new(settings),
            readers: BTreeMap::new(),
            unclaimed: BTreeMap::new(),
            outbound: BTreeSet::new(),
            addresses: Buckets::new(settings.per_address(), ADDRESSES_MAX),
            agenda: Agenda::default(),
            timer: Timer::new(timer),
            unsaved: Unsaved::new(UNSAVED),
            since,
            is_loaded: false,
            jobs: 0,
        }
    }

    /// Takes a device in.
    pub(super) fn insert(&mut self, mut device: Device) -> Arc<str> {
        device.number = self.next_number;
        self.next_number += 1;
        let id = device.id.clone();
        self.numbers.insert(device.number, id.clone());
        self.shelly.insert(key_of(&device.shelly_id), id.clone());
        self.devices.insert(id.clone(), device);
        id
    }

    /// Takes in the devices of a system that had none, sorted by their ids: maps that are built so are full.
    pub(super) fn take_in(&mut self, mut devices: Vec<Device>) {
        for (number, device) in (0..).zip(&mut devices) {
            device.number = number;
        }
        self.next_number = devices.len() as u32;
        self.numbers = devices.iter().map(|device| (device.number, device.id.clone())).collect();
        self.shelly = devices.iter().map(|device| (key_of(&device.shelly_id), device.id.clone())).collect();
        self.devices = devices.into_iter().map(|device| (device.id.clone(), device)).collect();
    }

    /// A device goes.
    pub(super) fn remove(&mut self, id: &str) -> Option<Device> {
        let device = self.devices.remove(id)?;
        self.numbers.remove(&device.number);
        self.shelly.remove(&key_of(&device.shelly_id));
        Some(device)
    }

    /// The device of this id, or that Shelly calls so, in whatever case.
    pub(super) fn find(&self, id: &str) -> Option<&Device> {
        let key = key_of(id);
        self.devices.get(&*key).or_else(|| self.devices.get(self.shelly.get(&key)?))
    }

    /// [`System::find`], to be changed.
    pub(super) fn find_mut(&mut self, id: &str) -> Option<&mut Device> {
        let id = self.find(id)?.id.clone();
        self.devices.get_mut(&id)
    }

    /// The id of a device by its number.
    pub(super) fn numbered(&self, number: u32) -> Option<&Arc<str>> {
        self.numbers.get(&number)
    }

    /// The connection of a kind with this reference.
    pub(super) fn connection_of(&self, kind: Kind, reference: &str) -> Option<&Connection> {
        self.connections.values().find(|connection| connection.kind == kind && &*connection.reference == reference)
    }

    /// The connection of a credential.
    pub(super) fn of_credential(&self, credential: &str) -> Option<&Connection> {
        self.connection_of(Kind::Shelly, credential)
    }

    /// Whether it may be forgotten: nobody is there, nothing runs, and all of it is on disk.
    pub(super) fn is_idle(&self) -> bool {
        let runs = self.clouds.values().any(|cloud| !matches!(cloud.phase, Phase::Idle | Phase::Failed));
        let here = self.devices.values().any(|device| device.online);
        let spoken = !self.local.sessions.is_empty() || !self.local.dialled.is_empty();
        !runs && !here && !spoken && self.seats.is_empty() && self.jobs == 0 && self.unsaved.is_empty()
    }
}

/// The room of a system: those who have joined it.
pub(super) fn room_of(system: &str) -> Room {
    format!("system/{system}").into()
}

/// The room of those who read a connection's log.
pub(super) fn room_of_logs(connection: &str) -> Room {
    format!("logs/{connection}").into()
}

fn key_of(shelly_id: &str) -> Box<str> {
    shelly_id.to_ascii_lowercase().into()
}

/// A fresh id, in small letters and digits: clients say ids in whatever case.
pub(super) fn fresh_id(rng: &mut Rng) -> Arc<str> {
    const LETTERS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
    let mut id = String::with_capacity(25);
    id.push('c');
    for _ in 0..24 {
        id.push(char::from(LETTERS[rng.below(36) as usize]));
    }
    id.into()
}

/// Addresses whose events are counted.
const ADDRESSES_MAX: usize = 10_000;
