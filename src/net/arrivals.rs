//! A request for a link that is whole and plain, in the epoll set: nothing more of its connection is read until its home has
//! decided; then its 101 leaves in one write with what the home has to say at once, or its refusal does, and it lingers.

use std::net::Shutdown;
use std::ops::Range;

use hyper::Response;

use super::callers::Caller;
use super::core::{Core, Decided};
use super::cors::Origin;
use super::fast_websocket::{Head, has_body, switching_protocols};
use super::outside::Outside;
use super::reactor::Reactor;
use super::respond::{self, Body};
use super::streams::Kind;
use super::visitor::Visitor;
use super::{links, listen, upgrade};
use crate::base::ids::{ConnKey, ReqId};
use crate::base::time::Now;
use crate::shard::Input;
use crate::shard::io::{Coming, Verdict};

/// Somebody who asks for a link.
pub(super) struct Asking {
    coming: Box<Coming>,
    /// Its 101, but for the subprotocol.
    switch: Response<Body>,
}

/// Reads what `caller` asks for by `head`. `None`: it is no link, or there is something about it that is not for here.
pub(super) fn ask(core: &Core, caller: &Caller, head: &Head) -> Option<Asking> {
    let (request, listening) = (&head.request, &core.process.listeners[caller.listener]);
    let headers = request.headers();
    if !upgrade::is_asked(headers) || has_body(headers) || head.route(core, listening).is_some() {
        return None;
    }
    let found = listening.links.find(request.uri().path())?;
    if listening.judge(caller.ip, headers) == Origin::Foreign {
        return None;
    }
    let switch = upgrade::accept(request).ok()?;
    let visitor = Visitor::of(&core.process, listening, caller.ip, headers).ok()?;
    let coming = links::coming(found, visitor, request).ok()?;
    Some(Asking { coming, switch })
}

impl<O: Outside> Reactor<O> {
    /// The shard asks the home; the verdict comes back as an output. `early` bytes of the read buffer came behind the request.
    pub(super) fn wait_for_home(&mut self, now: Now, conn: ConnKey, asking: Asking, early: Range<usize>) {
        let Asking { coming, switch } = asking;
        if let Some(stream) = self.streams.get_mut(conn) {
            stream.kind = Kind::Polling;
        }
        let req = self.core.register_caller(conn);
        self.callers.arrive(conn, req, switch, &self.read_buffer[early]);
        self.shard.on_input(now, Input::Arrived { req, coming });
    }

    /// What becomes of an arrival.
    pub(super) fn decide(&mut self, now: Now, req: ReqId, verdict: Verdict) {
        let Some((conn, decided)) = self.core.decide(req, verdict) else { return };
        let Some((mut switch, mut early)) = self.callers.remove(conn).and_then(Caller::into_arrival) else { return };
        match decided {
            Decided::Admitted { link, subprotocol } => {
                let Some(stream) = self.streams.get_mut(conn) else { return };
                stream.kind = Kind::WebSocket;
                links::choose(&mut switch, subprotocol);
                self.shard.on_input(now, link.opened(conn));
                let head = switching_protocols(&switch, now.wall);
                if self.write_head(conn, &head) < head.len()
                    && let Some(stream) = self.streams.get_mut(conn)
                {
                    // An empty socket takes a head, unless it is broken: reading it will tell the shard so.
                    let _ = stream.tcp.shutdown(Shutdown::Both);
                }
                if !early.is_empty() {
                    self.shard.on_input(now, Input::Bytes { conn, bytes: &mut early });
                }
                // What has come meanwhile was not read.
                self.ready.mark(conn, &mut self.streams);
            }
            Decided::TurnedAway { status, body } => self.leave(conn, |stream| {
                listen::refuse(stream, &respond::refusal(status, &body));
            }),
        }
    }

    /// The asker has gone before the verdict.
    pub(super) fn forget_arrival(&mut self, now: Now, req: ReqId) {
        self.core.forget(req);
        self.shard.on_input(now, Input::ArrivalGone { req });
    }
}
