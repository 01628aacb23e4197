//! Admission from now on: tokens issued, pending ones authorised, devices revoked (SIGNAGE 9.12).
//! Each is on disk before anybody is told; memory follows the disk.

use std::sync::Arc;

use serde_json::{Value, json};

use super::fleet::{AdminSeat, AlertKind, Fleet, Seat};
use super::payload::no_device;
use super::rules;
use super::subscription::subject;
use super::tables;
use super::turn::Turn;
use super::waiting::{Change, GrantWait, Wait};
use crate::app::Entity;
use crate::app::effect::{Delivery, Effect, Emission, Target};
use crate::app::event::Event;
use crate::app::kit::ack::{AckStyle, Fail};
use crate::app::kit::audit::{self, Actor};
use crate::app::reply::Reply;
use crate::base::close::CloseReason;
use crate::base::ids::{ReqId, SocketRef};

/// The one who waits for the outcome.
enum Asker {
    Admin { socket: SocketRef, ack: Option<u64> },
    Api(ReqId),
}

impl Turn<'_> {
    /// `device:authorize {deviceId}`.
    pub(super) fn on_authorize(&mut self, event: &Event) -> Result<Option<Value>, Fail> {
        self.on_grant(event, Change::Authorize)
    }

    /// `device:revoke {deviceId}`.
    pub(super) fn on_revoke(&mut self, event: &Event) -> Result<Option<Value>, Fail> {
        self.on_grant(event, Change::Revoke)
    }

    fn on_grant(&mut self, event: &Event, change: Change) -> Result<Option<Value>, Fail> {
        let id = rules::id(subject(event)?.get("deviceId"), "deviceId")?;
        let actor = self.fleet.admin(event.socket).map(AdminSeat::actor).unwrap_or_default();
        let asker = Asker::Admin { socket: event.socket, ack: event.ack };
        self.grant(&asker, &actor, &id, change, json!({"deviceId": id}))?;
        Ok(None)
    }

    /// The admin API issues a fresh token.
    pub(super) fn issue(&mut self, req: ReqId, device_id: &str) -> Result<(), Fail> {
        let id = rules::id(Some(&Value::from(device_id)), "deviceId")?;
        let token = format!("{}{}", self.rng.sid(), self.rng.sid());
        let change = Change::Issue(rules::hash(&token));
        self.grant(&Asker::Api(req), &of_api(), &id, change, json!({"deviceId": id, "token": token}))
    }

    /// The admin API authorises or revokes.
    pub(super) fn grant_call(&mut self, req: ReqId, device_id: &str, change: Change) -> Result<(), Fail> {
        self.grant(&Asker::Api(req), &of_api(), device_id, change, json!({"deviceId": device_id}))
    }

    fn grant(&mut self, asker: &Asker, actor: &Actor, id: &str, change: Change, reply: Value) -> Result<(), Fail> {
        let row = self.changed_row(id, &change)?;
        let action = change.action();
        let audit = self.entry(actor, action, id);
        self.tell_auditors(&audit);
        // Rows of devices wait until it has ended, so that no older one follows the new one.
        self.fleet.committing = true;
        let write = vec![row.put(), audit.add(), audit::trim(audit::ROWS_MAX)];
        let (then, or_else) = self.answers(asker, id, &change, &reply);
        let token = self.wait(Wait::Grant(Box::new(GrantWait { row, change, audit })));
        let entity = entity_of(&self.fleet.name);
        self.fx.push(Effect::Commit { entity, write, token: Some(token), then, or_else });
        Ok(())
    }

    /// The row as it will be, or why it will not.
    fn changed_row(&self, id: &str, change: &Change) -> Result<tables::Device, Fail> {
        let known = self.fleet.devices.get(id).map(|device| device.row.clone());
        let mut row = match (known, change) {
            (Some(row), _) => row,
            (None, Change::Issue(_)) if self.fleet.devices.len() < self.settings.devices_max => {
                self.fleet.new_row(id, self.now.wall)
            }
            (None, Change::Issue(_)) => return Err(Fail::new("FLEET_FULL", "The fleet has no room for a device more")),
            (None, _) => return Err(no_device(id)),
        };
        match change {
            Change::Issue(hash) => {
                row.token_hash.clone_from(hash);
                row.pending_hash.clear();
            }
            Change::Authorize if row.pending_hash.is_empty() && !row.retired => {
                return Err(Fail::new("NOTHING_PENDING", "No token of this device waits"));
            }
            Change::Authorize if !row.pending_hash.is_empty() => row.token_hash = std::mem::take(&mut row.pending_hash),
            Change::Authorize => {}
            Change::Revoke => {
                row.token_hash.clear();
                row.pending_hash.clear();
            }
        }
        row.retired = *change == Change::Revoke;
        row.authorized = !row.retired;
        Ok(row)
    }

    /// What the asker hears, and the others who may see the device, for both ends of the commit.
    fn answers(&self, asker: &Asker, id: &str, change: &Change, reply: &Value) -> (Vec<Effect>, Vec<Effect>) {
        let emit = |target, name: &str, payload: &Value| Effect::Emit {
            target,
            event: Emission::new(name, payload),
            delivery: Delivery::Must,
        };
        let fail = json!({"code": "STORE_UNAVAILABLE", "message": "The change could not be stored"});
        let known = self.fleet.devices.get(id);
        let told = known.map(|device| Target::rooms(device.rooms.see.clone(), Vec::new()));
        let public = json!({"deviceId": id});
        let mut then: Vec<Effect> = told.into_iter().map(|target| emit(target, change.event(), &public)).collect();
        match asker {
            Asker::Admin { socket, ack } => {
                then.extend(AckStyle::Result.reply(*socket, *ack, public));
                let mut error = fail.clone();
                error["event"] = json!(change.asked());
                let mut or_else = vec![emit(Target::Socket(*socket), "player:error", &error)];
                or_else.extend(AckStyle::Result.refusal(*socket, *ack, &fail));
                (then, or_else)
            }
            Asker::Api(req) => {
                then.push(Effect::Reply { req: *req, reply: Reply::json(200, reply) });
                (then, vec![Effect::Reply { req: *req, reply: Reply::json(503, &json!({"error": fail})) }])
            }
        }
    }

    /// The commit has ended. Only what it was about is taken over: a device may have moved on meanwhile.
    pub(super) fn on_granted(&mut self, wait: GrantWait, written: bool) {
        self.fleet.committing = false;
        if written {
            let id = match self.fleet.known(&wait.row.device_id) {
                Some(id) => id,
                None => self.fleet.insert(wait.row.clone()),
            };
            self.fleet.amend(&id, |row| {
                row.token_hash = wait.row.token_hash;
                row.pending_hash = wait.row.pending_hash;
                row.authorized = wait.row.authorized;
                row.retired = wait.row.retired;
            });
            if wait.change == Change::Revoke {
                self.end_device(&id);
            }
        } else {
            self.audit(wait.audit.outcome("error"));
        }
        self.flush();
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
            self.on_disconnect(socket, CloseReason::ServerNamespaceDisconnect);
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
            Change::Issue(_) => "issue",
            Change::Authorize => "authorize",
            Change::Revoke => "revoke",
        }
    }

    /// The event it was asked by.
    fn asked(&self) -> &'static str {
        if *self == Change::Revoke { "device:revoke" } else { "device:authorize" }
    }

    /// The event that tells of it.
    fn event(&self) -> &'static str {
        if *self == Change::Revoke { "device:revoked" } else { "device:authorized" }
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
