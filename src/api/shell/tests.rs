//! What a shell gets of what it asks, and what the asker gets of that, at a router over homes made of constants.

use axum::http::Request;
use serde_json::json;

use super::super::public;
use super::super::testing::{Answer as Got, Fake, ask, identity, public_get};
use super::*;
use crate::app::Home;
use crate::app::asker::By;
use crate::app::reply::Item;
use crate::app::route::{Door, Http, Method, Route};
use crate::app::settings::Chosen;
use crate::app::table::Row;
use crate::base::ids::{Key, ReqId, ShardId};

static ROW: Row = Row {
    http: Http {
        routes: &[
            Route { body: HEADERS, ..Route::of_shell("gate", Method::Get, "/gate", "", &Gate) },
            Route { door: Door::Shell, body: Body::Json { bytes_max: 8 }, ..question("note", "/notes/{note}") },
            Route { door: Door::Shell, who: Who::Token { in_query: false }, ..question("own", "/own") },
            question("all", "/all"),
            question("not_today", "/not-today"),
        ],
        ..Http::NONE
    },
    ..Row::new("gates", "", &["/gates"], || Chosen::<()>::untold(|()| unreachable!("nobody builds it")))
};

const HEADERS: Body = Body::Raw { bytes_max: 64, headers: &["authorization"] };

const fn question(name: &'static str, path: &'static str) -> Route {
    Route::new(name, Method::Get, path, "", |call| match call.route.name {
        "all" => Ok(Place::Each(Vec::new())),
        "not_today" => Err(Refused::new(409, "NOT_TODAY", "")),
        _ => Ok(Place::At(Home::Tenant("one".to_owned()))),
    })
}

/// Asks what the query says, on behalf of the token's bearer.
#[derive(Debug)]
struct Gate;

impl Shell for Gate {
    fn answer(&'static self, call: Call, homes: Arc<dyn Homes>) -> Later<'static, Given> {
        Box::pin(async move {
            let token = call.header("authorization").and_then(|value| value.strip_prefix(b"Bearer "));
            let identity = token.and_then(|token| homes.identify(str::from_utf8(token).ok()?).ok());
            let asker = Asker { rights: &["gateway"], ..Asker::of_shell(identity) };
            let given = |name: &str| call.query_value(name).unwrap_or_default();
            let mut question = match &*given("ask") {
                "note" => Question::of("note").value("7"),
                "own" => Question::of("own"),
                "all" => Question::of("all"),
                "not_today" => Question::of("not_today"),
                "gate" => Question::of("gate"),
                _ => Question::of("nothing"),
            };
            if let Some(body) = call.query_value("body") {
                question = question.json(&body);
            }
            match &*given("how") {
                "watch" => match homes.watch(&asker, question).await {
                    Ok(items) => Given::Items(items),
                    Err(Unwatched::Refused(refused)) => Given::Refused(refused),
                    Err(Unwatched::Answered(reply)) => Given::Reply(Reply { status: 424, ..reply }),
                },
                "idle" => std::future::pending().await,
                _ => match homes.ask(&asker, question).await {
                    Ok(reply) if given("how") == "own" => {
                        let text = format!("{:?}", reply.content);
                        let response = http::Response::builder().status(299).header("x-made-by", "gate");
                        Given::Response(response.body(text.into()).expect("a response"))
                    }
                    Ok(reply) => Given::Reply(reply),
                    Err(refused) => Given::Refused(refused),
                },
            }
        })
    }
}

fn fake(reply: Option<Reply>) -> Fake {
    let mut fake = Fake { reply, tokens: vec![("good", identity("u1", "admin"))], ..Fake::default() };
    fake.settings.applications = vec![&ROW];
    fake
}

async fn at_gate(fake: &Fake, query: &str, token: &str) -> Got {
    let request = Request::get(format!("/gates/gate?{query}")).header("host", "siod.example");
    let request = request.header("authorization", format!("Bearer {token}"));
    ask(public(fake.api(), None), request.body(axum::body::Body::empty()).unwrap()).await
}

#[tokio::test]
async fn a_shell_answers_by_asking_a_home_on_behalf_of_its_asker() {
    let mut fake = fake(Some(Reply::json(201, &json!({"n": 7}))));
    fake.settings.chosen = vec![("gates", Arc::new(7_u32))];
    let got = at_gate(&fake, "ask=note&body=hi", "good").await;
    assert_eq!((got.status, got.json()), (201, json!({"n": 7})));
    let asked = fake.seen.calls.lock().unwrap().pop().unwrap();
    assert_eq!((asked.route.name, asked.param("note"), &asked.body[..]), ("note", "7", &b"\"hi\""[..]));
    assert_eq!(asked.home, Home::Tenant("one".to_owned()));
    assert_eq!(asked.settings::<u32>(), Some(&7), "as its home function knew");
    let req = ReqId { shard: ShardId(0), key: Key::default() };
    let asker = asked.asker(req);
    assert_eq!((asker.by, asker.rights), (By::Call(req), &["gateway"][..]));
    assert_eq!(asker.identity.unwrap().sub(), "u1");
    let own = at_gate(&fake, "ask=note&how=own", "good").await;
    assert_eq!((own.status, own.header("x-made-by")), (299, "gate"));
}

#[tokio::test]
async fn what_a_shell_cannot_ask_is_refused_with_a_reason() {
    let fake = fake(Some(Reply::empty(204)));
    for (query, token, status, code) in [
        ("ask=own", "bad", 401, "UNAUTHORIZED"),
        ("ask=note&body=longer-than-eight", "good", 413, "PAYLOAD_TOO_LARGE"),
        ("ask=own&body=x", "good", 413, "PAYLOAD_TOO_LARGE"),
        ("ask=not_today", "good", 409, "NOT_TODAY"),
        ("ask=all", "good", 500, "INTERNAL"),
        ("ask=nothing", "good", 500, "INTERNAL"),
        ("ask=gate", "good", 500, "INTERNAL"),
    ] {
        for how in ["", "&how=watch"] {
            let got = at_gate(&fake, &format!("{query}{how}"), token).await;
            assert_eq!((got.status, &got.json()["error"]["code"]), (status, &json!(code)), "{query}{how}");
        }
    }
    assert!(fake.seen.calls.lock().unwrap().is_empty(), "no home hears of it");
    let got = ask(public(fake.api(), None), public_get("/gates/notes/7")).await;
    assert_eq!(got.status, 404, "a question of the shell's is no path");
}

#[tokio::test]
async fn a_home_that_does_not_answer_its_shell_is_504() {
    for query in ["ask=note", "ask=note&how=watch"] {
        let got = at_gate(&fake(None), query, "good").await;
        assert_eq!((got.status, &got.json()["error"]["code"]), (504, &json!("NO_ANSWER")), "{query}");
    }
}

#[tokio::test]
async fn a_shell_that_does_not_answer_is_504() {
    let mut fake = fake(None);
    fake.settings.shell_timeout = std::time::Duration::from_millis(20);
    let got = at_gate(&fake, "how=idle", "good").await;
    assert_eq!((got.status, &got.json()["error"]["code"]), (504, &json!("NO_ANSWER")));
}

#[tokio::test]
async fn one_who_asks_gets_no_stream_and_one_who_watches_no_answer() {
    let stream = Fake { later: vec![Answer::Item(Item::default())], ..fake(Some(Reply::stream())) };
    assert_eq!(at_gate(&stream, "ask=note", "good").await.status, 500);
    let answers = fake(Some(Reply::text(200, "that is all")));
    let got = at_gate(&answers, "ask=note&how=watch", "good").await;
    assert_eq!((got.status, got.text().as_str()), (424, "that is all"));
}

#[tokio::test]
async fn what_a_shell_watches_it_passes_on_as_events() {
    let item = |data: &str| Answer::Item(Item { data: data.to_owned(), ..Item::default() });
    let later = vec![item("1"), item("2"), Answer::End];
    let fake = Fake { later, ..fake(Some(Reply::stream())) };
    let got = at_gate(&fake, "ask=note&how=watch", "good").await;
    assert_eq!((got.header("content-type"), got.text().as_str()), ("text/event-stream", "data: 1\n\ndata: 2\n\n"));
}
