//! What devices are asked on their sockets. One that wants a password is asked one thing at a time: each answer to its challenge counts
//! one more. A password that is wrong is tried once.

use std::sync::Arc;

use serde_json::{Value, json};

use super::state::{Call, Why};
use crate::app::link::{LinkId, LinkMessage};
use crate::apps::iot::command::{Command, Sent};
use crate::apps::iot::log::Entry;
use crate::apps::iot::turn::Turn;
use crate::apps::iot::waiting::Due;
use crate::apps::iot::who::{AUTH_FAILED, fail};
use crate::apps::iot::wire::digest::Challenge;
use crate::apps::iot::wire::id::ShellyId;
use crate::apps::iot::wire::rpc;
use crate::base::secret::Secret;

impl Turn<'_> {
    /// Asks a device something, or will as soon as it may.
    pub(super) fn ask_device(&mut self, link: LinkId, method: &'static str, params: Value, why: Why) {
        let Some(session) = self.system.local.sessions.get_mut(&link) else { return };
        let calls = || session.calls.values().chain(&session.waiting);
        if (why == Why::Status && calls().any(|call| call.why == why)) || calls().count() >= CALLS_MAX {
            return;
        }
        session.waiting.push_back(Call { method, params, why, is_retried: false });
        self.send_calls(link);
    }

    fn send_calls(&mut self, link: LinkId) {
        let password = self.password_of(link);
        let Some(session) = self.system.local.sessions.get_mut(&link) else { return };
        while session.challenge.is_none() || session.calls.is_empty() {
            let Some(call) = session.waiting.pop_front() else { return };
            let cnonce = self.rng.below(u32::MAX);
            let auth = session.challenge.as_mut().zip(password.as_ref());
            let auth = auth.map(|(challenge, password)| challenge.answer(password.expose(), cnonce));
            let id = session.next_id;
            session.next_id += 1;
            self.fx.tell(link, LinkMessage::text(rpc::call(id, call.method, &call.params, auth)));
            // A command has a time of its own.
            if call.why.ticket().is_none() {
                self.system.agenda.put(self.now.mono + self.settings.rpc_timeout_ms, Due::Call(link, id));
            }
            session.calls.insert(id, call);
        }
    }

    /// A device has answered a call.
    pub(super) fn on_call_answer(&mut self, link: LinkId, id: u64, outcome: Result<Value, rpc::Error>) {
        let Some(session) = self.system.local.sessions.get_mut(&link) else { return };
        let Some(call) = session.calls.remove(&id) else { return };
        self.system.agenda.remove(&Due::Call(link, id));
        match (outcome, call.why) {
            (Err(error), _) if error.is_unauthorized() => self.on_challenge(link, call, &error),
            (Ok(result), Why::Info) => self.on_info(link, &result),
            (Ok(result), Why::Status) => {
                session.is_whole = true;
                if let Some(device) = session.device.clone() {
                    self.take_direct(link, &device, &result, true, 0);
                }
            }
            (Ok(result), Why::Switch(channel)) => self.take_switch(link, channel, result),
            (Ok(result), Why::Command(ticket)) => self.command_ends(ticket, Ok(rpc::was_on(&result))),
            (Err(error), Why::Command(ticket)) => self.command_refused(ticket, &error.refusal()),
            (Err(_), Why::Info) => self.fx.close_link(link, 1_000, "it does not say what it is"),
            (Err(_), _) => {}
        }
        self.send_calls(link);
    }

    /// A call was not answered in time. One that does not even say what it is, is left.
    pub(in super::super) fn on_call_due(&mut self, link: LinkId, id: u64) {
        let Some(session) = self.system.local.sessions.get_mut(&link) else { return };
        let Some(call) = session.calls.remove(&id) else { return };
        match call.why {
            Why::Info => self.fx.close_link(link, 1_000, "it does not answer"),
            _ => self.send_calls(link),
        }
    }

    /// It wants a password: the call is made again, once for this challenge.
    fn on_challenge(&mut self, link: LinkId, call: Call, error: &rpc::Error) {
        let password = self.password_of(link);
        let Some(session) = self.system.local.sessions.get_mut(&link) else { return };
        let challenge = Challenge::read(&error.message).filter(|_| password.is_some() && !call.is_retried);
        match challenge {
            Some(challenge) if !session.is_denied => {
                session.challenge = Some(challenge);
                session.waiting.push_front(Call { is_retried: true, ..call });
            }
            _ => self.is_denied(link, &call),
        }
    }

    /// The password is not the device's: nothing more is asked until it is another one.
    fn is_denied(&mut self, link: LinkId, call: &Call) {
        let Some(session) = self.system.local.sessions.get_mut(&link) else { return };
        session.is_denied = true;
        let mut tickets: Vec<u64> = session.waiting.drain(..).filter_map(|call| call.why.ticket()).collect();
        tickets.extend(call.why.ticket());
        let (id, dialled) = (session.device.clone(), session.dialled.clone());
        for ticket in tickets {
            self.command_ends(ticket, Err(AUTH_FAILED));
        }
        let device = id.and_then(|id| self.system.find(id.as_str()));
        let (device, account) = device.map(|device| (device.id.clone(), device.credential.clone())).unzip();
        if let Some(account) = account.flatten() {
            self.log_of(&account, Entry::new("security_alert", AUTH_FAILED));
        }
        let fail = fail(AUTH_FAILED);
        let error = json!({"deviceId": device, "error": fail.code, "message": fail.message, "event": null});
        self.tell_room("device-error", &error);
        if let Some(device) = dialled {
            if let Some(dialled) = self.system.local.dialled.get_mut(&device) {
                dialled.is_denied = true;
            }
            self.fx.close_link(link, 1_000, AUTH_FAILED);
        }
    }

    /// The password of the device whose socket this is.
    fn password_of(&self, link: LinkId) -> Option<Secret> {
        let session = self.system.local.sessions.get(&link)?;
        let by_id = || self.system.find(session.device.as_ref()?.as_str());
        let device = session.dialled.as_ref().and_then(|id| self.system.devices.get(id)).or_else(by_id)?;
        self.password_of_device(&device.id)
    }

    /// The password of a device, opened.
    pub(super) fn password_of_device(&self, device: &str) -> Option<Secret> {
        let device = self.system.devices.get(device)?;
        let sealed = device.extra.as_deref()?.password.as_deref()?;
        self.shared.keyring.open(&device.id, sealed).map(|opened| opened.secret).filter(|secret| !secret.is_empty())
    }

    /// Sends a command over the device's own socket. `None`: it has none.
    pub(in super::super) fn order_directly(
        &mut self,
        ticket: u64,
        command: &Command,
    ) -> Option<Result<Sent, &'static str>> {
        let device = self.system.devices.get(&command.device)?;
        let id = ShellyId::parse(&device.shelly_id)?;
        let Some(link) = self.system.local.speaks.get(&id).copied() else { return self.order_first(ticket, command) };
        let session = self.system.local.sessions.get(&link)?;
        if session.is_denied {
            return Some(Err(AUTH_FAILED));
        }
        let (method, params) = command.call();
        self.ask_device(link, method, params, Why::Command(ticket));
        Some(Ok(Sent { has_left: true, timeout_ms: self.settings.rpc_timeout_ms }))
    }

    /// A command is not waited for any more.
    pub(in super::super) fn forget_direct_order(&mut self, ticket: u64) {
        let is_it = |call: &Call| call.why == Why::Command(ticket);
        let mut links: Vec<LinkId> = Vec::new();
        for (link, session) in &mut self.system.local.sessions {
            let before = session.calls.len();
            session.waiting.retain(|call| !is_it(call));
            session.calls.retain(|_, call| !is_it(call));
            if session.calls.len() < before {
                links.push(*link);
            }
        }
        for link in links {
            self.send_calls(link);
        }
    }

    /// The password of a device is another one: what it was refused for may be tried again.
    pub(in super::super) fn password_changed(&mut self, device: &Arc<str>) {
        for session in self.system.local.sessions.values_mut() {
            let is_its = session.dialled.as_ref() == Some(device)
                || session
                    .device
                    .as_ref()
                    .is_some_and(|id| self.system.devices.get(device).is_some_and(|it| *it.shelly_id == *id.as_str()));
            if is_its {
                (session.is_denied, session.challenge) = (false, None);
            }
        }
        if let Some(dialled) = self.system.local.dialled.get_mut(device) {
            dialled.is_denied = false;
            self.system.agenda.put(self.now.mono, Due::Dial(device.clone()));
        }
    }
}

/// Calls of one device that are not answered.
const CALLS_MAX: usize = 64;
