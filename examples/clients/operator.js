// An operator of signage: it prints what it is told, and sends the commands that are typed to one player.
//
//   node operator.js [deviceId]      p1, if nothing is said; then type: vlc:play, vlc:pause, vlc:stop, list
//
// SIOD_URL is where the daemon listens, SIOD_TOKEN who one is (`siod token --sub ana --role admin` mints one).
const { createInterface } = require("node:readline");
const { io } = require("socket.io-client");

const url = process.env.SIOD_URL ?? "http://127.0.0.1:3000";
const token = process.env.SIOD_TOKEN ?? "ana";
const deviceId = process.argv[2] ?? "p1";

const operator = io(`${url}/signage`, { auth: { token } });

operator.on("connect", () => console.log("connected"));
operator.on("disconnect", (reason) => console.log(`disconnected: ${reason}`));
operator.on("connect_error", ({ message, data }) => {
  console.log(`cannot connect: ${message}`, data === undefined ? "" : JSON.stringify(data));
});
operator.onAny((event, data) => {
  // Every five seconds, and the same mostly.
  if (event !== "devices:stats") console.log(event, JSON.stringify(data));
});

createInterface({ input: process.stdin }).on("line", (line) => {
  const command = line.trim();
  if (command === "list") operator.emit("devices:list");
  else if (command !== "") operator.emit("player:command", { deviceId, command });
});
