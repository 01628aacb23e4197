//! Readers that are slower than their writers: what is dropped for them, what replaces what, when they hear of it, and
//! when they are cut off (DESIGN 4.11).
//!
//! ```text
//!   key of class Patch:   fresh ──dropped──► stale ──drained──► reported ──a Full passes──► fresh
//!                                              ▲                    │
//!                                              └──── a Full dropped ┘      while stale or reported, patches are dropped
//! ```

use super::Shard;
use super::connection::{Reported, Role};
use super::outbox::Coalesce;
use super::peer::Timer;
use crate::app::effect::Delivery;
use crate::app::event::AppInput;
use crate::base::close::CloseReason;
use crate::base::ids::{ConnKey, Key, SocketRef};
use crate::base::limit::{OUTBOX_BURST_FACTOR, OUTBOX_PATIENCE_MS, STALE_KEYS_MAX, STALE_KEYS_PER_DRAIN_MAX};
use crate::socketio::envelope::Envelope;

impl Shard {
    /// Decides about a packet for a socket that is behind. `false`: it is not to be queued.
    pub(super) fn admit_behind(&mut self, conn: ConnKey, owner: Key, delivery: Delivery, envelope: &Envelope) -> bool {
        let Some(lane) = self.transports.conns.lane_mut(conn) else { return false };
        let queued = lane.outbox.queued_bytes();
        let limits = &self.config.limits;
        let over_low_mark = lane.blocked && queued > limits.outbox_low_mark_bytes || queued > limits.outbox_bytes_max;
        let admitted = match delivery {
            Delivery::Must => true,
            Delivery::Volatile if queued > 0 => {
                self.stats.dropped_volatile += 1;
                return false;
            }
            Delivery::Volatile => true,
            Delivery::Latest { key } => {
                let replaces = over_low_mark && !lane.base64;
                !replaces || !self.transports.pool.replace(&mut lane.outbox, envelope.ws(), Coalesce { owner, key })
            }
            // Behind a patch that was dropped, later ones make no sense: the full state is to come.
            Delivery::Patch { key } => {
                let slow = self.transports.conns.get(conn).and_then(|connection| connection.slow());
                match slow.and_then(|slow| slow.stale.get(&(owner, key))) {
                    Some(_) => false,
                    None if over_low_mark => return self.note_stale(conn, owner, key),
                    None => true,
                }
            }
            Delivery::Full { key } => {
                if over_low_mark {
                    return self.note_stale(conn, owner, key);
                }
                if lane.slow
                    && let Some(slow) = self.transports.conns.slow_mut(conn, self.now.mono)
                {
                    slow.stale.remove(&(owner, key));
                }
                true
            }
        };
        if !admitted {
            self.stats.coalesced += 1;
            return false;
        }
        !self.ends_if_full(conn)
    }

    /// Drops a packet whose key is made good later. Always `false`, as the packet is not to be queued.
    fn note_stale(&mut self, conn: ConnKey, owner: Key, key: u64) -> bool {
        self.stats.coalesced += 1;
        let Some(slow) = self.transports.conns.slow_mut(conn, self.now.mono) else { return false };
        slow.stale.insert((owner, key), Reported::No);
        if slow.stale.len() > STALE_KEYS_MAX {
            self.end_slow_reader(conn);
        }
        false
    }

    /// After a write. A socket that takes nothing for too long is closed; one that has drained hears of what was dropped.
    pub(super) fn note_progress(&mut self, conn: ConnKey, written: usize, left: usize) {
        let Some(lane) = self.transports.conns.lane_mut(conn) else { return };
        lane.blocked = left > 0;
        if left == 0 && !lane.slow
            || self.transports.conns.get(conn).is_none_or(|connection| connection.role.is_ending())
        {
            return;
        }
        let Some(slow) = self.transports.conns.slow_mut(conn, self.now.mono) else { return };
        let mut was_behind = false;
        if written > 0 || left == 0 {
            slow.progress_at = self.now.mono;
            if let Some(timer) = slow.timer.take() {
                was_behind = true;
                self.wheel.cancel(timer);
            }
        }
        if left > 0 {
            if slow.timer.is_none() {
                let at = self.now.mono + self.config.limits.outbox_stall_ms;
                slow.timer = Some(self.wheel.arm(at, Timer::Stall(conn)));
            }
            return;
        }
        let unreported = slow.stale.iter_mut().filter(|(_, reported)| **reported == Reported::No);
        let dropped: Vec<(Key, u64)> = unreported
            .take(STALE_KEYS_PER_DRAIN_MAX)
            .map(|(key, reported)| {
                *reported = Reported::Yes;
                *key
            })
            .collect();
        if slow.stale.is_empty() {
            self.transports.conns.forget_slow(conn);
        }
        // A ping may be among what the kernel has now: its pong cannot be here yet.
        if was_behind
            && let Some(Role::Session(key)) = self.transports.conns.get(conn).map(|connection| connection.role)
        {
            self.wait_on(key);
        }
        self.tell_drained(dropped);
    }

    /// A reader has taken nothing for too long. One that can be written to by now has: the turn was late, and writes next.
    pub(super) fn on_stall(&mut self, conn: ConnKey) {
        if self.transports.conns.lane(conn).is_some_and(|lane| lane.blocked) {
            return self.end_slow_reader(conn);
        }
        let again = self.wheel.arm(self.now.mono + self.config.limits.outbox_stall_ms, Timer::Stall(conn));
        if let Some(slow) = self.transports.conns.slow_mut(conn, self.now.mono) {
            slow.timer = Some(again);
        }
    }

    fn tell_drained(&mut self, dropped: Vec<(Key, u64)>) {
        for group in dropped.chunk_by(|left, right| left.0 == right.0) {
            let key = group[0].0;
            let Some(socket) = self.members.sockets.get(key) else { continue };
            let identity = socket.identity.clone();
            let keys = group.iter().map(|(_, key)| *key).collect();
            let socket = SocketRef { shard: self.id, key };
            self.hand_socket(key, AppInput::Drained { socket, identity, keys });
        }
        self.run_homes();
    }

    /// Ends a connection whose queue is full and whose reader has stopped, or is far behind. The entry that is being written
    /// does not count: one large event may take its time. `true`: the connection was ended.
    pub(super) fn ends_if_full(&mut self, conn: ConnKey) -> bool {
        let Some(lane) = self.transports.conns.lane(conn).filter(|lane| lane.blocked) else { return false };
        let (waiting, max) =
            (self.transports.pool.bytes_behind_first(&lane.outbox), self.config.limits.outbox_bytes_max);
        if waiting < max {
            return false;
        }
        let slow = self.transports.conns.get(conn).and_then(|connection| connection.slow());
        let progress_at = slow.map_or(self.now.mono, |slow| slow.progress_at);
        let patient = self.now.mono.since(progress_at) < OUTBOX_PATIENCE_MS;
        if patient && waiting < max * OUTBOX_BURST_FACTOR {
            return false;
        }
        self.end_slow_reader(conn);
        true
    }

    /// Nothing can be told to a reader that has stopped: its TCP connection ends.
    pub(super) fn end_slow_reader(&mut self, conn: ConnKey) {
        match self.transports.conns.get(conn).map(|connection| connection.role) {
            Some(Role::Session(peer)) => self.close_peer(peer, CloseReason::SlowConsumer),
            Some(Role::Probe(peer)) => {
                self.fail_upgrade(peer, None);
                self.hang_up(conn);
            }
            Some(Role::Link(link)) => self.cut_link(link, conn),
            Some(Role::Echo | Role::Closing | Role::Hangup) => self.hang_up(conn),
            Some(Role::Lingering) | None => {}
        }
    }
}
