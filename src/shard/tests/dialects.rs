//! Sockets that spell the events of an application otherwise: what they say and what they are told, over shards and transports.

use std::sync::mpsc::channel;

use super::apps;
use crate::app::identity::{AuthMode, AuthSettings, jwt};
use crate::app::kit::dialect::{Aside, Dialect, Said, Word};
use crate::app::{AuthFailure, Refusal};
use crate::apps::lab::{self, Lab};
use crate::base::ids::{AppId, ListenerId};
use crate::base::limit::Limits;
use crate::base::secret::Secret;
use crate::shard::testing::fleet::Fleet;
use crate::shard::testing::{Peer, Poller, Setup, World};
use crate::socketio::envelope::made;

const PLAIN: u16 = 0;
const LOUD: u16 = 1;
const QUIET: u16 = 2;
const PAIRS: u16 = 3;

/// A dialect of the fleet in which one event is told as two.
const FLEET: &[Dialect] = &[Dialect {
    name: "pairs",
    strict: false,
    refused: Some(with_reason),
    acked: Some(with_beside),
    words: &[
        Word { told: Some(second), ..Word::told("said", "one") },
        Word { told: Some(second), ..Word::told("question", "asked") },
        Word::told("hello", ""),
    ],
}];

fn with_reason(refusal: &mut Refusal, why: Option<AuthFailure>) {
    refusal.message = format!("{} {why:?}", refusal.message);
}

fn with_beside(said: &mut Said, aside: &mut Aside<'_>) {
    if let Some(more) = aside.beside {
        said.set(1, &serde_json::from_str::<serde_json::Value>(more).unwrap());
    }
}

fn second(said: &mut Vec<Said>, aside: &mut Aside<'_>) {
    assert!(aside.now.mono.0 > 0, "it knows the time");
    said.push(match aside.beside {
        Some(more) => Said::new("two", &serde_json::from_str::<serde_json::Value>(more).unwrap()),
        None => Said { name: "two".into(), ..said[0].clone() },
    });
}

fn setup(shards: u16) -> Setup {
    Setup {
        shards,
        dialects: vec![lab::DIALECTS, FLEET],
        spoken: vec![None, Some((AppId(0), "loud")), Some((AppId(0), "quiet")), Some((AppId(1), "pairs"))],
        ..Setup::default()
    }
}

fn world(shards: u16) -> World {
    World::with(setup(shards), apps)
}

/// A client of lab that has come by a listener.
fn client(world: &World, listener: u16) -> Peer {
    let peer = world.websocket_with("/lab-root", |hello| hello.listener = ListenerId(listener));
    peer.joins("/", "");
    peer.takes_all();
    peer
}

/// The same on polling.
fn poller(world: &World, listener: u16) -> Poller {
    let poller = world.polling_with("/lab-root", |hello| hello.listener = ListenerId(listener));
    poller.joins("/", "");
    poller
}

/// A client of the fleet's tenant `t`.
fn fleet(world: &World, listener: u16) -> Peer {
    let peer = world.websocket_with("/fleet-root", |hello| hello.listener = ListenerId(listener));
    peer.joins("/", "{\"token\":\"t\"}");
    peer
}

#[test]
fn what_is_said_in_one_dialect_is_told_in_the_others() {
    for shards in [1, 2, 4] {
        let world = world(shards);
        let all = [PLAIN, LOUD, LOUD, QUIET].map(|listener| client(&world, listener));
        let [plain, loud, loud2, quiet] = &all;
        loud.sends(r#"42["SHOUT",{"TEXT":1.50,"WHO":"é","x":{"TEXT":2}},"TEXT"]"#);
        let ours = r#"{"text":1.50,"x":{"TEXT":2},"from":{"name":"é"}},"TEXT""#;
        assert_eq!(plain.takes_texts(), [format!(r#"42["bcast",{ours}]"#)]);
        assert_eq!(quiet.takes_texts(), [format!(r#"42["whisper",{ours}]"#)]);
        let theirs = r#"42["SHOUT",{"TEXT":1.50,"x":{"TEXT":2},"WHO":"é"},"TEXT"]"#;
        assert_eq!([loud.takes_texts(), loud2.takes_texts()], [[theirs], [theirs]]);
        quiet.sends(r#"42["whisper",{"text":"a"}]"#);
        assert_eq!(
            [plain.takes_texts(), loud.takes_texts()].concat(),
            [r#"42["bcast",{"text":"a"}]"#, r#"42["SHOUT",{"TEXT":"a"}]"#]
        );
        all.iter().for_each(|peer| peer.hangs_up(false));
        world.assert_empty();
    }
}

#[test]
fn a_broadcast_to_a_room_is_encoded_once_for_each_dialect_among_its_receivers() {
    let world = world(2);
    let enter = |shard: u16, listener: u16| {
        let peer = client(world.next_on(shard), listener);
        peer.sends(r#"42["join","r"]"#);
        peer
    };
    let first: Vec<Peer> = [LOUD, PLAIN, LOUD].map(|listener| enter(0, listener)).into();
    made::take();
    first[1].sends(r#"42["room","r",{"text":1}]"#);
    let (told, plain) = (r#"42["ROOM",{"TEXT":1}]"#, r#"42["room",{"text":1}]"#);
    assert_eq!(first.iter().flat_map(Peer::takes_texts).collect::<Vec<_>>(), [told, plain, told]);
    assert_eq!(made::take(), 2, "one for the two that are loud, one for the other");

    // On the other shard there are a loud one on polling and two that are quiet, whose dialect has no word for it.
    let second = [QUIET, QUIET].map(|listener| enter(1, listener));
    let third = poller(world.next_on(1), LOUD);
    third.posts(r#"42["join","r"]"#);
    made::take();
    first[0].sends(r#"42["ROOM","r",{"TEXT":1}]"#);
    assert_eq!(first.iter().flat_map(Peer::takes_texts).collect::<Vec<_>>(), [told, plain, told]);
    assert_eq!(second.iter().flat_map(Peer::takes_texts).collect::<Vec<_>>(), [plain, plain]);
    third.gets(told);
    assert_eq!(made::take(), 4, "two on each shard");

    // Nothing is encoded for a spelling that no receiver has.
    first[1].hangs_up(false);
    made::take();
    first[0].sends(r#"42["ROOM","r",{"TEXT":2}]"#);
    assert_eq!(made::take(), 3);
    first[0].hangs_up(false);
    first[2].hangs_up(false);
    made::take();
    second[0].sends(r#"42["room","r",{"text":3}]"#);
    assert_eq!(made::take(), 2);
}

#[test]
fn acks_are_spelled_as_their_row_says() {
    for shards in [1, 2] {
        let world = world(shards);
        let (loud, poller) = (client(&world, LOUD), poller(&world, LOUD));
        for id in ["0", "7", "999999999999999"] {
            loud.sends(&format!(r#"42{id}["ECHO",{{"text":1,"x":2}},3]"#));
            loud.gets(&format!(r#"43{id}[{{"TEXT":1,"x":2}},3]"#));
            poller.posts(&format!(r#"42{id}["ECHO",{{"text":1}}]"#));
            poller.gets(&format!(r#"43{id}[{{"TEXT":1}}]"#));
            // No row, no change.
            loud.sends(&format!(r#"42{id}["message-with-ack",{{"text":1}}]"#));
            loud.gets(&format!(r#"43{id}[{{"text":1}}]"#));
        }
        loud.sends("451-5[\"ECHO\",{\"text\":{\"_placeholder\":true,\"num\":0}}]");
        loud.sends_binary(b"b");
        loud.gets("461-5[{\"TEXT\":{\"_placeholder\":true,\"num\":0}}]");
        loud.gets_binary(b"b");
    }
}

#[test]
fn what_a_dialect_does_not_say_is_not_heard() {
    let world = world(1);
    let (loud, quiet) = (client(&world, LOUD), client(&world, QUIET));
    // Our name for what is spelled otherwise is nobody's where the dialect is strict, and ours where it is not.
    loud.sends(r#"421["bcast",1]"#);
    loud.gets(r#"431[{"ok":false,"error":{"code":"UNKNOWN_EVENT",*"#);
    loud.sends(r#"42["HUSH",1]"#);
    loud.gets_nothing();
    loud.sends(r#"422["HUSH",1]"#);
    loud.gets(r#"432[{"ok":true}]"#);
    loud.sends(r#"42["ASK",{"TEXT":1}]"#);
    loud.gets(r#"42["ANSWER",{"TEXT":1}]"#);
    loud.sends(r#"423["ASK",{"TEXT":1}]"#);
    loud.gets(r#"42["ANSWER",{"TEXT":1}]"#);
    loud.gets(r#"433[{"ok":true,"TEXT":1}]"#);
    quiet.sends(r#"42["bcast",1]"#);
    quiet.gets(r#"42["whisper",1]"#);
}

#[test]
fn a_dialect_may_leave_out_what_is_told() {
    let world = world(1);
    for (listener, greeting) in [(PLAIN, 1), (LOUD, 0), (QUIET, 1)] {
        let peer = world.websocket_with("/lab-root", |hello| hello.listener = ListenerId(listener));
        peer.joins("/", "");
        assert_eq!(peer.takes_texts().len(), greeting);
    }
}

#[test]
fn a_handshake_chooses_where_the_application_says_so() {
    let world = world(2);
    for (listener, auth, query, name) in [
        (PLAIN, r#"{"dialect":"loud"}"#, "", "SHOUT"),
        (PLAIN, "", "dialect=quiet", "whisper"),
        (LOUD, r#"{"dialect":"none"}"#, "", "bcast"),
        (LOUD, r#"{"dialect":"quiet"}"#, "dialect=loud", "whisper"),
        (LOUD, r#"{"dialect":"another"}"#, "", "SHOUT"),
        (PLAIN, r#"{"dialect":7}"#, "", "bcast"),
    ] {
        let peer = world.websocket_with("/lab-root", |hello| {
            hello.listener = ListenerId(listener);
            hello.handshake =
                std::sync::Arc::new(crate::app::event::Handshake::new([127, 0, 0, 1].into(), query, "", ""));
        });
        peer.joins("/", auth);
        peer.takes_all();
        peer.sends(&format!("42[\"{name}\",1]"));
        assert_eq!(peer.takes_texts(), [format!("42[\"{name}\",1]")], "{listener} {auth} {query}");
        peer.hangs_up(false);
    }
    world.assert_empty();
}

#[test]
fn a_dialect_of_one_application_is_nothing_to_another_and_holds_in_all_its_namespaces() {
    let world = World::with(setup(2), || {
        vec![("/lab,/side", Box::new(Lab::default())), ("/fleet", Box::new(Fleet::new(None)))]
    });
    let peer = client(&world, LOUD);
    for nsp in ["/lab", "/side"] {
        peer.joins(nsp, "");
        peer.sends(&format!("42{nsp},[\"SHOUT\",1]"));
        assert!(peer.takes_texts().contains(&format!("42{nsp},[\"SHOUT\",1]")));
    }
    peer.joins("/fleet", "{\"token\":\"t\"}");
    peer.sends("42/fleet,[\"to\",{},{\"text\":1}]");
    assert_eq!(peer.takes_texts(), ["42/fleet,[\"said\",{\"text\":1}]"]);
    peer.hangs_up(false);
    world.assert_empty();
}

#[test]
fn a_home_hears_what_a_socket_speaks_and_so_does_the_next_one() {
    for shards in [1, 2, 4] {
        let (log, seen) = channel();
        let world = World::with(setup(shards), || {
            vec![("/lab", Box::new(Lab::default())), ("/fleet", Box::new(Fleet::new(Some(log.clone()))))]
        });
        let peer = fleet(&world, PAIRS);
        for tenant in ["a", "b", "c", "t"] {
            peer.sends(&format!("42[\"become\",\"{tenant}\"]"));
        }
        peer.sends("42[\"to\",{},1]");
        assert_eq!(peer.takes_texts().split_off(4), ["42[\"one\",1]", "42[\"two\",1]"]);
        let seen: Vec<String> =
            seen.try_iter().filter(|line| matches!(line.0, "connect" | "arrived")).map(|line| line.2).collect();
        assert_eq!(seen, ["t pairs", "a pairs", "b pairs", "c pairs", "t pairs"]);
        peer.hangs_up(false);
        world.assert_empty();
    }
}

#[test]
fn what_is_told_as_two_stays_together() {
    for shards in [1, 2] {
        let world = world(shards);
        let (pairs, plain) = (fleet(&world, PAIRS), fleet(&world, PLAIN));
        for number in 0..3 {
            plain.sends(&format!("42[\"to\",{{}},{number}]"));
        }
        let expected: Vec<String> =
            (0..3).flat_map(|n| [format!("42[\"one\",{n}]"), format!("42[\"two\",{n}]")]).collect();
        assert_eq!(pairs.takes_texts(), expected);
        assert_eq!(plain.takes_texts().len(), 3);
        // Of two volatile events in a turn the first is sent, whole.
        pairs.sends("42[\"twice\",7]");
        assert_eq!(pairs.takes_texts(), ["42[\"one\",7]", "42[\"two\",7]"]);
        // Each has its attachments.
        plain.sends("451-[\"to\",{},{\"_placeholder\":true,\"num\":0}]");
        plain.sends_binary(b"x");
        for name in ["one", "two"] {
            pairs.gets(&format!("451-[\"{name}\",{{\"_placeholder\":true,\"num\":0}}]"));
            pairs.gets_binary(b"x");
        }
        assert_eq!(world.sum(|shard| u64::from(shard.members.speakers.iter().sum::<u32>())), 1);
        [pairs, plain].iter().for_each(|peer| peer.hangs_up(false));
        world.assert_empty();
    }
}

#[test]
fn a_refusal_is_spelled_by_its_dialect_whoever_refuses() {
    for shards in [1, 2] {
        let auth =
            AuthSettings { mode: AuthMode::Jwt, jwt_secret: Secret::new("k".repeat(32)), ..AuthSettings::default() };
        let world = World::with(Setup { auth: auth.clone(), ..setup(shards) }, apps);
        let ends = Setup::default().wall.as_secs() + 600;
        let token = jwt::mint(&serde_json::json!({"sub": "t", "exp": ends}), &auth.jwt_secret);
        let full = format!(r#"{{"token":"{token}","refuse":{{"message":"full"}}}}"#);
        for (auth, ours, theirs) in [
            ("{}", "Missing", "Missing Some(Missing)"),
            (r#"{"token":"x"}"#, "Invalid", "Invalid Some(Invalid)"),
            (&full, "full", "full None"),
        ] {
            for (listener, message) in [(PLAIN, ours), (PAIRS, theirs)] {
                let peer = world.websocket_with("/fleet-root", |hello| hello.listener = ListenerId(listener));
                peer.sends(&format!("40{auth}"));
                let refused = peer.gets("44*");
                assert!(refused.starts_with(&format!("44{{\"message\":\"{message}\"")), "{refused}");
                peer.hangs_up(false);
            }
        }
        world.assert_empty();
    }
}

#[test]
fn what_is_said_beside_an_ack_only_dialects_tell() {
    for shards in [1, 2, 4] {
        let world = world(shards);
        let (pairs, plain) = (fleet(&world, PAIRS), fleet(&world, PLAIN));
        for (peer, expected) in [(&pairs, r#"435[1,{"ids":[7]}]"#), (&plain, "435[1]")] {
            peer.sends(r#"425["ack-beside",{"ids":[7]}]"#);
            peer.gets(expected);
        }
    }
}

#[test]
fn what_is_said_beside_an_event_only_dialects_tell() {
    for shards in [1, 2, 4] {
        let world = world(shards);
        let (pairs, plain) = (fleet(&world, PAIRS), fleet(&world, PLAIN));
        plain.sends(r#"42["to",{"beside":{"ids":[7]}},1]"#);
        assert_eq!(pairs.takes_texts(), [r#"42["one",1]"#, r#"42["two",{"ids":[7]}]"#]);
        assert_eq!(plain.takes_texts(), [r#"42["said",1]"#]);
    }
}

#[test]
fn for_a_slow_reader_pairs_are_dropped_and_replaced_whole() {
    let limits = Limits { outbox_bytes_max: 4_000, outbox_low_mark_bytes: 1_000, ..Limits::default() };
    let world = World::with(Setup { limits, ..setup(1) }, apps);
    let (pairs, sender) = (fleet(&world, PAIRS), fleet(&world, PLAIN));
    let says = |option: &str, text: &str| {
        sender.sends(&format!("42[\"to\",{option},\"{text}\"]"));
        sender.takes_all();
    };
    pairs.reads_only(10);
    says("{}", &"x".repeat(600));
    for text in ["a", "b", "c"] {
        says("{\"class\":\"latest\",\"key\":1}", text);
        says("{\"class\":\"volatile\"}", text);
        says("{\"class\":\"patch\",\"key\":2}", text);
    }
    pairs.reads_on();
    let texts = pairs.takes_texts();
    assert_eq!(texts[2..], ["42[\"one\",\"c\"]", "42[\"two\",\"c\"]", "42[\"full\",2]"]);
}

#[test]
fn a_question_told_as_two_is_answered_once_and_one_that_is_not_told_is_missing_at_once() {
    const SILENT: &[Dialect] =
        &[Dialect { name: "pairs", strict: false, refused: None, acked: None, words: &[Word::told("question", "")] }];
    for shards in [1, 2, 4] {
        let world = world(shards);
        let pairs = fleet(&world, PAIRS);
        pairs.sends("42[\"ask\",{\"me\":1,\"timeout\":60000},\"how\"]");
        let asked = pairs.gets("42*[\"asked\",\"how\"]");
        pairs.gets("42[\"two\",\"how\"]");
        let id = asked[2..].split('[').next().unwrap();
        pairs.sends(&format!("43{id}[1]"));
        pairs.gets("42[\"result\",{\"answers\":[\"1\"],\"missing\":0}]");
        pairs.hangs_up(false);
        world.assert_empty();

        let world = World::with(Setup { dialects: vec![lab::DIALECTS, SILENT], ..setup(shards) }, apps);
        let (silent, plain) = (fleet(&world, PAIRS), fleet(&world, PLAIN));
        plain.sends("42[\"ask\",{\"timeout\":60000}]");
        let asked = plain.gets("42*[\"question\"]");
        silent.gets_nothing();
        plain.sends(&format!("43{}[2]", asked[2..].split('[').next().unwrap()));
        plain.gets("42[\"result\",{\"answers\":[\"2\"],\"missing\":1}]");
        silent.sends("42[\"ask\",{\"me\":1,\"timeout\":60000}]");
        silent.gets("42[\"result\",{\"answers\":[],\"missing\":1}]");
        [silent, plain].iter().for_each(|peer| peer.hangs_up(false));
        world.assert_empty();
    }
}

#[test]
fn a_dialect_outlives_an_upgrade() {
    let world = world(2);
    let poller = poller(&world, LOUD);
    poller.posts(r#"42["SHOUT",{"TEXT":1}]"#);
    poller.gets(r#"42["SHOUT",{"TEXT":1}]"#);
    poller.posts(r#"42["message",1]"#);
    poller.gets("42[\"BACK\",1]\x1e42[\"BACK2\",1]");
    let peer = poller.upgrades().unwrap();
    peer.sends("2probe");
    peer.gets("3probe");
    peer.sends("5");
    peer.sends(r#"42["SHOUT",{"TEXT":2}]"#);
    assert_eq!(peer.takes_texts(), [r#"42["SHOUT",{"TEXT":2}]"#]);
    peer.sends(r#"42["message",2]"#);
    assert_eq!(peer.takes_texts(), [r#"42["BACK",2]"#, r#"42["BACK2",2]"#]);
    peer.hangs_up(false);
    world.assert_empty();
}
