//! Many clients on one thread: sockets and epoll, and what is to be done with them. Bytes come in, [`Happening`]s go out
//! to a [`Handler`]; what the handler sends leaves at the end of the turn, with one write per connection.
//!
//! | file | what is there |
//! |---|---|
//! | `link` | one TCP connection |
//! | `connecting` | who connects next, when, from where |
//! | `polling` | what a client keeps while it polls |
//! | `receive` | bytes to packets to happenings: the state machine of a client |
//! | `sending` | frames and bodies to bytes, one write per connection and turn |
//! | `timer` | wakes to the microsecond |

mod connecting;
mod link;
mod polling;
mod receive;
mod sending;
mod timer;

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use mio::{Events, Poll, Token, Waker};

use crate::clock::{self, Nanos, SECOND_NS};
use crate::fault::Fault;
use crate::target::Target;
use crate::wire::frame;
use connecting::{Connecting, Sources};
use link::Link;
use polling::{Polling, Upgrade};
use timer::Timer;

/// A client of this thread: its index.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ClientId(pub u32);

/// What a scenario is told.
#[derive(Debug)]
pub enum Happening<'a> {
    /// The namespace is joined; since when it was meant to begin.
    Joined { since: Nanos },
    /// An event: the JSON array of name and arguments.
    Event(&'a [u8]),
    /// An answer: the JSON array of its arguments.
    Ack { id: u64, args: &'a [u8] },
    /// A polling session has moved to WebSocket; since when it tried.
    Upgraded { since: Nanos },
    /// The session is over; without a fault if that was our wish.
    Ended(Option<&'a Fault>),
}

pub trait Handler {
    /// What a client says with its join: JSON, or nothing.
    fn auth(&mut self, client: ClientId) -> String;
    fn on(&mut self, pool: &mut Pool, client: ClientId, what: Happening<'_>);
}

/// By what a client speaks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Transport {
    WebSocket,
    Polling,
}

/// How clients connect.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    pub transport: Transport,
    /// 0: as fast as handshakes end.
    pub connects_per_s: f64,
    pub connecting_max: usize,
    pub join_timeout_ns: Nanos,
    /// Chooses the range of source addresses: another one for each process.
    pub source: u32,
}

/// Where a client is in its life.
///
/// ```text
/// Ended ─connect─► Opening ──open──► Joining ──40──► Joined ──leave──► Leaving ─► Ended
///                     └── fault ────────┴─────────────┴───────────────────────────►
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ClientState {
    Ended,
    Opening,
    Joining,
    Joined,
    Leaving,
}

struct Client {
    phase: ClientState,
    /// Nothing is read for it: it plays the slow reader.
    paused: bool,
    /// Since when it meant to connect, or to upgrade.
    since: Nanos,
    ws: Option<Link>,
    http: Option<Box<Polling>>,
}

/// The connection of a client that an event of epoll is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Lane {
    WebSocket,
    Get,
    Post,
}

pub struct Pool {
    pub target: Arc<Target>,
    poll: Poll,
    events: Events,
    waker: Arc<Waker>,
    timer: Timer,
    rules: Rules,
    clients: Vec<Client>,
    buffer: Vec<u8>,
    scratch: Vec<u8>,
    mask: u32,
    dirty: Vec<(ClientId, Lane)>,
    ended: Vec<(ClientId, Option<Fault>)>,
    connecting: Connecting,
    sources: Sources,
    /// Handshakes and farewells that must end by then; in order for each kind.
    joins: VecDeque<(Nanos, ClientId)>,
    leaves: VecDeque<(Nanos, ClientId)>,
    now: Nanos,
    pub tally: Tally,
}

/// What the pool counts.
#[derive(Clone, Copy, Default, Debug)]
pub struct Tally {
    /// Clients joined now.
    pub joined: u64,
    /// Reads that brought bytes.
    pub reads: u64,
    pub writes: u64,
    pub bytes_read: u64,
}

/// First size of the buffer that all connections are read into.
const READ_BYTES: usize = 256 * 1024;
const EVENTS_PER_TURN: usize = 1_024;
/// Connections begun in one turn, so that those who connect at once do not keep us from reading.
const BEGINS_PER_TURN_MAX: usize = 64;
/// A server has this long to end a session that we left.
const LEAVE_TIMEOUT_NS: Nanos = 5 * SECOND_NS;
/// No turn waits longer: the phases of a run are looked at in between.
const TURN_NS_MAX: Nanos = 5_000_000;
const WAKE: Token = Token(usize::MAX);
const TIME: Token = Token(usize::MAX - 1);

impl Pool {
    pub fn new(target: Arc<Target>, rules: Rules, clients: u32, thread: usize) -> io::Result<Pool> {
        let poll = Poll::new()?;
        let blank = || Client { phase: ClientState::Ended, paused: false, since: 0, ws: None, http: None };
        Ok(Pool {
            waker: Arc::new(Waker::new(poll.registry(), WAKE)?),
            timer: Timer::new(poll.registry(), TIME)?,
            poll,
            events: Events::with_capacity(EVENTS_PER_TURN),
            rules,
            clients: (0..clients).map(|_| blank()).collect(),
            buffer: vec![0; READ_BYTES],
            scratch: Vec::new(),
            mask: std::process::id() | 1,
            dirty: Vec::new(),
            ended: Vec::new(),
            connecting: Connecting::new(rules.connects_per_s, rules.connecting_max),
            sources: Sources::new(target.is_loopback_v4(), rules.source, thread),
            joins: VecDeque::new(),
            leaves: VecDeque::new(),
            now: clock::now(),
            tally: Tally::default(),
            target,
        })
    }

    /// The client is to connect and join, in its turn.
    pub fn connect(&mut self, client: ClientId) {
        self.connecting.push(client, self.now);
    }

    /// Sends one packet: whole with its type, `42["echo",1]`.
    pub fn send(&mut self, client: ClientId, packet: &[u8]) {
        let slot = &mut self.clients[client.0 as usize];
        match (&mut slot.ws, &mut slot.http) {
            (_, Some(polling)) => {
                polling.push(packet);
                self.post(client);
            }
            (Some(_), None) => self.send_frame(client, frame::TEXT, packet),
            (None, None) => {}
        }
    }

    /// An event; answered if it has an id. `args` is JSON: `"text",1`.
    pub fn emit(&mut self, client: ClientId, id: Option<u64>, name: &str, args: &str) {
        let mut packet = std::mem::take(&mut self.scratch);
        packet.clear();
        self.target.write_event(&mut packet, id, name, args);
        self.send(client, &packet);
        self.scratch = packet;
    }

    /// Leaves as a client does that says goodbye: namespace first, then the connection.
    pub fn leave(&mut self, client: ClientId) {
        if self.phase(client) != ClientState::Joined {
            return;
        }
        let leave = self.target.leave();
        self.send(client, &leave);
        self.set_phase(client, ClientState::Leaving);
        if self.clients[client.0 as usize].http.is_some() {
            self.send(client, b"1");
        } else {
            self.send_frame(client, frame::CLOSE, &1000u16.to_be_bytes());
        }
        self.leaves.push_back((self.now + LEAVE_TIMEOUT_NS, client));
    }

    /// Is gone without a word: the connection is reset, as by a proxy that has ended.
    pub fn abort(&mut self, client: ClientId) {
        if let Some(link) = &self.clients[client.0 as usize].ws {
            link.reset_on_close();
        }
        self.end(client, None);
    }

    /// As many handshakes as there are clients may be under way from now on.
    pub fn lift_connecting_max(&mut self) {
        self.connecting.in_flight_max = usize::MAX;
    }

    /// Moves a polling session to WebSocket.
    pub fn upgrade(&mut self, client: ClientId) {
        let slot = &mut self.clients[client.0 as usize];
        let Some(polling) = &mut slot.http else { return };
        polling.upgrade = Upgrade::Probing;
        slot.since = self.now;
        let sid = polling.sid.clone();
        match self.open(client, Lane::WebSocket) {
            Ok(mut link) => {
                self.target.write_upgrade(link.out(), Some(&sid));
                self.clients[client.0 as usize].ws = Some(link);
            }
            Err(error) => self.end(client, Some(Fault::Connect(error.kind()))),
        }
    }

    /// Nothing is read for it from now on.
    pub fn pause(&mut self, client: ClientId) {
        self.clients[client.0 as usize].paused = true;
    }

    pub fn phase(&self, client: ClientId) -> ClientState {
        self.clients[client.0 as usize].phase
    }

    pub fn ids(&self) -> impl Iterator<Item = ClientId> + use<> {
        (0..self.clients()).map(ClientId)
    }

    /// How many there are, joined or not.
    pub fn clients(&self) -> u32 {
        self.clients.len() as u32
    }

    /// Nobody connects, and nobody is about to.
    pub fn is_settled(&self) -> bool {
        self.connecting.is_idle()
    }

    /// Time of this turn's latest read.
    pub fn now(&self) -> Nanos {
        self.now
    }

    /// Ends the wait of [`Pool::turn`] from another thread.
    pub fn waker(&self) -> Arc<Waker> {
        self.waker.clone()
    }

    /// Waits until something comes or `deadline` has, tells the handler, connects who may, and sends.
    pub fn turn(&mut self, deadline: Option<Nanos>, handler: &mut dyn Handler) -> io::Result<()> {
        self.wait(deadline)?;
        let events = std::mem::replace(&mut self.events, Events::with_capacity(0));
        for event in &events {
            if event.token() == WAKE || event.token() == TIME {
                continue;
            }
            let (client, lane) = (ClientId((event.token().0 / 4) as u32), lane_of(event.token()));
            if event.is_writable() {
                self.on_writable(client, lane);
            }
            if event.is_readable() || event.is_read_closed() || event.is_error() {
                self.on_readable(client, lane, event.is_read_closed(), handler);
            }
        }
        self.events = events;
        self.now = clock::now();
        Ok(())
    }

    /// Connects who may, sends what waits and reports who is gone. Comes after the handler had its say in a turn.
    pub fn settle(&mut self, handler: &mut dyn Handler) {
        self.expire();
        for _ in 0..BEGINS_PER_TURN_MAX {
            let Some((client, since)) = self.connecting.next(self.now) else { break };
            self.begin(client, since);
        }
        self.flush();
        while let Some((client, fault)) = self.ended.pop() {
            handler.on(self, client, Happening::Ended(fault.as_ref()));
        }
    }

    fn wait(&mut self, deadline: Option<Nanos>) -> io::Result<()> {
        let now = clock::now();
        let idle = self.dirty.is_empty() && self.ended.is_empty();
        let deadline = [deadline, self.connecting.deadline()].into_iter().flatten().min().unwrap_or(Nanos::MAX);
        let wait_ns = if idle { deadline.saturating_sub(now).min(TURN_NS_MAX) } else { 0 };
        if wait_ns > 0 && wait_ns < TURN_NS_MAX {
            self.timer.set(wait_ns);
        }
        let timeout = Duration::from_nanos(if wait_ns == 0 { 0 } else { TURN_NS_MAX });
        let polled = self.poll.poll(&mut self.events, Some(timeout));
        self.now = clock::now();
        match polled {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            other => other,
        }
    }

    /// Handshakes and farewells that took too long.
    fn expire(&mut self) {
        while let Some(&(deadline, client)) = self.joins.front().filter(|(deadline, _)| *deadline <= self.now) {
            self.joins.pop_front();
            let slot = &self.clients[client.0 as usize];
            let same = slot.since + self.rules.join_timeout_ns == deadline;
            if same && matches!(slot.phase, ClientState::Opening | ClientState::Joining) {
                self.end(client, Some(Fault::Timeout("connect and join")));
            }
        }
        while let Some(&(_, client)) = self.leaves.front().filter(|(deadline, _)| *deadline <= self.now) {
            self.leaves.pop_front();
            if self.phase(client) == ClientState::Leaving {
                self.end(client, Some(Fault::Timeout("the server did not end a session that we left")));
            }
        }
    }

    fn begin(&mut self, client: ClientId, since: Nanos) {
        self.joins.push_back((since + self.rules.join_timeout_ns, client));
        let slot = &mut self.clients[client.0 as usize];
        (slot.phase, slot.paused, slot.since) = (ClientState::Opening, false, since);
        let polls = self.rules.transport == Transport::Polling;
        let lane = if polls { Lane::Get } else { Lane::WebSocket };
        match self.open(client, lane) {
            Ok(mut link) if polls => {
                self.target.write_get(link.out(), None);
                self.clients[client.0 as usize].http = Some(Box::new(Polling::new(link)));
            }
            Ok(mut link) => {
                self.target.write_upgrade(link.out(), None);
                self.clients[client.0 as usize].ws = Some(link);
            }
            Err(error) => self.end(client, Some(Fault::Connect(error.kind()))),
        }
    }

    fn set_phase(&mut self, client: ClientId, phase: ClientState) {
        let before = std::mem::replace(&mut self.clients[client.0 as usize].phase, phase);
        if matches!(before, ClientState::Opening | ClientState::Joining)
            && !matches!(phase, ClientState::Opening | ClientState::Joining)
        {
            self.connecting.in_flight -= 1;
        }
        let is_in = |phase| u64::from(phase == ClientState::Joined);
        self.tally.joined = self.tally.joined + is_in(phase) - is_in(before);
    }

    /// The end of a session; the handler hears of it at the end of the turn.
    fn end(&mut self, client: ClientId, fault: Option<Fault>) {
        if self.phase(client) == ClientState::Ended {
            return;
        }
        self.set_phase(client, ClientState::Ended);
        let slot = &mut self.clients[client.0 as usize];
        (slot.ws, slot.http) = (None, None);
        self.ended.push((client, fault));
    }
}

fn lane_of(token: Token) -> Lane {
    match token.0 % 4 {
        0 => Lane::WebSocket,
        1 => Lane::Get,
        _ => Lane::Post,
    }
}
