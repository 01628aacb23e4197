// A device of the second generation: it speaks RPC over WebSockets, dialled (with a password by digest) or dialling out, and by HTTP as
// far as clients ask for that. It has the facts of a real model, keeps its own timers, and tells every peer what changes.
import { createHash, randomInt } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";
import { WebSocket, WebSocketServer } from "ws";
import { until } from "../wait.mjs";
import { facts, merge } from "./facts.mjs";

const sha256 = (text) => createHash("sha256").update(text).digest("hex");
const HA2 = sha256("dummy_method:dummy_uri");

/** What a method of a test's own may give in place of an answer. */
export const SILENT = Symbol("it does not answer");

export class Plug {
  /** Requests it has heard, of whatever peer: `{ method, params, src, auth, id }`. */
  calls = [];
  /** Frames that are answers to what it has asked. */
  answers = [];
  /** Methods that a test answers: `(params) => ({ result })`, `({ error })` or SILENT. */
  behaves = {};
  /** With this it is there and hears nothing, pings included. */
  deaf = false;
  /** How many of its challenges were answered wrongly. */
  refused = 0;
  #peers = new Set();
  #timers = new Map();

  /** `nonce` and `nc` say whether a challenge has a number or text there. */
  constructor(mac = "B0B21C12DD94", { model = "plus-plug-s", password, nonce = "number", nc = "number" } = {}) {
    const { shelly, config, status } = facts(model, mac);
    Object.assign(this, { info: shelly, config, status, password, forms: { nonce, nc } });
    if (password !== undefined) Object.assign(this.info, { auth_en: true, auth_domain: this.info.id });
  }

  /** Its name on the wire, such as `shellyplusplugs-b0b21c12dd94`. */
  get id() {
    return this.info.id;
  }

  /** Twelve hex digits, in lower case. */
  get mac() {
    return this.info.mac.toLowerCase();
  }

  get peers() {
    return this.#peers.size;
  }

  /** What was asked of one method. */
  asked(method) {
    return this.calls.filter((call) => call.method === method);
  }

  called(method, times = 1) {
    return until(`${method} is called ${times} times`, () => this.asked(method).length >= times);
  }

  /** Serves `/rpc` and `/shelly`; gives the port. */
  async listens(port = 0) {
    const server = createServer((incoming, outgoing) => this.#serves(incoming, outgoing));
    const sockets = new WebSocketServer({ server, path: "/rpc", autoPong: false });
    sockets.on("connection", (socket) => this.#takes({ socket, guarded: this.password !== undefined, nonce: this.#nonce(), nc: 0 }));
    server.listen(port, "127.0.0.1");
    await once(server, "listening");
    this.server = server;
    return server.address().port;
  }

  /**
   * Dials out, as it is configured to. Its password does not guard this way. Gives the status of the answer: 101, and then it has told
   * everything, or what it was refused with.
   */
  async dialsOut(url, { tellsAll = true } = {}) {
    const socket = new WebSocket(url, ["json-rpc"], { autoPong: false });
    const peer = { socket, guarded: false, src: "ws" };
    // It listens before the answer is there: what comes with it is heard.
    this.#takes(peer);
    const status = await new Promise((resolve, reject) => {
      socket.once("open", () => resolve(101));
      socket.once("unexpected-response", (_, answer) => {
        resolve(answer.statusCode);
        answer.destroy();
      });
      socket.on("error", reject);
    });
    if (status !== 101) this.#peers.delete(peer);
    else if (tellsAll) this.tellsAll();
    return status;
  }

  /** Everything it knows of itself, to all. */
  tellsAll() {
    this.#notify("NotifyFullStatus", this.status);
  }

  /** Something of it changes, and it says what. */
  changes(status) {
    merge(this.status, status);
    this.#notify("NotifyStatus", status);
  }

  /** A button is pushed, a limit is passed. */
  happens(component, event, more = {}) {
    const ts = Date.now() / 1_000;
    this.#notify("NotifyEvent", { events: [{ component, id: Number(component.split(":")[1]), event, ts, ...more }] });
  }

  /** A frame to every peer, whatever it is. */
  sends(frame) {
    const text = typeof frame === "string" ? frame : JSON.stringify(frame);
    for (const { socket } of this.#peers) if (socket.readyState === WebSocket.OPEN) socket.send(text);
  }

  /** All its sockets close, and it can be dialled no more. */
  async ends() {
    for (const timer of this.#timers.values()) clearTimeout(timer);
    this.hangsUp();
    this.server?.close();
    this.server?.closeAllConnections();
  }

  /** All its sockets close. */
  hangsUp() {
    for (const { socket } of this.#peers) socket.terminate();
  }

  #takes(peer) {
    this.#peers.add(peer);
    peer.socket.on("close", () => this.#peers.delete(peer));
    peer.socket.on("ping", (data) => this.deaf || peer.socket.pong(data));
    peer.socket.on("message", (text) => this.deaf || this.#hears(peer, JSON.parse(text)));
  }

  #hears(peer, frame) {
    // Notifications go to those who have said what they are called.
    if (frame.src !== undefined) peer.src = frame.src;
    if (frame.method === undefined) return void this.answers.push(frame);
    this.calls.push(frame);
    const answer = this.#answer(peer, frame);
    if (answer === SILENT) return;
    peer.socket.send(JSON.stringify({ id: frame.id, src: this.id, dst: frame.src, ...answer }));
    if (answer.told) this.changes(answer.told);
  }

  #answer(peer, { method, params = {}, auth }) {
    if (peer.guarded && method !== "Shelly.GetDeviceInfo" && !this.#believes(peer, auth)) return { error: this.#challenge(peer) };
    const own = this.behaves[method]?.(params);
    return own ?? this.#obeys(method, params);
  }

  #obeys(method, params) {
    switch (method) {
      case "Shelly.GetDeviceInfo": return { result: this.info };
      case "Shelly.GetConfig": return { result: this.config };
      case "Shelly.GetStatus": return { result: this.status };
      case "Shelly.GetComponents": return { result: { components: [], cfg_rev: 1, offset: 0, total: 0 } };
    }
    const component = this.status[`switch:${params.id}`];
    if (method.startsWith("Switch.") && component === undefined) {
      return { error: { code: -105, message: `Argument 'id', value ${params.id} not found!` } };
    }
    switch (method) {
      case "Switch.GetStatus": return { result: component };
      case "Switch.Set": return this.#switches(params.id, params.on, params.toggle_after);
      case "Switch.Toggle": return this.#switches(params.id, !component.output);
    }
    return { error: { code: 404, message: `No handler for ${method}` } };
  }

  /** `told` is what peers hear behind the answer. */
  #switches(id, on, toggleAfter) {
    const name = `switch:${id}`;
    const was_on = this.status[name].output;
    this.status[name].output = on;
    clearTimeout(this.#timers.get(id));
    if (toggleAfter !== undefined) {
      this.#timers.set(id, setTimeout(() => this.changes({ [name]: { id, output: !on, source: "timer" } }), toggleAfter * 1_000));
    }
    return { result: { was_on }, told: was_on === on ? undefined : { [name]: { id, output: on, source: "WS_in" } } };
  }

  #notify(method, params) {
    const ts = Date.now() / 1_000;
    for (const { socket, src } of this.#peers) {
      if (src === undefined || socket.readyState !== WebSocket.OPEN) continue;
      socket.send(JSON.stringify({ src: this.id, dst: src, method, params: { ts, ...params } }));
    }
  }

  #nonce() {
    const nonce = randomInt(1_000_000_000, 2_000_000_000);
    return this.forms.nonce === "number" ? nonce : String(nonce);
  }

  #challenge(peer) {
    const nc = this.forms.nc === "number" ? 1 : "1";
    const message = JSON.stringify({ auth_type: "digest", nonce: peer.nonce, nc, realm: this.id, algorithm: "SHA-256" });
    return { code: 401, message };
  }

  /** The nonce comes back as it went, of the same type; nc rises. */
  #believes(peer, auth) {
    if (auth === undefined) return false;
    const { realm, username, nonce, nc, cnonce, response, algorithm } = auth;
    const ha1 = sha256(`admin:${this.id}:${this.password}`);
    const right = realm === this.id && username === "admin" && nonce === peer.nonce && algorithm === "SHA-256" && Number(nc) > peer.nc
      && response === sha256(`${ha1}:${nonce}:${nc}:${cnonce}:auth:${HA2}`);
    if (right) peer.nc = Number(nc);
    else this.refused += 1;
    return right;
  }

  #serves(incoming, outgoing) {
    const known = new URL(incoming.url, "http://device").pathname === "/shelly";
    outgoing.writeHead(known ? 200 : 404, { "content-type": "application/json" });
    outgoing.end(known ? JSON.stringify(this.info) : "");
  }
}
