//! Legacy clients (SIGNAGE 9.19): let in without a token from listed addresses, known by `AUTHENTICATE`, told of commands by bare
//! events. They say `command_received` or nothing.

use core::net::IpAddr;
use std::sync::Arc;

use serde_json::{Map, Value, json};
use tracing::warn;

use super::connect::Refused;
use super::fleet::{DeviceSeat, Speech};
use super::origin::Way;
use super::payload::{Info, forbidden};
use super::register::Speaks;
use super::rules;
use super::turn::Turn;
use crate::app::event::{Connect, Event};
use crate::app::identity::AuthMethod;
use crate::app::kit::ack::Fail;
use crate::app::kit::audit::Actor;
use crate::app::kit::command::{Answered, Key};

/// Bare events are waited on for so long.
pub(super) const BARE_GRACE_MS: u64 = 1_000;
/// All that one may send who was let in without a token.
const LEGACY_EVENTS: [&str; 5] = ["AUTHENTICATE", "heartbeat", "STATUS_UPDATE", "ERROR", "command_received"];

impl Turn<'_> {
    /// Whether a client without a token is one of those that need none.
    pub(super) fn is_legacy(&self, connect: &Connect) -> bool {
        let ip = connect.handshake.ip;
        connect.identity.method == AuthMethod::Application
            && self.shared.legacy.iter().any(|network| network.contains(&ip))
    }

    /// Lets it in: which device it is, `AUTHENTICATE` says.
    pub(super) fn seat_legacy(&mut self, connect: &Connect) {
        let actor = Actor::of("device", &connect.handshake);
        let (ip, sid, came) = (connect.handshake.ip, connect.sid, self.fleet.states);
        let (bound, speech, info) = (None, Speech::LegacyOnly, Info::default());
        let seat = DeviceSeat { actor, ip, sid, bound, registered: false, speech, came, info };
        self.fleet.seat_device(connect.socket, seat, self.now.wall);
        self.fx.accept(connect.socket);
    }

    /// Whether a device's socket may send this.
    pub(super) fn may_speak(&self, event: &Event, name: &str) -> bool {
        let seat = self.fleet.device_seat(event.socket);
        seat.is_none_or(|seat| seat.speech != Speech::LegacyOnly || LEGACY_EVENTS.contains(&name))
    }

    /// `AUTHENTICATE {id,name,ip,mac,status}`, answered `AUTH_SUCCESS {id,name}`.
    pub(super) fn on_authenticate(&mut self, event: &Event) -> Result<Value, Fail> {
        let told = rules::object(event.args.parse(0))?;
        self.become_device(event.socket);
        let seat = self.fleet.device_seat(event.socket).ok_or_else(forbidden)?;
        let (is_tokenless, ip) = (seat.speech == Speech::LegacyOnly && seat.bound.is_none(), seat.ip);
        let map = rules::legacy_register(told, seat.bound.as_deref());
        if is_tokenless {
            self.may_be_legacy(ip, &map)?;
        }
        let (id, _) = self.register_as(event.socket, &map, Speech::Legacy)?;
        let name = self.fleet.devices.get(&id).map(|device| device.row.name.clone()).unwrap_or_default();
        let reply = json!({"id": &*id, "name": name});
        self.fx.emit(event.socket, "AUTH_SUCCESS", &reply);
        self.arrived(&id);
        Ok(reply)
    }

    /// Without a token nobody is a device that has one.
    fn may_be_legacy(&mut self, ip: IpAddr, map: &Map<String, Value>) -> Result<(), Fail> {
        let id = rules::id(map.get("deviceId"), "deviceId")?;
        match self.fleet.devices.get(&*id).is_some_and(|device| !device.row.token_hash.is_empty()) {
            true => Err(self.refused_claim(ip, &id, Refused::MissingToken)),
            false => Ok(()),
        }
    }

    /// `command_received`: the oldest command it may be about is done.
    pub(super) fn on_received(&mut self, event: &Event) -> Result<Value, Fail> {
        let id = self.speaker(event.socket, Speaks::Own)?;
        let payload: Option<Value> = event.args.parse(0);
        let named = payload.as_ref().and_then(|payload| payload.as_str().or_else(|| payload.get("command")?.as_str()));
        let rows = self.fleet.commands.rows_of(&id).filter_map(|(key, row)| match row.origin.way {
            Way::Bare(name) => Some((name, row.first_sent, key)),
            _ => None,
        });
        let mut rows: Vec<_> = rows.collect();
        rows.sort_by_key(|(name, sent, _)| (named.is_some_and(|named| !named.eq_ignore_ascii_case(name)), *sent));
        let Some((.., key)) = rows.into_iter().next() else {
            self.shared.counts.response_ignored("late");
            return Ok(json!({"ignored": "late"}));
        };
        self.obeyed(&key, payload.filter(Value::is_object));
        Ok(json!({"commandId": &*key.id}))
    }

    /// A command has succeeded that its device does not answer with a result.
    pub(super) fn obeyed(&mut self, key: &Key, result: Option<Value>) {
        if let Answered::Row(row) = self.fleet.commands.answer(key) {
            self.end_command(key, &row, "success", result, None);
        }
    }

    /// `ERROR` and `monitor:error {error}`: something went wrong in the player.
    pub(super) fn on_trouble(&mut self, event: &Event) -> Result<Value, Fail> {
        let payload: Option<Value> = event.args.parse(0);
        let claimed = payload.as_ref().and_then(|payload| payload.get("deviceId")).filter(|id| !id.is_null());
        let claimed = claimed.map(|id| rules::id(Some(id), "deviceId")).transpose()?;
        let id: Arc<str> = self.speaker_as(event.socket, claimed.as_deref(), Speaks::Aux)?;
        self.shared.counts.player_errors += 1;
        let error = payload.map(|payload| payload.get("error").cloned().unwrap_or(payload)).unwrap_or_default();
        let error = rules::said(error);
        warn!(target: "siod::signage", fleet = &*self.fleet.name, device = &*id, error, "a player reports an error");
        Ok(json!({"deviceId": &*id}))
    }
}
