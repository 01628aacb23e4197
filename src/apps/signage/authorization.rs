//! Admission from now on: tokens issued, pending ones authorised, devices revoked (SIGNAGE 9.12).
//! Each is on disk before anybody is told; memory follows the disk.

use std::sync::Arc;

use serde_json::{Value, json};

use super::fleet::{AdminSeat, AlertKind, Fleet, Seat};
use super::payload::{Info, no_device};
use super::rules;
use super::subscription::subject;
use super::tables;
use super::tokens;
use super::turn::Turn;
use super::waiting::{Asker, Change, GrantWait, Wait};
use crate::app::Entity;
use crate::app::effect::Effect;
use crate::app::event::Event;
use crate::app::kit::ack::{AckStyle, Fail};
use crate::app::kit::audit::{self, Actor};
use crate::base::close::CloseReason;
use crate::base::ids::{ReqId, SocketRef};

impl Turn<'_> {
    /// `device:authorize {deviceId}`.
    pub(super) fn on_authorize(&mut self, event: &Event) -> Result<Option<Value>, Fail> {
        self.on_grant(event, Change::Authorize)
    }

    /// `device:revoke {deviceId}`.
    pub(super) fn on_revoke(&mut self, event: &Event) -> Result<Option<Value>, Fail> {
        self.on_grant(event, Change::Revoke)
    }

    /// `device:rotate-token {deviceId}`.
    pub(super) fn on_rotate(&mut self, event: &Event) -> Result<Option<Value>, Fail> {
        self.on_grant(event, Change::Rotate)
    }

    fn on_grant(&mut self, event: &Event, change: Change) -> Result<Option<Value>, Fail> {
        let id = rules::id(subject(event)?.get("deviceId"), "deviceId")?;
        let actor = self.fleet.admin(event.socket).map(AdminSeat::actor).unwrap_or_default();
        let asker = Asker::Admin { socket: event.socket, ack: event.ack };
        self.grant(asker, &actor, &id, change, &Info::default())?;
        Ok(None)
    }

    /// The admin API issues, authorises, revokes or rotates.
    pub(super) fn grant_call(&mut self, req: ReqId, device_id: &str, change: Change) -> Result<(), Fail> {
        let id = rules::id(Some(&Value::from(device_id)), "deviceId")?;
        self.grant(Asker::Api(req), &of_api(), &id, change, &Info::default())
    }

    /// The change goes to the disk; its asker hears of it when it is there. `info`: what is known of a device that is paired.
    pub(super) fn grant(
        &mut self,
        asker: Asker,
        actor: &Actor,
        id: &str,
        change: Change,
        info: &Info,
    ) -> Result<(), Fail> {
        let token = format!("{}{}", self.rng.sid(), self.rng.sid());
        let row = self.changed_row(id, &change, &rules::hash(&token), info)?;
        let audit = self.entry(actor, change.action(), id);
        self.tell_auditors(&audit);
        // Rows of devices wait until it has ended, so that no older one follows the new one.
        self.fleet.committing = true;
        let write = vec![row.put(), audit.add(), audit::trim(audit::ROWS_MAX)];
        let token = self.wait(Wait::Grant(Box::new(GrantWait { row, change, token, asker, audit })));
        let entity = entity_of(&self.fleet.name);
        self.fx.push(Effect::Commit { entity, write, token: Some(token), then: Vec::new(), or_else: Vec::new() });
        Ok(())
    }

    /// The row as it will be, or why it will not.
    fn changed_row(&self, id: &str, change: &Change, hash: &str, info: &Info) -> Result<tables::Device, Fail> {
        let makes = matches!(change, Change::Issue | Change::Pair { .. });
        let known = self.fleet.devices.get(id).map(|device| device.row.clone());
        let mut row = match known {
            Some(row) => row,
            None if makes && self.fleet.devices.len() < self.settings.devices_max => {
                self.fleet.new_row(id, self.now.wall)
            }
            None if makes => return Err(Fail::new("FLEET_FULL", "The fleet has no room for a device more")),
            None => return Err(no_device(id)),
        };
        match change {
            Change::Issue => tokens::replace(&mut row, hash),
            Change::Pair { .. } => {
                tokens::replace(&mut row, hash);
                for (news, field) in [(&info.name, &mut row.name), (&info.group, &mut row.group)] {
                    if let Some(news) = news {
                        field.clone_from(news);
                    }
                }
            }
            Change::Rotate if !row.authorized => {
                return Err(Fail::new("DEVICE_NOT_AUTHORIZED", "The device has not been let in"));
            }
            Change::Rotate => tokens::rotate(&mut row, hash, self.now.wall),
            Change::Authorize if row.pending_hash.is_empty() && !row.retired => {
                return Err(Fail::new("NOTHING_PENDING", "No token of this device waits"));
            }
            Change::Authorize if !row.pending_hash.is_empty() => {
                let waiting = std::mem::take(&mut row.pending_hash);
                tokens::replace(&mut row, &waiting);
            }
            Change::Authorize => {}
            Change::Revoke => tokens::replace(&mut row, ""),
        }
        row.retired = *change == Change::Revoke;
        row.authorized = !row.retired;
        Ok(row)
    }

    /// The commit has ended. Only what it was about is taken over: a device may have moved on meanwhile.
    pub(super) fn on_granted(&mut self, wait: GrantWait, written: bool) {
        self.fleet.committing = false;
        let GrantWait { row, change, token, asker, audit } = wait;
        if written {
            let id = self.take_over_row(row, &change);
            self.granted(asker, &change, &id, &token);
        } else {
            if let Change::Pair { waiting, code } = &change {
                self.on_paired(*waiting, code, None);
            }
            self.audit(audit.outcome("error"));
            let fail = Fail::new("STORE_UNAVAILABLE", "The change could not be stored");
            self.refuse_grant(asker, &change, &fail);
        }
        self.flush();
    }

    fn take_over_row(&mut self, new: tables::Device, change: &Change) -> Arc<str> {
        let id = match self.fleet.known(&new.device_id) {
            Some(id) => id,
            None => self.fleet.insert(new.clone()),
        };
        self.fleet.amend(&id, |row| {
            row.token_hash = new.token_hash;
            row.pending_hash = new.pending_hash;
            row.old_tokens = new.old_tokens;
            row.authorized = new.authorized;
            row.retired = new.retired;
        });
        match change {
            Change::Revoke => self.end_device(&id),
            Change::Pair { .. } => self.rename(&id, new.name, new.group),
            _ => {}
        }
        id
    }

    /// Those who see the device hear of the change, the device of its token, and the asker what came of it.
    fn granted(&mut self, asker: Asker, change: &Change, id: &Arc<str>, token: &str) {
        let mut reply = json!({"deviceId": &**id});
        match change {
            Change::Pair { waiting, code } => {
                if !self.on_paired(*waiting, code, Some((id, token))) {
                    let fail = Fail::new("PAIR_CODE_UNKNOWN", "The device has gone");
                    return self.refuse_grant(asker, change, &fail);
                }
            }
            Change::Rotate => {
                let player = self.fleet.here.socket(id);
                if let Some(socket) = player {
                    self.fx.emit(socket, "player:token", &json!({"authToken": token}));
                }
                if player.is_none() || matches!(asker, Asker::Api(_)) {
                    reply["authToken"] = json!(token);
                }
            }
            // By both names that players send it under.
            Change::Issue => {
                reply["authToken"] = json!(token);
                reply["token"] = json!(token);
            }
            Change::Authorize | Change::Revoke => {}
        }
        if let Some(event) = change.told_to_all() {
            self.tell_seers(id, event, &json!({"deviceId": &**id}));
        }
        match asker {
            Asker::Admin { socket, ack } => {
                if let Some(event) = change.told_to_asker() {
                    let named = if ack.is_some() { json!({"deviceId": &**id}) } else { reply.clone() };
                    self.fx.emit(socket, event, &named);
                }
                self.fx.0.extend(AckStyle::Result.reply(socket, ack, reply));
            }
            Asker::Api(req) => self.reply(req, 200, &reply),
        }
    }

    fn refuse_grant(&mut self, asker: Asker, change: &Change, fail: &Fail) {
        match asker {
            Asker::Admin { socket, ack } => {
                self.tell_error(socket, change.asked(), fail);
                self.fx.0.extend(AckStyle::Result.refusal(socket, ack, fail));
            }
            Asker::Api(req) => self.reply(req, 503, &json!({"error": fail})),
        }
    }

    /// A revoked device's sockets and commands end.
    fn end_device(&mut self, id: &Arc<str>) {
        for (key, row) in self.fleet.commands.cancel_target(id) {
            let fail = Fail::new("DEVICE_REVOKED", "The device was revoked");
            self.end_command(&key, &row, "rejected", None, Some(fail));
        }
        let is_its = |seat: &Seat| matches!(seat, Seat::Device(seat) if seat.bound.as_ref() == Some(id));
        let sockets: Vec<SocketRef> =
            self.fleet.seats.iter().filter(|(_, seat)| is_its(seat)).map(|(socket, _)| *socket).collect();
        for socket in sockets {
            self.tell_error(socket, "device:revoke", &Fail::new("DEVICE_REVOKED", rules::NOT_AUTHORIZED));
            self.fx.push(Effect::Disconnect { socket, close: false });
            self.on_disconnect(socket, CloseReason::ServerNamespaceDisconnect, 0);
        }
        self.resolve_alert(id, AlertKind::Offline);
    }
}

/// Whom the audit names for what the admin listener was asked.
fn of_api() -> Actor {
    Actor { sub: "admin-api".to_owned(), ..Actor::default() }
}

impl Change {
    fn action(&self) -> &'static str {
        match self {
            Change::Issue => "issue",
            Change::Authorize => "authorize",
            Change::Revoke => "revoke",
            Change::Rotate => "rotate",
            Change::Pair { .. } => "pair",
        }
    }

    /// The event it was asked by.
    fn asked(&self) -> &'static str {
        match self {
            Change::Issue | Change::Authorize => "device:authorize",
            Change::Revoke => "device:revoke",
            Change::Rotate => "device:rotate-token",
            Change::Pair { .. } => "device:pair",
        }
    }

    /// The event by which all who see the device hear of it.
    fn told_to_all(&self) -> Option<&'static str> {
        match self {
            Change::Issue | Change::Authorize | Change::Pair { .. } => Some("device:authorized"),
            Change::Revoke => Some("device:revoked"),
            Change::Rotate => None,
        }
    }

    /// The event by which its asker hears of it, where nobody else is told of it by that name.
    fn told_to_asker(&self) -> Option<&'static str> {
        match self {
            Change::Rotate => Some("device:token-rotated"),
            Change::Pair { .. } => Some("device:paired"),
            Change::Issue | Change::Authorize | Change::Revoke => None,
        }
    }
}

/// What a fleet is called among what applications load.
pub(super) fn entity_of(fleet: &str) -> Entity {
    Entity(format!("fleet/{fleet}"))
}

/// The fleet such a name is about.
pub(super) fn fleet_of_entity(entity: &Entity) -> &str {
    entity.0.strip_prefix("fleet/").unwrap_or(&entity.0)
}

/// A fleet as the store knows it, taken into memory: nobody is online yet, revisions go on above what was reserved.
pub(super) fn restore(
    fleet: &mut Fleet,
    devices: Vec<tables::Device>,
    states: Vec<tables::State>,
    alerts: Vec<tables::Alert>,
) {
    for mut row in devices {
        row.online = false;
        fleet.insert(row);
    }
    for state in states {
        let Some(device) = fleet.devices.get_mut(state.device_id.as_str()) else { continue };
        let Ok(json @ Value::Object(_)) = serde_json::from_str(&state.json) else { continue };
        (device.current, device.published) = (json.clone(), json);
        device.rev = device.rev.max(state.rev);
        device.rev_allowed = device.rev;
    }
    for alert in alerts {
        let kind = AlertKind::ALL.into_iter().find(|kind| kind.name() == alert.kind);
        // An alert about the store is about the process that could not reach it.
        let Some(kind) = kind.filter(|kind| *kind != AlertKind::StoreDegraded) else { continue };
        if let Some(id) = fleet.known(&alert.device_id) {
            fleet.alerts.restore((id, kind), alert.since);
        }
    }
}
