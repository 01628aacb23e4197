//! Links over real TCP: what goes both ways, and what the asker gets of every peer that does not do as it should.

mod bad;
mod bounds;
mod ports;

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Message, WebSocket, accept, accept_hdr};

use super::certificates::{Authority, trusting};
use super::peer::NameServer;
use super::{Upstream, settings, upstream};
use crate::app::Token;
use crate::app::fetch::FetchFailure;
use crate::app::home::Flow;
use crate::app::link::{Dial, LinkEnd, LinkEvent, LinkMessage, LinkOrder, Terms, WebSocketDial};
use crate::base::ids::{AppId, ShardId};
use crate::shard::sample::LinkSample;
use crate::upstream::{Credit, LinkName};

const HOME: ShardId = ShardId(1);

/// A link as its home has it.
struct Link<'a> {
    upstream: &'a Upstream,
    name: LinkName,
    heard: Receiver<(LinkEvent, Option<Credit>)>,
}

/// Opens a link under a token.
fn open(upstream: &Upstream, token: u64, dial: WebSocketDial) -> Link<'_> {
    let name = LinkName { app: AppId(0), shard: HOME, token: Token(token) };
    let (sender, heard) = mpsc::channel();
    // The test may have heard enough.
    let home = move |event, credit| drop(sender.send((event, credit)));
    upstream.open(name, Dial::WebSocket(dial), Box::new(home));
    Link { upstream, name, heard }
}

fn dial(url: impl Into<String>) -> WebSocketDial {
    WebSocketDial::new(url)
}

fn ws(address: SocketAddr) -> WebSocketDial {
    dial(format!("ws://{address}/x?key=s3cret"))
}

impl Link<'_> {
    fn next(&self) -> LinkEvent {
        self.heard.recv_timeout(Duration::from_secs(60)).expect("something happens").0
    }

    fn opens(&self) -> Option<String> {
        match self.next() {
            LinkEvent::Opened { subprotocol } => subprotocol,
            event => panic!("{event:?}"),
        }
    }

    fn message(&self) -> LinkMessage {
        match self.next() {
            LinkEvent::Message(message) => message,
            event => panic!("{event:?}"),
        }
    }

    /// Why it is over; that is the last of it.
    fn ends(&self) -> LinkEnd {
        let LinkEvent::Closed { why } = self.next() else { panic!("it goes on") };
        assert!(self.heard.recv_timeout(Duration::from_millis(20)).is_err(), "nothing follows");
        why
    }

    fn fails(&self) -> FetchFailure {
        match self.ends() {
            LinkEnd::Failed(kind) => kind,
            why => panic!("{why:?}"),
        }
    }

    fn is_quiet(&self) -> bool {
        matches!(self.heard.recv_timeout(Duration::from_millis(100)), Err(RecvTimeoutError::Timeout))
    }

    fn order(&self, order: LinkOrder) {
        self.upstream.order(&self.name, order);
    }

    fn tell(&self, text: &str) {
        self.order(LinkOrder::Tell(LinkMessage::text(text)));
    }

    fn close(&self, code: u16, reason: &str) {
        self.order(LinkOrder::Close { code, reason: reason.to_owned() });
    }
}

/// The figures of the application that dials.
fn figures(upstream: &Upstream) -> LinkSample {
    upstream.link_samples().remove(0)
}

/// Every connection is one call.
fn peer(act: impl Fn(TcpStream) + Clone + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let act = act.clone();
            thread::spawn(move || act(stream));
        }
    });
    address
}

/// A peer that speaks WebSocket.
fn speaker(act: impl Fn(WebSocket<TcpStream>) + Clone + Send + 'static) -> SocketAddr {
    peer(move |stream| act(accept(stream).unwrap()))
}

/// Says back what it hears, until it is over.
fn echo(mut socket: WebSocket<TcpStream>) {
    while let Ok(message) = socket.read() {
        if message.is_text() || message.is_binary() {
            socket.send(message).unwrap();
        }
    }
}

fn text(text: &str) -> LinkMessage {
    LinkMessage::text(text)
}

#[test]
fn messages_go_both_ways_in_order_and_are_counted() {
    let (upstream, address) = (upstream(), speaker(echo));
    let link = open(&upstream, 1, ws(address));
    link.tell("told before it is open");
    assert_eq!(link.opens(), None);
    let large = LinkMessage::Binary(vec![7; 200_000].into());
    (0..100).for_each(|number| link.tell(&format!("message {number} ✓")));
    link.order(LinkOrder::Tell(large.clone()));
    assert_eq!(link.message(), text("told before it is open"));
    for number in 0..100 {
        assert_eq!(link.message(), text(&format!("message {number} ✓")));
    }
    assert_eq!(link.message(), large);
    let figures = figures(&upstream);
    assert_eq!((figures.app, figures.kind, figures.open, figures.opened), ("a", LinkSample::DIALLED, 1, 1));
    assert_eq!((figures.messages_received, figures.messages_sent, figures.open_us.count()), (102, 102, 1));
    assert!(figures.bytes_sent > 201_000 && figures.bytes_received == figures.bytes_sent);
}

#[test]
fn a_handshake_says_what_the_asker_says_and_hears_what_the_peer_chooses() {
    let (sender, heads) = mpsc::channel();
    let address = peer(move |stream| {
        let sender = sender.clone();
        #[allow(clippy::result_large_err)]
        let answer = |request: &Request, mut response: Response| {
            sender.send((request.uri().to_string(), request.headers().clone())).unwrap();
            response.headers_mut().insert("sec-websocket-protocol", "v2".parse().unwrap());
            Ok(response)
        };
        echo(accept_hdr(stream, answer).unwrap());
    });
    let upstream = upstream();
    let headers = vec![("Authorization".into(), "Bearer s".into())];
    let link =
        open(&upstream, 1, WebSocketDial { headers, subprotocols: vec!["v1".into(), "v2".into()], ..ws(address) });
    assert_eq!(link.opens().as_deref(), Some("v2"));
    let (target, headers) = heads.recv().unwrap();
    assert_eq!(target, "/x?key=s3cret");
    for (name, value) in [("sec-websocket-protocol", "v1, v2"), ("authorization", "Bearer s")] {
        assert_eq!(headers[name], value);
    }
    assert_eq!(headers["host"], address.to_string());
    assert!(headers["user-agent"].to_str().unwrap().starts_with("siod/"));
    assert!(!headers.contains_key("sec-websocket-extensions"), "nothing compressed is asked for");
}

#[test]
fn a_link_goes_over_tls_where_its_url_says_so() {
    let (server, known) = (NameServer::of(Ipv4Addr::LOCALHOST.into()), Authority::new());
    let config = known.vouches_for("cloud.example", 2100);
    let address = peer(move |tcp| {
        let session = rustls::ServerConnection::new(config.clone()).unwrap();
        let mut socket = accept(rustls::StreamOwned::new(session, tcp)).unwrap();
        while let Ok(message) = socket.read() {
            let _ = socket.send(message);
        }
    });
    let upstream = trusting(&server, Some(known.file()));
    let link = open(&upstream, 1, dial(format!("wss://cloud.example:{}/", address.port())));
    link.opens();
    link.tell("secretly");
    assert_eq!(link.message(), text("secretly"));
}

#[test]
fn a_close_comes_behind_what_was_told_and_its_end_at_once() {
    let (sender, heard) = mpsc::channel();
    let address = speaker(move |mut socket| {
        while let Ok(message) = socket.read() {
            sender.send(message).unwrap();
        }
    });
    let upstream = upstream();
    let link = open(&upstream, 1, ws(address));
    link.opens();
    (0..3).for_each(|number| link.tell(&number.to_string()));
    link.close(4_000, "enough");
    link.tell("nobody hears this");
    link.close(4_001, "nor this");
    assert_eq!(link.ends(), LinkEnd::Ours);
    for number in 0..3 {
        assert_eq!(heard.recv().unwrap(), Message::text(number.to_string()));
    }
    let frame = CloseFrame { code: 4_000.into(), reason: "enough".into() };
    assert_eq!(heard.recv().unwrap(), Message::Close(Some(frame)));
    assert!(heard.recv_timeout(Duration::from_millis(50)).is_err());
    assert_eq!(figures(&upstream).last_error, None, "that is no failure");
}

#[test]
fn what_may_not_be_said_at_the_end_is_not() {
    let (sender, heard) = mpsc::channel();
    let address = speaker(move |mut socket| sender.send(socket.read().unwrap()).unwrap());
    let upstream = upstream();
    for (code, said) in [(1_005, 1_000), (0, 1_000), (1_006, 1_000), (1_011, 1_011), (65_535, 1_000), (3_000, 3_000)] {
        let link = open(&upstream, 1, ws(address));
        link.opens();
        link.close(code, &"é".repeat(100));
        assert_eq!(link.ends(), LinkEnd::Ours);
        let Message::Close(Some(frame)) = heard.recv().unwrap() else { panic!("{code}") };
        assert_eq!((u16::from(frame.code), frame.reason.as_str()), (said, &*"é".repeat(61)), "{code}");
    }
}

#[test]
fn the_peers_end_is_told_with_its_code_and_reason_and_is_answered() {
    let (sender, answers) = mpsc::channel();
    let address = speaker(move |mut socket| {
        let frame = CloseFrame { code: 4_009.into(), reason: "s3cret".into() };
        socket.close(Some(frame)).unwrap();
        sender.send(socket.read().unwrap()).unwrap();
    });
    let upstream = upstream();
    let link = open(&upstream, 1, ws(address));
    link.opens();
    assert_eq!(link.ends(), LinkEnd::Peer { code: Some(4_009), reason: "s3cret".into() });
    assert!(matches!(answers.recv().unwrap(), Message::Close(Some(frame)) if u16::from(frame.code) == 4_009));
    let (_, words) = figures(&upstream).last_error.unwrap();
    assert_eq!(words, format!("peer: {address} has closed it with 4009"));
}

#[test]
fn a_name_that_is_in_use_is_closed_first() {
    let (upstream, address) = (upstream(), speaker(echo));
    let first = open(&upstream, 1, ws(address));
    first.opens();
    let (second, other) = (open(&upstream, 1, ws(address)), open(&upstream, 2, ws(address)));
    assert_eq!(first.ends(), LinkEnd::Ours);
    second.opens();
    second.tell("second");
    assert_eq!(second.message(), text("second"));
    other.opens();
    // A link that is being opened gives way as well.
    let silent = peer(|mut stream| drop(stream.read_to_end(&mut Vec::new())));
    let third = open(&upstream, 3, ws(silent));
    let fourth = open(&upstream, 3, ws(address));
    assert_eq!(third.ends(), LinkEnd::Ours);
    fourth.opens();
    assert_eq!(figures(&upstream).open, 3);
}

#[test]
fn the_daemon_says_that_it_ends_behind_what_was_told_and_nothing_opens_any_more() {
    let (sender, heard) = mpsc::channel();
    let address = speaker(move |mut socket| {
        while let Ok(message) = socket.read() {
            sender.send(message).unwrap();
        }
    });
    let upstream = upstream();
    let link = open(&upstream, 1, ws(address));
    let elsewhere = LinkName { shard: ShardId(0), ..link.name };
    let (sender, theirs) = mpsc::channel();
    upstream.open(elsewhere, Dial::WebSocket(ws(address)), Box::new(move |event, _| drop(sender.send(event))));
    link.opens();
    assert!(matches!(theirs.recv().unwrap(), LinkEvent::Opened { .. }));
    link.tell("last");
    upstream.drain(HOME);
    assert_eq!(link.fails(), FetchFailure::Unavailable);
    assert_eq!(heard.recv().unwrap(), Message::text("last"));
    assert!(matches!(heard.recv().unwrap(), Message::Close(Some(frame)) if u16::from(frame.code) == 1_001));
    assert_eq!(open(&upstream, 2, ws(address)).fails(), FetchFailure::Unavailable);
    assert!(theirs.try_recv().is_err(), "another shard has not had its last word");
    upstream.close();
    assert!(matches!(theirs.recv().unwrap(), LinkEvent::Closed { why: LinkEnd::Failed(FetchFailure::Unavailable) }));
    assert!(matches!(heard.recv().unwrap(), Message::Close(Some(frame)) if u16::from(frame.code) == 1_001));
    assert_eq!(figures(&upstream).last_error, None);
}
