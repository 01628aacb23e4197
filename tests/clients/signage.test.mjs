// Digital signage, in ten scenarios that players and people rely on, with the official client, signed tokens and SQLite.
import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { afterEach, describe, test } from "node:test";
import { daemonOnly } from "./lib/daemon.mjs";
import { Fleet, SETTINGS, endRunning, obeys, of, register, settled } from "./lib/fleet.mjs";
import { request } from "./lib/http.mjs";
import { mint } from "./lib/jwt.mjs";
import { relay } from "./lib/relay.mjs";
import { Recorder, connected, once, refusal } from "./lib/socketio.mjs";
import { sleep, until } from "./lib/wait.mjs";

const STATE = {
  timestamp: "2025-08-20T10:00:00.000Z",
  system: { cpu: 12.5, uptime: 100, network: { localIP: "10.0.0.4" } },
  storage: { free: 1000 },
  vlc: { state: "playing", time: 30, volume: 256 },
  app: { name: "player", version: "1.2" },
  activePlaylist: { name: "morning" },
  defaultPlaylist: {},
  snapshot: {},
};
const PNG = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);

afterEach(endRunning);

describe("signage", { skip: daemonOnly }, () => {
  test("1. register", async () => {
    const fleet = await Fleet.start();
    const admin = await fleet.admin();
    assert.ok(Array.isArray((await admin.record.next("devices:list")).devices));
    const p1 = await fleet.player("p1");
    const registered = await register(p1, "p1");
    assert.equal(registered.deviceId, "p1");
    assert.equal(registered.status, "registered");
    assert.equal(registered.socketId, p1.id);
    assert.ok(!Number.isNaN(Date.parse(registered.serverTime)));
    assert.equal(registered.pendingCommands, 0);
    assert.equal(typeof registered.config.commandTimeoutMs, "number");
    const seen = await admin.record.next("device:connected", of("p1"));
    assert.equal(seen.deviceName, "Lobby");
    assert.equal(seen.deviceGroup, "g1");

    // The other way to say who one is, on the root namespace, as the older client does.
    const token = await fleet.token("p2");
    const query = { deviceId: "p2", deviceName: "Door", deviceType: "player", deviceGroup: "g2", appVersion: "1.1" };
    const p2 = fleet.clients.create(fleet.daemon.url, { auth: { token }, query });
    p2.record = new Recorder(p2);
    await connected(p2);
    assert.equal((await register(p2, "p2", "g2")).deviceId, "p2");
    await admin.record.next("device:connected", of("p2"));
    const { devices } = (await fleet.adminApi("/signage/devices")).json();
    assert.deepEqual(devices.map(({ deviceId, online }) => [deviceId, online]), [["p1", true], ["p2", true]]);
  });

  test("2. unauthorised", async () => {
    const fleet = await Fleet.start();
    const good = await fleet.token("p1");
    const before = await fleet.metric(/^sg_auth_failures_total/);
    const wrong = () => refusal(fleet.socket({ deviceId: "p1", authToken: "wrong" }));
    assert.equal((await wrong()).message, "Device not authorized");
    assert.equal(await fleet.metric(/^sg_auth_failures_total/), before + 1);
    const { failures } = (await fleet.adminApi("/signage/failures")).json();
    assert.equal(failures[0].deviceId, "p1");
    assert.equal(failures[0].ip, "127.0.0.1");
    await until("the log names device and reason", () => /an attempt was refused.*"device":"p1".*"reason":"unknown_token"/.test(fleet.daemon.log));

    const p1 = await fleet.player("p1", { authToken: good });
    p1.emit("player:register", { deviceId: "p2" });
    assert.equal((await p1.record.next("player:error")).code, "DEVICE_ID_MISMATCH");

    for (let count = 0; count < 12; count++) await wrong();
    assert.ok((await fleet.metric(/^sg_auth_failures_total\{.*reason="throttled"/)) >= 1, "attempts are throttled");
    const again = await fleet.player("p1", { authToken: good });
    assert.ok(again.connected, "a good token from the same address is admitted");
    assert.equal((await refusal(fleet.socket({}))).message, "Device not authorized", "no token at all");
  });

  test("2. a device that nobody knows waits until it is accepted, and is put out when revoked", async () => {
    const fleet = await Fleet.start();
    const admin = await fleet.admin();
    assert.equal((await refusal(fleet.socket({ deviceId: "new", authToken: "mine" }))).message, "Device not authorized");
    assert.equal((await fleet.adminApi("/signage/devices/new/authorize", "POST")).status, 200);
    const device = await fleet.registered("new", { authToken: "mine" });
    await admin.record.next("device:connected", of("new"));
    const left = once(device, "disconnect");
    assert.equal((await fleet.adminApi("/signage/devices/new/revoke", "POST")).status, 200);
    await left;
    assert.equal((await refusal(fleet.socket({ deviceId: "new", authToken: "mine" }))).message, "Device not authorized");
    assert.equal((await fleet.adminApi("/signage/devices/unheard-of/revoke", "POST")).status, 404);
  });

  test("3. state, full and then by differences", async () => {
    const fleet = await Fleet.start();
    const admin = await fleet.admin();
    const p1 = await fleet.registered("p1");
    p1.emit("player:state", STATE);
    const full = await admin.record.next("state:updated", of("p1"));
    assert.equal(full.full, true);
    assert.equal(full.state.vlc.state, "playing");
    assert.equal(full.online, true);

    p1.emit("player:state", { ...STATE, timestamp: "2025-08-20T10:00:01.000Z", vlc: { ...STATE.vlc, time: 31 } });
    const changed = await admin.record.next("state:updated", of("p1"));
    assert.equal(changed.full, false);
    assert.equal(changed.changes.vlc.time, 31);
    assert.deepEqual(Object.keys(changed.changes).filter((key) => key !== "timestamp"), ["vlc"]);
    assert.equal(changed.rev, full.rev + 1);

    p1.emit("player:state", { ...STATE, timestamp: "2025-08-20T10:00:02.000Z", vlc: { ...STATE.vlc, time: 31 } });
    p1.emit("player:state", { vlc: { time: 40 } });
    const merged = await admin.record.next("state:updated", of("p1"));
    assert.deepEqual(merged.changes.vlc, { time: 40 }, "the same state again was no change, a part of one is merged");
    assert.equal(merged.rev, changed.rev + 1);

    let asked = 0;
    p1.on("player:request:state", () => asked++);
    const second = await fleet.admin({ sub: "bea" });
    const state = await second.record.next("state:updated", of("p1"));
    assert.equal(state.full, true);
    assert.equal(state.state.vlc.time, 40);
    assert.equal(state.state.storage.free, 1000);
    assert.equal(asked, 0);
  });

  test("4. a command and its answer", async () => {
    const fleet = await Fleet.start();
    const [admin, other] = [await fleet.admin(), await fleet.admin({ sub: "bea" })];
    const [p1, p2] = [await fleet.registered("p1"), await fleet.registered("p2")];
    admin.emit("player:command", { deviceId: "p1", command: "vlc:play" });
    const accepted = await admin.record.next("command:accepted");
    const command = await p1.record.next("player:command");
    assert.deepEqual(command, { command: "vlc:play", params: {}, commandId: accepted.commandId });
    p1.emit("player:command:response", { commandId: command.commandId, status: "success", result: { ok: 1 } });
    const response = await admin.record.next("command:response");
    assert.equal(response.commandId, command.commandId);
    assert.equal(response.status, "success");
    assert.equal(response.deviceId, "p1");
    assert.equal(response.result.ok, 1);
    assert.equal(response.attempts, 1);
    await settled(p1, admin);
    assert.deepEqual(p2.record.of("player:command"), []);
    assert.deepEqual(other.record.of("command:response"), []);
  });

  test("4. aliases of the command event, a chosen commandId and an ack", async () => {
    const fleet = await Fleet.start();
    const admin = await fleet.admin();
    obeys(await fleet.registered("p1"));
    for (const event of ["command", "admin:command", "command:send"]) {
      admin.emit(event, { deviceId: "p1", command: "vlc:play", commandId: `mine-${event}` });
      const response = await admin.record.next("command:response");
      assert.deepEqual([response.commandId, response.status], [`mine-${event}`, "success"]);
    }
    const acked = await admin.timeout(5_000).emitWithAck("player:command", { deviceId: "p1", command: "vlc:stop" });
    assert.equal(acked.ok, true);
  });

  test("5. bad commands", async () => {
    const fleet = await Fleet.start();
    const admin = await fleet.admin();
    const p1 = await fleet.registered("p1");
    for (const [command, code] of [
      [{ deviceId: "p1", command: "rm -rf" }, "UNSUPPORTED_COMMAND"],
      [{ command: "vlc:play" }, "VALIDATION"],
      [{ deviceId: "nobody", command: "vlc:play" }, "DEVICE_NOT_FOUND"],
      [{ deviceId: "p1", command: "vlc:play", params: "str" }, "VALIDATION"],
      ["str", "VALIDATION"],
    ]) {
      admin.emit("player:command", command);
      const response = await admin.record.next("command:response");
      assert.deepEqual([response.status, response.code], ["rejected", code], JSON.stringify(command));
    }
    await settled(p1, admin);
    assert.deepEqual(p1.record.of("player:command"), []);

    admin.emit("player:command", { deviceId: "p1", command: "vlc:play" });
    const { commandId } = await p1.record.next("player:command");
    p1.emit("player:command:response", { commandId, status: "error", message: "VLC no responde" });
    const failed = await admin.record.next("command:response");
    assert.deepEqual([failed.status, failed.message], ["error", "VLC no responde"]);
  });

  test("6. timeout and retry", async () => {
    const fleet = await Fleet.start();
    const admin = await fleet.admin();
    const p1 = await fleet.registered("p1");
    admin.emit("player:command", { deviceId: "p1", command: "vlc:play", timeoutMs: 500 });
    const timeout = await admin.record.next("command:response");
    assert.deepEqual([timeout.status, timeout.attempts], ["timeout", 3]);
    const seen = p1.record.of("player:command").map(({ commandId }) => commandId);
    assert.deepEqual(seen, Array(3).fill(timeout.commandId));

    p1.record.events.length = 0;
    admin.emit("player:command", { deviceId: "p1", command: "vlc:pause", timeoutMs: 300 });
    const toggled = await admin.record.next("command:response");
    assert.deepEqual([toggled.status, toggled.attempts], ["timeout", 1]);
    assert.equal(p1.record.of("player:command").length, 1, "a toggle is delivered once");

    p1.emit("player:command:response", { commandId: toggled.commandId, status: "success", result: {} });
    await settled(p1, admin);
    assert.deepEqual(admin.record.of("command:response"), [], "a late answer is ignored");
  });

  test("7. offline detection", async () => {
    const fleet = await Fleet.start();
    const admin = await fleet.admin();
    const authToken = await fleet.token("p1");
    const wire = await relay(fleet.daemon.port);
    fleet.relays.push(wire);
    const p1 = await fleet.registered("p1", { authToken, url: wire.url });
    p1.emit("player:state", STATE);
    const { rev } = await admin.record.next("state:updated", of("p1"));

    wire.cut();
    const started = Date.now();
    await admin.record.next("device:disconnected", of("p1"), 3_000);
    assert.ok(Date.now() - started < 1_600, "within interval and timeout, and some slack");
    const alert = await admin.record.next("device:alert", (data) => data.deviceId === "p1" && data.kind === "offline", 3_000);
    assert.ok(alert.severity);
    assert.deepEqual(admin.record.of("device:disconnected"), [], "one transition, one event");

    admin.emit("player:command", { deviceId: "p1", command: "vlc:play" });
    const rejected = await admin.record.next("command:response");
    assert.deepEqual([rejected.status, rejected.code], ["rejected", "DEVICE_OFFLINE"]);

    const back = await fleet.registered("p1", { authToken });
    await admin.record.next("device:connected", of("p1"));
    await until("the alert is resolved", () => admin.record.events.some(({ name, args: [data] }) =>
      name === "device:alert" && data.kind === "offline" && (data.resolved || data.status === "resolved" || data.severity === "resolved")));
    back.emit("player:state", { vlc: { time: 99 } });
    const next = await admin.record.next("state:updated", (data) => data.changes?.vlc?.time === 99 || data.state?.vlc?.time === 99);
    assert.ok(next.rev > rev, "rev goes on");
    const stored = await admin.timeout(5_000).emitWithAck("device:state", { deviceId: "p1" });
    assert.equal((stored.state ?? stored.device?.state).storage.free, 1000, "the state was kept");

    back.disconnect();
    const left = Date.now();
    await admin.record.next("device:disconnected", of("p1"));
    assert.ok(Date.now() - left < 400, "a clean disconnect is known at once");
  });

  test("8. takeover and roles", async () => {
    const fleet = await Fleet.start();
    const admin = await fleet.admin();
    const authToken = await fleet.token("p1");
    const first = await fleet.registered("p1", { authToken });
    await admin.record.next("device:connected", of("p1"));
    const replaced = once(first, "player:replaced");
    const left = once(first, "disconnect");
    const second = await fleet.registered("p1", { authToken });
    await Promise.all([replaced, left]);
    await settled(second, admin);
    assert.deepEqual(admin.record.of("device:disconnected"), [], "nobody sees it go");

    for (const event of ["player:command", "devices:list", "device:subscribe"]) {
      second.emit(event, { deviceId: "p1", command: "vlc:play" });
      assert.equal((await second.record.next("player:error")).code, "FORBIDDEN", event);
    }

    const viewer = await fleet.admin({ sub: "vic", role: "viewer" });
    const outsider = await fleet.admin({ sub: "otto", role: "operator", groups: ["g2"] });
    viewer.emit("player:command", { deviceId: "p1", command: "vlc:play" });
    const forbidden = await viewer.record.next("command:response");
    assert.deepEqual([forbidden.status, forbidden.code], ["rejected", "FORBIDDEN"]);
    outsider.emit("player:command", { deviceId: "p1", command: "vlc:play" });
    assert.equal((await outsider.record.next("command:response")).status, "rejected");
    const insider = await fleet.admin({ sub: "ina", role: "operator", groups: ["g1"] });
    obeys(second);
    insider.emit("player:command", { deviceId: "p1", command: "vlc:play" });
    assert.equal((await insider.record.next("command:response")).status, "success");
  });

  test("8. a fleet does not see another", async () => {
    const fleet = await Fleet.start();
    await fleet.registered("p1");
    const stranger = await fleet.admin({ sub: "eve", tenantId: "acme" });
    assert.deepEqual((await stranger.record.next("devices:list")).devices, []);
    stranger.emit("player:command", { deviceId: "p1", command: "vlc:play" });
    assert.equal((await stranger.record.next("command:response")).code, "DEVICE_NOT_FOUND");
  });

  for (const [form, encode] of [
    ["a data URL", (bytes) => `data:image/png;base64,${bytes.toString("base64")}`],
    ["a binary attachment", (bytes) => bytes],
  ]) {
    test(`9. a snapshot of 3 MB as ${form}`, async () => {
      const fleet = await Fleet.start();
      const admin = await fleet.admin();
      const p1 = await fleet.registered("p1");
      const picture = Buffer.concat([PNG, randomBytes(3_000_000)]);
      p1.on("player:command", ({ commandId }) => p1.emit("player:command:response", { commandId, status: "success", result: { data: encode(picture) } }));
      admin.emit("player:command", { deviceId: "p1", command: "vlc:snapshot" });
      const { status, result } = await admin.record.next("command:response", undefined, 10_000);
      assert.equal(status, "success");
      assert.equal(result.sha256, createHash("sha256").update(picture).digest("hex"));
      await download(fleet, result.url, picture);

      p1.emit("player:state", { ...STATE, snapshot: { data: encode(picture), createdAt: "2025-08-20T10:00:00.000Z" } });
      const { state } = await admin.record.next("state:updated", (data) => data.state?.snapshot?.url, 10_000);
      assert.equal(state.snapshot.bytes, picture.length);
      assert.ok(JSON.stringify(state).length < 5_000, "the state has the URL, not the bytes");
      await download(fleet, state.snapshot.url, picture);
    });
  }

  test("9. a snapshot of 20 MB is refused and the device stays", async () => {
    const fleet = await Fleet.start();
    await fleet.admin();
    const p1 = await fleet.registered("p1");
    p1.emit("player:state", { ...STATE, snapshot: { data: Buffer.concat([PNG, Buffer.alloc(20_000_000)]) } });
    assert.equal((await p1.record.next("player:error", undefined, 15_000)).code, "SNAPSHOT_TOO_LARGE");
    assert.ok(p1.connected);
  });

  for (const crash of [false, true]) {
    test(`10. 200 players and ${crash ? "a crash" : "a restart"}`, async () => {
      const fleet = await Fleet.start(`${SETTINGS}\nfleet_token = "player_token"`);
      const ids = Array.from({ length: 200 }, (_, index) => `p${index}`);
      const reconnecting = { reconnection: true, reconnectionDelay: 100, reconnectionDelayMax: 500 };
      const players = new Map();
      for (const id of ids) {
        const player = fleet.socket({ deviceId: id, authToken: "player_token" }, reconnecting);
        obeys(player);
        player.on("connect", () => player.emit("player:register", { deviceId: id, deviceGroup: "g1" }));
        players.set(id, player);
      }
      for (const player of players.values()) await player.record.next("player:registered", undefined, 20_000);
      players.get("p7").emit("player:state", STATE);
      const admin = await fleet.admin({}, reconnecting);
      const before = await admin.record.next("state:updated", (data) => data.deviceId === "p7" && data.state?.vlc?.time === 30);
      await sleep(1_100); // what is published is on disk within a second

      players.get("p199").io.reconnection(false);
      admin.record.events.length = 0;
      for (const player of players.values()) player.record.events.length = 0;
      await fleet.daemon.restart({ crash });
      const started = Date.now();
      const list = await admin.record.next("devices:list", undefined, 10_000);
      const state = await admin.record.next("state:updated", of("p7"), 10_000);
      assert.deepEqual([state.full, state.state.vlc.time], [true, 30]);
      assert.ok(state.rev >= before.rev, "rev never goes back");
      assert.equal(list.devices.length, 200);
      for (const id of ids.slice(0, -1)) await players.get(id).record.next("player:registered", undefined, 10_000);
      assert.ok(Date.now() - started < 10_000, `${Date.now() - started} ms`);
      const { devices } = (await fleet.adminApi("/signage/devices")).json();
      assert.deepEqual(devices.filter(({ online }) => !online).map(({ deviceId }) => deviceId), ["p199"]);

      admin.emit("player:command", { group: "g1", command: "vlc:play" });
      await until("one answer for each device", () => admin.record.of("command:response").length >= 200, 10_000);
      await settled(players.get("p0"), admin);
      const answers = admin.record.of("command:response");
      assert.deepEqual(answers.map(({ deviceId }) => deviceId).sort(), [...ids].sort());
      assert.deepEqual(answers.filter(({ status }) => status !== "success").map(({ code }) => code), ["DEVICE_OFFLINE"]);
    });
  }
});

async function download(fleet, url, picture) {
  const { pathname, search } = new URL(url, fleet.daemon.url);
  const get = (headers = {}) => request(fleet.daemon.port, pathname + search, { headers });
  const bearer = (claims) => ({ authorization: `Bearer ${mint({ sub: "x", ...claims })}` });
  const answer = await get(bearer({ role: "admin" }));
  assert.equal(answer.status, 200);
  assert.equal(answer.headers["content-type"], "image/png");
  assert.ok(answer.bytes.equals(picture));
  assert.equal((await get()).status, 401);
  assert.equal((await get({ authorization: "Bearer nonsense" })).status, 401);
  assert.equal((await get(bearer({ role: "admin", tenantId: "acme" }))).status, 403);
  assert.equal((await get(bearer({ role: "viewer", groups: ["g2"] }))).status, 403);
}
