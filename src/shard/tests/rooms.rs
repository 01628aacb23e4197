//! Rooms, broadcasts and acks over one shard and several (PROTOCOL 10, DESIGN 4.5 and 4.8).

use std::sync::mpsc::channel;

use super::{apps, fleet, world};
use crate::apps::lab::Lab;
use crate::shard::testing::fleet::Fleet;
use crate::shard::testing::socket::Frame;
use crate::shard::testing::{Peer, Setup, World};

fn said(peer: &Peer) -> Vec<String> {
    peer.takes_all()
        .into_iter()
        .map(|frame| match frame {
            Frame::Text(text) => text,
            other => format!("{other:?}"),
        })
        .collect()
}

/// Four clients of one tenant, `a` to `d`, on the shards in turn: a in r and s, b in r, c in s, d in none.
fn four(world: &World) -> Vec<Peer> {
    let peers: Vec<Peer> = (0..4).map(|_| fleet(world)).collect();
    for (peer, room) in [(0, "r"), (0, "s"), (1, "r"), (2, "s")] {
        peers[peer].sends(&format!("42[\"join\",\"{room}\"]"));
    }
    peers
}

#[test]
fn broadcasts_reach_each_receiver_once() {
    for shards in [1, 2, 4] {
        let world = world(shards);
        let peers = four(&world);
        for (option, receivers) in [
            ("{}", "abcd"),
            ("{\"rooms\":[\"r\"]}", "ab"),
            ("{\"rooms\":[\"r\",\"s\"]}", "abc"),
            ("{\"rooms\":[\"r\",\"r\"]}", "ab"),
            ("{\"rooms\":[\"r\",\"s\"],\"except\":[\"s\"]}", "b"),
            ("{\"except\":[\"r\"]}", "cd"),
            ("{\"alone\":1}", "bcd"),
            ("{\"alone\":1,\"rooms\":[\"r\",\"s\"]}", "bc"),
            ("{\"rooms\":[\"nobody\"]}", ""),
        ] {
            peers[0].sends(&format!("42[\"to\",{option},1,\"x\"]"));
            let got: String = ('a'..='d')
                .zip(&peers)
                .filter(|(_, peer)| {
                    let said = said(peer);
                    assert!(said.iter().all(|text| text == "42[\"said\",1,\"x\"]") && said.len() <= 1, "{said:?}");
                    !said.is_empty()
                })
                .map(|(name, _)| name)
                .collect();
            assert_eq!(got, receivers, "{option} over {shards}");
        }
        peers[1].sends("42[\"leave\",\"r\"]");
        peers[1].sends("42[\"leave\",\"never\"]");
        peers[0].sends("42[\"to\",{\"rooms\":[\"r\"]},2]");
        assert_eq!(peers.iter().map(|peer| said(peer).len()).collect::<Vec<_>>(), [1, 0, 0, 0]);
        peers.iter().for_each(|peer| peer.hangs_up(false));
        world.assert_empty();
    }
}

#[test]
fn events_of_one_sender_keep_their_order_over_shards() {
    for shards in [1, 2, 4] {
        let world = world(shards);
        let peers = four(&world);
        for number in 0..50 {
            peers[number % 4].sends(&format!("42[\"to\",{{}},{number}]"));
        }
        let expected: Vec<String> = (0..50).map(|number| format!("42[\"said\",{number}]")).collect();
        peers.iter().for_each(|peer| assert_eq!(said(peer), expected));
    }
}

#[test]
fn b68_a_header_and_its_attachments_are_one_unit() {
    let world = world(2);
    let (ws, poller) = (fleet(&world), world.polling("/fleet-root"));
    poller.joins("/", "{\"token\":\"t\"}");
    let senders: Vec<Peer> = (0..3).map(|_| fleet(&world)).collect();
    ws.reads_only(3);
    world.in_one_turn(|| {
        for (number, sender) in senders.iter().enumerate() {
            sender.sends("452-[\"to\",{},{\"_placeholder\":true,\"num\":1},{\"_placeholder\":true,\"num\":0}]");
            sender.sends_binary(&[number as u8, 0]);
            sender.sends_binary(&[number as u8, 1]);
            sender.sends("42[\"to\",{},\"between\"]");
        }
    });
    for _ in 0..200 {
        ws.reads_only(1);
    }
    ws.reads_on();
    let frames = ws.takes_all();
    let body = poller.gets("*");
    let header = "452-[\"said\",{\"_placeholder\":true,\"num\":1},{\"_placeholder\":true,\"num\":0}]";
    let mut numbers = Vec::new();
    for (index, frame) in frames.iter().enumerate().filter(|(_, frame)| **frame == Frame::Text(header.into())) {
        assert_ne!(*frame, Frame::End);
        let [Frame::Binary(first), Frame::Binary(second)] = &frames[index + 1..index + 3] else { panic!("{frames:?}") };
        assert_eq!((first[0], first[1], second[1]), (second[0], 0, 1));
        numbers.push(first[0]);
    }
    numbers.sort_unstable();
    assert_eq!((numbers, frames.len()), (vec![0, 1, 2], 12));
    let packets: Vec<&str> = body.split('\x1e').collect();
    for (index, _) in packets.iter().enumerate().filter(|(_, packet)| **packet == header) {
        assert!(packets[index + 1].starts_with('b') && packets[index + 2].starts_with('b'), "{packets:?}");
    }
    assert_eq!(packets.len(), 12);
}

#[test]
fn of_two_volatile_events_in_a_turn_the_first_is_sent() {
    for shards in [1, 2] {
        let world = world(shards);
        let peer = fleet(&world);
        peer.sends("42[\"twice\",7]");
        assert_eq!(said(&peer), ["42[\"said\",7]"]);
        peer.sends("42[\"twice\",8]");
        assert_eq!(said(&peer), ["42[\"said\",8]"]);
        let poller = world.polling("/fleet-root");
        poller.joins("/", "{\"token\":\"t\"}");
        poller.posts("42[\"twice\",1]");
        let get = poller.get();
        get.is("parked");
        poller.posts("42[\"twice\",2]");
        get.is("200 42[\"said\",2]");
        assert_eq!(world.sum(|shard| shard.stats.dropped_volatile), 5);
    }
}

#[test]
fn b26_a_join_for_a_socket_that_has_gone_makes_no_room() {
    let world = world(2);
    let (peer, other) = (fleet(&world), fleet(&world));
    world.holds_mail();
    peer.sends("42[\"join\",\"ghost\"]");
    other.sends("42[\"join\",\"ghost\"]");
    peer.hangs_up(false);
    other.hangs_up(false);
    world.delivers_mail();
    world.assert_empty();
}

#[test]
fn an_exception_that_has_gone_excludes_nobody_else() {
    for shards in [1, 2] {
        let world = world(shards);
        world.answers_jobs(|_| None);
        let leaver = fleet(world.next_on(0));
        leaver.sends("42[\"to\",{\"alone\":1,\"commit\":1},1]");
        leaver.hangs_up(false);
        // While the home waits for the disk, the slot goes to a newcomer.
        let newcomer = fleet(world.next_on(0));
        world.finishes_job(crate::app::job::Outcome::Written(vec![]));
        assert_eq!(said(&newcomer), ["42[\"said\",1]"]);
    }
}

fn home_shard(world: &World) -> u16 {
    let home = crate::app::Home::Tenant("t".into());
    world.look(0, |shard| shard.config.placement.of_home(crate::base::ids::AppId(1), &home, shard.id)).0
}

#[test]
fn t12_rooms_of_a_socket_are_bounded() {
    for shards in [1, 2] {
        let world = world(shards);
        let peer = fleet(&world);
        for number in 0..1_000 {
            peer.sends(&format!("42[\"join\",\"{number}\"]"));
        }
        assert_eq!(world.sum(|shard| shard.sample().rooms), 128);
        assert_eq!(world.sum(|shard| shard.stats.joins_refused), 872);
        peer.hangs_up(false);
        world.assert_empty();
    }
}

/// The ack id in an event such as `42/nsp,17["question"]`.
fn id_of(event: &str) -> &str {
    let end = event.find('[').unwrap();
    let start = event[..end].rfind(|character: char| !character.is_ascii_digit()).map_or(2, |at| at + 1);
    &event[start.max(2)..end]
}

#[test]
fn acks_come_back_with_what_was_answered() {
    for shards in [1, 2, 4] {
        let world = world(shards);
        let peer = fleet(&world);
        peer.sends("42[\"ask\",{\"me\":1},\"how\"]");
        let question = peer.gets("42*[\"question\",\"how\"]");
        let id = id_of(&question);
        peer.sends(&format!("43{id}[1,\"x\"]"));
        peer.gets("42[\"result\",{\"answers\":[\"1,\\\"x\\\"\"],\"missing\":0}]");
        peer.sends(&format!("43{id}[2]"));
        peer.gets_nothing();
        assert_eq!(world.sum(|shard| shard.stats.unknown_acks), 1);
        // Binary both ways.
        peer.sends("451-[\"ask\",{\"me\":1},{\"_placeholder\":true,\"num\":0}]");
        peer.sends_binary(b"b");
        let question = peer.gets("451-*[\"question\",{\"_placeholder\":true,\"num\":0}]");
        let id = question.trim_start_matches("451-").split('[').next().unwrap().to_owned();
        peer.gets_binary(b"b");
        peer.sends(&format!("461-{id}[{{\"_placeholder\":true,\"num\":0}}]"));
        peer.gets_nothing();
        peer.sends_binary(b"c");
        peer.gets("42[\"result\",*\"missing\":0}]");
        peer.sends("451-9[\"echo\",{\"_placeholder\":true,\"num\":0}]");
        peer.sends_binary(b"d");
        peer.gets("461-9[{\"_placeholder\":true,\"num\":0}]");
        peer.gets_binary(b"d");
        peer.hangs_up(false);
        world.assert_empty();
    }
}

#[test]
fn a_question_to_many_has_one_id_and_one_result() {
    for shards in [1, 2, 4] {
        let world = world(shards);
        let peers = four(&world);
        peers[0].sends("42[\"ask\",{\"timeout\":500},1]");
        let questions: Vec<String> = peers.iter().map(|peer| peer.gets("42*[\"question\",1]")).collect();
        assert!(questions.iter().all(|question| *question == questions[0]));
        let id = id_of(&questions[0]);
        // a answers, b answers twice, c leaves, d says nothing.
        peers[0].sends(&format!("43{id}[\"a\"]"));
        peers[1].sends(&format!("43{id}[\"b\"]"));
        peers[1].sends(&format!("43{id}[\"b\"]"));
        peers[2].hangs_up(true);
        world.advance(499);
        peers[0].gets_nothing();
        world.advance(1);
        peers[0].gets("42[\"result\",{\"answers\":[\"\\\"a\\\"\",\"\\\"b\\\"\"],\"missing\":2}]");
        // Too late (B66): one outcome.
        peers[3].sends(&format!("43{id}[\"d\"]"));
        world.advance(1_000);
        peers[0].gets_nothing();
        assert_eq!(world.sum(|shard| shard.members.acks.len() as u64 + shard.homes.asked.len() as u64), 0);
        peers.iter().for_each(|peer| peer.hangs_up(false));
        world.assert_empty();
    }
}

#[test]
fn a_question_answered_by_all_needs_no_timeout() {
    let world = world(4);
    let peers = four(&world);
    peers[0].sends("42[\"ask\",{\"timeout\":60000}]");
    for peer in &peers {
        let question = peer.gets("42*[\"question\"]");
        peer.sends(&format!("43{}[]", id_of(&question)));
    }
    peers[0].gets("42[\"result\",{\"answers\":[\"\",\"\",\"\",\"\"],\"missing\":0}]");
    peers.iter().for_each(|peer| peer.hangs_up(false));
    world.assert_empty();
}

#[test]
fn a_question_to_somebody_who_has_gone_is_missing_at_once() {
    for shards in [1, 2, 4] {
        let (log, seen) = channel();
        let world = World::new(shards, || {
            vec![("/lab", Box::new(Lab::default())), ("/fleet", Box::new(Fleet::new(Some(log.clone()))))]
        });
        world.answers_jobs(|_| None);
        let peer = fleet(world.next_on((home_shard(&world) + 1) % shards));
        // The home waits for the disk; the asker does not.
        peer.sends("42[\"save\"]");
        peer.sends("42[\"ask\",{\"me\":1,\"timeout\":60000}]");
        peer.hangs_up(false);
        world.finishes_job(crate::app::job::Outcome::Written(vec![]));
        world.assert_empty();
        let results: Vec<String> = seen.try_iter().filter(|line| line.0 == "result").map(|line| line.2).collect();
        assert_eq!(results, ["0 of 1"]);
    }
}

#[test]
fn t13_pending_acks_of_a_socket_are_bounded() {
    let mut setup = Setup { shards: 2, ..Setup::default() };
    setup.limits.acks_per_socket_max = 3;
    let world = World::with(setup, apps);
    let peer = fleet(&world);
    for _ in 0..5 {
        peer.sends("42[\"ask\",{\"me\":1,\"timeout\":5000}]");
    }
    // Two could not be waited for.
    assert_eq!(said(&peer).iter().filter(|text| text.contains("\"missing\":1")).count(), 2);
    for ack in ["4399999[]", "43[]", "43999999999999999999999[]", "430[1]", "430[1]"] {
        peer.sends(ack);
    }
    world.advance(5_000);
    assert_eq!(world.sum(|shard| shard.members.acks.len() as u64), 0);
    peer.hangs_up(false);
    world.assert_empty();
}

#[test]
fn t13_a_foreign_ack_is_ignored() {
    let world = world(1);
    let (asker, thief) = (fleet(&world), fleet(&world));
    asker.sends("42[\"ask\",{\"me\":1,\"timeout\":100}]");
    let question = asker.gets("42*[\"question\"]");
    thief.sends(&format!("43{}[\"stolen\"]", id_of(&question)));
    world.advance(100);
    asker.gets("42[\"result\",{\"answers\":[],\"missing\":1}]");
}

#[test]
fn b24_questions_that_nobody_answers_leave_nothing() {
    let world = world(4);
    let peers = four(&world);
    for _ in 0..100 {
        peers[0].sends("42[\"ask\",{\"timeout\":10}]");
    }
    world.advance(10);
    peers.iter().for_each(|peer| drop(peer.takes_all()));
    assert_eq!(world.sum(|shard| shard.members.acks.len() as u64 + shard.homes.asked.len() as u64), 0);
    assert_eq!(world.sum(|shard| shard.members.sockets.iter().map(|(_, socket)| socket.acks.len() as u64).sum()), 0);
}
