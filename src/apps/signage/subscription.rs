//! What admins watch and ask: lists, subscriptions, state, history, snapshots, the audit feed (SIGNAGE 3).
//!
//! A watcher gets the whole state of every device a subscription covers when it subscribes, before it
//! is in the room; from then on all members of the room `diff` have the state of the rev before, so one patch serves all.
//! Where a slow reader's outbox dropped something, it gets the whole state again when it has drained.

use std::sync::Arc;

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::connect::{rooms_of_scope, watches_of};
use super::device::{Device, Watch};
use super::fleet::AdminSeat;
use super::payload::{List, forbidden, no_device};
use super::rules;
use super::tables;
use super::turn::Turn;
use super::waiting::Reader;
use crate::app::effect::{Delivery, Effect, Emission, Room, Target};
use crate::app::event::Event;
use crate::app::kit::ack::Fail;
use crate::app::kit::audit::Entry;
use crate::base::ids::SocketRef;

/// Subscriptions of one socket; with those by which it sees its groups, fewer than the rooms a socket may be in.
const WATCHES_PER_SOCKET_MAX: usize = 64;
/// Revisions one `device:history` may ask for.
const HISTORY_MAX: u64 = 500;

/// An entry of the audit feed.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AuditTold<'a> {
    actor: &'a str,
    action: &'a str,
    target: &'a str,
    outcome: &'a str,
    details: Value,
    timestamp: String,
}

impl Turn<'_> {
    /// `devices:list`.
    pub(super) fn on_list(&mut self, event: &Event) -> Result<Value, Fail> {
        self.tell_list(event.socket);
        let newcomers = self.fleet.newcomers();
        Ok(serde_json::to_value(self.list(event.socket, &newcomers)).unwrap_or_default())
    }

    /// `devices:list`, as far as its scope goes.
    pub(super) fn tell_list(&mut self, socket: SocketRef) {
        let newcomers = self.fleet.newcomers();
        let event = Emission::new("devices:list", &self.list(socket, &newcomers));
        self.fx.push(Effect::Emit { target: Target::Socket(socket), event, delivery: Delivery::Must });
    }

    fn list<'a>(&'a self, socket: SocketRef, newcomers: &'a [Device]) -> List<'a> {
        let scope = self.fleet.admin(socket).map(AdminSeat::scope);
        let devices = scope.map(|scope| self.fleet.listed(newcomers, &scope)).unwrap_or_default();
        List { devices, server_time: self.now.wall.to_string() }
    }

    /// `device:subscribe {deviceId | group | '*', mode}`.
    pub(super) fn on_subscribe(&mut self, event: &Event) -> Result<Value, Fail> {
        let map = subject(event)?;
        let whole = match map.get("mode").and_then(Value::as_str) {
            None | Some("diff") => false,
            Some("full") => true,
            Some(_) => return Err(Fail::validation("mode must be diff or full")),
        };
        let watches = self.watches(event.socket, &map)?;
        let held = self.fleet.admin(event.socket).map_or(0, |admin| admin.watches.len());
        if held + watches.len() > WATCHES_PER_SOCKET_MAX {
            return Err(Fail::new("TOO_MANY_SUBSCRIPTIONS", format!("At most {WATCHES_PER_SOCKET_MAX} subscriptions")));
        }
        let reply = subscription(&map, if whole { "full" } else { "diff" });
        self.fx.emit(event.socket, "device:subscribed", &reply);
        for watch in watches {
            self.watch(event.socket, watch, whole);
        }
        Ok(reply)
    }

    /// `device:unsubscribe {deviceId | group | '*'}`.
    pub(super) fn on_unsubscribe(&mut self, event: &Event) -> Result<Value, Fail> {
        let map = subject(event)?;
        for watch in self.watches(event.socket, &map)? {
            self.unwatch(event.socket, &watch);
        }
        let reply = subscription(&map, "none");
        self.fx.emit(event.socket, "device:unsubscribed", &reply);
        Ok(reply)
    }

    /// `device:state {deviceId}`: the whole state, for those who have found a gap.
    pub(super) fn on_device_state(&mut self, event: &Event) -> Result<Value, Fail> {
        let id = self.seen_device(event)?;
        self.tell_full(event.socket, &id, Delivery::Must);
        let online = self.is_online(&id);
        let device = self.fleet.devices.get(&id).ok_or_else(|| no_device(&id))?;
        let reply = json!({"deviceId": &*id, "rev": device.rev, "state": device.published, "online": online,
            "lastSeen": device.last_seen()});
        self.fx.emit(event.socket, "device:state", &reply);
        Ok(reply)
    }

    /// `device:history {deviceId, since?, limit?}`; the store answers.
    pub(super) fn on_history(&mut self, event: &Event) -> Result<Option<Value>, Fail> {
        let id = self.seen_device(event)?;
        let map = rules::object(event.args.parse(0))?;
        let number = |key: &str, default: u64| match map.get(key).filter(|value| !value.is_null()) {
            None => Ok(default),
            Some(value) => rules::whole(value).ok_or_else(|| Fail::validation(format!("{key} must be a whole number"))),
        };
        let since = number("since", 0)?;
        let limit = number("limit", 100)?;
        if !(1..=HISTORY_MAX).contains(&limit) {
            return Err(Fail::validation(format!("limit must be 1 to {HISTORY_MAX}")));
        }
        let limit = self.settings.history_per_device_max.min(limit as u32);
        let changes = tables::changes(&self.fleet.name, &id, since, limit);
        self.read_saved(changes, Reader::History { socket: event.socket, ack: event.ack, device_id: id.to_string() });
        Ok(None)
    }

    /// `audit:subscribe`: what others do is told from now on as `audit:entry`.
    pub(super) fn on_audit(&mut self, event: &Event) -> Result<Value, Fail> {
        let room = audit_room(&self.fleet.name);
        let Some(admin) = self.fleet.admin_mut(event.socket) else { return Err(forbidden()) };
        if !std::mem::replace(&mut admin.audits, true) {
            self.enter(event.socket, room);
        }
        let reply = json!({"subscribed": true});
        self.fx.emit(event.socket, "audit:subscribed", &reply);
        Ok(reply)
    }

    /// `audit:entry` to those who have subscribed.
    pub(super) fn tell_auditors(&mut self, entry: &Entry) {
        let told = AuditTold {
            actor: &entry.actor,
            action: &entry.action,
            target: &entry.target,
            outcome: &entry.outcome,
            details: serde_json::from_str(&entry.details).unwrap_or_default(),
            timestamp: entry.at.to_string(),
        };
        self.tell_rooms(vec![audit_room(&self.fleet.name)], Vec::new(), "audit:entry", &told, Delivery::Must);
    }

    /// Entries of a slow admin's outbox were dropped: the whole state of each device, while it still watches it.
    pub(super) fn on_drained(&mut self, socket: SocketRef, keys: &[u64]) {
        for key in keys {
            let Some(id) = self.fleet.numbers.get(key).cloned() else { continue };
            let Some(device) = self.fleet.devices.get(&id) else { continue };
            let watched =
                self.fleet.admin(socket).is_some_and(|seat| seat.watches.iter().any(|(watch, _)| watch.covers(device)));
            if watched && device.has_state() {
                self.tell_full(socket, &id, Delivery::Full { key: *key });
            }
        }
    }

    /// The device an admin asks about, if it may see it.
    pub(super) fn seen_device(&self, event: &Event) -> Result<Arc<str>, Fail> {
        let id = rules::id(subject(event)?.get("deviceId"), "deviceId")?;
        self.seen(event.socket, &id)
    }

    /// The device of this id, if this person may see it.
    pub(super) fn seen(&self, socket: SocketRef, id: &str) -> Result<Arc<str>, Fail> {
        let admin = self.fleet.admin(socket).ok_or_else(forbidden)?;
        let (id, device) = self.fleet.devices.get_key_value(id).ok_or_else(|| no_device(id))?;
        if admin.scope().covers(&device.row.group) { Ok(id.clone()) } else { Err(forbidden()) }
    }

    /// What a subscription names, as far as this admin may.
    fn watches(&self, socket: SocketRef, map: &Map<String, Value>) -> Result<Vec<Watch>, Fail> {
        let admin = self.fleet.admin(socket).ok_or_else(forbidden)?;
        let given = |key: &str| map.get(key).filter(|value| !value.is_null());
        let all = [given("deviceId"), given("group")].iter().flatten().any(|value| **value == json!("*"));
        match (given("deviceId"), given("group")) {
            _ if all => Ok(watches_of(&admin.scope())),
            (Some(id), None) => {
                let id = self.seen(socket, &rules::id(Some(id), "deviceId")?)?;
                Ok(self.fleet.devices.get(&id).map(|device| Watch::Device(device.number)).into_iter().collect())
            }
            (None, Some(group)) => {
                let group = rules::id(Some(group), "group")?;
                if admin.scope().covers(&group) { Ok(vec![Watch::Group(group)]) } else { Err(forbidden()) }
            }
            _ => Err(Fail::validation("One of deviceId and group")),
        }
    }

    /// The whole state of what is watched, then the room of those who have it.
    pub(super) fn watch(&mut self, socket: SocketRef, watch: Watch, whole: bool) {
        self.unwatch(socket, &watch);
        let covered = self.fleet.devices.iter().filter(|(_, device)| device.has_state() && watch.covers(device));
        let covered: Vec<(Arc<str>, u64)> = covered.map(|(id, device)| (id.clone(), device.number)).collect();
        for (id, key) in covered {
            self.tell_full(socket, &id, Delivery::Full { key });
        }
        let room = watch.room(kind(whole), &self.fleet.name);
        if let Some(admin) = self.fleet.admin_mut(socket) {
            admin.watch(watch, whole);
            self.enter(socket, room);
        }
    }

    /// Ends one subscription, if there is one.
    pub(super) fn unwatch(&mut self, socket: SocketRef, watch: &Watch) {
        let name = self.fleet.name.clone();
        let Some(whole) = self.fleet.admin_mut(socket).and_then(|admin| admin.unwatch(watch)) else { return };
        let room = watch.room(kind(whole), &name);
        self.uncount(&room);
        self.fx.push(Effect::Leave { socket, room });
    }

    /// The socket enters a room, and counts among those who listen there.
    pub(super) fn enter(&mut self, socket: SocketRef, room: Room) {
        *self.fleet.watchers.entry(room.clone()).or_default() += 1;
        self.fx.join(socket, room);
    }

    /// A person's socket has gone, and is out of its rooms already.
    pub(super) fn forget_watches(&mut self, socket: SocketRef) {
        for room in self.rooms_of(socket) {
            self.uncount(&room);
        }
    }

    /// A socket is no person's any more.
    pub(super) fn leave_all(&mut self, socket: SocketRef) {
        for room in self.rooms_of(socket) {
            self.uncount(&room);
            self.fx.push(Effect::Leave { socket, room });
        }
    }

    fn rooms_of(&self, socket: SocketRef) -> Vec<Room> {
        let name = &self.fleet.name;
        let Some(admin) = self.fleet.admin(socket) else { return Vec::new() };
        let watched = admin.watches.iter().map(|(watch, whole)| watch.room(kind(*whole), name));
        watched.chain(rooms_of_scope(&admin.scope(), name)).chain(admin.audits.then(|| audit_room(name))).collect()
    }

    fn uncount(&mut self, room: &Room) {
        if let Some(count) = self.fleet.watchers.get_mut(room) {
            *count -= 1;
            if *count == 0 {
                self.fleet.watchers.remove(room);
            }
        }
    }
}

fn kind(whole: bool) -> &'static str {
    if whole { "full" } else { "diff" }
}

fn audit_room(fleet: &str) -> Room {
    format!("audit/{fleet}").into()
}

/// What a request is about: an object, or just a device's id or `*`.
pub(super) fn subject(event: &Event) -> Result<Map<String, Value>, Fail> {
    match event.args.parse(0) {
        Some(Value::String(id)) => Ok(Map::from_iter([("deviceId".to_owned(), Value::String(id))])),
        other => rules::object(other),
    }
}

fn subscription(map: &Map<String, Value>, mode: &str) -> Value {
    let mut reply = Map::new();
    for key in ["deviceId", "group"] {
        if let Some(value) = map.get(key).filter(|value| !value.is_null()) {
            reply.insert(key.to_owned(), value.clone());
        }
    }
    reply.insert("mode".to_owned(), json!(mode));
    Value::Object(reply)
}
