//! Smart plugs: browsers of systems that join, ask for devices and test their connection; admins that switch the devices they have
//! seen; services that tell a system what one of its devices does, as a bridge does. Without `--jwt-secret` the server must take any token
//! (siod's development mode).
//!
//! Devices report over the cloud that `loadtest/clouds.mjs` is: then what they report is the time, in milliseconds, and how soon a
//! browser sees it is read from that. What services tell carries the time at which it was meant to be told.

use std::collections::HashMap;
use std::time::{SystemTime, UNIX_EPOCH};

use super::text::{CODE, contains, number_after, text_after};
use super::{Action, JWT_SECRET, Play, RATE, Role, Script, Stage, Who};
use crate::auth::Minter;
use crate::clock::{MS_NS, Nanos};
use crate::lines::Lines;
use crate::outcome::Outcome;
use crate::pool::{ClientId, Transport};
use crate::scenario::kind::{Kind, MEASURED_TIME, Measured, Own, THRESHOLDS, own};

pub const KIND: Kind = Kind {
    name: "iot",
    about: "Application mix of siod's iot: browsers watch devices that report, admins switch them",
    unit: ("answer or sight", "answers and sights"),
    measured: Measured::Running,
    transport: Transport::WebSocket,
    options: &[MEASURED_TIME, THRESHOLDS, OWN],
    check: |options| super::check(options, &SCRIPT),
    build: |options| super::build(options, &SCRIPT),
    describe,
};

const OWN: &[Own] = &[
    RATE,
    own(
        "role",
        "How many clients are services or admins, such as admin=COUNT, instead of one in a hundred each; all others are browsers",
    ),
    JWT_SECRET,
];

const SERVICE: usize = 0;
const ADMIN: usize = 1;
const BROWSER: usize = 2;

pub const SCRIPT: Script = Script {
    roles: &[
        Role { name: "service", percent: 1 },
        Role { name: "admin", percent: 1 },
        Role { name: "browser", percent: 98 },
    ],
    actions: &[
        Action { name: "tell", role: SERVICE, weight: 20 },
        Action { name: "switch", role: ADMIN, weight: 10 },
        Action { name: "refresh", role: BROWSER, weight: 100 },
        Action { name: "test", role: BROWSER, weight: 60 },
        Action { name: "join", role: BROWSER, weight: 10 },
    ],
    play: || Box::new(Iot { device: HashMap::new(), seen: HashMap::new() }),
};

/// Browsers of one system; `clouds.mjs` gives as many systems their devices as it is told to.
const SYSTEM_BROWSERS: u32 = 25;
/// What a device reports is a time if it is not before this, in 2020.
const TIME_MS_MIN: u64 = 1_577_836_800_000;

struct Iot {
    /// A device that each client was shown.
    device: HashMap<ClientId, String>,
    /// The newest time that a client has seen of each device.
    seen: HashMap<(ClientId, String), u64>,
}

/// Services and admins are those of the first systems.
fn system(who: Who) -> String {
    let number = if who.role == BROWSER { who.number / SYSTEM_BROWSERS } else { who.number };
    format!("load{number}")
}

impl Play for Iot {
    fn auth(&self, who: Who, minter: Option<&Minter>) -> String {
        let role = SCRIPT.roles[who.role].name;
        let name = format!("load-{role}-{}", who.number);
        let claims = serde_json::json!({
            "sub": name, "role": if who.role == BROWSER { "viewer" } else { role }, "systemId": system(who),
        });
        let token = match (minter, claims) {
            (Some(minter), serde_json::Value::Object(claims)) => minter.mint(claims),
            _ => name,
        };
        format!(r#"{{"token":"{token}"}}"#)
    }

    fn on_joined(&mut self, stage: &mut Stage<'_, '_>, who: Who) {
        self.join(stage, who, "first join", stage.now());
    }

    fn act(&mut self, stage: &mut Stage<'_, '_>, who: Who, action: usize, intended: Nanos) {
        match SCRIPT.actions[action].name {
            "tell" => {
                let number = stage.ask(who, "told", intended);
                let args = format!(
                    r#"{{"systemId":"{}","eventName":"device-update","data":{{"deviceId":"load","intended":{intended}}}}}"#,
                    system(who)
                );
                stage.emit(who, Some(number), "broadcast-to-system", &args);
            }
            "switch" => self.of_device(stage, who, ("switched", "control-device", r#","action":"toggle""#), intended),
            "refresh" => self.of_device(stage, who, ("refreshed", "request-device-update", ""), intended),
            "join" => self.join(stage, who, "joined", intended),
            _ => {
                let number = stage.ask(who, "tested", intended);
                stage.emit(who, Some(number), "test-message", &format!("{intended}"));
            }
        }
    }

    fn on_event(&mut self, stage: &mut Stage<'_, '_>, who: Who, name: &str, array: &[u8]) {
        if name == "device-update" {
            self.see(stage, who, array);
        }
    }

    fn on_ack(&mut self, stage: &mut Stage<'_, '_>, who: Who, number: u64, args: &[u8]) {
        stage.answered(who, number);
        if !args.starts_with(br#"[{"ok":true"#) {
            stage.refused(text_after(args, CODE));
        }
    }
}

impl Iot {
    fn join(&self, stage: &mut Stage<'_, '_>, who: Who, part: &'static str, intended: Nanos) {
        let number = stage.ask(who, part, intended);
        stage.emit(who, Some(number), "join-system", &format!(r#""{}""#, system(who)));
    }

    /// Something about a device that it has been shown, if there is one.
    fn of_device(
        &self,
        stage: &mut Stage<'_, '_>,
        who: Who,
        (part, event, more): (&'static str, &str, &str),
        intended: Nanos,
    ) {
        let Some(device) = self.device.get(&who.client) else { return };
        let number = stage.ask(who, part, intended);
        stage.emit(who, Some(number), event, &format!(r#"{{"deviceId":"{device}"{more}}}"#));
    }

    /// A service's word carries our own time; a device's report the machine's.
    fn see(&mut self, stage: &mut Stage<'_, '_>, who: Who, array: &[u8]) {
        let now = stage.now();
        if let Some(intended) = number_after(array, "\"intended\":").filter(|at| (1..=now).contains(at)) {
            return stage.saw("word seen", intended);
        }
        let Some(device) = text_after(array, "\"deviceId\":\"") else { return };
        self.device.insert(who.client, device.to_owned());
        let Some(reported) = number_after(array, "\"currentPower\":").filter(|at| *at >= TIME_MS_MIN) else { return };
        let before = self.seen.insert((who.client, device.to_owned()), reported);
        if before.is_some_and(|before| before > reported) {
            stage.cx.figures.add("reports out of order", 1);
        }
        // What was asked for, and a switch that is turned, come with the time of the last report.
        if before.is_none_or(|before| before >= reported) || contains(array, "\"snapshot\"") {
            return;
        }
        let late_ms = wall_ms().saturating_sub(reported);
        stage.saw("report seen", now.saturating_sub(late_ms * MS_NS));
    }
}

fn wall_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

fn describe(outcome: &Outcome, lines: &mut Lines) {
    super::describe(outcome, lines, &SCRIPT);
    lines.must_be_zero("reports out of order", outcome.figures.count("reports out of order"));
}
