//! The requests over real TCP: what asks, what answers, and every way in which an answer does not come.

mod certificates;
mod hosts;
mod links;
mod peer;

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use self::peer::Peer;
use super::places::Bounds;
use super::{Settings, Upstream};
use crate::app::fetch::{Fetch, FetchError, FetchFailure, Fetched};
use crate::app::route::Method;
use crate::base::ids::AppId;

type Came = Result<Fetched, FetchError>;

/// Peers on loopback may be asked.
fn settings() -> Settings {
    Settings { allow: vec!["127.0.0.1/32".parse().unwrap()], apps: vec!["a"], ..Settings::default() }
}

fn upstream() -> Upstream {
    Upstream::start(&settings()).unwrap()
}

fn submit(upstream: &Upstream, fetch: Fetch) -> Receiver<Came> {
    let (sender, came) = mpsc::channel();
    // The test may have ended.
    upstream.submit(AppId(0), fetch, Box::new(move |outcome| drop(sender.send(outcome))));
    came
}

fn came(receiver: &Receiver<Came>) -> Came {
    receiver.recv_timeout(Duration::from_secs(60)).expect("every request is answered")
}

fn ask(upstream: &Upstream, fetch: Fetch) -> Came {
    came(&submit(upstream, fetch))
}

fn get(url: impl Into<String>) -> Fetch {
    Fetch::new(Method::Get, url)
}

/// What kind of failure comes of a request.
fn fails(upstream: &Upstream, fetch: Fetch) -> FetchFailure {
    let error = ask(upstream, fetch).expect_err("there is no answer");
    assert!(!error.text.is_empty());
    error.kind
}

#[test]
fn a_request_and_its_answer() {
    let peer = Peer::says("HTTP/1.1 201 Created\r\nX-A: 1\r\nx-a: 2\r\ncontent-length: 5\r\n\r\nhello");
    let upstream = upstream();
    let fetch = Fetch {
        headers: vec![("Authorization".into(), "Bearer s".into()), ("content-type".into(), "a/b".into())],
        body: "question".into(),
        ..Fetch::new(Method::Put, peer.url("/x?y=z#f"))
    };
    let fetched = ask(&upstream, fetch).unwrap();
    assert_eq!((fetched.status, &fetched.body[..], fetched.redirects), (201, &b"hello"[..], 0));
    assert_eq!(fetched.headers.iter().filter(|(name, _)| name == "x-a").count(), 2);
    let head = peer.heads.recv().unwrap();
    assert!(head.starts_with("PUT /x?y=z HTTP/1.1\r\n"), "{head}");
    for line in ["authorization: Bearer s", "content-type: a/b", "content-length: 8", "user-agent: siod/"] {
        assert!(head.contains(line), "{head}");
    }
    assert!(!head.contains("accept-encoding"), "nothing compressed is asked for: {head}");
}

#[test]
fn a_connection_is_used_again() {
    let peer = Peer::says("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
    let upstream = upstream();
    for _ in 0..5 {
        assert_eq!(ask(&upstream, get(peer.url("/"))).unwrap().status, 200);
    }
    assert_eq!(peer.accepted(), 1);
    let samples = upstream.samples();
    assert_eq!((samples[0].answered[1], samples[0].bytes_received, samples[0].in_flight), (5, 10, 0));
}

#[test]
fn connections_of_many_hosts_do_not_rest() {
    let ok = || Peer::says("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
    let (first, second) = (ok(), ok());
    let upstream = Upstream::bounded(&settings(), Bounds { idle_hosts: 1, ..Bounds::default() }).unwrap();
    for _ in 0..3 {
        for peer in [&first, &second] {
            assert_eq!(ask(&upstream, get(peer.url("/"))).unwrap().status, 200);
        }
    }
    assert_eq!((first.accepted(), second.accepted()), (1, 3));
    assert!(second.heads.recv().unwrap().contains("connection: close"));
}

#[test]
fn b83_stray_bytes_behind_an_answer_are_no_answer_to_the_next_request() {
    let answer = |status, text| format!("HTTP/1.1 {status} -\r\ncontent-length: 2\r\n\r\n{text}");
    let peer = Peer::says(answer(200, "ok") + &answer(203, "no"));
    let upstream = upstream();
    for _ in 0..5 {
        assert_eq!(ask(&upstream, get(peer.url("/"))).unwrap().status, 200);
    }
    assert_eq!(peer.accepted(), 5, "such a connection is not used again");
}

#[test]
fn what_is_compressed_without_being_asked_is_given_as_it_came() {
    let peer =
        Peer::says(&b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 4\r\n\r\n\x1f\x8b\x08\x00"[..]);
    let fetched = ask(&upstream(), get(peer.url("/"))).unwrap();
    assert_eq!((&fetched.body[..], fetched.header("content-encoding")), (&b"\x1f\x8b\x08\x00"[..], Some("gzip")));
}

#[test]
fn where_nobody_listens_the_connection_is_refused() {
    let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    let upstream = upstream();
    assert_eq!(fails(&upstream, get(format!("http://{address}/"))), FetchFailure::Refused);
    let samples = upstream.samples();
    assert_eq!(samples[0].failed[FetchFailure::Refused as usize], 1);
    let (_, text) = samples[0].last_error.clone().unwrap();
    assert!(text.starts_with(&format!("refused: {address}: ")), "{text}");
}

#[test]
fn a_peer_that_never_answers_is_given_up_in_time() {
    let peer = Peer::does(|stream| stream.read(&mut [0]).is_ok());
    let fetch = Fetch { timeout_ms: 200, ..get(peer.url("/")) };
    let begun = Instant::now();
    assert_eq!(fails(&upstream(), fetch), FetchFailure::TimedOut);
    assert!(begun.elapsed() >= Duration::from_millis(200));
}

#[test]
fn an_answer_of_one_byte_a_moment_is_given_up_in_time() {
    let peer = Peer::does(|stream| {
        let mut goes_on = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n").is_ok();
        while goes_on {
            std::thread::sleep(Duration::from_millis(20));
            goes_on = stream.write_all(b"x").is_ok();
        }
        false
    });
    let fetch = Fetch { timeout_ms: 300, ..get(peer.url("/")) };
    assert_eq!(fails(&upstream(), fetch), FetchFailure::TimedOut);
}

#[test]
fn what_is_no_http_is_told_apart_from_what_is_cut_off() {
    const OK: &str = "HTTP/1.1 200 OK\r\n";
    let upstream = upstream();
    for (answer, kind) in [
        ("garbage\r\n\r\n".to_owned(), FetchFailure::Protocol),
        ("<html></html>\r\n\r\n".to_owned(), FetchFailure::Protocol),
        ("HTTP/1.1 2x0 OK\r\n\r\n".to_owned(), FetchFailure::Protocol),
        (format!("{OK}content-length: 3\r\ncontent-length: 5\r\n\r\nhello"), FetchFailure::Protocol),
        (format!("{OK}content-length: -1\r\n\r\n"), FetchFailure::Protocol),
        (format!("{OK}transfer-encoding: chunked\r\n\r\nzz\r\n"), FetchFailure::Protocol),
        (format!("{OK}a b: c\r\n\r\n"), FetchFailure::Protocol),
        (String::new(), FetchFailure::Cut),
        ("HTTP/1.1 20".to_owned(), FetchFailure::Cut),
        (format!("{OK}content-length: 50\r\n\r\nhello"), FetchFailure::Cut),
        (format!("{OK}transfer-encoding: chunked\r\n\r\n5\r\nhel"), FetchFailure::Cut),
    ] {
        let said = answer.clone();
        let peer = Peer::does(move |stream| {
            let _ = stream.write_all(answer.as_bytes());
            false
        });
        assert_eq!(fails(&upstream, get(peer.url("/"))), kind, "{said:?}");
    }
}

#[test]
fn an_answer_above_its_bound_is_not_taken() {
    let upstream = upstream();
    let giant = |head: &'static str, piece: Vec<u8>| {
        let sent = Arc::new(AtomicUsize::new(0));
        let count = sent.clone();
        let peer = Peer::does(move |stream| {
            let mut goes_on = stream.write_all(head.as_bytes()).is_ok();
            while goes_on && count.load(Ordering::SeqCst) < 1 << 30 {
                goes_on = stream.write_all(&piece).is_ok();
                count.fetch_add(piece.len(), Ordering::SeqCst);
            }
            false
        });
        (peer, sent)
    };
    let chunk = [b"10000\r\n", &[b'x'; 65_536][..], b"\r\n"].concat();
    for (head, piece) in [
        ("HTTP/1.1 200 OK\r\ncontent-length: 1073741824\r\n\r\n", vec![b'x'; 65_536]),
        ("HTTP/1.1 200 OK\r\n\r\n", vec![b'x'; 65_536]),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", chunk),
        ("HTTP/1.1 200 OK\r\nx: ", vec![b'x'; 65_536]),
    ] {
        let (peer, sent) = giant(head, piece);
        assert_eq!(fails(&upstream, get(peer.url("/"))), FetchFailure::TooLarge, "{head:?}");
        // What lies in the buffers of the kernel is neither ours nor the peer's.
        assert!(sent.load(Ordering::SeqCst) < 64 << 20, "{head:?}: the connection was not ended");
    }
    let many = format!("HTTP/1.1 200 OK\r\n{}content-length: 0\r\n\r\n", "x: y\r\n".repeat(200));
    assert_eq!(fails(&upstream, get(Peer::says(many).url("/"))), FetchFailure::TooLarge);
    let peer = Peer::says("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello");
    let bounded = |bytes_max| Fetch { bytes_max, ..get(peer.url("/")) };
    assert_eq!(fails(&upstream, bounded(4)), FetchFailure::TooLarge);
    assert_eq!(ask(&upstream, bounded(5)).unwrap().body.len(), 5, "exactly the bound");
}

#[test]
fn beyond_the_bound_of_a_host_requests_wait_their_turn() {
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let peer = Peer::does({
        let most = most.clone();
        move |stream| {
            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            std::thread::sleep(Duration::from_millis(30));
            now.fetch_sub(1, Ordering::SeqCst);
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").is_ok()
        }
    });
    let bounds = Bounds { in_flight_per_host: 2, per_host: 8, ..Bounds::default() };
    let upstream = Upstream::bounded(&settings(), bounds).unwrap();
    let asked: Vec<_> = (0..10).map(|_| submit(&upstream, get(peer.url("/")))).collect();
    let outcomes: Vec<_> = asked.iter().map(came).collect();
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 8);
    let refused = outcomes.into_iter().filter_map(Result::err).map(|error| error.kind);
    assert_eq!(refused.collect::<Vec<_>>(), [FetchFailure::Busy; 2]);
    assert_eq!(most.load(Ordering::SeqCst), 2);
}

/// Such a request may be made once more without fear.
#[test]
fn one_whose_time_ends_before_its_turn_comes_has_asked_nobody() {
    let peer = Peer::does(|stream| stream.read(&mut [0]).is_ok());
    let bounds = Bounds { in_flight_per_host: 1, ..Bounds::default() };
    let upstream = Upstream::bounded(&settings(), bounds).unwrap();
    let first = submit(&upstream, Fetch { timeout_ms: 2_000, ..get(peer.url("/")) });
    assert_eq!(fails(&upstream, Fetch { timeout_ms: 50, ..get(peer.url("/")) }), FetchFailure::Busy);
    assert_eq!(came(&first).map_err(|error| error.kind), Err(FetchFailure::TimedOut));
}

#[test]
fn at_the_end_whoever_waits_is_answered() {
    let peer = Peer::does(|stream| stream.read(&mut [0]).is_ok());
    let upstream = upstream();
    let waiting = submit(&upstream, get(peer.url("/")));
    peer.heads.recv().unwrap();
    upstream.close();
    upstream.close();
    assert_eq!(came(&waiting).unwrap_err().kind, FetchFailure::Unavailable);
    assert_eq!(fails(&upstream, get(peer.url("/"))), FetchFailure::Unavailable);
}

#[test]
fn redirects_are_answers_unless_they_are_to_be_followed_and_a_circle_has_an_end() {
    let peer = Peer::says("HTTP/1.1 302 Found\r\nlocation: /again\r\ncontent-length: 0\r\n\r\n");
    let upstream = upstream();
    let fetched = ask(&upstream, get(peer.url("/"))).unwrap();
    assert_eq!((fetched.status, fetched.header("location")), (302, Some("/again")));
    assert_eq!(peer.heads.try_iter().count(), 1);
    for (redirects, requests) in [(1, 2), (3, 4), (200, 4)] {
        assert_eq!(fails(&upstream, Fetch { redirects, ..get(peer.url("/")) }), FetchFailure::Redirects);
        assert_eq!(peer.heads.try_iter().count(), requests, "{redirects} are wanted");
    }
}

#[test]
fn another_origin_is_asked_without_credentials() {
    let there = Peer::says("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
    let here = Peer::says(format!("HTTP/1.1 307 -\r\nlocation: {}\r\ncontent-length: 0\r\n\r\n", there.url("/there")));
    let headers = [("authorization", "Bearer s"), ("cookie", "s"), ("x-api-key", "s"), ("accept", "a/b")];
    let headers: Vec<_> = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let fetch = Fetch { headers, redirects: 1, ..get(here.url("/")) };
    let fetched = ask(&upstream(), fetch).unwrap();
    assert_eq!((fetched.status, fetched.redirects), (200, 1));
    let (first, second) = (here.heads.recv().unwrap(), there.heads.recv().unwrap());
    for secret in ["authorization", "cookie", "x-api-key"] {
        assert!(first.contains(secret) && !second.contains(secret), "{second}");
    }
    assert!(second.starts_with("GET /there ") && second.contains("accept: a/b"), "{second}");
}
