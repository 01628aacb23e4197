//! The way of a command, from the asking to the one end: over the device's own socket, else its account's socket, else by HTTP with a key.
//! A device's commands leave in the order in which they were asked, and none is sent twice. The asker, and how it is answered, is known
//! elsewhere, by the command's number.

use std::sync::Arc;

use serde_json::json;

use super::command::{Command, Row, Sent};
use super::log::Entry;
use super::turn::Turn;
use super::waiting::Due;
use super::who::{AUTH_FAILED, DEVICE_OFFLINE, TIMEOUT, UPSTREAM_DISCONNECTED, UPSTREAM_ERROR};
use super::wire::socket::Refusal;

impl Turn<'_> {
    /// A device is to do something; `Turn::on_command_end` says under this number what became of it, at once or later.
    pub(super) fn command(&mut self, ticket: u64, command: Command) {
        let (commands, device) = (&mut self.system.commands, command.device.clone());
        commands.there.insert(ticket, Row { command, asked_at: self.now.mono });
        let is_first = !commands.held.contains_key(&device);
        commands.held.entry(device.clone()).or_default().push_back(ticket);
        if is_first {
            self.send_next(&device);
        }
    }

    /// The commands of a device leave, up to one that has to wait.
    fn send_next(&mut self, device: &Arc<str>) {
        while let Some(ticket) = self.system.commands.held.get(device).and_then(|held| held.front()).copied() {
            // It has been asked for, and waits there for its turn.
            if self.system.agenda.has(&Due::Command(ticket)) {
                return;
            }
            let Some(command) = self.system.commands.there.get(&ticket).map(|row| row.command.clone()) else {
                self.leaves(device, ticket);
                continue;
            };
            match self.order(ticket, &command) {
                Ok(Sent { has_left, timeout_ms }) => {
                    if self.system.commands.there.contains_key(&ticket) {
                        self.system.agenda.put(self.now.mono + timeout_ms, Due::Command(ticket));
                    }
                    if !has_left {
                        return;
                    }
                    self.leaves(device, ticket);
                }
                Err(code) => {
                    self.leaves(device, ticket);
                    self.ends(ticket, Err(code));
                }
            }
        }
    }

    fn order(&mut self, ticket: u64, command: &Command) -> Result<Sent, &'static str> {
        if let Some(sent) = self.order_directly(ticket, command) {
            return sent;
        }
        match self.order_by_cloud(ticket, command) {
            // There would be a way, but for its password.
            Err(UPSTREAM_DISCONNECTED) if self.is_denied_to_us(&command.device) => Err(AUTH_FAILED),
            sent => sent,
        }
    }

    /// A command that waited for its turn is with the other side: those behind it follow.
    pub(super) fn has_left(&mut self, ticket: u64) {
        let Some(device) = self.system.commands.there.get(&ticket).map(|row| row.command.device.clone()) else {
            return;
        };
        // Where it is just being ordered, whoever orders it goes on by itself.
        if self.system.agenda.has(&Due::Command(ticket)) {
            self.leaves(&device, ticket);
            self.send_next(&device);
        }
    }

    fn leaves(&mut self, device: &Arc<str>, ticket: u64) {
        let held = &mut self.system.commands.held;
        if let Some(waiting) = held.get_mut(device) {
            waiting.retain(|other| *other != ticket);
            if waiting.is_empty() {
                held.remove(device);
            }
        }
    }

    /// The other side has refused a command. That a device is not there is news of it.
    pub(super) fn command_refused(&mut self, ticket: u64, refusal: &Refusal) {
        let device = self.system.commands.there.get(&ticket).map(|row| row.command.device.clone());
        if let (true, Some(device)) = (refusal.is_offline, device) {
            self.lose_all(&device, "command_failed");
            return self.command_ends(ticket, Err(DEVICE_OFFLINE));
        }
        self.command_ends(ticket, Err(UPSTREAM_ERROR));
    }

    /// A command has been waited for long enough.
    pub(super) fn on_command_due(&mut self, ticket: u64) {
        self.forget_order(ticket);
        self.forget_direct_order(ticket);
        self.command_ends(ticket, Err(TIMEOUT));
    }

    /// The one end of a command: how the switch was before, where that is known, or why it was not done.
    pub(super) fn command_ends(&mut self, ticket: u64, end: Result<Option<bool>, &'static str>) {
        let device = self.system.commands.there.get(&ticket).map(|row| row.command.device.clone());
        self.ends(ticket, end);
        if let Some(device) = device {
            self.leaves(&device, ticket);
            self.send_next(&device);
        }
    }

    fn ends(&mut self, ticket: u64, end: Result<Option<bool>, &'static str>) {
        self.system.agenda.remove(&Due::Command(ticket));
        let Some(Row { command, asked_at }) = self.system.commands.there.remove(&ticket) else { return };
        let after_ms = self.now.mono.since(asked_at);
        self.shared.counts.command(end.err().unwrap_or("ok"));
        let credential = self.system.devices.get(&command.device).and_then(|device| device.credential.clone());
        let connection =
            credential.and_then(|it| self.system.of_credential(&it)).map(|connection| connection.id.clone());
        if let Some(id) = connection {
            if let Some(connection) = self.system.connections.get_mut(&id).filter(|_| end != Err(UPSTREAM_DISCONNECTED))
            {
                connection.traffic.answered(after_ms);
            }
            let (kind, text) = match end {
                Ok(_) => ("command_sent", format!("Comando '{}' enviado", command.turned.word())),
                Err(code) => ("command_error", format!("Comando '{}' fallido: {code}", command.turned.word())),
            };
            let metadata = json!({"deviceId": command.device, "channel": command.channel, "timer": command.timer_s});
            let entry = Entry { metadata: Some(metadata), response_time: Some(after_ms), ..Entry::new(kind, text) };
            self.log(&id, entry);
        }
        self.on_command_end(ticket, &command.device, end);
    }
}
