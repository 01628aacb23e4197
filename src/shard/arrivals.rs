//! Somebody who is no Socket.IO client asks for a WebSocket on a path of an application's: the home hears of it, decides within
//! its time, and is told how it ends. Until then the request waits in the shell, and nothing of it is read.

use std::borrow::Cow;

use tracing::debug;

use super::Shard;
use super::io::{Output, Verdict};
use super::link::{Coming, Link, State, Waiting};
use super::peer::Timer;
use crate::app::event::AppInput;
use crate::app::fetch::FetchFailure;
use crate::app::home::Flow;
use crate::app::link::{Admission, LinkEnd, LinkEvent, LinkId, LinkOrder};
use crate::base::ids::{AppId, ConnKey, Key, LinkRef, ReqId};
use crate::base::limit::{
    LINK_ADMIT_TIMEOUT_MS, LINK_ARRIVALS_MAX, LINK_MESSAGE_BYTES_MAX, LINK_OUT_BYTES_MAX, LINK_OUT_MESSAGES_MAX,
};

impl Shard {
    /// Somebody asks to be let in. Above the bound, and while the daemon ends, it is told so at once, and nobody hears of it.
    pub(super) fn on_arrived(&mut self, req: ReqId, coming: Coming) {
        let Coming { app, home, holds_place, arrival } = coming;
        let place = holds_place.then_some(arrival.ip);
        if self.draining || self.transports.links.waiting() >= LINK_ARRIVALS_MAX {
            let (failure, body) = match self.draining {
                true => (FetchFailure::Unavailable, ENDING),
                false => (FetchFailure::Busy, BUSY),
            };
            let stats = self.link_stats(app);
            stats.refused += 1;
            stats.closed[LinkEnd::Failed(failure).place()] += 1;
            self.out.outputs.extend(place.map(|ip| Output::Left { ip }));
            return self.decide(req, Verdict::TurnedAway { status: 503, body: body.into() });
        }
        let home = self.config.placement.of_home(app, &home, self.id);
        let waiting = Waiting { req, offered: arrival.subprotocols.clone() };
        let key = self.transports.links.insert(Link::new(app, home, waiting, place, self.now.mono), req);
        self.time_link(key, LINK_ADMIT_TIMEOUT_MS);
        self.tell_link(key, LinkEvent::Arrived(Box::new(arrival)));
    }

    /// The asker has gone before its answer.
    pub(super) fn on_arrival_gone(&mut self, req: ReqId) {
        if let Some(key) = self.transports.links.of_request(req) {
            self.end_link(key, LinkEnd::Failed(FetchFailure::Cut));
        }
    }

    /// The 101 of an arrival is out; `None`: it could not be sent. What its home has wanted meanwhile is done now.
    pub(super) fn on_link_open(&mut self, key: Key, conn: Option<ConnKey>) {
        let Some(conn) = conn else { return self.end_link(key, LinkEnd::Failed(FetchFailure::Cut)) };
        let now = self.now.mono;
        let opened = self.transports.links.get_mut(key).and_then(|link| {
            let waited_ms = now.since(link.heard_at);
            Some((link.app, waited_ms, link.open(conn, now)?))
        });
        let Some((app, waited_ms, opening)) = opened else { return self.add_nobody(conn) };
        let stats = self.link_stats(app);
        stats.opened += 1;
        stats.open_us.record(waited_ms * 1_000);
        self.add_link(conn, key);
        self.rest_link(key);
        self.tell_link(key, LinkEvent::Opened { subprotocol: opening.subprotocol });
        opening.orders.into_iter().for_each(|order| self.on_link_order(app, key, order));
    }

    /// What a home wants of a link of this shard. One that is not there, or another application's, is passed over.
    pub(super) fn on_link_order(&mut self, app: AppId, key: Key, order: LinkOrder) {
        let Some(link) = self.transports.links.get_mut(key).filter(|link| link.app == app) else { return };
        match (&mut link.state, order) {
            (State::Waiting(_), LinkOrder::Admit(admission)) => self.admit_link(key, *admission),
            (State::Waiting(_), LinkOrder::Refuse { status, body }) => {
                let status = if (400..600).contains(&status) { status } else { 500 };
                self.refuse_link(key, status, body.into(), LinkEnd::Ours);
            }
            (State::Waiting(_), LinkOrder::Close { .. }) => {
                self.refuse_link(key, 403, "Not let in".into(), LinkEnd::Ours);
            }
            (State::Opening(_), LinkOrder::Close { .. }) => self.end_link(key, LinkEnd::Ours),
            (State::Opening(opening), order @ (LinkOrder::Tell(_) | LinkOrder::Pause | LinkOrder::Resume)) => {
                if let LinkOrder::Tell(message) = &order {
                    opening.bytes += message.len();
                }
                opening.orders.push(order);
                if opening.orders.len() > LINK_OUT_MESSAGES_MAX || opening.bytes > LINK_OUT_BYTES_MAX {
                    self.end_link(key, LinkEnd::TooSlow);
                }
            }
            (&mut State::Open(conn), LinkOrder::Tell(message)) => self.write_link(key, conn, &message),
            (State::Open(_), LinkOrder::Close { code, reason }) => self.close_link(key, code, &reason, LinkEnd::Ours),
            (State::Open(_), LinkOrder::Pause) if !link.paused => {
                link.paused = true;
                self.hold_link(key);
            }
            (State::Open(_), LinkOrder::Resume) if link.paused => {
                link.paused = false;
                self.unhold_link(key);
            }
            _ => {}
        }
    }

    /// How a home that has much of it waiting wants a link to be read.
    pub(super) fn on_link_flow(&mut self, app: AppId, key: Key, flow: Flow) {
        if self.transports.links.get(key).is_none_or(|link| link.app != app || link.conn().is_none()) {
            return;
        }
        match flow {
            Flow::Hold => self.hold_link(key),
            Flow::Release => self.unhold_link(key),
            Flow::Cut => self.close_link(key, POLICY, "too many messages wait", LinkEnd::Flooded),
        }
    }

    fn admit_link(&mut self, key: Key, admission: Admission) {
        let Some(Link { state: State::Waiting(waiting), .. }) = self.transports.links.get(key) else { return };
        let Admission { subprotocol, mut terms } = admission;
        // One that it has not offered would end it.
        let subprotocol = subprotocol.filter(|chosen| waiting.offered.contains(chosen));
        terms.message_bytes_max = terms.message_bytes_max.min(LINK_MESSAGE_BYTES_MAX);
        if let Some(req) = self.transports.links.admit(key, subprotocol.clone(), terms) {
            self.untime_link(key);
            self.decide(req, Verdict::Admitted { link: key, subprotocol });
        }
    }

    /// Not within its time.
    pub(super) fn on_not_admitted(&mut self, key: Key) {
        self.refuse_link(key, 504, TOO_LATE.into(), LinkEnd::Failed(FetchFailure::TimedOut));
    }

    /// Turns an arrival away that waits.
    pub(super) fn refuse_link(&mut self, key: Key, status: u16, body: Cow<'static, str>, why: LinkEnd) {
        let Some(Link { app, state: State::Waiting(waiting), .. }) = self.transports.links.get(key) else { return };
        let (app, req) = (*app, waiting.req);
        self.link_stats(app).refused += 1;
        self.decide(req, Verdict::TurnedAway { status, body });
        self.end_link(key, why);
    }

    fn decide(&mut self, req: ReqId, verdict: Verdict) {
        self.out.outputs.push_back(Output::Decided { req, verdict });
    }

    /// It is over: its home hears so, and nothing of it any more. What becomes of its connection is the caller's.
    pub(super) fn end_link(&mut self, key: Key, why: LinkEnd) {
        if self.transports.links.get(key).is_none() {
            return;
        }
        self.untime_link(key);
        let (shard, label) = (self.id.0, why.label());
        let place = why.place();
        self.tell_link(key, LinkEvent::Closed { why });
        let Some(link) = self.transports.links.remove(key) else { return };
        self.link_stats(link.app).closed[place] += 1;
        debug!(target: "siod::link", app = link.app.0, shard, link = key.slot, reason = label, "over");
        self.out.outputs.extend(link.place.map(|ip| Output::Left { ip }));
        if link.holds > 0 {
            self.transports.backlog.held -= 1;
            self.transports.backlog.thawed.extend(link.conn());
        }
    }

    /// Tells its home.
    pub(super) fn tell_link(&mut self, key: Key, event: LinkEvent) {
        let Some(link) = self.transports.links.get(key) else { return };
        let (app, home) = (link.app, link.home);
        let link = LinkId::Arrived(LinkRef { shard: self.id, key });
        self.hand_home(app, home, AppInput::Link { link, event });
    }

    /// In `after_ms` something is due of it.
    pub(super) fn time_link(&mut self, key: Key, after_ms: u64) {
        self.untime_link(key);
        let timer = self.wheel.arm(self.now.mono + after_ms, Timer::Link(key));
        if let Some(link) = self.transports.links.get_mut(key) {
            link.timer = Some(timer);
        }
    }

    fn untime_link(&mut self, key: Key) {
        if let Some(timer) = self.transports.links.get_mut(key).and_then(|link| link.timer.take()) {
            self.wheel.cancel(timer);
        }
    }
}

/// Close code of what we do not put up with (RFC 6455 section 7.4.1).
pub(super) const POLICY: u16 = 1008;
pub(super) const ENDING: &str = "The daemon is ending";
const BUSY: &str = "Too many are waiting to be let in";
const TOO_LATE: &str = "The application has not decided in time";
