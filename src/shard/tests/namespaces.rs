//! PROTOCOL 7: namespaces, events, what ends a connection and what does not.

use serde_json::json;

use super::{apps, world};
use crate::app::identity::{AuthMode, AuthSettings, jwt};
use crate::base::secret::Secret;
use crate::base::time::WallMillis;
use crate::shard::testing::socket::Frame;
use crate::shard::testing::{Peer, Setup, World};

/// A token whose home is not on shard `not`, where there is more than one.
fn foreign_tenant(world: &World, not: u16) -> String {
    let home = |name: &String| {
        let home = crate::app::Home::Tenant(name.clone());
        world.look(not, |shard| shard.config.placement.of_home(crate::base::ids::AppId(1), &home, shard.id)).0
    };
    let mut names = (0..).map(|number| format!("t{number}"));
    names.find(|name| world.shards() == 1 || home(name) != not).unwrap()
}

/// A client on shard 0 in `/fleet`, decided on another shard.
fn in_fleet(world: &World, auth: &str) -> Peer {
    let peer = world.next_on(0).websocket("/fleet-root");
    let token = foreign_tenant(world, 0);
    let more = if auth.is_empty() { String::new() } else { format!(",{auth}") };
    peer.sends(&format!("40{{\"token\":\"{token}\"{more}}}"));
    peer
}

#[test]
fn connects_and_what_they_are_answered_with() {
    for shards in [1, 2, 4] {
        for (sent, reply) in [
            ("40/lab,", "40/lab,{\"sid\":\"*\"}"),
            ("40/lab", "40/lab,{\"sid\":\"*\"}"),
            ("40/lab,{}", "40/lab,{\"sid\":\"*\"}"),
            ("4 /lab,", "40/lab,{\"sid\":\"*\"}"),
            ("40/fleet,{\"token\":\"a\"}", "40/fleet,{\"sid\":\"*\"}"),
            ("40", "44{\"message\":\"Invalid namespace\"}"),
            ("40/", "44{\"message\":\"Invalid namespace\"}"),
            ("40/nope,{\"a\":1}", "44/nope,{\"message\":\"Invalid namespace\"}"),
            ("40/lab?x=1,", "44/lab?x=1,{\"message\":\"Invalid namespace\"}"),
            ("40/__proto__,", "44/__proto__,{\"message\":\"Invalid namespace\"}"),
            ("40/fleet,{\"refuse\":{\"message\":\"no\"}}", "44/fleet,{\"message\":\"no\"}"),
            (
                "40/fleet,{\"refuse\":{\"message\":\"n\\\"o\",\"data\":{\"code\":7}}}",
                "44/fleet,{\"message\":\"n\\\"o\",\"data\":{\"code\":7}}",
            ),
        ] {
            let world = world(shards);
            let peer = world.websocket("/socket.io/");
            peer.sends(sent);
            peer.gets(reply);
            peer.takes_all();
            // Whatever the answer, the connection stays.
            peer.sends("40/nope,");
            peer.gets("44/nope,*");
            peer.hangs_up(false);
            world.assert_empty();
        }
    }
}

#[test]
fn b65_b25_a_refused_connect_leaves_nothing_and_may_be_repeated() {
    let world = world(2);
    let peer = in_fleet(&world, "\"refuse\":{}");
    peer.gets("44{\"message\":\"no\"}");
    for _ in 0..200 {
        peer.sends("40{\"refuse\":{}}");
        peer.sends("40/nope,");
    }
    assert_eq!(peer.takes_all().len(), 400);
    assert_eq!(world.sum(|shard| shard.members.sockets.len() as u64), 0);
    peer.joins("/", "{}");
}

#[test]
fn the_root_is_the_application_under_another_name() {
    let world = world(1);
    let (root, named) = (world.websocket("/lab-root"), world.websocket("/socket.io/"));
    root.joins("/", "");
    named.joins("/lab", "");
    // One client may be in it twice.
    root.joins_again();
    root.takes_all();
    named.takes_all();
    named.sends("42/lab,[\"bcast\",1]");
    named.gets("42/lab,[\"bcast\",1]");
    let mut got = root.takes_all();
    got.sort_by_key(|frame| format!("{frame:?}"));
    assert_eq!(got, [Frame::Text("42/lab,[\"bcast\",1]".into()), Frame::Text("42[\"bcast\",1]".into())]);
    // Acks and departures use the name that was used.
    root.sends("42/lab,3[\"echo\"]");
    root.gets("43/lab,3[]");
    root.sends("421[\"echo\"]");
    root.gets("431[]");
}

impl Peer {
    fn joins_again(&self) {
        self.sends("40/lab,");
        assert!(self.takes_all().iter().any(|frame| matches!(frame, Frame::Text(text) if text.starts_with("40/lab,"))));
    }
}

/// What a joined client may not say.
#[test]
fn violations_close_the_engine_connection() {
    for packet in [
        "40",                                                     // a second CONNECT
        "42/fleet,[\"e\"]",                                       // not joined
        "43/fleet,1[]",                                           // not joined
        "41/fleet,",                                              // not joined
        "41/nope,",                                               // nobody serves it
        "44{\"message\":\"x\"}",                                  // only servers say so
        "42[\"connect\"]",                                        // B18
        "42[\"disconnect\"]",                                     //
        "42[\"connect_error\"]",                                  //
        "42[\"disconnecting\"]",                                  //
        "42[\"newListener\"]",                                    //
        "42[\"removeListener\"]",                                 //
        "42[{\"toString\":1}]",                                   // B17
        "42[]",                                                   //
        "42{}",                                                   //
        "41{}",                                                   //
        "40/lab,[]",                                              //
        "51-[\"e\"]",                                             // an engine upgrade packet is nothing: see below
        "4511-[\"e\"]",                                           // B19
        "450-[\"e\"]",                                            //
        "451-[\"e\",{\"_placeholder\":true,\"num\":\"splice\"}]", // B16
        "451-[\"e\",{\"_placeholder\":true,\"num\":1}]",          //
    ] {
        let world = world(1);
        let peer = world.websocket("/lab-root");
        peer.joins("/", "");
        peer.gets("42*");
        peer.sends(packet);
        let expected = if packet.starts_with('5') { None } else { Some(Frame::Close(None)) };
        assert_eq!((peer.next(), packet), (expected, packet));
        peer.hangs_up(false);
        world.assert_empty();
    }
}

#[test]
fn b03_harmless_oddities_are_harmless() {
    let world = world(1);
    let peer = world.websocket("/lab-root");
    peer.joins("/", "");
    peer.gets("42*");
    for packet in ["42", "43", "42[\"error\",\"x\"]", "42[7,1]", "4399[]", "43[1]", "42[\"__proto__\"]"] {
        peer.sends(packet);
        peer.gets_nothing();
    }
    peer.sends("41");
    peer.gets_nothing();
    // Zero namespaces, still open, and free to join again.
    peer.joins("/", "");
}

#[test]
fn b73_an_undecided_connect_allows_nothing() {
    for packet in ["42[\"admin\"]", "40", "41", "43[1]", "451-[\"e\",{\"_placeholder\":true,\"num\":0}]"] {
        let world = world(2);
        let peer = in_fleet(&world, "\"wait\":-1");
        peer.gets_nothing();
        peer.sends(packet);
        peer.gets_close(None);
        peer.sends_close(None);
        world.assert_empty();
    }
}

#[test]
fn b73_a_connect_is_undecided_until_its_home_has_answered() {
    let world = world(2);
    world.holds_mail();
    let peer = in_fleet(&world, "\"hello\":true");
    peer.gets_nothing();
    world.delivers_mail();
    peer.gets("40{\"sid\":\"*\"}");
    peer.gets("42[\"hello\",1]");
    // Both packets in one read: what counts is whether the home has decided.
    let local = world.next_on(0).websocket("/lab-root");
    local.sends_together(&["40", "42[\"message\",1]"]);
    local.gets("40*");
    local.gets("42[\"auth\",{}]");
    local.gets("42[\"message-back\",1]");
    let remote = world.next_on(0).websocket("/fleet-root");
    let token = format!("40{{\"token\":\"{}\"}}", foreign_tenant(&world, 0));
    remote.sends_together(&[&token, "42[\"echo\",1]"]);
    remote.gets_close(None);
}

#[test]
fn a_connect_may_be_decided_later() {
    let world = world(2);
    let peer = in_fleet(&world, "\"wait\":3000");
    world.advance(2_999);
    peer.gets_nothing();
    world.advance(1);
    peer.gets("40{\"sid\":\"*\"}");
    peer.hangs_up(false);
    world.assert_empty();
}

#[test]
fn a_decision_for_a_client_that_has_gone_finds_nobody() {
    for auth in ["\"hello\":true", "\"refuse\":{}", "\"wait\":3000", "\"early\":true"] {
        let world = world(2);
        world.holds_mail();
        let peer = in_fleet(&world, auth);
        peer.hangs_up(true);
        // The slot's next socket is somebody else.
        let other = world.next_on(0).websocket("/lab-root");
        other.joins("/", "");
        other.gets("42*");
        world.delivers_mail();
        world.advance(3_000);
        other.gets_nothing();
        other.hangs_up(false);
        world.assert_empty();
    }
}

#[test]
fn nothing_reaches_a_socket_before_it_is_accepted() {
    let world = world(1);
    let peer = in_fleet(&world, "\"early\":true,\"hello\":true");
    peer.gets("40{\"sid\":\"*\"}");
    peer.gets("42[\"hello\",1]");
    assert_eq!(world.sum(|shard| shard.sample().rooms), 0);
}

#[test]
fn t11_namespaces_of_a_client_are_bounded() {
    let names: Vec<&'static str> = (0..70).map(|number| &*Box::leak(format!("/n{number}").into_boxed_str())).collect();
    let world = World::new(1, || {
        names
            .iter()
            .map(|name| (*name, Box::new(crate::apps::lab::Lab::default()) as Box<dyn crate::app::Application>))
            .collect()
    });
    let peer = world.websocket("/socket.io/");
    for name in &names[..64] {
        peer.joins(name, "");
        peer.gets("42*");
    }
    assert_eq!(world.sum(|shard| shard.members.sockets.len() as u64), 64);
    peer.sends("40/n64,");
    peer.gets_close(None);
    peer.hangs_up(false);
    world.assert_empty();
}

#[test]
fn b21_text_and_binary_come_in_their_order_only() {
    let header = "451-[\"message\",{\"_placeholder\":true,\"num\":0}]";
    for (first, binary) in [(Some(header), false), (None, true)] {
        let world = world(1);
        let peer = world.websocket("/lab-root");
        peer.joins("/", "");
        peer.gets("42*");
        if let Some(first) = first {
            peer.sends(first);
            // The engine's own packets may come in between.
            peer.sends("3");
            peer.gets_nothing();
        }
        if binary {
            peer.sends_binary(b"x")
        } else {
            peer.sends("42[\"message\",1]")
        }
        peer.gets_close(None);
    }
}

#[test]
fn t06_attachments_are_bounded_in_sum() {
    let mut setup = Setup::default();
    setup.engine.max_payload_bytes = 2_048;
    let world = World::with(setup, apps);
    let peer = world.websocket("/lab-root");
    peer.joins("/", "");
    peer.gets("42*");
    peer.sends("453-[\"message\",{\"_placeholder\":true,\"num\":0}]");
    peer.sends_binary(&[0; 1_024]);
    peer.sends_binary(&[0; 1_024]);
    peer.sends_binary(&[0]);
    peer.gets_close(Some(1009));
}

#[test]
fn an_attachment_whose_socket_has_gone_is_dropped() {
    let world = world(2);
    let peer = in_fleet(&world, "");
    peer.gets("40*");
    world.holds_mail();
    peer.sends("42[\"kick\",false]");
    peer.sends("451-[\"echo\",{\"_placeholder\":true,\"num\":0}]");
    world.delivers_mail();
    peer.gets("41");
    peer.sends_binary(b"x");
    peer.gets_nothing();
    peer.joins("/", "{}");
}

#[test]
fn t22_numbers_and_text_are_relayed_as_they_came() {
    let world = world(1);
    let peer = world.websocket("/lab-root");
    peer.joins("/", "");
    peer.gets("42*");
    let args = "1e400, -0,12345678901234567890123 , \"\\ud800\",{\"a\":1,\"a\":2},[[]]";
    peer.sends(&format!("42[\"message\", {args}]"));
    peer.gets(&format!("42[\"message-back\",{args}]"));
    peer.sends(&format!("42[\"message\",{}", "[".repeat(100_000)));
    peer.gets_close(None);
}

#[test]
fn both_forms_of_disconnect() {
    for shards in [1, 2] {
        let world = world(shards);
        let peer = in_fleet(&world, "");
        peer.gets("40*");
        peer.joins("/lab", "");
        peer.gets("42/lab*");
        peer.sends("42[\"kick\",false]");
        peer.gets("41");
        peer.sends("42/lab,1[\"echo\"]");
        peer.gets("43/lab,1[]");
        peer.joins("/", "{}");
        peer.sends("42[\"kick\",true]");
        peer.gets("41/lab,");
        peer.gets("41");
        peer.gets_close(None);
        peer.hangs_up(false);
        world.assert_empty();
        // On polling the close is told after the packets.
        let poller = world.polling("/fleet-root");
        poller.joins("/", "{}");
        poller.posts("42[\"kick\",true]");
        poller.gets("41");
        poller.gets("6\x1e1");
        world.assert_empty();
    }
}

#[test]
fn t21_a_token_ends_its_socket_when_it_expires() {
    let secret = Secret::new("k".repeat(32));
    let auth = AuthSettings { mode: AuthMode::Jwt, jwt_secret: secret.clone(), ..AuthSettings::default() };
    for shards in [1, 2] {
        let world = World::with(Setup { shards, auth: auth.clone(), ..Setup::default() }, apps);
        let now_s = Setup::default().wall.as_secs();
        let token = |exp: u64| jwt::mint(&json!({"sub": "u", "exp": exp}), &secret);
        let peer = world.websocket("/fleet-root");
        peer.answers_pings();
        peer.sends(&format!("40{{\"token\":\"{}\"}}", token(now_s)));
        peer.gets("44{\"message\":\"Expired\",\"data\":{\"code\":1}}");
        peer.sends("40");
        peer.gets("44{\"message\":\"Missing\",*");
        peer.joins("/", &format!("{{\"token\":\"{}\"}}", token(now_s + 5)));
        let forever = world.websocket("/fleet-root");
        forever.joins("/", &format!("{{\"token\":\"{}\"}}", token(u64::from(u32::MAX))));
        forever.answers_pings();
        world.advance(4_999);
        peer.gets_nothing();
        world.advance(1);
        peer.gets("41");
        // The connection stays; a fresh token joins again. A clock that is set back gives time.
        peer.joins("/", &format!("{{\"token\":\"{}\"}}", token(now_s + 60)));
        world.wall_jumps_to(WallMillis((now_s - 30) * 1000));
        world.advance(89_000);
        peer.gets_nothing();
        world.advance(1_000);
        peer.gets("41");
        forever.gets_nothing();
        peer.hangs_up(false);
        forever.hangs_up(false);
        world.assert_empty();
    }
}

#[test]
fn what_comes_of_a_request_to_the_outside_reaches_the_home_that_asked() {
    use crate::app::fetch::{FetchError, FetchFailure, Fetched};
    use crate::app::job::{Job, Outcome};
    for shards in [1, 2, 4] {
        let world = world(shards);
        world.answers_jobs(|job| {
            assert!(matches!(job, Job::Fetch(fetch) if fetch.url == "http://a.example/"), "{job:?}");
            None
        });
        let (peer, leaver) = (in_fleet(&world, ""), in_fleet(&world, ""));
        peer.gets("40*");
        leaver.gets("40*");
        for asker in [&peer, &leaver, &peer] {
            asker.sends("42[\"fetch\",\"http://a.example/\"]");
        }
        // Nothing waits behind a request on its way.
        peer.sends("421[\"echo\",1]");
        peer.gets("431[1]");
        leaver.hangs_up(false);
        let fetched = |status| Fetched { status, headers: Vec::new(), body: "{}".into(), redirects: 0 };
        world.finishes_job(Outcome::Fetched(Ok(fetched(503))));
        peer.gets("42[\"fetched\",503]");
        // The home asked, not the socket: it hears of it though the socket has gone.
        world.finishes_job(Outcome::Fetched(Ok(fetched(200))));
        world.finishes_job(Outcome::Fetched(Err(FetchError::new(FetchFailure::TimedOut, ""))));
        peer.gets("42[\"unfetched\",\"timed_out\"]");
        peer.hangs_up(false);
        world.assert_empty();
    }
}

#[test]
fn a_commit_and_a_job_come_back_to_whoever_is_still_there() {
    use crate::app::job::{JobError, JobErrorKind, Outcome};
    let world = world(2);
    world.answers_jobs(|_| None);
    let peer = in_fleet(&world, "");
    peer.gets("40*");
    peer.sends("42[\"save\"]");
    // While it commits, later events of the entity wait.
    peer.sends("421[\"echo\",1]");
    peer.gets_nothing();
    world.finishes_job(Outcome::Written(vec![]));
    peer.gets("42[\"saved\"]");
    peer.gets("431[1]");
    peer.sends("42[\"save\"]");
    let error = JobError { kind: JobErrorKind::Full, text: "full".into() };
    world.finishes_job(Outcome::Failed(error));
    peer.gets("42[\"unsaved\"]");
    peer.sends("42[\"work\"]");
    world.finishes_job(Outcome::Read(vec![]));
    peer.gets("42[\"worked\",1]");
    peer.sends("42[\"work\"]");
    peer.hangs_up(false);
    world.finishes_job(Outcome::Read(vec![]));
    world.assert_empty();
}

#[test]
fn timers_of_applications_fire_are_replaced_and_are_cancelled() {
    let world = world(2);
    let peer = in_fleet(&world, "");
    peer.gets("40*");
    peer.sends("42[\"timer\",250]");
    world.advance(249);
    peer.gets_nothing();
    world.advance(1);
    peer.gets("42[\"rang\",1]");
    peer.sends("42[\"timer\",250]");
    peer.sends("42[\"cancel\"]");
    world.advance(1_000);
    peer.gets_nothing();
    peer.hangs_up(false);
    world.assert_empty();
}
