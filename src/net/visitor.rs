//! The client that opens a session: the address it counts for, and that there is a place for one more of that address.

use std::net::IpAddr;

use hyper::Response;
use hyper::header::{self, HeaderMap, HeaderValue};

use super::core::{Listening, Process};
use super::forwarded::Proxies;
use super::guard::Place;
use super::proxy_head::BadHead;
use super::respond::{self, Body};
use super::{forwarded, listen};

/// A client that asks for a session.
pub(crate) struct Visitor {
    pub ip: IpAddr,
    /// A place of that address, unless the connection holds one: a proxy's does not.
    pub place: Option<Place>,
}

/// Why nobody is let in.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Refused {
    /// For what the request says about proxies.
    Forwarded(forwarded::Refused),
    /// The connection of a proxy that should begin with a PROXY head.
    Announced(BadHead),
    /// There is no place for this address.
    Full,
}

/// A proxy says in its PROXY head that its connection, which holds `place`, is `client`'s: it takes a place of that address.
pub(crate) fn announce(proxies: &Proxies, client: IpAddr, place: &mut Place) -> Result<(), Refused> {
    if let Some(why) = proxies.closed {
        return Err(Refused::Forwarded(forwarded::Refused::Closed(why)));
    }
    match proxies.trusts(client) {
        true => Ok(()),
        false => place.belongs_to(client).map_err(|_| Refused::Full),
    }
}

impl Visitor {
    /// The peer itself, whatever a request of it says.
    pub(crate) fn at(peer: IpAddr) -> Visitor {
        Visitor { ip: peer, place: None }
    }

    /// The client that sent a request with these headers, on a connection from `peer`.
    pub(crate) fn of(
        process: &Process,
        listening: &Listening,
        peer: IpAddr,
        headers: &HeaderMap,
    ) -> Result<Visitor, Refused> {
        if !listening.proxies.trusts(peer) {
            return Ok(Visitor::at(peer));
        }
        let ip = listening.proxies.client(peer, headers).map_err(Refused::Forwarded)?;
        let place = process.guard.admit_session(ip).map_err(|_| Refused::Full)?;
        Ok(Visitor { ip, place: Some(place) })
    }
}

impl Refused {
    /// The answer on a connection of which no request has been read.
    pub(crate) fn bytes(self) -> Vec<u8> {
        match self {
            Refused::Forwarded(refused) => respond::refusal(refused.status(), refused.sentence()),
            Refused::Announced(bad) => respond::refusal(400, bad.sentence()),
            Refused::Full => listen::BUSY.to_vec(),
        }
    }

    /// The answer to its client.
    pub(crate) fn answer(self, process: &Process) -> Response<Body> {
        match self {
            Refused::Forwarded(refused) => respond::forwarding(refused),
            Refused::Announced(bad) => respond::sentence(400, bad.sentence()),
            Refused::Full => {
                process.refusals.count_overload();
                let mut response = respond::empty(503);
                response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
                response
            }
        }
    }
}
