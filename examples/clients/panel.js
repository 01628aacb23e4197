// A panel of iot: it joins a system, prints what its devices do, and switches one of them.
//
//   node panel.js [systemId] [deviceId]      s1 and b0b21c12dd94, if nothing is said; then type: on, off, toggle, on 60 (for a minute)
//
// SIOD_URL is where the daemon listens, SIOD_TOKEN who one is: in production a token with the claim systemId.
const { createInterface } = require("node:readline");
const { io } = require("socket.io-client");

const url = process.env.SIOD_URL ?? "http://127.0.0.1:3000";
const token = process.env.SIOD_TOKEN ?? "ana";
const [systemId = "s1", deviceId = "b0b21c12dd94"] = process.argv.slice(2);

const panel = io(`${url}/iot`, { auth: { token } });

// Inside `connect`: after every reconnect the panel is a new socket to the server. What is known comes as it joins.
panel.on("connect", () => {
  console.log("connected");
  panel.emit("join-system", systemId);
});
panel.on("disconnect", (reason) => console.log(`disconnected: ${reason}`));
panel.on("connect_error", ({ message, data }) => {
  console.log(`cannot connect: ${message}`, data === undefined ? "" : JSON.stringify(data));
});
panel.onAny((event, data) => console.log(event, JSON.stringify(data)));

createInterface({ input: process.stdin }).on("line", (line) => {
  const [action, seconds] = line.trim().split(" ");
  const timer = seconds === undefined ? undefined : Number(seconds);
  if (action !== "") panel.emit("control-device", { deviceId, action, timer });
});
