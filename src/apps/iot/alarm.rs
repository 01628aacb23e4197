//! `device-event`: what a device says happened to it, and what is wrong with it.

use std::sync::Arc;

use serde_json::{Value, json};

use super::turn::Turn;
use super::wire::status::Fault;

impl Turn<'_> {
    /// Something has happened at a component of a device; `at_s` is when, in seconds, where it said so.
    pub(super) fn tell_event(
        &mut self,
        id: &Arc<str>,
        component: &str,
        kind: &str,
        value: Option<Value>,
        at_s: Option<f64>,
    ) {
        let Some(device) = self.system.devices.get(id) else { return };
        let ts = at_s.unwrap_or(self.now.wall.0 as f64 / 1_000.0);
        let mut event = json!({
            "deviceId": device.id, "shellyDeviceId": &*device.shelly_id, "component": component, "kind": kind,
            "ts": ts, "timestamp": self.now.wall.0,
        });
        if let Some(value) = value {
            event["value"] = value;
        }
        self.tell_room("device-event", &event);
    }

    /// These faults are new.
    pub(super) fn tell_faults(&mut self, id: &Arc<str>, raised: u8) {
        for fault in Fault::ALL {
            if raised & fault as u8 != 0 {
                self.tell_event(id, "switch:0", fault.kind(), None, None);
            }
        }
    }
}
