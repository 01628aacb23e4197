//! People who want devices to do something: `control-device`, `control-devices`, and the same by HTTP. Each is answered once its device has
//! been; the same request twice is one command.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::command::{Command, Turned};
use super::controls::{Asking, Ended, Once, Waiter};
use super::device::DEVICE_UPDATE;
use super::payload::{TEXT_CHARS_MAX, object, optional_int, optional_text, text};
use super::system::Seat;
use super::turn::Turn;
use super::who::{
    DEVICE_NOT_FOUND, DEVICE_OFFLINE, RATE_LIMITED, TIMEOUT, TIMER_UNSUPPORTED, UPSTREAM_DISCONNECTED, VALIDATION, fail,
};
use crate::app::effect::{Delivery, Effect};
use crate::app::event::Event;
use crate::app::kit::ack::{AckStyle, Fail};
use crate::app::kit::audit::Actor;
use crate::app::kit::dedup::Asked;
use crate::app::reply::Reply;
use crate::base::ids::ReqId;

/// What is wanted, of whichever device.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wish {
    pub channel: u8,
    pub turned: Turned,
    pub timer_s: Option<u32>,
}

impl Wish {
    /// Reads the parts that all forms have.
    fn read(said: &Map<String, Value>) -> Result<Wish, Fail> {
        let turned = said.get("action").and_then(Value::as_str).and_then(Turned::of).ok_or_else(|| fail(VALIDATION))?;
        let channel = optional_int(said, "channel", 0..=15)?.unwrap_or(0) as u8;
        Ok(Wish { channel, turned, timer_s: Wish::timer(said, turned)? })
    }

    /// The device turns off by itself only what it has turned on.
    pub(super) fn timer(said: &Map<String, Value>, turned: Turned) -> Result<Option<u32>, Fail> {
        let timer = optional_int(said, "timer", 1..=86_400)?.map(|timer| timer as u32);
        if timer.is_some() && turned != Turned::On { Err(fail(VALIDATION)) } else { Ok(timer) }
    }
}

impl Turn<'_> {
    /// `control-device`.
    pub(super) fn on_control(&mut self, event: &Event) -> Result<Option<Value>, Fail> {
        let said = object(event)?;
        let device = text(&said, "deviceId", TEXT_CHARS_MAX)?.to_owned();
        self.control(event, &said, vec![device], false)
    }

    /// `control-devices`.
    pub(super) fn on_control_many(&mut self, event: &Event) -> Result<Option<Value>, Fail> {
        let said = object(event)?;
        let ids = said.get("deviceIds").and_then(Value::as_array).ok_or_else(|| fail(VALIDATION))?;
        let id =
            |id: &Value| id.as_str().filter(|id| (1..=TEXT_CHARS_MAX).contains(&id.chars().count())).map(str::to_owned);
        let devices: Vec<String> = ids.iter().map(id).collect::<Option<_>>().ok_or_else(|| fail(VALIDATION))?;
        if !(1..=DEVICES_MAX).contains(&devices.len()) {
            return Err(fail(VALIDATION));
        }
        self.control(event, &said, devices, true)
    }

    fn control(
        &mut self,
        event: &Event,
        said: &Map<String, Value>,
        devices: Vec<String>,
        many: bool,
    ) -> Result<Option<Value>, Fail> {
        let wish = Wish::read(said)?;
        let request = optional_text(said, "requestId", TEXT_CHARS_MAX)?.map(str::to_owned);
        let waiter = Waiter::Socket { socket: event.socket, ack: event.ack, request: request.clone(), many };
        let once = request.map(|request| (Arc::from(event.identity.sub()), request));
        if let Some(once) = &once {
            let body = format!("{devices:?} {wish:?}");
            match self.system.controls.once.ask(self.now.mono, once, body, waiter.clone()) {
                Asked::First => {}
                Asked::Joined => return Ok(None),
                Asked::Again(ended) => {
                    ended.iter().for_each(|ended| self.tell_ended(&waiter, ended));
                    self.answer_waiter(&waiter, &ended);
                    return Ok(None);
                }
                Asked::Conflict => return Err(fail(VALIDATION)),
                Asked::Full => return Err(fail(RATE_LIMITED)),
            }
        }
        let actor = self.system.seats.get(&event.socket).map(Seat::actor).unwrap_or_default();
        self.audit_wish(&actor, &devices, wish, None);
        self.wants(waiter, once, &devices, wish);
        Ok(None)
    }

    /// Somebody wants by HTTP that a device does something, maybe for an appointment.
    pub(super) fn control_by_http(
        &mut self,
        req: ReqId,
        actor: &Actor,
        device: &str,
        wish: Wish,
        appointment: Option<&str>,
    ) {
        let devices = [device.to_owned()];
        self.audit_wish(actor, &devices, wish, appointment);
        if let (true, Some(device)) = (self.settings.legacy_actions, self.system.find(device)) {
            // As clients of that time expect it: what was asked for, before anybody has said so.
            let mut view = json!(device.view().told(self.now.wall, "manual"));
            (view["relayOn"], view["currentPower"]) = ((wish.turned == Turned::On).into(), 0.into());
            self.tell_room_text(DEVICE_UPDATE, &view.to_string(), Delivery::Must);
        }
        self.wants(Waiter::Http { req, turned: wish.turned }, None, &devices, wish);
    }

    fn audit_wish(&mut self, actor: &Actor, devices: &[String], wish: Wish, appointment: Option<&str>) {
        let details = json!({
            "action": wish.turned.word(), "channel": wish.channel, "timer": wish.timer_s, "appointmentId": appointment,
        });
        for device in devices {
            self.audit(actor, "command", device, "asked", &details);
        }
    }

    /// The devices are told what they are to do. All of one account count as one command of it.
    fn wants(&mut self, waiter: Waiter, once: Option<Once>, devices: &[String], wish: Wish) {
        let controls = &mut self.system.controls;
        controls.last += 1;
        let (asking, at) = (controls.last, self.now.mono);
        controls.askings.insert(asking, Asking { waiter, once, at, ended: vec![None; devices.len()] });
        let mut counted: BTreeSet<Arc<str>> = BTreeSet::new();
        for (place, asked) in devices.iter().enumerate() {
            let Some(device) = self.system.find(asked) else {
                self.has_ended(asking, place, asked.clone(), Err((DEVICE_NOT_FOUND, None)));
                continue;
            };
            let (id, account) = (device.id.clone(), device.credential.clone());
            if let Some(account) = account.filter(|account| counted.insert(account.clone()))
                && let Err(exceeded) = self.system.controls.per_account.take(at, &account)
            {
                counted.remove(&account);
                let details = exceeded.details(self.now);
                self.has_ended(asking, place, id.to_string(), Err((RATE_LIMITED, Some(details))));
                continue;
            }
            let ticket = self.system.commands.fresh();
            self.system.controls.tickets.insert(ticket, (asking, place));
            let Wish { channel, turned, timer_s } = wish;
            self.command(ticket, Command { device: id, channel, turned, timer_s });
        }
    }

    /// A command has come to its end.
    pub(super) fn on_command_end(&mut self, ticket: u64, device: &Arc<str>, end: Result<Option<bool>, &'static str>) {
        let Some((asking, place)) = self.system.controls.tickets.remove(&ticket) else { return };
        self.has_ended(asking, place, device.to_string(), end.map_err(|code| (code, None)));
    }

    fn has_ended(
        &mut self,
        asking: u64,
        place: usize,
        device: String,
        end: Result<Option<bool>, (&'static str, Option<Value>)>,
    ) {
        let Some(row) = self.system.controls.askings.get_mut(&asking) else { return };
        let ended = Ended { device, end, after_ms: self.now.mono.since(row.at) };
        row.ended[place] = Some(ended.clone());
        let (waiter, is_over) = (row.waiter.clone(), row.ended.iter().all(Option::is_some));
        self.tell_ended(&waiter, &ended);
        if !is_over {
            return;
        }
        let Some(row) = self.system.controls.askings.remove(&asking) else { return };
        let ended = Arc::new(row.ended.into_iter().flatten().collect::<Vec<_>>());
        self.answer_waiter(&waiter, &ended);
        let Some(once) = row.once else { return };
        for joined in self.system.controls.once.answer(self.now.mono, &once, ended.clone()) {
            ended.iter().for_each(|ended| self.tell_ended(&joined, ended));
            self.answer_waiter(&joined, &ended);
        }
    }

    /// `device-command-result`, and of a failure `device-error`.
    fn tell_ended(&mut self, waiter: &Waiter, ended: &Ended) {
        let Waiter::Socket { socket, request, many, .. } = waiter else { return };
        self.fx.emit(*socket, "device-command-result", &ended.shown(request.as_deref()));
        if let Err((code, details)) = &ended.end {
            let name = if *many { "control-devices" } else { "control-device" };
            let fail = fail(code);
            let mut error = json!({"deviceId": ended.device, "error": code, "message": fail.message, "event": name});
            if let (Value::Object(error), Some(Value::Object(details))) = (&mut error, details) {
                error.extend(details.clone());
            }
            self.fx.emit(*socket, "device-error", &error);
        }
    }

    /// The one answer, behind what was told.
    fn answer_waiter(&mut self, waiter: &Waiter, ended: &[Ended]) {
        match waiter {
            Waiter::Socket { socket, ack, request, many: true } => {
                let results: Vec<Value> = ended.iter().map(|ended| ended.shown(request.as_deref())).collect();
                let is_good = ended.iter().all(|ended| ended.end.is_ok());
                self.fx.ack(*socket, *ack, &json!({"ok": is_good, "results": results}));
            }
            Waiter::Socket { socket, ack, request, many: false } => {
                let Some(ended) = ended.first() else { return };
                let effect = match &ended.end {
                    Ok(_) => AckStyle::Result.reply(*socket, *ack, ended.shown(request.as_deref())),
                    Err((code, details)) => {
                        AckStyle::Result.refusal(*socket, *ack, &Fail { details: details.clone(), ..fail(code) })
                    }
                };
                self.fx.0.extend(effect);
            }
            Waiter::Http { req, turned } => {
                let Some(ended) = ended.first() else { return };
                self.fx.push(Effect::Reply { req: *req, reply: ended.reply(*turned) });
            }
        }
    }
}

impl Ended {
    /// As clients see it.
    fn shown(&self, request: Option<&str>) -> Value {
        let mut shown = json!({"requestId": request, "deviceId": self.device, "ok": self.end.is_ok()});
        match &self.end {
            Ok(Some(was_on)) => shown["wasOn"] = (*was_on).into(),
            Ok(None) => {}
            Err((code, _)) => (shown["error"], shown["message"]) = ((*code).into(), fail(code).message.into()),
        }
        shown["durationMs"] = self.after_ms.into();
        shown
    }

    /// As an answer by HTTP.
    fn reply(&self, turned: Turned) -> Reply {
        let (code, details) = match &self.end {
            Ok(was_on) => {
                let done = if turned == Turned::On { "encendido" } else { "apagado" };
                let mut data = json!({"deviceId": self.device, "durationMs": self.after_ms});
                if let Some(was_on) = was_on {
                    data["wasOn"] = (*was_on).into();
                }
                let message = format!("Dispositivo {done} correctamente");
                return Reply::json(200, &json!({"success": true, "message": message, "data": data}));
            }
            Err(refused) => refused,
        };
        let status = match *code {
            DEVICE_NOT_FOUND => 404,
            DEVICE_OFFLINE | UPSTREAM_DISCONNECTED | TIMER_UNSUPPORTED => 409,
            RATE_LIMITED => 429,
            TIMEOUT => 504,
            _ => 502,
        };
        let mut body = json!({"error": fail(code).message, "code": code});
        if let Some(details) = details {
            body["details"] = details.clone();
        }
        Reply::json(status, &body)
    }
}

/// Devices of one asking.
const DEVICES_MAX: usize = 100;
