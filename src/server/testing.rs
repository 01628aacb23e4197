//! A daemon in the process of a test, over real sockets.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use super::backend::Daemon;
use super::cores::{Cores, Parts};
use super::plan::Plan;
use crate::app::table::Table;
use crate::base::limit::Limits;
use crate::config::Config;
use crate::hashing::Hasher;
use crate::net::clock::Clock;
use crate::net::guard::Guard;
use crate::net::listen::{self, Address};
use crate::net::mailbox::Mailbox;
use crate::store::Store;
use crate::upstream::Upstream;

/// A daemon of two cores with these applications, its store as `adapt` says, else in memory.
pub(super) fn start(table: &'static Table, adapt: impl FnOnce(&mut crate::store::Settings)) -> SocketAddr {
    serve(table, |plan| adapt(&mut plan.store)).0
}

/// As [`start`], and whatever else `adapt` says. It lives as long as the test's process.
pub(super) fn serve(table: &'static Table, adapt: impl FnOnce(&mut Plan)) -> (SocketAddr, Arc<Daemon>) {
    let mut config = Config::untold(table);
    config.server.shards = 2;
    let mut plan = Plan::of(&config).unwrap();
    plan.store.url = "memory:".to_owned();
    adapt(&mut plan);
    let (store, upstream) = (Store::open(&plan.store).unwrap(), Upstream::start(&plan.upstream).unwrap());
    let hasher = Hasher::start(&plan.upstream.apps).unwrap();
    let at = Address { addr: ([127, 0, 0, 1], 0).into(), ipv6_only: false };
    let bound = listen::bind(at, 2, &Limits::default()).unwrap();
    let address = bound.0;
    let ends = (store.clone(), upstream.clone(), hasher.clone());
    let daemon = Daemon::new(&plan, (0..2).map(|_| Mailbox::default()).collect(), ends);
    let control = tokio::runtime::Handle::current();
    let (clock, guard) = (Clock { started: Instant::now() }, Guard::new(&Limits::default()));
    let parts = Parts { clock, guard, store, upstream, hasher, control, daemon: daemon.clone() };
    Cores::start(&plan, parts, vec![bound]).unwrap();
    (address, daemon)
}

/// A client that speaks Socket.IO over a WebSocket.
pub(super) type Client = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// The next packet that a client hears.
pub(super) async fn next(client: &mut Client) -> String {
    let message = tokio::time::timeout(Duration::from_secs(30), client.next()).await.expect("in time");
    message.unwrap().unwrap().into_text().unwrap().to_string()
}

/// A client of this name that has joined the namespace.
pub(super) async fn join(daemon: SocketAddr, nsp: &str, name: &str) -> Client {
    let url = format!("ws://{daemon}/socket.io/?EIO=4&transport=websocket");
    let (mut client, _) = tokio_tungstenite::connect_async(url).await.unwrap();
    assert!(next(&mut client).await.starts_with('0'));
    client.send(Message::text(format!("40{nsp},{{\"token\":\"{name}\"}}"))).await.unwrap();
    assert!(next(&mut client).await.starts_with(&format!("40{nsp},{{\"sid\"")));
    client
}
