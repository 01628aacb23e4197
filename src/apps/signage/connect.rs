//! Admission: devices come in by their tokens, people by their roles (SIGNAGE 1, 9.2 and 9.12).
//! A refusal says `Device not authorized` whatever the reason; the reason is in its `data`, the log and the metric.

use core::net::IpAddr;
use std::sync::Arc;

use serde_json::{Map, Value, json};
use tracing::warn;

use super::device::Watch;
use super::fleet::{AdminSeat, DeviceSeat, Due, Seat, Speech, THROTTLED_ROWS};
use super::rules::{self, NOT_AUTHORIZED, Role, short_hash};
use super::tables;
use super::tokens::{self, Shown};
use super::turn::Turn;
use crate::app::Asked;
use crate::app::effect::{Effect, Room};
use crate::app::event::{Connect, Handshake};
use crate::app::identity::{AuthMethod, Identity, intake};
use crate::app::kit::ack::Fail;
use crate::app::kit::audit::Actor;
use crate::app::kit::rate::Exceeded;
use crate::app::kit::roles::Scope;
use crate::base::close::CloseReason;
use crate::base::time::WallMillis;

/// Devices kept only because they have knocked; beyond it the one not seen for longest is forgotten.
const STRANGERS_MAX: usize = 1_000;

/// Why a device is not let in: the metric's label and the row's reason.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Refused {
    MissingToken,
    UnknownToken,
    Revoked,
    Mismatch,
    BadDeviceId,
    FleetFull,
    NoRole,
    TooManyWaiting,
}

impl Refused {
    fn reason(self) -> &'static str {
        match self {
            Refused::MissingToken => "missing_token",
            Refused::UnknownToken => "unknown_token",
            Refused::Revoked => "revoked",
            Refused::Mismatch => "device_id_mismatch",
            Refused::BadDeviceId => "bad_device_id",
            Refused::FleetFull => "fleet_full",
            Refused::NoRole => "no_role",
            Refused::TooManyWaiting => "too_many_waiting",
        }
    }

    fn code(self) -> &'static str {
        match self {
            Refused::Mismatch => "DEVICE_ID_MISMATCH",
            Refused::BadDeviceId => "VALIDATION",
            Refused::FleetFull => "FLEET_FULL",
            Refused::NoRole => "FORBIDDEN",
            Refused::TooManyWaiting => "TOO_MANY_WAITING",
            _ => "DEVICE_NOT_AUTHORIZED",
        }
    }
}

/// The device a handshake names, in the CONNECT's auth or the query.
pub(super) fn named_device(auth: &Map<String, Value>, handshake: &Handshake) -> Option<Value> {
    let named = auth.get("deviceId").filter(|value| !value.is_null()).cloned();
    named.or_else(|| queried(handshake, "deviceId").filter(|id| !id.is_empty()).map(Value::from))
}

/// What the query says. Players put objects into it, which arrive as the text of none: that says nothing.
fn queried(handshake: &Handshake, key: &str) -> Option<String> {
    handshake.query_value(key).filter(|text| text != "[object Object]")
}

/// Whether a client wants to be paired: it says so, and brings no token.
pub(super) fn is_pairing(auth: &Map<String, Value>, asked: &Asked<'_>) -> bool {
    auth.get("pairing") == Some(&Value::Bool(true)) && matches!(intake::token(asked), Ok(None))
}

/// What the handshake tells of a device, as a registration would.
fn told(auth: &Map<String, Value>, handshake: &Handshake) -> Map<String, Value> {
    let keys = ["deviceName", "deviceType", "deviceGroup", "appVersion", "deviceNetwork"];
    let value = |key: &str| auth.get(key).cloned().or_else(|| queried(handshake, key).map(Value::from));
    keys.iter().filter_map(|key| Some(((*key).to_owned(), value(key)?))).collect()
}

impl Turn<'_> {
    /// Seats a client that may come in, and refuses any other.
    pub(super) fn on_connect(&mut self, connect: &Connect) {
        let identity = &connect.identity;
        match rules::role_of(identity).filter(|_| identity.role() != "device") {
            Some(role) => self.seat_admin(connect, role),
            None => self.seat_device(connect),
        }
    }

    fn seat_device(&mut self, connect: &Connect) {
        let auth: Map<String, Value> = serde_json::from_slice(&connect.auth).unwrap_or_default();
        let asked = Asked { auth: &connect.auth, handshake: &connect.handshake };
        if self.settings.pairing && is_pairing(&auth, &asked) {
            return self.seat_waiting(connect);
        }
        let token = intake::token(&asked).ok().flatten().unwrap_or_default();
        if token.is_empty() && self.is_legacy(connect) {
            return self.seat_legacy(connect);
        }
        let named = named_device(&auth, &connect.handshake).map(|value| rules::id(Some(&value), "deviceId"));
        let admitted = match named.transpose() {
            Ok(named) => self.judge(&connect.identity, named.as_deref(), &token).map_err(|why| (why, named)),
            Err(_) => Err((Refused::BadDeviceId, None)),
        };
        match admitted {
            Ok(bound) => {
                if let Some(id) = &bound {
                    self.note_token(id, &rules::hash(&token));
                }
                let actor = Actor::of(bound.as_deref().unwrap_or("device"), &connect.handshake);
                // A device is not refused for what it tells of itself here: a field that does not fit is not used.
                let info = rules::info(&told(&auth, &connect.handshake)).unwrap_or_default();
                let (ip, sid, speech, came) = (connect.handshake.ip, connect.sid, Speech::Today, self.fleet.states);
                let id = bound.clone();
                let seat = DeviceSeat { actor, ip, sid, bound, registered: false, speech, came, info };
                self.fleet.seat_device(connect.socket, seat, self.now.wall);
                self.fx.accept(connect.socket);
                if let Some(id) = id {
                    self.bound_aux(&id);
                }
            }
            Err((why, named)) => self.turn_away(connect, why, named.as_deref().unwrap_or(""), &rules::hash(&token)),
        }
    }

    /// Refuses a client, and records that.
    pub(super) fn turn_away(&mut self, connect: &Connect, why: Refused, device_id: &str, hash: &str) {
        let data = self.failed_attempt(connect, why, device_id, hash);
        self.fx.refuse(connect.socket, NOT_AUTHORIZED, Some(data));
    }

    /// A device came by one of its own tokens: if it is the newest, the time of those before it runs from now on.
    fn note_token(&mut self, id: &Arc<str>, hash: &str) {
        let (now, overlap_ms) = (self.now.wall, self.settings.token_overlap_min.saturating_mul(60_000));
        let Some(device) = self.fleet.devices.get_mut(id) else { return };
        let is_newest = tokens::shown(&device.row, hash, now) == Some(Shown::Newest);
        if is_newest && tokens::used(&mut device.row, now, overlap_ms) {
            self.save_device(id);
        }
    }

    /// The oldest auxiliary sockets of a device make room.
    fn bound_aux(&mut self, id: &Arc<str>) {
        while self.fleet.aux(id).len() > self.settings.aux_sockets_max
            && let Some((oldest, _)) = self.fleet.aux(id).first().copied()
        {
            self.fx.push(Effect::Disconnect { socket: oldest, close: false });
            self.on_disconnect(oldest, CloseReason::ServerNamespaceDisconnect, 0);
        }
    }

    /// Which device a socket stands for; `None`: any, as it registers. Purely a question; nothing is changed.
    fn judge(&self, identity: &Identity, named: Option<&str>, token: &str) -> Result<Option<Arc<str>>, Refused> {
        let device = named.and_then(|id| self.fleet.devices.get(id));
        match identity.method {
            AuthMethod::Dev | AuthMethod::Jwt => {
                let Some(own) = identity.device_id() else { return Err(Refused::NoRole) };
                if named.is_some_and(|named| named != own) {
                    return Err(Refused::Mismatch);
                }
                if rules::id(Some(&Value::from(own)), "deviceId").is_err() {
                    return Err(Refused::BadDeviceId);
                }
                self.room_for(own).map(Some)
            }
            AuthMethod::Application if token.is_empty() => Err(Refused::MissingToken),
            AuthMethod::Application => {
                let hash = rules::hash(token);
                let now = self.now.wall;
                if device.is_some_and(|device| tokens::shown(&device.row, &hash, now).is_some()) {
                    return Ok(named.map(Arc::from));
                }
                if hash == self.shared.fleet_token_hash {
                    return named.map(|named| self.room_for(named)).transpose();
                }
                let owner = if named.is_none() { self.fleet.token_owner(&hash, now) } else { None };
                owner.map(Some).ok_or(Refused::UnknownToken)
            }
        }
    }

    /// Whether a device that needs no token of its own may be one of the fleet.
    fn room_for(&self, id: &str) -> Result<Arc<str>, Refused> {
        match self.fleet.devices.get_key_value(id) {
            Some((_, device)) if device.row.retired => Err(Refused::Revoked),
            Some((id, _)) => Ok(id.clone()),
            None if self.fleet.devices.len() >= self.settings.devices_max => Err(Refused::FleetFull),
            None => Ok(Arc::from(id)),
        }
    }

    /// [`Turn::room_for`] at registration, where the id comes late.
    pub(super) fn may_register(&self, id: &str) -> Result<Arc<str>, Fail> {
        self.room_for(id).map_err(|why| Fail::new(why.code(), NOT_AUTHORIZED))
    }

    /// Counts, records and, where a token was presented for a device, lists it as pending. Returns the refusal's `data`.
    /// Throttling is about bad tokens only: a client with a good one never comes here.
    fn failed_attempt(&mut self, connect: &Connect, why: Refused, device_id: &str, hash: &str) -> Value {
        let ip = connect.handshake.ip;
        if let Err(exceeded) = self.fleet.failures.take(self.now.mono, &ip) {
            self.shared.counts.auth_failure("throttled");
            if self.fleet.throttled_rows.take(self.now.mono, THROTTLED_ROWS).is_ok() {
                self.record_failure(ip.to_string(), device_id, "throttled");
            }
            self.note_failure(device_id, ip, "throttled");
            let mut data = self.throttle(exceeded);
            data["code"] = json!("THROTTLED");
            return data;
        }
        self.shared.counts.auth_failure(why.reason());
        self.record_failure(ip.to_string(), device_id, why.reason());
        let knocks =
            matches!(why, Refused::UnknownToken | Refused::Revoked) && !device_id.is_empty() && !hash.is_empty();
        let pending = knocks && self.list_pending(device_id, hash, &ip.to_string());
        self.note_failure(device_id, ip, why.reason());
        json!({"code": why.code(), "pending": pending})
    }

    /// What somebody is told who has tried too often.
    pub(super) fn throttle(&self, exceeded: Exceeded) -> Value {
        let wait = exceeded.reset_at.since(self.now.mono);
        let reset_at = WallMillis(self.now.wall.0.saturating_add(wait.min(u64::from(u32::MAX)))).to_string();
        json!({"limit": exceeded.limit, "windowMs": exceeded.window_ms, "resetAt": reset_at})
    }

    /// A registration under somebody else's id is a failed attempt like a bad token.
    pub(super) fn mismatch(&mut self, seat_ip: IpAddr, device_id: &str) -> Fail {
        let fail = self.refused_claim(seat_ip, device_id, Refused::Mismatch);
        Fail { message: "deviceId is not the device this token belongs to".to_owned(), ..fail }
    }

    /// A socket that was let in claims a device that it may not be.
    pub(super) fn refused_claim(&mut self, ip: IpAddr, device_id: &str, why: Refused) -> Fail {
        self.shared.counts.auth_failure(why.reason());
        if self.fleet.failures.take(self.now.mono, &ip).is_ok() {
            self.record_failure(ip.to_string(), device_id, why.reason());
        }
        self.note_failure(device_id, ip, why.reason());
        Fail::new(why.code(), NOT_AUTHORIZED)
    }

    fn record_failure(&mut self, ip: String, device_id: &str, reason: &str) {
        warn!(target: "siod::signage", fleet = &*self.fleet.name, device = device_id, ip, reason, "an attempt was refused");
        let (fleet, at) = (self.fleet.name.to_string(), self.now.wall);
        let failure = tables::Failure { fleet, at, ip, device_id: device_id.to_owned(), reason: reason.to_owned() };
        self.save(failure.add());
    }

    /// The last refused attempt under a device's id.
    fn note_failure(&mut self, device_id: &str, ip: IpAddr, reason: &str) {
        let Some(id) = self.fleet.known(device_id) else { return };
        let Some(device) = self.fleet.devices.get_mut(&id) else { return };
        device.row.failure_at = self.now.wall;
        device.row.failure_ip = ip.to_string();
        reason.clone_into(&mut device.row.failure_reason);
        if !device.is_stranger() {
            self.save_device(&id);
        }
    }

    fn list_pending(&mut self, device_id: &str, hash: &str, ip: &str) -> bool {
        let id = match self.fleet.known(device_id) {
            Some(id) => id,
            None if self.make_room_for_stranger() => {
                let row = self.fleet.new_row(device_id, self.now.wall);
                self.fleet.insert(row)
            }
            None => return false,
        };
        let now = self.now.wall;
        self.fleet.amend(&id, |row| {
            hash.clone_into(&mut row.pending_hash);
            // Nobody but itself speaks for a device that was never let in; who knocks as one that was may be anybody.
            if !row.authorized && !row.retired {
                row.last_seen = now;
                ip.clone_into(&mut row.ip);
            }
        });
        // A stranger has no row until somebody lets it in, or the disk would be theirs. After a restart it knocks again.
        if self.fleet.devices.get(&id).is_some_and(|device| !device.is_stranger()) {
            self.save_device(&id);
        }
        true
    }

    fn make_room_for_stranger(&mut self) -> bool {
        self.fleet.bound_strangers(STRANGERS_MAX);
        self.fleet.devices.len() < self.settings.devices_max
    }

    fn seat_admin(&mut self, connect: &Connect, role: Role) {
        let scope = rules::scope_of(role, &connect.identity);
        let socket = connect.socket;
        let seat = AdminSeat {
            identity: connect.identity.clone(),
            handshake: connect.handshake.clone(),
            sid: connect.sid,
            role,
            watches: Vec::new(),
            audits: false,
        };
        self.fleet.agenda.add(self.now.mono + self.settings.stats_interval_ms, Due::Stats);
        self.fleet.seats.insert(socket, Seat::Admin(Box::new(seat)));
        self.fx.accept(socket);
        for room in rooms_of_scope(&scope, &self.fleet.name) {
            self.enter(socket, room);
        }
        if self.settings.subscribe_on_connect {
            self.tell_list(socket);
            for watch in watches_of(&scope) {
                self.watch(socket, watch, false);
            }
        }
    }
}

/// What a scope amounts to as subscriptions.
pub(super) fn watches_of(scope: &Scope<'_>) -> Vec<Watch> {
    match scope {
        Scope::All => vec![Watch::All],
        Scope::Groups(groups) => groups.iter().map(|group| Watch::Group((*group).to_owned())).collect(),
    }
}

/// The rooms in which a scope's people are told of what they see.
pub(super) fn rooms_of_scope(scope: &Scope<'_>, fleet: &str) -> Vec<Room> {
    let seen = watches_of(scope).into_iter().map(|watch| watch.room("see", fleet));
    let own = matches!(scope, Scope::Groups(_)).then(|| room_of_scope(scope, fleet));
    seen.chain(own).collect()
}

/// The room of all whose scope is exactly this: they are told the same about all their devices together.
pub(super) fn room_of_scope(scope: &Scope<'_>, fleet: &str) -> Room {
    match scope {
        Scope::All => Watch::All.room("see", fleet),
        Scope::Groups(groups) => format!("scope/{}/{fleet}", short_hash(&json!(groups).to_string())).into(),
    }
}
