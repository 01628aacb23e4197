//! Layer 8: a world for tests of applications. One application on one shard, with its store (the real one, in memory, without
//! threads), clients with inboxes and rooms, HTTP calls, an outside that answers requests, and time that only tests move. A test
//! is a script, one input a line.
//!
//! `mod` (what a script says), `upload` (about files), `links` (the other side of links) → `heard` (what it looks at) → `effects`, `dialects` (the shard's part) → `store`, `outside`.
//!
//! Effects are applied as the shard applies them, through the same [`HomeState`]; nothing of the application is looked into.

mod dialects;
mod effects;
mod heard;
mod links;
pub(crate) mod outside;
mod store;
mod upload;

use core::any::Any;
use core::net::IpAddr;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;

use self::links::Links;
use self::outside::Outside;
pub(crate) use self::store::Store;
use self::upload::Coming;
use crate::api::routes::{Found, Routes};
use crate::app::effect::Room;
use crate::app::event::{AckAnswer, AppInput, Args, Connect, Event, Handshake};
use crate::app::fetch::Fetch;
use crate::app::home::HomeState;
use crate::app::identity::{AuthSettings, Authenticator, Identity};
use crate::app::job::Job;
use crate::app::kit::dialect::{Answers, Dialect};
use crate::app::reply::Item;
use crate::app::route::{Call, Door, Place, Route};
use crate::app::sql::Tables;
use crate::app::table::Row;
use crate::app::{Application, Asked, AuthFailure, Entity, Token};
use crate::base::close::CloseReason;
use crate::base::ids::{Key, NspIndex, ReqId, ShardId, Sid, SocketRef};
use crate::base::rng::Rng;
use crate::base::time::{Millis, Now, WallMillis};
use crate::store::ShelfSettings;

/// A client of the world, by number.
pub(crate) type Id = u32;

/// What is under test, and how to make it again for a restart.
type Make = Box<dyn Fn() -> Box<dyn Application>>;

pub(crate) struct World {
    make: Make,
    home: HomeState,
    pub now: Now,
    rng: Rng,
    authenticator: Authenticator,
    /// What the home has not heard yet.
    inputs: VecDeque<AppInput>,
    clients: BTreeMap<Id, Client>,
    timers: BTreeMap<Token, Millis>,
    questions: Vec<Question>,
    /// Jobs that the store has not answered.
    waiting: VecDeque<(Job, Asker)>,
    /// Requests that the outside has not answered, and who asked.
    requests: VecDeque<(Fetch, Option<Token>)>,
    pub outside: Outside,
    links: Links,
    pub store: Store,
    /// Answers to calls, the newest last.
    pub replies: Vec<(u16, Value)>,
    /// A file that is being brought.
    coming: Option<Coming>,
    /// Items of streams, and how many streams have ended.
    pub items: Vec<Item>,
    pub ends: usize,
    /// Kinds of lines for operators.
    pub alerts: Vec<&'static str>,
    /// Sockets that are told to end take their time.
    pub lingering: bool,
    /// Names of emitted events, one for each encoding.
    pub encodings: Vec<String>,
    /// How many of them said something beside.
    pub besides: usize,
    /// How often a timer was due.
    pub timers_run: usize,
    next: Id,
    /// Calls so far.
    calls: u32,
    /// What calls know of the application's settings; `None`: as they are untold.
    pub settings: Option<Arc<dyn Any + Send + Sync>>,
    /// Those of the application, and the one that new clients speak.
    dialects: &'static [Dialect],
    spoken: Option<&'static str>,
}

#[derive(Default)]
struct Client {
    identity: Arc<Identity>,
    rooms: BTreeSet<Room>,
    inbox: Vec<(String, Value)>,
    acks: Vec<(u64, Value)>,
    refused: Option<(String, Value)>,
    open: bool,
    /// Events of class `Patch` are dropped, as for a slow reader.
    slow: bool,
    dropped: BTreeSet<u64>,
    nsp: NspIndex,
    dialect: Option<&'static Dialect>,
    /// Rows by which acks that it waits for are spelled.
    spelled: BTreeMap<u64, Answers>,
    /// What it joined with.
    joined: Option<(Sid, Arc<Handshake>)>,
    /// Between two homes, or not read because of what waits already.
    moving: bool,
    held: bool,
    /// What it has sent meanwhile.
    unheard: Vec<AppInput>,
    /// The token's end has come, and the home has been told.
    expired: bool,
}

/// An event that asks its receivers for acks.
struct Question {
    token: Token,
    due: Millis,
    asked: BTreeSet<Id>,
    answers: Vec<AckAnswer>,
    /// Receivers that have left.
    missing: u32,
}

/// The one who hears what comes of a job.
enum Asker {
    Application(Option<Token>),
    Load(Entity),
    Commit(u64),
}

impl World {
    /// A world with the application that `make` makes, its tables and its shelves.
    pub(crate) fn of<A: Application + 'static>(
        make: impl Fn() -> A + 'static,
        tables: &[&'static Tables],
        shelves: &[ShelfSettings],
    ) -> World {
        let make: Make = Box::new(move || Box::new(make()));
        let mut world = World {
            home: HomeState::new(make(), 0),
            make,
            now: Now { mono: Millis(1_000), wall: WallMillis(1_755_684_000_000) },
            rng: Rng::from_seed([4; 32]),
            authenticator: Authenticator::new(&AuthSettings::default()),
            inputs: VecDeque::new(),
            clients: BTreeMap::new(),
            timers: BTreeMap::new(),
            questions: Vec::new(),
            waiting: VecDeque::new(),
            requests: VecDeque::new(),
            outside: Outside::default(),
            links: Links::default(),
            store: Store::new(tables, shelves),
            replies: Vec::new(),
            coming: None,
            items: Vec::new(),
            ends: 0,
            alerts: Vec::new(),
            lingering: false,
            encodings: Vec::new(),
            besides: 0,
            timers_run: 0,
            next: 0,
            calls: 0,
            settings: None,
            dialects: &[],
            spoken: None,
        };
        world.input(AppInput::Started);
        world
    }

    /// Handlers read and make tokens of this configuration from now on.
    pub(crate) fn trusts(&mut self, auth: &AuthSettings) {
        self.authenticator = Authenticator::new(auth);
    }

    /// The daemon starts again over the same store; everybody has to reconnect.
    pub(crate) fn restart(&mut self) {
        self.home = HomeState::new((self.make)(), 0);
        self.clients.clear();
        self.timers.clear();
        self.questions.clear();
        self.waiting.clear();
        self.coming = None;
        self.requests.clear();
        self.links = Links::default();
        self.now = self.now.plus(1_000);
        self.input(AppInput::Started);
    }

    /// A client asks to join: with what the daemon made of its token, its auth object and its query.
    pub(crate) fn connect(&mut self, verified: Result<Arc<Identity>, AuthFailure>, auth: Value, query: &str) -> Id {
        self.connect_from(IpAddr::from([10, 0, 0, 4]), verified, auth, query)
    }

    pub(crate) fn connect_from(
        &mut self,
        ip: IpAddr,
        verified: Result<Arc<Identity>, AuthFailure>,
        auth: Value,
        query: &str,
    ) -> Id {
        self.connect_to(NspIndex(0), ip, verified, auth, query)
    }

    /// As [`World::connect`], to one of the application's namespaces.
    pub(crate) fn connect_to(
        &mut self,
        nsp: NspIndex,
        ip: IpAddr,
        verified: Result<Arc<Identity>, AuthFailure>,
        auth: Value,
        query: &str,
    ) -> Id {
        self.next += 1;
        let id = self.next;
        let handshake = Handshake::new(ip, query, "UA", "");
        let auth = Bytes::from(auth.to_string());
        let asked = Asked { auth: &auth, handshake: &handshake };
        let why = verified.as_ref().err().copied();
        let admitted = self.home.app().admit(verified, &asked);
        let dialect = self.dialect_of(&asked);
        let identity = match admitted {
            Ok(identity) => identity,
            Err(refusal) => {
                let refusal = dialects::refused_in(dialect, refusal, why);
                let data = refusal.data.map(|data| serde_json::from_str(&data).unwrap()).unwrap_or_default();
                self.clients.insert(id, Client { refused: Some((refusal.message, data)), ..Client::default() });
                return id;
            }
        };
        let (sid, handshake) = (self.rng.sid(), Arc::new(handshake));
        let joined = Some((sid, handshake.clone()));
        self.clients.insert(id, Client { identity: identity.clone(), nsp, dialect, joined, ..Client::default() });
        let connect = Connect {
            socket: socket(id),
            nsp,
            dialect: dialect.map(|dialect| dialect.name),
            moved: false,
            sid,
            identity,
            auth,
            handshake,
        };
        self.input(AppInput::Connect(connect));
        id
    }

    pub(crate) fn send(&mut self, id: Id, name: &str, payload: Value) {
        self.event(id, Args::of(name, &[payload]), None);
    }

    /// Sends and returns the ack.
    pub(crate) fn asks(&mut self, id: Id, name: &str, payload: Value) -> Value {
        self.event(id, Args::of(name, &[payload]), Some(7));
        self.acked(id)
    }

    /// The ack that somebody has got last.
    pub(crate) fn acked(&mut self, id: Id) -> Value {
        let acks = &mut self.clients.get_mut(&id).unwrap().acks;
        acks.pop().expect("no ack came").1
    }

    pub(crate) fn event(&mut self, id: Id, args: Args, ack: Option<u64>) {
        let Some(args) = self.in_our_words(id, args, ack) else { return };
        let client = self.clients.get_mut(&id).unwrap();
        let (nsp, identity) = (client.nsp, client.identity.clone());
        let event = AppInput::Event(Event { socket: socket(id), nsp, identity, args, ack });
        client.unheard.push(event);
        self.hear(id);
        self.run();
    }

    /// The client acks the event that has asked it for longest.
    pub(crate) fn answers(&mut self, id: Id, arg: &Value) {
        let asked = |question: &&mut Question| question.asked.contains(&id);
        let question = self.questions.iter_mut().find(asked).unwrap_or_else(|| panic!("nobody has asked {id}"));
        question.asked.remove(&id);
        let args = Bytes::from(arg.to_string());
        question.answers.push(AckAnswer { socket: socket(id), args, attachments: Vec::new() });
        self.settle_questions();
        self.run();
    }

    pub(crate) fn leaves(&mut self, id: Id, reason: CloseReason) {
        self.depart(id, reason, 0);
        self.run();
    }

    /// The client answers a ping.
    pub(crate) fn pongs(&mut self, id: Id) {
        let identity = self.clients[&id].identity.clone();
        self.input(AppInput::Heard { socket: socket(id), identity });
    }

    /// The client's connection ends for want of a pong, so long after it was last heard of.
    pub(crate) fn times_out(&mut self, id: Id, silent_ms: u64) {
        self.depart(id, CloseReason::PingTimeout, silent_ms);
        self.run();
    }

    /// The client's token ends in so long; 0: now, and so does the client unless it is identified anew.
    pub(crate) fn token_ends(&mut self, id: Id, in_ms: u64) {
        let client = self.clients.get_mut(&id).unwrap();
        client.expired = in_ms == 0;
        let identity = client.identity.clone();
        self.input(AppInput::Expiring { socket: socket(id), identity, in_ms });
    }

    /// HTTP asks, on whichever listener has the route: `target` is a path with its query below the application of `row`.
    /// `identity` is whom the token stands for. The answer is among [`World::replies`].
    pub(crate) fn requests(&mut self, row: &'static Row, method: &str, target: &str, identity: Option<Arc<Identity>>) {
        self.requests_with(row, method, target, |call| call.identity = identity);
    }

    /// As [`World::requests`], after `say` has put into the call what else it says: a body, headers.
    pub(crate) fn requests_with(&mut self, row: &'static Row, method: &str, target: &str, say: impl FnOnce(&mut Call)) {
        let (_, mut call) = found(row, method, target, None);
        call.dialect = self.spoken;
        say(&mut call);
        self.calls(row, call);
    }

    /// A call that has been judged finds its home.
    fn calls(&mut self, row: &'static Row, mut call: Call) {
        call.chosen = Some(self.settings.clone().unwrap_or_else(|| row.untold().settings.shared()));
        match (call.route.home)(&call) {
            Ok(Place::At(home)) => {
                self.calls += 1;
                let req = ReqId { shard: ShardId(0), key: Key { slot: self.calls, generation: 1 } };
                self.input(AppInput::Call { req, call: Box::new(Call { home, ..call }) });
            }
            Ok(Place::Each(_)) => panic!("one home answers in this world"),
            Err(refused) => {
                let error = (row.http.error)(&refused, self.now.wall);
                self.replies.push((refused.status, serde_json::from_str(&error).expect("JSON")));
            }
        }
    }

    pub(crate) fn drains(&mut self) {
        self.input(AppInput::Draining);
    }

    /// The client stops reading, or reads again and has drained.
    pub(crate) fn slow(&mut self, id: Id, slow: bool) {
        let client = self.clients.get_mut(&id).unwrap();
        client.slow = slow;
        let keys: Vec<u64> = std::mem::take(&mut client.dropped).into_iter().collect();
        if !slow && !keys.is_empty() {
            let identity = client.identity.clone();
            self.input(AppInput::Drained { socket: socket(id), identity, keys });
        }
    }

    /// Lets time pass; what is due happens at its time.
    pub(crate) fn pass(&mut self, millis: u64) {
        let end = self.now.mono + millis;
        loop {
            let timer = self.timers.iter().map(|(token, at)| (*at, Some(*token))).min();
            let question = self.questions.iter().map(|question| (question.due, None)).min();
            let Some((at, token)) = [timer, question].into_iter().flatten().min().filter(|(at, _)| *at <= end) else {
                break;
            };
            self.now = self.now.plus(at.since(self.now.mono));
            match token {
                Some(token) => {
                    self.timers.remove(&token);
                    self.timers_run += 1;
                    self.input(AppInput::Timer { token });
                }
                None => {
                    self.settle_questions();
                    self.run();
                }
            }
        }
        self.now = self.now.plus(end.since(self.now.mono));
    }
}

fn socket(id: Id) -> SocketRef {
    SocketRef { shard: ShardId(0), key: Key { slot: id, generation: 1 } }
}

/// The route of `row` for a request, and the call as it finds its home.
pub(crate) fn found(
    row: &'static Row,
    method: &str,
    target: &str,
    identity: Option<Arc<Identity>>,
) -> (&'static Route, Call) {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let method = method.parse().expect("a method");
    let found = [Door::Public, Door::Admin].map(|door| Routes::of(&[row], door, None).find(&method, path));
    let found = found.into_iter().find_map(|found| match found {
        Found::Route(owned, values) => Some((owned.route, values)),
        _ => None,
    });
    let (route, values) = found.unwrap_or_else(|| panic!("{method} {target} is no route"));
    let (query, target) = (query.to_owned(), target.to_owned());
    (route, Call { values, query, target, identity, ..Call::of(route, [10, 0, 0, 4].into()) })
}

#[cfg(test)]
mod tests;
