//! Requests to the outside over real sockets: a daemon of two cores whose application is asked by events, asks a peer, and
//! answers with what came.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use futures_util::SinkExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_tungstenite::tungstenite::Message;

use super::testing::{self, Client, join, next};
use crate::api::backend::Backend as _;
use crate::app::effect::{Effect, Effects, Token};
use crate::app::event::AppInput;
use crate::app::fetch::Fetch;
use crate::app::identity::Identity;
use crate::app::job::{Job, Outcome};
use crate::app::route::Method;
use crate::app::settings::Chosen;
use crate::app::table::{Row, Table};
use crate::app::{Application, Asked, AuthFailure, Context, Home, Refusal, Tally};
use crate::base::ids::SocketRef;

static TABLE: Table = Table { rows: &[ROW], paths: &[], fixture: &ROW };

const ROW: Row = Row::new("asker", "", &["/asker"], || Chosen::<()>::untold(|()| Box::new(Asking::default())));

/// `fetch URL` is answered with the status and the text of what came, or with the failure. Each person is at home by name.
#[derive(Default)]
struct Asking {
    asked: Vec<(SocketRef, Option<u64>)>,
}

impl Application for Asking {
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
                let url = event.args.parse::<String>(0).unwrap_or_default();
                let fetch = Fetch { timeout_ms: 60_000, ..Fetch::new(Method::Get, url) };
                fx.push(Effect::Job { job: Job::Fetch(fetch), token: Some(Token(self.asked.len() as u64)) });
                self.asked.push((event.socket, event.ack));
            }
            AppInput::Done { token, outcome: Outcome::Fetched(came) } => {
                let (socket, ack) = self.asked[token.0 as usize];
                let said = match came {
                    Ok(fetched) => format!("{} {}", fetched.status, String::from_utf8_lossy(&fetched.body)),
                    Err(error) => error.kind.label().to_owned(),
                };
                fx.ack(socket, ack, &said);
            }
            _ => {}
        }
    }
    fn name(&self) -> &'static str {
        "asker"
    }
    fn tally(&self) -> Tally {
        Tally::default()
    }
}

async fn send(client: &mut Client, url: &str) {
    client.send(Message::text(format!("42/asker,1[\"fetch\",\"{url}\"]"))).await.unwrap();
}

/// A peer that greets whoever asks, but for `/never`, and for `/flood`, which has no end.
async fn peer() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut buffer = [0; 4_096];
                while let Ok(count @ 1..) = stream.read(&mut buffer).await {
                    let asked = &buffer[..count];
                    if asked.starts_with(b"GET /flood") {
                        let mut goes_on = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.is_ok();
                        while goes_on {
                            goes_on = stream.write_all(&[b'x'; 65_536]).await.is_ok();
                        }
                    } else if !asked.starts_with(b"GET /never") {
                        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello").await.unwrap();
                    }
                }
            });
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_event_asks_the_outside_and_is_answered_with_what_came() {
    let (daemon, backend) = testing::serve(&TABLE, |plan| plan.upstream.allow = vec!["127.0.0.1/32".parse().unwrap()]);
    let peer = peer().await;
    let (there, never, inner) = (format!("http://{peer}/"), format!("http://{peer}/never"), "http://10.0.0.1/");
    // With eight people both cores are somebody's home, and somebody's home is not the core of the socket.
    for name in 0..8 {
        let mut client = join(daemon, "/asker", &format!("person-{name}")).await;
        send(&mut client, &never).await;
        for (url, answer) in [(&*there, "200 hello"), (inner, "forbidden"), ("nowhere", "invalid")] {
            send(&mut client, url).await;
            assert_eq!(next(&mut client).await, format!("43/asker,1[\"{answer}\"]"), "while another one waits");
        }
    }
    let samples = backend.scrape().await;
    let [fetches] = &samples[0].fetches[..] else { panic!("of one application: {:?}", samples[0].fetches) };
    let came: Vec<_> = fetches.outcomes().filter(|(_, count)| *count > 0).collect();
    assert_eq!(came, [("2xx", 8), ("invalid", 8), ("forbidden", 8)]);
    assert_eq!((fetches.app, fetches.in_flight, fetches.bytes_received), ("asker", 8, 40));
    assert!(samples[1].fetches.is_empty(), "they are the process's and shown once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn peers_that_are_silent_or_flood_are_in_no_turn_of_a_shard() {
    let (daemon, backend) = testing::serve(&TABLE, |plan| plan.upstream.allow = vec!["127.0.0.1/32".parse().unwrap()]);
    let (silent, flooding) = (peer().await, peer().await);
    let mut client = join(daemon, "/asker", "ana").await;
    for _ in 0..100 {
        send(&mut client, &format!("http://{silent}/never")).await;
        send(&mut client, &format!("http://{flooding}/flood")).await;
    }
    for _ in 0..100 {
        assert_eq!(next(&mut client).await, "43/asker,1[\"too_large\"]");
    }
    let samples = backend.scrape().await;
    assert_eq!(samples[0].fetches[0].in_flight, 100, "the silent one is still waited for");
    for sample in samples {
        // The silent peer keeps its askers waiting for longer than that, and no turn has waited with them.
        let (_, short) = sample.turn_us.cumulative().find(|(bound, _)| *bound == LONG_TURN_US).unwrap();
        assert_eq!(short, sample.turn_us.count(), "{:?}", sample.turn_us);
    }
}

/// Four seconds.
const LONG_TURN_US: u64 = 1 << 22;
