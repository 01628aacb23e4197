//! A listener beside the cores, such as the admin listener: a thread, an accept loop and places of its own, so that whatever
//! strangers do there costs the clients of the cores nothing. Its connections have the rules of all others ([`carry`]).

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use axum::Router;
use bytes::Bytes;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{LocalSet, spawn_local};
use tracing::{debug, warn};

use super::carry::carry;
use super::guard::{Guard, Place};
use super::http::route;
use super::linger::Lingering;
use super::listen::{self, REST_MS_MAX, REST_MS_MIN};
use crate::base::limit::{ADMIN_CONNECTIONS_MAX, ADMIN_LINGERING_REFUSED_MAX, HEAD_TIMEOUT_MS};

/// What a listener beside the cores consists of.
pub struct Beside {
    pub listener: std::net::TcpListener,
    /// Its own places.
    pub guard: Arc<Guard>,
    /// Answers everything.
    pub router: Router,
}

impl Beside {
    /// Serves on a thread of its own, called `name`, until the process ends.
    pub fn start(self, name: &str) -> io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let listener = {
            let _entered = runtime.enter();
            TcpListener::from_std(self.listener)?
        };
        let (guard, router) = (self.guard, self.router);
        let run = move || LocalSet::new().block_on(&runtime, accept(listener, guard, router));
        thread::Builder::new().name(name.to_owned()).spawn(run)?;
        Ok(())
    }
}

async fn accept(listener: TcpListener, guard: Arc<Guard>, router: Router) {
    let lingering = Lingering::new(ADMIN_CONNECTIONS_MAX);
    let lingering_refused = Lingering::new(ADMIN_LINGERING_REFUSED_MAX);
    let mut rest_ms = REST_MS_MIN;
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                rest_ms = REST_MS_MIN;
                let ip = peer.ip().to_canonical();
                match guard.admit(ip) {
                    Ok(place) => drop(spawn_local(serve(stream, ip, place, router.clone(), lingering.clone()))),
                    Err(limit) => {
                        debug!(target: "siod::listen", %ip, ?limit, "refused beside the cores");
                        listen::refuse(&stream, listen::BUSY);
                        lingering_refused.end(stream, ());
                    }
                }
            }
            Err(error) if listen::is_of_one_connection(&error) => {}
            Err(error) => {
                warn!(target: "siod::listen", %error, rest_ms, "cannot accept beside the cores");
                tokio::time::sleep(Duration::from_millis(rest_ms)).await;
                rest_ms = (rest_ms * 2).min(REST_MS_MAX);
            }
        }
    }
}

/// One connection, which has its place until it ends.
async fn serve(stream: TcpStream, ip: IpAddr, place: Place, router: Router, lingering: Arc<Lingering>) {
    let first = Instant::now() + Duration::from_millis(HEAD_TIMEOUT_MS);
    if let Some((stream, _)) = carry(stream, Bytes::new(), first, |request| route(router.clone(), ip, request)).await {
        lingering.end(stream, place);
    }
}
