//! What one status says of a device, field by field, whatever its generation: what is missing, `null` or of another type says
//! nothing. Statuses that tell changes are laid over the last one, those that tell everything take its place.

use serde_json::{Map, Value};
use smallvec::SmallVec;

use super::meter::Meter;

/// What one status says.
#[derive(Clone, PartialEq, Debug, Default)]
pub(crate) struct Reading {
    /// By id; at most [`CHANNELS_MAX`].
    pub channels: SmallVec<[Switch; 1]>,
    pub temperature: Option<f64>,
    pub rssi: Option<i16>,
    pub has_update: Option<bool>,
    /// Seconds between two times that a sleeper wakes; 0: it does not sleep.
    pub wakeup_s: Option<u32>,
    /// Of any channel: bits of [`Fault`].
    pub faults: Option<u8>,
    /// What orders the statuses of one source.
    pub serial: Option<f64>,
    pub uptime_s: Option<u32>,
    /// What kind of device speaks so: 1, or 2 for all later ones.
    pub generation: Option<u8>,
    /// Fields that are there and of another type.
    pub unreadable: u32,
}

/// What a status says of one relay.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub(crate) struct Switch {
    pub id: u8,
    pub is_on: Option<bool>,
    pub power_w: Option<f64>,
    pub voltage: Option<f64>,
    /// As the device counts.
    pub total_wh: Option<f64>,
}

/// What a device says it has too much of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum Fault {
    Power = 1,
    Temperature = 2,
    Voltage = 4,
}

/// All that is known of a device from its statuses.
#[derive(Clone, PartialEq, Debug, Default)]
pub(crate) struct Status {
    /// By id.
    pub channels: SmallVec<[Channel; 1]>,
    pub temperature: Option<f64>,
    pub rssi: Option<i16>,
    pub has_update: Option<bool>,
    pub wakeup_s: u32,
    pub faults: u8,
}

/// What is known of one relay.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub(crate) struct Channel {
    pub id: u8,
    pub is_on: Option<bool>,
    pub power_w: Option<f64>,
    pub voltage: Option<f64>,
    pub energy: Meter,
}

impl Fault {
    /// Every fault.
    pub(crate) const ALL: [Fault; 3] = [Fault::Power, Fault::Temperature, Fault::Voltage];

    /// The kind of event that clients see.
    pub(crate) fn kind(self) -> &'static str {
        match self {
            Fault::Power => "over_power",
            Fault::Temperature => "over_temperature",
            Fault::Voltage => "over_voltage",
        }
    }
}

impl Reading {
    /// Reads a status of either generation; what is no object says nothing.
    pub(crate) fn of(status: &Value) -> Reading {
        let Some(status) = status.as_object() else { return Reading { unreadable: 1, ..Reading::default() } };
        let mut reader = Reader::default();
        let second = reader.second(status);
        let first = reader.first(status);
        let mut reading = Reading {
            channels: if second.channels.is_empty() { first.channels } else { second.channels },
            temperature: second.temperature.or(first.temperature),
            rssi: second.rssi.or(first.rssi),
            has_update: second.has_update.or(first.has_update),
            wakeup_s: second.wakeup_s,
            faults: second.faults.or(first.faults),
            serial: number(status, "serial").or_else(|| number(status, "ts")),
            uptime_s: second.uptime_s.or(first.uptime_s),
            generation: generation(status),
            unreadable: reader.unreadable,
        };
        reading.channels.sort_unstable_by_key(|channel| channel.id);
        reading
    }

    /// Whether it says anything that is shown or kept.
    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        let Reading { channels, temperature, rssi, has_update, wakeup_s, faults, .. } = self;
        channels.is_empty()
            && temperature.is_none()
            && rssi.is_none()
            && has_update.is_none()
            && wakeup_s.is_none()
            && faults.is_none()
    }
}

impl Status {
    /// Lays over what is known what a status says.
    pub(crate) fn merge(&mut self, reading: &Reading) {
        for said in &reading.channels {
            let channel = self.channel_mut(said.id);
            channel.is_on = said.is_on.or(channel.is_on);
            channel.power_w = said.power_w.or(channel.power_w);
            channel.voltage = said.voltage.or(channel.voltage);
            said.total_wh.into_iter().for_each(|total| channel.energy.take(total));
        }
        self.temperature = reading.temperature.or(self.temperature);
        self.rssi = reading.rssi.or(self.rssi);
        self.has_update = reading.has_update.or(self.has_update);
        self.wakeup_s = reading.wakeup_s.unwrap_or(self.wakeup_s);
        self.faults = reading.faults.unwrap_or(self.faults);
    }

    /// A status that tells everything: what it does not tell is not known any more. Energy is, since it never falls.
    pub(crate) fn replace(&mut self, reading: &Reading) {
        let energies: SmallVec<[(u8, Meter); 1]> =
            self.channels.iter().map(|channel| (channel.id, channel.energy)).collect();
        *self = Status::default();
        for (id, energy) in energies {
            if id == 0 || reading.channels.iter().any(|said| said.id == id) {
                self.channel_mut(id).energy = energy;
            }
        }
        self.merge(reading);
    }

    /// The channel that the top fields of a device are about.
    pub(crate) fn top(&self) -> Channel {
        self.channels.first().filter(|channel| channel.id == 0).copied().unwrap_or_default()
    }

    /// Whether the device sleeps, so that its silence means nothing.
    pub(crate) fn sleeps(&self) -> bool {
        self.wakeup_s > 0
    }

    /// The channel of this id, which is known from now on.
    pub(crate) fn channel_mut(&mut self, id: u8) -> &mut Channel {
        let at = self.channels.iter().position(|channel| channel.id >= id).unwrap_or(self.channels.len());
        if self.channels.get(at).is_none_or(|channel| channel.id != id) {
            self.channels.insert(at, Channel { id, ..Channel::default() });
        }
        &mut self.channels[at]
    }
}

/// Reads fields and counts those that are there and of another type.
#[derive(Default)]
struct Reader {
    unreadable: u32,
}

impl Reader {
    /// Generation 2 and later: components by name and number.
    fn second(&mut self, status: &Map<String, Value>) -> Reading {
        let mut reading = Reading::default();
        for (name, part) in status {
            let Some((component, id)) = name.split_once(':') else { continue };
            match (component, id.parse::<u8>()) {
                ("switch", Ok(id)) if id < CHANNELS_MAX => self.switch(id, part, &mut reading),
                ("relay", Ok(id)) if id < CHANNELS_MAX => {
                    let is_on = self.bool(part, "output").or_else(|| self.bool(part, "ison"));
                    let channel = channel_of(&mut reading, id);
                    channel.is_on = channel.is_on.or(is_on);
                }
                _ => {}
            }
        }
        let none = Value::Null;
        let (wifi, sys) = (status.get("wifi").unwrap_or(&none), status.get("sys").unwrap_or(&none));
        reading.rssi = self.number(wifi, "rssi").map(|rssi| rssi as i16);
        // An object that is there says which updates there are: a stable one, or none.
        reading.has_update = sys["available_updates"].as_object().map(|updates| updates.contains_key("stable"));
        reading.uptime_s = self.number(sys, "uptime").map(|uptime| uptime as u32);
        reading.wakeup_s = self.number(sys, "wakeup_period").map(|period| period as u32);
        reading
    }

    fn switch(&mut self, id: u8, part: &Value, reading: &mut Reading) {
        if !part.is_object() {
            self.unreadable += u32::from(!part.is_null());
            return;
        }
        let is_on = self.bool(part, "output");
        let (power_w, voltage) = (self.number(part, "apower"), self.number(part, "voltage"));
        let total_wh = self.number(&part["aenergy"], "total");
        let celsius = self.number(&part["temperature"], "tC");
        let channel = channel_of(reading, id);
        *channel = Switch { id, is_on: is_on.or(channel.is_on), power_w, voltage, total_wh };
        if id == 0 {
            reading.temperature = celsius;
        }
        if let Some(errors) = part["errors"].as_array() {
            let faults = errors.iter().filter_map(fault).fold(0, |bits, fault| bits | fault as u8);
            reading.faults = Some(reading.faults.unwrap_or(0) | faults);
        }
    }

    /// Generation 1: relays and meters by place.
    fn first(&mut self, status: &Map<String, Value>) -> Reading {
        let mut reading = Reading::default();
        let none = Value::Null;
        let list = |name| status.get(name).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let voltage = self.number_of(status.get("voltage").unwrap_or(&none));
        let relays = list("relays");
        for (id, relay) in (0..CHANNELS_MAX).zip(relays) {
            let is_on = self.bool(relay, "ison");
            channel_of(&mut reading, id).is_on = is_on;
            if let Some(is_over) = relay["overpower"].as_bool() {
                reading.faults = Some(reading.faults.unwrap_or(0) | if is_over { Fault::Power as u8 } else { 0 });
            }
        }
        for (id, meter) in (0..CHANNELS_MAX).zip(list("meters")) {
            let (power_w, total) = (self.number(meter, "power"), self.number(meter, "total"));
            let channel = channel_of(&mut reading, id);
            (channel.power_w, channel.total_wh) = (power_w, total.map(|watt_minutes| watt_minutes / 60.0));
        }
        if voltage.is_some() {
            channel_of(&mut reading, 0).voltage = voltage;
        }
        let tmp = status.get("tmp").unwrap_or(&none);
        let celsius = status.get("temperature").filter(|value| !value.is_object()).unwrap_or(&none);
        reading.temperature = self.number_of(celsius).or_else(|| self.number(tmp, "tC"));
        if let Some(is_over) = status.get("overtemperature").and_then(Value::as_bool) {
            let bits = if is_over { Fault::Temperature as u8 } else { 0 };
            reading.faults = Some(reading.faults.unwrap_or(0) | bits);
        }
        let (sta, update) = (status.get("wifi_sta").unwrap_or(&none), status.get("update").unwrap_or(&none));
        reading.rssi = self.number(sta, "rssi").map(|rssi| rssi as i16);
        reading.has_update = self.bool(update, "has_update");
        reading.uptime_s = self.number_of(status.get("uptime").unwrap_or(&none)).map(|uptime| uptime as u32);
        reading
    }

    fn bool(&mut self, part: &Value, name: &str) -> Option<bool> {
        let value = part.get(name)?;
        self.unreadable += u32::from(!value.is_boolean() && !value.is_null());
        value.as_bool()
    }

    fn number(&mut self, part: &Value, name: &str) -> Option<f64> {
        self.number_of(part.get(name)?)
    }

    fn number_of(&mut self, value: &Value) -> Option<f64> {
        self.unreadable += u32::from(!value.is_number() && !value.is_null());
        value.as_f64()
    }
}

/// Relays and meters are lists in the first generation, components with a name and a number in later ones.
fn generation(status: &Map<String, Value>) -> Option<u8> {
    let is_second = status.keys().any(|name| name.contains(':')) || status.contains_key("sys");
    let is_first = || ["relays", "meters", "wifi_sta"].iter().any(|name| status.contains_key(*name));
    if is_second { Some(2) } else { is_first().then_some(1) }
}

fn number(status: &Map<String, Value>, name: &str) -> Option<f64> {
    status.get(name)?.as_f64()
}

fn channel_of(reading: &mut Reading, id: u8) -> &mut Switch {
    let known = reading.channels.iter().position(|channel| channel.id == id);
    let at = known.unwrap_or_else(|| {
        reading.channels.push(Switch { id, ..Switch::default() });
        reading.channels.len() - 1
    });
    &mut reading.channels[at]
}

fn fault(word: &Value) -> Option<Fault> {
    match word.as_str()? {
        "overpower" => Some(Fault::Power),
        "overtemp" => Some(Fault::Temperature),
        "overvoltage" => Some(Fault::Voltage),
        _ => None,
    }
}

/// Relays of one device that are looked at.
pub(crate) const CHANNELS_MAX: u8 = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// What of a status is shown: `[relayOn, currentPower, voltage, totalEnergy, temperature, rssi, update]`.
    fn shown(status: &Status) -> Value {
        let top = status.top();
        let energy = top.energy.shown();
        json!([top.is_on, top.power_w, top.voltage, energy, status.temperature, status.rssi, status.has_update])
    }

    fn check(status: &Value, expected: &Value) {
        let mut known = Status::default();
        known.merge(&Reading::of(status));
        assert_eq!(shown(&known), *expected, "{status}");
    }

    /// As a Plus Plug S says it, with what nobody asks of it.
    fn plug() -> Value {
        json!({
            "id": "b0b21c12dd94", "serial": 1_634_630_341.44, "ble": {}, "cloud": {"connected": true},
            "switch:0": {"id": 0, "source": "init", "output": true, "apower": 42.5, "voltage": 231.2, "current": 0.121,
                "temperature": {"tC": 40, "tF": 104}, "aenergy": {"by_minute": [34.786], "minute_ts": 1_707_326_925, "total": 7258.589}},
            "sys": {"mac": "B0B21C12DD94", "uptime": 4_319_353, "available_updates": {"beta": {"version": "1.2.0-beta1"}}},
            "wifi": {"rssi": -53, "status": "got ip"}, "ws": {"connected": false},
        })
    }

    /// As a Plug S of the first generation says it.
    fn first() -> Value {
        json!({
            "cloud": {"connected": false}, "has_update": false, "mac": "AABBCCDDEEFF",
            "meters": [{"power": 12.5, "overpower": 0.0, "is_valid": true, "timestamp": 1_707_335_841, "counters": [0.0, 0.0, 0.0], "total": 2640}],
            "overtemperature": false, "relays": [{"ison": true, "source": "http", "overpower": false}], "serial": 16,
            "temperature": 24.14, "tmp": {"is_valid": true, "tC": 24.14, "tF": 75.45}, "unixtime": 1_707_332_241,
            "update": {"has_update": true}, "uptime": 2_589_909, "voltage": 229.1, "wifi_sta": {"rssi": -76},
        })
    }

    #[test]
    fn whole_statuses_of_both_generations_are_read() {
        check(&plug(), &json!([true, 42.5, 231.2, 7258.589, 40.0, -53, false]));
        check(&first(), &json!([true, 12.5, 229.1, 44.0, 24.14, -76, true]));
        let (second, first) = (Reading::of(&plug()), Reading::of(&first()));
        assert_eq!((second.serial, second.uptime_s, second.unreadable), (Some(1_634_630_341.44), Some(4_319_353), 0));
        assert_eq!((first.serial, first.uptime_s, first.unreadable), (Some(16.0), Some(2_589_909), 0));
        assert_eq!((second.faults, first.faults), (None, Some(0)));
        assert_eq!((second.generation, first.generation), (Some(2), Some(1)));
    }

    #[test]
    fn each_field_has_its_place() {
        for (status, expected) in [
            (json!({"relay:0": {"ison": true}}), json!([true, null, null, null, null, null, null])),
            (json!({"relay:0": {"output": true}}), json!([true, null, null, null, null, null, null])),
            (
                json!({"relay:0": {"ison": true}, "switch:0": {"output": false}}),
                json!([false, null, null, null, null, null, null]),
            ),
            (
                json!({"switch:0": {"output": false}, "relay:0": {"ison": true}}),
                json!([false, null, null, null, null, null, null]),
            ),
            (json!({"switch:0": {"apower": 0}}), json!([null, 0.0, null, null, null, null, null])),
            (
                json!({"switch:0": {"aenergy": {"by_minute": [5], "total": 1.5}}}),
                json!([null, null, null, 1.5, null, null, null]),
            ),
            (
                json!({"switch:0": {"temperature": {"tC": null, "tF": null}}}),
                json!([null, null, null, null, null, null, null]),
            ),
            (json!({"meters": [{"total": 30}]}), json!([null, null, null, 0.5, null, null, null])),
            (json!({"tmp": {"tC": 21.5}}), json!([null, null, null, null, 21.5, null, null])),
            (json!({"temperature": 20, "tmp": {"tC": 21.5}}), json!([null, null, null, null, 20.0, null, null])),
            (json!({"voltage": 230}), json!([null, null, 230.0, null, null, null, null])),
            (
                json!({"sys": {"available_updates": {"stable": {"version": "1.2.8"}}}}),
                json!([null, null, null, null, null, null, true]),
            ),
            (json!({"sys": {"available_updates": {}}}), json!([null, null, null, null, null, null, false])),
            (json!({"sys": {}, "wifi": {"rssi": -60}}), json!([null, null, null, null, null, -60, null])),
            (
                json!({"em:0": {"a_act_power": 375.5}, "temperature:0": {"tC": 46.6}}),
                json!([null, null, null, null, null, null, null]),
            ),
            (json!({"switch:1": {"output": true, "apower": 5}}), json!([null, null, null, null, null, null, null])),
        ] {
            check(&status, &expected);
        }
    }

    #[test]
    fn what_is_of_another_type_says_nothing_and_is_counted() {
        let nothing = json!([null, null, null, null, null, null, null]);
        for (status, unreadable) in [
            (json!({"switch:0": {"output": "true", "apower": "42.5", "voltage": true}}), 3),
            (json!({"switch:0": {"output": 1, "aenergy": 7, "temperature": 40}}), 1),
            (json!({"switch:0": {"output": null, "apower": null}}), 0),
            (json!({"switch:0": 7, "wifi": [], "sys": "x"}), 1),
            (json!({"switch:0": null, "relays": 7, "meters": {"0": 1}}), 0),
            (json!({"switch:x": {"output": true}, "switch:16": {"output": true}, "switch:-1": {}}), 0),
            (json!({"relays": [null], "temperature": "24"}), 1),
            (json!([]), 1),
            (json!("on"), 1),
            (json!({}), 0),
        ] {
            check(&status, &nothing);
            assert_eq!(Reading::of(&status).unreadable, unreadable, "{status}");
        }
        assert!(Reading::of(&json!({"ble": {}, "serial": 7})).is_empty());
    }

    #[test]
    fn changes_are_laid_over_and_a_whole_status_takes_the_place() {
        let mut known = Status::default();
        known.merge(&Reading::of(&plug()));
        known.merge(&Reading::of(&json!({"switch:0": {"apower": 10, "output": null}})));
        assert_eq!(shown(&known), json!([true, 10.0, 231.2, 7258.589, 40.0, -53, false]));
        known.replace(&Reading::of(&json!({"switch:0": {"output": false, "aenergy": {"total": 1}}})));
        assert_eq!(shown(&known), json!([false, null, null, 7259.589, null, null, null]));
        known.replace(&Reading::of(&json!({})));
        assert_eq!(shown(&known), json!([null, null, null, 7259.589, null, null, null]));
    }

    #[test]
    fn channels_are_in_the_order_of_their_ids_and_bounded() {
        let mut known = Status::default();
        known.merge(&Reading::of(
            &json!({"switch:3": {"output": true}, "switch:0": {"output": false}, "switch:1": {"apower": 2}}),
        ));
        let ids = |known: &Status| known.channels.iter().map(|channel| channel.id).collect::<Vec<_>>();
        assert_eq!((ids(&known), known.top().is_on), (vec![0, 1, 3], Some(false)));
        known.merge(&Reading::of(&json!({"switch:2": {"output": true}})));
        assert_eq!(ids(&known), [0, 1, 2, 3]);
        known.replace(&Reading::of(&json!({"switch:2": {"output": true}})));
        assert_eq!(ids(&known), [0, 2]);
        let two = json!({"relays": [{"ison": true}, {"ison": false}], "meters": [{"power": 1}, {"power": 2}]});
        assert_eq!(Reading::of(&two).channels.len(), 2);
        let many: Map<String, Value> = (0..300).map(|id| (format!("switch:{id}"), json!({"output": true}))).collect();
        assert_eq!(Reading::of(&Value::from(many)).channels.len(), usize::from(CHANNELS_MAX));
        let relays = json!({"relays": vec![json!({"ison": true}); 300], "meters": vec![json!({"power": 1}); 300]});
        assert_eq!(Reading::of(&relays).channels.len(), usize::from(CHANNELS_MAX));
    }

    #[test]
    fn faults_and_sleep_are_read() {
        let faults = |status: &Value| Reading::of(status).faults;
        assert_eq!(faults(&json!({"switch:0": {"errors": ["overpower", "overvoltage", "undervoltage", 7]}})), Some(5));
        assert_eq!(faults(&json!({"switch:0": {"errors": []}})), Some(0));
        assert_eq!(faults(&json!({"switch:0": {}})), None);
        assert_eq!(faults(&json!({"overtemperature": true, "relays": [{"overpower": true}]})), Some(3));
        assert_eq!(Fault::ALL.map(Fault::kind), ["over_power", "over_temperature", "over_voltage"]);
        let mut known = Status::default();
        known.merge(&Reading::of(&json!({"sys": {"wakeup_period": 7200}})));
        assert!(known.sleeps());
        known.merge(&Reading::of(&json!({"sys": {}})));
        assert!(known.sleeps());
        known.merge(&Reading::of(&json!({"sys": {"wakeup_period": 0}})));
        assert!(!known.sleeps());
    }
}
