//! Speakers and their groups: what `fanout`, `rooms` and `slow` have in common. A number in each payload tells whether every
//! member got everything, once, in order, and nobody else anything. The next broadcast of a channel follows when all have
//! one of those on their way (`--in-flight`), or at its time (`--rate`).
//!
//! | file | what is there |
//! |---|---|
//! | `plan` | who is in which group, who speaks |
//! | `payload` | the stamp of a broadcast |
//! | `board` | what all threads know of the broadcasts on their way |

mod board;
pub mod payload;
pub mod plan;

use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};

use super::{Cx, Scenario};
use crate::args::Options;
use crate::clock::{Nanos, Pace, SECOND_NS};
use crate::pool::{ClientId, Phase};
use crate::report::Lines;
use crate::run::Outcome;
use crate::sequence::{Seen, Sequence};
use board::Board;
use payload::Stamp;
use plan::Plan;

/// A channel that makes no progress for this long is given up; joins that nobody answers too.
const PATIENCE_NS: Nanos = 5 * SECOND_NS;
/// How often that is looked at.
const WATCH_NS: Nanos = SECOND_NS / 2;

/// One for each thread.
pub fn casts(options: &Options, plan: Plan) -> Vec<Cast> {
    let (doors, inboxes): (Vec<_>, Vec<_>) = (0..plan.threads()).map(|_| channel()).unzip();
    let board = Arc::new(Board::new(plan, options.in_flight, doors));
    let inboxes = inboxes.into_iter().enumerate();
    inboxes.map(|(thread, inbox)| Cast::new(options, thread as u32, board.clone(), inbox)).collect()
}

/// The clients of one thread.
pub struct Cast {
    board: Arc<Board>,
    thread: u32,
    size: usize,
    /// What an event begins with, up to the payload's first character.
    opening: Vec<u8>,
    in_flight: u64,
    /// Broadcasts of this thread; 0: closed loop.
    per_second: f64,
    pace: Option<Pace>,
    /// The channels whose speaker is here.
    own: Vec<Voice>,
    /// Which of them is next in the open loop.
    turn: usize,
    /// Channels that may go on.
    inbox: Receiver<u32>,
    ready: Vec<u32>,
    /// Of every client, in ascending order of groups.
    members: Vec<Vec<Member>>,
    /// Rooms asked for, not answered yet; and since when nothing was.
    joining: usize,
    joining_since: Nanos,
    started: bool,
    stopped: bool,
    watched_at: Nanos,
}

/// A channel and who speaks in it.
struct Voice {
    channel: u32,
    speaker: ClientId,
    /// Broadcasts completed when that changed last, and when that was.
    progress: (u64, Nanos),
}

/// What one client saw of one group: a sequence for each of its channels.
struct Member {
    group: u32,
    sequences: Vec<Sequence>,
}

impl Cast {
    fn new(options: &Options, thread: u32, board: Arc<Board>, inbox: Receiver<u32>) -> Cast {
        let plan = &board.plan;
        let start = plan.start_of(thread);
        let voice = |(channel, sender)| Voice { channel, speaker: ClientId(sender - start), progress: (0, 0) };
        let own: Vec<_> = plan.spoken_on(thread).into_iter().map(voice).collect();
        let all: usize = (0..plan.threads() as u32).map(|thread| plan.spoken_on(thread).len()).sum();
        Cast {
            size: options.size as usize,
            opening: format!("[\"{}\",\"", plan.event).into_bytes(),
            in_flight: u64::from(options.in_flight),
            per_second: options.rate * own.len() as f64 / all.max(1) as f64,
            pace: None,
            own,
            turn: 0,
            inbox,
            ready: Vec::new(),
            members: (0..options.clients_of(thread)).map(|_| Vec::new()).collect(),
            joining: 0,
            joining_since: 0,
            started: false,
            stopped: false,
            watched_at: 0,
            board,
            thread,
        }
    }

    fn enter(&mut self, client: ClientId, group: u32) {
        let sequences = self.board.enter(group).into_iter().map(Sequence::from).collect();
        let members = &mut self.members[client.0 as usize];
        let at = members.partition_point(|member| member.group < group);
        members.insert(at, Member { group, sequences });
    }

    fn is_member(&self, client: ClientId, group: u32) -> bool {
        self.members[client.0 as usize].binary_search_by_key(&group, |member| member.group).is_ok()
    }

    /// The speaker of one of our channels, or another member in its place.
    fn speaker(&mut self, cx: &Cx<'_>, own: usize) -> Option<ClientId> {
        let Voice { channel, speaker, .. } = self.own[own];
        let group = self.board.plan.group_of(channel);
        let is_there = |client: &ClientId| cx.pool.phase(*client) == Phase::Joined && self.is_member(*client, group);
        let found = Some(speaker).filter(is_there).or_else(|| cx.pool.ids().find(is_there))?;
        self.own[own].speaker = found;
        Some(found)
    }

    fn send(&mut self, cx: &mut Cx<'_>, own: usize, intended: Nanos) {
        let Some(speaker) = self.speaker(cx, own) else { return };
        let (board, channel) = (&self.board, self.own[own].channel);
        let number = board.depart(channel, intended);
        let text = Stamp { run: board.run, channel, number }.to_text(self.size);
        cx.note_lateness(intended);
        let args = if board.plan.rooms {
            format!("\"{}\",\"{text}\"", board.plan.room_name(board.plan.group_of(channel)))
        } else {
            format!("\"{text}\"")
        };
        cx.pool.emit(speaker, None, &board.plan.event, &args);
    }

    /// Sends what may be sent.
    fn advance(&mut self, cx: &mut Cx<'_>) {
        self.ready.extend(self.inbox.try_iter());
        if self.stopped {
            self.ready.clear();
        } else if self.pace.is_some() {
            self.ready.clear();
            self.advance_paced(cx);
        }
        while let Some(channel) = self.ready.pop() {
            let Ok(own) = self.own.binary_search_by_key(&channel, |voice| voice.channel) else { continue };
            let free = self.in_flight.saturating_sub(self.board.on_their_way(channel));
            (0..free).for_each(|_| self.send(cx, own, cx.now()));
        }
    }

    fn advance_paced(&mut self, cx: &mut Cx<'_>) {
        let Some(mut pace) = self.pace else { return };
        while let Some(own) = self.next_voice()
            && let Some(intended) = pace.take(cx.now())
        {
            self.turn = own + 1;
            self.send(cx, own, intended);
        }
        self.pace = Some(pace);
    }

    /// The next of our channels that is not full.
    fn next_voice(&self) -> Option<usize> {
        let count = self.own.len();
        let mut order = (0..count).map(|nth| (self.turn + nth) % count);
        order.find(|own| !self.board.is_full(self.own[*own].channel))
    }

    fn notify(&mut self, channel: u32) {
        if self.own.binary_search_by_key(&channel, |voice| voice.channel).is_ok() {
            self.ready.push(channel);
        } else {
            self.board.notify(channel);
        }
    }

    fn watch_progress(&mut self, cx: &mut Cx<'_>) {
        let now = cx.now();
        if now < self.watched_at + WATCH_NS {
            return;
        }
        self.watched_at = now;
        for voice in &mut self.own {
            let completed = self.board.completed(voice.channel);
            if completed != voice.progress.0 || self.board.on_their_way(voice.channel) == 0 {
                voice.progress = (completed, now);
            } else if now > voice.progress.1 + PATIENCE_NS {
                cx.figures.add("incomplete broadcasts", self.board.give_up(voice.channel));
                self.ready.push(voice.channel);
            }
        }
    }

    /// A stamp of ours on its way to one of our clients: what it is to it.
    fn deliver(&mut self, cx: &mut Cx<'_>, client: ClientId, stamp: Stamp) {
        let Stamp { channel, number, .. } = stamp;
        let group = self.board.plan.group_of(channel);
        let members = &mut self.members[client.0 as usize];
        let Ok(at) = members.binary_search_by_key(&group, |member| member.group) else {
            return cx.figures.add("leaked", 1);
        };
        match members[at].sequences[(channel % self.board.plan.senders) as usize].on(number) {
            Seen::Duplicate => return cx.figures.add("duplicate", 1),
            Seen::Late => cx.figures.add("out of order", 1),
            Seen::InOrder => {}
        }
        let intended = self.board.intended(channel, number);
        if self.board.arrive(channel, number) {
            self.notify(channel);
        }
        if !self.board.plan.labels.is_empty() {
            let latency_ns = cx.now().saturating_sub(intended);
            cx.figures.note_part(&self.board.plan.labels[group as usize], latency_ns, cx.measuring);
        }
        cx.done(intended);
    }
}

impl Scenario for Cast {
    fn on_joined(&mut self, cx: &mut Cx<'_>, client: ClientId, _: Nanos) {
        let plan = &self.board.plan;
        if !plan.rooms {
            return self.enter(client, 0);
        }
        let global = plan.start_of(self.thread) + client.0;
        for group in &plan.memberships[global as usize] {
            let room = format!("\"{}\"", plan.room_name(*group));
            // The number of the room tells which of them is answered.
            cx.pool.emit(client, Some(u64::from(*group)), &plan.join_event, &room);
            self.joining += 1;
        }
        self.joining_since = cx.now();
    }

    fn on_ack(&mut self, cx: &mut Cx<'_>, client: ClientId, id: u64, args: &[u8]) {
        let group = u32::try_from(id).unwrap_or(u32::MAX);
        if group as usize >= self.board.plan.groups.len() || self.is_member(client, group) {
            return cx.figures.add("unexpected answers", 1);
        }
        self.joining = self.joining.saturating_sub(1);
        self.joining_since = cx.now();
        if args.starts_with(br#"[{"ok":false"#) {
            cx.figures.add("rooms refused", 1);
        } else {
            self.enter(client, group);
        }
    }

    fn is_ready(&self) -> bool {
        self.joining == 0
    }

    fn start(&mut self, cx: &mut Cx<'_>) {
        self.board.open_door(self.thread, cx.pool.waker());
        self.started = true;
        self.own.iter_mut().for_each(|voice| voice.progress.1 = cx.now());
        self.pace = (self.per_second > 0.0).then(|| Pace::new(cx.now(), self.per_second));
        self.ready = self.own.iter().map(|voice| voice.channel).collect();
        self.advance(cx);
    }

    fn on_event(&mut self, cx: &mut Cx<'_>, client: ClientId, array: &[u8]) {
        let Some(payload) = array.strip_prefix(self.opening.as_slice()) else { return };
        let ours = |stamp: &Stamp| {
            let known = stamp.channel < self.board.plan.channels();
            stamp.run == self.board.run && known && stamp.number < self.board.sent(stamp.channel)
        };
        match Stamp::parse(payload).filter(ours) {
            Some(stamp) => self.deliver(cx, client, stamp),
            None => cx.figures.add("foreign", 1),
        }
    }

    fn on_ended(&mut self, _: &mut Cx<'_>, client: ClientId) {
        for member in std::mem::take(&mut self.members[client.0 as usize]) {
            let next = member.sequences.iter().map(Sequence::next);
            self.board.exit(member.group, next).into_iter().for_each(|channel| self.notify(channel));
        }
    }

    fn on_time(&mut self, cx: &mut Cx<'_>) {
        if self.started {
            self.watch_progress(cx);
            self.advance(cx);
        } else if self.joining > 0 && cx.now() > self.joining_since + PATIENCE_NS {
            cx.figures.add("rooms not joined", self.joining as u64);
            self.joining = 0;
        }
    }

    fn deadline(&self) -> Option<Nanos> {
        let may = !self.stopped && self.next_voice().is_some();
        self.pace.filter(|_| may).map(|pace| pace.next_at())
    }

    fn stop(&mut self, _: &mut Cx<'_>) {
        self.stopped = true;
    }

    fn is_done(&self) -> bool {
        self.own.iter().all(|voice| self.board.on_their_way(voice.channel) == 0)
    }

    fn finish(&mut self, cx: &mut Cx<'_>) {
        let board = &self.board;
        let missing = |member: &Member| {
            let first = member.group * board.plan.senders;
            let sequences = member.sequences.iter().zip(first..);
            sequences.map(|(sequence, channel)| sequence.missing(board.sent(channel))).sum::<u64>()
        };
        cx.figures.add("missing", self.members.iter().flatten().map(missing).sum());
        cx.figures.add("memberships", self.members.iter().map(|all| all.len() as u64).sum());
        cx.figures.add("speakers", self.own.len() as u64);
        cx.figures.add("broadcasts", self.own.iter().map(|voice| board.sent(voice.channel)).sum());
    }
}

pub fn describe(outcome: &Outcome, lines: &mut Lines) {
    let figures = &outcome.figures;
    let done = (outcome.to.done - outcome.from.done) as f64;
    let (reads, bytes) = (outcome.to.reads - outcome.from.reads, outcome.to.bytes_read - outcome.from.bytes_read);
    lines.add("senders", "senders", figures.count("speakers") as f64, "");
    lines.add("broadcasts", "broadcasts, warm-up included", figures.count("broadcasts") as f64, "");
    lines.add("reads_per_delivery", "reads per delivery, here", reads as f64 / done, "");
    lines.add("bytes_per_delivery", "bytes per delivery", bytes as f64 / done, "");
    // A server that counts its write calls under one of these names tells how many a delivery takes.
    for name in ["siod_writes_total", "siod_sends_total"] {
        if let Some(writes) = outcome.metric_delta(name) {
            lines.add("sends_per_delivery", "send calls per delivery, of the server", writes / done, "");
        }
    }
    super::describe_parts(figures, lines);
    for name in ["missing", "duplicate", "out of order", "leaked", "incomplete broadcasts"] {
        lines.must_be_zero(name, figures.count(name));
    }
    for name in ["rooms refused", "rooms not joined", "unexpected answers"] {
        if figures.count(name) > 0 {
            lines.must_be_zero(name, figures.count(name));
        }
    }
    let foreign = figures.count("foreign");
    if foreign > 0 {
        lines.add("foreign", "deliveries of somebody else's", foreign as f64, "");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::Figures;
    use crate::pool::{Pool, Rules, Transport};
    use crate::target::Target;

    #[test]
    fn what_is_lost_doubled_swapped_or_leaked_is_counted() {
        let options = Options::of(&["--clients", "4", "--rooms", "2", "--room-size", "2"]);
        let mut cast = casts(&options, Plan::many_rooms(&options)).remove(0);
        let target = Arc::new(Target::new("http://127.0.0.1:9", "/", &[]).unwrap());
        let (transport, join_timeout_ns) = (Transport::WebSocket, SECOND_NS);
        let rules = Rules { transport, connects_per_s: 0.0, connecting_max: 1, join_timeout_ns };
        let (mut pool, mut figures) = (Pool::new(target, rules, 4, 0).unwrap(), Figures::default());
        let mut cx = Cx { pool: &mut pool, figures: &mut figures, measuring: true };
        (0..4).for_each(|client| cast.on_ack(&mut cx, ClientId(client), u64::from(client / 2), b"[]"));
        let run = cast.board.run;
        assert_eq!([0, 1, 2].map(|_| cast.board.depart(0, 0)), [0, 1, 2]);
        for (client, channel, number) in [(0, 0, 0), (0, 0, 0), (0, 0, 2), (0, 0, 1), (1, 0, 0), (2, 0, 0), (1, 0, 7)] {
            let array = format!("[\"room\",\"{}\"]", Stamp { run, channel, number }.to_text(30));
            cast.on_event(&mut cx, ClientId(client), array.as_bytes());
        }
        cast.finish(&mut cx);
        let counts = ["duplicate", "out of order", "leaked", "foreign", "missing"].map(|name| figures.count(name));
        assert_eq!((counts, figures.done), ([1, 1, 1, 1, 2], 4));
    }
}
