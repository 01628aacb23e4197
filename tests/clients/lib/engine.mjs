// Engine.IO v4 by hand, so that a test can break its rules: a polling session and a WebSocket, packets as they are.
import { connect } from "node:net";
import { WebSocket } from "ws";
import { request } from "./http.mjs";
import { Queue, within } from "./wait.mjs";

/** The packets of a polling body. */
export const packets = (body) => body.split("\x1e");

/** A session over long-polling. */
export class Polling {
  static async open(port, { path = "/socket.io/", query = "", headers = {} } = {}) {
    const session = new Polling();
    Object.assign(session, { port, path, headers });
    session.handshake = await request(port, `${path}?EIO=4&transport=polling${query}`, { headers });
    if (session.handshake.status !== 200) throw new Error(`handshake: ${session.handshake.status} ${session.handshake.body}`);
    session.open = JSON.parse(packets(session.handshake.body)[0].slice(1));
    session.sid = session.open.sid;
    return session;
  }

  get target() {
    return `${this.path}?EIO=4&transport=polling&sid=${this.sid}`;
  }

  get(options = {}) {
    return request(this.port, this.target, { headers: this.headers, ...options });
  }

  post(body, { headers = {}, ...options } = {}) {
    const type = { "content-type": "text/plain;charset=UTF-8" };
    return request(this.port, this.target, { method: "POST", body, headers: { ...type, ...this.headers, ...headers }, ...options });
  }

  /** Polls, answering pings, until a packet arrives that is not one; gives the packets of that body. */
  async poll() {
    for (;;) {
      const answer = await this.get();
      if (answer.status !== 200) throw new Error(`poll: ${answer.status} ${answer.body}`);
      const arrived = packets(answer.body);
      const rest = arrived.filter((packet) => packet !== "2");
      if (rest.length < arrived.length) await this.post("3");
      if (rest.length > 0) return rest;
    }
  }

  /** Joins the root namespace and reads until the fixture's `auth` event has come. */
  async join(connect = "40") {
    await this.post(connect);
    const arrived = [];
    while (arrived.length < 2) arrived.push(...(await this.poll()));
    return arrived;
  }

  /** Whether the server still knows the session; asks by POST, which parks nothing. */
  async lives() {
    return (await this.post("3")).status === 200;
  }

  ws() {
    return Ws.open(this.port, { path: this.path, query: `&sid=${this.sid}` });
  }
}

/** A WebSocket: messages in a queue, and how it was closed. */
export class Ws {
  static async open(port, { path = "/socket.io/", query = "", headers = {}, raw, autoPong = true, ...options } = {}) {
    const url = raw ?? `ws://127.0.0.1:${port}${path}?EIO=4&transport=websocket${query}`;
    const ws = new Ws(new WebSocket(url, { headers, perMessageDeflate: false, autoPong, ...options }));
    await within(`WebSocket to ${url}`, ws.opened);
    return ws;
  }

  /** Opens a session and gives it with its open packet read. */
  static async session(port, options) {
    const ws = await Ws.open(port, options);
    ws.open = JSON.parse((await ws.next()).slice(1));
    return ws;
  }

  /** The same with the root namespace joined and the fixture's `auth` event read. */
  static async joined(port, options) {
    const ws = await Ws.session(port, options);
    ws.send("40");
    ws.connected = await ws.next();
    ws.auth = await ws.next();
    return ws;
  }

  constructor(socket) {
    this.socket = socket;
    this.messages = new Queue();
    this.pings = 0;
    /** Answer Engine.IO pings and keep them out of the queue. */
    this.answersPings = true;
    this.opened = new Promise((resolve, reject) => {
      socket.once("open", resolve);
      socket.once("error", reject);
    });
    this.opened.catch(() => {});
    this.closed = new Promise((resolve) => socket.once("close", (code, reason) => resolve({ code, reason: reason.toString() })));
    socket.on("error", () => {});
    socket.on("message", (data, binary) => {
      const message = binary ? data : data.toString();
      if (message === "2" && this.answersPings) {
        this.pings += 1;
        socket.send("3");
      } else {
        this.messages.push(message);
      }
    });
  }

  send(data) {
    this.socket.send(data);
  }

  next(timeoutMs) {
    const closed = this.closed.then(({ code }) => {
      if (this.messages.length > 0) return this.messages.next();
      throw new Error(`closed with ${code} while a message was expected`);
    });
    closed.catch(() => {});
    return this.messages.length > 0 ? this.messages.next() : Promise.race([this.messages.next("a message", timeoutMs), closed]);
  }

  /** The close code; a close frame without one reads 1005. */
  async close(timeoutMs = 5_000) {
    return (await within("the close", this.closed, timeoutMs)).code;
  }

  get isOpen() {
    return this.socket.readyState === WebSocket.OPEN;
  }

  end() {
    this.socket.terminate();
  }
}

/** Tries an upgrade by hand; gives the HTTP answer, whatever it is. */
export function upgrade(port, path, headers = {}, { method = "GET", key = "dGhlIHNhbXBsZSBub25jZQ==" } = {}) {
  const all = {
    Host: `127.0.0.1:${port}`,
    Connection: "Upgrade",
    Upgrade: "websocket",
    "Sec-WebSocket-Key": key,
    "Sec-WebSocket-Version": "13",
    ...headers,
  };
  const lines = Object.entries(all).flatMap(([name, value]) =>
    value === null ? [] : [value].flat().map((one) => `${name}: ${one}`));
  const answer = new Promise((resolve, reject) => {
    const socket = connect(port, "127.0.0.1", () => socket.write(`${method} ${path} HTTP/1.1\r\n${lines.join("\r\n")}\r\n\r\n`));
    let bytes = Buffer.alloc(0);
    const finish = () => {
      const text = bytes.toString("latin1");
      const head = text.split("\r\n\r\n")[0];
      if (head === "") return reject(new Error("closed without an answer"));
      const body = text.slice(head.length + 4);
      const [, status] = /^HTTP\/1\.1 (\d{3})/.exec(head) ?? [];
      const names = Object.fromEntries(head.split("\r\n").slice(1).map((line) => {
        const at = line.indexOf(":");
        return [line.slice(0, at).toLowerCase(), line.slice(at + 1).trim()];
      }));
      resolve({ status: Number(status), headers: names, body, bytes });
      socket.destroy();
    };
    socket.on("data", (data) => {
      bytes = Buffer.concat([bytes, data]);
      if (bytes.includes("\r\n\r\n") && bytes.toString("latin1").startsWith("HTTP/1.1 101")) finish();
    });
    socket.on("end", finish);
    socket.on("error", reject);
  });
  return within(`upgrade of ${path}`, answer);
}
