//! What dashboards do to the connection of an account: one action after the other, and what is left of the flag.

use serde_json::json;

use super::cloud::{ON, world};
use super::shelly::{AUTH, grant, settings};
use super::world::World;
use crate::app::link::LinkEnd;

/// Somebody acts on the connection of an account.
fn acts(world: &mut World, account: &str, action: &str) {
    world.says("s1", json!({"account": account, "act": action}));
}

fn flag(world: &World) -> u64 {
    world.count("SELECT COUNT(*) AS count FROM iot_connections WHERE autoReconnect = 1 AND type = 'SHELLY'")
}

#[test]
fn the_flag_is_flipped_alone_and_is_read_when_the_socket_closes() {
    let (mut world, _, watcher) = world();
    let link = world.opens();
    world.pass(10);
    world.heard(watcher);
    acts(&mut world, "a1", "toggle-reconnect");
    let told = world.hears(watcher, "connection-status");
    assert_eq!((&told["status"], &told["autoReconnect"]), (&json!("connected"), &json!(false)));
    assert!(world.link_left(link).is_none(), "it neither opens nor closes");
    world.pass(1_000);
    assert_eq!(flag(&world), 0);
    world.cloud_closes(link);
    assert_eq!(world.hears(watcher, "connection-status")["status"], "disconnected");
    world.pass(100_000);
    assert!(world.dialled().is_none());
    assert!(world.logged().contains(&"reconnect_skipped".to_owned()));
    acts(&mut world, "a1", "start");
    world.opens();
    let told = world.all(watcher, "connection-status");
    let last = told.last().unwrap();
    assert_eq!((&last["status"], &last["autoReconnect"]), (&json!("connected"), &json!(true)));
    world.pass(1_000);
    assert_eq!(flag(&world), 1);
}

#[test]
fn the_flag_is_read_again_when_the_delay_ends_and_a_stop_ends_the_delay() {
    let (mut world, _, _) = world();
    let link = world.opens();
    world.pass(6_000);
    world.cloud_closes(link);
    acts(&mut world, "a1", "toggle-reconnect");
    world.pass(20_000);
    assert!(world.dialled().is_none());
    assert_eq!(world.logged().iter().filter(|kind| *kind == "reconnect_skipped").count(), 1);
    acts(&mut world, "a1", "start");
    let link = world.opens();
    world.pass(6_000);
    world.cloud_closes(link);
    acts(&mut world, "a1", "stop");
    world.pass(600_000);
    assert!(world.dialled().is_none());
    assert_eq!(flag(&world), 0);
}

#[test]
fn a_stop_is_told_of_its_devices_and_a_restart_comes_back_after_a_second() {
    let (mut world, _, watcher) = world();
    let link = world.opens();
    world.pass(10);
    world.plug_says(link, ON());
    world.heard(watcher);
    acts(&mut world, "a1", "stop");
    assert_eq!(world.hears(watcher, "device-offline-status")["reason"], "manual_stop");
    assert!(world.link_left(link).is_some() && world.dialled().is_none());
    acts(&mut world, "a1", "start");
    world.opens();
    acts(&mut world, "a1", "restart");
    // What comes meanwhile waits for it.
    acts(&mut world, "a1", "stop");
    world.pass(900);
    assert!(world.dialled().is_none());
    world.pass(200);
    world.opens();
    assert!(world.dialled().is_none(), "the stop behind it");
    world.pass(1_000);
    assert_eq!(flag(&world), 0);
    let logged = world.logged();
    assert_eq!(logged.iter().filter(|kind| *kind == "action").count(), 4);
    assert_eq!(logged.iter().filter(|kind| *kind == "action_success").count(), 4);
}

#[test]
fn there_is_one_socket_however_often_a_start_is_asked_for() {
    let (mut world, _, _) = world();
    let dials = |world: &World| (1..10_000).filter(|token| world.link_dialled(*token).is_some()).count();
    acts(&mut world, "a1", "start");
    acts(&mut world, "a1", "start");
    assert_eq!(dials(&world), 1);
    world.opens();
    acts(&mut world, "a1", "start");
    assert_eq!(dials(&world), 1);
    assert_eq!(world.logged().iter().filter(|kind| *kind == "action_success").count(), 3);
}

#[test]
fn a_start_that_fails_says_so_and_goes_on_trying() {
    let (mut world, _, watcher) = world();
    let link = crate::app::link::LinkId::Dialled(crate::app::Token(world.dialled().unwrap()));
    acts(&mut world, "a1", "start");
    world.heard(watcher);
    world.link_ends(link, LinkEnd::Failed(crate::app::fetch::FetchFailure::Refused));
    let told = world.hears(watcher, "connection-status");
    assert_eq!((&told["status"], &told["error"]), (&json!("reconnecting"), &json!("refused")));
    assert!(world.logged().contains(&"action_error".to_owned()));
    world.pass(7_000);
    assert!(world.dialled().is_some());
}

#[test]
fn a_token_is_renewed_when_somebody_wants_it() {
    let (mut world, shelly, _) = world();
    let link = world.opens();
    world.pass(2_000);
    acts(&mut world, "a1", "refresh-token");
    world.pass(100);
    assert_eq!(shelly.asked(AUTH).len(), 1);
    assert!(world.link_left(link).is_none());
    assert!(world.logged().contains(&"action_success".to_owned()));
}

#[test]
fn an_account_that_was_over_opens_when_a_token_is_given_again() {
    let mut world = World::with(settings());
    let shelly = world.cloud();
    shelly.says(AUTH, 400, json!({"isok": false}));
    world.account("s1", "a1", 0);
    world.restart();
    world.pass(60_000);
    assert_eq!((shelly.asked(AUTH).len(), world.dialled()), (1, None));
    shelly.says(AUTH, 200, grant("tok2", 43_200));
    acts(&mut world, "a1", "refresh-token");
    world.pass(2_000);
    assert_eq!(shelly.asked(AUTH).len(), 1);
    assert!(world.dialled().is_some());
    assert_eq!(world.count("SELECT COUNT(*) AS count FROM iot_credentials WHERE status = 'connected'"), 1);
}
