// A cloud as its public documents describe it: OAuth, all_status, the event socket with commands, and HTTP v2. It has accounts, and they
// have devices. A test says how it misbehaves: `behaves.<call>` answers instead, with `{ status, headers, body, delayMs }`, HANGS or CUTS.
import { createHash } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";
import { createServer as createTlsServer } from "node:https";
import { WebSocketServer } from "ws";
import { mint } from "../jwt.mjs";
import { sleep, until } from "../wait.mjs";
import { decimal, facts, merge } from "./facts.mjs";

export const HANGS = Symbol("it takes the request and never answers");
export const CUTS = Symbol("it takes the request and closes the connection");
/** What a command gets that is answered by a test, or by nobody. */
export const SILENT = Symbol("it does not answer");

const PATH_OF_SOCKET = "/shelly/wss/hk_sock";
const sha1 = (text) => createHash("sha1").update(text).digest("hex");
const now = () => Math.floor(Date.now() / 1_000);
const refuses = (status, body) => ({ status, body });

/** Calls by their paths, under the names by which tests replace them. */
const CALLS = {
  "POST /oauth/login": "login",
  "POST /oauth/auth": "auth",
  "GET /device/all_status": "allStatus",
  "POST /v2/devices/api/get": "v2Get",
  "POST /v2/devices/api/set/switch": "v2Switch",
};

export class Cloud {
  accounts = [];
  /** Requests it has heard: `{ name, method, path, query, fields, authorization, at }`; sockets are there as `socket`. */
  calls = [];
  /** By the name of a call, `socket` among them; `socket` gives a status that refuses, or `{ closesAfterMs }`. */
  behaves = {};
  /** Connections that have asked for a socket, whatever has become of that. */
  #asking = new Set();

  /** `tls` is a key and a certificate; without it, it speaks plainly. */
  static async start({ tls, port = 0 } = {}) {
    const cloud = new Cloud();
    const serve = (incoming, outgoing) => cloud.#serves(incoming, outgoing);
    cloud.server = tls === undefined ? createServer(serve) : createTlsServer(tls, serve);
    cloud.scheme = tls === undefined ? "http" : "https";
    cloud.sockets = new WebSocketServer({ noServer: true });
    cloud.server.on("upgrade", (incoming, socket, head) => cloud.#upgrades(incoming, socket, head));
    cloud.server.on("tlsClientError", () => {});
    cloud.server.listen(port, "127.0.0.1");
    await once(cloud.server, "listening");
    return cloud;
  }

  get port() {
    return this.server.address().port;
  }

  get url() {
    return `${this.scheme}://127.0.0.1:${this.port}`;
  }

  /** Somebody who has an account there. `apiUrl` is where tokens say that it lives. */
  account({ email = "ana@example.com", password = "secreto", authKey = "the auth key", apiUrl = this.url, tokenLifeS = 43_200 } = {}) {
    const account = new Account(email, password, authKey, apiUrl, tokenLifeS);
    this.accounts.push(account);
    return account;
  }

  of(name) {
    return this.calls.filter((call) => call.name === name);
  }

  called(name, times = 1, timeoutMs = 10_000) {
    return until(`${name} is called ${times} times`, () => this.of(name).length >= times, timeoutMs);
  }

  async stop() {
    const closed = once(this.server, "close");
    for (const socket of this.#asking) socket.destroy();
    this.server.close();
    this.server.closeAllConnections();
    await closed;
  }

  async #serves(incoming, outgoing) {
    const chunks = [];
    for await (const chunk of incoming) chunks.push(chunk);
    const call = this.#called(incoming, Buffer.concat(chunks).toString());
    const answer = (await this.behaves[call.name]?.(call)) ?? this.#answers(call);
    if (answer === HANGS) return;
    if (answer === CUTS) return void incoming.socket.destroy();
    if (answer.delayMs) await sleep(answer.delayMs);
    const body = typeof answer.body === "string" ? answer.body : JSON.stringify(answer.body ?? "");
    outgoing.writeHead(answer.status ?? 200, { "content-type": "application/json", ...answer.headers });
    outgoing.end(answer.body === undefined ? "" : body);
  }

  #called(incoming, text = "") {
    const { pathname, searchParams } = new URL(incoming.url, this.url);
    const json = incoming.headers["content-type"]?.includes("json");
    const call = {
      name: CALLS[`${incoming.method} ${pathname}`] ?? (pathname === PATH_OF_SOCKET ? "socket" : "unknown"),
      method: incoming.method,
      path: pathname,
      query: Object.fromEntries(searchParams),
      fields: json ? JSON.parse(text) : Object.fromEntries(new URLSearchParams(text)),
      authorization: incoming.headers.authorization,
      at: Date.now(),
    };
    this.calls.push(call);
    return call;
  }

  #answers(call) {
    switch (call.name) {
      case "login": return this.#login(call.fields);
      case "auth": return this.#authorizes(call.fields);
      case "unknown": return refuses(404, { isok: false, errors: { not_found: "no such path" } });
    }
    const account = this.#whose(call);
    if (account === undefined) return refuses(401, { isok: false, errors: { unauthorized: "The token has ended" } });
    return { status: 200, body: {}, ...account.answers(call) };
  }

  #login({ email, password, client_id }) {
    const account = this.accounts.find((one) => one.email === email && one.password === password);
    if (account === undefined || client_id !== "shelly-diy") {
      return { body: { isok: false, errors: { wrong_credentials: "Wrong user or password" } } };
    }
    return { body: { isok: true, data: { code: account.code() } } };
  }

  #authorizes({ client_id, grant_type, code, refresh_token }) {
    const account = this.accounts.find((one) => (grant_type === "code" ? one.codes.has(code) : one.refreshes.delete(refresh_token)));
    if (account === undefined || client_id !== "shelly-diy") return refuses(400, { error: "invalid_grant" });
    return { body: account.token() };
  }

  #whose({ query, authorization }) {
    const token = authorization?.replace(/^Bearer /, "") ?? query.t;
    return this.accounts.find((one) => one.knows(token) || one.authKey === query.auth_key);
  }

  async #upgrades(incoming, socket, head) {
    this.#asking.add(socket.on("close", () => this.#asking.delete(socket)).on("error", () => {}));
    const call = this.#called(incoming);
    const account = this.#whose(call);
    const behaviour = (await this.behaves.socket?.(call)) ?? {};
    if (behaviour === HANGS) return;
    if (call.name !== "socket" || behaviour.status) {
      return void socket.end(`HTTP/1.1 ${behaviour.status ?? 404} No\r\ncontent-length: 0\r\nconnection: close\r\n\r\n`);
    }
    this.sockets.handleUpgrade(incoming, socket, head, (opened) => {
      // A token that has ended is let in and closed at once.
      const closesAfterMs = account === undefined ? 0 : behaviour.closesAfterMs;
      account?.holds(opened);
      if (closesAfterMs !== undefined) setTimeout(() => opened.close(), closesAfterMs);
    });
  }
}

/** An account, its tokens, its devices and its open sockets. */
class Account {
  codes = new Set();
  refreshes = new Set();
  devices = new Map();
  open = new Set();
  /** Commands it has heard over its sockets, as they came, and the pings. */
  commands = [];
  pings = 0;
  /** A test answers a command: the response's own fields, or SILENT. */
  behaves = () => undefined;
  /** Whether a token comes with one that renews it. */
  renews = true;
  #tokens = new Set();
  #made = 0;

  constructor(email, plain, authKey, apiUrl, tokenLifeS) {
    Object.assign(this, { email, plain, password: sha1(plain), authKey, apiUrl, tokenLifeS });
  }

  /** A device of a model; `id` is hex. It is online and has the status of a real one, or that of the test. */
  adds(id, { model = "plus-plug-s", status = facts(model, id).status, online = true } = {}) {
    const { shelly } = facts(model, id);
    const gen = shelly.gen === undefined ? "G1" : `G${shelly.gen}`;
    const device = { id, cloudId: decimal(id), gen, code: shelly.model ?? shelly.type, status, online, serial: now() };
    this.devices.set(device.cloudId, device);
    return device;
  }

  code() {
    const code = mint({ user: this.email, user_api_url: this.apiUrl, n: ++this.#made });
    this.codes.add(code);
    return code;
  }

  /** What OAuth gives. */
  token() {
    const access_token = mint({ exp: now() + this.tokenLifeS, user: this.email, user_api_url: this.apiUrl, n: ++this.#made });
    this.#tokens.add(access_token);
    if (!this.renews) return { access_token, expires_in: this.tokenLifeS };
    const refresh_token = `refresh ${this.#made}`;
    this.refreshes.add(refresh_token);
    return { access_token, expires_in: this.tokenLifeS, refresh_token };
  }

  knows(token) {
    const [, claims] = this.#tokens.has(token) ? token.split(".") : [];
    return claims !== undefined && JSON.parse(Buffer.from(claims, "base64url")).exp > now();
  }

  /** Everything that was given ends: tokens alone, or codes and refresh tokens as well. */
  ends({ all = false } = {}) {
    this.#tokens.clear();
    if (all) [this.codes, this.refreshes].forEach((given) => given.clear());
  }

  /** Whatever opens something. */
  secrets() {
    return [...this.codes, ...this.refreshes, ...this.#tokens];
  }

  answers({ name, fields }) {
    const found = (id) => [...this.devices.values()].find((device) => device.id === String(id).toLowerCase() || device.cloudId === id);
    if (name === "allStatus") return { body: { isok: true, data: { devices_status: this.#statuses() } } };
    if (name === "v2Get") {
      const known = fields.ids.map(found).filter((device) => device !== undefined);
      return { body: known.map(({ id, code, gen, online, status }) => ({ id, type: "relay", code, gen, online: Number(online), status })) };
    }
    const device = found(fields.id);
    const no = (error, message) => refuses(error === "DEVICE_NOT_FOUND" ? 404 : 400, { error, data: { messages: [message] } });
    if (device === undefined) return no("DEVICE_NOT_FOUND", `no device ${fields.id}`);
    if (!device.online) return no("DEVICE_OFFLINE", "the device is offline");
    if (typeof fields.on !== "boolean") return no("BAD_REQUEST", "on is a boolean");
    if (output(device, fields.channel ?? 0) === undefined) return no("DEVICE_INVALID_CHANNEL", `no channel ${fields.channel}`);
    this.#switches(device, fields.channel ?? 0, fields.on, fields.toggle_after);
    return { headers: { "content-type": "text/plain" }, body: undefined };
  }

  #statuses() {
    const entries = [...this.devices.values()].map(({ id, gen, code, online, status }) => [id, { ...status, _dev_info: { id, gen, code, online } }]);
    return Object.fromEntries(entries);
  }

  holds(socket) {
    this.open.add(socket);
    socket.on("close", () => this.open.delete(socket));
    socket.on("ping", () => (this.pings += 1));
    socket.on("error", () => {});
    socket.on("message", (text) => this.#hears(JSON.parse(text)));
  }

  opened(count = 1, timeoutMs = 10_000) {
    return until(`${this.email} has ${count} sockets`, () => this.open.size === count, timeoutMs);
  }

  /** All its sockets are gone, at once. */
  drops() {
    for (const socket of this.open) socket.terminate();
    this.open.clear();
  }

  /** To every open socket; an object is sent as JSON, text as it is. */
  sends(frame) {
    const text = typeof frame === "string" || Buffer.isBuffer(frame) ? frame : JSON.stringify(frame);
    for (const socket of this.open) socket.send(text);
  }

  /** Its status, or a part of it; `serial` is a later one unless it is given. */
  reports(device, status, { serial = (device.serial += 1) } = {}) {
    merge(device.status, status);
    const { cloudId, code, gen, id } = device;
    this.sends({ event: "Shelly:StatusOnChange", device: { id: cloudId, code, gen }, status: { id, serial, ...status } });
  }

  tells(device, online) {
    device.online = online === 1;
    this.sends({ event: "Shelly:Online", device: { id: device.cloudId }, online });
  }

  #hears(frame) {
    this.commands.push({ ...frame, at: Date.now() });
    const own = this.behaves(frame);
    if (own === SILENT) return;
    const device = this.devices.get(frame.deviceId);
    if (frame.event === "Shelly:CommandRequest") {
      const data = own ?? this.#relay(device, frame.data);
      this.sends({ event: "Shelly:CommandResponse", trid: frame.trid, deviceId: frame.deviceId, data });
    }
    if (frame.event === "Shelly:JrpcRequest") {
      const response = own ?? this.#rpc(device, frame);
      this.sends({ event: "Shelly:JrpcResponse", trid: frame.trid, deviceId: frame.deviceId, response });
    }
  }

  #relay(device, { cmd, params }) {
    if (device === undefined || cmd !== "relay") return { isok: false, errors: { wrong_device: "No such device" } };
    if (!device.online) return { isok: false, errors: { offline: "The device is offline" } };
    const was = output(device, params.id ?? 0);
    this.#switches(device, params.id ?? 0, params.turn === "toggle" ? !was : params.turn === "on");
    return { isok: true, res: `${device.id}/relay/${params.id ?? 0}` };
  }

  #rpc(device, { method, params }) {
    if (device === undefined) return { error: { code: 404, message: "No such device" } };
    if (method === "Switch.GetStatus") return { result: device.status[`switch:${params.id}`] };
    if (method !== "Switch.Set") return { error: { code: 404, message: `No handler for ${method}` } };
    const was_on = output(device, params.id);
    this.#switches(device, params.id, params.on, params.toggle_after);
    return { result: { was_on } };
  }

  /** The device obeys, and its status comes as it always does. */
  #switches(device, channel, on, toggleAfter) {
    Object.assign(device, { toggleAfter });
    const status = device.gen === "G1"
      ? { relays: device.status.relays.map((relay, at) => (at === channel ? { ...relay, ison: on } : relay)) }
      : { [`switch:${channel}`]: { ...device.status[`switch:${channel}`], output: on } };
    setImmediate(() => this.reports(device, status));
  }
}

const output = ({ gen, status }, channel) => (gen === "G1" ? status.relays[channel]?.ison : status[`switch:${channel}`]?.output);
