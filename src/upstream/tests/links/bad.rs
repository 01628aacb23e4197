//! Peers that are not there, not who they should be, or do not say what they should.

use std::io::Read as _;
use std::sync::atomic::Ordering;

use super::super::hosts::resolving;
use super::super::peer::request;
use super::*;

/// A peer that answers the handshake so, and then ends.
fn answers(answer: impl Into<Vec<u8>>) -> SocketAddr {
    let answer = answer.into();
    peer(move |mut stream| {
        request(&mut stream);
        let _ = stream.write_all(&answer);
    })
}

/// A peer that agrees to a WebSocket, and then says these bytes; it leaves when we do.
fn frames(bytes: impl Into<Vec<u8>>) -> SocketAddr {
    let bytes = bytes.into();
    speaker(move |mut socket| {
        let stream = socket.get_mut();
        let _ = stream.write_all(&bytes);
        let _ = stream.read_to_end(&mut Vec::new());
    })
}

#[test]
fn a_link_to_nowhere_is_refused() {
    let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    let upstream = upstream();
    assert_eq!(open(&upstream, 1, ws(address)).fails(), FetchFailure::Refused);
    let (_, words) = figures(&upstream).last_error.unwrap();
    assert!(words.starts_with("refused: 127.0.0.1:") && !words.contains("s3cret"), "{words}");
}

#[test]
fn an_order_that_is_none_is_invalid() {
    let upstream = upstream();
    assert_eq!(open(&upstream, 1, dial("http://a.example/")).fails(), FetchFailure::Invalid);
    assert_eq!(figures(&upstream).attempts(), 1);
}

#[test]
fn a_name_that_does_not_resolve() {
    let server = NameServer::says(|_, _| Vec::new());
    assert_eq!(open(&resolving(&server), 1, dial("ws://nobody.example/")).fails(), FetchFailure::Dns);
}

#[test]
fn a_name_or_url_that_leads_to_a_forbidden_address() {
    for address in [[10, 0, 0, 1], [169, 254, 169, 254], [127, 0, 0, 2]] {
        let server = NameServer::of(Ipv4Addr::from(address).into());
        let upstream = resolving(&server);
        assert_eq!(open(&upstream, 1, dial("ws://inner.example/")).fails(), FetchFailure::Forbidden, "{address:?}");
    }
    for host in ["10.0.0.1", "127.2", "[::1]", "0x0a.1", "169.254.169.254", "[::ffff:10.0.0.1]"] {
        assert_eq!(open(&upstream(), 1, dial(format!("ws://{host}/"))).fails(), FetchFailure::Forbidden, "{host}");
    }
}

#[test]
fn a_name_that_leads_elsewhere_the_second_time_is_judged_anew() {
    let address = speaker(echo);
    let there_and_back = [Ipv4Addr::LOCALHOST, Ipv4Addr::new(10, 0, 0, 1)];
    let server = NameServer::says(move |_, before| vec![there_and_back[before % 2]]);
    let upstream = resolving(&server);
    let url = format!("ws://rebinding.example:{}/", address.port());
    open(&upstream, 1, dial(&*url)).opens();
    assert_eq!(server.asked.load(Ordering::SeqCst), 1, "what was judged is dialled");
    assert_eq!(open(&upstream, 2, dial(&*url)).fails(), FetchFailure::Forbidden);
}

#[test]
fn a_certificate_that_is_not_trusted_expired_or_for_another_host() {
    let server = NameServer::of(Ipv4Addr::LOCALHOST.into());
    let (known, stranger) = (Authority::new(), Authority::new());
    let upstream = trusting(&server, Some(known.file()));
    for (config, what) in [
        (stranger.vouches_for("cloud.example", 2100), "untrusted"),
        (known.vouches_for("cloud.example", 2001), "expired"),
        (known.vouches_for("other.example", 2100), "of another host"),
    ] {
        let address = peer(move |tcp| {
            let session = rustls::ServerConnection::new(config.clone()).unwrap();
            let _ = accept(rustls::StreamOwned::new(session, tcp));
        });
        let link = open(&upstream, 1, dial(format!("wss://cloud.example:{}/", address.port())));
        assert_eq!(link.fails(), FetchFailure::Tls, "{what}");
    }
}

#[test]
fn a_peer_that_speaks_no_tls() {
    let address = peer(|mut stream| {
        // Ended with something unread, the connection would be reset.
        let _ = stream.read(&mut [0; 16_384]);
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
    });
    assert_eq!(open(&upstream(), 1, dial(format!("wss://{address}/"))).fails(), FetchFailure::Tls);
}

#[test]
fn a_peer_that_never_answers_the_handshake() {
    let address = peer(|mut stream| drop(stream.read_to_end(&mut Vec::new())));
    let upstream = upstream();
    let link = open(&upstream, 1, WebSocketDial { open_timeout_ms: 200, ..ws(address) });
    assert_eq!(link.fails(), FetchFailure::TimedOut);
    assert_eq!((figures(&upstream).opening, figures(&upstream).opened), (0, 0));
}

#[test]
fn a_peer_that_answers_html_or_with_another_status() {
    let html = "<html>welcome</html>";
    for (status, answer) in [
        (200, format!("HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: {}\r\n\r\n{html}", html.len())),
        (401, "HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n".to_owned()),
        (302, "HTTP/1.1 302 Found\r\nlocation: ws://10.0.0.1/\r\ncontent-length: 0\r\n\r\n".to_owned()),
        (503, "HTTP/1.1 503 Unavailable\r\n\r\n".to_owned()),
    ] {
        let upstream = upstream();
        let address = answers(answer);
        assert_eq!(open(&upstream, 1, ws(address)).ends(), LinkEnd::Rejected { status });
        assert_eq!(figures(&upstream).last_error.unwrap().1, format!("rejected: {address} answers {status}"));
    }
}

#[test]
fn a_peer_that_answers_garbage_too_much_or_nothing() {
    let agreed = "HTTP/1.1 101 -\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-accept: ";
    for (answer, kind) in [
        ("\x16\x03 no HTTP at all\r\n\r\n".to_owned(), FetchFailure::Protocol),
        (format!("{agreed}s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"), FetchFailure::Protocol),
        (format!("HTTP/1.1 101 -\r\nx: {}", "y".repeat(100_000)), FetchFailure::TooLarge),
        (format!("HTTP/1.1 101 -\r\n{}\r\n", "x: y\r\n".repeat(200)), FetchFailure::TooLarge),
        ("HTTP/1.1 101 -\r\n".to_owned(), FetchFailure::Cut),
        (String::new(), FetchFailure::Cut),
    ] {
        let shown: String = answer.chars().take(40).collect();
        let address = peer(move |mut stream| {
            request(&mut stream);
            let _ = stream.write_all(answer.as_bytes());
            let _ = stream.shutdown(std::net::Shutdown::Write);
            let _ = stream.read_to_end(&mut Vec::new());
        });
        assert_eq!(open(&upstream(), 1, ws(address)).fails(), kind, "{shown:?}");
    }
}

#[test]
fn a_peer_that_chooses_no_subprotocol_or_one_that_was_not_offered() {
    for (offered, chosen) in [(&["v1"][..], None), (&["v1"][..], Some("v2")), (&[][..], Some("v1"))] {
        let address = peer(move |stream| {
            #[allow(clippy::result_large_err)]
            let answer = move |_: &Request, mut response: Response| {
                if let Some(chosen) = chosen {
                    response.headers_mut().insert("sec-websocket-protocol", chosen.parse().unwrap());
                }
                Ok(response)
            };
            let _ = accept_hdr(stream, answer);
        });
        let subprotocols = offered.iter().map(|name| (*name).to_owned()).collect();
        let upstream = upstream();
        let link = open(&upstream, 1, WebSocketDial { subprotocols, ..ws(address) });
        assert_eq!(link.fails(), FetchFailure::Protocol, "{offered:?} {chosen:?}");
    }
}

#[test]
fn a_peer_that_says_what_is_no_websocket() {
    let long_ping = [&b"\x89\x7e\x00\x7e"[..], &[b'x'; 126]].concat();
    for (bytes, what) in [
        (&b"\x81\x02\xff\xff"[..], "no UTF-8"),
        (b"\x81\x85abcdHELLO", "masked"),
        (b"\xc1\x01x", "an extension that was not agreed on"),
        (b"\x83\x01x", "an unknown opcode"),
        (b"\x80\x01x", "the rest of nothing"),
        (&long_ping, "a ping that is too long"),
        (&b"<html>".repeat(50), "a page"),
    ] {
        let upstream = upstream();
        let link = open(&upstream, 1, ws(frames(bytes)));
        link.opens();
        assert_eq!(link.fails(), FetchFailure::Protocol, "{what}");
    }
}

#[test]
fn a_peer_that_ends_in_the_middle_of_a_message_or_without_a_word() {
    for (bytes, what) in
        [(&b"\x81\x05hel"[..], "in a frame"), (b"\x01\x03hel", "between frames"), (b"", "without a word")]
    {
        let address = speaker(move |mut socket| drop(socket.get_mut().write_all(bytes)));
        let upstream = upstream();
        let link = open(&upstream, 1, ws(address));
        link.opens();
        assert_eq!(link.fails(), FetchFailure::Cut, "{what}");
        assert_eq!(figures(&upstream).messages_received, 0, "{what}");
    }
}

#[test]
fn a_message_over_the_limit_in_one_frame_or_many() {
    let head = |opcode: u8, length: u64| [&[opcode, 127][..], &length.to_be_bytes()].concat();
    let piece = |opcode: u8| [head(opcode, 600), vec![b'x'; 600]].concat();
    for (bytes, what) in [
        (head(0x82, 1_001), "only announced"),
        (head(0x82, u64::MAX >> 1), "beyond all bounds"),
        ([piece(0x01), piece(0x80)].concat(), "in pieces"),
    ] {
        let (sender, answers) = mpsc::channel();
        let address = speaker(move |mut socket| {
            let _ = socket.get_mut().write_all(&bytes);
            sender.send(socket.read()).unwrap();
        });
        let upstream = upstream();
        let terms = Terms { message_bytes_max: 1_000, ..Terms::default() };
        let link = open(&upstream, 1, WebSocketDial { terms, ..ws(address) });
        link.opens();
        assert_eq!(link.fails(), FetchFailure::TooLarge, "{what}");
        let answer = answers.recv().unwrap();
        assert!(
            matches!(&answer, Ok(Message::Close(Some(frame))) if u16::from(frame.code) == 1_009),
            "{what}: {answer:?}"
        );
    }
}

#[test]
fn a_message_of_exactly_the_limit_comes() {
    let address = speaker(move |mut socket| {
        socket.send(Message::text("x".repeat(1_000))).unwrap();
        echo(socket);
    });
    let upstream = upstream();
    let terms = Terms { message_bytes_max: 1_000, ..Terms::default() };
    let link = open(&upstream, 1, WebSocketDial { terms, ..ws(address) });
    link.opens();
    assert_eq!(link.message().len(), 1_000);
}
