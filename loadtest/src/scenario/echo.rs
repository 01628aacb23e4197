//! Emits that the server answers. Closed loop: the next one follows the answer. Open loop (`--rate`): they go out at their
//! times whatever the answers do, and latency counts from then.

use super::arguments::{self, Arguments};
use super::kind::{Cx, IDENTITY, Kind, MEASURED_TIME, Measured, Own, PROCESSES, Scenario, THRESHOLDS, each, own};
use crate::clock::{Nanos, Pace};
use crate::flights::{Flight, Flights};
use crate::lines::Lines;
use crate::options::Options;
use crate::outcome::Outcome;
use crate::pool::{ClientId, ClientState, Transport};

pub const KIND: Kind = Kind {
    name: "echo",
    about: "Emit with ack: round trips per second, latency, CPU per round trip",
    unit: ("round trip", "round trips"),
    measured: Measured::Running,
    transport: Transport::WebSocket,
    options: &[IDENTITY, PROCESSES, MEASURED_TIME, THRESHOLDS, REQUESTS, &[ARGUMENTS]],
    check: |options| options.echo_args.as_deref().map_or(Ok(()), arguments::check),
    build,
    describe,
};

/// What a scenario of requests may be told of them.
pub(super) const REQUESTS: &[Own] = &[
    own("rate", "Requests per second, in all, whatever the answers do (open loop); 0: the next one follows an answer"),
    Own {
        option: "size",
        help: "Bytes of the string in a request",
        idle: |options| {
            options.echo_args.as_ref().map(|_| "--size is of a string, --echo-args says what is sent instead")
        },
    },
    Own {
        option: "in-flight",
        help: "Requests of each client at a time, in a closed loop",
        idle: |options| (options.rate > 0.0).then_some("--in-flight is for a closed loop, --rate makes an open one"),
    },
    own("echo-event", ""),
];

const ARGUMENTS: Own = own("echo-args", "");

/// Beyond this many unanswered requests of one thread an open loop waits, and its requests become late.
const FLIGHTS_MAX: usize = 1_000_000;

pub(super) fn build(options: &Options) -> Vec<Box<dyn Scenario>> {
    each(options, |_| Echo::new(options, options.rate / f64::from(options.threads)))
}

pub(super) struct Echo {
    event: String,
    arguments: Arguments,
    /// Requests of one client at a time, in the closed loop.
    in_flight: u32,
    /// 0: closed loop.
    per_second: f64,
    pace: Option<Pace>,
    flights: Flights,
    /// The client whose turn it is in the open loop.
    turn: u32,
    stopped: bool,
    /// It is not the scenario's own unit: answers are told under this name and not as done.
    part: Option<&'static str>,
}

impl Echo {
    fn new(options: &Options, per_second: f64) -> Echo {
        Echo {
            event: options.echo_event.clone(),
            arguments: Arguments::new(options),
            in_flight: options.in_flight,
            per_second,
            pace: None,
            flights: Flights::default(),
            turn: 0,
            stopped: false,
            part: None,
        }
    }

    /// An open loop beside another scenario's work: its latencies are the part `name`.
    pub(super) fn beside(options: &Options, per_second: f64, name: &'static str) -> Echo {
        Echo { part: Some(name), ..Echo::new(options, per_second) }
    }

    /// Answers from now on are told under another name.
    pub(super) fn tell_as(&mut self, name: &'static str) {
        self.part = Some(name);
    }

    fn send(&mut self, cx: &mut Cx<'_>, client: ClientId, intended: Nanos) {
        let id = self.flights.depart(Flight { client, intended });
        cx.pool.emit(client, Some(id), &self.event, &self.arguments.next());
    }

    /// The next client that is there.
    fn next_client(&mut self, cx: &Cx<'_>) -> Option<ClientId> {
        let clients = cx.pool.clients();
        (0..clients).find_map(|_| {
            self.turn = (self.turn + 1) % clients;
            let client = ClientId(self.turn);
            (cx.pool.phase(client) == ClientState::Joined).then_some(client)
        })
    }
}

impl Scenario for Echo {
    fn start(&mut self, cx: &mut Cx<'_>) {
        if self.per_second > 0.0 {
            self.pace = Some(Pace::new(cx.now(), self.per_second));
            return;
        }
        for client in cx.pool.ids().filter(|client| cx.pool.phase(*client) == ClientState::Joined).collect::<Vec<_>>() {
            (0..self.in_flight).for_each(|_| self.send(cx, client, cx.now()));
        }
    }

    fn on_ack(&mut self, cx: &mut Cx<'_>, client: ClientId, id: u64, args: &[u8]) {
        let Some(flight) = self.flights.arrive(id, client) else {
            cx.figures.add("unexpected answers", 1);
            return;
        };
        let body = args.strip_prefix(b"[").and_then(|rest| rest.strip_suffix(b"]"));
        if !body.is_some_and(|body| self.arguments.is_answer(body)) {
            cx.figures.add("wrong answers", 1);
        }
        match self.part {
            Some(name) => cx.figures.note_part(name, cx.pool.now().saturating_sub(flight.intended), true),
            None => cx.done(flight.intended),
        }
        if self.per_second == 0.0 && !self.stopped {
            self.send(cx, client, cx.now());
        }
    }

    fn on_ended(&mut self, cx: &mut Cx<'_>, client: ClientId) {
        let lost = self.flights.forget(client);
        cx.figures.add("unanswered", lost as u64);
    }

    fn on_time(&mut self, cx: &mut Cx<'_>) {
        let Some(mut pace) = self.pace.filter(|_| !self.stopped) else { return };
        while self.flights.open() < FLIGHTS_MAX
            && let Some(intended) = pace.take(cx.now())
        {
            let Some(client) = self.next_client(cx) else { break };
            cx.note_lateness(intended);
            self.send(cx, client, intended);
        }
        self.pace = Some(pace);
    }

    fn deadline(&self) -> Option<Nanos> {
        let paced = !self.stopped && self.flights.open() < FLIGHTS_MAX;
        self.pace.filter(|_| paced).map(|pace| pace.next_at())
    }

    fn stop(&mut self, _: &mut Cx<'_>) {
        self.stopped = true;
    }

    fn is_done(&self) -> bool {
        self.flights.open() == 0
    }

    fn finish(&mut self, cx: &mut Cx<'_>) {
        cx.figures.add("unanswered", self.flights.open() as u64);
    }
}

pub(super) fn describe(outcome: &Outcome, lines: &mut Lines) {
    for name in ["unanswered", "unexpected answers", "wrong answers"] {
        lines.must_be_zero(name, outcome.figures.count(name));
    }
}
