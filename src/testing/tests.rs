//! The world itself, with an application that asks for acks, commits, and sets timers.

use std::sync::Arc;

use serde_json::json;

use super::World;
use super::outside::answer;
use crate::app::effect::{Effect, Effects, Emission, Target, Token};
use crate::app::event::{AppInput, Event};
use crate::app::fetch::{Fetch, FetchError, FetchFailure};
use crate::app::identity::{AuthMode, AuthSettings, Authenticator, Claims, Identity, Subject};
use crate::app::job::{Job, Outcome};
use crate::app::kit::dialect::{Dialect, Word};
use crate::app::route::Method;
use crate::app::sql::{Migration, Statement, Tables};
use crate::app::{Application, Asked, AuthFailure, Context, Entity, Home, Refusal, Tally};
use crate::base::close::CloseReason;
use crate::base::secret::Secret;

const TABLES: Tables = Tables {
    owner: "poll",
    migrations: &[Migration { what: "votes", sql: "CREATE TABLE votes (votes {int} NOT NULL) {strict};" }],
    statements: &[],
};

/// Asks everybody, and writes down how many have answered. A client that says who it is from now on has another home.
struct Poll;

impl Application for Poll {
    fn admit(&self, verified: Result<Arc<Identity>, AuthFailure>, _: &Asked<'_>) -> Result<Arc<Identity>, Refusal> {
        verified.map_err(|_| Refusal { message: "no".into(), data: None })
    }
    fn home(&self, identity: &Identity) -> Home {
        Home::Tenant(identity.sub().to_owned())
    }
    fn entity(&self, _: &AppInput) -> Option<Entity> {
        Some(Entity("poll".into()))
    }
    fn handle(&mut self, cx: &mut Context<'_>, input: AppInput, fx: &mut Effects) {
        match input {
            AppInput::Connect(connect) if connect.moved => fx.emit(connect.socket, "welcome", &connect.identity.sub()),
            AppInput::Connect(connect) => fx.accept(connect.socket),
            AppInput::Moved { socket, .. } => fx.emit(socket, "farewell", &()),
            AppInput::Expiring { socket, in_ms, .. } => fx.emit(socket, "expiring", &in_ms),
            AppInput::Event(event) if event.args.name() == "become" => {
                let claims = Claims { sub: event.args.parse(0).unwrap(), ..Claims::default() };
                fx.push(Effect::Identify { socket: event.socket, identity: Arc::new(claims.into()) });
            }
            AppInput::Event(event) if event.args.name() == "refresh" => renew(cx, &event, fx),
            AppInput::Event(event) if event.args.name() == "fetch" => {
                let fetch = Fetch::new(Method::Get, event.args.parse::<String>(0).unwrap());
                fx.push(Effect::Job { job: Job::Fetch(fetch), token: Some(Token(2)) });
            }
            AppInput::Done { outcome: Outcome::Fetched(came), .. } => {
                let told = match came {
                    Ok(fetched) => Emission::new("fetched", &fetched.status),
                    Err(error) => Emission::new("unfetched", &error.kind.label()),
                };
                fx.push(Effect::Emit { target: Target::all(), event: told, delivery: Default::default() });
            }
            AppInput::Event(_) => {
                let event = Emission::new("vote", &json!({"for": "p1"}));
                fx.push(Effect::EmitWithAck { target: Target::all(), event, timeout_ms: 100, token: Token(1) });
            }
            AppInput::Acked { answers, missing, .. } => {
                let put = "INSERT INTO votes (votes) VALUES (?1)";
                let write = vec![Statement::new(put).bind(answers.len() as u32)];
                let told = Emission::new("result", &json!({"votes": answers.len(), "missing": missing}));
                let tell = |target, event| Effect::Emit { target, event, delivery: Default::default() };
                let then = vec![tell(Target::all(), told)];
                let or_else = vec![tell(Target::all(), Emission::bare("void"))];
                fx.push(Effect::Commit { entity: Entity("poll".into()), write, token: None, then, or_else });
            }
            _ => {}
        }
    }
    fn name(&self) -> &'static str {
        "poll"
    }
    fn tally(&self) -> Tally {
        Tally::default()
    }
}

/// `refresh {token}`: of the same person, and made to refresh, it brings another life and the next token.
fn renew(cx: &Context<'_>, event: &Event, fx: &mut Effects) {
    let token: String = event.args.parse(0).unwrap_or_default();
    let claims = cx.authenticator.claims(&token, cx.now.wall);
    let family = claims.ok().filter(|claims| claims.get("type") == Some(&json!("refresh")));
    let verified = cx.authenticator.verify(&token, cx.now.wall);
    let (Some(family), Ok(identity)) = (family, verified) else { return fx.ack(event.socket, event.ack, &"no") };
    if identity.sub() != event.identity.sub() {
        return fx.ack(event.socket, event.ack, &"not you");
    }
    let subject = Subject { sub: identity.sub(), role: identity.role(), claims: family, ttl_s: 900 };
    let next = cx.authenticator.mint(subject, cx.now.wall).expect("there is a secret");
    fx.push(Effect::Identify { socket: event.socket, identity });
    fx.ack(event.socket, event.ack, &next);
}

fn votes(world: &World) -> usize {
    #[derive(Debug)]
    struct Votes;
    impl crate::app::sql::FromRow for Votes {
        const TABLE: &'static str = "votes";
        fn from_row(row: &mut crate::app::sql::Row<'_>) -> Result<Votes, crate::app::sql::RowError> {
            row.get::<u32>("votes").map(|_| Votes)
        }
    }
    world.store.rows::<Votes>(Statement::new("SELECT votes FROM votes")).len()
}

#[test]
fn acks_timeouts_departures_and_commits_are_scripted() {
    let mut world = World::of(|| Poll, &[&TABLES], &[]);
    let join = |world: &mut World| world.connect(Ok(Arc::default()), json!({}), "");
    let [a, b, c] = [join(&mut world), join(&mut world), join(&mut world)];
    world.send(a, "ask", json!({}));
    for id in [a, b, c] {
        assert_eq!(world.hears(id, "vote"), json!({"for": "p1"}));
    }
    world.answers(a, &json!(true));
    world.leaves(b, CloseReason::TransportClose);
    world.hears_nothing(a, "result");
    world.answers(c, &json!(false));
    assert_eq!(world.hears(a, "result"), json!({"votes": 2, "missing": 1}));
    assert_eq!(votes(&world), 1, "on disk before it is told");

    world.send(a, "ask", json!({}));
    world.pass(99);
    world.hears_nothing(a, "result");
    world.store.down = true;
    world.pass(1);
    world.hears(a, "void");
    world.store.down = false;

    // Behind a commit on its way the next question waits.
    world.store.hangs = true;
    world.send(a, "ask", json!({}));
    world.heard(a);
    world.answers(a, &json!(1));
    world.answers(c, &json!(1));
    world.send(a, "ask", json!({}));
    assert_eq!(world.heard(a), []);
    assert!(world.answer());
    assert_eq!(world.hears(a, "result")["votes"], 2);
    world.hears(a, "vote");

    let refused = world.connect(Err(AuthFailure::Invalid), json!({}), "");
    assert_eq!((world.refusal(refused).0.as_str(), world.is_open(refused)), ("no", false));
    world.restart();
    assert_eq!(votes(&world), 2);
}

#[test]
fn the_outside_says_what_a_test_scripts() {
    let mut world = World::of(|| Poll, &[&TABLES], &[]);
    let a = world.connect(Ok(Arc::default()), json!({}), "");
    world.send(a, "fetch", json!("http://a.example/"));
    assert_eq!(world.hears(a, "unfetched"), "refused", "nobody is there unless a test says so");
    world.outside.says(|fetch| match &*fetch.url {
        "http://slow.example/" => Err(FetchError::new(FetchFailure::TimedOut, "")),
        _ => answer(204, ""),
    });
    world.send(a, "fetch", json!("http://a.example/"));
    assert_eq!(world.hears(a, "fetched"), 204);
    world.send(a, "fetch", json!("http://slow.example/"));
    assert_eq!(world.hears(a, "unfetched"), "timed_out");

    // What hangs outside keeps nobody from the store, nor a store that hangs anybody from the outside.
    (world.outside.hangs, world.store.hangs) = (true, true);
    world.send(a, "ask", json!({}));
    world.answers(a, &json!(1));
    world.send(a, "vote", json!({}));
    world.outside.hangs = false;
    assert_eq!(world.outside.asked.len(), 3);
    assert!(!world.outside_answers(), "nothing is on its way");
    assert!(world.answer());
    assert_eq!(world.hears(a, "result")["votes"], 1);
}

#[test]
fn a_client_becomes_somebody_else_and_its_token_ends() {
    let mut world = World::of(|| Poll, &[&TABLES], &[]);
    let a = world.connect(Ok(Arc::default()), json!({}), "");
    world.send(a, "become", json!("ana"));
    let heard: Vec<String> = world.heard(a).into_iter().map(|(name, _)| name).collect();
    assert_eq!(heard, ["farewell", "welcome"]);
    world.send(a, "become", json!("ana"));
    assert_eq!(world.heard(a), [], "at the same home nobody moves");
    world.token_ends(a, 60_000);
    assert_eq!((world.hears(a, "expiring"), world.is_open(a)), (json!(60_000), true));
    world.token_ends(a, 0);
    assert_eq!((world.hears(a, "expiring"), world.is_open(a)), (json!(0), false));
}

#[test]
fn a_handler_reads_tokens_and_makes_them() {
    let secret = |letter: &str| AuthSettings {
        mode: AuthMode::Jwt,
        jwt_secret: Secret::new(letter.repeat(32)),
        ..AuthSettings::default()
    };
    let mut world = World::of(|| Poll, &[&TABLES], &[]);
    world.trusts(&secret("k"));
    let mint = |auth: &AuthSettings, sub: &str, kind: &str, now| {
        let claims = serde_json::Map::from_iter([("type".to_owned(), json!(kind)), ("family".to_owned(), json!(4))]);
        Authenticator::new(auth).mint(Subject { sub, role: "agent", claims, ttl_s: 60 }, now).unwrap()
    };
    let now = world.now.wall;
    let token = |sub, kind| mint(&secret("k"), sub, kind, now);
    let a = world.connect(Ok(Arc::new(Claims { sub: "ana".into(), ..Claims::default() }.into())), json!({}), "");
    for (presented, answer) in [
        (token("ana", "access"), "no"),
        (token("bob", "refresh"), "not you"),
        (mint(&secret("x"), "ana", "refresh", now), "no"),
        ("ana".to_owned(), "no"),
    ] {
        assert_eq!(world.asks(a, "refresh", json!(presented)), answer, "{presented}");
    }
    let next = world.asks(a, "refresh", json!(token("ana", "refresh")));
    world.pass(61_000);
    assert_eq!(world.asks(a, "refresh", json!(token("ana", "refresh"))), "no", "it has ended");
    let again = world.asks(a, "refresh", next);
    assert!(again.as_str().is_some_and(|token| token.starts_with("eyJ")), "{again}");
}

#[test]
fn clients_of_a_dialect_are_told_in_their_words_and_heard_in_ours() {
    const DIALECTS: &[Dialect] = &[
        Dialect {
            name: "old",
            strict: true,
            refused: None,
            acked: None,
            words: &[
                Word { fields: &[("for", "candidate")], ..Word::told("vote", "ballot") },
                Word::heard("rename", "become"),
                Word {
                    acked: Some(|said, _| said.set(0, &json!([said.arg::<serde_json::Value>(0), "old"]))),
                    ..Word::heard("renew", "refresh")
                },
                Word::heard("poll", "ask"),
                Word::heard("hush", ""),
            ],
        },
        Dialect { name: "mute", strict: false, refused: None, acked: None, words: &[Word::told("vote", "")] },
    ];
    let mut world = World::of(|| Poll, &[&TABLES], &[]);
    let join = |world: &mut World, spoken| {
        world.speaks(DIALECTS, spoken);
        world.connect(Ok(Arc::default()), json!({}), "")
    };
    let [plain, mute] = [None, Some("mute")].map(|spoken| join(&mut world, spoken));
    let [old, older] = [join(&mut world, Some("old")), join(&mut world, Some("old"))];
    world.encodings.clear();
    world.send(old, "hush", json!({}));
    assert_eq!(world.encodings, [""; 0]);
    world.send(old, "poll", json!({}));
    assert_eq!(world.encodings, ["vote", "ballot"], "once for both of them");
    assert_eq!(world.hears(plain, "vote"), json!({"for": "p1"}));
    for id in [old, older] {
        assert_eq!(world.hears(id, "ballot"), json!({"candidate": "p1"}));
        world.answers(id, &json!(1));
    }
    world.answers(plain, &json!(1));
    assert_eq!(world.heard(mute), [("result".to_owned(), json!({"votes": 3, "missing": 1}))]);
    world.heard(old);
    assert_eq!(world.asks(old, "renew", json!("x")), json!(["no", "old"]));
    assert_eq!(world.asks(plain, "refresh", json!("x")), json!("no"));
    world.send(old, "rename", json!("ana"));
    assert_eq!(world.hears(old, "welcome"), json!("ana"), "moved, and heard in our words");
}
