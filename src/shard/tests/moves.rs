//! An application of several namespaces, and sockets that become somebody else.

use std::sync::mpsc::channel;

use super::{Peer, World, fleet, world};
use crate::app::identity::{AuthMode, AuthSettings, jwt};
use crate::apps::lab::Lab;
use crate::base::limit::NOTE_BYTES_MAX;
use crate::base::secret::Secret;
use crate::shard::testing::Setup;
use crate::shard::testing::fleet::Fleet;
use serde_json::json;

#[test]
fn one_application_broadcasts_into_each_of_its_namespaces() {
    for shards in [1, 2] {
        let world = World::new(shards, || vec![("/lab,/side", Box::new(Lab::default()))]);
        let peers: Vec<Peer> = (0..2).map(|_| world.websocket("/socket.io/")).collect();
        for peer in &peers {
            for nsp in ["/lab", "/side"] {
                peer.joins(nsp, "");
                peer.gets(&format!("42{nsp},[\"auth\",{{}}]"));
            }
        }
        peers[0].sends("42/side,[\"bcast\",1]");
        peers[1].sends("42/lab,[\"bcast\",2]");
        for peer in &peers {
            assert_eq!(peer.takes_texts(), ["42/side,[\"bcast\",1]", "42/lab,[\"bcast\",2]"]);
        }
    }
}

#[test]
fn one_home_speaks_into_the_namespace_it_names() {
    for shards in [1, 2, 4] {
        let world = World::new(shards, || vec![("/fleet,/side", Box::new(Fleet::new(None)))]);
        let peer = world.websocket("/socket.io/");
        for nsp in ["/fleet", "/side"] {
            peer.joins(nsp, "{\"token\":\"t\"}");
            peer.sends(&format!("42{nsp},[\"join\",\"r\"]"));
        }
        peer.sends("42/fleet,[\"to\",{\"nsp\":1,\"rooms\":[\"r\"]},1]");
        peer.sends("42/side,[\"to\",{\"rooms\":[\"r\"]},2]");
        peer.sends("42/side,[\"to\",{\"nsp\":1},3]");
        assert_eq!(peer.takes_texts(), ["42/side,[\"said\",1]", "42/fleet,[\"said\",2]", "42/side,[\"said\",3]"]);
        peer.hangs_up(false);
        world.assert_empty();
    }
}

#[test]
fn a_socket_that_becomes_somebody_else_keeps_its_rooms_and_the_order_of_its_events() {
    for shards in [1, 2, 4] {
        let (log, seen) = channel();
        let world = World::new(shards, move || vec![("/fleet", Box::new(Fleet::new(Some(log.clone()))))]);
        for tenant in ["u", "v", "w", "x"] {
            let peer = world.websocket("/fleet-root");
            peer.joins("/", "{\"token\":\"t\"}");
            peer.sends("42[\"join\",\"r\"]");
            let _ = seen.try_iter().count();
            // With mail on its way, what is sent after the move waits for the new home.
            world.holds_mail();
            peer.sends("421[\"echo\",1]");
            peer.sends(&format!("42[\"become\",\"{tenant}\"]"));
            world.delivers_mail();
            peer.sends("422[\"echo\",2]");
            peer.sends("423[\"whoami\"]");
            let moved = format!("42[\"moved\",\"{tenant}\"]");
            let whoami = format!("433[\"{tenant}\"]");
            assert_eq!(peer.takes_texts(), ["431[1]", &moved, "432[2]", &whoami]);
            peer.sends("42[\"to\",{\"rooms\":[\"r\"]},1]");
            assert_eq!(peer.takes_texts(), ["42[\"said\",1]"]);
            peer.hangs_up(false);
            let homes: Vec<(&str, String)> = seen.try_iter().map(|(what, _, detail)| (what, detail)).collect();
            let homes: Vec<&(&str, String)> = homes.iter().filter(|(what, _)| *what != "event").collect();
            let expected = [("moved", "t"), ("arrived", tenant), ("disconnect", "transport_close")];
            assert_eq!(homes.len(), expected.len(), "{homes:?}");
            for (seen, expected) in homes.iter().zip(expected) {
                assert_eq!((seen.0, seen.1.as_str()), expected, "{homes:?}");
            }
        }
        world.assert_empty();
    }
}

#[test]
fn a_socket_that_goes_on_its_way_is_told_to_its_new_home() {
    let (log, seen) = channel();
    let world = World::new(2, move || vec![("/fleet", Box::new(Fleet::new(Some(log.clone()))))]);
    for tenant in ["u", "v", "w", "x"] {
        let peer = world.websocket("/fleet-root");
        peer.joins("/", "{\"token\":\"t\"}");
        let _ = seen.try_iter().count();
        world.holds_mail();
        peer.sends(&format!("42[\"become\",\"{tenant}\"]"));
        peer.sends("42[\"echo\"]");
        peer.hangs_up(false);
        world.delivers_mail();
        let last: Vec<&str> = seen.try_iter().map(|(what, ..)| what).collect();
        assert_eq!(last.iter().filter(|what| **what == "disconnect").count(), 1, "{last:?}");
    }
    world.assert_empty();
}

#[test]
fn another_home_answers_an_event_that_was_passed_on() {
    for shards in [1, 2, 4] {
        let world = world(shards);
        let peer = fleet(&world);
        for tenant in ["u", "v", "w", "t"] {
            peer.sends(&format!("425[\"pass\",\"{tenant}\"]"));
            peer.gets(&format!("435[\"{tenant}\"]"));
        }
        peer.sends("426[\"whoami\"]");
        peer.gets("436[\"t\"]");
    }
}

#[test]
fn a_home_is_woken_by_whichever_shard_has_found_work_for_it() {
    for shards in [1, 2, 4] {
        let world = world(shards);
        let peers = ["t", "u", "v", "w"].map(|tenant| {
            let peer = world.websocket("/fleet-root");
            peer.joins("/", &json!({"token": tenant}).to_string());
            peer
        });
        peers.iter().for_each(|peer| peer.sends("42[\"wake\",\"u\"]"));
        for (peer, times) in peers.iter().zip([0, 4, 0, 0]) {
            peer.sends("427[\"woken\"]");
            peer.gets(&format!("437[{times}]"));
        }
    }
}

#[test]
fn another_home_is_told_in_order_and_what_is_too_long_is_an_alert() {
    for shards in [1, 2, 4] {
        let world = world(shards);
        let peer = fleet(&world);
        for tenant in ["u", "v", "w", "t"] {
            peer.sends(&format!("42[\"say\",\"{tenant}\"]"));
            peer.gets(&format!("42[\"told\",[\"{tenant}\",\"said\",\"{tenant}\"]]"));
            peer.gets(&format!("42[\"told\",[\"{tenant}\",\"said\",\"\"]]"));
        }
        let long = |bytes: usize| peer.sends(&format!("42[\"say\",{{\"long\":{bytes}}}]"));
        long(NOTE_BYTES_MAX - 2);
        peer.gets("42[\"told\",[\"\",\"said\",\"\"]]");
        peer.gets(&format!("42[\"told\",[\"\",\"said\",\"{}\"]]", "x".repeat(NOTE_BYTES_MAX - 2)));
        long(NOTE_BYTES_MAX - 1);
        peer.gets("42[\"told\",[\"\",\"said\",\"\"]]");
        peer.gets_nothing();
        assert_eq!(world.sum(|shard| shard.sample().alerts.iter().map(|alert| alert.count).sum()), 1);
    }
}

/// A world whose application speaks `notice_ms` before the end of a token, and a client whose token ends in 60 s.
fn speaking(shards: u16, notice_ms: u64) -> (World, Peer) {
    let auth = AuthSettings { mode: AuthMode::Jwt, jwt_secret: Secret::new("k".repeat(32)), ..AuthSettings::default() };
    let setup = Setup { shards, auth: auth.clone(), ..Setup::default() };
    let ends = setup.wall.as_secs() + 60;
    let world = World::with(setup, || vec![("/fleet", Box::new(Fleet::speaking(notice_ms)))]);
    let token = jwt::mint(&json!({"sub": "t", "exp": ends}), &auth.jwt_secret);
    let peer = world.websocket("/fleet-root");
    peer.joins("/", &json!({"token": token}).to_string());
    (world, peer)
}

#[test]
fn an_application_speaks_before_a_token_ends_and_at_its_end() {
    for shards in [1, 2] {
        let (world, peer) = speaking(shards, 20_000);
        peer.answers_pings();
        world.advance(39_000);
        peer.answers_pings();
        assert_eq!(peer.takes_texts(), [""; 0]);
        world.advance(2_000);
        assert_eq!(peer.takes_texts().len(), 1, "one notice");
        world.advance(20_000);
        let last = peer.takes_texts();
        assert_eq!(last.iter().filter(|text| *text != "2").collect::<Vec<_>>(), ["42[\"expiring\",0]", "41"]);
    }
}

#[test]
fn a_socket_identified_anew_outlives_its_token() {
    let (world, peer) = speaking(2, 0);
    let later = Setup::default().wall.as_secs() + 10_000;
    peer.sends(&format!("42[\"refresh\",{later}]"));
    world.advance(24_000);
    peer.answers_pings();
    world.advance(24_000);
    peer.answers_pings();
    world.advance(13_000);
    peer.gets("42[\"expiring\",0]");
    peer.sends("427[\"whoami\"]");
    peer.gets("437[\"t\"]");
}

#[test]
fn the_connect_timer_rests_while_a_home_decides() {
    for shards in [1, 2] {
        let world = world(shards);
        let peer = world.websocket("/fleet-root");
        peer.sends("40{\"token\":\"t\",\"wait\":15000}");
        world.advance(14_000);
        peer.gets_nothing();
        world.advance(2_000);
        peer.gets("40{\"sid\":\"*\"}");
        let refused = world.websocket("/fleet-root");
        refused.sends("40{\"token\":\"t\",\"refuse\":{}}");
        refused.gets("44*");
        world.advance(10_000);
        refused.gets_close(None);
    }
}
