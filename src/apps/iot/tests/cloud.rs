//! Accounts of the cloud: how their sockets open, end and come back, how tokens are kept alive, and what comes over them.

use serde_json::{Value, json};

use super::shelly::{ALL_STATUS, AUTH, devices, grant, key, settings, status_of};
use super::world::{D1, World};
use crate::app::link::{LinkEnd, LinkMessage};
use crate::apps::iot::cloud::secrets::Secrets;
use crate::apps::iot::connection::Status;
use crate::apps::iot::settings::Settings;
use crate::base::secret::Secret;
use crate::base::time::WallMillis;

pub(super) const ON: fn() -> Value =
    || json!({"switch:0": {"output": true, "apower": 42.5, "voltage": 231.2, "temperature": {"tC": 40}}});

/// A system with one account, and somebody who watches; the socket is dialled.
pub(super) fn world() -> (World, super::shelly::Shelly, u32) {
    let mut world = World::with(settings());
    let shelly = world.cloud();
    world.account("s1", "a1", 43_200);
    world.restart();
    let watcher = world.watcher("s1", "admin");
    (world, shelly, watcher)
}

#[test]
fn an_account_that_was_connected_is_dialled_at_the_start_and_its_devices_are_asked_for() {
    let (mut world, shelly, watcher) = world();
    let token = world.dialled().unwrap();
    let dial = world.link_dialled(token).unwrap();
    assert_eq!(dial.url, "wss://shelly-1-eu.shelly.cloud:6113/shelly/wss/hk_sock?t=tok1");
    assert_eq!((dial.terms.ping_interval_ms, dial.terms.ping_timeout_ms), (120_000, 120_000));
    shelly.says(ALL_STATUS, 200, devices(&[("194279021665684", true, ON()), ("ffffffffffff", true, ON())]));
    world.opens();
    world.pass(10);
    assert_eq!(shelly.asked(ALL_STATUS).len(), 1);
    let names = world.names(watcher);
    assert_eq!(names, ["connection-status", "device-offline-status", "device-update", "device-update"]);
    let logged = world.logged();
    assert_eq!(logged.iter().filter(|kind| *kind == "message").count(), 1, "{logged:?}");
    assert_eq!(world.devices().iter().filter(|device| device.online).count(), 1);
}

#[test]
fn the_first_status_is_told_as_a_sync_that_is_done() {
    let (mut world, shelly, watcher) = world();
    shelly.says(ALL_STATUS, 200, devices(&[("194279021665684", false, ON())]));
    world.opens();
    world.pass(10);
    let told = world.all(watcher, "device-update");
    let stats = json!({"total": 1, "synced": 1, "errors": 0});
    assert_eq!(told, [json!({"type": "initial-sync-done", "stats": stats})]);
}

#[test]
fn a_status_is_told_once_and_kept_with_the_id_of_the_cloud() {
    let (mut world, _, watcher) = world();
    let link = world.opens();
    world.pass(10);
    world.heard(watcher);
    let mut status = ON();
    status["serial"] = json!(1_634_630_341.44);
    world.plug_says(link, status.clone());
    let told = world.hears(watcher, "device-update");
    let expected = [
        ("online", json!(true)),
        ("relayOn", json!(true)),
        ("currentPower", json!(42.5)),
        ("voltage", json!(231.2)),
        ("temperature", json!(40.0)),
        ("shellyDeviceId", json!(D1)),
    ];
    for (field, value) in expected {
        assert_eq!(told[field], value, "{field}");
    }
    world.heard(watcher);
    world.plug_says(link, status);
    assert!(world.heard(watcher).is_empty(), "the same serial");
    world.plug_says(link, json!({"switch:0": {"apower": 10}, "serial": 1_634_630_342.0}));
    world.pass(200);
    let told = world.hears(watcher, "device-update");
    assert_eq!((&told["relayOn"], &told["currentPower"]), (&json!(true), &json!(10.0)));
    world.pass(1_000);
    assert_eq!(world.devices()[0].cloud_id.as_deref(), Some("194279021665684"));
    assert_eq!(world.devices()[0].generation, 2);
}

#[test]
fn what_is_hostile_costs_itself_and_the_socket_stays() {
    let (mut world, _, watcher) = world();
    let link = world.opens();
    world.pass(10);
    world.heard(watcher);
    let large = json!({"event": "Shelly:StatusOnChange", "pad": "x".repeat(300 * 1_024)}).to_string();
    for text in ["{", "[]", "7", &large, r#"{"event":"Shelly:Settings","deviceId":"7"}"#] {
        world.link_says(link, LinkMessage::text(text));
    }
    world.cloud_says(link, &status_of("12345678901234", ON()));
    world.cloud_says(link, &status_of("no id", ON()));
    world.plug_says(link, json!({"switch:0": {"output": "true", "apower": "7"}}));
    assert_eq!(world.metric("iot_status_total", "invalid"), 3.0);
    assert_eq!(world.metric("iot_status_total", "oversize"), 1.0);
    assert_eq!(world.metric("iot_status_total", "unmapped"), 2.0);
    assert_eq!(world.metric("iot_status_total", "field"), 1.0);
    assert!(world.dialled().is_some() && world.link_left(link).is_none());
}

#[test]
fn a_close_is_told_of_its_own_devices_once_and_a_return_writes_nothing() {
    let mut world = World::with(settings());
    let shelly = world.cloud();
    shelly.says(ALL_STATUS, 500, json!(null));
    world.account("s1", "a1", 43_200);
    world.account("s2", "a2", 43_200);
    world.restart();
    let (first, second) = (world.watcher("s1", "admin"), world.watcher("s2", "admin"));
    let mut links = Vec::new();
    for token in (1..10_000).filter(|token| world.link_dialled(*token).is_some()).collect::<Vec<_>>() {
        world.link_opens(token, None);
        links.push(crate::app::link::LinkId::Dialled(crate::app::Token(token)));
    }
    let of_first = *links
        .iter()
        .find(|link| {
            world.plug_says(**link, ON());
            !world.all(first, "device-update").is_empty()
        })
        .unwrap();
    world.pass(1_000);
    world.heard(first);
    world.heard(second);
    world.cloud_closes(of_first);
    let told = world.all(first, "device-offline-status");
    assert_eq!(told.len(), 1);
    for (field, value) in [
        ("type", json!("device-offline-status")),
        ("online", json!(false)),
        ("relayOn", json!(false)),
        ("currentPower", json!(0.0)),
        ("reason", json!("websocket_disconnected")),
        ("stateKnown", json!(false)),
        ("lastKnown", json!({"relayOn": true, "currentPower": 42.5})),
    ] {
        assert_eq!(told[0][field], value, "{field}");
    }
    assert!(world.heard(second).is_empty());
    world.pass(1_000);
    let before = world.devices()[0].clone();
    assert!(!before.online);
    world.heard(first);
    world.pass(10_000);
    world.opens();
    world.pass(2_000);
    world.hears_nothing(first, "device-update");
    world.hears_nothing(first, "device-offline-status");
    assert_eq!(world.devices()[0].updated_at, before.updated_at);
}

#[test]
fn tries_space_out_a_fifth_more_or_less_and_only_life_resets_them() {
    let (mut world, _, _) = world();
    // The token is renewed before each try, since every socket is closed at once.
    let mut waits = Vec::new();
    for _ in 0..5 {
        let link = world.opens();
        world.cloud_closes(link);
        let mut waited = 0;
        while world.dialled().is_none() {
            world.pass(50);
            waited += 50;
            assert!(waited < 60_000);
        }
        waits.push(waited);
    }
    for (wait, whole) in waits.iter().zip([5_000.0, 7_500.0, 11_250.0, 16_875.0, 25_312.0]) {
        let range = whole * 0.8 - 50.0..=whole * 1.2 + 1_100.0;
        assert!(range.contains(&f64::from(*wait)), "{waits:?}");
    }
    let link = world.opens();
    world.pass(60_000);
    world.cloud_closes(link);
    world.pass(6_000);
    assert!(world.dialled().is_some(), "it has lived for long enough: the first delay again");
}

#[test]
fn a_socket_that_is_closed_at_once_is_not_tried_again_with_the_same_token() {
    let (mut world, shelly, _) = world();
    let link = world.opens();
    world.pass(4_000);
    world.cloud_closes(link);
    world.pass(7_000);
    assert_eq!(shelly.asked(AUTH), ["client_id=shelly-diy&grant_type=code&code=c0de"]);
    let dial = world.link_dialled(world.dialled().unwrap()).unwrap();
    assert!(dial.url.ends_with("?t=tok2"), "{}", dial.url);
    let link = world.opens();
    world.pass(6_000);
    world.cloud_closes(link);
    world.pass(10_000);
    assert!(shelly.asked(AUTH).is_empty(), "it has lived: the token is good");
    assert!(world.dialled().is_some());
}

#[test]
fn a_handshake_that_is_refused_with_401_renews_the_token_too() {
    let (mut world, shelly, watcher) = world();
    let link = crate::app::link::LinkId::Dialled(crate::app::Token(world.dialled().unwrap()));
    world.heard(watcher);
    world.link_ends(link, LinkEnd::Rejected { status: 401 });
    assert_eq!(world.hears(watcher, "connection-status")["status"], "reconnecting");
    world.pass(7_000);
    assert_eq!(shelly.asked(AUTH).len(), 1);
}

#[test]
fn a_token_is_renewed_before_its_end_and_the_socket_stays() {
    let mut world = World::with(settings());
    let shelly = world.cloud();
    world.account("s1", "a1", 1_000);
    world.restart();
    let link = world.opens();
    world.pass(690_000);
    assert!(shelly.asked(AUTH).is_empty());
    world.pass(20_000);
    assert_eq!(shelly.asked(AUTH).len(), 1, "300 s before its end");
    assert!(world.link_left(link).is_none());
    world.pass(2_000);
    let secrets = world.logged();
    assert!(secrets.contains(&"token_refreshed".to_owned()), "{secrets:?}");
    assert_eq!(world.metric("iot_token_refresh_total", "ok"), 1.0);
}

#[test]
fn a_token_of_a_short_life_is_renewed_at_half_of_it() {
    let mut world = World::with(settings());
    let shelly = world.cloud();
    // A second of it goes by before the start.
    world.account("s1", "a1", 21);
    world.restart();
    world.opens();
    world.pass(9_900);
    assert_eq!(shelly.asked(AUTH), [""; 0]);
    world.pass(1_100);
    assert_eq!(shelly.asked(AUTH).len(), 1);
}

#[test]
fn a_refused_renewal_is_the_end_until_somebody_acts() {
    let mut world = World::with(settings());
    let shelly = world.cloud();
    shelly.says(AUTH, 400, json!({"isok": false}));
    world.account("s1", "a1", 10);
    world.restart();
    let watcher = world.watcher("s1", "admin");
    let link = world.opens();
    world.plug_says(link, ON());
    world.heard(watcher);
    world.pass(6_000);
    assert_eq!(shelly.asked(AUTH).len(), 1);
    let told = world.hears(watcher, "connection-status");
    assert_eq!((&told["status"], &told["connectionId"]), (&json!("error"), &json!("conn-a1")));
    assert_eq!(world.hears(watcher, "device-offline-status")["online"], false);
    world.pass(600_000);
    assert!(shelly.asked(AUTH).is_empty() && world.dialled().is_none(), "no more tries");
    assert_eq!(world.count("SELECT COUNT(*) AS count FROM iot_credentials WHERE status = 'expired'"), 1);
    assert_eq!(world.count("SELECT COUNT(*) AS count FROM iot_connections WHERE status = 'error'"), 1);
}

#[test]
fn a_renewal_that_fails_is_tried_again() {
    let mut world = World::with(settings());
    let shelly = world.cloud();
    shelly.says(AUTH, 500, json!(null));
    world.account("s1", "a1", 0);
    world.restart();
    assert_eq!(shelly.asked(AUTH).len(), 1);
    assert!(world.dialled().is_none());
    world.pass(7_000);
    assert_eq!(shelly.asked(AUTH).len(), 1);
    shelly.says(AUTH, 200, grant("tok2", 43_200));
    world.pass(10_000);
    assert!(world.dialled().is_some());
    assert_eq!(world.count("SELECT COUNT(*) AS count FROM iot_credentials WHERE status = 'connected'"), 1);
}

#[test]
fn a_refresh_token_is_used_where_one_was_given_and_the_code_when_it_is_refused() {
    let mut world = World::with(settings());
    let shelly = world.cloud();
    let secrets = Secrets { code: Secret::new("c0de"), refresh: Secret::new("r1"), ..Secrets::default() };
    world.account_with("s1", "a1", &secrets, &key(1), Status::Connected, true);
    shelly.says(AUTH, 401, json!(null));
    world.restart();
    world.pass(1_500);
    let asked = shelly.asked(AUTH);
    assert_eq!(
        asked,
        [
            "client_id=shelly-diy&grant_type=refresh_token&refresh_token=r1",
            "client_id=shelly-diy&grant_type=code&code=c0de"
        ]
    );
}

#[test]
fn calls_of_an_account_keep_their_distance_and_wait_as_the_cloud_says() {
    let (mut world, shelly, _) = world();
    shelly.says(ALL_STATUS, 429, json!(null));
    shelly.retry_after("30");
    world.opens();
    world.pass(29_000);
    assert_eq!(shelly.asked(ALL_STATUS).len(), 1);
    world.pass(2_000);
    assert_eq!(shelly.asked(ALL_STATUS).len(), 1);
}

#[test]
fn a_401_renews_the_token_and_asks_again_once() {
    let (mut world, shelly, _) = world();
    shelly.says(ALL_STATUS, 401, json!(null));
    world.opens();
    world.pass(3_000);
    assert_eq!((shelly.asked(ALL_STATUS).len(), shelly.asked(AUTH).len()), (2, 1), "no loop");
    world.pass(60_000);
    assert!(shelly.asked(AUTH).len() < 8);
}

#[test]
fn a_cloud_that_answers_nonsense_leaves_the_socket_open() {
    let (mut world, shelly, watcher) = world();
    shelly.says(ALL_STATUS, 200, json!("<html>"));
    let link = world.opens();
    world.pass(10);
    world.heard(watcher);
    world.plug_says(link, ON());
    assert_eq!(world.hears(watcher, "device-update")["relayOn"], true);
    shelly.says(ALL_STATUS, 200, devices(&[("194279021665684", true, ON())]));
    world.pass(10_000);
    assert!(world.all(watcher, "device-update").iter().any(|told| told["type"] == "initial-sync-done"));
}

#[test]
fn presence_is_a_transition_of_its_own() {
    let (mut world, _, watcher) = world();
    let link = world.opens();
    world.pass(10);
    world.plug_says(link, ON());
    world.heard(watcher);
    let online = |flag: Value| json!({"event": "Shelly:Online", "device": {"id": "194279021665684"}, "online": flag});
    world.cloud_says(link, &online(json!(0)));
    let told = world.all(watcher, "device-offline-status");
    assert_eq!((told.len(), &told[0]["reason"]), (1, &json!("shelly_online_event")));
    world.cloud_says(link, &online(json!(0)));
    world.cloud_says(link, &online(json!(null)));
    assert!(world.heard(watcher).is_empty());
    world.cloud_says(link, &online(json!(1)));
    let told = world.hears(watcher, "device-offline-status");
    assert_eq!(
        (&told["online"], &told["relayOn"], &told["currentPower"], &told["stateKnown"]),
        (&json!(true), &json!(null), &json!(null), &json!(false))
    );
    world.cloud_says(link, &json!({"event": "Shelly:Online", "deviceId": "99999999999999", "online": 1}));
    assert_eq!(world.metric("iot_status_total", "unmapped"), 1.0);
}

#[test]
fn secrets_of_another_key_make_an_error_of_one_account_and_older_keys_are_sealed_anew() {
    let old = Settings { encryption_key: key(2), encryption_keys_old: vec![key(1)], ..settings() };
    let mut world = World::with(old);
    world.cloud();
    world.account("s1", "a1", 43_200);
    let secrets = Secrets {
        code: Secret::new("c"),
        access: Secret::new("t"),
        ends_at: WallMillis(u64::MAX),
        ..Secrets::default()
    };
    world.account_with("s1", "a2", &secrets, &key(9), Status::Connected, true);
    world.restart();
    world.pass(1_000);
    assert!(world.dialled().is_some(), "the other account is not affected");
    assert_eq!(world.count("SELECT COUNT(*) AS count FROM iot_credentials WHERE status = 'error' AND id = 'a2'"), 1);
    assert_eq!(world.count("SELECT COUNT(*) AS count FROM iot_connections WHERE status = 'error'"), 1);
    let ring = crate::apps::iot::wire::seal::Keyring::new(&key(2), &[]);
    let sealed = world.store.rows::<crate::apps::iot::credential::Credential>(crate::app::sql::Statement::new(
        "SELECT * FROM iot_credentials WHERE id = 'a1'",
    ));
    let opened = ring.open("a1", &sealed[0].sealed).expect("it is sealed by the new key");
    assert!(!opened.is_old && opened.secret.expose().contains("tok1"));
}

#[test]
fn boot_opens_what_was_connected_and_flagged_and_the_rest_goes_offline() {
    let mut world = World::with(settings());
    world.cloud();
    let secrets = Secrets { access: Secret::new("t"), ends_at: WallMillis(u64::MAX), ..Secrets::default() };
    world.account_with("s1", "a1", &secrets, &key(1), Status::Connected, false);
    world.restart();
    let watcher = world.watcher("s1", "admin");
    world.pass(100_000);
    assert!(world.dialled().is_none());
    world.hears_nothing(watcher, "connection-status");
}

#[test]
fn devices_that_were_online_stay_so_until_the_first_socket_says_otherwise() {
    let mut world = World::with(settings());
    let shelly = world.cloud();
    world.account("s1", "a1", 43_200);
    world.restart();
    let link = world.opens();
    world.plug_says(link, ON());
    world.pass(1_000);
    assert!(world.devices()[0].online);
    world.restart();
    let watcher = world.watcher("s1", "viewer");
    world.pass(1_000);
    world.hears_nothing(watcher, "device-offline-status");
    shelly.says(ALL_STATUS, 200, devices(&[]));
    world.opens();
    world.pass(1_000);
    assert_eq!(world.hears(watcher, "device-offline-status")["online"], false, "its account knows nothing of it");
    let link = world.only_link();
    world.plug_says(link, ON());
    world.pass(1_000);
    world.restart();
    let watcher = world.watcher("s1", "viewer");
    let link = crate::app::link::LinkId::Dialled(crate::app::Token(world.dialled().unwrap()));
    world.link_ends(link, LinkEnd::Failed(crate::app::fetch::FetchFailure::Tls));
    assert_eq!(world.hears(watcher, "device-offline-status")["reason"], "websocket_disconnected");
}

#[test]
fn those_who_lose_the_cloud_together_come_back_spread() {
    let mut world = World::with(settings());
    world.cloud();
    for number in 0..200 {
        world.account(&format!("t{number}"), &format!("a{number}"), 43_200);
    }
    world.restart();
    let dialled =
        |world: &World| (1..20_000).filter(|token| world.link_dialled(*token).is_some()).collect::<Vec<u64>>();
    let links = dialled(&world);
    assert_eq!(links.len(), 200);
    for token in &links {
        world.link_opens(*token, None);
    }
    world.pass(6_000);
    for token in links {
        world.cloud_closes(crate::app::link::LinkId::Dialled(crate::app::Token(token)));
    }
    let mut counts = Vec::new();
    for _ in 0..25 {
        world.pass(100);
        counts.push(dialled(&world).len());
    }
    assert_eq!(counts[0], 0);
    for _ in 0..40 {
        world.pass(100);
        counts.push(dialled(&world).len());
    }
    let most = counts.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap();
    assert_eq!(*counts.last().unwrap(), 200, "within the delay and a fifth");
    assert!(most < 40, "{counts:?}");
}
