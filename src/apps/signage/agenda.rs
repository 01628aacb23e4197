//! What a fleet does by itself: its one timer, and what is due then.

use super::fleet::Due;
use super::turn::Turn;

impl Turn<'_> {
    /// The fleet's timer is due.
    pub(super) fn on_timer(&mut self) {
        self.fleet.timer.went_off();
        while let Some(due) = self.fleet.agenda.next_due(self.now.mono) {
            match due {
                Due::Publish(number) => {
                    if let Some(id) = self.fleet.numbers.get(&number).cloned() {
                        self.publish(&id);
                    }
                }
                Due::Calm(number) => {
                    if let Some(id) = self.fleet.numbers.get(&number).cloned() {
                        self.on_calm(&id);
                    }
                }
                Due::Flush => self.flush(),
                Due::Stats => self.tell_stats(),
            }
        }
        self.expire_commands();
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
