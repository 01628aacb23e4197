//! Somebody who is no Socket.IO client asks for a WebSocket on a path of an application's: judged as any other request, handed to
//! the shard of this core, which asks the home, and answered when that has decided. Here by hyper's tasks; what is whole and plain is read
//! and answered in the epoll set, by [`super::arrivals`], by the same rules.

use bytes::Bytes;
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::{Request, Response};
use tokio::sync::oneshot;

use super::clock;
use super::connection::{Connection, Purpose};
use super::core::{Core, Decided};
use super::cors::Origin;
use super::mailbox::{Arrival as Arrived, Message};
use super::respond::{self, Body};
use super::upgrade;
use super::visitor::Visitor;
use crate::app::link::Arrival;
use crate::app::link::paths::Owned;
use crate::app::route::Refused;
use crate::base::ids::{AppId, ReqId};
use crate::base::limit::LINK_SUBPROTOCOLS_MAX;
use crate::shard::io::{Coming, Input};

/// A path, whose it is, and the values of its parameters.
pub(crate) type Found = (Owned, Vec<String>);

/// Answers a request for a link, once its home has decided.
pub(crate) async fn serve<B>(connection: &Connection, found: Found, request: &Request<B>) -> Response<Body> {
    let (core, listening, headers) = (&connection.core, connection.listening(), request.headers());
    if listening.judge(connection.ip, headers) == Origin::Foreign {
        return respond::sentence(403, "This origin is not let in");
    }
    let mut switch = match upgrade::accept(request) {
        Ok(switch) => switch,
        Err(refusal) => return *refusal,
    };
    let error = found.0.row.http.error;
    let coming = match Visitor::of(&core.process, listening, connection.ip, headers) {
        Ok(visitor) => coming(found, visitor, request),
        Err(refused) => return refused.answer(&core.process),
    };
    let coming = match coming {
        Ok(coming) => coming,
        Err(refused) => {
            return respond::turned_away(refused.status, "application/json", error(&refused, clock::wall()).into());
        }
    };
    match Asked::new(core, coming).decided().await {
        Some(Decided::Admitted { link, subprotocol }) => {
            choose(&mut switch, subprotocol);
            connection.upgrade_to(Purpose::Engine(Arrived::Link(link)));
            switch
        }
        Some(Decided::TurnedAway { status, body }) => respond::turned_away(status, respond::PLAIN, body),
        None => respond::empty(503),
    }
}

/// What somebody asks for who has been found fit to. A place that `visitor` holds is its link's from here on.
pub(crate) fn coming<B>(found: Found, visitor: Visitor, request: &Request<B>) -> Result<Box<Coming>, Refused> {
    let (Owned { place, path, .. }, values) = found;
    let headers = request.headers();
    let chosen = |name: &&'static str| {
        let value = headers.get_all(*name).iter().next_back()?;
        Some((*name, Bytes::copy_from_slice(value.as_bytes())))
    };
    let arrival = Arrival {
        path,
        values,
        query: request.uri().query().unwrap_or("").to_owned(),
        headers: path.headers.iter().filter_map(chosen).collect(),
        subprotocols: offered(headers),
        ip: visitor.ip,
    };
    let home = (path.home)(&arrival)?;
    let holds_place = visitor.place.map(|place| place.hand_to_session()).is_some();
    Ok(Box::new(Coming { app: AppId(place as u16), home, holds_place, arrival }))
}

/// The subprotocols that a handshake offers, in its order.
fn offered(headers: &HeaderMap) -> Vec<String> {
    let lists = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter().filter_map(|value| value.to_str().ok());
    let names = lists.flat_map(|list| list.split(',')).map(str::trim).filter(|name| !name.is_empty());
    names.take(LINK_SUBPROTOCOLS_MAX).map(str::to_owned).collect()
}

/// Puts the subprotocol that its home has chosen into a 101, or none.
pub(crate) fn choose<B>(switch: &mut Response<B>, subprotocol: Option<String>) {
    let headers = switch.headers_mut();
    headers.remove(header::SEC_WEBSOCKET_PROTOCOL);
    if let Some(value) = subprotocol.and_then(|name| HeaderValue::try_from(name).ok()) {
        headers.insert(header::SEC_WEBSOCKET_PROTOCOL, value);
    }
}

/// A request that waits for its verdict. Dropped before that, it tells the shard that the asker has gone.
struct Asked<'a> {
    core: &'a Core,
    req: ReqId,
    receiver: oneshot::Receiver<Decided>,
    is_decided: bool,
}

impl<'a> Asked<'a> {
    fn new(core: &'a Core, coming: Box<Coming>) -> Asked<'a> {
        let (req, receiver) = core.register_arrival();
        core.send(core.id, Message::Request(Input::Arrived { req, coming }));
        Asked { core, req, receiver, is_decided: false }
    }

    /// `None`: the shard has gone, which only happens while the process ends.
    async fn decided(mut self) -> Option<Decided> {
        let decided = (&mut self.receiver).await.ok();
        self.is_decided = true;
        decided
    }
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        if !self.is_decided {
            self.core.forget(self.req);
            self.core.send(self.core.id, Message::Request(Input::ArrivalGone { req: self.req }));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subprotocols_are_offered_in_one_header_or_many_and_so_many() {
        let check = |values: &[&str], expected: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::try_from(*value).unwrap());
            }
            assert_eq!(offered(&headers), expected, "{values:?}");
        };
        check(&[], &[]);
        check(&["json-rpc"], &["json-rpc"]);
        check(&["b , a", "", ",c"], &["b", "a", "c"]);
        let many: Vec<String> = (0..20).map(|number| format!("p{number}")).collect();
        let first: Vec<&str> = many.iter().take(LINK_SUBPROTOCOLS_MAX).map(String::as_str).collect();
        check(&[&many.join(",")], &first);
    }
}
