//! Speakers and their groups: what `fanout`, `rooms` and `slow` have in common. A number in each payload tells whether every
//! member got everything, once, in order, and nobody else anything. The next broadcast of a channel follows when all have
//! one of those on their way (`--in-flight`), or at its time (`--rate`).
//!
//! | file | what is there |
//! |---|---|
//! | `plan` | who is in which group, who speaks |
//! | `payload` | the stamp of a broadcast |
//! | `board` | what all threads know of the broadcasts on their way |
//! | `voices` | the speakers of one thread |
//! | `members` | the receivers of one thread |

mod board;
mod members;
pub mod payload;
pub mod plan;
mod voices;

use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};

use super::kind::{Cx, Own, Scenario, own};
use crate::clock::{Nanos, SECOND_NS};
use crate::lines::Lines;
use crate::options::Options;
use crate::outcome::Outcome;
use crate::pool::{ClientId, ClientState};
use crate::sequence::{Seen, Sequence};
use board::Board;
use members::Members;
use payload::Stamp;
use plan::Plan;
use voices::Voices;

/// What a scenario of broadcasts may be told of them.
pub const BROADCASTS: &[Own] = &[
    own(
        "rate",
        "Broadcasts per second, in all, whatever becomes of them (open loop); 0: the next one follows when all have one",
    ),
    own("size", "Bytes of the string in a broadcast: 24 at least, they are its number"),
    Own {
        option: "in-flight",
        help: "Broadcasts of each sender on their way at a time, in a closed loop",
        idle: |options| (options.rate > 0.0).then_some("--in-flight is for a closed loop, --rate makes an open one"),
    },
];

/// A channel that makes no progress for this long is given up; joins that nobody answers too.
const PATIENCE_NS: Nanos = 5 * SECOND_NS;

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
    voices: Voices,
    members: Members,
    /// Rooms asked for, not answered yet; and since when nothing was.
    joining: usize,
    joining_since: Nanos,
    started: bool,
    stopped: bool,
}

impl Cast {
    fn new(options: &Options, thread: u32, board: Arc<Board>, inbox: Receiver<u32>) -> Cast {
        let plan = &board.plan;
        let start = plan.start_of(thread);
        let own: Vec<_> = plan.spoken_on(thread).iter().map(|(at, who)| (*at, ClientId(who - start))).collect();
        let all: usize = (0..plan.threads() as u32).map(|thread| plan.spoken_on(thread).len()).sum();
        let per_second = options.rate * own.len() as f64 / all.max(1) as f64;
        Cast {
            size: options.size as usize,
            opening: format!("[\"{}\",\"", plan.event).into_bytes(),
            voices: Voices::new(own, u64::from(options.in_flight), per_second, inbox),
            members: Members::new(options.clients_of(thread)),
            joining: 0,
            joining_since: 0,
            started: false,
            stopped: false,
            board,
            thread,
        }
    }

    /// Sends what may be sent.
    fn advance(&mut self, cx: &mut Cx<'_>) {
        while !self.stopped
            && let Some((own, intended)) = self.voices.next(&self.board, cx.now())
        {
            match self.speaker(cx, own) {
                Some(speaker) => self.send(cx, speaker, self.voices.all()[own].channel, intended),
                None => self.voices.skip(own),
            }
        }
    }

    /// The speaker of one of our channels, or another member in its place.
    fn speaker(&mut self, cx: &Cx<'_>, own: usize) -> Option<ClientId> {
        let voice = self.voices.voice(own);
        let group = self.board.plan.group_of(voice.channel);
        let is_there =
            |client: &ClientId| cx.pool.phase(*client) == ClientState::Joined && self.members.contain(*client, group);
        voice.speaker = Some(voice.speaker).filter(is_there).or_else(|| cx.pool.ids().find(is_there))?;
        Some(voice.speaker)
    }

    fn send(&self, cx: &mut Cx<'_>, speaker: ClientId, channel: u32, intended: Nanos) {
        let plan = &self.board.plan;
        let number = self.board.depart(channel, intended);
        let text = Stamp { run: self.board.run, channel, number }.to_text(self.size);
        cx.note_lateness(intended);
        let args = if plan.rooms {
            format!("\"{}\",\"{text}\"", plan.room_name(plan.group_of(channel)))
        } else {
            format!("\"{text}\"")
        };
        cx.pool.emit(speaker, None, &plan.event, &args);
    }

    fn on_complete(&mut self, channel: u32) {
        if !self.voices.on_complete(channel) {
            self.board.notify(channel);
        }
    }

    /// A stamp of ours has reached one of our clients.
    fn deliver(&mut self, cx: &mut Cx<'_>, client: ClientId, stamp: Stamp) {
        let Stamp { channel, number, .. } = stamp;
        let plan = &self.board.plan;
        let group = plan.group_of(channel);
        match self.members.on(client, group, channel % plan.senders, number) {
            None => return cx.figures.add("leaked", 1),
            Some(Seen::Duplicate) => return cx.figures.add("duplicate", 1),
            Some(Seen::Late) => cx.figures.add("out of order", 1),
            Some(Seen::InOrder) => {}
        }
        let intended = self.board.intended(channel, number);
        if let Some(label) = plan.labels.get(group as usize) {
            cx.figures.note_part(label, cx.pool.now().saturating_sub(intended), cx.measuring);
        }
        if self.board.arrive(channel, number) {
            self.on_complete(channel);
        }
        cx.done(intended);
    }
}

impl Scenario for Cast {
    fn on_joined(&mut self, cx: &mut Cx<'_>, client: ClientId, _: Nanos) {
        let plan = &self.board.plan;
        if !plan.rooms {
            return self.members.enter(client, 0, &self.board);
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
        if group as usize >= self.board.plan.groups.len() || self.members.contain(client, group) {
            return cx.figures.add("unexpected answers", 1);
        }
        self.joining = self.joining.saturating_sub(1);
        self.joining_since = cx.now();
        if args.starts_with(br#"[{"ok":false"#) {
            cx.figures.add("rooms refused", 1);
        } else {
            self.members.enter(client, group, &self.board);
        }
    }

    fn is_ready(&self) -> bool {
        self.joining == 0
    }

    fn start(&mut self, cx: &mut Cx<'_>) {
        self.board.open_door(self.thread, cx.pool.waker());
        self.started = true;
        self.voices.start(cx.now());
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
        for member in self.members.remove(client) {
            let next = member.sequences.iter().map(Sequence::next);
            self.board.exit(member.group, next).into_iter().for_each(|channel| self.on_complete(channel));
        }
    }

    fn on_time(&mut self, cx: &mut Cx<'_>) {
        if self.started {
            let given_up = self.voices.give_up_stuck(&self.board, cx.now());
            cx.figures.add("incomplete broadcasts", given_up);
            self.advance(cx);
        } else if self.joining > 0 && cx.now() > self.joining_since + PATIENCE_NS {
            cx.figures.add("rooms not joined", self.joining as u64);
            self.joining = 0;
        }
    }

    fn deadline(&self) -> Option<Nanos> {
        self.voices.deadline(&self.board).filter(|_| !self.stopped)
    }

    fn stop(&mut self, _: &mut Cx<'_>) {
        self.stopped = true;
    }

    fn is_done(&self) -> bool {
        self.voices.all().iter().all(|voice| self.board.on_their_way(voice.channel) == 0)
    }

    fn finish(&mut self, cx: &mut Cx<'_>) {
        let board = &self.board;
        cx.figures.add("missing", self.members.missing(board));
        cx.figures.add("memberships", self.members.count());
        cx.figures.add("speakers", self.voices.all().len() as u64);
        cx.figures.add("broadcasts", self.voices.all().iter().map(|voice| board.sent(voice.channel)).sum());
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
    lines.add_parts(figures);
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
        let rules = Rules { transport, connects_per_s: 0.0, connecting_max: 1, join_timeout_ns, source: 1 };
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
