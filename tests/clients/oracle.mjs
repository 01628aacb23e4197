// The conformance fixture on the official server: the reference against which the tests themselves are checked.
// It is the fixture of DESIGN 6, with the events that `lab` adds. Usage: node oracle.mjs HOST:PORT
import { createServer } from "node:http";
import { createReadStream } from "node:fs";
import { fileURLToPath } from "node:url";
import { dirname, join } from "node:path";
import { Server as Engine } from "engine.io";
import { Server } from "socket.io";
import { WebSocketServer } from "ws";

const [host, port] = process.argv[2].split(":");
const timing = { pingInterval: 300, pingTimeout: 200, maxHttpBufferSize: 1_000_000, cors: { origin: "*" } };
const server = createServer(page);

const engine = new Engine(timing);
engine.on("connection", (socket) => socket.on("data", (data) => socket.send(data)));

const io = new Server(server, { ...timing, connectTimeout: 1_000 });
io.on("connection", (socket) => {
  socket.emit("auth", socket.handshake.auth);
  socket.on("message", (...args) => socket.emit("message-back", ...args));
  socket.on("message-with-ack", (...args) => args.pop()(...args));
  socket.on("echo", (...args) => args.pop()(...args));
  socket.on("bcast", (arg) => io.emit("bcast", arg));
  socket.on("join", (room, ack) => { socket.join(room); ack(); });
  socket.on("leave", (room, ack) => { socket.leave(room); ack(); });
  socket.on("room", (room, arg) => io.to(room).emit("room", arg));
});
io.of("/custom").on("connection", (socket) => socket.emit("auth", socket.handshake.auth));

const echo = new WebSocketServer({ noServer: true, maxPayload: 16 * 1024 * 1024, perMessageDeflate: false });
echo.on("connection", (socket) => {
  socket.on("error", () => {});
  socket.on("message", (data, binary) => socket.send(data, { binary }));
});

server.on("upgrade", (request, socket, head) => {
  if (request.url.startsWith("/engine.io/")) engine.handleUpgrade(request, socket, head);
  else if (request.url === "/echo") echo.handleUpgrade(request, socket, head, (ws) => echo.emit("connection", ws));
});
server.listen(Number(port), host);

// The daemon's page and raw Engine.IO, which the Socket.IO server leaves to this listener.
function page(request, response) {
  const url = request.url.split("?")[0];
  if (url.startsWith("/engine.io/")) return engine.handleRequest(request, response);
  const files = {
    "/": ["page.html", "text/html; charset=utf-8"],
    "/_siod/page.css": ["page.css", "text/css; charset=utf-8"],
    "/_siod/page.js": ["page.js", "text/javascript; charset=utf-8"],
    "/_siod/icon.svg": ["icon.svg", "image/svg+xml"],
  };
  const file = files[url];
  if (file) {
    const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'";
    response.writeHead(200, { "content-type": file[1], "content-security-policy": policy });
    return createReadStream(join(dirname(fileURLToPath(import.meta.url)), "../../src/api/page", file[0])).pipe(response);
  }
  if (url === "/_siod/served.json") {
    const applications = [{ name: "lab", namespaces: ["/custom"] }, { name: "signage", namespaces: ["/signage"] }];
    const listeners = [{ bind: process.argv[2], root: "lab", paths: ["/socket.io/", "/api/socket"] }];
    return response.end(JSON.stringify({ applications, listeners, auth_mode: "dev", version: "0.1.0" }));
  }
  if (url === "/health/ready") return response.end('{"status":"ok"}');
  response.writeHead(404).end();
}
