//! The client that opens a session: the address it counts for, and that there is a place for one more of that address.

use std::net::IpAddr;

use hyper::Response;
use hyper::header::{self, HeaderMap, HeaderValue};

use super::core::{Listening, Process};
use super::guard::Place;
use super::respond::{self, Body};
use super::{forwarded, guard};

/// A client that asks for a session.
pub struct Visitor {
    pub ip: IpAddr,
    /// A place of that address, unless the connection holds one: a proxy's does not.
    pub place: Option<Place>,
}

/// Why nobody is let in.
pub enum Refused {
    /// For what the request says about proxies.
    Forwarded(forwarded::Refused),
    /// There is no place for this address.
    Full(guard::Refused),
}

impl Visitor {
    /// The peer itself, whatever a request of it says.
    pub fn at(peer: IpAddr) -> Visitor {
        Visitor { ip: peer, place: None }
    }

    /// The client that sent a request with these headers, on a connection from `peer`.
    pub fn of(process: &Process, listening: &Listening, peer: IpAddr, headers: &HeaderMap) -> Result<Visitor, Refused> {
        if !listening.proxies.trusts(peer) {
            return Ok(Visitor::at(peer));
        }
        let ip = listening.proxies.client(peer, headers).map_err(Refused::Forwarded)?;
        let place = process.guard.admit_session(ip).map_err(Refused::Full)?;
        Ok(Visitor { ip, place: Some(place) })
    }
}

impl Refused {
    /// The answer to its client.
    pub fn answer(self, process: &Process) -> Response<Body> {
        match self {
            Refused::Forwarded(refused) => respond::sentence(refused.status(), refused.sentence()),
            Refused::Full(_) => {
                process.refusals.count_overload();
                let mut response = respond::empty(503);
                response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
                response
            }
        }
    }
}
