//! The offline manager: what comes from outside about a device, and what follows. One function takes in a status, whatever brought it; one
//! decides that a device is gone; one tells it. What is told goes out at once, rows follow.

use core::net::IpAddr;
use std::sync::Arc;

use super::connection::Kind;
use super::counters::Became;
use super::device::{DEVICE_UPDATE, Device, LastKnown, OFFLINE_STATUS, Source, Values};
use super::log::Entry;
use super::settings::Detail;
use super::system::{Held, Unclaimed};
use super::turn::Turn;
use super::waiting::{Dirty, Due};
use super::wire::id::ShellyId;
use super::wire::order::Worth;
use super::wire::status::Reading;
use crate::app::effect::Delivery;
use crate::base::time::Millis;

/// A status that has come.
#[derive(Clone, Debug)]
pub(super) struct Report<'a> {
    pub source: Source,
    pub id: &'a ShellyId,
    pub reading: &'a Reading,
    /// It tells everything, and takes the place of what was known.
    pub whole: bool,
    /// What the source says of the device beside its status, where it does.
    pub about: About<'a>,
    /// The account that it came over, and bytes of it.
    pub credential: Option<&'a Arc<str>>,
    pub bytes: usize,
    /// Where the device was.
    pub ip: Option<IpAddr>,
}

/// What a source says of a device.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct About<'a> {
    /// Its id as the cloud spells it.
    pub cloud_id: Option<&'a str>,
    pub model: Option<&'a str>,
    pub generation: Option<u8>,
    pub firmware: Option<&'a str>,
}

impl Turn<'_> {
    /// Takes in a status, whatever brought it.
    pub(super) fn report(&mut self, report: &Report<'_>) -> Became {
        let became = self.take_report(report);
        self.shared.counts.status(report.source, became);
        if report.reading.unreadable > 0 {
            self.shared.counts.status(report.source, Became::Field);
        }
        if let Some(serial) = report.reading.serial.filter(|serial| *serial > TIMES_BEGIN_S) {
            let lag_ms = (self.now.wall.0 as f64 - serial * 1_000.0).max(0.0);
            self.shared.counts.lag_ms.record(lag_ms as u64);
        }
        became
    }

    fn take_report(&mut self, report: &Report<'_>) -> Became {
        let Some(device) = self.system.find_mut(report.id.as_str()) else {
            let credential = report.credential.cloned();
            let held = Held { source: report.source, credential, reading: report.reading.clone() };
            self.note_unclaimed(report.id, report.ip);
            if let Some(unclaimed) = self.system.unclaimed.get_mut(report.id.as_str()) {
                unclaimed.held = Some(Box::new(held));
            }
            return Became::Unmapped;
        };
        let (now, was_online) = (self.now, device.online);
        (device.last_seen_at, device.last_activity_at) = (Some(now.wall), Some(now.wall));
        let worth = device.orders[report.source as usize].judge(report.reading.serial, report.reading.uptime_s);
        let held = device.sources.has(report.source);
        device.sources.add(report.source);
        device.learn(report);
        let (id, number) = (device.id.clone(), device.number);
        self.expect_silence(number);
        if was_online && worth != Worth::Fresh {
            if !held {
                self.touch(Dirty::Device(id));
            }
            return if worth == Worth::Stale { Became::Stale } else { Became::KeepAlive };
        }
        self.apply(&id, report);
        Became::Applied
    }

    fn apply(&mut self, id: &Arc<str>, report: &Report<'_>) {
        let (now, mono) = (self.now.wall, self.now.mono);
        let Some(device) = self.system.devices.get_mut(id) else { return };
        let (was_online, number) = (device.online, device.number);
        let before = (device.view().shown(), device.shown().relay_on);
        let was_above = device.is_above_threshold();
        if !was_online {
            device.forget();
            (device.online, device.last_connect_at) = (true, Some(now));
        }
        let faults = device.status.faults;
        if report.whole {
            device.status.replace(report.reading);
        } else {
            device.status.merge(report.reading);
        }
        let has_relay = device.status.top().is_on.is_some();
        device.known = has_relay || report.whole || (device.known && !report.reading.channels.is_empty());
        if report.reading.channels.iter().any(|channel| channel.power_w.is_some()) {
            device.stale_consumption = false;
        }
        let raised = device.status.faults & !faults;
        let above = device.shown().power.filter(|_| device.is_above_threshold() && !was_above);
        let (changed, switched) = (device.view().shown() != before.0, device.shown().relay_on != before.1);
        let wait = device.told_at.map(|at| at + TELL_INTERVAL_MS).filter(|next| *next > mono);
        self.touch(Dirty::Device(id.clone()));
        if !was_online {
            self.tell_transition(id, MESSAGE_RECEIVED, None);
            self.tell(id, MESSAGE_RECEIVED);
        } else if changed {
            match wait {
                Some(next) if !switched => self.system.agenda.add(next, Due::Tell(number)),
                _ => self.tell(id, MESSAGE_RECEIVED),
            }
        }
        self.expect_consumption(id, report.reading);
        self.tell_faults(id, raised);
        if let Some(watts) = above {
            self.tell_event(id, "switch:0", "over_power", Some(watts.into()), None);
        }
        self.log_status(id, report);
    }

    /// A source says that a device is there, and nothing else.
    pub(super) fn is_there(&mut self, id: &ShellyId, source: Source, reason: &str) -> Became {
        let now = self.now.wall;
        let Some(device) = self.system.find_mut(id.as_str()) else {
            self.note_unclaimed(id, None);
            self.shared.counts.status(source, Became::Unmapped);
            return Became::Unmapped;
        };
        device.sources.add(source);
        (device.last_seen_at, device.last_activity_at) = (Some(now), Some(now));
        let id = device.id.clone();
        if device.online {
            return Became::KeepAlive;
        }
        device.forget();
        (device.online, device.last_connect_at) = (true, Some(now));
        self.touch(Dirty::Device(id.clone()));
        self.tell_transition(&id, reason, None);
        self.tell(&id, reason);
        Became::Applied
    }

    /// A source does not hold a device any more, for this reason. Where none does, it is offline, which is told once.
    pub(super) fn lose(&mut self, id: &Arc<str>, source: Source, reason: &str) {
        let Some(device) = self.system.devices.get_mut(id) else { return };
        device.sources.remove(source);
        if device.sources.is_empty() {
            self.goes_offline(id, reason);
        }
    }

    /// A device that was nobody's is claimed: what its source has said of it counts.
    pub(super) fn take_held(&mut self, id: &Arc<str>) {
        let Some(shelly) = self.system.devices.get(id).and_then(|device| ShellyId::parse(&device.shelly_id)) else {
            return;
        };
        let Some(Unclaimed { ip, held: Some(held), .. }) = self.system.unclaimed.remove(shelly.as_str()) else {
            return;
        };
        let Held { source, credential, reading } = *held;
        let (credential, about) = (credential.as_ref(), About::default());
        self.report(&Report { source, id: &shelly, reading: &reading, whole: true, about, credential, bytes: 0, ip });
    }

    /// A source does not hold a device of nobody any more.
    fn drop_held(&mut self, source: Source, credential: &str) {
        let is_gone = |held: &Held| held.source == source && held.credential.as_deref() == Some(credential);
        for it in self.system.unclaimed.values_mut() {
            it.held = it.held.take().filter(|held| !is_gone(held));
        }
    }

    /// Whatever held it: the device has said, or an answer about it has, that it is not there.
    pub(super) fn lose_all(&mut self, id: &Arc<str>, reason: &str) {
        let Some(device) = self.system.devices.get_mut(id) else { return };
        device.sources = Default::default();
        self.goes_offline(id, reason);
    }

    /// The connection of a credential is gone: its devices are, as far as nothing else holds them.
    pub(super) fn lose_credential(&mut self, credential: &str, source: Source, reason: &str) {
        let is_its = |device: &&Device| device.credential.as_deref() == Some(credential) && device.sources.has(source);
        let ids: Vec<Arc<str>> = self.system.devices.values().filter(is_its).map(|device| device.id.clone()).collect();
        for id in ids {
            self.lose(&id, source, reason);
        }
        self.drop_held(source, credential);
    }

    fn goes_offline(&mut self, id: &Arc<str>, reason: &str) {
        let now = self.now.wall;
        let Some(device) = self.system.devices.get_mut(id).filter(|device| device.online) else { return };
        let Values { relay_on, power, .. } = device.shown();
        let last_known = LastKnown { relay_on, current_power: power };
        device.forget();
        device.online = false;
        (device.last_seen_at, device.last_disconnect_at) = (Some(now), Some(now));
        let number = device.number;
        for due in [Due::Tell(number), Due::Silent(number), Due::Consumption(number)] {
            self.system.agenda.remove(&due);
        }
        self.tell_transition(id, reason, Some(last_known));
        self.touch(Dirty::Device(id.clone()));
    }

    fn tell_transition(&mut self, id: &Arc<str>, reason: &str, last_known: Option<LastKnown>) {
        let Some(device) = self.system.devices.get(id) else { return };
        let mut view = device.view().told(self.now.wall, reason);
        (view.r#type, view.last_known) = (OFFLINE_STATUS, last_known);
        let text = serde_json::to_string(&view).expect("our own types serialise to JSON");
        self.tell_room_text(OFFLINE_STATUS, &text, Delivery::Must);
    }

    /// `device-update` to all who have joined.
    pub(super) fn tell(&mut self, id: &Arc<str>, reason: &str) {
        let (now, mono) = (self.now.wall, self.now.mono);
        let Some(device) = self.system.devices.get_mut(id) else { return };
        device.told_at = Some(mono);
        let (number, key) = (device.number, u64::from(device.number));
        let view = device.view().told(now, reason);
        let text = serde_json::to_string(&view).expect("our own types serialise to JSON");
        self.system.agenda.remove(&Due::Tell(number));
        self.tell_room_text(DEVICE_UPDATE, &text, Delivery::Latest { key });
    }

    /// A device that has changed is due to be told of.
    pub(super) fn tell_device(&mut self, number: u32) {
        let Some(id) = self.system.numbered(number).cloned() else { return };
        self.tell(&id, MESSAGE_RECEIVED);
    }

    /// Somebody has come whom nobody has claimed.
    pub(super) fn note_unclaimed(&mut self, id: &ShellyId, ip: Option<IpAddr>) {
        let now = self.now.wall;
        if let Some(known) = self.system.unclaimed.get_mut(id.as_str()) {
            (known.last_seen, known.ip) = (now, ip.or(known.ip));
            return;
        }
        if self.system.unclaimed.len() >= UNCLAIMED_MAX {
            let oldest = self.system.unclaimed.iter().min_by_key(|(_, it)| it.last_seen).map(|(id, _)| id.clone());
            if let Some(oldest) = oldest {
                self.system.unclaimed.remove(&oldest);
            }
        }
        self.system.unclaimed.insert(id.as_str().into(), Unclaimed { ip, first_seen: now, last_seen: now, held: None });
    }

    fn log_status(&mut self, id: &Arc<str>, report: &Report<'_>) {
        let Some(device) = self.system.devices.get(id) else { return };
        let word = match device.shown().relay_on {
            Some(true) => "ON",
            Some(false) => "OFF",
            None => "?",
        };
        let power = device.shown().power.unwrap_or(0.0);
        let text = format!("Update recibido para dispositivo {}: {word} ({power}W)", device.name);
        if self.settings.log_detail >= Detail::Verbose {
            tracing::info!(target: "siod::iot", system = &*self.system.name, device = &*device.shelly_id, text, "a status");
        }
        let credential = report.credential.or(device.credential.as_ref());
        let connection = credential.and_then(|credential| self.system.of_credential(credential));
        let Some(connection) = connection.map(|connection| connection.id.clone()) else { return };
        let metadata = serde_json::json!({"deviceId": id, "source": report.source.label()});
        let data_size = Some(report.bytes as u64);
        self.log(&connection, Entry { metadata: Some(metadata), data_size, ..Entry::new("message", text) });
    }

    /// The system has been read: a device that nothing will hold is offline, one that a connection is about to hold stays as it was.
    pub(super) fn settle_devices(&mut self) {
        let online: Vec<(Arc<str>, Option<Arc<str>>)> = self
            .system
            .devices
            .values()
            .filter(|device| device.online)
            .map(|device| (device.id.clone(), device.credential.clone()))
            .collect();
        for (id, credential) in online {
            if credential.is_some_and(|credential| self.will_open(&credential)) {
                let device = self.system.devices.get_mut(&id);
                device.into_iter().for_each(|device| device.sources.add(Source::Cloud));
            } else {
                self.goes_offline(&id, "startup_ws_inactive");
            }
        }
    }

    /// Whether the connection of a credential is opened when the process begins.
    pub(super) fn will_open(&self, credential: &str) -> bool {
        let connection = self.system.connection_of(Kind::Shelly, credential);
        let is_good = self.system.credentials.get(credential).is_some_and(super::credential::Credential::is_good);
        is_good && connection.is_some_and(|connection| connection.auto_reconnect)
    }

    fn expect_silence(&mut self, number: u32) {
        let Some(id) = self.system.numbered(number) else { return };
        let Some(device) = self.system.devices.get(id) else { return };
        let period_ms = u64::from(device.status.wakeup_s) * 1_000;
        let wait_ms = match device.status.sleeps() {
            true => (period_ms as f64 * self.settings.sleeper_offline_factor) as u64,
            false => self.settings.state_timeout_ms,
        };
        if wait_ms > 0 {
            self.system.agenda.put(self.now.mono + wait_ms, Due::Silent(number));
        }
    }

    fn expect_consumption(&mut self, id: &Arc<str>, reading: &Reading) {
        let says_power = reading.channels.iter().any(|channel| channel.power_w.is_some());
        let wait_ms = self.settings.consumption_timeout_ms;
        if let (true, 1.., Some(device)) = (says_power, wait_ms, self.system.devices.get(id)) {
            let at: Millis = self.now.mono + wait_ms;
            self.system.agenda.put(at, Due::Consumption(device.number));
        }
    }

    /// A device has said nothing for too long.
    pub(super) fn on_silence(&mut self, number: u32) {
        let Some(id) = self.system.numbered(number).cloned() else { return };
        self.lose_all(&id, "state_timeout");
    }

    /// Its consumption was not said again in time: it is not valid, which is all that is known.
    pub(super) fn on_old_consumption(&mut self, number: u32) {
        let Some(id) = self.system.numbered(number).cloned() else { return };
        let Some(device) = self.system.devices.get_mut(&id).filter(|device| device.online) else { return };
        device.stale_consumption = true;
        self.tell(&id, "consumption_timeout");
    }
}

impl Device {
    /// What a source says of it beside its status.
    fn learn(&mut self, report: &Report<'_>) {
        let About { cloud_id, model, generation, firmware } = report.about;
        let set = |at: &mut Option<Box<str>>, text: Option<&str>| {
            if let Some(text) = text.filter(|text| !text.is_empty() && at.as_deref() != Some(text)) {
                *at = Some(text.into());
            }
        };
        set(&mut self.cloud_id, cloud_id);
        set(&mut self.firmware, firmware);
        if let Some(model) = model.filter(|model| !model.is_empty() && **model != *self.model) {
            self.model = model.into();
        }
        self.generation = generation.filter(|generation| *generation > 0).unwrap_or(self.generation);
        if self.credential.is_none() {
            self.credential = report.credential.cloned();
        }
    }
}

/// A status has come.
const MESSAGE_RECEIVED: &str = "websocket_message_received";
/// Changes of a device, but for those of its relay, are told at most ten times a second.
const TELL_INTERVAL_MS: u64 = 100;
/// Devices of a system that nobody has claimed; of more, the one that was not there for longest goes.
const UNCLAIMED_MAX: usize = 200;
/// A serial is seconds since 1970, or, below this, a count.
const TIMES_BEGIN_S: f64 = 1e9;
