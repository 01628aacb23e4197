// iot by HTTP, as dashboards use it: connections and their logs, credentials, devices, and who may do what.
import assert from "node:assert/strict";
import { afterEach, describe, test } from "node:test";
import { daemonOnly } from "./lib/daemon.mjs";
import { request } from "./lib/http.mjs";
import { endRunning } from "./lib/served.mjs";
import { HEX, House, ask, token } from "./lib/shelly/house.mjs";
import { sleep, until } from "./lib/wait.mjs";

const S2 = { systemId: "s2", sub: "eva" };
const OTHER = "aabbcc112233";
const devices = "/api/internal/smart-plug-devices";
const as = (role) => ({ claims: { role } });

afterEach(endRunning);

describe("iot by HTTP", { skip: daemonOnly }, () => {
  test("who may ask for what", async () => {
    const house = await House.start();
    const { connectionId, credentialId, row } = await house.plugged();
    const ranks = { viewer: 0, operator: 1, admin: 2 };
    const routes = [
      ["GET", "/api/websocket/manager?action=metrics", 0], ["GET", "/api/websocket/connections", 0], ["GET", "/api/internal/websocket-connections", 0],
      ["GET", devices, 0], ["GET", "/api/shelly/credentials", 0], ["GET", "/api/shelly/metrics", 0], ["GET", "/api/shelly/connections", 0],
      ["GET", "/api/internal/shelly/active-credentials?systemId=s1", 0], ["GET", `/api/shelly/device/${HEX}/status`, 0], ["GET", "/api/socket/init", 0],
      ["GET", "/api/websocket/logs", 1], ["GET", "/api/websocket/logs/stats", 1], ["GET", `/api/websocket/${connectionId}/logging`, 1],
      ["POST", `${devices}/${row.id}/toggle-appointment-only`, 1, { appointmentOnlyMode: true }],
      ["PUT", `/api/websocket/${connectionId}/logging`, 2, { loggingEnabled: true }], ["POST", `/api/websocket/${connectionId}/toggle-reconnect`, 2],
      ["POST", "/api/websocket/logs", 2, { action: "delete", ids: ["x"] }], ["PATCH", `${devices}/${row.id}`, 2, { name: "x" }],
      ["POST", `/api/shelly/sync/${credentialId}`, 2], ["GET", "/api/shelly/unclaimed", 2], ["GET", "/api/internal/audit", 2],
    ];
    for (const [method, path, least, body] of routes) {
      const none = await house.ask(method, path, body, { bearer: null });
      assert.deepEqual([none.status, none.body.error], [401, "No autorizado"], path);
      for (const [role, rank] of Object.entries(ranks)) {
        const { status, body: said } = await house.ask(method, path, body, as(role));
        if (rank < least) assert.deepEqual([status, said.code], [403, "FORBIDDEN"], `${role} ${method} ${path}`);
        else assert.equal(status, 200, `${role} ${method} ${path}: ${JSON.stringify(said)}`);
      }
    }
    for (const [method, path, , body] of routes.filter(([, path]) => [connectionId, credentialId, row.id, HEX].some((id) => path.includes(id)))) {
      assert.equal((await house.ask(method, path, body, { claims: S2 })).status, 404, `another's: ${method} ${path}`);
    }
  });

  test("a token comes by header, by query and, where it is named, by cookie; a page of another origin writes nothing with a cookie", async () => {
    const house = await House.start({ settings: { session_cookie: "session" } });
    const status = async (path, headers = {}, method = "GET", body) => (await house.ask(method, path, body, { bearer: null, headers })).status;
    const cookie = `a=b; session=${token()}`;
    assert.equal(await status(`${devices}?token=${token()}`), 200);
    assert.equal(await status(devices, { cookie }), 200);
    assert.equal(await status(devices, { cookie: "session=garbage" }), 401);
    const form = (n) => ({ name: "x", deviceId: `aabbccddee0${n}` });
    assert.ok([401, 403].includes(await status(devices, { cookie, origin: "https://evil.example" }, "POST", form(1))));
    assert.equal(await status(devices, { cookie, origin: house.daemon.url }, "POST", form(2)), 201);
    assert.deepEqual((await house.rows()).map(({ deviceId }) => deviceId), ["aabbccddee02"]);
  });

  test("what is not JSON, not there, of another method or too large", async () => {
    const house = await House.start();
    const { row, connectionId } = await house.plugged();
    for (const body of ["{", "[]", "7", '"x"']) assert.deepEqual((await house.refused("PATCH", `${devices}/${row.id}`, body)).slice(0, 2), [400, "VALIDATION"], body);
    assert.equal((await house.ask("PATCH", `${devices}/${row.id}`, { name: "x".repeat(65 * 1_024) })).status, 413);
    assert.equal((await house.ask("GET", "/api/nothing")).status, 404);
    const other = await house.ask("DELETE", "/api/websocket/manager");
    assert.deepEqual([other.status, other.headers.allow?.split(",").map((name) => name.trim()).sort()], [405, ["GET", "HEAD", "POST"]]);
    assert.equal((await house.ask("GET", `/iot${devices}`)).status, 200, "below its name as well");
    const { body } = await house.ask("POST", `/api/websocket/${connectionId}/explode`);
    assert.equal(body.success, false);
  });

  test("logging of a connection is switched, which stops rows and nothing else", async () => {
    const house = await House.start();
    const { account, device, connectionId } = await house.plugged();
    const path = `/api/websocket/${connectionId}/logging`;
    const { data } = await house.get("GET", path);
    assert.deepEqual([data.connectionId, data.type, data.status, data.loggingEnabled, typeof data.totalLogs], [connectionId, "SHELLY", "connected", true, "number"]);
    for (const loggingEnabled of [7, "true", null, undefined]) {
      assert.deepEqual((await house.refused("PUT", path, { loggingEnabled }))[2], "loggingEnabled debe ser un boolean");
    }
    const off = await house.get("PUT", path, { loggingEnabled: false });
    assert.deepEqual([off.message, off.data.loggingEnabled, off.data.totalLogs], ["Logging deshabilitado para la conexión", false, undefined]);
    const { length } = await house.logs();
    const socket = await house.browser();
    account.reports(device, { "switch:0": { apower: 77 } });
    await socket.record.next("device-update", ({ currentPower }) => currentPower === 77);
    await house.act(connectionId, "toggle-reconnect");
    assert.equal((await house.logs()).filter(({ connectionId: of }) => of === connectionId).length <= length, true);
    assert.ok((await house.audit()).some(({ action }) => action.includes("toggle-reconnect")), "audited all the same");
    assert.equal((await house.get("PUT", path, { loggingEnabled: true })).message, "Logging habilitado para la conexión");
  });

  test("the manager: figures, health, connections without a token in them, and what it does not do", async () => {
    const house = await House.start();
    const { account, credentialId, connectionId } = await house.plugged();
    const { data: metrics } = await house.get("GET", "/api/websocket/manager?action=metrics");
    const figures = ["totalConnections", "activeConnections", "failedConnections", "messagesPerSecond", "averageLatency", "errorRate", "uptime"];
    for (const name of figures) for (const part of [metrics.system, metrics.shelly]) assert.equal(typeof part[name], "number", name);
    assert.deepEqual([metrics.shelly.shellyConnections, metrics.shelly.totalDevices, metrics.shelly.avgDevicesPerConnection], [1, 1, 1]);
    const { data: health } = await house.get("GET", "/api/websocket/manager?action=health");
    const mine = health.shelly.find((one) => one.connectionId === connectionId);
    assert.deepEqual([mine.isHealthy, typeof mine.latency], [true, "number"]);
    const { data: { connections } } = await house.get("GET", "/api/websocket/manager?action=connections");
    const { url, status, tags, metadata, logs, reconnectAttempts } = connections.find(({ id }) => id === connectionId);
    assert.equal(url, `ws://127.0.0.1:${house.cloud.port}/shelly/wss/hk_sock`);
    assert.deepEqual([status, Array.isArray(tags), metadata.type, metadata.credentialName, Array.isArray(logs), reconnectAttempts], ["connected", true, "SHELLY", "Clínica", true, 0]);
    assert.ok(Array.isArray((await house.get("GET", "/api/websocket/manager")).data.endpoints));
    for (const action of ["connect", "send", "broadcast"]) assert.equal((await house.ask("POST", "/api/websocket/manager", { action, url: "ws://x" })).status, 403);
    assert.deepEqual((await house.refused("POST", "/api/websocket/manager", { action: "x" }))[2], "Acción 'x' no reconocida");
    assert.equal((await house.ask("POST", "/api/websocket/manager", { action: "shelly-disconnect", credentialId })).status, 200);
    await account.opened(0);
    assert.equal((await house.ask("POST", "/api/websocket/manager", { action: "shelly-connect", credentialId })).status, 200);
    await account.opened();
  });

  test("connections are listed, counted, kept by others, and cleaned", async () => {
    const house = await House.start();
    const { connectionId, credentialId } = await house.plugged();
    const page = await house.get("GET", "/api/websocket/connections?page=1&limit=1");
    assert.deepEqual(page.data.pagination.limit, 1);
    assert.equal(page.data.connections.length, 1);
    const { data: stats } = await house.get("GET", "/api/websocket/connections?action=stats");
    assert.deepEqual([stats.connected, stats.error, stats.total >= 1], [stats.total - stats.disconnected - stats.reconnecting, 0, true]);
    const row = await house.connectionOf(credentialId);
    assert.deepEqual([row.id, row.type, row.referenceId, row.status, row.autoReconnect, row.loggingEnabled], [connectionId, "SHELLY", credentialId, "connected", true, true]);
    assert.equal((await house.ask("GET", "/api/websocket/connections?action=cleanup")).status, 405);
    const custom = { action: "create-or-update", type: "CUSTOM", referenceId: "r1", status: "connected", metadata: { a: 1 } };
    const made = (await house.get("POST", "/api/websocket/connections", custom)).data;
    assert.equal(made.isNew, true);
    assert.deepEqual((await house.get("POST", "/api/websocket/connections", { ...custom, status: "disconnected" })).data, { id: made.id, isNew: false });
    for (const more of [{ type: "SHELLY" }, { type: "SOCKET_IO" }, { referenceId: undefined }, { status: "x" }]) {
      assert.equal((await house.ask("POST", "/api/websocket/connections", { ...custom, ...more })).status, 400, JSON.stringify(more));
    }
    const acted = await house.act(made.id, "start");
    assert.deepEqual([acted.status, acted.body.data.autoReconnect], [200, true]);
    assert.equal((await house.act(made.id, "refresh-token")).status, 400);
    const { data } = await house.get("DELETE", "/api/websocket/connections?days=7");
    assert.deepEqual([data.cleanedCount, data.olderThanDays, typeof data.message], [0, 7, "string"]);
  });

  test("one row for all sockets of a system, which is disconnected with the last", async () => {
    const house = await House.start();
    const sockets = [await house.browser(), await house.browser()];
    const row = async () => (await house.get("GET", "/api/websocket/connections")).data.connections.find(({ type }) => type === "SOCKET_IO");
    const { status, metadata, referenceId, id } = await row();
    assert.deepEqual([status, metadata.sockets, referenceId], ["connected", 2, "s1"]);
    sockets.forEach((socket) => socket.disconnect());
    await until("it is disconnected", async () => (await row()).status === "disconnected");
    const back = await house.browser();
    const gone = new Promise((resolve) => back.once("disconnect", resolve));
    await house.act(id, "stop");
    assert.equal(await gone, "io server disconnect");
  });

  test("logs by kind, words and time, and how they are deleted", async () => {
    const house = await House.start();
    const { account, device, connectionId } = await house.plugged();
    const socket = await house.browser();
    for (const apower of [1, 2, 3]) {
      account.reports(device, { "switch:0": { apower, output: apower % 2 === 0 } });
      await socket.record.next("device-update", ({ currentPower }) => currentPower === apower);
    }
    const page = (query) => house.get("GET", `/api/websocket/logs?${query}`).then(({ data }) => data);
    const messages = await page("eventType=message&type=SHELLY&search=RECIBIDO");
    assert.ok(messages.total >= 3);
    const { connection, createdAt } = messages.logs[0];
    assert.deepEqual([connection.type, connection.status], ["SHELLY", "connected"]);
    assert.ok(messages.logs.every((log, at, all) => at === 0 || log.createdAt <= all[at - 1].createdAt), "the newest first");
    assert.deepEqual([(await page("search=%25")).total, (await page("search=_ecibido")).total], [0, 0], "% and _ are letters");
    const one = await page("limit=1&offset=1&eventType=all&type=all");
    assert.deepEqual([one.logs.length, one.limit, one.offset, one.hasMore], [1, 1, 1, true]);
    assert.equal((await page("limit=5000")).limit, 1_000);
    assert.ok((await page(`dateFrom=${createdAt}&dateTo=${createdAt}`)).total >= 1, "both ends are in");
    for (const bad of ["dateFrom=x", "dateTo=2025-13-01", "limit=x", "offset=-1"]) assert.equal((await house.ask("GET", `/api/websocket/logs?${bad}`)).status, 400, bad);
    const { data: stats } = await house.get("GET", "/api/websocket/logs/stats");
    assert.ok(stats.totalLogs >= 3 && stats.logsByEventType.message >= 3 && stats.logsByConnectionType.SHELLY >= 3 && stats.recentActivity >= 3);
    assert.deepEqual([stats.summary.hasLogs, stats.summary.activeInLast24h], [true, true]);

    const post = (body) => house.ask("POST", "/api/websocket/logs", body);
    const ids = messages.logs.slice(0, 2).map(({ id }) => id);
    const deleted = (await post({ action: "delete", ids })).body;
    assert.deepEqual([deleted.message, deleted.data.deletedCount, [...deleted.data.deletedIds].sort()], ["Acción 'delete' ejecutada correctamente", 2, [...ids].sort()]);
    for (const [body, error] of [
      [{}, "Acción requerida"], [{ action: "delete" }, "IDs de logs requeridos para eliminación"], [{ action: "delete", ids: [] }, "IDs de logs requeridos para eliminación"],
      [{ action: "delete_all" }, "Confirmación requerida para eliminar todos los logs"], [{ action: "x" }, "Acción inválida: x"],
    ]) {
      const { status, body: said } = await post(body);
      assert.deepEqual([status, said.error, said.success], [400, error, false]);
    }
    assert.deepEqual((await post({ action: "cleanup" })).body.data.criteria, { olderThanDays: 7, maxLogsPerConnection: 1_000 });
    assert.ok((await post({ action: "delete_all", confirm: true })).body.data.deletedCount >= 1);
    assert.equal((await page(`eventType=message`)).total, 0);
    assert.ok((await house.audit()).some(({ action }) => action.includes("delete")), "deletions are audited");
    assert.ok(connectionId);
  });

  test("control by HTTP answers once the device has", async () => {
    const house = await House.start();
    const { account, connectionId, row } = await house.plugged();
    const post = (id, body, options) => house.ask("POST", `/api/shelly/device/${id}/control`, body, options);
    for (const [action, message] of [["on", "Dispositivo encendido correctamente"], ["off", "Dispositivo apagado correctamente"]]) {
      const { status, body } = await post(HEX, { action, appointmentId: "cita-1" });
      assert.deepEqual([status, body.success, body.message, body.data.deviceId, typeof body.data.durationMs], [200, true, message, row.id, "number"], JSON.stringify(body));
    }
    assert.equal(account.commands.length, 2);
    assert.equal((await post(row.id, { action: "on" })).status, 200, "either id");
    for (const action of ["toggle", "blink", undefined]) assert.deepEqual((await house.refused("POST", `/api/shelly/device/${HEX}/control`, { action })).slice(2), ["Acción inválida. Debe ser 'on' o 'off'"]);
    assert.deepEqual((await house.refused("POST", "/api/shelly/device/nothing/control", { action: "on" })).slice(2), ["Dispositivo no encontrado"]);
    assert.equal((await post("nothing", { action: "on" })).status, 404);
    assert.equal((await post(HEX, { action: "on" }, as("viewer"))).status, 403);
    account.behaves = () => ({ isok: false, errors: { e: "broken" } });
    assert.deepEqual((await house.refused("POST", `/api/shelly/device/${HEX}/control`, { action: "on" })).slice(0, 2), [502, "UPSTREAM_ERROR"]);
    account.behaves = () => ({ isok: false, errors: { e: "device is offline" } });
    assert.deepEqual((await house.refused("POST", `/api/shelly/device/${HEX}/control`, { action: "on" })).slice(0, 2), [409, "DEVICE_OFFLINE"]);
    await house.act(connectionId, "stop");
    assert.deepEqual((await house.refused("POST", `/api/shelly/device/${HEX}/control`, { action: "on" })).slice(0, 2), [409, "UPSTREAM_DISCONNECTED"]);
    const entry = (await house.audit()).find(({ details }) => JSON.stringify(details ?? "").includes("cita-1"));
    assert.equal(entry?.actor, "ana", "the appointment is in the audit");
  });

  test("the status of a device, as the dashboard draws it", async () => {
    const house = await House.start();
    const { row } = await house.plugged();
    const body = await house.get("GET", `/api/shelly/device/${HEX}/status`);
    assert.deepEqual([body.deviceId, body.name, body.online, body.relay.isOn, body.power.voltage, body.power.total, body.wifi.rssi], [HEX, row.name, true, true, 227.9, 7258.589, -53], JSON.stringify(body));
    assert.ok("generation" in body && "model" in body && "connected" in body.wifi && "connected" in body.cloud && body.lastUpdate);
  });

  test("devices are made, listed, changed and deleted", async () => {
    const house = await House.start();
    const made = await house.ask("POST", devices, { name: "Láser", deviceId: HEX.toUpperCase() });
    assert.deepEqual([made.status, made.body.deviceId, made.body.online, made.body.appointmentOnlyMode, made.body.autoShutdownEnabled], [201, HEX, false, true, true], JSON.stringify(made.body));
    assert.deepEqual((await house.refused("POST", devices, { name: "x", deviceId: HEX })).slice(0, 2), [409, "DEVICE_EXISTS"]);
    assert.equal((await house.ask("POST", devices, { name: "x", deviceId: HEX }, { claims: S2 })).status, 201, "another system may have it");
    for (const bad of [{ deviceId: HEX }, { name: "", deviceId: OTHER }, { name: "x" }, { name: "x", deviceId: "zz" }, { name: 7, deviceId: OTHER }]) {
      assert.equal((await house.ask("POST", devices, bad)).status, 400, JSON.stringify(bad));
    }
    await house.get("POST", devices, { name: "Agua", deviceId: OTHER });
    const list = await house.ask("GET", `${devices}?page=1&pageSize=1`);
    assert.deepEqual([list.body.data.map(({ name }) => name), list.body.totalPages, list.body.totalCount, list.headers["cache-control"]], [["Agua"], 2, 2, "no-store"]);
    const { id } = made.body;
    const socket = await house.browser();
    const assignment = { equipmentClinicAssignmentId: "a1", clinicId: "c1", equipmentClinicAssignment: { equipment: { name: "Láser X" }, clinic: { name: "Centro" } } };
    const changed = await house.get("PATCH", `${devices}/${id}`, { name: "Láser 1", ...assignment, excludeFromSync: true });
    assert.deepEqual([changed.name, changed.clinicId, changed.equipmentClinicAssignmentId, changed.excludeFromSync], ["Láser 1", "c1", "a1", true]);
    const told = await socket.record.next("smart-plug-assignment-updated");
    assert.deepEqual([told.type, told.deviceId, told.deviceName, told.systemId, told.equipmentClinicAssignmentId, told.clinicId], ["smart-plug-assignment-updated", id, "Láser 1", "s1", "a1", "c1"]);
    for (const [path, field] of [["toggle-appointment-only", "appointmentOnlyMode"], ["toggle-auto-shutdown", "autoShutdownEnabled"]]) {
      for (const value of [false, true]) assert.deepEqual(await house.get("POST", `${devices}/${HEX}/${path}`, { [field]: value }, as("operator")), { success: true, [field]: value });
      assert.equal((await house.ask("POST", `${devices}/${id}/${path}`, { [field]: "x" })).status, 400);
      assert.equal((await house.ask("POST", `${devices}/nothing/${path}`, { [field]: true })).status, 404);
    }
    assert.ok((await house.ask("DELETE", `${devices}/${id}`)).status < 300);
    assert.equal((await house.ask("DELETE", `${devices}/${id}`)).status, 404);
    socket.emit("request-device-update", HEX);
    assert.equal((await socket.record.next("device-error")).error, "DEVICE_NOT_FOUND");
    await house.daemon.restart({ crash: true });
    assert.deepEqual((await house.rows()).map(({ name }) => name), ["Agua"]);
  });

  test("accounts are connected, listed without a secret, stopped, started, renewed and deleted", async () => {
    const house = await House.start();
    const account = house.cloud.account();
    account.adds(HEX);
    const form = { name: "Clínica", email: account.email, password: account.plain };
    const wrong = await house.ask("POST", "/api/shelly/connect", { ...form, password: "otro" });
    assert.deepEqual([wrong.status, wrong.body.error], [401, "Email o contraseña incorrectos"]);
    for (const name of ["name", "email", "password"]) assert.deepEqual((await house.refused("POST", "/api/shelly/connect", { ...form, [name]: undefined })).slice(2), ["Todos los campos son requeridos"]);
    const made = await house.get("POST", "/api/shelly/connect", form);
    assert.deepEqual([made.success, made.message], [true, "Cuenta conectada exitosamente"]);
    assert.deepEqual(house.cloud.of("login").at(-1).fields, { email: account.email, password: account.password, client_id: "shelly-diy" });
    await account.opened();
    const list = await house.get("GET", "/api/shelly/credentials");
    const [one] = list;
    assert.deepEqual([list.length, one.id, one.name, one.email, one.status, one.webSocketStatus, one.webSocketAutoReconnect, one.connectionStatus],
      [1, made.credentialId, "Clínica", account.email, "connected", "connected", true, "connected"]);
    const post = (what) => house.get("POST", `/api/shelly/credentials/${made.credentialId}/${what}`);
    const stopped = await post("disconnect-websocket");
    assert.deepEqual([stopped.success, stopped.data.credentialId, stopped.data.credentialName, stopped.data.status], [true, made.credentialId, "Clínica", "disconnected"]);
    await account.opened(0);
    assert.equal((await post("connect-websocket")).data.status, "connected");
    assert.equal((await post("reconnect")).success, true);
    const sync = await house.get("POST", `/api/shelly/sync/${made.credentialId}`);
    assert.deepEqual([sync.message, sync.data], ["Dispositivos sincronizados exitosamente", { total: 1, created: 1 }]);
    assert.deepEqual((await house.get("POST", `/api/shelly/sync/${made.credentialId}`)).data, { total: 1, created: 0 });
    assert.equal((await house.row(HEX)).name, "SNPL-00112EU dd94");
    assert.deepEqual((await house.refused("POST", "/api/shelly/sync/nothing")).slice(2), ["Credenciales no encontradas"]);
    const active = await house.get("GET", "/api/internal/shelly/active-credentials?systemId=s1");
    assert.deepEqual([active.hasActiveCredentials, active.moduleActive, active.activeCredentialsCount, active.credentials.length], [true, true, 1, 1]);
    assert.deepEqual((await house.refused("GET", "/api/internal/shelly/active-credentials")).slice(2), ["systemId requerido"]);
    assert.deepEqual((await house.refused("GET", "/api/internal/shelly/active-credentials?systemId=s2")).slice(2), ["Acceso denegado"]);
    const [connection] = await house.get("GET", "/api/shelly/connections");
    assert.deepEqual([connection.credentialName, connection.status, connection.deviceCount], ["Clínica", "connected", 1]);
    const metrics = await house.get("GET", "/api/shelly/metrics");
    assert.deepEqual([metrics.totalConnections, metrics.activeConnections, metrics.failedConnections], [1, 1, 0]);
    const opened = await house.get("GET", "/api/socket/start-monitoring");
    assert.deepEqual([opened.message, opened.data.connections], ["Monitoreo iniciado correctamente", 1]);
    assert.equal((await house.get("POST", "/api/socket/start-monitoring")).data.connections, 1);
    assert.ok((await house.ask("DELETE", `/api/shelly/credentials/${made.credentialId}`)).status < 300);
    await account.opened(0);
    assert.deepEqual(await house.get("GET", "/api/shelly/credentials"), []);
  });

  test("by code, and by a key for HTTP alone, which carries timers for the first generation", async () => {
    const house = await House.start();
    const account = house.cloud.account();
    const device = account.adds(OTHER, { model: "plug-s" });
    const byCode = await house.get("POST", "/api/shelly/connect", { name: "código", code: account.code() });
    await account.opened();
    await house.get("DELETE", `/api/shelly/credentials/${byCode.credentialId}`);
    await account.opened(0);
    const { credentialId } = await house.get("POST", "/api/shelly/connect", { name: "v2", apiHost: house.cloud.url, authKey: account.authKey });
    const row = await house.get("POST", devices, { name: "Gen1", deviceId: OTHER, credentialId });
    const socket = await house.browser();
    const ack = await ask(socket, "control-device", { deviceId: row.id, action: "on", timer: 60 });
    assert.equal(ack.ok, true, JSON.stringify(ack));
    const { fields, query } = house.cloud.of("v2Switch")[0];
    assert.deepEqual([fields, query.auth_key], [{ id: OTHER, channel: 0, on: true, toggle_after: 60 }, account.authKey]);
    assert.deepEqual([device.status.relays[0].ison, device.toggleAfter], [true, 60]);
    device.online = false;
    assert.equal((await ask(socket, "control-device", { deviceId: row.id, action: "off" })).error.code, "DEVICE_OFFLINE");
  });

  test("a timer that no way can carry is refused, and nothing is sent", async () => {
    const house = await House.start();
    const { account, row } = await house.plugged({ id: OTHER, model: "plug-s" });
    const socket = await house.browser();
    const ack = await ask(socket, "control-device", { deviceId: row.id, action: "on", timer: 60 });
    assert.equal(ack.error.code, "TIMER_UNSUPPORTED");
    assert.deepEqual([account.commands, house.cloud.of("v2Switch")], [[], []]);
    assert.equal((await ask(socket, "control-device", { deviceId: row.id, action: "on" })).ok, true);
  });

  test("one call a second and account, and a cloud that says later is asked later", async () => {
    const house = await House.start({ settings: { http_interval_ms: 300 } });
    const { credentialId } = await house.plugged();
    house.cloud.calls.length = 0;
    await Promise.all([1, 2, 3].map(() => house.ask("POST", `/api/shelly/sync/${credentialId}`)));
    const times = house.cloud.of("allStatus").map(({ at }) => at);
    assert.ok(times.slice(1).every((at, index) => at - times[index] >= 280), `${times}`);
    house.cloud.behaves.allStatus = () => ({ status: 429, headers: { "retry-after": "2" } });
    const before = house.cloud.of("allStatus").length;
    const answer = house.ask("POST", `/api/shelly/sync/${credentialId}`);
    await house.cloud.called("allStatus", before + 1);
    house.cloud.behaves = {};
    await sleep(1_000);
    assert.equal(house.cloud.of("allStatus").length, before + 1);
    assert.ok([200, 502].includes((await answer).status));
  });

  test("texts of older servers, and what they show before a device has answered, where that is wanted", async () => {
    const house = await House.start({ settings: { legacy_actions: true } });
    const { connectionId, row } = await house.plugged();
    const socket = await house.browser();
    assert.equal((await house.act(connectionId, "start")).body.message, "Acción 'start' ejecutada correctamente");
    await house.ask("POST", `/api/shelly/device/${HEX}/control`, { action: "off" });
    const shown = await socket.record.next("device-update", ({ reason }) => reason !== "snapshot");
    assert.deepEqual([shown.deviceId, shown.relayOn, shown.currentPower], [row.id, false, 0]);
  });

  test("the path is its own for every method, and preflights are answered", async () => {
    const house = await House.start({ listener: 'cors_origins = ["https://panel.example"]' });
    const headers = { origin: "https://panel.example", "access-control-request-method": "PATCH", "access-control-request-headers": "authorization,content-type" };
    const answer = await request(house.daemon.port, `${devices}/x`, { method: "OPTIONS", headers });
    assert.ok([200, 204].includes(answer.status));
    assert.ok(answer.headers["access-control-allow-methods"].includes("PATCH"));
  });
});
