//! What HTTP is answered, by way of signage's rows: who may see a snapshot, and where each call is decided.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::world::World;
use crate::app::identity::{AuthMethod, Claims, Identity};
use crate::app::route::{Place, Route};
use crate::apps::signage::ROW;

/// A snapshot of `p1`, which is of group g1.
fn shown_by_a_player(world: &mut World) -> String {
    let (p1, admin) = (world.player("p1", "g1"), world.admin());
    let data = format!("data:image/png;base64,{}", STANDARD.encode(b"\x89PNG\r\n\x1a\n snapshot"));
    world.send(p1, "player:state", json!({"snapshot": {"data": data}}));
    let state = world.asks(admin, "device:state", json!({"deviceId": "p1"}));
    let url = state["state"]["snapshot"]["url"].as_str().unwrap_or_else(|| panic!("no snapshot in {state}")).to_owned();
    url.strip_prefix("/signage/snapshots/").unwrap().to_owned()
}

fn somebody(role: &str, groups: &[&str], tenant: Option<&str>, device: Option<&str>) -> Arc<Identity> {
    let claims = Claims {
        sub: role.into(),
        role: role.into(),
        groups: groups.iter().map(|group| (*group).to_owned()).collect(),
        tenant_id: tenant.map(str::to_owned),
        device_id: device.map(str::to_owned),
        method: AuthMethod::Jwt,
        ..Claims::default()
    };
    Arc::new(claims.into())
}

fn see(world: &mut World, id: &str, who: Arc<Identity>) -> (u16, Value) {
    world.requests(&ROW, "GET", &format!("/signage/snapshots/{id}"), Some(who));
    world.replies.pop().expect("an answer")
}

#[test]
fn who_may_see_a_snapshot() {
    let mut world = World::new();
    let id = shown_by_a_player(&mut world);
    for (who, status) in [
        (somebody("admin", &[], None, None), 200),
        (somebody("admin", &[], Some(""), None), 200),
        (somebody("viewer", &[], None, None), 403),
        (somebody("viewer", &["g1"], None, None), 200),
        (somebody("operator", &["g2"], None, None), 403),
        (somebody("admin", &[], Some("acme"), None), 403),
        (somebody("admin", &[], Some(&"x".repeat(300)), None), 403),
        (somebody("driver", &[], None, None), 403),
        (somebody("device", &[], None, Some("p1")), 200),
        (somebody("device", &[], None, Some("p2")), 403),
    ] {
        let (got, body) = see(&mut world, &id, who.clone());
        assert_eq!(got, status, "{who:?}: {body}");
        match status {
            200 => assert_eq!(body, json!({"shelf": "snapshots", "id": id})),
            _ => assert_eq!(body["error"]["code"], "FORBIDDEN"),
        }
    }
}

#[test]
fn a_snapshot_that_is_not_there_is_404_and_a_failing_store_503() {
    let mut world = World::new();
    let id = shown_by_a_player(&mut world);
    let admin = || somebody("admin", &[], None, None);
    for id in ["short", "abcdefghijklmnopqrst", "..%2f..%2fetc%2fpasswd00"] {
        let (status, body) = see(&mut world, id, admin());
        assert_eq!((status, &body["error"]["code"]), (404, &json!("SNAPSHOT_NOT_FOUND")), "{id}");
    }
    world.store.down = true;
    assert_eq!(see(&mut world, &id, admin()).0, 503);
}

#[test]
fn the_operators_calls_go_to_the_fleet_they_name() {
    let long = "x".repeat(300);
    for (method, target, expected) in [
        ("GET", "/signage/devices", Ok("default")),
        ("GET", "/signage/devices?fleet=acme", Ok("acme")),
        ("POST", "/signage/devices/p%201/issue?fleet=", Ok("default")),
        ("POST", "/signage/devices/p1/revoke?fleet=a%26b", Ok("a&b")),
        ("GET", "/signage/failures?limit=99999", Ok("default")),
        ("GET", "/signage/failures?limit=x", Err(400)),
        ("GET", &format!("/signage/devices?fleet={long}"), Err(400)),
        ("POST", &format!("/signage/devices/{long}/issue"), Err(400)),
    ] {
        let mut world = World::new();
        let (route, call) = crate::testing::found(&ROW, method, target, None);
        let place = (route.home)(&call).map_err(|refused| refused.status);
        let expected = expected.map(|fleet| Place::At(crate::app::Home::Tenant(fleet.to_owned())));
        assert_eq!(place, expected, "{method} {target}");
        world.call(method, target);
        let (status, body) = world.replies.pop().expect("an answer");
        assert_eq!(status == 400, expected.is_err(), "{method} {target}: {status} {body}");
    }
}

/// Every row is answered by the handler, whatever it says.
#[test]
fn every_route_has_an_answer() {
    let mut world = World::new();
    for Route { method, path, .. } in ROW.http.routes {
        let target = format!("/signage{}", path.replace("{device}", "p1").replace("{id}", "abcdefghijklmnopqrst"));
        world.requests(&ROW, method.name(), &target, Some(somebody("admin", &[], None, None)));
        assert!(world.replies.pop().is_some(), "{target}");
    }
}
