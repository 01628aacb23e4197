//! What dialled links cost: CPU of their thread for a message in and out, bytes at rest, and beside them a request over a
//! warm connection. Peers are threads of the same process, and not counted. `cargo bench --bench links` opens 1,000 links for
//! the bytes, `cargo bench --bench links -- 5000` as many as it says. The allocator counts, which costs a little.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::{Duration, Instant};

use peak_alloc::PeakAlloc;
use siod::app::Token;
use siod::app::fetch::Fetch;
use siod::app::link::{Dial, LinkEvent, LinkMessage, LinkOrder, Terms, WebSocketDial};
use siod::app::route::Method;
use siod::base::ids::{AppId, ShardId};
use siod::upstream::{Credit, LinkName, Settings, Upstream};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_tungstenite::tungstenite::{Message, WebSocket};

/// Counts the bytes that are allocated and not freed.
#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

const RUN: Duration = Duration::from_secs(2);
const TEXT: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
/// Told at once; below what may wait.
const BATCH: u64 = 500;

fn main() {
    let count = std::env::args().skip(1).find_map(|arg| arg.parse().ok()).unwrap_or(1_000);
    let settings = Settings { allow: vec!["127.0.0.1/32".parse().expect("a network")], ..Settings::default() };
    let upstream = Upstream::start(&settings).expect("the settings are usable");
    incoming(&upstream);
    outgoing(&upstream);
    one_at_a_time(&upstream);
    fetches(&upstream);
    at_rest(&upstream, count);
    upstream.close();
}

/// Messages of 64 bytes from a peer that never stops.
fn incoming(upstream: &Upstream) {
    let frame = [&[0x81, 64], TEXT.as_bytes()].concat();
    let frames = frame.repeat(1_000);
    let (_, heard) = open(upstream, peer(move |mut stream| while stream.write_all(&frames).is_ok() {}));
    let (begun, before, mut messages) = (Instant::now(), cpu_us(), 0);
    while begun.elapsed() < RUN {
        let (event, credit) = heard.recv().expect("it goes on");
        messages += u64::from(matches!(event, LinkEvent::Message(_)));
        drop(credit);
    }
    show("a message in, flood", messages, begun, before);
    upstream.order(&name(0), LinkOrder::Close { code: 1_000, reason: String::new() });
}

/// Messages of 64 bytes to a peer that reads, many at a time.
fn outgoing(upstream: &Upstream) {
    let read = Arc::<AtomicU64>::default();
    let count = read.clone();
    let address = peer(move |stream| {
        let mut socket = WebSocket::from_raw_socket(stream, Role::Server, None);
        while socket.read().is_ok() {
            count.fetch_add(1, Ordering::Relaxed);
        }
    });
    let (name, _heard) = open(upstream, address);
    let (begun, before, mut messages) = (Instant::now(), cpu_us(), 0);
    while begun.elapsed() < RUN {
        (0..BATCH).for_each(|_| upstream.order(&name, LinkOrder::Tell(LinkMessage::text(TEXT))));
        messages += BATCH;
        while read.load(Ordering::Relaxed) < messages {
            thread::yield_now();
        }
    }
    show("a message out, 500 at a time", messages, begun, before);
    upstream.order(&name, LinkOrder::Close { code: 1_000, reason: String::new() });
}

/// There and back, one by one.
fn one_at_a_time(upstream: &Upstream) {
    let address = peer(|stream| {
        let mut socket = WebSocket::from_raw_socket(stream, Role::Server, None);
        while let Ok(message) = socket.read() {
            if matches!(message, Message::Text(_)) && socket.send(message).is_err() {
                return;
            }
        }
    });
    let (name, heard) = open(upstream, address);
    let (begun, before, mut messages) = (Instant::now(), cpu_us(), 0);
    while begun.elapsed() < RUN {
        upstream.order(&name, LinkOrder::Tell(LinkMessage::text(TEXT)));
        drop(heard.recv().expect("it comes back"));
        messages += 1;
    }
    show("a message out and in, one at a time", messages, begun, before);
    upstream.order(&name, LinkOrder::Close { code: 1_000, reason: String::new() });
}

/// Requests over one connection, one by one.
fn fetches(upstream: &Upstream) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("there is a port");
    let address = listener.local_addr().expect("it is bound");
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            thread::spawn(move || {
                while head(&mut stream).is_some() {
                    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
                }
            });
        }
    });
    let (begun, before, mut requests) = (Instant::now(), cpu_us(), 0);
    while begun.elapsed() < RUN {
        let (sender, came) = mpsc::channel();
        let fetch = Fetch::new(Method::Get, format!("http://{address}/"));
        upstream.submit(AppId(0), fetch, Box::new(move |came| drop(sender.send(came))));
        came.recv().expect("it is answered").expect("with what was asked for");
        requests += 1;
    }
    show("a request over a warm connection, one at a time", requests, begun, before);
}

/// Links that are open and have nothing to say.
fn at_rest(upstream: &Upstream, count: u64) {
    allow_descriptors(count);
    let address = peer(|mut stream| drop(stream.read(&mut [0])));
    let (sender, heard) = mpsc::channel();
    let opens = |token| {
        dial(upstream, token, address, &sender);
        assert!(matches!(heard.recv().expect("something happens").0, LinkEvent::Opened { .. }));
    };
    // The first has what all share.
    opens(count);
    let before = ALLOCATOR.current_usage();
    (0..count).for_each(opens);
    // The buffers of the last handshakes go.
    thread::sleep(Duration::from_millis(200));
    let bytes = ALLOCATOR.current_usage().saturating_sub(before) as u64;
    println!("{count} links at rest: {} bytes each", bytes / count);
}

fn name(token: u64) -> LinkName {
    LinkName { app: AppId(0), shard: ShardId(0), token: Token(token) }
}

type Event = (LinkEvent, Option<Credit>);

/// A link that is open.
fn open(upstream: &Upstream, address: SocketAddr) -> (LinkName, Receiver<Event>) {
    let (sender, heard) = mpsc::channel();
    dial(upstream, 0, address, &sender);
    assert!(matches!(heard.recv().expect("something happens").0, LinkEvent::Opened { .. }));
    (name(0), heard)
}

fn dial(upstream: &Upstream, token: u64, address: SocketAddr, sender: &Sender<Event>) {
    let terms = Terms { message_bytes_max: 64 * 1024, ..Terms::default() };
    let dial = Dial::WebSocket(WebSocketDial { terms, ..WebSocketDial::new(format!("ws://{address}/")) });
    let sender = sender.clone();
    upstream.open(name(token), dial, Box::new(move |event, credit| drop(sender.send((event, credit)))));
}

/// A peer that agrees to a WebSocket, and does so.
fn peer(act: impl Fn(TcpStream) + Clone + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("there is a port");
    let address = listener.local_addr().expect("it is bound");
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let act = act.clone();
            let serve = move || {
                let head = head(&mut stream).expect("a handshake comes");
                let key = head.lines().find_map(|line| line.strip_prefix("sec-websocket-key: ")).expect("it has a key");
                let accept = derive_accept_key(key.as_bytes());
                let answer = format!(
                    "HTTP/1.1 101 -\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-accept: {accept}\r\n\r\n"
                );
                stream.write_all(answer.as_bytes()).expect("it is there");
                act(stream);
            };
            thread::Builder::new().stack_size(64 * 1024).spawn(serve).expect("there is room for a thread");
        }
    });
    address
}

/// Reads the head of a request, in lower case but for values.
fn head(stream: &mut TcpStream) -> Option<String> {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).ok()?;
    let lower = |line: &str| match line.split_once(':') {
        Some((name, value)) => format!("{}:{value}\r\n", name.to_ascii_lowercase()),
        None => format!("{line}\r\n"),
    };
    Some(head.lines().map(lower).collect())
}

fn show(what: &str, count: u64, begun: Instant, before_us: u64) {
    let (cpu_us, took_us) = (cpu_us() - before_us, begun.elapsed().as_micros() as u64);
    let each = |us: u64| us as f64 / count as f64;
    println!("{what}: {count}, {:.2} µs of CPU and {:.2} µs of time each", each(cpu_us), each(took_us));
}

/// Time that the thread of the links has run, in microseconds (`/proc/self/task/*/schedstat`).
fn cpu_us() -> u64 {
    let tasks = fs::read_dir("/proc/self/task").expect("there is /proc").flatten().map(|task| task.path());
    let ours = |task: &std::path::PathBuf| fs::read_to_string(task.join("comm")).is_ok_and(|name| name == "upstream\n");
    let task = tasks.into_iter().find(ours).expect("the thread of the links runs");
    let stat = fs::read_to_string(task.join("schedstat")).expect("the kernel counts");
    stat.split(' ').next().and_then(|ns| ns.parse::<u64>().ok()).expect("nanoseconds") / 1_000
}

/// Two for each link, both of whose ends are here.
fn allow_descriptors(count: u64) {
    let soft = format!("--nofile={}:", 2 * count + 200);
    let raised = Command::new("prlimit").args(["--pid", &std::process::id().to_string(), &soft]).status();
    assert!(raised.expect("there is prlimit").success(), "the hard limit is lower");
}
