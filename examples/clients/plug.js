// A smart plug that dials its system, as plugs of the second generation do: it says what it is, obeys, and tells what changes.
//
//   node plug.js /api/shelly/ws/…    the path that POST /iot/api/shelly/outbound-secret has shown; then type: on, off
//
// SIOD_URL is where the daemon listens, PLUG_MAC the plug's address.
const { createInterface } = require("node:readline");
const WebSocket = require("ws");

const [path] = process.argv.slice(2);
const url = (process.env.SIOD_URL ?? "http://127.0.0.1:3000").replace(/^http/, "ws") + path;
const mac = process.env.PLUG_MAC ?? "b0b21c12dd94";
const src = `shellyplusplugs-${mac}`;

const relay = { id: 0, output: false, apower: 0, voltage: 231.2, temperature: { tC: 40 }, aenergy: { total: 1885.832 } };
let socket, timer;

const methods = {
  "Shelly.GetStatus": () => ({ "switch:0": relay, sys: { mac: mac.toUpperCase() } }),
  "Switch.GetStatus": () => relay,
  "Switch.Set": ({ on, toggle_after }) => {
    const was_on = relay.output;
    turn(on);
    // The plug itself keeps the time: it goes off although nobody is there to say so.
    if (toggle_after !== undefined) timer = setTimeout(() => turn(!on), toggle_after * 1000);
    return { was_on };
  },
};

function dial() {
  socket = new WebSocket(url, ["json-rpc"]);
  socket.on("open", () => {
    console.log("connected");
    notify("NotifyFullStatus", methods["Shelly.GetStatus"]());
  });
  socket.on("message", (text) => {
    const { id, src: dst, method, params } = JSON.parse(text);
    if (method === undefined) return;
    console.log(method, JSON.stringify(params ?? {}));
    const run = methods[method];
    const answer = run === undefined ? { error: { code: 404, message: `No handler for ${method}` } } : { result: run(params) };
    socket.send(JSON.stringify({ id, src, dst, ...answer }));
  });
  socket.on("close", () => console.log("disconnected") ?? setTimeout(dial, 5000));
  socket.on("error", ({ message }) => console.log(`cannot connect: ${message}`));
}

function turn(on) {
  clearTimeout(timer);
  Object.assign(relay, { output: on, apower: on ? 42.5 : 0 });
  console.log(on ? "it is on" : "it is off");
  notify("NotifyStatus", { "switch:0": { id: 0, output: relay.output, apower: relay.apower } });
}

function notify(method, params) {
  if (socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify({ src, dst: "ws", method, params: { ts: Date.now() / 1000, ...params } }));
}

dial();
createInterface({ input: process.stdin }).on("line", (line) => {
  if (["on", "off"].includes(line.trim())) turn(line.trim() === "on");
});
