//! Sockets of browsers: they come, join their system, hear what is known of its devices, leave.

use std::collections::BTreeSet;
use std::ops::Bound;
use std::sync::Arc;

use serde_json::{Value, json};

use super::connection::{Connection, Kind, Status};
use super::device::DEVICE_UPDATE;
use super::log::Entry;
use super::payload::named;
use super::system::{Seat, fresh_id, room_of_logs};
use super::turn::Turn;
use super::waiting::{Dirty, Due};
use super::who::{FORBIDDEN_SYSTEM, NOT_FOUND, Rights, VALIDATION, fail, is_system, names_its_system};
use crate::app::effect::{Delivery, Effect, Emission, Target};
use crate::app::event::{Connect, Event};
use crate::app::identity::{AuthMethod, Claims, Identity};
use crate::app::kit::ack::Fail;
use crate::app::kit::rate::Meter;
use crate::base::ids::SocketRef;

impl Turn<'_> {
    /// Seats a client. One that has moved here has joined.
    pub(super) fn on_connect(&mut self, connect: &Connect) {
        let (identity, handshake) = (&connect.identity, &connect.handshake);
        let seat = Seat {
            identity: identity.clone(),
            handshake: handshake.clone(),
            sid: connect.sid,
            rights: Rights::of(identity),
            joined: false,
            logs: BTreeSet::new(),
            meter: Meter::default(),
            snapshot: None,
        };
        self.system.seats.insert(connect.socket, seat);
        if connect.moved {
            return self.join(connect.socket);
        }
        self.fx.accept(connect.socket);
    }

    /// A client has gone, or is decided elsewhere from now on.
    pub(super) fn on_disconnect(&mut self, socket: SocketRef) {
        self.leave(socket);
        self.system.seats.remove(&socket);
    }

    /// `join-system`: the system that it names has to be its own, unless joining is what names it.
    pub(super) fn on_join(&mut self, event: &Event) -> Result<Value, Fail> {
        let own = (!self.system.name.is_empty()).then(|| self.system.name.to_string());
        let is_dev = event.identity.method == AuthMethod::Dev;
        let asked = match named(event, "systemId")? {
            Some(system) if !is_system(&system) => return Err(fail(VALIDATION)),
            asked => asked.or_else(|| own.clone()).or_else(|| is_dev.then(|| DEFAULT_SYSTEM.to_owned())),
        };
        let system = asked.ok_or_else(|| fail(VALIDATION))?;
        let is_own = own.as_ref() == Some(&system);
        let may_name = names_its_system(&event.identity) && (own.is_none() || !is_dev);
        if !is_own && !may_name {
            self.note_foreign(event.socket);
            return Err(fail(FORBIDDEN_SYSTEM));
        }
        let reply = self.status_of(event.socket, true, Some(&system));
        if is_own {
            self.join(event.socket);
        } else {
            self.leave_room(event.socket);
            let identity: Arc<Identity> =
                Arc::new(Claims { system_id: Some(system), ..event.identity.claims() }.into());
            self.fx.push(Effect::Identify { socket: event.socket, identity });
        }
        Ok(reply)
    }

    /// `leave-system`: silence till it joins again.
    pub(super) fn on_leave(&mut self, event: &Event) -> Result<Value, Fail> {
        self.leave(event.socket);
        let system = (!self.system.name.is_empty()).then(|| self.system.name.clone());
        Ok(self.status_of(event.socket, false, system.as_deref()))
    }

    fn status_of(&self, socket: SocketRef, connected: bool, system: Option<&str>) -> Value {
        let sid = self.system.seats.get(&socket).map(|seat| seat.sid.to_string());
        json!({
            "connected": connected, "systemId": system, "timestamp": self.now.wall.to_string(), "socketId": sid,
        })
    }

    fn join(&mut self, socket: SocketRef) {
        let Some(seat) = self.system.seats.get_mut(&socket) else { return };
        let is_new = !std::mem::replace(&mut seat.joined, true);
        if is_new {
            self.system.joined += 1;
            self.fx.join(socket, self.system.room.clone());
            self.count_sockets();
            self.log_socket(socket, "connect", "Cliente conectado");
        }
        self.begin_snapshot(socket);
    }

    fn leave(&mut self, socket: SocketRef) {
        self.unsubscribe_all(socket);
        let Some(seat) = self.system.seats.get_mut(&socket).filter(|seat| seat.joined) else { return };
        (seat.joined, seat.snapshot) = (false, None);
        self.system.joined -= 1;
        self.log_socket(socket, "disconnect", "Cliente desconectado");
        self.leave_room(socket);
        self.count_sockets();
    }

    fn leave_room(&mut self, socket: SocketRef) {
        self.fx.push(Effect::Leave { socket, room: self.system.room.clone() });
    }

    fn unsubscribe_all(&mut self, socket: SocketRef) {
        let Some(seat) = self.system.seats.get_mut(&socket) else { return };
        for connection in std::mem::take(&mut seat.logs) {
            self.stop_reading(socket, &connection);
        }
    }

    /// `subscribe-logs`.
    pub(super) fn on_subscribe(&mut self, event: &Event) -> Result<Value, Fail> {
        let asked = named(event, "connectionId")?.ok_or_else(|| fail(VALIDATION))?;
        let found = self.system.connections.get_key_value(&*asked).map(|(id, _)| id.clone());
        let connection = found.ok_or_else(|| fail(NOT_FOUND))?;
        let Some(seat) = self.system.seats.get_mut(&event.socket) else { return Ok(json!({})) };
        if seat.logs.len() >= LOGS_MAX {
            return Err(fail(VALIDATION));
        }
        if seat.logs.insert(connection.clone()) {
            *self.system.readers.entry(connection.clone()).or_default() += 1;
            self.fx.join(event.socket, room_of_logs(&connection));
        }
        Ok(json!({ "connectionId": connection }))
    }

    /// `unsubscribe-logs`.
    pub(super) fn on_unsubscribe(&mut self, event: &Event) -> Result<Value, Fail> {
        let asked = named(event, "connectionId")?.ok_or_else(|| fail(VALIDATION))?;
        let seat = self.system.seats.get_mut(&event.socket);
        let connection = seat.and_then(|seat| seat.logs.take(&*asked)).ok_or_else(|| fail(NOT_FOUND))?;
        self.stop_reading(event.socket, &connection);
        Ok(json!({ "connectionId": connection }))
    }

    /// A socket reads the log of a connection no longer.
    pub(super) fn stop_reading(&mut self, socket: SocketRef, connection: &Arc<str>) {
        self.fx.push(Effect::Leave { socket, room: room_of_logs(connection) });
        if let Some(readers) = self.system.readers.get_mut(connection) {
            *readers -= 1;
            if *readers == 0 {
                self.system.readers.remove(connection);
            }
        }
    }

    /// The one connection that stands for the system's sockets says how many there are. Guests alone make none.
    pub(super) fn count_sockets(&mut self) {
        let name = self.system.name.clone();
        if name.is_empty() || !self.system.is_loaded {
            return;
        }
        let (sockets, now) = (self.system.joined, self.now.wall);
        let known = self.system.connection_of(Kind::Sockets, &name).map(|connection| connection.id.clone());
        let is_ours = self.system.seats.values().any(|seat| seat.joined && !seat.rights.guest);
        let id = match known {
            Some(id) => id,
            None if is_ours => fresh_id(self.rng),
            None => return,
        };
        let new = || Connection::new(id.clone(), Kind::Sockets, &name, now);
        let connection = self.system.connections.entry(id.clone()).or_insert_with(new);
        connection.status = if sockets > 0 { Status::Connected } else { Status::Disconnected };
        connection.metadata = Some(json!({ "sockets": sockets }).to_string().into());
        connection.updated_at = now;
        self.touch(Dirty::Connection(id));
    }

    fn log_socket(&mut self, socket: SocketRef, event_type: &'static str, message: &str) {
        let Some(seat) = self.system.seats.get(&socket) else { return };
        let metadata = Some(json!({"socketId": seat.sid.as_str()}));
        let entry = Entry { actor: Some(seat.actor()), metadata, ..Entry::new(event_type, message) };
        let connection = self.system.connection_of(Kind::Sockets, &self.system.name).map(|own| own.id.clone());
        if let Some(connection) = connection {
            self.log(&connection, entry);
        }
    }

    fn note_foreign(&mut self, socket: SocketRef) {
        self.log_socket(socket, "security_alert", "Intento de acceso a otro sistema");
    }

    /// Begins to tell a socket of every device, in the order of their ids.
    pub(super) fn begin_snapshot(&mut self, socket: SocketRef) {
        let Some(seat) = self.system.seats.get_mut(&socket) else { return };
        seat.snapshot = Some("".into());
        self.tell_snapshot(socket);
    }

    /// Tells a socket of the next devices: a large system comes in parts, so that its outbox has room.
    pub(super) fn tell_snapshot(&mut self, socket: SocketRef) {
        let Some(seat) = self.system.seats.get_mut(&socket) else { return };
        let Some(after) = seat.snapshot.take() else { return };
        let mut last = None;
        let behind = (Bound::Excluded(&*after), Bound::Unbounded);
        for (told, device) in self.system.devices.range::<str, _>(behind).map(|(_, device)| device).enumerate() {
            if told == SNAPSHOT_DEVICES {
                seat.snapshot = last;
                self.system.agenda.put(self.now.mono + SNAPSHOT_PAUSE_MS, Due::Snapshot(socket));
                break;
            }
            let event = Emission::new(DEVICE_UPDATE, &device.view().told(self.now.wall, "snapshot"));
            let delivery = Delivery::Latest { key: u64::from(device.number) };
            self.fx.push(Effect::Emit { target: Target::Socket(socket), event, delivery });
            last = Some(device.id.clone());
        }
    }
}

/// The system of those who name none in development mode.
pub(super) const DEFAULT_SYSTEM: &str = "default";
/// Devices of one part of a snapshot, and the pause before the next.
const SNAPSHOT_DEVICES: usize = 500;
/// Logs that one socket reads.
const LOGS_MAX: usize = 64;
const SNAPSHOT_PAUSE_MS: u64 = 20;
