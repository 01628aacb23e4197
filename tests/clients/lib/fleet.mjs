// A daemon that serves signage, with its clients: what suites about players and operators share.
import assert from "node:assert/strict";
import { signage } from "./config.mjs";
import { mint } from "./jwt.mjs";
import { Served } from "./served.mjs";
import { connected } from "./socketio.mjs";

export { endRunning } from "./served.mjs";

export const SETTINGS = "state_interval_ms = 100\noffline_alert_after_ms = 300";

/** A daemon of one test with its clients. */
export class Fleet extends Served {
  static start(settings = SETTINGS, options = {}) {
    return super.start(signage({ settings, ...options }));
  }

  /** A token of the device's own, from the admin API. */
  async token(deviceId) {
    const answer = await this.adminApi(`/signage/devices/${deviceId}/issue`, "POST");
    assert.equal(answer.status, 200, answer.body);
    return answer.json().token;
  }

  socket(auth, options) {
    return this.client("/signage", auth, options);
  }

  /** An operator of some kind: admin unless `claims` say otherwise. */
  async admin(claims = {}, options) {
    const { sub = "ana", role = "admin" } = claims;
    const socket = this.socket({ token: mint({ ...claims, sub, role }) }, options);
    await connected(socket);
    return socket;
  }

  /** A player with its own token, connected and not yet registered. */
  async player(deviceId, { authToken, ...options } = {}) {
    const socket = this.socket({ deviceId, authToken: authToken ?? (await this.token(deviceId)) }, options);
    await connected(socket);
    return socket;
  }

  /** The same, registered. */
  async registered(deviceId, { deviceGroup = "g1", ...options } = {}) {
    const socket = await this.player(deviceId, options);
    await register(socket, deviceId, deviceGroup);
    return socket;
  }
}

export async function register(socket, deviceId, deviceGroup = "g1") {
  socket.emit("player:register", { deviceId, deviceName: "Lobby", deviceType: "player", deviceGroup, appVersion: "1.2" });
  return socket.record.next("player:registered");
}

/** Lets a player answer every command with `result`, as the reference client does. */
export function obeys(socket, result = { ok: 1 }) {
  socket.on("player:command", ({ commandId }) => socket.emit("player:command:response", { commandId, status: "success", result }));
}

export const of = (deviceId) => (data) => data.deviceId === deviceId;

/** Whatever was on its way through the fleet's home has arrived: both sides have been answered after it. */
export async function settled(player, admin) {
  for (const socket of [admin, player, admin]) {
    const answer = await socket.timeout(5_000).emitWithAck("an event that is in no table");
    assert.equal(answer.error.code, "UNKNOWN_EVENT");
  }
}
