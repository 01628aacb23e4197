//! PROTOCOL 2 and 4: the handshake and the WebSocket transport.

use super::world;
use crate::base::limit::OUTBOX_PATIENCE_MS;
use crate::shard::testing::socket::Frame;
use crate::shard::testing::{Setup, World};
use crate::wire::frame::{Opcode, write_masked};

#[test]
fn a_handshake_is_the_first_message_and_offers_no_upgrade() {
    let peer = world(4).websocket("/lab-root");
    assert_eq!(peer.sid.len(), 20);
    peer.gets_nothing();
}

#[test]
fn a_client_joins_talks_and_leaves() {
    let world = world(1);
    let peer = world.websocket("/lab-root");
    peer.joins("/", "{\"a\":[1]}");
    peer.gets("42[\"auth\",{\"a\":[1]}]");
    peer.sends("421[\"echo\",1,\"é\"]");
    peer.gets("431[1,\"é\"]");
    peer.sends_close(Some(1000));
    peer.gets_close(Some(1000));
    peer.gets_end();
    world.assert_empty();
}

/// A 101 leaves together with what the shard has to say at once, in a turn that goes on.
#[test]
fn what_comes_after_an_early_write_leaves_at_the_end_of_the_turn() {
    let world = world(1);
    let (peer, other) = (world.websocket("/lab-root"), world.websocket("/lab-root"));
    [&peer, &other].into_iter().for_each(|peer| drop(peer.joins("/", "")));
    [&peer, &other].into_iter().for_each(|peer| drop(peer.gets("42[\"auth\",{}]")));
    world.in_one_turn(|| {
        peer.sends("421[\"echo\",1]");
        peer.is_written_early();
        peer.gets("431[1]");
        other.sends("422[\"echo\",2]");
        peer.sends("423[\"echo\",3]");
        peer.gets_nothing();
    });
    peer.gets("433[3]");
    peer.gets_nothing();
    other.gets("432[2]");
}

/// What ends a session, and with which close frame. The server waits for the client's, and closes the connection then.
#[test]
fn what_ends_a_session_and_with_which_code() {
    for (send, code) in [
        ("2", None),
        ("2probe", None),
        ("1", None),
        ("x", None),
        ("7", None),
        ("", None),
        ("4", None),
        ("b!!!", None),
        ("b", None),
        ("47", None),
        ("42[\"echo\"", None),
        ("42[\"a\u{1e}b\"]", None),
    ] {
        let world = world(1);
        let peer = world.websocket("/lab-root");
        peer.joins("/", "");
        peer.gets("42[\"auth\",{}]");
        peer.sends(send);
        assert_eq!((peer.next(), send), (Some(Frame::Close(code)), send));
        peer.sends("40");
        peer.sends_frame(Opcode::Ping, true, b"late");
        peer.gets_nothing();
        peer.sends_close(None);
        peer.gets_end();
        world.assert_empty();
    }
}

/// Where the bytes are no WebSocket any more nothing is waited for.
#[test]
fn b05_wire_errors_close_with_their_code_and_hang_up() {
    for (name, bytes, code) in [
        ("reserved bits", &[0xF1, 0x80, 0, 0, 0, 0][..], 1002),
        ("no mask", &[0x81, 1, b'3'], 1002),
        ("nothing to continue", &[0x80, 0x80, 0, 0, 0, 0], 1002),
        ("fragmented ping", &[0x09, 0x80, 0, 0, 0, 0], 1002),
        ("not UTF-8", &[0x81, 0x81, 0, 0, 0, 0, 0xff], 1007),
        ("too big", &[0x82, 0xff, 0, 0, 0, 0, 0, 0x0f, 0x42, 0x41, 0, 0, 0, 0], 1009),
        ("close payload of one byte", &[0x88, 0x81, 0, 0, 0, 0, 3], 1002),
    ] {
        let world = world(1);
        let peer = world.websocket("/lab-root");
        peer.joins("/", "");
        peer.gets("42[\"auth\",{}]");
        // In the same turn more comes; it is not read.
        world.in_one_turn(|| {
            peer.sends_bytes(&mut bytes.to_vec());
            peer.sends_close(Some(1000));
            peer.sends("42[\"message\"]");
        });
        assert_eq!((peer.next(), name), (Some(Frame::Close(Some(code))), name));
        peer.gets_end();
        world.assert_empty();
    }
}

#[test]
fn packets_that_mean_nothing_are_ignored() {
    let world = world(1);
    let peer = world.websocket("/lab-root");
    for packet in ["0", "5", "6", "3", "3probe", "0{\"sid\":1}"] {
        peer.sends(packet);
        peer.gets_nothing();
    }
    peer.joins("/", "");
}

#[test]
fn a_client_that_never_answers_a_close_is_cut() {
    let world = world(1);
    let peer = world.websocket("/lab-root");
    peer.sends("1");
    peer.gets_close(None);
    peer.gets_nothing();
    assert_eq!(world.deadline(), Some(5_000));
    world.advance(5_000);
    peer.gets_end();
    world.assert_empty();
}

#[test]
fn the_end_of_the_connection_is_the_end_of_the_client() {
    for broken in [true, false] {
        let world = world(1);
        let peer = world.websocket("/lab-root");
        peer.joins("/", "");
        peer.hangs_up(broken);
        world.assert_empty();
    }
}

#[test]
fn b31_pings_are_answered_with_their_payload() {
    let peer = world(1).websocket("/lab-root");
    peer.sends_frame(Opcode::Ping, true, &[7; 125]);
    peer.gets_pong(&[7; 125]);
    peer.sends_frame(Opcode::Ping, true, b"");
    peer.gets_pong(b"");
    peer.sends_frame(Opcode::Pong, true, b"unasked");
    peer.gets_nothing();
    // Ten in one read are answered one by one, to a client that reads the answers.
    let mut bytes = Vec::new();
    for number in 0..10 {
        write_masked(&mut bytes, Opcode::Ping, true, &[number], [1, 2, 3, 4]);
    }
    peer.sends_bytes(&mut bytes);
    (0..10).for_each(|number| peer.gets_pong(&[number]));
}

#[test]
fn t19_b38_of_a_flood_of_pings_only_the_last_is_answered() {
    let world = world(1);
    let peer = world.websocket("/lab-root");
    peer.reads_only(0);
    for number in 0..10_000u32 {
        peer.sends_frame(Opcode::Ping, true, &number.to_be_bytes());
    }
    assert!(world.sum(|shard| shard.sample().outbox_bytes) < 20);
    peer.reads_on();
    peer.gets_pong(&9_999u32.to_be_bytes());
    peer.gets_nothing();
}

#[test]
fn binary_messages_come_raw_or_as_base64_text() {
    let peer = world(1).websocket("/lab-root");
    peer.joins("/", "");
    peer.gets("42[\"auth\",{}]");
    let head = "451-[\"message\",{\"_placeholder\":true,\"num\":0}]";
    peer.sends(head);
    peer.sends("bAQID");
    peer.gets("451-[\"message-back\",{\"_placeholder\":true,\"num\":0}]");
    peer.gets_binary(&[1, 2, 3]);
}

#[test]
fn b64_sends_binary_as_text() {
    let world = world(1);
    let peer = world.websocket_with("/lab-root", |hello| hello.base64 = true);
    peer.joins("/", "");
    peer.gets("42[\"auth\",{}]");
    peer.sends("451-[\"message\",{\"_placeholder\":true,\"num\":0}]");
    peer.sends_binary(&[1, 2, 3]);
    peer.gets("451-[\"message-back\",*");
    peer.gets("bAQID");
    let echo = world.websocket_with("/engine.io/", |hello| hello.base64 = true);
    echo.sends_binary(&[1, 2, 3]);
    echo.gets("bAQID");
}

#[test]
fn an_engine_echo_returns_every_message() {
    let world = world(1);
    let peer = world.websocket("/engine.io/");
    peer.sends("4hello");
    peer.gets("4hello");
    peer.sends("4");
    peer.gets("4");
    peer.sends_binary(&[0, 1]);
    peer.gets_binary(&[0, 1]);
    world.advance(20_000);
    peer.gets_nothing();
    peer.sends("2");
    peer.gets_close(None);
}

#[test]
fn a_bare_echo_returns_every_message() {
    let world = world(1);
    let peer = world.websocket("/echo");
    peer.sends("x");
    peer.gets("x");
    peer.sends_binary(b"y");
    peer.gets_binary(b"y");
    peer.sends_frame(Opcode::Text, false, b"a");
    peer.sends_frame(Opcode::Ping, true, b"p");
    peer.sends_frame(Opcode::Continuation, true, b"b");
    peer.gets_pong(b"p");
    peer.gets("ab");
    peer.sends_close(Some(3999));
    peer.gets_close(Some(3999));
    peer.gets_end();
    let broken = world.websocket("/echo");
    broken.sends_bytes(&mut [0x83, 0x80, 0, 0, 0, 0]);
    broken.gets_close(Some(1002));
    broken.gets_end();
    world.assert_empty();
}

#[test]
fn b42_whoever_asks_much_and_reads_nothing_is_cut_off() {
    for (path, message) in [("/echo", "x"), ("/engine.io/", "4x"), ("/lab-root", "40/nope,")] {
        let mut setup = Setup::default();
        setup.limits.outbox_bytes_max = 2_000;
        let world = World::with(setup, super::apps);
        let peer = world.websocket(path);
        peer.reads_only(0);
        peer.sends(message);
        world.advance(OUTBOX_PATIENCE_MS);
        for _ in 0..5_000 {
            peer.sends(message);
            assert!(world.sum(|shard| shard.sample().outbox_bytes) < 2_100, "{path}");
        }
        peer.gets_end();
        world.assert_empty();
    }
}
