//! WebSockets of others than Socket.IO clients, for load tests and tests of what the daemon does for them: each message comes back.
//!
//! | query | what happens |
//! |---|---|
//! | `home=KEY` | it is decided at the home of KEY; else on its own shard |
//! | `hold=1` | nothing is decided about it |
//! | `refuse=STATUS` | it is turned away |
//! | `ping=MS` | it is pinged after so long a silence, and has as long to answer |
//! | `max=BYTES` | its largest message |
//!
//! The first subprotocol that it offers is chosen. The text `close` closes it with 4000.

use crate::app::Home;
use crate::app::effect::Effects;
use crate::app::link::{Admission, Arrival, LinkEvent, LinkId, LinkMessage, LinkPath, Terms};
use crate::app::route::{Bare, Refused};

/// Where links arrive.
pub(super) const PATHS: &[LinkPath] =
    &[LinkPath { path: "/link", doc: "A WebSocket that echoes, for load tests.", bare: Bare::No, headers: &[], home }];

fn home(arrival: &Arrival) -> Result<Home, Refused> {
    match arrival.query_value("home") {
        Some(key) if key.is_empty() => Err(Refused::new(400, "VALIDATION", "a home has a name")),
        Some(key) => Ok(Home::Tenant(key)),
        None => Ok(Home::Local),
    }
}

/// Something happens to one.
pub(super) fn on_link(link: LinkId, event: LinkEvent, fx: &mut Effects) {
    match event {
        LinkEvent::Arrived(arrival) => on_arrived(link, &arrival, fx),
        LinkEvent::Message(LinkMessage::Text(text)) if text == "close" => fx.close_link(link, 4_000, "asked for"),
        LinkEvent::Message(message) => fx.tell(link, message),
        LinkEvent::Opened { .. } | LinkEvent::Closed { .. } => {}
    }
}

fn on_arrived(link: LinkId, arrival: &Arrival, fx: &mut Effects) {
    let number = |name| arrival.query_value(name).and_then(|text| text.parse::<u64>().ok());
    if let Some(status) = number("refuse") {
        return fx.refuse_link(link, status as u16, "not you");
    }
    if number("hold").is_some() {
        return;
    }
    let mut terms = Terms::default();
    if let Some(ping_ms) = number("ping") {
        (terms.ping_interval_ms, terms.ping_timeout_ms) = (ping_ms, ping_ms);
    }
    if let Some(bytes) = number("max") {
        terms.message_bytes_max = bytes as usize;
    }
    fx.admit(link, Admission { subprotocol: arrival.subprotocols.first().cloned(), terms });
}
