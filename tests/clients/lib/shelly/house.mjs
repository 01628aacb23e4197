// A daemon that serves iot, with a cloud of its own to dial: what the suites of iot share.
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { iot } from "../config.mjs";
import { request } from "../http.mjs";
import { mint } from "../jwt.mjs";
import { Served } from "../served.mjs";
import { until } from "../wait.mjs";
import { Cloud } from "./cloud.mjs";

export const KEY = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
/** A plug of the cloud: its address, and the cloud's own id of it. */
export const HEX = "b0b21c12dd94";
export const DECIMAL = "194279021665684";

/** Who somebody is: an admin of `s1`, unless claims say otherwise. */
export const token = (claims = {}) => mint({ sub: "ana", role: "admin", systemId: "s1", ...claims });

const toml = (settings) => Object.entries(settings).map(([key, value]) => `${key} = ${JSON.stringify(value)}`).join("\n");

export class House extends Served {
  devices = [];

  /** `settings` are those of `[apps.iot]`, beside the ones that make waits short and let the cloud of the tests be dialled. */
  static async start({ settings = {}, config = (text) => text, ...options } = {}) {
    const cloud = await Cloud.start();
    const all = {
      cloud_login_url: cloud.url,
      cloud_hosts: ["127.0.0.1"],
      cloud_ws_port: cloud.port,
      allow_insecure_upstream: true,
      lan_networks: ["127.0.0.0/8"],
      http_interval_ms: 10,
      reconnect_delay_ms: 50,
      reconnect_delay_max_ms: 400,
      command_timeout_ms: 500,
      rpc_timeout_ms: 700,
      encryption_key: KEY,
      ...settings,
    };
    // What is undefined is not set at all.
    const text = iot({ settings: toml(JSON.parse(JSON.stringify(all))), ...options });
    try {
      const configured = (daemon) => config(text(daemon));
      return Object.assign(await super.start(configured), { cloud, configured });
    } catch (error) {
      await cloud.stop();
      throw error;
    }
  }

  async end() {
    for (const device of this.devices) await device.ends();
    await this.cloud?.stop();
    await super.end();
  }

  /** Starts again, as it is configured now. */
  async restartConfigured() {
    writeFileSync(join(this.daemon.dir, "siod.toml"), this.configured(this.daemon));
    await this.daemon.restart();
  }

  /** A browser that has not joined. */
  socket(claims, options = {}) {
    return this.connected("", { token: token(claims) }, options);
  }

  /** A browser of a system that has heard of everything that is known; none of that is on its record. */
  async browser(claims = {}, options) {
    const socket = await this.socket(claims, options);
    socket.emit("join-system", claims.systemId ?? "s1");
    await settled(socket);
    socket.record.events.length = 0;
    return socket;
  }

  async ask(method, path, body, { claims = {}, bearer = token(claims), headers = {} } = {}) {
    const all = { ...headers };
    if (bearer) all.authorization = `Bearer ${bearer}`;
    if (body !== undefined) all["content-type"] = "application/json";
    const text = typeof body === "string" ? body : JSON.stringify(body);
    const answer = await request(this.daemon.port, path, { method, headers: all, body: body === undefined ? undefined : text });
    return { status: answer.status, headers: answer.headers, body: answer.body ? answer.json() : null };
  }

  /** What is asked for and has to be given. */
  async get(method, path, body, options) {
    const answer = await this.ask(method, path, body, options);
    assert.ok(answer.status < 300, `${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
    return answer.body;
  }

  /** Status, code and text of what is refused. */
  async refused(method, path, body, options) {
    const { status, body: said } = await this.ask(method, path, body, options);
    return [status, said.code, said.error];
  }

  /** Connects an account of the cloud: its credential's id. Its socket is open by then. */
  async connects(account, { name = "Clínica", claims } = {}) {
    const form = { name, email: account.email, password: account.plain };
    const { credentialId } = await this.get("POST", "/api/shelly/connect", form, { claims });
    await account.opened();
    return credentialId;
  }

  /** The connection of a credential. */
  async connectionOf(credentialId, claims) {
    const { data } = await this.get("GET", "/api/websocket/connections?limit=100", undefined, { claims });
    return data.connections.find(({ referenceId }) => referenceId === credentialId);
  }

  /** Rows of the devices of a system. */
  async rows(claims) {
    return (await this.get("GET", "/api/internal/smart-plug-devices?page=1&pageSize=100", undefined, { claims })).data;
  }

  async row(id, claims) {
    return (await this.rows(claims)).find((row) => row.deviceId === id || row.id === id);
  }

  /** Waits until a device's row is as it should be. */
  rowIs(id, matches, claims) {
    return until(`the row of ${id} is right`, async () => {
      const row = await this.row(id, claims);
      return row !== undefined && matches(row) && row;
    });
  }

  /** An account with one plug, connected and made rows of: `{ account, device, credentialId, connectionId, row }`. */
  async plugged({ id = HEX, claims = {}, model, ...options } = {}) {
    const account = this.cloud.account(options);
    const device = account.adds(id, { model });
    const credentialId = await this.connects(account, { claims });
    await this.get("POST", `/api/shelly/sync/${credentialId}`, undefined, { claims });
    const { id: connectionId } = await this.connectionOf(credentialId, claims);
    const row = await this.rowIs(id, ({ online }) => online, claims);
    return { account, device, credentialId, connectionId, row };
  }

  act(connectionId, action, options) {
    return this.ask("POST", `/api/websocket/${connectionId}/${action}`, undefined, options);
  }

  /** Log rows, the newest first. */
  async logs(query = "", claims) {
    return (await this.get("GET", `/api/websocket/logs?limit=1000${query}`, undefined, { claims })).data.logs;
  }

  async audit(query = "", claims) {
    return (await this.get("GET", `/api/internal/audit?limit=100${query}`, undefined, { claims })).data.entries;
  }

  /** Where the devices of a system dial: `{ secret, path }`. */
  async secretPath(claims) {
    return (await this.get("POST", "/api/shelly/outbound-secret", undefined, { claims })).data;
  }

  wsUrl(path) {
    return `ws://127.0.0.1:${this.daemon.port}${path}`;
  }

  /** A device that ends with the test. */
  has(device) {
    this.devices.push(device);
    return device;
  }
}

/** The ack of an event. */
export const ask = (socket, event, payload) => socket.timeout(10_000).emitWithAck(event, payload);

/** Everything that is under way has been said by when this is answered, and a moment later it is heard. */
export const settled = (socket) => ask(socket, "test-message");
