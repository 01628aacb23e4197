// HTTP as the tests need it: one request on a connection of its own, and bytes as they are.
import { request as httpRequest } from "node:http";
import { connect } from "node:net";
import { within } from "./wait.mjs";

/** One request; `{ status, headers, body, json() }`. `aborted` in `options` may end it early. */
export function request(port, path, { method = "GET", headers = {}, body, signal, host = "127.0.0.1" } = {}) {
  const answer = new Promise((resolve, reject) => {
    const outgoing = httpRequest({ host, port, path, method, headers, agent: false, signal }, (incoming) => {
      const chunks = [];
      incoming.on("data", (chunk) => chunks.push(chunk));
      incoming.on("error", reject);
      incoming.on("end", () => {
        const bytes = Buffer.concat(chunks);
        const text = bytes.toString();
        resolve({ status: incoming.statusCode, headers: incoming.headers, bytes, body: text, json: () => JSON.parse(text) });
      });
    });
    outgoing.on("error", reject);
    outgoing.end(body);
  });
  return within(`${method} ${path}`, answer, 10_000);
}

/** Sends bytes on a fresh TCP connection and gives all that comes back until the other side closes, or until `quietMs` pass. */
export function raw(port, bytes, { quietMs = 1_000 } = {}) {
  return new Promise((resolve, reject) => {
    const socket = connect(port, "127.0.0.1");
    let text = "";
    let quiet = setTimeout(done, quietMs, false);
    function done(closed) {
      clearTimeout(quiet);
      socket.destroy();
      resolve({ text, closed, statuses: [...text.matchAll(/HTTP\/1\.[01] (\d{3})/g)].map(([, status]) => Number(status)) });
    }
    socket.on("connect", () => socket.write(bytes));
    socket.on("data", (data) => {
      text += data.toString("latin1");
      clearTimeout(quiet);
      quiet = setTimeout(done, quietMs, false);
    });
    socket.on("end", () => done(true));
    socket.on("error", (error) => (["ECONNRESET", "EPIPE"].includes(error.code) ? done(true) : reject(error)));
  });
}
