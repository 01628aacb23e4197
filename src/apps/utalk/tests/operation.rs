//! What `/admin` is told of the process, and what sinks are.

use serde_json::json;

use super::world::{ADMIN, APP, World, text_of};
use crate::app::fetch::{FetchError, FetchFailure};
use crate::apps::utalk::settings::{Alerts, Settings};

#[test]
fn everybody_on_admin_is_told_every_five_seconds_and_nobody_else() {
    let mut world = World::new();
    let admin = world.of_workspace("w1", "root", "admin", ADMIN);
    let other = world.of_workspace("w2", "root", "admin", ADMIN);
    let agent = world.person("ana", "agent");
    world.send(agent, "message:send", text_of("m1", "conv_test", "hola"));
    world.send(agent, "foo:bar", json!({}));
    world.forget(&[admin, other, agent]);
    world.pass(5_000);
    for id in [admin, other] {
        let told = world.heard(id).into_iter().filter(|(name, _)| name == "metrics:update").collect::<Vec<_>>();
        let [(_, update)] = &told[..] else { panic!("{told:?}") };
        assert_eq!(update["connections"], json!({"active": 3, "total": 3}));
        assert_eq!(update["events"]["perMinute"], json!(2));
        assert_eq!(update["errors"], json!({"connection": 0, "message": 1, "timeout": 0}));
        assert_eq!(update["latency"], json!({"average": 0, "p95": 0, "p99": 0}));
        assert!(update["timestamp"].as_str().is_some_and(|text| text.ends_with('Z')));
    }
    assert!(!world.names(agent).iter().any(|name| name == "metrics:update"));
}

#[test]
fn connects_that_are_refused_are_errors_of_connections() {
    let mut world = World::new();
    let admin = world.of_workspace("w1", "root", "admin", ADMIN);
    world.knocks("w1", "ana", "agent", ADMIN);
    world.brings(Err(crate::app::AuthFailure::Expired), APP);
    world.forget(&[admin]);
    world.pass(5_000);
    let (_, update) = world.heard(admin).pop().expect("it is told");
    assert_eq!(update["errors"]["connection"], json!(2));
}

#[test]
fn a_spike_is_told_to_admins_and_once_to_each_sink_which_is_tried_three_times() {
    let alerts = Alerts {
        connection_spike: 2,
        slack_url: "http://127.0.0.1:9/hook".to_owned(),
        pagerduty_url: "http://127.0.0.1:9/page".to_owned(),
        ..Alerts::default()
    };
    let mut world = World::with(Settings { alerts, ..Settings::default() });
    world.outside.says(|_| Err(FetchError::new(FetchFailure::Refused, "nobody")));
    let admin = world.of_workspace("w1", "root", "admin", ADMIN);
    let people: Vec<_> = (0..3).map(|n| world.person(&format!("p{n}"), "agent")).collect();
    world.forget(&[admin]);
    world.forget(&people);
    world.pass(5_000);
    let alerts: Vec<_> = world.heard(admin).into_iter().filter(|(name, _)| name == "alert").collect();
    let [(_, alert)] = &alerts[..] else { panic!("{alerts:?}") };
    assert_eq!((&alert["rule"], &alert["state"]), (&json!("connectionSpike"), &json!("firing")));
    assert_eq!((&alert["value"], &alert["threshold"]), (&json!(4.0), &json!(2.0)));
    world.pass(30_000);
    let asked = &world.outside.asked;
    assert_eq!(asked.len(), 3, "Slack three times, PagerDuty is told of errors alone");
    assert!(asked.iter().all(|fetch| fetch.url.ends_with("/hook")));
    world.pass(60_000);
    let ends: Vec<_> = world.heard(admin).into_iter().filter(|(name, _)| name == "alert").collect();
    assert_eq!(ends.len(), 1);
    assert_eq!(ends[0].1["state"], json!("resolved"));
}
