//! Links that are open: what comes goes to their homes, what homes tell goes out, and who is silent, slow or sends too much is
//! found out (RFC 6455 section 7).

use bytes::Bytes;

use super::Shard;
use super::arrivals::{ENDING, POLICY};
use super::connection::Role;
use super::io::{Mail, Output};
use super::link::{State, Step};
use super::outbox::Coalesce;
use super::stats::LinkStats;
use crate::app::fetch::FetchFailure;
use crate::app::link::{LinkEnd, LinkEvent, LinkMessage};
use crate::base::close::CloseReason;
use crate::base::ids::{AppId, ConnKey, Key, LinkRef};
use crate::base::limit::{HEARING_GRACE_MS, LINK_OUT_BYTES_MAX, LINK_OUT_MESSAGES_MAX, OUTBOX_BURST_FACTOR};
use crate::wire::frame::{self, Opcode};
use crate::wire::{WireError, close};

impl Shard {
    /// A message of a link, to its home. Where that is another shard and too much is on its way there, the link waits.
    pub(super) fn on_link_message(&mut self, key: Key, message: LinkMessage) {
        let Some(link) = self.transports.links.get_mut(key) else { return };
        let (app, home, bytes) = (link.app, link.home, message.len());
        let half = link.terms.message_bytes_max;
        let step = if home == self.id { Step::Go } else { link.window.push(bytes, half) };
        let stats = self.link_stats(app);
        stats.messages_in += 1;
        stats.bytes_in += bytes as u64;
        self.tell_link(key, LinkEvent::Message(message));
        match step {
            Step::Go => {}
            Step::Mark => self.send_mark(key),
            Step::Wait => self.hold_link(key),
        }
    }

    fn send_mark(&mut self, key: Key) {
        let Some(link) = self.transports.links.get(key) else { return };
        let mark = Mail::Mark { link: LinkRef { shard: self.id, key } };
        self.out.mail[usize::from(link.home.0)].push(mark);
    }

    /// All that came before has been handed to the application at home here.
    pub(super) fn on_mark(&mut self, link: LinkRef) {
        self.out.mail[usize::from(link.shard.0)].push(Mail::Marked { link: link.key });
    }

    /// The mark is back.
    pub(super) fn on_marked(&mut self, key: Key) {
        if self.transports.links.get_mut(key).is_some_and(|link| link.window.on_marked()) {
            self.send_mark(key);
            self.unhold_link(key);
        }
    }

    /// One message to the other side, framed once. Too much waiting for a peer that takes no more, and it is too slow; what is told
    /// in one turn has not been offered to it yet, and may be more.
    pub(super) fn write_link(&mut self, key: Key, conn: ConnKey, message: &LinkMessage) {
        let Some(lane) = self.transports.conns.lane(conn) else { return };
        let Some(link) = self.transports.links.get_mut(key) else { return };
        let (outbox, burst) = (&lane.outbox, if lane.blocked { 1 } else { OUTBOX_BURST_FACTOR });
        let (messages_max, bytes_max) = (LINK_OUT_MESSAGES_MAX * burst, LINK_OUT_BYTES_MAX * burst);
        link.told = if outbox.is_empty() { 1 } else { link.told + 1 };
        if link.told > messages_max {
            // Some of them may have gone.
            link.told = self.transports.pool.slices(outbox).count() + 1;
        }
        let waits = outbox.queued_bytes() + message.len();
        if link.told > messages_max || waits > bytes_max {
            return self.cut_link(key, conn);
        }
        let app = link.app;
        let (opcode, payload) = match message {
            LinkMessage::Text(text) => (Opcode::Text, text.as_bytes()),
            LinkMessage::Binary(bytes) => (Opcode::Binary, &bytes[..]),
        };
        let mut out = Vec::with_capacity(frame::SENT_HEADER_BYTES_MAX + payload.len());
        frame::write(&mut out, opcode, payload);
        let stats = self.link_stats(app);
        stats.messages_out += 1;
        stats.bytes_out += payload.len() as u64;
        self.push_bytes(conn, Bytes::from(out), Coalesce::NEVER);
    }

    /// Its peer takes nothing, so nothing can be told to it: its TCP connection ends.
    pub(super) fn cut_link(&mut self, key: Key, conn: ConnKey) {
        self.end_link(key, LinkEnd::TooSlow);
        self.stats.slow_consumers += 1;
        self.hang_up(conn);
    }

    /// Closes an open link, behind what it was told.
    pub(super) fn close_link(&mut self, key: Key, code: u16, reason: &str, why: LinkEnd) {
        let Some(conn) = self.transports.links.get(key).and_then(|link| link.conn()) else { return };
        self.end_link(key, why);
        self.close_with(conn, close::frame_saying(code, reason));
    }

    /// What came is no WebSocket's, or too large.
    pub(super) fn on_link_error(&mut self, key: Key, error: WireError) {
        let failure = match error {
            WireError::TooBig | WireError::TooManyFragments => FetchFailure::TooLarge,
            WireError::Protocol(_) | WireError::InvalidUtf8 => FetchFailure::Protocol,
        };
        self.end_link(key, LinkEnd::Failed(failure));
    }

    /// Nothing of it is read for a while.
    pub(super) fn hold_link(&mut self, key: Key) {
        let Some(link) = self.transports.links.get_mut(key) else { return };
        link.holds += 1;
        if link.holds == 1 {
            self.transports.backlog.held += 1;
            self.out.outputs.extend(link.conn().map(|conn| Output::Pause { conn }));
        }
    }

    /// One reason less not to read it.
    pub(super) fn unhold_link(&mut self, key: Key) {
        let Some(link) = self.transports.links.get_mut(key).filter(|link| link.holds > 0) else { return };
        link.holds -= 1;
        if link.holds == 0 {
            self.transports.backlog.held -= 1;
            self.transports.backlog.thawed.extend(link.conn());
        }
    }

    /// Bytes of it have come.
    pub(super) fn hear_link(&mut self, key: Key) {
        let now = self.now.mono;
        if let Some(link) = self.transports.links.get_mut(key) {
            (link.heard_at, link.asked) = (now, false);
        }
    }

    /// From now on it may be silent for its interval.
    pub(super) fn rest_link(&mut self, key: Key) {
        let Some(link) = self.transports.links.get(key).filter(|link| link.terms.ping_interval_ms > 0) else { return };
        let due = link.heard_at + link.terms.ping_interval_ms;
        self.time_link(key, due.since(self.now.mono).max(1));
    }

    /// The time limit of an arrival is over, or that of a link that has been silent: it is pinged, and given up where that brings
    /// nothing.
    pub(super) fn on_link_timer(&mut self, key: Key) {
        let Some(link) = self.transports.links.get_mut(key) else { return };
        link.timer = None;
        let conn = match link.state {
            State::Waiting(_) => return self.on_not_admitted(key),
            State::Opening(_) => return,
            State::Open(conn) => conn,
        };
        let (now, timeout) = (self.now.mono, link.terms.ping_timeout_ms.max(1));
        if !link.asked {
            if link.heard_at + link.terms.ping_interval_ms > now {
                return self.rest_link(key);
            }
            link.asked = true;
            self.push_bytes(conn, Bytes::from_static(PING_FRAME), Coalesce::NEVER);
            return self.time_link(key, timeout);
        }
        let is_held = link.holds > 0;
        match self.moved_at(conn) {
            Some(moved_at) if moved_at + timeout > now => self.time_link(key, (moved_at + timeout).since(now)),
            // What it has sent is not read for a while.
            _ if is_held => self.time_link(key, timeout),
            _ if self.is_behind() => self.time_link(key, HEARING_GRACE_MS),
            _ => self.close_link(key, POLICY, "no answer to a ping", LinkEnd::Silent),
        }
    }

    /// The daemon ends: at its moment each link does, too.
    pub(super) fn drain_link(&mut self, key: Key) {
        let Some(link) = self.transports.links.get(key) else { return };
        let why = LinkEnd::Failed(FetchFailure::Unavailable);
        match link.state {
            State::Waiting(_) => self.refuse_link(key, 503, ENDING.into(), why),
            State::Opening(_) => self.end_link(key, why),
            State::Open(_) => {
                let code = CloseReason::ServerShuttingDown.ws_code().unwrap_or(POLICY);
                self.close_link(key, code, "", why);
            }
        }
    }

    /// A WebSocket whose link is over already: it is nobody's, and told so.
    pub(super) fn add_nobody(&mut self, conn: ConnKey) {
        self.add_connection(conn, Default::default(), Role::Echo, false);
        let code = if self.draining { CloseReason::ServerShuttingDown.ws_code() } else { Some(1000) };
        self.close_connection(conn, code);
    }

    pub(super) fn add_link(&mut self, conn: ConnKey, key: Key) {
        self.add_connection(conn, Default::default(), Role::Link(key), false);
    }

    pub(super) fn link_stats(&mut self, app: AppId) -> &mut LinkStats {
        &mut self.stats.links[usize::from(app.0)]
    }
}

/// A ping of ours.
const PING_FRAME: &[u8] = &[0x89, 0];
