//! Registration, takeover and leaving: how a device comes online and goes (SIGNAGE 9.7, 9.8 and 9.9).

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::device::{Rooms, Watch};
use super::fleet::{AlertKind, DeviceSeat, Due, Seat, Speech};
use super::origin::{CommandOrigin, Way};
use super::payload::{Connected, DeviceConfig, Disconnected, Info, Registered, forbidden};
use super::rules;
use super::tables;
use super::turn::Turn;
use crate::app::effect::{Delivery, Effect};
use crate::app::event::Event;
use crate::app::kit::ack::Fail;
use crate::app::kit::command::{Row, State};
use crate::app::kit::presence::{Arrival, Departure};
use crate::base::close::CloseReason;
use crate::base::ids::SocketRef;
use crate::base::time::WallMillis;

/// Takeovers within a minute that are still taken for reconnects.
const TAKEOVERS_PER_MINUTE_MAX: usize = 5;
const MINUTE_MS: u64 = 60_000;

/// How an event stands to registration.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Speaks {
    /// The device's own socket sends it. One whose handshake named the device registers by it, unless another one has.
    Own,
    /// As `Own`, and where another socket has registered this one is an auxiliary.
    State,
    /// Any socket of the device may send it, and none registers by it.
    Aux,
}

impl Turn<'_> {
    /// `player:register`.
    pub(super) fn on_register(&mut self, event: &Event) -> Result<Value, Fail> {
        let map = rules::object(event.args.parse(0))?;
        let (id, pending) = self.register_as(event.socket, &map, Speech::Today)?;
        Ok(self.welcome(event.socket, &id, pending, false))
    }

    /// The device a socket speaks for, which has been heard of now.
    pub(super) fn speaker(&mut self, socket: SocketRef, speaks: Speaks) -> Result<Arc<str>, Fail> {
        let unregistered = || Fail::new("NOT_REGISTERED", "Send player:register first");
        let seat = self.fleet.device_seat(socket).ok_or_else(unregistered)?;
        let id = seat.bound.clone().ok_or_else(unregistered)?;
        if !seat.registered {
            match (speaks, self.is_online(&id)) {
                (Speaks::Own, true) => return Err(unregistered()),
                (Speaks::Own | Speaks::State, false) => {
                    let (id, pending) = self.register_as(socket, &Map::new(), Speech::Today)?;
                    self.welcome(socket, &id, pending, speaks == Speaks::State);
                }
                (Speaks::State, true) | (Speaks::Aux, _) => self.introduce(socket, &id),
            }
        }
        if let Some(device) = self.fleet.devices.get_mut(&id) {
            device.row.last_seen = self.now.wall;
        }
        Ok(id)
    }

    /// As [`Turn::speaker`], for an event that may say which device it is of.
    pub(super) fn speaker_as(
        &mut self,
        socket: SocketRef,
        claimed: Option<&str>,
        speaks: Speaks,
    ) -> Result<Arc<str>, Fail> {
        let seat = self.fleet.device_seat(socket);
        if let (Some(seat), Some(claimed)) = (seat, claimed)
            && seat.bound.as_deref().is_some_and(|bound| bound != claimed)
        {
            let ip = seat.ip;
            return Err(self.mismatch(ip, claimed));
        }
        self.speaker(socket, speaks)
    }

    /// An auxiliary socket speaks for a device that nobody knows: it has been let in, so it is known from now on.
    fn introduce(&mut self, socket: SocketRef, id: &Arc<str>) {
        if self.fleet.devices.contains_key(id) {
            return;
        }
        let Some(seat) = self.fleet.device_seat(socket) else { return };
        let (info, ip) = (seat.info.clone(), seat.ip.to_string());
        let row = tables::Device { authorized: true, ip, ..self.fleet.new_row(id, self.now.wall) };
        self.fleet.insert(row);
        self.learn(id, &info);
        self.save_device(id);
        self.reserve(id);
    }

    /// Checks that the socket may register as this device, and seats it; returns it with the number of its pending commands.
    pub(super) fn register_as(
        &mut self,
        socket: SocketRef,
        map: &Map<String, Value>,
        speech: Speech,
    ) -> Result<(Arc<str>, usize), Fail> {
        self.become_device(socket);
        let seat = self.fleet.device_seat(socket).ok_or_else(forbidden)?;
        let (bound, seat_ip, told) = (seat.bound.clone(), seat.ip, seat.info.clone());
        // A socket whose token stands for one device need not say which.
        let claimed = match (&bound, map.get("deviceId").filter(|value| !value.is_null())) {
            (Some(bound), None) if map.is_empty() => bound.to_string(),
            (_, claimed) => rules::id(claimed, "deviceId")?,
        };
        if bound.as_deref().is_some_and(|bound| bound != claimed) {
            return Err(self.mismatch(seat_ip, &claimed));
        }
        let info = rules::info(map)?;
        let id = match bound {
            // Revoked meanwhile, it is on its way out.
            Some(id) if self.fleet.devices.get(&id).is_some_and(|device| device.row.retired) => {
                return Err(Fail::new("DEVICE_NOT_AUTHORIZED", rules::NOT_AUTHORIZED));
            }
            Some(id) => id,
            None => self.may_register(&claimed)?,
        };
        if let Some(seat) = self.fleet.device_seat_mut(socket) {
            seat.speech = if seat.speech == Speech::LegacyOnly { Speech::LegacyOnly } else { speech };
        }
        self.seat(socket, &id, &merged(told, info), seat_ip);
        // Counted now, when what a socket just replaced has left unanswered is pending too.
        let waits = |row: &&Row<CommandOrigin>| row.state == State::Pending && row.origin.way == Way::Player;
        let pending = self.fleet.commands.rows_of(&id).map(|(_, row)| row).filter(waits).count();
        Ok((id, pending))
    }

    /// In development mode a person's socket that registers was a device all along.
    pub(super) fn become_device(&mut self, socket: SocketRef) {
        let Some(admin) = self.fleet.admin(socket).filter(|admin| admin.is_dev()) else { return };
        let (actor, ip, sid) = (admin.actor(), admin.handshake.ip, admin.sid);
        self.leave_all(socket);
        let (bound, speech, info) = (None, Speech::Today, Info::default());
        let seat = DeviceSeat { actor, ip, sid, bound, registered: false, speech, came: self.fleet.states, info };
        self.fleet.seat_device(socket, seat, self.now.wall);
    }

    fn seat(&mut self, socket: SocketRef, id: &Arc<str>, info: &Info, ip: core::net::IpAddr) {
        self.fleet.end_aux(socket);
        if let Some(seat) = self.fleet.device_seat_mut(socket) {
            seat.bound = Some(id.clone());
            seat.registered = true;
            seat.actor.sub = id.to_string();
        }
        if !self.fleet.devices.contains_key(id) {
            let row = self.fleet.new_row(id, self.now.wall);
            self.fleet.insert(row);
        }
        let (arrival, replaced) = self.fleet.here.take_over(id, socket);
        let now = self.now.wall;
        // A device that registers has been let in, by its own token or by one for all.
        self.fleet.amend(id, |row| {
            (row.authorized, row.online) = (true, true);
            row.last_seen = now;
            row.ip = ip.to_string();
        });
        let news = self.learn(id, info);
        if arrival == Arrival::First
            && let Some(device) = self.fleet.devices.get_mut(id)
        {
            device.connected_at = self.now.wall;
        }
        self.save_device(id);
        self.reserve(id);
        for old in replaced {
            self.replaced(id, old);
        }
        match arrival {
            Arrival::First => self.tell_connected(id, "device:connected"),
            Arrival::Again if news => self.tell_connected(id, "device:updated"),
            Arrival::Again => {}
        }
    }

    /// What a device tells of itself; says whether anything is new.
    fn learn(&mut self, id: &Arc<str>, info: &Info) -> bool {
        let Some(device) = self.fleet.devices.get_mut(id) else { return false };
        let group_before = device.row.group.clone();
        let news = device.learn(info);
        if device.row.group != group_before {
            self.moved(id);
        }
        news
    }

    /// An admin has said what a device is called and where it belongs.
    pub(super) fn rename(&mut self, id: &Arc<str>, name: String, group: String) {
        let Some(device) = self.fleet.devices.get_mut(id) else { return };
        device.row.name = name;
        if std::mem::replace(&mut device.row.group, group) != device.row.group {
            self.moved(id);
        }
    }

    /// A device has registered: it is told so, and asked for its state unless that is what it comes with.
    /// Returns what it was told.
    fn welcome(&mut self, socket: SocketRef, id: &Arc<str>, pending: usize, brings_state: bool) -> Value {
        let told = self.tell_registered(socket, id, pending);
        if !brings_state {
            self.ask_newcomer(socket, id);
        }
        self.ask_when_quiet(id);
        self.arrived(id);
        told
    }

    fn tell_registered(&mut self, socket: SocketRef, id: &Arc<str>, pending_commands: usize) -> Value {
        let Some(seat) = self.fleet.device_seat(socket) else { return Value::Null };
        let registered = Registered {
            device_id: id,
            status: "registered",
            socket_id: seat.sid.as_str(),
            server_time: self.now.wall.to_string(),
            config: DeviceConfig {
                state_interval_ms: self.settings.state_interval_ms,
                snapshot_max_bytes: self.settings.snapshot_bytes_max,
                command_timeout_ms: self.settings.command_timeout_ms,
            },
            pending_commands,
        };
        let told = json!(registered);
        self.fx.emit(socket, "player:registered", &told);
        told
    }

    /// After the device has its answer: what waited for it goes out, and its alert ends.
    pub(super) fn arrived(&mut self, id: &Arc<str>) {
        for key in self.fleet.commands.returned(self.now.mono, id) {
            self.send_order(&key);
        }
        self.resolve_alert(id, AlertKind::Offline);
    }

    fn tell_connected(&mut self, id: &Arc<str>, name: &str) {
        let Some(device) = self.fleet.devices.get(id) else { return };
        let (network, row, at) = (device.network(), device.row.clone(), device.connected_at.to_string());
        let connected = Connected {
            device_id: id,
            device_name: &row.name,
            device_type: &row.kind,
            device_group: &row.group,
            app_version: &row.app_version,
            device_network: &network,
            connected_at: at,
        };
        self.tell_seers(id, name, &connected);
    }

    /// An older socket of the same device goes; nobody is told that the device went (newest registration wins).
    fn replaced(&mut self, id: &Arc<str>, old: SocketRef) {
        // Events that it still sends on its way out are nobody's.
        self.fleet.seats.remove(&old);
        self.fleet.commands.lost(id);
        self.fx.emit(old, "player:replaced", &json!({"deviceId": &**id, "timestamp": self.now.wall.to_string()}));
        self.fx.push(Effect::Disconnect { socket: old, close: false });
        let now = self.now.mono;
        let Some(device) = self.fleet.devices.get_mut(id) else { return };
        device.takeovers.retain(|at| now.since(*at) < MINUTE_MS);
        device.takeovers.push_back(now);
        if device.takeovers.len() > TAKEOVERS_PER_MINUTE_MAX {
            while device.takeovers.len() > TAKEOVERS_PER_MINUTE_MAX + 1 {
                device.takeovers.pop_front();
            }
            let number = device.number;
            self.fleet.agenda.add(now + MINUTE_MS, Due::Calm(number));
            self.fleet.alerts.raise(self.now, (id.clone(), AlertKind::DuplicateDevice), 0);
        }
    }

    /// Whether a flapping device has come to rest.
    pub(super) fn on_calm(&mut self, id: &Arc<str>) {
        let now = self.now.mono;
        let Some(device) = self.fleet.devices.get_mut(id) else { return };
        device.takeovers.retain(|at| now.since(*at) < MINUTE_MS);
        if device.takeovers.len() > TAKEOVERS_PER_MINUTE_MAX {
            self.fleet.agenda.add(now + MINUTE_MS, Due::Calm(device.number));
        } else {
            self.resolve_alert(id, AlertKind::DuplicateDevice);
        }
    }

    /// A device now belongs to another group: its watchers get the whole state, and people who may not see it any more leave.
    fn moved(&mut self, id: &Arc<str>) {
        let Some(device) = self.fleet.devices.get_mut(id) else { return };
        device.rooms = Rooms::new(&self.fleet.name, device.number, &device.row.group);
        let (number, group) = (device.number, device.row.group.clone());
        let watch = Watch::Group(group.clone());
        let has_state = device.has_state();
        let mut newcomers = Vec::new();
        let mut outsiders = Vec::new();
        for (socket, admin) in self.fleet.admins() {
            if admin.is_watching(&Watch::Device(number)) && !admin.scope().covers(&group) {
                outsiders.push(socket);
            } else if admin.is_watching(&watch) && !admin.is_watching(&Watch::All) {
                newcomers.push(socket);
            }
        }
        for socket in outsiders {
            self.unwatch(socket, &Watch::Device(number));
        }
        for socket in newcomers.into_iter().filter(|_| has_state) {
            self.tell_full(socket, id, Delivery::Full { key: number });
        }
    }

    /// A socket has answered a ping.
    pub(super) fn on_pong(&mut self, socket: SocketRef) {
        let Some(id) = self.fleet.device_seat(socket).and_then(|seat| seat.bound.clone()) else { return };
        if let Some(device) = self.fleet.devices.get_mut(&id) {
            device.row.last_seen = self.now.wall;
        }
    }

    /// A socket has gone, `silent_ms` after its client was last heard of.
    pub(super) fn on_disconnect(&mut self, socket: SocketRef, reason: CloseReason, silent_ms: u64) {
        match self.fleet.seats.get(&socket) {
            Some(Seat::Admin(_)) => {
                self.forget_watches(socket);
                self.end_looks_of(socket);
            }
            Some(Seat::Device(seat)) => {
                if let Some(id) = seat.bound.clone() {
                    self.fleet.end_aux(socket);
                    self.aux_left(&id, socket);
                    self.device_left(&id, socket, reason, silent_ms);
                }
            }
            Some(Seat::Waiting(_)) => self.waiting_left(socket),
            None => {}
        }
        self.fleet.seats.remove(&socket);
    }

    fn device_left(&mut self, id: &Arc<str>, socket: SocketRef, reason: CloseReason, silent_ms: u64) {
        if self.fleet.here.leave(self.now.mono, id, socket) != Departure::Gone {
            return;
        }
        self.fleet.commands.lost(id);
        let Some(device) = self.fleet.devices.get_mut(id) else { return };
        device.row.online = false;
        let heard = match reason {
            CloseReason::TransportClose | CloseReason::TransportError | CloseReason::ClientNamespaceDisconnect => {
                self.now.wall
            }
            // What the daemon does to a socket says nothing of its device.
            CloseReason::ServerNamespaceDisconnect => device.row.last_seen,
            _ => WallMillis(self.now.wall.0.saturating_sub(silent_ms)),
        };
        device.row.last_seen = device.row.last_seen.max(heard);
        let (retired, last_seen) = (device.row.retired, device.row.last_seen.to_string());
        self.save_device(id);
        self.tell_seers(id, "device:disconnected", &Disconnected { device_id: id, reason: reason.text(), last_seen });
        if !retired {
            let after = self.settings.offline_alert_after_ms;
            self.fleet.alerts.raise(self.now, (id.clone(), AlertKind::Offline), after);
        }
    }
}

/// What a registration tells, over what the handshake told.
fn merged(handshake: Info, register: Info) -> Info {
    Info {
        name: register.name.or(handshake.name),
        kind: register.kind.or(handshake.kind),
        group: register.group.or(handshake.group),
        app_version: register.app_version.or(handshake.app_version),
        network: register.network.or(handshake.network),
    }
}
