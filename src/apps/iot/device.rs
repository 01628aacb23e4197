//! What is known of a device, in little memory, and how clients see it. Nothing is in it that no device has said: an unknown value is `None`,
//! and what was known of a device goes when it goes offline.

use std::sync::Arc;

use serde::Serialize;
use serde_json::{Value, json};

use super::wire::order::Order;
use super::wire::status::{Channel, Status};
use crate::base::time::{Millis, WallMillis};

/// What holds a device online. It is offline when nothing does.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Source {
    /// Its own socket, or that it answers us.
    Direct,
    /// The event socket of its account.
    Cloud,
    /// The cloud's HTTP interface.
    V2,
}

impl Source {
    /// `source as usize` is its place.
    pub(crate) const ALL: [Source; 3] = [Source::Direct, Source::Cloud, Source::V2];

    /// The word of metrics.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Source::Direct => "direct",
            Source::Cloud => "cloud",
            Source::V2 => "v2",
        }
    }

    fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// A set of sources.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Sources(u8);

impl Sources {
    pub(crate) fn add(&mut self, source: Source) {
        self.0 |= source.bit();
    }

    pub(crate) fn remove(&mut self, source: Source) {
        self.0 &= !source.bit();
    }

    pub(crate) fn has(self, source: Source) -> bool {
        self.0 & source.bit() != 0
    }

    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// One of several switches of a device, as clients see it.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ChannelView {
    id: u8,
    relay_on: Option<bool>,
    current_power: Option<f64>,
    voltage: Option<f64>,
    total_energy: Option<f64>,
}

/// What a device is shown with, and kept as.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub(crate) struct Values {
    pub relay_on: Option<bool>,
    /// Watts.
    pub power: Option<f64>,
    /// Volts.
    pub voltage: Option<f64>,
    /// Degrees Celsius.
    pub temperature: Option<f64>,
}

/// What few devices have.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Extra {
    /// Where we dial it.
    pub ip: Option<Box<str>>,
    /// Its password, encrypted.
    pub password: Option<Box<str>>,
    pub clinic_id: Option<Box<str>>,
    pub assignment_id: Option<Box<str>>,
    /// JSON text.
    pub assignment: Option<Box<str>>,
    /// Watts.
    pub power_threshold: Option<f64>,
}

/// One device of a system.
#[derive(Clone, Debug)]
pub(crate) struct Device {
    pub id: Arc<str>,
    /// Names it in timers and coalescing keys.
    pub number: u32,
    /// Hexadecimal in small letters, or as it is where it begins with X.
    pub shelly_id: Box<str>,
    pub cloud_id: Option<Box<str>>,
    pub credential: Option<Arc<str>>,
    pub name: Box<str>,
    pub kind: Box<str>,
    pub model: Box<str>,
    pub firmware: Option<Box<str>>,
    pub generation: u8,
    pub appointment_only: bool,
    pub auto_shutdown: bool,
    pub exclude_from_sync: bool,
    pub online: bool,
    /// Its state is known: it has said it since it came online.
    pub known: bool,
    /// Its consumption was not said again in time.
    pub stale_consumption: bool,
    pub sources: Sources,
    /// What it has said.
    pub status: Status,
    /// Which of its statuses count, by source.
    pub orders: [Order; Source::ALL.len()],
    /// When it was last told of, and last asked.
    pub told_at: Option<Millis>,
    pub asked_at: Option<Millis>,
    pub last_seen_at: Option<WallMillis>,
    pub last_connect_at: Option<WallMillis>,
    pub last_disconnect_at: Option<WallMillis>,
    pub last_activity_at: Option<WallMillis>,
    pub created_at: WallMillis,
    pub updated_at: WallMillis,
    pub extra: Option<Box<Extra>>,
}

impl Device {
    /// One that nothing is known of.
    pub(crate) fn new(id: Arc<str>, shelly_id: &str, name: &str, now: WallMillis) -> Device {
        Device {
            id,
            number: 0,
            shelly_id: shelly_id.into(),
            cloud_id: None,
            credential: None,
            name: name.into(),
            kind: "".into(),
            model: "".into(),
            firmware: None,
            generation: 0,
            appointment_only: true,
            auto_shutdown: true,
            exclude_from_sync: false,
            online: false,
            known: false,
            stale_consumption: false,
            sources: Sources::default(),
            status: Status::default(),
            orders: Default::default(),
            told_at: None,
            asked_at: None,
            last_seen_at: None,
            last_connect_at: None,
            last_disconnect_at: None,
            last_activity_at: None,
            created_at: now,
            updated_at: now,
            extra: None,
        }
    }

    /// The values that it is shown with and kept as.
    pub(crate) fn shown(&self) -> Values {
        if !self.online {
            return OFFLINE;
        }
        let Channel { is_on, power_w, voltage, .. } = self.status.top();
        Values { relay_on: is_on, power: power_w, voltage, temperature: self.status.temperature }
    }

    /// Watt-hours; `None` before the device has said any.
    pub(crate) fn total_energy(&self) -> Option<f64> {
        self.status.top().energy.shown()
    }

    /// What it was is not known any more. What it has counted is.
    pub(crate) fn forget(&mut self) {
        for channel in &mut self.status.channels {
            *channel = Channel { id: channel.id, energy: channel.energy, ..Channel::default() };
        }
        self.status.temperature = None;
        (self.known, self.stale_consumption) = (false, false);
    }

    /// What clients see of it now.
    pub(crate) fn view(&self) -> View<'_> {
        let values = self.shown();
        View {
            r#type: DEVICE_UPDATE,
            device_id: &self.id,
            shelly_device_id: &self.shelly_id,
            name: &self.name,
            online: self.online,
            relay_on: values.relay_on,
            current_power: values.power,
            voltage: values.voltage,
            temperature: values.temperature,
            total_energy: self.total_energy(),
            has_valid_consumption: self.online && values.power.is_some() && !self.stale_consumption,
            state_known: self.online && self.known,
            channels: self.channels(),
            last_known: None,
            timestamp: 0,
            reason: "",
        }
    }

    /// Its switches, where there are several.
    fn channels(&self) -> Option<Vec<ChannelView>> {
        let view = |channel: &Channel| ChannelView {
            id: channel.id,
            relay_on: channel.is_on,
            current_power: channel.power_w,
            voltage: channel.voltage,
            total_energy: channel.energy.shown(),
        };
        let channels = &self.status.channels;
        (self.online && channels.len() > 1).then(|| channels.iter().map(view).collect())
    }

    /// What few devices have, to be changed.
    pub(crate) fn extra_mut(&mut self) -> &mut Extra {
        self.extra.get_or_insert_default()
    }

    fn extra<T>(&self, of: impl FnOnce(&Extra) -> Option<T>) -> Option<T> {
        self.extra.as_deref().and_then(of)
    }

    /// Whether it uses more than somebody wants to hear of.
    pub(crate) fn is_above_threshold(&self) -> bool {
        let threshold = self.extra(|extra| extra.power_threshold);
        self.online && threshold.zip(self.shown().power).is_some_and(|(most, power)| power > most)
    }

    /// Where we dial it.
    pub(crate) fn ip(&self) -> Option<&str> {
        self.extra.as_deref()?.ip.as_deref()
    }

    /// The id of the equipment's assignment to a clinic.
    pub(crate) fn assignment_id(&self) -> Option<&str> {
        self.extra.as_deref()?.assignment_id.as_deref()
    }

    /// The equipment that it is assigned to, as it was given.
    pub(crate) fn assignment(&self) -> Value {
        self.extra(|extra| serde_json::from_str(extra.assignment.as_deref()?).ok()).unwrap_or_default()
    }

    /// The row as dashboards have it.
    pub(crate) fn row(&self, system: &str, credential: Value) -> Value {
        let view = self.view();
        let assignment = self.assignment();
        let at = |at: Option<WallMillis>| at.map(|at| at.to_string());
        let equipment = assignment.get("equipment").cloned().unwrap_or_default();
        json!({
            "id": self.id,
            "systemId": system,
            "credentialId": self.credential,
            "deviceId": &*self.shelly_id,
            "cloudId": self.cloud_id,
            "deviceIp": self.ip(),
            "name": &*self.name,
            "type": &*self.kind,
            "generation": self.generation,
            "modelCode": &*self.model,
            "firmwareVersion": self.firmware,
            "hasUpdate": self.status.has_update.unwrap_or(false),
            "online": view.online,
            "lastSeenAt": at(self.last_seen_at),
            "lastConnectAt": at(self.last_connect_at),
            "lastDisconnectAt": at(self.last_disconnect_at),
            "lastActivityAt": at(self.last_activity_at),
            "relayOn": view.relay_on,
            "currentPower": view.current_power,
            "voltage": view.voltage,
            "temperature": view.temperature,
            "totalEnergy": view.total_energy,
            "hasValidConsumption": view.has_valid_consumption,
            "stateKnown": view.state_known,
            "energyBase": self.status.top().energy.base,
            "energyLast": self.status.top().energy.last,
            "wifiRssi": self.status.rssi,
            "powerThreshold": self.extra(|extra| extra.power_threshold),
            "appointmentOnlyMode": self.appointment_only,
            "autoShutdownEnabled": self.auto_shutdown,
            "excludeFromSync": self.exclude_from_sync,
            "clinicId": self.extra(|extra| extra.clinic_id.clone()),
            "equipmentClinicAssignmentId": self.assignment_id(),
            "equipmentClinicAssignment": assignment,
            "equipment": equipment,
            "credential": credential,
            "createdAt": self.created_at.to_string(),
            "updatedAt": self.updated_at.to_string(),
        })
    }
}

/// `device-update` and `device-offline-status`: both feed one callback, so both carry every field.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct View<'a> {
    pub r#type: &'static str,
    device_id: &'a str,
    shelly_device_id: &'a str,
    name: &'a str,
    online: bool,
    relay_on: Option<bool>,
    current_power: Option<f64>,
    voltage: Option<f64>,
    temperature: Option<f64>,
    total_energy: Option<f64>,
    has_valid_consumption: bool,
    state_known: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    channels: Option<Vec<ChannelView>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_known: Option<LastKnown>,
    timestamp: u64,
    reason: &'a str,
}

impl<'a> View<'a> {
    /// Why it is told, and when.
    pub(crate) fn told(self, now: WallMillis, reason: &'a str) -> View<'a> {
        View { timestamp: now.0, reason, ..self }
    }

    /// What of it counts as a change.
    pub(crate) fn shown(&self) -> Shown {
        let View { online, relay_on, current_power, voltage, temperature, total_energy, .. } = *self;
        let values = Values { relay_on, power: current_power, voltage, temperature };
        (online, values, total_energy, self.has_valid_consumption, self.state_known, self.channels.clone())
    }
}

/// See [`View::shown`].
pub(crate) type Shown = (bool, Values, Option<f64>, bool, bool, Option<Vec<ChannelView>>);

/// What was known of a device when it went.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LastKnown {
    pub relay_on: Option<bool>,
    pub current_power: Option<f64>,
}

pub(crate) const DEVICE_UPDATE: &str = "device-update";
pub(crate) const OFFLINE_STATUS: &str = "device-offline-status";

/// What a device that is offline is shown as.
const OFFLINE: Values = Values { relay_on: Some(false), power: Some(0.0), voltage: None, temperature: None };

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_small() {
        assert!(size_of::<Device>() <= 480, "{}", size_of::<Device>());
    }

    #[test]
    fn sources_are_a_set() {
        let mut sources = Sources::default();
        sources.add(Source::Cloud);
        sources.add(Source::Cloud);
        sources.add(Source::Direct);
        sources.remove(Source::Cloud);
        assert!(sources.has(Source::Direct) && !sources.has(Source::Cloud) && !sources.is_empty());
        sources.remove(Source::Direct);
        assert!(sources.is_empty());
    }
}
