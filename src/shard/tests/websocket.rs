//! Protocol 2.2 and 2.4: the handshake and the WebSocket transport.

use super::world;
use crate::wire::frame::Opcode;

#[test]
fn a_first_packet_and_an_echo() {
    let world = world(1);
    let peer = world.websocket("/lab-root");
    peer.sends("40");
    peer.gets("40{\"sid\":\"*\"}");
    peer.gets("42[\"auth\",{}]");
    peer.sends("421[\"echo\",1]");
    peer.gets("431[1]");
    peer.sends_close(Some(1000));
    peer.gets_close(Some(1000));
    peer.gets_end();
    world.assert_empty();
}

#[test]
fn what_ends_a_session_and_with_which_code() {
    for (name, send, code) in [
        ("a ping from the client", "2", None),
        ("goodbye", "1", None),
        ("an unknown type", "x", None),
        ("an empty message", "", None),
        ("an empty Socket.IO packet", "4", None),
        ("bad base64", "b!!!", None),
    ] {
        let world = world(1);
        let peer = world.websocket("/lab-root");
        peer.sends(send);
        assert_eq!(peer.next(), Some(crate::shard::testing::socket::Frame::Close(code)), "{name}");
        peer.gets_nothing();
        peer.sends("40");
        peer.gets_nothing();
        peer.sends_close(None);
        peer.gets_end();
        world.assert_empty();
    }
}

#[test]
fn packets_that_mean_nothing_are_ignored() {
    let world = world(1);
    let peer = world.websocket("/lab-root");
    for packet in ["0", "5", "6", "3", "0{\"sid\":1}"] {
        peer.sends(packet);
        peer.gets_nothing();
    }
    peer.joins("/", "");
}
