// The official client, with promises where a test waits.
import { io } from "socket.io-client";
import { within } from "./wait.mjs";

/** The three ways a client gets its connection. */
export const TRANSPORTS = {
  "polling only": { transports: ["polling"] },
  "WebSocket only": { transports: ["websocket"] },
  "polling, then upgraded": { transports: ["polling", "websocket"] },
};

/** Clients of one suite, closed together at its end. */
export class Clients {
  #open = [];

  /** A client that has not connected yet. */
  create(url, options = {}) {
    const socket = io(url, { forceNew: true, reconnection: false, timeout: 5_000, ...options });
    this.#open.push(socket);
    return socket;
  }

  async connected(url, options) {
    const socket = this.create(url, options);
    await connected(socket);
    return socket;
  }

  closeAll() {
    for (const socket of this.#open.splice(0)) socket.disconnect().io.engine?.close();
  }
}

/** Waits until a client is connected; a refusal is an error. */
export function connected(socket, timeoutMs) {
  if (socket.connected) return socket;
  const done = new Promise((resolve, reject) => {
    socket.once("connect", resolve);
    socket.once("connect_error", reject);
  });
  return within("connect", done, timeoutMs);
}

/** The refusal of a client that is not let in. */
export function refusal(socket) {
  const done = new Promise((resolve, reject) => {
    socket.once("connect_error", resolve);
    socket.once("connect", () => reject(new Error("it was let in")));
  });
  return within("connect_error", done);
}

/** The arguments of the next such event. */
export const once = (socket, event, timeoutMs) =>
  within(event, new Promise((resolve) => socket.once(event, (...args) => resolve(args))), timeoutMs);

/** Records every event of a client from now on: `of(name)` are those of one name, `next(name, matches)` waits for one. */
export class Recorder {
  constructor(socket) {
    this.events = [];
    this.waiting = new Set();
    socket.onAny((name, ...args) => {
      this.events.push({ name, args, at: Date.now() });
      for (const check of this.waiting) check();
    });
  }

  of(name, matches = () => true) {
    return this.events.filter((event) => event.name === name && matches(...event.args)).map(({ args }) => args[0]);
  }

  /** The first such event, arrived or yet to come; it is taken out of the record. */
  next(name, matches = () => true, timeoutMs = 5_000) {
    let check;
    const found = new Promise((resolve) => {
      check = () => {
        const index = this.events.findIndex((event) => event.name === name && matches(...event.args));
        if (index >= 0) resolve(this.events.splice(index, 1)[0].args[0]);
        return index >= 0;
      };
      if (!check()) this.waiting.add(check);
    });
    return within(`${name}; arrived: ${this.events.map((event) => event.name).slice(-12)}`, found, timeoutMs)
      .finally(() => this.waiting.delete(check));
  }
}
