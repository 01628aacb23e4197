//! Dialled links over real sockets: a daemon of two cores whose application dials what its people ask for, and says to each what
//! happens.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_tungstenite::accept_async;
use tokio_tungstenite::tungstenite::Message;

use super::testing::{self, Client, join, next};
use crate::api::backend::Backend as _;
use crate::app::effect::{Effects, Token};
use crate::app::event::AppInput;
use crate::app::fetch::FetchFailure;
use crate::app::identity::Identity;
use crate::app::link::{Dial, LinkEnd, LinkEvent, LinkId, LinkMessage, WebSocketDial};
use crate::app::settings::Chosen;
use crate::app::table::{Row, Table};
use crate::app::{Application, Asked, AuthFailure, Context, Home, Refusal, Tally};
use crate::base::ids::SocketRef;

static TABLE: Table = Table { rows: &[ROW], paths: &[], fixture: &ROW };

const ROW: Row = Row::new("caller", "", &["/caller"], || Chosen::<()>::untold(|()| Box::new(Calling::default())));

/// `dial URL` opens a link, `say TEXT` and `close` are about the newest one of the same person, who hears `opened`, `message`,
/// `closed`, and nothing of what floods. Each person is at home by name.
#[derive(Default)]
struct Calling {
    owners: Vec<SocketRef>,
    newest: BTreeMap<SocketRef, LinkId>,
    flooded: u64,
}

impl Calling {
    fn event(&mut self, socket: SocketRef, name: &str, arg: String, fx: &mut Effects) {
        if name == "dial" {
            let token = Token(self.owners.len() as u64);
            self.owners.push(socket);
            self.newest.insert(socket, LinkId::Dialled(token));
            let dial = WebSocketDial { open_timeout_ms: 60_000, ..WebSocketDial::new(arg) };
            return fx.open(token, Dial::WebSocket(dial));
        }
        let link = self.newest[&socket];
        match name {
            "say" => fx.tell(link, LinkMessage::Text(arg)),
            "shout" => (0..2_000).for_each(|_| fx.tell(link, LinkMessage::text("x".repeat(4_096)))),
            _ => fx.close_link(link, 1_000, ""),
        }
    }
}

impl Application for Calling {
    fn admit(&self, verified: Result<Arc<Identity>, AuthFailure>, _: &Asked<'_>) -> Result<Arc<Identity>, Refusal> {
        Ok(verified.unwrap_or_default())
    }
    fn home(&self, identity: &Identity) -> Home {
        Home::Tenant(identity.sub().to_owned())
    }
    fn handle(&mut self, _: &mut Context<'_>, input: AppInput, fx: &mut Effects) {
        match input {
            AppInput::Connect(connect) => fx.accept(connect.socket),
            AppInput::Event(event) => {
                self.event(event.socket, &event.args.name(), event.args.parse(0).unwrap_or_default(), fx);
            }
            AppInput::Link { link: LinkId::Dialled(token), event } => {
                let owner = self.owners[token.0 as usize];
                match event {
                    LinkEvent::Opened { .. } => fx.emit(owner, "opened", &()),
                    LinkEvent::Message(LinkMessage::Text(text)) => fx.emit(owner, "message", &text),
                    LinkEvent::Message(LinkMessage::Binary(_)) => self.flooded += 1,
                    LinkEvent::Closed { why } => fx.emit(owner, "closed", &why.label()),
                    LinkEvent::Arrived(_) => {}
                }
            }
            AppInput::Draining => {
                self.newest.values().for_each(|link| fx.tell(*link, LinkMessage::text("farewell")));
            }
            _ => {}
        }
    }
    fn name(&self) -> &'static str {
        "caller"
    }
    fn tally(&self) -> Tally {
        Tally { handled: self.flooded, ..Tally::default() }
    }
}

async fn send(client: &mut Client, name: &str, arg: &str) {
    client.send(Message::text(format!("42/caller,[\"{name}\",\"{arg}\"]"))).await.unwrap();
}

async fn hears(client: &mut Client, said: &str) {
    assert_eq!(next(client).await, format!("42/caller,[{said}]"));
}

/// A peer that says back what it hears; below `/flood` it speaks without end, below `/deaf` it does not read. Gives what it
/// has heard.
async fn peer() -> (SocketAddr, mpsc::UnboundedReceiver<Message>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, heard) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let sender = sender.clone();
            tokio::spawn(async move {
                let mut first = [0; 64];
                let count = stream.peek(&mut first).await.unwrap();
                let Ok(mut socket) = accept_async(stream).await else { return };
                if first[..count].starts_with(b"GET /deaf") {
                    return std::future::pending().await;
                }
                let floods = first[..count].starts_with(b"GET /flood");
                while floods && socket.send(Message::binary(vec![0; 100])).await.is_ok() {}
                while let Some(Ok(message)) = socket.next().await {
                    let _ = sender.send(message.clone());
                    if message.is_text() {
                        let _ = socket.send(message).await;
                    }
                }
            });
        }
    });
    (address, heard)
}

fn serve() -> (SocketAddr, Arc<super::backend::Daemon>) {
    testing::serve(&TABLE, |plan| plan.upstream.allow = vec!["127.0.0.1/32".parse().unwrap()])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_link_is_heard_in_order_at_the_home_that_opened_it() {
    let ((daemon, backend), (peer, _heard)) = (serve(), peer().await);
    // With eight people both cores are somebody's home, and somebody's home is not the core of the socket.
    for name in 0..8 {
        let mut client = join(daemon, "/caller", &format!("person-{name}")).await;
        send(&mut client, "dial", "ws://10.0.0.1/").await;
        hears(&mut client, r#""closed","forbidden""#).await;
        send(&mut client, "dial", &format!("ws://{peer}/")).await;
        for number in 0..50 {
            send(&mut client, "say", &number.to_string()).await;
        }
        hears(&mut client, r#""opened",null"#).await;
        for number in 0..50 {
            hears(&mut client, &format!(r#""message","{number}""#)).await;
        }
        send(&mut client, "close", "").await;
        hears(&mut client, r#""closed","ours""#).await;
    }
    let samples = backend.scrape().await;
    let [links] = &samples[0].links[..] else { panic!("of one application: {:?}", samples[0].links) };
    assert_eq!((links.app, links.opened, links.messages_sent, links.messages_received), ("caller", 8, 400, 400));
    let (ours, forbidden) = (LinkEnd::Ours.place(), LinkEnd::Failed(FetchFailure::Forbidden).place());
    assert_eq!((links.closed[ours], links.closed[forbidden], links.attempts()), (8, 8, 16));
    assert!(samples[1].links.is_empty(), "they are the process's and shown once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn peers_that_are_silent_do_not_read_or_flood_are_in_no_turn_of_a_shard() {
    let ((daemon, backend), (peer, _heard)) = (serve(), peer().await);
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let mut people = Vec::new();
    for name in 0..4 {
        let mut client = join(daemon, "/caller", &format!("person-{name}")).await;
        send(&mut client, "dial", &format!("ws://{}/", silent.local_addr().unwrap())).await;
        for _ in 0..4 {
            send(&mut client, "dial", &format!("ws://{peer}/flood")).await;
            hears(&mut client, r#""opened",null"#).await;
        }
        send(&mut client, "dial", &format!("ws://{peer}/deaf")).await;
        hears(&mut client, r#""opened",null"#).await;
        send(&mut client, "shout", "").await;
        hears(&mut client, r#""closed","too_slow""#).await;
        people.push(client);
    }
    for client in &mut people {
        send(client, "dial", &format!("ws://{peer}/")).await;
        hears(client, r#""opened",null"#).await;
        for number in 0..20 {
            send(client, "say", &number.to_string()).await;
            hears(client, &format!(r#""message","{number}""#)).await;
        }
    }
    let samples = backend.scrape().await;
    let links = &samples[0].links[0];
    assert_eq!((links.opening, links.open), (4, 20), "the silent ones are waited for, the flooding ones are there");
    assert!(samples.iter().flat_map(|sample| &sample.events).map(|event| event.count).sum::<u64>() > 1_000);
    for sample in &samples {
        let (_, short) = sample.turn_us.cumulative().find(|(bound, _)| *bound == LONG_TURN_US).unwrap();
        assert_eq!(short, sample.turn_us.count(), "{:?}", sample.turn_us);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_drain_closes_links_behind_the_last_words_of_their_homes() {
    let ((daemon, backend), (peer, mut heard)) = (serve(), peer().await);
    let mut client = join(daemon, "/caller", "ana").await;
    send(&mut client, "dial", &format!("ws://{peer}/")).await;
    hears(&mut client, r#""opened",null"#).await;
    backend.drain_shards(Duration::from_secs(60));
    assert_eq!(heard.recv().await, Some(Message::text("farewell")));
    let last = heard.recv().await;
    assert!(matches!(&last, Some(Message::Close(Some(frame))) if u16::from(frame.code) == 1_001), "{last:?}");
}

/// A second.
const LONG_TURN_US: u64 = 1 << 20;
