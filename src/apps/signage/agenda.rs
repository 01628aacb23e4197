//! What a fleet does by itself: its one timer, and what is due then.

use super::fleet::Due;
use super::turn::Turn;
use crate::app::effect::Effect;

impl Turn<'_> {
    /// The fleet's timer is due.
    pub(super) fn on_timer(&mut self) {
        self.fleet.armed = None;
        while let Some((at, due)) = self.fleet.agenda.first().copied()
            && at <= self.now.mono
        {
            self.fleet.agenda.remove(&(at, due));
            match due {
                Due::Publish(number) => {
                    if let Some(id) = self.fleet.numbers.get(&number).cloned() {
                        if let Some(device) = self.fleet.devices.get_mut(&id) {
                            device.due = None;
                        }
                        self.publish(&id);
                    }
                }
                Due::Calm(number) => {
                    if let Some(id) = self.fleet.numbers.get(&number).cloned() {
                        self.on_calm(&id);
                    }
                }
                Due::Flush => {
                    self.fleet.unsaved.scheduled = false;
                    self.flush();
                }
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
        if next == self.fleet.armed {
            return;
        }
        self.fleet.armed = next;
        let token = self.fleet.timer;
        self.fx.push(match next {
            Some(at) => Effect::Timer { token, after_ms: at.since(self.now.mono) },
            None => Effect::Cancel { token },
        });
    }
}
