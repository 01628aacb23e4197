//! A small application that decides by tenant: the token is the tenant's name, so its home is often another shard.
//!
//! | event | what happens |
//! |---|---|
//! | `join ROOM`, `leave ROOM` | membership |
//! | `become SUB`, `refresh S` | the sender is somebody else from now on; a socket whose token ends is `t` until S seconds after 1970 |
//! | `pass SUB`, `whoami` | the home of SUB answers `whoami`; acks the tenant that decides |
//! | `to {nsp, rooms, except, alone, class, key, commit, beside} ARG` | `said ARG` to the union; `alone`: without the sender; `commit`: after one |
//! | `twice ARG` | two volatile `said` in one list, to the sender |
//! | `ask {timeout, me} ARG` | `question ARG` to all (`me`: to the sender) with acks; the sender then gets `result {answers, missing}` |
//! | `echo …` | acks its arguments |
//! | `ack-beside MORE` | acks 1, with more beside |
//! | `kick CLOSE` | ends the socket, or the whole connection |
//! | `timer MS`, `cancel` | a timer; when due the sender gets `rang` |
//! | `save`, `work` | a commit, then `saved` or `unsaved`; a job, then `worked` |
//! | `fetch URL` | a request to the outside, then `fetched` with its status or `unfetched` with the failure |
//!
//! CONNECT's auth: `refuse: {message, data}`; `wait: MS` decides only then, `wait: -1` never; `early: true` sends and
//! joins before it accepts; `hello: true` sends `hello` after it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::Sender;

use bytes::Bytes;
use serde_json::{Value, json};

use crate::app::effect::{Delivery, Effect, Effects, Emission, Target, Token};
use crate::app::event::{AckAnswer, AppInput, Args, Connect, Event};
use crate::app::fetch::{Fetch, FetchError, Fetched};
use crate::app::identity::{Claims, Identity};
use crate::app::job::{Job, Outcome};
use crate::app::metric::Metric;
use crate::app::route::Method;
use crate::app::{Application, Asked, AuthFailure, Context, Entity, Home, Refusal, Tally};
use crate::base::ids::{NspIndex, SocketRef};

/// What the application saw, for tests that count: `(what, socket)`.
pub(crate) type Log = Sender<(&'static str, SocketRef, String)>;

pub(crate) struct Fleet {
    log: Option<Log>,
    next_token: u64,
    /// What a token waits for.
    waiting: BTreeMap<Token, Waiting>,
    timers: BTreeMap<SocketRef, Token>,
    /// It has heard `Started`.
    started: bool,
    /// Homes that were woken here.
    woken: Vec<Home>,
    /// Speaks this long before the end of a token.
    notice_ms: Option<u64>,
    /// Hears pongs, and logs them and the silence before a departure.
    hears_pongs: bool,
    /// The identity of sockets whose token has ended, from then on.
    refreshed: Option<Arc<Identity>>,
}

enum Waiting {
    Decide(SocketRef),
    Ring(SocketRef),
    Answers(SocketRef),
    Work(SocketRef),
}

impl Fleet {
    pub(crate) fn new(log: Option<Log>) -> Fleet {
        let (waiting, timers) = (BTreeMap::new(), BTreeMap::new());
        let (notice_ms, hears_pongs, refreshed) = (None, false, None);
        Fleet {
            log,
            next_token: 0,
            waiting,
            timers,
            started: false,
            woken: Vec::new(),
            notice_ms,
            hears_pongs,
            refreshed,
        }
    }

    /// One that speaks `notice_ms` before the end of a token, and at the end.
    pub(crate) fn speaking(notice_ms: u64) -> Fleet {
        Fleet { notice_ms: Some(notice_ms), ..Fleet::new(None) }
    }

    /// One that hears pongs.
    pub(crate) fn hearing(log: Log) -> Fleet {
        Fleet { hears_pongs: true, ..Fleet::new(Some(log)) }
    }

    fn logs(&self, what: &'static str, socket: SocketRef, detail: &str) {
        if let Some(log) = &self.log {
            let _ = log.send((what, socket, detail.to_owned()));
        }
    }

    fn wait(&mut self, waiting: Waiting) -> Token {
        self.next_token += 1;
        self.waiting.insert(Token(self.next_token), waiting);
        Token(self.next_token)
    }

    fn accept(&self, socket: SocketRef, fx: &mut Effects) {
        self.logs("accept", socket, "");
        fx.accept(socket);
    }

    fn on_connect(&mut self, connect: &Connect, fx: &mut Effects) {
        let socket = connect.socket;
        assert!(self.started, "the start comes first");
        let who = [connect.identity.sub(), connect.dialect.unwrap_or_default()].join(" ");
        self.logs(if connect.moved { "arrived" } else { "connect" }, socket, who.trim_end());
        if connect.moved {
            return fx.emit(socket, "moved", &connect.identity.sub());
        }
        let auth: Value = serde_json::from_slice(&connect.auth).expect("auth is a JSON object");
        if let Some(refuse) = auth.get("refuse") {
            self.logs("refuse", socket, "");
            let message = refuse["message"].as_str().unwrap_or("no");
            return fx.refuse(socket, message, refuse.get("data").cloned());
        }
        if let Some(wait) = auth.get("wait") {
            if let Some(after_ms) = wait.as_u64() {
                let token = self.wait(Waiting::Decide(socket));
                fx.push(Effect::Timer { token, after_ms });
            }
            return;
        }
        if auth.get("early").is_some() {
            fx.emit(socket, "early", &1);
            fx.join(socket, "early");
        }
        self.accept(socket, fx);
        if auth.get("hello").is_some() {
            fx.emit(socket, "hello", &1);
        }
    }

    fn on_event(&mut self, event: Event, fx: &mut Effects) {
        let Event { socket, nsp, identity, args, ack } = event;
        let text = args.parse::<String>(0).unwrap_or_default();
        let option: Value = args.parse(0).unwrap_or_default();
        match &*args.name() {
            "join" => fx.join(socket, text),
            "leave" => fx.push(Effect::Leave { socket, room: text.into() }),
            "to" => say(socket, &option, &args, fx),
            "twice" => {
                for _ in 0..2 {
                    let event = Emission::new("said", &option);
                    fx.push(Effect::Emit { target: Target::Socket(socket), event, delivery: Delivery::Volatile });
                }
            }
            "ask" => {
                let token = self.wait(Waiting::Answers(socket));
                let target = if option.get("me").is_some() { Target::Socket(socket) } else { Target::all() };
                let event = Emission::relay("question", &rest(&args), args.attachments().to_vec());
                let timeout_ms = option["timeout"].as_u64().unwrap_or(1000);
                fx.push(Effect::EmitWithAck { target, event, timeout_ms, token });
            }
            "ack-beside" => fx.0.extend(ack.map(|id| ack_beside(socket, id, &option))),
            "echo" => fx.0.extend(ack.map(|id| echo(socket, id, &args))),
            "kick" => fx.push(Effect::Disconnect { socket, close: option == json!(true) }),
            "timer" => {
                let token = self.wait(Waiting::Ring(socket));
                self.timers.insert(socket, token);
                fx.push(Effect::Timer { token, after_ms: option.as_u64().unwrap_or(0) });
            }
            "cancel" => fx.push(Effect::Cancel { token: self.timers.remove(&socket).unwrap_or(Token(0)) }),
            "save" => {
                let told = |name| {
                    let event = Emission::bare(name);
                    Effect::Emit { target: Target::Socket(socket), event, delivery: Delivery::Must }
                };
                let (then, or_else) = (vec![told("saved")], vec![told("unsaved")]);
                fx.push(Effect::Commit { entity: Entity("e".into()), write: vec![], token: None, then, or_else });
            }
            "become" => fx.push(Effect::Identify { socket, identity: named(&text, None) }),
            "refresh" => self.refreshed = Some(named("t", option.as_u64())),
            "pass" => {
                let event = Event { socket, nsp, identity: named(&text, None), args: Args::of("whoami", &[]), ack };
                fx.push(Effect::Pass { home: Home::Tenant(text), event });
            }
            "wake" => fx.push(Effect::Wake { home: Home::Tenant(text) }),
            "woken" => fx.ack(socket, ack, &self.woken.iter().filter(|home| **home == self.home(&identity)).count()),
            "say" => {
                let texts = [text, "x".repeat(option["long"].as_u64().unwrap_or(0) as usize)];
                texts.iter().for_each(|said| fx.say(Home::Tenant(texts[0].clone()), "said", said));
            }
            "whoami" => fx.ack(socket, ack, &identity.sub()),
            "work" => {
                let token = Some(self.wait(Waiting::Work(socket)));
                fx.push(Effect::Job { job: Job::Read(Vec::new()), token });
            }
            "fetch" => {
                let token = Some(self.wait(Waiting::Work(socket)));
                fx.push(Effect::Job { job: Job::Fetch(Fetch::new(Method::Get, text)), token });
            }
            _ => {}
        }
    }

    fn on_fetched(&mut self, token: Token, came: Result<Fetched, FetchError>, fx: &mut Effects) {
        let Some(Waiting::Work(socket)) = self.waiting.remove(&token) else { panic!("nobody has asked") };
        match came {
            Ok(fetched) => fx.emit(socket, "fetched", &fetched.status),
            Err(error) => fx.emit(socket, "unfetched", &error.kind.label()),
        }
    }

    fn on_token(&mut self, token: Token, fx: &mut Effects) {
        match self.waiting.remove(&token) {
            Some(Waiting::Decide(socket)) => self.accept(socket, fx),
            Some(Waiting::Ring(socket)) => fx.emit(socket, "rang", &1),
            Some(Waiting::Work(socket)) => fx.emit(socket, "worked", &1),
            Some(Waiting::Answers(_)) | None => {}
        }
    }

    fn on_answers(&mut self, token: Token, answers: &[AckAnswer], missing: u32, fx: &mut Effects) {
        let Some(Waiting::Answers(socket)) = self.waiting.remove(&token) else { panic!("answered twice") };
        let mut texts: Vec<String> =
            answers.iter().map(|answer| String::from_utf8_lossy(&answer.args).into_owned()).collect();
        texts.sort();
        self.logs("result", socket, &format!("{} of {}", answers.len(), answers.len() as u32 + missing));
        fx.emit(socket, "result", &json!({"answers": texts, "missing": missing}));
    }
}

/// Somebody of the tenant `sub`, for so long.
fn named(sub: &str, expires_at_s: Option<u64>) -> Arc<Identity> {
    Arc::new(Claims { sub: sub.to_owned(), expires_at_s, ..Claims::default() }.into())
}

fn echo(socket: SocketRef, id: u64, args: &Args) -> Effect {
    Effect::Ack { socket, id, args: args.raw_all(), attachments: args.attachments().to_vec(), beside: None }
}

fn ack_beside(socket: SocketRef, id: u64, more: &Value) -> Effect {
    let beside = Emission::bare("").beside(more).beside;
    Effect::Ack { socket, id, args: Bytes::from_static(b"1"), attachments: Vec::new(), beside }
}

/// The arguments after the first.
fn rest(args: &crate::app::event::Args) -> bytes::Bytes {
    let texts: Vec<&[u8]> = (1..args.len()).filter_map(|index| args.raw(index)).collect();
    texts.join(&b","[..]).into()
}

fn say(socket: SocketRef, option: &Value, args: &crate::app::event::Args, fx: &mut Effects) {
    let names = |key: &str| -> Vec<crate::app::effect::Room> {
        let list = option[key].as_array().cloned().unwrap_or_default();
        list.iter().filter_map(Value::as_str).map(Into::into).collect()
    };
    let except_sockets = if option.get("alone").is_some() { vec![socket] } else { Vec::new() };
    let nsp = NspIndex(option["nsp"].as_u64().unwrap_or(0) as u8);
    let target = Target::Rooms { nsp, rooms: names("rooms"), except: names("except"), except_sockets };
    let key = option["key"].as_u64().unwrap_or(0);
    let delivery = match option["class"].as_str() {
        Some("volatile") => Delivery::Volatile,
        Some("latest") => Delivery::Latest { key },
        Some("patch") => Delivery::Patch { key },
        Some("full") => Delivery::Full { key },
        _ => Delivery::Must,
    };
    let mut event = Emission::relay("said", &rest(args), args.attachments().to_vec());
    if let Some(more) = option.get("beside") {
        event = event.beside(more);
    }
    let emit = Effect::Emit { target, event, delivery };
    if option.get("commit").is_none() {
        return fx.push(emit);
    }
    let entity = Entity("other".into());
    fx.push(Effect::Commit { entity, write: vec![], token: None, then: vec![emit], or_else: vec![] });
}

impl Application for Fleet {
    fn admit(&self, verified: Result<Arc<Identity>, AuthFailure>, _: &Asked<'_>) -> Result<Arc<Identity>, Refusal> {
        verified.map_err(|failure| Refusal { message: format!("{failure:?}"), data: Some("{\"code\":1}".into()) })
    }

    fn home(&self, identity: &Identity) -> Home {
        Home::Tenant(identity.sub().to_owned())
    }

    fn expiry_notice_ms(&self) -> Option<u64> {
        self.notice_ms
    }

    fn hears_pongs(&self) -> bool {
        self.hears_pongs
    }

    fn entity(&self, input: &AppInput) -> Option<Entity> {
        match input {
            AppInput::Event(_) => Some(Entity("e".into())),
            _ => None,
        }
    }

    fn handle(&mut self, _: &mut Context<'_>, input: AppInput, fx: &mut Effects) {
        match input {
            AppInput::Connect(connect) => self.on_connect(&connect, fx),
            AppInput::Event(event) => {
                self.logs("event", event.socket, &String::from_utf8_lossy(&event.args.raw_all()));
                self.on_event(event, fx);
            }
            AppInput::Disconnect { socket, silent_ms, .. } if self.hears_pongs => {
                self.logs("silent", socket, &silent_ms.to_string());
            }
            AppInput::Disconnect { socket, reason, .. } => self.logs("disconnect", socket, reason.label()),
            AppInput::Heard { socket, .. } => self.logs("heard", socket, ""),
            AppInput::Acked { token, answers, missing } => self.on_answers(token, &answers, missing, fx),
            AppInput::Done { token, outcome: Outcome::Fetched(came) } => self.on_fetched(token, came, fx),
            AppInput::Timer { token } | AppInput::Done { token, .. } => self.on_token(token, fx),
            AppInput::Drained { socket, keys, .. } => {
                self.logs("drained", socket, &format!("{keys:?}"));
                for key in keys {
                    let event = Emission::new("full", &key);
                    let delivery = Delivery::Full { key };
                    fx.push(Effect::Emit { target: Target::Socket(socket), event, delivery });
                }
            }
            AppInput::Moved { socket, identity } => self.logs("moved", socket, identity.sub()),
            AppInput::Expiring { socket, in_ms, .. } => {
                fx.emit(socket, "expiring", &in_ms);
                if let Some(identity) = self.refreshed.clone().filter(|_| in_ms == 0) {
                    fx.push(Effect::Identify { socket, identity });
                }
            }
            AppInput::Started => self.started = true,
            AppInput::Wake { home } => self.woken.push(home),
            AppInput::Said { home, note } => {
                let Home::Tenant(home) = home else { panic!("nobody says anything to {home:?}") };
                let said = json!([home, note.about, note.read::<String>()]);
                let event = Emission::new("told", &said);
                fx.push(Effect::Emit { target: Target::all(), event, delivery: Delivery::Must });
            }
            AppInput::Call { .. } | AppInput::Upload { .. } | AppInput::Left { .. } => {}
            AppInput::Link { .. } | AppInput::Draining => {}
        }
    }

    fn name(&self) -> &'static str {
        "fleet"
    }

    fn tally(&self) -> Tally {
        Tally::default()
    }

    fn metrics(&self, _: &mut Vec<Metric>) {}
}
