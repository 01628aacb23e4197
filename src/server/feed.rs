//! Calls over real sockets: a daemon of two cores with a small application, as HTTP callers meet it.
//!
//! | route | what happens |
//! |---|---|
//! | `GET /feed/stream` | a stream, which begins with `hello` |
//! | `POST /feed/say` `{items, bytes}` | so many items of so many bytes for every stream |
//! | `GET /feed/end` | all streams end |
//! | `GET /feed/gate/left` | the shell asks for that, and answers in its own words |
//! | `GET /feed/gate/stream` | the shell watches a stream, and passes it on |
//! | `GET /feed/gate/nap` | the shell watches a stream, takes no item until it is cut off, and then counts |
//! | `GET /feed/speech` | the shell says on a WebSocket what it is told, and items of a stream; at `bye` it closes, with 4400 |
//! | `GET /feed/left` | why askers of streams have left, in order |

use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{Error, Message};

use super::backend::Daemon;
use super::testing;
use crate::app::asker::Asker;
use crate::app::effect::{Effect, Effects};
use crate::app::event::AppInput;
use crate::app::identity::Identity;
use crate::app::reply::{Answer, Item, Reply};
use crate::app::route::shell::{Given, Homes, Later, Question, Said, Shell, Socket};
use crate::app::route::{Body, Call, Http, Method, Place, Route};
use crate::app::settings::Chosen;
use crate::app::table::{Row, Table};
use crate::app::{Application, Asked, AuthFailure, Context, Home, Refusal, Tally};
use crate::base::ids::ReqId;
use crate::base::limit::STREAM_ITEMS_MAX;

static TABLE: Table = Table { rows: &[ROW], paths: &[], fixture: &ROW };

const ROW: Row = Row {
    http: Http {
        routes: &[
            route("stream", Method::Get, "/stream", Body::None),
            route("say", Method::Post, "/say", Body::Json { bytes_max: 100 }),
            route("end", Method::Get, "/end", Body::None),
            route("left", Method::Get, "/left", Body::None),
            Route::of_shell("gate", Method::Get, "/gate/{question}", "", &Gate),
            Route::of_shell("speech", Method::Get, "/speech", "", &Gate),
        ],
        ..Http::NONE
    },
    ..Row::new("feed", "", &["/feed"], || Chosen::<()>::untold(|()| Box::new(Feed::default())))
};

const fn route(name: &'static str, method: Method, path: &'static str, body: Body) -> Route {
    let home = |_: &_| Ok(Place::At(Home::Tenant("feed".to_owned())));
    Route { body, ..Route::new(name, method, path, "", home) }
}

#[derive(Default)]
struct Feed {
    streams: Vec<ReqId>,
    left: Vec<String>,
}

/// Its shell.
#[derive(Debug)]
struct Gate;

impl Shell for Gate {
    fn answer(&'static self, call: Call, homes: Arc<dyn Homes>) -> Later<'static, Given> {
        Box::pin(async move {
            let asker = Asker::of_shell(None);
            if call.param("question") == "left" {
                let left = homes.ask(&asker, Question::of("left")).await.expect("it is answered");
                return Given::Response(http::Response::new(format!("{left:?}").into()));
            }
            let mut items = homes.watch(&asker, Question::of("stream")).await.expect("there is a stream");
            if call.param("question") == "stream" {
                return Given::Items(items);
            }
            while homes.ask(&asker, Question::of("left")).await == Ok(Reply::json(200, &[(); 0])) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            let mut taken = 0;
            while let Some(answer) = poll_fn(|cx| items.poll_next(cx)).await {
                assert!(matches!(answer, Answer::Item(_)), "cut off, it has no end");
                taken += 1;
            }
            Given::Reply(Reply::json(200, &[taken]))
        })
    }

    fn speaks(&self) -> bool {
        true
    }

    fn speak(&'static self, _: Call, mut socket: Box<dyn Socket>, homes: Arc<dyn Homes>) -> Later<'static, ()> {
        Box::pin(async move {
            let watched = homes.watch(&Asker::of_shell(None), Question::of("stream")).await;
            let mut items = watched.expect("there is a stream");
            let mut watches = true;
            loop {
                let tell = tokio::select! {
                    said = socket.next() => match said {
                        None => return,
                        Some(Said::Text(text)) if text == "bye" => return socket.close(4_400, "as you say").await,
                        Some(said) => format!("{said:?}"),
                    },
                    item = poll_fn(|cx| items.poll_next(cx)), if watches => {
                        watches = matches!(item, Some(Answer::Item(_)));
                        format!("{item:?}")
                    }
                };
                if !socket.tell(tell).await {
                    return;
                }
            }
        })
    }
}

#[derive(serde::Deserialize)]
struct Say {
    items: usize,
    bytes: usize,
}

impl Application for Feed {
    fn admit(&self, verified: Result<Arc<Identity>, AuthFailure>, _: &Asked<'_>) -> Result<Arc<Identity>, Refusal> {
        Ok(verified.unwrap_or_default())
    }
    fn home(&self, _: &Identity) -> Home {
        Home::Local
    }
    fn handle(&mut self, _: &mut Context<'_>, input: AppInput, fx: &mut Effects) {
        match input {
            AppInput::Call { req, call } => {
                let reply = match call.route.name {
                    "stream" => {
                        self.streams.push(req);
                        Reply::stream()
                    }
                    "say" => {
                        let Say { items, bytes } = call.json().expect("what to say");
                        let item = Item { data: "x".repeat(bytes), ..Item::default() };
                        let all = self.streams.iter().flat_map(|req| std::iter::repeat_n(*req, items));
                        all.for_each(|req| fx.push(Effect::Item { req, item: item.clone() }));
                        Reply::empty(204)
                    }
                    "end" => {
                        self.streams.drain(..).for_each(|req| fx.push(Effect::End { req }));
                        Reply::empty(204)
                    }
                    _ => Reply::json(200, &self.left),
                };
                fx.push(Effect::Reply { req, reply });
                if call.route.name == "stream" {
                    let item = Item { name: Some("hello".to_owned()), data: "1".to_owned(), id: None };
                    fx.push(Effect::Item { req, item });
                }
            }
            AppInput::Left { req, why } => {
                self.streams.retain(|stream| *stream != req);
                self.left.push(format!("{why:?}"));
            }
            _ => {}
        }
    }
    fn name(&self) -> &'static str {
        "feed"
    }
    fn tally(&self) -> Tally {
        Tally::default()
    }
}

fn start() -> SocketAddr {
    begin().0
}

fn begin() -> (SocketAddr, Arc<Daemon>) {
    testing::serve(&TABLE, |_| {})
}

async fn open(address: SocketAddr, method: &str, path: &str, body: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    // The kernel keeps little for an asker that does not read.
    socket.set_recv_buffer_size(4_096).unwrap();
    let mut stream = socket.connect(address).await.unwrap();
    let head = format!("{method} {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n");
    let request = format!("{head}content-length: {}\r\n\r\n{body}", body.len());
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

/// What comes until `end` has, or the connection ends.
async fn read_to(stream: &mut TcpStream, end: &str) -> String {
    let mut got = Vec::new();
    let mut buffer = [0; 4_096];
    while !String::from_utf8_lossy(&got).contains(end) {
        match tokio::time::timeout(Duration::from_secs(30), stream.read(&mut buffer)).await.expect("in time") {
            Ok(0) | Err(_) => break,
            Ok(count) => got.extend_from_slice(&buffer[..count]),
        }
    }
    String::from_utf8_lossy(&got).into_owned()
}

async fn ask(address: SocketAddr, method: &str, path: &str, body: &str) -> String {
    let mut stream = open(address, method, path, body).await;
    let end = if method == "POST" || path.ends_with("/end") { "\r\n\r\n" } else { "]" };
    read_to(&mut stream, end).await
}

async fn stream(address: SocketAddr) -> TcpStream {
    let mut stream = open(address, "GET", "/feed/stream", "").await;
    let begun = read_to(&mut stream, "data: 1\n\n").await;
    assert!(
        begun.starts_with("HTTP/1.1 200 OK\r\n") && begun.contains("content-type: text/event-stream\r\n"),
        "{begun}"
    );
    assert!(begun.contains("event: hello\ndata: 1\n\n"), "{begun}");
    stream
}

async fn until_left(address: SocketAddr, why: &str) -> String {
    for _ in 0..600 {
        let left = ask(address, "GET", "/feed/left", "").await;
        if left.contains(why) {
            return left;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("nobody left because of {why}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_stream_brings_items_and_ends_when_its_home_says_so() {
    let address = start();
    let mut stream = stream(address).await;
    assert!(ask(address, "POST", "/feed/say", &json!({"items": 2, "bytes": 3}).to_string()).await.contains(" 204 "));
    let mut heard = read_to(&mut stream, "data: xxx\n\n").await;
    ask(address, "GET", "/feed/end", "").await;
    heard += &read_to(&mut stream, "0\r\n\r\n").await;
    assert_eq!(heard.matches("data: xxx\n\n").count(), 2, "{heard}");
    assert!(heard.ends_with("\r\n0\r\n\r\n"), "a whole answer: {heard}");
    assert!(ask(address, "GET", "/feed/left", "").await.ends_with("[]"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_home_hears_that_an_asker_has_left_in_mid_stream() {
    let address = start();
    let leaving = stream(address).await;
    let mut staying = stream(address).await;
    drop(leaving);
    let left = until_left(address, "Gone").await;
    assert!(left.ends_with(r#"["Gone"]"#), "{left}");
    ask(address, "POST", "/feed/say", r#"{"items":1,"bytes":1}"#).await;
    assert!(read_to(&mut staying, "data: x\n\n").await.contains("data: x\n\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_stream_that_nobody_reads_is_cut_off_and_its_home_hears_it() {
    let address = start();
    let mut stream = stream(address).await;
    for _ in 0..64 {
        ask(address, "POST", "/feed/say", r#"{"items":16,"bytes":65536}"#).await;
        if ask(address, "GET", "/feed/left", "").await.ends_with(r#"["TooSlow"]"#) {
            break;
        }
    }
    let left = until_left(address, "TooSlow").await;
    assert!(left.ends_with(r#"["TooSlow"]"#), "once: {left}");
    let heard = read_to(&mut stream, "\r\n0\r\n\r\n").await;
    assert!(!heard.ends_with("\r\n0\r\n\r\n"), "its end is none that could be taken for a whole answer");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_shell_asks_a_home_and_passes_a_stream_on_that_it_watches() {
    let address = start();
    assert!(ask(address, "GET", "/feed/gate/left", "").await.ends_with(r#"content: Json("[]") }"#));
    let mut stream = open(address, "GET", "/feed/gate/stream", "").await;
    assert!(read_to(&mut stream, "data: 1\n\n").await.contains("event: hello\ndata: 1\n\n"));
    ask(address, "POST", "/feed/say", r#"{"items":1,"bytes":3}"#).await;
    assert!(read_to(&mut stream, "data: xxx\n\n").await.contains("data: xxx\n\n"));
    drop(stream);
    assert!(until_left(address, "Gone").await.ends_with(r#"["Gone"]"#));
    assert!(ask(address, "GET", "/feed/gate/left", "").await.contains("Gone"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_shell_that_is_too_slow_a_watcher_is_cut_off_and_its_home_hears_it() {
    let address = start();
    let mut stream = open(address, "GET", "/feed/gate/nap", "").await;
    for _ in 0..600 {
        ask(address, "POST", "/feed/say", r#"{"items":100,"bytes":1}"#).await;
        if ask(address, "GET", "/feed/left", "").await.ends_with(r#"["TooSlow"]"#) {
            break;
        }
    }
    let answer = read_to(&mut stream, "]").await;
    assert!(answer.ends_with(&format!("[{STREAM_ITEMS_MAX}]")), "what came before is there: {answer}");
    assert!(ask(address, "GET", "/feed/left", "").await.ends_with(r#"["TooSlow"]"#), "once");
}

type Ws = tokio_tungstenite::WebSocketStream<TcpStream>;

/// A WebSocket to the shell, with these headers beside its own; or the status that it is refused with.
async fn speech(address: SocketAddr, headers: &[(&'static str, &'static str)]) -> Result<Ws, u16> {
    let mut request = format!("ws://{address}/feed/speech").into_client_request().unwrap();
    for (name, value) in headers {
        request.headers_mut().insert(*name, value.parse().unwrap());
    }
    let stream = TcpStream::connect(address).await.unwrap();
    match tokio_tungstenite::client_async(request, stream).await {
        Ok((ws, response)) => {
            let chosen = response.headers().get("sec-websocket-protocol");
            assert_eq!(chosen.is_some(), headers.iter().any(|(name, _)| *name == "sec-websocket-protocol"));
            Ok(ws)
        }
        Err(Error::Http(refusal)) => Err(refusal.status().as_u16()),
        Err(error) => panic!("{error}"),
    }
}

async fn heard(ws: &mut Ws) -> String {
    match tokio::time::timeout(Duration::from_secs(30), ws.next()).await.expect("in time") {
        Some(Ok(Message::Text(text))) => text.to_string(),
        Some(Ok(Message::Close(Some(close)))) => format!("{} {}", u16::from(close.code), close.reason),
        Some(Ok(Message::Pong(bytes))) => format!("pong {}", bytes.len()),
        other => format!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_shell_speaks_on_a_websocket_and_tells_what_it_watches() {
    let address = start();
    let mut ws = speech(address, &[("sec-websocket-protocol", "graphql-transport-ws, other")]).await.unwrap();
    assert!(heard(&mut ws).await.contains("hello"));
    for (message, answer) in [
        (Message::text("é"), "Text(\"é\")"),
        (Message::binary(vec![7; 2]), r#"Binary(b"\x07\x07")"#),
        (Message::Ping(vec![1; 9].into()), "pong 9"),
    ] {
        ws.send(message).await.unwrap();
        assert_eq!(heard(&mut ws).await, answer);
    }
    ask(address, "POST", "/feed/say", r#"{"items":1,"bytes":3}"#).await;
    assert!(heard(&mut ws).await.contains("xxx"));
    ws.send(Message::text("bye")).await.unwrap();
    assert_eq!(heard(&mut ws).await, "4400 as you say");
    assert!(until_left(address, "Gone").await.ends_with(r#"["Gone"]"#));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_websocket_of_a_shell_that_breaks_a_rule_or_goes_is_over() {
    let address = start();
    let mut ws = speech(address, &[]).await.unwrap();
    heard(&mut ws).await;
    let too_large = crate::base::limit::SHELL_MESSAGE_BYTES_MAX + 1;
    // The peer may be told before it has sent all of it.
    let _ = ws.send(Message::binary(vec![0; too_large])).await;
    assert!(heard(&mut ws).await.starts_with("1009"));
    let mut ws = speech(address, &[]).await.unwrap();
    heard(&mut ws).await;
    ws.close(None).await.unwrap();
    assert!(ws.next().await.is_none_or(|last| last.is_ok()));
    drop(speech(address, &[]).await.unwrap());
    assert!(until_left(address, r#"Gone","Gone","Gone"#).await.ends_with(r#"["Gone","Gone","Gone"]"#));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_websocket_that_cannot_be_opened_is_refused() {
    let address = start();
    assert_eq!(speech(address, &[("origin", "https://evil.example")]).await.err(), Some(403));
    assert_eq!(speech(address, &[("sec-websocket-version", "7")]).await.err(), Some(400));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn websockets_of_shells_end_with_the_daemon() {
    let (address, daemon) = begin();
    let mut ws = speech(address, &[]).await.unwrap();
    assert!(heard(&mut ws).await.contains("hello"));
    daemon.drain_shards(Duration::from_secs(1));
    let mut last = heard(&mut ws).await;
    if last.contains("End") {
        last = heard(&mut ws).await;
    }
    assert_eq!(last, "1001 ");
}
