//! A seeded run of many devices and admins that come, go, report, read slowly and subscribe as they like, over a store that
//! fails at times. The states that each admin has folded together must be what the server says, and no revision may be missing.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::world::{Id, World, by_fleet_token, fleet_world, of_tenant};
use crate::app::kit::patch;
use crate::apps::signage::settings::Settings;
use crate::base::close::CloseReason;
use crate::base::rng::Rng;

/// What an admin's page knows: by device, the revision and the state.
type Page = BTreeMap<String, (u64, Value)>;

/// Puts in what was heard; a patch must follow the revision before.
fn fold(page: &mut Page, heard: Vec<(String, Value)>, seed: u8) {
    for (_, update) in heard.into_iter().filter(|(name, _)| name == "state:updated") {
        let device = update["deviceId"].as_str().unwrap().to_owned();
        let rev = update["rev"].as_u64().unwrap();
        if update["full"] == true {
            let known = page.get(&device).map_or(0, |(rev, _)| *rev);
            assert!(rev >= known, "seed {seed}: {device} went back from {known} to {rev}");
            page.insert(device, (rev, update["state"].clone()));
            continue;
        }
        let (known, state) = page.get_mut(&device).unwrap_or_else(|| panic!("seed {seed}: a patch before {device}"));
        assert_eq!(rev, *known + 1, "seed {seed}: {device}");
        *known = rev;
        patch::apply(state, &update["changes"]);
    }
}

fn random_state(rng: &mut Rng) -> Value {
    let states = ["playing", "paused", "stopped"];
    let vlc = json!({"time": rng.below(50), "state": states[rng.below(3) as usize]});
    match rng.below(4) {
        0 => json!({"vlc": {"time": rng.below(50)}}),
        1 => json!({"vlc": vlc, "app": {"version": rng.below(3)}}),
        2 => json!({"app": {"version": null}, "snapshot": {"data": "data:image/gif;base64,R0lGODdh"}}),
        _ => json!({"timestamp": rng.below(9).to_string(), "system": {"cpu": rng.below(9)}, "storage": {}, "vlc": vlc,
            "app": {}, "activePlaylist": {"n": rng.below(3)}, "defaultPlaylist": {}, "snapshot": {}}),
    }
}

fn run(seed: u8) {
    let mut rng = Rng::from_seed([seed; 32]);
    let mut world: World = fleet_world();
    let mut devices: BTreeMap<u32, Id> = BTreeMap::new();
    let mut admins: Vec<(Id, Page, bool)> = Vec::new();
    for _ in 0..400 {
        let number = rng.below(6);
        match rng.below(12) {
            0 => drop(devices.remove(&number).map(|socket| world.leaves(socket, CloseReason::PingTimeout))),
            1 | 2 => {
                let socket = by_fleet_token(&mut world, json!({"deviceId": format!("p{number}")}));
                let group = format!("g{}", rng.below(2));
                world.send(socket, "player:register", json!({"deviceId": format!("p{number}"), "deviceGroup": group}));
                devices.insert(number, socket);
            }
            3 if admins.len() < 5 => admins.push((world.admin(), Page::new(), false)),
            4 => world.store.down = rng.below(3) == 0,
            5 if !admins.is_empty() => {
                let at = rng.below(admins.len() as u32) as usize;
                let (id, _, slow) = &mut admins[at];
                *slow = !*slow;
                world.slow(*id, *slow);
            }
            6 if !admins.is_empty() => {
                let (id, ..) = admins[rng.below(admins.len() as u32) as usize];
                let mode = ["diff", "full"][rng.below(2) as usize];
                let about = [json!("*"), json!("g0"), json!("g1")][rng.below(3) as usize].clone();
                world.send(id, "device:subscribe", json!({"group": about, "mode": mode}));
            }
            7 | 8 => world.pass(u64::from(rng.below(900))),
            _ => {
                if let Some(socket) = devices.get(&number) {
                    world.send(*socket, "player:state", random_state(&mut rng));
                }
            }
        }
        for (id, page, _) in &mut admins {
            fold(page, world.heard(*id), seed);
        }
    }
    world.store.down = false;
    world.pass(5_000);
    for (id, page, _) in &mut admins {
        world.slow(*id, false);
        fold(page, world.heard(*id), seed);
        for (device, (rev, state)) in page.iter() {
            let truth = world.asks(*id, "device:state", json!({"deviceId": device}));
            assert_eq!((&truth["rev"], &truth["state"]), (&json!(rev), state), "seed {seed}: {device}");
            let stored = &world.disk().states[device];
            assert_eq!(stored.rev, *rev, "seed {seed}: {device} on disk");
        }
    }
}

#[test]
fn every_admin_ends_with_the_state_of_every_device() {
    assert!(Settings::default().state_interval_ms < 5_000, "the run waits long enough at its end");
    (0..40).for_each(run);
}

/// One of two tenants whose devices, groups and commands have the same names.
struct Tenant {
    name: &'static str,
    mark: &'static str,
    /// What only the other one says.
    foreign: &'static str,
    admins: Vec<Id>,
    devices: BTreeMap<u32, Id>,
}

impl Tenant {
    fn new(world: &mut World, name: &'static str, mark: &'static str, foreign: &'static str) -> Tenant {
        let admin = world.connect(of_tenant(name, "admin", None), json!({}), "");
        Tenant { name, mark, foreign, admins: vec![admin], devices: BTreeMap::new() }
    }

    fn step(&mut self, world: &mut World, rng: &mut Rng) {
        let (mark, number) = (self.mark, rng.below(4));
        let id = format!("p{number}");
        let admin = self.admins[rng.below(self.admins.len() as u32) as usize];
        match (rng.below(9), self.devices.get(&number).copied()) {
            (0, Some(device)) => {
                self.devices.remove(&number);
                world.leaves(device, CloseReason::TransportClose);
            }
            (0 | 1, None) => {
                let device = world.connect(of_tenant(self.name, "device", Some(&id)), json!({}), "");
                let info = json!({"deviceId": id, "deviceName": mark, "deviceGroup": format!("g{}", rng.below(2))});
                world.send(device, "player:register", info);
                self.devices.insert(number, device);
            }
            (2, _) if self.admins.len() < 4 => {
                self.admins.push(world.connect(of_tenant(self.name, "admin", None), json!({}), ""));
            }
            (3, _) => world.send(admin, "device:subscribe", json!({"group": "*", "mode": "full"})),
            (4, _) => {
                let command_id = format!("c{}", rng.below(5));
                let command = json!({"group": "g0", "command": "vlc:play", "commandId": command_id, "timeoutMs": 500});
                world.send(admin, "player:command", command);
            }
            (5, Some(device)) => {
                let command_id = format!("c{}", rng.below(5));
                let answer = json!({"commandId": command_id, "status": "success", "message": mark, "result": mark});
                world.send(device, "player:command:response", answer);
            }
            (6, _) => {
                let told = world.asks(admin, "device:state", json!({"deviceId": id})).to_string();
                assert!(!told.contains(self.foreign), "{} was told {told}", self.name);
            }
            (_, Some(device)) => {
                let mut state = random_state(rng);
                state["app"] = json!({"name": mark, "version": rng.below(3)});
                world.send(device, "player:state", state);
            }
            _ => world.pass(u64::from(rng.below(400))),
        }
    }

    /// What its clients have heard since the last look: how many events were its own's, and never a word of the other's.
    fn hears(&self, world: &mut World, seed: u8) -> usize {
        let mut count = 0;
        for id in self.admins.iter().chain(self.devices.values()) {
            for (name, payload) in world.heard(*id) {
                let text = payload.to_string();
                assert!(!text.contains(self.foreign), "seed {seed}: {} heard {name} {text}", self.name);
                count += usize::from(text.contains(self.mark));
            }
        }
        count
    }
}

#[test]
fn t35_two_tenants_with_the_same_names_never_hear_of_each_other() {
    for seed in 0..12 {
        let mut rng = Rng::from_seed([seed; 32]);
        let mut world = World::new();
        let (a, b) = ("mark-of-a", "mark-of-b");
        let mut tenants = [Tenant::new(&mut world, "a", a, b), Tenant::new(&mut world, "b", b, a)];
        let mut heard = [0, 0];
        for _ in 0..600 {
            let who = rng.below(2) as usize;
            tenants[who].step(&mut world, &mut rng);
            for (count, tenant) in heard.iter_mut().zip(&tenants) {
                *count += tenant.hears(&mut world, seed);
            }
        }
        assert!(heard.iter().all(|count| *count > 100), "seed {seed}: {heard:?}");
    }
}
