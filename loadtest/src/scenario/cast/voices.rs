//! The speakers of one thread: whose turn it is, and when. Closed loop: a channel goes on when it has less on its way than it
//! may. Open loop: broadcasts have their times, one channel after the other.

use std::sync::mpsc::Receiver;

use super::board::Board;
use super::{ClientId, PATIENCE_NS};
use crate::clock::{Nanos, Pace, SECOND_NS};

/// How often is looked for channels that are stuck.
const WATCH_NS: Nanos = SECOND_NS / 2;

pub(super) struct Voices {
    /// The channels whose speaker is here, in ascending order.
    own: Vec<Voice>,
    in_flight: u64,
    /// Broadcasts of this thread; 0: closed loop.
    per_second: f64,
    pace: Option<Pace>,
    /// Which of our channels is next in the open loop.
    turn: usize,
    /// Channels that other threads say may go on, and those of which we know.
    inbox: Receiver<u32>,
    ready: Vec<u32>,
    watched_at: Nanos,
}

/// A channel and who speaks in it.
pub(super) struct Voice {
    pub channel: u32,
    pub speaker: ClientId,
    /// Broadcasts completed when that changed last, and when that was.
    progress: (u64, Nanos),
}

impl Voices {
    /// `own` in ascending order of channels; `per_second` 0: closed loop.
    pub(super) fn new(own: Vec<(u32, ClientId)>, in_flight: u64, per_second: f64, inbox: Receiver<u32>) -> Voices {
        let voice = |(channel, speaker)| Voice { channel, speaker, progress: (0, 0) };
        let own = own.into_iter().map(voice).collect();
        Voices { own, in_flight, per_second, pace: None, turn: 0, inbox, ready: Vec::new(), watched_at: 0 }
    }

    pub(super) fn start(&mut self, now: Nanos) {
        self.own.iter_mut().for_each(|voice| voice.progress.1 = now);
        self.pace = (self.per_second > 0.0).then(|| Pace::new(now, self.per_second));
        self.ready = self.own.iter().map(|voice| voice.channel).collect();
    }

    /// A channel has completed a broadcast; whether it is one of ours.
    pub(super) fn on_complete(&mut self, channel: u32) -> bool {
        let ours = self.find(channel).is_some();
        if ours {
            self.ready.push(channel);
        }
        ours
    }

    /// The next broadcast that may be sent: by which of our voices, and when it was meant to be.
    pub(super) fn next(&mut self, board: &Board, now: Nanos) -> Option<(usize, Nanos)> {
        self.ready.extend(self.inbox.try_iter());
        if self.pace.is_some() {
            self.ready.clear();
            return self.next_paced(board, now);
        }
        while let Some(channel) = self.ready.last() {
            if let Some(own) = self.find(*channel)
                && board.on_their_way(*channel) < self.in_flight
            {
                return Some((own, now));
            }
            self.ready.pop();
        }
        None
    }

    fn next_paced(&mut self, board: &Board, now: Nanos) -> Option<(usize, Nanos)> {
        let own = self.next_free(board)?;
        let intended = self.pace.as_mut()?.take(now)?;
        self.turn = own + 1;
        Some((own, intended))
    }

    /// The next of our channels whose window is not full.
    fn next_free(&self, board: &Board) -> Option<usize> {
        let count = self.own.len();
        let mut order = (0..count).map(|nth| (self.turn + nth) % count);
        order.find(|own| !board.is_full(self.own[*own].channel))
    }

    /// It cannot speak now; it is asked again when something of its channel completes.
    pub(super) fn skip(&mut self, own: usize) {
        let channel = self.own[own].channel;
        self.ready.retain(|ready| *ready != channel);
    }

    /// Gives up what makes no progress; how many broadcasts that were.
    pub(super) fn give_up_stuck(&mut self, board: &Board, now: Nanos) -> u64 {
        if now < self.watched_at + WATCH_NS {
            return 0;
        }
        self.watched_at = now;
        let mut given_up = 0;
        for voice in &mut self.own {
            let completed = board.completed(voice.channel);
            if completed != voice.progress.0 || board.on_their_way(voice.channel) == 0 {
                voice.progress = (completed, now);
            } else if now > voice.progress.1 + PATIENCE_NS {
                given_up += board.give_up(voice.channel);
                self.ready.push(voice.channel);
            }
        }
        given_up
    }

    /// When the next broadcast of an open loop is due.
    pub(super) fn deadline(&self, board: &Board) -> Option<Nanos> {
        self.pace.filter(|_| self.next_free(board).is_some()).map(|pace| pace.next_at())
    }

    pub(super) fn voice(&mut self, own: usize) -> &mut Voice {
        &mut self.own[own]
    }

    pub(super) fn all(&self) -> &[Voice] {
        &self.own
    }

    fn find(&self, channel: u32) -> Option<usize> {
        self.own.binary_search_by_key(&channel, |voice| voice.channel).ok()
    }
}
