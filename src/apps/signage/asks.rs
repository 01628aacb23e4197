//! When a device is asked for its state (SIGNAGE 9.15): once it has registered, when nothing was heard for a while, and after a
//! command. It answers with a report or not at all; nobody waits for it.
//!
//! Devices are asked at few moments of an interval, and one entry of the agenda stands for the next of these: so ten thousand quiet
//! devices wake their fleet 64 times, and each costs its number in a list, eight bytes. A report only notes when it came.

use std::sync::Arc;

use super::fleet::{Due, Speech};
use super::turn::Turn;
use crate::app::effect::{Delivery, Effect, Emission, Target};
use crate::base::ids::SocketRef;
use crate::base::time::Millis;

/// A command that was obeyed shows in the state after this time.
const SETTLED_AFTER_MS: u64 = 1_000;
/// Moments of an interval at which devices are asked.
const MOMENTS: u64 = 64;

impl Turn<'_> {
    /// A socket has registered: the state is asked for, unless one has come since its handshake.
    pub(super) fn ask_newcomer(&mut self, socket: SocketRef, id: &Arc<str>) {
        let Some(came) = self.fleet.device_seat(socket).map(|seat| seat.came) else { return };
        if self.fleet.devices.get(id).is_some_and(|device| device.last_state <= came) {
            self.ask_state(id);
        }
    }

    /// From now on the device is asked whenever it has been quiet for too long.
    pub(super) fn ask_when_quiet(&mut self, id: &Arc<str>) {
        let (now, interval) = (self.now.mono, self.settings.state_request_interval_ms);
        let Some(device) = self.fleet.devices.get_mut(id) else { return };
        device.quiet_since = now;
        if interval > 0 && !std::mem::replace(&mut device.ask_scheduled, true) {
            let number = device.number;
            self.ask_at(now + interval, number);
        }
    }

    fn ask_at(&mut self, at: Millis, device: u64) {
        let grain = (self.settings.state_request_interval_ms / MOMENTS).max(1);
        let moment = Millis(at.0.next_multiple_of(grain));
        self.fleet.asks.entry(moment).or_default().push(device);
        if self.fleet.asks.first_key_value().is_some_and(|(first, _)| *first == moment) {
            self.fleet.agenda.put(moment, Due::Ask);
        }
    }

    /// A moment has come.
    pub(super) fn on_ask_moment(&mut self) {
        while let Some(entry) = self.fleet.asks.first_entry().filter(|entry| *entry.key() <= self.now.mono) {
            for number in entry.remove() {
                self.on_device(number, Turn::on_ask);
            }
        }
        if let Some((next, _)) = self.fleet.asks.first_key_value() {
            self.fleet.agenda.put(*next, Due::Ask);
        }
    }

    /// It is asked if it is still here and was quiet all the time; else it is looked at again when it will have been.
    fn on_ask(&mut self, id: &Arc<str>) {
        let (now, interval) = (self.now.mono, self.settings.state_request_interval_ms);
        let is_here = self.hears_questions(id).is_some();
        let Some(device) = self.fleet.devices.get_mut(id) else { return };
        device.ask_scheduled = is_here;
        if !is_here {
            return;
        }
        let due_at = device.quiet_since + interval;
        let is_quiet = due_at <= now;
        if is_quiet {
            // Not from this moment on, or a device would be asked ever later; unless the fleet was asleep.
            device.quiet_since = if now.since(due_at) < interval { due_at } else { now };
        }
        let (again, number) = (device.quiet_since + interval, device.number);
        self.ask_at(again, number);
        if is_quiet {
            self.ask_state(id);
        }
    }

    /// The device has obeyed a command: what came of it is asked for, unless it says so itself.
    pub(super) fn ask_when_settled(&mut self, id: &Arc<str>) {
        if let Some(device) = self.fleet.devices.get(id) {
            let due = Due::Settled(device.number, device.reports);
            self.fleet.agenda.add(self.now.mono + SETTLED_AFTER_MS, due);
        }
    }

    /// So much time after a command, when so many reports had come.
    pub(super) fn on_settled(&mut self, id: &Arc<str>, reports: u32) {
        if self.fleet.devices.get(id).is_some_and(|device| device.reports == reports) {
            self.ask_state(id);
        }
    }

    /// `player:request:state`.
    pub(super) fn ask_state(&mut self, id: &Arc<str>) {
        if let Some(socket) = self.hears_questions(id) {
            self.shared.counts.state_requests += 1;
            self.tell_bare(socket, "player:request:state");
        }
    }

    /// The device's own socket, if it may be asked.
    pub(super) fn hears_questions(&self, id: &Arc<str>) -> Option<SocketRef> {
        let socket = self.fleet.here.socket(id)?;
        self.fleet.device_seat(socket).filter(|seat| seat.speech == Speech::Today).map(|_| socket)
    }

    /// An event that says nothing but its name.
    pub(super) fn tell_bare(&mut self, socket: SocketRef, name: &str) {
        let event = Emission::bare(name);
        self.fx.push(Effect::Emit { target: Target::Socket(socket), event, delivery: Delivery::Must });
    }
}
