//! What is wrong in a fleet, told once when it begins and once when it has ended: devices that stay away, a store that fails.

use std::sync::Arc;

use super::device::Watch;
use super::fleet::AlertKind;
use super::payload::AlertTold;
use super::tables;
use super::turn::Turn;
use crate::app::effect::{Delivery, Effect};
use crate::app::kit::saving::Turned;
use crate::base::time::WallMillis;

impl Turn<'_> {
    /// Ends an alert and tells so, if it had been told.
    pub(super) fn resolve_alert(&mut self, id: &Arc<str>, kind: AlertKind) {
        if let Some(since) = self.fleet.alerts.resolve(self.now.mono, &(id.clone(), kind)) {
            self.tell_alert(id, kind, since, Some(self.now.wall));
        }
    }

    /// `device:alert` to all who see the device, one line for operators, and one row.
    pub(super) fn tell_alert(
        &mut self,
        id: &Arc<str>,
        kind: AlertKind,
        since: WallMillis,
        resolved: Option<WallMillis>,
    ) {
        let told = AlertTold {
            device_id: Some(&**id).filter(|id| !id.is_empty()),
            kind: kind.name(),
            severity: kind.severity(),
            since: since.to_string(),
            resolved: resolved.map(|at| at.to_string()),
        };
        if id.is_empty() {
            let everybody = Watch::All.room("see", &self.fleet.name);
            self.tell_rooms(vec![everybody], Vec::new(), "device:alert", &told, Delivery::Must);
        } else {
            self.tell_seers(id, "device:alert", &told);
        }
        if resolved.is_none() {
            let text = format!("fleet {}, device {:?}: {} since {since}", self.fleet.name, &**id, kind.name());
            self.fx.push(Effect::Alert { kind: kind.name(), text });
        }
        let (fleet, device_id) = (self.fleet.name.to_string(), id.to_string());
        let (kind, severity) = (kind.name().to_owned(), kind.severity().to_owned());
        let alert = tables::Alert { fleet, device_id, kind, severity, since, resolved };
        self.save(alert.put());
    }

    /// `store degraded` is told once when the store begins to fail, and once when it is back.
    pub(super) fn store_works(&mut self, works: bool) {
        let everybody: Arc<str> = Arc::from("");
        self.shared.counts.store_failures += u64::from(!works);
        match self.fleet.unsaved.store_works(works) {
            Some(Turned::Degraded) => self.fleet.alerts.raise(self.now, (everybody, AlertKind::StoreDegraded), 0),
            Some(Turned::Restored) => self.resolve_alert(&everybody, AlertKind::StoreDegraded),
            None => {}
        }
    }

    /// The fleet has just come from the store: devices that were not known offline yet are, and are alerted about if they
    /// stay away.
    pub(super) fn on_loaded(&mut self) {
        let expected = self.fleet.devices.iter().filter(|(_, device)| device.is_expected());
        let expected: Vec<Arc<str>> = expected.map(|(id, _)| id.clone()).collect();
        for id in expected {
            let after = self.settings.offline_alert_after_ms;
            self.fleet.alerts.raise(self.now, (id, AlertKind::Offline), after);
        }
    }
}
