//! Whatever clients do: pieces of a stream do not matter, nothing panics, nothing is left, every accepted socket is told
//! to have gone exactly once. A failure prints the seed that replays it.

use std::collections::BTreeMap;
use std::panic::catch_unwind;
use std::sync::mpsc::{Receiver, channel};

use bytes::Bytes;
use proptest::prelude::*;

use super::super::testing::fleet::Fleet;
use super::apps;
use crate::apps::lab::Lab;
use crate::base::ids::SocketRef;
use crate::base::limit::Limits;
use crate::base::rng::Rng;
use crate::shard::io::Posted;
use crate::shard::stats::Outcomes;
use crate::shard::testing::socket::Frame;
use crate::shard::testing::{Apps, Peer, Poller, Request, Setup, World};
use crate::wire::frame::{Opcode, write_masked};

/// What clients of `/fleet` say while they behave.
const PACKETS: [&str; 26] = [
    "40/nope,",
    "42[\"join\",\"r\"]",
    "42[\"join\",\"s\"]",
    "42[\"join\",\"t\"]",
    "42[\"leave\",\"r\"]",
    "42[\"leave\",\"s\"]",
    "42[\"to\",{},1]",
    "42[\"to\",{\"rooms\":[\"r\",\"s\"],\"alone\":1},2]",
    "42[\"to\",{\"rooms\":[\"r\"],\"except\":[\"s\"],\"class\":\"volatile\"},3]",
    "42[\"to\",{\"class\":\"latest\",\"key\":1},\"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\"]",
    "42[\"to\",{\"class\":\"patch\",\"key\":2},\"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\"]",
    "42[\"to\",{\"commit\":1},4]",
    "42[\"ask\",{\"timeout\":30}]",
    "42[\"ask\",{\"me\":1,\"timeout\":200}]",
    "427[\"echo\",1]",
    "42[\"twice\",1]",
    "42[\"timer\",20]",
    "42[\"cancel\"]",
    "42[\"save\"]",
    "42[\"work\"]",
    "430[]",
    "434[\"x\"]",
    "42[7]",
    "42",
    "3",
    "6",
];

/// What ends most connections, sooner or later.
const TROUBLE: [&str; 20] = [
    "40",
    "40{\"token\":\"b\",\"hello\":1}",
    "40{\"token\":\"c\",\"wait\":40}",
    "40/fleet,{\"token\":\"a\",\"early\":1}",
    "42/fleet,[\"ask\",{\"timeout\":50}]",
    "40/fleet,{\"refuse\":{\"message\":\"no\",\"data\":[1]}}",
    "40/lab,{\"a\":1}",
    "42/lab,8[\"echo\"]",
    "42/lab,[\"bcast\",1]",
    "41",
    "41/lab,",
    "42[\"kick\",false]",
    "42[\"kick\",true]",
    "451-[\"to\",{},{\"_placeholder\":true,\"num\":0}]",
    "bAQID",
    "2",
    "1",
    "42[",
    "42[\"connect\"]",
    "",
];

fn pick(rng: &mut Rng) -> &'static str {
    let list = if rng.below(25) == 0 { &TROUBLE[..] } else { &PACKETS[..] };
    list[rng.below(list.len() as u32) as usize]
}

/// The CONNECT most clients begin with.
fn hello(rng: &mut Rng) -> &'static str {
    const HELLOS: [&str; 6] = [
        "40{\"token\":\"a\"}",
        "40{\"token\":\"b\",\"hello\":1}",
        "40{\"token\":\"c\",\"early\":1}",
        "40{\"token\":\"c\",\"wait\":40}",
        "40{\"token\":\"a\",\"wait\":-1}",
        "40{\"refuse\":{}}",
    ];
    let count = if rng.below(4) == 0 { 6 } else { 3 };
    HELLOS[rng.below(count) as usize]
}

struct Storm {
    world: World,
    rng: Rng,
    peers: Vec<Peer>,
    pollers: Vec<Poller>,
    /// POSTs whose body has yet to come, by poller.
    posts: Vec<(usize, Request)>,
}

impl Storm {
    fn step(&mut self) {
        match self.rng.below(100) {
            0..3 => {
                let path = ["/fleet-root", "/fleet-root", "/fleet-root", "/engine.io/"][self.rng.below(4) as usize];
                let peer = self.world.websocket(path);
                peer.sends(hello(&mut self.rng));
                self.peers.push(peer);
            }
            3..5 => {
                let poller = self.world.polling("/fleet-root");
                poller.post(hello(&mut self.rng));
                self.pollers.push(poller);
            }
            5..60 => {
                let text = pick(&mut self.rng);
                self.with_peer(|peer| peer.sends(text));
            }
            60..71 => self.with_peer(answers),
            71 => {
                let whole = self.rng.below(4) > 0;
                self.with_peer(|peer| {
                    peer.sends("451-[\"to\",{\"rooms\":[\"r\"]},{\"_placeholder\":true,\"num\":0}]");
                    if whole {
                        peer.sends_binary(b"xyz");
                    }
                });
            }
            72 => {
                let shard = self.rng.below(u32::from(self.world.shards())) as u16;
                self.world.next_on(shard);
            }
            73..76 => self.with_peer(|peer| peer.reads_only(40)),
            76..78 => self.with_peer(Peer::reads_on),
            78..81 => self.with_peer(|peer| peer.hangs_up(true)),
            81..82 => self.with_peer(|peer| peer.sends_close(None)),
            82..83 => self.world.holds_mail(),
            83..86 => self.world.delivers_mail(),
            86..88 => {
                let span = u64::from(self.rng.below(60));
                self.world.advance(span);
            }
            _ => self.poll(),
        }
    }

    fn with_peer(&mut self, act: impl FnOnce(&Peer)) {
        if !self.peers.is_empty() {
            act(&self.peers[self.rng.below(self.peers.len() as u32) as usize]);
        }
    }

    fn poll(&mut self) {
        if self.pollers.is_empty() {
            return;
        }
        let index = self.rng.below(self.pollers.len() as u32) as usize;
        let poller = &self.pollers[index];
        match self.rng.below(20) {
            0..9 => drop(poller.post(pick(&mut self.rng))),
            9..11 => drop(poller.post(&format!("{}\x1e{}", pick(&mut self.rng), pick(&mut self.rng)))),
            11..17 => drop(poller.get()),
            17 => self.posts.push((index, poller.post_opened(true))),
            18 => {
                let get = poller.get();
                poller.aborts(&get);
            }
            _ => {
                if let Ok(peer) = poller.upgrades() {
                    peer.sends("2probe");
                    if self.rng.below(2) == 0 {
                        peer.sends("5");
                    }
                    self.peers.push(peer);
                }
            }
        }
    }

    /// Everybody leaves, the polling ones by silence.
    fn ends(self) -> World {
        self.world.delivers_mail();
        self.peers.iter().for_each(|peer| peer.hangs_up(false));
        for (index, post) in &self.posts {
            self.pollers[*index].post_body(post, Posted::Body(Bytes::from_static(b"3")));
        }
        self.world.advance(100_000);
        self.world
    }
}

/// Reads all and answers what is asked.
fn answers(peer: &Peer) {
    for frame in peer.takes_all() {
        if let Frame::Text(text) = frame
            && let Some((head, _)) = text.split_once("[\"question\"")
        {
            peer.sends(&format!("43{}[1]", head.trim_start_matches("42")));
        }
    }
}

fn storm(shards: u16, seed: u8, steps: u32) -> [(&'static str, u64); 8] {
    let (log, seen) = channel();
    let make = move || -> Apps {
        vec![("/lab", Box::new(Lab::default())), ("/fleet", Box::new(Fleet::new(Some(log.clone()))))]
    };
    let limits = Limits {
        outbox_bytes_max: 24,
        outbox_low_mark_bytes: 20,
        outbox_total_bytes_max: 2_500,
        sockets_per_user_max: 6,
        ..Limits::default()
    };
    let world = World::with(Setup { shards, seed, limits, ..Setup::default() }, &make);
    drop(make);
    let mut storm =
        Storm { world, rng: Rng::from_seed([seed; 32]), peers: Vec::new(), pollers: Vec::new(), posts: Vec::new() };
    (0..steps).for_each(|_| storm.step());
    let world = storm.ends();
    world.assert_empty();
    each_accepted_socket_went_once(&seen);
    happened(&world)
}

/// What happened in a storm: one in which all clients fall over at once proves nothing.
fn happened(world: &World) -> [(&'static str, u64); 8] {
    let fleet = |figure: fn(&Outcomes) -> u64| world.sum(|shard| figure(&shard.stats.outcomes[1]));
    [
        ("accepted", fleet(|outcomes| outcomes.accepted)),
        ("refused", fleet(|outcomes| outcomes.refused)),
        ("events", fleet(|outcomes| outcomes.events)),
        ("delivered", fleet(|outcomes| outcomes.delivered)),
        ("upgraded", world.sum(|shard| shard.stats.upgraded)),
        ("coalesced", world.sum(|shard| shard.stats.coalesced)),
        ("dropped", world.sum(|shard| shard.stats.dropped_volatile)),
        ("slow", world.sum(|shard| shard.stats.slow_consumers)),
    ]
}

fn storms(shards: u16, seeds: std::ops::Range<u8>) {
    let mut sums = BTreeMap::new();
    for seed in seeds {
        let happened = catch_unwind(|| storm(shards, seed, 1_500));
        let happened = happened.unwrap_or_else(|_| panic!("the storm over {shards} shards with seed {seed}"));
        for (what, count) in happened {
            *sums.entry(what).or_insert(0) += count;
        }
    }
    assert!(sums.values().all(|count| *count > 5), "{sums:?}");
}

fn each_accepted_socket_went_once(seen: &Receiver<(&'static str, SocketRef, String)>) {
    let mut counts: BTreeMap<SocketRef, BTreeMap<&'static str, u32>> = BTreeMap::new();
    for (what, socket, _) in seen.try_iter() {
        *counts.entry(socket).or_default().entry(what).or_default() += 1;
    }
    for (socket, counts) in counts {
        let count = |what| counts.get(what).copied().unwrap_or(0);
        // A home that refuses by itself, as one socket of a user too many, shows the application no more than the departure.
        let is_unknown = count("connect") == 0 && counts.len() == 1 && count("disconnect") == 1;
        assert!(count("connect") == 1 || is_unknown, "{socket:?} {counts:?}");
        assert!(count("accept") + count("refuse") <= 1, "{socket:?} {counts:?}");
        // A refusal may cross with the departure; nothing else may.
        assert!(count("disconnect") + count("refuse") >= 1, "{socket:?} {counts:?}");
        assert!(count("disconnect") <= 1, "{socket:?} {counts:?}");
    }
}

#[test]
fn storms_over_one_shard_leave_nothing() {
    storms(1, 0..12);
}

#[test]
fn storms_over_two_shards_leave_nothing() {
    storms(2, 20..32);
}

#[test]
fn storms_over_four_shards_leave_nothing() {
    storms(4, 40..52);
}

#[test]
fn a_seed_replays() {
    let run = || {
        let world = World::with(Setup { shards: 2, ..Setup::default() }, apps);
        let peers = [world.websocket("/fleet-root"), world.websocket("/fleet-root"), world.websocket("/fleet-root")];
        peers.iter().for_each(|peer| drop(peer.joins("/", "{\"token\":\"a\"}")));
        let mut rng = Rng::from_seed([3; 32]);
        for _ in 0..300 {
            peers[rng.below(3) as usize].sends(pick(&mut rng));
        }
        peers.map(|peer| peer.takes_all())
    };
    assert_eq!(run(), run());
}

/// One connection's frames as bytes, well formed or not.
fn stream() -> impl Strategy<Value = Vec<u8>> {
    let frame = prop_oneof![
        12 => (0..PACKETS.len()).prop_map(|index| (Opcode::Text, true, PACKETS[index].as_bytes().to_vec())),
        2 => (0..TROUBLE.len()).prop_map(|index| (Opcode::Text, true, TROUBLE[index].as_bytes().to_vec())),
        4 => Just((Opcode::Text, true, b"42[\"message\",1]".to_vec())),
        2 => proptest::collection::vec(any::<u8>(), 0..20).prop_map(|data| (Opcode::Binary, true, data)),
        2 => proptest::collection::vec(any::<u8>(), 0..20).prop_map(|data| (Opcode::Ping, true, data)),
        1 => Just((Opcode::Text, false, b"42[\"mess".to_vec())),
        1 => Just((Opcode::Continuation, true, b"age\",2]".to_vec())),
        1 => Just((Opcode::Close, true, vec![3, 232])),
        1 => Just((Opcode::Text, true, vec![0xff])),
    ];
    let write = |frames: Vec<(Opcode, bool, Vec<u8>)>| {
        let mut bytes = Vec::new();
        write_masked(&mut bytes, Opcode::Text, true, b"40", [5, 6, 7, 8]);
        for (opcode, fin, payload) in frames {
            write_masked(&mut bytes, opcode, fin, &payload, [1, 2, 3, 4]);
        }
        bytes
    };
    proptest::collection::vec(frame, 0..12).prop_map(write)
}

fn outputs(path: &str, stream: &[u8], pieces: &[usize]) -> (Vec<Frame>, bool) {
    let world = World::new(1, apps);
    let peer = world.websocket(path);
    let (mut rest, mut pieces) = (stream, pieces.iter().cycle());
    while !rest.is_empty() {
        let size = (*pieces.next().expect("a cycle")).min(rest.len());
        peer.sends_bytes(&mut rest[..size].to_vec());
        rest = &rest[size..];
    }
    (peer.takes_all(), peer.is_closed())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn any_split_of_a_stream_gives_the_same_outputs(
        stream in stream(), pieces in proptest::collection::vec(1usize..40, 1..8), path in 0usize..3,
    ) {
        let path = ["/lab-root", "/engine.io/", "/echo"][path];
        prop_assert_eq!(outputs(path, &stream, &[stream.len()]), outputs(path, &stream, &pieces));
    }
}
