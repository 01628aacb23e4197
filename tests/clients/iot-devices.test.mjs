// Devices that iot reaches without a cloud: such as dial it, by their system's secret, and such as it dials.
import assert from "node:assert/strict";
import { afterEach, describe, test } from "node:test";
import { daemonOnly } from "./lib/daemon.mjs";
import { endRunning } from "./lib/served.mjs";
import { HEX, House, ask, settled } from "./lib/shelly/house.mjs";
import { Plug, SILENT } from "./lib/shelly/plug.mjs";
import { sleep, until } from "./lib/wait.mjs";

const MAC = HEX.toUpperCase();
const S2 = { systemId: "s2", sub: "eva" };
const control = (socket, payload) => ask(socket, "control-device", payload);
const transition = (socket, online) => socket.record.next("device-offline-status", (said) => said.online === online);

afterEach(endRunning);

/** A house with a device that is a row of `s1` and has dialled out, and a browser that has seen it come. */
async function dialled({ settings, ...options } = {}) {
  const house = await House.start({ settings });
  const { path } = await house.secretPath();
  const row = await house.get("POST", "/api/internal/smart-plug-devices", { name: "Láser 1", deviceId: HEX });
  const socket = await house.browser();
  const plug = house.has(new Plug(MAC, options));
  assert.equal(await plug.dialsOut(house.wsUrl(path)), 101);
  await socket.record.next("device-update", ({ online }) => online);
  socket.record.events.length = 0;
  return { house, path, row, socket, plug };
}

describe("iot and devices that dial it", { skip: daemonOnly }, () => {
  test("7. a full status replaces, a notification is merged, and it is controlled over its socket", async () => {
    const { house, row, socket, plug } = await dialled();
    plug.changes({ "switch:0": { id: 0, apower: 42.5 } });
    const update = await socket.record.next("device-update", ({ currentPower }) => currentPower === 42.5);
    assert.deepEqual([update.deviceId, update.shellyDeviceId, update.voltage, update.relayOn, update.reason], [row.id, HEX, 227.9, true, "websocket_message_received"]);
    const ack = await control(socket, { deviceId: row.id, action: "off", requestId: "r" });
    assert.equal(ack.ok, true, JSON.stringify(ack));
    assert.equal((await socket.record.next("device-command-result")).wasOn, true);
    const { id, src, method, params } = plug.asked("Switch.Set")[0];
    assert.deepEqual([typeof id, src, method, params], ["number", "siod", "Switch.Set", { id: 0, on: false }]);
    await socket.record.next("device-update", ({ relayOn }) => relayOn === false);
    await control(socket, { deviceId: row.id, action: "on", timer: 1_800 });
    assert.deepEqual(plug.asked("Switch.Set")[1].params, { id: 0, on: true, toggle_after: 1_800 });
    delete plug.status["switch:0"].apower;
    plug.tellsAll();
    const { currentPower } = await socket.record.next("device-update", ({ currentPower }) => currentPower !== 42.5);
    assert.equal(currentPower, null, "what a full status does not have is not known any more");
    await house.rowIs(HEX, ({ online, generation }) => online && generation === 2);
  });

  test("7. a secret that is wrong, of another system or revoked is 403 before the upgrade", async () => {
    const { house, path, socket, plug } = await dialled();
    const [system, secret] = path.split("/").at(-1).split(".");
    const base = path.slice(0, path.lastIndexOf("/"));
    const of = (name) => Buffer.from(name).toString("base64url");
    const other = house.has(new Plug("AABBCC000001"));
    for (const bad of [`${system}.${"A".repeat(43)}`, `${of("s2")}.${secret}`, `${of("nobody's")}.${secret}`, system, `${secret}`, "x.y", "%00.%ff", `${system}.${secret}.x`]) {
      assert.equal(await other.dialsOut(house.wsUrl(`${base}/${bad}`)), 403, bad);
    }
    assert.equal((await house.ask("DELETE", "/api/shelly/outbound-secret")).status, 200);
    assert.equal(await other.dialsOut(house.wsUrl(path)), 403);
    const again = await house.secretPath();
    assert.notEqual(again.path, path);
    assert.equal(await other.dialsOut(house.wsUrl(again.path)), 101);
    assert.ok(socket.connected && plug !== other);
  });

  test("7. a close is one transition, and so is a device that does not answer pings", async () => {
    const { house, path, row, socket, plug } = await dialled({ settings: { device_ping_ms: 100 } });
    plug.hangsUp();
    const gone = await transition(socket, false);
    assert.deepEqual([gone.deviceId, gone.reason, gone.relayOn, gone.currentPower], [row.id, "device_ws_closed", false, 0]);
    await plug.dialsOut(house.wsUrl(path));
    await transition(socket, true);
    socket.record.events.length = 0;
    plug.deaf = true;
    assert.equal((await transition(socket, false)).reason, "device_ws_closed");
    await until("it is closed", () => plug.peers === 0);
    await settled(socket);
    assert.deepEqual(socket.record.of("device-offline-status"), []);
  });

  test("7. a sleeper's close is not offline", async () => {
    const { socket, plug } = await dialled();
    plug.changes({ sys: { wakeup_period: 3_600 } });
    await settled(socket);
    plug.hangsUp();
    await sleep(300);
    assert.deepEqual(socket.record.of("device-offline-status", ({ online }) => !online), []);
  });

  test("a second socket of a device replaces the first without a transition", async () => {
    const { house, path, socket, row, plug } = await dialled();
    const again = house.has(new Plug(MAC));
    await again.dialsOut(house.wsUrl(path));
    await until("the first is closed", () => plug.peers === 0);
    await settled(socket);
    assert.deepEqual(socket.record.of("device-offline-status"), []);
    assert.equal((await control(socket, { deviceId: row.id, action: "off" })).ok, true);
    assert.deepEqual([plug.asked("Switch.Set").length, again.asked("Switch.Set").length], [0, 1]);
  });

  test("a notification before a full status is not applied; the device is asked", async () => {
    const house = await House.start();
    const { path } = await house.secretPath();
    await house.get("POST", "/api/internal/smart-plug-devices", { name: "x", deviceId: HEX });
    const socket = await house.browser();
    const plug = house.has(new Plug(MAC));
    await plug.dialsOut(house.wsUrl(path), { tellsAll: false });
    plug.changes({ "switch:0": { id: 0, apower: 3 } });
    await plug.called("Shelly.GetStatus");
    const update = await socket.record.next("device-update", ({ online }) => online);
    assert.deepEqual([update.currentPower, update.voltage], [3, 227.9]);
  });

  test("buttons and limits are told as they are, and nothing else is changed by them", async () => {
    const { row, socket, plug } = await dialled();
    plug.happens("input:0", "single_push");
    const event = await socket.record.next("device-event");
    assert.deepEqual([event.deviceId, event.shellyDeviceId, event.component, event.kind], [row.id, HEX, "input:0", "single_push"]);
    assert.equal(typeof event.timestamp, "number");
  });

  test("a device with several switches shows all of them, and is controlled by channel", async () => {
    const { socket, row, plug } = await dialled({ model: "pro-4pm" });
    plug.changes({ "switch:2": { id: 2, output: true, apower: 12 } });
    const { channels, ...top } = await socket.record.next("device-update", ({ channels }) => channels?.[2]?.currentPower === 12);
    assert.deepEqual(channels.map(({ id }) => id), [0, 1, 2, 3]);
    assert.deepEqual([top.relayOn, top.currentPower], [channels[0].relayOn, channels[0].currentPower]);
    assert.equal((await control(socket, { deviceId: row.id, action: "off", channel: 2 })).ok, true);
    assert.deepEqual(plug.asked("Switch.Set")[0].params, { id: 2, on: false });
    assert.equal((await control(socket, { deviceId: row.id, action: "off", channel: 9 })).error.code, "UPSTREAM_ERROR");
  });

  test("a request of the device is not implemented", async () => {
    const { plug } = await dialled();
    plug.sends({ id: 77, src: plug.id, method: "Sys.GetConfig" });
    await until("it is answered", () => plug.answers.length > 0);
    const [{ id, error }] = plug.answers;
    assert.deepEqual([id, error], [77, { code: 500, message: "Not Implemented" }]);
  });

  test("a manual update asks the device itself, at most once in ten seconds", async () => {
    const { socket, row, plug } = await dialled();
    for (let n = 0; n < 3; n += 1) {
      socket.emit("request-device-update", row.id);
      await socket.record.next("device-update", ({ reason }) => reason === "manual");
    }
    await plug.called("Switch.GetStatus");
    await sleep(100);
    assert.equal(plug.asked("Switch.GetStatus").length, 1);
  });

  test("a device that speaks for another, floods, or sends what nobody understands harms nobody", async () => {
    const { house, path, socket, plug } = await dialled();
    await house.get("POST", "/api/internal/smart-plug-devices", { name: "y", deviceId: "aabbcc000001" });
    const other = house.has(new Plug("AABBCC000001"));
    await other.dialsOut(house.wsUrl(path));
    await socket.record.next("device-update", ({ shellyDeviceId, online }) => online && shellyDeviceId === "aabbcc000001");
    other.sends({ src: plug.id, dst: "ws", method: "NotifyStatus", params: { ts: Date.now() / 1_000, "switch:0": { id: 0, apower: 666 } } });
    for (const bad of ["{", "7", "null", "[]", '{"method":7}', { src: other.id, method: "NotifyStatus", params: 7 }, { src: "nohyphen", method: "NotifyStatus", params: {} },
      { src: other.id, method: "NotifyFullStatus", params: { "switch:0": "on", wifi: 7 } }, { id: 999, result: {} }]) other.sends(bad);
    for (let n = 0; n < 1_000; n += 1) other.changes({ "switch:0": { id: 0, apower: n } });
    plug.changes({ "switch:0": { id: 0, apower: 1.5 } });
    await socket.record.next("device-update", ({ shellyDeviceId, currentPower }) => shellyDeviceId === HEX && currentPower === 1.5);
    await settled(socket);
    assert.deepEqual(socket.record.of("device-update", ({ currentPower }) => currentPower === 666), []);
    other.sends({ src: other.id, dst: "ws", method: "NotifyFullStatus", params: { x: "y".repeat(300 * 1_024) } });
    await sleep(100);
    plug.changes({ "switch:0": { id: 0, apower: 2.5 } });
    await socket.record.next("device-update", ({ shellyDeviceId, currentPower }) => shellyDeviceId === HEX && currentPower === 2.5);
  });

  test("a device nobody knows is unclaimed, and online as soon as it is claimed", async () => {
    const house = await House.start();
    const { path } = await house.secretPath();
    const [socket, other] = [await house.browser(), await house.browser(S2)];
    const plug = house.has(new Plug(MAC));
    await plug.dialsOut(house.wsUrl(path));
    const [entry] = await until("it is listed", async () => {
      const { data } = await house.get("GET", "/api/shelly/unclaimed");
      return data.length > 0 && data;
    });
    assert.deepEqual([entry.shellyDeviceId, entry.ip], [HEX, "127.0.0.1"]);
    assert.ok(entry.firstSeen && entry.lastSeen);
    assert.deepEqual((await house.get("GET", "/api/shelly/unclaimed", undefined, { claims: S2 })).data, []);
    await settled(socket);
    assert.deepEqual(socket.record.of("device-update"), []);
    const made = await house.get("POST", "/api/internal/smart-plug-devices", { name: "Láser", deviceId: MAC });
    assert.equal(made.deviceId, HEX);
    plug.changes({ "switch:0": { id: 0, apower: 4 } });
    await socket.record.next("device-update", ({ online, currentPower }) => online && currentPower === 4);
    assert.deepEqual((await house.get("GET", "/api/shelly/unclaimed")).data, []);
    assert.deepEqual(other.record.of("device-update"), []);
  });

  test("a device that its socket holds stays online when the cloud goes", async () => {
    const house = await House.start({ settings: { reconnect_delay_ms: 400 } });
    const { account, row } = await house.plugged();
    const socket = await house.browser();
    const plug = house.has(new Plug(MAC));
    await plug.dialsOut(house.wsUrl((await house.secretPath()).path));
    await sleep(200);
    account.drops();
    await account.opened(0);
    await settled(socket);
    assert.deepEqual(socket.record.of("device-offline-status", ({ online }) => !online), []);
    assert.equal((await control(socket, { deviceId: row.id, action: "off" })).ok, true);
    assert.deepEqual(account.commands, [], "its own socket comes first");
    plug.hangsUp();
    await account.opened();
  });

  test("a device that does not answer is a TIMEOUT, and the command is not sent again", async () => {
    const { socket, row, plug } = await dialled();
    plug.behaves["Switch.Set"] = () => SILENT;
    assert.equal((await control(socket, { deviceId: row.id, action: "off" })).error.code, "TIMEOUT");
    plug.behaves = {};
    await sleep(300);
    assert.equal(plug.asked("Switch.Set").length, 1);
  });
});

describe("iot and devices that it dials", { skip: daemonOnly }, () => {
  async function dials(options = {}, more = {}) {
    const house = await House.start({ settings: { ...options.settings } });
    const plug = house.has(new Plug(MAC, options));
    const port = await plug.listens();
    const socket = await house.browser();
    const form = { name: "Láser", deviceId: HEX, deviceIp: `127.0.0.1:${port}`, ...more };
    const row = await house.get("POST", "/api/internal/smart-plug-devices", form);
    return { house, plug, socket, row, port };
  }

  test("it is asked who it is, what it does, and hears what changes", async () => {
    const { socket, row, plug } = await dials();
    const update = await socket.record.next("device-update", ({ online }) => online);
    assert.deepEqual([update.deviceId, update.voltage], [row.id, 227.9]);
    assert.deepEqual(plug.calls.slice(0, 2).map(({ method }) => method), ["Shelly.GetDeviceInfo", "Shelly.GetStatus"]);
    plug.changes({ "switch:0": { id: 0, apower: 8 } });
    await socket.record.next("device-update", ({ currentPower }) => currentPower === 8);
    assert.equal((await control(socket, { deviceId: row.id, action: "off" })).ok, true);
    plug.hangsUp();
    await transition(socket, false);
    await transition(socket, true);
  });

  for (const forms of [{ nonce: "number", nc: "string" }, { nonce: "string", nc: "number" }]) {
    test(`12. a password by digest: nonce is a ${forms.nonce}, nc a ${forms.nc}`, async () => {
      const { socket, row, plug } = await dials({ password: "secreto", ...forms }, { localPassword: "secreto" });
      await socket.record.next("device-update", ({ online }) => online);
      assert.deepEqual(plug.asked("Shelly.GetStatus").map(({ auth }) => auth === undefined), [true, false], "at the second request");
      const first = plug.asked("Shelly.GetStatus")[1].auth;
      assert.deepEqual([first.username, first.algorithm, typeof first.nonce], ["admin", "SHA-256", forms.nonce]);
      assert.equal((await control(socket, { deviceId: row.id, action: "off" })).ok, true);
      const [{ auth }] = plug.asked("Switch.Set");
      assert.equal(Number(auth.nc), Number(first.nc) + 1);
      assert.equal(plug.refused, 0);
    });
  }

  test("12. a wrong password is AUTH_FAILED, once, until another is set", async () => {
    const { house, plug, row, socket } = await dials({ password: "secreto" }, { localPassword: "otro" });
    await until("it was tried", () => plug.refused === 1);
    await sleep(500);
    const { length } = plug.calls;
    await sleep(700);
    assert.deepEqual([plug.refused, plug.calls.length], [1, length], "no loop");
    assert.equal((await house.row(HEX)).online, false);
    const told = await socket.record.next("device-error");
    assert.deepEqual([told.deviceId, told.error], [row.id, "AUTH_FAILED"]);
    assert.equal((await control(socket, { deviceId: row.id, action: "on" })).error.code, "AUTH_FAILED");
    assert.equal((await house.get("PATCH", `/api/internal/smart-plug-devices/${row.id}`, { localPassword: "secreto" })).id, row.id);
    await house.rowIs(HEX, ({ online }) => online);
  });

  test("a device of another address is not spoken to", async () => {
    const { house, plug } = await dials({}, { deviceId: "aabbcc000001" });
    await plug.called("Shelly.GetDeviceInfo");
    await sleep(200);
    assert.deepEqual(plug.asked("Shelly.GetStatus"), []);
    assert.equal((await house.row("aabbcc000001")).online, false);
  });

  test("an address that is not of the local networks is refused", async () => {
    const house = await House.start({ settings: { lan_networks: ["10.0.0.0/8"] } });
    const plug = house.has(new Plug(MAC));
    const port = await plug.listens();
    await house.ask("POST", "/api/internal/smart-plug-devices", { name: "x", deviceId: HEX, deviceIp: `127.0.0.1:${port}` });
    await sleep(300);
    assert.equal(plug.peers, 0);
    assert.deepEqual(plug.calls, []);
  });
});
