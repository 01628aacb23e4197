//! `devices:stats`: how many devices each operator sees, and how they are.

use std::collections::BTreeSet;

use super::connect::room_of_scope;
use super::fleet::{AlertKind, Due};
use super::payload::Stats;
use super::turn::Turn;
use crate::app::effect::{Delivery, Room};
use crate::app::kit::roles::Scope;

/// Coalescing key of `devices:stats`; devices' numbers never get there.
const STATS_KEY: u64 = u64::MAX;

impl Turn<'_> {
    /// `devices:stats`: each sees the devices of its scope; admins of one scope get the same bytes.
    pub(super) fn tell_stats(&mut self) {
        let scopes: BTreeSet<Scope<'_>> = self.fleet.admins().map(|(_, admin)| admin.scope()).collect();
        let told = scopes.iter().map(|scope| (room_of_scope(scope, &self.fleet.name), self.stats(scope)));
        let told: Vec<(Room, Stats)> = told.collect();
        if told.is_empty() {
            return;
        }
        for (room, stats) in told {
            self.tell_rooms(vec![room], Vec::new(), "devices:stats", &stats, Delivery::Latest { key: STATS_KEY });
        }
        self.fleet.agenda.add(self.now.mono + self.settings.stats_interval_ms, Due::Stats);
    }

    fn stats(&self, scope: &Scope<'_>) -> Stats {
        let mut stats = Stats { server_time: self.now.wall.to_string(), ..Stats::default() };
        let newcomers = self.fleet.newcomers();
        let newcomers = newcomers.iter().filter(|device| scope.covers(&device.row.group)).count();
        (stats.total, stats.silent) = (newcomers, newcomers);
        for (id, device) in self.fleet.devices.iter().filter(|(_, device)| scope.covers(&device.row.group)) {
            stats.total += 1;
            match self.fleet.status(id, device) {
                "online" => stats.online += 1,
                "silent" => stats.silent += 1,
                "offline" => stats.offline += 1,
                "pending" => stats.pending += 1,
                _ => stats.retired += 1,
            }
            stats.commands_in_flight += self.fleet.commands.in_flight(id);
            let raised = AlertKind::ALL.iter().filter(|kind| self.fleet.alerts.is_raised(&(id.clone(), **kind)));
            stats.alerts += raised.count();
        }
        stats
    }
}
