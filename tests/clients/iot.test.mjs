// Smart plugs with the official client: what browsers of a system rely on.
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { afterEach, describe, test } from "node:test";
import { Server } from "socket.io";
import { daemonOnly } from "./lib/daemon.mjs";
import { request } from "./lib/http.mjs";
import { mint } from "./lib/jwt.mjs";
import { endRunning } from "./lib/served.mjs";
import { HEX, House, ask, settled, token } from "./lib/shelly/house.mjs";
import { once, refusal } from "./lib/socketio.mjs";
import { lock } from "./lib/sqlite.mjs";
import { sleep, until } from "./lib/wait.mjs";

const ISO = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;
const PAGE = "https://panel.example";
const open = { settings: { join: "open", open_origins: [PAGE] }, listener: 'cors_origins = ["https://other.example"]' };
const dev = { config: (text) => text.replace('mode = "jwt"', 'mode = "dev"') };

/** What is refused to a socket: its event and the code. */
const error = (socket, code) => socket.record.next("device-error", (said) => said.error === code);

afterEach(endRunning);

describe("iot, browsers", { skip: daemonOnly }, () => {
  test("1. a token's own system is joined in every form, and another is not", async () => {
    const house = await House.start();
    const { row } = await house.plugged();
    const [socket, other] = [await house.socket(), await house.browser({ systemId: "s2", sub: "eva" })];
    await sleep(100);
    assert.deepEqual(socket.record.events, [], "nothing unasked before it joins");
    for (const form of ["s1", { systemId: "s1" }, null, "", {}, { systemId: null }]) {
      socket.emit("join-system", form);
      const { timestamp, ...status } = await socket.record.next("connection-status");
      assert.deepEqual(status, { connected: true, systemId: "s1", socketId: socket.id }, JSON.stringify(form));
      assert.match(timestamp, ISO);
      const { reason, deviceId } = await socket.record.next("device-update");
      assert.deepEqual([reason, deviceId], ["snapshot", row.id]);
    }
    socket.emit("join-system");
    await socket.record.next("device-update", ({ reason }) => reason === "snapshot");
    const refused = await ask(socket, "join-system", "s2");
    assert.deepEqual([refused.ok, refused.error.code], [false, "FORBIDDEN_SYSTEM"]);
    const { deviceId, event } = await error(socket, "FORBIDDEN_SYSTEM");
    assert.deepEqual([deviceId, event], [null, "join-system"]);
    for (const form of [7, true, ["s1"], { systemId: 7 }]) {
      socket.emit("join-system", form);
      assert.equal((await error(socket, "VALIDATION")).event, "join-system", JSON.stringify(form));
    }
    assert.deepEqual(other.record.of("device-update"), []);
  });

  test("1. without a token, and without a system, nobody comes in", async () => {
    const house = await House.start();
    const refused = async (auth) => {
      const { message, data } = await refusal(house.client("", auth));
      return [message, data.code];
    };
    assert.deepEqual(await refused({}), ["Unauthorized", "UNAUTHENTICATED"]);
    assert.deepEqual(await refused({ token: "garbage" }), ["Unauthorized", "UNAUTHENTICATED"]);
    assert.deepEqual(await refused({ token: mint({ sub: "a", systemId: "s1" }, { secret: "another secret of thirty-two bytes!!" }) }), ["Unauthorized", "UNAUTHENTICATED"]);
    assert.deepEqual(await refused({ token: token({ systemId: undefined }) }), ["Unauthorized", "NO_SYSTEM"]);
    await house.socket({ systemId: undefined, role: "service" });
  });

  test("1. open: a page that is allowed names its system, and may look only", async () => {
    const house = await House.start(open);
    const { account, device, row } = await house.plugged();
    const page = (origin, auth = {}) => house.client("", auth, { extraHeaders: { origin } });
    for (const [origin, auth] of [["https://other.example", {}], [PAGE, { token: "garbage" }]]) {
      assert.equal((await refusal(page(origin, auth))).message, "Unauthorized");
    }
    const socket = await house.connected("", {}, { extraHeaders: { origin: PAGE } });
    socket.emit("join-system", "nobody's");
    assert.equal((await socket.record.next("connection-status")).systemId, "nobody's");
    socket.emit("join-system", "s1");
    assert.equal((await socket.record.next("connection-status")).systemId, "s1");
    await socket.record.next("device-update", ({ deviceId }) => deviceId === row.id);
    account.reports(device, { "switch:0": { output: false } });
    await socket.record.next("device-update", ({ relayOn }) => relayOn === false);
    for (const [event, payload] of [
      ["control-device", { deviceId: row.id, action: "on" }],
      ["control-devices", { deviceIds: [row.id], action: "on" }],
      ["rename-device", { deviceId: row.id, name: "x" }],
      ["broadcast-to-system", { systemId: "s1", eventName: "x", data: {} }],
      ["subscribe-logs", { connectionId: "x" }],
    ]) {
      assert.equal((await ask(socket, event, payload)).error.code, "FORBIDDEN", event);
    }
    assert.deepEqual(account.commands, []);
    socket.emit("join-system", "s2");
    await socket.record.next("connection-status");
    account.reports(device, { "switch:0": { output: true } });
    await settled(socket);
    await sleep(100);
    assert.equal(socket.record.of("device-update", ({ relayOn }) => relayOn === true).length, 0, "it has moved");
    assert.equal((await house.ask("GET", "/api/websocket/connections", undefined, { bearer: null })).status, 401, "HTTP is never open");
    assert.equal((await house.get("GET", "/api/socket/init", undefined, { bearer: null })).data.connections, 0);
  });

  test("in development the first join names the system, with every right", async () => {
    const house = await House.start(dev);
    const socket = await house.connected("", {});
    socket.emit("join-system", "s7");
    assert.equal((await socket.record.next("connection-status")).systemId, "s7");
    const made = await house.get("POST", "/api/internal/smart-plug-devices?systemId=s7", { name: "Láser", deviceId: HEX }, { bearer: null });
    assert.equal((await ask(socket, "rename-device", { deviceId: made.id, name: "Otro" })).ok, true);
    assert.equal((await house.get("GET", "/api/internal/smart-plug-devices", undefined, { bearer: null })).totalCount, 0, "of default");
  });

  test("a socket that leaves hears nothing until it joins again", async () => {
    const house = await House.start();
    const { account, device } = await house.plugged();
    const socket = await house.browser();
    socket.emit("leave-system");
    assert.equal((await socket.record.next("connection-status")).connected, false);
    socket.record.events.length = 0;
    account.reports(device, { "switch:0": { apower: 77 } });
    await house.rowIs(HEX, ({ currentPower }) => currentPower === 77);
    assert.deepEqual(socket.record.events, []);
    socket.emit("join-system", "s1");
    await socket.record.next("device-update", ({ currentPower, reason }) => currentPower === 77 && reason === "snapshot");
  });

  test("a device is asked for by any of its ids, in any case, and by no stranger", async () => {
    const house = await House.start();
    const { row } = await house.plugged();
    const [socket, other] = [await house.socket(), await house.socket({ systemId: "s2" })];
    for (const form of [row.id, HEX, HEX.toUpperCase(), { deviceId: row.id }, { deviceId: HEX }]) {
      socket.emit("request-device-update", form);
      const update = await socket.record.next("device-update");
      assert.deepEqual([update.reason, update.deviceId, update.shellyDeviceId], ["manual", row.id, HEX], JSON.stringify(form));
    }
    for (const [who, id] of [[socket, "nothing"], [other, row.id], [other, HEX]]) {
      who.emit("request-device-update", id);
      const { deviceId, message } = await error(who, "DEVICE_NOT_FOUND");
      assert.equal(deviceId, id);
      assert.ok(!message.includes(id));
    }
    socket.emit("request-device-update", 7);
    await error(socket, "VALIDATION");
  });

  test("test-message comes back with what it brought", async () => {
    const house = await House.start();
    const socket = await house.socket();
    for (const [sent, back] of [[{ a: [1, "ñ"] }, { a: [1, "ñ"] }], ["hola", "hola"], [null, null]]) {
      socket.emit("test-message", sent);
      const { timestamp, ...response } = await socket.record.next("test-response");
      assert.deepEqual(response, { received: true, originalData: back });
      assert.ok(Math.abs(timestamp - Date.now()) < 10_000);
    }
    socket.emit("test-message");
    assert.equal((await socket.record.next("test-response")).originalData, null);
    socket.emit("test-message", "x".repeat(16 * 1_024 + 1));
    await error(socket, "PAYLOAD_TOO_LARGE");
  });

  test("10. sixty events a minute, and sixty test messages beside them; the rest is refused and the socket stays", async () => {
    const house = await House.start();
    const socket = await house.socket();
    for (let n = 0; n < 65; n += 1) socket.emit("request-device-update", `d${n}`);
    for (let n = 0; n < 65; n += 1) socket.emit("test-message", n);
    await until("all are answered", () => socket.record.of("device-error").length === 70);
    const refused = socket.record.of("device-error", (said) => said.error === "RATE_LIMITED");
    assert.deepEqual(refused.map(({ event }) => event), [...Array(5).fill("request-device-update"), ...Array(5).fill("test-message")]);
    assert.equal(socket.record.of("test-response").length, 60);
    const { resetAt, ...said } = refused[0];
    assert.deepEqual(said, { deviceId: null, error: "RATE_LIMITED", message: "Demasiados mensajes", event: "request-device-update", limit: 60, windowMs: 60_000 });
    assert.match(resetAt, ISO);
    assert.ok(socket.connected);
  });

  test("an address has its own bound in each system", async () => {
    const house = await House.start({ settings: { max_messages_per_minute_ip: 100 } });
    const sockets = await Promise.all(["s1", "s1", "s2"].map((systemId) => house.socket({ systemId })));
    for (const socket of sockets) for (let n = 0; n < 60; n += 1) socket.emit("request-device-update", "d");
    await until("all are answered", () => sockets.every((socket) => socket.record.of("device-error").length === 60));
    const refused = sockets.map((socket) => socket.record.of("device-error", (said) => said.error === "RATE_LIMITED").length);
    assert.deepEqual([refused[0] + refused[1], refused[2]], [20, 0]);
  });

  test("services tell a system something of their own, unchanged", async () => {
    const house = await House.start();
    const [service, mine, joined, other] = [
      await house.socket({ role: "service", systemId: undefined }),
      await house.socket({ role: "service" }),
      await house.browser(),
      await house.browser({ systemId: "s2" }),
    ];
    const data = { type: "smart-plug-assignment-updated", n: [1, null] };
    const tell = (socket, more = {}) => ask(socket, "broadcast-to-system", { systemId: "s1", eventName: "smart-plug-assignment-updated", data, ...more });
    assert.equal((await tell(service)).ok, true);
    assert.deepEqual(await joined.record.next("smart-plug-assignment-updated"), data);
    for (const form of [{ systemId: undefined }, { eventName: undefined }, { data: undefined }, { eventName: "disconnect" }, { eventName: "connect_error" },
      { eventName: "a b" }, { eventName: "x".repeat(65) }, { eventName: "" }]) {
      assert.equal((await tell(service, form)).error.code, "VALIDATION", JSON.stringify(form));
    }
    assert.equal((await tell(mine, { systemId: "s2" })).error.code, "FORBIDDEN_SYSTEM");
    assert.equal((await tell(joined)).error.code, "FORBIDDEN");
    await settled(other);
    assert.deepEqual(other.record.of("smart-plug-assignment-updated"), []);
  });

  test("an address of the bridge may do so without being a service", async () => {
    const house = await House.start({ settings: { bridge_addresses: ["127.0.0.1"] } });
    const [bridge, joined] = [await house.socket({ role: "viewer" }), await house.browser()];
    bridge.emit("broadcast-to-system", { systemId: "s1", eventName: "device-update", data: { deviceId: "x" } });
    assert.deepEqual(await joined.record.next("device-update"), { deviceId: "x" });
  });

  test("an admin renames a device, and everybody of the system sees it", async () => {
    const house = await House.start();
    const { row } = await house.plugged();
    const [admin, watcher, operator] = [await house.browser(), await house.browser({ role: "viewer" }), await house.socket({ role: undefined })];
    assert.equal((await ask(admin, "rename-device", { deviceId: HEX, name: "Láser 1" })).ok, true);
    for (const socket of [admin, watcher]) await socket.record.next("device-update", ({ name }) => name === "Láser 1");
    assert.equal((await house.rowIs(HEX, ({ name }) => name === "Láser 1")).id, row.id);
    assert.equal((await ask(operator, "rename-device", { deviceId: HEX, name: "x" })).error.code, "FORBIDDEN");
    for (const name of ["", "x".repeat(101), 7, undefined]) {
      assert.equal((await ask(admin, "rename-device", { deviceId: HEX, name })).error.code, "VALIDATION", String(name));
    }
    assert.equal((await ask(admin, "rename-device", { deviceId: "nothing", name: "x" })).error.code, "DEVICE_NOT_FOUND");
  });

  test("operators watch the log of a connection", async () => {
    const house = await House.start();
    const { account, device, connectionId } = await house.plugged();
    const [operator, viewer] = [await house.browser({ role: "operator" }), await house.browser({ role: "viewer" })];
    assert.equal((await ask(operator, "subscribe-logs", { connectionId: "nothing" })).error.code, "NOT_FOUND");
    assert.equal((await ask(viewer, "subscribe-logs", { connectionId })).error.code, "FORBIDDEN");
    assert.equal((await ask(operator, "subscribe-logs", { connectionId })).ok, true);
    account.reports(device, { "switch:0": { output: true, apower: 42.5 } });
    const row = await operator.record.next("websocket-log", ({ eventType }) => eventType === "message");
    assert.deepEqual([row.connectionId, row.message.endsWith(": ON (42.5W)")], [connectionId, true], row.message);
    assert.match(row.message, /^Update recibido para dispositivo /);
    assert.equal((await ask(operator, "unsubscribe-logs", { connectionId })).ok, true);
    account.reports(device, { "switch:0": { apower: 43 } });
    await operator.record.next("device-update", ({ currentPower }) => currentPower === 43);
    await settled(operator);
    assert.deepEqual(operator.record.of("websocket-log", ({ message }) => message?.includes("43")), []);
  });

  test("what nobody knows is counted and acked", async () => {
    const house = await House.start();
    const socket = await house.socket();
    const { ok, error: { code } } = await ask(socket, "no-such-event", {});
    assert.deepEqual([ok, code], [false, "UNKNOWN_EVENT"]);
    assert.equal(await house.metric(/^siod_unknown_events_total\{?.*iot/), 1);
  });

  test("the snapshot is in the order of ids as text", async () => {
    const house = await House.start();
    for (let n = 10; n < 22; n += 1) await house.get("POST", "/api/internal/smart-plug-devices", { name: `d${n}`, deviceId: `aabbccddee${n}` });
    const socket = await house.socket();
    socket.emit("join-system");
    await until("all are shown", () => socket.record.of("device-update").length === 12);
    const ids = socket.record.of("device-update").map(({ deviceId }) => deviceId);
    assert.deepEqual(ids, [...ids].sort());
    const { online, relayOn, currentPower, stateKnown, hasValidConsumption, type, channels } = socket.record.of("device-update")[0];
    assert.deepEqual([type, online, relayOn, currentPower, stateKnown, hasValidConsumption, channels], ["device-update", false, false, 0, false, false, undefined]);
  });

  for (const [name, options] of Object.entries({
    "polling alone": { transports: ["polling"] },
    "polling, then upgraded": { transports: ["polling", "websocket"] },
  })) {
    for (const addTrailingSlash of [false, true]) {
      test(`10. /api/socket ${addTrailingSlash ? "with" : "without"} a slash, ${name}`, async () => {
        const house = await House.start();
        const { account, device, row } = await house.plugged();
        const socket = await house.connected("", { token: token() }, { path: "/api/socket", addTrailingSlash, ...options });
        if (options.transports.length === 2) await until("it has upgraded", () => socket.io.engine.transport.name === "websocket");
        socket.emit("join-system", "s1");
        await socket.record.next("connection-status");
        account.reports(device, { "switch:0": { output: true, apower: 42.5 } });
        await socket.record.next("device-update", ({ currentPower }) => currentPower === 42.5);
        assert.equal((await ask(socket, "control-device", { deviceId: row.id, action: "off" })).ok, true);
        await socket.record.next("device-update", ({ relayOn }) => relayOn === false);
      });
    }
  }

  test("/api/socket is the engine's, and what is below it is HTTP", async () => {
    const house = await House.start();
    for (const path of ["/api/socket", "/api/socket/"]) {
      const answer = await request(house.daemon.port, path);
      assert.deepEqual([answer.status, answer.json().code], [400, 0], path);
    }
    assert.deepEqual(await house.get("GET", "/api/socket/init"), { success: true, message: "Socket.io server inicializado", data: { connections: 0 } });
  });

  test("10. while the store is locked browsers are told at once, and the row is right afterwards", async () => {
    const house = await House.start();
    const { account, device } = await house.plugged();
    const socket = await house.browser();
    const release = await lock(`${house.daemon.dir}/data/siod.db`);
    for (let power = 1; power <= 30; power += 1) account.reports(device, { "switch:0": { apower: power, output: power % 2 === 0 } });
    const began = Date.now();
    await socket.record.next("device-update", ({ currentPower }) => currentPower === 30, 2_000);
    assert.ok(Date.now() - began < 2_000);
    await sleep(2_000);
    await release();
    const row = await house.rowIs(HEX, ({ currentPower }) => currentPower === 30);
    assert.equal(row.relayOn, true);
  });

  test("paths of iot's own are there on a listener of another application", async () => {
    const house = await House.start({ config: (text) => text.replace('root = "iot"', 'root = "none"') });
    const socket = await house.connected("", { token: token() }, { path: "/api/socket", addTrailingSlash: false });
    socket.emit("join-system");
    assert.equal((await socket.record.next("connection-status")).systemId, "s1");
    const canonical = await house.connected("/iot", { token: token() });
    canonical.emit("join-system");
    await canonical.record.next("connection-status");
    assert.equal((await house.get("GET", "/api/socket/init")).success, true);
    assert.equal((await house.ask("GET", "/api/websocket/connections")).status, 404);
    assert.equal((await house.ask("GET", "/iot/api/websocket/connections")).status, 200);
  });

  test("a socket ends with its token", async () => {
    const house = await House.start();
    const socket = await house.browser({ exp: Math.floor(Date.now() / 1_000) + 2 });
    const [reason] = await once(socket, "disconnect", 6_000);
    assert.equal(reason, "io server disconnect");
  });

  test("a server elsewhere is told what rooms are told", async () => {
    const http = createServer().listen(0, "127.0.0.1");
    await new Promise((resolve) => http.once("listening", resolve));
    const bridge = new Server(http);
    const told = [];
    bridge.on("connection", (socket) => socket.on("broadcast-to-system", (said) => told.push(said)));
    try {
      const house = await House.start({ settings: { bridge_url: `http://127.0.0.1:${http.address().port}` } });
      const { account, device, row } = await house.plugged();
      await until("the bridge is there", () => bridge.engine.clientsCount === 1);
      account.reports(device, { "switch:0": { apower: 55 } });
      const { systemId, data } = await until("it is told", () => told.find(({ eventName, data }) => eventName === "device-update" && data.currentPower === 55));
      assert.deepEqual([systemId, data.deviceId], ["s1", row.id]);
    } finally {
      await bridge.close();
    }
  });

  test("figures of the process, and its health", async () => {
    const house = await House.start();
    const { row } = await house.plugged();
    await ask(await house.browser(), "control-device", { deviceId: row.id, action: "on" });
    const { body } = await house.adminApi("/metrics");
    for (const name of ["iot_upstream_connected", "iot_devices", "iot_status_total", "iot_commands_total", "iot_reconnects_total", "iot_store_queue", "iot_upstream_lag_seconds"]) assert.match(body, new RegExp(`^# TYPE ${name} `, "m"), name);
    assert.equal(await house.metric(/^iot_upstream_connected/), 1);
    assert.equal(await house.metric(/^iot_devices\{online="true"\}/), 1);
    assert.equal((await house.health()).status, 200);
  });
});
