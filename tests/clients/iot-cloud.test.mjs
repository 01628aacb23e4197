// The Shelly cloud behind iot: what comes from it, what goes to it, and what becomes of both when it fails.
import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { afterEach, describe, test } from "node:test";
import { daemonOnly } from "./lib/daemon.mjs";
import { certificate } from "./lib/proxy.mjs";
import { endRunning } from "./lib/served.mjs";
import { CUTS, Cloud, HANGS, SILENT } from "./lib/shelly/cloud.mjs";
import { DECIMAL, HEX, House, KEY, ask, settled } from "./lib/shelly/house.mjs";
import { sleep, until } from "./lib/wait.mjs";

const S2 = { systemId: "s2", sub: "eva" };
const OTHER = "aabbcc112233";

/** A status as the contract's first scenario has it. */
const REPORT = { "switch:0": { output: true, apower: 42.5, voltage: 231.2, temperature: { tC: 40 } } };

const offline = (socket, deviceId) => socket.record.of("device-offline-status", (said) => said.deviceId === deviceId);
const control = (socket, payload) => ask(socket, "control-device", payload);
const statuses = (house, outcome) => house.metric(new RegExp(`^iot_status_total\\{.*outcome="${outcome}"`));

afterEach(endRunning);

describe("iot and its cloud", { skip: daemonOnly }, () => {
  test("2. a status is shown to its system at once, and to no other", async () => {
    const house = await House.start();
    const { account, device, row } = await house.plugged();
    const [one, other] = [await house.browser(), await house.browser(S2)];
    await settled(one);
    one.record.events.length = 0;
    const began = Date.now();
    account.reports(device, REPORT);
    const { timestamp, ...update } = await one.record.next("device-update");
    assert.ok(Date.now() - began < 200);
    assert.ok(Math.abs(timestamp - began) < 5_000);
    assert.deepEqual(update, {
      type: "device-update", deviceId: row.id, shellyDeviceId: HEX, name: row.name, online: true, relayOn: true, currentPower: 42.5, voltage: 231.2,
      temperature: 40, totalEnergy: 7258.589, hasValidConsumption: true, stateKnown: true, reason: "websocket_message_received",
    });
    await settled(one);
    assert.equal(one.record.of("device-update").length, 0, "once");
    assert.deepEqual(other.record.of("device-update"), []);
    const kept = await house.rowIs(HEX, ({ currentPower }) => currentPower === 42.5);
    assert.deepEqual([kept.cloudId, kept.online, kept.relayOn, kept.voltage, kept.temperature], [DECIMAL, true, true, 231.2, 40]);
    assert.ok(kept.lastSeenAt);
  });

  test("3. what is missing stays, what is repeated is nothing, what is hostile is counted", async () => {
    const house = await House.start();
    const { account, device } = await house.plugged();
    const socket = await house.browser();
    account.reports(device, REPORT);
    await socket.record.next("device-update", ({ currentPower }) => currentPower === 42.5);
    account.reports(device, { "switch:0": { apower: 10 } });
    const { relayOn, voltage } = await socket.record.next("device-update", ({ currentPower }) => currentPower === 10);
    assert.deepEqual([relayOn, voltage], [true, 231.2]);
    const serial = device.serial;
    account.reports(device, { "switch:0": { apower: 99 } }, { serial });
    account.reports(device, { "switch:0": { apower: 98 } }, { serial: serial - 60 });
    account.sends({ event: "Shelly:Nothing", device: { id: DECIMAL } });
    account.sends("{ no JSON");
    account.sends(Buffer.from([1, 2, 3]));
    account.sends({ event: "Shelly:StatusOnChange", device: { id: DECIMAL }, status: { serial: serial + 1, x: "y".repeat(300 * 1_024) } });
    account.sends({ event: "Shelly:StatusOnChange", device: { id: "281474976710655" }, status: { "switch:0": { output: true } } });
    account.sends({ event: "Shelly:StatusOnChange", device: null, status: 7 });
    account.reports(device, { "switch:0": { apower: "11", output: "on", voltage: null, temperature: [] } });
    account.reports(device, { "switch:0": { apower: 12 } });
    const update = await socket.record.next("device-update", ({ currentPower }) => currentPower !== 10);
    assert.deepEqual([update.currentPower, update.relayOn, update.voltage, update.temperature], [12, true, 231.2, 40]);
    assert.equal(account.open.size, 1, "the connection stays");
    for (const outcome of ["keepalive", "stale", "unmapped", "oversize", "invalid", "field", "applied"]) {
      assert.ok((await statuses(house, outcome)) >= 1, outcome);
    }
    assert.deepEqual(socket.record.of("device-update", ({ currentPower }) => currentPower === 99 || currentPower === 98), []);
  });

  test("a status that says nothing new is not shown; a relay is shown at once, other changes ten times a second, the newest last", async () => {
    const house = await House.start();
    const { account, device } = await house.plugged();
    const socket = await house.browser();
    account.reports(device, REPORT);
    await socket.record.next("device-update", ({ currentPower }) => currentPower === 42.5);
    account.reports(device, REPORT);
    await settled(socket);
    assert.deepEqual(socket.record.of("device-update"), []);
    const began = Date.now();
    for (let n = 1; n <= 200; n += 1) {
      account.reports(device, { "switch:0": { apower: n } });
      await sleep(2);
    }
    account.reports(device, { "switch:0": { output: false } });
    await socket.record.next("device-update", ({ relayOn, currentPower }) => relayOn === false && currentPower === 200);
    const most = Math.ceil((Date.now() - began) / 100) + 2;
    await sleep(300);
    const shown = socket.record.of("device-update");
    assert.ok(shown.length <= most, `${shown.length} of at most ${most}`);
  });

  test("4. a connection that drops takes its own devices offline once, and they come back with what they say", async () => {
    const house = await House.start({ settings: { reconnect_delay_ms: 500 } });
    const [c1, c2] = [await house.plugged(), await house.plugged({ id: OTHER, claims: S2, email: "eva@example.com" })];
    const [one, other] = [await house.browser(), await house.browser(S2)];
    c1.account.reports(c1.device, REPORT);
    await one.record.next("device-update", ({ currentPower }) => currentPower === 42.5);
    // Until it has been heard, nothing is known again.
    house.cloud.behaves.allStatus = () => HANGS;
    c1.account.drops();
    const { timestamp, lastKnown, ...said } = await one.record.next("device-offline-status");
    assert.deepEqual(lastKnown, { relayOn: true, currentPower: 42.5 });
    assert.deepEqual(said, {
      type: "device-offline-status", deviceId: c1.row.id, shellyDeviceId: HEX, name: c1.row.name, online: false, relayOn: false, currentPower: 0, voltage: null,
      temperature: null, totalEnergy: 7258.589, hasValidConsumption: false, stateKnown: false, reason: "websocket_disconnected",
    });
    await one.record.next("connection-status", ({ status }) => status === "reconnecting");
    const row = await house.rowIs(HEX, ({ online }) => !online);
    assert.deepEqual([row.relayOn, row.currentPower], [false, 0]);
    await c1.account.opened();
    await one.record.next("connection-status", ({ status }) => status === "connected");
    await sleep(200);
    assert.deepEqual(await house.row(HEX), row, "nothing is written before a status");
    assert.deepEqual(one.record.of("device-update", ({ reason }) => reason !== "snapshot"), []);
    one.record.events.length = 0;
    c1.account.reports(c1.device, { "switch:0": { apower: 7 } });
    await until("it is back", () => one.record.of("device-update").length > 0);
    const order = one.record.events.filter(({ name }) => name.startsWith("device-")).map(({ name, args: [{ online, currentPower }] }) => [name, online, currentPower]);
    assert.deepEqual(order, [["device-offline-status", true, 7], ["device-update", true, 7]]);
    assert.deepEqual(offline(other, c2.row.id), []);
    assert.equal((await house.row(OTHER, S2)).online, true);
  });

  test("after each opening, once statuses are in, the room is told that the list may be read", async () => {
    const house = await House.start();
    const { account } = await house.plugged();
    const socket = await house.browser();
    account.drops();
    const { stats } = await socket.record.next("device-update", ({ type }) => type === "initial-sync-done");
    assert.deepEqual(stats, { total: 1, synced: 1, errors: 0 });
    await house.rowIs(HEX, ({ online }) => online);
  });

  describe("5. actions", () => {
    test("the flag alone is flipped; a close without it is not followed by another try; start, stop and restart set it", async () => {
      const house = await House.start();
      const { account, connectionId } = await house.plugged();
      const done = async (action) => {
        const { status, body } = await house.act(connectionId, action);
        assert.deepEqual([status, body.success, body.message, body.data?.connectionId], [200, true, "Acción ejecutada correctamente", connectionId], JSON.stringify(body));
        return [body.data.status, body.data.autoReconnect];
      };
      assert.deepEqual(await done("toggle-reconnect"), ["connected", false]);
      assert.equal(account.open.size, 1, "it is alive");
      account.drops();
      await until("it is said", async () => (await house.logs("&eventType=reconnect_skipped")).length === 1);
      await sleep(300);
      assert.equal(account.open.size, 0);
      assert.deepEqual(await done("start"), ["connected", true]);
      assert.equal(account.open.size, 1);
      assert.deepEqual(await done("start"), ["connected", true]);
      assert.equal(account.open.size, 1, "no second socket");
      assert.deepEqual(await done("stop"), ["disconnected", false]);
      await account.opened(0);
      assert.deepEqual(await done("restart"), ["connected", true]);
      assert.deepEqual(await done("toggle-reconnect"), ["connected", false]);
      assert.deepEqual(await done("toggle-reconnect"), ["connected", true]);
      assert.equal((await house.act(connectionId, "refresh-token")).status, 200);
    });

    test("a stop takes devices offline by hand", async () => {
      const house = await House.start();
      const { connectionId, row } = await house.plugged();
      const socket = await house.browser();
      await house.act(connectionId, "stop");
      assert.equal((await socket.record.next("device-offline-status", ({ deviceId }) => deviceId === row.id)).reason, "manual_stop");
      assert.equal((await socket.record.next("connection-status", ({ status }) => status === "disconnected")).autoReconnect, false);
    });

    test("what is refused, and for whom; each leaves its rows with address and agent", async () => {
      const house = await House.start();
      const { connectionId } = await house.plugged();
      const headers = { "user-agent": "the tests/1" };
      await house.act(connectionId, "toggle-reconnect", { headers });
      assert.deepEqual(await house.refused("POST", `/api/websocket/${connectionId}/explode`), [400, "VALIDATION", "Acción inválida. Válidas: start, stop, restart, toggle-reconnect, refresh-token"]);
      assert.deepEqual((await house.act(connectionId, "start", { claims: S2 })).body.error, "Conexión no encontrada");
      assert.equal((await house.act(connectionId, "start", { claims: S2 })).status, 404);
      assert.equal((await house.act("nothing", "start")).status, 404);
      for (const role of ["viewer", "operator"]) assert.equal((await house.act(connectionId, "start", { claims: { role } })).status, 403);
      const entry = (await house.audit()).find(({ action }) => action.includes("toggle-reconnect"));
      assert.deepEqual([entry.actor, entry.ip, entry.userAgent], ["ana", "127.0.0.1", "the tests/1"]);
      const logs = (await house.logs()).filter(({ eventType }) => eventType.startsWith("action"));
      assert.deepEqual(logs.slice(0, 2).map(({ eventType }) => eventType).sort(), ["action", "action_success"]);
      const row = logs.find(({ eventType, userAgent }) => eventType === "action" && userAgent === "the tests/1");
      assert.equal(row.clientIp, "127.0.0.1");
    });

    test("a start that fails says so with the upstream's state", async () => {
      const house = await House.start();
      const { account, connectionId } = await house.plugged();
      await house.act(connectionId, "stop");
      house.cloud.behaves.socket = () => ({ status: 503 });
      const { status, body } = await house.act(connectionId, "start");
      assert.deepEqual([status, body.success, body.data.status], [502, false, "error"], JSON.stringify(body));
      house.cloud.behaves = {};
      assert.equal((await house.act(connectionId, "start")).status, 200);
      await account.opened();
    });
  });

  describe("6. control", () => {
    test("the relay request goes out with the cloud's id, and its answer is the ack", async () => {
      const house = await House.start();
      const { account, row } = await house.plugged();
      const socket = await house.browser();
      const ack = await control(socket, { deviceId: row.id, action: "on", requestId: "r1" });
      assert.equal(ack.ok, true);
      const [{ trid, at, ...frame }] = account.commands;
      assert.deepEqual(frame, { event: "Shelly:CommandRequest", deviceId: DECIMAL, data: { cmd: "relay", params: { id: 0, turn: "on" } } });
      assert.equal(typeof trid, "number");
      const result = await socket.record.next("device-command-result");
      assert.deepEqual([result.requestId, result.deviceId, result.ok, typeof result.durationMs], ["r1", row.id, true, "number"]);
      for (const [action, turn, output] of [["off", "off", false], ["toggle", "toggle", true]]) {
        assert.equal((await control(socket, { deviceId: HEX.toUpperCase(), action })).ok, true);
        assert.equal(account.commands.at(-1).data.params.turn, turn);
        await socket.record.next("device-update", ({ relayOn }) => relayOn === output);
      }
    });

    test("a refusal, one that says offline, and silence", async () => {
      const house = await House.start();
      const { account, row } = await house.plugged();
      const socket = await house.browser();
      const refusedWith = async (behaves, code) => {
        account.behaves = behaves;
        const ack = await control(socket, { deviceId: row.id, action: "on" });
        assert.deepEqual([ack.ok, ack.error.code], [false, code]);
        assert.equal((await socket.record.next("device-error")).error, code);
        return socket.record.next("device-command-result");
      };
      assert.equal((await refusedWith(() => ({ isok: false, errors: { failed: "Relay is broken" } }), "UPSTREAM_ERROR")).ok, false);
      assert.equal((await house.row(HEX)).online, true);
      const began = Date.now();
      await refusedWith(() => SILENT, "TIMEOUT");
      assert.ok(Date.now() - began >= 450);
      const { message } = await refusedWith(() => ({ isok: false, errors: { offline: "Device is OFFLINE" } }), "DEVICE_OFFLINE");
      assert.equal(message, "El dispositivo no está en línea");
      const { reason } = await socket.record.next("device-offline-status", ({ deviceId }) => deviceId === row.id);
      assert.equal(reason, "command_failed");
    });

    test("an answer counts for its own trid and device", async () => {
      const house = await House.start();
      const { account, row } = await house.plugged();
      const socket = await house.browser();
      account.behaves = ({ trid, deviceId }) => {
        account.sends({ event: "Shelly:CommandResponse", trid: trid + 1_000, deviceId, data: { isok: true } });
        account.sends({ event: "Shelly:CommandResponse", trid, deviceId: "1", data: { isok: true } });
        return SILENT;
      };
      assert.equal((await control(socket, { deviceId: row.id, action: "on" })).error.code, "TIMEOUT");
    });

    test("a timer is the device's own: by RPC for the second generation, by HTTP for the first", async () => {
      const house = await House.start();
      const { account, row } = await house.plugged();
      const socket = await house.browser();
      const ack = await control(socket, { deviceId: row.id, action: "on", timer: 1_800 });
      assert.equal(ack.ok, true, JSON.stringify(ack));
      const frame = account.commands.at(-1);
      assert.equal(typeof frame.trid, "string");
      assert.deepEqual([frame.event, frame.deviceId, frame.method, frame.params], ["Shelly:JrpcRequest", DECIMAL, "Switch.Set", { id: 0, on: true, toggle_after: 1_800 }]);
      const result = await socket.record.next("device-command-result");
      assert.equal(typeof result.wasOn, "boolean");
      account.adds(OTHER, { model: "plug-s" });
      await house.get("POST", "/api/shelly/connect", { name: "v2", apiHost: house.cloud.url, authKey: account.authKey });
    });

    test("bad wishes do nothing", async () => {
      const house = await House.start();
      const { account, row } = await house.plugged();
      const [socket, viewer, other] = [await house.browser(), await house.browser({ role: "viewer" }), await house.browser(S2)];
      const wish = { deviceId: row.id, action: "on" };
      for (const more of [{ action: "blink" }, { action: undefined }, { channel: 16 }, { channel: -1 }, { channel: "0" }, { timer: 0 }, { timer: 86_401 }, { timer: 1.5 },
        { action: "off", timer: 5 }, { action: "toggle", timer: 5 }, { deviceId: 7 }, { deviceId: undefined }]) {
        assert.equal((await control(socket, { ...wish, ...more })).error.code, "VALIDATION", JSON.stringify(more));
      }
      assert.equal((await control(viewer, wish)).error.code, "FORBIDDEN");
      for (const [who, deviceId] of [[other, row.id], [socket, "nothing"]]) {
        assert.equal((await control(who, { ...wish, deviceId })).error.code, "DEVICE_NOT_FOUND");
      }
      assert.deepEqual(account.commands, []);
    });

    test("the sixty-first event of a minute is refused, and a credential has its own bound", async () => {
      const house = await House.start({ settings: { max_messages_per_minute: 10 } });
      const { account, row } = await house.plugged();
      const [one, two] = [await house.socket(), await house.socket()];
      for (let n = 0; n < 6; n += 1) assert.equal((await control(one, { deviceId: row.id, action: "on" })).ok, true);
      for (let n = 0; n < 4; n += 1) assert.equal((await control(two, { deviceId: row.id, action: "on" })).ok, true);
      assert.equal((await control(two, { deviceId: row.id, action: "on" })).error.code, "RATE_LIMITED", "of the credential");
      assert.equal(account.commands.length, 10);
      for (let n = 0; n < 4; n += 1) await control(one, { deviceId: "nothing", action: "on" });
      assert.equal((await control(one, { deviceId: "nothing", action: "on" })).error.code, "RATE_LIMITED", "of the socket");
    });

    test("several devices, one result each, unknown ones too", async () => {
      const house = await House.start();
      const account = house.cloud.account();
      const devices = [HEX, OTHER].map((id) => account.adds(id));
      const credentialId = await house.connects(account);
      await house.get("POST", `/api/shelly/sync/${credentialId}`);
      await house.rowIs(OTHER, ({ online }) => online);
      const socket = await house.browser();
      const deviceIds = [OTHER, "nothing", HEX];
      const { ok, results } = await ask(socket, "control-devices", { deviceIds, action: "on", requestId: "r" });
      assert.deepEqual([ok, results.map(({ ok }) => ok)], [false, [true, false, true]]);
      await until("each has its result", () => socket.record.of("device-command-result").length === 3);
      assert.deepEqual(devices.map(({ status }) => status["switch:0"].output), [true, true]);
      for (const ids of [[], Array(101).fill(HEX), "all", [7]]) {
        assert.equal((await ask(socket, "control-devices", { deviceIds: ids, action: "on" })).error.code, "VALIDATION");
      }
    });

    test("one device's commands leave in their order, and the same request is one command", async () => {
      const house = await House.start();
      const { account, row } = await house.plugged();
      const [socket, again] = [await house.browser(), await house.browser()];
      const turns = ["on", "off", "toggle", "on", "off"];
      await Promise.all(turns.map((action) => control(socket, { deviceId: row.id, action })));
      assert.deepEqual(account.commands.map(({ data }) => data.params.turn), turns);
      const same = { deviceId: row.id, action: "on", requestId: "once" };
      const acks = await Promise.all([control(socket, same), control(again, same)]);
      acks.push(await control(again, same));
      assert.equal(account.commands.length, turns.length + 1);
      assert.deepEqual(acks.map(({ ok }) => ok), [true, true, true]);
    });

    test("without a way there it is refused, and nothing is sent later", async () => {
      const house = await House.start({ settings: { reconnect_delay_ms: 300 } });
      const { account, connectionId, row } = await house.plugged();
      const socket = await house.browser();
      await house.act(connectionId, "stop");
      const ack = await control(socket, { deviceId: row.id, action: "on" });
      assert.equal(ack.error.code, "UPSTREAM_DISCONNECTED");
      await house.act(connectionId, "start");
      await sleep(200);
      assert.deepEqual(account.commands, []);
    });

    test("by RPC, where that is configured, it is known what was", async () => {
      const house = await House.start({ settings: { cloud_command: "jrpc" } });
      const { account, device, row } = await house.plugged();
      const socket = await house.browser();
      const was = device.status["switch:0"].output;
      await control(socket, { deviceId: row.id, action: "off" });
      assert.deepEqual([account.commands[0].event, account.commands[0].params], ["Shelly:JrpcRequest", { id: 0, on: false }]);
      assert.equal((await socket.record.next("device-command-result")).wasOn, was);
    });
  });

  describe("8. the life of a token", () => {
    test("it is renewed before its end, and the open socket stays", async () => {
      const house = await House.start();
      const { account } = await house.plugged({ tokenLifeS: 6 });
      const [socket] = account.open;
      await house.cloud.called("auth", 2, 8_000);
      await sleep(300);
      assert.deepEqual([account.open.size, account.open.has(socket)], [1, true]);
      const { fields } = house.cloud.of("auth")[1];
      assert.deepEqual([fields.grant_type, fields.client_id], ["refresh_token", "shelly-diy"]);
      assert.ok((await house.logs("&eventType=token_refreshed")).length >= 1);
    });

    test("without one that renews, the code is used again", async () => {
      const house = await House.start();
      const account = house.cloud.account({ tokenLifeS: 4 });
      account.renews = false;
      account.adds(HEX);
      await house.connects(account);
      await house.cloud.called("auth", 2, 6_000);
      assert.deepEqual(house.cloud.of("auth").map(({ fields }) => fields.grant_type), ["code", "code"]);
    });

    test("a renewal that is refused ends it: expired, error, and no more tries", async () => {
      const house = await House.start();
      const { account, credentialId, connectionId } = await house.plugged();
      const socket = await house.browser();
      account.ends({ all: true });
      account.drops();
      const said = await socket.record.next("connection-status", ({ status }) => status === "error");
      assert.equal(said.connectionId, connectionId);
      const { length } = house.cloud.calls;
      await sleep(1_000);
      assert.equal(house.cloud.calls.length, length, "no further try");
      const [credential] = await house.get("GET", "/api/shelly/credentials");
      assert.deepEqual([credential.id, credential.status, credential.connectionStatus], [credentialId, "expired", "expired"]);
      assert.equal((await house.connectionOf(credentialId)).status, "error");
      const { status, body } = await house.ask("POST", `/api/shelly/credentials/${credentialId}/reconnect`);
      assert.deepEqual([status, body.error], [401, "No se pudo reconectar. Re-autenticación necesaria."]);
    });

    test("a dead token whose socket is opened and closed at once is renewed before the next try", async () => {
      const house = await House.start();
      const { account } = await house.plugged();
      account.ends();
      account.drops();
      await house.cloud.called("auth", 2);
      await account.opened();
      assert.equal(house.cloud.of("auth").length, 2);
    });

    test("a renewal that fails for another reason is tried again", async () => {
      const house = await House.start();
      const { account } = await house.plugged();
      let failures = 0;
      house.cloud.behaves.auth = () => (failures++ < 2 ? { status: 503, body: "<html>" } : undefined);
      account.ends();
      account.drops();
      await until("it is renewed", () => failures === 3);
      await account.opened();
    });

    test("a cloud that opens and closes at once is tried ever more rarely", async () => {
      const house = await House.start({ settings: { reconnect_delay_ms: 100, reconnect_delay_max_ms: 10_000 } });
      const { account } = await house.plugged();
      house.cloud.behaves.socket = () => ({ closesAfterMs: 0 });
      const before = house.cloud.of("socket").length;
      account.drops();
      await house.cloud.called("socket", before + 7, 20_000);
      const times = house.cloud.of("socket").slice(before).map(({ at }) => at);
      const gaps = times.slice(1).map((at, index) => at - times[index]);
      // 100 ms, half as long again each time, a fifth more or less.
      gaps.forEach((gap, index) => assert.ok(gap >= 100 * 1.5 ** (index + 1) * 0.79, `${gaps}`));
      assert.ok(gaps.at(-1) > gaps[0], `${gaps}`);
    });
  });

  for (const [what, behaves] of Object.entries({
    "closes at once": { socket: () => ({ closesAfterMs: 0 }) },
    "answers HTML": { allStatus: () => ({ headers: { "content-type": "text/html" }, body: "<html>Not now</html>" }), socket: () => ({ status: 200 }) },
    "answers slowly": { allStatus: () => ({ status: 504, delayMs: 300 }), socket: () => HANGS },
    "says 401": { allStatus: () => ({ status: 401 }), socket: () => ({ status: 401 }) },
    "says 429": { allStatus: () => ({ status: 429, headers: { "retry-after": "1" } }), socket: () => ({ status: 429 }) },
    "says 502": { allStatus: () => ({ status: 502 }), socket: () => ({ status: 502 }) },
    "cuts": { allStatus: () => CUTS, auth: () => CUTS, socket: () => ({ status: 400 }) },
    "answers half of a status": { allStatus: () => ({ body: '{"isok":true,"data":{"devices_st' }) },
  })) {
    test(`a cloud that ${what} is used again when it is well, and others do not notice`, async () => {
      const house = await House.start({ settings: { connect_timeout_ms: 400 } });
      const [c1, c2] = [await house.plugged(), await house.plugged({ id: OTHER, claims: S2, email: "eva@example.com" })];
      const other = await house.browser(S2);
      house.cloud.behaves = behaves;
      c1.account.drops();
      await house.rowIs(HEX, ({ online }) => !online);
      await sleep(700);
      c2.account.reports(c2.device, { "switch:0": { apower: 5 } });
      await other.record.next("device-update", ({ currentPower }) => currentPower === 5);
      assert.deepEqual(offline(other, c2.row.id), []);
      house.cloud.behaves = {};
      await house.rowIs(HEX, ({ online }) => online);
      assert.equal(c1.account.open.size, 1);
    });
  }

  test("9. what the cloud says of a device's being there", async () => {
    const house = await House.start();
    const { account, device, row } = await house.plugged();
    const socket = await house.browser();
    account.tells(device, 0);
    const gone = await socket.record.next("device-offline-status");
    assert.deepEqual([gone.deviceId, gone.online, gone.reason], [row.id, false, "shelly_online_event"]);
    account.tells(device, 0);
    account.sends({ event: "Shelly:Online", device: { id: DECIMAL } });
    await settled(socket);
    assert.deepEqual(socket.record.of("device-offline-status"), []);
    account.tells(device, 1);
    const back = await socket.record.next("device-offline-status");
    assert.deepEqual([back.online, back.relayOn, back.currentPower, back.stateKnown], [true, null, null, false]);
    // As integrators hear it.
    account.sends({ event: "Shelly:Online", deviceId: DECIMAL, online: 0 });
    assert.equal((await socket.record.next("device-offline-status")).online, false);
    account.sends({ event: "Shelly:StatusOnChange", deviceId: DECIMAL, status: { serial: (device.serial += 1), "switch:0": { apower: 9 } } });
    assert.equal((await socket.record.next("device-offline-status")).currentPower, 9);
    account.sends({ event: "Shelly:Online", device: { id: "281474976710655" }, online: 1 });
    await until("it is unclaimed", async () => (await house.get("GET", "/api/shelly/unclaimed")).data.some(({ shellyDeviceId }) => shellyDeviceId === "ffffffffffff"));
    assert.ok((await statuses(house, "unmapped")) >= 1);
  });

  test("11. energy never falls, over a device's reset and a restart of ours", async () => {
    const house = await House.start();
    const { account, device } = await house.plugged();
    let socket = await house.browser();
    const shows = async (total, shown) => {
      account.reports(device, { "switch:0": { aenergy: { total } } });
      await socket.record.next("device-update", ({ totalEnergy }) => totalEnergy === shown);
    };
    // The plug begins with what a real one had counted.
    await shows(10_000, 10_000);
    await shows(10_050, 10_050);
    await shows(5, 10_055);
    await house.rowIs(HEX, ({ totalEnergy }) => totalEnergy === 10_055);
    await house.daemon.restart();
    await account.opened();
    socket = await house.browser();
    await shows(7, 10_057);
    // The serial says that this one is old: no reset.
    account.reports(device, { "switch:0": { aenergy: { total: 1 } } }, { serial: device.serial - 5 });
    await shows(8, 10_058);
  });

  describe("13. secrets", () => {
    /** Everything that the daemon has written, as text. */
    const written = (house) => {
      const dir = join(house.daemon.dir, "data");
      return readdirSync(dir).filter((name) => name.includes("siod.db")).map((name) => readFileSync(join(dir, name), "latin1")).join("");
    };

    test("none of them is in the database or a log", async () => {
      const house = await House.start({ settings: { log_detail: "debug" }, config: (text) => `${text}\n[log]\nlevel = "debug"\n` });
      let logged = house.daemon.log;
      for (const stream of [house.daemon.child.stdout, house.daemon.child.stderr]) stream.on("data", (data) => (logged += data));
      const { account, credentialId } = await house.plugged();
      await house.get("POST", "/api/shelly/connect", { name: "v2", apiHost: house.cloud.url, authKey: account.authKey });
      await house.get("POST", "/api/internal/smart-plug-devices", { name: "x", deviceId: OTHER, deviceIp: "127.0.0.1:1", localPassword: "clave local" });
      const { secret } = await house.secretPath();
      account.drops();
      await account.opened();
      await house.act((await house.connectionOf(credentialId)).id, "refresh-token");
      house.cloud.behaves.allStatus = () => ({ status: 500, body: "no" });
      await house.ask("POST", `/api/shelly/sync/${credentialId}`);
      const given = [...account.secrets(), account.plain, account.password, account.authKey, "clave local", secret.split(".").at(-1), KEY];
      const seen = [written(house), logged, JSON.stringify(await house.logs()), JSON.stringify(await house.get("GET", "/api/shelly/credentials")),
        JSON.stringify(await house.get("GET", "/api/websocket/manager?action=connections")), JSON.stringify(await house.rows())];
      for (const text of seen) for (const word of given) assert.ok(!text.includes(word), word);
    });

    test("a key that was rotated still opens them, and one that is gone does not stop the daemon", async () => {
      const rotated = "f".repeat(64);
      let key = `encryption_key = "${KEY}"`;
      const house = await House.start({ settings: { encryption_key: undefined }, config: (text) => text.replace("cloud_login_url", `${key}\ncloud_login_url`) });
      const { account } = await house.plugged();
      const again = async (text) => {
        key = text;
        await house.restartConfigured();
      };
      await again(`encryption_key = "${rotated}"\nencryption_keys_old = ["${KEY}"]`);
      await account.opened();
      // Its rows are under the new key by then.
      await again(`encryption_key = "${rotated}"`);
      await account.opened();
      await again("");
      const [credential] = await house.get("GET", "/api/shelly/credentials");
      assert.deepEqual([credential.status, credential.connectionStatus], ["error", "error"]);
      assert.deepEqual((await house.refused("POST", "/api/shelly/connect", { name: "x", email: account.email, password: account.plain })).slice(0, 2), [503, "NO_ENCRYPTION_KEY"]);
    });
  });

  test("a start of ours opens what was open, and the rest is offline", async () => {
    const house = await House.start();
    const [c1, c2] = [await house.plugged(), await house.plugged({ id: OTHER, email: "eva@example.com" })];
    await house.act(c2.connectionId, "toggle-reconnect");
    await house.daemon.restart();
    await c1.account.opened();
    await house.rowIs(OTHER, ({ online }) => !online);
    assert.equal(c2.account.open.size, 0);
  });

  test("a host that is not the cloud's is not dialled", async () => {
    const house = await House.start({ settings: { cloud_hosts: ["*.shelly.cloud"] } });
    const account = house.cloud.account();
    const form = { name: "Clínica", email: account.email, password: account.plain };
    assert.equal((await house.ask("POST", "/api/shelly/connect", form)).status, 403);
    assert.equal(house.cloud.of("auth").length, 0);
    assert.equal((await house.ask("POST", "/api/shelly/connect", { name: "v2", apiHost: house.cloud.url, authKey: "k" })).status, 403);
  });

  test("a cloud that speaks plainly is not dialled unless that is allowed", async () => {
    const house = await House.start({ settings: { allow_insecure_upstream: false } });
    const account = house.cloud.account();
    const { status } = await house.ask("POST", "/api/shelly/connect", { name: "Clínica", email: account.email, password: account.plain });
    assert.ok(status >= 400);
    assert.deepEqual([house.cloud.of("auth"), house.cloud.of("socket")], [[], []]);
  });

  test("a host without an address, and one whose certificate nobody trusts, are no account", async () => {
    const house = await House.start({ settings: { cloud_hosts: ["127.0.0.1", "nowhere.invalid"], connect_timeout_ms: 2_000 } });
    const pem = join(house.daemon.dir, "pem");
    certificate(house.daemon.dir, pem);
    const [key, cert] = [readFileSync(pem), readFileSync(pem)];
    const tls = await Cloud.start({ tls: { key, cert } });
    try {
      for (const [n, apiUrl] of ["http://nowhere.invalid:6113", tls.url, "http://127.0.0.1:1"].entries()) {
        const account = house.cloud.account({ email: `a${n}@example.com`, apiUrl });
        const { status, body } = await house.ask("POST", "/api/shelly/connect", { name: "x", email: account.email, password: account.plain });
        assert.ok(status >= 500, `${apiUrl}: ${status} ${JSON.stringify(body)}`);
        assert.ok(!JSON.stringify(body).includes(account.plain));
      }
      assert.deepEqual(tls.calls, []);
      const account = house.cloud.account();
      await house.connects(account);
    } finally {
      await tls.stop();
    }
  });

  test("timers that are switched on: silence is offline, and consumption that is not said again is not valid any more", async () => {
    const house = await House.start({ settings: { state_timeout_ms: 600, consumption_timeout_ms: 200 } });
    const { account, device } = await house.plugged();
    const socket = await house.browser();
    account.reports(device, REPORT);
    await socket.record.next("device-update", ({ currentPower }) => currentPower === 42.5);
    const stale = await socket.record.next("device-update", ({ reason }) => reason === "consumption_timeout");
    assert.deepEqual([stale.hasValidConsumption, stale.currentPower, stale.online], [false, 42.5, true]);
    assert.equal((await socket.record.next("device-offline-status", ({ online }) => !online)).reason, "state_timeout");
    account.reports(device, { "switch:0": { apower: 1 } });
    await socket.record.next("device-offline-status", ({ online }) => online);
  });
});
