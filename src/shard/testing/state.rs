//! The inside of a [`World`](super::World): what a reactor, a mailbox, a kernel and a clock do for the shards.

use core::net::IpAddr;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::app::job::{Job, JobError, JobErrorKind, Outcome};
use crate::base::ids::{ConnKey, ReqId, ShardId};
use crate::base::slab::Slab;
use crate::base::time::{Millis, Now};
use crate::engine::polling::Reply;
use crate::shard::io::{Input, Mail, Output, Ticket, Verdict};
use crate::shard::{Shard, ShardConfig};

/// Answers a job, or keeps it.
type AnswerJob = Box<dyn FnMut(&Job) -> Option<Outcome>>;

pub(super) struct State {
    pub shards: Vec<Shard>,
    pub config: Arc<ShardConfig>,
    pub now: Now,
    /// Bytes that lay in the sockets at that time have been read; `None`: all that lie there.
    pub heard: Option<Millis>,
    pub next_shard: u16,
    /// Inputs are taken in, but nothing is asked of the shards.
    pub held: bool,
    pub mail_held: bool,
    mailboxes: Vec<VecDeque<Vec<Mail>>>,

    /// All WebSockets there ever were; slots of the open ones, by shard.
    pub pipes: Vec<Pipe>,
    slots: Vec<Slab<usize>>,
    /// Connections whose clients have read the end of our side.
    ended: Vec<(u16, ConnKey)>,
    /// Answers by request; slots of the requests that wait.
    pub replies: BTreeMap<ReqId, Reply>,
    waiting: Slab<()>,
    /// What became of those who asked for links, with their WebSockets.
    pub verdicts: BTreeMap<ReqId, (Verdict, Option<usize>)>,
    /// A test says when a 101 is out.
    pub holds_101s: bool,

    pub answer_job: AnswerJob,
    pub kept_jobs: VecDeque<(u16, Option<Ticket>, Job)>,
    /// Addresses whose places sessions have given back.
    pub left: Vec<IpAddr>,
}

/// One WebSocket: what the kernel took for the peer, and how much more it would take.
pub(super) struct Pipe {
    pub shard: u16,
    pub conn: ConnKey,
    pub unread: Vec<u8>,
    /// Bytes the peer will still read; `None`: all.
    pub room: Option<usize>,
    /// The shard has closed the descriptor.
    pub closed: bool,
    /// Answers pings by itself.
    pub answers_pings: bool,
    /// What the kernel holds of a client that is not read.
    pub unheard: Option<Vec<u8>>,
}

impl State {
    pub(super) fn new(shards: Vec<Shard>, config: Arc<ShardConfig>, now: Now) -> State {
        let count = shards.len();
        State {
            shards,
            config,
            now,
            heard: None,
            next_shard: 0,
            held: false,
            mail_held: false,
            mailboxes: (0..count).map(|_| VecDeque::new()).collect(),
            pipes: Vec::new(),
            slots: (0..count).map(|_| Slab::default()).collect(),
            ended: Vec::new(),
            replies: BTreeMap::new(),
            waiting: Slab::default(),
            verdicts: BTreeMap::new(),
            holds_101s: false,
            answer_job: Box::new(|job| match job {
                Job::Write(_) => Some(Outcome::Written(vec![])),
                _ => Some(Outcome::Failed(JobError { kind: JobErrorKind::Unavailable, text: "no store".into() })),
            }),
            kept_jobs: VecDeque::new(),
            left: Vec::new(),
        }
    }

    pub(super) fn next_shard(&mut self) -> u16 {
        let shard = self.next_shard;
        self.next_shard = (shard + 1) % self.shards.len() as u16;
        shard
    }

    pub(super) fn add_pipe(&mut self, shard: u16) -> usize {
        let index = self.pipes.len();
        let conn = ConnKey(self.slots[usize::from(shard)].insert(index));
        self.pipes.push(Pipe {
            shard,
            conn,
            unread: Vec::new(),
            room: None,
            closed: false,
            answers_pings: false,
            unheard: None,
        });
        index
    }

    pub(super) fn add_request(&mut self) -> ReqId {
        ReqId { shard: ShardId(0), key: self.waiting.insert(()) }
    }

    pub(super) fn is_waiting(&self, req: ReqId) -> bool {
        self.waiting.get(req.key).is_some()
    }

    /// The client has gone; an answer would go nowhere.
    pub(super) fn give_up(&mut self, req: ReqId) {
        self.waiting.remove(req.key);
    }

    pub(super) fn input(&mut self, shard: u16, input: Input<'_>) {
        self.shards[usize::from(shard)].on_input(self.now, input);
        if !self.held {
            self.run();
        }
    }

    pub(super) fn deadline(&mut self) -> Option<u64> {
        let now = self.now.mono;
        self.shards.iter_mut().filter_map(Shard::deadline).min().map(|due| due.since(now))
    }

    pub(super) fn advance(&mut self, milliseconds: u64) {
        let end = self.now.mono + milliseconds;
        while let Some(due) = self.shards.iter_mut().filter_map(Shard::deadline).min().filter(|due| *due <= end) {
            self.move_clock(due);
            self.run();
        }
        self.move_clock(end);
    }

    fn move_clock(&mut self, to: Millis) {
        self.now = self.now.plus(to.since(self.now.mono));
    }

    /// Turns of all shards until none has anything left to say.
    pub(super) fn run(&mut self) {
        for _ in 0..100_000 {
            let mut busy = false;
            for shard in 0..self.shards.len() {
                self.shards[shard].on_time(self.now, self.heard.unwrap_or(self.now.mono));
                busy |= self.take_outputs(shard) || self.shards[shard].has_backlog();
                busy |= self.flush(shard);
                if !self.mail_held {
                    while let Some(mail) = self.mailboxes[shard].pop_front() {
                        self.shards[shard].on_input(self.now, Input::Mail(mail));
                        busy = true;
                    }
                }
            }
            busy |= self.answer_pings();
            while let Some((shard, conn)) = self.ended.pop() {
                self.shards[usize::from(shard)].on_input(self.now, Input::Gone { conn, broken: false });
                busy = true;
            }
            if !busy {
                return;
            }
        }
        panic!("the shards never come to rest");
    }

    fn take_outputs(&mut self, shard: usize) -> bool {
        let mut any = false;
        while let Some(output) = self.shards[shard].next_output() {
            any = true;
            match output {
                Output::Respond { req, reply } => {
                    // As in the daemon: a request is answered once; what comes later finds nobody.
                    if self.waiting.remove(req.key).is_some() {
                        self.replies.insert(req, reply);
                    }
                }
                Output::Mail { to, mail } => {
                    assert_ne!(usize::from(to.0), shard, "mail to oneself");
                    self.mailboxes[usize::from(to.0)].push_back(mail);
                }
                Output::Job { app, purpose, job } => {
                    let ticket = purpose.map(|purpose| Ticket { app, purpose });
                    self.take_job(shard, ticket, job);
                }
                Output::Pause { conn } => {
                    if let Some(pipe) = self.slots[shard].get(conn.0) {
                        self.pipes[*pipe].unheard.get_or_insert_default();
                    }
                }
                Output::Resume { conn } => {
                    let pipe = self.slots[shard].get(conn.0).copied();
                    if let Some(mut bytes) = pipe.and_then(|pipe| self.pipes[pipe].unheard.take()) {
                        self.shards[shard].on_input(self.now, Input::Bytes { conn, bytes: &mut bytes });
                    }
                }
                Output::Finish { conn } => {
                    // A client that reads the end of our side ends its own.
                    if let Some(pipe) = self.slots[shard].remove(conn.0) {
                        self.pipes[pipe].closed = true;
                        self.ended.push((shard as u16, conn));
                    }
                }
                Output::Close { conn } => {
                    if let Some(pipe) = self.slots[shard].remove(conn.0) {
                        self.pipes[pipe].closed = true;
                    }
                }
                Output::Decided { req, verdict } => self.decide(shard, req, verdict),
                Output::Left { ip } => self.left.push(ip),
                // Nobody calls by HTTP here, and nothing is dialled.
                Output::Answer { .. } | Output::Link { .. } | Output::LinkFlow { .. } => {}
            }
        }
        any
    }

    /// As the shell does: a 101 is sent, and one that nobody waits for is told so.
    fn decide(&mut self, shard: usize, req: ReqId, verdict: Verdict) {
        let waits = self.waiting.remove(req.key).is_some();
        let mut pipe = None;
        if let Verdict::Admitted { link, .. } = verdict
            && !(waits && self.holds_101s)
        {
            pipe = waits.then(|| self.add_pipe(shard as u16));
            let conn = pipe.map(|pipe| self.pipes[pipe].conn);
            self.shards[shard].on_input(self.now, Input::LinkOpen { link, conn });
        }
        self.verdicts.insert(req, (verdict, pipe));
    }

    fn take_job(&mut self, shard: usize, ticket: Option<Ticket>, job: Job) {
        match (self.answer_job)(&job) {
            None => self.kept_jobs.push_back((shard as u16, ticket, job)),
            Some(outcome) => {
                if let Some(ticket) = ticket {
                    self.shards[shard].on_input(self.now, Input::Done { ticket, outcome });
                }
            }
        }
    }

    fn flush(&mut self, shard: usize) -> bool {
        let mut any = false;
        while let Some(conn) = self.shards[shard].next_flush() {
            any = true;
            match self.slots[shard].get(conn.0).copied() {
                Some(pipe) => self.write(pipe),
                None => self.shards[shard].flush(conn, |_| panic!("nothing is written to a closed connection")),
            }
        }
        any
    }

    /// Writes what waits for one socket.
    pub(super) fn write(&mut self, pipe: usize) {
        let pipe = &mut self.pipes[pipe];
        self.shards[usize::from(pipe.shard)]
            .flush(pipe.conn, |slices| slices.map_while(|slice| pipe.take(slice)).sum());
    }

    fn answer_pings(&mut self) -> bool {
        let ready = |pipe: &Pipe| pipe.answers_pings && !pipe.closed && pipe.unread == [0x81, 1, b'2'];
        let Some(index) = self.pipes.iter().position(ready) else { return false };
        let Pipe { shard, conn, .. } = self.pipes[index];
        self.pipes[index].unread.clear();
        let mut pong = [0x81, 0x81, 0, 0, 0, 0, b'3'];
        self.shards[usize::from(shard)].on_input(self.now, Input::Bytes { conn, bytes: &mut pong });
        true
    }

    pub(super) fn assert_empty(&mut self) {
        assert!(self.waiting.is_empty(), "{} requests without an answer", self.waiting.len());
        for shard in &mut self.shards {
            let sample = shard.sample();
            let figures = [
                ("peers", shard.transports.peers.len()),
                ("sids", shard.transports.by_sid.len()),
                ("sockets", shard.members.sockets.len()),
                ("members", sample.namespaces.iter().map(|nsp| nsp.sockets).sum::<u64>() as usize),
                ("rooms", sample.rooms as usize),
                ("counted sockets", shard.homes.apps.iter().map(|home| home.counted_sockets()).sum()),
                ("connections", shard.transports.conns.len()),
                ("links", shard.transports.links.len()),
                ("arrivals", shard.transports.links.waiting()),
                ("speakers", shard.members.speakers.iter().sum::<u32>() as usize),
                ("acks", shard.members.acks.len()),
                ("asked", shard.homes.asked.len()),
                ("application timers", shard.homes.timers.len()),
                ("timers", shard.wheel.len()),
                ("queued bytes", sample.outbox_bytes as usize),
                ("inputs", shard.homes.local.len()),
                ("bodies", shard.transports.backlog.bodies.len() + shard.transports.backlog.held_bodies.len()),
                (
                    "held",
                    shard.transports.backlog.held
                        + shard.transports.backlog.unread.len()
                        + shard.transports.backlog.thawed.len(),
                ),
                ("dirty", shard.transports.dirty_conns.len() + shard.transports.dirty_polls.len()),
            ];
            for (name, left) in figures {
                assert_eq!(left, 0, "{name} left on shard {}", shard.id.0);
            }
        }
    }
}

impl Pipe {
    /// What the kernel takes of a slice; `None` where it takes nothing more.
    fn take(&mut self, slice: &[u8]) -> Option<usize> {
        let count = self.room.map_or(slice.len(), |room| room.min(slice.len()));
        self.unread.extend_from_slice(&slice[..count]);
        if let Some(room) = &mut self.room {
            *room -= count;
        }
        (count > 0 || slice.is_empty()).then_some(count)
    }
}
