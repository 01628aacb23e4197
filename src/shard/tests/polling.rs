//! Protocol 2.3: HTTP long-polling, row by row.

use super::world;

#[test]
fn a_handshake_is_the_body_of_the_first_get() {
    let world = world(2);
    let poller = world.polling("/lab-root");
    let sid = poller.sid;
    assert_eq!(
        poller.opened,
        format!(
            "200 0{{\"sid\":\"{sid}\",\"upgrades\":[\"websocket\"],\"pingInterval\":25000,\"pingTimeout\":20000,\"maxPayload\":1000000}}"
        )
    );
}
