//! An application that dials one link and lets devices in, scripted from the other side.

use std::sync::Arc;

use super::*;
use crate::app::effect::Effects;
use crate::app::fetch::FetchFailure;
use crate::app::identity::Identity;
use crate::app::route::Bare;
use crate::app::settings::Chosen;
use crate::app::{Application, Asked, AuthFailure, Context, Home, Refusal, Tally};

static RELAY: Row = Row {
    links: &[LinkPath {
        path: "/devices/{device}",
        doc: "",
        bare: Bare::No,
        headers: &["authorization"],
        home: |arrival| match arrival.header("authorization") {
            Some(_) => Ok(Home::Tenant(arrival.param("device").to_owned())),
            None => Err(Refused::new(401, "UNAUTHORIZED", "who is it?")),
        },
    }],
    ..Row::new("relay", "", &["/relay"], || Chosen::<()>::untold(|()| Box::new(Relay)))
};

/// Dials one link when it starts, again when that is over, and tells it whatever a device says.
struct Relay;

const CLOUD: LinkId = LinkId::Dialled(Token(1));

impl Application for Relay {
    fn admit(&self, verified: Result<Arc<Identity>, AuthFailure>, _: &Asked<'_>) -> Result<Arc<Identity>, Refusal> {
        Ok(verified.unwrap_or_default())
    }
    fn home(&self, _: &Identity) -> Home {
        Home::Local
    }
    fn handle(&mut self, _: &mut Context<'_>, input: AppInput, fx: &mut Effects) {
        let dial = || Dial::WebSocket(WebSocketDial::new("wss://cloud.example/"));
        match input {
            AppInput::Started | AppInput::Link { link: CLOUD, event: LinkEvent::Closed { .. } } => {
                fx.open(Token(1), dial());
            }
            AppInput::Link { link, event: LinkEvent::Arrived(arrival) } if arrival.param("device") == "stolen" => {
                fx.refuse_link(link, 403, "no");
            }
            AppInput::Link { link, event: LinkEvent::Arrived(arrival) } => {
                let subprotocol = arrival.subprotocols.first().cloned();
                fx.admit(link, Admission { subprotocol, ..Admission::default() });
            }
            AppInput::Link { link, event: LinkEvent::Message(LinkMessage::Text(text)) } => match &*text {
                "bye" => fx.close_link(link, 4_000, "well"),
                "again" => fx.open(Token(1), dial()),
                _ => fx.tell(CLOUD, LinkMessage::Text(text)),
            },
            _ => {}
        }
    }
    fn name(&self) -> &'static str {
        "relay"
    }
    fn tally(&self) -> Tally {
        Tally::default()
    }
}

#[test]
fn links_that_are_dialled_and_that_arrive_are_scripted() {
    let mut world = World::of(|| Relay, &[], &[]);
    assert_eq!(world.link_dialled(1).unwrap().url, "wss://cloud.example/");
    world.link_opens(1, None);
    let refused = world.link_arrives(&RELAY, "/devices/d1", &[], &[]).unwrap_err();
    assert_eq!(refused.status, 401);
    let headers = [("authorization", "x"), ("cookie", "y")];
    let stolen = world.link_arrives(&RELAY, "/devices/stolen", &headers, &[]).unwrap();
    assert_eq!(world.link_left(stolen), Some(&(403, "no".to_owned())));
    let device = world.link_arrives(&RELAY, "/devices/d1?a=b", &headers, &["v1"]).unwrap();
    assert_eq!(world.link_admission(device).unwrap().subprotocol.as_deref(), Some("v1"));
    world.link_says(device, LinkMessage::text("hello"));
    assert_eq!(world.link_told(CLOUD), [LinkMessage::text("hello")]);
    world.link_ends(CLOUD, LinkEnd::Failed(FetchFailure::Cut));
    assert!(world.link_dialled(1).is_some() && world.link_told(CLOUD).is_empty(), "it is another one");
    world.link_says(device, LinkMessage::text("bye"));
    assert_eq!(world.link_left(device), Some(&(4_000, "well".to_owned())));
}

#[test]
fn a_link_that_is_paused_or_held_says_nothing_until_it_is_read() {
    let mut world = World::of(|| Relay, &[], &[]);
    let headers = [("authorization", "x")];
    let device = world.link_arrives(&RELAY, "/devices/d1", &headers, &[]).unwrap();
    world.order(device, LinkOrder::Pause);
    world.link_flow(device, Flow::Hold);
    world.link_says(device, LinkMessage::text("1"));
    world.order(device, LinkOrder::Resume);
    assert_eq!(world.link_told(CLOUD), [], "it is held still");
    world.link_flow(device, Flow::Release);
    world.run();
    assert_eq!(world.link_told(CLOUD), [LinkMessage::text("1")]);
    world.link_flow(device, Flow::Cut);
    world.run();
    assert!(world.link_admission(device).is_none());
}
