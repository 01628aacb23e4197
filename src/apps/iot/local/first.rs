//! Devices of the first generation, which are asked by HTTP: what they are, once, and how it stands; and a relay is turned.

use std::sync::Arc;

use serde_json::Value;

use super::arrive::CLOSED;
use super::state::Ask;
use crate::app::fetch::{Fetch, FetchError, FetchFailure, Fetched};
use crate::app::job::{Job, Outcome};
use crate::apps::iot::command::{Command, Sent};
use crate::apps::iot::device::Source;
use crate::apps::iot::report::{About, Report};
use crate::apps::iot::turn::Turn;
use crate::apps::iot::waiting::Wait;
use crate::apps::iot::who::{AUTH_FAILED, TIMEOUT, UPSTREAM_ERROR};
use crate::apps::iot::wire::gen1;
use crate::apps::iot::wire::http::Fault;
use crate::apps::iot::wire::id::ShellyId;
use crate::apps::iot::wire::status::Reading;

impl Turn<'_> {
    /// It is asked what it is.
    pub(super) fn ask_about(&mut self, device: &Arc<str>) {
        if let Some(address) = self.system.devices.get(device).and_then(|device| device.ip().map(str::to_owned)) {
            self.ask_first(device, gen1::about(&address), Ask::About);
        }
    }

    fn ask_first(&mut self, device: &Arc<str>, fetch: Fetch, ask: Ask) {
        let timeout_ms = self.settings.rpc_timeout_ms;
        self.ask(Job::Fetch(Fetch { timeout_ms, ..fetch }), Wait::First(device.clone(), ask));
    }

    /// It has answered, or not.
    pub(in super::super) fn on_first(&mut self, device: &Arc<str>, ask: Ask, outcome: &Outcome) {
        let result = match outcome {
            Outcome::Fetched(result) => result.clone(),
            _ => Err(FetchError::new(FetchFailure::Unavailable, "")),
        };
        match ask {
            Ask::About => self.on_about(device, &result),
            Ask::Status => self.on_first_status(device, &result),
            Ask::Command { ticket, channel } => self.on_first_command(device, ticket, channel, &result),
        }
    }

    fn on_about(&mut self, device: &Arc<str>, result: &Result<Fetched, FetchError>) {
        let about = gen1::read_about(result);
        let Some(known) = self.system.devices.get_mut(device) else { return };
        match about {
            Ok(about) if about.id.as_str() == &*known.shelly_id => {
                (known.generation, known.model) = (about.generation, about.code);
                if about.generation == 1 {
                    self.ask_first_status(device);
                } else {
                    self.dial_later(device);
                }
            }
            _ => self.dial_later(device),
        }
    }

    fn ask_first_status(&mut self, device: &Arc<str>) {
        let password = self.password_of_device(device);
        if let Some(address) = self.system.devices.get(device).and_then(|device| device.ip().map(str::to_owned)) {
            let password = password.as_ref().map(|password| password.expose());
            self.ask_first(device, gen1::status(&address, password), Ask::Status);
        }
    }

    fn on_first_status(&mut self, device: &Arc<str>, result: &Result<Fetched, FetchError>) {
        match gen1::object(result) {
            Ok(status) => {
                if let Some(dialled) = self.system.local.dialled.get_mut(device) {
                    dialled.tries.worked(self.now.mono);
                }
                self.take_first(device, &status, true);
            }
            Err(Fault::Unauthorized) => {
                if let Some(dialled) = self.system.local.dialled.get_mut(device) {
                    dialled.is_denied = true;
                }
            }
            Err(_) => {
                self.lose(device, Source::Direct, CLOSED);
                self.dial_later(device);
            }
        }
    }

    fn take_first(&mut self, device: &Arc<str>, status: &Value, whole: bool) {
        let Some(id) = self.system.devices.get(device).and_then(|device| ShellyId::parse(&device.shelly_id)) else {
            return;
        };
        let reading = Reading::of(status);
        let about = About { generation: Some(1), ..About::default() };
        let source = Source::Direct;
        let report = Report { source, id: &id, reading: &reading, whole, about, credential: None, bytes: 0, ip: None };
        self.report(&report);
    }

    /// Turns a relay of one that answers us by HTTP. `None`: it does not.
    pub(super) fn order_first(&mut self, ticket: u64, command: &Command) -> Option<Result<Sent, &'static str>> {
        let device = self.system.devices.get(&command.device)?;
        let is_ours = device.generation == 1 && device.sources.has(Source::Direct);
        let address = device.ip().filter(|_| is_ours)?.to_owned();
        let dialled = self.system.local.dialled.get(&command.device)?;
        if dialled.is_denied {
            return Some(Err(AUTH_FAILED));
        }
        let password = self.password_of_device(&command.device);
        let password = password.as_ref().map(|password| password.expose());
        let fetch = gen1::relay(&address, password, command.channel, command.turned.word(), command.timer_s);
        let ask = Ask::Command { ticket, channel: command.channel };
        self.ask_first(&command.device, fetch, ask);
        Some(Ok(Sent { has_left: true, timeout_ms: self.settings.rpc_timeout_ms }))
    }

    fn on_first_command(&mut self, device: &Arc<str>, ticket: u64, channel: u8, result: &Result<Fetched, FetchError>) {
        match gen1::object(result) {
            Ok(relay) => {
                if channel == 0 {
                    self.take_first(device, &serde_json::json!({"relays": [relay]}), false);
                }
                self.command_ends(ticket, Ok(None));
            }
            Err(Fault::Unauthorized) => self.command_ends(ticket, Err(AUTH_FAILED)),
            Err(Fault::Network(FetchFailure::TimedOut)) => self.command_ends(ticket, Err(TIMEOUT)),
            Err(Fault::Network(_)) => {
                self.lose(device, Source::Direct, CLOSED);
                self.command_ends(ticket, Err(crate::apps::iot::who::DEVICE_OFFLINE));
                self.dial_later(device);
            }
            Err(_) => self.command_ends(ticket, Err(UPSTREAM_ERROR)),
        }
    }
}
