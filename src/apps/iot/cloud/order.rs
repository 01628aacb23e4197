//! Commands over a cloud: by the relay request or a call of the device on the socket, or by HTTP with a key. An answer counts for its
//! transaction and its device alone; nothing is sent twice.

use std::sync::Arc;

use super::state::{Flying, Http};
use crate::app::fetch::{FetchError, FetchFailure, Fetched};
use crate::app::link::{LinkId, LinkMessage};
use crate::apps::iot::command::{Command, Sent, Turned};
use crate::apps::iot::settings::CloudCommand;
use crate::apps::iot::turn::Turn;
use crate::apps::iot::who::{DEVICE_NOT_FOUND, TIMEOUT, TIMER_UNSUPPORTED, UPSTREAM_DISCONNECTED, UPSTREAM_ERROR};
use crate::apps::iot::wire::http::Fault;
use crate::apps::iot::wire::id::ShellyId;
use crate::apps::iot::wire::socket::{self, Answer};
use crate::apps::iot::wire::{rpc, v2};

impl Turn<'_> {
    /// Sends a command over the account of its device.
    ///
    /// # Errors
    /// Why nothing was sent.
    pub(in super::super) fn order_by_cloud(&mut self, ticket: u64, command: &Command) -> Result<Sent, &'static str> {
        let device = self.system.devices.get(&command.device).ok_or(DEVICE_NOT_FOUND)?;
        let account = device.credential.clone().ok_or(UPSTREAM_DISCONNECTED)?;
        let (generation, relay_on) = (device.generation, device.shown().relay_on.filter(|_| device.online));
        let id = ShellyId::parse(&device.shelly_id).ok_or(DEVICE_NOT_FOUND)?;
        let cloud = self.system.clouds.get_mut(&account).ok_or(UPSTREAM_DISCONNECTED)?;
        let has_key = cloud.secrets.as_ref().is_some_and(|secrets| !secrets.auth_key.is_empty());
        let by_key = has_key && cloud.host.is_some();
        let socket = cloud.link().filter(|_| cloud.is_open());
        let calls = generation != 1 && (command.timer_s.is_some() || self.settings.cloud_command == CloudCommand::Jrpc);
        let carries = command.timer_s.is_none() || generation != 1;
        let Some(link) = socket.filter(|_| carries) else {
            return match (by_key, socket) {
                (true, _) => self.order_by_key(&account, ticket, command, id, relay_on),
                (false, Some(_)) => Err(TIMER_UNSUPPORTED),
                (false, None) => Err(UPSTREAM_DISCONNECTED),
            };
        };
        let trid = cloud.next_trid;
        cloud.next_trid += 1;
        let text = match calls {
            true => {
                let (method, params) = command.call();
                socket::jrpc(trid, &id, method, &params)
            }
            false => socket::relay(trid, &id, command.channel, command.turned.word()),
        };
        cloud.flying.insert(trid, Flying { ticket, device: id });
        self.fx.tell(LinkId::Dialled(link), LinkMessage::text(text));
        self.has_gone(&account);
        let timeout_ms = if calls { self.settings.rpc_timeout_ms } else { self.settings.command_timeout_ms };
        Ok(Sent { has_left: true, timeout_ms })
    }

    fn order_by_key(
        &mut self,
        account: &Arc<str>,
        ticket: u64,
        command: &Command,
        id: ShellyId,
        relay_on: Option<bool>,
    ) -> Result<Sent, &'static str> {
        let on = match command.turned {
            Turned::On => true,
            Turned::Off => false,
            // It cannot be asked for: what is the other state is known, or it is not.
            Turned::Toggle => !relay_on.filter(|_| command.channel == 0).ok_or(UPSTREAM_ERROR)?,
        };
        let (channel, timer_s) = (command.channel, command.timer_s);
        if !self.call(account, Http::Set { ticket, id, channel, on, timer_s }) {
            return Err(UPSTREAM_ERROR);
        }
        let has_left = self.system.clouds.get(account).is_none_or(|cloud| !cloud.line.holds(ticket));
        Ok(Sent { has_left, timeout_ms: self.settings.command_timeout_ms })
    }

    /// A command has been answered on the socket.
    pub(super) fn on_answer(&mut self, account: &Arc<str>, answer: &Answer) {
        let Some(cloud) = self.system.clouds.get_mut(account) else { return };
        let Ok(trid) = answer.trid.parse::<u64>() else { return };
        let is_of = |flying: &Flying| ShellyId::readings(&answer.device).any(|id| id == flying.device);
        if !cloud.flying.get(&trid).is_some_and(is_of) {
            return;
        }
        let Some(flying) = cloud.flying.remove(&trid) else { return };
        match &answer.outcome {
            Ok(result) => self.command_ends(flying.ticket, Ok(rpc::was_on(result))),
            Err(refusal) => self.command_refused(flying.ticket, refusal),
        }
    }

    /// A command has been answered by HTTP.
    pub(super) fn on_set(&mut self, ticket: u64, result: &Result<Fetched, FetchError>) {
        match v2::read_set(result) {
            Ok(()) => self.command_ends(ticket, Ok(None)),
            Err(v2::Denied::Refused(refusal)) => self.command_refused(ticket, &refusal),
            Err(v2::Denied::Failed(Fault::Network(FetchFailure::TimedOut))) => self.command_ends(ticket, Err(TIMEOUT)),
            Err(v2::Denied::Failed(_)) => self.command_ends(ticket, Err(UPSTREAM_ERROR)),
        }
    }

    /// A command is not waited for any more.
    pub(in super::super) fn forget_order(&mut self, ticket: u64) {
        for cloud in self.system.clouds.values_mut() {
            cloud.flying.retain(|_, flying| flying.ticket != ticket);
            cloud.line.withdraw(ticket);
        }
    }

    /// The socket is over: what was sent over it is answered by nobody.
    pub(super) fn drop_commands(&mut self, account: &Arc<str>) {
        let Some(cloud) = self.system.clouds.get_mut(account) else { return };
        for flying in std::mem::take(&mut cloud.flying).into_values() {
            self.command_ends(flying.ticket, Err(UPSTREAM_DISCONNECTED));
        }
    }

    fn has_gone(&mut self, account: &Arc<str>) {
        let Some(id) = self.system.of_credential(account).map(|connection| connection.id.clone()) else { return };
        let connection = self.system.connections.get_mut(&id);
        connection.into_iter().for_each(|connection| connection.traffic.sent += 1);
    }
}
