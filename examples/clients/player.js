// A player of signage: it registers, obeys commands, and reports its state.
//
//   node player.js [deviceId]        p1, if nothing is said
//
// SIOD_URL is where the daemon listens, SIOD_TOKEN the device's token (`siod device issue p1` gives one).
const { io } = require("socket.io-client");

const url = process.env.SIOD_URL ?? "http://127.0.0.1:3000";
const authToken = process.env.SIOD_TOKEN ?? "player_token";
const deviceId = process.argv[2] ?? "p1";

const vlc = { state: "stopped", time: 0 };
const commands = {
  "vlc:play": () => (vlc.state = "playing"),
  "vlc:pause": () => (vlc.state = vlc.state === "paused" ? "playing" : "paused"),
  "vlc:stop": () => Object.assign(vlc, { state: "stopped", time: 0 }),
};

const player = io(`${url}/signage`, { auth: { deviceId, authToken } });

// Inside `connect`: after every reconnect the player is a new socket to the server, which knows nothing of the one before.
player.on("connect", () => {
  console.log("connected");
  player.emit("player:register", { deviceId, deviceName: "Lobby", deviceType: "player", deviceGroup: "g1", appVersion: "1.2" });
  report();
});
player.on("player:registered", (answer) => console.log("player:registered", JSON.stringify(answer)));
player.on("player:request:state", report);
player.on("player:replaced", () => {
  console.log(`another player has registered as ${deviceId}`);
  process.exit(1);
});
player.on("player:error", (error) => console.log("player:error", JSON.stringify(error)));

player.on("player:command", ({ command, commandId }) => {
  console.log("player:command", command);
  const run = commands[command];
  if (run === undefined) {
    player.emit("player:command:response", { commandId, status: "error", message: `this player has no ${command}` });
    return;
  }
  run();
  player.emit("player:command:response", { commandId, status: "success", result: { state: vlc.state } });
  report();
});

player.on("disconnect", (reason) => {
  console.log(`disconnected: ${reason}`);
  retryUnlessActive();
});
player.on("connect_error", ({ message, data }) => {
  console.log(`cannot connect: ${message}`, data === undefined ? "" : JSON.stringify(data));
  retryUnlessActive();
});

// The client comes back by itself after a broken connection. After a refusal, or where the server has ended the socket since the
// token was revoked, it does not.
function retryUnlessActive() {
  if (!player.active) setTimeout(() => player.connect(), 5000);
}

function report() {
  player.emit("player:state", { timestamp: new Date().toISOString(), vlc });
}

setInterval(() => {
  if (vlc.state !== "playing" || !player.connected) return;
  vlc.time += 5;
  report();
}, 5000);
