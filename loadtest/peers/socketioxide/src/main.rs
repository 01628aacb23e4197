//! socketioxide on axum, with the events of siod's lab (`src/apps/lab`). One argument: the port on 127.0.0.1.

use axum::serve::ListenerExt;
use serde_json::Value;
use socketioxide::SocketIo;
use socketioxide::extract::{AckSender, Data, SocketRef};
use std::net::SocketAddr;
use std::time::Duration;

/// Connections that wait to be accepted.
const BACKLOG: u32 = 4_096;

// One thread, as it gets one core; and handlers run in the order of their events.
#[tokio::main(flavor = "current_thread")]
async fn main() {
    let port = std::env::args().nth(1).and_then(|text| text.parse().ok()).expect("one argument: the port");
    let (layer, io) = SocketIo::builder()
        .ping_interval(Duration::from_secs(25))
        .ping_timeout(Duration::from_secs(20))
        .max_payload(1_000_000)
        .build_layer();
    io.ns("/", on_connect);

    let socket = tokio::net::TcpSocket::new_v4().expect("sockets can be opened");
    socket.set_reuseaddr(true).expect("an option every kernel has");
    socket.bind(SocketAddr::from(([127, 0, 0, 1], port))).expect("the port is free");
    // Without it, a frame waits for the acknowledgement of the one before.
    let listener = socket.listen(BACKLOG).expect("it is bound").tap_io(|stream| drop(stream.set_nodelay(true)));
    axum::serve(listener, axum::Router::new().layer(layer)).await.expect("it serves until it is ended");
}

async fn on_connect(socket: SocketRef, Data(auth): Data<Value>) {
    // What cannot be sent goes to a client that is gone.
    let _ = socket.emit("auth", &auth);
    socket.on("echo", async |Data::<Value>(data), ack: AckSender| drop(ack.send(&data)));
    socket.on("bcast", async |io: SocketIo, Data::<Value>(data)| drop(io.emit("bcast", &data).await));
    socket.on("join", async |socket: SocketRef, Data::<String>(room), ack: AckSender| {
        socket.join(room);
        drop(ack.send(&()));
    });
    socket.on("leave", async |socket: SocketRef, Data::<String>(room), ack: AckSender| {
        socket.leave(room);
        drop(ack.send(&()));
    });
    socket.on("room", async |io: SocketIo, Data::<(String, Value)>((room, data))| {
        drop(io.to(room).emit("room", &data).await);
    });
}
