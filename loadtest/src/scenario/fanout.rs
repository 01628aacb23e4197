//! One client says something, everybody gets it. A number in the payload tells whether each got everything, once, in
//! order; the next broadcast follows when all have one of those on their way (`--in-flight`), or at its time (`--rate`).

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

use mio::Waker;

use super::{Cx, Kind, Measured, Scenario, each};
use crate::args::Options;
use crate::clock::{Nanos, Pace, SECOND_NS};
use crate::pool::{ClientId, Phase, Transport};
use crate::report::Lines;
use crate::run::Outcome;
use crate::sequence::{Seen, Sequence};

pub const KIND: Kind = Kind {
    name: "fanout",
    about: "One client's message to all: deliveries per second, latency, CPU per delivery, nothing lost",
    unit: ("delivery", "deliveries"),
    measured: Measured::Running,
    transport: Transport::WebSocket,
    build,
    describe,
};

pub(super) fn build(options: &Options) -> Vec<Box<dyn Scenario>> {
    let board = Arc::new(Board::default());
    each(options, |thread| Fanout::new(options, thread, board.clone()))
}

/// Broadcasts on their way at most, in an open loop too. A power of two.
const WINDOW: u64 = 4_096;
/// A broadcast that makes no progress for this long is given up.
const PATIENCE_NS: Nanos = 5 * SECOND_NS;
/// Digits of the run and of the number at the beginning of a payload.
const RUN_DIGITS: usize = 8;
const NUMBER_DIGITS: usize = 12;

/// What all threads know of the broadcasts.
pub(super) struct Board {
    /// Tells our broadcasts from those of others who test the same server.
    run: u32,
    sent: AtomicU64,
    completed: AtomicU64,
    receivers: AtomicI64,
    slots: Vec<Slot>,
    /// The sender's thread waits here.
    waker: OnceLock<Arc<Waker>>,
}

/// One broadcast on its way.
#[derive(Default)]
struct Slot {
    intended: AtomicU64,
    /// Receivers that do not have it yet.
    left: AtomicI64,
}

impl Default for Board {
    fn default() -> Board {
        let slots = (0..WINDOW).map(|_| Slot::default()).collect();
        let (sent, completed) = (AtomicU64::new(0), AtomicU64::new(0));
        Board { run: random(), sent, completed, receivers: AtomicI64::new(0), slots, waker: OnceLock::new() }
    }
}

impl Board {
    fn slot(&self, number: u64) -> &Slot {
        &self.slots[(number % WINDOW) as usize]
    }

    /// The number of a new broadcast.
    fn depart(&self, intended: Nanos) -> u64 {
        let number = self.sent.load(Relaxed);
        let slot = self.slot(number);
        slot.intended.store(intended, Relaxed);
        slot.left.store(self.receivers.load(Relaxed), Relaxed);
        self.sent.store(number + 1, Relaxed);
        number
    }

    /// One receiver has it; whether it was the last.
    fn arrive(&self, number: u64) -> bool {
        let last = self.slot(number).left.fetch_sub(1, Relaxed) == 1;
        if last {
            self.completed.fetch_add(1, Relaxed);
        }
        last
    }

    fn on_their_way(&self) -> u64 {
        self.sent.load(Relaxed) - self.completed.load(Relaxed)
    }

    /// Nobody waits for what is on its way any more; how many broadcasts that were.
    fn give_up(&self) -> u64 {
        let sent = self.sent.load(Relaxed);
        let open = (sent.saturating_sub(WINDOW)..sent).filter(|number| {
            // Far below zero: those that still arrive do not complete it a second time.
            self.slot(*number).left.swap(i64::MIN / 2, Relaxed) > 0
        });
        let count = open.count() as u64;
        self.completed.fetch_add(count, Relaxed);
        count
    }
}

pub(super) struct Fanout {
    event: String,
    /// What an event begins with, up to the payload's first character.
    opening: Vec<u8>,
    padding: String,
    in_flight: u64,
    per_second: f64,
    /// Only the first thread sends.
    sends: bool,
    sender: Option<ClientId>,
    pace: Option<Pace>,
    board: Arc<Board>,
    /// Of every client that is a receiver now.
    sequences: Vec<Option<Sequence>>,
    stopped: bool,
    progress: (u64, Nanos),
}

impl Fanout {
    pub(super) fn new(options: &Options, thread: u32, board: Arc<Board>) -> Fanout {
        Fanout {
            opening: format!("[\"{}\",\"", options.bcast_event).into_bytes(),
            event: options.bcast_event.clone(),
            padding: "x".repeat((options.size as usize).saturating_sub(RUN_DIGITS + NUMBER_DIGITS)),
            in_flight: u64::from(options.in_flight),
            per_second: options.rate,
            sends: thread == 0,
            sender: None,
            pace: None,
            board,
            sequences: vec![None; options.clients_of(thread) as usize],
            stopped: false,
            progress: (0, 0),
        }
    }

    fn send(&mut self, cx: &mut Cx<'_>, intended: Nanos) {
        let joined = |client: &ClientId| cx.pool.phase(*client) == Phase::Joined;
        self.sender = self.sender.filter(joined).or_else(|| cx.pool.ids().find(joined));
        let Some(sender) = self.sender else { return };
        let number = self.board.depart(intended);
        let payload = format!("\"{:08x}{number:012x}{}\"", self.board.run, self.padding);
        cx.note_lateness(intended);
        cx.pool.emit(sender, None, &self.event, &payload);
    }

    /// Sends what may be sent.
    fn advance(&mut self, cx: &mut Cx<'_>) {
        if !self.sends || self.stopped {
            return;
        }
        if let Some(mut pace) = self.pace {
            while self.board.on_their_way() < WINDOW
                && let Some(intended) = pace.take(cx.now())
            {
                self.send(cx, intended);
            }
            self.pace = Some(pace);
        } else {
            let free = self.in_flight.saturating_sub(self.board.on_their_way());
            (0..free).for_each(|_| self.send(cx, cx.now()));
        }
    }

    fn arrive(&self, number: u64) {
        if self.board.arrive(number)
            && !self.sends
            && let Some(waker) = self.board.waker.get()
        {
            // The sender's thread looks once in a few milliseconds anyway.
            let _ = waker.wake();
        }
    }

    fn watch_progress(&mut self, cx: &mut Cx<'_>) {
        let (completed, now) = (self.board.completed.load(Relaxed), cx.now());
        if completed != self.progress.0 || self.board.on_their_way() == 0 {
            self.progress = (completed, now);
        } else if now > self.progress.1 + PATIENCE_NS {
            cx.figures.add("incomplete broadcasts", self.board.give_up());
        }
    }
}

impl Scenario for Fanout {
    fn on_joined(&mut self, _: &mut Cx<'_>, client: ClientId, _: Nanos) {
        self.sequences[client.0 as usize] = Some(Sequence::from(self.board.sent.load(Relaxed)));
        self.board.receivers.fetch_add(1, Relaxed);
    }

    fn start(&mut self, cx: &mut Cx<'_>) {
        if self.sends {
            // Set once; a second start does not happen.
            let _ = self.board.waker.set(cx.pool.waker());
            self.pace = (self.per_second > 0.0).then(|| Pace::new(cx.now(), self.per_second));
            self.progress = (0, cx.now());
            self.advance(cx);
        }
    }

    fn on_event(&mut self, cx: &mut Cx<'_>, client: ClientId, array: &[u8]) {
        let Some(payload) = array.strip_prefix(self.opening.as_slice()) else { return };
        let Some((run, number)) = parse(payload) else {
            cx.figures.add("foreign", 1);
            return;
        };
        if run != self.board.run || number >= self.board.sent.load(Relaxed) {
            cx.figures.add("foreign", 1);
            return;
        }
        let Some(sequence) = &mut self.sequences[client.0 as usize] else { return };
        match sequence.on(number) {
            Seen::Duplicate => return cx.figures.add("duplicate", 1),
            Seen::Late => cx.figures.add("out of order", 1),
            Seen::InOrder => {}
        }
        let intended = self.board.slot(number).intended.load(Relaxed);
        self.arrive(number);
        cx.done(intended);
    }

    fn on_ended(&mut self, _: &mut Cx<'_>, client: ClientId) {
        let Some(sequence) = self.sequences[client.0 as usize].take() else { return };
        // What is on its way need not reach it, and what will be sent neither.
        self.board.receivers.fetch_sub(1, Relaxed);
        let sent = self.board.sent.load(Relaxed);
        (sequence.next().max(sent.saturating_sub(WINDOW))..sent).for_each(|number| self.arrive(number));
    }

    fn on_time(&mut self, cx: &mut Cx<'_>) {
        if self.sends && self.progress.1 > 0 {
            self.watch_progress(cx);
            self.advance(cx);
        }
    }

    fn deadline(&self) -> Option<Nanos> {
        let may = !self.stopped && self.board.on_their_way() < WINDOW;
        self.pace.filter(|_| may).map(|pace| pace.next_at())
    }

    fn stop(&mut self, _: &mut Cx<'_>) {
        self.stopped = true;
    }

    fn is_done(&self) -> bool {
        self.board.on_their_way() == 0
    }

    fn finish(&mut self, cx: &mut Cx<'_>) {
        let sent = self.board.sent.load(Relaxed);
        let missing = self.sequences.iter().flatten().map(|sequence| sequence.missing(sent)).sum();
        cx.figures.add("missing", missing);
        if self.sends {
            cx.figures.add("broadcasts", sent);
        }
    }
}

/// As random as the standard library is: its hasher's seed.
fn random() -> u32 {
    std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), 0) as u32
}

/// The run and the number that a payload begins with.
fn parse(payload: &[u8]) -> Option<(u32, u64)> {
    let text = std::str::from_utf8(payload.get(..RUN_DIGITS + NUMBER_DIGITS)?).ok()?;
    let (run, number) = text.split_at_checked(RUN_DIGITS)?;
    Some((u32::from_str_radix(run, 16).ok()?, u64::from_str_radix(number, 16).ok()?))
}

pub(super) fn describe(outcome: &Outcome, lines: &mut Lines) {
    let done = (outcome.to.done - outcome.from.done) as f64;
    let (reads, bytes) = (outcome.to.reads - outcome.from.reads, outcome.to.bytes_read - outcome.from.bytes_read);
    lines.add("broadcasts", "broadcasts, warm-up included", outcome.figures.count("broadcasts") as f64, "");
    lines.add("reads_per_delivery", "reads per delivery, here", reads as f64 / done, "");
    lines.add("bytes_per_delivery", "bytes per delivery", bytes as f64 / done, "");
    // A server that counts its write calls under one of these names tells how many a delivery takes.
    for name in ["siod_writes_total", "siod_sends_total"] {
        if let Some(writes) = outcome.metric_delta(name) {
            lines.add("sends_per_delivery", "send calls per delivery, of the server", writes / done, "");
        }
    }
    for name in ["missing", "duplicate", "out of order", "incomplete broadcasts"] {
        lines.must_be_zero(name, outcome.figures.count(name));
    }
    let foreign = outcome.figures.count("foreign");
    if foreign > 0 {
        lines.add("foreign", "deliveries of somebody else's", foreign as f64, "");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broadcast_is_complete_when_the_last_receiver_has_it() {
        let board = Board::default();
        board.receivers.store(2, Relaxed);
        let (first, second) = (board.depart(1), board.depart(1));
        assert_eq!((board.arrive(first), board.on_their_way()), (false, 2));
        assert_eq!((board.arrive(second), board.arrive(second), board.on_their_way()), (false, true, 1));
        assert_eq!((board.arrive(first), board.on_their_way()), (true, 0));
    }

    #[test]
    fn what_was_given_up_does_not_complete_later() {
        let board = Board::default();
        board.receivers.store(2, Relaxed);
        let number = board.depart(1);
        board.arrive(number);
        assert_eq!((board.give_up(), board.on_their_way()), (1, 0));
        assert_eq!((board.arrive(number), board.give_up(), board.on_their_way()), (false, 0, 0));
    }

    #[test]
    fn run_and_number_of_a_payload() {
        assert_eq!(parse(b"0000002a00000000000fxxx\"]"), Some((42, 15)));
        assert_eq!(parse(b"0000002a"), None);
        assert_eq!(parse(b"zzzz002a00000000000f"), None);
    }
}
