// A daemon of one test, with its clients: what the suites of all applications share.
import { startDaemon } from "./daemon.mjs";
import { request } from "./http.mjs";
import { Clients, Recorder, connected } from "./socketio.mjs";

let running;

/** A daemon that serves one application. */
export class Served {
  clients = new Clients();
  relays = [];

  /** Starts it; [`endRunning`] ends it behind the test. */
  static async start(config, options) {
    const served = new this();
    served.daemon = await startDaemon(config, options);
    running = served;
    return served;
  }

  async end() {
    this.clients.closeAll();
    this.relays.forEach((one) => one.close());
    await this.daemon.stop();
  }

  adminApi(path, method = "GET") {
    return request(this.daemon.adminPort, path, { method });
  }

  health() {
    return request(this.daemon.port, "/health");
  }

  async metric(pattern) {
    const { body } = await this.adminApi("/metrics");
    return body.split("\n").filter((line) => pattern.test(line)).reduce((sum, line) => sum + Number(line.split(" ").at(-1)), 0);
  }

  /** A client of a namespace that has not connected yet, with everything it hears on record. */
  client(namespace, auth, { url = this.daemon.url, ...options } = {}) {
    const socket = this.clients.create(`${url}${namespace}`, { auth, transports: ["websocket"], ...options });
    socket.record = new Recorder(socket);
    return socket;
  }

  /** The same, connected. */
  async connected(namespace, auth, options) {
    const socket = this.client(namespace, auth, options);
    await connected(socket);
    return socket;
  }
}

/** Ends the daemon of the test that was run, if it has one. */
export async function endRunning() {
  const served = running;
  running = undefined;
  await served?.end();
}
