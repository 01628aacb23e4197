//! The work of one application: clients in roles, each doing what such clients do, at the rates of the script. A mix is one
//! file: a [`Script`] and a type that implements [`Play`]; `signage.rs` is the example.
//!
//! Every action is an open loop of its own, so its latency counts from when it was meant to begin.

pub mod iot;
pub mod signage;
mod spans;
mod stage;
mod text;
pub mod utalk;

use super::kind::{Cx, Own, Scenario, own};
use crate::auth::Minter;
use crate::clock::{Nanos, Pace, SECOND_NS};
use crate::lines::Lines;
use crate::options::Options;
use crate::outcome::Outcome;
use crate::pool::{ClientId, ClientState};
use spans::Spans;
pub use stage::{Casting, Stage, Who};

/// Unless `--rate` says how many all clients do together: actions of one client in a second.
const RATE_PER_CLIENT: f64 = 0.2;
/// Before the start this long is waited for an answer.
const PATIENCE_NS: Nanos = 10 * SECOND_NS;

/// How much a mix does.
const RATE: Own = own(
    "rate",
    "Actions per second, in all, whatever the answers do (open loop); 0: one of each client in five seconds",
);
/// What a mix that makes its own tokens signs them with.
const JWT_SECRET: Own = own(
    "jwt-secret",
    "Key that the clients' tokens are signed with (HS256); without it a token is a name, as development mode takes it",
);

/// The roles there are, and what they do.
pub struct Script {
    /// At least one; the last one's clients are all that are left.
    pub roles: &'static [Role],
    pub actions: &'static [Action],
    /// One for each thread.
    pub play: fn() -> Box<dyn Play>,
}

/// A kind of client.
pub struct Role {
    pub name: &'static str,
    /// Of all clients, unless `--role NAME=COUNT` says how many; one at least.
    pub percent: u32,
}

/// Something that clients of one role do again and again.
pub struct Action {
    pub name: &'static str,
    /// Index in the script's roles.
    pub role: usize,
    /// Its share of the rate, against those of the other actions.
    pub weight: u32,
}

/// What the clients of one thread say and hear.
pub trait Play: Send {
    /// The auth object of a client's join: JSON. With a minter tokens can be signed.
    fn auth(&self, who: Who, minter: Option<&Minter>) -> String;
    /// A client has joined.
    fn on_joined(&mut self, stage: &mut Stage<'_, '_>, who: Who);
    /// It is time that `who` does the action of this index, which was meant to happen at `intended`.
    fn act(&mut self, stage: &mut Stage<'_, '_>, who: Who, action: usize, intended: Nanos);
    /// An event: the JSON array of name and arguments.
    fn on_event(&mut self, stage: &mut Stage<'_, '_>, who: Who, name: &str, array: &[u8]);
    /// An answer to what was sent with this number: the JSON array of its arguments.
    fn on_ack(&mut self, stage: &mut Stage<'_, '_>, who: Who, number: u64, args: &[u8]);
}

/// Whether the roles that are asked for are some of the script's, and leave enough clients.
///
/// # Errors
/// A sentence that says which do not.
pub fn check(options: &Options, script: &Script) -> Result<(), String> {
    let [counted @ .., rest] = script.roles else { return Ok(()) };
    for (name, _) in &options.identity.roles {
        if name == rest.name {
            return Err(format!("--role {name}: all are {name} who have no other role"));
        }
        if !counted.iter().any(|role| role.name == name) {
            let known = counted.iter().map(|role| role.name).collect::<Vec<_>>().join(", ");
            return Err(format!("--role {name}: there is no such role, but {known}"));
        }
    }
    let asked: u64 = options.identity.roles.iter().map(|(_, count)| u64::from(*count)).sum();
    if asked >= u64::from(options.clients) {
        return Err(format!("--role: {asked} of {} clients leave none that is {}", options.clients, rest.name));
    }
    Ok(())
}

/// One for each thread.
pub fn build(options: &Options, script: &'static Script) -> Vec<Box<dyn Scenario>> {
    let cast = Casting::new(options, script);
    let one = |thread: u32| Box::new(Mix::new(options, script, cast.clone(), thread)) as Box<dyn Scenario>;
    (0..options.threads).map(one).collect()
}

struct Mix {
    script: &'static Script,
    play: Box<dyn Play>,
    cast: Casting,
    minter: Option<Minter>,
    /// Number of this thread's first client.
    first: u32,
    /// Of each action.
    loops: Vec<Loop>,
    spans: Spans,
    changed_at: Nanos,
    impatient: bool,
    stopped: bool,
}

/// One action's open loop.
struct Loop {
    per_second: f64,
    pace: Option<Pace>,
    /// The client that did it last, by its place among this thread's clients of the role.
    turn: u32,
    /// This thread's clients of the role.
    clients: Vec<ClientId>,
}

impl Mix {
    fn new(options: &Options, script: &'static Script, cast: Casting, thread: u32) -> Mix {
        let first = (0..thread).map(|before| options.clients_of(before)).sum();
        let rate = if options.rate > 0.0 { options.rate } else { RATE_PER_CLIENT * f64::from(options.clients) };
        let weights: u32 = script.actions.iter().map(|action| action.weight).sum();
        let of = |action: &Action| {
            let here =
                (0..options.clients_of(thread)).filter(|client| cast.who(first, ClientId(*client)).role == action.role);
            let clients: Vec<_> = here.map(ClientId).collect();
            let share = clients.len() as f64 / f64::from(cast.count(action.role).max(1));
            let per_second = rate * f64::from(action.weight) / f64::from(weights) * share;
            Loop { per_second, pace: None, turn: 0, clients }
        };
        Mix {
            loops: script.actions.iter().map(of).collect(),
            play: (script.play)(),
            minter: Minter::new(options),
            spans: Spans::new(thread),
            script,
            cast,
            first,
            changed_at: 0,
            impatient: false,
            stopped: false,
        }
    }

    fn with(&mut self, cx: &mut Cx<'_>, client: ClientId, then: impl FnOnce(&mut dyn Play, &mut Stage<'_, '_>, Who)) {
        let who = self.cast.who(self.first, client);
        self.changed_at = cx.pool.now();
        let mut stage = Stage { cx, spans: &mut self.spans, cast: &self.cast };
        then(&mut *self.play, &mut stage, who);
    }
}

impl Loop {
    /// The next client of the role that is there.
    fn next_client(&mut self, cx: &Cx<'_>) -> Option<ClientId> {
        let count = self.clients.len() as u32;
        (0..count).find_map(|_| {
            self.turn = (self.turn + 1) % count;
            let client = self.clients[self.turn as usize];
            (cx.pool.phase(client) == ClientState::Joined).then_some(client)
        })
    }

    fn take(&mut self, cx: &Cx<'_>) -> Option<(ClientId, Nanos)> {
        let intended = self.pace.as_mut()?.take(cx.pool.now())?;
        Some((self.next_client(cx)?, intended))
    }
}

impl Scenario for Mix {
    fn auth(&mut self, client: ClientId) -> Option<String> {
        Some(self.play.auth(self.cast.who(self.first, client), self.minter.as_ref()))
    }

    fn on_joined(&mut self, cx: &mut Cx<'_>, client: ClientId, _: Nanos) {
        self.with(cx, client, |play, stage, who| play.on_joined(stage, who));
    }

    fn on_event(&mut self, cx: &mut Cx<'_>, client: ClientId, array: &[u8]) {
        let Some(name) = name_of(array) else { return };
        self.with(cx, client, |play, stage, who| play.on_event(stage, who, name, array));
    }

    fn on_ack(&mut self, cx: &mut Cx<'_>, client: ClientId, id: u64, args: &[u8]) {
        self.with(cx, client, |play, stage, who| play.on_ack(stage, who, id, args));
    }

    fn on_ended(&mut self, cx: &mut Cx<'_>, client: ClientId) {
        cx.figures.add("unanswered", self.spans.forget(client));
    }

    fn is_ready(&self) -> bool {
        self.spans.open() == 0 || self.impatient
    }

    fn start(&mut self, cx: &mut Cx<'_>) {
        for action in self.loops.iter_mut().filter(|action| action.per_second > 0.0) {
            action.pace = Some(Pace::new(cx.now(), action.per_second));
        }
    }

    fn on_time(&mut self, cx: &mut Cx<'_>) {
        self.impatient = cx.now() > self.changed_at + PATIENCE_NS;
        for action in 0..self.loops.len() {
            while !self.stopped
                && let Some((client, intended)) = self.loops[action].take(cx)
            {
                cx.note_lateness(intended);
                self.with(cx, client, |play, stage, who| play.act(stage, who, action, intended));
            }
        }
    }

    fn deadline(&self) -> Option<Nanos> {
        let paces = self.loops.iter().filter_map(|action| action.pace);
        paces.map(|pace| pace.next_at()).min().filter(|_| !self.stopped)
    }

    fn stop(&mut self, _: &mut Cx<'_>) {
        self.stopped = true;
    }

    fn is_done(&self) -> bool {
        self.spans.open() == 0
    }

    fn finish(&mut self, cx: &mut Cx<'_>) {
        cx.figures.add("unanswered", self.spans.open());
        for (role, of) in self.script.roles.iter().enumerate() {
            let here = cx.pool.ids().filter(|client| self.cast.who(self.first, *client).role == role);
            cx.figures.add(of.name, here.filter(|client| cx.pool.phase(*client) == ClientState::Joined).count() as u64);
        }
    }
}

/// The name of an event, as long as it needs no decoding.
fn name_of(array: &[u8]) -> Option<&str> {
    let rest = array.strip_prefix(b"[\"")?;
    let end = rest.iter().position(|byte| *byte == b'"')?;
    std::str::from_utf8(&rest[..end]).ok()
}

/// The lines of every mix; a mix adds its own counts.
pub fn describe(outcome: &Outcome, lines: &mut Lines, script: &Script) {
    for role in script.roles {
        lines.add(&format!("role_{}", role.name), role.name, outcome.figures.count(role.name) as f64, "");
    }
    lines.add_parts(&outcome.figures);
    lines.must_be_zero("unanswered", outcome.figures.count("unanswered"));
}
