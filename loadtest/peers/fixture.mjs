// The events of siod's lab (src/apps/lab), as a server written with the official library answers them.

export const OPTIONS = {
  path: "/socket.io/",
  pingInterval: 25_000,
  pingTimeout: 20_000,
  maxHttpBufferSize: 1_000_000,
};

export function install(io) {
  io.on("connection", (socket) => {
    socket.emit("auth", socket.handshake.auth ?? {});
    socket.on("echo", (data, ack) => ack?.(data));
    socket.on("bcast", (data) => io.emit("bcast", data));
    socket.on("join", (room, ack) => {
      socket.join(room);
      ack?.();
    });
    socket.on("leave", (room, ack) => {
      socket.leave(room);
      ack?.();
    });
    socket.on("room", (room, data) => io.to(room).emit("room", data));
  });
}
