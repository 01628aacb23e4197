//! Digital signage: players that register, report what changes and obey; admins that watch all of them, command, look at
//! states and lists, and take pictures. Without `--jwt-secret` the server must take any token (siod's development mode).
//! A player that is asked for its state answers with all of it, in which nothing has changed but clock, uptime, memory and load: where
//! `--rate` is next to nothing, that is all that players do.
//!
//! How soon an admin sees an update is read from the update itself: it carries the time at which it was meant to be sent.

use std::collections::{HashMap, VecDeque};

use super::text::{CODE, contains, number_after, text_after};
use super::{Action, JWT_SECRET, Play, RATE, Role, Script, Stage, Who};
use crate::auth::Minter;
use crate::clock::Nanos;
use crate::lines::Lines;
use crate::outcome::Outcome;
use crate::pool::{ClientId, Transport};
use crate::scenario::kind::{Kind, MEASURED_TIME, Measured, Own, THRESHOLDS, own, random};

pub const KIND: Kind = Kind {
    name: "signage",
    about: "Application mix of siod's signage: players report and obey, admins watch and command",
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
    own("role", "How many clients are admins, admin=COUNT, instead of one in a hundred; all others are players"),
    JWT_SECRET,
];

const ADMIN: usize = 0;
const PLAYER: usize = 1;

pub const SCRIPT: Script = Script {
    roles: &[Role { name: "admin", percent: 1 }, Role { name: "player", percent: 99 }],
    actions: &[
        Action { name: "update", role: PLAYER, weight: 900 },
        Action { name: "command", role: ADMIN, weight: 70 },
        Action { name: "state", role: ADMIN, weight: 20 },
        Action { name: "snapshot", role: ADMIN, weight: 9 },
        Action { name: "list", role: ADMIN, weight: 1 },
    ],
    play: || Box::new(Signage { run: random(), turn: 0, waiting: HashMap::new(), revs: HashMap::new() }),
};

/// Characters of base64 of a picture: the first bytes say that it is a PNG.
const PICTURE_CHARS: usize = 20_000;
const PICTURE_BEGINS: &str = "iVBORw0KGgo";
/// What the ids of our commands begin with; a number follows.
const COMMAND: &str = "load-";

struct Signage {
    /// Part of the ids of our commands: a server remembers those of earlier runs.
    run: u32,
    /// Which device is asked next.
    turn: u32,
    /// Questions that are answered by an event, in the order in which they were asked.
    waiting: HashMap<(ClientId, &'static str), VecDeque<u64>>,
    /// The last revision that an admin saw of a player.
    revs: HashMap<(ClientId, u32), u64>,
}

fn device(number: u32) -> String {
    format!("load-{number}")
}

impl Play for Signage {
    fn auth(&self, who: Who, minter: Option<&Minter>) -> String {
        let id = device(who.number);
        let claims = match who.role {
            ADMIN => {
                serde_json::json!({"sub": format!("load-admin-{}", who.number), "role": "admin"})
            }
            _ => serde_json::json!({"sub": id, "role": "device", "deviceId": id}),
        };
        let token = match (minter, claims) {
            (Some(minter), serde_json::Value::Object(claims)) => minter.mint(claims),
            _ => format!("load-{}-{}", SCRIPT.roles[who.role].name, who.number),
        };
        match who.role {
            ADMIN => format!(r#"{{"token":"{token}"}}"#),
            _ => format!(r#"{{"token":"{token}","deviceId":"{id}"}}"#),
        }
    }

    fn on_joined(&mut self, stage: &mut Stage<'_, '_>, who: Who) {
        if who.role == PLAYER {
            let number = stage.ask(who, "register", stage.now());
            let args = format!(
                r#"{{"deviceId":"{}","deviceName":"Load {}","deviceType":"player","deviceGroup":"g{}","appVersion":"1.0"}}"#,
                device(who.number),
                who.number,
                who.number % 10
            );
            stage.emit(who, Some(number), "player:register", &args);
        }
    }

    fn act(&mut self, stage: &mut Stage<'_, '_>, who: Who, action: usize, intended: Nanos) {
        let players = stage.cast.count(PLAYER);
        if players == 0 {
            return;
        }
        self.turn = (self.turn + 1) % players;
        let id = device(self.turn);
        match SCRIPT.actions[action].name {
            "update" => {
                let args = format!(r#"{{"timestamp":"{}","vlc":{{"time":{intended}}}}}"#, timestamp(intended));
                stage.emit(who, None, "player:state", &args);
                stage.cx.figures.add("updates", 1);
            }
            "command" => self.command(stage, who, ("command answered", "vlc:play"), &id, intended),
            "snapshot" => self.command(stage, who, ("snapshot answered", "vlc:snapshot"), &id, intended),
            "state" => self.query(
                stage,
                who,
                ("state answered", "device:state"),
                &format!(r#"{{"deviceId":"{id}"}}"#),
                intended,
            ),
            _ => self.query(stage, who, ("list answered", "devices:list"), "{}", intended),
        }
    }

    fn on_event(&mut self, stage: &mut Stage<'_, '_>, who: Who, name: &str, array: &[u8]) {
        match (name, who.role) {
            ("state:updated", ADMIN) => self.on_update(stage, who, array),
            ("command:response", ADMIN) => {
                if let Some(number) = text_after(array, "\"commandId\":\"").and_then(|id| self.own_number(id)) {
                    let ours = stage.answered(who, number);
                    if ours && !contains(array, "\"status\":\"success\"") {
                        stage.refused(text_after(array, CODE));
                    }
                }
            }
            ("device:state" | "devices:list", ADMIN) => {
                let name = if name == "device:state" { "device:state" } else { "devices:list" };
                if let Some(number) = self.waiting.get_mut(&(who.client, name)).and_then(VecDeque::pop_front) {
                    stage.answered(who, number);
                }
            }
            ("player:command", PLAYER) => obey(stage, who, array),
            ("player:request:state", PLAYER) => {
                stage.cx.figures.add("states asked for", 1);
                let state = quiet_state(stage.now());
                stage.emit(who, None, "player:state", &state);
            }
            ("player:error", _) => stage.refused(text_after(array, CODE)),
            _ => {}
        }
    }

    /// A registration is answered: the player says all it knows, once.
    fn on_ack(&mut self, stage: &mut Stage<'_, '_>, who: Who, number: u64, args: &[u8]) {
        stage.answered(who, number);
        if !args.starts_with(br#"[{"ok":true"#) {
            return stage.refused(text_after(args, CODE));
        }
        stage.emit(who, None, "player:state", FULL_STATE);
    }
}

impl Signage {
    fn command(
        &self,
        stage: &mut Stage<'_, '_>,
        who: Who,
        (part, command): (&'static str, &str),
        device: &str,
        intended: Nanos,
    ) {
        let number = stage.ask(who, part, intended);
        let run = self.run;
        let args = format!(r#"{{"deviceId":"{device}","command":"{command}","commandId":"{COMMAND}{run}-{number}"}}"#);
        stage.emit(who, None, "player:command", &args);
    }

    /// The number in the id of one of our commands.
    fn own_number(&self, id: &str) -> Option<u64> {
        let (run, number) = id.strip_prefix(COMMAND)?.split_once('-')?;
        (run.parse() == Ok(self.run)).then(|| number.parse().ok())?
    }

    fn query(
        &mut self,
        stage: &mut Stage<'_, '_>,
        who: Who,
        (part, event): (&'static str, &'static str),
        args: &str,
        intended: Nanos,
    ) {
        let number = stage.ask(who, part, intended);
        self.waiting.entry((who.client, event)).or_default().push_back(number);
        stage.emit(who, None, event, args);
    }

    /// Revisions of a player must follow each other; a whole state may come at any of them.
    fn on_update(&mut self, stage: &mut Stage<'_, '_>, who: Who, array: &[u8]) {
        let player = text_after(array, "\"deviceId\":\"load-").and_then(|id| id.parse().ok());
        let (Some(player), Some(rev)) = (player, number_after(array, "\"rev\":")) else { return };
        let before = self.revs.insert((who.client, player), rev);
        if contains(array, "\"full\":true") {
            return;
        }
        if before.is_some_and(|before| before + 1 != rev) {
            stage.cx.figures.add("revisions missed", 1);
        }
        let sent = number_after(array, "\"time\":").filter(|sent| (1..=stage.now()).contains(sent));
        if let Some(sent) = sent {
            stage.saw("update seen", sent);
        }
    }
}

fn obey(stage: &mut Stage<'_, '_>, who: Who, array: &[u8]) {
    let Some(id) = text_after(array, "\"commandId\":\"") else { return };
    let result = if contains(array, "\"vlc:snapshot\"") {
        let filling = "A".repeat(PICTURE_CHARS - PICTURE_BEGINS.len());
        format!(r#"{{"snapshot":"data:image/png;base64,{PICTURE_BEGINS}{filling}"}}"#)
    } else {
        r#"{"ok":1}"#.to_owned()
    };
    let args = format!(r#"{{"commandId":"{id}","status":"success","result":{result}}}"#);
    stage.emit(who, None, "player:command:response", &args);
}

/// All eight sections as they are at the start, but for what no admin is told of by itself.
fn quiet_state(now: Nanos) -> String {
    let seconds = now / 1_000_000_000;
    FULL_STATE
        .replacen("2026-01-01T00:00:00.000Z", &timestamp(now), 1)
        .replacen("\"uptime\":0", &format!("\"uptime\":{seconds}"), 1)
        .replacen("\"freeMem\":1024", &format!("\"freeMem\":{}", 1_000 + seconds % 100), 1)
        .replacen("[0.0,0.0,0.0]", &format!("[{}.5,0.4,0.3]", seconds % 3), 1)
}

/// Some time of day; only that it changes matters.
fn timestamp(intended: Nanos) -> String {
    let ms = intended / 1_000_000;
    format!("2026-01-01T{:02}:{:02}:{:02}.{:03}Z", ms / 3_600_000 % 24, ms / 60_000 % 60, ms / 1_000 % 60, ms % 1_000)
}

fn describe(outcome: &Outcome, lines: &mut Lines) {
    super::describe(outcome, lines, &SCRIPT);
    lines.add("updates", "updates sent, warm-up included", outcome.figures.count("updates") as f64, "");
    let asked = outcome.figures.count("states asked for") as f64;
    lines.add("states asked for", "states asked for and sent, warm-up included", asked, "");
    lines.must_be_zero("revisions missed", outcome.figures.count("revisions missed"));
}

/// All eight sections, about as large as a player's.
const FULL_STATE: &str = r#"{"timestamp":"2026-01-01T00:00:00.000Z","system":{"cpu":12.5,"totalMem":4096,"freeMem":1024,"loadavg":[0.0,0.0,0.0],"uptime":0,"platform":"linux","arch":"arm64","network":{"localIP":"10.0.0.4","macAddress":"02:00:00:00:00:01"}},"storage":{"total":32000,"free":16000},"vlc":{"state":"playing","isRunning":true,"currentItem":"spot-1.mp4","time":0,"length":30,"volume":256},"app":{"name":"player","version":"1.0"},"activePlaylist":{"name":"morning","items":12},"defaultPlaylist":{"name":"default","items":3},"snapshot":{}}"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_numbers_and_quiet_states() {
        let signage = Signage { run: 7, turn: 0, waiting: HashMap::new(), revs: HashMap::new() };
        let numbers = ["load-7-65", "load-8-65", "cmd_1"].map(|id| signage.own_number(id));
        assert_eq!(numbers, [Some(65), None, None]);
        assert_eq!(PICTURE_CHARS % 4, 0, "base64 has four characters for three bytes");
        let first = serde_json::from_str::<serde_json::Value>(FULL_STATE).expect("it is JSON");
        let mut quiet = serde_json::from_str::<serde_json::Value>(&quiet_state(7_000_000_000)).expect("it is JSON");
        assert_eq!((&quiet["system"]["uptime"], &quiet["system"]["freeMem"]), (&7.into(), &1_007.into()));
        assert_ne!(
            (&quiet["timestamp"], &quiet["system"]["loadavg"]),
            (&first["timestamp"], &first["system"]["loadavg"])
        );
        quiet["timestamp"] = first["timestamp"].clone();
        quiet["system"] = first["system"].clone();
        assert_eq!(quiet, first, "and nothing else");
    }
}
