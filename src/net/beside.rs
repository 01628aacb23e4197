//! A listener beside the cores, such as the admin listener: a thread, an accept loop and places of its own, so that whatever
//! strangers do there costs the clients of the cores nothing. Its connections have the rules of all others ([`carry`]).

use std::io;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use axum::Router;
use bytes::{Bytes, BytesMut};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{LocalSet, spawn_local};
use tokio::time::timeout_at;
use tracing::{debug, warn};

use super::carry::carry;
use super::forwarded::Proxies;
use super::guard::{Guard, Place};
use super::http::route;
use super::linger::{Lingered, Lingering};
use super::listen::{self, Pace};
use super::proxy_head::{self, BadHead, ProxyHead};
use super::respond;
use super::visitor::{self, Refused};
use crate::base::limit::{ADMIN_CONNECTIONS_MAX, ADMIN_LINGERING_REFUSED_MAX, HEAD_TIMEOUT_MS, PROXY_HEAD_BYTES_MAX};

/// What a listener beside the cores consists of.
pub(crate) struct Beside {
    pub listener: std::net::TcpListener,
    /// Its own places.
    pub guard: Arc<Guard>,
    pub proxies: Proxies,
    /// Answers everything.
    pub router: Router,
    pub lingered: Arc<Lingered>,
}

/// What its connections share.
struct Shared {
    guard: Arc<Guard>,
    proxies: Proxies,
    router: Router,
    lingering: Arc<Lingering>,
    lingering_refused: Arc<Lingering>,
}

impl Beside {
    /// Serves on a thread of its own, called `name`, until the process ends.
    pub(crate) fn start(self, name: &str) -> io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let listener = {
            let _entered = runtime.enter();
            TcpListener::from_std(self.listener)?
        };
        let Beside { guard, proxies, router, lingered, .. } = self;
        let run = move || {
            let lingering = Lingering::new(ADMIN_CONNECTIONS_MAX, lingered.clone());
            let lingering_refused = Lingering::new(ADMIN_LINGERING_REFUSED_MAX, lingered);
            let shared = Rc::new(Shared { guard, proxies, router, lingering, lingering_refused });
            LocalSet::new().block_on(&runtime, accept(listener, shared));
        };
        thread::Builder::new().name(name.to_owned()).spawn(run)?;
        Ok(())
    }
}

async fn accept(listener: TcpListener, shared: Rc<Shared>) {
    let mut pace = Pace::default();
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                pace.on_accepted();
                let ip = peer.ip().to_canonical();
                match shared.proxies.admit(&shared.guard, ip) {
                    Ok(place) => drop(spawn_local(serve(shared.clone(), stream, ip, place))),
                    Err(limit) => {
                        debug!(target: "siod::listen", %ip, ?limit, "refused beside the cores");
                        listen::refuse(&stream, listen::BUSY);
                        shared.lingering_refused.end(stream, ());
                    }
                }
            }
            Err(error) if listen::is_of_one_connection(&error) => {}
            Err(error) => {
                let rest_ms = pace.on_error();
                warn!(target: "siod::listen", %error, rest_ms, "cannot accept beside the cores");
                tokio::time::sleep(Duration::from_millis(rest_ms)).await;
            }
        }
    }
}

/// One connection, which has its place until it ends.
async fn serve(shared: Rc<Shared>, mut stream: TcpStream, peer: IpAddr, mut place: Place) {
    let first = Instant::now() + Duration::from_millis(HEAD_TIMEOUT_MS);
    let (mut ip, mut early) = (peer, Bytes::new());
    if shared.proxies.announces(peer) {
        let Some(read) = read_head(&mut stream, first).await else { return };
        let welcome = read.map_err(Refused::Announced).and_then(|(head, behind)| {
            early = behind;
            let Some(client) = head.client else { return Ok(()) };
            ip = client;
            visitor::announce(&shared.proxies, client, &mut place)
        });
        if let Err(refused) = welcome {
            debug!(target: "siod::listen", %ip, ?refused, "refused beside the cores");
            listen::refuse(&stream, &refused.bytes());
            return shared.lingering.end(stream, place);
        }
    }
    let carried = carry(stream, early, first, |request| {
        let client = shared.proxies.client(ip, request.headers());
        let client = shared.proxies.check(request.headers()).and(client);
        let answer = client.map(|client| route(shared.router.clone(), client, request));
        async move {
            match answer {
                Ok(answer) => answer.await,
                Err(refused) => respond::forwarding(refused),
            }
        }
    });
    if let Some((stream, _)) = carried.await {
        shared.lingering.end(stream, place);
    }
}

/// The PROXY head at the start of a connection, and what has been read behind it. `None`: it ended before that, or is late.
async fn read_head(stream: &mut TcpStream, until: Instant) -> Option<Result<(ProxyHead, Bytes), BadHead>> {
    let mut bytes = BytesMut::with_capacity(PROXY_HEAD_BYTES_MAX);
    loop {
        match proxy_head::read(&bytes) {
            Err(bad) => return Some(Err(bad)),
            Ok(Some(head)) => return Some(Ok((head, bytes.split_off(head.bytes).freeze()))),
            Ok(None) => {}
        }
        let read = timeout_at(until.into(), stream.read_buf(&mut bytes)).await;
        read.ok()?.ok().filter(|count| *count > 0)?;
    }
}
