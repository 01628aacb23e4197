//! The place where an application decides: loads an entity before its first input, parks inputs behind a load or a
//! commit (bounded, in order), and applies a commit's consequences when the write is on disk (DESIGN 4.6).
//!
//! In: [`AppInput`]s and outcomes of jobs. Out: effects in order, with every commit turned into a job.

mod parked;
mod users;

use std::collections::BTreeMap;

use super::effect::{Effect, Effects, Token};
use super::event::AppInput;
use super::job::{Job, Outcome};
use super::link::LinkId;
use super::metric::Metric;
use super::{Application, Context, Entity};
use crate::base::ids::SocketRef;

pub use parked::Parked;
use users::Users;

/// One application on one shard.
pub struct HomeState {
    app: Box<dyn Application>,
    /// Entities that wait for a load or for commits, with what waits behind them.
    parked: BTreeMap<Entity, Parked>,
    commits: BTreeMap<u64, Commit>,
    next_commit: u64,
    users: Users,
}

struct Commit {
    entity: Entity,
    token: Option<Token>,
    then: Vec<Effect>,
    or_else: Vec<Effect>,
}

/// What a home asks for.
#[derive(Debug)]
pub enum Decision {
    Effect(Effect),
    Load {
        entity: Entity,
        job: Job,
    },
    Commit {
        number: u64,
        job: Job,
    },
    /// The home has said its last word about a socket that has moved: its new home may hear of it.
    Released(SocketRef),
    /// The home has spoken to a socket whose token ends now: it ends, unless it has been identified anew.
    Expired(SocketRef),
    /// How somebody whose events wait is to be read.
    Flow {
        of: Speaker,
        flow: Flow,
    },
}

/// Somebody whose events may wait for an entity.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Speaker {
    Socket(SocketRef),
    Link(LinkId),
}

/// How a socket or link is to be read from now on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Flow {
    /// Not, until it is released: what it has sent waits with it.
    Hold,
    Release,
    /// An event of it is lost, and it asked for no answer: its connection ends, so that it knows; a link, as flooded.
    Cut,
}

impl HomeState {
    /// `sockets_per_user_max` bounds the sockets of one identity; 0: no limit.
    pub fn new(app: Box<dyn Application>, sockets_per_user_max: usize) -> HomeState {
        let users = Users::new(sockets_per_user_max);
        HomeState { app, parked: BTreeMap::new(), commits: BTreeMap::new(), next_commit: 0, users }
    }

    /// The application itself, for what it answers without an input.
    pub fn app(&self) -> &dyn Application {
        &*self.app
    }

    /// Something happened; decisions are appended to `out`.
    pub fn on_input(&mut self, cx: &mut Context<'_>, input: AppInput, out: &mut Vec<Decision>) {
        if let Some(refusal) = self.users.on_input(&input, &*self.app) {
            return out.push(Decision::Effect(refusal));
        }
        // About no entity are answers to jobs and acks, news of uploads, the start and the drain.
        let is_answer = matches!(input, AppInput::Done { .. } | AppInput::Acked { .. } | AppInput::Upload { .. });
        let about_none = is_answer || matches!(input, AppInput::Started | AppInput::Draining);
        let at_once = about_none || (self.parked.is_empty() && self.app.has_loaded(&input));
        let entity = if at_once { None } else { self.app.entity(&input) };
        let Some(entity) = entity else { return self.run(cx, input, out) };
        if let Some(parked) = self.parked.get_mut(&entity) {
            return parked.push(input, out);
        }
        match self.app.load(&entity) {
            None => self.run(cx, input, out),
            Some(job) => {
                let mut parked = Parked::new(self.app.ack_style());
                parked.pending = 1;
                parked.push(input, out);
                self.parked.insert(entity.clone(), parked);
                out.push(Decision::Load { entity, job });
            }
        }
    }

    /// A load came back: what waited runs now.
    pub fn on_loaded(&mut self, cx: &mut Context<'_>, entity: &Entity, outcome: Outcome, out: &mut Vec<Decision>) {
        let mut fx = Effects::default();
        self.app.loaded(cx, entity, outcome, &mut fx);
        self.settle(fx.0, out);
        self.unpark(cx, entity, out);
    }

    /// A commit came back: its consequences first, then what waited.
    pub fn on_committed(&mut self, cx: &mut Context<'_>, number: u64, outcome: Outcome, out: &mut Vec<Decision>) {
        let Some(commit) = self.commits.remove(&number) else { return };
        let succeeded = outcome.is_written();
        if let Some(token) = commit.token {
            self.run(cx, AppInput::Done { token, outcome }, out);
        }
        self.settle(if succeeded { commit.then } else { commit.or_else }, out);
        self.unpark(cx, &commit.entity, out);
    }

    /// Sockets that are counted for their users, for tests that expect none.
    #[cfg(test)]
    pub fn counted_sockets(&self) -> usize {
        self.users.sockets()
    }

    /// The application's figures for a scrape.
    pub fn metrics(&self, out: &mut Vec<Metric>) {
        self.app.metrics(out);
    }

    fn run(&mut self, cx: &mut Context<'_>, input: AppInput, out: &mut Vec<Decision>) {
        let mut fx = Effects::default();
        let last_word = match &input {
            AppInput::Moved { socket, .. } => Some(Decision::Released(*socket)),
            AppInput::Expiring { socket, in_ms: 0, .. } => Some(Decision::Expired(*socket)),
            _ => None,
        };
        self.app.handle(cx, input, &mut fx);
        self.settle(fx.0, out);
        out.extend(last_word);
    }

    /// Turns commits into jobs and passes everything else on.
    fn settle(&mut self, effects: Vec<Effect>, out: &mut Vec<Decision>) {
        for effect in effects {
            match &effect {
                Effect::Refuse { socket, .. } => self.users.leave(*socket),
                Effect::Identify { socket, identity } | Effect::Accept { socket, identity: Some(identity) } => {
                    self.users.rename(*socket, identity, &*self.app);
                }
                _ => {}
            }
            let Effect::Commit { entity, write, token, then, or_else } = effect else {
                out.push(Decision::Effect(effect));
                continue;
            };
            let number = self.next_commit;
            self.next_commit += 1;
            let style = self.app.ack_style();
            self.parked.entry(entity.clone()).or_insert_with(|| Parked::new(style)).pending += 1;
            self.commits.insert(number, Commit { entity, token, then, or_else });
            out.push(Decision::Commit { number, job: Job::Write(write.into()) });
        }
    }

    /// One load or commit of `entity` is over; runs what waited until another one begins.
    fn unpark(&mut self, cx: &mut Context<'_>, entity: &Entity, out: &mut Vec<Decision>) {
        let Some(parked) = self.parked.get_mut(entity) else { return };
        parked.pending -= 1;
        if parked.pending > 0 {
            return;
        }
        let Some(mut waiting) = self.parked.remove(entity) else { return };
        while let Some(input) = waiting.pop() {
            self.run(cx, input, out);
            if let Some(parked) = self.parked.get_mut(entity) {
                waiting.pending = parked.pending;
                waiting.release(out);
                *parked = waiting;
                return;
            }
        }
        waiting.release(out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::event::{Args, Connect, Event, Handshake};
    use crate::app::identity::{AuthSettings, Authenticator, Identity};
    use crate::app::job::{JobError, JobErrorKind};
    use crate::app::link::{LinkEnd, LinkEvent, LinkMessage};
    use crate::app::note::Note;
    use crate::app::{Asked, AuthFailure, Home, Refusal};
    use crate::base::limit::{PARKED_BYTES_LONG, PARKED_BYTES_MAX, PARKED_EVENTS_LONG, PARKED_EVENTS_MAX};
    use crate::base::rng::Rng;
    use crate::base::time::Now;
    use std::sync::Arc;

    /// Logs the tokens of its timers; an odd one commits.
    #[derive(Default)]
    struct Logger {
        loaded: bool,
    }

    fn note(text: impl Into<String>) -> Effect {
        Effect::Alert { kind: "note", text: text.into() }
    }

    impl Application for Logger {
        fn admit(&self, verified: Result<Arc<Identity>, AuthFailure>, _: &Asked<'_>) -> Result<Arc<Identity>, Refusal> {
            Ok(verified.unwrap_or_default())
        }
        fn home(&self, _: &Identity) -> Home {
            Home::Local
        }
        fn entity(&self, _: &AppInput) -> Option<Entity> {
            Some(Entity("e".into()))
        }
        fn has_loaded(&self, _: &AppInput) -> bool {
            self.loaded
        }
        fn load(&mut self, _: &Entity) -> Option<Job> {
            (!self.loaded).then(|| Job::Read(Vec::new()))
        }
        fn loaded(&mut self, _: &mut Context<'_>, _: &Entity, _: Outcome, fx: &mut Effects) {
            self.loaded = true;
            fx.push(note("loaded"));
        }
        fn handle(&mut self, _: &mut Context<'_>, input: AppInput, fx: &mut Effects) {
            match input {
                AppInput::Timer { token } if token.0 % 2 == 1 => fx.push(Effect::Commit {
                    entity: Entity("e".into()),
                    write: Vec::new(),
                    token: None,
                    then: vec![note(format!("{} is on disk", token.0))],
                    or_else: vec![note(format!("{} failed", token.0))],
                }),
                AppInput::Timer { token } => fx.push(note(token.0.to_string())),
                AppInput::Draining => fx.push(note("draining")),
                _ => {}
            }
        }
        fn name(&self) -> &'static str {
            "logger"
        }
        fn tally(&self) -> crate::app::Tally {
            Default::default()
        }
        fn metrics(&self, _: &mut Vec<Metric>) {}
    }

    fn texts(out: &mut Vec<Decision>) -> Vec<String> {
        out.drain(..)
            .map(|decision| match decision {
                Decision::Effect(Effect::Alert { text, .. }) => text,
                Decision::Effect(other) => format!("{other:?}"),
                Decision::Load { .. } => "load".into(),
                Decision::Commit { number, .. } => format!("commit {number}"),
                Decision::Released(_) => "released".into(),
                Decision::Expired(_) => "expired".into(),
                Decision::Flow { of: Speaker::Socket(socket), flow } => format!("{flow:?} {}", socket.key.slot),
                Decision::Flow { of: Speaker::Link(link), flow } => format!("{flow:?} {link:?}"),
            })
            .collect()
    }

    fn run(script: impl FnOnce(&mut HomeState, &mut Context<'_>, &mut Vec<Decision>)) {
        let mut rng = Rng::from_seed([0; 32]);
        let authenticator = Authenticator::new(&AuthSettings::default());
        let mut cx = Context { now: Now::default(), rng: &mut rng, authenticator: &authenticator };
        script(&mut HomeState::new(Box::new(Logger::default()), 0), &mut cx, &mut Vec::new());
    }

    fn timer(number: u64) -> AppInput {
        AppInput::Timer { token: Token(number) }
    }

    #[test]
    fn inputs_wait_for_the_load_and_run_in_order() {
        run(|home, cx, out| {
            home.on_input(cx, timer(2), out);
            home.on_input(cx, timer(4), out);
            assert_eq!(texts(out), ["load"]);
            home.on_input(cx, AppInput::Draining, out);
            assert_eq!(texts(out), ["draining"], "waits for nothing");
            home.on_loaded(cx, &Entity("e".into()), Outcome::Written(vec![]), out);
            assert_eq!(texts(out), ["loaded", "2", "4"]);
        });
    }

    #[test]
    fn a_commit_parks_what_follows_and_speaks_first() {
        run(|home, cx, out| {
            home.on_input(cx, timer(1), out);
            home.on_loaded(cx, &Entity("e".into()), Outcome::Written(vec![]), out);
            assert_eq!(texts(out), ["load", "loaded", "commit 0"]);
            for number in [2, 3, 4] {
                home.on_input(cx, timer(number), out);
            }
            assert_eq!(texts(out), [""; 0]);
            home.on_committed(cx, 0, Outcome::Written(vec![]), out);
            assert_eq!(texts(out), ["1 is on disk", "2", "commit 1"]);
            let error = JobError { kind: JobErrorKind::Full, text: "full".into() };
            home.on_committed(cx, 1, Outcome::Failed(error), out);
            assert_eq!(texts(out), ["3 failed", "4"]);
        });
    }

    fn event(slot: u32, ack: Option<u64>, bytes: usize) -> AppInput {
        let args = Args::of("e", &[serde_json::json!("x".repeat(bytes))]);
        AppInput::Event(Event { socket: socket(slot), nsp: Default::default(), identity: Arc::default(), args, ack })
    }

    fn socket(slot: u32) -> SocketRef {
        SocketRef { shard: Default::default(), key: crate::base::ids::Key { slot, generation: 0 } }
    }

    fn call() -> AppInput {
        let req = crate::base::ids::ReqId { shard: Default::default(), key: Default::default() };
        const ROUTE: crate::app::route::Route = crate::app::route::Route {
            name: "r",
            method: crate::app::route::Method::Get,
            path: "/",
            doc: "",
            door: crate::app::route::Door::Public,
            bare: crate::app::route::Bare::No,
            who: crate::app::route::Who::Anybody,
            params: &[],
            body: crate::app::route::Body::None,
            home: |_| Ok(crate::app::route::Place::At(Home::Local)),
            shell: None,
        };
        let call = crate::app::route::Call::of(&ROUTE, [127, 0, 0, 1].into());
        AppInput::Call { req, call: Box::new(call) }
    }

    #[test]
    fn a_socket_that_adds_to_a_long_queue_is_held_until_half_of_it_is_left() {
        for (events, bytes) in [(PARKED_EVENTS_LONG, 0), (8, PARKED_BYTES_LONG / 8)] {
            run(|home, cx, out| {
                (0..events).for_each(|_| home.on_input(cx, event(7, None, bytes), out));
                assert_eq!(texts(out), ["load"]);
                home.on_input(cx, call(), out);
                assert!(texts(out)[0].contains("status: 503"), "whoever calls is told");
                [8, 9, 8].iter().for_each(|slot| home.on_input(cx, event(*slot, None, 0), out));
                home.on_input(cx, timer(1), out);
                home.on_input(cx, timer(2), out);
                assert_eq!(texts(out), ["Hold 8", "Hold 9"], "once each");
                home.on_loaded(cx, &Entity("e".into()), Outcome::Written(vec![]), out);
                assert_eq!(texts(out), ["loaded", "commit 0", "Release 8", "Release 9"]);
                home.on_committed(cx, 0, Outcome::Written(vec![]), out);
                assert_eq!(texts(out), ["1 is on disk", "2"]);
            });
        }
    }

    #[test]
    fn a_link_that_adds_to_a_long_queue_is_held_and_above_all_bounds_flooded() {
        let link = LinkId::Dialled(Token(5));
        let said = |event| AppInput::Link { link, event };
        let message = || said(LinkEvent::Message(LinkMessage::text("x".repeat(PARKED_BYTES_LONG / 4))));
        run(|home, cx, out| {
            (0..6).for_each(|_| home.on_input(cx, message(), out));
            home.on_input(cx, said(LinkEvent::Closed { why: LinkEnd::Silent }), out);
            assert_eq!(texts(out), ["load", "Hold Dialled(Token(5))"], "once");
            home.on_loaded(cx, &Entity("e".into()), Outcome::Written(vec![]), out);
            assert_eq!(texts(out), ["loaded", "Release Dialled(Token(5))"]);
        });
        run(|home, cx, out| {
            (0..PARKED_BYTES_MAX / PARKED_BYTES_LONG * 4).for_each(|_| home.on_input(cx, message(), out));
            assert_eq!(texts(out), ["load", "Hold Dialled(Token(5))"]);
            home.on_input(cx, message(), out);
            assert_eq!(texts(out), ["Cut Dialled(Token(5))"]);
            home.on_input(cx, said(LinkEvent::Closed { why: LinkEnd::Flooded }), out);
            assert_eq!(texts(out), [""; 0], "the end queues, whatever waits");
        });
    }

    #[test]
    fn a_queue_that_stays_long_holds_on() {
        run(|home, cx, out| {
            home.on_input(cx, timer(1), out);
            (0..PARKED_EVENTS_LONG).for_each(|_| home.on_input(cx, event(7, None, 0), out));
            assert_eq!(texts(out), ["load", "Hold 7"]);
            home.on_loaded(cx, &Entity("e".into()), Outcome::Written(vec![]), out);
            assert_eq!(texts(out), ["loaded", "commit 0"]);
            home.on_committed(cx, 0, Outcome::Written(vec![]), out);
            assert_eq!(texts(out), ["1 is on disk", "Release 7"]);
        });
    }

    #[test]
    fn what_is_refused_above_all_bounds_is_told_and_the_rest_is_kept() {
        for (events, bytes) in [(PARKED_EVENTS_MAX, 0), (64, PARKED_BYTES_MAX / 64)] {
            run(|home, cx, out| {
                (0..events).for_each(|_| home.on_input(cx, event(7, None, bytes), out));
                texts(out);
                home.on_input(cx, event(8, Some(3), 0), out);
                assert!(
                    texts(out)[0].contains(r#"{\"ok\":false,\"error\":{\"code\":\"BUSY\""#),
                    "as applications spell it"
                );
                let note = Note::new("news", &1);
                home.on_input(cx, AppInput::Said { home: Home::Local, note }, out);
                assert_eq!(texts(out), ["news: Too many requests are waiting"], "operators hear of a lost note");
                home.on_input(cx, event(8, None, 0), out);
                assert_eq!(texts(out), ["Cut 8"]);
                let connect = Connect {
                    socket: socket(9),
                    nsp: Default::default(),
                    dialect: None,
                    moved: false,
                    sid: crate::base::rng::Rng::from_seed([1; 32]).sid(),
                    identity: Arc::default(),
                    auth: Default::default(),
                    handshake: Arc::new(Handshake::new([127, 0, 0, 1].into(), "", "", "")),
                };
                home.on_input(cx, AppInput::Connect(connect), out);
                assert!(texts(out)[0].contains("Server busy"));
                home.on_input(cx, timer(2), out);
                home.on_loaded(cx, &Entity("e".into()), Outcome::Written(vec![]), out);
                assert_eq!(texts(out), ["loaded", "2", "Release 7"], "timers queue, whatever waits");
            });
        }
    }
}
