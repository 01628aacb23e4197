//! What a fleet does by itself: its one timer, and what is due then.

use std::sync::Arc;

use super::fleet::Due;
use super::turn::Turn;

impl Turn<'_> {
    /// The fleet's timer is due.
    pub(super) fn on_timer(&mut self) {
        self.fleet.timer.went_off();
        while let Some(due) = self.fleet.agenda.next_due(self.now.mono) {
            match due {
                Due::Publish(number) => self.on_device(number, Turn::publish),
                Due::Calm(number) => self.on_device(number, Turn::on_calm),
                Due::Ask => self.on_ask_moment(),
                Due::Settled(number, reports) => self.on_device(number, |turn, id| turn.on_settled(id, reports)),
                Due::Look(number) => self.on_look(number),
                Due::Flush => self.flush(),
                Due::Stats => self.tell_stats(),
            }
        }
        self.expire_commands();
    }

    /// What is due of the device with this number, if there is one.
    pub(super) fn on_device(&mut self, number: u64, due: impl FnOnce(&mut Self, &Arc<str>)) {
        if let Some(id) = self.fleet.numbers.get(&number).cloned() {
            due(self, &id);
        }
    }

    /// At the end of every turn: alerts that are due are told, in a drain what is unsaved is handed over, and the timer is
    /// set to what comes next.
    pub(super) fn finish(&mut self) {
        while let Some(raised) = self.fleet.alerts.due(self.now.mono) {
            let (id, kind) = raised.key;
            self.tell_alert(&id, kind, raised.since, None);
        }
        if self.shared.draining && !self.fleet.unsaved.is_empty() {
            self.flush();
        }
        let next = self.fleet.deadline();
        self.fx.0.extend(self.fleet.timer.set(self.now.mono, next));
    }
}
