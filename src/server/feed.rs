//! Calls over real sockets: a daemon of two cores with a small application, as HTTP callers meet it.
//!
//! | route | what happens |
//! |---|---|
//! | `GET /feed/stream` | a stream, which begins with `hello` |
//! | `POST /feed/say` `{items, bytes}` | so many items of so many bytes for every stream |
//! | `GET /feed/end` | all streams end |
//! | `GET /feed/left` | why askers of streams have left, in order |

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

use super::testing;
use crate::app::effect::{Effect, Effects};
use crate::app::event::AppInput;
use crate::app::identity::Identity;
use crate::app::reply::{Item, Reply};
use crate::app::route::{Body, Http, Method, Place, Route};
use crate::app::settings::Chosen;
use crate::app::table::{Row, Table};
use crate::app::{Application, Asked, AuthFailure, Context, Home, Refusal, Tally};
use crate::base::ids::ReqId;

static TABLE: Table = Table { rows: &[ROW], paths: &[], fixture: &ROW };

const ROW: Row = Row {
    http: Http {
        routes: &[
            route("stream", Method::Get, "/stream", Body::None),
            route("say", Method::Post, "/say", Body::Json { bytes_max: 100 }),
            route("end", Method::Get, "/end", Body::None),
            route("left", Method::Get, "/left", Body::None),
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
    testing::start(&TABLE, |_| {})
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
