//! Commands: from an admin's request to the one response it gets (SIGNAGE 9.1, 9.4 and 9.5).

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::fleet::{AdminSeat, Speech};
use super::legacy::BARE_GRACE_MS;
use super::origin::{CommandOrigin, Way};
use super::payload::{Address, Ask, AuxOrder, CommandResponse, Order, forbidden, no_device, unregistered};
use super::rules::{self, Role};
use super::tables;
use super::turn::Turn;
use crate::app::effect::{Delivery, Effect, Emission, Target};
use crate::app::event::Event;
use crate::app::kit::ack::Fail;
use crate::app::kit::command::{Key, Plan, Refused};
use crate::app::kit::roles::Scope;

/// A request whose shape and right are clear.
struct Request {
    ask: Ask,
    id: Arc<str>,
    idempotent: bool,
    origin: CommandOrigin,
}

/// Devices a command reaches, and those it cannot reach with the reason.
type Routed = (Vec<(Arc<str>, Way)>, Vec<(String, Fail)>);

impl Turn<'_> {
    /// `player:command` from an admin.
    pub(super) fn on_command(&mut self, event: &Event) -> Result<Value, Fail> {
        let payload: Option<Value> = event.args.parse(0);
        let named = payload.as_ref().and_then(|payload| rules::id(payload.get("commandId"), "commandId").ok());
        let id: Arc<str> = named.map_or_else(|| Arc::from(format!("cmd_{}", self.rng.sid())), Arc::from);
        let text = |key: &str| payload.as_ref()?.get(key)?.as_str().map(str::to_owned);
        let (command, device) = (text("command").unwrap_or_default(), text("deviceId"));
        let read = rules::object(payload).and_then(|map| self.request(event, &map, &id));
        let routed = read.and_then(|request| self.route(&request).map(|(good, bad)| (request, good, bad)));
        match routed {
            Ok((request, good, bad)) => self.dispatch(event, &request, good, bad),
            Err(fail) => {
                self.reject(event, &id, &command, device, &fail);
                Err(fail)
            }
        }
    }

    fn request(&mut self, event: &Event, map: &Map<String, Value>, id: &Arc<str>) -> Result<Request, Fail> {
        let admin = self.fleet.admin(event.socket).ok_or_else(forbidden)?;
        if admin.role < Role::Operator {
            return Err(forbidden());
        }
        let ask = rules::ask(map)?;
        let Some(idempotent) = rules::command_kind(&ask.command, self.settings) else {
            return Err(unsupported(&ask.command));
        };
        let origin = CommandOrigin {
            socket: event.socket,
            actor: admin.actor(),
            command: ask.command.clone(),
            params: Arc::new(ask.params.clone()),
            at: self.now.wall,
            way: Way::Player,
        };
        Ok(Request { ask, id: id.clone(), idempotent, origin })
    }

    /// The devices that get it, and those that cannot with the reason; an error where it is about nothing at all.
    fn route(&self, request: &Request) -> Result<Routed, Fail> {
        let admin = self.fleet.admin(request.origin.socket).ok_or_else(forbidden)?;
        let command = &*request.ask.command;
        let named: Vec<String> = match &request.ask.to {
            Address::Device(id) => {
                return self.reachable(admin, id, command).map(|target| (vec![target], Vec::new()));
            }
            Address::Devices(ids) => ids.clone(),
            Address::Group(group) if !admin.scope().covers(group) => return Err(forbidden()),
            Address::Group(group) => {
                let devices = self.fleet.devices.values().filter(|device| device.row.group == *group);
                let ours = devices.filter(|device| device.row.authorized && !device.row.retired);
                ours.map(|device| device.row.device_id.clone()).collect()
            }
        };
        if named.is_empty() {
            return Err(Fail::new("DEVICE_NOT_FOUND", "No device in this group"));
        }
        let (mut good, mut bad) = (Vec::new(), Vec::new());
        for id in named {
            match self.reachable(admin, &id, command) {
                Ok(target) => good.push(target),
                Err(fail) => bad.push((id, fail)),
            }
        }
        Ok((good, bad))
    }

    fn reachable(&self, admin: &AdminSeat, id: &str, command: &str) -> Result<(Arc<str>, Way), Fail> {
        let silent = self.fleet.is_silent(id);
        let (id, device) = match self.fleet.devices.get_key_value(id) {
            Some(known) => known,
            None if silent && admin.scope() == Scope::All => return Err(unregistered(id)),
            None => return Err(no_device(id)),
        };
        if !admin.scope().covers(&device.row.group) {
            return Err(forbidden());
        }
        let offline = |text| Fail::new("DEVICE_OFFLINE", format!("{text}: {id}"));
        if rules::aux_command(command).is_some() {
            let newest = self.fleet.aux(id).last().ok_or_else(|| offline("Device has no auxiliary socket"))?;
            return Ok((id.clone(), Way::Aux(newest.0)));
        }
        match self.fleet.here.socket(id).and_then(|socket| self.fleet.device_seat(socket)) {
            Some(seat) if seat.speech == Speech::Today => Ok((id.clone(), Way::Player)),
            Some(_) => match rules::legacy_command(command) {
                Some(name) => Ok((id.clone(), Way::Bare(name))),
                None => Err(unsupported(command)),
            },
            None if silent => Err(unregistered(id)),
            None => Err(offline("Device is offline")),
        }
    }

    /// Accepts, sends, and answers for those that could not be sent to, in this order.
    fn dispatch(
        &mut self,
        event: &Event,
        request: &Request,
        good: Vec<(Arc<str>, Way)>,
        mut bad: Vec<(String, Fail)>,
    ) -> Result<Value, Fail> {
        let mut sent = Vec::new();
        let mut again = Vec::new();
        for (target, way) in good {
            match self.book(request, &target, way) {
                Ok(true) => sent.push((target, way)),
                Ok(false) => again.push(target),
                Err(fail) => bad.push((target.to_string(), fail)),
            }
        }
        let accepted: Vec<&str> = sent.iter().map(|(id, _)| id).chain(&again).map(|id| &**id).collect();
        let reply = match (&request.ask.to, accepted.first()) {
            (Address::Device(_), Some(id)) => json!({"commandId": &*request.id, "deviceId": id}),
            (Address::Group(group), _) => json!({"commandId": &*request.id, "group": group, "deviceIds": accepted}),
            _ => json!({"commandId": &*request.id, "deviceIds": accepted}),
        };
        if !accepted.is_empty() {
            self.fx.emit(event.socket, "command:accepted", &reply);
        }
        let order = self.order(&request.id, &request.origin);
        for (target, way) in &sent {
            match way {
                Way::Player => self.send(target, order.clone()),
                _ => self.send_order(&Key { id: request.id.clone(), target: target.clone() }),
            }
            self.save_command(target, &request.id, &request.origin, "sent", 1, 0);
        }
        for target in &again {
            let key = Key { id: request.id.clone(), target: target.clone() };
            self.replay(event, &key);
        }
        let last = bad.last().map(|(_, fail)| fail.clone());
        for (device, fail) in bad {
            self.reject(event, &request.id, &request.ask.command, Some(device), &fail);
        }
        match last {
            Some(fail) if accepted.is_empty() => Err(fail),
            _ => Ok(reply),
        }
    }

    /// A row for one target: `false` where the same person has asked the same before.
    fn book(&mut self, request: &Request, target: &Arc<str>, way: Way) -> Result<bool, Fail> {
        let key = Key { id: request.id.clone(), target: target.clone() };
        let in_use = || Fail::validation("commandId is in use");
        if let Some((_, sub, _)) = self.fleet.answered.iter().find(|(ended, ..)| *ended == key) {
            return if *sub == request.origin.actor.sub { Ok(false) } else { Err(in_use()) };
        }
        let timeout_ms = request.ask.timeout_ms.unwrap_or(self.settings.command_timeout_ms);
        let retries_max = if request.idempotent { self.settings.command_retries_max } else { 0 };
        let plan = match way {
            Way::Player => Plan { timeout_ms, retries_max },
            // Silence is success after this time, and nothing is said twice.
            Way::Aux(_) => Plan { timeout_ms: self.settings.aux_command_grace_ms, retries_max: 0 },
            Way::Bare(_) => Plan { timeout_ms: BARE_GRACE_MS, retries_max: 0 },
        };
        let origin = CommandOrigin { way, ..request.origin.clone() };
        match self.fleet.commands.send(self.now.mono, key.clone(), plan, origin) {
            Ok(()) => Ok(true),
            Err(Refused::Full) => Err(Fail::new("TOO_MANY_COMMANDS", "Too many commands are on their way")),
            Err(Refused::InFlight) => {
                let origin =
                    self.fleet.commands.origin_mut(&key).filter(|own| own.actor.sub == request.origin.actor.sub);
                let origin = origin.ok_or_else(in_use)?;
                // The socket that asked last, perhaps after a reconnect, is answered.
                origin.socket = request.origin.socket;
                Ok(false)
            }
        }
    }

    /// The answer that has been given before; nothing where it is still to come.
    fn replay(&mut self, event: &Event, key: &Key) {
        if let Some((_, _, response)) = self.fleet.answered.iter().find(|(ended, ..)| ended == key) {
            self.fx.emit(event.socket, "command:response", response);
        }
    }

    fn order(&self, id: &str, origin: &CommandOrigin) -> Emission {
        let order = Order { command: &origin.command, params: &origin.params, command_id: id };
        Emission::new("player:command", &order)
    }

    fn send(&mut self, target: &Arc<str>, event: Emission) {
        if let Some(socket) = self.fleet.here.socket(target) {
            self.fx.push(Effect::Emit { target: Target::Socket(socket), event, delivery: Delivery::Must });
        }
    }

    /// Sends a booked command, again if it was sent before.
    pub(super) fn send_order(&mut self, key: &Key) {
        let Some(row) = self.fleet.commands.get(key) else { return };
        let origin = &row.origin;
        match origin.way {
            Way::Player => {
                let order = self.order(&key.id, origin);
                self.send(&key.target, order);
            }
            Way::Aux(socket) => {
                let kind = rules::aux_command(&origin.command).unwrap_or_default();
                let order = AuxOrder { id: &key.id, kind, data: &origin.params };
                self.fx.emit(socket, "command", &order);
            }
            Way::Bare(name) => {
                let event = Emission::new(name, &json!({"timestamp": self.now.wall.to_string()}));
                self.send(&key.target, event);
            }
        }
    }

    /// `command:response{status:'rejected'}`: no device hears of it.
    fn reject(&mut self, event: &Event, id: &str, command: &str, device: Option<String>, fail: &Fail) {
        let Some(admin) = self.fleet.admin(event.socket) else { return };
        let actor = admin.actor();
        let label = rules::command_label(command, self.settings);
        self.shared.counts.command(label, "rejected");
        let response = CommandResponse {
            command_id: id.to_owned(),
            device_id: device.as_deref().map(clip),
            command: clip(command),
            status: "rejected",
            result: None,
            message: Some(fail.message.clone()),
            code: Some(fail.code),
            attempts: 0,
            duration_ms: 0,
            timestamp: self.now.wall.to_string(),
        };
        self.fx.emit(event.socket, "command:response", &response);
        let target = device.unwrap_or_default();
        let details = json!({"command": clip(command), "commandId": id, "code": fail.code});
        let entry = self.entry(&actor, "command", &clip(&target)).outcome("rejected").details(&details);
        self.tell_auditors(&entry);
        self.audit(entry);
    }

    /// The command as it stands now, over what was saved of it before.
    pub(super) fn save_command(
        &mut self,
        device: &str,
        id: &str,
        origin: &CommandOrigin,
        status: &str,
        attempts: u32,
        duration_ms: u64,
    ) {
        let row = tables::Command {
            fleet: self.fleet.name.to_string(),
            command_id: id.to_owned(),
            device_id: device.to_owned(),
            command: origin.command.clone(),
            params: origin.params.to_string(),
            origin: origin.actor.sub.clone(),
            status: status.to_owned(),
            attempts,
            at: origin.at,
            duration_ms,
        };
        self.save(row.put());
    }
}

fn unsupported(command: &str) -> Fail {
    Fail::new("UNSUPPORTED_COMMAND", format!("Comando no soportado: {command}"))
}

/// The beginning of a text that was refused, as far as the refusal repeats it.
fn clip(text: &str) -> String {
    text.chars().filter(|char| *char != '\0').take(rules::ID_BYTES_MAX).collect()
}
