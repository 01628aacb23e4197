// A device of the first generation, which is asked by HTTP: `/shelly`, `/settings`, `/status`, `/relay/0?turn=on&timer=5`.
import { once } from "node:events";
import { createServer } from "node:http";
import { facts } from "./facts.mjs";

export class Gen1 {
  /** Paths it was asked for, as they came. */
  calls = [];

  constructor(mac = "AABBCC112233", { password } = {}) {
    const { shelly, settings, status } = facts("plug-s", mac);
    Object.assign(this, { shelly, settings, status, password });
    this.shelly.auth = password !== undefined;
  }

  /** Serves; gives the port. */
  async listens(port = 0) {
    this.server = createServer((incoming, outgoing) => this.#serves(incoming, outgoing)).listen(port, "127.0.0.1");
    await once(this.server, "listening");
    return this.server.address().port;
  }

  async ends() {
    clearTimeout(this.timer);
    this.server.close();
    this.server.closeAllConnections();
  }

  #serves(incoming, outgoing) {
    // Through a proxy the whole URL comes.
    const { pathname, searchParams } = new URL(incoming.url, "http://device");
    this.calls.push(pathname + (searchParams.size > 0 ? `?${searchParams}` : ""));
    const open = this.password === undefined || pathname === "/shelly";
    const basic = `Basic ${Buffer.from(`admin:${this.password}`).toString("base64")}`;
    if (!open && incoming.headers.authorization !== basic) {
      outgoing.writeHead(401, { "www-authenticate": 'Basic realm="Shelly"' });
      return void outgoing.end("401 Unauthorized");
    }
    const answer = this.#answer(pathname, searchParams);
    outgoing.writeHead(answer === undefined ? 404 : 200, { "content-type": "application/json" });
    outgoing.end(answer === undefined ? "Not Found" : JSON.stringify(answer));
  }

  #answer(path, query) {
    const [relay] = this.status.relays;
    switch (path) {
      case "/shelly": return this.shelly;
      case "/settings": return this.settings;
      case "/status": return this.status;
      case "/meter/0": return this.status.meters[0];
      case "/relay/0":
        if (query.has("turn")) this.#turns(query.get("turn"), Number(query.get("timer") ?? 0));
        return relay;
    }
  }

  #turns(turn, timerS) {
    const [relay] = this.status.relays;
    relay.ison = turn === "toggle" ? !relay.ison : turn === "on";
    clearTimeout(this.timer);
    Object.assign(relay, { has_timer: timerS > 0, timer_duration: timerS });
    if (timerS > 0) this.timer = setTimeout(() => Object.assign(relay, { ison: !relay.ison, has_timer: false }), timerS * 1_000);
  }
}
